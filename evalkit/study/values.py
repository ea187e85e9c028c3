"""The second door: an outcome is read, and checked, when it is first asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.errors import OutcomeError, Problem, StudyError, raise_problems
from evalkit.study.columns import Columns, suggest
from evalkit.study.frame import Source, numbers, say_rows
from evalkit.study.index import Index
from evalkit.study.levels import per_unit


def read_outcome(column: str, source: Source, index: Index) -> np.ndarray:
    """(n, T) float64 values of an outcome, NaN where missing or not seen; read-only.

    Raises `OutcomeError` naming the column and the first five rows that are text or
    infinite.
    """
    if column not in source.columns:
        known = suggest(column, [str(c) for c in source.columns], "The columns are")
        raise OutcomeError(f"There is no outcome column {column!r}. {known}")
    values = _finite(source.column(column), f"outcome {column!r}", source, OutcomeError)
    grid = index.grid(values)
    out = grid if grid is not values and grid.base is None else grid.view()
    out.flags.writeable = False
    return out


def _finite(series: pd.Series, what: str, source: Source, error: type[OutcomeError] | type[StudyError]) -> np.ndarray:
    """A column as float64: finite or missing, else everything wrong with it is raised."""
    values, text = numbers(series)
    values = values.astype(np.float64, copy=False)
    problems = []
    if len(text):
        where = say_rows(source, text)
        problems.append(
            Problem(
                f"{what} holds text such as {series.iloc[text[0]]!r}",
                where,
                "Write numbers (a 0/1 column for each kind), or leave it empty where it is missing.",
            )
        )
    endless = np.isinf(values)
    if endless.any():
        rows = np.flatnonzero(endless)
        problems.append(
            Problem(
                f"{what} is infinite",
                say_rows(source, rows),
                "Write finite numbers, or leave it empty where it is missing.",
            )
        )
    raise_problems(problems, error)
    return values


def read_covariates(names: tuple[str, ...], columns: Columns, index: Index, unit: str) -> np.ndarray:
    """(n, T, q) float64 covariates, NaN where missing or not seen."""
    n, T = index.shape
    out = np.empty((n, T, len(names)))
    for j, name in enumerate(names):
        if not columns.has(name):
            raise_problems([columns.absent(name, "covariates")])
        if columns.in_panel(name):
            out[:, :, j] = index.grid(
                _finite(columns.panel.column(name), f"covariate {name!r}", columns.panel, StudyError)
            )
        else:
            fixed, text = numbers(per_unit(name, columns, index, unit))
            if len(text):
                raise_problems([Problem(f"covariate {name!r} holds text", "people", "Write numbers only.")])
            out[:, :, j] = fixed[:, None]
    return out
