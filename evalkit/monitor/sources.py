"""What was known on a day: a study cut to its complete periods, or one made of what a feed had delivered by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, spelt
from evalkit.monitor import events
from evalkit.monitor.agreement import SETTLE, beyond, complete, date_at
from evalkit.monitor.alarms import Feed
from evalkit.monitor.delivery import as_known, starts_by_place
from evalkit.monitor.store import keep_register, kept_if_whole, registers
from evalkit.study import Component, Study
from evalkit.study.calendar import Calendar, make_calendar
from evalkit.study.component import spells_of
from evalkit.study.file import read_study
from evalkit.study.register import Register

if TYPE_CHECKING:
    import duckdb

NOTHING_YET = "No period is complete by {as_of}: none that ended {settle} days before. Name a later day."

_USUAL = "study.toml"
_OTHERS = ("day", "date", "week", "fortnight")
"""Names of periods that a feed's rows are not of."""
NO_EVENT = "The feed holds no event that had occurred when it was recorded. Deliver some, or mend their days."


class Known(Protocol):
    """Where studies of past days come from."""

    @property
    def calendar(self) -> Calendar:
        """The periods that there are now."""

    def at(self, position: float) -> Study:
        """The study as it was known at a position on the calendar's line."""

    def lacks(self, look: str) -> bool:
        """Whether a look has to wait for its last period."""


def settle_of(settings: Mapping[str, object]) -> int:
    """Days until a period is complete."""
    said: dict[str, Any] = dict(settings.get("watch") or {})  # type: ignore[call-overload]
    return int(said.get("settle", SETTLE))


@dataclass(frozen=True, eq=False)
class FromPanel:
    """A study in memory: what is not complete by then is cut off."""

    whole: Study

    @property
    def calendar(self) -> Calendar:
        return self.whole.calendar

    def lacks(self, look: str) -> bool:
        """A panel may be behind its day, and nobody could say later what was known then."""
        return beyond(self.calendar, look)

    def at(self, position: float) -> Study:
        settle = settle_of(self.whole.settings)
        keep = complete(self.calendar, position, settle)
        if not keep.any():
            raise EvalkitError(NOTHING_YET.format(as_of=_said(self.calendar, position), settle=settle))
        study = self.whole.subset(periods=keep)
        changed = [_known_component(c, self.calendar, position) for c in self.whole.components]
        if all(a is b for a, b in zip(changed, self.whole.components, strict=True)):
            return study
        return self.whole.with_components(changed).subset(periods=keep)


def _known_component(component: Component, calendar: Calendar, position: float) -> Component:
    """A component with the dates that were known on a day."""
    if not component.by_spells:
        return component
    spells = spells_of(component)
    known = as_known(spells, calendar, position)
    return component if known is spells or known.equals(spells) else replace(component, adoption=known)


def _said(calendar: Calendar, position: float) -> str:
    return f"{position:g}" if calendar.kind == "number" else date_at(calendar.kind, position).isoformat()


@dataclass(frozen=True, eq=False)
class FromFeed:
    """A feed in its store. said: arguments of a Study but for its panel. name: of the study's file."""

    store: duckdb.DuckDBPyConnection
    said: Mapping[str, Any]
    name: str = ""
    made: dict[date, Study] = field(default_factory=dict)

    @property
    def reading(self) -> events.Reading:
        """How events become rows."""
        said = self.said
        watch: dict[str, Any] = dict(said["settings"].get("watch") or {})
        period = said["period"]
        every = watch.get("period") or (period if period in events.PERIODS else "month")
        people = said.get("people")
        columns = [] if people is None else list(people.columns)
        exposures = [c.exposure for c in said["components"] if c.exposure and c.exposure not in columns]
        outcomes = tuple(said["outcomes"])
        per = [o.per for o in outcomes if o.per and o.per not in columns]
        return events.Reading(said["unit"], said["cluster"], period, every, watch.get("roster", "seen"), outcomes,
                              tuple(dict.fromkeys(exposures)), tuple(dict.fromkeys(per)))  # fmt: skip

    @cached_property
    def calendar(self) -> Calendar:
        """The periods in which anything has occurred, but for days that are still to come."""
        periods = events.calendar_of(self.store, self.reading)
        if not periods:
            raise EvalkitError(NO_EVENT)
        return make_calendar(np.array(periods, dtype=object))

    def day(self, position: float) -> date:
        """The day of a position on the calendar's line."""
        return date_at(self.calendar.kind, position)

    def last(self, position: float) -> str:
        """The last complete period. Raises `EvalkitError` where there is none."""
        settle = settle_of(self.said["settings"])
        done = np.flatnonzero(complete(self.calendar, position, settle))
        if not len(done):
            raise EvalkitError(NOTHING_YET.format(as_of=self.day(position), settle=settle))
        return str(self.calendar.values[done[-1]])

    def lacks(self, look: str) -> bool:
        """What had been delivered by the day of a look stays what it is: none has to wait."""
        return False

    def at(self, position: float) -> Study:
        as_of = self.day(position)
        if as_of not in self.made:
            events.known(self.store, as_of, self.reading)
            panel = events.panel_of(self.store, self.reading, self.last(position))
            if not len(panel):
                settle = settle_of(self.said["settings"])
                raise EvalkitError(NOTHING_YET.format(as_of=as_of, settle=settle))
            with kept_if_whole(self.store):  # a register that is refused was never known
                self.made[as_of] = self._study(panel, as_of, position)
        return self.made[as_of]

    def _study(self, panel: pd.DataFrame, as_of: date, position: float) -> Study:
        said, place = dict(self.said), self.reading.place
        people = said["people"]
        if people is not None:
            people = keep_register(self.store, self._register("people"), people, as_of)
            one_place = panel.groupby(self.reading.unit)[place].nunique().max() == 1
            panel = panel.drop(columns=place) if place in people.columns and one_place else panel
            people = people.drop(columns=place) if place in panel.columns and place in people.columns else people
        components = [self._known(c, panel, people, as_of, position) for c in said["components"]]
        return Study(**{**said, "panel": panel, "people": people, "components": components, "money": None})

    def _known(
        self, c: Component, panel: pd.DataFrame, people: pd.DataFrame | None, as_of: date, position: float
    ) -> Component:
        """A component with the register of that day, and of it the places that have sent something by then."""
        if not c.by_spells:
            return c
        spells = keep_register(self.store, self._register(f"adoption of {c.name}"), spells_of(c), as_of)
        spells = as_known(spells, self.calendar, position)
        level = c.assigned_at or self.said["cluster"]
        if level not in self.said["levels"]:
            there = panel.get(level)
            if there is None and people is not None and level in people:
                there = people.loc[people[self.reading.unit].isin(panel[self.reading.unit].unique()), level]
            if there is not None:
                spells = spells[spells["level_id"].astype(str).isin(there.dropna().astype(str).unique())]
        return replace(c, adoption=spells.reset_index(drop=True))

    def feed(self, position: float, study: Study) -> Feed:
        """What the alarms of a day are asked about; the view of what was known must be of that day."""
        as_of, reading = self.day(position), self.reading
        events.keep_known(self.store)
        known = {o.column for o in self.said["outcomes"]} | {c.name for c in self.said["components"]} | {reading.roster}
        known |= {*reading.exposures, *reading.per}
        known |= set((self.said["settings"].get("watch") or {}).get("codes", ()))
        since = (pd.Timestamp(as_of) - pd.Timedelta(days=35)).date()
        starts = starts_by_place(study, self._groups(as_of))
        return Feed(
            self.store, reading, as_of, since, self.last(position), starts, frozenset(known), self._reach(as_of, since)
        )

    def _register(self, of: str) -> str:
        """A register's name in the store, where studies that lie in one folder have one each."""
        return of if self.name in ("", _USUAL) else f"{self.name}: {of}"

    def _groups(self, as_of: date) -> dict[str, pd.DataFrame]:
        """Level -> place and group of it, for the places themselves and for levels that people lie in."""
        place = self.reading.place
        listed = self.store.execute("SELECT DISTINCT place FROM known ORDER BY place").df()["place"].astype(str)
        found = {place: pd.DataFrame({"place": listed, "group": listed})}
        people = self.said["people"]
        if people is not None:
            people = registers(self.store, self._register("people"), as_of)[-1]
        for level in {c.assigned_at for c in self.said["components"] if c.assigned_at} - {place}:
            if people is not None and {level, place} <= set(people.columns):
                pairs = people[[place, level]].dropna().astype(str).drop_duplicates()
                found[level] = pairs.set_axis(["place", "group"], axis="columns").reset_index(drop=True)
        return found

    def _reach(self, as_of: date, since: date) -> dict[str, int]:
        """Column -> people whose reach is another than it was before."""
        if self.said["people"] is None:
            return {}
        unit = self.reading.unit
        now, before = (registers(self.store, self._register("people"), day)[-1] for day in (as_of, since))
        columns = {c.reach for c in self.said["components"] if c.reach} & set(now.columns) & set(before.columns)
        both = before.merge(now, on=unit, suffixes=("_before", "_now"))
        return {c: int((_plain(both[f"{c}_before"]) != _plain(both[f"{c}_now"])).sum()) for c in sorted(columns)}


def _plain(column: pd.Series) -> pd.Series:
    """Values as text, numbers however they are written: 1 and 1.0 are the same."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    return numbers.astype(str).where(numbers.notna(), column.astype(str))


def arguments_of(study: Study | str | Path) -> tuple[dict[str, Any], Path | None]:
    """Arguments of a Study but for its panel, and its file."""
    if isinstance(study, Study):
        file = Path(study.inputs[0]).resolve() if study.inputs else None
        return {f.name: getattr(study, f.name) for f in fields(Register)}, file
    if not isinstance(study, (str, Path)):
        raise OptionError(f"{type(study).__name__} is no study. Give an ek.Study, or the path of a study file.")
    path = Path(study)
    said = read_study(path, pd.DataFrame())
    return {**_NONE, **{k: v for k, v in said.fields.items() if k != "panel"}}, said.files[0].resolve()


_NONE: dict[str, Any] = {"people": None, "cluster": None, "levels": {}, "settings": {}}


def check_feed(said: Mapping[str, Any]) -> None:
    """Raise `OptionError` where a study cannot be made of a feed."""
    if str(said["period"]).lower() in _OTHERS and not (said["settings"].get("watch") or {}).get("period"):
        raise OptionError(
            f"period = {spelt(said['period'])}, and a feed becomes rows of months, quarters or years. Say which in "
            "[watch]: period = 'month'."
        )
    if not said.get("cluster"):
        raise OptionError("A feed says where events occurred. Name the column of places: cluster = 'borough'.")
