"""Weighted comparison: comparison people weighed until they look like those who had the component."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from evalkit.designs.missing import over_fillings
from evalkit.designs.people import estimating
from evalkit.designs.people.distances import Scores, scores_by, standardised
from evalkit.designs.people.people import People, balance_table, dropped_table, is_binary, sample_table, speaks_for
from evalkit.designs.people.standardising import FAMILIES, family_of, standardise
from evalkit.designs.people.weighting import CrossFit, Weighed, aipw, by_stratum, entropy, fewest_of, ipw
from evalkit.designs.protocol import Basis, Traits
from evalkit.errors import EvalkitWarning, NotIdentifiedError, OptionError, Problem, raise_problems, spelt
from evalkit.inference.estimate import Estimate
from evalkit.study import Study

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

SMALL = 2_000
MOST_TERMS = 30
SURE = 0.01


@dataclass(frozen=True, eq=False)
class Weighting:
    """Weights of people before any outcome: `.weights` by id, `.balance()`, `.sample`, `.dropped`. weight: (m,), 0 for
    those in strata that cannot be weighed; left_out: (m,) why, "" for everybody else."""

    people: People
    estimand: str
    weight: np.ndarray
    left_out: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def dropped(self) -> pd.DataFrame:
        """Who could have taken part and is not weighed: id, arm, reason."""
        return dropped_table(self.people, self.left_out)

    @property
    def weights(self) -> pd.Series:
        """Weight of each person, by id."""
        return pd.Series(self.weight, index=pd.Index(self.people.ids, name="id"), name="weight")

    def balance(self) -> pd.DataFrame:
        """Standardised mean differences, variance ratios and KS distances, before and after."""
        kind = "ATE" if self.estimand == "ATO" else self.estimand
        return balance_table(self.people, self.people.x, self.people.names, self.weight, kind)

    @property
    def sample(self) -> pd.DataFrame:
        """People, people weighed, effective sample size and the largest share one person has, by arm."""
        arms = (self.weight[self.people.exposed], self.weight[~self.people.exposed])
        share = [float(w.max() / w.sum()) if w.sum() > 0 else 0.0 for w in arms]
        return sample_table(self.people, self.weight, "weighed").assign(largest_share=share)


@dataclass(frozen=True)
class WeightedComparison(estimating.AmongPeople):
    """The effect of a component on people, from weighed people without it.

    method: "ipw" (inverse probability weighting, Hajek form), "entropy" (covariate means agree exactly; Hainmueller
        2012), "aipw" (doubly robust, cross-fitted; Chernozhukov et al. 2018) or "standardised" (a model of the outcome
        in each arm, averaged over the estimand's people: differences in risk, and in mean counts).
    estimand: "ATT", "ATC", "ATE", or "ATO" (overlap weights: "ipw", and "aipw", which is then the partially linear
        model of Robinson 1988: outcome and exposure each less what covariates, or learners, say of them).
    folds, repeats: of "aipw": parts of the data that predict each other, and how often they are drawn anew (the
        median counts). folds=1 fits on everybody.
    clip: scores are kept between clip and 1 - clip; None leaves them.
    learner: of "aipw", any scikit-learn regression in place of least squares by arm (the same as `outcome_model`).
    propensity, outcome_model: scikit-learn estimators (predict_proba; predict) in place of logit and least squares by
        arm. A score of your own is taken as known by "ipw".
    family: of "standardised", how the outcome is modelled: "logit", "log" or "line"; None: 0/1 by a logit, counts by a
        log link, the rest by a line.
    exact, others, covariates, outcome_period, covariate_period, compare, outcome: as in MatchedComparison; people are
        weighed within strata of the other components and of `exact`. others="balanced" takes the others' exposures (in
        the covariates' period) as covariates instead: right if effects add up.

    Contributions count the score or the balancing weights as estimated, and are clustered as the study is. The label
    `right_if` says what must hold for the answer to be right. "ipw" rests on the form of the score alone, "entropy" on
    it or on a linear outcome: `score_p` tests the score (see `score_doubt`), and `doubt` says in words
    what is wrong, "" where nothing is for sure.
    Combinations of other components that cannot be weighed are left out: the labels count the people and
    `not_weighed` says why. The study's weights multiply everything. Raises as MatchedComparison does, and
    `NotIdentifiedError` where no weights balance the arms in any."""

    method: str = "ipw"
    estimand: str = "ATT"
    folds: int = 5
    repeats: int = 5
    clip: float | None = None
    exact: tuple[str, ...] = ()
    others: str = "same"
    covariates: tuple[str, ...] | str | None = None
    outcome_period: object = None
    covariate_period: object = None
    compare: str = "level"
    propensity: BaseEstimator | None = None
    outcome_model: BaseEstimator | None = None
    seed: int = 0
    learner: BaseEstimator | None = None
    outcome: str | None = None
    family: str | None = None

    def __post_init__(self) -> None:
        estimating.as_tuples(self, ("exact", "covariates"), ("exact",))
        choices = {"method": tuple(_IGNORES), "estimand": ("ATT", "ATC", "ATE", "ATO"),
                   "others": ("same", "balanced", "ignored"), "compare": ("level", "change"),
                   "family": (None, *FAMILIES)}  # fmt: skip
        problems = [
            *estimating.wrong_choices(self, choices),
            *estimating.wrong_numbers(self, {"folds": 1, "repeats": 1}),
        ]
        if self.clip is not None and not (isinstance(self.clip, (int, float)) and 0 < self.clip < 0.5):
            problems.append(Problem(f"clip={spelt(self.clip)}", next="Give a number between 0 and 0.5."))
        if self.estimand == "ATO" and self.method not in ("ipw", "aipw"):
            words = "estimand='ATO' belongs to method='ipw' and method='aipw'"
            problems.append(Problem(words, next="Use one of these."))
        needed = {"propensity": "predict_proba", "outcome_model": "predict", "learner": "predict"}
        problems += estimating.wrong_learners(self, needed)
        if self.learner is not None and self.outcome_model is not None:
            problems.append(Problem("learner= and outcome_model= are given", next="Keep one of the two."))
        raise_problems(problems, OptionError)
        unused = _IGNORES[self.method]
        if ignored := [f.name for f in fields(self) if f.name in unused and getattr(self, f.name) != f.default]:
            words = f"method={self.method!r} does not use {', '.join(ignored)}."
            warnings.warn(words, EvalkitWarning, stacklevel=3)

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the check that they invite."""
        basis: set[Basis] = {"weighting", "additivity"} if self.others == "balanced" else {"weighting"}
        return Traits(frozenset(basis), checks=("score_form",))

    def weigh(self, study: Study, component: str) -> Weighting:
        """The weights and the balance they reach. Reads no outcome; "aipw" shows the weights of its score."""
        people = self._people(study, component)
        found = by_stratum(people, np.zeros(len(people)), self.estimand, self._plain)
        assert found.weight is not None and found.left_out is not None
        words = left_out_words(people, found.left_out)
        notes = (f"Not weighed: {words}.",) if words else ()
        return Weighting(people, self.estimand, found.weight, found.left_out, notes)

    def _people(self, study: Study, component: str) -> People:
        """Who takes part; `OptionError` where nothing is known by which they could be weighed."""
        people = self.people(study, component)
        balanced = self.others == "balanced" and len(study.paths.components) > 1
        if not people.x.shape[1] and not self.exact and not balanced:
            words = f"WeightedComparison(method={self.method!r}) needs covariates and this study names none. "
            raise OptionError(words + "Give covariates=[...] to the study or to the design, or use exact=[...].")
        return people

    @over_fillings
    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        people = self._people(study, component)
        y = self.read(study, people)
        seen = np.isfinite(y)
        unseen = int((~seen).sum())
        people, y = (people, y) if not unseen else (people.take(seen), y[seen])
        if self.method == "aipw" and self.folds > 1 and len(people) < SMALL:
            words = f"With {len(people)} people the answer of cross-fitting moves with the split. The median over "
            words += f"{self.repeats} splits is given; folds=1 fits on everybody."
            warnings.warn(words, EvalkitWarning, stacklevel=3)
        level = estimating.cluster_level(study, component)
        clusters = None if level is None else study.paths.levels[level].codes
        if self.method == "standardised" and self.family is None:
            return replace(self, family=family_of(y, study.outcome(self.outcome).kind))(study, component)
        found = self._run(people, y, clusters)
        value, parts = estimating.steady(found.value, found.parts, y)
        row = self._row(study, people, replace(found, value=value, parts=parts), unseen, level)
        est = row.estimate(self, study, people, level)
        if self.method in ("ipw", "entropy"):  # entropy balance rests on the score too, unless the outcome is linear
            groups = None if clusters is None else clusters[people.rows]
            p_value, doubt = score_doubt(people, self.estimand, self._scores, groups)
            linear = _SAVED if self.method == "entropy" and doubt else ""
            est = est.with_labels(score_p=p_value, doubt=doubt + linear)
        if level is None or clusters is None or np.isnan(value):
            return est
        plain = replace(self, folds=1) if self.method == "aipw" else self
        refit = partial(_refit, plain, people, y, clusters, value - plain.value(people, y, clusters))
        return estimating.cluster_refits(refit, est, study, people, level)

    def _run(self, people: People, y: np.ndarray, clusters: np.ndarray | None) -> Weighed:
        """clusters: codes of everybody in the study, None where nobody shares one."""

        def robust(some: People, y: np.ndarray) -> Weighed:
            groups = None if clusters is None else clusters[some.rows]
            whole = groups if groups is not None and len(np.unique(groups)) >= 2 * self.folds else None
            models = self.propensity, self.outcome_model or self.learner, self.clip
            return aipw(y, some, self.estimand, CrossFit(self.folds, self.repeats, self.seed, whole, *models))

        return by_stratum(people, y, self.estimand, robust if self.method == "aipw" else self._plain)

    def _scores(self, people: People) -> Scores:
        return scores_by(people, self.propensity, self.clip)

    def _plain(self, people: People, y: np.ndarray) -> Weighed:
        """One stratum, without a split into folds."""
        if self.method == "entropy":
            return entropy(y, people, self.estimand)
        if self.method == "standardised":
            return standardise(y, people, self.estimand, self.family or "line")
        return ipw(y, people.exposed, self._scores(people), self.estimand)

    def value(self, people: People, y: np.ndarray, clusters: np.ndarray) -> float:
        """The estimate alone, NaN where there is none. clusters: codes of everybody in the study."""
        if not people.exposed.any() or people.exposed.all():
            return float("nan")
        try:
            return self._run(people, y, clusters).value
        except NotIdentifiedError:
            return float("nan")

    def _row(self, study: Study, people: People, found: Weighed, unseen: int, level: str | None) -> estimating.Row:
        assert found.weight is not None and found.left_out is not None
        used, target = found.weight > 0, people.target(self.estimand)
        population = speaks_for(self.estimand, int((used & target).sum()), int(target.sum()), "can be weighed")
        reason = found.reason
        if not reason and not used.any():
            one, zero = int(people.exposed.sum()), int((~people.exposed).sum())
            reason = f"no combination of the others has {fewest_of(people)} people in both arms ({one} exposed, "
            reason += f"{zero} comparison in all)"
        sample = sample_table(people, found.weight, "weighed")
        effective = sample["effective"] if self.method in ("ipw", "entropy") else [np.nan, np.nan]
        before = {"effective_exposed": effective[0], "effective_comparison": effective[1]}
        kind = "ipw" if self.estimand == "ATO" else self.method  # the partially linear model needs the score too
        right_if = _RIGHT_IF[kind] if people.x.shape[1] else estimating.NOTHING_ELSE
        lost = left_out_words(people, found.left_out)
        after = {"not_weighed": lost, "right_if": right_if, "score_p": float("nan"), "doubt": ""}
        parts = estimating.by_person(study, people, found.parts, level)
        return estimating.Row(found.value, parts, used, population, unseen, reason, before, after)


def _refit(
    design: WeightedComparison, people: People, y: np.ndarray, clusters: np.ndarray, shift: float, keep: np.ndarray
) -> float:
    """The estimate of some people with weights made anew, moved by `shift`: cross-fitted estimates move by what they
    would move without folds, as new splits would add noise of their own to every refit."""
    return shift + design.value(people.take(keep), y[keep], clusters)


_IGNORES = {
    "ipw": ("folds", "repeats", "outcome_model", "learner", "family"),
    "entropy": ("folds", "repeats", "outcome_model", "learner", "clip", "propensity", "family"),
    "aipw": ("family",),
    "standardised": ("folds", "repeats", "outcome_model", "learner", "clip", "propensity"),
}
_SAVED = "; so the outcome must be linear in the covariates"
_RIGHT_IF = {
    "ipw": "the propensity score has the right form",
    "entropy": "the outcome, or the log odds of having it, is linear in the covariates",
    "standardised": "the model of the outcome has the right form",
    "aipw": "the propensity score or the model of the outcome has the right form",
}


def left_out_words(people: People, left_out: np.ndarray) -> str:
    """How many of each arm are not weighed, reason by reason; "" where everybody is."""
    words = []
    for why in dict.fromkeys(str(w) for w in left_out if w):
        mine = left_out == why
        with_it = int((mine & people.exposed).sum())
        words.append(f"{with_it} exposed and {int(mine.sum()) - with_it} comparison people: {why}")
    return "; ".join(words)


def score_doubt(
    people: People, estimand: str, scores: Callable[[People], Scores], groups: np.ndarray | None
) -> tuple[float, str]:
    """The smallest two-sided p-value times the number of terms asked, NaN where there is nothing to ask; and what is
    wrong in words, "" where nothing is for sure.

    Weigh squares and products of the covariates as if each were an outcome that the component cannot have moved: a
    right score makes them alike on average, so each tests its form (an over-identified moment, as in Imai and Ratkovic
    2014), with the estimated score's part in its standard error. At most 30 terms are asked, squares first. groups:
    (m,) codes of clusters."""
    known: dict[int, Scores] = {}

    def fit(some: People, values: np.ndarray) -> Weighed:
        first = int(some.rows[0])
        if first not in known:
            known[first] = scores(some)
        return ipw(values, some.exposed, known[first], estimand)

    found = []
    for term, values in _terms(people):
        got = by_stratum(people, values, estimand, fit)
        sums = got.parts if groups is None else np.bincount(groups, weights=got.parts)
        error = float(np.sqrt((sums**2).sum()))
        if error > 0 and np.isfinite(got.value):
            found.append((2 * special.ndtr(-abs(got.value) / error), term, got.value / values.std()))
    if not found:
        return float("nan"), ""
    p, term, gap = min(found)
    p = min(1.0, len(found) * p)
    words = "the propensity score does not have the right form: after weighting, "
    words += f"{term} still differs between the arms by {abs(gap):.2g} standard deviations (adjusted p {p:.1g})"
    return float(p), words if p < SURE else ""


def _terms(people: People) -> Iterator[tuple[str, np.ndarray]]:
    """Squares of covariates that are not 0/1, then products of two, as far as there is room for all of a kind."""
    x, names = people.x, people.names
    if not x.shape[1]:
        return
    z, squares = standardised(x)[0][:, 1:], np.flatnonzero(~is_binary(x))[:MOST_TERMS]
    for j in squares:
        yield f"{names[j]} squared", z[:, j] ** 2
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if len(pairs) + len(squares) > MOST_TERMS:
        return
    for i, j in pairs:
        yield f"{names[i]} times {names[j]}", z[:, i] * z[:, j]
