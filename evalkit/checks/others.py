"""Other components: are they still growing, and do they affect both kinds of people alike?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate, stack
from evalkit.inference.replicates import FEWEST
from evalkit.show.words import join_words

STILL_GROWING = "others_still_growing"


def others_still_growing(
    headline: Estimate,
    long_alike: Estimate | None,
    matters: float | None,
    levels_differ: bool = False,
    growth: Estimate | None = None,
) -> CheckResult:
    """Failed when the headline differs by over matters / 2, or over two standard errors of the difference, from
    the same with `lookback` as long as its window; or when `growth`, what other components' own estimated growth
    adds to it (`growth_of_others`), is as large as that.

    levels_differ: the two sides have different other components (`others="unchanged"`). Then growth that
    nobody can look for counts as failed: it would go straight into the estimate.
    """
    seen = _by_long_alike(headline, long_alike, matters)
    own = None if growth is None else _by_own_growth(growth, matters)
    if "failed" in (seen.status, own.status if own else ""):
        return seen if seen.status == "failed" or own is None else own
    if seen.status == "informational" and levels_differ:
        words = (
            "The places compared have different other components, and none had stood still for long enough "
            "to see whether those were still growing."
        )
        return CheckResult(STILL_GROWING, "failed", words, seen.estimate)
    return own if own is not None and seen.status == "informational" else seen


def _by_long_alike(headline: Estimate, long_alike: Estimate | None, matters: float | None) -> CheckResult:
    if long_alike is None or not np.isfinite(long_alike.value[0]):
        words = "No places had been alike for long enough to see whether earlier components were still growing."
        return CheckResult(STILL_GROWING, "informational", words)
    frame = stack(headline, long_alike).contrast([1.0, -1.0], name="headline less long alike").to_frame()
    diff, low, high, se = (float(frame[c][0]) for c in ("estimate", "conf_low", "conf_high", "std_error"))
    if not np.isfinite(se) and abs(diff) > 0:
        words = "Places alike for long before the start are too few for the difference to be judged."
        return CheckResult(STILL_GROWING, "informational", words, diff)
    if _far(diff, se, matters):
        words = (
            "The answer changes when only places that had long been alike are compared, "
            "so earlier components may still have been growing."
        )
        return CheckResult(STILL_GROWING, "failed", words, diff, low, high)
    words = "The answer is much the same when only places that had long been alike are compared."
    return CheckResult(STILL_GROWING, "passed", words, diff, low, high)


def _by_own_growth(growth: Estimate, matters: float | None) -> CheckResult:
    row = growth.to_frame(inference="analytic").iloc[0]
    part, low, high, se = (float(row[c]) for c in ("estimate", "conf_low", "conf_high", "std_error"))
    if not np.isfinite(part):
        return CheckResult(STILL_GROWING, "informational", f"No places had long been alike, and {row['reason']}.")
    if _far(part, se, matters):
        words = "Other components began at other times on the two sides, and by their own growth move the answer."
        return CheckResult(STILL_GROWING, "failed", words, part, low, high)
    words = "Other components began at other times on the two sides, but their own growth hardly moves the answer."
    return CheckResult(STILL_GROWING, "passed", words, part, low, high)


def _far(difference: float, std_error: float, matters: float | None) -> bool:
    return (matters is not None and abs(difference) > matters / 2) or abs(difference) > 2 * std_error


TAKEN_OUT = "growth_taken_out"
NOTHING = (
    "Every other component had been going for as long on both sides, or had not begun: there is no growth to take out."
)
UNSEEN = "How the other components grew cannot be estimated here, so that it cannot be taken out."


def growth_taken_out(headline: Estimate, growth: Estimate | None) -> CheckResult:
    """Failed when an interval that excludes zero includes it once `growth`, a row of `growth_of_others`, is taken out.

    The check's own numbers are the headline less the growth, with the headline's interval moved by as much. None
    as growth means that there is none to take out.
    """
    if growth is None:
        return CheckResult(TAKEN_OUT, "passed", NOTHING)
    part = float(growth.value[0])
    if not np.isfinite(part):
        return CheckResult(TAKEN_OUT, "informational", UNSEEN)
    row = headline.to_frame().iloc[0]
    value, low, high = (float(row[c]) - part for c in ("estimate", "conf_low", "conf_high"))
    claims = row["conf_low"] > 0 or row["conf_high"] < 0
    gone = low <= 0 <= high or value * float(row["estimate"]) < 0
    if claims and gone:
        words = "Without the growth of other components, as they themselves grew, it could be no change."
        return CheckResult(TAKEN_OUT, "failed", words, value, low, high)
    words = "The answer says the same without the growth of other components, as they themselves grew."
    return CheckResult(TAKEN_OUT, "passed", words, value, low, high)


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
