"""The additive event-time design: unit effects, period effects for each pattern of reach, event times.

    Y_it = u_i + v_{t, reach(i)} + sum over components k of d_k(t - start_k(i)) + error

d_k is free at every event time and counted only while k is on; all periods off are the reference. Units that share a
path, a cluster and the periods in which they are seen share a row, so that the matrix has rows by group and period.
Unit and period effects are taken out through Gram matrices (Frisch, Waugh and Lovell); no dense rows by parameters
matrix is ever made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from evalkit.errors import OptionError, check_choice, spelt
from evalkit.study.paths import OFF, Paths, row_codes

_CHUNK = 4096
_SINGULAR = 1e-10


@dataclass(frozen=True)
class EventTimes:
    """The choices of an additive design.

    window: None for every event time from 0 on and no leads; (lead, lag) for leads -lead .. -2, the first of which
        means "-lead or earlier" (the period before the start is the reference), and event times 0 .. lag, the last of
        which means "lag or later".
    shape: "event_time", or "level" for one column a component that is 1 while it is on (effects that do not grow).
    dose: whether columns carry the dose (linear in dose) instead of 1; leads carry that of their start."""

    window: tuple[int, int] | None = None
    shape: str = "event_time"
    dose: bool = False

    def __post_init__(self) -> None:
        check_choice("shape", self.shape, ("event_time", "level"))
        if self.window is not None and (len(self.window) != 2 or min(self.window) < 0):
            raise OptionError(
                f"window={spelt(self.window)} is not a choice. Use (lead, lag), two whole numbers, or None."
            )


@dataclass(frozen=True, eq=False)
class Grid:
    """Groups of units alike in path, cluster and periods seen, and the rows (group, period) they fill.

    of: (n,) group of each unit. path, weight: (G,) of each group; the weight sums its
    units' weights. group, period: (R,) of each row, in order. n_periods: T."""

    of: np.ndarray
    path: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    period: np.ndarray
    n_periods: int

    def keep(self, rows: np.ndarray) -> Grid:
        """The same groups with some of the rows."""
        return replace(self, group=self.group[rows], period=self.period[rows])


@dataclass(frozen=True, eq=False)
class AdditiveDesign:
    """Columns of the additive design over the rows of a grid.

    component: (p,) index in `components`. event_time: (p,) of each column. matrix: (R, p) sparse. pattern: (G,) code of
    each group's period effects: whom the components can reach, and which were on already when the panel begins."""

    components: tuple[str, ...]
    component: np.ndarray
    event_time: np.ndarray
    matrix: sparse.csr_matrix
    pattern: np.ndarray
    grid: Grid

    @property
    def size(self) -> np.ndarray:
        """(p,) weighted squared length of each column, before any effect is taken out."""
        return np.asarray(self.matrix.multiply(self.matrix).T @ self.grid.weight[self.grid.group]).ravel()

    def column(self, component: str, event_time: int) -> int:
        """Position of one column, -1 where no row has that event time."""
        k = self.components.index(component)
        found = np.flatnonzero((self.component == k) & (self.event_time == event_time))
        return int(found[0]) if len(found) else -1

    def gram(self, periods: bool = True) -> np.ndarray:
        """(p, p) products after unit and period-by-pattern effects; without `periods`, after unit effects alone."""
        total, of_row = np.zeros((self.matrix.shape[1],) * 2), self.pattern[self.grid.group]
        order = np.argsort(of_row, kind="stable")
        _, start = np.unique(of_row[order], return_index=True)
        for rows in np.split(order, start[1:]):
            part = self.matrix[rows]
            used = np.unique(part.indices)
            if len(used):
                total[np.ix_(used, used)] += _block_gram(self.grid, rows, part[:, used], periods)
        return total


def _block_gram(grid: Grid, rows: np.ndarray, columns: sparse.csr_matrix, periods: bool) -> np.ndarray:
    """Products of columns (r, p) of the rows of one pattern after unit effects, and after those of its periods."""
    groups, local, size = np.unique(grid.group[rows], return_inverse=True, return_counts=True)
    position, ones = np.arange(len(rows)), np.ones(len(rows))
    sums = sparse.csr_matrix((ones, (local, position)), shape=(len(groups), len(rows)))
    weight, share = grid.weight[grid.group[rows]], grid.weight[groups] / size

    def within(x: sparse.csr_matrix, z: sparse.csr_matrix) -> np.ndarray:
        """x' W M z, M subtracting group means: through dense slices, quicker than sparse products of full rows."""
        means, (x_sums, z_sums) = np.zeros((x.shape[1], z.shape[1])), (sums @ x, sums @ z)
        for low in range(0, len(groups), _CHUNK):
            part = slice(low, low + _CHUNK)
            means += (x_sums[part].toarray() * share[part, None]).T @ z_sums[part].toarray()
        return np.asarray((x.multiply(weight[:, None]).T @ z).todense(), dtype=np.float64) - means

    inner = within(columns, columns)
    if not periods:
        return inner
    period = sparse.csr_matrix((ones, (position, grid.period[rows])), shape=(len(rows), grid.n_periods))
    by_period = within(period, columns)
    values, vectors = np.linalg.eigh(within(period, period))
    keep = values > _SINGULAR * max(values[-1], 1e-300)
    return inner - by_period.T @ ((vectors[:, keep] / values[keep]) @ (vectors[:, keep].T @ by_period))


def make_grid(paths: Paths, level: str | None = None, weighted: bool = True) -> Grid:
    """Group units by path, by cluster of `level` where one is named, and by the periods in which they are seen."""
    of = paths.path.astype(np.int64)
    if level is not None:
        of = of + paths.n_paths * paths.levels[level].codes.astype(np.int64)
    if not paths.balanced and paths.seen is not None:
        codes, _ = row_codes(paths.seen.astype(np.int16))
        of = of * (int(codes.max(initial=0)) + 1) + codes
    _, first, of = np.unique(of, return_index=True, return_inverse=True)
    units = np.ones(len(of)) if paths.weights is None else paths.weights
    weight = np.bincount(of, weights=units) if weighted else np.ones(len(first))
    if paths.seen is None:
        group, period = np.divmod(np.arange(len(first) * paths.n_periods), paths.n_periods)
    else:
        group, period = np.nonzero(paths.seen[first])
    return Grid(of, paths.path[first], weight, group, period, paths.n_periods)


def programme_level(paths: Paths, components: Sequence[str] | None = None) -> str:
    """The level within which the levels of inference of `components` (all) nest, else the study's cluster."""
    levels = list(dict.fromkeys(paths.inference_level(c)[0] for c in components or paths.components))
    for coarse in levels:
        if all(fine == coarse or paths.nested(fine, coarse) for fine in levels):
            return coarse
    return paths.cluster


def additive_design(paths: Paths, grid: Grid, options: EventTimes | None = None) -> AdditiveDesign:
    """Columns of every component that is not registered as always on.

    Rows with a component part-way or unknown are left out. So are rows in a spell that was on already when the panel
    begins, since its event time is not known: unless it lasts to the end (then its units have period effects of their
    own) or is for certain past the last event time of `window`."""
    options, known = options or EventTimes(), np.ones(paths.state.shape[:2], dtype=bool)
    parts, throughout = [], np.zeros((paths.n_paths, len(paths.components)), dtype=bool)
    for k in varying(paths):
        time, use, kept = _event_times(paths.state[:, :, k], options)
        known &= use
        throughout[:, k] = kept
        parts.append((k, time))
    keep, columns = grid.keep(known[grid.path[grid.group], grid.period]), varying(paths)
    component, event_time, matrix = _columns(paths, keep, parts, options.dose)
    both = np.hstack([paths.reach[:, columns], throughout[:, columns]])
    _, pattern = np.unique(both, axis=0, return_inverse=True)
    return AdditiveDesign(paths.components, component, event_time, matrix, pattern.reshape(-1)[grid.path], keep)


def varying(paths: Paths) -> list[int]:
    """Components that are not registered as always on and are on somewhere."""
    always = paths.always_on or (False,) * len(paths.components)
    return [k for k in range(len(paths.components)) if not always[k] and (paths.state[:, :, k] > 0).any()]


_NONE = np.iinfo(np.int32).min


def _event_times(state: np.ndarray, options: EventTimes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, T) event time (`_NONE` for the reference), (P, T) rows to use, (P,) on throughout."""
    on, off = state > 0, state == OFF
    use = on | off
    if options.shape == "level":
        return np.where(on, 0, _NONE), use, np.zeros(len(state), dtype=bool)
    begin, age = spell_ages(on, off)
    position, unknown = np.arange(state.shape[1]), on & (age < 0)
    lead, lag = options.window or (0, None)
    time, throughout = np.where(on & ~unknown, age, _NONE), np.zeros(len(state), dtype=bool)
    if lag is None:
        throughout = unknown.any(axis=1) & ~off.any(axis=1)
        use &= ~unknown | throughout[:, None]
    else:
        time, late = np.where(time > lag, lag, time), unknown & (position >= lag)
        time[late] = lag
        use &= ~unknown | late
    if lead >= 2:
        later = np.where(begin, position, np.iinfo(np.int32).max)[:, ::-1]
        ahead = np.minimum.accumulate(later, axis=1)[:, ::-1] - position
        time = np.where(off & (ahead >= 2) & (ahead < state.shape[1]), -np.minimum(ahead, lead), time)
    return time, use, throughout


def spell_ages(on: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, T) whether a spell begins here, and periods since the current or last one began.

    As in the plan: a spell begins where the component is on for the first time since it
    was off; -1 before the first beginning."""
    position = np.arange(on.shape[1])
    last_off = np.maximum.accumulate(np.where(off, position, -1), axis=1)
    last_on = np.maximum.accumulate(np.where(on, position, -1), axis=1)
    begin = on & (last_off > np.concatenate([np.full((len(on), 1), -1), last_on[:, :-1]], axis=1))
    start = np.maximum.accumulate(np.where(begin, position, -1), axis=1)
    return begin, np.where(start >= 0, position - start, -1)


def _columns(
    paths: Paths, grid: Grid, parts: list[tuple[int, np.ndarray]], dose: bool
) -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    component, event_time, rows, columns, values = [], [], [], [], []
    done = 0
    for k, time in parts:
        here = time[grid.path[grid.group], grid.period]
        row = np.flatnonzero(here != _NONE)
        times, column = np.unique(here[row], return_inverse=True)
        component.append(np.full(len(times), k))
        event_time.append(times)
        rows.append(row)
        columns.append(column + done)
        state, position = paths.state[:, :, k], np.arange(paths.n_periods)
        # The dose while it is on, and before then that of the next period in which it is.
        ahead = np.minimum.accumulate(np.where(state > 0, position, position[-1])[:, ::-1], axis=1)[:, ::-1]
        doses = paths.dose(k)[np.maximum(np.take_along_axis(state, ahead, axis=1), OFF)]
        values.append(doses[grid.path[grid.group[row]], grid.period[row]] if dose else np.ones(len(row)))
        done += len(times)
    lists = (component, event_time, rows, columns, values)
    joined = [np.concatenate(x) if x else np.empty(0, dtype=int) for x in lists]
    shape = (len(grid.group), done)
    matrix = sparse.csr_matrix((joined[4].astype(np.float64), (joined[2], joined[3])), shape=shape)
    return joined[0].astype(int), joined[1].astype(int), matrix
