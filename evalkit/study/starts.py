"""Start dates as people keep them: a row a start, or a column a component; headings and components in their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.errors import Problem, StudyError
from evalkit.show.words import noun_from_column
from evalkit.study.component import Component, name_by_words, plain
from evalkit.study.frame import GONE, Table, open_source, read_table
from evalkit.study.reading import Cells, Reading
from evalkit.study.register import Register
from evalkit.study.schema import TABLE_CELLS, TABLES

HEADINGS = {
    "component": ("component", "component name", "intervention", "activity"),
    "start": ("start", "start date", "startdate", "started", "start month", "start period", "date started", "from",
              "first month", "first period", "began", "go live", "go live date"),
    "end": ("end", "end date", "enddate", "ended", "until", "end month", "end period", "date ended"),
    "dose": ("dose",),
    "certainty": ("certainty",),
    "start_low": ("start low", "earliest", "earliest start", "start earliest"),
    "start_high": ("start high", "latest", "latest start", "start latest"),
}  # fmt: skip
"""Headings, in small letters and without signs, that mean a column of the spells."""
_BESIDE = ("start", "start date", "started", "start month", "starts", "from", "first period", "first month", "date",
           "go live")  # fmt: skip
"""Words beside a component's name in the heading of its starts."""
NEVER = ("", "-", "never", "none", "not yet")
"""Cells, in small letters, of a place that never started."""


def read_starts(table: Table, where: str, reading: Reading) -> pd.DataFrame:
    """A table of starts as it is written: text and whole numbers, '007' as text."""
    source = open_source(table, where, Cells(reading))
    return read_table(source, where, Cells(reading, ids=frozenset(map(str, source.columns))))


def with_tidy_spells(register: Register, problems: list[Problem]) -> tuple[Component, ...]:
    """The components with their spells as columns component, level_id, start, end, ...; problems pile up."""
    found: dict[object, pd.DataFrame] = {}
    made = []
    for c in register.components:
        given = c.adoption
        if given is None:
            made.append(c)
            continue
        where = f"adoption of component {c.name!r}"
        key = str(given) if isinstance(given, (str, Path)) else id(given)
        try:
            if key not in found:
                found[key] = read_starts(given, where, register.reading)
            level = register.level_of(c)
            spells = tidy(found[key], register.components, (level, register.home_of(c)), register.reading)
        except StudyError as error:
            problems.append(Problem(str(error).rstrip("."), where))
            spells = pd.DataFrame({"component": pd.Series([], dtype=object)})
        made.append(replace(c, adoption=spells))
    return tuple(made)


def tidy(table: pd.DataFrame, components: Sequence[Component], levels: Sequence[str], reading: Reading) -> pd.DataFrame:
    """Spells under the names that evalkit has for their columns, components by their names. levels: what the column of
    places may be called besides level_id. A table that is tidy is given back as it is."""
    named = under_our_names(table, levels)
    wide = {} if {"start", "component"} & set(named.columns) else _columns_of(named, components)
    if wide and "level_id" in named.columns:
        named = _long(named, wide)
    for column in [c for c in named.columns if c in TABLES["adoption"].columns]:
        read = _as_written(str(column), named[column], reading)
        if read is not named[column]:
            named = named.assign(**{column: read})
    if "component" in named.columns:
        called = name_by_words(components)
        words = named["component"].map(lambda v: called.get(plain(v), v) if isinstance(v, str) else v)
        named = named if words.equals(named["component"]) else named.assign(component=words)
    return named


def under_our_names(table: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """The table with evalkit's names for the columns whose headings mean them."""
    called = _renamed(table, levels)
    made = table.rename(columns=called)
    if gone := table.attrs.get(GONE):
        made.attrs[GONE] = {called.get(name, name): words for name, words in gone.items()}
    return made


def level_column(table: pd.DataFrame, level: str) -> str | None:
    """The column that is called like the places of a level."""
    return next((str(c) for c in table.columns if plain(c) in _places([level])), None)


def without_beside(heading: str) -> str:
    """A heading without the word for starts that stands beside a component: 'Nurse start date' gives 'Nurse'."""
    words = heading.replace("_", " ").strip()
    for beside in sorted(_BESIDE, key=len, reverse=True):
        if plain(words).endswith(f" {beside}"):
            return " ".join(words.split()[: -len(beside.split())])
    return words


def _renamed(table: pd.DataFrame, levels: Sequence[str]) -> dict[str, str]:
    """Columns under other headings -> their names."""
    have, out = set(map(str, table.columns)), dict[str, str]()
    for column in table.columns:
        words = plain(column)
        name = next((n for n, known in HEADINGS.items() if words in known), "")
        if not name and words in _places(levels):
            name = "level_id"
        if name and name not in have and name not in out.values():
            out[column] = name
    return out


def _places(levels: Sequence[str]) -> set[str]:
    """Headings of the column of places."""
    nouns = {plain(noun_from_column(level)) for level in levels}
    return {plain(level) for level in levels} | {w for n in nouns for w in (n, f"{n} id", f"{n} name", f"{n} code")}


def _columns_of(table: pd.DataFrame, components: Sequence[Component]) -> dict[str, str]:
    """Column -> the component whose starts it holds."""
    called, out = name_by_words(components), dict[str, str]()
    for column in table.columns:
        for name in called.get(plain(column), ""), *_without(plain(column), called):
            if name and name not in out.values():
                out[column] = name
                break
    return out


def _without(heading: str, called: Mapping[str, str]) -> Iterator[str]:
    """Components whose name stands in a heading beside a word for starts: 'nurse start date'."""
    for beside in sorted(_BESIDE, key=len, reverse=True):
        for rest in (heading.removesuffix(f" {beside}"), heading.removeprefix(f"{beside} ")):
            if rest != heading and rest in called:
                yield called[rest]


def _long(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """A row a start, from a column a component; empty cells and 'never' are no start."""
    parts = []
    for column, component in columns.items():
        text = table[column].map(lambda v: plain(v) if isinstance(v, str) else v)
        started = table[column].notna() & ~text.isin([plain(w) for w in NEVER])
        rows = table.loc[started, ["level_id", column]].rename(columns={column: "start"})
        parts.append(rows.astype({"start": object}).assign(component=component))
    return pd.concat(parts)[["component", "level_id", "start"]]


def _as_written(name: str, column: pd.Series, reading: Reading) -> pd.Series:
    """A column of the spells, numbers among text as numbers where all of it is."""
    column = replace(TABLE_CELLS, reading=reading).read(name, column)
    if name not in TABLE_CELLS.numbers | TABLE_CELLS.moments or name in TABLE_CELLS.ids:
        return column
    texts = column.dropna()
    if not len(texts) or not all(isinstance(v, str) for v in texts):
        return column
    numbers = pd.to_numeric(texts, errors="coerce")
    return column if not np.isfinite(numbers).all() else pd.to_numeric(column)
