"""The propensity score: a logistic regression, or a model of the user's, and what each person adds through it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.designs.logit import FAR, independent, influence, maximise
from evalkit.designs.people.people import People
from evalkit.errors import EvalkitWarning, NotIdentifiedError, OptionError
from evalkit.show.words import of_people

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, eq=False)
class Score:
    """A fitted propensity score.

    logit, value: (m,) linear predictor and probability. coef: (q + 1,) intercept first, in the
    covariates' own units; 0 for columns that repeat others. kept: columns of [1, x] in the fit. beta: their
    coefficients where x is standardised.
    """

    logit: np.ndarray
    value: np.ndarray
    coef: np.ndarray
    kept: np.ndarray
    beta: np.ndarray

    def over(self, x: np.ndarray) -> Score:
        """The same score for other people (m, q)."""
        logit = _linear(x, self.coef)
        return replace(self, logit=logit, value=special.expit(logit))

    def design(self, x: np.ndarray) -> np.ndarray:
        """(m, len(kept)) the columns of the fit, for the people on whom it was made."""
        whole = standardised(x)
        return whole if len(self.kept) == whole.shape[1] else whole[:, self.kept]


def standardised(x: np.ndarray) -> np.ndarray:
    """(m, q + 1) a constant, and columns in standard deviations from their means."""
    return _standardised(x)[0]


def _standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same, with the means and standard deviations (1 where nothing varies)."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    out = np.ones((len(x), x.shape[1] + 1))
    np.divide(x - centre, scale, out=out[:, 1:])
    return out, centre, scale


def fit_score(x: np.ndarray, exposed: np.ndarray, weight: np.ndarray | None = None) -> Score:
    """Maximum likelihood logit of being exposed on covariates (m, q), as R's `glm`; weight: (m,) or None.

    Equal rows get exactly equal scores, so ties are ties. Raises `NotIdentifiedError` where the
    covariates tell the two arms apart perfectly; warns where they nearly do.
    """
    design, centre, scale = _standardised(x)
    width = design.shape[1]
    kept = independent(design)
    design = design if len(kept) == width else design[:, kept]
    beta = maximise(design, exposed.astype(float), weight)
    coef = np.zeros(width)
    coef[kept] = beta
    slope = coef[1:] / scale
    coef = np.concatenate([[coef[0] - slope @ centre], slope])
    logit = _linear(x, coef)
    _check_overlap(logit, exposed)
    return Score(logit, special.expit(logit), coef, kept, beta)


def _linear(x: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Column by column: a matrix product may round equal rows differently."""
    out = np.full(len(x), coef[0])
    for j in range(x.shape[1]):
        out += x[:, j] * coef[j + 1]
    return out


def _check_overlap(logit: np.ndarray, exposed: np.ndarray) -> None:
    if logit[exposed].min() > logit[~exposed].max():
        raise NotIdentifiedError(
            "The covariates tell exposed and comparison people apart perfectly, so nobody can stand for anybody. "
            "Leave out the covariate that decides who was exposed, or compare other people."
        )
    extreme = int((np.abs(logit) > FAR).sum())
    if extreme:
        warnings.warn(
            f"The propensity score of {of_people(extreme)} is all but 0 or 1: a covariate nearly decides who was "
            "exposed. These people have nobody like them in the other arm.",
            EvalkitWarning,
            stacklevel=2,
        )


def score_of(people: People) -> Score:
    """The propensity score on covariates and the combination of other components, learnt from combinations that have
    both arms."""
    x, here = people.regressors, people.comparable
    if here.all() or not here.any():
        return fit_score(x, people.exposed, people.weight)
    weight = None if people.weight is None else people.weight[here]
    return fit_score(x[here], people.exposed[here], weight).over(x)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores by which m people are weighted. design: (m, q) columns of the logit behind them, None when a model of
    the user's made them (then they are taken as known). moved: whether a score was not clipped. size: (m,) people
    whom each stands for. fitted: (m,) scores before they were clipped."""

    value: np.ndarray
    design: np.ndarray | None
    moved: np.ndarray
    size: np.ndarray
    fitted: np.ndarray

    def through(self, slope: np.ndarray, exposed: np.ndarray) -> np.ndarray:
        """(m,) what each person adds, through the score, to a sum whose terms have the derivatives `slope` (m,) by the
        logit; zeros where the scores are taken as known."""
        if self.design is None:
            return np.zeros(len(self.value))
        e = self.fitted
        return influence(self.design, self.size * (exposed - e), self.size * e * (1 - e), slope @ self.design)


def logit_scores(people: People, clip: float | None) -> Scores:
    """Scores by the logit of this package."""
    score = fit_score(people.x, people.exposed, people.weight)
    return clipped(score.value, score.design(people.x), clip, people.sizes)


def model_scores(model: BaseEstimator, people: People, clip: float | None) -> Scores:
    """Scores by a scikit-learn estimator of the user's."""
    return clipped(learn(model, people, people.exposed).predict_proba(people.x)[:, 1], None, clip, people.sizes)


def clipped(value: np.ndarray, design: np.ndarray | None, clip: float | None, size: np.ndarray) -> Scores:
    """Scores kept away from 0 and 1 by `clip`."""
    if clip is None:
        return Scores(value, design, np.ones(len(value), dtype=bool), size, value)
    inside = (value >= clip) & (value <= 1 - clip)
    return Scores(value.clip(clip, 1 - clip), design, inside, size, value)


def learn(model: BaseEstimator, people: People, y: np.ndarray) -> BaseEstimator:
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


def too_sure(e: np.ndarray, exposed: np.ndarray, estimand: str) -> str:
    """Why scores of exactly 0 or 1 leave nothing to weigh: a weight without end, or an arm without weight; else ""."""
    no, yes = e == 0, e == 1
    endless = {"ATT": yes & ~exposed, "ATC": no & exposed, "ATE": np.where(exposed, no, yes)}
    nobody = {"ATT": no[~exposed].all(), "ATC": yes[exposed].all()}
    nobody["ATO"] = nobody["ATT"] or nobody["ATC"]
    over = int(endless[estimand].sum()) if estimand in endless else 0
    if not over and not nobody.get(estimand, False):
        return ""
    counts = [
        f"{of_people(int(no[a].sum()), 'of 0')} and {of_people(int(yes[a].sum()), 'of 1')} among {int(a.sum())}"
        for a in (exposed, ~exposed)
    ]
    endless_words = f"the weight of {of_people(over, 'would')} have no end"
    why = endless_words if over else "nobody in one arm can stand for the other"
    return (
        f"scores of exactly 0 or 1 ({of_people(counts[0])} with it, {of_people(counts[1], 'without')}): {why}. "
        "Use a model that is less sure of people, or clip the scores"
    )
