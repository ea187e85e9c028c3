"""One place alone: what was seen beside what was expected, the same in places where nothing began, and who the others
are. The tables are those of the designs' `gaps` and `donors`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError, spelt
from evalkit.figures import style
from evalkit.figures.inputs import frame_of
from evalkit.show.words import count_words, plural, sentence_case

_GAPS = ("place", "cohort", "who", "period", "event_time", "observed", "expected", "gap", "conf_low", "conf_high")
_SHOWN = 12  # donors drawn at most
_LEAST = 0.005  # weight below which a donor is not drawn


def one_place(
    source: pd.DataFrame,
    place: object = None,
    *,
    unit: str = "",
    period: str = "period",
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """Above: one place as seen and as expected, by period. Below: the gap between the two with its interval.

    source: the table of a design's `gaps`. place: one of its places, the first where none is named. unit: of the
    outcome, in words. period: what a period is called. ax: two, for the outcome and for the gap. Raises `OptionError`
    for a place that is not in the table."""
    return style.drawn(_draw_expected, _say_expected, (_of_place(source, place), unit, period), width, ax)


def placebo_places(
    source: pd.DataFrame,
    place: object = None,
    *,
    unit: str = "",
    period: str = "period",
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """The gap of one place (thick) and of every other place in its role (thin), by periods since the start. Source,
    place, unit and period are as in `one_place`."""
    found = _of_place(source, place)
    if not found["who"].ne("").any():
        raise OptionError("There are no other places in this table. Give that of a design beside other places.")
    return style.drawn(_draw_placebos, _say_placebos, (found, unit, period), width, ax)


def donor_weights(
    source: pd.DataFrame, place: object = None, *, width: float = style.WIDE, ax: style.Given = None
) -> Figure:
    """Which other places the mix is made of, a bar each. source: the table of a design's `donors`."""
    table = _one(frame_of(source, "", ("place", "donor", "weight")), place)
    return style.drawn(_draw_donors, _say_donors, (table,), width, ax)


def _of_place(source: pd.DataFrame, place: object) -> pd.DataFrame:
    return _one(frame_of(source, "", _GAPS), place)


def _one(table: pd.DataFrame, place: object) -> pd.DataFrame:
    known = list(dict.fromkeys(table["place"]))
    if not known:
        raise OptionError("The table is empty: no place could be answered for.")
    if place is not None and place not in known:
        raise OptionError(f"There is no place {spelt(place)} in this table. It has: {', '.join(map(str, known))}.")
    found = table[table["place"] == (known[0] if place is None else place)]
    return found[found["cohort"] == found["cohort"].iloc[0]] if "cohort" in found else found


def _draw_expected(table: pd.DataFrame, unit: str, period: str, where: style.Where) -> Axes:
    own = table[table["who"] == ""]
    top, below = style.new_panels(where, 4.6, ("the outcome", "the gap"), (2, 1), sharex=True, height_ratios=(3, 2))
    time = own["event_time"]
    top.plot(time, own["expected"], color=style.RUST, linestyle="--", linewidth=1.6, label="expected")
    top.plot(time, own["observed"], color=style.BLUE, linewidth=1.8, label="seen")
    low, high = own["expected"] + (own["conf_low"] - own["gap"]), own["expected"] + (own["conf_high"] - own["gap"])
    top.fill_between(time, low, high, color=style.BAND, linewidth=0)
    below.fill_between(time, own["conf_low"], own["conf_high"], color=style.PALE, linewidth=0)
    below.plot(time, own["gap"], color=style.BLUE, linewidth=1.8)
    below.axhline(0, color=style.INK, linewidth=0.8)
    for ax in (top, below):
        ax.axvline(-0.5, color=style.RULE, linewidth=0.8, linestyle=(0, (4, 3)))
    top.set_ylabel(unit or "outcome")
    below.set_ylabel("gap")
    below.set_xlabel(f"{plural(period)} since the start; shaded: likely range")
    style.legend_above(top)
    return top


def _say_expected(table: pd.DataFrame, unit: str, period: str) -> style.Told:
    own = table[table["who"] == ""]
    name, after = own["place"].iloc[0], own[(own["event_time"] >= 0) & own["gap"].notna()]
    away = int(((after["conf_low"] > 0) | (after["conf_high"] < 0)).sum())
    title = f"{name}: {away} of {count_words(len(after), period)} after the start beyond the likely range"
    alt = f"{name} as seen and as expected by {period}, and the gap between the two with its interval."
    lines = [
        f"{sentence_case(period)} {r.event_time}: seen {r.observed:.4g}, expected {r.expected:.4g}, gap {r.gap:.4g}"
        + (f" ({r.conf_low:.4g} to {r.conf_high:.4g})." if np.isfinite(r.conf_low) else ".")
        for r in own.itertuples() if np.isfinite(r.gap)
    ]  # fmt: skip
    return title, alt + (f" Outcome: {unit}." if unit else ""), "\n".join(lines), own


def _draw_placebos(table: pd.DataFrame, unit: str, period: str, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.4)
    for i, (_, other) in enumerate(table[table["who"] != ""].groupby("who", sort=False)):
        label = "others in its role" if i == 0 else None
        ax.plot(other["event_time"], other["gap"], color=style.RULE, linewidth=0.7, alpha=0.7, label=label)
    own = table[table["who"] == ""]
    ax.plot(own["event_time"], own["gap"], color=style.BLUE, linewidth=2.4, label=str(own["place"].iloc[0]))
    ax.axhline(0, color=style.INK, linewidth=0.8)
    ax.axvline(-0.5, color=style.RULE, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_ylabel(f"gap, {unit}" if unit else "gap")
    ax.set_xlabel(f"{plural(period)} since the start")
    style.legend_above(ax)
    return ax


def _say_placebos(table: pd.DataFrame, unit: str, period: str) -> style.Told:
    after = table[(table["event_time"] >= 0)].groupby("who", sort=False)["gap"].mean()
    own, others, name = abs(after[""]), after.drop("").abs(), table.loc[table["who"] == "", "place"].iloc[0]
    as_large = int((others >= own).sum())
    title = f"{name}: {as_large} of {len(others)} other places moved as far from expectation"
    alt = f"Gaps by {plural(period)} since the start: {name} and {count_words(len(others), 'other place')} in its role"
    alt += f". Outcome: {unit}." if unit else "."
    lines = [f"{name if who == '' else who}: mean gap after the start {value:.4g}." for who, value in after.items()]
    return title, alt, "\n".join(lines), table


def _draw_donors(table: pd.DataFrame, where: style.Where) -> Axes:
    shown = _heaviest(table)
    ax, rows = style.rows_axes(where, [str(d) for d in shown["donor"]], 0.6, 0.32)
    ax.barh(rows, shown["weight"], height=0.6, color=style.BLUE)
    for row, weight in zip(rows, shown["weight"], strict=True):
        style.beside(ax, row, f"{weight:.2f}")
    ax.axvline(0, color=style.INK, linewidth=0.8)
    ax.set_xlabel("weight in the mix")
    return ax


def _say_donors(table: pd.DataFrame) -> style.Told:
    shown, first = _heaviest(table), table["weight"].idxmax()
    name = table["place"].iloc[0]
    title = f"{name} beside {count_words(len(shown), 'other place')}, most of all {table.loc[first, 'donor']}"
    alt = f"Weights of the places that {name} is held beside."
    return title, alt, "\n".join(f"{r.donor}: {r.weight:.3f}." for r in table.itertuples()), table


def _heaviest(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["weight"].abs() >= _LEAST].sort_values("weight", ascending=False).head(_SHOWN)
