"""Two-way fixed effects: the regression everybody runs, and how much of a coefficient is its own component.

    Y_it = u_i + v_t + sum over components k of b_k D_k,it + error,   D_k,it one while k is on

With e_k the residual of D_k on unit and period effects and the other components' columns, b_k equals the
sum over components l and cells of w e_k D_l / sum(w e_k D_k) times l's effect in the cell, and no more, when
untreated outcomes follow unit and period effects and effects add up (de Chaisemartin and D'Haultfoeuille 2020,
AER 110, theorem 1; 2023, Journal of Econometrics 236, theorem 1). Weights of k's own effects sum to one and
may be negative; weights of another component's effects sum to zero, and borrow from it wherever these
effects differ between cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import AdditiveDesign, EventTimes, additive_design, make_grid
from evalkit.designs.regression.columns import Shape
from evalkit.designs.regression.fit import Fit, group_means
from evalkit.designs.regression.joint import as_estimate, make_panel
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import Paths

OWN, NEGATIVE, BORROWED = "own", "own, negative", "borrowed"
_ZERO = 1e-12
_FITS: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True)
class TwoWayFixedEffects:
    """One 0/1 column a component with unit and period effects, weighted least squares. For showing, never for a
    headline: right only if every effect adds up and is the same everywhere and at every event time.

    outcome: name of another outcome than the study's first.

    Rows with a component part-way or unknown are left out. Analytic standard errors are clustered by
    contributions, with no small-sample factor, as everywhere in evalkit (pyfixest and Stata multiply
    by sqrt(G/(G-1) (n-1)/(n-p))); with few clusters the jackknife is used. Calling gives one
    component's row. Raises `NotIdentifiedError` when the component never varies.
    """

    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset({"additivity"}))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        paths.index(component)
        return _design(paths, paths.inference_level(component)[0])

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """The coefficient of `component`, from the regression on all of them."""
        study.paths.index(component)
        whole = self.fit(study, study.paths.inference_level(component)[0])
        return whole.select(np.array([_column(_fit(self, study, component).fit, component)]))

    def fit(self, study: StudyLike, level: str) -> Estimate:
        """All components' coefficients with their joint covariance, clustered at `level`."""
        return _made(self, study, level).estimate

    def weights(self, study: StudyLike, component: str) -> pd.DataFrame:
        """Weight of every cell's effect in the coefficient of `component`.

        One row a component whose effect it is, cluster, path and period: component, from_component, cluster,
        path (index in `study.paths`), period, mass (exposed units, weighted), weight. The coefficient is the sum of
        weight times effect. Raises `NotIdentifiedError` when the coefficient is not identified.
        """
        made = _fit(self, study, component)
        fit, k = made.fit, _identified(made.fit, component)
        grid, paths = fit.design.grid, made.paths
        on_outcome = _outcome_weights(fit)[:, k]
        pieces = []
        for j in range(fit.n_columns):
            rows = fit.design.matrix[:, [j]].nonzero()[0]
            pieces.append(pd.DataFrame({
                "from_component": fit.design.components[fit.design.component[j]],
                "cluster": made.cluster[grid.group[rows]], "path": grid.path[grid.group[rows]],
                "period": grid.period[rows], "mass": fit.weight[rows], "weight": on_outcome[rows],
            }))  # fmt: skip
        frame = pd.concat(pieces, ignore_index=True)
        keys = ["from_component", "cluster", "path", "period"]
        frame = frame.groupby(keys, sort=False, as_index=False).sum()
        frame["cluster"] = paths.levels[made.level].names[frame["cluster"]]
        frame["period"] = paths.periods[frame["period"]]
        frame.insert(0, "component", component)
        return frame

    def contamination(self, study: StudyLike, component: str) -> pd.DataFrame:
        """How much of the coefficient of `component` is its own, and how much is borrowed from others.

        Rows: "own" (cells whose own effect enters with a positive weight), "own, negative", and "borrowed" for each
        other component. Columns: component, source, from_component, cells, sum_of_weights, positive, negative (the
        sums of the weights of either sign). "own" and "own, negative" sum to one; each "borrowed" to zero, so
        that its positive part is the share of one that is borrowed and given back elsewhere.
        """
        cells = self.weights(study, component)
        mine = cells["from_component"] == component
        rows = [
            _summary(OWN, component, cells[mine & (cells["weight"] > _ZERO)]),
            _summary(NEGATIVE, component, cells[mine & (cells["weight"] < -_ZERO)]),
        ]
        others = cells.loc[~mine, "from_component"].unique()
        rows += [_summary(BORROWED, other, cells[cells["from_component"] == other]) for other in others]
        frame = pd.DataFrame(rows)
        frame.insert(0, "component", component)
        return frame


@dataclass(frozen=True, eq=False)
class _Made:
    """A fit with where it came from. cluster: (G,) code of each group."""

    fit: Fit
    paths: Paths
    level: str
    cluster: np.ndarray
    estimate: Estimate


def _fit(design: TwoWayFixedEffects, study: StudyLike, component: str) -> _Made:
    study.paths.index(component)
    return _made(design, study, study.paths.inference_level(component)[0])


def _made(design: TwoWayFixedEffects, study: StudyLike, level: str) -> _Made:
    kept = _FITS.setdefault(study, {})
    if (design, level) not in kept:
        kept[design, level] = _make(design, study, level)
    return kept[design, level]


def _design(paths: Paths, level: str) -> AdditiveDesign:
    """Level columns with one set of period effects for everybody."""
    found = additive_design(paths, make_grid(paths, level), EventTimes(shape="level"))
    return replace(found, pattern=np.zeros_like(found.pattern))


def _make(design: TwoWayFixedEffects, study: StudyLike, level: str) -> _Made:
    values = study.values(design.outcome)
    seen = np.isfinite(values)
    paths = replace(study.paths, seen=None if seen.all() else seen)
    columns = _design(paths, level)
    grid = columns.grid
    if not columns.matrix.shape[1] or not len(grid.group):
        raise NotIdentifiedError("No component is on in any row, so that the regression has no columns.")
    weights = np.ones(paths.n_units) if paths.weights is None else paths.weights
    mean = group_means(values, weights, grid.of, grid.n_groups)
    fit = Fit(columns, mean[grid.group, grid.period])
    cluster = np.zeros(grid.n_groups, dtype=int)
    cluster[grid.of] = paths.levels[level].codes
    panel = make_panel(study, design.outcome, Shape(shape="level"), by_reach=False)
    whole = as_estimate(panel, study.paths, level, _labels(design, study, level, fit))
    return _Made(fit, paths, level, cluster, whole)


def _labels(design: TwoWayFixedEffects, study: StudyLike, level: str, fit: Fit) -> pd.DataFrame:
    outcome = study.outcome(design.outcome)
    reason = "the regression cannot tell this component from other components, places and periods"
    return pd.DataFrame({
        "component": np.array(fit.design.components, dtype=object)[fit.design.component],
        "outcome": outcome.column, "estimand": "two-way fixed effects coefficient",
        "population": "for showing, never for a headline: right only if effects add up and are the same everywhere",
        "outcome_unit": outcome.unit, "inference_level": level,
        "reason": np.where(fit.solution.free, "", reason).astype(object),
    })  # fmt: skip


def _outcome_weights(fit: Fit) -> np.ndarray:
    """(R, p) weight of each row's mean outcome in each coefficient, unit effects taken out."""
    grid = fit.design.grid
    raw = np.asarray(fit.row_coefficients)
    sums = np.zeros((grid.n_groups, raw.shape[1]))
    np.add.at(sums, grid.group, raw)
    means = sums / np.maximum(fit.group_size, 1)[:, None]
    return (raw - means[grid.group]) * fit.weight[:, None]


def _column(fit: Fit, component: str) -> int:
    found = np.flatnonzero(fit.design.component == fit.design.components.index(component))
    if not len(found):
        raise NotIdentifiedError(f"{component!r} is never on, or registered as always on, so it has no column.")
    return int(found[0])


def _identified(fit: Fit, component: str) -> int:
    k = _column(fit, component)
    if not fit.solution.free[k]:
        raise NotIdentifiedError(
            f"The regression cannot tell {component!r} from other components, places and periods, so its "
            "coefficient has no weights. See ek.separability(study).aliased."
        )
    return k


def _summary(source: str, other: str, cells: pd.DataFrame) -> dict[str, object]:
    weight = cells["weight"].to_numpy()
    return {
        "source": source, "from_component": other, "cells": int((np.abs(weight) > _ZERO).sum()),
        "sum_of_weights": float(weight.sum()), "positive": float(weight[weight > 0].sum()),
        "negative": float(weight[weight < 0].sum()),
    }  # fmt: skip
