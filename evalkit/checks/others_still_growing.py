"""Others still growing: would comparing only places long alike change the headline?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate, stack


def others_still_growing(
    headline: Estimate, long_alike: Estimate | None, matters: float | None, levels_differ: bool = False
) -> CheckResult:
    """Failed when the headline differs by over matters / 2, or over two standard errors of the
    difference, from the same with `lookback` as long as its window.

    levels_differ: the two sides have different other components (`others="unchanged"`). Then growth that
    nobody can look for counts as failed: it would go straight into the estimate.
    """
    if long_alike is None or not np.isfinite(long_alike.value[0]):
        if levels_differ:
            words = (
                "The places compared have different other components, and none had stood still for long enough "
                "to see whether those were still growing."
            )
            return CheckResult("others_still_growing", "failed", words)
        words = "No places had been alike for long enough to see whether earlier components were still growing."
        return CheckResult("others_still_growing", "informational", words)
    frame = stack(headline, long_alike).contrast([1.0, -1.0], name="headline less long alike").to_frame()
    diff, low, high, se = (float(frame[c][0]) for c in ("estimate", "conf_low", "conf_high", "std_error"))
    if not np.isfinite(se) and abs(diff) > 0:
        words = "Places alike for long before the start are too few for the difference to be judged."
        return CheckResult("others_still_growing", "failed" if levels_differ else "informational", words, diff)
    far = (matters is not None and abs(diff) > matters / 2) or abs(diff) > 2 * se
    if far:
        words = (
            "The answer changes when only places that had long been alike are compared, "
            "so earlier components may still have been growing."
        )
        return CheckResult("others_still_growing", "failed", words, diff, low, high)
    words = "The answer is much the same when only places that had long been alike are compared."
    return CheckResult("others_still_growing", "passed", words, diff, low, high)
