"""Disclosure rules and counts: nothing hidden can be worked out, shown by an attack of our own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from evalkit.disclosure.rules import PROFILES, Rules, apart, at_least_two, dominated, hide, rules_for
from evalkit.errors import OptionError

ACRO, NHS = PROFILES["acro"], PROFILES["nhs"]


def table_sums(rows: int, columns: int) -> tuple[int, list[tuple[int, list[int]]]]:
    """Cells of a two-way table with margins and a grand total, and how they add up."""
    cell = lambda i, j: i * columns + j  # noqa: E731
    first_row, first_column, grand = rows * columns, rows * columns + rows, rows * columns + rows + columns
    sums = [(first_row + i, [cell(i, j) for j in range(columns)]) for i in range(rows)]
    sums += [(first_column + j, [cell(i, j) for i in range(rows)]) for j in range(columns)]
    sums += [(grand, [first_row + i for i in range(rows)]), (grand, [first_column + j for j in range(columns)])]
    return grand + 1, sums


def with_margins(inner: np.ndarray) -> np.ndarray:
    return np.concatenate([inner.ravel(), inner.sum(1), inner.sum(0), [inner.sum()]]).astype(float)


def attacker(values: np.ndarray, hidden: np.ndarray, sums: list, slack: float) -> list[tuple[float, float]]:
    """Range of every hidden count for somebody who subtracts: equations in the hidden counts alone."""
    unknown = np.flatnonzero(hidden)
    place = {int(u): k for k, u in enumerate(unknown)}
    upper, limits = [], []
    for total, parts in sums:
        row, rest, known = np.zeros(len(unknown)), 0.0, 0
        for sign, cells in ((1.0, parts), (-1.0, [total])):
            for c in cells:
                if hidden[c]:
                    row[place[int(c)]] += sign
                else:
                    rest += sign * values[c]
                    known += 1
        upper += [row, -row]
        limits += [-rest + slack * known, rest + slack * known]
    ranges = []
    for k in range(len(unknown)):
        goal = np.eye(len(unknown))[k]
        low = linprog(goal, A_ub=np.array(upper), b_ub=np.array(limits), bounds=(0, None))
        high = linprog(-goal, A_ub=np.array(upper), b_ub=np.array(limits), bounds=(0, None))
        assert low.status == 0
        ranges.append((low.fun, np.inf if high.status == 3 else -high.fun))
    return ranges


@pytest.mark.parametrize("seed", range(12))
def test_no_hidden_cell_of_a_table_can_be_worked_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
    inner = rng.poisson(rng.choice([4, 12, 40], size=shape))
    values = with_margins(inner)
    size, sums = table_sums(*shape)
    assert len(values) == size
    found = hide(values, sums, ACRO)
    assert (found.primary == (values < 10)).all()
    unknown = np.flatnonzero(found.any)
    for cell, (low, high) in zip(unknown, attacker(values, found.any, sums, 0.0), strict=True):
        if found.primary[cell]:
            assert high >= 10 - 1e-6 and high - low >= 10 - 1e-6, (cell, low, high)


def test_hiding_only_what_is_small_would_not_do() -> None:
    values = with_margins(np.array([[3, 40, 60], [50, 70, 80]]))
    _, sums = table_sums(2, 3)
    only = values < 10
    assert attacker(values, only, sums, 0.0) == [(3.0, 3.0)]
    found = hide(values, sums, ACRO)
    assert found.secondary.sum() >= 3 and found.any.sum() < len(values)


@pytest.mark.parametrize("seed", range(4))
def test_rounded_counts_hold_too(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    values = with_margins(rng.poisson(15, size=(3, 3)) * rng.integers(0, 3, size=(3, 3)))
    _, sums = table_sums(3, 3)
    found = hide(values, sums, NHS)
    assert (found.primary == ((values > 0) & (values < 8))).all()
    rounded = np.array([NHS.shown(v) for v in values], dtype=float)
    unknown = np.flatnonzero(found.any)
    for cell, (low, high) in zip(unknown, attacker(rounded, found.any, sums, 2.5), strict=True):
        if found.primary[cell]:
            assert high - low >= 8 - 1e-6, (cell, low, high)


def test_everything_small_hides_everything_that_adds_up() -> None:
    found = hide([3, 4, 7], [(2, [0, 1])], ACRO)
    assert found.any.all()


def test_noughts_that_everybody_knows_stay() -> None:
    found = hide([0, 80, 80], [(2, [0, 1])], ACRO, structural=[0])
    assert not found.any.any()
    assert hide([0, 80, 80], [(2, [0, 1])], ACRO).any.tolist() == [True, True, False]


def test_one_hidden_number_under_a_total_takes_another_with_it() -> None:
    hidden = np.array([False, True, False, False])
    assert at_least_two(hidden, np.array([90.0, 3.0, 20.0, 30.0])).tolist() == [False, True, True, False]
    assert at_least_two(~hidden, np.ones(4)).tolist() == (~hidden).tolist()


def test_nested_counts_never_differ_by_a_few() -> None:
    assert apart([112, 108, 120, 60, 5, 112], ACRO).tolist() == [True, False, False, True, False, True]


def test_dominance_and_p_ratio() -> None:
    total, first, second = [100, 100, 100, 0], [95, 50, 80, 0], [1, 30, 15, 0]
    assert dominated(total, first, second, ACRO).tolist() == [True, False, True, False]
    assert not dominated(total, first, second, PROFILES["none"]).any()


def test_profiles_and_rules_of_ones_own() -> None:
    assert rules_for("acro") is ACRO and not PROFILES["none"].active
    own = rules_for("custom: count=5, df=3, round_to=5")
    assert own == Rules("custom", count=5, df=3, round_to=5)
    assert NHS.small([0, 1, 7, 8]).tolist() == [False, True, True, False]
    assert ACRO.small([0, 9, 10]).tolist() == [True, True, False]
    assert NHS.shown(447) == 445 and ACRO.shown(447) == 447
    assert "fewer than 10 people" in ACRO.words()


@pytest.mark.parametrize("words", ["arco", "custom", "acro: count=3"])
def test_unknown_rules_are_refused_in_words(words: str) -> None:
    with pytest.raises(OptionError, match="disclosure="):
        rules_for(words)
