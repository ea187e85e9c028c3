"""The columns of one interrupted series: trend, season, and for each thing that began in the place a level and a slope;
and which of them can be told apart. From exposures and periods alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.designs.one_place.places import Place
from evalkit.show.words import count_words
from evalkit.study.paths import Paths

ALONE = 12
"""Periods beyond the lag that an earlier component must have had before a later one is claimed alone: below, the noise
of the later one is more than about two and a half times what it would be by itself."""
FEWEST = 3
"""Periods before an earlier change below which the series is read from after it."""
HARMONICS = 2


@dataclass(frozen=True)
class Began:
    """Something that changed in the place at position `at` and shows fully `free` periods later. name: None for the
    component that is asked about. on: whether it went on."""

    name: str | None
    at: int
    free: int
    on: bool = True

    @property
    def live(self) -> int:
        return self.at + self.free


@dataclass(frozen=True, eq=False)
class Layout:
    """Columns (n, k) of the periods `first` on, and for each of `claimed` (positions of periods) its effect as a
    contrast (r, k) of their coefficients. reason: why there is none; bound: what it cannot be told from."""

    first: int
    columns: np.ndarray
    claimed: np.ndarray
    contrasts: np.ndarray
    reason: str = ""
    bound: tuple[Began, ...] = ()


def changes(paths: Paths, component: str, place: Place, transition: int) -> tuple[Began, list[Began]]:
    """The start itself, and what else changed in the place from its first period read to the last of the panel: other
    components that went on or off, and the component that ended. Part-way periods before it shows are free."""
    k, lags = paths.index(component), paths.lags or (0,) * len(paths.components)
    state = paths.state[place.comparison.path]
    own = Began(None, place.last_base + 1, place.cohort + max(transition, lags[k]) - place.last_base - 1)
    others = []
    for j, name in enumerate(paths.components):
        moved = 1 + np.flatnonzero(np.diff(state[:, j]) != 0)
        if paths.reach[place.comparison.path, j]:
            named = None if j == k else name
            others += [Began(named, int(t), lags[j], bool(state[t, j] > 0)) for t in moved if t > place.first]
    return own, [b for b in others if b.name is not None or b.at > place.cohort]


def season_columns(times: np.ndarray, season: int) -> np.ndarray:
    """(n, c) two pairs of waves over `season` periods (one, where two are more than there are periods)."""
    angle = 2 * np.pi * np.outer(times, np.arange(1, HARMONICS + 1)) / season
    waves = np.column_stack([np.cos(angle), np.sin(angle)])
    varies = np.ptp(np.column_stack([np.cos(angle[:season]), np.sin(angle[:season])]), axis=0) > 1e-9
    distinct = np.tile(np.arange(1, HARMONICS + 1) * 2 <= season, 2)
    return waves[:, varies & distinct]


@dataclass(frozen=True)
class Shape:
    """The choices of a series: a slope beside the level, season, powers of the trend, and steps at known events."""

    slope: bool = True
    season: int | None = None
    powers: int = 1
    events: tuple[int, ...] = ()

    def base(self, times: np.ndarray, start: int) -> np.ndarray:
        """(n, b) trend, season and steps."""
        trend = ((times - start) / len(times))[:, None] ** np.arange(self.powers + 1)
        steps = [(times >= e).astype(float) for e in self.events if times[0] < e <= times[-1]]
        waves = [] if self.season is None else list(season_columns(times, self.season).T)
        return np.column_stack([trend, *waves, *steps])

    def segment(self, times: np.ndarray, began: Began) -> tuple[np.ndarray, int]:
        """(n, c) level and slope from where it shows fully on, of which the first are returned as a count; and a free
        column for each period before."""
        live = times >= began.live
        shown = [live.astype(float), *([live * (times - began.live).astype(float)] if self.slope else [])]
        free = [(times == began.at + j).astype(float) for j in range(began.free)]
        return np.column_stack([*shown, *free]), len(shown)


def lay_out(own: Began, others: list[Began], first: int, asked: np.ndarray, shape: Shape) -> Layout:
    """Columns and claims of one start. A window ends where the next thing begins; what began too near cannot be told
    from it, and what began before it by less than `ALONE` beyond its lag leaves it to the pair."""
    last = int(asked.max(initial=first))
    others = [b for b in others if b.at <= last]
    if bound := too_near(own, others):
        return Layout(first, np.empty((0, 0)), asked[:0], np.empty((0, 0)), _cannot(bound[0], own), bound)
    first = max([first, *(b.live for b in others if b.at < first + FEWEST and b.at < own.at)])
    times = np.arange(first, last + 1)
    until = min([b.at for b in others if b.at > own.at], default=last + 1)
    claimed = asked[(asked >= own.live) & (asked < until)]
    base, (mine, shown) = shape.base(times, own.at), shape.segment(times, own)
    rest = [shape.segment(times, b)[0] for b in others if b.at > first]
    columns, width = np.column_stack([base, mine, *rest]), base.shape[1] + mine.shape[1]
    contrasts = np.zeros((len(claimed), columns.shape[1]))
    contrasts[:, base.shape[1] : base.shape[1] + shown] = mine[claimed - first, :shown]
    kept = _independent(columns, width)
    return Layout(first, columns[:, kept], claimed, contrasts[:, kept])


def too_near(own: Began, others: list[Began]) -> tuple[Began, ...]:
    """What began too near to be told from it, the nearest first, and what cannot be told from that in turn."""
    group, left = [own], sorted(others, key=lambda b: abs(b.at - own.at))
    while found := next((b for b in left if any(_near(b, g) for g in group)), None):
        group.append(found)
        left.remove(found)
    return tuple(group[1:])


def _near(b: Began, own: Began) -> bool:
    near = abs(b.at - own.at) <= (own.free if b.at >= own.at else b.free)
    return near or b.live <= own.at < b.live + ALONE


def _cannot(b: Began, own: Began) -> str:
    apart = abs(b.at - own.at)
    when = "in the same period" if apart == 0 else f"{count_words(apart, 'period')} apart"
    which = "it began and ended" if b.name is None else f"it and {b.name} changed"
    return f"{which} {when}, and one place cannot tell the two apart"


def _independent(columns: np.ndarray, own: int) -> np.ndarray:
    """Positions of columns, those of others left out where they add nothing to those before."""
    kept: list[int] = list(range(own))
    for j in range(own, columns.shape[1]):
        if np.linalg.matrix_rank(columns[:, [*kept, j]]) > len(kept):
            kept.append(j)
    return np.array(kept)
