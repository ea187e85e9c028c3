"""Rows that stay where they are: a panel as DuckDB reads it, and what went wrong there, with the file it was in."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard

import pandas as pd

from evalkit.errors import OptionError, StudyError
from evalkit.study.formats import file_errors, is_parquet, parquet_rows, said
from evalkit.study.frame import FileSource, FrameSource, Source, Table

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir
    import pyarrow as pa

MEMORY = "1GB"
"""What DuckDB may hold of a panel at a time, if nothing else is said; the rest waits on disk."""
ROWS = "panel_rows"
"""The panel's name in queries."""
_MISSING = ("", "#N/A", "N/A", "NA", "<NA>", "NULL", "NaN", "None", "n/a", "nan", "null")
_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN)")


class Relation(Protocol):
    """A relation of DuckDB: a query that is not yet run."""

    columns: list[str]
    types: list[object]

    def project(self, columns: str) -> Relation: ...
    def to_arrow_reader(self, batch_size: int) -> pa.RecordBatchReader: ...


def is_relation(panel: object) -> TypeGuard[Relation]:
    """Whether something is a relation of DuckDB."""
    return hasattr(panel, "project") and hasattr(panel, "to_arrow_reader") and hasattr(panel, "columns")


def is_expression(panel: object) -> TypeGuard[ir.Table]:
    """Whether something is a table of ibis: a query that is not yet run, in whatever engine."""
    return any(c.__name__ == "Table" and c.__module__.startswith("ibis.") for c in type(panel).__mro__)


def quoted(name: str) -> str:
    """A column's name as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def has_duckdb() -> bool:
    """Whether DuckDB is installed, as young as is needed here."""
    try:
        import duckdb
    except ImportError:
        return False
    return hasattr(duckdb.DuckDBPyRelation, "to_arrow_reader")


@dataclass(frozen=True, eq=False)
class Scan:
    """A panel that DuckDB can go through as often as is needed: files, a relation, or a table in memory.

    given: the table in memory, or the relation; None for files. text: columns of a CSV file that are read as text.
    """

    where: str
    columns: tuple[str, ...]
    files: tuple[Path, ...] = ()
    given: object = None
    text: frozenset[str] = frozenset()
    delimiter: str = ","

    def of(self, columns: Iterable[str]) -> Scan:
        """The same with some of its columns only."""
        return replace(self, columns=tuple(dict.fromkeys(columns)))

    @property
    def named(self) -> str:
        """What to call it in messages."""
        names = ", ".join(f.name for f in self.files[:3]) + (" ..." if len(self.files) > 3 else "")
        return f"{self.where} ({names})" if self.files else self.where

    def query(self, files: tuple[Path, ...] = ()) -> str:
        """What stands after FROM, for files."""
        listed = ", ".join(literal(re.sub(r"([*?\[])", r"[\1]", str(f))) for f in files or self.files)
        if is_parquet(self.files[0]):
            return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        types = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in sorted(self.text & set(self.columns)))
        known = f", types = {{{types}}}" if types else ""
        empty = ", ".join(map(literal, _MISSING))
        return (
            f"read_csv([{listed}], header = true, delim = {literal(self.delimiter)}, quote = '\"', sample_size = -1, "
            f"nullstr = [{empty}], union_by_name = true, hive_partitioning = false{known})"
        )


def scan_of(panel: Table | Source | Relation, where: str, text: frozenset[str]) -> Scan | None:
    """A panel as DuckDB can scan it; None for files of other kinds, and CSV files that are written in another way."""
    if isinstance(panel, FrameSource):
        return scan_of(panel.frame, where, text)
    if isinstance(panel, FileSource):
        forms = [o.form for o in panel.opened]
        plain = all(form is not None and form.encoding.lower().startswith(("utf", "ascii")) for form in forms)
        if all(is_parquet(f) for f in panel.files):
            return Scan(where, panel.columns, panel.files)
        if plain and len({form.delimiter for form in forms if form is not None}) == 1:
            first = forms[0]
            assert first is not None
            return Scan(where, panel.columns, panel.files, None, text, first.delimiter)
        return None
    if isinstance(panel, pd.DataFrame):
        plain = all(isinstance(c, str) for c in panel.columns) and not any(n is not None for n in panel.index.names)
        return Scan(where, tuple(panel.columns), (), panel) if plain else None
    if is_relation(panel):
        return Scan(where, tuple(panel.columns), (), panel)
    return None


def count_rows(scan: Scan) -> int:
    """How many rows there are, as far as that can be said without reading them: CSV files by their size."""
    if isinstance(scan.given, pd.DataFrame):
        return len(scan.given)
    if not scan.files:
        with Session(scan.of(scan.columns[:1])) as session:
            return int(session.frame(f"SELECT count(*) AS n FROM {ROWS}")["n"].iloc[0])
    if is_parquet(scan.files[0]):
        return sum(parquet_rows(f, scan.where) for f in scan.files)
    return sum(f.stat().st_size for f in scan.files) // 50


@dataclass(frozen=True, eq=False)
class Session:
    """A connection of its own to DuckDB, which keeps what does not fit into `memory` in a folder that goes with it.

    Raises `OptionError` where `memory` is no amount, and `StudyError`, which names the file, where rows cannot be read
    or do not fit.
    """

    scan: Scan
    memory: str = MEMORY
    _folder: str = field(init=False, repr=False)
    _base: duckdb.DuckDBPyConnection = field(init=False, repr=False)
    _ready: list[bool] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        import duckdb

        folder = tempfile.mkdtemp(prefix="evalkit-rows-")
        how: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory, "temp_directory": folder, "preserve_insertion_order": False,
        }  # fmt: skip
        try:
            base = duckdb.connect(config=how)
            base.execute("SET enable_progress_bar = false")
        except duckdb.Error as error:
            shutil.rmtree(folder, ignore_errors=True)
            advice = "Give an amount such as '2GB'."
            raise OptionError(f"memory={self.memory!r} is no amount of memory ({said(error)}). {advice}") from None
        object.__setattr__(self, "_folder", folder)
        object.__setattr__(self, "_base", base)
        weakref.finalize(self, _close, base, folder)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection and remove what it kept on disk."""
        _close(self._base, self._folder)

    def kinds(self) -> Mapping[str, str]:
        """The type of each column."""
        if is_relation(self.scan.given):
            types = dict(zip(self.scan.given.columns, map(str, self.scan.given.types), strict=True))
            return {c: types[c] for c in self.scan.columns}
        found = self.frame(f"DESCRIBE SELECT {', '.join(map(quoted, self.scan.columns))} FROM {ROWS}")
        return dict(zip(found["column_name"], found["column_type"], strict=True))

    def run(self, query: str) -> None:
        """A statement in which the panel is called `panel_rows`, once."""
        with self._told():
            self._bind(query)
            self._base.execute(query)

    def frame(self, query: str) -> pd.DataFrame:
        """The answer to a query, which is small."""
        with self._told():
            self._bind(query)
            return self._base.sql(query).to_arrow_table().to_pandas()

    def keep(self, name: str, query: str) -> None:
        """The answer to a query as a table on disk, which `kept` names."""
        self._base.execute(f"ATTACH IF NOT EXISTS {literal(str(Path(self._folder) / 'kept.duckdb'))} AS kept")
        self.run(f"CREATE OR REPLACE TABLE {self.kept(name)} AS {query}")

    def kept(self, name: str) -> str:
        """What was kept, as queries name it."""
        return f"kept.{quoted(name)}"

    def batches(self, query: str, rows: int = 200_000) -> Iterator[pa.RecordBatch]:
        """The answer to a query in parts, in any order."""
        with self._told():
            self._bind(query)
            yield from self._base.sql(query).to_arrow_reader(rows)

    def _bind(self, query: str) -> None:
        """Let the panel be known by its name; a stream can be read once."""
        if self.scan.files and not self._ready:
            columns = ", ".join(map(quoted, self.scan.columns))
            self._base.execute(f"CREATE TEMP VIEW {ROWS} AS SELECT {columns} FROM {self.scan.query()}")
            self._ready.append(True)
        elif not self.scan.files and ROWS in query:
            self._base.register(ROWS, self._stream())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What DuckDB, or whoever gives it rows, raises, in words."""
        import duckdb

        unread: tuple[type[Exception], ...] = (duckdb.Error, *file_errors())
        try:
            yield
        except unread as error:
            raise self._failed(error) from error

    def _stream(self) -> object:
        columns = list(self.scan.columns)
        if isinstance(self.scan.given, pd.DataFrame):
            return self.scan.given[columns]
        relation: Relation = self.scan.given  # type: ignore[assignment]
        return relation.project(", ".join(map(quoted, columns))).to_arrow_reader(100_000)

    def _failed(self, error: Exception) -> StudyError:
        """What went wrong, and in which file."""
        import duckdb

        scan, words = self.scan, said(error)
        if isinstance(error, duckdb.OutOfMemoryException):
            advice = "Give more, memory='4GB', or make room where temporary files go."
            return StudyError(f"{scan.named} does not fit into memory={self.memory!r} and the disk. {advice}")
        if gone := [f for f in scan.files if not f.is_file()]:
            return StudyError(f"{scan.where}: {gone[0].name} is no longer there: it went while it was being read.")
        for file in scan.files:
            try:
                every = f"hash({', '.join(map(quoted, scan.columns))})"  # a count would be read from the footer
                self._base.execute(f"SELECT bit_xor({every}) FROM {scan.query((file,))}").fetchall()
            except (duckdb.Error, OSError) as own:
                advice = "Is the file whole? Write it again."
                return StudyError(f"{scan.where}: {file.name} cannot be read ({said(own)}). {advice}")
        return StudyError(f"{scan.named} cannot be read ({words}).")


def _close(base: duckdb.DuckDBPyConnection, folder: str) -> None:
    base.close()
    shutil.rmtree(folder, ignore_errors=True)


def is_numeric(kind: str) -> bool:
    """Whether a type of DuckDB holds numbers, or yes and no."""
    return bool(_NUMBERS.fullmatch(kind))
