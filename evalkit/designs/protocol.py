"""What every design is: choices in fields, a plan that sees no outcome, a call that estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from evalkit.inference import Estimate, Interval
from evalkit.study import Outcome
from evalkit.study.paths import Paths

Basis = Literal[
    "parallel trends", "kinds alike", "additivity", "dose", "matching", "weighting", "cutoff", "randomisation",
    "one place",
]  # fmt: skip
"""What an answer may rest on. "kinds alike": eligible and ineligible people of a place would have moved alike. "one
place": a place alone would have gone on as its own past, or a mix of other places, leads to expect."""

Check = Literal[
    "pre_trend", "pre_trend_by_leads", "drift", "others_still_growing", "growth_taken_out", "stayers", "by_people",
    "scale", "score_form", "fit", "leave_one_donor", "placebo_places", "placebo_date", "bent_trend", "balance",
    "attrition", "compliance", "effective_clusters", "dominant_place", "shared_shocks",
]  # fmt: skip
"""Checks that some designs invite; those of one place, few places, other designs and other dates are for every one."""


@dataclass(frozen=True)
class Traits:
    """What a design's answer rests on, whom it compares, and what speaks for or against it.

    rests_on: assumptions that carry the answer, under the options chosen. arms: words for exposed and comparison
    units. checks: names of the checks that it invites beyond those of every answer, in the order in which they are
    shown. by_arrival: whether its option `arrival` compares only those who came onto the record together.
    """

    rests_on: frozenset[Basis]
    arms: tuple[str, str] = ("with it", "without")
    checks: tuple[Check, ...] = ()
    by_arrival: bool = False


class StudyLike(Protocol):
    """What a design reads: exposure paths, and outcomes and covariates on their rows."""

    @property
    def paths(self) -> Paths:
        """Exposure paths, no outcome."""

    @property
    def unit(self) -> str:
        """Column of the units."""

    def values(self, outcome: str | None = None) -> np.ndarray:
        """(n, T) outcome, NaN where not seen."""

    def outcome(self, name: str | None = None) -> Outcome:
        """The outcome's description."""

    def weighing(self, outcome: str | None = None) -> Self:
        """The same, with the weights that means of an outcome have: those of a rate weigh by what it is per."""

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        """(n, T, q) covariates, NaN where missing."""

    def covariate_names(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        """Names of those columns."""


@dataclass(frozen=True, eq=False)
class View:
    """The same rows and outcomes as `study` under other `paths`."""

    study: StudyLike
    paths: Paths

    def values(self, outcome: str | None = None) -> np.ndarray:
        return self.study.values(outcome)

    @property
    def covariates(self) -> tuple[str, ...]:
        return self.study.covariates

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        return self.study.covariate_values(names)

    def covariate_names(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        return self.study.covariate_names(names)

    @property
    def unit(self) -> str:
        return self.study.unit

    def outcome(self, name: str | None = None) -> Outcome:
        return self.study.outcome(name)

    def weighing(self, outcome: str | None = None) -> Self:
        study = self.study.weighing(outcome)
        if study is self.study:
            return self
        return replace(self, study=study, paths=replace(self.paths, weights=study.paths.weights))


@runtime_checkable
class Design(Protocol):
    """A frozen value whose fields are choices; calling it is the act, and nothing is kept."""

    @property
    def traits(self) -> Traits:
        """What its answers rest on, whom it compares, and the checks that they invite."""

    def plan(self, paths: Paths, component: str) -> object:
        """The comparisons it would make, from exposure paths alone: a `Plan`, a regression or a support."""

    def __call__(self, study: Any, component: str) -> Estimate | Interval:
        """The estimates of one component."""
