"""An event feed of a partnership: who was there, what was measured and what was given, as it occurred, was recorded and
was delivered; with faults that are put in on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, check_choice, is_number, spelt, suggest
from evalkit.folders import filled
from evalkit.synthetic.draws import Draws
from evalkit.synthetic.simulated import Simulated
from evalkit.synthetic.spec import PERSON, Spec
from evalkit.synthetic.write import study_file

ROSTER = "seen"
WATCHED = "watch.toml"
"""The study file of a feed, beside that of the panel."""
FAULTS = (
    "late_provider", "duplicate_file", "missing_place", "code_renamed", "units_changed", "exposure_before_start",
    "denominator_jump", "recorded_only_after_start", "dates_in_future", "two_places", "reach_changed",
    "backdated_edits",
)  # fmt: skip
_WHOLE = ("missing_place", "denominator_jump", "recorded_only_after_start")
"""Faults that show once their period is complete."""
_GIVEN = 0.4  # of the people and periods with a component in which somebody writes down that it was given
Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Events with the day of their delivery, and people."""


@dataclass(frozen=True)
class FeedKnobs:
    """What may be turned in a feed.

    delay: mean days from occurring to being recorded. fault: what goes wrong, one of `FAULTS`, or None. at: position of
    the period in which it does; by default two years after the launch. place: position of the place in which it does.
    """

    delay: float = 12.0
    fault: str | None = None
    at: int | None = None
    place: int = 2

    def __post_init__(self) -> None:
        if self.fault is not None:
            check_choice("fault", self.fault, FAULTS)
        if not is_number(self.delay) or not 0 <= self.delay <= 365:
            raise OptionError(f"delay={spelt(self.delay)} is not a choice. Use days, 0 to 365.")


@dataclass(frozen=True, eq=False)
class EventFeed:
    """events: rows as delivered, by `delivered`. people: their table before the fault; people_after: since then, where
    it changed. when: the first day of the period in which the fault comes. seen: a day on which a watch shows it; of a
    feed without one, a day on which all its periods are complete."""

    events: pd.DataFrame
    people: pd.DataFrame
    people_after: pd.DataFrame
    when: pd.Timestamp
    seen: pd.Timestamp


def event_feed(made: Simulated, **knobs: Any) -> EventFeed:
    """The feed of a partnership. knobs: fields of `FeedKnobs`; the same seed gives the same events.

    Raises `OptionError` for an unknown knob or fault, and for a partnership without places over time.
    """
    known = [f.name for f in fields(FeedKnobs)]
    for name in knobs:
        if name not in known:
            raise OptionError(f"There is no knob {name!r}. {suggest(name, known, 'A feed has')}")
    turned, spec = FeedKnobs(**knobs), made.spec
    if spec.clock.step not in ("month", "quarter"):
        raise OptionError(f"{spec.name} has no feed: a feed needs places and months or quarters.")
    usual = min(spec.clock.launch + (8 if spec.clock.step == "quarter" else 24), spec.clock.periods - 3)
    at = usual if turned.at is None else turned.at
    draws = Draws(made.seed, f"{made.name} feed")
    people = made.tables["people"]
    events = _delivered(_events(made, draws), turned.delay, draws)
    after = people
    world = _World(spec, made.tables, turned, _day(spec, at), draws)
    if turned.fault is not None:
        events, after = _INJECT[turned.fault](events, people, world)
        events = events.sort_values(["delivered", "event_id"], kind="stable", ignore_index=True)
    return EventFeed(events, people, after, world.when, _seen(world))


def _seen(world: _World) -> pd.Timestamp:
    """A day on which a watch shows the fault; without one, on which all periods are complete."""
    fault = world.knobs.fault
    if fault is not None and fault not in _WHOLE:
        return world.when + pd.offsets.MonthEnd(2)
    over = _day(world.spec, world.spec.clock.periods) if fault is None else world.ends
    return over + pd.Timedelta(days=31) + pd.offsets.MonthEnd(0)


@dataclass(frozen=True, eq=False)
class _World:
    """What a fault needs to know. when: the first day of the period in which it comes."""

    spec: Spec
    tables: Mapping[str, pd.DataFrame]
    knobs: FeedKnobs
    when: pd.Timestamp
    draws: Draws

    @property
    def site(self) -> str:
        return self.spec.places.site

    @property
    def places(self) -> list[str]:
        return self.tables["sites"][self.site].tolist()

    @property
    def place(self) -> str:
        return str(self.places[self.knobs.place])

    @property
    def ends(self) -> pd.Timestamp:
        """The day after the period of the fault."""
        return self.when + pd.DateOffset(months=3 if self.spec.clock.step == "quarter" else 1)

    def inside(self, events: pd.DataFrame) -> np.ndarray:
        """Events that occurred in the period of the fault."""
        return ((events["occurred"] >= self.when) & (events["occurred"] < self.ends)).to_numpy()

    @property
    def measured(self) -> str:
        """An outcome of the study with values of its own, else its first one."""
        own = [p for p in self.spec.processes if p.in_study]
        return next((p.name for p in own if p.kind == "level"), own[0].name)


def _day(spec: Spec, period: int) -> pd.Timestamp:
    months = 3 if spec.clock.step == "quarter" else 1
    frequency = "Q" if months == 3 else "M"
    return pd.Period(spec.clock.first, frequency).start_time + pd.DateOffset(months=months * period)


def _events(made: Simulated, draws: Draws) -> pd.DataFrame:
    """A row of the roster for everybody in every period; measurements; each thing that is counted; what was given."""
    spec, tables = made.spec, made.tables
    panel = tables["panel"].merge(tables["people"], on="person_id", suffixes=("", "_of_person"))
    clock = spec.clock.column
    parts = [panel.assign(code=ROSTER, value=1.0)]
    for p in (p for p in spec.processes if p.in_study):
        there = panel[panel[p.name].notna()]
        times = there[p.name].astype(int) if p.kind == "count" else pd.Series(1, there.index)
        value = 1.0 if p.kind == "count" else there[p.name].astype(float)
        parts.append(there.assign(code=p.name, value=value).loc[there.index.repeat(times)])
    parts += [_given(panel, tables["adoption"], part.name, part.level, part.reach, clock, draws)
              for part in spec.parts
              if part.level in panel and part.level != PERSON and not part.always_on]  # fmt: skip
    whole = pd.concat(parts, ignore_index=True)
    group = next(iter(spec.places.groups), spec.places.site)
    frequency = "Q" if spec.clock.step == "quarter" else "M"
    periods = pd.PeriodIndex(whole[clock], freq=frequency)
    length = (periods.end_time.normalize() - periods.start_time).days.to_numpy() + 1
    day = np.floor(draws.uniform("day", len(whole)) * length).astype(int)
    return pd.DataFrame({
        "person_id": whole["person_id"], spec.places.site: whole[spec.places.site], "provider": whole[group],
        "code": whole["code"], "value": whole["value"],
        "occurred": periods.start_time + pd.to_timedelta(day, unit="D"),
    })  # fmt: skip


def _given(
    panel: pd.DataFrame, adoption: pd.DataFrame, name: str, level: str, reach: str | None, clock: str, draws: Draws
) -> pd.DataFrame:
    """People and periods in which somebody wrote down that a component was given."""
    mine = adoption[adoption["component"] == name]
    start = panel[level].map(mine.groupby("level_id")["start"].min())
    on = start.notna() & (panel[clock] >= start.fillna("~"))
    reached = panel[reach] == 1 if reach else True
    rows = panel[on & reached]
    return rows[draws.uniform(f"given {name}", len(rows)) < _GIVEN].assign(code=name, value=1.0)


def _delivered(events: pd.DataFrame, delay: float, draws: Draws) -> pd.DataFrame:
    """When each event was recorded and, at the end of that month, delivered."""
    days = np.floor(-delay * np.log(draws.uniform("delay", len(events)))).astype(int)
    recorded = events["occurred"] + pd.to_timedelta(days, unit="D")
    out = events.assign(recorded=recorded, delivered=recorded + pd.offsets.MonthEnd(0))
    out = out.sort_values(["delivered", "recorded", "person_id", "code"], kind="stable", ignore_index=True)
    return out.assign(event_id=[f"e{i:08d}" for i in range(len(out))])


# ---------------------------------------------------------------- what may go wrong


def _late_provider(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    late = (events["provider"] == events["provider"].iloc[0]) & (events["delivered"] >= w.when)
    moved = events["delivered"].where(~late, np.maximum(events["delivered"], w.when + pd.offsets.MonthEnd(5)))
    return events.assign(delivered=moved), people


def _duplicate_file(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    day = w.when + pd.offsets.MonthEnd(1)
    again = events[events["delivered"] == day].assign(delivered=day + pd.Timedelta(days=1))
    return pd.concat([events, again], ignore_index=True), people


def _missing_place(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    return events[~(w.inside(events) & (events[w.site] == w.place).to_numpy())], people


def _code_renamed(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    new = (events["code"] == w.measured) & (events["delivered"] >= w.when)
    return events.assign(code=events["code"].where(~new, w.measured.upper() + "_V2")), people


def _units_changed(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    """HbA1c in mmol/mol instead of per cent, with one provider."""
    if not any(p.in_study and p.kind == "level" for p in w.spec.processes):
        raise OptionError(f"{w.spec.name} has no outcome that is measured in units.")
    mine = (events["code"] == w.measured) & (events["delivered"] >= w.when)
    mine &= events["provider"] == events["provider"].iloc[0]
    return events.assign(value=events["value"].where(~mine, (events["value"] - 2.15) * 10.929)), people


def _exposure_before_start(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    """A place is given something in the year before it starts it."""
    level = {p.name: p.level for p in w.spec.parts}
    adoption = w.tables["adoption"]
    mine = adoption[adoption["component"].map(level) == w.site].copy()
    frequency = "Q" if w.spec.clock.step == "quarter" else "M"
    mine["day"] = pd.PeriodIndex(mine["start"], freq=frequency).start_time
    later = mine[mine["day"] >= w.ends].sort_values(["day", "component"], kind="stable")
    if not len(later):
        raise OptionError("exposure_before_start needs a place that starts later. Put the fault earlier: at=...")
    row = later.iloc[0]
    rows = events[w.inside(events) & (events[w.site] == row["level_id"]).to_numpy() & (events["code"] == ROSTER)].head(
        25
    )
    early = rows.assign(code=row["component"], event_id=[f"x{i:08d}" for i in range(len(rows))])
    return pd.concat([events, early], ignore_index=True), people


def _denominator_jump(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    """A place drops half of its people."""
    mine = (events[w.site] == w.place).to_numpy() & (events["occurred"] >= w.when).to_numpy()
    dropped = mine & (events["person_id"] % 2 == 0).to_numpy()
    return events[~dropped], people


def _recorded_only_after_start(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    """One place wrote nothing down before it started its first component, which it does in the period of the fault."""
    adoption = w.tables["adoption"]
    level = {p.name: p.level for p in w.spec.parts}
    mine = adoption[adoption["component"].map(level) == w.site]
    frequency = "Q" if w.spec.clock.step == "quarter" else "M"
    first = (
        pd.Series(pd.PeriodIndex(mine["start"], freq=frequency).start_time, mine.index).groupby(mine["level_id"]).min()
    )
    place = (first - w.when).abs().sort_values(kind="stable").index[0]
    gone = (events[w.site] == place) & (events["code"] == w.measured) & (events["occurred"] < first[place])
    return events[~gone], people


def _dates_in_future(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    rows = np.flatnonzero(w.inside(events) & (events["code"] != ROSTER).to_numpy())[:30]
    occurred = events["occurred"].copy()
    occurred.iloc[rows] += pd.DateOffset(years=1)
    return events.assign(occurred=occurred), people


def _two_places(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    rows = events[w.inside(events) & (events["code"] == ROSTER) & (events[w.site] == w.place)].head(15)
    other = next(p for p in w.places if p != w.place)
    twice = rows.assign(**{w.site: other, "event_id": [f"x{i:08d}" for i in range(len(rows))]})
    return pd.concat([events, twice], ignore_index=True), people


def _reach_changed(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    reach = next((p.reach for p in w.spec.parts if p.reach), None)
    if reach is None:
        raise OptionError(f"{w.spec.name} has no component that reaches some people only.")
    flipped = people["person_id"] % 10 == 0
    return events, people.assign(**{reach: people[reach].where(~flipped, 1 - people[reach])})


def _backdated_edits(events: pd.DataFrame, people: pd.DataFrame, w: _World) -> Tables:
    """Old values of one place made better, in a delivery that says that they were recorded then."""
    old = (
        (events[w.site] == w.place)
        & (events["code"] == w.measured)
        & (events["occurred"] < w.when - pd.Timedelta(days=400))
    )
    rows = events[old].tail(40)
    better = rows.assign(value=rows["value"] * 0.9, delivered=w.when + pd.offsets.MonthEnd(1))
    return pd.concat([events, better], ignore_index=True), people


_INJECT: dict[str, Callable[[pd.DataFrame, pd.DataFrame, _World], Tables]] = {
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


def write_deliveries(feed: EventFeed, folder: Path, until: pd.Timestamp | None = None) -> list[Path]:
    """Write the feed's deliveries into a folder, a Parquet file for each day: events-2017-05-31.parquet."""
    written = []
    with filled(folder):
        for day, rows in feed.events.groupby("delivered", sort=True):
            if until is None or day <= until:
                written.append(folder / f"events-{day:%Y-%m-%d}.parquet")
                plain = rows.drop(columns="delivered")
                plain.to_parquet(written[-1], index=False, compression="zstd")
    return written


def write_feed(feed: EventFeed, made: Simulated, folder: Path) -> Path:
    """Write a feed into a partnership's folder: deliveries, people as they were before a fault and after, and a study
    file whose rows are made of the feed; returns that file."""
    write_deliveries(feed, folder / "feed")
    files = {n: f"{n}.csv" for n in made.tables}
    text = study_file(made.study, files | {"panel": "feed"}).replace('panel = "feed"\n', "")
    first = next(o for o in made.study.outcomes)
    watch = f'\n[watch]\nfeed = "feed/*.parquet"\nperiod = "{made.spec.clock.step}"\noutcome = "{first.column}"\n'
    with filled(folder):
        if feed.people_after is not feed.people:
            feed.people_after.to_csv(folder / "people_after.csv", index=False, lineterminator="\n")
        (folder / WATCHED).write_text(text + watch, encoding="utf-8", newline="\n")
    return folder / WATCHED
