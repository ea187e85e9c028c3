"""Checks that could sink a result; each passes, fails or only informs."""

from evalkit.checks.by_people import by_people as by_people
from evalkit.checks.cutoff import cutoff_checks as cutoff_checks
from evalkit.checks.date_rule import date_rule as date_rule
from evalkit.checks.few_clusters import few_clusters as few_clusters
from evalkit.checks.growth_taken_out import growth_taken_out as growth_taken_out
from evalkit.checks.leave_one_cluster import leave_one_cluster as leave_one_cluster
from evalkit.checks.others_still_growing import others_still_growing as others_still_growing
from evalkit.checks.placebo import negative_control as negative_control
from evalkit.checks.placebo import placebo_outcome as placebo_outcome
from evalkit.checks.pre_trend import pre_trend as pre_trend
from evalkit.checks.result import CheckResult as CheckResult
from evalkit.checks.rungs import rungs as rungs
from evalkit.checks.score_form import score_form as score_form
from evalkit.checks.sensitivity import hidden_bias as hidden_bias
from evalkit.checks.stayers import stayers as stayers
