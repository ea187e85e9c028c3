"""Laws of the algebra: refits by hand, permutations, labels, stacking and contrasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit as ek
from tests.laws.rollouts import rollout, study_of

DESIGNS = [
    ek.StaggeredRollout(),
    ek.StaggeredRollout(others="unchanged", comparison="never"),
    ek.StaggeredRollout(others="ignored", base="universal", anticipation=1),
    ek.StaggeredRollout(lookback=1),
    ek.StaggeredRollout(base_window=6),
    ek.StaggeredRollout(base_window=3, others="unchanged", lookback=1),
    ek.JointEventStudy(),
]
SHAPES = [{"people": 1}, {"people": 3}, {"people": 3, "missing": 0.1}]


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_refits_in_closed_form_are_refits_by_hand(design, shape):
    frame = rollout(3, **shape)
    est = design(study_of(frame), "a")
    keys = [c for c in ("cohort", "period", "event_time") if c in est.labels]
    average = est.aggregate("simple").replicates
    for i, site in enumerate(est.replicates.names):
        again = design(study_of(frame[frame["site"] != site]), "a")
        mine = est.labels[keys].assign(value=est.replicates.values[i])
        both = mine.merge(again.labels[keys].assign(by_hand=again.value), on=keys, how="left")
        np.testing.assert_allclose(both["value"], both["by_hand"], atol=1e-9)
        np.testing.assert_allclose(average.values[i], again.aggregate("simple").value, atol=1e-9)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unit_contributions_sum_to_the_clustered_covariance(design, shape):
    frame = rollout(4, **shape)
    est = design(study_of(frame), "a").aggregate("simple")
    site = frame.drop_duplicates("unit").set_index("unit")["site"].reindex(est.units).to_numpy()
    sums = pd.DataFrame(est.influence).groupby(site).sum().to_numpy()
    np.testing.assert_allclose(sums.T @ sums, est.vcov(inference="analytic"), atol=1e-12)
    by_unit = pd.DataFrame(est.influence).groupby(est.units).sum().to_numpy()
    np.testing.assert_allclose(by_unit.T @ by_unit, est.vcov(cluster="unit"), atol=1e-12)


@given(seed=st.integers(0, 10_000), shape=st.sampled_from(SHAPES), scale=st.sampled_from([-3.0, -0.2, 0.5, 2.0]))
@settings(max_examples=15)
def test_rows_and_names_do_not_matter_and_scale_does(seed, shape, scale):
    frame = rollout(seed, **shape)
    design = ek.StaggeredRollout(base_window=3)
    est = design(study_of(frame), "a").aggregate("simple")
    names = np.random.default_rng(seed).permutation(10_000)
    other = frame.sample(frac=1, random_state=seed).assign(
        unit=lambda d: names[d["unit"]],
        site=lambda d: "s" + d["site"].astype(str).str.zfill(3),
        y=lambda d: scale * d["y"] + 7,
    )
    again = design(study_of(other), "a").aggregate("simple")
    np.testing.assert_allclose(again.value, scale * est.value, atol=1e-9)
    np.testing.assert_allclose(again.vcov(), scale**2 * est.vcov(), atol=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_stack_and_contrast_commute(seed):
    study = study_of(rollout(seed, people=2))
    a, b = (ek.StaggeredRollout()(study, name).aggregate("event_time") for name in "ab")
    both = ek.stack(a, b)
    wa, wb = np.zeros(len(a)), np.zeros(len(b))
    wa[-1], wb[-1] = 1.0, -1.0
    first = both.contrast(np.concatenate([wa, wb]), name="a less b")
    second = ek.stack(a.contrast(wa), b.contrast(-wb)).contrast([1.0, -1.0], name="a less b")
    np.testing.assert_allclose(first.value, second.value, atol=1e-12)
    for inference in ("analytic", "jackknife"):
        np.testing.assert_allclose(first.vcov(inference=inference), second.vcov(inference=inference), atol=1e-12)


@pytest.mark.parametrize("plain", [False, True], ids=["all with refits", "the last without"])
def test_stacking_all_at_once_is_stacking_one_by_one(plain):
    frame = rollout(9, people=2)
    samples = ((frame, "a"), (frame[frame["site"] > 1], "b"), (frame[frame["site"] < 9], "a"))
    parts = [ek.StaggeredRollout()(study_of(some), name).aggregate("simple") for some, name in samples]
    if plain:
        last = parts[-1]
        parts[-1] = ek.Estimate.from_influence(last.value, last.influence, last.labels, ids=last.units)
    once, pairs = ek.stack(*parts), ek.stack(ek.stack(*parts[:2]), parts[2])
    for inference in ("auto", "analytic"):
        pd.testing.assert_frame_equal(once.to_frame(inference=inference), pairs.to_frame(inference=inference))
        np.testing.assert_allclose(once.vcov(inference=inference), pairs.vcov(inference=inference), atol=1e-15)
    np.testing.assert_allclose(once.joint().vcov, pairs.joint().vcov, atol=1e-15)
    pd.testing.assert_frame_equal(
        pd.DataFrame(once.influence, once.units).sort_index(), pd.DataFrame(pairs.influence, pairs.units).sort_index()
    )
    weights = np.array([[1.0, -1.0, 0.0], [0.0, 0.5, 0.5]])
    pd.testing.assert_frame_equal(
        once.contrast(weights, name="x").to_frame(), pairs.contrast(weights, name="x").to_frame()
    )
    if not plain:
        pd.testing.assert_frame_equal(once.weights(), pairs.weights())


def test_splitting_a_unit_within_its_cluster_changes_nothing():
    frame = rollout(5, people=1)
    twins = pd.concat([frame, frame.assign(unit=frame["unit"] + 1000)])
    one, two = (ek.StaggeredRollout()(study_of(f), "a").aggregate("simple") for f in (frame, twins))
    np.testing.assert_allclose(one.value, two.value, atol=1e-12)
    np.testing.assert_allclose(one.vcov(), two.vcov(), atol=1e-12)
    np.testing.assert_allclose(one.vcov(inference="analytic"), two.vcov(inference="analytic"), atol=1e-12)


def test_always_exposed_units_change_nothing():
    frame = rollout(6)
    always = frame[frame["site"] < 3].assign(site=lambda d: d["site"] + 100, unit=lambda d: d["unit"] + 100, a=1)
    one, two = (ek.StaggeredRollout()(study_of(f), "a") for f in (frame, pd.concat([frame, always])))
    np.testing.assert_allclose(one.value, two.value, atol=1e-12)
    np.testing.assert_allclose(one.vcov(), two.vcov(), atol=1e-12)


def test_a_row_without_comparison_is_not_a_number_and_says_why():
    frame = rollout(7)
    frame["a"] = (frame["month"] >= 5).astype(int)
    est = ek.StaggeredRollout()(study_of(frame), "a")
    table = est.to_frame()
    assert table["estimate"].isna().all()
    assert table.loc[table["event_time"] >= 0, "reason"].str.contains("nobody to compare with").all()
    assert np.isnan(est.influence).all()


def test_stack_refuses_what_is_not_an_estimate():
    interval = ek.Interval(0.1, 0.0, 0.2, "regression discontinuity")
    with pytest.raises(ek.EvalkitError, match="Interval has no contributions"):
        ek.stack(interval)


def test_contrast_of_unlike_estimands_needs_a_name():
    study = study_of(rollout(8))
    same, ignored = (ek.StaggeredRollout(others=o)(study, "a").aggregate("simple") for o in ("same", "ignored"))
    both = ek.stack(same, ignored)
    with pytest.raises(ek.EvalkitError, match="population"):
        both.contrast([1.0, -1.0])
    assert len(both.contrast([1.0, -1.0], name="cost of ignoring the others")) == 1
