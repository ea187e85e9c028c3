"""People who are alike, added up: cells in place of rows, with as many people behind each as there are.

Alike are people of one place whose components followed the same path and who were seen, in every outcome, in the same
periods: no comparison without covariates tells them apart. What is kept of them are how many they are, their mean in
each period, and, where a working covariance asks for them, the cross-products of their deviations from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.study.frame import FrameSource, Source, Table
from evalkit.study.index import Index
from evalkit.study.scan import is_expression, is_relation


class Products(Protocol):
    """Where cross-products come from."""

    def __call__(self, column: str) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Kept:
    """Cross-products that are there: by outcome (n, T, T), NaN for cells whose own are withheld."""

    known: Mapping[str, np.ndarray]

    def __call__(self, column: str) -> np.ndarray:
        if column not in self.known:
            raise StudyError(f"How people differ in {column!r} is not in these cells. Compress the rows again.")
        return self.known[column]


@dataclass(frozen=True, eq=False)
class CellSource(FrameSource):
    """Cells as a panel: a row a cell and period in `frame`, the cell standing where the unit does.

    heads: (n,) people in each cell, in the order of the cells. within: from an outcome's column to the sums (n, T, T)
    of products of people's deviations from the means of their cell, in the order of `periods` (T,). origin: the rows
    that they were made of, None where only the cells are there.
    """

    heads: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    within: Products | None = None
    periods: pd.Series | None = None
    origin: Table | Source | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Without a relation or a table of ibis, which live as long as their connection."""
        bound = is_expression(self.origin) or is_relation(self.origin)
        return {**vars(self), "_read": {}, "origin": None if bound else self.origin}

    def labels(self, rows: np.ndarray) -> list[object]:
        """Cells have no rows that the user knows; their places and periods say more."""
        return [f"cell {v}" for v in rows.tolist()]


def along(within: np.ndarray, source: CellSource, index: Index, period: str) -> np.ndarray:
    """Cross-products (n, T', T') with periods as the source has them, along those of the grid: (n, T, T), zero in
    periods without a row."""
    assert source.periods is not None
    rank = pd.Index(source.periods).get_indexer(pd.Index(source.column(period)))
    n, T = index.shape
    i, t = np.nonzero(index.rows >= 0)
    place = np.full(len(source.periods), -1)
    place[rank[index.rows[i, t]]] = t
    told = place >= 0
    if (place[told] == np.arange(T)).all() and told.all():
        return within
    out = np.zeros((n, T, T))
    out[np.ix_(np.arange(n), place[told], place[told])] = within[:, told][:, :, told]
    return out
