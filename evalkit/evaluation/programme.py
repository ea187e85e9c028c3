"""Questions asked of a study or an evaluation: where the result came from, value for money, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.decision.prior import prior_of
from evalkit.errors import EvalkitError, OptionError, is_number, spelt
from evalkit.evaluation.decisions import Decisions, decisions_on, every_case
from evalkit.evaluation.decomposition.attribute import Attribution
from evalkit.evaluation.evaluate import evaluate
from evalkit.evaluation.mixed import attribution_on
from evalkit.evaluation.results import Evaluation
from evalkit.evaluation.value.costs import Prices
from evalkit.evaluation.value.money import DRAWS, Value, value_of
from evalkit.show.words import join_words
from evalkit.study import Outcome, Study

if TYPE_CHECKING:
    from evalkit.rollouts.planning import RolloutPlan


def attribute(source: Study | Evaluation, outcome: str | Outcome | None = None) -> Attribution:
    """Attribute the programme's total effect on one outcome to its components.

    source: a Study (which is evaluated first) or an Evaluation. outcome: default the first. The total comes
    from outcomes imputed for every exposed cell (Borusyak, Jaravel and Spiess 2024); own effects are the
    headlines over the cells they claim, less identified interactions; what everything claimed leaves of
    the total is split by whether all that was on had been compared ("unexplained"), could not be told
    apart, or was not compared at all ("beyond"). People periods are taken as they are. Where several components are
    seen at one time the total is the sum over mixes (`ek.MixComparison`), and its pieces what each did alone and what
    sets of them did beyond that.

    Raises `EvalkitError` for anything but a Study or an Evaluation."""
    evaluation = _evaluated(source, "attribute")
    return attribution_on(evaluation, evaluation.study.outcome(outcome))


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
    anything on. price_year, inflation: bring amounts with a price_year of their own to that year; by default as the
    study file states in its table [evaluate]. worth: what
    one outcome may be worth, for the acceptability curve. draws: how many (seeded by the evaluation).

    Raises `OptionError` for rates, years or draws that make no sense."""
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise OptionError(f"draws={spelt(draws)} is not a choice. Use a whole number, 100 or more.")
    evaluation = _evaluated(source, "value_for_money")
    prices = Prices(discount, price_year, inflation)
    if price_year is None:
        prices = Prices.stated(evaluation.study.settings, discount)
    return value_of(evaluation, evaluation.study.outcome(outcome), prices, worth, draws)


def decide(
    evaluation: Evaluation, prior: str | Path = "sceptical", worth: float | Sequence[float] | None = None,
    rollout: RolloutPlan | None = None,
) -> Decisions:  # fmt: skip
    """Lean, chance, what is to be had and what to do next, for every component, combination and the programme.

    prior: "sceptical" (normal, one in six beyond what matters either way), "flat", or the file of a pool. worth: what
    one more outcome (or one fewer, where lower is better) is worth for one unit and period, in the currency and prices
    of the costs: one amount, or the two ends of a range; by default what the table of unit costs says. A line whose
    amounts do not go together, or of which the prior does not speak, is held, with its reason. rollout: the next one
    (`ek.next_rollout`): what it would tell of the outcome that it is planned for, and what it costs, then decide
    whether a test is worth it, instead of the rule "as much again".

    Rules, formulas and what they were measured to do: docs/decisions, "From a range to an act". Raises `OptionError`
    for a prior or a worth that makes no sense.
    """
    known, given = prior_of(prior), _worth(worth)
    if not isinstance(evaluation, Evaluation):
        raise EvalkitError(f"decide needs an Evaluation; it got {type(evaluation).__name__}.")
    if rollout is not None:
        _check_rollout(rollout, evaluation.study)
    if (known.name, given, rollout) == ("sceptical", None, None):
        return evaluation.decisions
    evaluation.check_whole("decide")
    return decisions_on(every_case(evaluation, given, rollout), known, evaluation.study.currency)


def _check_rollout(rollout: object, study: Study) -> None:
    """Raise `OptionError` for what is no plan of the study's components and outcomes."""
    from evalkit.rollouts.planning import RolloutPlan

    if not isinstance(rollout, RolloutPlan):
        raise OptionError(f"rollout={spelt(rollout)} is not a choice. Give what ek.next_rollout(study) made.")
    rollout.check_possible()
    unknown = {n for names in rollout.brief.members for n in names} - {c.name for c in study.components}
    if unknown or rollout.outcome not in ("", *(o.column for o in study.outcomes)):
        what = f"components {join_words(sorted(map(repr, unknown)))}" if unknown else f"outcome {rollout.outcome!r}"
        raise OptionError(
            f"The rollout is planned for {what}, which the study does not have. Give what ek.next_rollout(study) made."
        )


def _worth(given: float | Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    ends = tuple(given) if isinstance(given, Iterable) else (given,)
    if len(ends) not in (1, 2) or not all(is_number(w) and w > 0 for w in ends) or ends[0] > ends[-1]:
        raise OptionError(
            f"worth={spelt(given)} is not a choice. Give what one outcome is worth, above 0, or the two ends of a "
            "range such as (750, 1050), in the currency and prices of the costs."
        )
    return float(ends[0]), float(ends[-1])


def _evaluated(source: Study | Evaluation, asked: str) -> Evaluation:
    evaluation = evaluate(source) if isinstance(source, Study) else source
    if not isinstance(evaluation, Evaluation):
        raise EvalkitError(f"{asked} needs a Study or an Evaluation; it got {type(source).__name__}.")
    evaluation.check_whole(asked)
    return evaluation
