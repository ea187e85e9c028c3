"""Numbers of the imputation estimator: untreated outcomes, imputed effects, and what projects them on event times.

Rows in which nothing has been on yet give unit effects a_i and period effects b_t (for each pattern of
reach); an exposed row's effect is Y_it - a_i - b_t (Borusyak, Jaravel and Spiess 2024, Review of Economic
Studies 91, theorem 2). With unit means taken out, b solves a system with one equation a period, exactly
and in gapped panels too, so that no row by parameter matrix is made. Every average of effects is a
weighted sum of *atoms*, the exposed rows that share a path and a period:

    sum of w (Y_it - mean of i's untreated rows) - (sum of w (e_t - share of i's untreated rows)) b."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components

from evalkit.designs.regression.additive import spell_ages, varying
from evalkit.designs.regression.moments import Lean
from evalkit.designs.span import span
from evalkit.study.paths import OFF, Paths

Weigh = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""mass (a,) of the atoms -> (a, k) weight of a unit of mass in each average, (k,) whether it is identified."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which (path, period) is untreated, which exposed, and since when.

    untreated: (P, T) nothing has been on, part-way or unknown so far. exposed: (P, T) something is on and
    everything is known. age: (P, T, k) periods since each varying component began, -1 where it is off.
    pattern: (P,) code of whom the components can reach, and of what kind. members: (k,) indices of the components."""

    members: list[int]
    untreated: np.ndarray
    exposed: np.ndarray
    age: np.ndarray
    pattern: np.ndarray


def split(paths: Paths, kind: np.ndarray | None = None) -> Split:
    """Read the paths; components registered as always on are part of the unit effects. kind: (P,) paths of unlike
    kinds have period effects of their own."""
    members = varying(paths)
    on, off = paths.state[:, :, members] > 0, paths.state[:, :, members] == OFF
    untreated = np.logical_and.accumulate(off.all(axis=2), axis=1)
    exposed, age = on.any(axis=2) & (on | off).all(axis=2), np.full(on.shape, -1)
    for j in range(len(members)):
        age[:, :, j] = np.where(on[:, :, j], spell_ages(on[:, :, j], off[:, :, j])[1], -1)
    whom = paths.reach[:, members].astype(np.int64)
    whom = whom if kind is None else np.column_stack([whom, kind])
    _, pattern = np.unique(whom, axis=0, return_inverse=True)
    return Split(members, untreated, exposed, age, pattern.reshape(-1))


@dataclass(frozen=True, eq=False)
class PeriodEffects:
    """beta: (q, T) by pattern of reach. inverse: (q, T, T) generalised inverse of the system behind it.
    linked: (q, T) periods with one code are comparable; those that nothing links have codes of their own."""

    beta: np.ndarray
    inverse: np.ndarray
    linked: np.ndarray

    def but(self, patterns: np.ndarray, found: PeriodEffects) -> PeriodEffects:
        """These with what was found for some patterns in their place."""
        out = replace(self, **{f.name: getattr(self, f.name).copy() for f in fields(self)})
        out.beta[patterns], out.inverse[patterns], out.linked[patterns] = found.beta, found.inverse, found.linked
        return out


def solve_periods(system: np.ndarray, right: np.ndarray, count: np.ndarray) -> PeriodEffects:
    """Period effects from (q, T, T) systems, (q, T) right-hand sides, and counts of units seen at both periods."""
    inverse, linked = np.zeros(system.shape), np.zeros(right.shape, dtype=int)
    for q in range(len(system)):
        together = count[q] > 0
        seen = together.diagonal()
        if together[:, seen].all(axis=1).any():  # one period links all in which anybody is seen
            linked[q] = np.where(seen, seen.argmax(), np.arange(len(seen)))
        else:
            _, linked[q] = connected_components(sparse.csr_matrix(together), directed=False)
        keep = np.setdiff1d(np.arange(system.shape[1]), np.unique(linked[q], return_index=True)[1])
        if len(keep):
            inverse[q][np.ix_(keep, keep)] = cho_solve(cho_factor(system[q][np.ix_(keep, keep)]), np.eye(len(keep)))
    return PeriodEffects(np.einsum("qst,qt->qs", inverse, right), inverse, linked)


@dataclass(frozen=True, eq=False)
class Exposed:
    """Exposed rows whose untreated outcome can be imputed: unit, period, atom (each (R,)), effect (R,)."""

    unit: np.ndarray
    period: np.ndarray
    atom: np.ndarray
    effect: np.ndarray


@dataclass(frozen=True, eq=False)
class Atoms:
    """Sums over exposed rows: path, period, base (first untreated period), cluster, each (a,); mass: sum of
    weights; change: weighted sum against own untreated mean; lever: (a, T) sum of weights times e_t less
    the unit's untreated share."""

    path: np.ndarray
    period: np.ndarray
    base: np.ndarray
    cluster: np.ndarray
    mass: np.ndarray
    change: np.ndarray
    lever: np.ndarray

    @property
    def key(self) -> np.ndarray:
        """(a,) one code for path and period."""
        return self.path.astype(np.int64) * self.lever.shape[1] + self.period


@dataclass(frozen=True, eq=False)
class Imputed(Lean):
    """A panel with its untreated rows fitted. values: (n, T), NaN where not seen. kind: (P,) as `split` takes it."""

    paths: Paths
    values: np.ndarray
    kind: np.ndarray | None = None

    @cached_property
    def split(self) -> Split:
        return split(self.paths, self.kind)

    @cached_property
    def names(self) -> np.ndarray:
        """(k,) the components that vary."""
        return np.array([self.paths.components[k] for k in self.split.members], dtype=object)

    @cached_property
    def weights(self) -> np.ndarray:
        w = self.paths.weights
        return np.ones(self.paths.n_units) if w is None else w

    @cached_property
    def seen(self) -> np.ndarray:
        """(n, T) rows of units that weigh anything."""
        return np.isfinite(self.values) & (self.weights > 0)[:, None]

    @cached_property
    def untreated(self) -> np.ndarray:
        """(n, T) rows that say what happens without the programme."""
        return self.seen & self.split.untreated[self.paths.path]

    @cached_property
    def size(self) -> np.ndarray:
        """(n,) untreated rows of each unit."""
        return np.asarray(self.untreated.sum(axis=1))

    @cached_property
    def change(self) -> np.ndarray:
        """(n, T) outcome less the unit's untreated mean, zero where there is none or it is not seen."""
        y = np.where(self.seen, self.values, 0.0)
        mean = np.where(self.untreated, y, 0.0).sum(axis=1) / np.maximum(self.size, 1)
        return np.where(self.seen & (self.size > 0)[:, None], y - mean[:, None], 0.0)

    @cached_property
    def base(self) -> np.ndarray:
        """(n,) first untreated period, 0 where there is none."""
        return np.asarray(self.untreated.argmax(axis=1))

    @cached_property
    def pattern(self) -> np.ndarray:
        """(n,) code of each unit's period effects."""
        return self.split.pattern[self.paths.path]

    def systems(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums over some units for `solve_periods`."""
        q, T = int(self.split.pattern.max(initial=0)) + 1, self.values.shape[1]
        system, right, count = np.zeros((q, T, T)), np.zeros((q, T)), np.zeros((q, T, T))
        for pattern in np.unique(self.pattern[units]):
            mine = units[self.pattern[units] == pattern]
            U, w = self.untreated[mine].astype(float), self.weights[mine]
            share = U * (w / np.maximum(self.size[mine], 1))[:, None]
            system[pattern] = np.diag(w @ U) - share.T @ U
            right[pattern] = w @ (U * self.change[mine])
            count[pattern] = U.T @ U
        return system, right, count

    @cached_property
    def totals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.systems(np.arange(self.paths.n_units))

    @cached_property
    def periods(self) -> PeriodEffects:
        return solve_periods(*self.totals)

    @cached_property
    def share(self) -> np.ndarray:
        """(n, T) each untreated row as a share of its unit's."""
        return self.untreated / np.maximum(self.size, 1)[:, None]

    @cached_property
    def beyond(self) -> np.ndarray:
        """(n, T) outcome less unit and period effects: a residual where untreated, the effect where exposed."""
        beta = self.periods.beta[self.pattern]
        return self.change - beta + np.einsum("nt,nt->n", self.share, beta)[:, None]

    @cached_property
    def candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit and period of every exposed row seen, and whether it can be imputed."""
        unit, period = np.nonzero(self.seen & self.split.exposed[self.paths.path])
        linked, q = self.periods.linked, self.pattern[unit]
        return unit, period, (self.size[unit] > 0) & (linked[q, period] == linked[q, self.base[unit]])

    def cells(self, unit: np.ndarray, period: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(c,) path and period of the cells that some rows fill, and (R,) the cell of each row."""
        key = self.paths.path[unit].astype(np.int64) * self.values.shape[1] + period
        keys, cell = np.unique(key, return_inverse=True)
        return *np.divmod(keys, self.values.shape[1]), cell

    @cached_property
    def rows(self) -> Exposed:
        """The exposed rows that can be imputed."""
        unit, period = (x[self.candidates[2]] for x in self.candidates[:2])
        return Exposed(unit, period, self.cells(unit, period)[2], self.beyond[unit, period])

    @cached_property
    def atoms(self) -> Atoms:
        """Exposed rows by path and period, in the order of `rows.atom`."""
        return self.collect(np.zeros(self.paths.n_units, dtype=int), apart=False)

    def collect(self, cluster: np.ndarray, apart: bool = True) -> Atoms:
        """Sums of exposed rows by cluster (n,), path and period; with `apart` also by first untreated period."""
        rows, T = self.rows, self.values.shape[1]
        code = cluster[rows.unit].astype(np.int64) * (int(rows.atom.max(initial=0)) + 1) + rows.atom
        code = code * T + self.base[rows.unit] if apart else code
        _, first, atom = np.unique(code, return_index=True, return_inverse=True)
        unit, period, w = rows.unit[first], rows.period[first], self.weights[rows.unit]
        mass = np.bincount(atom, weights=w, minlength=len(first))
        change = np.bincount(atom, weights=w * self.change[rows.unit, rows.period], minlength=len(first))
        lever = -(sparse.csr_matrix((w, (atom, rows.unit)), shape=(len(first), len(cluster))) @ self.share)
        lever[np.arange(len(first)), period] += mass
        return Atoms(self.paths.path[unit], period, self.base[unit], cluster[unit], mass, change, lever)

    def sums(self, atoms: Atoms, periods: PeriodEffects) -> np.ndarray:
        """(a,) weighted sum of effects in each atom."""
        return atoms.change - np.einsum("at,at->a", atoms.lever, periods.beta[self.split.pattern[atoms.path]])

    @cached_property
    def projection(self) -> Projection:
        """Effects of the atoms on the event times that some atom has."""
        age = self.split.age[self.atoms.path, self.atoms.period]
        times = [np.unique(a[a >= 0]) for a in age.T]
        component = np.repeat(np.arange(len(times)), np.array([len(t) for t in times], dtype=int))
        event_time = np.concatenate([np.zeros(0, int), *times])
        return Projection(component, event_time, (age[:, component] == event_time).astype(float))

    @cached_property
    def usual(self) -> np.ndarray:
        """(a,) effect of each atom by the projection; the same whichever dependent columns are left out."""
        lift, _ = self.projection.weights(self.atoms.mass)
        return self.projection.columns @ (lift.T @ self.sums(self.atoms, self.periods))

    @cached_property
    def residual(self) -> np.ndarray:
        """(n, T) weighted residuals of the untreated rows."""
        return np.where(self.untreated, self.beyond, 0.0) * self.weights[:, None]

    @cached_property
    def group(self) -> np.ndarray:
        """(a,) cohort by period of each atom; a cohort is a first period that is not untreated."""
        cohort = self.split.untreated.sum(axis=1)[self.atoms.path]
        return np.unique(cohort * self.values.shape[1] + self.atoms.period, return_inverse=True)[1]

    def pieces(self, code: np.ndarray, size: int) -> tuple[sparse.csr_array, sparse.csr_array]:
        """(size, a) mass of the exposed rows by `code` (R,) and atom, and their weighted effect beyond the usual."""
        rows = self.rows
        w, at, shape = self.weights[rows.unit], (code, rows.atom), (size, len(self.group))
        beyond = rows.effect - self.usual[rows.atom]
        return sparse.csr_array((w, at), shape=shape), sparse.csr_array((w * beyond, at), shape=shape)


@dataclass(frozen=True, eq=False)
class Projection:
    """Effects of atoms on event-time indicators of the components, by weighted minimum distance.

    component: (p,) index in `split.members`. event_time: (p,). columns: (a, p) 0/1. Atoms weigh as many
    unit-periods as they have, so that the coefficients are those of a regression of all imputed effects."""

    component: np.ndarray
    event_time: np.ndarray
    columns: np.ndarray

    def weights(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(a, p) weight of a unit of mass in each coefficient, and (p,) which are identified."""
        found = span(self.columns.T @ (self.columns * mass[:, None]), self.columns.T @ mass)
        return self.columns @ found.inverse(), np.asarray(found.free)


def mean_over(share: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a `Weigh`, plain means over shares (a, k) of the atoms."""
    total = mass @ share
    return share / np.where(total > 0, total, 1.0), total > 0


def beyond_the_sum(projection: Projection, of: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a `Weigh`, the mean over the atoms of each column of `of` (a, k) less what the projection says of them."""
    mean, any_mass = mean_over(of, mass)
    lift, _ = projection.weights(mass)
    weight = mean - lift @ (projection.columns.T @ (mean * mass[:, None]))
    return weight, any_mass & (np.abs(weight * mass[:, None]).sum(axis=0) > 1e-8)
