"""Pre-trend: did the two groups move alike before the start, and could a drift have been seen?

Mean of the leads, and at most four bins of them, judged together by sup-t under t(df): a Wald test
on all leads rejects far too often with few clusters. Where the power against a drift that reaches
`matters` within the claimed window is under one half, the check only informs (Roth 2022, AER:
Insights 4, on passing tests of low power).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from evalkit.checks.result import CheckResult
from evalkit.inference import Estimate, stack
from evalkit.inference.aggregate import Averaging
from evalkit.inference.intervals import joint_test

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
    numbers = {key: float(frame[key][0]) for key in ("estimate", "conf_low", "conf_high")}
    if not np.isfinite(frame["std_error"][0]):
        return CheckResult(
            "pre_trend", "informational", "The earlier periods rest on too few places to judge.", **numbers
        )
    p = _joint_p(mean, usable)
    power = _power(usable, frame, reach, matters)
    if p < ALPHA:
        return CheckResult(
            "pre_trend", "failed", f"Before the start the two groups were moving apart (p = {p:.3f}).", **numbers
        )
    if power is not None and power < POWER:
        words = (
            "Before the start the two groups moved alike, but a drift that matters "
            f"would have been seen only {round(100 * power)} times in 100."
        )
        return CheckResult("pre_trend", "informational", words, **numbers)
    tail = "" if power is None else f"; a drift that matters would have been seen {round(100 * power)} times in 100"
    return CheckResult("pre_trend", "passed", f"Before the start the two groups moved alike{tail}.", **numbers)


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
