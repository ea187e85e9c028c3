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


class Cells(NamedTuple):
    """start: (C, K) starts of cells, T where a component cannot reach them. own: (C,) people on the same path, in all
    places."""

    start: np.ndarray
    own: np.ndarray


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
    def noise(self) -> np.ndarray:
        """(C, T, T) covariance of a cell's mean: of its people, and of its place where the place is one cell."""
        people = self.person * (self.more / self.heads)[:, None, None]
        return people + self.shocks if self.alone else people

    def cells(self, starts: np.ndarray) -> Cells:
        """Cells as they start when places do at (P, K) starts."""
        start = np.where(self.reach, starts[self.place], self.brief.T)
        code = np.concatenate([start, self.reach], axis=1) @ _MARKS[: 2 * start.shape[1]]
        return Cells(start, (code[:, None] == code) @ self.heads)

    def weights(self, cells: Cells, k: int, skip: int = -1) -> tuple[np.ndarray, np.ndarray]:
        """(C, T) weights of component k, averaged over its window, and (E, 2, P) places on either side at each event
        time. skip: a place that is left out. All zero where nothing is compared."""
        read = loops if COMPILED else arrays
        window, lag = self.brief.window, int(self.brief.lags[k])
        W = np.zeros((len(self.place), self.brief.T))
        seen = np.zeros((window, 2, len(self.brief.places)), dtype=np.bool_)
        mass = read(cells.start, self.reach, self.place, self.heads, cells.own, k, skip, lag, BASE_WINDOW, W, seen)
        return W / mass if mass > 0 else W, seen

    def spread(self, W: np.ndarray) -> np.ndarray:
        """(P,) variance that each place adds."""
        out = np.zeros(len(self.brief.places))
        if COMPILED:
            squares(W, self.place, self.noise, self.shocks, self.alone, out)
            return out
        np.add.at(out, self.place, np.einsum("ct,cts,cs->c", W, self.noise, W))
        if self.alone:
            return out
        total = np.zeros((len(out), W.shape[1]))
        np.add.at(total, self.place, W)
        return np.asarray(out + np.einsum("ct,ct->c", total @ self.shocks, total))

    def shifts(self, cells: Cells, k: int, W: np.ndarray) -> np.ndarray | None:
        """(P,) expected squares of the shift of component k without each place; None where one leaves nothing to
        compare. W: (C, T) weights with all of them."""
        out = np.zeros(len(self.brief.places))
        if COMPILED:
            lag = int(self.brief.lags[k])
            told = refits(cells.start, self.reach, self.place, self.heads, cells.own, k, lag, self.brief.window,
                          BASE_WINDOW, W, self.noise, self.shocks, self.alone, out)  # fmt: skip
            return out if told else None
        for s in range(len(out)):
            without, seen = self.weights(cells, k, s)
            if not seen.any():
                return None
            out[s] = self.spread(without - W).sum()
        return out


def spread_of(brief: Brief) -> np.ndarray:
    """(R,) variance of one person of each kind over that of all people."""
    at = [brief.reach_of.index(r) for r in sorted({r for r in brief.reach_of if r >= 0})]
    columns = [str(brief.components[k].reach) for k in at]
    share = np.average(brief.share[:, at], axis=0, weights=brief.people)
    return brief.noise.by_kind(columns, brief.kinds[:, at], share)


_MARKS = np.random.default_rng(2027).integers(1, 2**40, 64)
"""Random numbers by which rows are told apart."""


@quick
def base_of(
    own: float, room: int, most: int, back: np.ndarray, heads: np.ndarray, place: np.ndarray
) -> tuple[int, float]:
    """How many base periods give the least noise, and people to compare with then. own: people who start; back: (C,)
    base periods for which each cell is like them."""
    chosen, enough, before, people = 0, 0, 0.0, 0.0
    for m in range(1, most + 1):
        n, c, last = 0.0, 0, -1
        for j in range(len(back)):
            if back[j] >= m:
                n += heads[j]
                c += place[j] != last
                last = place[j]
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
def loops(
    start: np.ndarray, reach: np.ndarray, place: np.ndarray, heads: np.ndarray, own: np.ndarray,
    k: int, skip: int, lag: int, most: int, W: np.ndarray, seen: np.ndarray,
) -> float:  # fmt: skip
    """Unnormalised weights into W (C, T), sides into seen (E, 2, P); returns the mass."""
    C, K = start.shape
    T, window = W.shape[1], seen.shape[0]
    back, ahead = np.zeros(C, np.int64), np.zeros(C, np.int64)
    mass = 0.0
    for i in range(C):
        g = start[i, k]
        if g >= T or g < 1 or not reach[i, k] or place[i] == skip:
            continue
        room = min(most, g)  # base periods in which the adopter's others stand still
        for o in range(K):
            if o != k and 0 < start[i, o] <= g - 1:
                room = min(room, g - start[i, o])
        for j in range(C):
            back[j], ahead[j] = 0, 0
            if not reach[j, k] or place[j] == skip or start[j, k] <= g:
                continue
            b, a = most, start[j, k] - g
            for o in range(K):
                if o != k and start[i, o] != start[j, o]:
                    low, high = min(start[i, o], start[j, o]), max(start[i, o], start[j, o])
                    if low < g:
                        b = min(b, max(g - high, 0))
                    if high > g:
                        a = min(a, max(low, g) - g)
            back[j], ahead[j] = b, a
        for e in range(lag, min(lag + window, T - g)):
            chosen, people = base_of(own[i], room, most, np.where(ahead > e, back, 0), heads, place)
            if chosen == 0:
                continue
            mass += heads[i]
            W[i, g + e] += heads[i]
            for t in range(g - chosen, g):
                W[i, t] -= heads[i] / chosen
            seen[e - lag, 0, place[i]] = True
            for j in range(C):
                if ahead[j] > e and back[j] >= chosen:
                    share = heads[i] * heads[j] / people
                    W[j, g + e] -= share
                    for t in range(g - chosen, g):
                        W[j, t] += share / chosen
                    seen[e - lag, 1, place[j]] = True
    return mass


@quick
def squares(
    W: np.ndarray, place: np.ndarray, noise: np.ndarray, shocks: np.ndarray, alone: bool, out: np.ndarray
) -> None:
    """Adds to out (P,) the variance of what weights W (C, T) make of each place. Cells are sorted by place."""
    C, T = W.shape
    total = np.zeros(T)
    for c in range(C):
        out[place[c]] += quadratic(W[c], noise[c])
        if alone:
            continue
        total += W[c]
        if c + 1 == C or place[c + 1] != place[c]:
            out[place[c]] += quadratic(total, shocks)
            total[:] = 0.0


@quick
def quadratic(w: np.ndarray, V: np.ndarray) -> float:
    """w' V w of a symmetric V, where many of w are nought."""
    at = np.flatnonzero(w)
    found = 0.0
    for i in range(len(at)):
        t, half = at[i], 0.0
        for j in range(i):
            half += V[t, at[j]] * w[at[j]]
        found += w[t] * (2.0 * half + V[t, t] * w[t])
    return found


@quick
def refits(
    start: np.ndarray, reach: np.ndarray, place: np.ndarray, heads: np.ndarray, own: np.ndarray, k: int, lag: int,
    window: int, most: int, W: np.ndarray, noise: np.ndarray, shocks: np.ndarray, alone: bool, out: np.ndarray,
) -> bool:  # fmt: skip
    """Expected squares of shifts into out (P,); whether something is compared without each place."""
    each = np.zeros(len(out))
    seen = np.zeros((window, 2, len(out)), np.bool_)
    for s in range(len(out)):
        without = np.zeros(W.shape)
        mass = loops(start, reach, place, heads, own, k, s, lag, most, without, seen)
        if mass <= 0.0:
            return False
        each[:] = 0.0
        squares(without / mass - W, place, noise, shocks, alone, each)
        out[s] = each.sum()
    return True


def arrays(
    start: np.ndarray, reach: np.ndarray, place: np.ndarray, heads: np.ndarray, own: np.ndarray,
    k: int, skip: int, lag: int, most: int, W: np.ndarray, seen: np.ndarray,
) -> float:  # fmt: skip
    """The same as `loops`, over whole arrays."""
    T, window = W.shape[1], seen.shape[0]
    g, others = start[:, k], [o for o in range(start.shape[1]) if o != k]
    there = reach[:, k] & (place != skip)
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
