"""What was delivered against what was planned, and what was recorded against what should have been: counts alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.disclosure.publish import Guard
from evalkit.evaluation.over_time import groups_of
from evalkit.show.words import Count
from evalkit.study import Component, Study
from evalkit.study.component import spells_of

DELIVERY = ("component", "places", "planned", "on_plan", "earlier", "later", "delay", "planned_share", "actual_share")
"""places: that ever had it. planned: of how many starts the register says when they were planned; on_plan, earlier,
later: how many of those began then, before or after; delay: mean periods late of them. planned_share, actual_share:
of the people and periods from the first planned start on, how many were to have it, and had it."""
RECORDED = ("outcome", "side", "rows", "missing", "people", "last")
"""side: those who ever had any component, or never. rows: of the panel; missing: of which without this outcome.
people: in any row; last: of whom with this outcome in the last period."""


def delivery(study: Study) -> pd.DataFrame:
    """A row a component that was not on all along (DELIVERY); NaN where the register does not say what was planned."""
    rows = [_delivered(study, c) for c in study.components if not c.always_on]
    return pd.DataFrame(rows, columns=list(DELIVERY))


def _delivered(study: Study, component: Component) -> tuple[object, ...]:
    paths, k = study.paths, study.paths.index(component.name)
    on = (paths.state[:, :, k] > 0)[paths.path]
    places = paths.levels[paths.assigned_at[component.name]].codes[on.any(axis=1)]
    counts = (component.name, float(len(np.unique(places))))
    nothing = (0.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan)
    spells = spells_of(component) if component.by_spells else pd.DataFrame()
    spells = spells[spells["planned_start"].notna()] if "planned_start" in spells else spells.iloc[:0]
    if spells.empty:
        return (*counts, *nothing)
    calendar = study.calendar
    start, due = (calendar.place(spells[c].to_numpy(dtype=object)) for c in ("start", "planned_start"))
    late = (start - due) / float(np.median(calendar.stop - calendar.start))
    late = late[np.isfinite(late)]  # the plan is words: what is no date of the calendar is no plan here
    if not len(late):
        return (*counts, *nothing)
    with_plan = dict(zip(spells["level_id"].astype(str), due, strict=True))
    return (*counts, float(len(late)), float((late == 0).sum()), float((late < 0).sum()), float((late > 0).sum()),
            float(late.mean()), *_shares(study, component, with_plan, on))  # fmt: skip


def _shares(study: Study, component: Component, due: dict[str, float], on: np.ndarray) -> tuple[float, float]:
    """Shares of people and periods, of places with a plan from the first planned start on, that were to have it and
    had it; NaN where the plan names places that no person lies in alone (levels reached by links)."""
    paths = study.paths
    level = paths.levels.get(paths.assigned_at[component.name])
    names = [] if level is None else [str(n) for n in level.names]
    if level is None or component.assigned_at in study.levels or not set(due) & set(names):
        return np.nan, np.nan
    reach = paths.reach[paths.path, paths.index(component.name)]
    first = np.array([due.get(n, np.inf) for n in names])[level.codes]
    seen = np.ones(on.shape, dtype=bool) if paths.seen is None else paths.seen
    inside = seen & (reach & np.isfinite(first))[:, None] & (study.calendar.stop > min(due.values()))
    inside = inside * paths.people[:, None]
    whole = float(inside.sum())
    planned = first[:, None] <= study.calendar.start
    return (float(inside[planned].sum() / whole), float(inside[on].sum() / whole)) if whole else (np.nan, np.nan)


def recorded(study: Study) -> pd.DataFrame:
    """Two rows an outcome (RECORDED): how many rows lack it, and how many people are left in the last period."""
    paths = study.paths
    ever = np.zeros(paths.n_units, dtype=bool)
    for c in study.components:
        if not c.always_on:
            ever |= groups_of(paths, c.name)[0]
    seen = np.ones((paths.n_units, paths.n_periods), dtype=bool) if paths.seen is None else paths.seen
    rows, people = [], paths.people
    for outcome in study.outcomes:
        there = np.isfinite(study.values(outcome))
        for side, mine in (("ever had a part", ever), ("never had one", ~ever)):
            if mine.any():
                per_row = np.column_stack(
                    [seen.sum(axis=1), (seen & ~there).sum(axis=1), seen.any(axis=1), there[:, -1]]
                )
                rows.append((outcome.column, side, *map(float, people[mine] @ per_row[mine])))
    return pd.DataFrame(rows, columns=list(RECORDED))


def publishable_delivery(guard: Guard, table: pd.DataFrame) -> pd.DataFrame:
    """Delivery without components decided person by person, whose places are people, and shares to the hundredth."""
    if not guard.rules.active or table.empty:
        return table
    lone = table["component"].isin(guard.lone)
    out = table.copy()
    out.loc[lone, list(DELIVERY[1:])] = np.nan
    out[["planned_share", "actual_share"]] = out[["planned_share", "actual_share"]].round(2)
    return out


def publishable_recorded(guard: Guard, table: pd.DataFrame) -> pd.DataFrame:
    """What was recorded, without small counts, and the others rounded so that no two tell a few people apart.

    Rows are first brought to the number of people that is said, and rounded as all rows of so many people: rows of
    people who are there in every period would give their number away.
    """
    if not guard.rules.active or table.empty:
        return table
    least = guard.rules.round_to or guard.rules.count
    shown = np.round(table["people"] / least) * least
    out = table.copy()
    for name in RECORDED[2:]:
        step = least * (guard.paths.n_periods if name in ("rows", "missing") else 1)
        said = np.round(table[name] * (shown / table["people"] if name == "rows" else 1.0) / step) * step
        told = [guard.rules.publish(Count(int(n))) for n in table[name]]
        hidden = np.array([c.withheld for c in told]) | (said == 0)
        out[name] = said.where(~(hidden & (table[name] > 0)))
    return out
