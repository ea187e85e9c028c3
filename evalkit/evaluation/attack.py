"""Attack one headline with every check that its design allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit import checks
from evalkit.checks import CheckResult
from evalkit.components.wording import lone_person
from evalkit.designs import JointEventStudy, StaggeredRollout, TripleDifference, WeightedComparison
from evalkit.designs.protocol import Design
from evalkit.designs.regression.joint import growth_of_others
from evalkit.designs.rollout.plan import NEVER
from evalkit.designs.rollout.triple import EffectGap
from evalkit.errors import NotIdentifiedError
from evalkit.evaluation.ladder import Run, Window, average_over, run_design
from evalkit.inference import Estimate
from evalkit.inference.randomisation import average_effect, randomise
from evalkit.inference.replicates import FEWEST
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Paths
from evalkit.study.spells import spells_of, unsure

WITH_IT, BY_DOSE = ("with it", "without"), ("with more of it", "with less or without it")
LEADS = 4
ORDERS = 199
Rollout = StaggeredRollout | TripleDifference
READINGS = {
    "half": "part-way periods read as whole from one half on",
    "full": "part-way periods read as off until the first full one",
    "early": "uncertain dates read early",
    "late": "uncertain dates read late",
}


@dataclass(frozen=True, eq=False)
class Target:
    """What is attacked: one component's headline run, its window, and what would matter."""

    component: str
    design: Design
    rows: Estimate
    one: Estimate
    window: Window
    matters: float | None


def attack(
    target: Target, study: Study, others: Sequence[Run], readings: Mapping[str, Study]
) -> tuple[CheckResult, ...]:
    """Every check of design 2.5 that applies to the headline's design."""
    fair = {r.rung.name: r.answer for r in others if r.answer is not None and r.rung.fair and not r.rung.headline}
    person = lone_person(study.paths, study.paths.inference_level(target.component)[0])
    arms = BY_DOSE if getattr(target.design, "dose", False) else WITH_IT
    found = [
        checks.leave_one_cluster(target.one, target.matters, person),
        checks.few_clusters(target.one, arms, person or "place"),
        checks.rungs(target.one, fair),
        _date_rule(target, readings),
    ]
    if isinstance(target.design, (StaggeredRollout, TripleDifference)):
        design = target.design
        found = [_pre_trend(target, design, study), *found, *_growing(target, design, study), _stayers(target)]
    elif isinstance(target.design, JointEventStudy):
        found = [_joint_pre_trend(target, target.design, study), *found]
    if isinstance(target.design, (StaggeredRollout, TripleDifference)) and _asks_by_people(target, study):
        found.append(_by_people(target, target.design, study))
    weighted = [r.rows for r in others if isinstance(r.rung.design, WeightedComparison) and r.answer is not None]
    found += [checks.score_form(rows) for rows in weighted if rows is not None and study.covariates]
    return tuple(found)


def randomisation_p(target: Target, study: Study, seed: int) -> float | None:
    """p over rollout orders that could have happened, where an arm has fewer than three clusters and the
    interval excludes zero; None where it is not needed, there is no other order, or nothing is seen over time."""
    if study.paths.n_periods == 1:
        return None
    row = target.one.to_frame().iloc[0]
    few = min(row["clusters_exposed"], row["clusters_comparison"]) < FEWEST
    if not few or not (row["conf_low"] > 0 or row["conf_high"] < 0):
        return None
    headline = average_effect(target.design, target.component, (target.window.lag, target.window.until))
    try:
        return randomise(study, target.component, headline, draws=ORDERS, seed=seed).p_value
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


def _pre_trend(target: Target, design: Rollout, study: Study) -> CheckResult:
    rows = replace(design, base="universal", base_window=1)(study, target.component)
    events = rows.labels["event_time"].to_numpy()
    post = np.unique(events[target.window.holds(events)])
    length = max(len(post), 4)
    early = rows.select(np.flatnonzero((events < 0) & (events >= -1 - length))).aggregate("event_time")
    reach = float(post.mean()) + 1 if len(post) else 1.0
    return checks.pre_trend(early, reach, target.matters)


def _joint_pre_trend(target: Target, design: JointEventStudy, study: Study) -> CheckResult:
    rows = replace(design, window=(LEADS, study.paths.n_periods))(study, target.component)
    events = rows.labels["event_time"].to_numpy()
    early = rows.select(np.flatnonzero(events < 0)).aggregate("event_time")
    post = events[target.window.holds(events)]
    return checks.pre_trend(early, float(post.mean()) + 1 if len(post) else 1.0, target.matters)


def _date_rule(target: Target, readings: Mapping[str, Study]) -> CheckResult:
    found: dict[str, Estimate | None] = {}
    for reading, study in readings.items():
        rows, _ = run_design(target.design, study, target.component)
        found[READINGS[reading]] = None if rows is None else average_over(rows, target.window)
    return checks.date_rule(target.one, found, target.matters)


def _growing(target: Target, design: Rollout, study: Study) -> list[CheckResult]:
    events = target.rows.labels["event_time"].to_numpy()
    inside = events[target.window.holds(events) & ~np.isnan(target.rows.value)]
    length = int(inside.max()) + 1 if len(inside) else 1
    if len(study.components) == 1:
        return [CheckResult("others_still_growing", "passed", "There is no other component in this study.")]
    rows, _ = run_design(replace(design, lookback=length), study, target.component)
    alike = None if rows is None else average_over(rows, target.window)
    growth = growth_of_others(study, target.one, target.component, design.outcome)
    differ = design.others == "unchanged"
    found = checks.others_still_growing(target.one, alike, target.matters, differ, growth)
    taken = checks.growth_taken_out(target.one, growth)
    if growth is None and found.status == "informational":
        found = replace(found, status="passed", words=taken.words)
    return [found, taken]


def _stayers(target: Target) -> CheckResult:
    rows = target.rows
    use = target.window.holds(rows.labels["event_time"].to_numpy()) & (rows.mass > 0)
    weight = rows.mass[use]
    shares = [
        float(np.average(rows.labels[c].to_numpy()[use], weights=weight)) for c in ("stay_exposed", "stay_comparison")
    ]
    return checks.stayers(*shares)


def _asks_by_people(target: Target, study: Study) -> bool:
    """Whether the answer could be another component's that does more for those whom this one reaches: people of both
    kinds are compared, or it reaches only some and another starts with it. Alike places share the level of the
    other's effect, not what it still adds among those reached."""
    if isinstance(target.design, TripleDifference):
        return True
    reach = study.paths.reach[:, study.paths.index(target.component)]
    if reach.all() or not isinstance(target.design, StaggeredRollout):
        return False
    return bool(starting_with(study.paths, target.component, target.window))


def _by_people(target: Target, design: Rollout, study: Study) -> CheckResult:
    gaps: dict[str, Estimate | None] = {}
    for other in starting_with(study.paths, target.component, target.window):
        gap = EffectGap(target.component, design.base_window, design.horizon, design.outcome)
        rows, _ = run_design(gap, study, other)
        gaps[study.component(other).label] = None if rows is None else average_over(rows, target.window)
    return checks.by_people(gaps, target.matters)


def starting_with(paths: Paths, component: str, window: Window) -> list[str]:
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
