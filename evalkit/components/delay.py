"""A rollout changed in a few places: one component begun later, or begun where it never was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.components.facts import in_use
from evalkit.study.paths import OFF, Level, Paths, row_codes

_MOST = 1_000


@dataclass(frozen=True)
class Change:
    """One component, in some clusters (codes) of the level at which it is changed: see `level_of_change`.

    periods: by how many its first spell begins later. begin: the period from which it is on where it never was; -1
    for a delay.
    """

    component: int
    clusters: tuple[int, ...]
    periods: int = 0
    begin: int = -1


def level_of_change(paths: Paths, component: int) -> Level:
    """Where the component was decided; the level of inference where that is coarser and holds it whole."""
    name = paths.components[component]
    own, (coarse, crossed) = paths.assigned_at[name], paths.inference_level(name)
    return paths.levels[own if crossed else coarse]


def condensed(paths: Paths) -> Paths:
    """One row for all units alike in path, in cluster at every level that counts, and in when they are seen.

    Enough for every count of clusters. Where so many differ in when they are seen that nothing would be gained,
    everybody counts as always seen.
    """
    levels = {name: paths.levels[name] for name in {*paths.assigned_at.values(), paths.cluster}}
    columns = [paths.path, *(level.codes for level in levels.values())]
    of = _rows(columns)
    seen = None if paths.balanced or paths.seen is None else paths.seen
    if seen is not None:
        finer = _rows([of, row_codes(seen.astype(np.int16))[0]])
        of, seen = (finer, seen) if finer.max(initial=0) < _MOST else (of, None)
    _, first = np.unique(of, return_index=True)
    return replace(
        paths, units=np.arange(len(first)), path=paths.path[first], seen=None if seen is None else seen[first],
        levels={name: replace(level, codes=level.codes[first]) for name, level in levels.items()}, weights=None,
    )  # fmt: skip


def _rows(columns: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1)


def some(paths: Paths, rows: np.ndarray) -> Paths:
    """Some rows of condensed paths. What can be told apart among some can be told apart among all."""
    return in_use(replace(
        paths, units=np.arange(len(rows)), path=paths.path[rows], seen=None if paths.seen is None else paths.seen[rows],
        levels={name: replace(level, codes=level.codes[rows]) for name, level in paths.levels.items()},
    ))  # fmt: skip


def changed(paths: Paths, change: Change) -> Paths:
    """The same units, after a change."""
    level = level_of_change(paths, change.component)
    rows = np.flatnonzero(np.isin(level.codes, change.clusters))
    old = paths.path[rows]
    state = paths.state[old].copy()
    own = state[:, :, change.component]
    state[:, :, change.component] = moved(own, change.periods) if change.begin < 0 else _begun(paths, old, own, change)
    path = paths.path.copy()
    path[rows] = paths.n_paths + np.arange(len(rows))
    return in_use(replace(
        paths, path=path, state=np.concatenate([paths.state, state]), reach=np.vstack([paths.reach, paths.reach[old]]),
    ))  # fmt: skip


def moved(own: np.ndarray, periods: int) -> np.ndarray:
    """(n, T) states of one component with the first spell begun `periods` later."""
    size = own.shape[1]
    first = np.where((own != OFF).any(axis=1), (own != OFF).argmax(axis=1), size)[:, None]
    start = np.where((own > 0).any(axis=1), (own > 0).argmax(axis=1), size)[:, None]
    t = np.arange(size)
    return np.where((t >= first) & (t < start + periods), OFF, own)


def _begun(paths: Paths, old: np.ndarray, own: np.ndarray, change: Change) -> np.ndarray:
    on = (np.arange(own.shape[1]) >= change.begin) & paths.reach[old, change.component][:, None]
    return np.where(on, 1, own)


def first_starts(state: np.ndarray) -> np.ndarray:
    """(P,) first period on after a period that was not, from (P, T) states; -1 where there is none."""
    on = state > 0
    start = on[:, 1:] & ~on[:, :-1]
    if not start.shape[1]:
        return np.full(len(on), -1)  # a cross-section: nothing starts
    return np.where(start.any(axis=1), start.argmax(axis=1) + 1, -1)


def first_lengths(state: np.ndarray) -> np.ndarray:
    """(P,) periods of the first spell that starts within the panel, from (P, T) states; 0 where there is none."""
    start = first_starts(state)
    t = np.arange(state.shape[1])
    over = (state <= 0) & (t > start[:, None])
    end = np.where(over.any(axis=1), over.argmax(axis=1), state.shape[1])
    return np.where(start > 0, end - start, 0)
