"""The smallest change of the rollout that would tell: one component delayed in a few clusters.

Greedy and bounded: two clusters before three, short delays before long ones, the
partners of a component before itself; the plan itself says whether the change
gives two clean switches with two comparison clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from evalkit.components.bundles import groups_of
from evalkit.components.facts import Facts, Scene, in_use
from evalkit.components.status import Audit
from evalkit.components.switches import ENOUGH
from evalkit.show.words import number_in_words
from evalkit.study.paths import OFF, Level, Paths

COLUMNS = ("component", "words", "delayed", "clusters", "periods")
_BUDGET = 6_000
_CLUSTERS = (2, 3, 4)


@dataclass(frozen=True)
class Change:
    """One component, delayed by some periods in some clusters (codes)."""

    component: int
    clusters: tuple[int, ...]
    periods: int


def cure_table(audit: Audit) -> pd.DataFrame:
    """One row for each component that a delay would let us tell apart, or that needs one more cluster."""
    if audit.paths.n_periods == 1:
        return pd.DataFrame([], columns=list(COLUMNS))
    wanted = [k for k, s in enumerate(audit.statuses) if s.status not in ("separable", "additive_only")]
    wanted = [k for k in wanted if len(audit.facts[k].ever) and not audit.facts[k].always]
    rows = [row for k in wanted if (row := _row(audit, k, _BUDGET // max(len(wanted), 1))) is not None]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(audit: Audit, k: int, budget: int) -> tuple[str, str, str, int, int] | None:
    names, name = audit.names, audit.paths.components[k]
    if audit.statuses[k].status == "too_few_clusters" and len(audit.facts[k].ever) < ENOUGH:
        where = f"A second {names.place} that switches {names.say(k)} on, while others do not,"
        words = f"{where} would let us tell what it does."
        return name, words, "", 1, 0
    change = find_cure(audit, k, budget)
    if change is None:
        return None
    has = len(audit.facts[change.component].ever)
    where = f"{number_in_words(len(change.clusters))} of the {number_in_words(has)} {names.places} that had it"
    words = (
        f"Delaying {names.say(change.component)} by {names.spell(change.periods)} in {where} "
        f"would let us tell what {'it' if change.component == k else names.say(k)} does."
    )
    return name, words, audit.paths.components[change.component], len(change.clusters), change.periods


def find_cure(audit: Audit, k: int, budget: int = _BUDGET) -> Change | None:
    """The first change, in order of size, with which the plan has enough clean switches of component k."""
    fact = audit.facts[k]
    cells = _cell_paths(audit.paths, fact.level)
    cost = max(1, audit.paths.n_paths)
    for change in _candidates(audit, k):
        if budget < cost:
            return None
        budget -= cost
        if _tells(delayed(cells, fact.level, change), fact):
            return change
    return None


def _candidates(audit: Audit, k: int) -> Iterator[Change]:
    fact = audit.facts[k]
    partners = sorted({m for g in _groups(audit, k) for m in g} - {k})
    shortest = fact.lag + 1 + (max(1, fact.lag) if audit.statuses[k].status == "swap_only" else 0)
    for m, periods, j in product(_CLUSTERS, (shortest, 2 * shortest), [*partners, k]):
        order = _starting_clusters(audit, j, k)
        if len(order) > m:
            yield from (Change(j, tuple(int(c) for c in part), periods) for part in (order[:m], order[-m:]))


def _groups(audit: Audit, k: int) -> list[set[int]]:
    groups = [g for g in groups_of(audit) if k in g]
    flat = {j for j, s in enumerate(audit.statuses) if s.flat}
    return groups + ([flat] if k in flat else [])


def _starting_clusters(audit: Audit, j: int, k: int) -> np.ndarray:
    """Codes of the clusters where both ever start, earliest first."""
    members = audit.facts[k].members
    first = _first_start(audit.paths, j)
    both = (first >= 0) & (_first_start(audit.paths, k) >= 0) if j != k else first >= 0
    here = both[members.row]
    cluster, when = members.cluster[here], first[members.row[here]]
    order = np.lexsort((cluster, when))
    codes, at = np.unique(cluster[order], return_index=True)
    return codes[np.argsort(at, kind="stable")]


def _first_start(paths: Paths, k: int) -> np.ndarray:
    """(P,) first period on after a period off, -1 where there is none."""
    on = paths.state[:, :, k] > 0
    start = on[:, 1:] & ~on[:, :-1]
    if not start.shape[1]:
        return np.full(len(on), -1)  # a cross-section: nothing starts
    return np.where(start.any(axis=1), start.argmax(axis=1) + 1, -1)


def _cell_paths(paths: Paths, level: str) -> Paths:
    """One row a cell of a level, everybody always seen: enough to count clusters."""
    cells = paths.cells(level)
    names = paths.levels[level].names
    return replace(
        paths, units=np.arange(len(cells)), path=cells.path, levels={level: Level(level, cells.cluster, names)},
        assigned_at={c: level for c in paths.components}, cluster=level, seen=None, weights=None, _cells={},
    )  # fmt: skip


def delayed(paths: Paths, level: str, change: Change) -> Paths:
    """The same cells with one component's first spell begun later in some clusters."""
    rows = np.flatnonzero(np.isin(paths.levels[level].codes, change.clusters))
    state = paths.state[paths.path[rows]].copy()
    own = state[:, :, change.component]
    first = np.where((own != OFF).any(axis=1), (own != OFF).argmax(axis=1), own.shape[1])
    start = np.where((own > 0).any(axis=1), (own > 0).argmax(axis=1), own.shape[1])
    t = np.arange(own.shape[1])
    own[(t >= first[:, None]) & (t < start[:, None] + change.periods)] = OFF
    path = paths.path.copy()
    path[rows] = paths.n_paths + np.arange(len(rows))
    reach = np.vstack([paths.reach, paths.reach[paths.path[rows]]])
    return in_use(replace(paths, path=path, state=np.concatenate([paths.state, state]), reach=reach, _cells={}))


def _tells(paths: Paths, fact: Facts) -> bool:
    return Facts(Scene(paths), fact.component).same.until(fact.lag) >= 0
