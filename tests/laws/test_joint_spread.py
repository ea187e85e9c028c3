"""Laws of rows stacked from estimates whose inference differs: each keeps its own, one correlation joins them."""

from __future__ import annotations

import numpy as np
import pytest

import evalkit as ek
from evalkit.evaluation.value.lines import draw
from evalkit.inference.intervals import Spread, joined
from tests.laws.rollouts import rollout, study_of


@pytest.fixture(scope="module")
def mixed() -> ek.Estimate:
    """One row with delete-one-site refits, one with an analytic standard error, of the same units."""
    est = ek.StaggeredRollout()(study_of(rollout(5, people=2)), "a").aggregate("simple")
    noise = np.random.default_rng(0).normal(0, 0.02, len(est.units))[:, None]
    other = ek.Estimate.from_influence([2.0], est.influence / 2 + noise, est.labels, ids=est.units)
    return ek.stack(est, other)


def test_the_joint_covariance_has_each_rows_own_error_and_the_analytic_correlation(mixed):
    joint, rows, analytic = mixed.joint(), mixed.to_frame(), mixed.vcov(inference="analytic")
    own = np.sqrt(np.diag(joint.vcov))
    np.testing.assert_allclose(own, rows["std_error"], rtol=1e-12)
    np.testing.assert_allclose(joint.df, rows["df"])
    assert list(rows["inference"]) == ["jackknife", "analytic"]
    scale = np.sqrt(np.diag(analytic))
    assert abs(own[0] / scale[0] - 1) > 0.1  # refits by site say something else than contributions by unit
    assert joint.vcov[0, 1] / np.prod(own) == pytest.approx(analytic[0, 1] / np.prod(scale), rel=1e-12)
    assert 0.1 < joint.vcov[0, 1] / np.prod(own) < 0.999


def test_a_difference_of_stacked_rows_has_the_variance_that_their_covariance_gives(mixed):
    weights = np.array([1.0, -1.0])
    difference = mixed.contrast(weights, name="one less the other").vcov(inference="analytic")
    np.testing.assert_allclose(difference, weights @ mixed.vcov(inference="analytic") @ weights, rtol=1e-9)


def test_a_band_over_all_rows_is_nowhere_narrower_than_their_own_intervals(mixed):
    band, alone = mixed.interval("simultaneous"), mixed.interval()
    assert (band["conf_low"] < alone["conf_low"]).all() and (band["conf_high"] > alone["conf_high"]).all()


def test_draws_have_the_joint_correlation(mixed):
    joint = mixed.joint().vcov
    made = draw(mixed, 9999, 0.95, seed=1)
    assert np.corrcoef(made.T)[0, 1] == pytest.approx(joint[0, 1] / np.sqrt(np.prod(np.diag(joint))), abs=0.03)


def test_rows_alike_in_inference_have_the_spread_they_always_had():
    study = study_of(rollout(6))
    both = ek.stack(*(ek.StaggeredRollout()(study, c).aggregate("simple") for c in "ab"))
    np.testing.assert_array_equal(both.joint().vcov, both.vcov())
    np.testing.assert_array_equal(both.joint("analytic").vcov, both.vcov(inference="analytic"))


def test_sums_by_hand():
    vcov = np.array([[4.0, 1.0, np.nan], [1.0, 9.0, np.nan], [np.nan, np.nan, np.nan]])
    spread = Spread(vcov, np.array([5.0, 3.0, np.nan]), ("", "", "none"))
    se, df = spread.of_sums(np.array([[1.0, -1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]))
    np.testing.assert_allclose(se, [np.sqrt(11), 4, 0, np.nan])
    np.testing.assert_allclose(df, [3, 5, np.inf, 5])


def test_joined_by_hand():
    rest = Spread(np.diag([1.0, np.nan, 1.0]), np.array([np.inf, 7.0, 5.0]), ("", "lost", ""))
    parts = [Spread(np.eye(1), np.array([4.0]), ("",)), rest]
    vcov = np.zeros((4, 4))
    vcov[:2, :2] = [[1.0, 0.5], [0.5, 1.0]]
    made = joined(parts, np.array([2.0, 3.0, np.nan, 6.0]), vcov)
    none = np.nan
    np.testing.assert_allclose(made.vcov, [[4, 3, none, 0], [3, 9, none, 0], [none] * 4, [0, 0, none, 36]])
    np.testing.assert_allclose(made.df, [4, np.inf, 7, 5])
    assert made.reason == ("", "", "lost", "")


def test_a_row_without_an_error_leaves_none_to_a_sum():
    """One lone adopter moves nothing by itself, so that contributions give a variance of nought: no answer is that
    sure, least of all one that is lost without a place."""
    lost = Spread(np.full((1, 1), np.nan), np.array([1.0]), ("lost",))
    parts = [Spread(np.eye(1), np.array([4.0]), ("",)), lost]
    se, _ = joined(parts, np.array([2.0, np.nan]), np.array([[1.0, 0.0], [0.0, 0.0]])).of_sums(np.eye(2))
    np.testing.assert_allclose(se, [2.0, np.nan])
