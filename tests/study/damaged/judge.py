"""What becomes of each damaged study: `python tests/study/damaged/judge.py --write` runs all and writes the table.

refused: in words. right: accepted, and the study says what a careful person reads. same: accepted, and nothing
differs. silent: accepted with other data than anybody would read. moved: should be the same and is not, or was refused.
traceback: any other error.
"""

from __future__ import annotations

import argparse
import csv
import functools
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import evalkit as ek
from tests.study.damaged.damages import Damage, every_damage, sound
from tests.study.damaged.plain import TABLES, Nonsense, found_in, read_plainly

VERDICTS = ("refused", "right", "same", "silent", "moved", "traceback")
TABLE = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "damaged.csv"


@functools.cache
def whole() -> dict[str, object]:
    """What a careful person reads in the sound study."""
    return read_plainly(TABLES)


def expected(damage: Damage) -> dict[str, object] | None:
    """What a careful person reads in the damaged files; None where nobody would go on."""
    if damage.cells is None or damage.same:
        return whole() if damage.same else None
    try:
        return read_plainly({**TABLES, damage.table: damage.cells})
    except Nonsense:
        return None


def lay_out(damage: Damage, home: Path) -> None:
    """The damaged study in a folder of its own."""
    home.mkdir()
    for name, raw in {**sound(), **damage.files}.items():
        (home / name).write_bytes(raw)
    if damage.place is not None:
        damage.place(home)


def judge(damage: Damage, home: Path) -> tuple[str, str]:
    """(one of VERDICTS, what was said) of one damage."""
    lay_out(damage, home)
    wanted = expected(damage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ek.EvalkitWarning)
            found = found_in(ek.Study.load(home / "study.toml"))
    except ek.EvalkitError as error:
        return ("moved" if damage.same else "refused"), str(error)
    except Exception as error:
        return "traceback", repr(error)
    if found == whole():
        return "same", ""
    if damage.same:
        return "moved", _difference(found, whole())
    return ("right", "") if found == wanted else ("silent", _difference(found, wanted or whole()))


def _difference(found: dict, wanted: dict) -> str:
    for part, value in found.items():
        if value != wanted[part] and isinstance(value, dict):
            odd = [key for key in {*value, *wanted[part]} if value.get(key) != wanted[part].get(key)]
            return f"{part}: {odd[0]}: {value.get(odd[0])} is not {wanted[part].get(odd[0])}"
        if value != wanted[part]:
            return f"{part}: {set(value) ^ set(wanted[part])}"
    return ""


def judge_all(damages: Iterable[Damage], folder: Path) -> list[tuple[Damage, str, str]]:
    """Every damage with what became of it."""
    return [(damage, *judge(damage, folder / f"{i}" / "study")) for i, damage in enumerate(damages) if
            (folder / f"{i}").mkdir() is None]  # fmt: skip


def main() -> None:
    """Print, and with --write keep, how many damages of each table ended how."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", help="one table only")
    parser.add_argument("--every", type=int, default=1, help="every so many damages only")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into benchmarks/results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_all(
            [d for d in every_damage()[:: options.every] if options.table in (None, d.table)], Path(folder)
        )
    rows = [["table", "cases", *VERDICTS]]
    for table in [*TABLES, "study.toml"]:
        count = Counter(verdict for damage, verdict, _ in judged if damage.table == table)
        rows.append([table, sum(count.values()), *(count[v] for v in VERDICTS)])
    rows.append(["all", *(sum(int(row[j]) for row in rows[1:]) for j in range(1, len(rows[0])))])
    for row in rows:
        print("".join(str(cell).rjust(12) for cell in row))
    for damage, verdict, said in judged:
        if verdict in ("silent", "moved", "traceback"):
            print(f"{verdict}: {damage.table}, {damage.column}, {damage.what}: {said[:300]}")
    if options.write:
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
