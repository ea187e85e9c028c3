"""Stack estimates: rows side by side with one joint covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Refits, StackedRefits, stacked_arms
from evalkit.inference.sources import stacked


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
    if len(estimates) == 1:
        return estimates[0]
    masses = [e.mass_parts for e in estimates if e.mass_parts is not None]
    arms = [e.arms for e in estimates if e.arms is not None]
    return Estimate(
        np.concatenate([e.value for e in estimates]), np.concatenate([e.mass for e in estimates]),
        pd.concat([e.labels for e in estimates], ignore_index=True), stacked([e.value_parts for e in estimates]),
        stacked(masses) if len(masses) == len(estimates) else None,
        stacked_arms(arms) if len(arms) == len(estimates) else None,
        _refits(estimates), _cells(estimates), _pieces(estimates),
    )  # fmt: skip


def _refits(estimates: tuple[Estimate, ...]) -> StackedRefits | None:
    """Joint refits, where every estimate has them at one level."""
    each = tuple(e.replicate for e in estimates if isinstance(e.replicate, Refits))
    if len(each) < len(estimates) or len({e.level for e in estimates}) > 1:
        return None
    return StackedRefits(each, tuple(e.value for e in estimates), tuple(e.mass for e in estimates))


def _pieces(estimates: tuple[Estimate, ...]) -> tuple[Estimate, ...]:
    """Estimates whose rows keep their own inference; none where all are inferred alike. Those alike that come first
    are one piece."""
    first = estimates[0]

    def alike(e: Estimate) -> bool:
        return not e.pieces and e.level == first.level and (e.replicate is None) == (first.replicate is None)

    run = len(list(takewhile(alike, estimates)))
    if run == len(estimates):
        return ()
    head = stack(*estimates[: max(run, 1)])
    return tuple(piece for e in (head, *estimates[max(run, 1) :]) for piece in (e.pieces or (e,)))


@dataclass(frozen=True, eq=False)
class StackedCells:
    """Cells of several estimates, rows (m,) counted on."""

    makes: tuple[Callable[..., pd.DataFrame], ...]
    rows: tuple[int, ...]

    def __call__(self, matrix: np.ndarray | None = None) -> pd.DataFrame:
        """Cells of all, or of combinations (k', k) of their rows."""
        starts = np.cumsum((0, *self.rows))
        if matrix is None:
            found = [make() for make in self.makes]
            found = [frame.assign(row=frame["row"] + start) for frame, start in zip(found, starts, strict=False)]
        else:
            found = [make(matrix[:, a:b]) for make, (a, b) in zip(self.makes, pairwise(starts), strict=True)]
        return pd.concat(found, ignore_index=True)


def _cells(estimates: tuple[Estimate, ...]) -> StackedCells | None:
    makes = tuple(e.cells for e in estimates if e.cells is not None)
    return StackedCells(makes, tuple(map(len, estimates))) if len(makes) == len(estimates) else None
