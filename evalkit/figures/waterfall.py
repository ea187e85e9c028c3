"""Where the result came from: what was expected without the programme, each piece, and what was seen."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import Axis, frame_of
from evalkit.figures.picture import Words
from evalkit.show.numbers import signed
from evalkit.show.words import count_words, full_stop

_COLUMNS = ("piece", "kind", "estimate", "conf_low", "conf_high", "people_periods")
_LOOK: dict[str, dict[str, Any]] = {
    "own": {"facecolor": style.BLUE, "edgecolor": style.BLUE},
    "interaction": {"facecolor": style.PALE, "edgecolor": style.BLUE},
    "bundle": {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "////"},
    "undivided": {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "////"},
    "beyond": {"facecolor": style.BAND, "edgecolor": style.RULE},
    "unexplained": {"facecolor": "white", "edgecolor": style.RULE, "hatch": "\\\\\\\\"},
    "total": {"facecolor": style.INK, "edgecolor": style.INK},
}
_LONG = 34


def waterfall(source: object, *, gross: bool = False, width: float = style.WIDE) -> Figure:
    """A bar a piece, each from where the last one ended, with its likely range; at the end the programme as a whole.

    source: an Attribution, an Evaluation, or the table of pieces. gross: begin at the outcome expected without
    the programme and end at the one seen, instead of from nothing to the programme's total. Bars differ by
    hatching too, and pieces without a number are named below the others. width: inches.
    """
    bars, _ = _bars(source, gross)
    phone = style.narrow(width)
    with style.theme():
        words = [w if phone else "\n".join(textwrap.wrap(w, _LONG)) for w in bars["piece"]]
        figure = style.new_figure(width, 0.8 + (style.rows_height(words) if phone else max(len(bars), 1) * 0.38))
        ax = figure.subplots()
        at = style.place_rows(ax, words, phone)
        for y, bar in zip(at, bars.to_dict("records"), strict=True):
            _draw(ax, y, bar)
        ax.margins(x=0.06)
        if not gross:
            ax.axvline(0, color=style.INK, linewidth=1, zorder=1)
        ax.set_xlabel(_unit(source), wrap=True)
        style.bare(ax)
    return figure


def waterfall_words(source: object, *, gross: bool = False) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `waterfall`."""
    bars, total = _bars(source, gross)
    pieces = bars[~bars["kind"].isin(["total", "gross", "without"])]
    given = pieces["estimate"].notna()
    unclear = int((given & ~(pieces["conf_low"] > 0) & ~(pieces["conf_high"] < 0)).sum())
    title = f"{count_words(int(given.sum()), 'piece')} make up the result; {unclear} could be nothing"
    alt = f"Waterfall: {count_words(int(given.sum()), 'piece')} that add up to the programme's total"
    alt += f" of {signed(total)}." if np.isfinite(total) else ", which cannot be given."
    lines = [_say(bar) for bar in bars.to_dict("records")]
    return Words(title, alt, "\n".join(lines)), bars.reset_index(drop=True)


def _bars(source: object, gross: bool) -> tuple[pd.DataFrame, float]:
    """Pieces with the start and stop of each bar, then the total; and the total."""
    made: Any = source if hasattr(source, "pieces") else getattr(source, "attribution", source)
    table = frame_of(made, "pieces", _COLUMNS)
    total = float(getattr(made, "total", table["estimate"].sum(min_count=1)))
    first = 0.0
    rows: list[dict[str, Any]] = []
    if gross:
        first = float(getattr(made, "expected_without", np.nan))
        if not np.isfinite(first):
            raise OptionError("gross=True needs an attribution with a total: nothing says what was expected without.")
        rows.append({"piece": "Expected without the programme", "kind": "without", "estimate": first})
    rows += table[list(_COLUMNS)].to_dict("records")
    at = first
    for row in rows[1:] if gross else rows:
        step = row["estimate"] if np.isfinite(row["estimate"]) else 0.0
        row |= {"start": at, "stop": at + step}
        at += step
    last: dict[str, Any] = {
        "piece": "Programme as a whole",
        "kind": "total",
        "estimate": total,
        "start": 0.0,
        "stop": total,
    }
    if gross:
        rows[0] |= {"start": 0.0, "stop": first}
        last = {
            "piece": "Seen",
            "kind": "gross",
            "estimate": float(made.gross),
            "start": 0.0,
            "stop": float(made.gross),
        }
    else:
        last |= {"conf_low": getattr(made, "total_low", np.nan), "conf_high": getattr(made, "total_high", np.nan)}
    return pd.DataFrame([*rows, last]), total


def _draw(ax: Axes, i: float, bar: dict[str, Any]) -> None:
    look = _LOOK.get(bar["kind"], _LOOK["total"])
    if not np.isfinite(bar["estimate"]):
        where = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8.5, "bbox": style.PLATE}
        ax.annotate("no number is given", (0.02, i), zorder=5, **where)
        return
    ax.barh(i, bar["stop"] - bar["start"], left=bar["start"], height=0.6, zorder=2, linewidth=0.9, **look)
    ends = np.array([bar.get("conf_low", np.nan), bar.get("conf_high", np.nan)], dtype=float)
    if np.isfinite(ends).all():
        low, high = bar["start"] + ends
        ax.plot([low, high], [i, i], color="white", linewidth=3.4, zorder=3, solid_capstyle="butt")
        ax.plot([low, high], [i, i], color=style.RUST, linewidth=1.6, zorder=4, marker="|", markersize=6)


def _unit(source: object) -> str:
    made: Any = source if hasattr(source, "pieces") else getattr(source, "attribution", source)
    outcome = getattr(made, "outcome", None)
    if outcome is None:
        return "people periods in the outcome's unit"
    if outcome.kind == "share":
        return f"people periods with: {outcome.label}"
    unit = "logs" if outcome.kind == "log" else Axis(outcome.kind).unit
    return f"{outcome.label}, summed over people periods ({unit})"


def _say(bar: dict[str, Any]) -> str:
    if not np.isfinite(bar["estimate"]):
        return f"{bar['piece']}: no number is given."
    low, high = bar.get("conf_low", np.nan), bar.get("conf_high", np.nan)
    number = signed(bar["estimate"]) if bar["kind"] not in ("gross", "without") else f"{bar['estimate']:,.4g}"
    if bar["kind"] in ("gross", "without"):
        return full_stop(f"{bar['piece']}: {number}")
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{bar['piece']}: {number}, without a likely range."
    return f"{bar['piece']}: {number} (likely range {signed(low)} to {signed(high)})."
