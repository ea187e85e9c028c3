"""The propensity score, and how far apart two people are by it or by covariates measured together.

A `Space` gives everybody a point, so that the distance of two people is the Euclidean distance of
their points, and says how far is too far."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.designs.logit import FAR, independent, influence, maximise
from evalkit.designs.people.folds import chances_of, fitted
from evalkit.designs.people.people import People
from evalkit.errors import EvalkitWarning, NotIdentifiedError, OptionError, spelt, suggest
from evalkit.show.words import of_people

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

LINE = ("propensity", "logit")
DISTANCES = (*LINE, "mahalanobis", "robust_mahalanobis", "euclidean")
Caliper = float | Mapping[str, float] | None
ROUNDING, DIGITS = 1e-12, 12
"""Distances that differ by less are equal: who is taken must not hang on a machine's rounding."""


@dataclass(frozen=True, eq=False)
class Score:
    """logit, value: (m,) linear predictor and propensity score. coef: (q + 1,) intercept first, in the covariates' own
    units; 0 for columns that repeat others. kept: columns of [1, x] in the fit. beta: their coefficients where x is
    standardised."""

    logit: np.ndarray
    value: np.ndarray
    coef: np.ndarray
    kept: np.ndarray
    beta: np.ndarray

    def design(self, x: np.ndarray) -> np.ndarray:
        """(m, len(kept)) the columns of the fit, for the people on whom it was made."""
        whole = standardised(x)[0]
        return whole if len(self.kept) == whole.shape[1] else whole[:, self.kept]


def standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, q + 1) a constant, and columns in standard deviations from their means; the means and standard deviations (1
    where nothing varies)."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale, out = np.where(scale > 0, scale, 1.0), np.ones((len(x), x.shape[1] + 1))
    np.divide(x - centre, scale, out=out[:, 1:])
    return out, centre, scale


def fit_score(x: np.ndarray, exposed: np.ndarray, weight: np.ndarray | None = None) -> Score:
    """Maximum likelihood logit of being exposed on covariates (m, q), as R's `glm`; weight: (m,) or None. Equal rows
    get exactly equal scores, so ties are ties. Raises `NotIdentifiedError` where the covariates tell the two arms
    apart perfectly; warns where they nearly do."""
    design, centre, scale = standardised(x)
    width, kept = design.shape[1], independent(design)
    design = design if len(kept) == width else design[:, kept]
    beta, coef = maximise(design, exposed.astype(float), weight), np.zeros(width)
    coef[kept] = beta
    slope = coef[1:] / scale
    coef = np.concatenate([[coef[0] - slope @ centre], slope])
    logit = _linear(x, coef)
    if logit[exposed].min() > logit[~exposed].max():
        raise NotIdentifiedError(
            "The covariates tell exposed and comparison people apart perfectly, so nobody can stand for anybody. "
            "Leave out the covariate that decides who was exposed, or compare other people."
        )
    if extreme := int((np.abs(logit) > FAR).sum()):
        words = f"The propensity score of {of_people(extreme)} is all but 0 or 1: a covariate nearly decides who was "
        words += "exposed. These people have nobody like them in the other arm."
        warnings.warn(words, EvalkitWarning, stacklevel=2)
    return Score(logit, special.expit(logit), coef, kept, beta)


def _linear(x: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Column by column: a matrix product may round equal rows differently."""
    out = np.full(len(x), coef[0])
    for j in range(x.shape[1]):
        out += x[:, j] * coef[j + 1]
    return out


def score_of(people: People) -> Score:
    """The propensity score on covariates and the combination of other components, learnt from combinations that have
    both arms."""
    x, here = people.regressors, people.comparable
    if here.all() or not here.any():
        return fit_score(x, people.exposed, people.weight)
    score = fit_score(x[here], people.exposed[here], None if people.weight is None else people.weight[here])
    logit = _linear(x, score.coef)
    return replace(score, logit=logit, value=special.expit(logit))


def as_near(distance: float) -> float:
    """Largest distance that counts as equal."""
    return distance + ROUNDING * (1 + distance)


@dataclass(frozen=True)
class Fence:
    """A caliper on one variable: people further apart than `width` on `values` are not matched."""

    values: np.ndarray
    width: float


@dataclass(frozen=True, eq=False)
class Space:
    """Points (m, d) of the people; limit: largest distance of two matched people; fences: further
    calipers; score: the propensity score, where one was fitted; unit: SD of a one-dimensional distance."""

    points: np.ndarray
    limit: float = np.inf
    fences: tuple[Fence, ...] = ()
    score: Score | None = None
    unit: float = 1.0
    named: str = "distance"

    @property
    def line(self) -> bool:
        """Whether everybody stands on one line."""
        return self.points.shape[1] == 1 and not self.fences

    def within(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether people at positions a lie within every fence of those at b; both broadcast."""
        good = np.ones(np.broadcast_shapes(a.shape, b.shape), dtype=bool)
        for f in self.fences:
            good &= np.abs(f.values[a] - f.values[b]) <= f.width
        return good

    def take(self, order: np.ndarray) -> Space:
        """The same space with its people in another order."""
        fences = tuple(replace(f, values=f.values[order]) for f in self.fences)
        score = self.score and replace(self.score, logit=self.score.logit[order], value=self.score.value[order])
        return replace(self, points=self.points[order], score=score, fences=fences)


def make_space(
    people: People, distance: str, caliper: Caliper = None, columns: tuple[str, ...] | None = None, scored: bool = False
) -> Space:
    """The space of a named distance. columns: covariates of a joint distance, all when None. A number as caliper counts
    standard deviations of the distance (of the covariates, for joint distances); a mapping names "propensity", "logit"
    or covariates. scored: whether the propensity score is wanted for the order even so."""
    named = dict(caliper) if isinstance(caliper, Mapping) else {}
    needs = distance in LINE or scored or bool({"propensity", "logit"} & set(named))
    if not people.x.shape[1]:
        words = f"distance={spelt(distance)} needs covariates and this study names none. "
        raise OptionError(words + "Give covariates=[...] to the study or to the design, or use method='exact'.")
    score = score_of(people) if needs else None
    if distance in LINE:
        value = on_line(score, distance)
        points, unit = value[:, None], float(value.std(ddof=1))
    else:
        points, unit = _joint(people, distance, columns), 1.0
    width = named.pop(distance, np.inf) if isinstance(caliper, Mapping) else np.inf if caliper is None else caliper
    limit, fences = float(width) * unit, []
    for name, width in named.items():
        if name in LINE:
            values = on_line(score, name)
        elif name in people.names:
            values = people.x[:, people.names.index(name)]
        else:
            raise OptionError(f"caliper names {name!r}. {suggest(name, [*LINE, *people.names], 'It can name')}")
        fences.append(Fence(values, as_near(width * float(values.std(ddof=1)))))
    return Space(points, as_near(limit), tuple(fences), score, unit, distance)


def on_line(score: Score | None, name: str) -> np.ndarray:
    """(m,) the propensity score, or its logit."""
    assert score is not None
    return score.logit if name == "logit" else score.value


def _joint(people: People, distance: str, columns: tuple[str, ...] | None) -> np.ndarray:
    """Points of a joint distance: covariances are pooled within the arms. Robust: ranks in place of values, and ties do
    not shrink a variable's variance (Rosenbaum 2010, section 8.3)."""
    x, exposed = people.x, people.exposed
    if columns is not None:
        lost = [c for c in columns if c not in people.names]
        if lost:
            raise OptionError(
                f"distance_on names {spelt(lost[0])}. {suggest(lost[0], people.names, 'The covariates are')}"
            )
        x = x[:, [people.names.index(c) for c in columns]]
    if distance == "robust_mahalanobis":
        from scipy.stats import rankdata

        ranks = rankdata(x, axis=0)
        cov = np.atleast_2d(np.cov(ranks, rowvar=False))
        grow = np.sqrt(np.arange(1, len(x) + 1).var(ddof=1) / np.diag(cov))
        return whiten(ranks, cov * np.outer(grow, grow))
    centred = x - np.where(exposed[:, None], x[exposed].mean(axis=0), x[~exposed].mean(axis=0))
    cov = centred.T @ centred / (len(x) - 2)
    return whiten(x, np.diag(np.diag(cov)) if distance == "euclidean" else cov)


def whiten(x: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(m, d) points whose Euclidean distance is the Mahalanobis distance for `cov` (generalised inverse). Equal rows
    get exactly equal points."""
    scale = np.sqrt(np.diag(cov))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(cov / np.outer(scale, scale))
    keep = values > 1e-9 * values.max()
    root = vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None]
    centred, out = x - x.mean(axis=0), np.zeros((len(x), root.shape[1]))
    for j, row in enumerate(root):
        out += centred[:, j, None] * row
    return out


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


def scores_by(people: People, model: BaseEstimator | None, clip: float | None) -> Scores:
    """Scores by the logit of this package, or by a scikit-learn estimator; kept away from 0 and 1 by `clip`."""
    if model is None:
        score = fit_score(people.x, people.exposed, people.weight)
        value, design = score.value, score.design(people.x)
    else:
        value, design = chances_of(learn(model, people, people.exposed), people.x)[:, 1], None
    if clip is None:
        return Scores(value, design, np.ones(len(value), dtype=bool), people.sizes, value)
    return Scores(value.clip(clip, 1 - clip), design, (value >= clip) & (value <= 1 - clip), people.sizes, value)


def learn(model: BaseEstimator, people: People, y: np.ndarray) -> BaseEstimator:
    """A copy of the user's estimator, fitted to some people with the study's weights. Raises `OptionError` where it
    takes none."""
    return fitted(model, people.x, y, people.weight)


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
    many = f"the weight of {of_people(over, 'would')} have no end"
    return (
        f"scores of exactly 0 or 1 ({of_people(counts[0])} with it, {of_people(counts[1], 'without')}): "
        f"{many if over else 'nobody in one arm can stand for the other'}. "
        "Use a model that is less sure of people, or clip the scores"
    )
