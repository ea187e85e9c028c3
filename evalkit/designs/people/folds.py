"""Cross-fitting: who predicts whom, and what learners say of those they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Predict = Callable[[np.ndarray], np.ndarray]
Learn = Callable[[np.ndarray, np.ndarray], Predict]
"""From covariates (m, q) and values (m,) to what is expected at other covariates."""


def deal_folds(arm: np.ndarray, folds: int, rng: np.random.Generator, groups: np.ndarray | None = None) -> np.ndarray:
    """(n,) fold of each person, alike shares of each arm (n,) in every fold; groups stay whole, the largest dealt
    first, each to the emptiest fold."""
    out = np.empty(len(arm), dtype=int)
    if groups is None:
        for value in np.unique(arm):
            mine = arm == value
            out[mine] = rng.permutation(np.arange(mine.sum()) % folds)
        return out
    code = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(code)
    load, where = np.zeros(folds), np.empty(len(size), dtype=int)
    for group in np.argsort(-(size + rng.random(len(size))), kind="stable"):
        where[group] = int(load.argmin())
        load[where[group]] += size[group]
    return where[code]


def held_out(learn: Learn, x: np.ndarray, y: np.ndarray, fold: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(n,) what is expected of everybody by a model of the people `seen` (n,) in the other folds."""
    out = np.empty(len(x))
    for f in np.unique(fold):
        away = (fold != f) & seen
        out[fold == f] = learn(x[away], y[away])(x[fold == f])
    return out


def least_squares(x: np.ndarray, y: np.ndarray) -> Predict:
    """A straight line in every covariate."""
    slopes = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    return lambda z: np.asarray(np.column_stack([np.ones(len(z)), z]) @ slopes)


def regression(learner: BaseEstimator) -> Learn:
    """Any scikit-learn regression, made anew for each fold."""
    from sklearn.base import clone

    return lambda x, y: clone(learner).fit(x, y).predict


def chances(learner: BaseEstimator, x: np.ndarray, code: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(n, G) chance of each code by a scikit-learn classifier of the other folds."""
    from sklearn.base import clone

    out = np.zeros((len(x), int(code.max()) + 1))
    for f in np.unique(fold):
        made = clone(learner).fit(x[fold != f], code[fold != f])
        out[np.ix_(fold == f, made.classes_)] = made.predict_proba(x[fold == f])
    return out


def squares(x: np.ndarray) -> np.ndarray:
    """(n, p) covariates, their squares (but of those with two values) and products, each in standard deviations."""
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    two = [len(np.unique(column)) <= 2 for column in x.T]
    q = range(x.shape[1])
    more = [z[:, i] * z[:, j] for i in q for j in q if i < j or (i == j and not two[i])]
    whole = np.column_stack([z, *more]) if more else z
    spread = whole.std(axis=0)
    keep = spread > 1e-9
    return np.asarray((whole[:, keep] - whole[:, keep].mean(axis=0)) / spread[keep])


def stacked(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights of learners, 0 or more and one in sum, of least squared error of their predictions (n, l) of people whom
    they have not seen (short-stacking; Ahrens and others 2025, Journal of Applied Econometrics 40)."""
    heavy = 1e3 * np.sqrt(len(y)) * max(float(np.abs(predictions).max(initial=0.0)), 1.0)
    rows = np.vstack([predictions, np.full((1, predictions.shape[1]), heavy)])
    weights, _ = optimize.nnls(rows, np.append(y, heavy))
    return np.asarray(weights / weights.sum())
