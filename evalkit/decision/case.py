"""One line to decide on: what was found about a component, a combination or the programme, and what is at stake."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from evalkit.decision.worth import Stake
from evalkit.vocabulary import OutcomeKind


@dataclass(frozen=True)
class Case:
    """One line to decide on: what was found on one outcome, and what is at stake.

    Estimate, range and std_error in the outcome's unit, benefit positive; NaN where there is none. matters: None where
    nobody has said. members: of a bundle or the programme, itself of a component. withheld: why no chance may be given.
    beside: what ended a claim and no chance allows for. allowed: failed checks, in words, that say how far they may
    move the answer; allowed_low, allowed_high: ends of the range so moved. reason: why there is no range. left: whether
    places without it are left. kind, unit, good: of the outcome, `good` -1 where lower is better. one: one outcome in
    words, such as 'a person month with “In a settled home”'. again: standard error of what the next rollout alone would
    tell, where one is planned.
    """

    name: str
    label: str
    outcome: str
    outcome_label: str
    members: tuple[str, ...]
    kind: OutcomeKind
    unit: str
    good: float = 1.0
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    std_error: float = math.nan
    df: float = math.nan
    matters: float | None = None
    withheld: str = ""
    beside: str = ""
    allowed: tuple[str, ...] = ()
    allowed_low: float = math.nan
    allowed_high: float = math.nan
    reason: str = ""
    left: bool = True
    stake: Stake = field(default_factory=Stake)
    one: str = "an outcome"
    again: float = math.nan

    @property
    def ranged(self) -> bool:
        """Whether estimate, both ends and the spread are numbers."""
        numbers = (self.estimate, self.conf_low, self.conf_high, self.std_error)
        return all(map(math.isfinite, numbers)) and self.std_error > 0

    @property
    def moves(self) -> tuple[float, float]:
        """By how much at most what is allowed for moves the answer, down and up."""
        away = self.allowed_low - self.conf_low, self.allowed_high - self.conf_high
        return away if self.allowed and all(map(math.isfinite, away)) else (0.0, 0.0)

    @property
    def spread(self) -> float:
        """Standard deviation of what is allowed for, as likely anywhere between its ends."""
        down, up = self.moves
        return (up - down) / math.sqrt(12)

    @property
    def drift(self) -> float:
        """Smallest drift, in the outcome's unit, that would undo what is ruled out; NaN where nothing is."""
        if not self.ranged or self.matters is None:
            return math.nan
        undone = [d for d in (self.conf_low + self.matters, self.matters - self.conf_high) if d > 0]
        return min(undone, default=math.nan)

    def hidden(self, reason: str) -> Case:
        """The same line without what was found."""
        nan = math.nan
        return replace(
            self, estimate=nan, conf_low=nan, conf_high=nan, allowed_low=nan, allowed_high=nan, std_error=nan, df=nan,
            withheld=reason, reason=reason,
        )  # fmt: skip
