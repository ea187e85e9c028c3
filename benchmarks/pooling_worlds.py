"""Portfolios of cards with known truth: what places report of six components, and what is in fact so.

Six components (+.10 +.06 +.03 0 +.04 -.02), two to five in a place, each told apart there with probability .6; own
standard errors about .04 (log SD .4), correlation -.25 (-.2 where five are told apart); a programme total with standard
error .03, correlated .25 with them, that contains what is always on (.04, SD .03).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.pooling.card import Card

EFFECTS = np.array([0.10, 0.06, 0.03, 0.0, 0.04, -0.02])
NAMES = tuple("abcdef")
CORE, CORE_SD = 0.04, 0.03


@dataclass(frozen=True)
class World:
    """tau: (6,) SD between places. harder: what a place that chose the first component lacks besides. together:
    whether the first two are only ever bought and told apart together. only_shown: whether numbers that do not exclude
    no change are left out. synergy: what the first two do more together."""

    places: int
    tau: tuple[float, ...] = (0.03,) * 6
    harder: float = 0.0
    together: bool = False
    only_shown: bool = False
    synergy: float = 0.0
    everybody: bool = False


def draw_cards(world: World, seed: int | Sequence[int]) -> list[Card]:
    """The cards of one portfolio."""
    rng = np.random.default_rng(seed)
    return [_card(world, rng, i) for i in range(world.places)]


def _card(world: World, rng: np.random.Generator, number: int) -> Card:
    tau = np.array(world.tau)
    own = EFFECTS + tau * rng.standard_normal(6)
    on = np.sort(rng.choice(6, rng.integers(2, 6), replace=False))
    if world.together and (0 in on) != (1 in on):
        on = np.sort(np.union1d(on, [0, 1]))
    told = on[rng.random(len(on)) < 0.6]
    if world.together:
        told = told[told > 1]
    both = world.synergy * (0 in on and 1 in on)
    lifts = {j: both * (j in (0, 1)) for j in told.tolist()}  # told apart with the other beside it
    k = len(told)
    error = np.append(0.04 * np.exp(0.4 * rng.standard_normal(k)), 0.03)
    correlation = np.full((k + 1, k + 1), -0.2 if k > 4 else -0.25)
    correlation[-1, :] = correlation[:, -1] = 0.25 if k < 3 else 0.1
    np.fill_diagonal(correlation, 1.0)
    vcov = correlation * np.outer(error, error)
    core = CORE + CORE_SD * rng.standard_normal() + world.harder * (0 in on)
    mean = np.append([own[j] + lifts[j] for j in told.tolist()], own[on].sum() + both + core)
    y = mean + np.linalg.cholesky(vcov) @ rng.standard_normal(k + 1)
    return make_card(f"place-{number:05d}", [NAMES[j] for j in on], [NAMES[j] for j in told], y, vcov, world.only_shown)


def make_card(
    study: str, on: Sequence[str], told: Sequence[str], y: np.ndarray, vcov: np.ndarray, only_shown: bool = False
) -> Card:
    """A card with rows of components that are told apart, refusals of the others, and the programme last."""
    error = np.sqrt(np.diag(vcov))
    kept = [i for i in range(len(y)) if not only_shown or i == len(told) or y[i] > 1.96 * error[i]]
    numbers = {told[i]: float(y[i]) for i in kept if i < len(told)}
    rows = []
    order = []
    for name in on:
        beside = {other: 1.0 for other in on if other != name}
        row: dict[str, object] = {"id": name, "kind": "component", "members": {name: 1.0}, "alongside": beside}
        if name in numbers:
            row |= {"estimate": numbers[name], "df": 20.0, "verdict": "cannot_tell", "clusters": (8, 8)}
            order.append(told.index(name))
        else:
            apart = name not in told
            row |= {"verdict": "cannot_tell_apart" if apart else "cannot_tell", "reason": "not told apart here"}
        rows.append(row)
    whole = {"id": "programme", "kind": "programme", "members": dict.fromkeys(on, 1.0), "estimate": float(y[-1])}
    rows.append({**whole, "df": 20.0, "verdict": "cannot_tell", "clusters": (8, 8)})
    at = [*order, len(y) - 1]
    return Card.model_validate(
        {
            "study": study, "data_fingerprint": f"sha256:{study}",
            "outcome": {"id": "settled", "label": "In a settled home", "kind": "share", "unit": "percentage points",
                        "better": "higher", "matters": 0.05},
            "estimand": {"whom": "reached", "others": "same", "base_window": 6},
            "population": {"description": "made for measuring", "clusters": 16},
            "components": {name: {"term": f"ek:{name}"} for name in on},
            "rows": rows, "covariance": vcov[np.ix_(at, at)].tolist(), "covariance_level": "place, 16 clusters",
            "provenance": {"evalkit": "0", "disclosure": {"profile": "none"}, "made": "2026-11-24"},
        }
    )  # fmt: skip
