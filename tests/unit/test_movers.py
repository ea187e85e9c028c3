"""Those whom effects on a share move: for good, or others each period; as a plan reckons, and as a past shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from benchmarks.plan_worlds import DECAY, GOOD, SHARE, WORLDS
from evalkit.rollouts.movers import moved_covariance

PLACES, PEOPLE, PERIODS = 14, 60, 36


def a_past(world: str, seed: int, begun: int = PLACES) -> ek.Study:
    """Two components begin in different months, in so many of the places."""
    order = np.random.default_rng(1)
    starts = np.stack([order.permutation(PLACES), order.permutation(PLACES)], axis=1) + 12
    starts[begun:] = PERIODS
    on = np.arange(PERIODS)[:, None] >= starts[:, None, :]
    y = WORLDS[world](np.random.default_rng(seed), PEOPLE, on, np.array([0.15, 0.15]))
    n = PLACES * PEOPLE
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(n), PERIODS), "t": np.tile(np.arange(PERIODS), n),
        "place": np.repeat([f"p{i:02}" for i in range(PLACES)], PEOPLE * PERIODS), "y": y.ravel(),
    })  # fmt: skip
    for k, name in enumerate("ab"):
        frame[name] = np.repeat(on[:, None, :, k], PEOPLE, axis=1).ravel().astype(int)
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", kind="share", components=["a", "b"])


@pytest.mark.parametrize(
    "world, low, high", [(GOOD, 0.7, 1.0), ("moved anew each month", 0.0, 0.3), ("fewer lose it", 0.0, 0.1)]
)
def test_a_past_shows_how_lasting_movers_are(world: str, low: float, high: float) -> None:
    found = [ek.Noise.from_study(a_past(world, seed)).lasting for seed in (1, 2)]
    assert all(low <= f <= high for f in found)


def test_a_past_that_says_nothing_leaves_movers_for_good() -> None:
    """Where things began in too few places."""
    assert ek.Noise.from_study(a_past("moved anew each month", 1, begun=4)).lasting == 1.0


def test_movers_drawn_anew_by_simulation() -> None:
    """Two periods of very many people, moved by a number drawn once, in each period, or half of them each way."""
    rng, n, p, added = np.random.default_rng(3), 400_000, SHARE, np.array([0.1, 0.3])
    first = rng.random(n) < p
    second = np.where(rng.random(n) < DECAY, first, rng.random(n) < p)
    none = np.stack([first, second])
    both = p * (1 - p) * np.array([[1.0, DECAY], [DECAY, 1.0]])
    once, each = rng.random((1, n)), rng.random((2, n))
    some = np.where(rng.random(n) < 0.5, once, each)
    for lasting, marks in ((1.0, np.repeat(once, 2, axis=0)), (0.0, each), (0.5, some)):
        found = np.cov((none | (marks < added[:, None] / (1 - p))).astype(float))
        np.testing.assert_allclose(moved_covariance(both, added, p, lasting), found, atol=3e-3)


def test_a_covariance_stays_one_whatever_is_said() -> None:
    """No weights have a negative variance, in one direction and in two."""
    lag = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    for added in (np.linspace(0.0, 0.4, 12), np.repeat([0.0, -0.3], 6), np.tile([0.2, -0.2], 6)):
        for lasting in (0.0, 0.3, 1.0):
            found = moved_covariance(0.25 * 0.8**lag, added, 0.5, lasting)
            assert np.linalg.eigvalsh(found).min() > -1e-12
            np.testing.assert_allclose(np.diag(found), (0.5 + added) * (0.5 - added))


@pytest.mark.parametrize("wrong", [1.5, -0.1, "for good"])
def test_lasting_is_a_share(wrong: object) -> None:
    with pytest.raises(ek.EvalkitError, match="lasting"):
        ek.Noise(lasting=wrong)  # type: ignore[arg-type]
