"""A cross-section of people goes down the ladder of matched designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.disclosure.people import with_counts
from evalkit.reporting.drawn import pictures
from evalkit.verdicts.evidence import Evidence


@pytest.fixture(scope="module")
def evaluation() -> ek.Evaluation:
    rng = np.random.default_rng(0)
    n = 900
    need, age = rng.normal(size=(2, n))
    frame = pd.DataFrame({"person": np.arange(n), "need": need, "age": age})
    frame["advice"] = (rng.random(n) < 1 / (1 + np.exp(-need / 2))).astype(int)
    frame["leaflet"] = (rng.random(n) < 0.4).astype(int)
    frame["wellbeing"] = need + 0.5 * age + 0.6 * frame["advice"] + rng.normal(size=n)
    study = ek.Study(
        frame, unit="person", period=None, outcome=ek.Outcome("wellbeing", matters=0.2), covariates=("need", "age"),
        components=["advice", "leaflet", ek.Component("keyworker", always_on=True)],
    )  # fmt: skip
    return ek.evaluate(study)


def test_matching_alone_is_at_most_likely(evaluation):
    row = evaluation.verdicts.set_index("component").loc["advice"]
    assert row["verdict"] == "likely" and row["direction"] == "better"
    assert row["conf_low"] < 0.6 < row["conf_high"]
    assert any("alike" in reason for reason in row["reasons"])
    assert "first period" not in row["sentence"]


def test_nothing_is_claimed_for_what_does_nothing_or_is_always_on(evaluation):
    verdicts = evaluation.verdicts.set_index("component")["verdict"]
    assert verdicts["leaflet"] in ("cannot_tell", "no_sign")
    assert verdicts["keyworker"] == "not_tested"


def test_matched_and_weighted_rungs_stand_side_by_side(evaluation):
    effects = evaluation.effects[evaluation.effects["component"] == "advice"].set_index("design")
    assert effects.loc["FlexibleComparison", "headline"]
    assert np.isfinite(effects.loc["MatchedComparison", "estimate"])
    assert np.isfinite(effects.loc["WeightedComparison", "estimate"])


def bare(n: int = 400) -> tuple[ek.Study, pd.DataFrame]:
    """Nothing is on record but what people had; advice does 1, and goes with the course, which does 2."""
    rng = np.random.default_rng(5)
    course = rng.random(n) < 0.5
    advice = rng.random(n) < np.where(course, 0.7, 0.3)
    frame = pd.DataFrame({"person": range(n), "advice": advice.astype(int), "course": course.astype(int)})
    frame["y"] = frame["advice"] + 2 * frame["course"] + rng.normal(size=n)
    return ek.Study(frame, unit="person", period=None, outcome="y", components=["advice", "course"]), frame


class TestWithoutCovariates:
    def test_means_differ_within_combinations_of_the_others(self):
        study, frame = bare()
        got = ek.evaluate(study).verdicts.set_index("component").loc["advice"]
        means = frame.groupby(["course", "advice"])["y"].mean().unstack()
        share = frame[frame["advice"] == 1]["course"].value_counts(normalize=True).sort_index()
        assert got["estimate"] == pytest.approx(float(share @ (means[1] - means[0])))
        assert got["conf_low"] < 1 < got["conf_high"]

    def test_such_a_comparison_never_carries_a_claim(self):
        row = ek.evaluate(bare()[0]).verdicts.iloc[0]
        assert row["verdict"] == "cannot_tell" and "does not carry it" in row["sentence"]
        assert len(row["reasons"]) == 1, "one fact is one weakness"
        assert "nothing is on record that could show" in row["reasons"][0]
        assert "covariates=" not in row["sentence"]

    def test_the_rule_says_so(self):
        assert "Nothing else about them is on record" in ek.evaluate(bare()[0]).rules["advice"]

    def test_others_may_be_balanced_where_too_few_share_them(self):
        """Balanced on the course, advice is told from it though nobody is compared within its strata."""
        study, frame = bare()
        got = ek.WeightedComparison(method="entropy", others="balanced")(study, "advice").to_frame().iloc[0]
        raw = frame.groupby("advice")["y"].mean().diff()[1]
        assert abs(got["estimate"] - 1) < 3 * got["std_error"]
        assert raw > 1.4
        table = ek.WeightedComparison(method="entropy", others="balanced").weigh(study, "advice").balance()
        assert list(table["covariate"]) == ["course"]
        assert table["smd_after"].abs().max() < 1e-8

    def test_balanced_others_stand_beside_it(self):
        """A second fair answer: the difference in means once the course is as frequent in both arms."""
        study, frame = bare()
        effects = ek.evaluate(study).effects.set_index(["component", "design"])["estimate"]
        mine = effects["advice", "WeightedComparison"]
        share = frame.groupby("advice")["course"].mean()
        weight = np.where(frame["course"] == 1, share[1] / share[0], (1 - share[1]) / (1 - share[0]))
        arm = frame["advice"] == 1
        want = frame.loc[arm, "y"].mean() - np.average(frame.loc[~arm, "y"], weights=weight[~arm])
        assert mine == pytest.approx(want)

    def test_nothing_is_drawn_over_time(self):
        evaluation = ek.evaluate(bare()[0])
        assert not evaluation.event_studies
        assert {"timeline", "event_study_advice"}.isdisjoint(pictures(evaluation))

    def test_weights_are_used_without_a_word(self, recwarn):
        study, frame = bare()
        frame = frame.assign(times=np.arange(len(frame)) % 3 + 1)
        weighed = ek.Study(frame, unit="person", period=None, outcome="y", components=["advice", "course"],
                           weights="times")  # fmt: skip
        one, other = (ek.evaluate(s).verdicts["estimate"] for s in (study, weighed))
        assert (one != other).all() and abs(one - other).max() < 0.3
        assert not recwarn.list


def test_projects_with_weights_are_compared_project_by_project(recwarn):
    """Projects with weights and without covariates: a few are alike in all other components."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"project": range(24), "effect": rng.normal(size=24), "weight": rng.integers(1, 9, 24)})
    for part in ("advice", "course", "mentor"):
        frame[part] = rng.integers(0, 2, 24)
    study = ek.Study(frame, unit="project", period=None, outcome="effect", weights="weight",
                     components=["advice", "course", "mentor"])  # fmt: skip
    verdicts = ek.evaluate(study).verdicts
    assert verdicts["estimate"].notna().any()
    assert not verdicts["verdict"].isin(["shown", "likely"]).any()
    assert not recwarn.list


def test_a_handful_of_exposed_people_asks_for_no_rollout_orders():
    """A cross-section has no orders of a rollout to deal anew, however few had it and however sure it looks."""
    frame = pd.DataFrame({"person": range(60), "advice": [1, 1] + [0] * 58, "y": [500.0, 501.0] + [0.0, 0.2] * 29})
    frame["need"] = np.arange(60) % 11
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["advice"], covariates=("need",))
    row = ek.evaluate(study).verdicts.iloc[0]
    assert row["verdict"] == "cannot_tell" and row["conf_low"] > 0


def test_no_interval_hangs_on_one_person():
    frame = pd.DataFrame({"person": range(60), "advice": [1, 1] + [0] * 58, "y": [5.0, 5.1] + [0.0, 0.2] * 29})
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["advice"])
    row = ek.evaluate(study).verdicts.iloc[0]
    assert row["verdict"] == "cannot_tell" and "nothing left to compare" in row["sentence"]


@pytest.mark.parametrize("covariates", [(), ("need",)])
def test_two_components_that_everybody_had_together_are_compared_as_one(covariates):
    """With covariates too, and without a word about periods that nobody saw."""
    frame = bare()[1]
    rng = np.random.default_rng(8)
    frame = frame.assign(course=frame["advice"], need=rng.normal(size=len(frame)))
    parts = ["advice", "course"]
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=parts, covariates=covariates)
    found = ek.evaluate(study)
    assert set(found.verdicts["verdict"]) == {"cannot_tell_apart"}
    assert np.isfinite(found.bundles["estimate"]).all()
    assert not found.verdicts["sentence"].str.contains("first period").any()


def test_components_that_nobody_shares_are_the_reason():
    frame = bare()[1].assign(course=lambda f: f["advice"], x=lambda f: np.arange(len(f)) % 7)
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["advice", "course"], covariates=("x",))
    row = ek.MatchedComparison()(study, "advice").to_frame().iloc[0]
    assert "has the same other components as any of" in row["reason"]


def test_money_is_for_each_person_and_not_each_period():
    frame = bare()[1]
    study = ek.Study(frame, unit="person", period=None, outcome=ek.Outcome("y", kind="money"), components=["advice"])
    sentence = ek.evaluate(study).verdicts["sentence"][0]
    assert "for each person" in sentence and "period" not in sentence


@pytest.mark.parametrize(("bend", "status"), [(0.0, "passed"), (0.6, "informational")])
def test_a_score_of_the_wrong_form_is_a_check_that_informs(bend, status):
    rng = np.random.default_rng(2)
    need = rng.normal(size=1500)
    got = rng.random(1500) < 1 / (1 + np.exp(-(0.5 * need + bend * (need**2 - 1) - 1)))
    frame = pd.DataFrame({"person": range(1500), "need": need, "got": got.astype(int)})
    frame["y"] = need + got + rng.normal(size=1500)
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["got"], covariates=("need",))
    found = ek.evaluate(study)
    row = found.checks.set_index("check").loc["score_form"]
    assert row["status"] == status
    assert ("along straight lines" in row["words"]) == (status == "informational")
    assert found.verdicts["verdict"][0] == "likely"


def test_the_sentence_says_how_many_of_those_who_had_it_it_speaks_for():
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    advice = rng.random(300) < 1 / (1 + np.exp(-3 * x))
    frame = pd.DataFrame({"person": range(300), "x": x, "advice": advice.astype(int), "y": x + rng.normal(size=300)})
    study = ek.Study(frame, unit="person", period=None, outcome="y", covariates=["x"], components=["advice"])
    found = ek.evaluate(study)
    behind = int(found.estimate("advice").labels["units_exposed"][0])
    said = f"It speaks for {behind} of {advice.sum()} people with it; of the others these data cannot speak."
    assert behind < 0.9 * advice.sum() and said in found.verdicts["sentence"][0]


@pytest.mark.parametrize(("hidden", "expected"), [((), (40.0, 90.0)), (("left",), None), (("had",), None)])
def test_the_counts_in_a_sentence_are_those_that_its_tables_publish(hidden, expected):
    flow = pd.DataFrame({"component": "advice", "stage": ["had", "left", "used"], "count": [90.0, 50.0, 40.0]})
    flow.loc[flow["stage"].isin(hidden), "count"] = np.nan
    head = {"component": "advice", "outcome": "y", "headline": True, "units_exposed": 40.0}
    effects = pd.DataFrame([head, head | {"headline": False, "units_exposed": 3.0}])
    told = with_counts(Evidence("advice", "y", "separable", units_behind=41.0, units_had=93.0), effects, flow)
    counts = (told.units_behind, told.units_had)
    assert counts == expected if expected else np.isnan(counts).all()


class TestWordsAtOneTime:
    """Nothing starts, stops or lies in a place where people are seen once."""

    OVER_TIME = (
        "period", "starts", "stops", "any time", "places", "one place", "changed over", "found in", "longer", "cluster",
    )  # fmt: skip

    def said(self, components=("a", "b"), unit="person", **columns) -> str:
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({unit: range(120), "x": rng.normal(size=120), "a": (rng.random(120) < 0.5).astype(int)})
        frame = frame.assign(**columns)
        frame["y"] = frame["x"] + frame["a"] + rng.normal(size=120)
        study = ek.Study(frame, unit=unit, period=None, outcome="y", covariates=["x"], components=list(components))
        found = ek.evaluate(study)
        minds = [s.would_change.text for s in found.statements if s.verdict != "likely"]
        reasons = [r for _, v in found.judged for r in v.reasons]
        words = [*found.verdicts["sentence"], *found.checks["words"], *found.separability.components["reason"]]
        text = " ".join([*words, *found.separability.aliased, *minds, *reasons])
        assert not [w for w in self.OVER_TIME if w in text], text
        return text

    def test_checks_leave_out_people(self):
        text = self.said(("a",))
        assert "no estimates without each person." in text and "people with it and" in text
        assert "without each school" in self.said(("a",), unit="school")
        assert "without each person" in self.said(("a",), unit="id")

    def test_everybody_had_it(self):
        assert "Everybody whom it can reach had it." in self.said(b=1)

    def test_always_together_and_never_together(self):
        assert "those who had “a” are exactly those who had “b”" in self.said(b=lambda d: d["a"])
        text = self.said(b=lambda d: 1 - d["a"])
        assert "because people had the one or the other" in text and "everybody had exactly one of “a” and “b”" in text
        assert "with the one and" in text and "People who had one of them without the other would let us tell." in text

    def test_one_person_alone(self):
        text = self.said(("a",), a=lambda d: (d["person"] == 0) * 1)
        assert "1 person had it and 119 people did not" in text

    def test_a_caution_counts_people(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"id": range(40), "x": rng.normal(size=40), "y": rng.normal(size=40)})
        study = ek.Study(frame.assign(a=(frame.id < 2) * 1), unit="id", period=None, outcome="y", covariates=["x"],
                         components=["a"])  # fmt: skip
        caution = ek.MatchedComparison()(study, "a").to_frame()["caution"][0]
        assert caution.startswith("2 exposed people: ")
