"""Periods in order (whole numbers, months, quarters, dates), and what else went on at the time.

Every calendar places its periods on a line: `start` and `stop` of a period are
positions on it, so that dated spells can be compared with periods of any kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd

_TEXT = re.compile(r"\s*(?:(?P<number>-?\d+(?:\.0*)?)|(?P<month>\d{4}-\d{1,2})|(?P<quarter>\d{4}\s*-?[qQ][1-4]))\s*")
_YEARS_AFTER, _YEARS_BEFORE = 20, 150
"""Moments further from the periods of a study than this are slips of the pen."""
_A_YEAR = {"number": 1.0, "quarter": 4.0, "month": 12.0, "day": 365.25}
_FREQUENCY = {"number": ("Y", 1), "quarter": ("Q", 4), "month": ("M", 12)}
"""pandas' frequency of a calendar of years, quarters or months, and how many make a year."""


@dataclass(frozen=True, eq=False)
class Calendar:
    """The periods of a study.

    kind: "number", "month", "quarter", "day" or "none" (a cross-section).
    values: (T,) periods as the user knows them. start, stop: (T,) positions on the
    line of that kind (numbers; months or quarters since year 0; days since 1970).
    gaps: periods after which the step is longer than elsewhere.
    """

    kind: str
    values: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    gaps: tuple[object, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def place(self, moments: np.ndarray) -> np.ndarray:
        """Positions of dates on this calendar's line; NaN where one cannot be read."""
        words = {m: _place(m, self.kind) for m in dict.fromkeys(m for m in moments if isinstance(m, str))}
        read = [words[m] if isinstance(m, str) else _place(m, self.kind) for m in moments]
        out = np.array(read, dtype=np.float64)
        if self.kind == "number" and (self.start.min() < 1800 or self.start.max() > 2200):
            out[[_stamp(m) is not None for m in moments]] = np.nan  # the numbers are not years: a date has no place
        return out

    def far(self, places: np.ndarray) -> np.ndarray:
        """Which positions lie more than 20 years after the last period, or 150 before the first."""
        year = _A_YEAR.get(self.kind, 1.0)
        return (places > self.stop.max() + _YEARS_AFTER * year) | (places < self.start.min() - _YEARS_BEFORE * year)

    def lone(self) -> list[object]:
        """Two periods that follow each other more than 100 years apart; none in numbers."""
        if self.kind in ("number", "none"):
            return []
        apart = np.flatnonzero(np.diff(self.start) > 100 * _A_YEAR[self.kind])
        return [v for i in apart[:1] for v in self.values[i : i + 2]]

    def subset(self, periods: np.ndarray) -> Calendar:
        """The calendar of some periods (positions)."""
        return Calendar(self.kind, self.values[periods], self.start[periods], self.stop[periods])


def calendar_kind(values: np.ndarray) -> str:
    """Which kind of calendar distinct period values make; "" when they make none."""
    if values.dtype.kind in "iuf":
        return "number"
    if values.dtype.kind == "M":
        return "day"
    kinds = {_own_kind(v) for v in values}
    return kinds.pop() if len(kinds) == 1 else ""


def odd_periods(values: np.ndarray) -> list[object]:
    """Of distinct period values that make no calendar, those that are no period or not of the commonest kind."""
    kinds = [_own_kind(v) for v in values]
    usual = max((k for k in kinds if k), key=kinds.count, default="")
    return [v for v, kind in zip(values, kinds, strict=True) if kind != usual or not kind]


def spelt_one_way(values: np.ndarray) -> np.ndarray:
    """Distinct periods, those that are the same ('2022-1' and '2022-01') written one way; others as they stand."""
    if values.dtype != object or not len(values):
        return values
    kind, place = calendar_kind(values), period_positions(values)
    first, again = np.unique(place, return_inverse=True)
    if len(first) == len(values):
        return values
    shared = np.bincount(again)[again] > 1
    out = values.copy()
    out[shared] = [_name(p, kind, v) for p, v in zip(place[shared], values[shared], strict=True)]
    return out


def period_positions(values: np.ndarray) -> np.ndarray:
    """Positions of distinct period values on the line of the calendar that they make; NaN where unreadable."""
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype(np.int64) / 86_400e9
    kind = calendar_kind(values)
    return np.array([_place(v, kind) for v in values], dtype=np.float64)


def seasons(values: np.ndarray) -> int | None:
    """How many of distinct periods in order make a year, where they are months or quarters (days that far apart among
    them); None of others."""
    kind, steps = calendar_kind(values), np.diff(period_positions(values))
    if not len(steps) or kind not in ("month", "quarter", "day"):
        return None
    a_year = _A_YEAR[kind] / float(np.median(steps))
    return next((n for n in (4, 12) if abs(a_year / n - 1) < 0.05), None)


def make_calendar(values: np.ndarray, every: float | None = None) -> Calendar:
    """The calendar of distinct periods already in order.

    every: length of a period; default is the usual step between periods.
    """
    kind, start = calendar_kind(values), period_positions(values)
    steps = np.diff(start)
    usual = 1.0 if not len(steps) else np.median(steps) if kind == "day" else steps.min()
    step = float(every or usual or 1.0)
    # Months differ in days: a calendar of days may stretch a little before it counts as a gap.
    most = step * (1.15 if kind == "day" and step >= 28 else 1.0)
    # A period lasts until the next one, but never longer than a step: what happens in a gap belongs to no period.
    stop = np.minimum(np.append(start[1:], start[-1] + step), start + most)
    return Calendar(kind, values, start, stop, tuple(values[:-1][steps > most + 1e-9]))


def _own_kind(value: object) -> str:
    """The kind of one period value, "" when it is none: a plain date is a day, never a month."""
    if isinstance(value, pd.Period):
        return {"M": "month", "Q": "quarter", "Y": "number", "A": "number"}.get(value.freqstr[0], "day")
    if isinstance(value, str) and (found := _TEXT.fullmatch(value)):
        kind = str(found.lastgroup)
        return kind if kind == "number" or _stamp(value) is not None else ""
    if isinstance(value, (int, float, np.integer, np.floating)):
        return "" if isinstance(value, bool) else "number"
    return "" if _stamp(value) is None else "day"


def _place(moment: object, kind: str) -> float:
    """Position of a moment on the line of a kind of calendar; NaN when it cannot be read.

    Years, quarters and months since year 0, with the share of it that is over; days since 1970.
    """
    if kind == "number":
        if isinstance(moment, pd.Period):
            return float(moment.year)
        if isinstance(moment, (int, float, np.integer, np.floating)):
            return float(moment)
        if isinstance(moment, str) and _own_kind(moment) == "number":
            return float(moment)
    stamp = _stamp(moment)
    if stamp is None or kind not in ("day", *_FREQUENCY):
        return np.nan
    if kind == "day":
        return stamp.value / 86_400e9
    frequency, a_year = _FREQUENCY[kind]
    period = stamp.to_period(frequency)
    over, length = (stamp - period.start_time).days, ((period + 1).start_time - period.start_time).days
    return 1970 * a_year + period.ordinal + over / length


def _stamp(moment: object) -> pd.Timestamp | None:
    """The first instant of a moment with a date; None where there is no date in it."""
    if isinstance(moment, pd.Period):
        return moment.start_time
    if isinstance(moment, str) and (found := _TEXT.fullmatch(moment)) and found["quarter"]:
        return pd.Period("".join(moment.split())).start_time
    dated = isinstance(moment, str) and re.match(r"\s*\d{4}-\d{1,2}", moment)
    if not dated and not isinstance(moment, (date, np.datetime64)):
        return None
    try:
        stamp = pd.Timestamp(moment)
    except (ValueError, TypeError, OverflowError):
        return None
    if stamp is pd.NaT:
        return None
    return stamp.tz_localize(None) if stamp.tzinfo else stamp


def complete(values: np.ndarray, every: float) -> tuple[np.ndarray, np.ndarray] | None:
    """All periods from first to last at steps of `every`, and where the given ones stand among them.

    None when the given periods are not a whole number of steps apart.
    """
    kind, start = calendar_kind(values), period_positions(values)
    steps = (start - start[0]) / every
    place = np.round(steps).astype(np.intp)
    if np.abs(steps - place).max() > 1e-6 or len(np.unique(place)) < len(place):
        return None
    if len(place) == place[-1] + 1:
        return values, place
    made = np.empty(place[-1] + 1, dtype=object)
    made[:] = [_name(start[0] + every * i, kind, values[0]) for i in range(len(made))]
    made[place] = values
    return (made.astype(values.dtype) if values.dtype != object else made), place


def following(values: np.ndarray, more: int) -> np.ndarray | None:
    """Distinct period values in order, and as many after them, at the step that leads from each to the next and written
    like them. Days that stand by the calendar (first days of months or quarters, last ones, any other) go on by it.

    None where no one step leads from each to the next, and for times of a day.
    """
    kind, start = calendar_kind(values), period_positions(values)
    if len(start) < 2 or (start % 1).any():
        return None
    steps = np.diff(start)
    later = _by_months([_day(p) for p in start], more) if kind == "day" else []
    if not later and (steps == steps[0]).all():
        later = [float(start[-1] + steps[0] * i) for i in range(1, more + 1)]
    if not later:
        return None
    out = np.empty(len(values) + more, dtype=object)
    out[: len(values)] = values
    out[len(values) :] = [_name(p, kind, values[0]) for p in later]
    return out.astype(values.dtype) if values.dtype != object else out


def _by_months(days: list[pd.Timestamp], more: int) -> list[float]:
    """Positions of the days after those given, that stand one number of months apart; [] where they do not. The day of
    a month that is short is its last (31 January, 28 February)."""
    last = all(d.is_month_end for d in days)
    apart = {(b.year - a.year) * 12 + b.month - a.month for a, b in pairwise(days)}
    if len(apart) > 1:
        return []
    by, first = apart.pop(), days[0]
    every = [first + pd.DateOffset(months=by * i) for i in range(len(days) + more)]
    made = [d + pd.offsets.MonthEnd(0) for d in every] if last else every
    return [d.value / 86_400e9 for d in made[len(days) :]] if made[: len(days)] == days else []


def _day(position: float) -> pd.Timestamp:
    return pd.Timestamp("1970-01-01") + pd.Timedelta(days=position)


def _name(position: float, kind: str, like: object) -> object:
    """The period at a position, written like the others."""
    if kind == "number" and not isinstance(like, pd.Period):
        return f"{position:g}" if isinstance(like, str) else position
    if kind == "day":
        stamp = _day(position)
        form = "%Y-%m-%d"
    else:
        frequency, a_year = _FREQUENCY[kind]
        stamp = pd.Period(ordinal=round(position) - 1970 * a_year, freq=frequency).start_time
        form = "%Y-%m" if kind == "month" else f"%YQ{stamp.quarter}"
    if isinstance(like, pd.Period):
        return pd.Period(stamp, freq=like.freq)
    if isinstance(like, str) or kind != "day":
        return stamp.strftime(form)
    if isinstance(like, date):  # Timestamps are dates as well
        return stamp if isinstance(like, pd.Timestamp) else stamp.date()
    return stamp.to_datetime64()


@dataclass(frozen=True)
class Event:
    """Something that went on in the background, whose effect is never given: words, first moment, and first moment
    after it (None: still going on)."""

    label: str
    start: object
    end: object = None


def event_bands(events: Iterable[Event], calendar: Calendar) -> list[tuple[str, object, object]]:
    """(label, first period, first period after it) of each event that touches the calendar."""
    out = []
    for e in events:
        start, end = calendar.place(np.array([e.start, e.end], dtype=object))
        inside = (calendar.stop > start) & (calendar.start < (np.inf if e.end is None else end))
        found = np.flatnonzero(inside)
        if len(found):
            after = found[-1] + 1
            out.append((e.label, calendar.values[found[0]], calendar.values[after] if after < len(calendar) else None))
    return out
