"""The first door: structure and exposures are checked when a Study is made.

Everything wrong is collected and raised at once. No outcome column is read here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from evalkit.errors import EvalkitWarning, Problem, first_rows, raise_problems
from evalkit.study.calendar import Calendar, calendar_kind, complete, make_calendar, period_order
from evalkit.study.columns import Columns, check_numbers, check_present
from evalkit.study.exposing import Setting, expose
from evalkit.study.exposure import Exposed, join_paths
from evalkit.study.frame import key_array, say_rows
from evalkit.study.index import Index, build_index
from evalkit.study.levels import by_row, check_fixed, check_links, check_people, read_level, split_stays
from evalkit.study.paths import Level, Paths
from evalkit.study.register import Register, check_register


@dataclass(frozen=True, eq=False)
class Opened:
    """What stands behind the first door. base: the grid before units were split into stays."""

    base: Index
    index: Index
    calendar: Calendar
    paths: Paths
    movers: int


@dataclass(eq=False)
class _Door:
    """The door while it is being opened: problems pile up and are raised together."""

    register: Register
    columns: Columns
    problems: list[Problem] = field(default_factory=list)

    def usable(self, name: str | None) -> bool:
        """Whether a column is there (its absence has been reported already)."""
        return name is not None and self.columns.has(name)

    def stop_if_any(self) -> None:
        raise_problems(self.problems)


def open_door(
    register: Register, columns: Columns, base: Index | None = None, problems: list[Problem] | None = None
) -> Opened:
    """Check everything but outcomes, and work out the paths.

    base: the grid, when the same rows were opened before. problems: found already.
    Raises `StudyError` that lists every problem; warns of gaps in the calendar.
    """
    door = _Door(register, columns, [*(problems or []), *check_register(register, columns)])
    if not columns.panel.n_rows:
        door.problems.append(Problem("The panel has no rows", "panel", "Give one row for each unit and period."))
        door.stop_if_any()
    values = _read_exposures(door)
    weights = _read_weights(door)
    reaches = _read_reaches(door)
    fresh = base is None
    base = _check_keys(door) if base is None else base
    if base is None:
        door.stop_if_any()
    assert base is not None
    people = check_people(columns, base, register.unit, _fixed_names(register))
    if people:
        door.problems += people
        door.stop_if_any()
    for name, read in {**reaches, **weights}.items():
        door.problems += check_fixed(name, read, columns, base)
    if not _levels_usable(door, base):
        door.stop_if_any()
    index, levels, movers = _read_levels(door, base)
    calendar = make_calendar(index.keys, register.every)
    setting = Setting(register, levels, index, calendar)
    fixed = {name: by_row(name, read, columns, index, register.unit) for name, read in {**reaches, **weights}.items()}
    exposed = _expose_all(door, setting, values, fixed)
    door.stop_if_any()
    if fresh:
        _warn_of_gaps(calendar)
    paths = _assemble(setting, exposed, fixed.get(register.weights or ""))
    return Opened(base, index, calendar, paths, movers)


def _read_exposures(door: _Door) -> dict[str, np.ndarray]:
    """(N,) exposure columns by component, as far as they are numbers."""
    panel, out = door.columns.panel, {}
    for c in door.register.components:
        name = door.register.exposure_of(c, door.columns)
        if name is None or not door.columns.in_panel(name):
            continue
        read, found = check_numbers(
            panel.column(name), name, f"Component {c.name!r}: exposure", lambda r: say_rows(panel, r)
        )
        door.problems += found
        if read is not None:
            out[c.name] = read
    return out


def _fixed(door: _Door, name: str, role: str) -> np.ndarray | None:
    """A column that is fixed for a unit, as numbers, in its own rows (panel or people)."""
    if not door.usable(name):
        return None
    people = door.columns.people
    if door.columns.in_panel(name):
        series = door.columns.panel.column(name)
    else:
        assert people is not None
        series = people[name]
    read, found = check_numbers(series, name, role, _where_fixed(door, name))
    door.problems += found
    return read


def _where_fixed(door: _Door, name: str) -> Callable[[np.ndarray], str]:
    """Says rows of a column that is fixed for a unit, in the table that holds it."""
    panel, people = door.columns.panel, door.columns.people
    if door.columns.in_panel(name) or people is None:
        return lambda rows: f"panel, {say_rows(panel, rows)}"
    return lambda rows: f"people, {first_rows(people.index[rows[:5]], len(rows))}"


def _read_weights(door: _Door) -> dict[str, np.ndarray]:
    name = door.register.weights
    read = None if name is None else _fixed(door, name, "weights")
    return {} if name is None or read is None else {name: read}


def _read_reaches(door: _Door) -> dict[str, np.ndarray]:
    out = {}
    for name in dict.fromkeys(c.reach for c in door.register.components if c.reach is not None):
        read = _fixed(door, name, "reach")
        if read is None:
            continue
        wrong = np.flatnonzero(~((read == 0) | (read == 1)))
        if not len(wrong):
            out[name] = read
        else:
            door.problems.append(
                Problem(
                    f"reach {name!r} is not 0 or 1 everywhere",
                    _where_fixed(door, name)(wrong),
                    "Use 1 for those whom the component can reach, else 0.",
                )
            )
    return out


def _check_keys(door: _Door) -> Index | None:
    """The grid of units and periods, if unit and period are there and complete."""
    register, columns = door.register, door.columns
    before = len(door.problems)
    for name, role in ((register.unit, "unit"), (register.period, "period")):
        if name is not None:
            door.problems += check_present(columns, name, role)
    keys = [register.unit, *([register.period] if register.period else [])]
    if len(door.problems) > before or not all(columns.in_panel(k) for k in keys):
        return None
    period = columns.panel.column(register.period) if register.period else None
    if period is not None and not _is_calendar(door, period):
        return None
    index, repeated = build_index(columns.panel.column(register.unit), period, period_order)
    if index is None:
        what = "unit and period" if register.period else "unit"
        door.problems.append(
            Problem(
                f"{len(repeated)} rows repeat a {what}",
                say_rows(columns.panel, repeated),
                f"Keep one row for each {what}.",
            )
        )
        return None
    if register.every is not None and register.period is not None:
        return _complete(door, index)
    return index


def _is_calendar(door: _Door, period: object) -> bool:
    _, stamps = key_array(period)
    if stamps is None or calendar_kind(stamps):
        return True
    shown = ", ".join(repr(s) for s in stamps[:3])
    door.problems.append(
        Problem(
            f"period {door.register.period!r} holds {shown}",
            "calendar",
            "Use whole numbers, months (2020-03), quarters (2020Q1) or dates, one kind throughout.",
        )
    )
    return False


def _complete(door: _Door, index: Index) -> Index | None:
    """Put in the periods that `every` says are there, though nobody was seen in them."""
    found = complete(index.keys, float(door.register.every))
    if found is None:
        door.problems.append(
            Problem(
                f"Periods are not whole steps of every={door.register.every!r}",
                "calendar",
                "Give the length of one period.",
            )
        )
        return None
    keys, place = found
    if len(keys) == len(index.keys):
        return index
    n, T = index.shape
    position = np.full((n, len(keys)), -1, dtype=np.int64)
    position[:, place] = np.arange(n * T).reshape(n, T) if index.position is None else index.position
    return Index(index.units, keys, position)


def _fixed_names(register: Register) -> list[str]:
    """Columns that may come from the table of people."""
    names = [register.weights, register.cluster, *register.covariates]
    names += [n for c in register.components for n in (c.reach, c.assigned_at)]
    return [n for n in names if n is not None]


def _level_names(door: _Door) -> list[str]:
    register = door.register
    homes = [register.home_of(c) for c in register.components]
    return list(
        dict.fromkeys([register.cluster or register.unit, *homes, *(link.to for link in register.links.values())])
    )


def _levels_usable(door: _Door, base: Index) -> bool:
    """Every level column is there and complete, and its links make sense."""
    before = len(door.problems)
    for name in _level_names(door):
        if name == door.register.unit:
            continue
        if not door.columns.has(name):
            return False
        door.problems += check_present(door.columns, name, "level")
    if len(door.problems) > before:
        return False
    for name, link in door.register.links.items():
        level = read_level(link.to, door.columns, base, door.register.unit)
        door.problems += check_links(name, link.frame(name), level.names)
    return len(door.problems) == before


def _read_levels(door: _Door, base: Index) -> tuple[Index, dict[str, Level], int]:
    names = [n for n in _level_names(door) if n != door.register.unit]
    moving = [key_array(door.columns.panel.column(n))[0] for n in names if door.columns.in_panel(n)]
    index, movers = split_stays(base, moving)
    return index, {n: read_level(n, door.columns, index, door.register.unit) for n in _level_names(door)}, movers


def _expose_all(
    door: _Door, setting: Setting, values: dict[str, np.ndarray], fixed: dict[str, np.ndarray]
) -> list[Exposed]:
    out = []
    for c in door.register.components:
        reach = fixed[c.reach].astype(bool) if c.reach in fixed else None
        named = door.register.exposure_of(c, door.columns)
        if (named is not None and c.name not in values) or (c.reach is not None and reach is None):
            continue
        if named is None and not c.by_spells and not c.always_on:
            continue
        one, found = expose(c, setting, values.get(c.name), reach)
        door.problems += found
        if one is not None:
            out.append(one)
    return out


def _warn_of_gaps(calendar: Calendar) -> None:
    if calendar.gaps:
        said = ", ".join(str(g) for g in calendar.gaps[:5])
        warnings.warn(
            f"The calendar has gaps after {said}: the previous period is the previous one in the panel. "
            "Set every= if the periods between belong to the study.",
            EvalkitWarning,
            stacklevel=5,
        )


def _assemble(setting: Setting, exposed: list[Exposed], weights: np.ndarray | None) -> Paths:
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
    )
