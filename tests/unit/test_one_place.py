"""One place alone: who stands beside it, what is refused and why, segments, and intervals by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evalkit as ek
from evalkit import checks
from evalkit.designs.one_place.choice import series_design
from evalkit.designs.one_place.mixes import PENALTIES, synthetic_control, synthetic_difference
from evalkit.designs.one_place.placebo import PlaceboSpread
from evalkit.designs.one_place.segments import Began, Shape, season_columns, too_near
from evalkit.evaluation.alone import before_and_after
from evalkit.evaluation.ladder import Choices, one_place_ladder, steps_of
from evalkit.evaluation.results import safe

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


def test_a_control_with_a_gap_is_not_said_to_have_been_exposed_and_no_more():
    frame = panel(a={"p0": 26}).query("place != 'p1' or month != 12")
    found = reasons(ek.InterruptedTimeSeries(control=("p1", "p2"))(study(frame), "a"))
    assert found == {"1 of the control places was itself exposed to something then, or has a gap"}


def test_people_asked_anew_each_month_are_counted_and_not_their_place():
    series = panel(places=1, a={"p0": 26})
    frame = pd.concat([series.assign(y=series["y"] + d) for d in np.linspace(-1, 1, 10)], ignore_index=True)
    frame["person"] = np.arange(len(frame))
    made = ek.Study(frame, unit="person", period="month", cluster="place", outcome="y", matters=1.0, components=["a"])
    ev = ek.evaluate(made)
    assert "It speaks for" not in ev.verdicts["sentence"][0] and "fewer than 50" not in ev.verdicts["sentence"][0]
    assert ev.verdicts["estimate"][0] == pytest.approx(ek.evaluate(study(series)).verdicts["estimate"][0])
    assert SERIES(made.as_compared(), "a").labels["units_exposed"].max() == len(frame)


@pytest.mark.parametrize("step", [0.0, 3.0])
def test_a_series_on_a_line_to_the_last_digit_has_nothing_to_learn_from(step):
    frame = panel(places=1, a={"p0": 26}).assign(y=lambda d: 0.1 * d["month"] + step * (d["month"] >= 26))
    ev = ek.evaluate(study(frame))
    assert np.isnan(ev.verdicts["estimate"][0]) and "to the last digit" in ev.verdicts["sentence"][0]


def test_a_constant_mean_of_people_is_constant_whatever_its_rounding():
    frame = panel(a={"p0": 26}).assign(y=lambda d: d["y"].where(d["place"] != "p0", 0.3))
    frame.loc[frame["place"].eq("p0") & frame["month"].mod(2).eq(0), "y"] = 0.1 + 0.2
    for design in (SERIES, MIX):
        assert reasons(design(study(frame), "a")) == {"its outcome never changes before the start"}


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


def two(gap: int, lag: int = 0, places: int = 1) -> ek.Study:
    """One place in which a begins in month 26 and b so many later."""
    frame = panel(places=places, periods=60, a={"p0": 26}, b={"p0": 26 + gap})
    return study(frame, ek.Component("a", lag=lag), ek.Component("b", lag=lag))


@pytest.mark.parametrize(("gap", "lag", "first", "second"), [
    (0, 0, "bundle_only", "bundle_only"), (2, 3, "bundle_only", "bundle_only"), (4, 3, "one_place", "bundle_only"),
    (6, 0, "one_place", "bundle_only"), (12, 0, "one_place", "one_place"), (15, 3, "one_place", "one_place"),
])  # fmt: skip
def test_what_began_too_near_is_a_bundle_of_one_place(gap, lag, first, second):
    found = ek.separability(two(gap, lag))
    assert found.components["status"].tolist() == [first, second]
    assert found.bundles["members"].tolist() == ([("a", "b")] if second == "bundle_only" else [])
    if gap == 4:
        assert found.components["clean_until"][0] == 3  # b begins then
        assert "began within 4 months of each other, and one place cannot" in found.components["reason"][1]


def test_a_bundle_of_one_place_is_answered_together():
    evaluation = ek.evaluate(two(6))
    said = evaluation.verdicts.set_index("component")
    assert said.loc["a", "verdict"] in ("likely", "cannot_tell")
    assert said.loc["b", "verdict"] == "cannot_tell_apart"
    assert "Together, in their first 28 months" in said.loc["b", "sentence"]
    assert "1 place beside its own past" in said.loc["b", "sentence"]
    bundle = evaluation.bundles.iloc[0]
    assert bundle["conf_low"] < 4 < bundle["conf_high"]


def test_what_is_near_to_what_is_near_joins_the_bundle():
    own = Began(None, 40, 0)
    near, further, apart, off = Began("b", 34, 0), Began("c", 25, 0), Began("d", 10, 0), Began("e", 60, 0)
    assert [b.name for b in too_near(own, [apart, further, near, off])] == ["b", "c"]
    assert too_near(Began(None, 20, 0), [near]) == ()


def test_listed_events_are_steps_and_one_at_the_start_is_refused():
    frame = panel(places=1, periods=60, a={"p0": 40})
    frame["y"] = 0.1 * np.sin(frame["month"] ** 2) + 2 * frame["a"] + 6.0 * (frame["month"] >= 30)
    plain, told = study(frame), study(frame, events=[("Mill shut", 30, None)])
    design = one_place_ladder(told, "a", "InterruptedTimeSeries", Choices(), "y")[4].design
    assert steps_of(told) == (30,) and steps_of(plain) == () and design.events == (30,)
    assert abs(design(told, "a").over(0).value[0] - 2) < 0.2 < abs(SERIES(plain, "a").over(0).value[0] - 2)
    at_once = ek.evaluate(study(frame, events=[("Mill shut", 40, 44)])).verdicts.iloc[0]
    assert at_once["verdict"] == "cannot_tell" and "event that the study lists" in at_once["sentence"]


def test_a_bent_trend_must_keep_sign_and_size_and_be_told_from_no_change():
    est = SERIES(study(panel(places=1, a={"p0": 26})), "a").over(0)
    other = ek.InterruptedTimeSeries(trend="bent")(study(panel(places=1, a={"p0": 26})), "a").over(0)
    row = other.to_frame(checks.one_place.AGREES_AT).iloc[0]
    clear = row["conf_low"] > 0 or row["conf_high"] < 0
    half = abs(other.value[0]) >= abs(est.value[0]) / 2 and np.sign(other.value[0]) == np.sign(est.value[0])
    assert checks.bent_trend(est, other).status == ("passed" if clear and half else "failed")
    flat = panel(places=1, periods=60, a={"p0": 40})
    flat["y"] = 0.1 * np.sin(flat["month"] ** 2) + 3.0 * flat["a"]
    made = study(flat)
    bent = ek.InterruptedTimeSeries(trend="bent")(made, "a").over(0)
    assert checks.bent_trend(SERIES(made, "a").over(0), bent).status == "passed"
    unsure = checks.bent_trend(replace(bent, value=np.array([0.0001])), replace(bent, value=np.array([0.0001])))
    assert unsure.status == "failed" and "too unsure" in unsure.words


MONTHS = pd.period_range("2019-01", periods=40, freq="M")
QUARTERS = pd.period_range("2019Q1", periods=40, freq="Q")


@pytest.mark.parametrize(("periods", "season"), [
    (MONTHS, 12), (MONTHS.astype(str), 12), (MONTHS.start_time, 12), (QUARTERS.astype(str), 4), (np.arange(40), None),
    (pd.date_range("2019", periods=40, freq="W"), None),
])  # fmt: skip
def test_a_year_is_read_from_the_calendar_however_it_is_written(periods, season):
    frame = panel(places=1, a={"p0": 26}).assign(month=list(periods))
    assert series_design(study(frame).paths, "a", False).season == season


def test_an_effect_is_that_of_its_own_period_less_what_was_expected():
    est = SERIES(study(panel(places=1, a={"p0": 26})), "a")
    cells = est.weights()
    on = cells[cells["sign"] == 1]
    assert on["weight"].tolist() == [1.0] * 14 and on["period"].tolist() == list(range(26, 40))
    wide = panel(places=1, a={"p0": 26})["y"].to_numpy()
    back = cells.assign(y=wide[cells["period"].to_numpy(dtype=int)]).eval("weight * y").groupby(cells["row"]).sum()
    np.testing.assert_allclose(back, est.value, atol=1e-9)


def test_tables_of_one_place_are_held_back_by_period_under_rules_of_disclosure():
    frame = panel(periods=40, a={"p0": 26})
    open_study, closed = study(frame), study(frame, settings={"disclosure": "nhs"})
    shown = ek.evaluate(open_study).alone
    assert set(shown.gaps["who"]) == {"", *(f"p{i}" for i in range(1, 8))} and len(shown.donors) == 7
    assert shown.gaps.loc[shown.gaps["event_time"] < 0, "conf_low"].isna().all()
    before, after = before_and_after(shown.gaps)
    own = frame[frame["place"] == "p0"]["y"].to_numpy()
    assert (before, after) == pytest.approx((own[:26].mean(), own[26:].mean()))
    held = safe(ek.evaluate(closed)).alone
    assert held.gaps.empty


def test_months_that_nobody_recorded_are_a_gap() -> None:
    months = pd.period_range("2019-01", periods=60, freq="M").astype(str)
    k = np.arange(60)
    whole = pd.DataFrame({"place": "p", "month": months, "a": (k >= 36).astype(int), "y": 20 + 0.3 * k})
    whole["y"] += np.random.default_rng(0).normal(0, 0.5, 60)
    with pytest.warns(ek.EvalkitWarning, match="gaps"):
        made = ek.Study(whole[(k < 30) | (k >= 36)], unit="place", period="month", components=["a"], outcome="y")
    row = ek.InterruptedTimeSeries()(made, "a").over(0).to_frame().iloc[0]
    assert np.isnan(row["estimate"]) and "nothing is recorded between 2021-06 and 2022-01" in row["reason"]


def test_a_log_link_refuses_what_has_no_logarithm() -> None:
    k = np.arange(60)
    base = pd.DataFrame({"place": "p", "month": k, "a": (k >= 36).astype(int)})
    rng = np.random.default_rng(0)
    below = ek.Study(base.assign(y=rng.normal(size=60)), unit="place", period="month", components=["a"], outcome="y")
    with pytest.raises(ek.EvalkitError, match="below zero"):
        ek.InterruptedTimeSeries(link="log")(below, "a")
    nobody = base.assign(y=rng.poisson(20, 60), pop=np.where(k == 5, 0.0, 1000.0))
    outcome = ek.Outcome("y", kind="count")
    made = ek.Study(nobody, unit="place", period="month", components=["a"], outcome=outcome, covariates=["pop"])
    row = ek.InterruptedTimeSeries(link="log", per="pop")(made, "a").over(0).to_frame().iloc[0]
    assert "nobody was at risk in 5" in row["reason"]
    with pytest.raises(ek.EvalkitError, match="twice"):
        ek.InterruptedTimeSeries(control=("q", "q"))
