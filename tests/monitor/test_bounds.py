"""Lines for looks: against published bounds, against simulation, and estimates after a crossing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from evalkit.monitor.bounds import (
    FAR,
    Held,
    adjusted,
    next_bound,
    planned_bounds,
    sequence_bound,
    spent,
    t_of,
    z_of,
)

# Two-sided 5% as .025 a side, spending of Lan and DeMets (O'Brien-Fleming-like): gsDesign's sfLDOF, rpact's asOF.
PUBLISHED = {
    2: [2.963, 1.969],
    3: [3.710, 2.511, 1.993],
    4: [4.333, 2.963, 2.359, 2.014],
    5: [4.877, 3.357, 2.680, 2.290, 2.031],
}


@pytest.mark.parametrize("looks", sorted(PUBLISHED))
def test_bounds_are_the_published_ones(looks: int) -> None:
    found = planned_bounds(np.arange(1, looks + 1) / looks, 0.05)
    assert found == pytest.approx(PUBLISHED[looks], abs=0.001)


def test_alpha_is_spent_to_the_last_and_no_further() -> None:
    assert spent(0.0, 0.05) == 0.0 and spent(1.0, 0.05) == pytest.approx(0.05) and spent(2.0, 0.05) == spent(1.0, 0.05)
    rising = [spent(s, 0.05) for s in np.linspace(0.05, 1, 20)]
    assert np.all(np.diff(rising) > 0)


def test_a_chain_that_never_moves_is_crossed_as_often_as_was_allowed() -> None:
    correlations, bounds = [0.0, 0.8, 0.95, 0.6], []
    allowed = [0.004, 0.006, 0.02, 0.02]
    for k in range(4):
        bounds.append(next_bound(correlations[: k + 1], bounds, allowed[k]))
    rng = np.random.default_rng(3)
    z = rng.standard_normal(400_000)
    crossed, spent_so_far = np.zeros(len(z), dtype=bool), 0.0
    for r, bound, may in zip(correlations, bounds, allowed, strict=True):
        z = r * z + np.sqrt(1 - r**2) * rng.standard_normal(len(z))
        crossed |= np.abs(z) >= bound
        spent_so_far += may
        assert crossed.mean() == pytest.approx(spent_so_far, abs=0.0012)


def test_a_look_that_brings_nothing_new_spends_nothing() -> None:
    assert next_bound([0.0, 1.0], [2.5], 0.02) == FAR
    assert next_bound([0.0], [], 0.0) == FAR


def test_t_and_z_are_as_rare_as_each_other() -> None:
    for df in (2.0, 7.5, 30.0, np.inf):
        assert z_of(t_of(2.3, df), df) == pytest.approx(2.3) and t_of(-2.3, df) == pytest.approx(-t_of(2.3, df))
    assert t_of(1.959964, 10) == pytest.approx(2.228139, abs=1e-5)


def test_one_look_is_adjusted_by_nothing() -> None:
    for df in (3.0, 8.0, np.inf):
        found = adjusted([Held(1.2, 0.5, df, 1.96, 0.0)])
        half = 0.5 * stdtrit(min(df, 1e9), 0.975)
        assert found.estimate == pytest.approx(1.2, abs=1e-4)
        assert (found.low, found.high) == pytest.approx((1.2 - half, 1.2 + half), abs=1e-4)


def test_where_there_is_little_noise_the_range_is_as_narrow_as_its_standard_error() -> None:
    """Few places and an effect a thousand times its standard error: not the estimate over its z, but that error."""
    found = adjusted([Held(500.0, 0.5, 4.0, 4.3, 0.0)])
    assert found.high - found.low == pytest.approx(2 * 0.5 * stdtrit(4.0, 0.975), rel=1e-3)
    second = adjusted([Held(1.0, 0.6, 4.0, 4.3, 0.0), Held(500.0, 0.5, 4.0, 3.0, 0.8)])
    assert (second.low, second.estimate, second.high) == pytest.approx((found.low, 500.0, found.high), abs=0.05)


def test_the_adjusted_estimate_is_the_effect_under_which_as_much_is_as_likely_as_not() -> None:
    shares = np.arange(1, 5) / 4
    bounds, errors = planned_bounds(shares, 0.05), 1 / np.sqrt(shares)
    correlations = [0.0, *np.sqrt(shares[:-1] / shares[1:])]
    size = 2.6 * errors[2]
    looks = [Held(size, e, np.inf, b, r) for e, b, r in zip(errors[:3], bounds, correlations, strict=False)]
    found = adjusted(looks)
    assert found.estimate < 0.995 * size
    rng = np.random.default_rng(8)
    fresh = rng.standard_normal((200_000, 3))
    for effect, chance in ((found.estimate, 0.5), (found.low, 0.025), (found.high, 0.975)):
        z, mean, over = np.zeros(len(fresh)), 0.0, np.zeros(len(fresh), dtype=bool)
        gone = over.copy()
        for k in range(3):
            r, now = correlations[k], effect / errors[k]
            z = now + r * (z - mean) + np.sqrt(1 - r**2) * fresh[:, k]
            mean = now
            over |= ~gone & (z >= (2.6 if k == 2 else bounds[k]))
            gone |= np.abs(z) >= bounds[k]
        assert over.mean() == pytest.approx(chance, abs=0.004)


def test_a_crossing_downwards_is_the_mirror_of_one_upwards() -> None:
    up, down = (adjusted([Held(s * 2.1, 1.4, 9.0, 2.96, 0.0), Held(s * 2.4, 1.0, 9.0, 1.97, 0.7)]) for s in (1, -1))
    assert (down.estimate, down.low, down.high) == pytest.approx((-up.estimate, -up.high, -up.low))
    assert up.estimate < 2.4


def test_a_crossing_leaves_out_no_effect_whatever_was_seen_before() -> None:
    """The range at 95 in 100 after alpha of .05: all paths to a crossing, however far before."""
    bounds = planned_bounds([0.5, 1.0], 0.05)
    for first in (-3.0, 0.0, 1.0, 2.0, 4.0):
        for df in (3.0, np.inf):
            line = t_of(bounds[1], df)
            found = adjusted([Held(first, 1.4, df, bounds[0], 0.0), Held(1.0001 * line, 1.0, df, bounds[1], 0.5**0.5)])
            assert 0 < found.low < found.estimate < found.high


def test_a_confidence_sequence_holds_whenever_one_looks() -> None:
    rng = np.random.default_rng(11)
    information = np.arange(1, 201.0)
    bound = [sequence_bound(i, 100.0, 0.1) for i in information]
    z = np.cumsum(rng.standard_normal((4000, 200)), axis=1) / np.sqrt(information)
    assert (np.abs(z) > bound).any(axis=1).mean() < 0.1
    assert min(bound) > ndtri(0.95)


def test_a_sequence_is_narrowest_at_one_information_or_it_is_none() -> None:
    """Looked at all the time while information grows a thousandfold: fixed by the first look, or moved by each."""
    rng = np.random.default_rng(12)
    information = np.exp(np.linspace(0, np.log(1000), 1200))
    steps = np.sqrt(np.diff(information, prepend=0.0))
    total, over = np.zeros(8000), np.zeros((2, 8000), dtype=bool)
    for now, step in zip(information, steps, strict=True):
        total += step * rng.standard_normal(len(total))
        z = np.abs(total) / np.sqrt(now)
        over |= np.stack([z > sequence_bound(now, 1.0, 0.05), z > sequence_bound(now, now, 0.05)])
    fixed, moving = over.mean(axis=1)
    assert fixed < 0.04 and moving > 0.06


@pytest.mark.parametrize("sign", [1, -1])
def test_an_effect_that_came_late_is_not_held_to_have_been_there_before(sign: int) -> None:
    """Ten standard errors at the second look and nothing at the first, whose line such an effect would have crossed:
    the first says nothing of what it was at the second."""
    first = Held(0.0, 0.5, 11.0, 4.0, 0.0)
    found = adjusted([first, Held(sign * 5.0, 0.5, 11.0, 2.5, 0.8)])
    alone = adjusted([Held(sign * 5.0, 0.5, 11.0, 2.5, 0.0)])
    assert found.estimate == pytest.approx(sign * 5.0, abs=0.05)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.05)


@pytest.mark.parametrize("errors", [(0.1, 1.0), (1.0, 1.0), (0.1, 100.0)])
def test_a_crossing_that_earlier_looks_make_unlikely_is_adjusted_all_the_same(errors: tuple[float, float]) -> None:
    """What was seen lies far beyond what the earlier looks, of other sizes, leave likely."""
    size = 12.0 * errors[1]
    found = adjusted([Held(0.0, errors[0], np.inf, 4.0, 0.0), Held(size, errors[1], np.inf, 2.0, 0.5)])
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(size, rel=0.02)


def test_a_line_that_cannot_be_crossed_yet_changes_nothing() -> None:
    last = Held(3.0, 1.0, 7.0, 2.0, 0.9)
    barred = adjusted([Held(2.9, 1.0, 7.0, FAR, 0.0), last])
    alone = adjusted([Held(3.0, 1.0, 7.0, 2.0, 0.0)])
    assert (barred.estimate, barred.low, barred.high) == pytest.approx(
        (alone.estimate, alone.low, alone.high), rel=1e-3
    )
