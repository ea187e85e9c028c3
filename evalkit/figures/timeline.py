"""What was delivered, where and when: a panel a component, a row a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order, labels_of, study_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words, join_words
from evalkit.study.calendar import event_bands

if TYPE_CHECKING:
    from evalkit.study import Study

COLUMNS = ("component", "cluster", "start", "end", "state")
Band = tuple[str, object, object]
_NAMED = 16
_TALLEST = 2.6  # inches of a lane, however many places or people are in it


def timeline(
    source: object,
    *,
    labels: Mapping[str, str] | None = None,
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
    table, names, order, where = _inputs(source, labels, periods, places)
    bands = _bands(source) if bands is None else bands
    shown = in_order([*names, *table["component"]])
    if not shown:
        raise OptionError("There is no component whose dates could be drawn.")
    columns = 1 if style.narrow(width) or len(shown) == 1 else 2
    rows = -(-len(shown) // columns)
    named = max((len(where[c]) for c in shown), default=1) <= _NAMED
    each = 0.17 if named else 0.032 if columns == 2 else 0.026
    lanes = [max(len(where[c]) for c in shown[i : i + columns]) for i in range(0, len(shown), columns)]
    tall = [0.5 + min(each * n, _TALLEST) for n in lanes]
    with style.theme():
        figure = style.new_figure(width, sum(tall) + 0.5)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": tall})
        for ax, component in zip(axes.flat, shown, strict=False):
            lane = table[table["component"] == component]
            _lane(ax, lane, where[component], order, bands, named)
            ax.set_title(f"{names.get(component, component)}: {_reach(lane, where[component])}", wrap=True)
            ax.tick_params(labelbottom=True)
        for ax in axes.flat[len(shown) :]:
            ax.set_axis_off()
        figure.legend(
            handles=_key(table, bands), loc="outside lower left", ncols=1 if columns == 1 else 3, frameon=False
        )
    return figure


def timeline_words(
    source: object,
    *,
    labels: Mapping[str, str] | None = None,
    periods: Sequence[Any] | None = None,
    places: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    bands: Sequence[Band] | None = None,
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `timeline`, from the same table."""
    table, names, order, where = _inputs(source, labels, periods, places)
    bands = _bands(source) if bands is None else bands
    shown = in_order([*names, *table["component"]])
    never = [names.get(c, c) for c in shown if not (table["component"] == c).any()]
    lines = [_lane_words(names.get(c, c), table[table["component"] == c], where[c]) for c in shown]
    lines += [f"{words}: decided person by person, so its dates are not shown." for words in _withheld(source, labels)]
    lines += [f"In the background: {words}, {_span(start, end)}." for words, start, end in bands]
    starts = [table.loc[table["component"] == c, "start"].nunique() for c in shown]
    staggered = sum(n > 1 for n in starts)
    title = f"{count_words(staggered, 'component')} of {len(shown)} began at different times in different places"
    span = f" from {order[0]} to {order[-1]}" if order else ""
    alt = f"Timeline of {count_words(len(shown), 'component')}{span}: "
    alt += "a panel for each, a bar for every place that had it."
    alt += f" Never switched on or off during this time: {join_words(never)}." if never else ""
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def _bands(source: object) -> Sequence[Band]:
    """Background events of the study behind `source`, as periods."""
    study = study_of(source)
    if study is None or not getattr(study, "events", ()):
        return ()
    return event_bands(study.events, study.calendar)


def _withheld(source: object, labels: Mapping[str, str] | None) -> list[str]:
    """Labels of components whose dates would be those of single people."""
    names = labels_of(source, labels)
    sep = getattr(source, "separability", source)
    return [names.get(c, c) for c in sorted(getattr(sep, "withheld", ()))]


def _span(start: object, end: object) -> str:
    return f"from {start}" if end is None else f"{start} to {end}"


def _inputs(
    source: object, labels: Mapping[str, str] | None, periods: Any, places: Any
) -> tuple[pd.DataFrame, dict, list, dict]:
    study = study_of(source)
    if study is not None and study is source:
        from evalkit.components import separability

        source = separability(cast("Study", study))
    elif not isinstance(source, pd.DataFrame) and not hasattr(source, "timeline"):
        source = getattr(source, "separability", source)
    table = frame_of(source, "timeline", COLUMNS)
    withheld: frozenset[str] = getattr(source, "withheld", frozenset())
    order = list(periods) if periods is not None else _periods(study, table)
    names = {c: words for c, words in labels_of(study, labels).items() if c not in withheld}
    shown = in_order([*names, *table["component"]])
    return table, names, order, {c: _places(study, table, c, places) for c in shown}


def _periods(study: Any, table: pd.DataFrame) -> list[Any]:
    if study is not None:
        return list(study.paths.periods)
    return sorted({*table["start"].dropna(), *table["end"].dropna()})


def _places(study: Any, table: pd.DataFrame, component: str, given: Any) -> list[Any]:
    if given is not None:
        return list(given[component] if isinstance(given, Mapping) else given)
    levels = getattr(getattr(study, "paths", None), "levels", None)
    if levels:
        return list(levels[study.paths.assigned_at[component]].names)
    return in_order(table["cluster"])


def _position(values: pd.Series, order: Sequence[Any], beyond: int) -> np.ndarray:
    at = {value: i for i, value in enumerate(order)}
    try:
        return np.array([at.get(v, beyond) for v in values], dtype=np.float64)
    except TypeError:
        return np.full(len(values), float(beyond))


def _ends(lane: pd.DataFrame, order: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of starts and ends among the periods: those in the table, else found by value."""
    if {"start_position", "end_position"} <= set(lane.columns):
        return lane["start_position"].to_numpy(dtype=np.float64), lane["end_position"].to_numpy(dtype=np.float64)
    return _position(lane["start"], order, 0), _position(lane["end"], order, len(order))


def _sorted_places(lane: pd.DataFrame, places: Sequence[Any], start: np.ndarray) -> dict[Any, int]:
    first: dict[Any, float] = {}
    for place, begin in zip(lane["cluster"], start, strict=True):
        first[place] = min(begin, first.get(place, np.inf))
    everyone = in_order([*places, *lane["cluster"]])
    ranked = sorted(everyone, key=lambda p: (first.get(p, np.inf), str(p)))
    return {place: row for row, place in enumerate(ranked)}


def _lane(
    ax: Axes, lane: pd.DataFrame, places: Sequence[Any], order: Sequence[Any], bands: Sequence[Band], named: bool
) -> None:
    start, end = _ends(lane, order)
    row = _sorted_places(lane, places, start)
    y = np.array([row[p] for p in lane["cluster"]], dtype=np.float64)
    part = (lane["state"] == "part").to_numpy()
    ax.hlines(list(row.values()), 0, len(order), color=style.BAND, linewidth=0.6, zorder=0)
    for mask, look in ((~part, {"color": style.BLUE}), (part, _PART)):
        ax.add_collection(PolyCollection(_bars(start[mask], end[mask], y[mask]), linewidth=0.4, snap=False, **look))
    for i, (_, begin, stop) in enumerate(bands):
        low, high = _position(pd.Series([begin, stop], dtype=object), order, len(order))
        ax.axvspan(low, high, facecolor="none", edgecolor=style.RULE, hatch=_HATCHES[i % len(_HATCHES)], linewidth=0.5)
    ax.set_ylim(len(row) - 0.4, -0.6)
    ax.set_xlim(0, max(len(order), 1))
    ticks = _ticks(len(order))
    ax.set_xticks(ticks, [str(order[t]) for t in ticks])
    if named:
        ax.set_yticks(list(row.values()), [str(p) for p in row])
    else:
        ax.yaxis.set_major_locator(NullLocator())
    style.bare(ax)


def _bars(start: np.ndarray, end: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, 4, 2) corners of a bar a spell."""
    across = np.column_stack([start, end, end, start])
    up = y[:, None] + np.array([-0.36, -0.36, 0.36, 0.36])
    return np.stack([across, up], axis=2)


_PART: dict[str, Any] = {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "//////"}
_HATCHES = ("////", "\\\\\\\\", "xxx")


def _ticks(n: int) -> list[int]:
    step = max(1, -(-n // 5))
    return list(range(0, n, step))


def _key(table: pd.DataFrame, bands: Sequence[Band]) -> list[Patch]:
    key = [Patch(color=style.BLUE, label="on")]
    if (table["state"] == "part").any():
        key.append(Patch(**_PART, label="part of the period"))
    key.append(Patch(facecolor="white", edgecolor=style.BAND, label="a thin line: off"))
    for i, (words, _, _) in enumerate(bands):
        key.append(Patch(facecolor="none", edgecolor=style.RULE, hatch=_HATCHES[i % len(_HATCHES)], label=words))
    return key


def _reach(lane: pd.DataFrame, places: Sequence[Any]) -> str:
    return f"{lane['cluster'].nunique()} of {len(in_order([*places, *lane['cluster']]))}"


def _lane_words(label: str, lane: pd.DataFrame, places: Sequence[Any]) -> str:
    if lane.empty:
        return f"{label}: no switch on record."
    first = lane.groupby("cluster", sort=False)["start"].min().sort_values(kind="stable")
    span = (
        f"first in {first.iloc[0]}" if first.nunique() == 1 else f"first in {first.iloc[0]}, last in {first.iloc[-1]}"
    )
    part = int((lane["state"] == "part").sum())
    said = f"; {count_words(part, 'part period')}" if part else ""
    where = "everywhere in the same period" if first.nunique() == 1 and len(first) == len(places) else span
    return f"{label}: on in {_reach(lane, places)} places, {where}{said}."
