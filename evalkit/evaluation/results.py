"""What `evaluate` found: tables for people and the estimates behind them; and what of it may be published.

Everything that a report says, draws or writes is made from what `safe` returns, the same type with its evidence and
tables redacted before anything is worded, so that a figure and a sentence obey the rules of their table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.decision.worth import Stake
from evalkit.designs.regression.twoway import TwoWayFixedEffects
from evalkit.disclosure.people import flow_table, with_counts
from evalkit.disclosure.publish import LOG, Guard
from evalkit.disclosure.rules import Rules, rules_of
from evalkit.errors import EvalkitError
from evalkit.evaluation.alone import Alone, alone, nobody, publishable_alone
from evalkit.evaluation.compared import compared, publishable
from evalkit.evaluation.delivered import (
    DELIVERY,
    RECORDED,
    delivery,
    publishable_delivery,
    publishable_recorded,
    recorded,
)
from evalkit.evaluation.evidence import Evaluated, check_table, summary_table, verdict_table, write_frames
from evalkit.evaluation.mixed import MIXES, asks, attribution_on, mixes_table
from evalkit.evaluation.over_time import BASELINE, SERIES, baseline, over_time, publishable_baseline, publishable_series
from evalkit.inference import Estimate
from evalkit.language.statement import Statement, statement
from evalkit.study.money import PROGRAMME
from evalkit.verdicts.rules import decide

if TYPE_CHECKING:
    from evalkit.evaluation.decisions import Decisions
    from evalkit.evaluation.decomposition.attribute import Attribution
    from evalkit.evaluation.value.money import Value


@dataclass(frozen=True, eq=False)
class Protection:
    """What disclosure control left of an evaluation, under which rules.

    flow: who is in and who is missing. compared: what each place and month counts. log: what was hidden and why, never
    the number. attribution, value: what is left of the whole, None where it would give a hidden effect away.
    decisions: as they follow from what is left. over_time, baseline: the outcome itself, and who began how.
    delivery, recorded: what was planned and delivered, and what was recorded. alone: what stands behind one place.
    """

    rules: Rules
    flow: pd.DataFrame
    compared: pd.DataFrame
    log: pd.DataFrame
    attribution: Attribution | None
    value: Value | None
    decisions: Decisions | None = None
    over_time: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(SERIES)))
    baseline: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(BASELINE)))
    delivery: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(DELIVERY)))
    recorded: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(RECORDED)))
    alone: Alone = field(default_factory=nobody)


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(Evaluated):
    """Everything `evaluate` found; every number traces to an Estimate.

    effects: every design tried, a row each. verdicts: one row a component and outcome. bundles:
    identified combinations. checks: one row a check. event_studies: a frame for each (component,
    outcome). leave_one_out: headlines without each cluster. rules: which design is the headline, why.
    judged, statements: evidence, verdict and what may be said, of each component and outcome.
    protection: None but for what `safe` returns, whose evidence and tables are as they may be
    published and which holds no findings.
    """

    plan: Mapping[str, object] | None
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    bundles: pd.DataFrame
    checks: pd.DataFrame
    event_studies: Mapping[tuple[str, str], pd.DataFrame]
    leave_one_out: pd.DataFrame
    rules: Mapping[str, str]
    statements: tuple[Statement, ...]
    protection: Protection | None = None

    def estimate(self, component: str, outcome: str | None = None) -> Estimate | None:
        """The headline Estimate behind a verdict, None where there is none."""
        self.check_whole("estimate")
        name = self.study.outcome(outcome).column
        for f in self.findings:
            if (f.component, f.outcome.column) == (component, name):
                return f.answer
        raise EvalkitError(f"There is no component {component!r} in this evaluation.")

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        """What two-way fixed effects would hand `component` of the others' effects (weights, no outcome model)."""
        weights = TwoWayFixedEffects(outcome=self.study.outcome(outcome).column).contamination(self.study, component)
        rules = None if self.protection is None else self.protection.rules
        return weights if rules is None else Guard(self.study, rules).borrowed(component, weights)

    def check_whole(self, what: str) -> None:
        """Raise `EvalkitError` where disclosure control took out what `what` is worked out from."""
        if self.protection is not None:
            raise EvalkitError(f"{what} needs the Evaluation that `evaluate` gave, not what may be published of it.")

    @property
    def flow(self) -> pd.DataFrame | None:
        """Who is in and who is missing, as it may be published; None before disclosure control."""
        return None if self.protection is None else self.protection.flow

    def frames(self) -> dict[str, pd.DataFrame]:
        """Name -> frame of everything, as `save` writes them."""
        sep = self.separability
        out = {
            "verdicts": self.verdicts, "effects": self.effects, "separability": sep.components, "pairs": sep.pairs,
            "cure": sep.cure, "checks": self.checks, "bundles": self.bundles, "leave_one_out": self.leave_one_out,
            "compared": self.compared, "decisions": self.decisions.table,
        }  # fmt: skip
        if asks(self.study):
            out["mixes"] = self.mixes
        if len(self.alone.gaps):
            out["one_place"] = self.alone.gaps
        if len(self.alone.donors):
            out["donors"] = self.alone.donors
        if self.event_studies:
            out["event_studies"] = pd.concat(list(self.event_studies.values()), ignore_index=True)
        if self.protection is not None:
            out |= {"flow": self.protection.flow, "disclosure": self.protection.log}
        return out

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Who is compared with whom: what each place and month counts in each headline; made when asked for."""
        return compared(self.study, self.findings) if self.protection is None else self.protection.compared

    @cached_property
    def alone(self) -> Alone:
        """One place alone: seen and expected by period, and who stands beside it; made when asked for."""
        return alone(self.study, self.findings) if self.protection is None else self.protection.alone

    @cached_property
    def mixes(self) -> pd.DataFrame:
        """Of several components (or doses) seen at one time, every effect that their mixes identify, jointly
        (`ek.MixComparison`):
        outcome, effect, kind, numbers, reason; none in a panel. Made when asked for."""
        if not asks(self.study):
            return pd.DataFrame(columns=list(MIXES))
        return mixes_table(self.study, self.level, 0 if self.protection is None else self.protection.rules.count)

    @cached_property
    def over_time(self) -> pd.DataFrame:
        """The outcome itself, period by period: see `evaluation/over_time.py`; made when asked for."""
        return over_time(self) if self.protection is None else self.protection.over_time

    @cached_property
    def baseline(self) -> pd.DataFrame:
        """Who had each component beside who never had it, before it began; made when asked for."""
        return baseline(self.study) if self.protection is None else self.protection.baseline

    @cached_property
    def delivery(self) -> pd.DataFrame:
        """Starts and exposure as planned and as they were: see `evaluation/delivered.py`; made when asked for."""
        return delivery(self.study) if self.protection is None else self.protection.delivery

    @cached_property
    def recorded(self) -> pd.DataFrame:
        """Rows without an outcome, and people who are left at the end; made when asked for."""
        return recorded(self.study) if self.protection is None else self.protection.recorded

    @cached_property
    def attribution(self) -> Attribution | None:
        """What each component can be given of the programme's total, on the first outcome; made when asked for.
        None where disclosure control holds it back."""
        if self.protection is not None:
            return self.protection.attribution
        return attribution_on(self, self.study.outcome())

    @cached_property
    def value(self) -> Value | None:
        """Value for money on the first outcome; worked out when asked for. None where disclosure control holds it
        back, or nothing has a cost."""
        if self.protection is not None:
            return self.protection.value
        from evalkit.evaluation.value.money import value_of

        return value_of(self, self.study.outcome())

    @cached_property
    def decisions(self) -> Decisions:
        """Lean, chance, what is to be had and what to do next under the sceptical prior, with the worth that the study
        file gives; worked out when asked for."""
        from evalkit.decision.prior import prior_of
        from evalkit.evaluation.decisions import decisions_on, every_case

        if self.protection is not None and self.protection.decisions is not None:
            return self.protection.decisions
        return decisions_on(every_case(self), prior_of("sceptical"), self.study.currency)

    def save(self, folder: str, *, raw: bool = False) -> None:
        """Write every frame as CSV into `folder`, as the study's rules of disclosure allow; never unit rows.

        raw: the frames as they are, for those who may see them; small counts of people may stand in them.
        """
        write_frames((self if raw else safe(self)).frames(), folder)

    def __repr__(self) -> str:
        return summary_table(self.study, self.verdicts).to_text()

    def _repr_html_(self) -> str:
        return summary_table(self.study, self.verdicts).to_html()


# ---------------------------------------------------------------- as it may be published

_SAFE: WeakKeyDictionary[Evaluation, Evaluation] = WeakKeyDictionary()


def safe(evaluation: Evaluation) -> Evaluation:
    """The evaluation as its study's rules allow it to be published; worked out once for each Evaluation."""
    if evaluation.protection is not None:
        return evaluation
    if evaluation not in _SAFE:
        _SAFE[evaluation] = _protected(evaluation, rules_of(evaluation.study))
    return _SAFE[evaluation]


def _protected(ev: Evaluation, rules: Rules) -> Evaluation:
    guard = Guard(ev.study, rules)
    few = ((f.component, f.outcome.column) for f in ev.findings if guard.rests_on_few(f.answer, f.component, ev.level))
    heads = ev.effects[ev.effects["headline"].astype(bool)]
    left = [
        (c, guard.had([c]) - float(n)) for c, n in zip(heads["component"], heads["units_exposed"], strict=True) if n > 0
    ]
    guard = replace(guard, few=frozenset(few), left_few=frozenset(c for c, n in left if 0 < n < rules.count))
    tried = [(f, r) for f in ev.findings for r in f.runs]
    guard = guard.touched_by_few(((f.component, f.outcome.column, r.rung.name, r.one) for f, r in tried), ev.level)
    flow = flow_table(ev.study, ev.effects, rules)
    for r in flow[flow["hidden"] != ""].to_dict("records"):
        guard.note("flow", f"{r['component']}, {r['stage']}", "count", r["hidden"])
    unnamed = guard.unnamed(ev.separability)
    left = [guard.evidence(e, unnamed.get(e.component, "")) for e, _ in ev.judged]
    redacted = [(e, decide(e)) for e in left]
    separability = guard.separability(ev.separability)
    small = np.array([guard.rests_on_few(r.one, f.component, ev.level) for f, r in tried], dtype=bool)
    effects = guard.effects(ev.effects, small, flow)
    if rules.active:
        redacted = [guard.rounded(with_counts(e, effects, flow), v) for e, v in redacted]
    statements = tuple(statement(e, v) for e, v in redacted)
    event_studies, left_out = _event_studies(guard, ev), guard.leave_one_out(ev.leave_one_out)
    attribution, value = _attribution(guard, ev), _value(guard, ev)
    decisions = _decisions(guard, ev, value, attribution is not None)
    who = publishable(guard, ev.compared)
    series, before = publishable_series(guard, ev.over_time), publishable_baseline(guard, ev.baseline)
    kept = publishable_delivery(guard, ev.delivery), publishable_recorded(guard, ev.recorded)
    by_place = publishable_alone(guard, ev.alone)
    log = pd.DataFrame(guard.log, columns=list(LOG))
    return replace(
        ev,
        separability=separability,
        effects=effects,
        verdicts=verdict_table(redacted, statements),
        bundles=guard.bundles(ev.bundles),
        checks=check_table(redacted),
        event_studies=event_studies,
        leave_one_out=left_out,
        findings=(),
        bundle_runs=(),
        judged=tuple(redacted),
        statements=statements,
        protection=Protection(rules, flow, who, log, attribution, value, decisions, series, before, *kept, by_place),
    )


def _event_studies(guard: Guard, ev: Evaluation) -> dict[tuple[str, str], pd.DataFrame]:
    if not guard.rules.active:
        return {key: guard.told_in(t, "reason") for key, t in ev.event_studies.items()}
    rows = {(f.component, f.outcome.column): f.by_event for f in ev.findings}
    shown = {key: frame for key, frame in ev.event_studies.items() if key not in guard.few}
    return {
        key: guard.event_study(t, by_event.labels, key)
        for key, t in shown.items()
        if (by_event := rows[key]) is not None
    }


def _attribution(guard: Guard, ev: Evaluation) -> Attribution | None:
    """The pieces of the total; none where a headline is hidden, because the total would give it away."""
    if _held_back(guard, "attribution") or _left_few(guard, "attribution") or (made := ev.attribution) is None:
        return None
    pieces, hidden = guard.pieces(made.pieces)
    notes, sums = tuple(map(guard.told, made.notes)), _coarse_sums(guard, made)
    made = replace(made, pieces=pieces, notes=notes, **sums)
    return replace(made, orders=made.orders.iloc[:0], shapley=made.shapley.iloc[:0]) if hidden else made


def _coarse_sums(guard: Guard, made: Attribution) -> dict[str, Any]:
    """The total and what it is made of, as coarse as the counts behind them; nothing where no count is rounded."""
    if not guard.rules.round_to:
        return {}
    names = ("total", "total_low", "total_high", "gross", "expected_without", "people_periods")
    behind = float(np.max([guard.had([c]) for c in guard.paths.components]))
    gone = {"estimate": None, "orders": made.orders.iloc[:0], "shapley": made.shapley.iloc[:0]}
    grain = guard.grain(behind)
    heads = {"people_periods": grain.heads}
    return gone | {n: float(grain.amounts(getattr(made, n) * heads.get(n, 1.0))) for n in names}


def _value(guard: Guard, ev: Evaluation) -> Value | None:
    """Value for money; without parts whose outcomes number too few."""
    priced = ev.study.money is not None or any(c.unit_cost is not None for c in ev.study.components)
    if not priced or _held_back(guard, "value") or _left_few(guard, "value"):
        return None
    made = _coarse_value(guard, ev) if guard.rules.round_to else ev.value
    if made is None:
        return None
    gone = guard.costed(made.table) if guard.rules.active else set()
    made = replace(made, notes=tuple(map(guard.told, made.notes)))
    if not gone:
        return made
    names = ("table", "plane", "acceptability", "sensitivity")
    return replace(made, **{n: (t := getattr(made, n))[~t["name"].isin(gone)].reset_index(drop=True) for n in names})


def _coarse_value(guard: Guard, ev: Evaluation) -> Value:
    """Value for money worked out from numbers as coarse as the counts behind them."""
    from evalkit.evaluation.value.money import value_of

    first = ev.study.outcome()
    grains = lambda line: guard.grain_behind(line.members, first.column, line.name == PROGRAMME)  # noqa: E731
    made = value_of(ev, first, rounding=(grains, guard.heads()))
    behind = [guard.grain_behind(guard.paths.components, first.column, True) if c == PROGRAMME else
              guard.grain_behind([c], first.column) for c in made.costs["component"]]  # fmt: skip
    amounts = [float(g.amounts(a)) for g, a in zip(behind, made.costs["amount"], strict=True) if g is not None]
    return replace(made, costs=made.costs.assign(amount=amounts))


def _decisions(guard: Guard, ev: Evaluation, value: Value | None, whole: bool) -> Decisions:
    """Decisions from what is left: without the lines that rest on too few, with the money that value for money shows.
    whole: whether the programme's total may be published."""
    from evalkit.decision.prior import prior_of
    from evalkit.evaluation.decisions import decisions_on, every_case

    cases = (guard.case(c, whole) for c in every_case(ev))
    if guard.rules.active:
        rows = {} if value is None else {row["name"]: row for row in value.table.to_dict("records")}
        cases = (replace(c, stake=_shown_stake(c.stake, rows.get(c.name), guard.reason)) for c in cases)
    return decisions_on(cases, prior_of("sceptical"), ev.study.currency)


def _shown_stake(stake: Stake, row: dict[Any, Any] | None, reason: str) -> Stake:
    """What is at stake in the numbers of the row of value for money; nothing where there is none."""
    if row is None:
        return Stake(unpriced=reason) if stake.costed else replace(stake, whole=float("nan"))
    if not stake.costed:
        return stake if stake.whole != stake.whole else replace(stake, whole=float(row["cost"]))
    compared, cost, whole = (float(row[c]) for c in ("people_periods", "cost_compared", "cost"))
    return replace(stake, people_periods=compared, cost=cost, whole=whole)


def _left_few(guard: Guard, table: str) -> bool:
    """Whether people periods compared and not compared would say how many were left out, a few."""
    if guard.rules.round_to or not guard.left_few:
        return False
    guard.note(table, "all", "everything", "people periods would give a hidden count away")
    return True


def _held_back(guard: Guard, table: str) -> bool:
    first = guard.study.outcome().column
    if not any(outcome == first for _, outcome in guard.few):
        return False
    guard.note(table, "all", "everything", "its total would give a hidden effect away")
    return True
