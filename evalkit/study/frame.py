"""Where the rows are: a frame, anything with an Arrow stream, files.

A source gives its columns one at a time, so that no column is read before it is asked for. The form of a file (rows
as long as the header, names once, UTF-8) is looked at when it is opened; what its values mean in `schema`.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd

from evalkit.errors import Problem, StudyError, first_rows, suggest
from evalkit.study.csvfiles import Form, cells_of_csv, form_of_csv, read_csv_columns
from evalkit.study.formats import (
    SPREADSHEETS,
    arrow_table,
    is_parquet,
    is_table,
    parquet_columns,
    parquet_kinds,
    parquet_rows,
    whole_table,
)
from evalkit.study.reading import Cells, Reading


class ArrowTable(Protocol):
    """A table of another library, such as polars, that can be read as an Arrow stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Table: TypeAlias = pd.DataFrame | ArrowTable | str | Path
"""What users give as a table: a frame, anything with an Arrow stream, or the path of CSV or Parquet files."""


NO_CELLS = Cells()
GONE = "words read as missing"
"""What a column of names, or a table, keeps among its attributes: column -> word -> its first row."""


@dataclass(frozen=True, eq=False)
class _Opened:
    """A file whose columns are known. form: of a CSV file; table: of a file that is read as a whole; kinds: of the
    columns of a Parquet file, "" where nothing is in them."""

    file: Path
    columns: tuple[str, ...]
    form: Form | None = None
    table: pd.DataFrame | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Columns of a pandas frame, levels of its index that have names among them. The frame is shared, never written
    to."""

    frame: pd.DataFrame = field(repr=False)
    where: str = "the panel"
    cells: Cells = NO_CELLS
    _read: dict[str, pd.Series] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_names(list(self.frame.columns), self.where)
        levels = [n for n in self.frame.index.names if n is not None and n not in self.frame.columns]
        if levels:
            named = {n: self.frame.index.get_level_values(n) for n in levels}
            object.__setattr__(self, "frame", self.frame.assign(**{str(n): v for n, v in named.items()}))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> pd.Series:
        if name not in self._read:
            self._read[name] = self.cells.read(name, self.frame[name])
        return self._read[name]

    def prefetch(self, names: Iterable[str]) -> None:
        """Nothing to do: the columns are in memory."""

    def labels(self, rows: np.ndarray) -> list[object]:
        """How the user knows these rows: their index labels."""
        return list(self.frame.index[rows])


@dataclass(frozen=True, eq=False)
class FileSource:
    """Columns of files, those of CSV or Parquet read from disk when they are first asked for. cells: how they are read;
    columns of names and numbers of things a CSV file keeps as they are written ('007' is no 7)."""

    opened: tuple[_Opened, ...]
    where: str
    cells: Cells = NO_CELLS
    _read: dict[str, pd.Series] = field(default_factory=dict, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(o.file for o in self.opened)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.opened[0].columns

    @property
    def n_rows(self) -> int:
        if all(is_parquet(f) for f in self.files):
            return sum(parquet_rows(f, self.where) for f in self.files)
        return len(self.column(self.columns[0]))

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several columns in one pass over the files."""
        wanted = [n for n in dict.fromkeys(names) if n in self.columns and n not in self._read]
        if wanted:
            parts = [_read_columns(o, wanted, self.cells, self.where) for o in self.opened]
            table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
            for name in wanted:
                plain = name in self.cells.ids or (name in self.cells.moments and not self.cells.reading.date_format)
                column = as_ids(table[name]) if plain else table[name]
                self._read[name] = self.cells.read(name, column)
                if name in self.cells.ids and column.isna().any():
                    self._read[name].attrs[GONE] = {name: self._gone(name, column.isna().to_numpy())}

    def _gone(self, name: str, missing: np.ndarray) -> dict[str, int]:
        """Words that stand where a column of names is missing, such as NA, and the first row of each."""
        parts = [
            cells for o in self.opened if (cells := _as_it_stands(o, name, self.cells.reading, self.where)) is not None
        ]
        if sum(map(len, parts)) != len(missing):
            return {}
        texts = pd.concat(parts, ignore_index=True)[missing]
        words = texts[texts.map(lambda v: isinstance(v, str) and v.strip() != "")]
        return {str(w): int(row) for row, w in words.drop_duplicates().items()}

    def column(self, name: str) -> pd.Series:
        self.prefetch([name])
        return self._read[name]

    def labels(self, rows: np.ndarray) -> list[object]:
        """Row numbers, the first row after the heading being 0."""
        return [int(r) for r in rows]


Source = FrameSource | FileSource


def open_source(panel: Table | Source, where: str = "the panel", cells: Cells = NO_CELLS) -> Source:
    """A `Source` for a frame, an Arrow stream, or the path or glob of files (CSV, spreadsheets, Stata, SPSS, Parquet,
    Feather).

    Raises `StudyError` when there is nothing there, it cannot be read as a table, two columns have one name, or a row
    of a CSV file does not have the columns of its header.
    """
    if isinstance(panel, (FrameSource, FileSource)):
        return panel if cells in (panel.cells, NO_CELLS) else replace(panel, cells=cells, _read={})
    if isinstance(panel, pd.DataFrame):
        return FrameSource(panel.copy(deep=False), where, cells)
    if isinstance(panel, (str, Path)):
        return _open_files(str(panel), where, cells)
    if hasattr(panel, "__arrow_c_stream__") and not isinstance(panel, pd.Series):
        return FrameSource(arrow_table(panel, where), where, cells)
    advice = "Give a DataFrame (pandas, polars or another with an Arrow stream) or the path of a file."
    raise StudyError(f"{where} is a {type(panel).__name__}. {advice}")


def read_table(table: Table | Source, where: str, cells: Cells) -> pd.DataFrame:
    """A small table (spells, people, links) as a frame of its own."""
    source = open_source(table, where, cells)
    if isinstance(source, FrameSource) and not any(map(cells.changes, source.columns)):
        return source.frame
    source.prefetch(source.columns)
    read = {name: source.column(name) for name in source.columns}
    made = pd.DataFrame(read, index=source.frame.index if isinstance(source, FrameSource) else None)
    gone = {name: words for column in read.values() for name, words in column.attrs.get(GONE, {}).items() if words}
    made.attrs |= {GONE: gone} if gone else {}
    return made


def find_files(pattern: str, where: str) -> tuple[Path, ...]:
    """The files of a path or glob, in order; `StudyError` where there are none."""
    try:
        inside = str(Path(glob.escape(pattern)) / "**" / "*.parquet") if Path(pattern).is_dir() else pattern
        found = [] if Path(pattern).is_file() else sorted(glob.glob(inside, recursive=True))
        files = tuple(Path(p) for p in found) or (Path(pattern),)
        missing = [f for f in files if not f.is_file()]
    except (OSError, ValueError) as error:
        raise StudyError(f"{where} is no path ({getattr(error, 'strerror', None) or error}).") from None
    if missing:
        advice = "Check the path; globs such as 'panel/*.parquet' are read too."
        raise StudyError(f"{where}: there is no file {str(missing[0])!r}. {advice}")
    return files


def _open_files(pattern: str, where: str, cells: Cells) -> FileSource:
    opened = tuple(_names_of(file, cells.reading, where) for file in find_files(pattern, where))
    for one in opened[1:]:
        if odd := sorted(set(one.columns) ^ set(opened[0].columns)):
            differs = f"differs in {', '.join(odd[:5])}"
            raise StudyError(
                f"{where}: {one.file.name} does not have the columns of {opened[0].file.name} ({differs})."
            )
    _check_kinds(opened, where)
    return FileSource(opened, where, cells)


def _check_kinds(opened: tuple[_Opened, ...], where: str) -> None:
    """A column of several Parquet files is of one kind in all of them."""
    known: dict[str, tuple[str, Path]] = {}
    for one in opened:
        for name, kind in one.kinds.items():
            first, file = known.setdefault(name, (kind, one.file)) if kind else ("", one.file)
            if kind != first:
                differs = f"holds {kind} in {one.file.name} and {first} in {file.name}"
                raise StudyError(f"{where}: column {name!r} {differs}. Write the files again with one type.")


def _check_names(names: list, where: str) -> None:
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise StudyError(f"{where} has {names.count(twice[0])} columns called {twice[0]!r}. Rename all but one.")


def _names_of(file: Path, reading: Reading, where: str) -> _Opened:
    """The names of a file's columns, and what is needed to read them; a CSV file is looked through."""
    if not is_table(file):
        form = form_of_csv(file, reading, where)
        found = _Opened(file, form.names, form=form)
    elif is_parquet(file):
        kinds = parquet_kinds(file, where)
        found = _Opened(file, tuple(kinds), kinds=kinds)
    else:
        table = whole_table(file, reading, where)
        found = _Opened(
            file, tuple(str(c) for c in table.columns), table=table.set_axis(map(str, table.columns), axis=1)
        )
    _check_names([name for name in found.columns if name], f"{where}: {file.name}")
    return found


def _read_columns(opened: _Opened, names: list[str], cells: Cells, where: str) -> pd.DataFrame:
    """Some columns of a file; ids of a CSV file as text."""
    if opened.form is not None:
        text = cells.ids | (cells.moments if cells.reading.date_format else frozenset())
        return read_csv_columns(opened.file, opened.form, names, text, cells.reading.as_text, where)
    if opened.table is not None:
        return opened.table[names]
    return parquet_columns(opened.file, names, where)


def _as_it_stands(opened: _Opened, name: str, reading: Reading, where: str) -> pd.Series | None:
    """A column of a CSV file or spreadsheet with every word in it; None of other files, in which no word is nothing."""
    if opened.form is not None:
        return cells_of_csv(opened.file, opened.form, name)
    if opened.file.suffix.lower() in SPREADSHEETS:
        table = whole_table(opened.file, reading, where, every_word=True)
        return table.set_axis(map(str, table.columns), axis=1)[name]
    return None


_PLAIN = r"-?(?:0|[1-9][0-9]{0,14})(?:\.0+)?"
_SOME = 50


def as_ids(column: pd.Series) -> pd.Series:
    """Whole numbers where every id is written as one plainly (7 or 7.0); else the text as it stands."""
    if not pd.api.types.is_string_dtype(column.dtype) or not _plainly(column.iloc[:_SOME].dropna()):
        return column
    codes, distinct = pd.factorize(column)
    if (numbers := plain_numbers(np.asarray(distinct, dtype=object))) is None:
        return column
    if (codes < 0).any():
        return pd.Series(np.where(codes < 0, np.nan, numbers[codes]), column.index)
    return pd.Series(numbers[codes], column.index)


def plain_numbers(texts: np.ndarray) -> np.ndarray | None:
    """The whole numbers that texts are, where each is written as one plainly; None where one is not, or none is."""
    written = pd.Series(texts, dtype="str")
    if not len(written) or not (_plainly(written.iloc[:_SOME]) and _plainly(written)):  # of millions, some tell
        return None
    return np.asarray(pd.to_numeric(written).to_numpy().astype(np.int64))


def _plainly(texts: pd.Series) -> bool:
    return bool(texts.astype("str").str.fullmatch(_PLAIN).all())


def key_array(column: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """A column as numbers that can be compared quickly, and what the numbers stand for.

    Numbers and dates stand for themselves (second value None). Text, categories and
    other objects become positions in an array of their distinct values.
    """
    if column.dtype.kind in "iufM" and isinstance(column.dtype, np.dtype):
        return column.to_numpy(), None
    codes, values = pd.factorize(column)
    return codes, np.asarray(values, dtype=object)


def match(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Position of each wanted value among the known ones, -1 where it is not there.

    Values are compared as they are; if that finds nothing, as text (1 and "1").
    """
    found = _first(pd.Index(wanted), pd.Index(known))
    if len(wanted) and (found < 0).all():
        found = _first(*(pd.Index([_as_text(v) for v in values], dtype=object) for values in (wanted, known)))
    return found


def _first(wanted: pd.Index, known: pd.Index) -> np.ndarray:
    first = np.flatnonzero(~known.duplicated())
    found = known[first].get_indexer(wanted)
    return np.where(found >= 0, first[found], -1) if len(first) else found


def _as_text(value: object) -> str:
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)


def say_rows(source: Source, rows: np.ndarray) -> str:
    """The first five rows in words."""
    return first_rows(source.labels(rows[:5]), total=len(rows))


def numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers, and the positions of entries that are text or the like.

    Whole numbers and booleans keep their own type (no copy); everything else becomes float64 with NaN where missing.
    """
    none = np.empty(0, dtype=np.intp)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iubf":
        return column.to_numpy(dtype=np.float64 if column.dtype.kind == "f" else None), none
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), none
    text = column.astype(object)
    odd = text.map(lambda v: not isinstance(v, (bool, np.bool_)) and not hasattr(v, "__float__"))
    found = pd.to_numeric(text.where(~odd, np.nan), errors="coerce")
    bad = np.flatnonzero(found.isna().to_numpy() & text.notna().to_numpy())
    # One word in a column of a CSV file makes every number in it text: name the words, not the numbers.
    words = bad[pd.to_numeric(text.iloc[bad].map(str), errors="coerce").isna().to_numpy()] if len(bad) else bad
    return found.to_numpy(dtype=np.float64, na_value=np.nan), words if len(words) else bad


def wrong_rows(table: pd.DataFrame, wrong: np.ndarray, what: str, where: str, advice: str) -> list[Problem]:
    """The problem with the rows of a small table where `wrong`, named by their labels; none when there are none."""
    rows = np.flatnonzero(wrong)
    return [Problem(what, f"{where}, {first_rows(table.index[rows[:5]], len(rows))}", advice)] if len(rows) else []


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

    def series(self, name: str) -> pd.Series:
        """A column of the panel, else of the people."""
        return self.panel.column(name) if self.in_panel(name) or self.people is None else self.people[name]

    def say(self, name: str, rows: np.ndarray) -> str:
        """The first five rows, of the table that holds a column, in words."""
        if self.in_panel(name) or self.people is None:
            return f"panel, {say_rows(self.panel, rows)}"
        return f"people, {first_rows(self.people.index[rows[:5]], len(rows))}"

    def absent(self, name: str, role: str) -> Problem:
        """The problem that there is no such column, with the nearest names."""
        known = [str(c) for c in self.panel.columns]
        if self.people is not None:
            known += [str(c) for c in self.people.columns if c not in known]
        return Problem(f"There is no column {name!r}", role, suggest(str(name), known, "The columns are"))
