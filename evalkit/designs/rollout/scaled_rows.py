"""Rows of a rollout on another scale: what was less what the scale predicts, with influence, refits and labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from evalkit.designs.noise.likelihood import Asked, Fit, Seen, at_an_end, fit, slope_of
from evalkit.designs.noise.model import CellMeans, Groups, untreated_columns
from evalkit.designs.rollout.contrast import Contrast, mean_of
from evalkit.designs.rollout.least_noise import targets_of
from evalkit.designs.rollout.plan import ExposureStates, Rules
from evalkit.designs.rollout.rows import Naming, arms, by_path_source, labels, rows_of, source_of
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Replicates
from evalkit.inference.sources import DenseSource, GroupSource, Influence, Source

AT_AN_END = (
    "none of those who started had recorded anything before, or all had recorded everything, of which nothing can be "
    "predicted in proportion"
)
UNTOLD = "this scale cannot tell it: no level before the start, or nobody beside it, says what it would have come to"
NOTHING = 1e-12
"""Weight below which a cell-period takes no part in a row."""


@dataclass(frozen=True, eq=False)
class Used:
    """Cell-periods that rows use. cell, period: (R,) of those that the fit rests on; asked, at: (J,) cell and period of
    those exposed; weight: (k x J) sparse, of each of these in the rows."""

    cell: np.ndarray
    period: np.ndarray
    asked: np.ndarray
    at: np.ndarray
    weight: sparse.csr_array


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """k rows of a contrast on a scale. groups: G groups that share a level; states, rules: what the untreated model is
    made from; rows: which (cohort, period) of the contrast."""

    scale: str
    rules: Rules
    contrast: Contrast
    groups: Groups
    states: ExposureStates
    rows: np.ndarray

    @property
    def sums(self) -> Sums:
        return self.contrast.reader.sums

    @cached_property
    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) weight behind each cell-period, and its mean, NaN where nobody is seen."""
        y, seen = self.sums.values, np.isfinite(self.sums.values) * self.sums.weights[:, None]
        n = add_by(seen, self.groups.of, len(self.groups.path))
        return n, mean_of(add_by(seen * np.nan_to_num(y), self.groups.of, len(self.groups.path)), n)

    @cached_property
    def _made(self) -> tuple[Fit, Asked, Used]:
        """The likelihood's maximum over all that serve, what is asked of it, and where both lie."""
        (n, y), groups = self.counted, self.groups
        columns = untreated_columns(self.states, self.rules)
        free = columns.free[groups.path] & (n > 0)
        columns = columns.fewest(CellMeans(groups.path, groups.cluster, y, ()))
        of = columns.level[groups.path] + np.arange(len(n))[:, None] * (int(columns.level.max(initial=0)) + 1)
        cell, t = np.nonzero(free)
        asked, at, weight = self._asked(n)
        names, level = np.unique(np.concatenate([of[cell, t], of[asked, at]]), return_inverse=True)
        level, level_asked = level[: len(cell)], level[len(cell) :]
        mass = np.bincount(level, n[cell, t], len(names))
        total = np.bincount(level, n[cell, t] * y[cell, t], len(names))
        end = at_an_end(self.scale, total, mass) & (mass > 0)
        fixed = np.where(end, (total > 0).astype(float), np.nan)[level_asked]
        if np.isfinite(fixed).all():
            raise NotIdentifiedError(AT_AN_END)
        kept = np.flatnonzero(~end[level])
        used = Used(cell[kept], t[kept], asked, at, weight)
        passed = {p: columns.passed(p) for p in np.unique(groups.path).tolist()}
        Z, X = (
            _steps(passed, groups.path[c].tolist(), when.tolist(), columns.count)
            for c, when in ((used.cell, used.period), (asked, at))
        )
        seen = Seen(y[used.cell, used.period], n[used.cell, used.period], Z, level[kept], groups.cluster[used.cell],
                    len(names))  # fmt: skip
        return fit(self.scale, seen), Asked(X, level_asked, groups.cluster[asked], fixed), used

    def _asked(self, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
        """Cell and period (J,) of what rows ask for, and weights (k x J)."""
        targets, T = targets_of(self.contrast, self.rows), self.sums.paths.n_periods
        key = self.groups.cell[targets.cell] * T + targets.period
        keys, column = np.unique(key, return_inverse=True)
        weight = sparse.csr_array((targets.weight, (targets.row, column)), shape=(len(self.rows), len(keys)))
        return *np.divmod(keys, T), weight

    @cached_property
    def effects(self) -> np.ndarray:
        """(J,) what was less what is predicted, NaN where that cannot be told."""
        at, asked, used = self._made
        effect = self.counted[1][used.asked, used.at] - at.predicted(asked)
        return np.where(at.told(asked, at.solver), effect, np.nan)

    @cached_property
    def told(self) -> np.ndarray:
        """(k,) share of each row that can be told."""
        return np.asarray(self._made[2].weight @ np.isfinite(self.effects).astype(float))

    @cached_property
    def value(self) -> np.ndarray:
        return mean_of(self._made[2].weight @ np.nan_to_num(self.effects), self.told)

    @cached_property
    def own(self) -> np.ndarray:
        """(J, k) weights of what is asked and can be told, which add up to one in a row."""
        share = np.where(self.told > 0, self.told, 1.0)
        return np.asarray(self._made[2].weight.toarray().T * np.isfinite(self.effects)[:, None] / share)

    @cached_property
    def pull(self) -> np.ndarray:
        """(R, k) what a score of a cell-period that the fit rests on adds to each row."""
        at, asked, _ = self._made
        d, mean = at.of_levels
        live = np.where(np.isnan(asked.fixed), slope_of(self.scale, at.predicted(asked)), 0.0)
        weight = live[:, None] * self.own
        of_level = add_by(weight, asked.level, len(d))
        columns = at.solver.solve(asked.Z.T @ weight - mean.T @ of_level)
        return np.asarray(-(at.seen.Z @ columns - (mean @ columns - of_level / d[:, None])[at.seen.level]))

    def totals(self) -> np.ndarray:
        """(K, k) influence of each cluster: what it adds to estimate less truth."""
        at, asked, used = self._made
        away = np.nan_to_num(self.effects)[:, None] - np.nan_to_num(self.value)
        return self._by_cluster(at.score[:, None] * self.pull, at.seen) + self._by_cluster(away * self.own, asked)

    def _by_cluster(self, of_rows: np.ndarray, where: Seen | Asked) -> np.ndarray:
        return add_by(of_rows, where.cluster, self._clusters)

    @property
    def _clusters(self) -> int:
        """How many clusters there are; groups, where everybody is one and they share levels."""
        return len(self.groups.path) if self.groups.lone else len(self.sums.paths.levels[self.sums.level].names)

    @cached_property
    def serving(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, k) clusters with exposed cell-periods in a row, and those that only serve."""
        at, asked, _ = self._made
        exposed = self._by_cluster((self.own > 0).astype(float), asked) > 0
        serve = self._by_cluster((np.abs(self.pull) > NOTHING).astype(float), at.seen) > 0
        return exposed, serve & ~exposed

    def coefficients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(G, T, k) what a unit's weighted distance from the fitted mean (G, T) of its cell adds to the rows, and what
        its weight adds where it is exposed (G, T, k)."""
        at, asked, used = self._made
        shape = self.counted[0].shape
        out, mean, weight = np.zeros((*shape, len(self.value))), np.zeros(shape), np.zeros((*shape, len(self.value)))
        out[used.cell, used.period], mean[used.cell, used.period] = self.pull, at.mean
        per_unit = self.own / self.counted[0][used.asked, used.at][:, None]
        out[used.asked, used.at], mean[used.asked, used.at] = per_unit, at.predicted(asked)
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
        codes = np.arange(self._clusters)
        return GroupSource(rows_of(self.sums.paths), self.totals(), self.sums.level, codes, self.units)

    @one_thread()
    def replicates(self) -> Replicates:
        """Refits without each cluster, by one step from the maximum of all (`Fit.without`)."""
        at, asked, used = self._made
        names = self.sums.paths.levels[self.sums.level].names
        shape, seen = (len(names), len(self.rows)), self.counted[1][used.asked, used.at]
        values, masses = np.full(shape, np.nan), np.zeros(shape)
        serves = self.serving[0] | self.serving[1]
        for k in range(len(names)):
            if not serves[k].any():
                values[k], masses[k] = self.value, self.mass
                continue
            predicted, told = at.without(k, asked)
            told &= np.isfinite(self.effects)
            share = used.weight @ told.astype(float)
            values[k] = mean_of(used.weight @ np.where(told, seen - predicted, 0.0), share)
            masses[k] = self.contrast.mass.ravel()[self.rows] * share
        return Replicates(names, self.sums.level, values, masses, *self.serving)

    @property
    def mass(self) -> np.ndarray:
        return np.asarray(self.contrast.mass.ravel()[self.rows] * np.minimum(self.told, 1.0))

    def estimate(self, naming: Naming) -> Estimate:
        """The rows as an Estimate. Where everybody is a cluster and shares a level there are no refits."""
        k, level = len(self.rows), self.sums.level
        frame = labels(self.contrast, naming, self.rows)
        frame["reason"] = np.where(np.isnan(self.value) & (frame["mass"] > 0), UNTOLD, frame["reason"])
        frame["share_left_out"] = 1.0 - (1.0 - frame["share_left_out"]) * np.minimum(self.told, 1.0)
        return Estimate(
            value=self.value.copy(), mass=self.mass, labels=frame,
            value_influence=Influence(((self.source(), np.eye(k)),), level),
            mass_influence=Influence(((source_of(self.contrast, self.rows), np.eye(2 * k)[:, k:]),), level),
            arms=arms(self.contrast, self.rows), replicate=None if self.groups.lone else self.replicates,
        )  # fmt: skip


def _steps(
    passed: dict[int, tuple[np.ndarray, np.ndarray]], path: list[int], period: list[int], columns: int
) -> sparse.csr_array:
    """(rows x columns) how often each cell of a path has passed each column by a period."""
    which = [passed[p][0] for p in path]
    times = [passed[p][1][t] for p, t in zip(path, period, strict=True)]
    row = np.repeat(np.arange(len(path)), [len(w) for w in which])
    made = sparse.csr_array((np.concatenate(times), (row, np.concatenate(which))), shape=(len(path), columns))
    made.eliminate_zeros()
    return made
