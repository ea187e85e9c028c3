"""Sections about the whole: what it adds up to, and value for money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evalkit.evaluation.safe import safe
from evalkit.figures.picture import Picture
from evalkit.reporting.html import Html, bullets, escape, paragraph
from evalkit.reporting.pictures import picture_html
from evalkit.show.numbers import pounds, signed
from evalkit.show.tables import make_table
from evalkit.show.words import full_stop

_PRICED = ("shown", "likely")


def adds_up(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """Where the programme's total on the first outcome came from, piece by piece."""
    made = getattr(safe(evaluation), "attribution", None)
    if made is None:
        return Html("adds up", paragraph("No total is given: see what was held back, at the end."))
    rows = [_piece(r) for r in made.pieces.to_dict("records")]
    total = {"piece": "Programme as a whole", "estimate": made.total, "conf_low": made.total_low,
             "conf_high": made.total_high, "people_periods": made.people_periods, "reason": made.reason}  # fmt: skip
    head = ("Piece", "Added", "From", "To", "People periods", "Remarks")
    right = (False, True, True, True, True, False)
    caption = f"Where the result came from: {made.outcome.label}"
    table = make_table(caption, head, [*rows, _piece(total)], numeric=right, name="attribution", cards=True)
    notes = bullets(escape(full_stop(n)) for n in made.notes)
    return Html("adds up", picture_html(pictures, "waterfall") + table.to_html() + notes)


def _piece(row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = [signed(float(row[c]), 3) for c in ("estimate", "conf_low", "conf_high")]
    size = float(row["people_periods"])
    reason = row["reason"] if isinstance(row["reason"], str) else ""
    periods = "not given" if np.isnan(size) else f"{size:,.0f}"
    return (str(row["piece"]), *numbers, periods, full_stop(reason) or "nothing to add")


def money(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """What each part cost, what one more outcome cost, and how sure that is."""
    made = getattr(safe(evaluation), "value", None)
    if made is None:
        return Html("money", paragraph("The register holds no costs, or they were held back: see the end."))
    lines = made.table.to_dict("records")
    stands = _standing(evaluation, made.outcome.column)
    rows = [
        (
            r["label"],
            _pounds(r["cost"]),
            cost_words(r) if r["name"] in stands else "not given",
            full_stop(str(r["words"])),
        )
        for r in lines
    ]
    head = ("Part", "Cost", "One more outcome", "In words")
    table = make_table(f"Value for money: {made.outcome.label}", head, rows, name="value", cards=True)
    drawn = picture_html(pictures, "value_plane") + picture_html(pictures, "acceptability")
    notes = bullets(escape(full_stop(n)) for n in made.notes)
    return Html("money", table.to_html() + drawn + notes)


def _standing(evaluation: Any, outcome: str) -> set[str]:
    """Lines whose cost of one more outcome may be given: components whose effect stands, and all that is not one."""
    own = safe(evaluation).verdicts
    own = own[own["outcome"] == outcome]
    lines = safe(evaluation).value.table["name"]
    return (set(lines) - set(own["component"])) | set(own.loc[own["verdict"].isin(_PRICED), "component"])


def cost_words(row: Mapping[str, Any]) -> str:
    """'£18,400 (£9,900 to £71,000)', or 'not given' where the effect may be nothing."""
    value, low, high = (float(row[c]) for c in ("cost_per_outcome", "cost_low", "cost_high"))
    if not np.isfinite(value):
        return "not given"
    if np.isfinite(high):
        return f"{pounds(value)} ({pounds(low)} to {pounds(high)})"
    return f"{pounds(value)} ({pounds(low)} or more)" if np.isfinite(low) else pounds(value)


def costs_of(evaluation: Any, verdicts: Mapping[str, str]) -> dict[str, str]:
    """Component -> its cost of one more outcome in words, for page one; empty where nothing has a cost.

    verdicts: component -> verdict. Without an effect that stands there is no such cost.
    """
    made = getattr(safe(evaluation), "value", None)
    if made is None or not np.isfinite(made.table["cost"].to_numpy(dtype=float)).any():
        return {}
    found = {r["name"]: cost_words(r) for r in made.table.to_dict("records")}
    return {c: found.get(c, "not given") if v in _PRICED else "not given" for c, v in verdicts.items()}


def _pounds(amount: float) -> str:
    return pounds(float(amount)) if pd.notna(amount) else "not stated"
