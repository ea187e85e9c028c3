"""Date rule: does the answer hang on how part-way and uncertain dates are read?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.material import moved
from evalkit.checks.result import CheckResult
from evalkit.inference.estimate import Estimate
from evalkit.show.words import join_words


def date_rule(headline: Estimate, readings: dict[str, Estimate | None], matters: float | None = None) -> CheckResult:
    """Failed when another reading gives another answer (see `moved`), or changes whether the interval
    excludes zero.

    readings: words for each other reading, and its estimate (one row; None where it has none).
    """
    if not readings:
        return CheckResult("date_rule", "passed", "No date is uncertain or part-way.")
    frame = headline.to_frame()
    value = float(frame["estimate"][0])
    given = {w: e for w, e in readings.items() if e is not None and np.isfinite(e.value[0])}
    if not given:
        return CheckResult(
            "date_rule", "informational", "The other readings of dates leave nothing to compare."
        )
    values = {w: float(e.value[0]) for w, e in given.items()}
    low, high = min([value, *values.values()]), max([value, *values.values()])
    changed = [w for w, e in given.items() if _differs(headline, e, matters)]
    if changed:
        words = f"The answer changes with {join_words(changed, 'or')}."
        return CheckResult("date_rule", "failed", words, value, low, high)
    words = f"The answer is much the same with {join_words(given, 'or')}."
    return CheckResult("date_rule", "passed", words, value, low, high)


def _differs(a: Estimate, b: Estimate, matters: float | None) -> bool:
    return bool(moved(a, b.value, matters)[0]) or _side(a) != _side(b)


def _side(est: Estimate) -> int:
    """1 or -1 where the interval excludes zero, else 0."""
    frame = est.to_frame()
    if frame["conf_low"][0] > 0:
        return 1
    return -1 if frame["conf_high"][0] < 0 else 0
