"""A small panel of people in places, whose components start place by place, for tests of rows and cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

import evalkit as ek

KEYS = {"unit": "id", "period": "t", "cluster": "site"}
COMPONENTS = (ek.Component("a", exposure="a", reach="can"), "b")


def panel(gaps: bool = True, people: int = 360, sites: int = 18, periods: int = 8, seed: int = 1) -> pd.DataFrame:
    """A row a person and period; some come late and some outcomes are missing where `gaps`, in no order."""
    rng = np.random.default_rng(seed)
    site, n, T = np.arange(people) % sites, people, periods
    frame = pd.DataFrame({"id": np.repeat(np.arange(n) + 7, T), "t": np.tile(np.arange(T), n)})
    frame["site"] = np.repeat([f"S{v:02d}" for v in site], T)
    frame["can"] = np.repeat(rng.random(n) < 0.6, T).astype(int)
    for name in ("a", "b"):
        start = np.where(rng.random(sites) < 0.4, 99, rng.integers(3, T - 2, sites))
        frame[name] = (frame["t"].to_numpy() >= np.repeat(start[site], T)).astype(int)
    person = np.repeat(rng.normal(size=n) + rng.normal(size=sites)[site], T)
    frame["y"] = person + 0.1 * frame["t"] + 0.5 * frame["a"] * frame["can"] - 0.2 * frame["b"] + rng.normal(size=n * T)
    frame["z"] = (rng.random(n * T) < 0.3 + 0.1 * frame["b"]).astype(float)
    if gaps:
        frame.loc[rng.random(n * T) < 0.02, "z"] = np.nan
        late = np.repeat(np.where(rng.random(n) < 0.2, rng.integers(1, 3, n), 0), T)
        frame = frame[frame["t"] >= late].sample(frac=1, random_state=3).reset_index(drop=True)
    return frame


def study(rows: object, hold: str = "cells", **more: object) -> ek.Study:
    """The study of such a panel, in whatever form its rows are."""
    outcomes = [ek.Outcome("y", matters=0.2), ek.Outcome("z", kind="share", matters=0.05)]
    said = {**KEYS, "components": COMPONENTS, "outcomes": outcomes, "hold": hold, **more}
    return ek.Study(rows, **said)  # type: ignore[arg-type]


def apart(a: pd.DataFrame, b: pd.DataFrame, rel: float = 1e-9) -> list[str]:
    """Columns in which two tables differ: numbers by more than `rel` of their size (or of one), words at all."""
    assert list(a.columns) == list(b.columns)
    assert len(a) == len(b)
    out = []
    for name in a.columns:
        x, y = a[name].reset_index(drop=True), b[name].reset_index(drop=True)
        if pd.api.types.is_numeric_dtype(x) and pd.api.types.is_numeric_dtype(y):
            alike = np.isclose(x.astype(float), y.astype(float), rtol=rel, atol=rel, equal_nan=True).all()
        else:
            alike = (x.astype(str) == y.astype(str)).all()
        out += [] if alike else [str(name)]
    return out
