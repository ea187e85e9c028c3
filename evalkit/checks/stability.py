"""Stability: does the answer hold without one place, by other designs, with other dates, and who stayed?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.checks.result import CheckResult, excludes_zero, first_row, moved, numbers
from evalkit.inference import Estimate, stack
from evalkit.inference.replicates import FEW, FEWEST
from evalkit.show.words import design_words, join_words, of_people, plural

ALPHA = 0.05
APART = 0.10


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
        words = f"Without {names} there is nothing left to compare."
        return CheckResult("leave_one_cluster", "failed", words, value, low, high)
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
        words = f"{counts[0].upper()}{counts[1:]}: intervals come from leaving out one {place} at a time{about}."
    else:
        words = f"{counts[0].upper()}{counts[1:]}: enough for the usual standard errors."
    return CheckResult("few_clusters", "informational", words)


def stayers(exposed: float, comparison: float) -> CheckResult:
    """Failed when the two shares differ by more than ten points: those left are then no longer alike."""
    words = (
        f"Of those seen before the start, {round(100 * exposed)} in 100 with it "
        f"and {round(100 * comparison)} in 100 without it were seen later."
    )
    return CheckResult(
        "stayers", "failed" if abs(exposed - comparison) > APART else "passed", words, exposed - comparison
    )


def rungs(headline: Estimate, others: dict[str, Estimate]) -> CheckResult:
    """Failed when a stacked difference from another rung is surer than chance (Bonferroni over rungs).

    headline and others: one row each, on the same outcome; the difference carries their joint
    covariance, so that shared units are not counted twice.
    """
    usable = {name: est for name, est in others.items() if np.isfinite(est.value[0])}
    if not usable:
        return CheckResult("rungs", "informational", "No other design could be run beside this one.")
    tests = {name: _difference(headline, est) for name, est in usable.items()}
    p_values = {name: float(row["p_value"]) for name, row in tests.items()}
    name = min(tests, key=lambda n: p_values[n] if np.isfinite(p_values[n]) else np.inf)
    said, p = numbers(tests[name]), p_values[name]
    if not np.isfinite(p):
        words = "The difference from the other designs has no interval."
        return CheckResult("rungs", "informational", words, *said)
    if p * len(tests) < ALPHA:
        words = f"The answer differs by more than chance from that of another comparison: {design_words(name)}."
        return CheckResult("rungs", "failed", words, *said)
    listed = join_words([design_words(n) for n in usable])
    return CheckResult(
        "rungs", "passed", f"Other ways of comparing do not differ by more than chance: {listed}.", *said
    )


def _difference(a: Estimate, b: Estimate) -> pd.Series:
    return first_row(stack(a, b).contrast([1.0, -1.0], name="headline less the other rung"))


def date_rule(headline: Estimate, readings: dict[str, Estimate | None], matters: float | None = None) -> CheckResult:
    """Failed when another reading gives another answer (see `moved`), or changes whether the interval
    excludes zero.

    readings: words for each other reading, and its estimate (one row; None where it has none).
    """
    if not readings:
        return CheckResult("date_rule", "passed", "No date is uncertain or part-way.")
    value = float(headline.value[0])
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
    row = first_row(est)
    return int(np.sign(row["conf_low"])) if excludes_zero(row) else 0
