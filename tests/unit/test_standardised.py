"""Differences in risk and in counts by standardisation: statsmodels by hand, errors by the bootstrap, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek


def people(kind: str, n: int = 300, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    nurse = (rng.random(n) < 1 / (1 + np.exp(-0.8 * age))).astype(int)
    if kind == "share":
        y = (rng.random(n) < 1 / (1 + np.exp(1 - 0.8 * nurse - 1.2 * age))).astype(float)
    else:
        y = rng.poisson(np.exp(0.3 + 0.4 * nurse + 0.5 * age)).astype(float)
    return pd.DataFrame({"id": np.arange(n), "nurse": nurse, "age": age, "y": y})


def study(frame: pd.DataFrame, kind: str) -> ek.Study:
    outcome = ek.Outcome("y", kind=kind)
    return ek.Study(frame, unit="id", period=None, components=["nurse"], outcomes=[outcome], covariates=("age",))


def by_hand(frame: pd.DataFrame, kind: str, estimand: str) -> float:
    family = sm.families.Binomial() if kind == "share" else sm.families.Poisson()
    x = sm.add_constant(frame["age"])
    fits = [sm.GLM(f["y"], sm.add_constant(f["age"]), family=family).fit() for _, f in frame.groupby("nurse")]
    target = {"ATT": frame["nurse"] == 1, "ATC": frame["nurse"] == 0, "ATE": frame["nurse"] >= 0}[estimand]
    return float((fits[1].predict(x) - fits[0].predict(x))[target].mean())


@pytest.mark.parametrize("kind", ["share", "count"])
@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
def test_it_is_what_models_by_arm_expect_on_average(kind: str, estimand: str) -> None:
    frame = people(kind)
    found = ek.WeightedComparison(method="standardised", estimand=estimand)(study(frame, kind), "nurse")
    assert found.value[0] == pytest.approx(by_hand(frame, kind, estimand), abs=1e-8)


@pytest.mark.parametrize("kind", ["share", "count"])
def test_its_error_is_that_of_the_bootstrap(kind: str) -> None:
    frame, rng = people(kind), np.random.default_rng(0)
    found = ek.WeightedComparison(method="standardised")(study(frame, kind), "nurse").to_frame().iloc[0]
    again = []
    for _ in range(60):
        some = frame.iloc[rng.integers(0, len(frame), len(frame))].assign(id=np.arange(len(frame)))
        again.append(ek.WeightedComparison(method="standardised")(study(some, kind), "nurse").value[0])
    assert found["std_error"] == pytest.approx(np.std(again, ddof=1), rel=0.3)


def test_a_line_is_the_regression_of_each_arm() -> None:
    frame = people("share")
    found = ek.WeightedComparison(method="standardised", family="line", estimand="ATE")(study(frame, "share"), "nurse")
    lines = [np.polyfit(f["age"], f["y"], 1) for _, f in frame.groupby("nurse")]
    assert found.value[0] == pytest.approx(float(np.mean(np.polyval(lines[1] - lines[0], frame["age"]))), abs=1e-10)


def test_what_has_no_answer_is_refused_with_what_to_do() -> None:
    frame = people("share")
    apart = frame.assign(y=(frame["age"] > 0).astype(float))
    with pytest.raises(ek.EvalkitError, match="tell apart who of an arm had the outcome"):
        ek.WeightedComparison(method="standardised")(study(apart, "share"), "nurse")
    with pytest.raises(ek.EvalkitError, match="family='probit'"):
        ek.WeightedComparison(method="standardised", family="probit")
