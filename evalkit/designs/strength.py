"""How noisy a plan would be, from who is compared with whom alone.

If changes of different units are independent with variance 1 and a unit's changes move together, the
average over a window has variance sum of W_g^2 v_g: W_g the weight that the plan gives to group g over all
its rows, v_g the variance of the group's mean (one over its units; for a pair, one over the eligible plus
one over the ineligible). No outcome is read, so that designs can be chosen by it beforehand.
"""

from __future__ import annotations

import numpy as np

from evalkit.designs.pairs import Pairs
from evalkit.designs.plan import Plan
from evalkit.study.paths import Paths


def path_sizes(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    """(P,) mass and variance of the mean of each path."""
    size = np.bincount(paths.path, minlength=paths.n_paths).astype(float)
    return size, _inverse(size)


def pair_sizes(paths: Paths, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(q,) eligible mass and variance of the mean difference of each pair."""
    count = paths.cells(pairs.level).count
    eligible = np.bincount(pairs.member_pair, weights=count[pairs.member_eligible], minlength=len(pairs))
    ineligible = np.bincount(pairs.member_pair, weights=count[pairs.member_ineligible], minlength=len(pairs))
    return eligible, _inverse(eligible) + _inverse(ineligible)


def expected_noise(plan: Plan, sizes: tuple[np.ndarray, np.ndarray], lag: int, until: int) -> float:
    """Variance of the average over event times lag .. until; infinite where nothing is compared."""
    size, spread = sizes
    weight, total = np.zeros(len(size)), 0.0
    for c in plan:
        event = c.event_time()
        use = np.flatnonzero(c.matched & (event >= lag) & (event <= until))
        match = c.match[:, use] * size[:, None]
        share = size[c.path] * _inverse(match.sum(axis=0))
        weight[c.path] += size[c.path] * len(use)
        weight += match @ share
        total += size[c.path] * len(use)
    return float((weight / total) ** 2 @ spread) if total > 0 else float("inf")


def _inverse(x: np.ndarray) -> np.ndarray:
    return np.divide(1.0, x, out=np.zeros_like(x, dtype=float), where=x > 0)
