"""Small random rollouts shared by the law tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

import evalkit as ek


def rollout(seed: int, sites: int = 18, periods: int = 14, people: int = 1, missing: float = 0.0) -> pd.DataFrame:
    """Sites with three components that start in bursts; people within sites; an outcome with effects."""
    rng = np.random.default_rng(seed)
    units = sites * people
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(sites), periods * people),
        "unit": np.repeat(np.arange(units), periods),
        "month": np.tile(np.arange(periods), units),
    })  # fmt: skip
    for name in "abc":
        start = np.where(rng.random(sites) < 0.7, rng.choice([4, 5, 8], sites), 99)
        frame[name] = (frame["month"].to_numpy() >= start[frame["site"]]).astype(int)
    noise = rng.normal(size=len(frame)) + rng.normal(size=sites)[frame["site"]]
    frame["y"] = noise + 0.5 * frame["a"] - 0.3 * frame["b"]
    return frame[rng.random(len(frame)) >= missing]


def study_of(frame: pd.DataFrame, **changes: object) -> ek.Study:
    """The study of such a rollout."""
    fields = {"unit": "unit", "period": "month", "cluster": "site", "outcome": "y", "components": list("abc")}
    return ek.Study(frame, **{**fields, **changes})
