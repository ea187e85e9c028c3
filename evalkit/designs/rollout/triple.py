"""Triple difference: eligible against ineligible people of the same place and period."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.adjusted import assemble_adjusted, read_covariates
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.pairs import AdjustedPairs, PairReader
from evalkit.designs.rollout.plan import LEADS_AND_OTHERS, Plan, Rules, StartOptions, is_small
from evalkit.designs.rollout.rows import Naming, assemble
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.states import Pairs, gap_states, make_pairs, pair_states
from evalkit.designs.rollout.sums import Sums
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import Paths

ALIKE = "eligible and ineligible people of a place would have moved alike, as they did elsewhere"
ALIKE_GIVEN = (
    "eligible and ineligible people with the same covariates would have moved alike, as they did elsewhere; "
    "what covariates do is fitted on all places of a group together"
)


@dataclass(frozen=True)
class TripleDifference(StartOptions):
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
        return self.rules.traits("kinds alike", LEADS_AND_OTHERS)

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
