"""What exposures identify, by linear algebra: which components depend on each other exactly, and which event times of
which component lie in the row space of the additive design.

A circuit is a minimal set of columns that are dependent once unit and period-by-reach effects are taken out (a circuit
of the linear matroid; Oxley, Matroid Theory, 2011, chapter 1). Circuits say in words what a singular vector does not:
"A is on exactly when B or C is". Two readings are kept apart: event-time columns (effects may grow) and level columns
(effects may not). Ranks are by pivoted Cholesky of scaled Gram matrices, with the tolerances of
`evalkit.designs.regression.columns`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, takewhile

import numpy as np
from scipy.linalg import solve_triangular

from evalkit.designs.regression.additive import AdditiveDesign, EventTimes, Grid, additive_design, varying
from evalkit.designs.span import TOLERANCE, Span, echelon, span
from evalkit.study.paths import Paths
from evalkit.vocabulary import CombinationKind

_MOST = 14
_ZERO = 1e-6
LARGEST_INFLATION = 3.5
"""Most that leaving the other components' effects free may inflate the variance of an effect: beyond this its
standard error is more than doubled, and what is told apart on paper is not told apart."""


@dataclass(frozen=True)
class Circuit:
    """members: columns. weights: their coefficients in the dependency, the smallest 1 in size, the first positive."""

    members: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def swap(self) -> bool:
        """All signs alike: one starts as another stops."""
        return min(self.weights) > 0


@dataclass(frozen=True)
class Combination:
    """An identified combination of coefficients: its members and their weights."""

    members: tuple[int, ...]
    weights: tuple[float, ...]
    kind: CombinationKind


@dataclass(frozen=True, eq=False)
class Dependence:
    """Everything exact about K exposure columns. loops: columns absorbed by unit and period effects. circuits: among
    the rest. groups: connected components of overlapping circuits. span: of the columns that are not loops, in the
    order of `kept`."""

    loops: tuple[int, ...]
    circuits: tuple[Circuit, ...]
    groups: tuple[tuple[int, ...], ...]
    kept: tuple[int, ...]
    span: Span


def dependence(gram: np.ndarray, size: np.ndarray) -> Dependence:
    """Loops, circuits and groups of K columns. gram: (K, K) after unit and period effects. size: (K,) squared lengths
    before."""
    alone = np.where(size > 0, gram.diagonal() / np.where(size > 0, size, 1.0), 0.0)
    loops = tuple(int(j) for j in np.flatnonzero(alone <= TOLERANCE))
    kept = tuple(j for j in range(len(gram)) if j not in loops)
    inner, length = gram[np.ix_(kept, kept)], size[list(kept)]
    whole = span(inner, length)
    circuits = tuple(Circuit(tuple(kept[j] for j in m), weights) for m, weights in _circuits(inner, length, whole))
    groups: list[set[int]] = []
    for circuit in circuits:
        joined = set(circuit.members)
        touched = [g for g in groups if g & joined]
        groups = [*(g for g in groups if not g & joined), joined.union(*touched)]
    return Dependence(loops, circuits, tuple(sorted(tuple(sorted(g)) for g in groups)), kept, whole)


def _circuits(gram: np.ndarray, size: np.ndarray, whole: Span) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    bound = np.flatnonzero(~whole.free)
    if len(bound) > _MOST:  # one for each dependent column with those of the basis: enough to connect every bundle
        for vector in whole.null.T:
            some = np.flatnonzero(np.abs(vector) > _ZERO)
            yield tuple(int(j) for j in some), _tidy(vector[some])
        return
    found: list[set[int]] = []
    for length in range(2, min(len(bound), whole.rank + 1) + 1):
        for members in combinations((int(j) for j in bound), length):
            if any(circuit <= set(members) for circuit in found):
                continue
            part = span(gram[np.ix_(members, members)], size[list(members)])
            if part.null.shape[1]:
                found.append(set(members))
                yield members, _tidy(part.null[:, 0])


def _tidy(vector: np.ndarray) -> tuple[float, ...]:
    """Coefficients with the smallest at 1 in size and the first positive, rounded to whole numbers where they are."""
    scaled = vector / np.abs(vector).min()
    scaled = scaled * (1.0 if scaled[0] > 0 else -1.0)
    rounded = np.round(scaled)
    close = np.abs(scaled - rounded) <= 1e-5 * np.maximum(np.abs(scaled), 1.0)
    return tuple(float(v) for v in np.where(close, rounded, np.round(scaled, 6)))


def combinations_of(known: Dependence, group: tuple[int, ...]) -> list[Combination]:
    """Combinations identified within a group of components that overlap in circuits. First the sum of all when they all
    go together; else every pair that is identified (sums for opposite signs, differences for same signs); then, if
    those do not say all that is identified, what is left."""
    pairs_bound = {c.members: c.weights for c in known.circuits if len(c.members) == 2}
    if all(pairs_bound.get(pair) == (1.0, -1.0) for pair in combinations(group, 2)):
        return [Combination(group, (1.0,) * len(group), "together")]
    null = known.span.null[[known.kept.index(j) for j in group]]
    null = null[:, np.abs(null).max(axis=0, initial=0.0) > _ZERO]
    out = [found for i, j in combinations(range(len(group)), 2) if (found := _pair(null, group, i, j)) is not None]
    listed = np.zeros((len(out), len(group)))
    for row, pair in zip(listed, out, strict=True):
        row[[group.index(m) for m in pair.members]] = pair.weights
    _, strength, right = np.linalg.svd(null.T, full_matrices=True)
    rank = partial(np.linalg.matrix_rank, tol=_ZERO)
    for vector in echelon(right[int((strength > _ZERO).sum()) :], _ZERO):  # as sparse as elimination makes them
        longer = np.vstack([listed, vector])
        if not len(listed) or rank(longer) != rank(listed):
            listed, members = longer, np.flatnonzero(np.abs(vector) > _ZERO)
            weights = _tidy(vector[members])
            out.append(Combination(tuple(group[m] for m in members), weights, "sum" if min(weights) > 0 else "swap"))
    return out


def _pair(null: np.ndarray, group: tuple[int, ...], i: int, j: int) -> Combination | None:
    """The combination of two coefficients that no null vector moves, if there is one."""
    a, b = null[i], null[j]
    first, second = np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)
    if first <= _ZERO or second <= _ZERO:
        return None
    at = int(np.abs(a).argmax())
    ratio = b[at] / a[at]
    if abs(ratio) <= _ZERO or np.abs(b - ratio * a).max() > _ZERO * second:
        return None
    weights = _tidy(np.array([ratio, -1.0]))
    return Combination((group[i], group[j]), weights, "sum" if min(weights) > 0 else "swap")


def last_that(holds: Callable[[int], bool], lag: int, end: int) -> int:
    """Last event time from `lag` to `end` up to which something holds throughout; -1 for none."""
    return max(takewhile(holds, range(lag, end + 1)), default=-1)


def level_gram(paths: Paths, grid: Grid, dose: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(K, K) products of the components' level columns after unit and period effects, and (K,) lengths before: 0 for a
    component that is registered as always on, or never on."""
    design = additive_design(paths, grid, EventTimes(shape="level", dose=dose))
    n = len(paths.components)
    gram, size = np.zeros((n, n)), np.zeros(n)
    gram[np.ix_(design.component, design.component)] = design.gram()
    size[design.component] = design.size
    return gram, size


def has_doses(paths: Paths) -> bool:
    """Whether any component has more than one dose."""
    return bool((paths.state > 1).any())


def cross_dependence(paths: Paths) -> Dependence:
    """Loops and circuits of exposures among people with the same reach: without periods there are no unit effects."""
    columns = varying(paths)
    x = (paths.state[:, 0, columns] > 0).astype(np.float64)
    _, pattern = np.unique(paths.reach[:, columns], axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    mean = np.zeros((int(pattern.max(initial=0)) + 1, x.shape[1]))
    np.add.at(mean, pattern, x)
    centred = x - (mean / np.maximum(np.bincount(pattern), 1)[:, None])[pattern]
    n = len(paths.components)
    gram, size = np.zeros((n, n)), np.zeros(n)
    gram[np.ix_(columns, columns)] = centred.T @ centred
    size[columns] = (x**2).sum(axis=0)
    return dependence(gram, size)


@dataclass(frozen=True, eq=False)
class EstimableEvents:
    """The event-time design, its Gram matrix, and what of it is identified. limit: largest inflation of variance with
    which an effect still counts as identified."""

    design: AdditiveDesign
    gram: np.ndarray
    size: np.ndarray
    span: Span
    limit: float = np.inf

    @cached_property
    def unshared(self) -> np.ndarray:
        """(p, p) Gram matrix with period effects taken as known."""
        return self.design.gram(periods=False)

    @cached_property
    def unshared_space(self) -> Span:
        return span(self.unshared, self.size)

    @cached_property
    def inflation(self) -> np.ndarray:
        """(p,) variance of each coefficient over its variance if the other components did nothing. Period effects are
        taken as known here, so that only the components stand in each other's way, and places that never have any of
        them change nothing."""
        whole, out = self.unshared, _variances(self.unshared_space)
        for k in np.unique(self.design.component):
            own = np.flatnonzero(self.design.component == k)
            out[own] /= _variances(span(whole[np.ix_(own, own)], self.size[own]))
        return out

    def is_estimable(self, component: str, event_time: int) -> bool:
        """Whether the effect at one event time is in the row space, all other effects free."""
        column = self.design.column(component, event_time)
        return column >= 0 and bool(self.span.free[column])

    def holds(self, component: str, event_time: int) -> bool:
        """Whether it is in the row space, and well enough conditioned."""
        if not self.is_estimable(component, event_time) or self.limit == np.inf:
            return self.is_estimable(component, event_time)
        return bool(self.inflation[self.design.column(component, event_time)] <= self.limit)

    def until(self, component: str, lag: int, end: int) -> int:
        """Last event time from `lag` on, no later than `end`, up to which all are identified; -1 for none."""
        return last_that(lambda event_time: self.holds(component, event_time), lag, end)

    def combination_holds(self, components: Sequence[str], weights: Sequence[float], event_time: int) -> bool:
        """Whether a combination of effects at one event time is identified, and not far noisier than if the other
        components did nothing."""
        columns = [self.design.column(c, event_time) for c in components]
        if min(columns) < 0:
            return False
        whole = np.zeros(len(self.gram))
        whole[columns] = weights
        if not self.span.identified(whole):
            return False
        if self.limit == np.inf:
            return True
        gram, own = self.unshared, np.isin(self.design.component, self.design.component[columns])
        alone = span(gram[np.ix_(own, own)], self.size[own])
        return _variance(self.unshared_space, whole) <= self.limit * _variance(alone, whole[own])

    def combination_until(self, components: Sequence[str], weights: Sequence[float], lag: int, end: int) -> int:
        """Last event time from `lag` to `end` up to which a combination is identified throughout; -1 for none."""
        return last_that(lambda event_time: self.combination_holds(components, weights, event_time), lag, end)

    def only(self, *components: str) -> EstimableEvents:
        """The design of some components alone, the others taken to do nothing."""
        keep = np.flatnonzero(np.isin(self.design.component, [self.design.components.index(c) for c in components]))
        design = replace(self.design, component=self.design.component[keep], event_time=self.design.event_time[keep],
                         matrix=self.design.matrix[:, keep])  # fmt: skip
        gram, size = self.gram[np.ix_(keep, keep)], self.size[keep]
        return EstimableEvents(design, gram, size, span(gram, size), self.limit)


def estimable_events(paths: Paths, grid: Grid, dose: bool = False) -> EstimableEvents:
    """The event-time design of all components; with `dose`, linear in the dose (and of any conditioning:
    doses of one sign are always alike)."""
    design = additive_design(paths, grid, EventTimes(dose=dose))
    gram, size = design.gram(), design.size
    return EstimableEvents(design, gram, size, span(gram, size), np.inf if dose else LARGEST_INFLATION)


def _variances(found: Span) -> np.ndarray:
    """(p,) diagonal of the generalised inverse."""
    out, kept = np.full(len(found.scale), np.nan), found.pivot[: found.rank]
    if found.rank:
        half = solve_triangular(found.factor, np.eye(found.rank), lower=False)
        out[kept] = (half**2).sum(axis=1) / found.scale[kept] ** 2
    return out


def _variance(found: Span, weights: np.ndarray) -> float:
    """weights' generalised inverse weights, for an identified combination."""
    kept = found.pivot[: found.rank]
    half = solve_triangular(found.factor, weights[kept] / found.scale[kept], lower=False, trans="T")
    return float(half @ half)
