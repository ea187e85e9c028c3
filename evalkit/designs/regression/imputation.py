"""Imputation: the programme as a whole, every exposure path, and components where effects add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import (
    AdditiveDesign,
    EventTimes,
    additive_design,
    make_grid,
    programme_level,
)
from evalkit.designs.regression.imputation_averages import Averages, BeyondTheSum, Means, Weigh
from evalkit.designs.regression.imputation_fit import Imputed, Projection, Split, project
from evalkit.designs.regression.joint import once
from evalkit.designs.rollout.rows import rows_of
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import joint_test
from evalkit.inference.sources import GroupSource, Influence
from evalkit.study.paths import Paths

ASSUMPTION = "without the programme everyone of the same reach would have moved alike"
NOTHING = "no exposed row can be imputed: no earlier untreated period, or nobody untreated at the same time"
NOT_ALONE = "imputed effects cannot tell this event time from those of other components"


def path_words(paths: Paths, split: Split, path: int) -> str:
    """A path in words: "nurse from 2005, court from 2007 to 2009"."""
    spells = []
    for k in split.members:
        on = np.flatnonzero(paths.state[path, :, k] > 0)
        for run in np.split(on, np.flatnonzero(np.diff(on) > 1) + 1):
            if len(run):
                end = "" if run[-1] == paths.n_periods - 1 else f" to {paths.periods[run[-1]]}"
                spells.append((run[0], f"{paths.components[k]} from {paths.periods[run[0]]}{end}"))
    return ", ".join(words for _, words in sorted(spells))


def head_counts(
    imputed: Imputed, projection: Projection | None, paths: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """units_exposed and units_left_out by row: of a projection, or of the programme and some paths."""
    unit, period, can = imputed.candidates
    key = imputed.paths.path[unit].astype(np.int64) * imputed.values.shape[1] + period
    keys, cell = np.unique(key, return_inverse=True)
    path, at = np.divmod(keys, imputed.values.shape[1])
    if projection is not None:
        age = imputed.split.age[path, at]
        member = [age[:, j] == e for j, e in zip(projection.component, projection.event_time, strict=True)]
    else:
        member = [np.ones(len(keys), bool), *(path == p for p in ([] if paths is None else paths))]
    of = sparse.csr_matrix(np.array(member).reshape(len(member), len(keys)).T.astype(float))
    used, both = (_distinct(unit[m], cell[m], of, imputed.paths.n_units) for m in (can, slice(None)))
    return {"units_exposed": used, "units_left_out": both - used}


def _distinct(unit: np.ndarray, cell: np.ndarray, of: sparse.csr_matrix, n: int) -> np.ndarray:
    """(k,) distinct units with a row in the cells of each column."""
    rows = sparse.csr_matrix((np.ones(len(unit)), (unit, cell)), shape=(n, of.shape[0]))
    return np.bincount((rows @ of).indices, minlength=of.shape[1])


MOST_PATHS = 200


@dataclass(frozen=True)
class Imputation:
    """Effects against the outcome that a unit would have had without the programme.

    Untreated outcomes Y_it(0) = u_i + v_{t, reach} are fitted by weighted least squares on the rows in which
    nothing has been on yet (after a spell a row is not untreated again) and imputed for the exposed rows;
    effects are averaged (Borusyak, Jaravel and Spiess 2024, Review of Economic Studies 91, theorem 2), with
    their conservative standard errors (equation 8, effects about the projection below), or delete-one-cluster
    refits where clusters are few. Period effects are one set for each pattern of reach. Exposed rows of units
    without an untreated row, or in periods that nothing links to it, are left out and counted.

    Calling gives one component's rows by event time: imputed effects projected onto event-time indicators
    of every component by minimum distance, each atom (path and period) weighing as many unit-periods as it
    has. Right only if effects add up, take the same course wherever a component starts, and end with their
    spell; with a single component nothing is assumed beyond parallel trends. `additivity_p` in the labels
    is the test of it. A coefficient outside the row space is NaN, with the reason.

    outcome: name of another outcome than the study's first.

    Raises `NotIdentifiedError` when no exposed row can be imputed.
    """

    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What the answers about components rest on; that about the programme needs no additivity."""
        return Traits(frozenset(("parallel trends", "additivity")))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The event-time columns of its projection, on unit and period effects."""
        level, _ = paths.inference_level(component)
        return additive_design(paths, make_grid(paths, level), EventTimes())

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Effects of `component` by event time, if effects add up."""
        level, _ = study.paths.inference_level(component)
        fitted = self._fit(study, level)
        mine = np.flatnonzero(fitted.labels["component"].to_numpy() == component)
        if not len(mine):
            raise NotIdentifiedError(
                f"{component!r} is on in no row whose untreated outcome can be imputed: its units need earlier "
                "periods in which nothing was on, and others that are off at the same time."
            )
        found = fitted.components.select(mine)
        test = self.additivity(study, level)
        return replace(found, labels=found.labels.assign(additivity_p=test.p_value))

    def total(self, study: StudyLike, level: str | None = None) -> Estimate:
        """The programme's average effect on an exposed unit in a period; then that of every exposure path.

        Where there are more than 200 paths, those with the most exposed unit-periods have rows of their own.
        level: where inference is clustered; default the coarsest level of the components.
        """
        fitted = self._fit(study, level or programme_level(study.paths))
        if not len(fitted.imputed.atoms.mass):
            raise NotIdentifiedError(
                "No exposed row can be imputed: exposed units need earlier periods in which nothing was on, and "
                "others in which nothing is on yet at the same time."
            )
        return fitted.programme

    def additivity(self, study: StudyLike, level: str | None = None) -> Additivity:
        """Whether components that are on together do what the sum of their effects says."""
        return self._fit(study, level or programme_level(study.paths)).additivity

    def _fit(self, study: StudyLike, level: str) -> Fitted:
        def fit() -> Fitted:
            outcome = study.outcome(self.outcome)
            words = {"outcome": outcome.column, "outcome_unit": outcome.unit, "inference_level": level}
            # Paths of its own, so that what their memo keeps does not keep them.
            return Fitted(Imputed(replace(study.paths), study.values(self.outcome)), level, words)

        return once(study, self.outcome, ("imputation", self, level), fit)


@dataclass(frozen=True, eq=False)
class Additivity:
    """The test of additivity. rows: for each set of components that are on together, the mean imputed effect
    less the sum of the projected ones. p_value: all of them zero, by their largest t (few clusters: never a
    Wald test); NaN with a `reason` where it cannot be tested."""

    p_value: float
    rows: Estimate | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Fitted:
    """One panel imputed, and everything that is averaged from it. words: labels that all rows share."""

    imputed: Imputed
    level: str
    words: dict[str, str]

    @cached_property
    def projection(self) -> Projection:
        return project(self.imputed)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """component and event_time of the projection's rows."""
        names = np.array([self.imputed.paths.components[k] for k in self.imputed.split.members], dtype=object)
        found = self.projection
        return pd.DataFrame({"component": names[found.component], "event_time": found.event_time})

    @cached_property
    def components(self) -> Estimate:
        """Event-time effects of every component."""
        several = len(self.imputed.split.members) > 1
        of = self.projection.columns > 0
        averages = self._averages(self.projection.weights, of)
        labels = self.labels.assign(
            estimand="imputed effect by event time",
            population="everyone exposed with an untreated past" + (", if effects add up" if several else ""),
            **head_counts(self.imputed, self.projection),
            reason=np.where(np.isnan(averages.value), NOT_ALONE if several else NOTHING, "").astype(object),
        )
        return self._estimate(averages, labels)

    @cached_property
    def programme(self) -> Estimate:
        """The programme's average effect, then that of every path."""
        im = self.imputed
        used = np.flatnonzero(im.split.exposed.sum(axis=1))
        if len(used) > MOST_PATHS:
            mass = np.bincount(im.atoms.path, weights=im.atoms.mass, minlength=im.paths.n_paths)
            used = np.sort(used[np.argsort(-mass[used], kind="stable")[:MOST_PATHS]])
        of = np.column_stack([np.ones(len(im.atoms.mass), bool), *(im.atoms.path == p for p in used)])
        averages = self._averages(Means(of), of)
        words = [path_words(im.paths, im.split, path) for path in used]
        estimand = ["average effect of the programme"] + ["average effect of an exposure path"] * len(used)
        labels = pd.DataFrame({
            "component": "programme", "path": ["every path", *words], "estimand": estimand,
            "population": "everyone exposed with an untreated past", **head_counts(im, None, used),
            "reason": np.where(np.isnan(averages.value), NOTHING, "").astype(object),
        })  # fmt: skip
        return self._estimate(averages, labels)

    @cached_property
    def additivity(self) -> Additivity:
        im, age = self.imputed, self.imputed.split.age[self.imputed.atoms.path, self.imputed.atoms.period]
        sets, which = np.unique(age >= 0, axis=0, return_inverse=True)
        together = np.flatnonzero(sets.sum(axis=1) > 1)
        if not len(together):
            return Additivity(np.nan, None, "no two components are on together in a row that can be imputed")
        of = which.reshape(-1)[:, None] == together
        free = np.flatnonzero(BeyondTheSum(self.projection, of)(im.atoms.mass)[1])
        if not len(free):
            return Additivity(np.nan, None, "effects of components that are on together take up every comparison")
        averages = self._averages(BeyondTheSum(self.projection, of[:, free]), of[:, free])
        names = np.array([im.paths.components[k] for k in im.split.members], dtype=object)
        labels = pd.DataFrame({
            "component": [" with ".join(names[sets[s]]) for s in together[free]],
            "estimand": "effect beyond the sum of its components'", "population": "everyone exposed to all of them",
            "reason": np.where(np.isnan(averages.value), NOTHING, ""),
        })  # fmt: skip
        return _tested(self._estimate(averages, labels))

    def over(self, share: np.ndarray, labels: pd.DataFrame) -> Estimate:
        """Average imputed effect over shares (a, k) of the atoms, a row each with `labels`."""
        averages = self._averages(Means(share), share > 0)
        return self._estimate(averages, labels.assign(reason=np.where(np.isnan(averages.value), NOTHING, "")))

    def _averages(self, weigh: Weigh, of: np.ndarray) -> Averages:
        return Averages(self.imputed, weigh, of, self.usual, self.level)

    @cached_property
    def usual(self) -> np.ndarray:
        """(a,) effect of each atom by the projection; the same whichever dependent columns are left out."""
        atoms, im = self.imputed.atoms, self.imputed
        lift, _ = self.projection.weights(atoms.mass)
        return self.projection.columns @ (lift.T @ im.sums(atoms, im.periods))

    def _estimate(self, averages: Averages, labels: pd.DataFrame) -> Estimate:
        rows, codes = rows_of(self.imputed.paths), np.arange(averages.clusters)
        source = GroupSource(rows, averages.totals(), self.level, codes, averages.unit_rows)
        return Estimate(
            value=averages.value, mass=averages.mass,
            labels=labels.assign(assumption=ASSUMPTION, **self.words, mass=averages.mass),
            value_parts=Influence(((source, np.eye(len(averages.value))),), self.level),
            arms=averages.arms, replicate=averages,
        )  # fmt: skip


def _tested(rows: Estimate) -> Additivity:
    """The largest t of all rows with an interval against its distribution under zero."""
    frame, vcov = rows.to_frame(), rows.vcov()
    good = np.flatnonzero(np.isfinite(frame["std_error"].to_numpy()))
    if not len(good):
        return Additivity(np.nan, rows, str(frame["reason"].iloc[0]) or "no interval")
    df = float(frame["df"].iloc[good].min())
    return Additivity(joint_test(rows.value[good], vcov[np.ix_(good, good)], df), rows)
