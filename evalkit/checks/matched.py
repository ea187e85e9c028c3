"""From a study and a rollout design to matched lines: series of cells, when each starts, and who serves throughout.

Who may serve is read from the design's own plan; nothing here decides what is clean, and no outcome chooses a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from evalkit.checks.steps import Line, Noise, Series, own_noise, widest
from evalkit.designs.noise.model import Groups
from evalkit.designs.noise.weighing import people_in_cells
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.designs.rollout.staggered import StaggeredRollout, by_arrival
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.rollout.triple import PairReader, TripleDifference

Rollout: TypeAlias = StaggeredRollout | TripleDifference

MOST_CLUSTERS = 400
"""Clusters above which they are left out in groups (delete-a-group jackknife; Kott 2001)."""
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

    @cached_property
    def share(self) -> np.ndarray:
        """(C,) one over the cells of a cell's cluster that the component can reach."""
        assert self.plan.states is not None
        count = np.bincount(self.series.cluster, weights=self.plan.states.reach[self.path])
        return np.asarray(1 / np.maximum(count, 1)[self.series.cluster])

    def lines(self, lag: int, until: int | None, longest: bool = False) -> tuple[Line, ...]:
        """A line for each start: over the window that tells most about a step, or the longest that is matched."""
        found = (self._line(c, lag, until, longest) for c in self.plan)
        return tuple(line for line in found if line is not None)

    def _line(self, c: Comparison, lag: int, until: int | None, longest: bool) -> Line | None:
        onset, base, seen = c.cohort + lag, int(c.base[c.cohort]), np.isfinite(self.series.mean)
        cells = np.flatnonzero(np.isin(self.path, c.adopters))
        if base < 0 or not len(cells):
            return None
        serves = c.match[self.path] & seen
        serves[:, base] = seen[:, base]
        late = np.array(list(self._late(c, onset, until, seen[cells], serves)), dtype=int)
        early = np.array(list(self._early(c, onset, base, seen[cells])), dtype=int)
        ends = self._longest(serves, early, late) if longest else widest(serves, (early, late), onset, self.share)
        if not ends:
            return None
        first, last = ends
        whole = seen[:, first : last + 1].all(axis=1)
        pool, cells = serves[:, first] & serves[:, last] & whole, cells[whole[cells]]
        skipped = tuple(range(base + 1, c.cohort))
        return Line(cells, pool, first, last, onset, skipped) if len(cells) and pool.any() else None

    def _late(
        self, c: Comparison, onset: int, until: int | None, seen: np.ndarray, serves: np.ndarray
    ) -> Iterator[int]:
        """Claimed periods, one after another from the onset on, in which somebody serves."""
        end = len(c.base) if until is None else min(c.cohort + until + 1, len(c.base))
        for t in range(onset, end):
            if not (c.possible[t] and seen[:, t].any() and serves[:, t].any()):
                return
            yield t

    def _early(self, c: Comparison, onset: int, base: int, seen: np.ndarray) -> Iterator[int]:
        """Periods before the onset, the nearest first, as far back as the others of those that start stand still."""
        assert self.plan.states is not None
        others = self.plan.states.others[c.path]
        for t in range(min(onset, len(c.base)) - 1, -1, -1):
            known = t == base or base < t < c.cohort or bool(c.possible[t])
            if not known or not seen[:, t].any() or others[t] != others[min(onset, len(c.base)) - 1]:
                return
            if not base < t < c.cohort:
                yield t

    def _longest(self, serves: np.ndarray, early: np.ndarray, late: np.ndarray) -> tuple[int, int] | tuple[()]:
        """The last claimed period, and the first from which on two clusters serve, or as many as at the nearest."""
        if not len(early) or not len(late):
            return ()
        clusters = self.share @ (serves[:, early] & serves[:, [late[-1]]])
        enough = np.flatnonzero(clusters >= min(FEWEST, clusters[0]) - 1e-9)
        return int(early[enough[-1]]), int(late[-1])


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
    series, clusters = Series(mean, sums.mass, grouped(sums.cluster)), np.unique(sums.cluster)
    return Matched(plan, series, sums.path, split.origin, paths.periods, clusters)


def _pairs(design: TripleDifference, study: StudyLike, component: str) -> Matched:
    """Pairs of eligible and ineligible people of a cluster: the difference of their means."""
    wide = replace(design, base="universal", base_window=1, adjust=None)
    pairs, plan = wide._pairs_and_plan(study.paths, component)
    assert pairs is not None
    sums = Sums.of_outcome(study.paths, pairs.level, study.values(design.outcome)).split()
    mean, reader = _levels(sums, within=True), PairReader(sums, pairs)
    gap = mean[pairs.member_eligible] - mean[pairs.member_ineligible]
    series = Series(gap, reader.size, grouped(pairs.member_cluster))
    clusters = np.unique(pairs.member_cluster)
    return Matched(plan, series, pairs.member_pair, pairs.eligible, study.paths.periods, clusters)


def grouped(cluster: np.ndarray) -> np.ndarray:
    """Codes 0 to Q - 1 of clusters, at most 400."""
    codes = np.unique(cluster, return_inverse=True)[1].reshape(-1)
    return np.asarray(codes % MOST_CLUSTERS)


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
