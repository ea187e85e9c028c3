"""Falsification: one headline is put to every check that its design invites, and to those of every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit import checks
from evalkit.checks import CheckResult
from evalkit.checks.result import excludes_zero, first_row
from evalkit.components.wording import lone_person
from evalkit.designs.protocol import Check, Design
from evalkit.designs.regression.growth import growth_of_others
from evalkit.designs.rollout.starts import NEVER
from evalkit.designs.rollout.triple import EffectGap
from evalkit.errors import NotIdentifiedError
from evalkit.evaluation.ladder import Run, Window, average_over, run_design, with_options
from evalkit.inference import Estimate
from evalkit.inference.randomisation import average_effect, randomise
from evalkit.inference.replicates import FEWEST
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Paths
from evalkit.study.spells import spells_of, unsure

LEADS = 4
ORDERS = 199
READINGS = {
    "half": "part-way periods read as whole from one half on",
    "full": "part-way periods read as off until the first full one",
    "early": "uncertain dates read early",
    "late": "uncertain dates read late",
}


@dataclass(frozen=True, eq=False)
class Target:
    """What is put to the test: the headline of one component, with all its runs, its window and what would matter.

    rows, one: the headline's rows, and its number over the window. readings: the study under other readings of dates.
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

    def changed(self, **options: object) -> tuple[Estimate | None, str]:
        """The rows of the headline's design with some of its options changed, or why there are none."""
        return run_design(with_options(self.design, **options), self.study, self.component)

    def over_window(self, rows: Estimate | None) -> Estimate | None:
        """The average over the claimed window, where there are rows."""
        return None if rows is None else average_over(rows, self.window)

    @cached_property
    def outcome(self) -> str | None:
        """The outcome's column, where the design names one."""
        return getattr(self.design, "outcome", None)

    @cached_property
    def growth(self) -> Estimate | None:
        """What the growth of other components puts into the answer; None where there is none."""
        return growth_of_others(self.study, self.one, self.component, self.outcome)


def falsify(target: Target) -> tuple[CheckResult, ...]:
    """Every check of design 2.5 that applies to the headline: what its design invites, leads first, and what every
    answer is asked."""
    invited = target.design.traits.checks
    leads = [c for c in invited if c in _LEADS]
    after = [c for c in invited if c in _AFTER]
    found = [*(_LEADS[c](target) for c in leads), *_of_every_answer(target)]
    found += [result for c in after for result in _AFTER[c](target)]
    return (*found, *_score_forms(target))


def _of_every_answer(target: Target) -> list[CheckResult]:
    paths = target.study.paths
    person = lone_person(paths, paths.inference_level(target.component)[0])
    fair = {r.rung.name: r.answer for r in target.runs if r.answer is not None and r.rung.fair and not r.rung.headline}
    return [
        checks.leave_one_cluster(target.one, target.matters, person),
        checks.few_clusters(target.one, target.design.traits.arms, person or "place"),
        checks.rungs(target.one, fair),
        _date_rule(target),
    ]


def randomisation_p(target: Target, seed: int) -> float | None:
    """p over rollout orders that could have happened, where an arm has fewer than three clusters and the
    interval excludes zero; None where it is not needed, there is no other order, or nothing is seen over time."""
    if target.study.paths.n_periods == 1:
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


def readings_of(study: Study) -> dict[str, Study]:
    """The study under the other readings of part-way periods and of uncertain dates; empty when there are none."""
    found: dict[str, dict[str, str]] = {}
    if part_way(study.paths):
        found |= {r: {"part_period": r} for r in ("half", "full")}
    if any(c.by_spells and unsure(spells_of(c)).any() for c in study.components):
        found |= {r: {"dates": r} for r in ("early", "late")}
    return {
        r: study.with_components([replace(c, **how) for c in study.components])  # type: ignore[arg-type]
        for r, how in found.items()
    }


def part_way(paths: Paths) -> bool:
    """Whether any component is part-way on in any period."""
    return bool(((paths.state < 0) & (paths.state != UNKNOWN)).any())


def _pre_trend(target: Target) -> CheckResult:
    """Rows before the start, by a universal base, over as many periods as are claimed and no fewer than four."""
    rows = with_options(target.design, base="universal", base_window=1)(target.study, target.component)
    assert isinstance(rows, Estimate)
    events = rows.labels["event_time"].to_numpy()
    post = np.unique(events[target.window.holds(events)])
    length = max(len(post), 4)
    return _judged(target, rows, (events < 0) & (events >= -1 - length), post)


def _pre_trend_by_leads(target: Target) -> CheckResult:
    """Leads of the regression itself."""
    rows = with_options(target.design, window=(LEADS, target.study.paths.n_periods))(target.study, target.component)
    assert isinstance(rows, Estimate)
    events = rows.labels["event_time"].to_numpy()
    return _judged(target, rows, events < 0, events[target.window.holds(events)])


def _judged(target: Target, rows: Estimate, before: np.ndarray, claimed: np.ndarray) -> CheckResult:
    early = rows.select(np.flatnonzero(before)).aggregate("event_time")
    reach = float(claimed.mean()) + 1 if len(claimed) else 1.0
    return checks.pre_trend(early, reach, target.matters)


def _date_rule(target: Target) -> CheckResult:
    found: dict[str, Estimate | None] = {}
    for reading, study in target.readings.items():
        rows, _ = run_design(target.design, study, target.component)
        found[READINGS[reading]] = target.over_window(rows)
    return checks.date_rule(target.one, found, target.matters)


def _still_growing(target: Target) -> list[CheckResult]:
    """The headline beside the same among places alike for as long before as it claims after."""
    if len(target.study.components) == 1:
        return [CheckResult("others_still_growing", "passed", "There is no other component in this study.")]
    events = target.rows.labels["event_time"].to_numpy()
    inside = events[target.window.holds(events) & ~np.isnan(target.rows.value)]
    rows, _ = target.changed(lookback=int(inside.max()) + 1 if len(inside) else 1)
    differ = "additivity" in target.design.traits.rests_on
    found = checks.others_still_growing(target.one, target.over_window(rows), target.matters, differ, target.growth)
    if target.growth is None and found.status == "informational":
        found = replace(found, status="passed", words=checks.growth_taken_out(target.one, None).words)
    return [found]


def _growth_taken_out(target: Target) -> list[CheckResult]:
    return [checks.growth_taken_out(target.one, target.growth)] if len(target.study.components) > 1 else []


def _stayers(target: Target) -> list[CheckResult]:
    rows = target.rows
    use = target.window.holds(rows.labels["event_time"].to_numpy()) & (rows.mass > 0)
    labels, weight = rows.labels[use], rows.mass[use]
    shares = (float(np.average(labels[c], weights=weight)) for c in ("stay_exposed", "stay_comparison"))
    return [checks.stayers(*shares)]


def _by_people(target: Target) -> list[CheckResult]:
    """Whether the answer could be another component's that does more for those whom this one reaches.

    Asked where people of both kinds are compared, or it reaches only some and another starts with it. Alike places
    share the level of the other's effect, not what it still adds among those reached.
    """
    study, paths = target.study, target.study.paths
    starting = startingwith_options(paths, target.component, target.window)
    everybody = bool(paths.reach[:, paths.index(target.component)].all())
    if "kinds alike" not in target.design.traits.rests_on and (everybody or not starting):
        return []
    options = {name: getattr(target.design, name) for name in ("base_window", "horizon", "outcome")}
    gaps: dict[str, Estimate | None] = {}
    for other in starting:
        rows, _ = run_design(EffectGap(target.component, **options), study, other)
        gaps[study.component(other).label] = target.over_window(rows)
    return [checks.by_people(gaps, target.matters)]


def _score_forms(target: Target) -> Iterable[CheckResult]:
    """One for each run, headline or not, whose design invites it: a score of the wrong form doubts the headline too."""
    for r in target.runs:
        invited = "score_form" in r.rung.design.traits.checks and bool(target.study.covariates)
        if invited and r.rows is not None and r.answer is not None:
            yield checks.score_form(r.rows)


_LEADS: Mapping[Check, Callable[[Target], CheckResult]] = {
    "pre_trend": _pre_trend, "pre_trend_by_leads": _pre_trend_by_leads,
}  # fmt: skip
_AFTER: Mapping[Check, Callable[[Target], list[CheckResult]]] = {
    "others_still_growing": _still_growing, "growth_taken_out": _growth_taken_out, "stayers": _stayers,
    "by_people": _by_people,
}  # fmt: skip


def startingwith_options(paths: Paths, component: str, window: Window) -> list[str]:
    """Other components that reach people of both kinds and start in a place between the base and the
    end of the claimed window after a start of `component` there."""
    k = paths.index(component)
    level, _ = paths.inference_level(component)
    cells = paths.cells(level)
    first = _first_on(paths.state)[cells.path]
    out = []
    for j, name in enumerate(paths.components):
        kinds = paths.reach[paths.reach[:, j], k]
        if j == k or not (kinds.any() and not kinds.all()):
            continue
        mine, other = (_earliest(first[:, i], cells.cluster) for i in (k, j))
        last = paths.n_periods if window.until is None else window.until
        if ((mine < NEVER) & (other >= mine) & (other <= mine + last)).any():
            out.append(name)
    return out


def _first_on(state: np.ndarray) -> np.ndarray:
    """(P, K) first position at which each component is on; NEVER where it is not."""
    on = state > 0
    return np.where(on.any(axis=1), on.argmax(axis=1), NEVER)


def _earliest(first: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """(clusters,) earliest first position among the cells of each cluster."""
    out = np.full(int(cluster.max()) + 1, NEVER)
    np.minimum.at(out, cluster, first)
    return out
