"""Columns by name, from the panel or from the table of people, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem
from evalkit.study.frame import Source, missing_rows, numbers, say_rows


@dataclass(frozen=True, eq=False)
class Columns:
    """The panel's columns, and those of `people` that are fixed for a unit."""

    panel: Source
    people: pd.DataFrame | None = None

    def in_panel(self, name: str) -> bool:
        return name in self.panel.columns

    def in_people(self, name: str) -> bool:
        return not self.in_panel(name) and self.people is not None and name in self.people.columns

    def has(self, name: str) -> bool:
        return self.in_panel(name) or self.in_people(name)

    def absent(self, name: str, role: str) -> Problem:
        """The problem that there is no such column, with the nearest names."""
        known = [str(c) for c in self.panel.columns]
        if self.people is not None:
            known += [str(c) for c in self.people.columns if c not in known]
        return Problem(f"There is no column {name!r}", role, suggest(str(name), known, "The columns are"))


def suggest(name: str, known: Iterable[str], intro: str) -> str:
    """'Did you mean ...?' for a near miss, else the known names."""
    listed = list(known)
    lower = {k.lower(): k for k in reversed(listed)}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    if near:
        return f"Did you mean {lower[near[0]]!r}?"
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return f"{intro}: {', '.join(listed[:12])}{more}."


def check_present(columns: Columns, name: str, role: str) -> list[Problem]:
    """Every row must have a value."""
    if not columns.in_panel(name):
        return []
    gone = missing_rows(columns.panel.column(name))
    if not len(gone):
        return []
    return [
        Problem(
            f"{role} {name!r} is missing in {len(gone)} rows",
            say_rows(columns.panel, gone),
            "Fill these in or leave the rows out.",
        )
    ]


def check_numbers(
    series: pd.Series, name: str, role: str, rows_in_words: object, negative: bool = False
) -> tuple[np.ndarray | None, list[Problem]]:
    """A column as numbers that are finite, not missing and (unless allowed) not negative."""
    values, text = numbers(series)
    problems = []
    if len(text):
        example = series.iloc[text[0]]
        problems.append(
            Problem(f"{role} {name!r} holds text such as {example!r}", rows_in_words(text), "Write numbers only.")
        )
    if values.dtype.kind == "f":
        gone = np.flatnonzero(np.isnan(values))
        gone = np.setdiff1d(gone, text)
        if len(gone):
            problems.append(
                Problem(
                    f"{role} {name!r} is missing in {len(gone)} rows",
                    rows_in_words(gone),
                    "Missing is not 0: fill these in or leave the rows out.",
                )
            )
        endless = np.flatnonzero(np.isinf(values))
        if len(endless):
            problems.append(Problem(f"{role} {name!r} is infinite", rows_in_words(endless), "Write finite numbers."))
    if not negative and values.dtype.kind != "b" and len(values):
        with np.errstate(invalid="ignore"):
            low = (
                np.flatnonzero(values < 0)
                if np.nanmin(np.where(np.isnan(values), 0, values) if values.dtype.kind == "f" else values) < 0
                else ()
            )
        if len(low):
            problems.append(Problem(f"{role} {name!r} is negative", rows_in_words(low), "Use 0 or more."))
    return (None if problems else values), problems
