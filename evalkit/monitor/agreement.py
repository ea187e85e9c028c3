"""What is agreed before the first look: when it is looked, at what, how much alpha there is, and where lines cannot be
crossed yet; and when periods are complete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, spelt
from evalkit.study import Study
from evalkit.study.calendar import Calendar, calendar_kind, period_positions, seasons
from evalkit.study.component import spells_of

_A_YEAR = {"month": 12, "quarter": 4}
_YEARLY = {"month": 12, "quarter": 4, "half-year": 2, "year": 1}
"""Looks in a year."""
_WIDER = {"month": ("quarter",), "day": ("month", "quarter")}
"""Periods that hold several of a calendar's, so that they are none of it."""
SETTLE = 31
"""Days after the end of a period before it counts as complete, where nobody says."""


@dataclass(frozen=True)
class Agreement:
    """What a crossing means, fixed before the first look.

    outcome, components: what the line is for; alpha is one purse for all components. looks: the last period of each
    look. settle: days after its end at which a period is complete. fewest: places in either arm below which a line
    cannot be crossed before the last look.
    """

    outcome: str
    components: tuple[str, ...]
    looks: tuple[str, ...]
    alpha: float = 0.05
    settle: int = SETTLE
    fewest: int = 5

    def as_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Agreement:
        """From what JSON holds. Raises `TypeError` in words where that is no agreement."""
        said: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        made = cls(**said)
        listed = [isinstance(v, tuple) and all(isinstance(x, str) for x in v) for v in (made.components, made.looks)]
        counted = [type(v) is int for v in (made.settle, made.fewest)]
        if not all([*listed, *counted, isinstance(made.outcome, str), isinstance(made.alpha, float)]):
            raise TypeError("the agreement holds something that none can hold")
        return made


def agree(study: Study, calendar: Calendar, before: Sequence[str] = ()) -> Agreement:
    """The agreement of a study: what its [watch] says, and for the rest what its register gives. Reads no outcome.

    Looks are taken each quarter (or by `looks`), from three months after the first start of a component that the line
    is for until a year after the last one. It is for every component that is not always on, unless some are named.
    calendar: all periods that there are. before: the looks of an agreement that is held against what the study says
    now; where [watch] leaves the first or the last of them open, it is that one.
    """
    said: dict[str, Any] = dict(study.settings.get("watch") or {})  # type: ignore[call-overload]
    said |= {k: _read(before[i], calendar) for k, i in (("first", 0), ("last", -1)) if before and k not in said}
    outcome = study.outcome(said.get("outcome")).column
    named = [study.component(name).name for name in said.get("primary") or ()]
    components = tuple(c.name for c in study.components if (c.name in named if named else not c.always_on))
    if not components:
        raise OptionError("Every component is always on: there is nothing whose start could be watched.")
    kinds = {"alpha": float, "settle": int, "fewest": int}
    fixed: dict[str, Any] = {k: kind(said[k]) for k, kind in kinds.items() if k in said}
    return Agreement(outcome, components, _looks(study, calendar, components, said), **fixed)


def _looks(study: Study, calendar: Calendar, components: Sequence[str], said: dict[str, Any]) -> tuple[str, ...]:
    """The last period of each planned look."""
    how = said.get("looks", "quarter")
    if not isinstance(how, str):
        listed = [str(v) for v in how]
        places = calendar.place(np.array(listed, dtype=object))
        other = calendar_kind(np.array(listed, dtype=object)) != calendar.kind
        if other or np.isnan(places).any() or (np.diff(places) <= 0).any():
            raise OptionError(f"looks={spelt(listed)}: give periods of this calendar from first to last, each once.")
        return tuple(listed)
    step = max(1, round(_in_a_year(calendar) / _YEARLY[how]))
    first, last = (_position(calendar, said.get(k)) for k in ("first", "last"))
    starts = _starts(study, calendar, components)
    soon, year = max(1, round(_in_a_year(calendar) / 4)), max(1, round(_in_a_year(calendar)))
    if first is None:
        first = (min(starts, default=0)) + soon - 1
    elif first < 0:
        raise OptionError(f"[watch]: the first look goes through {said['first']}, before the first period that there "
                          f"is ({calendar.values[0]!s}). Give a later one.")  # fmt: skip
    if last is None:
        last = max(starts, default=int(_counted(calendar, calendar.start)[-1])) + year - 1
    elif last < first:
        ends = f"the last look goes through {said['last']}, and the first through {name_at(calendar, first)}"
        raise OptionError(f"[watch]: {ends}. Give a first before the last.")
    return tuple(name_at(calendar, i) for i in range(first, max(last, first) + 1, step))


def dated(calendar: Calendar) -> bool:
    """Whether its periods are days, months, quarters or years, and not numbers of some other kind."""
    return calendar.kind != "number" or 1800 <= calendar.start.min() <= calendar.start.max() <= 2200


def _in_a_year(calendar: Calendar) -> float:
    if months := _months(calendar):
        return 12 / months
    if calendar.kind == "number":
        return 1 / _length(calendar) if dated(calendar) else 12.0
    return _A_YEAR.get(calendar.kind, 365.25) / _length(calendar)


def _length(calendar: Calendar) -> float:
    return float(np.median(calendar.stop - calendar.start))


def _months(calendar: Calendar) -> int:
    """How many months a period lasts, where months or quarters are written as days; else 0."""
    return 12 // (seasons(calendar.values) or 13) if calendar.kind == "day" else 0


def _counted(calendar: Calendar, places: np.ndarray) -> np.ndarray:
    """Which periods hold positions on the line, counted from the first one, those that are missing too."""
    if months := _months(calendar):
        days = [date_at("day", p) for p in (calendar.start[0], *places)]
        first, *others = (12 * d.year + d.month for d in days)
        return (np.array(others, dtype=int) - first) // months
    return np.floor((places - calendar.start[0]) / _length(calendar) + 1e-9).astype(int)


def _later(calendar: Calendar, place: float, periods: int) -> float:
    """The position so many periods after one at which a period begins."""
    if not (months := _months(calendar)):
        return place + periods * _length(calendar)
    day = pd.Timestamp(date_at("day", place)) + pd.DateOffset(months=months * periods)
    ends = all(pd.Timestamp(date_at("day", p)).is_month_end for p in calendar.start)
    return float(calendar.place(np.array([(day + pd.offsets.MonthEnd(0) if ends else day).date()], dtype=object))[0])


def _position(calendar: Calendar, moment: object) -> int | None:
    """Which period holds a moment, counted from the first of the calendar and on beyond its end."""
    if moment is None:
        return None
    place = calendar.place(np.array([moment], dtype=object))
    own = calendar_kind(np.array([moment], dtype=object))
    if np.isnan(place[0]) or own in _WIDER.get(calendar.kind, ()):
        raise OptionError(f"{spelt(moment)} is no period of this calendar. Write it like {calendar.values[0]!s}.")
    return int(_counted(calendar, place)[0])


def _starts(study: Study, calendar: Calendar, components: Sequence[str]) -> list[int]:
    """Positions of the periods in which a component starts somewhere, as the register has them now."""
    found: list[int] = []
    for name in components:
        component = study.component(name)
        if component.by_spells:
            starts = spells_of(component)["start"]
            found += [i for s in starts if (i := _position(calendar, s)) is not None and i > 0]
        else:
            on = study.paths.state[:, :, study.paths.index(name)] > 0
            began = np.flatnonzero((on[:, 1:] & ~on[:, :-1]).any(axis=0)) + 1
            found += [int(i) for i in _counted(calendar, calendar.start[began])]
    return found


def name_at(calendar: Calendar, position: int) -> str:
    """The name of a period, counted from the first of the calendar; one that is missing, or lies beyond the end, is
    named as the others are."""
    there = np.flatnonzero(_counted(calendar, calendar.start) == position)
    if len(there):
        return str(calendar.values[there[0]])
    start = _later(calendar, calendar.start[0], position)
    if calendar.kind == "number":
        return f"{start:.15g}"
    day = date_at(calendar.kind, start)
    if calendar.kind == "quarter":
        return f"{day.year}Q{(day.month + 2) // 3}"
    return day.isoformat()[:7] if calendar.kind == "month" else day.isoformat()


def date_at(kind: str, position: float) -> date:
    """The day of a position on a calendar's line."""
    if kind == "day":
        return (pd.Timestamp("1970-01-01") + pd.Timedelta(days=math.floor(position + 1e-9))).date()
    frequency, a_year = {"month": ("M", 12), "quarter": ("Q", 4)}.get(kind, ("Y", 1))
    whole = math.floor(position + 1e-9)
    period = pd.Period(ordinal=whole - 1970 * a_year, freq=frequency)
    start = period.start_time
    return (start + pd.Timedelta(days=round((position - whole) * ((period + 1).start_time - start).days))).date()


def due(calendar: Calendar, look: str, settle: int) -> float:
    """The position on the calendar's line at which a look's last period is complete."""
    place = float(calendar.place(np.array([_read(look, calendar)], dtype=object))[0])
    return float(_settled(calendar, np.array([_later(calendar, place, 1)]), settle)[0])


def beyond(calendar: Calendar, look: str) -> bool:
    """Whether a look goes through a period after the last one that there is."""
    return bool(calendar.place(np.array([_read(look, calendar)], dtype=object))[0] >= calendar.stop[-1] - 1e-9)


def _read(look: str, calendar: Calendar) -> object:
    return float(look) if calendar.kind == "number" and not isinstance(calendar.values[0], str) else look


def _settled(calendar: Calendar, stops: np.ndarray, settle: int) -> np.ndarray:
    """Positions so many days after others; the same ones where the numbers of a calendar are no years."""
    if not dated(calendar):
        return stops
    days = [date_at(calendar.kind, s) + timedelta(days=settle) for s in stops]
    return calendar.place(np.array(days, dtype=object))


def position_of(calendar: Calendar, as_of: object) -> float:
    """A day (or a number, where periods are numbers) on the calendar's line; a period stands for its end, also where
    it is a month or a quarter and those of the calendar are not."""
    own = calendar_kind(np.array([as_of], dtype=object))
    if own in _A_YEAR and own != calendar.kind:
        as_of = date_at(own, float(period_positions(np.array([as_of], dtype=object))[0]) + 1)
    place = float(calendar.place(np.array([as_of], dtype=object))[0])
    if math.isnan(place):
        raise OptionError(f"as_of={spelt(as_of)} is no day. Write it like 2027-05-31, or as a period of the study.")
    return place if isinstance(as_of, date) or own == "day" else place + (1.0 if calendar.kind != "day" else 0.0)


def complete(calendar: Calendar, position: float, settle: int) -> np.ndarray:
    """(T,) which periods are complete."""
    stops = [_later(calendar, p, 1) for p in calendar.start] if _months(calendar) else calendar.stop
    return _settled(calendar, np.array(stops), settle) <= position + 1e-6
