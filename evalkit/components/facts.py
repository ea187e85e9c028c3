"""What exposures alone say about each component: its switches, the comparisons of each plan, its overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.components.estimable import last_that
from evalkit.components.switches import ENOUGH, Against, Members, Tally, against_each, members_of, sight_of, tally
from evalkit.designs.regression.additive import spell_ages
from evalkit.designs.rollout import plan as plans
from evalkit.designs.rollout.starts import make_plan, which_starts
from evalkit.study.paths import OFF, Paths


def pair_plan(paths: Paths, pairs: plans.Pairs, ignored: bool = False) -> plans.Plan:
    """The four-arm plan: what a pair does not share must go the same way in the pairs compared."""
    return make_plan(plans.pair_states(paths, pairs, ignored), plans.Rules(others="same"), leads=False)


def in_use(paths: Paths) -> Paths:
    """The same paths without those that no unit follows."""
    used, path = np.unique(paths.path, return_inverse=True)
    if len(used) == paths.n_paths:
        return paths
    return replace(paths, path=path.reshape(-1), state=paths.state[used], reach=paths.reach[used])


@dataclass(frozen=True, eq=False)
class Facts:
    """One component's switches and comparisons, each worked out when first asked for."""

    paths: Paths
    component: str

    @cached_property
    def index(self) -> int:
        return self.paths.index(self.component)

    @property
    def lag(self) -> int:
        return int(self.paths.lags[self.index]) if self.paths.lags else 0

    @property
    def always(self) -> bool:
        """Registered as always on."""
        return bool(self.paths.always_on and self.paths.always_on[self.index])

    @cached_property
    def level(self) -> str:
        return self.paths.inference_level(self.component)[0]

    @property
    def members(self) -> Members:
        return members_of(self.paths, self.level)

    def _plan(self, others: str, lookback: int = 0) -> plans.Plan:
        starts = "all" if others == "ignored" else self.starts
        rules = plans.Rules(others=others, lookback=lookback, starts=starts)
        return make_plan(plans.exposure_states(self.paths, self.component, others), rules, leads=False)

    @cached_property
    def starts(self) -> str:
        """Which starts an answer rests on: all, or where some begin again the first."""
        return which_starts(plans.exposure_states(self.paths, self.component, "ignored"))

    def _tally(self, plan: plans.Plan) -> Tally:
        return tally(plan, self.members, self.paths.n_periods)

    @cached_property
    def _survey(self) -> tuple[Tally, Against, int]:
        """From the plan that ignores the other components, which is not kept: it is large."""
        plan, members = self._plan("ignored"), self.members
        starts = [members.cluster[members.of(np.array([c.path]))].astype(np.int64) for c in plan]
        found = [clusters * self.paths.n_periods + c.cohort for clusters, c in zip(starts, plan, strict=True)]
        switches = len(np.unique(np.concatenate(found))) if found else 0
        return self._tally(plan), against_each(plan, self.paths.state, members, self.lag), switches

    @property
    def usable(self) -> Tally:
        """Clusters that switch it on, and clusters still without it, whatever else goes on there."""
        return self._survey[0]

    @property
    def against(self) -> Against:
        """Its starts against each other component, one at a time."""
        return self._survey[1]

    @property
    def switches(self) -> int:
        """Clusters turning it on, each spell once."""
        return self._survey[2]

    @property
    def too_late(self) -> bool:
        """Whether every start lies so late that its lag ends after the panel."""
        state = self.paths.state[:, :, self.index]
        starts = np.flatnonzero(spell_ages(state > 0, state == OFF)[0].any(axis=0))
        return bool(len(starts)) and int(starts[0]) + self.lag >= self.paths.n_periods

    @cached_property
    def same(self) -> Tally:
        alone = len(self.paths.components) == 1 and self.starts == "all"
        return self.usable if alone else self._tally(self._plan("same"))

    @cached_property
    def unchanged(self) -> Tally:
        """Clean where the others stand still on both sides, and did for max(1, lag) periods before the base: what
        began just then arrives together with it."""
        if len(self.paths.components) == 1:
            return self.same
        return self._tally(self._plan("unchanged", max(1, self.lag)))

    @cached_property
    def pairs(self) -> plans.Pairs | None:
        return plans.make_pairs(self.paths, self.component)

    @cached_property
    def _pair_members(self) -> Members | None:
        """Members for plans over pairs: one for each pair in each cluster; both people must be seen."""
        if (pairs := self.pairs) is None:
            return None
        start = np.concatenate([[0], np.cumsum(np.bincount(pairs.member_pair, minlength=len(pairs)))])
        size, sight = len(self.paths.levels[self.level].names), sight_of(self.paths, self.level)
        sides = pairs.member_eligible, pairs.member_ineligible
        return Members(pairs.member_cluster, pairs.member_pair, start, size, sight, *sides)

    @cached_property
    def people(self) -> Tally | None:
        """Clusters on and off that tell it apart by people; None when it reaches everybody."""
        if self.pairs is None or self._pair_members is None:
            return None
        return tally(pair_plan(self.paths, self.pairs), self._pair_members, self.paths.n_periods)

    @cached_property
    def noise(self) -> tuple[float, float]:
        """Expected variance of clean comparisons, and of the comparison by people, over each one's claimed window."""
        clean = plan_noise = float("inf")
        if (until := self.same.until(self.lag)) >= 0:
            clean = plans.expected_noise(self._plan("same"), plans.path_sizes(self.paths), self.lag, until)
        if self.pairs is not None and self.people is not None and self.people.until(self.lag) >= 0:
            plan, until = pair_plan(self.paths, self.pairs), self.people.until(self.lag)
            plan_noise = plans.expected_noise(plan, plans.pair_sizes(self.paths, self.pairs), self.lag, until)
        return clean, plan_noise

    @cached_property
    def people_against(self) -> Against | None:
        if self.pairs is None or self._pair_members is None:
            return None
        plan = pair_plan(self.paths, self.pairs, ignored=True)
        return against_each(plan, self.pairs.gap, self._pair_members, self.lag)

    @cached_property
    def ever(self) -> np.ndarray:
        """Codes of the clusters that ever had it."""
        on = np.asarray((self.paths.state[:, :, self.index] > 0).any(axis=1))
        return np.unique(self.members.cluster[on[self.members.row]])


def dose_until(fact: Facts) -> int:
    """Last event time from the lag on at which enough clusters that began together had each of two doses; or -1."""
    state = fact.paths.state[:, :, fact.index]
    if state.max(initial=0) <= 1:
        return -1
    _, age = spell_ages((state > 0) & fact.paths.reach[:, [fact.index]], state == OFF)
    members = fact.members

    def differ(event_time: int) -> bool:
        member, t = np.nonzero(((age == event_time) & (state > 0))[members.row])
        dose = state[members.row[member], t]
        found = np.unique(np.column_stack([t, dose, members.cluster[member]]), axis=0)
        each, clusters = np.unique(found[:, :2], axis=0, return_counts=True)
        _, doses = np.unique(each[clusters >= ENOUGH, 0], return_counts=True)
        return bool((doses >= 2).any())

    return last_that(differ, fact.lag, fact.paths.n_periods - 1)


def overlap(fact: Facts, only: tuple[int, ...] | None = None) -> Tally:
    """Clusters with it, and clusters without it, in strata where the other lives in another cluster.

    only: components that make the strata; all others when None."""
    paths, members = fact.paths, fact.members
    state, strata = paths.state[:, 0, fact.index], paths.others(fact.component, only)[:, 0]
    can = paths.reach[:, fact.index] & (strata >= 0)
    out = Tally(*(np.zeros((1, members.n_clusters), dtype=bool) for _ in range(2)))
    for stratum in np.unique(strata[can]):
        here = can & (strata == stratum)
        on = np.unique(members.cluster[(here & (state > 0))[members.row]])
        off = np.unique(members.cluster[(here & (state == 0))[members.row]])
        out.exposed[0, on] |= _elsewhere(on, off)
        out.comparison[0, off] |= _elsewhere(off, on)
    return out


def _elsewhere(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Whether there is a cluster of the other kind besides one's own."""
    return len(theirs) - np.isin(mine, theirs) > 0


def had(paths: Paths, members: Iterable[str]) -> np.ndarray:
    """(n,) whether a row's unit had every one of `members` at some time."""
    rows = np.ones(len(paths.path), dtype=bool)
    for m in members:
        k = paths.index(m)
        rows &= ((paths.state[:, :, k] > 0).any(axis=1) & paths.reach[:, k])[paths.path]
    return rows


def distinct(paths: Paths, rows: np.ndarray) -> int:
    """How many units the rows are about (one that moved has a row a stay)."""
    return paths.distinct(rows)
