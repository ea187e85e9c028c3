"""Score form: once people are weighted to be alike on record, are they in its squares and products too?"""

from __future__ import annotations

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate

CHECK = "score_form"
ALIKE = "Weighted to be alike in what is recorded, people are alike in its squares and products too."
UNLIKE = (
    "Weighted to be alike in what is recorded, people stay unlike in its squares or products. The answer is right only "
    "if the outcome follows what is recorded along straight lines."
)


def score_form(weighted: Estimate) -> CheckResult:
    """Passed where nothing doubts the form of the propensity score behind `weighted`, a weighted comparison.

    Informational where something does (its label `doubt`; adjusted p below 1%): regression and balance hold
    while the outcome is linear, which this cannot see.
    """
    doubted = str(weighted.labels["doubt"].iloc[0]) != ""
    return CheckResult(CHECK, "informational" if doubted else "passed", UNLIKE if doubted else ALIKE)
