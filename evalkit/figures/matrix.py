"""What can be told apart from what, and by which comparisons: a component by component matrix."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalkit.components.separability import STATUS_SHAPES, STATUS_WORDS
from evalkit.figures import style
from evalkit.figures.inputs import Labels, frame_of, labels_of
from evalkit.show.words import count_words, join_words

WAYS = {"by_time": "time", "by_place": "place", "by_people": "people", "by_dose": "dose"}
_PAIRS = ("a", "b", *WAYS, "separable")

Shown = tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]
"""Components with their statuses, pairs, and words for components."""


def separability(
    source: object, pairs: pd.DataFrame | None = None, *, labels: Labels = None, width: float = style.WIDE
) -> Figure:
    """A row and a column a component; each cell says by what the two are told apart; statuses at the side.

    source: a Separability, an Evaluation, or its table of components with `pairs`
    beside it. Cells that cannot be told apart are hatched and say "no".
    """
    names = labels_of(source, labels)
    if not isinstance(source, pd.DataFrame):
        own = isinstance(getattr(source, "pairs", None), pd.DataFrame)
        found = source if own else getattr(source, "separability", source)
        names = names or labels_of(found)
        source, pairs = found, getattr(found, "pairs", None)
    components = frame_of(source, "components", ("component", "status", "reason"))
    return style.drawn(_draw, _say, (components, frame_of(pairs, "pairs", _PAIRS), names), width)


def _draw(shown: Shown, width: float) -> Figure:
    components, table, names = shown
    phone = style.narrow(width)
    k = max(len(components), 1)
    if phone:
        figure = style.new_figure(width, 0.8 + width * 0.92 + 0.36 * k + 0.6)
        ax, side = figure.subplots(2, 1, height_ratios=[width * 0.92, 0.36 * k + 0.4])
    else:
        figure = style.new_figure(width, 1.0 + 0.62 * k)
        side, ax = figure.subplots(1, 2, width_ratios=[3.1, 4.4])
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
    return figure


def _say(shown: Shown) -> style.Told:
    components, table, names = shown
    status: dict[str, Any] = dict(zip(components["component"], components["status"], strict=True))
    apart = sum(s == "separable" for s in status.values())
    title = f"{count_words(apart, 'component')} of {len(status)} can be told apart from the others"
    alt = f"Matrix of {count_words(len(status), 'component')}: "
    alt += f"{int(table['separable'].sum())} of {count_words(len(table), 'pair')} can be told apart."
    for kind, words in STATUS_WORDS.items():
        members = [names.get(c, str(c)) for c, s in status.items() if s == kind]
        alt += f" {words[:1].upper()}{words[1:]}: {join_words(members)}." if members else ""
    reasons = dict(zip(components["component"], components["reason"], strict=True))
    lines = []
    for c, s in status.items():
        why = f" ({reasons[c].rstrip('.')})" if isinstance(reasons[c], str) and reasons[c] else ""
        lines.append(f"{names.get(c, c)}: {STATUS_WORDS.get(s, s)}{why}.")
    for row in table.to_dict("records"):
        ways = join_words(_ways(row))
        but = f" (something differs by {ways}, but not enough)" if ways else ""
        told = f"told apart{' by ' + ways if ways else ''}" if row["separable"] else f"not told apart{but}"
        lines.append(f"{names.get(row['a'], row['a'])} and {names.get(row['b'], row['b'])}: {told}.")
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _ways(row: Mapping[Hashable, Any]) -> list[str]:
    return [word for column, word in WAYS.items() if row[column]]


def _cells(ax: Axes, table: pd.DataFrame, order: list[str], phone: bool) -> None:
    k = len(order)
    at = {c: i for i, c in enumerate(order)}
    for row in table.to_dict("records"):
        i, j = at[row["a"]], at[row["b"]]
        for x, y in ((i, j), (j, i)):
            _cell(ax, x, y, row, phone)
    for i in range(k):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor=style.BAND, edgecolor="white", linewidth=1.5))
        ax.text(i, i, str(i + 1), ha="center", va="center", fontsize=9, fontweight="bold", color=style.QUIET)
    ax.set_xlim(-0.5, k - 0.5)
    ax.set_ylim(k - 0.5, -0.5)
    ax.set_xticks(range(k), [str(i + 1) for i in range(k)], fontweight="bold")
    ax.set_yticks(range(k), [str(i + 1) for i in range(k)], fontweight="bold")
    ax.xaxis.tick_top()
    style.bare(ax, keep=())
    if phone:
        ax.set_xlabel("T time, P place, W who (people), D dose; hatched: no")


def _cell(ax: Axes, x: int, y: int, row: Mapping[Hashable, Any], phone: bool) -> None:
    yes = bool(row["separable"])
    look = {"facecolor": style.PALE} if yes else {"facecolor": "white", "hatch": "//"}
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, edgecolor=style.RULE, linewidth=0.8, **look))
    ways = _ways(row)
    short = {"time": "T", "place": "P", "people": "W", "dose": "D"}
    words = " ".join(short[w] for w in ways) if phone else "\n".join(ways)
    words = (words or "yes") if yes else "no"
    box = {"boxstyle": "square,pad=0.15", "facecolor": style.PALE if yes else "white", "edgecolor": "none"}
    ax.text(x, y, words, ha="center", va="center", fontsize=8 if phone else 8.5, linespacing=1.1, bbox=box)
