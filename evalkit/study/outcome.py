"""What is hoped to change, which way is better, and how much would matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from evalkit.errors import OptionError, Problem, is_number, raise_problems
from evalkit.vocabulary import OUTCOME_KINDS, Better, OutcomeKind

_UNITS = {
    "share": "percentage points",
    "count": "events for each unit and period",
    "score": "points",
    "log": "per cent",
    "money": "pounds",
}


@dataclass(frozen=True)
class Outcome:
    """An outcome column of the panel.

    label: words for people; the column when not given.
    kind: how its effects are said: "share" (0 to 1), "count", "score", "log" or "money".
    better: "higher" or "lower".
    matters: the smallest effect worth having, in the column's own unit; without it
        a lack of effect is never claimed.

    Raises `OptionError` that lists everything wrong with the choices.
    """

    column: str
    label: str = ""
    kind: OutcomeKind = "score"
    better: Better = "higher"
    matters: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or str(self.column))
        raise_problems(_problems(self), OptionError)

    @property
    def unit(self) -> str:
        """The unit of an effect, in words."""
        return _UNITS[self.kind]


def _problems(o: Outcome) -> Iterator[Problem]:
    where = f"outcome {o.column!r}"
    for name, value, allowed in (("kind", o.kind, OUTCOME_KINDS), ("better", o.better, get_args(Better))):
        if value not in allowed:
            listed = ", ".join(map(repr, allowed))
            yield Problem(f"{name}={value!r} is not a choice", where, f"Use one of: {listed}.")
    if o.matters is not None and (not is_number(o.matters) or o.matters <= 0):
        yield Problem(f"matters={o.matters!r}", where, "Give a number above 0 in the outcome's own unit.")
