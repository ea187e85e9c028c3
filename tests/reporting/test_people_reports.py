"""Whole reports of partnerships whose rows are about people: every file of the folder is searched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.disclosure.people import had
from tests.reporting.conftest import PARTNERSHIPS, ROOT

LEAST = 10
COUNTED = re.compile(r"^count$|units|^(?!by_).*people|persons|gross|expected_without|cells|^n$")
SAID = re.compile(
    r"(?<![\d,.–+−-])([1-9])(?: (?:exposed|comparison|matched))? "
    r"(?:people|persons?|units?|pupils?|carers?|matched pairs?|rows of the panel)\b(?! in every)"
)
TEXT = (".csv", ".txt", ".html", ".ipynb", ".json")
LIMIT = 5_000_000


@pytest.fixture(scope="module", params=PARTNERSHIPS)
def folder(request: pytest.FixtureRequest, partnership_report: Callable[[str], Path]) -> Path:
    return partnership_report(request.param)


def study_of(folder: Path) -> ek.Study:
    return ek.Study.load(ROOT / "data" / "synthetic" / folder.parent.name / "study.toml")


def words_of(path: Path) -> str:
    """What a reader of a file meets: no pictures, no marks, and for a notebook every output and note of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(_strings(json.loads(text)))
    text = re.sub(r"data:image[^\"' ]+", "", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"<[^>]+>", " ", text))


def _strings(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [s for p in inside for s in _strings(p)]


def small_numbers(folder: Path) -> list[str]:
    """Every small number of people in any file: in columns of counts, and in sentences."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in TEXT):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".csv":
            table = pd.read_csv(path)
            for column in filter(COUNTED.search, table):
                values = pd.to_numeric(table[column], errors="coerce")
                found += [f"{name}: {column} {v:g}" for v in values[(values > 0) & (values < LEAST)]]
        found += [f"{name}: {m[0]}" for m in SAID.finditer(words_of(path))]
    return found


def test_no_small_number_of_people_in_any_file(folder: Path) -> None:
    assert len([p for p in folder.rglob("*") if p.suffix in TEXT]) > 20
    assert small_numbers(folder) == []


def test_the_search_sees_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    pd.DataFrame({"stage": ["had", "left"], "count": [40, 3]}).to_csv(tmp_path / "figures" / "flow.csv")
    (tmp_path / "a.txt").write_text("Nurse: 7 people never had it, 12 people did, in 3 places.", encoding="utf-8")
    notebook = {
        "cells": [{"outputs": [{"data": {"text/html": "<b>4</b> people"}}]}],
        "metadata": {"warnings": ["2 exposed people"]},
    }
    (tmp_path / "b.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    found = small_numbers(tmp_path)
    assert [f.split(":")[0] for f in found] == ["a.txt", "b.ipynb", "b.ipynb", "figures/flow.csv"]
    (tmp_path / "a.txt").write_text("Nurse: +2 people in every 100, in 3 places.", encoding="utf-8")
    assert len(small_numbers(tmp_path)) == 3


def test_no_person_is_named_in_any_file(folder: Path) -> None:
    ids = set(map(str, study_of(folder).paths.units))
    assert min(map(len, ids)) > 4, "short ids cannot be told from other numbers"
    for path in (p for p in folder.rglob("*") if p.suffix in TEXT):
        assert ids & set(re.findall(r"(?<![\w.,-])[\w-]+", words_of(path))) == set(), path.name


def test_no_two_counts_give_a_few_people_away(folder: Path) -> None:
    """The counts of any two groups of which one lies within the other differ by nobody, or by ten at least."""
    paths = study_of(folder).paths
    flow = pd.read_csv(folder / "flow.csv").set_index(["component", "stage"])["count"]
    groups = {("", "all"): set(paths.units)}
    for c in paths.components:
        reached = paths.reach[paths.path, paths.index(c)]
        on = had(paths, [c])
        groups |= {(c, "reached"): set(paths.units[reached]), (c, "had"): set(paths.units[on])}
    said = {k: v for k, v in groups.items() if k[1] == "all" or np.isfinite(flow[k])}
    assert len(said) >= 3
    for (a, one), (b, two) in combinations(said.items(), 2):
        small, large = sorted((one, two), key=len)
        assert not (small < large and len(large - small) < LEAST), (a, b)


def test_what_a_few_had_is_told_nowhere(partnership_report: Callable[[str], Path]) -> None:
    """A handful stand behind the answer on the mentor of the young people: none is given."""
    folder = partnership_report("young_people")
    for name in ("verdicts", "effects"):
        rows = pd.read_csv(folder / f"{name}.csv").set_index("component").loc[["mentor"]]
        rows = rows[rows["headline"]] if "headline" in rows else rows
        assert len(rows) == 1 and rows[["estimate", "conf_low", "conf_high"]].isna().all(axis=None)
    log = pd.read_csv(folder / "disclosure.csv")
    assert log["row"].str.startswith("mentor").any() and not log["hidden"].str.contains(r"\d").any()
    assert "could be published" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_report_is_small_enough_to_send(folder: Path) -> None:
    assert (folder / "report.html").stat().st_size < LIMIT
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 2 * LIMIT
