"""Weights of least noise on the screen: what each place adds to their variance, in a fraction of a millisecond.

Before exposure a place is seen from the first period to its start, so that all that depends on its covariance alone is
worked out once for every start (`Tables`); what is left is one system in the steps that places share. The numbers are
those of `designs/noise/untreated.py` under the planning covariance, which a test holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.compiled import quick
from evalkit.rollouts.kernel import NOTHING
from evalkit.rollouts.solving import add, factor, inverse, solve, take

MOST = 20_000_000
"""Numbers in a table."""


class Tables(NamedTuple):
    """Of H sizes of places and starts up to T. size: (P,) which size a place has. steps: (H, T + 1, T, T) information
    of a place on its steps before a start, and noise: (H, T, T) its inverse, the covariance of their noise. asks: (H,
    T, E, T) what a cell-period of the window asks of steps. own: (H, T, E, E) its own part of the variance. lag: from a
    start to the window."""

    size: np.ndarray
    noise: np.ndarray
    steps: np.ndarray
    asks: np.ndarray
    own: np.ndarray
    lag: int

    @classmethod
    def of(cls, brief: Brief, shocks: np.ndarray, person: np.ndarray, lag: int) -> Tables:
        sizes, size = _sizes(brief)
        T, E = brief.T, brief.window
        steps, own = np.zeros((len(sizes), T + 1, T, T)), np.zeros((len(sizes), T, E, E))
        asks, noise = np.zeros((len(sizes), T, E, T)), np.zeros((len(sizes), T, T))
        for h, people in enumerate(sizes):
            V = shocks + person / people
            noise[h, 1:, 1:] = np.diff(np.diff(V, axis=0), axis=1)
            for u in range(1, T + 1):
                P = np.linalg.inv(V[:u, :u])
                level = P.sum(axis=0)
                omega = P - np.outer(level, level) / level.sum()
                below = np.cumsum(np.cumsum(omega[::-1], axis=0)[::-1][:, ::-1], axis=1)[:, ::-1]
                steps[h, u, 1:u, 1:u] = below[1:, 1:]
                t = u + lag + np.arange(E)
                t = t[t < T]
                if u == T or not len(t):
                    continue
                predicted = P @ V[:u, t]
                A = np.zeros((T, len(t)))
                A[:u] = -predicted - np.outer(level, 1 - predicted.sum(axis=0)) / level.sum()
                A[t, np.arange(len(t))] = 1.0
                own[h, u, : len(t), : len(t)] = A.T @ V @ A
                asks[h, u, : len(t)] = np.cumsum(A[::-1], axis=0)[::-1].T
        return cls(size, noise, steps, asks, own, lag)


_NONE = np.zeros((0, 0, 0, 0))
NO_TABLES = Tables(np.zeros(0, np.int64), np.zeros((0, 0, 0)), _NONE, _NONE, _NONE, 0)


def _sizes(brief: Brief) -> tuple[np.ndarray, np.ndarray]:
    """Sizes that places are taken to have, and which one each has: their own, but for few of many where the tables of
    all would not fit into memory. The law of a plan knows them as they are."""
    sizes, size = np.unique(brief.people, return_inverse=True)
    most = max(MOST // brief.T**3, 1)
    if len(sizes) <= most:
        return sizes, size.ravel()
    edges = np.quantile(np.log(brief.people), np.linspace(0, 1, most + 1)[1:-1])
    of = np.searchsorted(edges, np.log(brief.people))
    used, of = np.unique(of, return_inverse=True)
    return np.array([brief.people[of == i].mean() for i in range(len(used))]), of.ravel()


class System(NamedTuple):
    """What a component asks of the steps that places share, `n_steps` of them. Of each place, `many` (P,) of them
    before its start: taken (P, M) which, when (P, M) in which period, and inform (P, M, M) its information on them;
    asked (P, n_steps) what it asks; own, mass: (P,) own part of the variance, and people and periods that are averaged
    over. shared (P, T): the step that it takes, or would, to each period, -1 for its own; begin, heads: (P,) its start
    and people; ok (E, P) event times that are averaged over."""

    taken: np.ndarray
    when: np.ndarray
    many: np.ndarray
    inform: np.ndarray
    n_steps: int
    asked: np.ndarray
    own: np.ndarray
    mass: np.ndarray
    shared: np.ndarray
    begin: np.ndarray
    heads: np.ndarray
    ok: np.ndarray


@quick
def no_system() -> System:
    """Of nobody."""
    two, one = np.zeros((0, 0), np.int64), np.zeros(0)
    none, ok = np.zeros(0, np.int64), np.zeros((0, 0), np.bool_)
    return System(two, two, none, np.zeros((0, 0, 0)), 0, np.zeros((0, 0)), one, one, two, none, one, ok)


@quick
def steps_taken(start: np.ndarray, k: int, T: int) -> tuple[np.ndarray, int]:
    """(P, T) which step each place takes on the way to each period: the same where the others do the same; and how
    many there are that somebody takes before component k, which those that nobody takes are given as their number."""
    P, K = start.shape
    on, out, count = np.zeros((P, T), np.int64), np.zeros((P, T), np.int64), 0
    for i in range(P):
        for o in range(K):
            for t in range(start[i, o], T if o != k else 0):
                on[i, t] += 1 << o
    for t in range(1, T):
        for i in range(P):
            if out[i, t] > 0 or start[i, k] <= t:
                continue
            count += 1
            for j in range(P):
                if on[i, t] == on[j, t] and on[i, t - 1] == on[j, t - 1]:
                    out[j, t] = count
    for i in range(P):
        for t in range(T):
            out[i, t] = out[i, t] - 1 if out[i, t] > 0 else count
    return out, count


@quick
def system_of(start: np.ndarray, k: int, ok: np.ndarray, heads: np.ndarray, tables: Tables) -> System:
    """What the average over cell-periods `ok` (E, P) of component k asks."""
    (E, P), T = ok.shape, tables.steps.shape[2]
    at, count = steps_taken(start, k, T)
    u, asks, own, mass = np.zeros(P, np.int64), np.zeros((P, count + 1)), np.zeros(P), np.zeros(P)
    for i in range(P):
        h, u[i] = tables.size[i], min(start[i, k], T)
        all_of, mine = np.zeros(T), at[i]
        for e in range(E):
            if not ok[e, i]:
                continue
            mass[i] += heads[i]
            each = tables.asks[h, u[i], e]
            for t in range(T):
                all_of[t] += each[t]
            for f in range(E):
                if ok[f, i]:
                    own[i] += heads[i] ** 2 * tables.own[h, u[i], e, f]
        for t in range(1, T if mass[i] > 0.0 else 0):
            asks[i, mine[t]] += heads[i] * all_of[t]
    return shared(at, u, asks, own, mass, heads, ok, tables)


@quick
def shared(
    at: np.ndarray, u: np.ndarray, asks: np.ndarray, own: np.ndarray, mass: np.ndarray, heads: np.ndarray,
    ok: np.ndarray, tables: Tables,
) -> System:  # fmt: skip
    """A system without the steps that one place alone takes before its start u (P,) and asks about, which are solved
    for in that place. at: (P, T) steps as taken; asks (P, n + 1), own: as if all were shared; all three are
    overwritten."""
    P, most = len(at), max(u)
    number, n = common(at, u, asks)
    taken, count, inform = np.zeros((P, most), np.int64), np.zeros(P, np.int64), np.empty((P, most, most))
    when, asked = np.zeros((P, most), np.int64), np.zeros((P, n))
    for i in range(P):
        M, copied = tables.steps[tables.size[i], u[i]], False
        for t in range(1, u[i]):
            if number[at[i, t]] < 0:
                M, copied = M if copied else M[: u[i], : u[i]].copy(), True
                own[i] += solved(M, asks[i], at[i], t)
            else:
                when[i, count[i]], taken[i, count[i]] = t, number[at[i, t]]
                count[i] += 1
        for r in range(count[i]):
            row, mine, day = inform[i, r], M[when[i, r]], when[i]
            for s in range(count[i]):
                row[s] = mine[day[s]]
        for c in range(len(number) if mass[i] > 0.0 else 0):
            if number[c] >= 0:
                asked[i, number[c]] = asks[i, c]
        for t in range(at.shape[1]):
            at[i, t] = number[at[i, t]] if at[i, t] < len(number) else -1
    return System(taken, when, count, inform, n, asked, own, mass, at, u, heads, ok)


@quick
def common(at: np.ndarray, u: np.ndarray, asks: np.ndarray) -> tuple[np.ndarray, int]:
    """(n,) a number for each step that concerns more than one place, -1 for others; and how many have one."""
    P, n = len(at), asks.shape[1] - 1
    number, takers, last, found = np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.int64), 0
    for i in range(P):
        mine = at[i]
        for t in range(1, u[i]):
            takers[mine[t]] += 1
            last[mine[t]] = i
    for c in range(n):
        others = takers[c] - 1
        for i in range(P if others == 0 else 0):
            others += i != last[c] and asks[i, c] != 0.0
        if others > 0:
            number[c], found = found, found + 1
    return number, found


@quick
def solved(M: np.ndarray, asks: np.ndarray, at: np.ndarray, t: int) -> float:
    """Solves a place's information M, and what it asks of steps, for the step to period t; returns its own part."""
    asked, gone = asks[at[t]], M[t]
    for r in range(1, len(M)):
        if r != t and M[r, t] != 0.0:
            by, row = M[r, t] / gone[t], M[r]
            asks[at[r]] -= by * asked
            for s in range(len(row)):
                row[s] -= by * gone[s]
    return asked**2 / gone[t]


@quick
def gathered(system: System) -> np.ndarray:
    """(n_steps, n_steps) information of all places on steps, from its diagonal upwards."""
    N = np.zeros((system.n_steps, system.n_steps))
    for i in range(len(system.own)):
        at, n = system.taken[i], system.many[i]
        for r in range(n):
            row, mine = N[at[r]], system.inform[i, r]
            for s in range(r, n):
                row[at[s]] += mine[s]
    return N


@quick
def spread(system: System, U: np.ndarray) -> np.ndarray:
    """(P,) what each place adds to the variance. U: factor of the information that is `gathered`."""
    P, m = len(system.own), total(system.mass)
    x, out = solve(U, over_places(system.asked)), np.zeros(P)
    for i in range(P):
        out[i] = (system.own[i] + along(system, i, x, informed(system, i, x))) / m**2
    return out


@quick
def total(values: np.ndarray) -> float:
    """Their sum."""
    out = 0.0
    for value in values:
        out += value
    return out


@quick
def over_places(asked: np.ndarray) -> np.ndarray:
    """(n,) sum over places of (P, n)."""
    out = np.zeros(asked.shape[1])
    for i in range(len(asked)):
        for c in range(len(out)):
            out[c] += asked[i, c]
    return out


@quick
def informed(system: System, i: int, x: np.ndarray) -> np.ndarray:
    """(many,) M x of place i, M its information and x of all steps."""
    M, at, n = system.inform[i], system.taken[i], system.many[i]
    out = np.zeros(n)
    for r in range(n):
        for s in range(n):
            out[r] += M[r, s] * x[at[s]]
    return out


@quick
def along(system: System, i: int, x: np.ndarray, passed: np.ndarray) -> float:
    """Inner product of x of all steps with what place i passes on to those that it takes."""
    out = 0.0
    for r in range(system.many[i]):
        out += x[system.taken[i, r]] * passed[r]
    return out


@quick
def moments(system: System, U: np.ndarray, tables: Tables) -> np.ndarray:
    """(3, P) of each place: what it adds to the variance, and the expected squares of the shift of the estimate
    without it and of its influence; NaN where some place cannot be left out. U: as of `spread`."""
    own, mass, asked = system.own, system.mass, system.asked
    P, n, m, out = len(own), system.n_steps, total(mass), np.zeros((3, len(own)))
    known = inverse(U)
    each, takers, all_own = np.dot(asked, known), takers_of(system), total(own)
    every, x = over_places(asked), over_places(each)
    for s in range(P):
        passed, share, gone = informed(system, s, x), mass[s] / m, lost(system, s, takers, tables)
        left = m - mass[s] - gone.mass
        if left <= NOTHING * m:
            return np.full((3, P), np.nan)
        now, right, by = every.copy(), x.copy(), 1.0 / left - 1.0 / m
        for c in range(n):
            now[c] -= asked[s, c] + gone.asked[c]
            right[c] -= each[s, c]
        take(right, 0, n if gone.mass > 0.0 else 0, known, 0, n, gone.asked)
        steps = without(system, s, known, right, takers, tables)
        pull, add = pulled(system, s, known, each, passed), along(system, s, x, passed)
        for c in range(n):
            pull[c] -= share * x[c]
            out[1, s] += (now[c] / left - every[c] / m) * (steps[c] / left - x[c] / m)
            out[2, s] += pull[c] * (asked[s, c] - share * every[c]) / m**2
        out[0, s] = (own[s] + add) / m**2
        out[1, s] += own[s] / m**2 + along(system, s, steps, passed) / (left * m)
        out[1, s] += (all_own - own[s]) * by**2 - 2.0 * gone.across * by / left + gone.own / left**2
        out[2, s] += (along(system, s, pull, passed) + add) / m**2
        out[2, s] += (all_own - own[s]) * (share / m) ** 2 + own[s] * ((1.0 - share) / m) ** 2
    return out


class Lost(NamedTuple):
    """Of what cannot be told without a place: mass, what it asks of steps (n_steps,), its own part of the variance, and
    the covariance of that with the own parts of all."""

    mass: float
    asked: np.ndarray
    own: float
    across: float


@quick
def lost(system: System, s: int, takers: np.ndarray, tables: Tables) -> Lost:
    """What other places ask of steps that nobody takes but place s: event times from such a step on."""
    mass, own, across, gone = 0.0, 0.0, 0.0, np.zeros(system.n_steps)
    for i in range(len(system.own)):
        first = len(system.ok)
        for r in range(system.many[s]):
            at = system.taken[s, r]
            if i != s and takers[at] == 1 and system.asked[i, at] != 0.0:
                first = min(first, max(system.when[s, r] - system.begin[i] - tables.lag, 0))
        if first < len(system.ok):
            part = late(system, i, first, tables)
            mass, own, across = mass + part.mass, own + part.own, across + part.across
            for c in range(system.n_steps):
                gone[c] += part.asked[c]
    return Lost(mass, gone, own, across)


@quick
def late(system: System, i: int, first: int, tables: Tables) -> Lost:
    """What place i asks at event times from the `first` on."""
    T, h, u, heads = system.shared.shape[1], tables.size[i], system.begin[i], system.heads[i]
    mass, own, across, asks, out = 0.0, 0.0, 0.0, np.zeros((T, 2)), np.zeros(system.n_steps)
    for e in range(len(system.ok)):
        for f in range(len(system.ok) if system.ok[e, i] and e >= first else 0):
            both = heads**2 * tables.own[h, u, e, f] if system.ok[f, i] else 0.0
            across, own = across + both, own + (both if f >= first else 0.0)
        for t in range(T if system.ok[e, i] else 0):
            asks[t, 0] += heads * tables.asks[h, u, e, t]
            asks[t, 1] += heads * tables.asks[h, u, e, t] * (e >= first)
        mass += heads * (system.ok[e, i] and e >= first)
    M = tables.steps[h, u, :u, :u].copy()
    for t in range(1, u):  # its own steps are solved for, as `shared` does
        if system.shared[i, t] < 0:
            every, some = asks[t, 0], asks[t, 1]
            own, across = own + some**2 / M[t, t], across + every * some / M[t, t]
            for r in range(1, u):
                by = M[r, t] / M[t, t] if r != t else 0.0
                asks[r, 0] -= by * every
                asks[r, 1] -= by * some
                for c in range(1, u):
                    M[r, c] -= by * M[t, c]
    for t in range(T):
        if system.shared[i, t] >= 0:
            out[system.shared[i, t]] += asks[t, 1]
    return Lost(mass, out, own, across)


@quick
def takers_of(system: System) -> np.ndarray:
    """(n_steps,) places that take each step."""
    out = np.zeros(system.n_steps, np.int64)
    for i in range(len(system.own)):
        for r in range(system.many[i]):
            out[system.taken[i, r]] += 1
    return out


@quick
def without(
    system: System, s: int, known: np.ndarray, right: np.ndarray, takers: np.ndarray, tables: Tables
) -> np.ndarray:
    """(n_steps,) steps without place s, from what they are with it when the others ask: by the formula of Woodbury,
    over the steps that others take too. What stands for the rest is asked by nobody."""
    many, noise = system.many[s], tables.noise[tables.size[s]]
    out, at, when, u = right.copy(), np.zeros(many, np.int64), np.zeros(many, np.int64), 0
    for r in range(many):
        if takers[system.taken[s, r]] > 1:
            at[u], when[u], u = system.taken[s, r], system.when[s, r], u + 1
    K, mine_of = np.zeros((u, u)), np.zeros(u)
    for r in range(u):
        row, mine, theirs = K[r], noise[when[r]], known[at[r]]
        mine_of[r] = right[at[r]]
        for t in range(r, u):  # above its diagonal is all that is read
            row[t] = mine[when[t]] - theirs[at[t]]
    passed = solve(factor(K), mine_of)
    for r in range(u):
        add(out, known[at[r]], passed[r])
    return out


@quick
def pulled(system: System, s: int, known: np.ndarray, each: np.ndarray, passed: np.ndarray) -> np.ndarray:
    """(n_steps,) by how much steps follow the residuals of place s, weighed as they are."""
    out = each[s].copy()
    for r in range(system.many[s]):
        add(out, known[system.taken[s, r]], -passed[r])
    return out
