"""From exposures to state codes: off, on (which dose), part-way, unknown.

Everything works on tables of G groups (level x reach) by T periods, not on units:
units of one group share their exposure, or the door refuses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem
from evalkit.study.index import Index
from evalkit.study.paths import OFF, UNKNOWN

MAX_DOSES = 5
_TINY = 1e-9


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

    def at(self, rows: np.ndarray) -> Doses:
        """The doses of some groups."""
        return Doses(self.low[rows], self.high[rows], self.major[rows], self.mean[rows])


@dataclass(frozen=True, eq=False)
class States:
    """state: (G, T) int16 codes as in `Paths`. part: (G, T) changed part-way, or None for nowhere."""

    state: np.ndarray
    part: np.ndarray | None


def column_table(
    values: np.ndarray, index: Index, group: np.ndarray | None, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G, T) exposure of each group, and (m, 2) cells in which its units disagree.

    values: (N,) one a row of the panel. group: (n,) group of each unit; None when
    each unit is its own.
    """
    none = np.empty((0, 2), dtype=np.intp)
    if group is None:
        return index.grid(values), none
    if index.seen is None:
        grid = index.grid(values)
        member = np.zeros(n_groups, dtype=np.intp)
        member[group[::-1]] = np.arange(len(group))[::-1]
        table = grid[member]
        differs = grid != table[group]
    else:
        grid = index.grid(values)
        have = index.seen
        i, t = np.nonzero(have)
        table = np.full((n_groups, grid.shape[1]), np.nan)
        table[group[i], t] = grid[i, t]
        differs = have & (grid != table[group])
    if not differs.any():
        return table, none
    i, t = np.nonzero(differs)
    return table, np.unique(np.column_stack([group[i], t]), axis=0)


def read_doses(table: np.ndarray, bins: tuple[float, ...] | None) -> Doses:
    """Doses of a column: fractions that stand alone in an on-off series are part periods."""
    if bins is None and _isolated_fractions(table):
        part = (table > 0) & (table < 1)
        return Doses(
            np.where(part, 0.0, table),
            np.where(part, 1.0, table),
            np.where(part, table >= 0.5, table),
            table,
        )
    return Doses.whole(table)


def _isolated_fractions(table: np.ndarray) -> bool:
    if table.dtype.kind != "f" or table.shape[1] < 2:
        return False
    part = (table > 0) & (table < 1)
    if not part.any() or np.nanmax(table) > 1:
        return False
    return not (part[:, 1:] & part[:, :-1]).any()


def cut_points(doses: Doses, bins: tuple[float, ...] | None) -> np.ndarray | Problem:
    """Cut points between states: the bins, or the distinct doses themselves.

    A `Problem` when there are more than five distinct doses and no bins.
    """
    if bins is not None:
        return np.asarray(bins, dtype=np.float64)
    if doses.low is doses.high and is_plain(doses.low):
        return np.array([1.0])
    found = np.concatenate([pd.unique(doses.low.ravel()), pd.unique(doses.high.ravel())]).astype(np.float64)
    found = np.unique(np.round(found[~np.isnan(found)], 9))
    if len(found) > MAX_DOSES:
        shown = ", ".join(f"{v:g}" for v in found[:5])
        return Problem(
            f"{len(found)} different doses ({shown}, ...) and no bins",
            next="Give bins=(cut points) that say which doses are compared as one, for example bins=(0.25, 0.75).",
        )
    return found[found > 0]


def is_plain(table: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    if table.dtype.kind == "b":
        return True
    if not table.size:
        return True
    if table.dtype.kind in "iu":
        return bool(table.min() >= 0 and table.max() <= 1)
    return bool(((table == 0) | (table == 1)).all())


def read_states(doses: Doses, cuts: np.ndarray, part_period: str) -> States:
    """State codes of doses; UNKNOWN where the dose is NaN.

    part_period: "exclude" gives each part value a negative code; "half" takes the
    dose that held longest; "full" the lesser of the two.
    """
    if doses.low is doses.high:
        return States(_codes(doses.low, cuts), None)
    low, high = _codes(doses.low, cuts), _codes(doses.high, cuts)
    part = low != high
    if part_period == "half":
        state = np.where(part, _codes(doses.major, cuts), low)
    elif part_period == "full":
        state = np.minimum(low, high)
    else:
        values = np.round(doses.mean, 9)
        state = np.where(part, -1 - np.searchsorted(np.unique(values[part]), values).astype(np.int16), low)
    return States(state.astype(np.int16), part if part.any() else None)


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


def carry(states: States) -> np.ndarray:
    """Fill UNKNOWN where the last known state before and the next known after agree.

    Before the first and after the last known period that one is carried outward.
    Nothing is carried from a part-way period: the change may go on.
    """
    state = states.state
    unknown = state == UNKNOWN
    if not unknown.any():
        return state
    T = state.shape[1]
    rows = np.flatnonzero(unknown.any(axis=1))
    s, gap = state[rows], unknown[rows]
    t = np.arange(T)
    before = np.maximum.accumulate(np.where(gap, -1, t), axis=1)
    after = np.minimum.accumulate(np.where(gap, T, t)[:, ::-1], axis=1)[:, ::-1]
    source = s if states.part is None else np.where(states.part[rows], UNKNOWN, s)
    last = np.take_along_axis(source, np.maximum(before, 0), axis=1)
    following = np.take_along_axis(source, np.minimum(after, T - 1), axis=1)
    last = np.where(before < 0, following, last)
    following = np.where(after >= T, last, following)
    filled = np.where(gap, np.where(last == following, last, UNKNOWN), s)
    out = state.copy()
    out[rows] = filled
    return out


@dataclass(frozen=True, eq=False)
class Exposed:
    """One component's exposure: states (G, T) of groups, group (n,) of each unit, reach (G,) of each group, and the
    dose of each state from 1 on."""

    state: np.ndarray
    group: np.ndarray | None
    reach: np.ndarray | None
    doses: tuple[float, ...] = (1.0,)


def join_paths(exposed: list[Exposed], n: int, T: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct joint paths of all components.

    Returns path (n,), state (P, T, K) int16 and reach (P, K).
    """
    path = np.zeros(n, dtype=np.int64)
    codes, rows, reach = [], [], []
    for one in exposed:
        code, distinct = row_codes(one.state)
        can = np.ones(len(code), dtype=bool) if one.reach is None else one.reach
        pair, first = _recode(code * 2 + can)
        rows.append(distinct[code[first]])
        reach.append(can[first])
        codes.append(pair if one.group is None else pair[one.group])
    for code, table in zip(codes, rows, strict=True):
        path, _ = _recode(path * len(table) + code)
    path, member = _recode(path)
    state = np.empty((len(member), T, len(exposed)), dtype=np.int16)
    can = np.empty((len(member), len(exposed)), dtype=bool)
    for k, (code, table, r) in enumerate(zip(codes, rows, reach, strict=True)):
        state[:, :, k] = table[code[member]]
        can[:, k] = r[code[member]]
    return path, state, can


def _recode(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0, 1, ... in order of first appearance, and where each first appears."""
    codes, distinct = pd.factorize(code)
    first = np.full(len(distinct), len(codes), dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, first


def row_codes(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of an integer table are alike: (G,) codes and the distinct rows.

    Rows are hashed to 64 bits and each is compared with its representative; only if
    two different rows ever share a hash are all rows sorted.
    """
    if not len(state):
        return np.empty(0, dtype=np.intp), state
    codes, first = _recode(_hash(state))
    distinct = state[first]
    if (distinct[codes] != state).any():
        distinct, codes = np.unique(state, axis=0, return_inverse=True)
        codes = codes.reshape(-1)
    return codes, distinct


def _hash(state: np.ndarray) -> np.ndarray:
    T = state.shape[1]
    if T <= 63 and state.min() >= OFF and state.max() <= 1:
        return state @ (np.int64(1) << np.arange(T, dtype=np.int64))
    odd = np.random.default_rng(20_200_301).integers(1, 2**62, size=T, dtype=np.int64) * 2 + 1
    return state.astype(np.int64) @ odd
