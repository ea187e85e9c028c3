"""An order of rollout that chance made (stepped wedge): each cohort, period by period, beside those still without it.

The base is a group's own mean of earlier periods; cohorts and periods weigh n1 n0 / (n1 + n0), or half so and half by
what they tell. The order is made again
to test and, by inversion for an effect that is the same everywhere, to give a range: the statistic is linear in the
outcome, so that of outcomes less an effect v is a - v b, and one set of draws serves every v."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import optimize

CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Wedge:
    """Groups by periods. panel: (G, T) means, NaN where nobody was seen. start: (G,) first period with it, T for none.
    block: (G,) codes of blocks in which the order was dealt. lag: periods before an effect can show: not compared.
    least_noise: whether comparisons weigh half by what they tell."""

    panel: np.ndarray
    start: np.ndarray
    block: np.ndarray
    lag: int = 0
    least_noise: bool = False

    @property
    def periods(self) -> int:
        return self.panel.shape[1]

    def comparisons(self) -> Iterator[tuple[np.ndarray, int, int, np.ndarray]]:
        """Groups of a block, a cohort's start, a period from it on, and (groups,) changes since before, NaN where not
        seen. Where everybody who ever had it had it from the first period on, levels stand in for changes."""
        starts = np.unique(self.start[self.start < self.periods])
        level = bool(len(starts)) and starts.max() == 0
        for block in np.unique(self.block):
            here = np.flatnonzero(self.block == block)
            for start in starts:
                if start == 0 and not level:
                    continue
                base = np.zeros(len(here)) if level else _mean_before(self.panel[here], start)
                for period in range(start + self.lag, self.periods):
                    yield here, int(start), period, self.panel[here, period] - base

    @cached_property
    def weights(self) -> dict[tuple[int, int, int], float]:
        """Weight of each comparison by block, start and period, one in sum; from the order and who was seen alone.

        Of least noise: half the usual weight, and half by the weights, none below 0, of least variance where groups
        have a level of their own and noise is alike. None is below half the usual, so that no period is left out. All
        comparisons are with groups still without it, so that what growing effects do to others cannot enter."""
        keys, lines, usual = [], [], []
        for here, start, period, change in self.comparisons():
            seen = np.isfinite(change)
            mine, rest = here[(self.start[here] == start) & seen], here[(self.start[here] > period) & seen]
            if not (len(mine) and len(rest)):
                continue
            line = np.zeros(self.panel.shape)
            for groups, sign in ((mine, 1.0), (rest, -1.0)):
                line[groups, period] += sign / len(groups)
                before = np.isfinite(self.panel[groups, :start])
                line[groups, :start] -= sign / len(groups) * before / np.maximum(before.sum(axis=1, keepdims=True), 1)
            keys.append((int(self.block[here[0]]), start, period))
            lines.append(line.ravel())
            usual.append(len(mine) * len(rest) / (len(mine) + len(rest)))
        share = np.array(usual) / max(sum(usual), 1e-300)
        if self.least_noise and len(share) > 1:
            share = (share + _least_variance(np.array(lines))) / 2
        return dict(zip(keys, map(float, share), strict=True))

    def statistic(self, starts: np.ndarray, panel: np.ndarray | None = None) -> np.ndarray:
        """(D,) weighted differences under D orders of starts (D, G); of `panel` in place of the outcomes."""
        wedge, weights = self if panel is None else replace(self, panel=panel), self.weights
        top, below = np.zeros(len(starts)), np.zeros(len(starts))
        for here, start, period, change in wedge.comparisons():
            seen = np.isfinite(change)
            change = np.where(seen, change, 0.0)
            mine = (starts[:, here] == start) & seen
            rest = (starts[:, here] > period) & seen
            n1, n0 = mine.sum(axis=1), rest.sum(axis=1)
            both = (n1 > 0) & (n0 > 0)
            usual = n1 * n0 / np.maximum(n1 + n0, 1)
            own = weights.get((int(self.block[here[0]]), start, period), 0.0) if self.least_noise else usual
            weight = np.where(both, own, 0.0)
            top += weight * (mine @ change / np.maximum(n1, 1) - rest @ change / np.maximum(n0, 1))
            below += weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(below > 0, top / below, np.nan))

    def parts(self, effect: float) -> np.ndarray:
        """(G,) what each group adds to the difference, when an effect that is the same everywhere is taken out."""
        on = np.arange(self.periods) >= self.start[:, None] + self.lag
        wedge, out, below = replace(self, panel=self.panel - effect * on), np.zeros(len(self.start)), 0.0
        for here, start, period, change in wedge.comparisons():
            seen = np.isfinite(change)
            mine, rest = here[(self.start[here] == start) & seen], here[(self.start[here] > period) & seen]
            if not (len(mine) and len(rest)):
                continue
            weight = self.weights[int(self.block[here[0]]), start, period]
            own = dict(zip(here, change, strict=True))
            for groups, sign in ((mine, 1.0), (rest, -1.0)):
                values = np.array([own[g] for g in groups])
                out[groups] += sign * weight * (values - values.mean()) / len(groups)
            below += weight
        return out / below if below else out

    def used(self) -> tuple[np.ndarray, np.ndarray, int]:
        """(G,) whether a group stands in some comparison as one with it, and as one still without it; and the last
        period after a start, from 0, that is compared."""
        exposed, waited, last = *np.zeros((2, len(self.start)), dtype=bool), 0
        for here, start, period, change in self.comparisons():
            seen = np.isfinite(change)
            mine, rest = (self.start[here] == start) & seen, (self.start[here] > period) & seen
            if mine.any() and rest.any():
                exposed[here[mine]], waited[here[rest]] = True, True
                last = max(last, period - start)
        return exposed, waited, last


def _mean_before(panel: np.ndarray, start: int) -> np.ndarray:
    """(G,) means of the periods before `start`, NaN where none was seen."""
    seen = np.isfinite(panel[:, :start])
    total = np.where(seen, panel[:, :start], 0.0).sum(axis=1)
    return np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)


def _least_variance(lines: np.ndarray) -> np.ndarray:
    """(k,) weights of comparisons (k, cells), at least 0 and one in sum, of least sum of squares."""
    heavy = 1e4 * np.abs(lines).max()
    rows = np.vstack([lines.T, np.full((1, len(lines)), heavy)])
    weights, _ = optimize.nnls(rows, np.append(np.zeros(lines.shape[1]), heavy))
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class Ordered:
    """A difference, its exact p, and the range of effects that the replayed order does not refuse."""

    value: float
    p: float
    low: float
    high: float


def replay(wedge: Wedge, draws: int, rng: np.random.Generator, level: float = 0.95) -> Ordered:
    """The difference of an order that chance made; p and range by making the order again within blocks."""
    own = float(wedge.statistic(wedge.start[None])[0])
    on = np.where(
        np.isfinite(wedge.panel), np.arange(wedge.periods) >= wedge.start[:, None] + wedge.lag, np.nan
    ).astype(float)
    drawn, slopes = [], []
    step = max(1, CELLS // max(len(wedge.start), 1))
    for first in range(0, draws, step):
        key = rng.random((min(step, draws - first), len(wedge.start)))
        place = np.argsort(wedge.block, kind="stable")
        starts = np.empty(key.shape, dtype=int)
        starts[:, place] = wedge.start[np.argsort(key + 2.0 * wedge.block, axis=1)]
        drawn.append(wedge.statistic(starts))
        slopes.append(wedge.statistic(starts, on))
    a, b = np.concatenate(drawn), np.concatenate(slopes)
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]

    def p_of(effect: float) -> float:
        extreme = np.abs(a - effect * b) >= abs(own - effect) - 1e-10 * max(1.0, abs(own))
        return float((1 + extreme.sum()) / (1 + len(a)))

    spread = float((a - own * b).std()) if len(a) else np.nan
    if not np.isfinite(own) or not np.isfinite(spread) or 1 / (1 + len(a)) > 1 - level:
        return Ordered(own, float("nan"), float("nan"), float("nan"))
    ends = [_edge(p_of, own, sign * spread, 1 - level) for sign in (-1.0, 1.0)]
    return Ordered(own, p_of(0.0), *ends)


def _edge(p_of, own: float, step: float, alpha: float) -> float:  # type: ignore[no-untyped-def]
    """The effect between the difference and eight spreads from it from which on it is refused; infinite where it never
    is."""
    inside, outside = own, own + 8 * step
    if p_of(outside) > alpha:
        return float(np.copysign(np.inf, step))
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if p_of(middle) <= alpha else (middle, outside)
    return (inside + outside) / 2
