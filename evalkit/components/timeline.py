"""What was delivered, where and when: spells on, in the values of the calendar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalkit.study.paths import UNKNOWN, Paths

COLUMNS = ("component", "cluster", "start", "end", "state", "start_position", "end_position")


def timeline_table(paths: Paths) -> pd.DataFrame:
    """One row a spell: component, cluster (at the level where it was decided), start, end, state.

    Half-open: `end` is the first period after the spell; one step beyond the last period
    for numbers and pandas periods, None for other calendars. `state` is "on" or "part".
    Positions are those in `paths.periods`.
    """
    rows = [row for name in paths.components for row in _spells(paths, name)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _spells(paths: Paths, component: str) -> list[tuple[Any, ...]]:
    k = paths.index(component)
    level = paths.levels[paths.assigned_at[component]]
    cells = paths.cells(level.name)
    state = paths.state[:, :, k]
    code = np.where(state > 0, 2, np.where((state < 0) & (state != UNKNOWN), 1, 0))[cells.path]
    best = np.zeros((len(level.names), paths.n_periods), dtype=np.int64)
    np.maximum.at(best, cells.cluster, code)
    edge = np.diff(best, axis=1, prepend=0, append=0) != 0
    out = []
    for cluster in np.flatnonzero(best.any(axis=1)):
        at = np.flatnonzero(edge[cluster])
        for low, high in zip(at, [*at[1:], paths.n_periods], strict=True):
            kind = best[cluster, low] if low < paths.n_periods else 0
            if kind:
                words = "on" if kind == 2 else "part"
                name = level.names[cluster]
                begin, end = paths.periods[low], _after(paths.periods, high)
                out.append((component, name, begin, end, words, int(low), int(high)))
    return out


def _after(periods: np.ndarray, position: int) -> Any:
    """The period value at a position, one step beyond the last where the calendar has steps."""
    if position < len(periods):
        return periods[position]
    last = periods[-1]
    if isinstance(last, pd.Period):
        return last + 1
    if isinstance(last, (int, float, np.integer, np.floating)) and len(periods) > 1:
        return last + np.diff(periods).min()
    return None
