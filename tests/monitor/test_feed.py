"""The door of a feed: what is refused and why, that nothing is half taken in, and what twelve faults raise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from benchmarks.watch_files import BAD, GOOD, swap
from evalkit.errors import EvalkitError
from evalkit.monitor import events
from evalkit.monitor.alarms import ALARMS, alarms_of
from evalkit.monitor.feed import Columns, open_store, take_in
from evalkit.monitor.sources import FromFeed, arguments_of
from evalkit.synthetic.feed import FAULTS, event_feed
from tests.monitor import worlds

COLUMNS = Columns("person", "place")


@pytest.mark.parametrize(
    "content", [GOOD.replace(",", ";").encode(), GOOD.encode("utf-16")], ids=["semicolons", "UTF-16"]
)
def test_what_can_be_read_in_one_way_only_is_taken_in_as_the_plain_file_is(content: bytes, tmp_path: Path) -> None:
    read = []
    for place, given in (("plain", GOOD.encode()), ("other", content)):
        feed = tmp_path / place / "feed"
        feed.mkdir(parents=True)
        (feed / "a-2027-01-10.csv").write_bytes(given)
        with open_store(feed.parent / "watch.duckdb") as store:
            take_in(store, "feed/*", feed.parent, COLUMNS)
            read.append(
                store.execute("SELECT place, code, occurred, recorded, value FROM events ORDER BY ALL").fetchall()
            )
    assert read[0] == read[1] and len(read[0]) > 1


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_is_refused_with_its_reason_and_nothing_is_taken_in(name: str, tmp_path: Path) -> None:
    content, words = BAD[name]
    feed = tmp_path / "feed"
    feed.mkdir()
    (feed / "a-2027-01-10.csv").write_text(GOOD)
    suffix = "parquet" if name == "no Parquet" else "csv"
    (feed / f"b-2027-01-11.{suffix}").write_bytes(content)
    with open_store(tmp_path / "watch.duckdb") as store:
        with pytest.raises(EvalkitError, match=words) as refused:
            take_in(store, "feed/*", tmp_path, COLUMNS)
        assert "b-2027-01-11" in str(refused.value)
        assert store.execute("SELECT count(*) FROM events").fetchall() == [(0,)]
        (feed / f"b-2027-01-11.{suffix}").unlink()
        take_in(store, "feed/*", tmp_path, COLUMNS)
        assert store.execute("SELECT count(*), count(DISTINCT unit) FROM events").fetchall() == [(2, 2)]


def test_every_bad_file_is_named_at_once(tmp_path: Path) -> None:
    for i, (content, _) in enumerate((BAD["no day"], BAD["infinite"])):
        (tmp_path / f"{i}-2027-01-1{i}.csv").write_bytes(content)
    with open_store(None) as store, pytest.raises(EvalkitError, match=r"2 problems:(.|\n)*no day(.|\n)*infinite"):
        take_in(store, "*.csv", tmp_path, COLUMNS)


def test_what_was_delivered_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a-2027-01-10.csv"
    file.write_text(GOOD)
    with open_store(None) as store:
        take_in(store, "*.csv", tmp_path, COLUMNS)
        file.write_bytes(swap("4.5", "4.6"))
        with pytest.raises(EvalkitError, match="was changed after it was taken in"):
            take_in(store, "*.csv", tmp_path, COLUMNS)
        file.rename(tmp_path / "b-2027-01-10.csv")
        with pytest.raises(EvalkitError, match="is not there any more"):
            take_in(store, "*.csv", tmp_path, COLUMNS)


def test_a_file_without_a_day_may_grow_and_rows_that_vanish_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text(GOOD)
    with open_store(None) as store:
        take_in(store, "all.csv", tmp_path, COLUMNS)
        file.write_text(GOOD + "3,Place C,North,seen,1,2027-01-06,2027-01-07\n")
        take_in(store, "all.csv", tmp_path, COLUMNS)
        assert store.execute("SELECT count(*) FROM events").fetchall() == [(3,)]
        file.write_bytes(swap("4.5", "4.6"))
        take_in(store, "all.csv", tmp_path, COLUMNS)
        assert store.execute("SELECT rows, edited FROM deliveries").fetchall() == [(2, 2)]


def test_the_feed_stays_in_the_studys_folder_and_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "study"
    home.mkdir()
    (tmp_path / "a-2027-01-10.csv").write_text(GOOD)
    with open_store(None) as store, pytest.raises(EvalkitError, match="leads out of the study's folder"):
        take_in(store, "../*.csv", home, COLUMNS)
    (tmp_path / "watch.duckdb").write_bytes(b"no store" * 1000)
    with pytest.raises(EvalkitError, match=r"cannot be opened.*may be deleted"), open_store(tmp_path / "watch.duckdb"):
        pass


def panel_by_hand(rows: pd.DataFrame, as_of: str, kind: str) -> pd.DataFrame:
    """Rows of people and months by pandas, the long way."""
    known = rows[(rows["delivered"] <= as_of) & (rows["occurred"] <= as_of)].assign(
        month=lambda t: t["occurred"].dt.strftime("%Y-%m")
    )
    there = known[known["code"] == "seen"].groupby(["person", "month"]).size().rename("seen")
    score = known[known["code"] == "score"].sort_values("occurred", kind="stable").groupby(["person", "month"])["value"]
    found = score.sum() if kind == "count" else score.last()
    return pd.concat([there, found], axis=1).dropna(subset="seen").reset_index().sort_values(["person", "month"])


@pytest.mark.parametrize("kind", ["score", "count"])
def test_events_become_the_rows_that_they_make_by_hand(kind: Any) -> None:
    rows = worlds.events().sample(frac=0.7, random_state=1)
    outcome = ek.Outcome("score", kind=kind)
    reading = events.Reading("person", "place", "month", "month", "seen", (outcome,))
    with open_store(None) as store:
        take_in(store, rows, None, COLUMNS)
        events.known(store, date(2027, 4, 10), reading)
        made = events.panel_of(store, reading).assign(person=lambda t: t["person"].astype(int))
    hand = panel_by_hand(rows, "2027-04-10", kind)
    both = made.merge(hand, on=["person", "month"], how="outer", indicator=True)
    assert (both["_merge"] == "both").all() and len(made) > 500
    expected = both["value"].fillna(0.0) if kind == "count" else both["value"]
    pd.testing.assert_series_equal(both["score"], expected, check_names=False)


def test_of_values_of_one_day_the_one_that_came_last_counts() -> None:
    day = pd.Timestamp("2027-01-04")
    rows = pd.DataFrame({"person": 1, "place": "Place A", "code": ["seen", *["score"] * 6], "value": [1.0, *range(6)]})
    reading = events.Reading("person", "place", "month", "month", "seen", (ek.Outcome("score", kind="score"),))
    with open_store(None) as store:
        take_in(store, rows.assign(occurred=day, recorded=day, delivered=day), None, COLUMNS)
        events.known(store, day.date(), reading)
        assert events.panel_of(store, reading)["score"].tolist() == [5.0]


def test_providers_that_are_not_named_are_asked_about_jumps_too() -> None:
    rows = worlds.events().drop(columns="provider")
    last = rows["occurred"].dt.to_period("M") == pd.Period("2027-03")
    gone = rows[~(last & (rows["place"] == rows["place"].iloc[0]) & (rows["person"].astype(int) % 5 > 0))]
    assert "denominator_jump" in set(alarms(gone, "2027-05-05")["alarm"])
    assert "denominator_jump" not in set(alarms(rows, "2027-05-05")["alarm"])


def test_the_last_correction_counts_and_a_row_that_came_twice_does_not() -> None:
    rows = worlds.events().head(200)
    last = rows["delivered"].max()
    mended = rows[rows["code"] == "score"].head(1).assign(value=99.0, delivered=last + pd.Timedelta(days=3))
    twice = rows.head(5).assign(delivered=last + pd.Timedelta(days=2))
    reading = events.Reading("person", "place", "month", "month", "seen", (ek.Outcome("score", kind="score"),))
    with open_store(None) as store:
        take_in(store, pd.concat([rows, twice, mended]), None, COLUMNS)
        for day, number, best in ((last, 200, None), (last + pd.Timedelta(days=2), 200, None), (None, 200, 99.0)):
            as_of = (day or last + pd.Timedelta(days=30)).date()
            events.known(store, as_of, reading)
            found = store.execute("SELECT count(*) FROM known").fetchall()[0][0]
            assert found == number
            top = events.panel_of(store, reading)["score"].max()
            assert bool(top == 99.0) is (best is not None)


def alarms(rows: pd.DataFrame, day: str, people: pd.DataFrame | None = None, **register: Any) -> pd.DataFrame:
    """The alarms of a day."""
    said, _ = arguments_of(worlds.study_of(0.0, **register))
    said |= {"people": worlds.people(), "outcomes": (ek.Outcome("score", kind="score"),)}
    said["components"] = [
        ek.Component("part", adoption=worlds.adoption(**register), assigned_at="place", reach="eligible")
    ]
    with open_store(None) as store:
        take_in(store, rows, None, COLUMNS)
        source = FromFeed(store, said)
        if people is not None:
            before = source.calendar.place(np.array([date(2027, 3, 1)], dtype=object))[0]
            source.at(before)
            source = FromFeed(store, {**said, "people": people})
        now = float(source.calendar.place(np.array([date.fromisoformat(day)], dtype=object))[0])
        study = source.at(now)
        events.known(store, source.day(now), source.reading)
        return alarms_of(source.feed(now, study))


def test_a_feed_as_usual_raises_no_alarm() -> None:
    rows = worlds.events()
    for day in ("2027-03-31", "2027-05-31", "2027-08-31"):
        assert alarms(rows, day).empty


def in_may(rows: pd.DataFrame) -> pd.Series:
    return (rows["occurred"] >= "2027-05-01") & (rows["occurred"] < "2027-06-01")


def late_provider(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["provider"] != "North") | (rows["delivered"] < "2027-05-01")]


def duplicate_file(rows: pd.DataFrame) -> pd.DataFrame:
    again = rows[rows["delivered"] == "2027-05-31"].assign(delivered=pd.Timestamp("2027-06-02"))
    return pd.concat([rows, again], ignore_index=True)


def missing_place(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~(in_may(rows) & (rows["place"] == "Place C"))]


def code_renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(code=rows["code"].where((rows["code"] != "score") | ~in_may(rows), "SCORE2"))


def units_changed(rows: pd.DataFrame) -> pd.DataFrame:
    changed = (rows["code"] == "score") & (rows["provider"] == "North") & (rows["occurred"] >= "2027-05-01")
    return rows.assign(value=rows["value"].where(~changed, rows["value"] * 10))


def exposure_before_start(rows: pd.DataFrame) -> pd.DataFrame:
    early = rows[in_may(rows) & (rows["place"] == "Place F") & (rows["code"] == "seen")]
    return pd.concat([rows, early.assign(code="part", event_id=early["event_id"] + "x")], ignore_index=True)


def denominator_jump(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~(in_may(rows) & (rows["place"] == "Place D") & (rows["person"] % 10 > 3))]


def recorded_only_after_start(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~((rows["place"] == "Place B") & (rows["code"] == "score") & (rows["occurred"] < "2027-04-01"))]


def dates_in_future(rows: pd.DataFrame) -> pd.DataFrame:
    wrong = in_may(rows) & (rows["code"] == "score") & (rows["person"] < 9)
    return rows.assign(occurred=rows["occurred"].where(~wrong, rows["occurred"] + pd.Timedelta(days=366)))


def two_places(rows: pd.DataFrame) -> pd.DataFrame:
    other = rows[in_may(rows) & (rows["place"] == "Place A") & (rows["code"] == "seen")]
    moved = other.assign(place="Place G", event_id=other["event_id"] + "x")
    return pd.concat([rows, moved], ignore_index=True)


def backdated_edits(rows: pd.DataFrame) -> pd.DataFrame:
    old = rows[(rows["code"] == "score") & (rows["occurred"] < "2027-02-01") & (rows["place"] == "Place A")]
    return pd.concat(
        [rows, old.assign(value=old["value"] + 0.3, delivered=pd.Timestamp("2027-06-05"))], ignore_index=True
    )


DAMAGE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    f.__name__: f
    for f in (
        late_provider, duplicate_file, missing_place, code_renamed, units_changed, exposure_before_start,
        denominator_jump, recorded_only_after_start, dates_in_future, two_places, backdated_edits,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_a_fault_raises_its_own_alarm_and_no_other(name: str) -> None:
    start = {"exposure_before_start": "2027-07", "recorded_only_after_start": "2027-04"}.get(name, worlds.START)
    rows = worlds.events()
    if start > worlds.START:
        rows = rows[(rows["code"] != "part") | (rows["occurred"] >= f"{start}-01")]
    found = alarms(DAMAGE[name](rows), "2027-06-25", start=start)
    assert set(found["alarm"]) == {name}
    assert (found["next"] == ALARMS[name]).all() and found["what"].str.len().min() > 10


def test_a_reach_that_changed_raises_its_alarm() -> None:
    changed = worlds.people().assign(eligible=lambda p: (p["person"] % 4 > 0).astype(int))
    found = alarms(worlds.events(), "2027-03-25", people=changed)
    assert found[["alarm", "where", "count"]].values.tolist() == [["reach_changed", "eligible", 30]]


def test_every_alarm_has_a_fault_in_partnerships_and_knobs_are_checked() -> None:
    assert set(FAULTS) == set(ALARMS) == set(DAMAGE) | {"reach_changed"}
    made = ek.synthetic.partnership("rough_sleeping", size=0.1)
    feed = event_feed(made, delay=5)
    assert (feed.events["recorded"] >= feed.events["occurred"]).all()
    assert (feed.events["delivered"] >= feed.events["recorded"]).all()
    assert event_feed(made, delay=5).events.equals(feed.events)
    doubled = event_feed(made, delay=5, fault="two_places").events
    assert len(doubled) > len(feed.events)
    for wrong in ({"fault": "fire"}, {"delay": -1}, {"speed": 2}):
        with pytest.raises(EvalkitError):
            event_feed(made, **wrong)


@pytest.mark.parametrize("written", [False, True], ids=["moments", "words"])
def test_an_event_is_of_the_day_that_it_was_where_it_happened(written: bool) -> None:
    """Half past midnight in Tokyo is still the day before in Greenwich."""
    rows = worlds.events()
    rows = rows[rows["delivered"] < "2026-04-01"]
    moments = {c: (rows[c] + pd.Timedelta(minutes=30)).dt.tz_localize("Asia/Tokyo") for c in ("occurred", "recorded")}
    if written:
        moments = {c: m.map(lambda at: at.isoformat()) for c, m in moments.items()}
    known = []
    for given in (rows, rows.assign(**moments)):
        with open_store(None) as store:
            take_in(store, given.drop(columns="delivered"), None, COLUMNS)
            known.append(store.execute("SELECT event_id, occurred, recorded FROM events ORDER BY event_id").fetchall())
    assert known[0] == known[1]


@pytest.mark.parametrize("rows", ["none", "all to come"])
def test_a_feed_without_an_event_that_has_occurred_is_refused(rows: str, tmp_path: Path) -> None:
    file = worlds.write(tmp_path)
    some = worlds.events().head(20)
    given = some.head(0) if rows == "none" else some.assign(occurred=some["recorded"] + pd.Timedelta(days=400))
    with pytest.raises(EvalkitError, match="holds no event that had occurred"):
        ek.watch(file, feed=given, looks=tmp_path / "looks.jsonl", as_of="2027-01-31")
