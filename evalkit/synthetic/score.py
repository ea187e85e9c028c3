"""Estimate, interval, verdict and truth, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.synthetic.simulated import Simulated

KEEP = ["component", "outcome", "verdict", "direction", "estimate", "conf_low", "conf_high", "design"]


def score_table(partnership: Simulated, verdicts: Any) -> pd.DataFrame:
    """One row a component and outcome, with `truth`, `truth_of`, `error`, `covered` and `claimed`.

    covered is missing where there is no interval. claimed: the verdict says that it made a difference.
    """
    frame = verdicts if isinstance(verdicts, pd.DataFrame) else verdicts.verdicts
    out = frame[[c for c in KEEP if c in frame.columns]].copy()
    pairs = zip(out["component"], out["outcome"], strict=True)
    found = [_truth(partnership, verdicts, str(c), str(o)) for c, o in pairs]
    out["truth"], out["truth_of"] = [f[0] for f in found], [f[1] for f in found]
    out["error"] = out["estimate"] - out["truth"]
    inside = (out["conf_low"] <= out["truth"]) & (out["truth"] <= out["conf_high"])
    out["covered"] = inside.astype(object).where(out["conf_low"].notna() & out["truth"].notna(), np.nan)
    out["claimed"] = out["verdict"].isin(["shown", "likely"])
    return out


def _truth(partnership: Simulated, verdicts: Any, component: str, outcome: str) -> tuple[float, str]:
    """The truth of the headline's own cells where there are any, else the effect on everybody reached."""
    if not isinstance(verdicts, pd.DataFrame):
        answer = verdicts.estimate(component, outcome)
        try:
            weights = None if answer is None else answer.weights()
        except EvalkitError:
            weights = None  # a regression is no weighted sum of cells
        if weights is not None and len(weights):
            return float(partnership.truth_for(weights, outcome).iloc[0]), "the cells compared"
    effects = partnership.reveal_truth().effects
    rows = effects[(effects["component_set"] == component) & (effects["outcome"] == outcome)]
    rows = rows[(rows["estimand"] == "last_in") & (rows["population"] == "reached")]
    return (float(rows["value"].iloc[0]) if len(rows) else float("nan")), "everybody reached"
