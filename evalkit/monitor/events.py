"""From events to what an evaluator reads: rows of people and periods as they were known on a day, and delays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.study import Outcome
from evalkit.study.frame import as_ids

if TYPE_CHECKING:
    import duckdb

PERIODS = {
    "month": "strftime(date_trunc('month', {day}), '%Y-%m')",
    "quarter": "strftime({day}, '%Y') || 'Q' || quarter({day})",
    "year": "CAST(year({day}) AS VARCHAR)",
}
"""A period's name, as calendars write it, from a day."""
SUMMED = ("count", "money", "rate")
"""Kinds of outcomes that are events added up, and nought where nothing happened; others are the last value seen."""


@dataclass(frozen=True)
class Reading:
    """How events become rows. unit, place, period: names of the columns. every: 'month', 'quarter' or 'year'. roster:
    the code of events that say who is there; where no event has it, any event does. exposures: codes that become 0/1
    columns, 1 where there is an event. per: codes that are what a rate is per, added up; where there is none of it in a
    period, nothing was counted."""

    unit: str
    place: str
    period: str
    every: str
    roster: str
    outcomes: tuple[Outcome, ...]
    exposures: tuple[str, ...] = ()
    per: tuple[str, ...] = ()

    def name_of(self, day: str) -> str:
        """SQL for the period of a day."""
        return PERIODS[self.every].format(day=day)


def known(store: duckdb.DuckDBPyConnection, as_of: date, reading: Reading) -> None:
    """Make the view `known`: events delivered by a day that had occurred by then, none twice, each as it was corrected
    last, with the period in which it occurred. What was recorded before it occurred is not known to have (a day apart
    may be two clocks). `versions`: rows of events that came several times; `over` where a later one holds."""
    _forget(store)
    day = f"DATE '{as_of.isoformat()}'"
    by_then = f"NOT e.again AND e.delivered <= {day} AND (e.gone IS NULL OR e.gone > {day})"
    store.execute(
        "CREATE TEMP TABLE versions AS SELECT number, event_id, delivered, delivery < max(delivery) OVER (PARTITION BY "
        "event_id) OR number < max(number) OVER (PARTITION BY event_id, delivery, code, unit) AS over FROM events e "
        f"WHERE event_id IN (SELECT event_id FROM repeated) AND {by_then}"
    )
    store.execute(
        "CREATE TEMP VIEW known AS SELECT number, delivered, unit, place, provider, code, value, occurred, recorded, "
        f"period FROM events e JOIN ({_periods(reading)}) d ON e.occurred = d.day "
        f"ANTI JOIN (SELECT number AS old FROM versions WHERE over) v ON e.number = v.old WHERE {by_then} AND "
        f"e.occurred <= {day} AND e.occurred <= e.recorded + 1"
    )


def keep_known(store: duckdb.DuckDBPyConnection) -> None:
    """Work the view `known` out, for many questions."""
    if _is_view(store):
        store.execute(
            "CREATE TEMP TABLE kept AS SELECT * FROM known; DROP VIEW known; ALTER TABLE kept RENAME TO known"
        )


def _forget(store: duckdb.DuckDBPyConnection) -> None:
    """Drop what was known on another day."""
    store.execute("DROP VIEW IF EXISTS known" if _is_view(store) else "DROP TABLE IF EXISTS known")
    store.execute("DROP TABLE IF EXISTS versions")


def _is_view(store: duckdb.DuckDBPyConnection) -> bool:
    return bool(store.execute("SELECT 1 FROM duckdb_views() WHERE view_name = 'known'").fetchall())


def _periods(reading: Reading) -> str:
    """SQL for the days on which anything occurred, and the period of each."""
    return f"SELECT day, {reading.name_of('day')} AS period FROM (SELECT DISTINCT occurred AS day FROM events)"


def calendar_of(store: duckdb.DuckDBPyConnection, reading: Reading) -> list[str]:
    """The periods in which anything has occurred, but for days that were still to come."""
    days = "SELECT DISTINCT occurred AS day FROM events WHERE occurred <= recorded"
    listed = store.execute(f"SELECT DISTINCT {reading.name_of('day')} AS period FROM ({days}) ORDER BY period")
    return [period for (period,) in listed.fetchall()]


def panel_of(store: duckdb.DuckDBPyConnection, reading: Reading, until: str | None = None) -> pd.DataFrame:
    """A row a person and period from the view `known`, in order; until: the last period."""
    order = "(occurred - DATE '1900-01-01') * 4294967296 + number"  # the day, then the order of arrival
    on_roster = bool(store.execute("SELECT 1 FROM known WHERE code = ? LIMIT 1", [reading.roster]).fetchall())
    there = "code = $roster" if on_roster else "true"
    parts = [f"arg_max(place, {order}) FILTER (WHERE {there}) AS place"]
    given: dict[str, object] = {"roster": reading.roster} if on_roster else {}
    for i, outcome in enumerate(reading.outcomes):
        given[f"o{i}"] = outcome.column
        summed = f"coalesce(sum(coalesce(value, 1.0)) FILTER (WHERE code = $o{i}), 0.0)"
        last = f"arg_max(value, {order}) FILTER (WHERE code = $o{i})"
        if outcome.per in reading.per:
            counted = f"sum(value) FILTER (WHERE code = $p{reading.per.index(outcome.per)})"
            summed = f"CASE WHEN {counted} IS NOT NULL THEN {summed} END"
        parts.append(f"{summed if outcome.kind in SUMMED else last} AS o{i}")
    for i, code in enumerate(reading.per):
        given[f"p{i}"] = code
        parts.append(f"sum(value) FILTER (WHERE code = $p{i}) AS p{i}")
    for i, code in enumerate(reading.exposures):
        given[f"x{i}"] = code
        parts.append(f"CAST(count(*) FILTER (WHERE code = $x{i}) > 0 AS INTEGER) AS x{i}")
    cut = ""
    if until is not None:
        given["until"], cut = until, "WHERE period <= $until "
    query = f"SELECT unit, period, {', '.join(parts)} FROM known {cut}GROUP BY unit, period "
    having = f"HAVING count(*) FILTER (WHERE {there}) > 0 ORDER BY unit, period"
    frame = store.execute(query + having, given).df()
    names = {"unit": reading.unit, "period": reading.period, "place": reading.place}
    names |= {f"o{i}": o.column for i, o in enumerate(reading.outcomes)}
    names |= {f"p{i}": c for i, c in enumerate(reading.per)} | {f"x{i}": c for i, c in enumerate(reading.exposures)}
    frame = frame.rename(columns=names)
    return frame.assign(**{c: as_ids(frame[c]) for c in (reading.unit, reading.place)})


def delays(store: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """provider, events, median, most (95 in 100): days from when an event occurred until it was recorded, and `recent`,
    the median of the events of the last period but one; "" where nobody names a provider."""
    counted = store.execute(
        "SELECT coalesce(provider, '') AS provider, period, date_diff('day', occurred, recorded) AS days, "
        "count(*) AS n FROM known WHERE recorded >= occurred GROUP BY ALL ORDER BY ALL"
    ).df()
    last = sorted(counted["period"].unique())[-2:-1]
    rows = []
    for provider, mine in counted.groupby("provider"):
        days, late = (np.sort(np.repeat(t["days"], t["n"])) for t in (mine, mine[mine["period"].isin(last)]))
        most = days[max(math.ceil(0.95 * len(days)), 1) - 1]
        rows.append((provider, len(days), np.median(days), most, np.median(late) if len(late) else np.nan))
    return pd.DataFrame(rows, columns=["provider", "events", "median", "most", "recent"])
