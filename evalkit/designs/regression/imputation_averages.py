"""Averages of imputed effects: which rows they weigh, their influence, and delete-one-cluster refits.

Influence follows the conservative variance of Borusyak, Jaravel and Spiess (2024, theorem 3 and
equation 8): untreated rows count with their residuals, exposed rows with their effect less what an
auxiliary model expects of it: the projection on the components' event times, and beyond it the average of
their cohort and period, taken over clusters with the weights of that equation. (With one component the
projection is the same in a whole cohort and period, and drops out.) Where a cohort and period has one
cluster only, which would leave nothing, it is set against wider averages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from scipy import sparse

from evalkit.designs.regression.imputation_fit import Atoms, Imputed, Projection, solve_periods
from evalkit.designs.regression.moments import Lean
from evalkit.designs.rollout.sums import add_by
from evalkit.inference.replicates import Arms, Replicates

Weigh = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""mass (a,) of the atoms -> (a, k) weight of a unit of mass in each average, (k,) whether it is identified."""

Matrix: TypeAlias = np.ndarray | sparse.csr_matrix
_CHUNK = 1 << 17
_SPARSE = 0.1
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Means:
    """Weights of plain means over shares (a, k) of the atoms."""

    share: np.ndarray

    def __call__(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = mass @ self.share
        return self.share / np.where(total > 0, total, 1.0), total > 0


@dataclass(frozen=True, eq=False)
class BeyondTheSum:
    """Weights of the mean over the atoms of each column of `of` (a, k) less what the projection says of them."""

    projection: Projection
    of: np.ndarray

    def __call__(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, any_mass = Means(self.of)(mass)
        lift, _ = self.projection.weights(mass)
        usual = self.projection.columns.T @ (mean * mass[:, None])
        weight = mean - lift @ usual
        return weight, any_mass & (np.abs(weight * mass[:, None]).sum(axis=0) > 1e-8)


@dataclass(frozen=True, eq=False)
class Averages(Lean):
    """k weighted sums of imputed effects; called, their refits without each cluster of `level`.
    of: (a, k) bool, the atoms that an average speaks for. usual: (a,) effect of each atom by the projection."""

    imputed: Imputed
    weigh: Weigh
    of: np.ndarray
    usual: np.ndarray
    level: str

    @property
    def cluster(self) -> np.ndarray:
        """(n,) code of each unit."""
        return self.imputed.paths.levels[self.level].codes

    @property
    def clusters(self) -> int:
        return len(self.imputed.paths.levels[self.level].names)

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """(a, k) weights, rounding errors set to zero, and (k,) which averages are identified."""
        weight, known = self.weigh(self.imputed.atoms.mass)
        size = np.abs(weight).max(axis=0, initial=0.0)
        return np.where(np.abs(weight) > _ROUNDING * size, weight, 0.0), known

    @cached_property
    def value(self) -> np.ndarray:
        """(k,) NaN where not identified."""
        weight, known = self.weights
        return np.where(known, self.imputed.sums(self.imputed.atoms, self.imputed.periods) @ weight, np.nan)

    @cached_property
    def mass(self) -> np.ndarray:
        """(k,) exposed unit-periods."""
        return self.imputed.atoms.mass @ self.of

    # ------------------------------------------------------------ influence

    @cached_property
    def on_residual(self) -> np.ndarray:
        """(q, T, k) what a residual of an untreated row in a period adds to each average."""
        im, (weight, _) = self.imputed, self.weights
        inverse = im.periods.inverse
        pattern = im.split.pattern[im.atoms.path]
        lever = [im.atoms.lever[pattern == q].T @ weight[pattern == q] for q in range(len(inverse))]
        return -np.einsum("qst,qtk->qsk", inverse, np.array(lever).reshape(len(inverse), -1, weight.shape[1]))

    @cached_property
    def residual(self) -> np.ndarray:
        """(n, T) weighted residuals of the untreated rows."""
        im = self.imputed
        beta = im.periods.beta[im.pattern]
        usual = np.einsum("nt,nt->n", im.share, beta)
        left = np.where(im.untreated, im.change - beta + usual[:, None], 0.0)
        return left * im.weights[:, None]

    @cached_property
    def group(self) -> np.ndarray:
        """(a,) cohort by period of each atom."""
        im = self.imputed
        cohort = im.split.cohort[im.atoms.path].astype(np.int64)
        _, group = np.unique(cohort * im.values.shape[1] + im.atoms.period, return_inverse=True)
        return group

    def pieces(self, code: np.ndarray, size: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """(size, a) mass of the exposed rows by `code` (n,) and atom, and their weighted effect beyond the usual."""
        rows = self.imputed.rows
        w, at, shape = self.imputed.weights[rows.unit], (code[rows.unit], rows.atom), (size, len(self.group))
        beyond = rows.effect - self.usual[rows.atom]
        return sparse.csr_matrix((w, at), shape=shape), sparse.csr_matrix((w * beyond, at), shape=shape)

    @cached_property
    def by_cluster(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        return self.pieces(self.cluster, self.clusters)

    @cached_property
    def expected(self) -> np.ndarray:
        """(g, k) average effect beyond the usual of each cohort and period, for each average (their equation 8)."""
        groups = int(self.group.max(initial=-1)) + 1
        top, below, count = (np.zeros((groups, len(self.value))) for _ in range(3))
        mass, effect = self.by_cluster
        cluster = np.repeat(np.arange(self.clusters), np.diff(mass.indptr))
        _, first, pair = np.unique(
            cluster * np.int64(groups) + self.group[mass.indices], return_index=True, return_inverse=True
        )
        of_pair = self.group[mass.indices][first]
        by_pair = [_regroup(x, pair, len(first)) for x in (mass, effect)]
        for low in range(0, len(first), _CHUNK):
            part = slice(low, low + _CHUNK)
            a, b = (_dense_or_sparse(x[part], self.weights[0]) for x in by_pair)
            collect = _indicator(of_pair[part], groups)
            for into, what in ((top, _times(a, b)), (below, _times(a, a)), (count, (a != 0).astype(float))):
                into += _as_array(collect @ what)
        return np.where((count > 1) & (below > 0), top / np.where(below > 0, below, 1.0), self._wide(mass, effect))

    def _wide(self, mass: sparse.csr_matrix, effect: sparse.csr_matrix) -> np.ndarray:
        """(g, 1) mean effect beyond the usual over all rows of a cohort and period; of all where it has one cluster."""
        groups = _indicator(self.group, int(self.group.max(initial=-1)) + 1)
        m, e = (np.asarray(x.sum(axis=0)).ravel() for x in (mass, effect))
        clusters = ((mass @ groups.T) > 0).sum(axis=0)
        mean = (groups @ e) / np.maximum(groups @ m, 1e-300)
        overall = e.sum() / m.sum() if len(m) else 0.0
        return np.where(np.asarray(clusters).ravel() > 1, mean, overall)[:, None]

    def totals(self) -> np.ndarray:
        """(clusters, k) influence summed in clusters."""
        return self._collect(self.cluster, self.clusters)

    def unit_rows(self) -> np.ndarray:
        """(n, k) influence by unit: records about people."""
        n = self.imputed.paths.n_units
        return self._collect(np.arange(n), n)

    def _collect(self, code: np.ndarray, size: int) -> np.ndarray:
        im = self.imputed
        out = np.zeros((size, len(self.value)))
        for q, on_residual in enumerate(self.on_residual):
            mine = np.flatnonzero(im.pattern == q)
            if len(mine):
                out += add_by(self.residual[mine], code[mine], size) @ on_residual
        mass, effect = self.by_cluster if code is self.cluster else self.pieces(code, size)
        weight = self.weights[0]
        out += _as_array(_dense_or_sparse(effect, weight))
        out -= _as_array(_dense_or_sparse(mass, weight * self.expected[self.group]))
        return out

    # ------------------------------------------------------------ arms and refits

    @cached_property
    def arms(self) -> Arms:
        """A cluster is exposed where it has rows that an average speaks for, comparison where it has
        untreated rows in the same periods."""
        im, atoms = self.imputed, self.imputed.atoms
        mass, _ = self.by_cluster
        exposed = _as_array(_dense_or_sparse(mass, self.of.astype(float))) > 0
        T = im.values.shape[1]
        when = np.array([np.bincount(atoms.period[o], minlength=T) > 0 for o in self.of.T]).reshape(-1, T)
        free = add_by(im.untreated.astype(np.float32), self.cluster, self.clusters) > 0
        comparison = (free.astype(np.float32) @ when.T.astype(np.float32)) > 0
        return Arms(exposed, comparison, np.ones(self.clusters, dtype=int))

    def __call__(self) -> Replicates:
        """Refits without each cluster: sums less its own, in closed form."""
        atoms = self.imputed.collect(self.cluster)
        order = np.argsort(self.cluster, kind="stable")
        stops = np.searchsorted(self.cluster[order], np.arange(self.clusters + 1))
        values, masses = np.zeros((2, self.clusters, len(self.value)))
        for c in range(self.clusters):
            values[c], masses[c] = self._without(c, order[stops[c] : stops[c + 1]], atoms)
        free = (add_by(self.imputed.untreated.astype(float), self.cluster, self.clusters).sum(axis=1) > 0)[:, None]
        exposed = self.arms.exposed
        names = self.imputed.paths.levels[self.level].names
        return Replicates(names, self.level, values, masses, exposed, free & ~exposed)

    def _without(self, cluster: int, units: np.ndarray, atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
        im = self.imputed
        periods = solve_periods(*(a - b for a, b in zip(im.totals, im.systems(units), strict=True)))
        q = im.split.pattern[atoms.path]
        keep = atoms.cluster != cluster
        keep &= periods.linked[q, atoms.period] == periods.linked[q, atoms.base]
        key = atoms.path[keep].astype(np.int64) * im.values.shape[1] + atoms.period[keep]
        at = np.searchsorted(im.keys, key)
        total = lambda x: np.bincount(at, weights=x[keep], minlength=len(im.keys))  # noqa: E731
        mass = total(atoms.mass)
        weight, known = self.weigh(mass)
        left = mass @ self.of
        good = known & (left > 0)
        return np.where(good, total(im.sums(atoms, periods)) @ weight, np.nan), np.where(good, left, 0.0)


def _dense_or_sparse(left: sparse.csr_matrix, right: np.ndarray) -> Matrix:
    """left @ right, sparse where most of `right` is zero (averages of single paths)."""
    few = np.count_nonzero(right) < _SPARSE * right.size
    return sparse.csr_matrix(left @ sparse.csr_matrix(right)) if few else left @ right


def _as_array(x: Matrix) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else np.asarray(x.toarray())


def _times(a: Matrix, b: Matrix) -> Matrix:
    return a * b if isinstance(a, np.ndarray) else a.multiply(b)


def _indicator(code: np.ndarray, size: int) -> sparse.csr_matrix:
    """(size, m) sums m rows by code."""
    return sparse.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=(size, len(code)))


def _regroup(x: sparse.csr_matrix, row: np.ndarray, size: int) -> sparse.csr_matrix:
    """The entries of x in other rows."""
    return sparse.csr_matrix((x.data, (row, x.indices)), shape=(size, x.shape[1]))
