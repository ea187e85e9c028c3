"""Annealing over starts: many small moves of an order, each taken or left by what the order is worth then."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from evalkit.rollouts.compiled import quick
from evalkit.rollouts.kernel import Cells, People, Spreads, cells_of
from evalkit.rollouts.worth import Ground, Part, counted, prepared, worth

SAME = 1 - 1e-9
"""Orders of which one is worth no less than this share of the other are worth the same."""


class Choice(NamedTuple):
    """What may start when: may (P, V, T + 1) for V groups, T for never; free (n, 2) places and groups that have a
    choice; first (V,) component of each group, of (K,) the group that each component is in; told: the first components
    of groups that are to be told; most (V + 1,) starts a period, of groups and of all; past: periods in which they are
    not counted; ways: share of the ways to move that are tried, the first of them."""

    may: np.ndarray
    free: np.ndarray
    first: np.ndarray
    of: np.ndarray
    told: np.ndarray
    most: np.ndarray
    past: int
    ways: float


class Standing(NamedTuple):
    """Where a walk stands: starts, their loss `now`, `quick` as the screen reckons it, and what each group counts in
    that; the best starts met (n, P, K), and `marks` (n,), what counts most of each."""

    starts: np.ndarray
    now: float
    quick: float
    counts: np.ndarray
    best: np.ndarray
    marks: np.ndarray


class Way(NamedTuple):
    """How a walk goes: draws (n, 6) from 0 to 1 and warmth (n,) of its steps, the share of the loss by which worse
    orders are taken, on average; whether orders are worked out in full, and the power by which components are
    averaged. near: of the bar, how good an order must be by the quick reckoning to be worked out in full; sure: how
    good while some of its components are guessed. rank: power by which the best are told."""

    draws: np.ndarray
    warmth: np.ndarray
    full: bool
    power: int
    near: float
    sure: float
    rank: int


@quick
def walk(at: Standing, way: Way, choice: Choice, people: People, ground: Ground, spreads: Spreads | None) -> Standing:
    """Where the steps of a way lead. In full, an order that is too bad by the quick reckoning, at the ratio that both
    had last, is not worked out."""
    starts, now, quick, last = at.starts, at.now, at.quick, at.counts
    best, marks = at.best.copy(), at.marks.copy()
    for n in range(len(way.draws)):
        trial = moved(starts, way.draws[n, :5], choice)
        if same(trial, starts) or not allowed(trial, choice):
            continue
        bar = now * (1.0 - way.warmth[n] * math.log(1.0 - way.draws[n, 5]))
        roughly, cells = bar * quick / now / way.near if way.full else bar, cells_of(trial, people)
        order = falling(last)
        parts, counts = rough(cells, order, roughly, way.power, choice, ground, spreads)
        reckoned, found = mean_power(counts, way.power), counts
        if reckoned >= roughly:
            continue
        if way.full:
            found = in_full(
                parts, cells, order, counts * (now / quick), bar / way.sure, way.power, choice, ground, spreads
            )
        value = mean_power(found, way.power)
        if value < bar:
            starts, now, quick, last = trial, value, reckoned, counts
            keep(best, marks, trial, mean_power(found, way.rank))
    return Standing(starts, now, quick, last, best, marks)


@quick
def keep(best: np.ndarray, marks: np.ndarray, starts: np.ndarray, mark: float) -> None:
    """Puts starts in the place of the worst of the best, where they are better and not among them."""
    at = 0
    for n in range(len(marks)):
        if marks[n] > marks[at]:
            at = n
        if marks[n] == mark and same(best[n], starts):
            return
    if mark < marks[at] * SAME:
        best[at], marks[at] = starts, mark


@quick
def rough(
    cells: Cells, order: np.ndarray, bar: float, power: int, choice: Choice, ground: Ground,
    spreads: Spreads | None,
) -> tuple[list[Part], np.ndarray]:  # fmt: skip
    """What groups count by the quick reckoning, one after another in `order`, until those that are counted come to more
    than `bar`; and what each of these compares."""
    counts, parts = np.zeros(len(order)), [prepared(cells, choice.told[order[0]], ground, spreads)]
    for n in range(len(order)):
        k = choice.told[order[n]]
        if n > 0:
            parts.append(prepared(cells, k, ground, spreads))
        counts[order[n]] = counted(worth(parts[n], cells, k, ground, spreads, False), parts[n], ground.scale[k])
        if mean_power(counts, power) > bar:
            break
    return parts, counts


@quick
def in_full(
    parts: list[Part], cells: Cells, order: np.ndarray, guess: np.ndarray, bar: float, power: int,
    choice: Choice, ground: Ground, spreads: Spreads | None,
) -> np.ndarray:  # fmt: skip
    """What groups count in full, those first that are guessed to count most, each in the place of its guess, until they
    come to more than `bar`. parts: of groups in `order`."""
    for v in falling(guess):
        k = choice.told[v]
        for n in range(len(order)):
            if order[n] == v:
                guess[v] = counted(worth(parts[n], cells, k, ground, spreads, True), parts[n], ground.scale[k])
        if mean_power(guess, power) > bar:
            break
    return guess


@quick
def mean_power(counts: np.ndarray, power: int) -> float:
    """(mean of counts^power)^(1/power), without overflow for any power: near the worst, yet smooth."""
    most, out = 0.0, 0.0
    for count in counts:
        most = max(most, count)
    for count in counts:
        out += (count / most) ** power
    return most * (out / len(counts)) ** (1.0 / power)


@quick
def falling(counts: np.ndarray) -> np.ndarray:
    """Where they stand, the largest first."""
    out = np.arange(len(counts))
    for n in range(1, len(out)):
        for m in range(n, 0, -1):
            if counts[out[m]] <= counts[out[m - 1]]:
                break
            out[m], out[m - 1] = out[m - 1], out[m]
    return out


@quick
def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two orders of starts are the same."""
    for i in range(one.shape[0]):
        for k in range(one.shape[1]):
            if one[i, k] != other[i, k]:
                return False
    return True


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
