"""What can be told apart, from exposures alone: the map before the estimate."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from evalkit.components.cure import CURES, cures
from evalkit.components.estimable import Combination, combinations_of
from evalkit.components.facts import Facts, overlap
from evalkit.components.status import Audit, make_audit
from evalkit.components.wording import WithPaths, circuit_words, combination_words, names_of
from evalkit.show.tables import Table, make_table
from evalkit.show.words import full_stop
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Paths
from evalkit.vocabulary import ESTIMATED, Status


def timeline_table(paths: Paths) -> pd.DataFrame:
    """One row a spell: component, cluster (at the level where it was decided), start, end, state. Half-open: `end` is
    the first period after the spell; one step beyond the last period for numbers and pandas periods, None for other
    calendars. `state` is "on" or "part". Positions are those in `paths.periods`."""
    last, beyond = paths.periods[-1], None
    if isinstance(last, pd.Period):
        beyond = last + 1
    elif isinstance(last, (int, float, np.integer, np.floating)) and paths.n_periods > 1:
        beyond = last + np.diff(paths.periods).min()
    rows: list[tuple[Any, ...]] = []
    for component in paths.components:
        level = paths.levels[paths.assigned_at[component]]
        cells, state = paths.cells(level.name), paths.state[:, :, paths.index(component)]
        code = np.where(state > 0, 2, np.where((state < 0) & (state != UNKNOWN), 1, 0))[cells.path]
        best = np.zeros((len(level.names), paths.n_periods), dtype=np.int64)
        np.maximum.at(best, cells.cluster, code)
        edge = np.diff(best, axis=1, prepend=0, append=0) != 0
        for cluster in np.flatnonzero(best.any(axis=1)):
            at = np.flatnonzero(edge[cluster])
            for low, high in zip(at, [*at[1:], paths.n_periods], strict=True):
                if low < paths.n_periods and (kind := best[cluster, low]):
                    begin, end = paths.periods[low], paths.periods[high] if high < paths.n_periods else beyond
                    words = "on" if kind == 2 else "part"
                    rows.append((component, level.names[cluster], begin, end, words, int(low), int(high)))
    return pd.DataFrame(rows, columns="component cluster start end state start_position end_position".split())


STATUS_WORDS: dict[Status, str] = {
    "separable": "can be told apart",
    "additive_only": "only if effects add up",
    "bundle_only": "only as a bundle",
    "swap_only": "only as a swap",
    "one_place": "only by one place",
    "too_few_clusters": "too few places",
    "not_tested": "cannot be tested",
}
STATUS_SHAPES: dict[Status, str] = dict(zip(STATUS_WORDS, "●◐∞⇄◔○–", strict=True))


@dataclass(frozen=True, eq=False)
class Separability:
    """What can be told apart, by which comparisons, and what cannot.

    components: component, status, switches, clean_switches, clean_until, clusters_exposed, clusters_comparison,
        best_design, reason; one row a component. Cluster counts are at the component's lag, at its own level.
        clean_until is NaN where nothing can be claimed.
    pairs: a, b, by_time, by_place, by_people, by_dose, separable, clean_switches_a, clean_switches_b.
    bundles: bundle, kind ("together", "sum", "swap"), members, weights, words; one row for
        each combination that is identified where its members are not.
    aliased: exact dependencies as sentences.
    cure: component, words, delayed, clusters, periods, places, unnamed; the smallest change found of the
        rollout that would tell, with the places named in `words` and not in `unnamed`.
    timeline: component, cluster, start, end (half-open), state; and positions of both.
    withheld: components decided person by person, whose counts and dates disclosure control took out."""

    components: pd.DataFrame
    pairs: pd.DataFrame
    bundles: pd.DataFrame
    aliased: tuple[str, ...]
    cure: pd.DataFrame
    timeline: pd.DataFrame
    labels: dict[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()

    def status(self, component: str) -> Status:
        """The status of one component; KeyError for an unknown name."""
        found: Status = self.components.set_index("component").loc[component, "status"]
        return found

    def table(self) -> Table:
        """What can be told apart, as a table for people."""
        rows = [
            (
                self.labels.get(r.component, r.component), STATUS_WORDS[r.status], r.switches, r.clean_switches,
                "none" if np.isnan(r.clean_until) else int(r.clean_until), r.best_design or "none", full_stop(r.reason),
            )
            for r in self.components.itertuples()
        ]  # fmt: skip
        columns = ("Component", "What the rollout allows", "Switches", "Clean switches", "Clean until event time",
                   "Strongest design", "Why")  # fmt: skip
        numeric = (False, False, True, True, True, False, False)
        return make_table("What can be told apart, before any outcome is read", columns, rows, numeric=numeric)

    def _repr_html_(self) -> str:
        return self.table().to_html() + "".join(f"<p>{escape(note)}</p>" for note in self._notes)

    def __repr__(self) -> str:
        return "\n".join([self.table().to_text(110).rstrip(), *self._notes])

    @property
    def _notes(self) -> list[str]:
        return [*self.aliased, *self.bundles["words"], *self.cure["words"]]


def separability(study: WithPaths) -> Separability:
    """What can be told apart in `study`, from exposures and from which rows exist; no outcome is read.

    study: anything with `paths` (and, for words, `components`, `period`). Each component gets the first status that
    applies (`components/status.py`). Where people are new each period, their places are audited. Raises nothing of its
    own: a study that could be made can be audited."""
    study = study.as_compared() if isinstance(study, Study) else study
    names = names_of(study)
    audit = make_audit(study.paths, names)
    components = [
        {
            "component": fact.component, "status": s.status, "switches": 0 if fact.always else fact.switches,
            "clean_switches": s.clean_switches, "clean_until": float(s.clean_until) if s.clean_until >= 0 else np.nan,
            "clusters_exposed": s.clusters_exposed, "clusters_comparison": s.clusters_comparison,
            "best_design": s.best_design, "reason": s.reason,
        }
        for fact, s in zip(audit.facts, audit.statuses, strict=True)
    ]  # fmt: skip
    exact = [circuit_words(c, audit.paths, names) for c in audit.exact.circuits]
    return Separability(
        components=pd.DataFrame(components),
        pairs=pair_table(audit),
        bundles=bundle_table(audit),
        aliased=tuple(full_stop(w) for w in [*exact, *(audit.statuses[k].reason for k in audit.swapped)]),
        cure=pd.DataFrame(cures(audit) if audit.curable else [], columns=list(CURES)),
        timeline=timeline_table(study.paths),
        labels=dict(zip(study.paths.components, names.labels, strict=True)),
    )


def bundle_table(audit: Audit) -> pd.DataFrame:
    """One row for each identified combination: bundle, kind, members, weights, words."""
    rows = []
    identified = [c for group in audit.exact.groups for c in combinations_of(audit.exact, group)]
    identified += [Combination((k, a), (1.0, -1.0), "swap") for k in audit.swapped for a in audit.swaps[k]]
    near = dict.fromkeys(tuple(sorted((k, *s.bound))) for k, s in enumerate(audit.statuses) if s.bound)
    late = [Combination(members, (1.0,) * len(members), "together") for members in near]
    # Sums of effects at the lag that are identified among components told apart only if effects do not grow.
    flat = [k for k, s in enumerate(audit.statuses) if s.flat]
    for members in [*combinations(flat, 2), *([tuple(flat)] if len(flat) > 2 else [])]:
        lag, ones = max(audit.facts[k].lag for k in members), (1.0,) * len(members)
        if audit.events.combination_holds([audit.paths.components[k] for k in members], ones, lag):
            identified.append(Combination(members, ones, "sum"))
    for found in [*identified, *late]:
        names = tuple(audit.paths.components[m] for m in found.members)
        signs = ["" if i == 0 and w > 0 else "+" if w > 0 else "-" for i, w in enumerate(found.weights)]
        title = "".join(f"{sign}{name}" for sign, name in zip(signs, names, strict=True))
        words = full_stop(combination_words(found.members, found.weights, found.kind, audit.names))
        if found in late:
            words = f"{audit.names.all(found.members)} can be judged together, from when all were there."
        rows.append((title, found.kind, names, found.weights, words))
    return pd.DataFrame(rows, columns=["bundle", "kind", "members", "weights", "words"])


def pair_table(audit: Audit) -> pd.DataFrame:
    """For every two components: how they are told apart, and whether they are."""
    together, state, rows = audit.inseparable, audit.paths.state, []
    for a, b in combinations(range(len(audit.facts)), 2):
        first, second = audit.facts[a], audit.facts[b]
        ways = [bool(x) for x in np.logical_or(_ways(first, b), _ways(second, a))]
        doses = [state[:, :, k][(state[:, :, a] > 0) & (state[:, :, b] > 0)] for k in (a, b)]
        by_dose = any((dose != dose[:1]).any() for dose in doses)  # doses differ where both are on
        apart = not any({a, b} <= group for group in together) and _holds(audit, a, b) and _holds(audit, b, a)
        counts = [0 if f.always else f.against.same(o).clean(f.lag) for f, o in ((first, b), (second, a))]
        rows.append((first.component, second.component, *ways, by_dose, apart, *counts))
    columns = "a b by_time by_place by_people by_dose separable clean_switches_a clean_switches_b".split()
    return pd.DataFrame(rows, columns=columns)


def _ways(fact: Facts, other: int) -> tuple[bool, bool, bool]:
    """By time, by place, by people: seen from one component's switches."""
    if fact.always:
        return False, False, False
    if fact.paths.n_periods == 1:
        return False, overlap(fact, (other,)).enough, False
    people = fact.people_against.same(other).until(fact.lag) >= 0 if fact.people_against is not None else False
    return bool(fact.against.still[other]), bool(fact.against.absent[other]), people


def _holds(audit: Audit, k: int, other: int) -> bool:
    """Whether component k is identified with the effect of `other` free and nothing else in the way."""
    fact = audit.facts[k]
    if fact.always or k in audit.exact.loops:
        return False
    if audit.paths.n_periods == 1:
        return overlap(fact, (other,)).enough or audit.statuses[k].status in ESTIMATED
    if fact.against.same(other).until(fact.lag) >= 0:
        return True
    if fact.people_against is not None and fact.people_against.same(other).until(fact.lag) >= 0:
        return True
    mine, theirs = audit.paths.components[k], audit.paths.components[other]
    return any(s.holds(mine, fact.lag) or s.only(mine, theirs).holds(mine, fact.lag) for s in audit.readings)
