"""What is hoped to change, which way is better, and how much would matter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

from evalkit.errors import OptionError, Problem, raise_problems

KINDS = ("share", "count", "score", "log", "money")
BETTER = ("higher", "lower")
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
    kind: str = "score"
    better: str = "higher"
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
    for name, value, allowed in (("kind", o.kind, KINDS), ("better", o.better, BETTER)):
        if value not in allowed:
            listed = ", ".join(repr(a) for a in allowed)
            yield Problem(f"{name}={value!r} is not a choice", where, f"Use one of: {listed}.")
    if o.matters is not None:
        number = isinstance(o.matters, Real) and not isinstance(o.matters, bool)
        if not number or not math.isfinite(o.matters) or o.matters <= 0:
            yield Problem(f"matters={o.matters!r}", where, "Give a number above 0 in the outcome's own unit.")
