"""Covariate adjustment of two-group comparisons: regression, weighting, doubly robust."""

from evalkit.designs.adjust.two_group import ADJUSTMENTS as ADJUSTMENTS
from evalkit.designs.adjust.two_group import Adjusted as Adjusted
from evalkit.designs.adjust.two_group import two_group as two_group
