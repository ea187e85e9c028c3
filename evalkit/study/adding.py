"""One pass from rows to cells, in DuckDB: no row is held in memory, and the same rows give the same bits.

Sums are of whole numbers (outcomes times a power of two, 52 bits of them), which come out the same in whatever order
and by however many threads they are added; cells are numbered by the smallest of their units. Cross-products are made
by unit in that order, a part of the units at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from evalkit.errors import StudyError
from evalkit.study.alike import Kept
from evalkit.study.scan import MEMORY, ROWS, Scan, Session, is_numeric, is_relation, quoted

MOST, MOST_PRODUCTS = 4_000_000, 100_000_000
"""Cell-periods, and numbers in the cross-products of an outcome, above which nothing is gained by adding up."""
PART = 500_000_000
"""Bytes of people's outcomes that are held at a time for cross-products."""
_BITS, _UNEVEN = 52, 1000.0
_LOWER = 2.0**_BITS


class NotAlikeError(StudyError):
    """These rows cannot be added up; the message says why, and nothing about what to do."""


@dataclass(frozen=True)
class Wanted:
    """Columns of a panel. fixed: the same in all rows of a unit. moving: exposures and covariates, which may
    change."""

    unit: str
    period: str
    fixed: tuple[str, ...]
    moving: tuple[str, ...]
    outcomes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.unit, self.period, *self.fixed, *self.moving, *self.outcomes)))


@dataclass(frozen=True)
class _Scale:
    """How an outcome is made whole. power: what it is multiplied by. uneven: whether its size differs so much between
    rows that the digits below are added up too."""

    power: float
    uneven: bool


@dataclass(frozen=True, eq=False)
class Added:
    """Cells of a panel. frame: a row a cell and period, sorted by both, the number of the cell in the unit's column and
    means of outcomes in theirs. heads: (n,) people of each cell. periods: (T,) as the rows have them, in the order of
    `Adding.within`."""

    frame: pd.DataFrame
    heads: np.ndarray
    periods: pd.Series


def check_ids(given: Mapping[str, int], rows: int) -> None:
    """That columns of ids are `given` in all rows."""
    for column, n in given.items():
        if n < rows:
            raise NotAlikeError(f"{column!r} is missing in {rows - n:,} rows")
    if not rows:
        raise NotAlikeError("there are no rows")


def check_range(most: object, outcome: str) -> None:
    """That the largest size of an outcome is a number; None where it has none."""
    if not pd.isna(most) and math.isinf(float(most)):  # type: ignore[arg-type]
        raise NotAlikeError(f"outcome {outcome!r} is infinite in some rows")


def check_size(units: int, cells: int, spans: int) -> None:
    """That something is gained by adding up, and fits."""
    if spans == 1:
        raise NotAlikeError("everybody is seen in one period only")
    fit = min(MOST // spans, MOST_PRODUCTS // spans**2)
    if cells > fit:
        raise NotAlikeError(
            f"{units:,} units make {cells:,} kinds of people alike in place, path and when they are seen, "
            f"over {spans:,} periods: more than the {fit:,} that fit. Coarser periods, rounded doses and "
            "covariates, or fewer outcomes with gaps of their own make them fewer"
        )


def assembled(
    found: pd.DataFrame, wanted: Wanted, heads: np.ndarray, mean: Callable[[int, np.ndarray], np.ndarray]
) -> pd.DataFrame:
    """`Added.frame` from a row a cell and period: cell, period, n (rows), k0, k1 ... (fixed and moving columns), c0, c1
    ... (rows with each outcome). mean: from an outcome's position and those counts, 1 where 0, to its means.

    Raises `NotAlikeError` where rows repeat or people of a cell are not seen alike.
    """
    w, behind = wanted, heads[found["cell"].to_numpy()]
    if (found["n"].to_numpy() != behind).any():
        at = int(np.flatnonzero(found["n"].to_numpy() != behind)[0])
        raise NotAlikeError(f"rows repeat a unit and period (some in {found['period'].iloc[at]})")
    made = {w.unit: found["cell"].to_numpy(), w.period: found["period"]}
    made |= {c: found[f"k{i}"] for i, c in enumerate((*w.fixed, *w.moving))}
    for j, outcome in enumerate(w.outcomes):
        count = found[f"c{j}"].to_numpy()
        if ((count > 0) & (count != behind)).any():
            raise NotAlikeError(f"people of one cell are not seen alike in {outcome!r}")
        with np.errstate(invalid="ignore"):
            made[outcome] = np.where(count > 0, mean(j, np.maximum(count, 1)), np.nan)
    return pd.DataFrame(made)


@dataclass(eq=False)
class Adding:
    """A panel's rows on their way to cells. Raises `NotAlikeError` where they cannot be added up: an id is missing,
    rows repeat, a place changes within a unit, an outcome holds text, or cells are too many."""

    scan: Scan
    wanted: Wanted
    memory: str = MEMORY
    _session: Session | None = field(default=None, repr=False)
    _ranked: bool = field(default=False, repr=False)

    def __call__(self, column: str) -> np.ndarray:
        """(n, T, T) sums of products of people's deviations from the mean of their cell, of an outcome."""
        return self.within(column)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        if is_relation(self.scan.given):  # which lives as long as its connection
            return Kept, ({y: self.within(y) for y in self.wanted.outcomes},)
        return Adding, (self.scan, self.wanted, self.memory)

    def close(self) -> None:
        """Let go of the connection and of what it kept on disk."""
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def session(self) -> Session:
        """The connection, in which units know their cells."""
        if self._session is None:
            self._session, self._ranked = Session(self.scan.of(self.wanted.columns), self.memory), False
            self._number()
        return self._session

    @cached_property
    def scales(self) -> dict[str, _Scale]:
        """How each outcome is made whole, from its range."""
        return {}

    def cells(self) -> Added:
        """The cells, added up."""
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            found = self._cells()
            on_failure.pop_all()
        return found

    def _cells(self) -> Added:
        w = self.wanted
        session, unit, period = self.session, _at(self.wanted.unit), _at(self.wanted.period)
        exposed = f"hash({', '.join(map(_at, w.moving))})" if w.moving else "0"
        sums = [f"min({exposed}) = max({exposed}) AS alike"]
        sums += [f"count({self._value(y)}) AS c{j}" for j, y in enumerate(w.outcomes)]
        for j, y in enumerate(w.outcomes):
            sums += [f"CAST(sum({whole}) AS DOUBLE) AS s{j}_{i}" for i, whole in enumerate(self._whole(y))]
        session.run(
            f"CREATE OR REPLACE TEMP TABLE summed AS SELECT u.cell, {period} AS period, count(*) AS n"
            f"{''.join(', ' + s for s in sums)} FROM {ROWS} AS p JOIN units AS u ON {unit} = u.who GROUP BY ALL"
        )
        told = ", ".join(f"{_at(c)} AS k{i}" for i, c in enumerate((*w.fixed, *w.moving)))
        session.run(
            f"CREATE OR REPLACE TEMP TABLE told AS SELECT c.cell, {period} AS period{', ' + told if told else ''} "
            f"FROM {ROWS} AS p JOIN cells AS c ON {unit} = c.first"
        )
        found = session.frame("SELECT * FROM summed JOIN told USING (cell, period) ORDER BY cell, period")
        heads = session.frame("SELECT heads FROM cells ORDER BY cell")["heads"].to_numpy(dtype=np.int64)
        frame = assembled(found, w, heads, partial(self._mean, found))
        if not found["alike"].all():
            raise NotAlikeError("two exposure paths have one hash")
        periods = session.frame("SELECT period FROM times ORDER BY t")["period"]
        return Added(frame, heads, periods)

    def _mean(self, found: pd.DataFrame, j: int, count: np.ndarray) -> np.ndarray:
        scale = self.scales[self.wanted.outcomes[j]]
        total = found[f"s{j}_0"].to_numpy(dtype=np.float64)
        if scale.uneven:
            total = total + found[f"s{j}_1"].to_numpy(dtype=np.float64) / _LOWER
        return total / count / scale.power

    def _value(self, outcome: str) -> str:
        """An outcome as a number, nothing where it is missing or no number."""
        number = f"CAST({_at(outcome)} AS DOUBLE)"
        return f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END"

    def _whole(self, outcome: str) -> list[str]:
        """An outcome in whole numbers: its first 52 bits and, where it is uneven, those below."""
        scale = self.scales[outcome]
        large = f"({self._value(outcome)} * {scale.power:.17e})"
        parts = [f"CAST(round({large}) AS BIGINT)"]
        if scale.uneven:
            parts.append(f"CAST(round(({large} - round({large})) * {_LOWER:.17e}) AS BIGINT)")
        return parts

    def _number(self) -> None:
        """Number the cells, and give every unit its own."""
        session, w = self.session, self.wanted
        self._look()
        unit, period = _at(w.unit), _at(w.period)
        gone = [f"{self._value(y)} IS NULL" for y in w.outcomes]
        # hash() of nothing but zeros is zero, and adds up alike where flags change places: so hashed again, with a one
        row = ", ".join([period, *map(_at, w.moving), *gone])
        place = ", ".join(map(_at, w.fixed)) or "0"
        session.run(
            f"CREATE TEMP TABLE seen AS SELECT {unit} AS who, sum(hash(hash({row}), 1)) AS path, "
            f"min(hash({place})) AS place, max(hash({place})) AS other FROM {ROWS} AS p GROUP BY {unit}"
        )
        moved = session.frame("SELECT count(*) FILTER (place <> other) AS moved, count(*) AS units FROM seen")
        if moved["moved"].iloc[0]:
            raise NotAlikeError(f"{int(moved['moved'].iloc[0]):,} units change in {', '.join(map(repr, w.fixed))}")
        session.run(
            "CREATE TEMP TABLE cells AS SELECT row_number() OVER (ORDER BY min(who)) - 1 AS cell, place, path, "
            "count(*) AS heads, min(who) AS first FROM seen GROUP BY place, path"
        )
        session.run(
            "CREATE TEMP TABLE units AS SELECT who, CAST(cell AS INTEGER) AS cell FROM seen JOIN cells "
            "USING (place, path)"
        )
        session.run("DROP TABLE seen")
        session.run(
            "CREATE TEMP TABLE times AS SELECT period, CAST(row_number() OVER (ORDER BY period) - 1 AS INTEGER) AS t "
            f"FROM (SELECT DISTINCT {period} AS period FROM {ROWS} AS p)"
        )
        cells, spans = (
            int(session.frame(f"SELECT count(*) AS n FROM {name}")["n"].iloc[0]) for name in ("cells", "times")
        )
        check_size(int(moved["units"].iloc[0]), cells, spans)

    def _look(self) -> None:
        """The range of every outcome, and that no id is missing."""
        session, w = self.session, self.wanted
        kinds = session.kinds()
        if odd := [y for y in w.outcomes if not is_numeric(kinds[y])]:
            raise NotAlikeError(f"outcome {odd[0]!r} holds {kinds[odd[0]].lower()}")
        parts = [f"count({_at(c)}) AS k{i}" for i, c in enumerate((w.unit, w.period, *w.fixed))]
        for j, y in enumerate(w.outcomes):
            value = self._value(y)
            parts += [f"max(abs({value})) AS most{j}", f"avg(abs({value})) AS mean{j}"]
        found = session.frame(f"SELECT count(*) AS n, {', '.join(parts)} FROM {ROWS} AS p").iloc[0]
        ids = enumerate((w.unit, w.period, *w.fixed))
        check_ids({column: int(found[f"k{i}"]) for i, column in ids}, int(found["n"]))
        made = {y: _scale(found[f"most{j}"], found[f"mean{j}"], y) for j, y in enumerate(w.outcomes)}
        if not self.scales:
            self.scales.update(made)

    def within(self, column: str) -> np.ndarray:
        """(n, T, T) sums of products of people's deviations from the mean of their cell, of an outcome."""
        session = self.session
        if not self._ranked:
            session.run(
                "CREATE TEMP TABLE ranked AS SELECT who, cell, row_number() OVER (ORDER BY cell, who) - 1 AS rank "
                "FROM units"
            )
            self._ranked = True
        T = int(session.frame("SELECT count(*) AS n FROM times")["n"].iloc[0])
        heads = session.frame("SELECT heads FROM cells ORDER BY cell")["heads"].to_numpy(dtype=np.int64)
        out = np.zeros((len(heads), T, T))
        stops = np.concatenate([[0], np.cumsum(heads)])
        with threadpool_limits(1, user_api="blas"):  # or the last bits follow the number of cores
            for low, high in _parts(heads, max(PART // (8 * T), 1)):
                people = self._outcomes(column, int(stops[low]), int(stops[high]), T)
                for c in range(low, high):
                    if heads[c] > 1:
                        away = people[stops[c] - stops[low] : stops[c + 1] - stops[low]]
                        away = away - away.mean(axis=0)
                        np.nan_to_num(away, copy=False)
                        out[c] = away.T @ away
        return out

    def _outcomes(self, column: str, low: int, high: int, T: int) -> np.ndarray:
        """(high - low, T) outcomes of some units, by their rank."""
        people = np.full((high - low, T), np.nan)
        rows = (
            f"SELECT r.rank - {low}, times.t, {self._value(column)} FROM {ROWS} AS p JOIN (SELECT * FROM ranked WHERE "
            f"rank >= {low} AND rank < {high}) AS r ON {_at(self.wanted.unit)} = r.who "
            f"JOIN times ON {_at(self.wanted.period)} = times.period WHERE {self._value(column)} IS NOT NULL"
        )
        for batch in self.session.batches(rows):
            rank, t, y = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(3))
            people[rank, t] = y
        return people


def _at(column: str) -> str:
    """A column of the panel, which is `p` in every query, so that no name of ours can be meant."""
    return f"p.{quoted(column)}"


def _parts(heads: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Stretches of cells with no more than so many people, or of one cell."""
    low, inside = 0, 0
    for c, n in enumerate(heads.tolist()):
        if inside and inside + n > most:
            yield low, c
            low, inside = c, 0
        inside += n
    if inside:
        yield low, len(heads)


def _scale(most: object, mean: object, column: str) -> _Scale:
    """How to make an outcome whole, from the largest and the mean of its sizes."""
    if most is None or pd.isna(most) or not most:
        return _Scale(1.0, False)
    check_range(most, column)
    power = min(max(_BITS - math.frexp(float(most))[1], -1000), 1000)  # type: ignore[arg-type]
    return _Scale(2.0**power, float(most) > _UNEVEN * float(mean))  # type: ignore[arg-type]
