"""How every figure looks: one theme, one palette, the same bytes every time.

Colours are those of Okabe and Ito (2008), darkened until each has at least 3:1
contrast on white; no meaning rests on colour alone."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeAlias, TypeVarTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.text import Text
from matplotlib.transforms import offset_copy

from evalkit.errors import OptionError, spelt
from evalkit.show.words import harmless, join_words

INK = "#1a1a1a"
QUIET = "#595959"
RULE = "#8a8a8a"
BAND = "#e3e3e3"
BLUE = "#00619c"
GREEN = "#00785a"
RUST = "#b34a00"
PALE = "#cfe3f1"
_PATH, _DIGITS = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d\d)\d+")
_SPARE = re.compile(rb"<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_GAPS, _GROUP, _EMPTY = re.compile(rb">\s+<"), re.compile(rb'<g id="[^"]*"'), re.compile(rb"<g/>|<defs>\s*</defs>")
_LETTER = re.compile(rb"DejaVuSans(-\w+)?-([0-9a-f]+)(?=\")")
_MOVED = re.compile(rb' transform="translate\(([\d.]+) 0\)"/>')
_NOUGHTS = re.compile(rb"(\.[1-9])0(?!\d)|\.00?(?!\d)")
_PLACED = re.compile(rb'translate\([^)]*\)| (?:x|y|width|height)="[\d.]+"')
_JOINED, _STYLE = re.compile(rb" ?([A-Za-z]) ?| (?=[-\"])"), re.compile(rb' style="[^"]*"')
WIDE, NARROW = 7.5, 3.7
PHONE = 5.0
PLATE: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "boxstyle": "square,pad=0.1"}
_LETTERS = 46  # of a line of words in a narrow figure
_SHORT = 32  # of a line of words beside axes of somebody's
_LINE, _ROW = 0.42, 0.95  # heights of a line of words and of what is drawn below it; a unit is _UNIT inches
_UNIT = 0.36
_BELOW = 36  # points from axes of somebody's down to their key: below numbers and the name of the axis

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    **dict.fromkeys(("font.size", "axes.labelsize"), 9),
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5),
    "axes.edgecolor": RULE,
    **dict.fromkeys(("axes.labelcolor", "text.color", "ytick.color"), INK),
    "xtick.color": QUIET,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "evalkit",
    "text.parse_math": False,  # a $ in a label is a dollar
    "svg.fonttype": "path",
    "path.simplify": False,
}


Told = tuple[str, str, str, pd.DataFrame]
"""What a figure says: title (the finding), alt text, long description; and the data drawn."""
_Shown = TypeVarTuple("_Shown")


Given: TypeAlias = Axes | Sequence[Axes] | Figure | SubFigure | None
"""Where somebody wants a figure: in axes, a list of them (one a panel), or a figure or part of one; None: its own."""
Where: TypeAlias = float | Axes | Sequence[Axes] | Figure | SubFigure
"""Where a figure is drawn: what was given, or the width in inches of a figure of its own."""


class Drawn(Figure):
    """A figure that can be put into words, and drawn again at another width."""

    say: Callable[[], Told]
    again: Callable[[float], Figure]


def drawn(
    draw: Callable[[*_Shown, Where], Axes],
    say: Callable[[*_Shown], Told],
    shown: tuple[*_Shown],
    width: float,
    ax: Given = None,
) -> Figure | Axes | Sequence[Axes] | SubFigure:
    """What is `shown` drawn in our theme, as a `Drawn`; or drawn where `ax` says, which is given back."""
    if ax is None:
        with theme():
            figure = draw(*shown, width).figure
        assert isinstance(figure, Drawn)
        figure.say, figure.again = partial(say, *shown), partial(drawn, draw, say, shown)
        return figure
    if isinstance(ax, FigureBase):
        with theme():
            draw(*shown, ax)
        return ax
    axes = _axes(ax)
    before = {text: text.get_text() for each in axes for text in each.findobj(Text)}
    draw(*shown, ax)
    for text in (t for each in axes for t in each.findobj(Text)):
        if (words := text.get_text()) != before.get(text, ""):
            text.set(text=harmless(words), parse_math=False)  # a $ in a label is a dollar
    return ax


def _axes(ax: Axes | Sequence[Axes]) -> list[Axes]:
    """The axes that were given, in order."""
    found = list(np.ravel(np.array(ax, dtype=object)))
    if not found or not all(isinstance(each, Axes) for each in found):
        raise OptionError(f"ax={ax!r} is nothing to draw into. Give matplotlib axes, a list of them, or a subfigure.")
    return found


def theme() -> AbstractContextManager[None]:
    """Seaborn's white style with our fonts and sizes, undone afterwards."""
    import seaborn as sns  # here, as it takes a second: commands that draw nothing need not wait for it

    return mpl.rc_context({**sns.axes_style("white"), **_RC})


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, apart from pyplot's list of open figures."""
    if not 2.5 <= width <= 20:
        raise OptionError(f"width={spelt(width)} is not a width for a figure. Use inches between 2.5 and 20.")
    figure = Drawn(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def new_panels(
    where: Where, height: float, panels: Sequence[str], shape: tuple[int, int] = (1, 1), *, noun: str = "panel",
    **grid: Any,
) -> list[Axes]:  # fmt: skip
    """Axes for `panels` (their names), in a grid of so many rows and columns of a figure `height` inches high; or those
    given. noun: what a panel holds. Raises `OptionError` where axes are given and there are not as many as panels."""
    if not given(where):
        page: Any = new_figure(where, height) if isinstance(where, float | int) else where
        axes = page.subplots(*shape, squeeze=False, **grid).ravel()
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        return list(axes[: len(panels)])
    found = _axes(where)
    if len(found) != len(panels):
        holds = f"one {noun}" if len(found) == 1 else f"{len(found)} {noun}s"
        raise OptionError(
            f"ax= holds {holds}, and there are {len(panels)}: {join_words(map(repr, panels))}. Give a list of as many "
            "axes, a subfigure, or less to draw."
        )
    return found


def given(where: Where) -> bool:
    """Whether axes of somebody's are drawn into."""
    return not isinstance(where, float | int | FigureBase)


def new_axes(where: Where, height: float) -> Axes:
    """The axes of a figure with one panel."""
    return new_panels(where, height, ("",))[0]


def inches(where: Where) -> float:
    """How wide the figure is: axes of somebody's are reckoned as wide, since words may stand beside them."""
    if isinstance(where, FigureBase):
        return float(where.bbox.width / where.dpi)
    return where if isinstance(where, float | int) else WIDE


def narrow(where: Where) -> bool:
    """Whether a figure is as narrow as for a telephone."""
    return inches(where) < PHONE


def rows_axes(where: Where, words: Sequence[str], room: float, each: float) -> tuple[Axes, list[float]]:
    """Axes with a row for each of some words, and where on the y axis the rows are. Words stand beside their row,
    or wrapped above it in a narrow figure. room: inches for all but the rows. each: inches a row whose words stand
    beside it."""
    rows, over = max(len(words), 1), narrow(where)
    tall = max(sum(_LINE * len(_wrapped(w)) + _ROW for w in words), _ROW)
    ax = new_axes(where, room + (_UNIT * tall if over else rows * each))
    if not over:
        beside = ["\n".join(_wrapped(w, _SHORT)) for w in words] if given(where) else words
        ax.set_yticks(range(len(words)), beside)
        ax.set_ylim(rows - 0.45, -0.6)
        return ax, [float(i) for i in range(len(words))]
    at, middles = 0.0, []
    ax.set_yticks([])
    for lines in map(_wrapped, words):
        ax.annotate("\n".join(lines), (0, at), xycoords=("axes fraction", "data"), xytext=(0, -2), va="top",
                    textcoords="offset points", fontsize=8.5, bbox=PLATE, zorder=6)  # fmt: skip
        at += _LINE * len(lines)
        middles.append(at + _ROW / 2)
        at += _ROW
    ax.set_ylim(max(at, _ROW), 0)
    return ax, middles


def _wrapped(words: str, letters: int = _LETTERS) -> list[str]:
    return [line for part in words.split("\n") for line in textwrap.wrap(part, letters) or [""]]


def beside(ax: Axes, row: float, words: str) -> None:
    """Words to the right of a row."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    ax.annotate(words, (1, row), xytext=(6, 0), va="center", fontsize=8.5, **where)


def legend_above(ax: Axes, columns: int = 2) -> None:
    """The key in a line above the axes."""
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False, borderaxespad=0.2)


def legend_below(where: Where, ax: Axes, columns: int, handles: Sequence[Any] | None = None) -> None:
    """The key below the whole figure, or below the axes where those were given. handles: by default what is drawn."""
    look: dict[str, Any] = {"frameon": False, **({} if handles is None else {"handles": handles})}
    if not given(where):
        ax.figure.legend(loc="outside lower left", ncols=columns, **look)
        return
    below = offset_copy(ax.transAxes, fig=ax.figure, y=-_BELOW, units="points")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, borderaxespad=0, **look)


def words_below(where: Where, axes: Sequence[Axes], words: str) -> None:
    """Words below the whole figure, or the first line of them below each of the axes that were given."""
    if not given(where):
        axes[0].figure.supxlabel(words, fontsize=9)
        return
    for ax in axes:
        ax.set_xlabel(words.partition("\n")[0])


def bare(ax: Axes, keep: tuple[str, ...] = ("bottom",)) -> None:
    """Leave only the sides of the frame named in `keep`."""
    for side in ("left", "right", "top", "bottom"):
        ax.spines[side].set_visible(side in keep)
    ax.tick_params(length=0 if "bottom" not in keep else 3, width=0.8)


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG: fonts as outlines, no date, ids that never change."""
    return _compact(_save(figure, "svg", {"Date": None, "Creator": None}))


def _compact(svg: bytes) -> bytes:
    """The same picture in fewer bytes: half of what a figure weighs are names, gaps and digits that draw nothing."""
    svg = _GAPS.sub(b"><", _SPARE.sub(b"", svg)).strip()
    svg = _EMPTY.sub(b"", _GROUP.sub(b"<g", svg))
    svg = _LETTER.sub(lambda found: (b"b" if found[1] else b"d") + found[2], svg)
    # Coordinates with two decimals, a hundredth of a point; a letter stands at an x.
    svg = _MOVED.sub(lambda found: b' x="' + _fewer(found[1]) + b'"/>', svg)
    svg = _PATH.sub(lambda found: b" " + _JOINED.sub(rb"\1", b" ".join(_fewer(found[0]).split())), svg)
    svg = _PLACED.sub(lambda found: _fewer(found[0]), svg)
    return _STYLE.sub(lambda found: found[0].replace(b": ", b":").replace(b"; ", b";"), svg)


def _fewer(numbers: bytes) -> bytes:
    """Numbers with two decimals at most, and no more than they need."""
    return _NOUGHTS.sub(rb"\1", _DIGITS.sub(rb"\1", numbers))


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as PNG without the name of the software."""
    return _save(figure, "png", {"Software": None}, dpi)


def _save(figure: Figure, kind: str, metadata: dict[str, str | None], dpi: float | None = None) -> bytes:
    out = io.BytesIO()
    with theme():
        if (engine := figure.get_layout_engine()) is not None:  # laid out once for all kinds of file
            for text in figure.findobj(Text):
                if (words := text.get_text()) != harmless(words):
                    text.set_text(harmless(words))
            engine.execute(figure)
            figure.set_layout_engine(None)  # with one, even one that does nothing, each file would be drawn twice
        figure.savefig(out, format=kind, metadata=metadata, dpi="figure" if dpi is None else dpi)
    return out.getvalue()
