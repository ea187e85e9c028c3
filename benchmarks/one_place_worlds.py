"""Worlds of one place whose truth is known: series and places without an effect. Needs numpy alone.

Series: AR(1) noise of standard deviation one on a line, or on a past that bends. Places: factors that wander, loads
drawn alike, or the place that begins loaded outside the range of the others. Counts: Poisson, with a rate that wanders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AFTER = 12


@dataclass(frozen=True)
class Series:
    """One series. bend: by how many standard deviations it leaves its first slope over the past; goes_on: whether it
    keeps bending after the start. mean: of counts; 0 for a series of levels."""

    before: int
    rho: float
    after: int = AFTER
    bend: float = 0.0
    goes_on: bool = True
    mean: float = 0.0

    @property
    def name(self) -> str:
        """What the world is called in the tables."""
        words = f"series, {self.before}/{self.after}, AR {self.rho}"
        if self.mean:
            return f"counts, {self.before}/{self.after}, mean {self.mean:g}"
        return words + (f", bends by {self.bend:g}{'' if self.goes_on else ' until the start'}" if self.bend else "")

    def draw(self, seed: int) -> np.ndarray:
        """(T,) a series in which nothing begins."""
        rng, n = (
            np.random.default_rng([seed, self.before, int(100 * self.rho), int(self.mean)]),
            self.before + self.after,
        )
        noise = ar1(rng, n, self.rho)
        if self.mean:
            return rng.poisson(self.mean * np.exp(0.2 * noise)).astype(float)
        time = np.arange(n) / self.before
        return noise + self.bend * (time if self.goes_on else np.minimum(time, 1)) ** 2


@dataclass(frozen=True)
class Places:
    """One place beside others over 24 periods before and 12 after."""

    donors: int
    inside: bool
    rho: float = 0.0
    before: int = 24

    @property
    def name(self) -> str:
        """What the world is called in the tables."""
        where = "inside" if self.inside else "outside"
        return f"{self.donors} others, {where} their range" + (f", AR {self.rho}" if self.rho else "")

    def draw(self, seed: int) -> np.ndarray:
        """(1 + donors, T) outcomes, the place itself first."""
        rng, n = np.random.default_rng([seed, self.donors, self.inside]), self.before + AFTER
        factors = np.cumsum(rng.standard_normal((2, n)), axis=1) * 0.3
        loads = rng.standard_normal((self.donors + 1, 2))
        loads[0] = loads[0] if self.inside else 2.5
        level = 3 * rng.standard_normal((self.donors + 1, 1))
        return level + loads @ factors + np.array([ar1(rng, n, self.rho) for _ in loads])


def ar1(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """(n,) noise of variance one."""
    out = rng.standard_normal(n)
    for t in range(1, n):
        out[t] = rho * out[t - 1] + np.sqrt(1 - rho**2) * out[t]
    return out


RHOS = (0.0, 0.3, 0.6, 0.8)
LINES = [Series(before, rho) for before in (24, 36, 60) for rho in RHOS] + [Series(60, rho, after=24) for rho in RHOS]
BENT = [
    Series(before, rho, after, bend, goes_on)
    for before, after in ((24, 12), (36, 12), (60, 12), (60, 24))
    for rho in (0.0, 0.3, 0.6)
    for bend, goes_on in ((2.0, True), (2.0, False))
]
COUNTS = [Series(36, 0.3, mean=mean) for mean in (3, 10, 40)]
PLACES = [Places(donors, inside) for inside in (True, False) for donors in (5, 10, 20)]
PLACES += [Places(10, inside, rho=0.6) for inside in (True, False)]
