"""Which people periods a headline speaks for, and which the programme's total covers: the same cells for both.

A *cell* is an exposure path in a period; its mass is how many people periods (by weight) are in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd

from evalkit.designs.protocol import StudyLike
from evalkit.designs.regression.additive import programme_level, spell_ages
from evalkit.designs.regression.imputation import Fitted
from evalkit.designs.regression.imputation_fit import Imputed
from evalkit.designs.rollout.staggered import Arrivals, by_arrival
from evalkit.designs.rollout.sums import add_by
from evalkit.evaluation.bundles import together
from evalkit.evaluation.evidence import Evaluated
from evalkit.evaluation.ladder import Run, Window
from evalkit.inference import Estimate
from evalkit.inference.replicates import Averaging, Refits, Replicates
from evalkit.show.words import join_words
from evalkit.study import Outcome
from evalkit.study.paths import OFF, Paths
from evalkit.vocabulary import COMBINATION, DOSE, JOINT


@dataclass(frozen=True, eq=False)
class Claim:
    """What one headline claims: members on together, rows (k,) of the design, and the adopters' cells in the
    claimed window: row, path, period, mass, each (c,). additive: it rests on effects that add up."""

    name: str
    members: tuple[str, ...]
    rows: Estimate
    row: np.ndarray
    path: np.ndarray
    period: np.ndarray
    mass: np.ndarray
    additive: bool

    def by_cell(self, shape: tuple[int, int]) -> np.ndarray:
        """(P, T) people periods claimed."""
        out = np.zeros(shape)
        np.add.at(out, (self.path, self.period), self.mass)
        return out

    def within(self, where: np.ndarray) -> Claim | None:
        """The claim over some cells (P, T) only; None where none is left."""
        keep = where[self.path, self.period]
        if not keep.any():
            return None
        parts = {f: getattr(self, f)[keep] for f in ("row", "path", "period", "mass")}
        return self if keep.all() else replace(self, **parts)

    def average(self, share: np.ndarray) -> tuple[Estimate | None, float]:
        """Average effect over a share (P, T) of the claimed cells (None where there are none), and their mass."""
        mass = np.bincount(self.row, weights=self.mass * share[self.path, self.period], minlength=len(self.rows))
        keep = np.flatnonzero(mass > 0)
        if not len(keep):
            return None, float(mass.sum())
        part = self.rows.select(keep)
        own, member = mass[keep] / part.mass, np.ones((len(keep), 1), dtype=bool)
        scaled = replace(  # a row's share of its own mass is kept in every refit
            part, mass=mass[keep].astype(float),
            replicate=part.replicate.then(partial(_shared, share=own)) if isinstance(part.replicate, Refits) else None,
            mass_influence=None if part.mass_influence is None else part.mass_influence.map(np.diag(own)),
        )  # fmt: skip
        labels = part.label_columns.common([np.arange(len(keep))], {"cohort", "period", "event_time"})
        return scaled.apply(Averaging(member, by_mass=True, total_mass=True), labels), float(mass.sum())


def claim_of(
    study: StudyLike, name: str, members: Sequence[str], run: Run, window: Window, where: np.ndarray | None = None
) -> Claim | None:
    """The claim behind a headline that gave a number, over the cells (P, T) of `where`; None where it has none."""
    rows, paths = run.rows, study.paths
    if rows is None or run.answer is None or ("event_time" not in rows.label_columns and paths.n_periods > 1):
        return None
    events = rows.label_columns["event_time"] if paths.n_periods > 1 else np.zeros(len(rows), dtype=int)
    if rows.cells is not None:  # adopters' cells from the weights of a plan
        frame = rows.weights(adopters=True)
        row, path = (frame[c].to_numpy(dtype=int) for c in ("row", "path"))
        period = pd.Index(paths.periods).get_indexer(pd.Index(frame["period"]))
        mass = frame["weight"].to_numpy() * rows.mass[row]
    else:  # of a regression every cell with an event time that it gives an effect for; of people seen once all with it
        state = paths.state[:, :, paths.index(name)]
        age = np.where(state > 0, spell_ages(state > 0, state == OFF)[1] if paths.n_periods > 1 else 0, -1)
        seen = people_periods(paths, np.isfinite(study.values(str(rows.label_columns["outcome"][0]))))
        at = {int(e): i for i, e in enumerate(events)}
        path, period = np.nonzero((age >= 0) & (seen > 0))
        row = np.array([at.get(int(e), -1) for e in age[path, period]], dtype=int)
        mass = seen[path, period]
    inside = window.holds(events)
    # With weights of least noise adopters' periods before the start are cells too, and speak of no effect.
    on = paths.state[path, period, paths.index(name)] > 0
    keep = on & (row >= 0) & inside[row] & np.isfinite(rows.value[row]) & (mass > 0)
    if not keep.any():
        return None
    parts = (row[keep], path[keep], period[keep], mass[keep])
    made = Claim(name, tuple(members), rows, *parts, additive=run.rung.name in (JOINT, DOSE, COMBINATION))
    return made if where is None else made.within(where)


def claims_of(evaluation: Evaluated, outcome: Outcome) -> tuple[Claim, ...]:
    """Headlines with a number, then bundles run as one component whose members have none; none shares a member with an
    earlier one in any cell."""
    study, paths = evaluation.study, evaluation.study.paths
    found = [
        claim_of(study, f.component, [f.component], f.headline, f.window)
        for f in evaluation.findings
        if f.outcome == outcome and f.headline is not None
    ]
    sums = [b for b in evaluation.bundle_runs if b.outcome == outcome and b.run and min(b.evidence.signs) > 0]
    for bundle in sorted(sums, key=lambda b: (b.evidence.additive, len(b.members))):
        assert bundle.run is not None
        name, until = join_words(bundle.members, "with"), bundle.evidence.clean_until
        window = Window(bundle.evidence.lag, None if until is None else int(until))
        # By regression what members add together is known only where all began together.
        alike = _alike_in_age(paths, bundle.members) if bundle.evidence.design == COMBINATION else None
        claim = claim_of(together(study, bundle.members, name), name, bundle.members, bundle.run, window, alike)
        found.append(claim)
    shape = (paths.n_paths, paths.n_periods)
    taken, out = {c: np.zeros(shape, dtype=bool) for c in paths.components}, []
    for claim in (c for c in found if c is not None):
        kept = claim.within(~np.any([taken[m] for m in claim.members], axis=0))
        if kept is not None:
            out.append(kept)
            for m in kept.members:
                taken[m] |= kept.by_cell(shape) > 0
    return tuple(out)


def _alike_in_age(paths: Paths, members: Sequence[str]) -> np.ndarray:
    """(P, T) cells in which all members are on and began together."""
    states = [paths.state[:, :, paths.index(m)] for m in members]
    ages = np.stack([np.where(s > 0, spell_ages(s > 0, s == OFF)[1], -1) for s in states])
    return np.asarray((ages == ages[0]).all(axis=0) & (ages[0] >= 0))


def people_periods(paths: Paths, seen: np.ndarray) -> np.ndarray:
    """(P, T) weight of the units of each path seen in each period."""
    w = np.ones(paths.n_units) if paths.weights is None else paths.weights
    return add_by(seen * w[:, None], paths.path, paths.n_paths)


def share_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(P, T) part of the people periods of each cell; 0 where it has none."""
    return np.asarray(np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0))


def _shared(refits: Replicates, share: np.ndarray) -> Replicates:
    return replace(refits, masses=refits.masses * share)


@dataclass(frozen=True, eq=False)
class Programme:
    """The programme as a whole: every exposed cell whose outcome without the programme can be imputed. Untreated
    outcomes as in `Imputation` (Borusyak, Jaravel and Spiess 2024). Components that are absorbed (always on, everybody
    at once) are no part of `paths`. arrival: within how many periods people must have come onto the record to share
    period effects, as `StaggeredRollout` has it; None for all."""

    paths: Paths
    values: np.ndarray
    words: dict[str, str]
    arrival: int | None = None

    @cached_property
    def alike(self) -> Arrivals:
        return by_arrival(self.paths, self.arrival)

    @cached_property
    def imputed(self) -> Imputed:
        return Imputed(self.alike.paths, self.values, self.alike.kind)

    @cached_property
    def at(self) -> tuple[np.ndarray, np.ndarray]:
        """(a,) path and period of each atom, the path as the study has it."""
        atoms = self.imputed.atoms
        return self.alike.origin[atoms.path], atoms.period

    @cached_property
    def fitted(self) -> Fitted:
        level = programme_level(self.paths)
        return Fitted(self.imputed, level, {**self.words, "inference_level": level})

    @cached_property
    def mass(self) -> np.ndarray:
        """(P, T) people periods that the total covers."""
        out = np.zeros(self.paths.state.shape[:2])
        np.add.at(out, self.at, self.imputed.atoms.mass)
        return out

    @cached_property
    def gross(self) -> float:
        """Sum of the outcome over the people periods covered."""
        rows = self.imputed.rows
        return float(self.imputed.weights[rows.unit] @ self.values[rows.unit, rows.period])

    def averages(self, shares: Sequence[np.ndarray], names: Sequence[str]) -> Estimate:
        """Average effect of the programme over each of some shares (P, T) of the cells covered, a row each."""
        share = np.column_stack([s[self.at] for s in shares])
        labels = pd.DataFrame({"component": list(names), "estimand": "average effect of the programme",
                               "population": "everyone exposed with an untreated past"})  # fmt: skip
        return self.fitted.over(share, labels)


def without(paths: Paths, dropped: Collection[str]) -> Paths:
    """The same units and paths without some components."""
    keep = [k for k, c in enumerate(paths.components) if c not in dropped]
    return replace(
        paths, components=tuple(paths.components[k] for k in keep), state=paths.state[:, :, keep],
        reach=paths.reach[:, keep], assigned_at={c: paths.assigned_at[c] for c in paths.components if c not in dropped},
        lags=tuple(paths.lags[k] for k in keep) if paths.lags else (),
        always_on=tuple(paths.always_on[k] for k in keep) if paths.always_on else (),
    )  # fmt: skip
