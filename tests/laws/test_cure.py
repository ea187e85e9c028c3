"""A cure cures: the rollout changed as its row says, told again from the start, makes the component separable."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from time import process_time
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evalkit.components import separability
from evalkit.study.paths import OFF, Paths


def _cases() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "separability_cases.py"
    spec = importlib.util.spec_from_file_location("separability_cases", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = _cases()
NEVER, starts, study_of = cases.NEVER, cases.starts, cases.study_of


def random_rollout(seed: int) -> SimpleNamespace:
    """Components that go together, follow each other, swap or stand alone; two kinds of people; sometimes gaps."""
    rng = np.random.default_rng(seed)
    clusters, periods = int(rng.integers(6, 14)), int(rng.integers(10, 18))
    first = np.where(rng.random(clusters) < 0.3, NEVER, rng.integers(3, periods - 2, clusters))
    other = np.where(rng.random(clusters) < 0.4, NEVER, rng.integers(3, periods - 2, clusters))
    kind = seed % 5
    second = [first, first + rng.integers(0, 2, clusters), first, np.full(clusters, 5), first][kind]
    third = [other, other, first, other, np.where(np.arange(clusters) == 0, 5, NEVER)][kind]
    cluster = np.repeat(np.arange(clusters), 2)
    state = starts(np.column_stack([first, second, third])[cluster], periods)
    if kind == 4:
        state[:, :, 1] = 1 - state[:, :, 0]
    reach = np.ones((2 * clusters, 3), dtype=bool)
    reach[1::2, 2] = bool(rng.random() < 0.5)
    state = state * reach[:, None, :].astype(np.int16)
    seen = rng.random(state.shape[:2]) < (0.9 if rng.random() < 0.3 else 1.1)
    lags = rng.choice([0, 0, 1, 2], 3).tolist()
    return study_of(state, cluster, reach, None if seen.all() else seen, lags=lags)


def as_told(paths: Paths, row: pd.Series) -> Paths:
    """The rollout after what the row says, unit by unit, from its places, component and periods alone."""
    state, k = paths.state[paths.path].copy(), paths.index(row["delayed"])
    level = paths.levels["site"]
    here = np.isin(level.names[level.codes], row["places"])
    if row["periods"]:
        for unit in np.flatnonzero(here):
            on = np.flatnonzero(state[unit, :, k] > 0)
            if len(on):
                state[unit, : on[0] + row["periods"], k] = OFF
    else:
        begin = int(row["words"].split(" from period ")[1].split(" ")[0])
        state[np.ix_(here & paths.reach[paths.path, k], np.arange(begin, paths.n_periods), [k])] = 1
    return replace(paths, path=np.arange(paths.n_units), state=state, reach=paths.reach[paths.path])


# Twelve draws in a row hold every kind of rollout at least twice; three dozens are drawn by `make test-slow` alone.
@pytest.mark.parametrize("start", [pytest.param(s, marks=pytest.mark.slow) for s in (0, 12, 24)] + [36, 48])
def test_what_a_cure_says_makes_the_component_separable(start: int) -> None:
    rows = 0
    for seed in range(start, start + 12):
        study = random_rollout(seed)
        for _, row in separability(study).cure.iterrows():
            after = separability(SimpleNamespace(paths=as_told(study.paths, row)))
            assert after.status(row["component"]) == "separable", (seed, row.to_dict())
            rows += 1
    assert rows > 5


def test_the_smallest_change_is_told() -> None:
    """Already apart in one place: one more place is enough, and one period is enough."""
    first = np.array([4, 4, 5, 5, 6, 6, 7, 7, NEVER, NEVER])
    second = first.copy()
    second[0] = 7
    found = separability(cases.rollout(first, second))
    assert found.components["reason"].str.contains("only one site tells it from").all()
    row = found.cure.set_index("component").loc["a"]
    assert (row["delayed"], row["clusters"], row["periods"]) == ("b", 1, 1)


def test_large_rollouts_with_everything_in_the_way_are_quick() -> None:
    rng = np.random.default_rng(1)
    first = np.where(rng.random((300, 8)) < 0.3, NEVER, rng.integers(5, 70, (300, 8)))
    first[:, 1::2] = first[:, ::2]
    study = study_of(starts(first, 80), lags=[2] * 8)
    began = process_time()
    found = separability(study)
    assert process_time() - began < 6
    assert len(found.cure) == 8
