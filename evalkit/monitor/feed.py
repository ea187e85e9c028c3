"""The feed: deliveries of events into a store beside the study, each through a strict door, never changed afterwards.

An event is a row: who, where, a code (an outcome, a component, or a row of the roster), when it occurred and when it
was recorded. What was known on a day is what had been delivered by then, so that any past day can be asked again.
"""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.errors import Problem, StudyError, first_rows, raise_problems, spelt, suggest
from evalkit.monitor.store import Delivery, day_of, kept_if_whole, put_in
from evalkit.study.frame import FileSource, FrameSource, Table, find_files, open_source
from evalkit.study.reading import Cells
from evalkit.study.schema import Rule, check_column

if TYPE_CHECKING:
    import duckdb

_ZONED = re.compile(r"(\d[\d-]*[Tt ][\d:.,]+)\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)")
"""A day and time, and how far its clock is from that of Greenwich."""
_ID = Rule("id", must=True, filled=True)
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")
_LAST = _LATEST - pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class Columns:
    """What the study calls the columns of people and places; the others have names of their own."""

    unit: str
    place: str

    @property
    def rules(self) -> dict[str, Rule]:
        """What may stand in each column of a delivery."""
        return {
            self.unit: Rule("id", must=True, filled=True, cased=True), self.place: _ID, "code": _ID,
            "occurred": Rule("words", must=True, filled=True), "recorded": Rule("words", must=True, filled=True),
            "value": Rule("number"), "provider": Rule("id"), "event_id": Rule("words"),
        }  # fmt: skip

    @property
    def ids(self) -> frozenset[str]:
        """Columns of names and numbers of things."""
        return frozenset([*(c for c, rule in self.rules.items() if rule.kind == "id"), "event_id"])


def take_in(store: duckdb.DuckDBPyConnection, feed: Table, home: Path | None, columns: Columns) -> None:
    """Take every delivery into the store that is not there yet: all of them, or, where any is refused, none.

    feed: frame, or path or glob of deliveries; one whose name ends in a day (events-2027-05-31.csv) is known from that
    day on; any other may grow, and its rows are known from the days on which they were recorded (rows that were not
    there when it was read before, though recorded by then: from the newest day in it; rows that are gone: until then).
    Raises `StudyError` that lists all that is wrong, and where a delivery of a day has changed since or is gone: what
    was delivered stays as it is, and is mended by a further delivery.
    """
    held = {f: s for f, s in store.execute("SELECT file, sha FROM deliveries").fetchall()}
    waiting = _waiting(feed, home)
    problems = [
        Problem(f"The delivery {name} was taken in before and is not there any more", "feed",
                "Put it back; a study with another feed lies in a folder of its own.")
        for name in held if name not in waiting
    ]  # fmt: skip
    read: dict[str, tuple[str, pd.DataFrame]] = {}
    for name, table in waiting.items():
        try:
            sha = _sha(table)
            if held.get(name) == sha:
                continue
            if name in held and day_of(name) is not None:
                advice = "Put it back as it was, and deliver corrections as a file of their own."
                problems.append(Problem(f"The delivery {name} was changed after it was taken in", "feed", advice))
                continue
            read[name] = sha, _frame(open_source(table, name, Cells(ids=columns.ids)))
        except StudyError as error:
            problems.append(Problem(str(error).rstrip(".")))
    fresh = _through_the_door(read, columns, problems)
    raise_problems(problems)
    if fresh:
        with kept_if_whole(store):
            put_in(store, fresh, columns.unit, columns.place)


def _waiting(feed: Table, home: Path | None) -> dict[str, Table]:
    """Deliveries by name."""
    if not isinstance(feed, (str, Path)):
        frame = _frame(open_source(feed, "the feed"))
        if "delivered" not in frame:
            return {"the feed": frame}
        problems: list[Problem] = []
        days = _days(frame["delivered"], "delivered", "the feed", problems)
        raise_problems(problems)
        return {f"delivery of {day:%Y-%m-%d}": rows for day, rows in frame.groupby(days, sort=True)}
    exact = (home or Path()) / feed
    pattern = str(exact) if exact.is_file() else str(Path(glob.escape(str(home or Path()))) / feed)
    files = find_files(pattern, f"feed = {str(feed)!r}")
    root = (home or Path()).resolve()
    if home is not None and not all(f.resolve().is_relative_to(root) for f in files):
        raise StudyError(f"feed = {str(feed)!r} leads out of the study's folder. Move the deliveries there.")
    return {f.relative_to(home).as_posix() if home and f.is_relative_to(home) else str(f): f for f in files}


def _sha(table: Table) -> str:
    if isinstance(table, (str, Path)):
        return hashlib.sha256(Path(table).read_bytes()).hexdigest()
    return hashlib.sha256(pd.util.hash_pandas_object(_frame(open_source(table, "the feed"))).to_numpy()).hexdigest()


def _frame(source: FileSource | FrameSource) -> pd.DataFrame:
    source.prefetch(source.columns)
    return pd.DataFrame({name: source.column(name).reset_index(drop=True) for name in source.columns})


def _through_the_door(
    read: Mapping[str, tuple[str, pd.DataFrame]], columns: Columns, problems: list[Problem]
) -> list[Delivery]:
    """Deliveries (name -> hash and rows) with days as days; every problem of their columns and values piles up. Those
    that are alike are looked at as one, and one by one only where that finds something."""
    frames = [frame for _, frame in read.values()]
    kinds = {tuple(zip(frame.columns, frame.dtypes, strict=True)) for frame in frames}
    if len(frames) > 1 and len(kinds) == 1 and all(map(len, frames)):
        with suppress(StudyError):
            rows = _looked_at(pd.concat(frames, ignore_index=True), "the feed", columns)
            ends = np.cumsum([len(frame) for frame in frames])
            parts = (rows.iloc[end - len(frame) : end] for end, frame in zip(ends, frames, strict=True))
            return [Delivery(n, sha, day_of(n), part) for (n, (sha, _)), part in zip(read.items(), parts, strict=True)]
    fresh = []
    for name, (sha, frame) in read.items():
        try:
            fresh.append(Delivery(name, sha, day_of(name), _looked_at(frame, name, columns)))
        except StudyError as error:
            problems.append(Problem(str(error).rstrip(".")))
    return fresh


def _looked_at(frame: pd.DataFrame, name: str, columns: Columns) -> pd.DataFrame:
    """The rows of a delivery, days as days. Every problem of its columns and values is raised at once."""
    rules = columns.rules
    lack = [c for c, rule in rules.items() if rule.must and c not in frame.columns]
    if lack:
        near = suggest(lack[0], map(str, frame.columns), "The columns are")
        raise StudyError(f"{name}: there is no column {', '.join(map(repr, lack))}. {near}")
    if not len(frame):
        raise StudyError(f"{name}: there is no row. Leave an empty delivery out, or deliver it again.")
    problems: list[Problem] = []
    for column in (c for c in rules if c in frame.columns and c != "event_id"):  # millions, compared as they are
        values = frame[column].drop_duplicates()  # a value is looked at once, and named by its first row
        problems += check_column(values, rules[column], column, _sayer(name, values.index))
    days = {c: _days(frame[c], c, name, problems) for c in ("occurred", "recorded")}
    raise_problems(problems)
    found = pd.DataFrame({c: frame.get(c) for c in rules}).assign(**days)
    texts = {c: _texts(found[c]) for c in rules if c in columns.ids}
    return found.assign(**texts, value=pd.to_numeric(found["value"]).astype("float64"))


def _sayer(name: str, index: pd.Index) -> Callable[[np.ndarray], str]:
    return lambda rows: f"{name}, {first_rows(index[rows[:5]], len(rows))}"


def _texts(column: pd.Series) -> pd.Series:
    """Ids as text, whole numbers without a point."""
    if pd.api.types.is_float_dtype(column.dtype):
        column = column.astype("Int64")
    if pd.api.types.is_integer_dtype(column.dtype):
        return pd.Series(pa.array(column, from_pandas=True).cast(pa.large_string()), column.index, dtype="str")
    text = column.astype("str")
    return text.where(column.notna(), None) if column.isna().any() else text


def _days(column: pd.Series, subject: str, name: str, problems: list[Problem]) -> pd.Series:
    """A column as days; what is none, or lies far away, piles up in `problems`."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_localize(None)  # the day that it was where it happened
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M" and column.between(_EARLIEST, _LAST).all():
        return column.dt.normalize()
    codes, distinct = pd.factorize(column)
    values = pd.Series(np.asarray(distinct, dtype=object))
    plain = values.map(lambda v: not isinstance(v, (int, float, np.number)) or isinstance(v, bool))
    there = values.where(plain).map(_where_it_was)
    read = pd.to_datetime(there, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)
    far = (read < _EARLIEST) | (read >= _LATEST)
    for wrong, what in ((read.isna(), "is no day"), (far, "lies outside 1900 to 2200")):
        if wrong.any():
            rows = np.flatnonzero(np.isin(codes, np.flatnonzero(wrong)))
            shown = values[wrong].iloc[0]
            where = f"{name}, {first_rows(column.index[rows[:5]], len(rows))}"
            problems.append(Problem(f"{subject} {spelt(shown)} {what}", where, "Write days like 2027-05-31."))
    days = read.dt.normalize().to_numpy()
    return pd.Series(np.where(codes < 0, np.datetime64("NaT"), days[codes]) if len(days) else days, column.index)


def _where_it_was(moment: object) -> object:
    """A moment without its offset: its day is the one that it was where it happened."""
    if isinstance(moment, str):
        found = _ZONED.fullmatch(moment.strip())
        return found[1] if found else moment
    return moment.replace(tzinfo=None) if isinstance(moment, datetime) and moment.tzinfo else moment
