"""Evaluate a study: separability first, then every component by the strongest design it supports, and every headline
put to the checks that its design invites and to those of every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.components import Separability, separability
from evalkit.components.wording import names_of
from evalkit.designs.threads import one_thread
from evalkit.errors import EvalkitError
from evalkit.evaluation.attacking import Target, falsify, randomisation_p
from evalkit.evaluation.bundles import BundleRun, run_bundles
from evalkit.evaluation.composition import ONE_GROUP, Asked, means_rung, two_groups, who_was_asked
from evalkit.evaluation.evidence import (
    Finding,
    bundle_table,
    check_table,
    decide_all,
    effect_table,
    event_study_tables,
    leave_one_out_table,
    verdict_table,
)
from evalkit.evaluation.ladder import Choices, Run, Window, design_of, rule_words, run, window_of
from evalkit.evaluation.readings import StartReadings, readings_of, start_readings
from evalkit.evaluation.results import Evaluation
from evalkit.evaluation.rungs import beside_few, came_words, gathered_words, reversal_rungs, rungs_for, width_of
from evalkit.evaluation.side_by_side import side_by_side
from evalkit.evaluation.touching import touched_rungs
from evalkit.inference.intervals import check_level
from evalkit.language.statement import statement
from evalkit.progress import step
from evalkit.study import Outcome, Study
from evalkit.vocabulary import ESTIMATED


@one_thread()
def evaluate(
    study: Study, *, level: float = 0.95, plan: Mapping[str, object] | None = None, seed: int = 0
) -> Evaluation:
    """Which components made a difference, by how much, and how sure.

    Both doors are opened first: an outcome that cannot be read raises `OutcomeError` here. Where people are new each
    period, the evaluation is of the study of their places (`Study.as_compared`), which its `study` then is. level:
    confidence level of printed intervals. seed: for every random step.
    """
    check_level(level)
    if not study.outcomes:
        raise EvalkitError("This study has no outcome, so nothing can be evaluated. `separability` needs none.")
    for outcome in study.outcomes:
        study.values(outcome)
    step("What can be told apart")
    study = study.as_compared()
    sep, choices = separability(study), Choices.of(study.settings)
    study, asked = who_was_asked(study, sep, choices)
    asking = Asking(study, sep, choices, readings_of(study), start_readings(study), asked, level, seed)
    tasks = [(outcome, c.name) for outcome in study.outcomes for c in study.components]
    findings = side_by_side(asking, tasks, lambda t: step(f"{study.component(t[1]).label}: comparing, on {t[0].label}"))
    bundles: list[BundleRun] = []
    for outcome in study.outcomes if len(sep.bundles) else ():
        step(f"What goes together, on {outcome.label}")
        bundles += run_bundles(study.weighing(outcome), sep, outcome, choices, level)
    decisions = decide_all(study, sep, findings, bundles, level)
    statements = tuple(statement(e, v) for e, v in decisions)
    return Evaluation(
        study=study, separability=sep, level=level, seed=seed, plan=plan,
        effects=effect_table(findings, level),
        verdicts=verdict_table(decisions, statements),
        bundles=bundle_table(bundles),
        checks=check_table(decisions),
        event_studies=event_study_tables(findings, level),
        leave_one_out=leave_one_out_table(findings),
        rules=_rules(study, sep, findings, bundles),
        findings=tuple(findings),
        judged=decisions,
        statements=statements,
        bundle_runs=tuple(bundles),
    )  # fmt: skip


def _rules(
    study: Study, sep: Separability, findings: Sequence[Finding], bundles: Sequence[BundleRun]
) -> dict[str, str]:
    """The rule that chose each headline, in words, with whom it (or the bundle it is run in) compares."""
    best, names = sep.components.set_index("component")["best_design"], names_of(study)
    runs = [((f.component,), f.headline) for f in findings] + [(b.members, b.run) for b in bundles]
    found = {}
    for c in study.components:
        design = design_of(study.paths, c.name, str(best[c.name]), bool(study.covariates))
        width = next((w for members, r in runs if c.name in members and (w := width_of(r)) is not None), None)
        found[c.name] = rule_words(design, c.label) + came_words(names, width) + gathered_words(study)
    return found


@dataclass(frozen=True, eq=False)
class Asking:
    """What every component is asked, and the study it is asked of: gives the finding of a component on an outcome."""

    study: Study
    separability: Separability
    choices: Choices
    readings: Mapping[str, Study]
    starts: StartReadings | None
    asked: Asked | None
    level: float
    seed: int

    def __call__(self, task: tuple[Outcome, str]) -> Finding:
        """The ladder of designs, its headline, what the checks say of it, and what tables show."""
        return self._found(task).worked_out(self.level)

    def _found(self, task: tuple[Outcome, str]) -> Finding:
        outcome, component, study = *task, self.study.weighing(task[0])
        row = self.separability.components.set_index("component").loc[component]
        window = window_of(row, study.component(component).lag, study.paths.n_periods > 1).within(self.choices.horizon)
        status, reason = self.separability.status(component), str(row["reason"])
        if status not in ESTIMATED:
            few = status == "too_few_clusters" and self.asked is not None
            shown = (run(two_groups(outcome.column), study, component, Window(window.lag)),) if few else ()
            said = f"{reason}; {ONE_GROUP}" if few else reason
            return Finding(component, outcome, status, window, shown, None, (), said)
        runs = self._runs(study, component, outcome.column, window)
        headline = next((r for r in runs if r.rung.headline), None)
        if headline is None or headline.rows is None or headline.answer is None:
            return Finding(component, outcome, status, window, tuple(runs), headline, (), reason)
        further = beside_few(study, component, headline, self.choices, outcome.column)
        further += touched_rungs(study, component, headline.rung)
        runs += [run(rung, study, component, window) for rung in further]
        answer, design = (headline.rows, headline.answer), headline.rung.design
        target = Target(
            study, component, design, *answer, window, outcome.matters, runs, self.readings, self.asked, self.starts
        )
        step(f"{study.component(component).label}: attacking the answer")
        p, checks = randomisation_p(target, self.seed), falsify(target)
        return Finding(component, outcome, status, window, tuple(runs), headline, checks, reason, p, target.drift)

    def _runs(self, study: Study, component: str, outcome: str, window: Window) -> list[Run]:
        """The rungs that the study supports, the headline among them."""
        best = str(self.separability.components.set_index("component").loc[component, "best_design"])
        runs: list[Run] = []
        for rung in rungs_for(study, component, best, self.choices, window, outcome, self.seed):
            runs.append(run(rung, study, component, window))
            if rung.headline and (other := means_rung(study, rung, component, self.asked)) is not None:
                runs.append(run(other, study, component, window))
        if self.separability.status(component) in ("separable", "additive_only"):
            rungs = reversal_rungs(study.paths, component, self.choices, outcome)
            runs += [run(rung, study, component, window) for rung in rungs]
        return runs
