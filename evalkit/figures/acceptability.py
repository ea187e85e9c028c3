"""Worth it at what price? The chance that outcomes are worth more than they cost, by what one is worth."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order
from evalkit.figures.picture import Words
from evalkit.show.numbers import percent, pounds
from evalkit.show.words import count_words

_COLUMNS = ("name", "label", "worth", "chance")
_LINES = (("-", style.BLUE), ("--", style.GREEN), ("-.", style.RUST), (":", style.INK), ((0, (6, 1)), style.QUIET),
          ((0, (1, 1)), style.RULE))  # fmt: skip


def acceptability(source: object, *, width: float = style.WIDE) -> Figure:
    """A curve a part: what one more outcome is worth across, the chance that it is worth its cost upwards.

    source: a Value, an Evaluation, or its table of chances. Curves differ by dashes as well as colour.
    """
    table = _table(source)
    shown = in_order(table["name"])
    with style.theme():
        figure = style.new_figure(width, 3.9 if style.narrow(width) else 3.4)
        ax = figure.subplots()
        ax.axhline(0.5, color=style.RULE, linewidth=0.8, linestyle=(0, (4, 3)))
        for i, name in enumerate(shown):
            rows = table[table["name"] == name]
            dashes, colour = _LINES[i % len(_LINES)]
            ax.plot(rows["worth"], rows["chance"], linestyle=dashes, color=colour, linewidth=1.8, label=_label(rows))
        ax.set_ylim(0, 1.02)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: pounds(v)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f}%"))
        ax.set_xlabel("if one more outcome is worth")
        ax.set_ylabel("chance that it is worth its cost")
        style.bare(ax, ("bottom", "left"))
        if shown:
            figure.legend(loc="outside lower left", frameon=False, ncols=1 if style.narrow(width) else 2)
    return figure


def acceptability_words(source: object) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `acceptability`."""
    table = _table(source)
    names = in_order(table["name"])
    top = float(table["worth"].max()) if len(table) else 0.0
    good = sum(bool((table.loc[table["name"] == n, "chance"] >= 0.8).any()) for n in names)
    title = f"{good} of {count_words(len(names), 'part')} probably worth it at some price up to {pounds(top)}"
    alt = (
        f"Acceptability curves of {count_words(len(names), 'part')}, for outcomes worth nothing to {pounds(top)} each."
    )
    lines = [_say(table[table["name"] == n]) for n in names]
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def _table(source: object) -> pd.DataFrame:
    own = isinstance(source, pd.DataFrame) or hasattr(source, "acceptability")
    return frame_of(source if own else getattr(source, "value", source), "acceptability", _COLUMNS)


def _label(rows: pd.DataFrame) -> str:
    return str(rows["label"].iloc[0])


def _say(rows: pd.DataFrame) -> str:
    half, most = rows[rows["chance"] >= 0.5], rows[rows["chance"] >= 0.8]
    end = rows.iloc[-1]
    if half.empty:
        return f"{_label(rows)}: a chance of {percent(end['chance'])} at {pounds(end['worth'])}, and less below."
    more = f", and of four in five from {pounds(most['worth'].iloc[0])}" if len(most) else ""
    return f"{_label(rows)}: an even chance of being worth its cost from {pounds(half['worth'].iloc[0])}{more}."
