"""Triple difference: eligible against ineligible people of the same place and period.

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
from scipy import sparse

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.adjusted import (
    Adjusted,
    AdjustedContrast,
    Part,
    Stratum,
    assemble_adjusted,
    read_covariates,
    two_group,
)
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import LEADS_AND_OTHERS, Comparison, Plan, Rules, is_small, rollout_traits
from evalkit.designs.rollout.readers import Reader, Side, Term, adopters, matches
from evalkit.designs.rollout.rows import Naming, assemble
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.states import Pairs, gap_states, make_pairs, pair_states
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF, Paths

ALIKE = "eligible and ineligible people of a place would have moved alike, as they did elsewhere"
ALIKE_GIVEN = (
    "eligible and ineligible people with the same covariates would have moved alike, as they did elsewhere; "
    "what covariates do is fitted on all places of a group together"
)
INELIGIBLE_HERE = "ineligible people where it starts"
ELIGIBLE_ELSEWHERE, INELIGIBLE_ELSEWHERE = "eligible people elsewhere", "ineligible people elsewhere"


@dataclass(frozen=True)
class TripleDifference(Rules):
    """Effects on the people whom a component can reach, by cohort and period.

    (change of eligible - change of ineligible) in clusters that switch k on at g, less the same in
    clusters not exposed by t. Eligible and ineligible are compared within one cluster and one pattern of
    the other components' reach, so that what a place and month do to both cancels, and so do the other
    components that reach both kinds alike, if their effect on both is the same; those that treat the two
    differently must do so alike in the clusters compared. Olden and Moen (2022), Econometrics Journal 25,
    staggered as in Callaway and Sant'Anna (2021).

    comparison, others, base, base_window, anticipation, horizon, lookback: as in `StaggeredRollout`.
    adjust: None, or for covariates at base "reg", "ipw" or "dr": all comparison groups are made like the eligible
        people where it starts, those elsewhere apart by when they start (Ortiz-Villavicencio and Sant'Anna 2025,
        "Better understanding triple differences estimators"). Pairs keep their weights in every cluster, but
        what covariates do is fitted on all clusters of such a group together.
    outcome: name of another outcome than the study's first.

    Raises `NotIdentifiedError` when the component reaches everybody, nobody, or no cluster holds both.
    """

    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        return rollout_traits(self.others, "kinds alike", LEADS_AND_OTHERS)

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of an (eligible, ineligible) pair with its matches; `path` counts pairs."""
        pairs = make_pairs(paths, component)
        if pairs is None:
            return Plan(component, (), ())
        return self._plan(paths, pairs)

    def _plan(self, paths: Paths, pairs: Pairs) -> Plan:
        ignored = self.others == "ignored"
        key = ("pairs", pairs.component, ignored, self.rules)
        make = lambda: make_plan(pair_states(paths, pairs, ignored), self.rules)  # noqa: E731
        return paths.memo.get(key, make, keep=is_small)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) of `component` by eligibility."""
        pairs = make_pairs(study.paths, component)
        plan = None if pairs is None else self._plan(study.paths, pairs)
        if pairs is None or plan is None or not len(plan):
            raise NotIdentifiedError(
                f"{component!r} has no eligible and ineligible people side by side in a place where it starts."
            )
        sums = Sums.of_outcome(study.paths, pairs.level, study.values(self.outcome)).split()
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, "people whom it can reach, beside people whom it cannot",
            assumption=ALIKE if self.adjust is None else ALIKE_GIVEN,
        )  # fmt: skip
        if self.adjust is None:
            return assemble(Contrast(plan, PairReader(sums, pairs)), naming)
        covariates = read_covariates(study)
        reader = PairReader(sums.among(covariates.usable), pairs)
        return assemble_adjusted(AdjustedPairs(Contrast(plan, reader), covariates, self.adjust), naming)


@dataclass(frozen=True)
class EffectGap:
    """Effect of `component` on the people whom `by` can reach less its effect on those whom it cannot.

    Read at the starts of `component` where it treats both kinds alike and `by` does the same to the pairs
    compared: what a triple difference for `by` takes to be zero. Options as in `TripleDifference`.
    """

    by: str
    base_window: int = 1
    horizon: int | None = None
    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset({"kinds alike"}))

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of `component` on pairs told apart by the reach of `by`."""
        pairs = make_pairs(paths, self.by)
        return Plan(component, (), ()) if pairs is None else self._plan(paths, pairs, component)

    def _plan(self, paths: Paths, pairs: Pairs, component: str) -> Plan:
        rules = Rules(base_window=self.base_window, horizon=self.horizon)
        key = ("gap", self.by, component, rules)
        return paths.memo.get(key, lambda: make_plan(gap_states(paths, pairs, component), rules), keep=is_small)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Rows by cohort and period; `NotIdentifiedError` when no start allows it."""
        pairs = make_pairs(study.paths, self.by)
        plan = None if pairs is None else self._plan(study.paths, pairs, component)
        if pairs is None or plan is None or not len(plan):
            raise NotIdentifiedError(f"{component!r} never starts where {self.by!r} stays as it is for both kinds.")
        sums = Sums.of_outcome(study.paths, pairs.level, study.values(self.outcome)).split()
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, f"people whom {self.by} can reach, less those whom it cannot",
            estimand="difference of effects(g,t)",
        )  # fmt: skip
        return assemble(Contrast(plan, PairReader(sums, pairs)), naming)


@dataclass(frozen=True, eq=False)
class PairReader(Reader):
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

    def sides(self) -> list[Side]:
        """The eligible and the ineligible: many pairs share a path, and add up."""
        out = []
        for of, taken_off in ((self.pairs.eligible, False), (self.pairs.ineligible, True)):
            both = np.stack([of[self.path], self.cluster])
            (path, cluster), code = np.unique(both, axis=1, return_inverse=True)
            lines = np.arange(both.shape[1])
            gather = sparse.csc_array((np.ones(len(lines)), (code.ravel(), lines)), shape=(len(path), len(lines)))
            out.append(Side(path, cluster, gather, taken_off))
        return out

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
        pair = self.pairs.member_pair
        mine, serve = stratum.adopting[pair], stratum.serving[pair]
        units, change, x, share = self.read(stratum, self._cells(mine | serve)[self.sums.of] & (weights > 0))
        of, plain = self.sums.of[units], weights[units]
        here = _members(self.pairs, mine, of, (plain * share, plain))
        near = _Target(here.eligible, change, x, self.how)
        begins = self.begins[pair]
        there = [_members(self.pairs, serve & (begins == b), of, (plain, plain)) for b in np.unique(begins[serve])]
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


def _elsewhere(near: _Target, groups: list[_Members]) -> Adjusted:
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

    def less(self, other: np.ndarray, words: str, side: _Members | None) -> Adjusted:
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
class _Members:
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


def _members(pairs: Pairs, members: np.ndarray, of: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> _Members:
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
    return _Members(of, own, plain, e, i, share, per, mass, size)
