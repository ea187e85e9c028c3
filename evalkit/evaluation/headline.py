"""One rung run: its rows, the window that is claimed, and one number for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.designs.protocol import Design, StudyLike
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.evaluation.ladder import Rung
from evalkit.inference import Estimate


@dataclass(frozen=True)
class Window:
    """Event times that are claimed: lag to `until`, None where nothing bounds it."""

    lag: int = 0
    until: int | None = None

    def holds(self, event_time: np.ndarray) -> np.ndarray:
        """Which event times lie in the window."""
        inside = event_time >= self.lag
        return inside if self.until is None else inside & (event_time <= self.until)

    def within(self, horizon: int | None) -> Window:
        """The window cut at `horizon`."""
        ends = [e for e in (self.until, horizon) if e is not None]
        return Window(self.lag, min(ends) if ends else None)


@dataclass(frozen=True, eq=False)
class Run:
    """A rung that was run. rows: all cohorts and periods, None where it could not run. one: the
    mass-weighted average over the window, one row; reason: why there is none."""

    rung: Rung
    rows: Estimate | None
    one: Estimate | None
    reason: str = ""

    @property
    def usable(self) -> bool:
        return self.answer is not None

    @property
    def answer(self) -> Estimate | None:
        """The one-row estimate when it is a number."""
        return self.one if self.one is not None and np.isfinite(self.one.value[0]) else None


def run_design(design: Design, study: StudyLike, component: str) -> tuple[Estimate | None, str]:
    """The design's rows, or why it makes no sense here (a matched design without covariates, say)."""
    try:
        found = design(study, component)
    except (NotIdentifiedError, OptionError) as error:
        return None, str(error)
    if not isinstance(found, Estimate):
        return None, "this design gives a range without contributions, so it is not averaged"
    return found, ""


def run(rung: Rung, study: StudyLike, component: str, window: Window) -> Run:
    """Run one rung and average it over `window`: each retained adopter and period counts once."""
    rows, reason = run_design(rung.design, study, component)
    if rows is None:
        return Run(rung, None, None, reason)
    one = average_over(rows, window)
    if one is None:
        return Run(rung, rows, None, "no period in the claimed window could be compared")
    why = str(one.labels["reason"].iloc[0]) if np.isnan(one.value[0]) else ""
    return Run(rung, rows, one, why)


def average_over(rows: Estimate, window: Window) -> Estimate | None:
    """Mass-weighted average of the rows in the window, None when there is none.

    A design that gives one number without event times has no window, and keeps its number.
    """
    if "event_time" not in rows.labels:
        return rows if len(rows) == 1 else None
    keep = window.holds(rows.labels["event_time"].to_numpy())
    if not keep.any():
        return None
    return rows.select(np.flatnonzero(keep)).aggregate("simple")
