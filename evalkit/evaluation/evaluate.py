"""Evaluate a study: separability first, then every component by the strongest design it supports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from evalkit.components import Separability, separability
from evalkit.components.wording import names_of
from evalkit.designs import TwoWayFixedEffects
from evalkit.disclosure.rules import Rules
from evalkit.errors import EvalkitError
from evalkit.evaluation import tables
from evalkit.evaluation.arrivals import came_words, rungs_for, width_of
from evalkit.evaluation.attack import Target, attack, randomisation_p, readings_of
from evalkit.evaluation.bundles import BundleRun, run_bundles
from evalkit.evaluation.evidence import Finding, decide_all
from evalkit.evaluation.ladder import MATCHED, UNRECORDED, Choices, Window, people_ladder, rule_words, run
from evalkit.inference import Estimate
from evalkit.inference.intervals import check_level
from evalkit.language.statement import Statement, statement
from evalkit.study import Outcome, Study
from evalkit.verdicts.rules import Evidence, Verdict

if TYPE_CHECKING:
    from evalkit.evaluation.decomposition.attribute import Attribution
    from evalkit.evaluation.value.money import Value

ESTIMATED = ("separable", "additive_only")


@dataclass(frozen=True, eq=False)
class Protection:
    """What disclosure control left of a study about people, under which rules.

    flow: who is in and who is missing. log: what was hidden and why, never the number. attribution, value: what is left
    of the whole, None where it would give a hidden effect away.
    """

    rules: Rules
    flow: pd.DataFrame
    log: pd.DataFrame
    attribution: Attribution | None
    value: Value | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything `evaluate` found; every number traces to an Estimate.

    effects: every design tried, a row each. verdicts: one row a component and outcome. bundles:
    identified combinations. checks: one row a check. event_studies: a frame for each (component,
    outcome). leave_one_out: headlines without each cluster. rules: which design is the headline, why.
    decisions, statements: evidence, verdict and what may be said, of each component and outcome.
    protection: None but for what `reporting.safe` returns, whose evidence and tables are as they may be
    published and which holds no findings.
    """

    study: Study
    separability: Separability
    level: float
    seed: int
    plan: Mapping[str, object] | None
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    bundles: pd.DataFrame
    checks: pd.DataFrame
    event_studies: Mapping[tuple[str, str], pd.DataFrame]
    leave_one_out: pd.DataFrame
    rules: Mapping[str, str]
    findings: tuple[Finding, ...]
    decisions: tuple[tuple[Evidence, Verdict], ...]
    statements: tuple[Statement, ...]
    bundle_runs: tuple[BundleRun, ...] = ()
    protection: Protection | None = None

    def estimate(self, component: str, outcome: str | None = None) -> Estimate | None:
        """The headline Estimate behind a verdict, None where there is none."""
        name = self.study.outcome(outcome).column
        for f in self.findings:
            if (f.component, f.outcome.column) == (component, name):
                return f.answer
        raise EvalkitError(f"There is no component {component!r} in this evaluation.")

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        """What two-way fixed effects would hand `component` of the others' effects (weights, no outcome model)."""
        weights = TwoWayFixedEffects(outcome=self.study.outcome(outcome).column).contamination(self.study, component)
        hidden = self.protection is not None and self.protection.rules.active
        return weights.drop(columns="cells", errors="ignore") if hidden else weights

    @property
    def flow(self) -> pd.DataFrame | None:
        """Who is in and who is missing, as it may be published; None before disclosure control."""
        return None if self.protection is None else self.protection.flow

    @cached_property
    def attribution(self) -> Attribution | None:
        """What each component can be given of the programme's total, on the first outcome; made when asked for.
        None where disclosure control holds it back."""
        if self.protection is not None:
            return self.protection.attribution
        from evalkit.evaluation.decomposition.attribute import attribute

        return attribute(self)

    @cached_property
    def value(self) -> Value | None:
        """Value for money on the first outcome; worked out when asked for. None where disclosure control holds it
        back, or nothing has a cost."""
        if self.protection is not None:
            return self.protection.value
        from evalkit.evaluation.value.money import value_for_money

        return value_for_money(self)

    def save(self, folder: str, *, raw: bool = False) -> None:
        """Write every frame as CSV into `folder`, as the study's rules of disclosure allow; never unit rows.

        raw: the frames as they are, for those who may see them; small counts of people may stand in them.
        """
        from evalkit.evaluation.safe import safe

        tables.write(tables.frames(self if raw else safe(self)), folder)

    def __repr__(self) -> str:
        return tables.describe(self)

    def _repr_html_(self) -> str:
        return tables.describe_html(self)


def evaluate(
    study: Study, *, level: float = 0.95, plan: Mapping[str, object] | None = None, seed: int = 0
) -> Evaluation:
    """Which components made a difference, by how much, and how sure: design 2.5.

    Both doors are opened first: an outcome that cannot be read raises `OutcomeError` here. level:
    confidence level of printed intervals. seed: for every random step.
    """
    check_level(level)
    if not study.outcomes:
        raise EvalkitError("This study has no outcome, so nothing can be evaluated. `separability` needs none.")
    for outcome in study.outcomes:
        study.values(outcome)
    sep = separability(study)
    choices, readings = Choices.of(study.settings), readings_of(study)
    findings = tuple(
        _find(study, sep, component.name, outcome, choices, readings, seed)
        for outcome in study.outcomes
        for component in study.components
    )
    bundles = tuple(b for outcome in study.outcomes for b in run_bundles(study, sep, outcome, choices, level))
    decisions = decide_all(study, sep, findings, bundles, level)
    statements = tuple(statement(e, v) for e, v in decisions)
    return Evaluation(
        study, sep, level, seed, plan,
        effects=tables.effects(findings, level),
        verdicts=tables.verdicts(decisions, statements),
        bundles=tables.bundles(bundles),
        checks=tables.checks(decisions),
        event_studies=tables.event_studies(findings, level),
        leave_one_out=tables.leave_one_out(findings),
        rules=_rules(study, sep, findings, bundles),
        findings=findings,
        decisions=decisions,
        statements=statements,
        bundle_runs=bundles,
    )  # fmt: skip


def _rules(
    study: Study, sep: Separability, findings: Sequence[Finding], bundles: Sequence[BundleRun]
) -> dict[str, str]:
    """The rule that chose each headline, in words, with whom it (or the bundle it is run in) compares."""
    best, names = sep.components.set_index("component")["best_design"], names_of(study)
    bare = study.paths.n_periods == 1 and not study.covariates
    runs = [((f.component,), f.headline) for f in findings] + [(b.members, b.run) for b in bundles]
    found = {}
    for c in study.components:
        design = UNRECORDED if bare and best[c.name] == MATCHED else str(best[c.name])
        width = next((w for members, r in runs if c.name in members and (w := width_of(r)) is not None), None)
        found[c.name] = rule_words(design, c.label) + came_words(names, width)
    return found


def _find(
    study: Study,
    sep: Separability,
    component: str,
    outcome: Outcome,
    choices: Choices,
    readings: Mapping[str, Study],
    seed: int,
) -> Finding:
    row = sep.components.set_index("component").loc[component]
    window = window_of(row, study.component(component).lag, study.paths.n_periods > 1).within(choices.horizon)
    if row["status"] not in ESTIMATED:
        return Finding(component, outcome, str(row["status"]), window, (), None, (), str(row["reason"]))
    if study.paths.n_periods == 1:
        rungs = people_ladder(str(row["best_design"]), outcome.column, bool(study.covariates))
    else:
        rungs = rungs_for(study.paths, component, str(row["best_design"]), choices, window, outcome.column)
    runs = tuple(run(r, study, component, window) for r in rungs)
    headline = next((r for r in runs if r.rung.headline), None)
    found: tuple = ()
    p = None
    if headline is not None and headline.rows is not None and headline.answer is not None:
        target = Target(component, headline.rung.design, headline.rows, headline.answer, window, outcome.matters)
        found = attack(target, study, runs, readings)
        p = randomisation_p(target, study, seed)
    return Finding(component, outcome, str(row["status"]), window, runs, headline, found, str(row["reason"]), p)


def window_of(row: pd.Series, lag: int, in_time: bool = True) -> Window:
    """lag to clean_until; nothing bounds it where separability gives no end, or nothing is seen over time."""
    until = row["clean_until"]
    return Window(lag, None if pd.isna(until) or not in_time else int(until))
