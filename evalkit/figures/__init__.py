"""Figures, public as `ek.plot`: each a pure function from tables to a matplotlib Figure.

`describe` gives the same figure with its title, alt text, long description and data. Every figure takes `width`, inches
of a figure of its own (below 5 it is laid out for a telephone), or `ax`, where somebody wants it: axes, a list of axes
where it has several panels (one each, in order), or a figure or subfigure that holds all of its panels
(`plt.figure(layout="constrained").subfigures(1, 2)`). What was given as `ax` is given back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from evalkit.errors import OptionError, check_choice
from evalkit.figures.balance import love, overlap, regression_to_mean
from evalkit.figures.bars import contamination, flow, waterfall
from evalkit.figures.compared import compared
from evalkit.figures.curves import curves
from evalkit.figures.estimates import estimates
from evalkit.figures.event_study import event_study
from evalkit.figures.forest import forest, leave_one_out
from evalkit.figures.logic import logic_model
from evalkit.figures.monitor import look_lines, place_charts
from evalkit.figures.one_place import donor_weights, one_place, placebo_places
from evalkit.figures.over_time import over_time
from evalkit.figures.style import NARROW, Drawn, to_png, to_svg
from evalkit.figures.timeline import separability, timeline
from evalkit.figures.value import acceptability, value_plane
from evalkit.folders import filled
from evalkit.show.tables import csv_text
from evalkit.show.words import escaped, harmless, untypeset

__all__ = [
    "Picture",
    "acceptability",
    "compared",
    "contamination",
    "curves",
    "describe",
    "donor_weights",
    "estimates",
    "event_study",
    "flow",
    "forest",
    "leave_one_out",
    "logic_model",
    "look_lines",
    "love",
    "one_place",
    "over_time",
    "overlap",
    "place_charts",
    "placebo_places",
    "regression_to_mean",
    "separability",
    "timeline",
    "value_plane",
    "waterfall",
]


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, the same figure for a narrow screen, its words and its data.

    title: the finding in about ten words. alt: one or two sentences. description:
    everything the figure shows, in words. data: the numbers drawn. name: file name."""

    figure: Figure
    title: str
    alt: str
    description: str
    data: pd.DataFrame
    name: str
    phone: Figure | None = None

    @cached_property
    def svg(self) -> bytes:
        """The figure as SVG bytes, the same every time."""
        return to_svg(self.figure)

    @cached_property
    def phone_svg(self) -> bytes | None:
        """The figure for a narrow screen as SVG bytes, or None."""
        return None if self.phone is None else to_svg(self.phone)

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG bytes, the same every time."""
        return to_png(self.figure)

    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write NAME.svg, NAME.png, NAME.csv and NAME.txt (its words) into `folder`; return their paths."""
        with filled(Path(folder)) as place:
            paths = tuple(place / f"{self.name}.{kind}" for kind in ("svg", "png", "csv", "txt"))
            paths[0].write_bytes(self.svg)
            paths[1].write_bytes(self.png)
            paths[2].write_text(csv_text(self.data), encoding="utf-8")
            paths[3].write_text(harmless(f"{self.title}\n\n{self.alt}\n\n{self.description}\n"), encoding="utf-8")
        return paths

    def to_html(self) -> str:
        """A <figure> that needs nothing from outside: picture, alt text, caption, long description."""
        phone = self.phone_svg
        source = f'<source media="screen and (max-width: 599px)" srcset="{_uri(phone)}">' if phone else ""
        alt = escaped(self.alt)
        paragraphs = "".join(f"<p>{escaped(p)}</p>" for p in self.description.split("\n") if p.strip())
        return (
            f'<figure id="figure-{escaped(self.name)}"><picture>{source}'
            f'<img alt="{alt}" src="{_uri(self.svg)}"></picture>'
            f"<figcaption>{escaped(self.title)}</figcaption>"
            f"<details><summary>This figure in words</summary>{paragraphs}</details></figure>"
        )

    def _repr_html_(self) -> str:
        return untypeset(self.to_html())

    def __repr__(self) -> str:
        return f"Picture({self.name!r}: {self.title})"


def _uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def describe(figure: Callable[..., Figure] | str, *tables: object, name: str = "", **options: object) -> Picture:
    """The `Picture` of a figure: figure, title, alt text, long description, data, file name.

    figure: one of the functions of `ek.plot`, or its name. tables and options: what
    that function takes, but for `ax`. name: file name; the function's own when not given.

        ek.plot.describe(ek.plot.forest, evaluation).save("figures")"""
    key = figure if isinstance(figure, str) else figure.__name__
    made = {n: globals()[n] for n in __all__ if n not in ("Picture", "describe")}
    check_choice("figure", key, made)
    if options.pop("ax", None) is not None:
        raise OptionError(
            f"describe makes a figure of its own and takes no ax=. Call ek.plot.{key}(..., ax=ax) for it."
        )
    drawn = made[key](*tables, **options)
    assert isinstance(drawn, Drawn)
    return Picture(drawn, *drawn.say(), name or key, drawn.again(NARROW))
