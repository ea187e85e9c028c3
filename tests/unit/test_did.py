"""Difference-in-differences: two groups, two windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

DATA = Path(__file__).parents[1] / "reference" / "data"
SAME = {"rtol": 1e-12, "atol": 1e-14}


def mpdta(**changes: object) -> ek.Study:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    fields = {"unit": "countyreal", "period": "year", "outcome": "lemp", "components": ["raised"]}
    return ek.Study(frame, **{**fields, "covariates": ("lpop",), **changes})


def panel(seed: int = 3, people: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sites, periods = 12, 8
    n = sites * people
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(n), periods), "month": np.tile(np.arange(periods), n),
        "site": np.repeat(np.arange(sites), periods * people), "w": np.repeat(rng.uniform(0.5, 2, n), periods),
    })  # fmt: skip
    for name, start in (
        ("a", np.where(np.arange(sites) < 5, 4, 99)),
        ("b", np.where(np.arange(sites) % 3 == 0, 6, 99)),
    ):
        frame[name] = (frame["month"].to_numpy() >= start[frame["site"]]).astype(int)
    frame["x"] = np.repeat(rng.normal(size=n), periods)
    frame["y"] = rng.normal(size=len(frame)) + frame["x"] * frame["month"] / 5 + frame["a"]
    return frame


def study_of(frame: pd.DataFrame, **changes: object) -> ek.Study:
    fields = {"unit": "unit", "period": "month", "cluster": "site", "outcome": "y", "components": ["a", "b"]}
    return ek.Study(frame, **{**fields, "covariates": ("x",), **changes})


@pytest.mark.parametrize("adjust", [None, "reg", "ipw", "dr"])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_one_cohort_and_two_periods_is_the_staggered_rollout(adjust, weights, missing):
    frame = panel()
    frame = frame[frame["month"].isin([3, 4])]
    frame = frame[np.random.default_rng(1).random(len(frame)) >= missing]
    study = study_of(frame, weights=weights)
    one = ek.DifferenceInDifferences(adjust=adjust)(study, "a")
    other = ek.StaggeredRollout(adjust=adjust)(study, "a")
    for inference in ("analytic", "jackknife"):
        mine, theirs = one.to_frame(inference=inference), other.to_frame(inference=inference)
        columns = ["estimate", "std_error", "df", "clusters_exposed", "clusters_comparison", "units_exposed", "mass"]
        np.testing.assert_allclose(mine[columns].astype(float), theirs[columns].astype(float), **SAME)
    assert mine["cohort"].tolist() == theirs["cohort"].tolist() == [4]
    np.testing.assert_allclose(one.influence, other.influence, **SAME)


@pytest.mark.parametrize("adjust", [None, "reg", "ipw", "dr"])
@pytest.mark.parametrize("others", ["same", "unchanged", "ignored"])
def test_two_periods_of_a_longer_panel(adjust, others):
    study = study_of(panel())
    one = ek.DifferenceInDifferences(before=3, after=5, adjust=adjust, others=others)(study, "a").to_frame()
    rows = ek.StaggeredRollout(adjust=adjust, others=others)(study, "a")
    other = rows.select(np.flatnonzero(rows.labels["period"] == 5)).to_frame()
    np.testing.assert_allclose(one[["estimate", "std_error"]], other[["estimate", "std_error"]], **SAME)


def test_windows_are_means_of_their_periods():
    frame = panel()
    est = ek.DifferenceInDifferences(before=(1, 3), after=(4, 7), others="ignored")(study_of(frame), "a")
    mean = lambda low, high: frame[frame["month"].between(low, high)].groupby("unit")["y"].mean()  # noqa: E731
    change = mean(4, 7) - mean(1, 3)
    adopts = frame.groupby("unit")["a"].max()[change.index] == 1
    np.testing.assert_allclose(est.value, change[adopts].mean() - change[~adopts].mean(), **SAME)
    assert est.to_frame()["cohort"].tolist() == ["4 to 7"]


@pytest.mark.parametrize("weights", [None, "w"])
def test_windows_with_missing_rows_are_pairs_of_periods(weights):
    """By a loop over pairs: units seen in both, each adopter divided among its own pairs."""
    frame = panel()
    frame = frame[np.random.default_rng(5).random(len(frame)) >= 0.2]
    made = ek.DifferenceInDifferences(before=(1, 3), after=(4, 7), others="ignored")
    est = made(study_of(frame, weights=weights), "a")
    wide = frame.pivot(index="unit", columns="month", values="y")
    one = frame.groupby("unit").agg(adopts=("site", lambda s: s.iloc[0] < 5), w=("w", "first"))
    w = one["w"] if weights else one["w"] * 0 + 1
    pairs = wide[[1, 2, 3]].notna().sum(axis=1) * wide[[4, 5, 6, 7]].notna().sum(axis=1)
    total = mass = 0.0
    for b in (1, 2, 3):
        for t in (4, 5, 6, 7):
            change = (wide[t] - wide[b]).dropna()
            own, rest = change[one["adopts"]], change[~one["adopts"]]
            share = (w / pairs)[own.index]
            effect = np.average(own, weights=share) - np.average(rest, weights=w[rest.index])
            total, mass = total + share.sum() * effect, mass + share.sum()
    np.testing.assert_allclose((est.value, est.mass), ([total / mass], [mass]), rtol=1e-12)


ARRIVING = {
    "rollout": ek.StaggeredRollout(base_window=4),
    "adjusted": ek.StaggeredRollout(base_window=4, adjust="dr", others="ignored"),
    "cross-sections": ek.StaggeredRollout(base_window=4, compare="cross_sections"),
    "windows": ek.DifferenceInDifferences(),
    "adjusted windows": ek.DifferenceInDifferences(adjust="reg", others="ignored"),
}


@pytest.mark.parametrize("name", ARRIVING)
def test_people_who_arrive_at_other_times_in_the_arms_are_no_effect(name):
    """No effect and no noise, only periods that differ for everybody: exactly zero, whoever came when."""
    frame = panel()
    rng = np.random.default_rng(2)
    exposed = frame["site"] < 5
    entry = np.where(exposed.groupby(frame["unit"]).first(), rng.integers(0, 4, 72), rng.integers(0, 2, 72))
    frame = frame[frame["month"] >= entry[frame["unit"]]]
    frame = frame.assign(y=(frame["month"] ** 2).astype(float))
    means = frame[frame["month"] < 4].groupby(exposed)["y"].mean()
    assert abs(means[True] - means[False]) > 0.5  # the trap is set: bases of those who came late lie higher
    est = ARRIVING[name](study_of(frame), "a")
    np.testing.assert_allclose(est.value[np.isfinite(est.value)], 0.0, atol=1e-10)
    assert np.isfinite(est.value).any()


def test_the_default_windows_begin_at_the_first_start():
    study = mpdta()
    est = ek.DifferenceInDifferences()(study, "raised")
    frame = study.source.column("first_treat").to_numpy().reshape(-1, 5)[:, 0]
    y = study.values()
    change = y[:, 1:].mean(axis=1) - y[:, 0]
    np.testing.assert_allclose(est.value, change[frame == 2004].mean() - change[frame == 0].mean(), **SAME)
    row = est.to_frame(inference="analytic").iloc[0]
    assert (row["units_exposed"], row["units_comparison"], row["units_outside"]) == (20, 309, 171)


def test_it_agrees_with_the_published_two_by_two():
    """ATT(2004, 2004) against the never-treated of the reference table is a two by two."""
    want = (-0.0105032462, 0.0232510364)
    est = ek.DifferenceInDifferences(before=2003, after=2004, comparison="never")(mpdta(), "raised")
    got = est.to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
    np.testing.assert_allclose(got, want, atol=1e-7, rtol=0)


def test_a_spell_between_the_windows_is_no_comparison():
    frame = panel(people=1)
    frame.loc[(frame["unit"] == 8) & (frame["month"] == 4), "a"] = 1
    est = ek.DifferenceInDifferences(before=(0, 3), after=(5, 7), others="ignored")(study_of(frame), "a")
    row = est.to_frame(inference="analytic").iloc[0]
    assert (row["units_comparison"], row["units_outside"]) == (6, 1)


def test_others_that_move_leave_the_adopter_without_a_match():
    """Site 3 adopts a and has b from 6 on: no site off a moves alike between the windows but 6 and 9."""
    est = ek.DifferenceInDifferences(before=(0, 3), after=(4, 7))(study_of(panel(people=1)), "a")
    assert est.weights().query("sign < 0")["cluster"].nunique() == 7
    still = ek.DifferenceInDifferences(before=(0, 3), after=(4, 7), others="unchanged")(study_of(panel(people=1)), "a")
    assert set(still.weights()["cluster"]) == {1, 2, 4, 5, 7, 8, 10, 11}


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ({"before": 99, "after": 4}, "no period 99"),
        ({"before": (3, 5), "after": 4}, "Choose others"),
        ({"before": (5, 3), "after": 6}, "ends before it begins"),
        ({"before": (1, 2, 3)}, "not a window"),
    ],
)
def test_impossible_windows_say_why(windows, words):
    with pytest.raises(ek.EvalkitError, match=words):
        ek.DifferenceInDifferences(**windows)(study_of(panel(people=1)), "a")


def test_nobody_off_before_and_on_after():
    with pytest.raises(ek.EvalkitError, match="Choose other windows"):
        ek.DifferenceInDifferences(before=4, after=6)(study_of(panel(people=1)), "a")


def test_months_and_dates_are_found_by_what_they_are_called():
    frame = panel(people=1)
    dated = frame.assign(month=pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["month"] * 7, unit="D"))
    want = ek.DifferenceInDifferences(before=2, after=5)(study_of(frame), "a").value
    for given in (("2024-01-15", "2024-02-05"), (pd.Timestamp("2024-01-15"), pd.Timestamp("2024-02-05"))):
        got = ek.DifferenceInDifferences(before=given[0], after=given[1])(study_of(dated), "a")
        np.testing.assert_allclose(got.value, want, **SAME)


def test_it_stacks_with_the_rest():
    study = study_of(panel())
    both = ek.stack(ek.DifferenceInDifferences(others="ignored")(study, "a"), ek.StaggeredRollout()(study, "a"))
    assert np.isfinite(both.vcov()[0, 0]) and both.replicates.values.shape[0] == 12


@pytest.mark.parametrize("design", [ek.DifferenceInDifferences(), ek.StaggeredRollout()])
def test_units_of_weight_zero_change_nothing(design):
    frame = panel(people=1)
    without = frame[~frame["unit"].isin([0, 5, 7])]
    frame["w"] = np.where(frame["unit"].isin([0, 5, 7]), 0.0, frame["w"])
    got, want = (design(study_of(f, weights="w"), "a").aggregate("simple") for f in (frame, without))
    np.testing.assert_allclose(got.value, want.value, **SAME)
    analytic = {"inference": "analytic"}
    np.testing.assert_allclose(got.to_frame(**analytic)["std_error"], want.to_frame(**analytic)["std_error"], **SAME)
