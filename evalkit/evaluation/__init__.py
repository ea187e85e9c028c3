"""The ladder, the verdicts, and `evaluate`: the only chooser of designs."""

from evalkit.evaluation.evaluate import evaluate as evaluate
from evalkit.evaluation.results import Evaluation as Evaluation
