"""Sections about people: who is in and who is missing, and what was held back to protect them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.evaluation.flow import STAGES
from evalkit.evaluation.safe import safe
from evalkit.figures.picture import Picture
from evalkit.reporting.html import Html, paragraph
from evalkit.reporting.pictures import picture_html
from evalkit.reporting.register import names_of
from evalkit.show.designs import design_title
from evalkit.show.tables import make_table
from evalkit.show.words import noun_from_column, plural

_HIDDEN = "not published"


def who_is_in(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """How many could be reached by each component, had it, and stand behind its answer (first outcome)."""
    made = safe(evaluation)
    if getattr(made, "flow", None) is None:
        return Html("who is in", paragraph("Nothing was counted."))
    names, unit = names_of(made.study), plural(noun_from_column(str(made.study.unit)))
    rows = []
    for component, mine in made.flow.groupby("component", sort=False):
        said = {r["stage"]: _count(r["count"]) for r in mine.to_dict("records")}
        rows.append((names.label(component), *(said.get(stage, "no answer") for stage in STAGES)))
    head = ("Component", *(words[:1].upper() + words[1:] for words in STAGES.values()))
    right = (False, *(True,) * len(STAGES))
    table = make_table(f"Numbers of {unit}", head, rows, numeric=right, name="flow", cards=True)
    return Html("who is in", picture_html(pictures, "flow") + table.to_html())


def _count(value: float) -> str:
    return _HIDDEN if value != value else f"{value:,.0f}"


def held_back(evaluation: Any) -> Html:
    """The rules of disclosure control that apply, and each thing that they hid; never the number."""
    made = safe(evaluation)
    rules = getattr(made, "disclosure", None)
    if rules is None or not rules.active:
        return Html("held back", paragraph("The rows of this study are about places, so nothing was held back."))
    intro = paragraph(f"Rules “{rules.name}”: {rules.words()}")
    if made.log.empty:
        return Html("held back", intro + paragraph("Nothing had to be hidden."))
    names = names_of(made.study)
    labels = {**STAGES, **names.labels, **{o.column: o.label for o in made.study.outcomes}}
    rows = [(r["table"], _named(r["row"], labels), r["hidden"], r["rule"]) for r in made.log.to_dict("records")]
    head = ("Table", "Row", "Hidden", "Why")
    return Html("held back", intro + make_table("What was held back", head, rows, name="held-back").to_html())


def _named(row: str, labels: Mapping[str, str]) -> str:
    """'nurse, settled, StaggeredRollout(same)' as people say it."""
    words = row.split(", ", 2)
    design = design_title(words[2]) if len(words) > 2 else ""
    return ", ".join([*(labels.get(w, w) for w in words[:2]), *([design or words[2]] if len(words) > 2 else [])])
