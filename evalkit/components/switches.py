"""Counts of clean switches: clusters in a plan, at the component's own level, among units that are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.study.paths import Paths, row_codes

ENOUGH = 2
"""Exposed clusters, and comparison clusters, that a component needs to be told apart."""


@dataclass(frozen=True, eq=False)
class Members:
    """Which clusters hold which rows of a plan (paths, or pairs of paths), and when they can be read.

    cluster, row: (m,) of each member, sorted by row. start: (rows + 1,) first member of
    each row. sight: who is seen when, or None when everybody always is. left, right: (m,)
    cells of `sight` that must both be seen (the same one for single paths).
    """

    cluster: np.ndarray
    row: np.ndarray
    start: np.ndarray
    n_clusters: int
    sight: Sight | None
    left: np.ndarray
    right: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Positions of the members of some rows."""
        low, high = self.start[rows], self.start[rows + 1]
        if (high - low == 1).all():
            return low
        return np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)])

    def seen(self, members: np.ndarray, base: int, when: slice) -> np.ndarray | None:
        """(members, t) somebody is seen both at base and t; None for always."""
        if self.sight is None:
            return None
        both = self.sight.at(base)
        left = both[self.left[members], when]
        return left if self.left is self.right else left & both[self.right[members], when]


@dataclass(frozen=True, eq=False)
class Sight:
    """When units of each cell are seen, by distinct pattern. cell: (r,); seen: (r, T)."""

    cell: np.ndarray
    seen: np.ndarray
    n_cells: int
    _cache: dict = field(default_factory=dict, repr=False)

    def at(self, base: int) -> np.ndarray:
        """(cells, T) whether any unit is seen both at `base` and at each period."""
        if base not in self._cache:
            rows = np.flatnonzero(self.seen[:, base])
            cell, seen = self.cell[rows], self.seen[rows]
            out = np.zeros((self.n_cells, self.seen.shape[1]), dtype=bool)
            if len(rows):
                first = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
                out[cell[first]] = np.logical_or.reduceat(seen, first, axis=0)
            self._cache[base] = out
        return self._cache[base]


def sight_of(paths: Paths, level: str) -> Sight | None:
    """Who is seen when in each cell of a level; None for a balanced panel."""
    if paths.balanced or paths.seen is None:
        return None
    cells = paths.cells(level)
    codes, patterns = row_codes(paths.seen.astype(np.int16))
    key = np.unique(cells.of * len(patterns) + codes)
    return Sight(key // len(patterns), patterns[key % len(patterns)].astype(bool), len(cells))


def members_of(paths: Paths, level: str, sight: Sight | None = None) -> Members:
    """Members for plans over single paths: one a cell of the level."""
    cells = paths.cells(level)
    order = np.argsort(cells.path, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(cells.path, minlength=paths.n_paths))])
    n = len(paths.levels[level].names)
    return Members(cells.cluster[order], cells.path[order], start, n, sight, order, order)


@dataclass(frozen=True, eq=False)
class Tally:
    """Clusters with a clean switch, and clusters that serve, at each event time.

    exposed, comparison: (E, C) at event times 0, 1, ...
    """

    exposed: np.ndarray
    comparison: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(E, 2) numbers of exposed and of comparison clusters."""
        return np.column_stack([self.exposed.sum(axis=1), self.comparison.sum(axis=1)])

    def clean(self, lag: int) -> int:
        """Clusters with a clean switch at every event time from 0 to `lag`."""
        if lag >= len(self.exposed):
            return 0
        return int(self.exposed[: lag + 1].all(axis=0).sum())

    def at(self, event_time: int) -> tuple[int, int]:
        """Exposed and comparison clusters at one event time."""
        if event_time >= len(self.exposed):
            return 0, 0
        exposed, comparison = self.counts[event_time]
        return int(exposed), int(comparison)

    def until(self, lag: int) -> int:
        """Last event time up to which enough clusters remain on both sides; -1 when not even through `lag`."""
        enough = np.asarray((self.counts >= ENOUGH).all(axis=1))
        if lag >= len(enough) or not enough[: lag + 1].all():
            return -1
        short = np.flatnonzero(~enough[lag:])
        return lag + int(short[0]) - 1 if len(short) else len(enough) - 1


def tally(plan: Plan | Sequence[Comparison], members: Members, n_periods: int, horizon: int | None = None) -> Tally:
    """Count each cluster once at each event time.

    A comparison counts only in another cluster than the adopter's. horizon: last event
    time counted.
    """
    last = n_periods if horizon is None else min(horizon + 1, n_periods)
    out = Tally(*(np.zeros((last, members.n_clusters), dtype=bool) for _ in range(2)))
    for c in plan:
        add_comparison(out, c, members)
    return out


def add_comparison(out: Tally, c: Comparison, members: Members) -> None:
    """Enter one comparison into a tally. Whoever matches later matches at the start, so only those are looked at."""
    stop = min(last_period(c) + 1, c.cohort + len(out.exposed))
    rows = np.flatnonzero(c.match[:, c.cohort]) if stop > c.cohort else np.empty(0, dtype=int)
    if not len(rows):
        return
    when = slice(c.cohort, stop)
    base = int(c.base[c.cohort])
    theirs = members.of(rows)
    served = c.match[members.row[theirs], when]
    seen = members.seen(theirs, base, when)
    served = served if seen is None else served & seen
    mine = members.of(np.array([c.path]))
    seen = members.seen(mine, base, when)
    adopts = np.ones((len(mine), stop - c.cohort), dtype=bool) if seen is None else seen
    if len(mine) == 1:
        _add_one(out, members.cluster[mine[0]], adopts[0], members.cluster[theirs], served)
        return
    clusters, local = np.unique(np.concatenate([members.cluster[mine], members.cluster[theirs]]), return_inverse=True)
    exposed, comparison = elsewhere(adopts, local[: len(mine)], served, local[len(mine) :], len(clusters))
    out.exposed[: stop - c.cohort, clusters] |= exposed.T
    out.comparison[: stop - c.cohort, clusters] |= comparison.T


def _add_one(out: Tally, cluster: int, adopts: np.ndarray, theirs: np.ndarray, served: np.ndarray) -> None:
    """Enter an adopter that lives in one cluster only."""
    served = served & adopts & (theirs != cluster)[:, None]
    out.exposed[: len(adopts), cluster] |= served.any(axis=0)
    member, t = np.nonzero(served)
    out.comparison[t, theirs[member]] = True


def last_period(c: Comparison) -> int:
    """Last period at which the adopter can be read; before its cohort when there is none."""
    after = np.flatnonzero(c.base[c.cohort :] >= 0)
    return c.cohort + int(after[-1]) if len(after) else c.cohort - 1


def elsewhere(
    adopts: np.ndarray, mine: np.ndarray, served: np.ndarray, theirs: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n, t) clusters that adopt with a comparison elsewhere, and clusters that serve an adopter elsewhere."""
    exposed, comparison = _by_cluster(adopts, mine, n), _by_cluster(served, theirs, n)
    others = comparison.sum(axis=0) - comparison
    exposed &= others > 0
    comparison &= exposed.sum(axis=0) - exposed > 0
    return exposed, comparison


def _by_cluster(flags: np.ndarray, cluster: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros((n, flags.shape[1]), dtype=bool)
    if len(cluster) == 1:
        out[cluster[0]] = flags[0]
        return out
    member, t = np.nonzero(flags)
    out[cluster[member], t] = True
    return out
