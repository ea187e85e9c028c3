"""What we found for each component, refusals included: one row a component, in the order of the register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalkit.figures import style
from evalkit.figures.inputs import Axis, axis_of, frame_of, labels_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words, join_words
from evalkit.study import Outcome

VERDICT_WORDS = {
    "shown": "Shown",
    "likely": "Likely",
    "cannot_tell_apart": "Cannot tell apart",
    "cannot_tell": "Cannot tell",
    "no_sign": "No sign",
    "not_tested": "Not tested",
}
_COLUMNS = ("component", "outcome", "verdict", "estimate", "conf_low", "conf_high")
_LOOK: dict[str, dict[str, Any]] = {
    "shown": {"marker": "o", "color": style.BLUE},
    "likely": {"marker": "o", "color": style.BLUE, "fillstyle": "left"},
    "no_sign": {"marker": "s", "color": style.INK, "fillstyle": "none"},
    "cannot_tell": {"marker": "o", "color": style.INK, "fillstyle": "none"},
}
_FAR = 3.0  # times the middle end of the intervals: what lies beyond would flatten all the rest


def forest(
    source: object,
    effects: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Mapping[str, str] | None = None,
    scale: Outcome | None = None,
    width: float = style.WIDE,
) -> Figure:
    """One row a component: estimate, interval, verdict; refused ones are a grey band with the words in it.

    source: an Evaluation or its table of verdicts. effects: the table of effects; the
    other designs' estimates are drawn as small ticks. outcome: which one, default the
    first. scale: an Outcome, when only tables are given. Lines at zero and, where the
    outcome has one, at plus and minus what matters. An interval far wider than the others ends in an arrow.
    """
    rows, names, unit = _inputs(source, effects, outcome, labels, scale)
    phone = style.narrow(width)
    words = _labels(rows, names, unit, phone)
    with style.theme():
        figure = style.new_figure(width, 1.0 + (style.rows_height(words) if phone else len(rows) * 0.36))
        ax = figure.subplots()
        ax.set_xlim(*_limits(rows, unit))
        at = style.place_rows(ax, words, phone)
        _lines(ax, unit)
        for y, row in zip(at, rows.to_dict("records"), strict=True):
            _row(ax, y, row, unit, phone)
        others = _ticks_of_designs(ax, rows, effects, unit, at)
        key = "\nshort ticks below: the answers of other designs" if others else ""
        ax.set_xlabel(f"{unit.ways[0]} ← {unit.unit} → {unit.ways[1]}{key}")
        style.bare(ax)
    return figure


def forest_words(
    source: object,
    effects: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Mapping[str, str] | None = None,
    scale: Outcome | None = None,
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `forest`, from the same table."""
    rows, names, unit = _inputs(source, effects, outcome, labels, scale)
    good = [r for r in rows.to_dict("records") if r["verdict"] in ("shown", "likely")]
    refused = int((~_drawn(rows)).sum())
    title = _finding(len(good), refused, len(rows))
    about = f" on {unit.label[:1].lower()}{unit.label[1:]}" if unit.label else ""
    alt = f"Forest plot of {count_words(len(rows), 'component')}: effects{about}, in {unit.unit}, with likely ranges. "
    shown = [f"{names.get(r['component'], r['component'])} {_span(r, unit).partition(' (')[0]}" for r in good]
    alt += f"Stood out: {join_words(shown)}. " if shown else "None stood out. "
    alt += f"{count_words(refused, 'row')} drawn as a grey band because no effect can be given." if refused else ""
    lines = [_row_words(r, names, unit) for r in rows.to_dict("records")]
    data = rows.assign(**{f"{c}_shown": unit.show(rows[c]) for c in ("estimate", "conf_low", "conf_high")})
    return Words(title, alt.strip(), "\n".join(lines)), data.assign(unit_shown=unit.unit).reset_index(drop=True)


def _inputs(
    source: object,
    effects: pd.DataFrame | None,
    outcome: str | None,
    labels: Mapping[str, str] | None,
    scale: Outcome | None,
) -> tuple[pd.DataFrame, dict[str, str], Axis]:
    table = frame_of(source, "verdicts", _COLUMNS)
    chosen = outcome if outcome is not None else (table["outcome"].iloc[0] if len(table) else None)
    unit = axis_of(scale if scale is not None else source, chosen)
    keep = [c for c in (*_COLUMNS, "direction", "clusters_exposed", "clusters_comparison") if c in table]
    rows = table.loc[table["outcome"] == chosen, keep]
    found = effects if effects is not None else getattr(source, "effects", None)
    return _with_errors(rows, found), labels_of(source, labels), unit


def _with_errors(rows: pd.DataFrame, effects: pd.DataFrame | None) -> pd.DataFrame:
    """The rows with the headline's standard error, by which the sentences round their numbers."""
    if effects is None or effects.empty:
        return rows.assign(std_error=np.nan)
    heads = effects[effects["headline"].astype(bool)].drop_duplicates(["component", "outcome"])
    key = ["component", "outcome"]
    return rows.merge(heads[[*key, "std_error"]], on=key, how="left")


def _drawn(rows: pd.DataFrame) -> np.ndarray:
    refused = rows["verdict"].isin(["not_tested", "cannot_tell_apart"])
    return (rows[["estimate", "conf_low", "conf_high"]].notna().all(axis=1) & ~refused).to_numpy()


def _limits(rows: pd.DataFrame, unit: Axis) -> tuple[float, float]:
    ends = unit.show(rows.loc[_drawn(rows), ["conf_low", "conf_high"]].to_numpy(dtype=np.float64)).ravel()
    edge = [] if unit.matters is None else [*unit.show([unit.matters, -unit.matters])]
    points = unit.show(rows.loc[_drawn(rows), "estimate"].to_numpy(dtype=np.float64))
    must = np.array([0.0, *points, *edge])
    reach = max(_FAR * float(np.median(np.abs(ends))) if len(ends) else 0.0, 1.2 * float(np.abs(must).max()))
    low, high = max(min(0.0, *ends, *must), -reach), min(max(0.0, *ends, *must), reach)
    room = (high - low or 1.0) * 0.06
    return low - room, high + room


def _lines(ax: Axes, unit: Axis) -> None:
    ax.axvline(0, color=style.INK, linewidth=1, zorder=1)
    if unit.matters is None:
        return
    for value, side in zip(unit.show([-unit.matters, unit.matters]), ("right", "left"), strict=True):
        ax.axvline(value, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            "matters",
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3 if side == "right" else -3, 2),
            ha=side,
            textcoords="offset points",
            fontsize=8,
            color=style.QUIET,
        )


def _row(ax: Axes, i: float, row: Mapping[str, Any], unit: Axis, phone: bool) -> None:
    frame = pd.DataFrame([row])
    if not _drawn(frame)[0]:
        low, high = ax.get_xlim()
        ax.add_patch(Rectangle((low, i - 0.3), high - low, 0.6, facecolor=style.BAND, edgecolor="none", zorder=2))
        words = VERDICT_WORDS.get(row["verdict"], row["verdict"])
        ax.text((low + high) / 2, i, f"{words}: no effect given", ha="center", va="center", fontsize=9, zorder=3)
        return
    value, low, high = (float(unit.show(row[c])) for c in ("estimate", "conf_low", "conf_high"))
    look = _LOOK.get(row["verdict"], _LOOK["cannot_tell"])
    ax.plot([low, high], [i, i], color=look["color"], linewidth=2, zorder=3, solid_capstyle="butt")
    face = {"markerfacecolor": "white"} if look.get("fillstyle") == "none" else {"markerfacecoloralt": "white"}
    style_of = {k: v for k, v in look.items() if k != "fillstyle" or v != "none"}
    ax.plot([value], [i], markersize=8, linestyle="none", zorder=4, markeredgewidth=1.4, **style_of, **face)
    _cut(ax, i, low, high, look["color"])
    if phone:
        return
    ax.annotate(
        _span(row, unit),
        (1, i),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        annotation_clip=False,
    )


def _cut(ax: Axes, i: float, low: float, high: float, color: str) -> None:
    """An arrow where an interval goes beyond the picture."""
    left, right = ax.get_xlim()
    for beyond, edge, mark in ((low < left, left, "<"), (high > right, right, ">")):
        if beyond:
            ax.plot([edge], [i], mark, color=color, markersize=6, clip_on=False, zorder=4)


def _ticks_of_designs(ax: Axes, rows: pd.DataFrame, effects: pd.DataFrame | None, unit: Axis, at: list[float]) -> bool:
    """The answers of the other designs, as small ticks under the interval, inside the limits only: whether any."""
    any_drawn = False
    if effects is None or effects.empty or rows.empty:
        return False
    low, high = ax.get_xlim()
    other = effects[(effects["outcome"] == rows["outcome"].iloc[0]) & ~effects["headline"].astype(bool)]
    drawn = _drawn(rows)
    for i, component in enumerate(rows["component"]):
        values = unit.show(other.loc[other["component"] == component, "estimate"])
        values = values[np.isfinite(values) & (values > low) & (values < high)]
        if drawn[i] and len(values):
            ax.plot(
                values, np.full(len(values), at[i] + 0.24), "|", color=style.QUIET, markersize=5, markeredgewidth=1.1
            )
            any_drawn = True
    return any_drawn


def _labels(rows: pd.DataFrame, names: Mapping[str, str], unit: Axis, phone: bool) -> list[str]:
    """What stands beside each row: component and verdict; in a narrow figure the figures too."""
    words = []
    for row, drawn in zip(rows.to_dict("records"), _drawn(rows), strict=True):
        verdict = VERDICT_WORDS.get(row["verdict"], row["verdict"])
        span = f": {_span(row, unit)}" if phone and drawn else ""
        words.append(f"{names.get(row['component'], row['component'])}\n{verdict}{span}")
    return words


def _finding(good: int, refused: int, rows: int) -> str:
    stood = f"{good} of {rows} components stood out" if good else f"None of {rows} components stood out clearly"
    return f"{stood}; {refused} could not be given an effect" if refused else stood


def _row_words(row: Mapping[str, Any], names: Mapping[str, str], unit: Axis) -> str:
    start = (
        f"{names.get(row['component'], row['component'])}: {VERDICT_WORDS.get(row['verdict'], row['verdict']).lower()}"
    )
    if not _drawn(pd.DataFrame([row]))[0]:
        return f"{start}; no effect is given."
    return f"{start}; {_span(row, unit)}{unit.after}, with the likely range in brackets."


def _span(row: Mapping[str, Any], unit: Axis) -> str:
    error = row.get("std_error", np.nan)
    return unit.span(row["estimate"], row["conf_low"], row["conf_high"], error)
