"""Matched comparison: people who had a component beside people like them who did not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from evalkit.designs.people.distances import DISTANCES, LINE
from evalkit.designs.people.doubt import left_unlike
from evalkit.designs.people.estimating import (
    HC1,
    Asked,
    Naming,
    arms,
    cluster_level,
    cluster_refits,
    estimate,
    observed,
    outcome_of,
    set_differences,
    value_of,
    value_without,
)
from evalkit.designs.people.matching import Matching, Ties, tie_range, tied_people
from evalkit.designs.people.methods import CLASSES, METHODS, ORDERS, Choices, match_people, permuted, space_of
from evalkit.designs.people.people import People, Support, Who, gather, support_of
from evalkit.designs.protocol import Traits
from evalkit.errors import EvalkitWarning, OptionError, Problem, check_choice, raise_problems
from evalkit.inference.estimate import Estimate
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Paths

_IGNORES = {
    "exact": ("distance", "ratio", "caliper", "replace", "order", "distance_on"),
    "cem": ("distance", "ratio", "caliper", "replace", "order", "distance_on"),
    "subclass": ("ratio", "caliper", "replace", "order", "distance_on"),
    "optimal": ("replace", "order"),
    "full": ("replace", "order", "ratio"),
    "nearest": (),
}
_ONLY = {"subclasses": "subclass", "cutpoints": "cem"}
FEW_PEOPLE = 300
"""Most people in classes whom refits leave out one by one: where an arm is small, intervals come from those."""
MANY_CLASSES = 20
"""Fewest coarsened classes (as many as count, `effective_classes`) by which standard errors are clustered: with fewer
they would be too small."""
EACH = 3
"""Fewest matched people of an arm for each covariate, for `adjust="auto"` to adjust."""


@dataclass(frozen=True)
class MatchedComparison:
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
        difference), or "auto": "bias" with replacement, else "reg", and None where an arm has fewer than three
        matched people for each covariate (and combination of other components); people in clusters are never adjusted
        by "bias". The label `adjust` says which, `right_if` what must hold for the answer, and `doubt` where a plain
        difference would move by more than half a standard error if it were adjusted: partners are unlike then, by
        chance or because there are no better ones, and its interval may hold the truth less often than it says.
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
    outcome: name of another outcome than the study's first.

    Standard errors take the propensity score as known. Calling raises `OptionError`, `StudyError` (covariates that
    are missing, constant, text) and `NotIdentifiedError` (an arm is empty, the arms are told apart perfectly); where
    nobody is matched the value is NaN with its reason.
    """

    method: str = "nearest"
    distance: str = "propensity"
    ratio: int = 1
    caliper: float | Mapping[str, float] | None = None
    replace: bool = False
    exact: tuple[str, ...] = ()
    order: str = "largest"
    estimand: str = "ATT"
    adjust: str | None = None
    others: str = "same"
    covariates: tuple[str, ...] | str | None = None
    outcome_period: Any = None
    covariate_period: Any = None
    compare: str = "level"
    ties: str = "all"
    tie_tolerance: float = 1e-14
    std_error: str = "auto"
    neighbours: int = 0
    subclasses: int = 6
    cutpoints: str | Mapping[str, Sequence[float]] = "sturges"
    distance_on: tuple[str, ...] | None = None
    outcome: str | None = None

    def __post_init__(self) -> None:
        for name in ("exact", "covariates", "distance_on"):
            value = getattr(self, name)
            if isinstance(value, list) or (isinstance(value, str) and name != "covariates"):
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        raise_problems(_problems(self), OptionError)
        ignored = [n for n in self._not_used() if getattr(self, n) != _default(n)]
        if ignored:
            listed = ", ".join(f"{n}={getattr(self, n)!r}" for n in ignored)
            warnings.warn(f"method={self.method!r} does not use {listed}.", EvalkitWarning, stacklevel=3)

    def _not_used(self) -> dict[str, None]:
        """Fields that these choices do not look at."""
        out = [*_IGNORES[self.method], *(n for n, owner in _ONLY.items() if self.method != owner)]
        out += ["distance_on"] if self.distance in LINE else []
        reuse = self.replace and self.method == "nearest"
        return dict.fromkeys([*out, *(["order"] if reuse else ["ties", "tie_tolerance", "neighbours"])])

    @property
    def choices(self) -> Choices:
        """The choices that see no outcome."""
        tolerance = self.tie_tolerance if self.ties == "all" else None
        return Choices(
            self.method, self.distance, self.ratio, self.caliper, self.replace and self.method == "nearest",
            self.order, self.estimand, tolerance, self.subclasses, self.cutpoints, self.distance_on,
        )  # fmt: skip

    @property
    def who(self) -> Who:
        """What decides who is compared with whom."""
        return Who(self.others, self.exact, self.covariates, self.outcome_period, self.covariate_period)

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset({"matching"}))

    def plan(self, paths: Paths, component: str) -> Support:
        """The combinations of other components in which both arms have people; sees no outcome."""
        return support_of(paths, component, self.who)

    def match(self, study: Study, component: str) -> Matching:
        """Who would be compared with whom. Reads no outcome."""
        people = gather(study, component, self.who)
        space = space_of(people, self.choices)
        made = match_people(people, space, self.choices)
        return replace(made, _tie_range=lambda draws, seed: self._ties(study, made, draws, seed))

    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        return self.estimate(study, component, self.match(study, component))

    def estimate(self, study: Study, component: str, matching: Matching) -> Estimate:
        """The effect on people matched before, by `match` of this design."""
        people = matching.people
        outcome = study.outcome(self.outcome)
        y = outcome_of(study, people, self.outcome, self.compare)
        period, event = when(study, component, people)
        naming = Naming(component, outcome, self.estimand, period, event, self.others)
        seen = observed(matching, y)
        asked = self._asked(study, component, seen)
        est = estimate(matching, y, asked, study, naming)
        est = replace(est, labels=est.labels.assign(doubt=self._doubt(est, seen, y, asked)))
        level = cluster_level(study, component)
        if level is None and asked.errors == HC1 and int(seen.used.sum()) <= FEW_PEOPLE:
            level, _ = study.paths.inference_level(component)  # each person alone
            est = replace(est, arms=arms(seen, study, level))
        if level is None or np.isnan(est.value[0]):
            return est
        pairs = self.method not in CLASSES
        return cluster_refits(lambda keep: value_without(seen, y, asked, keep), est, study, people, level, pairs)

    def differences(self, study: Study, matching: Matching) -> np.ndarray:
        """(sets,) mean of the exposed less mean of the comparison people, set by set: what `hidden_bias` asks for."""
        y = outcome_of(study, matching.people, self.outcome, self.compare)
        return set_differences(observed(matching, y), y)

    def _asked(self, study: Study, component: str, matching: Matching) -> Asked:
        alone = cluster_level(study, component) is None
        adjust, errors = self._auto(matching, alone) if self.adjust == "auto" else self.adjust, self.std_error
        if adjust == "bias" and not alone:
            raise OptionError(
                f"adjust='bias' has standard errors of people one by one, and here they stand and fall with their "
                f"{cluster_level(study, component)}. Use adjust='reg' or 'auto'."
            )
        if errors == "auto":
            plain = self.choices.replace and adjust != "reg" and alone
            errors = "abadie_imbens" if plain else _clustered(matching)
        if errors == "set" and self.method in CLASSES and effective_classes(matching) < MANY_CLASSES:
            warnings.warn("Standard errors clustered by few classes are too small. Use std_error='hc1'.",
                          EvalkitWarning, stacklevel=4)  # fmt: skip
        return Asked(adjust, errors, self.neighbours, self.choices.tolerance)

    def _auto(self, matching: Matching, alone: bool) -> str | None:
        """What "auto" comes to for these people; sees no outcome. alone: nobody shares a cluster."""
        people, used = matching.people, matching.used
        fewest = min(int((used & people.exposed).sum()), int((used & ~people.exposed).sum()))
        if not people.x.shape[1] or fewest < EACH * people.regressors[used].any(axis=0).sum():
            return None
        return "bias" if self.choices.replace and alone and self.std_error not in ("set", HC1) else "reg"

    def _doubt(self, est: Estimate, matching: Matching, y: np.ndarray, asked: Asked) -> str:
        """Words where a plain difference would move by much if what partners leave unlike were taken out."""
        how = None if asked.adjust else self._auto(matching, asked.errors == "abadie_imbens")
        if how is None or np.isnan(est.value[0]):
            return ""
        adjusted = value_of(matching, y, Asked(how, "abadie_imbens" if how == "bias" else "set"))
        return left_unlike(float(est.value[0]), adjusted, float(est.to_frame()["std_error"].iloc[0]))

    def _ties(self, study: Study, made: Matching, draws: int, seed: int) -> Ties:
        people, space = made.people, made.space
        y = outcome_of(study, people, self.outcome, self.compare)
        seen = observed(made, y)
        asked = self._asked(study, people.component, seen)
        value = value_of(seen, y, asked)
        points = people.x if space is None else space.points
        if self.method in CLASSES:
            return Ties(0, value, value, value, 0)
        first = replace(self.choices, tolerance=None)

        def again(order: np.ndarray) -> float:
            mixed = match_people(people.take(order), permuted(space, order), first)
            return value_of(observed(mixed, y[order]), y[order], asked)

        tied = tied_people(points, people.strata, people.exposed, made.used)
        return tie_range(again, len(people), tied, value, draws, seed)


def _clustered(matching: Matching) -> str:
    """By matched set; the classes of "cem" are such sets where they are many, those of other methods are large."""
    many = matching.method == "cem" and effective_classes(matching) >= MANY_CLASSES
    return "set" if many or matching.method not in CLASSES else HC1


def effective_classes(matching: Matching) -> float:
    """How many classes of equal size carry as much as these: one that holds most people leaves few others."""
    used = matching.used
    size = np.bincount(matching.sets[used], weights=matching.weight[used])
    return float(size.sum() ** 2 / (size**2).sum()) if size.sum() > 0 else 0.0


def when(study: Study, component: str, people: People) -> tuple[object, int]:
    """The period of the outcome, and how many periods after the first start that is (0 in a cross-section)."""
    paths = study.paths
    if people.base == people.period:
        return (paths.periods[0] if paths.n_periods > 1 else ""), 0
    state = paths.state[np.unique(paths.path[people.rows[people.exposed]]), :, paths.index(component)]
    on = (state > 0) & (state != UNKNOWN)
    starts = on[:, : people.period + 1].argmax(axis=1)
    return paths.periods[people.period], int(people.period - starts.min())


def _default(name: str) -> object:
    return {f.name: f.default for f in fields(MatchedComparison)}[name]


def _problems(d: MatchedComparison) -> list[Problem]:
    choices = {
        "method": METHODS, "distance": DISTANCES, "order": ORDERS, "estimand": ("ATT", "ATC", "ATE"),
        "adjust": (None, "auto", "reg", "bias"), "others": ("same", "ignored"), "compare": ("level", "change"),
        "ties": ("all", "first"), "std_error": ("auto", "set", "abadie_imbens", HC1),
    }  # fmt: skip
    out = []
    for name, allowed in choices.items():
        try:
            check_choice(name, getattr(d, name), allowed)
        except OptionError as error:
            out.append(Problem(str(error).rstrip(".")))
    for name in ("ratio", "subclasses"):
        if not _whole(getattr(d, name), 1):
            out.append(Problem(f"{name}={getattr(d, name)!r}", next="Give a whole number, 1 or more."))
    if not _whole(d.neighbours, 0):
        out.append(Problem(f"neighbours={d.neighbours!r}", next="Give a whole number, 0 or more."))
    widths = list(d.caliper.values()) if isinstance(d.caliper, Mapping) else [d.caliper]
    if any(w is not None and not (_number(w) and 0 < w < np.inf) for w in widths):
        out.append(Problem(f"caliper={d.caliper!r}", next="Give a number of standard deviations above 0."))
    if d.distance_on == ():
        out.append(Problem("distance_on=() names nothing", next="Name covariates, or leave it out for all of them."))
    lists = d.cutpoints.values() if isinstance(d.cutpoints, Mapping) else ()
    if any(np.ndim(c) != 1 or not all(map(_number, c)) for c in lists):
        out.append(Problem(f"cutpoints={d.cutpoints!r}", next="Give a list of numbers for each covariate."))
    return out + _clashes(d)


def _number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def _clashes(d: MatchedComparison) -> list[Problem]:
    out = []
    if d.estimand == "ATE" and (d.method == "optimal" or (d.method == "nearest" and not d.replace)):
        out.append(Problem(
            f"method={d.method!r} without replacement has no ATE", next="Use replace=True, 'full', or estimand='ATT'."
        ))  # fmt: skip
    if d.adjust == "bias" and not (d.replace and d.method == "nearest"):
        out.append(Problem("adjust='bias' belongs to nearest matching with replacement", next="Use adjust='reg'."))
    if d.adjust == "bias" and d.std_error in ("set", HC1):
        out.append(Problem("adjust='bias' has Abadie and Imbens standard errors only", next="Use std_error='auto'."))
    if d.std_error == "abadie_imbens" and (not d.replace or d.adjust == "reg"):
        out.append(Problem(
            "std_error='abadie_imbens' belongs to matching with replacement, unadjusted or adjust='bias'",
            next="Use std_error='auto'.",
        ))  # fmt: skip
    if d.std_error == HC1 and d.method not in CLASSES:
        out.append(Problem("std_error='hc1' belongs to classes", next="Use std_error='auto'."))
    if d.method == "subclass" and d.distance not in LINE:
        out.append(Problem("method='subclass' makes classes of a score", next="Use distance='propensity' or 'logit'."))
    return out
