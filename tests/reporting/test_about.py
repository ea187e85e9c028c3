"""What the numbers come from and stand beside: the outcome itself, who began how, delivery, harm, other evidence, data
and ethics, scales of others; the study file's table [report]; and the one script of a page."""

from __future__ import annotations

import ast
import datetime
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import reporting
from evalkit.cli.starters import write_starter
from evalkit.decision.acts import chance_pays, decide
from evalkit.decision.prior import prior_of
from evalkit.designs.protocol import Check
from evalkit.errors import EvalkitError, StudyError
from evalkit.evaluation.delivered import delivery, recorded
from evalkit.evaluation.over_time import baseline, over_time
from evalkit.evaluation.results import safe
from evalkit.figures.style import _compact
from evalkit.reporting.about import imprint, lacking
from evalkit.reporting.blocks import flat, words
from evalkit.reporting.brief import page_one
from evalkit.reporting.formats import page_of
from evalkit.reporting.plan import make_plan
from evalkit.reporting.scales import _locks, _maryland, _padlocks, basis_of
from evalkit.reporting.sections import _CHECKS
from evalkit.reporting.strict import SCRIPT, strict
from evalkit.study.money import Money, currency_of
from evalkit.verdicts.evidence import CheckOutcome
from tests.unit import test_waiting as waiting
from tests.unit.evidence_cases import NURSE
from tests.unit.test_decision_acts import STAKE, case

ROOT = Path(__file__).resolve().parents[2]
SAID = """
[report]
author = "A. Author"
date = 2026-03-31
origin = "Returns of the boroughs."
ethics = "Seen by a board."
data_protection = "No person is named."
deviations = ["The window was shortened."]

[[report.evidence]]
component = "helpline"
claim = "Callers say that they waited less"
source = "40 interviews"
strength = "moderate"
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("about") / "study"
    write_starter(folder)
    toml = folder / "study.toml"
    toml.write_text(
        toml.read_text("utf-8").replace('better = "higher"', 'better = "higher"\nharm = true') + SAID, "utf-8"
    )
    return toml


@pytest.fixture(scope="module")
def evaluation(file: Path) -> ek.Evaluation:
    return ek.evaluate(ek.Study.load(file))


def text(section: reporting.Section) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section._repr_html_()))


# ---------------------------------------------------------------- the study file


def test_what_the_file_says_of_its_report_comes_back(file: Path, tmp_path: Path) -> None:
    study = ek.Study.load(file)
    again = ek.Study.load(study.save(tmp_path / "again"))
    said = again.settings["report"]
    assert isinstance(said, dict) and said["author"] == "A. Author" and str(said["date"]) == "2026-03-31"
    assert said["evidence"][0]["strength"] == "moderate" and again.outcome().harm
    assert make_plan(study)["sha256"] == make_plan(study.replace(settings={}))["sha256"], "words are no part of a plan"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("author =", "autor =", "Did you mean 'author'"), ('"A. Author"', "3", "cannot be used"),
        ("2026-03-31", "5", "a date such as"), ('"moderate"', '"huge"', "weak, moderate, strong"),
        ('component = "helpline"\nclaim', 'component = "helpless"\nclaim', "Unknown component 'helpless'"),
        ("source =", "sauce =", "There is no key 'sauce'"),
        ('["The window was shortened."]', '"x"', "a list of sentences"),
        ("harm = true", 'harm = "yes"', "harm"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_it_is_refused_with_words(file: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    shutil.copytree(file.parent, tmp_path / "study")
    copy = tmp_path / "study" / "study.toml"
    assert old in copy.read_text("utf-8")
    copy.write_text(copy.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(StudyError, match=re.escape(told)):
        ek.Study.load(copy)


def test_the_same_can_be_said_in_python(file: Path) -> None:
    study = ek.Study.load(file)
    dated = study.replace(settings={"report": {"author": "B", "date": datetime.date(2026, 1, 2)}})
    assert dated.settings["report"] == {"author": "B", "date": datetime.date(2026, 1, 2)}
    with pytest.raises(StudyError, match="is not a table"):
        study.replace(settings={"report": "x"})


# ---------------------------------------------------------------- the outcome itself


def test_series_come_to_the_total_of_the_programme(evaluation: ek.Evaluation) -> None:
    table = over_time(evaluation)
    added = ((table["with_it"] - table["expected"]) * table["people_with"]).sum()
    assert evaluation.attribution is not None and added == pytest.approx(evaluation.attribution.total, rel=1e-10)
    study, ever = evaluation.study, np.zeros(evaluation.study.paths.n_units, dtype=bool)
    for name in ("helpline", "visits"):
        ever |= (study.paths.state[:, :, study.paths.index(name)] > 0).any(axis=1)[study.paths.path]
    assert table["with_it"].to_numpy() == pytest.approx(study.values()[ever].mean(axis=0))
    assert table["without"].to_numpy() == pytest.approx(study.values()[~ever].mean(axis=0))
    assert table["expected"].isna().tolist() == (table["started"] == 0).tolist()


def towns() -> pd.DataFrame:
    """Towns of a thousand residents and cities of fifty thousand with another level; three in four begin."""
    rng = np.random.default_rng(0)
    town, month = (a.ravel() for a in np.indices((14, 12)))
    residents = rng.choice([1.0, 50.0], 14)[town]
    on = (month >= np.array([5, 6, 7, 99])[town % 4]).astype(int)
    rate = 20 + 10 * (residents > 10) - 3 * on + rng.normal(size=len(town))
    return pd.DataFrame({"town": town, "month": month, "on": on, "residents": residents, "calls": rate * residents})


@pytest.mark.parametrize("per", [True, False])
def test_means_weigh_as_estimates_do_so_that_what_was_expected_comes_to_the_total(per: bool) -> None:
    """A rate by what it is per, and a score by the study's weights: a city beside a town is fifty towns."""
    frame = towns().assign(score=lambda d: d["calls"] / d["residents"])
    of = ek.Outcome("calls", kind="rate", per="residents") if per else ek.Outcome("score")
    ev = ek.evaluate(
        ek.Study(frame, unit="town", period="month", outcome=of, components=[ek.Component("on")],
                 weights=None if per else "residents")
    )  # fmt: skip
    ever = frame.groupby("town")["on"].transform("max") == 1
    sums = frame[ever].groupby("month")[["calls", "residents"]].sum()
    table = ev.over_time
    assert table["with_it"].to_numpy() == pytest.approx((sums["calls"] / sums["residents"]).to_numpy())
    added = ((table["with_it"] - table["expected"]) * sums["residents"].to_numpy()).sum()
    assert ev.attribution is not None and added == pytest.approx(ev.attribution.total, rel=1e-9)
    early = frame[ever & (frame["month"] < 5)]
    assert ev.baseline["with_it"][0] == pytest.approx(early["calls"].sum() / early["residents"].sum())


def people(n: int = 40) -> ek.Study:
    """People in eight places over six months, half of the places with a component from the fourth on; few had it."""
    rng = np.random.default_rng(3)
    i, t = np.repeat(np.arange(n), 6), np.tile(np.arange(6), n)
    place = i % 8
    settled, age = (rng.random(n * 6) < 0.5).astype(float), np.repeat(rng.integers(20, 60, n), 6)
    on = ((place < 4) & (t >= 3)).astype(int)
    frame = pd.DataFrame({"person": i, "month": t, "place": place, "it": on, "y": settled, "age": age})
    return ek.Study(frame, unit="person", period="month", cluster="place", covariates=["age"], kind="share",
                    outcome="y", components=[ek.Component("it", exposure="it", assigned_at="place")])  # fmt: skip


def test_who_began_how_is_worked_out_before_the_first_start() -> None:
    study = people()
    table = baseline(study).set_index("characteristic")
    had, y = np.arange(40) % 8 < 4, study.values()[:, :3].mean(axis=1)
    row = table.loc["y, before"]
    assert row["with_it"] == pytest.approx(y[had].mean()) and row["without"] == pytest.approx(y[~had].mean())
    spread = np.sqrt((y[had].var() + y[~had].var()) / 2)
    assert row["difference"] == pytest.approx((y[had].mean() - y[~had].mean()) / spread)
    assert table.loc["age", "people_with"] == 20 and baseline(study.subset(np.flatnonzero(had))).empty


def test_a_mean_of_few_people_or_few_events_is_not_published() -> None:
    few, many = safe(ek.evaluate(people(16))), safe(ek.evaluate(people(160)))
    assert few.over_time[["with_it", "without", "expected"]].isna().all(axis=None)
    assert few.baseline[["with_it", "without", "difference"]].isna().all(axis=None)
    shown = many.over_time
    assert shown["with_it"].notna().all() and (shown["people_with"] % 10 == 0).all()
    raw = over_time(ek.evaluate(people(160)))["with_it"]
    assert not np.allclose(shown["with_it"], raw, atol=1e-6), "no digits that give a count away"
    assert shown["with_it"].to_numpy() == pytest.approx(raw.to_numpy(), abs=0.02)


def test_a_share_that_few_people_have_is_not_published() -> None:
    study = people(160)
    rare = study.to_frame().assign(age=1)
    rare["y"] = ((rare["person"] < 30) & (rare["month"] == 2) & (rare["place"] < 2)).astype(float)
    rare["y"] += ((rare["person"] < 99) & (rare["month"] == 4)).astype(float)
    fields = {"unit": "person", "period": "month", "cluster": "place", "outcome": "y", "kind": "share"}
    component = ek.Component("it", exposure="it", assigned_at="place")
    raw = ek.evaluate(ek.Study(rare, components=[component], **fields))  # type: ignore[arg-type]
    told, found = safe(raw).over_time["with_it"], raw.over_time
    events = (found["with_it"] * found["people_with"]).round()
    assert events[2] == 8 and np.isnan(told[2]) and events[4] > 10 and told[4] > 0 and told[0] == 0


def test_people_added_up_are_counted_as_many(tmp_path: Path) -> None:
    study = people(160)
    study.to_frame().to_parquet(tmp_path / "panel.parquet")
    fields = {"unit": "person", "period": "month", "cluster": "place", "outcome": "y", "kind": "share"}
    added, single = (
        ek.Study(tmp_path / "panel.parquet", components=list(study.components), hold=hold, **fields)  # type: ignore[arg-type]
        for hold in ("cells", "rows")
    )
    assert added.paths.heads is not None and added.paths.n_units < 160
    for table in (baseline, recorded, delivery):
        one, other = (
            table(s).select_dtypes("number").drop(columns="difference", errors="ignore") for s in (added, single)
        )
        pd.testing.assert_frame_equal(one, other)
    assert baseline(added)["difference"].isna().all(), "how far people are from each other is not held"


def test_where_nobody_never_had_any_those_with_it_stand_beside_those_without_yet() -> None:
    rows = pd.DataFrame({"place": np.repeat(np.arange(6), 5), "year": np.tile(np.arange(5), 6)})
    rows["it"] = (rows["year"] > rows["place"] % 3).astype(int)
    rows["y"] = rows["place"] + 10.0 * rows["it"] + 0.01 * ((7 * rows["year"] + 3 * rows["place"]) % 5)
    study = ek.Study(rows, unit="place", period="year", outcome="y", components=["it"])
    table = over_time(ek.evaluate(study))
    assert set(table["groups"]) == {"so far"} and table["started"].tolist() == [0, 2, 4, 6, 6]
    assert table["with_it"].iloc[1] == pytest.approx(11.5, abs=0.05) and table["without"].iloc[1] == pytest.approx(
        3.0, abs=0.05
    )
    assert np.isnan(table["without"].iloc[3]) and "have none yet" in text(reporting.itself(ek.evaluate(study)))


def test_people_seen_once_and_people_who_wait_have_their_sections_too() -> None:
    rng = np.random.default_rng(5)
    once = pd.DataFrame({"person": np.arange(200), "it": np.arange(200) % 2, "age": rng.integers(20, 60, 200)})
    once["y"] = once["it"] * 2.0 + rng.normal(size=200)
    plain = ek.Study(once, unit="person", period=None, outcome="y", covariates=["age"],
                     components=[ek.Component("it", exposure="it")])  # fmt: skip
    for made in map(ek.evaluate, (plain, waiting.study(waiting.people(), waiting.outcome()))):
        whole = text(reporting.itself(made))
        assert "At the time" in whole and "Ever had a part" in whole and len(made.over_time) == 1
        for section in (reporting.harms, reporting.data_statement, reporting.standards, page_one):
            assert text(section(made))


# ---------------------------------------------------------------- delivery, and what was recorded


def test_starts_are_held_against_the_plan() -> None:
    spells = pd.DataFrame({"level_id": ["0", "1", "2"], "start": ["2020-03", "2020-05", "2020-02"],
                           "planned_start": ["2020-03", "2020-03", "2020-03"]})  # fmt: skip
    months = [f"2020-{m:02d}" for m in range(1, 7)]
    rows = pd.DataFrame({"place": np.repeat(["0", "1", "2", "3"], 6), "month": np.tile(months, 4)})
    rows["y"] = np.where(rows.index == 23, np.nan, rows.index * 1.0)
    study = ek.Study(rows, unit="place", period="month", outcome="y",
                     components=[ek.Component("it", adoption=spells, assigned_at="place")])  # fmt: skip
    row = delivery(study).iloc[0]
    assert row[["places", "planned", "on_plan", "earlier", "later"]].tolist() == [3, 3, 1, 1, 1]
    assert row["delay"] == pytest.approx(1 / 3)
    assert row["planned_share"] == 1.0 and row["actual_share"] == pytest.approx((4 + 2 + 4) / 12)
    kept = recorded(study).set_index("side")
    assert kept.loc["never had one", ["rows", "missing", "people", "last"]].tolist() == [6, 1, 1, 0]
    assert kept.loc["ever had a part", "missing"] == 0


# ---------------------------------------------------------------- pages


def test_every_section_says_what_the_study_file_says(evaluation: ek.Evaluation) -> None:
    data, other = text(reporting.data_statement(evaluation)), text(reporting.other_evidence(evaluation))
    for words_said in (
        "Returns of the boroughs.",
        "Seen by a board.",
        "No person is named.",
        "2026-03-31",
        "A. Author",
    ):
        assert words_said in data
    assert "The window was shortened." in data and "384" in data
    assert "Callers say that they waited less." in other and "40 interviews" in other and "Shown" in other
    assert "harm ruled out" in text(reporting.harms(evaluation)).lower()
    assert "For 2 of 3 parts and outcomes." in (scales := text(reporting.standards(evaluation))) and "{" not in scales
    page = text(page_one(evaluation))
    assert "A. Author · 2026-03-31" in page and "No plan was fixed" in page and "authors name: 1." in page
    assert lacking(evaluation).startswith("No plan was fixed") and "No author" not in lacking(evaluation)
    assert "Looked for as possible harm" in page and "other evidence on Helpline" in page


def test_evidence_that_is_not_a_number_changes_no_verdict(evaluation: ek.Evaluation, file: Path) -> None:
    bare = ek.evaluate(ek.Study.load(file).replace(settings={}))
    pd.testing.assert_frame_equal(bare.verdicts, evaluation.verdicts)
    pd.testing.assert_frame_equal(bare.decisions.table, evaluation.decisions.table)
    assert "None was given" in text(reporting.other_evidence(bare)) and imprint(bare) == ""
    assert "No author is named. It bears no date." in lacking(bare)


def test_rounding_of_levels_and_pictures(evaluation: ek.Evaluation) -> None:
    picture = ek.plot.describe("over_time", safe(evaluation), period="month", verdict="Likely")
    assert picture.title.endswith("month by month (programme: likely)") and len(picture.figure.axes[0].lines) == 3
    last = evaluation.over_time.iloc[-1]
    assert f"{last['with_it']:.1f} with it and {last['without']:.1f} without it" in picture.alt
    study = evaluation.study
    carded = [replace(c, card={"why": "Because."}) if c.name == "visits" else c for c in study.components]
    logic = ek.plot.describe("logic_model", study.with_components(carded))
    assert "(1 of 3 say so)" in logic.alt and "Home visits: Because." in logic.description
    assert "a possible harm" in logic.alt


# ---------------------------------------------------------------- scales of others


@pytest.mark.parametrize(
    ("changes", "failed", "maryland", "basis"),
    [
        ({"rests_on_chance": True}, "", "5", "chance"), ({"rests_on_chance": True}, "balance", "4", "chance"),
        ({}, "", "3", "places over time"), ({}, "pre_trend", "2", "places over time"),
        ({}, "date_rule", "3", "places over time"),
        ({"rests_on_matching": True}, "", "3", "people over time"),
        ({"rests_on_matching": True, "unrecorded": True}, "", "1", "unrecorded"),
        ({"design": "InterruptedTimeSeries"}, "", "2", "own past"),
        ({"estimate": np.nan}, "", "not rated", "none"),
    ],
)  # fmt: skip
def test_scales_follow_from_the_design_and_its_checks(
    changes: dict[str, object], failed: str, maryland: str, basis: str
) -> None:
    checks = (CheckOutcome(failed, "failed"),) if failed else ()
    e = replace(NURSE, checks=checks, **changes)  # type: ignore[arg-type]
    assert _maryland(e, 12).level == maryland and basis_of(e, 12) == basis
    found = _padlocks(e, 0.5, 0.05, 12)
    assert found.level == "not rated" if basis == "none" else 0 <= int(found.level) <= 5


def test_padlocks_are_the_lowest_of_three_less_one_for_a_failed_check() -> None:
    chance = replace(NURSE, rests_on_chance=True, checks=())
    assert [_locks(x, (0.6, 0.5, 0.4, 0.3, 0.2)) for x in (0.7, 0.6, 0.35, 0.2)] == [0, 1, 3, 5]
    assert _padlocks(chance, 1.0, 0.05, 1).level == "5" and _padlocks(chance, 1.0, 0.35, 1).level == "2"
    assert _padlocks(chance, 0.5, 0.05, 1).level == "4"
    assert _padlocks(replace(chance, checks=(CheckOutcome("balance", "failed"),)), 1.0, 0.05, 1).level == "4"
    assert _padlocks(chance, float("nan"), 0.05, 1).level == "not rated"
    open_ended = _padlocks(replace(chance, std_error=float("nan")), 1.0, 0.05, 1)
    assert open_ended.level == "not rated" and "without a range" in open_ended.reason
    assert _padlocks(chance, 0.2, 0.05, 1).level == "1", "what could have been seen is half a deviation and more"


# ---------------------------------------------------------------- titles, currency, worth


def test_every_check_has_a_title() -> None:
    made = set(get_args(Check)) - {"pre_trend_by_leads"}
    for path in (ROOT / "evalkit" / "checks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "CheckResult" and node.args:
                made |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    assert len(made) > 20 and made - set(_CHECKS) == set()
    assert len(set(_CHECKS.values())) >= len(_CHECKS) - 2


def test_amounts_stand_in_the_currency_of_the_study(evaluation: ek.Evaluation) -> None:
    costs = pd.DataFrame({"component": ["a"], "amount": [1.0], "currency": ["EUR"]})
    assert currency_of({}, None) == "£" and currency_of({}, Money(costs=costs)) == "€"
    assert (
        currency_of({"currency": "CHF"}, Money(costs=costs)) == "CHF " and currency_of({"currency": "$"}, None) == "$"
    )
    study = evaluation.study
    priced = [replace(c, unit_cost=9.0) for c in study.components]
    made = ek.evaluate(study.replace(components=priced, settings={"currency": "EUR"}))
    whole = (
        text(reporting.money(made, {})) + text(page_one(made)) + json.dumps(made.decisions.table["sentence"].tolist())
    )
    assert "€" in whole and "£" not in whole and "of every 100 spent" in whole and "pound" not in whole
    with pytest.raises(StudyError, match="three letters"):
        study.replace(settings={"currency": "euros"})


def test_chances_by_worth_are_those_of_the_decision() -> None:
    line = case(0.06, 0.03, stake=replace(STAKE, worth=(900.0, 2_000.0)))
    made = decide(line, prior_of("sceptical"))
    by_worth = chance_pays(made, [900.0, 2_000.0, 50_000.0])
    assert by_worth[:2] == pytest.approx([r.chance_pays for r in made.returns], abs=1e-4)
    assert by_worth[2] > by_worth[1] > by_worth[0]
    assert np.isnan(chance_pays(decide(replace(line, withheld="a check failed"), prior_of("sceptical")), [900.0])).all()


# ---------------------------------------------------------------- the page


def test_only_our_script_to_the_letter_and_only_once(evaluation: ek.Evaluation) -> None:
    page = page_of([reporting.harms(evaluation)], "x")
    assert strict(page) and page.count(SCRIPT) == 1
    whole = f"<script>{SCRIPT}</script>"
    for changed in (page.replace("use strict", "use Strict"), page.replace(whole, whole * 2),
                    page.replace("<script>", '<script src="#x">'), page.replace("</main>", "<script></script></main>"),
                    page.replace("<script>", "<SCRIPT type='module'>")):  # fmt: skip
        with pytest.raises(EvalkitError, match="somebody changed the report"):
            strict(changed)


def test_figures_lose_bytes_and_no_point(evaluation: ek.Evaluation) -> None:
    import io

    drawn, whole = ek.plot.describe("forest", safe(evaluation), evaluation.effects).figure, io.BytesIO()
    drawn.savefig(whole, format="svg", metadata={"Date": None})
    before, after = whole.getvalue(), _compact(whole.getvalue())
    assert len(after) < 0.75 * len(before)
    number = re.compile(rb"-?\d+\.?\d*")
    paths = [re.findall(rb' d="([^"]*)"', svg) for svg in (before, after)]
    assert len(paths[0]) == len(paths[1]) > 20
    for old, new in zip(*paths, strict=True):
        a, b = (np.array([float(x) for x in number.findall(p)]) for p in (old, new))
        assert np.abs(a - b).max(initial=0.0) < 0.01 and re.findall(rb"[A-Z]", old) == re.findall(rb"[A-Z]", new)
    assert after.count(b"<use ") == before.count(b"<use ")


def test_blocks_of_the_new_sections_go_to_word_as_well(evaluation: ek.Evaluation) -> None:
    for section in (
        reporting.itself(evaluation),
        reporting.data_statement(evaluation),
        reporting.standards(evaluation),
    ):
        listed = list(flat(section.blocks))
        assert len(listed) >= 3 and all(words(b.text) for b in listed if hasattr(b, "text"))
