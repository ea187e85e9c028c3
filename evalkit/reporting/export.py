"""Tables and pictures as files, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.evaluation import tables
from evalkit.evaluation.safe import safe
from evalkit.figures.picture import Picture
from evalkit.reporting.spoken import spoken


def write_tables(evaluation: Any, folder: str | Path) -> tuple[Path, ...]:
    """Write every table of an evaluation as CSV (UTF-8, ten significant digits) into `folder`; return the paths.

    Only aggregates are written, never rows about units, and only what disclosure control allows.
    """
    evaluation = safe(evaluation)
    named = {**tables.frames(evaluation), "verdicts": spoken(evaluation)}
    if getattr(evaluation, "attribution", None) is not None:
        named["attribution"] = evaluation.attribution.pieces
    if getattr(evaluation, "value", None) is not None:
        named["value"] = evaluation.value.table
    return tables.write(named, folder)


def write_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> None:
    """Write every picture as SVG, PNG, CSV (its data) and TXT (its words) into `folder`."""
    for picture in pictures.values():
        picture.save(folder)
