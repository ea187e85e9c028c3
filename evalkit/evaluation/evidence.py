"""From findings to evidence to verdicts (Holm over components, then the rules), and the tables of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.checks.drift import Drift
from evalkit.checks.headline import CheckResult, numbers, without_each
from evalkit.components import Separability
from evalkit.components.facts import distinct, had
from evalkit.evaluation.bundles import BundleRun
from evalkit.evaluation.ladder import Run, Window, published
from evalkit.folders import filled
from evalkit.inference import Estimate, stack
from evalkit.inference.intervals import holm
from evalkit.inference.labelled import Labels
from evalkit.inference.replicates import FEWEST, Averaging
from evalkit.language.statement import Statement
from evalkit.show.tables import Table, csv_text, from_frame
from evalkit.show.words import plural
from evalkit.study import Outcome, Study
from evalkit.study.component import moved_by_results
from evalkit.study.paths import Memo
from evalkit.verdicts.evidence import BesideDrift, BundleEvidence, CheckOutcome, Evidence, Verdict
from evalkit.verdicts.lean import lean_of
from evalkit.verdicts.rules import decide
from evalkit.vocabulary import PeopleCheck, Status

NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "df")
EFFECTS = ("component", "outcome", "design", "headline", *NUMBERS, "inference", "clusters_exposed",
           "clusters_comparison", "units_exposed", "population", "reason")  # fmt: skip
CHECKS = ("component", "outcome", "check", "status", "words", "estimate", "conf_low", "conf_high")
PARTS = 4
"""Parts of the claimed window over each of which a benefit that matters has to be ruled out."""
BUNDLES = ("members", "kind", "weights", "outcome", "estimate", "conf_low", "conf_high", "design", "reason")


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
    drift: Drift | None = None
    _event_studies: dict[float, pd.DataFrame | None] = field(default_factory=dict, init=False, repr=False)
    _by_time: dict[float, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def rows(self) -> Estimate | None:
        """The headline's rows by cohort and period, None where it could not run."""
        return None if self.headline is None else self.headline.rows

    @property
    def answer(self) -> Estimate | None:
        """The headline's one-row estimate when it is a number."""
        return None if self.headline is None else self.headline.answer

    @cached_property
    def later(self) -> Estimate | None:
        """The headline's own rows by event time."""
        rows = self.rows
        return None if rows is None or "event_time" not in rows.label_columns else rows.aggregate("event_time")

    @cached_property
    def by_event(self) -> Estimate | None:
        """The headline by event time. Before the start, where weights of least noise give no rows, those of the same
        comparison with equal weights."""
        if self.headline is None or self.later is None:
            return None
        equal = published(self.headline.rung.design)
        rows = next((r.rows for r in self.runs if r.rung.design == equal and r is not self.headline), None)
        if rows is None or (self.later.label_columns["event_time"] < 0).any():
            return self.later
        all_times = rows.aggregate("event_time")
        before = all_times.label_columns["event_time"] < 0
        return stack(all_times.select(before), self.later) if before.any() else self.later

    def event_study(self, level: float) -> pd.DataFrame | None:
        """The headline by event time with intervals and a simultaneous band; None where nothing is seen over time."""
        if level not in self._event_studies:
            seen = self.rows is not None and _over_time(self.rows)
            over_time = self.by_event if seen else None
            self._event_studies[level] = None if over_time is None else _event_study(self, over_time, level)
        return self._event_studies[level]

    def by_time(self, level: float) -> dict[str, Any]:
        """Ends of the ranges over each of four parts, at most, of the claimed event times; nothing where nothing is
        seen over time. Ends are those of a test at 1 - level of one side each."""
        if level not in self._by_time:
            self._by_time[level] = _by_time(self, level)
        return self._by_time[level]

    def worked_out(self, level: float) -> Finding:
        """The same, with what tables show of it made now and not when they ask."""
        self.event_study(level)
        self.by_time(level)
        for r in self.runs:
            if r.one is not None:
                r.one.row(level=level)
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluated:
    """What an evaluation found, before any table: from this its total, the pieces of it and value for money follow.

    judged: evidence and verdict of each component and outcome. memo: what was worked out from all this.
    """

    study: Study
    separability: Separability
    level: float
    seed: int
    findings: tuple[Finding, ...]
    judged: tuple[tuple[Evidence, Verdict], ...]
    bundle_runs: tuple[BundleRun, ...] = ()
    memo: Memo = field(default_factory=Memo, init=False, repr=False)


def decide_all(
    study: Study, sep: Separability, findings: Sequence[Finding], bundles: Sequence[BundleRun], level: float
) -> tuple[tuple[Evidence, Verdict], ...]:
    """Evidence and verdict for each finding, p adjusted (Holm) within each outcome, or over all where the study is one
    family, over the components that could be shown; one that could not, whatever its p, is adjusted over all."""
    raw = [_evidence(study, sep, f, bundles, level) for f in findings]
    showable = could_be_shown(sep)
    adjusted = np.full(len(raw), np.nan)
    families = (study.outcomes,) if study.family == "all" else tuple((o,) for o in study.outcomes)
    for family in families:
        at = np.array([i for i, f in enumerate(findings) if f.outcome in family])
        answers = [findings[i].answer for i in at]
        p = np.array([np.nan if one is None else float(one.to_frame(level)["p_value"][0]) for one in answers])
        first = np.array([findings[i].component in showable for i in at])
        adjusted[at] = np.where(first, holm(p, family=first), holm(p))
    whole = [replace(e, p_adjusted=float(p)) for e, p in zip(raw, adjusted, strict=True)]
    return tuple((e, decide(e)) for e in whole)


def could_be_shown(sep: Separability) -> frozenset[str]:
    """Components that a number of their own could show, as the audit has it before any outcome is read: told apart
    without adding up, in three clusters at least on either side (`verdicts/rules.py`)."""
    table = sep.components
    fewest = table[["clusters_exposed", "clusters_comparison"]].min(axis=1)
    able = (table["status"] == "separable") & (fewest >= FEWEST)
    return frozenset(table.loc[able, "component"])


def _evidence(study: Study, sep: Separability, f: Finding, bundles: Sequence[BundleRun], level: float) -> Evidence:
    component = study.component(f.component)
    place, crossed = study.paths.inference_level(f.component)
    cures = sep.cure[sep.cure["component"] == f.component] if len(sep.cure) else sep.cure
    mine = [b for b in bundles if b.outcome == f.outcome and f.component in b.members]
    partners = {m for b in mine for m in b.members if m != f.component}
    base = Evidence(
        component=f.component, outcome=f.outcome.column, status=f.status, label=component.label,
        outcome_label=f.outcome.label, kind=f.outcome.said, per=f.outcome.per_words, better=f.outcome.better,
        matters=f.outcome.matters,
        lag=component.lag, clean_until=f.window.until,
        period=study.noun_for(study.period) if study.paths.n_periods > 1 else "",
        place=study.noun_for(place), unit=study.noun_for(study.unit), crossed_levels=crossed,
        time_unit=f.outcome.time_unit or "",
        population="" if component.reach is None else f"{plural(study.noun_for(study.unit))} whom it can reach",
        reason=f.reason, cure=str(cures["words"].iloc[0]) if len(cures) else "",
        bundle=min((b.evidence for b in mine), key=_weakness_of, default=None),
        tied=tuple(c.label for c in study.components if c.name in partners),
        currency=study.currency, observed=bool(np.isfinite(study.values(f.outcome)).any()),
    )  # fmt: skip
    if f.headline is None:
        return base
    if f.answer is None:
        return replace(base, reason=f.headline.reason, design=f.headline.rung.name)
    row, basis = f.answer.row(level=level), f.headline.rung.design.traits.rests_on
    matched = not basis.isdisjoint({"matching", "weighting"})
    return replace(
        base, estimate=float(row["estimate"]), conf_low=float(row["conf_low"]), conf_high=float(row["conf_high"]),
        std_error=float(row["std_error"]), df=float(row["df"]), design=f.headline.rung.name,
        clusters_exposed=int(row["clusters_exposed"]), clusters_comparison=int(row["clusters_comparison"]),
        people_exposed=math.nan if "randomisation" in basis else _people_exposed(study, row),
        units_behind=float(row.get("units_exposed", math.nan)),
        units_had=float(distinct(study.paths, had(study.paths, [f.component]))), doses=_doses_alike(study, f.component),
        checks=tuple(CheckOutcome(**asdict(c)) for c in f.checks),
        randomisation_p=f.randomisation_p, by_people=any(c.check == "by_people" for c in f.checks),
        by_people_check=_people_check(f.checks), drift=None if f.drift is None else _beside(f.drift, level),
        moved_by_results=moved_by_results(component), rests_on_matching=matched,
        unrecorded=matched and not study.covariates,
        rests_on_additivity="additivity" in basis, rests_on_dose="dose" in basis,
        rests_on_one_place="one place" in basis, rests_on_chance="randomisation" in basis,
        reason=str(row["reason"]), **f.by_time(level),
    )  # fmt: skip


def _doses_alike(study: Study, component: str) -> int:
    """How many doses of a component count alike: of people seen once all of them do."""
    paths = study.paths
    return len(paths.doses[paths.index(component)]) if paths.n_periods == 1 and paths.doses else 1


def _over_time(rows: Estimate) -> bool:
    """Whether no row is of all periods together."""
    return "period" not in rows.label_columns or "" not in rows.label_columns["period"].tolist()


def _by_time(f: Finding, level: float) -> dict[str, Any]:
    if f.rows is None or "period" not in f.rows.label_columns or not _over_time(f.rows):
        return {}
    by_event = f.later
    if by_event is None:
        return {}
    times = by_event.label_columns["event_time"]
    claimed = np.flatnonzero(f.window.holds(times) & np.isfinite(by_event.value))
    if not len(claimed):
        return {}
    claimed = claimed[np.argsort(times[claimed])]
    parts = [np.isin(np.arange(len(times)), part) for part in np.array_split(claimed, min(PARTS, len(claimed)))]
    labels = Labels(len(parts), {"estimand": "mean of a part of the window"})
    averages = by_event.apply(Averaging(np.column_stack(parts), by_mass=True, total_mass=True), labels)
    ends = np.array([numbers(averages.row(i, 2 * level - 1))[1:] for i in range(len(parts))])
    return {"by_time": (float(ends[:, 0].min()), float(ends[:, 1].max()))}


def _beside(drift: Drift, level: float) -> BesideDrift:
    low, high = drift.interval(level)
    told = drift.straight, low, high, drift.breakdown, drift.reason
    return BesideDrift(drift.carries, drift.early, *told, steady=drift.steady)


def _people_check(checks: Sequence[CheckResult]) -> PeopleCheck:
    """The verdict's word for the check by people."""
    status = {c.check: c.status for c in checks}.get("by_people")
    if status is None:
        return "not_needed"
    return "untestable" if status == "informational" else status


def _people_exposed(study: Study, row: Mapping[str, Any]) -> float:
    """Exposed units behind the answer where several share a cluster; NaN where units are the clusters."""
    paths = study.paths
    if paths.asked is None and paths.alone(paths.cluster):
        return math.nan
    return float(row.get("units_exposed", math.nan))


def _weakness_of(b: BundleEvidence) -> tuple[bool, bool, bool, bool]:
    """Of several combinations, one with a range is said before one without, a clean one before one that rests on
    additivity, and a sum before a swap."""
    return not np.isfinite(b.conf_low), not np.isfinite(b.estimate), b.additive, min(b.signs) < 0


# ---------------------------------------------------------------- tables: numbers from estimates, words from rules


def effect_table(findings: Sequence[Finding], level: float) -> pd.DataFrame:
    """Every design tried, a row each; `reason` where it gave no number."""
    rows = []
    for f in findings:
        rows += [_effect(f, r, level) for r in f.runs]
    return pd.DataFrame(rows, columns=list(EFFECTS))


def _effect(f: Finding, r: Run, level: float) -> dict[str, object]:
    out: dict[str, object] = dict.fromkeys(NUMBERS, np.nan)
    out |= {"component": f.component, "outcome": f.outcome.column, "design": r.rung.name, "headline": r.rung.headline,
            "reason": r.reason, "population": "", "inference": "", "clusters_exposed": 0, "clusters_comparison": 0,
            "units_exposed": 0}  # fmt: skip
    if r.one is None:
        return out
    row = r.one.row(level=level)
    out |= {k: row[k] for k in (*NUMBERS, "inference", "clusters_exposed", "clusters_comparison", "population")}
    out["units_exposed"] = row.get("units_exposed", 0)
    out["reason"] = row["reason"] or r.reason
    return out


def verdict_table(decisions: Sequence[tuple[Evidence, Verdict]], statements: Sequence[Statement]) -> pd.DataFrame:
    """One row a component and outcome, in the order of the register."""
    rows = [
        {
            "component": e.component, "outcome": e.outcome, "verdict": v.verdict, "direction": v.direction,
            "sentence": s.sentence, "estimate": v.estimate, "conf_low": v.conf_low, "conf_high": v.conf_high,
            "p_adjusted": v.p_adjusted, "design": e.design, "clusters_exposed": e.clusters_exposed,
            "clusters_comparison": e.clusters_comparison, "smallest_detectable": v.smallest_detectable,
            "reasons": v.reasons, "lean": lean_of(e),
            **_drift_columns(e.drift if e.drift is not None and v.rule > 2 else None),
        }
        for (e, v), s in zip(decisions, statements, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _drift_columns(drift: BesideDrift | None) -> dict[str, float]:
    found = (math.nan,) * 3 if drift is None else (drift.breakdown, drift.low, drift.high)
    return dict(zip(("breakdown", "drift_low", "drift_high"), found, strict=True))


def bundle_table(runs: Sequence[BundleRun]) -> pd.DataFrame:
    """Identified combinations with their effect, or why it has none."""
    rows = [
        {
            "members": b.members, "kind": b.evidence.kind, "weights": b.evidence.weights, "outcome": b.outcome.column,
            "estimate": b.evidence.estimate, "conf_low": b.evidence.conf_low, "conf_high": b.evidence.conf_high,
            "design": b.evidence.design, "reason": b.evidence.reason,
        }
        for b in runs
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(BUNDLES))


def check_table(decisions: Sequence[tuple[Evidence, Verdict]]) -> pd.DataFrame:
    """Every check of every headline, a row each."""
    rows = [
        (e.component, e.outcome, c.check, c.status, c.words, c.estimate, c.conf_low, c.conf_high)
        for e, _ in decisions
        for c in e.checks
    ]
    return pd.DataFrame(rows, columns=list(CHECKS))


def _event_study(f: Finding, by_event: Estimate, level: float) -> pd.DataFrame:
    """The headline design by event time, with pointwise intervals and a simultaneous band."""
    frame = by_event.to_frame(level)
    band = by_event.interval("simultaneous", level)
    frame = frame.assign(
        design=f.headline.rung.name if f.headline else "", band_low=band["conf_low"], band_high=band["conf_high"],
        claimed=f.window.holds(frame["event_time"].to_numpy()),
    )  # fmt: skip
    keep = ["component", "outcome", "design", "event_time", "estimate", "conf_low", "conf_high", "band_low",
            "band_high", "claimed", "clusters_exposed", "clusters_comparison", "composition", "reason"]  # fmt: skip
    return frame[[c for c in keep if c in frame]]


def event_study_tables(findings: Sequence[Finding], level: float) -> dict[tuple[str, str], pd.DataFrame]:
    """An event study for each headline that ran; none where nothing is seen over time."""
    made = {(f.component, f.outcome.column): f.event_study(level) for f in findings}
    return {key: frame for key, frame in made.items() if frame is not None}


def leave_one_out_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Headlines without each cluster: component, outcome, cluster, estimate."""
    made = [
        without_each(f.answer).assign(component=f.component, outcome=f.outcome.column)
        for f in findings
        if f.answer is not None and f.answer.replicate is not None
    ]
    columns = ["component", "outcome", "cluster", "estimate"]
    return pd.concat(made, ignore_index=True)[columns] if made else pd.DataFrame(columns=columns)


def write_frames(named: Mapping[str, pd.DataFrame], folder: str | Path) -> tuple[Path, ...]:
    """Write each frame as NAME.csv (UTF-8, ten significant digits) into `folder`; return the paths."""
    with filled(Path(folder)) as place:
        return tuple(_write(frame, place / f"{name}.csv") for name, frame in named.items())


def _write(frame: pd.DataFrame, path: Path) -> Path:
    flat = frame.copy()
    for column in flat.columns:
        if flat[column].map(lambda v: isinstance(v, (tuple, list))).any():
            flat[column] = flat[column].map(lambda v: "; ".join(map(str, v)) if isinstance(v, (tuple, list)) else v)
    path.write_text(csv_text(flat), encoding="utf-8")
    return path


def summary_table(study: Study, verdicts: pd.DataFrame) -> Table:
    """The verdicts as a table for people, components and outcomes by their labels."""
    table = verdicts[["component", "outcome", "verdict", "sentence"]].copy()
    table["component"] = table["component"].map({c.name: c.label for c in study.components})
    table["outcome"] = table["outcome"].map({o.column: o.label for o in study.outcomes})
    table["verdict"] = table["verdict"].str.replace("_", " ")
    return from_frame(table, "Verdicts")
