"""A step beside a straight line, on series of adopters matched with series that serve: windows, noise, least squares.

Arrays only. A *line* is one start: the cells that adopt, the pool of cells that serve through all of its window, and
the periods of the window. d_iu is an adopter's outcome less the pool's weighted mean; coefficients are
(sum m X'MX)^-1 sum m X'Md with M the inverse of a working correlation rho^|lag|, an intercept a line taken out. A
straight drift apart of any size leaves the step as it is. Leaving a cluster out is closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

MOST_RHO = 0.8
PLAIN_RHO = 0.5
"""Correlation of neighbouring periods by which windows are chosen, before any outcome is read."""
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
    few = 1 / np.maximum(size, 1e-12)
    if np.ptp(few[told]) <= 1e-6 * few[told].max():
        return np.full(len(size), max(whole, 1e-300))
    from scipy.optimize import nnls

    root = np.sqrt(expected[told])
    part, _ = nnls(np.column_stack([root, root * few[told]]), square[told] / root)
    found = part[0] + part[1] * few
    return found if (found > 0).all() else np.full(len(size), max(whole, 1e-300))


# ---------------------------------------------------------------- windows


@lru_cache(maxsize=4096)
def information(before: int, after: int) -> float:
    """Information on a step beside a straight line from periods -before .. after of a series with correlation .5."""
    x = np.arange(-before, after + 1)
    if len(x) < 4 or before < 1:
        return 0.0
    X = np.column_stack([np.ones(len(x)), x >= 0, x])
    return float(1 / np.linalg.inv(X.T @ _inverse(tuple(x), PLAIN_RHO) @ X)[1, 1])


@lru_cache(maxsize=4096)
def _inverse(at: tuple[int, ...], rho: float) -> np.ndarray:
    """Inverse of rho^|lag| over some periods; shared, so never written to."""
    u = np.array(at)
    made = np.linalg.inv(rho ** np.abs(np.subtract.outer(u, u))) if rho > 0 else np.eye(len(u))
    made.flags.writeable = False
    return made


@dataclass(frozen=True, eq=False)
class Line:
    """One start: adopting cells, (C,) cells that serve, periods first .. last, and when an effect may begin (onset)."""

    cells: np.ndarray
    pool: np.ndarray
    first: int
    last: int
    onset: int
    skipped: tuple[int, ...] = ()


def widest(serves: np.ndarray, told: tuple[np.ndarray, np.ndarray], onset: int, weight: np.ndarray) -> Sequence[int]:
    """First and last period that tell most about a step beside a line: information times n / (n + 1), n the clusters
    that serve from first to last.

    serves: (C, T) cells that match at each period. told: candidates for first, nearest first, and for last. weight:
    (C,) one over the cells of a cluster. Empty where nothing can be told.
    """
    early, late = told
    if not len(early) or not len(late):
        return ()
    n = (serves[:, early] * weight[:, None]).T @ serves[:, late].astype(float)
    worth = np.array([[information(int(onset - f), int(e - onset)) for e in late] for f in early]) * n / (n + 1)
    f, e = np.unravel_index(int(worth.argmax()), worth.shape)
    return (int(early[f]), int(late[e])) if worth[f, e] > 0 else ()


# ---------------------------------------------------------------- least squares


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of one component, their series and noise.

    own: (J, C) weights of adopting cells, 1 / (their variance + that of the pool's mean); pool: (J, C) weights of the
    cells that serve, by precision, summing to one.
    """

    lines: tuple[Line, ...]
    series: Series
    noise: Noise

    @cached_property
    def pool(self) -> np.ndarray:
        precise = np.array([line.pool for line in self.lines]) / self.noise.variance
        return precise / precise.sum(axis=1, keepdims=True)

    @cached_property
    def own(self) -> np.ndarray:
        out = np.zeros(self.pool.shape)
        behind = (self.pool**2) @ self.noise.variance
        for j, line in enumerate(self.lines):
            out[j, line.cells] = 1 / (self.noise.variance[line.cells] + behind[j])
        return out * self.noise.variance.mean()

    @cached_property
    def filled(self) -> np.ndarray:
        """(C, T) means, zero where nobody is seen: no line reads those."""
        return np.nan_to_num(self.series.mean)

    @cached_property
    def arms(self) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) clusters that adopt, and that only serve."""
        adopt = self.series.by_cluster(self.own.sum(axis=0)) > 0
        return adopt, (self.series.by_cluster(self.pool.sum(axis=0)) > 0) & ~adopt

    def periods(self) -> np.ndarray:
        """(J, T) periods since an effect may have begun, of each line."""
        return np.arange(self.series.mean.shape[1]) - np.array([line.onset for line in self.lines])[:, None]

    def inside(self, gap: int = 0) -> np.ndarray:
        """(J, T) periods of each window; gap: less so many before the onset, where two are left before those."""
        u = np.arange(self.series.mean.shape[1])
        out = np.array([(u >= x.first) & (u <= x.last) & ~np.isin(u, x.skipped) for x in self.lines])
        for line, row in zip(self.lines, out, strict=True):
            if gap and line.onset - line.first >= gap + 2:
                row[line.onset - gap : line.onset] = False
        return out

    def early_enough(self, gap: int) -> bool:
        """Whether half of the weight is of lines that leave two periods before a gap."""
        mass = self.own.sum(axis=1)
        return float(mass @ [x.onset - x.first >= gap + 2 for x in self.lines]) >= mass.sum() / 2

    def fit(self, shapes: Sequence[np.ndarray], inside: np.ndarray) -> Fit:
        """Coefficients of shapes, (J, T) each, by generalised least squares on the periods `inside` (J, T)."""
        raw = np.stack([np.asarray(s, dtype=float) * inside for s in shapes])
        X = np.zeros_like(raw)
        for j, row in enumerate(inside):
            at = np.flatnonzero(row)
            W = _inverse(tuple((at - at[0]).tolist()), self.noise.rho)
            w = W.sum(axis=1)
            X[:, j, at] = raw[:, j, at] @ (W - np.outer(w, w) / w.sum())
        return Fit(self, X, np.einsum("ajt,bjt->jab", X, raw))


@dataclass(frozen=True, eq=False)
class Fit:
    """Shapes X (k, J, T), whitened and less an intercept a line, and their cross-products (J, k, k) with themselves."""

    of: Lines
    X: np.ndarray
    gram: np.ndarray

    @cached_property
    def whole(self) -> np.ndarray:
        """(k, k) cross-products of all lines."""
        return np.asarray(np.tensordot(self.of.own.sum(axis=1), self.gram, axes=1))

    @property
    def told(self) -> bool:
        """Whether the shapes can be told from each other."""
        return bool(np.linalg.cond(self.whole) < 1e10)

    def weights(self, mix: Sequence[float]) -> np.ndarray:
        """(C, T) weights on the series of one combination of coefficients."""
        signs = self.of.own - self.of.own.sum(axis=1, keepdims=True) * self.of.pool
        back = np.linalg.solve(self.whole, np.asarray(mix, dtype=float))
        return np.asarray(signs.T @ np.tensordot(back, self.X, axes=1))

    def without_each(self, mix: Sequence[float]) -> np.ndarray:
        """(Q,) the same combination without each cluster, NaN where it cannot be told. A line without any of its pool
        is lost; an adopter without its own cluster too."""
        of, by_cluster = self.of, self.of.series.by_cluster
        left = 1 - by_cluster(of.pool)
        lost = left < LOST
        mass = np.where(lost, 0.0, of.own.sum(axis=1, keepdims=True) - by_cluster(of.own))
        own, pool = (
            self.X.transpose(1, 0, 2) @ by_cluster(side[:, None] * of.filled.T) for side in (of.own, of.pool)
        )  # (J, k, Q)
        beside = (pool.sum(axis=2, keepdims=True) - pool) / np.where(lost, 1.0, left)[:, None]
        mine = np.where(lost[:, None], 0.0, own.sum(axis=2, keepdims=True) - own)
        score = (mine - mass[:, None] * beside).sum(axis=0)
        gram = np.tensordot(mass, self.gram, axes=(0, 0))
        out = np.full(mass.shape[1], np.nan)
        good = (mass.sum(axis=0) > 0) & (np.linalg.cond(gram) < 1e10)
        out[good] = np.linalg.solve(gram[good], score.T[good][:, :, None])[:, :, 0] @ np.asarray(mix, dtype=float)
        return out
