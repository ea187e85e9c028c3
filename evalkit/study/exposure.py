"""Exposure: from columns or spells to doses, from doses to state codes (off, on at which dose, part-way, unknown), and
from the states of all components to joint paths.

Everything works on tables of G groups (level x reach) by T periods, not on units: units of one group share their
exposure, or the study is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitWarning, Problem, spelt
from evalkit.study.calendar import Calendar
from evalkit.study.component import Component
from evalkit.study.index import Index
from evalkit.study.paths import UNKNOWN, Level, recode, row_codes
from evalkit.study.register import Register
from evalkit.study.spells import Doses, spell_doses

MAX_DOSES = 5
_TINY = 1e-9
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


@dataclass(frozen=True, eq=False)
class Exposed:
    """One component's exposure: states (G, T) of groups, group (n,) of each unit, reach (G,) of each group, and the
    dose of each state from 1 on."""

    state: np.ndarray
    group: np.ndarray | None
    reach: np.ndarray | None
    doses: tuple[float, ...] = (1.0,)


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
    where = f"component {component.name!r}"
    if component.always_on and (component.exposure is not None or component.by_spells):
        varies = np.flatnonzero(np.fmin.reduce(doses.low, axis=1) < np.fmax.reduce(doses.high, axis=1))
        places = ", ".join(str(level.names[groups.level[g]]) for g in varies[:5])
        what = f"It is registered as always on, but its exposure changes over time in {len(varies)} places ({places})"
        problems += [Problem(what, where, "Drop always_on, or the exposure.")] if len(varies) else []
    cuts = cut_points(doses, component.bins)
    if len(cuts) > MAX_DOSES and component.bins is None:
        shown = ", ".join(f"{v:g}" for v in cuts[:5])
        what = f"{len(cuts)} different doses ({shown}, ...) and no bins"
        advice = "Give bins=(cut points) that say which doses are compared as one, for example bins=(0.25, 0.75)."
        return None, [*problems, Problem(what, where, advice)]
    cuts = cuts[cuts > 0]
    state, part = read_states(doses, cuts, component.part_period)
    return Exposed(carry(state, part), groups.of, groups.reach, doses_of_states(doses, cuts, state)), problems


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
    what = f"Exposure {spelt(exposure)} differs within one {name!r} and period{whom}: {places}{more}"
    advice = "Set assigned_at to the level at which it was decided, or reach to the column that says whom it can reach."
    return None, [Problem(what, f"component {component.name!r}", advice)]


def _column_table(
    values: np.ndarray, index: Index, group: np.ndarray | None, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G, T) exposure of each group, and (m, 2) cells in which its units disagree.

    values: (N,) one a row of the panel. group: (n,) group of each unit; None when each unit is its own.
    """
    grid, seen = index.grid(values), index.seen
    if group is None:
        return grid, np.empty((0, 2), dtype=np.intp)
    if seen is None:
        table = grid[np.unique(group, return_index=True)[1]]
    else:
        i, t = np.nonzero(seen)
        table = np.full((n_groups, grid.shape[1]), np.nan)
        table[group[i], t] = grid[i, t]
    differs = grid != table[group]
    i, t = np.nonzero(differs if seen is None else seen & differs)
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


def cut_points(doses: Doses, bins: tuple[float, ...] | None) -> np.ndarray:
    """Cut points between states: the bins, or the distinct doses themselves (0 among them where somebody was off)."""
    if bins is not None:
        return np.asarray(bins, dtype=np.float64)
    if doses.low is doses.high and is_plain(doses.low):
        return np.array([1.0])
    found = np.concatenate([pd.unique(doses.low.ravel()), pd.unique(doses.high.ravel())]).astype(np.float64)
    return np.unique(np.round(found[~np.isnan(found)], 9))


def is_plain(table: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    if table.dtype.kind in "iu" and table.size:
        return bool(table.min() >= 0 and table.max() <= 1)
    return table.dtype.kind == "b" or bool(((table == 0) | (table == 1)).all())


def read_states(doses: Doses, cuts: np.ndarray, part_period: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(G, T) int16 codes of doses as in `Paths`, UNKNOWN where the dose is NaN, and where it changed part-way, None for
    nowhere.

    part_period: "exclude" gives each part value a negative code; "half" takes the
    dose that held longest; "full" the lesser of the two.
    """
    if doses.low is doses.high:
        return _codes(doses.low, cuts), None
    low, high = _codes(doses.low, cuts), _codes(doses.high, cuts)
    part = low != high
    if part_period == "half":
        state = np.where(part, _codes(doses.major, cuts), low)
    elif part_period == "full":
        state = np.minimum(low, high)
    else:
        values = np.round(doses.mean, 9)
        state = np.where(part, -1 - np.searchsorted(np.unique(values[part]), values).astype(np.int16), low)
    return state.astype(np.int16), part if part.any() else None


def doses_of_states(doses: Doses, cuts: np.ndarray, state: np.ndarray) -> tuple[float, ...]:
    """Average dose of the groups and periods in each state from 1 on; its cut point where there are none."""
    if len(cuts) == 1 and is_plain(doses.major):
        return (1.0,)
    on = state > 0
    count = np.bincount(state[on], minlength=len(cuts) + 1)[1:]
    total = np.bincount(state[on], weights=doses.major[on], minlength=len(cuts) + 1)[1:]
    return tuple(np.where(count > 0, total / np.maximum(count, 1), cuts).tolist())


def _codes(dose: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    if len(cuts) == 1 and cuts[0] == 1 and is_plain(dose):
        return dose.astype(np.int16)
    code = np.searchsorted(cuts - _TINY, dose, side="right").astype(np.int16)
    if dose.dtype.kind == "f":
        code[np.isnan(dose)] = UNKNOWN
    return code


def carry(state: np.ndarray, part: np.ndarray | None) -> np.ndarray:
    """Fill UNKNOWN where the last known state before and the next known after agree.

    Before the first and after the last known period that one is carried outward.
    Nothing is carried from a part-way period: the change may go on.
    """
    unknown = state == UNKNOWN
    if not unknown.any():
        return state
    T = state.shape[1]
    rows = np.flatnonzero(unknown.any(axis=1))
    s, gap = state[rows], unknown[rows]
    t = np.arange(T)
    before = np.maximum.accumulate(np.where(gap, -1, t), axis=1)
    after = np.minimum.accumulate(np.where(gap, T, t)[:, ::-1], axis=1)[:, ::-1]
    source = s if part is None else np.where(part[rows], UNKNOWN, s)
    last = np.take_along_axis(source, np.maximum(before, 0), axis=1)
    following = np.take_along_axis(source, np.minimum(after, T - 1), axis=1)
    last = np.where(before < 0, following, last)
    following = np.where(after >= T, last, following)
    out = state.copy()
    out[rows] = np.where(gap, np.where(last == following, last, UNKNOWN), s)
    return out


def join_paths(exposed: list[Exposed], n: int, T: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct joint paths of all components.

    Returns path (n,), state (P, T, K) int16 and reach (P, K).
    """
    path = np.zeros(n, dtype=np.int64)
    parts = []
    for e in exposed:
        code, distinct = row_codes(e.state)
        can = np.ones(len(code), dtype=bool) if e.reach is None else e.reach
        pair, first = recode(code * 2 + can)
        own = pair if e.group is None else pair[e.group]
        parts.append((own, distinct[code[first]], can[first]))
        path, _ = recode(path * len(first) + own)
    path, member = recode(path)
    state = np.empty((len(member), T, len(exposed)), dtype=np.int16)
    reach = np.empty((len(member), len(exposed)), dtype=bool)
    for k, (own, table, can) in enumerate(parts):
        state[:, :, k] = table[own[member]]
        reach[:, k] = can[own[member]]
    return path, state, reach
