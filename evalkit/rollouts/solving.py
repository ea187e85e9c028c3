"""Small systems of equations, row by row: of sixty unknowns a library spends longer on looking after them than on them.

Sums run in one fixed order, so that every machine finds the same to the last digit.
"""

from __future__ import annotations

import math

import numpy as np

from evalkit.rollouts.compiled import quick


@quick
def take(row: np.ndarray, begin: int, end: int, rows: np.ndarray, first: int, last: int, by: np.ndarray) -> None:
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
def factor(A: np.ndarray) -> np.ndarray:
    """U (n, n), upper, with U'U = A, a positive definite matrix: the factor of Cholesky. What stands below diagonals is
    neither read nor written."""
    n = len(A)
    U = np.empty((n, n))
    for i in range(n):
        row = U[i]
        for x in range(i, n):
            row[x] = A[i, x]
        take(row, i, n, U, 0, i, U[:, i])
        scale = 1.0 / math.sqrt(row[i])
        for x in range(i, n):
            row[x] *= scale
    return U


@quick
def solve(U: np.ndarray, right: np.ndarray) -> np.ndarray:
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
def inverse(U: np.ndarray) -> np.ndarray:
    """(n, n) inverse X of U'U: of U X, which is the inverse of U', it is known that above the diagonal stands zero."""
    n = len(U)
    X = np.zeros((n, n))
    for i in range(n - 1, -1, -1):
        row, diagonal = X[i], 1.0 / U[i, i]
        take(row, i + 1, n, X, i + 1, n, U[i])
        for x in range(i + 1, n):
            row[x] *= diagonal
            X[x, i] = row[x]
        row[i] = diagonal**2
        for x in range(i + 1, n):
            row[i] -= diagonal * U[i, x] * row[x]
    return X
