"""The joint event study as a regression: the same coefficients and CR0 covariance, and CR2 beside."""

from __future__ import annotations

import numpy as np
import pytest

import evalkit as ek
from evalkit.inference.regression import cluster_covariance
from evalkit.inference.wild import wild_bootstrap
from tests.laws.rollouts import rollout, study_of


@pytest.mark.parametrize("people", [1, 3])
def test_regression_is_the_design(people):
    study = study_of(rollout(11, people=people))
    design = ek.JointEventStudy()
    est = design(study, "a")
    regression, contrast = design.regression(study, "a", event_time=1)
    row = int(np.flatnonzero(est.labels["event_time"] == 1)[0])
    plain = cluster_covariance(regression, kind="CR0", contrasts=contrast[None])
    np.testing.assert_allclose(plain.estimate[0], est.value[row], atol=1e-9)
    np.testing.assert_allclose(plain.vcov[0, 0], est.vcov(inference="analytic")[row, row], rtol=1e-8)
    corrected = cluster_covariance(regression, kind="CR2", contrasts=contrast[None])
    assert corrected.vcov[0, 0] > plain.vcov[0, 0]
    assert 1 < corrected.df[0] < 18


def test_average_contrast_is_the_simple_aggregate_and_bootstraps():
    study = study_of(rollout(12))
    design = ek.JointEventStudy()
    regression, contrast = design.regression(study, "a")
    average = design(study, "a").aggregate("simple")
    plain = cluster_covariance(regression, kind="CR0", contrasts=contrast[None])
    np.testing.assert_allclose(plain.estimate[0], average.value[0], atol=1e-9)
    assert 0 < wild_bootstrap(regression, contrast, draws=199, seed=1).p_value <= 1


def test_far_leads_share_an_endpoint_bin():
    study = study_of(rollout(13))
    est = ek.JointEventStudy(window=(3, 5))(study, "a")
    assert est.labels["event_time"].min() == -3 and est.labels["event_time"].max() == 5
    starts = study.paths.state[:, :, 0].argmax(axis=1)[study.paths.path]
    ever = (study.paths.state[:, :, 0] > 0).any(axis=1)[study.paths.path]
    binned = sum(max(int(s) - 2, 0) for s in starts[ever])
    assert est.mass[int(np.flatnonzero(est.labels["event_time"] == -3)[0])] == binned
