"""Others still growing: would comparing only places long alike change the headline?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate, stack

CHECK = "others_still_growing"


def others_still_growing(
    headline: Estimate,
    long_alike: Estimate | None,
    matters: float | None,
    levels_differ: bool = False,
    growth: Estimate | None = None,
) -> CheckResult:
    """Failed when the headline differs by over matters / 2, or over two standard errors of the difference, from
    the same with `lookback` as long as its window; or when `growth`, what other components' own estimated growth
    adds to it (`growth_of_others`), is as large as that.

    levels_differ: the two sides have different other components (`others="unchanged"`). Then growth that
    nobody can look for counts as failed: it would go straight into the estimate.
    """
    seen = _by_long_alike(headline, long_alike, matters)
    own = None if growth is None else _by_own_growth(growth, matters)
    if "failed" in (seen.status, own.status if own else ""):
        return seen if seen.status == "failed" or own is None else own
    if seen.status == "informational" and levels_differ:
        words = (
            "The places compared have different other components, and none had stood still for long enough "
            "to see whether those were still growing."
        )
        return CheckResult(CHECK, "failed", words, seen.estimate)
    return own if own is not None and seen.status == "informational" else seen


def _by_long_alike(headline: Estimate, long_alike: Estimate | None, matters: float | None) -> CheckResult:
    if long_alike is None or not np.isfinite(long_alike.value[0]):
        words = "No places had been alike for long enough to see whether earlier components were still growing."
        return CheckResult(CHECK, "informational", words)
    frame = stack(headline, long_alike).contrast([1.0, -1.0], name="headline less long alike").to_frame()
    diff, low, high, se = (float(frame[c][0]) for c in ("estimate", "conf_low", "conf_high", "std_error"))
    if not np.isfinite(se) and abs(diff) > 0:
        words = "Places alike for long before the start are too few for the difference to be judged."
        return CheckResult(CHECK, "informational", words, diff)
    if _far(diff, se, matters):
        words = (
            "The answer changes when only places that had long been alike are compared, "
            "so earlier components may still have been growing."
        )
        return CheckResult(CHECK, "failed", words, diff, low, high)
    words = "The answer is much the same when only places that had long been alike are compared."
    return CheckResult(CHECK, "passed", words, diff, low, high)


def _by_own_growth(growth: Estimate, matters: float | None) -> CheckResult:
    row = growth.to_frame(inference="analytic").iloc[0]
    part, low, high, se = (float(row[c]) for c in ("estimate", "conf_low", "conf_high", "std_error"))
    if not np.isfinite(part):
        return CheckResult(CHECK, "informational", f"No places had long been alike, and {row['reason']}.")
    if _far(part, se, matters):
        words = "Other components began at other times on the two sides, and by their own growth move the answer."
        return CheckResult(CHECK, "failed", words, part, low, high)
    words = "Other components began at other times on the two sides, but their own growth hardly moves the answer."
    return CheckResult(CHECK, "passed", words, part, low, high)


def _far(difference: float, std_error: float, matters: float | None) -> bool:
    return (matters is not None and abs(difference) > matters / 2) or abs(difference) > 2 * std_error
