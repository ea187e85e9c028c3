"""How rows of an Estimate are shown: what a reader wants first, and in words why or with what caution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.inference.arms import FEWEST

_LISTED = 6  # rows named beside a reason
_ALONE = {"unit", "matched set", "person"}
SAID = ("reason", "caution", "doubt")


def rows_in_words(count: int) -> str:
    """How many rows there are."""
    return "1 row" if count == 1 else f"{count} rows"


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


def cautions(frame: pd.DataFrame) -> np.ndarray:
    """(r,) a caution for each row with fewer than three clusters in an arm, '' elsewhere."""
    words, people = np.full(len(frame), "", dtype=object), _of_people(frame)
    for arm in ("comparison", "exposed"):
        counts = frame[f"clusters_{arm}"].to_numpy(dtype=float)
        for n in np.unique(counts[counts < FEWEST]):
            for alone in (False, True):
                one, many = ("person", "people") if alone else ("cluster", "clusters")
                words[(counts == n) & (people == alone)] = (
                    f"{n:.0f} {arm} {one if n == 1 else many}: the interval holds the truth less often than it says"
                )
    return words


def _of_people(frame: pd.DataFrame) -> np.ndarray:
    """(r,) which rows compare people who are each alone, in no cluster."""
    if not {"right_if", "inference_level"} <= set(frame):
        return np.zeros(len(frame), dtype=bool)
    alone = [set(str(level).split(" and ")) <= _ALONE for level in frame["inference_level"]]
    return np.array(alone, dtype=bool)
