"""Checks that could sink a result; each passes, fails or only informs. Public as `ek.checks`.

`evaluate` asks every headline those of its design. What needs something that only the user knows is asked by hand:
`hidden_bias` and `e_value_of_difference` of matched people, `placebo_outcome` and `negative_control` of outcomes that
cannot have moved, `cutoff_checks` of a regression discontinuity.
"""

from evalkit.checks.attrition import Followed as Followed
from evalkit.checks.attrition import followed as followed
from evalkit.checks.attrition import stayers as stayers
from evalkit.checks.carried import carry_over as carry_over
from evalkit.checks.composition import composition as composition
from evalkit.checks.cutoff import cutoff_checks as cutoff_checks
from evalkit.checks.dates import start_dates as start_dates
from evalkit.checks.drift import drift as drift
from evalkit.checks.drift import drift_beside as drift_beside
from evalkit.checks.headline import CheckResult as CheckResult
from evalkit.checks.headline import date_rule as date_rule
from evalkit.checks.headline import few_clusters as few_clusters
from evalkit.checks.headline import growth_taken_out as growth_taken_out
from evalkit.checks.headline import leave_one_cluster as leave_one_cluster
from evalkit.checks.headline import others_still_growing as others_still_growing
from evalkit.checks.headline import pre_trend as pre_trend
from evalkit.checks.headline import rungs as rungs
from evalkit.checks.independence import dominant_place as dominant_place
from evalkit.checks.independence import effective_clusters as effective_clusters
from evalkit.checks.independence import independence as independence
from evalkit.checks.independence import shared_shocks as shared_shocks
from evalkit.checks.one_place import bent_trend as bent_trend
from evalkit.checks.one_place import fit as fit
from evalkit.checks.one_place import leave_one_donor as leave_one_donor
from evalkit.checks.one_place import placebo_date as placebo_date
from evalkit.checks.one_place import placebo_places as placebo_places
from evalkit.checks.people import by_people as by_people
from evalkit.checks.people import e_value_of_difference as e_value_of_difference
from evalkit.checks.people import filled_in as filled_in
from evalkit.checks.people import hidden_bias as hidden_bias
from evalkit.checks.people import negative_control as negative_control
from evalkit.checks.people import placebo_outcome as placebo_outcome
from evalkit.checks.people import same_people as same_people
from evalkit.checks.people import score_form as score_form
from evalkit.checks.scale import scale as scale
from evalkit.checks.scale import untested as untested
from evalkit.checks.sensitivity import robustness_value as robustness_value
from evalkit.checks.sensitivity import sensitivity as sensitivity
from evalkit.checks.sensitivity import sensitivity_of as sensitivity_of
from evalkit.checks.sensitivity import unrecorded as unrecorded
from evalkit.checks.spillover import ONE_WAY as ONE_WAY
from evalkit.checks.spillover import on_neighbours as on_neighbours
from evalkit.checks.spillover import spillover as spillover
from evalkit.checks.trials import attrition as attrition
from evalkit.checks.trials import balance as balance
from evalkit.checks.trials import compliance as compliance
from evalkit.checks.waiting import followed_to as followed_to
