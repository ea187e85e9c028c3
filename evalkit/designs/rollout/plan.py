"""The plan: which adopting path is compared with which others, and when; made by `make_plan` from exposure states.

States say where a component is on and off, who can be reached, what the others do, in which clusters; read from the
paths of units, or from pairs: eligible beside ineligible people of one cluster. The audit counts clusters in a plan; an
estimator reads sums for it. Nothing here sees an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse

from evalkit.designs.protocol import Basis, Check, Traits
from evalkit.errors import check_choice, check_periods
from evalkit.study.paths import OFF, UNKNOWN, Paths

MOST = 20_000


@dataclass(frozen=True, eq=False)
class ExposureStates:
    """What a plan is made from, for P paths and T periods.

    on, off: (P, T) the component is on, or off; neither where part-way or unknown.
    reach: (P,) whether it can reach them. others: (P, T) codes, -1 unknown.
    people: (clusters x P) sparse units of each path in each cluster; copies: how many clusters each of its lines
    stands for, None for one. kind: (P,) only paths of the same kind are compared; None where all may be.
    """

    component: str
    on: np.ndarray
    off: np.ndarray
    reach: np.ndarray
    others: np.ndarray
    people: sparse.csr_matrix
    copies: np.ndarray | None = None
    kind: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.on.shape

    def like(self, path: int | np.ndarray) -> np.ndarray:
        """(P,) which paths are of the same kind as one; (S, P) as each of some (S,)."""
        shape = (*np.shape(path), self.shape[0])
        return np.ones(shape, dtype=bool) if self.kind is None else self.kind == self.kind[path][..., None]

    def only(self, rows: np.ndarray) -> ExposureStates:
        """Some of the paths, with the units of all: for plans whose bases are one period, which count nobody."""
        kind = None if self.kind is None else self.kind[rows]
        return replace(
            self, on=self.on[rows], off=self.off[rows], reach=self.reach[rows], others=self.others[rows], kind=kind
        )

    @cached_property
    def _by_path(self) -> sparse.csc_matrix:
        return self.people.tocsc()

    @cached_property
    def _one_each(self) -> bool:
        return bool(np.all(self.copies == 1))

    def on_paths(self, path: np.ndarray) -> np.ndarray:
        """(lines, S) units of some paths (S,)."""
        return np.asarray(self._by_path[:, path].toarray())

    def total(self, lines: np.ndarray) -> np.ndarray:
        """Sum of (lines, ...) over clusters."""
        return lines.sum(axis=0) if self.copies is None or self._one_each else np.tensordot(self.copies, lines, 1)


def exposure_states(paths: Paths, component: str, others: str, kind: np.ndarray | None = None) -> ExposureStates:
    """One component's states and the joint state of the others; `kind` as in `ExposureStates`."""
    k = paths.index(component)
    own = paths.state[:, :, k]
    reach = paths.reach[:, k]
    code = np.zeros(own.shape, dtype=np.int64) if others == "ignored" else paths.others(component)
    people = people_in_clusters(paths, paths.inference_level(component)[0])
    return ExposureStates(component, (own > 0) & reach[:, None], own == OFF, reach, code, *people, kind)


def people_in_clusters(paths: Paths, level: str) -> tuple[sparse.csr_matrix, np.ndarray | None]:
    """(lines x P) units of each path in each cluster of `level`, and how many clusters each line stands for.

    Units that are each a cluster make one line a path; all other clusters have a line each.
    """
    if paths.alone(level):
        ones = sparse.eye_array(paths.n_paths, dtype=np.int32, format="csr")
        return sparse.csr_matrix(ones), np.bincount(paths.path, minlength=paths.n_paths)
    cells = paths.cells(level)
    shape = (int(cells.cluster[-1]) + 1, paths.n_paths)
    return sparse.csr_matrix((cells.count.astype(np.int32), (cells.cluster, cells.path)), shape=shape), None


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


def pair_states(paths: Paths, pairs: Pairs, ignored: bool = False) -> ExposureStates:
    """Pairs as paths; where others are not `ignored`, what they do to a pair is what must agree."""
    own = paths.state[pairs.eligible, :, paths.index(pairs.component)]
    code = np.zeros(own.shape, dtype=np.int64)
    unknown = np.zeros(own.shape, dtype=bool)
    for j in () if ignored else range(pairs.gap.shape[2]):
        values, inverse = np.unique(pairs.gap[:, :, j], return_inverse=True)
        if len(values) > 1:
            _, code = np.unique(code * len(values) + inverse.reshape(own.shape), return_inverse=True)
            code = code.reshape(own.shape)
        unknown |= pairs.gap[:, :, j] < 0
    code = np.where(unknown, -1, code)
    shape = (int(pairs.member_cluster.max()) + 1, len(pairs))
    count = paths.cells(pairs.level).count[pairs.member_eligible].astype(np.int32)
    people = sparse.csr_matrix((count, (pairs.member_cluster, pairs.member_pair)), shape=shape)
    return ExposureStates(pairs.component, own > 0, own == OFF, np.ones(len(own), dtype=bool), code, people)


def gap_states(paths: Paths, pairs: Pairs, component: str) -> ExposureStates:
    """Pairs at the starts of `component`, where it treats both sides alike: `pairs.component` counts among
    the others, which must do the same to the pairs compared."""
    k, by = paths.index(component), paths.index(pairs.component)
    left, right = paths.state[pairs.eligible], paths.state[pairs.ineligible]
    gap = pairs.gap.copy()
    gap[:, :, by], gap[:, :, k] = _gap(left, right)[:, :, by], 0
    own = left[:, :, k]
    alike = (own == right[:, :, k]).all(axis=1)
    states = pair_states(paths, replace(pairs, gap=gap))
    return replace(states, component=component, on=own > 0, off=own == OFF, reach=alike)


def path_sizes(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    """(P,) mass and variance of the mean of each path."""
    size = np.bincount(paths.path, weights=paths.people, minlength=paths.n_paths).astype(float)
    return size, inverse(size)


def pair_sizes(paths: Paths, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(q,) eligible mass and variance of the mean difference of each pair."""
    count = paths.cells(pairs.level).count
    eligible = np.bincount(pairs.member_pair, weights=count[pairs.member_eligible], minlength=len(pairs))
    ineligible = np.bincount(pairs.member_pair, weights=count[pairs.member_ineligible], minlength=len(pairs))
    return eligible, inverse(eligible) + inverse(ineligible)


def inverse(x: np.ndarray) -> np.ndarray:
    """1 / x, zero where x is."""
    return np.divide(1.0, x, out=np.zeros_like(x, dtype=float), where=x > 0)


# ---------------------------------------------------------------- plans

ADJUSTMENTS = (None, "reg", "ipw", "dr")
LEADS_AND_OTHERS: tuple[Check, ...] = (
    "pre_trend", "drift", "others_still_growing", "growth_taken_out", "stayers", "by_people", "scale",
    "effective_clusters", "dominant_place", "shared_shocks",
)  # fmt: skip
MOST_KEPT = 16_000_000
"""Bytes of matches above which a plan is made anew each time."""


@dataclass(frozen=True)
class Rules:
    """The choices of a comparison of starts; `StaggeredRollout` says what they mean."""

    comparison: str = "not_yet"
    others: str = "same"
    adjust: str | None = None
    base: str = "varying"
    base_window: int = 1
    anticipation: int = 0
    horizon: int | None = None
    lookback: int = 0
    starts: str = "all"

    def __post_init__(self) -> None:
        check_choice("comparison", self.comparison, ("not_yet", "never"))
        check_choice("others", self.others, ("same", "unchanged", "ignored"))
        check_choice("base", self.base, ("varying", "universal"))
        check_choice("starts", self.starts, ("all", "first"))
        for name, least in (("base_window", 1), ("anticipation", 0), ("lookback", 0)):
            check_periods(name, getattr(self, name), least)
        if self.horizon is not None:
            check_periods("horizon", self.horizon, 0)
        check_choice("adjust", self.adjust, ADJUSTMENTS)

    @property
    def rules(self) -> Rules:
        """What a plan depends on: everything but the adjustment."""
        return Rules(**{f.name: getattr(self, f.name) for f in fields(Rules) if f.name != "adjust"})


def rollout_traits(others: str, basis: Basis, checks: tuple[Check, ...] = ()) -> Traits:
    """What answers rest on: others that only stand still may have any level, so that effects must add up too."""
    more: tuple[Basis, ...] = ("additivity",) if others == "unchanged" else ()
    return Traits(frozenset((basis, *more)), checks=checks)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One start of one path against the paths that match it.

    cohort: position of the first exposed period; base: last base position (T,),
    -1 where there is no comparison to make; window: (T,) base periods averaged;
    match: (P, T) paths that serve; path: the adopter. parent: the comparison that this one is a
    part of, None where it is whole; part: which part. also: further adopters that are read together with it.
    """

    component: str
    cohort: int
    path: int
    base: np.ndarray
    window: np.ndarray
    match: np.ndarray
    parent: Comparison | None = None
    part: int = 0
    also: tuple[int, ...] = ()

    @property
    def adopters(self) -> np.ndarray:
        """Paths of all that start here."""
        return np.array([self.path, *self.also])

    def adopting(self, path: np.ndarray) -> np.ndarray:
        """(G,) which of some paths (G,) start here."""
        return np.isin(path, self.adopters) if self.also else np.asarray(path == self.path)

    @property
    def whole(self) -> Comparison:
        """The comparison itself, or the one that it is a part of."""
        return self.parent or self

    def split(self) -> tuple[Comparison, ...]:
        """The same start read against one period of the base window at a time, the last first."""
        parts = []
        for back in range(int(self.window.max(initial=1))):
            there = self.possible & (back < np.maximum(self.window, 1))
            base, window = np.where(there, self.base - back, -1), there.astype(np.int64)
            parts.append(replace(self, base=base, window=window, parent=self, part=back))
        return tuple(parts)

    @property
    def possible(self) -> np.ndarray:
        """(T,) periods at which the adopter itself can be read, matched or not."""
        return self.base >= 0

    @property
    def matched(self) -> np.ndarray:
        """(T,) periods with at least one matching path."""
        return self.possible & self.match.any(axis=0)

    def event_time(self) -> np.ndarray:
        """(T,) periods since the start."""
        return np.arange(len(self.base)) - self.cohort


Use = tuple[Comparison, np.ndarray | None]
"""A comparison and in which periods the refit without each cluster uses it, (clusters x T); None for all."""


def together(uses: Iterable[Use]) -> list[Use]:
    """Starts against the same matches over the same periods, which the same refits use, as one: the mean of all their
    adopters less that of the matches is what their effects average to, weighted by adopters."""
    found: dict[tuple, list[Use]] = {}
    for c, used in uses:
        key = (c.cohort, c.base.tobytes(), c.window.tobytes(), c.match.tobytes(), used is not None and used.tobytes())
        found.setdefault(key, []).append((c, used))
    return [(replace(c, also=tuple(o.path for o, _ in rest)), used) for (c, used), *rest in found.values()]


@dataclass(frozen=True, eq=False)
class Baseless:
    """A start whose base would lie before the panel, or before an earlier spell has ended: `asked` (T,) are
    the periods that have no answer for it."""

    cohort: int
    path: int
    asked: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """All comparisons of one component; the paths that have it from their first known period on; and the
    starts without a base. states, rules: what it was made from, None where comparisons were chosen by hand, whose
    base windows are then kept in refits."""

    component: str
    comparisons: tuple[Comparison, ...]
    without_base: tuple[int, ...]
    baseless: tuple[Baseless, ...] = ()
    states: ExposureStates | None = None
    rules: Rules | None = None

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)


def is_small(plan: Plan) -> bool:
    """Whether a plan takes so little memory that it is kept with the paths it was made from."""
    return sum(c.match.nbytes for c in plan) <= MOST_KEPT


def expected_noise(plan: Plan, sizes: tuple[np.ndarray, np.ndarray], lag: int, until: int) -> float:
    """Variance of the average over event times lag .. until; infinite where nothing is compared."""
    size, spread = sizes
    weight, total = np.zeros(len(size)), 0.0
    for c in plan:
        event = c.event_time()
        use = np.flatnonzero(c.matched & (event >= lag) & (event <= until))
        match = c.match[:, use] * size[:, None]
        share = size[c.path] * inverse(match.sum(axis=0))
        weight[c.path] += size[c.path] * len(use)
        weight += match @ share
        total += size[c.path] * len(use)
    return float((weight / total) ** 2 @ spread) if total > 0 else float("inf")
