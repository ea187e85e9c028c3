"""Draws are the same one after another, in processes of joblib, and on a cluster of Dask."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from joblib import parallel_config

import evalkit as ek
from evalkit.draws import BLOCK, in_parallel
from evalkit.evaluation.randomisation import average_effect, randomise
from tests.study.panels import panel, study


def _draw(seed: np.random.SeedSequence) -> float:
    return float(np.random.default_rng(seed).normal())


def _where(_: int) -> int:
    return os.getpid()


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any work is sent out, however short."""
    monkeypatch.setattr("evalkit.draws.WORTH", -1.0)


@pytest.mark.usefixtures("worth_it")
def test_spawned_seeds_give_the_same_draws_everywhere() -> None:
    seeds = np.random.SeedSequence(7).spawn(3 * BLOCK + 1)
    plain = in_parallel(_draw, seeds)
    assert plain == [_draw(s) for s in seeds]
    with parallel_config("loky", n_jobs=2):
        assert in_parallel(_draw, seeds) == plain
        here = in_parallel(_where, range(2 * BLOCK + 1))
        assert set(here[:BLOCK]) == {os.getpid()}  # the first tell how long they take
        assert os.getpid() not in here[BLOCK:]  # the caller's choice, not our own
    assert set(in_parallel(_where, range(BLOCK + 1))) == {os.getpid()}


def test_short_work_stays_here() -> None:
    with parallel_config("loky", n_jobs=2):
        assert set(in_parallel(_where, range(BLOCK + 1))) == {os.getpid()}


@pytest.mark.usefixtures("worth_it")
def test_randomisation_draws_the_same_everywhere() -> None:
    made = study(panel(gaps=False, people=120, sites=12, periods=6))
    headline = average_effect(ek.StaggeredRollout(weights="least_noise"), "b")
    plain = randomise(made, "b", headline, draws=BLOCK + 1, seed=3)
    with parallel_config("loky", n_jobs=2):
        spread = randomise(made, "b", headline, draws=BLOCK + 1, seed=3)
    assert plain.observed == spread.observed
    assert np.array_equal(plain.drawn, spread.drawn)


@pytest.mark.slow
@pytest.mark.usefixtures("worth_it")
def test_dask_draws_the_same() -> None:
    distributed = pytest.importorskip("distributed")
    made = study(panel(gaps=False, people=120, sites=12, periods=6), "rows")
    headline = average_effect(ek.StaggeredRollout(), "b")
    plain = randomise(made, "b", headline, draws=BLOCK + 1, seed=3, slopes=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
        with client, parallel_config("dask"):
            spread = randomise(made, "b", headline, draws=BLOCK + 1, seed=3, slopes=True)
    assert np.array_equal(plain.drawn, spread.drawn)
    assert np.array_equal(plain.slopes, spread.slopes)
    assert plain.interval() == spread.interval()
