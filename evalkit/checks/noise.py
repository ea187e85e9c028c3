"""What places do by themselves before exposure: correlation of neighbouring periods and variance, from the residuals of
cell and period effects. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

MOST_RHO = 0.8
LOST = 1e-9


@dataclass(frozen=True, eq=False)
class Series:
    """Means of C cells in T periods, NaN where nobody is seen; people behind each; and clusters, 0 to Q - 1."""

    mean: np.ndarray
    size: np.ndarray
    cluster: np.ndarray

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.cluster, kind="stable")

    def by_cluster(self, x: np.ndarray) -> np.ndarray:
        """(..., Q) sums over the cells of each cluster, of (..., C)."""
        starts = np.flatnonzero(np.diff(self.cluster[self._order], prepend=-1))
        return np.asarray(np.add.reduceat(x[..., self._order], starts, axis=-1))


@dataclass(frozen=True, eq=False)
class Noise:
    """What places do by themselves: correlation of neighbouring periods, and (C,) variance of a cell."""

    rho: float
    variance: np.ndarray

    def correlation(self, periods: int) -> np.ndarray:
        """(T, T) rho^|lag|."""
        u = np.arange(periods)
        return self.rho ** np.abs(np.subtract.outer(u, u)) if self.rho > 0 else np.eye(periods)


def own_noise(series: Series, free: np.ndarray, alike: np.ndarray) -> Noise:
    """Noise of residuals of cell and period effects before exposure.

    free: (C, T) cell-periods before exposure. alike: (C, T) codes; periods have an effect for each, so that what other
    components do is no noise. The lag-one correlation is given back its bias in short panels.
    """
    r, free, together = residuals(series, free, alike)
    both = free[:, 1:] & free[:, :-1]
    square = ((r[:, 1:] ** 2 + r[:, :-1] ** 2) * both).sum() / 2
    r1 = float((r[:, 1:] * r[:, :-1] * both).sum() / square) if square > 0 else 0.0
    long = free.sum(axis=1)
    rho = float(np.clip(r1 + (1 + 3 * r1) / long[long > 0].mean(), 0.0, MOST_RHO)) if long.any() else 0.0
    share = np.where(free, 1 - 1 / np.maximum(together, 1), 0.0).sum(axis=1) / np.maximum(long, 1)
    decay = Noise(rho, np.empty(0)).correlation(free.shape[1])
    inside = free.astype(float)
    expected = (long - ((inside @ decay) * inside).sum(axis=1) / np.maximum(long, 1)) * share
    return Noise(rho, _variance((r**2).sum(axis=1), expected, series.size))


def residuals(series: Series, free: np.ndarray, alike: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, T) means less cell and period effects, zero where not free; where some are, and how many share the effect of
    their period. By alternating projections; arguments as in `own_noise`."""
    code = alike.astype(np.int64) * free.shape[1] + np.arange(free.shape[1])
    _, group = np.unique(code, return_inverse=True)
    group = group.reshape(free.shape)
    free = free & np.isfinite(series.mean)
    together = np.bincount(group[free], minlength=int(group.max(initial=0)) + 1)
    free = free & (together[group] > 1)
    together = np.bincount(group[free], minlength=len(together))
    return _projected(series.mean, free, group, together), free, together[group]


def _projected(mean: np.ndarray, free: np.ndarray, group: np.ndarray, together: np.ndarray) -> np.ndarray:
    r = np.where(free, mean, 0.0)
    long = np.maximum(free.sum(axis=1, keepdims=True), 1)
    for _ in range(30):
        r = np.where(free, r - r.sum(axis=1, keepdims=True) / long, 0.0)
        of_group = np.bincount(group.ravel(), weights=r.ravel(), minlength=len(together)) / np.maximum(together, 1)
        r = np.where(free, r - of_group[group], 0.0)
    return r


def _variance(square: np.ndarray, expected: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(C,) place variance plus people's variance over how many there are, by least squares on sums of squares."""
    told = expected > LOST
    if not told.any():
        return np.ones(len(size))
    whole = float(square[told].sum() / expected[told].sum())
    few = 1 / np.maximum(size, 1e-12 * size.max())
    if np.ptp(few[told]) <= 1e-6 * few[told].max():
        return np.full(len(size), max(whole, 1e-300))
    from scipy.optimize import nnls

    root = np.sqrt(expected[told])
    part, _ = nnls(np.column_stack([root, root * few[told]]), square[told] / root)
    found = part[0] + part[1] * few
    return found if (found > 0).all() else np.full(len(size), max(whole, 1e-300))
