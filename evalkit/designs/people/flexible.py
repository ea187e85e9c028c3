"""Flexible comparison: people who had a component beside people like them, by learners that may bend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evalkit.designs.missing import over_fillings
from evalkit.designs.people import estimating
from evalkit.designs.people.distances import standardised
from evalkit.designs.people.folds import (
    Learn,
    chances,
    deal_folds,
    held_out,
    least_squares,
    regression,
    squares,
    stacked,
)
from evalkit.designs.people.people import People, speaks_for
from evalkit.designs.people.weighting import entropy
from evalkit.designs.protocol import Basis, Traits
from evalkit.errors import NotIdentifiedError, OptionError, raise_problems
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Spread
from evalkit.inference.replicates import Method
from evalkit.progress import step
from evalkit.study import Study

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FEWEST_PEOPLE, FEWEST_PLACES = 50, 10
"""People a side, and places where people sit in places, below which there is nothing to learn from."""
FAR = 0.5
SURE, EXTREME = 0.9, 0.005
"""Scores above the first have nobody like them; scores are kept away from 0 and 1 by the second."""
STEPS = 255
BOOSTED = {"max_iter": 60, "max_leaf_nodes": 8, "learning_rate": 0.1, "min_samples_leaf": 20, "early_stopping": False}


@dataclass(frozen=True, eq=False)
class Split:
    """One split into folds. score: (m,) chance of having it; expected: (m, l) outcome without it by each learner, of
    which `shares` (l,) make one; keep: (m,) those with somebody like them."""

    score: np.ndarray
    expected: np.ndarray
    shares: np.ndarray
    keep: np.ndarray

    @property
    def without(self) -> np.ndarray:
        """(m,) outcome expected without it."""
        return np.asarray(self.expected @ self.shares)

    def weights(self, people: People) -> np.ndarray:
        """(m,) how many people each exposed one stands for, and of others that times the odds of having it."""
        return np.asarray(people.sizes * np.where(people.exposed, 1.0, self.score / (1 - self.score)))


def kept_effect(
    y: np.ndarray, exposed: np.ndarray, expected: np.ndarray, weight: np.ndarray, keep: np.ndarray
) -> tuple[float, np.ndarray]:
    """Effect on the exposed who are kept: their mean distance from what is expected without it, less that of weighted
    comparison people; and what each adds to it (m,). weight: (m,) of an exposed person how many it stands for, of
    others how much they count."""
    left, sums = y - expected, []
    parts = np.zeros(len(y))
    for side, sign in ((exposed, 1.0), (~exposed, -1.0)):
        mine = np.where(side & keep, weight, 0.0)
        total = mine.sum()
        if not total > 0:
            return float("nan"), np.zeros(len(y))
        sums.append(float(mine @ left) / total)
        parts += sign * mine * (left - sums[-1]) / total
    return sums[0] - sums[1], parts


@dataclass(frozen=True)
class Rival:
    """Another way of comparing the same people with the same pool. gap: the headline's answer less its own, with p of
    no gap; far: whether it is over half of the headline's standard error (less would leave a range that is said to hold
    the truth 95 times in 100 at 92); counts: whether it may fail the headline."""

    name: str
    gap: float
    low: float
    high: float
    p: float
    far: bool
    counts: bool


@dataclass(frozen=True)
class FlexibleComparison(estimating.AmongPeople):
    """The effect of a component on those who had it and have somebody like them, by learners that may bend.

    A boosted score; the outcome without it by short-stacking of least squares, lasso on squares and products, and
    boosting, learned from comparison people alone; both of people not seen when they were learned (`folds`, by people
    or by the study's clusters). Exposed and comparison people with a score above .9 are left out, and counted. Doubly
    robust with normalised weights; the median over `repeats` splits, whose variance adds each split's distance from
    it (Chernozhukov and others 2018, Econometrics Journal 21). The study's weights go into every learner and every
    mean, so that they may differ by arm. The rule was fixed in simulation, before any outcome of the exposed is read;
    nothing in it looks at the answer (research: no wrong-signed claim in 2,100 draws).

    learner: any scikit-learn regression in place of the stack; score: any classifier in place of the boosted one.
    others: "balanced" takes the others' exposures as covariates that may bend with the rest; "ignored" does not look at
    them. covariates, outcome_period, covariate_period, compare, outcome: as in MatchedComparison.

    NaN with its reason where fewer than 50 people a side or 10 clusters are there, or nobody has somebody like them.
    Raises as MatchedComparison does, and `NotIdentifiedError` where there is no covariate."""

    learner: BaseEstimator | None = None
    score: BaseEstimator | None = None
    folds: int = 5
    repeats: int = 3
    others: str = "balanced"
    covariates: tuple[str, ...] | str | None = None
    outcome_period: object = None
    covariate_period: object = None
    compare: str = "level"
    seed: int = 0
    outcome: str | None = None
    estimand = "ATT"
    exact = ()

    def __post_init__(self) -> None:
        estimating.as_tuples(self, ("covariates",), ())
        problems = [
            *estimating.wrong_choices(self, {"others": ("balanced", "ignored"), "compare": ("level", "change")}),
            *estimating.wrong_numbers(self, {"folds": 2, "repeats": 1}),
            *estimating.wrong_learners(self, {"learner": "predict", "score": "predict_proba"}),
        ]
        raise_problems(problems, OptionError)

    @property
    def traits(self) -> Traits:
        """What its answers rest on."""
        basis: frozenset[Basis] = frozenset({"matching"})
        return Traits(basis)

    @over_fillings
    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        people, y, unseen = self._seen(study, component)
        level = estimating.cluster_level(study, component)
        groups = None if level is None else study.paths.levels[level].codes[people.rows]
        if reason := too_few(people, groups):
            return self._row(
                study, people, (np.nan, np.zeros(len(y)), np.nan, np.nan), people.exposed, unseen, reason, level
            )
        step(f"{component}: learners, on people held out")
        found = []
        for split in self.splits(people, y, groups):
            value, parts = kept_effect(y, people.exposed, split.without, split.weights(people), split.keep)
            found.append((value, parts, *spread_of(parts, groups), split))
        values = np.array([f[0] for f in found])
        if np.isnan(values).any():
            reason = "nobody without it is like those who had it"
            return self._row(
                study, people, (np.nan, np.zeros(len(y)), np.nan, np.nan), people.exposed, unseen, reason, level
            )
        middle = float(np.median(values))
        variance = float(np.median([f[2] + (f[0] - middle) ** 2 for f in found]))
        nearest = found[int(np.abs(values - middle).argmin())]
        parts = nearest[1] * np.sqrt(variance / nearest[2]) if nearest[2] > 0 else nearest[1]
        return self._row(study, people, (middle, parts, variance, nearest[3]), nearest[4].keep, unseen, "", level)

    def rivals(self, study: Study, component: str) -> tuple[Rival, ...]:
        """Other ways of comparing the same people, each beside the answer of one split: the nearest by the score;
        balance of squares and products, where a line says more of the outcome than boosting; and a straight line, which
        is shown and never fails a headline."""
        people, y, _ = self._seen(study, component)
        level = estimating.cluster_level(study, component)
        groups = None if level is None else study.paths.levels[level].codes[people.rows]
        if too_few(people, groups):
            return ()
        split = next(self.splits(people, y, groups))
        value, parts = kept_effect(y, people.exposed, split.without, split.weights(people), split.keep)
        whole = float(np.sqrt(spread_of(parts, groups)[0]))
        return tuple(
            _beside((n, counts), value - v, parts - p, groups, whole)
            for n, v, p, counts in _others(people, y, split, groups, self)
        )

    def splits(self, people: People, y: np.ndarray, groups: np.ndarray | None) -> Iterator[Split]:
        """What learners say of those that they have not seen, split by split."""
        learners = self._learners(people, y)
        without = ~people.exposed
        score = _boosted(classifier=True) if self.score is None else self.score
        for repeat in range(self.repeats):
            rng = np.random.default_rng([self.seed, repeat])
            fold = deal_folds(people.exposed, self.folds, rng, groups)
            seen = people.x if self.score is not None else _for_boosting(people)
            chance = chances(score, seen, people.exposed.astype(int), fold, people.weight)[:, 1]
            chance = chance.clip(EXTREME, 1 - EXTREME)
            expected = np.column_stack([held_out(learn, x, y, fold, without, people.weight) for learn, x in learners])
            shares = stacked(expected[without], y[without], people.sizes[without])
            yield Split(chance, expected, shares, chance <= SURE)

    def _learners(self, people: People, y: np.ndarray) -> list[tuple[Learn, np.ndarray]]:
        """Learners and the covariates that each sees; the lasso's penalty is chosen once, among comparison people."""
        x, without = people.x, people.take(~people.exposed)
        if self.learner is not None:
            return [(regression(self.learner), x)]
        from sklearn.linear_model import Lasso, LassoCV

        bent = squares(x)
        chosen = LassoCV(cv=5, max_iter=2000)
        penalty = chosen.fit(bent[~people.exposed], y[~people.exposed], sample_weight=without.weight).alpha_
        lasso = regression(Lasso(alpha=penalty, max_iter=2000))
        return [(least_squares, x), (lasso, bent), (regression(_boosted(classifier=False)), _for_boosting(people))]

    def _seen(self, study: Study, component: str) -> tuple[People, np.ndarray, int]:
        people = self.people(study, component)
        if not people.x.shape[1]:
            raise NotIdentifiedError("FlexibleComparison needs covariates: nothing else says who is like whom.")
        y = self.read(study, people)
        seen = np.isfinite(y)
        return _of_mean_one(people.take(seen)), y[seen], int((~seen).sum())

    def _row(
        self, study: Study, people: People, found: tuple[float, np.ndarray, float, float], keep: np.ndarray,
        unseen: int, reason: str, level: str | None,
    ) -> Estimate:  # fmt: skip
        value, parts, variance, df = found
        used = keep if np.isfinite(value) else np.ones(len(people), dtype=bool)
        mine = int((used & people.exposed).sum())
        population = speaks_for("ATT", mine, int(people.exposed.sum()), "have somebody like them")
        after = {"right_if": "the learners come close to how the score or the outcome bends", "doubt": ""}
        influence = estimating.by_person(study, people, parts, level)
        row = estimating.Row(value, influence, used, population, unseen, reason, {}, after)
        spread = Spread(np.array([[variance]]), np.array([df]), ("",))
        return replace(row.estimate(self, study, people, level), method=Method("cross-fitted", partial(_moved, spread)))


def _of_mean_one(people: People) -> People:
    """People whose weights are one on average, so that nothing a learner does hangs on their unit; none where all are
    alike."""
    if people.weight is None or not len(people):
        return people
    return replace(people, weight=None if np.ptp(people.weight) == 0 else people.weight / people.weight.mean())


def too_few(people: People, groups: np.ndarray | None) -> str:
    """Why there is too little to learn from, '' where there is enough."""
    sides = int(people.exposed.sum()), int((~people.exposed).sum())
    if min(sides) < FEWEST_PEOPLE:
        return f"{sides[0]} people had it and {sides[1]} did not; learners need {FEWEST_PEOPLE} on each side"
    places = FEWEST_PLACES if groups is None else len(np.unique(groups))
    return f"people sit in {places} places; learners need {FEWEST_PLACES}" if places < FEWEST_PLACES else ""


def spread_of(parts: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Variance of a sum of contributions, by person or by group, and its degrees of freedom."""
    if groups is None:
        return float(parts @ parts), float("inf")
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=parts)
    return float(len(sums) / (len(sums) - 1) * (sums @ sums)), float(len(sums) - 1)


def _moved(spread: Spread, matrix: np.ndarray | None) -> Spread:
    if matrix is None:
        return spread
    return Spread(matrix @ spread.vcov @ matrix.T, np.repeat(spread.df, len(matrix)), spread.reason * len(matrix))


def _boosted(classifier: bool) -> BaseEstimator:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return HistGradientBoostingClassifier(**BOOSTED) if classifier else HistGradientBoostingRegressor(**BOOSTED)


def _for_boosting(people: People) -> np.ndarray:
    """(m, q) covariates as boosting sees them. With weights scikit-learn looks for each of its 255 steps by itself,
    which takes five times as long as all that follows; steps cut beforehand, by people alike, are taken as they are."""
    if people.weight is None:
        return people.x
    return np.column_stack([_steps(column) for column in people.x.T])


def _steps(values: np.ndarray) -> np.ndarray:
    """(m,) the same order in no more than 255 values."""
    if len(np.unique(values)) <= STEPS:
        return values
    edges = np.unique(np.quantile(values, np.linspace(0, 1, STEPS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right").astype(float)


def _others(
    people: People, y: np.ndarray, split: Split, groups: np.ndarray | None, design: FlexibleComparison
) -> Iterator[tuple[str, float, np.ndarray, bool]]:
    """Name, answer, contributions, and whether it counts, of each rival on the same people."""
    from sklearn.linear_model import LogisticRegression

    exposed, keep, size = people.exposed, split.keep, people.sizes
    fold = deal_folds(exposed, design.folds, np.random.default_rng([design.seed, 0]), groups)
    near = np.where(exposed, size, nearest_counts(special.logit(split.score), exposed, keep, size))
    yield ("the nearest by score", *kept_effect(y, exposed, split.without, near, keep), True)
    loss = np.average((y[~exposed, None] - split.expected[~exposed]) ** 2, axis=0, weights=size[~exposed])
    if len(loss) == 1 or loss[-1] > loss[:-1].min():
        try:
            balanced = entropy(y[keep], replace(people.take(keep), x=squares(people.x[keep])), "ATT")
            parts = np.zeros(len(y))
            parts[keep] = balanced.parts
            yield "balance of squares and products", balanced.value, parts, True
        except NotIdentifiedError:
            pass  # no weights balance so many terms: nothing to compare with
    logit, scaled = LogisticRegression(C=1e6, max_iter=500), standardised(people.x)[0][:, 1:]
    straight = chances(logit, scaled, exposed.astype(int), fold, people.weight)[:, 1].clip(EXTREME, 1 - EXTREME)
    line = held_out(least_squares, people.x, y, fold, ~exposed, people.weight)
    weight = size * np.where(exposed, 1.0, straight / (1 - straight))
    yield ("a straight line", *kept_effect(y, exposed, line, weight, keep), False)


def nearest_counts(score: np.ndarray, exposed: np.ndarray, keep: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(m,) for how many, by their `size` (m,), of the exposed who are kept each comparison person who is kept is the
    nearest by score."""
    pool = np.flatnonzero(~exposed & keep)
    pool = pool[np.argsort(score[pool], kind="stable")]
    if len(pool) < 2:
        return (~exposed & keep).astype(float)
    own = score[exposed & keep]
    at = np.searchsorted(score[pool], own).clip(1, len(pool) - 1)
    at = np.where(np.abs(score[pool[at - 1]] - own) <= np.abs(score[pool[at]] - own), at - 1, at)
    return np.bincount(pool[at], weights=size[exposed & keep], minlength=len(score))


def _beside(who: tuple[str, bool], gap: float, parts: np.ndarray, groups: np.ndarray | None, whole: float) -> Rival:
    """A rival by its name and whether it counts; whole: the headline's standard error."""
    from scipy.stats import t as student

    variance, df = spread_of(parts, groups)
    error = float(np.sqrt(variance))
    reach = float(student.ppf(0.975, df)) * error
    p = float(2 * student.sf(abs(gap) / error, df)) if error > 0 else float("nan")
    return Rival(who[0], gap, gap - reach, gap + reach, p, abs(gap) > FAR * whole, who[1])
