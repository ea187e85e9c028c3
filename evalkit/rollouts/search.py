"""The search for a rollout: annealing over starts on the screen, then downhill by the interval that is expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.compiled import quick
from evalkit.rollouts.kernel import Cells, Screen
from evalkit.rollouts.least import NO_TABLES, Tables
from evalkit.rollouts.worth import Ground, tell, tell_least, tell_published

LOST = 30.0
"""What a component counts, in effects wanted, that nothing can tell."""
SMOOTH, WORST = 4, 16
"""Powers by which components are averaged: smooth while an order is looked for, and in the end little but the worst."""
SAME = 1 - 1e-9
"""Orders of which one is worth no less than this share of the other are worth the same."""
NEAR = 0.99
"""Of the bar: how good an order must be by the quick reckoning to be worked out in full."""
HEAT, LEAST_HEAT = (0.02, 0.001), (0.01, 0.001)
"""First and last in full, of equal weights and of least noise: by what share of the loss worse orders are taken, on
average."""
STEPS_OF_ONE = 0.75
"""Share of the ways to move that leave out stretches, by which orders of equal weights get no better."""


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
        return Choice(may, free, np.array([g[0] for g in self.groups]), self.of, most, b.past, ways)

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

    @property
    def kernel(self) -> Callable:
        """What takes longest to compile of all that a search of this kind needs."""
        return tell_least if self.least else tell_published

    def detectable(self, starts: np.ndarray, full: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(K,) detectable effects by the screen, and places lacking on either side, over event times. full: with the
        expected squares of refits and influence; else as if each were the variance."""
        found, lacking = np.full(len(self.lags), np.inf), np.zeros(len(self.lags))
        cells = self.screen.cells(starts)
        for g in self.told:
            k = int(g[0])
            found[g], lacking[g], _ = tell(cells, k, self.lags[k], self.brief.window, self.grounds[k], full)
        return found, lacking

    @cached_property
    def grounds(self) -> list[Ground]:
        """Of every component: tables of least noise hang on its lag."""
        made: dict[int, Tables] = {0: NO_TABLES}
        if self.least:
            made = {lag: Tables.of(self.brief, self.screen.shocks, self.screen.person, lag) for lag in {*self.lags}}
        people, spreads = np.array(self.brief.people, dtype=float), self.screen.spreads
        found = [made[lag if self.least else 0] for lag in self.lags]
        return [Ground(spreads, people, tables, self.least, self.moderated) for tables in found]

    def loss(self, starts: np.ndarray, full: bool = False, power: int = SMOOTH) -> float:
        """(mean over components of (detectable / wanted)^power)^(1/power): near the worst, yet smooth. An effect
        counts in units of the smallest that is wanted."""
        return mean_power(self._counts(starts, full), power)

    def _counts(self, starts: np.ndarray, full: bool = False) -> list[float]:
        """What each group that is to be told counts in the loss."""
        cells = self.screen.cells(starts)
        return [self._count(cells, int(g[0]), full) for g in self.told]

    def _count(self, cells: Cells, k: int, full: bool) -> float:
        found, lacking, short = tell(cells, k, self.lags[k], self.brief.window, self.grounds[k], full)
        return min(found / self.scale[k], LOST) * (1 + 0.25 * (lacking + short))

    def _reckon(self, cells: Cells, counts: list[float], full: bool, order: list[int], power: int, bar: float) -> float:
        """The loss, as groups are counted in `order`, each instead of what stands for it in `counts`; or more than
        `bar`, as soon as those that are counted leave no doubt."""
        for n in order:
            counts[n] = self._count(cells, int(self.told[n][0]), full)
            if mean_power(counts, power) > bar:
                break
        return mean_power(counts, power)

    # ------------------------------------------------------------ the way to better ones

    def anneal(
        self, starts: np.ndarray, steps: int, heat: tuple[float, float] = (0.15, 0.003), full: bool = False,
        power: int = SMOOTH,
    ) -> tuple[np.ndarray, float]:  # fmt: skip
        """The best rollout met on the way from `starts`, and its loss. heat: first and last, as shares of the loss.

        In full, an order that is too bad by the quick reckoning, at the ratio that both had last, is not worked out."""
        last, none = self._counts(starts), [0.0] * len(self.told)
        now, quick = self.loss(starts, full, power), mean_power(last, power)
        best, least = starts, now
        for step, draws in enumerate(self.rng.random((steps if self.free else 0, 6))):
            trial = moved(starts, draws[:5], self.choice)
            if (trial == starts).all() or not allowed(trial, self.choice):
                continue
            warm = heat[0] * (heat[1] / heat[0]) ** (step / steps)
            bar = now * (1 - warm * math.log(1 - draws[5]))
            roughly, counts, cells = bar * quick / now / NEAR if full else bar, none.copy(), self.screen.cells(trial)
            value = rough = self._reckon(cells, counts, False, _falling(last), power, roughly)
            if rough >= roughly:
                continue
            if full:
                guess = [c * now / quick for c in counts]
                value = self._reckon(cells, guess, True, _falling(guess), power, bar / NEAR)
            if value < bar:
                starts, now, quick, last = trial, value, rough, counts
                if value < least * SAME:
                    best, least = trial, value
        return best, least

    def best(self, effort: float = 1.0, restarts: int = 3) -> np.ndarray | None:
        """The best rollout found; None where no rollout was found that keeps to what is allowed. effort: multiple of
        the steps. In full, orders are held against each other by little but the worst component."""
        (fast, slow), best, least = self._steps(), None, math.inf
        for _ in range(restarts):
            start = self.random()
            if start is None:
                return None
            made, _ = self.anneal(start, int(fast * effort))
            if best is None or self.loss(made, full=True) < least * SAME:
                best, least = made, self.loss(made, full=True)
        assert best is not None
        heat = LEAST_HEAT if self.least else HEAT
        return self.anneal(best, int(slow * effort), heat, full=True, power=WORST)[0]

    def _steps(self) -> tuple[float, float]:
        """Steps on the screen and in full: fewer where each takes longer."""
        size = max(np.sqrt(len(self.brief.places) * len(self.groups) / 30), 1.0)
        if self.least:
            return 300 * size**2, 10000 / size**2
        work = len(self.groups) * len(self.screen.place) ** 2 * len(self.brief.places) / 3000
        return 300 * size**2, max(18000 / work**0.6, 300)


class Choice(NamedTuple):
    """What may start when: may (P, V, T + 1) for V groups, T for never; free (n, 2) places and groups that have a
    choice; first (V,) component of each group, of (K,) the group that each component is in; most (V + 1,) starts a
    period, of groups and of all; past: periods in which they are not counted; ways: share of
    the ways to move that are tried, the first of them."""

    may: np.ndarray
    free: np.ndarray
    first: np.ndarray
    of: np.ndarray
    most: np.ndarray
    past: int
    ways: float


@quick
def allowed(starts: np.ndarray, choice: Choice) -> bool:
    """Whether every start is one of those allowed, and no period from now on has too many."""
    P, V, T = choice.may.shape[0], choice.may.shape[1], choice.may.shape[2] - 1
    count = np.zeros((V + 1, T + 1), np.int64)
    for i in range(P):
        for v in range(V):
            t = starts[i, choice.first[v]]
            if not choice.may[i, v, t]:
                return False
            count[v, t] += 1
            count[V, t] += 1
    for v in range(V + 1):
        for t in range(choice.past, T):
            if count[v, t] > choice.most[v]:
                return False
    return True


@quick
def moved(starts: np.ndarray, draws: np.ndarray, choice: Choice) -> np.ndarray:
    """Other starts nearby. draws: five numbers from 0 to 1, of which the third tells what is done: one start elsewhere,
    a little earlier or later, or as in another place; two places or two components of a place exchanged; a place's
    other starts as in another place; all starts of a place a little earlier or later; one beside another place's; or
    all starts of a component in a stretch of up to 8 periods, or all that never come, one earlier or later, where that
    is allowed."""
    n = int(draws[0] * len(choice.free))
    i, v, j, kind = choice.free[n, 0], choice.free[n, 1], int(draws[1] * len(starts)), draws[2] * choice.ways
    w, by = int(draws[1] * len(choice.first)), (1 + int(draws[3] * 3)) * (1 if draws[4] < 0.5 else -1)
    out, T, to = starts.copy(), choice.may.shape[2] - 1, int(draws[3] * choice.may[i, v].sum())
    day, begun, sign = np.flatnonzero(choice.may[i, v])[to], starts[i, choice.first[v]], 1 if by > 0 else -1
    for o in range(len(choice.of)):
        own, mine, theirs = choice.of[o] == v, starts[i, o], starts[j, o]
        if kind < 0.15 and own:
            out[i, o] = day
        elif (0.15 <= kind < 0.3 and own) or 0.6 <= kind < 0.6375:
            out[i, o] = mine + by
        elif 0.3 <= kind < 0.525 and own:
            out[i, o], out[j, o] = theirs, mine if kind >= 0.4125 else theirs
        elif 0.525 <= kind < 0.5625 and not own:
            out[i, o] = theirs
        elif 0.5625 <= kind < 0.6 and (own or choice.of[o] == w):
            out[i, o] = starts[i, choice.first[w if own else v]]
        elif 0.6375 <= kind < 0.75 and own:
            out[i, o] = theirs + sign
        elif kind >= 0.75 and own:
            shift(out[:, o], begun, begun + 1 + int(draws[1] * 8), sign, choice.may[:, v])
        out[i, o] = min(max(out[i, o], 0), T)
    return out


@quick
def shift(start: np.ndarray, low: int, high: int, by: int, may: np.ndarray) -> None:
    """Moves starts (P,) from `low` up to `high`, `high` not included, where that is allowed."""
    for i in range(len(start)):
        to = start[i] + by
        if low <= start[i] < high and 0 <= to < may.shape[1] - 1 and may[i, to]:
            start[i] = to


def _falling(counts: list[float]) -> list[int]:
    """Where they stand, the largest first."""
    return sorted(range(len(counts)), key=counts.__getitem__, reverse=True)


def mean_power(counts: list[float], power: int) -> float:
    """The mean of a power, without overflow for any power."""
    most = max(counts)
    return most * (sum((c / most) ** power for c in counts) / len(counts)) ** (1 / power)
