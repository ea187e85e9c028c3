"""Two components at a time: is one told apart from the other by time, by place, by people or by dose?

For each start of one component the plan that ignores all others says who is free of
it; here each other component is asked, one by one, whether it goes the same way on
both sides, stands still, or is off throughout. Starts of the same period are asked
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.components.switches import Members, Tally, last_period
from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.study.paths import UNKNOWN

_MOST = 4_000_000


@dataclass(frozen=True, eq=False)
class Against:
    """How one component's starts look against each other component.

    exposed, comparison: (K, E, C) clusters with a switch at which that component goes the
    same way on both sides, at event times 0 .. lag, and clusters that serve. still,
    absent: (K,) whether there is a switch, with a comparison, at which that component
    stands still through the lag on both sides, or is off throughout.
    """

    exposed: np.ndarray
    comparison: np.ndarray
    still: np.ndarray
    absent: np.ndarray

    def same(self, other: int) -> Tally:
        """The tally in which only one other component must go the same way."""
        return Tally(self.exposed[other], self.comparison[other])


@dataclass(frozen=True, eq=False)
class _Group:
    """Starts of one period with the same base, followed up to the same period, and who is free of them."""

    cohort: int
    base: int
    last: int
    starts: np.ndarray
    free: np.ndarray

    @property
    def times(self) -> int:
        return self.last - self.cohort + 1


@dataclass(frozen=True, eq=False)
class _Homes:
    """Clusters in which rows are seen at each event time. row: (m,) position among the rows asked;
    cluster: (m,); seen: (m, E). count, only: (rows, E) clusters, and the code of the one there is."""

    row: np.ndarray
    cluster: np.ndarray
    seen: np.ndarray
    count: np.ndarray
    only: np.ndarray


def against_each(plan: Plan, codes: np.ndarray, members: Members, lag: int) -> Against:
    """Ask every start in `plan` (others ignored) about each of the K components in (rows, T, K) `codes`; 0 is off."""
    _, n_periods, n = codes.shape
    shape = (n, min(lag + 1, n_periods), members.n_clusters)
    out = Against(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(n, bool), np.zeros(n, bool))
    never = np.asarray(~codes.any(axis=1))
    for group in _groups(plan, lag):
        _ask(out, group, codes, never, members)
    return out


def shared_tally(plan: Plan, members: Members, n_periods: int) -> Tally:
    """As `tally`, for a plan that ignores the other components: starts of one period share who is free of them."""
    out = Tally(*(np.zeros((n_periods, members.n_clusters), dtype=bool) for _ in range(2)))
    for group in _groups(plan, n_periods):
        rows = np.flatnonzero(group.free[:, 0])
        theirs, mine = _homes(members, rows, group), _homes(members, group.starts, group)
        flags = np.broadcast_to(group.free[rows][None, :, None, :], (len(group.starts), len(rows), 1, group.times))
        for target, a, b, who in (
            (out.exposed, mine, theirs, flags),
            (out.comparison, theirs, mine, np.swapaxes(flags, 0, 1)),
        ):
            member, e = np.nonzero(_elsewhere(who, a, b)[:, 0])
            target[e, a.cluster[member]] = True
    return out


def _groups(plan: Plan, lag: int) -> Iterator[_Group]:
    """Starts that share period, base and end, where anybody is free of them."""
    found: dict[tuple[int, int, int], list[Comparison]] = {}
    for c in plan:
        last = min(c.cohort + lag, last_period(c))
        if last >= c.cohort:
            found.setdefault((c.cohort, int(c.base[c.cohort]), last), []).append(c)
    for (cohort, base, last), starts in found.items():
        paths = np.array([c.path for c in starts])
        free = starts[0].match[:, cohort : last + 1]
        if free[:, 0].any():
            yield _Group(cohort, base, last, paths, free)


def _ask(out: Against, group: _Group, codes: np.ndarray, never: np.ndarray, members: Members) -> None:
    """Enter a group of starts: which rows agree, component by component, and in which clusters they live."""
    rows = np.flatnonzero(group.free[:, 0])
    theirs = _homes(members, rows, group, 2)
    size = max(1, _MOST // max(1, max(len(rows), len(theirs.row)) * codes.shape[2] * (group.last - group.base + 3)))
    for low in range(0, len(group.starts), size):
        starts = group.starts[low : low + size]
        mine = _homes(members, starts, group, 2)
        flags = _agree(codes, never, group, starts, rows)
        exposed = _elsewhere(flags, mine, theirs)
        comparison = _elsewhere(np.swapaxes(flags, 0, 1), theirs, mine)
        times = group.times
        for k in range(codes.shape[2]):
            for target, found, homes in ((out.exposed, exposed, mine), (out.comparison, comparison, theirs)):
                member, e = np.nonzero(found[:, k, :times])
                target[k, e, homes.cluster[member]] = True
        if times == out.exposed.shape[1]:
            out.still[:] |= exposed[:, :, times].any(axis=0)
            out.absent[:] |= exposed[:, :, times + 1].any(axis=0)


def _homes(members: Members, rows: np.ndarray, group: _Group, more: int = 0) -> _Homes:
    """Where rows live and are seen; the last event time is repeated `more` times."""
    who = members.of(rows)
    size = members.start[rows + 1] - members.start[rows]
    row, first = np.repeat(np.arange(len(rows)), size), np.cumsum(size) - size
    cluster, shape = members.cluster[who], (len(who), group.times + more)
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
    out = np.empty((len(mine.row), *flags.shape[2:]), dtype=bool)
    step = max(1, _MOST // max(1, flags[0].size))
    for low in range(0, len(mine.row), step):
        part = slice(low, low + step)
        other = (theirs.count > 1) | ((theirs.count == 1) & (theirs.only != mine.cluster[part, None, None]))
        out[part] = (flags[mine.row[part]] & other[:, :, None, :]).any(axis=1)
    return out & mine.seen[:, None, :]
