"""Who was asked where people are new each period: read as they come, or made alike where their mix moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from evalkit.checks.composition import shifted
from evalkit.components import Separability
from evalkit.designs.protocol import Design, Traits, View
from evalkit.designs.rollout.did import DifferenceInDifferences
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.evaluation.ladder import Choices, Rung, average_over, ladder, published, run_design, window_of
from evalkit.inference import Estimate, Interval
from evalkit.study import Outcome, Study
from evalkit.study.paths import Paths
from evalkit.study.places import followed, shared_levels
from evalkit.vocabulary import ESTIMATED

ONE_GROUP = (
    "the plain change of those with it less that of the others stands among the ways of comparing, without a range, "
    "because what else happened to so few at that time cannot be told from it"
)
ALIKE, WHOEVER = "CrossSections(people alike)", "CrossSections(whoever was asked)"
THERE = "CrossSections(whoever was there)"
COME_AND_GO = 0.9
"""Share of later rows about somebody seen before, below which the means of places are shown beside people followed."""


@dataclass(frozen=True, eq=False)
class AsOutcome(View):
    """A study with the means of one covariate in place of the outcome."""

    column: int

    def values(self, outcome: str | None = None) -> np.ndarray:
        return np.ascontiguousarray(self.study.covariate_values()[:, :, self.column])

    def outcome(self, name: str | None = None) -> Outcome:
        return Outcome(self.study.covariate_names()[self.column])

    def weighing(self, outcome: str | None = None) -> Self:
        return self

    @property
    def covariates(self) -> tuple[str, ...]:
        return ()

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        return self.study.covariate_values(())

    def covariate_names(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class OtherMeans:
    """A design on the same places, whose means are made otherwise: for people alike in their covariates ("dr"), or of
    whoever was asked (None)."""

    design: Design
    adjust: str | None = "dr"

    @property
    def traits(self) -> Traits:
        return self.design.traits

    def plan(self, paths: Paths, component: str) -> object:
        return self.design.plan(paths, component)

    def __call__(self, study: Any, component: str) -> Estimate | Interval:
        return self.design(study.regathered(self.adjust), component)


@dataclass(frozen=True, eq=False)
class Asked:
    """Who was asked in a study of places. shifts: component -> covariate -> how its mean moved with the component.
    alike: whether means are those of people alike, because some mix moved by more than chance. gone: share of those
    asked of whom a covariate is missing, whom means of people alike leave out."""

    shifts: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    alike: bool = False
    gone: float = 0.0


def who_was_asked(study: Study, sep: Separability, choices: Choices) -> tuple[Study, Asked | None]:
    """The study whose outcomes are compared, and what is known of who was asked; None where units are seen again.

    Decided from exposures and covariates: no outcome is read. Where the mix of those asked moved with any component,
    means are made for people alike throughout the study.
    """
    if study.in_people is study:
        return study, None
    shifts = {}
    for row in sep.components.to_dict("records"):
        if study.covariates and row["status"] in ESTIMATED:
            shifts[str(row["component"])] = _shifts(study, row, choices)
    moved = any(shifted(known) for known in shifts.values())
    return (study.regathered("dr") if moved else study), Asked(shifts, moved, _gone(study.in_people))


def _gone(people: Study) -> float:
    """Share of people's rows in which a covariate is missing."""
    seen = people.paths.seen
    rows = float(people.paths.n_units * people.paths.n_periods if seen is None else seen.sum())
    return float(people.gaps().sum() / rows) if people.covariates and rows else 0.0


def _shifts(study: Study, row: Mapping[str, object], choices: Choices) -> dict[str, Estimate]:
    component = str(row["component"])
    window = window_of(row, study.component(component).lag).within(choices.horizon)
    rungs = ladder(str(row["best_design"]), choices, "", window.lag)
    headline = next((r.design for r in rungs if r.headline), None)
    found: dict[str, Estimate] = {}
    if headline is None:  # dealt by chance, or one place alone
        return found
    for j, name in enumerate(study.covariate_names()):
        rows, _ = run_design(published(headline), AsOutcome(study, study.paths, j), component)
        one = None if rows is None else average_over(rows, window)
        if one is not None and np.isfinite(one.value[0]) and np.isfinite(one.to_frame()["p_value"].iloc[0]):
            found[name] = one
    return found


def two_groups(outcome: str) -> Rung:
    """The plain change of one group less that of another: shown where too few places allow more, without a range."""
    return Rung("DifferenceInDifferences", DifferenceInDifferences(outcome=outcome), fair=False)


def means_rung(study: Study, headline: Rung, component: str, asked: Asked | None) -> Rung | None:
    """The headline on other means: of places whoever was there, where many come and go; where people are new each
    period, the other kind of means, judged beside it only where who was asked did not move. None where there is none.
    """
    if asked is None:
        often = followed(study.paths) >= COME_AND_GO or shared_levels(study.paths) is None
        design = published(headline.design)
        starts = isinstance(design, StaggeredRollout | TripleDifference)
        return None if often or not starts else Rung(THERE, OtherMeans(design, None), fair=False)
    if not asked.shifts.get(component):
        return None
    name = WHOEVER if asked.alike else ALIKE
    return Rung(name, OtherMeans(published(headline.design), None if asked.alike else "dr"), fair=not asked.alike)
