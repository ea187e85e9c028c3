"""The logic model: what is done, why it should help, and what is hoped to change; drawn from the register."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.language.axis import study_of
from evalkit.show.words import count_words, join_words
from evalkit.study import Study

_NOT_SAID = "not said"
_WIDE = (25, 44, 24), 29.0, 43.0, 74.0, 77.0
_SLIM = (15, 20, 13), 30.5, 38.0, 71.0, 75.0
"""Letters of a line in each column, where the second column begins and how wide it is, where what it leads to is
gathered, and where the third begins; in hundredths of the width."""
_LINE = 0.165  # inches
_HEAD, _GAP = 2.6, 1.2  # lines
_HEADS = ("What is done", "Why it should help", "What should change")


def logic_model(source: object, *, width: float = style.WIDE, ax: style.Given = None) -> Figure:
    """A row a component: what it is called, who does what, why that should help (the card's `why`), then the outcomes.

    source: a Study, or what holds one. What the register does not say is written as such, never guessed."""
    study = study_of(source)
    if study is None:
        raise OptionError(f"logic_model needs a Study or an Evaluation; it got {type(source).__name__}.")
    return style.drawn(_draw, _say, (study,), width, ax)


def _rows(study: Study) -> list[tuple[str, str]]:
    return [(c.label, c.card.get("why") or _NOT_SAID) for c in study.components]


def _changes(study: Study) -> list[str]:
    way = {"higher": "up", "lower": "down"}
    return [f"{o.label} ({'a possible harm' if o.harm else way[o.better]})" for o in study.outcomes]


def _draw(study: Study, where: style.Where) -> Axes:
    letters, middle, wide, bar, right = _SLIM if style.narrow(where) else _WIDE
    cells = [[textwrap.wrap(words, n) or [""] for words, n in zip(row, letters, strict=False)] for row in _rows(study)]
    ends = [textwrap.wrap(words, letters[2]) or [""] for words in _changes(study)]
    tall, low = [max(map(len, row)) + _GAP for row in cells], [len(end) + _GAP for end in ends]
    lines = max(sum(tall), sum(low)) + _HEAD
    ax = style.new_axes(where, _LINE * lines + 0.3)
    ax.set_xlim(-0.5, 100.5)
    ax.set_ylim(lines + 0.3, 0)
    ax.axis("off")
    for x, head in zip((0.0, middle, right), _HEADS, strict=True):
        ax.text(x, 1.2, "\n".join(textwrap.wrap(head, letters[1] // 2)), fontsize=8.5, fontweight="bold", va="center")
    centres = _HEAD + np.cumsum(tall) - np.array(tall) / 2
    for (label, why), y in zip(cells, centres, strict=True):
        _box(ax, 0.0, y, label, 25.0)
        _box(ax, middle, y, why, wide)
        _arrow(ax, (25.2, y), (middle - 0.8, y))
        ax.plot([middle + wide, bar], [y, y], color=style.QUIET, linewidth=0.9)
    target = (_HEAD + lines) / 2
    changes = target - sum(low) / 2 + np.cumsum(low) - np.array(low) / 2
    both = [*centres, *changes]
    ax.plot([bar, bar], [min(both), max(both)], color=style.QUIET, linewidth=0.9)
    for end, y in zip(ends, changes, strict=True):
        _box(ax, right, y, end, 100 - right)
        _arrow(ax, (bar, y), (right - 0.6, y))
    return ax


def _box(ax: Axes, x: float, centre: float, lines: list[str], wide: float) -> None:
    high = len(lines) + 0.5
    edge = {"facecolor": "white", "edgecolor": style.RULE, "linewidth": 0.8}
    ax.fill([x, x + wide, x + wide, x], [centre - high / 2] * 2 + [centre + high / 2] * 2, **edge)
    ax.text(x + 0.8, centre, "\n".join(lines), fontsize=7.5, va="center", linespacing=1.15)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": style.QUIET, "linewidth": 0.9})


def _say(study: Study) -> style.Told:
    rows, ends = _rows(study), _changes(study)
    known = sum(why != _NOT_SAID for _, why in rows)
    title = f"How {count_words(len(rows), 'part')} should lead to {count_words(len(ends), 'change')}"
    alt = f"Logic model: {count_words(len(rows), 'part')}, why each should help ({known} of {len(rows)} say so), and "
    alt += f"what should change: {join_words(ends)}."
    data = pd.DataFrame(rows, columns=["part", "why"])
    return title, alt, "\n".join(f"{label}: {why}." for label, why in rows), data
