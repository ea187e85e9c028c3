"""Every picture that can be drawn of an evaluation; pictures and tables as files, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from evalkit.evaluation import Evaluation, tables
from evalkit.evaluation.results import safe
from evalkit.figures import describe
from evalkit.figures.bars import contamination_table
from evalkit.figures.inputs import labels_of
from evalkit.figures.picture import Picture
from evalkit.reporting.names import statements_of


def pictures(evaluation: Evaluation) -> dict[str, Picture]:
    """Name -> Picture: timeline, separability, forest (one an outcome), event studies, leave one out, flow,
    contamination, and waterfall, value plane and acceptability where there are such numbers.

    A picture that nothing can be drawn in is left out; the tables say why.
    """
    evaluation = safe(evaluation)
    first = evaluation.study.outcome().column
    out = {"separability": describe("separability", evaluation)}
    named = {c.name for c in evaluation.study.components}
    if evaluation.study.paths.n_periods > 1 and evaluation.separability.withheld < named:
        out["timeline"] = describe("timeline", evaluation)
    for outcome in dict.fromkeys(evaluation.verdicts["outcome"]):
        name = "forest" if outcome == first else f"forest_{outcome}"
        out[name] = describe("forest", evaluation, evaluation.effects, outcome=outcome, name=name)
    for component in evaluation.study.components:
        table = evaluation.event_studies.get((component.name, first))
        if table is not None and len(table):
            name = f"event_study_{component.name}"
            out[name] = describe("event_study", evaluation, component.name, outcome=first, name=name)
    if len(evaluation.leave_one_out):
        out["leave_one_out"] = describe("leave_one_out", evaluation, outcome=first)
    if evaluation.flow is not None and len(evaluation.flow):
        out["flow"] = describe("flow", evaluation)
    out |= _whole(evaluation)
    weights = contamination_table(evaluation)
    if len(weights):
        out["contamination"] = describe("contamination", weights, labels=labels_of(evaluation))
    return out


def _whole(evaluation: Evaluation) -> dict[str, Picture]:
    """Waterfall, plane and acceptability curve, where there is something to draw in them."""
    out = {}
    made, value = evaluation.attribution, evaluation.value
    if made is not None and made.pieces["estimate"].notna().any():
        out["waterfall"] = describe("waterfall", made)
    if value is not None and len(value.plane):
        out["value_plane"] = describe("value_plane", value)
    if value is not None and len(value.acceptability):
        out["acceptability"] = describe("acceptability", value)
    return out


def write_tables(evaluation: Evaluation, folder: str | Path) -> tuple[Path, ...]:
    """Write every table of an evaluation as CSV (UTF-8, ten significant digits) into `folder`; return the paths.

    Only aggregates are written, never rows about units, and only what disclosure control allows.
    """
    evaluation = safe(evaluation)
    named = {**evaluation.frames(), "verdicts": stated(evaluation)}
    if evaluation.attribution is not None:
        named["attribution"] = evaluation.attribution.pieces
    if evaluation.value is not None:
        named["value"] = evaluation.value.table
    return tables.write(named, folder)


def stated(evaluation: Evaluation) -> pd.DataFrame:
    """The verdicts with everything that may be said about each: brief, found, may_say, may_not_say, would_change,
    planned."""
    rows = [
        {
            "component": s.component, "outcome": s.outcome, "brief": s.brief.text, "found": s.found,
            "may_say": s.may_say.text, "may_not_say": s.not_to_be_said, "would_change": s.would_change.text,
            "planned": s.planned,
        }
        for outcome in dict.fromkeys(evaluation.verdicts["outcome"])
        for s in statements_of(evaluation, outcome)
    ]  # fmt: skip
    return evaluation.verdicts.merge(pd.DataFrame(rows), on=["component", "outcome"], validate="one_to_one")


def write_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> None:
    """Write every picture as SVG, PNG, CSV (its data) and TXT (its words) into `folder`."""
    for picture in pictures.values():
        picture.save(folder)
