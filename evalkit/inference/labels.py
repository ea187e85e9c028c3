"""Label rows of combined estimates: what the combined rows agree on, and why one has no number."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError

_HEADS = ("units_exposed", "units_comparison", "units_left_out", "units_not_seen")


def common(labels: pd.DataFrame, keep: np.ndarray) -> pd.DataFrame:
    """One label row: columns on which the chosen rows agree; "several" where they do not."""
    chosen = labels[keep]
    row = {}
    for column in labels.columns:
        values = chosen[column].unique()
        if len(values) == 1:
            row[column] = values[0]
        elif column in _HEADS:
            row[column] = heads(chosen, column)
        elif column not in ("reason", "mass"):
            words = labels[column].dtype == object or pd.api.types.is_string_dtype(labels[column])
            row[column] = "several" if words else np.nan
    return pd.DataFrame([row])


def first_reason(labels: pd.DataFrame, used: np.ndarray) -> str:
    if "reason" not in labels:
        return "not identified"
    words = [w for w in labels["reason"][used] if w]
    return words[0] if words else ("nothing to average" if not used.any() else "not identified")


def composition(labels: pd.DataFrame, member: np.ndarray) -> list[str]:
    """ "composition changes" at event times whose cohorts are not those of event time 0."""
    if "cohort" not in labels:
        return [""] * member.shape[1]
    there = np.isfinite(labels["mass"]) & (labels["mass"] > 0) if "mass" in labels else np.ones(len(labels), bool)
    event, cohort = labels["event_time"].to_numpy(), labels["cohort"].to_numpy()
    sets = [frozenset(cohort[m & there]) for m in member.T]
    at = [event[m][0] for m in member.T]
    start = next((s for s, e in zip(sets, at, strict=True) if e == 0), frozenset())
    return ["" if s == start else "composition changes" for s in sets]


def check_alike(labels: pd.DataFrame, used: np.ndarray, name: str | None) -> None:
    if name is not None:
        return
    for column in ("estimand", "population", "outcome_unit", "outcome"):
        if column in labels and labels[column][used].nunique(dropna=False) > 1:
            kinds = " and ".join(sorted(map(str, labels[column][used].unique())))
            raise EvalkitError(
                f"These rows differ in {column} ({kinds}), so their contrast mixes unlike things. "
                "Pass name='...' to say what the difference is."
            )


def combine_cells(frame: pd.DataFrame, matrix: np.ndarray) -> pd.DataFrame:
    """Cell weights of linear combinations (k', k) of rows."""
    pieces = []
    for new in range(len(matrix)):
        factor = matrix[new][frame["row"].to_numpy()]
        keep = factor != 0
        pieces.append(frame[keep].assign(row=new, weight=frame["weight"][keep] * factor[keep]))
    return pd.concat(pieces, ignore_index=True) if pieces else frame.iloc[:0]


def heads(chosen: pd.DataFrame, column: str) -> int:
    """People behind combined rows, each once: the most in any period, summed over cohorts (adopters
    of different cohorts are different people; comparison units may serve several, so the most)."""
    if not len(chosen):
        return 0
    if "cohort" not in chosen or column == "units_comparison":
        return int(chosen[column].max())
    return int(chosen.groupby("cohort")[column].max().sum())
