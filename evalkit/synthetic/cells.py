"""The true effect over exactly the cells that an estimate used. Knows no design: it reads a frame of weights."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, spelt
from evalkit.study import Study
from evalkit.synthetic.world import World

CAME = ("came_from", "came_to")
NEEDED = ("row", "component", "path", "cluster", "period", "sign", "weight")


def true_of_cells(world: World, study: Study, weights: pd.DataFrame, outcome: str | None) -> pd.Series:
    """For each row: the sum over adopters' cells (sign +1) of weight x the true effect of the component there.

    The true effect of a cell is the mean, over its people who were seen at the period (and at the base, and who came
    between two periods, if the frame names them), of the outcome as it was less the outcome with the component off
    and the others as they were.
    """
    lack = [c for c in NEEDED if c not in weights.columns]
    if lack:
        said = ", ".join(map(repr, lack))
        raise OptionError(f"The weights have no column {said}. Give the frame that est.weights() returns.")
    name = study.outcome(outcome).column
    rows = np.unique(weights["row"])
    cells = weights[weights["sign"] == 1].reset_index(drop=True)
    if not len(cells):
        return pd.Series(0.0, index=pd.Index(rows, name="row"), name="truth")
    effect = np.zeros(len(cells))
    for component, mine in cells.groupby("component").indices.items():
        effect[mine] = _of_component(world, study, cells.iloc[mine], str(component), name)
    total = pd.Series(cells["weight"].to_numpy() * effect).groupby(cells["row"].to_numpy()).sum()
    return total.reindex(rows, fill_value=0.0).rename("truth").rename_axis("row")


def members(study: Study, component: str) -> list[str]:
    """The components that a name stands for: itself, or those of a bundle ("a + b")."""
    known = [c.name for c in study.components]
    found = [component] if component in known else [p.strip() for p in component.split(" + ")]
    wrong = [f for f in found if f not in known]
    if wrong:
        raise OptionError(f"There is no component {spelt(wrong[0])}. The study has: {', '.join(known)}.")
    return found


def _of_component(world: World, study: Study, cells: pd.DataFrame, component: str, outcome: str) -> np.ndarray:
    """(c,) mean true effect on the people of each cell."""
    effect = _of_units(world, study, component, outcome)
    if not effect.any():
        return np.zeros(len(cells))
    place = pd.Index(study.paths.periods).get_indexer(pd.Index(cells["period"]))
    there = np.isfinite(study.values(outcome))
    seen = np.concatenate([np.zeros((len(there), 1), int), np.cumsum(there, axis=1)], axis=1)
    out = np.empty(len(cells))
    base = _bases(cells, study)
    keys = ["path", "cluster", *(c for c in CAME if c in cells.columns)]
    for (path, cluster, *between), mine in cells.groupby(keys, dropna=False).indices.items():
        units = np.flatnonzero((study.paths.path == path) & _in_cluster(study, cluster) & _came(study, between))
        last, first = base[0][mine], base[1][mine]
        used = there[units][:, place[mine]] & (seen[units][:, last + 1] > seen[units][:, first])
        count = used.sum(axis=0)
        total = np.where(used, effect[units][:, place[mine]], 0.0).sum(axis=0)
        out[mine] = np.divide(total, count, out=np.zeros(len(mine)), where=count > 0)
    return out


def _of_units(world: World, study: Study, component: str, outcome: str) -> np.ndarray:
    """(n, T) true effect on each unit of the study."""
    off = members(study, component)
    person = np.searchsorted(world.ids, study.paths.units.astype(np.int64))
    return (world.values[outcome][-1].astype(np.float64) - world.without(outcome, *off))[:, person].T


def _bases(cells: pd.DataFrame, study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Last and first period of each cell's base; the period itself where the frame names no base."""
    if "base" not in cells.columns:
        t = pd.Index(study.paths.periods).get_indexer(pd.Index(cells["period"]))
        return t, t
    last = np.maximum(pd.Index(study.paths.periods).get_indexer(pd.Index(cells["base"])), 0)
    window = cells["window"].to_numpy() if "window" in cells.columns else np.ones(len(cells), dtype=int)
    return last, np.maximum(last - np.maximum(window, 1) + 1, 0)


def _came(study: Study, between: list) -> np.ndarray:
    """(n,) units whose first row lies between two periods; all where none are named."""
    if not between or pd.isna(between).any():
        return np.ones(len(study.paths.path), dtype=bool)
    first = study.paths.came
    low, high = pd.Index(study.paths.periods).get_indexer(pd.Index(between))
    return (first >= low) & (first <= high)


def _in_cluster(study: Study, cluster: object) -> np.ndarray:
    """(n,) units of a cluster; its name belongs to one level only."""
    for level in study.paths.levels.values():
        found = np.flatnonzero(level.names == cluster)
        if len(found):
            return level.codes == found[0]
    raise OptionError(f"There is no cluster {cluster!r} in this study. Give the weights of an estimate made from it.")
