"""A study under other readings of its dates: part-way periods, dates that are guesses, starts between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.progress import step
from evalkit.study import Study
from evalkit.study.component import Component, bounded, spells_of, unsure
from evalkit.study.paths import UNKNOWN

READINGS = {
    "half": "part-way periods read as whole from one half on",
    "full": "part-way periods read as off until the first full one",
    "early": "uncertain dates read early",
    "late": "uncertain dates read late",
}
EACH = 5
"""Most places with bounds of which each is read early and late by itself."""


@dataclass(frozen=True, eq=False)
class StartReadings:
    """Starts between two moments read otherwise. studies: by words. recorded: as recorded, taken as sure. places:
    component -> places whose start has bounds."""

    studies: Mapping[str, Study]
    recorded: Study
    places: Mapping[str, int]


def readings_of(study: Study) -> dict[str, Study]:
    """The study under the other readings of part-way periods and of guessed dates, by words; empty where all are sure.
    Starts between two moments are `start_readings`."""
    plain = _as_recorded(study)
    return {READINGS[r]: _with(study, **how) for r, how in _part_way(plain).items()}


def start_readings(study: Study) -> StartReadings | None:
    """The study under other readings of starts between two moments; None where there are none."""
    places = _places(study)
    if not places:
        return None
    step("Reading start dates within their bounds")
    starts = {f"with every start read {when}": _with(study, dates=when) for when in ("early", "late")}
    for c in study.components:
        if 0 < places.get(c.name, 0) <= EACH and sum(places.values()) > 1:
            starts |= _each_alone(study, c)
    return StartReadings(starts, _as_recorded(study), places)


def _places(study: Study) -> dict[str, int]:
    found = {c.name: int(spells_of(c).loc[_bounds(c), "level_id"].nunique()) for c in study.components if c.by_spells}
    return {name: n for name, n in found.items() if n}


def _as_recorded(study: Study) -> Study:
    return study.with_components([_recorded(c) for c in study.components]) if _places(study) else study


def _part_way(study: Study) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    state = study.paths.state
    if ((state < 0) & (state != UNKNOWN)).any():
        found |= {r: {"part_period": r} for r in ("half", "full")}
    if any(c.by_spells and unsure(spells_of(c)).any() for c in study.components):
        found |= {r: {"dates": r} for r in ("early", "late")}
    return found


def _with(study: Study, **how: str) -> Study:
    return study.with_components([replace(c, **how) for c in study.components])  # type: ignore[arg-type]


def _each_alone(study: Study, component: Component) -> dict[str, Study]:
    """Each place with bounds read early, and late, the others as they are."""
    table, found = spells_of(component), dict[str, Study]()
    for row in np.flatnonzero(_bounds(component)).tolist():
        place = table["level_id"].iloc[row]
        for when, bound in (("early", "start_low"), ("late", "start_high")):
            moment = table[bound].iloc[row] if bound in table else None
            if moment is None or pd.isna(moment):
                continue
            spells = table.astype({c: object for c in ("start", "start_low", "start_high") if c in table})
            spells.iloc[row, spells.columns.get_loc("start")] = moment
            own = replace(component, adoption=_without(spells, row))
            others = [own if c.name == component.name else c for c in study.components]
            found[f"with {place} read {when}"] = study.with_components(others)
    return found


def _recorded(component: Component) -> Component:
    if not component.by_spells:
        return component
    bounds = [c for c in ("start_low", "start_high") if c in spells_of(component)]
    return replace(component, adoption=spells_of(component).drop(columns=bounds)) if bounds else component


def _without(spells: pd.DataFrame, row: int) -> pd.DataFrame:
    """Spells without the bounds of one row."""
    out = spells.copy()
    for name in ("start_low", "start_high"):
        if name in out:
            out.iloc[row, out.columns.get_loc(name)] = None
    return out


def _bounds(component: Component) -> np.ndarray:
    """(r,) spells whose earliest and latest start differ from the recorded one."""
    table = spells_of(component)
    given = bounded(table)
    start = table["start"].astype(str)
    apart = [table[c].notna() & (table[c].astype(str) != start) for c in ("start_low", "start_high") if c in table]
    return np.asarray(given & np.logical_or.reduce(apart)) if apart else given
