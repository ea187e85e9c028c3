"""Tables and pictures as files, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.figures.picture import Picture
from evalkit.reporting.disclosure import safe
from evalkit.reporting.spoken import spoken


def write_tables(evaluation: Any, folder: str | Path) -> tuple[Path, ...]:
    """Write every table of an evaluation as CSV (UTF-8, ten significant digits) into `folder`; return the paths.

    Only aggregates are written, never rows about units, and only what disclosure control allows.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    evaluation = safe(evaluation)
    sep = evaluation.separability
    tables = {
        "verdicts": spoken(evaluation),
        "effects": evaluation.effects,
        "separability": sep.components,
        "pairs": sep.pairs,
        "cure": sep.cure,
        "checks": evaluation.checks,
        "bundles": evaluation.bundles,
        "leave_one_out": evaluation.leave_one_out,
    }
    if evaluation.event_studies:
        tables["event_studies"] = pd.concat(list(evaluation.event_studies.values()), ignore_index=True)
    for name in ("flow", "log"):
        if getattr(evaluation, name, None) is not None:
            tables["disclosure" if name == "log" else name] = getattr(evaluation, name)
    if getattr(evaluation, "attribution", None) is not None:
        tables["attribution"] = evaluation.attribution.pieces
    if getattr(evaluation, "value", None) is not None:
        tables["value"] = evaluation.value.table
    return tuple(_write(table, place / f"{name}.csv") for name, table in tables.items())


def write_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> None:
    """Write every picture as SVG, PNG, CSV (its data) and TXT (its words) into `folder`."""
    for picture in pictures.values():
        picture.save(folder)


def _write(table: pd.DataFrame, path: Path) -> Path:
    flat = table.copy()
    for column in flat.columns:
        if flat[column].map(lambda v: isinstance(v, (tuple, list))).any():
            flat[column] = flat[column].map(lambda v: "; ".join(map(str, v)) if isinstance(v, (tuple, list)) else v)
    text = flat.to_csv(index=False, lineterminator="\n", float_format="%.10g")
    path.write_text(text, encoding="utf-8")
    return path
