"""Imputation equals Borusyak, Jaravel and Spiess (2024) on mpdta, and a dense regression everywhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

DATA = Path(__file__).parent / "data"
CLOSE = {"atol": 1e-7, "rtol": 0}
SAME = {"atol": 1e-10, "rtol": 1e-9}
AB = ["a", "b"]


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads((DATA / "did-mpdta.json").read_text())["other_estimators"]["mpdta"]


@pytest.fixture(scope="module")
def mpdta() -> ek.Study:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    return ek.Study(frame, unit="countyreal", period="year", outcome="lemp", components=["raised"])


def panel(
    seed: int = 4, sites: int = 16, people: int = 4, gaps: float = 0.15, interaction: float = 0.0
) -> pd.DataFrame:
    """Two components in sites, people with weights and gaps, effects that grow."""
    rng = np.random.default_rng(seed)
    n, T = sites * people, 9
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(sites), people * T), "unit": np.repeat(np.arange(n), T),
        "t": np.tile(np.arange(T), n), "w": np.repeat(rng.uniform(0.5, 2, n), T),
    })  # fmt: skip
    starts = {"a": np.where(np.arange(sites) % 4 < 2, 3 + np.arange(sites) % 3, 99),
              "b": np.where(np.arange(sites) % 3 < 2, 4 + np.arange(sites) % 2, 99)}  # fmt: skip
    frame["y"] = rng.normal(size=len(frame)) * 0.4 + np.repeat(rng.normal(size=n), T) + 0.1 * frame["t"]
    for name, size in (("a", 1.0), ("b", -0.5)):
        age = frame["t"].to_numpy() - starts[name][frame["site"]]
        frame[name] = (age >= 0).astype(int)
        frame["y"] += np.where(age >= 0, size + 0.1 * age, 0.0)
    frame["y"] += interaction * frame["a"] * frame["b"]
    return frame[rng.random(len(frame)) >= gaps].reset_index(drop=True)


def study_of(frame: pd.DataFrame, **changes: object) -> ek.Study:
    fields = {"unit": "unit", "period": "t", "cluster": "site", "outcome": "y", "components": AB}
    return ek.Study(frame, **{**fields, **changes})


class Dense:
    """Unit and period dummies on untreated rows, effects of the others, in the plainest way there is."""

    def __init__(self, frame: pd.DataFrame, weight: np.ndarray) -> None:
        frame = frame.assign(w=weight, on=frame[AB].max(axis=1)).sort_values(["unit", "t"])
        frame["ever"] = frame.groupby("unit")["on"].cummax()
        Z = np.hstack([pd.get_dummies(frame[c], dtype=float).to_numpy() for c in ("unit", "t")])
        past = frame[frame["ever"] == 0].groupby("unit").size()
        frame = frame.assign(use=(frame["on"] == 1) & frame["unit"].isin(past.index))
        free, self.use = (frame["ever"] == 0).to_numpy(), frame["use"].to_numpy()
        root = np.sqrt(frame["w"].to_numpy())[free]
        self.solve = np.linalg.pinv(Z[free] * root[:, None]) * root
        y = frame["y"].to_numpy()
        self.residual = y - Z @ (self.solve @ y[free])
        self.frame, self.free, self.Z, self.w = frame, free, Z, frame["w"].to_numpy()
        self.columns, X = event_columns(frame)
        root = np.sqrt(self.w[self.use])
        self.lift = np.linalg.pinv(X[self.use] * root[:, None]) * root
        self.beta = self.lift @ self.residual[self.use]
        self.beyond = self.residual - np.where(self.use, X @ self.beta, 0.0)

    def weights(self, omega: np.ndarray) -> np.ndarray:
        """v: weight of every row in an average with weights omega on the exposed rows."""
        v = np.where(self.use, omega, 0.0)
        v[self.free] = -(v[self.use] @ self.Z[self.use]) @ self.solve
        return v

    def std_error(self, omega: np.ndarray, cluster: str) -> float:
        """Equation 8, cohorts by period beyond the projection on event times, clusters in place of units."""
        f, v, tau = self.frame, self.weights(omega), self.beyond
        start = f.merge(first_start(self.frame), on="site", how="left")["start"].to_numpy()
        group = pd.DataFrame({"g": start, "t": f["t"].to_numpy(), "c": f[cluster].to_numpy(), "v": v, "vt": v * tau})
        used = group[self.use & (np.abs(v) > 0)]
        by = used.groupby(["g", "t", "c"])[["v", "vt"]].sum().reset_index()
        mean = by.assign(top=by["v"] * by["vt"], below=by["v"] ** 2).groupby(["g", "t"])[["top", "below"]].sum()
        centre = group.merge((mean["top"] / mean["below"]).rename("m").reset_index(), on=["g", "t"], how="left")["m"]
        left = np.where(self.use, tau - centre.fillna(0.0).to_numpy(), tau)
        return float(np.sqrt((pd.Series(v * left).groupby(f[cluster].to_numpy()).sum() ** 2).sum()))


def event_columns(frame: pd.DataFrame) -> tuple[list[tuple[str, int]], np.ndarray]:
    """(component, event time) of each column of 0/1 indicators."""
    names, columns = [], []
    for k in AB:
        start = frame[frame[k] == 1].groupby("site")["t"].min().reindex(frame["site"]).to_numpy()
        age = frame["t"].to_numpy() - start
        for e in range(int(np.nanmax(age)) + 1):
            names.append((k, e))
            columns.append((age == e).astype(float))
    return names, np.column_stack(columns)


def first_start(frame: pd.DataFrame) -> pd.DataFrame:
    on = frame[frame["on"] == 1].groupby("site")["t"].min()
    return on.rename("start").reset_index()


def test_programme_and_event_times_on_mpdta(mpdta, published):
    est = ek.Imputation().total(mpdta)
    got = est.to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
    np.testing.assert_allclose(got, published["bjs|diff-diff"]["overall"], **CLOSE)
    want = published["bjs|statspai"]["by"]
    rows = ek.Imputation()(mpdta, "raised")
    frame = rows.to_frame(inference="analytic")
    assert frame["event_time"].tolist() == want["relative_time"]
    np.testing.assert_allclose(frame["estimate"], want["att"], **CLOSE)
    np.testing.assert_allclose(frame["std_error"], want["se"], **CLOSE)
    assert frame["mass"].tolist() == want["n_obs"]
    simple = rows.aggregate("simple").to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
    np.testing.assert_allclose(simple, published["bjs|diff-diff"]["overall"], **CLOSE)


def test_other_standard_errors_would_be_wrong(mpdta, published):
    """Wrong-formula rejection: the second stage's own (Gardner 0.0134784), or effects taken as residuals of zero."""
    se = ek.Imputation().total(mpdta).to_frame(inference="analytic")["std_error"][0]
    assert abs(se - published["gardner2s|statspai"]["overall"][1]) > 1e-4


def test_paths_of_mpdta_average_to_the_programme(mpdta):
    est = ek.Imputation().total(mpdta)
    assert est.labels["path"].tolist() == ["every path", "raised from 2007", "raised from 2006", "raised from 2004"]
    np.testing.assert_allclose(est.value[0], np.average(est.value[1:], weights=est.mass[1:]), **SAME)
    assert est.mass.tolist() == [291, 131, 80, 80]


@pytest.mark.parametrize("gaps", [0.0, 0.15])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("cluster", ["site", "unit"])
def test_a_dense_regression_says_the_same(gaps, weights, cluster):
    frame = panel(gaps=gaps)
    components = [ek.Component(k, exposure=k, assigned_at="site") for k in AB]
    study = study_of(frame, weights=weights, cluster=None if cluster == "unit" else cluster, components=components)
    ordered = frame.sort_values(["unit", "t"])
    dense = Dense(ordered, np.ones(len(frame)) if weights is None else ordered["w"].to_numpy())
    share = np.where(dense.use, dense.w, 0.0) / dense.w[dense.use].sum()
    est = ek.Imputation().total(study, cluster)
    np.testing.assert_allclose(est.value[0], share @ dense.residual, **SAME)
    np.testing.assert_allclose(np.sqrt(est.vcov(inference="analytic")[0, 0]), dense.std_error(share, cluster), **SAME)


@pytest.mark.parametrize("weights", [None, "w"])
def test_components_are_a_second_stage_on_event_times(weights):
    """The projection is the weighted regression of all imputed effects on event-time indicators."""
    frame = panel()
    study = study_of(frame, weights=weights)
    ordered = frame.sort_values(["unit", "t"])
    dense = Dense(ordered, np.ones(len(frame)) if weights is None else ordered["w"].to_numpy())
    for k in AB:
        est = ek.Imputation()(study, k)
        at = [i for i, (name, _) in enumerate(dense.columns) if name == k]
        assert est.labels["event_time"].tolist() == [dense.columns[i][1] for i in at]
        np.testing.assert_allclose(est.value, dense.beta[at], **SAME)
        for j, i in enumerate(at[:3]):
            omega = np.zeros(len(dense.frame))
            omega[dense.use] = dense.lift[i]
            se = np.sqrt(est.vcov(inference="analytic")[j, j])
            np.testing.assert_allclose(se, dense.std_error(omega, "site"), **SAME)


def test_what_components_do_is_no_noise():
    """Wrong-formula rejection: without noise, effects that add up have standard errors of zero, not of their spread."""
    frame = panel(gaps=0.1)
    start = {k: frame[frame[k] == 1].groupby("site")["t"].min().reindex(frame["site"]).to_numpy() for k in AB}
    age = {k: np.nan_to_num(frame["t"].to_numpy() - start[k], nan=-1) for k in AB}
    frame["y"] = frame["unit"] + frame["t"] + frame["a"] * (2 + 0.3 * age["a"]) - frame["b"] * (1 + age["b"] ** 2)
    est = ek.Imputation()(study_of(frame), "a")
    np.testing.assert_allclose(est.value, 2 + 0.3 * est.labels["event_time"], atol=1e-8)
    assert np.abs(est.influence).max() < 1e-8
    assert np.abs(ek.Imputation().total(study_of(frame)).influence).max() < 1e-8


@pytest.mark.parametrize("gaps", [0.0, 0.15])
def test_refits_are_the_estimates_without_each_cluster(gaps):
    frame = panel(gaps=gaps)
    study = study_of(frame, weights="w")
    whole, alone = ek.Imputation().total(study), ek.Imputation()(study, "b")
    for site in (0, 5, 11):
        part = study_of(frame[frame["site"] != site], weights="w")
        without = ek.Imputation().total(part)
        lost = np.flatnonzero(whole.replicates.names == site)[0]
        np.testing.assert_allclose(whole.replicates.values[lost, 0], without.value[0], **SAME)
        assert whole.replicates.masses[lost, 0] == pytest.approx(without.mass[0])
        again = ek.Imputation()(part, "b")
        there = alone.labels["event_time"].isin(again.labels["event_time"]).to_numpy()
        np.testing.assert_allclose(alone.replicates.values[lost, there], again.value, **SAME)


def test_contributions_give_the_covariance_and_stack():
    study = study_of(panel())
    est = ek.Imputation()(study, "a")
    sums = pd.DataFrame(est.influence).groupby(study.paths.levels["site"].codes).sum().to_numpy()
    np.testing.assert_allclose(sums.T @ sums, est.vcov(inference="analytic"), atol=1e-14)
    both = ek.stack(ek.StaggeredRollout(others="ignored")(study, "a").aggregate("simple"), est.aggregate("simple"))
    difference = both.contrast([1, -1], name="rollout less imputation").to_frame()
    assert np.isfinite(difference["std_error"][0]) and difference["inference"][0] == "jackknife"


def test_additivity_is_kept_when_true_and_rejected_when_false():
    true = ek.Imputation().additivity(study_of(panel(seed=9, sites=40, gaps=0.05)))
    false = ek.Imputation().additivity(study_of(panel(seed=9, sites=40, gaps=0.05, interaction=1.0)))
    assert true.p_value > 0.05 > 0.01 > false.p_value
    assert false.rows.labels["component"].tolist() == ["a with b"]
    labels = ek.Imputation()(study_of(panel(seed=9, sites=40, gaps=0.05, interaction=1.0)), "a").labels
    assert (labels["additivity_p"] == false.p_value).all()


def test_components_that_start_together_are_not_told_apart():
    frame = panel(people=1, gaps=0.0)
    study = study_of(frame.assign(b=frame["a"]))
    rows = ek.Imputation()(study, "a").to_frame()
    assert rows["estimate"].isna().all() and rows["reason"].str.contains("other components").all()
    assert np.isfinite(ek.Imputation().total(study).value[0])
    test = ek.Imputation().additivity(study)
    assert np.isnan(test.p_value) and "take up every comparison" in test.reason


def test_after_a_spell_a_row_is_neither_untreated_nor_exposed():
    frame = panel(people=1, gaps=0.0)
    ended = frame.copy()
    ended.loc[(ended["site"] == 1) & (ended["t"] >= 6), AB] = 0
    garbage = ended.copy()
    garbage.loc[(garbage["site"] == 1) & (garbage["t"] >= 6), "y"] = 1e6
    first, second = (ek.Imputation().total(study_of(f)) for f in (ended, garbage))
    np.testing.assert_allclose(first.value, second.value, **SAME)
    assert first.labels["path"].str.contains("b from 5 to 5").any()


def test_units_without_an_untreated_past_are_left_out_and_counted():
    frame = panel(people=1, gaps=0.0)
    early = frame.copy()
    early.loc[early["site"] == 0, "a"] = 1
    est = ek.Imputation().total(study_of(early))
    base = ek.Imputation().total(study_of(frame[frame["site"] != 0]))
    np.testing.assert_allclose(est.value[0], base.value[0], **SAME)
    assert est.labels["units_left_out"][0] == 1
    lost = est.to_frame().iloc[1:].query("estimate.isna()", engine="python")
    assert lost["path"].tolist() == ["a from 0, b from 4"] and lost["reason"].str.contains("can be imputed").all()


def test_nobody_untreated_says_why():
    frame = panel(people=1, gaps=0.0)
    study = study_of(frame.assign(a=(frame["t"] >= 4).astype(int), b=0).iloc[:], components=["a"])
    with pytest.raises(ek.EvalkitError, match="can be imputed"):
        ek.Imputation().total(study)
    with pytest.raises(ek.EvalkitError, match="off at the same time"):
        ek.Imputation()(study, "a")


def test_a_path_with_one_cluster_has_no_interval():
    frame = panel(people=2, gaps=0.0)
    frame.loc[frame["site"] == 5, "a"] = (frame.loc[frame["site"] == 5, "t"] >= 7).astype(int)
    est = ek.Imputation().total(study_of(frame)).to_frame()
    alone = est[est["path"] == "a from 7"]
    assert len(alone) == 1 and alone["std_error"].isna().all()
    assert alone["reason"].str.contains("without site 5").all()


def test_ineligible_people_are_no_comparison():
    """Period effects are one set for each pattern of reach."""
    frame = panel(people=4, gaps=0.0)
    frame["can"] = (frame["unit"] % 2 == 0).astype(int)
    wild = frame.assign(y=np.where(frame["can"] == 0, frame["y"] + 50 * frame["t"] ** 2, frame["y"]))
    components = [ek.Component(k, exposure=k, reach="can") for k in AB]
    some, other = (ek.Imputation().total(study_of(f, components=components)) for f in (frame, wild))
    np.testing.assert_allclose(some.value, other.value, **SAME)
