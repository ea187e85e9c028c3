"""The four-arm plan: eligible beside ineligible people of one cluster, against the same pair elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import sparse

from evalkit.designs.rollout.plan import Plan
from evalkit.designs.rollout.states import Arena
from evalkit.study.paths import OFF, UNKNOWN, Paths

MOST = 20_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of paths and where they live.

    eligible, ineligible: (q,) paths of each pair. gap: (q, T, K) one code for what each
    component does to the pair: 0 the same to both, UNKNOWN where no row says. member_cluster,
    member_pair, member_eligible, member_ineligible: (m,) cluster, pair and the two cells
    of every pair in every cluster, sorted by pair.
    """

    component: str
    level: str
    eligible: np.ndarray
    ineligible: np.ndarray
    gap: np.ndarray
    member_cluster: np.ndarray
    member_pair: np.ndarray
    member_eligible: np.ndarray
    member_ineligible: np.ndarray

    def __len__(self) -> int:
        return len(self.eligible)


def make_pairs(paths: Paths, component: str) -> Pairs | None:
    """Every pair of the component's clusters; None when it reaches everybody or nobody.

    Above 20,000 pairs only those are kept whom all other components reach alike.
    """
    k = paths.index(component)
    reach = paths.reach[:, k]
    if reach.all() or not reach.any():
        return None
    level, _ = paths.inference_level(component)
    cells = paths.cells(level)
    left, right = _couples(cells.cluster, reach[cells.path])
    if len(left) > MOST:
        others = np.delete(paths.reach, k, axis=1)
        alike = (others[cells.path[left]] == others[cells.path[right]]).all(axis=1)
        left, right = left[alike], right[alike]
    if not len(left):
        return None
    key = cells.path[left] * paths.n_paths + cells.path[right]
    keys, pair = np.unique(key, return_inverse=True)
    order = np.argsort(pair, kind="stable")
    left, right, pair = left[order], right[order], pair[order]
    p, q = np.divmod(keys, paths.n_paths)
    gap = _gap(paths.state[p], paths.state[q])
    gap[:, :, k] = 0
    return Pairs(component, level, p, q, gap, cells.cluster[left], pair, left, right)


def _couples(cluster: np.ndarray, eligible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every eligible cell with every ineligible cell of its cluster. Cells are sorted by cluster."""
    left, right = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    edges = np.flatnonzero(np.concatenate([[True], cluster[1:] != cluster[:-1], [True]]))
    for low, high in pairwise(edges):
        inside = np.arange(low, high)
        yes, no = inside[eligible[low:high]], inside[~eligible[low:high]]
        left.append(np.repeat(yes, len(no)))
        right.append(np.tile(no, len(yes)))
    return np.concatenate(left), np.concatenate(right)


def _gap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    code = one.astype(np.int64) * 65_536 + other.astype(np.int64) + 2**40
    code[one == other] = 0
    code[(one == UNKNOWN) | (other == UNKNOWN)] = UNKNOWN
    return code


def pair_arena(paths: Paths, pairs: Pairs, only: tuple[int, ...] | None = None, ignored: bool = False) -> Arena:
    """What a plan over pairs is made from; `only` and `ignored` choose the components that must agree."""
    own = paths.state[pairs.eligible, :, paths.index(pairs.component)]
    code = np.zeros(own.shape, dtype=np.int64)
    unknown = np.zeros(own.shape, dtype=bool)
    keep = range(pairs.gap.shape[2]) if only is None else only
    for j in () if ignored else keep:
        values, inverse = np.unique(pairs.gap[:, :, j], return_inverse=True)
        if len(values) > 1:
            _, code = np.unique(code * len(values) + inverse.reshape(own.shape), return_inverse=True)
            code = code.reshape(own.shape)
        unknown |= pairs.gap[:, :, j] < 0
    code = np.where(unknown, -1, code)
    shape = (int(pairs.member_cluster.max()) + 1, len(pairs))
    ones = np.ones(len(pairs.member_pair), dtype=np.int32)
    clusters = sparse.csr_matrix((ones, (pairs.member_cluster, pairs.member_pair)), shape=shape)
    count = paths.cells(pairs.level).count
    size = np.bincount(pairs.member_pair, weights=count[pairs.member_eligible], minlength=len(pairs))
    reach = np.ones(len(own), dtype=bool)
    return Arena(pairs.component, own > 0, own == OFF, reach, code, clusters, size=size)


def gap_arena(paths: Paths, pairs: Pairs, component: str) -> Arena:
    """Pairs at the starts of `component`, where it treats both sides alike: `pairs.component` counts among
    the others, which must do the same to the pairs compared."""
    k, by = paths.index(component), paths.index(pairs.component)
    left, right = paths.state[pairs.eligible], paths.state[pairs.ineligible]
    alike = (left[:, :, k] == right[:, :, k]).all(axis=1)
    whole = _gap(left, right)
    stage = pair_arena(paths, replace(pairs, gap=_with_gap(pairs.gap, whole, by, k)))
    own = left[:, :, k]
    return replace(stage, component=component, on=own > 0, off=own == OFF, reach=alike)


def _with_gap(gap: np.ndarray, whole: np.ndarray, add: int, drop: int) -> np.ndarray:
    out = gap.copy()
    out[:, :, add], out[:, :, drop] = whole[:, :, add], 0
    return out


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
