"""Outcomes that wait: lifelines' curves, restricted means, ranges and slopes to 1e-8, and the mean of what stands for
people beside Kaplan and Meier's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from evalkit.waiting.curves import kaplan_meier
from evalkit.waiting.hazards import cox_slopes
from evalkit.waiting.standing import Waited, leaving_order, stand_ins

CASES = json.loads((Path(__file__).parent / "data" / "lifelines_waiting.json").read_text(encoding="utf-8"))["cases"]
NORMAL = 1.959963984540054


@pytest.mark.parametrize("case", CASES, ids=["no ties", "ties"])
def test_curves_restricted_means_ranges_and_slopes_are_those_of_lifelines(case: dict) -> None:
    time, event = np.array(case["time"]), np.array(case["event"])
    for name, weight in (("plain", None), ("weighted", np.array(case["weight"], dtype=float))):
        theirs, ours = case["curves"][name], kaplan_meier(time, event, weight)
        np.testing.assert_allclose(ours.at(np.array(theirs["at"])), theirs["waiting"], atol=1e-8, rtol=0)
        assert abs(ours.restricted_mean(case["by"]) - theirs["restricted_mean"]) < 1e-8
        if "low" in theirs:
            at = np.searchsorted(ours.times, theirs["at"], side="right") - 1
            low, high = ours.ranges(NORMAL)
            np.testing.assert_allclose(low[at], theirs["low"], atol=1e-8, rtol=0)
            np.testing.assert_allclose(high[at], theirs["high"], atol=1e-8, rtol=0)
    slopes = cox_slopes(leaving_order(time, event), event, np.array(case["x"]))
    np.testing.assert_allclose(slopes, case["slopes"], atol=1e-8, rtol=0)


@pytest.mark.parametrize("case", CASES, ids=["no ties", "ties"])
@pytest.mark.parametrize("share", [True, False])
def test_without_covariates_the_mean_is_kaplan_and_meiers_and_its_error_greenwoods(case: dict, share: bool) -> None:
    time, event, by = np.array(case["time"]), np.array(case["event"]), case["by"]
    curve, n = kaplan_meier(time, event), len(time)
    found = stand_ins(Waited(time, event, by, share), np.zeros(n, int), np.zeros((n, 0)))
    mean = float(1 - curve.at(by)) if share else curve.restricted_mean(by)
    assert found.values.mean() == pytest.approx(mean, abs=1e-12)
    if share:
        last = np.searchsorted(curve.times, by, side="right") - 1
        greenwood = curve.waiting[last] * np.sqrt(curve.log_variance[last])
        assert found.values.std() / np.sqrt(n) == pytest.approx(greenwood, rel=1e-9)
    known = Waited(time, event, by, share).known
    assert found.weight.sum() == pytest.approx(n, rel=1e-9), "those who were followed stand for everybody"
    assert (found.weight[~known] == 0).all()


def test_a_weight_counts_as_so_many_people() -> None:
    case = CASES[1]
    time, event, weight = np.array(case["time"]), np.array(case["event"]), np.array(case["weight"])
    weighted = kaplan_meier(time, event, weight.astype(float))
    repeated = kaplan_meier(np.repeat(time, weight), np.repeat(event, weight))
    np.testing.assert_allclose(weighted.waiting, repeated.waiting, atol=1e-12)


@pytest.mark.parametrize("share", [True, False])
def test_what_stands_for_people_who_weigh_unlike_is_what_stands_for_so_many_people(share: bool) -> None:
    case = CASES[1]
    time, event, weight = np.array(case["time"]), np.array(case["event"]), np.array(case["weight"])
    one = stand_ins(Waited(time, event, case["by"], share), np.zeros(len(time), int), np.zeros((len(time), 0)), weight)
    many = Waited(np.repeat(time, weight), np.repeat(event, weight), case["by"], share)
    rows = stand_ins(many, np.zeros(weight.sum(), int), np.zeros((weight.sum(), 0)))
    np.testing.assert_allclose(np.repeat(one.values, weight), rows.values, atol=1e-12)
    curve = kaplan_meier(time, event, weight.astype(float))
    mean = float(1 - curve.at(case["by"])) if share else curve.restricted_mean(case["by"])
    assert np.average(one.values, weights=weight) == pytest.approx(mean, abs=1e-12)


def test_slopes_of_people_who_weigh_unlike_are_where_their_partial_likelihood_is_largest() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(200, 2)), rng.uniform(0.2, 3.0, 200)
    time, event = rng.exponential(np.exp(-x[:, 0])), rng.random(200) < 0.7

    def least(slopes: np.ndarray) -> float:
        risk = x @ slopes
        beside = np.array([np.log(weight[time >= t] @ np.exp(risk[time >= t])) for t in time])
        return -float(weight[event] @ (risk - beside)[event])

    found = cox_slopes(leaving_order(time, event), event, x, weight)
    np.testing.assert_allclose(found, minimize(least, np.zeros(2), method="BFGS").x, atol=1e-5)


def test_what_stands_for_people_is_right_where_either_hazard_is() -> None:
    """Lost by a covariate that also moves the event: Kaplan-Meier misses, either model alone is enough."""
    rng = np.random.default_rng(3)
    n = 40_000
    x = rng.integers(0, 2, size=n).astype(float)
    life, gone = (
        rng.exponential(size=n) * np.where(x == 1, 3.0, 1.0),
        rng.exponential(size=n) * np.where(x == 1, 1.0, 4.0),
    )
    life, gone = np.ceil(4 * life), np.ceil(4 * gone)
    time, event, group = np.minimum(life, gone), life <= gone, np.zeros(n, int)
    truth = float((life <= 4).mean())
    waited = Waited(time, event, 4.0, True)
    assert abs(float(1 - kaplan_meier(time, event).at(4.0)) - truth) > 0.015
    assert stand_ins(waited, group, x[:, None]).values.mean() == pytest.approx(truth, abs=0.008)
