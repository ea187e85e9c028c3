"""Weighted comparison: comparison people weighed until they look like those who had the component."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from evalkit.designs.people.balance import speaks_for
from evalkit.designs.people.doubly_robust import Models, Splits, aipw
from evalkit.designs.people.estimating import (
    NOTHING_ELSE,
    AmongPeople,
    Row,
    arms,
    as_tuples,
    by_person,
    cluster_level,
    cluster_refits,
    steady,
    whole_number,
    wrong_choices,
)
from evalkit.designs.people.people import People
from evalkit.designs.people.score import Scores, logit_scores, model_scores
from evalkit.designs.people.weighting import (
    Doubt,
    One,
    Weighed,
    Weighting,
    by_stratum,
    entropy,
    ipw,
    left_out_words,
    score_doubt,
)
from evalkit.designs.protocol import Basis, Traits
from evalkit.errors import EvalkitWarning, NotIdentifiedError, OptionError, Problem, raise_problems
from evalkit.inference.estimate import Estimate
from evalkit.study import Study

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

SMALL = 2_000


@dataclass(frozen=True)
class WeightedComparison(AmongPeople):
    """The effect of a component on people, from weighed people without it.

    method: "ipw" (inverse probability weighting, Hajek form), "entropy" (covariate means agree exactly; Hainmueller
        2012) or "aipw" (doubly robust, cross-fitted; Chernozhukov et al. 2018).
    estimand: "ATT", "ATC", "ATE", or "ATO" (overlap weights, "ipw" only).
    folds, repeats: of "aipw": parts of the data that predict each other, and how often they are drawn anew (the
        median counts). folds=1 fits on everybody.
    clip: scores are kept between clip and 1 - clip; None leaves them.
    propensity, outcome_model: scikit-learn estimators (predict_proba; predict) in place of logit and least squares by
        arm. A score of your own is taken as known by "ipw".
    exact, others, covariates, outcome_period, covariate_period, compare, outcome: as in MatchedComparison; people are
        weighed within strata of the other components and of `exact`. others="balanced" takes the others' exposures (in
        the covariates' period) as covariates instead: right if effects add up.

    Contributions count the score or the balancing weights as estimated, and are clustered as the study is. The label
    `right_if` says what must hold for the answer to be right. "ipw" rests on the form of the score alone, "entropy" on
    it or on a linear outcome: `score_p` tests the score (see `score_doubt`), and `doubt` says in words
    what is wrong, "" where nothing is for sure.
    Combinations of other components that cannot be weighed are left out: the labels count the people and
    `not_weighed` says why. The study's weights multiply everything. Raises as MatchedComparison does, and
    `NotIdentifiedError` where no weights balance the arms in any.
    """

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
    outcome: str | None = None

    def __post_init__(self) -> None:
        as_tuples(self, ("exact", "covariates"), ("exact",))
        raise_problems(_problems(self), OptionError)
        defaults = {f.name: f.default for f in fields(self)}
        ignored = [n for n in _IGNORES[self.method] if getattr(self, n) != defaults[n]]
        if ignored:
            listed = ", ".join(ignored)
            warnings.warn(f"method={self.method!r} does not use {listed}.", EvalkitWarning, stacklevel=3)

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the check that they invite."""
        basis: set[Basis] = {"weighting", "additivity"} if self.others == "balanced" else {"weighting"}
        return Traits(frozenset(basis), checks=("score_form",))

    def weigh(self, study: Study, component: str) -> Weighting:
        """The weights and the balance they reach. Reads no outcome; "aipw" shows the weights of its score."""
        people = self.people(study, component)
        found = by_stratum(people, np.zeros(len(people)), self.estimand, _least(people), self._plain())
        assert found.weight is not None and found.left_out is not None
        words = left_out_words(people, found.left_out)
        notes = (f"Not weighed: {words}.",) if words else ()
        return Weighting(people, self.estimand, found.weight, notes, found.left_out)

    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        people = self.people(study, component)
        y = self.read(study, people)
        seen = np.isfinite(y)
        unseen = int((~seen).sum())
        people, y = (people, y) if not unseen else (people.take(seen), y[seen])
        if self.method == "aipw" and self.folds > 1 and len(people) < SMALL:
            warnings.warn(
                f"With {len(people)} people the answer of cross-fitting moves with the split. The median over "
                f"{self.repeats} splits is given; folds=1 fits on everybody.",
                EvalkitWarning,
                stacklevel=2,
            )
        level = cluster_level(study, component)
        clusters = None if level is None else study.paths.levels[level].codes
        found = self._run(people, y, clusters)
        value, parts = steady(found.value, found.parts, y)
        found = replace(found, value=value, parts=parts)
        est = self._assemble(study, people, found, (level, unseen, self._doubt(people, clusters)))
        if level is None or clusters is None or np.isnan(value):
            return est
        plain = replace(self, folds=1) if self.method == "aipw" else self
        refit = _Refit(plain, people, y, clusters, value - plain.value(people, y, clusters))
        return cluster_refits(refit, est, study, people, level)

    def _doubt(self, people: People, clusters: np.ndarray | None) -> Doubt:
        """Whether the score has the wrong form. Entropy balance rests on it too, unless the outcome is linear."""
        if self.method == "aipw":
            return Doubt()
        groups = None if clusters is None else clusters[people.rows]
        return score_doubt(people, self.estimand, _least(people), self._scores, groups)

    def _run(self, people: People, y: np.ndarray, clusters: np.ndarray | None) -> Weighed:
        """clusters: codes of everybody in the study, None where nobody shares one."""
        models = Models(self.propensity, self.outcome_model, self.clip)

        def robust(some: People, y: np.ndarray) -> Weighed:
            groups = None if clusters is None else clusters[some.rows]
            whole = groups if groups is not None and len(np.unique(groups)) >= 2 * self.folds else None
            return aipw(y, some, self.estimand, models, Splits(self.folds, self.repeats, self.seed, whole))

        weigh = robust if self.method == "aipw" else self._plain()
        return by_stratum(people, y, self.estimand, _least(people), weigh)

    def _scores(self, people: People) -> Scores:
        if self.propensity is None:
            return logit_scores(people, self.clip)
        return model_scores(self.propensity, people, self.clip)

    def _plain(self) -> One:
        """How one stratum is weighed without models of the outcome."""
        if self.method == "entropy":
            return lambda people, y: entropy(y, people, self.estimand)
        return lambda people, y: ipw(y, people.exposed, self._scores(people), self.estimand)

    def value(self, people: People, y: np.ndarray, clusters: np.ndarray) -> float:
        """The estimate alone, NaN where there is none. clusters: codes of everybody in the study."""
        if not people.exposed.any() or people.exposed.all():
            return float("nan")
        try:
            return self._run(people, y, clusters).value
        except NotIdentifiedError:
            return float("nan")

    def _assemble(self, study: Study, people: People, found: Weighed, known: tuple[str | None, int, Doubt]) -> Estimate:
        level, unseen, doubt = known
        assert found.weight is not None and found.left_out is not None
        used, target = found.weight > 0, people.target(self.estimand)
        kept, total = int((used & target).sum()), int(target.sum())
        population = speaks_for(self.estimand, kept, total, "can be weighed")
        reason = "" if used.any() else found.reason or _too_few(people)
        sample = Weighting(people, self.estimand, found.weight).sample
        effective = sample["effective"] if self.method != "aipw" else [np.nan, np.nan]
        labels = Row(used, population, unseen, level or "unit", reason).labels(
            self, study, people, effective_exposed=effective[0], effective_comparison=effective[1]
        )
        labels = labels.assign(
            not_weighed=left_out_words(people, found.left_out),
            right_if=_RIGHT_IF[self.method] if people.x.shape[1] else NOTHING_ELSE,
            score_p=doubt.p_value,
            doubt=doubt.words + (_SAVED if self.method == "entropy" and doubt.words else ""),
        )
        parts, mass = by_person(study, people, found.parts, level), labels["mass"].to_numpy(dtype=float)
        return Estimate(np.array([found.value]), mass, labels, parts, None, arms(used, people, study, level))


@dataclass(frozen=True, eq=False)
class _Refit:
    """The estimate of some people with weights made anew, moved by `shift`: cross-fitted estimates move by what they
    would move without folds, as new splits would add noise of their own to every refit."""

    design: WeightedComparison
    people: People
    y: np.ndarray
    clusters: np.ndarray
    shift: float

    def __call__(self, keep: np.ndarray) -> float:
        return self.shift + self.design.value(self.people.take(keep), self.y[keep], self.clusters)


_IGNORES = {
    "ipw": ("folds", "repeats", "outcome_model"),
    "entropy": ("folds", "repeats", "outcome_model", "clip", "propensity"),
    "aipw": (),
}
_SAVED = "; so the outcome must be linear in the covariates"
_RIGHT_IF = {
    "ipw": "the propensity score has the right form",
    "entropy": "the outcome, or the log odds of having it, is linear in the covariates",
    "aipw": "the propensity score or the model of the outcome has the right form",
}


def _least(people: People) -> int:
    """Fewest people an arm of a stratum needs: more than there are covariates."""
    return max(people.x.shape[1] + 2, 2)


def _too_few(people: People) -> str:
    need = _least(people)
    one, zero = int(people.exposed.sum()), int((~people.exposed).sum())
    return f"no combination of the others has {need} people in both arms ({one} exposed, {zero} comparison in all)"


def _problems(d: WeightedComparison) -> list[Problem]:
    choices = {
        "method": ("ipw", "entropy", "aipw"), "estimand": ("ATT", "ATC", "ATE", "ATO"),
        "others": ("same", "balanced", "ignored"), "compare": ("level", "change"),
    }  # fmt: skip
    out = wrong_choices(d, choices)
    for name in ("folds", "repeats"):
        if not whole_number(getattr(d, name), 1):
            out.append(Problem(f"{name}={getattr(d, name)!r}", next="Give a whole number, 1 or more."))
    if d.clip is not None and not (isinstance(d.clip, (int, float)) and 0 < d.clip < 0.5):
        out.append(Problem(f"clip={d.clip!r}", next="Give a number between 0 and 0.5."))
    if d.estimand == "ATO" and d.method != "ipw":
        out.append(Problem("estimand='ATO' belongs to method='ipw'", next="Use method='ipw'."))
    for name, needed in (("propensity", "predict_proba"), ("outcome_model", "predict")):
        model = getattr(d, name)
        if model is not None and not (hasattr(model, "fit") and hasattr(model, needed)):
            out.append(Problem(f"{name}={model!r}", next=f"Give a scikit-learn estimator with fit and {needed}."))
    return out
