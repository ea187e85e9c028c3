"""Value for money: is more achieved, and at what cost (the plane)? Worth it at what price (the curves)?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order
from evalkit.show.numbers import percent, pounds, signed_range
from evalkit.show.words import count_words

_COLOURS = (style.BLUE, style.GREEN, style.RUST, style.INK, style.QUIET, style.RULE)
_MARKS = "os^DvP"
_DASHES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (1, 1)))
_TALL = 0.018  # half the height of a tick, of that of the plane


def value_plane(
    source: object,
    *,
    currency: str | None = None,
    discount: float | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """The cost-effectiveness plane: additional outcomes across, cost upwards, discounted alike.

    source: a Value, an Evaluation, or its table of draws. Costs are known, so each component's draws lie on a
    line: a tick for each hundredth of them, the thick part holds the middle 95, the mark is the middle. Left of
    zero the outcome is worse. currency: what stands before amounts; by default as the Value has it. discount: the
    yearly rate, for the words."""
    table = _of_value(source, "plane", ("name", "label", "additional", "cost"))
    return style.drawn(_draw_plane, _plane_words, (table, _sign(source, currency), discount), width, ax)


def _draw_plane(table: pd.DataFrame, sign: str, discount: float | None, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.9 if style.narrow(where) else 3.6)
    ax.axvline(0, color=style.INK, linewidth=1)
    top = 1.15 * float(table["cost"].max()) if len(table) else 1.0
    tall = np.tile([-_TALL * top, _TALL * top, np.nan], 100)
    for i, (s, rows) in enumerate(_clouds(table)):
        mark, colour = _MARKS[i % len(_MARKS)], _COLOURS[i % len(_COLOURS)]
        ticks = np.repeat(np.quantile(rows["additional"], (np.arange(100) + 0.5) / 100), 3)
        ax.plot(ticks, s["cost"] + tall, color=colour, linewidth=0.5, alpha=0.6)
        ax.plot([s["low"], s["high"]], [s["cost"]] * 2, color=colour, linewidth=2.4, solid_capstyle="butt")
        ax.plot([s["middle"]], [s["cost"]], mark, color=colour, markersize=8, markeredgecolor="white", label=s["label"])
    ax.set_ylim(-_TALL * top, top)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: pounds(v, currency=sign)))
    return _finished(where, ax, "worse ← additional outcomes → better", "cost", bool(len(table)))


def _plane_words(table: pd.DataFrame, sign: str, discount: float | None) -> style.Told:
    rows = [summary for summary, _ in _clouds(table)]
    sure = sum(r["chance_better"] >= 0.975 for r in rows)
    title = f"{sure} of {count_words(len(rows), 'part')}: more of the outcome in nearly every draw"
    title = title if rows else "No part has both an effect and a cost"
    alt = "Cost-effectiveness plane: additional outcomes across, cost upwards, "
    alt += f"for {count_words(len(rows), 'part')} with an effect and a cost."
    lines = [
        f"{r['label']}: cost {pounds(r['cost'], currency=sign)}; additional outcomes, discounted, {value} (likely "
        f"range {low} to {high}); better in {percent(r['chance_better'])} of draws."
        for r in rows
        for value, low, high in [signed_range(r["middle"], r["low"], r["high"])]
    ]
    if rows:
        rate = "" if discount is None else f" at {100 * discount:g}% a year"
        lines.append(f"Costs and outcomes are discounted{rate}; effects and totals elsewhere on this page are not.")
    columns = ["name", "label", "cost", "middle", "low", "high", "chance_better"]
    return title, alt, "\n".join(lines), pd.DataFrame(rows, columns=columns)


def acceptability(
    source: object, *, currency: str | None = None, width: float = style.WIDE, ax: style.Given = None
) -> Figure:
    """A curve a part: what one more outcome is worth across, the chance that it is worth its cost upwards.

    source: a Value, an Evaluation, or its table of chances. currency: as in `value_plane`. Curves differ by dashes as
    well as colour."""
    table = _of_value(source, "acceptability", ("name", "label", "worth", "chance"))
    return style.drawn(_draw_acceptability, _acceptability_words, (table, _sign(source, currency)), width, ax)


def _draw_acceptability(table: pd.DataFrame, sign: str, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.9 if style.narrow(where) else 3.4)
    ax.axhline(0.5, color=style.RULE, linewidth=0.8, linestyle=(0, (4, 3)))
    for i, name in enumerate(in_order(table["name"])):
        rows = table[table["name"] == name]
        look = {"linestyle": _DASHES[i % len(_DASHES)], "color": _COLOURS[i % len(_COLOURS)], "linewidth": 1.8}
        ax.plot(rows["worth"], rows["chance"], label=str(rows["label"].iloc[0]), **look)
    ax.set_ylim(0, 1.02)
    ax.set_xlim(0, _reach(table))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: pounds(v, currency=sign)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f}%"))
    return _finished(where, ax, "if one more outcome is worth", "chance that it is worth its cost", bool(len(table)))


def _reach(table: pd.DataFrame) -> float | None:
    """Half as much again as the dearest worth at which a curve comes to four in five; None for the whole table."""
    sure = table[table["chance"] >= 0.8].groupby("name")["worth"].min()
    return 1.5 * float(sure.max()) if len(sure) and sure.max() > 0 else None


def _acceptability_words(table: pd.DataFrame, sign: str) -> style.Told:
    top = float(table["worth"].max()) if len(table) else 0.0
    good, lines = 0, []
    for name in in_order(table["name"]):
        rows = table[table["name"] == name]
        half, most, end, label = rows[rows["chance"] >= 0.5], rows[rows["chance"] >= 0.8], rows.iloc[-1], rows["label"]
        good += bool(len(most))
        if half.empty:
            said = f"a chance of {percent(end['chance'])} at {pounds(end['worth'], currency=sign)}, and less below."
        else:
            more = f", and of four in five from {pounds(most['worth'].iloc[0], currency=sign)}" if len(most) else ""
            said = f"an even chance of being worth its cost from {pounds(half['worth'].iloc[0], currency=sign)}{more}."
        lines.append(f"{label.iloc[0]}: {said}")
    parts = count_words(len(lines), "part")
    title = f"{good} of {parts} probably worth it at some price up to {pounds(top, currency=sign)}"
    alt = f"Acceptability curves of {parts}, for outcomes worth nothing to {pounds(top, currency=sign)} each."
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _sign(source: object, currency: str | None) -> str:
    """What stands before amounts: as given, else as the value, or the study, behind the table has it."""
    found = getattr(getattr(source, "value", source), "currency", None)
    return currency or (found if isinstance(found, str) else "£")


def _of_value(source: object, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    own = isinstance(source, pd.DataFrame) or hasattr(source, name)
    return frame_of(source if own else getattr(source, "value", source), name, columns)


def _clouds(table: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """What the draws of each part come to, and the draws."""
    out = []
    for name in in_order(table["name"]):
        rows = table[table["name"] == name]
        low, middle, high = np.quantile(rows["additional"], [0.025, 0.5, 0.975])
        out.append(({"name": name, "label": rows["label"].iloc[0], "cost": float(rows["cost"].iloc[0]),
                     "middle": float(middle), "low": float(low), "high": float(high),
                     "chance_better": float((rows["additional"] > 0).mean())}, rows))  # fmt: skip
    return out


def _finished(where: style.Where, ax: Axes, across: str, upwards: str, key: bool) -> Axes:
    ax.set_xlabel(across)
    ax.set_ylabel(upwards)
    style.bare(ax, ("bottom", "left"))
    if key:
        style.legend_below(where, ax, 1 if style.narrow(where) else 2)
    return ax
