"""Stack estimates: rows side by side with one joint covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.inference.arms import Arms
from evalkit.inference.contributions import join
from evalkit.inference.estimate import Estimate
from evalkit.inference.jackknife import Replicates


def stack(*estimates: Estimate) -> Estimate:
    """Rows of several estimates with one joint covariance, units joined by id.

    Raises `EvalkitError` for anything but Estimates, and where a unit's cluster codes conflict. With
    refits at one level the joint covariance is the jackknife's; else analytic, at the coarser level, and each row
    keeps its own interval.
    """
    for e in estimates:
        if not isinstance(e, Estimate):
            raise EvalkitError(f"stack joins Estimates; {type(e).__name__} has no contributions to join.")
    if not estimates:
        raise EvalkitError("stack needs at least one Estimate.")
    out = estimates[0]
    for other in estimates[1:]:
        out = _stack_two(out, other)
    return out


def _stack_two(a: Estimate, b: Estimate) -> Estimate:
    parts = join(a.value_parts, b.value_parts)
    masses = None
    if a.mass_parts is not None and b.mass_parts is not None:
        masses = join(a.mass_parts, b.mass_parts)
    labels = pd.concat([a.labels, b.labels], ignore_index=True)
    value, mass = np.concatenate([a.value, b.value]), np.concatenate([a.mass, b.mass])
    same_level = a.level == b.level
    refit = None
    if a.replicate is not None and b.replicate is not None and same_level:
        refit = lambda: _join_replicates(a, b)  # noqa: E731
    arms = _join_arms(a.arms, b.arms) if a.arms is not None and b.arms is not None else None
    alike = same_level and (a.replicate is None) == (b.replicate is None) and not (a.pieces or b.pieces)
    pieces = () if alike else ((a.pieces or (a,)) + (b.pieces or (b,)))
    first, second = a.cells, b.cells
    cells = None
    if first is not None and second is not None:
        cells = lambda matrix=None: _join_cells(first, second, len(a), matrix)  # noqa: E731
    return Estimate(value, mass, labels, parts, masses, arms, refit, cells, pieces)


def _join_cells(
    first: Callable[..., pd.DataFrame], second: Callable[..., pd.DataFrame], rows: int, matrix: np.ndarray | None
) -> pd.DataFrame:
    """Cells of both, or of combinations (k', k) of their rows."""
    if matrix is not None:
        return pd.concat([first(matrix[:, :rows]), second(matrix[:, rows:])], ignore_index=True)
    later = second()
    return pd.concat([first(), later.assign(row=later["row"] + rows)], ignore_index=True)


def _join_arms(a: Arms, b: Arms) -> Arms:
    wide = lambda x, left, right: np.pad(x, ((0, 0), (left, right)))  # noqa: E731
    ka, kb = a.exposed.shape[1], b.exposed.shape[1]
    if len(a.size) == len(b.size) and np.array_equal(a.size, b.size):
        return Arms(np.hstack([a.exposed, b.exposed]), np.hstack([a.comparison, b.comparison]), a.size)
    return Arms(
        np.vstack([wide(a.exposed, 0, kb), wide(b.exposed, ka, 0)]),
        np.vstack([wide(a.comparison, 0, kb), wide(b.comparison, ka, 0)]),
        np.concatenate([a.size, b.size]),
    )


def _join_replicates(a: Estimate, b: Estimate) -> Replicates:
    """A cluster that one estimate does not use leaves that estimate as it is."""
    ra, rb = a.replicates, b.replicates
    names = pd.Index(ra.names).union(pd.Index(rb.names), sort=False)

    def spread(r: Replicates, est: Estimate) -> tuple[np.ndarray, ...]:
        at = names.get_indexer(pd.Index(r.names))
        k = len(est)
        values, masses = np.tile(est.value, (len(names), 1)), np.tile(est.mass, (len(names), 1))
        exposed, comparison = np.zeros((len(names), k), bool), np.zeros((len(names), k), bool)
        values[at], masses[at], exposed[at], comparison[at] = r.values, r.masses, r.exposed, r.comparison
        return values, masses, exposed, comparison

    both = [np.hstack(pair) for pair in zip(spread(ra, a), spread(rb, b), strict=True)]
    return Replicates(names.to_numpy(), ra.level, *both)
