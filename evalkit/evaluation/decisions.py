"""Decisions: lean, chance, what is to be had and what to do next, a row a component, combination and programme."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from evalkit.decision.acts import Decision, decide, together
from evalkit.decision.case import Case
from evalkit.decision.prior import Prior
from evalkit.evaluation.deciding import Worth, cases_of
from evalkit.evaluation.evidence import Evaluated
from evalkit.language.decisions import Said, said_of, why
from evalkit.show.tables import Table, from_frame

if TYPE_CHECKING:
    from evalkit.rollouts.planning import RolloutPlan

COLUMNS = (
    "component", "lean", "chance_better", "chance_matters", "chance_harm", "prior", "net_benefit", "net_benefit_low",
    "net_benefit_high", "chance_pays", "break_even_worth", "loss_keep", "loss_stop", "value_of_information", "act",
    "sentence", "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Decisions:
    """What follows from an evaluation for those who decide. Never a ranking.

    table: one row a component, combination and the programme, on the first outcome unless others disagree with it.
        Money is at the lower end of the worth of one outcome (what public bodies save), net_benefit_low and _high from
        the worse to the better end; value_of_information is that of the next rollout; NaN with a reason where withheld.
    lines: the decisions behind the rows, with every other number. said: what may be said of each, piece by piece.
    by_outcome: the decisions on every outcome, before they are held against each other.
    """

    prior: Prior
    table: pd.DataFrame
    lines: tuple[Decision, ...]
    said: tuple[Said, ...]
    by_outcome: tuple[Decision, ...]

    def summary(self) -> Table:
        """What to do, and why, as an accessible table."""
        frame = self.table[["act", "sentence"]].assign(component=[d.case.label for d in self.lines])
        frame["act"] = frame["act"].str.replace("_", " ")
        labels = {"component": "Part", "act": "What to do", "sentence": "Why"}
        return from_frame(frame[list(labels)], "Decisions", labels)

    def __repr__(self) -> str:
        return self.summary().to_text(110)

    def _repr_html_(self) -> str:
        return self.summary().to_html()


def every_case(
    evaluation: Evaluated, worth: Worth | None = None, rollout: RolloutPlan | None = None
) -> tuple[Case, ...]:
    """The lines on every outcome, outcome by outcome. rollout: as in `cases_of`."""

    def make() -> tuple[Case, ...]:
        return tuple(c for o in evaluation.study.outcomes for c in cases_of(evaluation, o, worth, rollout))

    return make() if rollout is not None else evaluation.memo.get(("cases", worth), make)


def decisions_on(cases: Iterable[Case], prior: Prior, currency: str = "£") -> Decisions:
    """The decision on each line, from what was found on each outcome."""
    by_line: dict[str, list[Decision]] = {}
    for case in cases:
        by_line.setdefault(case.name, []).append(decide(case, prior))
    lines = tuple(map(together, by_line.values()))
    said = tuple(said_of(d, currency) for d in lines)
    table = pd.DataFrame(map(_row, lines, said), columns=list(COLUMNS))
    return Decisions(prior, table, lines, said, tuple(d for found in by_line.values() for d in found))


def _row(d: Decision, said: Said) -> dict[str, object]:
    least = d.returns[0] if d.returns else None
    money = {
        name: getattr(least, field) if least else math.nan
        for name, field in (
            ("net_benefit", "net_benefit"), ("chance_pays", "chance_pays"), ("loss_keep", "loss_keep"),
            ("loss_stop", "loss_stop"), ("value_of_information", "next_rollout"),
        )
    }  # fmt: skip
    return {
        "component": d.case.name, "lean": d.lean, "chance_better": d.chance_better,
        "chance_matters": d.chance_matters, "chance_harm": d.chance_harm, "prior": d.prior.name, **money,
        "net_benefit_low": min((r.net_benefit_low for r in d.returns), default=math.nan),
        "net_benefit_high": max((r.net_benefit_high for r in d.returns), default=math.nan),
        "break_even_worth": d.break_even_worth, "act": d.act, "sentence": said.sentence, "reason": why(d),
    }  # fmt: skip
