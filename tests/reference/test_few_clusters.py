"""Covariances, degrees of freedom and wild bootstrap with few clusters equal R's clubSandwich and enumeration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from evalkit.errors import OptionError
from evalkit.inference.regression import KINDS, Regression, cluster_covariance

DATA = Path(__file__).parent / "data"
REF = json.loads((DATA / "few-clusters-reference.json").read_text())
PANEL = pd.read_csv(DATA / "few-clusters-panel.csv")
PEOPLE = pd.read_csv(DATA / "few-clusters-people.csv")
EVENTS = ["lead2", "lag0", "lag1", "lag2"]


def dummies(column: str) -> np.ndarray:
    return pd.get_dummies(PANEL[column]).to_numpy(float)


def panel_regression(columns: list[str], absorb: bool, weights: str | None = None, thin: bool = False) -> Regression:
    effects = [dummies("period")] if absorb else [dummies("site"), dummies("period")]
    X = np.column_stack([PANEL[columns], *effects])
    return Regression(
        sparse.csr_matrix(X) if thin else X, PANEL["y"], PANEL["site"],
        weights=None if weights is None else PANEL[weights], nested=PANEL["site"] if absorb else None,
    )  # fmt: skip


def people_regression(columns: list[str], weights: str | None = None) -> Regression:
    X = np.column_stack([PEOPLE[columns], np.ones(len(PEOPLE))])
    return Regression(X, PEOPLE["y"], PEOPLE["site"], weights=None if weights is None else PEOPLE[weights])


def logit_regression() -> Regression:
    """The last weighted step of the logit, on the scale of the outcome."""
    X, y = np.column_stack([PEOPLE[["comp", "x"]], np.ones(len(PEOPLE))]), PEOPLE["housed"].to_numpy(float)
    b = np.zeros(3)
    for _ in range(30):
        mu = 1 / (1 + np.exp(-X @ b))
        v = mu * (1 - mu)
        z = X @ b + (y - mu) / v
        b = np.linalg.solve(X.T @ (X * v[:, None]), X.T @ (v * z))
    return Regression(v[:, None] * X, v * z, PEOPLE["site"], weights=1 / v, variance=v)


CASES = {
    "twfe, columns": ("twfe", ["treat"], lambda: panel_regression(["treat"], absorb=False)),
    "twfe, taken out": ("twfe", ["treat"], lambda: panel_regression(["treat"], absorb=True)),
    "twfe, plm": ("twfe_absorbed_plm", ["treat"], lambda: panel_regression(["treat"], absorb=True)),
    "twfe, weights": ("twfe_weighted", ["treat"], lambda: panel_regression(["treat"], False, "n")),
    "twfe, weights, sparse": ("twfe_weighted", ["treat"], lambda: panel_regression(["treat"], False, "n", True)),
    "event, columns": ("event", EVENTS, lambda: panel_regression(EVENTS, absorb=False)),
    "event, taken out": ("event", EVENTS, lambda: panel_regression(EVENTS, absorb=True, thin=True)),
    "people": ("people", ["comp", "x"], lambda: people_regression(["comp", "x"])),
    "people, weights": ("people_weighted", ["comp", "x"], lambda: people_regression(["comp", "x"], "w")),
    "people, means": ("people_means", ["comp"], lambda: people_regression(["comp"])),
    "people, logit": ("people_logit", ["comp", "x"], logit_regression),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_covariances_and_degrees_of_freedom_equal_clubsandwich(case: str, kind: str) -> None:
    name, terms, make = CASES[case]
    # R's glm stops when the deviance changes by 1e-8 and keeps the weights of the step before.
    close = 5e-6 if "logit" in case else 1e-7
    r = make()
    got = cluster_covariance(r, kind, np.eye(r.n_columns)[: len(terms)]).to_frame()
    for j, term in enumerate(terms):
        want = REF[name]["terms"][term]
        assert got["estimate"][j] == pytest.approx(want["est"], rel=1e-9)
        if "se" not in want.get(kind, {}):
            if kind == "CR1p":
                assert np.isnan(got["std_error"][j])
            continue
        pairs = {"std_error": "se", "df": "df_satterthwaite", "p_value": "p_satterthwaite"}
        pairs |= {"conf_low": "ci_low", "conf_high": "ci_high"} if "ci_low" in want[kind] else {}
        for mine, theirs in pairs.items():
            assert got[mine][j] == pytest.approx(want[kind][theirs], rel=close), mine


def test_units_taken_out_equal_a_column_for_each_with_weights(rng: np.random.Generator) -> None:
    units, periods = np.repeat(np.arange(24), 5), np.tile(np.arange(5), 24)
    keep = rng.random(120) < 0.9
    units, periods = units[keep], periods[keep]
    cluster, w = units // 4, rng.uniform(0.5, 2, 24)[units]
    X = np.column_stack([rng.normal(size=(len(units), 2)), np.eye(5)[periods]])
    y = rng.normal(size=len(units))
    taken = Regression(X, y, cluster, weights=w, nested=units)
    columns = Regression(np.hstack([X, np.eye(24)[units]]), y, cluster, weights=w)
    C = np.array([[1.0, 0, 0, 0, 0, 0, 0], [1.0, -1, 0, 0, 0, 0, 0]])
    for kind in KINDS:
        a = cluster_covariance(taken, kind, C)
        b = cluster_covariance(columns, kind, np.hstack([C, np.zeros((2, 24))]))
        np.testing.assert_allclose(a.vcov, b.vcov, rtol=1e-9)
        np.testing.assert_allclose(a.df, b.df, rtol=1e-9)


def test_cr2_is_unbiased_where_cr0_is_not(rng: np.random.Generator) -> None:
    """Wrong-formula rejection: with independent errors of variance one, CR2's mean is the true variance."""
    cluster = np.repeat(np.arange(6), [12, 3, 6, 2, 9, 4])
    X = np.column_stack([np.isin(cluster, [1, 4]).astype(float), np.ones(len(cluster))])
    truth = np.linalg.inv(X.T @ X)[0, 0]
    mean = {}
    for kind in ("CR0", "CR2"):
        draws = [
            cluster_covariance(Regression(X, rng.normal(size=len(cluster)), cluster), kind).vcov[0, 0]
            for _ in range(600)
        ]
        mean[kind] = np.mean(draws) / truth
    assert mean["CR2"] == pytest.approx(1, abs=0.12)
    assert mean["CR0"] < 0.8


def test_what_is_not_identified_has_no_number() -> None:
    X = np.column_stack([PEOPLE["comp"], PEOPLE["comp"], np.ones(len(PEOPLE))])
    r = Regression(X, PEOPLE["y"], PEOPLE["site"])
    got = cluster_covariance(r, "CR2", np.array([[1.0, 0, 0], [1, 1, 0]])).to_frame()
    assert got.iloc[0].isna().all()
    want = REF["people_means"]["terms"]["comp"]
    assert got["estimate"][1] == pytest.approx(want["est"])
    assert got["std_error"][1] == pytest.approx(want["CR2"]["se"])
    assert got["df"][1] == pytest.approx(want["CR2"]["df_satterthwaite"])


def test_every_problem_is_listed_at_once() -> None:
    y = np.array([1.0, np.nan, 2, 3])
    with pytest.raises(OptionError, match=r"(?s)2 problems.*row 1.*weights must be positive.*rows 0, 3"):
        Regression(np.ones((4, 1)), y, [0, 0, 1, 1], weights=[0, 1, 1, -1])
    with pytest.raises(OptionError, match=r"(?s)nested effects reach over.*weights vary"):
        Regression(np.ones((4, 1)), np.ones(4), [0, 0, 1, 1], weights=[1, 2, 1, 1], nested=[0, 0, 0, 1])
    with pytest.raises(OptionError, match="two clusters"):
        cluster_covariance(Regression(np.ones((3, 1)), np.ones(3), [0, 0, 0]))
