"""Nearest partners with replacement: everybody's own k nearest, ties kept whole or broken by the data's order."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from evalkit.designs.people.distances import DIGITS, Space
from evalkit.designs.people.nearest import FencedSeeker, Links, sorted_stably
from evalkit.errors import OptionError

_ROUND = 1e-14
_MOST = 50_000_000


def with_replacement(space: Space, focal: np.ndarray, pool: np.ndarray, ratio: int, tolerance: float | None) -> Links:
    """The `ratio` nearest partners of each focal person within the caliper.

    tolerance: None breaks ties by the order of the data; a number keeps everybody whose squared
    distance (in standard deviations) is at most the k-th's plus it, as Abadie and Imbens (2006) and R's
    Matching do.
    """
    if not len(focal) or not len(pool):
        return Links.of([])
    k = min(ratio, len(pool))
    slack = _ROUND if tolerance is None else tolerance
    if space.fences:
        links = _fenced(space, focal, pool, k, slack)
    elif space.line:
        links = _on_line(space, focal, pool, k, slack)
    else:
        links = _in_tree(space, focal, pool, k, slack)
    links = _keep(links, links.distance <= space.limit)
    if tolerance is None:
        links = _first(links, k)
    return Links(focal[links.focal], pool[links.partner], links.distance)


def _keep(links: Links, which: np.ndarray) -> Links:
    return Links(links.focal[which], links.partner[which], links.distance[which])


def _first(links: Links, k: int) -> Links:
    """At most k each: nearest first, then the order of the data. Distances equal up to rounding tie."""
    order = np.lexsort((links.partner, np.round(links.distance, DIGITS), links.focal))
    links = _keep(links, order)
    if not len(links):
        return links
    start = np.flatnonzero(np.concatenate([[True], links.focal[1:] != links.focal[:-1]]))
    size = np.diff(np.append(start, len(links)))
    rank = np.arange(len(links)) - np.repeat(start, size)
    return _keep(links, rank < k)


def _reach(kth: np.ndarray, unit: float, slack: float) -> np.ndarray:
    """Distance up to which partners tie with the k-th."""
    return np.sqrt(kth**2 + slack * unit**2)


def _on_line(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    points = space.points[:, 0]
    mine, theirs = points[focal], points[pool]
    order, ordered = sorted_stably(theirs)
    at = np.searchsorted(ordered, mine)
    near = at[:, None] + np.arange(-k, k)
    gaps = np.abs(ordered[near.clip(0, len(pool) - 1)] - mine[:, None])
    gaps[(near < 0) | (near >= len(pool))] = np.inf
    kth = np.partition(gaps, k - 1, axis=1)[:, k - 1]
    reach = np.minimum(_reach(kth, space.unit, slack), space.limit)
    wide = reach * (1 + 1e-12) + 1e-15
    low, high = np.searchsorted(ordered, mine - wide), np.searchsorted(ordered, mine + wide, side="right")
    size = np.maximum(high - low, 0)
    _check_size(int(size.sum()))
    who = np.repeat(np.arange(len(focal)), size)
    place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(low, size)
    gap = np.abs(ordered[place] - mine[who])
    return _keep(Links(who, order[place], gap), gap <= reach[who])


def _in_tree(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    tree = cKDTree(space.points[pool])
    mine = space.points[focal]
    ask = min(k + 1, len(pool))
    gap, who = tree.query(mine, k=np.arange(1, ask + 1), workers=-1)
    reach = _reach(gap[:, k - 1], 1.0, slack) * (1 + 1e-12)
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
    return _keep(links, np.argsort(links.focal, kind="stable"))


def _fenced(space: Space, focal: np.ndarray, pool: np.ndarray, k: int, slack: float) -> Links:
    fences = [(f.values[focal], f.values[pool], f.width) for f in space.fences]
    find = FencedSeeker(space.points[focal], space.points[pool], space.limit, fences)
    parts = []
    for i in range(len(focal)):
        who = find.inside(i)
        if not len(who):
            continue
        gap = np.sqrt(((find.pool[who] - find.focal[i]) ** 2).sum(axis=1))
        kth = np.partition(gap, min(k, len(gap)) - 1)[min(k, len(gap)) - 1]
        near = gap <= _reach(kth, 1.0, slack) * (1 + 1e-12)
        parts.append(Links(np.full(int(near.sum()), i), who[near], gap[near]))
    return Links.join(parts)


def _check_size(rows: int) -> None:
    if rows > _MOST:
        raise OptionError(
            f"Ties are so many that there would be {rows:,} pairs. Use method='exact' or 'cem', or ties='first'."
        )
