"""Weights of least noise on the screen: what each place adds to their variance, in a fraction of a millisecond.

Before exposure a place is seen from the first period to its start, so that all that depends on its covariance alone is
worked out once for every start (`Tables`); what is left is one system in the steps that places share, solved by
conjugate gradients. The numbers are those of `designs/noise/untreated.py` under the planning covariance, which a test
holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.compiled import quick

MOST = 20_000_000
"""Numbers in a table."""


@dataclass(frozen=True, eq=False)
class Tables:
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


@quick
def columns(start: np.ndarray, k: int, T: int) -> tuple[np.ndarray, int]:
    """(P, T) which step each place takes on the way to each period: the same where the others do the same; and how
    many there are."""
    P, K = start.shape
    out = np.zeros((P, T), np.int64)
    count = 0
    for t in range(1, T):
        for i in range(P):
            out[i, t] = -1
            for j in range(i):
                alike = True
                for o in range(K):
                    if o != k and (start[i, o] != start[j, o]):
                        a, b = start[i, o], start[j, o]
                        if (a <= t) != (b <= t) or (a <= t - 1) != (b <= t - 1):
                            alike = False
                            break
                if alike:
                    out[i, t] = out[j, t]
                    break
            if out[i, t] < 0:
                out[i, t] = count
                count += 1
    return out, count


@quick
def through(
    start: np.ndarray, k: int, at: np.ndarray, size: np.ndarray, steps: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """(P, T) what the information of each place makes of coefficients x (count,) of the steps `at` (P, T)."""
    P, T = at.shape
    out = np.zeros((P, T))
    for i in range(P):
        u = min(start[i, k], T)
        M = steps[size[i], u]
        for t in range(1, u):
            for s in range(1, u):
                out[i, t] += M[t, s] * x[at[i, s]]
    return out


@quick
def spread(start: np.ndarray, k: int, ok: np.ndarray, heads: np.ndarray, size: np.ndarray, steps: np.ndarray,
           asks: np.ndarray, own: np.ndarray, rounds: int) -> np.ndarray:  # fmt: skip
    """(P,) what each place adds to the variance of the average over cell-periods `ok` (E, P) of component k."""
    P, T = len(start), steps.shape[2]
    E = ok.shape[0]
    at, count = columns(start, k, T)
    G, diagonal, out = np.zeros(count), np.zeros(count), np.zeros(P)
    mass = 0.0
    for i in range(P):
        u = min(start[i, k], T)
        for t in range(1, u):
            diagonal[at[i, t]] += steps[size[i], u, t, t]
        for e in range(E):
            if not ok[e, i]:
                continue
            mass += heads[i]
            for t in range(1, T):
                G[at[i, t]] += heads[i] * asks[size[i], u, e, t]
            for f in range(E):
                if ok[f, i]:
                    out[i] += heads[i] ** 2 * own[size[i], u, e, f]
    if mass == 0.0:
        return out
    x, r = np.zeros(count), G.copy()
    for c in range(count):
        if diagonal[c] == 0.0:
            r[c] = 0.0
            diagonal[c] = 1.0
    z = r / diagonal
    p, rz, first = z.copy(), (r * z).sum(), (r * z).sum()
    for _ in range(rounds):
        if rz <= 1e-5 * first:
            break
        Np, made = np.zeros(count), through(start, k, at, size, steps, p)
        for i in range(P):
            for t in range(1, min(start[i, k], T)):
                Np[at[i, t]] += made[i, t]
        step = rz / (p * Np).sum()
        x += step * p
        r -= step * Np
        z = r / diagonal
        after = (r * z).sum()
        p = z + after / rz * p
        rz = after
    made = through(start, k, at, size, steps, x)
    for i in range(P):
        for t in range(1, min(start[i, k], T)):
            out[i] += x[at[i, t]] * made[i, t]
    return out / mass**2


@dataclass(frozen=True, eq=False)
class Moments:
    """(P,) of each place: what it adds to the variance, and the expected squares of the shift of the estimate without
    it and of its influence."""

    spread: np.ndarray
    shift: np.ndarray
    influence: np.ndarray


@dataclass(frozen=True, eq=False)
class System:
    """What the steps of component k are asked for, over whole arrays: N (C, C) information of all places on C steps;
    asked (P, C); own, mass: (P,). steps: of each place, those that it takes before its start; parts: its own part of N
    on them. known: (C,) steps that somebody takes before exposure."""

    N: np.ndarray
    asked: np.ndarray
    own: np.ndarray
    mass: np.ndarray
    steps: list[np.ndarray]
    parts: list[np.ndarray]
    known: np.ndarray

    @classmethod
    def of(cls, start: np.ndarray, k: int, ok: np.ndarray, heads: np.ndarray, tables: Tables) -> System:
        P, T = len(start), tables.steps.shape[2]
        at, count = steps_taken(start, k, T)
        u, shown = np.minimum(start[:, k], T), ok.T.astype(float) * heads[:, None]
        N, asked, own = np.zeros((count, count)), np.zeros((P, count)), np.zeros(P)
        steps = [at[i, 1 : u[i]] for i in range(P)]
        parts = [tables.steps[tables.size[i], u[i], 1 : u[i], 1 : u[i]] for i in range(P)]
        for i in range(P):
            N[steps[i][:, None], steps[i]] += parts[i]
            if shown[i].any():
                own[i] = shown[i] @ tables.own[tables.size[i], u[i]] @ shown[i]
                np.add.at(asked[i], at[i, 1:], shown[i] @ tables.asks[tables.size[i], u[i], :, 1:])
        known = np.diag(N) > 0
        N[~known, ~known] = 1.0
        return cls(N, asked, own, shown.sum(axis=1), steps, parts, known)

    def spread(self) -> np.ndarray:
        """(P,) what each place adds to the variance."""
        m = self.mass.sum()
        if not m > 0:
            return np.zeros(len(self.own))
        x = np.linalg.solve(self.N, self.asked.sum(axis=0) * self.known) * self.known / m
        return self.own / m**2 + np.array([x[c] @ M @ x[c] for c, M in zip(self.steps, self.parts, strict=True)])

    def moments(self) -> Moments | None:
        """What each place adds, and what it moves; None where a place cannot be left out."""
        inverse = np.linalg.inv(self.N) * np.outer(self.known, self.known)
        each, m = inverse @ self.asked.T, self.mass.sum()
        x = each.sum(axis=1) / m
        takers = np.bincount(np.concatenate(self.steps), minlength=len(x))
        spread, shift, influence = self.own / m**2, np.empty(len(self.own)), np.empty(len(self.own))
        for s, (c, M) in enumerate(zip(self.steps, self.parts, strict=True)):
            spread[s] += x[c] @ M @ x[c]
            without = self._without(s, inverse, each, takers)
            if without is None:
                return None
            y, moved = without[0] - x, self.own * (without[1] - 1 / m) ** 2
            shift[s] = moved.sum() - moved[s] + y @ self.N @ y - y[c] @ M @ y[c] + spread[s]
            share, passed = self.mass[s] / m, self.asked[s] / m
            passed[c] -= M @ x[c]
            pull = inverse @ passed
            y, here = pull - share * x, (pull + (1 - share) * x)[c]
            influence[s] = (self.own.sum() - self.own[s]) * (share / m) ** 2 + y @ self.N @ y - y[c] @ M @ y[c]
            influence[s] += self.own[s] * ((1 - share) / m) ** 2 + here @ M @ here
        return Moments(spread, shift, influence)

    def _without(
        self, s: int, inverse: np.ndarray, each: np.ndarray, takers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps (C,) without place s, and (P,) one over the mass that is left where a place can be told; by the
        formula of Woodbury."""
        c, M = self.steps[s], self.parts[s]
        alone = takers[c] == 1  # steps that nobody else takes: who asks for them cannot be told without this place
        told = ~(self.asked[:, c[alone]] != 0).any(axis=1)
        told[s] = False
        left = self.mass[told].sum()
        if not left > 0:
            return None
        rest = M - np.diag(np.where(alone, np.diag(M), 0.0))  # any number will do for them, as nobody asks
        right = each[:, told].sum(axis=1)
        back = np.linalg.solve(np.eye(len(c)) - rest @ inverse[c[:, None], c], rest @ right[c])
        return (right + inverse[:, c] @ back) / left, told / left


def steps_taken(start: np.ndarray, k: int, T: int) -> tuple[np.ndarray, int]:
    """`columns`, over whole arrays."""
    t = np.arange(T)
    code = np.zeros((len(start), T), dtype=np.int64)
    for o in range(start.shape[1]):
        if o != k:
            code = 2 * code + (start[:, [o]] <= t)
    pair = (t[1:] * 4096 + code[:, :-1]) * 4096 + code[:, 1:]
    found, at = np.unique(pair, return_inverse=True)
    return np.concatenate([np.zeros((len(start), 1), dtype=np.int64), at.reshape(pair.shape)], axis=1), len(found)
