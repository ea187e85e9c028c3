"""The search for a rollout: annealing over starts on the screen, the best of several then by the law itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from evalkit.inference.estimate import PRIOR_DF
from evalkit.inference.replicates import satterthwaite
from evalkit.rollouts.brief import Brief
from evalkit.rollouts.kernel import Screen
from evalkit.rollouts.least import Moments, Tables, moments, spread

LOST = 30.0
"""What a component counts, in effects wanted, that nothing can tell."""
ENOUGH = 2
"""Places on either side of every comparison."""
NOTHING = 1e-12
Z80 = 0.8416212335729143


@dataclass(frozen=True, eq=False)
class Score:
    """(K,) detectable effects by the screen, and how many places on either side are lacking, over event times."""

    detectable: np.ndarray
    lacking: np.ndarray


class Search:
    """One search. variables: (V,) a component of each group that starts together."""

    def __init__(self, brief: Brief, seed: int) -> None:
        self.brief, self.screen, self.rng = brief, Screen.of(brief), np.random.default_rng(seed)
        self.groups = [np.flatnonzero(brief.groups == g) for g in np.unique(brief.groups)]
        wanted = brief.wanted
        self.wanted = np.where(np.isnan(wanted), np.nanmean(wanted) if np.isfinite(wanted).any() else 1.0, wanted)
        self.heads = [g[0] for g in self.groups]

    # ------------------------------------------------------------ what is allowed

    @cached_property
    def domain(self) -> list[list[np.ndarray]]:
        """Starts allowed of every place (P) and group, T for never."""
        b, out = self.brief, []
        for i in range(len(b.places)):
            row = []
            for g in self.groups:
                low, high = int(b.low[i, g].max()), int(b.high[i, g].min())
                may = np.arange(low, high + 1)
                row.append(np.append(may, b.T) if b.never[i, g].all() and low < b.T else may)
            out.append(row)
        return out

    @cached_property
    def free(self) -> list[tuple[int, int]]:
        """Places and groups that have a choice."""
        return [(i, v) for i, row in enumerate(self.domain) for v, d in enumerate(row) if len(d) > 1]

    def fits(self, starts: np.ndarray) -> bool:
        """Whether no period has more starts than it may; starts that nothing can change are not counted against it."""
        b = self.brief
        total = np.zeros(b.T + 1, dtype=np.int64)
        for g in self.groups:
            count = np.bincount(starts[:, g[0]], minlength=b.T + 1)
            total += count
            if (count[b.past : b.T] > b.most[g].min()).any():
                return False
        return not (total[b.past : b.T] > b.most_in_all).any()

    def random(self, tries: int = 200) -> np.ndarray | None:
        """Starts at random, one after another, each where there is room; None where none was found."""
        b = self.brief
        for _ in range(tries):
            starts = np.full((len(b.places), len(b.components)), b.T)
            room = np.minimum.outer(np.array([b.most[g].min() for g in self.groups]), np.full(b.T + 1, 10**6))
            room[:, b.T] = 10**6
            whole = np.full(b.T + 1, b.most_in_all)
            whole[b.T] = 10**6
            order = sorted(((i, v) for i in range(len(b.places)) for v in range(len(self.groups))),
                           key=lambda a: (len(self.domain[a[0]][a[1]]), self.rng.random()))  # fmt: skip
            for i, v in order:
                may = self.domain[i][v]
                may = may[((room[v, may] > 0) & (whole[may] > 0)) | (may < b.past)]
                if not len(may):
                    break
                at = int(self.rng.choice(may))
                starts[i, self.groups[v]] = at
                room[v, at] -= 1
                whole[at] -= 1
            else:
                return starts
        return None

    # ------------------------------------------------------------ what it is worth

    def score(self, starts: np.ndarray, full=False) -> Score:
        """Every component's detectable effect by the screen."""
        cells, K = self.screen.cells(starts), len(self.brief.components)
        found, lacking = np.full(K, np.inf), np.zeros(K)
        for g in self.groups:
            W, seen = self.screen.weights(cells, g[0])
            counts = seen.sum(axis=2)
            lacking[g] = np.maximum(ENOUGH - counts, 0).sum() + 3 * self._hangs_on_one(seen)
            if seen.any():
                spread = self.least(starts, g[0], seen[:, 0]) if self.screen.alone else self.screen.spread(W)
                exposed = seen[:, 0].any(axis=0)
                m = Moments(spread, spread, spread)
                if full:
                    m = moments(starts, g[0], seen[:, 0], self.brief.people, self.tables[g[0]])
                if m is not None: found[g] = _detectable(m, exposed)
        return Score(found, lacking)

    def least(self, starts: np.ndarray, k: int, ok: np.ndarray) -> np.ndarray:
        t = self.tables[k]
        return spread(starts, k, np.ascontiguousarray(ok), self.brief.people, t.size, t.steps, t.asks, t.own, 40)

    @cached_property
    def tables(self):
        made = {int(lag): Tables.of(self.brief, self.screen.shocks, self.screen.person, int(lag)) for lag in np.unique(self.brief.lags)}
        return [made[int(lag)] for lag in self.brief.lags]

    def _hangs_on_one(self, seen: np.ndarray) -> int:
        """Whether too few places carry everything: three on both sides taken together."""
        return int(seen.any(axis=(0, 1)).sum() < 3)

    def loss(self, starts: np.ndarray, full=False) -> float:
        """(mean over components of (detectable / wanted)^4)^(1/4): near the worst of them, yet smooth."""
        s = self.score(starts, full)
        each = np.minimum(s.detectable / self.scale, LOST) * (1 + 0.25 * s.lacking)
        return float(np.mean(each[self.heads] ** 4) ** 0.25)

    @cached_property
    def scale(self) -> np.ndarray:
        """(K,) what a detectable effect is measured in: the effect wanted, in units of the smallest."""
        return self.wanted / self.wanted.min()

    # ------------------------------------------------------------ moves

    def moved(self, starts: np.ndarray) -> np.ndarray:
        """Other starts nearby: one place's start elsewhere, as in another place, or exchanged with it; a whole row."""
        out, rng = starts.copy(), self.rng
        i, v = self.free[rng.integers(len(self.free))]
        g, j = self.groups[v], rng.integers(len(starts))
        kind = rng.random()
        if kind < 0.3:
            out[i, g] = rng.choice(self.domain[i][v])
        elif kind < 0.5:
            out[i, g] = starts[i, g[0]] + rng.integers(-3, 4)
        elif kind < 0.7:
            out[i, g] = starts[j, g[0]]
        elif kind < 0.9:
            out[i, g], out[j, g] = starts[j, g[0]], starts[i, g[0]]
        else:
            for w, other in enumerate(self.groups):
                if w != v:
                    out[i, other] = starts[j, other[0]]
        return out

    def allowed(self, starts: np.ndarray) -> bool:
        """Whether every start is one of those allowed, and no period has too many."""
        b = self.brief
        inside = (starts >= b.low) & (starts <= b.high) | ((starts == b.T) & b.never)
        return bool(inside.all()) and self.fits(starts)

    def anneal(self, starts: np.ndarray, steps: int, hot: float = 0.15, cold: float = 0.003, full=False) -> tuple[np.ndarray, float]:
        """The best rollout met on the way from `starts`, and its loss."""
        now, best = self.loss(starts, full), None
        best = (starts, now)
        for step in range(steps):
            heat = hot * (cold / hot) ** (step / steps)
            trial = self.moved(starts)
            if not self.allowed(trial):
                continue
            value = self.loss(trial, full)
            if value < now or self.rng.random() < np.exp((now - value) / (heat * now)):
                starts, now = trial, value
                if value < best[1]:
                    best = (trial, value)
        return best


def _detectable(found: Moments, exposed: np.ndarray) -> float:
    """Detectable effect by the expected moderated interval (`inference/estimate.py`), t where its width is random."""
    spread, only = found.spread, (found.spread > NOTHING) & ~exposed
    n1, n0, V = int(exposed.sum()), int(only.sum()), float(found.spread.sum())
    prior = min(max(min(n1, n0) - 1.0, 1.0), PRIOR_DF)
    used = exposed | only
    square = found.shift * (used.sum() - 1) / used.sum()
    df = float(satterthwaite(square[exposed].sum(), square[only].sum(), n1, n0))
    least, most = found.influence.sum(), square[used].sum()
    width = (prior + df * np.sqrt(min(least, most) * most) / V) / (prior + df)
    c = stdtrit(prior + df, 0.975) * np.sqrt(width)
    return float((c + Z80 * np.sqrt(1 + c**2 / (2 * (prior + df)))) * np.sqrt(V))
