"""The search for a rollout: walks by the interval that is expected, which begin in longer periods or on the screen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property
from operator import itemgetter
from threading import Event

import numpy as np

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.coarser import coarser, finer
from evalkit.rollouts.compiled import COMPILED
from evalkit.rollouts.kernel import Screen, Spreads
from evalkit.rollouts.least import NO_TABLES, Tables
from evalkit.rollouts.walk import Choice, Standing, Way, allowed, mean_power, walk
from evalkit.rollouts.worth import Ground, counted, prepared, worth

SMOOTH, WORST = 4, 16
"""Powers by which components are averaged: smooth while an order is looked for, and in the end little but the worst."""
HEAT, LEAST_HEAT, COARSE_HEAT = (0.02, 0.001), (0.005, 0.0005), (0.01, 0.001)
"""First and last in full, of equal weights, of least noise, and of these in longer periods: by what share of the loss
worse orders are taken, on average."""
NEAR, SURE, RANK = 0.97, 1.0, 1000
"""Of a way (`walk.py`) with weights of least noise; by so high a power little but what counts most ranks orders."""
ONE_NEAR = 0.99
"""The same of equal weights, near and sure; the best are told as they are looked for."""
WALKS, KEPT = 2, 4
"""Walks that go side by side, and the best that each of them keeps."""
RESTARTS, DRAWN = 3, 20
"""Starts at random of which the best is taken, and starts drawn from one in longer periods."""
STRETCH = 2000
"""Steps of a walk after which it can be stopped by whoever waits for it."""
STEPS_OF_ONE = 0.75
"""Share of the ways to move that leave out stretches, by which orders of equal weights get no better."""


class Search:
    """Starts that a brief allows, what they are worth, and the way to better ones. weights: of `StaggeredRollout`."""

    def __init__(self, brief: Brief, seed: int, weights: str = "least_noise", screen: Screen | None = None) -> None:
        self.brief, self.screen, self.rng = brief, screen or Screen.of(brief), np.random.default_rng(seed)
        self.weights, self.given_up = weights, Event()
        self.groups = [np.flatnonzero(brief.groups == g) for g in np.unique(brief.groups)]
        self.told = [g for g in self.groups if brief.asked[g].any()]
        self.most = [int(brief.most[g].min()) for g in self.groups]
        self.least = weights == "least_noise" and self.screen.alone
        self.moderated = weights == "least_noise"
        wanted, said = brief.wanted, np.isfinite(brief.wanted)
        filled = np.where(said, wanted, wanted[said].mean() if said.any() else 1.0)
        self.scale = (filled / filled.min()).tolist()
        self.of = np.searchsorted(np.unique(brief.groups), brief.groups)
        self.lags = [int(lag) for lag in brief.lags]

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

    @cached_property
    def choice(self) -> Choice:
        """The same as `domain` in arrays, for the steps of a search."""
        b, T = self.brief, self.brief.T
        may = np.zeros((len(b.places), len(self.groups), T + 1), dtype=np.bool_)
        for i, row in enumerate(self.domain):
            for v, d in enumerate(row):
                may[i, v, d] = True
        most = np.append(self.most, b.most_in_all)
        free = np.array(self.free, dtype=np.int64).reshape(-1, 2)
        ways = 1.0 if self.least else STEPS_OF_ONE
        first, told = (np.array([g[0] for g in groups]) for groups in (self.groups, self.told))
        return Choice(may, free, first, self.of, told, most, b.past, ways)

    def allowed(self, starts: np.ndarray) -> bool:
        """Whether every start is one of those allowed, and no period from now on has too many."""
        return bool(allowed(starts, self.choice))

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

    def exact(self, weights: str) -> bool:
        """Whether the screen knows the weights that count, each component by its own reach."""
        alike = all(len({self.brief.reach_of[k] for k in g}) == 1 for g in self.groups)
        return alike and (self.least or weights == "equal")

    @cached_property
    def ground(self) -> Ground:
        made, b, screen = {}, self.brief, self.screen
        for lag in {*self.lags}:
            made[lag] = Tables.of(b, screen.shocks, screen.person, lag) if self.least else NO_TABLES
        lags, scale, people = np.array(self.lags), np.array(self.scale), np.array(b.people, dtype=float)
        tables = tuple(made[lag] for lag in self.lags)
        return Ground(people, b.T, lags, scale, int(b.window), self.moderated, tables)

    @property
    def spreads(self) -> Spreads | None:
        """For published weights."""
        return None if self.least else self.screen.spreads

    def detectable(self, starts: np.ndarray, full: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(K,) detectable effects by the screen, and places lacking, on either side over event times, and for a claim
        over all of the window. full: with the expected squares of refits and influence; else as if each were the
        variance."""
        found, lacking = np.full(len(self.lags), np.inf), np.zeros(len(self.lags))
        cells = self.screen.cells(starts)
        for g in self.told:
            k = int(g[0])
            part = prepared(cells, k, self.ground, self.spreads)
            found[g] = worth(part, cells, k, self.ground, self.spreads, full)
            lacking[g] = part.lacking + part.short
        return found, lacking

    def loss(self, starts: np.ndarray, full: bool = False, power: int = SMOOTH) -> float:
        """(mean over components of (detectable / wanted)^power)^(1/power): near the worst, yet smooth. An effect
        counts in units of the smallest that is wanted."""
        return float(mean_power(self._counts(starts, full), power))

    def _counts(self, starts: np.ndarray, full: bool = False) -> np.ndarray:
        """What each group that is to be told counts in the loss."""
        cells, out = self.screen.cells(starts), np.zeros(len(self.told))
        for v, k in enumerate(self.choice.told):
            part = prepared(cells, k, self.ground, self.spreads)
            out[v] = counted(worth(part, cells, k, self.ground, self.spreads, full), part, self.ground.scale[k])
        return out

    # ------------------------------------------------------------ the way to better ones

    def anneal(
        self, starts: np.ndarray, steps: int, heat: tuple[float, float] = (0.15, 0.003), full: bool = False,
        power: int = SMOOTH,
    ) -> tuple[np.ndarray, float]:  # fmt: skip
        """The best rollout met on the way from `starts`, and what counts most of it. heat: first and last, as shares of
        the loss."""
        at = self._walk(starts, steps, heat, full, power)
        return at.best[at.marks.argmin()], float(at.marks.min())

    def _walk(
        self, starts: np.ndarray, steps: int, heat: tuple[float, float], full: bool, power: int, kept: int = 1
    ) -> Standing:
        """Where a walk ends, with the best that it met, `kept` of them."""
        counts, now = self._counts(starts), self._counts(starts, full)
        best, marks = np.repeat(starts[None], kept, axis=0), np.full(kept, np.inf)
        near, sure, rank = (NEAR, SURE, RANK) if self.least else (ONE_NEAR, ONE_NEAR, power)
        marks[0] = mean_power(now, rank)
        at = Standing(starts, mean_power(now, power), mean_power(counts, power), counts, best, marks)
        for first in range(0, steps if self.free else 0, STRETCH):
            n = np.arange(first, min(first + STRETCH, steps))
            if self.given_up.is_set():
                break
            draws, warmth = self.rng.random((len(n), 6)), heat[0] * (heat[1] / heat[0]) ** (n / steps)
            way = Way(draws, warmth, full, power, near, sure, rank)
            at = Standing(*walk(at, way, self.choice, self.screen.people, self.ground, self.spreads))
        return at

    def best(self, effort: float = 1.0) -> np.ndarray | None:
        """The best rollout found; None where no rollout was found that keeps to what is allowed."""
        found = self.candidates(effort)
        return found[0] if found else None

    def candidates(self, effort: float = 1.0) -> list[np.ndarray]:
        """The best rollouts found, by what counts most of each; none where none was found that is allowed.
        effort: multiple of the steps. Walks go side by side; in full, orders are held against each other by little but
        the worst component."""
        self.given_up.clear()
        side_by_side = COMPILED and self.least
        walkers = [self._walker(rng) for rng in self.rng.spawn(WALKS)] if side_by_side else [self]
        with ThreadPoolExecutor(WALKS) as pool:
            try:
                ends = list(pool.map(lambda walker: walker._way_down(effort), walkers))
            except BaseException:
                self.given_up.set()
                raise
        kept = [(mark, starts) for end in ends if end for mark, starts in zip(end.marks, end.best, strict=True)]
        return [starts for mark, starts in sorted(kept, key=itemgetter(0)) if np.isfinite(mark)]

    def _walker(self, rng: np.random.Generator) -> Search:
        """The same search with other random numbers; what is worked out once is shared."""
        _ = self.choice, self.ground, self.coarse
        other = copy(self)
        other.rng = rng
        return other

    def _way_down(self, effort: float) -> Standing | None:
        """From a start at random to the best that is met."""
        start, steps = self._begin(effort), int(self._steps()[1] * effort)
        heat = LEAST_HEAT if self.least else HEAT
        return None if start is None else self._walk(start, steps, heat, True, WORST, KEPT if self.least else 1)

    def _begin(self, effort: float) -> np.ndarray | None:
        """Where a walk in full begins: where one in longer periods has ended, or at the best of some on the screen."""
        fast, slow = self._steps()
        if self.coarse is not None:
            coarse = self.coarse._walker(self.rng)
            coarse.given_up, long = self.given_up, coarse._begin(effort)
            if long is not None:
                long, _ = coarse.anneal(long, int(slow * effort / 5), COARSE_HEAT, full=True, power=WORST)
                drawn = (finer(self.brief, self.groups, long, self.rng) for _ in range(DRAWN))
                made = [starts for starts in drawn if self.allowed(starts)]
                if made:
                    return min(made, key=self.loss)
        made = []
        for _ in range(RESTARTS):
            if (start := self.random()) is None:
                return None
            made.append(self.anneal(start, int(fast * effort))[0])
        return min(made, key=lambda starts: self.loss(starts, full=True))

    @cached_property
    def coarse(self) -> Search | None:
        """The same search in longer periods, where there can be one."""
        screen = coarser(self.screen) if self.least else None
        return None if screen is None else Search(screen.brief, 0, self.weights, screen)

    def _steps(self) -> tuple[float, float]:
        """Steps on the screen and in full: fewer where each takes longer."""
        size = max(np.sqrt(len(self.brief.places) * len(self.groups) / 30), 1.0)
        if self.least:
            return 300 * size**2, (30000 if COMPILED else 10000) / size**2
        work = len(self.groups) * len(self.screen.place) ** 2 * len(self.brief.places) / 3000
        return 300 * size**2, max(18000 / work**0.6, 300)
