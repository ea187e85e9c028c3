"""What was delivered, where and when (a panel a component, a row a place); and what can be told apart from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import NullLocator

from evalkit import components
from evalkit.components.separability import STATUS_SHAPES, STATUS_WORDS
from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import Labels, frame_of, in_order, labels_of
from evalkit.language.axis import study_of
from evalkit.show.words import count_words, join_words
from evalkit.study.calendar import event_bands

Band = tuple[str, object, object]
_NAMED = 16  # places of a component at most that are named
_TALLEST = 2.6  # inches of a lane, however many places or people are in it
_PART: dict[str, Any] = {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "//////"}
_HATCHES = ("////", "\\\\\\\\", "xxx")
_CORNERS = np.array([-0.36, -0.36, 0.36, 0.36])
WAYS = {"by_time": "time", "by_place": "place", "by_people": "people", "by_dose": "dose"}
_SIDES = ("statuses", "the matrix")
_PAIRS = ("a", "b", *WAYS, "separable")


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


def timeline(
    source: object,
    *,
    labels: Labels = None,
    periods: Sequence[Any] | None = None,
    places: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    bands: Sequence[Band] | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A panel a component, a row a place (earliest first), a bar a spell; part periods are hatched.

    source: a Study, a Separability, an Evaluation, or the table of spells with columns
    component, cluster, start, end (half-open), state ("part" or other). periods: all
    periods in order. places: all places (of each component). bands: (words, start,
    end) of background events, those of the study when not given. width: inches; below 5 it is laid out for a
    telephone. ax: one for each component.
    """
    study, spells = study_of(source), source
    if study is not None and study is source:
        spells = components.separability(study)
    elif not isinstance(source, pd.DataFrame) and not hasattr(source, "timeline"):
        spells = getattr(source, "separability", source)
    table = frame_of(spells, "timeline", ("component", "cluster", "start", "end", "state"))
    if periods is None:
        known = {*table["start"].dropna(), *table["end"].dropna()}
        periods = sorted(known) if study is None else list(study.paths.periods)
    if bands is None:
        events = () if study is None else getattr(study, "events", ())
        bands = event_bands(events, study.calendar) if study is not None and events else ()
    if places is None:  # those of the study that each component could be in
        paths = getattr(study, "paths", None)
        levels = getattr(paths, "levels", None)
        places = {c: levels[at].names for c, at in paths.assigned_at.items()} if paths is not None and levels else ()
    hidden, words = getattr(spells, "withheld", frozenset[str]()), labels_of(study, labels)
    lanes = []
    for component in in_order([*(c for c in words if c not in hidden), *table["component"]]):
        lane = table[table["component"] == component]
        listed = places[component] if isinstance(places, Mapping) else places
        lanes.append(Lane(words.get(component, component), lane, in_order([*listed, *lane["cluster"]])))
    withheld = [words.get(c, c) for c in sorted(hidden)]  # their dates would be those of single people
    return style.drawn(_draw, _say, (table, lanes, list(periods), bands, withheld), width, ax)


def _draw(
    table: pd.DataFrame, lanes: list[Lane], order: list[object], bands: Sequence[Band], _: list[str], where: style.Where
) -> Axes:
    if not lanes:
        raise OptionError("There is no component whose dates could be drawn.")
    columns = 1 if style.narrow(where) or len(lanes) == 1 else 2
    named = max(len(lane.places) for lane in lanes) <= _NAMED
    each = 0.17 if named else 0.032 if columns == 2 else 0.026
    rows = [lanes[i : i + columns] for i in range(0, len(lanes), columns)]
    tall = [0.5 + min(each * max(len(lane.places) for lane in row), _TALLEST) for row in rows]
    shape, ratios = (len(rows), columns), {"height_ratios": tall}
    axes = style.new_panels(where, sum(tall) + 0.5, [lane.label for lane in lanes], shape, noun="component",
                            sharex=True, gridspec_kw=ratios)  # fmt: skip
    for ax, lane in zip(axes, lanes, strict=True):
        _lane(ax, lane, order, bands, named)
        title = f"{lane.label}: {lane.reach}"
        ax.set_title(title, wrap="$" not in title)  # wrapped words are measured as mathematics
        ax.tick_params(labelbottom=True)
    key = [Patch(color=style.BLUE, label="on")]
    if (table["state"] == "part").any():
        key.append(Patch(**_PART, label="part of the period"))
    key.append(Patch(facecolor="white", edgecolor=style.BAND, label="a thin line: off"))
    for i, (words, _, _) in enumerate(bands):
        key.append(Patch(facecolor="none", edgecolor=style.RULE, hatch=_HATCHES[i % len(_HATCHES)], label=words))
    style.legend_below(where, axes[-1], 1 if columns == 1 else 3, key)
    return axes[-1]


def _say(
    table: pd.DataFrame, lanes: list[Lane], order: list[object], bands: Sequence[Band], withheld: list[str]
) -> style.Told:
    lines = []
    for lane in lanes:
        if lane.spells.empty:
            lines.append(f"{lane.label}: no switch on record.")
            continue
        first = lane.spells.groupby("cluster", sort=False)["start"].min().sort_values(kind="stable")
        where = f"first in {first.iloc[0]}"
        if first.nunique() > 1:
            where += f", last in {first.iloc[-1]}"
        elif len(first) == len(lane.places):
            where = "everywhere in the same period"
        part = int((lane.spells["state"] == "part").sum())
        said = f"; {count_words(part, 'part period')}" if part else ""
        lines.append(f"{lane.label}: on in {lane.reach} places, {where}{said}.")
    lines += [f"{words}: decided person by person, so its dates are not shown." for words in withheld]
    for words, start, end in bands:
        lines.append(f"In the background: {words}, {f'from {start}' if end is None else f'{start} to {end}'}.")
    staggered = sum(lane.spells["start"].nunique() > 1 for lane in lanes)
    title = f"{count_words(staggered, 'component')} of {len(lanes)} began at different times in different places"
    span = f" from {order[0]} to {order[-1]}" if order else ""
    alt = f"Timeline of {count_words(len(lanes), 'component')}{span}: "
    alt += "a panel for each, a bar for every place that had it."
    never = [lane.label for lane in lanes if lane.spells.empty]
    alt += f" Never switched on or off during this time: {join_words(never)}." if never else ""
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


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
    row = {place: i for i, place in enumerate(sorted(lane.places, key=lambda p: (first.get(p, np.inf), str(p))))}
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


def separability(
    source: object,
    pairs: pd.DataFrame | None = None,
    *,
    labels: Labels = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A row and a column a component; each cell says by what the two are told apart; statuses at the side.

    source: a Separability, an Evaluation, or its table of components with `pairs`
    beside it. Cells that cannot be told apart are hatched and say "no". ax: two, for the statuses and the matrix."""
    names = labels_of(source, labels)
    if not isinstance(source, pd.DataFrame):
        own = isinstance(getattr(source, "pairs", None), pd.DataFrame)
        found = source if own else getattr(source, "separability", source)
        names = names or labels_of(found)
        source, pairs = found, getattr(found, "pairs", None)
    components = frame_of(source, "components", ("component", "status", "reason"))
    return style.drawn(_draw_matrix, _matrix_words, (components, frame_of(pairs, "pairs", _PAIRS), names), width, ax)


def _draw_matrix(components: pd.DataFrame, table: pd.DataFrame, names: dict[str, str], where: style.Where) -> Axes:
    phone, k = style.narrow(where), max(len(components), 1)
    if phone:
        square = 0.92 * style.inches(where)
        ratios = [square, 0.36 * k + 0.4]
        ax, side = style.new_panels(where, sum(ratios) + 1.0, _SIDES[::-1], (2, 1), height_ratios=ratios)
    else:
        side, ax = style.new_panels(where, 1.0 + 0.62 * k, _SIDES, (1, 2), width_ratios=[3.1, 4.4])
    _cells(ax, table, list(components["component"]), phone)
    for i, row in enumerate(components[["component", "status"]].to_dict("records")):
        shape, words = STATUS_SHAPES.get(row["status"], ""), STATUS_WORDS.get(row["status"], row["status"])
        side.text(0, i - 0.02, f"{i + 1}  {names.get(row['component'], row['component'])}", va="bottom", fontsize=9)
        side.text(0.035, i + 0.06, f"{shape} {words}", va="top", fontsize=8.5, color=style.QUIET)
    side.set_xlim(0, 1)
    side.set_ylim(np.nextafter(len(components) - 0.5, 9e9), -0.5)
    side.set_axis_off()
    if phone:
        side.set_title("Components")
    return ax


def _matrix_words(components: pd.DataFrame, table: pd.DataFrame, names: dict[str, str]) -> style.Told:
    status: dict[str, Any] = dict(zip(components["component"], components["status"], strict=True))
    apart = sum(s == "separable" for s in status.values())
    title = f"{count_words(apart, 'component')} of {len(status)} can be told apart from the others"
    alt = f"Matrix of {count_words(len(status), 'component')}: "
    alt += f"{int(table['separable'].sum())} of {count_words(len(table), 'pair')} can be told apart."
    for kind, words in STATUS_WORDS.items():
        members = [names.get(c, str(c)) for c, s in status.items() if s == kind]
        alt += f" {words[:1].upper()}{words[1:]}: {join_words(members)}." if members else ""
    reasons, lines = dict(zip(components["component"], components["reason"], strict=True)), []
    for c, s in status.items():
        why = f" ({reasons[c].rstrip('.')})" if isinstance(reasons[c], str) and reasons[c] else ""
        lines.append(f"{names.get(c, c)}: {STATUS_WORDS.get(s, s)}{why}.")
    for row in table.to_dict("records"):
        ways = join_words(word for column, word in WAYS.items() if row[column])
        but = f" (something differs by {ways}, but not enough)" if ways else ""
        told = f"told apart{' by ' + ways if ways else ''}" if row["separable"] else f"not told apart{but}"
        lines.append(f"{names.get(row['a'], row['a'])} and {names.get(row['b'], row['b'])}: {told}.")
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _cells(ax: Axes, table: pd.DataFrame, order: list[str], phone: bool) -> None:
    k, at = len(order), {c: i for i, c in enumerate(order)}
    short = {"time": "T", "place": "P", "people": "W", "dose": "D"}
    for row in table.to_dict("records"):
        i, j = at[row["a"]], at[row["b"]]
        yes, ways = bool(row["separable"]), [word for column, word in WAYS.items() if row[column]]
        look = {"facecolor": style.PALE} if yes else {"facecolor": "white", "hatch": "//"}
        box = {"boxstyle": "square,pad=0.15", "facecolor": look["facecolor"], "edgecolor": "none"}
        words = " ".join(short[w] for w in ways) if phone else "\n".join(ways)
        words = (words or "yes") if yes else "no"
        for x, y in ((i, j), (j, i)):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, edgecolor=style.RULE, linewidth=0.8, **look))
            ax.text(x, y, words, ha="center", va="center", fontsize=8 if phone else 8.5, linespacing=1.1, bbox=box)
    for i in range(k):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor=style.BAND, edgecolor="white", linewidth=1.5))
        ax.text(i, i, str(i + 1), ha="center", va="center", fontsize=9, fontweight="bold", color=style.QUIET)
    ax.set_xlim(-0.5, k - 0.5)
    ax.set_ylim(k - 0.5, -0.5)
    for set_ticks in (ax.set_xticks, ax.set_yticks):
        set_ticks(range(k), [str(i + 1) for i in range(k)], fontweight="bold")
    ax.xaxis.tick_top()
    style.bare(ax, keep=())
    if phone:
        ax.set_xlabel("T time, P place, W who (people), D dose; hatched: no")
