"""The ladder, the verdicts, and `evaluate`: the only chooser of designs."""

from evalkit.evaluation.evaluate import Evaluation as Evaluation
from evalkit.evaluation.evaluate import evaluate as evaluate
from evalkit.evaluation.for_whom import for_whom as for_whom
