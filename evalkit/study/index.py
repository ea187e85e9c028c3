"""Rows of the panel as a grid of units and periods.

Sorted balanced panels are recognised by reshaping, without sorting or hashing a
row; all others are factorised once and scattered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.study.frame import key_array

Order = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Index:
    """Which row holds which unit and period.

    units: (n,) unit ids in order. keys: (T,) distinct period values as they stand in
    the panel, in order. position: (n, T) row of the panel, -1 where there is none;
    None when row i * T + t is simply the (i, t)-th. origin: (n,) number of the unit,
    when units were split into stays.
    """

    units: np.ndarray
    keys: np.ndarray
    position: np.ndarray | None
    origin: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.units), len(self.keys)

    @property
    def seen(self) -> np.ndarray | None:
        """(n, T) whether there is a row; None when there always is."""
        if self.position is None:
            return None
        seen = self.position >= 0
        return None if seen.all() else seen

    def grid(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """(n, T) matrix of a column; `fill` where there is no row. A view when it can be."""
        if self.position is None:
            return values.reshape(self.shape)
        if (self.position >= 0).all():
            return values[self.position]
        out = np.full(self.shape, fill, dtype=np.result_type(values.dtype, type(fill)))
        have = self.position >= 0
        out[have] = values[self.position[have]]
        return out

    def first(self, values: np.ndarray) -> np.ndarray:
        """(n,) value in the first row of each unit."""
        return values[self.first_row]

    @property
    def first_row(self) -> np.ndarray:
        n, T = self.shape
        if self.position is None:
            return np.arange(n) * T
        return self.position[np.arange(n), (self.position >= 0).argmax(axis=1)]

    def changed_rows(self, codes: np.ndarray) -> np.ndarray:
        """Positions of the rows in which a column of codes differs from the first row of their unit."""
        if self.position is None:
            grid = codes.reshape(self.shape)
            return np.flatnonzero((grid != grid[:, :1]).ravel())
        differ = (self.position >= 0) & (codes[self.position] != self.first(codes)[:, None])
        return np.sort(self.position[differ])

    def changes(self, codes: np.ndarray) -> np.ndarray:
        """(n,) whether a column of codes changes within a unit."""
        if self.position is None:
            grid = codes.reshape(self.shape)
            return (grid != grid[:, :1]).any(axis=1)
        first = self.first(codes)
        have = self.position >= 0
        return (have & (codes[self.position] != first[:, None])).any(axis=1)


def build_index(unit: pd.Series, period: pd.Series | None, order: Order) -> tuple[Index | None, np.ndarray]:
    """The grid of a panel and the rows that repeat a unit and period.

    order: function of the distinct period values that gives their positions in time.
    Returns (None, rows) when any row is a duplicate.
    """
    u, names = key_array(unit)
    p, stamps = (np.zeros(len(u), dtype=np.int8), np.array([0])) if period is None else key_array(period)
    grid = _sorted_grid(u, p)
    if grid is not None:
        ids, keys = grid
        rank = order(stamps[keys] if stamps is not None else keys)
        if (np.diff(rank) > 0).all():
            return _in_unit_order(ids, names, stamps[keys] if stamps is not None else keys)
    return _scattered(u, names, p, stamps, order)


def _sorted_grid(u: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit and period keys when rows come unit by unit with the same periods in each."""
    change = int((u != u[0]).argmax())
    T = change or len(u)
    if len(u) % T:
        return None
    blocks, times = u.reshape(-1, T), p.reshape(-1, T)
    if not (blocks[:, :1] == blocks).all() or not (times[:1] == times).all():
        return None
    ids = blocks[:, 0]
    if not (ids[1:] > ids[:-1]).all() and len(pd.unique(ids)) != len(ids):
        return None
    return ids, times[0]


def _in_unit_order(ids: np.ndarray, names: np.ndarray | None, keys: np.ndarray) -> tuple[Index, np.ndarray]:
    none = np.empty(0, dtype=np.intp)
    units = ids if names is None else names[ids]
    if names is None and (ids[1:] > ids[:-1]).all():
        return Index(units.copy(), keys.copy(), None), none
    order = stable_order(units)
    if (order == np.arange(len(order))).all():
        return Index(units.copy(), keys.copy(), None), none
    T = len(keys)
    return Index(units[order], keys.copy(), order[:, None] * T + np.arange(T)), none


def _scattered(
    u: np.ndarray, names: np.ndarray | None, p: np.ndarray, stamps: np.ndarray | None, order: Order
) -> tuple[Index | None, np.ndarray]:
    i, units = sorted_codes(u, names)
    t, keys = sorted_codes(p, stamps)
    rank = np.argsort(order(keys), kind="stable")
    back = np.empty_like(rank)
    back[rank] = np.arange(len(rank))
    flat = i.astype(np.int64) * len(keys) + back[t]
    rows = np.arange(len(flat))
    position = np.full(len(units) * len(keys), -1, dtype=np.int64)
    position[flat] = rows
    repeated = position[flat] != rows
    if repeated.any():
        count = np.bincount(flat, minlength=len(position))
        return None, np.flatnonzero(count[flat] > 1)
    return Index(units, keys[rank], position.reshape(len(units), len(keys))), np.empty(0, dtype=np.intp)


def sorted_codes(keys: np.ndarray, names: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0, 1, ... in the order of the distinct values, and those values."""
    if names is not None:
        order = stable_order(names)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return back[keys], names[order]
    if keys.dtype.kind in "iu" and len(keys):
        low, high = int(keys.min()), int(keys.max())
        if high - low < 2 * len(keys) + 1000:
            shifted = keys - low if low else keys
            there = np.zeros(high - low + 1, dtype=bool)
            there[shifted] = True
            return (np.cumsum(there) - 1)[shifted], np.flatnonzero(there) + low
    codes, values = pd.factorize(keys, sort=True)
    return codes, np.asarray(values)


def stable_order(values: np.ndarray) -> np.ndarray:
    """Sorting order of ids; ids of mixed kinds are ordered by their text."""
    if values.dtype != object:
        return np.argsort(values, kind="stable")
    try:
        return np.argsort(values, kind="stable")
    except TypeError:
        return np.argsort(np.array([str(v) for v in values]), kind="stable")
