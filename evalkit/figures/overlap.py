"""Is there anybody to compare with, and what would have been expected anyway?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import frame_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words, join_words

_SUPPORT = ("others", "exposed", "comparison", "status")
_SCORE = ("low", "high", "exposed", "comparison")
_KNOWN = {*_SUPPORT, *_SCORE}


def overlap(source: object, *, labels: Mapping[str, str] | None = None, width: float = style.WIDE) -> Figure:
    """People of both arms in every combination of the other components, or in every band of the propensity score.

    source: the plan of a matched or weighted comparison (or its table): a row a combination, dots name what it holds,
    bars count people; or a Matching (or its `overlap()`): exposed people upwards, comparison people downwards.
    """
    table = _table(source)
    with style.theme():
        if "low" in table:
            return _mirror(table, width)
        return _combinations(table, dict(labels or {}), width)


def overlap_words(source: object, *, labels: Mapping[str, str] | None = None) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `overlap`, from the same table."""
    table = _table(source)
    return _mirror_words(table) if "low" in table else _combination_words(table, dict(labels or {}))


def _table(source: object) -> pd.DataFrame:
    overlap = getattr(source, "overlap", None)
    found = overlap() if callable(overlap) else getattr(source, "table", source)
    if not isinstance(found, pd.DataFrame):
        raise OptionError(f"overlap needs a plan, a Matching or their table; it got {type(source).__name__}.")
    return frame_of(found, "", _SCORE if "low" in found else _SUPPORT).reset_index(drop=True)


def _others(table: pd.DataFrame) -> list[str]:
    return [c for c in table.columns if c not in _KNOWN]


def _combinations(table: pd.DataFrame, names: dict[str, str], width: float) -> Figure:
    others, phone = _others(table), style.narrow(width)
    rows = max(len(table), 1)
    figure = style.new_figure(width, 1.3 + rows * (0.5 if phone else 0.36))
    dots, bars = figure.subplots(1, 2, width_ratios=[max(len(others), 1), 5 if phone else 8], sharey=True)
    _dots(dots, table, others, names)
    at = np.arange(len(table))
    bars.barh(at - 0.18, table["exposed"], 0.34, color=style.BLUE, label="with it")
    bars.barh(at + 0.18, table["comparison"], 0.34, color=style.PALE, edgecolor=style.BLUE, label="without it")
    top = max(int(table[["exposed", "comparison"]].to_numpy().max(initial=0)), 1)
    for i, row in enumerate(table.to_dict("records")):
        said = "" if row["status"] == "both arms" else f"  {row['status']}"
        bars.annotate(
            f"{row['exposed']:,} and {row['comparison']:,}{said}", (max(row["exposed"], row["comparison"]), i),
            xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    bars.set_xlim(0, top * (2.1 if phone else 1.5))
    bars.set_ylim(rows - 0.4, -0.6)
    bars.set_xlabel("people")
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, borderaxespad=0.2)
    style.bare(bars)
    bars.tick_params(left=False, labelleft=False)
    return figure


def _dots(ax: Axes, table: pd.DataFrame, others: list[str], names: dict[str, str]) -> None:
    """As in an UpSet plot (Lex et al. 2014): a filled dot where the combination holds the component."""
    for j, name in enumerate(others):
        on = table[name].to_numpy() > 0
        at = np.arange(len(table))
        ax.plot(np.full((~on).sum(), j), at[~on], "o", color=style.RULE, markerfacecolor="white", markersize=6)
        ax.plot(np.full(on.sum(), j), at[on], "o", color=style.INK, markersize=7)
    for i in range(len(table)):
        held = [j for j, name in enumerate(others) if table[name].iloc[i] > 0]
        if len(held) > 1:
            ax.plot([min(held), max(held)], [i, i], color=style.INK, linewidth=1.5)
    ax.set_xticks(range(len(others)), [names.get(o, o) for o in others], rotation=40, ha="right")
    ax.set_xlim(-0.6, max(len(others), 1) - 0.4)
    ax.set_yticks([])
    style.bare(ax, keep=())


def _combination_words(table: pd.DataFrame, names: dict[str, str]) -> tuple[Words, pd.DataFrame]:
    both = table[(table["exposed"] > 0) & (table["comparison"] > 0)]
    total, able = int(table["exposed"].sum()), int(both["exposed"].sum())
    share = 0 if not total else round(100 * able / total)
    title = f"{share} of every 100 people with it share their other components with somebody without it"
    thin = table[table["status"] == "thin"]
    alt = f"{count_words(len(table), 'combination')} of other components, {len(both)} with people in both arms"
    alt += f", {len(thin)} of them thinly." if len(thin) else "."
    lines = []
    for r in table.to_dict("records"):
        held = [names.get(o, o) for o in _others(table) if r[o] > 0]
        what = f"With {join_words(held)}" if held else "With none of the others"
        lines.append(f"{what}: {r['exposed']:,} with it and {r['comparison']:,} without ({r['status']}).")
    return Words(title, alt, "\n".join(lines)), table


def _mirror(table: pd.DataFrame, width: float) -> Figure:
    figure = style.new_figure(width, 3.4)
    ax = figure.subplots()
    middle, span = (table["low"] + table["high"]) / 2, (table["high"] - table["low"]) * 0.92
    one = table["exposed"] / max(table["exposed"].sum(), 1) * 100
    zero = table["comparison"] / max(table["comparison"].sum(), 1) * 100
    ax.bar(middle, one, span, color=style.BLUE, label="with it")
    ax.bar(middle, -zero, span, color=style.PALE, edgecolor=style.BLUE, label="without it")
    ax.axhline(0, color=style.INK, linewidth=1)
    top = max(float(one.max()), float(zero.max()), 1.0) * 1.1
    ax.set_ylim(-top, top)
    ticks = [t for t in ax.get_yticks() if abs(t) <= top]
    ax.set_yticks(ticks, [f"{abs(t):g}" for t in ticks])
    ax.set_ylabel("in every 100")
    ax.set_xlabel("propensity score: chance of having it, from what is recorded")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, borderaxespad=0.2)
    style.bare(ax, keep=("bottom", "left"))
    return figure


def _mirror_words(table: pd.DataFrame) -> tuple[Words, pd.DataFrame]:
    total = int(table["exposed"].sum())
    alone = int(table.loc[table["comparison"] == 0, "exposed"].sum())
    lonely = 0 if not total else round(100 * alone / total)
    title = f"{100 - lonely} of every 100 people with it have somebody without it at a like score"
    used = table[(table["exposed"] > 0) & (table["comparison"] > 0)]
    span = f" Both are found from {used['low'].min():.2f} to {used['high'].max():.2f}." if len(used) else ""
    alt = f"Propensity scores of {total:,} people with it and {int(table['comparison'].sum()):,} without.{span}"
    lines = [
        f"{r['low']:.2f} to {r['high']:.2f}: {int(r['exposed']):,} with it, {int(r['comparison']):,} without."
        for r in table.to_dict("records")
    ]
    return Words(title, alt, "\n".join(lines)), table


_COLUMNS = ("score", "people", "share_with", "outcome", "expected", "extrapolated")


def regression_to_mean(
    source: object, *, score: str = "score", outcome: str = "outcome", width: float = style.WIDE
) -> Figure:
    """Mean outcome in each band of the score: filled where most had the component, open where most did not; the line is
    what people without it point to, broken where nobody without it has such a score.

    source: the table of `RegressionDiscontinuity.expected`. score, outcome: words for the axes.
    """
    table = frame_of(source, "expected", _COLUMNS).sort_values("score", ignore_index=True)
    with style.theme():
        figure = style.new_figure(width, 3.6)
        ax = figure.subplots()
        far = table["extrapolated"].to_numpy(dtype=bool)
        x, line = table["score"].to_numpy(), table["expected"].to_numpy()
        ax.plot(x, line, "--", color=style.QUIET, linewidth=1.2, label="expected without it")
        ax.plot(x, np.where(far, np.nan, line), color=style.QUIET, linewidth=1.2)
        with_it = table["share_with"].to_numpy() >= 0.5
        for mine, face, label in ((with_it, style.BLUE, "with it"), (~with_it, "white", "without it")):
            ax.plot(x[mine], table["outcome"][mine], "o", color=style.BLUE, markerfacecolor=face, label=label)
        ax.vlines(x[with_it], line[with_it], table["outcome"][with_it], color=style.RUST, linewidth=1)
        ax.set_xlabel(score)
        ax.set_ylabel(outcome)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, borderaxespad=0.2)
        style.bare(ax, keep=("bottom", "left"))
    return figure


def regression_to_mean_words(
    source: object, *, score: str = "score", outcome: str = "outcome"
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `regression_to_mean`, from the same table."""
    table = frame_of(source, "expected", _COLUMNS).sort_values("score", ignore_index=True)
    mine = table[table["share_with"] >= 0.5]
    gap = np.average(mine["outcome"] - mine["expected"], weights=mine["people"]) if len(mine) else np.nan
    seen = np.average(mine["outcome"], weights=mine["people"]) if len(mine) else np.nan
    title = "What people without it point to, beside what was seen"
    alt = f"Mean {outcome} in {len(table)} bands of {score}. "
    if len(mine):
        alt += f"Where most had it, {seen:.3g} was seen and {seen - gap:.3g} was to be expected without it."
    lines = [
        f"{score} about {r['score']:.3g}: {outcome} {r['outcome']:.3g}, expected without it {r['expected']:.3g}"
        + (" (nobody without it has such a score)." if r["extrapolated"] else ".")
        for r in table.to_dict("records")
    ]
    return Words(title, alt, "\n".join(lines)), table
