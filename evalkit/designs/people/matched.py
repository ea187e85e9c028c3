"""Matched comparison: people who had a component beside people like them who did not."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evalkit.designs.missing import over_fillings
from evalkit.designs.people import effect, estimating
from evalkit.designs.people.distances import DISTANCES, LINE
from evalkit.designs.people.folds import deal_folds, held_out, regression
from evalkit.designs.people.matching import Matching, Ties
from evalkit.designs.people.methods import ABADIE_IMBENS, HC1, METHODS, OPTIONS, ORDERS, Method, Reused, method_of
from evalkit.designs.people.people import People
from evalkit.designs.protocol import Traits
from evalkit.errors import EvalkitWarning, OptionError, Problem, raise_problems, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.sources import Influence
from evalkit.study import Study

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FEW_PEOPLE = 300
"""Most people in classes whom refits leave out one by one: where an arm is small, intervals come from those."""
MANY_CLASSES = 20
"""Fewest coarsened classes by which standard errors are clustered: with fewer they would be too small. Counted as
classes of equal size that carry as much: one that holds most people leaves few others."""
EACH = 3
"""Fewest matched people of an arm for each covariate, for `adjust="auto"` to adjust."""
FOLDS = 5
FAR = 0.5
"""Standard errors by which a matched estimate may lean on unlike partners: at half of one, an interval said to hold the
truth in 95 of 100 draws still holds it in 92."""


@dataclass(frozen=True)
class MatchedComparison(estimating.AmongPeople):
    """The effect of a component on people, from people like them without it.

    method: "nearest" (greedy; Rosenbaum and Rubin 1985), "optimal" (least total distance), "full" (sets of one
        with many, Hansen 2004), "exact", "cem" (coarsened exact), "subclass" (classes of the score).
    distance: "propensity" or its "logit"; "mahalanobis", "robust_mahalanobis" or "euclidean" (each covariate in
        standard deviations) on the covariates, or on those in `distance_on`.
    ratio: partners for each. caliper: largest distance, in standard deviations of the distance named; or a
        mapping such as {"propensity": 0.2, "age": 0.5}. replace: whether a partner may serve again.
    exact: columns (text or numbers) on which people must agree.
    order: who chooses first: "largest" or "smallest" score, the "closest" two of all, or the "data"'s order
        (that of the ids).
    estimand: "ATT" (those who had it), "ATC" (those who did not), "ATE" (everybody).
    adjust: what near partners leave unlike: "reg" (regression on the covariates in the matched people; Abadie and
        Spiess 2022), "bias" (the same among partners, with replacement; Abadie and Imbens 2011), None (the plain
        difference), or "auto", which is taken unless said otherwise: "bias" with replacement, else "reg", and None
        where an arm has fewer than three matched people for each covariate (and combination of other components);
        people in clusters are never adjusted by "bias". The label `adjust` says which, `right_if` what must hold for
        the answer, and `doubt` where a plain difference would move by more than half a standard error if it were
        adjusted: partners are unlike then, by chance or because there are no better ones, and its interval may hold
        the truth less often than it says.
    others: "same" compares people whose other components agree; "ignored" does not look at them.
    covariates: names, or a formula such as "age + C(tenure)"; the study's covariates when None.
    outcome_period, covariate_period: in a panel, when the outcome and the covariates are read (default: the last
        period, and the last before anybody started). compare: "level" of the outcome, or its "change" since then.
    ties: with replacement, "all" equally near partners count together, or the "first" in the data.
        tie_tolerance: on the squared distance in standard deviations.
    std_error: "abadie_imbens" (2006, with replacement and without clusters); "set", clustered by matched set, crossed
        with the study's clusters (and with persons who serve twice); "hc1", for classes. "auto" is the first where it
        can be; "hc1" for "exact", "subclass" and "cem" where fewer than twenty classes carry weight; else "set".
    neighbours: 0 takes one residual variance in Abadie and Imbens; J learns it from J people of the own arm.
    learner: any scikit-learn regression of the outcome on the covariates, learned from comparison people and said of
        those it has not seen (five folds, by people or clusters); what it expects is taken off every outcome before
        people are compared (Abadie and Imbens 2011, with a learner in place of a line). For "ATT"; it takes the
        place of `adjust`.
    outcome: name of another outcome than the study's first.

    Standard errors take the propensity score as known. Calling raises `OptionError`, `StudyError` (covariates that
    are missing, constant, text) and `NotIdentifiedError` (an arm is empty, the arms are told apart perfectly); where
    nobody is matched the value is NaN with its reason."""

    method: str = "nearest"
    distance: str = "propensity"
    ratio: int = 1
    caliper: float | Mapping[str, float] | None = None
    replace: bool = False
    exact: tuple[str, ...] = ()
    order: str = "largest"
    estimand: str = "ATT"
    adjust: str | None = "auto"
    others: str = "same"
    covariates: tuple[str, ...] | str | None = None
    outcome_period: object = None
    covariate_period: object = None
    compare: str = "level"
    ties: str = "all"
    tie_tolerance: float = 1e-14
    std_error: str = "auto"
    neighbours: int = 0
    subclasses: int = 6
    cutpoints: str | Mapping[str, Sequence[float]] = "sturges"
    distance_on: tuple[str, ...] | None = None
    outcome: str | None = None
    learner: BaseEstimator | None = None
    traits = Traits(frozenset({"matching"}))

    def __post_init__(self) -> None:
        estimating.as_tuples(self, ("exact", "covariates", "distance_on"), ("exact", "distance_on"))
        choices = {
            "method": METHODS, "distance": DISTANCES, "order": ORDERS, "estimand": ("ATT", "ATC", "ATE"),
            "adjust": (None, "auto", "reg", "bias"), "others": ("same", "ignored"), "compare": ("level", "change"),
            "ties": ("all", "first"), "std_error": ("auto", "set", ABADIE_IMBENS, HC1),
        }  # fmt: skip
        problems = [
            *estimating.wrong_choices(self, choices),
            *estimating.wrong_numbers(self, {"ratio": 1, "subclasses": 1, "neighbours": 0}),
        ]
        widths = list(self.caliper.values()) if isinstance(self.caliper, Mapping) else [self.caliper]
        if any(w is not None and not (estimating.is_number(w) and 0 < w < np.inf) for w in widths):
            problems.append(
                Problem(f"caliper={spelt(self.caliper)}", next="Give a number of standard deviations above 0.")
            )
        if self.distance_on == ():
            advice = "Name covariates, or leave it out for all of them."
            problems.append(Problem("distance_on=() names nothing", next=advice))
        lists = self.cutpoints.values() if isinstance(self.cutpoints, Mapping) else ()
        if any(np.ndim(c) != 1 or not all(map(estimating.is_number, c)) for c in lists):
            problems.append(
                Problem(f"cutpoints={spelt(self.cutpoints)}", next="Give a list of numbers for each covariate.")
            )
        problems += estimating.wrong_learners(self, {"learner": "predict"})
        if self.learner is not None and (self.adjust not in (None, "auto") or self.estimand != "ATT"):
            advice = "Leave adjust= out, and keep estimand='ATT'."
            problems.append(Problem("learner= takes the place of adjust=, for those who had it", next=advice))
        raise_problems([*problems, *_clashes(self)], OptionError)
        unused = OPTIONS - self.how.used()
        ignored = [f.name for f in fields(self) if f.name in unused and getattr(self, f.name) != f.default]
        if ignored:
            listed = ", ".join(f"{n}={spelt(getattr(self, n))}" for n in ignored)
            warnings.warn(f"method={self.method!r} does not use {listed}.", EvalkitWarning, stacklevel=3)

    @property
    def how(self) -> Method:
        """The method with those options that it takes."""
        kind = method_of(self.method, self.replace)
        return kind(**{f.name: getattr(self, f.name) for f in fields(kind)})

    def match(self, study: Study, component: str) -> Matching:
        """Who would be compared with whom. Reads no outcome."""
        people = self.people(study, component)
        made = self.how.match(people, self.how.space(people))
        return replace(made, _tie_range=partial(_tie_range, self, study, made))

    @over_fillings
    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        return self.estimate(study, component, self.match(study, component))

    def estimate(self, study: Study, component: str, matching: Matching) -> Estimate:
        """The effect on people matched before, by `match` of this design."""
        whole, people = replace(matching, _tie_range=None), matching.people
        level, y = estimating.cluster_level(study, component), self.read(study, people)
        seen = effect.observed(whole, y)
        asked = self._asked(study, component, seen)
        est = self._assemble(study, (whole, seen), y, asked, level)
        est = est.with_labels(doubt=self._doubt(est, seen, y, asked))
        if level is None and asked.errors == HC1 and int(seen.used.sum()) <= FEW_PEOPLE:
            level, _ = study.paths.inference_level(component)  # each person alone
            est = replace(est, arms=estimating.arms(seen.used, people, study, level))
        if level is None or np.isnan(est.value[0]):
            return est
        again = partial(effect.without_people, seen, y, asked)
        return estimating.cluster_refits(again, est, study, people, level, not self.how.by_class)

    def read(self, study: Study, people: People) -> np.ndarray:
        """(m,) outcomes, less what the learner expects without it where there is one."""
        y = super().read(study, people)
        if self.learner is None:
            return y
        level, arm = estimating.cluster_level(study, people.component), people.exposed
        groups = None if level is None else study.paths.levels[level].codes[people.rows]
        fold = deal_folds(arm, FOLDS, np.random.default_rng(0), groups)
        return y - held_out(regression(self.learner), people.x, y, fold, ~arm & np.isfinite(y))

    def differences(self, study: Study, matching: Matching) -> np.ndarray:
        """(sets,) mean of the exposed less mean of the comparison people, set by set: what `hidden_bias` asks for."""
        y = self.read(study, matching.people)
        return effect.set_differences(effect.observed(matching, y), y)

    def _assemble(
        self, study: Study, matchings: tuple[Matching, Matching], y: np.ndarray, asked: effect.Asked, level: str | None
    ) -> Estimate:
        """The effect with its contributions: clustered by matched set (and by the study's clusters), Abadie and Imbens
        with replacement, HC1 for few classes. A NaN with its reason where none can be given. matchings: of all, and of
        those whose outcome was seen."""
        whole, seen = matchings
        people, value, replicate, reason = seen.people, float("nan"), None, effect.why_not(seen, whole)
        parts = estimating.by_person(study, people, np.zeros(len(people)), None)
        if not reason:
            fit = effect.fit_matched(seen, y, asked)
            value, steadied = estimating.steady(fit.value, fit.parts, y[seen.used])
            parts = _parts(seen, replace(fit, parts=steadied), study, level, asked.errors == "set")
            if level is None and asked.errors == "set" and not seen.replace:
                replicate = partial(effect.without_sets, seen, y, asked)
        on_score = seen.space is not None and seen.space.named in LINE
        near = "the propensity score has the right form" if on_score else "matched people are alike in the covariates"
        linear = ", or the outcome is linear in the covariates" if asked.adjust else ""
        before = {"largest_distance": seen.largest_distance, "share_outside": seen.outside}
        right_if = near + linear if people.x.shape[1] else estimating.NOTHING_ELSE
        after = {"adjust": asked.adjust or "none", "right_if": right_if}
        unseen = int((whole.used & ~seen.used).sum())
        row = estimating.Row(value, parts, seen.used, seen.question, unseen, reason, before, after)
        return replace(row.estimate(self, study, people, level), replicate=replicate)

    def _asked(self, study: Study, component: str, matching: Matching) -> effect.Asked:
        level, how = estimating.cluster_level(study, component), self.how
        adjust, errors = self._adjust(matching, level is None), self.std_error
        if adjust == "bias" and level is not None:
            words = "adjust='bias' has standard errors of people one by one, "
            raise OptionError(words + f"and here they stand and fall with their {level}. Use adjust='reg' or 'auto'.")
        many = True
        if how.by_class:
            size = np.bincount(matching.sets[matching.used], weights=matching.weight[matching.used])
            many = bool(size.sum() > 0 and size.sum() ** 2 / (size**2).sum() >= MANY_CLASSES)
        if errors == "auto" and matching.replace and adjust != "reg" and level is None:
            errors = ABADIE_IMBENS
        elif errors == "auto":  # the classes of "cem" are matched sets where they are many, those of others are large
            errors = "set" if not how.by_class or (many and how.name == "cem") else HC1
        if errors == "set" and not many:
            warnings.warn("Standard errors clustered by few classes are too small. Use std_error='hc1'.",
                          EvalkitWarning, stacklevel=4)  # fmt: skip
        return effect.Asked(adjust, errors, self.neighbours, how.tolerance if isinstance(how, Reused) else None)

    def _adjust(self, matching: Matching, alone: bool) -> str | None:
        """How a line takes out what partners leave unlike; not at all where a learner has done that."""
        if self.learner is not None:
            return None
        return self._auto(matching, alone) if self.adjust == "auto" else self.adjust

    def _auto(self, matching: Matching, alone: bool) -> str | None:
        """What "auto" comes to for these people; sees no outcome. alone: nobody shares a cluster."""
        people, used = matching.people, matching.used
        fewest = min(int((used & people.exposed).sum()), int((used & ~people.exposed).sum()))
        if not people.x.shape[1] or fewest < EACH * people.regressors[used].any(axis=0).sum():
            return None
        return "bias" if matching.replace and alone and self.std_error not in ("set", HC1) else "reg"

    def _doubt(self, est: Estimate, matching: Matching, y: np.ndarray, asked: effect.Asked) -> str:
        """Words where a plain difference would move by more than half its standard error if what partners leave unlike
        were taken out (Abadie and Imbens 2011: the bias of matching on several covariates does not vanish as fast as
        the standard error does)."""
        how = None if asked.adjust else self._auto(matching, asked.errors == ABADIE_IMBENS)
        plain = float(est.value[0])
        if how is None or np.isnan(plain):
            return ""
        adjusted = effect.value_of(matching, y, effect.Asked(how, ABADIE_IMBENS if how == "bias" else "set"))
        moved, error = abs(plain - adjusted), float(est.to_frame()["std_error"].iloc[0])
        if not moved > FAR * error:
            return ""
        words = "matched people are left unlike in the covariates: taking that out moves the estimate from "
        return words + f"{plain:.3g} to {adjusted:.3g}, {moved / error:.1f} standard errors (adjust='auto' does it)"


def _tie_range(design: MatchedComparison, study: Study, made: Matching, draws: int, seed: int) -> Ties:
    """The estimate of a design on people matched again in random orders."""
    people, space, how = made.people, made.space, design.how
    y = design.read(study, people)
    seen = effect.observed(made, y)
    asked = design._asked(study, people.component, seen)
    value = effect.value_of(seen, y, asked)
    if how.by_class:
        return Ties(0, value, value, value, 0)
    how = replace(how, ties="first") if isinstance(how, Reused) else how
    rng, found = np.random.default_rng(seed), [value]
    for _ in range(draws):
        order = rng.permutation(len(people))
        mixed = how.match(people.take(order), None if space is None else space.take(order))
        found.append(effect.value_of(effect.observed(mixed, y[order]), y[order], asked))
    known = np.array(found)[np.isfinite(found)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (float("nan"), float("nan"))
    return Ties(made.tied, value, low, high, draws)


def _parts(matching: Matching, fit: effect.Fit, study: Study, level: str | None, by_set: bool) -> Influence:
    people = matching.people
    if not fit.columns:
        return estimating.by_person(study, people, fit.parts, level)
    who, _, sets = effect.regression_rows(matching)
    ids, levels, by = people.ids[who], estimating.study_levels(study, people.rows[who]), []
    if by_set:
        found, codes = np.unique(sets, return_inverse=True)
        # Each matching has its own name for its sets, so that two can be stacked.
        mark = zlib.crc32(codes.astype(np.int64).tobytes() + "".join(map(str, ids[:1000])).encode())
        by.append(f"matched set of {people.component} {mark:08x}")
        levels[by[0]] = codes, found
    if matching.replace:
        by.append("person")
        names, codes = np.unique(ids, return_inverse=True)
        levels["person"] = codes, names
    if level is not None:
        by = [*(b for b in by if not estimating.nested(levels[b][0], levels[level][0])), level]
    return estimating.clustered(ids, fit.parts, fit.columns, levels, by)


def _clashes(d: MatchedComparison) -> list[Problem]:
    """Choices that the method does not have, or that do not go together."""
    if d.method not in METHODS:
        return []
    how, bias = method_of(d.method, d.replace), d.adjust == "bias"
    rules = (
        (d.estimand == "ATE" and "ATE" not in how.estimands,
         f"method={d.method!r} without replacement has no ATE", "Use replace=True, 'full', or estimand='ATT'."),
        (bias and "bias" not in how.adjustments,
         "adjust='bias' belongs to nearest matching with replacement", "Use adjust='reg'."),
        (bias and d.std_error in ("set", HC1),
         "adjust='bias' has Abadie and Imbens standard errors only", "Use std_error='auto'."),
        (d.std_error == ABADIE_IMBENS and (ABADIE_IMBENS not in how.errors or d.adjust == "reg"),
         "std_error='abadie_imbens' belongs to matching with replacement, unadjusted or adjust='bias'",
         "Use std_error='auto'."),
        (d.std_error == HC1 and HC1 not in how.errors,
         "std_error='hc1' belongs to classes", "Use std_error='auto'."),
        (d.distance in DISTANCES and d.distance not in how.distances,
         f"method={d.method!r} makes classes of a score", "Use distance='propensity' or 'logit'."),
    )  # fmt: skip
    return [Problem(what, next=advice) for wrong, what, advice in rules if wrong]
