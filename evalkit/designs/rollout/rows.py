"""From contrasts to an Estimate: rows, their labels in words, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.rollout.contrast import Block, Contrast, Reader
from evalkit.designs.rollout.readers import Within, coefficients
from evalkit.designs.rollout.states import Pairs
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
    sums = getattr(contrast.reader, "sums", None)
    unseen = NOT_SEEN if sums is None or sums.usable is None else NO_COVARIATES
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
    sides = _sides(contrast.reader)
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


@dataclass(frozen=True, eq=False)
class _Side:
    """Lines of a reader as cells of paths. path, cluster: (c,) of each cell; gather: (c, lines) which lines a cell
    sums; taken_off: whether it is the ineligible of pairs, who are taken off the eligible."""

    path: np.ndarray
    cluster: np.ndarray
    gather: sparse.csc_array
    taken_off: bool = False


def _sides(reader: Reader) -> list[_Side]:
    """Cells as they are, or pairs as the eligible and the ineligible: many pairs share a path, and add up."""
    pairs: Pairs | None = getattr(reader, "pairs", None)
    if pairs is None:
        return [_Side(reader.path, reader.cluster, sparse.eye_array(len(reader.path), format="csc"))]
    out = []
    for of, taken_off in ((pairs.eligible, False), (pairs.ineligible, True)):
        both = np.stack([of[reader.path], reader.cluster])
        (path, cluster), code = np.unique(both, axis=1, return_inverse=True)
        lines = np.arange(both.shape[1])
        gather = sparse.csc_array((np.ones(len(lines)), (code.ravel(), lines)), shape=(len(path), len(lines)))
        out.append(_Side(path, cluster, gather, taken_off))
    return out


def _block_cells(contrast: Contrast, b: Block, at: np.ndarray, sides: list[_Side]) -> list[tuple]:
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


def assemble(contrast: Contrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period) that the rollout asks for."""
    rows = np.flatnonzero(contrast.possible.ravel())
    k = len(rows)
    source = _source(contrast, rows)
    level = contrast.reader.level
    return Estimate(
        value=contrast.value.ravel()[rows],
        mass=contrast.mass.ravel()[rows],
        labels=labels(contrast, naming, rows),
        value_parts=Influence(((source, np.eye(2 * k)[:, :k]),), level),
        mass_parts=Influence(((source, np.eye(2 * k)[:, k:]),), level),
        arms=arms(contrast, rows),
        replicate=lambda: by_cell(contrast).replicates(rows),
        cells=lambda matrix=None: cell_weights(by_cell(contrast), rows, matrix),
    )


def by_path(contrast: Contrast) -> bool:
    """Whether groups are whole paths of units that are each a cluster."""
    return isinstance(contrast.reader, Within) and contrast.reader.sums.by_path


def by_cell(contrast: Contrast) -> Contrast:
    """The same contrast with groups no larger than clusters, as refits and cell weights need."""
    if not isinstance(contrast.reader, Within) or not contrast.reader.sums.by_path:
        return contrast
    return Contrast(contrast.plan, Within(contrast.reader.sums.split()))


def _source(contrast: Contrast, rows: np.ndarray) -> Source:
    table = rows_of(contrast.reader.paths)
    if isinstance(contrast.reader, Within) and contrast.reader.sums.by_path:
        sums = contrast.reader.sums
        return PathSource(table, sums.paths.path, coefficients(contrast, sums, rows), _moments(sums), lambda: _z(sums))
    reader = contrast.reader
    return GroupSource(table, contrast.totals(rows), reader.level, reader.cluster, lambda: contrast.unit_rows(rows))


def _z(sums: Sums) -> np.ndarray:
    w = sums.weights[:, None]
    return np.hstack([w * (sums.values - sums.mean[sums.of]), w])


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
    if isinstance(reader, Within) and reader.sums.by_path:
        return Arms(exposed, comparison, reader.sums.people)
    clusters = len(reader.paths.levels[reader.level].names)
    if groups == clusters and len(np.unique(reader.cluster)) == groups:
        order = np.argsort(reader.cluster)
        return Arms(exposed[order], comparison[order], np.ones(clusters, dtype=int))
    both = np.zeros((2, clusters, len(rows)), dtype=bool)
    for arm, incidence in zip(both, (exposed, comparison), strict=True):
        np.logical_or.at(arm, reader.cluster, incidence)
    return Arms(both[0], both[1], np.ones(clusters, dtype=int))


__all__ = ["Naming", "Replicates", "arms", "assemble", "by_cell", "by_path", "rows_of"]
