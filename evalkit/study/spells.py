"""Dated spells: when each place had a component on, and how much of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem, spelt
from evalkit.study.calendar import Calendar
from evalkit.study.component import Component, bounded, spells_of, unsure
from evalkit.study.frame import match, numbers, read_table, wrong_rows
from evalkit.study.paths import Level
from evalkit.study.register import Register, link_weights
from evalkit.study.schema import TABLE_CELLS, Known, check_table

_TINY = 1e-9
_MEND = "Mend the names, or assigned_at."
_QUARTER = {"month": 3.0, "quarter": 1.0, "day": 91.0}
"""A quarter of a year in the units of each calendar; one period where the calendar has no dates."""


@dataclass(frozen=True, eq=False)
class Doses:
    """Doses of G groups in T periods, NaN where nothing says.

    low, high: least and most within the period (equal unless it changed part-way).
    major: the dose that held longest. mean: averaged over the period.
    """

    low: np.ndarray
    high: np.ndarray
    major: np.ndarray
    mean: np.ndarray

    @classmethod
    def whole(cls, table: np.ndarray) -> Doses:
        """Doses that never change within a period."""
        return cls(table, table, table, table)

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Doses:
        """The same change made to each table, once where they are one."""
        if self.low is self.high:
            return Doses.whole(change(self.low))
        return Doses(change(self.low), change(self.high), change(self.major), change(self.mean))


def spell_doses(
    component: Component, register: Register, level: Level, calendar: Calendar
) -> tuple[Doses | None, list[Problem]]:
    """(L, T) doses of every group of the level from its spells, or what is wrong with them.

    A period partly covered keeps the least and the most dose it had; nothing is
    unknown, because a place without a spell was off.
    """
    where = f"adoption of component {component.name!r}"
    table = spells_of(component)
    problems = check_table("adoption", table, where, Known(calendar=calendar))
    problems += _misnamed(component, register, where, len(table))
    if not {"level_id", "start"} <= set(table.columns) or not len(table):
        return None, problems
    name = register.level_of(component)
    links = register.levels.get(name)
    weights, places = link_weights(links.frame(name), level.names) if links else (None, level.names)
    code = match(table["level_id"].to_numpy(), places)
    listed = ", ".join(dict.fromkeys(spelt(v) for v in table["level_id"][code < 0].iloc[:5]))
    what = f"Places that the level {name!r} does not have: {listed}"
    problems += wrong_rows(table, (code < 0) & table["level_id"].notna().to_numpy(), what, where, _MEND)
    if not problems:
        start, stop, dose = _read_spells(table, calendar)
        low, high = _read_bounds(table, calendar, start)
        problems = _check_order(table, code, start, stop, where) + _check_bounds(table, (low, start, high, stop), where)
    if problems:
        return None, problems
    start, stop = _reread(component.dates, table, calendar.kind, code, (start, stop))
    cover = lambda start: _cover(code, (start, stop, dose), len(places), calendar)  # noqa: E731
    if component.dates == "as_given" and (low < high).any():
        doses = _between(cover(_after_others(low, stop, code)), cover(start), cover(high))
    else:
        known = bounded(table)
        read = {"early": _after_others(low, stop, code), "late": high}.get(component.dates, start)
        doses = cover(np.where(known, read, start))
    return doses if weights is None else doses.each(lambda table: weights @ table), []


def _misnamed(component: Component, register: Register, where: str, own: int) -> list[Problem]:
    """No row that names the component, or rows that nearly do: spells that would go missing in silence."""
    table = read_table(component.adoption, where, TABLE_CELLS)
    named = table.get("component", pd.Series(dtype=object)).astype(object)
    names = [str(n) for n in named.dropna().unique()]
    if not own:
        what = f"There are no spells of component {component.name!r}"
        other = f"; the table names {', '.join(names[:5])}" if names else ""
        return [Problem(what + other, where, "Mend the name, or add its spells.")]
    if (nameless := named.isna().to_numpy()).any():
        return wrong_rows(table, nameless, "The component is missing", where, "Name it in every row.")
    known = [c.name for c in register.components]
    near = [n for n in names if n not in known and difflib.get_close_matches(n, known, 1, 0.8) == [component.name]]
    what = f"Unknown component {', '.join(map(repr, near))}"
    rows = named.astype(str).isin(near).to_numpy()
    return wrong_rows(table, rows, what, where, f"Did you mean {component.name!r}?")


def _read_spells(table: pd.DataFrame, calendar: Calendar) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, stop (infinite where there is no end) and dose (1 where none is given) of each spell."""
    start, stop, dose = calendar.place(table["start"].to_numpy(dtype=object)), np.inf, 1.0
    if "end" in table.columns:
        stop = np.where(table["end"].isna(), np.inf, calendar.place(table["end"].to_numpy(dtype=object)))
    if "dose" in table.columns:
        dose = np.where(table["dose"].isna(), 1.0, numbers(table["dose"])[0])
    return start, np.broadcast_to(stop, start.shape).copy(), np.broadcast_to(dose, start.shape).copy()


def _read_bounds(table: pd.DataFrame, calendar: Calendar, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Earliest and latest start of each spell: its start where nothing is said."""
    found = []
    for name in ("start_low", "start_high"):
        given = table[name].to_numpy(dtype=object) if name in table.columns else np.full(len(table), None, dtype=object)
        found.append(np.where(pd.isna(given), start, calendar.place(given)))
    return found[0], found[1]


def _check_bounds(table: pd.DataFrame, moments: tuple[np.ndarray, ...], where: str) -> list[Problem]:
    low, start, high, stop = moments
    advice = "Give the earliest, a start between the two, and the latest."
    problems = wrong_rows(table, high < low, "The latest start lies before the earliest", where, advice)
    outside = (high >= low) & ((start < low) | (start > high))
    problems += wrong_rows(table, outside, "A start lies outside its earliest and latest", where, advice)
    late = (high >= stop) & (high > start)
    return problems + wrong_rows(table, late, "A spell ends before its latest start", where, "Give an earlier one.")


def _after_others(low: np.ndarray, stop: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Earliest starts, none before the spell before it in its place has ended."""
    order = np.lexsort((low, code))
    out = low.copy()
    same = code[order][1:] == code[order][:-1]
    out[order[1:]] = np.where(same, np.maximum(low[order[1:]], stop[order[:-1]]), low[order[1:]])
    return out


def _between(early: Doses, given: Doses, late: Doses) -> Doses:
    """Doses where starts lie between two moments: least and most over both, as recorded where one has to be taken."""
    low, high = np.minimum(early.low, late.low), np.maximum(early.high, late.high)
    return Doses(low, high, given.major, np.where(low == high, low, (early.mean + late.mean) / 2))


def _check_order(
    table: pd.DataFrame, code: np.ndarray, start: np.ndarray, stop: np.ndarray, where: str
) -> list[Problem]:
    what, advice = "A spell ends before it starts, or as it starts", "The end is the first moment at which it is off."
    problems = wrong_rows(table, stop <= start, what, where, advice)
    order = np.lexsort((start, code))
    same = (code[order][1:] == code[order][:-1]) & (code[order][1:] >= 0)
    clash = np.flatnonzero(same & (start[order][1:] < stop[order][:-1] - _TINY))
    both = np.isin(np.arange(len(table)), np.concatenate([order[clash], order[clash + 1]]))
    return problems + wrong_rows(table, both, "Spells of one place overlap", where, "End one before the next starts.")


def _reread(
    dates: str, table: pd.DataFrame, kind: str, code: np.ndarray, spells: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops with uncertain dates read early or late; a spell ends where the next one of its place begins."""
    start, stop = spells
    if dates == "as_given" or not unsure(table).any():
        return start, stop
    sign, quarter = (-1.0 if dates == "early" else 1.0), _QUARTER.get(kind, 1.0)
    by = np.where((table["certainty"] == "guessed").to_numpy(), sign * quarter, 0.0)
    length = table["certainty"].map({"quarter": quarter, "year": 4 * quarter}).fillna(0.0).to_numpy(dtype=float)
    if kind in ("month", "quarter"):
        first = np.floor(start / np.maximum(length, 1.0)) * length
        by = np.where(length > 0, first - start if sign < 0 else np.maximum(first + length - 1 - start, 0.0), by)
    elif kind == "day":
        by = np.where(length > 0, sign * length / 2, by)
    start, stop = start + by, stop + by
    order = np.lexsort((start, code))
    follows = np.append(code[order][1:] == code[order][:-1], False)
    ahead = np.append(start[order][1:], np.inf)
    stop[order] = np.where(follows, np.minimum(stop[order], ahead), stop[order])
    return start, stop


def _cover(
    code: np.ndarray, spells: tuple[np.ndarray, np.ndarray, np.ndarray], n_places: int, calendar: Calendar
) -> Doses:
    """Least, most, longest and mean dose of each place and period."""
    start, stop, dose = spells
    shape = (n_places, len(calendar))
    order = np.argsort(code, kind="stable")
    length = calendar.stop - calendar.start
    inside = np.minimum(stop[order, None], calendar.stop) - np.maximum(start[order, None], calendar.start)
    share = np.clip(inside, 0, None) / length
    share[share < _TINY] = 0.0
    amount = np.where(share > 0, dose[order, None], np.nan)
    on, mean, longest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    low, high, major = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    place = code[order]
    np.add.at(on, place, share)
    np.add.at(mean, place, share * dose[order, None])
    np.fmin.at(low, place, amount)
    np.fmax.at(high, place, amount)
    np.maximum.at(longest, place, share)
    holds = (share > 0) & (share >= longest[place] - _TINY)
    np.fmax.at(major, place, np.where(holds, amount, 0.0))
    rest = on < 1 - 1e-6
    low = np.where(rest, np.fmin(low, 0.0), low)
    low, high = np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), 0.0, high)
    major = np.where(1 - on > longest + _TINY, 0.0, major)
    return Doses(low, high, major, np.where(low == high, low, mean))
