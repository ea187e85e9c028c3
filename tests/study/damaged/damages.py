"""Every damage to every file of the small study: cells, columns, rows, whole files, and lines of the study file.

A damage says what it does to the files, and one of: `same` (nothing that it does may matter), or nothing (the oracle
says what a careful person would read).
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evalkit.study import file, settings
from tests.study.damaged import waiting
from tests.study.damaged.plain import KINDS, NAMES, TABLES, TOML, Cells

Files = dict[str, bytes]
ALL: dict[str, Cells] = {**TABLES, waiting.NAME: waiting.CELLS}
"""Tables of both small studies."""


@dataclass(frozen=True, eq=False)
class Damage:
    """table: the file; column: its column or key; what: the damage in words. files: what differs from the sound study,
    by name. cells: the table as a careful person would see it, None where it is no table any more. same: whether the
    study must be the same. place: makes what is no file (links, folders), given the folder."""

    table: str
    column: str
    what: str
    files: Files
    cells: Cells | None = None
    same: bool = False
    place: Callable[[Path], None] | None = field(default=None)

    @property
    def study_file(self) -> str:
        """That of the sound study of which it is."""
        return toml_of(self.table)


def toml_of(table: str) -> str:
    return waiting.TOML if table == waiting.NAME else TOML


def written(cells: Cells, quoting: int = csv.QUOTE_MINIMAL, **form: str) -> str:
    """Cells as a CSV file."""
    out = io.StringIO()
    csv.writer(out, quoting=quoting, lineterminator=form.pop("end", "\n"), **form).writerows(cells)  # type: ignore[arg-type]
    return out.getvalue()


def sound() -> Files:
    """The files of both sound studies but for the study file."""
    return {f"{name}.csv": written(cells).encode() for name, cells in ALL.items()}


def every_damage() -> list[Damage]:
    """All of them, in an order that never changes."""
    made = []
    for name in ALL:
        made += [*_cell_damages(name), *_column_damages(name), *_row_damages(name), *_file_damages(name)]
    for table, text in (("study.toml", TOML), (waiting.NAME, waiting.TOML)):
        made += [*_study_file_damages(table, text), *_added_keys(table, text)]
    return [*made, *_study_files(), *_path_damages()]


CELLS: dict[str, Callable[[str], str]] = {
    "empty": lambda v: "",
    "a space": lambda v: " ",
    "a space after": lambda v: v + " ",
    "a space before": lambda v: " " + v,
    "a no-break space after": lambda v: v + "\u00a0",
    "a mark that nobody sees": lambda v: v + "\u200b",
    "n/a": lambda v: "n/a",
    "text": lambda v: "abc",
    "-9": lambda v: "-9",
    "999": lambda v: "999",
    "-0.5": lambda v: "-0.5",
    "1.5": lambda v: "1.5",
    "infinite": lambda v: "1e999",
    "inf": lambda v: "inf",
    "not a number": lambda v: "nan",
    "a comma inside quotes": lambda v: "1,012",
    "pounds": lambda v: "£" + v,
    "per cent": lambda v: v + "%",
    "hexadecimal": lambda v: "0x10",
    "powers of ten": lambda v: "1e3",
    "noughts before": lambda v: "00" + v,
    "a point and nought after": lambda v: v + ".0",
    "an escape": lambda v: v + "\x1b[31m",
    "NUL": lambda v: v + "\0",
    "a look-alike": lambda v: v.translate(str.maketrans("aeoXYA0123456789", "аеоХΥА０１２３４５６７８９")),
    "capitals": lambda v: v.upper() if v.upper() != v else v.lower(),
    "a formula": lambda v: "=1+1",
    "true": lambda v: "True",
    "a list": lambda v: "[1]",
    "month 13": lambda v: "2021-13",
    "month 0": lambda v: "2021-00",
    "a month without its nought": lambda v: re.sub(r"-0(\d)$", r"-\1", v),
    "a day": lambda v: "2021-06-15",
    "a day that is not": lambda v: "2021-02-30",
    "a quarter": lambda v: "2021Q2",
    "the year 2222": lambda v: "2222-01",
    "the year 21": lambda v: "0021-05",
    "a month the other way": lambda v: "06/2021",
    "a month in words": lambda v: "June 2021",
    "a year": lambda v: "2021",
}


_OF_NUMBERS = ("-9", "999", "-0.5", "1.5", "infinite", "inf", "a comma inside quotes", "pounds", "per cent",
               "hexadecimal", "powers of ten", "true")  # fmt: skip
_OF_MOMENTS = (*(what for what in CELLS if {"month", "year", "day"} & set(what.split())), "a quarter", "-9", "1.5")
_NO_KIND = ("words", "said", "ignored")
_OF_IDS = ("capitals", "a look-alike", "noughts before", "-9", "a comma inside quotes", "powers of ten")


def _matters(what: str, kind: str) -> bool:
    """Whether a damage to a cell is one of its kind of column: every column has the general ones."""
    special = {
        "number": _OF_NUMBERS,
        "month": _OF_MOMENTS,
        "moment": _OF_MOMENTS,
        "words": (),
        "said": (),
        "ignored": (),
    }
    return what in special.get(kind, _OF_IDS) or what not in {*_OF_NUMBERS, *_OF_MOMENTS, *_OF_IDS}


def _cell_damages(name: str) -> Iterator[Damage]:
    head, *rows = ALL[name]
    for j, column in enumerate(head):
        r = next((i for i in range(len(rows) // 2, len(rows)) if rows[i][j]), len(rows) // 2)
        for what, change in CELLS.items():
            new = change(rows[r][j])
            if new == rows[r][j] or not _matters(what, KINDS[name][column].split()[0]):
                continue
            cells = [list(row) for row in ALL[name]]
            cells[r + 1][j] = new
            text = written(cells)
            same = what == "a month without its nought"
            yield Damage(name, column, f"cell: {what}", {f"{name}.csv": text.encode()}, cells, same)
        yield from _raw_cells(name, j, r)
        for other in NAMES.get(KINDS[name][column].split()[0], ())[:2]:
            cells = [list(row) for row in ALL[name]]
            if cells[r + 1][j] != other:
                cells[r + 1][j] = other
                yield Damage(
                    name, column, f"cell: another name, {other}", {f"{name}.csv": written(cells).encode()}, cells
                )


def _raw_cells(name: str, j: int, r: int) -> Iterator[Damage]:
    """Cells that break the form of their row."""
    for what, new in {"1,012 without quotes": "1,012", "a quote that never ends": '"abc', "a quote inside": 'a"b"c',
                      "a line break without quotes": "a\nb"}.items():  # fmt: skip
        lines = [list(row) for row in ALL[name]]
        lines[r + 1][j] = new
        text = "\n".join(",".join(row) for row in lines) + "\n"
        cells = None if what != "a quote inside" else lines
        yield Damage(name, lines[0][j], f"cell: {what}", {f"{name}.csv": text.encode()}, cells)


def _column_damages(name: str) -> Iterator[Damage]:
    cells = ALL[name]
    for j, column in enumerate(cells[0]):
        dropped = [row[:j] + row[j + 1 :] for row in cells]
        yield _whole(name, column, "column: gone", dropped)
        unread = KINDS[name][column] in ("ignored", "words")
        for what, new in {"misspelt": column[:-1], "in capitals": column.upper(), "a space after": column + " ",
                          "a look-alike": column.replace("e", "е").replace("o", "о"), "empty": "",
                          "of another column": cells[0][j - 1]}.items():  # fmt: skip
            if new != column:
                renamed = [[*cells[0][:j], new, *cells[0][j + 1 :]], *cells[1:]]
                seen = dropped if unread and what != "of another column" else renamed
                yield _whole(name, column, f"heading: {what}", renamed, seen=seen)
        yield _whole(name, column, "column: there twice", [[*row, row[j]] for row in cells])
        swapped = [[*row[:j], row[j - 1], *row[j + 1 :]] for row in cells[1:]]
        yield _whole(name, column, "column: holds that of its neighbour", [cells[0], *swapped])
        quoted = "\n".join(",".join(f'"{v}"' if i == j else v for i, v in enumerate(row)) for row in cells) + "\n"
        yield Damage(name, column, "column: in quotes", {f"{name}.csv": quoted.encode()}, cells, same=True)
        last = [row[:j] + row[j + 1 :] + [row[j]] for row in cells]
        yield _whole(name, column, "column: comes last", last, same=True)
        emptied = [cells[0], *([*row[:j], "", *row[j + 1 :]] for row in cells[1:])]
        yield _whole(name, column, "column: empty", emptied)


def _whole(name: str, column: str, what: str, cells: Cells, same: bool = False, seen: Cells | None = None) -> Damage:
    return Damage(name, column, what, {f"{name}.csv": written(cells).encode()}, seen or cells, same)


def _row_damages(name: str) -> Iterator[Damage]:
    head, *rows = ALL[name]
    for r in {0, len(rows) // 2, len(rows) - 1}:
        yield _whole(name, "", f"row {r}: gone", [head, *rows[:r], *rows[r + 1 :]])
        yield _whole(name, "", f"row {r}: there twice", [head, *rows, rows[r]])
        short = "\n".join(",".join(row[:-1] if i == r + 1 else row) for i, row in enumerate(ALL[name])) + "\n"
        yield Damage(name, "", f"row {r}: too short", {f"{name}.csv": short.encode()})
        long = "\n".join(",".join([*row, "7"] if i == r + 1 else row) for i, row in enumerate(ALL[name])) + "\n"
        yield Damage(name, "", f"row {r}: too long", {f"{name}.csv": long.encode()})
        blank = [head, *rows[:r], [""] * len(head), *rows[r:]]
        yield _whole(name, "", f"row {r}: commas only", blank)
        heading = [head, *rows[:r], head, *rows[r:]]
        yield _whole(name, "", f"row {r}: the heading again", heading)
    yield _whole(name, "", "rows: every one there twice", [head, *rows, *rows])
    yield _whole(name, "", "rows: none", [head])
    yield _whole(name, "", "rows: without a heading", rows)
    yield _whole(name, "", "rows: the other way round", [head, *reversed(rows)], same=True)
    yield _whole(name, "", "rows: a title above", [["All of it", *[""] * (len(head) - 1)], head, *rows])
    yield _whole(name, "", "rows: a total below", [head, *rows, ["Total", *[""] * (len(head) - 1)]])


def _file_damages(name: str) -> Iterator[Damage]:
    cells = ALL[name]
    text = written(cells)
    raw = text.encode()
    harmless = {
        "a mark of UTF-8 before": b"\xef\xbb\xbf" + raw,
        "lines of Windows": raw.replace(b"\n", b"\r\n"),
        "lines of old Macs": raw.replace(b"\n", b"\r"),
        "blank lines": raw.replace(b"\n", b"\n\n"),
        "no end of line": raw[:-1],
        "packed": gzip.compress(raw, mtime=0),
        "everything in quotes": written(cells, csv.QUOTE_ALL).encode(),
    }
    for what, made in harmless.items():
        yield Damage(name, "", f"file: {what}", {f"{name}.csv": made}, cells, same=True)
    broken = {
        "empty": b"",
        "semicolons": written(cells, delimiter=";").encode(),
        "tabs": written(cells, delimiter="\t").encode(),
        "UTF-16": text.encode("utf-16"),
        "Latin 1": (text + "é").encode("latin-1"),
        "cut off": raw[:-5] + b'"',
        "not a table": bytes(range(256)),
        "NUL everywhere": raw.replace(b",", b"\0"),
        "a page": b"<html><body>Sign in</body></html>",
        "half packed": gzip.compress(raw, mtime=0)[:-20],
        "bars": raw.replace(b",", b"|"),
        "spaces after commas": raw.replace(b",", b", "),
    }
    for what, made in broken.items():
        yield Damage(name, "", f"file: {what}", {f"{name}.csv": made})
    yield Damage(name, "", "file: gone", {}, place=lambda home: (home / f"{name}.csv").unlink())
    yield Damage(name, "", "file: a folder", {}, place=lambda home: _folder(home / f"{name}.csv"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _study_file_damages(name: str, toml: str) -> Iterator[Damage]:
    lines = toml.splitlines()
    for i, line in enumerate(lines):
        if " = " in line:
            key, value = line.split(" = ", 1)
            table = next(x for x in reversed(lines[:i]) if x.startswith("["))
            for what, new in _lines(key, value):
                text = "\n".join([*lines[:i], new, *lines[i + 1 :]])
                yield Damage(name, f"{table} {key}", f"line: {what}", {"study.toml": text.encode()})
        elif line.startswith("["):
            for what, new in {"misspelt": line[:-2] + "]", "there twice": f"{line}\n\n{line}", "open": line[:-1],
                              "a key that is not": f"{line}\nzzz = 1"}.items():  # fmt: skip
                if (
                    line.startswith("[outcomes")
                    or line.startswith("[components")
                    or "." not in line
                    or what != "misspelt"
                ):
                    text = "\n".join([*lines[:i], new, *lines[i + 1 :]])
                    yield Damage(name, line, f"table: {what}", {"study.toml": text.encode()})


def _added_keys(name: str, toml: str) -> Iterator[Damage]:
    """Every key that the study file does not have, with each of some values that are nonsense for most keys."""
    kinds = {kind: list(model.model_fields) for kind, model in file._SECTIONS.items()}
    kinds |= {"evaluate": [*settings._CHOICES, *settings._LEAST, "disclosure", "inflation", "currency"],
              "watch": list(settings._WATCH), "report": list(settings._REPORT)}  # fmt: skip
    nonsense = ('"zzz"', "-1", "7.5", "nan", "true", "{a = 1}", '["zzz"]', "2021-02-03", '"a\\u001b[31m"', '""')
    for kind, keys in kinds.items():
        heads = [line for line in toml.splitlines() if line.startswith((f"[{kind}]", f"[{kind}."))] or [f"[{kind}]"]
        for head in heads[-1:] if kind != "outcomes" else heads:
            text = toml if head in toml else f"{toml}\n{head}\n"
            there = text.partition(f"{head}\n")[2].partition("[")[0]
            for key in [k for k in keys if not re.search(rf"^{k} =", there, re.MULTILINE)]:
                for value in nonsense if key != "percent" else nonsense[:4]:  # true is a choice there, and warned of
                    made = text.replace(f"{head}\n", f"{head}\n{key} = {value}\n")
                    yield Damage(name, f"{head} {key}", f"key: {value}", {"study.toml": made.encode()})


def _lines(key: str, value: str) -> Iterator[tuple[str, str]]:
    yield "misspelt", f"{key[:-1]} = {value}"
    yield "there twice", f"{key} = {value}\n{key} = {value}"
    yield "no value", f"{key} ="
    yield "a table", f"{key} = {{a = 1}}"
    yield "another kind", f"{key} = {'7.5' if value.startswith((chr(34), '[')) else chr(34) + 'x' + chr(34)}"
    yield "negative", f"{key} = -1"
    yield "not a number", f"{key} = nan"
    yield "an integer of 5,000 digits", f"{key} = {'9' * 5000}"
    if value.startswith('"'):
        yield "without quotes", f"{key} = {value.strip(chr(34))}"
        yield "an escape", f'{key} = "{value.strip(chr(34))}\\u001b[31m"'
        yield "a list", f"{key} = [{value}]"


def _study_files() -> Iterator[Damage]:
    raw = TOML.encode()
    harmless = {
        "a mark of UTF-8 before": b"\xef\xbb\xbf" + raw,
        "lines of Windows": raw.replace(b"\n", b"\r\n"),
        "lines of old Macs": raw.replace(b"\n", b"\r"),
        "comments": raw.replace(b"\n\n", b"\n# so it is\n\n"),
        "the panel by a pattern": raw.replace(b'"panel.csv"', b'"pan*.csv"'),
        "a dot before": raw.replace(b'"people.csv"', b'"./people.csv"'),
    }
    for what, made in harmless.items():
        yield Damage("study.toml", "", f"file: {what}", {"study.toml": made}, same=True)
    broken = {
        "empty": b"",
        "UTF-16": TOML.encode("utf-16"),
        "packed": gzip.compress(raw, mtime=0),
        "Latin 1": TOML.replace("Nurse", "Infirmière").encode("latin-1"),
        "NUL": raw + b"\0",
        "100,000 brackets": raw + b"a = " + b"[" * 100_000,
        "not a file of words": bytes(range(256)),
    }
    for what, made in broken.items():
        yield Damage("study.toml", "", f"file: {what}", {"study.toml": made})
    lines = {
        'table = "events.csv"': [""],
        'table = "costs.csv"': ["", 'tabel = "costs.csv"'],
        'unit = "person"': ['unit = "person"\nevery = -1', 'unit = "person"\nevery = 0.3'],
        "horizon = 4": ['disclosure = "nonsense"', 'disclosure = "custom: cuont=10"', 'disclosure = "custom: count=0"',
                        'disclosure = "custom: share=90"', 'disclosure = "acro: count=3"', "horizon = 1.5"],
        "matters = 0.05": ["matters = 5"],
        'kind = "share"': ['kind = "log"'],
    }  # fmt: skip
    for old, changes in lines.items():
        for new in changes:
            made = TOML.replace(old, new).encode()
            yield Damage("study.toml", "", f"said: {new!r} for {old!r}", {"study.toml": made})


def _path_damages() -> Iterator[Damage]:
    for name in ALL:
        for what, path in {"a path of 300 characters": "x" * 300 + ".csv", "a path out of the folder": f"../{name}.csv",
                           "an absolute path": "/etc/passwd", "NUL in a path": "a\\u0000.csv",
                           "a path to the folder": ".", "an empty path": ""}.items():  # fmt: skip
            text = toml_of(name).replace(f'"{name}.csv"', f'"{path}"')
            yield Damage(name, "", f"path: {what}", {"study.toml": text.encode()}, place=partial(_copy_out, name))
        yield Damage(name, "", "path: a link out of the folder", {}, place=partial(_link_out, name))


def _copy_out(name: str, home: Path) -> None:
    (home.parent / f"{name}.csv").write_bytes((home / f"{name}.csv").read_bytes())


def _link_out(name: str, home: Path) -> None:
    outside = home.parent / f"outside_{name}.csv"
    os.replace(home / f"{name}.csv", outside)
    (home / f"{name}.csv").symlink_to(outside)
