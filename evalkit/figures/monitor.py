"""A delivery while it runs: places beside those not yet, and looks against the line that was agreed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import frame_of
from evalkit.show.words import count_words, join_words

_CHART = ("place", "period", "difference", "smoothed", "low", "high", "baseline", "alarm")
_LOOK = ("through", "component", "z", "bound", "crossed")
_TOP = 6.0
"""z up to which the line is drawn; early bounds lie far above anything seen."""


def place_charts(table: pd.DataFrame, *, unit: str = "", width: float = style.WIDE, ax: style.Given = None) -> Figure:
    """A panel a place: its difference to places not yet, smoothed, between limits; alarms are marked.

    table: rows by place and period as the monitor gives them (`charts` of a watch). unit: of the outcome."""
    shown = frame_of(table, "charts", _CHART)
    panels = [(str(p), rows.reset_index(drop=True)) for p, rows in shown.groupby("place", sort=False)]
    panels = [(p, rows) for p, rows in panels if rows["low"].notna().any()]
    if not panels:
        raise OptionError("There is no chart to draw: no place has a baseline that is long enough.")
    return style.drawn(_draw_charts, _say_charts, (panels, unit), width, ax)


Panels = list[tuple[str, pd.DataFrame]]


def _draw_charts(panels: Panels, unit: str, where: style.Where) -> Axes:
    """All panels lie in one axes, each in a box of its own: two dozen axes take seconds to lay out."""
    columns = min(2 if style.narrow(where) else 4, len(panels))
    rows = -(-len(panels) // columns)
    ax = style.new_axes(where, 0.95 * rows + 0.6)
    tall = np.nanmax([np.nanmax(np.abs(t[["smoothed", "low", "high"]].to_numpy(dtype=float))) for _, t in panels])
    for i, (place, table) in enumerate(panels):
        left, middle = 1.08 * (i % columns), -1.3 * (i // columns)
        _one_chart(ax, table, left, middle, 0.5 / tall)
        ax.text(left, middle + 0.52, place, fontsize=8, va="bottom")
    ax.set_xlim(-0.02, 1.08 * columns)
    ax.set_ylim(-1.3 * (rows - 1) - 0.6, 0.85)
    ax.set_xticks([])
    ax.set_yticks([])
    style.bare(ax, ())
    first, last = panels[0][1]["period"].iloc[[0, -1]]
    scale = f"Half a box is {tall:.2g}{f' {unit}' if unit else ''}."
    style.words_below(where, [ax], f"{first} to {last}. Grey: limits. Cross: beyond them.\n{scale}")
    return ax


def _one_chart(ax: Axes, table: pd.DataFrame, left: float, middle: float, scale: float) -> None:
    at = left + np.arange(len(table)) / max(len(table) - 1, 1)
    low, high, smoothed, raw = (
        middle + scale * table[c].to_numpy(dtype=float) for c in ("low", "high", "smoothed", "difference")
    )
    after = ~table["baseline"].to_numpy(dtype=bool) & ~np.isnan(smoothed)
    ax.fill_between(at, low, high, color=style.BAND, linewidth=0)
    ax.plot(at, np.clip(raw, middle - 0.5, middle + 0.5), color=style.RULE, linewidth=0.6)
    ax.plot(at[after], smoothed[after], color=style.BLUE, linewidth=1.3)
    out = after & table["alarm"].to_numpy(dtype=bool)
    ax.plot(at[out], smoothed[out], "x", color=style.RUST, markersize=4)


def _say_charts(panels: Panels, unit: str) -> style.Told:
    out = [p for p, t in panels if t["alarm"].any()]
    begun = [(p, t[t["smoothed"].notna()]) for p, t in panels if t["smoothed"].notna().any()]
    places = count_words(len(panels), "place")
    if not begun:
        title = words = "No period after a baseline yet"
        words += ": limits are drawn, and nothing is held against them."
    elif out:
        title = f"{count_words(len(out), 'place')} of {len(panels)} moved beyond the limits"
        words = f"Beyond the limits at some time: {join_words(out)}."
    else:
        whole = f"All {places}" if len(begun) == len(panels) else f"{count_words(len(begun), 'place')} of {len(panels)}"
        title, words = f"{whole} stayed within their limits", "No place was beyond its limits at any time."
    alt = f"{places}, a panel each: the difference to places where nothing is on yet, smoothed, between limits. {words}"
    lines = [words]
    for place, table in begun:
        last = table.iloc[-1]
        limits = f"limits {last['low']:.3g} and {last['high']:.3g}"
        lines.append(f"{place}: {last['smoothed']:.3g} in {last['period']}, {limits}.")
    data = pd.concat([t for _, t in panels], ignore_index=True)[list(_CHART)]
    return title, alt, "\n".join(lines), data


def look_lines(
    table: pd.DataFrame, *, labels: Mapping[str, str] | None = None, width: float = style.WIDE, ax: style.Given = None
) -> Figure:
    """A panel a component: z at each planned look, and the agreed line on both sides, which narrows look by look.

    table: rows by look and component as the monitor gives them (`looks` of a watch). labels: component -> words."""
    shown = frame_of(table, "looks", _LOOK)
    if "planned" in shown:
        shown = shown[shown["planned"].astype(bool)]
    names = dict(labels or {})
    panels = [(names.get(c, str(c)), rows.reset_index(drop=True)) for c, rows in shown.groupby("component", sort=False)]
    panels = [(c, rows) for c, rows in panels if rows["z"].notna().any()]
    if not panels:
        raise OptionError("There is no look to draw: none has given a number yet.")
    return style.drawn(_draw_looks, _say_looks, (panels,), width, ax)


def _draw_looks(panels: Panels, where: style.Where) -> Axes:
    columns = 1 if style.narrow(where) else min(2, len(panels))
    rows = -(-len(panels) // columns)
    names = [label for label, _ in panels]
    axes = style.new_panels(where, 1.7 * rows + 0.5, names, (rows, columns), noun="component", sharey=True)
    for ax, (label, table) in zip(axes, panels, strict=True):
        at, bound = np.arange(len(table)), table["bound"].to_numpy(dtype=float)
        for side in (1, -1):
            ax.step(at, side * np.minimum(bound, _TOP), where="mid", color=style.INK, linewidth=1)
        ax.plot(at, table["z"], "o-", color=style.BLUE, markersize=3, linewidth=1)
        over = table["crossed"].fillna(False).to_numpy(dtype=bool)
        ax.plot(at[over], table["z"].to_numpy(dtype=float)[over], "X", color=style.RUST, markersize=7)
        ax.axhline(0, color=style.RULE, linewidth=0.6)
        ax.set_ylim(-_TOP, _TOP)
        ax.set_xticks([0, len(table) - 1] if len(table) > 1 else [0])
        ax.set_xticklabels([str(table["through"].iloc[i]) for i in ax.get_xticks().astype(int)])
        ax.set_title(label, wrap="$" not in label)
        style.bare(ax, ("left", "bottom"))
    style.words_below(where, axes, "looks, by their last period. Black: the agreed line")
    return axes[0]


def _say_looks(panels: Panels) -> style.Told:
    over = [label for label, t in panels if t["crossed"].fillna(False).any()]
    title = f"{join_words(over)} crossed the agreed line" if over else "Nothing has crossed the agreed line"
    panels_words = count_words(len(panels), "component")
    alt = f"{panels_words}, a panel each: looks so far between two lines that draw nearer. {title}."
    lines = []
    for label, table in panels:
        last = table[table["z"].notna()].iloc[-1]
        bound = "no line could be crossed then" if np.isnan(last["bound"]) else f"the line was at {last['bound']:.3g}"
        lines.append(f"{label}, look through {last['through']}: z was {last['z']:.3g}; {bound}.")
    data = pd.concat([t.assign(label=label) for label, t in panels], ignore_index=True)[["label", *_LOOK]]
    return title, alt, "\n".join(lines), data
