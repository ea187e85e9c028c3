"""The feed: deliveries of events into a store beside the study, each through a strict door, never changed afterwards.

An event is a row: who, where, a code (an outcome, a component, or a row of the roster), when it occurred and when it
was recorded. What was known on a day is what had been delivered by then, so that any past day can be asked again.
"""

from __future__ import annotations

import glob
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.errors import EvalkitError, Problem, StudyError, first_rows, raise_problems, spelt, suggest
from evalkit.study.frame import FileSource, FrameSource, Table, find_files, open_source
from evalkit.study.reading import Cells
from evalkit.study.schema import Rule, check_column

if TYPE_CHECKING:
    import duckdb

STORE = "watch.duckdb"
_ZONED = re.compile(r"(\d[\d-]*[Tt ][\d:.,]+)\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)")
"""A day and time, and how far its clock is from that of Greenwich."""
_ID = Rule("id", must=True, filled=True)
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")
_LAST = _LATEST - pd.Timedelta(microseconds=1)
_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries (delivery INTEGER, file VARCHAR, sha VARCHAR, delivered DATE, rows BIGINT,
    again BIGINT, edited BIGINT);
CREATE TABLE IF NOT EXISTS events (number BIGINT, delivery INTEGER, delivered DATE, unit VARCHAR, place VARCHAR,
    provider VARCHAR, code VARCHAR, value DOUBLE, occurred DATE, recorded DATE,
    event_id VARCHAR USING COMPRESSION uncompressed, again BOOLEAN);
CREATE TABLE IF NOT EXISTS repeated (event_id VARCHAR);
CREATE TABLE IF NOT EXISTS registers (name VARCHAR, since DATE, sha VARCHAR, content BLOB);
"""


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


@dataclass(frozen=True, eq=False)
class Delivery:
    """A delivery that has passed the door. delivered: the day from which its rows are known; NaT for the day on which
    each was recorded."""

    file: str
    sha: str
    delivered: date | None
    rows: pd.DataFrame


@contextmanager
def open_store(file: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store in a file (made where there is none), or one in memory. Raises `EvalkitError` in words, also where
    DuckDB is not installed."""
    try:
        import duckdb
    except ImportError:
        raise EvalkitError("A feed needs the package duckdb: install evalkit with its extra [watch].") from None
    try:
        store = duckdb.connect(":memory:" if file is None else str(file))
    except duckdb.IOException as error:
        why = "another watch is at work with it" if "lock" in str(error).lower() else str(error).split("\n")[0]
        advice = "Wait for it to end; a store that is damaged may be deleted, it is made again from the deliveries."
        raise EvalkitError(f"The store {file} cannot be opened: {why.rstrip('.')}. {advice}") from None
    try:
        store.execute("SET threads = 2; SET preserve_insertion_order = false")  # `number` says what came first
        store.execute(_TABLES)
        yield store
    except duckdb.BinderException as error:
        raise EvalkitError(f"{file} is no store of events ({str(error).splitlines()[0]}). Delete it.") from None
    finally:
        store.close()


def take_in(store: duckdb.DuckDBPyConnection, feed: Table, home: Path | None, columns: Columns) -> None:
    """Take every delivery into the store that is not there yet: all of them, or, where any is refused, none.

    feed: frame, or path or glob of deliveries; one whose name ends in a day (events-2027-05-31.csv) is known from that
    day on; any other may grow, and its rows are known from the days on which they were recorded. Raises `StudyError`
    that lists all that is wrong, and where a delivery of a day has changed since or is gone: what was delivered stays
    as it is, and is mended by a further delivery.
    """
    held = {f: s for f, s in store.execute("SELECT file, sha FROM deliveries").fetchall()}
    waiting = _waiting(feed, home)
    problems = [
        Problem(f"The delivery {name} was taken in before and is not there any more", "feed", "Put it back.")
        for name in held if name not in waiting
    ]  # fmt: skip
    read: dict[str, tuple[str, pd.DataFrame]] = {}
    for name, table in waiting.items():
        try:
            sha = _sha(table)
            if held.get(name) == sha:
                continue
            if name in held and _day_of(name) is not None:
                advice = "Put it back as it was, and deliver corrections as a file of their own."
                problems.append(Problem(f"The delivery {name} was changed after it was taken in", "feed", advice))
                continue
            read[name] = sha, _frame(open_source(table, name, Cells(ids=columns.ids)))
        except StudyError as error:
            problems.append(Problem(str(error).rstrip(".")))
    fresh = _through_the_door(read, columns, problems)
    raise_problems(problems)
    if fresh:
        store.execute("BEGIN")
        _put(store, sorted(fresh, key=lambda d: (d.delivered or date.max, d.file)), columns)
        _mark_again(store)
        store.execute("COMMIT")


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


def _day_of(name: str) -> date | None:
    """The day at the end of a file's name; None where there is none."""
    stem = Path(name).name.partition(".")[0]
    try:
        return date.fromisoformat(stem[-10:])
    except ValueError:
        return None


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
            return [Delivery(n, sha, _day_of(n), part) for (n, (sha, _)), part in zip(read.items(), parts, strict=True)]
    fresh = []
    for name, (sha, frame) in read.items():
        try:
            fresh.append(Delivery(name, sha, _day_of(name), _looked_at(frame, name, columns)))
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


def _put(store: duckdb.DuckDBPyConnection, fresh: Sequence[Delivery], columns: Columns) -> None:
    """Add deliveries, files that grow in the place of their earlier state."""
    number = _one(store, "SELECT coalesce(max(delivery), 0) FROM deliveries")
    base = _one(store, "SELECT coalesce(max(number), 0) FROM events")
    names = [columns.unit, columns.place, "provider", "code", "value", "occurred", "recorded", "event_id"]
    parts, said = [], []
    for delivery in fresh:
        number += 1
        rows = delivery.rows[names].set_axis(list(_FIELDS), axis="columns")
        days = rows["recorded"] if delivery.delivered is None else pd.Timestamp(delivery.delivered)
        edited = 0 if delivery.delivered is not None else _replaced(store, delivery.file, rows)
        last = delivery.delivered or rows["recorded"].max().date()
        said.append((number, delivery.file, delivery.sha, last, len(rows), 0, edited))
        numbered = rows.assign(delivery=number, delivered=days, number=np.arange(base + 1, base + 1 + len(rows)))
        parts.append(pa.Table.from_pandas(numbered, preserve_index=False))
        base += len(rows)
    store.register("fresh", pa.concat_tables(parts, promote_options="permissive"))
    store.execute(
        "INSERT INTO events SELECT number, delivery, CAST(delivered AS DATE), unit, place, provider, code, value, "
        "CAST(occurred AS DATE), CAST(recorded AS DATE), event_id, false FROM fresh"
    )
    store.unregister("fresh")
    store.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", said)


def _replaced(store: duckdb.DuckDBPyConnection, file: str, rows: pd.DataFrame) -> int:
    """Take out the earlier state of a file that grows; how many of its rows are not there any more, now or before."""
    held = store.execute("SELECT delivery, edited FROM deliveries WHERE file = ?", [file]).fetchall()
    if not held:
        return 0
    old = held[0][0]
    store.register("grown", rows)
    gone = _one(
        store, f"SELECT count(*) FROM events WHERE delivery = {old} AND {_PRINT} NOT IN (SELECT {_PRINT} FROM grown)"
    )
    store.unregister("grown")
    store.execute(f"DELETE FROM events WHERE delivery = {old}; DELETE FROM deliveries WHERE delivery = {old}")
    return gone + int(held[0][1])


def _mark_again(store: duckdb.DuckDBPyConnection) -> None:
    """Rows that an earlier delivery holds to the letter are kept, and never counted; of the others, ids of events that
    several deliveries bring are `repeated`. Who is alike in neither is not looked at twice."""
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE alike AS SELECT {_KEY} AS key FROM events GROUP BY key "
        "HAVING min(delivery) < max(delivery)"
    )
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE twice AS SELECT number, delivery, event_id, {_PRINT} AS print FROM events "
        f"WHERE {_KEY} IN (SELECT key FROM alike)"
    )
    store.execute(
        "UPDATE events SET again = true WHERE number IN (SELECT number FROM twice JOIN (SELECT print, min(delivery) AS "
        "first FROM twice GROUP BY print) p ON twice.print = p.print AND delivery > first)"
    )
    store.execute(
        "UPDATE deliveries SET again = c.n FROM (SELECT delivery, count(*) AS n FROM events WHERE again "
        "GROUP BY delivery) c WHERE deliveries.delivery = c.delivery"
    )
    store.execute(
        "DELETE FROM repeated; INSERT INTO repeated SELECT event_id FROM events WHERE NOT again AND number IN "
        "(SELECT number FROM twice) AND event_id IS NOT NULL GROUP BY event_id HAVING min(delivery) < max(delivery)"
    )


_PRINT = "hash(unit, place, provider, code, value, CAST(occurred AS DATE), CAST(recorded AS DATE), event_id)"
"""What is the same for rows that are."""
_KEY = f"coalesce(hash(event_id), {_PRINT})"
"""What is the same for rows that are, and for rows of one event."""
_FIELDS = ("unit", "place", "provider", "code", "value", "occurred", "recorded", "event_id")


def _one(store: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(store.execute(query).fetchall()[0][0])


def newest(store: duckdb.DuckDBPyConnection) -> date | None:
    """The day of the newest delivery; None where there is none."""
    day: date | None = store.execute("SELECT max(delivered) FROM deliveries").fetchall()[0][0]
    return day


def keep_register(store: duckdb.DuckDBPyConnection, name: str, table: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """A small table as it was known on a day; what differs from what was kept last is kept from this day on.

    Of days before anything was kept the oldest version speaks.
    """
    content = _packed(table)
    sha = hashlib.sha256(content).hexdigest()
    kept = store.execute("SELECT since, sha FROM registers WHERE name = ? ORDER BY since", [name]).fetchall()
    if not kept or (kept[-1][0] <= as_of and kept[-1][1] != sha):
        store.execute("DELETE FROM registers WHERE name = ? AND since = ?", [name, as_of])
        store.execute("INSERT INTO registers VALUES (?, ?, ?, ?)", [name, as_of, sha, content])
    return registers(store, name, as_of)[-1]


def registers(store: duckdb.DuckDBPyConnection, name: str, as_of: date) -> Sequence[pd.DataFrame]:
    """The versions of a small table that were known until a day, oldest first; at least the oldest of all."""
    rows = store.execute("SELECT since, content FROM registers WHERE name = ? ORDER BY since", [name]).fetchall()
    known = [content for since, content in rows if since <= as_of] or [content for _, content in rows[:1]]
    return [pd.read_parquet(io.BytesIO(content)) for content in known]


def _packed(table: pd.DataFrame) -> bytes:
    """A table as bytes; columns that hold values of several kinds as text."""
    mixed = [c for c in table.columns if table[c].dtype == object]
    plain = table.assign(**{c: table[c].map(str).where(table[c].notna(), None) for c in mixed})
    out = io.BytesIO()
    plain.reset_index(drop=True).to_parquet(out, index=False)
    return out.getvalue()
