"""Random numbers that are the same on every machine.

Only uniforms of PCG64 are drawn (their bits are fixed by the generator); everything else is made from them by
plain arithmetic. Each purpose has a stream of its own, so that turning one knob moves no other draw.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri


@dataclass(frozen=True)
class Draws:
    """Streams of one seed, partnership and part of the population."""

    seed: int
    name: str
    part: int = 0

    def uniform(self, purpose: str, *shape: int) -> np.ndarray:
        """Uniform numbers in (0, 1)."""
        keys = [self.seed, zlib.crc32(self.name.encode()), zlib.crc32(purpose.encode()), self.part]
        drawn = np.random.Generator(np.random.PCG64(np.random.SeedSequence(keys))).random(shape)
        return np.maximum(drawn, 2.0**-54)

    def normal(self, purpose: str, *shape: int) -> np.ndarray:
        """Standard normal numbers, by the inverse of their distribution."""
        return ndtri(self.uniform(purpose, *shape))

    def order(self, purpose: str, n: int) -> np.ndarray:
        """A random order of n things."""
        return np.argsort(self.uniform(purpose, n), kind="stable")

    def pick(self, purpose: str, n: int, size: int) -> np.ndarray:
        """`size` whole numbers from 0 to n - 1."""
        return np.minimum((self.uniform(purpose, size) * n).astype(np.intp), n - 1)


def logit(p: np.ndarray | float) -> np.ndarray:
    """Log odds."""
    return np.log(p) - np.log1p(-np.asarray(p))


def expit(x: np.ndarray) -> np.ndarray:
    """Probability of log odds."""
    return 1.0 / (1.0 + np.exp(-x))
