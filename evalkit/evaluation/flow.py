"""Who is in, and who is missing: how many could be reached by each component, had it, and stand behind its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalkit.evaluation.disclosure_counts import hide
from evalkit.evaluation.disclosure_rules import Rules
from evalkit.study.paths import Paths

COLUMNS = ("component", "stage", "count", "hidden")
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


def flow_table(evaluation: Any, rules: Rules) -> pd.DataFrame:
    """A row a component and stage: its count, NaN where hidden (and "too few" or "would give it away" in hidden).

    Stages: everybody in the study = outside its reach + within; within = never had it + had it; had it = left out of
    the first outcome's headline + behind it (only where there is a headline). Counts are distinct units.
    """
    study = evaluation.study
    paths: Paths = study.paths
    first = study.outcome().column
    behind = _behind(evaluation, first)
    rows = []
    for component in paths.components:
        counts = stages(paths, component, behind.get(component))
        always = study.component(component).always_on
        rows += _protected(component, counts, rules, always)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def stages(paths: Paths, component: str, used: int | None) -> dict[str, int]:
    """Stage -> distinct units."""
    k = paths.index(component)
    reached = paths.reach[paths.path, k]
    on = np.asarray((paths.state[:, :, k] > 0).any(axis=1))[paths.path]
    everybody = len(np.unique(paths.units))
    can = len(np.unique(paths.units[reached]))
    had = len(np.unique(paths.units[reached & on]))
    out = {"all": everybody, "outside": everybody - can, "reached": can, "never": can - had, "had": had}
    if used is not None:
        inside = min(used, had)
        out |= {"left": had - inside, "used": inside}
    return out


def _behind(evaluation: Any, outcome: str) -> dict[str, int]:
    effects = evaluation.effects
    heads = effects[effects["headline"].astype(bool) & (effects["outcome"] == outcome) & effects["estimate"].notna()]
    counts = pd.to_numeric(heads["units_exposed"], errors="coerce")
    return {c: int(n) for c, n in zip(heads["component"], counts, strict=True) if n > 0}


def _protected(component: str, counts: dict[str, int], rules: Rules, always: bool) -> list[tuple[str, str, float, str]]:
    """The rows of one component, with what the rules hide among counts that add up."""
    at = {stage: i for i, stage in enumerate(counts)}
    sums = [(at[t], [at[p] for p in parts]) for t, parts in _SUMS if all(p in at for p in parts)]
    values = list(counts.values())
    known = [at["outside"]] if counts["outside"] == 0 else []
    known += [at["never"]] if counts["never"] == 0 and always else []
    if not rules.active:
        return [(component, stage, float(n), "") for stage, n in counts.items()]
    found = hide(values, sums, rules, known)
    rows = []
    for stage, i in at.items():
        why = "too few" if found.primary[i] else "would give another away" if found.secondary[i] else ""
        rows.append((component, stage, np.nan if why else float(rules.shown(values[i])), why))
    return rows
