"""What value for money says to people: one fixed sentence for each case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.show.numbers import pounds
from evalkit.show.words import full_stop, noun_from_column, quoted, sentences

if TYPE_CHECKING:
    from evalkit.evaluation.value.draws import Ratio
    from evalkit.evaluation.value.lines import Case, Line


CLAIMED = ("shown", "likely")


def line_words(line: Line, case: Case) -> str:
    """One or two sentences: cost, cost for one more outcome, or why it is not given."""
    if line.kind == "not_given":
        cost = f"it cost {pounds(line.cost.whole)}" if np.isfinite(line.cost.whole) else "no cost is given"
        return sentences(f"no effect of it alone is identified, so no cost for one more is given; {cost}", line.reason)
    if not line.priced:
        return "No cost is given."
    if not line.countable:
        return "Its effect is in per cent, so no cost for one more is given."
    return ratio_words(line.cost_ratio(case.level), line, case)


def ratio_words(ratio: Ratio, line: Line, case: Case) -> str:
    """The ratio and its limits in a sentence."""
    one = one_more(case)
    if ratio.kind == "bounded" and case.verdicts.get(line.name, "shown") not in CLAIMED:
        return (
            "Not given: the evaluation cannot tell whether it made a difference (the likely range alone would be "
            f"{pounds(ratio.low)} to {pounds(ratio.high)} for {one})."
        )
    if ratio.kind == "bounded":
        return f"{pounds(ratio.value)} for {one} (likely range {pounds(ratio.low)} to {pounds(ratio.high)})."
    if ratio.kind in ("unbounded", "unclear"):
        return (
            f"At least {pounds(ratio.low)} for {one}; there is no upper limit, because the effect may be zero "
            "or go the wrong way."
        )
    if ratio.kind == "worse":
        return "The outcome is worse with it, so no cost for one more is given."
    if ratio.kind == "nothing":
        return "Nothing was added, so no cost for one more is given."
    return full_stop(f"no cost for one more is given: {line.reason or 'its effect has no interval'}")


def one_more(case: Case) -> str:
    """What one more outcome is: 'each additional person month with “In a settled home”'."""
    study, outcome = case.purse.study, case.outcome
    where = noun_from_column(study.unit) + (f" {noun_from_column(study.period)}" if study.period else "")
    higher = outcome.better == "higher"
    label = quoted(outcome.label)
    if outcome.kind == "share":
        return f"each {'additional' if higher else 'avoided'} {where} with {label}"
    if outcome.kind == "count":
        return f"each event {'added' if higher else 'avoided'} ({label})"
    if outcome.kind == "money":
        return f"each pound {'gained' if higher else 'saved'} ({label})"
    return f"each point {'gained' if higher else 'taken off'} for one {where} ({label})"
