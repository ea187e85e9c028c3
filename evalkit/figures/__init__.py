"""Figures, public as `ek.plot`: each a pure function from tables to a matplotlib Figure.

`describe` gives the same figure with its title, alt text, long description and data.
"""

from __future__ import annotations

from evalkit.figures.acceptability import acceptability
from evalkit.figures.contamination import contamination
from evalkit.figures.describe import describe
from evalkit.figures.event_study import event_study
from evalkit.figures.flow import flow
from evalkit.figures.forest import forest
from evalkit.figures.leave_one_out import leave_one_out
from evalkit.figures.love import love
from evalkit.figures.matrix import separability
from evalkit.figures.overlap import overlap, regression_to_mean
from evalkit.figures.picture import Picture
from evalkit.figures.timeline import timeline
from evalkit.figures.value_plane import value_plane
from evalkit.figures.waterfall import waterfall

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
