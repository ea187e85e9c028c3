"""Standard errors, quantiles, bands, averages and joins in numbers from printed tables, or worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import (
    Spread,
    correlation,
    critical,
    joint_test,
    p_values,
    std_errors,
    sup_t,
    symmetric_root,
)
from evalkit.inference.replicates import Arms, Averaging, Replicates

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def labels(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"component": "a", "outcome": "y", "estimand": "ATT", "population": "p", "row": range(rows)})


def replicates(names: str, values: list[list[float]]) -> Replicates:
    """values: one list a cluster; the first half of the clusters is exposed, the others compare."""
    made = np.array(values, dtype=float)
    exposed = np.repeat(np.arange(len(made))[:, None] < len(made) / 2, made.shape[1], axis=1)
    return Replicates(np.array(list(names)), "cluster", made, (~np.isnan(made)).astype(float), exposed, ~exposed)


def refitted(names: str, value: list[float], values: list[list[float]], arms: Arms | None = None) -> Estimate:
    """An Estimate with refits known by their values, a contribution of zero from each cluster."""
    zeros = np.zeros((len(names), len(value)))
    made = Estimate.from_influence(value, zeros, labels(len(value)), ids=list(names), clusters=list(names))
    refits = replicates(names, values)
    return Estimate(made.value, made.mass, made.labels, made.value_influence, arms=arms, replicate=lambda: refits)


def test_a_variance_of_zero_or_of_rounding_is_no_standard_error() -> None:
    """Variances 4, 0 and 1e-16; 1e-8 is rounding beside an estimate of 1000, and a standard error beside one of 1."""
    vcov = np.diag([4.0, 0.0, 1e-16])
    np.testing.assert_array_equal(std_errors(vcov), [2.0, np.nan, 1e-8])
    np.testing.assert_array_equal(std_errors(vcov, np.array([0.0, 0.0, 1.0])), [2.0, np.nan, 1e-8])
    np.testing.assert_array_equal(std_errors(vcov, np.array([0.0, 0.0, 1000.0])), [2.0, np.nan, np.nan])


def test_quantiles_and_p_values_of_printed_tables() -> None:
    """Two-sided 5% points of t with 1, 3 and 10 degrees of freedom and of the normal; p of t = 2 is .2952 with one."""
    np.testing.assert_allclose(critical(np.array([1, 3, 10, np.inf]), 0.95), [12.706, 3.182, 2.228, 1.960], atol=5e-4)
    np.testing.assert_allclose(critical(np.array([3.0]), 0.90), [2.353], atol=5e-4)
    p = p_values(np.array([2.0, -4.0, 6.0, 2.0]), np.array([1.0, 2.0, 3.0, 1.0]), np.array([1, 3, 10, np.inf]))
    np.testing.assert_allclose(p, [0.2952, 0.1393, 0.0734, 0.0455], atol=5e-5)


@pytest.mark.parametrize(
    ("rows", "df", "table"), [(2, np.inf, 2.236), (5, np.inf, 2.569), (2, 5, 3.091), (5, 10, 3.103)]
)
def test_bands_over_independent_rows_are_the_studentised_maximum_modulus(rows: int, df: float, table: float) -> None:
    """Normal: the root of (2 Phi(c) - 1)^k = .95. With df: tables of the studentised maximum modulus."""
    assert sup_t(np.diag(np.arange(1.0, rows + 1)), df, 0.95, draws=40_000) == pytest.approx(table, abs=0.04)


def test_a_joint_p_is_never_zero() -> None:
    assert joint_test(np.array([1e6, 0.0]), np.eye(2), 5.0, draws=999) == pytest.approx(1 / 1000)


def test_a_band_is_as_wide_as_its_least_certain_row_asks() -> None:
    """Four clusters, two in each arm, estimate 0. Refits 1, -1, 1, -1: V1 = V0, df = 4 / (1 + 1) = 2.

    Refits 1, 0, 0, 0: only one arm varies, df = 1, two-sided 5% point 12.706.
    """
    est = refitted("ABCD", [0.0, 0.0], [[1, 1], [-1, 0], [1, 0], [-1, 0]])
    frame = est.to_frame(inference="jackknife")
    np.testing.assert_allclose(frame["df"], [2.0, 1.0], **CLOSE)
    wide = est.interval("simultaneous", inference="jackknife")["conf_high"].to_numpy() / frame["std_error"]
    assert (wide > 12.70).all()


def test_sums_of_rows_have_covariances_and_the_fewest_degrees_of_freedom() -> None:
    """4 + 9 + 2, 4 + 9 - 2, and 9 alone."""
    spread = Spread(np.array([[4.0, 1.0], [1.0, 9.0]]), np.array([3.0, 7.0]), ("", ""))
    se, df = spread.of_sums(np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 1.0]]))
    np.testing.assert_allclose(se**2, [15.0, 11.0, 9.0], **CLOSE)
    np.testing.assert_array_equal(df, [3.0, 3.0, 7.0])


def test_averages_weigh_by_adopters_and_leave_lost_rows_out() -> None:
    """Values 2 and 6 of 1 and 3 adopters: 20/4 = 5, alike 4. Without the second row 2, without the first 6."""
    values, masses = np.array([[2, 6], [2, np.nan], [np.nan, 6]]), np.array([[1.0, 3.0], [1.0, 0.0], [0.0, 3.0]])
    both = np.ones((2, 1), dtype=bool)
    mean, mass = Averaging(both, by_mass=True, total_mass=True)(values, masses)
    np.testing.assert_allclose(mean[:, 0], [5.0, 2.0, 6.0], **CLOSE)
    np.testing.assert_allclose(mass[:, 0], [4.0, 1.0, 3.0], **CLOSE)
    mean, mass = Averaging(both, by_mass=False, total_mass=False)(values, masses)
    np.testing.assert_allclose(mean[:, 0], [4.0, 2.0, 6.0], **CLOSE)
    np.testing.assert_allclose(mass[:, 0], [2.0, 1.0, 3.0], **CLOSE)


def test_a_contrast_is_lost_in_the_refits_that_lose_one_of_its_rows() -> None:
    reps = replicates("ABCD", [[1, 5], [2, np.nan], [3, 7], [4, 8]])
    np.testing.assert_array_equal(reps.map(np.array([[1.0, -1.0]])).values[:, 0], [-4, np.nan, -4, -4])
    np.testing.assert_array_equal(reps.map(np.array([[1.0, 0.0]])).values[:, 0], [1, 2, 3, 4])


def test_a_cluster_of_one_estimate_leaves_the_other_as_it_is() -> None:
    """10 without A, B, C, D: 11, 9, 12, 10. 3 without C, D, E, F: 5, 1, 2, 4. The difference is 7 in all."""
    one = refitted("ABCD", [10.0], [[11], [9], [12], [10]])
    two = refitted("CDEF", [3.0], [[5], [1], [2], [4]])
    both = ek.stack(one, two).contrast([1.0, -1.0], name="one less two").replicates
    found = dict(zip(both.names, both.values[:, 0], strict=True))
    assert found == {"A": 8, "B": 6, "C": 7, "D": 9, "E": 8, "F": 6}


def test_two_samples_share_the_clusters_that_they_have_in_common() -> None:
    """Cluster sums 1 + 2 (A), 3 + 4 (B) of the first; 5 + 1 (B), 2 (C) of the second: 9 + 49, 7 x 6, 36 + 4."""
    one = Estimate.from_influence([0.0], np.array([[1.0], [2], [3], [4]]), labels(1), ids=range(4),
                                  clusters=list("AABB"))  # fmt: skip
    two = Estimate.from_influence([0.0], np.array([[5.0], [1], [2]]), labels(1), ids=[2, 3, 4], clusters=list("BBC"))
    np.testing.assert_allclose(ek.stack(one, two).vcov(), [[58.0, 42.0], [42.0, 40.0]], **CLOSE)


@pytest.mark.parametrize(("exposed", "kind"), [(49, "jackknife"), (50, "analytic")])
def test_refits_are_used_below_fifty_clusters_in_an_arm(exposed: int, kind: str) -> None:
    mine = (np.arange(200) < exposed)[:, None]
    arms = Arms(mine, ~mine, np.ones(200, dtype=int))
    assert refitted("ABCD", [0.0], [[1], [2], [3], [4]], arms).resolve() == kind


def test_without_refits_a_small_arm_leaves_one_degree_of_freedom_less_than_its_clusters() -> None:
    mine = (np.arange(60) < 5)[:, None]
    made = Estimate.from_influence([1.0], np.ones((60, 1)), labels(1))
    est = Estimate(
        made.value, made.mass, made.labels, made.value_influence, arms=Arms(mine, ~mine, np.ones(60, dtype=int))
    )
    assert est.to_frame()["df"].tolist() == [4.0]


def test_periods_of_a_cohort_weigh_alike_and_cohorts_by_their_adopters() -> None:
    """Cohort 4: 2 of 1 adopter, then 6 of 3; cohort 5: 9 of 2; before the start 100. By cohort 4 and 9, of 2 and 2.

    All together (2 + 18 + 18) / 6; at the start (2 + 18) / 3, one period on 6.
    """
    frame = labels(4).assign(cohort=[4, 4, 5, 4], period=[4, 5, 5, 3], event_time=[0, 1, 0, -1])
    made = Estimate.from_influence([2.0, 6.0, 9.0, 100.0], np.zeros((2, 4)), frame)
    est = Estimate(made.value, np.array([1.0, 3.0, 2.0, 5.0]), frame, made.value_influence)
    by_cohort = est.aggregate("cohort")
    np.testing.assert_allclose((by_cohort.value, by_cohort.mass), ([4.0, 9.0], [2.0, 2.0]))
    np.testing.assert_allclose(est.aggregate("simple").value, [38 / 6])
    np.testing.assert_allclose(est.aggregate("event_time").value, [100.0, 20 / 3, 6.0])
    np.testing.assert_allclose(est.aggregate("period").value, [2.0, 36 / 5])


def test_bands_do_not_hang_on_which_vectors_span_equal_directions() -> None:
    """Rows that go together alike, and some that are each other's twins: rounding turns the vectors, not the band."""
    rng = np.random.default_rng(3)
    alike = np.kron(np.eye(3) + 0.4, np.ones((2, 2))) + np.diag([0.5, 0.5, 0.5, 0.5, 0, 0])
    other = alike * (1 + 1e-14 * (noise := rng.normal(size=alike.shape)) + 1e-14 * noise.T)
    one, two = (symmetric_root(correlation(v)) for v in (alike, other))
    assert np.allclose(one, two, atol=1e-6) and np.allclose(one @ one.T, correlation(alike), atol=1e-12)
    assert sup_t(alike, 2.0, 0.95) == pytest.approx(sup_t(other, 2.0, 0.95), rel=1e-6)
