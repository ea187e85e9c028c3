"""Wild cluster bootstrap: equal to brute force, right size, weights and edges."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.inference.regression import Regression
from evalkit.inference.wild import _WEBB, wild_bootstrap

DATA = Path(__file__).parents[1] / "reference" / "data"
REF = json.loads((DATA / "few-clusters-reference.json").read_text())


def panel_case(weights: bool, absorb: bool) -> tuple[Regression, np.ndarray]:
    P = pd.read_csv(DATA / "few-clusters-panel.csv")
    sites = [] if absorb else [pd.get_dummies(P["site"]).to_numpy(float)]
    X = np.column_stack([P["treat"], pd.get_dummies(P["period"]).to_numpy(float), *sites])
    nested, w = (P["site"] if absorb else None), (P["n"] if weights else None)
    return Regression(X, P["y"], P["site"], weights=w, nested=nested), np.eye(X.shape[1])[0]


def people_case(weights: bool) -> tuple[Regression, np.ndarray]:
    Q = pd.read_csv(DATA / "few-clusters-people.csv")
    X = np.column_stack([Q[["comp", "x"]], np.ones(len(Q))])
    return Regression(X, Q["y"], Q["site"], weights=Q["w"] if weights else None), np.eye(3)[0]


@pytest.mark.parametrize(
    ("name", "key", "case"),
    [
        ("twfe", "wild_bootstrap", panel_case(False, False)),
        ("twfe", "wild_bootstrap", panel_case(False, True)),
        ("twfe_weighted", "wild_bootstrap", panel_case(True, False)),
        ("people", "wild_bootstrap_comp", people_case(False)),
        ("people_weighted", "wild_bootstrap_comp", people_case(True)),
    ],
)
def test_all_signs_equal_the_reference(name: str, key: str, case: tuple[Regression, np.ndarray]) -> None:
    got, want = wild_bootstrap(*case), REF[name][key]
    assert got.enumerated and got.draws == want["draws"]
    assert got.t == pytest.approx(want["t"], rel=1e-9)
    assert got.p_value == want["p_two_sided"]
    assert got.p_equal_tailed == want["p_equal_tailed"]


def small(rng: np.random.Generator, G: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    cluster = np.repeat(np.arange(G), rng.integers(3, 7, G))
    X = np.column_stack([(cluster < 2) * 1.0, rng.normal(size=len(cluster)), np.ones(len(cluster))])
    y = X @ [0.3, 0.5, 1] + rng.normal(size=G)[cluster] + rng.normal(size=len(cluster))
    return X, y, cluster, rng.uniform(0.5, 2, len(cluster))


def brute_t(X: np.ndarray, y: np.ndarray, cluster: np.ndarray, w: np.ndarray, c: np.ndarray, null: float) -> float:
    """t with the CR0 standard error, refitted from rows."""
    M = np.linalg.inv(X.T @ (X * w[:, None]))
    b = M @ X.T @ (w * y)
    e = y - X @ b
    sums = [c @ M @ X[cluster == g].T @ (w * e)[cluster == g] for g in np.unique(cluster)]
    return float((c @ b - null) / np.sqrt(np.sum(np.square(sums))))


@pytest.mark.parametrize("null", [0.0, 0.7])
def test_scores_equal_refits(rng: np.random.Generator, null: float) -> None:
    X, y, cluster, w = small(rng)
    c = np.array([1.0, -0.5, 0.0])
    M = np.linalg.inv(X.T @ (X * w[:, None]))
    b = M @ X.T @ (w * y)
    restricted = b - M @ c * (c @ b - null) / (c @ M @ c)
    fitted = X @ restricted
    t = brute_t(X, y, cluster, w, c, null)
    drawn = [
        brute_t(X, fitted + np.array(v)[cluster] * (y - fitted), cluster, w, c, null)
        for v in product((1, -1), repeat=5)
    ]
    got = wild_bootstrap(Regression(X, y, cluster, weights=w), c, null, weights="rademacher")
    np.testing.assert_allclose(np.sort(got.moments.t(got.estimate - null)), np.sort(drawn), rtol=1e-8)
    assert got.t == pytest.approx(t)
    assert got.p_value == np.mean(np.abs(drawn) >= abs(t) - 1e-10)
    moved = wild_bootstrap(Regression(X, y, cluster, weights=w), c, 0.0, weights="rademacher")
    assert moved.p(null) == pytest.approx(got.p_value)


def test_webb_draws_equal_refits(rng: np.random.Generator) -> None:
    X, y, cluster, w = small(rng)
    c = np.eye(3)[0]
    got = wild_bootstrap(Regression(X, y, cluster, weights=w), c, draws=199, seed=4)
    assert got.weights == "webb" and not got.enumerated
    v = _WEBB[np.random.default_rng(4).integers(0, 6, (199, 5))]
    X0 = X[:, 1:]
    fitted = X0 @ np.linalg.solve(X0.T @ (X0 * w[:, None]), X0.T @ (w * y))
    drawn = [brute_t(X, fitted + row[cluster] * (y - fitted), cluster, w, c, 0.0) for row in v]
    t = brute_t(X, y, cluster, w, c, 0.0)
    assert got.p_value == pytest.approx((1 + np.sum(np.abs(drawn) >= abs(t) - 1e-10)) / 200)


def test_interval_ends_where_the_test_rejects() -> None:
    r, c = panel_case(False, True)
    got = wild_bootstrap(r, c)
    interval = got.interval(0.9)
    step = 1e-6 * got.std_error
    for end, side in ((interval.low, -1), (interval.high, 1)):
        assert got.p(end + side * step) <= 0.1 + 1e-12 < got.p(end - side * step)
    assert interval.low < got.estimate == interval.value < interval.high
    assert "10 clusters, 1024 all rademacher draws" in interval.provenance
    wide = got.interval(0.95)
    assert wide.low <= interval.low and wide.high >= interval.high
    # p at zero is .047: the 95% interval leaves zero out, the 96% one does not.
    assert wide.low > 0 > got.interval(0.96).low


def test_an_end_that_no_value_reaches_is_infinite(rng: np.random.Generator) -> None:
    X, y, cluster, w = small(rng, G=4)
    got = wild_bootstrap(Regression(X, y, cluster, weights=w), np.eye(3)[0], weights="rademacher")
    assert got.draws == 16
    assert got.interval(0.95).high == np.inf and got.interval(0.95).low == -np.inf


def test_webb_weights_have_mean_zero_and_variance_one() -> None:
    assert _WEBB.mean() == pytest.approx(0) and (_WEBB**2).mean() == pytest.approx(1)
    assert (_WEBB**4).mean() == pytest.approx(7 / 6)


def test_seed_decides_and_signs_agree_with_webb() -> None:
    r, c = people_case(False)
    one, same, other = (wild_bootstrap(r, c, draws=999, weights="webb", seed=s).p_value for s in (1, 1, 2))
    assert one == same != other
    assert one == pytest.approx(REF["people"]["wild_bootstrap_comp"]["p_two_sided"], abs=0.1)


def test_size_is_near_nominal_where_normal_quantiles_are_not(rng: np.random.Generator) -> None:
    """Nine clusters, four exposed, effect zero: CR0 with normal quantiles rejects too often."""
    cluster = np.repeat(np.arange(9), 6)
    X = np.column_stack([(cluster < 4) * 1.0, np.ones(len(cluster))])
    wild, naive, trials = 0, 0, 400
    for _ in range(trials):
        y = rng.normal(size=9)[cluster] + rng.normal(size=len(cluster))
        got = wild_bootstrap(Regression(X, y, cluster), np.array([1.0, 0.0]), draws=512)
        wild += got.p_value <= 0.05
        naive += abs(got.t) > 1.96
    assert 0.02 <= wild / trials <= 0.085
    assert naive / trials > 0.1


def test_what_makes_no_sense_is_refused(rng: np.random.Generator) -> None:
    X, y, cluster, _ = small(rng)
    r = Regression(np.column_stack([X, X[:, 0]]), y, cluster)
    with pytest.raises(NotIdentifiedError, match="not identified"):
        wild_bootstrap(r, np.array([1.0, 0, 0, 0]))
    with pytest.raises(OptionError, match="4 weights"):
        wild_bootstrap(r, np.array([1.0, 0]))
    with pytest.raises(OptionError, match="mammen"):
        wild_bootstrap(r, np.eye(4)[1], weights="mammen")
    assert np.isfinite(wild_bootstrap(r, np.array([0.5, 0, 0, 0.5])).p_value)
