"""Designs where others are asked each period: which options go together, and the places that people are gathered in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, get_args

import numpy as np

from evalkit.designs.protocol import StudyLike, View
from evalkit.errors import OptionError, check_choice, spelt
from evalkit.study.paths import Paths
from evalkit.study.places import gathered, place_paths
from evalkit.vocabulary import Compare


def check_compare(compare: str, adjust: str | None) -> None:
    """Refuse another word, and covariates of whoever was there: they are read at each unit's own base."""
    check_choice("compare", compare, get_args(Compare))
    if adjust is not None and compare != "within":
        raise OptionError(
            "adjust needs compare='within': each unit's covariates are read at its own base. Where others are asked "
            f"each period, run the design on study.of_places(adjust={spelt(adjust)})."
        )


def of_places(paths: Paths) -> Paths:
    """The paths of the places (and kinds of people) that people were in; as they are where they are those already."""
    return paths if paths.asked is not None else place_paths(paths)[1]


@dataclass(frozen=True, eq=False)
class OfPlaces(View):
    """What a design reads of places in place of their people."""

    @classmethod
    def of(cls, people: StudyLike) -> Self:
        return cls(people, of_places(people.paths))

    def values(self, outcome: str | None = None) -> np.ndarray:
        places = self.study.paths.asked is not None
        return self.study.values(outcome) if places else gathered(self.study).values(outcome)

    def weighing(self, outcome: str | None = None) -> Self:
        return self

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        places = self.study.paths.asked is not None
        return self.study.covariate_values(names) if places else gathered(self.study).covariates(names)
