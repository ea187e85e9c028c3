"""What is usually done with one series, by statsmodels: the same columns with AR(1) errors, or about a level and slope
that wander. Shown beside, never judged: with 24 to 60 periods the first leave out the truth up to five times as often
as they say; the last keeps its word and finds half as much where noise is remembered (benchmarks/README.md).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from evalkit.designs.one_place.series_noise import covariance

Errors = Literal["own", "GLSAR", "SARIMAX", "UnobservedComponents"]
ERRORS: tuple[Errors, ...] = get_args(Errors)
ITERATIONS = 10
BEYOND = 1e-9
"""Share of a column's length that no constant and trend can fit, below which it is made of these."""


@dataclass(frozen=True, eq=False)
class Usual:
    """Coefficients (k,) of a series on columns (n, k), their covariance and degrees of freedom, and `solve` (k, n), the
    weight of each period in each."""

    coefficients: np.ndarray
    vcov: np.ndarray
    df: float
    solve: np.ndarray


def usual(errors: Errors, columns: np.ndarray, y: np.ndarray) -> Usual:
    """Iterated feasible least squares (Cochrane and Orcutt 1949; `GLSAR`, t intervals), or maximum likelihood
    (`SARIMAX` of order 1, 0, 0; `UnobservedComponents` with a local linear trend; normal intervals).

    The likelihood is climbed from what least squares leaves, in its own standard deviations: its top is the same one,
    and a search that starts far from it, or in millions, stops wherever it happens to be."""
    import statsmodels.api as sm  # a second to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that did not settle is a fit that people report
        if errors == "GLSAR":
            fit = sm.GLSAR(y, columns, rho=1).iterative_fit(ITERATIONS)
            white = np.eye(len(y))[1:] - float(fit.model.rho[0]) * np.eye(len(y))[:-1]
            solve = np.linalg.pinv(white @ columns) @ white
            return Usual(np.asarray(fit.params), np.asarray(fit.cov_params()), float(fit.df_resid), solve)
        line = np.linalg.lstsq(columns, y, rcond=None)[0]
        left = y - columns @ line
        scale = float(left.std()) or 1.0
        found = (_wandering if errors == "UnobservedComponents" else _recalled)(columns, left / scale)
    return Usual(line + scale * found.coefficients, scale**2 * found.vcov, found.df, found.solve)


def _recalled(columns: np.ndarray, y: np.ndarray) -> Usual:
    """Errors of which each recalls the last, by exact maximum likelihood. Columns as long as each other and at right
    angles, so that no direction is steeper than another; coefficients are those of `columns`."""
    import statsmodels.api as sm

    n, k = columns.shape
    square, turn = np.linalg.qr(columns)
    square, back = square * np.sqrt(n), np.linalg.inv(turn) * np.sqrt(n)
    fit = sm.tsa.SARIMAX(y, square, order=(1, 0, 0)).fit(disp=0, maxiter=500)
    precision = np.linalg.inv(covariance(n, float(fit.params[k]), 0.0))
    inside = columns.T @ precision
    vcov = back @ np.asarray(fit.cov_params())[:k, :k] @ back.T
    return Usual(back @ np.asarray(fit.params[:k]), vcov, np.inf, np.linalg.solve(inside @ columns, inside))


def _wandering(columns: np.ndarray, y: np.ndarray) -> Usual:
    """A level and a slope that each go on by steps of chance (Harvey 1989, Forecasting, Structural Time Series Models,
    section 2.3). What says nothing about where they began is a constant and a trend, so that generalised least squares
    on all columns under the steps' variances, by likelihood with coefficients as states, is the smoother's answer."""
    import statsmodels.api as sm

    n = len(y)
    line = np.column_stack([np.ones(n), np.arange(n)])
    beyond = columns - line @ np.linalg.lstsq(line, columns, rcond=None)[0]
    own = np.linalg.norm(beyond, axis=0) > BEYOND * np.linalg.norm(columns, axis=0)
    model = sm.tsa.UnobservedComponents(y, "local linear trend", exog=columns[:, own], mle_regression=False)
    fit = model.fit(disp=0)
    noise, level, slope = (float(v) for v in fit.params[:3])
    once = np.tril(np.ones((n, n)))
    twice = once @ once
    V = noise * np.eye(n) + level * once @ once.T + slope * twice @ twice.T
    inside = np.linalg.solve(V, columns).T
    vcov = np.linalg.inv(inside @ columns)
    solve = vcov @ inside
    return Usual(solve @ y, vcov, np.inf, solve)
