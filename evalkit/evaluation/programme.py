"""The programme as a whole, asked of a study or of an evaluation: where the result came from, and value for money."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import EvalkitError, OptionError
from evalkit.evaluation.decomposition.attribute import Attribution, attribution_of
from evalkit.evaluation.evaluate import evaluate
from evalkit.evaluation.results import Evaluation
from evalkit.evaluation.value.costs import Prices
from evalkit.evaluation.value.money import DRAWS, Value, value_of
from evalkit.study import Outcome, Study


def attribute(source: Study | Evaluation, outcome: str | Outcome | None = None) -> Attribution:
    """Attribute the programme's total effect on one outcome to its components (design 2.7).

    source: a Study (which is evaluated first) or an Evaluation. outcome: default the first. The total comes
    from outcomes imputed for every exposed cell (Borusyak, Jaravel and Spiess 2024); own effects are the
    headlines over the cells they claim, less identified interactions; what everything claimed leaves of
    the total is split by whether all that was on had been compared ("unexplained"), could not be told
    apart, or was not compared at all ("beyond"). People periods are taken as they are.

    Raises `EvalkitError` for anything but a Study or an Evaluation."""
    evaluation = _evaluated(source, "attribute")
    return attribution_of(evaluation, evaluation.study.outcome(outcome))


def value_for_money(
    source: Study | Evaluation,
    outcome: str | Outcome | None = None,
    *,
    discount: float = 0.035,
    price_year: int | None = None,
    inflation: float | None = None,
    worth: Sequence[float] | None = None,
    draws: int = DRAWS,
) -> Value:
    """What one more outcome cost, by component, with limits from draws of the joint estimate.

    source: a Study (which is evaluated first) or an Evaluation. outcome: default the first. discount: yearly
    rate for costs and outcomes (3.5% as the Treasury's Green Book), counted from the first period with
    anything on. price_year, inflation: bring amounts with a price_year of their own to that year. worth: what
    one outcome may be worth, for the acceptability curve. draws: how many (seeded by the evaluation).

    Raises `OptionError` for rates, years or draws that make no sense."""
    prices = Prices(discount, price_year, inflation)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise OptionError(f"draws={draws!r} is not a choice. Use a whole number, 100 or more.")
    evaluation = _evaluated(source, "value_for_money")
    return value_of(evaluation, evaluation.study.outcome(outcome), prices, worth, draws)


def _evaluated(source: Study | Evaluation, asked: str) -> Evaluation:
    evaluation = evaluate(source) if isinstance(source, Study) else source
    if not isinstance(evaluation, Evaluation):
        raise EvalkitError(f"{asked} needs a Study or an Evaluation; it got {type(source).__name__}.")
    evaluation.check_whole(asked)
    return evaluation
