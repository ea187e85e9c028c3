"""A working covariance of cell means: what people add, from deviations within cells, and what places add.

No effect of any component enters: people are seen beside others of their own cell and period, places before exposure.
Weights made with a working covariance are unbiased whatever the true one is; what is lost where it is wrong is width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from evalkit.designs.noise.shocks import lags
from evalkit.designs.noise.untreated import Untreated
from evalkit.designs.rollout.sums import Sums

DECAYS = np.concatenate([np.arange(0.0, 0.9, 0.1), np.arange(0.9, 0.995, 0.01)])
"""Correlations of neighbouring periods that are tried."""
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
        lag = lags(np.arange(periods))
        own = max(self.own, LEAST * self.variance)
        return self.level + self.fading * self.decay**lag + own * (lag == 0)

    @property
    def variance(self) -> float:
        return self.level + self.fading + self.own


@dataclass(frozen=True, eq=False)
class People:
    """Outcomes (n, T) of units, NaN where not seen; the people behind each (n,); and the sums (n, T, T) of products of
    their deviations from the unit's outcome, None where each is one person."""

    values: np.ndarray
    heads: np.ndarray
    within: np.ndarray | None = None

    @classmethod
    def of_sums(cls, sums: Sums, values: np.ndarray) -> Self:
        """Those of a reader of sums; values: its own, but for a constant. Who has no weight is nobody."""
        paths = sums.paths
        within = None if paths.spread is None else paths.spread.within(sums.values)
        return cls(values, np.where(sums.weights > 0, paths.people, 0), within)


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
    there = seen & (n > 1) & (heads > 0)
    if people.within is not None:
        there &= ~np.isnan(people.within).any(axis=(1, 2))[:, None]  # what is withheld of a cell says nothing
    scale = np.where(there, np.sqrt(n / np.maximum(n - 1, 1)), 0.0)
    away = np.where(there, values - mean[of], 0.0) * scale
    product, pairs = (heads * away).T @ away, (heads * there).T @ there.astype(float)
    if people.within is not None:
        product += np.einsum("nst,ns,nt->st", np.nan_to_num(people.within), scale, scale)
    lag = lags(np.arange(values.shape[1])).ravel()
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


def unequal(model: Untreated) -> np.ndarray:
    """(places,) by how much more places vary before exposure than the model's covariance says, never less than one:
    those with exposed cell-periods together, and all others together.

    Sums of r' Omega r over their degrees of freedom; no exposed cell-period is in them.
    """
    inverse, k = model.inverse, len(model.places)
    seen, free, exposed = np.zeros(k), np.zeros(k), np.zeros(k, dtype=int)
    for i, p in enumerate(model.places):
        seen[i] = p.misses(model.gamma[p.at])
        fitted = (inverse[p.at[:, None], p.at] * p.information[0]).sum()
        free[i] = p.u - sum(len(s.levels) for s in p.stretches) - fitted
        exposed[i] = len(p.y) > p.u
    total, degrees = (np.bincount(exposed, weights=x, minlength=2) for x in (seen, free))
    scale = np.divide(total, degrees, out=np.ones(2), where=degrees >= ENOUGH)
    return np.maximum(scale, 1.0)[exposed]
