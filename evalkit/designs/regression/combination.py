"""A combination of effects by the joint event study: what is identified where single components are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import AdditiveDesign, programme_level
from evalkit.designs.regression.columns import Columns, Shape
from evalkit.designs.regression.joint import combined, joint_panel, joint_plan
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.inference.estimate import Estimate
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
        """What its answers rest on."""
        return Traits(frozenset(("parallel trends", "additivity")))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        return joint_plan(paths, programme_level(paths, self.members), Shape())

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row an event time that all members have; `component` is what the combination is called."""
        panel, level = joint_panel(study, self.outcome, Shape()), programme_level(study.paths, self.members)
        times, lift = self._lift(panel.columns, study.paths)
        if not len(times):
            raise NotIdentifiedError(f"The parts of {component!r} have no event time in common.")
        outcome, found = study.outcome(self.outcome), combined(panel, study.paths, level, lift)
        labels = pd.DataFrame({
            "component": component, "outcome": outcome.column, "event_time": times, "estimand": ADDED,
            "population": POPULATION, "outcome_unit": outcome.unit, "inference_level": level,
            "reason": np.where(found.identified, "", UNTOLD).astype(object),
        })  # fmt: skip
        return found.estimate(labels)

    def _lift(self, columns: Columns, paths: Paths) -> tuple[np.ndarray, np.ndarray]:
        """(m,) event times that every member has, and (p, m) weights of the columns."""
        index = [paths.index(c) for c in self.members]
        shared = [set(columns.event_time[columns.component == k].tolist()) for k in index]
        times = np.array(sorted(set.intersection(*shared)), dtype=int)
        lift = np.zeros((columns.width, len(times)))
        for k, weight in zip(index, self.weights, strict=True):
            lift += weight * ((columns.component == k)[:, None] & (columns.event_time[:, None] == times))
        return times, lift
