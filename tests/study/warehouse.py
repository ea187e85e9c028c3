"""Rows of a frame as a table of ibis: in DuckDB, or in the engine that EVALKIT_ENGINE names, for the tests of engines.

EVALKIT_ENGINE=spark python -m pytest tests/study/test_engines.py
EVALKIT_ENGINE=postgres://postgres@/postgres?host=/tmp python -m pytest tests/study/test_engines.py
"""

from __future__ import annotations

import io
import os
import tempfile
from functools import cache
from pathlib import Path

import pandas as pd

ENGINE = os.environ.get("EVALKIT_ENGINE", "duckdb")


def table(frame: pd.DataFrame, name: str = "p") -> object:
    """A table of ibis with the rows of a frame; the name may be anything."""
    import ibis

    if ENGINE == "spark":
        file = Path(tempfile.mkdtemp(prefix="evalkit-spark-")) / "rows.parquet"
        frame.to_parquet(file, index=False, coerce_timestamps="us", row_group_size=500)
        return _spark().read_parquet(file)
    if ENGINE.startswith("postgres"):
        base = ibis.connect(ENGINE)
        base.create_table(name, schema=ibis.memtable(frame).schema(), temp=True)
        columns = ", ".join(_quoted(c) for c in frame.columns)
        text = io.StringIO()
        frame.to_csv(text, index=False, header=False, na_rep="\\N")
        copying = f"COPY {_quoted(name)} ({columns}) FROM STDIN (FORMAT CSV, NULL '\\N')"
        with base.con.cursor() as cursor, cursor.copy(copying) as copy:
            copy.write(text.getvalue())
        return base.table(name)
    base = ibis.duckdb.connect()
    base.con.register("given", frame)
    base.con.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM given")
    base.con.unregister("given")
    return base.table(name)


def drop(rows: object) -> None:
    """Let a table go while it is being read."""
    base, name = rows.get_backend(), rows.get_name()  # type: ignore[attr-defined]
    if ENGINE == "spark":
        base.drop_view(name)
    else:
        base.drop_table(name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@cache
def _spark() -> object:
    import ibis
    from pyspark.sql import SparkSession

    made = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", 2)
    return ibis.pyspark.connect(made.config("spark.ui.enabled", "false").getOrCreate())
