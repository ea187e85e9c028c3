"""The partially linear model, by hand and where effects differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import evalkit as ek


def people(n: int, seed: int = 0, bent: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    lean = 1.5 * (np.abs(x[:, 0]) - 0.8) if bent else x[:, 0]
    t = rng.random(n) < 1 / (1 + np.exp(-lean))
    y = (lean + 0.5 * x[:, 1]) + t * (0.5 + 0.5 * x[:, 1]) + rng.normal(size=n)
    return pd.DataFrame({"id": np.arange(n), "x0": x[:, 0], "x1": x[:, 1], "t": t.astype(int), "y": y})


def answer(frame: pd.DataFrame, **options: object) -> pd.Series:
    made = ek.Study(frame, unit="id", period=None, components=["t"], outcome="y", covariates=("x0", "x1"))
    return ek.WeightedComparison(method="aipw", estimand="ATO", **options)(made, "t").to_frame().iloc[0]


def test_without_folds_it_is_the_regression_of_what_is_left_on_what_is_left() -> None:
    frame = people(400)
    x = sm.add_constant(frame[["x0", "x1"]])
    y = frame["y"] - sm.OLS(frame["y"], x).fit().fittedvalues
    t = frame["t"] - sm.Logit(frame["t"], x).fit(disp=0).predict(x)
    found = answer(frame, folds=1)
    slope = (t * y).sum() / (t**2).sum()
    error = np.sqrt(((t * (y - slope * t)) ** 2).sum()) / (t**2).sum()
    assert (found["estimate"], found["std_error"]) == pytest.approx((slope, error), rel=1e-6)
    assert found["estimand"] == "ATO" and found["right_if"] == "the propensity score has the right form"


def test_learners_that_bend_find_what_lines_miss() -> None:
    frame = people(3000, 1, bent=True)
    learners = {
        "outcome_model": HistGradientBoostingRegressor(max_iter=60, random_state=0),
        "propensity": HistGradientBoostingClassifier(max_iter=60, random_state=0),
    }
    bent, line = answer(frame, repeats=1, clip=0.01, **learners), answer(frame, repeats=1)
    assert bent["conf_low"] < 0.5 < bent["conf_high"]
    assert line["conf_low"] > 0.5
