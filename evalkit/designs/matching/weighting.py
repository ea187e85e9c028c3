"""Weights from a propensity score, and the weighted difference with the score's own uncertainty in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.designs.matching.people import People
from evalkit.designs.matching.score import fit_score
from evalkit.errors import OptionError


@dataclass(frozen=True, eq=False)
class Weighed:
    """An estimate for m people. parts: (m,) contributions; weight: (m,), None where there are none."""

    value: float
    parts: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Propensity scores of m people. design: (m, q) columns of the logit behind them, None when a model of
    the user's made them (then they are taken as known). moved: whether a score was not clipped. size: (m,) people
    whom each stands for."""

    value: np.ndarray
    design: np.ndarray | None
    moved: np.ndarray
    size: np.ndarray


def own_scores(people: People, clip: float | None) -> Scores:
    """Scores by the logit of this package."""
    x = people.x
    score = fit_score(x, people.exposed, people.weight)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / np.where(scale > 0, scale, 1.0)])[:, score.kept]
    return clipped(score.value, design, clip, people.sizes)


def clipped(value: np.ndarray, design: np.ndarray | None, clip: float | None, size: np.ndarray) -> Scores:
    """Scores kept away from 0 and 1 by `clip`."""
    if clip is None:
        return Scores(value, design, np.ones(len(value), dtype=bool), size)
    inside = (value >= clip) & (value <= 1 - clip)
    return Scores(value.clip(clip, 1 - clip), design, inside, size)


def learn(model: Any, people: People, y: np.ndarray) -> Any:
    """A copy of the user's estimator, fitted to some people with the study's weights. Raises `OptionError` where it
    takes none."""
    from sklearn.base import clone
    from sklearn.utils.validation import has_fit_parameter

    if people.weight is None:
        return clone(model).fit(people.x, y)
    if not has_fit_parameter(model, "sample_weight"):
        raise OptionError(
            f"{type(model).__name__} cannot take the study's weights (its fit has no sample_weight). Use an estimator "
            "that can, or a study without weights."
        )
    return clone(model).fit(people.x, y, sample_weight=people.weight)


def score_weights(e: np.ndarray, exposed: np.ndarray, estimand: str) -> tuple[np.ndarray, np.ndarray]:
    """(m,) weights and their derivatives by the logit: ATT, ATC, ATE, or ATO (overlap weights; Li, Morgan and
    Zaslavsky 2018)."""
    t = exposed
    one, zero = np.ones_like(e), np.zeros_like(e)
    with np.errstate(divide="ignore"):  # a score of 0 or 1 counts in the other arm only
        odds = e / (1 - e)
        w1, w0, d1, d0 = {
            "ATT": (one, odds, zero, odds),
            "ATC": (1 / odds, one, -1 / odds, zero),
            "ATE": (1 / e, 1 / (1 - e), -1 / odds, odds),
            "ATO": (1 - e, e, -e * (1 - e), e * (1 - e)),
        }[estimand]
    return np.where(t, w1, w0), np.where(t, d1, d0)


def ipw(y: np.ndarray, exposed: np.ndarray, scores: Scores, estimand: str) -> Weighed:
    """Difference of weighted means (Hajek), the estimated score's part in each contribution included.

    Stacked moments of the logit and of the two means (Lunceford and Davidian 2004, section 2.4): taking the weights
    as known would be half as wide again in our simulations.
    """
    w, slope = score_weights(scores.value, exposed, estimand)
    w, slope = scores.size * w, scores.size * np.where(scores.moved, slope, 0.0)
    parts = np.zeros(len(y))
    means = []
    lean = 0.0 if scores.design is None else np.zeros(scores.design.shape[1])
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        total = w[arm].sum()
        mean = float(w[arm] @ y[arm] / total)
        residual = np.where(arm, y - mean, 0.0)
        parts += sign * w * residual / total
        means.append(mean)
        if scores.design is not None:
            lean = lean + sign * ((slope * residual) @ scores.design) / total
    if scores.design is not None:
        e = scores.value
        gram = (scores.design * (scores.size * e * (1 - e))[:, None]).T @ scores.design
        parts += scores.size * (exposed - e) * (scores.design @ np.linalg.solve(gram, lean))
    return Weighed(means[0] - means[1], parts, w)
