"""Trends: did the groups move alike before, and are other components still growing?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from evalkit.checks.result import CheckResult, excludes_zero, first_row, numbers
from evalkit.inference import Estimate, stack
from evalkit.inference.intervals import joint_test
from evalkit.inference.replicates import Averaging

BINS = 4
ALPHA = 0.05
POWER = 0.5
STILL_GROWING, TAKEN_OUT = "others_still_growing", "growth_taken_out"
NOTHING = (
    "Every other component had been going for as long on both sides, or had not begun: there is no growth to take out."
)
UNSEEN = "How the other components grew cannot be estimated here, so that it cannot be taken out."


def pre_trend(leads: Estimate, reach: float, matters: float | None) -> CheckResult:
    """Judge event-time rows before the start (universal base).

    leads: rows by event time, all before the base. reach: mean event time of the claimed window plus
    one, over which a drift would have to grow to `matters`.
    """
    usable = leads.select(np.flatnonzero(_has_interval(leads)))
    if not len(usable):
        words = "There are no earlier periods in which to compare the two groups."
        return CheckResult("pre_trend", "informational", words)
    mean = _averages(usable, [np.ones(len(usable), dtype=bool)])
    row = first_row(mean)
    said = numbers(row)
    if not np.isfinite(row["std_error"]):
        words = "The earlier periods rest on too few places to judge."
        return CheckResult("pre_trend", "informational", words, *said)
    p = _joint_p(mean, usable)
    power = _power(usable, row, reach, matters)
    if p < ALPHA:
        brief = "Before the start the two groups were moving apart"
        return CheckResult("pre_trend", "failed", f"{brief} (p = {p:.3f}).", *said, brief=f"{brief}.")
    if power is not None and power < POWER:
        words = (
            "Before the start the two groups moved alike, but a drift that matters "
            f"would have been seen only {round(100 * power)} times in 100."
        )
        return CheckResult("pre_trend", "informational", words, *said)
    tail = "" if power is None else f"; a drift that matters would have been seen {round(100 * power)} times in 100"
    return CheckResult("pre_trend", "passed", f"Before the start the two groups moved alike{tail}.", *said)


def _has_interval(est: Estimate) -> np.ndarray:
    return np.isfinite(est.to_frame()["std_error"].to_numpy())


def _averages(est: Estimate, groups: list[np.ndarray]) -> Estimate:
    member = np.column_stack(groups)
    labels = pd.DataFrame({"estimand": ["mean of leads"] * len(groups)})
    return est.apply(Averaging(member, by_mass=False, total_mass=True), labels)


def _joint_p(mean: Estimate, leads: Estimate) -> float:
    count = min(BINS, len(leads))
    if count > 1:
        bins = np.array_split(np.argsort(leads.labels["event_time"].to_numpy()), count)
        whole = stack(mean, _averages(leads, [np.isin(np.arange(len(leads)), b) for b in bins]))
    else:
        whole = mean
    vcov = whole.vcov()
    good = np.isfinite(np.diag(vcov)) & (np.diag(vcov) > 0)
    df = float(whole.to_frame().loc[good, "df"].min())
    return joint_test(whole.value[good], vcov[np.ix_(good, good)], df)


def _power(leads: Estimate, mean: pd.Series, reach: float, matters: float | None) -> float | None:
    """Chance that the test of the mean sees a straight drift worth `matters` over the claimed window."""
    if matters is None:
        return None
    away = np.mean(np.abs(leads.labels["event_time"].to_numpy() + 1))
    shift = matters / reach * away / float(mean["std_error"])
    df = float(mean["df"])
    cut = stats.t.ppf(1 - ALPHA / 2, df)
    return float(stats.t.sf(cut - shift, df) + stats.t.cdf(-cut - shift, df))


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
    row = first_row(stack(headline, long_alike).contrast([1.0, -1.0], name="headline less long alike"))
    (diff, low, high), se = numbers(row), float(row["std_error"])
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
    (part, low, high), se = numbers(row), float(row["std_error"])
    if not np.isfinite(part):
        return CheckResult(STILL_GROWING, "informational", f"No places had long been alike, and {row['reason']}.")
    if _far(part, se, matters):
        words = "Other components began at other times on the two sides, and by their own growth move the answer."
        return CheckResult(STILL_GROWING, "failed", words, part, low, high)
    words = "Other components began at other times on the two sides, but their own growth hardly moves the answer."
    return CheckResult(STILL_GROWING, "passed", words, part, low, high)


def _far(difference: float, std_error: float, matters: float | None) -> bool:
    return (matters is not None and abs(difference) > matters / 2) or abs(difference) > 2 * std_error


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
    row = first_row(headline)
    value, low, high = (number - part for number in numbers(row))
    gone = low <= 0 <= high or value * float(row["estimate"]) < 0
    if excludes_zero(row) and gone:
        words = "Without the growth of other components, as they themselves grew, it could be no change."
        return CheckResult(TAKEN_OUT, "failed", words, value, low, high)
    words = "The answer says the same without the growth of other components, as they themselves grew."
    return CheckResult(TAKEN_OUT, "passed", words, value, low, high)
