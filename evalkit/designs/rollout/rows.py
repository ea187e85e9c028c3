"""From contrasts to an Estimate: rows, their labels in words, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.rollout.contrast import Block, Contrast, ratio
from evalkit.designs.rollout.readers import Side, adopting, read_at, serving
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.inference.estimate import Estimate
from evalkit.inference.labelled import Labels
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


def labels(contrast: Contrast, naming: Naming, rows: np.ndarray) -> Labels:
    """One row of words and counts for each (cohort, period)."""
    paths, plan = contrast.paths, contrast.plan
    line, t = np.divmod(rows, contrast.n_periods)
    cohort = contrast.cohorts[line]
    mass, left_out = contrast.mass.ravel()[rows], contrast.left_out.ravel()[rows]
    outside: dict[str, int] = {}
    if plan.without_base:
        outside["units_exposed_throughout"] = contrast.reader.people(np.array(plan.without_base))
    if paths.weights is not None and (paths.weights == 0).any():
        outside["units_without_weight"] = int(paths.people[paths.weights == 0].sum())
    heads = partial(_heads, contrast, rows)
    return Labels(len(rows), {
        "component": naming.component, "outcome": naming.outcome, "cohort": paths.periods[cohort],
        "period": paths.periods[t], "event_time": t - cohort, "estimand": naming.estimand,
        "population": naming.population, "outcome_unit": naming.outcome_unit, "assumption": naming.assumption,
        "inference_level": contrast.reader.sums.level,
        "units_exposed": lambda: whole(heads()[0]), "units_comparison": lambda: whole(heads()[3]),
        "units_left_out": lambda: whole(heads()[1] - heads()[0]),
        "units_not_seen": lambda: whole(heads()[2]), **outside,
        "stay_exposed": lambda: heads()[4], "stay_comparison": lambda: heads()[5],
        "share_left_out": np.divide(left_out, mass + left_out, out=np.zeros(len(rows)), where=mass + left_out > 0),
        "mass": mass, "reason": _reasons(contrast, naming, rows, mass),
    })  # fmt: skip


def _heads(contrast: Contrast, rows: np.ndarray) -> list[np.ndarray]:
    """What `count_heads` counts, at some rows."""
    return [x.ravel()[rows] for x in contrast.once("heads", lambda: count_heads(contrast))]


def _reasons(contrast: Contrast, naming: Naming, rows: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """(k,) why a row has no number."""
    told = mass > 0
    if told.all():
        return np.full(len(rows), "", dtype=object)
    _, seen, missing, *_ = _heads(contrast, rows)
    unseen = NOT_SEEN if contrast.reader.sums.usable is None else NO_COVARIATES
    why = [told, seen + missing == 0, seen == 0, contrast.without_base.ravel()[rows] == seen]
    return np.select(why, np.array(["", NO_WEIGHT, unseen, NO_BASE], dtype=object), naming.nobody)


def whole(heads: np.ndarray) -> np.ndarray:
    return heads.round().astype(int)


def count_heads(contrast: Contrast) -> tuple[np.ndarray, ...]:
    """(H, T) people behind each row: adopters used, adopters seen, adopters not seen, matches, and the shares of
    adopters and of matches that stay; a comparison unit that serves several starts of a cohort counts once."""
    (H, T), G, each = contrast.shape, len(contrast.reader.path), _asked(contrast)
    size, most = np.asarray(contrast.reader.size) * each, np.zeros((H * G, T))
    used, missing, (kept, began) = np.zeros((H, T)), np.zeros((H, T)), np.zeros((2, 2, H, T))
    seen = contrast.without_base.copy()
    for cs, line, ok in contrast.starts_at_once():
        column, *counts = contrast.reader.heads(cs)
        heads, base = (n * each[:, None] for n in counts)
        possible = np.stack([c.possible for c in cs])
        of, at = np.nonzero(adopting(cs, contrast.reader.path))
        adopters = [add_by(x, of, len(cs)) for x in read_at((heads, base), at, column[of])]
        whole = np.bincount(of, size[at], len(cs))[:, None]
        of, at, serve = serving(cs, contrast.reader.path)
        beside = [x * serve for x in read_at((heads, base), at, column[of])]
        for into, x in (
            (used, np.where(ok, adopters[0], 0)), (seen, np.where(possible, adopters[0], 0)),
            (missing, np.where(possible, whole - adopters[0], 0)),
        ):  # fmt: skip
            into += add_by(x, line, H)
        number = np.array([len(c.adopters) for c in cs])[:, None]
        for into, mine, others in zip((kept, began), adopters, beside, strict=True):
            into[0] += add_by(np.where(ok, mine, 0), line, H)
            into[1] += add_by(np.where(ok, add_by(others, of, len(cs)), 0) * number, line, H)
        _raise_to(most, line[of] * G + at, beside[0] * ok[of])
    matches = most.reshape(H, G, T).sum(axis=1)
    return used, seen, missing, matches, *np.divide(kept, began, out=np.full(kept.shape, np.nan), where=began > 0)


def _raise_to(most: np.ndarray, codes: np.ndarray, rows: np.ndarray) -> None:
    """Raise the lines of `most` to the largest of the rows (n, m) of their code."""
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.diff(codes[order], prepend=-1))
    if len(first):
        at = codes[order[first]]
        most[at] = np.maximum(most[at], np.maximum.reduceat(rows[order], first, axis=0))


def _asked(contrast: Contrast) -> np.ndarray:
    """(G,) people asked for one unit of each group, on average; one where units are no places of a study of people."""
    sums, asked = contrast.reader.sums, contrast.paths.asked
    if asked is None:
        return np.ones(len(contrast.reader.path))
    size = np.bincount(sums.of, minlength=len(sums.path))
    return np.asarray(np.bincount(sums.of, asked, len(sums.path)) / np.maximum(size, 1))[contrast.reader.cells]


_CELL = ("row", "path", "cluster", "period", "base", "window", "sign")


def cell_weights(
    contrast: Contrast, rows: np.ndarray, matrix: np.ndarray | None = None, adopters: bool = False
) -> pd.DataFrame:
    """The cells each row uses: row, component, path, cluster, period, base, window, sign, weight.

    Adopters' weights sum to one in a row, comparison weights to minus one. `cluster` is the name at
    the estimate's level; `path` the index in `study.paths`. Pairs are opened into their two paths: the
    eligible of exposed clusters are the adopters, all others comparison. matrix: (k', k) combinations of the rows
    in their place, with each cell once. adopters: cells of sign 1 alone.
    """
    contrast = contrast.by_cell()
    at, sides = contrast.places(rows), contrast.reader.sides()
    if matrix is not None:  # rows that no combination takes are not read
        at[~np.append(matrix.any(axis=0), False)[at]] = -1
    asked = (b for b in contrast.blocks() if (at[b.line] >= 0).any())
    pieces = [piece for b in asked for piece in _block_cells(b, at[b.line], sides)]
    joined = [np.concatenate(x) for x in zip(*pieces, strict=True)] if pieces else [np.empty(0, int)] * 8
    keys, weight = np.stack(joined[:-1]).astype(np.int64), joined[-1].astype(float)
    level = contrast.reader.sums.level
    return cell_table(contrast.paths, contrast.plan.component, level, keys, weight, matrix, adopters)


def cell_table(
    paths: Paths, component: str, level: str, keys: np.ndarray, weight: np.ndarray, matrix: np.ndarray | None,
    adopters: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """The frame of `cell_weights` from codes (7, n), in the order of its columns, and weights (n,) of cells."""
    if adopters:
        mine = keys[_CELL.index("sign")] == 1
        keys, weight = keys[:, mine], weight[mine]
    if matrix is not None:
        keys, weight = _combined(keys, weight, matrix)
    names = {"cluster": paths.levels[level].names, "period": paths.periods, "base": paths.periods}
    read = {c: pd.Series(names[c]).array.take(at) if c in names else at for c, at in zip(_CELL, keys, strict=True)}
    return pd.DataFrame({"row": keys[0], "component": component, **read, "weight": weight})


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


def _block_cells(b: Block, columns: np.ndarray, sides: list[Side]) -> Iterator[tuple]:
    """Columns of the cells of one block: row, path, cluster, period, base, window, sign, weight."""
    c, (share, _) = b.comparison, b.weights
    for term in b.terms:
        if term.what == "base":
            continue
        weight = term.n * ratio(share, term.total[0][0], b.ok) * term.sign * (columns >= 0)
        for side in sides:
            cells, of = np.unique(side.of[term.at], return_inverse=True)
            sums = add_by(weight, of, len(cells)) * (-1 if side.taken_off else 1)
            g, t = np.nonzero(sums)
            cell, sign = cells[g], np.full(len(g), -1 if side.taken_off else term.sign)
            yield columns[t], side.path[cell], side.cluster[cell], t, c.base[t], c.window[t], sign, sums[g, t]


def rows_of(paths: Paths) -> Rows:
    """Unit ids and cluster codes as inference wants them."""
    levels = {name: (level.codes, level.names) for name, level in paths.levels.items()}
    return Rows(paths.units, levels, paths.heads is None)


def assemble(contrast: Contrast, naming: Naming, rows: np.ndarray | None = None) -> Estimate:
    """An Estimate with one row for each (cohort, period) that the rollout asks for, or for some of them."""
    rows = contrast.rows() if rows is None else rows
    value, refits = contrast.value.ravel()[rows], partial(contrast.replicates, rows)
    return estimate_of(contrast, rows, value, labels(contrast, naming, rows), source_of(contrast, rows), refits)


def source_of(contrast: Contrast, rows: np.ndarray) -> Source:
    """Influence of units on the values of `rows`, then on their masses."""
    sums, table = contrast.reader.sums, rows_of(contrast.paths)
    if sums.by_path:
        return by_path_source(sums, _coefficients(contrast, rows))
    units = partial(contrast.unit_rows, rows)
    return GroupSource(table, contrast.totals(rows), sums.level, contrast.reader.cluster, units)


def by_path_source(sums: Sums, coefficients: np.ndarray) -> PathSource:
    """Influence by coefficients (P, m, T + 1) on (w (Y - path mean), w) of each unit, that its path shares."""
    return PathSource(rows_of(sums.paths), sums.paths.path, coefficients, _moments(sums), partial(_deviations, sums))


def estimate_of(
    contrast: Contrast,
    rows: np.ndarray,
    value: np.ndarray,
    table: Labels,
    source: Source,
    replicate: Callable[[], Replicates],
) -> Estimate:
    """An Estimate of `rows`; source: influence on their values, then on their masses, which are in the table."""
    k, level = len(rows), contrast.reader.sums.level
    return Estimate(
        value=value, mass=table["mass"].copy(), labels=table.unread,
        value_influence=Influence(((source, sparse.eye_array(2 * k, k, format="csr")),), level),
        mass_influence=on_mass(source, k, level),
        arms=arms(contrast, rows), replicate=replicate, cells=partial(cell_weights, contrast, rows),
    )  # fmt: skip


def on_mass(source: Source, k: int, level: str) -> Influence:
    """Influence on the masses of k rows, by a source on their values and then on their masses."""
    return Influence(((source, sparse.eye_array(2 * k, k, k=-k, format="csr")),), level)


def _deviations(sums: Sums) -> np.ndarray:
    """(n, T + 1) weighted deviations of units from the mean of their path, and their weights."""
    w = sums.weights[:, None]
    return np.hstack([w * (sums.values - sums.mean[sums.of]), w])


def _coefficients(contrast: Contrast, rows: np.ndarray) -> np.ndarray:
    """(P, 2k, T + 1) coefficients on (w (Y - path mean), w) when groups are whole paths of lone units."""
    sums = contrast.reader.sums
    shape, periods = (len(sums.path), *contrast.mass.shape), contrast.n_periods
    value, mass = np.zeros((*shape, periods + 1)), np.zeros(shape)
    for b in contrast.blocks():
        c, (share, unit) = b.comparison, b.weights
        change = _difference(c.base, c.window)
        centre = sums.mean @ change.T
        for term, mean in zip(b.terms, b.means, strict=True):
            per_mass = ratio(share, term.total[0][0], b.ok)
            for q, there in zip(term.at, term.mask, strict=True):
                weight = term.sign * per_mass * there
                value[q, b.line, :, :-1] += weight[:, None] * change
                value[q, b.line, :, -1] += weight * (centre[q] - mean)
        value[c.adopters, b.line, :, -1] += unit * (b.effect - np.nan_to_num(contrast.value[b.line]))
        mass[c.adopters, b.line] += b.ok
    k = len(rows)
    out = np.zeros((shape[0], 2 * k, periods + 1))
    out[:, :k] = value.reshape(shape[0], -1, periods + 1)[:, rows]
    out[:, k:, -1] = mass.reshape(shape[0], -1)[:, rows]
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
    sums, cluster = contrast.reader.sums, contrast.reader.cluster
    exposed, comparison = (arm.reshape(len(cluster), -1)[:, rows] for arm in contrast.serving)
    if sums.by_path:
        return Arms(exposed, comparison, sums.people)
    clusters = len(contrast.paths.levels[sums.level].names)
    if len(cluster) == clusters == len(np.unique(cluster)):
        order = np.argsort(cluster)
        return Arms(exposed[order], comparison[order], np.ones(clusters, dtype=int))
    both = np.zeros((2, clusters, len(rows)), dtype=bool)
    for arm, incidence in zip(both, (exposed, comparison), strict=True):
        np.logical_or.at(arm, cluster, incidence)
    return Arms(both[0], both[1], np.ones(clusters, dtype=int))
