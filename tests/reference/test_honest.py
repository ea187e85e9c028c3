"""Honest intervals of event studies: figures published with the R package HonestDiD, and brute force."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize_scalar

import evalkit as ek
from evalkit.errors import EvalkitError, OptionError
from evalkit.inference.honest import EventStudy, event_study, folded

DATA = Path(__file__).parent / "data"
SIMULATED = 1e-3
"""R's critical values are quantiles of simulated draws: half-lengths agree to about a thousandth (1.2 at most here)."""


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads((DATA / "honest-did.json").read_text())


@pytest.fixture(scope="module")
def benzarti(published) -> EventStudy:
    given = published["benzarti_carloni"]
    order = [3, 2, 1, 0, 4, 5, 6, 7]
    value, vcov = np.array(given["betahat"])[order], np.array(given["sigma"])[np.ix_(order, order)]
    return EventStudy(value, vcov, -np.arange(1, 5), np.arange(1, 5), np.array([1.0, 0, 0, 0]), math.inf)


@pytest.fixture(scope="module")
def medicaid() -> EventStudy:
    """States that expanded in 2014 beside those that did not by 2015; the covariance that fixest reports."""
    frame = pd.read_csv(DATA / "ehec.csv")
    frame = frame[(frame["year"] < 2016) & (frame["yexp2"] != 2015)]
    frame["expanded"] = ((frame["yexp2"] == 2014) & (frame["year"] >= 2014)).astype(int)
    study = ek.Study(frame, unit="stfips", period="year", outcome="dins", components=["expanded"])
    rows = ek.StaggeredRollout(base="universal")(study, "expanded").aggregate("event_time")
    found = event_study(rows, (0, 0), "analytic")
    G, T, k = study.paths.n_units, study.paths.n_periods, 15
    scale = G / (G - 1) * (G * T - 1) / (G * T - k)
    return EventStudy(found.value, found.vcov * scale, found.before, found.after, found.weights, math.inf)


@pytest.fixture(scope="module")
def mpdta() -> ek.Estimate:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    study = ek.Study(frame, unit="countyreal", period="year", outcome="lemp", components=["raised"])
    return ek.StaggeredRollout(base="universal")(study, "raised").aggregate("event_time")


def test_smoothness_on_benzarti_and_carloni(benzarti, published):
    for M, low, high in published["benzarti_carloni"]["flci"]:
        half = (high - low) / 2
        np.testing.assert_allclose(benzarti.smooth(M, 0.95), (low, high), atol=1.25 * SIMULATED * half)


def test_smoothness_on_medicaid(medicaid, published):
    """Figures are printed with three digits."""
    for M, *printed in published["medicaid"]["flci"]:
        half = (printed[1] - printed[0]) / 2
        for mine, theirs in zip(medicaid.smooth(M, 0.95), printed, strict=True):
            rounding = 0.5 * 10 ** (math.floor(math.log10(abs(theirs))) - 2)
            assert mine == pytest.approx(theirs, abs=rounding + 1.25 * SIMULATED * half)


def test_relative_magnitudes_hold_the_conditional_intervals(medicaid, published):
    """The union is never shorter than the published conditional interval, and no more than 15% longer here."""
    for M, low, high in published["medicaid"]["relative_magnitudes"]:
        mine = medicaid.relative(M, 0.95)
        assert mine[0] < low and mine[1] > high
        assert mine[1] - mine[0] < 1.15 * (high - low)


def restriction(study: EventStudy, turns: bool) -> tuple[np.ndarray, np.ndarray]:
    """Matrix of the second (or first) differences of delta over every period from the first lead on, the reference left
    out as zero, and the periods of its columns."""
    periods = np.arange(study.before.min(), study.after.max() + 1)
    difference = np.diff(np.eye(len(periods)), n=2 if turns else 1, axis=0)
    keep = periods != 0
    return difference[:, keep], periods[keep]


@pytest.mark.parametrize("over", [(0, 0), (0, 3), (1, 2)])
def test_bias_equals_a_linear_programme(mpdta, over):
    study = event_study(mpdta, over, "analytic")
    difference, periods = restriction(study, turns=True)
    for M in (0.002, 0.02):
        v = study.best_weights(M, 0.95)
        goal = np.zeros(len(periods))
        goal[np.searchsorted(periods, study.before)] = v
        goal[np.searchsorted(periods, study.after)] = study.weights
        box = np.vstack([difference, -difference])
        found = linprog(-goal, A_ub=box, b_ub=np.full(len(box), M), bounds=(None, None))
        assert found.status == 0
        assert M * study.worst_bias(v) == pytest.approx(-found.fun, abs=1e-8)


@pytest.mark.parametrize("over", [(0, 0), (0, 3)])
def test_relative_set_equals_linear_programmes(mpdta, over):
    """With no sampling error the union is the identified set: the least and largest effect over all polyhedra."""
    given = event_study(mpdta, over, "analytic")
    study = EventStudy(given.value, given.vcov * 1e-24, given.before, given.after, given.weights, math.inf)
    difference, periods = restriction(study, turns=False)
    goal = np.zeros(len(periods))
    goal[np.searchsorted(periods, study.after)] = study.weights
    pin = np.eye(len(periods))[np.searchsorted(periods, study.before)]
    after = periods.searchsorted(1)
    M, ends = 1.5, []
    for largest in range(after):
        for sign in (-1, 1):
            most = sign * difference[largest]
            box = [s * d - M * most for d in difference[after:] for s in (-1, 1)]
            box += [s * d - most for d in difference[:after] for s in (-1, 1)]
            for side in (-1, 1):
                found = linprog(side * goal, A_ub=np.array(box), b_ub=np.full(len(box), 1e-12), A_eq=pin,
                                b_eq=study.value[: len(study.before)], bounds=(None, None))  # fmt: skip
                if found.status == 0:
                    ends.append(study.mean - side * found.fun)
    np.testing.assert_allclose(study.relative(M, 0.95), (min(ends), max(ends)), atol=1e-8)


@pytest.mark.parametrize("over", [(0, 0), (1, 2), (0, 3)])
def test_shortest_interval_equals_a_search(mpdta, over):
    """With two leads one weight is free: no other is shorter, whatever turns of the drift come after the start."""
    given = event_study(mpdta, over, "analytic")
    keep = [0, 1, *range(len(given.before), len(given.value))]
    study = EventStudy(
        given.value[keep], given.vcov[np.ix_(keep, keep)], given.before[:2], given.after, given.weights, 12.0
    )
    for M in (0.0, 0.005, 0.02, 0.1):

        def half(x: float, M: float = M) -> float:
            v = np.array([x, (-study.slope - x * study.before[0]) / study.before[1]])
            s = study.std_error(v)
            return s * folded(M * study.worst_bias(v) / s, study.df, 0.95)[0]

        best = min(minimize_scalar(half, bounds=b, method="bounded", options={"xatol": 1e-13}).fun
                   for b in ((-3, 0), (0, 1), (1, 3), (-0.5, 1.5)))  # fmt: skip
        low, high = study.smooth(M, 0.95)
        assert (high - low) / 2 == pytest.approx(min(best, half(1.0), half(0.0)), abs=1e-8)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_unit_of_an_outcome_moves_no_end(medicaid, unit):
    """A death in a million people a day has errors of 1e-8: variances of 1e-16 were lost beside periods of 1."""
    small = replace(medicaid, value=medicaid.value * unit, vcov=medicaid.vcov * unit**2)
    for M in (0.0, 0.01):
        ends = np.array(small.smooth(M * unit, 0.95)) / unit
        np.testing.assert_allclose(ends, medicaid.smooth(M, 0.95), rtol=1e-7)


def test_critical_values():
    assert folded(0.0, math.inf, 0.95)[0] == pytest.approx(1.959963984540054, abs=1e-12)
    assert folded(3.0, math.inf, 0.95)[0] == pytest.approx(4.6448536, abs=1e-6)
    assert folded(0.0, 5.0, 0.95)[0] == pytest.approx(2.5705818, abs=1e-6)
    c, slope = folded(0.7, 8.0, 0.9)
    near = folded(0.7 + 1e-6, 8.0, 0.9)[0]
    assert (near - c) / 1e-6 == pytest.approx(slope, abs=1e-5)


def test_a_straight_drift_leaves_the_interval_where_it_is(mpdta):
    study = event_study(mpdta, (0, 3), "analytic")
    moved = study.value + 0.3 * np.concatenate([study.before, study.after])
    drifting = EventStudy(moved, study.vcov, study.before, study.after, study.weights, study.df)
    np.testing.assert_allclose(drifting.smooth(0.01, 0.95), study.smooth(0.01, 0.95), atol=1e-9)


def test_intervals_grow_with_the_bound(mpdta):
    for kind in ("smoothness", "relative_magnitudes"):
        table = ek.honest_intervals(mpdta, [0, 0.01, 0.05, 0.2], kind, over=(0, None))
        width = table["conf_high"] - table["conf_low"]
        assert (np.diff(width) > 0).all()
        assert list(table.columns) == ["restriction", "M", "estimate", "conf_low", "conf_high"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (dict(M=-1.0), "cannot be negative"),
        (dict(M=float("nan")), "cannot be negative or missing"),
        (dict(over=(7, 9)), "no interval"),
        (dict(over=(-3, 0)), "no interval"),
        (dict(restriction="smooth"), "restriction"),
    ],
)
def test_bad_choices_say_what_to_do(mpdta, how, words):
    with pytest.raises(OptionError, match=words):
        ek.honest_intervals(mpdta, **how)


@pytest.mark.parametrize("M", ["x", [], [0.1, None]])
def test_bounds_that_are_no_numbers(mpdta, M):
    with pytest.raises(OptionError, match="bounds a drift"):
        ek.honest_intervals(mpdta, M)


@pytest.mark.parametrize("over", [(0,), "all", 3, (0, 1, 2), (0.5, 1)])
def test_an_over_that_is_no_pair(mpdta, over):
    with pytest.raises(OptionError, match="no pair of event times"):
        ek.honest_intervals(mpdta, over=over)


def test_event_times_that_are_not_there_are_not_left_out_in_silence(mpdta):
    last = int(mpdta.labels["event_time"].max())
    assert len(ek.honest_intervals(mpdta, over=(0, last))) == 1
    with pytest.raises(OptionError, match="have no interval here"):
        ek.honest_intervals(mpdta, over=(0, last + 1))


def test_rows_that_are_no_event_study(mpdta):
    with pytest.raises(EvalkitError, match="need an Estimate"):
        ek.honest_intervals(ek.Interval(1.0, 0.0, 2.0, "by hand"))
    later = mpdta.select(mpdta.labels["event_time"].to_numpy() >= 0)
    with pytest.raises(EvalkitError, match="no rows before the start"):
        ek.honest_intervals(later)
    with pytest.raises(EvalkitError, match="aggregate"):
        ek.honest_intervals(mpdta.average())
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    study = ek.Study(frame, unit="countyreal", period="year", outcome="lemp", components=["raised"])
    with pytest.raises(EvalkitError, match="base='universal'"):
        ek.honest_intervals(ek.StaggeredRollout()(study, "raised").aggregate("event_time"))
