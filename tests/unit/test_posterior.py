"""Posteriors by quadrature, beside adaptive integration and what is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from evalkit.decision.posterior import ALLOWANCE, CONFLICT, believed_before, giving_way, posterior, widened

CASES = [(0.5, 1.0, 3.0), (3.0, 0.2, 5.0), (0.2, 6.0, 1.2), (-1.0, 0.05, 20.0), (2.0, 0.4, 2.0), (6.0, 0.3, 500.0)]


@pytest.mark.parametrize(("estimate", "std_error", "df"), CASES)
@pytest.mark.parametrize("sd", [0.6, 1.0, 2.0])
def test_chances_mean_and_spread_agree_with_adaptive_integration(
    estimate: float, std_error: float, df: float, sd: float
) -> None:
    def density(x: float) -> float:
        likelihood = (1 + ((estimate - x) / std_error) ** 2 / df) ** (-(df + 1) / 2)
        return likelihood * math.exp(-0.5 * ((x - 0.3) / sd) ** 2)

    marks = sorted({-1.0, 0.0, 0.3, 1.0, estimate})

    def total(f: object, low: float = -15.0) -> float:
        return quad(f, low, 15, points=[m for m in marks if m > low], limit=2000)[0]  # type: ignore[arg-type]

    whole = total(density)
    made = posterior(estimate, std_error, df, (0.3, sd))
    for x in (-1.0, 0.0, 1.0):
        assert made.above(x)[0] == pytest.approx(total(density, x) / whole, abs=2e-3)
    mean = total(lambda x: x * density(x)) / whole
    spread = np.sqrt(total(lambda x: (x - mean) ** 2 * density(x)) / whole)
    assert made.mean[0] == pytest.approx(mean, abs=0.03 * spread)
    assert made.sd[0] == pytest.approx(spread, rel=0.02)
    gain = total(lambda x: max(x - 0.5, 0.0) * density(x)) / whole
    assert made.gain(0.5)[0] == pytest.approx(gain, abs=2e-3)


def test_a_normal_likelihood_gives_the_conjugate_answer() -> None:
    made = posterior(1.2, 0.5, np.inf, (0.0, 1.0), at=[0.7])
    mean, sd = 1.2 / 0.25 / (1 + 1 / 0.25), np.sqrt(1 / (1 + 1 / 0.25))
    assert (made.mean[0], made.sd[0]) == (pytest.approx(mean, abs=1e-3), pytest.approx(sd, abs=1e-3))
    assert made.above(0.7)[0] == pytest.approx(stats.norm.sf(0.7, mean, sd), abs=1e-3)
    for share in (0.1, 0.3, 0.9):
        assert made.quantile(share)[0] == pytest.approx(stats.norm.ppf(share, mean, sd), abs=3e-3)


def test_a_flat_prior_gives_the_t_distribution() -> None:
    made = posterior(0.4, 0.5, 6.0, (0.0, np.inf))
    assert made.above(0.0)[0] == pytest.approx(stats.t.cdf(0.8, 6), abs=1e-3)
    assert made.above(1.0)[0] == pytest.approx(stats.t.cdf(-1.2, 6), abs=1e-3)


@pytest.mark.parametrize("sd", [1e3, 1e6, 1e9, 1e200])
def test_a_prior_that_is_wide_enough_is_flat(sd: float) -> None:
    """Steps of its quantiles alone would pass over the whole of what the data say: .93 and .50 for .9999."""
    made = posterior(1.8, 0.4, 20.0, (0.0, sd), at=[0.9])
    for x in (0.0, 0.9, 1.0):
        assert made.above(x)[0] == pytest.approx(stats.t.cdf((1.8 - x) / 0.4, 20), abs=1e-3)
    assert made.mean[0] == pytest.approx(1.8, abs=1e-3)


def test_doubt_gives_way_to_what_refutes_it_and_no_sooner() -> None:
    assert giving_way(CONFLICT, 0.5, (0.0, 1.0)) == 1.0
    assert giving_way(-3.1, 0.0, (0.0, 1.0)) == pytest.approx(3.1 / CONFLICT)
    wide = giving_way(15.0, 1.0, (0.0, 2.0))
    assert 15.0 / np.hypot(wide, 1.0) == pytest.approx(CONFLICT)
    assert giving_way(15.0, 1.0, (0.0, np.inf)) == np.inf


@pytest.mark.parametrize("df", [1.5, 2.6, 4.0, 10.0, 100.0])
def test_a_larger_benefit_never_makes_a_benefit_less_likely(df: float) -> None:
    estimate = np.linspace(0, 30, 301)
    wide = giving_way(estimate, 1.0, (0.0, 1.0))
    chance = posterior(estimate, 1.0, np.full(301, df), (0.0, wide)).above(0.0)
    assert (np.maximum.accumulate(chance) - chance).max() < 0.02 and chance[-1] > 0.95
    refuted = posterior(estimate, 1.0, np.full(301, df)).above(0.0)
    assert df > 10 or refuted[-1] < 0.8


def test_rows_are_worked_out_each_for_itself() -> None:
    est, se, df = (np.array(x) for x in zip(*CASES, strict=True))
    at = np.linspace(-1, 2, len(est))[:, None]
    together = posterior(est, se, df, at=at).above(at[:, 0])
    alone = [posterior(*case, at=a).above(a[0])[0] for case, a in zip(CASES, at, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_losses_differ_by_the_expected_net_effect() -> None:
    made = posterior(0.5, 0.8, 8.0)
    assert made.gain(0.4)[0] - made.loss(0.4)[0] == pytest.approx(made.mean[0] - 0.4, abs=1e-9)
    assert min(made.gain(0.4)[0], made.loss(0.4)[0]) > 0


def test_the_allowance_is_added_to_the_variance() -> None:
    assert widened(0.3) == pytest.approx(np.sqrt(0.09 + ALLOWANCE**2))


@pytest.mark.parametrize("before", [0.3, 0.5, 0.6])
def test_reverse_bayes_finds_the_belief_that_makes_one_sure(before: float) -> None:
    bayes_factor = 0.9 / 0.1 * (1 - before) / before
    from_even = bayes_factor / (1 + bayes_factor)
    assert believed_before(from_even) == pytest.approx(before)
    other = bayes_factor * 0.7 / 0.3
    assert believed_before(other / (1 + other), before=0.7) == pytest.approx(before)
