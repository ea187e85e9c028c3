"""Checks of one place alone: was there a change before the start, does it survive a bent trend, did the mix follow it,
does it hang on one donor, and how often do places where nothing began show as much?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from evalkit.checks.headline import CheckResult, excludes_zero, first_row, numbers
from evalkit.designs.one_place.placebo import TOO_POOR, Compared
from evalkit.inference import Estimate, Interval
from evalkit.vocabulary import CheckStatus

AGREES_AT = 0.75
"""Level of the range that a bent trend has to keep from zero. At none, ranges that a bend of two standard deviations
over the past fools pass in 9 draws of a hundred, at this one in 5 (benchmarks/one_place.py)."""


def placebo_date(found: Interval) -> CheckResult:
    """Failed where the past alone shows a change at an earlier date, at which nothing began."""
    check = "placebo_date"
    if math.isnan(found.value):
        return CheckResult(check, "informational", f"An earlier date could not be tried: {found.provenance}.")
    holds = found.low <= 0 <= found.high
    status: CheckStatus = "passed" if holds else "failed"
    words = "shows no change" if holds else "shows a change where nothing began"
    said = f"The same method at an earlier date, from the past alone, {words}."
    return CheckResult(check, status, said, found.value, found.low, found.high)


def bent_trend(headline: Estimate, bent: Estimate | None) -> CheckResult:
    """Failed where a trend that may bend takes the sign, or more than half, of the effect away, or leaves so little of
    it that its range at 75% holds no change."""
    check = "bent_trend"
    if bent is None or np.isnan(bent.value[0]):
        return CheckResult(check, "informational", "The past is too short to let the trend bend.")
    value, other = float(headline.value[0]), float(bent.value[0])
    kept = np.sign(other) == np.sign(value) and abs(other) >= abs(value) / 2
    agrees = kept and excludes_zero(bent.to_frame(AGREES_AT).iloc[0])
    words = "does not keep its sign and at least half its size"
    if kept:
        words = "keeps its sign and at least half its size"
        words += "" if agrees else ", but is too unsure to be told from no change"
    said = f"With a trend that may bend the answer {words}."
    return CheckResult(check, "passed" if agrees else "failed", said, *numbers(first_row(bent)))


def fit(compared: Sequence[Compared]) -> CheckResult:
    """Failed where the mix of others strayed from the place before the start more than twice as far as others stray."""
    known = [c.placebos.fit for c in compared if c.placebos is not None]
    if not known:
        return CheckResult("fit", "informational", "There is no mix of other places to hold beside its past.")
    worst = max(known)
    said = (
        f"Before the start the gap to the others strayed {worst:.1f} times as far as it does in the middle one of them."
    )
    return CheckResult("fit", "passed" if worst <= TOO_POOR else "failed", said, worst)


def leave_one_donor(without: pd.DataFrame) -> CheckResult:
    """Informational: the largest move when one other place is left out."""
    check = "leave_one_donor"
    if without.empty:
        return CheckResult(check, "informational", "No other place could be left out.")
    row = without.loc[without["moved"].abs().idxmax()]
    said = f"Of the other places, leaving out {row['donor']} moves the answer most."
    return CheckResult(check, "informational", said, float(row["estimate"]))


def placebo_places(compared: Sequence[Compared]) -> CheckResult:
    """Informational: how many other places show as large a change by the same method."""
    known = [c for c in compared if c.placebos is not None and not c.reason]
    if not known:
        return CheckResult("placebo_places", "informational", "The method could not be tried in other places.")
    as_large = others = 0
    for c in known:
        assert c.placebos is not None
        gaps = np.abs(c.placebos.gaps[:, c.claimed].mean(axis=1))
        as_large += int((gaps >= abs(c.placebos.mix.gap[c.claimed].mean())).sum())
        others += len(gaps)
    said = f"Of {others} trials in places where nothing began, {as_large} show a change as large."
    return CheckResult("placebo_places", "informational", said, (1 + as_large) / (1 + others))
