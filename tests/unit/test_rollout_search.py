"""The search for a rollout: what its steps keep to, where it begins, and the systems that it solves on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import evalkit as ek
from evalkit.rollouts import solving
from evalkit.rollouts import walk as walks
from evalkit.rollouts.brief import Brief, make_brief
from evalkit.rollouts.coarser import TOGETHER, coarser, finer
from evalkit.rollouts.kernel import Screen
from evalkit.rollouts.law import laws
from evalkit.rollouts.planning import search_plan
from evalkit.rollouts.search import WORST, Search
from evalkit.rollouts.walk import keep, moved

T, WINDOW = 24, 4


def mixed_brief() -> Brief:
    """Dates that are fixed, one that may stay away, two that start together, room for three starts a month."""
    planned = [ek.Planned("a", fixed={"p0": 8}), ek.Planned("b", per_month=2, everywhere=False), ek.Planned("c")]
    return make_brief([f"p{i}" for i in range(7)], planned, (0, T - 1), ek.Noise(), WINDOW, [("a", "c")], 3)


def plain_brief(places: int = 8, **noise: float) -> Brief:
    return make_brief([f"p{i}" for i in range(places)], [ek.Planned("a"), ek.Planned("b")], (0, T - 1),
                      ek.Noise(**noise), WINDOW, (), 2)  # fmt: skip


def test_steps_of_a_search_keep_to_what_is_allowed() -> None:
    b = mixed_brief()
    search = Search(b, 0)
    starts, seen = search.random(), set()
    assert starts is not None and search.allowed(starts)
    for draws in np.random.default_rng(1).random((2000, 5)):
        trial = moved(starts, draws, search.choice)
        fits = ((trial >= b.low) & (trial <= b.high)) | ((trial == T) & b.never)
        count = np.array([np.bincount(trial[:, k], minlength=T + 1)[:T] for k in range(len(b.names))])
        heads = [g[0] for g in search.groups]
        within = (count[:, b.past :] <= b.most[:, None]).all() and (count[heads].sum(axis=0)[b.past :] <= 3).all()
        assert search.allowed(trial) == (bool(fits.all()) and bool(within))
        if search.allowed(trial):
            starts = trial
            seen.add(tuple(trial.ravel()))
    assert len(seen) > 100 and (starts[0] == search.domain[0][0][0]).any()


@pytest.mark.parametrize("kind", ["loops", "arrays"])
@pytest.mark.parametrize("n", [0, 1, 3, 4, 9, 30])
def test_small_systems_are_solved(n: int, kind: str) -> None:
    factor, inverse, solve, take, add = (
        getattr(solving, f"{name}_{kind}") for name in ("factor", "inverse", "solve", "take", "add")
    )
    made = np.random.default_rng(n).normal(size=(n, 2 * n))
    A, right = made @ made.T + np.eye(n), np.arange(n) + 1.0
    U = np.triu(factor(np.triu(A)))
    np.testing.assert_allclose(U.T @ U, A, atol=1e-9)
    np.testing.assert_allclose(inverse(U), np.linalg.inv(A), atol=1e-9)
    np.testing.assert_allclose(solve(U, right), np.linalg.solve(A, right), atol=1e-9)
    row, whole = np.ones(n), np.ones(n)
    take(row, min(1, n), n, A, 0, n, right)
    np.testing.assert_allclose(row[1:], (1 - right @ A)[1:])
    add(whole, right, 2.0)
    np.testing.assert_allclose(whole, 1 + 2 * right)
    assert n == 0 or row[0] == 1


def test_longer_periods_hold_means() -> None:
    """Of outcomes: covariance of means over three periods, worked out by hand; dates that are allowed lie within."""
    screen = Screen.of(plain_brief(rho=0.5, slow=0.02, fading=0.2, decay=0.6))
    long = coarser(screen)
    assert long is not None and long.brief.T == T // TOGETHER and long.brief.window == 1
    assert long.shocks[1, 3] == pytest.approx(screen.shocks[3:6, 9:12].mean())
    assert long.person[2, 2] == pytest.approx(screen.person[6:9, 6:9].mean())
    assert (long.brief.low * TOGETHER >= screen.brief.low).all()
    for earlier in range(TOGETHER):
        b = replace(screen.brief, high=screen.brief.high - earlier)
        made = coarser(replace(screen, brief=b))
        assert made is not None and (made.brief.high * TOGETHER + TOGETHER - 1 <= b.high).all()
    assert long.brief.most_in_all == 6 and coarser(replace(screen, brief=replace(screen.brief, window=2))) is None


def test_starts_from_longer_periods_keep_to_what_is_allowed() -> None:
    b, rng = mixed_brief(), np.random.default_rng(3)
    search = Search(b, 0)
    coarse = search.coarse
    assert coarse is not None
    for _ in range(20):
        long = coarse.random()
        assert long is not None and coarse.allowed(long)
        made = finer(b, search.groups, long, rng)
        assert (made[:, 0] == made[:, 1]).all() or len(b.names) == 2
        assert ((made == T) == (long == T // TOGETHER)).all() and made[0, 0] == 8
        assert search.allowed(made)
        free = (long < T // TOGETHER) & (b.low < b.high)
        assert (made // TOGETHER == long)[free].all()


def test_the_best_are_kept_once_each() -> None:
    best, marks = np.zeros((3, 2, 1), dtype=np.int64), np.array([5.0, np.inf, np.inf])
    for mark in (4.0, 4.0, 3.0, 6.0, 2.0, 3.0):
        keep(best, marks, np.full((2, 1), int(mark)), mark)
    assert sorted(marks.tolist()) == [2.0, 3.0, 4.0] and (best[:, 0, 0] == marks).all()


@pytest.mark.parametrize("weights", ["least_noise", "equal"])
def test_a_walk_is_the_same_as_it_is_written(monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    """Loops that are compiled, and the same as Python reads them, go the same way."""
    made = []
    for plain in (False, True):
        if plain:
            for name in ("walk", "rough", "in_full", "mean_power", "falling"):
                function = getattr(walks, name)
                monkeypatch.setattr(walks, name, getattr(function, "py_func", function))
            monkeypatch.setattr("evalkit.rollouts.search.walk", walks.walk)
        search = Search(plain_brief(), 5, weights)
        made.append(search.anneal(search.random(), 120, (0.02, 0.005), full=True, power=WORST))
    assert (made[0][0] == made[1][0]).all() and made[0][1] == pytest.approx(made[1][1], rel=1e-9)


def test_what_is_found_is_ranked_and_the_plan_is_the_best_by_the_law() -> None:
    b = plain_brief()
    found = Search(b, 2).candidates(0.05)
    worst = [Search(b, 0).detectable(starts, full=True)[0].max() for starts in found]
    assert len(found) > 3 and worst == sorted(worst) and len({starts.tobytes() for starts in found}) == len(found)
    plan = search_plan(b, 2, effort=0.05)
    told = [max(law.detectable for law in laws(b, starts)) for starts in found[:3]]
    assert max(law.detectable for law in plan.laws) == min(told)


def test_the_same_seed_finds_the_same() -> None:
    first, second, other = (Search(plain_brief(), seed).candidates(0.05)[0] for seed in (3, 3, 4))
    assert (first == second).all() and (first != other).any()
