"""A study proposed from a table alone: which column is the unit, the period, the place, which switch on, which moves.

Everything here is a guess from names and values, said as one; the study file is the place where people mend it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.show.words import count_words, join_words, noun_from_column, sentence_case
from evalkit.study.calendar import calendar_kind
from evalkit.study.component import plain
from evalkit.study.guesses import Looked, Part, Result, guess_reading, texts_of
from evalkit.study.reading import (
    Reading,
    likely_format,
    possible_formats,
)
from evalkit.study.starts import NEVER, level_column, read_starts, under_our_names, without_beside


@dataclass(frozen=True)
class Proposal:
    """What a table is taken for. guesses: each in a sentence; open: what nobody could guess."""

    unit: str
    period: str | None
    cluster: str | None
    components: tuple[Part, ...]
    outcomes: tuple[Result, ...]
    covariates: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)
    guesses: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def propose(file: Path, starts: Path | None = None) -> Proposal:
    """What the table in a file is taken for. starts: another file that says when components began.

    Raises `StudyError` where the file cannot be read, no column (with a period) tells the rows apart, or nothing in it
    switches on.
    """
    table = Looked.of(file, guess_reading(file)).keyed()
    unit, period, homes = table.unit, table.period, table.homes()
    if starts is None:
        parts = table.components(homes)
    else:
        parts, form = _begun(starts, table, [*homes, unit])
        reading = table.reading
        table = replace(table, reading=replace(reading, date_format=reading.date_format or form))
    levels = [p.assigned_at for p in parts if p.assigned_at not in (None, unit)]
    cluster = max(levels, key=levels.count) if levels else table.likely_place(homes)
    taken = {unit, period, cluster, *(p.column for p in parts)}
    results = table.outcomes(taken)
    if not parts:
        what = f"{file.name}: no column of 0 and 1 (or Yes and No) switches on over time, and none holds a first period"
        raise StudyError(f"{what}. Give the table of start dates too: evalkit new FOLDER --from FILE --starts FILE.")
    if not results:
        near = table.nearly_numbers()
        advice = f"{near}. Write plain numbers (1012.5), and nothing where one is missing." if near else "Add one."
        raise StudyError(f"{file.name}: no column of numbers is left that could be an outcome. {advice}")
    covariates = table.covariates({*taken, results[0].column}) if period is None else ()
    made = Proposal(unit, period, cluster, tuple(parts), tuple(results), covariates, table.reading, (), table.names)
    return replace(made, guesses=tuple(_sentences(made, table)))


def _begun(file: Path, table: Looked, homes: Sequence[str]) -> tuple[list[Part], str | None]:
    """Components of a table of starts, and how its dates are written where that needs a key."""
    raw = read_starts(file, file.name, guess_reading(file))
    at = next((h for h in homes if level_column(raw, h) is not None), None)
    if at is None:
        listed = join_words((repr(h) for h in homes), "or")
        raise StudyError(f"{file.name}: no column is called like {listed}. Name the places as the panel does.")
    place, named = level_column(raw, at), under_our_names(raw, [at])
    if "start" in named.columns:
        names = pd.unique(named["component"].dropna()) if "component" in named.columns else [file.stem]
        dated, held = named["start"], [Part(str(n), "adoption", at) for n in names]
    else:
        columns = [c for c in raw.columns if c != place and _are_dates(raw[c])]
        held = [Part(without_beside(str(c)), "adoption", at) for c in columns]
        dated = pd.concat([raw[c] for c in columns]) if columns else pd.Series(dtype=object)
    texts = [t for t in texts_of(dated.astype(object)) if plain(t) not in map(plain, NEVER)]
    unread = texts and not calendar_kind(np.array(texts, dtype=object))
    return held, likely_format(texts) if unread else None


def _are_dates(column: pd.Series) -> bool:
    cells = [v for v in pd.unique(column.dropna()) if not (isinstance(v, str) and plain(v) in map(plain, NEVER))]
    if not cells:
        return False
    return bool(calendar_kind(np.array(cells, dtype=object)) or possible_formats(cells))


def _sentences(p: Proposal, table: Looked) -> Iterable[str]:
    """What was guessed, each with what it was guessed from."""
    who = count_words(table.raw[p.unit].nunique(), noun_from_column(p.unit))
    if p.period is None:
        yield f"unit = {p.unit!r}: no value comes twice ({who}); no column of periods, so people at one time"
    else:
        yield f"unit = {p.unit!r} and period = {p.period!r}: together they tell all rows apart ({who})"
    if p.cluster is not None:
        groups = table.raw[p.cluster].nunique()
        yield f"cluster = {p.cluster!r}: fixed for each {noun_from_column(p.unit)}, {groups} of them"
    for c in p.components:
        how = "goes from 0 to 1 and hardly back" if p.period is not None else "0 or 1"
        how = how if c.by == "exposure" else "holds first periods"
        at = f"; it never differs within one {c.assigned_at!r}" if c.assigned_at else ""
        yield f"component {c.column!r}: {how}{at}"
    first, *more = p.outcomes
    kind = f"{first.kind}{' in per cent' if first.percent else ''}"
    yield f"outcome {first.column!r}: {kind}, {first.better} is better" + (
        f"; it could also be {join_words((repr(r.column) for r in more[:5]), 'or')}" if more else ""
    )
    if p.covariates:
        yield f"covariates: {join_words(map(repr, p.covariates))}"
    used = {p.unit, p.period, p.cluster, *(c.column for c in p.components), first.column, *(r.column for r in more[:5])}
    left = [n for n in p.columns if n not in used.union(p.covariates) and table.raw[n].notna().any()]
    if left:
        yield f"not used: {join_words(map(repr, left))}{_marked(table, left)}"
    for key, value in p.reading.said().items():
        yield f"{key} = {list(value) if isinstance(value, tuple) else value!r}: that is how the file is written"


def _marked(table: Looked, columns: Iterable[str]) -> str:
    """What to do with columns in which one word stands for yes and an empty cell for no."""
    held = [repr(n) for n in columns if table.raw[n].nunique() == 1 and table.raw[n].isna().any()]
    return f"; where {join_words(held, 'or')} switches on, write 1 and 0: an empty cell says neither" if held else ""


def label_of(column: str) -> str:
    """A heading as a label: 'link_worker' gives 'Link worker'."""
    return sentence_case(re.sub(r"[_\s]+", " ", column).strip())
