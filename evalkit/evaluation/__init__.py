"""The ladder, the verdicts, and `evaluate`: the only chooser of designs."""

from evalkit.evaluation.evaluate import Evaluation as Evaluation
from evalkit.evaluation.evaluate import evaluate as evaluate
