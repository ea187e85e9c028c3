"""What a status says can be told apart, the estimators recover exactly; what it refuses, plain algebra refuses too.

Noise-free outcomes with known, additive and constant effects, over rollouts of every kind.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.evaluation.bundles import run_bundles
from evalkit.evaluation.ladder import Choices, ladder, run, window_of
from evalkit.vocabulary import ESTIMATED
from tests.laws.kinds import KINDS, Known, known

EXACT = 1e-8
VARIANTS = ({}, {"some_people": (0,)}, {"some_people": (1,)}, {"lags": (2, 1, 0, 3)})
CASES = [(kind, 1 + i, i) for kind in KINDS for i in range(len(VARIANTS))]
NOTHING_REFUSED = ("crossed", "bursts", "stopping", "on_off_on")


@cache
def case(kind: str, seed: int, variant: int) -> Known:
    return known(kind, seed, **VARIANTS[variant])


@cache
def told(kind: str, seed: int, variant: int) -> ek.Separability:
    return ek.separability(case(kind, seed, variant).study)


def outcome_for(design: str) -> str:
    """Comparisons of places assume one trend for everybody; the others allow for one by reach."""
    return "y" if design.startswith("StaggeredRollout") else "z"


def null_space(case: Known) -> np.ndarray:
    """(K, d) directions that constant effects can move in without any change of what is seen, by dense dummies."""
    units, periods, k = case.state.shape
    pattern = np.unique(case.reach, axis=0, return_inverse=True)[1].reshape(-1)
    unit = np.kron(np.eye(units), np.ones((periods, 1)))
    time = np.kron(np.eye(int(pattern.max()) + 1)[pattern], np.ones((periods, 1)))
    period = np.tile(np.eye(periods), (units, 1))
    dummies = np.hstack([unit, (time[:, :, None] * period[:, None, :]).reshape(units * periods, -1)])
    columns = case.state.reshape(-1, k).astype(float)
    basis = np.linalg.svd(dummies, full_matrices=False)[0][:, : np.linalg.matrix_rank(dummies)]
    left = columns - basis @ (basis.T @ columns)
    _, strength, right = np.linalg.svd(left.T @ left)
    return right[strength < 1e-8].T


@pytest.mark.parametrize(("kind", "seed", "variant"), CASES)
def test_what_can_be_told_apart_is_recovered_exactly(kind: str, seed: int, variant: int) -> None:
    c, found = case(kind, seed, variant), told(kind, seed, variant)
    for row in found.components.to_dict("records"):
        if row["status"] not in ESTIMATED or row["status"] == "one_place":  # whose past, not a comparison, must go on
            continue
        window = window_of(pd.Series(row), c.study.component(row["component"]).lag)
        rungs = ladder(row["best_design"], Choices(), outcome_for(row["best_design"]), window.lag)
        done = run(next(r for r in rungs if r.headline), c.study, row["component"], window)
        assert done.answer is not None, (row, done.reason)
        assert abs(done.answer.value[0] - c.effect[row["component"]]) < EXACT, row


@pytest.mark.parametrize(("kind", "seed", "variant"), CASES)
def test_what_is_refused_is_what_algebra_refuses(kind: str, seed: int, variant: int) -> None:
    c = case(kind, seed, variant)
    found, null = told(kind, seed, variant), null_space(c)
    alone = [np.linalg.norm(np.eye(len(c.effect))[i] @ null) for i in range(len(c.effect))]
    for row, moves in zip(found.components.to_dict("records"), alone, strict=True):
        status, reason = row["status"], row["reason"]
        by_growth = any(s in reason for s in ("effects do not grow", "so close to others", "only one site tells it"))
        if moves > 1e-6:
            assert status in ("not_tested", "bundle_only", "swap_only"), row
        elif status == "bundle_only":
            assert by_growth, row
        elif status == "swap_only":
            assert reason.startswith("wherever"), row
        else:
            assert status != "not_tested", row
    for row in found.bundles.to_dict("records"):
        weights = np.array([dict(zip(row["members"], row["weights"], strict=True)).get(m, 0.0) for m in c.effect])
        assert np.abs(weights @ null).max(initial=0.0) < 1e-6, row


@pytest.mark.parametrize(("kind", "seed", "variant"), CASES)
def test_every_combination_given_is_exact_and_the_rest_have_a_reason(kind: str, seed: int, variant: int) -> None:
    c, found = case(kind, seed, variant), told(kind, seed, variant)
    runs = {o: run_bundles(c.study, found, c.study.outcome(o), Choices(), 0.95) for o in "yz"}
    assert len(runs["y"]) == len(found.bundles)
    for one, other in zip(runs["y"], runs["z"], strict=True):
        e = (one if outcome_for(one.evidence.design) == "y" else other).evidence
        truth = sum(w * c.effect[m] for m, w in zip(e.members, e.weights, strict=True))
        assert abs(e.estimate - truth) < EXACT if np.isfinite(e.estimate) else e.reason, e


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in NOTHING_REFUSED])
def test_what_is_refused_is_never_claimed(kind: str) -> None:
    c = known(kind, 4, noise=0.05)
    evaluation = ek.evaluate(c.study)
    status = evaluation.separability.components.set_index("component")["status"]
    for row in evaluation.verdicts.to_dict("records"):
        refused = status[row["component"]] not in ESTIMATED
        assert not (refused and row["verdict"] in ("shown", "likely")), row
        if row["verdict"] in ("not_tested", "cannot_tell_apart"):
            assert np.isnan([row["estimate"], row["conf_low"], row["conf_high"], row["smallest_detectable"]]).all(), row


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("together", ["bundle_only", "bundle_only", "separable"]), ("from_first", ["not_tested", "separable"]),
        ("at_once", ["not_tested", "separable"]), ("never", ["not_tested", "separable"]),
        ("swapped", ["swap_only", "swap_only", "separable"]), ("replaced", ["separable", "swap_only"]),
        ("one_site", ["too_few_clusters", "separable"]), ("sum_of_two", ["bundle_only"] * 3),
        ("less_another", ["bundle_only"] * 3), ("two_and_two", ["bundle_only"] * 4), ("alone", ["not_tested"] * 2),
        ("in_the_last_period", ["not_tested", "separable"]), ("apart_in_one", ["bundle_only"] * 2),
    ],
)  # fmt: skip
def test_statuses_of_kinds_whose_answer_is_known(kind: str, statuses: list[str]) -> None:
    assert ek.separability(known(kind, 1).study).components["status"].tolist() == statuses


@pytest.mark.parametrize("kind", ["sum_of_two", "two_and_two", "sum_of_three"])
def test_sums_of_crossed_parts_have_effects(kind: str) -> None:
    """At least one sum of each is estimated, with an interval, where the outcome has noise."""
    bundles = ek.evaluate(known(kind, 1, noise=0.3).study).bundles
    sums = bundles[(bundles["kind"] == "sum") & (bundles["outcome"] == "y")]
    assert len(sums) >= 2 and np.isfinite(sums["conf_low"]).any()
    assert (np.isfinite(sums["estimate"]) | (sums["reason"] != "")).all()
