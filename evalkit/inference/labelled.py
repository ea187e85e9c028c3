"""Labels of rows, read column by column.

Most estimates are made on the way to another, and few of their labels are read: so columns are worked out when somebody
asks, one value stands for all rows where it is the same, and the table is made for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

Array: TypeAlias = np.ndarray | ExtensionArray
Column: TypeAlias = Array | list[Any] | str | float | int | None
_T = TypeVar("_T")
_HEADS = ("units_exposed", "units_comparison", "units_left_out", "units_not_seen")
_DEEPEST = 20  # labels of labels of labels, until columns are read
_LEFT_OUT = ("reason", "mass")  # where rows agree in no group


class Labels:
    """Columns of k rows by name: an array (k,), one value for all rows, or what gives either, asked once."""

    def __init__(
        self, rows: int, columns: Mapping[str, Column | Callable[[], Column]], of: Sequence[Labels] = ()
    ) -> None:
        """of: those that columns may still be read from."""
        self.rows = rows
        self.index: pd.Index | range = range(rows)
        self._columns: dict[str, Any] = {
            c: _held(pd.Series(x)) if isinstance(x, list) else x for c, x in columns.items()
        }
        self._told = False
        self._depth: int = 1 + max((x._depth for x in of), default=0)
        if self._depth > _DEEPEST:
            self._read_all()

    def _read_all(self) -> dict[str, Column]:
        self._depth = 0
        return {c: self.read(c) for c in self}

    @classmethod
    def of(cls, given: Labels | pd.DataFrame) -> Labels:
        """Those of a table."""
        if isinstance(given, Labels):
            return given
        own = given.copy(deep=False)  # whatever is done to the other afterwards
        made = cls(len(own), {c: partial(_of_series, own, c) for c in own})
        vars(made).update(frame=own, index=own.index)
        return made

    @cached_property
    def frame(self) -> pd.DataFrame:
        """As a table for people."""
        return pd.DataFrame({c: self.read(c) for c in self}, index=self.index)

    def told(self) -> pd.DataFrame:
        """The table, for a reader; labels are what stands in it from now on, whatever is written there."""
        table, self._told = self.frame, True
        return table

    @property
    def unread(self) -> pd.DataFrame:
        """These, for who takes them in place of their table, as an Estimate does."""
        return cast(pd.DataFrame, self)

    def __iter__(self) -> Iterator[str]:
        return iter(map(str, self.frame)) if self._told else iter(self._columns)

    def __contains__(self, column: str) -> bool:
        return column in (self.frame if self._told else self._columns)

    def __getitem__(self, column: str) -> np.ndarray:
        """(k,)"""
        found = self.read(column)
        if isinstance(found, Array):
            return np.asarray(found)
        return np.full(self.rows, found, dtype=object if isinstance(found, str | None) else None)

    def read(self, column: str) -> Column:
        """A column as it is held."""
        if self._told:
            return _of_series(self.frame, column)
        found = self._columns[column]
        if callable(found):
            found = self._columns[column] = found()
        if isinstance(found, np.ndarray) and found.flags.writeable:  # others read it too
            found = self._columns[column] = found.view()
            found.flags.writeable = False
        return found

    def at(self, column: str, row: int) -> Any:
        """One label."""
        found = self.read(column)
        value = found[row] if isinstance(found, Array) else found
        if isinstance(value, np.timedelta64):
            return pd.Timedelta(value)
        return pd.Timestamp(value) if isinstance(value, np.datetime64) else value

    def __getstate__(self) -> dict[str, object]:
        return {"rows": self.rows, "index": self.index, "_columns": self._read_all(), "_depth": 0, "_told": False}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)

    def assign(self, **columns: Column | Callable[[], Column]) -> Labels:
        """The same rows with other columns, or with more."""
        return self._with({**self._asked(self), **columns})

    def without(self, *columns: str) -> Labels:
        """The same rows with fewer columns."""
        return self._with(self._asked(c for c in self if c not in columns))

    def _with(self, columns: dict[str, Any]) -> Labels:
        made = Labels(self.rows, columns, [self])
        made.index = self.index
        return made

    def _asked(self, columns: Iterator[str] | Labels) -> dict[str, Any]:
        """Columns as they are held; one that was not asked for yet stays so, and is asked for once."""
        late = self._told
        return {c: partial(self.read, c) if late or callable(x := self._columns[c]) else x for c in columns}

    def take(self, index: np.ndarray) -> Labels:
        """The rows at some positions."""
        return Labels(len(index), {c: partial(self._taken, c, index) for c in self}, [self])

    def _taken(self, column: str, index: np.ndarray) -> Column:
        return _taken(self.read(column), index)

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """Rows of several below each other; nothing where one does not have a column."""
        names = dict.fromkeys(c for p in parts for c in p)
        return cls(sum(p.rows for p in parts), {c: partial(_joined, parts, c) for c in names}, parts)

    def common(self, groups: Sequence[np.ndarray], without: Set[str] = frozenset()) -> Labels:
        """One row for each group of row positions: columns on which its rows agree; "several", or NaN for numbers,
        where they do not; people counted once (`heads`). without: columns to leave out."""
        made, found = Groups.of_rows(groups), dict[str, Any]()
        for column in self:
            if column in without:
                continue
            make = partial(self._common, made, column)
            if column not in _LEFT_OUT:
                found[column] = make
            elif (value := make()) is not None:
                found[column] = value
        return Labels(len(groups), found, [self])

    def _common(self, groups: Groups, column: str) -> Column:
        if column in _HEADS:
            counts = self[column]
            counts = counts if counts.dtype.kind in "iuf" else pd.Series(counts).to_numpy(dtype=float, na_value=np.nan)
            one = column == "units_comparison" or "cohort" not in self
            return heads(counts, groups, np.zeros(self.rows, dtype=int) if one else pd.factorize(self["cohort"])[0])
        values = self.read(column)
        alike = groups.alike(values) if isinstance(values, Array) else groups.size > 0
        if alike.all():
            return _taken(values, groups.first)
        if not alike.any() and column in _LEFT_OUT:  # these two are not filled in
            return None
        fill = "several" if _is_words(values) and column != "reason" else np.nan
        said = [self.at(column, g[0]) if agree else fill for g, agree in zip(groups.rows, alike, strict=True)]
        return _held(pd.Series(said))


class _Told:
    """The `labels` of what has `label_columns`: taken as `Labels` or as a table, given as a table, made when asked."""

    def __get__(self, of: Any, kind: object = None) -> Any:
        return self if of is None else of.label_columns.told()

    def __set__(self, of: object, given: Labels | pd.DataFrame) -> None:
        vars(of)["label_columns"] = Labels.of(given)


def labelled(made: type[_T]) -> type[_T]:
    """Put that in the place of a field `labels`, of which a dataclass leaves nothing where it has no default."""
    made.labels = _Told()  # type: ignore[attr-defined]
    return made


@dataclass(frozen=True, eq=False)
class Groups:
    """Row positions in groups. rows: of each. size: (g,) how many. at, of: position and group of each row that is in
    one. start: where the groups that have rows begin in `at`."""

    rows: Sequence[np.ndarray]
    size: np.ndarray
    at: np.ndarray
    of: np.ndarray
    start: np.ndarray

    @classmethod
    def of_rows(cls, rows: Sequence[np.ndarray]) -> Groups:
        size = np.array([len(g) for g in rows], dtype=int)
        at = np.concatenate([np.empty(0, dtype=int), *rows]).astype(int)
        start = (np.cumsum(size) - size)[size > 0]
        return cls(rows, size, at, np.repeat(np.arange(len(rows)), size), start)

    @property
    def first(self) -> np.ndarray:
        """The first row of each group that has any."""
        return np.asarray(self.at[self.start])

    def alike(self, values: Array) -> np.ndarray:
        """(g,) whether a group has rows, and the values (k,) of all of them are the same."""
        found = np.zeros(len(self.size), dtype=bool)
        if len(self.start):
            first = np.repeat(self.first, self.size[self.size > 0])
            found[self.size > 0] = np.logical_and.reduceat(same(values, self.at, first), self.start)
        return found


def same(values: Array, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the values (k,) at some positions are those at others; nothing is the same as nothing."""
    plain = isinstance(values, np.ndarray) and values.dtype.kind in "biufM"
    x = np.asarray(values) if plain else pd.factorize(values, use_na_sentinel=False)[0]
    equal = np.asarray(x[one] == x[other], dtype=bool)
    return equal if not plain or equal.all() else equal | (pd.isna(x[one]) & pd.isna(x[other]))


def heads(counts: np.ndarray, groups: Groups, cohort: np.ndarray) -> np.ndarray:
    """(g,) people behind the rows of each group, each once: the most in any period, summed over cohorts (adopters of
    different cohorts are different people; comparison units may serve several, so the most). Rows that count no people
    are passed over.

    counts, cohort: (k,) of each row, cohorts by codes, -1 for none."""
    kept = ~np.isnan(counts[groups.at]) & (cohort[groups.at] >= 0)
    of, at, cohorts = groups.of[kept], groups.at[kept], int(cohort.max(initial=-1)) + 1
    most = np.zeros(len(groups.size) * cohorts)
    np.maximum.at(most, of * cohorts + cohort[at], counts[at])
    return np.asarray(most.reshape(len(groups.size), cohorts).sum(axis=1), dtype=int)


def _taken(values: Column, index: np.ndarray) -> Column:
    return values.take(index) if isinstance(values, Array) else values


def _of_series(frame: pd.DataFrame, column: str) -> Array:
    return _held(frame[column])


def _held(values: pd.Series) -> Array:
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array


def _is_words(values: Column) -> bool:
    if isinstance(values, Array):
        kind = values.dtype
        words = pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)
        return words or isinstance(kind, pd.CategoricalDtype)
    return isinstance(values, str)


def _joined(parts: Sequence[Labels], column: str) -> Column:
    if all(column in p for p in parts):
        read = [p.read(column) for p in parts]
        if all(isinstance(x, str) for x in read) and len(set(read)) == 1:
            return read[0]
        if not any(isinstance(x, ExtensionArray) and not _is_words(x) for x in read):
            arrays = [p[column] for p in parts]
            if len({a.dtype for a in arrays}) == 1:
                return np.concatenate(arrays)
    each = ({column: p.read(column)} if column in p else {} for p in parts)
    frames = [pd.DataFrame(x, index=range(p.rows)) for p, x in zip(parts, each, strict=True)]
    return _of_series(pd.concat(frames, ignore_index=True), column)
