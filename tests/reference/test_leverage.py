"""What is left of an information matrix without parts of it, against the same made again."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.designs.noise import leverage
from evalkit.designs.noise.leverage import Left, without_each
from evalkit.designs.span import Span, span

P, PARTS, K = 14, 6, 3


@pytest.fixture(autouse=True)
def none_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leverage, "LARGE", 0)


def parts_of(seed: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Columns of each part, and n: part 1 tells columns 12 and 13 alone, and 11 is 9 and 10 together."""
    rng, found = np.random.default_rng(seed), []
    for i in range(PARTS):
        at = np.array([1, 4, 9, 10, 11, 12, 13]) if i == 1 else np.sort(rng.choice(9, 5 + i % 2, replace=False))
        at = at if i == 1 else np.concatenate([at, [9, 10, 11]])
        X = np.zeros((20, P))
        X[:, at] = rng.normal(size=(20, len(at)))
        X[:, 11] = X[:, 9] + X[:, 10]
        found.append((at, (X.T @ X)[np.ix_(at, at)]))
    return found


def summed(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    N = np.zeros((P, P))
    for at, n in parts:
        N[np.ix_(at, at)] += n
    return N


def made_of(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, Span, list[Left | None]]:
    N = summed(parts)
    whole = span(N)
    return N, whole, without_each(whole, N, whole.inverse(), parts)


@pytest.mark.parametrize("part", range(PARTS))
def test_without_a_part_is_made_again_without_it(part: int) -> None:
    parts = parts_of()
    _, whole, found = made_of(parts)
    left, anew = found[part], summed(parts[:part] + parts[part + 1 :])
    assert left is not None and whole.rank == P - 1
    again = span(anew)
    assert left.rank == again.rank and len(left.lost) == P - 1 - left.rank and (part != 1 or len(left.lost) == 2)
    right = anew @ np.random.default_rng(part).normal(size=(P, K))  # what rows can ask for
    np.testing.assert_allclose(anew @ left.solve(right), right, atol=1e-9)
    np.testing.assert_allclose(right.T @ left.inverse() @ right, right.T @ again.inverse() @ right, rtol=1e-9)
    asked = np.eye(P)
    assert (left.identified(asked) == again.identified(asked)).all()


@pytest.mark.parametrize("part", range(PARTS))
def test_forms_without_a_part_are_those_of_what_solves_without_it(part: int) -> None:
    parts = parts_of()
    N, whole, found = made_of(parts)
    left, (at, n) = found[part], parts[part]
    assert left is not None
    mix = np.random.default_rng(part).normal(size=(P, K))
    B, own = N @ mix, n @ mix[at]
    X = whole.inverse() @ B
    again = B.copy()
    again[at] -= own
    np.testing.assert_allclose(left.across(B.T @ X, X, own), again.T @ left.solve(again), rtol=1e-9, atol=1e-9)


def test_a_part_that_tells_more_alone_than_whole_columns_is_not_taken_out() -> None:
    """Without it, two columns are known by their sum alone."""
    at, rng = np.array([0, 1]), np.random.default_rng(4)
    other = np.full((2, 2), 5.0)
    parts = [(at, other), (at, np.cov(rng.normal(size=(2, 9))))]
    N = parts[0][1] + parts[1][1]
    whole = span(N)
    first, second = without_each(whole, N, whole.inverse(), parts)
    assert first is not None and second is None


def test_a_part_with_most_columns_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leverage, "LARGE", np.inf)
    assert made_of(parts_of())[2] == [None] * PARTS


@pytest.mark.parametrize("times", [1e2, 1e4, 1e5, 1e7])
def test_a_part_that_takes_columns_and_outweighs_the_others_is_exact_or_not_taken_out(times: float) -> None:
    """What is left of the columns beside the lost one is a difference of numbers `times` as large."""
    rng, used = np.random.default_rng(0), 0
    for _ in range(60):
        Z = rng.integers(0, 3, (6, 3)).astype(float)
        n, rest = times * (Z - Z.mean(0)).T @ (Z - Z.mean(0)), np.zeros((8, 8))
        B = rng.normal(size=(20, 7))
        rest[1:, 1:] = B.T @ B / 20  # nothing else tells column 0
        N = rest.copy()
        N[:3, :3] += n
        if np.linalg.matrix_rank(n) < 2 or (whole := span(N)).rank < 8:
            continue
        left = without_each(whole, N, whole.inverse(), [(np.arange(3), n)])[0]
        if left is not None:
            used += 1
            right = np.append(0.0, rng.normal(size=7))
            told = np.linalg.solve(rest[1:, 1:], right[1:])
            np.testing.assert_allclose(left.solve(right)[1:], told, rtol=1e-6, atol=1e-8 * np.abs(told).max())
    assert used > 40 if times < 1e3 else used < 60
