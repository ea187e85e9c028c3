"""Which event times of which component lie in the row space of the additive design.

Two readings are kept apart: event-time columns (effects may grow) and level columns
(effects may not). Ranks are by pivoted Cholesky of scaled Gram matrices; tolerances
are those of `evalkit.designs.span`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.components.circuits import Dependence, dependence
from evalkit.designs.additive import AdditiveDesign, EventTimes, Grid, additive_design
from evalkit.designs.span import Span, span
from evalkit.study.paths import Paths


@dataclass(frozen=True, eq=False)
class EventSpan:
    """The event-time design, its Gram matrix, and what of it is identified."""

    design: AdditiveDesign
    gram: np.ndarray
    size: np.ndarray
    span: Span

    def holds(self, component: str, event_time: int) -> bool:
        """Whether the effect at one event time is identified, all other effects free."""
        column = self.design.column(component, event_time)
        return column >= 0 and bool(self.span.free[column])

    def until(self, component: str, lag: int, end: int) -> int:
        """Last event time from `lag` on, no later than `end`, up to which all are identified; -1 for none."""
        last = -1
        for event_time in range(lag, end + 1):
            if not self.holds(component, event_time):
                break
            last = event_time
        return last

    def sum_holds(self, components: tuple[str, ...], event_time: int) -> bool:
        """Whether the sum of several components' effects at one event time is identified."""
        columns = [self.design.column(c, event_time) for c in components]
        weights = np.zeros(len(self.gram))
        weights[columns] = 1.0
        return min(columns) >= 0 and bool(self.span.identified(weights))

    def only(self, *components: str) -> EventSpan:
        """The design of some components alone, the others taken to do nothing."""
        keep = np.flatnonzero(np.isin(self.design.component, [self.design.components.index(c) for c in components]))
        part = AdditiveDesign(
            self.design.components, self.design.component[keep], self.design.event_time[keep],
            self.design.matrix[:, :0], self.design.pattern, self.design.grid,
        )  # fmt: skip
        gram, size = self.gram[np.ix_(keep, keep)], self.size[keep]
        return EventSpan(part, gram, size, span(gram, size))


def event_span(paths: Paths, grid: Grid, dose: bool = False) -> EventSpan:
    """The event-time design of all components; with `dose`, linear in the rank of the dose."""
    design = additive_design(paths, grid, EventTimes(dose=dose))
    gram, size = design.gram(), design.size
    return EventSpan(design, gram, size, span(gram, size))


def level_dependence(paths: Paths, grid: Grid, dose: bool = False) -> Dependence:
    """Loops and circuits of the components' level columns; indices are those of `paths.components`.

    A component that is registered as always on, or never on, is a loop.
    """
    design = additive_design(paths, grid, EventTimes(shape="level", dose=dose))
    n = len(paths.components)
    gram, size = np.zeros((n, n)), np.zeros(n)
    gram[np.ix_(design.component, design.component)] = design.gram()
    size[design.component] = design.size
    return dependence(gram, size)


def has_doses(paths: Paths) -> bool:
    """Whether any component has more than one dose."""
    return bool((paths.state > 1).any())
