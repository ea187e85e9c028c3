"""Spread: covariance and degrees of freedom of rows, also of rows whose own inference differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Spread:
    """Covariance (k, k), degrees of freedom (k,), and why a row has none ("" when it has)."""

    vcov: np.ndarray
    df: np.ndarray
    reason: tuple[str, ...]

    def of_sums(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standard errors and degrees of freedom, (m,) each, of weighted sums (m, k) of the rows.

        A row counts where its weight is not 0: there a row without a variance leaves NaN. Degrees of freedom are the
        smallest of the rows that count, infinite where none does.
        """
        se = np.zeros(len(matrix))
        for i, line in enumerate(matrix):
            used = np.flatnonzero(line)
            se[i] = np.sqrt(np.maximum(line[used] @ self.vcov[np.ix_(used, used)] @ line[used], 0.0))
        return se, np.where((matrix != 0) & ~np.isnan(self.df), self.df, np.inf).min(axis=1)


def joined(parts: Sequence[Spread], own: np.ndarray, vcov: np.ndarray) -> Spread:
    """One spread of the rows of `parts`: their own standard errors `own` (k,), joined by the correlation of `vcov`
    (k, k), each with its own degrees of freedom and reason (design 2.6). A row that has no variance in `vcov` has
    none here."""
    root = np.sqrt(np.diag(vcov))
    scale = np.divide(own, root, out=np.ones(len(own)), where=root > 0)
    reasons = tuple(r for p in parts for r in p.reason)
    return Spread(vcov * np.outer(scale, scale), np.concatenate([p.df for p in parts]), reasons)
