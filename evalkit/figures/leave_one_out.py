"""Does one place carry the result? Each headline again, with one place left out at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.figures import style
from evalkit.figures.inputs import Axis, axis_of, frame_of, in_order, labels_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words
from evalkit.study import Outcome

_COLUMNS = ("component", "outcome", "cluster", "estimate")


def leave_one_out(
    source: object,
    verdicts: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Mapping[str, str] | None = None,
    scale: Outcome | None = None,
    width: float = style.WIDE,
) -> Figure:
    """A row a component: a tick for each place left out, the headline as a dot, the extremes named.

    source: an Evaluation, or the table component, outcome, cluster, estimate.
    verdicts: the table with the headlines, when only tables are given.
    """
    table, heads, names, unit = _inputs(source, verdicts, outcome, labels, scale)
    shown = in_order(table["component"])
    phone = style.narrow(width)
    with style.theme():
        said = [_between(table[table["component"] == c], heads.get(c, np.nan), unit) for c in shown]
        words = [names.get(c, c) for c in shown]
        over = [f"{w}\n{s.replace(chr(10), ' ')}" for w, s in zip(words, said, strict=True)]
        figure = style.new_figure(width, 0.75 + (style.rows_height(over) if phone else max(len(shown), 1) * 0.46))
        ax = figure.subplots()
        ax.axvline(0, color=style.INK, linewidth=1)
        at = style.place_rows(ax, over if phone else words, phone)
        if not phone:
            _beside(ax, said)
        for y, component in zip(at, shown, strict=True):
            _row(ax, y, table[table["component"] == component], heads.get(component, np.nan), unit)
        ax.margins(x=0.06)
        ax.set_xlabel(f"{unit.ways[0]} ← {unit.unit} → {unit.ways[1]}")
        style.bare(ax)
    return figure


def leave_one_out_words(
    source: object,
    verdicts: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Mapping[str, str] | None = None,
    scale: Outcome | None = None,
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `leave_one_out`, from the same table."""
    table, heads, names, unit = _inputs(source, verdicts, outcome, labels, scale)
    shown = in_order(table["component"])
    flips, lines = 0, []
    for component in shown:
        rows = table[table["component"] == component].dropna(subset=["estimate"])
        if rows.empty:
            continue
        flips += int(rows["estimate"].min() < 0 < rows["estimate"].max())
        low, high = _extremes(rows)
        head, first, last = unit.say(heads.get(component, np.nan), low["estimate"], high["estimate"])
        lines.append(
            f"{names.get(component, component)}: headline {head}{unit.after}; from {first} (without {low['cluster']}) "
            f"to {last} (without {high['cluster']})."
        )
    title = "No single place decides the direction of any component"
    if flips:
        title = f"For {count_words(flips, 'component')} one place decides the direction"
    alt = f"For {count_words(len(shown), 'component')}, the headline with each place left out in turn, in {unit.unit}. "
    return Words(title, alt + (lines[0] if lines else "Nothing to show."), "\n".join(lines)), table.reset_index(
        drop=True
    )


def _inputs(
    source: object, verdicts: Any, outcome: str | None, labels: Mapping[str, str] | None, scale: Outcome | None
) -> tuple[pd.DataFrame, dict[str, float], dict[str, str], Axis]:
    table = frame_of(source, "leave_one_out", _COLUMNS)
    chosen = outcome if outcome is not None else (table["outcome"].iloc[0] if len(table) else None)
    found = verdicts if verdicts is not None else getattr(source, "verdicts", None)
    heads: dict[str, float] = {}
    if isinstance(found, pd.DataFrame):
        own = found[found["outcome"] == chosen]
        heads = dict(zip(own["component"], own["estimate"].astype(float), strict=True))
    unit = axis_of(scale if scale is not None else source, chosen)
    return table[table["outcome"] == chosen], heads, labels_of(source, labels), unit


def _extremes(rows: pd.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    ordered = rows.sort_values(["estimate", "cluster"], kind="stable").to_dict("records")
    return ordered[0], ordered[-1]


def _row(ax: Axes, i: float, rows: pd.DataFrame, headline: float, unit: Axis) -> None:
    rows = rows.dropna(subset=["estimate"])
    if rows.empty:
        return
    values = unit.show(rows["estimate"])
    ax.plot([values.min(), values.max()], [i, i], color=style.RULE, linewidth=1)
    ax.plot(values, np.full(len(values), i), "|", color=style.BLUE, markersize=11, markeredgewidth=1)
    if headline == headline:
        ax.plot(
            [float(unit.show(headline))], [i], "o", color=style.RUST, markersize=6, markeredgecolor="white", zorder=4
        )


def _between(rows: pd.DataFrame, headline: float, unit: Axis) -> str:
    """'−7.4% without Ohio', 'to −5.3% without Iowa', on two lines."""
    rows = rows.dropna(subset=["estimate"])
    if rows.empty:
        return "not given"
    low, high = _extremes(rows)
    first, last = unit.say(headline, low["estimate"], high["estimate"])[1:]
    return f"{first} without {low['cluster']}\nto {last} without {high['cluster']}"


def _beside(ax: Axes, said: list[str]) -> None:
    """The extremes to the right of the rows."""
    for i, text in enumerate(said):
        where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(text, (1, i), xytext=(6, 0), va="center", fontsize=8.5, **where)
