"""Triple difference: eligible against ineligible people of the same place and period."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.contrast import Contrast, Term
from evalkit.designs.pairs import Pairs, gap_arena, make_pairs, pair_arena
from evalkit.designs.plan import Comparison, Plan, Rules, make_plan
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout import Naming, assemble
from evalkit.designs.sums import Sums, add_by
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import Paths


@dataclass(frozen=True)
class TripleDifference:
    """Effects on the people whom a component can reach, by cohort and period.

    (change of eligible - change of ineligible) in clusters that switch k on at g, less the same in
    clusters not exposed by t. Eligible and ineligible are compared within one cluster and one pattern of
    the other components' reach, so that what a place and month do to both cancels, and so do the other
    components that reach both kinds alike, if their effect on both is the same; those that treat the two
    differently must do so alike in the clusters compared. Olden and Moen (2022), Econometrics Journal 25,
    staggered as in Callaway and Sant'Anna (2021).

    comparison, others, base, base_window, anticipation, horizon, lookback: as in `StaggeredRollout`.
    outcome: name of another outcome than the study's first.

    Raises `NotIdentifiedError` when the component reaches everybody, nobody, or no cluster holds both.
    """

    comparison: str = "not_yet"
    others: str = "same"
    adjust: str | None = None
    base: str = "varying"
    base_window: int = 1
    anticipation: int = 0
    horizon: int | None = None
    lookback: int = 0
    outcome: str | None = None

    def __post_init__(self) -> None:
        self.rules  # noqa: B018 - an impossible option is refused when the design is made
        if self.adjust is not None:
            raise OptionError(
                f"adjust={self.adjust!r} is not a choice for TripleDifference, which compares people of one place "
                "without covariates. Use adjust=None, or StaggeredRollout to adjust."
            )

    @property
    def rules(self) -> Rules:
        return Rules(
            self.comparison, self.others, self.base, self.base_window, self.anticipation, self.horizon, self.lookback
        )

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of an (eligible, ineligible) pair with its matches; `path` counts pairs."""
        pairs = make_pairs(paths, component)
        if pairs is None:
            return Plan(component, (), ())
        return self._plan(paths, pairs)

    def _plan(self, paths: Paths, pairs: Pairs) -> Plan:
        return make_plan(pair_arena(paths, pairs, ignored=self.others == "ignored"), self.rules)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) of `component` by eligibility."""
        pairs = make_pairs(study.paths, component)
        plan = None if pairs is None else self._plan(study.paths, pairs)
        if pairs is None or plan is None or not len(plan):
            raise NotIdentifiedError(
                f"{component!r} has no eligible and ineligible people side by side in a place where it starts."
            )
        sums = Sums(study.paths, pairs.level, study.values(self.outcome)).split()
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, "people whom it can reach, beside people whom it cannot",
            assumption="eligible and ineligible people of a place would have moved alike, as they did elsewhere",
        )  # fmt: skip
        return assemble(Contrast(plan, PairReader(sums, pairs)), naming)


@dataclass(frozen=True, eq=False)
class PairReader:
    """Eligible less ineligible change of each pair in each cluster, weighted by the eligible.

    An eligible cell with several ineligible partners in its cluster is divided among them by their size.
    """

    sums: Sums
    pairs: Pairs

    @property
    def paths(self) -> Paths:
        return self.sums.paths

    @property
    def level(self) -> str:
        return self.sums.level

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

    def parts(self, c: Comparison) -> tuple[Comparison, ...]:
        """What is read one after another for one comparison."""
        return self.sums.parts(c)

    def people(self, paths: np.ndarray) -> int:
        """Eligible units of some pairs that carry weight."""
        cells = np.unique(self.pairs.member_eligible[np.isin(self.path, paths)])
        return int(self.sums.people[cells].sum())

    @cached_property
    def _split(self) -> dict:
        return {}

    def _parts(self, c: Comparison) -> tuple[np.ndarray, ...]:
        """(m, T) eligible mass given to the member, both means, the ineligible mass, and the share of the eligible."""
        key = (c.base.tobytes(), c.window.tobytes(), c.whole.base.tobytes())
        if key not in self._split:
            n, s = self.sums.read(c)  # of a whole window with missing rows only n is known, and only shares are used
            e, i = self.pairs.member_eligible, self.pairs.member_ineligible
            partners = add_by(n[i], e, len(n))[e]
            share = _divide(n[i], partners)
            mean = _divide(s, n)
            self._split[key] = (n[e] * share, mean[e], mean[i], n[i], share)
        return self._split[key]

    def _own(self, c: Comparison) -> tuple[np.ndarray, np.ndarray]:
        """(m, T) mass and mean of the eligible of the adopting pair, in a part of a comparison."""
        e, mine = self.pairs.member_eligible, self.path == c.path
        n, s = self.sums.own(c, np.isin(np.arange(len(self.sums.path)), e[mine]))
        return (n[e] * self._parts(c)[4])[mine], _divide(s, n)[e][mine]

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        mass, eligible, ineligible, _, _ = self._parts(c)
        mine = self.path == c.path
        s = mass * (eligible - ineligible)
        own = mass, s
        if c.parent is not None:
            own = np.zeros(mass.shape), np.zeros(mass.shape)
            own[0][mine], mean = self._own(c)
            own[1][mine] = own[0][mine] * (mean - ineligible[mine])
        return Term(1, np.broadcast_to(mine[:, None], mass.shape), *own), Term(-1, c.match[self.path], mass, s)

    def heads(self, c: Comparison) -> np.ndarray:
        return self.sums.heads(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def heads_at_base(self, c: Comparison) -> np.ndarray:
        return self.sums.heads_at_base(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, _, ineligible, n_ineligible, shares = self._parts(c)
        units, away, weight = [], [], []
        for m in np.flatnonzero(np.any(term.mask, axis=1)):
            e, i = self.pairs.member_eligible[m], self.pairs.member_ineligible[m]
            share = shares[m] * term.mask[m]
            per = _divide(term.n[m], n_ineligible[m]) * term.mask[m]
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

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of `component` on pairs told apart by the reach of `by`."""
        pairs = make_pairs(paths, self.by)
        return Plan(component, (), ()) if pairs is None else self._plan(paths, pairs, component)

    def _plan(self, paths: Paths, pairs: Pairs, component: str) -> Plan:
        return make_plan(gap_arena(paths, pairs, component), Rules(base_window=self.base_window, horizon=self.horizon))

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Rows by cohort and period; `NotIdentifiedError` when no start allows it."""
        pairs = make_pairs(study.paths, self.by)
        plan = None if pairs is None else self._plan(study.paths, pairs, component)
        if pairs is None or plan is None or not len(plan):
            raise NotIdentifiedError(f"{component!r} never starts where {self.by!r} stays as it is for both kinds.")
        sums = Sums(study.paths, pairs.level, study.values(self.outcome)).split()
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, f"people whom {self.by} can reach, less those whom it cannot",
            estimand="difference of effects(g,t)",
        )  # fmt: skip
        return assemble(Contrast(plan, PairReader(sums, pairs)), naming)
