"""Small panels for the tests of the study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def panel() -> pd.DataFrame:
    """12 people in 4 boroughs over 8 months; nurse from month 3 in boroughs A and B, court from 5 in B and C."""
    frame = pd.DataFrame({"person": np.repeat(np.arange(12), 8), "month": np.tile(np.arange(8), 12)})
    frame["borough"] = np.array(list("ABCD"))[frame.person.to_numpy() % 4]
    frame["both_needs"] = (frame.person.to_numpy() >= 6).astype(int)
    frame["nurse"] = (frame.borough.isin(["A", "B"]) & (frame.month >= 3)).astype(int)
    frame["court"] = (frame.borough.isin(["B", "C"]) & (frame.month >= 5)).astype(int)
    frame["settled"] = np.random.default_rng(1).normal(size=len(frame))
    frame["age"] = 20.0 + frame.person
    frame["weight"] = 1.0 + frame.person % 3
    return frame
