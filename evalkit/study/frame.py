"""Where the rows are: a frame, anything with an Arrow stream, CSV or Parquet files.

A source gives its columns one at a time, so that no column is read before it is asked for.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.errors import Problem, StudyError, first_rows, suggest
from evalkit.show.words import count_words


class ArrowTable(Protocol):
    """A table of another library, such as polars, that can be read as an Arrow stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Table: TypeAlias = pd.DataFrame | ArrowTable | str | Path
"""What users give as a table: a frame, anything with an Arrow stream, or the path of CSV or Parquet files."""


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Columns of a pandas frame. The frame is shared, never written to."""

    frame: pd.DataFrame = field(repr=False)
    where: str = "the panel"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> pd.Series:
        found = self.frame[name]
        if isinstance(found, pd.DataFrame):
            raise StudyError(f"{self.where} has {found.shape[1]} columns called {name!r}. Rename all but one.")
        return found

    def prefetch(self, names: Iterable[str]) -> None:
        """Nothing to do: the columns are in memory."""

    def labels(self, rows: np.ndarray) -> list[object]:
        """How the user knows these rows: their index labels."""
        return list(self.frame.index[rows])


@dataclass(frozen=True, eq=False)
class FileSource:
    """Columns of CSV or Parquet files, each read from disk when it is first asked for."""

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    where: str
    _read: dict[str, pd.Series] = field(default_factory=dict, repr=False)

    @property
    def n_rows(self) -> int:
        if all(_is_parquet(f) for f in self.files):
            return sum(_parquet().read_metadata(f).num_rows for f in self.files)
        return len(self.column(self.columns[0]))

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several columns in one pass over the files."""
        wanted = [n for n in dict.fromkeys(names) if n in self.columns and n not in self._read]
        if wanted:
            parts = [_read_columns(f, wanted, self.where) for f in self.files]
            table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
            self._read.update({name: table[name] for name in wanted})

    def column(self, name: str) -> pd.Series:
        self.prefetch([name])
        return self._read[name]

    def labels(self, rows: np.ndarray) -> list[object]:
        """Row numbers, the first row after the heading being 0."""
        return [int(r) for r in rows]


Source = FrameSource | FileSource


def open_source(panel: Table | Source, where: str = "the panel") -> Source:
    """A `Source` for a frame, an Arrow stream, or the path or glob of CSV or Parquet files.

    Raises `StudyError` when there is nothing there or it cannot be read as a table.
    """
    if isinstance(panel, FrameSource | FileSource):
        return panel
    if isinstance(panel, pd.DataFrame):
        return FrameSource(panel.copy(deep=False), where)
    if isinstance(panel, (str, Path)):
        return _open_files(str(panel), where)
    if hasattr(panel, "__arrow_c_stream__"):
        return FrameSource(pa.table(panel).to_pandas(), where)
    advice = "Give a DataFrame (pandas, polars or another with an Arrow stream) or the path of CSV or Parquet files."
    raise StudyError(f"{where} is a {type(panel).__name__}. {advice}")


def read_table(table: Table | Source, where: str) -> pd.DataFrame:
    """A small table (spells, people, links) as a frame of its own."""
    source = open_source(table, where)
    if isinstance(source, FrameSource):
        return source.frame
    source.prefetch(source.columns)
    return pd.DataFrame({name: source.column(name) for name in source.columns})


def _open_files(pattern: str, where: str) -> FileSource:
    found = [] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))
    files = tuple(Path(p) for p in found) or (Path(pattern),)
    if missing := [f for f in files if not f.is_file()]:
        advice = "Check the path; globs such as 'panel/*.parquet' are read too."
        raise StudyError(f"{where}: there is no file {str(missing[0])!r}. {advice}")
    columns, *others = (_read_columns(file, None, where) for file in files)
    for file, have in zip(files[1:], others, strict=True):
        if odd := sorted(set(have.columns) ^ set(columns.columns)):
            differs = f"differs in {', '.join(odd[:5])}"
            raise StudyError(f"{where}: {file.name} does not have the columns of {files[0].name} ({differs}).")
    return FileSource(files, tuple(columns.columns), where)


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in (".parquet", ".pq")


def _parquet() -> ModuleType:
    """pyarrow's reader of Parquet files, imported when the first one is read."""
    import pyarrow.parquet

    return pyarrow.parquet


def _read_columns(file: Path, names: list[str] | None, where: str) -> pd.DataFrame:
    """Some columns of a file; without names all of them and no row."""
    try:
        if _is_parquet(file):
            if names is None:
                return pd.DataFrame(columns=[str(c) for c in _parquet().read_schema(file).names])
            return _parquet().read_table(file, columns=names).to_pandas()
        return pd.read_csv(file, usecols=names, low_memory=False, nrows=0 if names is None else None)
    except (pa.ArrowException, OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        what = f"{file.name} cannot be read as {'Parquet' if _is_parquet(file) else 'CSV'}"
        if names:
            what = f"columns {', '.join(names)} of {file.name} cannot be read"
        raise StudyError(f"{where}: {what} ({error}).") from None


def key_array(column: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """A column as numbers that can be compared quickly, and what the numbers stand for.

    Numbers and dates stand for themselves (second value None). Text, categories and
    other objects become positions in an array of their distinct values.
    """
    if column.dtype.kind in "iufM" and isinstance(column.dtype, np.dtype):
        return column.to_numpy(), None
    codes, values = pd.factorize(column)
    return codes, np.asarray(values, dtype=object)


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


def check_present(columns: Columns, name: str, role: str) -> list[Problem]:
    """Every row must have a value."""
    if not columns.has(name):
        return []
    series = columns.series(name)
    whole = isinstance(series.dtype, np.dtype) and series.dtype.kind in "iub"  # such columns miss nothing
    gone = np.empty(0) if whole else np.flatnonzero(series.isna().to_numpy())
    if not len(gone):
        return []
    where, advice = say_rows(columns.panel, gone), "Fill these in or leave the rows out."
    if not columns.in_panel(name):
        where, advice = columns.say(name, gone), "Fill these in."
    return [Problem(f"{role} {name!r} is missing in {count_words(len(gone), 'row')}", where, advice)]


def check_numbers(
    series: pd.Series, name: str, role: str, say: Callable[[np.ndarray], str]
) -> tuple[np.ndarray | None, list[Problem]]:
    """A column as numbers, if all are there, finite and not negative; else what is wrong.

    say: puts positions of rows in words.
    """
    values, text = numbers(series)
    gone = np.setdiff1d(np.flatnonzero(np.isnan(values)), text) if values.dtype.kind == "f" else text[:0]
    advice = "Missing is not 0: fill these in or leave the rows out."
    wrong = (
        (text, f"holds text such as {series.iloc[text[0]]!r}" if len(text) else "", "Write numbers only."),
        (gone, f"is missing in {count_words(len(gone), 'row')}", advice),
        (np.flatnonzero(np.isinf(values)), "is infinite", "Write finite numbers."),
        (np.flatnonzero(values < 0), "is negative", "Use 0 or more."),
    )
    problems = [
        Problem(f"{role} {name!r} {what}", say(rows), next_step) for rows, what, next_step in wrong if len(rows)
    ]
    return (None if problems else values), problems
