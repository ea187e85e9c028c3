"""Columns by name, from the panel or from the table of people, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import Problem, first_rows
from evalkit.show.words import count_words
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
    if columns.in_people(name) and columns.people is not None:
        gone = missing_rows(columns.people[name])
        if len(gone):
            where = f"people, {first_rows(columns.people.index[gone[:5]], len(gone))}"
            return [Problem(f"{role} {name!r} is missing in {count_words(len(gone), 'row')}", where, "Fill these in.")]
        return []
    if not columns.in_panel(name):
        return []
    gone = missing_rows(columns.panel.column(name))
    if not len(gone):
        return []
    return [
        Problem(
            f"{role} {name!r} is missing in {count_words(len(gone), 'row')}",
            say_rows(columns.panel, gone),
            "Fill these in or leave the rows out.",
        )
    ]


def check_numbers(
    series: pd.Series, name: str, role: str, say: Callable[[np.ndarray], str]
) -> tuple[np.ndarray | None, list[Problem]]:
    """A column as numbers, if all are there, finite and not negative; else what is wrong.

    say: puts positions of rows in words.
    """
    values, text = numbers(series)
    what, problems = f"{role} {name!r}", []
    if len(text):
        problems.append(
            Problem(f"{what} holds text such as {series.iloc[text[0]]!r}", say(text), "Write numbers only.")
        )
    if values.dtype.kind == "f":
        gone = np.setdiff1d(np.flatnonzero(np.isnan(values)), text)
        if len(gone):
            advice = "Missing is not 0: fill these in or leave the rows out."
            problems.append(Problem(f"{what} is missing in {count_words(len(gone), 'row')}", say(gone), advice))
        endless = np.flatnonzero(np.isinf(values))
        if len(endless):
            problems.append(Problem(f"{what} is infinite", say(endless), "Write finite numbers."))
    if values.dtype.kind in "if" and (values < 0).any():
        problems.append(Problem(f"{what} is negative", say(np.flatnonzero(values < 0)), "Use 0 or more."))
    return (None if problems else values), problems
