"""Leave one cluster out: does the headline hang on a single place?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.checks.material import moved
from evalkit.checks.result import CheckResult
from evalkit.inference.estimate import Estimate


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
