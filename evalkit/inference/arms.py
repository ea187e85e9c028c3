"""Which clusters stand behind each row, in each arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEW = 50  # clusters in an arm below which inference is by delete-one-cluster refits
FEWEST = 3  # clusters in an arm below which an interval holds the truth less often than it says


@dataclass(frozen=True, eq=False)
class Arms:
    """Which clusters carry weight in each row: (G, k) for the exposed and the comparison arm.
    `size` (G,) is how many clusters each line stands for. At most one line a cluster, or lines
    of clusters that never overlap."""

    exposed: np.ndarray
    comparison: np.ndarray
    size: np.ndarray

    def map(self, used: np.ndarray) -> Arms:
        """Rows combined: used (k', k) bool."""
        pick = used.T.astype(np.float32)
        return Arms(
            (self.exposed.astype(np.float32) @ pick) > 0, (self.comparison.astype(np.float32) @ pick) > 0, self.size
        )

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(k,) distinct clusters in each arm of each row."""
        return self.size @ self.exposed, self.size @ self.comparison

    def fewest(self) -> int:
        """Distinct clusters with weight anywhere, in the smaller arm."""
        both = [int(self.size @ arm.any(axis=1)) for arm in (self.exposed, self.comparison)]
        return min(both)
