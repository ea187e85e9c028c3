"""Checks of one headline: was it alike before, does it hold without one place, by other designs, with other dates, and
are other components still growing? And what every check says: passed, failed or informational, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from evalkit.errors import check_choice
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import joint_test
from evalkit.inference.replicates import FEW, FEWEST, Averaging
from evalkit.inference.stacking import stack
from evalkit.show.words import design_words, join_words, of_people, plural
from evalkit.vocabulary import CHECK_STATUSES, CheckStatus

ALPHA = 0.05
BINS = 4
POWER = 0.5
ROUNDING = 1e-8
"""Share of an answer's standard error up to which its difference from another is rounding."""
STILL_GROWING, TAKEN_OUT = "others_still_growing", "growth_taken_out"
NOTHING = (
    "Every other component had been going for as long on both sides, or had not begun: there is no growth to take out."
)
UNSEEN = "How the other components grew cannot be estimated here, so that it cannot be taken out."


@dataclass(frozen=True)
class CheckResult:
    """One check of one component's headline. `estimate` and its range are the check's own number; `brief` is what it
    says without a p value, where `words` hold one."""

    check: str
    status: CheckStatus
    words: str
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    brief: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_choice("status", self.status, CHECK_STATUSES)


def first_row(estimate: Estimate) -> Mapping[str, Any]:
    """The first row of an estimate, with its interval."""
    return estimate.row()


def numbers(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Estimate and both ends of its interval."""
    return float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])


def difference(one: Estimate, other: Estimate, name: str) -> Mapping[str, Any]:
    """The first row of one estimate less the other, by their joint covariance. A difference that is rounding beside the
    error of `one` is none: divided by an error that is rounding too, it would be as sure as the last digits have it."""
    row = first_row(stack(one, other).contrast([1.0, -1.0], name=name))
    if abs(float(row["estimate"])) <= ROUNDING * float(first_row(one)["std_error"]):
        return {**row, "estimate": 0.0, "std_error": 0.0, "conf_low": 0.0, "conf_high": 0.0, "p_value": 1.0}
    return row


def excludes_zero(row: Mapping[str, Any]) -> bool:
    """Whether the interval lies wholly on one side of zero."""
    return bool(row["conf_low"] > 0 or row["conf_high"] < 0)


def moved(headline: Estimate, others: np.ndarray, matters: float | None) -> np.ndarray:
    """Which of `others` (m,) are another answer than the headline's.

    Where the headline's interval excludes zero: the sign flips, or the estimate moves by over half. Where
    it does not, the estimate is near zero and any sign is chance: then only a move by over half of what
    matters counts (by over one standard error where nobody has said what matters).
    """
    row = first_row(headline)
    value = float(row["estimate"])
    if excludes_zero(row):
        return (np.sign(others) != np.sign(value)) | (np.abs(others - value) > abs(value) / 2)
    margin = matters / 2 if matters is not None else float(row["std_error"])
    return np.abs(others - value) > margin


# ---------------------------------------------------------------- places, designs and dates


def without_each(headline: Estimate) -> pd.DataFrame:
    """The headline without each cluster that carries weight: cluster, estimate."""
    reps = headline.replicates
    used = (reps.exposed | reps.comparison)[:, 0]
    return pd.DataFrame({"cluster": reps.names[used], "estimate": reps.values[used, 0]})


def leave_one_cluster(headline: Estimate, matters: float | None = None, person: str = "") -> CheckResult:
    """Passed when the answer holds with any one cluster left out (see `moved`), else informational: a failure takes out
    true effects, and more so the smaller they are, while the interval counts what one cluster moves already. person:
    what one is called where everybody is alone, and is left out with those matched to them; they are not named."""
    check, one = "leave_one_cluster", person or "place"
    if headline.replicate is None:
        return CheckResult(check, "informational", f"This design has no estimates without each {one}.")
    table = without_each(headline)
    value, rest = float(headline.value[0]), table["estimate"].to_numpy()
    lost = np.isnan(rest)
    low, high = (np.nan, np.nan) if lost.all() else (float(np.nanmin(rest)), float(np.nanmax(rest)))
    if lost.any():
        names = f"some {person}" if person else ", ".join(map(str, table["cluster"][lost].head(3)))
        words = f"Without {names} there is nothing left to compare."
        return CheckResult(check, "informational", words, value, low, high)
    if moved(headline, rest, matters).any():
        flips = np.any(np.sign(rest) != np.sign(value))
        what = "The sign changes" if flips else "The answer moves by more than is safe"
        name = table["cluster"].iloc[int(np.argmax(np.abs(rest - value)))]
        whom = "with those matched to them" if person else f"the largest move is without {name}"
        words = f"{what} when one {one} is left out ({whom})."
        return CheckResult(check, "informational", words, value, low, high)
    return CheckResult(check, "passed", f"It holds with any one {one} left out.", value, low, high)


def few_clusters(
    headline: Estimate, arms: tuple[str, str] = ("with it", "without"), place: str = "place"
) -> CheckResult:
    """Informational: counts of clusters by arm, and which inference that calls for. arms, place: what each arm and each
    cluster is called."""
    row = first_row(headline)
    exposed, comparison = int(row["clusters_exposed"]), int(row["clusters_comparison"])
    if place == "place":
        counts = f"{exposed} {plural(place)} {arms[0]} and {comparison} {arms[1]}"
    else:  # each cluster is a person
        counts = f"{of_people(exposed, plural(place))} {arms[0]} and {of_people(comparison, arms[1])}"
    if min(exposed, comparison) < FEWEST:
        words = f"Only {counts}: too few for an interval to be trusted alone."
    elif min(exposed, comparison) < FEW:
        df = float(row["df"])
        about = f" and about {df:.0f} degrees of freedom" if np.isfinite(df) else ""
        way = f"leaving out one {place} at a time" + (
            " and from what the weights were made with" if row["inference"] == "moderated" else ""
        )
        words = f"{counts[0].upper()}{counts[1:]}: intervals come from {way}{about}."
    else:
        words = f"{counts[0].upper()}{counts[1:]}: enough for the usual standard errors."
    return CheckResult("few_clusters", "informational", words)


def rungs(headline: Estimate, others: dict[str, Estimate]) -> CheckResult:
    """Failed when a stacked difference from another rung is surer than chance (Bonferroni over rungs).

    headline and others: one row each, on the same outcome; the difference carries their joint
    covariance, so that shared units are not counted twice.
    """
    tests = {}
    for name, other in others.items():
        if np.isfinite(other.value[0]):
            tests[name] = difference(headline, other, "headline less the other rung")
    if not tests:
        return CheckResult("rungs", "informational", "No other design could be run beside this one.")
    p_values = {name: float(row["p_value"]) for name, row in tests.items()}
    name = min(p_values, key=lambda n: p_values[n] if np.isfinite(p_values[n]) else np.inf)
    said, p = numbers(tests[name]), p_values[name]
    if not np.isfinite(p):
        return CheckResult("rungs", "informational", "The difference from the other designs has no interval.", *said)
    if p * len(tests) < ALPHA:
        words = f"The answer differs by more than chance from that of another comparison: {design_words(name)}."
        return CheckResult("rungs", "failed", words, *said)
    listed = join_words([design_words(n) for n in tests])
    return CheckResult(
        "rungs", "passed", f"Other ways of comparing do not differ by more than chance: {listed}.", *said
    )


def date_rule(
    headline: Estimate, readings: dict[str, Estimate | None], matters: float | None = None, bounded: bool = False
) -> CheckResult:
    """Failed when another reading gives another answer (see `moved`), or changes whether the interval
    excludes zero.

    readings: words for each other reading, and its estimate (one row; None where it has none). bounded: whether some
    starts are known within bounds alone, which `start_dates` looks at.
    """
    if not readings:
        which = "Beside starts known within bounds, no date" if bounded else "No date"
        return CheckResult("date_rule", "passed", f"{which} is uncertain or part-way.")
    value = float(headline.value[0])
    given = {w: e for w, e in readings.items() if e is not None and np.isfinite(e.value[0])}
    if not given:
        return CheckResult("date_rule", "informational", "The other readings of dates leave nothing to compare.")
    values = [value, *(float(e.value[0]) for e in given.values())]
    changed = [w for w, e in given.items() if moved(headline, e.value, matters)[0] or _side(headline) != _side(e)]
    if changed:
        words = f"The answer changes with {join_words(changed, 'or')}."
        return CheckResult("date_rule", "failed", words, value, min(values), max(values))
    words = f"The answer is much the same with {join_words(given, 'or')}."
    return CheckResult("date_rule", "passed", words, value, min(values), max(values))


def verdict_side(est: Estimate, matters: float | None) -> tuple[int, bool]:
    """Which side of zero the interval lies on (0 for neither), and whether it is smaller than what matters there."""
    row = first_row(est)
    small = matters is not None and -matters < row["conf_low"] and row["conf_high"] < matters
    side = _side(est)
    return side, bool(small) if side == 0 else False


def _side(est: Estimate) -> int:
    """1 or -1 where the interval excludes zero, else 0."""
    row = first_row(est)
    return int(np.sign(row["conf_low"])) if excludes_zero(row) else 0


# ---------------------------------------------------------------- trends before, and growth of others


def pre_trend(leads: Estimate, reach: float, matters: float | None, slope: float = math.nan) -> CheckResult:
    """Judge event-time rows before the start (universal base).

    leads: rows by event time, all before the base. reach: mean event time of the claimed window plus
    one, over which a drift would have to grow to `matters`. slope: p of a straight line before the start by all that
    the headline reads, NaN where there is none; of two tests the smaller p counts twice (Bonferroni).
    """
    usable = leads.select(np.flatnonzero(np.isfinite(leads.to_frame()["std_error"].to_numpy())))
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
    if math.isfinite(slope):
        p = min(1.0, 2 * min(p, slope))
    if p < ALPHA:
        brief = "Before the start the two groups were moving apart"
        return CheckResult("pre_trend", "failed", f"{brief} (p = {p:.3f}).", *said, brief=f"{brief}.")
    power = None if matters is None else _power(usable, row, matters / reach)
    if power is not None and power < POWER:
        words = (
            "Before the start the two groups moved alike, but a drift that matters "
            f"would have been seen only {round(100 * power)} times in 100."
        )
        return CheckResult("pre_trend", "informational", words, *said)
    tail = "" if power is None else f"; a drift that matters would have been seen {round(100 * power)} times in 100"
    return CheckResult("pre_trend", "passed", f"Before the start the two groups moved alike{tail}.", *said)


def _averages(est: Estimate, groups: list[np.ndarray]) -> Estimate:
    labels = pd.DataFrame({"estimand": ["mean of leads"] * len(groups)})
    return est.apply(Averaging(np.column_stack(groups), by_mass=False, total_mass=True), labels)


def _joint_p(mean: Estimate, leads: Estimate) -> float:
    """p of the mean of the leads, and of up to four bins of them, all zero."""
    whole, count = mean, min(BINS, len(leads))
    if count > 1:
        bins = np.array_split(np.argsort(leads.label_columns["event_time"]), count)
        whole = stack(mean, _averages(leads, [np.isin(np.arange(len(leads)), b) for b in bins]))
    vcov = whole.vcov()
    good = np.isfinite(np.diag(vcov)) & (np.diag(vcov) > 0)
    df = float(whole.to_frame().loc[good, "df"].min())
    return joint_test(whole.value[good], vcov[np.ix_(good, good)], df)


def _power(leads: Estimate, mean: Mapping[str, Any], drift: float) -> float:
    """Chance that the test of the mean sees a straight drift of so much a period."""
    away = np.mean(np.abs(leads.label_columns["event_time"] + 1))
    shift, df = drift * away / float(mean["std_error"]), float(mean["df"])
    cut = stdtrit(df, 1 - ALPHA / 2)
    return float(stdtr(df, shift - cut) + stdtr(df, -cut - shift))


def others_still_growing(
    headline: Estimate,
    long_alike: Estimate | None,
    matters: float | None,
    levels_differ: bool = False,
    growth: Estimate | None = None,
) -> CheckResult:
    """Failed when the headline differs by over matters / 2, and by more than chance, from the same with `lookback` as
    long as its window; or when `growth`, what other components' own estimated growth adds to it
    (`growth_of_others`), is as large as that and surely not nothing.

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
    row = difference(headline, long_alike, "headline less long alike")
    diff, low, high = numbers(row)
    if not np.isfinite(low) and abs(diff) > 0:
        words = "Places alike for long before the start are too few for the difference to be judged."
        return CheckResult(STILL_GROWING, "informational", words, diff)
    if _far(row, matters):
        words = (
            "The answer changes when only places that had long been alike are compared, "
            "so earlier components may still have been growing."
        )
        return CheckResult(STILL_GROWING, "failed", words, diff, low, high)
    words = "The answer is much the same when only places that had long been alike are compared."
    return CheckResult(STILL_GROWING, "passed", words, diff, low, high)


def _by_own_growth(growth: Estimate, matters: float | None) -> CheckResult:
    row = growth.to_frame(inference="analytic").iloc[0]
    part, low, high = numbers(row)
    if not np.isfinite(part):
        return CheckResult(STILL_GROWING, "informational", f"No places had long been alike, and {row['reason']}.")
    if _far(row, matters):
        words = "Other components began at other times on the two sides, and by their own growth move the answer."
        return CheckResult(STILL_GROWING, "failed", words, part, low, high)
    words = "Other components began at other times on the two sides, but their own growth hardly moves the answer."
    return CheckResult(STILL_GROWING, "passed", words, part, low, high)


def _far(row: Mapping[str, Any], matters: float | None) -> bool:
    return excludes_zero(row) and (matters is None or abs(float(row["estimate"])) > matters / 2)


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
    if excludes_zero(row) and (low <= 0 <= high or value * float(row["estimate"]) < 0):
        words = "Without the growth of other components, as they themselves grew, it could be no change."
        return CheckResult(TAKEN_OUT, "failed", words, value, low, high)
    words = "The answer says the same without the growth of other components, as they themselves grew."
    return CheckResult(TAKEN_OUT, "passed", words, value, low, high)
