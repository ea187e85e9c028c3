"""How every figure looks: one theme, one palette, the same bytes every time.

Colours are those of Okabe and Ito (2008), darkened until each has at least 3:1
contrast on white; no meaning rests on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
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
