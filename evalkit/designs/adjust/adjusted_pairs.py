"""A triple difference with covariates: three adjusted comparisons with the eligible people where it starts.

With covariates, the difference of two adjusted differences is not the triple difference: each would be averaged
over covariates of its own people. All three comparison groups are made like the eligible people where the component
starts instead (Ortiz-Villavicencio and Sant'Anna 2025, "Better understanding triple differences estimators"):

    ATT = DiD(eligible, on | ineligible, on) + DiD(eligible, on | eligible, off) - DiD(eligible, on | ineligible, off)

each DiD(. | group) by regression, weighting or both (Sant'Anna and Zhao 2020), as in `two_group`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.designs.adjust.adjusted import AdjustedContrast, Part, Stratum
from evalkit.designs.adjust.two_group import two_group
from evalkit.designs.pair_reader import PairReader
from evalkit.designs.pairs import Pairs
from evalkit.designs.sums import add_by

ARMS = (
    (1.0, "ineligible people where it starts"),
    (1.0, "eligible people elsewhere"),
    (-1.0, "ineligible people elsewhere"),
)


@dataclass(frozen=True, eq=False)
class AdjustedPairs(AdjustedContrast):
    """A contrast of pairs whose strata are adjusted for covariates at base. contrast reads `PairReader`.

    Weights keep the pairs together: in each cluster the ineligible weigh as much as the eligible beside them. The
    regression and the propensity score of a group are fitted over all its clusters.
    """

    @property
    def pairs(self) -> Pairs:
        assert isinstance(self.contrast.reader, PairReader)
        return self.contrast.reader.pairs

    def adjust(self, stratum: Stratum, weights: np.ndarray) -> Part | str | None:
        c, periods, pair = stratum.comparison, stratum.periods, self.pairs.member_pair
        mine, serve = stratum.adopting[pair], stratum.serving[pair]
        units = np.flatnonzero(self._cells(mine | serve)[self.sums.of] & (weights > 0))
        change, seen = self.sums.changes(units, c, periods)
        whole = seen.all(axis=1)
        units, change = units[whole], change[whole]
        of, plain = self.sums.of[units], weights[units]
        here = _side(self.pairs, mine, of, (plain * self.sums.share(units, c, periods)[:, 0], plain))
        there = _side(self.pairs, serve, of, (plain, plain))
        arms = here.ineligible, there.eligible, there.ineligible
        if not here.eligible.any() or not all(w.any() for w in arms):
            return None
        x = np.column_stack([np.ones(len(units)), self.covariates.x[units, c.whole.base[periods[0]]]])
        att, rows = np.zeros(change.shape[1]), np.zeros(change.shape)
        for (sign, words), side, w in zip(ARMS, (here, None, there), arms, strict=True):
            use = np.flatnonzero(here.eligible + w)
            d = here.eligible[use] > 0
            done = two_group(change[use], d, x[use], np.where(d, here.eligible[use], w[use]), self.how)
            if done.reason:
                return f"{words}: {done.reason}"
            att += sign * done.att
            rows[use] += sign * done.rows
            if side is not None:
                rows += sign * side.handed_on(use[~d], done.rows[~d])
        return Part(units, here.eligible, att, rows * here.eligible.sum())

    def _cells(self, members: np.ndarray) -> np.ndarray:
        """(G,) cells of some members, and every ineligible cell beside their eligible ones."""
        eligible, cells = np.zeros((2, len(self.sums.path)), dtype=bool)
        eligible[self.pairs.member_eligible[members]] = True
        cells[self.pairs.member_ineligible[eligible[self.pairs.member_eligible]]] = True
        return eligible | cells


@dataclass(frozen=True, eq=False)
class _Side:
    """Some pairs with their units (u,), whose cell is `of`. own, plain: weights as eligible, and as they are.

    e, i: (m,) cells of the members; per: (m,) what a member adds to the weight of its ineligible, so that they weigh
    as much as the eligible beside them; share: (m,) of its eligible. mass, size: (G,) weights of cells.
    """

    of: np.ndarray
    own: np.ndarray
    plain: np.ndarray
    e: np.ndarray
    i: np.ndarray
    share: np.ndarray
    per: np.ndarray
    mass: np.ndarray
    size: np.ndarray

    @property
    def eligible(self) -> np.ndarray:
        """(u,) weights of the eligible, zero for others."""
        return self.own * np.bincount(self.e, weights=self.share, minlength=len(self.mass))[self.of]

    @property
    def ineligible(self) -> np.ndarray:
        """(u,) weights of the ineligible, zero for others."""
        return self.plain * np.bincount(self.i, weights=self.per, minlength=len(self.mass))[self.of]

    def handed_on(self, units: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(u, c) what is added to contributions `rows` of ineligible `units` because their weights follow those of
        the eligible: each cell's sum is taken from its own units, and given to the eligible beside them."""
        cells = len(self.mass)
        total = add_by(rows, self.of[units], cells)
        all_of = np.bincount(self.i, weights=self.per, minlength=cells)[self.i]
        given = add_by(total[self.i] * (self.per / np.where(all_of > 0, all_of, 1.0))[:, None], self.e, cells)
        out = given[self.of] * (self.own / np.maximum(self.mass[self.of], 1e-300))[:, None]
        out[units] -= total[self.of[units]] * (self.plain[units] / self.size[self.of[units]])[:, None]
        return out


def _side(pairs: Pairs, members: np.ndarray, of: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> _Side:
    """The units of some members. As in `PairReader`, an eligible cell is divided among its ineligible partners by
    their size."""
    own, plain = weights
    e, i, cells = (
        pairs.member_eligible,
        pairs.member_ineligible,
        max(int(m.max()) for m in (pairs.member_eligible, pairs.member_ineligible)) + 1,
    )
    mass, size = (np.bincount(of, weights=w, minlength=cells) for w in (own, plain))
    partners = np.bincount(e, weights=size[i], minlength=cells)[e]
    use = np.flatnonzero(members & (partners > 0) & (mass[e] > 0))
    e, i = e[use], i[use]
    share = size[i] / partners[use]
    per = np.divide(mass[e] * share, size[i], out=np.zeros(len(i)), where=size[i] > 0)
    return _Side(of, own, plain, e, i, share, per, mass, size)
