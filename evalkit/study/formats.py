"""Files that are no CSV: spreadsheets, Stata, SPSS, Parquet, Feather. Their columns' names, and their columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.errors import KeyNeeded, StudyError
from evalkit.study.reading import Reading

if TYPE_CHECKING:
    import pyarrow as pa

SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
ARROW = (".parquet", ".pq", ".feather", ".arrow")
STATISTICS = (".dta", ".sav", ".zsav", ".por")
TABLES = (*SPREADSHEETS, *ARROW, *STATISTICS)
"""Endings of files that hold a table and are no text."""
READERS = "Install the readers: pip install 'evalkit-components[files]', or save it as CSV."
_NAMELESS = re.compile(r"__index_level_\d+__")
_CALLED = {**dict.fromkeys(SPREADSHEETS, "a spreadsheet"), ".dta": "Stata", ".sav": "SPSS", ".zsav": "SPSS",
           ".por": "SPSS", ".parquet": "Parquet", ".pq": "Parquet", ".feather": "Feather",
           ".arrow": "Feather"}  # fmt: skip


def form_of(file: Path) -> str:
    """What a file is called in messages: Parquet, Stata, a spreadsheet; CSV for any other."""
    return _CALLED.get(file.suffix.lower(), "CSV")


def is_table(file: Path) -> bool:
    """Whether a file is one of these, by its ending."""
    return file.suffix.lower() in TABLES


def is_parquet(file: Path) -> bool:
    """Whether columns of the file can be read one by one, from Parquet."""
    return file.suffix.lower() in (".parquet", ".pq")


def parquet(file: Path, where: str) -> ModuleType:
    """pyarrow's reader of Parquet files, imported when the first one is read; `StudyError` where it is not there."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise StudyError(f"{where}: {file.name} needs pyarrow. {READERS}") from None
    return pyarrow.parquet


def parquet_kinds(file: Path, where: str) -> dict[str, str]:
    """The columns of a Parquet file, and what each holds: numbers, text, dates; "" for nothing. No value is read. A
    nameless index that pandas kept is none of them."""
    reader = parquet(file, where)
    try:
        schema = reader.read_schema(file)
    except file_errors() as error:
        raise StudyError(f"{where}: {file.name} cannot be read as Parquet ({said(error)}).") from None
    held = zip(map(str, schema.names), schema.types, strict=True)
    return {name: _kind(kind) for name, kind in held if not _NAMELESS.fullmatch(name)}


def _kind(kind: pa.DataType) -> str:
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    if t.is_null(kind):
        return ""
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_boolean(kind):
        return "numbers"
    if t.is_date(kind) or t.is_timestamp(kind):
        return "dates"
    return "text" if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind) else str(kind)


def parquet_rows(file: Path, where: str) -> int:
    """How many rows a Parquet file has; no value is read."""
    try:
        return int(parquet(file, where).read_metadata(file).num_rows)
    except file_errors() as error:
        raise StudyError(f"{where}: {file.name} cannot be read as Parquet ({said(error)}).") from None


def parquet_columns(file: Path, names: list[str], where: str) -> pd.DataFrame:
    """Some columns of a Parquet file."""
    reader = parquet(file, where)
    unread: tuple[type[Exception], ...] = (*arrow_errors(), OSError, ValueError)
    try:
        # pandas' own notes would turn columns into an index, or ask for one that was not read
        return reader.read_table(file, columns=names).to_pandas(ignore_metadata=True)
    except unread as error:
        what = f"columns {', '.join(names)} of {file.name} cannot be read"
        raise StudyError(f"{where}: {what} ({said(error)}).") from None


def arrow_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises; nothing where it is not installed."""
    try:
        from pyarrow import ArrowException
    except ImportError:
        return ()
    return (ArrowException,)


def file_errors() -> tuple[type[Exception], ...]:
    """What reading or writing a file of Arrow's raises."""
    return (OSError, *arrow_errors())


def said(error: Exception) -> str:
    """What an error says, in one short line."""
    return str(error).split("\n")[0][:200].rstrip(".")


def arrow_table(given: object, where: str) -> pd.DataFrame:
    """A table of another library, through its Arrow stream."""
    try:
        import pyarrow
    except ImportError:
        what = f"{where} is a {type(given).__name__}, which needs pyarrow"
        raise StudyError(f"{what}. {READERS.partition(',')[0]}, or give a pandas DataFrame.") from None
    return pyarrow.table(given).to_pandas()


def whole_table(file: Path, reading: Reading, where: str, every_word: bool = False) -> pd.DataFrame:
    """The file's table. Labelled values of Stata and SPSS are their labels, but for 0 and 1, which stay numbers.

    every_word: of a spreadsheet, words such as NA as words, which else stand for nothing.

    Raises `StudyError` where the reader is not installed, the file is damaged, or a spreadsheet has several sheets
    with something in them and none is named.
    """
    ending = file.suffix.lower()
    if ending == ".xls":
        raise StudyError(f"{where}: {file.name} is of an Excel before 2007. Save it as .xlsx, or as CSV.")
    if ending in SPREADSHEETS:
        return _spreadsheet(file, reading, where, every_word)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".dta": _stata}
    readers |= dict.fromkeys((".feather", ".arrow"), pd.read_feather) | dict.fromkeys((".sav", ".zsav", ".por"), _spss)
    return _tried(lambda: readers[ending](file), file, where)


def _tried(read: Callable[[], pd.DataFrame], file: Path, where: str) -> pd.DataFrame:
    """What a reader gives; whatever it raises, in words."""
    try:
        return read()
    except ImportError as error:
        raise StudyError(f"{where}: {file.name} needs {error.name or 'a reader that is not here'}. {READERS}") from None
    except StudyError:
        raise
    except Exception as error:  # readers of other packages raise anything on damaged files
        what = f"{where}: {file.name} cannot be read as {form_of(file)} ({said(error) or type(error).__name__})"
        raise StudyError(f"{what}. Is the file whole? Save it again, or as CSV.") from error


def _spreadsheet(file: Path, reading: Reading, where: str, every_word: bool) -> pd.DataFrame:
    sheets: dict[str, pd.DataFrame] = {}

    def read() -> pd.DataFrame:
        how = {"keep_default_na": False, "na_values": [""]} if every_word else {}
        sheets.update(pd.read_excel(file, sheet_name=None, header=None, dtype=object, **how))
        return pd.DataFrame()

    _tried(read, file, where)
    filled = {name: sheet.dropna(how="all").dropna(how="all", axis=1) for name, sheet in sheets.items()}
    filled = {name: sheet for name, sheet in filled.items() if len(sheet)}
    if reading.sheet in filled:
        return _headed(filled[str(reading.sheet)], file, where)
    if not filled:
        raise StudyError(f"{where}: {file.name} is empty.")
    listed = ", ".join(map(repr, filled))
    if len(filled) > 1:
        # A key names the sheet of the panel; a small table beside it may have one sheet of its own.
        what = f"{where}: {file.name} has {len(filled)} sheets with something in them: {listed}"
        largest = max(filled, key=lambda name: len(filled[name]))
        raise KeyNeeded(f"{what}. Write sheet = {largest!r} in [study], or keep one.", "sheet", largest)
    return _headed(next(iter(filled.values())), file, where)


def _headed(cells: pd.DataFrame, file: Path, where: str) -> pd.DataFrame:
    """The table under the first row of a sheet; a title above the headings is refused, a column without one too."""
    names, body = list(cells.iloc[0]), cells.iloc[1:].reset_index(drop=True)
    if nameless := [i for i, name in enumerate(names) if pd.isna(name)]:
        first = int(cells.columns[nameless[0]])
        what = f"{where}: column {_letters(first)} of {file.name} has values and no heading in row {cells.index[0] + 1}"
        raise StudyError(f"{what}. Put the headings into the first row, with no title above them, one to a column.")
    body.columns = [str(n).strip() for n in names]
    return body.apply(_typed) if len(body) else body


def _letters(column: int) -> str:
    """How a spreadsheet calls a column: A, B, ..., Z, AA."""
    out = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        out = chr(ord("A") + rest) + out
    return out


def _typed(column: pd.Series) -> pd.Series:
    """A column of a spreadsheet by what its cells are: numbers, dates, yes and no, text; mixtures stay as they are."""
    plain = column.infer_objects()
    if plain.dtype != object:
        return plain
    kinds = {type(v) for v in plain.dropna()}
    if kinds and kinds <= {int, float, np.float64, np.int64}:
        return plain.astype(np.float64)
    if kinds and all(issubclass(k, pd.Timestamp) or k.__name__ == "datetime" for k in kinds):
        return pd.to_datetime(plain)
    return plain


def _labelled(column: pd.Series, labels: Mapping) -> pd.Series:
    """Codes as their labels where every code has one of its own, and they are not 0 and 1 only."""
    codes = set(pd.unique(column.dropna()))
    if not labels or codes <= {0, 1} or not codes <= set(labels) or len(set(labels.values())) < len(labels):
        return column
    return column.map(labels)


def _stata(file: Path) -> pd.DataFrame:
    with pd.io.stata.StataReader(file, convert_categoricals=False) as reader:
        table, labels = reader.read(), reader.value_labels()
        named: Sequence[str] = getattr(reader, "_lbllist", [])
    known = dict(zip(table.columns, named, strict=True)) if len(named) == len(table.columns) else {}
    return table.apply(lambda c: _labelled(c, labels.get(known.get(c.name, ""), {})))


def _spss(file: Path) -> pd.DataFrame:
    import pyreadstat

    read = pyreadstat.read_por if file.suffix.lower() == ".por" else pyreadstat.read_sav
    table, said = read(str(file))
    labels = said.variable_value_labels
    return table.apply(lambda c: _labelled(c, labels.get(c.name, {})))
