"""Standardisation: models of the outcome by arm, averaged over the people whom an answer speaks for (g-computation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from evalkit.designs.logit import FAR, independent, influence, maximise
from evalkit.designs.people.distances import standardised
from evalkit.designs.people.people import People
from evalkit.designs.people.weighting import Weighed
from evalkit.errors import NotIdentifiedError

FAMILIES = ("logit", "log", "line")
MOST = 60


@dataclass(frozen=True, eq=False)
class _Model:
    """One arm's model of everybody. mean: (m,) what is expected; slope: (m,) its derivative by the linear part; gap,
    curvature: (m,) of the arm's likelihood, 0 outside it."""

    mean: np.ndarray
    slope: np.ndarray
    gap: np.ndarray
    curvature: np.ndarray


def family_of(y: np.ndarray, kind: str) -> str:
    """How an outcome is modelled: 0/1 by a logit, counts by a log link, the rest by a line."""
    if np.isin(y, (0, 1)).all():
        return "logit"
    return "log" if kind == "count" and (y >= 0).all() else "line"


def standardise(y: np.ndarray, people: People, estimand: str, family: str) -> Weighed:
    """Difference between what is expected with and without it, over the people of the estimand: a difference in risk
    for 0/1 outcomes, in means for counts (Robins 1986; Rubin 1977). Where the arm is the target's own, its mean stands.

    Contributions count the models as estimated (delta method, robust to the family's variance). Raises
    `NotIdentifiedError` where an arm's outcomes are told apart perfectly or all the same."""
    exposed, target, size = people.exposed, people.target(estimand), people.sizes
    design = standardised(people.x)[0]
    total = float(size[target].sum())
    share = np.where(target, size, 0.0) / total
    parts, means = np.zeros(len(y)), []
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        if np.array_equal(arm, target):
            mean = float(share @ y)
            parts += sign * share * (y - mean)
        else:
            kept = independent(design * arm[:, None])
            columns = design[:, kept]
            made = _fit(columns, y, np.where(arm, size, 0.0), family)
            mean = float(share @ made.mean)
            through = influence(columns, made.gap, made.curvature, (share * made.slope) @ columns)
            parts += sign * (share * (made.mean - mean) + through)
        means.append(mean)
    return Weighed(means[0] - means[1], parts)


def _fit(columns: np.ndarray, y: np.ndarray, size: np.ndarray, family: str) -> _Model:
    mine = size > 0
    a, own, w = columns[mine], y[mine], size[mine]
    if family == "line":
        beta = np.linalg.solve((a * w[:, None]).T @ a, (a * w[:, None]).T @ own)
        eta = columns @ beta
        return _Model(eta, np.ones(len(y)), size * (y - eta), size)
    if family == "logit":
        if own.min() == own.max():
            raise NotIdentifiedError(
                "Everybody of an arm had the same outcome, so that no model tells whose chance is what."
            )
        beta = maximise(a, own, w)
        eta = columns @ beta
        if not np.isfinite(eta).all() or np.abs(a @ beta).max() > FAR:
            words = "The covariates tell apart who of an arm had the outcome. Use fewer, or method='entropy'."
            raise NotIdentifiedError(words)
        p = special.expit(eta)
        return _Model(p, p * (1 - p), size * (y - p), size * p * (1 - p))
    beta = _log_link(a, own, w)
    mean = np.exp(np.clip(columns @ beta, -FAR, FAR))
    return _Model(mean, mean, size * (y - mean), size * mean)


def _log_link(a: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(q,) coefficients of a log link by Poisson's likelihood, which needs no Poisson variance to be right."""
    if not (y > 0).any():
        raise NotIdentifiedError("Nobody of an arm had any event, so that a log link has no answer. Use family='line'.")
    beta = np.zeros(a.shape[1])
    beta[0] = np.log(np.average(y, weights=w))
    for _ in range(MOST):
        mean = w * np.exp(np.clip(a @ beta, -FAR, FAR))
        step = np.linalg.solve((a * mean[:, None]).T @ a, a.T @ (w * y - mean))
        beta = beta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < 1e-11:
            return beta
    raise NotIdentifiedError("A log link of an arm does not settle: too few events. Use family='line'.")
