"""Designs: frozen choices that are called on a study and a component."""

from evalkit.designs.people.cutoff import RegressionDiscontinuity as RegressionDiscontinuity
from evalkit.designs.people.matched import MatchedComparison as MatchedComparison
from evalkit.designs.people.weighted import WeightedComparison as WeightedComparison
from evalkit.designs.regression.imputation import Imputation as Imputation
from evalkit.designs.regression.joint import JointEventStudy as JointEventStudy
from evalkit.designs.regression.twoway import TwoWayFixedEffects as TwoWayFixedEffects
from evalkit.designs.rollout.did import DifferenceInDifferences as DifferenceInDifferences
from evalkit.designs.rollout.staggered import StaggeredRollout as StaggeredRollout
from evalkit.designs.rollout.triple import TripleDifference as TripleDifference
