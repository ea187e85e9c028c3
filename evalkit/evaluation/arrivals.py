"""Whether those with a component came onto the record when those without it did; if not, the rungs that see to it.

Read from rows and exposures alone, before any outcome, like everything that chooses a headline.
"""

from __future__ import annotations

from dataclasses import replace

from evalkit.components.wording import Names
from evalkit.designs import StaggeredRollout
from evalkit.designs.rollout.entry import apart, arrival_gap, by_arrival
from evalkit.evaluation.ladder import Choices, Run, Rung, Window, ladder
from evalkit.study.paths import Paths

CAME_APART = (
    "Only those who came onto the record {within}, or were on it from the first, are compared with one another, "
    "because those with it had come at other times than those without."
)


def arrival_width(paths: Paths, component: str, best_design: str, choices: Choices, window: Window) -> int | None:
    """Within how many periods of each other people must have come to be compared; None where all may be.

    None where the headline's adopters had come when their matches had, but for a tenth of a standard deviation on
    average over the claimed window, and for designs that compare no starts. Else the widest of `base_window`, half
    of it, and so on to one period at which no more of a gap is left.
    """
    design = next((r.design for r in ladder(best_design, choices, lag=window.lag) if r.headline), None)
    if not isinstance(design, StaggeredRollout):
        return None
    gap, spread = arrival_gap(paths, design.plan(paths, component), window.lag, window.until)
    if not apart(gap, spread):
        return None
    width = choices.base_window
    while width > 1 and apart(_left(paths, component, replace(design, arrival=width), window), spread):
        width //= 2
    return width


def _left(paths: Paths, component: str, design: StaggeredRollout, window: Window) -> float:
    """The gap in periods that is left among those who came within the design's `arrival`."""
    assert design.arrival is not None
    split = by_arrival(paths, design.arrival).paths
    return arrival_gap(split, design.plan(paths, component), window.lag, window.until)[0]


def rungs_for(
    paths: Paths, component: str, best_design: str, choices: Choices, window: Window, outcome: str
) -> tuple[Rung, ...]:
    """The ladder; where people came apart, its comparisons of starts are among those who came together, and what
    compares whoever was there is shown only to show what goes wrong."""
    rungs = ladder(best_design, choices, outcome, window.lag)
    width = arrival_width(paths, component, best_design, choices, window)
    return rungs if width is None else tuple(_alike(r, width) for r in rungs)


def width_of(run: Run | None) -> int | None:
    """Within how many periods those whom a run compares came onto the record; None where it takes whoever was there."""
    return None if run is None else getattr(run.rung.design, "arrival", None)


def came_words(names: Names, width: int | None) -> str:
    """Who is compared where people came apart, as a further sentence; "" where all may be."""
    if width is None:
        return ""
    return " " + CAME_APART.format(within=within_words(names, width))


def within_words(names: Names, width: int) -> str:
    """'in the same month', 'within the same 6 months'."""
    return f"in the same {names.period}" if width == 1 else f"within the same {names.spell(width)}"


def _alike(rung: Rung, width: int) -> Rung:
    if not rung.fair:
        return rung
    if not isinstance(rung.design, StaggeredRollout):
        return replace(rung, fair=False)
    return replace(rung, design=replace(rung.design, arrival=width))
