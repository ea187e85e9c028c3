"""Were the people compared alike? Standardised differences before and after matching or weighting."""

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
from evalkit.show.words import count_words

THRESHOLD = 0.1
_COLUMNS = ("covariate", "smd_before", "smd_after")


def love(
    source: object,
    *,
    labels: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
    width: float = style.WIDE,
) -> Figure:
    """A row a covariate, largest difference first: an open circle before, a filled one after, in standard deviations.

    source: a Matching, a Weighting, or their table of balance. The band marks differences below `threshold`.
    """
    table = _table(source)
    phone = style.narrow(width)
    names = [dict(labels or {}).get(c, c) for c in table["covariate"]]
    with style.theme():
        figure = style.new_figure(width, 1.0 + max(len(table), 1) * (0.42 if phone else 0.27))
        ax = figure.subplots()
        ax.axvspan(-threshold, threshold, color=style.BAND, linewidth=0)
        ax.axvline(0, color=style.INK, linewidth=1)
        _rows(ax, table)
        ax.set_ylim(len(table) - 0.4, -1.0 if phone else -0.7)
        ax.margins(x=0.08)
        _names(ax, names, phone)
        ax.set_xlabel("difference in standard deviations" + ("" if phone else " (exposed less comparison)"))
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, borderaxespad=0.2)
        style.bare(ax)
    return figure


def love_words(
    source: object, *, labels: Mapping[str, str] | None = None, threshold: float = THRESHOLD
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `love`, from the same table."""
    table = _table(source)
    names = dict(labels or {})
    apart = int((table["smd_after"].abs() > threshold).sum())
    before = int((table["smd_before"].abs() > threshold).sum())
    title = f"After matching, {count_words(len(table) - apart, 'covariate')} of {len(table)} are alike in both groups"
    alt = (
        f"Standardised differences of {count_words(len(table), 'covariate')}: {before} beyond {threshold:g} "
        f"before, {apart} after."
    )
    lines = [
        f"{names.get(r['covariate'], r['covariate'])}: {_said(r['smd_before'])} before, {_said(r['smd_after'])} after."
        for r in table.to_dict("records")
    ]
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def _table(source: object) -> pd.DataFrame:
    balance = getattr(source, "balance", None)
    found = balance() if callable(balance) else source
    if not isinstance(found, pd.DataFrame):
        raise OptionError(f"love needs a Matching, a Weighting or a table of balance; it got {type(source).__name__}.")
    table = frame_of(found, "", _COLUMNS)
    order = np.argsort(-table["smd_before"].abs().to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _said(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "not given"


def _rows(ax: Axes, table: pd.DataFrame) -> None:
    at = np.arange(len(table))
    before, after = table["smd_before"].to_numpy(), table["smd_after"].to_numpy()
    ax.hlines(at, np.fmin(before, after), np.fmax(before, after), color=style.RULE, linewidth=1)
    ax.plot(before, at, "o", color=style.RUST, markerfacecolor="white", markersize=6, label="before")
    ax.plot(after, at, "o", color=style.BLUE, markersize=6, label="after", zorder=4)


def _names(ax: Axes, names: list[str], phone: bool) -> None:
    if not phone:
        ax.set_yticks(range(len(names)), names)
        return
    ax.set_yticks([])
    plate = {"facecolor": "white", "edgecolor": "none", "boxstyle": "square,pad=0.1"}
    for i, name in enumerate(names):
        ax.annotate(name, (0, i - 0.3), xycoords=("axes fraction", "data"), va="bottom", fontsize=8.5, bbox=plate)
