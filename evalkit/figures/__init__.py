"""Figures, public as `ek.plot`: each a pure function from tables to a matplotlib Figure.

`describe` gives the same figure with its title, alt text, long description and data.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from evalkit.errors import check_choice
from evalkit.figures.balance import love, overlap, regression_to_mean
from evalkit.figures.bars import contamination, flow, waterfall
from evalkit.figures.event_study import event_study
from evalkit.figures.forest import forest, leave_one_out
from evalkit.figures.matrix import separability
from evalkit.figures.picture import Picture
from evalkit.figures.style import NARROW, Drawn
from evalkit.figures.timeline import timeline
from evalkit.figures.value import acceptability, value_plane

__all__ = [
    "Picture",
    "acceptability",
    "contamination",
    "describe",
    "event_study",
    "flow",
    "forest",
    "leave_one_out",
    "love",
    "overlap",
    "regression_to_mean",
    "separability",
    "timeline",
    "value_plane",
    "waterfall",
]

_FIGURES: tuple[Callable[..., Figure], ...] = (
    timeline, separability, event_study, forest, leave_one_out, flow, contamination, waterfall,
    value_plane, acceptability, love, overlap, regression_to_mean,
)  # fmt: skip


def describe(figure: Callable[..., Figure] | str, *tables: object, name: str = "", **options: object) -> Picture:
    """The `Picture` of a figure: figure, title, alt text, long description, data, file name.

    figure: one of the functions of `ek.plot`, or its name. tables and options: what
    that function takes. name: file name; the function's own when not given.

        ek.plot.describe(ek.plot.forest, evaluation).save("figures")
    """
    key = figure if isinstance(figure, str) else figure.__name__
    made = {f.__name__: f for f in _FIGURES}
    check_choice("figure", key, made)
    drawn = made[key](*tables, **options)
    assert isinstance(drawn, Drawn)
    return Picture(drawn, *drawn.say(), name or key, drawn.again(NARROW))
