"""Neighbours: which share of a place's neighbours has a component, period by period, from tables or columns.

A table of links has a row for each place and each of its neighbours: place, neighbour, and where wanted ring (1 for
the nearest; a place is touched in the nearest ring in which it is), weight, or distance (without weight, neighbours
then count by one over it). Both are places of the level at which the component was decided, or of the study's cluster.
A row says that the neighbour touches the place; where both touch each other there are two. A place without rows has no
neighbours. A table of shares has place, period and share, and where wanted ring; what it
does not hold is not known. Columns of the panel hold shares, one column a ring, the nearest first.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from evalkit.errors import Problem, StudyError
from evalkit.study.calendar import Calendar
from evalkit.study.component import Component, neighbour_columns, neighbour_table
from evalkit.study.frame import Columns, match, numbers, say_rows, wrong_rows
from evalkit.study.index import Index, own_rows
from evalkit.study.paths import UNKNOWN, Level, Near, Paths
from evalkit.study.register import Register
from evalkit.study.schema import ROLES, Known, check_column, check_table

_AGAIN = "Name the columns place and neighbour (with ring, distance or weight), or place, period and share."


def read_near(
    register: Register, columns: Columns, index: Index, calendar: Calendar, paths: Paths
) -> tuple[dict[str, Near], list[Problem]]:
    """Shares of neighbours exposed for each component that says whose they are, or what is wrong with them."""
    found, problems = dict[str, Near](), list[Problem]()
    for c in register.components:
        if c.neighbours is None:
            continue
        where = f"neighbours of component {c.name!r}"
        if names := neighbour_columns(c):
            shares, wrong = _of_columns(names, columns, index, register.unit, where)
            level = Level("", np.arange(paths.n_units), paths.units)
        else:
            shares, level, wrong = _of_table(c, paths, calendar, where)
        problems += wrong
        if not wrong:
            share, ring = np.nanmax(_some(shares), axis=0), _rings(shares, c.touched_above)
            found[c.name] = Near(share, ring, level.codes, _one_way(neighbour_table(c)))
    return found, problems


def _some(shares: np.ndarray) -> np.ndarray:
    """Shares by ring, of which one at least is a number: -1 where none is, which `Near` takes as not known."""
    return np.where(np.isnan(shares).all(axis=0), -1.0, shares)


def _rings(shares: np.ndarray, above: float) -> np.ndarray:
    """(G, T) the nearest ring, from 1 on, with a share above `above`; 0 where none is, -1 where that is not known."""
    touched = shares > above
    known = ~np.isnan(shares).any(axis=0)
    return np.where(touched.any(axis=0), touched.argmax(axis=0) + 1, np.where(known, 0, -1)).astype(np.int16)


def _of_columns(
    names: tuple[str, ...], columns: Columns, index: Index, unit: str, where: str
) -> tuple[np.ndarray, list[Problem]]:
    """(R, n, T) shares held by columns, NaN where not known."""
    problems, made = list[Problem](), []
    for name in names:
        if not columns.has(name):
            continue  # said with the other columns that are not there
        say = partial(columns.say, name) if columns.in_people(name) else partial(say_rows, columns.panel)
        problems += check_column(columns.series(name), ROLES["neighbours"], f"{where}: {name!r}", say)
        if not problems:
            values = numbers(columns.series(name))[0].astype(np.float64)
            grid = columns.in_panel(name)
            own = index.grid(values) if grid else values[own_rows(name, columns, index, unit)][:, None]
            made.append(np.broadcast_to(own, index.shape))
    return np.array(made), problems


def _of_table(
    component: Component, paths: Paths, calendar: Calendar, where: str
) -> tuple[np.ndarray, Level, list[Problem]]:
    """(R, C, T) shares of the places of a level, from links or from a table of shares."""
    level = paths.levels[paths.assigned_at[component.name]]
    nothing = np.empty((0, len(level.names), paths.n_periods))
    try:
        table = neighbour_table(component)
    except StudyError as error:
        return nothing, level, [Problem(str(error).rstrip("."), where)]
    assert table is not None
    given = "neighbour" not in table.columns and not {"share", "period"}.isdisjoint(table.columns)
    kind = "neighbour_shares" if given else "neighbours"
    level = _level_of(table, paths, level)
    problems = check_table(kind, table, where, Known(places=level.names, calendar=calendar))
    if not problems and not len(table):
        problems = [Problem("The table has no rows", where, _AGAIN)]
    if kind == "neighbours" and not problems:
        problems = _wrong_links(table, where)
    if problems:
        return nothing, level, problems
    rings = table["ring"].to_numpy() if "ring" in table else np.ones(len(table))
    parts = [table[rings == ring] for ring in np.unique(rings)]
    if kind == "neighbour_shares":
        return np.array([_given(part, level, calendar) for part in parts]), level, []
    exposed = _exposed(paths, component.name, level)
    return np.array([_from_links(part, level, exposed) for part in parts]), level, []


def _level_of(table: pd.DataFrame, paths: Paths, level: Level) -> Level:
    """The level whose places the table names: that of the decision, unless only the study's cluster has them."""
    cluster = paths.levels[paths.cluster]
    if "place" not in table.columns or level is cluster:
        return level
    lost = [int((match(table["place"].to_numpy(), x.names) < 0).sum()) for x in (level, cluster)]
    return cluster if lost[1] < lost[0] else level


def _wrong_links(table: pd.DataFrame, where: str) -> list[Problem]:
    place, other = table["place"].to_numpy(), table["neighbour"].to_numpy()
    advice = "Leave the row out: what a place does to itself is its own effect."
    problems = wrong_rows(
        table, match(place, place) == match(other, place), "A place is its own neighbour", where, advice
    )
    if "distance" in table.columns and "weight" not in table.columns:
        zero = table["distance"].to_numpy(dtype=np.float64) <= 0
        advice = "Write distances above 0, or give a weight."
        problems += wrong_rows(table, zero, "A distance is 0, by which nothing can be divided", where, advice)
    if "weight" in table.columns:
        total = table["weight"].groupby(table["place"]).transform("sum").to_numpy()
        problems += wrong_rows(
            table, total <= 0, "The weights of a place sum to 0", where, "Give one a weight above 0."
        )
    return problems


def _one_way(table: pd.DataFrame | None) -> bool:
    """Whether there are links, and no pair of them goes both ways."""
    if table is None or "neighbour" not in table.columns or len(table) < 2:
        return False
    pairs = set(zip(table["place"], table["neighbour"], strict=True))
    return not any((b, a) in pairs for a, b in pairs)


def _exposed(paths: Paths, component: str, level: Level) -> np.ndarray:
    """(C, T) share of the units of each place whom the component can reach that have it, part-way periods included;
    zero where it can reach nobody, NaN where nobody's state is known."""
    k = paths.index(component)
    state, units = paths.state[:, :, k], paths.reach[paths.path, k]
    shape = (len(level.names), paths.n_paths)
    heads = np.ones(len(units)) if paths.heads is None else paths.heads.astype(float)
    from scipy import sparse  # here, so that a study without neighbours loads without it

    count = sparse.csr_matrix((heads[units], (level.codes[units], paths.path[units])), shape=shape)
    known = count @ (state != UNKNOWN).astype(float)
    on = count @ ((state != 0) & (state != UNKNOWN)).astype(float)
    share = np.divide(on, known, out=np.full(on.shape, np.nan), where=known > 0)
    return np.where(np.asarray(count.sum(axis=1)) > 0, share, 0.0)


def _from_links(table: pd.DataFrame, level: Level, exposed: np.ndarray) -> np.ndarray:
    """(C, T) weighted share of each place's neighbours exposed, 0 without neighbours; those of whom nothing is known
    are left out, NaN where that is everybody."""
    row, column = (match(table[name].to_numpy(), level.names) for name in ("place", "neighbour"))
    weight = np.ones(len(table))
    if "weight" in table.columns:
        weight = table["weight"].to_numpy(dtype=np.float64)
    elif "distance" in table.columns:
        weight = 1 / table["distance"].to_numpy(dtype=np.float64)
    from scipy import sparse

    links = sparse.csr_matrix((weight, (row, column)), shape=(len(level.names),) * 2)
    known = ~np.isnan(exposed)
    mass = links @ known.astype(float)
    share = np.divide(links @ np.nan_to_num(exposed), mass, out=np.full(mass.shape, np.nan), where=mass > 0)
    return np.where(np.asarray(links.sum(axis=1)) > 0, share, 0.0)


def _given(table: pd.DataFrame, level: Level, calendar: Calendar) -> np.ndarray:
    """(C, T) shares as a table gives them, NaN where it does not."""
    made = np.full((len(level.names), len(calendar)), np.nan)
    at = calendar.place(table["period"].to_numpy(dtype=object))
    t = np.searchsorted(calendar.start, at, side="right") - 1
    inside = (t >= 0) & (at < calendar.stop[np.maximum(t, 0)])
    row = match(table["place"].to_numpy(), level.names)
    made[row[inside], t[inside]] = table["share"].to_numpy(dtype=np.float64)[inside]
    return made
