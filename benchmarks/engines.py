"""The same rows in DuckDB, a local Spark and a Postgres: `python benchmarks/engines.py [--people 250000] [--write]`.

The panel of `benchmarks/scale.py` (three components in 400 sites, 20 months) is written as Parquet and given to each
engine, as files to DuckDB and Spark, as a table to Postgres, all of which is made in a temporary folder and removed.
From each: cells, mean effects of the three components under equal weights, the same with weights of least noise (which
ask the engine for cross-products), and verdicts. Figures are held against those of DuckDB. Times are without making the
table and without starting the engine. `--engine` (several times) chooses; `--url` is a Postgres that runs already, else
one is started from Debian's packages. `--write` puts the table into benchmarks/README.md. Needs evalkit's extras
`scale`, `spark` and `postgres`.
"""

from __future__ import annotations

import argparse
import os
import platform
import pwd
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from result_tables import into_readme
from scale import COMPONENTS, MONTHS, SAID, write_panel

import evalkit as ek

START, END = "<!-- engines: start -->", "<!-- engines: end -->"
ENGINES = ("spark", "postgres")
FIGURES = ["estimate", "std_error", "conf_low", "conf_high"]


@contextmanager
def spark(folder: Path, _: str) -> Iterator[object]:
    """The files as a table of a Spark on this machine's two cores."""
    import ibis
    from pyspark.sql import SparkSession

    made = SparkSession.builder.master("local[2]").config("spark.driver.memory", "4g")
    made = made.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    made = made.config("spark.sql.shuffle.partitions", 16)
    session = made.config("spark.local.dir", str(folder.parent)).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield ibis.pyspark.connect(session).read_parquet(str(folder))
    session.stop()


@contextmanager
def postgres(folder: Path, url: str) -> Iterator[object]:
    """The rows as a table of a Postgres: that of `url`, or one of its own."""
    import duckdb
    import ibis

    with ExitStack() as stack:
        base = ibis.connect(url or stack.enter_context(_server()))
        kinds = "person BIGINT, site BIGINT, month BIGINT, a BIGINT, b BIGINT, c BIGINT, y DOUBLE PRECISION"
        with base.con.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE panel ({kinds})")
            for file in sorted(folder.glob("*.parquet")):
                text = folder.parent / "part.csv"
                columns = ", ".join(k.split()[0] for k in kinds.split(", "))
                duckdb.sql(f"COPY (SELECT {columns} FROM '{file}') TO '{text}' (HEADER false)")
                with cursor.copy("COPY panel FROM STDIN (FORMAT CSV)") as copy, text.open("rb") as rows:
                    while part := rows.read(2**20):
                        copy.write(part)
                text.unlink()
            cursor.execute("ANALYZE panel")
        yield base.table("panel")
        base.disconnect()


@contextmanager
def _server() -> Iterator[str]:
    """A Postgres that listens in a folder of its own, and goes with it."""
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not tools:
        raise SystemExit("There is no Postgres here: apt-get install postgresql, or give --url.")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="evalkit-postgres-") as home:
        if as_user:
            os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
        data, control = (
            f"{home}/data",
            [*as_user, f"{tools[-1]}/pg_ctl", "-w", "-D", f"{home}/data", "-l", f"{home}/log"],
        )
        made = [*as_user, f"{tools[-1]}/initdb", "-A", "trust", "-U", "postgres", "-D", data]
        subprocess.run(made, check=True, capture_output=True, cwd=home)
        how = f"-k {home} -c listen_addresses= -c work_mem=256MB -c temp_buffers=256MB"
        subprocess.run([*control, "-o", how, "start"], check=True, stdout=subprocess.DEVNULL, cwd=home)
        try:
            yield f"postgres://postgres@/postgres?host={home}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=home)


def measured(panel: object) -> tuple[dict[str, float], np.ndarray, list[str]]:
    """Seconds of each piece of work, every estimate with its standard error and interval, and verdicts."""
    began = time.perf_counter()
    study = ek.Study(panel, outcome=ek.Outcome("y", matters=0.05), hold="cells", **SAID)
    took, figures = {"cells": time.perf_counter() - began}, []
    for name, weights in (("equal", "equal"), ("products", "least_noise")):
        began = time.perf_counter()
        for component in COMPONENTS:
            found = ek.StaggeredRollout(weights=weights)(study, component)
            for table in (found.to_frame(), found.aggregate().to_frame(inference="jackknife")):
                figures.append(table[FIGURES].to_numpy(dtype=float).ravel())
        took[name] = time.perf_counter() - began
    verdicts = ek.evaluate(study)
    took["verdicts"] = sum(took.values()) + time.perf_counter() - began - took["products"]
    figures.append(verdicts.effects[FIGURES].to_numpy(dtype=float).ravel())
    return took, np.concatenate(figures), verdicts.verdicts["verdict"].tolist()


def line(engine: str, rows: int, took: dict[str, float], apart: str, verdicts: str) -> str:
    times = " | ".join(f"{took[name]:.1f} s" for name in ("cells", "products", "verdicts"))
    return f"| {engine} | {rows:,} | {times} | {apart} | {verdicts} |"


def words(own: list[str], known: list[str]) -> str:
    return "the same" if own == known else ", ".join(own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=250_000)
    parser.add_argument("--engine", action="append", choices=ENGINES, help="Both when not given.")
    parser.add_argument("--url", default="", help="A Postgres that runs, postgres://user@host/base.")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    opened = {"spark": spark, "postgres": postgres}
    rows = chosen.people * MONTHS
    with tempfile.TemporaryDirectory(prefix="evalkit-engines-") as base:
        folder = Path(base) / "rows"
        folder.mkdir()
        write_panel(folder, chosen.people)
        took, known, said = measured(folder)
        lines = [line("DuckDB, Parquet", rows, took, "", ", ".join(said))]
        print(lines[-1], flush=True)
        for engine in chosen.engine or ENGINES:
            with opened[engine](folder, chosen.url) as table:
                took, found, own = measured(table)
                name = f"{engine.title()} {table.get_backend().version}"
            seen = np.isfinite(known)
            assert (np.isfinite(found) == seen).all(), f"{engine} gives figures where DuckDB gives none, or none"
            apart = np.max(np.abs(found[seen] - known[seen]) / np.maximum(np.abs(known[seen]), 1e-12))
            lines.append(
                line(name, rows, took, f"{apart:.0e} of {seen.sum():,}", "the same" if own == said else "others")
            )
            print(lines[-1], flush=True)
    head = (
        "| Engine | Rows | To cells | Least noise, three components | To verdicts in all "
        "| Largest relative difference | Verdicts |\n|---|--:|--:|--:|--:|---|---|"
    )
    where = f"Python {platform.python_version()}, pandas {pd.__version__}, {os.cpu_count()} cores, {platform.system()}"
    table = "\n".join([head, *lines]) + f"\n\n{where}; load average at the end {os.getloadavg()[0]:.1f}."
    print(table)
    if chosen.write:
        into_readme(START, END, table)


if __name__ == "__main__":
    main()
