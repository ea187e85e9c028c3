"""Weights of two-way fixed effects with another treatment, from two Python packages.

    pip install twowayfeweights==0.1.0 StatsPAI==1.40.2
    python twfe_weights_reference.py

writes twfe-weights-panel.csv (14 units by 10 periods, two staggered components that overlap) and
twfe-weights-reference.json beside this file.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import statspai
import twowayfeweights

HERE = Path(__file__).parent
rng = np.random.default_rng(2023)
units, periods = 14, 10
panel = pd.DataFrame(
    {"unit": np.repeat(np.arange(units), periods), "period": np.tile(np.arange(1, periods + 1), units)}
)
starts = {"d1": rng.choice([3, 5, 8, 99], units), "d2": rng.choice([4, 6, 99], units)}
for name, start in starts.items():
    panel[name] = (panel["period"].to_numpy() >= start[panel["unit"]]).astype(int)
panel["y"] = (rng.normal(size=units)[panel["unit"]] + 0.5 * panel["d1"] - 0.4 * panel["d2"]).round(6)
panel["y"] = (panel["y"] + rng.normal(size=len(panel))).round(6)
panel.to_csv(HERE / "twfe-weights-panel.csv", index=False)


def split(weights: pd.Series) -> dict[str, float]:
    w = weights[np.abs(weights) > 1e-12]
    plus, minus = w[w > 0], w[w < 0]
    return {"plus": len(plus), "minus": len(minus), "sum_plus": float(plus.sum()), "sum_minus": float(minus.sum())}


def from_statspai(own: str, other: str) -> dict[str, object]:
    r = statspai.twowayfeweights(panel, y="y", group="unit", time="period", treat=own, other_treatments=[other])
    borrowed = split(r.detail[f"weight_{other}"])
    return {"coefficient": float(r.estimate), "own": split(r.detail["weight"]), "borrowed": borrowed}


def from_twowayfeweights(own: str, other: str) -> dict[str, object]:
    r = twowayfeweights.twowayfeweights(panel, Y="y", G="unit", T="period", D=own, other_treatments=[other])
    parts = [
        {"plus": x.nr_plus, "minus": x.nr_minus, "sum_plus": float(x.sum_plus), "sum_minus": float(x.sum_minus)}
        for x in (r, r.other_treatments[0])
    ]
    return {"coefficient": float(r.beta), "own": parts[0], "borrowed": parts[1]}


def cells(own: str, other: str) -> list[list[float]]:
    """unit, period, weight of the own effect, weight of the other's effect."""
    r = statspai.twowayfeweights(panel, y="y", group="unit", time="period", treat=own, other_treatments=[other])
    return r.detail[["group", "time", "weight", f"weight_{other}"]].astype(float).to_numpy().tolist()


if __name__ == "__main__":
    out = {"versions": {name: version(name) for name in ("twowayfeweights", "StatsPAI", "numpy", "pandas")}}
    for own, other in (("d1", "d2"), ("d2", "d1")):
        out[own] = {
            "statspai": from_statspai(own, other),
            "twowayfeweights": from_twowayfeweights(own, other),
            "cells": cells(own, other),
        }
    (HERE / "twfe-weights-reference.json").write_text(json.dumps(out, indent=1) + "\n")
