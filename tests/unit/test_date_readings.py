"""The date rule: dates that nobody is sure of are read another way, and the answer is looked at again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek


def evaluation(certainty: str, growing: bool) -> pd.Series:
    """The check's row. 24 places; half start between months 8 and 13; the effect is there at once, or mostly later."""
    rng = np.random.default_rng(4)
    months = [str(m) for m in pd.period_range("2020-01", periods=24, freq="M")]
    place = np.repeat(np.arange(24), 24)
    start = np.where(np.arange(24) < 12, 8 + np.arange(24) % 6, 99)
    age = np.tile(np.arange(24), 24) - start[place]
    effect = np.where(age >= 0, 1.0 + growing * 0.5 * age, 0.0)
    frame = pd.DataFrame({"place": [f"P{p}" for p in place], "month": np.tile(months, 24)})
    frame["y"] = rng.normal(size=24)[place] + 0.05 * rng.normal(size=len(place)) + effect
    rows = [(f"P{p}", months[s], certainty) for p, s in enumerate(start) if s < 24]
    spells = pd.DataFrame(rows, columns=["level_id", "start", "certainty"])
    study = ek.Study(
        frame, unit="place", period="month", outcomes=[ek.Outcome("y", kind="score", matters=0.5)],
        components=[ek.Component("a", adoption=spells)],
    )  # fmt: skip
    checks = ek.evaluate(study).checks
    return checks[checks["check"] == "date_rule"].iloc[0]


def test_sure_dates_pass_without_another_reading() -> None:
    row = evaluation("month", growing=True)
    assert (row["status"], row["words"]) == ("passed", "No date is uncertain or part-way.")


@pytest.mark.parametrize("certainty", ["guessed", "quarter"])
def test_an_effect_that_builds_up_stands_other_dates(certainty: str) -> None:
    row = evaluation(certainty, growing=True)
    assert row["status"] == "passed"
    assert row["words"].startswith("The answer is much the same with uncertain dates read")
    assert row["conf_low"] < row["estimate"] - 0.1


def test_an_answer_that_hangs_on_guessed_dates_fails() -> None:
    row = evaluation("guessed", growing=False)
    assert (row["status"], row["words"]) == ("failed", "The answer changes with uncertain dates read late.")
