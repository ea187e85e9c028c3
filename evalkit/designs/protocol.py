"""What every design is: choices in fields, a plan that sees no outcome, a call that estimates."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from evalkit.designs.plan import Plan
from evalkit.inference import Estimate, Interval
from evalkit.study import Study
from evalkit.study.paths import Paths


@runtime_checkable
class Design(Protocol):
    """A frozen value whose fields are choices; calling it is the act, and nothing is kept."""

    def plan(self, paths: Paths, component: str) -> Plan:
        """The comparisons it would make, from exposure paths alone."""

    def __call__(self, study: Study, component: str) -> Estimate | Interval:
        """The estimates of one component."""
