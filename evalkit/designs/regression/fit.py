"""An additive regression on rows of groups: coefficients, and what each row weighs in them.

With Z the period-by-pattern indicators and all columns demeaned within units, b solves
S_xx b = S_xy, S = X'WX - X'WZ (Z'WZ)^- Z'WX. Unit i contributes S_xx^- (X_i - Z_i g)'w_i e_i, g the
period coefficients of X; unit means drop out because residuals sum to zero within a unit. The weights
of two-way fixed effects are read from here; estimates come from `joint_moments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from evalkit.designs.regression.additive import AdditiveDesign
from evalkit.designs.regression.estimable import span
from evalkit.designs.rollout.sums import add_by

_SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Fit:
    """One weighted least squares of group means on an additive design.

    design: p columns over R rows (group, period). mean: (R,) weighted mean outcome of each row.
    """

    design: AdditiveDesign
    mean: np.ndarray

    @property
    def n_columns(self) -> int:
        return self.design.matrix.shape[1]

    @cached_property
    def dummies(self) -> sparse.csr_matrix:
        """(R, m) indicators of period by pattern."""
        grid = self.design.grid
        _, pattern = np.unique(self.design.pattern, return_inverse=True)
        code = pattern[grid.group] * grid.n_periods + grid.period
        rows = len(code)
        shape = (rows, (int(pattern.max(initial=0)) + 1) * grid.n_periods)
        return sparse.csr_matrix((np.ones(rows), (np.arange(rows), code)), shape=shape)

    @cached_property
    def weight(self) -> np.ndarray:
        return self.design.grid.weight[self.design.grid.group]

    @cached_property
    def columns(self) -> sparse.csr_matrix:
        """(R, p + 1 + m): X, the outcome, and the period indicators."""
        y = sparse.csr_matrix((self.mean - np.average(self.mean, weights=self.weight))[:, None])
        return sparse.hstack([self.design.matrix, y, self.dummies], format="csr")

    @cached_property
    def group_sums(self) -> sparse.csr_matrix:
        """(G, q) sums of all columns within groups."""
        grid = self.design.grid
        rows = len(grid.group)
        collect = sparse.csr_matrix((np.ones(rows), (grid.group, np.arange(rows))), shape=(grid.n_groups, rows))
        return (collect @ self.columns).tocsr()

    @cached_property
    def group_size(self) -> np.ndarray:
        return np.bincount(self.design.grid.group, minlength=self.design.grid.n_groups)

    def within(self, rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """(q, q) cross-products of all columns, demeaned within groups, over some whole groups."""
        c, s = self.columns[rows], self.group_sums[groups]
        share = self.design.grid.weight[groups] / np.maximum(self.group_size[groups], 1)
        plain = (c.multiply(self.weight[rows][:, None]).T @ c).toarray()
        return plain - (s.multiply(share[:, None]).T @ s).toarray()

    @cached_property
    def total(self) -> np.ndarray:
        return self.within(np.arange(len(self.mean)), np.arange(self.design.grid.n_groups))

    @cached_property
    def solution(self) -> Solution:
        return solve(self.total, self.n_columns, self.design.size)

    @cached_property
    def lift(self) -> np.ndarray:
        """(m, p) period coefficients of each column of X."""
        p = self.n_columns
        dd, dx = self.total[p + 1 :, p + 1 :], self.total[p + 1 :, :p]
        return pseudo(dd) @ dx

    @cached_property
    def row_coefficients(self) -> sparse.csr_matrix:
        """(R, p) what one unit of outcome in a row adds to each coefficient, before the unit's own mean."""
        free = np.asarray(self.design.matrix - self.dummies @ self.lift)
        return free @ self.solution.inverse.T

    @cached_property
    def fitted(self) -> np.ndarray:
        """(R,) fitted values without unit effects."""
        p = self.n_columns
        x = self.design.matrix @ self.solution.beta
        dd, dy, dx = self.total[p + 1 :, p + 1 :], self.total[p + 1 :, p], self.total[p + 1 :, :p]
        effects = pseudo(dd) @ (dy - dx @ self.solution.beta)
        return x + self.dummies @ effects


@dataclass(frozen=True, eq=False)
class Solution:
    """beta: (p,). inverse: (p, p) of S_xx on its identified part. free: (p,) identified alone."""

    beta: np.ndarray
    inverse: np.ndarray
    free: np.ndarray


def solve(total: np.ndarray, p: int, size: np.ndarray) -> Solution:
    """Coefficients from demeaned cross-products of (X, y, Z)."""
    dd, dx = total[p + 1 :, p + 1 :], total[p + 1 :, : p + 1]
    schur = total[: p + 1, : p + 1] - dx.T @ (pseudo(dd) @ dx)
    gram = schur[:p, :p]
    found = span(gram, size)
    inverse = found.inverse()
    return Solution(inverse @ schur[:p, p], inverse, found.free)


def pseudo(matrix: np.ndarray) -> np.ndarray:
    """Pseudo-inverse of a symmetric, positive semi-definite matrix."""
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    keep = values > _SINGULAR * max(values[-1], 1e-300)
    return (vectors[:, keep] / values[keep]) @ vectors[:, keep].T


def group_means(values: np.ndarray, weights: np.ndarray, of: np.ndarray, groups: int) -> np.ndarray:
    """(G, T) weighted means; a group's units are seen in the same periods."""
    total = add_by(np.nan_to_num(values) * weights[:, None], of, groups)
    mass = np.bincount(of, weights=weights, minlength=groups)
    return total / np.where(mass > 0, mass, 1.0)[:, None]
