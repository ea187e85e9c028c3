"""Rollouts known by construction, as Paths, for the tests of separability."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from evalkit.study.paths import Level, Paths

NEVER = 999


def starts(first: np.ndarray, n_periods: int) -> np.ndarray:
    """(units, T, K) 0/1 states from first exposed periods (units, K)."""
    return (np.arange(n_periods)[None, :, None] >= np.asarray(first)[:, None, :]).astype(np.int16)


def study_of(
    state: np.ndarray,
    cluster: np.ndarray | None = None,
    reach: np.ndarray | None = None,
    seen: np.ndarray | None = None,
    **more: Sequence,
) -> SimpleNamespace:
    """Something with `paths`, from (n, T, K) effective states. more: names, lags, always."""
    state = np.asarray(state, dtype=np.int16)
    n, n_periods, k = state.shape
    reach = np.ones((n, k), dtype=bool) if reach is None else np.asarray(reach, dtype=bool)
    table = np.hstack([state.reshape(n, -1), reach.astype(np.int16)])
    _, first, path = np.unique(table, axis=0, return_index=True, return_inverse=True)
    names, codes = np.unique(np.arange(n) if cluster is None else cluster, return_inverse=True)
    components = tuple(more.get("names", "abcdefghij"[:k]))
    paths = Paths(
        units=np.arange(n), periods=np.arange(n_periods), components=components, path=path.reshape(-1),
        state=state[first], reach=reach[first], levels={"site": Level("site", codes, names)},
        assigned_at=dict.fromkeys(components, "site"), cluster="site", seen=seen,
        lags=tuple(more.get("lags", [0] * k)), always_on=tuple(more.get("always", [False] * k)),
    )  # fmt: skip
    return SimpleNamespace(paths=paths)


def rollout(*columns: Sequence[int] | np.ndarray, n_periods: int = 16, **more: Sequence) -> SimpleNamespace:
    """One unit a cluster, one column of first exposed periods a component."""
    return study_of(starts(np.column_stack(columns), n_periods), **more)


STAGGERED = np.array([4, 5, 6, 7, 8, 9, NEVER, NEVER, 4, 6, NEVER, NEVER])
CROSSED = np.roll(STAGGERED, 5)
AT_ONCE = np.full(12, 5)


def people(first: np.ndarray, reach: np.ndarray, n_periods: int = 16, **more: Sequence) -> SimpleNamespace:
    """Two people a cluster with `reach` (2, K), whose clusters start at `first` (clusters, K)."""
    first, reach = np.asarray(first), np.asarray(reach, dtype=bool)
    cluster = np.repeat(np.arange(len(first)), 2)
    both = np.tile(reach, (len(first), 1))
    state = starts(first[cluster], n_periods) * both[:, None, :].astype(np.int16)
    return study_of(state, cluster, both, **more)
