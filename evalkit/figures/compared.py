"""Who is compared with whom: how much each place and period counts in the answer on one component."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evalkit.errors import OptionError
from evalkit.evaluation.compared import shares
from evalkit.figures import style
from evalkit.figures.inputs import Labels, frame_of, labels_of
from evalkit.show.words import count_words, join_words, plural

_MOST = 24  # rows; the places that count least are added up below the others
_NAMED = 3
_COLOURS = LinearSegmentedColormap.from_list("counts", [style.RUST, "white", style.BLUE])
_LOOKS = (
    Patch(facecolor=style.BLUE, label="counts for the answer"),
    Patch(facecolor=style.RUST, label="counts against it: what would have been expected"),
    Patch(facecolor="none", edgecolor=style.INK, label="with it"),
)


def compared(
    source: pd.DataFrame, *, labels: Labels = None, place: str = "place", period: str = "period",
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:  # fmt: skip
    """A row a place, a column a period: how much it counts in the answer on one component.

    source: rows of `Evaluation.compared` of one component and outcome: component, cluster, period, side, weight. What
    counts for the answer is blue; what counts against it, the same places before and places beside, is rust; both are
    deeper with the root of their weight. Periods with the component are framed. place, period: what one is called.
    """
    table = frame_of(source, "compared", ("component", "cluster", "period", "side", "weight"))
    found = list(dict.fromkeys(table["component"]))
    if len(found) != 1:
        raise OptionError(f"compared draws the weights of one component; the table has {len(found)}.")
    label = labels_of(None, labels).get(found[0], found[0])
    return style.drawn(_draw, _say, (table, str(label), place, period), width, ax)


def _draw(table: pd.DataFrame, label: str, place: str, period: str, where: style.Where) -> Axes:
    rows, grid, on = _grid(table, place)
    ax = style.new_axes(where, 1.5 + (0.24 if style.narrow(where) else 0.22) * len(rows))
    grid = np.sign(grid) * np.sqrt(np.abs(grid))  # else one period of one place would leave the others white
    most = np.abs(grid).max()
    down, across = grid.shape  # a picture of a pixel a cell weighs a tenth of as many paths
    ax.imshow(grid, cmap=_COLOURS, vmin=-most, vmax=most, aspect="auto", interpolation="none",
              extent=(0, across, down, 0))  # fmt: skip
    lines = {"color": style.BAND, "linewidth": 0.2}
    ax.hlines(np.arange(down + 1), 0, across, **lines)
    ax.vlines(np.arange(across + 1), 0, down, **lines)
    ax.plot(*_frames(on), color=style.INK, linewidth=0.9)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.set_ylim(len(rows), 0)
    periods = sorted(table["period"].unique())
    ticks = np.unique(np.linspace(0, len(periods) - 1, 3 if style.narrow(where) else 6).astype(int))
    ax.set_xticks(ticks + 0.5, [str(periods[i]) for i in ticks])
    ax.set_xlabel(plural(period))
    style.bare(ax, keep=())
    style.legend_below(where, ax, 1 if style.narrow(where) else 3, list(_LOOKS))
    return ax


def _frames(on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box round each run of cells that are on, one path for all."""
    x, y = [np.nan], [np.nan]
    for row, cells in enumerate(on):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(int), [0]])))
        for first, last in steps.reshape(-1, 2):
            x += [first, last, last, first, first, np.nan]
            y += [row, row, row + 1, row + 1, row, np.nan]
    return np.array(x, dtype=float), np.array(y, dtype=float)


def _grid(table: pd.DataFrame, place: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of rows, weights (rows, periods), and where the component is on."""
    order = shares(table)["cluster"].tolist()
    named = order[: _MOST - 1] if len(order) > _MOST else order
    periods = sorted(table["period"].unique())
    other = f"{count_words(len(order) - len(named), f'other {place}')}"
    row = [str(c) if c in set(named) else other for c in table["cluster"]]
    rows = [*map(str, named), *([other] if len(order) > len(named) else [])]
    wide = table.assign(row=row).pivot_table(index="row", columns="period", values="weight", aggfunc="sum")
    on = table.assign(row=row, on=(table["side"] == "with it") & (table["weight"] > 0))
    where = on.pivot_table(index="row", columns="period", values="on", aggfunc="any")
    shape = {"index": rows, "columns": periods}
    return rows, wide.reindex(**shape).fillna(0.0).to_numpy(), where.reindex(**shape).eq(True).to_numpy()


def _say(table: pd.DataFrame, label: str, place: str, period: str) -> style.Told:
    counted = shares(table)
    on, beside = counted[counted["with_it"] > 0], counted[counted["beside"] > 0]
    title = f"{label}: {count_words(len(on), place)} with it, {count_words(len(beside), place)} to compare with"
    alt = f"A row for each {place}, a column for each {period}: how much it counts in the answer on {label}."
    within = bool(set(on["cluster"]) & set(beside["cluster"]))
    people = f", or with people of the same {place} who did not" if within else ""
    lines = [
        f"Each {place} is compared with itself before it began, and each {period} with the same {period} in "
        f"{plural(place)} alike that did not have it{people}.",
        _largest(on, "with_it", "Of what counts with it, out of 100: {listed}{others}.", place),
    ]
    if len(beside):
        lines.append(_largest(beside, "beside", "Of what is compared beside it, out of 100: {listed}{others}.", place))
    before = table[table["side"] == "before it"].groupby("period")["weight"].sum()
    if len(before) and before.sum() < 0:
        least = before.sort_values()
        share = least.cumsum() / before[before < 0].sum()
        many = int((share < 0.5).sum()) + 1
        lines.append(
            f"Half of what those with it are held against, in their own past, lies in {count_words(many, period)}."
        )
    return title, alt, "\n".join(lines), table.reset_index(drop=True)


def _largest(rows: pd.DataFrame, column: str, template: str, place: str) -> str:
    top = rows.sort_values(column, ascending=False, kind="stable")
    listed = join_words([f"{r['cluster']} {r[column]:.0f}" for r in top.head(_NAMED).to_dict("records")])
    more = len(top) - _NAMED
    return template.format(listed=listed, others=f"; {count_words(more, f'more {place}')}" if more > 0 else "")
