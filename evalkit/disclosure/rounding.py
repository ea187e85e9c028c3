"""Numbers as coarse as the counts behind them, where counts are rounded.

A mean of n answers in whole numbers is a fraction with n below the line: enough digits of it give n away by continued
fractions. An effect is therefore rounded to a step so wide that every count near n has a fraction within it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evalkit.show.numbers import Way

FINEST = 3
"""Decimals up to which an outcome counts as written in whole steps; finer ones are measured, and give nothing away."""


def nice_step(least: ArrayLike) -> np.ndarray:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`; 0 stays 0."""
    wanted = np.asarray(least, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        tens = 10.0 ** np.floor(np.log10(wanted) + 1e-12)
        times = np.select([wanted <= tens * (1 + 1e-9), wanted <= 2 * tens, wanted <= 5 * tens], [1.0, 2.0, 5.0], 10.0)
    return np.where(wanted > 0, times * tens, 0.0)


_ENDS = {"down": math.floor, "up": math.ceil}
_DUST = 1e-9


def way_of(name: str) -> Way:
    """How a number of that name is rounded: ends of ranges outwards, everything else to the nearest."""
    return "down" if name.endswith("low") else "up" if name.endswith("high") else "nearest"


def to_step(values: ArrayLike, step: ArrayLike, way: Way = "nearest") -> np.ndarray:
    """Values to a multiple of their steps, without binary dust; as they are where the step is 0."""
    given, steps = np.broadcast_arrays(np.asarray(values, dtype=float), np.asarray(step, dtype=float))
    out = given.copy()
    for at in np.argwhere((steps > 0) & np.isfinite(given)):
        i = tuple(at)
        decimals = max(0, int(np.ceil(-np.log10(steps[i]) - 1e-9)))
        many = given[i] / steps[i]
        whole = way == "nearest" or abs(many - round(many)) < _DUST
        out[i] = round((round(many) if whole else _ENDS[way](many)) * steps[i], decimals)
    return out


@dataclass(frozen=True)
class Grain:
    """How coarse the sums of one line have to be: behind so many people, said to be so many (shown), counts are rounded
    to multiples of `round_to`, and its average effect to those of `step`.

    What counts heads is first brought to the number of people that is said, so that it says no more than that number:
    two roundings of one count on different grids would meet in fewer counts than either allows.
    """

    behind: float
    shown: float
    round_to: int
    step: float = 0.0

    @property
    def heads(self) -> float:
        """What brings a count of heads to the number of people that is said."""
        return self.shown / self.behind if self.behind > 0 else 1.0

    def amounts(self, values: ArrayLike) -> np.ndarray:
        """Sums over people as coarse as the number of people behind them, as it is said."""
        # Ten digits: what binary arithmetic leaves over may not decide where a tie goes, and so tell two counts apart.
        given = np.vectorize(lambda v: float(f"{v:.10g}"), otypes=[float])(values)
        least = np.nan_to_num(np.abs(given), posinf=0.0) * self.round_to / 2 / max(self.shown, 1.0)
        return to_step(given, nice_step(least))

    def ratio(self, value: float, beside: float) -> float:
        """value / beside to two digits, 1 where both are nothing."""
        if value == beside:
            return 1.0
        found = value / beside if beside else np.nan
        return float(to_step(found, two_digits(found)))


def grain_of(values: np.ndarray) -> float:
    """The largest of 1, 0.1, 0.01 and 0.001 of which all finite values are whole multiples; 0 where there is none."""
    known = values[np.isfinite(values)]
    for decimals in range(FINEST + 1):
        scaled = known * 10**decimals
        if (np.abs(scaled - np.round(scaled)) < 1e-6).all():
            return 10.0**-decimals
    return 0.0


def coarse(frame: pd.DataFrame, columns: tuple[str, ...], step: np.ndarray) -> pd.DataFrame:
    """A frame with `columns` to multiples of `step` (r,); standard errors and p values to two digits beside them."""
    if not (step > 0).any():
        return frame
    frame = frame.copy()
    for column in columns:
        if column in frame:
            frame[column] = to_step(frame[column], step, way_of(column))
    for column in ("std_error", "p_value"):
        if column in frame:
            own = np.where(step > 0, two_digits(frame[column]), 0.0)
            frame[column] = to_step(frame[column], own)
    return frame


def two_digits(values: ArrayLike) -> np.ndarray:
    """The step that leaves two digits of each value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tens = 10.0 ** (np.floor(np.log10(np.abs(np.asarray(values, dtype=float)))) - 1)
    return np.where(np.isfinite(tens), tens, 0.0)
