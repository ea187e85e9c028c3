"""Estimate: one immutable value under everything (design 2.4).

Values, masses, labels and contributions; standard errors, p-values and intervals are functions of
them and are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, check_choice
from evalkit.inference.aggregate import Averaging
from evalkit.inference.contributions import Contributions, DenseSource, Rows, join
from evalkit.inference.intervals import check_level, critical, p_values, std_errors, sup_t
from evalkit.inference.jackknife import Replicates, Spread, jackknife

FEW = 50
INFERENCE = ("auto", "analytic", "jackknife")


@dataclass(frozen=True, eq=False)
class Arms:
    """Which clusters carry weight in each row: (G, k) for the exposed and the comparison arm.
    `size` (G,) is how many clusters each line stands for. At most one line a cluster, or lines
    of clusters that never overlap."""

    exposed: np.ndarray
    comparison: np.ndarray
    size: np.ndarray

    def map(self, used: np.ndarray) -> Arms:
        """Rows combined: used (k', k) bool."""
        pick = used.T.astype(np.float32)
        return Arms(
            (self.exposed.astype(np.float32) @ pick) > 0, (self.comparison.astype(np.float32) @ pick) > 0, self.size
        )

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(k,) distinct clusters in each arm of each row."""
        return self.size @ self.exposed, self.size @ self.comparison

    def fewest(self) -> int:
        """Distinct clusters with weight anywhere, in the smaller arm."""
        both = [int(self.size @ arm.any(axis=1)) for arm in (self.exposed, self.comparison)]
        return min(both)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates of k numbers that share units.

    value: (k,) NaN where not identified. mass: (k,) adopters a row speaks for. labels: k rows.
    value_parts, mass_parts: contributions of the values, and of the masses that average them.
    arms: clusters a row; replicate: makes the delete-one-cluster refits, None where there are none.
    """

    value: np.ndarray
    mass: np.ndarray
    labels: pd.DataFrame
    value_parts: Contributions
    mass_parts: Contributions | None = None
    arms: Arms | None = None
    replicate: Callable[[], Replicates] | None = None
    cells: Callable[[], pd.DataFrame] | None = None
    pieces: tuple[Estimate, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for array in (self.value, self.mass):
            array.flags.writeable = False
        if not len(self.value) == len(self.mass) == len(self.labels) == self.value_parts.width:
            raise EvalkitError("An Estimate needs one label, one mass and one contribution column for each value.")

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
        """An Estimate from contributions (n, k) made elsewhere: `estimate - truth ~ influence.sum(0)`.

        ids: (n,) unit ids; clusters: (n,) names, or None for one cluster a unit.
        """
        matrix = np.asarray(influence, dtype=float)
        ids = np.arange(len(matrix)) if ids is None else np.asarray(ids)
        levels = {}
        if clusters is not None:
            names, codes = np.unique(np.asarray(clusters), return_inverse=True)
            levels["cluster"] = (codes, names)
        rows = Rows(ids, levels)
        parts = ((DenseSource(rows, matrix), np.eye(matrix.shape[1])),)
        contributions = Contributions(parts, "cluster" if clusters is not None else "unit")
        value = np.array(value, dtype=float)
        return cls(value, np.ones(len(value)), labels.reset_index(drop=True), contributions)

    def __len__(self) -> int:
        return len(self.value)

    @property
    def influence(self) -> np.ndarray:
        """(n, k) contributions by unit: records about people, made when asked for.

        A row that is not identified is a column of NaN.
        """
        _, matrix = self.value_parts.dense()
        return np.where(np.isnan(self.value), np.nan, matrix)

    @property
    def units(self) -> np.ndarray:
        """(n,) ids of the rows of `influence`."""
        return self.value_parts.dense()[0]

    @cached_property
    def replicates(self) -> Replicates | None:
        """Delete-one-cluster refits, or None where the design has none."""
        return None if self.replicate is None else self.replicate()

    @property
    def level(self) -> str:
        """Level at which contributions are clustered by default."""
        return self.value_parts.level

    def resolve(self, inference: str = "auto") -> str:
        """The kind of inference in use: jackknife where an arm has fewer than 50 clusters."""
        check_choice("inference", inference, INFERENCE)
        if inference == "jackknife" and self.replicate is None:
            raise OptionError("This estimate has no delete-one-cluster refits. Use inference='analytic'.")
        if inference != "auto":
            return inference
        few = self.arms is not None and self.arms.fewest() < FEW
        return "jackknife" if few and self.replicate is not None else "analytic"

    def vcov(self, cluster: str | None = None, inference: str = "auto") -> np.ndarray:
        """(k, k) covariance. `cluster` names another level ("unit" for none) and means analytic."""
        if cluster is not None:
            check_choice("inference", inference, ("auto", "analytic"))
            return self._analytic(cluster)
        return self._spread(inference).vcov

    def _analytic(self, cluster: str | None) -> np.ndarray:
        vcov = self.value_parts.gram(cluster)
        lost = np.isnan(self.value)
        vcov[lost, :] = np.nan
        vcov[:, lost] = np.nan
        return vcov

    def _spread(self, inference: str) -> Spread:
        if self.resolve(inference) == "jackknife":
            return jackknife(self.value, self.replicates)
        df = np.where(np.isnan(self.value), np.nan, np.inf)
        return Spread(self._analytic(None), df, ("",) * len(self))

    def to_frame(self, level: float = 0.95, inference: str = "auto") -> pd.DataFrame:
        """Labels with estimate, std_error, conf_low, conf_high, p_value, df, inference, clusters.

        `reason` says why a row has no number or no interval.
        """
        check_level(level)
        if self.pieces:
            return pd.concat([p.to_frame(level, inference) for p in self.pieces], ignore_index=True)
        spread = self._spread(inference)
        se = std_errors(spread.vcov)
        reach = critical(spread.df, level) * se
        frame = self.labels.copy()
        exposed, comparison = self.arms.counts() if self.arms is not None else (np.nan, np.nan)
        reason = frame["reason"] if "reason" in frame else ""
        frame = frame.drop(columns=["reason", "clusters_exposed", "clusters_comparison"], errors="ignore").assign(
            estimate=self.value, std_error=se, conf_low=self.value - reach, conf_high=self.value + reach,
            p_value=p_values(self.value, se, spread.df), df=spread.df, inference=self.resolve(inference),
            clusters_exposed=exposed, clusters_comparison=comparison, mass=self.mass,
        )  # fmt: skip
        frame["reason"] = reason
        extra = [r or ("" if np.isfinite(s) or np.isnan(v) else "no interval: no variation to learn from")
                 for r, s, v in zip(spread.reason, se, self.value, strict=True)]  # fmt: skip
        frame["reason"] = [a or b for a, b in zip(frame["reason"], extra, strict=True)]
        return frame

    def interval(self, kind: str = "pointwise", level: float = 0.95, inference: str = "auto") -> pd.DataFrame:
        """conf_low and conf_high by row; `kind="simultaneous"` covers all rows at once (sup-t)."""
        check_choice("kind", kind, ("pointwise", "simultaneous"))
        frame = self.to_frame(level, inference)
        if kind == "pointwise":
            return frame[["estimate", "conf_low", "conf_high"]]
        vcov = self._joint(inference)
        good = np.isfinite(np.diag(vcov)) & (np.diag(vcov) > 0)
        reach = np.full(len(self), np.nan)
        if good.any():
            df = float(frame.loc[good, "df"].min())
            reach[good] = sup_t(vcov[np.ix_(good, good)], df, level) * np.sqrt(np.diag(vcov)[good])
        return pd.DataFrame({"estimate": self.value, "conf_low": self.value - reach, "conf_high": self.value + reach})

    def _joint(self, inference: str) -> np.ndarray:
        return self._analytic(None) if self.pieces else self._spread(inference).vcov

    def aggregate(self, kind: str) -> Estimate:
        """Averages "simple", by "event_time", "cohort" or "period", of rows by cohort and period.

        Weights are the adopters retained, whose shares are estimated (Callaway and Sant'Anna 2021,
        section 3.3); within a cohort periods weigh alike. "simple", "cohort" and "period" use event
        times 0 and later.
        """
        check_choice("kind", kind, ("simple", "event_time", "cohort", "period"))
        if "event_time" not in self.labels or "cohort" not in self.labels:
            raise EvalkitError("Only rows by cohort and period can be aggregated, and these are averages already.")
        return _grouped(self, kind)

    def average(self) -> Estimate:
        """One number: event times 0 and later and periods alike, cohorts by their shares."""
        kind = self.labels["estimand"].iloc[0] if len(self) else "ATT"
        keep = np.ones(len(self), dtype=bool)
        if "event_time" in self.labels and "cohort" not in self.labels:
            keep = self.labels["event_time"].to_numpy() >= 0
        by_mass = "cohort" in self.labels and "period" not in self.labels
        labels = _common(self.labels, keep).assign(estimand=f"average of {kind}")
        averaging = Averaging(keep[:, None], by_mass=by_mass, total_mass=True)
        return self.apply(averaging, labels)

    def apply(self, averaging: Averaging, labels: pd.DataFrame) -> Estimate:
        """Averages of rows, with contributions, estimated shares and refits carried along."""
        value, mass = averaging(self.value[None], self.mass[None])
        by_value, by_mass, mass_map = averaging.jacobians(self.value, self.mass)
        parts = self.value_parts.map(by_value)
        mass_parts = None
        if self.mass_parts is not None:
            shares = self.mass_parts.map(by_mass)
            parts = _add(parts, shares)
            mass_parts = self.mass_parts.map(mass_map)
        used = by_value != 0
        labels = labels.assign(reason=["" if np.isfinite(v) else _first_reason(self.labels, averaging.member[:, j])
                                       for j, v in enumerate(value[0])])  # fmt: skip
        return Estimate(value[0], mass[0], labels, parts, mass_parts,
                        None if self.arms is None else self.arms.map(used),
                        self._refit(lambda r: _average_replicates(averaging, used, r)),
                        None if self.cells is None else (lambda: _cells(self.cells(), by_value)))  # fmt: skip

    def _refit(self, f: Callable[[Replicates], Replicates]) -> Callable[[], Replicates] | None:
        return None if self.replicate is None else (lambda: f(self.replicates))

    def map(self, f: Callable[[np.ndarray], np.ndarray], jacobian: np.ndarray, labels: pd.DataFrame) -> Estimate:
        """Smooth function of the values by the delta method: f (k,) -> (k',), jacobian (k', k).

        Refits are passed through `f` itself.
        """
        matrix = np.atleast_2d(np.asarray(jacobian, dtype=float))
        value = np.atleast_1d(np.asarray(f(self.value), dtype=float))
        used = matrix != 0
        arms = None if self.arms is None else self.arms.map(used)

        def refit(r: Replicates) -> Replicates:
            values = np.array([np.atleast_1d(f(row)) for row in r.values])
            mapped = r.map(matrix)
            return Replicates(r.names, r.level, values, mapped.masses, mapped.exposed, mapped.comparison)

        return Estimate(value, np.ones(len(value)), labels.reset_index(drop=True), self.value_parts.map(matrix),
                        None, arms, self._refit(refit))  # fmt: skip

    def contrast(self, weights: Sequence[float] | np.ndarray, name: str | None = None) -> Estimate:
        """A weighted sum of rows, such as a difference. `weights`: (k,) or (k', k).

        Rows whose estimand, population or unit of outcome differ raise unless `name` says what the
        difference is.
        """
        matrix = np.atleast_2d(np.asarray(weights, dtype=float))
        if matrix.shape[1] != len(self):
            raise OptionError(f"contrast needs {len(self)} weights, one a row; {matrix.shape[1]} were given.")
        for line in matrix:
            _check_alike(self.labels, line != 0, name)
        used = matrix != 0
        value = np.array([line[u] @ self.value[u] for line, u in zip(matrix, used, strict=True)])
        labels = pd.concat([_common(self.labels, u) for u in used], ignore_index=True)
        labels["estimand"] = name or "contrast"
        labels["reason"] = ["" if np.isfinite(v) else _first_reason(self.labels, u) for v, u in zip(value, used, strict=True)]
        return Estimate(value, np.ones(len(value)), labels, self.value_parts.map(matrix), None,
                        None if self.arms is None else self.arms.map(used), self._refit(lambda r: r.map(matrix)),
                        None if self.cells is None else (lambda: _cells(self.cells(), matrix)))  # fmt: skip

    def select(self, keep: np.ndarray) -> Estimate:
        """The rows where `keep` (k,) is true, or at the positions it lists."""
        index = np.arange(len(self))[keep]
        pick = np.eye(len(self))[index]
        labels = self.labels.iloc[index].reset_index(drop=True)

        def refit(r: Replicates) -> Replicates:
            return Replicates(r.names, r.level, r.values[:, index], r.masses[:, index],
                              r.exposed[:, index], r.comparison[:, index])  # fmt: skip

        arms = self.arms
        return Estimate(self.value[index], self.mass[index], labels, self.value_parts.map(pick),
                        None if self.mass_parts is None else self.mass_parts.map(pick),
                        None if arms is None else Arms(arms.exposed[:, index], arms.comparison[:, index], arms.size),
                        self._refit(refit),
                        None if self.cells is None else (lambda: _cells(self.cells(), pick)))  # fmt: skip

    def weights(self) -> pd.DataFrame:
        """The cells each row uses: row, path, cluster, period, base, sign, weight."""
        if self.cells is None:
            raise EvalkitError("This estimate is not a weighted sum of cells, so it has no cell weights.")
        return self.cells()

    def __repr__(self) -> str:
        with pd.option_context("display.width", 120, "display.max_columns", 20):
            return f"Estimate of {len(self)} rows\n{_short(self)}"

    def _repr_html_(self) -> str:
        from evalkit.show.tables import html_table

        return html_table(_short(self), caption=f"Estimate of {len(self)} rows")


def _short(est: Estimate) -> pd.DataFrame:
    frame = est.to_frame()
    keep = [c for c in ("component", "outcome", "estimand", "cohort", "period", "event_time") if c in frame]
    return frame[[*keep, "estimate", "std_error", "conf_low", "conf_high", "p_value", "reason"]]


def _add(a: Contributions, b: Contributions) -> Contributions:
    """Sum of two contribution matrices with the same columns; one source's lifts are merged."""
    parts = list(a.parts)
    for source, lift in b.parts:
        for i, (mine, own) in enumerate(parts):
            if mine is source:
                parts[i] = (mine, own + lift)
                break
        else:
            parts.append((source, lift))
    return Contributions(tuple(parts), a.level)


def _average_replicates(averaging: Averaging, used: np.ndarray, r: Replicates) -> Replicates:
    values, masses = averaging(r.values, r.masses)
    pick = used.T.astype(np.float32)
    return Replicates(r.names, r.level, values, masses, (r.exposed.astype(np.float32) @ pick) > 0,
                      (r.comparison.astype(np.float32) @ pick) > 0)  # fmt: skip


_KEYS = {"simple": (), "event_time": ("event_time",), "cohort": ("cohort",), "period": ("period",)}


def _grouped(est: Estimate, kind: str) -> Estimate:
    labels = est.labels
    keep = np.ones(len(labels), dtype=bool) if kind == "event_time" else labels["event_time"].to_numpy() >= 0
    names = [c for c in ("component", "outcome", *_KEYS[kind]) if c in labels]
    chosen = labels[keep]
    groups = chosen.groupby(names, sort=True, dropna=False).ngroup().to_numpy() if len(chosen) else np.array([], int)
    count = int(groups.max()) + 1 if len(groups) else 0
    member = np.zeros((len(labels), count), dtype=bool)
    member[np.flatnonzero(keep), groups] = True
    out = [_common(labels, member[:, j]) for j in range(count)]
    frame = pd.concat(out, ignore_index=True) if out else labels.iloc[:0].copy()
    frame["estimand"] = "ATT" if kind == "simple" else f"ATT by {kind.replace('_', ' ')}"
    frame = frame.drop(columns=[c for c in ("cohort", "period", "event_time") if c not in _KEYS[kind] and c in frame])
    if kind == "event_time":
        frame["composition"] = _composition(labels, member)
    averaging = Averaging(member, by_mass=kind != "cohort", total_mass=kind != "cohort")
    return est.apply(averaging, frame)


def _composition(labels: pd.DataFrame, member: np.ndarray) -> list[str]:
    """ "composition changes" at event times whose cohorts are not those of event time 0."""
    there = np.isfinite(labels["mass"]) & (labels["mass"] > 0) if "mass" in labels else np.ones(len(labels), bool)
    event, cohort = labels["event_time"].to_numpy(), labels["cohort"].to_numpy()
    sets = [frozenset(cohort[m & there]) for m in member.T]
    at = [event[m][0] for m in member.T]
    start = next((s for s, e in zip(sets, at, strict=True) if e == 0), frozenset())
    return ["" if s == start else "composition changes" for s in sets]


def _common(labels: pd.DataFrame, keep: np.ndarray) -> pd.DataFrame:
    """One label row: columns on which the chosen rows agree; "several" where they do not."""
    chosen = labels[keep]
    row = {}
    for column in labels.columns:
        values = chosen[column].unique()
        if len(values) == 1:
            row[column] = values[0]
        elif column in ("units_exposed", "units_comparison", "units_left_out"):
            row[column] = chosen[column].max() if len(values) else 0
        elif column not in ("reason", "mass"):
            row[column] = "several" if labels[column].dtype == object or pd.api.types.is_string_dtype(labels[column]) else np.nan
    return pd.DataFrame([row])


def _first_reason(labels: pd.DataFrame, used: np.ndarray) -> str:
    if "reason" not in labels:
        return "not identified"
    words = [w for w in labels["reason"][used] if w]
    return words[0] if words else ("nothing to average" if not used.any() else "not identified")


def _check_alike(labels: pd.DataFrame, used: np.ndarray, name: str | None) -> None:
    if name is not None:
        return
    for column in ("estimand", "population", "outcome_unit", "outcome"):
        if column in labels and labels[column][used].nunique(dropna=False) > 1:
            kinds = " and ".join(sorted(map(str, labels[column][used].unique())))
            raise EvalkitError(
                f"These rows differ in {column} ({kinds}), so their contrast mixes unlike things. "
                "Pass name='...' to say what the difference is."
            )


def _cells(frame: pd.DataFrame, matrix: np.ndarray) -> pd.DataFrame:
    """Cell weights of linear combinations (k', k) of rows."""
    pieces = []
    for new in range(len(matrix)):
        factor = matrix[new][frame["row"].to_numpy()]
        keep = factor != 0
        pieces.append(frame[keep].assign(row=new, weight=frame["weight"][keep] * factor[keep]))
    return pd.concat(pieces, ignore_index=True) if pieces else frame.iloc[:0]


def stack(*estimates: Estimate) -> Estimate:
    """Rows of several estimates with one joint covariance, units joined by id.

    Raises `EvalkitError` for anything but Estimates, and where a unit's cluster codes conflict. With
    refits at one level the joint covariance is the jackknife's; else analytic, at the coarser level.
    """
    for e in estimates:
        if not isinstance(e, Estimate):
            raise EvalkitError(f"stack joins Estimates; {type(e).__name__} has no contributions to join.")
    if not estimates:
        raise EvalkitError("stack needs at least one Estimate.")
    out = estimates[0]
    for other in estimates[1:]:
        out = _stack_two(out, other)
    return out


def _stack_two(a: Estimate, b: Estimate) -> Estimate:
    parts = join(a.value_parts, b.value_parts)
    masses = None
    if a.mass_parts is not None and b.mass_parts is not None:
        masses = join(a.mass_parts, b.mass_parts)
    labels = pd.concat([a.labels, b.labels], ignore_index=True)
    value, mass = np.concatenate([a.value, b.value]), np.concatenate([a.mass, b.mass])
    same_level = a.level == b.level
    refit = None
    if a.replicate is not None and b.replicate is not None and same_level:
        refit = lambda: _join_replicates(a, b)  # noqa: E731
    arms = _join_arms(a.arms, b.arms) if a.arms is not None and b.arms is not None else None
    pieces = () if same_level else ((a.pieces or (a,)) + (b.pieces or (b,)))
    cells = None
    if a.cells is not None and b.cells is not None:
        cells = lambda: pd.concat(  # noqa: E731
            [a.cells(), (f := b.cells()).assign(row=f["row"] + len(a))], ignore_index=True
        )
    return Estimate(value, mass, labels, parts, masses, arms, refit, cells, pieces)


def _join_arms(a: Arms, b: Arms) -> Arms:
    wide = lambda x, left, right: np.pad(x, ((0, 0), (left, right)))  # noqa: E731
    ka, kb = a.exposed.shape[1], b.exposed.shape[1]
    if len(a.size) == len(b.size) and np.array_equal(a.size, b.size):
        return Arms(np.hstack([a.exposed, b.exposed]), np.hstack([a.comparison, b.comparison]), a.size)
    return Arms(
        np.vstack([wide(a.exposed, 0, kb), wide(b.exposed, ka, 0)]),
        np.vstack([wide(a.comparison, 0, kb), wide(b.comparison, ka, 0)]),
        np.concatenate([a.size, b.size]),
    )


def _join_replicates(a: Estimate, b: Estimate) -> Replicates:
    """A cluster that one estimate does not use leaves that estimate as it is."""
    ra, rb = a.replicates, b.replicates
    names = pd.Index(ra.names).union(pd.Index(rb.names), sort=False)

    def spread(r: Replicates, est: Estimate) -> tuple[np.ndarray, ...]:
        at = names.get_indexer(pd.Index(r.names))
        k = len(est)
        values, masses = np.tile(est.value, (len(names), 1)), np.tile(est.mass, (len(names), 1))
        exposed, comparison = np.zeros((len(names), k), bool), np.zeros((len(names), k), bool)
        values[at], masses[at], exposed[at], comparison[at] = r.values, r.masses, r.exposed, r.comparison
        return values, masses, exposed, comparison

    both = [np.hstack(pair) for pair in zip(spread(ra, a), spread(rb, b), strict=True)]
    return Replicates(names.to_numpy(), ra.level, *both)


@dataclass(frozen=True)
class Interval:
    """A range with no honest contributions behind it: regression discontinuity, bounds, randomisation.

    Verdicts take it; `stack` and attribution refuse it by name.
    """

    value: float
    low: float
    high: float
    provenance: str
