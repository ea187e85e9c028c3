"""An Estimate is data: it pickles, and so do aggregates, contrasts and stacks; it can be sent to other processes."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed

import evalkit as ek
from tests.laws.rollouts import rollout, study_of

DESIGNS = [
    ek.StaggeredRollout(),
    ek.StaggeredRollout(others="unchanged", comparison="never"),
    ek.TwoWayFixedEffects(),
    ek.JointEventStudy(),
]
KINDS = ("auto", "analytic", "jackknife")


def again(est: ek.Estimate) -> ek.Estimate:
    return pickle.loads(pickle.dumps(est))


def check_same(est: ek.Estimate) -> None:
    back = again(est)
    for kind in KINDS:
        pd.testing.assert_frame_equal(back.to_frame(inference=kind), est.to_frame(inference=kind))
        np.testing.assert_array_equal(back.vcov(inference=kind), est.vcov(inference=kind))
    np.testing.assert_array_equal(back.influence, est.influence)
    np.testing.assert_array_equal(back.units, est.units)
    if est.cells is not None:
        pd.testing.assert_frame_equal(back.weights(), est.weights())
    assert not back.value.flags.writeable


@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_what_pickles_comes_back_the_same(design, people):
    study = study_of(rollout(3, people=people))
    a, b = (design(study, name) for name in "ab")
    check_same(a)
    if "cohort" in a.labels:
        check_same(a.aggregate("event_time"))
        check_same(a.aggregate("simple").select(np.array([0])))
    both = ek.stack(a.average(), b.average())
    check_same(both)
    check_same(both.contrast([1.0, -1.0], name="a less b"))


def test_what_is_derived_before_and_after_pickling_is_the_same():
    est = ek.StaggeredRollout()(study_of(rollout(4, people=2)), "a")
    for f in (lambda e: e.aggregate("event_time"), lambda e: ek.stack(e.average(), e.aggregate("simple"))):
        pd.testing.assert_frame_equal(f(again(est)).to_frame(), f(est).to_frame())


def test_any_function_of_the_values_pickles():
    est = ek.StaggeredRollout()(study_of(rollout(4)), "a").aggregate("simple")
    doubled = est.map(lambda v: np.exp(v), np.diag(np.exp(est.value)), est.labels)
    check_same(doubled)
    np.testing.assert_allclose(doubled.replicates.values, np.exp(est.replicates.values))


def test_estimates_go_to_other_processes_and_come_back():
    study = study_of(rollout(5))
    averages = [ek.StaggeredRollout()(study, name).aggregate("simple") for name in "ab"]
    frames = Parallel(n_jobs=2, backend="multiprocessing")(delayed(ek.Estimate.to_frame)(est) for est in averages)
    for frame, est in zip(frames, averages, strict=True):
        pd.testing.assert_frame_equal(frame, est.to_frame())
    stacked = Parallel(n_jobs=2, backend="multiprocessing")(delayed(ek.stack)(*averages) for _ in range(2))
    for both in stacked:
        pd.testing.assert_frame_equal(both.to_frame(), ek.stack(*averages).to_frame())


def test_what_is_derived_keeps_no_estimate_it_came_from():
    """A thousand selections in a row are one source and flat steps: no recursion."""
    est = ek.StaggeredRollout()(study_of(rollout(6)), "a").aggregate("event_time")
    long = est
    for _ in range(1100):
        long = long.select(np.arange(len(est)))
    pd.testing.assert_frame_equal(again(long).to_frame(), est.to_frame())
