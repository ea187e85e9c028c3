"""Those whom effects on a share move: what they add to people's noise, and how lasting it is, read from a past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from evalkit.study.study import Study

MOST_MOVED = 0.98
"""Share of people beyond which effects that are added move nobody more."""
AROUND = 6
"""Periods on either side of a start between which changes are read."""
CELLS = 10
"""Cells in which something began from which it is known by how much they differ."""
FEWEST = 200
"""Degrees of freedom from which a past says how people of a kind vary."""


def moved_part(effects: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(m,) share of people whom effects added to a share can move, and which part of them has moved."""
    room = np.where(effects >= 0, 1 - share, share)
    return room, np.minimum(np.abs(effects) / room, MOST_MOVED)


def moved_covariance(both: np.ndarray, effects: np.ndarray, share: float, lasting: float) -> np.ndarray:
    """(m, m) covariance of one person's periods where effects (m,) are added to a share p, from that without.

    A share rises because some of those for whom the outcome was zero move to one. With q of them moved,
    1 - Y = (1 - Y0)(1 - B), Y0 and B apart, and for periods t and u of one direction
    cov = (1 - q_t)(1 - q_u) both + cov(B_t, B_u) (both + (1 - p)^2); the other way round where it falls, by chance in
    two directions. cov(B_t, B_u) is that of the same people, the fewer among the more, and between two different
    periods `lasting` times as much.
    """
    room, moved = moved_part(effects, share)
    rises, still = effects >= 0, np.outer(1 - moved, 1 - moved)
    alike = np.equal.outer(rises, rises) | (moved == 0)[:, None] | (moved == 0)
    again = np.where(alike, 1 - np.maximum.outer(moved, moved) - still, 0.0)
    again *= np.where(np.eye(len(effects), dtype=bool), 1.0, lasting)
    square = np.where(np.abs(effects)[:, None] >= np.abs(effects), room[:, None], room) ** 2
    return np.asarray(still * both + again * (both + square))


def read_lasting(study: Study, values: np.ndarray) -> float:
    """`Noise.lasting` of a past, from how much people's changes across a start vary: the mean of 6 periods after less
    that of 6 before, about their cell's. They vary most where people are moved for good, least where each period moves
    others. What fits their squares best, and 1 (for good, by which a plan promises least) weighed with it as if it had
    been seen too, with a standard error of 1; so 1 alone where a past says nothing.
    """
    paths = study.paths
    if paths.n_periods < 2 * AROUND or (paths.heads is not None and (paths.heads > 1).any()):
        return 1.0
    past = _Past.of(study, values)
    effects = past.effects()
    miss, slope = np.array([past.seen(c, effects) for c in range(len(past.on))]).T
    if np.count_nonzero(slope) < CELLS:
        return 1.0
    found = miss.sum() / slope.sum()
    variance = ((miss - found * slope) ** 2).sum() / slope.sum() ** 2
    return float(np.clip((found + variance) / (1 + variance), 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class _Base:
    """People of one kind where nothing is on: their share, and the (T,) autocovariance of one of them by lag."""

    share: float
    covariance: np.ndarray

    def varies(self, effects: np.ndarray, lasting: float) -> float:
        """Variance of a person's change over periods (2 x AROUND,) in which these effects are added."""
        lag = np.abs(np.subtract.outer(np.arange(2 * AROUND), np.arange(2 * AROUND)))
        return float(CHANGE @ moved_covariance(self.covariance[lag], effects, self.share, lasting) @ CHANGE)


CHANGE = np.repeat([-1.0, 1.0], AROUND) / AROUND
"""Weights of a change: the mean after less the mean before."""


@dataclass(frozen=True, eq=False)
class _Past:
    """Cells, people of a place on one path. on: (C, T, K) of components that are not always on; kind: (C,) by which of
    them can reach it; base: of each kind, None for too few people. Of changes across periods AROUND to T - AROUND, of
    those who are seen in every period, (C, G): people, their mean, and the squares about it."""

    on: np.ndarray
    kind: np.ndarray
    base: tuple[_Base | None, ...]
    people: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, study: Study, values: np.ndarray) -> _Past:
        paths = study.paths
        rolled = ~np.asarray(paths.always_on, dtype=bool)
        pairs, of = np.unique(np.stack([paths.levels[paths.cluster].codes, paths.path]), axis=1, return_inverse=True)
        of = of.ravel()
        on = paths.state[pairs[1]][:, :, rolled] != 0
        kind = np.unique(paths.reach[pairs[1]][:, rolled], axis=0, return_inverse=True)[1].ravel()
        base = tuple(_base(values, of, np.flatnonzero(kind == k), on.any(axis=2)) for k in range(int(kind.max()) + 1))
        G = values.shape[1] - 2 * AROUND + 1
        change = sum((w * values[:, j : j + G] for j, w in enumerate(CHANGE)), np.zeros((len(of), G)))
        seen = ~np.isnan(change)
        collect = sparse.csr_array((np.ones(len(of)), (of, np.arange(len(of)))), shape=(len(on), len(of)))
        people = collect @ seen.astype(float)
        mean = (collect @ np.where(seen, change, 0.0)) / np.maximum(people, 1)
        squares = collect @ np.where(seen, change - mean[of], 0.0) ** 2
        return cls(on, kind, base, people, mean, squares)

    def seen(self, c: int, effects: np.ndarray) -> tuple[float, float]:
        """Of changes across starts in a cell: by how much their squares miss those of people moved anew, times the
        slope of squares in `lasting`; and that slope squared, over all people."""
        base, on, miss, slope = self.base[self.kind[c]], self.on[c], 0.0, 0.0
        begun = (on[AROUND : 1 - AROUND] & ~on[AROUND - 1 : -AROUND]).any(axis=1)
        for g in np.flatnonzero(begun & (self.people[c] > 1)) if base is not None else ():
            around, df = on[g : g + 2 * AROUND] @ effects, self.people[c, g] - 1
            anew, good = base.varies(around, 0.0), base.varies(around, 1.0)
            miss += (self.squares[c, g] - df * anew) * (good - anew)
            slope += df * (good - anew) ** 2
        return miss, slope

    def effects(self) -> np.ndarray:
        """(K,) what components add, from changes of cells over the same periods by what began in them."""
        G, total = self.people.shape[1], np.maximum(self.people.sum(axis=0), 1)
        began = np.stack([np.einsum("t,ctk->ck", CHANGE, self.on[:, g : g + 2 * AROUND]) for g in range(G)], axis=1)
        x = began - (self.people[:, :, None] * began).sum(axis=0) / total[:, None]
        y = self.mean - (self.people * self.mean).sum(axis=0) / total
        root = np.sqrt(self.people).ravel()
        return np.linalg.lstsq(x.reshape(len(root), -1) * root[:, None], y.ravel() * root)[0]


def _base(values: np.ndarray, of: np.ndarray, cells: np.ndarray, on: np.ndarray) -> _Base | None:
    """Of outcomes (n, T) of people of cells `of`, those of some cells, where nothing is on (C, T) in them; None for too
    few people, or all alike."""
    periods = on.shape[1]
    lag = np.abs(np.subtract.outer(np.arange(periods), np.arange(periods))).ravel()
    people = np.isin(of, cells)
    place, y = np.searchsorted(cells, of[people]), values[people]
    seen = ~np.isnan(y) & ~on[of[people]]
    collect = sparse.csr_array((np.ones(len(y)), (place, np.arange(len(y)))), shape=(len(cells), len(y)))
    n = (collect @ seen.astype(float))[place]
    mean = (collect @ np.where(seen, y, 0.0))[place] / np.maximum(n, 1)
    there = seen & (n > 1)
    away = np.where(there, y - mean, 0.0) * np.sqrt(n / np.maximum(n - 1, 1))
    pairs = np.bincount(lag, (there.T.astype(float) @ there).ravel())
    total, count = float(y[seen].sum()), int(seen.sum())
    if (pairs[: 2 * AROUND] < FEWEST).any() or not 0 < total < count:
        return None
    return _Base(total / count, np.bincount(lag, (away.T @ away).ravel()) / np.maximum(pairs, 1))
