"""Who was asked: where people are new each period, did their mix change with the component?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evalkit.checks.headline import ALPHA, CheckResult, first_row, moved, numbers
from evalkit.inference.estimate import Estimate
from evalkit.show.numbers import percent
from evalkit.show.words import join_words

NOTHING_KNOWN = (
    "Other people were asked in each period, and nothing is on record about them that could show whether their mix "
    "changed with it."
)


def shifted(shifts: Mapping[str, Estimate]) -> list[str]:
    """Covariates whose mean among those asked moved with the component by more than chance (Bonferroni).

    shifts: the headline's comparison read on each covariate in place of the outcome, one row each.
    """
    p = {name: float(first_row(one)["p_value"]) for name, one in shifts.items()}
    return [name for name, value in p.items() if value * len(p) < ALPHA]


def composition(
    headline: Estimate, shifts: Mapping[str, Estimate], other: Estimate | None, matters: float | None, alike: bool,
    gone: float = 0.0,
) -> CheckResult:  # fmt: skip
    """Failed where who was asked changed with the component, and the answer for people alike is another one (`moved`).

    shifts: as in `shifted`. other: the answer with the other kind of means, None where there is none; alike: whether
    the headline is the one for people alike in their covariates. gone: share of those asked of whom one is missing.
    """
    found = _judged(headline, shifts, other, matters, alike)
    if not gone > 0:
        return found
    left = f"Of {percent(gone)} of those asked a covariate is missing: means of people alike leave them out."
    return replace(found, words=f"{found.words} {left}")


def _judged(
    headline: Estimate, shifts: Mapping[str, Estimate], other: Estimate | None, matters: float | None, alike: bool
) -> CheckResult:
    check = "composition"
    usable = {name: one for name, one in shifts.items() if np.isfinite(first_row(one)["p_value"])}
    if not usable:
        return CheckResult(check, "informational", NOTHING_KNOWN)
    changed = shifted(usable)
    if not changed:
        words = (
            f"Who was asked did not change with it by more than chance, as far as is on record: {join_words(usable)}."
        )
        return CheckResult(check, "passed", words)
    which = join_words([f"{name} by {float(usable[name].value[0]):+.2g}" for name in changed])
    words = f"Who was asked changed with it: {which}."
    if other is None:
        return CheckResult(check, "failed", f"{words} Nothing allows for that.")
    said = numbers(first_row(other))
    which_other = "of whoever was asked" if alike else "for people alike"
    if moved(headline, other.value, matters)[0]:
        return CheckResult(check, "failed", f"{words} The answer {which_other} is another one.", *said)
    words = f"{words} The answer {which_other} is much the same, as far as is on record."
    return CheckResult(check, "informational", words, *said)
