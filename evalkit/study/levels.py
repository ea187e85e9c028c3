"""Levels: which cluster, borough or association each unit belongs to, movers, and links that cross levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem
from evalkit.study.frame import Columns, Table, key_array, read_table, wrong_rows
from evalkit.study.index import Index, match, per_unit, sorted_codes
from evalkit.study.paths import Level


def read_level(name: str, columns: Columns, index: Index, unit: str) -> Level:
    """A level from a column that is fixed within each row of the grid; the stays of a mover share their unit's code."""
    if name != unit:
        return Level(name, *sorted_codes(*key_array(per_unit(name, columns, index, unit))))
    if index.origin is None:
        return Level(name, np.arange(len(index.units)), index.units)
    return Level(name, index.origin, index.units[np.flatnonzero(np.diff(index.origin, prepend=-1))])


def split_stays(index: Index, codes: list[np.ndarray]) -> tuple[Index, int]:
    """Split units whose levels change into stays; returns the new grid and the number of movers.

    codes: (N,) level columns as numbers, one array a level. A stay is an unbroken run
    of periods in the same groups; its row is unseen outside.
    """
    moves = np.zeros(len(index.units), dtype=bool)
    for column in codes:
        moves |= index.changes(column).any(axis=1)
    if not moves.any():
        return index, 0
    movers, kept = np.flatnonzero(moves), np.flatnonzero(~moves)
    held = index.rows[movers]
    run = _runs(held, codes)
    parts, owners = [index.rows[kept]], [kept]
    for r in range(int(run.max()) + 1):
        inside = (run == r) & (held >= 0)
        have = inside.any(axis=1)
        parts.append(np.where(inside, held, -1)[have])
        owners.append(movers[have])
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")  # the stays of a unit come in the order of their runs
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

    table: Table
    to: str

    def frame(self, level: str) -> pd.DataFrame:
        """The links as a frame."""
        return read_table(self.table, f"links of level {level!r}")


def check_links(level: str, frame: pd.DataFrame, names: np.ndarray) -> list[Problem]:
    """The columns, weights between 0 and 1 that sum to one, and every group of the panel linked."""
    where = f"links of level {level!r}"
    lack = [c for c in ("from", "to", "weight") if c not in frame.columns]
    if lack:
        what = f"There is no column {', '.join(map(repr, lack))}"
        return [Problem(what, where, "Links have the columns from, to, weight.")]
    weight = pd.to_numeric(frame["weight"], errors="coerce")
    unread = ~((weight >= 0) & np.isfinite(weight)).to_numpy()
    if unread.any():
        return wrong_rows(frame, unread, "Weights are missing, negative or text", where, "Use shares from 0 to 1.")
    total = weight.groupby(frame["to"]).transform("sum")
    off = (total - 1).abs().to_numpy() > 1e-6
    sums = dict(zip(frame["to"][off], total[off], strict=True))
    listed = ", ".join(f"{group} sums to {value:.4g}" for group, value in list(sums.items())[:5])
    what = f"Memberships do not sum to one: {listed}"
    problems = wrong_rows(frame, off, what, where, "Make the weights of each group sum to 1.")
    alone = np.flatnonzero(match(names, frame["to"].to_numpy()) < 0)
    if len(alone):
        listed = ", ".join(str(names[i]) for i in alone[:5])
        problems.append(Problem(f"Groups of the panel without links: {listed}", where, "Add their rows."))
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
