"""Everything that the numbers of a report may come from, by what it is about: component, outcome and topic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.evaluation import Evaluation
from evalkit.evaluation.compared import shares
from evalkit.evaluation.rungs import BESIDE_FEW
from evalkit.figures import Picture
from evalkit.figures.bars import contamination_table
from evalkit.language.axis import Axis
from evalkit.reporting.manifest import versions
from evalkit.reporting.more_sections import _SOURCES, money_spent
from evalkit.reporting.names import spoken_period
from evalkit.reporting.scales import levels
from evalkit.show.words import period_words
from evalkit.study.calendar import event_bands
from evalkit.study.money import PROGRAMME
from tests.reporting.known import Known, in_words, walked


@dataclass
class Evidence:
    """Everything that a report's numbers may come from, by what it is about.

    evaluation: what `safe` returns. pools: (component, or '' for the study; outcome, or ''; topic) -> numbers. A topic
    is what a piece of a report speaks of (TOPICS), or the name of a figure."""

    evaluation: Evaluation
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    pools: dict[tuple[str, str, str], list[Known]] = field(default_factory=dict)
    chances: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in (self._study, self._judged, self._frames, self._money, self._decisions, self._pictures):
            part()

    def add(self, topic: str, about: str, outcome: str, *numbers: Iterable[Known]) -> None:
        for some in numbers:
            self.pools.setdefault((about, outcome, topic), []).extend(some)

    @cached_property
    def kinds(self) -> dict[str, str]:
        return {o.column: str(o.said) for o in self.evaluation.study.outcomes}

    @cached_property
    def labels(self) -> dict[str, str]:
        """What is named in words -> component, longest first; the programme and combinations among them."""
        found = {c.label: c.name for c in self.evaluation.study.components}
        found |= {d.case.label: d.case.name for d in self.evaluation.decisions.lines}
        found["Belongs to no single part"] = PROGRAMME
        return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))

    def _study(self) -> None:
        made, study = self.evaluation, self.evaluation.study
        paths, verdicts, sep = study.paths, made.verdicts, made.separability
        counts = [len(study.components), len(study.outcomes), paths.distinct(), paths.n_periods]
        counts += [len(level.names) for level in (paths.levels or {}).values()]
        self.add("study", "", "", walked(counts), walked({"level": made.level}))
        self.add("study", "", "", in_words(*(period_words(paths.periods[i]) for i in (0, -1) if len(paths.periods))))
        for o in study.outcomes:
            if o.matters is not None:
                for outcome in ("", o.column):
                    self.add("study", "", outcome, walked({"matters": [o.matters, -o.matters]}, str(o.said)))
        for _, mine in [("", verdicts), *verdicts.groupby("outcome")]:
            given = mine["verdict"].value_counts()
            told = int(mine["estimate"].notna().sum())
            both = int(given.get("shown", 0) + given.get("likely", 0))
            self.add("study", "", "", walked([*map(int, given), both, told, len(mine) - told, len(mine)]))
        self.add("apart", "", "", walked([*map(int, sep.components["status"].value_counts())]), walked(sep.cure))
        self.add("apart", "", "", in_words(*sep.cure["words"].astype(str) if len(sep.cure) else ()))
        self.add("apart", "", "", walked([len(sep.pairs), int(sep.pairs["separable"].sum())]), in_words(*sep.aliased))
        for r in sep.pairs.to_dict("records"):
            self.add("apart", r["a"], "", walked([r["clean_switches_a"], r["clean_switches_b"]]))
        why = sum(bool(c.card.get("why")) for c in study.components)
        self.add("logic_model", "", "", walked([why]))
        told = [v for v in verdicts["verdict"] if v not in ("not_tested", "cannot_tell_apart")]
        said = [sum(bool(c.description) for c in study.components), sum(o.matters is not None for o in study.outcomes)]
        self.add("standards", "", "", walked([why, *said, len(told), len(verdicts)]))
        seen = made.recorded.assign(missing_share=made.recorded["missing"] / made.recorded["rows"].replace(0, np.nan))
        self.add("data", "", "", walked(seen), walked([len(study.settings.get("report", {}).get("deviations", ()))]))
        self.add("settings", "", "", walked([made.seed, made.level]))

    def _judged(self) -> None:
        for e, v in self.evaluation.judged:
            at, kind = (e.component, e.outcome), self.kinds[e.outcome]
            signed = [e.margin, -e.margin] if e.margin else []
            least = -v.smallest_detectable  # of logs a fall of some per cent is not a rise of as many
            self.add("found", *at, walked((e, v), kind), walked({"matters": signed, "least_low": least}, kind))
            if e.clean_until is not None and math.isfinite(e.clean_until):
                self.add("found", *at, walked([e.clean_until + 1]))
            if e.margin and math.isfinite(v.smallest_detectable):
                self.add("found", *at, walked([max(math.ceil((v.smallest_detectable / e.margin) ** 2), 2)]))
            study = self.evaluation.event_studies.get(at)
            if study is not None and {"claimed", "clusters_exposed"} <= set(study):
                last = study[study["claimed"].astype(bool) & study["estimate"].notna()].tail(1)
                self.add("found", *at, walked(last[["clusters_exposed", "clusters_comparison"]]))
            self.add("found", *at, in_words(e.cure or ""))
            self.add("checks", *at, walked(list(e.checks), kind), *(in_words(c.words, c.brief) for c in e.checks))

    def _frames(self) -> None:
        made = self.evaluation
        for level in levels(made):
            self.add("standards", level.component, "", in_words(str(level.level), level.reason))
        if made.protection is not None:
            self.add("data", "", "", walked([len(made.protection.log)]))
        self.add("grid", "", "", walked([float(n * 10**k) for k in range(9) for n in (1, 2, 5)]))
        for r in made.effects.to_dict("records"):
            self.add("designs", r["component"], str(r["outcome"]), walked(r, "plain"), in_words(str(r["reason"] or "")))
            if r["design"] in BESIDE_FEW:
                ends = {end: r[end] for end in ("conf_low", "conf_high")}
                self.add("found", r["component"], str(r["outcome"]), walked(ends, self.kinds[str(r["outcome"])]))
        for r in made.checks.to_dict("records"):
            self.add("checks", r["component"], str(r["outcome"]), in_words(str(r["words"])))
        for r in made.bundles.to_dict("records"):
            for name in r["members"]:
                self.add("found", name, str(r["outcome"]), walked(r, self.kinds[str(r["outcome"])]))
            self.add("designs", "", str(r["outcome"]), walked(r))
        for topic, frame in {
            "apart": made.separability.components,
            "flow": made.flow,
            "delivery": made.delivery,
        }.items():
            for r in () if frame is None else frame.to_dict("records"):
                self.add(topic, r["component"], "", walked(r, "plain"), in_words(str(r.get("reason") or "")))
        named = {f"{o.label}, before": str(o.said) for o in made.study.outcomes}
        for r in made.baseline.to_dict("records"):
            self.add("baseline", r["component"], "", walked(r, named.get(str(r["characteristic"]), "plain")))
        for name, words in made.rules.items():
            self.add("apart", name, "", in_words(words))
            self.add("designs", name, "", in_words(words))
        for r in made.over_time.to_dict("records"):
            self.add("over_time", period_words(r["period"]), "", walked(r, self.kinds[str(r["outcome"])]))

    def _money(self) -> None:
        made, a = self.evaluation, self.evaluation.attribution
        if a is not None:
            ends = a.pieces[["conf_low", "conf_high"]].to_numpy(dtype=float)
            whole = {"total": a.total, "total_low": a.total_low, "total_high": a.total_high, "n": a.people_periods}
            self.add("pieces", "", "", walked(a.pieces), walked(whole), in_words(*a.notes))
            drawn = a.pieces["estimate"].notna().to_numpy()
            unsure = drawn & ~((ends[:, 0] > 0) | (ends[:, 1] < 0))
            self.add("pieces", "", "", walked([int(drawn.sum()), int(unsure.sum())]))
        if made.value is None:
            return
        for r in made.value.table.to_dict("records"):
            self.add("money", r["name"], "", walked({**r, "left": r["cost"] - r["cost_compared"]}))
        spent = money_spent(made)
        total = sum(spent.values())
        untested = {s.component for s in made.statements if s.verdict == "not_tested"}
        lost = sum(v for k, v in spent.items() if k in untested)
        for topic in ("money", "found"):
            self.add(topic, "", "", walked([lost]), walked({"share_cut": [lost / total]} if total else ()))
        for name, amount in [*spent.items(), ("", total), ("", sum(map(round, spent.values())))]:
            self.add("money", name, "", walked([amount]), walked({"share_cut": [amount / total]} if total else ()))
        self.add("money", "", "", in_words(*made.value.notes), walked({"discount": made.value.discount}))
        for name in ("value_plane", "acceptability"):
            if name in self.pictures:
                self.add(name, "", "", walked(self.pictures[name].data))
        self.add("acceptability", "", "", walked(made.value.acceptability))

    def _decisions(self) -> None:
        for d in [*self.evaluation.decisions.lines, *self.evaluation.decisions.by_outcome]:
            case, kind = d.case, str(d.case.kind)
            ends = sorted((case.good * case.conf_low, case.good * case.conf_high))
            found = {"estimate": [case.drift, -case.drift, case.estimate * case.good], "low": ends[0], "high": ends[1]}
            worths = case.stake.worth or ()
            money = {"worth_low": min(worths, default=math.nan), "worth_high": max(worths, default=math.nan),
                     "extend_high": d.extend_from, "stop_low": d.stop_below, "whole": case.stake.whole}  # fmt: skip
            self.add("found", case.name, case.outcome, walked(found, kind), walked(money), walked([len(case.members)]))
            self.add("found", case.name, case.outcome, in_words(case.withheld, case.reason, case.stake.conflict))
            if case.name == PROGRAMME:
                self.add("study", "", "", walked([len(case.members)]))
            chances = [d.chance_better, d.chance_matters, d.chance_harm, *(r.chance_pays for r in d.returns)]
            self.chances.setdefault(case.name, []).extend(x for x in chances if math.isfinite(x))

    def _pictures(self) -> None:
        made = self.evaluation
        until = made.separability.components.set_index("component")["clean_until"]
        for (component, outcome), table in made.event_studies.items():
            axis = Axis(self.kinds[outcome])
            near = table.assign(**{c: axis.possible(table[c]) for c in _RANGES if c in table})
            after = near[(near["event_time"] >= 0) & (near["event_time"] <= until.get(component, np.inf))]
            middle = {c: after[c].median() for c in ("band_low", "band_high")}
            near = pd.concat([near[near["event_time"] < 0], after.dropna(subset="estimate").iloc[[0, -1]]]
                             if after["estimate"].notna().any() else [near])  # fmt: skip
            name = f"event_study_{component}"
            self.add(name, "", "", walked(near, self.kinds[outcome]), walked(middle, self.kinds[outcome]))
            self.add(name, "", "", walked([*table["event_time"], until.get(component)]))
            self.add(name, "", "", walked({"rounded_to": list(table.get("rounded_to", []))}, self.kinds[outcome]))
        for r in made.leave_one_out.to_dict("records"):
            self.add("leave_one_out", r["component"], "", (Known(k.value, "near", k.kind)
                     for k in walked(r, self.kinds[str(r["outcome"])])))  # fmt: skip
        for e, _ in made.judged:
            self.add("leave_one_out", e.component, "", walked({"estimate": e.estimate}, self.kinds[e.outcome]))
        held = made.checks[made.checks["check"] == "leave_one_cluster"]
        held = held[held["outcome"] == made.study.outcome().column]
        self.add("leave_one_out", "", "", walked([*map(int, held["status"].value_counts()), len(held)]))
        weights = contamination_table(made)
        if len(weights):
            self._borrowed(weights)
        for (component, outcome), part in made.compared.groupby(["component", "outcome"]):
            of_100 = shares(part)
            sides = [int((of_100[c] > 0).sum()) for c in ("with_it", "beside")]
            named = of_100.sort_values("beside", ascending=False)
            rest = [n - k for n in sides for k in range(1, 4)]
            self.add(f"compared_{component}", "", "", walked([of_100[["with_it", "beside"]].to_numpy(), sides, rest]))
            self.add("compared", component, str(outcome), walked(named))
            before = part[part["side"] == "before it"].groupby("period")["weight"].sum()
            least = before.sort_values().cumsum() / before[before < 0].sum() if (before < 0).any() else before
            self.add(f"compared_{component}", "", "", walked([int((least < 0.5).sum()) + 1]))
        for c in made.study.components:
            self._timeline(c.name)
        drawn = self.pictures.get("timeline")
        if drawn is not None:
            began = drawn.data.groupby("component")["start"].nunique()
            self.add("timeline", "", "", walked([int((began > 1).sum()), len(began)]))
        if study_events := made.study.events:
            bands = event_bands(study_events, made.study.calendar)
            self.add("timeline", "", "", *(in_words(str(start), str(end)) for _, start, end in bands))

    def _borrowed(self, weights: pd.DataFrame) -> None:
        for component, mine in weights.groupby("component"):
            own = mine["from_component"] == component
            sums = [mine.loc[own, "positive"].sum(), -mine.loc[own, "negative"].sum(), mine.loc[~own, "positive"].sum()]
            most = mine.loc[~own, "positive"].max()
            self.add("contamination", str(component), "", walked([*map(float, sums), float(most)]))
        others = weights[weights["component"] != weights["from_component"]].groupby("component")["positive"].sum()
        self.add("contamination", "", "", walked([int((others > 0.5).sum()), weights["component"].nunique()]))

    def _timeline(self, component: str) -> None:
        drawn = self.pictures.get("timeline")
        if drawn is None:
            return
        mine = drawn.data[drawn.data["component"] == component]
        for _state, rows in [("", mine), *mine.groupby("state" if "state" in mine else "component")]:
            places = [int(rows[c].nunique()) for c in rows if rows[c].dtype == object or str(rows[c].dtype) == "str"]
            self.add("timeline", component, "", walked([*places, len(rows)]), walked(rows))

    # ------------------------------------------------------------ verbatim

    @cached_property
    def verbatim(self) -> list[str]:
        """Words of the study file, of sources and of settings, taken out before numbers are read; longest first."""
        made, study = self.evaluation, self.evaluation.study
        found = [study.title, study.question, *map(str, study.covariates), str(study.unit), str(study.cluster)]
        for c in study.components:
            found += [c.label, c.name, c.description or "", *map(str, c.card.values()), str(c.reach or "")]
        found += [w for o in study.outcomes for w in (o.label, o.column, str(getattr(o, "per", "") or ""))]
        found += _strings(study.settings.get("report", {}))
        found += [str(n) for level in (study.paths.levels or {}).values() for n in level.names]
        found += list(_strings(_SOURCES))
        found += versions().values()
        if made.protection is not None:
            found.append(made.protection.rules.words())
        when = [w for p in study.paths.periods for w in (spoken_period(p), period_words(p), str(p))]
        found += [w for w in when if len(w) >= _YEAR]
        found += [w for b in _background(study) for w in b]
        nouns = [w.replace("_", " ") for w in found if "_" in w]
        return sorted({w for w in [*found, *nouns] if any(ch.isdigit() for ch in w)}, key=len, reverse=True)


_RANGES = ("estimate", "conf_low", "conf_high", "band_low", "band_high")


_YEAR = 4  # letters of the shortest period that is no number as others are


def _background(study: object) -> Iterator[tuple[str, ...]]:
    table = getattr(study, "background", None)
    for r in table.to_dict("records") if isinstance(table, pd.DataFrame) else ():
        yield tuple(map(str, r.values()))


def _strings(thing: object) -> Iterator[str]:
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, Mapping):
        yield from (s for v in thing.values() for s in _strings(v))
    elif isinstance(thing, (list, tuple)):
        yield from (s for v in thing for s in _strings(v))
