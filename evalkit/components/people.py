"""By people: eligible beside ineligible people of the same cluster and period, on against off."""

from __future__ import annotations

import numpy as np

from evalkit.components.switches import Members, Sight, Tally, tally
from evalkit.designs.pairs import Pairs, pair_arena
from evalkit.designs.plan import Plan, Rules, make_plan
from evalkit.study.paths import Paths


def pair_members(pairs: Pairs, sight: Sight | None, n_clusters: int) -> Members:
    """Members for plans over pairs: one for each pair in each cluster; both people must be seen."""
    start = np.concatenate([[0], np.cumsum(np.bincount(pairs.member_pair, minlength=len(pairs)))])
    left, right = pairs.member_eligible, pairs.member_ineligible
    return Members(pairs.member_cluster, pairs.member_pair, start, n_clusters, sight, left, right)


def pair_plan(paths: Paths, pairs: Pairs, ignored: bool = False) -> Plan:
    """The four-arm plan: what a pair does not share must go the same way in the pairs compared."""
    return make_plan(pair_arena(paths, pairs, ignored=ignored), Rules(others="same"), leads=False)


def people_tally(paths: Paths, pairs: Pairs, members: Members) -> Tally:
    """Clusters on and off that tell the component apart by people, at each event time."""
    return tally(pair_plan(paths, pairs), members, paths.n_periods)
