"""A range with no honest contributions behind it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A range with no honest contributions behind it: regression discontinuity, bounds, randomisation.

    Verdicts take it; `stack` and attribution refuse it by name.
    """

    value: float
    low: float
    high: float
    provenance: str
