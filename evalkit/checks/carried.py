"""Is anything left of a component after it was switched off? Then later starts are compared with what it left."""

from __future__ import annotations

import numpy as np

from evalkit.checks.headline import CheckResult, excludes_zero, first_row, numbers
from evalkit.inference.estimate import Estimate

UNSEEN = "Whether anything of it was left after it was switched off cannot be looked for: {why}."


def carry_over(carried: Estimate | None, matters: float | None, again: bool, why: str = "") -> CheckResult:
    """Failed where something of it is surely left after its end, and the answer rests on places that began again.

    carried: what is left after the end, one row; None where it cannot be estimated, and `why`. again: whether starts
    after an earlier spell are in the answer.
    """
    check = "carry_over"
    if carried is None or not np.isfinite(first_row(carried)["conf_low"]):
        reason = why or (str(carried.label_columns.at("reason", 0)) if carried is not None else "") or "too few places"
        return CheckResult(check, "informational", UNSEEN.format(why=reason.rstrip(".")))
    row = first_row(carried)
    said = numbers(row)
    if excludes_zero(row):
        words = "After it was switched off, some of its effect was still there."
        if again:
            return CheckResult(check, "failed", f"{words} Places that began again are compared with that.", *said)
        return CheckResult(check, "informational", f"{words} No place is compared with that.", *said)
    if matters is not None and -matters < row["conf_low"] and row["conf_high"] < matters:
        return CheckResult(check, "passed", "After it was switched off, nothing that matters was left of it.", *said)
    return CheckResult(check, "informational", "Whether anything was left after its end is too unsure to say.", *said)
