"""Sums for groups of units: what every estimator without covariates reads.

For a base b(t) and a window, a group's sum of changes at period t is that of
w_i (Y_it - mean of Y_i over the base periods seen) over its units seen at both. Cross-sections read
sums of levels at t and over the base periods instead, over whoever was there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from evalkit.study.paths import Paths


@dataclass(frozen=True, eq=False)
class Sums:
    """Reader of group sums. Groups are cells (cluster, path), or whole paths when every unit is
    its own cluster and the panel is balanced (`by_path`).

    values: (n, T), NaN where not seen. usable: (n, T) periods that may serve as base, None for all.
    path, cluster: (G,) of each group.
    """

    paths: Paths
    level: str
    values: np.ndarray
    whole: bool = True
    usable: np.ndarray | None = None
    _cache: dict = field(default_factory=dict, repr=False)

    def split(self) -> Sums:
        """The same values read by cell, also where whole paths would do."""
        return Sums(self.paths, self.level, self.values, whole=False, usable=self.usable)

    @cached_property
    def balanced(self) -> bool:
        return self.usable is None and not np.isnan(self.values).any()

    @cached_property
    def by_path(self) -> bool:
        n = self.paths.n_units
        alone = len(self.paths.levels[self.level].names) == n
        return self.whole and alone and self.balanced and self.paths.n_paths * 4 <= max(n, 1)

    @cached_property
    def of(self) -> np.ndarray:
        """(n,) group of each unit."""
        return self.paths.path if self.by_path else self.paths.cells(self.level).of

    @cached_property
    def path(self) -> np.ndarray:
        return np.arange(self.paths.n_paths) if self.by_path else self.paths.cells(self.level).path

    @cached_property
    def cluster(self) -> np.ndarray:
        """(G,) cluster code of each group; meaningless by path."""
        return np.arange(self.paths.n_paths) if self.by_path else self.paths.cells(self.level).cluster

    @cached_property
    def order(self) -> np.ndarray:
        """(n,) units sorted by group."""
        return self.paths.cells(self.level).order if not self.by_path else order_of(self.of, len(self.path))

    @cached_property
    def size(self) -> np.ndarray:
        """(G,) units in each group."""
        return np.bincount(self.of, minlength=len(self.path))

    @cached_property
    def people(self) -> np.ndarray:
        """(G,) units in each group that carry weight."""
        if self.paths.weights is None:
            return self.size
        return np.bincount(self.of, weights=self.weights > 0, minlength=len(self.path)).astype(int)

    @cached_property
    def weights(self) -> np.ndarray:
        w = self.paths.weights
        return np.ones(self.paths.n_units) if w is None else w

    @cached_property
    def carries(self) -> np.ndarray:
        """(n, 1) one where a unit carries weight, else zero."""
        return (self.weights[:, None] > 0).astype(float)

    @cached_property
    def mass(self) -> np.ndarray:
        """(G,) sum of weights."""
        return np.bincount(self.of, weights=self.weights, minlength=len(self.path))

    @cached_property
    def mean(self) -> np.ndarray:
        """(G, T) weighted mean of a balanced panel."""
        mass = np.where(self.mass > 0, self.mass, 1.0)  # units of weight zero make no mean, and no NaN either
        return self._collect(self.weights) @ self.values / mass[:, None]

    def group(self, rows: np.ndarray) -> np.ndarray:
        """Sum (n, m) rows within groups: (G, m)."""
        return self._collect(np.ones(len(rows))) @ rows

    def _collect(self, factor: np.ndarray) -> sparse.csr_matrix:
        """(G, n) matrix that sums the units of each group, each times its factor."""
        stops = np.concatenate([[0], np.cumsum(self.size)])
        return sparse.csr_matrix((factor[self.order], self.order, stops), shape=(len(self.path), len(factor)))

    def read(self, base: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) sum of weights and of weighted changes at each period with base[t] >= 0."""
        key = (base.tobytes(), window.tobytes())
        if key not in self._cache:
            self._cache[key] = self._read(base, window)
        return self._cache[key]

    def _read(self, base: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.balanced:
            change = self.mean - window_mean(self.mean, base, window)[0]
            mass = np.where(base >= 0, self.mass[:, None], 0.0)
            return mass, np.where(base >= 0, change, 0.0) * mass
        return self._columns(base, window, 0), self._columns(base, window, 1)

    def _columns(self, base: np.ndarray, window: np.ndarray, which: int) -> np.ndarray:
        """(G, T) of weights (0), weighted changes (1), units (2) or units at base (3), an unbalanced panel.

        Columns are made once for each period, base and window, however many starts ask for them.
        """
        out = np.zeros((len(self.path), len(base)))
        asked = np.flatnonzero(base >= 0)
        pairs, of = np.unique(np.column_stack([base[asked], window[asked]]), axis=0, return_inverse=True)
        for k, (b, w) in enumerate(pairs.tolist()):
            periods = asked[of.ravel() == k]
            new = np.array([t for t in periods.tolist() if (t, b, w) not in self._cache], dtype=int)
            if len(new):
                self._make_columns(new, b, w)
            for t in periods.tolist():
                out[:, t] = self._cache[t, b, w][which]
        return out

    def _make_columns(self, periods: np.ndarray, base: int, window: int) -> None:
        """Read some periods against one base: a level a unit, then sums in groups."""
        block = self.values[:, max(base - max(window, 1) + 1, 0) : base + 1]
        there = np.isfinite(block)
        count = there.sum(axis=1)
        known = count > 0
        level = np.where(there, block, 0.0).sum(axis=1) / np.maximum(count, 1)
        usable = known if self.usable is None else known & self.usable[:, base]
        change = self.values[:, periods] - level[:, None]
        seen = np.isfinite(change) & usable[:, None]
        weighted = np.where(seen, self.weights[:, None], 0.0)
        n, s = self.group(weighted), self.group(weighted * np.where(seen, change, 0.0))
        heads = n if self.paths.weights is None else self.group(self.carries * seen)
        before = self.group(self.carries * known[:, None])[:, 0]
        for j, t in enumerate(periods.tolist()):
            self._cache[t, base, window] = (n[:, j], s[:, j], heads[:, j], before)

    def heads(self, base: np.ndarray, window: np.ndarray) -> np.ndarray:
        """(G, T) units that carry weight (however much) and were seen at both periods."""
        if self.balanced:
            return np.where(base >= 0, self.people[:, None], 0)
        return self._columns(base, window, 2).round().astype(int)

    def heads_at_base(self, base: np.ndarray, window: np.ndarray) -> np.ndarray:
        """(G, T) units seen at the base of each period, whether or not at the period itself."""
        if self.balanced:
            return self.heads(base, window)
        return self._columns(base, window, 3).round().astype(int)

    def changes(
        self,
        units: slice | np.ndarray,
        base: np.ndarray,
        window: np.ndarray,
        periods: slice | np.ndarray = slice(None),
    ) -> tuple[np.ndarray, np.ndarray]:
        """(m, T) change of each unit against its own base, and whether it was seen at both.

        `periods` names the later periods that `base` and `window` belong to; all by default.
        """
        y = self.values[units]
        level, count = window_mean(y, base, window)
        change = y[:, periods] - level
        seen = np.isfinite(change) & (base >= 0) & (count > 0)
        if self.usable is not None:
            seen &= self.usable[units][:, np.maximum(base, 0)]
        return np.where(seen, change, 0.0), seen


def window_mean(y: np.ndarray, base: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, T) mean of the values seen over base[t]-window[t]+1 .. base[t], and how many there were."""
    last = np.maximum(base, 0)
    if int(window.max(initial=1)) <= 1:
        picked = y[:, last]
        return picked, np.isfinite(picked).astype(np.int64)
    seen = np.isfinite(y)
    total = np.zeros((len(y), y.shape[1] + 1))
    count = np.zeros((len(y), y.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.where(seen, y, 0.0), axis=1, out=total[:, 1:])
    np.cumsum(seen, axis=1, out=count[:, 1:])
    low = np.maximum(last - np.maximum(window, 1) + 1, 0)
    n = count[:, last + 1] - count[:, low]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total[:, last + 1] - total[:, low]) / n, n


def add_by(rows: np.ndarray, codes: np.ndarray, groups: int, order: np.ndarray | None = None) -> np.ndarray:
    """Sum (n, m) rows by integer codes into (groups, m); groups without rows are zero."""
    if len(rows) == 0 or rows.shape[1] == 0:
        return np.zeros((groups, rows.shape[1]))
    return adder(codes, groups, order) @ rows


def adder(codes: np.ndarray, groups: int, order: np.ndarray | None = None) -> sparse.csr_matrix:
    """(groups, n) matrix that sums rows by integer codes."""
    order = order_of(codes, groups) if order is None else order
    stops = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=groups))])
    return sparse.csr_matrix((np.ones(len(order)), order, stops), shape=(groups, len(order)))


def order_of(codes: np.ndarray, groups: int) -> np.ndarray:
    """Stable sorting order of codes below `groups`; short codes are sorted by counting."""
    return np.argsort(codes.astype(np.int16) if groups <= 2**15 else codes, kind="stable")
