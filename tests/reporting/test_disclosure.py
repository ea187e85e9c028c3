"""Disclosure control on a study of people: nothing in any file rests on a handful of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import reporting
from tests.reporting import road_fixture as road

SITES, EACH, MONTHS = 12, 30, 10
FEW_SITES = (0, 3)


def people_study(**settings: Any) -> ek.Study:
    """360 people in 12 sites. "advice" reaches everybody in six of them; "nurse" three people in each of two;
    one site has 4 people."""
    rng = np.random.default_rng(5)
    sizes = np.where(np.arange(SITES) == 11, 4, EACH)
    site = np.repeat(np.arange(SITES), sizes)
    person = np.arange(len(site))
    rank = person - np.searchsorted(site, site)
    months = np.arange(MONTHS)
    advice = np.where(site % 2 == 0, 3 + site // 4, 99)
    reach = np.where(np.isin(site, FEW_SITES), rank < 3, rank % 3 == 0)
    nurse = np.where(np.isin(site, FEW_SITES) & reach, 6, 99)
    on_a, on_n = (months[None, :] >= start[:, None] for start in (advice, nurse))
    score = rng.normal(50, 3, (len(site), 1)) + rng.normal(0, 2, (len(site), MONTHS)) + 2.0 * on_a + 5.0 * on_n
    frame = pd.DataFrame(
        {
            "person_id": np.repeat(person, MONTHS),
            "month": np.tile(months, len(site)),
            "site": np.repeat([f"Site {s:02d}" for s in site], MONTHS),
            "score": score.ravel(),
            "advice": on_a.ravel().astype(int),
            "nurse": on_n.ravel().astype(int),
            "both_needs": np.repeat(reach.astype(int), MONTHS),
        }
    )
    return ek.Study(
        frame, unit="person_id", period="month", cluster="site",
        outcomes=[ek.Outcome("score", label="Wellbeing", better="higher", matters=1.0)],
        components=[ek.Component("advice", exposure="advice"),
                    ek.Component("nurse", exposure="nurse", reach="both_needs")],
        settings=settings or None,
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    raw: ek.Evaluation
    safe: Any
    folder: Path


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    raw = ek.evaluate(people_study())
    folder = tmp_path_factory.mktemp("report")
    made = reporting.safe(raw)
    pictures = reporting.pictures(raw)
    reporting.write_tables(raw, folder)
    reporting.write_pictures(pictures, folder / "figures")
    parts = [
        reporting.page_one(raw, pictures), reporting.delivered(raw, pictures), reporting.who_is_in(raw, pictures),
        reporting.told_apart(raw, pictures), reporting.estimates(raw, pictures), reporting.held(raw, pictures),
        reporting.borrowed(raw, pictures), reporting.adds_up(raw, pictures), reporting.said(raw),
        reporting.held_back(raw),
    ]  # fmt: skip
    (folder / "report.html").write_text("".join(p._repr_html_() for p in parts), encoding="utf-8")
    return Case(raw, made, folder)


def texts(folder: Path) -> dict[str, str]:
    names = [p for p in sorted(folder.rglob("*")) if p.suffix in (".csv", ".txt", ".html", ".json", ".ipynb")]
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in names}


def small_counts(folder: Path) -> dict[str, str]:
    """Table -> a column of counts of people with one below ten in it."""
    found = {}
    for path in sorted(folder.rglob("*.csv")):
        table = pd.read_csv(path)
        for column in [c for c in table if re.search(r"^count$|units|people_|gross|cells|\bn\b", c)]:
            values = pd.to_numeric(table[column], errors="coerce").dropna()
            if ((values > 0) & (values < 10)).any():
                found[path.name] = column
    return found


def test_the_raw_evaluation_does_rest_on_a_handful(case: Case) -> None:
    rows = case.raw.effects[case.raw.effects["component"] == "nurse"]
    assert 0 < rows["units_exposed"].max() < 10 and rows["estimate"].notna().any()


def test_nothing_is_said_of_a_component_that_six_people_had(case: Case) -> None:
    hidden = case.safe.verdicts.set_index("component").loc["nurse"]
    assert hidden["verdict"] == "cannot_tell" and np.isnan(hidden["estimate"])
    assert "not published: fewer than 10 people stand behind it" in hidden["sentence"].lower()
    assert case.safe.effects.loc[case.safe.effects["component"] == "nurse", "estimate"].isna().all()
    assert not (case.safe.checks["component"] == "nurse").any()
    assert not any(component == "nurse" for component, _ in case.safe.event_studies)
    kept = case.safe.verdicts.set_index("component").loc["advice"]
    assert kept["estimate"] == case.raw.verdicts.set_index("component").loc["advice", "estimate"]


def test_no_hidden_estimate_stands_in_any_file(case: Case) -> None:
    rows = case.raw.effects[case.raw.effects["component"] == "nurse"]
    digits = {f"{abs(v):.10g}"[:7] for c in ("estimate", "std_error", "conf_low") for v in rows[c].dropna()}
    assert len(digits) >= 3
    for name, text in texts(case.folder).items():
        assert [d for d in digits if d in text] == [], name


def test_no_small_count_of_people_in_any_file(case: Case) -> None:
    assert small_counts(case.folder) == {}
    for name, text in texts(case.folder).items():
        words = re.sub(r"<[^>]+>", " ", text)
        assert re.findall(r"(?<![\d,.])[1-9] (?:people|persons?)\b", words) == [], name


def test_counts_that_are_shown_never_differ_by_a_few(case: Case) -> None:
    flow = pd.read_csv(case.folder / "flow.csv")
    effects = pd.read_csv(case.folder / "effects.csv")
    for component in ("advice", "nurse"):
        shown = set(flow.loc[flow["component"] == component, "count"].dropna())
        shown |= set(effects.loc[effects["component"] == component, "units_exposed"].dropna())
        ordered = np.array(sorted(n for n in shown if n > 0))
        assert (np.diff(ordered) >= 10).all(), (component, ordered)


def test_a_place_of_four_people_is_never_left_out_alone(case: Case) -> None:
    left = case.safe.leave_one_out
    raw = case.raw.leave_one_out
    assert "Site 11" in set(raw.loc[raw["component"] == "advice", "cluster"])
    mine = left[left["component"] == "advice"]
    assert "Site 11" not in set(mine["cluster"])
    assert len(mine) <= (raw["component"] == "advice").sum() - 2


def test_figures_obey_the_rules_of_their_tables(case: Case) -> None:
    forest = pd.read_csv(case.folder / "figures" / "forest.csv").set_index("component")
    assert np.isnan(forest.loc["nurse", "estimate"])
    words = (case.folder / "figures" / "flow.txt").read_text(encoding="utf-8")
    assert "a number that is not published" in words
    assert "cells" not in pd.read_csv(case.folder / "figures" / "contamination.csv")


def test_the_log_says_what_and_why_and_never_how_much(case: Case) -> None:
    log = pd.read_csv(case.folder / "disclosure.csv")
    assert {"flow", "verdicts", "effects", "leave_one_out"} <= set(log["table"])
    assert not log["hidden"].str.contains(r"\d").any()
    assert "What was held back" in (case.folder / "report.html").read_text(encoding="utf-8")


def test_safe_is_made_once_and_places_need_no_rules(case: Case) -> None:
    assert reporting.safe(case.raw) is case.safe and reporting.safe(case.safe) is case.safe
    same = road.evaluation()
    assert reporting.safe(same) is same


def test_nothing_is_worked_out_from_what_may_be_published(case: Case) -> None:
    for ask in (ek.attribute, ek.value_for_money, lambda e: e.estimate("advice")):
        with pytest.raises(ek.EvalkitError, match="needs the Evaluation that `evaluate` gave"):
            ask(case.safe)
    assert type(case.safe) is ek.Evaluation and case.safe.findings == ()


def test_saved_frames_obey_the_rules_unless_raw_ones_are_asked_for(case: Case, tmp_path: Path) -> None:
    case.raw.save(str(tmp_path / "safe"))
    case.raw.save(str(tmp_path / "raw"), raw=True)
    assert small_counts(tmp_path / "safe") == {} and small_counts(tmp_path / "raw") != {}
    kept, raw = (pd.read_csv(tmp_path / n / "effects.csv").set_index("component") for n in ("safe", "raw"))
    assert kept.loc["nurse", "estimate"].isna().all() and raw.loc["nurse", "estimate"].notna().any()
    assert (tmp_path / "safe" / "disclosure.csv").is_file() and not (tmp_path / "raw" / "disclosure.csv").exists()


def test_a_study_may_choose_its_rules(case: Case) -> None:
    from evalkit.disclosure.rules import rules_of

    assert rules_of(case.raw.study).name == "acro"
    assert rules_of(people_study(disclosure="nhs")).round_to == 5
    assert rules_of(people_study(disclosure="none")).active is False
    assert rules_of(people_study(disclosure="custom: count=5")).count == 5
