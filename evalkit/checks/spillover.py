"""Who is touched: does the answer hold beside places whose neighbours do not have the component, and what does it do to
those that do not have it while neighbours of theirs do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.checks.headline import CheckResult, difference, excludes_zero, first_row, numbers
from evalkit.inference.estimate import Estimate

ONE_WAY = "Each pair of neighbours is given one way only: the one touches the other, and not the reverse."


@dataclass(frozen=True, eq=False)
class Around:
    """What is known of touched places, one row each, None where it cannot be told.

    beside: the answer beside untouched places. alike: the answer itself over the cohorts and periods of `beside`.
    touched: the effect on those who do not have it while neighbours do. reasons: why there is no `beside`, and no
    `touched`.
    """

    beside: Estimate | None
    alike: Estimate | None
    touched: Estimate | None
    reasons: tuple[str, str] = ("", "")


def spillover(one: Estimate, around: Around | None, matters: float | None) -> CheckResult:
    """Failed where the answer beside untouched places is another one (Butts 2021); its numbers are the answer there.

    It is another one where it differs by more than chance, and by over half of what matters or so that a range that
    excludes zero no longer does; or where touched places changed by more than chance, and a range that excludes zero
    does not do so beside the others. around: None where nobody who serves as comparison is touched.
    """
    if around is None:
        return CheckResult("spillover", "passed", "Nobody who serves as comparison has neighbours that have it.")
    row = None if around.beside is None else first_row(around.beside)
    if around.beside is None or around.alike is None or row is None or not np.isfinite(row["conf_low"]):
        why = around.reasons[0].rstrip(".") or "no range can be given"
        words = f"Places compared have neighbours that have it, and beside others it cannot be told: {why}."
        return CheckResult("spillover", "informational", words)
    apart = difference(around.alike, around.beside, "the answer less that beside untouched places")
    far = matters is None or abs(float(apart["estimate"])) > matters / 2
    carried = _carried(first_row(one), row)
    spills = around.touched is not None and excludes_zero(first_row(around.touched))
    if (excludes_zero(apart) and (far or not carried)) or (spills and not carried):
        words = "Places compared have neighbours that have it; beside places that have none the answer is another one."
        return CheckResult("spillover", "failed", words, *numbers(row))
    words = "Places compared have neighbours that have it; beside places that have none the answer is no other by more "
    return CheckResult("spillover", "passed", f"{words}than chance.", *numbers(row))


def _carried(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both ranges exclude zero on one side, or the first does not exclude it."""
    if not excludes_zero(row):
        return True
    return excludes_zero(other) and float(row["estimate"]) * float(other["estimate"]) > 0


def on_neighbours(around: Around) -> CheckResult:
    """Informational: what having neighbours with it did to those without it."""
    if around.touched is None or not np.isfinite(first_row(around.touched)["conf_low"]):
        why = around.reasons[1].rstrip(".") or "no range can be given"
        words = f"What it does to places whose neighbours have it cannot be told: {why}."
        return CheckResult("on_neighbours", "informational", words)
    row = first_row(around.touched)
    what = "changed" if excludes_zero(row) else "did not surely change"
    words = f"Places without it whose neighbours have it {what} beside those whose neighbours do not."
    return CheckResult("on_neighbours", "informational", words, *numbers(row))
