"""Watch a delivery: is the feed right, is it on plan, has anything crossed the line that was agreed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.disclosure.rules import rules_of
from evalkit.errors import EvalkitError, OptionError, spelt
from evalkit.monitor import charts, events
from evalkit.monitor.agreement import Agreement, agree, date_at, dated, due, position_of
from evalkit.monitor.alarms import ALARMS, COLUMNS, alarms_of
from evalkit.monitor.delivery import delivery_of
from evalkit.monitor.feed import Columns, take_in
from evalkit.monitor.ledger import FILE, Ledger, add_to, read_ledger
from evalkit.monitor.looks import data_hash, planned_look, see, unplanned_look
from evalkit.monitor.page import Watch
from evalkit.monitor.sources import FromFeed, FromPanel, Known, arguments_of, check_feed, settle_of
from evalkit.monitor.store import STORE, newest, open_store
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
    if looks is not None and not isinstance(looks, (str, Path)):
        raise OptionError(f"looks={spelt(looks)} is no file. Give the path of the record of looks.")
    said, whose = arguments_of(study)
    if said["period"] is None:
        raise OptionError("A study of one time has nothing to watch. Give it a period.")
    home = None if whose is None else whose.parent
    settings: Mapping[str, Any] = said["settings"].get("watch") or {}
    given = feed if feed is not None else settings.get("feed")
    record = _Record.of(looks, whose)
    if given is None:
        whole = study if isinstance(study, Study) else Study.load(study)
        calendar = whole.calendar
        last = due(calendar, str(calendar.values[-1]), settle_of(whole.settings))
        now = last if as_of is None else _position(calendar, as_of)
        return _watched(FromPanel(whole), now, _shown(calendar, now), record, unplanned)
    check_feed(said)
    stored = None if home is None or feed is not None else home / STORE
    with open_store(stored) as store:
        take_in(store, given, home if feed is None else None, Columns(said["unit"], said["cluster"]))
        source = FromFeed(store, said, "" if whose is None else whose.name)
        day = as_of if as_of is not None else newest(store)
        now = _position(source.calendar, day)
        return _watched(source, now, source.day(now), record, unplanned)


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
    return date_at(calendar.kind, position) if dated(calendar) else float(position)


@dataclass(frozen=True)
class _Record:
    """Where the record of looks is kept, None for nowhere; whose it must be where nobody named it."""

    file: Path | None
    name: str
    given: bool

    @classmethod
    def of(cls, looks: str | Path | None, study: Path | None) -> _Record:
        name = "" if study is None else study.name
        return cls(Path(looks) if looks is not None else study and study.parent / FILE, name, looks is not None)

    def read(self) -> Ledger:
        """What is in it. Raises `EvalkitError` where another study of the folder has begun it."""
        kept = read_ledger(self.file)
        if not self.given and kept.of and kept.of != self.name:
            raise EvalkitError(
                f"The record of looks {str(self.file)!r} is that of another study, {kept.of}. Name a file of its own "
                "for this one (`looks=`, --looks), or put it into a folder of its own."
            )
        return kept


def _watched(source: Known, now: float, shown: date | float, record: _Record, unplanned: str | None) -> Watch:
    """The watch of a day, and the record with the looks that were due."""
    study = source.at(now)
    outcome = study.outcome((study.settings.get("watch") or {}).get("outcome"))  # type: ignore[attr-defined]
    study.values(outcome)
    kept = record.read()
    # What is asked of the feed of today comes first: looks ask what was known on other days.
    step("What is right about the feed")
    about = _about_the_feed(source, now, study) if isinstance(source, FromFeed) else _NO_FEED
    step("Looks that are due")
    ledger = _with_due_looks(_agreed(kept, source, study, record.name), source, now)
    if unplanned is not None:
        ledger = _with_unplanned_look(ledger, study, now, unplanned)
    if record.file is not None and ledger.lines != kept.lines:
        add_to(record.file, ledger, kept.lines)
    agreement = ledger.agreement
    assert agreement is not None
    visible = replace(ledger, lines=(ledger.lines[0], *(x for x in ledger.looks if x["at"] <= now + 1e-6)))
    late, to_come = _not_taken(ledger, source, now)
    today = any(abs(x["at"] - now) < 1e-6 for x in visible.looks if x["planned"])
    alarms, delays = about
    more = [*_changed_behind(source, visible), *_behind(source, late)]
    found = pd.DataFrame([*alarms.itertuples(index=False, name=None), *more], columns=list(COLUMNS))
    return Watch(
        study, shown, agreement, visible, found if more else alarms,
        charts.charts_of(_publishable(charts.series_of(study, agreement.outcome), study), _budget(study)),
        delivery_of(study, now), delays, next(iter([*late, *to_come]), ""), today,
    )  # fmt: skip


def _not_taken(ledger: Ledger, source: Known, now: float) -> tuple[list[str], list[str]]:
    """Looks that are due and wait for their last period, and looks that are not due yet."""
    agreement = ledger.agreement
    assert agreement is not None
    to_come = [x for x in agreement.looks if due(source.calendar, x, agreement.settle) > now + 1e-6]
    taken = sum(look["planned"] for look in ledger.looks)
    return [x for x in agreement.looks[taken:] if x not in to_come and source.lacks(x)], to_come


def _publishable(series: charts.Series, study: Study) -> charts.Series:
    """A series without the periods of places in which it rests on too few people."""
    rules = rules_of(study)
    few = rules.small(series.people)
    people = np.round(series.people / rules.round_to) * rules.round_to if rules.round_to else series.people
    return replace(series, value=np.where(few, np.nan, series.value), people=np.where(few, np.nan, people),
                   difference=np.where(few, np.nan, series.difference))  # fmt: skip


def _budget(study: Study) -> float:
    said: Mapping[str, Any] = study.settings.get("watch") or {}  # type: ignore[assignment]
    return float(said.get("budget", charts.BUDGET))


_FIXED = {"alpha": "alpha", "settle": "settle", "fewest": "fewest", "outcome": "outcome", "primary": "components",
          "looks": "looks", "first": "looks", "last": "looks"}  # fmt: skip
"""Keys of [watch], and what of the agreement they fix."""


def _agreed(ledger: Ledger, source: Known, study: Study, name: str) -> Ledger:
    """The ledger with its agreement: made now where there is none. Raises `EvalkitError` where what the study says
    now is not what was agreed. name: of the study's file."""
    agreed = ledger.agreement
    if agreed is None:
        return ledger.plus({"agreed": agree(study, source.calendar).as_data()} | ({"study": name} if name else {}))
    said: Mapping[str, Any] = study.settings.get("watch") or {}  # type: ignore[assignment]
    _check_names(agreed, study)
    now = agree(study, source.calendar, agreed.looks)
    fixed = [name for key, name in _FIXED.items() if key in said]
    for name in fixed:
        before, after = getattr(agreed, name), getattr(now, name)
        if before != after:
            raise EvalkitError(
                f"The record of looks goes with another agreement: {name} was {_plain(before)} and is {_plain(after)} "
                "now. Write it back into [watch]: what a crossing means is fixed before the first look."
            )
    return ledger


def _check_names(agreed: Agreement, study: Study) -> None:
    """Raise `EvalkitError` where a component or the outcome of the agreement is none of the study any more."""
    gone = [c for c in agreed.components if c not in {own.name for own in study.components}]
    gone += [agreed.outcome] if agreed.outcome not in {o.column for o in study.outcomes} else []
    if gone:
        raise EvalkitError(
            f"The record of looks is about {', '.join(map(spelt, gone))}, and this study has nothing of that name. "
            "Write it back: what a crossing means is fixed before the first look. Another study has a record of its "
            "own (`looks=`, --looks)."
        )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _with_due_looks(ledger: Ledger, source: Known, now: float) -> Ledger:
    """The ledger with every planned look that is due by now, each taken as of the day on which it was due."""
    agreement = ledger.agreement
    assert agreement is not None
    taken = sum(look["planned"] for look in ledger.looks)
    for number, through in enumerate(agreement.looks[taken:], taken + 1):
        at = due(source.calendar, through, agreement.settle)
        if at > now + 1e-6 or source.lacks(through):
            break
        study = source.at(at)
        said = planned_look(ledger, see(study, agreement))
        ledger = ledger.plus(_body(number, through, at, study, agreement, said, True, ""))
    return ledger


def _with_unplanned_look(ledger: Ledger, study: Study, now: float, why: str) -> Ledger:
    if not isinstance(why, str) or not why.encode(errors="ignore").decode().strip():
        raise OptionError("A look that nobody planned needs a reason, in words.")
    agreement = ledger.agreement
    assert agreement is not None
    if ledger.looks and ledger.looks[-1]["at"] > now + 1e-6:
        raise OptionError("Later looks are in the record already: a look into the past tells nobody anything.")
    said = unplanned_look(ledger, see(study, agreement))
    return ledger.plus(_body(0, str(study.paths.periods[-1]), now, study, agreement, said, False, why))


def _body(
    number: int, through: str, at: float, study: Study, agreement: Agreement, said: Mapping[str, Any], planned: bool,
    why: str,
) -> dict[str, Any]:  # fmt: skip
    known = str(_shown(study.calendar, at))
    why = why.encode(errors="replace").decode()  # a command line may hold bytes that are no text
    return {"look": number, "through": through, "at": round(at, 6), "known": known, "planned": planned, "why": why,
            "data": data_hash(study, agreement.outcome), "components": said}  # fmt: skip


def _about_the_feed(source: FromFeed, now: float, study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Alarms and delays; the view of what is known must be that of `now`."""
    return alarms_of(source.feed(now, study)), events.delays(source.store)


_NO_FEED = tuple(
    pd.DataFrame(columns=list(names)) for names in (COLUMNS, ("provider", "events", "median", "most", "recent"))
)


def _behind(source: Known, late: Sequence[str]) -> Sequence[tuple[object, ...]]:
    """The alarm that a look is due and the panel ends before it; nothing where it does not."""
    what = f"it ends with {source.calendar.values[-1]}, and the look through {next(iter(late), '')} is due"
    return [("late_provider", "the panel", what, -1, ALARMS["late_provider"])] if late else []


def _changed_behind(source: Known, ledger: Ledger) -> Sequence[tuple[object, ...]]:
    """The alarm that what the last look rested on has changed since; nothing where it has not."""
    last = next((x for x in reversed(ledger.looks) if x["planned"]), None)
    assert ledger.agreement is not None
    if last is not None and data_hash(source.at(last["at"]), ledger.agreement.outcome) != last["data"]:
        where = "the feed" if isinstance(source, FromFeed) else "the panel"
        what = f"what look {last['look']} rested on is not what it was"
        return [("backdated_edits", where, what, -1, ALARMS["backdated_edits"])]
    return []
