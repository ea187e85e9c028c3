"""The same components under other choices: another base window, another comparison, another size that matters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd

from evalkit.components import separability
from evalkit.designs.rollout.plan import Rules
from evalkit.designs.threads import one_thread
from evalkit.errors import OptionError, check_choice, check_periods, is_number, spelt
from evalkit.evaluation.ladder import EQUAL, Choices, published, run, window_of
from evalkit.evaluation.rungs import rungs_for
from evalkit.inference.intervals import check_level
from evalkit.progress import step
from evalkit.study import Outcome, Study
from evalkit.verdicts.lean import flat_chance, lean_of_range
from evalkit.vocabulary import ESTIMATED, ComparisonGroup

NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "df", "clusters_exposed", "clusters_comparison")


@one_thread()
def respecify(
    study: Study,
    *,
    base_window: int | None = None,
    comparison: ComparisonGroup | None = None,
    matters: float | None = None,
    outcome: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every component's effect by the published form of its headline design, under other choices than the study's.

    base_window, comparison: as in `ek.StaggeredRollout`; by default those of the study. matters: the smallest effect
    worth having, 0 for none said; by default that of the outcome. outcome: default the first. One row a component:
    component, outcome, design, base_window and comparison (missing where its design has no such choice), estimate,
    std_error, conf_low, conf_high, df, clusters_exposed, clusters_comparison, matters, lean (what the interval leaves
    out, as in the verdicts), reason (why there is no number). Weights are equal, since those of least noise take every
    period before exposure. No check is made and no verdict given: that is for `ek.evaluate`, whose choices were made
    before any outcome was read.

    Raises `OptionError` for choices that there are not.
    """
    usual, chosen = Choices.of(study.settings), study.outcome(outcome)
    window = usual.base_window if base_window is None else base_window
    group = usual.comparison if comparison is None else comparison
    check_level(level)
    check_periods("base_window", window, 1)
    check_choice("comparison", group, get_args(ComparisonGroup))
    found = refitted(study, replace(usual, base_window=int(window), comparison=group), chosen, level)
    return beside_what_matters(found, chosen, chosen.matters if matters is None else matters)


def refitted(study: Study, choices: Choices, outcome: Outcome, level: float) -> pd.DataFrame:
    """`respecify` without what matters: a row a component, fitted under the choices."""
    study = study.as_compared()
    known, mine = separability(study).components.set_index("component"), study.weighing(outcome)
    rows = []
    for component in study.components:
        step(f"{component.label}: under other choices")
        rows.append(_refit(mine, known.loc[component.name], choices, outcome, level))
    return pd.DataFrame(rows)


def _refit(study: Study, known: pd.Series, choices: Choices, outcome: Outcome, level: float) -> dict[str, object]:
    component = str(known.name)
    out = {"component": component, "outcome": outcome.column, "design": "", "base_window": pd.NA, "comparison": ""}
    out |= {**dict.fromkeys(NUMBERS, np.nan), "reason": str(known["reason"])}
    if known["status"] not in ESTIMATED:
        return out
    window = window_of(known, study.component(component).lag, study.paths.n_periods > 1).within(choices.horizon)
    rungs = rungs_for(study, component, str(known["best_design"]), choices, window, outcome.column)
    headline = next(rung for rung in rungs if rung.headline)
    if isinstance(headline.design, Rules):
        plain = published(headline.design)
        name = headline.name if plain == headline.design else EQUAL[headline.name]
        headline = replace(headline, name=name, design=plain)
        out |= {"base_window": choices.base_window, "comparison": choices.comparison}
    found = run(headline, study, component, window)
    out |= {"design": headline.name, "reason": found.reason}
    if found.answer is not None:
        row = found.answer.row(level=level)
        out |= {name: float(row[name]) for name in NUMBERS} | {"reason": str(row["reason"])}
    return out


def beside_what_matters(found: pd.DataFrame, outcome: Outcome, matters: float | None) -> pd.DataFrame:
    """The rows with `matters` and `lean`: which benefit or harm each interval leaves out. 0 and None: none is said."""
    if matters is not None and not (is_number(matters) and 0 <= matters < math.inf):
        raise OptionError(
            f"matters={spelt(matters)} is not a choice. Give the smallest effect worth having, or 0 for none."
        )
    size, good = matters or None, 1.0 if outcome.better == "higher" else -1.0
    words = [
        lean_of_range(sorted((good * row.conf_low, good * row.conf_high)), size,
                      flat_chance(good * row.estimate, row.std_error, row.df))
        for row in found.itertuples()
    ]  # fmt: skip
    at = found.columns.get_loc("reason")
    made = found.copy()
    made.insert(at, "matters", math.nan if size is None else size)
    made.insert(at + 1, "lean", words)
    return made
