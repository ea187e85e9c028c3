"""Few clusters: how many places stand behind each arm."""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference.arms import FEW, FEWEST
from evalkit.inference.estimate import Estimate
from evalkit.show.words import plural


def few_clusters(
    headline: Estimate, arms: tuple[str, str] = ("with it", "without"), place: str = "place"
) -> CheckResult:
    """Informational: counts of clusters by arm, and which inference that calls for. arms, place: what each arm and each
    cluster is called."""
    frame = headline.to_frame()
    exposed, comparison = int(frame["clusters_exposed"][0]), int(frame["clusters_comparison"][0])
    counts = f"{exposed} {plural(place)} {arms[0]} and {comparison} {arms[1]}"
    if min(exposed, comparison) < FEWEST:
        words = f"Only {counts}: too few for an interval to be trusted alone."
    elif min(exposed, comparison) < FEW:
        df = float(frame["df"][0])
        about = f" and about {df:.0f} degrees of freedom" if np.isfinite(df) else ""
        words = f"{counts[0].upper()}{counts[1:]}: intervals come from leaving out one {place} at a time{about}."
    else:
        words = f"{counts[0].upper()}{counts[1:]}: enough for the usual standard errors."
    return CheckResult("few_clusters", "informational", words)
