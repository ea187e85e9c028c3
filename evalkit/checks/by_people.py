"""By people: do other components that start with it affect both kinds of people alike?"""

from __future__ import annotations

import numpy as np

from evalkit.checks.result import CheckResult
from evalkit.inference.estimate import Estimate
from evalkit.show.words import join_words


def by_people(gaps: dict[str, Estimate | None], matters: float | None) -> CheckResult:
    """Passed when each gap between the effects on the two kinds lies inside (-matters, matters).

    gaps: words for each other component that starts with this one and reaches both kinds, and the
    one-row difference of its effects, None where no start of it allows one. Informational when any
    cannot be tested, which counts as not passed.
    """
    if not gaps:
        return CheckResult(
            "by_people", "passed", "No other component that reaches both kinds of people starts with it."
        )
    if matters is None:
        return CheckResult("by_people", "informational", "Nobody has said how large a difference would matter.")
    rows = {w: e.to_frame().iloc[0] for w, e in gaps.items() if e is not None}
    wide = [
        w
        for w, r in rows.items()
        if np.isfinite(r["conf_low"]) and not -matters < r["conf_low"] <= r["conf_high"] < matters
    ]
    unknown = [w for w in gaps if w not in rows or not np.isfinite(rows[w]["conf_low"])]
    if wide:
        row = rows[wide[0]]
        words = f"{join_words(wide)} may affect the two kinds of people differently by as much as matters."
        return CheckResult(
            "by_people", "failed", words, float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])
        )
    if unknown:
        words = f"Nowhere can be seen whether {join_words(unknown)} affects the two kinds of people alike."
        return CheckResult("by_people", "informational", words)
    return CheckResult("by_people", "passed", f"{join_words(gaps)} affects the two kinds of people alike.")
