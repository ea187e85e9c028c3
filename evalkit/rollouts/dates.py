"""Dates of a rollout: the calendar that it is planned on, and where a date stands there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, is_number
from evalkit.study.calendar import Calendar, calendar_kind, complete, make_calendar

MOST_PERIODS = 240


def is_never(moment: object) -> bool:
    """Whether something stands for a start that never comes: nothing at all."""
    return moment is None or moment is pd.NaT or (isinstance(moment, float) and np.isnan(moment)) or moment == ""


def place_of(calendar: Calendar, moment: object, what: str) -> int:
    """Position of a period on a calendar. Raises `OptionError` for what is none of its periods."""
    where = calendar.place(np.array([moment], dtype=object))[0]
    found = np.flatnonzero((calendar.start <= where) & (where < calendar.stop))
    if not len(found):
        first, last = calendar.values[0], calendar.values[-1]
        raise OptionError(f"{what} is {moment!r}, which is no period from {first} to {last}. Write it like {first!r}.")
    return int(found[0])


def make_calendar_of(periods: Sequence[object]) -> Calendar:
    """All periods from the first to the last. Raises `OptionError` for what makes no calendar."""
    try:
        first, last = periods
    except (TypeError, ValueError):
        raise OptionError("periods needs two values, (first, last), such as ('2027-01', '2029-12').") from None
    kind = np.array([first, last]) if all(is_number(p) for p in (first, last)) else np.array([first, last], object)
    every = 1.0
    if not calendar_kind(kind) or calendar_kind(kind) == "day":
        raise OptionError(f"periods={tuple(periods)!r} are no months, quarters or whole numbers. Write '2027-01'.")
    ends = make_calendar(kind).start
    if not ends[1] > ends[0]:
        raise OptionError(f"periods={tuple(periods)!r}: the last period must come after the first.")
    if ends[1] - ends[0] >= MOST_PERIODS:
        raise OptionError(f"periods={tuple(periods)!r} are more than {MOST_PERIODS} periods. Plan fewer at a time.")
    found = complete(kind, every)
    assert found is not None
    return make_calendar(found[0].astype(kind.dtype) if kind.dtype != object else found[0])
