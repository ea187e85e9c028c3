"""Imputation: the programme as a whole, every exposure path, and components where effects add up.

Influence follows the conservative variance of Borusyak, Jaravel and Spiess (2024, theorem 3 and equation 8): untreated
rows count with their residuals, exposed rows with their effect less what an auxiliary model expects of it: the
projection on the components' event times, and beyond it the average of their cohort and period, taken over clusters
with the weights of that equation. (With one component the projection is the same in a whole cohort and period, and
drops out.) Where a cohort and period has one cluster only, which would leave nothing, it is set against wider averages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import AdditiveDesign, additive_design, make_grid, programme_level
from evalkit.designs.regression.imputation_fit import Imputed, Weigh, beyond_the_sum, mean_over, solve_periods
from evalkit.designs.regression.joint import once
from evalkit.designs.regression.moments import Lean
from evalkit.designs.rollout.rows import rows_of
from evalkit.designs.rollout.sums import add_by
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import joint_test
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import GroupSource, Influence
from evalkit.progress import step
from evalkit.study.paths import Paths

ASSUMPTION = "without the programme everyone of the same reach would have moved alike"
EVERYONE = "everyone exposed with an untreated past"
NOTHING = "no exposed row can be imputed: no earlier untreated period, or nobody untreated at the same time"
NOT_ALONE = "imputed effects cannot tell this event time from those of other components"
MOST_PATHS = 200
_CHUNK = 1 << 17
_SPARSE = 0.1
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Imputation(Parameters):
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

    Raises `NotIdentifiedError` when no exposed row can be imputed."""

    outcome: str | None = None
    traits = Traits(frozenset(("parallel trends", "additivity")))
    """Of the answers about components; that about the programme needs no additivity."""

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The event-time columns of its projection, on unit and period effects."""
        return additive_design(paths, make_grid(paths, paths.inference_level(component)[0]))

    @one_thread()
    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Effects of `component` by event time, if effects add up."""
        fitted = self._fit(study, study.paths.inference_level(component)[0])
        mine = np.flatnonzero(fitted.imputed.names[fitted.imputed.projection.component] == component)
        if not len(mine):
            raise NotIdentifiedError(
                f"{component!r} is on in no row whose untreated outcome can be imputed: its units need earlier "
                "periods in which nothing was on, and others that are off at the same time."
            )
        found = fitted.components.select(mine)
        return found.with_labels(additivity_p=fitted.additivity.p_value)

    def total(self, study: StudyLike, level: str | None = None) -> Estimate:
        """The programme's average effect on an exposed unit in a period; then that of every exposure path.

        Where there are more than 200 paths, those with the most exposed unit-periods have rows of their own.
        level: where inference is clustered; default the coarsest level of the components."""
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
        study = study.weighing(self.outcome)

        def fit() -> Fitted:
            step("Imputation: what there would have been without any component")
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
class Clustered(Lean):
    """What all averages of one imputed panel share: its clusters of a level. It knows no average, so that whoever keeps
    averages is not kept by them."""

    imputed: Imputed
    level: str

    @property
    def cluster(self) -> np.ndarray:
        """(n,) code of each unit."""
        return self.imputed.paths.levels[self.level].codes

    @property
    def clusters(self) -> int:
        return len(self.imputed.paths.levels[self.level].names)

    @cached_property
    def by_cluster(self) -> tuple[sparse.csr_array, sparse.csr_array]:
        return self.imputed.pieces(self.cluster[self.imputed.rows.unit], self.clusters)

    @cached_property
    def by_pair(self) -> tuple[np.ndarray, sparse.csr_array, sparse.csr_array]:
        """The same by cluster and group, after the group of each."""
        im, rows = self.imputed, self.imputed.rows
        group = im.group[rows.atom]
        code = self.cluster[rows.unit] * np.int64(len(im.group)) + group
        _, first, pair = np.unique(code, return_index=True, return_inverse=True)
        return group[first], *im.pieces(pair, len(first))

    @cached_property
    def without_each(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mass and effect of each atom without each cluster, imputed again from sums less its own: once for every
        average."""
        im, cluster = self.imputed, self.cluster
        atoms, order = im.collect(cluster), np.argsort(cluster, kind="stable")
        at, q = np.searchsorted(im.atoms.key, atoms.key), im.split.pattern[atoms.path]
        stops, out = np.searchsorted(cluster[order], np.arange(self.clusters + 1)), []
        for c in range(self.clusters):
            mine = order[stops[c] : stops[c + 1]]
            gone, of = im.systems(mine), np.unique(im.pattern[mine])  # the others' systems stay as they are
            less = (a[of] - b[of] for a, b in zip(im.totals, gone, strict=True))
            periods = im.periods.but(of, solve_periods(*less))
            keep = atoms.cluster != c
            keep &= periods.linked[q, atoms.period] == periods.linked[q, atoms.base]
            left = [np.where(keep, x, 0.0) for x in (atoms.mass, im.sums(atoms, periods))]
            mass, effect = (np.bincount(at, weights=x, minlength=len(im.atoms.mass)) for x in left)
            out.append((mass, effect))
        return out


@dataclass(frozen=True, eq=False)
class Fitted(Lean):
    """One panel imputed, and everything that is averaged from it. words: labels that all rows share."""

    imputed: Imputed
    level: str
    words: dict[str, str]

    @cached_property
    def clustered(self) -> Clustered:
        return Clustered(self.imputed, self.level)

    @cached_property
    def components(self) -> Estimate:
        """Event-time effects of every component."""
        im, found = self.imputed, self.imputed.projection
        several = len(im.names) > 1
        of_each = lambda path, period: im.split.age[path, period][:, found.component] == found.event_time  # noqa: E731
        labels = pd.DataFrame({
            "component": im.names[found.component], "event_time": found.event_time,
            "estimand": "imputed effect by event time",
            "population": EVERYONE + (", if effects add up" if several else ""), **self._head_counts(of_each),
        })  # fmt: skip
        return self._estimate(found.weights, found.columns > 0, labels, NOT_ALONE if several else NOTHING)

    @cached_property
    def programme(self) -> Estimate:
        """The programme's average effect, then that of every path."""
        im = self.imputed
        used = np.flatnonzero(im.split.exposed.any(axis=1))
        if len(used) > MOST_PATHS:
            mass = np.bincount(im.atoms.path, weights=im.atoms.mass, minlength=im.paths.n_paths)
            used = np.sort(used[np.argsort(-mass[used], kind="stable")[:MOST_PATHS]])
        of_each = lambda path, _: np.column_stack([np.ones(len(path), bool), path[:, None] == used])  # noqa: E731
        estimand = ["average effect of the programme"] + ["average effect of an exposure path"] * len(used)
        labels = pd.DataFrame({
            "component": "programme", "path": ["every path", *(self._path_words(path) for path in used)],
            "estimand": estimand, "population": EVERYONE, **self._head_counts(of_each),
        })  # fmt: skip
        of = of_each(im.atoms.path, im.atoms.period)
        return self._estimate(partial(mean_over, of), of, labels)

    @cached_property
    def additivity(self) -> Additivity:
        im, age = self.imputed, self.imputed.split.age[self.imputed.atoms.path, self.imputed.atoms.period]
        sets, which = np.unique(age >= 0, axis=0, return_inverse=True)
        together = np.flatnonzero(sets.sum(axis=1) > 1)
        if not len(together):
            return Additivity(np.nan, None, "no two components are on together in a row that can be imputed")
        of = which.reshape(-1)[:, None] == together
        free = np.flatnonzero(beyond_the_sum(im.projection, of, im.atoms.mass)[1])
        if not len(free):
            return Additivity(np.nan, None, "effects of components that are on together take up every comparison")
        labels = pd.DataFrame({
            "component": [" with ".join(im.names[sets[s]]) for s in together[free]],
            "estimand": "effect beyond the sum of its components'", "population": "everyone exposed to all of them",
        })  # fmt: skip
        rows = self._estimate(partial(beyond_the_sum, im.projection, of[:, free]), of[:, free], labels)
        frame = rows.to_frame()
        good = np.flatnonzero(np.isfinite(frame["std_error"].to_numpy()))
        if not len(good):
            return Additivity(np.nan, rows, str(frame["reason"].iloc[0]) or "no interval")
        df = float(frame["df"].iloc[good].min())
        return Additivity(joint_test(rows.value[good], rows.vcov()[np.ix_(good, good)], df), rows)

    def over(self, share: np.ndarray, labels: pd.DataFrame) -> Estimate:
        """Average imputed effect over shares (a, k) of the atoms, a row each with `labels`."""
        return self._estimate(partial(mean_over, share), share > 0, labels)

    def _estimate(self, weigh: Weigh, of: np.ndarray, labels: pd.DataFrame, why: str = NOTHING) -> Estimate:
        """The averages that `weigh` makes of the atoms `of` (a, k), with the reason `why` where not identified."""
        averages, shared = Averages(self.clustered, weigh, of), self.clustered
        reason = np.where(np.isnan(averages.value), why, "").astype(object)
        totals = averages.influence(shared.cluster, shared.clusters)
        source = GroupSource(
            rows_of(self.imputed.paths), totals, self.level, np.arange(shared.clusters), averages.unit_rows
        )
        return Estimate(
            value=averages.value, mass=averages.mass,
            labels=labels.assign(reason=reason, assumption=ASSUMPTION, **self.words, mass=averages.mass),
            value_influence=Influence(((source, np.eye(len(averages.value))),), self.level),
            arms=averages.arms, replicate=averages,
        )  # fmt: skip

    def _path_words(self, path: int) -> str:
        """A path in words: "nurse from 2005, court from 2007 to 2009"."""
        paths, spells = self.imputed.paths, []
        for k in self.imputed.split.members:
            on = np.flatnonzero(paths.state[path, :, k] > 0)
            for run in np.split(on, np.flatnonzero(np.diff(on) > 1) + 1):
                if len(run):
                    end = "" if run[-1] == paths.n_periods - 1 else f" to {paths.periods[run[-1]]}"
                    spells.append((run[0], f"{paths.components[k]} from {paths.periods[run[0]]}{end}"))
        return ", ".join(words for _, words in sorted(spells))

    def _head_counts(self, of_each: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        """units_exposed and units_left_out of each average; of_each: path and period (c,) -> (c, k) whether it is of
        a cell."""
        unit, period, can = self.imputed.candidates
        *where, cell = self.imputed.cells(unit, period)
        member = sparse.csr_matrix(of_each(*where).astype(float))
        rows = sparse.csr_matrix((np.ones(len(unit)), (unit, cell)), shape=(self.imputed.paths.n_units, len(where[0])))
        used = sparse.csr_matrix((can.astype(float), (unit, cell)), shape=rows.shape)
        used.eliminate_zeros()
        exposed, both = (self._people(x @ member) for x in (used, rows))
        return {"units_exposed": exposed, "units_left_out": both - exposed}

    def _people(self, those: sparse.csr_matrix) -> np.ndarray:
        """(k,) people behind the units that have an entry in each column of (n, k)."""
        unit, column = those.nonzero()
        people = self.imputed.paths.people[unit]
        return np.bincount(column, weights=people, minlength=those.shape[1]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Averages(Lean):
    """k weighted sums of imputed effects; called, their refits without each cluster.
    of: (a, k) bool, the atoms that an average speaks for."""

    shared: Clustered
    weigh: Weigh
    of: np.ndarray

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """(a, k) weights, rounding errors set to zero, and (k,) which averages are identified."""
        weight, known = self.weigh(self.shared.imputed.atoms.mass)
        return np.where(np.abs(weight) > _ROUNDING * np.abs(weight).max(axis=0, initial=0.0), weight, 0.0), known

    @cached_property
    def value(self) -> np.ndarray:
        """(k,) NaN where not identified."""
        (weight, known), im = self.weights, self.shared.imputed
        return np.where(known, im.sums(im.atoms, im.periods) @ weight, np.nan)

    @cached_property
    def mass(self) -> np.ndarray:
        """(k,) exposed unit-periods."""
        return self.shared.imputed.atoms.mass @ self.of

    @cached_property
    def on_residual(self) -> np.ndarray:
        """(q, T, k) what a residual of an untreated row in a period adds to each average."""
        im, (weight, _) = self.shared.imputed, self.weights
        inverse, pattern = im.periods.inverse, im.split.pattern[im.atoms.path]
        lever = [im.atoms.lever[pattern == q].T @ weight[pattern == q] for q in range(len(inverse))]
        return -np.einsum("qst,qtk->qsk", inverse, np.array(lever).reshape(len(inverse), -1, weight.shape[1]))

    @cached_property
    def expected(self) -> np.ndarray:
        """(g, k) average effect beyond the usual of each cohort and period, for each average (their equation 8).

        Where the equation has one cluster, the mean over all rows of the cohort and period; where that has one, of all.
        """
        of_pair, mass, effect = self.shared.by_pair
        group = self.shared.imputed.group
        groups = int(group.max(initial=-1)) + 1
        top, below, count = np.zeros((3, groups, len(self.value)))
        for low in range(0, len(of_pair), _CHUNK):
            part = slice(low, low + _CHUNK)
            a, b = (_product(x[part], self.weights[0]) for x in (mass, effect))
            pairs = np.arange(a.shape[0])
            collect = sparse.csr_array((np.ones(len(pairs)), (of_pair[part], pairs)), shape=(groups, len(pairs)))
            for into, what in ((top, a * b), (below, a * a), (count, (a != 0).astype(float))):
                into += _as_array(collect @ what)
        m, e = (np.bincount(group, weights=x.sum(axis=0), minlength=groups) for x in (mass, effect))
        alone = np.bincount(of_pair, minlength=groups) < 2
        wide = np.where(alone, e.sum() / max(m.sum(), 1e-300), e / np.maximum(m, 1e-300))[:, None]
        return np.where((count > 1) & (below > 0), top / np.where(below > 0, below, 1.0), wide)

    def influence(self, code: np.ndarray, size: int) -> np.ndarray:
        """(size, k) influence summed by `code` (n,)."""
        shared, im = self.shared, self.shared.imputed
        out = np.zeros((size, len(self.value)))
        for q, on_residual in enumerate(self.on_residual):
            mine = np.flatnonzero(im.pattern == q)
            if len(mine):
                out += add_by(im.residual[mine], code[mine], size) @ on_residual
        mass, effect = shared.by_cluster if code is shared.cluster else im.pieces(code[im.rows.unit], size)
        out += _as_array(_product(effect, self.weights[0]))
        return out - _as_array(_product(mass, self.weights[0] * self.expected[im.group]))

    def unit_rows(self) -> np.ndarray:
        """(n, k) influence by unit: records about people."""
        n = self.shared.imputed.paths.n_units
        return self.influence(np.arange(n), n)

    @cached_property
    def arms(self) -> Arms:
        """A cluster is exposed where it has rows that an average speaks for, comparison where it has
        untreated rows in the same periods."""
        shared, im = self.shared, self.shared.imputed
        exposed, T = _as_array(_product(shared.by_cluster[0], self.of.astype(float))) > 0, im.values.shape[1]
        when = np.array([np.bincount(im.atoms.period[o], minlength=T) > 0 for o in self.of.T]).reshape(-1, T)
        free = add_by(im.untreated.astype(np.float32), shared.cluster, shared.clusters) > 0
        comparison = (free.astype(np.float32) @ when.T.astype(np.float32)) > 0
        return Arms(exposed, comparison, np.ones(shared.clusters, dtype=int))

    @one_thread()
    def __call__(self) -> Replicates:
        """Refits without each cluster: sums less its own, in closed form."""
        im, cluster, clusters = self.shared.imputed, self.shared.cluster, self.shared.clusters
        values, masses = np.zeros((2, clusters, len(self.value)))
        for c, (mass, effect) in enumerate(self.shared.without_each):
            weight, known = self.weigh(mass)
            masses[c] = np.where(known, mass @ self.of, 0.0)
            values[c] = np.where(masses[c] > 0, effect @ weight, np.nan)
        free = np.bincount(cluster, weights=im.untreated.any(axis=1), minlength=clusters)[:, None] > 0
        exposed, names = self.arms.exposed, im.paths.levels[self.shared.level].names
        return Replicates(names, self.shared.level, values, masses, exposed, free & ~exposed)


def _product(left: sparse.csr_array, right: np.ndarray) -> np.ndarray | sparse.csr_array:
    """left @ right, sparse where most of `right` is zero (averages of single paths)."""
    return left @ sparse.csr_array(right) if np.count_nonzero(right) < _SPARSE * right.size else left @ right


def _as_array(x: np.ndarray | sparse.csr_array) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else np.asarray(x.toarray())
