"""What every design is: choices in fields, a plan that sees no outcome, a call that estimates."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from evalkit.inference import Estimate, Interval
from evalkit.study import Outcome
from evalkit.study.paths import Paths


class WithCovariates(Protocol):
    """What adjustment reads: covariates of units in periods."""

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""

    def covariate_values(self) -> np.ndarray:
        """(n, T, q) covariates, NaN where missing."""


class StudyLike(WithCovariates, Protocol):
    """What a design reads: exposure paths, and an outcome on their rows."""

    @property
    def paths(self) -> Paths:
        """Exposure paths, no outcome."""

    def values(self, outcome: str | None = None) -> np.ndarray:
        """(n, T) outcome, NaN where not seen."""

    def outcome(self, name: str | None = None) -> Outcome:
        """The outcome's description."""


@runtime_checkable
class Design(Protocol):
    """A frozen value whose fields are choices; calling it is the act, and nothing is kept."""

    def plan(self, paths: Paths, component: str) -> object:
        """The comparisons it would make, from exposure paths alone: a `Plan`, a regression or a support."""

    def __call__(self, study: Any, component: str) -> Estimate | Interval:
        """The estimates of one component."""
