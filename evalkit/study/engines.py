"""Rows added up to cells inside an engine that ibis speaks to (Spark, Postgres, others): no row leaves it.

All is said in expressions of ibis, of columns that are named anew first, so that no name of the panel's can be meant
for anything else. People are alike where the texts of their paths are the same; there is no hash. The engine adds up in
an order of its own: the last bits of its sums may differ from one run to the next, which one pass of `adding` does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.errors import StudyError, spelt
from evalkit.study.adding import Added, NotAlikeError, Wanted, assembled, check_ids, check_range, check_size
from evalkit.study.alike import Kept
from evalkit.study.formats import said

if TYPE_CHECKING:
    import ibis.expr.types as ir

PERIODS = 900
"""Periods up to which each may be a column of one table: Postgres holds no wider row of numbers."""
TERMS = 400
"""Sums that an engine is asked for at a time."""
_NOT_SEEN = "!"


@dataclass(eq=False)
class EngineAdding:
    """A table of ibis on its way to cells; the twin of `Adding`.

    One temporary table in the engine says of every unit which is the smallest of those like it. Raises `NotAlikeError`
    where rows cannot be added up, and `StudyError` with the engine's own words where it fails.
    """

    table: ir.Table
    wanted: Wanted
    _first: pd.Index = field(default_factory=lambda: pd.Index([]), repr=False)
    """(n,) the smallest unit of each cell, in the order of the cells."""

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return Kept, ({y: self(y) for y in self.wanted.outcomes},)  # a table lives as long as its connection

    def cells(self) -> Added:
        """The cells, added up."""
        w, means, units = self.wanted, self._look(), self._units
        moved = units.moved.ifelse(1, 0).sum()
        found = _frame(units.aggregate(units=units.count(), moved=moved, cells=units.first.nunique())).iloc[0]
        if found["moved"]:
            raise NotAlikeError(f"{int(found['moved']):,} units change in {', '.join(map(repr, w.fixed))}")
        check_size(int(found["units"]), int(found["cells"]), len(self._periods))
        fixed = {f"k{i}": units[f"k{i}"].min() for i in range(len(w.fixed))}
        cells = _frame(units.group_by("first").aggregate(heads=units.count(), **fixed)).sort_values("first")
        self._first = pd.Index(cells["first"])
        told = self._told
        sums = {"n": told.count()}
        for i in range(len(w.fixed), len(w.fixed) + len(w.moving)):
            sums |= {f"k{i}": told[f"k{i}"].min(), f"other{i}": told[f"k{i}"].max()}
        for j in range(len(w.outcomes)):
            sums |= {f"c{j}": told[f"y{j}"].count(), f"s{j}": (told[f"y{j}"] - means[j]).sum()}
        found = _frame(told.group_by(["first", "period"]).aggregate(**sums))
        return self._added(found, cells.reset_index(drop=True), means)

    def __call__(self, column: str) -> np.ndarray:
        """(n, T, T) sums of products of people's deviations from the mean of their cell, of an outcome."""
        told, T = self._told, len(self._periods)
        value, seen = told[f"y{self.wanted.outcomes.index(column)}"], self._seen(told)
        wide = told.group_by(["who", "first"]).aggregate(**{f"v{t}": value.max(where=seen[t]) for t in range(T)})
        own = [wide[f"v{t}"] for t in range(T)]
        away = wide.select("first", **{f"v{t}": v - v.mean().over(group_by="first") for t, v in enumerate(own)})
        pairs = [(s, t) for s in range(T) for t in range(s + 1)]
        if len(pairs) > TERMS:
            away = _kept(away)
        out = np.zeros((len(self._first), T, T))
        for low in range(0, len(pairs), TERMS):
            part = pairs[low : low + TERMS]
            sums = {f"p{s}_{t}": (away[f"v{s}"] * away[f"v{t}"]).sum() for s, t in part}
            found = _frame(away.group_by("first").aggregate(**sums))
            cell = self._first.get_indexer(pd.Index(found["first"]))
            for s, t in part:  # nothing where no one is seen in both
                out[cell, s, t] = out[cell, t, s] = found[f"p{s}_{t}"].fillna(0.0).to_numpy(dtype=np.float64)
        return out

    @cached_property
    def _rows(self) -> ir.Table:
        """The panel as who, period, k0, k1 ... (fixed and moving columns) and y0, y1 ... (outcomes as numbers)."""
        w, table = self.wanted, self.table
        kinds = table.schema()
        if odd := [y for y in w.outcomes if not (kinds[y].is_numeric() or kinds[y].is_boolean())]:
            raise NotAlikeError(f"outcome {spelt(odd[0])} holds {kinds[odd[0]]}")
        keys = {f"k{i}": _plain(table[c]) for i, c in enumerate((*w.fixed, *w.moving))}
        values = {f"y{j}": _number(table[y]) for j, y in enumerate(w.outcomes)}
        return table.select(who=_sortable(table[w.unit]), period=_plain(table[w.period]), **keys, **values)

    def _look(self) -> list[float]:
        """The mean of every outcome; that no id is missing, and no outcome infinite."""
        w, rows = self.wanted, self._rows
        ids = {"who": w.unit, "period": w.period} | {f"k{i}": c for i, c in enumerate(w.fixed)}
        asked = {f"n_{key}": rows[key].count() for key in ids}
        for j in range(len(w.outcomes)):
            asked |= {f"most{j}": rows[f"y{j}"].abs().max(), f"mean{j}": rows[f"y{j}"].mean()}
        found = _frame(rows.aggregate(n=rows.count(), **asked)).iloc[0]
        check_ids({column: int(found[f"n_{key}"]) for key, column in ids.items()}, int(found["n"]))
        for j, outcome in enumerate(w.outcomes):
            check_range(found[f"most{j}"], outcome)
        return [0.0 if pd.isna(found[f"mean{j}"]) else float(found[f"mean{j}"]) for j in range(len(w.outcomes))]

    @cached_property
    def _periods(self) -> list[object]:
        """(T,) the periods in order."""
        with _engine_words():
            found = self._rows.select("period").distinct().limit(PERIODS + 1).to_pyarrow()
        if len(found) > PERIODS:
            raise NotAlikeError(f"it has more than {PERIODS:,} periods")
        return sorted(found.column("period").to_pylist())

    def _seen(self, rows: ir.Table) -> list[ir.BooleanValue]:
        """(T,) whether a row is of each of the periods."""
        import ibis

        return [rows.period == ibis.literal(p, type=rows.period.type()) for p in self._periods]

    @cached_property
    def _units(self) -> ir.Table:
        """A row a unit: who, k0, k1 ... (fixed columns), whether they `moved`, and `first`, the smallest unit of those
        of one place and path."""
        rows = self._rows.mutate(code=self._code(self._rows))
        fixed = [f"k{i}" for i in range(len(self.wanted.fixed))]
        moved = sum((rows[k].min() != rows[k].max()).ifelse(1, 0) for k in fixed) if fixed else rows.count() * 0
        codes = [rows.code.max(where=seen).fill_null(_NOT_SEEN) + ";" for seen in self._seen(rows)]
        own = {k: rows[k].min() for k in fixed}
        people = rows.group_by("who").aggregate(path=_joined(codes), moved=moved, **own)
        first = people.who.min().over(group_by=[*fixed, "path"])
        return _kept(people.select("who", *fixed, moved=people.moved > 0, first=first))

    def _code(self, rows: ir.Table) -> ir.StringValue:
        """What a person had in a period, as a text: which outcomes are missing, and the values of moving columns, each
        ended by a comma; text with its length before it, so that nothing in it can be meant for an end."""
        import ibis

        w = self.wanted
        gone = [rows[f"y{j}"].isnull().ifelse("0", "1") for j in range(len(w.outcomes))]
        values = [rows[f"k{len(w.fixed) + i}"] for i in range(len(w.moving))]
        texts = [v.length().cast("string") + ":" + v if v.type().is_string() else v.cast("string") for v in values]
        return _joined([ibis.literal("."), *gone, *(text.fill_null("") + "," for text in texts)])

    @property
    def _told(self) -> ir.Table:
        """The rows, with the smallest unit of those like theirs."""
        return self._rows.join(self._units.select("who", "first"), "who")

    def _added(self, found: pd.DataFrame, cells: pd.DataFrame, means: Sequence[float]) -> Added:
        """Cells in the order of their smallest units, from what the engine says of each and period."""
        w, periods = self.wanted, pd.Series(self._periods)
        moving = range(len(w.fixed), len(w.fixed) + len(w.moving))
        if not all(found[f"k{i}"].equals(found[f"other{i}"]) for i in moving):
            raise NotAlikeError("this engine takes values for the same that are not")
        found = found.assign(cell=self._first.get_indexer(pd.Index(found["first"])))
        at = pd.Index(self._periods).get_indexer(pd.Index(found["period"]))
        found = found.iloc[np.lexsort([at, found["cell"].to_numpy()])].reset_index(drop=True)
        own = cells.drop(columns=["first", "heads"]).iloc[found["cell"].to_numpy()].reset_index(drop=True)
        found = pd.concat([found, own], axis=1)
        heads = cells["heads"].to_numpy(dtype=np.int64)

        def mean(j: int, count: np.ndarray) -> np.ndarray:
            return means[j] + found[f"s{j}"].to_numpy(dtype=np.float64, na_value=np.nan) / count

        return Added(assembled(found, w, heads, mean), heads, periods)


def _plain(column: ir.Column) -> ir.Column:
    """A column of keys as a type that every engine can compare and pandas can hold."""
    kind = column.type()
    if kind.is_decimal():
        return column.cast("int64" if kind.scale == 0 else "float64")
    return _sortable(column)


def _sortable(column: ir.Column) -> ir.Column:
    """A column of which every engine knows the smallest value."""
    return column if column.type().is_primitive() or column.type().is_temporal() else column.cast("string")


def _number(column: ir.Column) -> ir.FloatingColumn:
    """An outcome as a number, nothing where it is missing or no number."""
    import ibis

    if column.type().is_boolean():
        return column.cast("int32").cast("float64")  # not every engine makes numbers of yes and no at once
    number = column.cast("float64")
    return number.isnan().ifelse(ibis.null("float64"), number) if not column.type().is_integer() else number


def _joined(texts: Sequence[ir.StringValue]) -> ir.StringValue:
    """Texts one after the other, joined two by two: engines read no expression that is as deep as a panel is long."""
    parts = list(texts)
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) // 2 * 2 :]
    return parts[0]


@contextmanager
def _engine_words() -> Iterator[None]:
    """What an engine, its driver or ibis raise, as a `StudyError`."""
    try:
        yield
    except Exception as error:  # every engine has errors of its own
        advice = "Is its connection open, and may it make temporary tables? Else collect the table: table.to_pandas()."
        raise StudyError(f"The panel cannot be added up where it is ({said(error)}). {advice}") from error


def _frame(asked: ir.Table) -> pd.DataFrame:
    """The answer of the engine, which is small."""
    with _engine_words():
        return asked.to_pyarrow().to_pandas()


def _kept(asked: ir.Table) -> ir.Table:
    """A temporary table in the engine, which goes with what is returned."""
    with _engine_words():
        return asked.cache()
