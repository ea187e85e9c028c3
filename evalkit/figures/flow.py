"""Who is in, and who is missing: a bar a component, from everybody down to those behind its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order, labels_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words, noun_from_column, plural

COLUMNS = ("component", "stage", "count")
_PIECES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("used", "had it, behind the answer", {"facecolor": style.BLUE, "edgecolor": style.BLUE}),
    ("left", "had it, could not be compared", {"facecolor": style.PALE, "edgecolor": style.BLUE, "hatch": "//////"}),
    ("never", "could be reached, never had it", {"facecolor": "white", "edgecolor": style.QUIET}),
    ("outside", "cannot be reached by it", {"facecolor": style.BAND, "edgecolor": style.QUIET, "hatch": "xxxx"}),
)
_LEAST = 0.06


def flow(
    source: object, *, labels: Mapping[str, str] | None = None, noun: str = "", width: float = style.WIDE
) -> Figure:
    """One bar a component, split into those behind its answer, those left out of it, those who never had it and
    those whom it cannot reach.

    source: an object with `.flow` (a report's safe evaluation), or the table: component, stage, count (NaN where
    hidden). Where any count is hidden the pieces are drawn of one size and say so. noun: what is counted.
    """
    table, names, unit = _inputs(source, labels, noun)
    shown = in_order(table["component"])
    phone = style.narrow(width)
    with style.theme():
        words = [names.get(c, c) for c in shown]
        figure = style.new_figure(width, 1.65 + style.rows_height(words) if phone else 1.15 + len(shown) * 0.42)
        ax = figure.subplots()
        at = style.place_rows(ax, words, phone)
        for y, component in zip(at, shown, strict=True):
            _bar(ax, y, _pieces(table, component))
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        ax.set_xlabel(f"{plural(unit)} out of every 100 in the study")
        figure.legend(handles=[Patch(label=words, **look) for _, words, look in _PIECES], loc="outside lower left",
                      ncols=1 if phone else 2, frameon=False)  # fmt: skip
        style.bare(ax)
    return figure


def flow_words(
    source: object, *, labels: Mapping[str, str] | None = None, noun: str = ""
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `flow`, from the same table."""
    table, names, unit = _inputs(source, labels, noun)
    shown = in_order(table["component"])
    everybody = _count(table, shown[0], "all") if shown else np.nan
    whole = count_words(int(everybody), unit) if everybody == everybody else f"The {plural(unit)}"
    title = f"{whole} in the study; how many stand behind each answer"
    alt = f"A bar for each of {count_words(len(shown), 'component')}: {plural(unit)} behind its answer, "
    alt += "left out of it, never with it, and beyond its reach."
    lines = [_line(names.get(c, c), table, c, unit) for c in shown]
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def _inputs(source: object, labels: Mapping[str, str] | None, noun: str) -> tuple[pd.DataFrame, dict[str, str], str]:
    table = frame_of(source, "flow", COLUMNS)
    study = getattr(source, "study", None)
    unit = noun or (noun_from_column(str(study.unit)) if study is not None else "unit")
    return table, labels_of(source, labels), unit


def _count(table: pd.DataFrame, component: str, stage: str) -> float:
    found = table[(table["component"] == component) & (table["stage"] == stage)]["count"]
    return float(found.iloc[0]) if len(found) else 0.0


def _pieces(table: pd.DataFrame, component: str) -> list[tuple[float, float, dict[str, Any]]]:
    """(width, count, look) of each piece; equal widths where a count is hidden, because a width is a number too."""
    rows = table[table["component"] == component]
    stages = [s for s, _, _ in _PIECES if s in set(rows["stage"])]
    if "used" not in stages:
        stages = ["had", *[s for s in stages if s not in ("used", "left")]]
    look = {s: kind for s, _, kind in _PIECES} | {"had": _PIECES[1][2]}
    counts = [_count(table, component, s) for s in stages]
    if any(n != n for n in counts) or sum(counts) <= 0:
        given = [(n, look[s]) for s, n in zip(stages, counts, strict=True) if n != 0]
        return [(1 / len(given), n, kind) for n, kind in given]
    return [(n / sum(counts), n, look[s]) for s, n in zip(stages, counts, strict=True)]


def _bar(ax: Axes, row: float, pieces: list[tuple[float, float, dict[str, Any]]]) -> None:
    at = 0.0
    for width, count, look in pieces:
        ax.barh(row, width, left=at, height=0.5, linewidth=0.8, **look)
        words = "hidden" if count != count else f"{count:,.0f}"
        if width > (_LEAST if count == count else 0.0):
            dark = look["facecolor"] == style.BLUE
            plate = None if dark else {"facecolor": "white", "edgecolor": "none", "boxstyle": "square,pad=0.15"}
            colour = "white" if dark else style.INK
            ax.text(at + width / 2, row, words, ha="center", va="center", fontsize=8, color=colour, bbox=plate)
        at += width


def _line(label: str, table: pd.DataFrame, component: str, unit: str) -> str:
    def said(stage: str) -> str:
        n = _count(table, component, stage)
        return "a number that is not published" if n != n else f"{n:,.0f}"

    rows = set(table.loc[table["component"] == component, "stage"])
    start = f"{label}: of {said('all')} {plural(unit)}, {said('outside')} cannot be reached and {said('reached')} can; "
    had = f"{said('never')} never had it and {said('had')} did"
    if "used" not in rows:
        return f"{start}{had}; no answer rests on them."
    return f"{start}{had}, of whom {said('used')} stand behind the answer and {said('left')} could not be compared."
