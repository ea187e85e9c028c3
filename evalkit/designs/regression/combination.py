"""A combination of effects by the joint event study: what is identified where single components are not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import AdditiveDesign, make_grid
from evalkit.designs.regression.columns import Columns, Shape, make_columns
from evalkit.designs.regression.imputation import programme_level
from evalkit.designs.regression.joint import make_panel
from evalkit.designs.regression.moments import Panel, off_at_the_time, without_each
from evalkit.designs.regression.source import JointSource
from evalkit.designs.rollout.rows import rows_of
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import Influence
from evalkit.study.paths import Paths

ADDED = "combination of additive effects by event time"
POPULATION = "everyone exposed, if effects add up"
UNTOLD = "the regression cannot tell this combination from other components, places and periods"


@dataclass(frozen=True)
class JointCombination:
    """weights' (effects of members) at each event time, from one regression on all components.

    Where A is on exactly when B or C is, no single effect is identified, but A + B, A + C and B - C are: a
    combination is identified when every vector that leaves the fitted values alone leaves it alone too (Searle,
    Linear Models, 1971, section 5.4). Values do not depend on which solution of the normal equations is taken.
    Effects are assumed to add up and to be alike in every cohort, as in `JointEventStudy`.

    members, weights: as many of each. outcome: name of another outcome than the study's first.

    Raises `OptionError` unless members and weights go together and are not zero, and `NotIdentifiedError` where
    the members share no event time.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    outcome: str | None = None

    def __post_init__(self) -> None:
        if len(self.members) != len(self.weights) or not self.members or not all(self.weights):
            raise OptionError("A combination needs a weight, other than zero, for each of its members.")

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset({"additivity"}))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        grid = make_grid(paths, programme_level(paths, self.members))
        columns = make_columns(paths, Shape())
        there = np.zeros(columns.known.shape, dtype=bool)
        there[grid.path[grid.group], grid.period] = True
        return columns.keep(there & columns.known).on_grid(paths, grid)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row an event time that all members have; `component` is what the combination is called."""
        panel, level = make_panel(study, self.outcome, Shape()), programme_level(study.paths, self.members)
        times, lift = self._lift(panel.columns, study.paths)
        if not len(times):
            raise NotIdentifiedError(f"The parts of {component!r} have no event time in common.")
        outcome, known = study.outcome(self.outcome), self._known(panel, lift)
        labels = pd.DataFrame({
            "component": component, "outcome": outcome.column, "event_time": times, "estimand": ADDED,
            "population": POPULATION, "outcome_unit": outcome.unit, "inference_level": level,
            "reason": np.where(known, "", UNTOLD).astype(object),
        })  # fmt: skip
        mass = _lightest(lift, panel.column_mass)
        source, arms = JointSource(rows_of(study.paths), panel), _arms(panel, lift, study.paths, level)
        nothing = np.zeros_like(lift)
        return Estimate(
            value=np.where(known, panel.solution.beta @ lift, np.nan), mass=panel.column_mass @ mass, labels=labels,
            value_parts=Influence(((source, np.vstack([lift, nothing])),), level),
            mass_parts=Influence(((source, np.vstack([nothing, mass])),), level),
            arms=arms, replicate=partial(_replicates, panel, lift, mass, study.paths, level, arms),
        )  # fmt: skip

    def _lift(self, columns: Columns, paths: Paths) -> tuple[np.ndarray, np.ndarray]:
        """(m,) event times that every member has, and (p, m) weights of the columns."""
        index = [paths.index(c) for c in self.members]
        shared = [set(columns.event_time[columns.component == k].tolist()) for k in index]
        times = np.array(sorted(set.intersection(*shared)), dtype=int)
        lift = np.zeros((columns.width, len(times)))
        for k, weight in zip(index, self.weights, strict=True):
            lift += weight * ((columns.component == k)[:, None] & (columns.event_time[:, None] == times))
        return times, lift

    def _known(self, panel: Panel, lift: np.ndarray) -> np.ndarray:
        return np.broadcast_to(panel.solution.span.identified(lift), lift.shape[1:])


def _lightest(lift: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """(p, m) picks, for each combination, the member with the fewest exposed rows: that many it speaks for."""
    out = np.zeros_like(lift)
    out[np.where(lift != 0, mass[:, None], np.inf).argmin(axis=0), np.arange(lift.shape[1])] = 1.0
    return out


def _arms(panel: Panel, lift: np.ndarray, paths: Paths, level: str) -> Arms:
    """A cluster is exposed where it has every part of a sum, or any part of a difference, at that event time;
    comparison where, at the time, all parts are off."""
    codes, names = paths.levels[level].codes, paths.levels[level].names
    used, matrix = panel.used(codes, len(names)), panel.columns.matrix
    parts = (lift != 0).astype(float)
    found = ((used @ matrix).toarray() > 0).astype(float) @ parts
    members = np.isin(panel.columns.component, panel.columns.component[parts.any(axis=1)])
    off = np.asarray(matrix[:, np.flatnonzero(members)].sum(axis=1)).ravel() == 0
    comparison = off_at_the_time(used, off, sparse.csr_matrix(matrix @ sparse.csr_matrix(parts)), paths.n_periods)
    enough = parts.sum(axis=0) if lift.min(initial=0.0) >= 0 else 1.0
    return Arms(found >= enough, comparison, np.ones(len(names), dtype=int))


def _replicates(panel: Panel, lift: np.ndarray, mass: np.ndarray, paths: Paths, level: str, arms: Arms) -> Replicates:
    """Refits without each cluster. Every cluster shapes the period effects, so that all those that are not exposed
    count as comparison."""
    codes, names = paths.levels[level].codes, paths.levels[level].names
    values, left = np.full((len(names), lift.shape[1]), np.nan), np.zeros((len(names), lift.shape[1]))
    for c, (_, size, found) in enumerate(without_each(panel, codes, len(names))):
        gone = ((lift != 0) & (size <= 0)[:, None]).any(axis=0)
        known = np.broadcast_to(found.span.identified(lift), lift.shape[1:]) & ~gone
        values[c] = np.where(known, found.beta @ lift, np.nan)
        left[c] = np.where(known, size @ mass, 0.0)
    return Replicates(names, level, values, left, arms.exposed, ~arms.exposed)
