"""Estimates and their uncertainty: contributions, covariance, jackknife, intervals."""

from evalkit.inference.estimate import Estimate as Estimate
from evalkit.inference.interval import Interval as Interval
from evalkit.inference.stack import stack as stack
