"""What can be told apart, from exposures alone: the map before the estimate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evalkit.components.bundles import aliased_words, bundle_table, pair_table
from evalkit.components.cure import cure_table
from evalkit.components.status import Audit, make_audit
from evalkit.components.wording import names_of
from evalkit.show.tables import Table, make_table
from evalkit.show.words import full_stop
from evalkit.study.paths import UNKNOWN, Paths

COLUMNS = ("component", "cluster", "start", "end", "state", "start_position", "end_position")


def timeline_table(paths: Paths) -> pd.DataFrame:
    """One row a spell: component, cluster (at the level where it was decided), start, end, state.

    Half-open: `end` is the first period after the spell; one step beyond the last period
    for numbers and pandas periods, None for other calendars. `state` is "on" or "part".
    Positions are those in `paths.periods`.
    """
    rows = [row for name in paths.components for row in _spells(paths, name)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _spells(paths: Paths, component: str) -> list[tuple[Any, ...]]:
    k = paths.index(component)
    level = paths.levels[paths.assigned_at[component]]
    cells = paths.cells(level.name)
    state = paths.state[:, :, k]
    code = np.where(state > 0, 2, np.where((state < 0) & (state != UNKNOWN), 1, 0))[cells.path]
    best = np.zeros((len(level.names), paths.n_periods), dtype=np.int64)
    np.maximum.at(best, cells.cluster, code)
    edge = np.diff(best, axis=1, prepend=0, append=0) != 0
    out = []
    for cluster in np.flatnonzero(best.any(axis=1)):
        at = np.flatnonzero(edge[cluster])
        for low, high in zip(at, [*at[1:], paths.n_periods], strict=True):
            kind = best[cluster, low] if low < paths.n_periods else 0
            if kind:
                words = "on" if kind == 2 else "part"
                name = level.names[cluster]
                begin, end = paths.periods[low], _after(paths.periods, high)
                out.append((component, name, begin, end, words, int(low), int(high)))
    return out


def _after(periods: np.ndarray, position: int) -> Any:
    """The period value at a position, one step beyond the last where the calendar has steps."""
    if position < len(periods):
        return periods[position]
    last = periods[-1]
    if isinstance(last, pd.Period):
        return last + 1
    if isinstance(last, (int, float, np.integer, np.floating)) and len(periods) > 1:
        return last + np.diff(periods).min()
    return None


STATUS_WORDS = {
    "separable": "can be told apart",
    "additive_only": "only if effects add up",
    "bundle_only": "only as a bundle",
    "swap_only": "only as a swap",
    "too_few_clusters": "too few places",
    "not_tested": "cannot be tested",
}


@dataclass(frozen=True, eq=False)
class Separability:
    """What can be told apart, by which comparisons, and what cannot.

    components: component, status, switches, clean_switches, clean_until, clusters_exposed,
        clusters_comparison, best_design, reason; one row a component. Cluster counts are
        at the component's lag, at its own level. clean_until is NaN where nothing can be
        claimed.
    pairs: a, b, by_time, by_place, by_people, by_dose, separable, clean_switches_a, clean_switches_b.
    bundles: bundle, kind ("together", "sum", "swap"), members, weights, words; one row for
        each combination that is identified where its members are not.
    aliased: exact dependencies as sentences.
    cure: component, words, delayed, clusters, periods, places, unnamed; the smallest change found of the
        rollout that would tell, with the places named in `words` and not in `unnamed`.
    timeline: component, cluster, start, end (half-open), state; and positions of both.
    withheld: components decided person by person, whose counts and dates disclosure control took out.
    """

    components: pd.DataFrame
    pairs: pd.DataFrame
    bundles: pd.DataFrame
    aliased: tuple[str, ...]
    cure: pd.DataFrame
    timeline: pd.DataFrame
    labels: dict[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()

    def status(self, component: str) -> str:
        """The status of one component; KeyError for an unknown name."""
        return str(self.components.set_index("component").loc[component, "status"])

    def table(self) -> Table:
        """What can be told apart, as a table for people."""
        rows = [
            (
                self.labels.get(r.component, r.component), STATUS_WORDS[r.status], r.switches, r.clean_switches,
                "none" if np.isnan(r.clean_until) else int(r.clean_until), r.best_design or "none", full_stop(r.reason),
            )
            for r in self.components.itertuples()
        ]  # fmt: skip
        columns = (
            "Component", "What the rollout allows", "Switches", "Clean switches", "Clean until event time",
            "Strongest design", "Why",
        )  # fmt: skip
        numeric = (False, False, True, True, True, False, False)
        return make_table("What can be told apart, before any outcome is read", columns, rows, numeric=numeric)

    def _repr_html_(self) -> str:
        return self.table().to_html() + "".join(f"<p>{s}</p>" for s in self._notes(escape=True))

    def __repr__(self) -> str:
        return "\n".join([self.table().to_text(110).rstrip(), *self._notes()])

    def _notes(self, escape: bool = False) -> list[str]:
        from html import escape as quote

        notes = [*self.aliased, *self.bundles["words"], *self.cure["words"]]
        return [quote(n) for n in notes] if escape else notes


def separability(study: Any) -> Separability:
    """What can be told apart in `study`, from exposures and from which rows exist; no outcome is read.

    study: anything with `paths` (and, for words, `components`, `period`). See design
    2.2 for the rules; each component gets the first status that applies. Raises nothing
    of its own: a study that could be made can be audited.
    """
    names = names_of(study)
    audit = make_audit(study.paths, names)
    labels = dict(zip(study.paths.components, names.labels, strict=True))
    return Separability(
        components=_component_table(audit),
        pairs=pair_table(audit),
        bundles=bundle_table(audit),
        aliased=aliased_words(audit),
        cure=cure_table(audit),
        timeline=timeline_table(study.paths),
        labels=labels,
    )


def _component_table(audit: Audit) -> pd.DataFrame:
    rows = [
        {
            "component": fact.component, "status": s.status, "switches": 0 if fact.always else fact.switches,
            "clean_switches": s.clean_switches, "clean_until": float(s.clean_until) if s.clean_until >= 0 else np.nan,
            "clusters_exposed": s.clusters_exposed, "clusters_comparison": s.clusters_comparison,
            "best_design": s.best_design, "reason": s.reason,
        }
        for fact, s in zip(audit.facts, audit.statuses, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)
