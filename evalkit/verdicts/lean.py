"""Lean: what a likely range leaves out, one word beside the verdict, by fixed rules from the range and what matters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

from evalkit.verdicts.evidence import Evidence
from evalkit.vocabulary import Lean

#: From this chance of any benefit (flat prior) a range that rules nothing out leans; no mark makes it a finding.
LEANS_FROM = 0.85
_FIRST: tuple[Lean, ...] = (
    "both_ruled_out", "harm_ruled_out", "benefit_ruled_out", "leans_better", "leans_worse",
)  # fmt: skip


def leans(low: np.ndarray, high: np.ndarray, better: np.ndarray, leans_from: float = LEANS_FROM) -> np.ndarray:
    """(n,) words: the first rule that applies, so that they partition.

    low, high: (n,) ends of the printed range in units of what matters, benefit positive. better: (n,) flat chance of
    any benefit.
    """
    no_harm, no_benefit = np.asarray(low) > -1, np.asarray(high) < 1
    rules = (no_harm & no_benefit, no_harm, no_benefit, better >= leans_from, better <= 1 - leans_from)
    return np.select(rules, _FIRST, "says_nothing").astype(object)


def lean_of_range(span: Sequence[float], matters: float | None, better: float) -> Lean:
    """The word for one range (low, high) in the outcome's unit, benefit positive; '' where an end is missing.

    Without `matters` only the side of zero can be ruled out. better: the flat chance of any benefit.
    """
    low, high = span
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if matters is None:
        return "harm_ruled_out" if low > 0 else "benefit_ruled_out" if high < 0 else "says_nothing"
    word: Lean = leans(np.array([low / matters]), np.array([high / matters]), np.array([better]))[0]
    return word


def lean_of(evidence: Evidence) -> Lean:
    """The word for the evidence on one component and outcome; '' where it has no range."""
    if not evidence.has_interval:
        return ""
    ends = sorted((evidence.good * evidence.conf_low, evidence.good * evidence.conf_high))
    return lean_of_range(
        ends, evidence.margin, flat_chance(evidence.good * evidence.estimate, evidence.std_error, evidence.df)
    )


def flat_chance(estimate: float, std_error: float, df: float) -> float:
    """Chance of any benefit from the data alone, t with `df`; a half where the spread is not known."""
    if not (std_error > 0 and df > 0):
        return 0.5
    return float(stdtr(min(df, 1e10), estimate / std_error))
