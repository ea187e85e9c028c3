"""Checks that could sink a result; each passes, fails or only informs."""

from evalkit.checks.cutoff import cutoff_checks as cutoff_checks
from evalkit.checks.people import by_people as by_people
from evalkit.checks.people import hidden_bias as hidden_bias
from evalkit.checks.people import score_form as score_form
from evalkit.checks.placebo import negative_control as negative_control
from evalkit.checks.placebo import placebo_outcome as placebo_outcome
from evalkit.checks.result import CheckResult as CheckResult
from evalkit.checks.stability import date_rule as date_rule
from evalkit.checks.stability import few_clusters as few_clusters
from evalkit.checks.stability import leave_one_cluster as leave_one_cluster
from evalkit.checks.stability import rungs as rungs
from evalkit.checks.stability import stayers as stayers
from evalkit.checks.trends import growth_taken_out as growth_taken_out
from evalkit.checks.trends import others_still_growing as others_still_growing
from evalkit.checks.trends import pre_trend as pre_trend
