"""What is left of a plan when dates slip, people are spread otherwise, or noise is larger than was thought."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.law import laws
from evalkit.rollouts.search import Search

LATEST = 3
"""Periods by which a date may slip."""
NOISE = {"noise lower": 2 / 3, "noise as planned": 1.0, "noise higher": 1.5}
UNEVEN = 0.4
"""Standard deviation of the logarithm of places' sizes where people are spread otherwise."""


def stressed(brief: Brief, starts: np.ndarray, slip: float, draws: int, seed: int, weights: str) -> pd.DataFrame:
    """Rows of `RolloutPlan.stress`: case, component, detectable (median over draws), worst (9 in 10 draws are better),
    told_apart (share of draws in which it can be told)."""
    rng, rows = np.random.default_rng(seed), []
    for name, factor in NOISE.items():
        found = laws(replace(brief, noise=brief.noise.times(factor)), starts, weights)
        rows += [(name, law.component, law.detectable, law.detectable, float(len(law.error) > 0)) for law in found]
    search, late = Search(brief, seed, weights), []
    for _ in range(draws):
        by = np.where(rng.random(starts.shape) < slip, rng.integers(1, LATEST + 1, starts.shape), 0)
        for g in search.groups:
            by[:, g] = by[:, g[:1]]
        moved = np.where((starts < brief.T) & (starts >= brief.past), np.minimum(starts + by, brief.T), starts)
        late.append(_detectable(search, moved, weights))
    rows += _summary(f"each date late by 1 to {LATEST} periods with probability {slip:g}", brief, np.array(late))
    spread = []
    for _ in range(max(draws // 10, 1)):
        people = brief.people * np.exp(UNEVEN * rng.standard_normal(len(brief.people)))
        other = replace(brief, people=np.maximum(np.round(people * brief.people.sum() / people.sum()), 1))
        spread.append(_detectable(Search(other, seed, weights), starts, weights))
    rows += _summary("as many people, spread otherwise", brief, np.array(spread))
    return pd.DataFrame(rows, columns=["case", "component", "detectable", "worst", "told_apart"])


def _detectable(search: Search, starts: np.ndarray, weights: str) -> np.ndarray:
    """(K,) detectable effects, infinite where nothing can be told: by the screen where it knows the weights that count,
    else by the laws."""
    if search.exact(weights):
        return search.detectable(starts, full=True)[0]
    found = np.array([law.detectable for law in laws(search.brief, starts, weights)])
    return np.where(np.isnan(found), np.inf, found)


def _summary(case: str, brief: Brief, found: np.ndarray) -> list[tuple[str, str, float, float, float]]:
    """One row a component of (draws, K) detectable effects, infinite where nothing can be told."""
    out = []
    for k, name in enumerate(brief.names):
        told = np.isfinite(found[:, k])
        middle, bad = (float(np.quantile(found[:, k], q, method="higher")) for q in (0.5, 0.9))
        out.append(
            (
                case,
                name,
                middle if np.isfinite(middle) else np.nan,
                bad if np.isfinite(bad) else np.nan,
                float(told.mean()),
            )
        )
    return out
