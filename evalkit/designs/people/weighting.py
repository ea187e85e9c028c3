"""Weights of people by a score or by balance, doubly robust estimates, and their weighted difference by stratum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.designs.logit import independent, independent_columns, newton
from evalkit.designs.people.distances import Score, Scores, fit_score, learn, too_sure
from evalkit.designs.people.folds import chances_of, numbers_of
from evalkit.designs.people.people import People
from evalkit.errors import NotIdentifiedError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

MOST_STEPS = 200
One = Callable[[People, np.ndarray], "Weighed"]


@dataclass(frozen=True, eq=False)
class Weighed:
    """An estimate for m people. parts: (m,) contributions; weight: (m,), None where there are none. reason: why the
    value is NaN. stands_for: (m,) how much of the people whom it speaks for each person is, and adds to their number by
    moving the score: None where that is told by the arms. left_out: (m,) why each is not weighed, "" where they are."""

    value: float
    parts: np.ndarray
    weight: np.ndarray | None = None
    reason: str = ""
    stands_for: tuple[np.ndarray, np.ndarray] | None = None
    left_out: np.ndarray | None = None


def score_weights(e: np.ndarray, exposed: np.ndarray, estimand: str) -> tuple[np.ndarray, np.ndarray]:
    """(m,) weights and their derivatives by the logit: ATT, ATC, ATE, or ATO (overlap weights; Li, Morgan and
    Zaslavsky 2018)."""
    one, zero = np.ones_like(e), np.zeros_like(e)
    with np.errstate(divide="ignore"):  # a score of 0 or 1 counts in the other arm only
        odds = e / (1 - e)
        w1, w0, d1, d0 = {
            "ATT": (one, odds, zero, odds),
            "ATC": (1 / odds, one, -1 / odds, zero),
            "ATE": (1 / e, 1 / (1 - e), -1 / odds, odds),
            "ATO": (1 - e, e, -e * (1 - e), e * (1 - e)),
        }[estimand]
    return np.where(exposed, w1, w0), np.where(exposed, d1, d0)


def ipw(y: np.ndarray, exposed: np.ndarray, scores: Scores, estimand: str) -> Weighed:
    """Difference of weighted means (Hajek), from stacked moments of the logit and of the two means (Lunceford and
    Davidian 2004, section 2.4): taking the weights as known would be half as wide again in our simulations. NaN with
    its reason where scores are 0 or 1."""
    if reason := too_sure(scores.value, exposed, estimand):
        return Weighed(float("nan"), np.zeros(len(y)), np.zeros(len(y)), reason)
    w, slope = score_weights(scores.value, exposed, estimand)
    w, slope = scores.size * w, scores.size * np.where(scores.moved, slope, 0.0)
    parts, pull = np.zeros(len(y)), np.zeros(len(y))
    means = []
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        total = w[arm].sum()
        mean = float(w[arm] @ y[arm] / total)
        residual = np.where(arm, y - mean, 0.0)
        parts += sign * w * residual / total
        pull += sign * slope * residual / total
        means.append(mean)
    parts += scores.through(pull, exposed)
    stands = None
    if estimand == "ATO":  # overlap weights speak of e(1 - e) of each person, who adds to the sum through the score
        e = scores.value
        share = scores.size * e * (1 - e)
        stands = share, scores.through(np.where(scores.moved, share * (1 - 2 * e), 0.0), exposed)
    return Weighed(means[0] - means[1], parts, w, stands_for=stands)


def balance_weights(x: np.ndarray, target: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(m,) weights, summing to one and nearest to `size` (m,), with weighted means of x (m, q) equal to `target`
    (Hainmueller 2012): Newton's method on the dual, with step halving. Raises `NotIdentifiedError` where none do it."""
    z, scale = x - target, x.std(axis=0)
    z = z / np.where(scale > 0, scale, 1.0)
    kept = independent(np.column_stack([np.ones(len(z)), z]))
    z = z[:, kept[kept > 0] - 1]
    lam, base = np.zeros(z.shape[1]), np.log(size)
    dual, w = _dual(z, lam, base)
    for _ in range(MOST_STEPS):
        gap = w @ z
        if np.abs(gap).max(initial=0.0) < 1e-11:
            break
        step, stride = np.linalg.lstsq((z * w[:, None]).T @ z - np.outer(gap, gap), gap, rcond=None)[0], 1.0
        new, trial = _dual(z, lam - step, base)
        while new > dual - 1e-4 * stride * (step @ gap) and stride > 1e-8:
            stride /= 2
            new, trial = _dual(z, lam - stride * step, base)
        lam, dual, w = lam - stride * step, new, trial
    full = (x - target) / np.where(scale > 0, scale, 1.0)
    if np.abs(w @ full).max(initial=0.0) > 1e-6:
        raise NotIdentifiedError(
            "No weights make those with it and those without it alike in all that is recorded: the ones lie outside "
            "the range of the others. Fewer covariates, or matching within a caliper, may still compare some of them."
        )
    return w


def _dual(z: np.ndarray, lam: np.ndarray, base: np.ndarray) -> tuple[float, np.ndarray]:
    u = z @ lam + base
    top = u.max()
    w = np.exp(u - top)
    total = w.sum()
    return float(top + np.log(total)), w / total


def entropy(y: np.ndarray, people: People, estimand: str) -> Weighed:
    """Difference of means, each arm balanced to the means of the estimand's people. A contribution counts the weights
    as estimated: the residual of the weighted regression of y on x in the arm, plus what the person adds to those
    means."""
    exposed, x, size, target = people.exposed, people.x, people.sizes, people.target(estimand)
    weight, parts, means = np.zeros(len(y)), np.zeros(len(y)), []
    share = size / size[target].sum()
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        balanced, goal = np.array_equal(arm, target), share[target] @ x[target]
        w = share[arm] if balanced else balance_weights(x[arm], goal, size[arm])
        mean, part = float(w @ y[arm]), np.zeros(len(y))
        part[arm] = w * (y[arm] - mean)
        if not balanced:
            wide = np.sqrt(w @ (x[arm] - goal) ** 2)
            wide = np.where(wide > 0, wide, 1.0)  # in units of each covariate: large numbers hide nothing
            z, root = (x[arm] - goal) / wide, np.sqrt(w)
            slope = np.linalg.lstsq(z * root[:, None], (y[arm] - mean) * root, rcond=None)[0]
            part[arm] = w * (y[arm] - mean - z @ slope)
            part[target] += share[target] * (((x[target] - goal) / wide) @ slope)
        weight[arm] = w * size[target].sum()
        parts += sign * part
        means.append(mean)
    return Weighed(means[0] - means[1], parts, weight)


@dataclass(frozen=True)
class CrossFit:
    """folds: 1 for none. repeats of the split; groups: (m,) people who stay in one fold together. propensity, outcome:
    scikit-learn estimators, or None for logit and least squares by arm."""

    folds: int
    repeats: int
    seed: int
    groups: np.ndarray | None = None
    propensity: BaseEstimator | None = None
    outcome: BaseEstimator | None = None
    clip: float | None = None


def aipw(y: np.ndarray, people: People, estimand: str, how: CrossFit) -> Weighed:
    """Augmented inverse probability weighting; the median over repeated splits, whose variance adds each split's
    distance from it (median of s^2 + (theta - median)^2). NaN with its reason where scores are 0 or 1.

    ATT: psi = [t (y - m0) - (1 - t) e/(1 - e) (y - m0)] / mean(t), contribution (psi - t ATT / mean(t)) / n. ATO: the
    partially linear model. The study's weights go into every model and every mean."""
    score = fit_score(people.x, people.exposed, people.weight)
    if how.folds == 1:
        return _once(y, people, estimand, how, np.zeros(len(y), dtype=int), score)
    runs = [_once(y, people, estimand, how, _fold_of(people.exposed, how, r), score) for r in range(how.repeats)]
    if reason := next((r.reason for r in runs if r.reason), ""):
        return Weighed(float("nan"), np.zeros(len(y)), reason=reason)
    values = np.array([r.value for r in runs])
    middle, variances = float(np.median(values)), np.array([r.parts @ r.parts for r in runs])
    total, chosen = float(np.median(variances + (values - middle) ** 2)), int(np.abs(values - middle).argmin())
    grow = np.sqrt(total / variances[chosen]) if variances[chosen] > 0 else 1.0
    return Weighed(middle, runs[chosen].parts * grow, stands_for=runs[chosen].stands_for)


def _fold_of(exposed: np.ndarray, how: CrossFit, repeat: int) -> np.ndarray:
    """(m,) fold of each person; alike shares of the exposed in each fold, groups whole."""
    rng = np.random.default_rng([how.seed, repeat])
    if how.groups is not None:
        _, code = np.unique(how.groups, return_inverse=True)
        return rng.permutation(np.arange(code.max() + 1) % how.folds)[code]
    out = np.empty(len(exposed), dtype=int)
    for arm in (exposed, ~exposed):
        out[arm] = rng.permutation(np.arange(arm.sum()) % how.folds)
    return out


def _once(y: np.ndarray, people: People, estimand: str, how: CrossFit, fold: np.ndarray, score: Score) -> Weighed:
    """The estimate of one split. score: the logit of everybody, where those of the folds start from."""
    exposed, size, matrix = people.exposed, people.sizes, score.design(people.x)
    if how.propensity is not None:
        e = _predicted(how.propensity, people, exposed, fold, None)
    elif not fold.any():
        e = special.expit(matrix @ score.beta)
    else:
        e = np.empty(len(y))
        for f in range(int(fold.max()) + 1):
            here = fold == f
            some = None if people.weight is None else people.weight[~here]
            beta = newton(matrix[~here], exposed[~here].astype(float), score.beta, 1e-8, some)
            e[here] = special.expit(matrix[here] @ beta)
    if how.clip is not None:
        e = e.clip(how.clip, 1 - how.clip)
    if reason := too_sure(e, exposed, estimand):
        return Weighed(float("nan"), np.zeros(len(y)), reason=reason)
    if estimand == "ATO":
        everybody = np.ones(len(y), dtype=bool)
        m = (
            _least_squares(y, size, matrix, fold)
            if how.outcome is None
            else (_predicted(how.outcome, people, y, fold, everybody))
        )
        return _partialled_out(y - m, exposed - e, size)
    if how.outcome is None:
        m1, m0 = (_least_squares(y, np.where(arm, size, 0.0), matrix, fold) for arm in (exposed, ~exposed))
    else:
        m1, m0 = (_predicted(how.outcome, people, y, fold, arm) for arm in (exposed, ~exposed))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # those of the other estimands too
        psi = {
            "ATE": m1 - m0 + np.where(exposed, (y - m1) / e, -(y - m0) / (1 - e)),
            "ATT": np.where(exposed, y - m0, -e / (1 - e) * (y - m0)),
            "ATC": np.where(exposed, (1 - e) / e * (y - m1), m1 - y),
        }[estimand]
    target = people.target(estimand).astype(float)
    total = size @ target
    value = float(size @ psi / total)
    return Weighed(value, size * (psi - target * value) / total)


def _partialled_out(y: np.ndarray, t: np.ndarray, size: np.ndarray) -> Weighed:
    """The effect in a partially linear model, from outcome and exposure less what covariates say of each (Robinson
    1988, Econometrica 56; Chernozhukov and others 2018, section 4.1): where effects differ, their mean by overlap."""
    stands = size * t**2
    value = float((size * t) @ y / stands.sum())
    parts = size * t * (y - value * t) / stands.sum()
    return Weighed(value, parts, stands_for=(stands, np.zeros(len(y))))


def _least_squares(y: np.ndarray, size: np.ndarray, matrix: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each fold's cross-products are made once and taken from the whole. size: (m,) weights, 0 outside the arm. What
    does not vary within the arm has no part in its model."""
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
        beta, kept = np.zeros(len(gram)), independent_columns(gram - less[0])
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
    one fold). arm: (m,) of whom it learns outcomes; None: it learns who is exposed, and gives chances (which
    `cross_val_predict` does not take from a model without `predict`)."""
    of, out = np.ones(len(y), dtype=bool) if arm is None else arm, np.empty(len(y))
    for f in range(int(fold.max()) + 1):
        here = fold == f
        away = of & ~here if fold.any() else of
        fitted = learn(model, people.take(away), y[away])
        out[here] = chances_of(fitted, people.x[here])[:, 1] if arm is None else fitted.predict(people.x[here])
    return numbers_of(out)


def fewest_of(people: People) -> int:
    """Fewest people an arm of a stratum needs: more than there are covariates."""
    return people.x.shape[1] + 2


def by_stratum(people: People, y: np.ndarray, estimand: str, fit: One) -> Weighed:
    """The mean of the strata's estimates, weighed by the people whom the estimand speaks for (for overlap weights a
    person is e(1 - e) of those): shares are estimated, so each of them also adds (stratum's value - value) / N.

    Strata that cannot be weighed are left out, with the reason (`left_out`). NaN without a stratum that can be weighed;
    raises `NotIdentifiedError` where no weights balance any."""
    found, left_out, failed = _each(people, y, fit)
    parts, weight, none = (np.zeros(len(people)) for _ in range(3))
    if not found:
        return Weighed(float("nan"), parts, weight, failed, left_out=left_out)
    mass = np.where(people.target(estimand), people.sizes, 0.0)
    stands = [f.stands_for or (mass[g], none[g]) for g, f in found]
    size = np.array([share.sum() for share, _ in stands])
    total = size.sum()
    value = float(sum(n * f.value for n, (_, f) in zip(size, found, strict=True)) / total)
    for (g, f), n, (share, moved) in zip(found, size, stands, strict=True):
        parts[g] = n / total * f.parts + (share + moved) * (f.value - value) / total
        if f.weight is None:
            weight[g] = people.sizes[g]
            continue
        for arm in (people.exposed[g], ~people.exposed[g]):
            weight[g[arm]] = f.weight[arm] * n / f.weight[arm].sum()
    return Weighed(value, parts, weight, left_out=left_out)


def _each(people: People, y: np.ndarray, fit: One) -> tuple[list[tuple[np.ndarray, Weighed]], np.ndarray, str]:
    """Each stratum that can be weighed with its estimate, why everybody else is left out, and why strata that are
    large enough are, "" where none is."""
    least, t = fewest_of(people), people.exposed
    small = f"their combination of other components has fewer than {least} people in an arm"
    left_out = np.full(len(people), small, dtype=object)
    found, failed, errors = [], [], 0
    for g in people.by_stratum():
        if min(t[g].sum(), (~t[g]).sum()) < least:
            continue
        try:
            got = fit(people.take(g), y[g])
            why = got.reason
        except NotIdentifiedError as error:
            got, why, errors = None, str(error), errors + 1
        left_out[g] = why.split(". ")[0].rstrip(".")
        if got is not None and not why:
            found.append((g, got))
        else:
            failed.append(why)
    reason = "".join(failed[:1])
    if len(failed) > 1:
        reason = f"none of {len(failed)} combinations of other components can be weighed. The first: {reason}"
    if errors and not found:
        raise NotIdentifiedError(reason)
    return found, left_out, reason
