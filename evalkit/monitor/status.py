"""What may be said of each component on a day: too early, crossed the agreed line, not a look, or a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.monitor.agreement import Agreement
from evalkit.monitor.delivery import STEERED, steered
from evalkit.monitor.ledger import Ledger
from evalkit.monitor.looks import after_crossing
from evalkit.show.numbers import NOT_GIVEN, range_words
from evalkit.show.words import count_words, full_stop
from evalkit.study import Study

TOO_EARLY, CROSSED, NOT_A_LOOK = "too early", "crossed the agreed line", "not a look"
COLUMNS = ("component", "status", "verdict", "look", "estimate", "low", "high", "adjusted", "adjusted_low",
           "adjusted_high", "sentence")  # fmt: skip
_WORDS = {
    "none": "{label}: too early. No look has been due yet; the first goes through {next}.",
    "early": "{label}: too early. {why}",
    "no number": "{label}: too early. At the look through {look} there was no number to hold against the line: {why}",
    "inside": "{label}: too early. At look {number} of {total}, through {look}, it had not crossed the agreed line; "
    "what is not ruled out is {range}.",
    "between": "{label}: not a look. At the last one, look {number} of {total} through {look}, it had not crossed the "
    "agreed line. The next goes through {next}; until then nothing is said of its effect.",
    "over": "{label}: cannot tell. All {total} looks are over and it has not crossed the agreed line; what is not "
    "ruled out is {range}. `evalkit run` says what the whole record carries.",
    "nothing": "{label}: cannot tell. All {total} looks are over, and at the last, through {look}, there was no number "
    "to hold against the line: {why}",
    "crossed": "{label}: crossed the agreed line at look {number} of {total}, through {look}: {direction} than without "
    "it. With the flattery of stopping early taken out: {adjusted}.",
}
_STATUS = {"between": NOT_A_LOOK, "over": "cannot_tell", "nothing": "cannot_tell"}
_ONE_ARM = "With {places} in the smaller arm no line can be crossed before the last look."


def status_table(
    study: Study, ledger: Ledger, agreement: Agreement, delivery: pd.DataFrame, next_look: str, look_today: bool
) -> pd.DataFrame:
    """A row a component of the agreement, in the columns of `COLUMNS`. verdict: "shown" at most after a crossing, and
    at most "likely" where dates were moved because of results; "cannot_tell" once all looks are over; else empty."""
    moved = steered(delivery, agreement.components)
    rows = [_row(study, ledger, agreement, c, next_look, look_today, c in moved) for c in agreement.components]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    study: Study, ledger: Ledger, agreement: Agreement, component: str, next_look: str, look_today: bool, moved: bool
) -> dict[str, Any]:
    label, planned = study.component(component).label, [x for x in ledger.looks if x["planned"]]
    last = planned[-1] if planned else None
    crossing = next((x for x in planned if x["components"][component].get("crossed")), None)
    look = crossing or last
    said: Mapping[str, Any] = {} if look is None else look["components"][component]
    low, high = said.get("low", math.nan), said.get("high", math.nan)
    words = {
        "label": label,
        "next": next_look,
        "total": len(agreement.looks),
        "range": range_of(study, agreement, low, high),
    }
    if look is not None:
        words |= {"number": look["look"], "look": look["through"]}
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | {"component": component, "verdict": ""}
    row |= {"look": "" if look is None else look["through"]}
    if crossing is not None:
        better = (said["estimate"] > 0) == (study.outcome(agreement.outcome).better == "higher")
        words["direction"] = "better" if better else "worse"
        row |= (
            {"status": CROSSED, "verdict": "likely" if moved else "shown"}
            | _numbers(said)
            | _adjusted(ledger, component)
        )
        words["adjusted"] = range_of(study, agreement, row["adjusted_low"], row["adjusted_high"])
        kind = "crossed"
    else:
        kind, why = _kind(said, look, next_look, look_today, agreement)
        status = _STATUS.get(kind, TOO_EARLY)
        row |= {"status": status, "verdict": status if status == "cannot_tell" else ""}
        words["why"] = full_stop(why)
        row |= _numbers(said) if kind in ("inside", "over") else {}
    sentence = _WORDS[kind].format(**words)
    return row | {"sentence": f"{sentence} {STEERED.format(label=label)}" if moved else sentence}


def _kind(
    said: Mapping[str, Any], look: Mapping[str, Any] | None, next_look: str, look_today: bool, agreement: Agreement
) -> tuple[str, str]:
    """Which sentence, and why where it says so."""
    if look is None:
        return "none", ""
    if "bound" not in said:
        return "no number" if next_look else "nothing", str(said.get("reason", "")) or "nothing could be compared"
    if not next_look:
        return "over", ""
    few = min(said["exposed"], said["comparison"])
    if few < agreement.fewest:
        return "early", _ONE_ARM.format(places=count_words(few, "place"))
    return ("inside" if look_today else "between"), ""


def _numbers(said: Mapping[str, Any]) -> dict[str, float]:
    return {k: said.get(k, math.nan) for k in ("estimate", "low", "high")}


def _adjusted(ledger: Ledger, component: str) -> dict[str, float]:
    found = after_crossing(ledger, component)
    assert found is not None
    return {"adjusted": found.estimate, "adjusted_low": found.low, "adjusted_high": found.high}


def range_of(study: Study, agreement: Agreement, low: float, high: float) -> str:
    """What is not ruled out, in words of the agreement's outcome."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOT_GIVEN
    return range_words(low, high, study.outcome(agreement.outcome).kind, currency=study.currency)
