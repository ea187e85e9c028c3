"""Stayers: of those seen at base, the share still seen later, in each arm."""

from __future__ import annotations

from evalkit.checks.result import CheckResult

APART = 0.10


def stayers(exposed: float, comparison: float) -> CheckResult:
    """Failed when the two shares differ by more than ten points: those left are then no longer alike."""
    words = (
        f"Of those seen before the start, {round(100 * exposed)} in 100 with it "
        f"and {round(100 * comparison)} in 100 without it were seen later."
    )
    status = "failed" if abs(exposed - comparison) > APART else "passed"
    return CheckResult("stayers", status, words, exposed - comparison)
