"""Rows by weights of least noise, from sums of units: the working covariance, refits, influence and cells."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.noise.covariance import People, Person, autocovariance, fit_person, unequal
from evalkit.designs.noise.model import (
    CellMeans,
    Columns,
    Groups,
    Targets,
    cell_means,
    make_places,
    unit_influence,
    with_noise,
)
from evalkit.designs.noise.refits import Gone, refits
from evalkit.designs.noise.shocks import SHOCKS, Shocks, shock_variances, with_shocks
from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.rollout.rows import by_path_source, cell_table, rows_of
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.designs.threads import one_thread
from evalkit.errors import EvalkitError
from evalkit.inference.estimate import Estimate
from evalkit.inference.labelled import Labels
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import DenseSource, GroupSource, Influence, Source
from evalkit.inference.stacking import stack

FLAT = "outcomes before exposure do not vary, so that there is no noise to weigh by"
FEW = "fewer than two clusters are seen before exposure, so that there is no noise to weigh by"
FEW_PERIODS = "too few cell-periods are seen before exposure for a working covariance"
NOT_POSITIVE = "the working covariance of a cluster is not positive definite"
WEIGHTS = ("equal", "least_noise")
EQUAL, LEAST_NOISE = "equal", "least noise"
NOTHING = 1e-12
"""Weight of a cell-period below which it takes no part in a row."""
MOST = 128
"""Clusters above which shocks of places are learnt from some of them."""
SPARE = 10
"""Cell-periods before exposure, beyond what levels and columns take up, that a working covariance needs."""


class NoCovarianceError(EvalkitError):
    """There is nothing to make a working covariance from."""


def people_in_cells(sums: Sums, groups: Groups) -> tuple[Person | None, CellMeans]:
    """One person's covariance about the mean of the cell, None where no cell (no path, where everybody is a cluster)
    has two to compare, and means of cells under it, outcomes less their mean: the same for every component of an
    outcome, so made once."""

    def make() -> tuple[Person | None, CellMeans]:
        of, T = sums.paths.path if groups.lone else groups.of, sums.paths.n_periods
        values = less_mean(sums)
        person = fit_person(*autocovariance(People.of_sums(sums, values), of, int(of.max()) + 1))
        R = np.eye(T) if person is None else person.matrix(T)
        mean, noise = cell_means(values, groups.of, groups.order, (sums.weights, sums.paths.squares), R)
        if person is None:  # what there is of noise is the places' then
            noise = tuple(map(np.zeros_like, noise))
        return person, CellMeans(groups.path, groups.cluster, mean, noise)

    key = ("people in cells", type(sums), sums.level, sums.by_path, groups.lone)
    return sums.paths.memo.get(key, make, sums.values)


def less_mean(sums: Sums) -> np.ndarray:
    """(n, T) outcomes less their mean: exact where they are far from zero and close to each other, so that no answer
    rests on their last digits."""
    known = np.isfinite(sums.values) & (sums.weights > 0)[:, None]
    return np.asarray(sums.values - (np.mean(sums.values, where=known) if known.any() else 0.0))


class Used(NamedTuple):
    """What the m cell-periods of a place, the first u of which are without the component, weigh in r rows: cell (m,)
    and period (m,), rows (r,), weight (m, r)."""

    cluster: int
    u: int
    cell: np.ndarray
    period: np.ndarray
    rows: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Made:
    """An untreated model; cell and period of what each of its places holds; and whether there are enough of them."""

    model: Untreated
    where: list[tuple[np.ndarray, np.ndarray]]
    enough: bool


@dataclass(frozen=True, eq=False)
class Weighing:
    """k rows of one component. columns: what moves cells without it. targets: shares of exposed cell-periods in the
    rows, by cell of `sums`. mass: (k,) of each row where all of it can be told. learnt_by: of which weighing it takes
    the shocks of places, None for its own; key: what these are kept under, and kept_as: what the model is, None where
    they are not kept. few: whether the covariance of people, where each is a cluster, is enough however few the paths.
    """

    component: str
    sums: Sums
    columns: Columns
    targets: Targets
    mass: np.ndarray
    key: Hashable = None
    learnt_by: Weighing | None = None
    kept_as: Hashable = None
    few: bool = False

    def __getstate__(self) -> dict[str, object]:
        """What follows from the fields is large and made again, but for what is asked of it wherever it is sent."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**given, "used": self.used} if {"_made", "used"} & self.__dict__.keys() else given

    @cached_property
    def groups(self) -> Groups:
        return Groups.of_sums(self.sums)

    @cached_property
    def values(self) -> np.ndarray:
        return less_mean(self.sums)

    @cached_property
    def _people(self) -> tuple[Person | None, CellMeans]:
        return people_in_cells(self.sums, self.groups)

    @property
    def person(self) -> Person | None:
        return self._people[0]

    @property
    def cells(self) -> CellMeans:
        return self._people[1]

    @property
    def model(self) -> Untreated:
        """The untreated model with people's noise, and shocks of places where they can be seen."""
        return self._made.model

    @property
    def where(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Group and period of the cell-periods of each place of the model."""
        return self._made.where

    @cached_property
    def used(self) -> tuple[Used, ...]:
        """Cell-periods of each place of the model and what they weigh, a line of each row being one."""
        model = self.model
        return tuple(
            Used(place.cluster, place.u, *where, rows, own / model.weight[rows])
            for (place, rows, own), where in zip(model.linear, self.where, strict=True)
        )

    def _places(self) -> tuple[Sequence[Place], list[tuple[np.ndarray, np.ndarray]], bool]:
        """Places under people's noise alone, cell and period of what each holds, and whether there are enough."""
        columns = self.columns.fewest(self.cells)
        targets = replace(self.targets, cell=self.groups.cell[self.targets.cell])
        places, where = make_places(self.cells, columns, targets)
        if len(places) < 2:
            raise NoCovarianceError(FEW)
        taken = sum(len(set(p.level[: p.u].tolist())) for p in places) + columns.count
        enough = sum(p.u for p in places) - taken >= SPARE
        if not enough and not (self.groups.lone and self.person):
            raise NoCovarianceError(FEW_PERIODS)
        return places, where, enough

    @cached_property
    def _made(self) -> Made:
        key = ("model", self.kept_as, self.sums.level, self.sums.by_path)
        memo, values = self.sums.paths.memo, self.sums.values
        made = self._make() if self.kept_as is None else memo.shared(key, self._make, values)
        if not (made.enough or self.few):
            raise NoCovarianceError(FEW_PERIODS)
        return made

    def _make(self) -> Made:
        places, where, enough = self._places()
        learnt = self.shocks(places, where) if self.learnt_by is None else self.learnt_by.shocks()
        shocks = Shocks.of(learnt, self.sums.paths.n_periods)
        people = self.person is not None
        model = self._untreated(tuple(with_shocks(p, shocks, at, people) for p, at in zip(places, where, strict=True)))
        if not model.positive:
            raise NoCovarianceError(NOT_POSITIVE)
        more = np.ones(len(places)) if self.groups.lone else unequal(model)
        if (more > 1).any():
            model = self._untreated(tuple(p.scaled(float(m)) for p, m in zip(model.places, more, strict=True)))
        return Made(model, where, enough)

    def shocks(self, *places: Sequence) -> np.ndarray:
        """Variances of the shocks of places; places: these and their cell-periods, if they have been made."""
        make = partial(self._shocks, *places)
        if self.key is None:
            return make()
        return self.sums.paths.memo.get(("shocks", self.key, self.sums.level), make, self.sums.values)

    def _shocks(self, *made: Sequence) -> np.ndarray:
        """Learnt from at most `MOST` places, evenly spaced; none where everybody is a place and people say what noise
        there is."""
        if self.groups.lone and self.person:
            return np.zeros(len(SHOCKS))
        places, where = made or self._places()[:2]
        some = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST)).round().astype(int))
        places, where = tuple(places[i] for i in some), [where[i] for i in some]
        alike = Shocks.of(np.full(len(SHOCKS), 1 / len(SHOCKS)), self.sums.paths.n_periods)
        if not self.person:
            places = with_noise(places, [alike.covariance(*at) for at in where])
        before = [(cell[: p.u], t[: p.u]) for p, (cell, t) in zip(places, where, strict=True)]
        found = shock_variances(self._untreated(tuple(places)), before, known=self.person is not None)
        if self.person is None and not found.any():
            raise NoCovarianceError(FLAT)
        return found

    def _untreated(self, places: tuple[Place, ...]) -> Untreated:
        return Untreated(places, max(int(p.at.max(initial=-1)) + 1 for p in places), len(self.mass))

    @one_thread()
    def replicates(self) -> Replicates:
        """Delete-one-cluster refits, with weights made again under the same working covariance."""
        names = self.sums.paths.levels[self.sums.level].names
        values, weights = refits(self.model, self.parts())
        exposed, comparison = (self._of_clusters(x) for x in self.serving)
        return Replicates(names, self.sums.level, values, weights * self.mass, exposed, comparison)

    def parts(self, group: np.ndarray | None = None) -> list[list[Gone]]:
        """What of the model's places each cluster is. group: (clusters,) codes of which all of one are one part."""
        level = self.sums.paths.levels[self.sums.level]
        group = np.arange(len(level.names)) if group is None else group
        found: list[list[Gone]] = [[] for _ in range(int(group.max(initial=-1)) + 1)]
        for j, (place, (_, at)) in enumerate(zip(self.model.places, self.where, strict=True)):
            if not self.groups.lone:
                found[group[place.cluster]].append(Gone(j))
                continue
            units, share = self.shares(place.cluster)
            if len(units) == 1:  # it is the place
                found[group[level.codes[units[0]]]].append(Gone(j))
                continue
            of_group, line = np.unique(group[level.codes[units]], return_inverse=True)
            whole = np.bincount(line, weights=share)
            own = self.values[np.ix_(units, at)] - self.cells.mean[place.cluster, at[0]]
            y = add_by(share[:, None] * own, line, len(of_group))
            for g, part, mean in zip(of_group, whole, y / whole[:, None], strict=True):
                found[g].append(Gone(j, float(part), mean))
        return found

    def shares(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Units of a group that carry weight, and the share of each in its mean."""
        units = np.flatnonzero((self.groups.of == group) & (self.sums.weights > 0))
        return units, self.sums.weights[units] / self.sums.weights[units].sum()

    @cached_property
    def serving(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, k) clusters (groups, where everybody is one) whose exposed cell-periods carry weight in a row, and those
        that only serve."""
        clusters = int(self.groups.cluster.max()) + 1
        if not self.groups.lone:
            clusters = len(self.sums.paths.levels[self.sums.level].names)
        exposed, comparison = (np.zeros((clusters, len(self.mass)), dtype=bool) for _ in range(2))
        for place, told in zip(self.model.places, self.model.kept, strict=True):
            exposed[place.cluster, place.rows[told]] = True
        for place, rows, weight in self.model.linear:
            comparison[place.cluster, rows[(np.abs(weight) > NOTHING).any(axis=0)]] = True
        return exposed, comparison & ~exposed

    def _of_clusters(self, of_groups: np.ndarray) -> np.ndarray:
        """(clusters, k) from (G, k) as `serving` gives it."""
        if not self.groups.lone:
            return of_groups
        level = self.sums.paths.levels[self.sums.level]
        group = np.empty(len(level.names), dtype=np.int64)
        group[level.codes] = self.groups.of
        return np.asarray(of_groups[group])

    @property
    def arms(self) -> Arms:
        """Clusters with weight in each row; where everybody is one and seen throughout, a line stands for a path."""
        exposed, comparison = self.serving
        if self.sums.by_path:
            return Arms(exposed, comparison, self.sums.people)
        exposed, comparison = (self._of_clusters(x) for x in (exposed, comparison))
        return Arms(exposed, comparison, np.ones(len(exposed), dtype=int))

    def source(self) -> Source:
        """Influence of units on the rows."""
        table, units = rows_of(self.sums.paths), UnitInfluence(self)
        if self.sums.by_path:
            return by_path_source(self.sums, units.coefficients())
        if self.groups.lone:
            return DenseSource(table, units())
        clusters, totals = self.model.totals()
        return GroupSource(table, np.nan_to_num(totals), self.sums.level, clusters, units)

    def estimate(self, labels: Labels, on_mass: Influence) -> Estimate:
        """The rows as an Estimate, under `labels` and with influence on their masses; `NoCovarianceError` where there
        is nothing to weigh them by."""
        model, level = self.model, self.sums.level
        told = np.minimum(model.weight, 1.0)
        return Estimate(
            value=model.value.copy(), mass=self.mass * told, labels=labels.assign(weights=LEAST_NOISE).unread,
            value_influence=Influence(((self.source(), sparse.eye_array(len(told), format="csr")),), level),
            mass_influence=on_mass, arms=self.arms, replicate=self.replicates, cells=CellsUsed(self),
            working=model.vcov(),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class UnitInfluence:
    """(n, k) influence of units on rows of least noise, made when asked for: records about people."""

    made: Weighing

    def __call__(self) -> np.ndarray:
        made, sums, groups = self.made, self.made.sums, self.made.groups
        L, left = self._of_groups()
        out = left[groups.of] * sums.weights[:, None]
        if made.person is not None:
            R = made.person.matrix(sums.paths.n_periods)
            out += unit_influence(made.values, groups.of, sums.weights, R, made.cells, L)
        return np.nan_to_num(out)

    def coefficients(self) -> np.ndarray:
        """(G, k, T + 1) of a unit's weighted deviations from the mean of its group, and of its weight."""
        L, left = self._of_groups()
        mass = np.bincount(self.made.groups.of, weights=self.made.sums.weights, minlength=len(L))
        per_mass = L / np.where(mass > 0, mass, 1.0)[:, None, None]
        return np.nan_to_num(np.concatenate([per_mass.transpose(0, 2, 1), left[:, :, None]], axis=2))

    def _of_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, T, k) weights of the cell-periods of groups in the rows, and (G, k) what a group moves for its mass."""
        made, groups = self.made, self.made.groups
        G, T, k = len(groups.path), made.sums.paths.n_periods, len(made.mass)
        L, left = np.zeros((G, T, k)), np.zeros((G, k))
        model, where = made.model, made.where
        value, weight = np.nan_to_num(model.value), np.where(model.weight > 0, model.weight, np.nan)
        for (place, rows, own), (cell, t), told in zip(model.linear, where, model.kept, strict=True):
            L[cell[:, None], t[:, None], rows] = own
            residual = place.y - place.steps @ model.gamma[place.at]
            np.add.at(left, (cell[:, None], rows), residual[:, None] * own)
            exposed, mine = cell[place.u :], place.rows[told]
            np.add.at(left, (exposed[:, None], mine), -place.weight[:, told] * value[mine])
        mass = np.bincount(groups.of, weights=made.sums.weights, minlength=G)
        return L / weight, left / np.where(mass > 0, mass, 1.0)[:, None] / weight


@dataclass(frozen=True, eq=False)
class CellsUsed:
    """Cell-periods that rows of least noise use, or combinations of them, made when asked for. Each weighs as it is,
    so that its base is itself and its window 0; sign 1 are those exposed and asked for, -1 all before exposure."""

    made: Weighing

    def __call__(self, matrix: np.ndarray | None = None, adopters: bool = False) -> pd.DataFrame:
        made, sums, groups = self.made, self.made.sums, self.made.groups
        codes = sums.paths.levels[sums.level].codes
        lift = np.eye(len(made.mass)) if matrix is None else np.atleast_2d(matrix)
        parts: list[tuple[np.ndarray, ...]] = []
        for cluster, u, cell, t, rows, own in made.used:
            weight = own @ lift[:, rows].T
            if adopters:
                weight[:u] = 0.0
            at, row = np.nonzero(np.abs(weight) > NOTHING)
            of, sign, each = cell[at], np.where(at >= u, 1, -1), weight[at, row]
            found = (row, groups.path[of], groups.cluster[of], t[at], t[at], np.zeros_like(row), sign, each)
            if groups.lone:
                units, share = made.shares(cluster)
                found = tuple(np.repeat(x, len(units)) for x in found)
                found = (*found[:2], np.tile(codes[units], len(at)), *found[3:7], found[7] * np.tile(share, len(at)))
            parts.append(found)
        row, path, cluster, t, *_ = joined = [np.concatenate(x) for x in zip(*parts, strict=True)]
        order = np.lexsort((t, path, cluster, row))
        keys, weight = np.stack(joined[:-1])[:, order].astype(np.int64), joined[-1][order]
        return cell_table(sums.paths, made.component, sums.level, keys, weight, None)


def unweighted(published: Estimate, why: str | np.ndarray) -> Estimate:
    """An estimate of equal weights that says so, and why they are not of least noise."""
    return published.with_labels(weights=why)


def beside(found: Estimate, published: Estimate, order: np.ndarray) -> Estimate:
    """Rows of both as one estimate, in the `order` (k,) of those of `found` and then those of `published`."""
    at = np.argsort(order)[: len(found)]
    working = np.zeros((len(order), len(order)))
    assert found.working is not None
    working[at[:, None], at] = np.nan_to_num(found.working)
    return stack(found.with_fields(working=None), published).select(order).with_fields(working=working)
