"""Sums for groups of units: what every estimator without covariates reads.

For a base b(t) and a window, a group's sum of changes at period t is that of
w_i (Y_it - mean of Y_i over the base periods) over its units seen at both. Where rows are missing a window is
read one base period at a time, among the units seen at t and at that period on both sides: what a period does
to everybody then cancels, whoever was seen when. Cross-sections read sums of levels instead, over whoever was there.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.rollout.plan import Comparison
from evalkit.study.paths import Paths

MOST_KEPT = 64_000_000
"""Bytes of a group's sums, against every base period, above which each design adds up for itself."""
SMALL = 20_000
"""Numbers up to which groups are added up by counting."""


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

    @classmethod
    def of_outcome(cls, paths: Paths, level: str, values: np.ndarray) -> Sums:
        """Sums of a study's outcome, added up once for all designs that read it at this level."""
        made = cls(paths, level, values)
        bytes_of_all = 4 * values.itemsize * len(paths.cells(level)) * paths.n_periods**2
        if made.by_path or values.flags.writeable or bytes_of_all > MOST_KEPT:
            return made
        return replace(made, _cache=paths.memo.get(("sums", level), dict[Hashable, tuple[np.ndarray, ...]], values))

    def __getstate__(self) -> dict[str, object]:
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "_cache": {}}  # what follows is made again

    def split(self) -> Sums:
        """The same values read by cell, also where whole paths would do."""
        return replace(self, whole=False, _cache={}) if self.by_path else self

    def among(self, usable: np.ndarray | None) -> Sums:
        """The same values with other periods (n, T) that may serve as base."""
        return replace(self, usable=usable, _cache={})

    @cached_property
    def balanced(self) -> bool:
        return self.usable is None and not np.isnan(self.values).any()

    @cached_property
    def by_path(self) -> bool:
        few = self.paths.n_paths * 4 <= max(self.paths.n_units, 1)
        return self.whole and self.paths.alone(self.level) and self.balanced and few

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
        """(G,) people in each group who carry weight."""
        if self.paths.weights is None:
            return self.size
        there = self.paths.people * (self.weights > 0)
        return np.bincount(self.of, weights=there, minlength=len(self.path)).astype(int)

    @cached_property
    def weights(self) -> np.ndarray:
        w = self.paths.weights
        return np.ones(self.paths.n_units) if w is None else w

    @cached_property
    def carries(self) -> np.ndarray:
        """(n, 1) people behind a unit that carries weight, else zero."""
        return (self.paths.people * (self.weights > 0)).astype(float)[:, None]

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
        return self._adder @ rows

    @cached_property
    def _adder(self) -> sparse.csr_matrix:
        return self._collect(np.ones(len(self.values)))

    def _collect(self, factor: np.ndarray) -> sparse.csr_matrix:
        """(G, n) matrix that sums the units of each group, each times its factor."""
        stops = np.concatenate([[0], np.cumsum(self.size)])
        return sparse.csr_matrix((factor[self.order], self.order, stops), shape=(len(self.path), len(factor)))

    def parts(self, c: Comparison) -> tuple[Comparison, ...]:
        """What is read one after another for a comparison: a base period each where rows are missing."""
        return (c,) if self.balanced or int(c.window.max(initial=1)) <= 1 else c.split()

    def read(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(B, T) columns of comparisons in (G, C) sums of weights and of weighted changes; the first is nothing, which
        is read where there is no base."""
        column, keys = self._keys(cs)
        n, total = self._columns(keys, (0, 1))
        return column, n, total

    def heads(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `read`: units that carry weight (however much) and were seen at both periods; and at the base of each."""
        column, keys = self._keys(cs)
        there, at_base = (x.round().astype(int) for x in self._columns(keys, (2, 3)))
        return column, there, at_base

    def _keys(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) which of some keys (C, 4) each comparison reads in each period, counted from 1, 0 for none: period,
        base, window, and the period in which units must be usable; of a balanced panel whether any window is wide."""
        base, window = np.stack([c.base for c in cs]), np.stack([c.window for c in cs])
        if self.balanced:
            usable = np.broadcast_to(window.max(axis=1, keepdims=True) > 1, base.shape).astype(np.intp)
        else:
            usable = base if self.usable is None else np.stack([c.whole.base for c in cs])
        asked, T, wide = np.nonzero(base >= 0), base.shape[1], int(window.max(initial=0)) + 1
        shape = (T, T, wide, T)
        code = np.ravel_multi_index((asked[1], base[asked], window[asked], usable[asked]), shape)
        codes, which = np.unique(code, return_inverse=True)
        column = np.zeros(base.shape, dtype=np.intp)
        column[asked] = 1 + which
        return column, np.stack(np.unravel_index(codes, shape), axis=1)

    def _columns(self, keys: np.ndarray, which: tuple[int, ...]) -> list[np.ndarray]:
        """(G, 1 + C) of weights (0), weighted changes (1), units (2) or units at base (3), after a first of nothing."""
        made, nothing = self._whole(keys) if self.balanced else self._gapped(keys), np.zeros(len(self.path))
        return [np.array([nothing, *made[i]]).T for i in which]

    def _whole(self, keys: np.ndarray) -> tuple[np.ndarray, ...]:
        """(C, G) each, of a balanced panel."""
        t, base, window, wide = keys.T
        low, total = np.maximum(base - np.maximum(window, 1) + 1, 0), np.zeros((self.mean.shape[1] + 1, len(self.path)))
        np.cumsum(self.mean.T, axis=0, out=total[1:])
        level = (total[base + 1] - total[low]) / (base + 1 - low)[:, None]
        change = self.mean.T[t] - np.where(wide[:, None] > 0, level, self.mean.T[base])
        people = np.broadcast_to(self.people, change.shape)
        return np.broadcast_to(self.mass, change.shape), change * self.mass, people, people

    def _gapped(self, keys: np.ndarray) -> tuple[list[np.ndarray], ...]:
        """C columns (G,) each, of an unbalanced panel, made once for each key, however many starts ask for them."""
        asked, new = list(map(tuple, keys.tolist())), dict[tuple[int, ...], list[int]]()
        for t, *key in asked:
            if (t, *key) not in self._cache:
                new.setdefault(tuple(key), []).append(t)
        for (base, window, at), periods in new.items():
            self._make_columns(np.array(periods), base, window, at)
        found = [self._cache[key] for key in asked]
        return tuple([columns[i] for columns in found] for i in range(4))

    def own(self, c: Comparison, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`read` for the adopters' groups (g,) of a part, each unit divided among the parts that it is in, so that
        it counts once in all of them: (g, T) mass and sum."""
        whole = c.whole
        key = ("own", *(x.tobytes() for x in (groups, c.base, c.window, whole.base, whole.window)), c.part)
        if key not in self._cache:
            units, of, weights = self._adopters(c, groups)
            change, seen = self.changes(units, c)
            mass = np.where(seen, weights, 0.0)
            self._cache[key] = add_by(mass, of, len(groups)), add_by(mass * change, of, len(groups))
        return self._cache[key]

    def _adopters(self, c: Comparison, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Units (m,) of some groups, which group each is in, and what each weighs (m, T), the same in all parts."""
        key = ("adopters", *(x.tobytes() for x in (groups, c.whole.base, c.whole.window)))
        if key not in self._cache:
            row = np.full(len(self.path), -1)
            row[groups] = np.arange(len(groups))
            units = np.flatnonzero(row[self.of] >= 0)
            self._cache[key] = units, row[self.of[units]], self.weights[units, None] * self.share(units, c)
        return self._cache[key]

    def share(self, units: np.ndarray, c: Comparison, periods: slice | np.ndarray = slice(None)) -> np.ndarray:
        """(m, T) one over the parts that each adopter is in: the base periods in which it was seen."""
        if c.parent is None:
            return np.ones((len(units), len(c.base[periods])))
        count = window_count(self._seen[0][units], c.parent.base[periods], c.parent.window[periods])
        return 1.0 / np.maximum(count, 1)

    def _make_columns(self, periods: np.ndarray, base: int, window: int, at: int) -> None:
        """Read some periods against one base: a level a unit, then sums in groups. Units must be usable `at`."""
        seen, y = self._seen
        known = np.asarray(seen[:, max(base - max(window, 1) + 1, 0) : base + 1].any(axis=1))
        usable = known if self.usable is None else known & self.usable[:, at]
        weighted = seen[:, periods] * np.where(usable, self.weights, 0.0)[:, None]
        n = self.group(weighted)
        heads = n if self.paths.weights is None else self.group((weighted > 0) * self.carries)
        before = self.group(self.carries * known[:, None])[:, 0]
        s = np.full(n.shape, np.nan)  # windows are read in parts, so that only heads are asked of several periods
        if window <= 1:
            change = y[:, periods]
            change -= y[:, [base]]
            change *= weighted
            s = self.group(change)
        for j, t in enumerate(periods.tolist()):
            self._cache[t, base, window, at] = (n[:, j], s[:, j], heads[:, j], before)

    @cached_property
    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, T) whether each outcome is there, and outcomes with zero where none is."""
        seen = np.isfinite(self.values)
        return seen, np.where(seen, self.values, 0.0)

    def changes(
        self, units: np.ndarray, c: Comparison, periods: slice | np.ndarray = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """(m, T) change of each unit against its own base, and whether it was seen at both.

        `periods` names the later periods that are wanted; all by default.
        """
        y, base = self.values[units], c.base[periods]
        level, count = window_mean(y, base, c.window[periods])
        change = y[:, periods] - level
        seen = np.isfinite(change) & (base >= 0) & (count > 0)
        if self.usable is not None:
            seen &= self.usable[units][:, np.maximum(c.whole.base[periods], 0)]
        return np.where(seen, change, 0.0), seen


def window_mean(y: np.ndarray, base: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, T) mean of the values seen over base[t]-window[t]+1 .. base[t], and how many there were."""
    last = np.maximum(base, 0)
    if int(window.max(initial=1)) <= 1:
        picked = y[:, last]
        return picked, np.isfinite(picked).astype(np.int64)
    seen = np.isfinite(y)
    total = np.zeros((len(y), y.shape[1] + 1))
    np.cumsum(np.where(seen, y, 0.0), axis=1, out=total[:, 1:])
    low, n = np.maximum(last - np.maximum(window, 1) + 1, 0), window_count(seen, base, window)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total[:, last + 1] - total[:, low]) / n, n


def window_count(seen: np.ndarray, base: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(m, T) how many of base[t]-window[t]+1 .. base[t] were seen, from (m, T') flags."""
    last = np.maximum(base, 0)
    count = np.zeros((len(seen), seen.shape[1] + 1), dtype=np.int64)
    np.cumsum(seen, axis=1, out=count[:, 1:])
    return count[:, last + 1] - count[:, np.maximum(last - np.maximum(window, 1) + 1, 0)]


def add_by(rows: np.ndarray, codes: np.ndarray, groups: int, order: np.ndarray | None = None) -> np.ndarray:
    """Sum (n, m) rows by integer codes into (groups, m); groups without rows are zero."""
    if len(rows) == 0 or rows.shape[1] == 0:
        return np.zeros((groups, rows.shape[1]))
    if rows.size <= SMALL:  # a sparse matrix takes longer to make than these take to add, in the same order
        cell = (codes[:, None] * rows.shape[1] + np.arange(rows.shape[1])).ravel()
        return np.bincount(cell, weights=rows.ravel(), minlength=groups * rows.shape[1]).reshape(groups, -1)
    order = order_of(codes, groups) if order is None else order
    stops = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=groups))])
    return sparse.csr_matrix((np.ones(len(order)), order, stops), shape=(groups, len(order))) @ rows


def order_of(codes: np.ndarray, groups: int) -> np.ndarray:
    """Stable sorting order of codes below `groups`; short codes are sorted by counting."""
    return np.argsort(codes.astype(np.int16) if groups <= 2**15 else codes, kind="stable")


def over_base(cells: pd.DataFrame, periods: np.ndarray) -> pd.DataFrame:
    """Cells of `Estimate.weights()` with a row for every period that they read: path, cluster, sign, at (position of
    the period) and weight, the base against the period, a window of it in equal parts. Cells of weights of least noise
    are such rows already."""
    index = pd.Index(periods)
    now = cells.assign(at=index.get_indexer(cells["period"]))
    keep = [c for c in ("row", "path", "cluster", "sign", "at", "weight") if c in now]
    if "base" not in cells:
        return now[keep]
    base, window = index.get_indexer(cells["base"]), cells["window"].to_numpy()
    parts = [now[keep]]
    for back in range(int(window.max(initial=1))):
        use = (back < window) & (base - back >= 0)
        share = -now["weight"] / np.maximum(np.minimum(window, base + 1), 1)
        parts.append(now.assign(at=base - back, weight=share).loc[use, keep])
    return pd.concat(parts, ignore_index=True)
