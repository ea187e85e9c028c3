"""What a Gram matrix can tell: rank, null space, solutions; and nothing of it hangs on the last digits."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.designs.span import less, span


def gram_of(seed: int, rows: int = 30, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    return X.T @ X, X.T @ rng.normal(size=rows)


@pytest.mark.parametrize("left", [1e-16, -3e-16, 2e-15])
def test_a_column_of_which_rounding_is_left_tells_nothing(left: float) -> None:
    """Scaled to one, as if it told something, it moved an answer's fifth digit."""
    gram, right = gram_of(1)
    noise = left * np.random.default_rng(2).normal(size=(30, 2))
    X = np.random.default_rng(1).normal(size=(30, 6))
    whole = np.column_stack([X[:, :3], noise, X[:, 3:]])
    found = span(whole.T @ whole)
    at = np.array([0, 1, 2, 5, 6, 7])
    assert found.rank == 6 and not found.free[[3, 4]].any() and found.free[at].all()
    b = np.zeros((8, 1))
    b[at, 0] = right
    assert found.solve(b)[at, 0] == pytest.approx(np.linalg.solve(gram, right), rel=1e-12)
    assert not found.solve(b)[[3, 4]].any()


def test_a_column_in_small_units_tells_as_much_as_before() -> None:
    gram, right = gram_of(3)
    scale = np.array([1.0, 1e-9, 1.0, 1e3, 1.0, 1e-6])
    found = span(gram * np.outer(scale, scale))
    assert found.rank == 6
    assert found.solve((right * scale)[:, None])[:, 0] * scale == pytest.approx(np.linalg.solve(gram, right), rel=1e-9)


def test_what_is_left_without_a_part_knows_columns_that_went_with_it() -> None:
    gram, right = gram_of(4)
    rest = gram.copy()
    rest[2], rest[:, 2] = 0.0, 0.0
    found = less(span(gram), gram, rest)
    use = [0, 1, 3, 4, 5]
    assert found.rank == 5 and not found.free[2]
    right[2] = 0.0
    told = np.linalg.solve(gram[np.ix_(use, use)], right[use])
    assert found.solve(right[:, None])[use, 0] == pytest.approx(told, rel=1e-12)


def test_nothing_is_left_without_a_part_that_tells_all() -> None:
    gram, _ = gram_of(5)
    assert less(span(gram), gram, np.zeros((6, 6))).rank == 0
