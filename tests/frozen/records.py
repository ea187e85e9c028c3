"""Records of studies, made through evalkit's public names only, so that moving its insides touches nothing here.

Left out: `value.plane` (raw draws), covariances, pictures other than their data and words, and any table above
200 kB, of which only the shape is kept (none today). Masked in texts: SHA-256 hashes, times of day, durations,
versions of packages, and folders (a file's name stays); calendar dates of the data are not masked.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import evalkit as ek

ROOT = Path(__file__).resolve().parents[2]
STARTER = "starter"
TIE = "\u00a0"  # between a number of people and its noun; it prints as a space
LARGEST = 200_000
Table = dict[str, list]

# Dearest first: two at a time then end at about the same time.
STUDIES = {
    name: ROOT / "data" / folder / "study.toml"
    for name, folder in {
        "road_safety": "road_safety",
        **{n: f"synthetic/{n}" for n in (
            "rough_sleeping", "young_people", "social_prescribing", "pupils", "carers",
        )},
    }.items()
}  # fmt: skip
NAMES = (*STUDIES, STARTER)

MASKS = (
    (re.compile(r"\b[0-9a-f]{40,64}\b"), "<hash>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)? (seconds?|ms)\b"), "<duration>"),
    (re.compile(r"(?<=evalkit )\d+\.\d+\.\d+\S*"), "<version>"),
    (re.compile(r"^(evalkit|python|numpy|pandas|scipy|matplotlib|seaborn) \| \d\S*$", re.M), r"\1 | <version>"),
    (re.compile(r"(?<![\w<])(?:\.{0,2}/)+(?:[\w.+~-]+/)*(?=[\w.+~-]+\.\w)"), "<folder>/"),
)


def evaluation_record(name: str) -> dict[str, Table]:
    """Separability, verdicts, effects, checks, attribution and value for money of one study, table by table."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ek.EvalkitWarning)
        study = ek.Study.load(study_file(name, Path(scratch)))
        evaluation = ek.evaluate(study)
        tables = {**_separability(ek.separability(study)), **_evaluation(evaluation)}
        for outcome in study.outcomes:
            tables |= _attribution(evaluation, outcome.column)
            if study.money is not None:
                tables |= _value(evaluation, outcome.column)
    said = {masked(str(w.message)) for w in caught if issubclass(w.category, ek.EvalkitWarning)}
    return {n: _bounded(t) for n, t in {**tables, "warnings": text_table(sorted(said))}.items()}


def report_record(name: str) -> dict[str, Table]:
    """The text of a report's page, its CSV tables, and the data and words of its pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "report"
        page = ek.report(study_file(name, Path(scratch)), folder)
        tables = {"page": text_table(page_lines(page.read_text(encoding="utf-8")))}
        for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.txt")]):
            text = path.read_text(encoding="utf-8")
            made = csv_table(text) if path.suffix == ".csv" else text_table(masked(text).splitlines())
            tables[path.relative_to(folder).as_posix()] = made
    return {n: _bounded(t) for n, t in tables.items()}


def study_file(name: str, scratch: Path) -> Path:
    """The file of a study; the starter is written into `scratch` by `evalkit new`."""
    if name != STARTER:
        return STUDIES[name]
    command = [sys.executable, "-c", "from evalkit.cli import main; main()", "new", str(scratch / STARTER)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": path})
    return scratch / STARTER / "study.toml"


# ---------------------------------------------------------------- tables of an evaluation


def _separability(sep: Any) -> dict[str, Table]:
    frames = {f"separability.{n}": frame_table(getattr(sep, n)) for n in ("components", "pairs", "bundles", "cure")}
    return {**frames, "separability.aliased": text_table(sep.aliased)}


def _evaluation(evaluation: Any) -> dict[str, Table]:
    studies = [f.assign(_component=key[0], _outcome=key[1]) for key, f in evaluation.event_studies.items()]
    return {
        **{n: frame_table(getattr(evaluation, n)) for n in ("verdicts", "effects", "bundles", "checks")},
        "leave_one_out": frame_table(evaluation.leave_one_out),
        "event_studies": frame_table(pd.concat(studies, ignore_index=True) if studies else pd.DataFrame()),
        "rules": {"columns": ["component", "rule"], "rows": [list(x) for x in evaluation.rules.items()]},
    }


def _attribution(evaluation: Any, outcome: str) -> dict[str, Table]:
    at = f"attribution[{outcome}]"
    found = ek.attribute(evaluation, outcome)
    one = ("total", "total_low", "total_high", "reason", "gross", "expected_without", "people_periods")
    whole = pd.DataFrame([{n: getattr(found, n) for n in one}])
    frames = {n: getattr(found, n) for n in ("pieces", "orders", "shapley", "interactions")} | {"whole": whole}
    return {**{f"{at}.{n}": frame_table(f) for n, f in frames.items()}, f"{at}.notes": text_table(found.notes)}


def _value(evaluation: Any, outcome: str) -> dict[str, Table]:
    at = f"value[{outcome}]"
    found = ek.value_for_money(evaluation, outcome)
    frames = {n: getattr(found, n) for n in ("table", "costs", "benefits", "acceptability", "sensitivity")}
    return {**{f"{at}.{n}": frame_table(f) for n, f in frames.items()}, f"{at}.notes": text_table(found.notes)}


def frame_table(frame: pd.DataFrame) -> Table:
    """A frame as columns and rows of plain values."""
    return {
        "columns": [str(c) for c in frame.columns],
        "rows": [[plain(x) for x in row] for row in frame.astype(object).itertuples(index=False, name=None)],
    }


def text_table(lines: Iterable[str]) -> Table:
    """Lines as a table of one column."""
    return {"columns": ["text"], "rows": [[str(line).replace(TIE, " ")] for line in lines]}


def csv_table(text: str) -> Table:
    """A CSV file as columns and rows, numbers as numbers."""
    head, *rows = csv.reader(text.splitlines()) if text.strip() else [[]]
    return {"columns": head, "rows": [[_number(x) for x in row] for row in rows]}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return masked(text)


def plain(value: Any) -> Any:
    """A cell as JSON can hold it; TypeError for a kind that is not known, whose words might differ from run to run."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str):
        return value.replace(TIE, " ")
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (tuple, list, np.ndarray)):
        return [plain(x) for x in value]
    if isinstance(value, Mapping):
        return [[plain(k), plain(v)] for k, v in value.items()]
    if isinstance(value, (date, pd.Period, pd.Timedelta)):
        return str(value)
    raise TypeError(f"A record cannot hold a {type(value).__name__}: {value!r}")


def _bounded(table: Table) -> Table:
    if len(json.dumps(table)) <= LARGEST:
        return table
    shape = [len(table["rows"]), len(table["columns"])]
    return {"columns": ["left out: rows", "left out: columns"], "rows": [shape]}


# ---------------------------------------------------------------- the text of a page


def masked(text: str) -> str:
    """`text` with what changes from run to run or from machine to machine taken out."""
    for pattern, put in MASKS:
        text = pattern.sub(put, text)
    return text


def page_lines(html: str) -> list[str]:
    """What a page says, a block a line and the cells of a table's row on one line; no pictures, scripts or styles."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end_line()
    return masked("\n".join(reader.lines)).splitlines()


class _Reader(HTMLParser):
    INLINE = frozenset("a abbr b code em i mark small span strong sub sup time wbr q cite dfn kbd label".split())
    SILENT = frozenset("script style svg head".split())
    CELLS = frozenset(("td", "th"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.words: list[str] = []
        self.silent = 0
        self.in_cell = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self.silent += 1
        elif tag in self.CELLS:
            self.in_cell += 1
            if self.words:
                self.words.append(" | ")
        elif tag not in self.INLINE and not self.in_cell:
            self.end_line()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self.silent -= 1
        elif tag in self.CELLS:
            self.in_cell -= 1
        elif tag not in self.INLINE and not self.in_cell:
            self.end_line()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)

    def end_line(self) -> None:
        line = " ".join("".join(self.words).split())
        self.words = []
        if line:
            self.lines.append(line)
