"""Leave one cluster out: does the headline hang on a single place?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.checks.result import CheckResult
from evalkit.inference.estimate import Estimate


def without_each(headline: Estimate) -> pd.DataFrame:
    """The headline without each cluster that carries weight: cluster, estimate."""
    reps = headline.replicates
    used = (reps.exposed | reps.comparison)[:, 0]
    return pd.DataFrame({"cluster": reps.names[used], "estimate": reps.values[used, 0]})


def leave_one_cluster(headline: Estimate) -> CheckResult:
    """Failed when leaving out one cluster flips the sign or moves the estimate by over half."""
    if headline.replicate is None:
        return CheckResult("leave_one_cluster", "informational", "This design has no estimates without each place.")
    table = without_each(headline)
    value, rest = float(headline.value[0]), table["estimate"].to_numpy()
    low, high = float(np.nanmin(rest)), float(np.nanmax(rest))
    lost = np.isnan(rest)
    if lost.any():
        names = ", ".join(map(str, table["cluster"][lost].head(3)))
        return CheckResult(
            "leave_one_cluster", "failed", f"Without {names} there is nothing left to compare.", value, low, high
        )
    worst = int(np.argmax(np.abs(rest - value)))
    name = table["cluster"].iloc[worst]
    if np.any(np.sign(rest) != np.sign(value)):
        words = f"The sign changes when one place is left out (the largest move is without {name})."
        return CheckResult("leave_one_cluster", "failed", words, value, low, high)
    if abs(rest[worst] - value) > abs(value) / 2:
        words = f"The estimate moves by over half without {name}."
        return CheckResult("leave_one_cluster", "failed", words, value, low, high)
    return CheckResult("leave_one_cluster", "passed", "It holds with any one place left out.", value, low, high)
