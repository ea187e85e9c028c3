"""Joint event study: one regression on all components, right only if effects add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.designs.additive import AdditiveDesign, EventTimes, additive_design, make_grid
from evalkit.designs.joint_fit import Fit, refits
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout import rows_of
from evalkit.designs.sums import add_by
from evalkit.errors import NotIdentifiedError
from evalkit.inference.arms import Arms
from evalkit.inference.contributions import Contributions, GroupSource
from evalkit.inference.estimate import Estimate
from evalkit.inference.jackknife import Replicates
from evalkit.study.paths import Paths

_FITS: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True)
class JointEventStudy:
    """Event-time effects of every component at once, by weighted least squares.

    Y_it = u_i + v_{t, reach} + sum over components k of d_k(t - start_k(i)) + error: unit effects,
    period effects for each pattern of reach, event-time indicators of every component (the additive
    form of Sun and Abraham 2021 without cohorts). Effects are assumed to add up and to be the same in
    every cohort; the labels say so. A coefficient outside the row space is NaN, with the reason.

    window: None for every event time from 0 on; (lead, lag) for leads -lead .. -2 and event times
        0 .. lag, the last meaning "lag or later".
    outcome: name of another outcome than the study's first.

    Calling gives one component's rows. Raises `NotIdentifiedError` when the component never varies.
    """

    window: tuple[int, int] | None = None
    interactions: tuple[tuple[str, ...], ...] = ()
    outcome: str | None = None

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        paths.index(component)
        level, _ = paths.inference_level(component)
        return additive_design(paths, make_grid(paths, level), EventTimes(self._window(paths)))

    def _window(self, paths: Paths) -> tuple[int, int] | None:
        return self.window

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Event-time effects of `component`, from the regression on all of them."""
        study.paths.index(component)
        whole = self.fit(study, study.paths.inference_level(component)[0])
        mine = np.flatnonzero(whole.labels["component"].to_numpy() == component)
        if not len(mine):
            raise NotIdentifiedError(f"{component!r} is never on, or on throughout, wherever it could be compared.")
        return whole.select(mine)

    def fit(self, study: StudyLike, level: str) -> Estimate:
        """All components' event-time effects with their joint covariance, clustered at `level`."""
        made = _FITS.setdefault(study, {})
        if (self, level) not in made:
            made[self, level] = _estimate(self, study, level)
        return made[self, level]


def _estimate(design: JointEventStudy, study: StudyLike, level: str) -> Estimate:
    values = study.values(design.outcome)
    seen = np.isfinite(values)
    paths = replace(study.paths, seen=None if seen.all() else seen, _cells={})
    grid = make_grid(paths, level)
    columns = additive_design(paths, grid, EventTimes(design.window))
    weights = np.ones(paths.n_units) if paths.weights is None else paths.weights
    mean = _group_means(values, weights, grid.of, grid.n_groups)
    keep = columns.grid
    fit = Fit(columns, mean[keep.group, keep.period])
    cluster = np.zeros(grid.n_groups, dtype=int)
    cluster[grid.of] = paths.levels[level].codes
    return _assemble(fit, (study, paths, design.outcome), level, cluster, (values, weights))


def _group_means(values: np.ndarray, weights: np.ndarray, of: np.ndarray, groups: int) -> np.ndarray:
    """(G, T) weighted means; a group's units are seen in the same periods."""
    total = add_by(np.nan_to_num(values) * weights[:, None], of, groups)
    mass = np.bincount(of, weights=weights, minlength=groups)
    return total / np.where(mass > 0, mass, 1.0)[:, None]


def _assemble(fit: Fit, where: tuple, level: str, cluster: np.ndarray, data: tuple) -> Estimate:
    study, paths, name = where
    p, found = fit.n_columns, fit.solution
    rows = rows_of(study.paths)
    value = np.where(found.free, found.beta, np.nan)
    mass = np.asarray(fit.design.matrix.T @ fit.weight).ravel()
    totals = np.hstack([_group_totals(fit), _group_masses(fit)])
    source = GroupSource(rows, totals, level, cluster, lambda: _unit_rows(fit, *data))
    first = np.vstack([np.eye(p), np.zeros((p, p))])
    second = np.vstack([np.zeros((p, p)), np.eye(p)])
    arms = _arms(fit, cluster, len(paths.levels[level].names))
    return Estimate(
        value=value, mass=mass, labels=_labels(fit, study, level, name),
        value_parts=Contributions(((source, first),), level), mass_parts=Contributions(((source, second),), level),
        arms=arms, replicate=lambda: _replicates(fit, cluster, paths, level, arms),
    )  # fmt: skip


def _group_totals(fit: Fit) -> np.ndarray:
    """(G, p) contributions summed over the units of a group."""
    grid = fit.design.grid
    residual = fit.mean - np.average(fit.mean, weights=fit.weight) - fit.fitted
    centred = residual - (np.bincount(grid.group, residual, grid.n_groups) / np.maximum(fit.group_size, 1))[grid.group]
    return add_by(fit.row_coefficients * (fit.weight * centred)[:, None], grid.group, grid.n_groups)


def _group_masses(fit: Fit) -> np.ndarray:
    """(G, p) exposed unit-periods at each event time."""
    grid, p = fit.design.grid, fit.n_columns
    return fit.group_sums[:, :p].toarray() * grid.weight[:, None]


def _unit_rows(fit: Fit, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, 2p) contributions of the values, then of the masses: records about people."""
    grid, p = fit.design.grid, fit.n_columns
    coef = np.zeros((grid.n_groups, grid.n_periods, p))
    coef[grid.group, grid.period] = fit.row_coefficients
    fitted, used = np.zeros((2, grid.n_groups, grid.n_periods))
    fitted[grid.group, grid.period] = fit.fitted + np.average(fit.mean, weights=fit.weight)
    used[grid.group, grid.period] = 1.0
    use = used[grid.of] > 0
    residual = np.where(use, np.nan_to_num(values) - fitted[grid.of], 0.0)
    size = np.maximum(use.sum(axis=1), 1)
    residual = np.where(use, residual - (residual.sum(axis=1) / size)[:, None], 0.0) * weights[:, None]
    out = np.zeros((len(values), 2 * p))
    order = np.argsort(grid.of, kind="stable")
    stops = np.searchsorted(grid.of[order], np.arange(grid.n_groups + 1))
    for g in range(grid.n_groups):
        units = order[stops[g] : stops[g + 1]]
        out[units, :p] = residual[units] @ coef[g]
    out[:, p:] = fit.group_sums[:, :p].toarray()[grid.of] * weights[:, None]
    return out


def _arms(fit: Fit, cluster: np.ndarray, clusters: int) -> Arms:
    """A cluster is exposed in a row where it has that event time, comparison where the component is off."""
    grid = fit.design.grid
    has = add_by((fit.group_sums[:, : fit.n_columns].toarray() > 0).astype(float), cluster, clusters) > 0
    off = np.zeros_like(has)
    for k in np.unique(fit.design.component):
        mine = np.flatnonzero(fit.design.component == k)
        on = np.asarray(fit.design.matrix[:, mine].sum(axis=1)).ravel() > 0
        free = np.bincount(cluster[grid.group], weights=(~on).astype(float), minlength=clusters) > 0
        off[:, mine] = free[:, None]
    return Arms(has, off, np.ones(clusters, dtype=int))


def _replicates(fit: Fit, cluster: np.ndarray, paths: Paths, level: str, arms: Arms) -> Replicates:
    names = paths.levels[level].names
    beta, left = refits(fit, cluster, len(names))
    masses = np.where(np.isnan(beta), 0.0, left)
    everywhere = np.ones_like(arms.exposed)
    return Replicates(names, level, beta, masses, arms.exposed, everywhere & ~arms.exposed)


def _labels(fit: Fit, study: StudyLike, level: str, name: str | None) -> pd.DataFrame:
    names = np.array(fit.design.components, dtype=object)
    outcome = study.outcome(name)
    reason = np.where(
        fit.solution.free, "", "the regression cannot tell this event time from other components, places and periods"
    )
    return pd.DataFrame({
        "component": names[fit.design.component], "outcome": outcome.column, "event_time": fit.design.event_time,
        "estimand": "additive effect by event time", "population": "everyone exposed, if effects add up",
        "outcome_unit": outcome.unit, "inference_level": level, "reason": reason.astype(object),
    })  # fmt: skip
