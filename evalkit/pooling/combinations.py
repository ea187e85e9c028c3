"""What is known only jointly: combinations that the rows identify among components that they do not identify alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.designs.span import echelon

_ZERO = 1e-8


def identified_together(basis: np.ndarray, unknown: Sequence[int], last: Sequence[int]) -> np.ndarray:
    """(k, p) combinations of the `unknown` columns in a row space (basis: (r, p) orthonormal rows), as short as row
    reduction makes them. last: columns that are of no interest; what is identified only with them is left out.

    The unit vectors of all other columns lie in the row space, so that their entries can be dropped.
    """
    order = [*[c for c in last if c in unknown], *[c for c in unknown if c not in last]]
    if not order:
        return np.zeros((0, basis.shape[1]))
    reduced = _reduced(basis[:, order])
    out = np.zeros((len(reduced), basis.shape[1]))
    out[:, order] = reduced
    dull = [c for c in last if c in unknown]
    keep = (np.abs(out[:, dull]) < _ZERO).all(axis=1) if dull else np.ones(len(out), dtype=bool)
    return out[keep]


def _reduced(matrix: np.ndarray) -> np.ndarray:
    """Reduced row echelon form, tidied to whole numbers where it is."""
    made = echelon(matrix, _ZERO)
    whole = np.round(made)
    return np.where(np.abs(made - whole) < 1e-7, whole, made)


def partners(combinations: np.ndarray, basis: np.ndarray, unknown: Sequence[int], column: int) -> list[int]:
    """Other unknown columns that a column is tied to: in a combination with it, else in a dependency with it."""
    with_it = combinations[combinations[:, column] != 0]
    found = [c for c in unknown if c != column and (np.abs(with_it[:, c]) > _ZERO).any()] if len(with_it) else []
    if found:
        return found
    outside = np.eye(basis.shape[1]) - basis.T @ basis
    return [c for c in unknown if c != column and abs(outside[column, c]) > 1e-6]
