"""What is left of a plan when dates slip, people are spread otherwise, or noise is larger than was thought."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
Row = tuple[str, str, float, float, float]


def stressed(brief: Brief, starts: np.ndarray, slip: float, draws: int, seed: int, weights: str) -> pd.DataFrame:
    """Rows of `RolloutPlan.stress`: case, component, detectable (median over draws), worst (9 in 10 draws are better),
    told_apart (share of draws in which it can be told)."""
    rng, found, rows = np.random.default_rng(seed), laws(brief, starts, weights), list[Row]()
    for name, factor in NOISE.items():  # all of it, so that weights stay, and what can be detected goes with it
        detectable = [factor * law.detectable for law in found]
        told = [(law.component, float(len(law.error) > 0)) for law in found]
        rows += [(name, c, d, d, share) for (c, share), d in zip(told, detectable, strict=True)]
    search = Search(brief, seed, weights)
    late = [(search, _slipped(search, starts, slip, rng)) for _ in range(draws)]
    rows += _summary(f"each date late by 1 to {LATEST} periods with probability {slip:g}", late, weights)
    spread = [(Search(_respread(brief, rng), seed, weights), starts) for _ in range(max(draws // 10, 1))]
    rows += _summary("as many people, spread otherwise", spread, weights)
    return pd.DataFrame(rows, columns=["case", "component", "detectable", "worst", "told_apart"])


def _slipped(search: Search, starts: np.ndarray, slip: float, rng: np.random.Generator) -> np.ndarray:
    """Starts of which each that is still to come is late by some periods, or not; members of a group together."""
    brief = search.brief
    by = np.where(rng.random(starts.shape) < slip, rng.integers(1, LATEST + 1, starts.shape), 0)
    for g in search.groups:
        by[:, g] = by[:, g[:1]]
    return np.where((starts < brief.T) & (starts >= brief.past), np.minimum(starts + by, brief.T), starts)


def _respread(brief: Brief, rng: np.random.Generator) -> Brief:
    """The brief with as many people, in places of other sizes."""
    people = brief.people * np.exp(UNEVEN * rng.standard_normal(len(brief.people)))
    return replace(brief, people=np.maximum(np.round(people * brief.people.sum() / people.sum()), 1))


def _summary(case: str, drawn: Sequence[tuple[Search, np.ndarray]], weights: str) -> list[Row]:
    """One row a component: the effect detectable in the middle one of the rollouts drawn, and in that than which 9 in
    10 are better.

    Where the screen knows the weights it says which those are, for hundreds of laws would take minutes; what can be
    detected in them is by the law, as all else that is said of the plan is.
    """
    screened, out = drawn[0][0].exact(weights), list[Row]()
    found = np.array([_detectable(search, starts, weights, screened) for search, starts in drawn])
    for k, name in enumerate(drawn[0][0].brief.names):
        order = np.argsort(found[:, k], kind="stable")
        at = [int(order[math.ceil(q * (len(drawn) - 1))]) for q in (0.5, 0.9)]
        middle, bad = (_told(drawn[i], k, weights) if screened else float(found[i, k]) for i in at)
        bad = np.maximum(middle, bad)  # the screen's order is nearly that of the laws, not quite
        middle, bad = (float(d) if np.isfinite(d) else np.nan for d in (middle, bad))
        out.append((case, name, middle, bad, float(np.isfinite(found[:, k]).mean())))
    return out


def _told(drawn: tuple[Search, np.ndarray], k: int, weights: str) -> float:
    return laws(drawn[0].brief, drawn[1], weights, only=k)[0].detectable


def _detectable(search: Search, starts: np.ndarray, weights: str, screened: bool) -> np.ndarray:
    """(K,) detectable effects, infinite where nothing can be told: by the screen, else by the laws."""
    if screened:
        return search.detectable(starts, full=True)[0]
    found = np.array([law.detectable for law in laws(search.brief, starts, weights)])
    return np.where(np.isnan(found), np.inf, found)
