"""From places to an Estimate: one row for each cohort and period, an average over its places by their people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.one_place.places import Grouped, Place
from evalkit.designs.rollout.rows import Naming, rows_of
from evalkit.inference import Estimate
from evalkit.inference.replicates import Arms, CellWeights, Method
from evalkit.inference.sources import DenseSource, Influence


@dataclass(frozen=True, eq=False)
class Answered:
    """A place and its numbers (r,) for the periods asked for, NaN where there is none; `reasons` (r,) say why."""

    place: Place
    value: np.ndarray
    reasons: tuple[str, ...]

    @classmethod
    def refused(cls, place: Place, reason: str) -> Answered:
        """No number in any period, for one reason."""
        return cls(place, np.full(len(place.asked), np.nan), (reason,) * len(place.asked))


@dataclass(frozen=True, eq=False)
class Assembled:
    """Rows (k,) made of the places' rows (R,): `lift` (k, R) weighs those with a number by the people of the place."""

    grouped: Grouped
    found: Sequence[Answered]
    keys: np.ndarray
    lift: np.ndarray

    @classmethod
    def of(cls, grouped: Grouped, found: Sequence[Answered]) -> Assembled:
        each = [(a.place.cohort, int(t)) for a in found for t in a.place.asked]
        keys, row = np.unique(np.array(each, dtype=int).reshape(-1, 2), axis=0, return_inverse=True)
        value, mass = _joined(found, lambda a: a.value), _joined(found, lambda a: grouped.mass[a.place.cell])
        lift = np.zeros((len(keys), len(each)))
        lift[row.ravel(), np.arange(len(each))] = np.where(np.isfinite(value), mass, 0.0)
        total = lift.sum(axis=1, keepdims=True)
        return cls(grouped, found, keys, np.divide(lift, total, out=np.zeros_like(lift), where=total > 0))

    def estimate(
        self, naming: Naming, method: Method, influence: np.ndarray, cells: Callable[..., pd.DataFrame]
    ) -> Estimate:
        """influence: (n, R) on the places' rows; method and cells: of combinations of them."""
        value = np.where(
            self.lift.any(axis=1), self.lift @ np.nan_to_num(_joined(self.found, lambda a: a.value)), np.nan
        )
        table, level = self._labels(naming), self.grouped.level
        source = DenseSource(rows_of(self.grouped.paths), influence @ self.lift.T)
        return Estimate(
            value=value, mass=table["mass"].to_numpy(copy=True), labels=table,
            value_influence=Influence(((source, np.eye(len(value))),), level), arms=self._arms(),
            cells=CellWeights(cells, (self.lift,)), method=method.then(self.lift),
        )  # fmt: skip

    def _labels(self, naming: Naming) -> pd.DataFrame:
        paths, used = self.grouped.paths, self.lift > 0
        cohort, t = self.keys.T
        heads = _joined(self.found, lambda a: self.grouped.counted[a.place.cell])
        beside = _joined(self.found, lambda a: self.grouped.counted[a.place.beside].sum())
        mass = _joined(self.found, lambda a: self.grouped.mass[a.place.cell])
        asked = (self.keys[:, None] == np.array([(a.place.cohort, s) for a in self.found for s in a.place.asked])).all(
            -1
        )
        reasons = [r for a in self.found for r in a.reasons]
        left, kept = (asked & ~used) @ mass, used @ mass
        return pd.DataFrame({
            "component": naming.component, "outcome": naming.outcome, "cohort": paths.periods[cohort],
            "period": paths.periods[t], "event_time": t - cohort, "estimand": naming.estimand,
            "population": naming.population, "outcome_unit": naming.outcome_unit, "assumption": naming.assumption,
            "inference_level": self.grouped.level, "units_exposed": used @ heads,
            "units_comparison": np.where(used, beside, 0).max(axis=1, initial=0),
            "units_left_out": (asked & ~used) @ heads, "units_not_seen": 0,
            "stay_exposed": np.where(used.any(axis=1), 1.0, np.nan),
            "stay_comparison": np.where(used.any(axis=1), 1.0, np.nan),
            "share_left_out": left / np.maximum(left + kept, np.finfo(float).tiny), "mass": kept,
            "reason": ["" if u.any() else reasons[int(np.flatnonzero(a)[0])] for u, a in zip(used, asked, strict=True)],
        })  # fmt: skip

    def _arms(self) -> Arms:
        clusters = len(self.grouped.paths.levels[self.grouped.level].names)
        exposed, comparison = np.zeros((2, clusters, len(self.keys)), dtype=bool)
        at = np.repeat(np.arange(len(self.found)), [len(a.place.asked) for a in self.found])
        for i, a in enumerate(self.found):
            rows = (self.lift[:, at == i] > 0).any(axis=1)
            exposed[a.place.cluster] |= rows
            comparison[a.place.donors] |= rows
        return Arms(exposed, comparison, np.ones(clusters, dtype=int))


def _joined(found: Sequence[Answered], read: Callable[[Answered], object]) -> np.ndarray:
    """(R,) what is read of each place, one number or one a period, for the rows of all."""
    return np.concatenate([np.broadcast_to(np.asarray(read(a)), len(a.place.asked)) for a in found] or [np.empty(0)])
