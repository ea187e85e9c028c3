"""Rungs: do other fair designs, on the same people, give another answer?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate, stack
from evalkit.show.words import design_words, join_words

ALPHA = 0.05


def rungs(headline: Estimate, others: dict[str, Estimate]) -> CheckResult:
    """Failed when a stacked difference from another rung is surer than chance (Bonferroni over rungs).

    headline and others: one row each, on the same outcome; the difference carries their joint
    covariance, so that shared units are not counted twice.
    """
    usable = {name: est for name, est in others.items() if np.isfinite(est.value[0])}
    if not usable:
        return CheckResult("rungs", "informational", "No other design could be run beside this one.")
    tests = {name: _difference(headline, est) for name, est in usable.items()}
    name = min(tests, key=lambda n: tests[n][3])
    diff, low, high, p = tests[name]
    if not np.isfinite(p):
        return CheckResult(
            "rungs", "informational", "The difference from the other designs has no interval.", diff, low, high
        )
    if p * len(tests) < ALPHA:
        words = f"The answer differs by more than chance from that of another comparison: {design_words(name)}."
        return CheckResult("rungs", "failed", words, diff, low, high)
    listed = join_words([design_words(n) for n in usable])
    return CheckResult(
        "rungs",
        "passed",
        f"Other ways of comparing do not differ by more than chance: {listed}.",
        diff,
        low,
        high,
    )


def _difference(a: Estimate, b: Estimate) -> tuple[float, float, float, float]:
    both = stack(a, b)
    frame = both.contrast([1.0, -1.0], name="headline less the other rung").to_frame()
    p = float(frame["p_value"][0])
    return (
        float(frame["estimate"][0]),
        float(frame["conf_low"][0]),
        float(frame["conf_high"][0]),
        p if np.isfinite(p) else np.inf,
    )
