"""Effects on an outcome in the unit in which figures draw them and the terminal says them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evalkit.show import numbers
from evalkit.show.numbers import MINUS, NOT_GIVEN, Nouns, Way, decimals_for
from evalkit.study import Outcome, Study

_EVERY = {"share": 100, "rate": 1_000}
"""In how many shares and rates are counted."""


@dataclass(frozen=True)
class Axis:
    """How effects on an outcome are drawn: "log" as per cent, "share" as people in every 100, "rate" in every 1,000."""

    kind: str = "score"
    label: str = ""
    better: str = ""
    matters: float | None = None
    currency: str = "£"
    time: str = ""

    def show(self, values: ArrayLike) -> np.ndarray:
        """Effects in the unit drawn, from effects in the unit of the column."""
        numbers = np.asarray(values, dtype=np.float64)
        return 100 * np.expm1(numbers) if self.kind == "log" else _EVERY.get(self.kind, 1) * numbers

    def possible(self, values: ArrayLike) -> np.ndarray:
        """Effects in the unit of the column, none beyond what the outcome can do: a share lies between 0 and 1."""
        numbers = np.asarray(values, dtype=np.float64)
        return np.clip(numbers, -1.0, 1.0) if self.kind == "share" else numbers

    @property
    def edges(self) -> list[float]:
        """Minus and plus what matters, in the unit drawn; none where that is not known."""
        return [] if self.matters is None else [float(v) for v in self.show([-self.matters, self.matters])]

    @property
    def unit(self) -> str:
        """The unit drawn, in words."""
        units = {"log": "per cent", "share": "people in every 100", "count": "events a unit and period",
                 "rate": "events for every 1,000", "time_to_event": self.time or "units of time"}  # fmt: skip
        money = "pounds" if self.currency == "£" else self.currency.strip()
        return money if self.kind == "money" else units.get(self.kind, "points")

    @property
    def after(self) -> str:
        """What follows a figure that may already carry its sign of unit: '' for per cent and pounds."""
        return "" if self.kind in ("log", "money") else f" {self.unit}"

    @property
    def ways(self) -> tuple[str, str]:
        """What lies to the left and to the right of zero: better or worse."""
        return {"higher": ("worse", "better"), "lower": ("better", "worse")}.get(self.better, ("less", "more"))

    def say(self, *values: float, std_error: float = np.nan, ways: Sequence[Way] = ()) -> list[str]:
        """Effects in the unit drawn, with signs and alike decimals: ['−6%', '−9%', '−3%']. The first sets the
        precision, as in the sentences of the verdicts; zero and what matters are kept apart. ways: how each is rounded,
        by default to the nearest."""
        finite = [v for v in values if v == v] or [0.0]
        spread = std_error if std_error == std_error else (max(finite) - min(finite)) / 4
        apart = () if self.matters is None else (-self.matters, self.matters)
        how = numbers.scale_for(finite, self.kind, Nouns(currency=self.currency), spread or np.nan, apart)
        if every := _EVERY.get(self.kind):  # the axis counts in every 100 or 1,000, so the labels do
            edges, decimals = (0.0, *(every * edge for edge in apart)), decimals_for(every * finite[0], every * spread)
            how = replace(how, factor=float(every), decimals=max(decimals, 0), apart=edges)
        each: Sequence[Way] = ways or ["nearest" for _ in values]
        said = [how.figure(v, way) if v == v else NOT_GIVEN for v, way in zip(values, each, strict=True)]
        bare = [not v or v != v or f.startswith(("less than", "more than")) for v, f in zip(values, said, strict=True)]
        return [f if b else ("+" if v > 0 else MINUS) + f for v, f, b in zip(values, said, bare, strict=True)]

    def span(self, estimate: float, low: float, high: float, std_error: float = np.nan) -> str:
        """An effect with its interval, rounded outwards: '−6% (−9% to −3%)'; '−6% (no range)' where it has none."""
        value, first, last = self.say(estimate, low, high, std_error=std_error, ways=("nearest", "down", "up"))
        return f"{value} ({first} to {last})" if np.isfinite([low, high]).any() else f"{value} (no range)"


def study_of(source: object) -> Study | None:
    """The study behind an object: itself, its `.study`, or None."""
    if source is None or isinstance(source, pd.DataFrame):
        return None
    own = hasattr(source, "components") and hasattr(source, "outcomes")
    return cast("Study | None", source if own else getattr(source, "study", None))


def axis_of(source: object, outcome: str | None = None) -> Axis:
    """How effects are drawn for an outcome of the study behind `source`, or for an Outcome."""
    study = study_of(source)
    if hasattr(source, "matters"):
        found = cast("Outcome", source)
    elif study is not None:
        found = study.outcome(outcome)
    else:
        return Axis()
    sign = "£" if study is None else study.currency
    time = found.unit if found.said == "time_to_event" else ""
    return Axis(found.said, found.label, found.better, found.matters, sign, time)
