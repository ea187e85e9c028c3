"""Staggered rollout with one component equals Callaway and Sant'Anna (2021) on mpdta."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

DATA = Path(__file__).parent / "data"
CLOSE = {"atol": 1e-7, "rtol": 0}
KINDS = {"event_time": "dynamic", "cohort": "group", "period": "calendar"}


@pytest.fixture(scope="module")
def consensus() -> dict:
    return json.loads((DATA / "did-mpdta.json").read_text())["consensus"]


@pytest.fixture(scope="module")
def study() -> ek.Study:
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    return ek.Study(
        frame, unit="countyreal", period="year", outcome="lemp", components=["raised"], covariates=("lpop",)
    )


@pytest.mark.parametrize(("comparison", "key"), [("never", "never"), ("not_yet", "notyet")])
@pytest.mark.parametrize("others", ["same", "unchanged", "ignored"])
def test_group_time_effects(study, consensus, comparison, key, others):
    est = ek.StaggeredRollout(comparison=comparison, others=others)(study, "raised")
    want = pd.DataFrame(consensus[f"mpdta|none|{key}|dr"]["att_gt"], columns=["cohort", "period", "att", "se"])
    got = est.to_frame(inference="analytic").merge(want, on=["cohort", "period"], how="outer")
    assert len(got) == len(want) == len(est)
    np.testing.assert_allclose(got["estimate"], got["att"], **CLOSE)
    np.testing.assert_allclose(got["std_error"], got["se"], **CLOSE)


@pytest.mark.parametrize(("comparison", "key"), [("never", "never"), ("not_yet", "notyet")])
@pytest.mark.parametrize("kind", ["event_time", "cohort", "period"])
def test_aggregations(study, consensus, comparison, key, kind):
    est = ek.StaggeredRollout(comparison=comparison)(study, "raised").aggregate(kind)
    want = consensus[f"mpdta|none|{key}|dr"][KINDS[kind]]
    got = est.to_frame(inference="analytic")
    np.testing.assert_allclose(got[[kind, "estimate", "std_error"]].astype(float), want["by"], **CLOSE)
    overall = est.average().to_frame(inference="analytic")
    np.testing.assert_allclose(overall[["estimate", "std_error"]].to_numpy()[0], want["overall"], **CLOSE)


@pytest.mark.parametrize(("comparison", "key"), [("never", "never"), ("not_yet", "notyet")])
def test_simple(study, consensus, comparison, key):
    est = ek.StaggeredRollout(comparison=comparison)(study, "raised").aggregate("simple").average()
    got = est.to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
    np.testing.assert_allclose(got, consensus[f"mpdta|none|{key}|dr"]["simple"]["overall"], **CLOSE)


def test_shares_treated_as_fixed_would_be_wrong(study, consensus):
    """Wrong-formula rejection: without the sampling of cohort shares the standard error is smaller."""
    est = ek.StaggeredRollout(comparison="never")(study, "raised")
    later = est.select(np.flatnonzero(est.labels["event_time"] >= 0))
    fixed = later.contrast(later.mass / later.mass.sum(), name="fixed shares").to_frame(inference="analytic")
    want = consensus["mpdta|none|never|dr"]["simple"]["overall"]
    np.testing.assert_allclose(fixed["estimate"][0], want[0], **CLOSE)
    assert abs(fixed["std_error"][0] - want[1]) > 1e-5


def test_contributions_give_the_covariance(study):
    est = ek.StaggeredRollout()(study, "raised").aggregate("event_time")
    np.testing.assert_allclose(est.influence.T @ est.influence, est.vcov(inference="analytic"), atol=1e-14)


def test_cluster_means_would_be_wrong(study):
    """Wrong-formula rejection: cluster sums, not means, make the clustered covariance."""
    frame = pd.read_csv(DATA / "mpdta.csv")
    frame["raised"] = ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"])).astype(int)
    frame["group"] = frame["first_treat"] * 100 + frame["countyreal"] % np.where(frame["countyreal"] % 3 == 0, 5, 23)
    grouped = ek.Study(frame, unit="countyreal", period="year", outcome="lemp", cluster="group", components=["raised"])
    est = ek.StaggeredRollout()(grouped, "raised").aggregate("simple")
    codes = pd.Series(est.units).map(frame.drop_duplicates("countyreal").set_index("countyreal")["group"])
    sums = pd.Series(est.influence[:, 0]).groupby(codes.to_numpy()).sum()
    means = pd.Series(est.influence[:, 0]).groupby(codes.to_numpy()).mean() * len(codes) / codes.nunique()
    se = est.to_frame(inference="analytic")["std_error"][0]
    np.testing.assert_allclose(se, np.sqrt((sums**2).sum()), rtol=1e-10)
    assert abs(np.sqrt((means**2).sum()) - se) > 1e-4


@pytest.mark.parametrize(("comparison", "key"), [("never", "never"), ("not_yet", "notyet")])
@pytest.mark.parametrize("adjust", ["reg", "ipw", "dr"])
def test_covariates(study, consensus, comparison, key, adjust):
    want = consensus[f"mpdta|lpop|{key}|{adjust}"]
    est = ek.StaggeredRollout(comparison=comparison, adjust=adjust)(study, "raised")
    rows = pd.DataFrame(want["att_gt"], columns=["cohort", "period", "att", "se"])
    got = est.to_frame(inference="analytic").merge(rows, on=["cohort", "period"], how="outer")
    assert len(got) == len(rows) == len(est)
    np.testing.assert_allclose(got["estimate"], got["att"], **CLOSE)
    np.testing.assert_allclose(got["std_error"], got["se"], **CLOSE)
    for kind, name in KINDS.items():
        by = est.aggregate(kind)
        table = by.to_frame(inference="analytic")[[kind, "estimate", "std_error"]].astype(float)
        np.testing.assert_allclose(table, want[name]["by"], **CLOSE)
        overall = by.average().to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
        np.testing.assert_allclose(overall, want[name]["overall"], **CLOSE)
    simple = est.aggregate("simple").to_frame(inference="analytic")[["estimate", "std_error"]].to_numpy()[0]
    np.testing.assert_allclose(simple, want["simple"]["overall"], **CLOSE)
