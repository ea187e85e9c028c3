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

MOST = 20_000_000
"""Numbers in a table."""


class Tables(NamedTuple):
    """Of H sizes of places and starts up to T. size: (P,) which size a place has. steps: (H, T + 1, T, T) information
    of a place on its steps before a start. asks: (H, T, E, T) what a cell-period of the window asks of steps. own: (H,
    T, E, E) its own part of the variance."""

    size: np.ndarray
    steps: np.ndarray
    asks: np.ndarray
    own: np.ndarray

    @classmethod
    def of(cls, brief: Brief, shocks: np.ndarray, person: np.ndarray, lag: int) -> Tables:
        sizes, size = _sizes(brief)
        T, E = brief.T, brief.window
        steps, own = np.zeros((len(sizes), T + 1, T, T)), np.zeros((len(sizes), T, E, E))
        asks = np.zeros((len(sizes), T, E, T))
        for h, people in enumerate(sizes):
            V = shocks + person / people
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
        return cls(size, steps, asks, own)


NO_TABLES = Tables(np.zeros(0, np.int64), *(np.zeros((0, 0, 0, 0)) for _ in range(3)))


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
    before its start: taken (P, M) which, and inform (P, M, M) its information on them; asked (P, n_steps) what it asks;
    own, mass: (P,) own part of the variance, and people and periods that are averaged over."""

    taken: np.ndarray
    many: np.ndarray
    inform: np.ndarray
    n_steps: int
    asked: np.ndarray
    own: np.ndarray
    mass: np.ndarray


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
        all_of = np.zeros(T)
        for e in range(E):
            if not ok[e, i]:
                continue
            mass[i] += heads[i]
            for t in range(T):
                all_of[t] += tables.asks[h, u[i], e, t]
            for f in range(E):
                if ok[f, i]:
                    own[i] += heads[i] ** 2 * tables.own[h, u[i], e, f]
        for t in range(1, T):
            asks[i, at[i, t]] += heads[i] * all_of[t]
    return shared(at, u, asks, own, mass, tables)


@quick
def shared(
    at: np.ndarray, u: np.ndarray, asks: np.ndarray, own: np.ndarray, mass: np.ndarray, tables: Tables
) -> System:
    """A system without the steps that one place alone takes before its start u (P,) and asks about, which are solved
    for in that place. at: (P, T) steps as taken; asks (P, n + 1), own: as if all were shared; both are overwritten."""
    P, most = len(at), max(u)
    number, n = common(at, u, asks)
    taken, count, inform = np.zeros((P, most), np.int64), np.zeros(P, np.int64), np.zeros((P, most, most))
    for i in range(P):
        alone, M = np.zeros(0, np.int64), tables.steps[tables.size[i], u[i], : u[i], : u[i]]
        for t in range(1, u[i]):
            if number[at[i, t]] < 0:
                alone, M = np.append(alone, t), M if len(alone) else M.copy()
        for t in alone:
            own[i] += solved(M, asks[i], at[i], int(t))
        for t in range(1, u[i]):
            if number[at[i, t]] >= 0:
                taken[i, count[i]] = t
                count[i] += 1
        for r in range(count[i]):
            for s in range(count[i]):
                inform[i, r, s] = M[taken[i, r], taken[i, s]]
        for r in range(count[i]):
            taken[i, r] = number[at[i, taken[i, r]]]
    asked = np.zeros((P, n))
    for c in range(len(number)):
        for i in range(P if number[c] >= 0 else 0):
            asked[i, number[c]] = asks[i, c]
    return System(taken, count, inform, n, asked, own, mass)


@quick
def common(at: np.ndarray, u: np.ndarray, asks: np.ndarray) -> tuple[np.ndarray, int]:
    """(n,) a number for each step that concerns more than one place, -1 for others; and how many have one."""
    P, n = len(at), asks.shape[1] - 1
    number, takers, last, found = np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.int64), 0
    for i in range(P):
        for t in range(1, u[i]):
            takers[at[i, t]] += 1
            last[at[i, t]] = i
    for c in range(n):
        others = takers[c] - 1
        for i in range(P):
            others += i != last[c] and asks[i, c] != 0.0
        if others > 0:
            number[c], found = found, found + 1
    return number, found


@quick
def solved(M: np.ndarray, asks: np.ndarray, at: np.ndarray, t: int) -> float:
    """Solves a place's information M, and what it asks of steps, for the step to period t; returns its own part."""
    asked = asks[at[t]]
    for r in range(1, len(M)):
        if r != t and M[r, t] != 0.0:
            factor = M[r, t] / M[t, t]
            asks[at[r]] -= factor * asked
            for s in range(1, len(M)):
                M[r, s] -= factor * M[t, s]
    return asked**2 / M[t, t]


@quick
def gathered(system: System) -> np.ndarray:
    """(n_steps, n_steps) information of all places on steps."""
    N = np.zeros((system.n_steps, system.n_steps))
    for i in range(len(system.own)):
        M, at = system.inform[i], system.taken[i]
        for r in range(system.many[i]):
            for s in range(system.many[i]):
                N[at[r], at[s]] += M[r, s]
    return N


@quick
def spread(system: System) -> np.ndarray:
    """(P,) what each place adds to the variance."""
    P, n, m, x = len(system.own), system.n_steps, total(system.mass), np.zeros(system.n_steps)
    L, out = np.linalg.cholesky(gathered(system)), np.zeros(P)
    for c in range(n):
        for i in range(P):
            x[c] += system.asked[i, c]
    for c in range(n):
        x[c] = (x[c] - np.dot(L[c, :c], x[:c])) / L[c, c]
    for c in range(n - 1, -1, -1):
        x[c] /= L[c, c]
        for d in range(c):
            x[d] -= x[c] * L[c, d]
    for i in range(P):
        out[i] = (system.own[i] + within(system, i, x, x)) / m**2
    return out


@quick
def total(values: np.ndarray) -> float:
    """Their sum."""
    out = 0.0
    for value in values:
        out += value
    return out


@quick
def within(system: System, i: int, x: np.ndarray, y: np.ndarray) -> float:
    """x' M y of place i, M its information and x and y of all steps."""
    M, at, out = system.inform[i], system.taken[i], 0.0
    for r in range(system.many[i]):
        part = 0.0
        for s in range(system.many[i]):
            part += M[r, s] * y[at[s]]
        out += x[at[r]] * part
    return out


@quick
def moments(system: System) -> np.ndarray:
    """(3, P) of each place: what it adds to the variance, and the expected squares of the shift of the estimate
    without it and of its influence; NaN where some place cannot be left out."""
    own, mass, at, asked = system.own, system.mass, system.taken, system.asked
    P, m, n, out = len(own), total(mass), system.n_steps, np.zeros((3, len(own)))
    N, x, takers = gathered(system), np.zeros(n), np.zeros(n)
    for i in range(P):
        for r in range(system.many[i]):
            takers[at[i, r]] += 1.0
    inverse = np.linalg.inv(N)
    each = np.dot(asked, inverse)
    for i in range(P):
        for c in range(n):
            x[c] += each[i, c] / m
    moved, pulled = np.zeros((P, n)), np.zeros((P, n))
    for s in range(P):
        for c in range(n):
            pulled[s, c] = asked[s, c] / m  # first what a place passes on to steps
        told, left = without(system, s, inverse, each, takers, moved[s])
        if left <= 0.0:
            return np.full((3, P), np.nan)
        M = system.inform[s]
        for t in range(system.many[s]):
            for r in range(system.many[s]):
                pulled[s, at[s, t]] -= M[t, r] * x[at[s, r]]
        for i in range(P):
            out[1, s] += own[i] * (told[i] / left - 1.0 / m) ** 2 if i != s else 0.0
        for c in range(n):
            moved[s, c] -= x[c]
    pulled = np.dot(pulled, inverse)
    for s in range(P):
        for c in range(n):
            pulled[s, c] -= mass[s] / m * x[c]
    by_shift, by_pull = np.dot(moved, N), np.dot(pulled, N)
    for s in range(P):
        share = mass[s] / m
        out[0, s] = own[s] / m**2 + within(system, s, x, x)
        out[1, s] += np.dot(by_shift[s], moved[s]) - within(system, s, moved[s], moved[s]) + out[0, s]
        out[2, s] = (total(own) - own[s]) * (share / m) ** 2 + own[s] * ((1.0 - share) / m) ** 2
        out[2, s] += np.dot(by_pull[s], pulled[s]) - within(system, s, pulled[s], pulled[s])
        for c in range(n):
            pulled[s, c] += x[c]
        out[2, s] += within(system, s, pulled[s], pulled[s])
    return out


@quick
def without(
    system: System, s: int, inverse: np.ndarray, each: np.ndarray, takers: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, float]:
    """(P,) one for places that can be told without place s, and their mass; the `steps` (count,) then, by the formula
    of Woodbury."""
    P, n, u, M, at = len(system.own), system.n_steps, system.many[s], system.inform[s], system.taken[s]
    told, left, right, rest = np.ones(P), 0.0, np.zeros(n), np.zeros((u, u))
    told[s] = 0.0
    for t in range(u):
        for r in range(u):
            rest[t, r] = M[t, r]
        if takers[at[t]] == 1.0:  # nobody else takes this step: who asks for it cannot be told without this place
            rest[t, t] = 0.0  # any number will do, as nobody asks
            for i in range(P):
                if system.asked[i, at[t]] != 0.0:
                    told[i] = 0.0
    for i in range(P):
        left += told[i] * system.mass[i]
        for c in range(n):
            right[c] += told[i] * each[i, c]
    if left <= 0.0:
        return told, left
    rows, inner, known = np.zeros((u, n)), np.zeros((u, u)), np.zeros(u)
    for t in range(u):
        known[t] = right[at[t]]
        for c in range(n):
            rows[t, c] = inverse[at[t], c]
        for r in range(u):
            inner[t, r] = inverse[at[t], at[r]]
    inner = np.dot(rest, inner)
    for t in range(u):
        for r in range(u):
            inner[t, r] = (1.0 if t == r else 0.0) - inner[t, r]
    back = np.dot(np.linalg.solve(inner, np.dot(rest, known)), rows)
    for c in range(n):
        steps[c] = (right[c] + back[c]) / left
    return told, left
