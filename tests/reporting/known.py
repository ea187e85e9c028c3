"""A number as a report prints it, and a number of the evaluation that it may come from, at the rounding claimed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import pandas as pd

TOKEN = re.compile(r"(?<![\w.,])[−+-]?(?:[£€$]|more than |less than )?\d[\d,]*(?:\.\d+)?(?: million\b)?(?:%|p\b)?")
_FACTORS = {
    "share": (1.0, 1e2, 1e3, 1e4), "log": (1.0,), "rate": (1.0, 1e2, 1e3, 1e4, 1e5), "count": (1.0, 1e2, 1e4),
    "plain": (1.0,),
}  # fmt: skip
_EFFECTS = {
    "estimate", "conf_low", "conf_high", "std_error", "matters", "margin", "low", "high", "breakdown", "by_time",
    "smallest_detectable", "least_low", "band_low", "band_high", "with_it", "without", "expected", "rounded_to",
}  # fmt: skip
_LEVELS = {"with_it", "without", "expected"}
_SHARES = {
    "level",
    "discount",
    "share_cut",
    "planned_share",
    "actual_share",
    "missing_share",
    "chance",
    "chance_better",
}
_APART = {"checks", "case", "prior", "returns"}  # held by themselves
_EPS = 1e-6
_TENS = 10.0  # from here on an end may have been cut to tens


@dataclass(frozen=True)
class Known:
    """A number of the evaluation: how it may be rounded ('near', 'down', 'up'), and the kind of outcome it is of, or
    'plain' (counts, money, shares)."""

    value: float
    way: str = "near"
    kind: str = "plain"

    def shown(self) -> Iterator[float]:
        """The number in each unit in which it may be printed."""
        yield from (f * self.value for f in _FACTORS.get(self.kind, (1.0,)))
        if self.kind == "log":
            yield 100 * math.expm1(min(self.value, 50.0))
        if self.kind == "log level":
            yield math.exp(min(self.value, 50.0))


def way_of(name: str) -> str:
    """How a number of that name is rounded."""
    if name.endswith("low") or name == "share_cut":
        return "down"
    return "up" if name.endswith("high") or name in ("smallest_detectable", "detectable") else "near"


def walked(thing: object, kind: str = "plain", name: str = "") -> Iterator[Known]:
    """Every number in a value, its fields and elements; effects and levels are of the outcome's kind, all else counts,
    money and shares."""
    if isinstance(thing, (bool, str)) or thing is None:
        return
    if isinstance(thing, (int, float, np.number)):
        if math.isfinite(thing):
            own = kind if not name or name in _EFFECTS else "share" if name in _SHARES else "plain"
            own = "log level" if own == "log" and name in _LEVELS else own
            yield Known(float(thing), way_of(name), own)
    elif is_dataclass(thing) and not isinstance(thing, type):
        for f in fields(thing):
            if f.name not in _APART:
                yield from walked(getattr(thing, f.name), kind, f.name)
    elif isinstance(thing, pd.DataFrame):
        for column in thing:
            for value in thing[column]:
                yield from walked(value, kind, str(column))
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from walked(value, kind, str(key))
    elif isinstance(thing, (tuple, list, np.ndarray)):
        for value in thing:
            yield from walked(value, kind, name)


@dataclass(frozen=True)
class Number:
    """A number as printed: its size, the unit of its last digit, its sign where one is printed, and a limit's word."""

    words: str
    value: float
    unit: float
    sign: int
    limit: str

    @classmethod
    def read(cls, words: str) -> Number:
        limit = next((w for w in ("more than", "less than") if w in words), "")
        bare = re.sub(r"[^\d.−+-]", "", words.replace("million", ""))
        sign = -1 if bare[0] in "−-" else 1 if bare[0] == "+" else 0
        digits = bare.lstrip("−+-")
        zeros = len(digits) - len(digits.rstrip("0"))
        unit = 10.0 ** -len(digits.partition(".")[2]) if "." in digits else 10.0 ** max(min(zeros, len(digits) - 2), 0)
        times = 1e6 if "million" in words else 1.0
        return cls(words, times * float(digits), times * unit, sign, limit)

    def is_of(self, known: Known) -> bool:
        """Whether it is that number, rounded as it may be."""
        return any(self._rounded(shown, known.way) for shown in known.shown())

    def _rounded(self, shown: float, way: str) -> bool:
        if self.sign and shown and math.copysign(1, shown) != self.sign:
            return False
        if self.limit:
            return abs(shown) >= self.value - _EPS if self.limit == "more than" else abs(shown) <= self.value + _EPS
        slack = self.unit * _EPS + 1e-12 * abs(shown)
        beyond = self.value - abs(shown)
        if way == "near":
            return abs(beyond) <= self.unit / 2 + slack
        outwards = beyond if (way == "up") == (shown >= 0) else -beyond
        tens = 10.0 if self.unit == 1.0 and self.value >= _TENS and self.value % 10 == 0 else self.unit
        return -slack <= outwards < tens + slack


def in_words(*texts: str) -> Iterator[Known]:
    """Numbers of words that are themselves evidence: what a check said, why a rule was chosen."""
    for text in texts:
        yield from (Known(n.sign * n.value if n.sign else n.value) for n in map(Number.read, TOKEN.findall(text)))
