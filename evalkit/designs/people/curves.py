"""Curves of an outcome that waits for an event: by when it happened, of people with a component and of people like them
without it, and how many were still followed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from evalkit.designs.people.distances import fit_score
from evalkit.designs.people.people import Who, gather
from evalkit.errors import NotIdentifiedError
from evalkit.inference.intervals import check_level
from evalkit.study import Study
from evalkit.waiting.curves import Curve, kaplan_meier

EXTREME = 0.01
"""Chance of an arm below which nobody's is taken to be."""


def curves(study: Study, component: str, outcome: str | None = None, *, level: float = 0.95) -> pd.DataFrame:
    """Share with the event over time, in each arm, had everybody been in it.

    Kaplan-Meier curves; where the study has covariates or other components, weighted by one over the chance of the arm
    (a logit; Cole and Hernan 2004). One row an arm and time, from 0 to the outcome's `by`: arm ("with it",
    "without"), time, share, conf_low, conf_high (pointwise, for weights that are known), at_risk (people still waiting
    and followed just before), events (people to whom it happened then); `attrs` hold component, outcome, by and unit.

    Raises `OptionError` where the outcome does not wait, `NotIdentifiedError` where an arm is empty.
    """
    check_level(level)
    waits, chosen = study.waits(outcome), study.outcome(outcome)
    people = gather(study, component, Who("balanced"))
    time, event = waits.waited.time[people.rows], waits.waited.event[people.rows]
    chance = np.full(len(people), 0.5)
    if people.x.shape[1]:
        chance = fit_score(people.x, people.exposed, people.weight).value.clip(EXTREME, 1 - EXTREME)
    weight, quantile = (
        people.sizes / np.where(people.exposed, chance, 1 - chance),
        float(ndtri((1 + level) / 2)),
    )
    rows = []
    for arm, mine in (("with it", people.exposed), ("without", ~people.exposed)):
        if not mine.any():
            raise NotIdentifiedError(f"There is nobody {arm} whose time could be drawn.")
        curve = kaplan_meier(time[mine], event[mine], weight[mine])
        rows.append(_arm(arm, curve, time[mine], event[mine], waits.by, quantile))
    table = pd.concat(rows, ignore_index=True)
    table.attrs = {
        "component": study.component(component).label, "outcome": chosen.label, "by": waits.by,
        "unit": chosen.time_unit or "", "level": level,
    }  # fmt: skip
    return table


def _arm(arm: str, curve: Curve, time: np.ndarray, event: np.ndarray, by: float, quantile: float) -> pd.DataFrame:
    inside = curve.times <= by
    low, high = curve.ranges(quantile)
    at = np.unique(np.r_[0.0, curve.times[inside], by])
    position = np.searchsorted(curve.times, at, side="right")
    of = {"share": 1 - curve.waiting, "conf_low": 1 - high, "conf_high": 1 - low}
    ordered, happened = np.sort(time), np.sort(time[event])
    return pd.DataFrame({
        "arm": arm, "time": at, **{name: np.r_[0.0, values][position] for name, values in of.items()},
        "at_risk": len(time) - np.searchsorted(ordered, at, side="left"),
        "events": np.searchsorted(happened, at, side="right") - np.searchsorted(happened, at, side="left"),
    })  # fmt: skip
