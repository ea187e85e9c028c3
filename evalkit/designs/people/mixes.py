"""Several components at once in a cross-section: every mix that enough people had, each beside each, jointly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.designs.missing import over_fillings
from evalkit.designs.parameters import Parameters
from evalkit.designs.people import estimating
from evalkit.designs.people.folds import Learn, chances, deal_folds, held_out, least_squares, regression
from evalkit.designs.people.people import covariates_of
from evalkit.designs.protocol import Traits
from evalkit.errors import NotIdentifiedError, OptionError, raise_problems
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Spread
from evalkit.inference.replicates import Method
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.show.words import join_words
from evalkit.study import Study
from evalkit.study.assignment import uneven
from evalkit.study.paths import Paths

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FEWEST = 35
"""People in a mix below which it is not compared."""
LEAST = 0.01
"""Chance of a mix below which nobody's is taken to be: few people then weigh no more than a hundred of their kind."""


@dataclass(frozen=True, eq=False)
class Mix:
    """One mix of components. state: (K,) 0 for off, else the rank of the dose. people: how many had it."""

    state: tuple[int, ...]
    people: int


@dataclass(frozen=True, eq=False)
class Mixed:
    """Mean outcomes had everybody had each mix, and what each person adds to them. value: (G,), parts: (n, G)."""

    value: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True, eq=False)
class MixMeans:
    """Mean outcomes of mixes with one joint covariance. mixes: (G,) states; people: (G,) who had each and were seen;
    use: (n,) rows of the study; mix: (n,) which each had; level: clusters, None for none."""

    mixes: tuple[tuple[int, ...], ...]
    people: np.ndarray
    found: Mixed
    use: np.ndarray
    mix: np.ndarray
    level: str | None

    @property
    def none(self) -> tuple[int, ...]:
        """The mix of those who had nothing, seen or not."""
        return (0,) * len(self.mixes[0])

    def estimate(self, study: Study, weights: np.ndarray, labels: pd.DataFrame) -> Estimate:
        """Weighted sums (k, G) of the means, as an Estimate."""
        names = {n: (one.codes[self.use], one.names) for n, one in study.paths.levels.items()}
        source = DenseSource(Rows(study.paths.units[self.use], names), self.found.parts)
        influence = Influence(((source, weights.T),), self.level or "unit")
        method = None
        if self.level is not None:
            clusters = np.unique(study.paths.levels[self.level].codes[self.use], return_inverse=True)[1]
            method = Method("clustered", partial(_clustered, self.found.parts, clusters, weights, self.mix))
        mass = np.full(len(weights), float(len(self.use)))
        return Estimate(weights @ self.found.value, mass, labels, influence, method=method)


def means_of_mixes(
    y: np.ndarray, mix: np.ndarray, x: np.ndarray, fold: np.ndarray, learners: tuple[Learn, BaseEstimator]
) -> Mixed:
    """Mean outcome had everybody had each mix: doubly robust with normalised weights (Robins, Rotnitzky and Zhao 1994;
    Cattaneo 2010, Journal of Econometrics 155), models of one mix each, cross-fitted. mix: (n,) codes 0, 1, ..."""
    outcome, score = learners
    n, groups = len(y), int(mix.max()) + 1
    share = chances(score, x, mix, fold).clip(LEAST) if x.shape[1] else np.tile(np.bincount(mix) / n, (n, 1))
    value, parts = np.empty(groups), np.empty((n, groups))
    for g in range(groups):
        mine = mix == g
        expected = held_out(outcome, x, y, fold, mine) if x.shape[1] else np.full(n, y[mine].mean())
        weight = mine / share[:, g]
        left, total = y - expected, weight.sum()
        mean = weight @ left / total
        value[g] = expected.mean() + mean
        parts[:, g] = (expected - expected.mean()) / n + weight * (left - mean) / total
    return Mixed(value, parts)


@dataclass(frozen=True)
class MixComparison(Parameters):
    """What several components did in a cross-section, alone and together, from every mix that enough people had.

    Rows: each mix against none; each component at each value of the others; and for two components at each value of the
    rest what both do beyond the sum of the two. Doses of several values are values, never on or off. For everybody in
    the mixes compared, with one joint covariance, so that `contrast` and `joint` speak of any combination.

    component: when called with one, only the rows that it changes. learner: a scikit-learn regression in place of least
    squares; score: a classifier in place of a multinomial logit; both cross-fitted in `folds` by people, or by the
    study's clusters. covariates: names or a formula; the study's when None. A mix of fewer than 35 people is not
    compared: the label `not_compared` says how many people that leaves out. Where people sit in clusters, or a
    component was decided for groups, errors are those of the groups, with t. Raises `NotIdentifiedError` where fewer
    than two mixes are left, `OptionError` for a panel, weights, blocks in which chance dealt, or a learner that cannot
    do what it has to."""

    learner: BaseEstimator | None = None
    score: BaseEstimator | None = None
    folds: int = 5
    covariates: tuple[str, ...] | str | None = None
    seed: int = 0
    outcome: str | None = None
    traits = Traits(frozenset({"matching"}))

    def __post_init__(self) -> None:
        estimating.as_tuples(self, ("covariates",), ())
        problems = estimating.wrong_learners(self, {"learner": "predict", "score": "predict_proba"})
        raise_problems([*problems, *estimating.wrong_numbers(self, {"folds": 2})], OptionError)

    def plan(self, paths: Paths, component: str = "") -> tuple[Mix, ...]:
        """Every mix that somebody had, and how many did; no outcome is read."""
        del component
        states, counts = np.unique(_states(paths), axis=0, return_counts=True)
        return tuple(Mix(tuple(map(int, s)), int(c)) for s, c in zip(states, counts, strict=True))

    @over_fillings
    def __call__(self, study: Study, component: str | None = None) -> Estimate:
        """Every effect that the mixes identify, as an Estimate with a row each."""
        k = None if component is None else study.paths.index(component)
        made = self.means(study)
        rows = [r for r in effects_of(list(made.mixes), _names(study.paths)) if k is None or r.changes(made.mixes)[k]]
        if not rows:
            raise NotIdentifiedError(f"No two mixes of {FEWEST} people differ in {component!r} alone.")
        labels = self._labels(study, rows, made, component)
        return made.estimate(study, np.array([r.weights for r in rows]), labels)

    def means(self, study: Study) -> MixMeans:
        """Mean outcomes had everybody had each mix of enough people, of which every effect is a contrast."""
        paths, y, states = study.paths, study.values(self.outcome)[:, 0], _states(study.paths)
        if why := uneven(study.weighing(self.outcome).paths, paths.components):
            raise OptionError(f"MixComparison counts everybody alike, and here {why}. Compare one component alone.")
        known, code, counts = np.unique(states[np.isfinite(y)], axis=0, return_inverse=True, return_counts=True)
        enough = counts >= FEWEST
        if enough.sum() < 2:
            words = f"Fewer than two mixes of the components have {FEWEST} people. "
            raise NotIdentifiedError(words + "Compare one component alone.")
        use = np.flatnonzero(np.isfinite(y))[enough[code]]
        mix = np.unique(code[enough[code]], return_inverse=True)[1]
        x, _ = covariates_of(study, self.covariates, use, 0)
        level = _level(study)
        groups = None if level is None else paths.levels[level].codes[use]
        fold = deal_folds(mix, self.folds, np.random.default_rng(self.seed), groups)
        spread = x.std(axis=0) if x.shape[1] else np.ones(0)
        found = means_of_mixes(y[use], mix, (x - x.mean(axis=0)) / spread, fold, self._learners())
        return MixMeans(tuple(tuple(map(int, s)) for s in known[enough]), counts[enough], found, use, mix, level)

    def _learners(self) -> tuple[Learn, BaseEstimator]:
        from sklearn.linear_model import LogisticRegression

        outcome = least_squares if self.learner is None else regression(self.learner)
        return outcome, LogisticRegression(C=1e4, max_iter=500) if self.score is None else self.score

    def _labels(self, study: Study, rows: list[Effect], made: MixMeans, component: str | None) -> pd.DataFrame:
        outcome = study.outcome(self.outcome)
        return pd.DataFrame({
            "component": component or "all", "outcome": outcome.column, "effect": [r.words for r in rows],
            "kind": [r.kind for r in rows], "estimand": "ATE", "population": "everybody in the mixes compared",
            "outcome_unit": outcome.unit,
            "smallest_mix": [int(made.people[np.flatnonzero(r.weights)].min()) for r in rows],
            "not_compared": int(np.isfinite(study.values(self.outcome)[:, 0]).sum()) - len(made.use),
            "units_not_seen": int((~np.isfinite(study.values(self.outcome)[:, 0])).sum()), "reason": "",
        })  # fmt: skip


@dataclass(frozen=True, eq=False)
class Effect:
    """One difference of mixes. weights: (G,) of their means; kind: "against none", "at the others' values" or
    "interaction"; words: what it is."""

    weights: np.ndarray
    kind: str
    words: str

    def changes(self, mixes: Sequence[tuple[int, ...]]) -> np.ndarray:
        """(K,) components that are not the same in all mixes of it."""
        used = np.array([mixes[int(i)] for i in np.flatnonzero(self.weights)])
        return np.asarray(np.ptp(used, axis=0) > 0)


def effects_of(mixes: list[tuple[int, ...]], names: Sequence[Sequence[str]]) -> Iterator[Effect]:
    """Every difference that the mixes identify, once: against none, of one component, and of two beyond their sum.
    names: what each state of each component but off is called."""
    at = {m: i for i, m in enumerate(mixes)}
    none = (0,) * len(names)

    def effect(signed: list[tuple[float, tuple[int, ...]]], kind: str, words: str) -> Effect:
        weights = np.zeros(len(mixes))
        for sign, mix in signed:
            weights[at[mix]] += sign
        return Effect(weights, kind, words)

    for mix in mixes if none in at else []:
        if mix != none:
            yield effect([(1, mix), (-1, none)], "against none", f"{_called(mix, names)} against none")
    for mix in mixes:
        for k, value in enumerate(mix):
            without = _with(mix, k, 0)
            if value and without in at and without != none:
                words = f"{_called(_only(mix, [k]), names)} where {_called(without, names)}"
                yield effect([(1, mix), (-1, without)], "at the others' values", words)
        for a, b in combinations([k for k, v in enumerate(mix) if v], 2):
            fewer = _with(mix, a, 0), _with(mix, b, 0), _with(_with(mix, a, 0), b, 0)
            if all(m in at for m in fewer):
                rest = _only(mix, [k for k in range(len(mix)) if k not in (a, b)])
                words = f"{_called(_only(mix, [a, b]), names)} beyond the sum" + (
                    f" where {_called(rest, names)}" if any(rest) else ""
                )
                yield effect([(1, mix), (-1, fewer[0]), (-1, fewer[1]), (1, fewer[2])], "interaction", words)


def _with(mix: tuple[int, ...], k: int, value: int) -> tuple[int, ...]:
    return (*mix[:k], value, *mix[k + 1 :])


def _only(mix: tuple[int, ...], keep: list[int]) -> tuple[int, ...]:
    return tuple(v if k in keep else 0 for k, v in enumerate(mix))


def _called(mix: tuple[int, ...], names: Sequence[Sequence[str]]) -> str:
    return join_words([states[v - 1] for states, v in zip(names, mix, strict=True) if v])


def _names(paths: Paths) -> list[list[str]]:
    """What each state of each component but off is called: its name, and the dose where it has several."""
    each = [(name, paths.dose(k)[1:]) for k, name in enumerate(paths.components)]
    return [[name if len(doses) == 1 else f"{name} at {dose:.4g}" for dose in doses] for name, doses in each]


def _states(paths: Paths) -> np.ndarray:
    """(n, K) state of each component for each person; `OptionError` for a panel."""
    if paths.n_periods > 1:
        raise OptionError("MixComparison sees people once; this study is a panel. Use JointEventStudy.")
    return np.asarray(paths.state[paths.path, 0, :], dtype=int)


def _level(study: Study) -> str | None:
    """The coarsest level at which a component was decided or the study is clustered, None where everybody is alone."""
    paths = study.paths
    levels = {paths.cluster, *(paths.inference_level(c)[0] for c in paths.components)}
    level = min(sorted(levels), key=lambda name: len(paths.levels[name].names))
    return None if len(paths.levels[level].names) == paths.n_units else level


def _clustered(
    parts: np.ndarray, clusters: np.ndarray, weights: np.ndarray, mix: np.ndarray, matrix: np.ndarray | None
) -> Spread:
    """Covariance of sums (k, G) of means with contributions (n, G), by cluster, and t with one less than the fewest
    clusters of those who had a mix on either side."""
    sums = np.zeros((int(clusters.max()) + 1, parts.shape[1]))
    np.add.at(sums, clusters, parts)
    used = weights if matrix is None else matrix @ weights
    there = np.zeros(sums.shape, dtype=bool)
    there[clusters, mix] = True
    sides = [[int(there[:, w].any(axis=1).sum()) for w in (line > 0, line < 0)] for line in used]
    fewest = np.array([max(min((n for n in each if n), default=1) - 1.0, 1.0) for each in sides])
    each = sums @ used.T
    return Spread(len(sums) / max(len(sums) - 1, 1) * each.T @ each, fewest, ("",) * len(used))
