"""From findings to evidence to verdicts: Holm over components, then the rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd

from evalkit.checks import CheckResult
from evalkit.components import Separability
from evalkit.disclosure.people import distinct, had
from evalkit.evaluation.bundles import BundleRun
from evalkit.evaluation.ladder import Run, Window
from evalkit.inference import Estimate
from evalkit.inference.intervals import holm
from evalkit.show.words import noun_from_column, plural
from evalkit.study import Outcome, Study
from evalkit.study.paths import Memo
from evalkit.verdicts.rules import BundleEvidence, CheckOutcome, Evidence, Verdict, decide
from evalkit.vocabulary import PeopleCheck, Status


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found about one component on one outcome, before any verdict."""

    component: str
    outcome: Outcome
    status: Status
    window: Window
    runs: tuple[Run, ...]
    headline: Run | None
    checks: tuple[CheckResult, ...]
    reason: str
    randomisation_p: float | None = None

    @property
    def rows(self) -> Estimate | None:
        """The headline's rows by cohort and period, None where it could not run."""
        return None if self.headline is None else self.headline.rows

    @property
    def answer(self) -> Estimate | None:
        """The headline's one-row estimate when it is a number."""
        return None if self.headline is None else self.headline.answer


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluated:
    """What an evaluation found, before any table: from this its total, the pieces of it and value for money follow.

    decisions: evidence and verdict of each component and outcome. memo: what was worked out from all this.
    """

    study: Study
    separability: Separability
    level: float
    seed: int
    findings: tuple[Finding, ...]
    decisions: tuple[tuple[Evidence, Verdict], ...]
    bundle_runs: tuple[BundleRun, ...] = ()
    memo: Memo = field(default_factory=Memo, init=False, repr=False)


def decide_all(
    study: Study, sep: Separability, findings: Sequence[Finding], bundles: Sequence[BundleRun], level: float
) -> tuple[tuple[Evidence, Verdict], ...]:
    """Evidence and verdict for each finding, p adjusted within each outcome (Holm)."""
    raw = [_evidence(study, sep, f, bundles, level) for f in findings]
    adjusted = np.full(len(raw), np.nan)
    for outcome in study.outcomes:
        at = [i for i, f in enumerate(findings) if f.outcome == outcome]
        adjusted[at] = holm(np.array([_p_value(findings[i], level) for i in at]))
    whole = [replace(e, p_adjusted=float(p)) for e, p in zip(raw, adjusted, strict=True)]
    return tuple((e, decide(e)) for e in whole)


def _p_value(finding: Finding, level: float) -> float:
    if finding.answer is None:
        return float("nan")
    return float(finding.answer.to_frame(level)["p_value"][0])


def _evidence(study: Study, sep: Separability, f: Finding, bundles: Sequence[BundleRun], level: float) -> Evidence:
    component = study.component(f.component)
    place, crossed = study.paths.inference_level(f.component)
    base = Evidence(
        component=f.component, outcome=f.outcome.column, status=f.status, label=component.label,
        outcome_label=f.outcome.label, kind=f.outcome.kind, better=f.outcome.better, matters=f.outcome.matters,
        lag=component.lag, clean_until=f.window.until,
        period=noun_from_column(study.period or "period") if study.paths.n_periods > 1 else "",
        place=noun_from_column(place), unit=noun_from_column(study.unit), crossed_levels=crossed,
        population=_population(study, f.component), reason=f.reason, cure=_cure(sep, f.component),
        bundle=_bundle(f, bundles), tied=_tied(study, f, bundles), observed=_observed(study, f.outcome),
    )  # fmt: skip
    if f.headline is None:
        return base
    if f.answer is None:
        return replace(base, reason=f.headline.reason, design=f.headline.rung.name)
    row, basis = f.answer.to_frame(level).iloc[0], f.headline.rung.design.traits.rests_on
    matched = not basis.isdisjoint({"matching", "weighting"})
    return replace(
        base, estimate=float(row["estimate"]), conf_low=float(row["conf_low"]), conf_high=float(row["conf_high"]),
        std_error=float(row["std_error"]), df=float(row["df"]), design=f.headline.rung.name,
        clusters_exposed=int(row["clusters_exposed"]), clusters_comparison=int(row["clusters_comparison"]),
        people_exposed=_people_exposed(study, row), units_behind=float(row.get("units_exposed", math.nan)),
        units_had=float(distinct(study.paths, had(study.paths, [f.component]))),
        checks=tuple(CheckOutcome(**asdict(c)) for c in f.checks),
        randomisation_p=f.randomisation_p, by_people=any(c.check == "by_people" for c in f.checks),
        by_people_check=_people_check(f.checks),
        rests_on_matching=matched, unrecorded=matched and not study.covariates,
        rests_on_additivity="additivity" in basis, rests_on_dose="dose" in basis, reason=str(row["reason"]),
    )  # fmt: skip


def _people_check(checks: Sequence[CheckResult]) -> PeopleCheck:
    """The verdict's word for the check by people."""
    status = {c.check: c.status for c in checks}.get("by_people")
    if status is None:
        return "not_needed"
    return "untestable" if status == "informational" else status


def _people_exposed(study: Study, row: pd.Series) -> float:
    """Exposed units behind the answer where several share a cluster; NaN where units are the clusters."""
    paths = study.paths
    if paths.n_units == len(paths.levels[paths.cluster].names):
        return math.nan
    return float(row.get("units_exposed", math.nan))


def _observed(study: Study, outcome: Outcome) -> bool:
    return bool(np.isfinite(study.values(outcome)).any())


def _population(study: Study, component: str) -> str:
    if study.component(component).reach is None:
        return ""
    return f"{plural(noun_from_column(study.unit))} whom it can reach"


def _cure(sep: Separability, component: str) -> str:
    mine = sep.cure[sep.cure["component"] == component] if len(sep.cure) else sep.cure
    return str(mine["words"].iloc[0]) if len(mine) else ""


def _bundle(f: Finding, bundles: Sequence[BundleRun]) -> BundleEvidence | None:
    mine = [b for b in bundles if b.outcome == f.outcome and f.component in b.members]
    return min((b.evidence for b in mine), key=_weakness_of, default=None)


def _weakness_of(b: BundleEvidence) -> tuple[bool, bool, bool, bool]:
    """Of several combinations, one with a range is said before one without, a clean one before one that rests on
    additivity, and a sum before a swap."""
    return not np.isfinite(b.conf_low), not np.isfinite(b.estimate), b.additive, min(b.signs) < 0


def _tied(study: Study, f: Finding, bundles: Sequence[BundleRun]) -> tuple[str, ...]:
    """Labels of every component that shares an identified combination with this one, in the register's order."""
    mine = {m for b in bundles if b.outcome == f.outcome and f.component in b.members for m in b.members}
    return tuple(c.label for c in study.components if c.name in mine and c.name != f.component)
