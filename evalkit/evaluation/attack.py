"""Attack one headline with every check that its design allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit import checks
from evalkit.checks import CheckResult
from evalkit.designs import StaggeredRollout
from evalkit.evaluation.headline import Run, Window, average_over, run_design
from evalkit.inference import Estimate
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Paths

READINGS = {"half": "whole from one half on", "full": "off until the first full period"}


@dataclass(frozen=True, eq=False)
class Target:
    """What is attacked: one component's headline run, its window, and what would matter."""

    component: str
    run: Run
    window: Window
    matters: float | None

    @property
    def one(self) -> Estimate:
        return self.run.one


def attack(target: Target, study: Study, others: Sequence[Run], readings: Mapping[str, Study]) -> tuple[CheckResult, ...]:
    """Every check of design 2.5 that applies to the headline's design."""
    fair = {r.rung.name: r.one for r in others if r.usable and r.rung.fair and not r.rung.headline}
    found = [
        checks.leave_one_cluster(target.one),
        checks.few_clusters(target.one),
        checks.rungs(target.one, fair),
        _date_rule(target, readings),
    ]
    if isinstance(target.run.rung.design, StaggeredRollout):
        found = [_pre_trend(target, study), *found, _growing(target, study), _stayers(target)]
    else:
        found = [_joint_pre_trend(target, study), *found]
    return tuple(found)


def readings_of(study: Study) -> dict[str, Study]:
    """The study under the other readings of part-way periods; empty when no period is part-way."""
    if not part_way(study.paths):
        return {}
    out = {}
    for reading in READINGS:
        components = [replace(c, part_period=reading) for c in study.components]
        out[reading] = study.with_components(components)
    return out


def part_way(paths: Paths) -> bool:
    """Whether any component is part-way on in any period."""
    return bool(((paths.state < 0) & (paths.state != UNKNOWN)).any())


def _pre_trend(target: Target, study: Study) -> CheckResult:
    design = replace(target.run.rung.design, base="universal", base_window=1)
    rows, _ = run_design(design, study, target.component)
    events = rows.labels["event_time"].to_numpy()
    post = np.unique(events[target.window.holds(events)])
    length = max(len(post), 4)
    early = rows.select(np.flatnonzero((events < 0) & (events >= -1 - length))).aggregate("event_time")
    reach = float(post.mean()) + 1 if len(post) else 1.0
    return checks.pre_trend(early, reach, target.matters)


def _joint_pre_trend(target: Target, study: Study) -> CheckResult:
    design = replace(target.run.rung.design, window=(4, None))
    rows, reason = run_design(design, study, target.component)
    if rows is None:
        return CheckResult("pre_trend", "informational", reason)
    events = rows.labels["event_time"].to_numpy()
    early = rows.select(np.flatnonzero(events < 0)).aggregate("event_time")
    post = events[target.window.holds(events)]
    return checks.pre_trend(early, float(post.mean()) + 1 if len(post) else 1.0, target.matters)


def _date_rule(target: Target, readings: Mapping[str, Study]) -> CheckResult:
    found: dict[str, Estimate | None] = {}
    for reading, study in readings.items():
        rows, _ = run_design(target.run.rung.design, study, target.component)
        found[READINGS[reading]] = None if rows is None else average_over(rows, target.window)
    return checks.date_rule(target.one, found)


def _growing(target: Target, study: Study) -> CheckResult:
    events = target.run.rows.labels["event_time"].to_numpy()
    inside = events[target.window.holds(events) & ~np.isnan(target.run.rows.value)]
    length = int(inside.max()) + 1 if len(inside) else 1
    if len(study.components) == 1:
        return CheckResult("others_still_growing", "passed", "There is no other component in this study.")
    rows, _ = run_design(replace(target.run.rung.design, lookback=length), study, target.component)
    alike = None if rows is None else average_over(rows, target.window)
    return checks.others_still_growing(target.one, alike, target.matters)


def _stayers(target: Target) -> CheckResult:
    rows = target.run.rows
    use = target.window.holds(rows.labels["event_time"].to_numpy()) & (rows.mass > 0)
    weight = rows.mass[use]
    shares = [float(np.average(rows.labels[c].to_numpy()[use], weights=weight)) for c in ("stay_exposed", "stay_comparison")]
    return checks.stayers(*shares)
