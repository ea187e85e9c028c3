"""From cells of units and what their paths did to places of the untreated model: columns, levels, means, noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from evalkit.designs.noise.stretches import Noise, shared
from evalkit.designs.noise.untreated import Place
from evalkit.designs.rollout.plan import ExposureStates, Rules
from evalkit.designs.rollout.sums import Sums, add_by


@dataclass(frozen=True, eq=False)
class Columns(ABC):
    """What moves paths without a component, by period.

    level: (P, T) which level of its cell a period belongs to. free: (P, T) before exposure. count: columns.
    """

    level: np.ndarray
    free: np.ndarray
    count: int

    @abstractmethod
    def passed(self, path: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns (p,) that move a path, and (T, p) by how much each has since the level of a period began."""

    def fewest(self, cells: CellMeans) -> Columns:
        """The same model of these cells with as few columns as it can do with."""
        return self


@dataclass(frozen=True, eq=False)
class Steps(Columns):
    """Changes from one period to the next.

    step: (P, T, 2) the columns that are passed on the way to each period, -1 for none: what all share whose others do
    the same, and what those share whom the component can reach.
    """

    step: np.ndarray

    @property
    def shared(self) -> bool:
        """Whether people whom the component cannot reach serve, so that the others have a gap to them."""
        return bool((self.step[:, :, 1] >= 0).any())

    def passed(self, path: int) -> tuple[np.ndarray, np.ndarray]:
        used, at = np.unique(self.step[path], return_inverse=True)
        at = at.reshape(self.step[path].shape)
        each = np.zeros((len(at), len(used)))
        for kind in at.T:
            each[np.arange(len(at)), kind] = 1.0
        each[:, used < 0] = 0.0
        each, level = each.cumsum(axis=0), self.level[path]
        if level[0] < level[-1]:
            each -= each[np.searchsorted(level, level)]
        return used[used >= 0], each[:, used >= 0]

    def fewest(self, cells: CellMeans) -> Steps:
        """Without the columns that only one cell passes, which fit a step of it exactly, and those that nobody is seen
        to pass before exposure, which nothing tells: a level of the cell begins anew there instead."""
        step, level = self.step[cells.path], self.level[cells.path]
        seen = np.cumsum(self.free[cells.path] & np.isfinite(cells.mean), axis=1)
        start, end = (np.array([np.searchsorted(of, of, side) for of in level]) for side in ("left", "right"))
        until = np.hstack([np.zeros((len(seen), 1), dtype=np.int64), seen])
        at = np.arange(level.shape[1])
        line = np.arange(len(level))[:, None]
        told = (until[line, at] > until[line, start]) & (until[line, end] > until[line, at])
        passing, passed = (
            np.bincount((step[which][step[which] >= 0]).ravel(), minlength=self.count)
            for which in (np.ones_like(told), told)
        )
        needless = np.append((passing == 1) | (passed == 0), False)
        begins = needless[self.step].any(axis=2)
        kept = np.where(begins[:, :, None], -1, self.step)
        used, codes = np.unique(np.append(kept, -1), return_inverse=True)
        return Steps(self.level + begins.cumsum(axis=1), self.free, len(used) - 1, codes[:-1].reshape(kept.shape) - 1)


def untreated_columns(states: ExposureStates, rules: Rules) -> Steps:
    """One column for each period and what the others did up to it (`lookback` periods more), and where some cannot be
    reached, one for each period and those who can; a level begins anew where the others are unknown or, under
    others="unchanged", where they change. With others="ignored" only those serve whom the component can reach."""
    on_before = np.maximum.accumulate(~states.off, axis=1)
    coming = np.zeros(states.shape, dtype=bool)
    for ahead in range(rules.anticipation + 1):
        coming[:, : states.shape[1] - ahead] |= on_before[:, ahead:]
    others, known = states.others, states.others >= 0
    serving = states.reach | (rules.others != "ignored")
    still = known[:, 1:] & known[:, :-1]
    if rules.others == "unchanged":
        still &= others[:, 1:] == others[:, :-1]
    level = np.zeros(states.shape, dtype=np.int64)
    np.cumsum(~still, axis=1, out=level[:, 1:])
    level[~serving] = 0
    path, t = np.nonzero(still & serving[:, None])
    t += 1
    kind = np.zeros(len(path), dtype=np.int64) if states.kind is None else states.kind[path]
    back = range(rules.lookback + 2 if rules.others == "same" else 0)
    since = [np.where(t >= lag, others[path, np.maximum(t - lag, 0)], -1) for lag in back]
    passed = np.column_stack([np.zeros_like(t), t, kind, *since])
    gap = states.reach[path] & (not states.reach[serving].all())
    passed = np.stack([passed, np.where(np.arange(passed.shape[1]) < 3, passed, 0)], axis=1)
    passed[:, 1, 0] = 1
    used = np.stack([np.ones(len(t), dtype=bool), gap], axis=1)
    _, first, code = np.unique(passed[used], axis=0, return_index=True, return_inverse=True)
    step, codes = np.full((*states.shape, 2), -1), np.full(used.shape, -1)
    codes[used] = np.argsort(np.argsort(first))[code.ravel()]
    step[path, t] = codes
    return Steps(level, ~coming & known & serving[:, None], len(first), step)


@dataclass(frozen=True, eq=False)
class Groups:
    """People whose mean is read as one, C groups of them: cells (cluster x path); or, where everybody is a cluster,
    people alike in path and in the periods in which they are seen.

    of: (n,) group of each unit. path, cluster: (C,). cell: (G,) group in which the first unit of a cell is.
    """

    of: np.ndarray
    path: np.ndarray
    cluster: np.ndarray
    cell: np.ndarray
    lone: bool

    @cached_property
    def order(self) -> np.ndarray:
        """(n,) units sorted by group."""
        return np.argsort(self.of, kind="stable")

    @classmethod
    def of_sums(cls, sums: Sums) -> Groups:
        """Those of a reader of sums."""
        cells = np.arange(len(sums.path))
        if not sums.paths.alone(sums.level):
            return cls(sums.of, sums.path, sums.cluster, cells, lone=False)
        _, seen = np.unique(np.isfinite(sums.values), axis=0, return_inverse=True)
        alike, first, of = np.unique(
            sums.paths.path * len(sums.of) + seen.ravel(), return_index=True, return_inverse=True
        )
        one = np.zeros(len(cells), dtype=np.int64)
        one[sums.of] = of.ravel()
        return cls(of.ravel(), sums.paths.path[first], np.arange(len(alike)), one, lone=True)


@dataclass(frozen=True, eq=False)
class CellMeans:
    """Means of C cells and the covariance of each about its expectation, given one person's covariance.

    path, cluster: (C,). mean: (C, T), NaN where nobody is seen. noise: (C,) matrices (T, T).
    """

    path: np.ndarray
    cluster: np.ndarray
    mean: np.ndarray
    noise: tuple[np.ndarray, ...]


def cell_means(
    values: np.ndarray, of: np.ndarray, order: np.ndarray, weights: tuple[np.ndarray, np.ndarray], R: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """(C, T) means by generalised least squares over the people of each cell, and their covariances.

    Where everybody is seen throughout these are plain means and R / n. order: units sorted by cell. weights: (n,) of
    units, and sums of squares of those of the people behind each.
    """
    cells = int(of.max()) + 1
    stops = np.searchsorted(of[order], np.arange(cells + 1))
    patterns, kind = _patterns(np.isfinite(values))
    inverses = _padded_inverses(R, patterns)
    mean, noise = np.full((cells, values.shape[1]), np.nan), []
    for c, (low, high) in enumerate(pairwise(stops)):
        units = order[low:high][weights[0][order[low:high]] > 0]
        y, w, squares, mine = values[units], weights[0][units], weights[1][units], kind[units]
        if len(units) and not mine.any():
            mean[c] = w @ y / w.sum()
            noise.append(R * squares.sum() / w.sum() ** 2)
        else:
            mean[c], V = _gapped(y, mine, (w, squares), inverses)
            noise.append(V)
    return mean, tuple(noise)


def _patterns(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (K, T) of rows, the first of those seen throughout, and which is that of each unit (n,) of `seen`."""
    kind, gapped = np.zeros(len(seen), dtype=np.int64), np.flatnonzero(~seen.all(axis=1))
    patterns, of = np.unique(seen[gapped], axis=0, return_inverse=True)
    kind[gapped] = 1 + of.ravel()
    return np.vstack([np.ones((1, seen.shape[1]), dtype=bool), patterns]), kind


def _gapped(
    y: np.ndarray, kind: np.ndarray, weights: tuple[np.ndarray, np.ndarray], inverses: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T,) mean and (T, T) covariance of a cell in which rows are missing: (sum of S' R^-1 S)^-1 over its people.

    kind: (n,) pattern of rows of each; inverses: those of R among the rows of each pattern, nought elsewhere."""
    T, (w, squares) = y.shape[1], weights
    mean, V = np.full(T, np.nan), np.zeros((T, T))
    used, of = np.unique(kind, return_inverse=True)
    if not len(used):
        return mean, V
    Q, alike = inverses[used].reshape(len(used), -1), bool((w == squares).all())
    W = (np.bincount(of, w) @ Q).reshape(T, T)
    v = np.einsum("kts,ks->t", Q.reshape(-1, T, T), add_by(w[:, None] * np.nan_to_num(y), of, len(used)))
    there = np.flatnonzero(np.diag(W) > 0)
    square = there[:, None], there
    back = np.linalg.inv(W[square])
    mean[there] = back @ v[there]
    V[square] = back if alike else back @ (np.bincount(of, squares) @ Q).reshape(T, T)[square] @ back
    return mean, V


@dataclass(frozen=True, eq=False)
class Targets:
    """Weights of exposed cell-periods in rows: row, cell, period, weight, (m,) each."""

    row: np.ndarray
    cell: np.ndarray
    period: np.ndarray
    weight: np.ndarray


def make_places(cells: CellMeans, columns: Columns, targets: Targets) -> tuple[list[Place], list[tuple]]:
    """Places with the covariance that people alone give, and the cells and periods of what each holds."""
    by_cluster = np.argsort(cells.cluster, kind="stable")
    target_of = np.argsort(targets.cell, kind="stable")
    starts = np.searchsorted(targets.cell[target_of], np.arange(len(cells.path) + 1))
    places, where = [], []
    passed = {p: columns.passed(p) for p in np.unique(cells.path).tolist()}
    edges = np.flatnonzero(np.diff(cells.cluster[by_cluster], prepend=-1, append=-1))
    for low, high in pairwise(edges):
        mine = by_cluster[low:high]
        asked = np.concatenate([target_of[starts[c] : starts[c + 1]] for c in mine])
        made = _place(cells, columns, passed, mine, (targets, asked))
        if made is not None:
            places.append(made[0])
            where.append(made[1])
    return places, where


def _place(
    cells: CellMeans, columns: Columns, passed: dict[int, tuple], mine: np.ndarray, wanted: tuple[Targets, np.ndarray]
) -> tuple[Place, tuple[np.ndarray, np.ndarray]] | None:
    """The place of the cells `mine`. passed: of each path, what moves it. wanted: targets, and which are of `mine`."""
    path = cells.path[mine]
    free = columns.free[path] & np.isfinite(cells.mean[mine])
    cell, t = np.nonzero(free)
    if not len(cell):
        return None
    T, u = free.shape[1], len(cell)
    level = mine[cell] * T + columns.level[path[cell], t]
    exposed, rows, weight = _weights(cells, columns, level, wanted)
    of, at = np.divmod(exposed, T)
    cell, t = np.concatenate([cell, np.searchsorted(mine, of)]), np.concatenate([t, at])
    level = np.concatenate([level, of * T + columns.level[cells.path[of], at]])
    first = np.where(free.any(axis=1), cells.mean[mine, free.argmax(axis=1)], 0.0)
    y = cells.mean[mine[cell], t] - first[cell]
    moved = [passed[p] for p in path.tolist()]
    if len(mine) == 1:
        (used, each), noise = moved[0], [Noise(np.arange(len(t)), cells.noise[mine[0]][t[:, None], t])]
        steps = each[t]
    else:
        used, noise = np.unique(np.concatenate([own for own, _ in moved])), list[Noise]()
        steps = np.zeros((len(y), len(used)))
        for c, (own, each) in enumerate(moved):
            here = np.flatnonzero(cell == c)
            steps[here[:, None], np.searchsorted(used, own)] = each[t[here]]
            noise += [Noise(here, cells.noise[mine[c]][t[here, None], t[here]])] if len(here) else []
    some = steps.any(axis=0)
    place = Place(int(cells.cluster[mine[0]]), u, y, steps[:, some], used[some], level, tuple(noise), weight, rows)
    return place, (mine[cell], t)


def _weights(
    cells: CellMeans, columns: Columns, level: np.ndarray, wanted: tuple[Targets, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exposed cell-periods (e,) of a place that are seen on one of its levels, rows (r,) that it has a part in, and the
    weights (e, r) of the former in the latter."""
    (targets, asked), T = wanted, cells.mean.shape[1]
    if not len(asked):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 0))
    key = targets.cell[asked] * T + targets.period[asked]
    exposed, which = np.unique(key, return_inverse=True)
    of, at = np.divmod(exposed, T)
    told = np.isfinite(cells.mean[of, at]) & np.isin(of * T + columns.level[cells.path[of], at], level)
    asked, which = asked[told[which]], (np.cumsum(told) - 1)[which[told[which]]]
    rows, column = np.unique(targets.row[asked], return_inverse=True)
    weight = np.zeros((int(told.sum()), len(rows)))
    np.add.at(weight, (which, column), targets.weight[asked])
    return exposed[told], rows, weight


def with_noise(places: Sequence[Place], noise: Sequence[np.ndarray]) -> tuple[Place, ...]:
    """The same places under other covariances."""
    return tuple(replace(p, noise=shared(V)) for p, V in zip(places, noise, strict=True))


def unit_influence(
    values: np.ndarray, of: np.ndarray, weights: np.ndarray, R: np.ndarray, cells: CellMeans, L: np.ndarray
) -> np.ndarray:
    """(n, k) what each person moves through the mean of the cell: L (C, T, k) weights of cell-periods in k rows."""
    out, T = np.zeros((len(values), L.shape[2])), values.shape[1]
    seen = np.isfinite(values)
    away = np.where(seen, values - cells.mean[of], 0.0) * weights[:, None]
    patterns, kind = np.unique(seen, axis=0, return_inverse=True)
    inverses = _padded_inverses(R, patterns)
    total = np.zeros((len(cells.path), T, T))
    for j, Q in enumerate(inverses):
        count = np.bincount(of[kind.ravel() == j], weights[kind.ravel() == j], minlength=len(total))
        total += count[:, None, None] * Q
    for c in np.flatnonzero(np.abs(L).any(axis=(1, 2))):
        back = np.linalg.pinv(total[c], hermitian=True) @ L[c]
        units = np.flatnonzero(of == c)
        for j in np.unique(kind.ravel()[units]):
            mine = units[kind.ravel()[units] == j]
            out[mine] = away[mine] @ (inverses[j] @ back)
    return out


def _padded_inverses(R: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """(K, T, T) inverses of R among the rows of each pattern (K, T), nought elsewhere: where few are missing, that of
    all less what goes through those."""
    out, size, whole = np.zeros((len(patterns), *R.shape)), patterns.sum(axis=1), np.linalg.inv(R)
    for n in np.unique(size[size > 0]):
        at = np.flatnonzero(size == n)
        rows, gone = (np.nonzero(x)[1].reshape(len(at), -1) for x in (patterns[at], ~patterns[at]))
        square, across = (rows[:, :, None], rows[:, None]), whole[rows[:, :, None], gone[:, None]]
        few = 2 * n > len(R)
        out[(at[:, None, None], *square)] = (
            whole[square] - across @ np.linalg.solve(whole[gone[:, :, None], gone[:, None]], across.transpose(0, 2, 1))
            if few else np.linalg.inv(R[square])
        )  # fmt: skip
    return out
