"""One place alone: who stands beside it, what is refused and why, segments, and intervals by hand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evalkit as ek
from evalkit.designs.one_place.mixes import PENALTIES, synthetic_control, synthetic_difference
from evalkit.designs.one_place.placebo import PlaceboSpread
from evalkit.designs.one_place.segments import Shape, season_columns

SERIES, MIX = ek.InterruptedTimeSeries(), ek.SyntheticDifferenceInDifferences()
DESIGNS = [SERIES, ek.InterruptedTimeSeries(control="clean"), ek.SyntheticControl(), MIX]


def panel(places: int = 8, periods: int = 40, seed: int = 0, **starts: dict[str, int]) -> pd.DataFrame:
    """Places "p0", "p1", ... that share a wandering factor; `starts`: for each component the start of each place."""
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(places)]
    factor = np.cumsum(rng.normal(size=periods)) * 0.3
    y = rng.normal(size=(places, 1)) * 2 + rng.uniform(0.5, 1.5, size=(places, 1)) * factor
    y = y + 0.5 * rng.normal(size=(places, periods))
    frame = pd.DataFrame({"place": np.repeat(names, periods), "month": np.tile(np.arange(periods), places)})
    for name, first in starts.items():
        frame[name] = (frame["month"] >= frame["place"].map(first).fillna(999)).astype(int)
    return frame.assign(y=y.ravel() + sum(2.0 * frame[name] for name in starts))


def study(frame: pd.DataFrame, *components: Any, **more: Any) -> ek.Study:
    return ek.Study(frame, unit="place", period="month", outcomes=["y"], components=list(components or ["a"]), **more)


def reasons(est: ek.Estimate) -> set[str]:
    assert est.value[est.labels["reason"].to_numpy() == ""].size == np.isfinite(est.value).sum()
    return set(est.labels["reason"]) - {""}


@pytest.mark.parametrize("design", DESIGNS, ids=repr)
def test_an_effect_is_found_within_its_interval(design):
    found = design(study(panel(a={"p0": 26})), "a").over(0).to_frame().iloc[0]
    assert found["conf_low"] < 2 < found["conf_high"] and found["clusters_exposed"] == 1
    assert found["caution"] == "" and found["inference"] in ("simulated", "placebo")


def test_only_places_with_the_same_path_of_every_other_component_stand_beside():
    frame = panel(
        places=12, a={"p0": 26, "p1": 30}, b={"p0": 3, **{f"p{i}": 3 for i in range(2, 9)}, "p9": 2, "p10": 20}
    )
    made = study(frame, "a", "b")
    beside = MIX.donors(made, "a")
    first = beside[beside["cohort"] == 26]
    assert set(first["donor"]) == {f"p{i}" for i in range(2, 9)}
    plan = MIX.plan(made.paths, "a")
    assert {int(c.cohort) for c in plan} == {26, 30}
    second = MIX(made, "a").labels.query("cohort == 30")["reason"]
    assert second.str.contains("1 other place without it").all()  # p11 alone never had b


def test_a_place_that_starts_later_leaves_and_rows_after_it_say_so():
    frame = panel(places=6, a={"p0": 20, "p1": 34})
    est = MIX(study(frame), "a")
    mine = est.labels[est.labels["cohort"] == 20]
    known = np.isfinite(est.value[mine.index])
    assert known.tolist() == [True] * 14 + [False] * 6
    assert reasons(est) >= {"fewer than 5 other places remain"}


BAD = {
    "past": (panel(a={"p0": 8}), "8 periods before the start can be used"),
    "future": (panel(a={"p0": 38}), "2 periods after the start can be used"),
    "gap": (panel(a={"p0": 26}).query("place != 'p0' or month != 12"), "a gap in the series: it has no value in 12"),
    "constant": (panel(a={"p0": 26}).assign(y=lambda d: d["y"].where(d["place"] != "p0", 1.0)), "never changes"),
}


@pytest.mark.parametrize("design", DESIGNS, ids=repr)
@pytest.mark.parametrize(("frame", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_as_a_value_with_its_reason(frame, words, design):
    est = design(study(frame), "a")
    assert len(est) and np.isnan(est.value).all() and np.isnan(est.vcov()).all()
    assert len(reasons(est)) == 1 and words in reasons(est).pop()
    assert est.over(0).to_frame()["reason"].str.contains(words).all()
    assert len(est.weights()) == 0


def test_how_many_periods_are_needed_is_said():
    short = study(panel(a={"p0": 8}))
    assert "and 16 are needed" in reasons(SERIES(short, "a")).pop()
    assert "and 24 are needed" in reasons(ek.InterruptedTimeSeries(season=12)(short, "a")).pop()
    assert "and 12 are needed" in reasons(MIX(short, "a")).pop()


def test_too_few_other_places_are_refused():
    for places in (2, 5):
        assert "other place" in reasons(MIX(study(panel(places=places, a={"p0": 26})), "a")).pop()
    assert np.isfinite(MIX(study(panel(places=6, a={"p0": 26})), "a").value).all()


def test_a_place_that_no_mix_follows_is_refused():
    frame = panel(a={"p0": 26})
    frame.loc[frame["place"] == "p0", "y"] += 0.5 * frame["month"]
    made = study(frame)
    for design in (ek.SyntheticControl(), MIX):
        assert reasons(design(made, "a")) == {"no mix of other places followed this one before"}
    assert np.isfinite(SERIES(made, "a").value).all()


def test_a_control_that_was_exposed_or_is_unknown():
    frame = panel(a={"p0": 26, "p1": 20})
    exposed = ek.InterruptedTimeSeries(control=("p1",))(study(frame), "a")
    assert "exposed to something" in exposed.labels.query("cohort == 26")["reason"].iloc[0] or (
        "no control place" in exposed.labels.query("cohort == 26")["reason"].iloc[0]
    )
    with pytest.raises(ek.EvalkitError, match="no place 'nowhere'"):
        ek.InterruptedTimeSeries(control=("nowhere",))(study(frame), "a")


def test_a_control_series_is_the_place_less_the_mean_of_its_controls():
    frame = panel(a={"p0": 26})
    wide = frame.pivot(index="month", columns="place", values="y")
    less = frame[frame["place"] == "p0"].assign(y=(wide["p0"] - wide[["p2", "p5"]].mean(axis=1)).to_numpy())
    one = ek.InterruptedTimeSeries(control=("p2", "p5"))(study(frame), "a")
    two = SERIES(study(less), "a")
    np.testing.assert_allclose(one.value, two.value, atol=1e-10)
    np.testing.assert_allclose(one.vcov(), two.vcov(), atol=1e-10)


@pytest.mark.parametrize(("second", "lag", "first_rows", "second_told"), [
    (36, 0, 0, False), (37, 1, 0, False), (37, 0, 1, False), (39, 1, 2, False), (47, 0, 11, False), (48, 0, 12, True),
])  # fmt: skip
def test_two_interruptions_in_one_place(second, lag, first_rows, second_told):
    frame = panel(places=1, periods=60, a={"p0": 36}, b={"p0": second})
    made = study(frame, ek.Component("a", exposure="a", lag=lag), ek.Component("b", exposure="b", lag=lag))
    one, two = SERIES(made, "a"), SERIES(made, "b")
    assert np.isfinite(one.value).sum() == first_rows
    assert np.isfinite(two.value).any() == second_told
    if not first_rows:
        assert "one place cannot tell the two apart" in " ".join(reasons(one)) and "b" in " ".join(reasons(one))
    if second_told:
        assert abs(two.over(0).value[0] - 2) < 3 * two.over(0).to_frame()["std_error"].iloc[0]


def test_periods_of_transition_are_left_free():
    frame = panel(places=1, a={"p0": 26})
    spoiled = frame.assign(y=frame["y"] + 50 * frame["month"].isin([26, 27]))
    design = ek.InterruptedTimeSeries(transition=2)
    one, two = design(study(frame), "a"), design(study(spoiled), "a")
    np.testing.assert_allclose(one.value[2:], two.value[2:], atol=1e-8)
    assert np.isnan(one.value[:2]).all() and "too early for it to show in full" in reasons(one)


def test_a_known_event_is_a_step():
    frame = panel(places=1, periods=60, a={"p0": 36})
    shifted = frame.assign(y=frame["y"] + 7 * (frame["month"] >= 42))
    design = ek.InterruptedTimeSeries(events=(42,))
    np.testing.assert_allclose(design(study(frame), "a").value, design(study(shifted), "a").value, atol=1e-8)
    with pytest.raises(ek.EvalkitError, match="no period 99"):
        ek.InterruptedTimeSeries(events=(99,))(study(frame), "a")


def test_a_season_is_taken_out():
    frame = panel(places=1, periods=60, a={"p0": 36})
    wave = frame.assign(y=frame["y"] + 9 * np.cos(2 * np.pi * (frame["month"] - 2) / 12))
    design = ek.InterruptedTimeSeries(season=12)
    np.testing.assert_allclose(design(study(frame), "a").value, design(study(wave), "a").value, atol=1e-8)
    assert [season_columns(np.arange(24), s).shape[1] for s in (2, 3, 4, 12)] == [1, 2, 3, 4]


def test_the_effect_of_a_period_is_level_and_slope():
    shape = Shape()
    t = np.arange(40)
    made = study(
        panel(places=1, a={"p0": 26}).assign(
            y=lambda d: (
                1.0 * d["month"] + (d["month"] >= 26) * (3 + 0.5 * (d["month"] - 26)) + 1e-3 * np.sin(d["month"] ** 2)
            )
        )
    )
    np.testing.assert_allclose(SERIES(made, "a").value, 3 + 0.5 * np.arange(14), atol=0.01)
    assert shape.base(t, 26).shape == (40, 2)


@pytest.mark.parametrize(("seed", "widest"), [(1, 0), (8, 1), (4, 2)])
def test_placebo_interval_by_hand(seed, widest):
    """The widest of three: as others strayed, scaled period by period, and by means over as many as are claimed."""
    frame = panel(seed=seed, a={"p0": 26})
    wide = frame.pivot(index="place", columns="month", values="y").to_numpy()
    exposed, donors, claimed = wide[0], wide[1:], np.arange(26, 40)
    own = synthetic_difference(donors, exposed, 26, claimed).gap
    others = np.array([synthetic_difference(np.delete(donors, j, 0), donors[j], 26, claimed).gap for j in range(7)])
    p, r = others[:, 26:].mean(axis=1), others[:, :26].std(axis=1)
    plain, scaled = np.sqrt((p**2).mean()), np.sqrt(((p / r) ** 2).mean()) * own[:26].std()
    slowly = [np.sqrt(np.mean([(g[t : t + 8].mean() - g[:26].mean()) ** 2 for t in range(19)])) for g in (own, *others)]
    each = [plain, scaled, plain * slowly[0] / np.median(slowly[1:])]
    assert int(np.argmax(each)) == widest
    half = stats.t.ppf(0.975, 6) * np.sqrt(1 + 1 / 7) * max(each)
    found = MIX(study(frame), "a").over(0).to_frame().iloc[0]
    assert found["estimate"] == pytest.approx(own[26:].mean(), abs=1e-9)
    assert found["conf_high"] - found["estimate"] == pytest.approx(half, rel=1e-9)


def test_the_ridge_correction_takes_the_penalty_that_predicts_each_period_from_the_others():
    wide = panel(places=6, a={"p0": 26}).pivot(index="place", columns="month", values="y").to_numpy()
    donors, exposed = wide[1:], wide[0]
    plain = synthetic_control(donors, exposed, 26, True, False).donors
    found = synthetic_control(donors, exposed, 26, True, True).donors - plain
    centre = donors[:, :26].mean(axis=0)
    z, left = donors[:, :26] - centre, exposed[:26] - centre - plain @ (donors[:, :26] - centre)
    penalties = np.linalg.norm(z, 2) ** 2 * PENALTIES

    def ridge(columns: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
        return np.linalg.solve(columns @ columns.T + penalty * np.eye(len(columns)), columns @ target)

    def error(penalty: float) -> float:
        without = [(np.delete(z, t, axis=1), np.delete(left, t)) for t in range(26)]
        return sum((left[t] - ridge(*w, penalty) @ z[:, t]) ** 2 for t, w in enumerate(without))

    np.testing.assert_allclose(found, ridge(z, left, min(penalties, key=error)), atol=1e-10)


def test_two_places_are_drawn_as_different_donors():
    rng = np.random.default_rng(0)
    one, two, names = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), np.arange(6)
    spread = PlaceboSpread((one, two), (one, two), (names, names))
    weights = np.array([[0.2, 0.3, 0.0, 0.5, 0.1]])
    drawn = [(weights[0, :3] @ one[i] + weights[0, 3:] @ two[j]) ** 2 for i, j in permutations(range(6), 2)]

    found = spread(weights)
    assert found.vcov[0, 0] == pytest.approx(np.mean(drawn) * (1 + 2 / 6)) and found.df[0] == 5


def test_two_exposed_places_are_averaged_by_their_people():
    frame = panel(places=9, a={"p0": 24, "p1": 30})
    est = MIX(study(frame), "a")
    one = est.over(0)
    assert one.to_frame()["clusters_exposed"].iloc[0] == 2
    rows = est.to_frame()
    assert one.value[0] == pytest.approx(np.average(rows["estimate"], weights=rows["mass"]))
    series = SERIES(study(frame), "a")
    each = series.aggregate("cohort")
    half = each.to_frame()["std_error"].mean()
    assert each.average().to_frame()["std_error"].iloc[0] == pytest.approx(half, rel=1e-9)  # as if one draw moved both


def test_cells_give_every_row_back():
    made = study(panel(a={"p0": 26}))
    frame = panel(a={"p0": 26})
    y = frame.pivot(index="place", columns="month", values="y")
    for design in DESIGNS:
        est = design(made, "a").over(0)
        total = 0.0
        for w in est.weights().itertuples():
            base = y.loc[w.cluster, w.base - w.window + 1 : w.base].mean() if w.window else 0.0
            total += w.weight * (y.loc[w.cluster, w.period] - base)
        assert total == pytest.approx(est.value[0], abs=1e-8)
        cells = est.weights()
        assert cells.loc[cells["sign"] == 1, "weight"].sum() == pytest.approx(1, abs=1e-8)


def test_donors_gaps_and_each_left_out():
    made = study(panel(a={"p0": 26}))
    beside = MIX.donors(made, "a")
    assert beside["weight"].sum() == pytest.approx(1) and beside["weight"].is_monotonic_decreasing
    gaps = MIX.gaps(made, "a")
    mine = gaps[gaps["who"] == ""]
    np.testing.assert_allclose(mine["observed"] - mine["expected"], mine["gap"])
    np.testing.assert_allclose(mine.query("event_time >= 0")["gap"], MIX(made, "a").value)
    np.testing.assert_allclose(mine.query("event_time >= 0")["conf_low"], MIX(made, "a").to_frame()["conf_low"])
    assert gaps["who"].nunique() == 8
    left = MIX.without_each_donor(made, "a")
    without = study(panel(a={"p0": 26}).query("place != 'p3'"))
    again = MIX(without, "a").over(0).value[0]
    assert left.set_index("donor").loc["p3", "estimate"] == pytest.approx(again, abs=1e-8)


def test_conformal_tests_find_a_large_effect_and_hold_the_truth():
    frame = panel(periods=30, a={"p0": 24})
    frame["y"] += 4 * frame["a"]
    found = ek.SyntheticControl().conformal(study(frame), "a").iloc[0]
    assert found["p_value"] <= 0.05 and not found["conf_low"] > 6 and not found["conf_high"] < 6


def test_a_placebo_date_lies_before_the_start_and_holds_no_change():
    made = study(panel(places=1, a={"p0": 26}))
    placebo = SERIES.placebo_date(made, "a")
    assert placebo.low < 0 < placebo.high
    later = panel(places=1, a={"p0": 26})
    later.loc[later["month"] >= 26, "y"] += 100
    assert SERIES.placebo_date(study(later), "a").value == pytest.approx(placebo.value, abs=1e-9)


@pytest.mark.parametrize(("options", "words"), [
    ({"season": 1}, "season=1"), ({"transition": -1}, "transition=-1"), ({"control": "p1"}, "tuple"),
    ({"link": "probit"}, "link='probit'"), ({"link": "log", "control": "clean"}, "identity"),
    ({"slope": "no"}, "slope"),
])  # fmt: skip
def test_impossible_choices_are_refused_when_the_design_is_made(options, words):
    with pytest.raises(ek.EvalkitError, match=words):
        ek.InterruptedTimeSeries(**options)
    with pytest.raises(ek.EvalkitError, match="augment"):
        ek.SyntheticControl(augment="lasso")


def test_fifty_donors_and_forty_periods_take_less_than_a_second():
    import time

    made = study(panel(places=51, a={"p0": 28}))
    made.paths, made.values()
    clock = time.process_time()
    MIX(made, "a").over(0).to_frame()
    assert time.process_time() - clock < 1
