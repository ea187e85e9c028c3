"""People weighed stratum by stratum: strata left out, whom overlap weights speak of, and scores of 0 and 1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

import evalkit as ek
from evalkit.errors import NotIdentifiedError
from evalkit.show.words import TIE


class Certain:
    """A model that is as sure as it can be of everybody with a first covariate above `cut`, or below its opposite."""

    def __init__(self, cut: float = 0.0):
        self.cut = cut

    def get_params(self, deep: bool = True) -> dict:
        return {"cut": self.cut}

    def set_params(self, **params):
        self.cut = params.get("cut", self.cut)
        return self

    def fit(self, x, y):
        return self

    def predict_proba(self, x) -> np.ndarray:
        p = np.where(x[:, 0] > self.cut, 1.0, np.where(x[:, 0] <= -self.cut, 0.0, 0.5))
        return np.column_stack([1 - p, p])


def study_of(frame: pd.DataFrame, components=("a", "b")) -> ek.Study:
    frame = frame.assign(person=range(len(frame)))
    return ek.Study(frame, unit="person", period=None, outcome="y", components=list(components), covariates=["x"])


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, b = rng.normal(size=n), rng.integers(0, 2, n)
    a = (rng.random(n) < special.expit(0.6 * x - 0.3)).astype(int)
    return pd.DataFrame({"a": a, "b": b, "x": x, "y": a + x + rng.normal(size=n)})


def with_one_apart() -> pd.DataFrame:
    """Among those with b, x tells who has a for sure."""
    frame = people()
    return frame.assign(a=np.where(frame.b == 1, (frame.x > 0) * 1, frame.a))


@pytest.mark.parametrize("method", ["ipw", "entropy", "aipw"])
def test_a_stratum_that_cannot_be_weighed_is_left_out_and_counted(method):
    frame = with_one_apart()
    design = ek.WeightedComparison(method=method, folds=1 if method == "aipw" else 5)
    row = design(study_of(frame), "a").to_frame().iloc[0]
    alone = design(study_of(frame[frame.b == 0], ("a",)), "a").to_frame().iloc[0]
    assert row["estimate"] == pytest.approx(alone["estimate"], abs=1e-9)
    assert row["std_error"] == pytest.approx(alone["std_error"], rel=1e-6)
    lost, total = int(frame.a[frame.b == 1].sum()), int(frame.a.sum())
    assert (row["units_left_out"], row["units_exposed"]) == (lost, total - lost)
    assert row["share_left_out"] == pytest.approx(lost / total)
    assert row["population"].endswith(f"{total - lost} of {total}; for the other {lost} these data cannot say")
    without = int((frame.b == 1).sum()) - lost
    assert row["not_weighed"].startswith(f"{lost} exposed and {without} comparison people: ")
    assert row["reason"] == ""


def test_who_is_not_weighed_is_listed_before_any_outcome():
    frame = with_one_apart()
    weighting = ek.WeightedComparison().weigh(study_of(frame), "a")
    assert list(weighting.dropped["id"]) == np.flatnonzero(frame.b == 1).tolist()
    assert weighting.dropped["reason"].str.contains("apart perfectly").all()
    assert "Not weighed" in weighting.notes[0]


def test_small_strata_are_said_too():
    frame = people()
    frame["b"] = 0
    frame.loc[:4, "b"] = 1
    row = ek.WeightedComparison()(study_of(frame), "a").to_frame().iloc[0]
    assert "fewer than 3 people in an arm" in row["not_weighed"]


def test_nothing_is_said_where_everybody_is_weighed():
    row = ek.WeightedComparison()(study_of(people()), "a").to_frame().iloc[0]
    assert row["not_weighed"] == "" and row["population"] == "people who had it"


def test_no_stratum_left_is_the_reason():
    frame = people()
    frame["a"] = (frame.x > 0).astype(int)
    with pytest.raises(NotIdentifiedError, match=r"none of 2 combinations .* apart perfectly"):
        ek.WeightedComparison()(study_of(frame), "a")


def test_the_weighted_rung_stands_beside_the_headline_in_spite_of_one_stratum():
    frame = with_one_apart()
    found = ek.evaluate(study_of(frame))
    rung = found.effects[(found.effects["component"] == "a") & (found.effects["design"] == "WeightedComparison")]
    assert np.isfinite(rung["estimate"]).all() and "these data cannot say" in rung["population"].iloc[0]


def overlapping(n: int, seed: int = 2) -> pd.DataFrame:
    """Shares of .5 and .03, effects of 0 and 10: overlap weights speak of both as 1.02 in all."""
    rng = np.random.default_rng(seed)
    b, x = rng.integers(0, 2, n), rng.normal(size=n)
    a = (rng.random(n) < np.where(b, 0.03, 0.5)).astype(int)
    return pd.DataFrame({"a": a, "b": b, "x": x, "y": np.where(b, 10, 0) * a + x + rng.normal(size=n)})


def test_overlap_weights_weigh_strata_by_their_overlap():
    est = ek.WeightedComparison(estimand="ATO")(study_of(overlapping(8000)), "a").to_frame().iloc[0]
    assert abs(est["estimate"] - 1.02) < 3 * est["std_error"] < 0.4


def stacked(theta: np.ndarray, frame: pd.DataFrame, clip: float | None) -> np.ndarray:
    """(n, 10) moments of two strata's logits, means under overlap weights and overlap."""
    out = []
    for b in (0, 1):
        here = (frame.b == b).to_numpy()
        t, y, x = (frame[c].to_numpy(dtype=float) for c in ("a", "y", "x"))
        slope, (m1, m0, size) = theta[5 * b : 5 * b + 2], theta[5 * b + 2 : 5 * b + 5]
        raw = special.expit(slope[0] + slope[1] * x)
        e = raw if clip is None else raw.clip(clip, 1 - clip)
        rows = [t - raw, x * (t - raw), t * (1 - e) * (y - m1), (1 - t) * e * (y - m0), e * (1 - e) - size]
        out += [here * r for r in rows[:4]] + [here * e * (1 - e) - size]
    return np.column_stack(out)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_standard_errors_of_overlap_weights_are_those_of_all_moments_together(clip):
    frame = overlapping(3000, 5).assign(a=lambda d: np.where(d.x > 1.5, (d.index % 3 > 0) * 1, d.a))
    row = ek.WeightedComparison(estimand="ATO", clip=clip)(study_of(frame), "a").to_frame().iloc[0]
    start = np.array([0.0, 0.1, 0, 0, 0.2, -3, 0.1, 10, 0, 0.05])
    theta = optimize.root(lambda v: stacked(v, frame, clip).mean(axis=0), start, tol=1e-12).x

    def answer(v: np.ndarray) -> float:
        return (v[4] * (v[2] - v[3]) + v[9] * (v[7] - v[8])) / (v[4] + v[9])

    def slopes(f, v: np.ndarray) -> np.ndarray:
        return np.array([(f(v + h) - f(v - h)) / 2e-5 for h in 1e-5 * np.eye(len(v))])

    bread = slopes(lambda v: stacked(v, frame, clip).mean(axis=0), theta).T
    parts = stacked(theta, frame, clip) @ np.linalg.solve(-bread, np.eye(10)).T @ slopes(answer, theta) / len(frame)
    assert row["estimate"] == pytest.approx(answer(theta), abs=1e-7)
    assert row["std_error"] == pytest.approx(np.sqrt((parts**2).sum()), rel=2e-3)


@pytest.mark.filterwarnings("ignore:With 400 people")
@pytest.mark.parametrize("options", [{}, {"method": "aipw"}, {"method": "aipw", "folds": 1}])
@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
def test_scores_of_exactly_0_or_1_are_the_reason_with_their_counts(options, estimand):
    frame = people()
    design = ek.WeightedComparison(propensity=Certain(0.5), estimand=estimand, **options)
    row = design(study_of(frame, ("a",)), "a").to_frame().iloc[0]
    no, yes = (frame.x <= -0.5), (frame.x > 0.5)
    reason = row["reason"].replace(TIE, " ")
    assert np.isnan(row["estimate"]) and reason.startswith("scores of exactly 0 or 1")
    for arm in (frame.a == 1, frame.a == 0):
        assert f"{(no & arm).sum()} of 0 and {(yes & arm).sum()} of 1 among {arm.sum()}" in reason
    clipped = ek.WeightedComparison(propensity=Certain(0.5), estimand=estimand, clip=0.05, **options)
    assert np.isfinite(clipped(study_of(frame, ("a",)), "a").value[0])


def test_scores_that_leave_nobody_to_weigh_are_the_reason():
    frame = people().assign(x=lambda d: np.where(d.a == 1, 1.0, -1.0) * (1 + np.abs(d.x)))
    row = ek.WeightedComparison(propensity=Certain())(study_of(frame, ("a",)), "a").to_frame().iloc[0]
    assert np.isnan(row["estimate"]) and "nobody in one arm can stand for the other" in row["reason"]
