"""Start dates that lie between two known moments: the answer over what they may have been."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalkit.checks.headline import CheckResult, moved, verdict_side
from evalkit.inference.estimate import Estimate
from evalkit.show.words import join_words, plural

DRAWN = (
    "Counted from the recorded dates, it is drawn towards nothing: some periods with it would stand among those without"
)
DRAWN_BY = 0.9
"""Share of the answer below which the recorded dates are said to draw it towards nothing."""


def start_dates(
    headline: Estimate,
    readings: Mapping[str, Estimate | None],
    recorded: Estimate | None,
    matters: float | None,
    places: int,
    place: str = "place",
) -> CheckResult:
    """Failed where the sign, or a size that a verdict hangs on, depends on when places began within their bounds.

    readings: words for each reading, and its estimate (one row; None where it leaves nothing to compare). recorded: the
    answer from the recorded dates as if they were sure. places: how many have such dates. The range is that of all
    readings and the headline's, which leaves out the periods in between.
    """
    check, value = "start_dates", float(headline.value[0])
    which = f"{places} {place if places == 1 else plural(place)}"
    given = {w: e for w, e in readings.items() if e is not None and np.isfinite(e.value[0])}
    if not given:
        words = f"When it began is known only within bounds in {which}, and no reading leaves anything to compare."
        return CheckResult(check, "informational", words, value)
    values = [value, *(float(e.value[0]) for e in given.values())]
    low, high = min(values), max(values)
    known = f"When it began is known only within bounds in {which}; the periods in between count on neither side."
    ran = f"Read otherwise, the answer runs from {low:.2g} to {high:.2g}"
    less = (
        recorded is not None
        and abs(recorded.value[0]) < DRAWN_BY * abs(value)
        and verdict_side(headline, matters)[0] != 0
    )
    drawn = f"{DRAWN} ({float(recorded.value[0]):.2g})." if less and recorded is not None else ""
    changed = [w for w, e in given.items() if _hangs(headline, e, matters)]
    if changed:
        said = join_words(changed[:3], "or")
        words = f"{known} {ran}, and it is another one {said}. {drawn}"
        return CheckResult(check, "failed", words.strip(), value, low, high)
    return CheckResult(check, "passed", f"{known} {ran}. {drawn}".strip(), value, low, high)


def _hangs(headline: Estimate, other: Estimate, matters: float | None) -> bool:
    """Whether a reading is another answer (`moved`), or another one by what a verdict asks of its range."""
    same = verdict_side(headline, matters) == verdict_side(other, matters)
    return not same or bool(moved(headline, other.value, matters)[0])
