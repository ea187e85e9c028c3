"""One pass from rows to cells, in DuckDB: no row is held in memory, and the same rows give the same bits.

Sums are of whole numbers (outcomes times a power of two, 52 bits of them), which come out the same in whatever order
and by however many threads they are added; cells are numbered by the smallest of their units. Where units are many, all
of it is done for a part of them at a time, cut where a sample of their ids says, so that memory does not grow with
them; which cell each is in is kept on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from evalkit.errors import StudyError
from evalkit.study.alike import Kept
from evalkit.study.scan import MEMORY, ROWS, Scan, Session, is_numeric, is_relation, literal, quoted

MOST, MOST_PRODUCTS = 4_000_000, 100_000_000
"""Cell-periods, and numbers in the cross-products of an outcome, above which nothing is gained by adding up."""
UNITS, PART = 1_000_000, 500_000_000
"""Units that are gone through at a time, and bytes of their outcomes that are held for cross-products."""
_SAMPLED = 1000  # ids, about, that say where one part of the units is to end
_SORTED = ("VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP_NS", "UUID")  # what can be cut beside numbers
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
    _parts: list[str] = field(default_factory=list, repr=False)

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
            self._session = Session(self.scan.of(self.wanted.columns), self.memory)
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
        each, whole = [f"min({exposed}) AS low, max({exposed}) AS high"], ["min(low) = max(high) AS alike"]
        for j, y in enumerate(w.outcomes):
            each.append(f"count({self._value(y)}) AS c{j}")
            whole.append(f"CAST(sum(c{j}) AS BIGINT) AS c{j}")
            each += [f"sum({digits}) AS s{j}_{i}" for i, digits in enumerate(self._whole(y))]
            whole += [f"CAST(sum(s{j}_{i}) AS DOUBLE) AS s{j}_{i}" for i in range(len(self._whole(y)))]
        for i, part in enumerate(self._parts):
            session.run(
                f"{'INSERT INTO parts' if i else 'CREATE OR REPLACE TEMP TABLE parts AS'} SELECT u.cell, {period} AS "
                f"period, count(*) AS n, {', '.join(each)} FROM {ROWS} AS p JOIN {self._units(i)} AS u "
                f"ON {unit} = u.who WHERE {part} GROUP BY ALL"
            )
        session.run(
            f"CREATE OR REPLACE TEMP TABLE summed AS SELECT cell, period, CAST(sum(n) AS BIGINT) AS n, "
            f"{', '.join(whole)} FROM parts GROUP BY ALL"
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
        """Number the cells, and keep which one every unit is in."""
        session, rows, period = self.session, self._look(), _at(self.wanted.period)
        session.run(
            "CREATE TEMP TABLE times AS SELECT period, CAST(row_number() OVER (ORDER BY period) - 1 AS INTEGER) AS t "
            f"FROM (SELECT DISTINCT {period} AS period FROM {ROWS} AS p)"
        )
        spans, units = self._count("times"), 0
        self._parts = self._cut(rows, spans)
        for part in range(len(self._parts)):
            units += self._kinds(part)
            check_size(units, self._count("(SELECT DISTINCT place, path FROM kinds)"), spans)
            mine = f"(SELECT * FROM kinds WHERE part = {part})"
            session.keep(f"units-{part}", f"SELECT who, kind FROM seen JOIN {mine} USING (place, path)")
        session.run("DROP TABLE seen")
        session.run(
            "CREATE TEMP TABLE cells AS SELECT row_number() OVER (ORDER BY min(first)) - 1 AS cell, place, path, "
            "CAST(sum(heads) AS BIGINT) AS heads, min(first) AS first FROM kinds GROUP BY place, path"
        )

    def _kinds(self, part: int) -> int:
        """See which kinds of units there are in a part; how many units are."""
        session, w = self.session, self.wanted
        gone = [f"{self._value(y)} IS NULL" for y in w.outcomes]
        # hash() of nothing but zeros is zero, and adds up alike where flags change places: so hashed again, with a one
        row = ", ".join([_at(w.period), *map(_at, w.moving), *gone])
        unit, place = _at(w.unit), ", ".join(map(_at, w.fixed)) or "0"
        session.run(
            f"CREATE OR REPLACE TEMP TABLE seen AS SELECT {unit} AS who, sum(hash(hash({row}), 1)) AS path, "
            f"min(hash({place})) AS place, max(hash({place})) AS other FROM {ROWS} AS p WHERE {self._parts[part]} "
            f"GROUP BY {unit}"
        )
        if moved := self._count("seen WHERE place <> other"):
            raise NotAlikeError(f"{moved:,} units change in {', '.join(map(repr, w.fixed))}")
        session.run(
            f"{'INSERT INTO kinds' if part else 'CREATE TEMP TABLE kinds AS'} SELECT {part} AS part, row_number() "
            "OVER () AS kind, place, path, count(*) AS heads, min(who) AS first FROM seen GROUP BY place, path"
        )
        return self._count("seen")

    def _count(self, what: str) -> int:
        return int(self.session.frame(f"SELECT count(*) AS n FROM {what}")["n"].iloc[0])

    def _units(self, part: int) -> str:
        """Units of a part, `who`, and the cell of each."""
        kept = self.session.kept(f"units-{part}")
        return (
            f"(SELECT who, CAST(cell AS INTEGER) AS cell FROM {kept} JOIN (SELECT kind, cell FROM kinds JOIN cells "
            f"USING (place, path) WHERE part = {part}) USING (kind))"
        )

    def _cut(self, rows: int, spans: int) -> list[str]:
        """Conditions, one of which each unit meets, and not too many the same."""
        most, kind = max(PART // (8 * spans), 1), self.session.kinds()[self.wanted.unit]
        if not is_relation(self.scan.given):  # all of a relation is asked for again for every part
            most = min(most, UNITS)
        if rows <= most or not (is_numeric(kind) or kind in _SORTED):
            return ["TRUE"]
        unit, one_in = _at(self.wanted.unit), max(most // _SAMPLED, 1)
        ids = self.session.frame(
            f"SELECT CAST(who AS VARCHAR) AS who FROM (SELECT DISTINCT {unit} AS who FROM {ROWS} AS p "
            f"WHERE hash({unit}) % {one_in} = 0) AS u ORDER BY u.who"
        )["who"]
        n = -(-len(ids) * one_in // most)
        ends = [f"CAST({literal(ids[len(ids) * i // n])} AS {kind})" for i in range(1, n)]
        return [
            " AND ".join([f"{unit} >= {low}"] * (low != "") + [f"{unit} < {high}"] * (high != "")) or "TRUE"
            for low, high in pairwise(["", *ends, ""])
        ]

    def _look(self) -> int:
        """The range of every outcome, that no id is missing, and how many rows there are."""
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
        return int(found["n"])

    def within(self, column: str) -> np.ndarray:
        """(n, T, T) sums of products of people's deviations from the mean of their cell, of an outcome."""
        session = self.session
        T = self._count("times")
        heads = session.frame("SELECT heads FROM cells ORDER BY cell")["heads"].to_numpy(dtype=np.int64)
        out, centre, moved = np.zeros((len(heads), T, T)), np.zeros((len(heads), T)), np.zeros((len(heads), T))
        met = np.zeros(len(heads), dtype=bool)
        with threadpool_limits(1, user_api="blas"):  # or the last bits follow the number of cores
            for part in range(len(self._parts)):
                cell, people = self._outcomes(column, part, T)
                for low, high in pairwise(np.flatnonzero(np.diff(cell, prepend=-1, append=-1)).tolist()):
                    c = cell[low]
                    if heads[c] == 1:
                        continue
                    if not met[c]:  # near enough to the mean of all: what is left is taken off at the end
                        met[c], centre[c] = True, people[low:high].mean(axis=0)
                    away = people[low:high] - centre[c]
                    np.nan_to_num(away, copy=False)
                    out[c] += away.T @ away
                    moved[c] += away.sum(axis=0)
        if len(self._parts) > 1:
            out -= moved[:, :, None] * moved[:, None] / heads[:, None, None]
        return out

    def _outcomes(self, column: str, part: int, T: int) -> tuple[np.ndarray, np.ndarray]:
        """(m,) cells of the units of a part, in order, and (m, T) their outcomes."""
        ranked = f"(SELECT *, row_number() OVER (ORDER BY cell, who) - 1 AS rank FROM {self._units(part)})"
        cell = self.session.frame(f"SELECT cell FROM {self._units(part)} ORDER BY cell")["cell"].to_numpy()
        people, value = np.full((len(cell), T), np.nan), self._value(column)
        rows = (
            f"SELECT r.rank, times.t, {value} FROM {ROWS} AS p JOIN {ranked} AS r ON {_at(self.wanted.unit)} = r.who "
            f"JOIN times ON {_at(self.wanted.period)} = times.period WHERE {self._parts[part]} AND {value} IS NOT NULL"
        )
        for batch in self.session.batches(rows):
            rank, t, y = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(3))
            people[rank, t] = y
        return cell, people


def _at(column: str) -> str:
    """A column of the panel, which is `p` in every query, so that no name of ours can be meant."""
    return f"p.{quoted(column)}"


def _scale(most: object, mean: object, column: str) -> _Scale:
    """How to make an outcome whole, from the largest and the mean of its sizes."""
    if most is None or pd.isna(most) or not most:
        return _Scale(1.0, False)
    check_range(most, column)
    power = min(max(_BITS - math.frexp(float(most))[1], -1000), 1000)  # type: ignore[arg-type]
    return _Scale(2.0**power, float(most) > _UNEVEN * float(mean))  # type: ignore[arg-type]
