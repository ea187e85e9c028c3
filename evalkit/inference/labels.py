"""Words about rows: what combined rows agree on, why one has no number or no interval, what a reader wants first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.inference.labelled import Array, Column, Labels, same
from evalkit.inference.replicates import FEWEST

SAID = ("reason", "caution", "doubt")
_LISTED = 6  # rows named beside a reason
_ALONE = {"unit", "matched set", "person"}
GROUPED_BY: dict[str, tuple[str, ...]] = {"simple": (), **{by: (by,) for by in ("event_time", "cohort", "period")}}


@dataclass(frozen=True, eq=False)
class Row(Mapping[str, Any]):
    """The row `at` of labels and of the columns that stand beside, or in place of, some of them."""

    labels: Labels
    beside: Mapping[str, np.ndarray]
    at: int

    def __getitem__(self, column: str) -> Any:
        return self.beside[column][self.at] if column in self.beside else self.labels.at(column, self.at)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.labels, *self.beside]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def reasons(value: np.ndarray, labels: Labels, used: np.ndarray) -> np.ndarray:
    """(m,) why each of some combinations has no number ("" where it has): the first reason of the rows that it uses.

    value: (m,) combinations. used: (m, k) bool.
    """
    out = np.full(len(value), "", dtype=object)
    for i in np.flatnonzero(~np.isfinite(value)):
        otherwise = "not identified" if used[i].any() or "reason" not in labels else "nothing to average"
        why = labels["reason"][used[i]] if "reason" in labels else ()
        out[i] = next((w for w in why if w), otherwise)
    return out


def grouped(labels: Labels, kind: str, of: np.ndarray | None = None) -> tuple[np.ndarray, Labels]:
    """Which rows (k, k') are averaged together, and the labels of the averages. of: (k,) which are at all."""
    keep = np.ones(labels.rows, dtype=bool) if kind == "event_time" else labels["event_time"] >= 0
    kept = np.flatnonzero(keep if of is None else keep & of)
    names = [c for c in ("component", "outcome", *GROUPED_BY[kind]) if c in labels]
    read = [x for c in names if isinstance(x := labels.read(c), Array) and not same(x, kept, kept[:1]).all()]
    groups = np.zeros(len(kept), dtype=int)
    if read:
        codes = [pd.factorize(x[kept], sort=True, use_na_sentinel=False)[0] for x in read]
        groups = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    count = int(groups.max(initial=-1)) + 1
    member = np.zeros((labels.rows, count), dtype=bool)
    member[kept, groups] = True
    lost = {"cohort", "period", "event_time"} - set(GROUPED_BY[kind])
    said = labels.common([np.flatnonzero(m) for m in member.T], lost)
    said = said.assign(estimand="ATT" if kind == "simple" else f"ATT by {kind.replace('_', ' ')}")
    return member, said.assign(composition=_composition(labels, member)) if kind == "event_time" else said


def _composition(labels: Labels, member: np.ndarray) -> Column:
    """(k',) words where the cohorts at an event time are not those of event time 0. member: (k, k')."""
    if "cohort" not in labels:
        return ""
    there = labels["mass"].astype(float) > 0 if "mass" in labels else True
    event, cohort = labels["event_time"], labels["cohort"]
    sets = [frozenset(cohort[m & there]) for m in member.T]
    at = [event[m][0] for m in member.T]
    start = next((s for s, e in zip(sets, at, strict=True) if e == 0), frozenset())
    return np.array(["" if s == start else "composition changes" for s in sets], dtype=object)


def check_alike(labels: pd.DataFrame, used: np.ndarray) -> None:
    for column in ("estimand", "population", "outcome_unit", "outcome"):
        if column in labels and labels[column][used].nunique(dropna=False) > 1:
            kinds = " and ".join(sorted(map(str, labels[column][used].unique())))
            raise EvalkitError(
                f"These rows differ in {column} ({kinds}), so their contrast mixes unlike things. "
                "Pass name='...' to say what the difference is."
            )


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


def cautions(labels: Labels, clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """(r,) a caution for each row with fewer than three clusters (r,) in an arm, '' elsewhere."""
    words, people = np.full(labels.rows, "", dtype=object), np.zeros(labels.rows, dtype=bool)
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
