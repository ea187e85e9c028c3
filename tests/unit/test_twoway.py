"""Two-way fixed effects: the usual coefficients, and weights that explain them to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.panel import PanelOLS

import evalkit as ek
from evalkit.errors import NotIdentifiedError
from tests.laws.rollouts import rollout, study_of

DATA = Path(__file__).parents[1] / "reference" / "data"
TWFE = ek.TwoWayFixedEffects()
ABC = ["a", "b", "c"]


def mpdta() -> ek.Study:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    return ek.Study(frame, unit="countyreal", period="year", outcome="lemp", components=["raised"])


def test_mpdta() -> None:
    """The coefficient of pyfixest, statspai and linearmodels; its standard error is ours times the factor they use."""
    got = TWFE(mpdta(), "raised").to_frame(inference="analytic")
    assert got["estimate"][0] == pytest.approx(-0.0365489367, abs=1e-9)
    factor = 500 / 499 * (2500 - 1) / (2500 - 6)
    assert got["std_error"][0] * np.sqrt(factor) == pytest.approx(0.0132651554, abs=1e-9)
    assert "never for a headline" in got["population"][0]


@pytest.mark.parametrize(("missing", "weighted"), [(0.0, False), (0.0, True), (0.08, False), (0.08, True)])
def test_panel_ols_gives_the_same_coefficients_and_errors(missing: float, weighted: bool) -> None:
    frame = rollout(5, sites=16, people=2, missing=missing)
    frame["w"] = 1.0 + frame["unit"] % 3
    frame["twin"] = frame["a"]
    for components in (ABC, ["a", "twin", "b"]):
        study = study_of(frame, weights="w" if weighted else None, components=components)
        theirs, ours = TWFE.panel_ols(study, "site"), TWFE.fit(study, "site")
        known = np.isfinite(ours.value)
        names = ours.labels["component"][known]
        assert known.sum() == (3 if components == ABC else 1)
        np.testing.assert_allclose(theirs.params[names], ours.value[known], rtol=1e-12, atol=1e-12)
        errors = ours.to_frame(inference="analytic")["std_error"][known]
        np.testing.assert_allclose(theirs.std_errors[names], errors, rtol=1e-10)


@pytest.mark.parametrize(("missing", "weighted"), [(0.0, False), (0.08, False), (0.08, True)])
def test_coefficients_and_errors_equal_linearmodels_and_statsmodels(missing: float, weighted: bool) -> None:
    frame = rollout(5, sites=16, people=2, missing=missing)
    frame["w"] = 1.0 + frame["unit"] % 3 if weighted else 1.0
    study = study_of(frame, weights="w" if weighted else None)
    got = [TWFE(study, k).to_frame(inference="analytic").iloc[0] for k in ABC]
    indexed = frame.set_index(["unit", "month"])
    model = PanelOLS(indexed["y"], indexed[ABC], weights=indexed["w"], entity_effects=True, time_effects=True)
    np.testing.assert_allclose([g["estimate"] for g in got], model.fit().params[ABC], rtol=1e-8)
    X = pd.get_dummies(frame[["unit", "month"]].astype(str), dtype=float).drop(columns="month_0")
    fit = sm.WLS(frame["y"], pd.concat([frame[ABC], X], axis=1), weights=frame["w"]).fit(
        cov_type="cluster", cov_kwds={"groups": frame["site"], "use_correction": False}
    )
    np.testing.assert_allclose([g["estimate"] for g in got], fit.params[ABC], rtol=1e-8)
    np.testing.assert_allclose([g["std_error"] for g in got], fit.bse[ABC], rtol=1e-7)


def test_jackknife_equals_refits_without_each_site() -> None:
    frame = rollout(6, sites=9, people=2)
    got = TWFE(study_of(frame), "b")
    assert got.resolve() == "jackknife"
    for j, site in enumerate(got.replicates.names):
        left = TWFE(study_of(frame[frame["site"] != site]), "b").value[0]
        assert got.replicates.values[j, 0] == pytest.approx(left)


def test_unit_contributions_add_up_and_stack() -> None:
    study = study_of(rollout(7, sites=12, people=3, missing=0.05))
    got = TWFE(study, "a")
    np.testing.assert_allclose(got.influence.sum(axis=0), 0, atol=1e-10)
    both = ek.stack(got, ek.StaggeredRollout()(study, "a").aggregate("simple"))
    assert len(both) == 2 and np.isfinite(both.vcov(inference="analytic")).all()
    pair = ek.stack(got, TWFE(study, "b")).vcov(inference="analytic")
    np.testing.assert_allclose(pair, TWFE.fit(study, "site").vcov(inference="analytic")[:2, :2])


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_coefficient_is_the_weighted_sum_of_true_effects(missing: float) -> None:
    """No noise, effects that differ by cell: the weights explain each coefficient exactly."""
    frame = rollout(8, sites=14, people=2, missing=missing)
    rng = np.random.default_rng(1)
    effect = {k: rng.normal(size=(14, 14)) for k in ABC}
    site, month = frame["site"].to_numpy(), frame["month"].to_numpy()
    frame["y"] = rng.normal(size=28)[frame["unit"]] + rng.normal(size=14)[month]
    for k in ABC:
        frame["y"] += effect[k][site, month] * frame[k]
    study = study_of(frame)
    for k in ABC:
        cells = TWFE.weights(study, k)
        true = [effect[r.from_component][r.cluster, r.period] for r in cells.itertuples()]
        value = TWFE(study, k).value[0]
        assert value == pytest.approx(cells["weight"] @ true, abs=1e-9)
        own = cells["from_component"] == k
        naive = cells["weight"][own] @ np.array(true)[own]
        assert abs(naive - value) > 1e-3  # without what is borrowed the sum does not add up


@pytest.mark.parametrize("peer", ["statspai", "twowayfeweights"])
@pytest.mark.parametrize(("own", "other"), [("d1", "d2"), ("d2", "d1")])
def test_contamination_equals_two_packages(peer: str, own: str, other: str) -> None:
    want = json.loads((DATA / "twfe-weights-reference.json").read_text())[own]
    panel = pd.read_csv(DATA / "twfe-weights-panel.csv")
    study = ek.Study(panel, unit="unit", period="period", outcome="y", components=["d1", "d2"])
    assert TWFE(study, own).value[0] == pytest.approx(want[peer]["coefficient"], abs=1e-10)
    table = TWFE.contamination(study, own).set_index("source")
    assert list(table["from_component"]) == [own, own, other]
    theirs, lent = want[peer]["own"], want[peer]["borrowed"]
    assert (table["cells"]["own"], table["cells"]["own, negative"]) == (theirs["plus"], theirs["minus"])
    assert table["sum_of_weights"]["own"] == pytest.approx(theirs["sum_plus"], abs=1e-10)
    assert table["sum_of_weights"]["own, negative"] == pytest.approx(theirs["sum_minus"], abs=1e-10)
    assert table["cells"]["borrowed"] == lent["plus"] + lent["minus"]
    assert table["positive"]["borrowed"] == pytest.approx(lent["sum_plus"], abs=1e-10)
    assert table["negative"]["borrowed"] == pytest.approx(lent["sum_minus"], abs=1e-10)
    assert table["sum_of_weights"]["borrowed"] == pytest.approx(0, abs=1e-10)
    cells = TWFE.weights(study, own).pivot_table(index=["cluster", "period"], columns="from_component", values="weight")
    peers = pd.DataFrame(want["cells"], columns=["cluster", "period", own, other]).set_index(["cluster", "period"])
    peers = peers[(peers != 0).any(axis=1)]
    np.testing.assert_allclose(cells.fillna(0)[[own, other]], peers.reindex(cells.index)[[own, other]], atol=1e-10)


def test_plan_reads_no_outcome_and_twins_have_no_number() -> None:
    frame = rollout(9, sites=9)
    frame["twin"] = frame["a"]
    study = study_of(frame, components=["a", "twin", "b"])
    plan = TWFE.plan(study.paths, "a")
    assert plan.matrix.shape[1] == 3 and len(np.unique(plan.pattern)) == 1
    got = TWFE(study, "a").to_frame()
    assert np.isnan(got["estimate"][0]) and "cannot tell this component" in got["reason"][0]
    assert np.isfinite(TWFE(study, "b").value[0])
    with pytest.raises(NotIdentifiedError, match="cannot tell 'a'"):
        TWFE.contamination(study, "a")
    never = study_of(frame.assign(c=0))
    with pytest.raises(NotIdentifiedError, match="'c' is never on"):
        TWFE(never, "c")
