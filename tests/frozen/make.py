"""Freeze what evalkit answers today, and say whether anything moved.

    python tests/frozen/make.py --check                  evaluations of all studies: 3 to 6 minutes
    python tests/frozen/make.py --check --reports        also the reports: 10 minutes with --jobs 2, busy machine
    python tests/frozen/make.py --check pupils carers    these studies only
    python tests/frozen/make.py --write [--reports]      write the records again (look at the diff before you commit)

--check prints each difference (at most 20 a record) and exits 1 if there is one. What is left out and what is
masked is said in records.py. Numbers are held to 1e-12 on the kind of processor that made the records, else to
1e-8; texts exactly.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

if __name__ in ("__main__", "__mp_main__"):
    # Before numpy is imported: the same bits in every run; kernels of notebooks must find this copy of evalkit.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    sys.path.insert(0, str(ROOT))

from tests.frozen.compare import differences, read, tolerance, write  # noqa: E402
from tests.frozen.records import NAMES, evaluation_record, report_record  # noqa: E402

MOST = 20
KINDS = {"report": report_record, "evaluation": evaluation_record}


def record_file(name: str, kind: str) -> Path:
    """Where the record of a study lies; kind is "evaluation" or "report"."""
    return HERE / "records" / name / f"{kind}.json"


def check(name: str, kind: str) -> list[str]:
    """Every difference between what is answered now and the record."""
    record = read(record_file(name, kind))
    return list(differences(record["tables"], KINDS[kind](name), tolerance(record)))


def _job(name: str, kind: str, writing: bool) -> tuple[list[str], float]:
    start = time.perf_counter()
    if writing:
        write(record_file(name, kind), KINDS[kind](name))
        return [], time.perf_counter() - start
    return check(name, kind), time.perf_counter() - start


def run(names: list[str], kinds: list[str], *, writing: bool, jobs: int) -> int:
    """Check or write the records, `jobs` at a time; how many of them differ."""
    moved = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        asked = {pool.submit(_job, name, kind, writing): f"{name} {kind}" for kind in kinds for name in names}
        for done in as_completed(asked):
            found, seconds = done.result()
            moved += bool(found)
            word = "written" if writing else f"differences: {len(found)}" if found else "same"
            print(f"{asked[done]}: {word} ({seconds:.0f} s)", flush=True)
            for line in islice(found, MOST):
                print(f"  {line}", flush=True)
            if len(found) > MOST:
                print(f"  ... and {len(found) - MOST} more", flush=True)
    return moved


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare with the records; exit 1 where anything differs")
    what.add_argument("--write", action="store_true", help="write the records again")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"studies (default: all): {', '.join(NAMES)}")
    parser.add_argument("--reports", action="store_true", help="also the reports (a notebook each, 45 to 210 s)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (default 1)")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(NAMES)
    if unknown:
        parser.error(f"no study is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    kinds = [k for k in KINDS if k == "evaluation" or asked.reports]
    start = time.perf_counter()
    names = asked.names or list(NAMES)
    if asked.check:
        held = {tolerance(read(record_file(name, kind))) for name in names for kind in kinds}
        print(f"Numbers are held to {' or '.join(f'{tol:g}' for tol in sorted(held))}.", flush=True)
    moved = run(names, kinds, writing=asked.write, jobs=asked.jobs)
    done = "All written" if asked.write else f"records moved: {moved}" if moved else "Nothing moved"
    print(f"{done} ({time.perf_counter() - start:.0f} s).")
    return int(moved > 0)


if __name__ == "__main__":
    sys.exit(main())
