"""Two components at a time: is one told apart from the other by time, by place, by people or by dose?

For each start of one component the plan that ignores all others says who is free of
it; here each other component is asked, one by one, whether it goes the same way on
both sides, stands still, or is off throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.components.switches import Members, Tally, elsewhere, last_period
from evalkit.designs.plan import Comparison, Plan
from evalkit.study.paths import UNKNOWN


@dataclass(frozen=True, eq=False)
class Against:
    """How one component's starts look against each other component.

    exposed, comparison: (K, E, C) clusters with a switch at which that component goes the
    same way on both sides, at event times 0 .. lag, and clusters that serve. still,
    absent: (K,) whether there is a switch, with a comparison, at which that component
    stands still, or is off throughout.
    """

    exposed: np.ndarray
    comparison: np.ndarray
    still: np.ndarray
    absent: np.ndarray

    def same(self, other: int) -> Tally:
        """The tally in which only one other component must go the same way."""
        return Tally(self.exposed[other], self.comparison[other])


def against_each(plan: Plan, codes: np.ndarray, members: Members, lag: int) -> Against:
    """Ask every start in `plan` (others ignored) about each of the K components in (rows, T, K) `codes`; 0 is off."""
    _, n_periods, n = codes.shape
    shape = (n, min(lag + 1, n_periods), members.n_clusters)
    out = Against(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(n, bool), np.zeros(n, bool))
    never = ~codes.any(axis=1)
    for c in plan:
        last = min(c.cohort + lag, last_period(c))
        rows = np.flatnonzero(c.match[:, c.cohort]) if last >= c.cohort else np.empty(0, dtype=int)
        if len(rows):
            _ask(out, c, members, codes, rows, never, last)
    return out


def _ask(out: Against, c: Comparison, members: Members, codes, rows, never, last: int) -> None:
    """Enter one start: which rows agree, component by component, and in which clusters they live."""
    alike, quiet = _agree(codes, c, rows, last)
    alike &= c.match[rows, None, c.cohort : last + 1]
    still = alike[:, :, -1] & quiet
    n, times = alike.shape[1:]
    theirs = members.of(rows)
    local_row = np.searchsorted(rows, members.row[theirs])
    mine = members.of(np.array([c.path]))
    when = slice(c.cohort, last + 1)
    base = int(c.base[c.cohort])
    served = np.concatenate([alike, still[:, :, None], (still & never[rows] & never[c.path])[:, :, None]], axis=2)
    served = served[local_row]
    adopts = np.ones((len(mine), n, times + 2), dtype=bool)
    for flags, who in ((served, theirs), (adopts, mine)):
        seen = members.seen(who, base, when)
        if seen is not None:
            flags &= np.concatenate([seen, seen[:, -1:], seen[:, -1:]], axis=1)[:, None, :]
    clusters, local = np.unique(np.concatenate([members.cluster[mine], members.cluster[theirs]]), return_inverse=True)
    flat = (-1, n * (times + 2))
    sides = elsewhere(adopts.reshape(flat), local[: len(mine)], served.reshape(flat), local[len(mine) :], len(clusters))
    exposed, comparison = (x.reshape(len(clusters), n, times + 2) for x in sides)
    out.exposed[:, :times, clusters] |= np.moveaxis(exposed[:, :, :times], 0, 2)
    out.comparison[:, :times, clusters] |= np.moveaxis(comparison[:, :, :times], 0, 2)
    out.still[:] |= exposed[:, :, times].any(axis=0)
    out.absent[:] |= exposed[:, :, times + 1].any(axis=0)


def _agree(codes: np.ndarray, c: Comparison, rows: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, K, E) on the adopter's path from base to each event time; (rows, K) both stand still over all of it."""
    base = int(c.base[c.cohort])
    window, own = codes[rows, base : last + 1], codes[c.path, base : last + 1]
    equal = (window == own) & (window != UNKNOWN)
    alike = np.logical_and.accumulate(equal, axis=1)[:, c.cohort - base :]
    quiet = (window == window[:, :1]).all(axis=1) & (own == own[:1]).all(axis=0)
    return np.moveaxis(alike, 1, 2).copy(), quiet
