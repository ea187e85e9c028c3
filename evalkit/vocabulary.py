"""Words of the domain as types, and their values in order: verdicts, statuses, kinds, what a check says, options.

Where an argument has one of these types, mypy refuses a word that is misspelt or that means something else.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

VerdictName = Literal["shown", "likely", "cannot_tell_apart", "cannot_tell", "no_sign", "not_tested"]
Direction = Literal["better", "worse", ""]
Lean = Literal[
    "harm_ruled_out", "benefit_ruled_out", "both_ruled_out", "leans_better", "leans_worse", "says_nothing", "",
]  # fmt: skip
"""What a likely range leaves out, beside the verdict and never instead of it; '' without a range."""
Act = Literal["keep_and_extend", "keep", "hold_and_test", "stop", "pool", "no_evidence"]
Status = Literal[
    "separable", "additive_only", "bundle_only", "swap_only", "one_place", "too_few_clusters", "not_tested"
]  # fmt: skip
"""What exposures allow of one component: see `Separability`."""

CombinationKind = Literal["together", "swap", "sum"]
"""How components that are only identified together stand in it: all at once, added, or one instead of another."""

OutcomeKind = Literal["share", "count", "rate", "score", "log", "money", "time_to_event"]
WaitingEffect = Literal["share", "time"]
"""What of an outcome that waits for an event is compared: the share with it by a date, or the mean time until then."""
Better = Literal["higher", "lower"]
Family = Literal["outcome", "all"]
Hold = Literal["auto", "rows", "cells"]
"""Over which claims false ones are held at 5%: the components of each outcome, or those of all outcomes."""

Missing = Literal["refuse", "indicator", "impute"]
"""What is done where covariates are missing: nothing, and say so; a column that says where; or several fillings."""

CheckStatus = Literal["passed", "failed", "informational"]
DriftWord = Literal["shown", "likely", "nothing", "untested"]
"""How much of a claim a step beside a straight line carries: see `checks/drift.py`."""
PeopleCheck = Literal["passed", "failed", "untestable", "not_needed"]
"""What a verdict makes of the check by people."""

ComparisonGroup = Literal["not_yet", "never"]
Compare = Literal["within", "cross_sections"]
"""Whether each unit is set against itself, or whoever was there at each time."""
Count = Literal["people", "places"]
"""What counts alike where people are gathered in places."""
Others = Literal["same", "unchanged", "ignored"]
"""What must hold of the other components where starts are compared."""
PeopleOthers = Literal["same", "balanced", "ignored"]
"""What must hold of the other components where people are compared."""
Adjust = Literal["reg", "ipw", "dr"]
Assigned = Literal["randomised"]
"""How it was decided who has a component, where that was not left to people."""
PartPeriod = Literal["exclude", "half", "full"]
Dates = Literal["as_given", "early", "late"]
Restriction = Literal["smoothness", "relative_magnitudes"]
"""What bounds the drift apart in `honest_intervals`."""

BestDesign = Literal[
    "StaggeredRollout(same)", "StaggeredRollout(unchanged)", "TripleDifference", "JointEventStudy",
    "JointEventStudy(dose)", "MatchedComparison", "WeightedComparison", "RandomisedComparison",
    "SyntheticDifferenceInDifferences", "DifferenceBesidePlaces", "InterruptedTimeSeries(control)",
    "InterruptedTimeSeries", "bundle", "swap", "",
]  # fmt: skip
"""The strongest way to estimate one component: a rung of the ladder, with others, or none."""

SAME: Final = "StaggeredRollout(same)"
UNCHANGED: Final = "StaggeredRollout(unchanged)"
TRIPLE: Final = "TripleDifference"
JOINT: Final = "JointEventStudy"
DOSE: Final = "JointEventStudy(dose)"
MATCHED: Final = "MatchedComparison"
WEIGHTED: Final = "WeightedComparison"
RANDOMISED: Final = "RandomisedComparison"
FLEXIBLE: Final = "FlexibleComparison"
SYNTHETIC_DIFFERENCE: Final = "SyntheticDifferenceInDifferences"
BESIDE_PLACES: Final = "DifferenceBesidePlaces"
CONTROLLED_SERIES: Final = "InterruptedTimeSeries(control)"
SERIES: Final = "InterruptedTimeSeries"
BESIDE_UNTOUCHED: Final = "BesideUntouched"
ON_NEIGHBOURS: Final = "OnNeighbours"
COMBINATION: Final = "JointCombination"

VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
LEANS: tuple[Lean, ...] = get_args(Lean)
ACTS: tuple[Act, ...] = get_args(Act)
STATUSES: tuple[Status, ...] = get_args(Status)
ESTIMATED: tuple[Status, ...] = ("separable", "additive_only", "one_place")
"""Statuses of components that have a number of their own."""
COMBINATION_KINDS: tuple[CombinationKind, ...] = get_args(CombinationKind)
OUTCOME_KINDS: tuple[OutcomeKind, ...] = get_args(OutcomeKind)
CHECK_STATUSES: tuple[CheckStatus, ...] = get_args(CheckStatus)
RESTRICTIONS: tuple[Restriction, ...] = get_args(Restriction)
DRIFT_WORDS: tuple[DriftWord, ...] = get_args(DriftWord)
PEOPLE_CHECKS: tuple[PeopleCheck, ...] = get_args(PeopleCheck)
