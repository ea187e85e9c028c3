"""Laws of separability: names and order do not matter, more comparisons never hurt, counts are those of the plan."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.components import separability
from evalkit.components.facts import Facts
from evalkit.components.switches import Tally, against_each, tally
from evalkit.designs.rollout.plan import Rules, exposure_states
from evalkit.designs.rollout.starts import make_plan
from evalkit.study.paths import Level, Paths

RANK = {"not_tested": 0, "bundle_only": 1, "swap_only": 1, "too_few_clusters": 2, "additive_only": 3, "separable": 4}
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def make(state: np.ndarray, cluster: np.ndarray, reach: np.ndarray, seen: np.ndarray, lags: tuple[int, ...]) -> Paths:
    names, codes = np.unique(cluster, return_inverse=True)
    table = np.hstack([state.reshape(len(state), -1), reach])
    _, first, path = np.unique(table, axis=0, return_index=True, return_inverse=True)
    components = tuple("abcd"[: state.shape[2]])
    return Paths(
        np.arange(len(state)), np.arange(state.shape[1]), components, path.reshape(-1), state[first], reach[first],
        {"site": Level("site", codes, names)}, dict.fromkeys(components, "site"), "site",
        seen=None if seen.all() else seen, lags=lags, always_on=(False,) * state.shape[2],
    )  # fmt: skip


@st.composite
def rollouts(draw: st.DrawFn) -> Paths:
    """Two or three units a cluster, sometimes gaps, reach, a swap, components that go together."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    clusters, periods, k = draw(st.integers(3, 9)), draw(st.integers(5, 10)), draw(st.integers(1, 3))
    first = rng.integers(-1, periods + 4, (clusters, k))
    if k > 1 and draw(st.booleans()):
        first[:, 1] = first[:, 0] + rng.integers(0, 2, clusters)
    cluster = np.repeat(np.arange(clusters), 2)
    reach = np.ones((2 * clusters, k), dtype=bool)
    if draw(st.booleans()):
        reach[1::2, -1] = False
    state = (np.arange(periods)[None, :, None] >= first[cluster][:, None, :]) & reach[:, None, :]
    if k > 1 and draw(st.booleans()):
        state[:, :, 0] &= ~state[:, :, 1]
    seen = rng.random(state.shape[:2]) < draw(st.sampled_from([1.0, 1.0, 0.9]))
    return make(state.astype(np.int16), cluster, reach, seen, tuple(int(x) for x in rng.integers(0, 3, k)))


def frames(paths: Paths) -> list[pd.DataFrame]:
    found = separability(SimpleNamespace(paths=paths))
    return [found.components, found.pairs, found.bundles, found.timeline.drop(columns="cluster")]


@QUICK
@given(rollouts(), st.integers(0, 1000))
def test_order_of_units_and_names_of_clusters_do_not_matter(paths: Paths, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(paths.n_units)
    level = paths.levels["site"]
    renamed = Level("site", level.codes[order], np.array([f"place {i}" for i in range(len(level.names))]))
    relabel = rng.permutation(paths.n_paths)
    back = np.argsort(relabel)
    moved = replace(
        paths, units=np.arange(paths.n_units), path=relabel[paths.path[order]], state=paths.state[back],
        reach=paths.reach[back], levels={"site": renamed}, seen=None if paths.seen is None else paths.seen[order],
    )  # fmt: skip
    for one, two in zip(frames(paths), frames(moved), strict=True):
        pd.testing.assert_frame_equal(one, two)


@QUICK
@given(rollouts(), st.integers(1, 3))
def test_clusters_never_exposed_never_make_a_status_worse(paths: Paths, more: int) -> None:
    before = separability(SimpleNamespace(paths=paths)).components
    kinds = np.unique(paths.reach, axis=0)
    n = len(kinds) * more
    seen = None if paths.seen is None else np.vstack([paths.seen, np.ones((n, paths.n_periods), dtype=bool)])
    state = np.concatenate([paths.state, np.zeros((len(kinds), *paths.state.shape[1:]), dtype=np.int16)])
    level = paths.levels["site"]
    codes = np.concatenate([level.codes, len(level.names) + np.repeat(np.arange(more), len(kinds))])
    wider = replace(
        paths, units=np.arange(paths.n_units + n), state=state, reach=np.vstack([paths.reach, kinds]),
        path=np.concatenate([paths.path, paths.n_paths + np.tile(np.arange(len(kinds)), more)]),
        levels={"site": Level("site", codes, np.arange(len(level.names) + more))},
        seen=seen,
    )  # fmt: skip
    after = separability(SimpleNamespace(paths=wider)).components
    assert (after["status"].map(RANK) >= before["status"].map(RANK)).all(), (before["status"], after["status"])
    assert (after["switches"] == before["switches"]).all()


@QUICK
@given(rollouts())
def test_counts_are_those_of_the_plan_by_plain_loops(paths: Paths) -> None:
    for name in paths.components:
        fact = Facts(paths, name)
        for others in ("same", "unchanged", "ignored"):
            plan = make_plan(exposure_states(paths, name, others), Rules(others=others))
            expected = loops(paths, plan)
            for got in [tally(plan, fact.members, paths.n_periods)] + [fact.usable] * (others == "ignored"):
                np.testing.assert_array_equal(got.exposed, expected.exposed)
                np.testing.assert_array_equal(got.comparison, expected.comparison)


def loops(paths: Paths, plan) -> Tally:
    """The same counts, unit by unit."""
    seen = np.ones((paths.n_units, paths.n_periods), dtype=bool) if paths.seen is None else paths.seen
    codes = paths.levels["site"].codes
    out = Tally(*(np.zeros((paths.n_periods, len(paths.levels["site"].names)), dtype=bool) for _ in range(2)))
    for c in plan:
        for t in range(c.cohort, paths.n_periods):
            if c.base[t] < 0:
                continue
            there = seen[:, c.base[t]] & seen[:, t]
            adopters = set(codes[there & (paths.path == c.path)])
            others = set(codes[there & c.match[paths.path, t]])
            for a in adopters:
                for b in others - {a}:
                    out.exposed[t - c.cohort, a] = out.comparison[t - c.cohort, b] = True
    return out


@QUICK
@given(rollouts())
def test_pairs_are_the_plan_with_one_other_component(paths: Paths) -> None:
    for k, name in enumerate(paths.components):
        fact = Facts(paths, name)
        plan = make_plan(exposure_states(paths, name, "ignored"), Rules(others="ignored"), leads=False)
        found = against_each(plan, paths.state, fact.members, fact.lag)
        for j in range(len(paths.components)):
            if j == k:
                continue
            stage = replace(exposure_states(paths, name, "same"), others=paths.others(name, only=(j,)))
            expected = tally(make_plan(stage, Rules(others="same")), fact.members, paths.n_periods, fact.lag)
            np.testing.assert_array_equal(found.same(j).exposed, expected.exposed)
            np.testing.assert_array_equal(found.same(j).comparison, expected.comparison)
            still = replace(stage, others=paths.others(name, only=(j,)))
            quiet = tally(make_plan(still, Rules(others="unchanged")), fact.members, paths.n_periods, fact.lag)
            assert bool(found.still[j]) == bool(len(quiet.exposed) > fact.lag and quiet.exposed[fact.lag].any())


@pytest.mark.parametrize("seed", range(3))
def test_large_rollouts_are_quick(seed: int) -> None:
    from time import process_time

    rng = np.random.default_rng(seed)
    first = np.where(rng.random((150, 6)) < 0.3, 999, rng.integers(5, 70, (150, 6)))
    state = (np.arange(60)[None, :, None] >= first[:, None, :]).astype(np.int16)
    paths = make(state, np.arange(150), np.ones((150, 6), dtype=bool), np.ones((150, 60), dtype=bool), (0,) * 6)
    began = process_time()
    separability(SimpleNamespace(paths=paths))
    assert process_time() - began < 5
