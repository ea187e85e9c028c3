"""Randomisation inference: orders, what is held fixed, exact p values and intervals by inversion."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.evaluation.randomisation import (
    Rearranged,
    _arrangements,
    _every,
    average_effect,
    make_deal,
    randomise,
    rearrange,
)
from tests.laws.rollouts import rollout, study_of


def two_starts(effect: float, sites: int = 8, seed: int = 3) -> pd.DataFrame:
    """Sites 0 and 1 start `a` in period 3 of 6; two people in each site, the second never reached by `a`."""
    rng = np.random.default_rng(seed)
    frame = pd.MultiIndex.from_product([range(sites), range(2), range(6)], names=["site", "who", "month"])
    frame = frame.to_frame(index=False)
    frame["unit"] = frame["site"] * 10 + frame["who"]
    frame["both"] = 1 - frame["who"]
    frame["a"] = ((frame["site"] < 2) & (frame["month"] >= 3)).astype(int)
    frame["y"] = rng.normal(size=sites)[frame["site"]] + 0.3 * rng.normal(size=len(frame))
    frame["y"] += effect * frame["a"] * frame["both"]
    return frame


def reach_study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(
        frame, unit="unit", period="month", cluster="site", outcome="y",
        components=[ek.Component("a", exposure="a", reach="both")],
    )  # fmt: skip


DESIGN = ek.StaggeredRollout(base_window=3)
RUN = average_effect(DESIGN, "a")


def by_hand(frame: pd.DataFrame) -> dict[tuple[int, int], float]:
    """Mean change of the people within reach in two sites, less that of all other sites."""
    mine = frame[frame["both"] == 1]
    after = mine[mine["month"] >= 3].groupby("site")["y"].mean()
    change = after - mine[mine["month"] < 3].groupby("site")["y"].mean()
    return {pair: change[list(pair)].mean() - change.drop(list(pair)).mean() for pair in combinations(change.index, 2)}


@pytest.mark.parametrize("effect", [0.0, 0.4, 2.0])
def test_every_order_once_and_p_by_hand(effect: float) -> None:
    frame = two_starts(effect)
    got, want = randomise(reach_study(frame), "a", RUN), by_hand(frame)
    assert got.enumerated and got.lost == 0 and got.clusters == 8
    assert got.observed == pytest.approx(want[0, 1])
    others = sorted(v for pair, v in want.items() if pair != (0, 1))
    np.testing.assert_allclose(np.sort(got.drawn), others)
    assert got.p_value == pytest.approx(np.mean(np.abs(list(want.values())) >= abs(want[0, 1]) - 1e-12))
    if effect == 2.0:
        assert got.p_value == pytest.approx(1 / 28)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_an_outcome_moves_no_p(scale: float) -> None:
    frame = two_starts(2.0)
    study = reach_study(frame.assign(y=frame["y"] * scale))
    assert randomise(study, "a", RUN).p_value == pytest.approx(1 / 28)


def test_interval_holds_what_the_test_does_not_reject() -> None:
    frame = two_starts(1.0)
    got = randomise(reach_study(frame), "a", RUN, slopes=True)
    interval = got.interval(0.9)
    assert isinstance(interval, ek.Interval) and "constant effect" in interval.provenance
    assert interval.value == pytest.approx(got.observed)
    assert interval.low < interval.value < interval.high

    def p(effect: float) -> float:
        moved = frame.assign(y=frame["y"] - effect * frame["a"] * frame["both"])
        return randomise(reach_study(moved), "a", RUN).p_value

    for effect in (-0.3, 0.9, 1.4):
        assert got.p(effect) == pytest.approx(p(effect))
    inside, outside = 1e-6, -1e-6
    for end, sign in ((interval.low, 1), (interval.high, -1)):
        assert got.p(end + sign * inside) > 0.1 >= got.p(end + sign * outside)
    assert got.interval(0.99).low == -np.inf  # 28 orders cannot reject at .01
    with pytest.raises(OptionError, match="slopes=True"):
        randomise(reach_study(frame), "a", RUN).interval()


def test_only_the_component_moves() -> None:
    study = study_of(rollout(4, sites=10, people=3))
    deal = make_deal(study.paths, "b")
    rng = np.random.default_rng(0)
    order = rng.permutation(10)
    moved = rearrange(study.paths, "b", deal, order)
    was, now = study.paths.state[study.paths.path], moved.state[moved.path]
    a, b, c = (study.paths.index(x) for x in "abc")
    np.testing.assert_array_equal(was[:, :, [a, c]], now[:, :, [a, c]])
    site = study.paths.levels["site"].codes
    first = np.array([np.flatnonzero(site == s)[0] for s in range(10)])
    np.testing.assert_array_equal(now[first][:, :, b], was[first][order][:, :, b])
    assert moved.levels is study.paths.levels and moved.units is study.paths.units
    same = rearrange(study.paths, "b", deal, np.arange(10))
    np.testing.assert_array_equal(same.state[same.path], was)
    run = average_effect(ek.StaggeredRollout(), "b")
    assert run(Rearranged(study, same)) == pytest.approx(run(study))


def test_among_alike_keeps_the_paths_of_others() -> None:
    frame = rollout(4, sites=16)
    study = study_of(frame)
    deal = make_deal(study.paths, "b", among="alike")
    others = frame.pivot(index="site", columns="month", values="a").astype(str).agg("".join, axis=1)
    others += frame.pivot(index="site", columns="month", values="c").astype(str).agg("".join, axis=1)
    for members in deal.strata:
        assert others.iloc[members].nunique() == 1
    assert len(deal.strata) == others.nunique()
    assert deal.count < make_deal(study.paths, "b").count
    orders = list(_every(deal))
    assert len(orders) == deal.count - 1
    assert len({tuple(deal.kind[o]) for o in orders}) == deal.count - 1


@pytest.mark.parametrize("items", [[0], [0, 0, 1], [0, 1, 1, 2], [0, 1, 2, 3]])
def test_arrangements_with_repeats(items: list[int]) -> None:
    assert list(_arrangements(items)) == sorted(set(permutations(items)))


def test_random_orders_are_seeded_and_many_components_run() -> None:
    study = study_of(rollout(4, sites=14))
    runs = [randomise(study, "a", average_effect(ek.StaggeredRollout(), "a"), draws=25, seed=s) for s in (1, 1, 2)]
    assert not runs[0].enumerated and len(runs[0].drawn) + runs[0].lost == 25
    np.testing.assert_array_equal(runs[0].drawn, runs[1].drawn)
    assert (runs[0].drawn[:5] != runs[2].drawn[:5]).any()
    joint = randomise(study, "a", average_effect(ek.JointEventStudy(), "a", (0, 3)), draws=5)
    assert 1 / 6 <= joint.p_value <= 1


def test_the_test_rejects_no_more_often_than_it_says() -> None:
    """Over every order that could have happened to the same outcomes, at most a share p has a p value of p or less."""
    frame = two_starts(0.0, sites=5)
    found = []
    for pair in combinations(range(5), 2):
        dealt = frame.assign(a=(frame["site"].isin(pair) & (frame["month"] >= 3)).astype(int))
        found.append(randomise(reach_study(dealt), "a", RUN).p_value)
    for level in np.unique(found):
        assert np.mean(np.array(found) <= level + 1e-12) <= level + 1e-12
    assert min(found) == pytest.approx(0.1)


def test_what_makes_no_sense_is_refused() -> None:
    frame = two_starts(0.0)
    everybody = frame.assign(a=(frame["month"] >= 3).astype(int))
    with pytest.raises(NotIdentifiedError, match="no other order"):
        randomise(reach_study(everybody), "a", RUN)
    with pytest.raises(OptionError, match="nearby"):
        randomise(reach_study(frame), "a", RUN, among="nearby")
    with pytest.raises(NotIdentifiedError, match="not a number"):
        randomise(reach_study(frame), "a", lambda _: float("nan"))
    with pytest.raises(OptionError, match="draws=0"):
        randomise(reach_study(frame), "a", RUN, draws=0)
