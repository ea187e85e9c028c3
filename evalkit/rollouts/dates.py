"""Dates of a rollout: the calendar that it is planned on, and where a date stands there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, is_number, spelt
from evalkit.study.calendar import Calendar, calendar_kind, complete, following, make_calendar

MOST_PERIODS = 240
_LONGER = {"month": ("quarter", "number"), "quarter": ("number",)}
"""Kinds of periods that hold several of a calendar's, so that they are none of them."""


def is_never(moment: object) -> bool:
    """Whether something stands for a start that never comes: nothing at all, or the word that plans have for it."""
    nothing = moment is None or moment is pd.NaT or moment is pd.NA
    if isinstance(moment, str):
        return moment.strip().lower() in ("", "never")
    return nothing or (isinstance(moment, float) and bool(np.isnan(moment)))


def place_of(calendar: Calendar, moment: object, what: str) -> int:
    """Position of a period on a calendar. Raises `OptionError` for what is none of its periods."""
    alone = np.array([moment], dtype=object)
    where, longer = calendar.place(alone)[0], calendar_kind(alone) in _LONGER.get(calendar.kind, ())
    found = np.flatnonzero((calendar.start <= where) & (where < calendar.stop))
    if not len(found) or longer:
        first, last = calendar.values[0], calendar.values[-1]
        raise OptionError(
            f"{what} is {spelt(moment)}, which is no period from {first} to {last}. Write it like {spelt(first)}."
        )
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
        raise OptionError(f"periods={spelt(tuple(periods))} are no months, quarters or whole numbers. Write '2027-01'.")
    ends = make_calendar(kind).start
    if not ends[1] > ends[0]:
        raise OptionError(f"periods={spelt(tuple(periods))}: the last period must come after the first.")
    if ends[1] - ends[0] >= MOST_PERIODS:
        raise OptionError(
            f"periods={spelt(tuple(periods))} are more than {MOST_PERIODS} periods. Plan fewer at a time."
        )
    found = complete(kind, every)
    assert found is not None
    return make_calendar(found[0].astype(kind.dtype) if kind.dtype != object else found[0])


def carried_on(calendar: Calendar, more: int) -> Calendar:
    """A study's calendar and as many periods after it, at its own step. Raises `OptionError` where its periods do not
    stand one step apart, and where a plan would be too long."""
    first, last = calendar.values[0], calendar.values[-1]
    if len(calendar) + more > MOST_PERIODS:
        raise OptionError(
            f"The study's {len(calendar)} periods and {more} more are {len(calendar) + more}, and a rollout is planned "
            f"over at most {MOST_PERIODS}. Use a lower more, or make a study of longer periods: weeks or months."
        )
    found = following(calendar.values, more)
    if found is None:
        raise OptionError(
            f"The study's periods, from {first} to {last}, do not stand one step of whole days apart (a day, a week, a "
            "month), so that later ones cannot be named. Make a study without gaps, of months or of weeks."
        )
    return make_calendar(found)
