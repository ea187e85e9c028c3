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
from tests.study.damaged.damages import ALL, Damage, every_damage, sound, toml_of
from tests.study.damaged.plain import TABLES, Nonsense, found_in, read_plainly
from tests.study.damaged.waiting import CELLS, NAME, found_waiting, read_waiting

VERDICTS = ("refused", "right", "same", "silent", "moved", "traceback")
TABLE = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "damaged.csv"


@functools.cache
def whole(table: str) -> dict[str, object]:
    """What a careful person reads in the sound study that has the table."""
    return read_waiting(CELLS) if table == NAME else read_plainly(TABLES)


def lean(table: str) -> bytes:
    """The sound study file without the tables that have nothing to do with one of them."""
    made = toml_of(table)
    for name in ("costs", "rate_card", "claims", "unit_costs", "events"):
        made = made if name == table else made.replace(f'[{name}]\ntable = "{name}.csv"\n\n', "")
    for name in ("neighbours", "neighbour_shares"):
        made = made if name == table else made.replace(f'neighbours = "{name}.csv"\n', "")
    return made.encode()


def found(study: ek.Study) -> dict[str, object]:
    """What a study says, of either kind."""
    return found_waiting(study) if study.period is None else found_in(study)


def expected(damage: Damage) -> dict[str, object] | None:
    """What a careful person reads in the damaged files; None where nobody would go on."""
    if damage.cells is None or damage.same:
        return whole(damage.table) if damage.same else None
    try:
        if damage.table == NAME:
            return read_waiting(damage.cells)
        return read_plainly({**TABLES, damage.table: damage.cells})
    except Nonsense:
        return None


def lay_out(damage: Damage, home: Path) -> None:
    """The damaged study in a folder of its own."""
    home.mkdir()
    for name, raw in {"study.toml": damage.study_file.encode(), **sound(), **damage.files}.items():
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
            said = found(ek.Study.load(home / "study.toml"))
    except ek.EvalkitError as error:
        return ("moved" if damage.same else "refused"), str(error)
    except Exception as error:
        return "traceback", repr(error)
    if said == whole(damage.table):
        return "same", ""
    if damage.same:
        return "moved", _difference(said, whole(damage.table))
    return ("right", "") if said == wanted else ("silent", _difference(said, wanted or whole(damage.table)))


def _difference(said: dict, wanted: dict) -> str:
    for part, value in said.items():
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


def counted(judged: list[tuple[Damage, str, str]], only: str | None) -> list[list[str]]:
    """The rows of the table: how many damages of each table ended how. only: the one that was judged; the others are as
    they were written."""
    with TABLE.open(newline="") as file:
        before = {row[0]: row for row in csv.reader(file)}
    rows = []
    for table in [*ALL, "study.toml"]:
        count = Counter(verdict for damage, verdict, _ in judged if damage.table == table)
        fresh = [table, *map(str, (sum(count.values()), *(count[v] for v in VERDICTS)))]
        rows.append(fresh if only in (None, table) else before.get(table, fresh))
    total = ["all", *(str(sum(int(row[j]) for row in rows)) for j in range(1, len(VERDICTS) + 2))]
    return [["table", "cases", *VERDICTS], *rows, total]


def main() -> None:
    """Print, and with --write keep, how many damages of each table ended how."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", help="one table only")
    parser.add_argument("--every", type=int, default=1, help="every so many damages only")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into benchmarks/results")
    options = parser.parse_args()
    chosen = [d for d in every_damage()[:: options.every] if options.table in (None, d.table)]
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_all(chosen, Path(folder))
    rows = counted(judged, options.table)
    for row in rows:
        print("".join(cell.rjust(17 if j == 0 else 12) for j, cell in enumerate(row)))
    for damage, verdict, said in judged:
        if verdict in ("silent", "moved", "traceback"):
            print(f"{verdict}: {damage.table}, {damage.column}, {damage.what}: {said[:300]}")
    if options.write:
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
