"""A small recovery run that can fail: fixed seeds, a few seconds. The full one is `benchmarks/recovery.py`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import recovery_methods as methods
import recovery_worlds as worlds
from recovery_table import binomial, flags, summarise
from scipy import stats

import evalkit as ek

SEEDS = range(8)


def quiet(world: worlds.World) -> worlds.World:
    """The same rollout without any noise and with effects that do not grow."""
    growth = {k: np.full(len(g), g[-1]) for k, g in world.growth.items()}
    sites, periods = len(next(iter(world.starts.values()))), len(next(iter(growth.values())))
    return worlds.build(world.starts, growth, np.zeros((sites, periods)), world.lags)


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    """Eight draws of the bursts scenario by two designs."""
    out = []
    for seed in SEEDS:
        world = worlds.bursts(seed)
        study = world.study()
        rows = [methods.run_design(world, study, m, "first") for m in (methods.SAME6, methods.JOINT)]
        out.append(methods.as_frame([*rows, *methods.two_way(world)], "bursts", seed))
    return pd.concat(out, ignore_index=True)


@pytest.mark.parametrize("method", [methods.SAME1, methods.SAME6, methods.UNCHANGED])
@pytest.mark.parametrize("component", ["first", "second", "third"])
def test_without_noise_and_growth_the_estimate_is_its_own_truth(method: str, component: str):
    world = quiet(worlds.bursts(3))
    line = methods.run_design(world, world.study(), method, component)
    assert line["estimate"] == pytest.approx(line["truth"], abs=1e-10)
    assert line["truth"] == pytest.approx(world.growth[component][0], abs=1e-10)


@pytest.mark.parametrize("method", [methods.SAME6, methods.UNCHANGED, methods.IGNORED])
def test_truth_by_event_time_is_the_truth_cell_by_cell(method: str):
    world = worlds.bursts(5)
    rows = methods.DESIGNS[method](world.study(), "first")
    one = rows.aggregate("simple")
    assert methods.truth_of(world, rows, one, {"first": 1.0}) == pytest.approx(methods.by_cells(world, one, "first"))


def test_growing_others_do_not_move_a_comparison_of_places_long_alike():
    world = worlds.bursts(3)
    still = worlds.build(world.starts, world.growth, np.zeros((48, 36)))
    rows = ek.StaggeredRollout(lookback=12)(still.study(), "third")
    assert np.nanmax(np.abs(rows.value)) < 1e-10


def test_same_finds_a_growing_effect_where_two_way_fixed_effects_do_not(answers: pd.DataFrame):
    table = summarise(answers).set_index(["method", "component"])
    same, two_way = table.loc[(methods.SAME6, "first")], table.loc[(methods.TWFE, "first")]
    assert abs(same["bias"]) < 4 * same["bias_error"] + 0.002
    assert abs(same["bias_share"]) < 0.10 < abs(two_way["bias_share"])
    assert same["covered"] >= 0.8 > two_way["covered"]


def test_joint_regression_is_right_where_effects_add_up(answers: pd.DataFrame):
    joint = summarise(answers).set_index(["method", "component"]).loc[(methods.JOINT, "first")]
    assert abs(joint["bias_share"]) < 0.10 and joint["covered"] >= 0.8


@pytest.mark.parametrize("one_month", [True, False])
def test_what_starts_together_is_refused_and_given_as_a_bundle(one_month: bool):
    world = worlds.together(1, one_month=one_month)
    ev = ek.evaluate(world.study())
    assert list(ev.verdicts["verdict"]) == ["cannot_tell_apart"] * 3
    assert ev.verdicts["estimate"].isna().all()
    (bundle,) = methods.bundles(world, ev)
    assert bundle["component"] == "first + second + third"
    assert bundle["truth"] > 0.1 and bundle["low"] < bundle["truth"] < bundle["high"]


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_claimed_beyond_the_clean_window(seed: int):
    world = worlds.close(seed)
    ev = ek.evaluate(world.study())
    lines = {line["component"]: line for line in methods.verdicts(world, ev)}
    assert not lines["second"]["claimed"], ev.verdicts["sentence"].iloc[1]
    assert not lines["third"]["claimed"]
    for line in lines.values():
        if line["claimed"]:
            assert int(line["note"].split("|")[2]) <= 2


def test_the_screen_and_the_evaluation_give_the_same_headline():
    world = worlds.bursts(0)
    study = world.study()
    quick = methods.headline(world, study, "third")
    whole = next(v for v in methods.verdicts(world, ek.evaluate(study)) if v["component"] == "third")
    assert quick is not None and not whole["claimed"]
    assert [quick[c] for c in ("estimate", "low", "high", "truth")] == [
        whole[c] for c in ("estimate", "low", "high", "truth")
    ]


def test_binomial_interval_and_flags():
    low, high = binomial(190, 200)
    assert stats.binom.sf(189, 200, low) == pytest.approx(0.005)
    assert stats.binom.cdf(190, 200, high) == pytest.approx(0.005)
    assert binomial(0, 10)[0] == 0.0 and binomial(10, 10)[1] == 1.0
    rows = [methods.answer("m", "c", (0.5, 0.4, 0.6), 0.0, True) for _ in range(50)]
    (line,) = [x for _, x in summarise(methods.as_frame(rows, "s", 0)).iterrows()]
    assert flags(line) == "coverage, claims"
