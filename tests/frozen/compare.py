"""What a record looks like on disk, and every difference between two of them.

A record is {"blas": [...], "tables": {name: {"columns": [...], "rows": [[...], ...]}}}: plain JSON with one row of
a table on a line. A float is written with the fewest digits that give it back (at most 17).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import scipy.linalg  # noqa: F401 - its own linear algebra counts too, and is seen only once it is loaded
from threadpoolctl import threadpool_info

SAME_MACHINE, OTHER_MACHINE = 1e-12, 1e-8
TEXT = ["text"]
SHOWN, BEFORE = 200, 60


def blas() -> list[str]:
    """The kernels that linear algebra runs on, such as "openblas 0.3.30 SkylakeX"."""
    found = [x for x in threadpool_info() if x["user_api"] == "blas"]
    return sorted({f"{x['internal_api']} {x['version']} {x.get('architecture', '')}".strip() for x in found})


def tolerance(record: dict[str, Any]) -> float:
    """How far a number may be from its record, relative to max(1, |number|)."""
    return SAME_MACHINE if record["blas"] == blas() else OTHER_MACHINE


def write(path: Path, tables: dict[str, dict[str, list]]) -> None:
    """Write a record, one row on a line, so that a diff shows the rows that moved."""
    parts = [f" {json.dumps(name)}: {_lines(table)}" for name, table in tables.items()]
    text = f'{{"blas": {json.dumps(blas())},\n"tables": {{\n' + ",\n".join(parts) + "\n}}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _lines(table: dict[str, list]) -> str:
    head, *rows = (json.dumps(row, ensure_ascii=False) for row in (table["columns"], *table["rows"]))
    body = ",\n".join(f"   {row}" for row in rows)
    return f'{{"columns": {head}, "rows": [\n{body}]}}'


def read(path: Path) -> dict[str, Any]:
    """A record as it was written."""
    return json.loads(path.read_text(encoding="utf-8"))


def differences(old: dict[str, dict], new: dict[str, dict], tol: float) -> Iterator[str]:
    """Each difference between two records' tables as a line: table, row, column, old and new value."""
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in new or name not in old:
            yield f"{name}: the table {'is gone' if name in old else 'is new'}"
        elif old[name]["columns"] == new[name]["columns"] == TEXT:
            yield from _texts(name, old[name], new[name])
        else:
            yield from _cells(name, old[name], new[name], tol)


def _cells(name: str, old: dict, new: dict, tol: float) -> Iterator[str]:
    if old["columns"] != new["columns"]:
        yield f"{name}: columns {old['columns']} -> {new['columns']}"
    if len(old["rows"]) != len(new["rows"]):
        yield f"{name}: {len(old['rows'])} rows -> {len(new['rows'])} rows"
    for i, (before, after) in enumerate(zip(old["rows"], new["rows"], strict=False)):
        cells = dict(zip(new["columns"], after, strict=True))
        for column, a in zip(old["columns"], before, strict=True):
            if column in cells and not same(a, cells[column], tol):
                yield f"{name}, {_row_words(i, before)}, column {column}: {_moved(a, cells[column])}"


def _texts(name: str, old: dict, new: dict) -> Iterator[str]:
    """Lines that were changed, taken away or put in; lines after them keep their partners."""
    a, b = ([row[0] for row in table["rows"]] for table in (old, new))
    for kind, i, j, k, m in SequenceMatcher(a=a, b=b, autojunk=False).get_opcodes():
        if kind != "equal":
            for n in range(max(j - i, m - k)):
                before, after = (x[s + n] if s + n < e else None for x, s, e in ((a, i, j), (b, k, m)))
                yield f"{name}, row {min(i + n, j)}, column text: {_moved(before, after)}"


def same(a: Any, b: Any, tol: float) -> bool:
    """Whether two cells agree: numbers within `tol` x max(1, |a|), everything else exactly."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tol) for x, y in zip(a, b, strict=True))
    if _is_number(a) and _is_number(b):
        if not (math.isfinite(a) and math.isfinite(b)):
            return str(float(a)) == str(float(b))
        return abs(a - b) <= tol * max(1.0, abs(a))
    return type(a) is type(b) and a == b


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _row_words(i: int, row: list) -> str:
    """Row number, and the short texts that it begins with."""
    keys = [x for x in row[:3] if isinstance(x, str) and x and len(x) <= 40]
    return f"row {i}" + (f" ({', '.join(keys)})" if keys else "")


def _moved(a: Any, b: Any) -> str:
    """Old and new value; of two long texts, the part around the first letter that differs."""
    start = 0
    if isinstance(a, str) and isinstance(b, str) and max(len(a), len(b)) > SHOWN:
        start = max(0, next((n for n in range(min(len(a), len(b))) if a[n] != b[n]), min(len(a), len(b))) - BEFORE)
    return f"{_part(a, start)} -> {_part(b, start)}"


def _part(x: Any, start: int) -> str:
    if x is None:
        return "nothing"
    text = repr(x[start:] if start else x)
    return ("..." if start else "") + (text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
