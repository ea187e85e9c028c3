"""Words about rows: what combined rows agree on, why one has no number or no interval, what a reader wants first."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.inference.replicates import FEWEST

SAID = ("reason", "caution", "doubt")
_HEADS = ("units_exposed", "units_comparison", "units_left_out", "units_not_seen")
_LISTED = 6  # rows named beside a reason
_ALONE = {"unit", "matched set", "person"}
GROUPED_BY: dict[str, tuple[str, ...]] = {"simple": (), **{by: (by,) for by in ("event_time", "cohort", "period")}}


@dataclass(frozen=True, eq=False)
class Row(Mapping[str, Any]):
    """The row `at` of labels and of the columns that stand beside, or in place of, some of them."""

    labels: pd.DataFrame
    beside: Mapping[str, np.ndarray]
    at: int

    def __getitem__(self, column: str) -> Any:
        return self.beside[column][self.at] if column in self.beside else self.labels[column].iat[self.at]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*map(str, self.labels), *self.beside]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def common(labels: pd.DataFrame, keep: np.ndarray) -> pd.DataFrame:
    """One label row: columns on which the chosen rows agree; "several" where they do not."""
    return common_rows(labels, [np.arange(len(labels))[keep]])


def common_rows(labels: pd.DataFrame, groups: Sequence[np.ndarray]) -> pd.DataFrame:
    """One label row for each group of row positions: columns on which its rows agree; "several", or
    NaN for numbers, where they do not; people counted once (`heads`)."""
    return pd.DataFrame(_common(labels, groups), index=range(len(groups)))


def _common(
    labels: pd.DataFrame, groups: Sequence[np.ndarray], without: Set[str] = frozenset()
) -> dict[Hashable, object]:
    """Columns of `common_rows`, but for those that it is to be `without`."""
    size = np.array([len(g) for g in groups], dtype=int)
    full = np.flatnonzero(size > 0)
    at = np.concatenate([g for g in groups if len(g)]) if len(full) else np.empty(0, dtype=int)
    start = np.cumsum(size[full]) - size[full]
    first = at[np.repeat(start, size[full])]
    of, out = np.repeat(np.arange(len(groups)), size), dict[Hashable, object]()
    cohort = pd.factorize(labels["cohort"])[0] if "cohort" in labels else np.zeros(len(labels), dtype=int)
    for column, values in labels.items():
        if column in without:
            continue
        if column in _HEADS:
            counts = values.to_numpy(dtype=float, na_value=np.nan)
            alone = column == "units_comparison"
            out[column] = heads(counts, of, at, np.zeros_like(cohort) if alone else cohort, len(groups))
            continue
        alike = np.zeros(len(groups), dtype=bool)
        if isinstance(values.dtype, pd.StringDtype) and len(values.array.unique()) == 1:
            alike[full] = True
        elif len(full):
            alike[full] = np.logical_and.reduceat(_same(values, at, first), start)
        if alike.all():
            out[column] = values.array.take([g[0] for g in groups]) if len(groups) else values.array[:0]
        elif alike.any() or column not in ("reason", "mass"):  # these two are not filled in
            words = values.dtype == object or pd.api.types.is_string_dtype(values)
            fill = "several" if words and column != "reason" else np.nan
            out[column] = [values.iat[g[0]] if same else fill for g, same in zip(groups, alike, strict=True)]
    return out


def _same(values: pd.Series, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the values at some positions are those at others; nothing is the same as nothing."""
    plain = (
        values.dtype.kind in "biufM" if isinstance(values.dtype, np.dtype) else isinstance(values.dtype, pd.StringDtype)
    )
    x = values.to_numpy() if plain else pd.factorize(values, use_na_sentinel=False)[0]
    same = np.asarray(x[one] == x[other], dtype=bool)
    return same if same.all() else same | (pd.isna(x[one]) & pd.isna(x[other]))


def reasons(value: np.ndarray, labels: pd.DataFrame, used: np.ndarray) -> list[str]:
    """Why each of some combinations has no number ("" where it has): the first reason of the rows that it uses.

    value: (m,) combinations. used: (m, k) bool.
    """
    why = labels["reason"].to_numpy() if "reason" in labels else np.full(len(labels), "not identified")
    out = []
    for v, u in zip(value, used, strict=True):
        otherwise = "not identified" if u.any() or "reason" not in labels else "nothing to average"
        out.append("" if np.isfinite(v) else next((w for w in why[u] if w), otherwise))
    return out


def grouped(labels: pd.DataFrame, kind: str, of: np.ndarray | None = None) -> tuple[np.ndarray, pd.DataFrame]:
    """Which rows (k, k') are averaged together, and the labels of the averages. of: (k,) which are at all."""
    keep = np.ones(len(labels), dtype=bool) if kind == "event_time" else labels["event_time"].to_numpy() >= 0
    keep = keep if of is None else keep & of
    names = [c for c in ("component", "outcome", *GROUPED_BY[kind]) if c in labels]
    kept = np.flatnonzero(keep)
    differ = [c for c in names if len(kept) and not _same(labels[c], kept, np.repeat(kept[:1], len(kept))).all()]
    codes = [pd.factorize(labels[c][keep], sort=True, use_na_sentinel=False)[0] for c in differ]
    groups = np.zeros(len(kept), dtype=int)
    if codes:
        groups = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    count = int(groups.max()) + 1 if len(groups) else 0
    member = np.zeros((len(labels), count), dtype=bool)
    member[kept, groups] = True
    lost = {"cohort", "period", "event_time"} - set(GROUPED_BY[kind])
    said = _common(labels, [np.flatnonzero(m) for m in member.T], lost)
    said["estimand"] = "ATT" if kind == "simple" else f"ATT by {kind.replace('_', ' ')}"
    if kind == "event_time":  # whether the cohorts are those of event time 0
        said["composition"] = ""
        if "cohort" in labels:
            there = labels["mass"].to_numpy(dtype=float, na_value=np.nan) > 0 if "mass" in labels else True
            event, cohort = labels["event_time"].to_numpy(), labels["cohort"].to_numpy()
            sets = [frozenset(cohort[m & there]) for m in member.T]
            at = [event[m][0] for m in member.T]
            start = next((s for s, e in zip(sets, at, strict=True) if e == 0), frozenset())
            said["composition"] = ["" if s == start else "composition changes" for s in sets]
    return member, pd.DataFrame(said, index=range(count))


def check_alike(labels: pd.DataFrame, used: np.ndarray) -> None:
    for column in ("estimand", "population", "outcome_unit", "outcome"):
        if column in labels and labels[column][used].nunique(dropna=False) > 1:
            kinds = " and ".join(sorted(map(str, labels[column][used].unique())))
            raise EvalkitError(
                f"These rows differ in {column} ({kinds}), so their contrast mixes unlike things. "
                "Pass name='...' to say what the difference is."
            )


def heads(counts: np.ndarray, of: np.ndarray, at: np.ndarray, cohort: np.ndarray, groups: int) -> list[int]:
    """People behind the rows of each group, each once: the most in any period, summed over cohorts
    (adopters of different cohorts are different people; comparison units may serve several, so the
    most). Rows that count no people are passed over.

    counts, cohort: (k,) of each row, cohorts by codes, -1 for none. of, at: group and position of each row that is in
    one."""
    kept = ~np.isnan(counts[at]) & (cohort[at] >= 0)
    of, at, cohorts = of[kept], at[kept], int(cohort.max(initial=-1)) + 1
    most = np.zeros(groups * cohorts)
    np.maximum.at(most, of * cohorts + cohort[at], counts[at])
    return list(most.reshape(groups, cohorts).sum(axis=1).astype(int).tolist())


def row_names(labels: pd.DataFrame) -> list[str]:
    """A name for each row, from the labels that tell rows apart: 'nurse', 'event_time=2', 'cohort=5 period=7'."""
    named = [c for c in ("component", "outcome") if c in labels and labels[c].astype(str).nunique() > 1]
    times = [c for c in ("cohort", "period", "event_time") if c in labels and labels[c].astype(str).nunique() > 1]
    if {"cohort", "period"} <= set(times):
        times.remove("event_time") if "event_time" in times else None
    if not named + times and "component" in labels and len(labels):
        named = ["component"]
    rows = labels[named + times].itertuples(index=False)
    said = [" ".join([*map(str, r[: len(named)]), *(f"{c}={v}" for c, v in zip(times, r[len(named) :], strict=True))])
            for r in rows]  # fmt: skip
    if not said:
        said = [""] * len(labels)
    alone = [f"row {i}" if not words or said.count(words) > 1 else words for i, words in enumerate(said)]
    return alone


def reasons_in_words(frame: pd.DataFrame) -> list[str]:
    """Every reason, caution and doubt in full, with the rows that it is about."""
    notes = []
    for column in _said(frame):
        for words in dict.fromkeys(w for w in frame[column].fillna("") if w):
            rows = np.flatnonzero(frame[column] == words)
            listed = ", ".join(map(str, rows[:_LISTED])) + (", ..." if len(rows) > _LISTED else "")
            notes.append(f"{'Row' if len(rows) == 1 else 'Rows'} {listed}: {words}.")
    return notes


def short(frame: pd.DataFrame) -> pd.DataFrame:
    """What a reader wants first; `reason`, `caution` and `doubt` only where there is one."""
    keep = [c for c in ("component", "outcome", "estimand", "cohort", "period", "event_time") if c in frame]
    return frame[[*keep, "estimate", "std_error", "conf_low", "conf_high", "p_value", *_said(frame)]]


def _said(frame: pd.DataFrame) -> list[str]:
    return [c for c in SAID if c in frame and frame[c].fillna("").ne("").any()]


def cautions(labels: pd.DataFrame, clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """(r,) a caution for each row with fewer than three clusters (r,) in an arm, '' elsewhere."""
    words, people = np.full(len(labels), "", dtype=object), np.zeros(len(labels), dtype=bool)
    few = [arm for arm in ("comparison", "exposed") if (clusters[arm] < FEWEST).any()]
    if few and {"right_if", "inference_level"} <= set(labels):  # people who are each alone, in no cluster, are compared
        people = np.array([set(str(level).split(" and ")) <= _ALONE for level in labels["inference_level"]], dtype=bool)
    for arm in few:
        counts = clusters[arm]
        for n in np.unique(counts[counts < FEWEST]):
            for alone in (False, True):
                one, many = ("person", "people") if alone else ("cluster", "clusters")
                words[(counts == n) & (people == alone)] = (
                    f"{n:.0f} {arm} {one if n == 1 else many}: the interval holds the truth less often than it says"
                )
    return words
