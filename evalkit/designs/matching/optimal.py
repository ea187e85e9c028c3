"""Optimal pairs: the partners whose distances add up to the least."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from evalkit.designs.matching.distances import Space
from evalkit.designs.matching.nearest import Links

DENSE = 30_000_000
NEAREST = 40


def optimal_pairs(space: Space, focal: np.ndarray, pool: np.ndarray, ratio: int) -> tuple[Links, bool]:
    """Up to `ratio` partners each, nobody twice: most people matched first, then the least total distance.

    Exact (the second value is True) up to 30 million distances, by the Hungarian method (scipy);
    beyond that only each person's nearest are candidates and the answer is the best among those.
    """
    if not len(focal) or not len(pool):
        return Links.of([]), True
    many = np.repeat(np.arange(len(focal)), ratio)
    if len(many) * len(pool) <= DENSE:
        i, j, gap = _dense(space, focal, pool, many)
        whole = True
    else:
        i, j, gap = _sparse(space, focal, pool, many)
        whole = False
    if space.line and ratio == 1 and len(i):
        i, j, gap = _in_line(space.points[:, 0], focal, pool, (i, j))
    order = np.lexsort((gap, many[i]))
    return Links(focal[many[i]][order], pool[j][order], gap[order]), whole


def _in_line(
    points: np.ndarray, focal: np.ndarray, pool: np.ndarray, found: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """On a line pairs may cross at no cost, so that many have the least total; those that do not cross are taken.
    Neither the total nor the largest distance grows."""
    i = found[0][np.argsort(points[focal[found[0]]], kind="stable")]
    j = found[1][np.argsort(points[pool[found[1]]], kind="stable")]
    return i, j, np.abs(points[focal[i]] - points[pool[j]])


def allowed(space: Space, focal: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(f, p) distances, infinite beyond a caliper."""
    gap = cdist(space.points[focal], space.points[pool])
    gap[gap > space.limit] = np.inf
    for f in space.fences:
        gap[np.abs(f.values[focal][:, None] - f.values[pool]) > f.width] = np.inf
    return gap


def _dense(
    space: Space, focal: np.ndarray, pool: np.ndarray, many: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gap = allowed(space, focal, pool)[many]
    good = np.isfinite(gap)
    if not good.any():
        none = np.array([], dtype=np.intp)
        return none, none, np.array([])
    far = 1.0 + 2.0 * gap[good].max() * min(gap.shape)
    i, j = linear_sum_assignment(np.where(good, gap, far))
    kept = good[i, j]
    return i[kept], j[kept], gap[i[kept], j[kept]]


def _sparse(
    space: Space, focal: np.ndarray, pool: np.ndarray, many: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tree = cKDTree(space.points[pool])
    near = min(NEAREST, len(pool))
    while True:
        gap, who = tree.query(space.points[focal], k=np.arange(1, near + 1), workers=-1)
        found = _assign(space, (focal, pool, many), gap, who)
        lost = np.setdiff1d(np.arange(len(many)), found[0])
        cut_short = (gap[many[lost], -1] <= space.limit).any()
        if not cut_short or near == len(pool) or near * len(many) > DENSE:
            return found
        near = min(4 * near, len(pool))


def _assign(
    space: Space, people: tuple[np.ndarray, np.ndarray, np.ndarray], gap: np.ndarray, who: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    focal, pool, many = people
    good = gap <= space.limit
    for f in space.fences:
        good &= np.abs(f.values[focal][:, None] - f.values[pool][who]) <= f.width
    gap, who, good = gap[many], who[many], good[many]
    row, column = np.nonzero(good)
    cost = gap[row, column] + 1.0
    far = 2.0 * (cost.max() if len(cost) else 1.0) * (len(many) + 1)
    rows = np.concatenate([row, np.arange(len(many))])
    columns = np.concatenate([who[row, column], len(pool) + np.arange(len(many))])
    costs = np.concatenate([cost, np.full(len(many), far)])
    graph = sparse.csr_array((costs, (rows, columns)), shape=(len(many), len(pool) + len(many)))
    i, j = min_weight_full_bipartite_matching(graph)
    real = j < len(pool)
    i, j = i[real], j[real]
    back = np.sqrt(((space.points[focal][many[i]] - space.points[pool][j]) ** 2).sum(axis=1))
    return i, j, back
