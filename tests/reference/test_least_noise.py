"""Weights of least noise against dense generalised least squares on every cell-period, and what they promise."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.noise.covariance import Person, fit_person
from evalkit.designs.noise.untreated import Solver

SITES, PERIODS, PEOPLE = 10, 12, 4


def panel(seed: int = 3, gaps: bool = False) -> pd.DataFrame:
    """People of ten sites with two components, noise that fades, shocks of sites, no effects."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), PEOPLE)
    shape = (SITES * PEOPLE, PERIODS)
    y = np.cumsum(rng.normal(size=shape), axis=1) * 0.3 + rng.normal(size=shape) * 0.3
    y += (rng.normal(size=(SITES, PERIODS)) * 0.2)[site]
    frame = pd.DataFrame({"person": np.repeat(np.arange(len(y)), PERIODS), "t": np.tile(np.arange(PERIODS), len(y))})
    for name, first in (("a", 4), ("b", 3)):
        start = np.where(rng.random(SITES) < 0.6, rng.integers(first, PERIODS - 2, SITES), 99)
        frame[name] = (np.arange(PERIODS) >= start[site][:, None]).astype(int).ravel()
    frame["site"], frame["y"] = np.repeat(site, PERIODS), y.ravel()
    return frame[rng.random(len(frame)) < 0.9] if gaps else frame


def study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=["a", "b"])  # fmt: skip


def least(frame: pd.DataFrame, **options: object) -> ek.Estimate:
    return ek.StaggeredRollout(weights="least_noise", base_window=3, **options)(study(frame), "a")


def dense(estimate: ek.Estimate, without: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Values and covariance by one regression on all cell-periods: levels, columns, a free effect each exposed one."""
    model = estimate.replicate.source.make.__self__.model
    places = [p for p in model.places if p.cluster != without]
    levels = {level: i for i, level in enumerate(np.unique(np.concatenate([p.level for p in places])))}
    exposed = sum(len(p.y) - p.u for p in places)
    X, y, W, at = [], [], np.zeros((exposed, model.k)), 0
    for p in places:
        root = np.linalg.cholesky(p.V)
        block = np.zeros((len(p.y), model.columns + len(levels) + exposed))
        block[:, p.at] = p.steps
        block[np.arange(len(p.y)), model.columns + np.array([levels[x] for x in p.level])] = 1
        e = len(p.y) - p.u
        block[np.arange(p.u, len(p.y)), model.columns + len(levels) + at + np.arange(e)] = 1
        W[at : at + e, p.rows] = p.weight
        at += e
        X.append(np.linalg.solve(root, block))
        y.append(np.linalg.solve(root, p.y))
    whole, outcome = np.vstack(X), np.concatenate(y)
    back = np.linalg.pinv(whole, rcond=1e-11)
    told = np.isclose(np.diag(back @ whole)[-exposed:], 1, atol=1e-6)
    W = W * told[:, None]
    weight = np.where(W.sum(axis=0) > 1e-9, W.sum(axis=0), np.nan)
    effects, covariance = (back @ outcome)[-exposed:], (back @ back.T)[-exposed:, -exposed:]
    return W.T @ effects / weight, W.T @ covariance @ W / np.outer(weight, weight)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("others", ["same", "unchanged", "ignored"])
def test_rows_and_their_covariance_are_those_of_one_big_regression(others: str, gaps: bool) -> None:
    estimate = least(panel(gaps=gaps), others=others)
    value, vcov = dense(estimate)
    np.testing.assert_allclose(estimate.value, value, atol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(estimate.working), np.nan_to_num(vcov), atol=1e-9)


def test_refits_are_regressions_without_the_cluster() -> None:
    estimate = least(panel())
    for cluster, values in enumerate(estimate.replicates.values):
        np.testing.assert_allclose(values, dense(estimate, cluster)[0], atol=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
def test_weights_sum_to_nothing_in_every_cell_and_give_the_rows_back(gaps: bool) -> None:
    frame = panel(gaps=gaps)
    estimate = least(frame)
    cells = estimate.weights()
    known = cells[~np.isnan(estimate.value[cells["row"]])]
    assert known.groupby(["row", "cluster", "path"])["weight"].sum().abs().max() < 1e-9
    if not gaps:
        mean = frame.groupby(["site", "t"])["y"].mean()  # every site has one path
        seen = mean.loc[pd.MultiIndex.from_frame(known[["cluster", "period"]])].to_numpy() * known["weight"]
        rows = seen.groupby(known["row"]).sum()
        np.testing.assert_allclose(rows, estimate.value[rows.index], atol=1e-9)


def test_what_exposure_adds_moves_the_answer_by_exactly_that_and_no_weight() -> None:
    frame = panel()
    before = least(frame)
    start = frame[frame["a"] == 1].groupby("site")["t"].min()
    event = (frame["t"] - frame["site"].map(start)).where(frame["a"] == 1)
    added = np.where(frame["a"] == 1, 1.7 + 0.3 * event.fillna(0), 0.0)
    after = least(frame.assign(y=frame["y"] + added))
    moved = 1.7 + 0.3 * after.labels["event_time"]
    np.testing.assert_allclose(
        (after.value - before.value)[~np.isnan(after.value)], moved[~np.isnan(after.value)], atol=1e-9
    )
    pd.testing.assert_frame_equal(before.weights(), after.weights(), atol=1e-9)


def test_influence_of_people_adds_up_to_that_of_clusters() -> None:
    estimate = least(panel(gaps=True))
    _, totals = estimate.value_influence.sums("site")
    by_unit = np.zeros_like(totals)
    site = pd.Series(estimate.units) // PEOPLE
    np.add.at(by_unit, site.to_numpy(), np.nan_to_num(estimate.influence))
    np.testing.assert_allclose(by_unit, totals, atol=1e-9)


def test_moderated_inference_weighs_both_variances_by_their_degrees_of_freedom() -> None:
    answer = least(panel()).aggregate("simple")
    refits = answer.to_frame(inference="jackknife").iloc[0]
    row = answer.to_frame().iloc[0]
    d = refits["df"]
    assert row["inference"] == "moderated"
    assert row["df"] == pytest.approx(10 + d)
    assert row["std_error"] ** 2 == pytest.approx((10 * answer.working[0, 0] + d * refits["std_error"] ** 2) / (10 + d))


def test_scale_and_level_of_the_outcome_do_not_matter() -> None:
    frame = panel()
    plain = least(frame).aggregate("simple").to_frame().iloc[0]
    moved = least(frame.assign(y=1e9 + 1e-3 * frame["y"])).aggregate("simple").to_frame().iloc[0]
    assert moved["estimate"] == pytest.approx(1e-3 * plain["estimate"], abs=1e-8)
    assert moved["std_error"] == pytest.approx(1e-3 * plain["std_error"], rel=1e-2)


def test_an_estimate_of_least_noise_pickles() -> None:
    estimate = least(panel())
    again = pickle.loads(pickle.dumps(estimate))
    pd.testing.assert_frame_equal(again.aggregate("simple").to_frame(), estimate.aggregate("simple").to_frame())


def test_without_noise_to_weigh_by_weights_are_equal_and_say_why() -> None:
    flat = panel().assign(y=5.0)
    found = least(flat)
    assert found.labels["weights"].str.contains("equal: outcomes before exposure do not vary").all()
    equal = ek.StaggeredRollout(base_window=3)(study(flat), "a")
    np.testing.assert_array_equal(found.value, equal.value)
    assert (least(panel()).labels["weights"] == "least noise").all()


@pytest.mark.parametrize("options", [{"adjust": "reg"}, {"compare": "cross_sections"}, {"comparison": "never"}])
def test_options_that_do_not_go_together_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ek.EvalkitError, match="weights='least_noise' needs"):
        ek.StaggeredRollout(weights="least_noise", **options)


def test_a_persons_covariance_is_found_again() -> None:
    true = Person(0.25, 0.5, 0.9, 0.1)
    lag, pairs = np.arange(40), np.full(40, 500.0)
    found = fit_person((true.level + true.fading * true.decay**lag + true.own * (lag == 0)) * pairs, pairs)
    assert found is not None
    assert [found.level, found.fading, found.decay, found.own] == pytest.approx([0.25, 0.5, 0.9, 0.1], abs=1e-6)


def test_a_solver_knows_what_it_cannot_tell() -> None:
    X = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [2.0, 2.0, 0.5]])
    solver = Solver(X.T @ X)
    told = solver.knows(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert told.tolist() == [True, False, True]
    assert X @ solver.solve(X.T @ np.array([1.0, 2.0, 3.0])) == pytest.approx(
        X @ np.linalg.lstsq(X, np.array([1.0, 2.0, 3.0]), rcond=None)[0]
    )
