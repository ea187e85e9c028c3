"""Reader of pairs: eligible less ineligible changes within a cluster, as one mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.contrast import Term, adopters, matches
from evalkit.designs.pairs import Pairs
from evalkit.designs.plan import Comparison
from evalkit.designs.readers import Grouped
from evalkit.designs.sums import add_by


@dataclass(frozen=True, eq=False)
class PairReader(Grouped):
    """Eligible less ineligible change of each pair in each cluster, weighted by the eligible.

    An eligible cell with several ineligible partners in its cluster is divided among them by their size.
    """

    pairs: Pairs

    @property
    def path(self) -> np.ndarray:
        return self.pairs.member_pair

    @property
    def cluster(self) -> np.ndarray:
        return self.pairs.member_cluster

    @property
    def size(self) -> np.ndarray:
        e, i = self.pairs.member_eligible, self.pairs.member_ineligible
        there = self.sums.people.astype(float)
        partners = add_by(there[i][:, None], e, len(there))[e, 0]
        return there[e] * np.divide(there[i], partners, out=np.zeros(len(i)), where=partners > 0)

    def people(self, paths: np.ndarray) -> int:
        """Eligible units of some pairs that carry weight."""
        cells = np.unique(self.pairs.member_eligible[np.isin(self.path, paths)])
        return int(self.sums.people[cells].sum())

    @cached_property
    def _split(self) -> dict:
        return {}

    def _parts(self, c: Comparison) -> tuple[np.ndarray, ...]:
        """(m, T) eligible mass given to the member, both means, the ineligible mass, the share of the eligible, and the
        mass times the gap between the means."""
        key = (c.base.tobytes(), c.window.tobytes(), c.whole.base.tobytes())
        if key not in self._split:
            n, s = self.sums.read(c)  # of a whole window with missing rows only n is known, and only shares are used
            e, i = self.pairs.member_eligible, self.pairs.member_ineligible
            partners = add_by(n[i], e, len(n))[e]
            share = _divide(n[i], partners)
            mean = _divide(s, n)
            mass = n[e] * share
            self._split[key] = (mass, mean[e], mean[i], n[i], share, mass * (mean[e] - mean[i]))
        return self._split[key]

    def _own(self, c: Comparison, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(g, T) mass and mean of the eligible of the adopting pair, in a part of a comparison."""
        groups, of = np.unique(self.pairs.member_eligible[mine], return_inverse=True)
        n, s = self.sums.own(c, groups)
        return n[of] * self._parts(c)[4][mine], _divide(s, n)[of]

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        mass, eligible, ineligible, _, _, gap = self._parts(c)
        mine = np.flatnonzero(np.isin(self.path, c.adopters))
        own, mean = (mass[mine], eligible[mine]) if c.parent is None else self._own(c, mine)
        mine_term = adopters(1, mine, own, own * (mean - ineligible[mine]))
        return mine_term, matches(-1, c.match[self.path], mass, gap)

    def heads(self, c: Comparison) -> np.ndarray:
        return self.sums.heads(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def heads_at_base(self, c: Comparison) -> np.ndarray:
        return self.sums.heads_at_base(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, _, ineligible, n_ineligible, shares, _ = self._parts(c)
        units, away, weight = [], [], []
        for m, there, mass in zip(term.at, term.mask, term.n, strict=True):
            e, i = self.pairs.member_eligible[m], self.pairs.member_ineligible[m]
            share = shares[m] * there
            per = _divide(mass, n_ineligible[m]) * there
            for cell, factor, level, sign in ((e, share, ineligible[m] + centre, 1.0), (i, per, ineligible[m], -1.0)):
                who = np.flatnonzero(self.sums.of == cell)
                change, seen = self.sums.changes(who, c)
                w = np.where(seen, self.sums.weights[who, None], 0.0) * factor
                if sign > 0 and term.sign > 0:
                    w *= self.sums.share(who, c)
                units.append(who)
                away.append(sign * w * (change - level))
                weight.append(w if sign > 0 else np.zeros_like(w))
        return np.concatenate(units), np.concatenate(away), np.concatenate(weight)


def _divide(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(top, below, out=np.zeros_like(top), where=below > 0)
