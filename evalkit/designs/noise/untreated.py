"""The untreated model by generalised least squares, and exposed cell-periods against their best linear prediction.

Without the component, a cell (cluster x path) has a level of its own and changes from one period to the next by
h(period, what the others do then and before), the same for all cells whose others do the same. Exposed cell-periods
have free effects. With a covariance V within clusters, the best linear unbiased estimate of a weighted sum of effects
(weights w on exposed cell-periods E, observations U before exposure) is

    A_U = -V_UU^-1 V_UE w, levels taken out exactly,      g = Z_E' w + Z_U' A_U,
    estimate = w' y_E + A_U' y_U - g' gamma,              gamma by generalised least squares on U,

(Goldberger 1962, JASA 57, on prediction; Borusyak, Jaravel and Spiess 2024, Review of Economic Studies 91, for V = I).
Rows that are asked for together share everything but w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.linalg import solve_triangular

from evalkit.designs.noise.stretches import Before, Noise, Stretch, add_square, stretches_of
from evalkit.designs.span import TOLERANCE, Span, span

RANK = 1e-9
"""Relative size of what is left of a column below which it is a combination of others."""


SMALL = 10_000_000
"""Columns x rows of all places up to which what can be told is asked of all at once."""


@dataclass(frozen=True, eq=False)
class Place:
    """Cell-periods of one cluster. u: (m,) those before exposure, first; the rest are exposed and asked for.

    y: (m + e,) cell means, each cell's less one of its own. steps: (m + e, p) how often each column of the model has
    been passed since the cell's level began, for the columns `at` (p,). level: (m + e,) which level each belongs to.
    noise: by those who share it, who stand next to each other before exposure; beside it all share F F' where there is
    a `tie` F (m + e, q). weight: (e, r) of exposed cell-periods in the rows `rows` (r,), of the whole study.
    """

    cluster: int
    u: int
    y: np.ndarray
    steps: np.ndarray
    at: np.ndarray
    level: np.ndarray
    noise: tuple[Noise, ...]
    weight: np.ndarray
    rows: np.ndarray
    tie: np.ndarray | None = None

    @property
    def V(self) -> np.ndarray:
        """(m + e, m + e) covariance of all of them."""
        V = np.zeros((len(self.y),) * 2) if self.tie is None else self.tie @ self.tie.T
        for part in self.noise:
            V[part.rows[:, None], part.rows] += part.V
        return V

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Its cell-periods before exposure, by what shares noise; `LinAlgError` where the covariance has no root."""
        return stretches_of([self.before])[0]

    @property
    def before(self) -> Before:
        """The place before exposure, but for what ties its stretches."""
        u, noise = self.u, list[Noise]()
        for part in self.noise:
            n = int(np.searchsorted(part.rows, u))
            noise += [Noise(part.rows[:n], part.V[:n, :n])] if n else []
        return Before(tuple(noise), self.level[:u], self.steps[:u], self.y[:u])

    @cached_property
    def tied(self) -> np.ndarray | None:
        """W (m, q): Omega is that of the stretches less W W' (Woodbury 1950), None where nothing ties them."""
        if self.tie is None:
            return None
        F = self.tie[: self.u]
        WF = np.vstack([s.precision(F[s.rows]) for s in self.stretches])
        root = np.linalg.cholesky(np.eye(F.shape[1]) + F.T @ WF)
        return np.asarray(solve_triangular(root, WF.T, lower=True, check_finite=False).T)

    def precision(self, x: np.ndarray) -> np.ndarray:
        """Omega x: V^-1 x with the levels taken out."""
        made = np.concatenate([s.precision(x[s.rows]) for s in self.stretches])
        return made if self.tied is None else made - self.tied @ (self.tied.T @ x)

    @cached_property
    def whitened(self) -> np.ndarray:
        """(m, p) Omega Z."""
        made = np.zeros((self.u, self.steps.shape[1]))
        for s in self.stretches:
            made[s.rows, s.at] = s.inverse.T @ s.Z
        return made if self.tied is None else made - self.tied @ self._through[0]

    def fitted(self, x: np.ndarray) -> np.ndarray:
        """(m, r) Omega Z x of x (p, r), which needs no Omega Z."""
        made = np.concatenate([s.inverse.T @ (s.Z @ x[s.at]) for s in self.stretches])
        return made if self.tied is None else made - self.tied @ (self._through[0] @ x)

    @cached_property
    def _through(self) -> tuple[np.ndarray, np.ndarray]:
        """W' Z (q, p) and W' y (q,)."""
        assert self.tied is not None
        return self.tied.T @ self.steps[: self.u], self.tied.T @ self.y[: self.u]

    @cached_property
    def information(self) -> tuple[np.ndarray, np.ndarray]:
        """Z' Omega Z (p, p) and Z' Omega y (p,)."""
        p, first = self.steps.shape[1], self.stretches[0]
        if len(self.stretches) == 1 and len(first.at) == p and self.tied is None:
            return first.Z.T @ first.Z, first.Z.T @ first.y
        n, v = np.zeros((p, p)), np.zeros(p)
        for s in self.stretches:
            add_square(n, s.at, s.Z.T @ s.Z)
            v[s.at] += s.Z.T @ s.y
        if self.tied is None:
            return n, v
        WZ, Wy = self._through
        return n - WZ.T @ WZ, v - WZ.T @ Wy

    def misses(self, gamma: np.ndarray) -> float:
        """r' Omega r of what columns (p,) leave of the outcomes."""
        found = sum(float(r @ r) for r in (s.y - s.Z @ gamma[s.at] for s in self.stretches))
        if self.tied is None:
            return found
        WZ, Wy = self._through
        return found - float(((Wy - WZ @ gamma) ** 2).sum())

    @cached_property
    def A(self) -> np.ndarray:
        """(m + e, r) weights of each row on this place if the model's columns were known."""
        if not len(self.rows):
            return np.zeros((len(self.y), 0))
        across = np.zeros((self.u, len(self.rows)))
        for part in self.noise:
            n = int(np.searchsorted(part.rows, self.u))
            across[part.rows[:n]] = part.V[:n, n:] @ self.weight[part.rows[n:] - self.u]
        levels = np.vstack([s.of_levels(self._asked_of(s.levels)) for s in self.stretches])
        if self.tie is not None:
            before, after = self.tie[: self.u], self.tie[self.u :]
            across += before @ (after.T @ self.weight - before.T @ levels)
        return np.vstack([-(levels + self.precision(across)), self.weight])

    def _asked_of(self, levels: np.ndarray) -> np.ndarray:
        """(q, r) weight of levels in the rows, through what is exposed."""
        return np.asarray((levels[:, None] == self.level[self.u :]).astype(float) @ self.weight)

    @cached_property
    def g(self) -> np.ndarray:
        """(p, r) what the model's columns add to A' y."""
        return self.steps.T @ self.A

    def scaled(self, by: float) -> Place:
        """The same place with a covariance `by` times as large: what was worked out for it is scaled along."""
        if by == 1:
            return self
        root, known = float(np.sqrt(by)), vars(self)
        tie = None if self.tie is None else root * self.tie
        made = replace(self, noise=tuple(Noise(part.rows, by * part.V) for part in self.noise), tie=tie)
        vars(made)["stretches"] = tuple(s.scaled(root) for s in self.stretches)
        if "tied" in known:
            vars(made)["tied"] = None if self.tied is None else self.tied / root
        if "whitened" in known:
            vars(made)["whitened"] = self.whitened / by
        vars(made)["information"] = tuple(x / by for x in self.information)
        return made


@dataclass(frozen=True, eq=False)
class Untreated:
    """k weighted sums of effects from all places of a study. columns: P, how many columns the model has."""

    places: tuple[Place, ...]
    columns: int
    k: int

    @property
    def positive(self) -> bool:
        """Whether every place's covariance before exposure has a root."""
        try:
            self.work_out()
        except np.linalg.LinAlgError:
            return False
        return True

    def work_out(self) -> None:
        """Work out what there is before exposure of all places at once, which takes less than each by itself."""
        left = [place for place in self.places if "stretches" not in vars(place)]
        for place, made in zip(left, stretches_of([place.before for place in left]), strict=True):
            vars(place)["stretches"] = made

    @cached_property
    def information(self) -> tuple[np.ndarray, np.ndarray]:
        """N (P, P) and v (P,), summed over places; nothing of columns that levels take all but rounding of."""
        N, v, size = np.zeros((self.columns, self.columns)), np.zeros(self.columns), np.zeros(self.columns)
        self.work_out()
        for place in self.places:
            n, own = place.information
            add_square(N, place.at, n)
            v[place.at] += own
            for s in place.stretches:
                size[place.at[s.at]] += s.size
        nothing = N.diagonal() <= TOLERANCE * size
        N[nothing], N[:, nothing], v[nothing] = 0.0, 0.0, 0.0
        return N, v

    @cached_property
    def solver(self) -> Span:
        return span(self.information[0])

    @cached_property
    def inverse(self) -> np.ndarray:
        """(P, P) generalised inverse of the information."""
        return self.solver.inverse()

    @cached_property
    def kept(self) -> tuple[np.ndarray, ...]:
        """For each place (r,) the rows in which its exposed cell-periods can be told."""
        return self.by_place(self.told(self.solver))

    @cached_property
    def _added(self) -> np.ndarray:
        """(P, m) what the model's columns add in all places, rows side by side."""
        out, edges = np.zeros((self.columns, int(self._edges[-1]))), pairwise(self._edges.tolist())
        for p, (low, high) in zip(self.places, edges, strict=True):
            out[p.at, low:high] = p.g
        return out

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.cumsum([0, *(len(p.rows) for p in self.places)])

    def told(self, solver: Span) -> np.ndarray:
        """(m,) the rows of all places, side by side, in which a solver tells their exposed cell-periods."""
        if self.columns * self._edges[-1] > SMALL:
            return np.concatenate([np.asarray(solver.identified(p.g, p.at)) for p in self.places])
        return np.asarray(solver.identified(self._added))

    def by_place(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """(m,) of the rows of all places, side by side, apart."""
        return tuple(rows[low:high] for low, high in pairwise(self._edges.tolist()))

    def sums_of(self, kept: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A'y (k,), G (P, k) and weights (k,) of what can be told."""
        Ay, G, weight = np.zeros(self.k), np.zeros((self.columns, self.k)), np.zeros(self.k)
        for place, told in zip(self.places, kept, strict=True):
            if not told.any():
                continue
            rows = place.rows[told]
            Ay[rows] += place.y @ place.A[:, told]
            G[place.at[:, None], rows] += place.g[:, told]
            weight[rows] += place.weight[:, told].sum(axis=0)
        return Ay, G, weight

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.sums_of(self.kept)

    @cached_property
    def gamma(self) -> np.ndarray:
        """(P,) columns of the model by generalised least squares."""
        return self.solver.solve(self.information[1])

    @cached_property
    def value(self) -> np.ndarray:
        """(k,) estimates, NaN where nothing can be told."""
        Ay, G, weight = self.sums
        return divided(Ay - G.T @ self.gamma, weight)

    @property
    def weight(self) -> np.ndarray:
        """(k,) share of each row's weights that can be told."""
        return self.sums[2]

    @cached_property
    def back(self) -> np.ndarray:
        """(P, k) N^- G."""
        return self.solver.solve(self.sums[1])

    @cached_property
    def linear(self) -> tuple[tuple[Place, np.ndarray, np.ndarray], ...]:
        """For each place, the rows (r',) that it has a part in and the weights (m + e, r') of its cell-periods in them,
        those of the model's columns included, not yet divided by `weight`."""
        back, found = self.back, []
        for place, told in zip(self.places, self.kept, strict=True):
            some = back[place.at].any(axis=0)
            some[place.rows[told]] = True
            rows, at = np.flatnonzero(some), np.cumsum(some) - 1
            L = np.zeros((len(place.y), len(rows)))
            L[: place.u] = place.fitted(-back[place.at[:, None], rows])
            L[:, at[place.rows[told]]] += place.A[:, told]
            found.append((place, rows, L))
        return tuple(found)

    def vcov(self) -> np.ndarray:
        """(k, k) covariance of the estimates if V is right."""
        Q = self.sums[1].T @ self.back
        for place, told in zip(self.places, self.kept, strict=True):
            rows = place.rows[told]
            A = place.A[:, told]
            Q[rows[:, None], rows] += sum(A[part.rows].T @ part.V @ A[part.rows] for part in place.noise)
            if place.tie is not None:
                FA = place.tie.T @ A
                Q[rows[:, None], rows] += FA.T @ FA
        return np.asarray(divided(divided(Q, self.weight).T, self.weight).T)

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """Clusters (G,) of the places and the influence (G, k) of each: what it adds to estimate less truth."""
        out = np.zeros((len(self.places), self.k))
        for i, (place, rows, L) in enumerate(self.linear):
            out[i, rows] = (place.y - place.steps @ self.gamma[place.at]) @ L
            own = np.zeros(self.k)
            told = self.kept[i]
            own[place.rows[told]] = place.weight[:, told].sum(axis=0)
            out[i] -= own * np.nan_to_num(self.value)
        return np.array([p.cluster for p in self.places]), divided(out, self.weight)


def divided(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """x / by along the last axis, NaN where `by` is zero."""
    return np.where(by > 0, x / np.where(by > 0, by, 1.0), np.nan)
