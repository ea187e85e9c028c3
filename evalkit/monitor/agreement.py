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

from evalkit.components import separability
from evalkit.errors import OptionError
from evalkit.evaluation.evidence import could_be_shown
from evalkit.study import Study
from evalkit.study.calendar import Calendar
from evalkit.study.component import spells_of

_A_YEAR = {"month": 12, "quarter": 4}
_YEARLY = {"month": 12, "quarter": 4, "half-year": 2, "year": 1}
"""Looks in a year."""
_DAYS = {"month": 30.436875, "quarter": 91.310625, "number": 365.2425, "day": 1.0}
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
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def agree(study: Study) -> Agreement:
    """The agreement of a study: what its [watch] says, and for the rest what its register gives. Reads no outcome.

    Looks are taken each quarter (or by `looks`), from three months after the first start of a component that the line is
    for until a year after the last one; components are those that the audit says a number of their own could show.
    """
    said: dict[str, Any] = dict(study.settings.get("watch") or {})  # type: ignore[call-overload]
    outcome = study.outcome(said.get("outcome")).column
    able = could_be_shown(separability(study))
    named = said.get("primary")
    components = tuple(c.name for c in study.components if c.name in (able if named is None else named))
    for name in named or ():
        study.component(name)
    fixed = {k: said[k] for k in ("alpha", "settle", "fewest") if k in said}
    return Agreement(outcome, components, _looks(study, components, said), **fixed)


def _looks(study: Study, components: Sequence[str], said: dict[str, Any]) -> tuple[str, ...]:
    """The last period of each planned look."""
    calendar, how = study.calendar, said.get("looks", "quarter")
    if calendar.kind == "none":
        raise OptionError("A study of one time has nothing to watch. Give it a period.")
    if not isinstance(how, str):
        listed = [str(v) for v in how]
        places = calendar.place(np.array(listed, dtype=object))
        if np.isnan(places).any() or (np.diff(places) <= 0).any():
            raise OptionError(f"looks={listed!r}: give periods of this calendar from first to last, each once.")
        return tuple(listed)
    step = max(1, round(_in_a_year(calendar) / _YEARLY[how]))
    first, last = (_position(calendar, said.get(k)) for k in ("first", "last"))
    starts = _starts(study, components)
    soon, year = max(1, round(_in_a_year(calendar) / 4)), round(_in_a_year(calendar))
    if first is None:
        first = (min(starts, default=0)) + soon - 1
    if last is None:
        last = max(starts, default=len(calendar) - 1) + year - 1
    return tuple(name_at(calendar, i) for i in range(first, max(last, first) + 1, step))


def _in_a_year(calendar: Calendar) -> float:
    if calendar.kind in _A_YEAR:
        return _A_YEAR[calendar.kind] / _length(calendar)
    return 12.0 if calendar.kind == "number" else 365.25 / _length(calendar)


def _length(calendar: Calendar) -> float:
    return float(np.median(calendar.stop - calendar.start))


def _position(calendar: Calendar, moment: object) -> int | None:
    """Which period holds a moment, counted from the first of the calendar and on beyond its end."""
    if moment is None:
        return None
    place = float(calendar.place(np.array([moment], dtype=object))[0])
    if math.isnan(place):
        raise OptionError(f"{moment!r} is no period of this calendar. Write it like {calendar.values[0]!s}.")
    return math.floor((place - calendar.start[0]) / _length(calendar) + 1e-9)


def _starts(study: Study, components: Sequence[str]) -> list[int]:
    """Positions of the periods in which a component starts somewhere, as the register has them now."""
    found: list[int] = []
    for name in components:
        component = study.component(name)
        if component.by_spells:
            starts = spells_of(component)["start"]
            found += [i for s in starts if (i := _position(study.calendar, s)) is not None and i > 0]
        else:
            on = study.paths.state[:, :, study.paths.index(name)] > 0
            began = np.flatnonzero((on[:, 1:] & ~on[:, :-1]).any(axis=0)) + 1
            found += [int(i) for i in began]
    return found


def name_at(calendar: Calendar, position: int) -> str:
    """The name of a period, counted from the first of the calendar; names go on beyond its end."""
    if position < len(calendar):
        return str(calendar.values[position])
    start = calendar.start[-1] + (position - len(calendar) + 1) * _length(calendar)
    if calendar.kind == "number":
        return f"{start:g}"
    day = date_at(calendar.kind, start)
    if calendar.kind == "quarter":
        return f"{day.year}Q{(day.month + 2) // 3}"
    return day.isoformat()[:7] if calendar.kind == "month" else day.isoformat()


def date_at(kind: str, position: float) -> date:
    """The day of a position on a calendar's line."""
    if kind == "day":
        return (pd.Timestamp("1970-01-01") + pd.Timedelta(days=math.floor(position + 1e-9))).date()
    a_year = _A_YEAR.get(kind, 1)
    months = (position / a_year) * 12
    whole = math.floor(months + 1e-9)
    days = (months - whole) * 30.436875
    return date(whole // 12, whole % 12 + 1, 1) + timedelta(days=max(0, round(days)))


def due(calendar: Calendar, look: str, settle: int) -> float:
    """The position on the calendar's line at which a look's last period is complete."""
    place = float(calendar.place(np.array([_read(look, calendar)], dtype=object))[0])
    return place + _length(calendar) + waits(calendar, settle)


def _read(look: str, calendar: Calendar) -> object:
    return float(look) if calendar.kind == "number" and not isinstance(calendar.values[0], str) else look


def waits(calendar: Calendar, settle: int) -> float:
    """So many days on the calendar's line; none where its numbers are no years."""
    dated = calendar.kind != "number" or (calendar.start.min() >= 1800 and calendar.start.max() <= 2200)
    return settle / _DAYS[calendar.kind] if dated else 0.0


def position_of(calendar: Calendar, as_of: object) -> float:
    """A day (or a number, where periods are numbers) on the calendar's line; a period stands for its end."""
    place = float(calendar.place(np.array([as_of], dtype=object))[0])
    if math.isnan(place):
        raise OptionError(f"as_of={as_of!r} is no day. Write it like 2027-05-31, or as a period of the study.")
    return place if isinstance(as_of, date) else place + (1.0 if calendar.kind != "day" else 0.0)


def complete(calendar: Calendar, position: float, settle: int) -> np.ndarray:
    """(T,) which periods are complete."""
    return calendar.stop + waits(calendar, settle) <= position + 1e-6
