"""What the growth of other components puts into an answer, by their own estimated effects."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.protocol import StudyLike
from evalkit.designs.regression.columns import Columns, Shape
from evalkit.designs.regression.joint import make_panel
from evalkit.designs.regression.moments import Panel
from evalkit.designs.regression.source import JointSource
from evalkit.designs.rollout.rows import rows_of
from evalkit.inference.estimate import Estimate
from evalkit.inference.sources import Influence
from evalkit.study.paths import Paths

ESTIMAND = "growth of other components inside the answer, if effects add up"
UNTOLD = "the regression cannot tell the growth of the other components from places and periods"
CELLLESS = "the answer is adjusted, and so no weighted sum of places and periods"
_ALIKE = 1e-9
_PANELS: WeakKeyDictionary = WeakKeyDictionary()


def growth_of_others(study: StudyLike, one: Estimate, component: str, outcome: str | None = None) -> Estimate | None:
    """The part of `one`, a single weighted sum of cells, that other components' event times make up.

    The answer is sum of w (Y at t - mean Y over its base); put the event-time effects of the other components
    (from one regression on all, as in `JointEventStudy`) for Y. Comparing alike places (`others="same"`) takes
    out levels of others, not their growth where they began at different times. One row in the outcome's unit,
    clustered as `one` is; NaN with its reason where the regression does not identify the sum. None where every
    other component is of the same age on both sides, or off.
    """
    if one.cells is None:
        return _row(component, np.nan, CELLLESS)
    panel = _panel(study, outcome)
    lift = _other_columns(panel.columns, study.paths, one.weights(), component)
    if np.abs(lift).max(initial=0.0) <= _ALIKE:
        return None
    if not panel.solution.span.identified(lift):
        return _row(component, np.nan, UNTOLD)
    source = JointSource(rows_of(study.paths), panel)
    parts = ((source, np.append(lift, np.zeros_like(lift))[:, None]),)
    return _row(component, float(panel.solution.beta @ lift), "", Influence(parts, one.value_parts.level))


def _row(component: str, value: float, reason: str, parts: Influence | None = None) -> Estimate:
    labels = pd.DataFrame({"component": [component], "estimand": [ESTIMAND], "reason": [reason]})
    if parts is None:
        return Estimate.from_influence([value], np.zeros((1, 1)), labels)
    return Estimate(np.array([value]), np.ones(1), labels, parts)


def _panel(study: StudyLike, outcome: str | None) -> Panel:
    """The regression on all components, made once a study and outcome."""
    made = _PANELS.setdefault(study, {})
    if outcome not in made:
        made[outcome] = make_panel(study, outcome, Shape())
    return made[outcome]


def _other_columns(columns: Columns, paths: Paths, cells: pd.DataFrame, component: str) -> np.ndarray:
    """(p,) how often each event time of the other components enters a sum of cells with signed weights."""
    T = paths.n_periods
    weight = cells["weight"].to_numpy()
    path = cells["path"].to_numpy()
    at, base = (pd.Index(paths.periods).get_indexer(cells[c]) for c in ("period", "base"))
    rows, share = [path * T + at], [weight]
    window = cells["window"].to_numpy()
    for back in range(int(window.max(initial=1))):
        use = (back < window) & (base - back >= 0)
        rows.append((path * T + base - back)[use])
        share.append((-weight / np.minimum(window, base + 1))[use])
    row, amount = np.concatenate(rows), np.concatenate(share)
    total = sparse.csr_matrix((amount, (np.zeros(len(row), dtype=int), row)), shape=(1, columns.matrix.shape[0]))
    lift = np.asarray((total @ columns.matrix).todense()).ravel()
    lift[columns.component == paths.index(component)] = 0.0
    return lift
