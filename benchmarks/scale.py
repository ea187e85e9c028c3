"""Rows by the ten million: `python benchmarks/scale.py [--people 1000000] [--large 5000000] [--write]`.

A panel of people in 400 sites over 20 months, whose three components start site by site, is written as Parquet files
(by DuckDB, in no memory) and removed at the end. Every piece of work runs in a process of its own, which says its
time, its processor time and its peak of memory; the time is without imports. Of the repeats the least counts, because a
busy machine only ever adds. `--write` puts the table into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from result_tables import into_readme

if TYPE_CHECKING:
    from evalkit.study import Study

ROOT = Path(__file__).parents[1]
SITES, MONTHS = 400, 20
START, END = "<!-- scale: start -->", "<!-- scale: end -->"
COMPONENTS = ["a", "b", "c"]
SAID = {"unit": "person", "period": "month", "cluster": "site", "components": COMPONENTS}
FILES = 250_000
"""People in one file."""


def write_panel(folder: Path, people: int) -> None:
    """Parquet files of people x 20 months, a person's rows together, outcomes rounded to four digits."""
    import duckdb

    base = duckdb.connect(config={"memory_limit": "2GB"})
    base.execute("SELECT setseed(0.5)")
    start = "CASE WHEN random() < .35 THEN 99 ELSE [5, 8, 11, 14][1 + CAST(floor(random() * 4) AS INT)] END"
    base.execute(
        f"CREATE TABLE sites AS SELECT s AS site, {start} AS a, {start} AS b, {start} AS c, random() AS level "
        f"FROM (SELECT unnest(range({SITES})) AS s)"
    )
    for low in range(0, people, FILES):
        noise = "(hash(person * 100 + month) % 1000003) / 1000003.0"
        base.execute(
            f"COPY (SELECT person, person % {SITES} AS site, month, CAST(month >= a AS BIGINT) AS a, "
            f"CAST(month >= b AS BIGINT) AS b, CAST(month >= c AS BIGINT) AS c, round(level + 0.1 * month "
            f"+ 0.5 * (month >= a)::INT - 0.3 * (month >= b)::INT + (hash(person) % 1000003) / 1000003.0 "
            f"+ 2 * {noise}, 4) AS y FROM (SELECT range AS person FROM range({low}, {min(low + FILES, people)})) "
            "JOIN sites "
            f"ON sites.site = person % {SITES}, (SELECT unnest(range({MONTHS})) AS month) ORDER BY person, month) "
            f"TO '{folder / f'part-{low // FILES:04d}.parquet'}' (FORMAT PARQUET, COMPRESSION ZSTD)"
        )


def bare(folder: Path) -> dict[str, float]:
    """A group-by of DuckDB alone: the limit."""
    import duckdb

    began = time.perf_counter()
    query = "SELECT site, month, count(y), sum(y), sum(y * y) FROM read_parquet(?) GROUP BY ALL"
    duckdb.connect().execute(query, [str(folder / "*.parquet")]).fetchall()
    return {"seconds": time.perf_counter() - began}


def call(folder: Path) -> dict[str, float]:
    """From Parquet to a design's average effect with its standard error."""
    import evalkit as ek

    ek.StaggeredRollout  # noqa: B018 - imports are not timed
    began = time.perf_counter()
    study = ek.Study(folder, outcome="y", **SAID)
    row = ek.StaggeredRollout()(study, "a").aggregate().to_frame().iloc[0]
    return {"seconds": time.perf_counter() - began, "effect": float(row["estimate"])}


def verdicts(folder: Path) -> dict[str, float]:
    """From Parquet to the verdicts on all three components."""
    import evalkit as ek

    began = time.perf_counter()
    study = ek.Study(folder, outcome=ek.Outcome("y", matters=0.05), **SAID)
    opened = time.perf_counter() - began
    found = ek.evaluate(study).verdicts
    return {"seconds": time.perf_counter() - began, "opened": opened, "verdicts": int(found["verdict"].notna().sum())}


def frame(folder: Path) -> dict[str, float]:
    """The same from a frame in memory, whose size is `frame`."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    import evalkit as ek

    files = sorted(folder.glob("*.parquet"))
    columns = {  # a column at a time, so that what reads the files takes no more than a column
        name: np.concatenate([pq.read_table(f, columns=[name]).column(0).to_numpy() for f in files])
        for name in pq.read_schema(files[0]).names
    }
    table = pd.DataFrame(columns, copy=False)
    pa.default_memory_pool().release_unused()
    held = float(table.memory_usage(index=False).sum())
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    began = time.perf_counter()
    row = ek.StaggeredRollout()(ek.Study(table, outcome="y", **SAID), "a").aggregate().to_frame().iloc[0]
    return {"seconds": time.perf_counter() - began, "effect": float(row["estimate"]), "frame": held / 2**20}


def manchester(_: Path, processes: int = 1) -> dict[str, float]:
    """Realistic rough sleeping, both outcomes: from a study in memory to verdicts."""
    import evalkit as ek

    return whole(lambda: ek.synthetic.partnership("rough_sleeping", setting="realistic", seed=1).study, processes)


def road_safety(_: Path, processes: int = 1) -> dict[str, float]:
    """Seven laws on road safety, from a study in memory to verdicts."""
    import evalkit as ek

    return whole(lambda: ek.Study.load(ROOT / "data" / "road_safety" / "study.toml"), processes)


def whole(make: Callable[[], Study], processes: int) -> dict[str, float]:
    """An evaluation in so many processes, forks where there are several, once what it imports is there."""
    from joblib import parallel_config

    import evalkit as ek

    ek.evaluate(make())
    study = make()
    with parallel_config("multiprocessing", n_jobs=processes):
        began = time.perf_counter()
        found = ek.evaluate(study).verdicts
    return {"seconds": time.perf_counter() - began, "verdicts": int(found["verdict"].notna().sum())}


WORKS: dict[str, Callable[[Path], dict[str, float]]] = {
    "bare": bare,
    "call": call,
    "verdicts": verdicts,
    "frame": frame,
    "manchester": manchester,
    "road_safety": road_safety,
    "manchester_two": partial(manchester, processes=2),
    "road_safety_two": partial(road_safety, processes=2),
}


def peak() -> float:
    """Most memory (MB) that this process has held. What the system says of children counts their parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(work: str, folder: Path, repeats: int = 1) -> dict[str, float]:
    """The least of several runs, each in a process of its own."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    found = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--work", work, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one}, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: min(f[key] for f in found) for key in found[0]}


def measured(work: str, folder: Path) -> None:
    """Do one piece of work in this process and print what it took."""
    found = WORKS[work](folder)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({**found, "processor": sum(u.ru_utime + u.ru_stime for u in used), "peak": peak()}))


def panel_of(people: int, base: Path) -> Path:
    folder = base / f"people-{people}"
    folder.mkdir()
    write_panel(folder, people)
    return folder


def line(words: str, found: dict[str, float], ratio: str, reach: str) -> str:
    took = f"{found['seconds']:.1f} s | {found['processor']:.1f} s | {found['peak']:,.0f} MB"
    return f"| {words} | {took} | {ratio} | {reach} |"


def small(people: int, base: Path, repeats: int) -> list[str]:
    """A panel of some people: one call beside the bare group-by, and the same from a frame."""
    folder, rows = panel_of(people, base), f"{people * MONTHS / 1e6:g} million rows"
    limit, one, held = run("bare", folder, repeats), run("call", folder, repeats), run("frame", folder)
    shutil.rmtree(folder)
    times, apart = one["seconds"] / limit["seconds"], abs(one["effect"] - held["effect"])
    out = [
        line(f"{rows} in Parquet, bare group-by of DuckDB", limit, "1", ""),
        line(f"{rows} in Parquet, one design call", one, f"{times:.1f} group-bys", "6 group-bys, 1.0 GB"),
        line(f"{rows} in a frame, one design call", held, f"{held['peak'] / held['frame']:.2f} frames", "1.5 frames"),
    ]
    assert apart < 1e-9, f"Parquet and frame are {apart} apart"
    return out


def large(people: int, base: Path, repeats: int) -> list[str]:
    """A panel of many people: one call beside that for a tenth of them, and all the way to verdicts."""
    few, folder, rows = panel_of(people // 10, base), panel_of(people, base), people * MONTHS / 1e6
    limit, whole = run("bare", folder, repeats), run("verdicts", folder)
    one, wide = (run("call", of, repeats) for of in (few, folder))
    more = f"{wide['seconds'] / one['seconds']:.1f} times the time, {wide['peak'] / one['peak']:.2f} times the memory"
    return [
        line(f"{rows / 10:g} million rows in Parquet, one design call", one, "1", ""),
        line(f"{rows:g} million rows in Parquet, bare group-by of DuckDB", limit, "1", ""),
        line(f"{rows:g} million rows in Parquet, one design call", wide, f"{more} of a tenth", "linear, memory flat"),
        line(f"{rows:g} million rows in Parquet to verdicts", whole, f"{whole['verdicts']:.0f} verdicts", "60 s, 4 GB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=5_000_000, help="People of the large panel; 0 for none.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--work", choices=list(WORKS))
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.work:
        measured(chosen.work, chosen.folder)
        return
    with tempfile.TemporaryDirectory(prefix="evalkit-scale-") as base:
        lines = small(chosen.people, Path(base), chosen.repeats)
        lines += large(chosen.large, Path(base), chosen.repeats) if chosen.large else []
    for work, words, reach in (
        ("road_safety", "Road safety, seven laws, to verdicts", "2 s"),
        ("manchester", "Realistic Manchester, two outcomes, to verdicts", "5 s"),
    ):
        lines.append(line(words, run(work, Path(), chosen.repeats), "", ""))
        lines.append(line(f"{words}, in two processes", run(f"{work}_two", Path(), chosen.repeats), "", reach))
    head = "| Work | Time | Processor | Peak memory | Beside | Reach |\n|---|---|---|---|---|---|"
    table = "\n".join([head, *lines])
    print(table)
    if chosen.write:
        into_readme(START, END, table)


if __name__ == "__main__":
    main()
