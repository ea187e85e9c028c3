"""Value for money: what components cost, what one more outcome cost, and what was paid for outcomes that would have
happened anyway (design 2.7). Costs, payments and effects cover the same people periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError
from evalkit.evaluation.decomposition.attribute import label_of
from evalkit.evaluation.evaluate import evaluate
from evalkit.evaluation.results import Evaluation
from evalkit.evaluation.value.costs import Prices, Purse
from evalkit.evaluation.value.lines import Case, Line, make_case, repriced, sources_of
from evalkit.evaluation.value.words import line_words, ratio_words
from evalkit.show.numbers import pounds
from evalkit.show.tables import Table, from_frame
from evalkit.show.words import count_words
from evalkit.study import Outcome, Study
from evalkit.study.money import BEARERS, PROGRAMME

DRAWS = 9999
SHOWN_DRAWS = 500
RATES = (0.0, 0.015, 0.06)
TABLE = ("name", "label", "kind", "components", "people_periods", "gross", "expected_without", "additional",
         "additional_low", "additional_high", "cost", "cost_compared", "cost_per_outcome", "cost_low", "cost_high",
         "paid", "paid_per_outcome", "paid_low", "paid_high", "paid_anyway", "paid_anyway_low", "paid_anyway_high",
         "words")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Value:
    """Value for money on one outcome. "Additional" counts towards what is better: avoided where lower is better.

    table: a row a component, bundle and programme: gross, expected_without and additional outcomes in people
        periods; cost (all of it), cost_compared (what falls on the people periods compared),
        cost_per_outcome with limits (infinite where the effect may be zero); payments likewise, and
        paid_anyway, what was paid for outcomes expected without it; words. No ratio without an effect.
    costs: component, bearer, amount, from. benefits: worth of the additional outcomes by bearer, with limits.
    acceptability: chance that outcomes are worth more than they cost, by what one is worth.
    plane: draws of additional outcomes beside the cost. sensitivity: cost per outcome under other choices.
    """

    outcome: Outcome
    discount: float
    level: float
    table: pd.DataFrame
    costs: pd.DataFrame
    benefits: pd.DataFrame
    acceptability: pd.DataFrame
    plane: pd.DataFrame
    sensitivity: pd.DataFrame
    notes: tuple[str, ...]

    def summary(self) -> Table:
        """What each part cost, and one more outcome of it, as an accessible table."""
        frame = self.table[["label", "cost", "words"]].assign(cost=[_money(c) for c in self.table["cost"]])
        labels = {"label": "Part", "cost": "Cost", "words": "What one more cost"}
        return from_frame(frame, f"Value for money: {self.outcome.label}", labels, note=" ".join(self.notes))

    def __repr__(self) -> str:
        return self.summary().to_text(110)

    def _repr_html_(self) -> str:
        return self.summary().to_html()


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

    Raises `OptionError` for rates, years or draws that make no sense.
    """
    _check(discount, price_year, inflation, draws)
    if isinstance(source, Study):
        source = evaluate(source)
    if not isinstance(source, Evaluation):
        raise EvalkitError(f"value_for_money needs a Study or an Evaluation; it got {type(source).__name__}.")
    source.check_whole("value_for_money")
    chosen = source.study.outcome(outcome)
    prices = Prices(float(discount), price_year, inflation)
    purse = Purse(source.study, chosen, prices)
    case = make_case(source, sources_of(source, purse, RATES), purse, draws)
    table = pd.DataFrame([_row(line, case) for line in case.lines], columns=list(TABLE))
    grid = _worth(case, worth)
    return Value(
        chosen, prices.discount, source.level, table,
        costs=case.purse.by_bearer([*(c.name for c in source.study.components), PROGRAMME]),
        benefits=_benefits(case),
        acceptability=_acceptability(case, grid),
        plane=_plane(case),
        sensitivity=_sensitivity(source, case, draws),
        notes=_notes(case),
    )  # fmt: skip


def _check(discount: float, price_year: int | None, inflation: float | None, draws: int) -> None:
    for name, rate in (("discount", discount), ("inflation", inflation)):
        if rate is not None and not (isinstance(rate, (int, float)) and 0 <= rate < 1):
            raise OptionError(f"{name}={rate!r} is not a yearly rate. Use a number from 0 to 1, such as 0.035.")
    if (price_year is None) != (inflation is None):
        raise OptionError("price_year and inflation go together: the year, and the yearly rate that leads to it.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise OptionError(f"draws={draws!r} is not a choice. Use a whole number, 100 or more.")


def _money(amount: float) -> str:
    return pounds(amount) if np.isfinite(amount) else "not given"


def _row(line: Line, case: Case) -> dict[str, object]:
    low, high = line.spread
    cost, paid, anyway = line.cost_ratio(case.level), line.paid_ratio(case.level), line.paid_anyway
    return {
        "name": line.name, "label": line.label, "kind": line.kind, "components": line.members,
        "people_periods": line.people_periods, "gross": line.gross, "expected_without": line.expected_without,
        "additional": line.additional, "additional_low": low, "additional_high": high, "cost": line.cost.whole,
        "cost_compared": line.cost.compared, "cost_per_outcome": cost.value, "cost_low": cost.low,
        "cost_high": cost.high, "paid": line.paid, "paid_per_outcome": paid.value, "paid_low": paid.low,
        "paid_high": paid.high, "paid_anyway": anyway[0], "paid_anyway_low": anyway[1], "paid_anyway_high": anyway[2],
        "words": line_words(line, case),
    }  # fmt: skip


# ---------------------------------------------------------------- what follows from the draws


def _worth(case: Case, given: Sequence[float] | None) -> np.ndarray:
    """What one outcome may be worth: as given, else from nothing to well above the dearest ratio."""
    if given is not None:
        grid = np.asarray(given, dtype=float)
        if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or (grid < 0).any():
            raise OptionError("worth is a list of amounts, 0 or more.")
        return np.sort(grid)
    found = [r.high if np.isfinite(r.high) else 4 * r.low for r in (x.cost_ratio(case.level) for x in case.lines)]
    top = max([1.5 * f for f in found if np.isfinite(f)] + [2 * sum(case.values["value"])], default=0.0)
    return np.linspace(0.0, top, 51) if top > 0 else np.zeros(1)


def _acceptability(case: Case, grid: np.ndarray) -> pd.DataFrame:
    """name, label, worth, chance: one curve a line with an effect and a cost."""
    parts = [
        pd.DataFrame({"name": x.name, "label": x.label, "worth": grid, "chance": x.acceptable(grid)})
        for x in case.lines
        if x.counts
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["name", "label", "worth", "chance"])


def _plane(case: Case) -> pd.DataFrame:
    """name, label, draw, additional, cost: the first draws of each line, both discounted."""
    parts = []
    for x in case.lines:
        if x.counts:
            gain = x.gains[:SHOWN_DRAWS]
            parts.append(pd.DataFrame({"name": x.name, "label": x.label, "draw": np.arange(len(gain)),
                                       "additional": gain, "cost": x.cost.discounted}))  # fmt: skip
    columns = ["name", "label", "draw", "additional", "cost"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _benefits(case: Case) -> pd.DataFrame:
    """Worth of the additional outcomes (discounted) by row of the unit costs, and what is left after the cost."""
    keep = [c for c in ("bearer", "agency", "price_year", "grade") if c in case.values.columns]
    rows = []
    for x in (x for x in case.lines if x.counts):
        for _, value in case.values.iterrows():
            low, high = np.sort(np.array(x.gain_limits(case.level)) * value["value"])
            rows.append({"name": x.name, "label": x.label, **{c: value[c] for c in keep},
                         "value": value["value"], "benefit": x.gain * value["value"],
                         "benefit_low": low, "benefit_high": high})  # fmt: skip
    columns = ["name", "label", *keep, "value", "benefit", "benefit_low", "benefit_high"]
    return pd.DataFrame(rows, columns=columns)


def _sensitivity(evaluation: Evaluation, case: Case, draws: int) -> pd.DataFrame:
    """scenario, name, label, cost_per_outcome, cost_low, cost_high, words: one choice changed at a time."""
    base = case.purse.prices
    scenarios = [("as chosen", base)]
    if case.purse.years is not None:
        scenarios += [(f"discounted at {100 * r:g}% a year", replace(base, discount=r)) for r in RATES]
    scenarios += [(f"costs {w} by a fifth", replace(base, factor=f)) for w, f in (("higher", 1.2), ("lower", 0.8))]
    if (case.purse.by_bearer([*case.purse.study.paths.components, PROGRAMME])["bearer"] != "fiscal").any():
        scenarios.append(("fiscal costs only", replace(base, bearers=BEARERS[:1])))
    rows = []
    for words, prices in scenarios:
        other = _under(evaluation, case, prices, draws)
        for x in (x for x in other.lines if x.counts):
            r = x.cost_ratio(case.level)
            rows.append((words, x.name, x.label, r.value, r.low, r.high, ratio_words(r, x, other)))
    columns = ["scenario", "name", "label", "cost_per_outcome", "cost_low", "cost_high", "words"]
    return pd.DataFrame(rows, columns=columns)


def _under(evaluation: Evaluation, case: Case, prices: Prices, draws: int) -> Case:
    base, purse = case.purse.prices, Purse(case.purse.study, case.outcome, prices)
    if prices is base:
        return case
    return (
        repriced(case, purse) if prices.discount == base.discount else make_case(evaluation, case.sources, purse, draws)
    )


def _notes(case: Case) -> tuple[str, ...]:
    purse, out = case.purse, []
    if purse.years is None:
        out.append("Nothing is discounted: the periods of this study have no place in years.")
    else:
        out.append(f"Costs and outcomes are discounted at {100 * purse.prices.discount:g}% a year.")
    out.append("Ratios set the cost of the people periods compared against the outcomes added there.")
    if any(x.kind == "component" for x in case.lines) and np.isfinite(purse.paid[1]):
        out.append("Payments are not divided among components that were on together.")
    if np.isfinite(purse.paid[1]):
        out.append(f"Payments: {pounds(purse.paid[1])} in all, from {purse.paid[2]}.")
    if lost := purse.outside:
        out.append(f"In {count_words(lost, 'row')} of the costs nothing was on in the period named: that money is "
                   "shared out over all people periods exposed.")  # fmt: skip
    counted = {m for x in case.lines if x.kind == "programme" for m in x.members}
    left_out = [c for c in purse.study.paths.components if counted and c not in counted and purse.has_cost(c)]
    if left_out:
        out.append(f"The programme as a whole is what was compared: the cost of {label_of(purse.study, left_out)} is "
                   "not in its line, because nobody here was without it.")  # fmt: skip
    sums = [x.members for x in case.lines if x.kind == "bundle"]
    in_two = [m for m in purse.study.paths.components if sum(m in s for s in sums) > 1]
    if in_two:
        label = label_of(purse.study, in_two)
        out.append(f"{label} is part of several lines, each of which shows all of its cost." if len(in_two) == 1 else
                   f"{label} are parts of several lines, each of which shows all of their cost.")  # fmt: skip
    years = sorted(_years(purse))
    if len(years) > 1 and purse.prices.price_year is None:
        said = ", ".join(map(str, years))
        out.append(f"Amounts of several price years ({said}) are added as they stand; inflation= brings them together.")
    return tuple(out)


def _years(purse: Purse) -> set[int]:
    tables = [purse.money.table(name) for name in ("costs", "unit_costs")]
    return {int(y) for t in tables if t is not None and "price_year" in t.columns for y in t["price_year"].dropna()}
