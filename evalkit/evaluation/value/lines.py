"""Lines of value for money: components, bundles and the programme, each with effect, cost and payments alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.evaluation.decomposition.attribute import claims_of, label_of, ledger_programme, why_none
from evalkit.evaluation.decomposition.cells import Claim, Programme
from evalkit.evaluation.results import Evaluation
from evalkit.evaluation.value.costs import Amount, Purse
from evalkit.evaluation.value.draws import Ratio, acceptable, draw, limits, ratio
from evalkit.inference import Estimate, stack
from evalkit.show.words import join_words
from evalkit.study import Outcome
from evalkit.study.money import PROGRAMME

NONE = Ratio(float("nan"), float("nan"), float("nan"), "none")


@dataclass(frozen=True, eq=False)
class Line:
    """One row of value for money.

    kind: component, bundle, programme or not_given. additional: towards what is better, over the people periods
    compared; spread: limits of `additional`. gain, gains: additional outcomes, discounted, and their draws.
    paid, paid_discounted: payments for the people periods compared. good: outcomes that can be paid for: those
    recorded, or for a share that should be lower the people periods without it; NaN for what is not counted.
    reason: why there is no effect.
    """

    name: str
    label: str
    kind: str
    members: tuple[str, ...]
    people_periods: float
    gross: float
    additional: float
    spread: tuple[float, float]
    gain: float
    gains: np.ndarray
    cost: Amount
    priced: bool
    paid: float
    paid_discounted: float
    countable: bool
    higher: bool
    good: float
    reason: str = ""

    @property
    def expected_without(self) -> float:
        """What the outcome would have come to: lower where more is better, higher where less is."""
        return self.gross - self.additional if self.higher else self.gross + self.additional

    @property
    def counts(self) -> bool:
        """Whether a cost for one more outcome makes sense at all."""
        return self.countable and self.priced and bool(np.isfinite(self.gains).all()) and self.kind != "not_given"

    def gain_limits(self, level: float) -> tuple[float, float]:
        """Limits of the discounted additional outcomes."""
        return limits(self.gains, level)

    def cost_ratio(self, level: float) -> Ratio:
        """Cost for one more outcome."""
        return ratio(self.cost.discounted, self.gain, self.gains, level) if self.counts else NONE

    def paid_ratio(self, level: float) -> Ratio:
        """Payments for one more outcome."""
        if not self.countable or self.kind == "not_given" or not np.isfinite(self.paid_discounted):
            return NONE
        return ratio(self.paid_discounted, self.gain, self.gains, level)

    @property
    def paid_anyway(self) -> tuple[float, float, float]:
        """Payments for outcomes that would have happened anyway, with limits: the share of the good outcomes that was
        expected without it, every one of them paid alike."""
        if not self.good > 0:
            return float("nan"), float("nan"), float("nan")
        share = 1.0 - np.array([self.additional, self.spread[1], self.spread[0]]) / self.good
        value, low, high = self.paid * np.clip(share, 0.0, 1.0)
        return float(value), float(low), float(high)

    def acceptable(self, worth: np.ndarray) -> np.ndarray:
        """Chance that the outcomes are worth more than they cost."""
        return acceptable(self.cost.discounted, self.gains, worth)


@dataclass(frozen=True, eq=False)
class Case:
    """Every line on one outcome under one set of prices. verdicts: by component. values: unit costs of the outcome."""

    outcome: Outcome
    purse: Purse
    level: float
    sources: Sources
    lines: tuple[Line, ...]
    verdicts: Mapping[str, str]

    @cached_property
    def cells(self) -> dict[str, np.ndarray]:
        """Line -> (P, T) people periods compared."""
        shape, programme = self.purse.there.shape, self.sources.programme
        out = {c.name: c.by_cell(shape) for c in self.sources.claims}
        return out if programme is None else {**out, PROGRAMME: programme.mass}

    @cached_property
    def values(self) -> pd.DataFrame:
        table = self.purse.money.unit_costs
        if table is None:
            return pd.DataFrame({"outcome": [], "value": []})
        mine = table[table["outcome"] == self.outcome.column]
        return mine.assign(value=mine["value"].astype(float) * self.purse.at_prices(mine))


@dataclass(frozen=True, eq=False)
class _Part:
    """An effect and its cells: plain (1 row) and faded averages, their people periods, and the cells (P, T)."""

    name: str
    label: str
    kind: str
    members: tuple[str, ...]
    cells: np.ndarray
    plain: Estimate
    faded: Estimate
    weight: float


@dataclass(frozen=True, eq=False)
class Sources:
    """What is known of effects whatever the prices: claims, and the programme as a whole."""

    claims: tuple[Claim, ...]
    programme: Programme | None
    whole: Estimate | None
    rates: tuple[float, ...]


def sources_of(evaluation: Evaluation, purse: Purse, rates: Sequence[float]) -> Sources:
    """Claims and programme of one outcome; the programme's average as it is, and discounted at each rate."""
    programme = ledger_programme(evaluation, purse.outcome)
    rates = tuple(dict.fromkeys([purse.prices.discount, *rates]))
    claims = claims_of(evaluation, purse.outcome)
    if programme is None:
        return Sources(claims, None, None, rates)
    there = (programme.mass > 0).astype(float)
    fades = [replace(purse, prices=replace(purse.prices, discount=r)).fade for r in rates]
    names = ["programme", *(f"programme, discounted at {100 * r:g}% a year" for r in rates)]
    return Sources(claims, programme, programme.averages([there, *(there * f for f in fades)], names), rates)


def make_case(evaluation: Evaluation, sources: Sources, purse: Purse, draws: int) -> Case:
    """All lines of one outcome under the prices of `purse`."""
    parts, outcome = _parts(evaluation, sources, purse), purse.outcome
    made: dict[str, Line] = {}
    if parts:
        gains = draw(stack(*(p.faded for p in parts)), draws, evaluation.level, evaluation.seed)
        made = {p.name: _line(p, purse, evaluation.level, gains[:, i]) for i, p in enumerate(parts)}
    lines = []
    for c in evaluation.study.components:
        lines.append(made.get(c.name) or _bare(evaluation, outcome, purse, c.name))
    lines += [made[p.name] for p in parts if p.kind == "bundle"]
    lines.append(made.get(PROGRAMME) or _bare(evaluation, outcome, purse, PROGRAMME))
    said = evaluation.verdicts[evaluation.verdicts["outcome"] == outcome.column]
    verdicts = dict(zip(said["component"], said["verdict"], strict=True))
    return Case(outcome, purse, evaluation.level, sources, tuple(lines), verdicts)


def repriced(case: Case, purse: Purse) -> Case:
    """The same effects, discounted alike, at other costs."""
    lines = []
    for x in case.lines:
        cells = case.cells.get(x.name)
        if cells is not None:
            cost, priced = _cost(purse, x.members, cells, x.kind)
            x = replace(x, cost=cost, priced=priced)
        lines.append(x)
    return replace(case, purse=purse, lines=tuple(lines))


def _parts(evaluation: Evaluation, sources: Sources, purse: Purse) -> list[_Part]:
    shape = purse.there.shape
    parts = [_claim_part(study_label(evaluation, c), c, shape, purse.fade) for c in sources.claims]
    if sources.programme is not None:
        parts.append(_whole(sources, purse))
    return [p for p in parts if p is not None and np.isfinite(p.faded.value[0])]


def study_label(evaluation: Evaluation, claim: Claim) -> str:
    """Words for a component or a bundle."""
    if len(claim.members) == 1:
        return label_of(evaluation.study, claim.members)
    return join_words((evaluation.study.component(m).label for m in claim.members), "with")


def _claim_part(label: str, claim: Claim, shape: tuple[int, int], fade: np.ndarray) -> _Part | None:
    plain, _ = claim.average(np.ones(shape))
    faded, weight = claim.average(np.broadcast_to(fade, shape))
    if plain is None or faded is None:
        return None
    kind = "component" if len(claim.members) == 1 else "bundle"
    return _Part(claim.name, label, kind, claim.members, claim.by_cell(shape), plain, faded, weight)


def _whole(sources: Sources, purse: Purse) -> _Part:
    programme, both = sources.programme, sources.whole
    assert programme is not None and both is not None
    at = 1 + sources.rates.index(purse.prices.discount)
    plain, faded = both.select(np.array([0])), both.select(np.array([at]))
    members, weight = tuple(programme.paths.components), float((programme.mass * purse.fade).sum())
    return _Part(PROGRAMME, "Programme as a whole", "programme", members, programme.mass, plain, faded, weight)


def _line(part: _Part, purse: Purse, level: float, draws: np.ndarray) -> Line:
    higher = purse.outcome.better == "higher"
    sign = 1.0 if higher else -1.0
    n = float(part.cells.sum())
    row = part.plain.to_frame(level).iloc[0]
    ends = np.sort(sign * n * np.array([row["conf_low"], row["conf_high"]], dtype=float))
    paid, discounted = purse.payments(part.cells)
    cost, priced = _cost(purse, part.members, part.cells, part.kind)
    gross = float((part.cells * purse.mean).sum())
    return Line(
        part.name, part.label, part.kind, part.members, n, gross,
        sign * n * float(row["estimate"]), (float(ends[0]), float(ends[1])),
        sign * part.weight * float(part.faded.value[0]), sign * part.weight * draws, cost, priced, paid, discounted,
        purse.outcome.kind != "log", higher, _good(purse.outcome, gross, n), str(row["reason"]),
    )  # fmt: skip


def _good(outcome: Outcome, gross: float, people_periods: float) -> float:
    """Outcomes that can be paid for."""
    if outcome.better == "higher":
        return gross if outcome.kind in ("share", "count") else float("nan")
    return people_periods - gross if outcome.kind == "share" else float("nan")


def _cost(purse: Purse, members: Sequence[str], cells: np.ndarray, kind: str) -> tuple[Amount, bool]:
    """Costs of the members together, on the cells; of the programme also what belongs to no single component."""
    named = [*members, *([PROGRAMME] if kind == "programme" else [])]
    known = [c for c in named if purse.has_cost(c)]
    if not known:
        return Amount(float("nan"), float("nan"), float("nan")), False
    each = [purse.cost(c, cells if c == PROGRAMME else cells * purse.on(c)) for c in known]
    total = Amount(*(sum(getattr(a, f) for a in each) for f in ("whole", "compared", "discounted")))
    complete = kind == "programme" or len(known) == len(members)
    return total, complete


def _bare(evaluation: Evaluation, outcome: Outcome, purse: Purse, name: str) -> Line:
    """A line without an effect: its cost, and why there is no more."""
    nan = float("nan")
    members = tuple(evaluation.study.paths.components) if name == PROGRAMME else (name,)
    nothing = np.zeros(purse.there.shape)
    amount, _ = _cost(purse, members, nothing, "programme" if name == PROGRAMME else "component")
    label = "Programme as a whole" if name == PROGRAMME else evaluation.study.component(name).label
    reason = "nothing untreated is left to compare with"
    for f in evaluation.findings:
        if (f.component, f.outcome) == (name, outcome):
            reason = why_none(f)
    return Line(
        name, label, "not_given", members, 0.0, nan, nan, (nan, nan), nan, np.full(1, nan),
        Amount(amount.whole, nan, nan), np.isfinite(amount.whole), nan, nan, outcome.kind != "log",
        outcome.better == "higher", nan, reason,
    )  # fmt: skip
