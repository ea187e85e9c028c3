"""A file of cells: Parquet with a row a cell and period, which a study takes in place of rows.

Beside the panel's own columns (the cell's number where the unit stands, means where outcomes do) it has `#people`, how
many stand behind the cell; `#t`, the position of the period; and `#within:<outcome>`, a list of the sums of products of
people's deviations in this period and in each. What else there is to know is JSON under the key `evalkit.cells`.
"""

from __future__ import annotations

import json
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.study.alike import CellSource, Kept
from evalkit.study.formats import file_errors, is_parquet, parquet
from evalkit.study.frame import FileSource
from evalkit.study.reading import Cells

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"evalkit.cells"
VERSION = 1
PEOPLE, AT, WITHIN = "#people", "#t", "#within:"


def write_cells(
    source: CellSource, keys: tuple[str, str], outcomes: Sequence[str], file: Path, said: Mapping[str, object]
) -> Path:
    """Write cells into a Parquet file. keys: columns of the unit and of the period. said: what else to say of them, as
    JSON: the rules by which they were controlled, and what was withheld.

    Raises `StudyError` where the file cannot be written.
    """
    import pyarrow as pa

    assert source.periods is not None and source.within is not None
    unit, period = keys
    frame = source.frame
    cell = pd.factorize(frame[unit])[0]
    at = pd.Index(source.periods).get_indexer(pd.Index(source.column(period)))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column(PEOPLE, pa.array(source.heads[cell])).append_column(AT, pa.array(at))
    for outcome in outcomes:
        products = source.within(outcome)[cell, at]
        width = pa.list_(pa.float64(), products.shape[1])
        table = table.append_column(
            WITHIN + outcome, pa.FixedSizeListArray.from_arrays(pa.array(products.ravel()), type=width)
        )
    about = {"version": VERSION, "unit": unit, "period": period, "outcomes": list(outcomes), **said}
    known = {**(table.schema.metadata or {}), KEY: json.dumps(about, ensure_ascii=False).encode()}
    try:
        parquet(file, "cells").write_table(table.replace_schema_metadata(known), file, compression="zstd")
    except file_errors() as error:
        raise StudyError(f"The cells cannot be written to {str(file)!r} ({error}).") from None
    return file


def cells_in(source: object, cells: Cells) -> CellSource | None:
    """The cells of a file of cells; None for any other source. Raises `StudyError` for a version that is not known and
    for a file that does not hold what it says."""
    if not isinstance(source, FileSource) or len(source.files) != 1 or not is_parquet(source.files[0]):
        return None
    file = source.files[0]
    reader = parquet(file, source.where)
    try:
        about = (reader.read_schema(file).metadata or {}).get(KEY)
        table = None if about is None else reader.read_table(file)
    except file_errors() as error:
        raise StudyError(f"{source.where}: {file.name} cannot be read ({error}).") from None
    if about is None or table is None:
        return None
    try:
        return _read(table, json.loads(about), source.where, cells)
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise StudyError(f"{source.where}: {file.name} does not hold the cells that it says ({error!r}).") from None


def said_of(file: Path) -> dict[str, object]:
    """What a file of cells says of itself; empty for any other file."""
    about = (parquet(file, "cells").read_schema(file).metadata or {}).get(KEY)
    return {} if about is None else dict(json.loads(about))


@contextmanager
def unpacked(file: Path) -> Iterator[Path]:
    """A folder with the study file and the small tables of a file of cells, which goes at the end. Raises `StudyError`
    where the file has none."""
    try:
        kept = said_of(file).get("study")
    except file_errors() as error:
        raise StudyError(f"{file.name} cannot be read ({error}).") from None
    except (ValueError, TypeError, RecursionError):  # what it says is no JSON, or no table of names
        kept = None
    named = kept if isinstance(kept, Mapping) else {}
    try:
        files = {Path(name).name: b64decode(content) for name, content in named.items()}
    except (ValueError, TypeError):
        files = {}
    if not files:
        raise StudyError(f"{file.name} is no file of cells with a study in it. Give a study file (TOML).")
    with tempfile.TemporaryDirectory(prefix="evalkit-cells-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        yield Path(folder)


def _read(table: pa.Table, about: Mapping[str, object], where: str, cells: Cells) -> CellSource:
    if about["version"] != VERSION:
        what = f"{where} holds cells of version {about['version']}, and this evalkit reads version {VERSION}"
        raise StudyError(f"{what}. Compress the rows again with this version.")
    unit, period = str(about["unit"]), str(about["period"])
    plain = [c for c in table.column_names if not c.startswith(WITHIN) and c not in (PEOPLE, AT)]
    frame = table.select(plain).to_pandas()
    cell, at = pd.factorize(frame[unit])[0], table.column(AT).to_numpy()
    heads = np.zeros(int(cell.max()) + 1, dtype=np.int64)
    heads[cell] = table.column(PEOPLE).to_numpy()
    periods = pd.Series(frame[period].to_numpy()[np.unique(at, return_index=True)[1]])
    known = {}
    for outcome in about["outcomes"]:  # type: ignore[attr-defined]
        lists = table.column(WITHIN + outcome).combine_chunks()
        products = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(frame), -1)
        known[outcome] = np.zeros((len(heads), products.shape[1], products.shape[1]))
        known[outcome][cell, at] = products
    return CellSource(frame, where, cells, heads=heads, within=Kept(known), periods=periods)
