"""Staggered rollout: each start against units not yet exposed, the other components alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.adjusted import adjusted_estimate, read_covariates
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.entry import by_arrival, named
from evalkit.designs.rollout.plan import LEADS_AND_OTHERS, Plan, Rules, is_small, rollout_traits
from evalkit.designs.rollout.readers import CrossSections, Within
from evalkit.designs.rollout.rows import NO_MATCH, Naming, assemble
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.states import exposure_states
from evalkit.designs.rollout.sums import Sums
from evalkit.errors import NotIdentifiedError, OptionError, check_choice, check_periods
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import Paths

OTHERS = {
    "same": "units whose other components follow the same path",
    "unchanged": "units whose other components do not change",
    "ignored": "any units: other components are ignored",
}


@dataclass(frozen=True)
class StaggeredRollout(Rules):
    """Group-time effects of one component, ATT_k(g, t).

    ATT_k(g, t | s) = E[Y_t - Y_b | adopters of k at g, others' path s]
                    - E[Y_t - Y_b | comparison units, others' path s]

    averaged over s with the adopters' weights, over the strata that have a comparison; b is the last
    period before g less `anticipation` (for t < g with a varying base: t - 1). With one component the
    point estimates and analytic standard errors are those of Callaway and Sant'Anna (2021), Journal of
    Econometrics 225, equations 2.4 and 4.

    comparison: "not_yet" exposed through max(t, b) + anticipation, or "never".
    others: "same" path of every other component from b to t; "unchanged" others on both sides, whatever
        their levels; "ignored", as every other package does, to show what goes wrong.
    adjust: None, or for covariates at base "reg", "ipw" or "dr" (Sant'Anna and Zhao 2020).
    compare: "within" each unit against itself; "cross_sections" whoever was there.
    base: "varying" or "universal" base for the periods before g.
    base_window: periods before g whose mean is the base, as far back as the others stand still and a
        match remains. Where rows are missing, each base period is compared among the units seen in it, and
        an adopter is divided among those in which it was seen.
    anticipation: periods before g in which an effect may already show.
    horizon: last event time estimated. lookback: periods before the base in which the others must also
        agree, and an earlier spell of k must have ended.
    outcome: name of another outcome than the study's first.
    arrival: None, or the width in periods of the bands in which units came onto the record: each is compared with those
        of its own band only. Bands are counted from the second period; those there from the first on are one. Cells of
        `weights()` then say between which periods their units came.

    Calling raises `OptionError` for an unknown component and `NotIdentifiedError` when no unit ever
    starts the component after a period without it.
    """

    compare: str = "within"
    outcome: str | None = None
    arrival: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arrival is not None:
            check_periods("arrival", self.arrival, 1)
        check_choice("compare", self.compare, ("within", "cross_sections"))
        if self.adjust is not None and self.compare != "within":
            raise OptionError("adjust needs compare='within': each unit's covariates are read at its own base.")

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        return replace(rollout_traits(self.others, "parallel trends", LEADS_AND_OTHERS), by_arrival=True)

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of the component with its matches, on paths split by `arrival` where asked; sees no outcome."""
        key = ("rollout", component, self.others, self.rules)
        split = by_arrival(paths, self.arrival)
        return split.paths.memo.get(
            key,
            lambda: make_plan(exposure_states(split.paths, component, self.others, split.kind), self.rules),
            keep=is_small,
        )

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) of `component`; rows without an answer say why."""
        plan = self.plan(study.paths, component)
        if not len(plan) and plan.baseless:
            raise NotIdentifiedError(
                f"Every start of {component!r} lacks a base: with anticipation={self.anticipation} and lookback="
                f"{self.lookback} it would lie before the panel, or before an earlier spell has ended. Choose less."
            )
        if not len(plan):
            raise NotIdentifiedError(
                f"No unit starts {component!r} after a period without it, so there is no change to compare. "
                "`separability` says what could still be told."
            )
        split = by_arrival(study.paths, self.arrival)
        return named(split, self._read(plan, study, split.paths, component))

    def _read(self, plan: Plan, study: StudyLike, paths: Paths, component: str) -> Estimate:
        level, _ = paths.inference_level(component)
        sums, outcome = Sums.of_outcome(paths, level, study.values(self.outcome)), study.outcome(self.outcome)
        population, nobody = f"adopters with a match among {OTHERS[self.others]}", NO_MATCH
        if self.arrival is not None:
            together = "came onto the record at about the same time"
            population, nobody = f"{population}, among those who {together}", f"{NO_MATCH}, and {together}"
        naming = Naming(component, outcome.column, outcome.unit, population, nobody=nobody)
        if self.adjust is not None:
            return adjusted_estimate(plan, read_covariates(study), sums, self.adjust, naming)
        reader = Within(sums) if self.compare == "within" else CrossSections(sums.split())
        return assemble(Contrast(plan, reader), naming)
