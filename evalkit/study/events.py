"""Background events: other things that went on at the time, drawn as bands and never estimated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import Problem

if TYPE_CHECKING:
    from evalkit.study.calendar import Calendar


@dataclass(frozen=True)
class Event:
    """Something in the background: words, first moment, first moment after it (None: still going on)."""

    label: str
    start: Any
    end: Any = None


def events_of(given: Any, problems: list[Problem]) -> tuple[Event, ...]:
    """Events from Events, (label, start, end) tuples or mappings; others pile up in `problems`."""
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.astype(object).where(given.notna(), None).to_dict("records")
    rows: Iterable[Any] = [] if given is None else given
    out = []
    for i, one in enumerate(rows, 1):
        made = _event(one)
        if made is None:
            problems.append(Problem(f"{one!r} is not an event", f"table events, row {i}", "Give label, start and end."))
        else:
            out.append(made)
    return tuple(out)


def _event(one: Any) -> Event | None:
    if isinstance(one, Event):
        return one
    if isinstance(one, Mapping):
        if not {"label", "start"} <= set(one) or not set(one) <= {"label", "start", "end"}:
            return None
        one = (one["label"], one["start"], one.get("end"))
    if not isinstance(one, (tuple, list)) or len(one) not in (2, 3) or not str(one[0]).strip():
        return None
    return Event(str(one[0]), one[1], one[2] if len(one) == 3 else None)


def event_problems(events: Iterable[Event], calendar: Calendar) -> list[Problem]:
    """Events whose dates this calendar cannot read, or that end before they start."""
    problems = []
    for i, e in enumerate(events, 1):
        start, end = calendar.place(np.array([e.start, e.end], dtype=object))
        where = f"table events, row {i} ({e.label})"
        if np.isnan(start) or (e.end is not None and np.isnan(end)):
            problems.append(Problem("A date cannot be read", where, f"Write it like {calendar.values[0]!s}."))
        elif e.end is not None and end <= start:
            problems.append(Problem("An event ends before it starts", where, "The end is the first moment after it."))
    return problems


def event_bands(events: Iterable[Event], calendar: Calendar) -> list[tuple[str, Any, Any]]:
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
