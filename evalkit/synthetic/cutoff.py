"""Everybody from whom the lowest scores were chosen, so that those just above the line can stand beside those below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.study import Component, Outcome, Study
from evalkit.synthetic.clock import period_names
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.simulate import Regimes, Scene, run_process
from evalkit.synthetic.spec import Process, Spec
from evalkit.synthetic.tables import site_columns
from evalkit.synthetic.world import World, make_pool, measured, presence, recorded

AFTER = 6  # periods from the launch to the later outcome
OFFER = "support"
NEAR = 5.0  # points of the score on either side of the line for which the truth is told


@dataclass(frozen=True, eq=False)
class Cutoff:
    """frame: one row a person of a programme place, chosen or not. effect: (n,) what being chosen does to the later
    outcome of each of them, whoever was chosen."""

    frame: pd.DataFrame
    effect: np.ndarray

    def truth(self, outcome: str) -> pd.DataFrame:
        """One row of effects: the mean over people near to the line, as `effects_table` has them."""
        near = self.effect[np.abs(self.frame["margin"].to_numpy()) <= NEAR]
        error = float(near.std(ddof=1) / np.sqrt(len(near)))
        row = {
            "component_set": OFFER,
            "outcome": outcome,
            "estimand": "at_cut",
            "population": f"within {NEAR:g} points",
            "value": round(float(near.mean()), 5),
            "mc_se": round(error, 5),
            "person_periods": len(near),
        }
        return pd.DataFrame([row])


def later_period(spec: Spec) -> object:
    """The period of the later outcome."""
    return period_names(spec.clock)[spec.clock.launch + AFTER]


def make_cutoff(spec: Spec, knobs: Knobs, seed: int, world: World) -> Cutoff:
    """Everybody in programme places: those chosen as they lived, the others without any component."""
    pool, process = make_pool(spec, knobs, seed), _by(spec)
    listed = np.flatnonzero(pool.scene.sites.programme[pool.scene.people.site])
    scene, chosen = pool.scene.keep(listed), np.isin(listed, pool.chosen)
    with_it, without = (run_process(process, scene, r, {})[0] for r in (Regimes.lived(spec), Regimes.none(spec)))
    lived = np.where(chosen, with_it, without)
    seen, exit_, reason = presence(scene, knobs, lived)
    written = seen & recorded(scene, knobs)
    rows = World(scene, knobs, Regimes.lived(spec), {process.name: lived[None]}, seen, written, exit_, reason)
    t = spec.clock.launch + AFTER
    value, there = measured(rows, process)
    ids = np.empty(len(pool.scene.people), dtype=np.int64)
    ids[pool.chosen] = world.ids
    others = np.setdiff1d(np.arange(len(ids)), pool.chosen)
    ids[others] = world.ids[-1] + 1 + np.arange(len(others))
    frame = _frame(scene, ids[listed], pool.score[listed], pool.meets[listed])
    frame["chosen"] = chosen.astype(np.int8)
    frame["later"] = np.where(there[t], np.round(value[t], process.digits), np.nan)
    return Cutoff(frame, (with_it - without)[t])


def cutoff_study(spec: Spec, frame: pd.DataFrame) -> Study:
    """A cross-section: being chosen, by which side of the line, and the later outcome."""
    process = _by(spec)
    return Study(
        frame,
        unit="person_id",
        period=None,
        components=[Component(OFFER, label="Being taken on", exposure="chosen")],
        outcome=Outcome("later", f"{process.label}, later", process.study_kind, process.better, process.matters),
        covariates=("margin",),
        title=f"{spec.title}: at the line",
        question="What did being taken on do for those just below the line?",
    )


def _by(spec: Spec) -> Process:
    """The outcome by which people are chosen."""
    assert spec.selection is not None
    return spec.process(spec.selection.outcome)


def _frame(scene: Scene, ids: np.ndarray, score: np.ndarray, meets: np.ndarray) -> pd.DataFrame:
    """Who they are, their score, and how far it lies from the line of their place, half-way between the highest score
    that meets the rule and the lowest that does not."""
    people = scene.people
    line = np.zeros(len(scene.sites))
    for s in np.unique(people.site):
        mine = people.site == s
        line[s] = (score[mine & meets].max() + score[mine & ~meets].min()) / 2
    margin = np.round(score - line[people.site], 2)
    margin = np.where(meets, np.minimum(margin, -0.01), np.maximum(margin, 0.01))
    frame = {"person_id": ids, **site_columns(scene.spec, scene.sites, people.site), "age": people.age}
    frame |= {f.name: people.flags[f.name].astype(np.int8) for f in scene.spec.flags if not f.hidden}
    return pd.DataFrame({**frame, "score": np.round(score, 2), "margin": margin})
