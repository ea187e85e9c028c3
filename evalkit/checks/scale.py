"""Does the answer hang on the scale? Places that started at different levels cannot have moved alike both in points and
in proportion (Roth and Sant'Anna 2023, Econometrica 91: 737-747)."""

from __future__ import annotations

import numpy as np

from evalkit.checks.headline import CheckResult, excludes_zero, first_row, numbers
from evalkit.inference.estimate import Estimate

SCALE = "scale"
PART = 0.25
"""Share of what matters by which the scale must move an answer from one side of it to the other."""
PROPORTION = "in proportion to where they started"
HANGS = f"The groups started at different levels, and had they moved {PROPORTION} instead of by the same amount, "
HOLDS = f"It holds whether the groups would have moved by the same amount or {PROPORTION}."


def scale(headline: Estimate, moved_by: Estimate, matters: float | None = None) -> CheckResult:
    """Failed when another scale surely gives another answer, and one that would be said otherwise.

    moved_by: one row, the answer on the other scale less that in points, of the same comparison by the same weights
    (`ScaledRollout.less_points`): due to the scale alone, and nothing but noise where both groups start at one level.
    The headline moved by it, range and all, is the check's own number.

    Fails where `moved_by` excludes zero and, of a claim, the sign turns, over half of it goes, its range reaches zero,
    or it crosses what matters by over a quarter of that; of anything else, the range reaches beyond what matters where
    it did not.
    """
    row, between = first_row(headline), first_row(moved_by)
    shift, *ends = numbers(between)
    value, low, high = (x + shift for x in numbers(row))
    if not np.isfinite(ends).all():
        return CheckResult(SCALE, "informational", "How far the scale moves the answer has no range.", value)
    if excludes_zero(between) and (what := _changed(numbers(row), shift, matters)):
        return CheckResult(SCALE, "failed", f"{HANGS}{what}.", value, low, high)
    return CheckResult(SCALE, "passed", HOLDS, value, low, high)


def _changed(points: tuple[float, float, float], shift: float, matters: float | None) -> str:
    """What would be said otherwise of an answer and its range once moved by `shift`; "" where nothing would."""
    value, low, high = points
    sign, moved = np.sign(value), value + shift
    across = matters is not None and abs(shift) > PART * matters
    if not low <= 0 <= high:
        if sign * moved <= 0:
            return "the change would be the other way"
        if sign * moved < abs(value) / 2:
            return "over half of the change would be gone"
        if low + shift <= 0 <= high + shift:
            return "the likely range would include no change"
        if across and matters is not None and (abs(moved) >= matters) != (abs(value) >= matters):
            return f"the change would be {'smaller than' if abs(moved) < matters else 'as large as'} what matters"
        return ""
    if across and matters is not None and (high < matters <= high + shift or low > -matters >= low + shift):
        return "a change that matters would not be ruled out"
    return ""


def untested(reason: str) -> CheckResult:
    """That the answer could not be set beside one on another scale, and why."""
    return CheckResult(SCALE, "informational", f"It could not be set beside an answer on another scale: {reason}.")
