"""Every picture of a report, made once from the tables of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.evaluation.safe import safe
from evalkit.figures import describe
from evalkit.figures.contamination import contamination_table
from evalkit.figures.inputs import labels_of
from evalkit.figures.picture import Picture


def pictures(evaluation: Any) -> dict[str, Picture]:
    """Name -> Picture: timeline, separability, forest (one an outcome), event studies, leave one out, flow,
    contamination, and waterfall, value plane and acceptability where there are such numbers.

    A picture that nothing can be drawn in is left out; the tables say why.
    """
    evaluation = safe(evaluation)
    first = evaluation.study.outcome().column
    out = {"separability": describe("separability", evaluation)}
    named = {c.name for c in evaluation.study.components}
    if evaluation.study.paths.n_periods > 1 and set(getattr(evaluation.separability, "withheld", ())) < named:
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
    if getattr(evaluation, "flow", None) is not None:
        out["flow"] = describe("flow", evaluation)
    out |= _whole(evaluation)
    weights = contamination_table(evaluation)
    if len(weights):
        out["contamination"] = describe("contamination", weights, labels=labels_of(evaluation))
    return out


def _whole(evaluation: Any) -> dict[str, Picture]:
    """Waterfall, plane and acceptability curve, where there is something to draw in them."""
    out = {}
    made, value = getattr(evaluation, "attribution", None), getattr(evaluation, "value", None)
    if made is not None and made.pieces["estimate"].notna().any():
        out["waterfall"] = describe("waterfall", made)
    if value is not None and len(value.plane):
        out["value_plane"] = describe("value_plane", value)
    if value is not None and len(value.acceptability):
        out["acceptability"] = describe("acceptability", value)
    return out


def picture_html(made: Mapping[str, Picture], name: str) -> str:
    """The picture's HTML, or nothing where it could not be drawn."""
    return made[name].to_html() if name in made else ""
