"""The exposure of one component: from its column or spells to state codes of groups."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.errors import EvalkitWarning, Problem
from evalkit.study.calendar import Calendar
from evalkit.study.component import Component
from evalkit.study.index import Index
from evalkit.study.paths import Level
from evalkit.study.register import Register
from evalkit.study.spells import spell_doses
from evalkit.study.states import Doses, Exposed, carry, cut_points, doses_of_states, is_plain, read_states

STRAY = 0.02
"""Values above 1 count as strays where all but this share of a column are 0 or 1."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What every component's exposure is read against."""

    register: Register
    levels: Mapping[str, Level]
    index: Index
    calendar: Calendar


@dataclass(frozen=True, eq=False)
class Groups:
    """Units of one level and reach. of: (n,) or None when each unit is its own group."""

    of: np.ndarray | None
    level: np.ndarray
    reach: np.ndarray | None


def expose(
    component: Component, setting: Setting, values: np.ndarray | None, reach: np.ndarray | None
) -> tuple[Exposed | None, list[Problem]]:
    """States of the groups of one component, or what is wrong with its exposure.

    values: (N,) exposure column, None for spells and components that are always on.
    reach: (n,) whether it can reach each unit, None for everybody.
    """
    level = setting.levels[setting.register.home_of(component)]
    problems: list[Problem] = []
    doses: Doses | None
    if component.by_spells:
        groups = _groups(level.codes, reach)
        found, problems = spell_doses(component, setting.register, level, setting.calendar)
        doses = None if found is None else found.each(lambda table: table[groups.level])
    elif values is not None:
        groups = _groups(level.codes, reach)
        doses, problems = _column_doses(component, setting, values, groups)
        _warn_of_strays(component, setting, values)
    else:
        groups = _groups(np.zeros(setting.index.shape[0], dtype=np.intp), reach)
        doses = Doses.whole(np.ones((len(groups.level), setting.index.shape[1]), dtype=np.int8))
    if doses is None:
        return None, problems
    doses = doses.each(lambda table: _within_reach(table, groups.reach))
    problems += _check_always_on(component, doses, level, groups)
    cuts = cut_points(doses, component.bins)
    if isinstance(cuts, Problem):
        return None, [*problems, Problem(cuts.what, f"component {component.name!r}", cuts.next)]
    states = read_states(doses, cuts, component.part_period)
    return Exposed(carry(states), groups.of, groups.reach, doses_of_states(doses, cuts, states.state)), problems


def _groups(codes: np.ndarray, reach: np.ndarray | None) -> Groups:
    """Level x reach; when every unit is its own group nothing is looked up."""
    n = len(codes)
    own = n > 0 and codes[-1] == n - 1 and bool((codes == np.arange(n)).all())
    if reach is None or reach.all():
        return Groups(None if own and n > 1 else codes, np.arange(int(codes.max()) + 1), None)
    if own:
        return Groups(None, codes, reach)
    pair = codes.astype(np.int64) * 2 + reach
    there = np.bincount(pair, minlength=2 * (int(codes.max()) + 1)) > 0
    number = np.cumsum(there) - 1
    kept = np.flatnonzero(there)
    return Groups(number[pair], kept // 2, (kept % 2).astype(bool))


def _column_doses(
    component: Component, setting: Setting, values: np.ndarray, groups: Groups
) -> tuple[Doses | None, list[Problem]]:
    table, differs = _column_table(values, setting.index, groups.of, len(groups.level))
    if groups.reach is not None and len(differs):
        differs = differs[groups.reach[differs[:, 0]]]
    if not len(differs):
        return _read_doses(_within_reach(table, groups.reach), component.bins), []
    name = setting.register.home_of(component)
    level = setting.levels[name]
    places = ", ".join(f"{level.names[groups.level[g]]} in {setting.calendar.values[t]}" for g, t in differs[:5])
    more = f" and {len(differs) - 5} more" if len(differs) > 5 else ""
    whom = f" among those whom {component.reach!r} marks" if component.reach else ""
    exposure = component.exposure or component.name
    what = f"Exposure {exposure!r} differs within one {name!r} and period{whom}: {places}{more}"
    advice = "Set assigned_at to the level at which it was decided, or reach to the column that says whom it can reach."
    return None, [Problem(what, f"component {component.name!r}", advice)]


def _column_table(
    values: np.ndarray, index: Index, group: np.ndarray | None, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G, T) exposure of each group, and (m, 2) cells in which its units disagree.

    values: (N,) one a row of the panel. group: (n,) group of each unit; None when
    each unit is its own.
    """
    grid, seen = index.grid(values), index.seen
    if group is None:
        return grid, np.empty((0, 2), dtype=np.intp)
    if seen is None:
        member = np.zeros(n_groups, dtype=np.intp)
        member[group[::-1]] = np.arange(len(group))[::-1]
        table = grid[member]
        differs = grid != table[group]
    else:
        i, t = np.nonzero(seen)
        table = np.full((n_groups, grid.shape[1]), np.nan)
        table[group[i], t] = grid[i, t]
        differs = seen & (grid != table[group])
    i, t = np.nonzero(differs)
    return table, np.unique(np.column_stack([group[i], t]), axis=0)


def _read_doses(table: np.ndarray, bins: tuple[float, ...] | None) -> Doses:
    """Doses of a column: fractions that stand alone in an on-off series are part periods."""
    if bins is not None or table.dtype.kind != "f" or table.shape[1] < 2:
        return Doses.whole(table)
    part = (table > 0) & (table < 1)
    if not part.any() or np.nanmax(table) > 1 or (part[:, 1:] & part[:, :-1]).any():
        return Doses.whole(table)
    return Doses(np.where(part, 0.0, table), np.where(part, 1.0, table), np.where(part, table >= 0.5, table), table)


def _warn_of_strays(component: Component, setting: Setting, values: np.ndarray) -> None:
    """Say which rows of a column of 0 and 1 hold more: each is read as a dose of its own."""
    if component.bins is not None or is_plain(values):
        return
    stray, plain = values > 1, int(((values == 0) | (values == 1)).sum())
    count = int(stray.sum())
    if not count or len(values) - plain > STRAY * len(values) or (values == 1).sum() <= count:
        return
    i, t = np.nonzero(setting.index.grid(stray.astype(np.int8), 0) > 0)
    names, periods = setting.index.units[i[:5]], setting.calendar.values[t[:5]]
    where = ", ".join(f"{u} in {p}" for u, p in zip(names, periods, strict=True))
    more = f" and {count - 5} more" if count > 5 else ""
    held = ", ".join(f"{v:g}" for v in np.unique(values[stray])[:5])
    hold = "row, which holds" if count == 1 else "rows, which hold"
    warnings.warn(
        f"Exposure {component.exposure or component.name!r} is 0 or 1 but for {count} {hold} {held}: {where}{more}. "
        "It is read as a dose of its own. Correct it, or give bins=(cut points) if it is a dose.",
        EvalkitWarning,
        stacklevel=6,
    )


def _within_reach(table: np.ndarray, reach: np.ndarray | None) -> np.ndarray:
    """Effective exposure: exposure times reach."""
    return table if reach is None else np.where(reach[:, None], table, np.zeros((), dtype=table.dtype))


def _check_always_on(component: Component, doses: Doses, level: Level, groups: Groups) -> list[Problem]:
    if not component.always_on or (component.exposure is None and not component.by_spells):
        return []
    low, high = np.fmin.reduce(doses.low, axis=1), np.fmax.reduce(doses.high, axis=1)
    varies = np.flatnonzero(low < high)
    if not len(varies):
        return []
    places = ", ".join(str(level.names[groups.level[g]]) for g in varies[:5])
    what = f"It is registered as always on, but its exposure changes over time in {len(varies)} places ({places})"
    return [Problem(what, f"component {component.name!r}", "Drop always_on, or the exposure.")]
