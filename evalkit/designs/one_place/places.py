"""Which places are read, beside which others and over which periods: from exposures and rows alone; and their series.

A place is a cluster's people of one exposure path. Who may stand beside it is what the plan of a staggered rollout
says: places not yet exposed whose other components follow the same path, here from the first period used to the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.study.calendar import make_calendar
from evalkit.study.paths import Cells, Paths

ENOUGH = 5
"""Other places below which no interval is given from them."""
DUST = 1e-12
"""Share of a series' size below which what it does is rounding."""


def hole(paths: Paths, first: int, stop: int) -> str:
    """Which periods of a series that is read from one position to another have others between them that nobody
    recorded; "" where none have."""
    read, gaps = paths.periods[first:stop], set(make_calendar(np.asarray(paths.periods)).gaps)
    late = [i for i, period in enumerate(read[:-1]) if period in gaps]
    return f"a gap in the series: nothing is recorded between {read[late[0]]} and {read[late[0] + 1]}" if late else ""


@dataclass(frozen=True, eq=False)
class Place:
    """One start of one place, at position `cohort`: its `cell` and the comparison of the plan that it is part of.

    first, last_base: the first and the last period before the start that are read. until: the last period after it.
    asked: (r,) periods with a row. beside: cells that serve as comparison; donors: (n0,) their clusters, each once.
    """

    cell: int
    cluster: int
    comparison: Comparison
    first: int
    last_base: int
    until: int
    asked: np.ndarray
    beside: np.ndarray
    donors: np.ndarray

    @property
    def cohort(self) -> int:
        return self.comparison.cohort

    @property
    def before(self) -> int:
        """Periods read before the start."""
        return self.last_base - self.first + 1

    def claimed(self, lag: int) -> np.ndarray:
        """Positions of the periods that are claimed: from `lag` on, to the last."""
        return np.arange(self.cohort + lag, self.until + 1)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Cells of a study's people at one level, and which of them have rows when. Seen: (C, T)."""

    paths: Paths
    level: str

    @cached_property
    def cells(self) -> Cells:
        return self.paths.cells(self.level)

    @cached_property
    def membership(self) -> sparse.csr_array:
        """(C, n) the weight of each person in its cell."""
        n = self.paths.n_units
        weights = np.ones(n) if self.paths.weights is None else self.paths.weights
        return sparse.csr_array((weights, (self.cells.of, np.arange(n))), shape=(len(self.cells), n))

    @cached_property
    def seen(self) -> np.ndarray:
        """(C, T) whether anybody of a cell has a row."""
        if self.paths.seen is None:
            return np.ones((len(self.cells), self.paths.n_periods), dtype=bool)
        return np.asarray(self.membership @ self.paths.seen.astype(float)) > 0

    @cached_property
    def counted(self) -> np.ndarray:
        """(C,) people of each cell, those asked in it where it is a place of a study of other people each period."""
        people = np.bincount(self.cells.of, weights=self.paths.counted, minlength=len(self.cells))
        return np.round(people).astype(np.int64)

    @cached_property
    def mass(self) -> np.ndarray:
        """(C,) people of each cell, by weight."""
        return np.asarray(self.membership.sum(axis=1)).ravel()


def find_places(plan: Plan, grouped: Grouped) -> list[Place]:
    """Every start of every place in the plan, in its order, beside others: over the longest stretch before and after
    that keeps enough of them."""
    cells = grouped.cells
    return [_place(c, int(at), grouped) for c in plan for at in np.flatnonzero(cells.path == c.path)]


def _place(c: Comparison, cell: int, grouped: Grouped) -> Place:
    times = np.arange(len(c.base))
    after = np.flatnonzero(c.possible & (times >= c.cohort))
    base = int(c.base[after[0]])
    leads = np.flatnonzero(c.possible & (times < c.cohort))
    earliest = int(min([*leads, base]))
    cluster = int(grouped.cells.cluster[cell])
    counts = [len(_clusters(c, cell, base, int(t), grouped)[1]) for t in after]
    until = int(after[max(i for i, n in enumerate(counts) if n >= min(ENOUGH, max(counts)))])
    stretch = range(earliest, base + 1)
    found = [_clusters(c, cell, t, until, grouped) for t in stretch]
    enough = [i for i, (_, names) in enumerate(found) if len(names) >= ENOUGH]
    some = [i for i, (_, names) in enumerate(found) if len(names)]
    at = (enough or some or [0])[0]
    return Place(cell, cluster, c, stretch[at], base, until, after, *found[at])


def alone(place: Place) -> Place:
    """The place beside nobody, over all periods that it has itself."""
    c, nobody = place.comparison, np.empty(0, dtype=int)
    leads = np.flatnonzero(c.possible & (np.arange(len(c.base)) < c.cohort))
    first = int(min([*leads, place.last_base]))
    return replace(place, first=first, until=int(place.asked[-1]), beside=nobody, donors=nobody)


def _clusters(c: Comparison, cell: int, first: int, last: int, grouped: Grouped) -> tuple[np.ndarray, np.ndarray]:
    """Cells that serve from one period to another and their clusters, each with a row in every period."""
    cells, cluster = grouped.cells, grouped.cells.cluster
    base = int(c.base[last])
    match = c.match[:, last] if first >= base else c.match[:, last] & c.match[:, first]
    serve = np.flatnonzero(match[cells.path] & (cluster != cluster[cell]))
    names, of = np.unique(cluster[serve], return_inverse=True)
    there = np.zeros((len(names), last - first + 1), dtype=bool)
    np.logical_or.at(there, of, grouped.seen[serve, first : last + 1])
    kept = np.asarray(there.all(axis=1))
    return serve[kept[of]], names[kept]


@dataclass(frozen=True, eq=False)
class Series:
    """Mean outcomes of cells by period, NaN where nobody was seen. total, weight: (C, T)."""

    grouped: Grouped
    total: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, grouped: Grouped, values: np.ndarray) -> Series:
        """values: (n, T) outcomes."""
        seen = np.isfinite(values)
        total = grouped.membership @ np.where(seen, values, 0.0)
        return cls(grouped, np.asarray(total), np.asarray(grouped.membership @ seen.astype(float)))

    def mean(self, cells: np.ndarray) -> np.ndarray:
        """(T,) mean over the people of some cells."""
        below = self.weight[cells].sum(axis=0)
        return np.divide(self.total[cells].sum(axis=0), below, out=np.full(len(below), np.nan), where=below > 0)

    def exposed(self, place: Place) -> np.ndarray:
        """(t,) the place itself from its first period to its last."""
        return self.mean(np.array([place.cell]))[place.first : place.until + 1]

    def donors(self, place: Place) -> np.ndarray:
        """(n0, t) the places beside it."""
        cluster = self.grouped.cells.cluster[place.beside]
        rows = [self.mean(place.beside[cluster == name])[place.first : place.until + 1] for name in place.donors]
        return np.array(rows).reshape(len(place.donors), place.until + 1 - place.first)


def constant(series: np.ndarray) -> bool:
    """Whether a series (t,) never changes but for the rounding of its means."""
    return bool(np.ptp(series) <= DUST * np.abs(series).max())


def with_values(place: Place, series: Series) -> Place:
    """The place with those donors only whose outcome is known in every period."""
    known = np.isfinite(series.donors(place)).all(axis=1)
    cluster = series.grouped.cells.cluster[place.beside]
    beside = place.beside[np.isin(cluster, place.donors[known])]
    return replace(place, donors=place.donors[known], beside=beside)
