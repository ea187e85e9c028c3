"""Evidence and tables as they may be published: the same types out as in, without what rests on too few people.

Nothing here is worded, and no sentence is read: numbers of people within sentences are found by their tie
(`show/words.py`), and every sentence about a finding is made afterwards, from the evidence that is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from evalkit.components import Separability
from evalkit.decision.case import Case
from evalkit.disclosure import people
from evalkit.disclosure.rounding import Grain, coarse, grain_of, nice_step, to_step, two_digits, way_of
from evalkit.disclosure.rules import Rules, apart, at_least_two
from evalkit.inference import Estimate
from evalkit.show.words import Count, plural, retold
from evalkit.study import Study
from evalkit.study.money import PROGRAMME
from evalkit.study.paths import Paths
from evalkit.verdicts.evidence import BesideDrift, BundleEvidence, CheckOutcome, Evidence, Verdict
from evalkit.vocabulary import BESIDE_UNTOUCHED, ON_NEIGHBOURS

LOG = ("table", "row", "hidden", "rule")
NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "df")
_BANDS = ("estimate", "conf_low", "conf_high", "band_low", "band_high")
_RANGE = ("estimate", "conf_low", "conf_high")
_OTHER_ENDS = ("low", "high", "allowed_low", "allowed_high")
_CLUSTERS = ("clusters_exposed", "clusters_comparison")
_ONE_LEFT_OUT = {
    "passed": "It holds with any one place left out.",
    "failed": "The answer moves when one place is left out; which one is held back.",
    "informational": "The answer moves when one place is left out; which one is held back.",
}
_STAYED = {
    "passed": "As many with it as without it were seen later, or whoever is missing does not decide.",
    "failed": "More of one side than of the other were not seen later, and they could account for it.",
    "informational": "How many were seen later is not judged here.",
}


_DECIDES = {
    "passed": "No one place decides the answer, or without it the answer is much the same.",
    "failed": "One place decides most of the answer, and without it the answer is not the same.",
    "informational": "On a side with so few places each of them decides the answer.",
}
_TOUCHED = {BESIDE_UNTOUCHED: "spillover", ON_NEIGHBOURS: "on_neighbours"}
NOTHING_LEFT = "not published: rounded as coarsely as its counts ask for, nothing of it would be left"
_FEW_TOUCHED = "Of places that neighbours may touch, too few people are left for it to be published."


@dataclass(frozen=True, eq=False)
class Guard:
    """The rules of one study, applied to evidence and to tables.

    few: (component, outcome) whose answer rests on too few; few_touched: (component, outcome, check) whose check of
    touched places does. left_few: components of which a few people who had it were
    left out of an answer. log: rows of
    LOG, what was hidden and why, never the number.
    """

    study: Study
    rules: Rules
    few: frozenset[tuple[str, str]] = frozenset()
    few_touched: frozenset[tuple[str, str, str]] = frozenset()
    left_few: frozenset[str] = frozenset()
    log: list[tuple[str, str, str, str]] = field(default_factory=list)

    @cached_property
    def lone(self) -> frozenset[str]:
        """Components decided by places that are mostly single people, or a handful."""
        components = self.paths.components if self.rules.active else ()
        sizes = {
            c: np.bincount(self.paths.levels[self.paths.assigned_at[c]].codes, self.paths.counted) for c in components
        }
        return frozenset(c for c, n in sizes.items() if np.median(n[n > 0]) < self.rules.count)

    @property
    def paths(self) -> Paths:
        """Who was exposed to what, and when."""
        return self.study.paths

    @property
    def _people(self) -> str:
        return plural(self.study.noun_for(self.study.unit))

    @property
    def reason(self) -> str:
        """Why a number is not given."""
        return f"not published: fewer than {max(self.rules.count, 1)} {self._people} stand behind it"

    @property
    def cure(self) -> str:
        """What would let it be given."""
        least = f"at least {self.rules.count} {self._people} with it, and as many without"
        return f"an answer that rests on {least}, could be published"

    def note(self, table: str, row: str, hidden: str, rule: str) -> None:
        """Put into the log what was hidden."""
        self.log.append((table, row, hidden, rule))

    def told(self, words: str, publish: Callable[[Count], Count] | None = None) -> str:
        """A sentence from below, its numbers of people as they may be published."""
        return retold(words, publish or self.rules.publish)

    def told_in(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """A frame with the numbers of people in the sentences of `columns` as they may be published."""
        return frame.assign(**{c: [self.told(w) if isinstance(w, str) else w for w in frame[c]] for c in columns})

    def small(self, with_it: float, without: float) -> bool:
        """Whether a number with so many people in its two arms rests on too few."""
        few = self.rules.small([with_it, without]).any() or with_it + without - 2 < self.rules.df
        return bool(self.rules.active and few)

    def rests_on_few(self, one: Estimate | None, component: str, level: float) -> bool:
        """Whether a one-row estimate on a component rests on too few people."""
        if one is None or not self.rules.active:
            return False
        row = one.row(level=level)
        with_it, without = (float(row.get(c, np.nan)) for c in ("units_exposed", "units_comparison"))
        if with_it > 0 and without > 0:
            return self.small(with_it, without)
        return self.small(self.had([component]), float(self.paths.counted.sum()))

    def had(self, members: Iterable[str]) -> float:
        """Distinct people who had every one of `members` at some time."""
        return float(people.distinct(self.paths, people.had(self.paths, members)))

    def step(self, component: str, outcome: str, behind: float, told_apart: bool = False) -> float:
        """Step to which effects of a component that so many people had are rounded; 0 for none.

        told_apart: whether enough digits would tell a few people apart, and so give a hidden count away.
        """
        least = self.rules.round_to / 2
        behind = max(self.rules.shown(behind), 1.0) if least and behind > 0 else behind
        if not least and self.rules.active and (told_apart or component in self.left_few):
            least = 1.0
        return float(nice_step(least * self.grains.get(outcome, 0.0) / max(behind, 1.0))) if behind > 0 else 0.0

    @cached_property
    def grains(self) -> dict[str, float]:
        """Outcome -> the steps in which it is written."""
        values = {o.column: self.study.values(o) for o in self.study.outcomes}
        if self.paths.heads is not None:  # a mean of people added up is in no steps; their sum is
            values = {name: v * self.paths.heads[:, None] for name, v in values.items()}
        return {name: grain_of(v) for name, v in values.items()}

    def rounded(self, e: Evidence, v: Verdict) -> tuple[Evidence, Verdict]:
        """Evidence and the verdict on it, both made, with their numbers as coarse as the counts behind them."""
        step, bundle = self.step(e.component, e.outcome, self.had([e.component])), e.bundle
        if bundle is not None:
            bundle = _coarse_values(bundle, self.step(e.component, e.outcome, self.had(bundle.members)))
        checks = tuple(_coarse_values(c, step) for c in e.checks)
        drift = None if e.drift is None else _coarse_values(e.drift, step)
        by_time = None
        if e.by_time is not None:
            by_time = float(to_step(e.by_time[0], step, "down")), float(to_step(e.by_time[1], step, "up"))
        made = replace(_coarse_values(e, step), bundle=bundle, checks=checks, drift=drift, by_time=by_time)
        return made, _coarse_values(v, step)

    def evidence(self, e: Evidence, unnamed: str) -> Evidence:
        """The evidence without numbers that may not be published. unnamed: what would have let us tell, where it may
        name nobody."""
        nan, bundle = math.nan, e.bundle
        if bundle is not None:
            bundle = replace(bundle, reason=self.told(bundle.reason))
            if self._few_had(bundle.members):
                self.note("bundles", ", ".join(bundle.members), "effect", "too few")
                bundle = replace(bundle, estimate=nan, conf_low=nan, conf_high=nan, std_error=nan, reason=self.reason)
        e = replace(e, cure=unnamed or self.told(e.cure), reason=self.told(e.reason), bundle=bundle)
        if (e.component, e.outcome) not in self.few:
            return replace(e, checks=tuple(self._check(c, e.component, e.outcome) for c in e.checks))
        self.note("verdicts", f"{e.component}, {e.outcome}", "effect and checks", "too few")
        return replace(
            e, estimate=nan, conf_low=nan, conf_high=nan, std_error=nan, df=nan, p_adjusted=nan, people_exposed=nan,
            clusters_exposed=0, clusters_comparison=0, checks=(), drift=None, reason=self.reason, cure=self.cure,
        )  # fmt: skip

    def case(self, case: Case, whole: bool) -> Case:
        """A line to decide on without what rests on too few people, as coarse as the counts behind it; the programme's
        only where `whole` may be told."""
        case = replace(case, reason=self.told(case.reason), withheld=self.told(case.withheld),
                       beside=self.told(case.beside), allowed=tuple(map(self.told, case.allowed)))  # fmt: skip
        case = _moved_coarsely(case) if self.rules.active else case
        behind = self.had(case.members) if case.name != PROGRAMME else max(self.had([m]) for m in case.members)
        case = _coarse_values(case, max(self.step(m, case.outcome, behind) for m in case.members))
        if case.name == PROGRAMME:
            return case if whole else case.hidden(f"it is {self.reason}")
        few = any((m, case.outcome) in self.few for m in case.members) or self._few_had(
            case.members[1:] and case.members
        )
        return case.hidden(f"it is {self.reason}") if few else case

    def _few_had(self, members: Iterable[str]) -> bool:
        return self.rules.active and bool(self.rules.small(self.had(members)))

    def touched_by_few(self, runs: Iterable[tuple[str, str, str, Estimate | None]], level: float) -> Guard:
        """The guard that knows which checks of touched places rest on too few. runs: component, outcome, design and its
        number."""
        few = ((c, o, _TOUCHED[d]) for c, o, d, one in runs if d in _TOUCHED and self.rests_on_few(one, c, level))
        return replace(self, few_touched=frozenset(few))

    def _check(self, check: CheckOutcome, component: str, outcome: str) -> CheckOutcome:
        """A check without shares of people or places, without a range that a place of a few may have set, and untested
        where too few stand behind it."""
        check = replace(check, words=self.told(check.words), brief=self.told(check.brief))
        if not self.rules.active:
            return check
        if (component, outcome, check.check) in self.few_touched:
            self.note("checks", f"{component}, {outcome}, {check.check}", "number", "too few")
            return CheckOutcome(check.check, "informational", _FEW_TOUCHED)
        if check.check in ("effective_clusters", "dominant_place"):
            words = check.words if check.check == "effective_clusters" else _DECIDES[check.status]
            return replace(check, words=words, estimate=math.nan)
        if check.check == "stayers":
            nan, words = math.nan, _STAYED[check.status]
            return replace(check, words=words, brief="", estimate=nan, conf_low=nan, conf_high=nan)
        if check.check == "leave_one_cluster" and people.few_places(self.paths, component, self.rules).any():
            words = check.words if math.isnan(check.estimate) else _ONE_LEFT_OUT[check.status]
            return replace(check, words=words, conf_low=math.nan, conf_high=math.nan)
        return check

    def effects(self, frame: pd.DataFrame, few: np.ndarray, flow: pd.DataFrame) -> pd.DataFrame:
        """Every design tried: no number from too few, and counts of people that never differ by a few.

        few: (rows,) which rest on too few. flow: the counts that are published of the same people.
        """
        frame = self.told_in(frame, "reason", "population")
        if not self.rules.active or frame.empty:
            return frame
        frame = frame.astype({c: float for c in ("units_exposed", *_CLUSTERS)})
        frame.loc[few, [*NUMBERS, "units_exposed", *_CLUSTERS]] = np.nan
        frame.loc[few, "reason"] = self.reason
        self._note_rows(frame[few], "effect")
        lone = frame["component"].isin(self.lone) & ~frame["headline"].astype(bool)
        frame.loc[lone, list(_CLUSTERS)] = np.nan
        for component, rows in frame.groupby("component", sort=False):
            mine = flow[flow["component"] == component]
            shown = [float(n) for n in mine["count"] if n == n and n > 0]
            order = rows.sort_values("headline", ascending=False, kind="stable").index
            counts = frame.loc[order, "units_exposed"].to_numpy(dtype=float)
            keep = apart([*shown, *counts], self.rules)[len(shown) :]
            keep &= not (mine["hidden"][mine["stage"] == "used"] != "").any()
            near = ~apart([self.had([component]), *counts], self.rules)[1:] & ~np.isin(counts, self.had([component]))
            behind = np.where(counts > 0, counts, self.had([component]))
            steps = [self.step(component, o, n, bool(few)) for o, n, few in
                     zip(frame.loc[order, "outcome"], behind, near, strict=True)]  # fmt: skip
            frame.loc[order] = coarse(frame.loc[order], _RANGE, np.array(steps))
            published = [float(self.rules.shown(n)) if k else np.nan for n, k in zip(counts, keep, strict=True)]
            frame.loc[order, "units_exposed"] = published
            self._note_rows(frame.loc[order[~keep & (counts > 0)]], "count of people")
        return frame

    def _note_rows(self, rows: pd.DataFrame, what: str) -> None:
        for r in rows.to_dict("records"):
            row = f"{r['component']}, {r['outcome']}, {r['design']}"
            self.note("effects", row, what, "too few, or too near another")

    def bundles(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Identified combinations, without the effect of one that too few had."""
        frame = self.told_in(frame, "reason")
        if not self.rules.active or frame.empty:
            return frame
        pairs = zip(frame["outcome"], frame["members"], strict=True)
        frame = coarse(frame, _RANGE, np.array([max(self.step(c, o, self.had(m)) for c in m) for o, m in pairs]))
        few = np.array([self._few_had(m) for m in frame["members"]])
        frame.loc[few, ["estimate", "conf_low", "conf_high"]] = np.nan
        frame.loc[few, "reason"] = self.reason
        return frame

    def leave_one_out(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Headlines without each place, but for places of a few people, whose share could be worked out."""
        if not self.rules.active or frame.empty:
            return frame
        pairs = zip(frame["component"], frame["outcome"], strict=True)
        frame = coarse(frame, _RANGE, np.array([self.step(c, o, self.had([c])) for c, o in pairs]))
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

    def _nothing_left(self, frame: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
        """By event time, most of whose ranges are narrower than one step of rounding: without its numbers."""
        self.note("event_studies", ", ".join(key), "all event times", "rounded")
        empty = frame.assign(**{c: np.nan for c in _BANDS if c in frame})
        return empty.assign(reason=frame["reason"].where(frame["estimate"].isna(), NOTHING_LEFT))

    def event_study(self, frame: pd.DataFrame, labels: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
        """By event time: a row that rests on too few is empty, and so is a second where one alone would be.

        labels: those of the estimate by event time, row for row; key: component and outcome.
        """
        frame = self.told_in(frame, "reason")
        if {"units_exposed", "units_comparison"} <= set(labels) and len(labels) == len(frame):
            sizes = labels[["units_exposed", "units_comparison"]].to_numpy(dtype=float)
            gaps = np.diff(np.unique([*sizes[:, 0], self.had([key[0]])]))
            fewest = float(np.nanmin([sizes[sizes > 0].min(initial=np.inf), self.had([key[0]])]))
            told_apart = bool(
                (gaps < self.rules.count).any() or (np.diff(np.unique(sizes[:, 1])) < self.rules.count).any()
            )
            step = self.step(*key, fewest, told_apart)
            if (frame["conf_high"] - frame["conf_low"]).median() < step:
                return self._nothing_left(frame, key)
            frame = coarse(frame, _BANDS, np.full(len(frame), step))
            frame = frame.assign(rounded_to=step) if step > 0 else frame
            given = frame["estimate"].notna().to_numpy()
            few = given & np.array([self.small(a, b) for a, b in sizes])
            claimed = given & frame["claimed"].to_numpy(dtype=bool) if "claimed" in frame else given
            few = at_least_two(few, sizes[:, 0], claimed)
            frame.loc[few, [c for c in _BANDS if c in frame]] = np.nan
            frame.loc[few, "reason"] = self.reason
            if few.any():
                self.note("event_studies", ", ".join(key), "some event times", "too few")
        if key[0] in self.lone:
            frame[list(_CLUSTERS)] = np.nan
        return frame

    def separability(self, sep: Separability) -> Separability:
        """What can be told apart; for components decided person by person, without counts and lanes of people."""
        components, aliased = self.told_in(sep.components, "reason"), tuple(map(self.told, sep.aliased))
        found = replace(sep, components=components, aliased=aliased, cure=self._cure(sep.cure))
        if not self.lone:
            return found
        mine = components["component"].isin(self.lone)
        columns = ["switches", "clean_switches", *_CLUSTERS]
        components = components.astype({c: float for c in columns})
        components.loc[mine, columns] = np.nan
        lone = sep.components["reason"][mine].tolist()
        components.loc[mine, "reason"] = [self.told(r, lambda _: Count(None)) for r in lone]
        pairs = sep.pairs.copy()
        for side in ("a", "b"):
            column = f"clean_switches_{side}"
            pairs[column] = pairs[column].astype(float)
            pairs.loc[pairs[side].isin(self.lone), column] = np.nan
        timeline = sep.timeline[~sep.timeline["component"].isin(self.lone)].reset_index(drop=True)
        for component in sorted(self.lone):
            self.note("separability", component, "counts and dates of single people", "decided person by person")
        return replace(found, components=components, pairs=pairs, timeline=timeline, withheld=self.lone)

    def unnamed(self, sep: Separability) -> dict[str, str]:
        """Component -> what would have let us tell, for those of which no place may be named."""
        return {r["component"]: r["words"] for r in self._cure(sep.cure).to_dict("records") if not r["places"]}

    def _cure(self, cure: pd.DataFrame) -> pd.DataFrame:
        """What would have let us tell, without the names of single people."""
        if not len(cure):
            return cure
        mine = cure["component"].isin(self.lone) | cure["delayed"].isin(self.lone)
        places = [() if m else p for m, p in zip(mine, cure["places"], strict=True)]
        unnamed = cure.assign(words=cure["words"].where(~mine, cure["unnamed"]), places=places)
        return self.told_in(unnamed, "words", "unnamed")

    def pieces(self, pieces: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
        """The pieces of a total, without those of too few people; whether any was hidden."""
        pieces = self.told_in(pieces, "reason")
        if not self.rules.active:
            return pieces, False
        sizes = pieces["people_periods"].to_numpy(dtype=float)
        behind = [people.distinct(self.paths, people.had_together(self.paths, m)) for m in pieces["components"]]
        small = self.rules.small(np.fmin(np.nan_to_num(sizes), behind)) & (sizes > 0)
        few = at_least_two(small, sizes)
        if self.rules.round_to:
            first = self.study.outcome().column
            wide = np.array([self.step("", first, n) for n in behind]) * np.nan_to_num(
                sizes, nan=sizes[sizes > 0].sum()
            )
            said = [self.grain(n) for n in behind]
            sums = [float(g.amounts(v * g.heads)) for g, v in zip(said, sizes, strict=True)]
            pieces = coarse(pieces, _RANGE, nice_step(wide)).assign(people_periods=sums)
        if not few.any():
            return pieces, False
        self.note("attribution", "some pieces", "effect", "too few")
        pieces.loc[few, ["estimate", "conf_low", "conf_high", "people_periods"]] = np.nan
        pieces.loc[few, "reason"] = self.reason
        return pieces, True

    def grain(self, behind: float, step: float = 0.0) -> Grain:
        """How coarse sums over so many people are, and their averages."""
        return Grain(behind, self.rules.shown(behind), self.rules.round_to, step)

    def grain_behind(self, members: Iterable[str], outcome: str, whole: bool = False) -> Grain | None:
        """How coarse sums over those who had every one of `members` are, or where `whole` any; None for as they are."""
        if not self.rules.round_to:
            return None
        listed = list(members)
        behind = max(self.had([m]) for m in listed) if whole else self.had(listed)
        return self.grain(behind, max(self.step(m, outcome, behind) for m in listed))

    def heads(self) -> dict[str, float]:
        """By component, what brings a count of those who had it to the number that is said."""
        rounded = self.rules.round_to
        return {c: self.grain(self.had([c])).heads for c in self.paths.components} if rounded else {}

    def borrowed(self, component: str, weights: pd.DataFrame) -> pd.DataFrame:
        """Weights of a regression that may be published: none of or from a component that too few had, whose months
        they count; two digits of the others."""
        if not self.rules.active:
            return weights
        few = {c for c in {component, *weights["from_component"]} if self._few_had([c])}
        kept = weights.iloc[:0] if component in few else weights[~weights["from_component"].isin(few)]
        return kept.drop(columns="cells", errors="ignore").round(2)

    def costed(self, table: pd.DataFrame) -> set[str]:
        """Names of the parts in a table of costs that are withheld: their outcomes number too few."""
        sizes = table[["people_periods", "gross"]].to_numpy(dtype=float)
        few = ((sizes > 0) & (sizes < self.rules.count)).any(axis=1)
        members = [c if isinstance(c, tuple) else tuple(str(c).split("; ")) for c in table["components"]]
        few |= [people.hangs_on_few(self.study, m, self.rules) for m in members]
        few = at_least_two(few, sizes[:, 0])
        if few.any():
            self.note("value", ", ".join(table["name"][few]), "outcomes and their cost", "too few")
        return set(table["name"][few])


_T = TypeVar("_T", Evidence, CheckOutcome, BundleEvidence, BesideDrift, Verdict, Case)


def _moved_coarsely(case: Case) -> Case:
    """The line with what is allowed for in quarters of what matters, outwards: to the digit it would tell how many went
    missing."""
    quarter = (4 * case.std_error if case.matters is None else case.matters) / 4
    if not case.allowed or not quarter > 0:
        return case
    down, up = (quarter * way(move / quarter) for way, move in zip((math.floor, math.ceil), case.moves, strict=True))
    return replace(case, allowed_low=case.conf_low + down, allowed_high=case.conf_high + up)


def _coarse_values(given: _T, step: float) -> _T:
    """Evidence with effects to multiples of a step, standard errors and p values to two digits."""
    if not step > 0:
        return given
    steps = dict.fromkeys((*_RANGE, *_OTHER_ENDS, "breakdown", "smallest_detectable"), step)
    steps |= {n: float(two_digits(getattr(given, n, math.nan))) for n in ("std_error", "p_adjusted")}
    changes: dict[str, Any] = {
        n: float(to_step(getattr(given, n), s, way_of(n))) for n, s in steps.items() if hasattr(given, n)
    }
    return replace(given, **changes)
