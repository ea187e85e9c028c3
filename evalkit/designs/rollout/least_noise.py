"""A staggered rollout with weights of least noise: the rows and masses of the published comparison, other weights.

Which cells are exposed, which serve, and what each row averages is read from the same plan. Weights are those of the
untreated model (`evalkit/designs/noise/untreated.py`) under a working covariance that sees no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.noise.covariance import Person, autocovariance, fit_person, kernels, shock_variances
from evalkit.designs.noise.model import (
    CellMeans,
    Columns,
    Targets,
    cell_means,
    make_places,
    untreated_columns,
    with_noise,
)
from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import Rules
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.rows import Naming, by_cell, labels, rows_of
from evalkit.designs.rollout.states import ExposureStates
from evalkit.designs.rollout.sums import Sums
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import GroupSource, Influence

UNTOLD = "the weights of least noise cannot tell it: its levels before the start are not seen"


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
    def columns(self) -> Columns:
        return untreated_columns(self.states, self.rules)

    @cached_property
    def cells(self) -> CellMeans:
        T = self.contrast.n_periods
        R = np.zeros((T, T)) if self.person is None else self.person.matrix(T)
        mean, noise = cell_means(self.sums.values, self.sums.of, self.sums.order, self.sums.weights, R)
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

    @cached_property
    def model(self) -> Untreated:
        """The untreated model with people's noise, and shocks of places where they can be seen."""
        places, where = make_places(self.cells, self.columns, self.targets)
        kinds = [kernels(cell, t) for cell, t in where]
        norm = [p.V for p in places] if self.person else [np.mean(K, axis=0) for K in kinds]
        before = [[K[: p.u, : p.u] for K in kind] for p, kind in zip(places, kinds, strict=True)]
        shocks = shock_variances(self._untreated(with_noise(places, norm)), before, known=self.person is not None)
        noise = [p.V + np.tensordot(shocks, np.stack(kind), axes=1) for p, kind in zip(places, kinds, strict=True)]
        return self._untreated(with_noise(places, noise))

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
class RefitsOf:
    """Refits of rows of least noise, made when asked for."""

    made: LeastNoise

    def __call__(self) -> Replicates:
        return self.made.replicates()


@dataclass(frozen=True, eq=False)
class UnitRows:
    """(n, k) influence of units on rows of least noise, made when asked for: records about people."""

    made: LeastNoise

    def __call__(self) -> np.ndarray:
        sums, model = self.made.sums, self.made.model
        out = np.zeros((sums.paths.n_units, len(self.made.rows)))
        clusters, totals = model.totals()
        size = np.bincount(sums.cluster[sums.of], minlength=int(clusters.max()) + 1)
        for cluster, total in zip(clusters, totals, strict=True):
            out[sums.cluster[sums.of] == cluster] = total / size[cluster]
        return out


def least_noise_estimate(contrast: Contrast, states: ExposureStates, rules: Rules, naming: Naming) -> Estimate:
    """Rows of a contrast with weights of least noise: labels, masses and adopters as published."""
    contrast = by_cell(contrast)
    later = np.arange(contrast.n_periods) >= contrast.cohorts[:, None]
    rows = np.flatnonzero((contrast.possible & later).ravel())
    made = LeastNoise(contrast, states, rules, rows)
    k, level, table = len(rows), contrast.reader.level, rows_of(contrast.reader.paths)
    clusters, totals = made.model.totals()
    source = GroupSource(table, np.nan_to_num(totals), level, clusters, UnitRows(made))
    frame = labels(contrast, naming, rows)
    lost = np.isnan(made.model.value) & (contrast.mass.ravel()[rows] > 0)
    frame["reason"] = np.where(lost, UNTOLD, frame["reason"])
    exposed, comparison = made.serving()
    return Estimate(
        value=made.model.value.copy(),
        mass=contrast.mass.ravel()[rows] * np.minimum(made.model.weight, 1.0),
        labels=frame,
        value_parts=Influence(((source, np.eye(k)),), level),
        mass_parts=None,
        arms=Arms(exposed, comparison, np.ones(len(exposed), dtype=int)),
        replicate=RefitsOf(made),
    )
