"""A cross-section of people: statuses by overlap, since nothing switches on within it.

Strata are the values of the other components. A component is told apart where some
stratum holds people with and without it, in two clusters each.
"""

from __future__ import annotations

import numpy as np

from evalkit.components.circuits import Dependence, dependence
from evalkit.components.facts import Facts
from evalkit.components.switches import ENOUGH, Tally
from evalkit.designs.regression.additive import varying
from evalkit.study.paths import Paths

OVERLAP, ADJUSTED = "MatchedComparison", "WeightedComparison"


def cross_dependence(paths: Paths) -> Dependence:
    """Loops and circuits of exposures among people with the same reach: without periods there are no unit effects."""
    columns = varying(paths)
    x = (paths.state[:, 0, columns] > 0).astype(np.float64)
    _, pattern = np.unique(paths.reach[:, columns], axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    mean = np.zeros((int(pattern.max(initial=0)) + 1, x.shape[1]))
    np.add.at(mean, pattern, x)
    centred = x - (mean / np.maximum(np.bincount(pattern), 1)[:, None])[pattern]
    n = len(paths.components)
    gram, size = np.zeros((n, n)), np.zeros(n)
    gram[np.ix_(columns, columns)] = centred.T @ centred
    size[columns] = (x**2).sum(axis=0)
    return dependence(gram, size)


def overlap(fact: Facts, only: tuple[int, ...] | None = None) -> Tally:
    """Clusters with it, and clusters without it, in strata where the other lives in another cluster.

    only: components that make the strata; all others when None.
    """
    paths, members = fact.paths, fact.members
    state = paths.state[:, 0, fact.index]
    strata = paths.others(fact.component, only)[:, 0]
    can = paths.reach[:, fact.index] & (strata >= 0)
    out = Tally(*(np.zeros((1, members.n_clusters), dtype=bool) for _ in range(2)))
    for stratum in np.unique(strata[can]):
        here = can & (strata == stratum)
        on = np.unique(members.cluster[(here & (state > 0))[members.row]])
        off = np.unique(members.cluster[(here & (state == 0))[members.row]])
        out.exposed[0, on] |= _elsewhere(on, off)
        out.comparison[0, off] |= _elsewhere(off, on)
    return out


def _elsewhere(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Whether there is a cluster of the other kind besides one's own."""
    return len(theirs) - np.isin(mine, theirs) > 0


def enough(counts: Tally) -> bool:
    """Whether both sides have enough clusters."""
    return min(counts.at(0)) >= ENOUGH
