"""Averages over rows of an Estimate, as functions of values and masses.

They are applied alike to the full sample and to every delete-one-cluster refit, so that a row lost
in a refit leaves its average, which is renormalised (design 2.6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Averaging:
    """k rows into k' groups. member: (k, k') bool. by_mass: weights are the masses, else equal.
    total_mass: a group's mass is the sum of its rows' masses, else their mean."""

    member: np.ndarray
    by_mass: bool
    total_mass: bool

    def weights(self, masses: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(R, k) weight of each row before normalising; zero for a lost row."""
        there = (masses > 0) & ~np.isnan(values)
        return np.where(there, masses if self.by_mass else 1.0, 0.0)

    def __call__(self, values: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Averages and masses (R, k') of R samples."""
        member = self.member.astype(float)
        w = self.weights(masses, values)
        below = w @ member
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (w * np.nan_to_num(values)) @ member / below
            there = (w > 0).astype(float) @ member
            mass = np.where(w > 0, masses, 0.0) @ member
            mass = mass if self.total_mass else np.where(there > 0, mass / there, 0.0)
        return np.where(below > 0, mean, np.nan), mass

    def jacobians(self, value: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """d average / d value, d average / d mass, d mass' / d mass: each (k', k)."""
        member = self.member.astype(float)
        w = self.weights(mass[None], value[None])[0]
        below = w @ member
        scale = np.divide(1.0, below, out=np.zeros_like(below), where=below > 0)
        by_value = (w[:, None] * member * scale).T
        there = ((w > 0)[:, None] * member).T
        mean = by_value @ np.nan_to_num(value)
        by_mass = np.zeros_like(by_value)
        if self.by_mass:
            by_mass = there * (np.nan_to_num(value)[None, :] - mean[:, None]) * scale[:, None]
        count = there.sum(axis=1, keepdims=True)
        mass_map = there if self.total_mass else np.divide(there, count, out=np.zeros_like(there), where=count > 0)
        return by_value, by_mass, mass_map
