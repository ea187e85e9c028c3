"""Evidence on one component and outcome, and the verdict on it: values only, no rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.errors import check_choice
from evalkit.vocabulary import (
    CHECK_STATUSES,
    COMBINATION_KINDS,
    DRIFT_WORDS,
    OUTCOME_KINDS,
    PEOPLE_CHECKS,
    STATUSES,
    Better,
    CheckStatus,
    CombinationKind,
    Direction,
    DriftWord,
    OutcomeKind,
    PeopleCheck,
    Status,
    VerdictName,
)


@dataclass(frozen=True)
class CheckOutcome:
    """What one check said: its name, 'passed', 'failed' or 'informational', its words, and its number with a range.

    `brief`: the words without a p value, where they hold one.
    """

    check: str
    status: CheckStatus
    words: str = ""
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    brief: str = ""

    def __post_init__(self) -> None:
        check_choice("status", self.status, CHECK_STATUSES)


@dataclass(frozen=True)
class BundleEvidence:
    """The combination of components that is identified where a single one is not.

    `labels` and `weights` go with `members`; positive weights are added, negative ones taken away (by default
    all are added, or for a swap the first stands instead of the second). `additive`: it holds only if effects add
    up. `reason` says why it has no interval, where it has none.
    """

    members: tuple[str, ...]
    labels: tuple[str, ...]
    kind: CombinationKind = "together"
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    std_error: float = math.nan
    weights: tuple[float, ...] = ()
    design: str = ""
    clusters_exposed: int = 0
    clusters_comparison: int = 0
    clean_until: float | None = None
    lag: int = 0
    reason: str = ""
    additive: bool = False

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, COMBINATION_KINDS)

    @property
    def signs(self) -> tuple[float, ...]:
        """One weight a member."""
        after = -1.0 if self.kind == "swap" else 1.0
        return self.weights or (1.0, *(after for _ in self.members[1:]))


@dataclass(frozen=True)
class BesideDrift:
    """What a step beside a straight line carries of a claim (`checks/drift.py`); `early`: whether it could be asked
    without the last two periods before the start; `steady`: where it carries nothing, whether that is for a straight
    drift, or for what set in shortly before the start. The effect with a straight drift taken out, its range, and the
    drift a period that would undo the answer, NaN where they are not known. `reason`: why nothing could be asked."""

    carries: DriftWord
    early: bool = True
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    breakdown: float = math.nan
    reason: str = ""
    steady: bool = True

    def __post_init__(self) -> None:
        check_choice("carries", self.carries, DRIFT_WORDS)


@dataclass(frozen=True)
class Evidence:
    """All that a verdict on one component and one outcome may rest on.

    Numbers are in the outcome's own unit; NaN where there is none. `matters` is positive or None. `clean_until`
    is the last event time claimed, None where nothing bounds it. `population` is a plural noun phrase
    ('people with both needs') or ''. `people_exposed` counts exposed units where units lie in clusters, else NaN.
    `units_behind` of the `units_had` that had it stand behind the answer; NaN where they are not counted.
    `doses`: how many doses of it count alike in the answer. `per`: what a rate is per, in words, '' for all others.
    `drift`: None where the design is not asked whether a drift apart would explain its answer.
    `by_time`: the lowest and the highest end of the ranges over each part of its claimed event times; None where
    nothing is seen over time.
    `tied`: labels of all that it cannot be told apart from. `cure` says what rollout would have let us tell.
    """

    component: str
    outcome: str
    status: Status
    label: str = ""
    outcome_label: str = ""
    kind: OutcomeKind = "score"
    per: str = ""
    better: Better = "higher"
    matters: float | None = None
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    std_error: float = math.nan
    df: float = math.nan
    p_adjusted: float = math.nan
    design: str = ""
    clusters_exposed: int = 0
    clusters_comparison: int = 0
    people_exposed: float = math.nan
    units_behind: float = math.nan
    units_had: float = math.nan
    doses: int = 1
    checks: tuple[CheckOutcome, ...] = ()
    observed: bool = True
    moved_by_results: bool = False
    rests_on_additivity: bool = False
    rests_on_dose: bool = False
    rests_on_matching: bool = False
    rests_on_one_place: bool = False
    rests_on_chance: bool = False
    unrecorded: bool = False
    by_people: bool = False
    by_people_check: PeopleCheck = "not_needed"
    randomisation_p: float | None = None
    crossed_levels: bool = False
    reason: str = ""
    bundle: BundleEvidence | None = None
    drift: BesideDrift | None = None
    by_time: tuple[float, float] | None = None
    tied: tuple[str, ...] = ()
    clean_until: float | None = None
    lag: int = 0
    unit: str = ""
    period: str = "period"
    place: str = "place"
    population: str = ""
    currency: str = "£"
    time_unit: str = ""
    cure: str = ""

    def __post_init__(self) -> None:
        check_choice("status", self.status, STATUSES)
        check_choice("kind", self.kind, OUTCOME_KINDS)
        check_choice("better", self.better, ("higher", "lower"))
        check_choice("by_people_check", self.by_people_check, PEOPLE_CHECKS)

    @property
    def name(self) -> str:
        """What people call the component."""
        return self.label or self.component

    @property
    def outcome_name(self) -> str:
        """What people call the outcome."""
        return self.outcome_label or self.outcome

    @property
    def has_interval(self) -> bool:
        """Whether estimate and both ends are numbers, and an arm is not too small for one."""
        ends = (self.estimate, self.conf_low, self.conf_high)
        return self.status != "too_few_clusters" and all(math.isfinite(v) for v in ends)

    @property
    def margin(self) -> float | None:
        """What matters, or None where it was not stated (nothing at or below zero can matter)."""
        usable = self.matters is not None and math.isfinite(self.matters) and self.matters > 0
        return self.matters if usable else None

    @property
    def good(self) -> float:
        """+1 where higher is better, -1 where lower is."""
        return 1.0 if self.better == "higher" else -1.0


@dataclass(frozen=True)
class Weakness:
    """A named reason for trusting an answer less, in plain words without a full stop."""

    name: str
    words: str


@dataclass(frozen=True)
class Verdict:
    """The verdict, its direction ('better', 'worse' or ''), the reasons and what may be printed.

    `rule` (1 to 6) is the one that applied. `estimate`, `conf_low`, `conf_high` and `p_adjusted` are NaN where
    the verdict forbids a number; `smallest_detectable` is in the outcome's unit.
    """

    verdict: VerdictName
    direction: Direction = ""
    reasons: tuple[str, ...] = ()
    smallest_detectable: float = math.nan
    rule: int = 0
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    p_adjusted: float = math.nan
