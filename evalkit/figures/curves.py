"""Curves of an outcome that waits: the share with the event over time in each arm, and how many were still followed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.inputs import frame_of, in_order

_NEEDED = ("arm", "time", "share", "conf_low", "conf_high", "at_risk", "events")
_LOOKS = ((style.BLUE, "-"), (style.RUST, (0, (5, 2))))
_MARKS = {False: 6, True: 4}


def curves(source: pd.DataFrame, *, width: float = style.WIDE, ax: style.Given = None) -> Figure:
    """Steps with their ranges for each arm of the table that `ek.curves` gives, and below how many were still waiting
    and followed."""
    table = frame_of(source, "", _NEEDED)
    arms = in_order(table["arm"].astype(str).tolist())
    if not 1 <= len(arms) <= len(_LOOKS):
        raise OptionError(f"This figure draws one arm or two; the table has {len(arms)}.")
    return style.drawn(_draw, _say, (table, arms), width, ax)


def _draw(table: pd.DataFrame, arms: list[str], where: style.Where) -> Axes:
    ax = style.new_axes(where, 3.4 + 0.25 * len(arms))
    last = float(table["time"].max())
    for arm, (colour, line) in zip(arms, _LOOKS, strict=False):
        mine = table[table["arm"] == arm].sort_values("time")
        low, high = (100 * mine[c] for c in ("conf_low", "conf_high"))
        ax.fill_between(mine["time"], low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        ax.step(mine["time"], 100 * mine["share"], where="post", color=colour, linestyle=line, linewidth=2, label=arm)
    ax.set_xlim(0, last)
    ax.set_ylim(0, min(100.0, 5 + 105 * float(table["conf_high"].max())))
    ax.set_ylabel("people in every 100")
    ax.set_xlabel(f"time, {table.attrs['unit']}" if table.attrs.get("unit") else "time")
    style.legend_above(ax)
    style.bare(ax, keep=("bottom", "left"))
    _still_followed(ax, table, arms, style.narrow(where))
    return ax


def _still_followed(ax: Axes, table: pd.DataFrame, arms: list[str], narrow: bool) -> None:
    """Rows of numbers below the axis, each at its time."""
    at = np.linspace(0, float(table["time"].max()), _MARKS[narrow])
    place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "annotation_clip": False}
    ax.annotate("still waiting and followed", (0, 0), xytext=(0, -44), fontsize=8, color=style.QUIET, **place)
    for row, arm in enumerate(arms):
        for k, (time, n) in enumerate(zip(at, _at_risk(table, arm, at), strict=True)):
            words = f"{n:,}" if k else f"{arm}: {n:,}"
            align = "left" if not k else "right" if k == len(at) - 1 else "center"
            ax.annotate(
                words, (time, 0), xytext=(0, -57 - 12 * row), fontsize=8, ha=align, color=_LOOKS[row][0], **place
            )


def _at_risk(table: pd.DataFrame, arm: str, at: np.ndarray) -> list[int]:
    """How many of an arm were followed to each time: of the first row from there on."""
    mine = table[table["arm"] == arm].sort_values("time")
    first = np.searchsorted(mine["time"].to_numpy(), at, side="left").clip(max=len(mine) - 1)
    return [int(n) for n in mine["at_risk"].to_numpy()[first]]


def _say(table: pd.DataFrame, arms: list[str]) -> style.Told:
    ends = {arm: table[table["arm"] == arm].sort_values("time").iloc[-1] for arm in arms}
    by = f"{float(table['time'].max()):g} {table.attrs.get('unit', '')}".strip()
    said = [f"{round(100 * r['share'])} in every 100 {arm}" for arm, r in ends.items()]
    title = f"By {by}: {', '.join(said)}"
    lines = [
        f"{arm}: {100 * r['share']:.0f} in every 100 by {by} ({100 * r['conf_low']:.0f} to {100 * r['conf_high']:.0f}) "
        f"with {int(r['at_risk'])} still waiting and followed."
        for arm, r in ends.items()
    ]
    return title, f"Share with the event over time. {title}.", "\n".join(lines), table.reset_index(drop=True)
