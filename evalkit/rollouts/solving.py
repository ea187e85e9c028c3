"""Small systems of equations, row by row: of sixty unknowns a library spends longer on looking after them than on them.

Without numba the library does it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_solve

from evalkit.rollouts.compiled import COMPILED, quick


@quick
def take_loops(row: np.ndarray, begin: int, end: int, rows: np.ndarray, first: int, last: int, by: np.ndarray) -> None:
    """Takes `rows` from `first` up to `last`, each as often as `by` says, from a row, in columns from `begin` up to
    `end`: four at a time, which the processor does nearly as fast as one."""
    out, j = row[begin:end], first
    while j + 4 <= last:
        a, b, c, d = rows[j, begin:end], rows[j + 1, begin:end], rows[j + 2, begin:end], rows[j + 3, begin:end]
        f, g, h, k = by[j], by[j + 1], by[j + 2], by[j + 3]
        for x in range(len(out)):
            out[x] -= f * a[x] + g * b[x] + h * c[x] + k * d[x]
        j += 4
    while j < last:
        a, f = rows[j, begin:end], by[j]
        for x in range(len(out)):
            out[x] -= f * a[x]
        j += 1


@quick
def add_loops(out: np.ndarray, row: np.ndarray, by: float) -> None:
    """Adds a row, so often."""
    for x in range(len(out)):
        out[x] += by * row[x]


@quick
def factor_loops(A: np.ndarray) -> np.ndarray:
    """U (n, n), upper, with U'U = A, a positive definite matrix: the factor of Cholesky. What stands below diagonals is
    neither read nor written."""
    n = len(A)
    U = np.empty((n, n))
    for i in range(n):
        row = U[i]
        for x in range(i, n):
            row[x] = A[i, x]
        take_loops(row, i, n, U, 0, i, U[:, i])
        scale = 1.0 / math.sqrt(row[i])
        for x in range(i, n):
            row[x] *= scale
    return U


@quick
def solve_loops(U: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n,) solution of U'U x = right."""
    n, x = len(right), right.copy()
    for i in range(n):
        x[i] /= U[i, i]
        for c in range(i + 1, n):
            x[c] -= U[i, c] * x[i]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            x[i] -= U[i, c] * x[c]
        x[i] /= U[i, i]
    return x


@quick
def inverse_loops(U: np.ndarray) -> np.ndarray:
    """(n, n) inverse X of U'U: of U X, which is the inverse of U', it is known that above the diagonal stands zero."""
    n = len(U)
    X = np.zeros((n, n))
    for i in range(n - 1, -1, -1):
        row, diagonal = X[i], 1.0 / U[i, i]
        take_loops(row, i + 1, n, X, i + 1, n, U[i])
        for x in range(i + 1, n):
            row[x] *= diagonal
            X[x, i] = row[x]
        row[i] = diagonal**2
        for x in range(i + 1, n):
            row[i] -= diagonal * U[i, x] * row[x]
    return X


def take_arrays(row: np.ndarray, begin: int, end: int, rows: np.ndarray, first: int, last: int, by: np.ndarray) -> None:
    """The same as `take_loops`, and so below, over whole arrays."""
    row[begin:end] -= by[first:last] @ rows[first:last, begin:end]


def add_arrays(out: np.ndarray, row: np.ndarray, by: float) -> None:
    out += by * row


def factor_arrays(A: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(np.triu(A) + np.triu(A, 1).T).T


def solve_arrays(U: np.ndarray, right: np.ndarray) -> np.ndarray:
    return cho_solve((U, False), right) if len(U) else right.copy()


def inverse_arrays(U: np.ndarray) -> np.ndarray:
    return solve_arrays(U, np.eye(len(U)))


add, take, factor, solve, inverse = (
    (add_loops, take_loops, factor_loops, solve_loops, inverse_loops)
    if COMPILED
    else (add_arrays, take_arrays, factor_arrays, solve_arrays, inverse_arrays)
)
