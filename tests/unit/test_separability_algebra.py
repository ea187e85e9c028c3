"""The additive design against dense least squares; spans and circuits against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from evalkit.components.estimable import combinations_of, dependence
from evalkit.designs.regression.additive import EventTimes, additive_design, make_grid, spell_ages
from evalkit.designs.rollout.plan import Rules, exposure_states
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.span import span
from evalkit.study.paths import Level, Paths


def random_paths(rng: np.random.Generator, n: int = 14, n_periods: int = 9, k: int = 3, gaps: bool = True) -> Paths:
    """Spells that switch on and off, part periods, some reach, some rows missing."""
    reach = rng.random((n, k)) < 0.8
    state = np.repeat((rng.random((n, n_periods // 3, k)) < 0.5), 3, axis=1).astype(np.int16) * reach[:, None, :]
    state[:, :2] *= rng.random((n, 1, k)) < 0.2
    state = state[:, :n_periods]
    edge = (np.diff(state, axis=1, prepend=0) == 1) & (rng.random(state.shape) < 0.3)
    state[edge] = -1
    names = tuple("abcdef"[:k])
    seen = rng.random((n, n_periods)) < 0.9 if gaps else None
    cluster = rng.integers(0, n // 2, n)
    values, codes = np.unique(cluster, return_inverse=True)
    return Paths(
        np.arange(n), np.arange(n_periods), names, np.arange(n), state, reach, {"site": Level("site", codes, values)},
        dict.fromkeys(names, "site"), "site", seen=seen, lags=(0,) * k, always_on=(False,) * k,
    )  # fmt: skip


def dense(design) -> np.ndarray:
    """Columns of the design after unit and period-by-pattern dummies, by least squares."""
    grid = design.grid
    slot = design.pattern[grid.group] * grid.n_periods + grid.period
    units = (grid.group[:, None] == np.unique(grid.group)).astype(float)
    periods = (slot[:, None] == np.unique(slot)).astype(float)
    effects = np.hstack([units, periods]) * np.sqrt(grid.weight[grid.group])[:, None]
    x = design.matrix.toarray() * np.sqrt(grid.weight[grid.group])[:, None]
    return x - effects @ np.linalg.lstsq(effects, x, rcond=None)[0]


CHOICES = [EventTimes(), EventTimes((2, 3)), EventTimes(shape="level"), EventTimes(dose=True)]


@pytest.mark.parametrize("options", CHOICES)
@pytest.mark.parametrize("seed", range(5))
def test_gram_equals_dense_least_squares(options: EventTimes, seed: int) -> None:
    paths = random_paths(np.random.default_rng(seed))
    design = additive_design(paths, make_grid(paths, "site"), options)
    residual = dense(design)
    np.testing.assert_allclose(design.gram(), residual.T @ residual, atol=1e-9)
    np.testing.assert_allclose(design.size, design.grid.weight[design.grid.group] @ design.matrix.toarray() ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_span_finds_rank_and_identified_coefficients(seed: int) -> None:
    paths = random_paths(np.random.default_rng(seed))
    design = additive_design(paths, make_grid(paths))
    found = span(design.gram(), design.size)
    x = dense(additive_design(paths, make_grid(paths, weighted=False)))
    assert found.rank == np.linalg.matrix_rank(x, tol=1e-7)
    whole = np.linalg.matrix_rank(x, tol=1e-7)
    for j in range(x.shape[1]):
        more = np.vstack([x, np.eye(x.shape[1])[j]])
        assert found.free[j] == (np.linalg.matrix_rank(more, tol=1e-7) == whole)
        assert found.free[j] == found.identified(np.eye(x.shape[1])[j])


def test_lead_columns_count_back_from_the_next_start() -> None:
    state = np.zeros((2, 8, 1), dtype=np.int16)
    state[0, 5:] = 1
    paths = Paths(
        np.arange(2), np.arange(8), ("a",), np.arange(2), state, np.ones((2, 1), bool),
        {"site": Level("site", np.arange(2), np.arange(2))}, {"a": "site"}, "site",
    )  # fmt: skip
    design = additive_design(paths, make_grid(paths), EventTimes((3, 1)))
    assert design.event_time.tolist() == [-3, -2, 0, 1]
    first = design.matrix.toarray()[:8]
    assert first[2, 0] == first[3, 1] == first[5, 2] == first[6, 3] == first[7, 3] == 1
    assert first.sum() == 7  # the first column holds the periods further away too


def test_spells_restart_after_a_stop_and_go_through_part_periods() -> None:
    code = np.array([[0, 1, 1, 0, -1, 1, -1, 1, 0]])
    begin, age = spell_ages(code > 0, code == 0)
    assert np.flatnonzero(begin[0]).tolist() == [1, 5]
    assert age[0, [1, 2, 5, 7]].tolist() == [0, 1, 0, 2]


def test_rows_of_unknown_age_are_left_out_unless_they_last() -> None:
    state = np.zeros((3, 6, 1), dtype=np.int16)
    state[0, :3], state[1], state[2, 4:] = 1, 1, 1
    paths = Paths(
        np.arange(3), np.arange(6), ("a",), np.arange(3), state, np.ones((3, 1), bool),
        {"site": Level("site", np.arange(3), np.arange(3))}, {"a": "site"}, "site",
    )  # fmt: skip
    design = additive_design(paths, make_grid(paths))
    kept = set(zip(design.grid.group.tolist(), design.grid.period.tolist(), strict=True))
    assert (0, 2) not in kept and (0, 3) in kept and (1, 0) in kept
    assert design.pattern[1] != design.pattern[0] == design.pattern[2]


def brute_circuits(x: np.ndarray) -> set[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for size in range(1, x.shape[1] + 1):
        for members in combinations(range(x.shape[1]), size):
            smaller = any(set(f) <= set(members) for f in found)
            if not smaller and np.linalg.matrix_rank(x[:, members], tol=1e-9) < size:
                found.append(members)
    return set(found)


@pytest.mark.parametrize("seed", range(20))
def test_circuits_are_the_minimal_dependent_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(30, 3))
    x = basis @ rng.integers(-1, 2, size=(3, 6))
    known = dependence(x.T @ x, (x**2).sum(axis=0) + 1.0)
    mine = {c.members for c in known.circuits} | {(j,) for j in known.loops}
    assert mine == brute_circuits(x)
    for circuit in known.circuits:
        assert np.abs(x[:, circuit.members] @ np.array(circuit.weights)).max() < 1e-8


@pytest.mark.parametrize("seed", range(20))
def test_listed_combinations_are_identified_and_complete(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 3)) @ rng.integers(-1, 2, size=(3, 6))
    known = dependence(x.T @ x, (x**2).sum(axis=0) + 1.0)
    for group in known.groups:
        part = x[:, group]
        rank = np.linalg.matrix_rank(part, tol=1e-9)
        rows = []
        for combo in combinations_of(known, group):
            row = np.zeros(len(group))
            row[[group.index(m) for m in combo.members]] = combo.weights
            assert np.linalg.matrix_rank(np.vstack([part, row]), tol=1e-7) == rank
            rows.append(row)
        if not any(c.kind == "together" for c in combinations_of(known, group)):
            assert np.linalg.matrix_rank(np.array(rows), tol=1e-6) == rank


@pytest.mark.parametrize("others", ["same", "unchanged", "ignored"])
@pytest.mark.parametrize("seed", range(8))
def test_plans_without_leads_are_plans_from_the_start_on(others: str, seed: int) -> None:
    paths = random_paths(np.random.default_rng(seed), n=30)
    for base_window, lookback, anticipation in ((1, 0, 0), (1, 1, 0), (2, 0, 1)):
        rules = Rules(others=others, base_window=base_window, lookback=lookback, anticipation=anticipation)
        stage = exposure_states(paths, "a", others)
        whole, quick = make_plan(stage, rules), make_plan(stage, rules, leads=False)
        assert len(whole) == len(quick)
        for one, two in zip(whole, quick, strict=True):
            after = slice(one.cohort, None)
            assert (one.path, one.cohort) == (two.path, two.cohort)
            np.testing.assert_array_equal(one.base[after], two.base[after])
            np.testing.assert_array_equal(one.match[:, after], two.match[:, after])
            np.testing.assert_array_equal(one.window[after], two.window[after])
            assert not two.match[:, : one.cohort].any() and (two.base[: one.cohort] < 0).all()
