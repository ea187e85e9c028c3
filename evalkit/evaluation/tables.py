"""Frames of an evaluation: each number comes from an Estimate, each word from the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.checks.stability import without_each
from evalkit.evaluation.bundles import BundleRun
from evalkit.evaluation.evidence import Finding
from evalkit.evaluation.ladder import Run
from evalkit.inference import Estimate
from evalkit.language.statement import Statement
from evalkit.show.tables import Table, from_frame
from evalkit.study import Study
from evalkit.verdicts.rules import Evidence, Verdict

NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "df")
EFFECTS = ("component", "outcome", "design", "headline", *NUMBERS, "inference", "clusters_exposed",
           "clusters_comparison", "units_exposed", "population", "reason")  # fmt: skip
CHECKS = ("component", "outcome", "check", "status", "words", "estimate", "conf_low", "conf_high")
BUNDLES = ("members", "kind", "weights", "outcome", "estimate", "conf_low", "conf_high", "design", "reason")


def effects(findings: Sequence[Finding], level: float) -> pd.DataFrame:
    """Every design tried, a row each; `reason` where it gave no number."""
    rows = [_effect(f, r, level) for f in findings for r in f.runs]
    return pd.DataFrame(rows, columns=list(EFFECTS))


def _effect(f: Finding, r: Run, level: float) -> dict[str, object]:
    out: dict[str, object] = dict.fromkeys(NUMBERS, np.nan)
    out |= {"component": f.component, "outcome": f.outcome.column, "design": r.rung.name, "headline": r.rung.headline,
            "reason": r.reason, "population": "", "inference": "", "clusters_exposed": 0, "clusters_comparison": 0,
            "units_exposed": 0}  # fmt: skip
    if r.one is None:
        return out
    row = r.one.to_frame(level).iloc[0]
    out |= {k: row[k] for k in (*NUMBERS, "inference", "clusters_exposed", "clusters_comparison", "population")}
    out["units_exposed"] = row.get("units_exposed", 0)
    out["reason"] = row["reason"] or r.reason
    return out


def verdicts(decisions: Sequence[tuple[Evidence, Verdict]], statements: Sequence[Statement]) -> pd.DataFrame:
    """One row a component and outcome, in the order of the register."""
    rows = [
        {
            "component": e.component, "outcome": e.outcome, "verdict": v.verdict, "direction": v.direction,
            "sentence": s.sentence, "estimate": v.estimate, "conf_low": v.conf_low, "conf_high": v.conf_high,
            "p_adjusted": v.p_adjusted, "design": e.design, "clusters_exposed": e.clusters_exposed,
            "clusters_comparison": e.clusters_comparison, "smallest_detectable": v.smallest_detectable,
            "reasons": v.reasons,
        }
        for (e, v), s in zip(decisions, statements, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def bundles(runs: Sequence[BundleRun]) -> pd.DataFrame:
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


def checks(decisions: Sequence[tuple[Evidence, Verdict]]) -> pd.DataFrame:
    """Every check of every headline, a row each."""
    rows = [
        (e.component, e.outcome, c.check, c.status, c.words, c.estimate, c.conf_low, c.conf_high)
        for e, _ in decisions
        for c in e.checks
    ]
    return pd.DataFrame(rows, columns=list(CHECKS))


def event_study(f: Finding, rows: Estimate, level: float) -> pd.DataFrame:
    """The headline design by event time, with pointwise intervals and a simultaneous band."""
    by_event = rows.aggregate("event_time")
    frame = by_event.to_frame(level)
    band = by_event.interval("simultaneous", level)
    frame = frame.assign(
        design=f.headline.rung.name if f.headline else "", band_low=band["conf_low"], band_high=band["conf_high"],
        claimed=f.window.holds(frame["event_time"].to_numpy()),
    )  # fmt: skip
    keep = ["component", "outcome", "design", "event_time", "estimate", "conf_low", "conf_high", "band_low",
            "band_high", "claimed", "clusters_exposed", "clusters_comparison", "composition", "reason"]  # fmt: skip
    return frame[[c for c in keep if c in frame]]


def event_studies(findings: Sequence[Finding], level: float) -> dict[tuple[str, str], pd.DataFrame]:
    """An event study for each headline that ran; none where nothing is seen over time."""
    return {
        (f.component, f.outcome.column): event_study(f, f.rows, level)
        for f in findings
        if f.rows is not None and "" not in f.rows.labels.get("period", pd.Series()).tolist()
    }


def leave_one_out(findings: Sequence[Finding]) -> pd.DataFrame:
    """Headlines without each cluster: component, outcome, cluster, estimate."""
    made = [
        without_each(f.answer).assign(component=f.component, outcome=f.outcome.column)
        for f in findings
        if f.answer is not None and f.answer.replicate is not None
    ]
    columns = ["component", "outcome", "cluster", "estimate"]
    return pd.concat(made, ignore_index=True)[columns] if made else pd.DataFrame(columns=columns)


def write(named: Mapping[str, pd.DataFrame], folder: str | Path) -> tuple[Path, ...]:
    """Write each frame as NAME.csv (UTF-8, ten significant digits) into `folder`; return the paths."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return tuple(_write(frame, place / f"{name}.csv") for name, frame in named.items())


def _write(frame: pd.DataFrame, path: Path) -> Path:
    flat = frame.copy()
    for column in flat.columns:
        if flat[column].map(lambda v: isinstance(v, (tuple, list))).any():
            flat[column] = flat[column].map(lambda v: "; ".join(map(str, v)) if isinstance(v, (tuple, list)) else v)
    path.write_text(flat.to_csv(index=False, lineterminator="\n", float_format="%.10g"), encoding="utf-8")
    return path


def summary(study: Study, verdicts: pd.DataFrame) -> Table:
    """The verdicts as a table for people, components and outcomes by their labels."""
    table = verdicts[["component", "outcome", "verdict", "sentence"]].copy()
    table["component"] = table["component"].map({c.name: c.label for c in study.components})
    table["outcome"] = table["outcome"].map({o.column: o.label for o in study.outcomes})
    table["verdict"] = table["verdict"].str.replace("_", " ")
    return from_frame(table, "Verdicts")
