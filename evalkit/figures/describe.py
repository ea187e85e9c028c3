"""A figure together with its words: the same call, one word longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from evalkit.errors import check_choice
from evalkit.figures.acceptability import acceptability, acceptability_words
from evalkit.figures.contamination import contamination, contamination_words
from evalkit.figures.event_study import event_study, event_study_words
from evalkit.figures.flow import flow, flow_words
from evalkit.figures.forest import forest, forest_words
from evalkit.figures.leave_one_out import leave_one_out, leave_one_out_words
from evalkit.figures.love import love, love_words
from evalkit.figures.matrix import separability, separability_words
from evalkit.figures.overlap import overlap, overlap_words, regression_to_mean, regression_to_mean_words
from evalkit.figures.picture import Picture
from evalkit.figures.style import NARROW
from evalkit.figures.timeline import timeline, timeline_words
from evalkit.figures.value_plane import value_plane, value_plane_words
from evalkit.figures.waterfall import waterfall, waterfall_words

_WORDS: dict[str, tuple[Callable[..., Figure], Callable[..., Any]]] = {
    "timeline": (timeline, timeline_words),
    "separability": (separability, separability_words),
    "event_study": (event_study, event_study_words),
    "forest": (forest, forest_words),
    "flow": (flow, flow_words),
    "contamination": (contamination, contamination_words),
    "leave_one_out": (leave_one_out, leave_one_out_words),
    "waterfall": (waterfall, waterfall_words),
    "value_plane": (value_plane, value_plane_words),
    "acceptability": (acceptability, acceptability_words),
    "love": (love, love_words),
    "overlap": (overlap, overlap_words),
    "regression_to_mean": (regression_to_mean, regression_to_mean_words),
}


def describe(figure: Callable[..., Figure] | str, *tables: Any, name: str = "", **options: Any) -> Picture:
    """The `Picture` of a figure: figure, title, alt text, long description, data, file name.

    figure: one of the functions of `ek.plot`, or its name. tables and options: what
    that function takes. name: file name; the function's own when not given.

        ek.plot.describe(ek.plot.forest, evaluation).save("figures")
    """
    key = figure if isinstance(figure, str) else figure.__name__
    check_choice("figure", key, _WORDS)
    draw, say = _WORDS[key]
    words, data = say(*tables, **options)
    wide = draw(*tables, **options)
    phone = draw(*tables, width=NARROW, **options)
    return Picture(wide, words.title, words.alt, words.description, data, name or key, phone)
