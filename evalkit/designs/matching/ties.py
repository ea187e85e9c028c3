"""How far an answer hangs on who was taken first among people equally near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ties:
    """people: how many of the matched have an equal in their own arm (same distance, same stratum).
    low, high: range of the estimate over `draws` random orders; value: the estimate itself."""

    people: int
    value: float
    low: float
    high: float
    draws: int

    @property
    def words(self) -> str:
        """The range in a sentence."""
        if not self.draws or not np.isfinite(self.low):
            return "No ties had to be broken."
        return (
            f"{self.people} matched people have an exact equal. Over {self.draws} random orders the estimate runs "
            f"from {self.low:.6g} to {self.high:.6g}."
        )


def tie_range(again: Callable[[np.ndarray], float], m: int, tied: int, value: float, draws: int, seed: int) -> Ties:
    """Match again in `draws` random orders. again: (order (m,)) -> estimate."""
    rng = np.random.default_rng(seed)
    found = np.array([value, *(again(rng.permutation(m)) for _ in range(draws))])
    found = found[np.isfinite(found)]
    if not len(found):
        return Ties(tied, value, float("nan"), float("nan"), draws)
    return Ties(tied, value, float(found.min()), float(found.max()), draws)


def tied_people(points: np.ndarray, strata: np.ndarray, exposed: np.ndarray, used: np.ndarray) -> int:
    """Matched people who share point, stratum and arm with somebody."""
    key = np.column_stack([points, strata, exposed])
    _, code, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    return int((used & (count[code.ravel()] > 1)).sum())
