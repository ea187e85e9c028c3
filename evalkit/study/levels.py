"""Levels: which cluster, borough or association each unit belongs to, movers, and links that cross levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import Problem, first_rows
from evalkit.show.words import count_words
from evalkit.study.columns import Columns
from evalkit.study.frame import key_array, read_table, say_rows
from evalkit.study.index import Index, sorted_codes
from evalkit.study.paths import Level


def unit_level(name: str, index: Index) -> Level:
    """The level at which every unit is its own cluster (the stays of a mover share one)."""
    n = len(index.units)
    if index.origin is None:
        return Level(name, np.arange(n), index.units)
    first = np.flatnonzero(np.diff(index.origin, prepend=-1))
    return Level(name, index.origin, index.units[first])


def read_level(name: str, columns: Columns, index: Index, unit: str) -> Level:
    """A level from a column that is fixed within each row of the grid."""
    if name == unit:
        return unit_level(name, index)
    codes, names = sorted_codes(*key_array(per_unit(name, columns, index, unit)))
    return Level(name, codes, names)


def per_unit(name: str, columns: Columns, index: Index, unit: str) -> pd.Series:
    """(n,) values of a fixed column: from the unit's first row, or from the people."""
    if columns.in_panel(name):
        return columns.panel.column(name).iloc[index.first_row].reset_index(drop=True)
    assert columns.people is not None
    return columns.people[name].iloc[match(index.units, columns.people[unit].to_numpy())].reset_index(drop=True)


def check_fixed(name: str, values: np.ndarray, columns: Columns, base: Index) -> list[Problem]:
    """A column of the panel must be the same in every row of a unit."""
    if not columns.in_panel(name):
        return []
    changed = np.flatnonzero(base.changes(values))
    if not len(changed):
        return []
    said = ", ".join(str(base.units[i]) for i in changed[:5])
    what = f"{name!r} changes within {count_words(len(changed), 'unit')} ({said})"
    where = f"panel, {say_rows(columns.panel, base.changed_rows(values))}"
    return [Problem(what, where, "It must be the same in every row of a unit.")]


def by_row(name: str, values: np.ndarray, columns: Columns, index: Index, unit: str) -> np.ndarray:
    """(n,) a fixed numeric column for each row of the grid; `values` are its own rows."""
    if columns.in_panel(name):
        return index.first(values)
    assert columns.people is not None
    return values[match(index.units, columns.people[unit].to_numpy())]


def match(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Position of each wanted value among the known ones, -1 where it is not there.

    Values are compared as they are; if that finds nothing, as text (1 and "1").
    """
    found = pd.Index(known).get_indexer(pd.Index(wanted)) if pd.Index(known).is_unique else _first(wanted, known)
    if len(wanted) and (found < 0).all():
        found = _first(_as_text(wanted), _as_text(known))
    return found


def _first(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    place: dict[object, int] = {}
    for i, value in enumerate(known):
        place.setdefault(value, i)
    return np.array([place.get(w, -1) for w in wanted], dtype=np.intp)


def _as_text(values: np.ndarray) -> np.ndarray:
    return np.array(
        [str(int(v)) if isinstance(v, (float, np.floating)) and float(v).is_integer() else str(v) for v in values],
        dtype=object,
    )


def check_people(columns: Columns, index: Index, unit: str, needed: list[str]) -> list[Problem]:
    """Every unit must be in the table of people once, if a column is taken from there."""
    people = columns.people
    if people is None:
        return []
    if unit not in people.columns:
        return [
            Problem(f"The table of people has no column {unit!r}", "people", "It must name the unit as the panel does.")
        ]
    problems = []
    twice = np.flatnonzero(people[unit].duplicated(keep=False).to_numpy())
    if len(twice):
        problems.append(
            Problem(
                "People occur more than once",
                f"people, {first_rows(people.index[twice[:5]], len(twice))}",
                "Keep one row a unit.",
            )
        )
    if any(columns.in_people(n) for n in needed):
        gone = np.flatnonzero(match(index.units, people[unit].to_numpy()) < 0)
        if len(gone):
            listed = ", ".join(str(u) for u in index.units[gone[:5]])
            problems.append(
                Problem(
                    f"Units of the panel that are not among the people: {len(gone):,}",
                    f"people, units {listed}",
                    "Add their rows.",
                )
            )
    return problems


def split_stays(index: Index, codes: list[np.ndarray]) -> tuple[Index, int]:
    """Split units whose levels change into stays; returns the new grid and the number of movers.

    codes: (N,) level columns as numbers, one array a level. A stay is an unbroken run
    of periods in the same groups; its row is unseen outside.
    """
    moves = np.zeros(len(index.units), dtype=bool)
    for column in codes:
        moves |= index.changes(column)
    if not moves.any():
        return index, 0
    n, T = index.shape
    position = np.arange(n * T).reshape(n, T) if index.position is None else index.position
    movers = np.flatnonzero(moves)
    held = position[movers]
    run = _runs(held, codes)
    kept = np.flatnonzero(~moves)
    parts, owners, turn = [position[kept]], [kept], [np.zeros(len(kept), dtype=np.intp)]
    for r in range(int(run.max()) + 1):
        inside = (run == r) & (held >= 0)
        have = inside.any(axis=1)
        parts.append(np.where(inside, held, -1)[have])
        owners.append(movers[have])
        turn.append(np.full(int(have.sum()), r))
    owner, stay = np.concatenate(owners), np.concatenate(turn)
    order = np.lexsort((stay, owner))
    return Index(index.units[owner[order]], index.keys, np.concatenate(parts)[order], owner[order]), len(movers)


def _runs(held: np.ndarray, codes: list[np.ndarray]) -> np.ndarray:
    """(m, T) number of the stay that each period belongs to, counting changes between seen rows."""
    seen = held >= 0
    last = np.maximum.accumulate(np.where(seen, np.arange(held.shape[1]), -1), axis=1)
    before = np.concatenate([np.full((len(held), 1), -1), last[:, :-1]], axis=1)
    previous = np.take_along_axis(held, np.maximum(before, 0), axis=1)
    both = seen & (before >= 0)
    changed = np.zeros(held.shape, dtype=bool)
    for column in codes:
        changed |= both & (column[held] != column[previous])
    return np.cumsum(changed, axis=1)


@dataclass(frozen=True, eq=False)
class Links:
    """How the groups of one level (`from`) make up the groups of another (`to`).

    table: frame (or path) with columns from, to, weight; the weights of each `to`
    sum to one. to: column of the panel that holds the second level.
    """

    table: Any
    to: str

    def frame(self, level: str) -> pd.DataFrame:
        """The links as a frame."""
        return read_table(self.table, f"links of level {level!r}")


def check_links(level: str, frame: pd.DataFrame, names: np.ndarray) -> list[Problem]:
    """The columns, weights between 0 and 1 that sum to one, and every group of the panel linked."""
    where = f"links of level {level!r}"
    lack = [c for c in ("from", "to", "weight") if c not in frame.columns]
    if lack:
        return [
            Problem(
                f"There is no column {', '.join(map(repr, lack))}", where, "Links have the columns from, to, weight."
            )
        ]
    weight = pd.to_numeric(frame["weight"], errors="coerce")
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)).to_numpy())
    if len(bad):
        return [
            Problem(
                "Weights are missing, negative or text",
                f"{where}, {first_rows(frame.index[bad[:5]], len(bad))}",
                "Use shares from 0 to 1.",
            )
        ]
    problems = []
    total = weight.groupby(frame["to"]).transform("sum")
    off = np.flatnonzero((total - 1).abs().to_numpy() > 1e-6)
    if len(off):
        groups = list(dict.fromkeys(frame["to"].iloc[off]))
        said = ", ".join(f"{g} sums to {total.iloc[np.flatnonzero(frame['to'] == g)[0]]:.4g}" for g in groups[:5])
        problems.append(
            Problem(
                f"Memberships do not sum to one: {said}",
                f"{where}, {first_rows(frame.index[off[:5]], len(off))}",
                "Make the weights of each group sum to 1.",
            )
        )
    alone = np.flatnonzero(match(names, frame["to"].to_numpy()) < 0)
    if len(alone):
        said = ", ".join(str(names[i]) for i in alone[:5])
        problems.append(Problem(f"Groups of the panel without links: {said}", where, "Add their rows."))
    return problems


def link_weights(frame: pd.DataFrame, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, F) weight of each of the F `from` groups in each of the C groups of the panel, and the `from` names."""
    sources = pd.unique(frame["from"])
    row = match(frame["to"].to_numpy(), names)
    column = match(frame["from"].to_numpy(), np.asarray(sources))
    out = np.zeros((len(names), len(sources)))
    keep = row >= 0
    np.add.at(out, (row[keep], column[keep]), frame["weight"].to_numpy(dtype=np.float64)[keep])
    return out, np.asarray(sources)
