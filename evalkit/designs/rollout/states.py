"""The arena of a plan: where a component is on and off, who can be reached, what the others do, in which clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from evalkit.study.paths import OFF, Paths


@dataclass(frozen=True, eq=False)
class Arena:
    """What a plan is made from, for P paths and T periods.

    on, off: (P, T) the component is on, or off; neither where part-way or unknown.
    reach: (P,) whether it can reach them. others: (P, T) codes, -1 unknown.
    clusters: (clusters x P) sparse incidence; copies: how many clusters each of its lines stands for, None for one.
    size: (P,) units of each path, None for one each. kind: (P,) only paths of the same kind are compared; None where
    all may be.
    """

    component: str
    on: np.ndarray
    off: np.ndarray
    reach: np.ndarray
    others: np.ndarray
    clusters: sparse.csr_matrix
    copies: np.ndarray | None = None
    size: np.ndarray | None = None
    kind: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.on.shape

    def like(self, path: int) -> np.ndarray:
        """(P,) which paths are of the same kind as one."""
        return np.ones(self.shape[0], dtype=bool) if self.kind is None else self.kind == self.kind[path]


def arena(paths: Paths, component: str, others: str, kind: np.ndarray | None = None) -> Arena:
    """Read one component's states and the joint state of the others from `paths`; `kind` as in `Arena`."""
    k = paths.index(component)
    own = paths.state[:, :, k]
    reach = paths.reach[:, k]
    code = np.zeros(own.shape, dtype=np.int64) if others == "ignored" else paths.others(component)
    level, _ = paths.inference_level(component)
    size = np.bincount(paths.path, minlength=paths.n_paths).astype(float)
    return Arena(component, (own > 0) & reach[:, None], own == OFF, reach, code, *incidence(paths, level), size, kind)


def incidence(paths: Paths, level: str) -> tuple[sparse.csr_matrix, np.ndarray | None]:
    """(lines x P) which clusters of `level` hold which path, and how many clusters each line stands for.

    Units that are each a cluster make one line a path; all other clusters have a line each.
    """
    if len(paths.levels[level].names) == paths.n_units:
        ones = sparse.eye_array(paths.n_paths, dtype=np.int32, format="csr")
        return sparse.csr_matrix(ones), np.bincount(paths.path, minlength=paths.n_paths)
    cells = paths.cells(level)
    shape = (int(cells.cluster[-1]) + 1, paths.n_paths)
    ones = np.ones(len(cells), dtype=np.int32)
    return sparse.csr_matrix((ones, (cells.cluster, cells.path)), shape=shape), None
