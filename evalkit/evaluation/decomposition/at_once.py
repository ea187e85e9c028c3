"""The whole programme where people are seen once: everyone with some mix, beside what they would have had with none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.designs.people.mixes import MixComparison, MixMeans
from evalkit.errors import NotIdentifiedError, OptionError, StudyError
from evalkit.inference import Estimate
from evalkit.study import Outcome, Study
from evalkit.study.paths import Paths


def mix_means(study: Study, outcome: Outcome) -> MixMeans | None:
    """Mean outcomes had everybody had each mix; None where no mix stands beside people with none."""
    try:
        means = MixComparison(outcome=outcome.column).means(study)
    except (NotIdentifiedError, OptionError, StudyError):
        return None
    return means if means.none in means.mixes else None


@dataclass(frozen=True, eq=False)
class AtOnce:
    """Everyone whose mix of components stands beside people with none, seen once."""

    study: Study
    outcome: Outcome
    means: MixMeans

    @property
    def paths(self) -> Paths:
        return self.study.paths

    @cached_property
    def of(self) -> np.ndarray:
        """(P,) which mix each path is, -1 for those that are not compared or have none."""
        found = np.full(self.paths.n_paths, -1)
        found[self.paths.path[self.means.use]] = self.means.mix
        return np.where(found == self.means.mixes.index(self.means.none), -1, found)

    @cached_property
    def mass(self) -> np.ndarray:
        """(P, 1) people that the total covers."""
        people = np.bincount(self.paths.path[self.means.use], minlength=self.paths.n_paths)
        return np.where(self.of >= 0, people, 0.0)[:, None]

    def averages(self, shares: Sequence[np.ndarray], names: Sequence[str]) -> Estimate:
        """Average effect of the programme over each of some shares (P, 1) of the people covered, a row each."""
        weights = np.zeros((len(shares), len(self.means.mixes)))
        there = self.of >= 0
        for line, share in zip(weights, shares, strict=True):
            people = (share * self.mass)[there, 0]
            np.add.at(line, self.of[there], people / people.sum())
            line[self.means.mixes.index(self.means.none)] -= 1.0
        labels = pd.DataFrame({
            "component": list(names), "outcome": self.outcome.column, "estimand": "average effect of the programme",
            "population": "everyone with a mix that stands beside people with none", "outcome_unit": self.outcome.unit,
            "reason": "",
        })  # fmt: skip
        return self.means.estimate(self.study, weights, labels)
