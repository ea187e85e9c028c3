"""Entropy balancing: the weights nearest to equal ones under which covariate means agree exactly."""

from __future__ import annotations

import numpy as np

from evalkit.designs.people.people import People
from evalkit.designs.people.score import independent
from evalkit.designs.people.weighting import Weighed
from evalkit.errors import NotIdentifiedError

_MOST = 200


def balance_weights(x: np.ndarray, target: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(m,) weights, summing to one and nearest to `size` (m,), with weighted means of x (m, q) equal to `target`
    (Hainmueller 2012).

    Newton's method on the dual, with step halving. Raises `NotIdentifiedError` where no weights do it.
    """
    z = x - target
    scale = x.std(axis=0)
    z = z / np.where(scale > 0, scale, 1.0)
    kept = independent(np.column_stack([np.ones(len(z)), z]))
    z = z[:, kept[kept > 0] - 1]
    lam, base = np.zeros(z.shape[1]), np.log(size)
    worth, w = _dual(z, lam, base)
    for _ in range(_MOST):
        gap = w @ z
        if np.abs(gap).max(initial=0.0) < 1e-11:
            break
        hess = (z * w[:, None]).T @ z - np.outer(gap, gap)
        step = np.linalg.lstsq(hess, gap, rcond=None)[0]
        stride = 1.0
        new, trial = _dual(z, lam - step, base)
        while new > worth - 1e-4 * stride * (step @ gap) and stride > 1e-8:
            stride /= 2
            new, trial = _dual(z, lam - stride * step, base)
        lam, worth, w = lam - stride * step, new, trial
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
    """Difference of entropy-balanced means; contributions count the weights as estimated.

    Each arm is balanced to the means of the estimand's people. A contribution is the residual of the weighted
    regression of y on x in the arm, plus what the person adds to the target means.
    """
    exposed = people.exposed
    target = {"ATT": exposed, "ATC": ~exposed}.get(estimand, np.ones(len(y), bool))
    weight, parts, means = np.zeros(len(y)), np.zeros(len(y)), []
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        mean, part, w = _balanced_mean(y, people, arm, target)
        weight[arm] = w * people.sizes[target].sum()
        parts += sign * part
        means.append(mean)
    return Weighed(means[0] - means[1], parts, weight)


def _balanced_mean(
    y: np.ndarray, people: People, arm: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    parts, x, size = np.zeros(len(y)), people.x, people.sizes
    share = size / size[target].sum()
    if np.array_equal(arm, target):
        mean = float(share[arm] @ y[arm])
        parts[arm] = share[arm] * (y[arm] - mean)
        return mean, parts, share[arm]
    goal = share[target] @ x[target]
    w = balance_weights(x[arm], goal, size[arm])
    mean = float(w @ y[arm])
    z = x[arm] - goal
    slope = np.linalg.lstsq((z * w[:, None]).T @ z, (z * w[:, None]).T @ (y[arm] - mean), rcond=None)[0]
    parts[arm] += w * (y[arm] - mean - z @ slope)
    parts[target] += share[target] * ((x[target] - goal) @ slope)
    return mean, parts, w
