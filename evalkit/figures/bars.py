"""Bars, a row each: who is in and who is missing, what borrowed what, and where the result came from."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.figures import style
from evalkit.figures.inputs import Labels, check_has, frame_of, in_order, labels_of
from evalkit.language.axis import Axis
from evalkit.show.numbers import signed_range
from evalkit.show.words import count_words, plural

if TYPE_CHECKING:
    from evalkit.evaluation import Evaluation

_STAGES: dict[str, dict[str, Any]] = {
    "used": {"label": "had it, behind the answer", "facecolor": style.BLUE, "edgecolor": style.BLUE},
    "left": {"label": "had it, could not be compared", "facecolor": style.PALE, "edgecolor": style.BLUE,
             "hatch": "//////"},
    "never": {"label": "could be reached, never had it", "facecolor": "white", "edgecolor": style.QUIET},
    "outside": {"label": "cannot be reached by it", "facecolor": style.BAND, "edgecolor": style.QUIET,
                "hatch": "xxxx"},
}  # fmt: skip
_LEAST = 0.06  # share of a bar below which a piece has no room for its number
_WEIGHTS: tuple[dict[str, Any], ...] = (
    {"label": "its own effects", "facecolor": style.BLUE, "edgecolor": style.BLUE},
    {"label": "its own, sign turned round", "facecolor": "white", "edgecolor": style.BLUE, "hatch": "//////"},
    {"label": "borrowed from others, and given back", "facecolor": "white", "edgecolor": style.RUST, "hatch": "xxxx"},
)
_PIECES = ("piece", "kind", "estimate", "conf_low", "conf_high", "people_periods")
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


def flow(
    source: object, *, labels: Labels = None, noun: str = "", width: float = style.WIDE, ax: style.Given = None
) -> Figure:
    """One bar a component, split into those behind its answer, those left out of it, those who never had it and
    those whom it cannot reach.

    source: an object with `.flow` (a report's safe evaluation), or the table: component, stage, count (NaN where
    hidden). Where any count is hidden the pieces are drawn of one size and say so. noun: what is counted."""
    table = frame_of(source, "flow", ("component", "stage", "count"))
    study, names = getattr(source, "study", None), labels_of(source, labels)
    unit = noun or (study.noun_for(study.unit) if study is not None else "unit")
    words = {c: names.get(c, c) for c in in_order(table["component"])}
    return style.drawn(_draw_flow, _flow_words, (table, words, unit), width, ax)


def _draw_flow(table: pd.DataFrame, names: dict[str, str], unit: str, where: style.Where) -> Axes:
    columns = 1 if style.narrow(where) else 2
    ax, at = style.rows_axes(where, list(names.values()), 1.65 if columns == 1 else 1.15, 0.42)
    for y, component in zip(at, names, strict=True):
        counts, left = _counts(table, component), 0.0
        stages = [s for s in _STAGES if s in counts]
        if "used" not in stages:
            stages = ["had", *(s for s in stages if s != "left")]
        pieces = [(s, counts.get(s, 0.0)) for s in stages]
        whole = sum(n for _, n in pieces)
        hidden = not whole > 0  # a count is: then pieces are of equal widths, because a width is a number too
        pieces = [(s, n) for s, n in pieces if n != 0] if hidden else pieces
        for stage, count in pieces:
            wide, look = 1 / len(pieces) if hidden else count / whole, _STAGES["left" if stage == "had" else stage]
            fill = {k: v for k, v in look.items() if k != "label"}
            ax.barh(y, wide, left=left, height=0.5, linewidth=0.8, **fill)
            if wide > (_LEAST if count == count else 0.0):
                dark = look["facecolor"] == style.BLUE
                plate = None if dark else {**style.PLATE, "boxstyle": "square,pad=0.15"}
                words, colour = "hidden" if count != count else f"{count:,.0f}", "white" if dark else style.INK
                ax.text(left + wide / 2, y, words, ha="center", va="center", fontsize=8, color=colour, bbox=plate)
            left += wide
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    ax.set_xlabel(f"{plural(unit)} out of every 100 in the study")
    keys = [Patch(**look) for look in _STAGES.values()]
    style.legend_below(where, ax, columns, keys)
    style.bare(ax)
    return ax


def _flow_words(table: pd.DataFrame, names: dict[str, str], unit: str) -> style.Told:
    everybody = _counts(table, next(iter(names))).get("all", 0.0) if names else np.nan
    whole = count_words(int(everybody), unit) if everybody == everybody else f"The {plural(unit)}"
    title = f"{whole} in the study; how many stand behind each answer"
    alt = f"A bar for each of {count_words(len(names), 'component')}: {plural(unit)} behind its answer, "
    alt += "left out of it, never with it, and beyond its reach."
    lines = []
    for component, label in names.items():
        counts = dict.fromkeys(("all", "outside", "reached", "never", "had", "used", "left"), 0.0)
        counts |= (given := _counts(table, component))
        n = {s: "a number that is not published" if v != v else f"{v:,.0f}" for s, v in counts.items()}
        said = f"{label}: of {n['all']} {plural(unit)}, {n['outside']} cannot be reached and {n['reached']} can; "
        said += f"{n['never']} never had it and {n['had']} did"
        behind = f", of whom {n['used']} stand behind the answer and {n['left']} could not be compared."
        lines.append(said + (behind if "used" in given else "; no answer rests on them."))
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _counts(table: pd.DataFrame, component: str) -> dict[str, float]:
    rows = table[table["component"] == component].drop_duplicates("stage")
    return dict(zip(rows["stage"], rows["count"].astype(float), strict=True))


def contamination_table(source: Evaluation | pd.DataFrame, outcome: str | None = None) -> pd.DataFrame:
    """The weights of every component that the regression can tell from the others (see TwoWayFixedEffects). source: an
    Evaluation, or the table itself. Components without a coefficient have no row."""
    columns = ["component", "source", "from_component", "positive", "negative"]
    if isinstance(source, pd.DataFrame):
        return frame_of(source, "", columns)
    check_has(source, "contamination")
    made = []
    for component in source.study.components:
        try:
            made.append(source.contamination(component.name, outcome))
        except NotIdentifiedError:
            continue
    return pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=columns)


def contamination(
    source: Evaluation | pd.DataFrame,
    *,
    outcome: str | None = None,
    labels: Labels = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """Two bars a component: the weights of its own effects, and those borrowed from other components.

    Own weights sum to one; negative ones (hatched) turn effects upside down. Borrowed ones sum to zero: what is
    added for some places and periods is taken away for others, and cancels only if that effect is the same in all.
    source: an Evaluation, or the table of its weights."""
    shown = contamination_table(source, outcome), labels_of(source, labels)
    return style.drawn(_draw_contamination, _contamination_words, shown, width, ax)


def _draw_contamination(table: pd.DataFrame, names: dict[str, str], where: style.Where) -> Axes:
    components = in_order(table["component"])
    if not components:
        raise OptionError("There are no weights to draw: the regression can tell no component from the others.")
    ax, at = style.rows_axes(where, [names.get(c, c) for c in components], 1.0, 0.5)
    longest = 1.0
    own_look, taken_look, lent_look = ({k: v for k, v in w.items() if k != "label"} for w in _WEIGHTS)
    for i, component in zip(at, components, strict=True):
        own, taken, lent = _weights(table, component)
        bar = {"height": 0.28, "linewidth": 0.8, "zorder": 2}
        ax.barh(i - 0.16, own, **bar, **own_look)
        ax.barh(i - 0.16, -taken, **bar, **taken_look)
        ax.barh(i + 0.16, 2 * lent, left=-lent, **bar, **lent_look)
        longest = max(own, taken, lent, longest)
    ax.axvline(0, color=style.INK, linewidth=0.9, zorder=3)
    ax.axvline(1, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    ax.set_xlim(-1.05 * longest, 1.05 * longest)
    ax.set_xlabel("weight in the coefficient (its own sum to 1)")
    keys, columns = [Patch(**look) for look in _WEIGHTS], 1 if style.narrow(where) else 3
    style.legend_below(where, ax, columns, keys)
    style.bare(ax)
    return ax


def _contamination_words(table: pd.DataFrame, names: dict[str, str]) -> style.Told:
    much, lines = 0, []
    for component in in_order(table["component"]):
        own, taken, lent = _weights(table, component)
        much += lent > 0.5
        said = f"{names.get(component, component)}: its own effects enter with weights that sum to {own:.2f}"
        said += f", less {taken:.2f} with the sign turned round" if taken >= 0.005 else ""
        rows = table[(table["component"] == component) & (table["from_component"] != component)]
        if rows.empty or lent < 0.005:
            lines.append(f"{said}." if rows.empty else f"{said}; next to nothing is borrowed from others.")
            continue
        most = rows.sort_values("positive", ascending=False, kind="stable").iloc[0]
        who = f"{names.get(most['from_component'], most['from_component'])} ({most['positive']:.2f})"
        lines.append(f"{said}; {lent:.2f} is borrowed from others and given back, most of it from {who}.")
    title = f"In the usual regression {much} of {len(lines)} components borrow heavily from others"
    alt = f"Bars for {count_words(len(lines), 'component')}: weights of its own effects, and of the effects of others, "
    alt += "in the coefficient of a regression with unit and period effects."
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _weights(table: pd.DataFrame, component: str) -> tuple[float, float, float]:
    """(own positive weights, size of own negative ones, weights borrowed and given back)."""
    rows = table[table["component"] == component]
    mine, others = rows[rows["from_component"] == component], rows[rows["from_component"] != component]
    return float(mine["positive"].sum()), float(-mine["negative"].sum()), float(others["positive"].sum())


def waterfall(source: object, *, gross: bool = False, width: float = style.WIDE, ax: style.Given = None) -> Figure:
    """A bar a piece, from zero, with its likely range about its own end; at the end the programme as a whole.

    source: an Attribution, an Evaluation, or the table of pieces. gross: begin at the outcome expected without
    the programme and end at the one seen, each bar from where the last one ended and without a range, which would lie
    where nothing is. Bars differ by hatching too, and pieces without a number say so. width: inches."""
    made = source if hasattr(source, "pieces") else getattr(source, "attribution", source)
    table = frame_of(made, "pieces", _PIECES)
    total = float(getattr(made, "total", table["estimate"].sum(min_count=1)))
    at = float(getattr(made, "expected_without", np.nan)) if gross else 0.0
    if not np.isfinite(at):
        raise OptionError("gross=True needs an attribution with a total: nothing says what was expected without.")
    start = {"piece": "Expected without the programme", "kind": "without", "estimate": at, "start": 0.0, "stop": at}
    rows: list[dict[Any, Any]] = table[list(_PIECES)].to_dict("records")
    for row in rows:
        step = row["estimate"] if np.isfinite(row["estimate"]) else 0.0
        row |= {"start": at, "stop": at + step}
        at += step if gross else 0.0
    last = {"piece": "Programme as a whole", "kind": "total", "estimate": total}
    last |= {"conf_low": getattr(made, "total_low", np.nan), "conf_high": getattr(made, "total_high", np.nan)}
    if gross:
        rows.insert(0, start)
        last = {"piece": "Seen", "kind": "gross", "estimate": float(getattr(made, "gross", np.nan))}
    last |= {"start": 0.0, "stop": last["estimate"]}
    outcome = getattr(made, "outcome", None)
    if outcome is None:
        unit = "people periods in the outcome's unit"
    elif outcome.said == "rate":
        unit = f"{outcome.label}, events in all"
    elif outcome.said == "share":
        unit = f"people periods with: {outcome.label}"
    else:
        per = "logs" if outcome.kind == "log" else Axis(outcome.said).unit
        unit = f"{outcome.label}, summed over people periods ({per})"
    ways = Axis(better=getattr(outcome, "better", "")).ways
    said = unit if gross else f"{ways[0]} ← {unit} → {ways[1]}"
    return style.drawn(_draw_waterfall, _waterfall_words, (pd.DataFrame([*rows, last]), total, gross, said), width, ax)


def _draw_waterfall(bars: pd.DataFrame, _: float, gross: bool, unit: str, where: style.Where) -> Axes:
    words = [w if style.narrow(where) else "\n".join(textwrap.wrap(w, _LONG)) for w in bars["piece"]]
    ax, at = style.rows_axes(where, words, 0.8, 0.38)
    for y, bar in zip(at, bars.to_dict("records"), strict=True):
        if not np.isfinite(bar["estimate"]):
            where = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8.5, "bbox": style.PLATE}
            ax.annotate("no number is given", (0.02, y), zorder=5, **where)
            continue
        look = _LOOK.get(bar["kind"], _LOOK["total"])
        ax.barh(y, bar["stop"] - bar["start"], left=bar["start"], height=0.6, zorder=2, linewidth=0.9, **look)
        low, high = _ends(bar)
        if not gross and np.isfinite([low, high]).all():
            ends = [low, high]
            ax.plot(ends, [y, y], color="white", linewidth=3.4, zorder=3, solid_capstyle="butt")
            ax.plot(ends, [y, y], color=style.RUST, linewidth=1.6, zorder=4, marker="|", markersize=6)
    ax.margins(x=0.06)
    if not gross:
        ax.axvline(0, color=style.INK, linewidth=1, zorder=1)
    ax.set_xlabel(unit, wrap="$" not in unit)  # wrapped words are measured as mathematics
    style.bare(ax)
    return ax


def _waterfall_words(bars: pd.DataFrame, total: float, *_: object) -> style.Told:
    pieces = bars[~bars["kind"].isin(["total", "gross", "without"])]
    given = pieces["estimate"].notna()
    unclear = int((given & ~(pieces["conf_low"] > 0) & ~(pieces["conf_high"] < 0)).sum())
    counted = count_words(int(given.sum()), "piece")
    title = f"{counted} make up the result; {unclear} could be nothing"
    alt = f"Bars from zero for {counted} that add up to the programme's total"
    alt += f" of {signed_range(total, np.nan, np.nan)[0]}." if np.isfinite(total) else ", which cannot be given."
    lines = []
    for bar in bars.to_dict("records"):
        low, high = _ends(bar)
        if not np.isfinite(bar["estimate"]):
            said = "no number is given."
        elif bar["kind"] in ("gross", "without"):
            said = f"{bar['estimate']:,.4g}."
        elif np.isfinite([low, high]).all():
            value, first, last = signed_range(bar["estimate"], low, high)
            said = f"{value} (likely range {first} to {last})."
        else:
            said = f"{signed_range(bar['estimate'], low, high)[0]}, without a likely range."
        lines.append(f"{bar['piece']}: {said}")
    return title, alt, "\n".join(lines), bars.reset_index(drop=True)


def _ends(bar: dict[Any, Any]) -> tuple[float, float]:
    return float(bar.get("conf_low", np.nan)), float(bar.get("conf_high", np.nan))
