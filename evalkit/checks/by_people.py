"""By people: do other components that start with it affect both kinds of people alike?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from evalkit.checks.result import CheckResult
from evalkit.inference.arms import FEWEST
from evalkit.inference.estimate import Estimate
from evalkit.show.words import join_words

SMALL = 0.5
"""A gap counts as ruled out when it is surely below this share of what matters: a gap goes straight into the
effect, and one of over half of what matters must not pass for none."""


def by_people(gaps: dict[str, Estimate | None], matters: float | None) -> CheckResult:
    """Passed when each gap between the effects on the two kinds lies inside half of (-matters, matters), seen
    in three places at least on either side; failed when one does not and excludes zero.

    gaps: words for each other component that starts with this one and reaches both kinds, and the
    one-row difference of its effects, None where no start of it allows one. Informational, which the
    verdict counts as not passed, when a gap is too wide to rule out a difference, or cannot be tested.
    """
    if not gaps:
        return CheckResult(
            "by_people", "passed", "No other component that reaches both kinds of people starts with it."
        )
    if matters is None:
        return CheckResult("by_people", "informational", "Nobody has said how large a difference would matter.")
    rows = {w: e.to_frame().iloc[0] for w, e in gaps.items() if e is not None}
    rows = {w: r for w, r in rows.items() if np.isfinite(r["conf_low"])}
    apart = [w for w, r in rows.items() if not _inside(r, matters) and not r["conf_low"] <= 0 <= r["conf_high"]]
    if apart:
        words = f"{join_words(apart)} {_affect(apart)} the two kinds of people differently."
        return _result("failed", words, rows[apart[0]])
    wide = [w for w, r in rows.items() if not _inside(r, matters)]
    if wide:
        words = (
            f"A difference that matters between the effects of {join_words(wide)} on the two kinds is not ruled out."
        )
        return _result("informational", words, rows[wide[0]])
    if len(rows) < len(gaps):
        unseen = join_words(w for w in gaps if w not in rows)
        words = f"Nowhere can be seen whether the effects of {unseen} on the two kinds of people are alike."
        return CheckResult("by_people", "informational", words)
    return CheckResult("by_people", "passed", f"{join_words(gaps)} {_affect(gaps)} the two kinds of people alike.")


def _inside(row: pd.Series, matters: float) -> bool:
    """Whether the interval rules out a gap that could turn the answer, and rests on enough places to be trusted."""
    margin, fewest = SMALL * matters, min(row["clusters_exposed"], row["clusters_comparison"])
    return bool(-margin < row["conf_low"] and row["conf_high"] < margin and fewest >= FEWEST)


def _affect(several: Collection[str]) -> str:
    return "affects" if len(several) == 1 else "affect"


def _result(status: str, words: str, row: pd.Series) -> CheckResult:
    low, high = float(row["conf_low"]), float(row["conf_high"])
    return CheckResult("by_people", status, words, float(row["estimate"]), low, high)
