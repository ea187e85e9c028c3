"""Delete-one-cluster refits (CV3) and their degrees of freedom, in numbers small enough to be worked by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.inference.intervals import Spread, joined, std_errors
from evalkit.inference.replicates import Replicates, jackknife

LOST = np.nan
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def replicates(values: list[list[float]], exposed: list[str], comparison: list[str]) -> Replicates:
    """Five clusters A to E. values: a list of five refits a row; exposed, comparison: letters of the clusters a row."""
    names = np.array(list("ABCDE"))
    among = lambda letters: np.array([[name in row for row in letters] for name in names])  # noqa: E731
    made = np.array(values, dtype=float).T
    return Replicates(names, "site", made, np.where(np.isnan(made), 0.0, 1.0), among(exposed), among(comparison))


def test_five_clusters_two_of_them_exposed():
    """Estimate 10; refits 12, 7 (exposed A, B) and 11, 10, 8 (comparison C, D, E): shifts 2, -3 and 1, 0, -2.

    Sums of squares 13 and 5, 18 in all. Variance 4/5 of 18 = 14.4. V1 = 4/5 of 13 = 10.4, V0 = 4/5 of 5 = 4.
    df = 14.4^2 / (10.4^2 / (2 - 1) + 4^2 / (3 - 1)) = 207.36 / (108.16 + 8) = 207.36 / 116.16.
    """
    spread = jackknife(np.array([10.0]), replicates([[12, 7, 11, 10, 8]], ["AB"], ["CDE"]))
    np.testing.assert_allclose(spread.vcov, [[14.4]], **CLOSE)
    np.testing.assert_allclose(spread.df, [207.36 / 116.16], **CLOSE)
    assert spread.reason == ("",)


def test_three_exposed_and_one_comparison_of_five():
    """Estimate 1; refits 2, 1, 4 (exposed A, B, C) and 3 (comparison D); E does not serve, whatever its refit.

    G = 4. Shifts 1, 0, 3 and 2: 10 and 4, 14 in all. Variance 3/4 of 14 = 10.5. V1 = 7.5, V0 = 3.
    df = 10.5^2 / (7.5^2 / (3 - 1) + 3^2 / max(1 - 1, 1)) = 110.25 / (28.125 + 9) = 110.25 / 37.125.
    """
    for idle in (1.0, 99.0, LOST):
        spread = jackknife(np.array([1.0]), replicates([[2, 1, 4, 3, idle]], ["ABC"], ["D"]))
        np.testing.assert_allclose(spread.vcov, [[10.5]], **CLOSE)
        np.testing.assert_allclose(spread.df, [110.25 / 37.125], **CLOSE)


def test_a_cluster_in_both_arms_counts_as_exposed():
    """Shifts 1 (A), 2 (B: in both arms), 2 (C), 0 (D), 1 (E). Variance 4/5 of 10 = 8.

    V1 = 4/5 of (1 + 4) = 4 over 2 clusters, V0 = 4/5 of (4 + 0 + 1) = 4 over 3: df = 64 / (16 / 1 + 16 / 2) = 8/3.
    """
    spread = jackknife(np.array([0.0]), replicates([[1, 2, 2, 0, 1]], ["AB"], ["BCDE"]))
    np.testing.assert_allclose(spread.vcov, [[8.0]], **CLOSE)
    np.testing.assert_allclose(spread.df, [8 / 3], **CLOSE)


def test_two_rows_vary_together():
    """The rows of the first two tests: shifts (2, -3, 1, 0, -2) and (1, 0, 3, 2, none).

    Products 2, 0, 3, 0, 0 sum to 5; each row brings the root of its own factor: sqrt(4/5) sqrt(3/4) 5 = sqrt(15).
    """
    spread = jackknife(
        np.array([10.0, 1.0]), replicates([[12, 7, 11, 10, 8], [2, 1, 4, 3, 1]], ["AB", "ABC"], ["CDE", "D"])
    )
    np.testing.assert_allclose(spread.vcov, [[14.4, np.sqrt(15)], [np.sqrt(15), 10.5]], **CLOSE)
    np.testing.assert_allclose(spread.df, [207.36 / 116.16, 110.25 / 37.125], **CLOSE)


def test_a_row_lost_in_a_refit_has_no_variance_and_says_why():
    """Row 1 is lost without A, which it uses; row 2 is lost without E, which it does not use, and keeps its 10.5."""
    reps = replicates([[LOST, 7, 11, 10, 8], [2, 1, 4, 3, LOST]], ["AB", "ABC"], ["CDE", "D"])
    spread = jackknife(np.array([10.0, 1.0]), reps)
    np.testing.assert_allclose(spread.vcov, [[np.nan, np.nan], [np.nan, 10.5]], **CLOSE)
    np.testing.assert_allclose(spread.df, [np.nan, 110.25 / 37.125], **CLOSE)
    assert spread.reason == ("no interval: without A there is nothing left to compare", "")
    difference = jackknife(np.array([9.0]), reps.map(np.array([[1.0, -1.0]])))
    assert np.isnan(difference.vcov[0, 0]) and difference.reason == spread.reason[:1]


def test_refits_that_never_move_give_a_variance_of_zero_and_no_standard_error():
    spread = jackknife(np.array([10.0, 0.0]), replicates([[10] * 5, [0] * 5], ["AB", "AB"], ["CDE", "CDE"]))
    np.testing.assert_array_equal(spread.vcov, np.zeros((2, 2)))
    np.testing.assert_array_equal(spread.df, [1.0, 1.0])
    assert np.isnan(std_errors(spread.vcov)).all()
    assert np.isnan(std_errors(spread.vcov, np.array([10.0, 0.0]))).all()


def test_joined_rows_of_which_one_has_no_variance():
    """Own standard errors 3 and none; analytic variances 4 and 0: the first row is scaled to 9, the zeros stay."""
    parts = [Spread(np.array([[5.0]]), np.array([4.0]), ("",)), Spread(np.array([[0.0]]), np.array([1.0]), ("flat",))]
    both = joined(parts, np.array([3.0, np.nan]), np.diag([4.0, 0.0]))
    np.testing.assert_allclose(both.vcov, [[9.0, 0.0], [0.0, 0.0]], **CLOSE)
    assert both.df.tolist() == [4.0, 1.0] and both.reason == ("", "flat")


# ------------------------------------------------------------ through the public door

SITES = {"A": (2, 1), "B": (2, 2), "C": (3, 1), "D": (99, 1), "E": (99, 2)}
"""Site: first exposed month (99: never), people."""
OUTCOMES = {
    ("A", 0): (0, 1, 6, 8), ("B", 0): (1, 1, 4, 9), ("B", 1): (2, 3, 5, 5), ("C", 0): (1, 0, 2, 7),
    ("D", 0): (3, 4, 4, 6), ("E", 0): (0, 2, 1, 3), ("E", 1): (5, 5, 7, 8),
}  # fmt: skip


def study_of(outcomes: dict[tuple[str, int], tuple[int, ...]]) -> ek.Study:
    rows = [
        {"person": f"{site}{i}", "site": site, "month": month, "a": int(month >= SITES[site][0]), "y": float(y)}
        for (site, i), line in outcomes.items()
        for month, y in enumerate(line)
    ]
    frame = pd.DataFrame(rows)
    return ek.Study(frame, unit="person", period="month", cluster="site", components=["a"], outcome="y")


def mean(numbers: list[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0)) / len(numbers)


def effect(left: dict[tuple[str, int], tuple[int, ...]], cohort: int, month: int) -> tuple[int, Fraction]:
    """How many adopters, and their mean change less that of people not yet exposed; (0, 0) where either is missing."""
    change = {key: Fraction(line[month] - line[cohort - 1]) for key, line in left.items()}
    adopters = [c for (site, _), c in change.items() if SITES[site][0] == cohort]
    others = [c for (site, _), c in change.items() if SITES[site][0] > month]
    return (len(adopters), mean(adopters) - mean(others)) if adopters and others else (0, Fraction(0))


def simple_average(left: dict[tuple[str, int], tuple[int, ...]]) -> Fraction:
    """Every adopter and month since its start counts once."""
    rows = [effect(left, *row) for row in ((2, 2), (2, 3), (3, 3))]
    return sum(n * value for n, value in rows) / sum(n for n, _ in rows)


def without(site: str) -> dict[tuple[str, int], tuple[int, ...]]:
    return {key: line for key, line in OUTCOMES.items() if key[0] != site}


def test_a_rollout_of_five_sites_by_plain_refits():
    """All five sites: month 2 of cohort 2: mean(5, 3, 2) - mean(2, 0, -1, 2) = 10/3 - 3/4 = 31/12, of 3 adopters;
    month 3 of cohort 2: mean(7, 8, 2) - mean(2, 1, 3) = 17/3 - 2 = 11/3, of 3; month 3 of cohort 3: 5 - mean(2, 2, 1)
    = 10/3, of 1. Average (3 x 31/12 + 3 x 11/3 + 10/3) / 7 = (93 + 132 + 40) / 84 = 265/84.

    Without C there is no cohort 3, and C is missed among those not yet exposed in month 2:
    (3 x (10/3 - 1/3) + 3 x 11/3) / 6 = 20/6. Exposed: A, B and C (which is a comparison, too); comparison only: D, E.
    """
    assert simple_average(OUTCOMES) == Fraction(265, 84) and simple_average(without("C")) == Fraction(20, 6)
    squares = {site: (simple_average(without(site)) - Fraction(265, 84)) ** 2 for site in SITES}
    v1 = Fraction(4, 5) * (squares["A"] + squares["B"] + squares["C"])
    v0 = Fraction(4, 5) * (squares["D"] + squares["E"])
    df = (v1 + v0) ** 2 / (v1**2 / (3 - 1) + v0**2 / (2 - 1))
    est = ek.StaggeredRollout()(study_of(OUTCOMES), "a").aggregate("simple").average()
    got = est.to_frame(inference="jackknife").iloc[0]
    np.testing.assert_allclose(got["estimate"], 265 / 84, **CLOSE)
    np.testing.assert_allclose(got["std_error"], np.sqrt(float(v1 + v0)), **CLOSE)
    np.testing.assert_allclose(got["df"], float(df), **CLOSE)
    assert (got["clusters_exposed"], got["clusters_comparison"], got["reason"]) == (3, 3, "")


def test_a_row_that_rests_on_one_site_has_no_interval_but_its_average_has():
    rows = ek.StaggeredRollout()(study_of(OUTCOMES), "a")
    frame = rows.to_frame(inference="jackknife").set_index(["cohort", "period"])
    assert frame.loc[(3, 3), "reason"] == "no interval: without C there is nothing left to compare"
    assert np.isnan(frame.loc[(3, 3), ["std_error", "conf_low", "conf_high", "df", "p_value"]].astype(float)).all()
    assert np.isfinite(frame.loc[[(2, 2), (2, 3)], "std_error"]).all()
    at = list(frame.index).index((3, 3))
    np.testing.assert_array_equal(np.isnan(rows.replicates.values[:, at]), [False, False, True, False, False])
    np.testing.assert_array_equal(rows.replicates.masses[:, at], [1, 1, 0, 1, 1])


def test_an_event_time_that_a_refit_loses_leaves_the_average_of_event_times(monkeypatch):
    """B starts in month 3 instead: only A is seen a month after its start, and without A the average is of month 0."""
    monkeypatch.setitem(SITES, "B", (3, 2))

    def by_event_time(left: dict[tuple[str, int], tuple[int, ...]]) -> Fraction:
        means = []
        for since in (0, 1):
            rows = [effect(left, cohort, cohort + since) for cohort in (2, 3) if cohort + since < 4]
            there = [(number, value) for number, value in rows if number]
            if there:
                means.append(sum(n * v for n, v in there) / sum(n for n, _ in there))
        return mean(means)

    squares = {site: (by_event_time(without(site)) - by_event_time(OUTCOMES)) ** 2 for site in SITES}
    assert len({site for site in squares if squares[site]}) == 5
    est = ek.StaggeredRollout()(study_of(OUTCOMES), "a").aggregate("event_time").average()
    got = est.to_frame(inference="jackknife").iloc[0]
    np.testing.assert_allclose(got["estimate"], float(by_event_time(OUTCOMES)), **CLOSE)
    np.testing.assert_allclose(got["std_error"], np.sqrt(float(Fraction(4, 5) * sum(squares.values()))), **CLOSE)


def test_an_effect_that_no_refit_moves_has_no_interval():
    """Everybody adds exactly 2 when exposed: every refit gives 2."""
    flat = {(s, i): tuple(2 * (m >= start) for m in range(4)) for s, (start, n) in SITES.items() for i in range(n)}
    est = ek.StaggeredRollout()(study_of(flat), "a").aggregate("simple").average()
    got = est.to_frame(inference="jackknife").iloc[0]
    assert got["estimate"] == pytest.approx(2.0, abs=1e-12) and np.isnan(got["std_error"]) and got["df"] == 1.0
    assert got["reason"] == "no interval: no variation to learn from"
    band = est.interval("simultaneous", inference="jackknife")
    assert np.isnan(band[["conf_low", "conf_high"]].to_numpy()).all()
