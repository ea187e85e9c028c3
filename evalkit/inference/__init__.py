"""Estimates and their uncertainty: contributions, covariance, jackknife, intervals."""

from evalkit.inference.estimate import Estimate as Estimate
from evalkit.inference.estimate import Interval as Interval
from evalkit.inference.estimate import stack as stack
