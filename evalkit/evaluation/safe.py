"""An evaluation as it may be published: the same type, its evidence and tables redacted before anything is worded.

Everything that a report says, draws or writes is made from what `safe` returns, so that a figure and a sentence obey
the rules of their table.
"""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.disclosure.people import flow_table, with_counts
from evalkit.disclosure.publish import LOG, Guard
from evalkit.disclosure.rules import Rules, rules_of
from evalkit.evaluation import tables
from evalkit.evaluation.decomposition.attribute import Attribution
from evalkit.evaluation.results import Evaluation, Protection
from evalkit.evaluation.value.money import Value
from evalkit.language.statement import statement
from evalkit.show.words import retold
from evalkit.study import Study
from evalkit.verdicts.rules import decide

_SAFE: WeakKeyDictionary[Evaluation, Evaluation] = WeakKeyDictionary()


def safe(evaluation: Evaluation) -> Evaluation:
    """The evaluation as its study's rules allow it to be published; worked out once for each Evaluation."""
    if evaluation.protection is not None:
        return evaluation
    if evaluation not in _SAFE:
        _SAFE[evaluation] = _protected(evaluation, rules_of(evaluation.study))
    return _SAFE[evaluation]


def without_small_numbers(study: Study, text: str) -> str:
    """A sentence as the study's rules allow it to be published: its tied numbers of people withheld or rounded."""
    return retold(text, rules_of(study).publish)


def _protected(ev: Evaluation, rules: Rules) -> Evaluation:
    guard = Guard(ev.study, rules)
    few = ((f.component, f.outcome.column) for f in ev.findings if guard.rests_on_few(f.answer, f.component, ev.level))
    guard = replace(guard, few=frozenset(few))
    flow = flow_table(ev.study, ev.effects, rules)
    for r in flow[flow["hidden"] != ""].to_dict("records"):
        guard.note("flow", f"{r['component']}, {r['stage']}", "count", r["hidden"])
    unnamed = guard.unnamed(ev.separability)
    left = [guard.evidence(e, unnamed.get(e.component, "")) for e, _ in ev.decisions]
    redacted = [(e, decide(e)) for e in left]
    separability = guard.separability(ev.separability)
    tried = [(f, r) for f in ev.findings for r in f.runs]
    small = np.array([guard.rests_on_few(r.one, f.component, ev.level) for f, r in tried], dtype=bool)
    effects = guard.effects(ev.effects, small, flow)
    if rules.active:
        redacted = [(with_counts(e, effects, flow), v) for e, v in redacted]
    statements = tuple(statement(e, v) for e, v in redacted)
    event_studies, left_out = _event_studies(guard, ev), guard.leave_one_out(ev.leave_one_out)
    attribution, value = _attribution(guard, ev), _value(guard, ev)
    log = pd.DataFrame(guard.log, columns=list(LOG))
    return replace(
        ev,
        separability=separability,
        effects=effects,
        verdicts=tables.verdicts(redacted, statements),
        bundles=guard.bundles(ev.bundles),
        checks=tables.checks(redacted),
        event_studies=event_studies,
        leave_one_out=left_out,
        findings=(),
        bundle_runs=(),
        decisions=tuple(redacted),
        statements=statements,
        protection=Protection(rules, flow, log, attribution, value),
    )


def _event_studies(guard: Guard, ev: Evaluation) -> dict[tuple[str, str], pd.DataFrame]:
    if not guard.rules.active:
        return {key: guard.told_in(t, "reason") for key, t in ev.event_studies.items()}
    rows = {(f.component, f.outcome.column): f.rows for f in ev.findings if f.rows is not None}
    shown = {key: frame for key, frame in ev.event_studies.items() if key not in guard.few}
    return {key: guard.event_study(t, rows[key].aggregate("event_time").labels, key) for key, t in shown.items()}


def _attribution(guard: Guard, ev: Evaluation) -> Attribution | None:
    """The pieces of the total; none where a headline is hidden, because the total would give it away."""
    if _held_back(guard, "attribution") or (made := ev.attribution) is None:
        return None
    pieces, hidden = guard.pieces(made.pieces)
    made = replace(made, pieces=pieces, notes=tuple(map(guard.told, made.notes)))
    return replace(made, orders=made.orders.iloc[:0], shapley=made.shapley.iloc[:0]) if hidden else made


def _value(guard: Guard, ev: Evaluation) -> Value | None:
    """Value for money; without parts whose outcomes number too few."""
    priced = ev.study.money is not None or any(c.unit_cost is not None for c in ev.study.components)
    if not priced or _held_back(guard, "value") or (made := ev.value) is None:
        return None
    gone = guard.costed(made.table) if guard.rules.active else set()
    if not gone:
        return made
    names = ("table", "plane", "acceptability", "sensitivity")
    return replace(made, **{n: (t := getattr(made, n))[~t["name"].isin(gone)].reset_index(drop=True) for n in names})


def _held_back(guard: Guard, table: str) -> bool:
    first = guard.study.outcome().column
    if not any(outcome == first for _, outcome in guard.few):
        return False
    guard.note(table, "all", "everything", "its total would give a hidden effect away")
    return True
