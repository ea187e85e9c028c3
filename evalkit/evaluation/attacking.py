"""One headline put to the test: the checks that its design invites, and those of every answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd

from evalkit import checks
from evalkit.checks import CheckResult
from evalkit.checks.drift import Drift, drift_beside
from evalkit.checks.headline import excludes_zero, first_row
from evalkit.checks.independence import Independence, independence
from evalkit.components.wording import lone_person, names_of
from evalkit.designs.one_place.donors import BesideDonors
from evalkit.designs.one_place.interrupted import InterruptedTimeSeries
from evalkit.designs.one_place.placebo import Compared
from evalkit.designs.people.flexible import FlexibleComparison
from evalkit.designs.protocol import Check, Design
from evalkit.designs.regression.joint import growth_of_others
from evalkit.designs.rollout.plan import exposure_states
from evalkit.designs.rollout.scaled import ScaledRollout
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.starts import NEVER, begins_again
from evalkit.designs.rollout.sums import over_base
from evalkit.designs.rollout.triple import EffectGap, TripleDifference
from evalkit.designs.trials.randomised import RandomisedComparison
from evalkit.errors import NotIdentifiedError
from evalkit.evaluation.composition import Asked, OtherMeans
from evalkit.evaluation.ladder import (
    CARRIED_OVER,
    Run,
    Window,
    average_over,
    published,
    run_design,
    with_options,
)
from evalkit.evaluation.randomisation import average_effect, randomise
from evalkit.evaluation.readings import StartReadings
from evalkit.evaluation.touching import touched_results
from evalkit.inference import Estimate
from evalkit.inference.replicates import FEWEST
from evalkit.show.words import plural
from evalkit.study import Study
from evalkit.study.paths import Paths

LEADS = 4
ORDERS = 199


@dataclass(frozen=True, eq=False)
class Target:
    """What is put to the test: the headline of one component, with all its runs, its window and what would matter.

    rows, one: the headline's rows, and its number over the window. readings: the study under other readings of dates.
    asked: who was asked, where people are new each period. starts: starts between two moments read otherwise.
    """

    study: Study
    component: str
    design: Design
    rows: Estimate
    one: Estimate
    window: Window
    matters: float | None
    runs: Sequence[Run]
    readings: Mapping[str, Study]
    asked: Asked | None = None
    starts: StartReadings | None = None

    def over_window(self, design: Design, study: Study, component: str) -> Estimate | None:
        """The average of a design's rows over the claimed window, where there are rows."""
        rows, _ = run_design(design, study, component, leads=False)
        return None if rows is None else average_over(rows, self.window)

    @cached_property
    def drift(self) -> Drift | None:
        """The answer held against a steady drift apart; None where its design does not invite that."""
        if "drift" not in self.design.traits.checks:
            return None
        assert isinstance(self.design, (StaggeredRollout, TripleDifference))
        w = self.window
        return drift_beside(self.study, self.component, self.design, self.rows, self.one, w.lag, w.until)

    @cached_property
    def cells(self) -> pd.DataFrame | None:
        """The cells that the answer is a sum of, as `over_base` gives them; None where it is no such sum."""
        return None if self.one.cells is None else over_base(self.one.cells(), self.study.paths.periods)

    @cached_property
    def independence(self) -> Independence | None:
        """What the answer owes to each place; None where that cannot be told."""
        assert isinstance(self.design, (StaggeredRollout, TripleDifference))
        return independence(self.study, self.component, self.design, self.cells)

    @cached_property
    def growth(self) -> Estimate | None:
        """What the growth of other components puts into the answer; None where there is none."""
        return growth_of_others(self.study, self.one, self.component, getattr(self.design, "outcome", None), self.cells)


def falsify(target: Target) -> tuple[CheckResult, ...]:
    """Every check that applies to the headline: what its design invites, leads first, and what every
    answer is asked. A score of the wrong form in any run, headline or not, doubts the headline too."""
    invited, paths = target.design.traits.checks, target.study.paths
    found: list[CheckResult] = []
    for check in invited:
        if check in _LEADS:
            found.append(_LEADS[check](target))
    person = lone_person(paths, paths.inference_level(target.component)[0])
    fair = {r.rung.name: r.answer for r in target.runs if r.answer is not None and r.rung.fair and not r.rung.headline}
    if not target.design.traits.rests_on & {"one place", "randomisation"}:
        found.append(checks.leave_one_cluster(target.one, target.matters, person))
        found.append(checks.few_clusters(target.one, target.design.traits.arms, person or "place"))
        found.append(_rungs(target, fair))
    found.append(_date_rule(target))
    if any(r.rung.name == CARRIED_OVER for r in target.runs):
        found.append(_carry_over(target))
    if target.starts is not None:
        found.append(_start_dates(target))
    if target.asked is not None and not target.design.traits.rests_on & {"randomisation", "one place"}:
        found.append(_composition(target, target.asked))
    found += touched_results(target.study, target.component, target.runs, target.window, target.matters)
    for check in invited:
        if check in _AFTER and (result := _AFTER[check](target)) is not None:
            found.append(result)
    for r in target.runs:
        scored = "score_form" in r.rung.design.traits.checks and bool(target.study.covariates)
        if scored and r.rows is not None and r.answer is not None:
            found.append(checks.score_form(r.rows, isinstance(target.design, FlexibleComparison)))
    found += filter(None, (_followed_to(target), checks.filled_in(target.study, target.component)))
    if target.design.traits.rests_on & {"matching", "weighting"}:
        result = checks.sensitivity_of(target.study, target.component, getattr(target.design, "outcome", None))
        if (said := checks.unrecorded(result, isinstance(target.design, FlexibleComparison))) is not None:
            found.append(said)
    return tuple(found)


def _followed_to(target: Target) -> CheckResult | None:
    """Who was lost from sight before people are compared; None where the outcome does not wait for an event."""
    outcome, paths = target.study.outcome(getattr(target.design, "outcome", None)), target.study.paths
    if not outcome.waits:
        return None
    k = paths.index(target.component)
    state, can = paths.state[paths.path, 0, k], paths.reach[paths.path, k]
    arms = (can & (state > 0), can & (state == 0))
    return checks.followed_to(target.study.waits(outcome), arms, outcome.time_unit or "")


def _rungs(target: Target, fair: dict[str, Estimate]) -> CheckResult:
    """Other designs beside the headline; beside learners, other ways of comparing the same people."""
    if isinstance(target.design, FlexibleComparison):
        return checks.same_people(target.design.rivals(target.study, target.component))
    return checks.rungs(target.one, fair)


def randomisation_p(target: Target, seed: int) -> float | None:
    """p over deals made again where chance assigned it. Else over rollout orders that could have happened, where an arm
    has fewer than three clusters and the interval excludes zero; None where it is not needed, there is no other order,
    or nothing is seen over time."""
    if isinstance(target.design, RandomisedComparison):
        return float(target.one.label_columns.at("exact_p", 0))
    if target.study.paths.n_periods == 1 or "one place" in target.design.traits.rests_on:
        return None
    row = first_row(target.one)
    few = min(row["clusters_exposed"], row["clusters_comparison"]) < FEWEST
    if not few or not excludes_zero(row):
        return None
    headline = average_effect(target.design, target.component, (target.window.lag, target.window.until))
    try:
        return randomise(target.study, target.component, headline, draws=ORDERS, seed=seed).p_value
    except NotIdentifiedError:
        return None


def _pre_trend(target: Target, by_leads: bool) -> CheckResult:
    """Rows before the start: leads of the regression itself, or by a universal base, over as many periods as are
    claimed and no fewer than four."""
    options: dict[str, object] = {"window": (LEADS, target.study.paths.n_periods)}
    if not by_leads:  # no row after the start is asked for but that of the start
        options = {"base": "universal", "base_window": 1, "horizon": 0}
    rows = with_options(published(target.design), **options)(target.study, target.component)
    assert isinstance(rows, Estimate)
    events, later = (x.label_columns["event_time"] for x in (rows, rows if by_leads else target.rows))
    claimed = np.unique(later[target.window.holds(later)])
    before = (events < 0) & (events >= -1 - max(len(claimed), LEADS))
    early = rows.select(np.flatnonzero(before)).aggregate("event_time").prepared()
    slope = math.nan if by_leads or target.drift is None else target.drift.slope
    return checks.pre_trend(early, float(claimed.mean()) + 1 if len(claimed) else 1.0, target.matters, slope)


def _date_rule(target: Target) -> CheckResult:
    read = _read(target, target.readings)
    return checks.date_rule(target.one, read, target.matters, bounded=target.starts is not None)


def _read(target: Target, studies: Mapping[str, Study]) -> dict[str, Estimate | None]:
    """The headline's number from the study under other readings."""
    return {words: target.over_window(target.design, study, target.component) for words, study in studies.items()}


def _start_dates(target: Target) -> CheckResult:
    """The answer over what the starts may have been, those of other components among them."""
    starts, names = target.starts, names_of(target.study)
    assert starts is not None
    recorded = target.over_window(target.design, starts.recorded, target.component)
    read, places = _read(target, starts.studies), sum(starts.places.values())
    return checks.start_dates(target.one, read, recorded, target.matters, places, names.place)


def _carry_over(target: Target) -> CheckResult:
    left = next(r for r in target.runs if r.rung.name == CARRIED_OVER)
    states = exposure_states(target.study.paths, target.component, "ignored")
    again = getattr(target.design, "starts", "all") == "all" and begins_again(states)
    return checks.carry_over(left.answer, target.matters, again, left.reason)


def _composition(target: Target, asked: Asked) -> CheckResult:
    """Whether the mix of those asked moved with it; takes the place of who was seen again, where nobody is."""
    other = next((r.answer for r in target.runs if isinstance(r.rung.design, OtherMeans)), None)
    shifts = asked.shifts.get(target.component, {})
    return checks.composition(target.one, shifts, other, target.matters, asked.alike, asked.gone)


def _still_growing(target: Target) -> CheckResult:
    """The headline beside the same among places alike for as long before as it claims after; nothing where no other
    component ever begins or ends, for then all are alike for long, and the latter only leaves early starts out."""
    differ = "additivity" in target.design.traits.rests_on
    if len(target.study.components) == 1:
        return CheckResult("others_still_growing", "passed", "There is no other component in this study.")
    others = target.study.paths.others(target.component)
    if not differ and (others == others[:, :1]).all():
        return CheckResult("others_still_growing", "passed", "No other component begins or ends in this study.")
    events = target.rows.label_columns["event_time"]
    inside = events[target.window.holds(events) & ~np.isnan(target.rows.value)]
    longer = with_options(target.design, lookback=int(inside.max()) + 1 if len(inside) else 1)
    alike = target.over_window(longer, target.study, target.component)
    found = checks.others_still_growing(target.one, alike, target.matters, differ, target.growth)
    if target.growth is None and found.status == "informational":
        found = replace(found, status="passed", words=checks.growth_taken_out(target.one, None).words)
    return found


def _growth_taken_out(target: Target) -> CheckResult | None:
    return checks.growth_taken_out(target.one, target.growth) if len(target.study.components) > 1 else None


def _stayers(target: Target) -> CheckResult | None:
    if target.asked is not None:
        return None
    design, w = target.design, target.window
    if isinstance(design, (StaggeredRollout, TripleDifference)):
        seen = checks.followed(design, target.study, target.component, w.lag, w.until)
    else:
        use = w.holds(target.rows.label_columns["event_time"]) & (target.rows.mass > 0)
        labels, weight = target.rows.labels[use], target.rows.mass[use]
        seen = checks.Followed(
            *(float(np.average(labels[c], weights=weight)) for c in ("stay_exposed", "stay_comparison"))
        )
    return checks.stayers(target.one, seen, _after(target), target.matters)


def _after(target: Target) -> tuple[np.ndarray, np.ndarray] | None:
    """Outcomes seen with the component, and those of people whom it can reach without it at such times; None where
    people are added up."""
    paths, k = target.study.paths, target.study.paths.index(target.component)
    if paths.heads is not None:
        return None
    on, reach = (paths.state[:, :, k] > 0)[paths.path], paths.reach[paths.path, k]
    values = target.study.values(getattr(target.design, "outcome", None))
    there = np.isfinite(values)
    without = there & ~on & on.any(axis=0) & reach[:, None]
    return values[there & on], values[without]


def _by_people(target: Target) -> CheckResult | None:
    """Whether the answer could be another component's that does more for those whom this one reaches.

    Asked where people of both kinds are compared, or it reaches only some and another starts with it. Alike places
    share the level of the other's effect, not what it still adds among those reached.
    """
    study, paths = target.study, target.study.paths
    starting = starting_with(paths, target.component, target.window)
    everybody = bool(paths.reach[:, paths.index(target.component)].all())
    if "kinds alike" not in target.design.traits.rests_on and (everybody or not starting):
        return None
    options = {name: getattr(target.design, name) for name in ("base_window", "horizon", "outcome")}
    gap = EffectGap(target.component, **options)
    gaps = {study.component(other).label: target.over_window(gap, study, other) for other in starting}
    return checks.by_people(gaps, target.matters)


def _scale(target: Target) -> CheckResult | None:
    """The headline beside the same comparison on the scale of its outcome; None where it has no other."""
    found = next((r for r in target.runs if isinstance(r.rung.design, ScaledRollout)), None)
    if found is None:
        return None
    if found.answer is None:
        return checks.untested(found.reason.rstrip("."))
    w, design = target.window, found.rung.design
    assert isinstance(design, ScaledRollout)
    moved_by = design.less_points(target.study, target.component, w.lag, w.until)
    return checks.scale(target.one, moved_by, target.matters)


def _drift(target: Target) -> CheckResult:
    assert target.drift is not None
    return checks.drift(target.one, target.drift)


def _who(target: Target, check: Callable[[Independence, Target, str], CheckResult]) -> CheckResult | None:
    """A check of who is independent, with what a cluster of the answer is called; None where that cannot be told."""
    level = target.study.paths.inference_level(target.component)[0]
    found = target.independence
    return None if found is None else check(found, target, target.study.noun_for(level))


def _effective_clusters(found: Independence, target: Target, place: str) -> CheckResult:
    return checks.effective_clusters(found, place)


def _dominant_place(found: Independence, target: Target, place: str) -> CheckResult:
    return checks.dominant_place(found, target.one, target.matters, place)


def _shared_shocks(found: Independence, target: Target, place: str) -> CheckResult:
    nouns = {name: target.study.noun_for(name) for name in found.groups}
    return checks.shared_shocks(found, target.one, target.matters, plural(place), nouns)


def _placebo_date(target: Target) -> CheckResult:
    assert isinstance(target.design, InterruptedTimeSeries)
    return checks.placebo_date(target.design.placebo_date(target.study, target.component))


def _bent_trend(target: Target) -> CheckResult:
    bent = target.over_window(with_options(target.design, trend="bent"), target.study, target.component)
    return checks.bent_trend(target.one, bent)


def _beside_donors(target: Target, check: Callable[[Sequence[Compared]], CheckResult]) -> CheckResult:
    assert isinstance(target.design, BesideDonors)
    return check(target.design.compared(target.study, target.component))


def _leave_one_donor(target: Target) -> CheckResult:
    assert isinstance(target.design, BesideDonors)
    return checks.leave_one_donor(target.design.without_each_donor(target.study, target.component))


def _balance(target: Target) -> CheckResult:
    assert isinstance(target.design, RandomisedComparison)
    return checks.balance(target.design.balance(target.study, target.component))


def _attrition(target: Target) -> CheckResult:
    assert isinstance(target.design, RandomisedComparison)
    return checks.attrition(target.one, target.design.attrition(target.study, target.component))


def _compliance(target: Target) -> CheckResult | None:
    assert isinstance(target.design, RandomisedComparison)
    return checks.compliance(target.design.compliers(target.study, target.component))


_LEADS: Mapping[Check, Callable[[Target], CheckResult]] = {
    "pre_trend": partial(_pre_trend, by_leads=False), "pre_trend_by_leads": partial(_pre_trend, by_leads=True),
    "drift": _drift, "placebo_date": _placebo_date, "bent_trend": _bent_trend,
    "fit": partial(_beside_donors, check=checks.fit),
}  # fmt: skip
_AFTER: Mapping[Check, Callable[[Target], CheckResult | None]] = {
    "others_still_growing": _still_growing, "growth_taken_out": _growth_taken_out, "stayers": _stayers,
    "by_people": _by_people, "scale": _scale, "leave_one_donor": _leave_one_donor,
    "placebo_places": partial(_beside_donors, check=checks.placebo_places),
    "effective_clusters": partial(_who, check=_effective_clusters),
    "dominant_place": partial(_who, check=_dominant_place), "shared_shocks": partial(_who, check=_shared_shocks),
    "balance": _balance, "attrition": _attrition, "compliance": _compliance,
}  # fmt: skip


def starting_with(paths: Paths, component: str, window: Window) -> list[str]:
    """Other components that reach people of both kinds and start in a place between the base and the
    end of the claimed window after a start of `component` there."""
    k = paths.index(component)
    cells = paths.cells(paths.inference_level(component)[0])
    on = paths.state > 0
    first = np.where(on.any(axis=1), on.argmax(axis=1), NEVER)[cells.path]
    earliest = np.full((int(cells.cluster.max()) + 1, len(paths.components)), NEVER)
    np.minimum.at(earliest, cells.cluster, first)
    last = paths.n_periods if window.until is None else window.until
    mine, out = earliest[:, k], []
    for j, name in enumerate(paths.components):
        kinds, other = paths.reach[paths.reach[:, j], k], earliest[:, j]
        together = (mine < NEVER) & (other >= mine) & (other <= mine + last)
        if j != k and kinds.any() and not kinds.all() and together.any():
            out.append(name)
    return out
