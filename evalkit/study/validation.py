"""Structure and exposures are checked when a Study is made; everything wrong is collected and raised at once.

No outcome column is read here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitWarning, Problem, raise_problems, spelt, suggest
from evalkit.study.alike import CellSource
from evalkit.study.assignment import assignment_problems
from evalkit.study.calendar import (
    Calendar,
    calendar_kind,
    complete,
    make_calendar,
    odd_periods,
    period_positions,
    spelt_one_way,
)
from evalkit.study.component import Component, spells_of
from evalkit.study.exposure import Exposed, Setting, expose, join_paths
from evalkit.study.frame import Columns, key_array, numbers, say_rows
from evalkit.study.index import Index, build_index, check_fixed, check_people, own_rows, read_level, split_stays
from evalkit.study.money import money_problems
from evalkit.study.neighbours import read_near
from evalkit.study.paths import Paths, Spread
from evalkit.study.reading import advise_dates
from evalkit.study.register import Register, check_links
from evalkit.study.schema import ROLES, Known, check_column, check_events, check_table, unprintable
from evalkit.study.settings import settings_problems
from evalkit.vocabulary import Family, Missing


@dataclass(frozen=True, eq=False)
class Opened:
    """A study whose structure and exposures are in order. base: the grid before units were split into stays."""

    base: Index
    index: Index
    calendar: Calendar
    paths: Paths
    movers: int

    def subset(self, units: np.ndarray, periods: np.ndarray) -> Opened:
        """The same study for positions of units and periods; nothing is checked again."""
        return replace(
            self,
            index=self.index.subset(units, periods),
            calendar=self.calendar.subset(periods),
            paths=self.paths.subset(units, periods),
        )


@dataclass(frozen=True, eq=False)
class _Reading:
    """A study while it is being opened: problems pile up and are raised together."""

    register: Register
    columns: Columns
    problems: list[Problem]

    def add(self, what: str, where: str, advice: str) -> None:
        self.problems.append(Problem(what, where, advice))

    def check(self, name: str, role: str, subject: str) -> bool:
        """Whether a column that is there is what its role asks for; what is wrong piles up."""
        rows = (
            partial(self.columns.say, name) if role in ("reach", "weights") else partial(say_rows, self.columns.panel)
        )
        if self.columns.in_people(name):
            rows = partial(self.columns.say, name)
        found = check_column(self.columns.series(name), ROLES[role], f"{subject} {name!r}", rows)
        self.problems.extend(found)
        return not found


def open_study(register: Register, columns: Columns, base: Index | None, problems: list[Problem]) -> Opened:
    """Check everything but outcomes, and work out the paths.

    base: the grid, when the same rows were opened before. problems: found already.
    Raises `StudyError` that lists every problem; warns of gaps in the calendar.
    """
    needed = register.columns_needed(columns)
    columns.panel.prefetch([name for name, _ in needed if name not in register.covariates])
    names = {"component": [c.name for c in register.components], "outcome": [o.column for o in register.outcomes]}
    problems += (money := money_problems(register.money, Known(names, unit=register.unit)))
    problems += settings_problems(register.settings, [c.name for c in register.components])
    reading = _Reading(register, columns, problems)
    _check_register(reading, needed)
    if not columns.panel.n_rows:
        reading.add("The panel has no rows", "panel", "Give one row for each unit and period.")
        raise_problems(problems)
    values, fixed = _read_exposures(reading), _read_fixed(reading)
    grid = _check_grid(reading, fixed, _check_keys(reading) if base is None else base)
    homes, blocks = _level_names(register), [c.within for c in register.components if c.within is not None]
    moving = [key_array(columns.panel.column(n))[0] for n in homes if n != register.unit and columns.in_panel(n)]
    index, movers = split_stays(grid, moving)
    levels = {name: read_level(name, columns, index, register.unit) for name in dict.fromkeys([*homes, *blocks])}
    setting = Setting(register, levels, index, make_calendar(index.keys, register.every))
    by_unit = {name: read[own_rows(name, columns, index, register.unit)] for name, read in fixed.items()}
    if lone := setting.calendar.lone():
        what = f"Between the periods {lone[0]} and {lone[1]} lie more than 100 years"
        problems.append(Problem(what, "panel", "Mend the one that is wrong, or leave its rows out."))
    exposed = _expose_all(reading, setting, values, by_unit)
    dated = setting.calendar if register.period else None
    linked = [links.frame(name).get("from", ()) for name, links in register.levels.items()]
    places = np.array([v for ids in (*(x.names for x in levels.values()), *linked) for v in ids], dtype=object)
    placed = money_problems(register.money, Known({}, places, grid.units, dated, register.unit, again=True))
    problems += [problem for problem in placed if problem not in money]
    raise_problems([*problems, *check_events(register.events, setting.calendar)])
    paths = _paths(setting, exposed, by_unit.get(register.weights or ""))
    if isinstance(columns.panel, CellSource):
        heads = columns.panel.heads
        weights = heads.astype(np.float64) if paths.weights is None else heads * paths.weights
        paths = replace(paths, heads=heads, weights=weights, spread=Spread())
    near, unread = read_near(register, columns, index, setting.calendar, paths)
    paths = replace(paths, near=near)
    raise_problems(unread)
    raise_problems(
        assignment_problems(paths, lambda units: f"panel, {say_rows(columns.panel, index.first_row[units])}")
    )
    if base is None:
        _warn_of_gaps(setting.calendar)
    return Opened(grid, index, setting.calendar, paths, movers)


def _check_register(reading: _Reading, needed: list[tuple[str, str]]) -> None:
    """Problems that can be seen without reading a row: names, columns, contradictions."""
    register, columns = reading.register, reading.columns
    names = [c.name for c in register.components]
    if not names:
        reading.add("There are no components", "components", "Name at least one, for example components=['nurse'].")
    for name in sorted({n for n in names if names.count(n) > 1}):
        reading.add(f"Component {name!r} is there {names.count(name)} times", "components", "Give each its own name.")
    for c in register.components:
        where = f"component {c.name!r}"
        if c.replaces is not None and c.replaces not in names:
            known = suggest(str(c.replaces), names, "The components are")
            reading.add(f"It replaces {c.replaces!r}, which is not a component", where, known)
        if c.replaces is not None and c.replaces == c.name:
            reading.add("It replaces itself", where, "Name the component that it takes over from.")
        if register.exposure_of(c, columns) is None and not c.by_spells and not c.always_on:
            reading.add("It has neither exposure nor adoption", where, "Name a 0/1 column or give dated spells.")
    reading.problems.extend(columns.absent(name, role) for name, role in needed if not columns.has(name))
    exposures = [(register.exposure_of(c, columns), f"exposure of component {c.name!r}") for c in register.components]
    for name, role in ((register.unit, "unit"), (register.period, "period"), *exposures):
        if name is not None and columns.in_people(name):
            reading.problems.append(columns.absent(name, role))
    said = [("title", register.title), ("question", register.question)]
    said += [(f"The name of {role}", name) for name, role in needed] + [("A level's name", n) for n in register.levels]
    for key, words in said:
        if unprintable(words):
            reading.add(f"{key} holds a character that cannot be printed", "study", "Take it out.")
    if register.family not in get_args(Family):
        reading.add(f"family={register.family!r}", "study", "Give 'outcome', or 'all' for one family of all outcomes.")
    if register.missing not in get_args(Missing):
        listed = ", ".join(map(repr, get_args(Missing)))
        reading.add(f"missing={register.missing!r}", "study", f"Use one of: {listed}.")
    if register.every is not None and not _is_step(register.every):
        reading.add(f"every={spelt(register.every)}", "calendar", "Give the number of steps between periods, above 0.")


def _is_step(every: object) -> bool:
    return isinstance(every, int | float) and not isinstance(every, bool) and every > 0


def _check_grid(reading: _Reading, fixed: dict[str, np.ndarray], grid: Index | None) -> Index:
    """The grid, with people, fixed columns and levels in order on it; else everything wrong so far is raised."""
    if grid is None:
        spells = {f"adoption of component {c.name!r}": spells_of(c) for c in reading.register.components if c.by_spells}
        known = [p for where, table in spells.items() for p in check_table("adoption", table, where)]
        raise_problems([*reading.problems, *known])
    assert grid is not None
    register, columns = reading.register, reading.columns
    named = [register.weights, register.cluster, *register.covariates]
    named += [n for c in register.components for n in (c.reach, c.assigned_at, c.within, c.compliance)]
    not_matched = check_people(columns, grid, register.unit, [n for n in named if n is not None])
    reading.problems.extend(not_matched)
    if not_matched:
        raise_problems(reading.problems)
    for name, read in fixed.items():
        reading.problems.extend(check_fixed(name, read, columns, grid))
    if not _levels_usable(reading, grid):
        raise_problems(reading.problems)
    return grid


def _read_exposures(reading: _Reading) -> dict[str, np.ndarray]:
    """(N,) exposure columns by component, as far as they are numbers."""
    panel, values = reading.columns.panel, dict[str, np.ndarray]()
    for c in reading.register.components:
        name = reading.register.exposure_of(c, reading.columns)
        if name is None or not reading.columns.in_panel(name):
            continue
        if c.first_period is not None:
            read = _after_first(reading, c)
            values |= {} if read is None else {c.name: read}
        elif reading.check(name, "exposure", f"Component {c.name!r}: exposure"):
            values[c.name] = numbers(panel.column(name))[0]
    return values


def _after_first(reading: _Reading, component: Component) -> np.ndarray | None:
    """(N,) whether each row's period is that of the component's first one or later; None where a first period cannot
    be read, which piles up."""
    register, panel = reading.register, reading.columns.panel
    where, name = f"component {component.name!r}", str(component.first_period)
    if register.period is None:
        reading.add("first_period needs a study with periods", where, "Give exposure, a 0/1 column.")
        return None
    if not reading.columns.in_panel(register.period):
        return None
    period, first = panel.column(register.period), panel.column(name)
    stamps = np.asarray(pd.unique(period.dropna()))
    if not len(stamps) or not calendar_kind(stamps):
        return None
    calendar = make_calendar(stamps[np.argsort(period_positions(stamps), kind="stable")])
    distinct = [v for v in pd.unique(first.dropna()) if not (isinstance(v, (float, np.floating)) and np.isinf(v))]
    place = dict(zip(distinct, calendar.place(np.array([*distinct, None], dtype=object)), strict=False))
    if calendar.kind != "number":  # no date is 0: that is how others write never
        place |= {v: np.inf for v in distinct if str(v).strip() in ("0", "0.0")}
    unread = [v for v, p in place.items() if np.isnan(p)]
    none = 0 if calendar.kind == "number" and calendar.start.min() > 0 else np.nan
    odd = unread or [v for v, p in place.items() if p < 0 and none == 0]
    if odd:
        rows = np.flatnonzero(first.isin(odd).to_numpy())
        key = advise_dates(v for v in odd[:50] if isinstance(v, str))
        advice = f"Write the first period as in {register.period!r}, and leave it empty for never. {key}".strip()
        reading.add(f"first_period {name!r} holds {spelt(odd[0])}", f"{where}, {say_rows(panel, rows)}", advice)
        return None
    begins = first.map({v: np.inf if p == none else p for v, p in place.items()}).astype(np.float64).fillna(np.inf)
    stop = period.map(dict(zip(calendar.values, calendar.stop, strict=True))).astype(np.float64)
    return (stop.to_numpy() > begins.to_numpy()).astype(np.int8)


def _read_fixed(reading: _Reading) -> dict[str, np.ndarray]:
    """Weights, then reaches: columns that are fixed for a unit, as numbers in their own rows (panel or people)."""
    values, weights, columns = {}, reading.register.weights, reading.columns
    roles = {weights: "weights"} if weights else {}
    roles |= {c.reach: "reach" for c in reading.register.components if c.reach is not None}
    for name, role in roles.items():
        if not columns.has(name):
            continue
        if reading.check(name, role, role):
            values[name] = numbers(columns.series(name))[0]
    return values


def _check_keys(reading: _Reading) -> Index | None:
    """The grid of units and periods, if unit and period are there and complete."""
    register, columns = reading.register, reading.columns
    before = len(reading.problems)
    keys = {register.unit: "unit", **({register.period: "period"} if register.period else {})}
    for name, role in keys.items():
        if columns.in_panel(name):
            reading.check(name, role, role)
    if len(reading.problems) > before or not all(columns.in_panel(name) for name in keys):
        return None
    period = columns.panel.column(register.period) if register.period else None
    stamps = None if period is None else key_array(period)[1]
    if period is not None and stamps is not None and not calendar_kind(stamps):
        odd = odd_periods(stamps)
        shown = ", ".join(spelt(s) for s in odd[:3])
        key = advise_dates(s for s in odd[:200] if isinstance(s, str))
        advice = f"Use whole numbers, months (2020-03), quarters (2020Q1) or dates, one kind throughout. {key}".strip()
        where = say_rows(columns.panel, np.flatnonzero(period.isin(odd).to_numpy()))
        reading.add(f"period {register.period!r} holds {shown}", f"calendar, {where}", advice)
        return None
    if period is not None and stamps is not None and (one_way := spelt_one_way(stamps)) is not stamps:
        period = period.map(dict(zip(stamps, one_way, strict=True)))
    index, repeated = build_index(columns.panel.column(register.unit), period)
    if index is None:
        what = " and ".join(keys.values())
        where, advice = say_rows(columns.panel, repeated), f"Keep one row for each {what}."
        reading.add(f"{len(repeated)} rows repeat a {what}", where, advice)
    every = None if period is None else register.every
    if index is None or every is None:
        return index
    if not _is_step(every):
        return None
    found = complete(index.keys, float(every))
    if found is None:
        reading.add(
            f"Periods are not whole steps of every={spelt(every)}", "calendar", "Give the length of one period."
        )
        return None
    return index if len(found[0]) == len(index.keys) else index.widened(*found)


def _level_names(register: Register) -> list[str]:
    homes = [register.home_of(c) for c in register.components]
    links = [link.to for link in register.levels.values()]
    return list(dict.fromkeys([register.cluster or register.unit, *homes, *links]))


def _levels_usable(reading: _Reading, base: Index) -> bool:
    """Every level column is there and complete, and its links make sense."""
    register, before = reading.register, len(reading.problems)
    for name in _level_names(register):
        if name == register.unit:
            continue
        if not reading.columns.has(name):
            return False
        reading.check(name, "level", "level")
    for c in register.components:
        if c.within is not None and not reading.columns.has(c.within):
            return False
        if c.within is not None and reading.check(c.within, "level", "within"):
            values = key_array(reading.columns.series(c.within))[0]
            reading.problems.extend(check_fixed(c.within, values, reading.columns, base))
        if c.compliance is not None and reading.columns.has(c.compliance):
            reading.check(c.compliance, "exposure", f"Component {c.name!r}: compliance")
    if len(reading.problems) > before:
        return False
    for name, link in register.levels.items():
        level = read_level(link.to, reading.columns, base, register.unit)
        reading.problems.extend(check_links(name, link.frame(name), level.names))
    return len(reading.problems) == before


def _expose_all(
    reading: _Reading, setting: Setting, values: dict[str, np.ndarray], fixed: dict[str, np.ndarray]
) -> list[Exposed]:
    """What each component's exposure says, as far as its columns could be read."""
    made = []
    for c in reading.register.components:
        reach = fixed[c.reach].astype(bool) if c.reach in fixed else None
        unread = reading.register.exposure_of(c, reading.columns) is not None or not (c.by_spells or c.always_on)
        if (unread and c.name not in values) or (c.reach is not None and reach is None):
            continue
        exposed, found = expose(c, setting, values.get(c.name), reach)
        reading.problems.extend(found)
        if exposed is not None:
            made.append(exposed)
    return made


def _warn_of_gaps(calendar: Calendar) -> None:
    if calendar.gaps:
        listed = ", ".join(str(g) for g in calendar.gaps[:5])
        warnings.warn(
            f"The calendar has gaps after {listed}: the previous period is the previous one in the panel. "
            "Set every= if the periods between belong to the study.",
            EvalkitWarning,
            stacklevel=4,
        )


def _paths(setting: Setting, exposed: list[Exposed], weights: np.ndarray | None) -> Paths:
    register, index = setting.register, setting.index
    path, state, reach = join_paths(exposed, *index.shape)
    return Paths(
        units=index.units,
        periods=index.keys,
        components=tuple(c.name for c in register.components),
        path=path,
        state=state,
        reach=reach,
        levels=dict(setting.levels),
        assigned_at={c.name: register.home_of(c) for c in register.components},
        cluster=register.cluster or register.unit,
        cluster_given=register.cluster is not None,
        seen=index.seen,
        weights=None if weights is None else weights.astype(np.float64),
        lags=tuple(int(c.lag) for c in register.components),
        always_on=tuple(c.always_on for c in register.components),
        doses=tuple(e.doses for e in exposed),
        randomised={c.name: c.within or "" for c in register.components if c.assigned is not None},
    )
