"""For whom: finds differences that are there, invents none, hides small groups, refuses where data do not carry it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError


def people(n: int = 4000, seed: int = 0, gap: float = 1.0, cluster: bool = False) -> ek.Study:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    sex = np.where(rng.random(n) < 0.5, "women", "men")
    area = np.where(rng.random(n) < 0.003, "tiny", np.where(rng.random(n) < 0.5, "north", "south"))
    got = rng.random(n) < 1 / (1 + np.exp(-0.7 * x))
    y = x + got * (0.5 + gap * (sex == "women")) + rng.normal(size=n)
    frame = pd.DataFrame({"id": np.arange(n), "x": x, "sex": sex, "area": area, "age": rng.integers(18, 80, n),
                          "got": got.astype(int), "y": y, "place": rng.integers(0, 40, n)})  # fmt: skip
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    more = {"cluster": "place"} if cluster else {}
    return ek.Study(frame, unit="id", period=None, outcome="y", components=parts, covariates=("x",), **more)


@pytest.mark.parametrize("cluster", [False, True])
def test_finds_a_difference_and_no_other(cluster):
    found = ek.for_whom(people(cluster=cluster), "got", ["sex", "area", "age"])
    table = found.table.set_index(["by", "group"])
    for kind, truth in (("men", 0.5), ("women", 1.5)):
        row = table.loc[("sex", kind)]
        assert row["conf_low"] < truth < row["conf_high"]
        assert row["std_error"] < 0.15
    p = found.differences.set_index("by")["p_adjusted"]
    assert p["sex"] < 0.001
    assert p["area"] > 0.05
    assert p["age"] > 0.05
    assert found.calibration.status == "passed"
    assert found.words.startswith("The effect differs by sex")
    assert len(table.loc["age"]) == 3


def test_small_groups_are_hidden():
    row = ek.for_whom(people(), "got", "area").table.set_index("group").loc["tiny"]
    assert np.isnan(row[["people", "exposed", "estimate", "conf_low"]].astype(float)).all()
    assert row["reason"] == "fewer than 10 people with it or without it"


def test_same_for_all_is_not_claimed():
    found = ek.for_whom(people(gap=0.0, seed=2), "got", ["sex"])
    assert found.differences["p_adjusted"][0] > 0.05
    assert "not a sign that it is the same for all" in found.words


def test_refuses_few_people_and_no_overlap():
    few = ek.for_whom(people(n=200), "got", "sex")
    assert "too few to tell kinds of people apart" in few.reason
    assert few.table["estimate"].isna().all()
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000) * 4
    frame = pd.DataFrame({"id": np.arange(2000), "x": x, "sex": rng.integers(0, 2, 2000), "y": x,
                          "got": (x + rng.logistic(size=2000) > 0).astype(int)})  # fmt: skip
    study = ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x",))
    assert "nobody like them in the other arm" in ek.for_whom(study, "got", "sex").reason


def test_unknown_columns():
    with pytest.raises(ek.EvalkitError, match=r"no column 'sexx'.*Did you mean 'sex'"):
        ek.for_whom(people(n=500), "got", "sexx")
    with pytest.raises(OptionError, match="at least one column"):
        ek.for_whom(people(n=500), "got", [])


def test_weights_say_whom_a_mean_speaks_for():
    """Effects are 0.5 for men and 1.5 for women: where women count three times, the mean moves towards theirs."""
    rng = np.random.default_rng(3)
    x, women = rng.normal(size=4000), rng.random(4000) < 0.5
    got = rng.random(4000) < 1 / (1 + np.exp(-0.7 * x))
    y = x + got * np.where(women, 1.5, 0.5) + rng.normal(size=4000)
    frame = pd.DataFrame({"id": range(4000), "x": x, "got": got.astype(int), "y": y})
    frame["side"] = np.where(frame["id"] % 2, "left", "right")
    parts = [ek.Component("got", exposure="got", assigned_at="id")]

    def mean(**more) -> pd.Series:
        study = ek.Study(frame.assign(**more), unit="id", period=None, outcome="y", components=parts,
                         covariates=("x",), weights=next(iter(more), None))  # fmt: skip
        return ek.for_whom(study, "got", ["side"]).table.iloc[0]

    want, same = mean(), mean(weight=2.5)
    assert (same["estimate"], same["std_error"]) == pytest.approx((want["estimate"], want["std_error"]))
    tilted = mean(weight=np.where(women, 3.0, 1.0))
    assert tilted["estimate"] == pytest.approx(1.25, abs=3 * tilted["std_error"])
    assert tilted["estimate"] - want["estimate"] > 0.15
