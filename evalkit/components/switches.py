"""Clean switches: which clusters start a component beside which others, in a plan and against each other component.

Starts of one period that look back to the same base and are free to be set against the same rows are counted
together. For each start the plan that ignores all others says who is free of it; each other component is then asked,
one by one, whether it goes the same way on both sides, stands still, or is off throughout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.study.paths import UNKNOWN, Paths, row_codes

_MOST = 4_000_000
ENOUGH = 2
"""Exposed clusters, and comparison clusters, that a component needs to be told apart."""
REMAIN = 3
"""A window is claimed while one in so many of the clusters exposed in its first period remain."""


@dataclass(frozen=True, eq=False)
class Members:
    """Which clusters hold which rows of a plan (paths, or pairs of paths), and when they can be read. cluster, row:
    (m,) of each member, sorted by row. start: (rows + 1,) first member of each row. sight: who is seen when, or None
    when everybody always is. left, right: (m,) cells of `sight` that must both be seen (the same one for single
    paths)."""

    cluster: np.ndarray
    row: np.ndarray
    start: np.ndarray
    n_clusters: int
    sight: Sight | None
    left: np.ndarray
    right: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Positions of the members of some rows."""
        low: np.ndarray = self.start[rows]
        high = self.start[rows + 1]
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
    _cache: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

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
    """Who is seen when in each cell of a level, worked out once; None for a balanced panel."""
    return paths.memo.get(("sight", level), lambda: _sight(paths, level))


def _sight(paths: Paths, level: str) -> Sight | None:
    if paths.balanced or paths.seen is None:
        return None
    cells = paths.cells(level)
    codes, patterns = row_codes(paths.seen.astype(np.int16))
    key = np.unique(cells.of * len(patterns) + codes)
    return Sight(key // len(patterns), patterns[key % len(patterns)].astype(bool), len(cells))


def members_of(paths: Paths, level: str) -> Members:
    """Members for plans over single paths: one a cell of the level; worked out once."""
    return paths.memo.get(("members", level), lambda: _members(paths, level))


def _members(paths: Paths, level: str) -> Members:
    cells = paths.cells(level)
    order = np.argsort(cells.path, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(cells.path, minlength=paths.n_paths))])
    n, sight = len(paths.levels[level].names), sight_of(paths, level)
    return Members(cells.cluster[order], cells.path[order], start, n, sight, order, order)


@dataclass(frozen=True, eq=False)
class Tally:
    """Clusters with a clean switch, and clusters that serve, at each event time. exposed, comparison: (E, C) at event
    times 0, 1, ..."""

    exposed: np.ndarray
    comparison: np.ndarray

    def clean(self, lag: int) -> int:
        """Clusters with a clean switch at every event time from 0 to `lag`."""
        if lag >= len(self.exposed):
            return 0
        return int(self.exposed[: lag + 1].all(axis=0).sum())

    def at(self, event_time: int) -> tuple[int, int]:
        """Exposed and comparison clusters at one event time."""
        if event_time >= len(self.exposed):
            return 0, 0
        return int(self.exposed[event_time].sum()), int(self.comparison[event_time].sum())

    @property
    def enough(self) -> bool:
        """Whether both sides have enough clusters at event time 0."""
        return min(self.at(0)) >= ENOUGH

    def until(self, lag: int) -> int:
        """Last event time up to which enough clusters remain on both sides, and a third of those exposed at `lag`; -1
        when not even through `lag`."""
        exposed = self.exposed.sum(axis=1)
        enough = np.minimum(exposed, self.comparison.sum(axis=1)) >= ENOUGH
        if lag >= len(enough) or not enough[: lag + 1].all():
            return -1
        enough &= REMAIN * exposed >= exposed[lag]
        short = np.flatnonzero(~enough[lag:])
        return lag + int(short[0]) - 1 if len(short) else len(enough) - 1


def tally(plan: Iterable[Comparison], members: Members, n_periods: int, horizon: int | None = None) -> Tally:
    """Count each cluster once at each event time, in another cluster than the adopter's. horizon: last event time."""
    last = n_periods if horizon is None else min(horizon + 1, n_periods)
    out = Tally(*(np.zeros((last, members.n_clusters), dtype=bool) for _ in range(2)))
    for group in _groups(plan, last - 1):
        rows = np.flatnonzero(group.free[:, 0])
        theirs, mine = _homes(members, rows, group), _homes(members, group.starts, group)
        shape = len(group.starts), len(rows), 1, group.free.shape[1]
        flags = np.broadcast_to(group.free[rows][None, :, None, :], shape)
        _enter(out.exposed, _elsewhere(flags, mine, theirs)[:, 0], mine)
        _enter(out.comparison, _elsewhere(np.swapaxes(flags, 0, 1), theirs, mine)[:, 0], theirs)
    return out


def _enter(target: np.ndarray, found: np.ndarray, homes: _Homes) -> None:
    """Mark the clusters of the members found, (members, E), in (E, C) `target`."""
    member, e = np.nonzero(found)
    target[e, homes.cluster[member]] = True


@dataclass(frozen=True, eq=False)
class _Group:
    """Starts of one period with the same base, followed up to the same period, and who is free of them: (rows, E)."""

    cohort: int
    base: int
    last: int
    starts: np.ndarray
    free: np.ndarray


@dataclass(frozen=True, eq=False)
class _Homes:
    """Clusters in which rows are seen at each event time. row: (m,) position among the rows asked;
    cluster: (m,); seen: (m, E). count, only: (rows, E) clusters, and the code of the one there is."""

    row: np.ndarray
    cluster: np.ndarray
    seen: np.ndarray
    count: np.ndarray
    only: np.ndarray


@dataclass(frozen=True, eq=False)
class Against:
    """How one component's starts look against each other component. exposed, comparison: (K, E, C) clusters with a
    switch at which that component goes the same way on both sides, at event times 0 .. lag, and clusters that serve.
    still, absent: (K,) whether there is a switch, with a comparison, at which that component stands still through the
    lag on both sides, or is off throughout."""

    exposed: np.ndarray
    comparison: np.ndarray
    still: np.ndarray
    absent: np.ndarray

    def same(self, other: int) -> Tally:
        """The tally in which only one other component must go the same way."""
        return Tally(self.exposed[other], self.comparison[other])


def against_each(plan: Plan, codes: np.ndarray, members: Members, lag: int) -> Against:
    """Ask every start in `plan` (others ignored) about each of the K components in (rows, T, K) `codes`; 0 is off."""
    _, n_periods, n = codes.shape
    shape = (n, min(lag + 1, n_periods), members.n_clusters)
    out = Against(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(n, bool), np.zeros(n, bool))
    never = np.asarray(~codes.any(axis=1))
    for group in _groups(plan, lag):
        rows = np.flatnonzero(group.free[:, 0])
        theirs, times = _homes(members, rows, group, 2), group.free.shape[1]
        size = max(1, _MOST // max(1, max(len(rows), len(theirs.row)) * n * (group.last - group.base + 3)))
        for low in range(0, len(group.starts), size):
            starts = group.starts[low : low + size]
            mine, flags = _homes(members, starts, group, 2), _agree(codes, never, group, starts, rows)
            exposed, comparison = _elsewhere(flags, mine, theirs), _elsewhere(np.swapaxes(flags, 0, 1), theirs, mine)
            for k in range(n):
                _enter(out.exposed[k], exposed[:, k, :times], mine)
                _enter(out.comparison[k], comparison[:, k, :times], theirs)
            if times == out.exposed.shape[1]:
                out.still[:] |= exposed[:, :, times].any(axis=0)
                out.absent[:] |= exposed[:, :, times + 1].any(axis=0)
    return out


def _groups(plan: Iterable[Comparison], lag: int) -> Iterator[_Group]:
    """Starts that share period, base, end and who is free of them, where anybody is."""
    found: dict[tuple[int, int, int, bytes], tuple[np.ndarray, list[int]]] = {}
    for c in plan:
        after = np.flatnonzero(c.base[c.cohort :] >= 0)  # periods at which the adopter can be read
        if len(after) and lag >= 0 and c.match[:, c.cohort].any():
            last = c.cohort + min(lag, int(after[-1]))
            free = c.match[:, c.cohort : last + 1]
            key = (c.cohort, int(c.base[c.cohort]), last, free.tobytes())
            found.setdefault(key, (free, []))[1].append(c.path)
    for (cohort, base, last, _), (free, paths) in found.items():
        yield _Group(cohort, base, last, np.array(paths), free)


def _homes(members: Members, rows: np.ndarray, group: _Group, more: int = 0) -> _Homes:
    """Where rows live and are seen; the last event time is repeated `more` times."""
    who, size = members.of(rows), members.start[rows + 1] - members.start[rows]
    row, first = np.repeat(np.arange(len(rows)), size), np.cumsum(size) - size
    cluster, shape = members.cluster[who], (len(who), group.free.shape[1] + more)
    seen = members.seen(who, group.base, slice(group.cohort, group.last + 1))
    if seen is None:
        full = (len(rows), shape[1])
        count, only = (np.broadcast_to(x[:, None], full) for x in (size, cluster[first]))
        return _Homes(row, cluster, np.broadcast_to(np.True_, shape), count, only)
    seen = np.concatenate([seen] + [seen[:, -1:]] * more, axis=1)
    count = np.add.reduceat(seen.astype(np.int64), first, axis=0)
    only = np.add.reduceat(np.where(seen, cluster[:, None], 0), first, axis=0)
    return _Homes(row, cluster, seen, count, only)


def _agree(codes: np.ndarray, never: np.ndarray, group: _Group, starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(starts, rows, K, E + 2) same path from base to each event time; standing still over it; off throughout."""
    window, own = codes[rows, group.base : group.last + 1], codes[starts, group.base : group.last + 1]
    equal = (window == own[:, None]) & (window != UNKNOWN)
    alike = np.logical_and.accumulate(equal, axis=2)[:, :, group.cohort - group.base :]
    alike = np.moveaxis(alike, 2, 3) & group.free[rows][:, None, :]
    quiet = ((window == window[:, :1]) & (window != UNKNOWN)).all(axis=1)
    quiet = quiet & ((own == own[:, :1]) & (own != UNKNOWN)).all(axis=1)[:, None]
    still = quiet & group.free[rows, -1][:, None]
    absent = still & never[rows] & never[starts][:, None]
    return np.concatenate([alike, still[..., None], absent[..., None]], axis=3)


def _elsewhere(flags: np.ndarray, mine: _Homes, theirs: _Homes) -> np.ndarray:
    """(members, K, E + 2) whether a member's row agrees with a row seen in another cluster than its own."""
    out: np.ndarray = np.empty((len(mine.row), *flags.shape[2:]), dtype=bool)
    step = max(1, _MOST // max(1, flags[0].size))
    for low in range(0, len(mine.row), step):
        part = slice(low, low + step)
        other = (theirs.count > 1) | ((theirs.count == 1) & (theirs.only != mine.cluster[part, None, None]))
        out[part] = (flags[mine.row[part]] & other[:, :, None, :]).any(axis=1)
    out &= mine.seen[:, None, :]
    return out
