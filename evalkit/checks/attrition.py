"""Who is missing: how many were seen later on either side, and between which ends the answer lies if those missing are
the best or the worst off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from evalkit.checks.headline import ALPHA, CheckResult, excludes_zero, first_row, numbers
from evalkit.checks.matched import Rollout
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import Comparison
from evalkit.designs.rollout.sums import add_by
from evalkit.inference.estimate import Estimate

LEAST = 0.005
"""Difference in shares below which nobody is missing from one side more than from the other."""


@dataclass(frozen=True)
class Followed:
    """Shares of those seen before the start that were seen later, with it and without it; p of their difference, NaN
    where it cannot be judged, and is then taken as it is."""

    exposed: float
    comparison: float
    p: float = math.nan

    @property
    def trimmed(self) -> float:
        """Share of the side seen more often whose like is missing on the other side (Lee 2009, equation 3)."""
        most = max(self.exposed, self.comparison)
        return (most - min(self.exposed, self.comparison)) / most if most > 0 else 0.0

    @property
    def differs(self) -> bool:
        return abs(self.exposed - self.comparison) > LEAST and not self.p >= ALPHA


def followed(design: Rollout, study: StudyLike, component: str, lag: int, until: int | None) -> Followed:
    """Shares over event times `lag` .. `until` of every start, each unit seen at the base once for each period; those
    beside a start weigh in each period as those who start, so that who serves for longer does not decide.

    Variances are between clusters, (G / (G - 1)) times squares of what each moves of the difference: those who start by
    how far they are from their own comparison, the others by how far they are from each other.
    """
    contrast = design.contrast(study, component).by_cell()
    seen = np.concatenate([_seen(contrast, c, ok, lag, until) for c, _, ok in contrast.starts])
    later, before = seen[(seen[:, 1].sum(axis=-1) > 0).all(axis=1)].transpose(1, 2, 0, 3)  # (side, start x period, G)
    if not before.size:
        return Followed(math.nan, math.nan)
    weight = before[0].sum(axis=1) / before[0].sum()
    beside = later[1].sum(axis=1) / before[1].sum(axis=1)
    exposed, comparison = float(later[0].sum() / before[0].sum()), float(weight @ beside)
    expected = (beside + exposed - comparison)[:, None]
    moves = ((later[0] - expected * before[0]) / before[0].sum()).sum(axis=0)
    away = (later[1] - beside[:, None] * before[1]) / before[1].sum(axis=1, keepdims=True)
    moves = moves - weight @ away
    return Followed(exposed, comparison, _p(exposed - comparison, moves, before.sum(axis=1) > 0))


def _seen(contrast: Contrast, c: Comparison, ok: np.ndarray, lag: int, until: int | None) -> np.ndarray:
    """(t, 2, 2, G) units of each cluster in each claimed period of one start: seen then and at the base, those who
    start and those beside them."""
    event = np.arange(contrast.n_periods) - c.cohort
    asked = ok & (event >= lag) & (event <= (np.inf if until is None else until))
    mine = np.repeat(np.isin(contrast.reader.path, c.adopters)[:, None], asked.sum(), axis=1)
    sides = (mine, c.match[contrast.reader.path][:, asked])
    column, *read = contrast.reader.heads((c,))
    cluster, counts = contrast.reader.cluster, [n[:, column[0, asked]].astype(float) for n in read]
    size = int(cluster.max(initial=0)) + 1
    return np.array([[add_by(n * side, cluster, size).T for side in sides] for n in counts]).transpose(2, 0, 1, 3)


def _p(difference: float, moves: np.ndarray, there: np.ndarray) -> float:
    """Two-sided p of a difference by what each cluster moves; degrees of freedom one less than the smaller side."""
    count, fewest = int(there.any(axis=0).sum()), int(there.sum(axis=1).min())
    if fewest < 2:
        return math.nan
    error = math.sqrt(count / (count - 1) * float(moves @ moves))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(fewest - 1, -abs(difference) / error))


def trimmed_shifts(values: np.ndarray, share: float) -> tuple[float, float]:
    """By how much the mean of `values` moves, down and up, without the highest and without the lowest `share` of them
    (Lee 2009, Review of Economic Studies 76, proposition 1a); a value at the edge is divided."""
    if share <= 0 or not len(values):
        return 0.0, 0.0
    ordered = np.sort(values)
    keep = (1 - share) * len(ordered)
    left = np.clip(keep - np.arange(len(ordered)), 0.0, 1.0)
    mean = float(ordered.mean())
    return float(ordered @ left / keep) - mean, float(ordered[::-1] @ left / keep) - mean


def stayers(
    headline: Estimate, seen: Followed, values: tuple[np.ndarray, np.ndarray] | None, matters: float | None
) -> CheckResult:
    """Failed where more are missing on one side than chance has it, and what they may have been decides: the interval
    no longer excludes zero at one end, or an answer of no change moves by over half of what matters.

    values: outcomes seen after the start with it, and without it at the time, None where people are added up, so that
    what those missing may have been is not known. The check's number is the difference of
    the shares; its range are the ends of the answer's interval between Lee's bounds, where being seen is taken to
    depend on it one way only (monotone).
    """
    if math.isnan(seen.exposed):
        return CheckResult("stayers", "informational", "Nobody was seen before the start, so that none can be missed.")
    more = seen.exposed > seen.comparison
    words = (
        f"Of those seen before the start, {_of_hundred(seen.exposed)} with it and {_of_hundred(seen.comparison)} "
        "without it were seen later"
    )
    if seen.exposed == seen.comparison == 1:
        words = "All of those seen before the start were seen later, with it and without it"
    difference = seen.exposed - seen.comparison
    row = first_row(headline)
    value, low, high = numbers(row)
    if not seen.differs:
        return CheckResult("stayers", "passed", f"{words}, no more apart than by chance.", difference, low, high)
    if values is None:
        tail = "what those missing may have been is told by every person's own rows, and people are added up here"
        return CheckResult("stayers", "informational", f"{words}; {tail}.", difference, low, high)
    down, up = trimmed_shifts(values[0 if more else 1], seen.trimmed)
    down, up = (down, up) if more else (-up, -down)
    low, high = low + down, high + up
    if excludes_zero(row):
        decides = low <= 0 <= high or value * low < 0
    else:
        decides = max(-down, up) > (matters / 2 if matters is not None else float(row["std_error"]))
    if decides:
        return CheckResult(
            "stayers", "failed", f"{words}, and those missing could account for it.", difference, low, high
        )
    tail = "whoever those missing were, the answer stays the same"
    return CheckResult("stayers", "passed", f"{words}; {tail}.", difference, low, high)


def _of_hundred(share: float) -> str:
    """'92 in 100', finer where it would round to all or none."""
    hundreds = 100 * share
    whole = np.isclose(share, np.round(share), atol=1e-9) or 0.5 <= hundreds <= 99.5
    near = f"{hundreds:.0f}" if whole else f"{hundreds:.1f}"
    return f"{near} in 100"
