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
from evalkit.monitor.feed import Columns, take_in
from evalkit.monitor.sources import FromFeed, arguments_of
from evalkit.monitor.store import open_store
from evalkit.synthetic.feed import FAULTS, event_feed, write_feed
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


def counted(rows: pd.DataFrame, as_of: date, kind: Any = "count") -> pd.DataFrame:
    """Rows of people and months of a day."""
    reading = events.Reading("person", "place", "month", "month", "seen", (ek.Outcome("score", kind=kind),))
    with open_store(None) as store:
        take_in(store, rows, None, COLUMNS)
        events.known(store, as_of, reading)
        return events.panel_of(store, reading)


def test_an_event_that_one_delivery_holds_twice_counts_once() -> None:
    """To the letter, or as it was mended further down; and the rows of one visit, of several codes, all count."""
    rows, day = worlds.events().head(2000), date(2027, 12, 31)
    score = rows["code"] == "score"
    once = counted(rows, day)
    assert counted(pd.concat([rows, rows[score]]), day).equals(once)
    mended = counted(pd.concat([rows, rows[score].assign(value=1.0)]), day)
    assert mended["score"].sum() == pytest.approx(score.sum())
    together = rows.assign(delivered=rows["delivered"].max())
    visits = together.assign(event_id=rows["person"].astype(str) + rows["occurred"].astype(str))
    assert counted(visits, day).equals(counted(together, day))


def test_what_was_recorded_before_it_occurred_never_counts() -> None:
    """A slip of a year had come into the rows a year later, long after its alarm."""
    rows = worlds.events()
    slip = (rows["code"] == "score") & (rows["person"] < 9) & (rows["occurred"].dt.strftime("%Y-%m") == "2026-05")
    wrong = rows.assign(
        occurred=rows["occurred"].where(~slip, rows["occurred"] + pd.Timedelta(days=365)),
        value=rows["value"].where(~slip, 99.0),
    )
    assert counted(wrong, date(2027, 8, 31), "score")["score"].max() < 20
    clocks = rows.assign(occurred=rows["occurred"].where(~slip, rows["recorded"] + pd.Timedelta(days=1)))
    found = [counted(t[score_of(t)].assign(code="seen"), date(2027, 8, 31)) for t in (wrong, clocks, rows)]
    assert len(found[0]) == len(found[2]) - slip.sum() and len(found[1]) >= len(found[0]) + 5


def score_of(rows: pd.DataFrame) -> pd.Series:
    return rows["code"] == "score"


def test_deliveries_count_in_the_order_of_their_days_whichever_was_taken_in_first(tmp_path: Path) -> None:
    rows = worlds.events().head(300)
    early, late = (rows[score_of(rows)].tail(3).assign(value=v).drop(columns="delivered") for v in (50.0, 60.0))
    best = []
    for name, second in (("there", False), ("after", True)):
        file = worlds.write(tmp_path / name, rows)
        first = tmp_path / name / "feed" / "a-2026-07-01.csv"
        late.to_csv(first.with_name("b-2026-07-15.csv"), index=False)
        with open_store(tmp_path / name / "watch.duckdb") as store:
            if second:
                take_in(store, "feed/*.csv", file.parent, COLUMNS)
            early.to_csv(first, index=False)
            take_in(store, "feed/*.csv", file.parent, COLUMNS)
            reading = events.Reading("person", "place", "month", "month", "seen", (ek.Outcome("score", kind="score"),))
            events.known(store, date(2026, 12, 31), reading)
            best.append(events.panel_of(store, reading))
            asked = "SELECT number, delivery, event_id, again FROM events ORDER BY number"
            best.append(store.execute(asked).df())
    assert best[0]["score"].max() == 60.0
    assert best[0].equals(best[2]) and best[1].equals(best[3])


def test_a_past_day_of_a_file_that_grows_stays_as_it_was(tmp_path: Path) -> None:
    """Whatever is taken out, changed, or put in with an old day; and the alarm of that ends."""
    file = worlds.write(tmp_path, study=worlds.STUDY.replace("feed/*.csv", "all.csv"))
    rows, feed = worlds.events().drop(columns="delivered"), tmp_path / "all.csv"
    rows[rows["recorded"] <= "2027-05-12"].to_csv(feed, index=False)
    pages = [ek.watch(file, as_of="2027-05-12").save(tmp_path / "page").read_bytes()]
    old = rows[score_of(rows) & (rows["occurred"] < "2027-02-01")].index
    touched = rows.drop(old[:5]).assign(value=lambda t: t["value"].where(t.index != old[7], 9.5))
    more = touched.tail(2).assign(occurred="2027-01-05", recorded="2027-01-06", event_id=["n1", "n2"])
    pd.concat([touched[touched["recorded"] <= "2027-06-30"], more]).to_csv(feed, index=False)
    found = {day: ek.watch(file, as_of=day).alarms for day in ("2027-07-02", "2027-05-12", "2027-09-20")}
    pages.append(ek.watch(file, as_of="2027-05-12").save(tmp_path / "again").read_bytes())
    assert pages[0] == pages[1]
    said = found["2027-07-02"].groupby("what")["count"].sum()
    assert said["rows that were there before are gone"] == 6
    assert said["rows with a day on which they were not delivered"] == 3
    assert found["2027-05-12"].empty
    assert not found["2027-09-20"]["what"].str.contains("gone|not delivered").any()


def test_a_file_that_only_grows_says_what_one_says_that_was_always_whole(tmp_path: Path) -> None:
    rows, feed, made = worlds.events().drop(columns="delivered"), tmp_path / "all.csv", []
    reading = events.Reading("person", "place", "month", "month", "seen", (ek.Outcome("score", kind="count"),))
    for days in (("2027-05-12", "2027-05-12", "2027-06-30"), ("2027-06-30",)):
        with open_store(None) as store:
            for day in days:
                rows[rows["recorded"] <= day].to_csv(feed, index=False)
                take_in(store, "all.csv", tmp_path, COLUMNS)
            assert store.execute("SELECT count(*) FROM events WHERE gone IS NOT NULL").fetchall() == [(0,)]
            events.known(store, date(2027, 6, 30), reading)
            made.append(events.panel_of(store, reading))
    assert made[0].equals(made[1])


def test_rows_put_in_behind_a_look_raise_an_alarm_however_old_their_file_says_it_is(tmp_path: Path) -> None:
    file = worlds.write(tmp_path)
    assert ek.watch(file, as_of="2027-06-12").alarms.empty
    rows = worlds.events()
    old = rows[score_of(rows) & (rows["place"] == "Place A") & (rows["delivered"] == "2027-02-28")]
    late = old.assign(value=old["value"] + 1).drop(columns="delivered")
    late.to_csv(tmp_path / "feed" / "late-2027-04-15.csv", index=False)
    found = ek.watch(file, as_of="2027-06-19").alarms
    assert found[["alarm", "what"]].values.tolist() == [["backdated_edits", "what look 1 rested on is not what it was"]]


def test_alarms_of_a_past_day_ask_the_people_of_that_day(tmp_path: Path) -> None:
    regions = worlds.people().assign(region=lambda p: p["place"].str[-1])
    file = worlds.write(tmp_path, study=worlds.STUDY.replace('assigned_at = "place"', 'assigned_at = "region"'))
    regions.to_csv(tmp_path / "people.csv", index=False)
    register = worlds.adoption(start="2027-03").assign(level_id=list("ABCDEF"))
    register.to_csv(tmp_path / "adoption.csv", index=False)
    before = ek.watch(file, as_of="2027-03-12").alarms
    ek.watch(file, as_of="2027-04-12")
    regions.assign(region=regions["region"].replace({"A": "L", "L": "A"})).to_csv(tmp_path / "people.csv", index=False)
    ek.watch(file, as_of="2027-05-12")
    assert len(before) == 6 and ek.watch(file, as_of="2027-03-12").alarms.equals(before)


def test_a_rate_is_events_over_what_they_are_per(tmp_path: Path) -> None:
    """Both added up over a period; where nothing of what it is per came, nothing was counted."""
    rows = worlds.events().assign(value=lambda t: t["value"].round().clip(0))
    hours = rows[score_of(rows)].assign(code="hours", value=lambda t: 1.0 + t["person"] % 3)
    hours = hours.assign(event_id=hours["event_id"] + "h").drop(hours.index[:40])
    more = pd.concat([rows, hours, hours.assign(event_id=hours["event_id"] + "2")])
    said = worlds.STUDY.replace('kind = "score"', 'kind = "rate"\nper = "hours"')
    values = ek.watch(worlds.write(tmp_path, more, said), as_of="2027-12-31").study
    panel = values.values("score")
    known = more[more["occurred"] < "2027-10-01"].assign(month=lambda t: t["occurred"].dt.strftime("%Y-%m"))
    sums = known.pivot_table(index="person", columns=["code", "month"], values="value", aggfunc="sum")
    by_hand = (sums["score"].fillna(0.0) / sums["hours"]).to_numpy()
    order = np.argsort(values.paths.units.astype(int))
    assert np.isnan(by_hand).sum() >= 40
    np.testing.assert_allclose(panel[order][:, : by_hand.shape[1]], by_hand)


def test_a_feed_without_a_register_of_dates_can_be_watched(tmp_path: Path) -> None:
    """Where events themselves say who has a part; that had ended in advice to delete the store."""
    register = 'adoption = "adoption.csv"\nassigned_at = "place"\nreach = "eligible"'
    said = worlds.STUDY.replace(register, 'exposure = "part"\nassigned_at = "person"')
    found = ek.watch(worlds.write(tmp_path, worlds.events(1.0), said), as_of="2027-08-12")
    assert found.looks["estimate"].notna().all() and found.delivery.empty and found.alarms.empty


def test_rows_of_weeks_are_not_made_of_a_feed_without_a_word(tmp_path: Path) -> None:
    said = worlds.STUDY.replace('period = "month"', 'period = "week"')
    with pytest.raises(EvalkitError, match="a feed becomes rows of months, quarters or years"):
        ek.watch(worlds.write(tmp_path, study=said), as_of="2027-08-12")
    by_month = said.replace("settle = 20", 'settle = 20\nperiod = "month"')
    assert ek.watch(worlds.write(tmp_path, study=by_month), as_of="2027-08-12").study.paths.n_periods == 18


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "watch.duckdb")) as other:
        other.execute("CREATE TABLE events (what VARCHAR)")
    with pytest.raises(EvalkitError, match="is no store of events"), open_store(tmp_path / "watch.duckdb"):
        pass


def test_a_part_given_where_none_is_registered_raises_the_alarm_of_starts(tmp_path: Path) -> None:
    """A place that is missing in the register, or is called otherwise there, had been silent."""
    file = worlds.write(tmp_path, level_id=[*worlds.PLACES[1:6], "Place Z"])
    found = ek.watch(file, as_of="2027-06-25").alarms
    assert found[["alarm", "where"]].values.tolist() == [["exposure_before_start", "Place A, part"]]
    assert found["what"].iloc[0].endswith("on, and not registered there") and found["count"].iloc[0] > 5


def test_a_reach_that_is_written_otherwise_has_not_changed() -> None:
    """Where a value is missing somewhere, whole numbers come as 1.0."""
    assert alarms(worlds.events(), "2027-03-25", people=worlds.people().assign(eligible=1.0)).empty


def test_a_register_that_is_refused_was_never_known(tmp_path: Path) -> None:
    """It had stayed in the store, and every earlier day was refused from then on, whatever was mended."""
    file = worlds.write(tmp_path, start="soon")
    with pytest.raises(EvalkitError, match="start 'soon'"):
        ek.watch(file, as_of="2027-06-12")
    worlds.adoption().to_csv(tmp_path / "adoption.csv", index=False)
    for day in ("2027-05-12", "2027-06-14"):
        assert ek.watch(file, as_of=day).status["status"].tolist() == ["not a look"]


@pytest.mark.parametrize("fault", [None, "missing_place", "two_places", "duplicate_file"])
def test_a_fault_is_seen_on_the_day_that_a_feed_names(fault: str | None, tmp_path: Path) -> None:
    """The command had led to the newest delivery, years after the fault and with stragglers only."""
    made = ek.synthetic.partnership("social_prescribing", size=0.3)
    made.write(tmp_path)
    feed = event_feed(made, fault=fault)
    found = ek.watch(write_feed(feed, made, tmp_path), as_of=feed.seen).alarms
    assert set(found["alarm"]) == ({fault} if fault else set())


def test_faults_are_put_into_outcomes_that_the_feed_holds() -> None:
    made = ek.synthetic.partnership("rough_sleeping", size=0.1)
    renamed = event_feed(made, fault="code_renamed").events["code"]
    assert set(renamed) - set(event_feed(made).events["code"])
    with pytest.raises(EvalkitError, match="no outcome that is measured in units"):
        event_feed(made, fault="units_changed")
