"""From a study and a rollout design to the series of its cells, and what they do before exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from evalkit.checks.noise import Noise, Series, own_noise
from evalkit.designs.noise.model import Groups
from evalkit.designs.noise.weighing import people_in_cells
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.plan import Plan
from evalkit.designs.rollout.staggered import StaggeredRollout, by_arrival
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.rollout.triple import PairReader, TripleDifference

Rollout: TypeAlias = StaggeredRollout | TripleDifference

FEWEST = 2


@dataclass(frozen=True, eq=False)
class Matched:
    """A plan of starts read against one period (universal base), and the series of its cells; path: (C,) of each, as in
    the plan; origin: (P,) the study's path of each of the plan's; periods: (T,) as the user knows them; clusters: codes
    of the clusters whose cells there are, in order."""

    plan: Plan
    series: Series
    path: np.ndarray
    origin: np.ndarray
    periods: np.ndarray
    clusters: np.ndarray

    @cached_property
    def before(self) -> tuple[np.ndarray, np.ndarray]:
        """(C, T) cell-periods before exposure, and codes of what others do in them, as `own_noise` takes them."""
        states = self.plan.states
        assert states is not None
        free = ~np.maximum.accumulate(~states.off, axis=1) & (states.others >= 0) & states.reach[:, None]
        kind = np.zeros(len(free), dtype=np.int64) if states.kind is None else states.kind
        alike = states.others * (int(kind.max(initial=0)) + 1) + kind[:, None]
        return free[self.path], alike[self.path]

    @cached_property
    def noise(self) -> Noise:
        """What the cells do by themselves before exposure."""
        return own_noise(self.series, *self.before)


def matched(design: Rollout, study: StudyLike, component: str) -> Matched:
    """The cells of a design's plan under a universal base, and their means."""
    paths, values = study.paths, study.values(design.outcome)
    if isinstance(design, TripleDifference):
        return _pairs(design, study, component)
    split = by_arrival(paths, design.arrival)
    level, _ = split.paths.inference_level(component)
    sums = Sums.of_outcome(split.paths, level, values).split()
    plan = replace(design, base="universal", base_window=1).plan(paths, component)
    mean = _levels(sums, within=design.compare == "within")
    clusters, code = np.unique(sums.cluster, return_inverse=True)
    return Matched(plan, Series(mean, sums.mass, code), sums.path, split.origin, paths.periods, clusters)


def _pairs(design: TripleDifference, study: StudyLike, component: str) -> Matched:
    """Pairs of eligible and ineligible people of a cluster: the difference of their means."""
    wide = replace(design, base="universal", base_window=1, adjust=None)
    pairs, plan = wide._pairs_and_plan(study.paths, component)
    assert pairs is not None
    sums = Sums.of_outcome(study.paths, pairs.level, study.values(design.outcome)).split()
    mean, reader = _levels(sums, within=True), PairReader(sums, pairs)
    gap = mean[pairs.member_eligible] - mean[pairs.member_ineligible]
    clusters, code = np.unique(pairs.member_cluster, return_inverse=True)
    return Matched(
        plan, Series(gap, reader.size, code), pairs.member_pair, pairs.eligible, study.paths.periods, clusters
    )


def _levels(sums: Sums, within: bool) -> np.ndarray:
    """(C, T) means of cells, NaN where nobody is seen: where rows are missing by generalised least squares over people,
    so that who is seen when does not move them; of whoever was there in cross-sections."""
    if sums.balanced:
        return np.where(sums.mass[:, None] > 0, sums.mean, np.nan)
    if within:
        cells = Groups(sums.of, sums.path, sums.cluster, np.arange(len(sums.path)), lone=False)
        return people_in_cells(sums, cells)[1].mean
    seen = np.isfinite(sums.values) * sums.weights[:, None]
    mass = sums.group(seen)
    return np.divide(
        sums.group(np.nan_to_num(sums.values) * seen), mass, out=np.full(mass.shape, np.nan), where=mass > 0
    )
