"""Nearest partners: greedy in a stated order with nobody used twice, or with replacement.

On a line sorted slots point to the nearest free one (union-find, Tarjan 1975), in time and memory of order n log n."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from evalkit.designs.people.distances import DIGITS, ROUNDING, Space, as_near
from evalkit.errors import OptionError


@dataclass(frozen=True, eq=False)
class Links:
    """Who is matched with whom: positions of the focal person and the partner, and their distance."""

    focal: np.ndarray
    partner: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        return len(self.focal)

    def keep(self, which: np.ndarray) -> Links:
        """Some of them."""
        return Links(self.focal[which], self.partner[which], self.distance[which])

    def people(self, focal: np.ndarray, pool: np.ndarray) -> Links:
        """The same where positions count within `focal` and `pool`."""
        return Links(focal[self.focal], pool[self.partner], self.distance)

    @classmethod
    def of(cls, rows: list[tuple[int, int, float]]) -> Links:
        focal, partner, distance = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(focal, dtype=np.intp), np.array(partner, dtype=np.intp), np.array(distance, dtype=float))

    @classmethod
    def join(cls, parts: list[Links]) -> Links:
        if not parts:
            return cls.of([])
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("focal", "partner", "distance")))


ROUND_SQUARE = 1e-14
MOST_PAIRS = 50_000_000


def _first(who: np.ndarray, gap: np.ndarray, limit: float) -> tuple[int, float]:
    """The first in the data of the nearest of some people, -1 when all are too far, and the distance."""
    tied = np.flatnonzero(gap <= as_near(gap.min()))
    at = tied[who[tied].argmin()]
    return (int(who[at]) if gap[at] <= limit else -1), float(gap[at])


def _free(parent: list[int], slot: int) -> int:
    """The nearest free slot from this one on; the way to it is halved for next time."""
    while parent[slot] != slot:
        parent[slot] = slot = parent[parent[slot]]
    return slot


class LineSeeker:
    """Free people on a line. Equal scores form one slot, used up in the order of the data."""

    def __init__(self, focal: np.ndarray, pool: np.ndarray, limit: float) -> None:
        focal, pool = np.round(focal, DIGITS), np.round(pool, DIGITS)
        order = np.argsort(pool, kind="stable")
        ordered = pool[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self.slots = ordered[first].tolist()
        self.member = order.tolist()
        self.next = first.tolist()
        self.stop = [*first[1:].tolist(), len(pool)]
        self.size = len(self.slots)
        self.right = list(range(self.size + 1))
        self.left = list(range(self.size + 1))
        self.focal = focal.tolist()
        self.place = np.searchsorted(ordered[first], focal).tolist()
        self.limit = limit
        self.found = 0

    def nearest(self, i: int) -> tuple[int, float]:
        """Partner of focal person i (-1 when nobody is near enough) and distance."""
        at, here = self.place[i], self.focal[i]
        up, down = _free(self.right, at), _free(self.left, at) - 1
        above = self.slots[up] - here if up < self.size else np.inf
        below = here - self.slots[down] if down >= 0 else np.inf
        if above < below - ROUNDING or (
            above <= below + ROUNDING and up < self.size and (down < 0 or self._first(up) < self._first(down))
        ):  # of two equally near, whoever comes first in the data
            slot, gap = up, above
        else:
            slot, gap = down, below
        if not gap <= self.limit or gap == np.inf:
            return -1, gap
        self.found = slot
        return self._first(slot), gap

    def _first(self, slot: int) -> int:
        return self.member[self.next[slot]]

    def take(self, i: int, j: int) -> None:
        """Partner j, found last for i, is no longer free."""
        slot = self.found
        self.next[slot] += 1
        if self.next[slot] == self.stop[slot]:
            self.right[slot] = slot + 1
            self.left[slot + 1] = slot


class TreeSeeker:
    """Free people in several dimensions, by a k-d tree that is asked for more when needed. Equal points form one slot,
    used up in the order of the data."""

    def __init__(self, focal: np.ndarray, pool: np.ndarray, limit: float, first: int = 8) -> None:
        first_column = np.sort(pool[:, 0])
        if (first_column[1:] > first_column[:-1]).all():
            points, self.slot = pool, np.arange(len(pool))
        else:
            points, which = np.unique(pool, axis=0, return_inverse=True)
            self.slot = which.ravel()
        self.member = np.argsort(self.slot, kind="stable")
        stops = np.cumsum(np.bincount(self.slot, minlength=len(points)))
        self.next, self.stop = np.concatenate([[0], stops[:-1]]), stops
        self.tree, self.focal, self.limit = cKDTree(points), focal, limit
        self.free = np.ones(len(points), dtype=bool)
        gap, who = self.tree.query(focal, k=np.arange(1, min(first, len(points)) + 1), workers=-1)
        self.gap, self.who = list(gap), list(who)

    def nearest(self, i: int) -> tuple[int, float]:
        while True:
            gap, who = self.gap[i], self.who[i]
            open_, whole = np.flatnonzero(self.free[who]), len(who) == len(self.free)
            if len(open_) and (whole or gap[-1] > as_near(gap[open_[0]])):
                return _first(self.member[self.next[who[open_]]], gap[open_], self.limit)
            if whole or gap[-1] > self.limit:
                return -1, np.inf
            k = min(4 * len(who), len(self.free))
            self.gap[i], self.who[i] = self.tree.query(self.focal[i], k=np.arange(1, k + 1))

    def take(self, i: int, j: int) -> None:
        slot = self.slot[j]
        self.next[slot] += 1
        self.free[slot] = self.next[slot] < self.stop[slot]


class FencedSeeker:
    """Free people inside calipers on single variables: all inside the first are measured."""

    def __init__(self, space: Space, focal: np.ndarray, pool: np.ndarray) -> None:
        self.focal, self.pool, self.limit = space.points[focal], space.points[pool], space.limit
        self.fences = [(f.values[focal], f.values[pool], f.width) for f in space.fences]
        self.free = np.ones(len(pool), dtype=bool)
        mine, values, width = self.fences[0]
        self.order = np.argsort(values, kind="stable")
        ordered, slack = values[self.order], 1e-12 * (1 + width)
        self.low = np.searchsorted(ordered, mine - width - slack)
        self.high = np.searchsorted(ordered, mine + width + slack, side="right")

    def inside(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Free people within every caliper of focal person i, and their distances."""
        who = np.sort(self.order[self.low[i] : self.high[i]])
        for mine, values, width in self.fences:
            who = who[np.abs(values[who] - mine[i]) <= width]
        who = who[self.free[who]]
        return who, np.sqrt(((self.pool[who] - self.focal[i]) ** 2).sum(axis=1))

    def nearest(self, i: int) -> tuple[int, float]:
        who, gap = self.inside(i)
        return _first(who, gap, self.limit) if len(who) else (-1, np.inf)

    def take(self, i: int, j: int) -> None:
        self.free[j] = False


Seeker = LineSeeker | TreeSeeker | FencedSeeker


def greedy(space: Space, focal: np.ndarray, pool: np.ndarray, order: np.ndarray | None, ratio: int) -> Links:
    """Partners taken one round at a time, up to `ratio` each. order: (f,) who chooses first; None: the
    closest two people of all are matched first. Ties go to the first in the data."""
    mine, theirs = space.points[focal], space.points[pool]
    if space.line:
        find: Seeker = LineSeeker(mine[:, 0], theirs[:, 0], space.limit)
    else:
        find = FencedSeeker(space, focal, pool) if space.fences else TreeSeeker(mine, theirs, space.limit)
    rows: list[tuple[int, int, float]] = []
    turn = np.arange(len(focal)) if order is None else order
    for _ in range(ratio):
        found = list(_closest(find, turn) if order is None else _in_order(find, turn))
        rows += found
        turn = np.array([i for i, _, _ in found], dtype=np.intp)
    return Links.of(rows).people(focal, pool)


def _in_order(find: Seeker, turn: np.ndarray) -> Iterator[tuple[int, int, float]]:
    for i in turn.tolist():
        j, gap = find.nearest(i)
        if j >= 0:
            find.take(i, j)
            yield i, j, gap


def _closest(find: Seeker, turn: np.ndarray) -> Iterator[tuple[int, int, float]]:
    heap = [(round(find.nearest(i)[1], DIGITS), i) for i in turn.tolist()]
    heapq.heapify(heap)
    while heap:
        gap, i = heapq.heappop(heap)
        j, now = find.nearest(i)
        if j < 0:
            continue
        if round(now, DIGITS) > gap:
            heapq.heappush(heap, (round(now, DIGITS), i))
            continue
        find.take(i, j)
        yield i, j, now


def with_replacement(space: Space, focal: np.ndarray, pool: np.ndarray, ratio: int, tolerance: float | None) -> Links:
    """The `ratio` nearest partners of each focal person within the caliper. tolerance: None breaks ties by the order of
    the data; a number keeps everybody whose squared distance (in standard deviations) is at most the k-th's plus it, as
    Abadie and Imbens (2006) and R's Matching do."""
    k = min(ratio, len(pool))
    slack = ROUND_SQUARE if tolerance is None else tolerance
    search = _fenced if space.fences else _on_line if space.line else _in_tree
    links = search(space, focal, pool, k, slack)
    links = links.keep(links.distance <= space.limit)
    if tolerance is None and len(links):  # at most k each: nearest first, then the order of the data
        links = links.keep(np.lexsort((links.partner, np.round(links.distance, DIGITS), links.focal)))
        start = np.flatnonzero(np.concatenate([[True], links.focal[1:] != links.focal[:-1]]))
        rank = np.arange(len(links)) - np.repeat(start, np.diff(np.append(start, len(links))))
        links = links.keep(rank < k)
    return links.people(focal, pool)


def _on_line(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    points = space.points[:, 0]
    mine, theirs = points[focal], points[pool]
    order = np.argsort(theirs, kind="stable")
    ordered = theirs[order]
    near = np.searchsorted(ordered, mine)[:, None] + np.arange(-k, k)
    gaps = np.abs(ordered[near.clip(0, len(pool) - 1)] - mine[:, None])
    gaps[(near < 0) | (near >= len(pool))] = np.inf
    kth = np.partition(gaps, k - 1, axis=1)[:, k - 1]
    reach = np.minimum(np.sqrt(kth**2 + slack * space.unit**2), space.limit)
    wide = reach * (1 + 1e-12) + 1e-15
    low, high = np.searchsorted(ordered, mine - wide), np.searchsorted(ordered, mine + wide, side="right")
    size = np.maximum(high - low, 0)
    _check_size(int(size.sum()))
    who = np.repeat(np.arange(len(focal)), size)
    place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(low, size)
    gap = np.abs(ordered[place] - mine[who])
    return Links(who, order[place], gap).keep(gap <= reach[who])


def _in_tree(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    tree, mine = cKDTree(space.points[pool]), space.points[focal]
    ask = min(k + 1, len(pool))
    gap, who = tree.query(mine, k=np.arange(1, ask + 1), workers=-1)
    reach = np.sqrt(gap[:, k - 1] ** 2 + slack) * (1 + 1e-12)
    tied = np.flatnonzero(gap[:, -1] <= reach) if ask > k else np.array([], dtype=np.intp)
    clear = np.setdiff1d(np.arange(len(focal)), tied, assume_unique=True)
    parts = [Links(np.repeat(clear, k), who[clear, :k].ravel(), gap[clear, :k].ravel())]
    if len(tied):
        lists = tree.query_ball_point(mine[tied], reach[tied], workers=-1, return_sorted=True)
        size = np.array([len(x) for x in lists])
        _check_size(int(size.sum()))
        i, j = np.repeat(tied, size), np.concatenate([np.asarray(x, dtype=np.intp) for x in lists])
        parts.append(Links(i, j, np.sqrt(((tree.data[j] - mine[i]) ** 2).sum(axis=1))))
    links = Links.join(parts)
    return links.keep(np.argsort(links.focal, kind="stable"))


def _fenced(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    find, parts = FencedSeeker(space, focal, pool), []
    for i in range(len(focal)):
        who, gap = find.inside(i)
        if not len(who):
            continue
        last = min(k, len(gap)) - 1
        near = gap <= np.sqrt(np.partition(gap, last)[last] ** 2 + slack) * (1 + 1e-12)
        parts.append(Links(np.full(int(near.sum()), i), who[near], gap[near]))
    return Links.join(parts)


def _check_size(rows: int) -> None:
    if rows > MOST_PAIRS:
        many = f"Ties are so many that there would be {rows:,} pairs"
        raise OptionError(f"{many}. Use method='exact' or 'cem', or ties='first'.")
