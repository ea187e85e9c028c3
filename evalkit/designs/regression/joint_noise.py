"""Joint event study with weights of least noise: effects of a component's own are free, those of the others add up.

Without the component a cell (cluster x path) moves by a period effect of its pattern of reach and the event times
of every other component; its exposed cell-periods have free effects, averaged within an event time by people.
Weights are those of `evalkit/designs/noise/untreated.py` under a working covariance that sees no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from evalkit.designs.noise.model import Columns, Targets
from evalkit.designs.noise.weighing import EQUAL, NoCovarianceError, Weighing, beside, unweighted
from evalkit.designs.protocol import StudyLike
from evalkit.designs.regression.columns import Columns as JointColumns
from evalkit.designs.regression.columns import Shape, make_columns
from evalkit.designs.rollout.sums import Sums
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF

UNTOLD = f"{EQUAL}: with free effects of its own the others' effects cannot be told there"


@dataclass(frozen=True, eq=False)
class OtherEffects(Columns):
    """Period effects by pattern of reach (P,), and event times of the other components: matrix (P T, p) sparse."""

    pattern: np.ndarray
    matrix: sparse.csr_matrix

    def passed(self, path: int) -> tuple[np.ndarray, np.ndarray]:
        T = self.level.shape[1]
        own = self.matrix[path * T : (path + 1) * T].tocsc()
        used = np.flatnonzero(np.diff(own.indptr))
        periods = int(self.pattern[path]) * T + np.arange(1, T)
        first = (int(self.pattern.max()) + 1) * T
        return np.concatenate([periods, first + used]), np.hstack([np.eye(T)[:, 1:], own[:, used].toarray()])


def other_effects(columns: JointColumns, state: np.ndarray, own: np.ndarray) -> OtherEffects:
    """What moves a component's cells without it. state: (P, T) its own; own: (p,) which columns are its own."""
    free = columns.known & ~np.logical_or.accumulate(state != OFF, axis=1)
    matrix = sparse.csr_matrix(columns.matrix[:, ~own])
    count = (int(columns.pattern.max()) + 1) * state.shape[1] + matrix.shape[1]
    return OtherEffects(np.zeros(state.shape, dtype=np.int64), free, count, columns.pattern, matrix)


def joint_least_noise(
    study: StudyLike, component: str, level: str, outcome: str | None, published: Estimate
) -> Estimate:
    """Rows of `published`, by event time, with weights of least noise from the start on. A row that keeps equal weights
    says why in the label `weights`."""
    paths, events = study.paths, published.label_columns["event_time"]
    rows = np.flatnonzero(events >= 0)
    columns, k = make_columns(paths, Shape()), paths.index(component)
    own = columns.component == k
    sums = Sums.of_outcome(paths, level, study.values(outcome))
    targets = _by_event_time(sums, columns, own, events[rows])
    made = Weighing(component, sums, other_effects(columns, paths.state[:, :, k], own), targets, published.mass[rows])
    try:
        told = ~np.isnan(made.model.value)
    except NoCovarianceError as nothing:
        return unweighted(published, f"{EQUAL}: {nothing}")
    if not told.any():
        return unweighted(published, UNTOLD)
    part = published.select(rows)
    assert part.mass_influence is not None
    found = made.estimate(
        part.label_columns.assign(reason=np.where(told, "", part.label_columns["reason"])), part.mass_influence
    )
    rest = np.setdiff1d(np.arange(len(events)), rows[told])
    if not len(rest):
        return found
    kept = unweighted(published.select(rest), np.where(events[rest] < 0, EQUAL, UNTOLD))
    return beside(found.select(told), kept, np.argsort(np.concatenate([rows[told], rest])))


def _by_event_time(sums: Sums, columns: JointColumns, own: np.ndarray, events: np.ndarray) -> Targets:
    """People's shares of each event time (k,); the last stands for all later ones."""
    T = columns.known.shape[1]
    age = np.full(columns.known.size, -1)
    entries = sparse.coo_matrix(columns.matrix[:, own])
    age[entries.row] = columns.event_time[own][entries.col]
    age = np.where(columns.known, age.reshape(-1, T), -1)[sums.path]
    mass = sums.group(np.isfinite(sums.values) * sums.weights[:, None])
    cell, t = np.nonzero((age >= events.min()) & (mass > 0))
    row = np.searchsorted(events, np.minimum(age[cell, t], events.max()))
    total = np.bincount(row, weights=mass[cell, t], minlength=len(events))
    return Targets(row, cell, t, mass[cell, t] / total[row])
