"""From contrasts to an Estimate: rows, their labels in words, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.rollout.contrast import Block, Contrast
from evalkit.designs.rollout.readers import Side
from evalkit.designs.rollout.sums import Sums
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import GroupSource, Influence, PathSource, Rows, Source
from evalkit.study.paths import Paths

NO_MATCH = "nobody to compare with: no unit off this component shares the others' path"
NOT_SEEN = "no adopter was observed at both periods"
NO_COVARIATES = "no adopter was observed at both periods with its covariates at base"
NO_BASE = "no base: it would lie before the panel, or before an earlier spell has ended"
NO_WEIGHT = "all adopters have weight 0"


@dataclass(frozen=True)
class Naming:
    """The words that label every row of an estimate. nobody: why adopters without a match have no number."""

    component: str
    outcome: str
    outcome_unit: str
    population: str
    estimand: str = "ATT(g,t)"
    assumption: str = "the two groups would have moved alike"
    nobody: str = NO_MATCH


@dataclass(frozen=True, eq=False)
class Heads:
    """(H, T) people: adopters used, adopters seen, adopters not seen, matches, and shares that stay."""

    used: np.ndarray
    seen: np.ndarray
    missing: np.ndarray
    matches: np.ndarray
    stay_exposed: np.ndarray
    stay_comparison: np.ndarray


def labels(contrast: Contrast, naming: Naming, rows: np.ndarray) -> pd.DataFrame:
    """One row of words and counts for each (cohort, period)."""
    periods, heads = contrast.reader.paths.periods, count_heads(contrast)
    line, t = np.divmod(rows, contrast.n_periods)
    cohort = contrast.cohorts[line]
    at = lambda x: x.ravel()[rows]  # noqa: E731
    mass, left = at(contrast.mass), at(contrast.left_out)
    outside = _outside(contrast)
    return pd.DataFrame({
        "component": naming.component, "outcome": naming.outcome, "cohort": periods[cohort], "period": periods[t],
        "event_time": t - cohort, "estimand": naming.estimand, "population": naming.population,
        "outcome_unit": naming.outcome_unit, "assumption": naming.assumption,
        "inference_level": contrast.reader.level,
        "units_exposed": whole(at(heads.used)), "units_comparison": whole(at(heads.matches)),
        "units_left_out": whole(at(heads.seen) - at(heads.used)), "units_not_seen": whole(at(heads.missing)), **outside,
        "stay_exposed": at(heads.stay_exposed), "stay_comparison": at(heads.stay_comparison),
        "share_left_out": np.divide(left, mass + left, out=np.zeros(len(rows)), where=mass + left > 0),
        "mass": mass, "reason": _reasons(contrast, heads, naming.nobody).ravel()[rows],
    })  # fmt: skip


def whole(heads: np.ndarray) -> np.ndarray:
    return heads.round().astype(int)


def _reasons(contrast: Contrast, heads: Heads, nobody_like: str) -> np.ndarray:
    """(H, T) why a row has no number, "" where it has one. nobody_like: words for adopters without a match."""
    unseen = NOT_SEEN if contrast.reader.sums.usable is None else NO_COVARIATES
    nobody = heads.seen + heads.missing == 0
    checks = [contrast.mass > 0, nobody, heads.seen == 0, contrast.without_base == heads.seen]
    return np.select(checks, np.array(["", NO_WEIGHT, unseen, NO_BASE], dtype=object), nobody_like)


def _outside(contrast: Contrast) -> dict[str, int]:
    """People outside every row: those who had it from their first known period on, and those without weight."""
    plan, paths = contrast.plan, contrast.reader.paths
    found = {}
    if plan.without_base:
        found["units_exposed_throughout"] = contrast.reader.people(np.array(plan.without_base))
    if paths.weights is not None and (paths.weights == 0).any():
        found["units_without_weight"] = int((paths.weights == 0).sum())
    return found


def count_heads(contrast: Contrast) -> Heads:
    """People behind each row; a comparison unit that serves several starts of a cohort counts once."""
    shape = contrast.mass.shape
    used, seen, missing, matches = (np.zeros(shape) for _ in range(4))
    seen += contrast.without_base
    kept, began = np.zeros((2, *shape)), np.zeros((2, *shape))
    size = np.asarray(contrast.reader.size)
    serving: dict[int, np.ndarray] = {}
    for c, line, ok in contrast.starts:
        heads, base = contrast.reader.heads(c), contrast.reader.heads_at_base(c)
        mine, serve = np.isin(contrast.reader.path, c.adopters), c.match[contrast.reader.path]
        adopters = heads[mine].sum(axis=0)
        used[line] += np.where(ok, adopters, 0)
        seen[line] += np.where(c.possible, adopters, 0)
        missing[line] += np.where(c.possible, size[mine].sum() - adopters, 0)
        at = np.flatnonzero(serve.any(axis=1))
        serve = serve[at]
        most = serving.setdefault(line, np.zeros(heads.shape))
        most[at] = np.maximum(most[at], heads[at] * (serve & ok))
        for into, count in ((kept, heads), (began, base)):
            into[0, line] += np.where(ok, count[mine].sum(axis=0), 0)
            into[1, line] += np.where(ok, (count[at] * serve).sum(axis=0), 0) * len(c.adopters)
    for line, most in serving.items():
        matches[line] = most.sum(axis=0)
    share = np.divide(kept, began, out=np.full(kept.shape, np.nan), where=began > 0)
    return Heads(used, seen, missing, matches, share[0], share[1])


_CELL = ("row", "path", "cluster", "period", "base", "window", "sign")


def cell_weights(contrast: Contrast, rows: np.ndarray, matrix: np.ndarray | None = None) -> pd.DataFrame:
    """The cells each row uses: row, component, path, cluster, period, base, window, sign, weight.

    Adopters' weights sum to one in a row, comparison weights to minus one. `cluster` is the name at
    the estimate's level; `path` the index in `study.paths`. Pairs are opened into their two paths: the
    eligible of exposed clusters are the adopters, all others comparison. matrix: (k', k) combinations of the rows
    in their place, with each cell once.
    """
    at = np.full(contrast.mass.size, -1)
    at[rows] = np.arange(len(rows))
    sides = contrast.reader.sides()
    pieces = [piece for b in contrast.blocks for piece in _block_cells(contrast, b, at, sides)]
    joined = [np.concatenate(x) for x in zip(*pieces, strict=True)] if pieces else [np.empty(0, int)] * 8
    keys, weight = np.stack(joined[:-1]).astype(np.int64), joined[-1].astype(float)
    if matrix is not None:
        keys, weight = _combined(keys, weight, matrix)
    frame = pd.DataFrame(dict(zip(_CELL, keys, strict=True))).assign(weight=weight)
    frame.insert(1, "component", contrast.plan.component)
    paths = contrast.reader.paths
    names = paths.levels[contrast.reader.level].names
    return frame.assign(
        cluster=names[frame["cluster"].to_numpy()], period=paths.periods[frame["period"].to_numpy()],
        base=paths.periods[frame["base"].to_numpy()],
    )  # fmt: skip


def _combined(keys: np.ndarray, weight: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys (7, n) and weights of cells, for rows of `matrix` (k', k) in place of the k rows; each cell once."""
    low = keys.min(axis=1, initial=0)[:, None]
    shape = tuple(int(x) for x in keys.max(axis=1, initial=0) - low[:, 0] + 1)
    out: list[tuple[np.ndarray, np.ndarray]] = []
    for new, line in enumerate(matrix):
        factor = line[keys[0]]
        use = factor != 0
        cell = keys[:, use] - low
        cell[0] = 0
        codes, of = np.unique(np.ravel_multi_index(tuple(cell), shape), return_inverse=True)
        found = np.stack(np.unravel_index(codes, shape)) + low
        found[0] = new
        out.append((found, np.bincount(of, weights=(weight * factor)[use], minlength=len(codes))))
    return np.concatenate([k for k, _ in out], axis=1), np.concatenate([w for _, w in out])


def _block_cells(contrast: Contrast, b: Block, at: np.ndarray, sides: list[Side]) -> list[tuple]:
    """Columns of the cells of one block: row, path, cluster, period, base, window, sign, weight."""
    c, (share, _) = b.comparison, contrast.weights(b)
    columns = at[b.line * contrast.n_periods : (b.line + 1) * contrast.n_periods]
    out = []
    for term in b.terms:
        if term.what == "base":
            continue
        weight = term.inside[0] * np.where(b.ok, share / np.where(b.ok, term.total[0], 1.0), 0.0) * term.sign
        weight = weight * (columns >= 0)
        for side in sides:
            sums = side.gather[:, term.at] @ weight * (-1 if side.taken_off else 1)
            g, t = np.nonzero(sums)
            sign = np.full(len(g), -1 if side.taken_off else term.sign)
            out.append((columns[t], side.path[g], side.cluster[g], t, c.base[t], c.window[t], sign, sums[g, t]))
    return out


def rows_of(paths: Paths) -> Rows:
    """Unit ids and cluster codes as inference wants them."""
    return Rows(paths.units, {name: (level.codes, level.names) for name, level in paths.levels.items()})


@dataclass(frozen=True, eq=False)
class WithoutEach:
    """Refits of some rows of a contrast without each cluster, made when called."""

    contrast: Contrast
    rows: np.ndarray

    def __call__(self) -> Replicates:
        return by_cell(self.contrast).replicates(self.rows)


@dataclass(frozen=True, eq=False)
class CellsOf:
    """Cells that some rows of a contrast use, or combinations of them, made when called; see `cell_weights`."""

    contrast: Contrast
    rows: np.ndarray

    def __call__(self, matrix: np.ndarray | None = None) -> pd.DataFrame:
        return cell_weights(by_cell(self.contrast), self.rows, matrix)


@dataclass(frozen=True, eq=False)
class UnitRows:
    """Influence of units on some rows of a contrast, made when called."""

    contrast: Contrast
    rows: np.ndarray

    def __call__(self) -> np.ndarray:
        return self.contrast.unit_rows(self.rows)


@dataclass(frozen=True, eq=False)
class Deviations:
    """(n, T + 1) weighted deviations of units from the mean of their path, and their weights, made when called."""

    sums: Sums

    def __call__(self) -> np.ndarray:
        w = self.sums.weights[:, None]
        return np.hstack([w * (self.sums.values - self.sums.mean[self.sums.of]), w])


def assemble(contrast: Contrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period) that the rollout asks for."""
    rows = np.flatnonzero(contrast.possible.ravel())
    return estimate_of(
        contrast, rows, contrast.value.ravel()[rows], labels(contrast, naming, rows), _source(contrast, rows),
        WithoutEach(contrast, rows),
    )  # fmt: skip


def estimate_of(
    contrast: Contrast,
    rows: np.ndarray,
    value: np.ndarray,
    table: pd.DataFrame,
    source: Source,
    replicate: Callable[[], Replicates],
) -> Estimate:
    """An Estimate of `rows`; source: influence on their values, then on their masses, which are in the table."""
    k, level = len(rows), contrast.reader.level
    return Estimate(
        value=value, mass=table["mass"].to_numpy(copy=True), labels=table,
        value_parts=Influence(((source, np.eye(2 * k)[:, :k]),), level),
        mass_parts=Influence(((source, np.eye(2 * k)[:, k:]),), level),
        arms=arms(contrast, rows), replicate=replicate, cells=CellsOf(contrast, rows),
    )  # fmt: skip


def by_cell(contrast: Contrast) -> Contrast:
    """The same contrast with groups no larger than clusters, as refits and cell weights need."""
    return Contrast(contrast.plan, contrast.reader.by_cell()) if contrast.reader.by_path else contrast


def _source(contrast: Contrast, rows: np.ndarray) -> Source:
    table, reader = rows_of(contrast.reader.paths), contrast.reader
    if not reader.by_path:
        return GroupSource(table, contrast.totals(rows), reader.level, reader.cluster, UnitRows(contrast, rows))
    sums = reader.sums
    return PathSource(table, sums.paths.path, _coefficients(contrast, rows), _moments(sums), Deviations(sums))


def _coefficients(contrast: Contrast, rows: np.ndarray) -> np.ndarray:
    """(P, 2k, T + 1) coefficients on (w (Y - path mean), w) when groups are whole paths of lone units."""
    sums = contrast.reader.sums
    paths, periods = len(sums.path), contrast.n_periods
    value = np.zeros((paths, *contrast.mass.shape, periods + 1))
    mass = np.zeros((paths, *contrast.mass.shape))
    for b in contrast.blocks:
        c, (share, unit) = b.comparison, contrast.weights(b)
        change = _difference(c.base, c.window)
        centre = sums.mean @ change.T
        for term, mean in zip(b.terms, b.means, strict=True):
            per_mass = np.where(b.ok, share / np.where(b.ok, term.total[0], 1.0), 0.0)
            for q, there in zip(term.at, term.mask, strict=True):
                weight = term.sign * per_mass * there
                value[q, b.line, :, :-1] += weight[:, None] * change
                value[q, b.line, :, -1] += weight * (centre[q] - mean)
        value[c.adopters, b.line, :, -1] += unit * (b.effect - np.nan_to_num(contrast.value[b.line]))
        mass[c.adopters, b.line] += b.ok
    k = len(rows)
    out = np.zeros((paths, 2 * k, periods + 1))
    out[:, :k] = value.reshape(paths, -1, periods + 1)[:, rows]
    out[:, k:, -1] = mass.reshape(paths, -1)[:, rows]
    return out


def _difference(base: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(T, T) matrix that takes a unit's outcomes to its changes; zero rows without a base."""
    periods = len(base)
    out = np.zeros((periods, periods))
    for t in np.flatnonzero(base >= 0):
        out[t, t] += 1.0
        out[t, base[t] - window[t] + 1 : base[t] + 1] -= 1.0 / window[t]
    return out


def _moments(sums: Sums) -> np.ndarray:
    """(P, T + 1, T + 1) cross-products of (w (Y - path mean), w) within each path."""
    periods = sums.values.shape[1]
    out = np.zeros((len(sums.path), periods + 1, periods + 1))
    stop = np.cumsum(sums.size)
    for p, (low, high) in enumerate(zip(stop - sums.size, stop, strict=True)):
        units = sums.order[low:high]
        z, w = np.take(sums.values, units, axis=0), sums.weights[units]
        z -= sums.mean[p]
        if sums.paths.weights is not None:
            z *= w[:, None]
        out[p, :-1, :-1] = z.T @ z
        out[p, -1, :-1] = out[p, :-1, -1] = w @ z
        out[p, -1, -1] = w @ w
    return out


def arms(contrast: Contrast, rows: np.ndarray) -> Arms:
    """Clusters with weight in each row; whole paths stand for as many clusters as they have units."""
    reader, groups = contrast.reader, contrast.n_groups
    exposed, comparison = (contrast.incidence(sign).reshape(groups, -1)[:, rows] for sign in (1, -1))
    if reader.by_path:
        return Arms(exposed, comparison, reader.sums.people)
    clusters = len(reader.paths.levels[reader.level].names)
    if groups == clusters and len(np.unique(reader.cluster)) == groups:
        order = np.argsort(reader.cluster)
        return Arms(exposed[order], comparison[order], np.ones(clusters, dtype=int))
    both = np.zeros((2, clusters, len(rows)), dtype=bool)
    for arm, incidence in zip(both, (exposed, comparison), strict=True):
        np.logical_or.at(arm, reader.cluster, incidence)
    return Arms(both[0], both[1], np.ones(clusters, dtype=int))
