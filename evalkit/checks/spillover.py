"""Who is touched: does the answer hold beside places whose neighbours do not have the component, and what does it do to
those that do not have it while neighbours of theirs do?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.checks.headline import CheckResult, excludes_zero, first_row, numbers
from evalkit.inference.estimate import Estimate
from evalkit.inference.stacking import stack


def spillover(
    one: Estimate, beside: Estimate | None, alike: Estimate | None, matters: float | None, reason: str = ""
) -> CheckResult:
    """Failed where the answer beside untouched places is another one: by more than chance, and by over half of what
    matters or so that a range that excludes zero no longer does (Butts 2021). Its numbers are the answer beside those.

    one: the answer. beside: the same beside untouched places, None where there is none; alike: the answer over the
    same cohorts and periods as that, with which it is compared. reason: why there is none, "" where nobody is touched.
    """
    if not reason:
        return CheckResult("spillover", "passed", "Nobody who serves as comparison has neighbours that have it.")
    row = None if beside is None else first_row(beside)
    if beside is None or alike is None or row is None or not np.isfinite(row["conf_low"]):
        words = f"Places compared have neighbours that have it, and beside others it cannot be told: {reason}."
        return CheckResult("spillover", "informational", words)
    said = numbers(row)
    apart = first_row(stack(alike, beside).contrast([1.0, -1.0], name="the answer less that beside untouched places"))
    far = matters is None or abs(float(apart["estimate"])) > matters / 2
    if excludes_zero(apart) and (far or not _same_side(first_row(one), row)):
        words = "Places compared have neighbours that have it; beside places that have none the answer is another one."
        return CheckResult("spillover", "failed", words, *said)
    words = "Places compared have neighbours that have it; beside places that have none the answer is no other by more "
    return CheckResult("spillover", "passed", f"{words}than chance.", *said)


def _same_side(row: pd.Series, other: pd.Series) -> bool:
    """Whether both ranges exclude zero on one side, or the first does not exclude it."""
    if not excludes_zero(row):
        return True
    return excludes_zero(other) and float(row["estimate"]) * float(other["estimate"]) > 0


def on_neighbours(around: Estimate | None, reason: str) -> CheckResult:
    """Informational: what having neighbours with it did to those without it. around: one row, None with the reason."""
    if around is None or not np.isfinite(first_row(around)["conf_low"]):
        why = reason or "its range cannot be given"
        words = f"What it does to places whose neighbours have it cannot be told: {why}."
        return CheckResult("on_neighbours", "informational", words)
    row = first_row(around)
    what = "changed" if excludes_zero(row) else "did not surely change"
    words = f"Places without it whose neighbours have it {what} beside those whose neighbours do not."
    return CheckResult("on_neighbours", "informational", words, *numbers(row))
