"""Who is compared with whom, and how much each place and month counts in a headline: read from its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evalkit.designs.rollout.sums import over_base
from evalkit.disclosure.people import few_places
from evalkit.disclosure.publish import Guard
from evalkit.evaluation.evidence import Finding
from evalkit.study import Study

COMPARED = ("component", "outcome", "cluster", "period", "side", "weight")
"""side: "with it" since it began there, "before it" there, "beside it" in places that count as a comparison."""


def compared(study: Study, findings: Sequence[Finding]) -> pd.DataFrame:
    """The weight of each place and month in every headline that is a weighted sum of cells: a row each.

    Months with it count up to 1 in all; their own months before, and what places beside did at the same time less what
    they did before, count against them, so that every place's weights add up to what it is with it, and all to 0.
    """
    made = [
        one
        for f in findings
        if f.answer is not None and f.answer.cells is not None and (one := _of_headline(study, f)) is not None
    ]
    return pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=list(COMPARED))


def _of_headline(study: Study, f: Finding) -> pd.DataFrame | None:
    assert f.answer is not None
    paths, cells = study.paths, f.answer.weights()
    if not {"cluster", "path", "sign"} <= set(cells):
        return None
    flat = over_base(cells, paths.periods)
    state = paths.state[flat["path"], flat["at"], paths.index(f.component)]
    on = (flat["sign"] == 1).to_numpy() & (state > 0)
    cell = flat["path"].astype(str) + " " + flat["cluster"].astype(str)
    side = np.where(on, "with it", np.where(cell.isin(set(cell[on])), "before it", "beside it"))
    frame = flat.assign(side=side).groupby(["cluster", "at", "side"], as_index=False, observed=True)["weight"].sum()
    frame = frame[frame["weight"].abs() > 1e-9]
    frame = frame.assign(component=f.component, outcome=f.outcome.column, period=paths.periods[frame["at"]])
    return frame[list(COMPARED)].reset_index(drop=True)


def publishable(guard: Guard, table: pd.DataFrame) -> pd.DataFrame:
    """The weights that may be published: none of an answer that is held back, of one decided person by person, or where
    a place of a few people could be worked out from its share; two digits of the others."""
    if not guard.rules.active or table.empty:
        return table
    keep = np.ones(len(table), dtype=bool)
    for (component, outcome), rows in table.groupby(["component", "outcome"], sort=False):
        small = few_places(guard.paths, str(component), guard.rules)
        named = any(bool(small.get(place, False)) for place in rows["cluster"].unique())
        if (component, outcome) in guard.few or component in guard.lone or named:
            keep[rows.index] = False
            guard.note("compared", f"{component}, {outcome}", "weights of places", "too few")
    kept = table[keep]  # rounded by itself: pandas fills a frame without rows from whatever it is given
    return kept.assign(weight=kept["weight"].round(2)).query("weight != 0").reset_index(drop=True)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Of one headline's weights, a row a place: cluster, with_it and beside (how much in 100 it counts on either side),
    since (the first period in which it counts with it, None where it never does).

    With it: its months since the start. Beside: half the sum of its weights without their signs, of all such places.
    """
    on, beside = (table[table["side"] == side] for side in ("with it", "beside it"))
    with_it = on.groupby("cluster")["weight"].sum()
    other = beside["weight"].abs().groupby(beside["cluster"]).sum()
    since = on.groupby("cluster")["period"].min().to_dict()
    places = pd.Index(table["cluster"].unique())
    counts = [100 * x.reindex(places).fillna(0.0).to_numpy() / max(x.sum(), 1e-12) for x in (with_it, other)]
    out = pd.DataFrame({"cluster": places, "with_it": counts[0], "beside": counts[1]})
    out["since"] = [since.get(c) for c in places]
    by = ["with_it", "beside"]  # those that count alike stay as they came, whatever their last digits
    return out.sort_values(by, ascending=False, kind="stable", key=lambda x: x.round(9), ignore_index=True)
