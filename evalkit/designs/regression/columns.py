"""Columns of the joint event study, for each path and period: event times, cohorts, interactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import sparse

from evalkit.designs.regression.additive import AdditiveDesign, EventTimes, Grid, additive_design, make_grid, spell_ages
from evalkit.study.paths import OFF, Paths

NO_COHORT = -1


@dataclass(frozen=True)
class Shape:
    """The choices of a joint event study; see `JointEventStudy` for their meaning."""

    window: tuple[int, int] | None = None
    interactions: tuple[tuple[str, ...], ...] = ()
    saturated: bool = False
    shape: str = "event_time"
    dose: bool = False
    per: str = "unit"

    @property
    def times(self) -> EventTimes:
        """Event times of single components."""
        return EventTimes(self.window, self.shape, self.dose)

    @property
    def averages(self) -> bool:
        """Whether columns are read at their average dose."""
        return self.dose and self.per == "average"


@dataclass(frozen=True, eq=False)
class Columns:
    """p columns over P paths and T periods.

    names: of components, then of interactions. component: (p,) index in `names`. cohort: (p,) position of the
    start, -1 where columns are not by cohort or the start lies before the panel. event_time: (p,).
    matrix: (P T, p) sparse, path by path. known: (P, T) rows that may be used. pattern: (P,) code of each path's
    period effects. needed: (P T, s) kinds of rows of which each must be there; needs: (s,) the column that asks."""

    names: tuple[str, ...]
    component: np.ndarray
    cohort: np.ndarray
    event_time: np.ndarray
    matrix: sparse.csr_matrix
    known: np.ndarray
    pattern: np.ndarray
    needed: sparse.csr_matrix
    needs: np.ndarray

    @property
    def width(self) -> int:
        return len(self.component)

    @property
    def labels(self) -> np.ndarray:
        """(p,) name of each column's component or interaction."""
        return np.array(self.names, dtype=object)[self.component]

    def keep(self, rows: np.ndarray) -> Columns:
        """Only the columns with a row among `rows` (P, T), used or seen."""
        chosen = np.flatnonzero(np.asarray(self.matrix.T @ rows.ravel().astype(float)).ravel() > 0)
        at = np.full(self.width, -1)
        at[chosen] = np.arange(len(chosen))
        asks = at[self.needs] >= 0
        return replace(
            self, component=self.component[chosen], cohort=self.cohort[chosen], event_time=self.event_time[chosen],
            matrix=self.matrix[:, chosen], needed=self.needed[:, asks], needs=at[self.needs[asks]],
        )  # fmt: skip

    def at_average_dose(self, mass: np.ndarray) -> Columns:
        """Columns over their mean dose, rows counted by `mass` (P, T): one stands for the dose as given on average."""
        return replace(self, matrix=sparse.csr_matrix(self.matrix @ sparse.diags_array(1.0 / self.mean_dose(mass))))

    def mean_dose(self, mass: np.ndarray) -> np.ndarray:
        """(p,) mean of the entries of each column, rows counted by `mass` (P, T); one where there are none."""
        weight = mass.ravel() * self.known.ravel()
        people = (self.matrix > 0).T @ weight
        return np.divide(self.matrix.T @ weight, people, out=np.ones(self.width), where=people > 0)

    def rows(self, paths: np.ndarray) -> sparse.csr_matrix:
        """Rows of some paths, period by period."""
        T = self.known.shape[1]
        return self.matrix[(paths[:, None] * T + np.arange(T)).ravel()]

    def on_grid(self, paths: Paths, grid: Grid) -> AdditiveDesign:
        """The same columns over the rows of a grid."""
        kept = grid.keep(self.known[grid.path[grid.group], grid.period])
        matrix = self.matrix[grid.path[kept.group] * grid.n_periods + kept.period]
        return AdditiveDesign(self.names, self.component, self.event_time, matrix, self.pattern[grid.path], kept)


def make_columns(paths: Paths, choices: Shape) -> Columns:
    """Columns of every component that is not registered as always on, then of the interactions."""
    T, P = paths.n_periods, paths.n_paths
    bare = replace(paths, path=np.arange(P), units=np.arange(P), seen=None, weights=None, levels={})
    made = _of_design(paths, additive_design(bare, make_grid(bare), choices.times))
    if choices.saturated and choices.window is None:
        # with the leads of every start, so that the period before it becomes the reference
        every = _of_design(paths, additive_design(bare, make_grid(bare), EventTimes((T, T), dose=choices.dose)))
        leads = np.flatnonzero(every.event_time < 0)
        made = replace(
            made, component=np.append(made.component, every.component[leads]),
            cohort=np.append(made.cohort, every.cohort[leads]),
            event_time=np.append(made.event_time, every.event_time[leads]),
            matrix=sparse.hstack([made.matrix, every.matrix[:, leads]], format="csr"),
        )  # fmt: skip
    if choices.saturated:
        made = _by_cohort(made, paths)
    for members in choices.interactions:
        made = _with_interaction(made, paths, members)
    return made


def _of_design(paths: Paths, found: AdditiveDesign) -> Columns:
    """Columns of a design that has one group a path."""
    P, T = paths.n_paths, paths.n_periods
    known = np.zeros((P, T), dtype=bool)
    known[found.grid.group, found.grid.period] = True
    entries = found.matrix.tocoo()
    row = found.grid.group[entries.row] * T + found.grid.period[entries.row]
    matrix = sparse.csr_matrix((entries.data, (row, entries.col)), shape=(P * T, found.matrix.shape[1]))
    return Columns(
        paths.components, found.component, np.full(len(found.component), NO_COHORT), found.event_time, matrix, known,
        found.pattern, sparse.csr_matrix((P * T, 0)), np.empty(0, dtype=int),
    )  # fmt: skip


def _by_cohort(columns: Columns, paths: Paths) -> Columns:
    """Each column divided by the cohort of its rows; without leads of the last cohort of a component that everybody
    it can reach has some time, which serves as comparison until it starts (Sun and Abraham 2021)."""
    T, entries = columns.known.shape[1], columns.matrix.tocoo()
    path, period = np.divmod(entries.row, T)
    k, e = columns.component[entries.col], columns.event_time[entries.col]
    start = np.where(e < 0, period - e, NO_COHORT)
    last = np.full(len(columns.names), -2)  # last start where everybody reached has it some time; that of no row else
    for j in np.unique(k):
        on, reached = paths.state[:, :, j] > 0, paths.reach[:, j]
        begin, age = spell_ages(on, paths.state[:, :, j] == OFF)
        begun = np.where(age >= 0, np.arange(T) - age, NO_COHORT)
        start = np.where((k == j) & (e >= 0), begun[path, period], start)
        if on[reached].any(axis=1).all():
            last[j] = max(np.flatnonzero(begin[reached].any(axis=0)), default=-2)
    use, size = (e >= 0) | (start != last[k]), T + 1
    code = ((k * size) + (start + 1)) * (3 * size) + (e + size)
    codes, column = np.unique(code[use], return_inverse=True)
    rest, event = np.divmod(codes, 3 * size)
    component, cohort = np.divmod(rest, size)
    shape = (columns.matrix.shape[0], len(codes))
    matrix = sparse.csr_matrix((entries.data[use], (entries.row[use], column)), shape=shape)
    return replace(columns, component=component, cohort=cohort - 1, event_time=event - size, matrix=matrix)


def _with_interaction(columns: Columns, paths: Paths, members: tuple[str, ...]) -> Columns:
    """One more column, one while all members are on; it asks for rows with every combination of them."""
    on = [(paths.state[:, :, paths.index(m)] > 0) & columns.known for m in members]
    one = np.logical_and.reduce(on).ravel()
    kinds = [
        np.logical_and.reduce([x == want for x, want in zip(on, wanted, strict=True)]) & columns.known
        for wanted in product((False, True), repeat=len(members))
    ]
    asked, new = sparse.csr_matrix(np.array([k.ravel() for k in kinds], dtype=float).T), len(columns.component)
    return replace(
        columns, names=(*columns.names, " x ".join(members)),
        component=np.append(columns.component, len(columns.names)), cohort=np.append(columns.cohort, NO_COHORT),
        event_time=np.append(columns.event_time, 0),
        matrix=sparse.hstack([columns.matrix, sparse.csr_matrix(one.astype(float)[:, None])], format="csr"),
        needed=sparse.hstack([columns.needed, asked], format="csr"),
        needs=np.concatenate([columns.needs, np.full(len(kinds), new)]),
    )  # fmt: skip


def joint_plan(paths: Paths, level: str, choices: Shape) -> AdditiveDesign:
    """The regression on all components over groups of units alike in path, cluster and periods seen."""
    grid, columns = make_grid(paths, level), make_columns(paths, choices)
    seen, weight = np.zeros(columns.known.shape, dtype=bool), np.zeros(columns.known.shape)
    seen[grid.path[grid.group], grid.period] = True
    np.add.at(weight, (grid.path[grid.group], grid.period), grid.weight[grid.group])
    columns = columns.keep(seen & columns.known)
    return (columns.at_average_dose(weight) if choices.averages else columns).on_grid(paths, grid)
