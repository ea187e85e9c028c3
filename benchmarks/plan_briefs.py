"""Briefs that no rollout can do: each must be refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import evalkit as ek
from evalkit.rollouts.planning import RolloutPlan

PLACES = [f"p{i}" for i in range(10)]


def ask(*components: ek.Planned, **options: Any) -> Callable[[], RolloutPlan]:
    """A brief of ten places and three years, but for what is said."""
    places, periods = options.pop("places", PLACES), options.pop("periods", ("2027-01", "2029-12"))
    return lambda: ek.plan_rollout(places, list(components), periods, **options)


A, B = ek.Planned("a"), ek.Planned("b")
IMPOSSIBLE: dict[str, Callable[[], RolloutPlan]] = {
    "start together everywhere, yet told apart": ask(
        ek.Planned("a", wanted=0.1), ek.Planned("b", wanted=0.1), together=[("a", "b")]
    ),
    "everybody has it within six months": ask(ek.Planned("a", earliest="2028-01", latest="2028-06"), B),
    "earliest after latest": ask(ek.Planned("a", earliest="2028-06", latest="2028-01"), B),
    "more starts than the capacity": ask(ek.Planned("a", earliest="2028-01", latest="2028-04", per_month=2), B),
    "no capacity at all": ask(A, B, per_month=0),
    "fixed outside the dates allowed": ask(
        ek.Planned("a", earliest="2028-01", latest="2029-01", fixed={"p3": "2027-03"}), B
    ),
    "too late to be seen": ask(ek.Planned("a", earliest="2029-10", latest="2029-12"), B),
    "two places": ask(A, B, places=["p0", "p1"]),
    "one place may ever have it": ask(ek.Planned("a", fixed=dict.fromkeys(PLACES[1:])), B),
    "fixed together everywhere": ask(
        ek.Planned("a", fixed={p: f"2028-{i + 1:02d}" for i, p in enumerate(PLACES)}),
        ek.Planned("b", fixed={p: f"2028-{i + 1:02d}" for i, p in enumerate(PLACES)}),
    ),
    "together, with different dates fixed": ask(
        ek.Planned("a", fixed={"p1": "2028-01"}), ek.Planned("b", fixed={"p1": "2028-05"}), together=[("a", "b")]
    ),
    "a place that is not there": ask(ek.Planned("a", fixed={"p99": "2028-01"}), B),
}
"""What is asked -> the call."""
