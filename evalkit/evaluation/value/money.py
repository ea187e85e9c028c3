"""Value for money: what components cost, what one more outcome cost, and what was paid for outcomes that would have
happened anyway. Costs, payments and effects cover the same people periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.errors import OptionError
from evalkit.evaluation.decomposition.attribute import label_of
from evalkit.evaluation.evidence import Evaluated
from evalkit.evaluation.value.costs import Costs, Prices
from evalkit.evaluation.value.lines import (
    Case,
    Grains,
    Line,
    Ratio,
    acceptable,
    as_it_is,
    effects_of,
    limits,
    make_case,
    repriced,
    thresholds,
)
from evalkit.show.numbers import pounds, pounds_outwards
from evalkit.show.tables import Table, from_frame
from evalkit.show.words import count_words, full_stop, quoted, sentences
from evalkit.study import Outcome
from evalkit.study.money import PROGRAMME
from evalkit.study.schema import BEARERS

DRAWS = 9999
SHOWN_DRAWS = 500
EVEN, MOST = 0.5, 0.8
RATES = (0.0, 0.015, 0.06)


@dataclass(frozen=True, eq=False)
class Value:
    """Value for money on one outcome. "Additional" counts towards what is better: avoided where lower is better.

    table: a row a component, bundle and programme: gross, expected_without and additional outcomes in people
        periods; cost (all of it), cost_compared (what falls on the people periods compared),
        cost_per_outcome with limits (infinite where the effect may be zero); payments likewise, and
        paid_anyway, what was paid for outcomes expected without it; words. No ratio without an effect.
    costs: component, bearer, amount, from. benefits: worth of the additional outcomes by bearer, with limits.
    acceptability: chance that outcomes are worth more than they cost, by what one is worth.
    plane: draws of additional outcomes beside the cost. sensitivity: cost per outcome under other choices."""

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
    currency: str = "£"

    def summary(self) -> Table:
        """What each part cost, and one more outcome of it, as an accessible table."""
        frame = self.table[["label", "cost", "words"]]
        frame = frame.assign(
            cost=[pounds(c, currency=self.currency) if np.isfinite(c) else "not given" for c in frame["cost"]]
        )
        labels = {"label": "Part", "cost": "Cost", "words": "What one more cost"}
        return from_frame(frame, f"Value for money: {self.outcome.label}", labels, note=" ".join(self.notes))

    def __repr__(self) -> str:
        return self.summary().to_text(110)

    def _repr_html_(self) -> str:
        return self.summary().to_html()


def value_of(
    evaluation: Evaluated,
    outcome: Outcome,
    prices: Prices | None = None,
    worth: Sequence[float] | None = None,
    draws: int = DRAWS,
    rounding: tuple[Grains, Mapping[str, float]] = (as_it_is, {}),
) -> Value:
    """Value for money on one outcome; options as in `value_for_money`. rounding: how coarse lines are, and what unit
    costs are multiplied by. Raises `OptionError` for a `worth` that makes no sense."""
    grains, heads = rounding
    prices = Prices.stated(evaluation.study.settings) if prices is None else prices
    costs = Costs(evaluation.study.weighing(outcome), outcome, prices, heads)
    case = make_case(effects_of(evaluation, costs, RATES), costs, draws, grains)
    table = pd.DataFrame([_row(line, case) for line in case.lines])
    points = [  # the first draws of each line beside its cost, both discounted
        {"name": x.name, "label": x.label, "draw": np.arange(len(gain)), "additional": gain, "cost": x.cost.discounted}
        for x, gain in ((x, x.gains[:SHOWN_DRAWS]) for x in case.lines if x.counts)
    ]
    given = costs.by_bearer([*(c.name for c in evaluation.study.components), PROGRAMME])
    return Value(
        outcome, float(costs.prices.discount), evaluation.level, table, given, _benefits(case),
        _acceptability(case, worth), _joined(points, ["name", "label", "draw", "additional", "cost"]),
        _sensitivity(case, draws), _notes(case), evaluation.study.currency,
    )  # fmt: skip


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


def _acceptability(case: Case, worth: Sequence[float] | None) -> pd.DataFrame:
    """name, label, worth, chance: one curve a line with an effect and a cost, over what one outcome may be worth: as
    given, else from nothing to well above the dearest ratio, with the very worths at which a line has an even chance
    and one of four in five."""
    if worth is not None:
        grid = np.asarray(worth, dtype=float)
        if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or (grid < 0).any():
            raise OptionError("worth is a list of amounts, 0 or more.")
        grid = np.sort(grid)
    else:
        found = [r.high if np.isfinite(r.high) else 4 * r.low for r in (x.cost_ratio(case.level) for x in case.lines)]
        top = max([1.5 * f for f in found if np.isfinite(f)] + [2 * sum(case.unit_costs["value"])], default=0.0)
        solved = [
            t for x in case.lines if x.counts for t in thresholds(x.cost.discounted, x.gains, EVEN, MOST) if t <= top
        ]
        grid = np.unique([*np.linspace(0.0, top, 51), *solved]) if top > 0 else np.zeros(1)
    parts = [
        {"name": x.name, "label": x.label, "worth": grid, "chance": acceptable(x.cost.discounted, x.gains, grid)}
        for x in case.lines
        if x.counts
    ]
    return _joined(parts, ["name", "label", "worth", "chance"])


def _joined(parts: Sequence[Mapping[str, object]], columns: list[str]) -> pd.DataFrame:
    return pd.concat(map(pd.DataFrame, parts), ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _benefits(case: Case) -> pd.DataFrame:
    """Worth of the additional outcomes (discounted) by row of the unit costs, and what is left after the cost."""
    keep = [c for c in ("bearer", "agency", "price_year", "grade") if c in case.unit_costs.columns]
    rows = []
    for x in (x for x in case.lines if x.counts):
        for _, value in case.unit_costs.iterrows():
            low, high = np.sort(np.array(limits(x.gains, case.level)) * value["value"])
            rows.append({"name": x.name, "label": x.label, **{c: value[c] for c in keep},
                         "value": value["value"], "benefit": x.gain * value["value"],
                         "benefit_low": low, "benefit_high": high})  # fmt: skip
    return pd.DataFrame(rows, columns=["name", "label", *keep, "value", "benefit", "benefit_low", "benefit_high"])


def _sensitivity(case: Case, draws: int) -> pd.DataFrame:
    """scenario, name, label, cost_per_outcome, cost_low, cost_high, words: one choice changed at a time."""
    costs, base = case.costs, case.costs.prices
    scenarios = [("as chosen", base)]
    if costs.years is not None:
        scenarios += [(f"discounted at {100 * r:g}% a year", replace(base, discount=r)) for r in RATES]
    scenarios += [(f"costs {w} by a fifth", replace(base, factor=f)) for w, f in (("higher", 1.2), ("lower", 0.8))]
    if (costs.by_bearer([*costs.study.paths.components, PROGRAMME])["bearer"] != "fiscal").any():
        scenarios.append(("fiscal costs only", replace(base, bearers=BEARERS[:1])))
    rows = []
    for words, prices in scenarios:
        other, under = case, replace(costs, prices=prices)
        if prices is not base:
            same = prices.discount == base.discount
            other = repriced(case, under) if same else make_case(case.effects, under, draws, case.grains)
        for x in (x for x in other.lines if x.counts):
            r = x.cost_ratio(case.level)
            rows.append((words, x.name, x.label, r.value, r.low, r.high, ratio_words(r, x, other)))
    return pd.DataFrame(rows, columns="scenario name label cost_per_outcome cost_low cost_high words".split())


def _notes(case: Case) -> tuple[str, ...]:
    costs, out = case.costs, []
    discounted = f"Costs and outcomes are discounted at {100 * costs.prices.discount:g}% a year."
    nothing = "Nothing is discounted: the periods of this study have no place in years."
    out.append(nothing if costs.years is None else discounted)
    out.append("Ratios set the cost of the people periods compared against the outcomes added there.")
    if any(x.kind == "component" for x in case.lines) and np.isfinite(costs.paid[1]):
        out.append("Payments are not divided among components that were on together.")
    if np.isfinite(costs.paid[1]):
        grain = case.grains(case.lines[-1])
        paid = costs.paid[1] if grain is None else float(grain.amounts(costs.paid[1]))
        out.append(f"Payments: {pounds(paid, currency=costs.study.currency)} in all, from {costs.paid[2]}.")
    if lost := costs.outside:
        out.append(f"In {count_words(lost, 'row')} of the costs nothing was on in the period named: that money is "
                   "shared out over all people periods exposed.")  # fmt: skip
    counted = {m for x in case.lines if x.kind == "programme" for m in x.members}
    left_out = [c for c in costs.study.paths.components if counted and c not in counted and costs.has_cost(c)]
    if left_out:
        out.append(f"The programme as a whole is what was compared: the cost of {label_of(costs.study, left_out)} is "
                   "not in its line, because nobody here was without it.")  # fmt: skip
    sums = [x.members for x in case.lines if x.kind == "bundle"]
    in_two = [m for m in costs.study.paths.components if sum(m in s for s in sums) > 1]
    if in_two:
        are, their = ("is part", "its") if len(in_two) == 1 else ("are parts", "their")
        label = label_of(costs.study, in_two)
        out.append(f"{label} {are} of several lines, each of which shows all of {their} cost.")
    if odd := costs.unlike([*costs.study.paths.components, PROGRAMME]):
        out.append(f"Costs are in {odd}, and nothing says what one is in the other: such amounts are not added up.")
    tables = [costs.money.costs, costs.money.unit_costs]
    years = sorted({int(y) for t in tables if t is not None and "price_year" in t for y in t["price_year"].dropna()})
    if len(years) > 1 and costs.prices.price_year is None:
        said = ", ".join(map(str, years))
        out.append(f"Amounts of several price years ({said}) are added as they stand; inflation= brings them together.")
    return tuple(out)


def line_words(line: Line, case: Case) -> str:
    """One or two sentences: cost, cost for one more outcome, or why it is not given."""
    if line.kind == "not_given":
        whole = pounds(line.cost.whole, currency=case.costs.study.currency)
        cost = f"it cost {whole}" if np.isfinite(line.cost.whole) else "no cost is given"
        return sentences(f"no effect of it alone is identified, so no cost for one more is given; {cost}", line.reason)
    if not line.priced:
        odd = case.costs.unlike([*line.members, *([PROGRAMME] if line.kind == "programme" else [])])
        return f"Its costs are in {odd}, which are not added up." if odd else "No cost is given."
    if line.outcome.said == "log":
        return "Its effect is in per cent, so no cost for one more is given."
    return ratio_words(line.cost_ratio(case.level), line, case)


def ratio_words(ratio: Ratio, line: Line, case: Case) -> str:
    """The ratio and its limits in a sentence."""
    study, outcome, sign = case.costs.study, case.costs.outcome, case.costs.study.currency
    low, high = pounds_outwards(ratio.low, False, sign), pounds_outwards(ratio.high, True, sign)
    where = study.noun_for(study.unit) + (f" {study.noun_for(study.period)}" if study.period else "")
    up, label = outcome.better == "higher", quoted(outcome.label)
    one = {  # what one more outcome is: 'each additional person month with “In a settled home”'
        "share": f"each {'additional' if up else 'avoided'} {where} with {label}",
        "count": f"each event {'added' if up else 'avoided'} ({label})",
        "rate": f"each event {'added' if up else 'avoided'} ({label})",
        "money": f"each {'pound' if sign == '£' else sign.strip()} {'gained' if up else 'saved'} ({label})",
    }.get(outcome.said, f"each {outcome.one} {'gained' if up else 'taken off'} for one {where} ({label})")
    if ratio.kind == "bounded":
        span = f"{low} to {high}"
        if case.verdicts.get(line.name, "shown") in ("shown", "likely"):
            return f"{pounds(ratio.value, currency=sign)} for {one} (likely range {span})."
        alone = f"(the likely range alone would be {span} for {one})"
        return f"Not given: the evaluation cannot tell whether it made a difference {alone}."
    if ratio.kind in ("unbounded", "unclear"):
        why = "because the effect may be zero or go the wrong way"
        return f"At least {low} for {one}; there is no upper limit, {why}."
    if ratio.kind == "worse":
        return "The outcome is worse with it, so no cost for one more is given."
    if ratio.kind == "nothing":
        return "Nothing was added, so no cost for one more is given."
    return full_stop(f"no cost for one more is given: {line.reason or 'its effect has no interval'}")
