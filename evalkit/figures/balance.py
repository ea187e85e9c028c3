"""People beside people: were they alike, is there anybody to compare with, and what would have been expected anyway?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import Labels, frame_of
from evalkit.show.words import count_words, join_words

THRESHOLD = 0.1
_SUPPORT = ("others", "exposed", "comparison", "status")
_SCORE = ("low", "high", "exposed", "comparison")
_TWO = ("what people had besides", "people")
_COLUMNS = ("score", "people", "share_with", "outcome", "expected", "extrapolated")


def love(
    source: object,
    *,
    labels: Labels = None,
    threshold: float = THRESHOLD,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A row a covariate, largest difference first: an open circle before, a filled one after, in standard deviations.

    source: a Matching, a Weighting, or their table of balance. The band marks differences below `threshold`."""
    balance = getattr(source, "balance", None)
    found = balance() if callable(balance) else source
    if not isinstance(found, pd.DataFrame):
        raise OptionError(f"love needs a Matching, a Weighting or a table of balance; it got {type(source).__name__}.")
    table = frame_of(found, "", ("covariate", "smd_before", "smd_after"))
    table = table.iloc[np.argsort(-table["smd_before"].abs().to_numpy(), kind="stable")].reset_index(drop=True)
    names = [dict(labels or {}).get(c, c) for c in table["covariate"]]
    return style.drawn(_draw_love, _love_words, (table, names, threshold), width, ax)


def _draw_love(table: pd.DataFrame, names: list[str], threshold: float, where: style.Where) -> Axes:
    phone = style.narrow(where)
    ax = style.new_axes(where, 1.0 + max(len(table), 1) * (0.42 if phone else 0.27))
    ax.axvspan(-threshold, threshold, color=style.BAND, linewidth=0)
    ax.axvline(0, color=style.INK, linewidth=1)
    at = np.arange(len(table))
    before, after = table["smd_before"].to_numpy(), table["smd_after"].to_numpy()
    ax.hlines(at, np.fmin(before, after), np.fmax(before, after), color=style.RULE, linewidth=1)
    ax.plot(before, at, "o", color=style.RUST, markerfacecolor="white", markersize=6, label="before")
    ax.plot(after, at, "o", color=style.BLUE, markersize=6, label="after", zorder=4)
    ax.set_ylim(len(table) - 0.4, -1.0 if phone else -0.7)
    ax.margins(x=0.08)
    ax.set_yticks([] if phone else at, [] if phone else names)
    for i, name in enumerate(names if phone else []):
        where = {"xycoords": ("axes fraction", "data"), "va": "bottom", "fontsize": 8.5, "bbox": style.PLATE}
        ax.annotate(name, (0, i - 0.3), **where)
    ax.set_xlabel("difference in standard deviations" + ("" if phone else " (exposed less comparison)"))
    style.legend_above(ax)
    style.bare(ax)
    return ax


def _love_words(table: pd.DataFrame, names: list[str], threshold: float) -> style.Told:
    before, after = (int((table[c].abs() > threshold).sum()) for c in ("smd_before", "smd_after"))
    counted = count_words(len(table), "covariate")
    title = f"After matching, {count_words(len(table) - after, 'covariate')} of {len(table)} are alike in both groups"
    alt = f"Standardised differences of {counted}: {before} beyond {threshold:g} before, {after} after."
    gaps = table[["smd_before", "smd_after"]].to_numpy().T
    said = [[f"{v:+.2f}".replace("-", "−") if np.isfinite(v) else "not given" for v in gap] for gap in gaps]
    lines = [f"{name}: {b} before, {a} after." for name, b, a in zip(names, *said, strict=True)]
    return title, alt, "\n".join(lines), table


def overlap(source: object, *, labels: Labels = None, width: float = style.WIDE, ax: style.Given = None) -> Figure:
    """People of both arms in every combination of the other components, or in every band of the propensity score.

    source: the plan of a matched or weighted comparison (or its table): a row a combination, dots name what it holds,
    bars count people; or a Matching (or its `overlap()`): exposed people upwards, comparison people downwards.
    ax: of combinations two, for dots and for bars."""
    bands = getattr(source, "overlap", None)
    found = bands() if callable(bands) else getattr(source, "table", source)
    if not isinstance(found, pd.DataFrame):
        raise OptionError(f"overlap needs a plan, a Matching or their table; it got {type(source).__name__}.")
    table = frame_of(found, "", _SCORE if "low" in found else _SUPPORT).reset_index(drop=True)
    words = {c: dict(labels or {}).get(c, c) for c in table.columns if c not in {*_SUPPORT, *_SCORE}}
    if "low" in table:
        return style.drawn(_bands, _band_words, (table,), width, ax)
    return style.drawn(_combinations, _combination_words, (table, words), width, ax)


def _combinations(table: pd.DataFrame, others: dict[str, str], where: style.Where) -> Axes:
    phone, rows = style.narrow(where), max(len(table), 1)
    wide, tall = [max(len(others), 1), 5 if phone else 8], 1.3 + rows * (0.5 if phone else 0.36)
    dots, bars = style.new_panels(where, tall, _TWO, (1, 2), width_ratios=wide, sharey=True)
    at, holds = np.arange(len(table)), np.reshape(table[list(others)].to_numpy() > 0, (len(table), len(others)))
    for j, on in enumerate(holds.T):  # as in an UpSet plot (Lex et al. 2014): filled where it holds the component
        dots.plot(np.full((~on).sum(), j), at[~on], "o", color=style.RULE, markerfacecolor="white", markersize=6)
        dots.plot(np.full(on.sum(), j), at[on], "o", color=style.INK, markersize=7)
    for i, held in enumerate(map(np.flatnonzero, holds)):
        if len(held) > 1:
            dots.plot([held[0], held[-1]], [i, i], color=style.INK, linewidth=1.5)
    dots.set_xticks(range(len(others)), list(others.values()), rotation=40, ha="right")
    dots.set_xlim(-0.6, max(len(others), 1) - 0.4)
    dots.set_yticks([])
    style.bare(dots, keep=())
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
    style.legend_above(bars)
    style.bare(bars)
    bars.tick_params(left=False, labelleft=False)
    return bars


def _combination_words(table: pd.DataFrame, others: dict[str, str]) -> style.Told:
    both = table[(table["exposed"] > 0) & (table["comparison"] > 0)]
    total, able = int(table["exposed"].sum()), int(both["exposed"].sum())
    share = 0 if not total else round(100 * able / total)
    title = f"{share} of every 100 people with it share their other components with somebody without it"
    thin = table[table["status"] == "thin"]
    alt = f"{count_words(len(table), 'combination')} of other components, {len(both)} with people in both arms"
    alt += f", {len(thin)} of them thinly." if len(thin) else "."
    lines = []
    for r in table.to_dict("records"):
        held = [words for other, words in others.items() if r[other] > 0]
        what = f"With {join_words(held)}" if held else "With none of the others"
        lines.append(f"{what}: {r['exposed']:,} with it and {r['comparison']:,} without ({r['status']}).")
    return title, alt, "\n".join(lines), table


def _bands(table: pd.DataFrame, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.4)
    middle, span = (table["low"] + table["high"]) / 2, (table["high"] - table["low"]) * 0.92
    one, zero = (table[arm] / max(table[arm].sum(), 1) * 100 for arm in ("exposed", "comparison"))
    ax.bar(middle, one, span, color=style.BLUE, label="with it")
    ax.bar(middle, -zero, span, color=style.PALE, edgecolor=style.BLUE, label="without it")
    ax.axhline(0, color=style.INK, linewidth=1)
    top = max(float(one.max()), float(zero.max()), 1.0) * 1.1
    ax.set_ylim(-top, top)
    ticks = [t for t in ax.get_yticks() if abs(t) <= top]
    ax.set_yticks(ticks, [f"{abs(t):g}" for t in ticks])
    ax.set_ylabel("in every 100")
    ax.set_xlabel("propensity score: chance of having it, from what is recorded")
    style.legend_above(ax)
    style.bare(ax, keep=("bottom", "left"))
    return ax


def _band_words(table: pd.DataFrame) -> style.Told:
    total, alone = int(table["exposed"].sum()), int(table.loc[table["comparison"] == 0, "exposed"].sum())
    lonely = 0 if not total else round(100 * alone / total)
    title = f"{100 - lonely} of every 100 people with it have somebody without it at a like score"
    used = table[(table["exposed"] > 0) & (table["comparison"] > 0)]
    span = f" Both are found from {used['low'].min():.2f} to {used['high'].max():.2f}." if len(used) else ""
    alt = f"Propensity scores of {total:,} people with it and {int(table['comparison'].sum()):,} without.{span}"
    lines = [
        f"{r['low']:.2f} to {r['high']:.2f}: {int(r['exposed']):,} with it, {int(r['comparison']):,} without."
        for r in table.to_dict("records")
    ]
    return title, alt, "\n".join(lines), table


def regression_to_mean(
    source: object, *, score: str = "score", outcome: str = "outcome", width: float = style.WIDE, ax: style.Given = None
) -> Figure:
    """Mean outcome in each band of the score: filled where most had the component, open where most did not; the line is
    what people without it point to, broken where nobody without it has such a score.

    source: the table of `RegressionDiscontinuity.expected`. score, outcome: words for the axes."""
    table = frame_of(source, "expected", _COLUMNS).sort_values("score", ignore_index=True)
    return style.drawn(_draw_regression, _regression_words, (table, score, outcome), width, ax)


def _draw_regression(table: pd.DataFrame, score: str, outcome: str, where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.6)
    x, line = table["score"].to_numpy(), table["expected"].to_numpy()
    ax.plot(x, line, "--", color=style.QUIET, linewidth=1.2, label="expected without it")
    ax.plot(x, np.where(table["extrapolated"].astype(bool), np.nan, line), color=style.QUIET, linewidth=1.2)
    with_it = table["share_with"].to_numpy() >= 0.5
    for mine, face, label in ((with_it, style.BLUE, "with it"), (~with_it, "white", "without it")):
        ax.plot(x[mine], table["outcome"][mine], "o", color=style.BLUE, markerfacecolor=face, label=label)
    ax.vlines(x[with_it], line[with_it], table["outcome"][with_it], color=style.RUST, linewidth=1)
    ax.set_xlabel(score)
    ax.set_ylabel(outcome)
    style.legend_above(ax, 3)
    style.bare(ax, keep=("bottom", "left"))
    return ax


def _regression_words(table: pd.DataFrame, score: str, outcome: str) -> style.Told:
    mine, alt = table[table["share_with"] >= 0.5], f"Mean {outcome} in {len(table)} bands of {score}. "
    if len(mine):
        gap = np.average(mine["outcome"] - mine["expected"], weights=mine["people"])
        seen = np.average(mine["outcome"], weights=mine["people"])
        alt += f"Where most had it, {seen:.3g} was seen and {seen - gap:.3g} was to be expected without it."
    lines = [
        f"{score} about {r['score']:.3g}: {outcome} {r['outcome']:.3g}, expected without it {r['expected']:.3g}"
        + (" (nobody without it has such a score)." if r["extrapolated"] else ".")
        for r in table.to_dict("records")
    ]
    return "What people without it point to, beside what was seen", alt, "\n".join(lines), table
