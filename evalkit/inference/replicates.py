"""Delete-one-cluster refits (CV3), kept as values and masses, and clusters and cells behind each row.

Variance = (G-1)/G times the sum over deleted clusters of (refit - estimate)^2, G the clusters with weight in the row.
Degrees of freedom: (V1+V0)^2 / (V1^2/(n1-1) + V0^2/max(n0-1, 1)), V1 over the clusters that serve as exposed and V0
over those that serve only as comparison. CV3: MacKinnon, Nielsen and Webb (2023), Fast and reliable jackknife and
bootstrap methods; the degrees of freedom are the project's, with simulated coverage in benchmarks/README.md.

Averages are applied alike to the full sample and to every refit, so that a row lost in a refit leaves
its average, which is renormalised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import methodcaller

import numpy as np
import pandas as pd

from evalkit.inference.intervals import Spread
from evalkit.inference.sources import joined_names
from evalkit.show.words import noun_from_column

FEW = 50  # clusters in an arm below which inference is by delete-one-cluster refits
FEWEST = 3  # clusters in an arm below which an interval holds the truth less often than it says
NO_REFIT = "no interval: without"
"""How the reason begins where a cluster cannot be left out; its name follows."""


@dataclass(frozen=True, eq=False)
class Arms:
    """Which clusters carry weight in each row: (G, k) for the exposed and the comparison arm. `size` (G,) is how many
    clusters each line stands for. At most one line a cluster, or lines of clusters that never overlap."""

    exposed: np.ndarray
    comparison: np.ndarray
    size: np.ndarray

    def map(self, used: np.ndarray) -> Arms:
        """Rows combined: used (k', k) bool."""
        return Arms(_any(self.exposed, used), _any(self.comparison, used), self.size)

    def select(self, index: np.ndarray) -> Arms:
        """The rows at some positions."""
        return Arms(self.exposed[:, index], self.comparison[:, index], self.size)

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(k,) distinct clusters in each arm of each row."""
        return self.size @ self.exposed, self.size @ self.comparison

    def fewest(self) -> int:
        """Distinct clusters with weight anywhere, in the smaller arm."""
        return min(int(self.size @ arm.any(axis=1)) for arm in (self.exposed, self.comparison))


def _any(serves: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(G, k') whether a cluster serves (G, k) in any of the rows that are used (k', k)."""
    return np.asarray((serves.astype(np.float32) @ used.T.astype(np.float32)) > 0)


def stacked_arms(arms: Sequence[Arms]) -> Arms:
    """Rows side by side. Lines of the same sizes are taken for the same clusters, others for clusters of their own."""
    size, lines = arms[0].size, [slice(0, len(arms[0].size))]
    for other in arms[1:]:
        alike = np.array_equal(size, other.size)
        lines.append(slice(0 if alike else len(size), len(size) + (0 if alike else len(other.size))))
        size = size if alike else np.concatenate([size, other.size])
    shape = (len(size), sum(a.exposed.shape[1] for a in arms))
    exposed, comparison, start = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), 0
    for a, own in zip(arms, lines, strict=True):
        rows = slice(start, start + a.exposed.shape[1])
        exposed[own, rows], comparison[own, rows] = a.exposed, a.comparison
        start = rows.stop
    return Arms(exposed, comparison, size)


@dataclass(frozen=True, eq=False)
class Averaging:
    """k rows into k' groups. member: (k, k') bool. by_mass: weights are the masses, else equal.
    total_mass: a group's mass is the sum of its rows' masses, else their mean."""

    member: np.ndarray
    by_mass: bool
    total_mass: bool

    def weights(self, masses: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(R, k) weight of each row before normalising; zero for a lost row."""
        there = (masses > 0) & ~np.isnan(values)
        return np.where(there, masses if self.by_mass else 1.0, 0.0)

    def __call__(self, values: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Averages and masses (R, k') of R samples."""
        member = self.member.astype(float)
        w = self.weights(masses, values)
        below = w @ member
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (w * np.nan_to_num(values)) @ member / below
            there = (w > 0).astype(float) @ member
            mass = np.where(w > 0, masses, 0.0) @ member
            mass = mass if self.total_mass else np.where(there > 0, mass / there, 0.0)
        return np.where(below > 0, mean, np.nan), mass

    def jacobians(self, value: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """d average / d value, d average / d mass, d mass' / d mass: each (k', k)."""
        member = self.member.astype(float)
        w = self.weights(mass[None], value[None])[0]
        below = w @ member
        scale = np.divide(1.0, below, out=np.zeros_like(below), where=below > 0)
        by_value = (w[:, None] * member * scale).T
        there = ((w > 0)[:, None] * member).T
        mean = by_value @ np.nan_to_num(value)
        by_mass = np.zeros_like(by_value)
        if self.by_mass:
            by_mass = there * (np.nan_to_num(value)[None, :] - mean[:, None]) * scale[:, None]
        count = there.sum(axis=1, keepdims=True)
        mass_map = there if self.total_mass else np.divide(there, count, out=np.zeros_like(there), where=count > 0)
        return by_value, by_mass, mass_map


@dataclass(frozen=True, eq=False)
class Replicates:
    """K deleted clusters by k rows. names: (K,). values: NaN where a row is lost. masses: zero
    there. exposed, comparison: (K, k) whether the cluster serves in that arm of the row."""

    names: np.ndarray
    level: str
    values: np.ndarray
    masses: np.ndarray
    exposed: np.ndarray
    comparison: np.ndarray

    @property
    def fewest(self) -> np.ndarray:
        """(k,) clusters in the smaller arm of a row: those exposed, or those that only serve."""
        return np.asarray(np.minimum(self.exposed.sum(axis=0), (self.comparison & ~self.exposed).sum(axis=0)))

    def map(self, matrix: np.ndarray) -> Replicates:
        """Replicates of fixed linear combinations (k', k) of the rows."""
        used = matrix != 0
        lost = np.isnan(self.values).astype(float) @ used.T.astype(float) > 0
        values = np.where(np.isnan(self.values), 0.0, self.values) @ matrix.T
        return Replicates(
            self.names, self.level, np.where(lost, np.nan, values), np.where(lost, 0.0, 1.0),
            self.exposed @ used.T, self.comparison @ used.T,
        )  # fmt: skip

    def select(self, index: np.ndarray) -> Replicates:
        """The rows at some positions."""
        picked = (x[:, index] for x in (self.values, self.masses, self.exposed, self.comparison))
        return Replicates(self.names, self.level, *picked)

    def average(self, averaging: Averaging, used: np.ndarray) -> Replicates:
        """Averages of rows; used: (k', k) rows that weigh in the full sample."""
        values, masses = averaging(self.values, self.masses)
        return Replicates(self.names, self.level, values, masses, _any(self.exposed, used), _any(self.comparison, used))


@dataclass(frozen=True, eq=False)
class Once:
    """Refits of a design, made the first time that they are asked for."""

    make: Callable[[], Replicates]

    @cached_property
    def made(self) -> Replicates:
        return self.make()


@dataclass(frozen=True, eq=False)
class Refits:
    """Where an Estimate's refits come from: a source shared by all that is derived from it, and the steps since then.

    Steps are data (`operator.methodcaller`), so that an Estimate pickles and no derived one keeps those before it.
    """

    source: Once
    steps: tuple[Callable[[Replicates], Replicates], ...] = ()

    def then(self, step: Callable[[Replicates], Replicates]) -> Refits:
        return Refits(self.source, (*self.steps, step))

    def select(self, index: np.ndarray) -> Refits:
        """Those of the rows at some positions."""
        if isinstance(self.source.make, StackedRefits) and not self.steps:
            return self.source.make.select(index)
        return self.then(methodcaller("select", index))

    def __call__(self) -> Replicates:
        refits = self.source.made
        for step in self.steps:
            refits = step(refits)
        return refits


@dataclass(frozen=True, eq=False)
class StackedRefits:
    """Refits of several estimates of one level, side by side. values, masses: of each in the full sample."""

    refits: tuple[Refits, ...]
    values: tuple[np.ndarray, ...]
    masses: tuple[np.ndarray, ...]

    def select(self, index: np.ndarray) -> Refits:
        """Those of the rows at some positions, of the estimates alone that have any of them."""
        sizes = np.array([len(v) for v in self.values])
        of = np.searchsorted(np.cumsum(sizes), index, side="right")
        used = np.unique(of) if len(index) else np.arange(len(sizes))
        at = index - (np.cumsum(sizes) - sizes)[of] + (np.cumsum(sizes[used]) - sizes[used])[np.searchsorted(used, of)]
        if len(used) == 1:
            return self.refits[int(used[0])].select(at)
        few = StackedRefits(*(tuple(x[i] for i in used) for x in (self.refits, self.values, self.masses)))
        return Refits(Once(few), (methodcaller("select", at),))

    def __call__(self) -> Replicates:
        """A cluster that one estimate does not use leaves that estimate as it is."""
        made = [refits() for refits in self.refits]
        names, codes = joined_names([r.names for r in made])
        shape = (len(names), sum(map(len, self.values)))
        values, masses = (np.tile(np.concatenate(full), (len(names), 1)) for full in (self.values, self.masses))
        exposed, comparison, start = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), 0
        for r, at in zip(made, codes, strict=True):
            rows = slice(start, start + r.values.shape[1])
            values[at, rows], masses[at, rows] = r.values, r.masses
            exposed[at, rows], comparison[at, rows] = r.exposed, r.comparison
            start = rows.stop
        return Replicates(names, made[0].level, values, masses, exposed, comparison)


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Cells of a design, for the rows that linear maps (each (k', k)) have made of its own rows."""

    make: Callable[..., pd.DataFrame]
    maps: tuple[np.ndarray, ...]

    def __call__(self, matrix: np.ndarray | None = None, adopters: bool = False) -> pd.DataFrame:
        for step in reversed(self.maps):
            matrix = step if matrix is None else matrix @ step
        return self.make(matrix, adopters=adopters)


@dataclass(frozen=True, eq=False)
class Method:
    """A design's own way to an interval. make: the spread of linear combinations (k', k) of the design's rows; kind:
    what it is called; matrix: the combinations that rows are by now, None for the rows themselves."""

    kind: str
    make: Callable[[np.ndarray | None], Spread]
    matrix: np.ndarray | None = None

    def then(self, matrix: np.ndarray) -> Method:
        """Of combinations (k', k) of the present rows."""
        return Method(self.kind, self.make, matrix if self.matrix is None else matrix @ self.matrix)

    def __call__(self) -> Spread:
        return self.make(self.matrix)


@dataclass(frozen=True, eq=False)
class StackedCells:
    """Cells of several estimates, rows (m,) counted on."""

    makes: tuple[Callable[..., pd.DataFrame], ...]
    rows: tuple[int, ...]

    def __call__(self, matrix: np.ndarray | None = None, adopters: bool = False) -> pd.DataFrame:
        """Cells of all, or of combinations (k', k) of their rows."""
        starts = np.cumsum((0, *self.rows))
        if matrix is None:
            found = [make(adopters=adopters) for make in self.makes]
            found = [frame.assign(row=frame["row"] + start) for frame, start in zip(found, starts, strict=False)]
        else:
            each = zip(self.makes, pairwise(starts), strict=True)
            found = [make(matrix[:, a:b], adopters=adopters) for make, (a, b) in each]
        return pd.concat(found, ignore_index=True)


def jackknife(value: np.ndarray, reps: Replicates) -> Spread:
    """CV3 covariance and degrees of freedom of k rows."""
    used = reps.exposed | reps.comparison
    lost = (np.isnan(reps.values) & used).any(axis=0) | np.isnan(value)
    shift = np.where(used & ~np.isnan(reps.values), reps.values - value, 0.0)
    clusters = used.sum(axis=0)
    factor = np.sqrt(np.where(clusters > 0, (clusters - 1) / np.maximum(clusters, 1), 0.0))
    scaled = shift * factor
    vcov = scaled.T @ scaled
    exposed, only = reps.exposed, reps.comparison & ~reps.exposed
    v1, v0 = (scaled**2 * exposed).sum(axis=0), (scaled**2 * only).sum(axis=0)
    df = satterthwaite(v1, v0, exposed.sum(axis=0), only.sum(axis=0))
    vcov[lost, :] = np.nan
    vcov[:, lost] = np.nan
    reason = [""] * len(value)
    for j in np.flatnonzero(lost & ~np.isnan(value)):
        name = str(reps.names[np.flatnonzero(np.isnan(reps.values[:, j]) & used[:, j])[0]])
        name = name if name[:1].isalpha() else f"{noun_from_column(reps.level)} {name}"
        reason[j] = f"{NO_REFIT} {name} there is nothing left to compare"
    return Spread(vcov, np.where(lost, np.nan, df), tuple(reason))


def satterthwaite(v1: np.ndarray, v0: np.ndarray, n1: np.ndarray, n0: np.ndarray) -> np.ndarray:
    """Degrees of freedom as above, at least 1."""
    below = v1**2 / np.maximum(n1 - 1, 1) + v0**2 / np.maximum(n0 - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.maximum(np.where(below > 0, (v1 + v0) ** 2 / below, 1.0), 1.0)
