"""Levels reached by links: associations that own part of the homes of each borough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import Problem, first_rows
from evalkit.study.frame import read_table
from evalkit.study.levels import match


@dataclass(frozen=True, eq=False)
class Links:
    """How the groups of one level (`from`) make up the groups of another (`to`).

    table: frame (or path) with columns from, to, weight; the weights of each `to`
    sum to one. to: column of the panel that holds the second level.
    """

    table: Any
    to: str

    def frame(self, level: str) -> pd.DataFrame:
        """The links as a frame."""
        return read_table(self.table, f"links of level {level!r}")


def check_links(level: str, frame: pd.DataFrame, names: np.ndarray) -> list[Problem]:
    """The columns, weights between 0 and 1 that sum to one, and every group of the panel linked."""
    where = f"links of level {level!r}"
    lack = [c for c in ("from", "to", "weight") if c not in frame.columns]
    if lack:
        return [
            Problem(
                f"There is no column {', '.join(map(repr, lack))}", where, "Links have the columns from, to, weight."
            )
        ]
    weight = pd.to_numeric(frame["weight"], errors="coerce")
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)).to_numpy())
    if len(bad):
        return [
            Problem(
                "Weights are missing, negative or text",
                f"{where}, {first_rows(frame.index[bad[:5]], len(bad))}",
                "Use shares from 0 to 1.",
            )
        ]
    problems = []
    total = weight.groupby(frame["to"]).transform("sum")
    off = np.flatnonzero((total - 1).abs().to_numpy() > 1e-6)
    if len(off):
        groups = list(dict.fromkeys(frame["to"].iloc[off]))
        said = ", ".join(f"{g} sums to {total.iloc[np.flatnonzero(frame['to'] == g)[0]]:.4g}" for g in groups[:5])
        problems.append(
            Problem(
                f"Memberships do not sum to one: {said}",
                f"{where}, {first_rows(frame.index[off[:5]], len(off))}",
                "Make the weights of each group sum to 1.",
            )
        )
    alone = np.flatnonzero(match(names, frame["to"].to_numpy()) < 0)
    if len(alone):
        said = ", ".join(str(names[i]) for i in alone[:5])
        problems.append(Problem(f"Groups of the panel without links: {said}", where, "Add their rows."))
    return problems


def link_weights(frame: pd.DataFrame, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, F) weight of each of the F `from` groups in each of the C groups of the panel, and the `from` names."""
    sources = pd.unique(frame["from"])
    row = match(frame["to"].to_numpy(), names)
    column = match(frame["from"].to_numpy(), np.asarray(sources))
    out = np.zeros((len(names), len(sources)))
    keep = row >= 0
    np.add.at(out, (row[keep], column[keep]), frame["weight"].to_numpy(dtype=np.float64)[keep])
    return out, np.asarray(sources)
