"""How a panel is held: its rows, or its people added up; and why they cannot be, where they cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import pandas as pd

from evalkit.errors import StudyError, check_choice
from evalkit.study.adding import Adding, NotAlikeError, Wanted
from evalkit.study.alike import CellSource
from evalkit.study.cellfile import cells_in
from evalkit.study.component import neighbour_columns
from evalkit.study.engines import EngineAdding
from evalkit.study.formats import is_parquet
from evalkit.study.frame import Columns, FileSource, FrameSource, Source, Table, as_ids, open_source
from evalkit.study.register import Register
from evalkit.study.scan import MEMORY, Relation, count_rows, has_duckdb, is_expression, is_relation, scan_of
from evalkit.vocabulary import Hold

if TYPE_CHECKING:
    import ibis.expr.types as ir

HOLDS = get_args(Hold)
LARGE = 5_000_000
"""Rows from which people are added up where nothing else is asked for."""
TOO_MANY = 50_000_000
"""Rows above which a panel is refused where its people cannot be added up, unless rows are asked for."""


@dataclass(frozen=True)
class Holding:
    """hold: "rows", "cells", or "auto" for cells where there are many rows that can be added up. memory: what DuckDB
    may hold at a time."""

    hold: str = "auto"
    memory: str = MEMORY

    def __post_init__(self) -> None:
        check_choice("hold", self.hold, HOLDS)


def held(panel: Table | Source | Relation, register: Register, holding: Holding) -> Source:
    """Where a study's rows are: cells where they can be and are wanted, else rows. Raises `StudyError` where cells are
    asked for and cannot be, and where there are so many rows that only cells would fit."""
    if isinstance(panel, CellSource):
        columns = Columns(panel)
        needed = [*(n for n, _ in register.columns_needed(columns)), *(o.column for o in register.outcomes)]
        lost = [n for n in needed if n not in panel.columns]
        if holding.hold != "rows" and not lost:
            return panel
        if panel.origin is None:
            return panel
        return held(panel.origin, register, holding)
    if is_expression(panel):
        return _in_engine(panel, register, holding)
    source: Source | Relation = panel if is_relation(panel) else open_source(panel, cells=register.cells())
    if (cells := cells_in(source, register.cells())) is not None:
        return cells
    if holding.hold == "rows" or not (has_duckdb() or holding.hold == "cells"):
        return _rows(source, register)
    return _added(source, register, holding)


def _rows(source: Source | Relation, register: Register) -> Source:
    return source if isinstance(source, (FrameSource, FileSource)) else open_source(source, cells=register.cells())


def _added(source: Source | Relation, register: Register, holding: Holding) -> Source:
    """Cells, or rows where those cannot be and need not be."""
    if not has_duckdb():
        raise StudyError("hold='cells' needs the package duckdb: install evalkit with its extra [scale].")
    asked, text = holding.hold == "cells", register.cells().ids | register.cells().moments
    scan = scan_of(source, "the panel", frozenset(text))
    if scan is None:
        return _refused("it is no Parquet, CSV, table or relation", asked, source, register)
    rows = 0 if asked else count_rows(scan)
    if not asked and rows < LARGE:
        return _rows(source, register)
    wanted = _wanted(register, scan.columns)
    if isinstance(wanted, str):
        return _refused(wanted, asked, source, register, rows)
    adding = Adding(scan, wanted, holding.memory)
    try:
        made = adding.cells()
    except NotAlikeError as error:
        return _refused(str(error), asked, source, register, rows)
    frame, periods = made.frame, made.periods
    if scan.files and not is_parquet(scan.files[0]):
        frame = frame.assign(**{c: as_ids(frame[c]) for c in text & set(frame.columns) - {wanted.unit}})
        periods = as_ids(periods)
    return CellSource(frame, "the panel", register.cells(), heads=made.heads, within=adding,
                      periods=register.cells().read(wanted.period, periods), origin=source)  # fmt: skip


def _in_engine(table: ir.Table, register: Register, holding: Holding) -> CellSource:
    """Cells of a table of ibis, whose rows stay in their engine; `StudyError` where they would have to leave it."""
    advice = "collect the table first, where it fits into memory: ek.Study(table.to_pandas(), ...)"
    if holding.hold == "rows":
        raise StudyError(f"The panel is a table of ibis, and its rows stay in their engine. For rows, {advice}.")
    wanted, cells = _wanted(register, tuple(table.columns)), register.cells()
    try:
        if isinstance(wanted, str):
            raise NotAlikeError(wanted)
        adding = EngineAdding(table, wanted)
        made = adding.cells()
    except NotAlikeError as error:
        raise StudyError(f"The people of this panel cannot be added up: {error}. Mend that, or {advice}.") from None
    return CellSource(made.frame, "the panel", cells, heads=made.heads, within=adding,
                      periods=cells.read(wanted.period, made.periods), origin=table)  # fmt: skip


def _refused(why: str, asked: bool, source: Source | Relation, register: Register, rows: int = 0) -> Source:
    """Rows in place of cells; `StudyError` with the reason where cells are asked for or rows are too many."""
    if asked:
        raise StudyError(f"The people of this panel cannot be added up: {why}. Mend that, or give hold='rows'.")
    if rows > TOO_MANY:
        what = f"The panel has {rows:,} rows, and its people cannot be added up: {why}"
        raise StudyError(f"{what}. Mend that, or give hold='rows' to hold all of them in memory.")
    return _rows(source, register)


def _lost(names: list[str], register: Register) -> str:
    """Why a column that is not in the panel cannot be added up by."""
    if names and register.people is not None and names[0] in register.people:
        return f"{names[0]!r} stands in the table of people, and is needed as a column of the panel"
    return f"it has no column {', '.join(map(repr, names[:1]))}"


def _wanted(register: Register, names: tuple[str, ...]) -> Wanted | str:
    """The columns to add up by, of a panel that has `names`; or why people cannot be added up."""
    r, columns = register, Columns(FrameSource(pd.DataFrame(columns=list(names))))
    homes = [r.home_of(c) for c in r.components]
    needed = [name for name, _ in r.columns_needed(columns)]
    folded, lost = [c.casefold() for c in names], [name for name in needed if name not in names]
    reasons = {
        "it has no periods": r.period is None,
        "every unit is a cluster of its own": r.cluster in (None, r.unit) or r.unit in homes,
        "rates divide each row by a column of its own": any(o.kind == "rate" for o in r.outcomes),
        "shares of neighbours are held row by row": any(neighbour_columns(c) for c in r.components),
        "chance dealt a component, and is inferred from person by person": any(
            c.assigned is not None or c.compliance is not None for c in r.components
        ),
        "an outcome waits for an event, which is each person's own": any(o.waits for o in r.outcomes),
        "payments are reckoned person by person": bool(
            {"rate_card", "claims"} & set(r.money.given() if r.money else ())
        ),
        "cells of some columns are read as something else than they hold": any(map(r.cells().changes, needed)),
        _lost(lost, r): bool(lost),
        "some of its columns differ only in capital letters": len(set(folded)) < len(folded),
    }
    if why := next((why for why, true in reasons.items() if true), ""):
        return why
    fixed = [r.cluster, r.weights, *homes, *(c.reach for c in r.components), *(link.to for link in r.levels.values())]
    still = tuple(dict.fromkeys(n for n in fixed if n is not None))
    changing = [*(r.exposure_of(c, columns) for c in r.components), *needed]
    moving = dict.fromkeys(n for n in changing if n is not None and n not in (r.unit, r.period, *still))
    outcomes = tuple(o.column for o in r.outcomes if o.column in names)
    return Wanted(r.unit, str(r.period), still, tuple(moving), outcomes)
