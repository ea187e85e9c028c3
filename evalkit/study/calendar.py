"""Periods in order: whole numbers, months, quarters, dates.

Every calendar places its periods on a line: `start` and `stop` of a period are
positions on it, so that dated spells can be compared with periods of any kind.
"""

from __future__ import annotations

import calendar as _days
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

_MONTH = re.compile(r"^\s*(\d{4})-(\d{1,2})\s*$")
_QUARTER = re.compile(r"^\s*(\d{4})\s*-?[qQ]([1-4])\s*$")
_NUMBER = re.compile(r"^\s*-?\d+(\.0*)?\s*$")


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
        out = np.array([_place(m, self.kind) for m in moments], dtype=np.float64)
        if self.kind == "number" and (self.start.min() < 1800 or self.start.max() > 2200):
            out[[_stamp(m) is not None for m in moments]] = np.nan  # the numbers are not years: a date has no place
        return out


def calendar_kind(values: np.ndarray) -> str:
    """Which kind of calendar distinct period values make; "" when they make none."""
    if values.dtype.kind in "iuf":
        return "number"
    if values.dtype.kind == "M":
        return "day"
    for kind in ("number", "month", "quarter", "day"):
        if all(_own_kind(v, kind) for v in values):
            return kind
    return ""


def period_order(values: np.ndarray) -> np.ndarray:
    """Positions in time of distinct period values, for sorting; NaN where unreadable."""
    kind = calendar_kind(values)
    if values.dtype.kind in "iufM":
        return (
            values.astype(np.float64) if values.dtype.kind != "M" else values.astype("datetime64[ns]").astype(np.int64)
        )
    return np.array([_place(v, kind) for v in values], dtype=np.float64)


def make_calendar(values: np.ndarray, every: float | None = None) -> Calendar:
    """The calendar of distinct periods already in order.

    every: length of a period; default is the usual step between periods.
    """
    kind = calendar_kind(values)
    start = _positions(values, kind)
    steps = np.diff(start)
    step = float(every) if every else _usual_step(steps, kind)
    last = start[-1] + (step if step else 1.0)
    # A period lasts until the next one, but never longer than a step: what happens in a gap belongs to no period.
    stop = np.minimum(np.append(start[1:], last), start + step * _slack(kind, step) if step else last)
    long = steps > step * _slack(kind, step) + 1e-9 if step else np.zeros(0, dtype=bool)
    return Calendar(kind, values, start, stop, tuple(values[:-1][long]))


def _slack(kind: str, step: float) -> float:
    """Months differ in days: a calendar of days may stretch a little before it counts as a gap."""
    return 1.15 if kind == "day" and step >= 28 else 1.0


def _usual_step(steps: np.ndarray, kind: str) -> float:
    if not len(steps):
        return 1.0
    return float(np.median(steps)) if kind == "day" else float(steps.min())


def _positions(values: np.ndarray, kind: str) -> np.ndarray:
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype(np.int64) / 86_400e9
    return np.array([_place(v, kind) for v in values], dtype=np.float64)


def _own_kind(value: object, kind: str) -> bool:
    """Whether one period value is of a kind: a plain date is a day, never a month."""
    if isinstance(value, pd.Period):
        return kind == _period_kind(value)
    if isinstance(value, str):
        pattern = {"number": _NUMBER, "month": _MONTH, "quarter": _QUARTER}.get(kind)
        return bool(pattern.match(value)) if pattern else kind == "day" and not np.isnan(_day(value))
    if isinstance(value, (date, datetime, np.datetime64)):
        return kind == "day"
    return kind == "number" and isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _period_kind(value: pd.Period) -> str:
    name = value.freqstr
    if name.startswith("M"):
        return "month"
    if name.startswith("Q"):
        return "quarter"
    return "number" if name.startswith(("Y", "A")) else "day"


def _place(value: object, kind: str) -> float:
    """Position of a moment on the line of a kind of calendar; NaN when it cannot be read."""
    try:
        if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
            return np.nan
    except TypeError:
        return np.nan
    reader: dict[str, Callable[[object], float]] = {
        "number": _number,
        "month": _month,
        "quarter": _quarter,
        "day": _day,
    }
    return reader[kind](value) if kind in reader else np.nan


def _number(value: object) -> float:
    if isinstance(value, pd.Period):
        return float(value.year)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return float(value)
    if isinstance(value, str) and _NUMBER.match(value):
        return float(value)
    stamp = _stamp(value)
    if stamp is None:
        return np.nan
    length = 366 if _days.isleap(stamp.year) else 365
    return stamp.year + (stamp.day_of_year - 1) / length


def _month(value: object) -> float:
    stamp = _stamp(value)
    if stamp is None:
        return np.nan
    return 12 * stamp.year + stamp.month - 1 + (stamp.day - 1) / stamp.days_in_month


def _quarter(value: object) -> float:
    stamp = _stamp(value)
    if stamp is None:
        return np.nan
    first = pd.Timestamp(stamp.year, 3 * (stamp.quarter - 1) + 1, 1)
    length = (first + pd.DateOffset(months=3) - first).days
    return 4 * stamp.year + stamp.quarter - 1 + (stamp - first).days / length


def _day(value: object) -> float:
    stamp = _stamp(value)
    return np.nan if stamp is None else stamp.value / 86_400e9


def _stamp(value: object) -> pd.Timestamp | None:
    if isinstance(value, pd.Period):
        return value.start_time
    if isinstance(value, str):
        quarter = _QUARTER.match(value)
        if quarter:
            return pd.Timestamp(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)
        if not re.match(r"^\s*\d{4}-\d{1,2}", value):
            return None
    elif not isinstance(value, (date, datetime, np.datetime64)):
        return None
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError):
        return None
    if stamp is pd.NaT:
        return None
    return stamp.tz_localize(None) if stamp.tzinfo else stamp


def complete(values: np.ndarray, every: float) -> tuple[np.ndarray, np.ndarray] | None:
    """All periods from first to last at steps of `every`, and where the given ones stand among them.

    None when the given periods are not a whole number of steps apart.
    """
    kind = calendar_kind(values)
    start = _positions(values, kind)
    steps = (start - start[0]) / every
    place = np.round(steps).astype(np.intp)
    if np.abs(steps - place).max() > 1e-6 or len(np.unique(place)) < len(place):
        return None
    if len(place) == place[-1] + 1:
        return values, place
    line = start[0] + every * np.arange(place[-1] + 1)
    made = np.array([_name(x, kind, values[0]) for x in line], dtype=object)
    made[place] = values
    return (made.astype(values.dtype) if values.dtype != object else made), place


def _name(position: float, kind: str, like: object) -> object:
    """The period at a position, written like the others."""
    if kind == "day":
        stamp = pd.Timestamp("1970-01-01") + pd.Timedelta(days=position)
        if isinstance(like, str):
            return stamp.strftime("%Y-%m-%d")
        return pd.Period(stamp, freq=like.freq) if isinstance(like, pd.Period) else stamp.to_datetime64()
    whole = round(position)
    if kind == "month":
        text = f"{whole // 12:04d}-{whole % 12 + 1:02d}"
        return pd.Period(text, freq="M") if isinstance(like, pd.Period) else text
    if kind == "quarter":
        text = f"{whole // 4:04d}Q{whole % 4 + 1}"
        return pd.Period(text, freq=like.freq) if isinstance(like, pd.Period) else text
    if isinstance(like, str):
        return f"{position:g}"
    return pd.Period(year=whole, freq="Y") if isinstance(like, pd.Period) else position
