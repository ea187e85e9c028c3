"""How every figure looks: one theme, one palette, the same bytes every time.

Colours are those of Okabe and Ito (2008), darkened until each has at least 3:1
contrast on white; no meaning rests on colour alone.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evalkit.errors import OptionError

INK = "#1a1a1a"
QUIET = "#595959"
RULE = "#8a8a8a"
BAND = "#e3e3e3"
BLUE = "#00619c"
GREEN = "#00785a"
RUST = "#b34a00"
PALE = "#cfe3f1"
_PATH, _DIGITS = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d\d)\d+")
WIDE, NARROW = 7.5, 3.7
PHONE = 5.0
PLATE: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "boxstyle": "square,pad=0.1"}
_LETTERS = 46  # of a line of words in a narrow figure
_LINE, _ROW = 0.42, 0.95  # heights of a line of words and of what is drawn below it; a unit is _UNIT inches
_UNIT = 0.36

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "evalkit",
    "svg.fonttype": "path",
    "path.simplify": False,
}


@contextmanager
def theme() -> Iterator[None]:
    """Seaborn's white style with our fonts and sizes, undone afterwards."""
    with mpl.rc_context({**sns.axes_style("white"), **_RC}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, apart from pyplot's list of open figures."""
    if not 2.5 <= width <= 20:
        raise OptionError(f"width={width!r} is not a width for a figure. Use inches between 2.5 and 20.")
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def narrow(width: float) -> bool:
    """Whether a figure of this width (inches) is meant for a telephone."""
    return width < PHONE


def place_rows(ax: Axes, words: Sequence[str], over: bool) -> list[float]:
    """Where on the y axis each row is to be drawn, with its words beside it, or wrapped above it in a narrow figure."""
    if over:
        return _over_rows(ax, words)
    ax.set_yticks(range(len(words)), words)
    ax.set_ylim(max(len(words), 1) - 0.45, -0.6)
    return [float(i) for i in range(len(words))]


def _over_rows(ax: Axes, words: Sequence[str]) -> list[float]:
    at, rows = 0.0, []
    ax.set_yticks([])
    for lines in map(_wrapped, words):
        ax.annotate("\n".join(lines), (0, at), xycoords=("axes fraction", "data"), xytext=(0, -2), va="top",
                    textcoords="offset points", fontsize=8.5, bbox=PLATE, zorder=6)  # fmt: skip
        at += _LINE * len(lines)
        rows.append(at + _ROW / 2)
        at += _ROW
    ax.set_ylim(max(at, _ROW), 0)
    return rows


def rows_height(words: Sequence[str]) -> float:
    """Inches that rows need whose words stand above what is drawn."""
    return _UNIT * max(sum(_LINE * len(_wrapped(w)) + _ROW for w in words), _ROW)


def _wrapped(words: str) -> list[str]:
    return [line for part in words.split("\n") for line in textwrap.wrap(part, _LETTERS) or [""]]


def bare(ax: Axes, keep: tuple[str, ...] = ("bottom",)) -> None:
    """Leave only the sides of the frame named in `keep`."""
    for side in ("left", "right", "top", "bottom"):
        ax.spines[side].set_visible(side in keep)
    ax.tick_params(length=0 if "bottom" not in keep else 3, width=0.8)


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG: fonts as outlines, no date, ids that never change."""
    return _PATH.sub(_shorter, _save(figure, "svg", {"Date": None, "Creator": None}))


def _shorter(path: re.Match[bytes]) -> bytes:
    """Coordinates of a path with two decimals, a hundredth of a point, on one line."""
    return b" " + b" ".join(_DIGITS.sub(rb"\1", path[0]).split())


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG without the name of the software."""
    return _save(figure, "png", {"Software": None}, dpi=dpi)


def _save(figure: Figure, kind: str, metadata: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    with theme():
        figure.savefig(out, format=kind, metadata=metadata, **options)
    return out.getvalue()
