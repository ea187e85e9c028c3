"""Estimates and their uncertainty: influence, covariance, refits, intervals."""

from evalkit.inference.estimate import Estimate as Estimate
from evalkit.inference.intervals import Interval as Interval
from evalkit.inference.stacking import stack as stack
