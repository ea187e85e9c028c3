"""Lines of value for money: components, bundles and the programme, each with effect, cost and payments alike; draws
from their joint estimate, and what follows from them: ratios with their limits, and acceptability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from evalkit.disclosure.rounding import Grain, to_step
from evalkit.evaluation.decomposition.attribute import label_of, why_none
from evalkit.evaluation.decomposition.pieces import Decomposition, decompose
from evalkit.evaluation.evidence import Evaluated
from evalkit.evaluation.value.costs import Amount, Costs
from evalkit.inference import Estimate, stack
from evalkit.inference.intervals import correlation, std_errors, symmetric_root
from evalkit.study import Outcome
from evalkit.study.money import PROGRAMME
from evalkit.verdicts.rules import holding_back, may_move

WHOLE = "Programme as a whole"
NOBODY_WITHOUT = "nothing untreated is left to compare with"
SEEN_ONCE = "people are seen once, and no mix of several components stands beside people with none"
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Ratio:
    """Money for one more outcome. low, high: limits; high is infinite where the effect may be zero. kind:
    "bounded", "unbounded", "worse" (the interval lies below zero), "unclear" (the estimate does), "nothing" (both are
    zero), "none"."""

    value: float
    low: float
    high: float
    kind: str


NONE = Ratio(NAN, NAN, NAN, "none")


@dataclass(frozen=True, eq=False)
class Line:
    """One row of value for money. kind: component, bundle, programme or not_given. cost: what the members cost; priced:
    whether all of it is known. additional: towards what is better, over the people periods compared; spread: limits of
    `additional`. gain, gains: additional outcomes, discounted, and their draws. paid, paid_discounted: payments for the
    people periods compared. reason: why there is no effect."""

    name: str
    label: str
    kind: str
    members: tuple[str, ...]
    outcome: Outcome
    cost: Amount
    priced: bool
    reason: str
    people_periods: float = 0.0
    gross: float = NAN
    additional: float = NAN
    spread: tuple[float, float] = (NAN, NAN)
    gain: float = NAN
    gains: np.ndarray = field(default_factory=lambda: np.full(1, np.nan))
    paid: float = NAN
    paid_discounted: float = NAN

    @property
    def expected_without(self) -> float:
        """What the outcome would have come to: lower where more is better, higher where less is."""
        return self.gross - self.additional if self.outcome.better == "higher" else self.gross + self.additional

    @property
    def counts(self) -> bool:
        """Whether a cost for one more outcome makes sense at all: outcomes in per cent cannot be counted."""
        given = self.outcome.said != "log" and self.kind != "not_given"
        return given and self.priced and bool(np.isfinite(self.gains).all())

    def cost_ratio(self, level: float) -> Ratio:
        """Cost for one more outcome."""
        return ratio(self.cost.discounted, self.gain, self.gains, level) if self.counts else NONE

    def paid_ratio(self, level: float) -> Ratio:
        """Payments for one more outcome."""
        if self.outcome.said == "log" or self.kind == "not_given" or not np.isfinite(self.paid_discounted):
            return NONE
        return ratio(self.paid_discounted, self.gain, self.gains, level)

    @property
    def paid_anyway(self) -> tuple[float, float, float]:
        """Payments for outcomes that would have happened anyway, with limits: the share of the good outcomes that was
        expected without it, every one of them paid alike. Good outcomes are those recorded, or for a share that should
        be lower the people periods without it; NaN for what is not counted."""
        good = NAN
        if self.outcome.better == "higher":
            good = self.gross if self.outcome.said in ("share", "count", "rate") else NAN
        elif self.outcome.said == "share":
            good = self.people_periods - self.gross
        if not good > 0:
            return NAN, NAN, NAN
        share = 1.0 - np.array([self.additional, self.spread[1], self.spread[0]]) / good
        value, low, high = self.paid * np.clip(share, 0.0, 1.0)
        return float(value), float(low), float(high)


Grains: TypeAlias = Callable[[Line], Grain | None]
"""How coarse a line has to be; None for as it is."""


def as_it_is(line: Line) -> None:
    """Nothing is rounded."""


def coarse_cost(cost: Amount, grain: Grain) -> Amount:
    """A cost as coarse as the number of people behind it."""
    whole, compared = map(float, grain.amounts([cost.whole, cost.compared]))
    return Amount(whole, compared, compared * grain.ratio(cost.discounted, cost.compared))


def coarse_line(line: Line, grain: Grain | None) -> Line:
    """A line in numbers as coarse as the number of people behind it: sums of effects are worked out from its rounded
    people periods and rounded averages, so that they say no more than these."""
    if grain is None:
        return line
    was, now = line.people_periods, float(grain.amounts(line.people_periods * grain.heads))
    paid, gross, sd = *map(float, grain.amounts([line.paid, line.gross])), float(np.std(line.gains))
    effect = np.array([line.additional, *line.spread]) / was if was > 0 else np.full(3, NAN)
    additional, low, high = map(float, now * to_step(effect, grain.step))
    gain = additional * grain.ratio(line.gain, line.additional)
    wide = now / was * grain.ratio(sd, was) / (sd / was) if was > 0 and sd > 0 else 1.0
    return replace(
        line, people_periods=now, gross=gross, additional=additional, spread=(low, high), gain=gain,
        gains=gain + (line.gains - line.gain) * wide, paid=paid, cost=coarse_cost(line.cost, grain),
        paid_discounted=paid * grain.ratio(line.paid_discounted, line.paid),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Effects:
    """What is known of effects whatever the prices. whole: the programme's average as it is, then discounted at each
    of `rates`; None where there is no total."""

    parts: Decomposition
    whole: Estimate | None
    rates: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Every line on one outcome under one set of prices. verdicts: by component, or PROGRAMME.
    grains: how coarse lines are."""

    costs: Costs
    effects: Effects
    lines: tuple[Line, ...]
    verdicts: Mapping[str, str]
    grains: Grains = as_it_is

    @property
    def level(self) -> float:
        return self.effects.parts.evaluation.level

    @cached_property
    def unit_costs(self) -> pd.DataFrame:
        """Rows of the table of unit costs about the outcome, `value` in the prices chosen."""
        table = self.costs.money.unit_costs
        if table is None:
            return pd.DataFrame({"outcome": [], "value": []})
        mine = table[table["outcome"] == self.costs.outcome.column]
        return mine.assign(value=mine["value"].astype(float) * self.costs.at_prices(mine))


def effects_of(evaluation: Evaluated, costs: Costs, rates: Sequence[float]) -> Effects:
    """Effects on one outcome; the programme's average as it is, and discounted at the rate of `costs` and at each of
    `rates`."""
    parts = decompose(evaluation, costs.outcome)
    rates = tuple(dict.fromkeys([costs.prices.discount, *rates]))
    if parts.whole is None:
        return Effects(parts, None, rates)
    there = (parts.whole.mass > 0).astype(float)
    fades = [replace(costs, prices=replace(costs.prices, discount=r)).fade for r in rates]
    names = ["programme", *(f"programme, discounted at {100 * r:g}% a year" for r in rates)]
    return Effects(parts, parts.whole.averages([there, *(there * f for f in fades)], names), rates)


def make_case(effects: Effects, costs: Costs, draws: int, grains: Grains = as_it_is) -> Case:
    """All lines of one outcome under the prices of `costs`."""
    evaluation, parts, made = effects.parts.evaluation, _parts(effects, costs), {}
    if parts:
        gains = draw(stack(*(faded for _, faded, _ in parts)), draws, evaluation.level, evaluation.seed)
        made = {line.name: replace(line, gains=n * g) for (line, _, n), g in zip(parts, gains.T, strict=True)}
    bundles = [line.name for line in made.values() if line.kind == "bundle"]
    order = [*(c.name for c in evaluation.study.components), *bundles, PROGRAMME]
    for name in (n for n in order if n not in made):  # without an effect: its cost, and why there is no more
        whole = name == PROGRAMME
        members = tuple(evaluation.study.paths.components) if whole else (name,)
        label = WHOLE if whole else evaluation.study.component(name).label
        amount, _ = cost_of(costs, members, np.zeros(costs.there.shape), "programme" if whole else "component")
        reasons = [why_none(f) for f in evaluation.findings if (f.component, f.outcome) == (name, costs.outcome)]
        reason = reasons[0] if reasons else SEEN_ONCE if evaluation.study.paths.n_periods == 1 else NOBODY_WITHOUT
        cost, priced = Amount(amount.whole, NAN, NAN), bool(np.isfinite(amount.whole))
        made[name] = Line(name, label, "not_given", members, costs.outcome, cost, priced, reason)
    lines = tuple(coarse_line(made[name], grains(made[name])) for name in order)
    return Case(costs, effects, lines, _verdicts(effects.parts), grains)


def _verdicts(parts: Decomposition) -> dict[str, str]:
    """Verdict of each component, and of the programme where it cannot be told what it did, as it is for deciding."""
    judged = [(e, v) for e, v in parts.evaluation.judged if e.outcome == parts.outcome.column]
    found: dict[str, str] = {e.component: v.verdict for e, v in judged}
    whole = parts.whole
    if whole is None and len(found) == 1:  # the programme is its one component
        return found | {PROGRAMME: next(iter(found.values()))}
    if whole is not None and (parts.judged is None or parts_held(parts, whole.paths.components)):
        found[PROGRAMME] = "cannot_tell"
    return found


def parts_held(parts: Decomposition, members: Sequence[str]) -> int:
    """How many members a failed check holds back: nobody attacked the sum by itself, and what is said of a part is said
    of the whole."""
    on_outcome = (e for e, _ in parts.evaluation.judged if e.outcome == parts.outcome.column)
    return sum(bool(holding_back(e) or may_move(e)) for e in on_outcome if e.component in members)


def repriced(case: Case, costs: Costs) -> Case:
    """The same effects, discounted alike, at other costs."""
    shape, programme = costs.there.shape, case.effects.parts.whole
    cells = {c.name: c.by_cell(shape) for c in case.effects.parts.claims}
    if programme is not None:
        cells[PROGRAMME] = programme.mass
    lines = list(case.lines)
    for i, line in enumerate(lines):
        if line.name in cells:
            cost, priced = cost_of(costs, line.members, cells[line.name], line.kind)
            grain = case.grains(line)
            lines[i] = replace(line, cost=cost if grain is None else coarse_cost(cost, grain), priced=priced)
    return replace(case, costs=costs, lines=tuple(lines))


def _parts(effects: Effects, costs: Costs) -> list[tuple[Line, Estimate, float]]:
    """Lines with an effect, the programme's last, without their draws; the discounted average of each, and its people
    periods (less than 0 where lower is better), by which draws of that average become additional outcomes."""
    found: list[tuple[tuple[str, str, str, tuple[str, ...]], np.ndarray, Estimate, Estimate, float]] = []
    shape, programme, both = costs.there.shape, effects.parts.whole, effects.whole
    for c in effects.parts.claims:
        plain, _ = c.average(np.ones(shape))
        faded, weight = c.average(np.broadcast_to(costs.fade, shape))
        if plain is not None and faded is not None:
            kind, label = "component" if len(c.members) == 1 else "bundle", label_of(costs.study, c.members, "with")
            found.append(((c.name, label, kind, c.members), c.by_cell(shape), plain, faded, weight))
    if programme is not None and both is not None:
        faded = both.select(np.array([1 + effects.rates.index(costs.prices.discount)]))
        named, weight = tuple(programme.paths.components), float((programme.mass * costs.fade).sum())
        whole = (PROGRAMME, WHOLE, "programme", named), programme.mass, both.select(np.array([0])), faded, weight
        found.append(whole)
    if both is None and len(found) == len(costs.study.components) == 1:  # the programme is its one component
        what, cells, plain, faded, weight = found[0]
        found.append(((PROGRAMME, WHOLE, "programme", what[3]), cells, plain, faded, weight))
    out, sign = [], 1.0 if costs.outcome.better == "higher" else -1.0
    for what, cells, plain, faded, weight in (x for x in found if np.isfinite(x[3].value[0])):
        n, row = float(cells.sum()), plain.to_frame(effects.parts.evaluation.level).iloc[0]
        ends = np.sort(sign * n * np.array([row["conf_low"], row["conf_high"]], dtype=float))
        cost, priced = cost_of(costs, what[3], cells, what[2])
        paid, discounted = costs.payments(cells)
        line = Line(*what, costs.outcome, cost, priced, str(row["reason"]), n, float((cells * costs.mean).sum()),
                    sign * n * float(row["estimate"]), (float(ends[0]), float(ends[1])),
                    sign * weight * float(faded.value[0]), paid=paid, paid_discounted=discounted)  # fmt: skip
        out.append((line, faded, sign * weight))
    return out


def cost_of(costs: Costs, members: Sequence[str], cells: np.ndarray, kind: str) -> tuple[Amount, bool]:
    """Costs of the members together, on the cells; of the programme also what belongs to no single component. None
    where they are in several currencies, or in another than the study's: nothing says what one is in the other."""
    named = [*members, *([PROGRAMME] if kind == "programme" else [])]
    known = [c for c in named if costs.has_cost(c)]
    if not known or costs.unlike(named):
        return Amount(NAN, NAN, NAN), False
    each = [costs.cost(c, cells if c == PROGRAMME else cells * costs.on(c)) for c in known]
    total = Amount(*(sum(getattr(a, f) for a in each) for f in ("whole", "compared", "discounted")))
    return total, kind == "programme" or len(known) == len(members)


def draw(joint: Estimate, size: int, level: float, seed: int) -> np.ndarray:
    """(size, k) draws: each column t about its estimate with its own standard error and degrees of freedom, joined
    by the joint correlation. Ranks are spread evenly, so that the quantiles of a column are those of its interval
    (Iman and Conover 1982, Communications in Statistics 11). NaN for a row without an interval."""
    spread = joint.joint()
    vcov, df, se = spread.vcov, spread.df, std_errors(spread.vcov, joint.value)
    out, good = np.full((size, len(joint)), np.nan), np.flatnonzero(np.isfinite(se))
    if not len(good):
        return out
    root = symmetric_root(correlation(vcov[np.ix_(good, good)]))
    z = np.random.default_rng(seed).standard_normal((size, len(good))) @ root
    even = (np.argsort(np.argsort(z, axis=0), axis=0) + 0.5) / size
    out[:, good] = joint.value[good] + se[good] * stdtrit(np.where(np.isnan(df[good]), np.inf, df[good]), even)
    return out


def limits(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Quantiles of one column of draws, NaN where there are none."""
    if not np.isfinite(draws).all():
        return NAN, NAN
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio(money: float, gain: float, draws: np.ndarray, level: float) -> Ratio:
    """money / gain with limits that stay right when the gain may be zero: the set of ratios that the interval of
    the gain allows (Fieller 1954, Journal of the Royal Statistical Society B 16), which then has no upper end."""
    low, high = limits(draws, level)
    if not np.isfinite([money, gain, low]).all():
        return NONE
    if high <= 0:
        return Ratio(NAN, NAN, NAN, "worse" if low < 0 else "nothing")
    least = money / high
    if low > 0:
        return Ratio(money / gain, least, money / low, "bounded")
    if gain <= 0:
        return Ratio(NAN, least, np.inf, "unclear")
    return Ratio(money / gain, least, np.inf, "unbounded")


def acceptable(money: float, draws: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Share of draws in which the outcomes are worth more than they cost, at each worth of one outcome (Fenwick,
    Claxton and Sculpher 2001, Health Economics 10)."""
    if not np.isfinite(draws).all() or not np.isfinite(money):
        return np.full(len(worth), np.nan)
    return np.asarray((worth[:, None] * draws[None, :] > money).mean(axis=1))


def thresholds(money: float, draws: np.ndarray, *chances: float) -> list[float]:
    """The least worth of one outcome at which the chance of `acceptable` is reached, to the next draw; none where no
    worth reaches it, or nothing is spent."""
    if not np.isfinite(draws).all() or not np.isfinite(money) or not money > 0:
        return []
    at = [np.sort(draws)[::-1][int(np.ceil(c * len(draws))) - 1] for c in chances]
    return [float(np.nextafter(money / d, np.inf)) for d in at if d > 0]
