"""People: do others affect both kinds alike, is the score of the right form, how much would have to be unrecorded, and
is an effect found where there can be none?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalkit.checks.headline import ALPHA, CheckResult, excludes_zero, first_row, numbers
from evalkit.designs.missing import TIMES
from evalkit.designs.people.flexible import Rival
from evalkit.errors import OptionError, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import holm
from evalkit.inference.replicates import FEWEST
from evalkit.show.words import join_words, of_people
from evalkit.study import Study

ALIKE = "Weighted to be alike in what is recorded, people are alike in its squares and products too."
UNLIKE = (
    "Weighted to be alike in what is recorded, people stay unlike in its squares or products. The answer is right only "
    "if the outcome follows what is recorded along straight lines."
)


def score_form(weighted: Estimate, bends: bool = False) -> CheckResult:
    """Passed where nothing doubts the form of the propensity score behind `weighted`, a weighted comparison.

    Failed where something does (its label `doubt`; adjusted p below 1%) and the headline follows straight lines:
    regression and balance hold while the outcome is linear, which this cannot see. bends: whether the headline's
    learners may bend, so that it does not lean on that, and this informs.
    """
    doubted = str(weighted.label_columns.at("doubt", 0)) != ""
    if doubted and bends:
        return CheckResult("score_form", "informational", f"{UNLIKE} The learners of this answer may bend.")
    return CheckResult("score_form", "failed" if doubted else "passed", UNLIKE if doubted else ALIKE)


def same_people(rivals: Sequence[Rival]) -> CheckResult:
    """Other ways of comparing the same people: failed where one that counts lies over half a standard error from the
    headline, with p below .025 (there are two at most). A straight line is told of, and never fails an answer that may
    bend."""
    counting = [r for r in rivals if r.counts and np.isfinite(r.p)]
    if not counting:
        return CheckResult("rungs", "informational", "No other comparison of the same people could be made.")
    worst = min(counting, key=lambda r: (not r.far, r.p))
    said = (worst.gap, worst.low, worst.high)
    line = next((r for r in rivals if not r.counts and r.p < ALPHA), None)
    bent = f" A straight line would answer {abs(line.gap):.2g} {'less' if line.gap > 0 else 'more'}." if line else ""
    if worst.far and worst.p < ALPHA / 2:
        words = f"Among the same people, {worst.name} gives another answer than chance allows.{bent}"
        return CheckResult("rungs", "failed", words, *said)
    listed = join_words([r.name for r in counting])
    return CheckResult(
        "rungs", "passed", f"Among the same people, others do not differ by more than chance: {listed}.{bent}", *said
    )


def filled_in(study: Study, component: str) -> CheckResult | None:
    """Informational: of how many people a covariate was missing, and what was done; None where none was, or the study
    refuses them. Those of trials are filled with a column that says where, whatever the study says."""
    if study.missing == "refuse" or not study.covariates:
        return None
    paths = study.paths
    on = paths.state[paths.path, :, paths.index(component)].max(axis=1) > 0
    gone, can = study.gaps().any(axis=1), paths.reach[paths.path, paths.index(component)]
    if not (gone & can).any():
        return None
    sides = ((on, "with it"), (~on, "without"))
    counts = [of_people(f"{int((gone & can & side).sum()):,}", words) for side, words in sides]
    how = {
        "indicator": "the mean stands for it, and a column that says so",
        "impute": f"each gap was filled {TIMES} times from what else is on record, and the answers joined",
    }[study.missing]
    return CheckResult("filled_in", "informational", f"A covariate is missing of {counts[0]} and {counts[1]}: {how}.")


GAMMAS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
MOST = 20.0


def _pairs(differences: np.ndarray) -> np.ndarray:
    """Differences that are known and not zero."""
    values = np.asarray(differences, dtype=float)
    return values[np.isfinite(values) & (values != 0)]


def rosenbaum_bounds(differences: np.ndarray, gammas: tuple[float, ...] = GAMMAS) -> pd.DataFrame:
    """Bounds on the one-sided p value of the signed-rank test (treated greater) under hidden bias.

    differences: (pairs,) exposed less comparison; zeros are set aside. gamma: how many times likelier one of two
    matched people may have been to be exposed. Rosenbaum (2002, section 4.3), normal approximation. Columns: gamma,
    p_low, p_high. Raises `OptionError` for gammas below 1 or fewer than two differences that are not zero.
    """
    from scipy import stats

    if any(not np.isfinite(g) or g < 1 for g in gammas):
        raise OptionError(f"gammas={spelt(gammas)}: each is 1 (no hidden bias) or more.")
    values = _pairs(differences)
    if len(values) < 2:
        raise OptionError("Rosenbaum bounds need at least two pairs whose outcomes differ.")
    ranks = stats.rankdata(np.abs(values))
    positive = ranks[values > 0].sum()

    def p_value(share: float) -> float:
        spread = np.sqrt(share * (1 - share) * (ranks**2).sum())
        return float(stats.norm.sf((positive - share * ranks.sum()) / spread))

    rows = [(gamma, p_value(1 / (1 + gamma)), p_value(gamma / (1 + gamma))) for gamma in gammas]
    return pd.DataFrame(rows, columns=["gamma", "p_low", "p_high"])


def tipping_gamma(differences: np.ndarray, alpha: float = ALPHA, most: float = MOST) -> float:
    """The gamma at which the upper bound of the one-sided p value passes `alpha` (sign as the data point to).

    1 when there is nothing to explain away; `most` when even that much would not do.
    """
    from scipy import stats

    values = _pairs(differences)
    if len(values) < 2:
        return 1.0
    ranks = stats.rankdata(np.abs(values))
    if ranks[values > 0].sum() < ranks[values < 0].sum():
        values = -values
    upper = lambda g: float(rosenbaum_bounds(values, (g,))["p_high"].iloc[0])  # noqa: E731
    if upper(1.0) >= alpha:
        return 1.0
    if upper(most) < alpha:
        return most
    low, high = 1.0, most
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if upper(middle) < alpha else (low, middle)
    return low


def e_value(risk_ratio: float) -> float:
    """How strongly (as a risk ratio) something unrecorded must go with exposure and with the outcome to explain a
    risk ratio away: RR + sqrt(RR (RR - 1)), RR inverted below 1 (VanderWeele and Ding 2017)."""
    if not np.isfinite(risk_ratio) or risk_ratio <= 0:
        raise OptionError(f"risk_ratio={spelt(risk_ratio)} is not a positive number.")
    ratio = risk_ratio if risk_ratio >= 1 else 1 / risk_ratio
    return float(ratio + np.sqrt(ratio * (ratio - 1)))


def e_value_of_difference(estimate: float, conf_low: float, conf_high: float, spread: float) -> tuple[float, float]:
    """E-values of a difference in means and of the end of its interval nearest zero, by way of the approximate risk
    ratio exp(0.91 d), d in standard deviations of the outcome (`spread`); 1 where the interval holds zero."""
    if not spread > 0:
        raise OptionError(f"spread={spelt(spread)}: give the outcome's standard deviation, above 0.")
    nearest = 0.0 if conf_low <= 0 <= conf_high else min(conf_low, conf_high, key=abs)
    return tuple(e_value(float(np.exp(0.91 * v / spread))) for v in (estimate, nearest))  # type: ignore[return-value]


def hidden_bias(differences: np.ndarray, alpha: float = ALPHA) -> CheckResult:
    """Informational: how much hidden bias between matched people would explain the result away (`tipping_gamma`).

    differences: (pairs,) exposed less comparison, such as `MatchedComparison.differences` gives.
    """
    gamma = tipping_gamma(differences, alpha)
    if gamma <= 1.0:
        words = "Matched people differ by no more than chance would allow, so there is nothing to explain away."
    elif gamma >= MOST:
        words = (
            "Even somebody 20 times likelier to have had it for reasons nobody recorded would not explain this away."
        )
    else:
        words = (
            "Among people alike on record, something unrecorded that made some of them "
            f"{gamma:.2f} times likelier to have it, and decided the outcome, would explain the result away."
        )
    return CheckResult("hidden_bias", "informational", words, gamma)


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


SMALL = 0.5
"""A gap counts as ruled out when it is surely below this share of what matters: a gap goes straight into the
effect, and one of over half of what matters must not pass for none."""


def by_people(gaps: dict[str, Estimate | None], matters: float | None) -> CheckResult:
    """Passed when each gap between the effects on the two kinds lies inside half of (-matters, matters), seen
    in three places at least on either side; failed when one does not and excludes zero.

    gaps: words for each other component that starts with this one and reaches both kinds, and the
    one-row difference of its effects, None where no start of it allows one. Informational, which the
    verdict counts as not passed, when a gap is too wide to rule out a difference, or cannot be tested.
    """
    if not gaps:
        words = "No other component that reaches both kinds of people starts with it."
        return CheckResult("by_people", "passed", words)
    if matters is None:
        return CheckResult("by_people", "informational", "Nobody has said how large a difference would matter.")
    rows = {w: first_row(e) for w, e in gaps.items() if e is not None}
    rows = {w: r for w, r in rows.items() if np.isfinite(r["conf_low"])}
    apart = [w for w, r in rows.items() if not _inside(r, matters) and excludes_zero(r)]
    if apart:
        words = (
            f"It could not be ruled out that {join_words(apart)} {_affect(apart)} those whom it reaches and those whom"
            " it cannot reach differently: they moved apart where nothing else began."
        )
        return CheckResult("by_people", "failed", words, *numbers(_farthest([rows[w] for w in apart])))
    wide = [w for w, r in rows.items() if not _inside(r, matters)]
    if wide:
        words = (
            f"A difference that matters between the effects of {join_words(wide)} on the two kinds is not ruled out."
        )
        return CheckResult("by_people", "informational", words, *numbers(_farthest([rows[w] for w in wide])))
    if len(rows) < len(gaps):
        unseen = join_words(w for w in gaps if w not in rows)
        words = f"Nowhere can be seen whether the effects of {unseen} on the two kinds of people are alike."
        return CheckResult("by_people", "informational", words)
    return CheckResult("by_people", "passed", f"{join_words(gaps)} {_affect(gaps)} the two kinds of people alike.")


def _farthest(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The gap whose interval leads farthest from none."""
    return max(rows, key=lambda row: max(-row["conf_low"], row["conf_high"]))


def _inside(row: Mapping[str, Any], matters: float) -> bool:
    """Whether the interval rules out a gap that could turn the answer, and rests on enough places to be trusted."""
    margin, fewest = SMALL * matters, min(row["clusters_exposed"], row["clusters_comparison"])
    return bool(-margin < row["conf_low"] and row["conf_high"] < margin and fewest >= FEWEST)


def _affect(several: Collection[str]) -> str:
    return "affects" if len(several) == 1 else "affect"
