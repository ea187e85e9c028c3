"""Some units and some periods of a study that has been opened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalkit.study.calendar import Calendar
from evalkit.study.door import Opened
from evalkit.study.index import Index
from evalkit.study.paths import Level, Paths


def subset_opened(opened: Opened, units: np.ndarray, periods: np.ndarray) -> Opened:
    """The same study for positions of units and periods; group names and codes stay as they are."""
    index = _subset_index(opened.index, units, periods)
    c = opened.calendar
    calendar = Calendar(c.kind, c.values[periods], c.start[periods], c.stop[periods])
    return replace(opened, index=index, calendar=calendar, paths=_subset_paths(opened.paths, index, units, periods))


def _subset_index(index: Index, units: np.ndarray, periods: np.ndarray) -> Index:
    n, T = index.shape
    position = np.arange(n * T).reshape(n, T) if index.position is None else index.position
    origin = None if index.origin is None else index.origin[units]
    return Index(index.units[units], index.keys[periods], position[np.ix_(units, periods)], origin)


def _subset_paths(paths: Paths, index: Index, units: np.ndarray, periods: np.ndarray) -> Paths:
    used, path = np.unique(paths.path[units], return_inverse=True)
    return replace(
        paths,
        units=index.units,
        periods=paths.periods[periods],
        path=path,
        state=np.ascontiguousarray(paths.state[used][:, periods]),
        reach=paths.reach[used],
        levels={name: Level(name, level.codes[units], level.names) for name, level in paths.levels.items()},
        seen=None if paths.seen is None else np.ascontiguousarray(paths.seen[np.ix_(units, periods)]),
        weights=None if paths.weights is None else paths.weights[units],
    )
