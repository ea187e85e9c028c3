"""Which event times of which component lie in the row space of the additive design.

Two readings are kept apart: event-time columns (effects may grow) and level columns
(effects may not). Ranks are by pivoted Cholesky of scaled Gram matrices; tolerances
are those of `evalkit.designs.regression.estimable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from evalkit.components.circuits import Dependence, dependence
from evalkit.designs.regression.additive import AdditiveDesign, EventTimes, Grid, additive_design
from evalkit.designs.regression.estimable import Span, span
from evalkit.study.paths import Paths

LARGEST_INFLATION = 3.5
"""Most that leaving the other components' effects free may inflate the variance of an effect: beyond this its
standard error is more than doubled, and what is told apart on paper is not told apart."""


@dataclass(frozen=True, eq=False)
class EventSpan:
    """The event-time design, its Gram matrix, and what of it is identified.

    limit: largest inflation of variance with which an effect still counts as identified.
    """

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
    def unshared_span(self) -> Span:
        return span(self.unshared, self.size)

    @cached_property
    def inflation(self) -> np.ndarray:
        """(p,) variance of each coefficient over its variance if the other components did nothing.

        Period effects are taken as known here, so that only the components stand in each
        other's way, and places that never have any of them change nothing.
        """
        whole = self.unshared
        out = _variances(self.unshared_span)
        for k in np.unique(self.design.component):
            own = np.flatnonzero(self.design.component == k)
            out[own] /= _variances(span(whole[np.ix_(own, own)], self.size[own]))
        return out

    def in_span(self, component: str, event_time: int) -> bool:
        """Whether the effect at one event time is in the row space, all other effects free."""
        column = self.design.column(component, event_time)
        return column >= 0 and bool(self.span.free[column])

    def holds(self, component: str, event_time: int) -> bool:
        """Whether it is in the row space, and well enough conditioned."""
        if not self.in_span(component, event_time) or self.limit == np.inf:
            return self.in_span(component, event_time)
        return bool(self.inflation[self.design.column(component, event_time)] <= self.limit)

    def until(self, component: str, lag: int, end: int) -> int:
        """Last event time from `lag` on, no later than `end`, up to which all are identified; -1 for none."""
        last = -1
        for event_time in range(lag, end + 1):
            if not self.holds(component, event_time):
                break
            last = event_time
        return last

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
        return _variance(self.unshared_span, whole) <= self.limit * _variance(alone, whole[own])

    def combination_until(self, components: Sequence[str], weights: Sequence[float], lag: int, end: int) -> int:
        """Last event time from `lag` to `end` up to which a combination is identified throughout; -1 for none."""
        last = -1
        for event_time in range(lag, end + 1):
            if not self.combination_holds(components, weights, event_time):
                break
            last = event_time
        return last

    def only(self, *components: str) -> EventSpan:
        """The design of some components alone, the others taken to do nothing."""
        keep = np.flatnonzero(np.isin(self.design.component, [self.design.components.index(c) for c in components]))
        design = replace(
            self.design, component=self.design.component[keep], event_time=self.design.event_time[keep],
            matrix=self.design.matrix[:, keep],
        )  # fmt: skip
        gram, size = self.gram[np.ix_(keep, keep)], self.size[keep]
        return EventSpan(design, gram, size, span(gram, size), self.limit)


def event_span(paths: Paths, grid: Grid, dose: bool = False) -> EventSpan:
    """The event-time design of all components; with `dose`, linear in the dose (and of any conditioning:
    doses of one sign are always alike)."""
    design = additive_design(paths, grid, EventTimes(dose=dose))
    gram, size = design.gram(), design.size
    return EventSpan(design, gram, size, span(gram, size), np.inf if dose else LARGEST_INFLATION)


def _variances(found: Span) -> np.ndarray:
    """(p,) diagonal of the generalised inverse."""
    out = np.full(len(found.scale), np.nan)
    kept = found.pivot[: found.rank]
    if found.rank:
        half = solve_triangular(found.factor, np.eye(found.rank), lower=False)
        out[kept] = (half**2).sum(axis=1) / found.scale[kept] ** 2
    return out


def _variance(found: Span, weights: np.ndarray) -> float:
    """weights' generalised inverse weights, for an identified combination."""
    kept = found.pivot[: found.rank]
    half = solve_triangular(found.factor, weights[kept] / found.scale[kept], lower=False, trans="T")
    return float(half @ half)


def level_dependence(paths: Paths, grid: Grid, dose: bool = False) -> Dependence:
    """Loops and circuits of the components' level columns; indices are those of `paths.components`.

    A component that is registered as always on, or never on, is a loop.
    """
    return dependence(*level_gram(paths, grid, dose))


def level_gram(paths: Paths, grid: Grid, dose: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(K, K) products of the components' level columns after unit and period effects, and (K,) lengths before."""
    design = additive_design(paths, grid, EventTimes(shape="level", dose=dose))
    n = len(paths.components)
    gram, size = np.zeros((n, n)), np.zeros(n)
    gram[np.ix_(design.component, design.component)] = design.gram()
    size[design.component] = design.size
    return gram, size


def has_doses(paths: Paths) -> bool:
    """Whether any component has more than one dose."""
    return bool((paths.state > 1).any())
