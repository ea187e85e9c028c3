"""Words and head counts for rows of the imputation estimator."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from evalkit.designs.imputation_fit import Imputed, Projection, Split
from evalkit.study.paths import Paths

ASSUMPTION = "without the programme everyone of the same reach would have moved alike"
NOTHING = "no exposed row can be imputed: no earlier untreated period, or nobody untreated at the same time"
NOT_ALONE = "imputed effects cannot tell this event time from those of other components"
ALONE = NOTHING


def path_words(paths: Paths, split: Split, chosen: np.ndarray) -> list[str]:
    """Each path in words: "nurse from 2005, court from 2007 to 2009"."""
    return [_one_path(paths, split, p) for p in chosen]


def _one_path(paths: Paths, split: Split, path: int) -> str:
    spells = []
    for k in split.members:
        on = np.flatnonzero(paths.state[path, :, k] > 0)
        for run in np.split(on, np.flatnonzero(np.diff(on) > 1) + 1):
            if len(run):
                spells.append((run[0], f"{paths.components[k]} from {paths.periods[run[0]]}" + _end(paths, run[-1])))
    return ", ".join(words for _, words in sorted(spells))


def _end(paths: Paths, last: int) -> str:
    return "" if last == paths.n_periods - 1 else f" to {paths.periods[last]}"


def head_counts(
    imputed: Imputed, projection: Projection | None, paths: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """units_exposed and units_left_out by row: of a projection, or of the programme and some paths."""
    unit, period, can = imputed.candidates
    key = imputed.paths.path[unit].astype(np.int64) * imputed.values.shape[1] + period
    keys, cell = np.unique(key, return_inverse=True)
    path, at = np.divmod(keys, imputed.values.shape[1])
    if projection is not None:
        age = imputed.split.age[path, at]
        member = [age[:, j] == e for j, e in zip(projection.component, projection.event_time, strict=True)]
    else:
        member = [np.ones(len(keys), bool), *(path == p for p in ([] if paths is None else paths))]
    of = sparse.csr_matrix(np.array(member).reshape(len(member), len(keys)).T.astype(float))
    used, both = (_distinct(unit[m], cell[m], of, imputed.paths.n_units) for m in (can, slice(None)))
    return {"units_exposed": used, "units_left_out": both - used}


def _distinct(unit: np.ndarray, cell: np.ndarray, of: sparse.csr_matrix, n: int) -> np.ndarray:
    """(k,) distinct units with a row in the cells of each column."""
    rows = sparse.csr_matrix((np.ones(len(unit)), (unit, cell)), shape=(n, of.shape[0]))
    return np.bincount((rows @ of).indices, minlength=of.shape[1])
