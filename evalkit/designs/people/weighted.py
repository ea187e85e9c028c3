"""Weighted comparison: comparison people weighed until they look like those who had the component."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalkit.designs.people.doubly_robust import Models, Splits, aipw
from evalkit.designs.people.doubt import Doubt, score_doubt
from evalkit.designs.people.entropy import entropy
from evalkit.designs.people.estimating import cluster_level, cluster_refits, outcome_of, steady, study_levels
from evalkit.designs.people.matched import when
from evalkit.designs.people.people import People, Support, Who, gather, support_of
from evalkit.designs.people.weighting import (
    ONE,
    Scores,
    Weighed,
    Weighting,
    by_stratum,
    clipped,
    ipw,
    learn,
    left_out_words,
    own_scores,
)
from evalkit.errors import EvalkitWarning, NotIdentifiedError, OptionError, Problem, check_choice, raise_problems
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.show.words import of_people
from evalkit.study import Study
from evalkit.study.paths import Paths

SMALL = 2_000


@dataclass(frozen=True)
class WeightedComparison:
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
    it or on a linear outcome: `score_p` tests the score (see `designs/matching/doubt.py`), and `doubt` says in words
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
    outcome_period: Any = None
    covariate_period: Any = None
    compare: str = "level"
    propensity: Any = None
    outcome_model: Any = None
    seed: int = 0
    outcome: str | None = None

    def __post_init__(self) -> None:
        for name in ("exact", "covariates"):
            value = getattr(self, name)
            if isinstance(value, list) or (isinstance(value, str) and name == "exact"):
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        raise_problems(_problems(self), OptionError)
        ignored = []
        if self.method != "aipw":
            ignored += [n for n, d in (("folds", 5), ("repeats", 5)) if getattr(self, n) != d]
            ignored += ["outcome_model"] if self.outcome_model is not None else []
        if self.method == "entropy":
            ignored += [n for n in ("clip", "propensity") if getattr(self, n) is not None]
        if ignored:
            listed = ", ".join(ignored)
            warnings.warn(f"method={self.method!r} does not use {listed}.", EvalkitWarning, stacklevel=3)

    @property
    def who(self) -> Who:
        """What decides who is compared with whom."""
        return Who(self.others, self.exact, self.covariates, self.outcome_period, self.covariate_period)

    def plan(self, paths: Paths, component: str) -> Support:
        """The combinations of other components in which both arms have people; sees no outcome."""
        return support_of(paths, component, self.who)

    def weigh(self, study: Study, component: str) -> Weighting:
        """The weights and the balance they reach. Reads no outcome; "aipw" shows the weights of its score."""
        people = gather(study, component, self.who)
        nothing = np.zeros(len(people))
        one = self._entropy if self.method == "entropy" else self._ipw
        found = by_stratum(people, nothing, self.estimand, _least(people), one)
        assert found.weight is not None and found.left_out is not None
        words = left_out_words(people, found.left_out)
        notes = (f"Not weighed: {words}.",) if words else ()
        return Weighting(people, self.estimand, found.weight, notes, found.left_out)

    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        people = gather(study, component, self.who)
        y = outcome_of(study, people, self.outcome, self.compare)
        seen = np.isfinite(y)
        unseen = int((~seen).sum())
        people, y = (people, y) if not unseen else (people.take(seen), y[seen])
        if self.method == "aipw" and self.folds > 1 and len(people) < SMALL:
            warnings.warn(
                f"With {of_people(len(people))} the answer of cross-fitting moves with the split. The median over "
                f"{self.repeats} splits is given; folds=1 fits on everybody.",
                EvalkitWarning,
                stacklevel=2,
            )
        level = cluster_level(study, component)
        groups = None if level is None else study.paths.levels[level].codes[people.rows]
        found = steady(self._run(people, y, groups), y)
        doubt = self._doubt(people, groups)
        est = self._assemble(study, component, people, found, (unseen, doubt))
        if level is None or np.isnan(est.value[0]):
            return est
        assert groups is not None
        return cluster_refits(self._refit(people, y, groups, est), est, study, people, level)

    def _refit(self, people: People, y: np.ndarray, groups: np.ndarray, est: Estimate) -> Callable[[np.ndarray], float]:
        """The estimate with some people left out and weights made anew. Cross-fitted estimates move by what they would
        move without folds: new splits would add noise of their own to every refit."""
        plain = replace(self, folds=1) if self.method == "aipw" else self
        shift = float(est.value[0]) - plain._again(people, y, groups)

        def again(keep: np.ndarray) -> float:
            return shift + plain._again(people.take(keep), y[keep], groups[keep])

        return again

    def _doubt(self, people: People, groups: np.ndarray | None) -> Doubt:
        """Whether the score has the wrong form. Entropy balance rests on it too, unless the outcome is linear."""
        if self.method == "aipw":
            return Doubt()
        return score_doubt(people, self.estimand, _least(people), self._scores, groups)

    def _run(self, people: People, y: np.ndarray, groups: np.ndarray | None) -> Weighed:
        one: ONE = self._entropy if self.method == "entropy" else self._ipw
        if self.method == "aipw":
            models = Models(self.propensity, self.outcome_model, self.clip)
            lookup = None if groups is None else dict(zip(people.ids.tolist(), groups.tolist(), strict=True))

            def robust(some: People, values: np.ndarray) -> Weighed:
                mine = None if lookup is None else np.array([lookup[i] for i in some.ids.tolist()])
                few = None if mine is None or len(np.unique(mine)) < 2 * self.folds else mine
                splits = Splits(self.folds, self.repeats, self.seed, few)
                return aipw(values, some, self.estimand, models, splits)

            one = robust
        return by_stratum(people, y, self.estimand, _least(people), one)

    def _scores(self, people: People) -> Scores:
        if self.propensity is None:
            return own_scores(people, self.clip)
        model = learn(self.propensity, people, people.exposed)
        return clipped(model.predict_proba(people.x)[:, 1], None, self.clip, people.sizes)

    def _ipw(self, people: People, y: np.ndarray) -> Weighed:
        return ipw(y, people.exposed, self._scores(people), self.estimand)

    def _entropy(self, people: People, y: np.ndarray) -> Weighed:
        return entropy(y, people, self.estimand)

    def _again(self, people: People, y: np.ndarray, groups: np.ndarray) -> float:
        """The estimate with some people left out."""
        if not people.exposed.any() or people.exposed.all():
            return float("nan")
        try:
            return self._run(people, y, groups).value
        except NotIdentifiedError:
            return float("nan")

    def _assemble(
        self, study: Study, component: str, people: People, found: Weighed, said: tuple[int, Doubt]
    ) -> Estimate:
        unseen, doubt = said
        level = cluster_level(study, component)
        rows = Rows(people.ids, study_levels(study, people.rows))
        name = level or "unit"
        parts = Influence(((DenseSource(rows, found.parts[:, None]), np.eye(1)),), name)
        assert found.weight is not None and found.left_out is not None
        used = found.weight > 0
        arms = _arms(study, people, used, level)
        reason = "" if used.any() else found.reason or _too_few(people)
        labels = self._labels(study, component, people, found.weight, (unseen, reason, name))
        labels = labels.assign(not_weighed=left_out_words(people, found.left_out))
        labels = labels.assign(right_if=self._right_if(people), score_p=doubt.p_value, doubt=self._doubt_words(doubt))
        mass = np.array([labels["mass"].iloc[0]], dtype=float)
        return Estimate(np.array([found.value]), mass, labels, parts, None, arms)

    def _doubt_words(self, doubt: Doubt) -> str:
        saved = self.method == "entropy" and doubt.words
        return f"{doubt.words}; so the outcome must be linear in the covariates" if saved else doubt.words

    def _right_if(self, people: People) -> str:
        if not people.x.shape[1]:
            return "those with it and those without it differ in nothing else"
        return _RIGHT_IF[self.method]

    def _labels(
        self, study: Study, component: str, people: People, weight: np.ndarray, said: tuple[int, str, str]
    ) -> pd.DataFrame:
        unseen, reason, level = said
        outcome = study.outcome(self.outcome)
        period, event = when(study, component, people)
        sample = Weighting(people, self.estimand, weight).sample
        whole, used = sample["people"].to_numpy(), sample["weighed"].to_numpy()
        side = {"ATT": [0], "ATC": [1]}.get(self.estimand, [0, 1])
        total, kept = int(whole[side].sum()), int(used[side].sum())
        effective = sample["effective"] if self.method != "aipw" else [np.nan, np.nan]
        return pd.DataFrame([{
            "component": component, "outcome": outcome.column, "period": period, "event_time": event,
            "estimand": self.estimand, "population": _whom(self.estimand, kept, total), "outcome_unit": outcome.unit,
            "others": self.others, "inference_level": level, "units_exposed": int(used[0]),
            "units_comparison": int(used[1]), "units_left_out": total - kept, "units_not_seen": unseen,
            "share_left_out": (total - kept) / total if total else 0.0, "effective_exposed": effective[0],
            "effective_comparison": effective[1], "mass": float(kept), "reason": reason,
        }])  # fmt: skip


_WHOM = {
    "ATT": "people who had it",
    "ATC": "people who did not have it",
    "ATE": "everybody",
    "ATO": "people who might as well have had it as not",
}


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
    both = f"{of_people(one, 'exposed')}, {of_people(zero, 'comparison')}"
    return f"no combination of the others has {need} people in both arms ({both} in all)"


def _whom(estimand: str, kept: int, total: int) -> str:
    """Whom the answer speaks for, with counts where some cannot be weighed."""
    whom = _WHOM[estimand]
    if kept == total:
        return whom
    some = "people" if estimand == "ATE" else whom
    lost = total - kept
    return f"those {some} who can be weighed: {kept} of {total}; for the other {lost} these data cannot say"


def _arms(study: Study, people: People, used: np.ndarray, level: str | None) -> Arms:
    sides = (used & people.exposed, used & ~people.exposed)
    if level is None:
        size = np.array([int(s.sum()) for s in sides])
        return Arms(np.array([[True], [False]]), np.array([[False], [True]]), size)
    known = study.paths.levels[level]
    codes = known.codes[people.rows]
    there = [np.bincount(codes[s], minlength=len(known.names)) > 0 for s in sides]
    return Arms(there[0][:, None], there[1][:, None], np.ones(len(known.names), dtype=int))


def _problems(d: WeightedComparison) -> list[Problem]:
    choices = {
        "method": ("ipw", "entropy", "aipw"), "estimand": ("ATT", "ATC", "ATE", "ATO"),
        "others": ("same", "balanced", "ignored"), "compare": ("level", "change"),
    }  # fmt: skip
    out = []
    for name, allowed in choices.items():
        try:
            check_choice(name, getattr(d, name), allowed)
        except OptionError as error:
            out.append(Problem(str(error).rstrip(".")))
    for name in ("folds", "repeats"):
        value = getattr(d, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            out.append(Problem(f"{name}={value!r}", next="Give a whole number, 1 or more."))
    if d.clip is not None and not (isinstance(d.clip, (int, float)) and 0 < d.clip < 0.5):
        out.append(Problem(f"clip={d.clip!r}", next="Give a number between 0 and 0.5."))
    if d.estimand == "ATO" and d.method != "ipw":
        out.append(Problem("estimand='ATO' belongs to method='ipw'", next="Use method='ipw'."))
    for name, needed in (("propensity", "predict_proba"), ("outcome_model", "predict")):
        model = getattr(d, name)
        if model is not None and not (hasattr(model, "fit") and hasattr(model, needed)):
            out.append(Problem(f"{name}={model!r}", next=f"Give a scikit-learn estimator with fit and {needed}."))
    return out
