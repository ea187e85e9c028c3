"""The search's reckoning of a rollout, in microseconds: weights of the published comparison, and their variance.

A screen, as `components/cure.py` has one: what is claimed of a rollout is then worked out by the designs themselves
(`rollouts/law.py`). It knows only what a plan needs: components that start once and stay on. With numba it runs over
starts in loops, else over whole arrays; a test holds both to the weights that `StaggeredRollout` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from evalkit.rollouts.brief import BASE_WINDOW, Brief
from evalkit.rollouts.compiled import COMPILED, quick

NOTHING = 1e-12


class Cells(NamedTuple):
    """start: (C, K) starts of cells, T where a component cannot reach them. own: (C,) people on the same path, in all
    places. reach: (C, K). place, heads: (C,)."""

    start: np.ndarray
    own: np.ndarray
    reach: np.ndarray
    place: np.ndarray
    heads: np.ndarray


class People(NamedTuple):
    """Who is in which cell, as of `Cells`, and T, the number of periods."""

    reach: np.ndarray
    place: np.ndarray
    heads: np.ndarray
    T: int


class Spreads(NamedTuple):
    """shocks: (T, T) covariance of a place; person: that of one person, `more` (C,) times as large in a cell's mean."""

    shocks: np.ndarray
    person: np.ndarray
    more: np.ndarray


@dataclass(frozen=True, eq=False)
class Screen:
    """Cells of people (C of them: kinds in places) of a brief, by which rollouts are screened.

    place, heads: (C,). reach: (C, K). shocks: (T, T) covariance of a place; person: that of one person, `more` (C,)
    times as large in each cell.
    """

    brief: Brief
    place: np.ndarray
    heads: np.ndarray
    reach: np.ndarray
    shocks: np.ndarray
    person: np.ndarray
    more: np.ndarray

    @classmethod
    def of(cls, brief: Brief) -> Screen:
        P, R = brief.heads.shape
        there = brief.heads.ravel() > 0
        T, noise = brief.T, brief.noise
        return cls(
            brief, np.repeat(np.arange(P), R)[there], brief.heads.ravel()[there], np.tile(brief.kinds, (P, 1))[there],
            noise.of_place(T), noise.of_person(T), np.tile(spread_of(brief), P)[there],
        )  # fmt: skip

    @cached_property
    def alone(self) -> bool:
        """Whether every place is one cell."""
        return len(self.place) == len(self.brief.places)

    @cached_property
    def spreads(self) -> Spreads:
        return Spreads(self.shocks, self.person, self.more / self.heads)

    def cells(self, starts: np.ndarray) -> Cells:
        """Cells as they start when places do at (P, K) starts."""
        return cells_of(starts, self.people)

    @cached_property
    def people(self) -> People:
        return People(self.reach, self.place, self.heads, self.brief.T)

    def weights(self, cells: Cells, k: int, skip: int = -1) -> tuple[np.ndarray, np.ndarray]:
        """(C, T) weights of component k, averaged over its window, and (E, 2, P) places on either side at each event
        time. skip: a place that is left out. All zero where nothing is compared."""
        W = np.zeros((len(self.place), self.brief.T))
        seen = np.zeros((self.brief.window, 2, len(self.brief.places)), dtype=np.bool_)
        mass = weigh(cells, k, skip, int(self.brief.lags[k]), BASE_WINDOW, W, seen)
        return W / mass if mass > 0 else W, seen


def spread_of(brief: Brief) -> np.ndarray:
    """(R,) variance of one person of each kind over that of all people."""
    at = [brief.reach_of.index(r) for r in sorted({r for r in brief.reach_of if r >= 0})]
    columns = [str(brief.components[k].reach) for k in at]
    share = np.average(brief.share[:, at], axis=0, weights=brief.people)
    return brief.noise.by_kind(columns, brief.kinds[:, at], share)


_MARKS = np.random.default_rng(2027).integers(1, 2**40, 64)
"""Random numbers by which rows are told apart."""


@quick
def cells_of(starts: np.ndarray, people: People) -> Cells:
    """Cells as they start when places do at (P, K) starts."""
    C, K = people.reach.shape
    start, code, own = np.empty((C, K), np.int64), np.zeros(C, np.int64), np.zeros(C)
    for c in range(C):
        for k in range(K):
            start[c, k] = starts[people.place[c], k] if people.reach[c, k] else people.T
            code[c] += start[c, k] * _MARKS[2 * k] + people.reach[c, k] * _MARKS[2 * k + 1]
    order, first, heads = np.argsort(code), 0, 0.0
    for n in range(C):
        heads += people.heads[order[n]]
        if n + 1 == C or code[order[n + 1]] != code[order[n]]:
            for m in range(first, n + 1):
                own[order[m]] = heads
            first, heads = n + 1, 0.0
    return Cells(start, own, people.reach, people.place, people.heads)


@quick
def matched(cells: Cells, k: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base periods for which each cell (columns) is like each that starts component k (rows), event times up to which
    it stays so (0 where it never is), both (C, C); and (C,) base periods in which the starter's others stand still."""
    start, reach = cells.start, cells.reach
    C, K = start.shape
    back, ahead, room = np.zeros((C, C), np.int64), np.zeros((C, C), np.int64), np.zeros(C, np.int64)
    for i in range(C):
        g = start[i, k]
        if g < 1 or not reach[i, k]:
            continue
        room[i] = min(most, g)
        for o in range(K):
            if o != k and 0 < start[i, o] <= g - 1:
                room[i] = min(room[i], g - start[i, o])
        for j in range(C):
            if not reach[j, k] or start[j, k] <= g:
                continue
            b, a = most, start[j, k] - g
            for o in range(K):
                if o != k and start[i, o] != start[j, o]:
                    low, high = min(start[i, o], start[j, o]), max(start[i, o], start[j, o])
                    if low < g:
                        b = min(b, max(g - high, 0))
                    if high > g:
                        a = min(a, max(low, g) - g)
            if b > 0:
                back[i, j], ahead[i, j] = b, a
    return back, ahead, room


@quick
def base_of(
    own: float, room: int, most: int, back: np.ndarray, ahead: np.ndarray, e: int, cells: Cells
) -> tuple[int, float]:
    """How many base periods give the least noise at event time e, and people to compare with then. own: people who
    start. back, ahead: (C,) of each cell."""
    chosen, enough, before, people = 0, 0, 0.0, 0.0
    for m in range(1, most + 1):
        n, c, last = 0.0, 0, -1
        for j in range(len(back)):
            if back[j] >= m and ahead[j] > e:
                n += cells.heads[j]
                c += cells.place[j] != last
                last = cells.place[j]
        if n == 0.0:
            break
        noise = (1.0 + 1.0 / m) * (1.0 / own + 1.0 / n)
        if m == 1:
            enough = min(c, 2)
        elif m > room or c < enough or noise > before:
            break
        chosen, before, people = m, noise, n
    return chosen, people


@quick
def put(w: np.ndarray, g: int, e: int, until: int, chosen: int, size: float) -> None:
    """Adds the change from the base before g to event times from e on, `until` not included, to weights (T,)."""
    for t in range(g + e, g + until):
        w[t] += size
    for t in range(g - chosen, g):
        w[t] -= size * (until - e) / chosen


@quick
def added(
    cells: Cells, i: int, g: int, lag: int, most: int, back: np.ndarray, ahead: np.ndarray, room: int, share: float,
    W: np.ndarray, seen: np.ndarray,
) -> float:  # fmt: skip
    """Adds what cell i, which starts in g, makes of W, times `share`, and marks sides; returns its mass. Event times
    with the same comparisons are taken together."""
    C, T = W.shape
    e, end, mass, size = lag, min(lag + seen.shape[0], T - g), 0.0, share * cells.heads[i]
    while e < end:
        chosen, people = base_of(cells.own[i], room, most, back, ahead, e, cells)
        if chosen == 0:
            break
        until = end
        for j in range(C):
            if ahead[j] > e:
                until = min(until, ahead[j])
        mass += size * (until - e)
        put(W[i], g, e, until, chosen, size)
        for at in range(e - lag, until - lag):
            seen[at, 0, cells.place[i]] = True
        for j in range(C):
            if ahead[j] > e and back[j] >= chosen:
                put(W[j], g, e, until, chosen, -size * cells.heads[j] / people)
                for at in range(e - lag, until - lag):
                    seen[at, 1, cells.place[j]] = True
        e = until
    return mass


@quick
def loops(cells: Cells, k: int, skip: int, lag: int, most: int, W: np.ndarray, seen: np.ndarray) -> float:
    """Unnormalised weights of component k into W (C, T), sides into seen (E, 2, P); returns the mass. skip: a place
    that is left out."""
    back, ahead, room = matched(cells, k, most)
    mass = 0.0
    hide(cells.place, skip, ahead)
    for i in range(len(W)):
        if room[i] and cells.place[i] != skip:
            mass += added(cells, i, cells.start[i, k], lag, most, back[i], ahead[i], room[i], 1.0, W, seen)
    return mass


@quick
def refits(cells: Cells, k: int, lag: int, most: int, W: np.ndarray, mass: float, seen: np.ndarray, spreads: Spreads
) -> np.ndarray:  # fmt: skip
    """(P,) expected squares of the shift of component k without each place, from unnormalised weights W (C, T) of all
    with their mass; NaN where nothing is compared without it. Only starts that the place takes part in are weighed
    anew. seen: (E, 2, P), overwritten."""
    P = seen.shape[2]
    back, ahead, room = matched(cells, k, most)
    out, shift = np.full(P, np.nan), np.zeros(W.shape)
    for s in range(P):
        rest, left, without = W.copy(), mass, ahead.copy()
        hide(cells.place, s, without)
        for i in range(len(W)):
            gone, g = cells.place[i] == s, cells.start[i, k]
            if not room[i] or not (gone or differ(without[i], ahead[i])):
                continue
            left += added(cells, i, g, lag, most, back[i], ahead[i], room[i], -1.0, rest, seen)
            if not gone:
                left += added(cells, i, g, lag, most, back[i], without[i], room[i], 1.0, rest, seen)
        if left <= NOTHING * mass:
            break
        for i in range(len(W)):
            for t in range(W.shape[1]):
                shift[i, t] = rest[i, t] / left - W[i, t] / mass
        out[s] = 0.0
        for each in squares(shift, cells.place, spreads):
            out[s] += each
    return out


@quick
def hide(place: np.ndarray, skip: int, ahead: np.ndarray) -> None:
    """Takes the cells of a place away from all that others are compared with."""
    for j in range(len(place)):
        if place[j] == skip:
            for i in range(len(ahead)):
                ahead[i, j] = 0


@quick
def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays of one dimension differ."""
    count = 0
    for i in range(len(one)):
        count += one[i] != other[i]
    return count > 0


def one_by_one(cells: Cells, k: int, lag: int, most: int, W: np.ndarray, mass: float, seen: np.ndarray, spreads: Spreads
) -> np.ndarray:  # fmt: skip
    """The same as `refits`, over whole arrays."""
    out = np.full(seen.shape[2], np.nan)
    for s in range(len(out)):
        rest = np.zeros(W.shape)
        left = arrays(cells, k, s, lag, most, rest, seen)
        if not left > 0:
            break
        out[s] = squares(rest / left - W / mass, cells.place, spreads).sum()
    return out


@quick
def squares(X: np.ndarray, place: np.ndarray, spreads: Spreads) -> np.ndarray:
    """(P,) variance of what weights X (C, T) make of each place. Cells are sorted by place."""
    P = place[-1] + 1
    out, total = np.zeros(P), X
    if len(X) > P:
        total = np.zeros((P, X.shape[1]))
        for c in range(len(X)):
            for t in range(X.shape[1]):
                total[place[c], t] += X[c, t]
    shaken, own = np.dot(total, spreads.shocks), np.dot(X, spreads.person)
    for i in range(P):
        out[i] = np.dot(shaken[i], total[i])
    for c in range(len(X)):
        out[place[c]] += spreads.more[c] * np.dot(own[c], X[c])
    return out


def arrays(cells: Cells, k: int, skip: int, lag: int, most: int, W: np.ndarray, seen: np.ndarray) -> float:
    """The same as `loops`, over whole arrays."""
    start, place, heads, own = cells.start, cells.place, cells.heads, cells.own
    T, window = W.shape[1], seen.shape[0]
    g, others = start[:, k], [o for o in range(start.shape[1]) if o != k]
    there = cells.reach[:, k] & (place != skip)
    when = g[:, None]
    back = np.where(there & (g > when), most, 0)
    ahead = g[None, :] - when
    room = np.minimum(most, g)
    for o in others:
        s = start[:, o]
        low, high = np.minimum(s[:, None], s), np.maximum(s[:, None], s)
        apart = low < high
        back = np.where(apart & (low < when), np.minimum(back, np.maximum(when - high, 0)), back)
        ahead = np.where(apart & (high > when), np.minimum(ahead, np.maximum(low, when) - when), ahead)
        room = np.where((s > 0) & (s < g), np.minimum(room, g - s), room)
    e, m = np.arange(lag, lag + window), np.arange(1, most + 1)
    starts = there & (g >= 1) & (g < T)
    may = starts[:, None, None] & (ahead[:, :, None] > e) & (when + e < T)[:, None]  # (C, C, E)
    match = may[:, :, :, None] & (back[:, :, None, None] >= m)  # (C, C, E, M)
    people = np.einsum("ijem,j->iem", match, heads)
    places = _distinct(match, place)
    with np.errstate(divide="ignore"):
        noise = (1 + 1 / m) * (1 / own[:, None, None] + 1 / people)
    chosen = (people[:, :, 0] > 0).astype(np.int64)
    for width in range(2, most + 1):
        wider = (chosen == width - 1) & (width <= room)[:, None] & (people[:, :, width - 1] > 0)
        wider &= (places[:, :, width - 1] >= np.minimum(places[:, :, 0], 2)) & (
            noise[:, :, width - 1] <= noise[:, :, width - 2]
        )
        chosen = np.where(wider, width, chosen)
    at = np.maximum(chosen, 1) - 1
    used = np.take_along_axis(match, at[:, None, :, None], axis=3)[:, :, :, 0] & (chosen > 0)[:, None]
    total = np.take_along_axis(people, at[:, :, None], axis=2)[:, :, 0]
    t = np.arange(T)
    change = (t == (when + e)[:, :, None]) - ((t < when[:, :, None]) & (t >= (when - chosen)[:, :, None])) / (at + 1)[
        :, :, None
    ]
    share = used * heads[:, None, None] * heads[None, :, None] / np.where(total > 0, total, 1.0)[:, None, :]
    ok = chosen > 0
    W += np.einsum("ie,iet->it", ok * heads[:, None], change) - np.einsum("ije,iet->jt", share, change)
    for side, cells in enumerate((ok.T, used.any(axis=0).T)):
        for cell, there in zip(place, np.asarray(cells).T, strict=True):
            seen[:, side, cell] |= there
    return float((ok * heads[:, None]).sum())


def _distinct(match: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Places among the matches of each start: (C, E, M) from (C, C, E, M). Cells are sorted by place."""
    first = np.flatnonzero(np.diff(place, prepend=-1))
    return np.logical_or.reduceat(match, first, axis=1).sum(axis=1)


weigh, shifts = (loops, refits) if COMPILED else (arrays, one_by_one)
