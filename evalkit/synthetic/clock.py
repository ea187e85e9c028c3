"""Names of periods: months, quarters, half-years or plain numbers."""

from __future__ import annotations

import numpy as np

from evalkit.synthetic.spec import Clock

MONTHS = {"month": 1, "half_year": 6}


def period_names(clock: Clock) -> np.ndarray:
    """(T,) period values as they stand in the panel."""
    if clock.step == "number":
        return np.arange(int(clock.first), int(clock.first) + clock.periods)
    if clock.step == "quarter":
        year, quarter = int(clock.first[:4]), int(clock.first[5:])
        number = year * 4 + quarter - 1 + np.arange(clock.periods)
        return np.array([f"{q // 4}Q{q % 4 + 1}" for q in number], dtype=object)
    year, month = (int(x) for x in clock.first.split("-"))
    number = year * 12 + month - 1 + np.arange(clock.periods) * MONTHS[clock.step]
    return np.array([f"{m // 12}-{m % 12 + 1:02d}" for m in number], dtype=object)
