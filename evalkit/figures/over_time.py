"""The outcome itself, period by period: those with the programme, those without it, and what was to be expected."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.evaluation.over_time import SERIES
from evalkit.figures import style
from evalkit.figures.inputs import frame_of
from evalkit.language.axis import Axis, axis_of
from evalkit.show.words import count_words, period_words

_LINES = {
    "with_it": (style.BLUE, "-", 2.0), "without": (style.QUIET, "--", 1.4), "expected": (style.RUST, ":", 1.8),
}  # fmt: skip
SIDES = {"ever": ("Ever had a part", "Never had one"), "so far": ("Have a part by then", "Have none yet")}
"""What the two sides are called, by how they are made up."""
EXPECTED = "Expected without it"
_FEWEST = 2


def over_time(
    source: object, *, outcome: str | None = None, scale: object = None, period: str = "period", verdict: str = "",
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:  # fmt: skip
    """Mean outcome of those with the programme and of those without it in each period, and what those with it would
    have come to.

    source: an Evaluation, or its table `over_time`. outcome: a column, default the first of the table. scale: an
    Outcome or Evaluation, for units; logarithms are drawn as geometric means, shares in every 100. period: what one is
    called. verdict: that on the programme as a whole in words, for the title. The ground is shaded from the first start
    until all that ever begin have begun. Lines differ by dashes as well as colour.
    """
    table = frame_of(source, "over_time", SERIES)
    chosen = outcome if outcome is not None else (table["outcome"].iloc[0] if len(table) else "")
    axis = axis_of(source if scale is None else scale, outcome)
    return style.drawn(_draw, _say, (table[table["outcome"] == chosen], axis, period, verdict), width, ax)


def levels(values: object, kind: str) -> np.ndarray:
    """Levels of an outcome in the unit drawn: in every 100, geometric means, else as they are."""
    given = np.asarray(values, dtype=float)
    return 100 * given if kind == "share" else np.exp(given) if kind == "log" else given


def unit_of(axis: Axis) -> str:
    """The unit drawn, in words."""
    units = {"share": "in every 100", "log": "geometric mean", "count": "events each", "money": "money each"}
    return units.get(axis.kind, "mean")


def _draw(table: pd.DataFrame, axis: Axis, period: str, verdict: str, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.6 if style.narrow(where) else 3.3)
    at = np.arange(len(table))
    names = (*SIDES[str(table["groups"].iloc[0]) if len(table) else "ever"], EXPECTED)
    for (column, (colour, dashes, wide)), label in zip(_LINES.items(), names, strict=True):
        shown = levels(table[column], axis.kind)
        if np.isfinite(shown).any():
            ax.plot(at, shown, color=colour, linestyle=dashes, linewidth=wide, label=label)
    _shade(ax, table)
    low, high = ax.get_ylim()
    ax.set_ylim(0 if 0 < low < 0.5 * high else low, high)
    ticks = np.unique(np.linspace(0, max(len(table) - 1, 0), 3 if style.narrow(where) else 6).astype(int))
    ax.set_xticks(ticks, [period_words(table["period"].iloc[i]) for i in ticks] if len(table) else [])
    ax.set_ylabel(unit_of(axis))
    style.bare(ax, ("bottom", "left"))
    if ax.lines:
        style.legend_below(where, ax, 1 if style.narrow(where) else 3)
    return ax


def _shade(ax: Axes, table: pd.DataFrame) -> None:
    """A ground from the first start until nobody begins any more."""
    begun = table["started"].to_numpy(dtype=float)
    if len(table) and table["groups"].iloc[0] == "ever":  # else those with it are those who have begun
        begun = begun / np.maximum(table["people_with"].to_numpy(dtype=float), 1.0)
    some = np.flatnonzero(begun > 0)
    if len(some):
        done = np.flatnonzero(begun >= np.nanmax(begun) - 1e-9)
        ax.axvspan(some[0] - 0.5, max(done[0] if len(done) else some[-1], some[0]) + 0.5, color=style.PALE, linewidth=0)
        ax.annotate("starts", (some[0], 1), xycoords=("data", "axes fraction"), fontsize=8.5, va="bottom")


def _say(table: pd.DataFrame, axis: Axis, period: str, verdict: str) -> style.Told:
    last = table[table[["with_it", "without"]].notna().all(axis=1)].tail(1)
    what = axis.label or "The outcome"
    title = f"{what} with and without the programme, {period} by {period}"
    title += f" (programme: {verdict.lower()})" if verdict else ""
    alt = f"{what}, {unit_of(axis)}, in {count_words(len(table), period)}, for those with the programme and without it."
    if len(last):
        row = last.iloc[0]
        alt += (
            f" In {period_words(row['period'])}, the last {period} with both, {said(row['with_it'], axis)} with it and"
        )
        alt += f" {said(row['without'], axis)} without it"
        alt += f"; {said(row['expected'], axis)} were to be expected." if row["expected"] == row["expected"] else "."
    lines = []
    for row in table.iloc[picked(table)].to_dict("records"):
        more = f", expected {said(row['expected'], axis)}" if row["expected"] == row["expected"] else ""
        both = f"{said(row['with_it'], axis)} with it, {said(row['without'], axis)} without"
        lines.append(f"{period_words(row['period'])}: {both}{more}.")
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def picked(table: pd.DataFrame, most: int = 6) -> np.ndarray:
    """Positions of a few periods: the first, the last, and evenly between."""
    return np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int))


def said(value: float, axis: Axis) -> str:
    """A level in the unit drawn, in three digits, people in whole numbers: '37', '0.41', 'not given'."""
    if value != value:
        return "not given"
    shown = float(levels(value, axis.kind))
    if axis.kind == "share":
        return f"{shown:.0f}" if shown >= _FEWEST else f"{shown:.1f}"
    return f"{shown:,.0f}" if abs(shown) >= 1000 else f"{shown:#.3g}".rstrip(".").replace("-", "−")
