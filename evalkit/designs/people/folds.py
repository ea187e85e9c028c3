"""Cross-fitting: who predicts whom, and what learners say of those they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from evalkit.errors import OptionError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

ROUNDING = 1e-9
Predict = Callable[[np.ndarray], np.ndarray]
Learn = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Predict]
"""From covariates (m, q), values (m,) and weights (m,) or None to what is expected at other covariates."""


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


def held_out(
    learn: Learn, x: np.ndarray, y: np.ndarray, fold: np.ndarray, seen: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """(n,) what is expected of everybody by a model of the people `seen` (n,) in the other folds."""
    out = np.empty(len(x))
    for f in np.unique(fold):
        away = (fold != f) & seen
        out[fold == f] = learn(x[away], y[away], _of(weight, away))(x[fold == f])
    return numbers_of(out)


def least_squares(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Predict:
    """A straight line in every covariate."""
    root = np.ones(len(x)) if weight is None else np.sqrt(weight)
    columns = np.column_stack([np.ones(len(x)), x])
    slopes = np.linalg.lstsq(columns * root[:, None], y * root, rcond=None)[0]
    return lambda z: np.asarray(np.column_stack([np.ones(len(z)), z]) @ slopes)


def fitted(model: BaseEstimator, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> BaseEstimator:
    """A copy of a scikit-learn estimator, fitted with the study's weights. Raises `OptionError` where it takes none."""
    from sklearn.base import clone
    from sklearn.utils.validation import has_fit_parameter

    if weight is None:
        return clone(model).fit(x, y)
    if not has_fit_parameter(model, "sample_weight"):
        words = f"{type(model).__name__} cannot take the study's weights (its fit has no sample_weight). "
        raise OptionError(words + "Use an estimator that can, or a study without weights.")
    return clone(model).fit(x, y, sample_weight=weight)


def regression(learner: BaseEstimator) -> Learn:
    """Any scikit-learn regression, made anew for each fold."""
    return lambda x, y, weight: fitted(learner, x, y, weight).predict


def chances(
    learner: BaseEstimator, x: np.ndarray, code: np.ndarray, fold: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """(n, G) chance of each code by a scikit-learn classifier of the other folds."""
    out = np.zeros((len(x), int(code.max()) + 1))
    for f in np.unique(fold):
        made = fitted(learner, x[fold != f], code[fold != f], _of(weight, fold != f))
        out[np.ix_(fold == f, made.classes_)] = chances_of(made, x[fold == f])
    return out


def chances_of(made: BaseEstimator, x: np.ndarray) -> np.ndarray:
    """(n, G) chances by a fitted classifier. Raises `OptionError` where they are none: below 0, above 1, missing."""
    found = np.asarray(made.predict_proba(x), dtype=float)
    if not ((found >= -ROUNDING) & (found <= 1 + ROUNDING)).all():
        words = f"{type(made).__name__} gives chances that do not lie between 0 and 1. "
        raise OptionError(words + "Use a classifier whose predict_proba gives chances.")
    return found.clip(0.0, 1.0)


def numbers_of(predicted: np.ndarray) -> np.ndarray:
    """What a learner predicted. Raises `OptionError` where some of it is no number."""
    if not np.isfinite(predicted).all():
        raise OptionError("The learner predicts outcomes that are no finite numbers. Use another regression.")
    return predicted


def _of(weight: np.ndarray | None, some: np.ndarray) -> np.ndarray | None:
    return None if weight is None else weight[some]


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


def stacked(predictions: np.ndarray, y: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Weights of learners, 0 or more and one in sum, of least squared error of their predictions (n, l) of people whom
    they have not seen (short-stacking; Ahrens and others 2025, Journal of Applied Econometrics 40). size: (n,) how many
    people each stands for."""
    heavy = 1e3 * np.sqrt(len(y)) * max(float(np.abs(predictions).max(initial=0.0)), 1.0)
    root = np.sqrt(size)
    rows = np.vstack([predictions * root[:, None], np.full((1, predictions.shape[1]), heavy)])
    weights, _ = optimize.nnls(rows, np.append(y * root, heavy))
    return np.asarray(weights / weights.sum())
