"""Numbers of the imputation estimator: untreated outcomes, imputed effects, and averages of them.

Rows in which nothing has been on yet give unit effects a_i and period effects b_t (for each pattern of
reach); an exposed row's effect is Y_it - a_i - b_t (Borusyak, Jaravel and Spiess 2024, Review of Economic
Studies 91, theorem 2). With unit means taken out, b solves a system with one equation a period, exactly
and in gapped panels too, so that no row by parameter matrix is made. Every average of effects is a
weighted sum of *atoms*, the exposed rows that share a path and a period:

    sum of w (Y_it - mean of i's untreated rows) - (sum of w (e_t - share of i's untreated rows)) b.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components

from evalkit.designs.regression.additive import spell_ages, varying
from evalkit.designs.regression.columns import span
from evalkit.designs.regression.moments import Lean
from evalkit.study.paths import OFF, Paths


@dataclass(frozen=True, eq=False)
class Split:
    """Which (path, period) is untreated, which exposed, and since when.

    untreated: (P, T) nothing has been on, part-way or unknown so far. exposed: (P, T) something is on and
    everything is known. age: (P, T, k) periods since each varying component began, -1 where it is off.
    pattern: (P,) code of whom the components can reach, and of what kind. members: (k,) indices of the components.
    """

    members: tuple[int, ...]
    untreated: np.ndarray
    exposed: np.ndarray
    age: np.ndarray
    pattern: np.ndarray

    @cached_property
    def cohort(self) -> np.ndarray:
        """(P,) first period that is not untreated."""
        return np.asarray(self.untreated.sum(axis=1))


def split(paths: Paths, kind: np.ndarray | None = None) -> Split:
    """Read the paths; components registered as always on are part of the unit effects. kind: (P,) paths of unlike
    kinds have period effects of their own."""
    members = varying(paths)
    state = paths.state[:, :, members]
    on, off = state > 0, state == OFF
    untreated = np.logical_and.accumulate(off.all(axis=2), axis=1)
    exposed = on.any(axis=2) & (on | off).all(axis=2)
    ages = [np.where(on[:, :, j], spell_ages(on[:, :, j], off[:, :, j])[1], -1) for j in range(len(members))]
    age = np.stack(ages, axis=2) if ages else np.zeros((*untreated.shape, 0), dtype=int)
    whom = paths.reach[:, members].astype(np.int64)
    whom = whom if kind is None else np.column_stack([whom, kind])
    _, pattern = np.unique(whom, axis=0, return_inverse=True)
    return Split(tuple(members), untreated, exposed, age, pattern.reshape(-1))


@dataclass(frozen=True, eq=False)
class PeriodEffects:
    """beta: (q, T) by pattern of reach. inverse: (q, T, T) generalised inverse of the system behind it.
    linked: (q, T) periods with one code are comparable; those that nothing links have codes of their own."""

    beta: np.ndarray
    inverse: np.ndarray
    linked: np.ndarray


def solve_periods(system: np.ndarray, right: np.ndarray, count: np.ndarray) -> PeriodEffects:
    """Period effects from (q, T, T) systems, (q, T) right-hand sides, and counts of units seen at both periods."""
    inverse, linked = np.zeros(system.shape), np.zeros(right.shape, dtype=int)
    for q in range(len(system)):
        _, linked[q] = connected_components(sparse.csr_matrix(count[q] > 0), directed=False)
        first = np.unique(linked[q], return_index=True)[1]
        keep = np.setdiff1d(np.arange(system.shape[1]), first)
        if len(keep):
            factor = cho_factor(system[q][np.ix_(keep, keep)])
            inverse[q][np.ix_(keep, keep)] = cho_solve(factor, np.eye(len(keep)))
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
        return self.split.pattern[self.paths.path]

    def systems(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums over some units for `solve_periods`."""
        q, T = int(self.split.pattern.max(initial=0)) + 1, self.values.shape[1]
        system, right, count = np.zeros((q, T, T)), np.zeros((q, T)), np.zeros((q, T, T))
        for one in np.unique(self.pattern[units]):
            mine = units[self.pattern[units] == one]
            U = self.untreated[mine].astype(float)
            w = self.weights[mine]
            share = U * (w / np.maximum(self.size[mine], 1))[:, None]
            system[one] = np.diag(w @ U) - share.T @ U
            right[one] = w @ (U * self.change[mine])
            count[one] = U.T @ U
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
    def candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit and period of every exposed row seen, and whether it can be imputed."""
        unit, period = np.nonzero(self.seen & self.split.exposed[self.paths.path])
        linked, q = self.periods.linked, self.pattern[unit]
        return unit, period, (self.size[unit] > 0) & (linked[q, period] == linked[q, self.base[unit]])

    @cached_property
    def rows(self) -> Exposed:
        unit, period, can = self.candidates
        unit, period = unit[can], period[can]
        beta, q = self.periods.beta, self.pattern
        usual = np.einsum("nt,nt->n", self.share, beta[q])
        effect = self.change[unit, period] - beta[q[unit], period] + usual[unit]
        key = self.paths.path[unit].astype(np.int64) * self.values.shape[1] + period
        at = np.searchsorted(self.keys, key)
        return Exposed(unit, period, at, effect)

    @cached_property
    def keys(self) -> np.ndarray:
        unit, period, can = self.candidates
        return np.unique(self.paths.path[unit[can]].astype(np.int64) * self.values.shape[1] + period[can])

    @cached_property
    def atoms(self) -> Atoms:
        """Exposed rows by path and period, in the order of `rows.atom`."""
        return self.collect(np.zeros(self.paths.n_units, dtype=int), apart=False)

    def collect(self, cluster: np.ndarray, apart: bool = True) -> Atoms:
        """Sums of exposed rows by cluster (n,), path and period; with `apart` also by first untreated period."""
        rows, T = self.rows, self.values.shape[1]
        parts = [cluster[rows.unit], rows.atom]
        code = parts[0].astype(np.int64) * max(len(self.keys), 1) + parts[1]
        code = code * T + self.base[rows.unit] if apart else code
        _, first, atom = np.unique(code, return_index=True, return_inverse=True)
        w = self.weights[rows.unit]
        total = lambda x: np.bincount(atom, weights=x, minlength=len(first))  # noqa: E731
        gather = sparse.csr_matrix((w, (atom, rows.unit)), shape=(len(first), self.paths.n_units))
        lever = -(gather @ self.share)
        period = rows.period[first]
        lever[np.arange(len(first)), period] += total(w)
        unit = rows.unit[first]
        return Atoms(
            self.paths.path[unit], period, self.base[unit], cluster[unit],
            total(w), total(w * self.change[rows.unit, rows.period]), lever,
        )  # fmt: skip

    def sums(self, atoms: Atoms, periods: PeriodEffects) -> np.ndarray:
        """(a,) weighted sum of effects in each atom."""
        return atoms.change - np.einsum("at,at->a", atoms.lever, periods.beta[self.split.pattern[atoms.path]])


@dataclass(frozen=True, eq=False)
class Projection:
    """Effects of atoms on event-time indicators of the components, by weighted minimum distance.

    component: (p,) index in `split.members`. event_time: (p,). columns: (a, p) 0/1. Atoms weigh as many
    unit-periods as they have, so that the coefficients are those of a regression of all imputed effects.
    """

    component: np.ndarray
    event_time: np.ndarray
    columns: np.ndarray

    def weights(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(a, p) weight of a unit of mass in each coefficient, and (p,) which are identified."""
        gram = self.columns.T @ (self.columns * mass[:, None])
        found = span(gram, self.columns.T @ mass)
        return self.columns @ found.inverse(), np.asarray(found.free)


def project(imputed: Imputed) -> Projection:
    """The projection's columns: event times that some atom has."""
    atoms = imputed.atoms
    age = imputed.split.age[atoms.path, atoms.period]
    component, event_time, columns = [], [], []
    for j in range(age.shape[1]):
        times = np.unique(age[age[:, j] >= 0, j])
        component.append(np.full(len(times), j))
        event_time.append(times)
        columns.append(age[:, j, None] == times)
    if not columns:
        return Projection(np.zeros(0, int), np.zeros(0, int), np.zeros((len(age), 0)))
    return Projection(
        np.concatenate(component), np.concatenate(event_time), np.concatenate(columns, axis=1).astype(float)
    )
