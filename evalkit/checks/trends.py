"""Trends and dates: did the groups move alike before, and does the answer hang on how dates are read?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from evalkit.checks.result import CheckResult, moved
from evalkit.inference import Estimate, stack
from evalkit.inference.intervals import joint_test
from evalkit.inference.replicates import Averaging
from evalkit.show.words import join_words

BINS = 4
ALPHA = 0.05
POWER = 0.5


def pre_trend(leads: Estimate, reach: float, matters: float | None) -> CheckResult:
    """Judge event-time rows before the start (universal base).

    leads: rows by event time, all before the base. reach: mean event time of the claimed window plus
    one, over which a drift would have to grow to `matters`.
    """
    usable = leads.select(np.flatnonzero(_has_interval(leads)))
    if not len(usable):
        return CheckResult(
            "pre_trend", "informational", "There are no earlier periods in which to compare the two groups."
        )
    mean = _averages(usable, [np.ones(len(usable), dtype=bool)])
    frame = mean.to_frame()
    numbers = [float(frame[key][0]) for key in ("estimate", "conf_low", "conf_high")]
    if not np.isfinite(frame["std_error"][0]):
        return CheckResult(
            "pre_trend", "informational", "The earlier periods rest on too few places to judge.", *numbers
        )
    p = _joint_p(mean, usable)
    power = _power(usable, frame, reach, matters)
    if p < ALPHA:
        brief = "Before the start the two groups were moving apart"
        return CheckResult("pre_trend", "failed", f"{brief} (p = {p:.3f}).", *numbers, brief=f"{brief}.")
    if power is not None and power < POWER:
        words = (
            "Before the start the two groups moved alike, but a drift that matters "
            f"would have been seen only {round(100 * power)} times in 100."
        )
        return CheckResult("pre_trend", "informational", words, *numbers)
    tail = "" if power is None else f"; a drift that matters would have been seen {round(100 * power)} times in 100"
    return CheckResult("pre_trend", "passed", f"Before the start the two groups moved alike{tail}.", *numbers)


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


def _power(leads: Estimate, frame: pd.DataFrame, reach: float, matters: float | None) -> float | None:
    """Chance that the test of the mean sees a straight drift worth `matters` over the claimed window."""
    if matters is None:
        return None
    away = np.mean(np.abs(leads.labels["event_time"].to_numpy() + 1))
    shift = matters / reach * away / float(frame["std_error"][0])
    df = float(frame["df"][0])
    cut = stats.t.ppf(1 - ALPHA / 2, df)
    return float(stats.t.sf(cut - shift, df) + stats.t.cdf(-cut - shift, df))


def date_rule(headline: Estimate, readings: dict[str, Estimate | None], matters: float | None = None) -> CheckResult:
    """Failed when another reading gives another answer (see `moved`), or changes whether the interval
    excludes zero.

    readings: words for each other reading, and its estimate (one row; None where it has none).
    """
    if not readings:
        return CheckResult("date_rule", "passed", "No date is uncertain or part-way.")
    frame = headline.to_frame()
    value = float(frame["estimate"][0])
    given = {w: e for w, e in readings.items() if e is not None and np.isfinite(e.value[0])}
    if not given:
        return CheckResult("date_rule", "informational", "The other readings of dates leave nothing to compare.")
    values = {w: float(e.value[0]) for w, e in given.items()}
    low, high = min([value, *values.values()]), max([value, *values.values()])
    changed = [w for w, e in given.items() if _differs(headline, e, matters)]
    if changed:
        words = f"The answer changes with {join_words(changed, 'or')}."
        return CheckResult("date_rule", "failed", words, value, low, high)
    words = f"The answer is much the same with {join_words(given, 'or')}."
    return CheckResult("date_rule", "passed", words, value, low, high)


def _differs(a: Estimate, b: Estimate, matters: float | None) -> bool:
    return bool(moved(a, b.value, matters)[0]) or _side(a) != _side(b)


def _side(est: Estimate) -> int:
    """1 or -1 where the interval excludes zero, else 0."""
    frame = est.to_frame()
    if frame["conf_low"][0] > 0:
        return 1
    return -1 if frame["conf_high"][0] < 0 else 0
