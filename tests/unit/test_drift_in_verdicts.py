"""From a study to a verdict beside a steady drift: gate, columns, sentences, and what could not be asked."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import evalkit as ek


def study_of(y: np.ndarray, start: np.ndarray) -> ek.Study:
    G, T = y.shape
    frame = pd.DataFrame({
        "place": np.repeat([f"p{i:02}" for i in range(G)], T), "month": np.tile(np.arange(T), G), "y": y.ravel(),
        "a": (np.arange(T) >= start[:, None]).astype(int).ravel(),
    })  # fmt: skip
    return ek.Study(frame, unit="place", period="month", outcome="y", components=["a"], matters=0.3)


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Quiet places, half of which start one after another."""
    rng = np.random.default_rng(2)
    return 0.3 * rng.normal(size=(20, 16)) + rng.normal(size=(20, 1)), np.array([6, 7, 8, 9, 10] * 2 + [99] * 10)


def decided(y: np.ndarray, start: np.ndarray):
    ev = ek.evaluate(study_of(y, start))
    return ev.judged[0], ev.verdicts.iloc[0], ev.checks.set_index("check")


def test_a_change_that_comes_with_the_start_is_shown(world):
    y, start = world
    (e, v), row, checks = decided(y + 0.8 * (np.arange(16) >= start[:, None]), start)
    assert v.verdict == "shown" and e.drift.carries == "shown"
    assert row["breakdown"] > 0 and 0 < row["drift_low"] < 0.8 < row["drift_high"]
    assert "A steady drift apart would not explain it: the change came with the start." in row["sentence"]
    assert checks.loc["drift", "status"] == "passed"
    assert checks.loc["drift", ["conf_low", "conf_high"]].tolist() == [row["drift_low"], row["drift_high"]]


def test_a_steady_drift_is_not_claimed(world):
    """So slow that places moved alike beforehand, as far as could be seen."""
    y, start = world
    (e, v), row, checks = decided(y + 0.05 * np.arange(16) * (start < 99)[:, None], start)
    assert row["conf_low"] > 0 and v.verdict == "cannot_tell" and v.direction == "better"
    assert e.drift.carries == "nothing" and checks.loc["drift", "status"] == "failed"
    assert row["drift_low"] < 0 < row["drift_high"]
    assert "With a straight drift taken out: " in row["sentence"]
    if checks.loc["pre_trend", "status"] == "failed":
        assert "The two groups were already moving apart." in row["sentence"]
    else:
        assert "a steady drift apart of" in row["sentence"] and "does not rule that out" in row["sentence"]


def test_no_change_leaves_nothing_to_explain(world):
    y, start = world
    (_, v), row, checks = decided(y, start)
    assert v.verdict in ("no_sign", "cannot_tell") and not v.direction
    assert checks.loc["drift", "status"] == "informational" and row["breakdown"] == 0.0


def test_a_record_too_short_is_untested_and_never_passed(world):
    y, start = world
    (e, v), row, checks = decided(
        5.0 * ((start < 99)[:, None] & (np.arange(3) >= 1)) + y[:, :3], start * 0 + 1 + 98 * (start == 99)
    )
    assert row["conf_low"] > 0 and e.drift.carries == "untested" and v.verdict == "cannot_tell"
    assert checks.loc["drift", "status"] == "informational"
    assert "could not be asked" in checks.loc["drift", "words"] and "too few periods" in checks.loc["drift", "words"]
    assert math.isnan(row["drift_low"])
