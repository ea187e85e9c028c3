"""Components that are taken away, come back or cross over: first starts, what was withdrawn, what was left."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.checks import carry_over
from evalkit.errors import NotIdentifiedError

PERIODS, PLACES = 16, 16


def exposure(kind: str) -> np.ndarray:
    """(places, periods) of a kind of rollout; half of the places take part, or all where they cross over."""
    a, t = np.zeros((PLACES, PERIODS), dtype=int), np.arange(PERIODS)
    for g in range(PLACES // 2):
        s, other = 4 + g % 3, g + PLACES // 2
        if kind == "once":
            a[g, s : s + 4] = 1
        elif kind == "again":
            a[g, s : s + 3] = a[g, s + 5 : s + 8] = 1
        elif kind == "cross":
            a[g, 5:10] = a[other, 10:15] = 1
        else:  # every period
            a[g], a[other] = t % 2, 1 - t % 2
    return a


@cache
def study(kind: str, left: float = 0.0, noise: float = 0.1) -> ek.Study:
    """Effect of 1 while on, and of `left` afterwards."""
    rng, a = np.random.default_rng(7), exposure(kind)
    ever = np.maximum.accumulate(a, axis=1)
    y = rng.normal(size=(PLACES, 1)) + noise * rng.normal(size=a.shape) + 0.1 * np.arange(PERIODS)
    y = y + np.where(a > 0, 1.0, left * ever)
    places = np.repeat([f"P{g:02d}" for g in range(PLACES)], PERIODS)
    frame = pd.DataFrame({"place": places, "t": np.tile(np.arange(PERIODS), PLACES), "a": a.ravel(), "y": y.ravel()})
    return ek.Study(frame, unit="place", period="t", outcome="y", matters=0.4, components=["a"])


@cache
def evaluated(kind: str, left: float) -> ek.Evaluation:
    return ek.evaluate(study(kind, left))


def numbers(ev: ek.Evaluation) -> pd.Series:
    return ev.effects.set_index("design")["estimate"]


@pytest.mark.parametrize(("left", "taken"), [(0.0, -1.0), (1.0, 0.0)])
def test_what_is_withdrawn_and_what_is_left_by_hand(left: float, taken: float) -> None:
    """Without noise every row is the truth, whichever places stay as they are."""
    exact = study("once", left, noise=0.0)
    assert np.allclose(ek.Withdrawn(base_window=3)(exact, "a").over(0, None).value, taken, atol=1e-12)
    assert np.allclose(ek.CarriedOver(base_window=3)(exact, "a").over(0, None).value, left, atol=1e-12)


def test_a_withdrawal_is_compared_with_places_that_keep_it() -> None:
    """Six places have it from the start, and two give it up: nobody else is without it."""
    a = np.ones((8, 10), dtype=int)
    a[:2, 6:] = 0
    y = np.arange(8)[:, None] + 0.5 * np.arange(10) + 1.0 * a
    frame = pd.DataFrame({"place": np.repeat(np.arange(8), 10), "t": np.tile(np.arange(10), 8), "a": a.ravel()})
    kept = ek.Study(frame.assign(y=y.ravel()), unit="place", period="t", outcome="y", components=["a"])
    found = ek.Withdrawn()(kept, "a").over(0, None)
    assert found.value[0] == pytest.approx(-1.0, abs=1e-12)
    assert set(ek.Withdrawn()(kept, "a").labels["estimand"]) == {"withdrawn(g,t)"}
    with pytest.raises(NotIdentifiedError, match="never switched off"):
        ek.Withdrawn()(study_that_stays(), "a")


def study_that_stays() -> ek.Study:
    frame = pd.DataFrame({"place": np.repeat(np.arange(4), 4), "t": np.tile(np.arange(4), 4)})
    frame["a"] = ((frame["place"] < 2) & (frame["t"] > 1)).astype(int)
    return ek.Study(frame.assign(y=0.0), unit="place", period="t", outcome="y", components=["a"])


@pytest.mark.parametrize("left", [0.0, 1.0])
def test_places_that_begin_again_are_compared_by_their_first_start(left: float) -> None:
    ev = evaluated("again", left)
    found = numbers(ev)
    assert found["StaggeredRollout(same)"] == pytest.approx(1.0, abs=0.15)
    assert found["StaggeredRollout(same, every start)"] == pytest.approx(1.0 - 0.5 * left, abs=0.15)
    assert found["CarriedOver"] == pytest.approx(left, abs=0.2)
    assert found["Withdrawn"] == pytest.approx(left - 1.0, abs=0.2)
    status = ev.checks.set_index("check")["status"]["carry_over"]
    assert status == ("informational" if left else "passed")
    assert "of whom only the first start is compared" in ev.separability.components["reason"].iloc[0]


def test_what_is_left_fails_where_later_starts_are_compared_with_it() -> None:
    ends = ek.CarriedOver(base_window=3)(study("again", 1.0), "a").over(0, None)
    assert carry_over(ends, 0.4, again=True).status == "failed"
    assert carry_over(ends, 0.4, again=False).status == "informational"
    assert carry_over(None, 0.4, again=True, why="nobody is left").status == "informational"


def test_one_end_needs_no_regression_to_agree() -> None:
    """After an end the joint regression takes places for untouched: that is no other fair way of comparing."""
    ev = evaluated("once", 1.0)
    assert "rungs" not in set(ev.checks.loc[ev.checks["status"] == "failed", "check"])
    assert numbers(ev)["JointEventStudy"] < 0.8


def test_a_crossover_is_called_one() -> None:
    reason = ek.separability(study("cross")).components["reason"].iloc[0]
    assert "a crossover: 8 places took it up as 8 places gave it up, and they are compared only until then" in reason


def test_an_exposure_that_reverses_every_period_says_why_it_cannot_be_told() -> None:
    ev = evaluated("every period", 0.0)
    row = ev.verdicts.iloc[0]
    assert row["verdict"] == "cannot_tell" and np.isnan(row["estimate"])
    assert "a crossover" in row["sentence"] and "only if nothing of it is left afterwards" in row["sentence"]


def test_first_starts_are_an_option_of_a_design() -> None:
    again = study("again", 1.0)
    every, first = (ek.StaggeredRollout(starts=s)(again, "a").over(0, None).value[0] for s in ("all", "first"))
    assert first == pytest.approx(1.0, abs=0.15) and every < 0.7
    with pytest.raises(ek.EvalkitError, match="starts"):
        ek.StaggeredRollout(starts="last")
