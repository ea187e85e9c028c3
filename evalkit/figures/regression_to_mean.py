"""What would have been expected anyway? Outcomes along a score, and where people without the component point to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evalkit.figures import style
from evalkit.figures.inputs import frame_of
from evalkit.figures.picture import Words

_COLUMNS = ("score", "people", "share_with", "outcome", "expected", "extrapolated")


def regression_to_mean(
    source: Any, *, score: str = "score", outcome: str = "outcome", width: float = style.WIDE
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
    source: Any, *, score: str = "score", outcome: str = "outcome"
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
