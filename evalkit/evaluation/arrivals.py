"""Whether those with a component came onto the record when those without it did; if not, the rungs that see to it.

Read from rows and exposures alone, before any outcome, like everything that chooses a headline.
"""

from __future__ import annotations

from dataclasses import replace

from evalkit.designs import StaggeredRollout
from evalkit.designs.arrivals import ALIKE, arrival_gap
from evalkit.evaluation.headline import Window
from evalkit.evaluation.ladder import Choices, Rung, ladder, rule_words
from evalkit.study.paths import Paths


def came_apart(paths: Paths, component: str, best_design: str, choices: Choices, window: Window) -> bool:
    """Whether the headline's adopters came earlier or later than their matches, by over a tenth of a standard
    deviation on average over the claimed window; False for designs that compare no starts."""
    design = next((r.design for r in ladder(best_design, choices, lag=window.lag) if r.headline), None)
    if not isinstance(design, StaggeredRollout):
        return False
    return abs(arrival_gap(paths, design.plan(paths, component), window.lag, window.until)) > ALIKE


def rungs_for(
    paths: Paths, component: str, best_design: str, choices: Choices, window: Window, outcome: str
) -> tuple[Rung, ...]:
    """The ladder; where people came apart, its fair rungs compare those who came within the same `base_window`
    periods."""
    rungs = ladder(best_design, choices, outcome, window.lag)
    if not came_apart(paths, component, best_design, choices, window):
        return rungs
    return tuple(_alike(r, choices.base_window) for r in rungs)


def rule_for(paths: Paths, component: str, best_design: str, choices: Choices, window: Window, label: str) -> str:
    """The rule that chose the headline, in words, with who is compared where people came apart."""
    apart = came_apart(paths, component, best_design, choices, window)
    return rule_words(best_design, label, choices.base_window if apart else None)


def _alike(rung: Rung, width: int) -> Rung:
    if not rung.fair or not isinstance(rung.design, StaggeredRollout):
        return rung
    return replace(rung, design=replace(rung.design, arrival=width))
