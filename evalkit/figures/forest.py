"""What we found for each component, refusals included; and whether one place carries the result. A row a component."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalkit.figures import style
from evalkit.figures.estimates import estimates
from evalkit.figures.inputs import Labels, frame_of, in_order, labels_of
from evalkit.inference import Estimate, Interval
from evalkit.language.axis import Axis, axis_of
from evalkit.language.templates import VERDICT_WORDS
from evalkit.show.words import count_words, join_words
from evalkit.study import Outcome

_COLUMNS = ("component", "outcome", "verdict", "estimate", "conf_low", "conf_high")
_LOOK: dict[str, dict[str, Any]] = {
    "shown": {"marker": "o", "color": style.BLUE, "markerfacecoloralt": "white"},
    "likely": {"marker": "o", "color": style.BLUE, "fillstyle": "left", "markerfacecoloralt": "white"},
    "no_sign": {"marker": "s", "color": style.INK, "markerfacecolor": "white"},
    "cannot_tell": {"marker": "o", "color": style.INK, "markerfacecolor": "white"},
}
_FAR = 3.0  # times the middle end of the intervals: what lies beyond would flatten all the rest

Row = Mapping[Hashable, Any]
Names = dict[str, str]


def forest(
    source: object,
    effects: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Labels = None,
    scale: Outcome | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """One row a component: estimate, interval, verdict; refused ones are a grey band with the words in it.

    source: an Evaluation or its table of verdicts; of an Estimate, an Interval or their table, which know no verdict,
    the rows are drawn as `estimates` draws them. effects: the table of effects; the
    other designs' estimates are drawn as small ticks. outcome: which one, default the
    first. scale: an Outcome, when only tables are given. Lines at zero and, where the
    outcome has one, at plus and minus what matters. An interval far wider than the others ends in an arrow."""
    bare = isinstance(source, pd.DataFrame) and "verdict" not in source and set(_COLUMNS[3:]) <= set(source)
    if bare or isinstance(source, Estimate | Interval):
        return estimates(source, scale=scale, width=width, ax=ax)
    table = frame_of(source, "verdicts", _COLUMNS)
    chosen = outcome if outcome is not None else table["outcome"].iloc[0] if len(table) else None
    keep = [c for c in (*_COLUMNS, "direction", "clusters_exposed", "clusters_comparison") if c in table]
    rows = table.loc[table["outcome"] == chosen, keep]
    found = effects if effects is not None else getattr(source, "effects", None)
    if found is None or found.empty:
        rows = rows.assign(std_error=np.nan)
    else:  # the sentences round by the standard error
        key = ["component", "outcome"]
        heads = found[found["headline"].astype(bool)].drop_duplicates(key)
        rows = rows.merge(heads[[*key, "std_error"]], on=key, how="left")
    unit = axis_of(scale if scale is not None else source, chosen)
    return style.drawn(_draw_forest, _forest_words, (rows, effects, labels_of(source, labels), unit), width, ax)


def _draw_forest(
    rows: pd.DataFrame, effects: pd.DataFrame | None, names: Names, unit: Axis, where: style.Where
) -> Axes:
    phone, drawn = style.narrow(where), _drawn(rows)
    words = [
        f"{names.get(r['component'], r['component'])}\n{_verdict(r)}{f': {_span(r, unit)}' if phone and given else ''}"
        for r, given in zip(rows.to_dict("records"), drawn, strict=True)
    ]
    ax, at = style.rows_axes(where, words, 1.0, 0.36)
    ax.set_xlim(*_limits(rows[drawn], unit))
    ax.axvline(0, color=style.INK, linewidth=1, zorder=1)
    for value, side in zip(unit.edges, ("right", "left"), strict=False):
        ax.axvline(value, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": side}
        ax.annotate("matters", (value, 1), xytext=(3 if side == "right" else -3, 2), fontsize=8, color=style.QUIET,
                    **where)  # fmt: skip
    for y, row, given in zip(at, rows.to_dict("records"), drawn, strict=True):
        if not given:
            low, high = ax.get_xlim()
            ax.add_patch(Rectangle((low, y - 0.3), high - low, 0.6, facecolor=style.BAND, edgecolor="none", zorder=2))
            said = f"{_verdict(row)}: no effect given"
            ax.text((low + high) / 2, y, said, ha="center", va="center", fontsize=9, zorder=3)
            continue
        _interval(ax, y, row, unit)
        if not phone:
            style.beside(ax, y, _span(row, unit))
    others = _ticks_of_designs(ax, rows, effects, unit, at)
    key = "\nshort ticks below: the answers of other designs" if others else ""
    ax.set_xlabel(f"{unit.ways[0]} ← {unit.unit} → {unit.ways[1]}{key}")
    style.bare(ax)
    return ax


def _forest_words(rows: pd.DataFrame, _: object, names: Names, unit: Axis) -> style.Told:
    records, drawn = rows.to_dict("records"), _drawn(rows)
    good, refused = [r for r in records if r["verdict"] in ("shown", "likely")], int((~drawn).sum())
    title = f"{len(good)} of {len(rows)} components stood out"
    title = title if good else f"None of {len(rows)} components stood out clearly"
    title += f"; {refused} could not be given an effect" if refused else ""
    about = f" on {unit.label[:1].lower()}{unit.label[1:]}" if unit.label else ""
    alt = f"Forest plot of {count_words(len(rows), 'component')}: effects{about}, in {unit.unit}, with likely ranges. "
    stood = [f"{names.get(r['component'], r['component'])} {_span(r, unit).partition(' (')[0]}" for r in good]
    alt += f"Stood out: {join_words(stood)}. " if stood else "None stood out. "
    alt += f"{count_words(refused, 'row')} drawn as a grey band because no effect can be given." if refused else ""
    lines = []
    for r, given in zip(records, drawn, strict=True):
        effect = f"{_span(r, unit)}{unit.after}, with the likely range in brackets" if given else "no effect is given"
        lines.append(f"{names.get(r['component'], r['component'])}: {_verdict(r).lower()}; {effect}.")
    data = rows.assign(**{f"{c}_shown": unit.show(rows[c]) for c in ("estimate", "conf_low", "conf_high")})
    return title, alt.strip(), "\n".join(lines), data.assign(unit_shown=unit.unit).reset_index(drop=True)


def _verdict(row: Row) -> str:
    return VERDICT_WORDS.get(row["verdict"], str(row["verdict"]))


def _span(row: Row, unit: Axis) -> str:
    return unit.span(row["estimate"], row["conf_low"], row["conf_high"], row.get("std_error", np.nan))


def _drawn(rows: pd.DataFrame) -> np.ndarray:
    refused = rows["verdict"].isin(["not_tested", "cannot_tell_apart"])
    return (rows[["estimate", "conf_low", "conf_high"]].notna().all(axis=1) & ~refused).to_numpy()


def _limits(drawn: pd.DataFrame, unit: Axis) -> tuple[float, float]:
    ends = unit.show(drawn[["conf_low", "conf_high"]].to_numpy(dtype=np.float64)).ravel()
    must = np.array([0.0, *unit.show(drawn["estimate"].to_numpy(dtype=np.float64)), *unit.edges])
    reach = max(_FAR * float(np.median(np.abs(ends))) if len(ends) else 0.0, 1.2 * float(np.abs(must).max()))
    low, high = max(min(0.0, *ends, *must), -reach), min(max(0.0, *ends, *must), reach)
    room = (high - low or 1.0) * 0.06
    return low - room, high + room


def _interval(ax: Axes, y: float, row: Row, unit: Axis) -> None:
    """A mark on its interval, which ends in an arrow where it goes beyond the picture."""
    value, low, high = (float(unit.show(row[c])) for c in ("estimate", "conf_low", "conf_high"))
    look = _LOOK.get(row["verdict"], _LOOK["cannot_tell"])
    ax.plot([low, high], [y, y], color=look["color"], linewidth=2, zorder=3, solid_capstyle="butt")
    ax.plot([value], [y], markersize=8, linestyle="none", zorder=4, markeredgewidth=1.4, **look)
    left, right = ax.get_xlim()
    for beyond, edge, mark in ((low < left, left, "<"), (high > right, right, ">")):
        if beyond:
            ax.plot([edge], [y], mark, color=look["color"], markersize=6, clip_on=False, zorder=4)


def _ticks_of_designs(ax: Axes, rows: pd.DataFrame, effects: pd.DataFrame | None, unit: Axis, at: list[float]) -> bool:
    """The answers of the other designs, as small ticks under the interval, inside the limits only: whether any."""
    if effects is None or effects.empty or rows.empty:
        return False
    any_drawn = False
    low, high = ax.get_xlim()
    other = effects[(effects["outcome"] == rows["outcome"].iloc[0]) & ~effects["headline"].astype(bool)]
    for y, component, given in zip(at, rows["component"], _drawn(rows), strict=True):
        x = unit.show(other.loc[other["component"] == component, "estimate"])
        x = x[np.isfinite(x) & (x > low) & (x < high)]
        if given and len(x):
            ax.plot(x, np.full(len(x), y + 0.24), "|", color=style.QUIET, markersize=5, markeredgewidth=1.1)
            any_drawn = True
    return any_drawn


def leave_one_out(
    source: object,
    verdicts: pd.DataFrame | None = None,
    *,
    outcome: str | None = None,
    labels: Labels = None,
    scale: Outcome | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A row a component: a tick for each place left out, the headline as a dot, the extremes named.

    source: an Evaluation, or the table component, outcome, cluster, estimate.
    verdicts: the table with the headlines, when only tables are given."""
    table = frame_of(source, "leave_one_out", ("component", "outcome", "cluster", "estimate"))
    chosen = outcome if outcome is not None else table["outcome"].iloc[0] if len(table) else None
    found = verdicts if verdicts is not None else getattr(source, "verdicts", None)
    heads: dict[str, float] = {}
    if isinstance(found, pd.DataFrame):
        own = found[found["outcome"] == chosen]
        heads = dict(zip(own["component"], own["estimate"].astype(float), strict=True))
    unit = axis_of(scale if scale is not None else source, chosen)
    checks, settled = getattr(source, "checks", None), None
    if isinstance(checks, pd.DataFrame) and len(checks):  # the caption says what the checks said
        mine = checks[(checks["outcome"] == chosen) & (checks["check"] == "leave_one_cluster")]
        settled = len(mine), int((mine["status"] == "passed").sum())
    shown = table[table["outcome"] == chosen], heads, labels_of(source, labels), unit, settled
    return style.drawn(_draw_leave_one_out, _leave_one_out_words, shown, width, ax)


Settled = tuple[int, int] | None
"""How many answers were asked whether they hold with any one place left out, and how many do; None: not known."""


def _draw_leave_one_out(
    table: pd.DataFrame, heads: dict[str, float], names: Names, unit: Axis, _: Settled, where: style.Where
) -> Axes:
    phone, words, ends = style.narrow(where), [], []
    for component in in_order(table["component"]):
        said = "not given"
        if spread := _extremes(table, component, heads, unit):
            _, first, last, low, high = spread
            said = f"{first} without {low}\nto {last} without {high}"
        ends.append(said)
        words.append(names.get(component, component) + ("\n" + said.replace("\n", " ") if phone else ""))
    ax, at = style.rows_axes(where, words, 0.75, 0.46)
    ax.axvline(0, color=style.INK, linewidth=1)
    for y, said, component in zip(at, ends, in_order(table["component"]), strict=True):
        if not phone:
            style.beside(ax, y, said)
        x = unit.show(table.loc[table["component"] == component, "estimate"].dropna())
        if len(x):
            ax.plot([x.min(), x.max()], [y, y], color=style.RULE, linewidth=1)
            ax.plot(x, np.full(len(x), y), "|", color=style.BLUE, markersize=11, markeredgewidth=1)
        if len(x) and (head := heads.get(component, np.nan)) == head:
            look = {"color": style.RUST, "markersize": 6, "markeredgecolor": "white", "zorder": 4}
            ax.plot([float(unit.show(head))], [y], "o", **look)
    ax.margins(x=0.06)
    ax.set_xlabel(f"{unit.ways[0]} ← {unit.unit} → {unit.ways[1]}")
    style.bare(ax)
    return ax


def _leave_one_out_words(
    table: pd.DataFrame, heads: dict[str, float], names: Names, unit: Axis, settled: Settled
) -> style.Told:
    components = in_order(table["component"])
    flips, lines = 0, []
    for component in components:
        spread = _extremes(table, component, heads, unit)
        if spread is None:
            continue
        head, first, last, low, high = spread
        estimates = table.loc[table["component"] == component, "estimate"]
        flips += int(estimates.min() < 0 < estimates.max())
        lines.append(f"{names.get(component, component)}: headline {head}{unit.after}; from {first} (without {low}) "
                     f"to {last} (without {high}).")  # fmt: skip
    some = f"For {count_words(flips, 'component')} one place decides the direction"
    title = some if flips else "No single place decides the direction of any component"
    if settled is not None:
        title = f"{settled[1]} of {count_words(settled[0], 'answer')} hold with any one place left out"
    alt = f"For {count_words(len(components), 'component')}, the headline with each place left out in turn, "
    alt += f"in {unit.unit}. {lines[0] if lines else 'Nothing to show.'}"
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _extremes(
    table: pd.DataFrame, component: str, heads: dict[str, float], unit: Axis
) -> tuple[str, str, str, object, object] | None:
    """The headline, the lowest and the highest estimate in words, and the places left out at the two; or None."""
    rows = table[table["component"] == component].dropna(subset=["estimate"])
    if rows.empty:
        return None
    ordered = rows.sort_values(["estimate", "cluster"], kind="stable")
    (low, high), (first, last) = (ordered[c].iloc[[0, -1]] for c in ("estimate", "cluster"))
    said = unit.say(heads.get(component, np.nan), low, high)
    return said[0], said[1], said[2], first, last
