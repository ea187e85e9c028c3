"""Delete-one-cluster refits (CV3), kept as values and masses (design 2.6).

Variance = (G-1)/G times the sum over deleted clusters of (refit - estimate)^2, G the clusters with
weight in the row. Degrees of freedom: (V1+V0)^2 / (V1^2/(n1-1) + V0^2/max(n0-1, 1)), V1 over the
clusters that serve as exposed and V0 over those that serve only as comparison. CV3: MacKinnon,
Nielsen and Webb (2023), Fast and reliable jackknife and bootstrap methods; the degrees of freedom
are the project's, with simulated coverage in the design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.inference.spread import Spread
from evalkit.show.words import noun_from_column


@dataclass(frozen=True, eq=False)
class Replicates:
    """K deleted clusters by k rows. names: (K,). values: NaN where a row is lost. masses: zero
    there. exposed, comparison: (K, k) whether the cluster serves in that arm of the row."""

    names: np.ndarray
    level: str
    values: np.ndarray
    masses: np.ndarray
    exposed: np.ndarray
    comparison: np.ndarray

    def map(self, matrix: np.ndarray) -> Replicates:
        """Replicates of fixed linear combinations (k', k) of the rows."""
        used = matrix != 0
        lost = np.isnan(self.values).astype(float) @ used.T.astype(float) > 0
        values = np.where(np.isnan(self.values), 0.0, self.values) @ matrix.T
        return Replicates(
            self.names, self.level, np.where(lost, np.nan, values), np.where(lost, 0.0, 1.0),
            self.exposed @ used.T, self.comparison @ used.T,
        )  # fmt: skip


def jackknife(value: np.ndarray, reps: Replicates) -> Spread:
    """CV3 covariance and degrees of freedom of k rows."""
    used = reps.exposed | reps.comparison
    lost = (np.isnan(reps.values) & used).any(axis=0) | np.isnan(value)
    shift = np.where(used & ~np.isnan(reps.values), reps.values - value, 0.0)
    clusters = used.sum(axis=0)
    factor = np.sqrt(np.where(clusters > 0, (clusters - 1) / np.maximum(clusters, 1), 0.0))
    scaled = shift * factor
    vcov = scaled.T @ scaled
    exposed, only = reps.exposed, reps.comparison & ~reps.exposed
    v1, v0 = (scaled**2 * exposed).sum(axis=0), (scaled**2 * only).sum(axis=0)
    df = satterthwaite(v1, v0, exposed.sum(axis=0), only.sum(axis=0))
    vcov[lost, :] = np.nan
    vcov[:, lost] = np.nan
    return Spread(vcov, np.where(lost, np.nan, df), _reasons(value, reps, lost))


def satterthwaite(v1: np.ndarray, v0: np.ndarray, n1: np.ndarray, n0: np.ndarray) -> np.ndarray:
    """Degrees of freedom of design 2.6, at least 1."""
    below = v1**2 / np.maximum(n1 - 1, 1) + v0**2 / np.maximum(n0 - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.maximum(np.where(below > 0, (v1 + v0) ** 2 / below, 1.0), 1.0)


def _reasons(value: np.ndarray, reps: Replicates, lost: np.ndarray) -> tuple[str, ...]:
    words = []
    for j in range(len(value)):
        if not lost[j] or np.isnan(value[j]):
            words.append("")
            continue
        breaking = np.isnan(reps.values[:, j]) & (reps.exposed | reps.comparison)[:, j]
        name = str(reps.names[np.flatnonzero(breaking)[0]])
        name = name if name[:1].isalpha() else f"{noun_from_column(reps.level)} {name}"
        words.append(f"no interval: without {name} there is nothing left to compare")
    return tuple(words)
