"""A simulated partnership: its tables, the study of them, and the sealed envelope with the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from evalkit.errors import OptionError
from evalkit.study import Component, Outcome, Study
from evalkit.study.money import TABLES
from evalkit.study.register import Links
from evalkit.synthetic.cells import true_of_cells
from evalkit.synthetic.contract import Ledger
from evalkit.synthetic.cutoff import Cutoff, cutoff_study, make_cutoff
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.spec import PERSON, Part, Spec
from evalkit.synthetic.tables import panel_frame, people_frame, small_tables
from evalkit.synthetic.truth import effects_table, regimes_table
from evalkit.synthetic.world import World, make_world, n_parts


@dataclass(frozen=True, eq=False)
class Truth:
    """What nobody knows in real life. effects: every estimand. regimes: mean outcomes under every regime."""

    effects: pd.DataFrame
    regimes: pd.DataFrame
    settings: dict[str, Any]

    def of(self, component: str, outcome: str, estimand: str = "last_in", population: str = "reached") -> float:
        """One number of `effects`."""
        e = self.effects
        rows = e[(e["component_set"] == component) & (e["outcome"] == outcome) & (e["estimand"] == estimand)]
        rows = rows[(rows["population"] == population) & rows["since_start"].isna()]
        if not len(rows):
            raise OptionError(f"The truth has no {estimand!r} of {component!r} on {outcome!r} for {population!r}.")
        return float(rows["value"].iloc[0])


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated partnership. `study` is what an evaluator gets; `reveal_truth()` opens the envelope."""

    spec: Spec
    setting: str
    seed: int
    knobs: Knobs

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def _world(self) -> World:
        if n_parts(self.spec, self.knobs) > 1:
            raise OptionError(f"size={self.knobs.size:g} is too large for memory. `write(folder)` makes it in parts.")
        return make_world(self.spec, self.knobs, self.seed)

    @property
    def parts(self) -> int:
        """In how many parts the people are simulated."""
        return n_parts(self.spec, self.knobs)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """panel, people, sites, links, components, adoption, background; rate_card, claims, costs and unit_costs."""
        world = self._world
        ground, ledger = (world.scene.sites, world.scene.rollout), Ledger.of(world)
        money = ledger.tables(self.spec, *ground) if ledger else {}
        return {"panel": panel_frame(world), "people": people_frame(world), **small_tables(self.spec, *ground), **money}

    @cached_property
    def study(self) -> Study:
        """The study as an evaluator would set it up; nothing in it knows the truth."""
        return self.study_of(self.tables)

    def study_of(self, tables: dict[str, pd.DataFrame]) -> Study:
        """The study of other tables of this partnership, such as one part of its people."""
        return make_study(self.spec, self.knobs, tables)

    @cached_property
    def cutoff(self) -> pd.DataFrame:
        """Everybody from whom the lowest scores were chosen, chosen or not (knob `above_cut`)."""
        return self._cutoff.frame.copy()

    @cached_property
    def cutoff_study(self) -> Study:
        """Being chosen as a cross-section, for `ek.RegressionDiscontinuity("margin", cutoff=0)` (knob `above_cut`)."""
        return cutoff_study(self.spec, self.cutoff)

    @cached_property
    def _cutoff(self) -> Cutoff:
        if not self.knobs.above_cut:
            raise OptionError("There is no table at a cut-off. Make the partnership with above_cut=True (pupils).")
        return make_cutoff(self.spec, self.knobs, self.seed, self._world)

    def reveal_truth(self) -> Truth:
        """Open the envelope: every estimand, by regimes on common random numbers."""
        return self._truth

    @cached_property
    def _truth(self) -> Truth:
        effects = effects_table(self._world)
        if self.knobs.above_cut and self.spec.selection is not None:
            at_cut = self._cutoff.truth(self.spec.selection.outcome)
            effects = pd.concat([effects, at_cut.reindex(columns=effects.columns)], ignore_index=True)
            effects["since_start"] = effects["since_start"].astype("Int64")
        return Truth(effects, regimes_table(self._world), self.said)

    @property
    def said(self) -> dict[str, Any]:
        """What makes the same partnership again."""
        return {"partnership": self.name, "setting": self.setting, "seed": self.seed, "knobs": asdict(self.knobs)}

    def truth_for(self, weights: pd.DataFrame, outcome: str | None = None) -> pd.Series:
        """The truth of the estimand that an estimate targets, over exactly the cells that it used.

        weights: what `est.weights()` returns. For each row: the sum over adopters' cells (sign +1) of weight x the
        true effect of the component on the people of that cell in that period, the others as they were.
        """
        return true_of_cells(self._world, self.study, weights, outcome)


def make_study(spec: Spec, knobs: Knobs, tables: dict[str, pd.DataFrame]) -> Study:
    """The study of a partnership's tables."""
    adoption = tables.get("adoption")
    linked = spec.places.linked
    outcomes = [Outcome(p.name, p.label, p.study_kind, p.better, p.matters) for p in spec.processes if p.in_study]
    return Study(
        tables["panel"],
        unit="person_id",
        period=spec.clock.column,
        cluster=spec.places.site,
        people=tables["people"],
        components=[_component(p, spec, knobs, adoption) for p in spec.parts],
        outcomes=outcomes,
        covariates=("age", "need_score"),
        levels={linked: Links(tables["links"], to=spec.places.site)} if linked else None,
        title=spec.title,
        question=spec.question,
        settings=dict(spec.evaluate),
        money={name: tables[name] for name in TABLES if name in tables} or None,
        events=tables.get("background"),
    )


def _component(part: Part, spec: Spec, knobs: Knobs, adoption: pd.DataFrame | None) -> Component:
    spells = exposure = level = None
    if part.level == PERSON:
        exposure, level = part.name, "person_id"
    elif part.always_on:
        exposure, level = (part.name, spec.places.site) if knobs.core else (None, None)
    else:
        assert adoption is not None
        spells, level = adoption[adoption["component"] == part.name].reset_index(drop=True), part.level
    return Component(
        part.name,
        label=part.label,
        exposure=exposure,
        adoption=spells,
        assigned_at=level,
        reach=part.reach,
        lag=part.lag,
        bins=part.bins,
        always_on=part.always_on,
        replaces=part.replaces,
        unit_cost=part.unit_cost,
        description=part.description,
        card=part.card,
    )
