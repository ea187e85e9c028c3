"""The ladder: which designs are run for a component, which one is the headline, and one number for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from evalkit.designs.one_place.choice import series_design
from evalkit.designs.one_place.donors import (
    DifferenceBesidePlaces,
    SyntheticControl,
    SyntheticDifferenceInDifferences,
)
from evalkit.designs.one_place.usual import ERRORS
from evalkit.designs.people.flexible import FEWEST_PEOPLE, FEWEST_PLACES, FlexibleComparison
from evalkit.designs.people.matched import MatchedComparison
from evalkit.designs.people.weighted import WeightedComparison
from evalkit.designs.protocol import Design, StudyLike
from evalkit.designs.regression.joint import JointEventStudy
from evalkit.designs.regression.twoway import TwoWayFixedEffects
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.designs.trials.randomised import RandomisedComparison
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.inference import Estimate
from evalkit.study import Study
from evalkit.study.calendar import event_bands
from evalkit.study.paths import Paths
from evalkit.vocabulary import (
    BESIDE_PLACES,
    CONTROLLED_SERIES,
    DOSE,
    FLEXIBLE,
    JOINT,
    MATCHED,
    RANDOMISED,
    SAME,
    SERIES,
    SYNTHETIC_DIFFERENCE,
    TRIPLE,
    UNCHANGED,
    WEIGHTED,
)

BASE_WINDOW = 6
CALIPER = 0.2
EQUAL = {SAME: "StaggeredRollout(same, equal weights)", TRIPLE: "TripleDifference(equal weights)"}
"""Headlines that weigh with least noise, and what the same with equal weights is called."""
SINGLE = "StaggeredRollout(same, one base period)"
IGNORED = "StaggeredRollout(ignored)"
EVERY_START = "StaggeredRollout(same, every start)"
WITHDRAWN, CARRIED_OVER = "Withdrawn", "CarriedOver"
TWO_WAY = "TwoWayFixedEffects"
SYNTHETIC_CONTROL = "SyntheticControl"
BEFORE_AFTER, WITHOUT_TREND, WITHOUT_LAST = "BeforeAfter", "BeforeAfter(trend)", "BeforeAfter(last)"
LAST = 3
"""Periods before the start in which a place that was chosen at its worst is likely to have been at its worst."""
ONE_PLACE = (SYNTHETIC_DIFFERENCE, BESIDE_PLACES, CONTROLLED_SERIES, SERIES)
ENOUGH_PLACES = 80
"""Places from which on learners may tell what was decided by place; with fewer, ranges hold the truth too seldom."""
UNRECORDED = "MatchedComparison(nothing on record)"

RULES = {
    SAME: "{label}: places that switched it on are compared with places not yet exposed whose other components "
    "follow the same path, because at least two places on each side allow it.",
    UNCHANGED: "{label}: places that switched it on are compared with places whose other components stay as they "
    "are, because no place shares the path of the others.",
    TRIPLE: "{label}: people whom it can reach are compared with people of the same place whom it cannot, against the "
    "same difference where it is off, because no place shares the path of the others.",
    JOINT: "{label}: one regression on all components, because no clean comparison exists. It is right only if "
    "effects add up.",
    DOSE: "{label}: one regression on all components, because only doses tell it apart. It is right only if "
    "effects add up and grow in proportion to the dose.",
    MATCHED: "{label}: people who had it are compared with people like them who did not, whose other components "
    "are the same, because nobody was seen before and after.",
    WEIGHTED: "{label}: people who had it are compared with others weighted to be like them, also in their other "
    "components, because nobody was seen before and after, and too few share those. Right only if effects add up.",
    RANDOMISED: "{label}: those to whom chance dealt it are compared with those to whom it did not, as it was dealt.",
    FLEXIBLE: "{label}: people who had it and have somebody like them are compared with people who did not, by "
    "learners that may bend, because nobody was seen before and after.",
    UNRECORDED: "{label}: people who had it are compared with people who did not, whose other components are the same. "
    "Nothing else about them is on record.",
    SYNTHETIC_DIFFERENCE: "{label}: one place is held beside a mix of other places that moved with it before, because "
    "too few places switched it on.",
    BESIDE_PLACES: "{label}: one place is held beside all others that are like it in the other components, because too "
    "few places switched it on and its past is too short for a mix of others.",
    CONTROLLED_SERIES: "{label}: one place is held beside its own past, less that of a few others, because too few "
    "places switched it on and too few stayed without it.",
    SERIES: "{label}: one place is held beside its own past, because no other place can stand beside it.",
    "bundle": "{label}: not estimated alone, because it cannot be told apart; the bundle is run as one component.",
    "swap": "{label}: not estimated alone, because it starts as another stops; the swap is run as one component.",
    "": "{label}: not estimated, because nothing in the rollout can tell.",
}


@dataclass(frozen=True)
class Rung:
    """One design tried for a component. `fair` rungs are compared with the headline; the others are
    shown only to show what goes wrong."""

    name: str
    design: Design
    headline: bool = False
    fair: bool = True


@dataclass(frozen=True)
class Choices:
    """What the study file may say about how to estimate."""

    base_window: int = BASE_WINDOW
    horizon: int | None = None
    comparison: str = "not_yet"

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Choices:
        window, horizon = settings.get("base_window", BASE_WINDOW), settings.get("horizon")
        return cls(
            int(str(window)), None if horizon is None else int(str(horizon)), str(settings.get("comparison", "not_yet"))
        )


def ladder(best_design: str, choices: Choices, outcome: str | None = None, lag: int = 0) -> tuple[Rung, ...]:
    """Every rung that is run, in order of strength; the headline is that of `best_design`.

    Where the others only stand still, they must have done so for max(1, `lag`) periods before the base too, as
    separability counts it: what began just then arrives together with the component.
    """
    window, horizon, comparison = choices.base_window, choices.horizon, choices.comparison
    same = StaggeredRollout(comparison=comparison, base_window=window, horizon=horizon, outcome=outcome)
    triple = TripleDifference(comparison=comparison, base_window=window, horizon=horizon, outcome=outcome)
    joint = Rung(JOINT, JointEventStudy(outcome=outcome))
    if best_design == DOSE:
        joint = Rung(DOSE, JointEventStudy(dose=True, per="average", outcome=outcome))
    rungs = (
        Rung(SAME, same),
        Rung(SINGLE, replace(same, base_window=1)),
        Rung(TRIPLE, triple),
        Rung(UNCHANGED, replace(same, others="unchanged", lookback=max(1, lag))),
        joint,
        Rung(IGNORED, replace(same, others="ignored"), fair=False),
        Rung(TWO_WAY, TwoWayFixedEffects(outcome=outcome), fair=False),
    )
    marked = (replace(r, headline=r.name == best_design) for r in rungs)
    # Beside places never exposed alone there is no model of all untreated periods, so that weights stay equal.
    weighed = EQUAL if comparison == "not_yet" else {}
    return tuple(x for r in marked for x in (_least_noise(r) if r.headline and r.name in weighed else (r,)))


def _least_noise(rung: Rung) -> tuple[Rung, Rung]:
    """A headline with weights of least noise, and beside it the same with equal weights, as published."""
    made = replace(rung, design=with_options(rung.design, weights="least_noise"))
    return made, Rung(EQUAL[rung.name], rung.design)


def one_place_ladder(
    study: StudyLike, component: str, best_design: str, choices: Choices, outcome: str
) -> tuple[Rung, ...]:
    """The rungs of one or two places alone. Only the headline is judged: the others lean on other assumptions about the
    same place, and a plain before and after is there to show how much it would have claimed; and what is left of that
    without a straight trend, and without the last periods before. What the study lists as events are steps in
    series."""
    control = best_design != SERIES
    series = replace(series_design(study.paths, component, control), horizon=choices.horizon, outcome=outcome)
    series = replace(series, events=steps_of(study))
    options: dict[str, Any] = {"horizon": choices.horizon, "outcome": outcome}
    plain = replace(series, control=(), trend="none", slope=False)
    rungs = (
        Rung(SYNTHETIC_DIFFERENCE, SyntheticDifferenceInDifferences(**options), fair=False),
        Rung(SYNTHETIC_CONTROL, SyntheticControl(**options), fair=False),
        Rung(BESIDE_PLACES, DifferenceBesidePlaces(**options), fair=False),
        Rung(CONTROLLED_SERIES, replace(series, control="clean"), fair=False),
        Rung(SERIES, replace(series, control=()), fair=False),
        *(Rung(f"{SERIES}({e})", replace(series, control=(), errors=e), fair=False) for e in ERRORS[1:]),
        Rung(BEFORE_AFTER, plain, fair=False),
        Rung(WITHOUT_TREND, replace(plain, trend="straight"), fair=False),
        Rung(WITHOUT_LAST, replace(plain, anticipation=LAST), fair=False),
    )
    return tuple(replace(r, headline=r.name == best_design) for r in rungs)


def steps_of(study: StudyLike) -> tuple[object, ...]:
    """Periods in which what the study lists as an event began or was over, each once; also of a view of a study."""
    whole = getattr(study, "study", study)
    if not isinstance(whole, Study) or not whole.events:
        return ()
    bands = event_bands(whole.events, whole.calendar)
    known = {str(p): p for p in study.paths.periods[1:]}
    return tuple(dict.fromkeys(known[str(p)] for _, *ends in bands for p in ends if str(p) in known))


def published(design: Design) -> Design:
    """The design with equal weights, as its source has it."""
    return with_options(design, weights="equal") if getattr(design, "weights", "") == "least_noise" else design


def design_of(paths: Paths, component: str, best_design: str, covariates: bool) -> str:
    """Which headline a cross-section of people has, from exposures and what is on record alone: learners that may bend
    where there are enough people on either side, and enough places where they sit in places; else what
    `best_design` says. What was decided by place is for learners from 80 places on."""
    if best_design != MATCHED or paths.n_periods > 1:
        return best_design
    if not covariates:
        return UNRECORDED
    state, (level, _) = paths.state[paths.path, 0, paths.index(component)], paths.inference_level(component)
    reached = paths.reach[paths.path, paths.index(component)]
    places = len(paths.levels[level].names)
    alone = paths.alone(level)
    by_place = not alone and paths.nested(level, paths.assigned_at[component])
    needed = 0 if alone else ENOUGH_PLACES if by_place else FEWEST_PLACES
    sides = int((reached & (state > 0)).sum()), int((reached & (state == 0)).sum())
    return FLEXIBLE if min(sides) >= FEWEST_PEOPLE and places >= needed else MATCHED


def people_ladder(best_design: str, outcome: str, covariates: bool) -> tuple[Rung, ...]:
    """The rungs of a cross-section of people: by learners that may bend, matched and regression-adjusted, weighted, and
    others ignored. Beside learners the others are shown and not judged: they are compared on the same people instead.

    Without covariates people are compared within combinations of the other components: difference in means. There, and
    where too few people share the other components, the weighted rung balances those.
    """
    if covariates:
        matched = MatchedComparison(caliper=CALIPER, adjust="auto", outcome=outcome)
    else:
        matched = MatchedComparison(method="exact", adjust=None, outcome=outcome)
    others = "balanced" if best_design == WEIGHTED or not covariates else "same"
    straight = best_design != FLEXIBLE
    rungs = (
        *(() if straight else (Rung(FLEXIBLE, FlexibleComparison(outcome=outcome)),)),
        Rung(MATCHED, matched, fair=straight),
        Rung(WEIGHTED, WeightedComparison(method="entropy", others=others, outcome=outcome), fair=straight),
        Rung(f"{MATCHED}(ignored)", replace(matched, others="ignored"), fair=False),
    )
    return tuple(replace(r, headline=r.name == best_design) for r in rungs)


def trial_ladder(outcome: str, seed: int, adjusted: bool) -> tuple[Rung, ...]:
    """What chance assigned needs no other comparison; where covariates enter, the plain difference is shown beside."""
    design = RandomisedComparison(outcome=outcome, seed=seed, weights="least_noise")
    headline = Rung(RANDOMISED, design, headline=True)
    plain = RandomisedComparison(adjust=None, draws=0, outcome=outcome)
    return (headline, Rung(f"{RANDOMISED}(plain)", plain, fair=False)) if adjusted else (headline,)


def rule_words(best_design: str, label: str) -> str:
    """The rule that chose the headline, in words."""
    return RULES.get(best_design, RULES[""]).format(label=label)


@dataclass(frozen=True)
class Window:
    """Event times that are claimed: lag to `until`, None where nothing bounds it."""

    lag: int = 0
    until: int | None = None

    def holds(self, event_time: np.ndarray) -> np.ndarray:
        """Which event times lie in the window."""
        inside = event_time >= self.lag
        return inside if self.until is None else inside & (event_time <= self.until)

    def within(self, horizon: int | None) -> Window:
        """The window cut at `horizon`."""
        ends = [e for e in (self.until, horizon) if e is not None]
        return Window(self.lag, min(ends) if ends else None)


def window_of(row: pd.Series | Mapping[str, object], lag: int, in_time: bool = True) -> Window:
    """lag to clean_until; nothing bounds it where separability gives no end, or nothing is seen over time."""
    until = float(str(row["clean_until"]))
    return Window(lag, None if np.isnan(until) or not in_time else int(until))


@dataclass(frozen=True, eq=False)
class Run:
    """A rung that was run. rows: all cohorts and periods, None where it could not run. one: the
    mass-weighted average over the window, one row; reason: why there is none."""

    rung: Rung
    rows: Estimate | None
    one: Estimate | None
    reason: str = ""

    @property
    def usable(self) -> bool:
        return self.answer is not None

    @property
    def answer(self) -> Estimate | None:
        """The one-row estimate when it is a number."""
        return self.one if self.one is not None and np.isfinite(self.one.value[0]) else None


def with_options(design: Design, **options: object) -> Design:
    """A design with some of its options changed; `TypeError` for those that it does not have."""
    return cast(Design, replace(cast(Any, design), **options))


def run_design(design: Design, study: StudyLike, component: str, leads: bool = True) -> tuple[Estimate | None, str]:
    """The design's rows, or why it makes no sense here (a matched design without covariates, say). leads: whether rows
    before the start are asked for."""
    sooner = design.later if isinstance(design, StaggeredRollout | TripleDifference) and not leads else design
    try:
        found = sooner(study, component)
    except (NotIdentifiedError, OptionError) as error:
        return None, str(error)
    if not isinstance(found, Estimate):
        return None, "this design gives a range without contributions, so it is not averaged"
    return found, ""


def run(rung: Rung, study: StudyLike, component: str, window: Window) -> Run:
    """Run one rung and average it over `window`: each retained adopter and period counts once."""
    rows, reason = run_design(rung.design, study, component)
    if rows is None:
        return Run(rung, None, None, reason)
    one = average_over(rows, window)
    if one is None:
        return Run(rung, rows, None, "no period in the claimed window could be compared")
    why = str(one.label_columns.at("reason", 0)) if np.isnan(one.value[0]) else ""
    return Run(rung, rows, one, why)


def average_over(rows: Estimate, window: Window) -> Estimate | None:
    """Mass-weighted average of the rows in the window with its refits, None when there is none."""
    one = rows.over(window.lag, window.until)
    return None if one is None else one.prepared()
