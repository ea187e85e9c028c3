"""Two groups, changes over time, covariates: ATT by outcome regression, weighting, or both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from evalkit.designs.logit import maximise

CLOSE = 1e-10
LARGEST = 1 - 1e-6
TRIM = 0.995


@dataclass(frozen=True, eq=False)
class Logit:
    """score: (n,) fitted probabilities. lean: (n, q) influence on the coefficients. reason: why it
    could not be fitted, "" when it was."""

    score: np.ndarray
    lean: np.ndarray
    reason: str = ""


def fit_logit(d: np.ndarray, x: np.ndarray, w: np.ndarray) -> Logit:
    """Weighted maximum likelihood of d (n,) on x (n, q); unit i has the influence H^-1 x_i w_i (d_i - p_i)."""
    beta = maximise(x, d, w, CLOSE)
    p = expit(x @ beta)
    hessian = (x * (w * p * (1 - p))[:, None]).T @ x
    if np.linalg.cond(hessian) > 1e14:
        return _failed(x, "the covariates separate the two groups or depend on each other")
    lean = np.linalg.solve(hessian, (x * (w * (d - p))[:, None]).T).T
    if np.abs(lean.sum(axis=0)).max() > CLOSE * (1 + np.abs(beta).max()):  # the step that Newton would take next
        return _failed(x, "the covariates separate the two groups perfectly")
    return Logit(np.minimum(p, LARGEST), lean)


def _failed(x: np.ndarray, reason: str) -> Logit:
    return Logit(np.full(len(x), np.nan), np.full(x.shape, np.nan), reason)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """att: (m,) NaN with a reason where it cannot be given. rows: (n, m) contributions."""

    att: np.ndarray
    rows: np.ndarray
    reason: str = ""


def two_group(delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, how: str) -> Adjusted:
    """ATT of d = 1 on changes `delta` (n, m) given x (n, q, with a constant) and weights (n,)."""
    d = d.astype(float)
    if how in ("reg", "dr") and _rank(x[d == 0], w[d == 0]) < x.shape[1]:
        return _none(delta, "the covariates depend on each other, or are too many, among the comparison units")
    score = fit_logit(d, x, w) if how in ("ipw", "dr") else None
    if score is not None and score.reason:
        return _none(delta, score.reason)
    if score is not None and not ((score.score < TRIM) & (d == 0)).any():
        return _none(delta, "no comparison unit is like the adopters in the covariates")
    outcome = _regression(delta, d, x, w) if how in ("reg", "dr") else None
    return _combine(delta, d, x, w, score, outcome)


def _rank(x: np.ndarray, w: np.ndarray) -> int:
    used = x[w > 0]
    if not len(used):
        return 0
    scaled = used / np.maximum(np.abs(used).max(axis=0), 1e-300)
    return int(np.linalg.matrix_rank(scaled.T @ scaled, tol=1e-10 * len(used)))


def _none(delta: np.ndarray, reason: str) -> Adjusted:
    return Adjusted(np.full(delta.shape[1], np.nan), np.full(delta.shape, np.nan), reason)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Outcome regression among the comparison units: residuals of all (n, m), and (q, q) inverse."""

    residual: np.ndarray
    inverse: np.ndarray


def _regression(delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray) -> _Fitted:
    wx = x * (w * (1 - d))[:, None]
    inverse = np.linalg.inv(wx.T @ x)
    beta = inverse @ (wx.T @ delta)
    return _Fitted(delta - x @ beta, inverse)


def _combine(
    delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, score: Logit | None, outcome: _Fitted | None
) -> Adjusted:
    """Contributions are each unit's own change times one number, and a product of few columns: those of the two
    means, of the score, and (inside `own`) of the regression."""
    left = delta if outcome is None else outcome.residual
    treat = w * d / (w @ d)
    att = treat @ left
    own, lean, fall = treat, [treat[:, None]], [-att[None]]
    on_beta = x.T @ treat
    if score is not None:
        kept = (score.score < TRIM) | (d == 1)
        odds = np.where(d == 0, kept * w * score.score / (1 - score.score), 0.0)
        odds /= odds.sum()
        centre = odds @ left
        slope = (x * odds[:, None]).T @ left - np.outer(x.T @ odds, centre)
        own = own - odds
        lean, fall = [*lean, odds[:, None], score.lean], [*fall, centre[None], -slope]
        on_beta = on_beta - x.T @ odds
        att = att - centre
    if outcome is not None:
        own = own - (x * (w * (1 - d))[:, None]) @ (outcome.inverse @ on_beta)
    rows = np.hstack(lean) @ np.vstack(fall)
    rows += left * own[:, None]
    return Adjusted(att, rows)
