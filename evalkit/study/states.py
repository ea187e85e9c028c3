"""From doses to state codes (off, on at which dose, part-way, unknown), and from states to joint paths.

Everything works on tables of G groups (level x reach) by T periods, not on units:
units of one group share their exposure, or the study is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem
from evalkit.study.paths import UNKNOWN, recode, row_codes

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

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Doses:
        """The same change made to each table, once where they are one."""
        if self.low is self.high:
            return Doses.whole(change(self.low))
        return Doses(change(self.low), change(self.high), change(self.major), change(self.mean))


@dataclass(frozen=True, eq=False)
class States:
    """state: (G, T) int16 codes as in `Paths`. part: (G, T) changed part-way, or None for nowhere."""

    state: np.ndarray
    part: np.ndarray | None


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
    if table.dtype.kind == "b" or not table.size:
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
    for e in exposed:
        code, distinct = row_codes(e.state)
        can = np.ones(len(code), dtype=bool) if e.reach is None else e.reach
        pair, first = recode(code * 2 + can)
        rows.append(distinct[code[first]])
        reach.append(can[first])
        codes.append(pair if e.group is None else pair[e.group])
    for code, table in zip(codes, rows, strict=True):
        path, _ = recode(path * len(table) + code)
    path, member = recode(path)
    state = np.empty((len(member), T, len(exposed)), dtype=np.int16)
    can = np.empty((len(member), len(exposed)), dtype=bool)
    for k, (code, table, r) in enumerate(zip(codes, rows, reach, strict=True)):
        state[:, :, k] = table[code[member]]
        can[:, k] = r[code[member]]
    return path, state, can
