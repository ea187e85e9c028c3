"""What was worked out once, kept as long as the study's paths live: plans, and the sums of an outcome."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from evalkit.designs.rollout.plan import Plan
from evalkit.study.paths import Paths

MOST = 16_000_000
"""Bytes of matches above which a plan is made anew each time."""
MOST_SUMS = 64_000_000
"""Bytes of a group's sums, against every base period, above which each design adds up for itself."""
_KEPT: WeakKeyDictionary[Paths, dict[Hashable, Plan]] = WeakKeyDictionary()


def kept_plan(paths: Paths, key: Hashable, make: Callable[[], Plan]) -> Plan:
    """The plan that `make` makes, the same one for the same paths and key."""
    mine = _KEPT.setdefault(paths, {})
    if key in mine:
        return mine[key]
    plan = make()
    if sum(c.match.nbytes for c in plan) <= MOST:
        mine[key] = plan
    return plan


_SUMS: WeakKeyDictionary[Paths, dict[Hashable, tuple[ReferenceType, dict]]] = WeakKeyDictionary()


def kept_sums(paths: Paths, level: str, values: np.ndarray) -> dict:
    """Where sums of `values` in the cells of a level are kept: the same dict for the same array, which must be
    read-only, and a new one each time where sums take much memory."""
    bytes_of_all = 4 * values.itemsize * len(paths.cells(level)) * paths.n_periods**2
    if values.flags.writeable or bytes_of_all > MOST_SUMS:
        return {}
    mine = _SUMS.setdefault(paths, {})
    found = mine.get((level, id(values)))
    if found is None or found[0]() is not values:
        mine[level, id(values)] = found = (ref(values), {})
    return found[1]
