"""Watch a delivery: is the feed right, is it on plan, has anything crossed the line that was agreed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.disclosure.rules import rules_of
from evalkit.errors import EvalkitError, OptionError
from evalkit.monitor import charts, events
from evalkit.monitor.agreement import Agreement, agree, date_at, due, position_of
from evalkit.monitor.alarms import ALARMS, COLUMNS, alarms_of
from evalkit.monitor.delivery import delivery_of
from evalkit.monitor.feed import STORE, Columns, newest, open_store, take_in
from evalkit.monitor.ledger import FILE, Ledger, add_to, read_ledger
from evalkit.monitor.looks import data_hash, planned_look, see, unplanned_look
from evalkit.monitor.page import Watch
from evalkit.monitor.sources import FromFeed, FromPanel, Known, arguments_of, check_feed, settle_of
from evalkit.progress import step
from evalkit.study import Study
from evalkit.study.calendar import Calendar
from evalkit.study.frame import Table


def watch(
    study: Study | str | Path,
    looks: str | Path | None = None,
    as_of: str | date | float | None = None,
    *,
    feed: Table | None = None,
    unplanned: str | None = None,
) -> Watch:
    """What there is to see of a delivery on a day, and the looks that are due by then.

    study: a Study, or the path of a study file; where it has a feed ([watch] feed, or `feed`: events as a frame or
    files), rows are made of what had been delivered by then, through a store beside the study file. looks: file of the
    record of looks; beside the study file by default, in memory only where there is none. as_of: a day; by default that
    of the newest delivery, or the end of the panel. unplanned: why somebody wants to look now: a look of its own kind,
    with ranges that hold whenever one looks and no line to cross.

    Every planned look that is due and not in the record yet is taken as of the day on which it was due. A past day
    gives the same again, whenever it is asked. Raises `StudyError` for feeds that are refused, `EvalkitError` for a
    record of looks that was changed or goes with another agreement, or for a day by which no period is complete.
    """
    said, home = arguments_of(study)
    settings: Mapping[str, Any] = said["settings"].get("watch") or {}
    given = feed if feed is not None else settings.get("feed")
    file = Path(looks) if looks is not None else None if home is None else home / FILE
    if given is None:
        whole = study if isinstance(study, Study) else Study.load(study)
        calendar = whole.calendar
        last = due(calendar, str(calendar.values[-1]), settle_of(whole.settings))
        now = last if as_of is None else _position(calendar, as_of)
        return _watched(FromPanel(whole), now, _shown(calendar, now), file, unplanned)
    check_feed(said)
    stored = None if home is None or feed is not None else home / STORE
    with open_store(stored) as store:
        take_in(store, given, home if feed is None else None, Columns(said["unit"], said["cluster"]))
        source = FromFeed(store, said)
        day = as_of if as_of is not None else newest(store)
        now = _position(source.calendar, day)
        return _watched(source, now, source.day(now), file, unplanned)


def _position(calendar: Calendar, as_of: object) -> float:
    """as_of on the calendar's line; words, and moments of any kind, that are a day are one."""
    if isinstance(as_of, np.datetime64):
        as_of = pd.Timestamp(as_of)
    if isinstance(as_of, datetime):
        as_of = as_of.date()
    if isinstance(as_of, str):
        as_of = as_of.strip()
        with suppress(ValueError):
            as_of = date.fromisoformat(as_of)
    return position_of(calendar, as_of)


def _shown(calendar: Calendar, position: float) -> date | float:
    """A position for people: a day, or the number where numbers are no years."""
    dated = calendar.kind != "number" or 1800 <= calendar.start.min() <= calendar.start.max() <= 2200
    return date_at(calendar.kind, position) if dated else float(position)


def _watched(source: Known, now: float, shown: date | float, file: Path | None, unplanned: str | None) -> Watch:
    """The watch of a day, and the record with the looks that were due."""
    study = source.at(now)
    outcome = study.outcome((study.settings.get("watch") or {}).get("outcome"))  # type: ignore[attr-defined]
    study.values(outcome)
    kept = read_ledger(file)
    # What is asked of the feed of today comes first: looks ask what was known on other days.
    step("What is right about the feed")
    about = _about_the_feed(source, now, study) if isinstance(source, FromFeed) else None
    step("Looks that are due")
    ledger = _with_due_looks(_agreed(kept, source, study), source, now)
    if unplanned is not None:
        ledger = _with_unplanned_look(ledger, study, now, unplanned)
    if file is not None and ledger.lines != kept.lines:
        add_to(file, ledger, kept.lines)
    agreement = ledger.agreement
    assert agreement is not None
    visible = replace(ledger, lines=(ledger.lines[0], *(x for x in ledger.looks if x["at"] <= now + 1e-6)))
    positions = [due(source.calendar, look, agreement.settle) for look in agreement.looks]
    later = [look for look, at in zip(agreement.looks, positions, strict=True) if at > now + 1e-6]
    today = any(abs(x["at"] - now) < 1e-6 for x in visible.looks if x["planned"])
    alarms, delays = about or _about_the_panel(source, visible)
    return Watch(
        study, shown, agreement, visible, alarms,
        charts.charts_of(_publishable(charts.series_of(study, agreement.outcome), study), _budget(study)),
        delivery_of(study, now), delays, later[0] if later else "", today,
    )  # fmt: skip


def _publishable(series: charts.Series, study: Study) -> charts.Series:
    """A series without the periods of places in which it rests on too few people."""
    few = rules_of(study).small(series.people)
    return replace(series, value=np.where(few, np.nan, series.value), people=np.where(few, np.nan, series.people),
                   difference=np.where(few, np.nan, series.difference))  # fmt: skip


def _budget(study: Study) -> float:
    said: Mapping[str, Any] = study.settings.get("watch") or {}  # type: ignore[assignment]
    return float(said.get("budget", charts.BUDGET))


_FIXED = {"alpha": "alpha", "settle": "settle", "fewest": "fewest", "outcome": "outcome", "primary": "components"}
"""Keys of [watch], and what of the agreement they fix."""


def _agreed(ledger: Ledger, source: Known, study: Study) -> Ledger:
    """The ledger with its agreement: made now where there is none. Raises `EvalkitError` where what the study says
    now is not what was agreed."""
    now = agree(study, source.calendar)
    if ledger.agreement is None:
        return ledger.plus({"agreed": now.as_data()})
    said: Mapping[str, Any] = study.settings.get("watch") or {}  # type: ignore[assignment]
    fixed = [name for key, name in _FIXED.items() if key in said]
    fixed += ["looks"] if isinstance(said.get("looks"), (list, tuple)) or {"first", "last"} <= set(said) else []
    for name in fixed:
        before, after = getattr(ledger.agreement, name), getattr(now, name)
        if before != after:
            raise EvalkitError(
                f"The record of looks goes with another agreement: {name} was {_plain(before)} and is {_plain(after)} "
                "now. Write it back into [watch]: what a crossing means is fixed before the first look."
            )
    return ledger


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _with_due_looks(ledger: Ledger, source: Known, now: float) -> Ledger:
    """The ledger with every planned look that is due by now, each taken as of the day on which it was due."""
    agreement = ledger.agreement
    assert agreement is not None
    taken = sum(look["planned"] for look in ledger.looks)
    for number, through in enumerate(agreement.looks[taken:], taken + 1):
        at = due(source.calendar, through, agreement.settle)
        if at > now + 1e-6:
            break
        study = source.at(at)
        said = planned_look(ledger, see(study, agreement))
        ledger = ledger.plus(_body(number, through, at, study, agreement, said, True, ""))
    return ledger


def _with_unplanned_look(ledger: Ledger, study: Study, now: float, why: str) -> Ledger:
    if not isinstance(why, str) or not why.strip():
        raise OptionError("A look that nobody planned needs a reason, in words.")
    agreement = ledger.agreement
    assert agreement is not None
    if ledger.looks and ledger.looks[-1]["at"] > now:
        raise OptionError("Later looks are in the record already: a look into the past tells nobody anything.")
    said = unplanned_look(ledger, see(study, agreement))
    return ledger.plus(_body(0, str(study.paths.periods[-1]), now, study, agreement, said, False, why))


def _body(
    number: int, through: str, at: float, study: Study, agreement: Agreement, said: Mapping[str, Any], planned: bool,
    why: str,
) -> dict[str, Any]:  # fmt: skip
    known = str(_shown(study.calendar, at))
    return {"look": number, "through": through, "at": round(at, 6), "known": known, "planned": planned, "why": why,
            "data": data_hash(study, agreement.outcome), "components": said}  # fmt: skip


def _about_the_feed(source: FromFeed, now: float, study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Alarms and delays; the view of what is known must be that of `now`."""
    return alarms_of(source.feed(now, study)), events.delays(source.store)


def _about_the_panel(source: Known, ledger: Ledger) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of a panel the one alarm that what the last look rested on has changed since; and no delays."""
    rows: Sequence[tuple[object, ...]] = ()
    last = next((x for x in reversed(ledger.looks) if x["planned"]), None)
    assert ledger.agreement is not None
    if last is not None and data_hash(source.at(last["at"]), ledger.agreement.outcome) != last["data"]:
        what = f"what look {last['look']} rested on is not what it was"
        rows = [("backdated_edits", "the panel", what, -1, ALARMS["backdated_edits"])]
    empty = pd.DataFrame(columns=["provider", "events", "median", "most", "recent"])
    return pd.DataFrame(rows, columns=list(COLUMNS)), empty
