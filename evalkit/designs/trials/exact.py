"""Exact tests: the recorded deal is made again, and the studentised difference found each time (Fisher 1935; Chung and
Romano 2013, Annals of Statistics 41, on studentising)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

CELLS = 4_000_000
"""Rows times draws that are held at once."""
TIED = 1e-9
"""Share of a statistic within which two deals are as extreme: they differ by rounding."""
LEAST = 1e-6
"""Share of the variance of outcomes below which that within arms is rounding."""


def deals(t: np.ndarray, block: np.ndarray, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(d, n) rows dealt again, as many of each block as there were: batches of `draws` deals in all. block: (n,) codes
    in rising order."""
    exposed = np.bincount(block[t], minlength=int(block.max()) + 1)
    start = np.searchsorted(block, np.arange(len(exposed)))
    picked = np.arange(len(block)) - start[block] < exposed[block]
    step = max(1, CELLS // len(block))
    for first in range(0, draws, step):
        key = rng.random((min(step, draws - first), len(block)))
        order = np.argsort(key + 2.0 * block, axis=1) if len(start) > 1 else np.argsort(key, axis=1)
        yield order[:, picked]


def exact_p(y: np.ndarray, t: np.ndarray, block: np.ndarray, draws: int, rng: np.random.Generator) -> float:
    """(1 + deals at least as extreme) / (1 + deals) of the studentised weighted difference within blocks. y: (n,)
    outcomes, or what is left of them when covariates are taken out without the arm."""
    order = np.argsort(block, kind="stable")
    y, t, block = y[order] - y.mean(), t[order], np.unique(block[order], return_inverse=True)[1]
    studentised = _Studentised(y, t, block)
    own = studentised.of(np.flatnonzero(t)[None])[0]
    if not np.isfinite(own):
        return float("nan")
    hits = 0
    for dealt in deals(t, block, draws, rng):
        hits += int((np.abs(studentised.of(dealt)) >= abs(own) * (1 - TIED)).sum())
    return (1 + hits) / (1 + draws)


class _Studentised:
    """The statistic of many deals at once, from sums of outcomes and their squares by block. A variance within arms
    that is rounding beside that of outcomes is taken at `least`: deals without any stay in the order of gaps."""

    def __init__(self, y: np.ndarray, t: np.ndarray, block: np.ndarray) -> None:
        self.y, self.exposed = y, np.bincount(block[t], minlength=int(block.max()) + 1)
        self.size = np.bincount(block)
        self.share = self.size / len(y)
        self.total, self.squares = np.bincount(block, weights=y), np.bincount(block, weights=y**2)
        self.edges = np.r_[0, np.cumsum(self.exposed)[:-1]]
        self.least = max(LEAST * float(self.squares.sum()) / len(y) ** 2, 1e-300)

    def of(self, dealt: np.ndarray) -> np.ndarray:
        """(d,) statistics of the rows (d, m) that were dealt it, block after block."""
        mine = self.y[dealt]
        sums, squares = (np.add.reduceat(v, self.edges, axis=1) for v in (mine, mine**2))
        n1, n0 = self.exposed, self.size - self.exposed
        first, second = sums / n1, (self.total - sums) / n0
        gap = first - second
        if min(n1.min(), n0.min()) > 1:
            spread = (squares / n1 - first**2) / (n1 - 1) + ((self.squares - squares) / n0 - second**2) / (n0 - 1)
            variance = spread @ self.share**2
        else:
            weight = self.share * len(self.share)
            about = weight * gap - weight * (gap @ (weight**2) / (weight @ weight))[:, None]
            variance = (about**2).sum(axis=1) / len(weight) ** 2
            if len(weight) == 1:
                variance = np.ones(len(gap))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(gap @ self.share / np.sqrt(np.maximum(variance, self.least)))


def unlike_p(x: np.ndarray, t: np.ndarray, block: np.ndarray, draws: int, rng: np.random.Generator) -> float:
    """The same of covariates: the sum of squared differences in means within blocks, each in standard deviations."""
    order = np.argsort(block, kind="stable")
    t, block = t[order], np.unique(block[order], return_inverse=True)[1]
    x = x[order] / x.std(axis=0)
    size, exposed = np.bincount(block), np.bincount(block[t])
    share, edges = size / len(t), np.r_[0, np.cumsum(exposed)[:-1]]
    total = np.column_stack([np.bincount(block, weights=v) for v in x.T])

    def distance(dealt: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(x[dealt], edges, axis=1)
        gap = sums / exposed[:, None] - (total - sums) / (size - exposed)[:, None]
        return np.asarray(((share @ gap) ** 2).sum(axis=-1))

    own, hits = distance(np.flatnonzero(t)[None])[0], 0
    for dealt in deals(t, block, draws, rng):
        hits += int((distance(dealt) >= own - 1e-12).sum())
    return (1 + hits) / (1 + draws)
