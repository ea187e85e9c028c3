"""The search for a rollout: annealing over starts on the screen, then downhill by the interval that is expected."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from evalkit.inference.estimate import PRIOR_DF
from evalkit.inference.replicates import satterthwaite
from evalkit.rollouts.brief import Brief
from evalkit.rollouts.compiled import COMPILED, quick
from evalkit.rollouts.kernel import Cells, Screen
from evalkit.rollouts.least import Moments, System, Tables, spread

LOST = 30.0
"""What a component counts, in effects wanted, that nothing can tell."""
SMOOTH, WORST = 4, 16
"""Powers by which components are averaged: smooth while an order is looked for, and in the end little but the worst."""
NEAR = 0.92
"""Of the bar: how good an order must be by the quick reckoning to be worked out in full."""
ENOUGH = 2
"""Places on either side at every event time."""
NOTHING = 1e-12
Z80 = 0.8416212335729143
ROUNDS = 40
"""Of conjugate gradients."""


class Search:
    """Starts that a brief allows, what they are worth, and the way to better ones. weights: of `StaggeredRollout`."""

    def __init__(self, brief: Brief, seed: int, weights: str = "least_noise") -> None:
        self.brief, self.screen, self.rng = brief, Screen.of(brief), np.random.default_rng(seed)
        self.groups = [np.flatnonzero(brief.groups == g) for g in np.unique(brief.groups)]
        self.told = [g for g in self.groups if brief.asked[g].any()]
        self.most = [int(brief.most[g].min()) for g in self.groups]
        self.least = weights == "least_noise" and self.screen.alone
        self.moderated = weights == "least_noise"
        wanted, said = brief.wanted, np.isfinite(brief.wanted)
        filled = np.where(said, wanted, wanted[said].mean() if said.any() else 1.0)
        self.scale = filled / filled.min()

    # ------------------------------------------------------------ what is allowed

    @cached_property
    def domain(self) -> list[list[np.ndarray]]:
        """Starts allowed for every place and group, T for never; empty where its members contradict each other."""
        b, out = self.brief, []
        for i in range(len(b.places)):
            row = []
            for g in self.groups:
                low, high = int(b.low[i, g].max()), int(b.high[i, g].min())
                may = np.arange(low, high + 1)
                row.append(np.append(may, b.T) if b.never[i, g].all() and high < b.T else may)
            out.append(row)
        return out

    @cached_property
    def free(self) -> list[tuple[int, int]]:
        """Places and groups that have a choice."""
        return [(i, v) for i, row in enumerate(self.domain) for v, d in enumerate(row) if len(d) > 1]

    def allowed(self, starts: np.ndarray) -> bool:
        """Whether every start is one of those allowed, and no period from now on has too many."""
        b = self.brief
        if not (((starts >= b.low) & (starts <= b.high)) | ((starts == b.T) & b.never)).all():
            return False
        total = np.zeros(b.T + 1, dtype=np.int64)
        for g, most in zip(self.groups, self.most, strict=True):
            count = np.bincount(starts[:, g[0]], minlength=b.T + 1)
            total += count
            if count[b.past : b.T].max(initial=0) > most:
                return False
        return bool(total[b.past : b.T].max(initial=0) <= b.most_in_all)

    def random(self, tries: int = 200) -> np.ndarray | None:
        """Starts at random, one after another, each where there is room; None where none was found."""
        b, many = self.brief, 10**6
        for _ in range(tries):
            starts = np.full((len(b.places), len(b.components)), b.T)
            room = np.tile(np.array([self.most]).T, (1, b.T + 1))
            whole = np.full(b.T + 1, b.most_in_all)
            room[:, b.T] = whole[b.T] = many
            room[:, : b.past] = whole[: b.past] = many
            turns = [(len(d), self.rng.random(), i, v) for i, row in enumerate(self.domain) for v, d in enumerate(row)]
            for _, _, i, v in sorted(turns):
                may = self.domain[i][v]
                may = may[(room[v, may] > 0) & (whole[may] > 0)]
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

    def detectable(self, starts: np.ndarray, full: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(K,) detectable effects by the screen, and places lacking on either side, over event times. full: with the
        expected squares of refits and influence; else as if each were the variance."""
        cells, K = self.screen.cells(starts), len(self.brief.components)
        found, lacking = np.full(K, np.inf), np.zeros(K)
        for g in self.told:
            W, seen = self.screen.weights(cells, g[0])
            lacking[g] = np.maximum(ENOUGH - seen.sum(axis=2), 0).sum()
            if seen.any():
                made = self._moments(starts, cells, g[0], W, seen, full)
                if made is not None:
                    found[g] = expected(made, np.asarray(seen[:, 0].any(axis=0)), self.moderated)
        return found, lacking

    def _moments(
        self, starts: np.ndarray, cells: Cells, k: int, W: np.ndarray, seen: np.ndarray, full: bool
    ) -> Moments | None:
        heads, tables, ok = self.brief.people, self.tables[k], np.ascontiguousarray(seen[:, 0])
        if not self.least:
            own = self.screen.spread(W)
            if not full:
                return Moments(own, own, own)
            shift = self.screen.shifts(cells, k, W)
            return None if shift is None else Moments(own, shift, own)
        if full:
            return System.of(starts, k, ok, heads, tables).moments()
        if COMPILED:
            own = spread(starts, k, ok, heads, tables.size, tables.steps, tables.asks, tables.own, ROUNDS)
        else:
            own = System.of(starts, k, ok, heads, tables).spread()
        return Moments(own, own, own)

    @cached_property
    def tables(self) -> list[Tables]:
        """Of every component: those of the same lag share one."""
        b, s = self.brief, self.screen
        made = {lag: Tables.of(b, s.shocks, s.person, lag) for lag in {int(x) for x in b.lags}} if self.least else {}
        return [made[int(lag)] if made else _NO_TABLES for lag in b.lags]

    def loss(self, starts: np.ndarray, full: bool = False, power: int = SMOOTH) -> float:
        """(mean over components of (detectable / wanted)^power)^(1/power): near the worst, yet smooth. An effect
        counts in units of the smallest that is wanted."""
        found, lacking = self.detectable(starts, full)
        each = np.minimum(found / self.scale, LOST) * (1 + 0.25 * lacking)
        return float(np.mean([each[g[0]] ** power for g in self.told]) ** (1 / power))

    # ------------------------------------------------------------ the way to better ones

    def moved(self, starts: np.ndarray) -> np.ndarray:
        """Other starts nearby: one place's start elsewhere, as in another place, or exchanged with it; a whole row."""
        out, rng = starts.copy(), self.rng
        i, v = self.free[rng.integers(len(self.free))]
        g, j, kind = self.groups[v], rng.integers(len(starts)), rng.random()
        if kind < 0.3:
            out[i, g] = rng.choice(self.domain[i][v])
        elif kind < 0.5:
            out[i, g] += rng.integers(-3, 4)
        elif kind < 0.7:
            out[i, g] = starts[j, g[0]]
        elif kind < 0.9:
            out[i, g], out[j, g] = starts[j, g[0]], starts[i, g[0]]
        else:
            out[i] = np.where(np.isin(np.arange(len(self.brief.components)), g), starts[i], starts[j])
        return out

    def anneal(
        self, starts: np.ndarray, steps: int, heat: tuple[float, float] = (0.15, 0.003), full: bool = False,
        power: int = SMOOTH,
    ) -> tuple[np.ndarray, float]:  # fmt: skip
        """The best rollout met on the way from `starts`, and its loss. heat: first and last, as shares of the loss.

        In full, an order that is far too bad by the quick reckoning, at the ratio that both had last, is not worked
        out."""
        now, quick = self.loss(starts, full, power), self.loss(starts, power=power)
        best, least = starts, now
        for step in range(steps if self.free else 0):
            trial = self.moved(starts)
            if not self.allowed(trial):
                continue
            warm = heat[0] * (heat[1] / heat[0]) ** (step / steps)
            bar = now * (1 - warm * math.log(1 - self.rng.random()))
            value = rough = self.loss(trial, power=power)
            if full and rough * now / quick * NEAR < bar:
                value = self.loss(trial, True, power)
            elif full:
                continue
            if value < bar:
                starts, now, quick = trial, value, rough
                if value < least:
                    best, least = trial, value
        return best, least

    def best(self, effort: float = 1.0, restarts: int = 3) -> np.ndarray | None:
        """The best rollout found; None where no rollout was found that keeps to what is allowed. effort: multiple of
        the steps. The last steps look at little but the worst component."""
        fast, slow, heat = self._steps()
        found: list[tuple[float, int, np.ndarray]] = []
        for _ in range(restarts):
            start = self.random()
            if start is None:
                return None
            made, _ = self.anneal(start, int(fast * effort))
            found.append((self.loss(made, full=True), len(found), made))
        _, _, made = min(found)
        made, _ = self.anneal(made, int(0.7 * slow * effort), heat, full=True)
        return self.anneal(made, int(0.3 * slow * effort), (heat[0] / 5, heat[1]), full=True, power=WORST)[0]

    def _steps(self) -> tuple[float, float, tuple[float, float]]:
        """Steps on the screen and downhill, and the heat of the latter: fewer where each takes longer."""
        size = max(np.sqrt(len(self.brief.places) * len(self.groups) / 30), 1.0)
        if self.least:
            return 1000 * size, 450 / size, (0.01, 0.001)
        work = len(self.groups) * len(self.screen.place) ** 2 / 300
        return 1500 * size / max(work / 20, 1.0), max(6500 / (work * len(self.brief.places) / 10), 150), (0.05, 0.001)


_NO_TABLES = Tables(*(np.zeros(0) for _ in range(4)))


def expected(found: Moments, exposed: np.ndarray, moderated: bool) -> float:
    """Detectable effect by the expected interval: moderated, or by refits alone (`inference/`). Its width is random,
    which a t with its degrees of freedom makes up for."""
    V, v1, v0, most, n1, n0, used = parts(found.spread, found.shift, exposed)
    shrunk = (used - 1) / used
    df = float(satterthwaite(*np.array([v1 * shrunk, v0 * shrunk, n1, n0])))
    prior = min(max(min(n1, n0) - 1.0, 1.0), PRIOR_DF) if moderated else 0.0
    least, most = found.influence.sum(), most * shrunk
    width = (prior + df * math.sqrt(min(least, most) * most) / V) / (prior + df) if moderated else most / V
    c = float(stdtrit(prior + df, 0.975)) * math.sqrt(width)
    return (c + Z80 * math.sqrt(1 + c**2 / (2 * (prior + df)))) * math.sqrt(V)


@quick
def parts(
    spread: np.ndarray, shift: np.ndarray, exposed: np.ndarray
) -> tuple[float, float, float, float, int, int, int]:
    """Variance; squares of the shifts of exposed places, of those that serve as comparison alone, and of both; how many
    places each are."""
    V, v1, v0, most = spread.sum(), 0.0, 0.0, 0.0
    n1, n0, used = 0, 0, 0
    for i in range(len(spread)):
        only = spread[i] > NOTHING * V and not exposed[i]
        if exposed[i]:
            v1, n1 = v1 + shift[i], n1 + 1
        if only:
            v0, n0 = v0 + shift[i], n0 + 1
        if exposed[i] or only:
            most, used = most + shift[i], used + 1
    return V, v1, v0, most, n1, n0, used
