"""Who stands behind a number: distinct people, who is in and who is missing, places of a few, totals of one or two."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd

from evalkit.components.facts import distinct, had
from evalkit.disclosure.rules import Rules, dominated, hide
from evalkit.study import Study
from evalkit.study.paths import Paths
from evalkit.verdicts.evidence import Evidence

FLOW = ("component", "stage", "count", "hidden")
STAGES = {
    "all": "in the study",
    "outside": "cannot be reached by it",
    "reached": "can be reached by it",
    "never": "never had it",
    "had": "had it at some time",
    "left": "had it, but could not be compared",
    "used": "had it, and stand behind the answer",
}
_SUMS = (("all", ("outside", "reached")), ("reached", ("never", "had")), ("had", ("left", "used")))


def had_together(paths: Paths, members: Iterable[str]) -> np.ndarray:
    """(n,) whether a row's unit had all of `members` in one and the same period."""
    on = np.asarray((paths.state[:, :, [paths.index(m) for m in members]] > 0).all(axis=2))
    return np.asarray(on.any(axis=1))[paths.path]


def few_places(paths: Paths, component: str, rules: Rules) -> pd.Series:
    """Place -> whether too few people live there whom the component reaches, or too few of them had it."""
    level = paths.levels[paths.inference_level(component)[0]]
    reached = paths.reach[paths.path, paths.index(component)]
    few = np.zeros(len(level.names), dtype=bool)
    for rows in (reached, had(paths, [component])):
        sizes = np.bincount(level.codes[rows], paths.counted[rows], minlength=len(level.names))
        few |= (sizes < rules.count) & (sizes > 0)
    return pd.Series(few, index=level.names)


def hangs_on_few(study: Study, members: Iterable[str], rules: Rules) -> bool:
    """Whether the first outcome, added up where `members` were on, comes from too few people, or mostly from two."""
    study = study.in_people
    outcome, paths = study.outcome(), study.paths
    if outcome.kind not in ("share", "count", "rate", "money"):
        return False
    on = np.asarray((paths.state[:, :, [paths.index(m) for m in members]] > 0).any(axis=2))
    if paths.heads is not None:
        return _cells_hang_on_few(paths, study.values(outcome), on[paths.path], rules)
    weights = study.weighing(outcome).paths.weights if outcome.kind == "rate" else None
    amounts = np.where(on[paths.path], np.nan_to_num(np.abs(study.values(outcome))), 0.0).sum(axis=1)
    amounts = amounts if weights is None else weights * amounts
    _, person = np.unique(paths.units, return_inverse=True)
    each = np.sort(np.bincount(person, weights=amounts))[::-1]
    first, second = (float(v) for v in [*each, 0.0, 0.0][:2])
    few = rules.small(int((each > 0).sum()))
    return bool(few or dominated(each.sum(), first, second, rules))


def _cells_hang_on_few(paths: Paths, values: np.ndarray, on: np.ndarray, rules: Rules) -> bool:
    """The same of people added up, of whom it is known how far one can be from the mean of a cell: no further than the
    root of the sum of all squares. True where not even that is known."""
    amounts = np.where(on, np.nan_to_num(np.abs(values)), 0.0)
    within = None if paths.spread is None else paths.spread.within(values)
    if within is None or paths.heads is None or np.isnan(within).any():
        return True
    there = (amounts > 0).any(axis=1)
    most = (amounts + np.where(on, np.sqrt(np.diagonal(within, axis1=1, axis2=2)), 0.0)).sum(axis=1)
    first, second = (float(v) for v in [*np.sort(np.repeat(most, np.minimum(paths.heads, 2)))[::-1], 0.0, 0.0][:2])
    few = rules.small(int(paths.heads[there].sum()))
    return bool(few or dominated(float(amounts.sum(axis=1) @ paths.heads), first, second, rules))


def flow_table(study: Study, effects: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """A row a component and stage: its count, NaN where hidden (and "too few" or "would give it away" in hidden).

    Stages: everybody in the study = outside its reach + within; within = never had it + had it; had it = left out of
    the first outcome's headline + behind it (only where there is a headline). Counts are distinct units.
    """
    paths = study.paths
    first = effects["outcome"] == study.outcome().column
    heads = effects[first & effects["headline"].astype(bool) & effects["estimate"].notna()]
    exposed = pd.to_numeric(heads["units_exposed"], errors="coerce")
    behind = {c: int(n) for c, n in zip(heads["component"], exposed, strict=True) if n > 0}
    counts = {c: stages(paths, c, behind.get(c)) for c in paths.components}
    always = {c for c in paths.components if study.component(c).always_on}
    return pd.DataFrame(_protected(paths, counts, rules, always), columns=list(FLOW))


def stages(paths: Paths, component: str, used: int | None) -> dict[str, int]:
    """Stage -> distinct units."""
    everybody = paths.distinct()
    can = distinct(paths, paths.reach[paths.path, paths.index(component)])
    on = distinct(paths, had(paths, [component]))
    out = {"all": everybody, "outside": everybody - can, "reached": can, "never": can - on, "had": on}
    if used is not None:
        inside = min(used, on)
        out |= {"left": on - inside, "used": inside}
    return out


def with_counts(e: Evidence, effects: pd.DataFrame, flow: pd.DataFrame) -> Evidence:
    """The evidence with the counts of people that its tables publish: how many had it, and stand behind the answer.

    NaN where a table hides either count, or how many had it and could not be compared.
    """
    mine = flow[flow["component"] == e.component].set_index("stage")["count"]
    head = (effects["component"] == e.component) & (effects["outcome"] == e.outcome) & effects["headline"].astype(bool)
    behind = float(effects.loc[head, "units_exposed"].sum(min_count=1))
    counts = behind, float(mine.get("had", math.nan))
    told = np.isfinite([*counts, mine.get("left", 0.0)]).all()
    return replace(e, units_behind=counts[0] if told else math.nan, units_had=counts[1] if told else math.nan)


def _protected(
    paths: Paths, counts: dict[str, dict[str, int]], rules: Rules, always: set[str]
) -> list[tuple[str, str, float, str]]:
    """The rows of every component, with what the rules hide among counts that add up, within and across components."""
    cells = {("", "all"): paths.distinct()}
    cells |= {(c, stage): n for c, listed in counts.items() for stage, n in listed.items() if stage != "all"}
    at = {cell: i for i, cell in enumerate(cells)}
    sums = [
        (at["" if t == "all" else c, t], [at[c, p] for p in parts])
        for c, listed in counts.items()
        for t, parts in _SUMS
        if all(p in listed for p in parts)
    ]
    values = list(cells.values())
    for larger, smaller, few in _nested(paths, rules):
        sums.append((at[larger], [at[smaller], len(values)]))
        values.append(few)
    known = [at[c, "outside"] for c, listed in counts.items() if listed["outside"] == 0]
    known += [at[c, "never"] for c in always if counts[c]["never"] == 0]
    found = hide(values, sums, rules, known)
    reasons = np.select([found.primary, found.secondary], ["too few", "would give another away"], "").tolist()
    why = {(c, s): reasons[at["" if s == "all" else c, s]] for c, listed in counts.items() for s in listed}
    return [(c, s, np.nan if why[c, s] else float(rules.shown(counts[c][s])), why[c, s]) for c, s in why]


def _nested(paths: Paths, rules: Rules) -> list[tuple[tuple[str, str], tuple[str, str], int]]:
    """(group, group within it, how many more) where a few people only are in the one and not in the other.

    Two components may reach, or have reached, almost the same people: the difference of their counts is a count too.
    """
    groups = {}
    for k, component in enumerate(paths.components):
        groups[component, "reached"] = set(paths.units[paths.reach[paths.path, k]].tolist())
        groups[component, "had"] = set(paths.units[had(paths, [component])].tolist())
    more = lambda large, small: distinct(paths, np.isin(paths.units, [*(large - small)]))  # noqa: E731
    return [
        (a, b, more(large, small))
        for (a, large), (b, small) in permutations(groups.items(), 2)
        if a[0] != b[0] and small < large and len(large - small) < rules.count and more(large, small) < rules.count
    ]
