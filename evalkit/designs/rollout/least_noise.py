"""A staggered rollout with weights of least noise: the rows and masses of the published comparison, other weights.

Which cells are exposed, which serve, and what each row averages is read from the same plan. Weights are those of the
untreated model (`evalkit/designs/noise/untreated.py`) under a working covariance that sees no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd

from evalkit.designs.noise.covariance import Person, autocovariance, fit_person, kernels, shock_variances
from evalkit.designs.noise.model import (
    CellMeans,
    Columns,
    Targets,
    cell_means,
    make_places,
    unit_influence,
    untreated_columns,
    with_noise,
)
from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import ExposureStates, Rules
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.rows import Naming, assemble, labels, rows_of
from evalkit.designs.rollout.sums import Sums
from evalkit.errors import EvalkitError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import GroupSource, Influence

FLAT = "outcomes before exposure do not vary, so that there is no noise to weigh by"
FEW = "fewer than two clusters are seen before exposure, so that there is no noise to weigh by"
UNTOLD = "the weights of least noise cannot tell it: its levels before the start are not seen"


class NoCovarianceError(EvalkitError):
    """There is nothing to make a working covariance from."""


@dataclass(frozen=True, eq=False)
class LeastNoise:
    """The rows of a contrast by the untreated model."""

    contrast: Contrast
    states: ExposureStates
    rules: Rules
    rows: np.ndarray

    @property
    def sums(self) -> Sums:
        assert isinstance(self.contrast.reader, Within)
        return self.contrast.reader.sums

    @cached_property
    def person(self) -> Person | None:
        """One person's covariance, None where no cell has two people to compare."""
        product, pairs = autocovariance(self.sums.values, self.sums.of, len(self.sums.path))
        return fit_person(product, pairs)

    @cached_property
    def R(self) -> np.ndarray:
        """(T, T) covariance of one person about the mean of the cell, nothing where it cannot be seen."""
        T = self.contrast.n_periods
        return np.zeros((T, T)) if self.person is None else self.person.matrix(T)

    @cached_property
    def columns(self) -> Columns:
        return untreated_columns(self.states, self.rules)

    @cached_property
    def cells(self) -> CellMeans:
        mean, noise = cell_means(self.sums.values, self.sums.of, self.sums.order, self.sums.weights, self.R)
        return CellMeans(self.sums.path, self.sums.cluster, mean, noise)

    @cached_property
    def targets(self) -> Targets:
        """Adopters' shares of each row, as in the published weights."""
        at = np.full(self.contrast.mass.size, -1)
        at[self.rows] = np.arange(len(self.rows))
        found = []
        for b in self.contrast.blocks:
            _, unit = self.contrast.weights(b)
            term = b.terms[0]
            share = term.inside[0] * unit * b.ok
            g, t = np.nonzero(share)
            row = at[b.line * self.contrast.n_periods + t]
            keep = row >= 0
            found.append((row[keep], term.at[g][keep], t[keep], share[g, t][keep]))
        row, cell, period, weight = (np.concatenate(x) for x in zip(*found, strict=True))
        return Targets(row, cell, period, weight)

    @property
    def model(self) -> Untreated:
        """The untreated model with people's noise, and shocks of places where they can be seen."""
        return self._made[0]

    @cached_property
    def _made(self) -> tuple[Untreated, list[tuple[np.ndarray, np.ndarray]]]:
        """The model, and cell and period of what each of its places holds."""
        places, where = make_places(self.cells, self.columns, self.targets)
        if len(places) < 2:
            raise NoCovarianceError(FEW)
        kinds = [kernels(cell, t) for cell, t in where]
        norm = [p.V for p in places] if self.person else [np.mean(K, axis=0) for K in kinds]
        before = [[K[: p.u, : p.u] for K in kind] for p, kind in zip(places, kinds, strict=True)]
        first = self._untreated(with_noise(places, norm))
        shocks = shock_variances(first, before, known=self.person is not None)
        if self.person is None and not shocks.any():
            raise NoCovarianceError(FLAT)
        noise = [p.V + np.tensordot(shocks, np.stack(kind), axes=1) for p, kind in zip(places, kinds, strict=True)]
        return self._untreated(with_noise(places, noise)), where

    def _untreated(self, places: tuple[Place, ...]) -> Untreated:
        return Untreated(places, self.columns.count, len(self.rows))

    def replicates(self) -> Replicates:
        """Delete-one-cluster refits, with weights made again under the same working covariance."""
        paths, level = self.sums.paths, self.sums.level
        names = paths.levels[level].names
        values, weights = self.model.refits(np.arange(len(names)))
        exposed, comparison = self.serving()
        return Replicates(names, level, values, weights * self.contrast.mass.ravel()[self.rows], exposed, comparison)

    def serving(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, k) clusters whose exposed cell-periods carry weight in a row, and those that only serve."""
        clusters = len(self.sums.paths.levels[self.sums.level].names)
        exposed, comparison = (np.zeros((clusters, len(self.rows)), dtype=bool) for _ in range(2))
        for place, told in zip(self.model.places, self.model.kept, strict=True):
            exposed[place.cluster, place.rows[told]] = True
        for place, rows, _ in self.model.linear():
            comparison[place.cluster, rows] = True
        return exposed, comparison & ~exposed


@dataclass(frozen=True, eq=False)
class UnitInfluence:
    """(n, k) influence of units on rows of least noise, made when asked for: records about people."""

    made: LeastNoise

    def __call__(self) -> np.ndarray:
        made, sums = self.made, self.made.sums
        C, T, k = len(sums.path), made.contrast.n_periods, len(made.rows)
        L, left = np.zeros((C, T, k)), np.zeros((C, k))
        model, where = made._made
        value, weight = np.nan_to_num(model.value), np.where(model.weight > 0, model.weight, np.nan)
        for (place, rows, own), (cell, t), told in zip(model.linear(), where, model.kept, strict=True):
            L[cell[:, None], t[:, None], rows] = own
            residual = place.y - place.steps @ model.gamma[place.at]
            np.add.at(left, (cell[:, None], rows), residual[:, None] * own)
            exposed, mine = cell[place.u :], place.rows[told]
            np.add.at(left, (exposed[:, None], mine), -place.weight[:, told] * value[mine])
        out = left[sums.of] * (sums.weights / np.where(sums.mass > 0, sums.mass, 1.0)[sums.of])[:, None]
        if made.person is not None:
            out += unit_influence(sums.values, sums.of, sums.weights, made.R, made.cells, L)
        return np.nan_to_num(out / weight)


@dataclass(frozen=True, eq=False)
class CellsUsed:
    """Cell-periods that rows of least noise use, or combinations of them, made when asked for: every cell before
    exposure weighs by its own covariance, so that there is no base and no window."""

    made: LeastNoise

    def __call__(self, matrix: np.ndarray | None = None) -> pd.DataFrame:
        made, sums = self.made, self.made.sums
        lift = np.eye(len(made.rows)) if matrix is None else np.atleast_2d(matrix)
        parts = []
        for (place, rows, own), (cell, t) in zip(made.model.linear(), made._made[1], strict=True):
            weight = (own / made.model.weight[rows]) @ lift[:, rows].T
            at, row = np.nonzero(np.abs(weight) > 0)
            exposed = np.isin(sums.path[cell], sums.path[cell[place.u :]])
            parts.append(pd.DataFrame({
                "row": row, "path": sums.path[cell[at]], "cluster": sums.cluster[cell[at]], "period": t[at],
                "sign": np.where(exposed[at], 1, -1), "weight": weight[at, row],
            }))  # fmt: skip
        frame = pd.concat(parts, ignore_index=True).sort_values(["row", "cluster", "path", "period"], ignore_index=True)
        frame.insert(1, "component", made.contrast.plan.component)
        names, periods = sums.paths.levels[sums.level].names, sums.paths.periods
        return frame.assign(cluster=names[frame["cluster"]], period=periods[frame["period"]])


def least_noise_estimate(contrast: Contrast, states: ExposureStates, rules: Rules, naming: Naming) -> Estimate:
    """Rows of a contrast with weights of least noise: labels, masses and adopters as published.

    The label `weights` says which they are: equal, and why, where nothing gives a working covariance.
    """
    published, contrast = contrast, contrast.by_cell()
    later = np.arange(contrast.n_periods) >= contrast.cohorts[:, None]
    rows = np.flatnonzero((contrast.possible & later).ravel())
    made = LeastNoise(contrast, states, rules, rows)
    k, level, table = len(rows), contrast.reader.sums.level, rows_of(contrast.paths)
    try:
        clusters, totals = made.model.totals()
    except NoCovarianceError as nothing:
        equal = assemble(published, naming)
        return replace(equal, labels=equal.labels.assign(weights=f"equal: {nothing}"))
    source = GroupSource(table, np.nan_to_num(totals), level, clusters, UnitInfluence(made))
    frame = labels(contrast, naming, rows).assign(weights="least noise")
    lost = np.isnan(made.model.value) & (contrast.mass.ravel()[rows] > 0)
    frame["reason"] = np.where(lost, UNTOLD, frame["reason"])
    heads = GroupSource(table, contrast.totals(rows), level, contrast.reader.cluster, partial(contrast.unit_rows, rows))
    exposed, comparison = made.serving()
    mass = contrast.mass.ravel()[rows] * np.minimum(made.model.weight, 1.0)
    return Estimate(
        value=made.model.value.copy(), mass=mass, labels=frame,
        value_influence=Influence(((source, np.eye(k)),), level),
        mass_influence=Influence(((heads, np.eye(2 * k)[:, k:]),), level),
        arms=Arms(exposed, comparison, np.ones(len(exposed), dtype=int)),
        replicate=made.replicates, cells=CellsUsed(made), working=made.model.vcov(),
    )  # fmt: skip
