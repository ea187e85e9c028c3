"""Assemble an Estimate from a contrast: labels, contributions, arms, refits and cell weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.contrast import Block, Contrast
from evalkit.designs.sums import Sums
from evalkit.inference.arms import Arms
from evalkit.inference.contributions import Contributions, GroupSource, PathSource, Rows
from evalkit.inference.estimate import Estimate
from evalkit.inference.jackknife import Replicates
from evalkit.study.paths import Paths


@dataclass(frozen=True)
class Naming:
    """The words that label every row of an estimate."""

    component: str
    outcome: str
    outcome_unit: str
    population: str
    estimand: str = "ATT(g,t)"


def rows_of(paths: Paths) -> Rows:
    """Unit ids and cluster codes as inference wants them."""
    return Rows(paths.units, {name: (level.codes, level.names) for name, level in paths.levels.items()})


def assemble(contrast: Contrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period) that the rollout asks for."""
    rows = np.flatnonzero(contrast.possible.ravel())
    k = len(rows)
    rest = np.vstack([np.eye(k), np.zeros((k, k))]), np.vstack([np.zeros((k, k)), np.eye(k)])
    source = _source(contrast, rows)
    level = contrast.sums.level
    return Estimate(
        value=contrast.value.ravel()[rows],
        mass=contrast.mass.ravel()[rows],
        labels=_labels(contrast, naming, rows),
        value_parts=Contributions(((source, rest[0]),), level),
        mass_parts=Contributions(((source, rest[1]),), level),
        arms=_arms(contrast, rows),
        replicate=lambda: _replicates(contrast, rows),
        cells=lambda: cell_weights(contrast, rows),
    )


def _source(contrast: Contrast, rows: np.ndarray) -> GroupSource | PathSource:
    sums = contrast.sums
    table = rows_of(sums.paths)
    if sums.by_path:
        return PathSource(table, sums.paths.path, contrast.coefficients(rows), _moments(sums), lambda: _z(sums))
    return GroupSource(table, contrast.totals(rows), sums.of, lambda: contrast.unit_rows(rows))


def _z(sums: Sums) -> np.ndarray:
    w = sums.weights[:, None]
    return np.hstack([w * (sums.values - sums.mean[sums.of]), w])


def _moments(sums: Sums) -> np.ndarray:
    """(P, T + 1, T + 1) cross-products of (w (Y - path mean), w) within each path."""
    if "moments" in sums._cache:
        return sums._cache["moments"]
    periods = sums.values.shape[1]
    out = np.zeros((len(sums.path), periods + 1, periods + 1))
    stop = np.cumsum(sums.size)
    for p, (low, high) in enumerate(zip(stop - sums.size, stop, strict=True)):
        units = sums.order[low:high]
        w = sums.weights[units]
        z = (sums.values[units] - sums.mean[p]) * w[:, None]
        out[p, :-1, :-1] = z.T @ z
        out[p, -1, :-1] = out[p, :-1, -1] = w @ z
        out[p, -1, -1] = w @ w
    sums._cache["moments"] = out
    return out


def _arms(contrast: Contrast, rows: np.ndarray) -> Arms:
    """Clusters with weight in each row; whole paths stand for as many clusters as units."""
    sums = contrast.sums
    groups = len(sums.path)
    exposed = contrast.using.reshape(groups, -1)[:, rows]
    comparison = contrast.serving.reshape(groups, -1)[:, rows]
    if sums.by_path:
        return Arms(exposed, comparison, sums.size)
    clusters = len(sums.paths.levels[sums.level].names)
    if len(np.unique(sums.cluster)) == groups == clusters:
        order = np.argsort(sums.cluster)
        return Arms(exposed[order], comparison[order], np.ones(clusters, dtype=int))
    both = np.zeros((2, clusters, len(rows)), dtype=bool)
    for arm, incidence in zip(both, (exposed, comparison), strict=True):
        np.logical_or.at(arm, sums.cluster, incidence)
    return Arms(both[0], both[1], np.ones(clusters, dtype=int))


def _replicates(contrast: Contrast, rows: np.ndarray) -> Replicates:
    """Refits need one group a cluster at least, so whole paths are split into cells first."""
    if not contrast.sums.by_path:
        return contrast.replicates(rows)
    return Contrast(contrast.plan, contrast.sums.split()).replicates(rows)


def _labels(contrast: Contrast, naming: Naming, rows: np.ndarray) -> pd.DataFrame:
    periods = contrast.sums.paths.periods
    line, t = np.divmod(rows, contrast.n_periods)
    cohort = contrast.cohorts[line]
    mass, left = contrast.mass.ravel()[rows], contrast.left_out.ravel()[rows]
    reason = np.where(mass > 0, "", "nobody to compare with: no unit off this component shares the others' path")
    stay = _stay_shares(contrast)
    used, seen, missing = (x.ravel()[rows] for x in _head_counts(contrast))
    reason = np.where((mass == 0) & (seen == 0), "no adopter was observed at both periods", reason)
    frame = {
        "component": naming.component, "outcome": naming.outcome, "cohort": periods[cohort], "period": periods[t],
        "event_time": t - cohort, "estimand": naming.estimand, "population": naming.population,
        "outcome_unit": naming.outcome_unit, "inference_level": contrast.sums.level,
        "units_exposed": used, "units_comparison": contrast.comparison_heads.ravel()[rows],
        "units_left_out": seen - used, "units_not_seen": missing,
        "stay_exposed": stay[0].ravel()[rows], "stay_comparison": stay[1].ravel()[rows],
        "share_left_out": np.divide(left, mass + left, out=np.zeros(len(rows)), where=mass + left > 0),
        "mass": mass, "reason": reason.astype(object),
    }  # fmt: skip
    return pd.DataFrame(frame)


def _head_counts(contrast: Contrast) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, T) adopters used, adopters seen at both periods, adopters not seen at both."""
    shape = contrast.mass.shape
    used, seen, missing = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape, int)
    for b in contrast.blocks:
        heads = contrast.sums.heads(b.comparison.base, b.comparison.window)[b.adopters].sum(axis=0)
        there = b.comparison.possible
        used[b.line] += np.where(b.ok, heads, 0)
        seen[b.line] += np.where(there, heads, 0)
        missing[b.line] += np.where(there, contrast.sums.size[b.adopters].sum() - heads, 0)
    return used, seen, missing


def _stay_shares(contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """(H, T) of the units seen at base, the share seen at the period too: adopters, comparison."""
    kept, began = np.zeros((2, *contrast.mass.shape)), np.zeros((2, *contrast.mass.shape))
    for b in contrast.blocks:
        c = b.comparison
        both, base = contrast.sums.heads(c.base, c.window), contrast.sums.heads_at_base(c.base, c.window)
        serve = c.match[contrast.sums.path]
        for into, heads in ((kept, both), (began, base)):
            into[0, b.line] += np.where(b.ok, heads[b.adopters].sum(axis=0), 0)
            into[1, b.line] += np.where(b.ok, (heads * serve).sum(axis=0), 0)
    share = np.divide(kept, began, out=np.full(kept.shape, np.nan), where=began > 0)
    return share[0], share[1]


def cell_weights(contrast: Contrast, rows: np.ndarray) -> pd.DataFrame:
    """The cells each row uses: row, component, path, cluster, period, base, window, sign, weight.

    Adopters' weights sum to one in a row, comparison weights to minus one. `cluster` is the name at
    the estimate's level; `path` the index in `study.paths`.
    """
    at = np.full(contrast.mass.size, -1)
    at[rows] = np.arange(len(rows))
    sums = contrast.sums if not contrast.sums.by_path else contrast.sums.split()
    whole = contrast if sums is contrast.sums else Contrast(contrast.plan, sums)
    pieces = [piece for b in whole.blocks for piece in _block_cells(whole, b, at)]
    frame = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=["row", "weight"])
    names = sums.paths.levels[sums.level].names
    periods = sums.paths.periods
    return frame.assign(cluster=names[frame["cluster"]], period=periods[frame["period"]], base=periods[frame["base"]])


def _block_cells(contrast: Contrast, b: Block, at: np.ndarray) -> list[pd.DataFrame]:
    sums, c = contrast.sums, b.comparison
    n, _ = sums.read(c.base, c.window)
    share, share0, _ = contrast._shares(b)
    columns = at[b.line * contrast.n_periods : (b.line + 1) * contrast.n_periods]
    mine = np.zeros(len(sums.path), dtype=bool)
    mine[b.adopters] = True
    out = []
    for sign, weight in ((1, n * share * mine[:, None]), (-1, -n * share0 * c.match[sums.path])):
        g, t = np.nonzero(weight * (columns >= 0))
        out.append(pd.DataFrame({
            "row": columns[t], "component": c.component, "path": sums.path[g], "cluster": sums.cluster[g],
            "period": t, "base": c.base[t], "window": c.window[t], "sign": sign, "weight": weight[g, t],
        }))  # fmt: skip
    return out
