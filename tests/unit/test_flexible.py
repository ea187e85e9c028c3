"""People by learners that may bend: the numbers by hand, the sign where lines mislead, and learners of one's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor

import evalkit as ek
from evalkit import checks
from evalkit.designs.people.flexible import Rival, kept_effect, nearest_counts


def bent(n: int = 700, seed: int = 0) -> pd.DataFrame:
    """Those far from the middle have it, and fare worse without it: a line sees harm, where 0.5 is done for them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    hook = 1.6 * (np.abs(x) - 0.8)
    t = rng.random(n) < 1 / (1 + np.exp(0.6 - 1.2 * hook))
    frame = pd.DataFrame({"person": range(n), "x": x, "z": rng.normal(size=n), "t": t.astype(int)})
    return frame.assign(y=-1.5 * hook + 0.5 * t + rng.normal(size=n))


def study(frame: pd.DataFrame, **more) -> ek.Study:
    said = {"unit": "person", "period": None, "outcome": ek.Outcome("y", matters=0.2), "covariates": ("x", "z")} | more
    return ek.Study(frame, **{"components": ["t"]} | said)


def test_effect_and_contributions_by_hand():
    y, t = np.array([5.0, 3, 9, 1, 2, 4]), np.array([True, True, True, False, False, False])
    keep = np.array([True, True, False, True, True, False])
    value, parts = kept_effect(y, t, np.ones(6), np.array([9.0, 9, 9, 1, 3, 9]), keep)
    assert value == pytest.approx(((4 + 2) / 2) - (0 * 1 + 1 * 3) / 4) and parts.sum() == pytest.approx(0)
    assert parts[[2, 5]] == pytest.approx(0) and parts[0] == pytest.approx(0.5)
    assert np.isnan(kept_effect(y, t, np.ones(6), np.ones(6), ~keep & t)[0])


def test_nearest_are_counted_as_often_as_they_serve():
    score = np.array([0.1, 0.5, 0.9, 0.45, 0.55, 0.95])
    exposed = np.array([False, False, False, True, True, True])
    counts = [nearest_counts(score, exposed, np.ones(6, bool), size) for size in (np.ones(6), np.arange(6.0))]
    assert list(counts[0]) == [0, 2, 1, 0, 0, 0] and list(counts[1]) == [0, 7, 5, 0, 0, 0]


def test_the_headline_has_the_right_sign_where_a_line_has_the_wrong_one():
    ev = ek.evaluate(study(bent()))
    row, effects = ev.verdicts.iloc[0], ev.effects.set_index("design")
    assert row["design"] == "FlexibleComparison" and row["conf_low"] < 0.5 < row["conf_high"] and row["conf_low"] > 0
    assert effects.loc["WeightedComparison", "conf_high"] < 0 and row["direction"] == "better"
    said = ev.checks.set_index("check")
    assert "straight line would answer" in said.loc["rungs", "words"]
    assert said.loc["unrecorded", "status"] == "informational" and "may bend" in ev.rules["t"]


def test_the_exposed_with_nobody_like_them_are_counted():
    frame = bent()
    frame.loc[:39, ["x", "t"]] = [6.0, 1]
    est = ek.FlexibleComparison(repeats=1)(study(frame), "t")
    assert est.labels["units_left_out"][0] >= 30 and "somebody like them" in est.labels["population"][0]


def test_too_few_is_a_value_with_its_reason():
    frame = bent(200).assign(t=lambda f: (f.index < 30).astype(int))
    row = ek.FlexibleComparison(repeats=1)(study(frame), "t").to_frame().iloc[0]
    assert np.isnan(row["estimate"]) and "30 people had it and 170 did not" in row["reason"]
    assert ek.evaluate(study(frame)).verdicts["design"][0] == "MatchedComparison"
    by_person = [ek.Component("t", assigned_at="person")]
    few = study(bent(400).assign(site=lambda f: f.index % 6), cluster="site", components=by_person)
    assert "6 places" in ek.FlexibleComparison(repeats=1)(few, "t").to_frame()["reason"][0]


def test_learners_of_ones_own_take_part_everywhere():
    frame = bent(400)
    made = study(frame)
    one = ek.FlexibleComparison(learner=LinearRegression(), repeats=1)(made, "t")
    assert one.value[0] != ek.FlexibleComparison(repeats=1)(made, "t").value[0]
    plain, with_it = ek.WeightedComparison(method="aipw", folds=5, repeats=1), {"learner": LinearRegression()}
    with pytest.warns(ek.EvalkitWarning):
        two = [ek.WeightedComparison(method="aipw", repeats=1, **with_it)(made, "t"), plain(made, "t")]
    assert two[0].value[0] == pytest.approx(two[1].value[0], abs=1e-6)
    exact = frame.assign(y=3 * frame["x"] + frame["t"])
    matched = ek.MatchedComparison(**with_it)(study(exact), "t")
    assert (
        matched.value[0] == pytest.approx(1)
        and abs(ek.MatchedComparison(adjust=None)(study(exact), "t").value[0] - 1) > 1e-3
    )


@pytest.mark.parametrize("design", [ek.FlexibleComparison, ek.WeightedComparison, ek.MatchedComparison])
def test_learners_that_cannot_learn_are_refused(design):
    with pytest.raises(ek.EvalkitError, match="learner=.*fit and predict"):
        design(learner="forest")


def weighed(n: int = 900, seed: int = 3) -> pd.DataFrame:
    """Those with z have 1.5 done for them and stand for six people each, the others nothing and stand for one."""
    frame = bent(n, seed).assign(z=lambda f: (f.index % 2).astype(float))
    return frame.assign(y=lambda f: f["y"] + f["t"] * (1.5 * f["z"] - 0.5), weight=lambda f: 1 + 5 * f["z"])


def test_the_weights_of_a_study_say_whom_an_answer_speaks_for():
    frame = weighed()
    design = ek.FlexibleComparison(repeats=1)
    plain, whole = (design(study(frame, weights=w), "t").to_frame().iloc[0] for w in (None, "weight"))
    mine = frame[frame["t"] == 1]
    truth = 1.5 * np.average(mine["z"], weights=mine["weight"])
    assert plain["conf_high"] < truth and abs(whole["estimate"] - truth) < 3 * whole["std_error"] < 0.7
    small = design(study(frame.assign(weight=frame["weight"] * 1e-9), weights="weight"), "t")
    alike = design(study(frame.assign(weight=7.0), weights="weight"), "t")
    assert small.value[0] == pytest.approx(whole["estimate"], rel=1e-9)
    assert alike.value[0] == plain["estimate"]
    said = ek.evaluate(study(frame, weights="weight")).verdicts.iloc[0]
    assert said["design"] == "FlexibleComparison" and said["estimate"] > plain["conf_high"]
    rivals = {r.name: whole["estimate"] - r.gap for r in design.rivals(study(frame, weights="weight"), "t")}
    assert all(abs(v - truth) < 0.5 for n, v in rivals.items() if n != "a straight line")


def test_learners_that_take_no_weights_are_refused_where_there_are_some():
    with pytest.raises(ek.EvalkitError, match="KNeighborsRegressor cannot take the study's weights"):
        ek.FlexibleComparison(learner=KNeighborsRegressor(), repeats=1)(study(weighed(400), weights="weight"), "t")


def test_people_of_a_rate_weigh_by_what_it_is_per_by_hand_too():
    frame = weighed(500).assign(n=lambda f: (f["weight"] * (9 + 2 * f["x"].abs() + f["z"] * f["t"])).round())
    made = study(frame, outcome=ek.Outcome("n", kind="rate", per="weight", matters=0.2))
    asked = study(frame.assign(n=frame["n"] / frame["weight"]), outcome="n", weights="weight")
    designs = ek.FlexibleComparison(repeats=1), ek.MatchedComparison(), ek.WeightedComparison(method="entropy")
    for design in designs:
        assert design(made, "t").value[0] == pytest.approx(design(asked, "t").value[0], rel=1e-9)
    by, same = (ek.for_whom(s, "t", ["x"]).table["estimate"].to_numpy() for s in (made, asked))
    assert np.isfinite(by).all() and by == pytest.approx(same, rel=1e-9)


@pytest.mark.parametrize(
    "design", [ek.FlexibleComparison, ek.WeightedComparison, ek.MatchedComparison, ek.MixComparison]
)
def test_a_classifier_or_a_class_is_no_learner_of_outcomes(design):
    with pytest.raises(ek.EvalkitError, match="a classifier gives classes"):
        design(learner=LogisticRegression())
    with pytest.raises(ek.EvalkitError, match=r"such as LinearRegression\(\), not its class"):
        design(learner=LinearRegression)


class Doubled(LogisticRegression):
    def predict_proba(self, X):
        return 9 * super().predict_proba(X) - 4


class Nothing(LinearRegression):
    def predict(self, X):
        return np.full(len(X), np.nan)


ASKED = {
    "flexible": lambda **how: ek.FlexibleComparison(repeats=1, **how),
    "mixes": lambda **how: ek.MixComparison(**how),
    "aipw": lambda **how: ek.WeightedComparison(
        method="aipw", folds=1, **{{"score": "propensity"}.get(k, k): v for k, v in how.items()}
    ),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_learners_that_give_no_chances_or_no_numbers_are_refused(ask):
    made = study(bent(400))
    with pytest.raises(ek.EvalkitError, match="Doubled gives chances that do not lie between 0 and 1"):
        ask(score=Doubled())(made, "t")
    with pytest.raises(ek.EvalkitError, match="no finite numbers"):
        ask(learner=Nothing())(made, "t")


def test_a_score_that_gives_no_chance_is_refused():
    with pytest.raises(ek.EvalkitError, match="score=.*predict_proba"):
        ek.FlexibleComparison(score=LinearRegression())


def test_a_rival_fails_a_headline_only_from_afar():
    said = {"gap": 0.4, "low": 0.1, "high": 0.7}
    assert checks.same_people([Rival("a", p=0.01, far=True, counts=True, **said)]).status == "failed"
    assert checks.same_people([Rival("a", p=0.01, far=False, counts=True, **said)]).status == "passed"
    line = Rival("a straight line", p=0.001, far=True, counts=False, **said)
    assert "0.4 less" in checks.same_people([Rival("a", p=0.5, far=True, counts=True, **said), line]).words
    assert checks.same_people([line]).status == "informational"
