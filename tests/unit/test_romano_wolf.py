"""Romano and Wolf's step-down: between no adjustment and Holm, sharper the more estimates hang together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evalkit.errors import OptionError
from evalkit.inference.multiplicity import holm, romano_wolf


def equal(k: int, rho: float) -> np.ndarray:
    return np.full((k, k), rho) + (1 - rho) * np.eye(k)


def test_independent_estimates_follow_sidak_step_down() -> None:
    t = np.array([2.0, -2.9, 1.1, 2.4])
    got = romano_wolf(t, np.eye(4), draws=200_000)
    p = np.sort(2 * stats.norm.sf(np.abs(t)))
    want = np.maximum.accumulate(1 - (1 - p) ** np.arange(4, 0, -1))
    np.testing.assert_allclose(np.sort(got), want, atol=0.004)
    assert np.argmin(got) == 1 and np.argmax(got) == 2


def test_scale_does_not_matter_and_df_does() -> None:
    t, corr = np.array([2.5, 2.0, 0.3]), equal(3, 0.4)
    se = np.array([3.0, 0.01, 700.0])
    one, scaled = romano_wolf(t, corr), romano_wolf(t * se, corr * np.outer(se, se))
    np.testing.assert_allclose(one, scaled)
    few = romano_wolf(t, corr, df=4)
    assert (few > one).all()


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_between_plain_and_holm(rho: float) -> None:
    t = np.array([2.6, 2.5, 2.2, 0.4])
    plain = 2 * stats.norm.sf(t)
    got = romano_wolf(t, equal(4, rho), draws=50_000)
    assert (got >= plain).all()
    assert (got <= holm(plain) + 0.005).all()


def test_one_and_the_same_estimate_is_not_counted_twice() -> None:
    plain = 2 * stats.norm.sf(2.2)
    got = romano_wolf([2.2, 2.2], equal(2, 1.0), draws=50_000)
    np.testing.assert_allclose(got, plain, atol=0.003)
    assert holm([plain, plain])[0] == pytest.approx(2 * plain)


def test_members_without_a_number_count_and_strangers_do_not() -> None:
    vcov = np.eye(4)
    vcov[1] = vcov[:, 1] = np.nan
    value = [2.3, np.nan, 1.0, 9.0]
    got = romano_wolf(value, vcov, family=[True, True, True, False], draws=100_000)
    assert np.isnan(got[[1, 3]]).all()
    p = 2 * stats.norm.sf(2.3)
    assert got[0] == pytest.approx(1 - (1 - p) ** 3, abs=0.004)
    alone = romano_wolf(value, vcov, draws=100_000)
    assert np.isnan(alone[1]) and alone[3] <= alone[0] <= alone[2]


def test_family_wise_error_under_the_complete_null(rng: np.random.Generator) -> None:
    corr = equal(3, 0.6)
    z = rng.multivariate_normal(np.zeros(3), corr, 400)
    false = np.mean([romano_wolf(row, corr, draws=499).min() <= 0.05 for row in z])
    unadjusted = np.mean(np.abs(z).max(axis=1) > 1.96)
    assert 0.02 <= false <= 0.085 < unadjusted


def test_seed_decides_and_shapes_are_checked() -> None:
    t, corr = [2.0, 1.9], equal(2, 0.3)
    assert (romano_wolf(t, corr, seed=1) == romano_wolf(t, corr, seed=1)).all()
    assert (romano_wolf(t, corr, seed=1) != romano_wolf(t, corr, seed=2)).any()
    with pytest.raises(OptionError, match="2 by 2"):
        romano_wolf(t, np.eye(3))
    with pytest.raises(OptionError, match="family has 3"):
        romano_wolf(t, corr, family=[True] * 3)
    assert np.isnan(romano_wolf([np.nan], [[np.nan]])).all()
