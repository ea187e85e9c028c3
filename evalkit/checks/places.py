"""Places: does one carry the result, how many stand behind each arm, and who stayed?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.checks.result import CheckResult, moved
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import FEW, FEWEST
from evalkit.show.words import of_people, plural


def without_each(headline: Estimate) -> pd.DataFrame:
    """The headline without each cluster that carries weight: cluster, estimate."""
    reps = headline.replicates
    used = (reps.exposed | reps.comparison)[:, 0]
    return pd.DataFrame({"cluster": reps.names[used], "estimate": reps.values[used, 0]})


def leave_one_cluster(headline: Estimate, matters: float | None = None, person: str = "") -> CheckResult:
    """Failed when leaving out one cluster gives another answer (see `moved`) or none. person: what one is called where
    everybody is alone, and is left out with those matched to them; they are not named."""
    one = person or "place"
    if headline.replicate is None:
        return CheckResult("leave_one_cluster", "informational", f"This design has no estimates without each {one}.")
    table = without_each(headline)
    value, rest = float(headline.value[0]), table["estimate"].to_numpy()
    lost = np.isnan(rest)
    low, high = (np.nan, np.nan) if lost.all() else (float(np.nanmin(rest)), float(np.nanmax(rest)))
    if lost.any():
        names = f"some {person}" if person else ", ".join(map(str, table["cluster"][lost].head(3)))
        return CheckResult(
            "leave_one_cluster", "failed", f"Without {names} there is nothing left to compare.", value, low, high
        )
    worst = int(np.argmax(np.abs(rest - value)))
    name = table["cluster"].iloc[worst]
    if moved(headline, rest, matters).any():
        flips = np.any(np.sign(rest) != np.sign(value))
        what = "The sign changes" if flips else "The answer moves by more than is safe"
        whom = "with those matched to them" if person else f"the largest move is without {name}"
        words = f"{what} when one {one} is left out ({whom})."
        return CheckResult("leave_one_cluster", "failed", words, value, low, high)
    return CheckResult("leave_one_cluster", "passed", f"It holds with any one {one} left out.", value, low, high)


def few_clusters(
    headline: Estimate, arms: tuple[str, str] = ("with it", "without"), place: str = "place"
) -> CheckResult:
    """Informational: counts of clusters by arm, and which inference that calls for. arms, place: what each arm and each
    cluster is called."""
    frame = headline.to_frame()
    exposed, comparison = int(frame["clusters_exposed"][0]), int(frame["clusters_comparison"][0])
    if place == "place":
        counts = f"{exposed} {plural(place)} {arms[0]} and {comparison} {arms[1]}"
    else:  # each cluster is a person
        counts = f"{of_people(exposed, plural(place))} {arms[0]} and {of_people(comparison, arms[1])}"
    if min(exposed, comparison) < FEWEST:
        words = f"Only {counts}: too few for an interval to be trusted alone."
    elif min(exposed, comparison) < FEW:
        df = float(frame["df"][0])
        about = f" and about {df:.0f} degrees of freedom" if np.isfinite(df) else ""
        words = f"{counts[0].upper()}{counts[1:]}: intervals come from leaving out one {place} at a time{about}."
    else:
        words = f"{counts[0].upper()}{counts[1:]}: enough for the usual standard errors."
    return CheckResult("few_clusters", "informational", words)


APART = 0.10


def stayers(exposed: float, comparison: float) -> CheckResult:
    """Failed when the two shares differ by more than ten points: those left are then no longer alike."""
    words = (
        f"Of those seen before the start, {round(100 * exposed)} in 100 with it "
        f"and {round(100 * comparison)} in 100 without it were seen later."
    )
    status = "failed" if abs(exposed - comparison) > APART else "passed"
    return CheckResult("stayers", status, words, exposed - comparison)
