"""Twelve alarms about a feed: what is late, missing, doubled, renamed, or says what it did not say before.

Each is a question to the events that were known on a day, about what is new: deliveries of the last period, or the last
period that is complete. Limits are set against how the feed has behaved before, so that a feed as usual stays quiet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.monitor.events import SUMMED, Reading
from evalkit.show.words import of_people

if TYPE_CHECKING:
    import duckdb

COLUMNS = ("alarm", "where", "what", "count", "next")
ALARMS = {
    "late_provider": "Ask them for it; nothing of theirs since then is in any figure.",
    "duplicate_file": "Nothing was counted twice. Ask whether another file was meant.",
    "missing_place": "Ask the place; until then its last period counts as not seen.",
    "code_renamed": "Map the new code to the old one in a further delivery, or name it under codes in [watch].",
    "units_changed": "Ask in which unit values are written now, and have them delivered again.",
    "exposure_before_start": "Mend the register or the events: a start that is too late makes comparisons unclean.",
    "denominator_jump": "Ask who was added or dropped; shares move when the people do.",
    "recorded_only_after_start": "Leave this outcome out for the place: before and after cannot be compared.",
    "dates_in_future": "Have the days mended in a further delivery.",
    "two_places": "Ask where they were; each counts in the place recorded last.",
    "reach_changed": "Put the column back: whom a component can reach must stay as it was at the start.",
    "backdated_edits": "Ask who changed what was complete, and why; earlier looks stay as they were.",
}
"""Name of each alarm, and what to do."""
_QUIET = 5.0
"""Standard deviations of how a feed has moved before within which it stays quiet."""
_FEWEST = 4
"""Periods before from which one can say what is usual."""
Rows = list[tuple[str, str, int]]
"""Where, what in words, and a count of people or events (-1 for none)."""


@dataclass(frozen=True, eq=False)
class Feed:
    """What is asked. last: the last complete period. since: the day after which deliveries are new. starts: component,
    place, start as a day. codes: those that are known. changed: column -> units whose reach is another than before."""

    store: duckdb.DuckDBPyConnection
    reading: Reading
    as_of: date
    since: date
    last: str
    starts: pd.DataFrame
    codes: frozenset[str] = frozenset()
    changed: Mapping[str, int] = field(default_factory=dict)

    def ask(self, query: str, *given: object) -> pd.DataFrame:
        """A table from the store."""
        return self.store.execute(query, list(given)).df()


def alarms_of(feed: Feed) -> pd.DataFrame:
    """The alarms of a day, a row each: alarm, where, what, count (of people or events, -1 for none), next."""
    _sum_up(feed)
    found = [
        (name, where, what, count, ALARMS[name]) for name, ask in _QUESTIONS.items() for where, what, count in ask(feed)
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _tied(count: float, word: str) -> str:
    """A number of people or events within words, tied to what follows so that it can be withheld."""
    return of_people(f"{count:,.0f}", word)


def _sum_up(feed: Feed) -> None:
    """What several alarms ask, out of millions of events once: `counted`, events by what they are and when they came,
    and `there`, who was seen where by whom, on the roster (`listed` is when that came last) or not."""
    feed.store.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS SELECT place, coalesce(provider, '') AS provider, code, period, "
        "delivered, count(*) AS n FROM known GROUP BY ALL"
    )
    feed.store.execute(
        "CREATE OR REPLACE TEMP TABLE there AS SELECT place, coalesce(provider, '') AS provider, period, unit, "
        "max(delivered) FILTER (WHERE code = ?) AS listed FROM known GROUP BY ALL",
        [feed.reading.roster],
    )


def _late_provider(feed: Feed) -> Rows:
    """Nothing from a provider for half as long again as ever before, and for more than a week."""
    days = feed.ask("SELECT provider, delivered FROM counted GROUP BY ALL ORDER BY provider, delivered")
    out: Rows = []
    for provider, mine in days.groupby("provider")["delivered"]:
        gaps = mine.diff().dt.days.dropna()
        silent = (pd.Timestamp(feed.as_of) - mine.max()).days
        if len(gaps) >= _FEWEST and silent > max(1.5 * gaps.max(), 7) and silent < 6 * max(gaps.max(), 30):
            what = f"nothing has come for {silent} days; usual is {gaps.median():.0f}"
            out.append((str(provider or "the feed"), what, -1))
    return out


def _duplicate_file(feed: Feed) -> Rows:
    rows = feed.ask(
        "SELECT file, rows, again FROM deliveries WHERE delivered > ? AND delivered <= ? AND again > 1 "
        "AND again >= rows / 2",
        feed.since, feed.as_of,
    )  # fmt: skip
    return [(r.file, f"{_tied(r.again, 'of its')} {_tied(r.rows, 'rows')} came before", int(r.again))
            for r in rows.itertuples()]  # fmt: skip


def _by_place(feed: Feed) -> pd.DataFrame:
    """Events of each place (rows) in each period until the last complete one (columns)."""
    counts = feed.ask("SELECT place, period, sum(n) AS n FROM counted WHERE period <= ? GROUP BY ALL", feed.last)
    return counts.pivot(index="place", columns="period", values="n").fillna(0.0).sort_index(axis="columns")


def _missing_place(feed: Feed) -> Rows:
    """A place whose last complete period holds a fifth of what is usual for it, or less."""
    table = _by_place(feed)
    if feed.last not in table or table.shape[1] <= _FEWEST:
        return []
    before = table.drop(columns=feed.last).iloc[:, -8:]
    usual = before.median(axis=1)
    gone = (table[feed.last] <= usual / 5) & (usual >= 10)
    if gone.mean() > 0.5:
        return [("every place", f"{feed.last} is missing", -1)]
    return [(str(p), f"{_tied(table.at[p, feed.last], 'events')} in {feed.last}; {_tied(usual[p], 'are')} usual", -1)
            for p in table.index[gone]]  # fmt: skip


def _code_renamed(feed: Feed) -> Rows:
    """A code that nobody has used before, or a known one that has gone silent everywhere or with one provider."""
    codes = feed.ask("SELECT code, min(delivered) AS first, sum(n) AS n FROM counted GROUP BY code ORDER BY code")
    fresh = (codes["first"] > pd.Timestamp(feed.since)) & (codes["first"] > codes["first"].min())
    new = codes[fresh & ~codes["code"].isin(feed.codes)]
    out: Rows = [(r.code, "nobody has used this code before", int(r.n)) for r in new.itertuples()]
    table = feed.ask(
        "SELECT code, provider, period, sum(n) AS n FROM counted WHERE period <= ? GROUP BY ALL",
        feed.last,
    )  # fmt: skip
    table = table.pivot(index=["code", "provider"], columns="period", values="n").fillna(0.0).sort_index(axis="columns")
    if feed.last in table and table.shape[1] > _FEWEST:
        usual = table.drop(columns=feed.last).iloc[:, -6:].min(axis=1)
        sends = (table[feed.last] > 0).groupby(level="provider").transform("any")  # who is late as a whole is another
        silent = (table[feed.last] == 0) & (usual >= 20) & sends
        by_code = silent.groupby(level="code")
        for code in by_code.any()[by_code.any()].index:
            whole = table.loc[code].sum(axis=1)
            some = silent[code][silent[code]].index
            who = "" if silent[code][whole[whole > 0].index].all() else f" from {', '.join(some)}"
            out.append((str(code), f"this code has stopped coming{who}", -1))
    return out


def _units_changed(feed: Feed) -> Rows:
    """Values of an outcome in a place that lie far from all that it had, by more than half or twice as much."""
    out: Rows = []
    for outcome in (o for o in feed.reading.outcomes if o.kind not in SUMMED):
        table = feed.ask(
            "SELECT coalesce(provider, place) AS who, delivered > ? AS new, median(value) AS middle, "
            "count(value) AS n, quantile_cont(value, 0.9) - quantile_cont(value, 0.1) AS spread "
            "FROM known WHERE code = ? GROUP BY ALL",
            feed.since, outcome.column,
        ).pivot(index="who", columns="new")  # fmt: skip
        if ("middle", True) not in table or ("middle", False) not in table:
            continue
        old, new = table["middle"][False], table["middle"][True]
        far = (new - old).abs() > np.maximum(0.5 * old.abs(), table["spread"][False])
        far &= (table["n"][True] >= 8) & (table["n"][False] >= 30) & (table["spread"][False] > 0)
        for who in table.index[far.fillna(False)]:
            out.append((str(who), f"{outcome.column} is {new[who]:.4g} in the middle, and was {old[who]:.4g}", -1))
    return out


def _exposure_before_start(feed: Feed) -> Rows:
    """Events of a component, newly delivered, in a place before its registered start there, or where none is."""
    feed.store.register("starts", feed.starts)
    rows = feed.ask(
        "SELECT k.code, k.place, min(k.occurred) AS first, count(*) AS n, any_value(s.start) AS start FROM known k "
        "JOIN (SELECT component, place, min(start) AS start FROM starts GROUP BY ALL) s "
        "ON s.component = k.code AND s.place = k.place "
        "WHERE k.delivered > ? AND (k.occurred < s.start OR s.start IS NULL) GROUP BY ALL ORDER BY k.code, k.place",
        feed.since,
    )  # fmt: skip
    feed.store.unregister("starts")
    since = [("and not registered there" if pd.isna(s) else f"registered from {s:%Y-%m-%d}") for s in rows["start"]]
    return [
        (f"{r.place}, {r.code}", f"given from {r.first:%Y-%m-%d} on, {words}", int(r.n))
        for r, words in zip(rows.itertuples(), since, strict=True)
    ]


def _denominator_jump(feed: Feed) -> Rows:
    """People of a place that change from one period to the next as they never have; of providers that are late nothing
    is known yet."""
    table = feed.ask(
        "SELECT place, period, count(DISTINCT unit) AS n FROM there WHERE period <= ? AND listed IS NOT NULL "
        "AND provider IN (SELECT DISTINCT provider FROM counted WHERE period = ?) GROUP BY ALL",
        feed.last, feed.last,
    ).pivot(index="place", columns="period", values="n").sort_index(axis="columns")  # fmt: skip
    if feed.last not in table or table.shape[1] <= _FEWEST:
        return []
    previous = table.shift(axis=1)
    step = np.log(table / previous).where(previous >= 8)
    now, before = step[feed.last], step.drop(columns=feed.last)
    spread = np.sqrt((before**2).mean(axis=1) + 1 / (4 * previous[feed.last]))  # counts move by chance too
    jumped = (now.abs() > np.maximum(_QUIET * spread, 0.25)) & (before.notna().sum(axis=1) >= _FEWEST)
    went = [(p, _tied(table.loc[p].iloc[-2], "to"), _tied(table.at[p, feed.last], "in")) for p in table.index[jumped]]
    return [(str(p), f"people went from {before} {after} {feed.last}", -1) for p, before, after in went]


def _recorded_only_after_start(feed: Feed) -> Rows:
    """An outcome that a place hardly wrote down before it started something, and does since, as others always did."""
    people = feed.ask(
        "SELECT place, period, count(DISTINCT unit) AS n FROM there WHERE period <= ? GROUP BY ALL", feed.last
    )
    out: Rows = []
    first = feed.starts.groupby("place")["start_period"].min()
    for outcome in feed.reading.outcomes:
        seen = feed.ask(
            "SELECT place, period, sum(n) AS seen FROM counted WHERE period <= ? AND code = ? GROUP BY ALL",
            feed.last, outcome.column,
        )  # fmt: skip
        table = people.merge(seen, how="left", on=["place", "period"]).fillna({"seen": 0})
        for place in first.index.intersection(table["place"].unique()):
            mine, others = table[table["place"] == place], table[table["place"] != place]
            before, after = mine[mine["period"] < first[place]], mine[mine["period"] >= first[place]]
            if len(before) < 2 or not len(after) or len(after) > 4:  # said for as long as it is news
                continue
            expected = before["n"].sum() * others["seen"].sum() / max(others["n"].sum(), 1)
            rates = before["seen"].sum() / before["n"].sum(), after["seen"].sum() / after["n"].sum()
            usual = others["seen"].sum() / max(others["n"].sum(), 1)
            if expected >= 10 and rates[0] <= 0.1 * usual and rates[1] >= 0.4 * usual:
                out.append((str(place), f"{outcome.column} is written down only since {first[place]}", -1))
    return out


def _dates_in_future(feed: Feed) -> Rows:
    rows = feed.ask(
        "SELECT coalesce(e.provider, d.file) AS who, count(*) AS n, max(greatest(e.occurred, e.recorded)) AS last "
        "FROM events e JOIN deliveries d USING (delivery) WHERE e.delivered > ? AND e.delivered <= ? "
        "AND (e.gone IS NULL OR e.gone > ?) AND (e.occurred > e.recorded OR e.recorded > e.delivered) GROUP BY ALL "
        "ORDER BY who",
        feed.since, feed.as_of, feed.as_of,
    )  # fmt: skip
    return [(str(r.who), f"days after they were recorded or delivered, up to {r.last:%Y-%m-%d}", int(r.n))
            for r in rows.itertuples()]  # fmt: skip


def _two_places(feed: Feed) -> Rows:
    """People whom two places count as theirs in one period, both newly."""
    rows = feed.ask(
        "SELECT least(a, b) AS one, greatest(a, b) AS two, count(*) AS n FROM (SELECT unit, period, min(place) AS a, "
        "max(place) AS b, max(listed) AS day FROM there WHERE listed IS NOT NULL GROUP BY unit, period HAVING "
        "min(place) <> max(place)) WHERE day > ? GROUP BY ALL ORDER BY one, two",
        feed.since,
    )  # fmt: skip
    return [(f"{r.one} and {r.two}", "the same people in both in one period", int(r.n)) for r in rows.itertuples()]


def _reach_changed(feed: Feed) -> Rows:
    return [(column, "people have another value than before", count) for column, count in feed.changed.items() if count]


def _backdated_edits(feed: Feed) -> Rows:
    """Rows that say they were recorded before the delivery that would have brought them; events corrected after their
    period was complete; and rows gone from a file that grows."""
    late = feed.ask(
        "WITH d AS (SELECT coalesce(provider, '') AS provider, delivered, lag(delivered) OVER (PARTITION BY "
        "coalesce(provider, '') ORDER BY delivered) AS before FROM (SELECT DISTINCT provider, delivered FROM events "
        "WHERE NOT again AND delivered <= ?)) "
        "SELECT d.provider, count(*) AS n FROM events e JOIN d ON d.provider = coalesce(e.provider, '') "
        "AND d.delivered = e.delivered WHERE e.delivered > ? AND NOT e.again AND e.recorded < d.before "
        "GROUP BY d.provider ORDER BY d.provider",
        feed.as_of, feed.since,
    )  # fmt: skip
    out: Rows = [
        (r.provider or "the feed", "rows with a day on which they were not delivered", int(r.n))
        for r in late.itertuples()
    ]
    mended = feed.ask(
        "SELECT coalesce(e.provider, '') AS provider, count(*) AS n FROM events e JOIN versions v USING (number) JOIN "
        "(SELECT event_id, min(delivered) AS first FROM versions GROUP BY event_id) o ON o.event_id = v.event_id "
        "WHERE NOT v.over AND e.delivered > o.first AND e.delivered > ? "
        f"AND {feed.reading.name_of('e.occurred')} < ? GROUP BY ALL ORDER BY ALL",
        feed.since, feed.last,
    )  # fmt: skip
    changed = "events changed after their period was complete"
    out += [(r.provider or "the feed", changed, int(r.n)) for r in mended.itertuples()]
    gone = feed.ask(
        "SELECT file, count(*) AS n FROM events JOIN deliveries USING (delivery) WHERE gone > ? AND gone <= ? "
        "GROUP BY file ORDER BY file",
        feed.since, feed.as_of,
    )  # fmt: skip
    return out + [(r.file, "rows that were there before are gone", int(r.n)) for r in gone.itertuples()]


_QUESTIONS: dict[str, Callable[[Feed], Rows]] = {
    "late_provider": _late_provider,
    "duplicate_file": _duplicate_file,
    "missing_place": _missing_place,
    "code_renamed": _code_renamed,
    "units_changed": _units_changed,
    "exposure_before_start": _exposure_before_start,
    "denominator_jump": _denominator_jump,
    "recorded_only_after_start": _recorded_only_after_start,
    "dates_in_future": _dates_in_future,
    "two_places": _two_places,
    "reach_changed": _reach_changed,
    "backdated_edits": _backdated_edits,
}
