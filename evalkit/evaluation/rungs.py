"""Which rungs a study runs for a component: by who had come onto the record when, what begins again, and what ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from evalkit.components.wording import Names, names_of
from evalkit.designs.one_place.choice import grouped_for, possible
from evalkit.designs.one_place.donors import SyntheticDifferenceInDifferences
from evalkit.designs.one_place.places import find_places
from evalkit.designs.protocol import Design, StudyLike
from evalkit.designs.rollout.plan import Plan, Rules, exposure_states
from evalkit.designs.rollout.reversals import CarriedOver, Withdrawn, ends
from evalkit.designs.rollout.scaled import ScaledRollout, scale_of
from evalkit.designs.rollout.staggered import StaggeredRollout, apart, arrival_gap, by_arrival
from evalkit.designs.rollout.starts import which_starts
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.evaluation.ladder import (
    CARRIED_OVER,
    EQUAL,
    EVERY_START,
    ONE_PLACE,
    SINGLE,
    SYNTHETIC_CONTROL,
    UNRECORDED,
    WITHDRAWN,
    Choices,
    Run,
    Rung,
    Window,
    design_of,
    ladder,
    one_place_ladder,
    people_ladder,
    published,
    trial_ladder,
    with_options,
)
from evalkit.inference.replicates import FEWEST
from evalkit.study.paths import Paths
from evalkit.vocabulary import (
    JOINT,
    MATCHED,
    RANDOMISED,
    SAME,
    SERIES,
    SYNTHETIC_DIFFERENCE,
    UNCHANGED,
)

# ---------------------------------------------------------------- who had come onto the record when

CAME_APART = (
    "Only those who came onto the record {within}, or were on it from the first, are compared with one another, "
    "because those with it had come at other times than those without."
)


def arrival_width(paths: Paths, component: str, best_design: str, choices: Choices, window: Window) -> int | None:
    """Within how many periods of each other people must have come onto the record to be compared; None: all may be.

    Read from rows and exposures alone, before any outcome. None where the headline's adopters had come when their
    matches had, but for a tenth of a standard deviation on average over the claimed window, and for designs that cannot
    compare by arrival. Else the widest of `base_window`, half of it, and so on to one period at which no more of a gap
    is left.
    """
    design = next((r.design for r in ladder(best_design, choices, lag=window.lag) if r.headline), None)
    if design is None or not design.traits.by_arrival:
        return None
    gap, spread = _gap(paths, paths, component, design, window)
    if not apart(gap, spread):
        return None
    width = choices.base_window
    while width > 1:
        # The gap that is left among those who came within `width` periods of each other.
        left, _ = _gap(by_arrival(paths, width).paths, paths, component, with_options(design, arrival=width), window)
        if not apart(left, spread):
            break
        width //= 2
    return width


def _gap(split: Paths, paths: Paths, component: str, design: Design, window: Window) -> tuple[float, float]:
    plan = design.plan(paths, component)
    assert isinstance(plan, Plan)
    return arrival_gap(split, plan, window.lag, window.until)


def rungs_for(
    study: StudyLike, component: str, best_design: str, choices: Choices, window: Window, outcome: str, seed: int = 0
) -> tuple[Rung, ...]:
    """The ladder: that of chance where it assigned the component, that of people where nothing is seen over time. Where
    people came apart, its comparisons of starts are among those who came together, and what compares whoever was there
    is shown only to show what goes wrong."""
    if best_design == RANDOMISED:
        return trial_ladder(outcome, seed, study.paths.n_periods == 1 and bool(study.covariates))
    if study.paths.n_periods == 1:
        chosen = design_of(study.paths, component, best_design, bool(study.covariates))
        return people_ladder(MATCHED if chosen == UNRECORDED else chosen, outcome, bool(study.covariates))
    if best_design in ONE_PLACE:
        return one_place_ladder(study, component, best_design, choices, outcome)
    rungs = ladder(best_design, choices, outcome, window.lag)
    if which_starts(exposure_states(study.paths, component, "ignored")) == "first":
        rungs = _first_starts(rungs)
    elif ends(study.paths, component)[np.unique(study.paths.path)].any():
        rungs = tuple(replace(r, fair=r.fair and (r.headline or r.name != JOINT)) for r in rungs)
    width = arrival_width(study.paths, component, best_design, choices, window)
    rungs = rungs if width is None else tuple(_alike(r, width) for r in rungs)
    return (*rungs, *_on_its_scale(rungs, scale_of(study.outcome(outcome), study.values(outcome))))


def _on_its_scale(rungs: tuple[Rung, ...], scale: str) -> tuple[Rung, ...]:
    """The headline's own comparison of starts on the scale of its outcome, where it has one: not judged among the
    others, but by a check of its own."""
    own = next((r.design for r in rungs if r.headline), None)
    if not scale or not isinstance(own, StaggeredRollout | TripleDifference) or own.comparison != "not_yet":
        return ()
    if isinstance(own, TripleDifference) and own.compare != "within":
        return ()
    same = {f.name: getattr(own, f.name) for f in fields(Rules)} | {"scale": scale, "outcome": own.outcome}
    design = ScaledRollout(**same, arrival=getattr(own, "arrival", None), ineligible=isinstance(own, TripleDifference))
    return (Rung(f"ScaledRollout({scale})", design, fair=False),)


def _first_starts(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """Only the first start of each place, where some begin again: what an earlier spell left behind would be in the
    base. Beside it every start, and what cannot tell them apart, only to show what goes wrong."""
    own = [r for r in rungs if r.name in (SAME, EQUAL[SAME], SINGLE, UNCHANGED)]
    made = {r.name: replace(r, design=with_options(r.design, starts="first")) for r in own}
    plain = next(published(r.design) for r in rungs if r.name == SAME)
    others = (made.get(r.name, r if r.headline else replace(r, fair=False)) for r in rungs)
    return (*others, Rung(EVERY_START, plain, fair=False))


def reversal_rungs(paths: Paths, component: str, choices: Choices, outcome: str) -> tuple[Rung, ...]:
    """What happened when it was taken away and what was left of it, where it was switched off in some place; each is
    evidence of its own, not another way of comparing starts."""
    if not ends(paths, component)[np.unique(paths.path)].any():
        return ()
    options: dict[str, Any] = {"base_window": choices.base_window, "horizon": choices.horizon, "outcome": outcome}
    return (
        Rung(WITHDRAWN, Withdrawn(**options), fair=False),
        Rung(CARRIED_OVER, CarriedOver(**options), fair=False),
    )


_ONE_BY_ONE: Mapping[str, tuple[str, ...]] = {
    SYNTHETIC_DIFFERENCE: (SYNTHETIC_DIFFERENCE, SYNTHETIC_CONTROL),
    SERIES: (SERIES,),
}
"""What is shown of one place at a time, by what its exposures and periods allow."""
BESIDE_FEW = tuple(name for names in _ONE_BY_ONE.values() for name in names)


def beside_few(study: StudyLike, component: str, headline: Run, choices: Choices, outcome: str) -> tuple[Rung, ...]:
    """What the places that have it would say one at a time, where a headline over time rests on fewer than three of
    them: beside a mix of others, and beside their own past, each where exposures and periods allow it. They lean on
    other assumptions and are not judged."""
    paths, answer = study.paths, headline.answer
    if answer is None or paths.n_periods == 1 or headline.rung.design.traits.rests_on & {"one place", "randomisation"}:
        return ()
    if int(answer.row()["clusters_exposed"]) >= FEWEST:
        return ()
    plan = SyntheticDifferenceInDifferences().plan(paths, component)
    allowed = possible(paths, component, find_places(plan, grouped_for(paths, component)))
    names = {name for kind in allowed for name in _ONE_BY_ONE[kind]}
    rungs = one_place_ladder(study, component, SERIES, choices, outcome) if names else ()
    return tuple(replace(r, headline=False) for r in rungs if r.name in names)


def _alike(rung: Rung, width: int) -> Rung:
    if not rung.fair:
        return rung
    if not rung.design.traits.by_arrival:
        return replace(rung, fair=False)
    return replace(rung, design=with_options(rung.design, arrival=width))


def width_of(run: Run | None) -> int | None:
    """Within how many periods those whom a run compares came onto the record; None where it takes whoever was there."""
    return None if run is None else getattr(run.rung.design, "arrival", None)


def came_words(names: Names, width: int | None) -> str:
    """Who is compared where people came apart, as a further sentence; "" where all may be."""
    return "" if width is None else " " + CAME_APART.format(within=within_words(names, width))


def within_words(names: Names, width: int) -> str:
    """'in the same month', 'within the same 6 months'."""
    return f"in the same {names.period}" if width == 1 else f"within the same {names.spell(width)}"


NEW_PEOPLE = (
    "Other people were asked each period, so that the means of {places} are compared, not people with themselves."
)


def gathered_words(study: StudyLike) -> str:
    """What is compared where people are new each period, as a further sentence; "" elsewhere."""
    return "" if study.paths.asked is None else " " + NEW_PEOPLE.format(places=names_of(study).places)
