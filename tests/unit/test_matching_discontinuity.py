"""Regression discontinuity: right on known jumps, honest about what it cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.checks.cutoff import bunching, cutoff_checks
from evalkit.errors import NotIdentifiedError, OptionError


def pupils(n: int = 3000, seed: int = 0, effect: float = 0.5, fuzzy: bool = False) -> pd.DataFrame:
    """The lowest fifth on a test get support; the outcome rises with the test."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    got = score < -0.84
    if fuzzy:
        got = np.where(got, rng.random(n) < 0.8, rng.random(n) < 0.1)
    y = 0.6 * score + effect * got + rng.normal(size=n) * 0.5
    return pd.DataFrame({"id": np.arange(n), "score": score, "support": got.astype(int), "y": y,
                         "club": (rng.random(n) < 0.4).astype(int)})  # fmt: skip


def study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="id", period=None, outcome="y", components=["support", "club"])


@pytest.mark.parametrize("fuzzy", [False, True])
def test_finds_a_known_effect_below_the_cutoff(fuzzy):
    got = ek.RegressionDiscontinuity("score", -0.84)(study(pupils(6000, fuzzy=fuzzy)), "support")
    assert isinstance(got, ek.Interval)
    assert got.low < 0.5 < got.high
    assert got.low > 0
    assert ("fuzzy" if fuzzy else "sharp") in got.provenance


def test_equals_rdrobust_itself():
    from rdrobust import rdrobust

    frame = pupils()
    want = rdrobust(frame["y"], frame["score"], c=-0.84)
    got = ek.RegressionDiscontinuity("score", -0.84).fit(study(frame), "support")
    interval = np.asarray(want.ci.loc["Robust"], dtype=float)
    assert (got.low, got.high) == pytest.approx((-interval[1], -interval[0]))
    assert got.bandwidth == pytest.approx(float(want.bws.loc["h"].max()))


def test_covers_the_truth():
    """Forty studies: at least 34 intervals hold the effect (a right interval fails this once in 10,000 times)."""
    design = ek.RegressionDiscontinuity("score", -0.84)
    held = [abs_in(design(study(pupils(1200, seed)), "support"), 0.5) for seed in range(40)]
    assert sum(held) >= 34


def abs_in(interval: ek.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_stack_refuses_it_by_name():
    with pytest.raises(ek.EvalkitError, match="Interval has no contributions"):
        ek.stack(ek.RegressionDiscontinuity("score", -0.84)(study(pupils()), "support"))


def test_attacks_pass_where_nothing_is_wrong():
    found = cutoff_checks(ek.RegressionDiscontinuity("score", -0.84), study(pupils(6000)), "support", 0.4)
    assert {c.check: c.status for c in found} == {
        "bunching": "passed", "others_at_cutoff": "passed", "placebo_cutoffs": "passed",
    }  # fmt: skip


def test_attacks_find_what_is_wrong():
    frame = pupils(6000)
    frame["club"] = np.where(frame["score"] < -0.84, 1, frame["club"])
    frame["y"] += np.where(frame["score"] > np.median(frame["score"][frame["score"] >= -0.84]), 0.6, 0)
    found = {c.check: c for c in cutoff_checks(ek.RegressionDiscontinuity("score", -0.84), study(frame), "support")}
    assert found["others_at_cutoff"].status == "failed"
    assert "club also jumps" in found["others_at_cutoff"].words
    assert found["placebo_cutoffs"].status == "failed"
    moved = np.where((frame["score"] > -0.84) & (frame["score"] < -0.7), -0.85, frame["score"])
    assert bunching(moved, -0.84, 0.6).status == "failed"


def test_what_it_refuses():
    people = study(pupils())
    with pytest.raises(NotIdentifiedError, match="does not clearly switch"):
        ek.RegressionDiscontinuity("score", -0.84)(people, "club")
    with pytest.raises(NotIdentifiedError, match="people stand on one side"):
        ek.RegressionDiscontinuity("score", 99)(people, "support")
    with pytest.raises(ek.EvalkitError, match="no column 'scores'"):
        ek.RegressionDiscontinuity("scores", 0)(people, "support")
    with pytest.raises(OptionError, match="3 problems"):
        ek.RegressionDiscontinuity("score", np.nan, bandwidth=-1, kernel="box")


def test_regression_to_the_mean_is_not_taken_for_an_effect():
    """Without any effect the lowest rise most; the table says that this was to be expected."""
    rng = np.random.default_rng(3)
    true = rng.normal(size=5000)
    before, after = true + rng.normal(size=(2, 5000))
    frame = pd.DataFrame({"id": np.arange(5000), "score": before, "support": (before < -1).astype(int),
                          "y": after - before, "club": rng.integers(0, 2, 5000)})  # fmt: skip
    table = ek.RegressionDiscontinuity("score", -1.0).expected(study(frame), "support")
    lowest = table.iloc[0]
    assert lowest["outcome"] > 0.8
    assert lowest["expected"] == pytest.approx(lowest["outcome"], abs=0.2)
    assert bool(lowest["extrapolated"])
    assert table["people"].sum() == 5000
