"""Attacks on matched results: Rosenbaum bounds, E-values, placebo outcomes, negative controls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import checks
from evalkit.checks.people import e_value, e_value_of_difference, rosenbaum_bounds, tipping_gamma
from evalkit.errors import OptionError

DATA = Path(__file__).parents[1] / "reference" / "data"


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads((DATA / "matching-lalonde.json").read_text())


@pytest.mark.parametrize("name", ["nearest_caliper", "exact_race_nearest_caliper"])
def test_bounds_equal_the_reference(reference, name):
    pairs = {a: b for a, b in reference["matchit"][name]["pairs"].items() if b}
    y = pd.read_csv(DATA / "lalonde.csv").set_index("id")["re78"]
    partner = [b if isinstance(b, str) else b[0] for b in pairs.values()]
    gaps = y[list(pairs)].to_numpy() - y[partner].to_numpy()
    want = reference["rosenbaum_signed_rank"][name]
    got = rosenbaum_bounds(gaps, tuple(want["gamma"]))
    np.testing.assert_allclose(got["p_low"], want["p_lower"], rtol=1e-9)
    np.testing.assert_allclose(got["p_high"], want["p_upper"], rtol=1e-9)


def test_e_values_equal_the_reference(reference):
    want = reference["e_value"]
    assert [e_value(r) for r in want["rr"]] == pytest.approx(want["e"])


def test_bounds_widen_with_gamma_and_meet_without_bias(rng):
    table = rosenbaum_bounds(rng.normal(0.4, 1, 200))
    assert table["p_low"][0] == pytest.approx(table["p_high"][0])
    assert table["p_low"].is_monotonic_decreasing
    assert table["p_high"].is_monotonic_increasing


def test_tipping_gamma_is_where_the_bound_passes(rng):
    gaps = rng.normal(0.4, 1, 200)
    gamma = tipping_gamma(gaps)
    assert gamma > 1.2
    assert rosenbaum_bounds(gaps, (gamma,))["p_high"][0] == pytest.approx(0.05, abs=1e-4)
    assert tipping_gamma(-gaps) == pytest.approx(gamma)
    assert tipping_gamma(rng.normal(0, 1, 200) * 0 + np.tile([1, -1], 100)) == 1.0


def test_stronger_effects_need_more_hidden_bias(rng):
    noise = rng.normal(size=300)
    found = [tipping_gamma(noise + shift) for shift in (0.2, 0.4, 0.8, 1.6)]
    assert found == sorted(found)
    assert "times likelier" in checks.hidden_bias(noise + 0.5).words


def test_what_the_bounds_refuse(rng):
    with pytest.raises(OptionError, match="1 .* or more"):
        rosenbaum_bounds(rng.normal(size=10), (0.5,))
    with pytest.raises(OptionError, match="at least two pairs"):
        rosenbaum_bounds(np.zeros(10))
    with pytest.raises(OptionError, match="positive"):
        e_value(-1.0)


def test_e_value_of_an_interval_with_zero_is_one():
    point, end = e_value_of_difference(0.5, -0.1, 1.1, 1.0)
    assert point > 1.5
    assert end == 1.0
    assert e_value_of_difference(0.5, 0.2, 0.8, 1.0)[1] == pytest.approx(e_value(np.exp(0.91 * 0.2)))


def one(value: float, se: float) -> ek.Estimate:
    labels = pd.DataFrame([{"component": "a", "outcome": "y", "estimand": "ATT", "reason": ""}])
    return ek.Estimate.from_influence([value], np.array([[se]]), labels)


@pytest.mark.parametrize(
    ("value", "se", "margin", "status"),
    [(1.0, 0.2, 2.0, "failed"), (0.1, 0.2, 1.0, "passed"), (0.1, 0.6, 1.0, "informational"),
     (0.1, 0.1, None, "informational")],
)  # fmt: skip
def test_placebo_outcome(value, se, margin, status):
    result = checks.placebo_outcome(one(value, se), margin)
    assert result.status == status
    assert result.estimate == pytest.approx(value)


def test_negative_controls_are_adjusted_over_all_of_them():
    quiet = {f"outcome {i}": one(0.01 * i, 0.1) for i in range(1, 5)}
    assert checks.negative_control(quiet, 0.5).status == "passed"
    assert checks.negative_control(quiet, 0.1).status == "informational"
    borderline = {**quiet, "age": one(0.21, 0.1)}
    assert checks.negative_control(borderline, 0.5).status == "passed"
    loud = {**quiet, "age": one(0.5, 0.1)}
    found = checks.negative_control(loud, 0.5)
    assert found.status == "failed"
    assert "age" in found.words


def test_a_hidden_cause_is_found_by_an_outcome_from_before():
    """Matched on x alone, with u unrecorded: the outcome of the year before shows it."""
    rng = np.random.default_rng(4)
    x, u = rng.normal(size=(2, 4000))
    got = rng.random(4000) < 1 / (1 + np.exp(-(x + u)))
    frame = pd.DataFrame({"id": np.arange(4000), "x": x, "got": got.astype(int),
                          "before": x + u + rng.normal(size=4000), "y": x + u + rng.normal(size=4000)})  # fmt: skip
    study = ek.Study(frame, unit="id", period=None, outcomes=["y", "before"], components=["got"], covariates=("x",))
    design = ek.MatchedComparison(caliper=0.1, outcome="before")
    assert checks.placebo_outcome(design(study, "got"), 0.2).status == "failed"
    known = ek.Study(
        frame.assign(u=u), unit="id", period=None, outcomes=["y", "before"], components=["got"], covariates=("x", "u")
    )
    weighted = ek.WeightedComparison(method="aipw", folds=1, outcome="before")
    assert checks.placebo_outcome(weighted(known, "got"), 0.3).status == "passed"
