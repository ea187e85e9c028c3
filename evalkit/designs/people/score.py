"""The propensity score: a logistic regression by iterated weighted least squares."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, special

from evalkit.errors import EvalkitWarning, NotIdentifiedError
from evalkit.show.words import of_people

_MOST = 60
_TIGHT = 1e-12
_FAR = 30.0
_LARGE = 20_000
_STRIDE = 10.0


@dataclass(frozen=True, eq=False)
class Score:
    """A fitted propensity score.

    logit, value: (m,) linear predictor and probability. coef: (q + 1,) intercept first, in the
    covariates' own units; 0 for columns that repeat others. kept: columns of [1, x] in the fit.
    """

    logit: np.ndarray
    value: np.ndarray
    coef: np.ndarray
    kept: np.ndarray

    def over(self, x: np.ndarray) -> Score:
        """The same score for other people (m, q)."""
        logit = _linear(x, self.coef)
        return replace(self, logit=logit, value=special.expit(logit))


def independent(design: np.ndarray) -> np.ndarray:
    """Positions of columns that do not repeat those before them (pivoted from left to right)."""
    return independent_columns(design.T @ design)


def independent_columns(gram: np.ndarray) -> np.ndarray:
    """The same from cross-products."""
    scale = np.sqrt(np.diag(gram))
    gram = gram / np.outer(np.where(scale > 0, scale, 1.0), np.where(scale > 0, scale, 1.0))
    kept: list[int] = []
    for j in range(len(gram)):
        if scale[j] == 0:
            continue
        inside = gram[np.ix_(kept, kept)]
        rest = 1.0 - (gram[j, kept] @ linalg.lstsq(inside, gram[kept, j])[0] if kept else 0.0)
        if rest > 1e-9:
            kept.append(j)
    return np.array(kept, dtype=np.intp)


def fit_score(x: np.ndarray, exposed: np.ndarray, weight: np.ndarray | None = None) -> Score:
    """Maximum likelihood logit of being exposed on covariates (m, q), as R's `glm`; weight: (m,) or None.

    Equal rows get exactly equal scores, so ties are ties. Raises `NotIdentifiedError` where the
    covariates tell the two arms apart perfectly; warns where they nearly do.
    """
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.ones((len(x), x.shape[1] + 1))
    np.divide(x - centre, scale, out=design[:, 1:])
    width = design.shape[1]
    kept = independent(design)
    design = design if len(kept) == width else design[:, kept]
    beta = _maximise(design, exposed.astype(float), weight)
    coef = np.zeros(width)
    coef[kept] = beta
    slope = coef[1:] / scale
    coef = np.concatenate([[coef[0] - slope @ centre], slope])
    logit = _linear(x, coef)
    _check_overlap(logit, exposed)
    return Score(logit, special.expit(logit), coef, kept)


def _linear(x: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Column by column: a matrix product may round equal rows differently."""
    out = np.full(len(x), coef[0])
    for j in range(x.shape[1]):
        out += x[:, j] * coef[j + 1]
    return out


def _maximise(design: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Newton's method; large data start from the answer of every twentieth person."""
    start = np.zeros(design.shape[1])
    start[0] = special.logit(np.average(y, weights=weight))
    if len(y) > _LARGE and 0 < y[::20].sum() < len(y[::20]):
        thin = newton(design[::20], y[::20], start, weight=None if weight is None else weight[::20])
        start = thin if np.isfinite(thin).all() and np.abs(thin).max() < _FAR else start
    return newton(design, y, start, weight=weight)


def newton(
    design: np.ndarray, y: np.ndarray, beta: np.ndarray, tight: float = _TIGHT, weight: np.ndarray | None = None
) -> np.ndarray:
    """Logit coefficients from a starting point; stops when a step is below `tight`. weight: (m,) or None."""
    eta = design @ beta
    for _ in range(_MOST):
        p = special.expit(eta)
        w = p * (1.0 - p)
        gap = y - p
        if weight is not None:
            w, gap = weight * w, weight * gap
        if np.abs(eta).max() > 10 * _FAR or w.max() < 1e-300:
            break
        gram = (design * w[:, None]).T @ design
        step = linalg.lstsq(gram, gap @ design)[0]
        move = design @ step
        damp = min(1.0, _STRIDE / max(np.abs(move).max(), 1e-300))  # a full step may leave the region of convergence
        beta, eta = beta + damp * step, eta + damp * move
        if np.abs(step).max() <= tight * (1.0 + np.abs(beta).max()):
            break
    return beta


def _check_overlap(logit: np.ndarray, exposed: np.ndarray) -> None:
    if logit[exposed].min() > logit[~exposed].max():
        raise NotIdentifiedError(
            "The covariates tell exposed and comparison people apart perfectly, so nobody can stand for anybody. "
            "Leave out the covariate that decides who was exposed, or compare other people."
        )
    extreme = int((np.abs(logit) > _FAR).sum())
    if extreme:
        warnings.warn(
            f"The propensity score of {of_people(extreme)} is all but 0 or 1: a covariate nearly decides who was "
            "exposed. These people have nobody like them in the other arm.",
            EvalkitWarning,
            stacklevel=2,
        )
