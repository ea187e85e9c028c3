"""Which combinations of coefficients a Gram matrix of columns identifies (rank, null space), and solutions by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular

TOLERANCE = 1e-9
"""A column counts as dependent when its squared length, after the columns before it and all else that the Gram matrix
has taken out, is below this share of its squared length before."""

ROUNDING = 1e-26
"""Share of the largest squared length below which a column is what rounding has left of nothing: scaled to one, as if
it told something, its last digits would stand in every answer."""

SURE = 1e-6
"""Share above which no rounding hides a dependent column, in whatever order columns are taken."""

IN_SPAN = 1e-6
"""A combination counts as identified when it changes by less than this share along every null vector."""


@dataclass(frozen=True, eq=False)
class Span:
    """Row space of a design.

    null: (p, d) coefficients that leave every fitted value as it is, each column scaled
    to a largest entry of 1. rank: p - d. condition: largest over smallest pivot of the
    independent columns. factor, pivot, scale: the Cholesky factor behind it.
    """

    rank: int
    null: np.ndarray
    condition: float
    factor: np.ndarray
    pivot: np.ndarray
    scale: np.ndarray

    @property
    def full(self) -> bool:
        """Whether every coefficient is identified."""
        return self.rank == len(self.scale)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """(p,) or (p, k) one solution of the normal equations, zero in columns that are combinations of others."""
        out, kept = np.zeros(right.shape), self.pivot[: self.rank]
        if len(kept):
            scaled = (right.T / self.scale).T
            out[kept] = cho_solve((self.factor, False), scaled[kept], check_finite=False)
        return np.asarray((out.T / self.scale).T)

    def inverse(self) -> np.ndarray:
        """(p, p) generalised inverse: that of the independent columns, zero elsewhere.

        Identified combinations of coefficients do not depend on which columns were kept.
        """
        out, kept = np.zeros((len(self.scale),) * 2), self.pivot[: self.rank]
        if len(kept):
            upper = np.triu(lapack.dpotri(self.factor, lower=0)[0])
            out[kept[:, None], kept] = upper + np.triu(upper, 1).T
        return out / self.scale[:, None] / self.scale[None, :]

    def identified(self, weights: np.ndarray, at: np.ndarray | None = None) -> np.ndarray | bool:
        """Whether the combinations in (p,) or (p, m) `weights` are identified (Searle 1971, Linear Models,
        section 5.4). at: the coefficients that the weights are of, None for all."""
        w = np.asarray(weights, dtype=np.float64)
        loose = self.loose if at is None else self.loose[at]
        null = self.null[loose if at is None else at[loose]]
        if not null.size:
            return np.ones(w.shape[1:], dtype=bool) if w.ndim > 1 else True
        scale = np.maximum(np.abs(w).max(axis=0, initial=0.0), 1e-300)
        worst = np.abs(null.T @ w[loose]).max(axis=0) / scale
        return worst <= IN_SPAN if w.ndim > 1 else bool(worst <= IN_SPAN)

    @cached_property
    def loose(self) -> np.ndarray:
        """(p,) columns that some null vector moves at all."""
        return np.asarray((self.null != 0).any(axis=1))

    @property
    def free(self) -> np.ndarray:
        """(p,) coefficients identified one by one."""
        if not self.null.shape[1]:
            return np.ones(len(self.null), dtype=bool)
        return np.abs(self.null).max(axis=1) <= IN_SPAN


def span(gram: np.ndarray, size: np.ndarray | None = None, tolerance: float = TOLERANCE) -> Span:
    """Rank and null space of a positive semi-definite Gram matrix by pivoted Cholesky (LAPACK pstrf).

    gram: (p, p). size: (p,) squared length of each column before anything was taken
    out, by which the matrix is scaled, None for its diagonal; columns of size zero are not identified, and without a
    size those that are rounding beside the largest.
    """
    p = len(gram)
    if size is None:
        size = np.diag(gram)
        size = np.where(size > ROUNDING * size.max(initial=0.0), size, 0.0)
    length = np.sqrt(np.maximum(size, 0.0))
    scale = np.where(length > 0, length, 1.0)
    scaled = gram / scale[:, None] / scale[None, :]
    if p == 0:
        return Span(0, np.zeros((0, 0)), 1.0, np.zeros((0, 0)), np.zeros(0, dtype=int), np.ones(0))
    factor, pivot, rank, _ = lapack.dpstrf(np.asfortranarray((scaled + scaled.T) / 2), tol=tolerance, lower=0)
    pivot = pivot - 1
    diagonal = np.diag(factor)[:rank]
    if scaled.diagonal().max(initial=0.0) <= tolerance:
        rank, diagonal = 0, diagonal[:0]
    null = np.zeros((p, p - rank))
    if rank < p:
        null[pivot[rank:], np.arange(p - rank)] = 1.0
        if rank:
            null[pivot[:rank]] = -solve_triangular(factor[:rank, :rank], factor[:rank, rank:])
    null = null / scale[:, None]
    null = null / np.maximum(np.abs(null).max(axis=0, initial=0.0), 1e-300)
    condition = float((diagonal.max() / diagonal.min()) ** 2) if rank else 1.0
    return Span(rank, null, condition, factor[:rank, :rank], pivot, scale)


def echelon(rows: np.ndarray, zero: float) -> np.ndarray:
    """Reduced row echelon form with the largest pivots; rows of nought are left out, and so is what is below `zero`."""
    out, done = rows.copy(), 0
    for column in range(out.shape[1]):
        if done == len(out):
            break
        best = done + int(np.argmax(np.abs(out[done:, column])))
        if abs(out[best, column]) <= zero:
            out[done:, column] = 0.0
            continue
        out[[done, best]] = out[[best, done]]
        out[done] /= out[done, column]
        others = np.arange(len(out)) != done
        out[others] -= np.outer(out[others, column], out[done])
        done += 1
    return np.asarray(out[:done])


def less(whole: Span, before: np.ndarray, gram: np.ndarray) -> Span:
    """The span of a Gram matrix after a part was taken out of it, when `whole` is that of the matrix before.

    A part that takes nothing but whole columns leaves the other null vectors as they are, which a Cholesky factor of
    the rest shows, in a fraction of the time; else everything is worked out anew. Columns that keep no more than
    rounding are set to nothing.
    """
    gone = np.diag(gram) <= TOLERANCE * np.maximum(np.diag(before), 0.0)
    if gone.any():
        gram = np.where(gone[:, None] | gone[None, :], 0.0, gram)
    kept = whole.pivot[: whole.rank]
    use, lost = kept[~gone[kept]], kept[gone[kept]]
    if not len(use):
        return span(gram)
    factor, failed = lapack.dpotrf(gram[use][:, use], lower=0, overwrite_a=1)  # by columns already: no copy is made
    pivots = np.diag(factor) ** 2 / np.diag(gram)[use]
    if failed or pivots.min(initial=1.0) <= SURE:
        return span(gram)
    null = whole.null if not len(lost) else np.hstack([whole.null, np.eye(len(gram))[:, lost]])
    rest = np.ones(len(gram), dtype=bool)
    rest[use] = False
    pivot = np.concatenate([use, np.flatnonzero(rest)])
    return Span(len(use), null, float(pivots.max() / pivots.min()), factor, pivot, np.ones(len(gram)))
