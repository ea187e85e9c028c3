"""The joint event study equals dense regressions by statsmodels, and published figures on mpdta."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek

pytestmark = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
DATA = Path(__file__).parent / "data"
CLOSE = {"atol": 1e-7, "rtol": 0}
SAME = {"atol": 1e-9, "rtol": 1e-7}
AB = ("a", "b")


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads((DATA / "did-mpdta.json").read_text())["other_estimators"]["mpdta"]


@pytest.fixture(scope="module")
def mpdta() -> ek.Study:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    return ek.Study(frame, unit="countyreal", period="year", outcome="lemp", components=["raised"])


def panel(seed: int = 4, sites: int = 15, people: int = 3, gaps: float = 0.12, never: bool = True) -> pd.DataFrame:
    """Two components in sites, weighted people with gaps, effects and their interaction."""
    rng = np.random.default_rng(seed)
    n, T = sites * people, 8
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(sites), people * T), "unit": np.repeat(np.arange(n), T),
        "t": np.tile(np.arange(T), n), "w": np.repeat(rng.uniform(0.5, 2, n), T),
    })  # fmt: skip
    site = np.arange(sites)
    late = 99 if never else 6
    frame["start_a"] = np.where(site % 4 < 2, 3 + site % 3, late)[frame["site"]]
    frame["start_b"] = np.where(site % 3 < 2, 2 + site % 5, 99)[frame["site"]]
    frame["y"] = rng.normal(size=len(frame)) + np.repeat(rng.normal(size=n), T) + 0.1 * frame["t"]
    for k in AB:
        frame[k] = (frame["t"] >= frame[f"start_{k}"]).astype(int)
    frame["y"] += frame["a"] - 0.5 * frame["b"] + 0.7 * frame["a"] * frame["b"]
    return frame[rng.random(len(frame)) >= gaps].reset_index(drop=True)


def study_of(frame: pd.DataFrame, **changes: object) -> ek.Study:
    fields = {"unit": "unit", "period": "t", "cluster": "site", "outcome": "y", "components": list(AB)}
    return ek.Study(frame, **{**fields, **changes})


def indicators(frame: pd.DataFrame, k: str, window: tuple[int, int] | None) -> dict[tuple[str, int], np.ndarray]:
    """0/1 columns; with a window both ends are bins, and who never starts in the panel stays in the reference."""
    age = (frame["t"] - frame[f"start_{k}"]).to_numpy()
    lead, lag = window or (0, 99)
    time = np.where(age >= 0, np.minimum(age, lag), age)
    if lead >= 2:
        early = (age <= -2) & (frame[f"start_{k}"].to_numpy() <= frame["t"].max())
        time = np.where(early, np.maximum(age, -lead), time)
    return {(k, e): (time == e).astype(float) for e in np.unique(time) if e >= 0 or -lead <= e <= -2}


def dense(frame: pd.DataFrame, columns: dict, weights: str | None, pattern: str | None = None) -> object:
    """Weighted least squares with a column for everything, clustered by site, no small-sample factor."""
    period = frame["t"].astype(str) if pattern is None else frame["t"].astype(str) + "/" + frame[pattern].astype(str)
    effects = [pd.get_dummies(frame["unit"].astype(str), dtype=float).to_numpy()]
    effects.append(pd.get_dummies(period, dtype=float).to_numpy())
    X = np.hstack([np.column_stack(list(columns.values())), *effects])
    w = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    groups = {"groups": frame["site"].to_numpy(), "use_correction": False}
    return sm.WLS(frame["y"].to_numpy(), X, weights=w).fit(cov_type="cluster", cov_kwds=groups)


def agree(est: ek.Estimate, fit: object, columns: dict) -> None:
    names = list(zip(est.labels["component"], est.labels["event_time"], strict=True))
    at = [list(columns).index(n) for n in names]
    assert len(at) == len(columns)
    np.testing.assert_allclose(est.value, fit.params[at], **SAME)
    np.testing.assert_allclose(est.vcov(inference="analytic"), fit.cov_params()[np.ix_(at, at)], **SAME)


def test_one_effect_while_on_is_two_way_fixed_effects(mpdta, published):
    row = ek.JointEventStudy(shape="level")(mpdta, "raised").to_frame(inference="analytic").iloc[0]
    want = published["twfe|pyfixest"]
    assert row["estimate"] == pytest.approx(want[0], abs=1e-9)
    factor = 500 / 499 * 2499 / (2500 - 6)
    assert row["std_error"] * np.sqrt(factor) == pytest.approx(want[1], abs=1e-9)
    assert row["estimand"] == "additive effect while on"


def test_saturated_is_sun_and_abraham(mpdta, published):
    design = ek.JointEventStudy(saturated=True)
    est = design(mpdta, "raised")
    want = np.array(published["sunab_event|pyfixest"])
    got = est.to_frame(inference="analytic")
    np.testing.assert_allclose(got["event_time"], want[:, 0])
    np.testing.assert_allclose(got["estimate"], want[:, 1], **CLOSE)
    rows, factor = design.fit(mpdta, "countyreal"), np.sqrt(500 / 499 * 2499 / (2500 - 17))
    for e, _, se in want:
        share = np.where(rows.labels["event_time"] == e, rows.mass, 0.0)
        fixed = rows.contrast(share / share.sum(), name="shares as given").to_frame(inference="analytic")
        assert fixed["std_error"][0] * factor == pytest.approx(se, abs=1e-9)
    simple, average = est.aggregate("simple"), est.average()
    np.testing.assert_allclose(simple.value[0], published["sunab_event|diff-diff"]["overall"][0], **CLOSE)
    np.testing.assert_allclose(average.value[0], published["sunab_event|statspai"]["overall"][0], **CLOSE)


def test_cohorts_are_those_of_a_rollout_with_a_universal_base(mpdta):
    """With one component and never-treated units the saturated regression is ATT(g, t)."""
    rows = ek.JointEventStudy(saturated=True).fit(mpdta, "countyreal").to_frame(inference="analytic")
    other = ek.StaggeredRollout(comparison="never", base="universal")(mpdta, "raised").to_frame(inference="analytic")
    both = rows.merge(other, on=["cohort", "event_time"], suffixes=("", "_rollout"))
    assert len(both) == len(rows) == len(other)
    np.testing.assert_allclose(both["estimate"], both["estimate_rollout"], **SAME)
    np.testing.assert_allclose(both["std_error"], both["std_error_rollout"], **SAME)


@pytest.mark.parametrize("window", [None, (2, 3), (0, 1)])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("gaps", [0.0, 0.12])
def test_coefficients_and_covariance_by_statsmodels(window, weights, gaps):
    frame = panel(gaps=gaps)
    columns = {name: x for k in AB for name, x in indicators(frame, k, window).items()}
    est = ek.JointEventStudy(window=window).fit(study_of(frame, weights=weights), "site")
    agree(est, dense(frame, columns, weights), columns)


@pytest.mark.parametrize("weights", [None, "w"])
def test_interactions_by_statsmodels(weights):
    frame = panel()
    columns = {name: x for k in AB for name, x in indicators(frame, k, (0, 2)).items()}
    columns["a x b", 0] = (frame["a"] * frame["b"]).to_numpy(dtype=float)
    study = study_of(frame, weights=weights)
    design = ek.JointEventStudy(window=(0, 2), interactions=(AB,))
    agree(design.fit(study, "site"), dense(frame, columns, weights), columns)
    row = design(study, "a x b").to_frame()
    assert row["estimand"].tolist() == ["interaction: effect beyond the sum while all are on"]
    assert set(design(study, "a").labels["component"]) == {"a"}


def test_saturated_cohorts_of_two_components_by_statsmodels():
    frame = panel()
    columns = {}
    for k in AB:
        for (_, e), x in indicators(frame, k, (99, 99)).items():
            for g in np.unique(frame[f"start_{k}"]):
                inside = x * (frame[f"start_{k}"] == g).to_numpy()
                if g < 99 and inside.any():
                    columns[k, int(g), int(e)] = inside
    est = ek.JointEventStudy(saturated=True).fit(study_of(frame, weights="w"), "site")
    fit = dense(frame, columns, "w")
    names = list(zip(est.labels["component"], est.labels["cohort"], est.labels["event_time"], strict=True))
    assert set(names) == set(columns)
    known = np.flatnonzero(~np.isnan(est.value))
    at = [list(columns).index(names[i]) for i in known]
    assert len(known) > 20
    np.testing.assert_allclose(est.value[known], fit.params[at], **SAME)
    se = np.sqrt(np.diag(est.vcov(inference="analytic")))[known]
    np.testing.assert_allclose(se, np.sqrt(np.diag(fit.cov_params()))[at], **SAME)


def test_the_last_cohort_is_the_comparison_where_everybody_starts_some_time():
    """Sun and Abraham (2021) drop rows from the last start on; in a balanced panel keeping them changes nothing."""
    frame = panel(never=False, gaps=0.0)
    est = ek.JointEventStudy(saturated=True).fit(study_of(frame, components=["a"]), "site")
    early = frame[frame["t"] < 6]
    columns = {}
    for (_, e), x in indicators(early, "a", (99, 99)).items():
        for g in (3, 4, 5):
            inside = x * (early["start_a"] == g).to_numpy()
            if inside.any():
                columns[g, int(e)] = inside
    fit = dense(early, columns, None)
    names = list(zip(est.labels["cohort"], est.labels["event_time"], strict=True))
    known = ~np.isnan(est.value)
    assert {n for n, ok in zip(names, known, strict=True) if ok} == set(columns)
    at = [list(columns).index(n) for n, ok in zip(names, known, strict=True) if ok]
    np.testing.assert_allclose(est.value[known], fit.params[at], **SAME)
    assert est.labels["reason"][~known].str.contains("cannot tell").all()


def test_period_effects_by_reach():
    frame = panel()
    frame["can"] = (frame["unit"] % 3 > 0).astype(int)
    for k in AB:
        frame[f"start_{k}"] = np.where(frame["can"] == 1, frame[f"start_{k}"], 99)
    columns = {name: x for k in AB for name, x in indicators(frame, k, None).items()}
    components = [ek.Component(k, exposure=k, reach="can") for k in AB]
    est = ek.JointEventStudy().fit(study_of(frame, components=components), "site")
    agree(est, dense(frame, columns, None, "can"), columns)


@pytest.mark.parametrize("choices", [{}, {"interactions": (AB,)}, {"window": (2, 3)}, {"shape": "level"}])
def test_refits_are_the_estimates_without_each_cluster(choices):
    frame = panel()
    design = ek.JointEventStudy(**choices)
    whole = design.fit(study_of(frame, weights="w"), "site")
    for site in (0, 6, 13):
        part = design.fit(study_of(frame[frame["site"] != site], weights="w"), "site")
        lost = np.flatnonzero(whole.replicates.names == site)[0]
        keys = [list(zip(e.labels["component"], e.labels["event_time"], strict=True)) for e in (whole, part)]
        at = [keys[0].index(k) for k in keys[1]]
        np.testing.assert_allclose(whole.replicates.values[lost, at], part.value, **SAME)
        np.testing.assert_allclose(whole.replicates.masses[lost, at][~np.isnan(part.value)],
                                   part.mass[~np.isnan(part.value)])  # fmt: skip


def test_an_interaction_needs_every_kind_of_row():
    """b only where a is on already: no rows with b only, so neither b nor the interaction is identified."""
    frame = panel(people=1, gaps=0.0)
    frame["b"] = (frame["a"] * (frame["t"] >= frame["start_a"] + 1) * (frame["site"] % 2)).astype(int)
    design = ek.JointEventStudy(interactions=(AB,))
    row = design(study_of(frame), "a x b").to_frame()
    assert row["estimate"].isna().all() and "a only, b only, all of them, and none" in row["reason"][0]
    assert design(study_of(frame), "b").to_frame()["estimate"].isna().all()
    assert ek.JointEventStudy()(study_of(frame), "b").to_frame()["estimate"].notna().any()


def test_contributions_by_unit_stack_with_a_rollout():
    study = study_of(panel(), weights="w")
    est = ek.JointEventStudy()(study, "a")
    codes = study.paths.levels["site"].codes
    sums = pd.DataFrame(est.influence).groupby(codes).sum().to_numpy()
    np.testing.assert_allclose(sums.T @ sums, est.vcov(inference="analytic"), atol=1e-12)
    np.testing.assert_allclose(est.influence.sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(est.influence.T @ est.influence, est.vcov(cluster="unit"), atol=1e-12)
    rollout = ek.StaggeredRollout(others="ignored")(study, "a").aggregate("simple")
    both = ek.stack(est.aggregate("simple"), rollout)
    stacked = both.vcov(inference="analytic")
    np.testing.assert_allclose(stacked[0, 0], est.aggregate("simple").vcov(inference="analytic")[0, 0])
    difference = both.contrast([1, -1], name="joint less rollout").to_frame()
    assert difference["inference"][0] == "jackknife" and np.isfinite(difference["std_error"][0])


@pytest.mark.parametrize("gaps", [0.0, 0.12])
def test_people_of_their_own_are_told_by_their_paths(gaps):
    """No cluster: the covariance comes from cross-products of paths; contributions by person say the same."""
    frame = panel(gaps=gaps, people=8)
    components = [ek.Component(k, exposure=k, assigned_at="site") for k in AB]
    study = study_of(frame, cluster=None, components=components)
    est = ek.JointEventStudy().fit(study, "unit")
    np.testing.assert_allclose(est.influence.T @ est.influence, est.vcov(inference="analytic"), atol=1e-12)
    shares = est.aggregate("simple")
    np.testing.assert_allclose(shares.influence.T @ shares.influence, shares.vcov(inference="analytic"), atol=1e-12)
    assert est.to_frame()["clusters_exposed"].max() <= 120 == len(study.paths.levels["unit"].names)


def test_the_plan_is_what_the_call_runs():
    frame = panel()
    study = study_of(frame)
    for choices in ({}, {"interactions": (AB,)}, {"saturated": True}, {"shape": "level"}, {"window": (2, 2)}):
        design = ek.JointEventStudy(**choices)
        planned, run = design.plan(study.paths, "a"), design.fit(study, "site")
        names = np.array(planned.components, dtype=object)[planned.component]
        assert names.tolist() == run.labels["component"].tolist()
        np.testing.assert_array_equal(planned.event_time, run.labels["event_time"])
        np.testing.assert_allclose(planned.matrix.T @ planned.grid.weight[planned.grid.group], run.mass)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"interactions": (("a",),)}, "two components or more"),
        ({"interactions": (("a", "a"),)}, "each once"),
        ({"interactions": ("ab",)}, "sets of components"),
        ({"interactions": "a x b"}, "sets of components"),
        ({"saturated": True, "shape": "level"}, "event_time"),
        ({"shape": "flat"}, "Use one of"),
        ({"window": (1, 2, 3)}, "window"),
        ({"interactions": (("a", "z"),)}, "no component 'z'"),
    ],
)
def test_impossible_choices_say_why(choices, words):
    with pytest.raises(ek.EvalkitError, match=words):
        ek.JointEventStudy(**choices)(study_of(panel(people=1)), "a")


def test_no_row_with_a_component_on_says_why():
    frame = panel(people=1)
    for nothing in (frame.assign(a=0, b=0), frame.assign(y=np.nan)):
        for choices in ({}, {"saturated": True}, {"window": (2, 2)}, {"shape": "level"}, {"interactions": (AB,)}):
            with pytest.raises(ek.EvalkitError, match="no columns|never on"):
                ek.JointEventStudy(**choices)(study_of(nothing), "a")


def test_units_exposed_throughout_have_period_effects_of_their_own():
    """Saturated or not, they say how other components differ among them, and nothing else."""
    frame = panel(people=2, gaps=0.0)
    frame.loc[frame["site"] % 5 == 0, "a"] = 1
    for saturated in (False, True):
        est = ek.JointEventStudy(saturated=saturated)(study_of(frame), "b")
        moved = frame.assign(y=np.where(frame["site"] % 5 == 0, frame["y"] + 9 * frame["t"] ** 2, frame["y"]))
        other = ek.JointEventStudy(saturated=saturated)(study_of(moved), "b")
        np.testing.assert_allclose(est.value, other.value, atol=1e-8)
        fewer = ek.JointEventStudy(saturated=saturated)(study_of(frame[frame["site"] % 5 > 0]), "b")
        shared = fewer.labels["event_time"].isin(est.labels["event_time"]).to_numpy()
        assert not np.allclose(est.value[: shared.sum()], fewer.value[shared], atol=1e-6)
