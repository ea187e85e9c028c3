"""From what a caller hands over (an object or its table) to the table that a figure draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from evalkit.errors import OptionError
from evalkit.language.axis import study_of

Labels = Mapping[str, str] | None
"""Words for components."""


_OTHER = "This figure needs a table or an object with .{attribute}; it got {got}."


def check_has(source: object, attribute: str) -> None:
    """Raise an `OptionError` where what is to be drawn is neither a table nor has what is drawn of it."""
    if not isinstance(source, pd.DataFrame) and not hasattr(source, attribute):
        raise OptionError(_OTHER.format(attribute=attribute, got=type(source).__name__))


def frame_of(source: object, attribute: str, columns: Sequence[str]) -> pd.DataFrame:
    """The table named `attribute` of an object, or the table itself; raises `OptionError` naming what lacks."""
    frame = source if isinstance(source, pd.DataFrame) else getattr(source, attribute, None)
    if not isinstance(frame, pd.DataFrame):
        raise OptionError(_OTHER.format(attribute=attribute, got=type(source).__name__))
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        raise OptionError(f"The table lacks the columns {', '.join(lacking)}. It has: {', '.join(map(str, frame))}.")
    return frame


def labels_of(source: object, given: Labels = None) -> dict[str, str]:
    """Words for components: those given, else those of the study behind `source`."""
    if given is not None:
        return dict(given)
    study = study_of(source)
    return {} if study is None else {c.name: c.label for c in study.components}


def in_order(values: Iterable[str]) -> list[str]:
    """Distinct values in the order in which they first appear."""
    return list(dict.fromkeys(values))
