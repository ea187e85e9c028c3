"""Doubly robust estimates: outcome models corrected by the score, cross-fitted (Chernozhukov et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.designs.logit import independent_columns, newton
from evalkit.designs.people.people import People
from evalkit.designs.people.score import fit_score, learn, too_sure
from evalkit.designs.people.weighting import Weighed
from evalkit.errors import NotIdentifiedError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class Models:
    """Models of the score and the outcome: scikit-learn estimators, or None for logit and least squares by arm."""

    propensity: BaseEstimator | None = None
    outcome: BaseEstimator | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Splits:
    """folds: 1 for none. repeats of the split; groups: (m,) people who stay in one fold together."""

    folds: int
    repeats: int
    seed: int
    groups: np.ndarray | None = None


def aipw(y: np.ndarray, people: People, estimand: str, models: Models, splits: Splits) -> Weighed:
    """Augmented inverse probability weighting; the median over repeated splits.

    ATT: psi = [t (y - m0) - (1 - t) e/(1 - e) (y - m0)] / mean(t), contribution (psi - t ATT / mean(t)) / n. The
    study's weights go into every model and every mean.
    NaN with its reason where scores are 0 or 1.
    The variance adds each split's distance from the median (median of s^2 + (theta - median)^2).
    """
    score = fit_score(people.x, people.exposed, people.weight)
    data = _Design(score.design(people.x), score.beta)
    if splits.folds == 1:
        return _once(y, people, estimand, models, np.zeros(len(y), dtype=int), data)
    folds = [_fold_of(people.exposed, splits, r) for r in range(splits.repeats)]
    runs = [_once(y, people, estimand, models, fold, data) for fold in folds]
    if reason := next((r.reason for r in runs if r.reason), ""):
        return Weighed(float("nan"), np.zeros(len(y)), reason=reason)
    values = np.array([r.value for r in runs])
    middle = float(np.median(values))
    variances = np.array([r.parts @ r.parts for r in runs])
    total = float(np.median(variances + (values - middle) ** 2))
    chosen = int(np.abs(values - middle).argmin())
    grow = np.sqrt(total / variances[chosen]) if variances[chosen] > 0 else 1.0
    return Weighed(middle, runs[chosen].parts * grow)


def _fold_of(exposed: np.ndarray, splits: Splits, repeat: int) -> np.ndarray:
    """(m,) fold of each person; alike shares of the exposed in each fold, groups whole."""
    rng = np.random.default_rng([splits.seed, repeat])
    if splits.groups is not None:
        _, code = np.unique(splits.groups, return_inverse=True)
        return rng.permutation(np.arange(code.max() + 1) % splits.folds)[code]
    out = np.empty(len(exposed), dtype=int)
    for arm in (exposed, ~exposed):
        out[arm] = rng.permutation(np.arange(arm.sum()) % splits.folds)
    return out


@dataclass(frozen=True, eq=False)
class _Design:
    """[1, standardised x] without repeats, and the logit on everybody (where folds start from)."""

    matrix: np.ndarray
    start: np.ndarray


def _once(y: np.ndarray, people: People, estimand: str, models: Models, fold: np.ndarray, data: _Design) -> Weighed:
    e = _scores(people, data, models, fold)
    if models.clip is not None:
        e = e.clip(models.clip, 1 - models.clip)
    if reason := too_sure(e, people.exposed, estimand):
        return Weighed(float("nan"), np.zeros(len(y)), reason=reason)
    m1, m0 = _outcomes(people, y, data, models, fold)
    return _combine(y, people, e, (m1, m0), estimand)


def _combine(
    y: np.ndarray, people: People, e: np.ndarray, models: tuple[np.ndarray, np.ndarray], estimand: str
) -> Weighed:
    exposed, size = people.exposed, people.sizes
    t, (m1, m0) = exposed.astype(float), models
    with np.errstate(divide="ignore", invalid="ignore"):
        if estimand == "ATE":
            psi = m1 - m0 + np.where(exposed, (y - m1) / e, -(y - m0) / (1 - e))
            target = np.ones(len(y))
        elif estimand == "ATT":
            target = t
            psi = np.where(exposed, y - m0, -e / (1 - e) * (y - m0))
        else:
            target = 1 - t
            psi = np.where(exposed, (1 - e) / e * (y - m1), m1 - y)
    total = size @ target
    value = float(size @ psi / total)
    return Weighed(value, size * (psi - target * value) / total)


def _scores(people: People, data: _Design, models: Models, fold: np.ndarray) -> np.ndarray:
    if models.propensity is not None:
        return _predicted(models.propensity, people, people.exposed, fold, None)
    if not fold.any():
        return special.expit(data.matrix @ data.start)
    out, t = np.empty(len(people)), people.exposed.astype(float)
    for f in range(int(fold.max()) + 1):
        here = fold == f
        some = None if people.weight is None else people.weight[~here]
        coef = newton(data.matrix[~here], t[~here], data.start, 1e-8, some)
        out[here] = special.expit(data.matrix[here] @ coef)
    return out


def _outcomes(
    people: People, y: np.ndarray, data: _Design, models: Models, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(m,) outcomes expected with and without the component, from people in other folds."""
    found = []
    for arm in (people.exposed, ~people.exposed):
        if models.outcome is None:
            found.append(_least_squares(y, np.where(arm, people.sizes, 0.0), data.matrix, fold))
        else:
            found.append(_predicted(models.outcome, people, y, fold, arm))
    return found[0], found[1]


def _least_squares(y: np.ndarray, size: np.ndarray, matrix: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each fold's cross-products are made once and taken from the whole. size: (m,) weights, 0 outside the arm.

    What does not vary within the arm has no part in its model."""
    folds = int(fold.max()) + 1
    grams, rights = [], []
    for f in range(folds):
        mine = (size > 0) & (fold == f)
        a = matrix[mine]
        weighed = a if (size[mine] == 1).all() else a * size[mine, None]
        grams.append(weighed.T @ a)
        rights.append(weighed.T @ y[mine])
    gram, right = np.sum(grams, axis=0), np.sum(rights, axis=0)
    out = np.empty(len(y))
    for f in range(folds):
        less = (grams[f], rights[f]) if folds > 1 else (0.0, 0.0)
        beta = np.zeros(len(gram))
        kept = independent_columns(gram - less[0])
        if not len(kept):
            raise NotIdentifiedError("A fold leaves an arm without anybody to learn from. Use fewer folds, or folds=1.")
        beta[kept] = np.linalg.solve((gram - less[0])[np.ix_(kept, kept)], (right - less[1])[kept])
        here = fold == f
        out[here] = matrix[here] @ beta
    return out


def _predicted(
    model: BaseEstimator, people: People, y: np.ndarray, fold: np.ndarray, arm: np.ndarray | None
) -> np.ndarray:
    """(m,) what a scikit-learn estimator expects in each fold, learnt from the others (from everybody where there is
    one fold). arm: (m,) of whom it learns outcomes; None: it learns who is exposed, and gives chances.

    Not by `cross_val_predict`, which takes no model of chances alone (one without `predict`)."""
    of, out = np.ones(len(y), dtype=bool) if arm is None else arm, np.empty(len(y))
    for f in range(int(fold.max()) + 1):
        here = fold == f
        away = of & ~here if fold.any() else of
        fitted = learn(model, people.take(away), y[away])
        out[here] = fitted.predict_proba(people.x[here])[:, 1] if arm is None else fitted.predict(people.x[here])
    return out
