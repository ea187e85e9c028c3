"""Delivery against plan: when each place was to start, when it did, and why a date moved; as it was known on a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evalkit.study import Study
from evalkit.study.calendar import Calendar
from evalkit.study.component import Component, spells_of

COLUMNS = ("component", "place", "planned_start", "start", "late", "state", "moved", "decided", "note")
STEERED = (
    "Some places started {label} when they did because of their results. Places at their worst come back towards the "
    "average whatever is done, which flatters it: the verdict is at most likely."
)


def as_known(spells: pd.DataFrame, calendar: Calendar, position: float) -> pd.DataFrame:
    """The register on a day: moves decided later have not been made yet."""
    if not {"decided", "planned_start"} <= set(spells.columns):
        return spells
    decided = calendar.place(spells["decided"].to_numpy(dtype=object))
    later = (decided > position) & spells["planned_start"].notna().to_numpy()
    out = spells.copy()
    out["start"] = out["start"].astype(object).where(~later, out["planned_start"])
    for column in ("moved", "decided", "change_note"):
        if column in out:
            out[column] = out[column].astype(object).where(~later, None)
    return out


def delivery_of(study: Study, position: float) -> pd.DataFrame:
    """A row a component and place: planned and registered start, periods late, whether it is on, and why it moved."""
    frames = [_of_component(c, study.calendar, position) for c in study.components if c.by_spells]
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True)


def _of_component(component: Component, calendar: Calendar, position: float) -> pd.DataFrame:
    spells = as_known(spells_of(component), calendar, position)
    start = calendar.place(spells["start"].to_numpy(dtype=object))
    planned = spells.get("planned_start", pd.Series(None, spells.index, dtype=object))
    due = np.where(planned.notna(), calendar.place(planned.to_numpy(dtype=object)), start)
    length = float(np.median(calendar.stop - calendar.start))
    end = calendar.place(spells["end"].to_numpy(dtype=object)) if "end" in spells else np.full(len(spells), np.nan)
    state = np.select([end <= position, start <= position, due <= position], ["ended", "on", "late"], "to come")
    # A place that is late is late until today, whatever date it has now.
    late = np.round((np.where(state == "late", position, start) - due) / length, 1)
    words = {c: spells.get(c, pd.Series(None, spells.index, dtype=object)) for c in ("moved", "decided", "change_note")}
    return pd.DataFrame({
        "component": component.name, "place": spells["level_id"].astype(str), "planned_start": planned,
        "start": spells["start"], "late": late, "state": state, "moved": words["moved"], "decided": words["decided"],
        "note": words["change_note"],
    }).reset_index(drop=True)  # fmt: skip


def steered(delivery: pd.DataFrame, components: Sequence[str]) -> frozenset[str]:
    """Components with a start that was moved because of what was seen by then."""
    moved = delivery.loc[delivery["moved"] == "results", "component"]
    return frozenset(moved) & frozenset(components)


def starts_by_place(study: Study, places: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """component, place, start (a day), start_period: first registered starts, for the places of the feed; no day where
    none is registered. places: level -> its groups beside the places that lie in them; components of other levels are
    left out."""
    rows = []
    for c in (c for c in study.components if c.by_spells and study.level_of(c) in places):
        spells = spells_of(c)
        starts = pd.Series(study.calendar.place(spells["start"].to_numpy(dtype=object)), spells["level_id"].astype(str))
        first, pairs = starts.groupby(level=0).min(), places[study.level_of(c)]
        rows += [(c.name, place, first.get(group, np.nan)) for place, group in pairs.itertuples(index=False)]
    found = pd.DataFrame(rows, columns=["component", "place", "position"])
    position = found.pop("position").to_numpy(dtype=float)
    at = np.searchsorted(study.calendar.start, position + 1e-9, side="right") - 1
    names = np.array([*map(str, study.calendar.values), "~"])  # after every period
    beyond = ~(position < study.calendar.stop[-1])
    days = [pd.NaT if np.isnan(p) else day_of(study.calendar, p) for p in position]
    return found.assign(start=pd.to_datetime(days),
                        start_period=names[np.where(beyond, len(names) - 1, at)])  # fmt: skip


def day_of(calendar: Calendar, position: float) -> pd.Timestamp:
    """A position on a calendar's line as a day."""
    from evalkit.monitor.agreement import date_at

    return pd.Timestamp(date_at(calendar.kind, position))
