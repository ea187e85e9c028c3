"""Worlds of scale: places that start at different levels, all of them moved alike on the logit or log scale.

Places by periods, half of which start together at the ninth of sixteen. At that time something happens everywhere: the
odds (or the counts) of all places move by one factor. In points that moves places by their level, so that those that
start lower seem to fall behind. The truth is nothing on the scale on which the world is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import evalkit as ek

START = 8


@dataclass(frozen=True)
class Levels:
    """G places, T periods, `people` behind each share, or the mean `count` of events. apart: by how much the places
    that start lie below the others on the scale; shock: what is added to all on the scale from the start on; spread:
    standard deviation of places' own levels on it; own: of their shocks, which fade by half each period."""

    G: int = 24
    T: int = 16
    count: float = 0.0
    people: int = 100
    apart: float = 1.8
    shock: float = 1.0
    spread: float = 0.3
    own: float = 0.08

    def draw(self, seed: int | Sequence[int], effect: Callable[[np.ndarray], np.ndarray] | None = None) -> ek.Study:
        """A study; effect: in points, by periods since the start."""
        rng = np.random.default_rng(seed)
        with_it = np.arange(self.G) < self.G // 2
        eta = np.where(with_it, -self.apart, 0.0) + self.spread * rng.normal(size=self.G)
        shocks = np.zeros((self.G, self.T))
        for t in range(1, self.T):
            shocks[:, t] = shocks[:, t - 1] / 2 + self.own * rng.normal(size=self.G)
        since = np.arange(self.T) - START
        eta = eta[:, None] + self.shock * (since >= 0) + shocks
        mean = self.count * np.exp(eta) if self.count else 1 / (1 + np.exp(-eta))
        if effect is not None:
            mean = mean + with_it[:, None] * np.where(since >= 0, effect(np.maximum(since, 0)), 0.0)
        if self.count:
            y = rng.poisson(np.maximum(mean, 0.0)).astype(float)
        else:
            y = rng.binomial(self.people, np.clip(mean, 0.0, 1.0)) / self.people
        frame = pd.DataFrame({
            "place": np.repeat(np.arange(self.G), self.T), "t": np.tile(np.arange(self.T), self.G), "y": y.ravel(),
            "a": (with_it[:, None] & (since >= 0)).astype(int).ravel(),
        })  # fmt: skip
        outcome = ek.Outcome("y", kind="count" if self.count else "share", matters=1.0 if self.count else 0.05)
        return ek.Study(frame, unit="place", period="t", outcomes=[outcome], components=["a"])


COUNT = 8.0
SCALE_FALSE = {
    "scale": Levels(), "scale_fall": Levels(apart=1.2, shock=-0.8),
    "scale_count": Levels(count=COUNT, apart=1.4, shock=-0.5),
}  # fmt: skip
"""No effect in any of them, on the scale on which they are made."""
SCALE_TRUE = {
    "true_scale": Levels(apart=0.0), "true_scale_still": Levels(shock=0.0),
    "true_scale_count": Levels(count=COUNT, apart=0.0, shock=-0.5),
}  # fmt: skip
"""Their undisturbed twins: places at one level, or at different levels with nothing that moves all; effects are added
in points."""
