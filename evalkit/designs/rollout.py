"""Assemble an Estimate from a contrast: contributions, arms, refits, labels and cell weights."""

from __future__ import annotations

import numpy as np

from evalkit.designs.contrast import Contrast
from evalkit.designs.readers import Within, coefficients
from evalkit.designs.rollout_labels import Naming, cell_weights, labels
from evalkit.designs.sums import Sums
from evalkit.inference.arms import Arms
from evalkit.inference.contributions import Contributions, GroupSource, PathSource, Rows, Source
from evalkit.inference.estimate import Estimate
from evalkit.inference.jackknife import Replicates
from evalkit.study.paths import Paths


def rows_of(paths: Paths) -> Rows:
    """Unit ids and cluster codes as inference wants them."""
    return Rows(paths.units, {name: (level.codes, level.names) for name, level in paths.levels.items()})


def assemble(contrast: Contrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period) that the rollout asks for."""
    rows = np.flatnonzero(contrast.possible.ravel())
    k = len(rows)
    source = _source(contrast, rows)
    level = contrast.reader.level
    return Estimate(
        value=contrast.value.ravel()[rows],
        mass=contrast.mass.ravel()[rows],
        labels=labels(contrast, naming, rows),
        value_parts=Contributions(((source, np.eye(2 * k)[:, :k]),), level),
        mass_parts=Contributions(((source, np.eye(2 * k)[:, k:]),), level),
        arms=arms(contrast, rows),
        replicate=lambda: by_cell(contrast).replicates(rows),
        cells=lambda matrix=None: cell_weights(by_cell(contrast), rows, matrix),
    )


def by_path(contrast: Contrast) -> bool:
    """Whether groups are whole paths of units that are each a cluster."""
    return isinstance(contrast.reader, Within) and contrast.reader.sums.by_path


def by_cell(contrast: Contrast) -> Contrast:
    """The same contrast with groups no larger than clusters, as refits and cell weights need."""
    if not isinstance(contrast.reader, Within) or not contrast.reader.sums.by_path:
        return contrast
    return Contrast(contrast.plan, Within(contrast.reader.sums.split()))


def _source(contrast: Contrast, rows: np.ndarray) -> Source:
    table = rows_of(contrast.reader.paths)
    if isinstance(contrast.reader, Within) and contrast.reader.sums.by_path:
        sums = contrast.reader.sums
        return PathSource(table, sums.paths.path, coefficients(contrast, sums, rows), _moments(sums), lambda: _z(sums))
    reader = contrast.reader
    return GroupSource(table, contrast.totals(rows), reader.level, reader.cluster, lambda: contrast.unit_rows(rows))


def _z(sums: Sums) -> np.ndarray:
    w = sums.weights[:, None]
    return np.hstack([w * (sums.values - sums.mean[sums.of]), w])


def _moments(sums: Sums) -> np.ndarray:
    """(P, T + 1, T + 1) cross-products of (w (Y - path mean), w) within each path."""
    periods = sums.values.shape[1]
    out = np.zeros((len(sums.path), periods + 1, periods + 1))
    stop = np.cumsum(sums.size)
    for p, (low, high) in enumerate(zip(stop - sums.size, stop, strict=True)):
        units = sums.order[low:high]
        z, w = np.take(sums.values, units, axis=0), sums.weights[units]
        z -= sums.mean[p]
        if sums.paths.weights is not None:
            z *= w[:, None]
        out[p, :-1, :-1] = z.T @ z
        out[p, -1, :-1] = out[p, :-1, -1] = w @ z
        out[p, -1, -1] = w @ w
    return out


def arms(contrast: Contrast, rows: np.ndarray) -> Arms:
    """Clusters with weight in each row; whole paths stand for as many clusters as they have units."""
    reader, groups = contrast.reader, contrast.n_groups
    exposed, comparison = (contrast.incidence(sign).reshape(groups, -1)[:, rows] for sign in (1, -1))
    if isinstance(reader, Within) and reader.sums.by_path:
        return Arms(exposed, comparison, reader.sums.people)
    clusters = len(reader.paths.levels[reader.level].names)
    if groups == clusters and len(np.unique(reader.cluster)) == groups:
        order = np.argsort(reader.cluster)
        return Arms(exposed[order], comparison[order], np.ones(clusters, dtype=int))
    both = np.zeros((2, clusters, len(rows)), dtype=bool)
    for arm, incidence in zip(both, (exposed, comparison), strict=True):
        np.logical_or.at(arm, reader.cluster, incidence)
    return Arms(both[0], both[1], np.ones(clusters, dtype=int))


__all__ = ["Naming", "Replicates", "arms", "assemble", "by_cell", "by_path", "rows_of"]
