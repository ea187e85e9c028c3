"""The store of a feed, in DuckDB: which events were delivered when, kept so that any past day can be asked again; and
small registers as they were known on each day."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    import duckdb

STORE = "watch.duckdb"
_SLIP = 366
"""Days after an event beyond which the day of its record is taken for a slip."""
_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries (delivery INTEGER, file VARCHAR, sha VARCHAR, delivered DATE, rows BIGINT,
    again BIGINT, edited BIGINT);
CREATE TABLE IF NOT EXISTS events (number BIGINT, delivery INTEGER, delivered DATE, unit VARCHAR, place VARCHAR,
    provider VARCHAR, code VARCHAR, value DOUBLE, occurred DATE, recorded DATE,
    event_id VARCHAR USING COMPRESSION uncompressed, again BOOLEAN, gone DATE);
ALTER TABLE events ADD COLUMN IF NOT EXISTS gone DATE;
CREATE TABLE IF NOT EXISTS repeated (event_id VARCHAR);
CREATE TABLE IF NOT EXISTS registers (name VARCHAR, since DATE, sha VARCHAR, content BLOB);
"""
_IS_ONE = """
SELECT number, delivery, delivered, unit, place, provider, code, value, occurred, recorded, event_id, again, gone
    FROM events LIMIT 0;
SELECT delivery, file, sha, delivered, rows, again, edited FROM deliveries LIMIT 0;
SELECT event_id FROM repeated LIMIT 0; SELECT name, since, sha, content FROM registers LIMIT 0;
"""
"""What fails where a file of DuckDB holds tables of something else."""


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
        try:
            store.execute(_TABLES)
            store.execute(_IS_ONE)
        except duckdb.BinderException as error:
            raise EvalkitError(f"{file} is no store of events ({str(error).splitlines()[0]}). Delete it.") from None
        yield store
    finally:
        store.close()


def day_of(name: str) -> date | None:
    """The day at the end of a file's name; None where there is none."""
    stem = Path(name).name.partition(".")[0]
    try:
        return date.fromisoformat(stem[-10:])
    except ValueError:
        return None


def put_in(store: duckdb.DuckDBPyConnection, fresh: Sequence[Delivery], unit: str, place: str) -> None:
    """Add deliveries, and to files that grow what is new in them. unit, place: their columns of people and places."""
    number = _one(store, "SELECT coalesce(max(delivery), 0) FROM deliveries")
    base = _one(store, "SELECT coalesce(max(number), 0) FROM events")
    names = [unit, place, "provider", "code", "value", "occurred", "recorded", "event_id"]
    parts, said = [], []
    for delivery in sorted(fresh, key=lambda d: (d.delivered or date.max, d.file)):
        rows = delivery.rows[names].set_axis(list(_FIELDS), axis="columns")
        own, count, edited, last = number + 1, len(rows), 0, delivery.delivered or _state_of(rows)
        days = rows["recorded"] if delivery.delivered is None else pd.Series(pd.Timestamp(last), rows.index)
        held = store.execute("SELECT delivery, edited, delivered FROM deliveries WHERE file = ?", [delivery.file])
        if before := held.fetchall():
            own, edited, seen = before[0]
            last = max(last, seen)
            new, gone = _grown(store, own, rows, last)
            rows, days, edited = rows[new], _known_from(rows["recorded"][new], seen, last), edited + gone
            store.execute("DELETE FROM deliveries WHERE delivery = ?", [own])
        number = max(number, own)
        said.append((own, delivery.file, delivery.sha, last, count, 0, edited))
        numbered = rows.assign(delivery=own, delivered=days, number=np.arange(base + 1, base + 1 + len(rows)))
        parts.append(pa.Table.from_pandas(numbered, preserve_index=False))
        base += len(rows)
    store.register("fresh", pa.concat_tables(parts, promote_options="permissive"))
    store.execute(
        "INSERT INTO events SELECT number, delivery, CAST(delivered AS DATE), unit, place, provider, code, value, "
        "CAST(occurred AS DATE), CAST(recorded AS DATE), event_id, false, NULL FROM fresh"
    )
    store.unregister("fresh")
    store.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", said)
    _in_order(store)
    _mark_again(store)


def _state_of(rows: pd.DataFrame) -> date:
    """The newest day on which a row of a file that grows was recorded, but for slips: years after it occurred."""
    plain = rows["recorded"] <= rows["occurred"] + pd.Timedelta(days=_SLIP)
    day: date = rows["recorded"].where(plain | ~plain.any()).max().date()
    return day


def _grown(store: duckdb.DuckDBPyConnection, delivery: int, rows: pd.DataFrame, last: date) -> tuple[np.ndarray, int]:
    """Which rows of a file that grows were not in it before; and how many are not in it any more, gone by its last day.
    Rows that are the same are told apart by their order."""
    store.register("grown", rows.assign(line=np.arange(len(rows))))
    key = f"{_PRINT} AS print, row_number() OVER (PARTITION BY {_PRINT} ORDER BY {{order}}) AS nth"
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE newer AS SELECT line, {key.format(order='line')} FROM grown; "
        f"CREATE OR REPLACE TEMP TABLE held AS SELECT number, gone, {key.format(order='number')} FROM events "
        f"WHERE delivery = {delivery}"
    )
    store.unregister("grown")
    store.execute(
        "UPDATE events SET gone = NULL WHERE number IN (SELECT number FROM held JOIN newer USING (print, nth) "
        "WHERE gone IS NOT NULL)"
    )
    left = "FROM held ANTI JOIN newer USING (print, nth) WHERE gone IS NULL"
    count = _one(store, f"SELECT count(*) {left}")
    store.execute(f"UPDATE events SET gone = ? WHERE number IN (SELECT number {left})", [last])
    new = store.execute("SELECT line FROM newer ANTI JOIN held USING (print, nth) ORDER BY line").df()
    return np.isin(np.arange(len(rows)), new["line"]), count


def _known_from(recorded: pd.Series, seen: date, last: date) -> pd.Series:
    """From which day rows are known that a file has now and had not when its newest day was `seen`."""
    before, now = pd.Timestamp(seen), pd.Timestamp(last)
    late = recorded.where(recorded != before, min(before + pd.Timedelta(days=1), now))
    return late.where(recorded >= before, now)


def _in_order(store: duckdb.DuckDBPyConnection) -> None:
    """Number deliveries, and events in them, by their days and names, whichever was taken in first: then a store that
    is made anew says the same."""
    held = store.execute("SELECT delivery, file FROM deliveries ORDER BY delivery").fetchall()
    wanted = sorted(held, key=lambda row: (day_of(row[1]) or date.max, row[1]))
    if held == wanted:
        return
    ranks = pd.DataFrame({"old": [old for old, _ in wanted], "new": [old for old, _ in held]})
    store.register("ranks", ranks)
    store.execute(
        "CREATE OR REPLACE TEMP TABLE ranked AS SELECT number, new, row_number() OVER (ORDER BY new, number) AS rank "
        "FROM events JOIN ranks ON delivery = old"
    )
    store.execute(
        "UPDATE events SET delivery = new, number = rank, again = false FROM ranked "
        "WHERE events.number = ranked.number; "
        "UPDATE deliveries SET delivery = new, again = 0 FROM ranks WHERE delivery = old"
    )
    store.unregister("ranks")


def _mark_again(store: duckdb.DuckDBPyConnection) -> None:
    """Rows that an earlier delivery holds to the letter are kept, and never counted, nor those that a delivery holds
    twice with one id; of the others, ids of events that come several times are `repeated`. Who is alike in neither is
    not looked at twice."""
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE alike AS SELECT {_KEY} AS key FROM events WHERE gone IS NULL GROUP BY key "
        "HAVING min(delivery) < max(delivery) OR count(event_id) > 1"
    )
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE twice AS SELECT number, delivery, event_id, code, unit, {_PRINT} AS print "
        f"FROM events WHERE gone IS NULL AND {_KEY} IN (SELECT key FROM alike)"
    )
    store.execute(
        "UPDATE events SET again = true WHERE number IN (SELECT number FROM twice JOIN (SELECT print, min(delivery) AS "
        "first, min(number) AS one FROM twice GROUP BY print) p ON twice.print = p.print AND (delivery > first OR "
        "event_id IS NOT NULL AND number > one))"
    )
    store.execute(
        "UPDATE deliveries SET again = c.n FROM (SELECT delivery, count(*) AS n FROM events WHERE again "
        "GROUP BY delivery) c WHERE deliveries.delivery = c.delivery"
    )
    store.execute(
        "DELETE FROM repeated; INSERT INTO repeated SELECT event_id FROM twice WHERE event_id IS NOT NULL AND number "
        "NOT IN (SELECT number FROM events WHERE again) GROUP BY event_id "
        "HAVING min(delivery) < max(delivery) OR count(*) > count(DISTINCT hash(code, unit))"
    )


_PRINT = "hash(unit, place, provider, code, value, CAST(occurred AS DATE), CAST(recorded AS DATE), event_id)"
"""What is the same for rows that are."""
_KEY = f"coalesce(hash(event_id), {_PRINT})"
"""What is the same for rows that are, and for rows of one event."""
_FIELDS = ("unit", "place", "provider", "code", "value", "occurred", "recorded", "event_id")


def _one(store: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(store.execute(query).fetchall()[0][0])


@contextmanager
def kept_if_whole(store: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What is written within is kept where nothing is raised."""
    store.execute("BEGIN")
    try:
        yield
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")


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
