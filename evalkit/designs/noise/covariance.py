"""A working covariance of cell means: what people add, from deviations within cells, and what places add.

No effect of any component enters: people are seen beside others of their own cell and period, places before exposure.
Weights made with a working covariance are unbiased whatever the true one is; what is lost where it is wrong is width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.rollout.sums import Sums

DECAYS = np.concatenate([np.arange(0.0, 0.9, 0.1), np.arange(0.9, 0.995, 0.01)])
"""Correlations of neighbouring periods that are tried."""
SHOCKS = ((0.95, False), (0.5, False), (0.9, True), (0.0, True))
"""Shocks of places: correlation of neighbouring periods, and whether they are a cell's own or common to a place."""


LEAST = 1e-6
"""Least share of a person's variance that is a period's own, so that the covariance can be inverted."""


ENOUGH = 10
"""Degrees of freedom from which it is judged how much places of a kind vary."""


@dataclass(frozen=True)
class Person:
    """Covariance of one person about the mean of the cell: level + fading x decay^|lag| + own [lag = 0]."""

    level: float
    fading: float
    decay: float
    own: float

    def matrix(self, periods: int) -> np.ndarray:
        """(T, T) covariance."""
        lag = _lags(np.arange(periods))
        own = max(self.own, LEAST * self.variance)
        return self.level + self.fading * self.decay**lag + own * (lag == 0)

    @property
    def variance(self) -> float:
        return self.level + self.fading + self.own


def _lags(t: np.ndarray) -> np.ndarray:
    return np.abs(np.subtract.outer(t, t))


@dataclass(frozen=True, eq=False)
class People:
    """Outcomes (n, T) of units, NaN where not seen; the people behind each (n,); and the sums (n, T, T) of products of
    their deviations from the unit's outcome, None where each is one person."""

    values: np.ndarray
    heads: np.ndarray
    within: np.ndarray | None = None

    @classmethod
    def of_sums(cls, sums: Sums, values: np.ndarray) -> Self:
        """Those of a reader of sums; values: its own, but for a constant."""
        paths = sums.paths
        return cls(values, paths.people, None if paths.spread is None else paths.spread.within(sums.values))


def autocovariance(people: People, of: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums (T,) by lag of products of people's deviations from the mean of their cell and period, and how many.

    of: (n,) cell of each unit. Deviations are scaled by n / (n - 1), so that a product is unbiased for the covariance
    of one person; cells with one person in a period say nothing there.
    """
    values, heads = people.values, people.heads[:, None].astype(float)
    seen = np.isfinite(values)
    collect = sparse.csr_array((people.heads.astype(float), (of, np.arange(len(of)))), shape=(cells, len(of)))
    count = collect @ seen.astype(float)
    mean = (collect @ np.where(seen, values, 0.0)) / np.maximum(count, 1)
    n = count[of]
    there = seen & (n > 1)
    if people.within is not None:
        there &= ~np.isnan(people.within).any(axis=(1, 2))[:, None]  # what is withheld of a cell says nothing
    scale = np.where(there, np.sqrt(n / np.maximum(n - 1, 1)), 0.0)
    away = np.where(there, values - mean[of], 0.0) * scale
    product, pairs = (heads * away).T @ away, (heads * there).T @ there.astype(float)
    if people.within is not None:
        product += np.einsum("nst,ns,nt->st", np.nan_to_num(people.within), scale, scale)
    lag = _lags(np.arange(values.shape[1])).ravel()
    return np.bincount(lag, product.ravel()), np.bincount(lag, pairs.ravel())


def fit_person(product: np.ndarray, pairs: np.ndarray) -> Person | None:
    """The person's covariance nearest to the autocovariances, none of its parts negative; None without pairs."""
    from scipy.optimize import nnls

    lag = np.flatnonzero(pairs > 0)
    if len(lag) < 2 or pairs[0] < 2:
        return None
    root, found = np.sqrt(pairs[lag]), product[lag] / pairs[lag]
    if not found[0] > 0:
        return None
    best = None
    for decay in DECAYS:
        X = np.column_stack([np.ones(len(lag)), decay**lag, lag == 0])
        part, miss = nnls(X * root[:, None], found * root)
        if best is None or miss < best[0]:
            best = (miss, Person(part[0], part[1], float(decay), part[2]))
    assert best is not None
    person = best[1]
    return person if person.variance > 0 else None


def shock_covariance(variances: np.ndarray, cell: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Covariance (m, m) that shocks of these variances, one for each kind, give the cell-periods of a place."""
    lag = _lags(t)
    by_lag = np.zeros((2, int(lag.max(initial=0)) + 1))
    for variance, (decay, own) in zip(variances, SHOCKS, strict=True):
        by_lag[int(own)] += variance * decay ** np.arange(by_lag.shape[1])
    return np.asarray(by_lag[0][lag] + np.where(np.equal.outer(cell, cell), by_lag[1][lag], 0.0))


@dataclass(frozen=True, eq=False)
class _Own:
    """The covariance of cells' own shocks with variance one, a block for each cell; cells: positions of each."""

    cells: list[np.ndarray]
    blocks: list[np.ndarray]

    @classmethod
    def of(cls, cells: list[np.ndarray], t: np.ndarray, decay: float) -> Self:
        return cls(cells, [decay ** _lags(t[at]) for at in cells] if decay else [])

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        """Times x (m, q)."""
        if not self.blocks:
            return x
        made = np.empty_like(x)
        for at, block in zip(self.cells, self.blocks, strict=True):
            made[at] = block @ x[at]
        return made


@dataclass(frozen=True, eq=False)
class _Quadratics:
    """What shocks of each kind do to the quadratic forms of one place, P = Omega less the fit of all places' columns:
    seen: y' P K P y (k,); trace: tr(K P) (k,); gram: tr(K P K' P) (k, k) but for what passes through two places, which
    is made of through: Z' Omega K Omega Z (k, p, p)."""

    seen: np.ndarray
    trace: np.ndarray
    gram: np.ndarray
    through: np.ndarray

    @classmethod
    def of(cls, place: Place, where: tuple[np.ndarray, np.ndarray], residual: np.ndarray, inverse: np.ndarray) -> Self:
        """Of residuals (m,) weighed by Omega, and the inverse (p, p) of the information of all places.

        Shocks common to a place are the same in all its cells, so that what they do is periods by periods."""
        cell, t = where
        k, Omega, OZ = len(SHOCKS), place.omega, place.whitened
        periods, when = np.unique(t, return_inverse=True)
        S = (when[:, None] == np.arange(len(periods))).astype(float)
        OS, Y = Omega @ S, S.T @ OZ
        G, YN, e = S.T @ OS, Y @ inverse, S.T @ residual
        H = YN @ Y.T
        seen, KO, gram, through = np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((k, *inverse.shape))
        own: list[tuple[int, np.ndarray, np.ndarray]] = []
        common: list[tuple[int, np.ndarray]] = []
        cells = [np.flatnonzero(cell == c) for c in np.unique(cell)]
        for i, (decay, of_cells) in enumerate(SHOCKS):
            if of_cells:
                K = _Own.of(cells, t, decay)
                shaken, KZ = K @ Omega, K @ OZ
                seen[i], KO[i] = residual @ (K @ residual[:, None])[:, 0], np.trace(shaken)
                through[i], OKZ = OZ.T @ KZ, Omega @ KZ
                between = OS.T @ (K @ OS) - 2 * YN @ (KZ.T @ OS)
                for j, C in common:
                    gram[i, j] = (C * between).sum()
                own.append((i, shaken, KZ @ inverse))
                for j, other, KN in own:
                    gram[i, j] = (shaken * other.T).sum() - 2 * (KN * OKZ).sum()
            else:
                C = decay ** _lags(periods)
                seen[i], KO[i], through[i] = e @ C @ e, (C * G).sum(), Y.T @ C @ Y
                common.append((i, C))
                for j, other in common:
                    gram[i, j] = ((C @ G) * (other @ (G - 2 * H)).T).sum()
        trace = KO - (through * inverse).sum(axis=(1, 2))
        return cls(seen, trace, np.tril(gram) + np.tril(gram, -1).T, through)


def shock_variances(model: Untreated, where: Sequence[tuple[np.ndarray, np.ndarray]], known: bool) -> np.ndarray:
    """Variances of the shocks of places, by minimum norm quadratic estimation, none negative (Rao 1971).

    where: for each place cell and period of what is not yet exposed. The model's own covariance is the norm; known:
    whether it is noise that is there beside the shocks (people's), and not the norm alone.
    """
    k, inverse = len(SHOCKS), model.inverse
    seen, trace, gram = np.zeros(k), np.zeros(k), np.zeros((k, k))
    through = np.zeros((k, model.columns, model.columns))
    for place, at in zip(model.places, where, strict=True):
        residual = place.precision(place.y[: place.u] - place.steps[: place.u] @ model.gamma[place.at])
        mine = np.ix_(place.at, place.at)
        own = _Quadratics.of(place, at, residual, inverse[mine])
        seen, trace, gram = seen + own.seen, trace + own.trace * known, gram + own.gram
        for total, part in zip(through, own.through, strict=True):
            total[mine] += part
    back = [inverse @ m for m in through]
    gram += np.array([[np.vdot(a, b) for b in map(np.transpose, back)] for a in back])
    return _nonnegative(gram, seen - trace)


def unequal(model: Untreated) -> np.ndarray:
    """(places,) by how much more places vary before exposure than the model's covariance says, never less than one:
    those with exposed cell-periods together, and all others together.

    Sums of r' Omega r over their degrees of freedom; no exposed cell-period is in them.
    """
    inverse, k = model.inverse, len(model.places)
    seen, free, exposed = np.zeros(k), np.zeros(k), np.zeros(k, dtype=int)
    for i, p in enumerate(model.places):
        residual = p.y[: p.u] - p.steps[: p.u] @ model.gamma[p.at]
        seen[i] = residual @ p.precision(residual)
        fitted = (inverse[p.at[:, None], p.at] * p.information[0]).sum()
        free[i] = p.u - len(np.unique(p.level[: p.u])) - fitted
        exposed[i] = len(p.y) > p.u
    total, degrees = (np.bincount(exposed, weights=x, minlength=2) for x in (seen, free))
    scale = np.divide(total, degrees, out=np.ones(2), where=degrees >= ENOUGH)
    return np.maximum(scale, 1.0)[exposed]


def _nonnegative(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The non-negative solution of gram s = right in the norm of gram."""
    from scipy.optimize import nnls

    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    scaled = gram * np.outer(scale, scale) + 1e-9 * np.eye(len(gram))
    root = np.linalg.cholesky(scaled)
    found, _ = nnls(root.T, np.linalg.solve(root, right * scale))
    return found * scale
