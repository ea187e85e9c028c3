"""What `evaluate` finds of what is there, and what it claims of what is not: `python benchmarks/power.py`.

    nice python benchmarks/power.py --draws 200                  every line, goes on where it stopped
    nice python benchmarks/power.py --draws 40 places_40_3       some lines
    nice python benchmarks/power.py --again places_20_1          anew where a range excludes zero: all that another rule
                                                                 of a check can touch
    python benchmarks/power.py --stored-only --write             run nothing: tables of what is stored into README.md

Draws are numbered from 1 and kept in benchmarks/results/power_<line>.csv, a row a component, written as each batch
ends. A claim is a verdict of shown or likely; a false one is a claim whose likely range misses the truth of its own
cells. What each check and each other reason took away is read from the same rows.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from power_tables import tables
from power_worlds import LINES
from result_tables import into_readme
from threadpoolctl import threadpool_limits

import evalkit as ek
from evalkit.errors import EvalkitError
from evalkit.verdicts.rules import limits, weaknesses

RESULTS = Path(__file__).parent / "results"
START, END = "<!-- power: start -->", "<!-- power: end -->"
COLUMNS = ("line", "draw", "component", "verdict", "direction", "estimate", "low", "high", "std_error", "matters",
           "truth", "found", "weaknesses", "limits", "checks")  # fmt: skip
BATCH = 2


def draw(line: str, seed: int) -> pd.DataFrame:
    """One study evaluated: a row a component that has a number, or might have had one."""
    made = LINES[line](seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        ev = ek.evaluate(made.study)
        rows = [_row(line, seed, made, ev, e, v) for e, v in ev.judged if e.status != "not_tested"]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(line, seed, made, ev, e, v) -> dict[str, object]:
    one = ev.estimate(e.component)
    try:
        truth = np.nan if one is None else made.truth(e.component, one)
    except EvalkitError:
        truth = np.nan  # a regression is no weighted sum of cells
    return {
        "line": line, "draw": seed, "component": e.component, "verdict": v.verdict, "direction": v.direction,
        "estimate": e.estimate, "low": e.conf_low, "high": e.conf_high, "std_error": e.std_error, "matters": e.matters,
        "truth": truth, "found": made.found.get(e.component, ""),
        "weaknesses": " ".join(w.name for w in weaknesses(e)), "limits": " ".join(w.name for w in limits(e)),
        "checks": " ".join(f"{c.check}={c.status}" for c in e.checks),
    }  # fmt: skip


def run(line: str, draws: int) -> None:
    """Draws 1 to `draws` that are not stored yet, a batch at a time."""
    file = RESULTS / f"power_{line}.csv"
    done = set(pd.read_csv(file, usecols=["draw"])["draw"]) if file.exists() else set()
    left = [s for s in range(1, draws + 1) if s not in done]
    for first in range(0, len(left), BATCH):
        begun, batch = time.perf_counter(), left[first : first + BATCH]
        found = pd.concat([draw(line, seed) for seed in batch], ignore_index=True)
        found.to_csv(file, mode="a", header=not file.exists(), index=False, float_format="%.6g", lineterminator="\n")
        print(f"{line}: draws {batch[0]} to {batch[-1]}, {(time.perf_counter() - begun) / len(batch):.1f} s each",
              flush=True)  # fmt: skip


def forget(line: str) -> None:
    """Leave out what is stored of draws in which the range of some component excludes zero."""
    file = RESULTS / f"power_{line}.csv"
    rows = pd.read_csv(file, dtype=str, keep_default_na=False)
    excludes = rows["low"].replace("", "nan").astype(float) * rows["high"].replace("", "nan").astype(float) > 0
    rows[~rows["draw"].isin(rows.loc[excludes, "draw"])].to_csv(file, index=False, lineterminator="\n")


def stored() -> pd.DataFrame:
    """Every row that is stored."""
    files = [RESULTS / f"power_{line}.csv" for line in LINES]
    kept = [pd.read_csv(f, keep_default_na=True) for f in files if f.exists()]
    found = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(COLUMNS))
    texts = ["direction", "weaknesses", "limits", "checks"]
    return found.assign(**{c: found[c].fillna("") for c in texts})


def main(
    lines: list[str] = typer.Argument(None, help=f"some of {', '.join(LINES)} (default: all)"),  # noqa: B008
    draws: int = typer.Option(200, help="draws a line"),
    again: bool = typer.Option(False, help="evaluate anew the draws in which a range excludes zero"),
    stored_only: bool = typer.Option(False, help="run nothing"),
    write: bool = typer.Option(False, help="put the tables into README.md"),
) -> None:
    """Run what is missing and print what was found."""
    unknown = sorted(set(lines or ()) - set(LINES))
    if unknown:
        raise typer.BadParameter(f"no line is called {unknown[0]!r}; there are {', '.join(LINES)}")
    for line in () if stored_only else lines or LINES:
        if again:
            forget(line)
        run(line, draws)
    text = tables(stored())
    print(text)
    if write:
        into_readme(START, END, text)


if __name__ == "__main__":
    typer.run(main)
