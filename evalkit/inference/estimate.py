"""Estimate: one immutable value under everything.

Values, masses, labels and influence; standard errors, p-values and intervals are functions of
them and are never stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.errors import EvalkitError, OptionError, check_choice
from evalkit.inference import labels as row_labels
from evalkit.inference.intervals import Spread, check_level, critical, joined, moderated, p_values, std_errors
from evalkit.inference.labelled import Column, Labels, labelled
from evalkit.inference.named import Named
from evalkit.inference.replicates import (
    FEW,
    Arms,
    Averaging,
    CellWeights,
    Method,
    Once,
    Refits,
    Replicates,
    jackknife,
)
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.show.tables import from_frame
from evalkit.show.words import count_words

UNVARIED = "no interval: no variation to learn from"
NO_REFITS = "This estimate has no delete-one-cluster refits. Use inference='analytic'."


@labelled
@dataclass(frozen=True, eq=False)
class Estimate(Named):
    """Estimates of k numbers that share units.

    value: (k,) NaN where not identified. mass: (k,) adopters a row speaks for. labels: k rows; `label_columns` has them
    column by column, sooner.
    value_influence, mass_influence: influence on the values, and on the masses that average them.
    arms: clusters a row; replicate: makes the delete-one-cluster refits, None where there are none.
    cells: makes the cells that each row uses, or those of linear combinations (k', k) of the rows; all or of adopters.
    working: (k, k) covariance under the model that the weights were made with, None where they need none; zero for a
        row that has no such model.
    """

    value: np.ndarray
    mass: np.ndarray
    labels: pd.DataFrame
    value_influence: Influence
    mass_influence: Influence | None = None
    arms: Arms | None = None
    replicate: Callable[[], Replicates] | None = None
    cells: Callable[..., pd.DataFrame] | None = None
    working: np.ndarray | None = None
    method: Method | None = None
    pieces: tuple[Estimate, ...] = field(default=(), repr=False)
    _spreads: dict[str, Spread] = field(default_factory=dict, init=False, repr=False)
    _frames: dict[tuple[float, str], pd.DataFrame] = field(default_factory=dict, init=False, repr=False)
    _made: dict[tuple[float, str], dict[str, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for array in (self.value, self.mass):
            array.flags.writeable = False
        if self.replicate is not None and not isinstance(self.replicate, Refits):
            object.__setattr__(self, "replicate", Refits(Once(self.replicate)))
        if not len(self.value) == len(self.mass) == self.label_columns.rows == self.value_influence.width:
            raise EvalkitError("An Estimate needs one label, one mass and one contribution column for each value.")

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self.__post_init__()

    @classmethod
    def from_influence(
        cls,
        value: Sequence[float],
        influence: np.ndarray,
        labels: pd.DataFrame,
        *,
        ids: Sequence[object] | None = None,
        clusters: Sequence[object] | None = None,
    ) -> Estimate:
        """An Estimate from influence (n, k) made elsewhere: `estimate - truth ~ influence.sum(0)`.

        ids: (n,) unit ids; clusters: (n,) names, or None for one cluster a unit.
        """
        matrix = np.asarray(influence, dtype=float)
        ids = np.arange(len(matrix)) if ids is None else np.asarray(ids)
        levels = {}
        if clusters is not None:
            names, codes = np.unique(np.asarray(clusters), return_inverse=True)
            levels["cluster"] = (codes, names)
        parts = ((DenseSource(Rows(ids, levels), matrix), np.eye(matrix.shape[1])),)
        made = Influence(parts, "cluster" if clusters is not None else "unit")
        return cls(np.array(value, dtype=float), np.ones(len(value)), labels.reset_index(drop=True), made)

    def __len__(self) -> int:
        return len(self.value)

    def with_fields(self, **changes: Any) -> Estimate:
        """The same with other fields, labels unread."""
        return replace(self, **{"labels": self.label_columns.unread, **changes})

    def with_labels(self, **columns: Column) -> Estimate:
        """The same rows with other labels, or with more."""
        return self.with_fields(labels=self.label_columns.assign(**columns).unread)

    @property
    def influence(self) -> np.ndarray:
        """(n, k) influence by unit: records about people, made when asked for.

        A row that is not identified is a column of NaN.
        """
        return np.where(np.isnan(self.value), np.nan, self.value_influence.dense()[1])

    @property
    def units(self) -> np.ndarray:
        """(n,) ids of the rows of `influence`."""
        return self.value_influence.dense()[0]

    @cached_property
    def replicates(self) -> Replicates:
        """Delete-one-cluster refits; `OptionError` where the design has none."""
        if self.replicate is None:
            raise OptionError(NO_REFITS)
        return self.replicate()

    def prepared(self) -> Estimate:
        """The same estimate, its refits made now where its intervals rest on them and not when first asked for."""
        kind = self.resolve()
        if kind != "analytic":
            self._spread(kind)
        return self

    @property
    def level(self) -> str:
        """Level at which influence is clustered by default."""
        return self.value_influence.level

    def resolve(self, inference: str = "auto") -> str:
        """The kind of inference in use: that of the design's own method where it has one. Else, where an arm has fewer
        than 50 clusters, moderated if there is a working covariance, or jackknife."""
        own = () if self.method is None else (self.method.kind,)
        check_choice("inference", inference, ("auto", "analytic", "jackknife", "moderated", *own))
        if inference in ("jackknife", "moderated") and self.replicate is None:
            raise OptionError(NO_REFITS)
        modelled = self.working is not None and bool((np.diag(self.working) > 0).any())
        if inference == "moderated" and not modelled:
            raise OptionError("inference='moderated' needs weights='least_noise', which have a working covariance.")
        if inference != "auto":
            return inference
        if self.method is not None:
            return self.method.kind
        few = self.arms is not None and self.arms.fewest() < FEW
        if not few or self.replicate is None:
            return "analytic"
        return "moderated" if modelled else "jackknife"

    def vcov(self, cluster: str | None = None, inference: str = "auto") -> np.ndarray:
        """(k, k) covariance. `cluster` names another level ("unit" for none) and means analytic."""
        if cluster is not None:
            check_choice("inference", inference, ("auto", "analytic"))
            return _without_lost(self, self.value_influence.gram(cluster))
        return self._spread(inference).vcov.copy()

    def _spread(self, inference: str) -> Spread:
        kind = self.resolve(inference)
        if self.method is not None and kind == self.method.kind and kind not in self._spreads:
            own = self.method()
            self._spreads[kind] = replace(own, vcov=_without_lost(self, own.vcov))
        if kind not in self._spreads:
            made = _analytic(self) if kind == "analytic" else jackknife(self.value, self.replicates)
            if self.working is not None and kind == "moderated":
                made = moderated(self.working, _analytic(self), made, self.replicates.fewest)
            self._spreads[kind] = made
        return self._spreads[kind]

    def to_frame(self, level: float = 0.95, inference: str = "auto") -> pd.DataFrame:
        """Labels with estimate, std_error, conf_low, conf_high, p_value, df, inference, clusters.

        `reason` says why a row has no number or no interval; `caution` where an interval rests on fewer than
        three clusters in an arm, where it holds the truth less often than it says (benchmarks/README.md).
        """
        check_level(level)
        if (level, inference) not in self._frames:
            self._frames[level, inference] = self._framed(level, inference)
        return self._frames[level, inference].copy()

    def row(self, at: int = 0, level: float = 0.95, inference: str = "auto") -> Mapping[str, Any]:
        """One row of `to_frame`, by column: sooner where that is all that is asked for."""
        if self.pieces:
            return dict(self.to_frame(level, inference).iloc[at])
        return row_labels.Row(self.label_columns, self._numbers(level, inference), at)

    def _framed(self, level: float, inference: str) -> pd.DataFrame:
        if self.pieces:
            return pd.concat([p.to_frame(level, inference) for p in self.pieces], ignore_index=True)
        labels = self.label_columns.without("reason", "clusters_exposed", "clusters_comparison")
        return labels.assign(**self._numbers(level, inference)).frame

    def _numbers(self, level: float, inference: str) -> dict[str, np.ndarray]:
        """Columns (k,) of `to_frame` beside the labels."""
        if (level, inference) not in self._made:
            self._made[level, inference] = self._work_out(check_level(level), inference)
        return self._made[level, inference]

    def _work_out(self, level: float, inference: str) -> dict[str, np.ndarray]:
        spread = self._spread(inference)
        se = std_errors(spread.vcov, self.value)
        reach = critical(spread.df, level) * se
        nobody = np.full(len(self), np.nan)
        exposed, comparison = self.arms.counts() if self.arms is not None else (nobody, nobody)
        labels = self.label_columns
        given = labels["reason"].tolist() if "reason" in labels else [""] * len(self)
        why = zip(given, spread.reason, se.tolist(), self.value.tolist(), strict=True)
        cautions = row_labels.cautions(labels, {"exposed": exposed, "comparison": comparison})
        return {
            "estimate": self.value, "std_error": se, "conf_low": self.value - reach,
            "conf_high": self.value + reach, "p_value": p_values(self.value, se, spread.df), "df": spread.df,
            "inference": np.broadcast_to(np.asarray(_kinds(self, self.resolve(inference)), dtype=object), len(self)),
            "clusters_exposed": exposed, "clusters_comparison": comparison, "mass": self.mass,
            "reason": np.array(
                [a or r or ("" if math.isfinite(s) or math.isnan(v) else UNVARIED) for a, r, s, v in why], dtype=object
            ),
            "caution": np.where(np.isfinite(se) & (self.method is None), cautions, ""),
        }  # fmt: skip

    def interval(self, kind: str = "pointwise", level: float = 0.95, inference: str = "auto") -> pd.DataFrame:
        """conf_low and conf_high by row; `kind="simultaneous"` covers all rows at once (sup-t)."""
        check_choice("kind", kind, ("pointwise", "simultaneous"))
        if kind == "pointwise":
            return self.to_frame(level, inference)[["estimate", "conf_low", "conf_high"]]
        reach = self.joint(inference).band(level)
        return pd.DataFrame({"estimate": self.value, "conf_low": self.value - reach, "conf_high": self.value + reach})

    def joint(self, inference: str = "auto") -> Spread:
        """Covariance, degrees of freedom and reasons of all rows at once, as `to_frame` gives them one by one.

        Rows stacked from estimates whose inference differs keep their own standard errors and degrees of freedom, and
        are joined by their analytic correlation.
        """
        if not self.pieces:
            return self._spread(inference)
        spreads = [p._spread(inference) for p in self.pieces]
        own = [std_errors(s.vcov, p.value) for s, p in zip(spreads, self.pieces, strict=True)]
        return joined(spreads, np.concatenate(own), self._spread("analytic").vcov)

    def aggregate(self, kind: str = "simple") -> Estimate:
        """Averages "simple", by "event_time", "cohort" or "period", of rows by cohort and period.

        Weights are the adopters retained, whose shares are estimated (Callaway and Sant'Anna 2021, section 3.3); within
        a cohort periods weigh alike. "simple", "cohort" and "period" use event times 0 and later.
        """
        check_choice("kind", kind, tuple(row_labels.GROUPED_BY))
        needed = {"event_time", *row_labels.GROUPED_BY[kind]} - set(self.label_columns)
        if needed:
            lack = " and ".join(sorted(needed))
            raise EvalkitError(f"aggregate({kind!r}) needs rows by {lack}, which this estimate does not have.")
        member, labels = row_labels.grouped(self.label_columns, kind)
        return self.apply(Averaging(member, by_mass=kind != "cohort", total_mass=kind != "cohort"), labels)

    def average(self) -> Estimate:
        """One number: event times 0 and later and periods alike, cohorts by their shares."""
        labels = self.label_columns
        kind = labels.at("estimand", 0) if len(self) else "ATT"
        by_event = "event_time" in labels and "cohort" not in labels
        keep = labels["event_time"] >= 0 if by_event else np.ones(len(self), dtype=bool)
        by_mass = "cohort" in labels and "period" not in labels
        said = labels.common([np.flatnonzero(keep)]).assign(estimand=f"average of {kind}")
        return self.apply(Averaging(keep[:, None], by_mass=by_mass, total_mass=True), said)

    def over(self, first: int, last: int | None = None) -> Estimate | None:
        """Average over event times `first` to `last`, each retained adopter and period once; None where no row is of
        those times. An estimate of one number without event times keeps its number."""
        if "event_time" not in self.label_columns:
            return self if len(self) == 1 else None
        time = self.label_columns["event_time"]
        keep = (time >= first) & (time <= (np.inf if last is None else last))
        if not keep.any():
            return None
        member, labels = row_labels.grouped(self.label_columns, "simple", keep)
        return self.apply(Averaging(member, by_mass=True, total_mass=True), labels)

    def apply(self, averaging: Averaging, labels: Labels | pd.DataFrame) -> Estimate:
        """Averages of rows, with influence, estimated shares and refits carried along."""
        value, mass = (x[0] for x in averaging(self.value[None], self.mass[None]))
        by_value, by_mass, mass_map = averaging.jacobians(self.value, self.mass)
        parts, mass_influence, used = self.value_influence.map(by_value), None, by_value != 0
        if self.mass_influence is not None:
            parts = parts.plus(self.mass_influence.map(by_mass))
            mass_influence = self.mass_influence.map(mass_map)
        why = row_labels.reasons(value, self.label_columns, averaging.member.T)
        arms = None if self.arms is None else self.arms.map(used)
        step = methodcaller("then", methodcaller("average", averaging, used))
        labels = Labels.of(labels).assign(reason=why).unread
        return Estimate(value, mass, labels, parts, mass_influence, arms, *_carried(self, step, by_value))

    def map(self, f: Callable[[np.ndarray], np.ndarray], jacobian: np.ndarray, labels: pd.DataFrame) -> Estimate:
        """Smooth function of the values by the delta method: f (k,) -> (k',), jacobian (k', k).

        Refits are passed through `f` itself, at once.
        """
        matrix = np.atleast_2d(np.asarray(jacobian, dtype=float))
        value = np.atleast_1d(np.asarray(f(self.value), dtype=float))
        arms = None if self.arms is None else self.arms.map(matrix != 0)
        refits = None
        if self.replicate is not None:
            values = np.array([np.atleast_1d(f(row)) for row in self.replicates.values])
            refits = partial(replace, self.replicates.map(matrix), values=values)
        parts, frame = self.value_influence.map(matrix), labels.reset_index(drop=True)
        working, method = _working(self, matrix), None if self.method is None else self.method.then(matrix)
        return Estimate(value, np.ones(len(value)), frame, parts, None, arms, refits, working=working, method=method)

    def contrast(self, weights: Sequence[float] | np.ndarray, name: str | None = None) -> Estimate:
        """A weighted sum of rows, such as a difference. `weights`: (k,) or (k', k).

        Rows whose estimand, population or unit of outcome differ raise unless `name` says what the difference is.
        """
        matrix = np.atleast_2d(np.asarray(weights, dtype=float))
        if matrix.shape[1] != len(self):
            raise OptionError(f"contrast needs {len(self)} weights, one a row; {matrix.shape[1]} were given.")
        used = matrix != 0
        for mixed in used if name is None else ():
            row_labels.check_alike(self.labels, mixed)
        value = np.array([line[u] @ self.value[u] for line, u in zip(matrix, used, strict=True)])
        why = row_labels.reasons(value, self.label_columns, used)
        labels = self.label_columns.common([np.flatnonzero(u) for u in used])
        labels = labels.assign(estimand=name or "contrast", reason=why).unread
        parts, arms = self.value_influence.map(matrix), None if self.arms is None else self.arms.map(used)
        carried = _carried(self, methodcaller("then", methodcaller("map", matrix)), matrix)
        return Estimate(value, np.ones(len(value)), labels, parts, None, arms, *carried)

    def select(self, keep: np.ndarray) -> Estimate:
        """The rows where `keep` (k,) is true, or at the positions it lists."""
        index = np.arange(len(self))[keep]
        labels = self.label_columns.take(index).unread
        mass_influence = None if self.mass_influence is None else self.mass_influence.select(index)
        parts, arms = self.value_influence.select(index), None if self.arms is None else self.arms.select(index)
        carried = _carried(self, methodcaller("select", index), np.eye(len(self))[index])
        return Estimate(self.value[index], self.mass[index], labels, parts, mass_influence, arms, *carried)

    def weights(self, adopters: bool = False) -> pd.DataFrame:
        """The cells each row uses: row, path, cluster, period, base, window, sign, weight; and came_from, came_to where
        only those were compared who came onto the record between two periods. Weights of least noise are those of
        cells as they stand in a period and not of changes: there the window is 0, and the base that period.

        Sums of weight times a cell's mean change give the row back, but for base windows of panels with gaps, or of
        units that came within them: an adopter is divided among the base periods in which it was seen, so that the
        people of a cell do not all weigh alike. adopters: their cells alone, of sign 1, which are few.
        """
        if self.cells is None:
            raise EvalkitError("This estimate is not a weighted sum of cells, so it has no cell weights.")
        return self.cells(adopters=adopters)

    def __repr__(self) -> str:
        frame = self.to_frame()
        shown = row_labels.short(frame).drop(columns=list(row_labels.SAID), errors="ignore")
        notes = row_labels.reasons_in_words(frame)
        with pd.option_context("display.width", 120, "display.max_columns", 20):
            return "\n".join([f"Estimate of {count_words(len(self), 'row')}", str(shown), *notes])

    def _repr_html_(self) -> str:
        return from_frame(row_labels.short(self.to_frame()), f"Estimate of {count_words(len(self), 'row')}").to_html()


def _carried(
    est: Estimate, step: Callable[[Refits], Refits], matrix: np.ndarray
) -> tuple[Refits | None, CellWeights | None, np.ndarray | None, Method | None]:
    """Refits, cells, working covariance and own method of rows made of those of an estimate: by one more step,
    linearly (k', k)."""
    method = None if est.method is None else est.method.then(matrix)
    cells, refits = est.cells, step(est.replicate) if isinstance(est.replicate, Refits) else None
    if cells is None:
        return refits, None, _working(est, matrix), method
    make, maps = (cells.make, cells.maps) if isinstance(cells, CellWeights) else (cells, ())
    return refits, CellWeights(make, (*maps, matrix)), _working(est, matrix), method


def _working(est: Estimate, matrix: np.ndarray) -> np.ndarray | None:
    """Of combinations (k', k) of rows; zero where one of their rows has none."""
    if est.working is None:
        return None
    known, some = np.diag(est.working) > 0, sparse.csr_array(matrix)
    whole = ~((matrix != 0) & ~known).any(axis=1)
    return np.asarray(some @ (some @ np.nan_to_num(est.working)).T) * np.outer(whole, whole)


def _kinds(est: Estimate, inference: str) -> str | np.ndarray:
    """What each row's interval is made by."""
    if inference != "moderated" or est.working is None:
        return inference
    return np.where((np.diag(est.working) > 0) | np.isnan(est.value), "moderated", "jackknife")


def _without_lost(est: Estimate, vcov: np.ndarray) -> np.ndarray:
    """A covariance with NaN for rows that are not identified."""
    lost = np.isnan(est.value)
    vcov[lost, :] = np.nan
    vcov[:, lost] = np.nan
    return vcov


def _analytic(est: Estimate) -> Spread:
    """Covariance of the influence. Degrees of freedom are infinite, but where refits are not to be had and an arm is
    small: one less than its people or clusters, the least that Welch's formula gives."""
    df = np.full(len(est), np.inf)
    if est.replicate is None and est.arms is not None:
        fewest = np.minimum(*est.arms.counts())
        df = np.where(fewest < FEW, np.maximum(fewest - 1.0, 1.0), df)
    vcov = _without_lost(est, est.value_influence.gram())
    return Spread(vcov, np.where(np.isnan(est.value), np.nan, df), ("",) * len(est))
