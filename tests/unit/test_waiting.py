"""Outcomes that wait for an event: what is refused at the door, what is compared, said, drawn and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.checks import followed_to
from evalkit.designs.people.matched import MatchedComparison
from evalkit.designs.trials.randomised import RandomisedComparison
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.waiting.curves import kaplan_meier


def people(n: int = 400, seed: int = 1) -> pd.DataFrame:
    """Half have a nurse and settle sooner; some are lost."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    nurse = (rng.random(n) < 1 / (1 + np.exp(-0.5 * age))).astype(int)
    life, gone = rng.exponential(size=n) * np.exp(-0.9 * nurse - 0.4 * age) * 20, rng.exponential(size=n) * 30
    weeks = np.ceil(np.minimum(life, gone))
    frame = pd.DataFrame({"id": np.arange(n), "nurse": nurse, "age": age, "weeks": weeks})
    return frame.assign(settled=(life <= gone).astype(int))


def outcome(**options: object) -> ek.Outcome:
    said: dict = {"time": "weeks", "event": "settled", "by": 12} | options
    return ek.Outcome(kind="time_to_event", **said)


def study(frame: pd.DataFrame, *outcomes: ek.Outcome, **options: object) -> ek.Study:
    said: dict = {"components": ["nurse"], "covariates": ("age",)} | options
    return ek.Study(frame, unit="id", period=None, outcomes=list(outcomes) or [outcome()], **said)


def test_the_plain_difference_is_that_of_two_kaplan_meier_curves() -> None:
    frame = people()
    for effect in ("share", "time"):
        made = study(frame, outcome(effect=effect), covariates=())
        found = MatchedComparison(method="exact", adjust=None)(made, "nurse")
        curves = [kaplan_meier(f["weeks"].to_numpy(), f["settled"].to_numpy() == 1) for _, f in frame.groupby("nurse")]
        means = [float(1 - c.at(12)) if effect == "share" else c.restricted_mean(12) for c in curves]
        assert found.value[0] == pytest.approx(means[1] - means[0], abs=1e-10)


def test_dealt_by_chance_it_is_compared_alike() -> None:
    dealt = [ek.Component("nurse", assigned="randomised")]
    made = study(people(), covariates=(), components=dealt)
    found = RandomisedComparison(draws=0)(made, "nurse").to_frame().iloc[0]
    plain = MatchedComparison(method="exact", adjust=None)(made, "nurse")
    assert found["estimate"] == pytest.approx(plain.value[0], abs=1e-10)


def test_an_evaluation_says_the_share_by_a_date() -> None:
    found = ek.evaluate(study(people(), outcome(matters=0.05)))
    sentence = str(found.verdicts["sentence"][0])
    assert "in every 100" in sentence
    assert "settled by 12 weeks" in sentence
    assert list(found.verdicts["direction"]) == ["better"]
    assert list(found.checks[found.checks["check"] == "followed_to"]["status"]) == ["informational"]
    assert list(found.effects["design"][found.effects["headline"]]) == ["FlexibleComparison"]


def test_an_evaluation_says_the_time_of_few_people() -> None:
    time = outcome(column="wait", effect="time", better="lower", matters=1.0)
    found = ek.evaluate(study(people(90), time))
    sentence = str(found.verdicts["sentence"][0])
    assert "weeks sooner" in sentence
    assert "time until settled, up to 12 weeks" in sentence
    assert list(found.effects["design"][found.effects["headline"]]) == ["MatchedComparison"]


def test_the_check_of_who_was_followed_fails_where_few_stand_for_many() -> None:
    frame = people(1000)
    everybody = np.ones(1000, dtype=bool)
    assert followed_to(study(frame.assign(settled=1)).waits(), (everybody, ~everybody)).status == "passed"
    lost = frame.assign(settled=np.where(np.arange(1000) % 25 == 0, frame["settled"], 0))
    lost["weeks"] = np.where(np.arange(1000) % 25 == 0, lost["weeks"] + 12, 1 + np.arange(1000) % 11)
    found = followed_to(study(lost, components=["nurse"], covariates=()).waits(), (everybody, ~everybody))
    assert found.status == "failed"


def test_without_a_date_it_is_the_longest_to_which_enough_are_followed() -> None:
    frame = people()
    frame = frame.assign(settled=frame["settled"] * (frame["weeks"] < 8))
    by = study(frame, outcome(by=None)).waits().by
    study(frame, outcome(by=by)).waits()
    with pytest.raises(ek.EvalkitError, match=r"Too few are followed to .* Give by="):
        study(frame, outcome(by=by * 3)).waits()


def test_dates_count_from_entry_in_days() -> None:
    frame = people()
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(400) % 50, unit="D")
    frame = frame.assign(start=start, seen=start + pd.to_timedelta(frame["weeks"], unit="D"))
    dated = study(frame, outcome(time="seen", entry="start", by=12))
    np.testing.assert_allclose(dated.values(), study(frame).values())
    assert dated.outcome().time_unit == "days"
    texts = frame.assign(start=frame["start"].dt.strftime("%Y-%m-%d"), seen=frame["seen"].dt.strftime("%Y-%m-%d"))
    np.testing.assert_allclose(study(texts, outcome(time="seen", entry="start", by=12)).values(), dated.values())
    with pytest.raises(ek.EvalkitError, match="lies after the end"):
        study(frame, outcome(time="seen", entry="start", end="2024-02-01")).values()
    with pytest.raises(ek.EvalkitError, match="says from when time runs"):
        study(frame, outcome(time="seen")).values()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weeks": np.nan}, r"empty.*rows? 7.*Empty is not never.*event = 0"),
        ({"weeks": -1.0}, r"is negative.*event = 0"),
        ({"settled": 2}, r"is not 0 or 1 everywhere"),
        ({"weeks": 99.0}, r"lies after the end, 60"),
        ({"weeks": "soon"}, r"holds text such as 'soon'"),
    ],
)
def test_wrong_times_are_refused_with_rows_and_what_to_give(change: dict, words: str) -> None:
    frame = people(60)
    frame["weeks"] = frame["weeks"].clip(upper=60)
    for name, value in change.items():
        frame[name] = frame[name].astype(object)
        frame.loc[7, name] = value
    with pytest.raises(ek.EvalkitError, match=words):
        study(frame, outcome(end=60, by=5)).values()


def test_times_before_entry_and_panels_are_refused() -> None:
    frame = people(60).assign(start=3.0)
    with pytest.raises(ek.EvalkitError, match="before entry"):
        study(frame, outcome(entry="start", by=5)).values()
    panel = frame.assign(month=1)
    with pytest.raises(ek.EvalkitError, match="this study is a panel"):
        ek.Study(panel, unit="id", period="month", components=["nurse"], outcomes=[outcome()]).values()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time": None}, "time is not given"),
        ({"by": -1}, "by=-1"),
        ({"effect": "hazard"}, "'share', 'time'"),
        ({"matters": 5}, "between 0 and 1"),
    ],
)
def test_wrong_choices_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ek.EvalkitError, match=words):
        outcome(**options)


def test_keys_of_waiting_are_for_outcomes_that_wait() -> None:
    with pytest.raises(ek.EvalkitError, match="these are of kind 'time_to_event'"):
        ek.Outcome("settled", kind="share", time="weeks")


def test_a_study_file_says_the_same(tmp_path: Path) -> None:
    made = study(people(), outcome(label="Settled", matters=0.05))
    made.save(tmp_path)
    again = ek.Study.load(tmp_path)
    assert again.outcomes == made.outcomes
    np.testing.assert_allclose(again.values(), made.values(), atol=1e-12)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8").replace('event = "settled"', 'event = "housed"')
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ek.EvalkitError, match="no outcome column 'housed'"):
        ek.Study.load(tmp_path).check_header()


def test_curves_and_their_figure_tell_of_both_arms() -> None:
    made = study(people())
    table = ek.curves(made, "nurse")
    ends = table.groupby("arm").last()
    assert ends.loc["with it", "share"] > ends.loc["without", "share"]
    assert (table["conf_low"] <= table["share"] + 1e-12).all()
    assert (table["share"] <= table["conf_high"] + 1e-12).all()
    first = table.groupby("arm").first()
    assert first["at_risk"].sum() == 400
    picture = ek.plot.describe(ek.plot.curves, table)
    assert "still waiting and followed" in picture.description
    assert b"<svg" in picture.svg
    with pytest.raises(ek.EvalkitError, match="does not wait"):
        ek.curves(study(people(), ek.Outcome("settled", kind="share")), "nurse")


def test_money_and_drifts_of_a_mean_time_are_said_in_its_unit() -> None:
    money = {
        "costs": pd.DataFrame({"component": ["nurse"], "amount": [1000.0]}),
        "unit_costs": pd.DataFrame({"outcome": ["wait"], "value": [50.0]}),
    }
    time = outcome(column="wait", label="The wait", effect="time", better="lower", matters=1.0)
    made = ek.evaluate(study(people(), time, money=money))
    assert "for each week taken off for one id" in made.value.table.set_index("name").loc["programme", "words"]
    (e, v), *rest = made.judged
    held = replace(e, checks=(*(c for c in e.checks if c.check != "date_rule"), CheckOutcome("date_rule", "failed")))
    made = replace(made, judged=((held, v), *rest))
    line = made.decisions.lines[0]
    assert line.case.one.startswith("a week of “The wait” for") and "point" not in made.decisions.table["sentence"][0]
    assert "weeks would undo" in made.decisions.table["sentence"][0]


def test_nobody_is_told_to_compare_at_no_time() -> None:
    frame = people(100).assign(weeks=0.0)
    with pytest.raises(ek.EvalkitError, match="Give times above 0"):
        ek.evaluate(study(frame, outcome(by=12)))
