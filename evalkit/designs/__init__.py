"""Designs: frozen choices that are called on a study and a component."""

from evalkit.designs.did import DifferenceInDifferences as DifferenceInDifferences
from evalkit.designs.discontinuity import RegressionDiscontinuity as RegressionDiscontinuity
from evalkit.designs.imputation import Imputation as Imputation
from evalkit.designs.joint import JointEventStudy as JointEventStudy
from evalkit.designs.matched import MatchedComparison as MatchedComparison
from evalkit.designs.staggered import StaggeredRollout as StaggeredRollout
from evalkit.designs.triple import TripleDifference as TripleDifference
from evalkit.designs.twoway import TwoWayFixedEffects as TwoWayFixedEffects
from evalkit.designs.weighted import WeightedComparison as WeightedComparison
