"""Evaluate a study: separability first, then every component by the strongest design it supports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from evalkit.components import Separability, separability
from evalkit.components.wording import names_of
from evalkit.errors import EvalkitError
from evalkit.evaluation import tables
from evalkit.evaluation.bundles import BundleRun, run_bundles
from evalkit.evaluation.evidence import Finding, decide_all
from evalkit.evaluation.falsification import Target, falsify, randomisation_p, readings_of
from evalkit.evaluation.ladder import (
    UNRECORDED,
    Choices,
    Window,
    came_words,
    rule_words,
    run,
    rungs_for,
    width_of,
)
from evalkit.evaluation.results import Evaluation
from evalkit.inference.intervals import check_level
from evalkit.language.statement import statement
from evalkit.study import Outcome, Study
from evalkit.vocabulary import ESTIMATED, MATCHED


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
    told = study.outcomes if len(sep.bundles) else ()
    bundles = tuple(b for outcome in told for b in run_bundles(study, sep, outcome, choices, level))
    decisions = decide_all(study, sep, findings, bundles, level)
    statements = tuple(statement(e, v) for e, v in decisions)
    return Evaluation(
        study=study, separability=sep, level=level, seed=seed, plan=plan,
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
    status, reason = sep.status(component), str(row["reason"])
    if status not in ESTIMATED:
        return Finding(component, outcome, status, window, (), None, (), reason)
    rungs = rungs_for(study, component, str(row["best_design"]), choices, window, outcome.column)
    runs = tuple(run(r, study, component, window) for r in rungs)
    headline = next((r for r in runs if r.rung.headline), None)
    if headline is None or headline.rows is None or headline.answer is None:
        return Finding(component, outcome, status, window, runs, headline, (), reason)
    target = Target(
        study, component, headline.rung.design, headline.rows, headline.answer, window, outcome.matters, runs, readings
    )
    p = randomisation_p(target, seed)
    return Finding(component, outcome, status, window, runs, headline, falsify(target), reason, p)


def window_of(row: pd.Series, lag: int, in_time: bool = True) -> Window:
    """lag to clean_until; nothing bounds it where separability gives no end, or nothing is seen over time."""
    until = row["clean_until"]
    return Window(lag, None if pd.isna(until) or not in_time else int(until))
