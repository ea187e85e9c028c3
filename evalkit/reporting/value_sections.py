"""Sections about the whole and about people: what it adds up to, value for money, who is in, what was held back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evalkit.disclosure.people import STAGES
from evalkit.evaluation import Evaluation
from evalkit.evaluation.results import safe
from evalkit.figures.picture import Picture
from evalkit.reporting.blocks import Listing, Paragraph, Section
from evalkit.reporting.names import names_of
from evalkit.reporting.sections import headed
from evalkit.show.numbers import pounds, signed
from evalkit.show.tables import make_table
from evalkit.show.words import design_title, full_stop, noun_from_column, plural, sentence_case

_PRICED = ("shown", "likely")
_HIDDEN = "not published"


def adds_up(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """Where the programme's total on the first outcome came from, piece by piece."""
    made = safe(evaluation).attribution
    if made is None:
        return headed("adds up", Paragraph("No total is given: see what was held back, at the end."))
    rows = [_piece(r) for r in made.pieces.to_dict("records")]
    total = {"piece": "Programme as a whole", "estimate": made.total, "conf_low": made.total_low,
             "conf_high": made.total_high, "people_periods": made.people_periods, "reason": made.reason}  # fmt: skip
    head = ("Piece", "Added", "From", "To", "People periods", "Remarks")
    right = (False, True, True, True, True, False)
    caption = f"Where the result came from: {made.outcome.label}"
    table = make_table(caption, head, [*rows, _piece(total)], numeric=right, name="attribution", cards=True)
    return headed("adds up", pictures.get("waterfall"), table, Listing(tuple(map(full_stop, made.notes))))


def _piece(row: Mapping[Any, Any]) -> tuple[str, ...]:
    numbers = [signed(float(row[c]), 3) for c in ("estimate", "conf_low", "conf_high")]
    size = float(row["people_periods"])
    reason = row["reason"] if isinstance(row["reason"], str) else ""
    periods = "not given" if np.isnan(size) else f"{size:,.0f}"
    return (str(row["piece"]), *numbers, periods, full_stop(reason) or "nothing to add")


def money(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """What each part cost, what one more outcome cost, and how sure that is."""
    made = safe(evaluation).value
    if made is None:
        return headed("money", Paragraph("The register holds no costs, or they were held back: see the end."))
    stands = _standing(evaluation, made.table, made.outcome.column)
    rows = [
        (r["label"], _pounds(r["cost"]), cost_words(r) if r["name"] in stands else "not given", full_stop(r["words"]))
        for r in made.table.to_dict("records")
    ]
    head = ("Part", "Cost", "One more outcome", "In words")
    table = make_table(f"Value for money: {made.outcome.label}", head, rows, name="value", cards=True)
    drawn = (pictures.get("value_plane"), pictures.get("acceptability"))
    return headed("money", table, *drawn, Listing(tuple(map(full_stop, made.notes))))


def _standing(evaluation: Evaluation, table: pd.DataFrame, outcome: str) -> set[str]:
    """Lines whose cost of one more outcome may be given: components whose effect stands, and all that is not one."""
    own = {s.component: s.verdict for s in safe(evaluation).statements if s.outcome == outcome}
    return {n for n in table["name"] if n not in own or own[n] in _PRICED}


def cost_words(row: Mapping[Any, Any]) -> str:
    """'£18,400 (£9,900 to £71,000)', or 'not given' where the effect may be nothing."""
    value, low, high = (float(row[c]) for c in ("cost_per_outcome", "cost_low", "cost_high"))
    if not np.isfinite(value):
        return "not given"
    if np.isfinite(high):
        return f"{pounds(value)} ({pounds(low)} to {pounds(high)})"
    return f"{pounds(value)} ({pounds(low)} or more)" if np.isfinite(low) else pounds(value)


def costs_of(evaluation: Evaluation, verdicts: Mapping[str, str]) -> dict[str, str]:
    """Component -> its cost of one more outcome in words, for page one; empty where nothing has a cost.

    verdicts: component -> verdict. Without an effect that stands there is no such cost.
    """
    made = safe(evaluation).value
    if made is None or not np.isfinite(made.table["cost"].to_numpy(dtype=float)).any():
        return {}
    found = {r["name"]: cost_words(r) for r in made.table.to_dict("records")}
    return {c: found.get(c, "not given") if v in _PRICED else "not given" for c, v in verdicts.items()}


def _pounds(amount: float) -> str:
    return pounds(float(amount)) if pd.notna(amount) else "not stated"


def who_is_in(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """How many could be reached by each component, had it, and stand behind its answer (first outcome)."""
    made = safe(evaluation)
    if made.flow is None or made.flow.empty:
        return headed("who is in", Paragraph("Nothing was counted."))
    names, unit = names_of(made.study), plural(noun_from_column(str(made.study.unit)))
    rows = []
    for component, mine in made.flow.groupby("component", sort=False):
        counts = {r["stage"]: _count(r["count"]) for r in mine.to_dict("records")}
        rows.append((names.label(str(component)), *(counts.get(stage, "no answer") for stage in STAGES)))
    head = ("Component", *map(sentence_case, STAGES.values()))
    right = (False, *(True,) * len(STAGES))
    table = make_table(f"Numbers of {unit}", head, rows, numeric=right, name="flow", cards=True)
    return headed("who is in", pictures.get("flow"), table)


def _count(value: float) -> str:
    return _HIDDEN if value != value else f"{value:,.0f}"


def held_back(evaluation: Evaluation) -> Section:
    """The rules of disclosure control that apply, and each thing that they hid; never the number."""
    made = safe(evaluation)
    if made.protection is None or not made.protection.rules.active:
        return headed("held back", Paragraph("The rows of this study are about places, so nothing was held back."))
    rules, log = made.protection.rules, made.protection.log
    intro = Paragraph(f"Rules “{rules.name}”: {rules.words()}")
    if log.empty:
        return headed("held back", intro, Paragraph("Nothing had to be hidden."))
    labels = {**STAGES, **names_of(made.study).labels, **{o.column: o.label for o in made.study.outcomes}}
    rows = [(r["table"], _named(r["row"], labels), r["hidden"], r["rule"]) for r in log.to_dict("records")]
    head = ("Table", "Row", "Hidden", "Why")
    return headed("held back", intro, make_table("What was held back", head, rows, name="held-back"))


def _named(row: str, labels: Mapping[str, str]) -> str:
    """'nurse, settled, StaggeredRollout(same)' as people say it."""
    words = row.split(", ", 2)
    design = [design_title(words[2])] if len(words) > 2 else []
    return ", ".join([*(labels.get(w, w) for w in words[:2]), *design])
