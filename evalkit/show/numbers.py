"""Numbers as people say them: natural frequencies, per cent for logs, points, pounds.

An effect is shown with two significant digits, and never more finely than the first digit of its standard error; of
shares and logs every whole one in a hundred is shown. Ends of ranges are rounded outwards, sizes that were seen up.
Rounding keeps signs and sides: a number on one side of zero (or of what matters) is never printed as lying on the
other, and minus zero is never printed. What cannot be given prints as 'not given'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from evalkit.show.words import plural

NOT_GIVEN = "not given"
MINUS = "−"
_LARGEST_PERCENT = 1000.0
_TIMES = tuple(plural(t) for t in ("year", "quarter", "month", "week", "day", "night", "hour", "period"))
"""What a rate may be per that holds its time already."""
Way = Literal["nearest", "down", "up"]
"""How a number is rounded: to the nearest, or towards the end of a range that it stands for."""


@dataclass(frozen=True)
class Nouns:
    """Words about whom and what is counted, each optional.

    `unit` singular ('person'), `whom` plural ('people with both needs'; by default the unit's plural, and of a rate
    what it is per), `period` singular ('month'), `currency` a sign put before the figure, `time` what waiting is
    counted in ('weeks').
    """

    unit: str = ""
    whom: str = ""
    period: str = ""
    currency: str = "£"
    time: str = ""


@dataclass(frozen=True)
class Scale:
    """How the numbers of one sentence are shown, all alike.

    `factor` turns a value into what is shown (logs go through 100 (exp(v) - 1) instead), `decimals` may be
    negative, `apart` are shown values that rounding must not reach or cross, `tail` follows the direction and
    `brief` is the tail of a second mention (' in every 100').
    """

    kind: str
    factor: float = 1.0
    decimals: int = 0
    tail: str = ""
    currency: str = "£"
    brief: str = ""
    apart: tuple[float, ...] = (0.0,)
    time: str = ""

    def shown(self, value: float) -> float:
        """The value in the units that are printed."""
        if self.kind == "log":
            return 100.0 * math.expm1(min(value, 50.0))
        return self.factor * value

    def figure(self, value: float, way: Way = "nearest") -> str:
        """Size without sign, with its currency or per cent sign: '£120', '6%', '9'."""
        text = _magnitude(self.shown(value), self.decimals, self.apart, self.kind == "log", way)
        if self.kind == "money":
            words, _, number = text.rpartition(" ")
            return f"{words} {self.currency}{number}".strip()
        return text + ("%" if self.kind == "log" else "")

    def named(self, figure: str) -> str:
        """The figure with the name of its unit where it has one: '0.3 points', '1 point'."""
        if self.kind not in ("score", "time_to_event"):
            return figure
        many = "points" if self.kind == "score" else self.time
        return f"{figure} {many.removesuffix('s') if figure.split()[-1] == '1' else many}".strip()

    def direction(self, value: float) -> str:
        """'more' or 'fewer', 'higher' or 'lower', 'more' or 'less', 'later' or 'sooner'."""
        if self.kind == "time_to_event":
            return "sooner" if value < 0 else "later"
        if self.kind in ("score", "log"):
            return "lower" if value < 0 else "higher"
        less = "less" if self.kind == "money" else "fewer"
        return less if value < 0 else "more"

    def effect(self, value: float) -> str:
        """'about 9 more', 'about 6% lower': without the tail."""
        figure = self.figure(value)
        about = "about " if figure.lstrip(self.currency)[0].isdigit() else ""
        return f"{about}{self.named(figure)} {self.direction(value)}"

    def span(self, low: float, high: float) -> str:
        """'2 to 16 more', '2% to 10% lower', '4 fewer to 11 more': rounded outwards, without the tail."""
        first, second = self.figure(low, "down"), self.figure(high, "up")
        if low < 0 < high:
            return f"{self.named(first)} {self.direction(low)} to {self.named(second)} {self.direction(high)}"
        if high <= 0:
            first, second = second, first
        both = second if first == second else f"{first} to {second}"
        return f"{self.named(both)} {self.direction(high if high > 0 else low)}"

    def size(self, value: float) -> str:
        """Size without direction: '5 in every 100', '6%', '0.3 points'."""
        return self.named(self.figure(value)) + self.brief

    def at_least(self, value: float) -> str:
        """A size that is needed, or could be seen, rounded up, without direction and tail."""
        return self.named(self.figure(value, "down" if value < 0 else "up"))

    def finely(self, value: float) -> str:
        """Size without direction, for a number that somebody set: two significant digits of its own."""
        return replace(self, decimals=max(self.decimals, decimals_for(self.shown(value)))).size(value)


def scale_for(
    values: Iterable[float],
    kind: str,
    nouns: Nouns | None = None,
    std_error: float = math.nan,
    apart: Iterable[float] = (),
) -> Scale:
    """Choose one way of showing all the numbers of a sentence.

    `values` in the outcome's unit, the first sets the precision (with `std_error`) and the largest the
    denominator (in every 100, 1,000 or 10,000); `apart` are values whose side rounding must keep.
    """
    nouns = nouns or Nouns()
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    factor, tail = _denominator(kind, max(abs(v) for v in finite), nouns)
    brief = f" in every {factor:,.0f}" if kind == "share" else tail
    bare = Scale(kind, factor, 0, tail, nouns.currency, brief, time=nouns.time)
    first = bare.shown(finite[0])
    spread = std_error * (100.0 * math.exp(min(finite[0], 50.0)) if kind == "log" else factor)
    edges = (0.0, *(bare.shown(a) for a in apart if math.isfinite(a)))
    decimals = decimals_for(first, spread)
    return replace(bare, decimals=max(decimals, 0) if kind in ("share", "log") else decimals, apart=edges)


def decimals_for(value: float, std_error: float = math.nan, digits: int = 2) -> int:
    """Decimals that show `digits` significant digits, no finer than the standard error's first digit."""
    limits = []
    if math.isfinite(value) and value != 0:
        limits.append(digits - 1 - math.floor(math.log10(abs(value))))
    if math.isfinite(std_error) and std_error > 0:
        limits.append(-math.floor(math.log10(std_error)))
    return min(min(limits, default=0), 12)


def range_words(low: float, high: float, kind: str, *, currency: str = "£", time: str = "") -> str:
    """A range in words: '2 to 16 more in every 100', '4 fewer to 11 more in every 100', '2% to 10% lower'."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOT_GIVEN
    nouns = Nouns(currency=currency, time=time)
    scale = scale_for([(low + high) / 2.0, low, high], kind, nouns, std_error=(high - low) / 4.0)
    return scale.span(low, high) + scale.tail


def size_words(
    value: float, kind: str, unit: str | None = None, *, period: str = "", whom: str = "", currency: str = "£",
    time: str = "",
) -> str:  # fmt: skip
    """A size without direction: '5 in every 100', '6%'. For logs the sign matters: pass a fall as negative."""
    if not math.isfinite(value):
        return NOT_GIVEN
    return scale_for([value], kind, Nouns(unit or "", whom, period, currency, time)).size(value)


def signed(value: float, digits: int = 2, std_error: float = math.nan, way: Way = "nearest") -> str:
    """A number with its sign for a table: '+9.3', '−0.034', '0'."""
    return _with_sign(value, decimals_for(value, std_error, digits), way)


def signed_range(estimate: float, low: float, high: float, std_error: float = math.nan) -> tuple[str, str, str]:
    """An estimate and the ends of its range for a table: alike, to the second digit of the standard error (or three
    digits of the estimate where it is not known), the ends rounded outwards."""
    known = math.isfinite(std_error) and std_error > 0
    decimals = max(decimals_for(std_error), 0) if known else decimals_for(estimate, digits=3)
    return _with_sign(estimate, decimals), _with_sign(low, decimals, "down"), _with_sign(high, decimals, "up")


def _with_sign(value: float, decimals: int, way: Way = "nearest") -> str:
    if not math.isfinite(value):
        return NOT_GIVEN
    if value == 0:
        return "0"
    return ("+" if value > 0 else MINUS) + _magnitude(value, decimals, (0.0,), way=way)


def percent(share: float, digits: int = 2) -> str:
    """A share as per cent with `digits` significant digits: 0.123 gives '12%', 0.998 'more than 99%': not all of it."""
    if not math.isfinite(share):
        return NOT_GIVEN
    sign = MINUS if share < 0 else ""
    said = _magnitude(100.0 * share, max(decimals_for(100.0 * share, digits=digits), 0), (0.0,))
    return "more than 99%" if said == "100" and share < 1 else f"{sign}{said}%"


def pounds(amount: float, digits: int = 3, currency: str = "£") -> str:
    """Money with `digits` significant digits: 18,432 gives '£18,400', 4,362,111 gives '£4.36 million'; whole
    pounds from ten on, else pence."""
    if not math.isfinite(amount):
        return NOT_GIVEN
    sign = MINUS if amount < 0 else ""
    if 0.01 <= abs(amount) < 10:
        return f"{sign}{currency}{abs(amount):.2f}"
    if float(f"{abs(amount):.{digits}g}") >= 1e6:
        return f"{sign}{currency}{_magnitude(amount / 1e6, decimals_for(amount / 1e6, digits=digits), (0.0,))} million"
    decimals = decimals_for(amount, digits=digits)
    return f"{sign}{currency}{_magnitude(amount, min(decimals, 0) if abs(amount) >= 10 else decimals, (0.0,))}"


def pounds_outwards(amount: float, up: bool, currency: str = "£") -> str:
    """Money as a limit, in three figures rounded up or down: 1,788.2 gives '£1,790' or '£1,780'; '£4.36 million'."""
    if not math.isfinite(amount):
        return NOT_GIVEN
    step = 0.01 if abs(amount) < 10 else 10.0 ** max(math.floor(math.log10(abs(amount))) - 2, 0)
    value = (math.ceil if up else math.floor)(round(amount / step, 6)) * step
    sign = MINUS if value < 0 else ""
    if abs(value) >= 1e6:
        return f"{sign}{currency}{_figures(value / 1e6, 2)} million"
    return f"{sign}{currency}{abs(value):,.{2 if step < 1 and value else 0}f}"


def _denominator(kind: str, largest: float, nouns: Nouns) -> tuple[float, str]:
    """Factor and tail: natural frequencies for shares, small counts in 100 units, money for each unit."""
    whom = nouns.whom or (plural(nouns.unit) if nouns.unit and kind != "rate" else "")
    every = f" each {nouns.period}" if nouns.period else ""
    if kind == "share":
        factor = 100.0 if largest >= 0.01 or largest == 0 else 1_000.0 if largest >= 0.001 else 10_000.0
        return factor, f" in every {factor:,.0f}" + (f" {whom}" if whom else "")
    if kind == "rate":
        factor = next((f for f in (100.0, 1_000.0, 10_000.0) if largest * f >= 1 or largest == 0), 100_000.0)
        per_time = not nouns.period or whom.endswith(_TIMES)
        return factor, f" for every {factor:,.0f}" + (f" {whom}" if whom else "") + ("" if per_time else every)
    if kind == "count" and whom and 0 < largest < 1:
        factor = 100.0 if largest >= 0.01 else 10_000.0
        return factor, f" for every {factor:,.0f} {whom}{every}"
    if kind in ("count", "money"):
        return 1.0, (f" for each {nouns.unit}" if nouns.unit else "") + every
    return 1.0, ""


def _magnitude(
    value: float, decimals: int, apart: tuple[float, ...], percentage: bool = False, way: Way = "nearest"
) -> str:
    """The absolute value in figures, with up to two more decimals where rounding would change sides."""
    if percentage and value > _LARGEST_PERCENT:
        return f"more than {_LARGEST_PERCENT:,.0f}"
    for used in range(decimals, max(decimals + 3, 1)):
        rounded = _rounded(value, used, way)
        if all(_same_side(value, rounded, edge) for edge in apart):
            return _figures(rounded, used)
    if rounded == 0:
        return f"less than {_figures(10.0**-used, used)}"
    side = "just under" if abs(value) < abs(rounded) else "just over"
    return f"{side} {_figures(rounded, used)}"


def _rounded(value: float, decimals: int, way: Way) -> float:
    """Rounded; a number that is whole but for its last bits stays as it is."""
    scaled = value * 10.0**decimals
    if way == "nearest" or abs(scaled - round(scaled)) <= 1e-9 * max(abs(scaled), 1.0):
        return round(value, decimals)
    return round((math.ceil if way == "up" else math.floor)(scaled) / 10.0**decimals, max(decimals, 0))


def _same_side(value: float, rounded: float, edge: float) -> bool:
    """Whether rounding left the value on its side of the edge (a value at the edge may stay there)."""
    slack = 1e-9 * (abs(edge) + 1e-3)
    return abs(value - edge) <= slack or ((rounded - edge) * (value - edge) > 0 and abs(rounded - edge) > slack)


def _figures(value: float, decimals: int) -> str:
    """Digits with thousands commas and without trailing zeros or sign."""
    text = f"{abs(value):,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
