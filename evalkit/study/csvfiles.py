"""CSV files as people have them: their encoding, the sign between columns, rows as long as their header, names once."""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from evalkit.errors import KeyNeeded, Problem, StudyError, first_rows, raise_problems, spelt
from evalkit.study.formats import said
from evalkit.study.reading import DELIMITERS, Reading

PACKED = b"\x1f\x8b"
"""How a file packed by gzip begins."""
_LOOKED_AT = 50
"""Rows that are looked at to find the sign between columns."""


@dataclass(frozen=True)
class Form:
    """How a CSV file is written. names: its header; encoding: as Python calls it; delimiter: between columns."""

    names: tuple[str, ...]
    encoding: str
    delimiter: str


def form_of_csv(file: Path, reading: Reading, where: str) -> Form:
    """The form of a file; it is looked through, each row beside its header.

    Raises `StudyError` for text of another encoding, a NUL, a quotation mark without its partner, two signs that could
    both stand between columns, rows that are longer or shorter than the header, and values without a heading.
    """
    encoding = _encoding(file) if _is_utf8(reading.encoding) else str(reading.encoding)
    try:
        delimiter = reading.delimiter or _delimiter(file, encoding, where)
        with _open_text(file, encoding) as text:
            lines = islice(text, 1) if _is_even(file, delimiter) else _lines(text, file, where)
            names = _header(csv.reader(lines, delimiter=delimiter, strict=True), file, where)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise _unread(file, error, where) from None
    return Form(tuple(names), encoding, delimiter)


def read_csv_columns(
    file: Path, form: Form, names: list[str], ids: Collection[str], as_text: bool, where: str
) -> pd.DataFrame:
    """Some columns of a file; ids as text, and everything where `as_text`."""
    text = {name: "str" for name in names if as_text or name in ids}
    packed = "gzip" if _start(file) == PACKED else None
    how = {"encoding": form.encoding, "compression": packed, "index_col": False, "low_memory": False}
    try:
        return pd.read_csv(file, usecols=names, dtype=text, sep=form.delimiter, **how)
    except (OSError, EOFError, UnicodeError, ValueError) as error:
        what = f"columns {', '.join(names)} of {file.name} cannot be read"
        raise StudyError(f"{where}: {what} ({said(error)}).") from None


def cells_of_csv(file: Path, form: Form, name: str) -> pd.Series:
    """A column as it is written, '' where nothing is."""
    packed = "gzip" if _start(file) == PACKED else None
    how = {"encoding": form.encoding, "compression": packed, "index_col": False}
    return pd.read_csv(file, usecols=[name], dtype="str", sep=form.delimiter, keep_default_na=False, **how)[name]


def _unread(file: Path, error: Exception, where: str) -> StudyError:
    what = f"{where}: {file.name} cannot be read as CSV ({said(error)})."
    if _start(file) == b"PK" and file.suffix.lower() == ".zip":
        return StudyError(f"{what} It is an archive: unpack it, or pack the table by gzip (.csv.gz).")
    if _start(file) == b"PK":
        return StudyError(f"{what} It is a spreadsheet by another name: give it the ending .xlsx, or save it as CSV.")
    if isinstance(error, UnicodeError):
        advice = ' Save it as CSV UTF-8, or write encoding = "cp1252" in [study] where it comes from an older Excel.'
        return KeyNeeded(what + advice, "encoding", "cp1252")
    return StudyError(what)


def _start(file: Path) -> bytes:
    with file.open("rb") as raw:
        return raw.read(2)


def _encoding(file: Path) -> str:
    """UTF-16 where a mark says so, in the file or in what it packs; else UTF-8, with or without a mark."""
    start = _start(file)
    if start == PACKED:
        try:
            with gzip.open(file, "rb") as raw:
                start = raw.read(2)
        except (OSError, EOFError):
            return "utf-8-sig"  # what is wrong with it is said when it is read
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _is_utf8(named: str | None) -> bool:
    """Whether text is UTF-8 as far as is said; it may begin with a mark, then."""
    return named is None or codecs.lookup(named).name in ("utf-8", "utf-8-sig")


def _open_text(file: Path, encoding: str) -> TextIO:
    """A text file, unpacked where it is packed."""
    if _start(file) == PACKED:
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _delimiter(file: Path, encoding: str, where: str) -> str:
    """The sign between columns: the only one that the header holds outside quotation marks, or the one by which the
    first rows are as long as the header."""
    with _open_text(file, encoding) as text:
        first = [line for line in islice(text, _LOOKED_AT + 1) if "\0" not in line]
    cells = {sign: _cells(first, sign) for sign in DELIMITERS}
    there = [sign for sign, counts in cells.items() if counts and counts[0] > 1]
    if len(there) < 2:
        return there[0] if there else ","
    even = [sign for sign in there if len(set(cells[sign])) == 1]
    if len(even) == 1:
        return even[0]
    if "," in there and not even:
        return ","  # rows that are too long or too short are named
    listed = " and ".join(map(repr, even or there))
    what = f"{where}: {file.name} has {listed} in its header, and either could stand between columns"
    sign = (even or there)[0]
    advice = f"Write delimiter = {sign!r} in [study], or put headings into quotes."
    raise KeyNeeded(f"{what}. {advice}", "delimiter", sign)


def _cells(lines: list[str], sign: str) -> list[int]:
    """How many cells each of some lines has."""
    try:
        rows = list(csv.reader(lines, delimiter=sign, strict=False))
    except csv.Error:
        return []
    counts = [len(row) for row in rows if row]
    return counts[:-1] if len(counts) > 2 else counts  # the last may be cut short within quotation marks


def _is_even(file: Path, delimiter: str) -> bool:
    """Whether a file plainly is rows as long as its header: then they need not be looked at one by one."""
    raw, sign = file.read_bytes(), delimiter.encode()
    if any(odd in raw for odd in (b'"', b"\r", b"\0", sign + sign + b"\n", PACKED)) or b"\n" not in raw:
        return False
    if not all(raw[: raw.index(b"\n")].split(sign)):
        return False  # a column without a name is looked at for values
    signs = np.frombuffer(raw if raw.endswith(b"\n") else raw + b"\n", dtype=np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    between = np.searchsorted(np.flatnonzero(signs == ord(delimiter)), ends)
    return bool(between[0] and (np.diff(between, prepend=0) == between[0]).all())


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
    nameless = [j for j, name in enumerate(names) if not name]
    odd = []
    for i, row in enumerate(row for row in rows if row):
        if len(row) != len(names):
            odd.append((i, len(row)))
        elif any(row[j] and (j or row[0] not in (str(i), str(i + 1))) for j in nameless):  # the first may count rows
            held = next(row[j] for j in nameless if row[j])
            what = f"{where}: a column of {file.name} has no name, but holds values such as {spelt(held)} (row {i})"
            raise StudyError(f"{what}. Name it or leave it out; the first line must hold the names of all columns.")
    if odd:
        what = f"{where}: {file.name} has {odd[0][1]} cells in row {odd[0][0]}, and {len(names)} columns"
        advice = 'Put a text or number with a comma in it into quotes ("1,012"), and end no row early.'
        raise_problems([Problem(what, first_rows((i for i, _ in odd[:5]), len(odd)), advice)])
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]
