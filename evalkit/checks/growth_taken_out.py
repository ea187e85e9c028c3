"""Growth taken out: is it still an answer without what other components' growth adds to it?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate

CHECK = "growth_taken_out"
NOTHING = (
    "Every other component had been going for as long on both sides, or had not begun: there is no growth to take out."
)
UNSEEN = "How the other components grew cannot be estimated here, so that it cannot be taken out."


def growth_taken_out(headline: Estimate, growth: Estimate | None) -> CheckResult:
    """Failed when an interval that excludes zero includes it once `growth`, a row of `growth_of_others`, is taken out.

    The check's own numbers are the headline less the growth, with the headline's interval moved by as much. None
    as growth means that there is none to take out.
    """
    if growth is None:
        return CheckResult(CHECK, "passed", NOTHING)
    part = float(growth.value[0])
    if not np.isfinite(part):
        return CheckResult(CHECK, "informational", UNSEEN)
    row = headline.to_frame().iloc[0]
    value, low, high = (float(row[c]) - part for c in ("estimate", "conf_low", "conf_high"))
    claims = row["conf_low"] > 0 or row["conf_high"] < 0
    gone = low <= 0 <= high or value * float(row["estimate"]) < 0
    if claims and gone:
        words = "Without the growth of other components, as they themselves grew, it could be no change."
        return CheckResult(CHECK, "failed", words, value, low, high)
    words = "The answer says the same without the growth of other components, as they themselves grew."
    return CheckResult(CHECK, "passed", words, value, low, high)
