"""Is more achieved, and at what cost? Draws of additional outcomes beside the cost, a cloud a component."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order
from evalkit.figures.picture import Words
from evalkit.show.numbers import percent, pounds, signed
from evalkit.show.words import count_words

_COLUMNS = ("name", "label", "additional", "cost")
_MARKS = (
    ("o", style.BLUE),
    ("s", style.GREEN),
    ("^", style.RUST),
    ("D", style.INK),
    ("v", style.QUIET),
    ("P", style.RULE),
)
_TALL = 0.018  # half the height of a tick, of that of the plane


def value_plane(source: object, *, width: float = style.WIDE) -> Figure:
    """The cost-effectiveness plane: additional outcomes across, cost upwards, discounted alike.

    source: a Value, an Evaluation, or its table of draws. Costs are known, so each component's draws lie on a
    line: a tick for each hundredth of them, the thick part holds the middle 95, the mark is the middle. Left of
    zero the outcome is worse.
    """
    table = _table(source)
    shown = in_order(table["name"])
    with style.theme():
        figure = style.new_figure(width, 3.9 if style.narrow(width) else 3.6)
        ax = figure.subplots()
        ax.axvline(0, color=style.INK, linewidth=1)
        top = 1.15 * float(table["cost"].max()) if len(table) else 1.0
        for i, name in enumerate(shown):
            _cloud(ax, table[table["name"] == name], _MARKS[i % len(_MARKS)], top)
        ax.set_ylim(-_TALL * top, top)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: pounds(v)))
        ax.set_xlabel("worse ← additional outcomes → better")
        ax.set_ylabel("cost")
        style.bare(ax, ("bottom", "left"))
        if shown:
            figure.legend(loc="outside lower left", frameon=False, ncols=1 if style.narrow(width) else 2)
    return figure


def value_plane_words(source: object) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `value_plane`: a row a component."""
    table = _table(source)
    rows = [_summary(table[table["name"] == n]) for n in in_order(table["name"])]
    sure = sum(r["chance_better"] >= 0.975 for r in rows)
    title = (
        f"{sure} of {count_words(len(rows), 'part')}: more of the outcome in nearly every draw"
        if rows
        else "No part has both an effect and a cost"
    )
    alt = "Cost-effectiveness plane: additional outcomes across, cost upwards, "
    alt += f"for {count_words(len(rows), 'part')} with an effect and a cost."
    lines = [
        f"{r['label']}: cost {pounds(r['cost'])}; additional outcomes {signed(r['middle'])} (likely range "
        f"{signed(r['low'])} to {signed(r['high'])}); better in {percent(r['chance_better'])} of draws."
        for r in rows
    ]
    columns = ["name", "label", "cost", "middle", "low", "high", "chance_better"]
    return Words(title, alt, "\n".join(lines)), pd.DataFrame(rows, columns=columns)


def _table(source: object) -> pd.DataFrame:
    made = source if isinstance(source, pd.DataFrame) or hasattr(source, "plane") else getattr(source, "value", source)
    return frame_of(made, "plane", _COLUMNS)


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    low, middle, high = np.quantile(rows["additional"], [0.025, 0.5, 0.975])
    return {"name": rows["name"].iloc[0], "label": rows["label"].iloc[0], "cost": float(rows["cost"].iloc[0]),
            "middle": float(middle), "low": float(low), "high": float(high),
            "chance_better": float((rows["additional"] > 0).mean())}  # fmt: skip


def _cloud(ax: Axes, rows: pd.DataFrame, look: tuple[str, str], top: float) -> None:
    s, (mark, colour) = _summary(rows), look
    ticks = np.repeat(np.quantile(rows["additional"], (np.arange(100) + 0.5) / 100), 3)
    tall = np.tile([-_TALL * top, _TALL * top, np.nan], 100)
    ax.plot(ticks, s["cost"] + tall, color=colour, linewidth=0.5, alpha=0.6)
    ax.plot([s["low"], s["high"]], [s["cost"]] * 2, color=colour, linewidth=2.4, solid_capstyle="butt")
    ax.plot([s["middle"]], [s["cost"]], mark, color=colour, markersize=8, markeredgecolor="white", label=s["label"])
