"""A watch from end to end: looks, their record, what may be said, and the same again for any past day."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evalkit as ek
from evalkit.errors import EvalkitError, OptionError
from evalkit.monitor.agreement import Agreement, date_at, position_of
from evalkit.monitor.bounds import sequence_bound, t_of
from evalkit.monitor.ledger import Ledger, add_to, read_ledger
from evalkit.monitor.looks import Seen, after_crossing, planned_look, unplanned_look
from evalkit.monitor.page import Watch, published, published_delays, rounded, tables
from evalkit.show.tables import csv_text
from evalkit.study.calendar import make_calendar
from tests.monitor import worlds


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_a_past_week_is_made_again_to_the_same_bytes(tmp_path: Path) -> None:
    """Whether one watched each month or only later, and whatever was delivered, or written into the register, since."""
    rows = worlds.events(1.0)
    early, late = tmp_path / "early", tmp_path / "late"
    file = worlds.write(early, rows[rows["delivered"] <= "2027-05-31"], planned_start="2026-12")
    ek.watch(file, as_of="2027-05-12").save(early / "page")
    before = bytes_of(early / "page")
    worlds.write(early, rows, planned_start="2026-11", start="2027-01", moved="capacity", decided="2027-09-01")
    ek.watch(file, as_of="2027-12-31")
    ek.watch(file, as_of="2027-05-12").save(early / "again")
    assert bytes_of(early / "again") == before
    other = worlds.write(late, rows, planned_start="2026-12")
    ek.watch(other, as_of="2027-12-31")
    for name, table in tables(ek.watch(other, as_of="2027-05-12")).items():
        assert csv_text(rounded(table)).encode() == before[f"{name}.csv"]


def test_feed_and_panel_say_the_same(tmp_path: Path) -> None:
    by_feed = ek.watch(worlds.write(tmp_path, worlds.events(1.0)), as_of="2027-12-31").looks
    by_panel = ek.watch(worlds.study_of(1.0), as_of="2027-12-31").looks
    # Rows that were recorded after a look are not in the feed's.
    assert len(by_feed) == len(by_panel) == 3
    assert by_feed["estimate"].to_numpy() == pytest.approx(by_panel["estimate"].to_numpy(), abs=0.1)


def test_looks_do_not_depend_on_how_often_somebody_came(tmp_path: Path) -> None:
    study = worlds.study_of(0.6)
    for day in ("2027-04-01", "2027-04-21", "2027-07-30", "2027-12-31"):
        ek.watch(study, tmp_path / "often.jsonl", day)
    ek.watch(study, tmp_path / "once.jsonl", "2027-12-31")
    assert (tmp_path / "often.jsonl").read_bytes() == (tmp_path / "once.jsonl").read_bytes()


def test_what_may_be_said_from_the_first_day_to_a_crossing(tmp_path: Path) -> None:
    study, file = worlds.study_of(1.0), tmp_path / "looks.jsonl"
    days = ("2027-02-25", "2027-04-21", "2027-05-30", "2027-07-25")
    said = {day: ek.watch(study, file, day).status.iloc[0] for day in days}
    assert [s["status"] for s in said.values()] == ["too early", "too early", "not a look", "crossed the agreed line"]
    between = said["2027-05-30"]
    assert math.isnan(between["estimate"]) and "until then nothing is said of its effect" in between["sentence"]
    crossed = said["2027-07-25"]
    assert crossed["verdict"] == "shown" and crossed["adjusted_low"] > 0 and crossed["adjusted"] <= crossed["estimate"]
    later = ek.watch(study, file, "2027-12-31").status.iloc[0]
    assert later["status"] == "crossed the agreed line" and later["look"] == crossed["look"]


def test_without_an_effect_nothing_is_said_when_all_looks_are_over() -> None:
    row = ek.watch(worlds.study_of(0.0)).status.iloc[0]
    assert (row["status"], row["verdict"]) == ("cannot_tell", "cannot_tell") and "All 3 looks are over" in row[
        "sentence"
    ]


def test_dates_moved_because_of_results_cap_the_verdict() -> None:
    moved = {"planned_start": "2027-03", "moved": "results", "decided": "2026-12-01"}
    study = worlds.study_of(1.0, **moved)
    row = ek.watch(study).status.iloc[0]
    assert row["verdict"] == "likely" and "because of their results" in row["sentence"]
    plain = worlds.study_of(1.0, planned_start="2027-03", moved="capacity")
    for made, said in ((study, True), (plain, False)):
        verdict = ek.evaluate(made).verdicts.iloc[0]
        assert verdict["verdict"] == ("likely" if said else "shown")
        assert ("because of their results" in f"{verdict['reasons']} {verdict['sentence']}") is said
    with pytest.raises(EvalkitError, match="'luck' is not a choice"):
        worlds.study_of(1.0, moved="luck")


def test_a_delay_is_counted_in_the_study_s_own_periods(tmp_path: Path) -> None:
    study = worlds.study_of(0.0, planned_start="2026-11", moved="capacity")
    called = study.replace(noun={"period": ("delivery", "deliveries")})
    page = ek.watch(called, as_of="2027-12-31").save(tmp_path).read_text(encoding="utf-8")
    assert "2.0 deliveries after plan on average" in page


def test_a_move_that_was_decided_later_has_not_been_made_yet() -> None:
    study = worlds.study_of(0.0, planned_start="2026-12", moved="capacity", decided="2027-02-15")
    before, after = (ek.watch(study, as_of=d).delivery.iloc[0] for d in ("2027-02-10", "2027-02-25"))
    assert (before["start"], after["start"]) == ("2026-12", "2027-01")
    assert pd.isna(before["moved"]) and after["moved"] == "capacity" and after["late"] == 1.0


def agreed(components: tuple[str, ...] = ("part",), **options: Any) -> Ledger:
    return Ledger().plus({"agreed": Agreement("score", components, ("1", "2", "3", "4"), **options).as_data()})


def seen(estimate: float, exposed: int = 12, comparison: int = 12, look: int = 1) -> Seen:
    return Seen(estimate, 1.0, 40.0, exposed, comparison, "by hand", {"A": 1.0, "B": -1.0, "C": 1.0 / look})


def body(number: int, said: dict[str, Any]) -> dict[str, Any]:
    return {"look": number, "through": str(number), "at": float(number), "known": "", "planned": True, "why": "",
            "data": "", "components": said}  # fmt: skip


def test_no_line_can_be_crossed_early_with_few_places() -> None:
    said = planned_look(agreed(), {"part": seen(50.0, exposed=4)})["part"]
    assert not said["crossed"] and said["spent"] == 0.0
    ledger = agreed()
    for number in range(1, 4):
        ledger = ledger.plus(body(number, planned_look(ledger, {"part": seen(50.0, exposed=4, look=number)})))
    last = planned_look(ledger, {"part": seen(50.0, exposed=4, look=4)})["part"]
    assert last["crossed"] and last["spent"] == pytest.approx(0.05)


def test_alpha_is_one_purse_and_what_has_crossed_hands_its_part_on() -> None:
    ledger = agreed(("part", "other"))
    both = planned_look(ledger, {"part": seen(0.0), "other": seen(0.0)})
    alone = planned_look(agreed(), {"part": seen(0.0)})
    assert both["part"]["bound"] > alone["part"]["bound"] and both["part"]["alpha"] == 0.025
    one = planned_look(ledger, {"part": seen(30.0), "other": seen(0.0)})
    assert one["part"]["crossed"] and not one["other"]["crossed"]
    assert one["other"]["alpha"] == 0.05 and one["other"]["bound"] == alone["part"]["bound"]
    ledger = ledger.plus(body(1, one))
    assert after_crossing(ledger, "part") is not None and after_crossing(ledger, "other") is None


def test_after_a_crossing_the_range_is_that_of_its_standard_error_and_old_records_give_the_same() -> None:
    """Records held what an estimate is over its z as well, which is large where there is little noise."""
    said = planned_look(agreed(), {"part": seen(500.0)})
    assert said["part"]["crossed"] and "scaled_error" not in said["part"]
    old = {"part": said["part"] | {"scaled_error": 500.0 / said["part"]["z"]}}
    found, before = (after_crossing(agreed().plus(body(1, x)), "part") for x in (said, old))
    assert found is not None and found == before
    half = stats.t.ppf(0.975, seen(500.0).cautious_df)
    assert (found.low, found.estimate, found.high) == pytest.approx((500 - half, 500, 500 + half), abs=1e-3)


def test_few_places_have_few_degrees_of_freedom() -> None:
    assert Seen(1.0, 1.0, 40.0, 12, 12).cautious_df == 11
    assert Seen(1.0, 1.0, 40.0, 3, 21).cautious_df == 4
    assert Seen(1.0, 1.0, 3.0, 12, 12).cautious_df == 3


def test_an_unplanned_look_has_a_reason_wider_ranges_and_no_line(tmp_path: Path) -> None:
    study, file = worlds.study_of(1.0), tmp_path / "looks.jsonl"
    watch = ek.watch(study, file, "2027-08-25", unplanned="The board asked")
    row = watch.looks[~watch.looks["planned"].astype(bool)].iloc[0]
    planned = watch.looks[watch.looks["planned"].astype(bool)].iloc[-1]
    assert pd.isna(row["bound"]) and row["high"] - row["estimate"] > 1.1 * (planned["high"] - planned["estimate"]) / 1.3
    assert json.loads(file.read_text().splitlines()[-1])["why"] == "The board asked"
    page = watch.save(tmp_path / "page").read_text(encoding="utf-8")
    assert "what is not ruled out, whenever one looks, is 0.6 to 1.8 points higher" in page
    assert (row["low"], row["high"]) == pytest.approx((0.6976, 1.7906), abs=1e-4)
    with pytest.raises(OptionError, match="needs a reason"):
        ek.watch(study, file, "2027-08-26", unplanned=" ")
    with pytest.raises(OptionError, match="Later looks"):
        ek.watch(study, file, "2027-05-02", unplanned="Too late")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [lines[0], lines[1].replace("true", "false"), *lines[2:]], "was changed"),
        (lambda lines: [lines[0], *lines[2:]], "added or taken away"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "cannot be read"),
        (lambda lines: lines[1:], "the agreement is missing"),
        (lambda lines: ["[]", *lines], "it is no look"),
        (lambda lines: [], "is empty"),
        (lambda lines: [lines[0], '{"look": 1}', *lines[1:]], "through, known, data"),
    ],
)  # fmt: skip
def test_a_record_that_was_touched_is_refused(damage: Any, words: str, tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    ledger = agreed()
    for number in (1, 2):
        ledger = ledger.plus(body(number, planned_look(ledger, {"part": seen(0.0)})))
    file.write_text(ledger.text())
    assert read_ledger(file) == ledger
    touched = "".join(f"{line}\n" for line in damage(file.read_text().splitlines()))
    file.write_text(touched)
    with pytest.raises(EvalkitError, match=words):
        ek.watch(worlds.study_of(), file, "2027-12-31")
    assert file.read_text() == touched


def test_another_agreement_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    ek.watch(worlds.study_of(), file, "2027-02-25")
    for changed in ({"alpha": 0.1}, {"last": "2028-06"}, {"fewest": 2}):
        with pytest.raises(EvalkitError, match="goes with another agreement"):
            ek.watch(worlds.study_of(watch=changed), file, "2027-03-25")


def test_rows_that_changed_behind_a_look_raise_an_alarm(tmp_path: Path) -> None:
    study, file = worlds.study_of(), tmp_path / "looks.jsonl"
    assert not len(ek.watch(study, file, "2027-08-25").alarms)
    rows = worlds.panel()
    better = rows.assign(score=rows["score"] + 0.3 * (rows["month"] == "2027-02"))
    alarms = ek.watch(study.replace(panel=better), file, "2027-08-26").alarms
    assert alarms["alarm"].tolist() == ["backdated_edits"] and "look 2" in alarms["what"].iloc[0]


def test_numbers_that_are_no_dates_can_be_watched() -> None:
    rows = worlds.panel(1.0)
    numbered = rows.assign(month=rows["month"].map({m: i for i, m in enumerate(worlds.MONTHS)}))
    on = numbered["place"].isin(worlds.PLACES[:6]) & (numbered["month"] >= 12)
    study = ek.Study(
        numbered.assign(part=on.astype(int)),
        unit="person", period="month", cluster="place", outcome="score", components=["part"],
    )  # fmt: skip
    watch = ek.watch(study, as_of=20)
    assert watch.as_of == 21.0 and watch.study.paths.n_periods == 21 and watch.agreement.looks[0] == "14"
    assert watch.status["status"].iloc[0] == "crossed the agreed line"


def test_days_are_read_back_from_positions() -> None:
    for kind, frequency in (("month", "M"), ("quarter", "Q")):
        for day in pd.date_range("2027-01-01", "2028-12-31", freq="11D"):
            period = day.to_period(frequency)
            length = ((period + 1).start_time - period.start_time).days
            position = 1970 * (12 if kind == "month" else 4) + period.ordinal + (day - period.start_time).days / length
            assert date_at(kind, position) == day.date()


@pytest.mark.parametrize("as_of", ["soon", "2026-01-15", "1999"])
def test_a_day_by_which_nothing_is_complete_is_refused(as_of: str) -> None:
    with pytest.raises(EvalkitError, match="no day|No period is complete"):
        ek.watch(worlds.study_of(), as_of=as_of)


def test_the_command_writes_a_page_that_loads_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from evalkit.cli import main
    from evalkit.reporting.strict import strict

    file = worlds.write(tmp_path, worlds.events(1.0))
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(file), "--as-of", "2027-08-10", "--out", str(tmp_path / "page")])
    assert stopped.value.code == 0 and "crossed the agreed line" in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "page" / "watch.html").read_text()
    strict(page)
    for words in (
        "Is the feed right?",
        "Is delivery on plan?",
        "Has a place moved apart?",
        "The agreed line",
        "crossed",
    ):
        assert words in page
    assert page.count("<figure") == 2 and (tmp_path / "looks.jsonl").is_file()
    assert {p.name for p in (tmp_path / "page").iterdir()} >= {"status.csv", "alarms.csv", "looks.csv", "charts.csv"}


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        ("2027-06-25", date(2027, 6, 25)),
        (" 2027-06-25 ", date(2027, 6, 25)),
        (np.datetime64("2027-06-25"), date(2027, 6, 25)),
        (pd.Timestamp("2027-06-25 13:00"), date(2027, 6, 25)),
        ("2027-06", date(2027, 7, 1)),
        ("2027Q2", date(2027, 7, 1)),
        (pd.Period("2027Q2"), date(2027, 7, 1)),
    ],
)
def test_a_day_is_a_day_however_it_is_written(as_of: Any, day: date) -> None:
    assert ek.watch(worlds.study_of(), as_of=as_of).as_of == day


def test_a_month_is_over_when_it_is_over_whatever_the_periods_are() -> None:
    """In a study of quarters, or of days, May ends with May."""
    for periods in (["2026Q1", "2026Q2", "2026Q3"], pd.date_range("2026-01-01", "2026-09-30").to_numpy()):
        calendar = make_calendar(np.array(periods, dtype=getattr(periods, "dtype", object)))
        assert date_at(calendar.kind, position_of(calendar, "2026-05")) == date(2026, 6, 1)


@pytest.mark.filterwarnings("error")
def test_a_feed_without_the_outcome_says_so_and_warns_of_nothing(tmp_path: Path) -> None:
    rows = worlds.events()
    file = worlds.write(tmp_path, rows[rows["code"] != "score"])
    assert "No adopter was observed" in ek.watch(file, as_of="2027-06-25").status["sentence"][0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"looks": ["2027Q1"]}, "periods of this calendar"),
        ({"looks": ["2027-03-15", "2027-06-15"]}, "periods of this calendar"),
        ({"first": "2027Q1"}, "'2027Q1' is no period"),
        ({"first": "2027-09", "last": "2027-03"}, "the last look goes through 2027-03, and the first through 2027-09"),
    ],
)
def test_a_look_goes_through_a_period_of_the_calendar(said: dict[str, Any], words: str) -> None:
    """A look through a quarter would be due a month after its beginning, and rest on a third of it."""
    with pytest.raises(OptionError, match=words):
        ek.watch(worlds.study_of(watch=said))


@pytest.mark.parametrize("column", ["planned_start", "decided"])
def test_dates_of_a_plan_are_dates(column: str) -> None:
    """What cannot be read would count as never late, and as decided long ago."""
    with pytest.raises(EvalkitError, match=f"{column} .*'soon'"):
        worlds.study_of(**{column: "soon"})


@pytest.mark.parametrize("unplanned", [3, "  "])
def test_a_look_that_nobody_planned_needs_words(unplanned: Any) -> None:
    with pytest.raises(OptionError, match="needs a reason"):
        ek.watch(worlds.study_of(), unplanned=unplanned)


def test_what_is_no_study_is_refused() -> None:
    with pytest.raises(OptionError, match="int is no study"):
        ek.watch(3)  # type: ignore[arg-type]


def on_other_periods(periods: list[Any], start: Any, **watch: Any) -> ek.Study:
    """The panel with its months called otherwise."""
    rows = worlds.panel(1.0)
    named = dict(zip(worlds.MONTHS, periods, strict=True))
    return ek.Study(
        rows.assign(month=rows["month"].map(named)), unit="person", period="month", cluster="place", outcome="score",
        components=[ek.Component("part", adoption=worlds.adoption(start=start), assigned_at="place")],
        settings={"watch": watch},
    )  # fmt: skip


@pytest.mark.parametrize("ends", [0, 1])
def test_months_written_as_days_are_looked_at_as_months_are(ends: int) -> None:
    """Counted by days they had drifted: looks went through 2 November, and through other months than were said."""
    spans = [(p.start_time, p.end_time) for p in map(pd.Period, worlds.MONTHS)]
    days = [str(span[ends].date()) for span in spans]
    by_day = ek.watch(on_other_periods(days, days[12]), as_of="2027-12-31")
    by_month = ek.watch(on_other_periods(worlds.MONTHS, worlds.START), as_of="2027-12-31")
    assert [look[:7] for look in by_day.agreement.looks] == list(by_month.agreement.looks)
    assert all(pd.Timestamp(look).is_month_end is bool(ends) for look in by_day.agreement.looks)
    assert by_day.looks["estimate"].to_numpy() == pytest.approx(by_month.looks["estimate"].to_numpy())
    if not ends:
        assert by_day.looks["known"].tolist() == by_month.looks["known"].tolist()


@pytest.mark.parametrize("words", [int, str])
def test_years_are_years(words: Any) -> None:
    """Quarterly looks of a study of years had been three years apart, for twelve years on."""
    years = [words(2010 + i) for i in range(21)]
    agreed = ek.watch(on_other_periods(years, years[12], last=words(2025))).agreement
    assert agreed.looks == ("2022", "2023", "2024", "2025")


@pytest.mark.filterwarnings("ignore:The calendar has gaps")
def test_a_look_through_a_period_that_is_missing_is_the_one_that_was_said() -> None:
    study = worlds.study_of(1.0)
    rows = worlds.panel(1.0)
    gapped = study.replace(panel=rows[~rows["month"].isin(["2027-02", "2027-03"])])
    watch = ek.watch(gapped)
    assert watch.agreement.looks == ("2027-03", "2027-06", "2027-09") == ek.watch(study).agreement.looks
    assert watch.looks["known"].tolist() == ek.watch(study).looks["known"].tolist()


def test_a_first_look_before_the_first_period_is_refused() -> None:
    with pytest.raises(OptionError, match="2025-11, before the first period that there is .2026-01"):
        ek.watch(worlds.study_of(watch={"first": "2025-11"}))


def test_there_is_a_page_before_anything_has_started(tmp_path: Path) -> None:
    watch = ek.watch(worlds.study_of(), as_of="2026-12-21")
    page = watch.save(tmp_path).read_text(encoding="utf-8")
    assert "No period after a baseline yet" in page and "stayed within" not in page


@pytest.mark.parametrize("as_of", ["2027-6-25", "2027-06-25T13:00", "2027-06-25 13:00"])
def test_words_that_are_a_day_are_that_day(as_of: str) -> None:
    """They had been taken for a period, which ends a month later."""
    assert ek.watch(worlds.study_of(), as_of=as_of).as_of == date(2027, 6, 25)


def test_what_the_record_is_about_must_be_there(tmp_path: Path) -> None:
    study, file = worlds.study_of(), tmp_path / "looks.jsonl"
    ek.watch(study, file, "2027-05-30")
    other = ek.Component("other", adoption=worlds.adoption().assign(component="other"), assigned_at="place")
    renamed = study.replace(panel=worlds.panel().rename(columns={"score": "mark"}), outcomes=(ek.Outcome("mark"),))
    for changed, name in ((study.with_components([other]), "part"), (renamed, "score")):
        with pytest.raises(EvalkitError, match=f"The record of looks is about '{name}', and this study has nothing"):
            ek.watch(changed, file, "2027-08-30")


@pytest.mark.parametrize("changed", [{"first": "2027-06"}, {"last": "2027-12"}, {"looks": "month"}])
def test_each_of_the_looks_keys_is_held_to_by_itself(changed: dict[str, Any], tmp_path: Path) -> None:
    """A first look that was moved had been ignored without a word where no last one was named, and the other way."""
    file, key = tmp_path / "looks.jsonl", next(iter(changed))
    said = {"looks": "quarter", "first": "2027-03", "last": "2027-09", "settle": 20}
    only = {key: said[key], "settle": 20}
    study = worlds.study_of()
    ek.watch(study.replace(settings={"watch": only}), file, "2027-02-25")
    ek.watch(study.replace(settings={"watch": only}), file, "2027-03-25")
    with pytest.raises(EvalkitError, match="goes with another agreement: looks was"):
        ek.watch(study.replace(settings={"watch": only | changed}), file, "2027-04-25")


def test_a_reason_may_hold_any_sign_and_one_may_look_twice_on_a_day(tmp_path: Path) -> None:
    """Signs at which some readers end a line had made a record that could not be read again."""
    study, file = worlds.study_of(), tmp_path / "looks.jsonl"
    for why in ("the board\u2028asked \x85", "a byte \ud800"):
        watch = ek.watch(study, file, "2027-05-12", unplanned=why)
    assert (~watch.looks["planned"].astype(bool)).sum() == 2
    assert read_ledger(file).looks[-2]["why"] == "the board\u2028asked \x85"
    assert ek.watch(study, file, "2027-08-30").looks["planned"].sum() == 2


@pytest.mark.parametrize(
    ("touch", "words"),
    [
        (lambda x: {k: v for k, v in x.items() if k != "at"}, "line 2: at is missing"),
        (lambda x: x | {"components": {}} if "look" in x else x, "line 2: part is missing"),
        (lambda x: x | {"agreed": x["agreed"] | {"alpha": "x"}} if "agreed" in x else x, "line 1: the agreement holds"),
        (lambda x: x | {"agreed": x["agreed"] | {"looks": "x"}} if "agreed" in x else x, "line 1: the agreement holds"),
    ],
)  # fmt: skip
def test_a_record_with_right_hashes_that_is_none_is_refused(touch: Any, words: str, tmp_path: Path) -> None:
    study, file = worlds.study_of(), tmp_path / "looks.jsonl"
    ek.watch(study, file, "2027-05-30")
    lines = [touch(json.loads(line)) for line in file.read_text().splitlines()]
    made = Ledger(read_ledger(file).agreement)
    for line in lines:
        made = made.plus({k: v for k, v in line.items() if k not in ("before", "sha256")})
    file.write_text(made.text())
    with pytest.raises(EvalkitError, match=words):
        ek.watch(study, file, "2027-08-30")


def test_what_another_watch_added_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    study, file = worlds.study_of(), tmp_path / "looks.jsonl"
    ek.watch(study, file, "2027-05-30")
    seen = read_ledger(file)
    ek.watch(study, file, "2027-05-30", unplanned="The board asked")
    with pytest.raises(EvalkitError, match="was added to by another watch meanwhile"):
        add_to(file, seen.plus(body(9, {"part": {}})), seen.lines)
    assert len(read_ledger(file).looks) == 2


def test_two_studies_in_one_folder_have_a_record_and_registers_each(tmp_path: Path) -> None:
    file = worlds.write(tmp_path)
    worlds.people().assign(eligible=lambda p: p["person"] % 2).to_csv(tmp_path / "others.csv", index=False)
    other = tmp_path / "other.toml"
    other.write_text(worlds.STUDY.replace("people.csv", "others.csv"), encoding="utf-8")
    ek.watch(file, as_of="2027-05-12")
    with pytest.raises(EvalkitError, match=r"is that of another study, study\.toml"):
        ek.watch(other, as_of="2027-05-12")
    ek.watch(other, tmp_path / "other.jsonl", as_of="2027-05-12")
    later = ek.watch(file, as_of="2027-05-26")
    assert later.alarms.empty and (later.study.people["eligible"] == 1).all()


def test_once_all_looks_are_over_nothing_is_too_early() -> None:
    everywhere = worlds.adoption().head(1).merge(pd.DataFrame({"place": worlds.PLACES}), how="cross")
    everywhere = everywhere.assign(level_id=everywhere["place"]).drop(columns="place")
    component = ek.Component("part", label="The part", adoption=everywhere, assigned_at="place")
    study = worlds.study_of().with_components([component])
    row = ek.watch(study, as_of="2027-07-30").status.iloc[0]
    assert (row["status"], row["verdict"]) == ("too early", "")
    row = ek.watch(study).status.iloc[0]
    assert (row["status"], row["verdict"]) == ("cannot_tell", "cannot_tell")
    assert "All 3 looks are over, and at the last, through 2027-09, there was no number" in row["sentence"]


def test_one_place_is_one_place() -> None:
    component = ek.Component("part", adoption=worlds.adoption().head(1), assigned_at="place")
    sentence = ek.watch(worlds.study_of().with_components([component]), as_of="2027-05-30").status["sentence"].iloc[0]
    assert "With 1 place in the smaller arm" in sentence


def test_ranges_of_unplanned_looks_are_narrowest_at_one_and_the_same_information() -> None:
    """Where that moved with each look, the line stood still, and enough looks would have crossed it."""
    ledger = agreed()
    first = unplanned_look(ledger, {"part": seen(0.0)})
    ledger = ledger.plus(body(1, first) | {"planned": False})
    second = unplanned_look(ledger, {"part": Seen(0.0, 0.1, 40.0, 12, 12)})["part"]
    reach = t_of(sequence_bound(100.0, 1.0, 0.05), 11.0) * 0.1
    assert second["high"] == pytest.approx(reach) and reach > 1.2 * 0.1 * first["part"]["high"]


def test_numbers_of_people_in_words_follow_the_rules_of_disclosure(tmp_path: Path) -> None:
    watch = ek.watch(worlds.write(tmp_path), as_of="2027-05-31")
    what = "people went from 9\u00a0to 30\u00a0in 2027-04"
    alarm = pd.DataFrame([("denominator_jump", "Place A", what, -1, "")], columns=watch.alarms.columns)
    few = watch.delays.assign(events=[4, 2000])
    parts = {f: getattr(watch, f) for f in watch.__dataclass_fields__} | {"alarms": alarm, "delays": few}
    shown = Watch(**parts)
    assert published(shown)["what"].tolist() == ["people went from fewer than 10 to 30 in 2027-04"]
    assert published_delays(shown)["events"].tolist() == ["fewer than 10", "2,000"]
    assert "from 9" not in repr(shown) and published_delays(watch)["events"].equals(watch.delays["events"])
    (tmp_path / "rounded").mkdir()
    file = worlds.write(tmp_path / "rounded", study=worlds.STUDY.replace("title =", 'disclosure = "nhs"\ntitle ='))
    charts = ek.watch(file, as_of="2027-05-31").charts
    assert set(charts["people"].dropna() % 5) == {0.0}


def test_delivery_says_what_has_ended_and_what_came_before_plan(tmp_path: Path) -> None:
    """What was over had been on, a place with two spells two places, and what came early -0.3 months after plan."""
    register = worlds.adoption(planned_start="2027-03", end=["2027-06", None, None, None, None, None])
    again = register.head(1).assign(start="2027-08", end=None, planned_start=None)
    component = ek.Component("part", label="The part", adoption=pd.concat([register, again]), assigned_at="place")
    study = worlds.study_of().with_components([component])
    watch = ek.watch(study, as_of="2027-07-15")
    assert watch.delivery["state"].tolist() == ["ended", *["on"] * 5, "to come"]
    page = watch.save(tmp_path).read_text(encoding="utf-8")
    assert "The part: on in 5 of 6 places, 2.0 months before plan on average; ended in 1; 0 late." in page


@pytest.mark.parametrize("kind", ["weights", "rate"])
def test_charts_weigh_people_as_estimates_do(kind: str) -> None:
    rows = worlds.panel().assign(w=lambda t: t["person"] % 7 + 1.0)
    study = worlds.study_of()
    if kind == "weights":
        made = study.replace(panel=rows, weights="w")
    else:
        rows["score"] = rows["score"].clip(0)
        made = study.replace(panel=rows, outcomes=(ek.Outcome("score", kind="rate", per="w"),))
    by_hand = rows.assign(y=rows["score"] * (rows["w"] if kind == "weights" else 1.0)).groupby(["place", "month"])
    by_hand = by_hand["y"].sum() / by_hand["w"].sum()
    charts = ek.watch(made, as_of="2027-07-15").charts.set_index(["place", "period"])["value"]
    assert charts.to_numpy() == pytest.approx(by_hand.loc[charts.index].to_numpy())


def test_what_cannot_be_watched_is_refused() -> None:
    people = pd.DataFrame({"person": range(60), "score": np.arange(60.0), "part": [0, 1] * 30})
    once = ek.Study(people, unit="person", period=None, outcome="score", components=["part"])
    with pytest.raises(OptionError, match="A study of one time has nothing to watch"):
        ek.watch(once)
    with pytest.raises(OptionError, match="looks=3 is no file"):
        ek.watch(worlds.study_of(), looks=3)  # type: ignore[arg-type]
    everywhere = pd.DataFrame({"component": "part", "level_id": worlds.PLACES, "start": "2020-01"})
    always = ek.Component("part", adoption=everywhere, assigned_at="place", always_on=True)
    with pytest.raises(OptionError, match="Every component is always on"):
        ek.watch(worlds.study_of().with_components([always]))


def test_a_look_waits_for_a_panel_that_is_behind_its_day(tmp_path: Path) -> None:
    """It had been taken on what there was, and stood in the record when the rest came."""
    study, file = worlds.study_of(1.0), tmp_path / "looks.jsonl"
    behind = study.subset(periods=np.arange(17))  # to 2027-05; a look through 2027-06 is due on 21 July
    watch = ek.watch(behind, file, "2027-08-25")
    assert watch.looks["through"].tolist() == ["2027-03"] and watch.next_look == "2027-06"
    assert watch.alarms[["alarm", "where"]].values.tolist() == [["late_provider", "the panel"]]
    assert watch.alarms["what"].iloc[0] == "it ends with 2027-05, and the look through 2027-06 is due"
    later = ek.watch(study, file, "2027-08-25")
    assert later.alarms.empty and later.next_look == "2027-09"
    once = ek.watch(study, as_of="2027-08-25")
    assert later.looks["estimate"].tolist() == once.looks["estimate"].tolist()
