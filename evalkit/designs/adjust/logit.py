"""Logistic regression by Newton steps: the propensity score and its contributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

STEPS = 50
CLOSE = 1e-10
LARGEST = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Logit:
    """score: (n,) fitted probabilities. lean: (n, q) contributions to the coefficients. reason: why it
    could not be fitted, "" when it was."""

    score: np.ndarray
    lean: np.ndarray
    reason: str = ""


def fit_logit(d: np.ndarray, x: np.ndarray, w: np.ndarray) -> Logit:
    """Weighted maximum likelihood of d (n,) on x (n, q); unit i contributes H^-1 x_i w_i (d_i - p_i)."""
    beta = np.zeros(x.shape[1])
    p = np.full(len(d), np.average(d, weights=w))
    hessian = np.eye(x.shape[1])
    for _ in range(STEPS):
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x
        try:
            step = np.linalg.solve(hessian, x.T @ (w * (d - p)))
        except np.linalg.LinAlgError:
            return _failed(d, x, "the covariates separate the two groups or depend on each other")
        beta = beta + step
        p = expit(x @ beta)
        if np.abs(step).max() < CLOSE * (1 + np.abs(beta).max()):
            break
    else:
        return _failed(d, x, "the covariates separate the two groups perfectly")
    hessian = (x * (w * p * (1 - p))[:, None]).T @ x
    if np.linalg.cond(hessian) > 1e14:
        return _failed(d, x, "the covariates separate the two groups or depend on each other")
    lean = np.linalg.solve(hessian, (x * (w * (d - p))[:, None]).T).T
    return Logit(np.minimum(p, LARGEST), lean)


def _failed(d: np.ndarray, x: np.ndarray, reason: str) -> Logit:
    return Logit(np.full(len(d), np.nan), np.full(x.shape, np.nan), reason)
