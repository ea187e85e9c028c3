"""Regression discontinuity: right on known jumps, honest about what it cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.checks.cutoff import bunching, cutoff_checks, others_at_cutoff, placebo_cutoffs
from evalkit.errors import NotIdentifiedError, OptionError


def pupils(n: int = 3000, seed: int = 0, effect: float = 0.5, fuzzy: bool = False) -> pd.DataFrame:
    """The lowest fifth on a test get support; the outcome rises with the test."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    got = score < -0.84
    if fuzzy:
        got = np.where(got, rng.random(n) < 0.8, rng.random(n) < 0.1)
    y = 0.6 * score + effect * got + rng.normal(size=n) * 0.5
    return pd.DataFrame({"id": np.arange(n), "score": score, "support": got.astype(int), "y": y,
                         "club": (rng.random(n) < 0.4).astype(int)})  # fmt: skip


def study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="id", period=None, outcome="y", components=["support", "club"])


@pytest.mark.parametrize("fuzzy", [False, True])
def test_finds_a_known_effect_below_the_cutoff(fuzzy):
    got = ek.RegressionDiscontinuity("score", -0.84)(study(pupils(6000, fuzzy=fuzzy)), "support")
    assert isinstance(got, ek.Interval)
    assert got.low < 0.5 < got.high
    assert got.low > 0
    assert ("fuzzy" if fuzzy else "sharp") in got.provenance


def test_equals_rdrobust_itself():
    from rdrobust import rdrobust

    frame = pupils()
    want = rdrobust(frame["y"], frame["score"], c=-0.84)
    got = ek.RegressionDiscontinuity("score", -0.84).fit(study(frame), "support")
    interval = np.asarray(want.ci.loc["Robust"], dtype=float)
    assert (got.low, got.high) == pytest.approx((-interval[1], -interval[0]))
    assert got.bandwidth == pytest.approx(float(want.bws.loc["h"].max()))


def test_covers_the_truth():
    """Forty studies: at least 34 intervals hold the effect (a right interval fails this once in 10,000 times)."""
    design = ek.RegressionDiscontinuity("score", -0.84)
    held = [abs_in(design(study(pupils(1200, seed)), "support"), 0.5) for seed in range(40)]
    assert sum(held) >= 34


def abs_in(interval: ek.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_stack_refuses_it_by_name():
    with pytest.raises(ek.EvalkitError, match="Interval has no contributions"):
        ek.stack(ek.RegressionDiscontinuity("score", -0.84)(study(pupils()), "support"))


def test_attacks_pass_where_nothing_is_wrong():
    found = cutoff_checks(ek.RegressionDiscontinuity("score", -0.84), study(pupils(6000)), "support", 0.4)
    assert {c.check: c.status for c in found} == {
        "bunching": "passed", "others_at_cutoff": "passed", "placebo_cutoffs": "passed",
    }  # fmt: skip


def test_attacks_find_what_is_wrong():
    frame = pupils(6000)
    frame["club"] = np.where(frame["score"] < -0.84, 1, frame["club"])
    frame["y"] += np.where(frame["score"] > np.median(frame["score"][frame["score"] >= -0.84]), 0.6, 0)
    found = {c.check: c for c in cutoff_checks(ek.RegressionDiscontinuity("score", -0.84), study(frame), "support")}
    assert found["others_at_cutoff"].status == "failed"
    assert "club also jumps" in found["others_at_cutoff"].words
    assert found["placebo_cutoffs"].status == "failed"
    moved = np.where((frame["score"] > -0.84) & (frame["score"] < -0.7), -0.85, frame["score"])
    assert bunching(moved, -0.84, 0.6).status == "failed"


def test_what_it_refuses():
    people = study(pupils())
    with pytest.raises(NotIdentifiedError, match="does not clearly switch"):
        ek.RegressionDiscontinuity("score", -0.84)(people, "club")
    with pytest.raises(NotIdentifiedError, match="people stand on one side"):
        ek.RegressionDiscontinuity("score", 99)(people, "support")
    with pytest.raises(ek.EvalkitError, match="no column 'scores'"):
        ek.RegressionDiscontinuity("scores", 0)(people, "support")
    with pytest.raises(OptionError, match="3 problems"):
        ek.RegressionDiscontinuity("score", np.nan, bandwidth=-1, kernel="box")


def test_regression_to_the_mean_is_not_taken_for_an_effect():
    """Without any effect the lowest rise most; the table says that this was to be expected."""
    rng = np.random.default_rng(3)
    true = rng.normal(size=5000)
    before, after = true + rng.normal(size=(2, 5000))
    frame = pd.DataFrame({"id": np.arange(5000), "score": before, "support": (before < -1).astype(int),
                          "y": after - before, "club": rng.integers(0, 2, 5000)})  # fmt: skip
    table = ek.RegressionDiscontinuity("score", -1.0).expected(study(frame), "support")
    lowest = table.iloc[0]
    assert lowest["outcome"] > 0.8
    assert lowest["expected"] == pytest.approx(lowest["outcome"], abs=0.2)
    assert bool(lowest["extrapolated"])
    assert table["people"].sum() == 5000


def line(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Support from a score of 0 on, decided by nothing else."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(-1, 1, n)
    got = score >= 0
    return pd.DataFrame({"id": np.arange(n), "score": score, "support": got.astype(int),
                         "y": 0.5 * got + score + rng.normal(size=n) * 0.3, "club": rng.integers(0, 2, n),
                         "weight": rng.uniform(0.1, 4, n)})  # fmt: skip


def weighted(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="id", period=None, outcome="y", components=["support", "club"], weights="weight")


@pytest.mark.parametrize("sign", [1, 0])
def test_another_component_decided_by_the_same_cutoff_fails_the_check(sign):
    frame = line()
    frame["club"] = np.where(sign, frame["support"], 1 - frame["support"])
    found = cutoff_checks(ek.RegressionDiscontinuity("score", 0), study(frame), "support")[1]
    assert (found.check, found.status) == ("others_at_cutoff", "failed")
    assert "club also jumps" in found.words
    assert found.estimate == (1 if sign else -1)


def test_another_component_that_varies_only_far_from_the_cutoff_does_not_jump():
    frame = line()
    frame["club"] = (frame["score"] > 0.8).astype(int)
    found = cutoff_checks(ek.RegressionDiscontinuity("score", 0, bandwidth=0.4), study(frame), "support")[1]
    assert found.status == "passed"


def test_a_thing_that_cannot_be_told_is_not_passed():
    frame = line(400)
    frame["club"] = 0
    frame.loc[frame["score"].abs().idxmin(), "club"] = 1
    design = ek.RegressionDiscontinuity("score", 0)
    people = study(frame)
    sample = design.sample(people, "support")
    few = replace(design, bandwidth=0.01)
    found = others_at_cutoff(few, people, sample)
    assert found.status == "informational"
    assert found.words == "Whether club also jumps cannot be worked out."


def test_placebo_cutoffs_say_when_nobody_can_be_compared():
    frame = line()
    frame.loc[frame["score"] < 0, "y"] = 1.0
    frame.loc[frame["score"] >= 0.5, "y"] = np.nan
    design = ek.RegressionDiscontinuity("score", 0)
    found = placebo_cutoffs(design, design.sample(study(frame), "support"), None)
    assert (found.status, found.estimate) == ("informational", pytest.approx(np.nan, nan_ok=True))


def test_impossible_options_are_refused_when_the_design_is_made():
    for more in ({"cutoff": "x"}, {"cutoff": True}, {"bandwidth": "x"}, {"bandwidth": np.inf}, {"bandwidth": 0},
                 {"level": 95}, {"level": 0.0}):  # fmt: skip
        with pytest.raises(OptionError, match=f"{next(iter(more))}="):
            ek.RegressionDiscontinuity(**{"score": "score", "cutoff": 0, **more})
    assert ek.RegressionDiscontinuity("score", np.int64(3), bandwidth=np.float32(2)).cutoff == 3


def test_data_that_carry_no_discontinuity_are_refused_in_words():
    frame = line()
    whole = np.floor(frame["score"] * 10)
    marks = np.round(frame["score"] * 2)
    cases = [
        (frame, {"cutoff": 0.5}, "does not clearly switch at score = 0.5: near it, 100%"),
        (frame.assign(score=whole, support=(whole <= 2) * 1), {"cutoff": 2}, r"like those below.*cutoff=3\.0"),
        (frame.assign(score=marks, support=(marks >= 0) * 1), {}, "rdrobust says 'Not enough distinct"),
        (frame.assign(y=1.0), {}, "same for everybody"),
        (frame.assign(y=frame["support"] * 1.0), {"bandwidth": 0.3}, "no standard error"),
        (frame, {"bandwidth": 1e-6}, "rdrobust says 'Not enough distinct"),
        (frame.assign(y=frame["y"].where(frame["score"] < 0)), {}, "Only 0 people with an outcome stand on one side"),
    ]
    for data, more, words in cases:
        with pytest.raises(NotIdentifiedError, match=words):
            ek.RegressionDiscontinuity(**{"score": "score", "cutoff": 0, **more})(study(data), "support")


def test_people_with_an_outcome_within_the_bandwidth_are_counted():
    frame = line()
    with pytest.raises(NotIdentifiedError, match=r"Only \d people with an outcome stand on one side within 0\.01"):
        ek.RegressionDiscontinuity("score", 0, bandwidth=0.01)(study(frame), "support")
    unseen = (frame["score"] > 0) & (frame["id"] > 60)
    with pytest.raises(NotIdentifiedError, match=r"people with an outcome stand on one side.*at least 20"):
        ek.RegressionDiscontinuity("score", 0)(study(frame.assign(y=frame["y"].mask(unseen))), "support")
    with pytest.raises(NotIdentifiedError, match="at least 20"):
        ek.RegressionDiscontinuity("score", 0)(study(frame.iloc[:60]), "support")


def test_a_fault_in_rdrobust_stays_a_fault(monkeypatch):
    def broken(*_, **__):
        raise KeyError("h")

    monkeypatch.setattr("rdrobust.rdrobust", broken)
    with pytest.raises(KeyError):
        ek.RegressionDiscontinuity("score", 0)(study(line()), "support")


def test_decided_near_the_cutoff_though_not_far_from_it():
    frame = line(3000)
    frame["support"] = ((frame["score"] >= 0) | (frame["score"] < -0.9)).astype(int)
    design = ek.RegressionDiscontinuity("score", 0)
    got = design.fit(study(frame), "support")
    assert not got.fuzzy
    assert got.low < 0.5 < got.high


@pytest.mark.parametrize("fuzzy", [False, True])
def test_weights_are_those_of_rdrobust(fuzzy):
    from rdrobust import rdrobust

    frame = line()
    if fuzzy:
        frame["support"] = (np.random.default_rng(1).random(1500) < np.where(frame["score"] >= 0, 0.8, 0.2)).astype(int)
    more = {"fuzzy": frame["support"]} if fuzzy else {}
    want = rdrobust(frame["y"], frame["score"], c=0, weights=frame["weight"], **more)
    got = ek.RegressionDiscontinuity("score", 0)(weighted(frame), "support")
    assert (got.low, got.high) == pytest.approx(tuple(np.asarray(want.ci.loc["Robust"], dtype=float)))
    plain = ek.RegressionDiscontinuity("score", 0)(study(frame), "support")
    assert got.value != pytest.approx(plain.value, abs=1e-6)
    same = ek.RegressionDiscontinuity("score", 0)(weighted(frame.assign(weight=2.5)), "support")
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high))


def test_weights_reach_the_checks_and_the_expected_outcomes():
    frame = line(3000)
    # Club jumps at the cut-off, but only among people who stand for nearly nobody.
    frame["weight"] = np.where(frame["id"] % 2, 1.0, 1e-6)
    frame["club"] = np.where(frame["id"] % 2, frame["club"], frame["support"])
    design = ek.RegressionDiscontinuity("score", 0)
    assert cutoff_checks(design, study(frame), "support")[1].status == "failed"
    assert cutoff_checks(design, weighted(frame), "support")[1].status == "passed"
    frame["y"] += np.where(frame["id"] % 2, 0, 5)
    table = design.expected(weighted(frame), "support")
    assert table["people"].sum() == 3000
    assert abs(table["outcome"] - table["score"]).max() < 0.7
    same = design.expected(weighted(frame.assign(weight=3.0)), "support")
    pd.testing.assert_frame_equal(same, design.expected(study(frame), "support"))
    with pytest.raises(NotIdentifiedError, match="without it at two scores"):
        design.expected(study(frame.assign(y=frame["y"].where(frame["support"] == 1))), "support")
