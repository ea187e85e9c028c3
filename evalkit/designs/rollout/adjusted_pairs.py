"""A triple difference with covariates: three adjusted comparisons with the eligible people where it starts.

With covariates, the difference of two adjusted differences is not the triple difference: each would be averaged
over covariates of its own people. All three comparison groups are made like the eligible people where the component
starts instead (Ortiz-Villavicencio and Sant'Anna 2025, "Better understanding triple differences estimators"):

    ATT = DiD(eligible, on | ineligible, on) + DiD(eligible, on | eligible, off) - DiD(eligible, on | ineligible, off)

each DiD(. | group) by regression, weighting or both (Sant'Anna and Zhao 2020), as in `two_group`. Places elsewhere
are read apart by when they start: pooled, kinds made alike would not be alike in when their places start.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.rollout.adjusted import AdjustedContrast, Part, Stratum
from evalkit.designs.rollout.readers import PairReader
from evalkit.designs.rollout.states import Pairs
from evalkit.designs.rollout.sums import add_by
from evalkit.designs.rollout.two_group import Adjusted, two_group
from evalkit.study.paths import OFF

INELIGIBLE_HERE = "ineligible people where it starts"
ELIGIBLE_ELSEWHERE, INELIGIBLE_ELSEWHERE = "eligible people elsewhere", "ineligible people elsewhere"


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

    @cached_property
    def begins(self) -> np.ndarray:
        """(q,) first period in which each pair has the component, or has it in part; n_periods where never."""
        paths = self.sums.paths
        touched = paths.state[self.pairs.eligible, :, paths.index(self.pairs.component)] != OFF
        return np.where(touched.any(axis=1), touched.argmax(axis=1), paths.n_periods)

    def adjust(self, stratum: Stratum, weights: np.ndarray) -> Part | str | None:
        c, periods, pair = stratum.comparison, stratum.periods, self.pairs.member_pair
        mine, serve = stratum.adopting[pair], stratum.serving[pair]
        units = np.flatnonzero(self._cells(mine | serve)[self.sums.of] & (weights > 0))
        change, seen = self.sums.changes(units, c, periods)
        whole = seen.all(axis=1)
        units, change = units[whole], change[whole]
        of, plain = self.sums.of[units], weights[units]
        here = _side(self.pairs, mine, of, (plain * self.sums.share(units, c, periods)[:, 0], plain))
        x = np.column_stack([np.ones(len(units)), self.covariates.x[units, c.whole.base[periods[0]]]])
        near = _Target(here.eligible, change, x, self.how)
        begins = self.begins[pair]
        there = [_side(self.pairs, serve & (begins == b), of, (plain, plain)) for b in np.unique(begins[serve])]
        if not near.weight.any() or not here.ineligible.any() or not any(g.eligible.any() for g in there):
            return None
        first = near.less(here.ineligible, INELIGIBLE_HERE, here)
        rest = _elsewhere(near, [g for g in there if g.eligible.any()])
        if first.reason or rest.reason:
            return first.reason or rest.reason
        return Part(units, near.weight, first.att + rest.att, (first.rows + rest.rows) * near.weight.sum())

    def _cells(self, members: np.ndarray) -> np.ndarray:
        """(G,) cells of some members, and every ineligible cell beside their eligible ones."""
        eligible, cells = np.zeros((2, len(self.sums.path)), dtype=bool)
        eligible[self.pairs.member_eligible[members]] = True
        cells[self.pairs.member_ineligible[eligible[self.pairs.member_eligible]]] = True
        return eligible | cells


def _elsewhere(near: _Target, groups: list[_Side]) -> Adjusted:
    """Less eligible, plus ineligible people elsewhere: each group that starts together apart, then averaged by its
    eligible people; groups that cannot be adjusted are left out unless none can."""
    found = []
    for g in groups:
        eligible = near.less(g.eligible, ELIGIBLE_ELSEWHERE, None)
        ineligible = near.less(g.ineligible, INELIGIBLE_ELSEWHERE, g)
        reason = eligible.reason or ineligible.reason
        found.append(Adjusted(eligible.att - ineligible.att, eligible.rows - ineligible.rows, reason))
    good = [(f, g.eligible) for f, g in zip(found, groups, strict=True) if not f.reason]
    if not good:
        return found[0]
    total = sum(w.sum() for _, w in good)
    att = np.sum([f.att * w.sum() for f, w in good], axis=0) / total
    rows = np.sum([f.rows * w.sum() + np.outer(w, f.att - att) for f, w in good], axis=0) / total
    return Adjusted(att, rows)


@dataclass(frozen=True, eq=False)
class _Target:
    """The eligible where it starts: weight (u,), zero for all others; changes (u, c) and covariates (u, q) of all."""

    weight: np.ndarray
    change: np.ndarray
    x: np.ndarray
    how: str

    def less(self, other: np.ndarray, words: str, side: _Side | None) -> Adjusted:
        """Their change less that of `other` (u,) weights, made like them; contributions (u, c). side: the pairs by
        which the weights of `other` are given, if they are."""
        use = np.flatnonzero(self.weight + other)
        d = self.weight[use] > 0
        w = np.where(d, self.weight[use], other[use])
        done = two_group(self.change[use], d, self.x[use], w, self.how)
        rows = np.zeros(self.change.shape)
        rows[use] = done.rows
        if done.reason:
            return Adjusted(done.att, rows, f"{words}: {done.reason}")
        if side is not None:
            rows += side.handed_on(use[~d], done.rows[~d])
        return Adjusted(done.att, rows)


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
