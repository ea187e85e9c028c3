"""Rows of a rollout on another scale: what was less what the scale predicts, with influence, refits and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from evalkit.designs.noise.likelihood import Asked, Fit, Seen, at_an_end, fit, slope_of
from evalkit.designs.noise.model import CellMeans, Groups
from evalkit.designs.rollout.contrast import Contrast, mean_of
from evalkit.designs.rollout.least_noise import columns_of, targets_of
from evalkit.designs.rollout.plan import ExposureStates, Rules
from evalkit.designs.rollout.rows import Naming, arms, by_path_source, labels, on_mass, rows_of, source_of
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import DenseSource, GroupSource, Influence, Source

AT_AN_END = (
    "none of those who started had recorded anything before, or all had recorded everything, of which nothing can be "
    "predicted in proportion"
)
UNTOLD = "this scale cannot tell it: no level before the start, or nobody beside it, says what it would have come to"
SHIFT = "another scale less points"
NOTHING = 1e-12
"""Weight below which a cell-period takes no part in a row."""


@dataclass(frozen=True, eq=False)
class Serving:
    """R cell-periods before exposure, whatever the scale. cell, period: (R,). Z: (R x C) as in `Seen`. level: (G, T)
    code of the level of each cell-period. passed: of each path, what moves it."""

    cell: np.ndarray
    period: np.ndarray
    Z: sparse.csr_array
    level: np.ndarray
    passed: dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Used:
    """Cell-periods that rows use. cell, period: (R,) of those that the fit rests on; asked, at: (J,) cell and period of
    those exposed; weight: (k x J) sparse, of each of these in the rows. parts: what has no column in common is fitted
    by itself."""

    cell: np.ndarray
    period: np.ndarray
    asked: np.ndarray
    at: np.ndarray
    weight: sparse.csr_array
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """A fit and what is asked of it; rows, asks: where its cell-periods stand among the R and the J."""

    fit: Fit
    asked: Asked
    rows: np.ndarray
    asks: np.ndarray


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """k rows of a contrast on a scale. groups: G groups that share a level; states, rules: what the untreated model is
    made from; rows: which (cohort, period) of the contrast. pooled: whether they are read as one, each retained adopter
    and period once; k is then 1."""

    scale: str
    rules: Rules
    contrast: Contrast
    groups: Groups
    states: ExposureStates
    rows: np.ndarray
    pooled: bool = False

    def __getstate__(self) -> dict[str, object]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # what follows from them is large, and made again

    @property
    def sums(self) -> Sums:
        return self.contrast.reader.sums

    @property
    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) weight behind each cell-period, and its mean, NaN where nobody is seen."""
        return self.contrast.once("counted", self._counted)

    def _counted(self) -> tuple[np.ndarray, np.ndarray]:
        y, seen = self.sums.values, np.isfinite(self.sums.values) * self.sums.weights[:, None]
        n = add_by(seen, self.groups.of, len(self.groups.path))
        return n, mean_of(add_by(seen * np.nan_to_num(y), self.groups.of, len(self.groups.path)), n)

    def _serving(self) -> Serving:
        (n, y), groups = self.counted, self.groups
        columns = columns_of(self.contrast, self.states, self.rules)
        cell, t = np.nonzero(columns.free[groups.path] & (n > 0))
        columns = columns.fewest(CellMeans(groups.path, groups.cluster, y, ()))
        level = columns.level[groups.path] + np.arange(len(n))[:, None] * (int(columns.level.max(initial=0)) + 1)
        passed = {p: columns.passed(p) for p in np.unique(groups.path).tolist()}
        return Serving(cell, t, _steps(passed, groups.path[cell], t, columns.count), level, passed)

    @cached_property
    def used(self) -> Used:
        """The likelihood's maximum over all that serve, and what is asked of it."""
        (n, y), serving = self.counted, self.contrast.once("before exposure", self._serving)
        (cell, t), (asked, at, weight) = (serving.cell, serving.period), self._asked()
        codes = np.concatenate([serving.level[cell, t], serving.level[asked, at]])
        names, level = np.unique(codes, return_inverse=True)
        level, level_asked = level[: len(cell)], level[len(cell) :]
        mass, total = (np.bincount(level, x[cell, t], len(names)) for x in (n, n * np.nan_to_num(y)))
        end = at_an_end(self.scale, total, mass) & (mass > 0)
        fixed = np.where(end, (total > 0).astype(float), np.nan)[level_asked]
        if np.isfinite(fixed).all():
            raise NotIdentifiedError(AT_AN_END)
        kept = np.flatnonzero(~end[level])
        cell, t, level = cell[kept], t[kept], level[kept]
        X = _steps(serving.passed, self.groups.path[asked], at, serving.Z.shape[1])
        seen = Seen(y[cell, t], n[cell, t], _cut(serving.Z, kept), level, len(names))
        parts = tuple(self._parts(kept, seen, Asked(X, level_asked, fixed)))
        return Used(cell, t, asked, at, weight, parts)

    def _asked(self) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
        """Cell and period (J,) of what rows ask for, and weights (k x J)."""
        targets, T = targets_of(self.contrast, self.rows), self.sums.paths.n_periods
        key = self.groups.cell[targets.cell] * T + targets.period
        keys, column = np.unique(key, return_inverse=True)
        weight = sparse.csr_array((targets.weight, (targets.row, column)), shape=(len(self.rows), len(keys)))
        if self.pooled:
            weight = sparse.csr_array((self._asked_of / self._asked_of.sum())[None] @ weight)
        return *np.divmod(keys, T), weight

    def _parts(self, at: np.ndarray, seen: Seen, asked: Asked) -> Iterator[Part]:
        """Each set of levels that columns join, with those columns; not those of which nothing is asked. The last row
        of a level has passed all that it passes. at: which of all rows are seen."""
        last = np.flatnonzero(np.diff(seen.level, append=-1))
        pairs = sparse.vstack([seen.Z[last], asked.Z]).tocoo()
        level, L = np.concatenate([seen.level[last], asked.level]), seen.levels
        size = L + pairs.shape[1]
        joined = sparse.csr_array((np.ones(pairs.nnz), (level[pairs.coords[0]], L + pairs.coords[1])), (size, size))
        _, part = connected_components(joined, directed=False)
        for one in np.unique(part[asked.level]):
            rows, asks = np.flatnonzero(part[seen.level] == one), np.flatnonzero(part[asked.level] == one)
            columns, levels = np.flatnonzero(part[L:] == one), np.flatnonzero(part[:L] == one)
            code = np.zeros(L, dtype=np.int64)
            code[levels] = np.arange(len(levels))
            Z = _cut(seen.Z, rows, columns)
            mine = Seen(seen.y[rows], seen.n[rows], Z, code[seen.level[rows]], len(levels))
            of = Asked(_cut(asked.Z, asks, columns), code[asked.level[asks]], asked.fixed[asks])
            key = ("fit", self.scale, *(x.tobytes() for x in (at[rows], mine.level, levels, columns)))
            yield Part(self.contrast.once(key, partial(fit, self.scale, mine)), of, rows, asks)

    @cached_property
    def effects(self) -> np.ndarray:
        """(J,) what was less what is predicted, NaN where that cannot be told."""
        used, out = self.used, np.full(len(self.used.asked), np.nan)
        for p in used.parts:
            was = self.counted[1][used.asked[p.asks], used.at[p.asks]]
            out[p.asks] = np.where(p.fit.told(p.asked), was - p.fit.predicted(p.asked), np.nan)
        return out

    @cached_property
    def told(self) -> np.ndarray:
        """(k,) share of each row that can be told."""
        return np.asarray(self.used.weight @ np.isfinite(self.effects).astype(float))

    @cached_property
    def value(self) -> np.ndarray:
        return mean_of(self.used.weight @ np.nan_to_num(self.effects), self.told)

    @cached_property
    def own(self) -> np.ndarray:
        """(J, k) weights of what is asked and can be told, which add up to one in a row."""
        share = np.where(self.told > 0, self.told, 1.0)
        return np.asarray(self.used.weight.toarray().T * np.isfinite(self.effects)[:, None] / share)

    @cached_property
    def pull(self) -> np.ndarray:
        """(R, k) what a score of a cell-period that the fit rests on adds to each row."""
        out = np.zeros((len(self.used.cell), len(self.value)))
        for p in self.used.parts:
            d, mean = p.fit.of_levels
            live = np.where(np.isnan(p.asked.fixed), slope_of(self.scale, p.fit.predicted(p.asked)), 0.0)
            weight = live[:, None] * self.own[p.asks]
            of_level = add_by(weight, p.asked.level, len(d))
            columns = p.fit.solver.solve(p.asked.Z.T @ weight - mean.T @ of_level)
            out[p.rows] = (mean @ columns - of_level / d[:, None])[p.fit.seen.level] - p.fit.seen.Z @ columns
        return out

    @cached_property
    def fitted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(R,) means that the fit gives what it rests on, and weighted residuals; (J,) what it predicts."""
        mean, score, predicted = (np.zeros(len(x)) for x in (self.used.cell, self.used.cell, self.used.asked))
        for p in self.used.parts:
            mean[p.rows], score[p.rows], predicted[p.asks] = p.fit.mean, p.fit.score, p.fit.predicted(p.asked)
        return mean, score, predicted

    @cached_property
    def totals(self) -> np.ndarray:
        """(K, k) influence of each cluster: what it adds to estimate less truth."""
        away = np.nan_to_num(self.effects)[:, None] - np.nan_to_num(self.value)
        scores = self.fitted[1][:, None] * self.pull
        return self._by_cluster(scores, self.used.cell) + self._by_cluster(away * self.own, self.used.asked)

    def _by_cluster(self, of_rows: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Sums by cluster; by group, where everybody is one and they share levels."""
        names = len(self.sums.paths.levels[self.sums.level].names)
        return add_by(of_rows, self.groups.cluster[cell], len(self.groups.path) if self.groups.lone else names)

    @cached_property
    def replicates(self) -> Replicates:
        """Refits without each cluster to first order: its influence is taken off, divided by the share of the weight
        on its side that is left without it, as the mean of a side moves."""
        names = self.sums.paths.levels[self.sums.level].names
        exposed = self._by_cluster(self.own, self.used.asked)
        n = self.counted[0][self.used.cell, self.used.period]
        serves = self._by_cluster(np.abs(n[:, None] * self.pull), self.used.cell)
        serves[exposed > 0] = 0.0
        total = serves.sum(axis=0)
        share = exposed + np.divide(serves, total, out=np.zeros_like(serves), where=total > 0)
        left = 1.0 - share
        values = np.where(left > NOTHING, self.value - self.totals / np.where(left > NOTHING, left, 1.0), np.nan)
        masses = np.where(left > NOTHING, self.mass * (1.0 - exposed), 0.0)
        return Replicates(names, self.sums.level, values, masses, exposed > 0, serves > NOTHING * total)

    def coefficients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(G, T, k) what a unit's weighted distance from the fitted mean (G, T) of its cell adds to the rows, and what
        its weight adds where it is exposed (G, T, k)."""
        used, (mean_seen, _, predicted) = self.used, self.fitted
        shape = self.counted[0].shape
        out, mean, weight = np.zeros((*shape, len(self.value))), np.zeros(shape), np.zeros((*shape, len(self.value)))
        out[used.cell, used.period], mean[used.cell, used.period] = self.pull, mean_seen
        per_unit = self.own / self.counted[0][used.asked, used.at][:, None]
        out[used.asked, used.at], mean[used.asked, used.at] = per_unit, predicted
        weight[used.asked, used.at] = -per_unit * np.nan_to_num(self.value)
        return out, mean, weight

    def units(self) -> np.ndarray:
        """(n, k) influence of units: records about people."""
        (out, mean, weight), sums, of = self.coefficients(), self.sums, self.groups.of
        seen = np.isfinite(sums.values) * sums.weights[:, None]
        away = seen * (np.nan_to_num(sums.values) - mean[of])
        made = np.zeros((len(of), out.shape[2]))
        for t in range(out.shape[1]):
            made += away[:, [t]] * out[of, t] + seen[:, [t]] * weight[of, t]
        return made

    def source(self) -> Source:
        if self.sums.by_path:
            out, mean, weight = self.coefficients()
            shift = np.einsum("gtk,gt->gk", out, self.sums.mean - mean) + weight.sum(axis=1)
            return by_path_source(self.sums, np.concatenate([out.transpose(0, 2, 1), shift[:, :, None]], axis=2))
        if self.groups.lone:
            return DenseSource(rows_of(self.sums.paths), self.units())
        totals = self.totals
        return GroupSource(rows_of(self.sums.paths), totals, self.sums.level, np.arange(len(totals)), self.units)

    def less(self, other: ScaledRows) -> Estimate:
        """What is pooled here less the same on another scale."""
        influence = Influence(((self.source(), np.eye(1)), (other.source(), -np.eye(1))), self.sums.level)
        value = self.value - other.value
        labels = pd.DataFrame({"estimand": SHIFT, "reason": np.where(np.isnan(value), UNTOLD, "")})
        refits = None if self.groups.lone else partial(_difference, self, other)
        return Estimate(value, self.mass, labels, influence, arms=self.arms(), replicate=refits)

    def arms(self) -> Arms:
        """Clusters with weight in what is pooled, those that serve in the fit alone among them."""
        if self.groups.lone:
            return arms(self.contrast, self.rows).map(np.ones((1, len(self.rows)), dtype=bool))
        made = self.replicates
        return Arms(made.exposed, made.comparison, np.ones(len(made.names), dtype=int))

    @property
    def _asked_of(self) -> np.ndarray:
        """Adopters that the rows stand for."""
        return np.asarray(self.contrast.mass.ravel()[self.rows])

    @property
    def mass(self) -> np.ndarray:
        """(k,) of them, those that can be told."""
        asked = self._asked_of.sum(keepdims=True) if self.pooled else self._asked_of
        return np.asarray(asked * np.minimum(self.told, 1.0))

    def estimate(self, naming: Naming) -> Estimate:
        """The rows as an Estimate. Where everybody is a cluster and shares a level there are no refits."""
        k, level = len(self.rows), self.sums.level
        frame = labels(self.contrast, naming, self.rows)
        frame = frame.assign(
            reason=np.where(np.isnan(self.value) & (frame["mass"] > 0), UNTOLD, frame["reason"]),
            share_left_out=1.0 - (1.0 - frame["share_left_out"]) * np.minimum(self.told, 1.0),
        )
        return Estimate(
            value=self.value.copy(), mass=self.mass, labels=frame.unread,
            value_influence=Influence(((self.source(), sparse.eye_array(k, format="csr")),), level),
            mass_influence=on_mass(source_of(self.contrast, self.rows), k, level),
            arms=arms(self.contrast, self.rows), replicate=None if self.groups.lone else partial(_replicates, self),
        )  # fmt: skip


def _cut(matrix: sparse.csr_array, *at: np.ndarray) -> sparse.csr_array:
    """Some rows, and columns, of a matrix; itself where these are all of them."""
    for axis, some in enumerate(at):
        if len(some) < matrix.shape[axis]:
            matrix = matrix[some] if axis == 0 else matrix[:, some]
    return matrix


def _replicates(one: ScaledRows) -> Replicates:
    return one.replicates


def _difference(one: ScaledRows, other: ScaledRows) -> Replicates:
    first, second = one.replicates, other.replicates
    return replace(
        first, values=first.values - second.values, masses=np.minimum(first.masses, second.masses),
        comparison=first.comparison | second.comparison,
    )  # fmt: skip


def _steps(
    passed: dict[int, tuple[np.ndarray, np.ndarray]], path: np.ndarray, period: np.ndarray, columns: int
) -> sparse.csr_array:
    """(rows x columns) how often each cell of a path has passed each column by a period."""
    rows, which, times = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for p in np.unique(path).tolist():
        mine, (own, each) = np.flatnonzero(path == p), passed[p]
        at, column = np.nonzero(each[period[mine]])
        rows.append(mine[at])
        which.append(own[column])
        times.append(each[period[mine][at], column])
    value, row, column = (np.concatenate(x) for x in (times, rows, which))
    return sparse.csr_array((value, (row, column)), shape=(len(path), columns))
