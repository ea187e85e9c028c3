"""Disclosure control: an evaluation in which nothing rests on too few people, and a log of what was held back.

Everything that a report says, draws or writes is made from what `safe` returns, so that a figure and a sentence obey
the rules of their table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.disclosure import people
from evalkit.disclosure.counts import apart, at_least_two
from evalkit.disclosure.rules import Rules, rules_of
from evalkit.evaluation import tables
from evalkit.evaluation.flow import flow_table, with_counts
from evalkit.show.words import noun_from_column, plural
from evalkit.verdicts.rules import Evidence, Verdict, decide

LOG = ("table", "row", "hidden", "rule")
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "df")
_BANDS = ("estimate", "conf_low", "conf_high", "band_low", "band_high")
_CLUSTERS = ("clusters_exposed", "clusters_comparison")
_SAFE: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class SafeSeparability:
    """What can be told apart, without rows about single people; withheld: components decided person by person."""

    components: pd.DataFrame
    pairs: pd.DataFrame
    bundles: pd.DataFrame
    aliased: tuple[str, ...]
    cure: pd.DataFrame
    timeline: pd.DataFrame
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Safe:
    """An evaluation as it may be published under `disclosure`; `log` says what was hidden and why, never the number.

    flow: who is in and who is missing. The other attributes are those of an Evaluation.
    """

    study: Any
    separability: Any
    level: float
    seed: int
    plan: Any
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    bundles: pd.DataFrame
    checks: pd.DataFrame
    event_studies: Mapping[tuple[str, str], pd.DataFrame]
    leave_one_out: pd.DataFrame
    rules: Mapping[str, str]
    decisions: tuple[tuple[Evidence, Verdict], ...]
    flow: pd.DataFrame
    disclosure: Rules
    log: pd.DataFrame
    attribution: Any = None
    value: Any = None
    _weights: Any = field(default=None, repr=False)

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        """The weights of two-way fixed effects, without the numbers of cells where rules apply."""
        table = self._weights(component, outcome)
        return table.drop(columns="cells") if self.disclosure.active and "cells" in table else table


def safe(evaluation: Any) -> Any:
    """The evaluation as its study's rules allow it to be published; worked out once for each Evaluation."""
    if isinstance(evaluation, Safe) or not hasattr(evaluation, "findings"):
        return evaluation
    if evaluation not in _SAFE:
        _SAFE[evaluation] = _make(evaluation, rules_of(evaluation.study))
    return _SAFE[evaluation]


def without_small_numbers(study: Any, text: str) -> str:
    """A sentence as the study's rules allow it to be published."""
    rules = rules_of(study)
    return people.scrub(text, noun_from_column(str(study.unit)), rules) if rules.active else text


def _make(ev: Any, rules: Rules) -> Safe:
    guard = _Guard(ev, rules)
    flow = flow_table(ev, rules)
    guard.note_flow(flow)
    decisions = tuple(guard.decision(e, v) for e, v in ev.decisions)
    separability, effects = guard.separability(), guard.effects(flow)
    if rules.active:
        decisions = tuple((with_counts(e, effects, flow), v) for e, v in decisions)
    return Safe(
        ev.study, separability, ev.level, ev.seed, ev.plan,
        effects=effects,
        verdicts=tables.verdicts(decisions),
        bundles=guard.bundles(),
        checks=guard.checks(),
        event_studies=guard.event_studies(),
        leave_one_out=guard.leave_one_out(),
        rules=ev.rules, decisions=decisions, flow=flow, disclosure=rules,
        attribution=guard.attribution(), value=guard.value(),
        log=pd.DataFrame(guard.log, columns=list(LOG)), _weights=ev.contamination,
    )  # fmt: skip


class _Guard:
    """The rules applied to each table of one evaluation; keeps the log."""

    def __init__(self, ev: Any, rules: Rules) -> None:
        self.ev, self.rules = ev, rules
        self.paths = ev.study.paths
        self.noun = noun_from_column(str(ev.study.unit))
        self.log: list[tuple[str, str, str, str]] = []
        self.reason = f"not published: fewer than {max(rules.count, 1)} {plural(self.noun)} stand behind it"
        self.cure = (
            f"an answer that rests on at least {rules.count} {plural(self.noun)} with it, and as many without, "
            "could be published"
        )
        self.fine = {c for c in self.paths.components if rules.active and self._single(c)}
        cure = self._cure(ev.separability.cure)
        self.unnamed = {r["component"]: r["words"] for r in cure.to_dict("records") if not r["places"]}
        self.few = {(f.component, f.outcome.column) for f in ev.findings if self._unsafe(f.answer, f.component)}

    def note(self, table: str, row: str, hidden: str, rule: str) -> None:
        self.log.append((table, row, hidden, rule))

    def note_flow(self, flow: pd.DataFrame) -> None:
        for r in flow[flow["hidden"] != ""].to_dict("records"):
            self.note("flow", f"{r['component']}, {r['stage']}", "count", r["hidden"])

    def _single(self, component: str) -> bool:
        """Whether the places that decided on a component are mostly single people, or a handful."""
        sizes = np.bincount(self.paths.levels[self.paths.assigned_at[component]].codes)
        return bool(np.median(sizes[sizes > 0]) < self.rules.count)

    def people(self, estimate: Any, component: str) -> tuple[float, float]:
        """People behind one number: those with the component, those compared with them."""
        row = estimate.to_frame(self.ev.level).iloc[0]
        with_it, without = (float(row.get(c, np.nan)) for c in ("units_exposed", "units_comparison"))
        if with_it > 0 and without > 0:
            return with_it, without
        return self.had([component]), float(self.paths.n_units)

    def had(self, members: Any) -> float:
        """Distinct people who had every one of `members` at some time."""
        return float(people.distinct(self.paths, people.had(self.paths, members)))

    def _unsafe(self, estimate: Any, component: str) -> bool:
        return estimate is not None and bool(self._small(*self.people(estimate, component)))

    def _small(self, with_it: float, without: float) -> bool:
        few = self.rules.small([with_it, without]).any() or with_it + without - 2 < self.rules.df
        return bool(self.rules.active and few)

    def decision(self, e: Evidence, v: Verdict) -> tuple[Evidence, Verdict]:
        """The evidence without numbers that may not be said, and the verdict that follows from it."""
        e, bundle = replace(e, cure=self.unnamed.get(e.component, e.cure)), e.bundle
        if bundle is not None and self.rules.active and self.rules.small(self.had(bundle.members)):
            bundle = replace(bundle, estimate=math.nan, conf_low=math.nan, conf_high=math.nan, std_error=math.nan,
                             reason=self.reason)  # fmt: skip
            self.note("bundles", ", ".join(e.bundle.members) if e.bundle else "", "effect", "too few")
        if (e.component, e.outcome) in self.few:
            self.note("verdicts", f"{e.component}, {e.outcome}", "effect and checks", "too few")
            e = replace(e, estimate=math.nan, conf_low=math.nan, conf_high=math.nan, std_error=math.nan, df=math.nan,
                        p_adjusted=math.nan, checks=(), clusters_exposed=0, clusters_comparison=0,
                        people_exposed=math.nan, reason=self.reason, cure=self.cure)  # fmt: skip
        elif bundle is e.bundle and self.scrub(e.reason) == e.reason:
            return e, v
        e = replace(e, bundle=bundle, reason=self.scrub(e.reason))
        return e, decide(e)

    def effects(self, flow: pd.DataFrame) -> pd.DataFrame:
        """Every design tried: no number from too few, and counts of people that never differ by a few."""
        frame = self.ev.effects.copy()
        if not self.rules.active or frame.empty:
            return frame
        frame = frame.astype({c: float for c in ("units_exposed", *_CLUSTERS)})
        runs = [(f, r) for f in self.ev.findings for r in f.runs]
        few = np.array([r.one is not None and self._small(*self.people(r.one, f.component)) for f, r in runs])
        frame.loc[few, [*_NUMBERS, "units_exposed", *_CLUSTERS]] = np.nan
        frame.loc[few, "reason"] = self.reason
        self._note_rows("effects", frame[few], "effect")
        fine = frame["component"].isin(self.fine) & ~frame["headline"].astype(bool)
        frame.loc[fine, list(_CLUSTERS)] = np.nan
        return self._counts(self.worded(frame, "reason", "population"), flow)

    def _counts(self, frame: pd.DataFrame, flow: pd.DataFrame) -> pd.DataFrame:
        """Counts of people beside the designs: those of headlines first, none within the rule of one shown."""
        for component, rows in frame.groupby("component", sort=False):
            mine = flow[flow["component"] == component]
            shown = [float(n) for n in mine["count"] if n == n and n > 0]
            order = rows.sort_values("headline", ascending=False, kind="stable").index
            counts = frame.loc[order, "units_exposed"].to_numpy(dtype=float)
            keep = apart([*shown, *counts], self.rules)[len(shown) :]
            if (mine["hidden"][mine["stage"] == "used"] != "").any():
                keep[:] = False
            hidden = ~keep & (counts > 0)
            said = np.array([float(self.rules.shown(n)) if k else np.nan for n, k in zip(counts, keep, strict=True)])
            frame.loc[order, "units_exposed"] = said
            self._note_rows("effects", frame.loc[order[hidden]], "count of people")
        return frame

    def _note_rows(self, table: str, rows: pd.DataFrame, what: str) -> None:
        for r in rows.to_dict("records"):
            self.note(table, f"{r['component']}, {r['outcome']}, {r['design']}", what, "too few, or too near another")

    def bundles(self) -> pd.DataFrame:
        """Identified combinations, without the effect of one that too few had."""
        frame = self.ev.bundles.copy()
        if not self.rules.active or frame.empty:
            return frame
        few = np.array([bool(self.rules.small(self.had(m))) for m in frame["members"]])
        frame.loc[few, ["estimate", "conf_low", "conf_high"]] = np.nan
        frame.loc[few, "reason"] = self.reason
        return self.worded(frame, "reason")

    def checks(self) -> pd.DataFrame:
        """Checks of what is published; without shares of people, and without a range that a hidden place set."""
        frame = self.ev.checks
        if not self.rules.active or frame.empty:
            return frame
        gone = [(c, o) in self.few for c, o in zip(frame["component"], frame["outcome"], strict=True)]
        frame = frame[~np.array(gone)].reset_index(drop=True)
        seen = frame["check"] == "stayers"
        frame.loc[seen, "words"] = frame.loc[seen, "status"].map(_STAYED)
        frame.loc[seen, ["estimate", "conf_low", "conf_high"]] = np.nan
        places = frame["check"] == "leave_one_cluster"
        hidden = [people.few_places(self.paths, c, self.rules).any() for c in frame["component"]]
        frame.loc[places & np.array(hidden, dtype=bool), ["conf_low", "conf_high"]] = np.nan
        return self.worded(frame, "words")

    def leave_one_out(self) -> pd.DataFrame:
        """Headlines without each place, but for places of a few people, whose share could be worked out."""
        frame = self.ev.leave_one_out
        if not self.rules.active or frame.empty:
            return frame
        keep = np.ones(len(frame), dtype=bool)
        for (component, outcome), rows in frame.groupby(["component", "outcome"], sort=False):
            few = people.few_places(self.paths, component, self.rules)
            small = np.array([bool(few.get(place, False)) for place in rows["cluster"]])
            hidden = at_least_two(small, np.arange(len(rows), dtype=float))
            if (component, outcome) in self.few or len(rows) - hidden.sum() < 2:
                hidden[:] = True
            keep[rows.index[hidden]] = False
            if hidden.any():
                self.note("leave_one_out", f"{component}, {outcome}", "some places or all", "too few")
        return frame[keep].reset_index(drop=True)

    def event_studies(self) -> dict[tuple[str, str], pd.DataFrame]:
        """By event time: a row that rests on too few is empty, and so is a second where one alone would be."""
        if not self.rules.active:
            return dict(self.ev.event_studies)
        found = {(f.component, f.outcome.column): f for f in self.ev.findings}
        shown = {key: t for key, t in self.ev.event_studies.items() if key not in self.few}
        return {key: self._event_study(t.copy(), found[key], key) for key, t in shown.items()}

    def _event_study(self, frame: pd.DataFrame, finding: Any, key: tuple[str, str]) -> pd.DataFrame:
        labels = finding.rows.aggregate("event_time").labels
        if {"units_exposed", "units_comparison"} <= set(labels) and len(labels) == len(frame):
            sizes = labels[["units_exposed", "units_comparison"]].to_numpy(dtype=float)
            given = frame["estimate"].notna().to_numpy()
            few = given & np.array([self._small(a, b) for a, b in sizes])
            claimed = given & frame["claimed"].to_numpy(dtype=bool) if "claimed" in frame else given
            few = at_least_two(few, sizes[:, 0], claimed)
            frame.loc[few, [c for c in _BANDS if c in frame]] = np.nan
            frame.loc[few, "reason"] = self.reason
            if few.any():
                self.note("event_studies", ", ".join(key), "some event times", "too few")
        if key[0] in self.fine:
            frame[list(_CLUSTERS)] = np.nan
        return self.worded(frame, "reason")

    def separability(self) -> Any:
        """What can be told apart; for components decided person by person, without counts and lanes of people."""
        sep = self.ev.separability
        if not self.fine:
            return sep
        components = sep.components.copy()
        mine = components["component"].isin(self.fine)
        columns = ["switches", "clean_switches", *_CLUSTERS]
        components = components.astype({c: float for c in columns})
        components.loc[mine, columns] = np.nan
        components["reason"] = [self.scrub(r, every=m) for r, m in zip(components["reason"], mine, strict=True)]
        pairs = sep.pairs.copy()
        for side in ("a", "b"):
            column = f"clean_switches_{side}"
            pairs[column] = pairs[column].astype(float)
            pairs.loc[pairs[side].isin(self.fine), column] = np.nan
        timeline = sep.timeline[~sep.timeline["component"].isin(self.fine)].reset_index(drop=True)
        for component in sorted(self.fine):
            self.note("separability", component, "counts and dates of single people", "decided person by person")
        cure = self._cure(sep.cure)
        aliased = tuple(self.scrub(s) for s in sep.aliased)
        return SafeSeparability(components, pairs, sep.bundles, aliased, cure, timeline, frozenset(self.fine))

    def _cure(self, cure: pd.DataFrame) -> pd.DataFrame:
        """What would have let us tell, without the names of single people."""
        if not len(cure):
            return cure
        mine = (cure["component"].isin(self.fine) | cure["delayed"].isin(self.fine)).to_numpy()
        places = [() if m else p for m, p in zip(mine, cure["places"], strict=True)]
        words = cure["words"].where(~mine, cure["unnamed"]).map(self.scrub)
        return cure.assign(words=words, unnamed=cure["unnamed"].map(self.scrub), places=places)

    def scrub(self, text: Any, every: bool = False) -> Any:
        """A sentence without small numbers of people, or without any; anything but a sentence as it is."""
        if not isinstance(text, str) or not self.rules.active:
            return text
        return people.scrub(text, self.noun, self.rules, every)

    def worded(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """A frame whose sentences in `columns` hold no small number of people."""
        return frame.assign(**{c: frame[c].map(self.scrub) for c in columns})

    def attribution(self) -> Any:
        """The pieces of the total; none where a headline is hidden, because the total would give it away."""
        if not hasattr(type(self.ev), "attribution") or self._held_back("attribution"):
            return None
        made = self.ev.attribution
        if not self.rules.active:
            return made
        pieces = self.worded(made.pieces, "reason")
        made = replace(made, pieces=pieces, notes=tuple(map(self.scrub, made.notes)))
        sizes = pieces["people_periods"].to_numpy(dtype=float)
        behind = [people.distinct(self.paths, people.had_together(self.paths, m)) for m in pieces["components"]]
        small = self.rules.small(np.fmin(np.nan_to_num(sizes), behind)) & (sizes > 0)
        few = at_least_two(small, sizes)
        if not few.any():
            return made
        pieces = pieces.copy()
        self.note("attribution", "some pieces", "effect", "too few")
        pieces.loc[few, ["estimate", "conf_low", "conf_high", "people_periods"]] = np.nan
        pieces.loc[few, "reason"] = self.reason
        return replace(made, pieces=pieces, orders=made.orders.iloc[:0], shapley=made.shapley.iloc[:0])

    def value(self) -> Any:
        """Value for money; without parts whose outcomes number too few."""
        if not hasattr(type(self.ev), "value") or not _priced(self.ev.study) or self._held_back("value"):
            return None
        made = self.ev.value
        if not self.rules.active:
            return made
        table = made.table
        sizes = table[["people_periods", "gross"]].to_numpy(dtype=float)
        few = ((sizes > 0) & (sizes < self.rules.count)).any(axis=1)
        listed = [c if isinstance(c, tuple) else tuple(str(c).split("; ")) for c in table["components"]]
        few |= [people.hangs_on_few(self.ev.study, m, self.rules) for m in listed]
        few = at_least_two(few, sizes[:, 0])
        if not few.any():
            return made
        self.note("value", ", ".join(table["name"][few]), "outcomes and their cost", "too few")
        gone = set(table["name"][few])
        names = ("table", "plane", "acceptability", "sensitivity")
        left = {n: (t := getattr(made, n))[~t["name"].isin(gone)].reset_index(drop=True) for n in names}
        return replace(made, **left)

    def _held_back(self, table: str) -> bool:
        first = self.ev.study.outcome().column
        if not any(outcome == first for _, outcome in self.few):
            return False
        self.note(table, "all", "everything", "its total would give a hidden effect away")
        return True


def _priced(study: Any) -> bool:
    """Whether the register says what anything costs."""
    return study.money is not None or any(c.unit_cost is not None for c in study.components)


_STAYED = {
    "passed": "About as many with it as without it were seen later.",
    "failed": "Those with it and those without it were not seen later at the same rate.",
    "informational": "How many were seen later is not judged here.",
}
