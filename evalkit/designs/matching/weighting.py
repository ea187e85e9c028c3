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
    """An estimate for m people. parts: (m,) contributions; weight: (m,), None where there are none.

    reason: why the value is NaN. stands_for: (m,) how much of the people whom it speaks for each person is, and adds to
    their number by moving the score: None where that is told by the arms. left_out: (m,) why each is not weighed, ""
    where they are.
    """

    value: float
    parts: np.ndarray
    weight: np.ndarray | None = None
    reason: str = ""
    stands_for: tuple[np.ndarray, np.ndarray] | None = None
    left_out: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Propensity scores of m people. design: (m, q) columns of the logit behind them, None when a model of
    the user's made them (then they are taken as known). moved: whether a score was not clipped. size: (m,) people
    whom each stands for. fitted: (m,) scores before they were clipped."""

    value: np.ndarray
    design: np.ndarray | None
    moved: np.ndarray
    size: np.ndarray
    fitted: np.ndarray

    def drag(self, lean: np.ndarray, exposed: np.ndarray) -> np.ndarray:
        """(m,) what each person adds to a number through the score. lean: (q,) the number by the score's coefficients;
        zeros where the scores are taken as known."""
        if self.design is None:
            return np.zeros(len(self.value))
        e = self.fitted
        gram = (self.design * (self.size * e * (1 - e))[:, None]).T @ self.design
        return np.asarray(self.size * (exposed - e) * (self.design @ np.linalg.solve(gram, lean)))

    def lean(self, slope: np.ndarray) -> np.ndarray:
        """(q,) the derivative by the coefficients of a sum whose terms have the derivatives `slope` (m,) by the
        logit."""
        return np.zeros(0) if self.design is None else slope @ self.design


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
        return Scores(value, design, np.ones(len(value), dtype=bool), size, value)
    inside = (value >= clip) & (value <= 1 - clip)
    return Scores(value.clip(clip, 1 - clip), design, inside, size, value)


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


def too_sure(e: np.ndarray, exposed: np.ndarray, estimand: str) -> str:
    """Why scores of exactly 0 or 1 leave nothing to weigh: a weight without end, or an arm without weight; else ""."""
    no, yes = e == 0, e == 1
    endless = {"ATT": yes & ~exposed, "ATC": no & exposed, "ATE": np.where(exposed, no, yes)}
    nobody = {"ATT": no[~exposed].all(), "ATC": yes[exposed].all()}
    nobody["ATO"] = nobody["ATT"] or nobody["ATC"]
    over = int(endless[estimand].sum()) if estimand in endless else 0
    if not over and not nobody.get(estimand, False):
        return ""
    counts = [f"{int(no[a].sum())} of 0 and {int(yes[a].sum())} of 1 among {int(a.sum())}" for a in (exposed, ~exposed)]
    why = f"the weight of {over} would have no end" if over else "nobody in one arm can stand for the other"
    return (
        f"scores of exactly 0 or 1 ({counts[0]} people with it, {counts[1]} without): {why}. Use a model that is less "
        "sure of people, or clip the scores"
    )


def ipw(y: np.ndarray, exposed: np.ndarray, scores: Scores, estimand: str) -> Weighed:
    """Difference of weighted means (Hajek), the estimated score's part in each contribution included.

    Stacked moments of the logit and of the two means (Lunceford and Davidian 2004, section 2.4): taking the weights
    as known would be half as wide again in our simulations. NaN with its reason where scores are 0 or 1.
    """
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
    parts += scores.drag(scores.lean(pull), exposed)
    stands = _overlapping(scores, exposed) if estimand == "ATO" else None
    return Weighed(means[0] - means[1], parts, w, stands_for=stands)


def _overlapping(scores: Scores, exposed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of whom overlap weights speak: e(1 - e) of each person, and what each adds to the sum through the score."""
    e = scores.value
    share = scores.size * e * (1 - e)
    slope = np.where(scores.moved, share * (1 - 2 * e), 0.0)
    return share, scores.drag(scores.lean(slope), exposed)
