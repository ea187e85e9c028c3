"""One suite that every design passes: what an Estimate holds, what a plan may see, and what must not matter."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import weakref
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.regression.joint import JointCombination
from evalkit.designs.rollout.plan import Plan

ROLLOUTS = [
    ek.StaggeredRollout(),
    ek.StaggeredRollout(comparison="never", others="unchanged"),
    ek.StaggeredRollout(others="ignored", base="universal", anticipation=1),
    ek.StaggeredRollout(base_window=3, horizon=4, lookback=1),
    ek.StaggeredRollout(compare="cross_sections"),
    ek.StaggeredRollout(others="ignored", adjust="reg"),
    ek.StaggeredRollout(others="ignored", adjust="ipw"),
    ek.StaggeredRollout(others="ignored", adjust="dr", comparison="never"),
    ek.ScaledRollout(scale="identity"),
    ek.ScaledRollout(scale="identity", others="unchanged", base_window=3),
    ek.TripleDifference(),
    ek.TripleDifference(others="ignored", base_window=2, horizon=3),
    ek.TripleDifference(adjust="dr", base_window=2),
    ek.DifferenceInDifferences(after=(4, 6)),
    ek.DifferenceInDifferences(after=(4, 6), compare="cross_sections"),
    ek.StaggeredRollout(starts="first", base_window=2),
    ek.DifferenceInDifferences(after=(4, 6), adjust="dr", others="ignored"),
]
REGRESSIONS = [
    ek.JointEventStudy(),
    ek.JointEventStudy(window=(3, 4)),
    ek.Imputation(),
    ek.TwoWayFixedEffects(),
]
PEOPLE = [
    ek.MatchedComparison(replace=True, outcome_period=7, covariate_period=0),
    ek.WeightedComparison(outcome_period=7, covariate_period=0),
]
ONE_PLACE = [
    ek.InterruptedTimeSeries(),
    ek.InterruptedTimeSeries(slope=False, season=6, control="clean", horizon=11),
    ek.SyntheticControl(),
    ek.SyntheticControl(intercept=False, augment="ridge"),
    ek.SyntheticDifferenceInDifferences(anticipation=1),
]
DESIGNS = [*ROLLOUTS, *REGRESSIONS, *PEOPLE, *ONE_PLACE]
PLANNED = [*ROLLOUTS, *REGRESSIONS, *ONE_PLACE]


def short(design: Any) -> str:
    changed = [
        f"{f.name}={getattr(design, f.name)}"
        for f in dataclasses.fields(design)
        if getattr(design, f.name) != f.default
    ]
    return f"{type(design).__name__}({', '.join(changed)})"


every = pytest.mark.parametrize("design", DESIGNS, ids=short)
differences = pytest.mark.parametrize("design", PLANNED, ids=short)


def people(
    seed: int = 3, sites: int = 20, each: int = 8, periods: int = 10, missing: float = 0.04, alone: bool = False
) -> pd.DataFrame:
    """People in sites, half of each site eligible for "a"; "b" reaches everybody; some rows are missing. alone: nine
    sites over forty periods, of which the first starts "a" and the last two start "b"."""
    rng = np.random.default_rng(seed)
    sites, periods = (9, 40) if alone else (sites, periods)
    n = sites * each
    site, eligible = np.repeat(np.arange(sites), each), np.tile(np.arange(each) % 2, sites)
    first = {"a": np.where(np.arange(sites) % 4 == 0, 99, 4 + np.arange(sites) % 3),
             "b": np.where(np.arange(sites) % 5 < 3, 99, 6 + np.arange(sites) % 2)}  # fmt: skip
    if alone:
        first = {"a": np.where(np.arange(sites) == 0, 26, 99), "b": np.where(np.arange(sites) > 6, 30, 99)}
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(n), periods), "site": np.repeat(site, periods),
        "month": np.tile(np.arange(periods), n), "eligible": np.repeat(eligible, periods),
        "age": np.repeat(rng.normal(size=n), periods),
    })  # fmt: skip
    month, home = frame["month"].to_numpy(), frame["site"].to_numpy()
    for name, start in first.items():
        frame[name] = (month >= start[home]).astype(int)
    frame["y"] = rng.normal(size=len(frame)) + frame["age"] + 0.4 * frame["a"] * frame["eligible"] - 0.2 * frame["b"]
    frame["z"] = rng.normal(size=len(frame))
    return frame[rng.random(len(frame)) >= missing].reset_index(drop=True)


def panel(design: Any) -> pd.DataFrame:
    """The people that a design is tried on."""
    return people(alone=design in ONE_PLACE)


def study(frame: pd.DataFrame, **changes: Any) -> ek.Study:
    fields = {
        "unit": "person", "period": "month", "cluster": "site", "outcomes": ["y", "z"], "covariates": ("age",),
        "components": [ek.Component("a", exposure="a", reach="eligible"), "b"],
    }  # fmt: skip
    return ek.Study(frame, **{**fields, **changes})


@pytest.fixture(scope="module")
def made() -> ek.Study:
    return study(people())


@cache
def usual(design: Any) -> ek.Estimate:
    """What a design makes of "a" among its people, once for all tests of it."""
    return design(study(panel(design)), "a")


KEYS = ("component", "cohort", "period", "event_time")


def keyed(est: ek.Estimate) -> pd.DataFrame:
    """Estimates and both standard errors under their labels."""
    keys = [k for k in KEYS if k in est.labels]
    return est.labels[keys].assign(value=est.value, se=np.sqrt(np.diag(est.vcov(inference="analytic"))), mass=est.mass)


def alike(one: ek.Estimate, two: ek.Estimate, columns: tuple[str, ...] = ("value", "se"), atol: float = 1e-9) -> None:
    keys = [k for k in KEYS if k in one.labels]
    both = keyed(one).merge(keyed(two), on=keys, how="outer", suffixes=("", "_again"), indicator=True)
    assert (both["_merge"] == "both").all()
    for column in columns:
        np.testing.assert_allclose(both[column], both[f"{column}_again"], atol=atol, rtol=1e-9)


@every
def test_what_a_design_gives_pickles_with_all_that_is_made_of_it(design):
    est = usual(design)
    back = pickle.loads(pickle.dumps(est))
    kinds = ("auto", "analytic") if est.replicate is None else ("auto", "analytic", "jackknife")
    for kind in kinds:
        pd.testing.assert_frame_equal(back.to_frame(inference=kind), est.to_frame(inference=kind))
    np.testing.assert_array_equal(back.influence, est.influence)
    if est.cells is not None:
        pd.testing.assert_frame_equal(back.weights(), est.weights())
    made_of_it = [lambda e: ek.stack(e.average(), e.select([0]))]
    if "event_time" in est.labels:
        made_of_it += [lambda e: e.aggregate("simple"), lambda e: e.aggregate("event_time")]
    for make in made_of_it:
        for again in (make(back), pickle.loads(pickle.dumps(make(est)))):
            pd.testing.assert_frame_equal(again.to_frame(), make(est).to_frame())


@pytest.mark.parametrize(
    "design",
    [*DESIGNS, *(ek.StaggeredRollout(weights="least_noise", arrival=width) for width in (None, 2))],
    ids=short,
)
def test_cells_of_adopters_are_those_of_all_that_have_sign_1(design):
    est = usual(design)
    if est.cells is None:
        return
    made = [est, ek.stack(est, est), est.select(np.arange(len(est))[::-1]), est.average()]
    for each in made:
        whole, mine = each.weights(), each.weights(adopters=True)
        assert len(mine) or whole.empty or not (whole["sign"] == 1).any()
        pd.testing.assert_frame_equal(mine, whole[whole["sign"] == 1].reset_index(drop=True))


@pytest.mark.parametrize("design", [d for d in DESIGNS if hasattr(d, "later")], ids=short)
def test_rows_from_the_start_on_are_those_of_all(design):
    """The same numbers, refits included, and nothing before the start where something comes after it."""
    made, whole = study(panel(design)), usual(design)
    later, since = design.later(made, "a"), whole.labels["event_time"] >= 0
    mine = whole.select(np.flatnonzero(since))
    if not (later.labels["event_time"] < 0).any():
        np.testing.assert_array_equal(later.value, mine.value)
        np.testing.assert_array_equal(later.replicates.values, mine.replicates.values)
    after = [each.over(0, 10).to_frame() for each in (later, whole)]
    pd.testing.assert_frame_equal(*after)


@every
def test_lengths_agree_and_labels_say_what_a_row_is(design):
    made, est = study(panel(design)), usual(design)
    k = len(est)
    assert k and len(est.mass) == len(est.labels) == len(est.to_frame()) == k
    assert est.influence.shape == (len(est.units), k)
    for column in ("component", "outcome", "estimand", "population"):
        assert est.labels[column].notna().all() and (est.labels[column] != "").all()
    assert (est.labels["component"] == "a").all() and (est.labels["outcome"] == "y").all()
    assert np.isfinite(est.value).any()
    assert set(est.units) <= set(made.paths.units)


@every
def test_contributions_sum_to_the_covariance(design):
    made, est = study(panel(design)), usual(design)
    good = np.isfinite(est.value)
    site = pd.Series(made.paths.levels["site"].codes, index=made.paths.units).reindex(est.units).to_numpy()
    sums = pd.DataFrame(est.influence[:, good]).groupby(site).sum().to_numpy()
    np.testing.assert_allclose(
        sums.T @ sums, est.vcov(inference="analytic", cluster="site")[np.ix_(good, good)], atol=1e-10
    )
    by_unit = pd.DataFrame(est.influence[:, good]).groupby(est.units).sum().to_numpy()
    np.testing.assert_allclose(by_unit.T @ by_unit, est.vcov(cluster="unit")[np.ix_(good, good)], atol=1e-10)


@every
def test_rows_without_a_number_say_why(design):
    table = usual(design).to_frame()
    without = table["estimate"].isna() | table["std_error"].isna()
    assert (table.loc[without, "reason"].str.len() > 10).all()
    assert (table.loc[~without, "reason"] == "").all()
    assert table.loc[table["estimate"].isna(), ["std_error", "conf_low", "conf_high", "p_value"]].isna().all(axis=None)


@every
def test_frozen_and_input_never_changed(design):
    frame = panel(design)
    kept = frame.copy()
    est = design(study(frame), "a")
    est.aggregate("event_time").to_frame() if "cohort" in est.labels and "event_time" in est.labels else est.to_frame()
    pd.testing.assert_frame_equal(frame, kept)
    with pytest.raises(dataclasses.FrozenInstanceError):
        design.outcome = "z"
    with pytest.raises(dataclasses.FrozenInstanceError):
        est.value = est.value + 1
    with pytest.raises(ValueError, match="read-only"):
        est.value[0] = 0.0
    assert hash(design) == hash(dataclasses.replace(design))


@every
def test_an_outcome_can_be_named(design):
    made = study(panel(design))
    other = dataclasses.replace(design, outcome="z")(made, "a")
    assert (other.labels["outcome"] == "z").all()
    alone = design(study(panel(design), outcomes=["z"]), "a")
    alike(other, alone)
    with pytest.raises(ek.EvalkitError, match="nowhere"):
        dataclasses.replace(design, outcome="nowhere")(made, "a")


@every
def test_unknown_components_are_refused_by_name(made, design):
    with pytest.raises(ek.EvalkitError, match="nowhere"):
        design(made, "nowhere")


def same_plan(one: Any, two: Any) -> None:
    if isinstance(one, Plan):
        assert len(one) == len(two) and one.without_base == two.without_base
        for c, d in zip(one, two, strict=True):
            assert (c.component, c.cohort, c.path) == (d.component, d.cohort, d.path)
            for name in ("base", "window", "match"):
                np.testing.assert_array_equal(getattr(c, name), getattr(d, name))
        return
    assert (one.matrix != two.matrix).nnz == 0
    np.testing.assert_array_equal(one.event_time, two.event_time)


@differences
def test_the_plan_sees_no_outcome(design, monkeypatch):
    frame = panel(design)
    known = design.plan(study(frame).paths, "a")
    shuffled = frame.assign(y=np.random.default_rng(1).permutation(frame["y"]), z=np.nan)
    same_plan(known, design.plan(study(shuffled).paths, "a"))

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the outcome was opened")

    monkeypatch.setattr(ek.Study, "values", forbidden)
    monkeypatch.setattr(ek.Study, "covariate_values", forbidden)
    same_plan(known, design.plan(study(frame).paths, "a"))
    if isinstance(known, Plan):
        assert len(known)


@differences
def test_order_and_names_do_not_matter(design):
    frame = panel(design)
    names = np.random.default_rng(2).permutation(5000)
    other = frame.sample(frac=1, random_state=2).assign(
        person=lambda d: [f"p{names[i]:04d}" for i in d["person"]],
        site=lambda d: [f"s{names[i]:04d}" for i in d["site"]],
    )
    renamed = other.rename(columns={"age": "older", "month": "when"}).assign(when=lambda d: d["when"] + 2000)
    shift = {f: tuple(v + 2000 for v in getattr(design, f)) for f in ("before", "after") if getattr(design, f, None)}
    moved = dataclasses.replace(design, **shift) if shift else design
    two = moved(study(renamed, period="when", covariates=("older",)), "a")
    for name in ("cohort", "period"):
        if name in two.labels and two.labels[name].dtype.kind in "iuf":
            two.labels[name] = two.labels[name] - 2000
    one = usual(design)
    if type(design) is ek.DifferenceInDifferences:
        np.testing.assert_allclose([one.value, one.vcov()[0]], [two.value, two.vcov()[0]], atol=1e-9)
    else:
        alike(one, two)


@differences
def test_equal_weights_are_no_weights(design):
    frame = panel(design).assign(w=2.0)
    one, two = usual(design), design(study(frame, weights="w"), "a")
    alike(one, two, atol=1e-8)


@differences
def test_doubling_every_unit_leaves_estimates_alone(design):
    frame = panel(design)
    twins = pd.concat([frame, frame.assign(person=frame["person"] + 10_000)], ignore_index=True)
    one, two = usual(design), design(study(twins), "a")
    alike(one, two, atol=1e-8)
    np.testing.assert_allclose(2 * one.mass, two.mass, atol=1e-9)


@differences
def test_scale_and_shift_of_the_outcome(design):
    frame = panel(design)
    one = usual(design)
    two = design(study(frame.assign(y=3 * frame["y"] - 50)), "a")
    np.testing.assert_allclose(two.value, 3 * one.value, atol=1e-8)
    np.testing.assert_allclose(two.vcov(), 9 * one.vcov(), atol=1e-8)


@pytest.mark.parametrize("design", ROLLOUTS, ids=short)
def test_head_counts_add_up(design):
    table = usual(design).to_frame()
    counts = table[["units_exposed", "units_comparison", "units_left_out", "units_not_seen"]]
    assert (counts >= 0).all(axis=None) and (counts.sum(axis=1) > 0).all()
    answered = table["estimate"].notna()
    assert (counts.loc[answered, ["units_exposed", "units_comparison"]] > 0).all(axis=None)
    assert (table.loc[answered, ["clusters_exposed", "clusters_comparison"]] > 0).all(axis=None)
    assert table["share_left_out"].between(0, 1).all()


@pytest.mark.parametrize("design", ROLLOUTS, ids=short)
def test_intervals_of_every_kind_are_around_the_estimate(design):
    est = usual(design)
    wide, narrow = est.interval("simultaneous"), est.interval("pointwise")
    good = narrow["conf_low"].notna() & wide["conf_low"].notna()
    assert good.any()
    assert (wide["conf_low"] <= narrow["conf_low"] + 1e-12)[good].all() or len(est) == 1
    assert ((wide["conf_low"] <= wide["estimate"]) & (wide["estimate"] <= wide["conf_high"]))[good].all()


@pytest.mark.parametrize("design", ROLLOUTS, ids=short)
def test_traits_say_what_the_options_make_an_answer_rest_on(design):
    first = "kinds alike" if isinstance(design, ek.TripleDifference) else "parallel trends"
    more = {"additivity"} if design.others == "unchanged" else set()
    assert design.traits.rests_on == {first, *more}
    assert ("pre_trend" in design.traits.checks) == (
        not isinstance(design, ek.DifferenceInDifferences | ek.ScaledRollout)
    )


@pytest.mark.parametrize("design", REGRESSIONS, ids=short)
def test_regressions_rest_on_trends_and_on_effects_that_add_up(design):
    assert design.traits.rests_on == {"parallel trends", "additivity"}
    assert design.traits.checks == (("pre_trend_by_leads",) if isinstance(design, ek.JointEventStudy) else ())
    if isinstance(design, ek.JointEventStudy):
        dosed = dataclasses.replace(design, dose=True).traits
        assert dosed.rests_on == {"parallel trends", "additivity", "dose"} and dosed.arms[0] == "with more of it"


MORE_REGRESSIONS = {
    "saturated": ek.JointEventStudy(saturated=True),
    "interaction": ek.JointEventStudy(interactions=(("a", "b"),)),
    "combination": JointCombination(("a", "b"), (1.0, -1.0)),
    "programme": lambda study, _: ek.Imputation().total(study),
    "beyond the sum": lambda study, _: ek.Imputation().additivity(study).rows,
}


@pytest.mark.parametrize("make", MORE_REGRESSIONS.values(), ids=MORE_REGRESSIONS)
def test_estimates_of_regressions_come_back_from_a_pickle(made, make):
    est = make(made, "a")
    for found in (est, est.select(np.array([0])), est.average()):
        again = pickle.loads(pickle.dumps(found))
        np.testing.assert_array_equal(again.value, found.value)
        np.testing.assert_array_equal(again.influence, found.influence)
        for inference in ("auto", "analytic", "jackknife"):
            pd.testing.assert_frame_equal(again.to_frame(inference=inference), found.to_frame(inference=inference))


@pytest.mark.parametrize("design", REGRESSIONS, ids=short)
def test_what_is_kept_for_a_study_goes_with_it(design):
    gone = study(people())
    design(gone, "a").to_frame()
    assert len(gone.paths.memo)
    values, paths = weakref.ref(gone.values()), weakref.ref(gone.paths)
    gc.disable()
    try:
        del gone
        assert values() is None and paths() is None
    finally:
        gc.enable()
