"""What can be told apart from what, and by which comparisons: a component by component matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalkit.components.separability import STATUS_SHAPES, STATUS_WORDS
from evalkit.figures import style
from evalkit.figures.inputs import frame_of, labels_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words, join_words

WAYS = {"by_time": "time", "by_place": "place", "by_people": "people", "by_dose": "dose"}
_PAIRS = ("a", "b", *WAYS, "separable")


def separability(
    source: object,
    pairs: pd.DataFrame | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    width: float = style.WIDE,
) -> Figure:
    """A row and a column a component; each cell says by what the two are told apart; statuses at the side.

    source: a Separability, an Evaluation, or its table of components with `pairs`
    beside it. Cells that cannot be told apart are hatched and say "no".
    """
    components, table, names = _inputs(source, pairs, labels)
    order = list(components["component"])
    phone = style.narrow(width)
    k = max(len(order), 1)
    with style.theme():
        if phone:
            figure = style.new_figure(width, 0.8 + width * 0.92 + 0.36 * k + 0.6)
            ax, side = figure.subplots(2, 1, height_ratios=[width * 0.92, 0.36 * k + 0.4])
        else:
            figure = style.new_figure(width, 1.0 + 0.62 * k)
            side, ax = figure.subplots(1, 2, width_ratios=[3.1, 4.4])
        _cells(ax, table, order, phone)
        _side(side, components, names, phone)
    return figure


def separability_words(
    source: object, pairs: pd.DataFrame | None = None, *, labels: Mapping[str, str] | None = None
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `separability`, from the same tables."""
    components, table, names = _inputs(source, pairs, labels)
    status = dict(zip(components["component"], components["status"], strict=True))
    apart = [c for c, s in status.items() if s == "separable"]
    title = f"{count_words(len(apart), 'component')} of {len(status)} can be told apart from the others"
    told = int(table["separable"].sum())
    alt = f"Matrix of {count_words(len(status), 'component')}: "
    alt += f"{told} of {count_words(len(table), 'pair')} can be told apart. " + _alt_statuses(status, names)
    lines = [f"{names.get(c, c)}: {STATUS_WORDS.get(s, s)}{_because(components, c)}." for c, s in status.items()]
    lines += [_pair_words(row, names) for row in table.to_dict("records")]
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def _alt_statuses(status: dict[str, str], names: Mapping[str, str]) -> str:
    parts = []
    for kind, words in STATUS_WORDS.items():
        members = [names.get(c, c) for c, s in status.items() if s == kind]
        if members:
            parts.append(f"{words[:1].upper()}{words[1:]}: {join_words(members)}.")
    return " ".join(parts)


def _because(components: pd.DataFrame, component: str) -> str:
    reason = components.set_index("component")["reason"].get(component, "")
    return f" ({str(reason).rstrip('.')})" if isinstance(reason, str) and reason else ""


def _ways(row: Mapping[str, Any]) -> list[str]:
    return [word for column, word in WAYS.items() if row[column]]


def _pair_words(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    pair = f"{names.get(row['a'], row['a'])} and {names.get(row['b'], row['b'])}"
    ways = _ways(row)
    if row["separable"]:
        return f"{pair}: told apart{' by ' + join_words(ways) if ways else ''}."
    return (
        f"{pair}: not told apart{' (something differs by ' + join_words(ways) + ', but not enough)' if ways else ''}."
    )


def _inputs(
    source: object, pairs: pd.DataFrame | None, labels: Mapping[str, str] | None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    names = labels_of(source, labels)
    if not isinstance(source, pd.DataFrame):
        own = isinstance(getattr(source, "pairs", None), pd.DataFrame)
        found: Any = source if own else getattr(source, "separability", source)
        names = names or labels_of(found)
        source, pairs = found.components, found.pairs
    components = frame_of(source, "components", ("component", "status", "reason"))
    return components, frame_of(pairs, "pairs", _PAIRS), names


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


def _cell(ax: Axes, x: int, y: int, row: Mapping[str, Any], phone: bool) -> None:
    yes = bool(row["separable"])
    look = {"facecolor": style.PALE} if yes else {"facecolor": "white", "hatch": "//"}
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, edgecolor=style.RULE, linewidth=0.8, **look))
    ways = _ways(row)
    short = {"time": "T", "place": "P", "people": "W", "dose": "D"}
    words = " ".join(short[w] for w in ways) if phone else "\n".join(ways)
    words = (words or "yes") if yes else "no"
    box = {"boxstyle": "square,pad=0.15", "facecolor": style.PALE if yes else "white", "edgecolor": "none"}
    ax.text(x, y, words, ha="center", va="center", fontsize=8 if phone else 8.5, linespacing=1.1, bbox=box)


def _side(ax: Axes, components: pd.DataFrame, names: Mapping[str, str], phone: bool) -> None:
    """Names and statuses, on the rows of the matrix (or below it on a telephone)."""
    for i, row in enumerate(components[["component", "status"]].to_dict("records")):
        shape, words = STATUS_SHAPES.get(row["status"], ""), STATUS_WORDS.get(row["status"], row["status"])
        ax.text(0, i - 0.02, f"{i + 1}  {names.get(row['component'], row['component'])}", va="bottom", fontsize=9)
        ax.text(0.035, i + 0.06, f"{shape} {words}", va="top", fontsize=8.5, color=style.QUIET)
    ax.set_xlim(0, 1)
    ax.set_ylim(np.nextafter(len(components) - 0.5, 9e9), -0.5)
    ax.set_axis_off()
    if phone:
        ax.set_title("Components")
