"""Two components that start site by site, for tests of what is asked of a study and an estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd


def two_by_site(effect: float) -> pd.DataFrame:
    """24 sites over ten months; half of them never have `a`, two thirds never `b`. effect: of `a` on y."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"site": np.repeat(np.arange(24), 10), "month": np.tile(np.arange(10), 24)})
    for name, first in (("a", 3 + np.arange(24) % 4), ("b", 4 + np.arange(24) % 5)):
        start = np.where(np.arange(24) % (2 + (name == "b")) == 0, first, 99)
        frame[name] = (frame["month"] >= start[frame["site"]]).astype(int)
    frame["y"] = rng.normal(size=len(frame)) + effect * frame["a"]
    return frame
