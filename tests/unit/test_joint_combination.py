"""Combinations of effects by the joint event study, beside a plain dense regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.regression.joint import JointCombination
from evalkit.errors import NotIdentifiedError, OptionError
from tests.laws import rollouts

EFFECT = {"a": 1.0, "b": -0.4, "c": 0.7}
B_STARTS = [3, 4, 5, 6, 7, 99, 99, 99, 99, 99, 99, 99]
C_STARTS = [99, 99, 99, 99, 99, 3, 4, 5, 6, 99, 99, 99]


def frame_of(noise: float = 0.0, periods: int = 9) -> pd.DataFrame:
    """Twelve sites; a is on exactly when b or c is."""
    rng = np.random.default_rng(3)
    site, t = np.repeat(np.arange(12), periods), np.tile(np.arange(periods), 12)
    frame = pd.DataFrame({"site": site, "t": t, "b": t >= np.array(B_STARTS)[site], "c": t >= np.array(C_STARTS)[site]})
    frame = frame.astype(int).assign(a=lambda f: f["b"] + f["c"])
    frame["y"] = rng.normal(size=12)[site] + 0.3 * t + sum(EFFECT[k] * frame[k] for k in EFFECT)
    return frame.assign(y=lambda f: f["y"] + noise * rng.normal(size=len(f)))


def study_of(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="site", period="t", cluster="site", outcome="y", components=["a", "b", "c"])


def dense(frame: pd.DataFrame, parts: dict[str, float], event_time: int) -> tuple[float, float]:
    """The same combination, and its CR0 variance by site, by least squares on a full matrix of dummies."""
    columns = [pd.get_dummies(frame["site"]), pd.get_dummies(frame["t"])]
    weights = [np.zeros(columns[0].shape[1] + columns[1].shape[1])]
    for name in "abc":
        age = frame.groupby("site")[name].cumsum() - 1
        dummies = pd.get_dummies(age.where(frame[name] > 0))
        columns.append(dummies)
        weights.append(np.where(dummies.columns == event_time, parts.get(name, 0.0), 0.0))
    x, y = np.hstack([c.to_numpy(dtype=float) for c in columns]), frame["y"].to_numpy()
    w, inverse = np.concatenate(weights), np.linalg.pinv(x.T @ x)
    beta = inverse @ x.T @ y
    scores = pd.DataFrame(x * (y - x @ beta)[:, None]).groupby(frame["site"].to_numpy()).sum().to_numpy()
    return float(w @ beta), float(((scores @ inverse @ w) ** 2).sum())


@pytest.mark.parametrize(("members", "weights"), [("ab", (1.0, 1.0)), ("ac", (1.0, 1.0)), ("bc", (1.0, -1.0))])
def test_what_is_identified_is_the_dense_regression(members: str, weights: Sequence[float]) -> None:
    frame = frame_of(noise=0.5)
    found = JointCombination(tuple(members), tuple(weights))(study_of(frame), "x").to_frame()
    expected = [dense(frame, dict(zip(members, weights, strict=True)), e)[0] for e in found["event_time"]]
    np.testing.assert_allclose(found["estimate"], expected, atol=1e-8)
    exact = JointCombination(tuple(members), tuple(weights))(study_of(frame_of()), "x")
    truth = sum(w * EFFECT[m] for m, w in zip(members, weights, strict=True))
    np.testing.assert_allclose(exact.value, truth, atol=1e-8)


def test_what_is_not_identified_is_refused() -> None:
    for members, weights in (("ab", (1.0, -1.0)), ("bc", (1.0, 1.0)), ("a", (1.0,)), ("abc", (1.0, 1.0, 1.0))):
        found = JointCombination(tuple(members), weights)(study_of(frame_of(0.5)), "x").to_frame()
        assert found["estimate"].isna().all() and found["reason"].str.contains("cannot tell").all()


def test_refits_leave_one_cluster_out() -> None:
    frame = frame_of(noise=0.5)
    found = JointCombination(("a", "b"), (1.0, 1.0))(study_of(frame), "x")
    reps = found.replicates
    for c in (0, 5, 11):
        left = frame[frame["site"] != c].reset_index(drop=True)
        times = [e for e in (0, 1) if np.isfinite(reps.values[c, e])]
        assert times
        for e in times:
            assert reps.values[c, e] == pytest.approx(dense(left, {"a": 1.0, "b": 1.0}, e)[0], abs=1e-8)


def test_contributions_are_those_of_the_dense_sandwich() -> None:
    frame = frame_of(noise=0.5)
    found = JointCombination(("a", "b"), (1.0, 1.0))(study_of(frame), "x").to_frame(inference="analytic")
    expected = [np.sqrt(dense(frame, {"a": 1.0, "b": 1.0}, e)[1]) for e in found["event_time"]]
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-6)


def test_clusters_in_each_arm_are_those_at_the_time() -> None:
    found = JointCombination(("a", "b"), (1.0, 1.0))(study_of(frame_of(0.5)), "x").to_frame()
    # b starts at 3 to 7 of 9 periods: at event time 5 only the first site is left, in the last period, beside the
    # three that never have anything.
    last = found.set_index("event_time").loc[5]
    assert (last["clusters_exposed"], last["clusters_comparison"]) == (1, 3)
    apart = JointCombination(("b", "c"), (1.0, -1.0))(study_of(frame_of(0.5)), "x").to_frame()
    assert (apart["clusters_exposed"].iloc[0], apart["clusters_comparison"].iloc[0]) == (9, 10)


def test_clusters_of_a_single_component_are_those_at_the_time() -> None:
    frame = frame_of(0.5)
    study = ek.Study(frame, unit="site", period="t", cluster="site", outcome="y", components=["b", "c"])
    found = ek.JointEventStudy()(study, "b").to_frame().set_index("event_time")
    # Event time 0 is in periods 3 to 7: the first four of five sites are off at some time, and seven for ever.
    assert (found.loc[0, "clusters_exposed"], found.loc[0, "clusters_comparison"]) == (5, 11)
    assert (found.loc[5, "clusters_exposed"], found.loc[5, "clusters_comparison"]) == (1, 7)


@pytest.mark.parametrize(("members", "weights"), [((), ()), (("a",), (1.0, 2.0)), (("a", "b"), (1.0, 0.0))])
def test_members_and_weights_go_together(members: tuple[str, ...], weights: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="weight"):
        JointCombination(members, weights)


def test_no_event_time_in_common() -> None:
    frame = frame_of().assign(a=0)
    with pytest.raises(NotIdentifiedError, match="no event time in common"):
        JointCombination(("a", "b"), (1.0, 1.0))(study_of(frame), "x")


def test_far_leads_share_an_endpoint_bin():
    study = rollouts.study_of(rollouts.rollout(13))
    est = ek.JointEventStudy(window=(3, 5))(study, "a")
    assert est.labels["event_time"].min() == -3 and est.labels["event_time"].max() == 5
    starts = study.paths.state[:, :, 0].argmax(axis=1)[study.paths.path]
    ever = (study.paths.state[:, :, 0] > 0).any(axis=1)[study.paths.path]
    binned = sum(max(int(s) - 2, 0) for s in starts[ever])
    assert est.mass[int(np.flatnonzero(est.labels["event_time"] == -3)[0])] == binned
