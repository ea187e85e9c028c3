"""What is usually done with one series: the same columns with AR(1) errors by statsmodels. Shown beside, never judged:
with 24 to 60 periods their intervals leave out the truth up to five times as often as they say (benchmarks/README.md).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import statsmodels.api as sm

from evalkit.designs.one_place.series_noise import covariance

Errors = Literal["own", "GLSAR", "SARIMAX"]
ERRORS: tuple[Errors, ...] = ("own", "GLSAR", "SARIMAX")
ITERATIONS = 10


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
    (`SARIMAX` of order 1, 0, 0, normal intervals)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that did not settle is a fit that people report
        if errors == "GLSAR":
            fit = sm.GLSAR(y, columns, rho=1).iterative_fit(ITERATIONS)
            white = np.eye(len(y))[1:] - float(fit.model.rho[0]) * np.eye(len(y))[:-1]
            solve = np.linalg.pinv(white @ columns) @ white
            return Usual(np.asarray(fit.params), np.asarray(fit.cov_params()), float(fit.df_resid), solve)
        fit = sm.tsa.SARIMAX(y, columns, order=(1, 0, 0)).fit(disp=0)
    k = columns.shape[1]
    precision = np.linalg.inv(covariance(len(y), float(fit.params[k]), 0.0))
    inside = columns.T @ precision
    return Usual(np.asarray(fit.params[:k]), np.asarray(fit.cov_params())[:k, :k], np.inf,
                 np.linalg.solve(inside @ columns, inside))  # fmt: skip
