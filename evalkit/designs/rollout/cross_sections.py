"""Designs where others are asked each period: which options go together, and the places that people are gathered in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from evalkit.designs.protocol import StudyLike
from evalkit.errors import OptionError, check_choice
from evalkit.study import Outcome
from evalkit.study.paths import Paths
from evalkit.study.places import gathered, place_paths
from evalkit.vocabulary import Compare


def check_compare(compare: str, adjust: str | None) -> None:
    """Refuse another word, and covariates of whoever was there: they are read at each unit's own base."""
    check_choice("compare", compare, get_args(Compare))
    if adjust is not None and compare != "within":
        raise OptionError(
            "adjust needs compare='within': each unit's covariates are read at its own base. Where others are asked "
            f"each period, run the design on study.of_places(adjust={adjust!r})."
        )


def of_places(paths: Paths) -> Paths:
    """The paths of the places (and kinds of people) that people were in; as they are where they are those already."""
    return paths if paths.asked is not None else place_paths(paths)[1]


@dataclass(frozen=True, eq=False)
class OfPlaces:
    """What a design reads of places in place of their people."""

    people: StudyLike

    @property
    def paths(self) -> Paths:
        return of_places(self.people.paths)

    def values(self, outcome: str | None = None) -> np.ndarray:
        return (
            self.people.values(outcome)
            if self.people.paths.asked is not None
            else gathered(self.people).values(outcome)
        )

    def outcome(self, name: str | None = None) -> Outcome:
        return self.people.outcome(name)

    @property
    def unit(self) -> str:
        return self.people.unit

    def weighing(self, outcome: str | None = None) -> OfPlaces:
        return self

    @property
    def covariates(self) -> tuple[str, ...]:
        return self.people.covariates

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        if self.people.paths.asked is not None:
            return self.people.covariate_values(names)
        return gathered(self.people).covariates(names)

    def covariate_names(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        return self.people.covariate_names(names)
