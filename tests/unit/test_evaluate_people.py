"""A cross-section of people goes down the ladder of matched designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek


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
    assert effects.loc["MatchedComparison", "headline"]
    assert np.isfinite(effects.loc["WeightedComparison", "estimate"])


def test_without_covariates_the_reason_is_said():
    frame = pd.DataFrame({"person": range(60), "advice": [0, 1] * 30, "y": np.linspace(0, 1, 60)})
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["advice"])
    row = ek.evaluate(study).verdicts.iloc[0]
    assert row["verdict"] == "cannot_tell" and "covariate" in row["sentence"]
