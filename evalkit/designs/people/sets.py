"""Matched sets at the least total distance: optimal pairs, and full matching."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from evalkit.designs.people.distances import Space
from evalkit.designs.people.nearest import Links

DENSE = 30_000_000
NEAREST = 40
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions of two people among `focal` and `pool`, and their distance."""


def optimal_pairs(space: Space, focal: np.ndarray, pool: np.ndarray, ratio: int) -> tuple[Links, bool]:
    """Up to `ratio` partners each, nobody twice: most people matched first, then the least total distance. Exact (the
    second value is True) up to 30 million distances, by the Hungarian method (scipy); beyond that only each person's
    nearest are candidates and the answer is the best among those."""
    many = np.repeat(np.arange(len(focal)), ratio)
    whole = len(many) * len(pool) <= DENSE
    if whole:
        gaps = allowed(space, focal, pool)[many]
        good = np.isfinite(gaps)
        far = 1.0 + 2.0 * gaps[good].max(initial=0.0) * min(gaps.shape)
        i, j = linear_sum_assignment(np.where(good, gaps, far))
        i, j = i[good[i, j]], j[good[i, j]]
        gap = gaps[i, j]
    else:
        i, j, gap = _sparse(space, focal, pool, many)
    if space.line and ratio == 1 and len(i):
        # On a line pairs may cross at no cost, so that many have the least total; those that do not cross are taken.
        # Neither the total nor the largest distance grows.
        points = space.points[:, 0]
        i, j = i[np.argsort(points[focal[i]], kind="stable")], j[np.argsort(points[pool[j]], kind="stable")]
        gap = np.abs(points[focal[i]] - points[pool[j]])
    order = np.lexsort((gap, many[i]))
    return Links(many[i][order], j[order], gap[order]).people(focal, pool), whole


def allowed(space: Space, focal: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(f, p) distances, infinite beyond a caliper."""
    gap = cdist(space.points[focal], space.points[pool])
    gap[(gap > space.limit) | ~space.within(focal[:, None], pool)] = np.inf
    return gap


def _sparse(space: Space, focal: np.ndarray, pool: np.ndarray, many: np.ndarray) -> Pairs:
    """Among each person's nearest, more of them as long as somebody is left without."""
    mine, theirs = space.points[focal], space.points[pool]
    tree, near = cKDTree(theirs), min(NEAREST, len(pool))
    while True:
        gap, who = tree.query(mine, k=np.arange(1, near + 1), workers=-1)
        good = (gap <= space.limit) & space.within(focal[:, None], pool[who])
        row, column = np.nonzero(good[many])
        cost = gap[many[row], column] + 1.0
        far = 2.0 * (cost.max() if len(cost) else 1.0) * (len(many) + 1)
        i, j = _assign(row, who[many[row], column], cost, far, (len(many), len(pool)))
        lost = np.setdiff1d(np.arange(len(many)), i)
        if not (gap[many[lost], -1] <= space.limit).any() or near == len(pool) or near * len(many) > DENSE:
            return i, j, np.sqrt(((mine[many[i]] - theirs[j]) ** 2).sum(axis=1))
        near = min(4 * near, len(pool))


def _assign(
    row: np.ndarray, column: np.ndarray, cost: np.ndarray, spare: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns at the least total cost, where each of the rows may go without one at the cost `spare`."""
    n, p = size
    rows, columns = np.concatenate([row, np.arange(n)]), np.concatenate([column, p + np.arange(n)])
    costs = np.concatenate([cost, np.full(n, spare)])
    i, j = min_weight_full_bipartite_matching(sparse.csr_array((costs, (rows, columns)), shape=(n, p + n)))
    return i[j < p], j[j < p]


def full_edges(space: Space, focal: np.ndarray, pool: np.ndarray) -> Links:
    """The edges of a minimum edge cover of everybody who has anybody inside the caliper."""
    i, j, gap = _short_edges(space, focal, pool)
    if not len(i):
        return Links.of([])
    least_i, least_j = _nearest(i, gap, len(focal))[0], _nearest(j, gap, len(pool))[0]
    useful = gap <= least_i[i] + least_j[j]
    i, j, gap = i[useful], j[useful], gap[useful]
    own_i, own_j = _nearest(i, gap, len(focal))[1], _nearest(j, gap, len(pool))[1]
    gain = least_i[i] + least_j[j] - gap
    at, top = np.flatnonzero(gain > 0), 1.0 + gain.max(initial=0.0)
    row, column = _assign(i[at], j[at], top - gain[at], top, (len(focal), len(pool)))  # their gains add up to the most
    key = i[at] * len(pool) + j[at]
    order = np.argsort(key)
    chosen = at[order[np.searchsorted(key[order], row * len(pool) + column)]]
    for (end, other), own in (((i, j), own_i), ((j, i), own_j)):
        bare = own >= 0
        bare[end[chosen]] = False
        chosen = np.concatenate([chosen, _evenly((end, other), gap, own, bare, chosen)])
    # Edges whose ends both have another edge are not needed; the longest go first.
    chosen = np.unique(chosen)
    keep, degree_i, degree_j = np.ones(len(chosen), dtype=bool), np.bincount(i[chosen]), np.bincount(j[chosen])
    for place in np.argsort(-gap[chosen], kind="stable"):
        a, b = i[chosen[place]], j[chosen[place]]
        if degree_i[a] > 1 and degree_j[b] > 1:
            keep[place] = False
            degree_i[a] -= 1
            degree_j[b] -= 1
    return Links(i, j, gap).keep(chosen[keep]).people(focal, pool)


def _evenly(
    ends: tuple[np.ndarray, np.ndarray], gap: np.ndarray, own: np.ndarray, bare: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Edges from each bare person to somebody nearest; of several equally near, whoever has the fewest so far: one
    partner of everybody would carry all the weight."""
    end, other = ends
    busy = np.bincount(other[chosen], minlength=other.max() + 1)
    tied = np.flatnonzero(bare[end] & (gap == gap[own[end]]))
    tied = tied[np.argsort(end[tied], kind="stable")]
    groups = np.split(tied, np.flatnonzero(np.diff(end[tied])) + 1) if len(tied) else []
    out = np.empty(len(groups), dtype=np.intp)
    for place, edges in enumerate(groups):
        out[place] = edges[0] if len(edges) == 1 else edges[busy[other[edges]].argmin()]
        busy[other[out[place]]] += 1
    return out


def sets_of(links: Links, m: int) -> np.ndarray:
    """(m,) the connected set of each person, -1 where unmatched."""
    graph = sparse.coo_array((np.ones(len(links)), (links.focal, links.partner)), shape=(m, m))
    _, part = connected_components(graph, directed=False)
    used = np.zeros(m, dtype=bool)
    used[links.focal] = used[links.partner] = True
    return np.where(used, part, -1)


def _nearest(end: np.ndarray, gap: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size,) shortest edge of each person and its position; infinite and -1 without one."""
    order = np.lexsort((np.arange(len(gap)), gap, end))
    first = np.ones(len(order), dtype=bool)
    first[1:] = end[order][1:] != end[order][:-1]
    least, own = np.full(size, np.inf), np.full(size, -1, dtype=np.intp)
    best = order[first]
    least[end[best]], own[end[best]] = gap[best], best
    return least, own


def _short_edges(space: Space, focal: np.ndarray, pool: np.ndarray) -> Pairs:
    """Edges no longer than twice the nearest distance of one of their ends."""
    if len(focal) * len(pool) <= DENSE:
        gap = allowed(space, focal, pool)
        i, j = np.nonzero(np.isfinite(gap) & (gap <= gap.min(axis=1)[:, None] + gap.min(axis=0)))
        return i, j, gap[i, j]
    a, b = space.points[focal], space.points[pool]
    one, two = _ball(cKDTree(b), a, space.limit), _ball(cKDTree(a), b, space.limit)
    edges = np.unique(np.vstack([np.column_stack(one), np.column_stack(two[::-1])]), axis=0)
    i, j = edges[:, 0], edges[:, 1]
    gap = np.sqrt(((a[i] - b[j]) ** 2).sum(axis=1))
    good = (gap <= space.limit) & space.within(focal[i], pool[j])
    return i[good], j[good], gap[good]


def _ball(tree: cKDTree, points: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    gap, _ = tree.query(points, workers=-1)
    lists = tree.query_ball_point(points, np.minimum(2 * gap, limit) * (1 + 1e-12), workers=-1)
    size = np.array([len(x) for x in lists])
    return np.repeat(np.arange(len(points)), size), np.concatenate([np.asarray(x, dtype=np.intp) for x in lists])
