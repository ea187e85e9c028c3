"""Checks of what chance assigned: were the arms alike before, were as many seen after, and who took it up?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.headline import ALPHA, CheckResult, excludes_zero, first_row
from evalkit.designs.trials.extras import Compliers
from evalkit.designs.trials.randomised import Attrition, Balance
from evalkit.inference.estimate import Estimate

UNLIKE = 0.01
"""Chance of arms so unlike below which a deal is doubted: one deal in a hundred is doubted for nothing."""


def balance(found: Balance | None) -> CheckResult:
    """Failed where arms that chance made would hardly ever be so unlike: then something other than chance chose."""
    if found is None or not np.isfinite(found.p):
        words = "Nothing is on record from before that could show whether chance made the arms alike."
        return CheckResult("balance", "informational", words)
    worst = found.table.loc[found.table["difference"].abs().fillna(0).idxmax()]
    gap = f"the largest difference is in {worst['covariate']}, {abs(worst['difference']):.2g} standard deviations"
    if found.p < UNLIKE:
        words = f"Arms made by the recorded deal would be so unlike in about {found.p:.1%} of deals: {gap}."
        return CheckResult(
            "balance", "failed", words, found.p, brief=f"Arms that chance made are seldom so unlike: {gap}."
        )
    return CheckResult("balance", "passed", f"The arms are as alike as chance makes them: {gap}.", found.p)


def attrition(headline: Estimate, found: Attrition | None) -> CheckResult:
    """Failed where the arms were not seen alike (p below .05) and the range of bounds on the effect (Lee 2009) no
    longer excludes zero, as the headline's does; without a claim there is nothing to lose, and it informs."""
    if found is None:
        return CheckResult("attrition", "passed", "Everybody's outcome was seen, or counts in every period that was.")
    seen = f"Of those dealt it {round(100 * found.seen)} in 100 were seen, of the others {round(100 * found.seen_else)}"
    said = (0.5 * (found.low + found.high), found.conf_low, found.conf_high)
    if not found.p < ALPHA:
        return CheckResult("attrition", "passed", f"{seen}: no more unlike than by chance.", *said)
    if not np.isfinite(found.conf_low):
        return CheckResult("attrition", "failed", f"{seen}: too few to say what those unseen could hide.")
    holds = found.conf_low > 0 or found.conf_high < 0
    if holds:
        return CheckResult(
            "attrition", "informational", f"{seen}; whoever they were, the sign of the answer stays.", *said
        )
    words = f"{seen}; with what those unseen could hide, it could be nothing."
    claims = excludes_zero(first_row(headline))
    return CheckResult("attrition", "failed" if claims else "informational", words, *said)


def compliance(found: Compliers | None) -> CheckResult | None:
    """Informational: who took it up, and the effect on those who did because it was dealt to them; None where that is
    not on record."""
    if found is None:
        return None
    taken = f"Of those dealt it {_hundred(found.taken)} in 100 took it up, of the others {_hundred(found.taken_else)}"
    whose = "The effect on those who took it up because of that"
    if found.dose:
        taken = f"Those dealt it took up {found.taken:.3g} of it on average, the others {found.taken_else:.3g}"
        whose = "The effect of each one of it, on those who took up more because of that,"
    if found.taken <= found.taken_else:
        words = f"{taken}: nothing can be said of those who took it up because it was dealt to them."
        return CheckResult("compliance", "informational", words)
    if found.shape == "interval":
        words = f"{taken}. {whose} is {found.value:.3g} "
        words += f"({found.low:.3g} to {found.high:.3g})."
        return CheckResult("compliance", "informational", words, found.value, found.low, found.high)
    words = f"{taken}: too few because of the deal to say what it did for them."
    return CheckResult("compliance", "informational", words)


def _hundred(share: float) -> int:
    return round(100 * share)
