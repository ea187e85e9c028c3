"""Triple difference: eligible against ineligible people of the same place and period.

With covariates, the difference of two adjusted differences is not the triple difference: each would be averaged
over covariates of its own people. All three comparison groups are made like the eligible people where the component
starts instead (Ortiz-Villavicencio and Sant'Anna 2025, "Better understanding triple differences estimators"):

    ATT = DiD(eligible, on | ineligible, on) + DiD(eligible, on | eligible, off) - DiD(eligible, on | ineligible, off)

each DiD(. | group) by regression, weighting or both (Sant'Anna and Zhao 2020), as in `two_group`. Places elsewhere
are read apart by when they start: pooled, kinds made alike would not be alike in when their places start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from evalkit.designs.noise.weighing import WEIGHTS, Weighing, unweighted
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.adjusted import Adjusted, AdjustedContrast, Read, Stratum, read_covariates, two_group
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.cross_sections import OfPlaces, check_compare, of_places
from evalkit.designs.rollout.least_noise import ADJUSTED, least_noise_estimate, weighing_of
from evalkit.designs.rollout.plan import (
    LEADS_AND_OTHERS,
    Comparison,
    ExposureStates,
    Pairs,
    Plan,
    Rules,
    exposure_states,
    gap_states,
    is_small,
    make_pairs,
    pair_states,
    rollout_traits,
)
from evalkit.designs.rollout.readers import Reader, Side, Term, adopting, read_at, serving
from evalkit.designs.rollout.rows import Naming, assemble
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.sums import Sums, add_by
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError, check_choice
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF, Paths

ALIKE = "eligible and ineligible people of a place would have moved alike, as they did elsewhere"
ALIKE_GIVEN = (
    "eligible and ineligible people with the same covariates would have moved alike, as they did elsewhere; "
    "what covariates do is fitted on all places of a group together"
)
BESIDE = "people whom it can reach, beside people whom it cannot"
INELIGIBLE_HERE = "ineligible people where it starts"
ELIGIBLE_ELSEWHERE, INELIGIBLE_ELSEWHERE = "eligible people elsewhere", "ineligible people elsewhere"


@dataclass(frozen=True)
class TripleDifference(Rules, Parameters):
    """Effects on the people whom a component can reach, by cohort and period.

    (change of eligible - change of ineligible) in clusters that switch k on at g, less the same in
    clusters not exposed by t. Eligible and ineligible are compared within one cluster and one pattern of
    the other components' reach, so that what a place and month do to both cancels, and so do the other
    components that reach both kinds alike, if their effect on both is the same; those that treat the two
    differently must do so alike in the clusters compared. Olden and Moen (2022), Econometrics Journal 25,
    staggered as in Callaway and Sant'Anna (2021).

    comparison, others, base, base_window, anticipation, horizon, lookback, starts: as in `StaggeredRollout`.
    adjust: None, or for covariates at base "reg", "ipw" or "dr": all comparison groups are made like the eligible
        people where it starts, those elsewhere apart by when they start (Ortiz-Villavicencio and Sant'Anna 2025,
        "Better understanding triple differences estimators"). Pairs keep their weights in every cluster, but
        what covariates do is fitted on all clusters of such a group together.
    outcome: name of another outcome than the study's first.
    compare: "within" each person against himself; "cross_sections" for the means of eligible and of ineligible people
        of a place, whoever was there; contributions are then those of such groups.
    weights: "equal", the published method; or "least_noise" for the model that `StaggeredRollout` has under these
        weights, in which eligible people elsewhere serve beside the ineligible of the same place.

    Raises `NotIdentifiedError` when the component reaches everybody, nobody, or no cluster holds both.
    """

    outcome: str | None = None
    weights: str = "equal"
    compare: str = "within"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_compare(self.compare, self.adjust)
        check_choice("weights", self.weights, WEIGHTS)

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        return rollout_traits(self.others, "kinds alike", LEADS_AND_OTHERS)

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of an (eligible, ineligible) pair with its matches; `path` counts pairs."""
        return self._pairs_and_plan(paths, component)[1]

    def _pairs_and_plan(self, paths: Paths, component: str) -> tuple[Pairs | None, Plan]:
        paths = of_places(paths) if self.compare == "cross_sections" else paths
        pairs, ignored = make_pairs(paths, component), self.others == "ignored"
        if pairs is None:
            return None, Plan(component, (), ())
        make = lambda: make_plan(pair_states(paths, pairs, ignored), self.rules)  # noqa: E731
        return pairs, paths.memo.get(("pairs", component, ignored, self.rules), make, keep=is_small)

    def contrast(self, study: StudyLike, component: str) -> Contrast:
        """Its comparisons read in the outcome, without covariates; `NotIdentifiedError` where there are no pairs."""
        study = study.weighing(self.outcome)
        pairs, plan = self._pairs_and_plan(study.paths, component)
        if pairs is None:
            raise NotIdentifiedError(f"{component!r} reaches everybody or nobody, so that there are no pairs.")
        sums = Sums.of_outcome(study.paths, pairs.level, study.values(self.outcome)).split()
        return Contrast.shared(plan, PairReader(sums, pairs))

    def untreated(self, study: StudyLike, component: str) -> tuple[Weighing, ExposureStates]:
        """The untreated model of its comparisons, whatever its weights are, and what paths do in its periods."""
        study = OfPlaces.of(study) if self.compare == "cross_sections" else study
        states = exposure_states(study.weighing(self.outcome).paths, component, self.others)
        return weighing_of(self.contrast(study, component), states, self, few=True), states

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) of `component` by eligibility."""
        return self._estimate(study, component)

    def later(self, study: StudyLike, component: str) -> Estimate:
        """The rows from the start on, where there are any: sooner, for who asks nothing of those before."""
        return self._estimate(study, component, leads=False)

    @one_thread()
    def _estimate(self, study: StudyLike, component: str, leads: bool = True) -> Estimate:
        study = OfPlaces.of(study) if self.compare == "cross_sections" else study
        study = study.weighing(self.outcome)
        pairs, plan = self._pairs_and_plan(study.paths, component)
        if pairs is None or not len(plan):
            raise NotIdentifiedError(
                f"{component!r} has no eligible and ineligible people side by side in a place where it starts."
            )
        contrast, outcome = self.contrast(study, component), study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, BESIDE,
            assumption=ALIKE if self.adjust is None else ALIKE_GIVEN,
        )  # fmt: skip
        if self.adjust is not None:
            covariates = read_covariates(study)
            known = Contrast(plan, PairReader(contrast.reader.sums.among(covariates.usable), pairs))
            made = AdjustedPairs(known, covariates, self.adjust, pairs).estimate(naming)
            return made if self.weights == "equal" else unweighted(made, ADJUSTED)
        if self.weights == "equal":
            return assemble(contrast, naming, contrast.rows(leads))
        states = exposure_states(study.paths, component, self.others)
        return least_noise_estimate(contrast, states, self, naming, leads)


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
        return self._pairs_and_plan(paths, component)[1]

    def _pairs_and_plan(self, paths: Paths, component: str) -> tuple[Pairs | None, Plan]:
        pairs, rules = make_pairs(paths, self.by), Rules(base_window=self.base_window, horizon=self.horizon)
        if pairs is None:
            return None, Plan(component, (), ())
        make = lambda: make_plan(gap_states(paths, pairs, component), rules)  # noqa: E731
        return pairs, paths.memo.get(("gap", self.by, component, rules), make, keep=is_small)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Rows by cohort and period; `NotIdentifiedError` when no start allows it."""
        study = study.weighing(self.outcome)
        pairs, plan = self._pairs_and_plan(study.paths, component)
        if pairs is None or not len(plan):
            raise NotIdentifiedError(f"{component!r} never starts where {self.by!r} stays as it is for both kinds.")
        sums = Sums.of_outcome(study.paths, pairs.level, study.values(self.outcome)).split()
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, f"people whom {self.by} can reach, less those whom it cannot",
            estimand="difference of effects(g,t)",
        )  # fmt: skip
        return assemble(Contrast.shared(plan, PairReader(sums, pairs)), naming)


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
    def cells(self) -> np.ndarray:
        return self.pairs.member_eligible

    @cached_property
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
            out.append(Side(path, cluster, code.ravel(), taken_off))
        return out

    def _parts(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, ...]:
        """(B, T) columns of comparisons in (m, C) eligible mass given to the member, both means, the ineligible mass,
        and the share of the eligible."""
        column, n, s = self.sums.read(cs)  # of a whole window with missing rows only n is known, and shares are used
        e, i = self.pairs.member_eligible, self.pairs.member_ineligible
        partners = add_by(n[i], e, len(n))[e]
        share, mean = _divide(n[i], partners), _divide(s, n)
        return column, n[e] * share, mean[e], mean[i], n[i], share

    def terms(self, cs: Sequence[Comparison]) -> tuple[Term, ...]:
        column, mass, eligible, ineligible, _, share = self._parts(cs)
        of, at = np.nonzero(adopting(cs, self.path))
        own, mean, beside = read_at((mass, eligible, ineligible), at, column[of])
        for b in [b for b, c in enumerate(cs) if c.parent is not None]:  # divided among the parts that they are in
            mine = of == b
            groups, line = np.unique(self.pairs.member_eligible[at[mine]], return_inverse=True)
            n, s = self.sums.own(cs[b], groups)
            own[mine], mean[mine] = n[line] * share[at[mine]][:, column[b]], _divide(s, n)[line]
        mine_term = Term(1, of, at, np.ones(own.shape, dtype=bool), own, own * (mean - beside), len(cs))
        of, at, mask = serving(cs, self.path)
        n, s = (x * mask for x in read_at((mass, mass * (eligible - ineligible)), at, column[of]))
        return mine_term, Term(-1, of, at, mask, n, s, len(cs))

    def heads(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        column, *counts = self.sums.heads(cs)
        share = self._parts(cs)[5]
        read, at_base = (n[self.pairs.member_eligible] * share for n in counts)
        return column, read, at_base

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        column, *parts = self._parts((c,))
        _, _, ineligible, n_ineligible, shares = (x[:, column[0]] for x in parts)
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

    pairs: Pairs

    @cached_property
    def begins(self) -> np.ndarray:
        """(q,) first period in which each pair has the component, or has it in part; n_periods where never."""
        paths = self.sums.paths
        touched = paths.state[self.pairs.eligible, :, paths.index(self.pairs.component)] != OFF
        return np.where(touched.any(axis=1), touched.argmax(axis=1), paths.n_periods)

    def among(self, stratum: Stratum) -> np.ndarray:
        """Units in cells of its pairs, and in every ineligible cell beside their eligible ones."""
        e, i = self.pairs.member_eligible, self.pairs.member_ineligible
        eligible, cells = np.zeros((2, len(self.sums.path)), dtype=bool)
        eligible[e[(stratum.adopting | stratum.serving)[self.pairs.member_pair]]] = True
        cells[i[eligible[e]]] = True
        return (eligible | cells)[self.sums.of]

    def compare(self, stratum: Stratum, read: Read) -> tuple[np.ndarray, Adjusted] | None:
        pair, of = self.pairs.member_pair, self.sums.of[read.units]
        serve, begins = stratum.serving[pair], self.begins[pair]
        here = _Members(self.pairs, stratum.adopting[pair], of, read.own, read.plain)
        elsewhere = [
            _Members(self.pairs, serve & (begins == b), of, read.plain, read.plain) for b in np.unique(begins[serve])
        ]
        near = here.eligible
        if not near.any() or not here.ineligible.any() or not any(g.eligible.any() for g in elsewhere):
            return None
        less = partial(_less, read, near, self.how)
        first = less(here.ineligible, INELIGIBLE_HERE, here)
        rest = _elsewhere([g for g in elsewhere if g.eligible.any()], less)
        return near, Adjusted(first.att + rest.att, first.rows + rest.rows, first.reason or rest.reason)


def _elsewhere(groups: list[_Members], less: Callable[[np.ndarray, str, _Members | None], Adjusted]) -> Adjusted:
    """Less eligible, plus ineligible people elsewhere: each group that starts together apart, then averaged by its
    eligible people; groups that cannot be adjusted are left out unless none can. less: as `_less` of the eligible."""
    found = []
    for g in groups:
        eligible = less(g.eligible, ELIGIBLE_ELSEWHERE, None)
        ineligible = less(g.ineligible, INELIGIBLE_ELSEWHERE, g)
        reason = eligible.reason or ineligible.reason
        found.append(Adjusted(eligible.att - ineligible.att, eligible.rows - ineligible.rows, reason))
    good = [(f, g.eligible) for f, g in zip(found, groups, strict=True) if not f.reason]
    if not good:
        return found[0]
    total = sum(w.sum() for _, w in good)
    att = np.sum([f.att * w.sum() for f, w in good], axis=0) / total
    rows = np.sum([f.rows * w.sum() + np.outer(w, f.att - att) for f, w in good], axis=0) / total
    return Adjusted(att, rows)


def _less(read: Read, near: np.ndarray, how: str, other: np.ndarray, words: str, side: _Members | None) -> Adjusted:
    """Change of units of weights `near` (u,) less that of `other` (u,), made like them; contributions (u, c). side:
    the pairs by which the weights of `other` are given, if they are."""
    use = np.flatnonzero(near + other)
    d = near[use] > 0
    done = two_group(read.change[use], d, read.x[use], np.where(d, near[use], other[use]), how)
    rows = np.zeros(read.change.shape)
    rows[use] = done.rows
    if side is not None and not done.reason:
        rows += side.handed_on(use[~d], done.rows[~d])
    return Adjusted(done.att, rows, f"{words}: {done.reason}" if done.reason else "")


class _Members:
    """Some pairs with their units (u,), whose cell is `of`. own, plain: weights as eligible, and as they are.

    e, i: (m,) cells of the members; per: (m,) what a member adds to the weight of its ineligible, so that they weigh
    as much as the eligible beside them. mass, size: (G,) weights of cells. eligible, ineligible: (u,) weights of
    both, zero for others. As in `PairReader`, an eligible cell is divided among its ineligible partners by their size.
    """

    def __init__(self, pairs: Pairs, members: np.ndarray, of: np.ndarray, own: np.ndarray, plain: np.ndarray) -> None:
        self.of, self.own, self.plain = of, own, plain
        e, i = pairs.member_eligible, pairs.member_ineligible
        self.cells = max(int(e.max()), int(i.max())) + 1
        self.mass, self.size = (np.bincount(of, weights=w, minlength=self.cells) for w in (own, plain))
        partners = np.bincount(e, weights=self.size[i], minlength=self.cells)[e]
        use = np.flatnonzero(members & (partners > 0) & (self.mass[e] > 0))
        self.e, self.i = e[use], i[use]
        share = self.size[self.i] / partners[use]
        self.per = _divide(self.mass[self.e] * share, self.size[self.i])
        self.eligible = own * np.bincount(self.e, weights=share, minlength=self.cells)[of]
        self.ineligible = plain * np.bincount(self.i, weights=self.per, minlength=self.cells)[of]

    def handed_on(self, units: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(u, c) what is added to contributions `rows` of ineligible `units` because their weights follow those of
        the eligible: each cell's sum is taken from its own units, and given to the eligible beside them."""
        total = add_by(rows, self.of[units], self.cells)
        all_of = np.bincount(self.i, weights=self.per, minlength=self.cells)[self.i]
        given = add_by(total[self.i] * (self.per / np.where(all_of > 0, all_of, 1.0))[:, None], self.e, self.cells)
        out = given[self.of] * (self.own / np.maximum(self.mass[self.of], 1e-300))[:, None]
        out[units] -= total[self.of[units]] * (self.plain[units] / self.size[self.of[units]])[:, None]
        return out
