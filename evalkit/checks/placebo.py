"""Placebo outcomes: the design asked about something the component cannot have moved."""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult, first_row, numbers
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import holm

ALPHA = 0.05


def placebo_outcome(
    placebo: Estimate, margin: float | None, what: str = "an outcome from before the start"
) -> CheckResult:
    """The same design on an outcome that it should not find an effect on.

    placebo: one row. margin: how large a false effect would matter (the headline's `matters`), in the placebo's unit.
    Failed: the interval excludes zero. Passed: it lies inside (-margin, margin). Informational: neither, or no margin:
    nothing was found, but something as large as what matters could have been missed.
    """
    said = numbers(first_row(placebo))
    _, low, high = said
    if not np.isfinite(low):
        return CheckResult("placebo_outcome", "informational", f"No interval could be given for {what}.", *said)
    if low > 0 or high < 0:
        words = f"The design also finds an effect on {what}, which cannot be one: the people compared are not alike."
        return CheckResult("placebo_outcome", "failed", words, *said)
    if margin is None:
        words = f"Nothing shows on {what}; nobody has said how large a false effect would matter."
        return CheckResult("placebo_outcome", "informational", words, *said)
    if -margin < low and high < margin:
        words = f"On {what} the design finds nothing as large as what matters, as it should."
        return CheckResult("placebo_outcome", "passed", words, *said)
    words = f"Nothing shows on {what}, but an effect as large as what matters could have been missed."
    return CheckResult("placebo_outcome", "informational", words, *said)


def negative_control(controls: dict[str, Estimate], margin: float | None = None) -> CheckResult:
    """Several outcomes (or exposures) that should show nothing, p values adjusted over them (Holm).

    controls: one row each. Failed when any adjusted p is below .05; passed when none is and, with a margin, every
    interval lies inside it.
    """
    rows = {name: first_row(est) for name, est in controls.items()}
    usable = {n: r for n, r in rows.items() if np.isfinite(r["p_value"])}
    if not usable:
        words = "No outcome that should show nothing could be estimated."
        return CheckResult("negative_control", "informational", words)
    adjusted = holm(np.array([float(r["p_value"]) for r in usable.values()]))
    worst = int(np.argmin(adjusted))
    name, row = list(usable.items())[worst]
    said = numbers(row)
    if adjusted[worst] < ALPHA:
        words = f"The design finds an effect on {name}, where there can be none: the people compared are not alike."
        return CheckResult("negative_control", "failed", words, *said)
    listed = ", ".join(usable)
    inside = margin is not None and all(-margin < r["conf_low"] and r["conf_high"] < margin for r in usable.values())
    if inside:
        words = f"Nothing as large as what matters shows where nothing should ({listed})."
        return CheckResult("negative_control", "passed", words, *said)
    words = f"Nothing shows where nothing should ({listed}), but the intervals are too wide to rule it out."
    return CheckResult("negative_control", "informational", words, *said)
