"""From an Estimate, or its table, to figures: rows of event times, and a dot with its interval for every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import check_has, frame_of
from evalkit.inference import Estimate, Interval
from evalkit.inference.labels import row_names
from evalkit.language.axis import Axis, axis_of
from evalkit.show.words import count_words
from evalkit.study import Outcome

_NEEDED = ("estimate", "conf_low", "conf_high")


def event_table(source: Estimate | pd.DataFrame) -> pd.DataFrame:
    """Rows by event time with intervals and simultaneous bands, from an Estimate (by cohort and period, or by event
    time) or from its table; raises `OptionError` where there are no event times."""
    if isinstance(source, Estimate):
        if "event_time" not in source.labels:
            raise OptionError("This Estimate has no event times. Use ek.plot.estimates, or aggregate('event_time').")
        est = source.aggregate("event_time") if "cohort" in source.labels and "period" in source.labels else source
        band = est.interval("simultaneous")
        source = est.to_frame().assign(band_low=band["conf_low"], band_high=band["conf_high"])
    if "event_time" not in source.columns:
        raise OptionError(f"The table lacks the column event_time. It has: {', '.join(map(str, source.columns))}.")
    filled = {"component": "effect", "reason": "", "band_low": np.nan, "band_high": np.nan}
    return source.assign(**{c: v for c, v in filled.items() if c not in source.columns})


def estimates(
    source: Estimate | Interval | pd.DataFrame,
    *,
    scale: Outcome | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A dot with its interval for each row of an Estimate, an Interval or their table, in the order of the rows.

    scale: the outcome, for its unit. ax: axes to draw into, which are given back; else a figure of its own."""
    check_has(source, "to_frame")
    table = source if isinstance(source, pd.DataFrame) else source.to_frame()
    rows, unit = frame_of(table, "", _NEEDED), axis_of(scale) if scale is not None else Axis()
    names = row_names(rows) if "component" in rows or "event_time" in rows else [f"row {i}" for i in range(len(rows))]
    return style.drawn(_draw, _say, (rows, names, unit), width, ax)


def _draw(rows: pd.DataFrame, names: list[str], unit: Axis, where: style.Where) -> Axes:
    ax, at = style.rows_axes(where, names, 0.8, 0.36)
    _marks(ax, rows, unit, at)
    style.bare(ax, keep=("bottom",))
    return ax


def _marks(ax: Axes, rows: pd.DataFrame, unit: Axis, at: list[float]) -> None:
    value, low, high = (unit.show(rows[c]) for c in _NEEDED)
    ax.axvline(0, color=style.INK, linewidth=1)
    for edge in unit.edges:
        ax.axvline(edge, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.hlines(at, low, high, color=style.BLUE, linewidth=2, zorder=3)
    ax.plot(value, at, "o", color=style.BLUE, markersize=6, linestyle="none", zorder=4)
    ax.set_xlabel(f"effect, {unit.unit}" if unit.kind != "score" or unit.label else "effect")


def _say(rows: pd.DataFrame, names: list[str], unit: Axis) -> style.Told:
    given = rows[list(_NEEDED)].notna().all(axis=1).to_numpy()
    away = int((given & ((rows["conf_low"] > 0) | (rows["conf_high"] < 0)).to_numpy()).sum())
    title = f"{away} of {count_words(len(rows), 'interval')} exclude zero"
    lines = [
        f"{name}: {unit.span(r['estimate'], r['conf_low'], r['conf_high']) if ok else 'no interval is given'}."
        for name, ok, r in zip(names, given, rows.to_dict("records"), strict=True)
    ]
    return title, f"Estimates with their intervals: {title}.", "\n".join(lines), rows.reset_index(drop=True)
