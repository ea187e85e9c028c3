"""What was delivered, where and when: a panel a component, a row a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import Labels, frame_of, in_order, labels_of, study_of
from evalkit.show.words import count_words, join_words
from evalkit.study.calendar import event_bands

Band = tuple[str, object, object]
_NAMED = 16  # places of a component at most that are named
_TALLEST = 2.6  # inches of a lane, however many places or people are in it
_PART: dict[str, Any] = {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "//////"}
_HATCHES = ("////", "\\\\\\\\", "xxx")
_CORNERS = np.array([-0.36, -0.36, 0.36, 0.36])


@dataclass(frozen=True, eq=False)
class Lane:
    """One component: its words, its spells, and the places that it could be in."""

    label: str
    spells: pd.DataFrame
    places: Sequence[object]

    @property
    def reach(self) -> str:
        """'3 of 8': places with it, of all."""
        return f"{self.spells['cluster'].nunique()} of {len(self.places)}"


@dataclass(frozen=True, eq=False)
class Shown:
    """What is drawn. order: periods. bands: events in the background. withheld: labels of components whose dates would
    be those of single people."""

    table: pd.DataFrame
    lanes: tuple[Lane, ...]
    order: list[object]
    bands: Sequence[Band]
    withheld: list[str]


def timeline(
    source: object,
    *,
    labels: Labels = None,
    periods: Sequence[Any] | None = None,
    places: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    bands: Sequence[Band] | None = None,
    width: float = style.WIDE,
) -> Figure:
    """A panel a component, a row a place (earliest first), a bar a spell; part periods are hatched.

    source: a Study, a Separability, an Evaluation, or the table of spells with columns
    component, cluster, start, end (half-open), state ("part" or other). periods: all
    periods in order. places: all places (of each component). bands: (words, start,
    end) of background events, those of the study when not given. width: inches; below 5 it is laid out for a telephone.
    """
    study, spells = study_of(source), source
    if study is not None and study is source:
        from evalkit.components import separability

        spells = separability(study)
    elif not isinstance(source, pd.DataFrame) and not hasattr(source, "timeline"):
        spells = getattr(source, "separability", source)
    table = frame_of(spells, "timeline", ("component", "cluster", "start", "end", "state"))
    if periods is None:
        known = {*table["start"].dropna(), *table["end"].dropna()}
        periods = sorted(known) if study is None else list(study.paths.periods)
    if bands is None:
        events = () if study is None else getattr(study, "events", ())
        bands = event_bands(events, study.calendar) if study is not None and events else ()
    hidden, words = getattr(spells, "withheld", frozenset[str]()), labels_of(study, labels)
    lanes = []
    for component in in_order([*(c for c in words if c not in hidden), *table["component"]]):
        lane = table[table["component"] == component]
        listed = _listed(study, component) if places is None else places
        listed = listed[component] if isinstance(listed, Mapping) else listed
        lanes.append(Lane(words.get(component, component), lane, in_order([*listed, *lane["cluster"]])))
    withheld = [words.get(c, c) for c in sorted(hidden)]
    return style.drawn(_draw, _say, Shown(table, tuple(lanes), list(periods), bands, withheld), width)


def _listed(study: object, component: str) -> Sequence[Any]:
    """The places of a study that a component could be in."""
    paths = getattr(study, "paths", None)
    levels = getattr(paths, "levels", None)
    return list(levels[paths.assigned_at[component]].names) if paths is not None and levels else []


def _draw(shown: Shown, width: float) -> Figure:
    lanes = shown.lanes
    if not lanes:
        raise OptionError("There is no component whose dates could be drawn.")
    columns = 1 if style.narrow(width) or len(lanes) == 1 else 2
    named = max(len(lane.places) for lane in lanes) <= _NAMED
    each = 0.17 if named else 0.032 if columns == 2 else 0.026
    rows = [lanes[i : i + columns] for i in range(0, len(lanes), columns)]
    tall = [0.5 + min(each * max(len(lane.places) for lane in row), _TALLEST) for row in rows]
    figure = style.new_figure(width, sum(tall) + 0.5)
    axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": tall})
    for ax, lane in zip(axes.flat, lanes, strict=False):
        _lane(ax, lane, shown.order, shown.bands, named)
        ax.set_title(f"{lane.label}: {lane.reach}", wrap=True)
        ax.tick_params(labelbottom=True)
    for ax in axes.flat[len(lanes) :]:
        ax.set_axis_off()
    key = [Patch(color=style.BLUE, label="on")]
    if (shown.table["state"] == "part").any():
        key.append(Patch(**_PART, label="part of the period"))
    key.append(Patch(facecolor="white", edgecolor=style.BAND, label="a thin line: off"))
    for i, (words, _, _) in enumerate(shown.bands):
        key.append(Patch(facecolor="none", edgecolor=style.RULE, hatch=_HATCHES[i % len(_HATCHES)], label=words))
    figure.legend(handles=key, loc="outside lower left", ncols=1 if columns == 1 else 3, frameon=False)
    return figure


def _say(shown: Shown) -> style.Told:
    lanes, order = shown.lanes, shown.order
    lines = list(map(_lane_words, lanes))
    lines += [f"{words}: decided person by person, so its dates are not shown." for words in shown.withheld]
    for words, start, end in shown.bands:
        lines.append(f"In the background: {words}, {f'from {start}' if end is None else f'{start} to {end}'}.")
    staggered = sum(lane.spells["start"].nunique() > 1 for lane in lanes)
    title = f"{count_words(staggered, 'component')} of {len(lanes)} began at different times in different places"
    span = f" from {order[0]} to {order[-1]}" if order else ""
    alt = f"Timeline of {count_words(len(lanes), 'component')}{span}: "
    alt += "a panel for each, a bar for every place that had it."
    never = [lane.label for lane in lanes if lane.spells.empty]
    alt += f" Never switched on or off during this time: {join_words(never)}." if never else ""
    return title, alt, "\n".join(lines), shown.table.reset_index(drop=True)


def _position(values: Sequence[object], order: Sequence[object], beyond: int) -> np.ndarray:
    at = {value: i for i, value in enumerate(order)}
    try:
        return np.array([at.get(v, beyond) for v in values], dtype=np.float64)
    except TypeError:
        return np.full(len(values), float(beyond))


def _lane(ax: Axes, lane: Lane, order: Sequence[object], bands: Sequence[Band], named: bool) -> None:
    spells, last = lane.spells, len(order)
    if {"start_position", "end_position"} <= set(spells.columns):
        start, end = (spells[c].to_numpy(dtype=np.float64) for c in ("start_position", "end_position"))
    else:
        start, end = _position(list(spells["start"]), order, 0), _position(list(spells["end"]), order, last)
    first = pd.Series(start, spells["cluster"].to_numpy(dtype=object)).groupby(level=0, sort=False).min().to_dict()
    ranked = sorted(lane.places, key=lambda p: (first.get(p, np.inf), str(p)))
    row = {place: i for i, place in enumerate(ranked)}
    y = np.array([row[p] for p in spells["cluster"]], dtype=np.float64)
    corners = np.stack([np.column_stack([start, end, end, start]), y[:, None] + _CORNERS], axis=2)
    part = (spells["state"] == "part").to_numpy()
    ax.hlines(list(row.values()), 0, last, color=style.BAND, linewidth=0.6, zorder=0)
    for mask, look in ((~part, {"color": style.BLUE}), (part, _PART)):
        ax.add_collection(PolyCollection(corners[mask], linewidth=0.4, snap=False, **look))
    for i, (_, begin, stop) in enumerate(bands):
        low, high = _position([begin, stop], order, last)
        ax.axvspan(low, high, facecolor="none", edgecolor=style.RULE, hatch=_HATCHES[i % len(_HATCHES)], linewidth=0.5)
    ax.set_ylim(len(row) - 0.4, -0.6)
    ax.set_xlim(0, max(last, 1))
    ticks = range(0, last, max(1, -(-last // 5)))
    ax.set_xticks(ticks, [str(order[t]) for t in ticks])
    if named:
        ax.set_yticks(list(row.values()), [str(p) for p in row])
    else:
        ax.yaxis.set_major_locator(NullLocator())
    style.bare(ax)


def _lane_words(lane: Lane) -> str:
    if lane.spells.empty:
        return f"{lane.label}: no switch on record."
    first = lane.spells.groupby("cluster", sort=False)["start"].min().sort_values(kind="stable")
    where = f"first in {first.iloc[0]}"
    if first.nunique() > 1:
        where += f", last in {first.iloc[-1]}"
    elif len(first) == len(lane.places):
        where = "everywhere in the same period"
    part = int((lane.spells["state"] == "part").sum())
    said = f"; {count_words(part, 'part period')}" if part else ""
    return f"{lane.label}: on in {lane.reach} places, {where}{said}."
