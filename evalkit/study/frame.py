"""Where the rows are: a frame, anything with an Arrow stream, CSV or Parquet files.

A source gives its columns one at a time, so that no column is read before it is asked for. The form of a file (rows
as long as the header, names once, UTF-8) is looked at when it is opened; what its values mean in `schema`.
"""

from __future__ import annotations

import csv
import glob
import gzip
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Protocol, TextIO, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.errors import Problem, StudyError, first_rows, raise_problems, suggest


class ArrowTable(Protocol):
    """A table of another library, such as polars, that can be read as an Arrow stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Table: TypeAlias = pd.DataFrame | ArrowTable | str | Path
"""What users give as a table: a frame, anything with an Arrow stream, or the path of CSV or Parquet files."""


_PACKED = b"\x1f\x8b"
"""How a file packed by gzip begins."""


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Columns of a pandas frame. The frame is shared, never written to."""

    frame: pd.DataFrame = field(repr=False)
    where: str = "the panel"

    def __post_init__(self) -> None:
        _check_names(list(self.frame.columns), self.where)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> pd.Series:
        return self.frame[name]

    def prefetch(self, names: Iterable[str]) -> None:
        """Nothing to do: the columns are in memory."""

    def labels(self, rows: np.ndarray) -> list[object]:
        """How the user knows these rows: their index labels."""
        return list(self.frame.index[rows])


@dataclass(frozen=True, eq=False)
class FileSource:
    """Columns of CSV or Parquet files, each read from disk when it is first asked for. ids: columns of names and
    numbers of things, which a CSV file keeps as they are written ('007' is no 7)."""

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    where: str
    ids: Collection[str] = ()
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
            parts = [_read_columns(f, wanted, self.where, self.ids) for f in self.files]
            table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
            self._read.update({name: as_ids(table[name]) if name in self.ids else table[name] for name in wanted})

    def column(self, name: str) -> pd.Series:
        self.prefetch([name])
        return self._read[name]

    def labels(self, rows: np.ndarray) -> list[object]:
        """Row numbers, the first row after the heading being 0."""
        return [int(r) for r in rows]


Source = FrameSource | FileSource


def open_source(panel: Table | Source, where: str = "the panel", ids: Collection[str] = ()) -> Source:
    """A `Source` for a frame, an Arrow stream, or the path or glob of CSV or Parquet files.

    ids: see `FileSource`. Raises `StudyError` when there is nothing there, it cannot be read as a table, two columns
    have one name, or a row of a CSV file does not have the columns of its header.
    """
    if isinstance(panel, FrameSource):
        return panel
    if isinstance(panel, FileSource):
        return replace(panel, ids=frozenset(ids), _read={}) if set(ids) - set(panel.ids) else panel
    if isinstance(panel, pd.DataFrame):
        return FrameSource(panel.copy(deep=False), where)
    if isinstance(panel, (str, Path)):
        return _open_files(str(panel), where, ids)
    if hasattr(panel, "__arrow_c_stream__") and not isinstance(panel, pd.Series):
        return FrameSource(pa.table(panel).to_pandas(), where)
    advice = "Give a DataFrame (pandas, polars or another with an Arrow stream) or the path of CSV or Parquet files."
    raise StudyError(f"{where} is a {type(panel).__name__}. {advice}")


def read_table(table: Table | Source, where: str, ids: Collection[str]) -> pd.DataFrame:
    """A small table (spells, people, links) as a frame of its own. ids: see `FileSource`."""
    source = open_source(table, where, ids)
    if isinstance(source, FrameSource):
        return source.frame
    source.prefetch(source.columns)
    return pd.DataFrame({name: source.column(name) for name in source.columns})


def find_files(pattern: str, where: str) -> tuple[Path, ...]:
    """The files of a path or glob, in order; `StudyError` where there are none."""
    try:
        found = [] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))
        files = tuple(Path(p) for p in found) or (Path(pattern),)
        missing = [f for f in files if not f.is_file()]
    except (OSError, ValueError) as error:
        raise StudyError(f"{where} is no path ({getattr(error, 'strerror', None) or error}).") from None
    if missing:
        advice = "Check the path; globs such as 'panel/*.parquet' are read too."
        raise StudyError(f"{where}: there is no file {str(missing[0])!r}. {advice}")
    return files


def _open_files(pattern: str, where: str, ids: Collection[str]) -> FileSource:
    files = find_files(pattern, where)
    columns, *others = (_names_of(file, where) for file in files)
    for file, have in zip(files[1:], others, strict=True):
        if odd := sorted(set(have) ^ set(columns)):
            differs = f"differs in {', '.join(odd[:5])}"
            raise StudyError(f"{where}: {file.name} does not have the columns of {files[0].name} ({differs}).")
    return FileSource(files, tuple(columns), where, frozenset(ids))


def _check_names(names: list, where: str) -> None:
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise StudyError(f"{where} has {names.count(twice[0])} columns called {twice[0]!r}. Rename all but one.")


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in (".parquet", ".pq")


def _parquet() -> ModuleType:
    """pyarrow's reader of Parquet files, imported when the first one is read."""
    import pyarrow.parquet

    return pyarrow.parquet


def _names_of(file: Path, where: str) -> list[str]:
    """The names of a file's columns; a CSV file is looked through, each row beside its header."""
    try:
        if _is_parquet(file):
            names = [str(c) for c in _parquet().read_schema(file).names]
        else:
            with _open_text(file, where) as text:
                lines = islice(text, 1) if _is_even(file) else _lines(text, file, where)
                names = _header(csv.reader(lines, strict=True), file, where)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        form = "Parquet" if _is_parquet(file) else "CSV"
        advice = " Save it as CSV UTF-8." if isinstance(error, UnicodeDecodeError) else ""
        raise StudyError(f"{where}: {file.name} cannot be read as {form} ({_said(error)}).{advice}") from None
    _check_names([name for name in names if name], f"{where}: {file.name}")
    return names


def _said(error: Exception) -> str:
    """What an error says, in one short line."""
    return str(error).split("\n")[0][:200].rstrip(".")


def _open_text(file: Path, where: str) -> TextIO:
    """A text file, unpacked where it is packed; UTF-16 is named."""
    start = _start(file)
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise StudyError(f"{where}: {file.name} cannot be read as CSV: it is UTF-16. Save it as CSV UTF-8.")
    if start == _PACKED:
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _is_even(file: Path) -> bool:
    """Whether a file plainly is rows as long as its header: then they need not be looked at one by one."""
    raw = file.read_bytes()
    if any(sign in raw for sign in (b'"', b"\r", b"\0", b",,\n", _PACKED)) or b"\n" not in raw:
        return False
    if not all(raw[: raw.index(b"\n")].split(b",")):
        return False  # a column without a name is looked at for values
    signs = np.frombuffer(raw if raw.endswith(b"\n") else raw + b"\n", dtype=np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    commas = np.searchsorted(np.flatnonzero(signs == ord(",")), ends)
    return bool(commas[0] and (np.diff(commas, prepend=0) == commas[0]).all())


def _start(file: Path) -> bytes:
    with file.open("rb") as raw:
        return raw.read(2)


def _lines(text: TextIO, file: Path, where: str) -> Iterator[str]:
    quotes = 0
    for line in text:
        if "\0" in line:
            raise StudyError(f"{where}: {file.name} cannot be read as CSV: it holds the character NUL. Is it a table?")
        quotes += line.count('"')
        yield line
    if quotes % 2:
        what = "a quotation mark has no partner. Is the file whole?"
        raise StudyError(f"{where}: {file.name} cannot be read as CSV: {what}")


def _header(rows: Iterator[list[str]], file: Path, where: str) -> list[str]:
    """The names of the columns; rows that are longer or shorter than the header are refused."""
    names = next((row for row in rows if row), None)
    if names is None:
        raise StudyError(f"{where}: {file.name} cannot be read as CSV (it is empty).")
    for sign, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and sign in names[0]:
            advice = "Save it as CSV with commas between columns, and points in numbers."
            raise StudyError(f"{where}: {file.name} cannot be read as CSV: it has {word} between columns. {advice}")
    nameless = [j for j, name in enumerate(names) if not name]
    odd = []
    for i, row in enumerate(row for row in rows if row):
        if len(row) != len(names):
            odd.append((i, len(row)))
        elif any(row[j] and (j or row[0] not in (str(i), str(i + 1))) for j in nameless):  # the first may count rows
            what = f"{where}: a column of {file.name} has no name, but values such as in row {i}"
            raise StudyError(f"{what}. Name it, or leave it out.")
    if odd:
        what = f"{where}: {file.name} has {odd[0][1]} cells in row {odd[0][0]}, and {len(names)} columns"
        advice = 'Put a text or number with a comma in it into quotes ("1,012"), and end no row early.'
        raise_problems([Problem(what, first_rows((i for i, _ in odd[:5]), len(odd)), advice)])
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]


def _read_columns(file: Path, names: list[str], where: str, ids: Collection[str]) -> pd.DataFrame:
    """Some columns of a file; ids of a CSV file as text."""
    try:
        if _is_parquet(file):
            return _parquet().read_table(file, columns=names).to_pandas()
        text = {name: "str" for name in names if name in ids}
        packed = "gzip" if _start(file) == _PACKED else None
        form = {"encoding": "utf-8-sig", "compression": packed, "index_col": False, "low_memory": False}
        return pd.read_csv(file, usecols=names, dtype=text, **form)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, ValueError) as error:
        what = f"columns {', '.join(names)} of {file.name} cannot be read"
        raise StudyError(f"{where}: {what} ({_said(error)}).") from None


def as_ids(column: pd.Series) -> pd.Series:
    """Whole numbers where every id is written as one plainly (7 or 7.0); else the text as it stands."""
    if not pd.api.types.is_string_dtype(column.dtype):
        return column
    codes, distinct = pd.factorize(column)
    written = pd.Series(distinct, dtype="str")
    if not len(written) or not written.str.fullmatch(r"-?(?:0|[1-9][0-9]{0,14})(?:\.0+)?").all():
        return column
    numbers = pd.to_numeric(written).to_numpy().astype(np.int64)
    if (codes < 0).any():
        return pd.Series(np.where(codes < 0, np.nan, numbers[codes]), column.index)
    return pd.Series(numbers[codes], column.index)


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
