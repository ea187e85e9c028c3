"""Rows of the panel as a grid of units and periods, and columns read on it.

Sorted balanced panels are recognised by reshaping, without sorting or hashing a
row; all others are factorised once and scattered.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitWarning, OutcomeError, Problem, StudyError, raise_problems, spelt, suggest
from evalkit.show.words import count_words
from evalkit.study.calendar import period_positions
from evalkit.study.component import Outcome
from evalkit.study.frame import (
    Columns,
    Source,
    key_array,
    match,
    numbers,
    plain_numbers,
    say_rows,
    wrong_rows,
)
from evalkit.study.paths import Level
from evalkit.study.reading import holds_text
from evalkit.study.schema import ROLES, check_column

MOST_LOG = 100.0
"""Size above which a number is no logarithm: e to that power is an amount of 43 digits."""


@dataclass(frozen=True, eq=False)
class Index:
    """Which row holds which unit and period.

    units: (n,) unit ids in order. keys: (T,) distinct period values as they stand in the panel, in order. position: (n,
    T) row of the panel, -1 where there is none; None when row i * T + t is simply the (i, t)-th. origin: (n,) number of
    the unit, when units were split into stays.
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
        have = self.seen
        if have is None:
            return values[self.position]
        out = np.full(self.shape, fill, dtype=np.result_type(values.dtype, type(fill)))
        out[have] = values[self.position[have]]
        return out

    @property
    def first_row(self) -> np.ndarray:
        """(n,) row of the panel that is the first of each unit."""
        n, T = self.shape
        if self.position is None:
            return np.arange(n) * T
        return self.position[np.arange(n), (self.position >= 0).argmax(axis=1)]

    @property
    def rows(self) -> np.ndarray:
        """(n, T) row of the panel, -1 where there is none."""
        n, T = self.shape
        return np.arange(n * T).reshape(n, T) if self.position is None else self.position

    def subset(self, units: np.ndarray, periods: np.ndarray) -> Index:
        """The grid of some units and some periods (positions)."""
        origin = None if self.origin is None else self.origin[units]
        return Index(self.units[units], self.keys[periods], self.rows[np.ix_(units, periods)], origin)

    def widened(self, keys: np.ndarray, place: np.ndarray) -> Index:
        """The grid with more periods, in which nobody was seen; the present ones stand at `place` among `keys`."""
        position = np.full((len(self.units), len(keys)), -1, dtype=np.int64)
        position[:, place] = self.rows
        return Index(self.units, keys, position)

    def changes(self, codes: np.ndarray) -> np.ndarray:
        """(n, T) where a column of codes differs from the first row of its unit."""
        if self.position is None:
            grid = codes.reshape(self.shape)
            return grid != grid[:, :1]
        return (self.position >= 0) & (codes[self.position] != codes[self.first_row][:, None])


def build_index(unit: pd.Series, period: pd.Series | None) -> tuple[Index | None, np.ndarray]:
    """The grid of a panel and the rows that repeat a unit and period; (None, rows) when any row is a duplicate."""
    u, names = key_array(unit)
    p, stamps = (np.zeros(len(u), dtype=np.int8), np.array([0])) if period is None else key_array(period)
    grid = _sorted_grid(u, p)
    if grid is None:
        return _scattered(u, names, p, stamps)
    units, keys = grid[0] if names is None else names[grid[0]], grid[1] if stamps is None else stamps[grid[1]]
    if not (np.diff(period_positions(keys)) > 0).all():
        return _scattered(u, names, p, stamps)
    order, position = stable_order(units), None
    if (np.diff(order) != 1).any():
        position = order[:, None] * len(keys) + np.arange(len(keys))
    return Index(units[order], _days(keys), position), np.empty(0, dtype=np.intp)


def _sorted_grid(u: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit and period keys when rows come unit by unit with the same periods in each."""
    T = int((u != u[0]).argmax()) or len(u)
    if len(u) % T:
        return None
    blocks, times = u.reshape(-1, T), p.reshape(-1, T)
    if not (blocks[:, :1] == blocks).all() or not (times[:1] == times).all():
        return None
    ids = blocks[:, 0]
    if not (ids[1:] > ids[:-1]).all() and len(pd.unique(ids)) != len(ids):
        return None
    return ids, times[0]


def _scattered(
    u: np.ndarray, names: np.ndarray | None, p: np.ndarray, stamps: np.ndarray | None
) -> tuple[Index | None, np.ndarray]:
    """The grid of rows in any order, each unit and period factorised once."""
    i, units = sorted_codes(u, names)
    t, keys = sorted_codes(p, stamps)
    rank = np.argsort(period_positions(keys), kind="stable")
    flat = i.astype(np.int64) * len(keys) + np.argsort(rank)[t]
    rows = np.arange(len(flat))
    position = np.full(len(units) * len(keys), -1, dtype=np.int64)
    position[flat] = rows
    if (position[flat] != rows).any():
        return None, np.flatnonzero(np.bincount(flat, minlength=len(position))[flat] > 1)
    grid = position.reshape(len(units), len(keys))
    return Index(units, _days(keys[rank]), grid), np.empty(0, dtype=np.intp)


def _days(keys: np.ndarray) -> np.ndarray:
    """Stamps as days where none has a time of day, so that they print as people write dates."""
    days = keys.astype("datetime64[D]") if keys.dtype.kind == "M" else keys
    return days if days is not keys and (days == keys).all() else keys.copy()


def sorted_codes(keys: np.ndarray, names: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0, 1, ... in the order of the distinct values, and those values."""
    if names is not None:
        order = stable_order(names)
        return np.argsort(order)[keys], names[order]
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
    """Sorting order of ids; ids of mixed kinds are ordered by their text, and texts that are whole numbers by these:
    a file gives them back as numbers, and folds and deals must not hang on where a study was read from."""
    if values.dtype == object and all(isinstance(v, str) for v in values):
        numbers = plain_numbers(values)
        values = values if numbers is None else numbers
    try:
        return np.argsort(values, kind="stable")
    except TypeError:
        return np.argsort(np.array([str(v) for v in values]), kind="stable")


def own_rows(name: str, columns: Columns, index: Index, unit: str) -> np.ndarray:
    """(n,) row of each unit in the table that holds a fixed column: its first in the panel, or that of the people."""
    if columns.in_panel(name) or columns.people is None:
        return index.first_row
    return match(index.units, columns.people[unit].to_numpy())


def per_unit(name: str, columns: Columns, index: Index, unit: str) -> pd.Series:
    """(n,) values of a fixed column: from the unit's first row, or from the people."""
    return columns.series(name).iloc[own_rows(name, columns, index, unit)].reset_index(drop=True)


def check_fixed(name: str, values: np.ndarray, columns: Columns, base: Index) -> list[Problem]:
    """A column of the panel must be the same in every row of a unit."""
    if not columns.in_panel(name):
        return []
    differs = base.changes(values)
    changed = np.flatnonzero(differs.any(axis=1))
    if not len(changed):
        return []
    said = ", ".join(str(base.units[i]) for i in changed[:5])
    what = f"{name!r} changes within {count_words(len(changed), 'unit')} ({said})"
    where = columns.say(name, np.sort(base.rows[differs]))
    return [Problem(what, where, "It must be the same in every row of a unit.")]


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


def check_people(columns: Columns, index: Index, unit: str, needed: list[str]) -> list[Problem]:
    """Every unit must be in the table of people once, if a column is taken from there."""
    people = columns.people
    if people is None:
        return []
    if unit not in people.columns:
        advice = "It must name the unit as the panel does."
        return [Problem(f"The table of people has no column {unit!r}", "people", advice)]
    twice = people[unit].duplicated(keep=False).to_numpy()
    problems = wrong_rows(people, twice, "People occur more than once", "people", "Keep one row a unit.")
    if any(columns.in_people(n) for n in needed):
        gone = np.flatnonzero(match(index.units, people[unit].to_numpy()) < 0)
        if len(gone):
            listed = ", ".join(str(u) for u in index.units[gone[:5]])
            what = f"Units of the panel that are not among the people: {len(gone):,}"
            problems.append(Problem(what, f"people, units {listed}", "Add their rows."))
    return problems


_SIGN = re.compile(r"\s*([+-]?[\d.,]+)\s*%?\s*")


def as_shares(column: pd.Series, decimal: str) -> pd.Series:
    """Percentages (45, 45.0, '45%') as shares; cells that are none stay as they are."""

    def one(cell: object) -> object:
        if not isinstance(cell, str) or not (found := _SIGN.fullmatch(cell)):
            return cell
        try:
            return float(found[1].replace(decimal, "."))
        except ValueError:
            return cell

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return column / 100
    read = column.astype(object).map(one)
    plain = read.map(lambda v: isinstance(v, (int, float, np.number)) and not isinstance(v, bool))
    if not (plain | read.isna()).all():
        return read
    return read.astype(np.float64) / 100


def absent_outcomes(outcomes: Sequence[Outcome], source: Source) -> list[Problem]:
    """Outcomes whose columns the panel does not have, from its header alone: no value is read."""
    known = [str(c) for c in source.columns]
    return [
        Problem(
            f"There is no outcome column {name!r}",
            f"table [outcomes.{o.column}]",
            suggest(name, known, "The columns are"),
        )
        for o in outcomes
        for name in o.columns
        if name not in source.columns
    ]


def read_outcome(outcome: Outcome, source: Source, index: Index) -> np.ndarray:
    """(n, T) float64 values of an outcome, NaN where missing or not seen; read-only.

    Raises `OutcomeError` naming the column and the first five rows that are text, infinite or not of its kind.
    """
    column, kind = outcome.column, outcome.kind
    if column not in source.columns:
        known = suggest(column, [str(c) for c in source.columns], "The columns are")
        raise OutcomeError(f"There is no outcome column {column!r}. {known}")
    series, what = source.column(column), f"outcome {column!r}"
    if outcome.percent:
        series = as_shares(series, source.cells.reading.decimal)
    raise_problems(check_column(series, ROLES[kind], what, lambda rows: say_rows(source, rows)), OutcomeError)
    values = numbers(series)[0].astype(np.float64, copy=False)
    if outcome.per is not None:
        values = values / _denominator(outcome, source, ~np.isnan(values))
    given = values[~np.isnan(values)]
    if outcome.percent and len(given) and 0 < given.max() <= 0.01:
        words = f"{what} is said to be in per cent, and its largest value is {100 * given.max():g}: "
        warnings.warn(words + "where these are shares of 1, leave percent out.", EvalkitWarning, stacklevel=4)
    if kind == "log" and (given == 0).any() and np.isin(given, (0, 1)).all():
        raise OutcomeError(f"{what} is 0 or 1 everywhere, which is no logarithm. Choose kind='share'.")
    if kind == "log" and (np.abs(given) > MOST_LOG).any():
        rows = np.flatnonzero(np.abs(values) > MOST_LOG)
        raise OutcomeError(
            f"{what} holds {values[rows[0]]:,.6g} ({say_rows(source, rows)}), which is the logarithm of no amount. "
            "Take logarithms, or choose kind='money' or kind='score'."
        )
    if kind == "count" and (given < 0).any() and (given[given >= 0] % 1 == 0).all():
        below = say_rows(source, np.flatnonzero(values < 0))
        raise OutcomeError(f"{what} is negative ({below}). Count from 0, and leave it empty where it is missing.")
    grid = index.grid(values)
    out = grid if grid.base is None and index.position is not None else grid.view()
    out.flags.writeable = False
    return out


def read_denominators(outcome: Outcome, source: Source, index: Index) -> np.ndarray:
    """(n, T) what a rate's counts are divided by, NaN where there is no count."""
    counted = ~np.isnan(numbers(source.column(outcome.column))[0].astype(np.float64, copy=False))
    return index.grid(np.where(counted, _denominator(outcome, source, counted), np.nan))


def _denominator(outcome: Outcome, source: Source, counted: np.ndarray) -> np.ndarray:
    """(N,) the column that a rate is per; `OutcomeError` where it is not there, or not above 0 beside a count."""
    column, what = str(outcome.per), f"per={outcome.per!r} of the rate {outcome.column!r}"
    if column not in source.columns:
        known = suggest(column, [str(c) for c in source.columns], "The columns are")
        raise OutcomeError(f"There is no column {column!r}, which {outcome.column!r} is a rate per. {known}")
    series = source.column(column)
    raise_problems(check_column(series, ROLES["per"], what, lambda rows: say_rows(source, rows)), OutcomeError)
    values = np.asarray(numbers(series)[0].astype(np.float64, copy=False))
    problems = []
    for wrong, how in ((np.isnan(values), "is missing where there is a count"), (values == 0, "is 0")):
        if (wrong & counted).any():
            where, advice = say_rows(source, np.flatnonzero(wrong & counted)), "Fill it in, or leave the count empty."
            problems.append(Problem(f"{what} {how}", where, advice))
    raise_problems(problems, OutcomeError)
    return np.where(counted, values, 1.0)


def read_covariates(names: tuple[str, ...], columns: Columns, index: Index, unit: str) -> np.ndarray:
    """(n, T, q) float64 covariates, NaN where missing or not seen; words as `covariate_columns` says."""
    n, T = index.shape
    made = [made for name in names for made in covariate_columns(name, columns).values()]
    homes = [name for name in names for _ in covariate_columns(name, columns)]
    out = np.empty((n, T, len(made)))
    for j, (name, values) in enumerate(zip(homes, made, strict=True)):
        if columns.in_panel(name):
            out[:, :, j] = index.grid(values)
        else:
            out[:, :, j] = values[own_rows(name, columns, index, unit)][:, None]
    return out


KINDS = 20
"""Most kinds that a covariate of words may have."""


def covariate_columns(name: str, columns: Columns) -> dict[str, np.ndarray]:
    """(N,) float64 columns that a covariate is, in its own rows: itself if it is numbers; for words a 0/1 column for
    each kind but the commonest, 'region=North', NaN where there is no word. `StudyError` for what is neither."""
    if not columns.has(name):
        raise_problems([columns.absent(name, "covariates")])
    series, say = columns.series(name), partial(columns.say, name)
    kinds = _kinds(series)
    if kinds is None and len(mixed := _numbers_among_words(series)):
        what = f"covariate {name!r} holds text such as {spelt(series.iloc[mixed[0]])} among words"
        raise_problems([Problem(what, say(mixed), "Write it as a word, or all of them as numbers.")])
    if kinds is None:
        raise_problems(check_column(series, ROLES["covariate"], f"covariate {name!r}", say), StudyError)
        return {name: numbers(series)[0].astype(np.float64, copy=False)}
    where, gone = f"covariate {name!r}", series.isna().to_numpy()
    if len(kinds) > KINDS:
        listed = ", ".join(map(repr, kinds[:5]))
        advice = "Put kinds together until there are few, or leave it out."
        raise_problems([Problem(f"It has {len(kinds)} kinds ({listed}, ...), more than {KINDS}", where, advice)])
    text = series.astype(object).where(~gone, "").astype(str).to_numpy()
    if len(kinds) == 1:
        return {name: np.where(gone, np.nan, 1.0)}
    return {f"{name}={kind}": np.where(gone, np.nan, text == kind) for kind in kinds[1:]}


def _kinds(series: pd.Series) -> list[str] | None:
    """The kinds of a covariate of words, the commonest first and the rest by name; None where it is numbers, or text of
    which some is a number in another way of writing."""
    if not holds_text(series):
        return None
    found = series.dropna().astype(object).value_counts()
    words = all(isinstance(v, str) and v.strip() and not _A_NUMBER.fullmatch(v.strip()) for v in found.index)
    if not len(found) or not words:
        return None
    common = min(found.index[found == found.max()])
    return [common, *sorted(v for v in found.index if v != common)]


def _numbers_among_words(series: pd.Series) -> np.ndarray:
    """Rows of a column of text that are numbers in some way of writing, where other rows are words; else none."""
    if not holds_text(series):
        return np.empty(0, dtype=np.intp)
    given = series.notna().to_numpy()
    number = series.astype(object).map(lambda v: not isinstance(v, str) or bool(_A_NUMBER.fullmatch(v.strip())))
    odd = number.to_numpy(dtype=bool) & given
    return np.flatnonzero(odd) if odd.any() and (given & ~odd).sum() > odd.sum() else np.empty(0, dtype=np.intp)


_A_NUMBER = re.compile(r"[<>£$€]?\s*[+-]?[\d.,]*\d[\d.,]*\s*%?(?:[eE][+-]?\d+)?")
"""Text that is a number, if not as a computer writes it."""
