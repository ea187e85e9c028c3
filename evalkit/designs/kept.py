"""What was worked out once from exposures alone, kept as long as the study's paths live: plans serve every outcome."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from evalkit.designs.plan import Plan
from evalkit.study.paths import Paths

MOST = 16_000_000
"""Bytes of matches above which a plan is made anew each time."""
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
