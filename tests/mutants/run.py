"""Apply each seeded fault to a copy of the package, one at a time, and see whether the tests catch it.

`make mutants` runs all, two at a time, and writes result.csv beside this file; names of faults, or parts of them, as
arguments run some and write nothing. Ends with 1 when fewer than 95% are caught or a fault cannot be applied.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutants.faults import Fault, read_faults  # noqa: E402

RESULT = Path(__file__).with_name("result.csv")
ENOUGH = 0.95
SECONDS = 300
#: Where a fault that its own tests pass over is looked for next.
WIDER = ("unit", "laws", "reference", "contract")
LEFT_OUT = ("mutants", "matching", "tracked", "inventory", "readme", "site", "imports", "claims")
GUARD = """
import pathlib
import evalkit
assert pathlib.Path(evalkit.__file__).parents[1] == pathlib.Path(__file__).parent, evalkit.__file__
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: "caught", "survived" or "could not be applied"; by which test; in how long."""

    fault: Fault
    end: str
    by: str
    seconds: float


def try_fault(fault: Fault) -> Outcome:
    """Apply one fault to a copy of its own and run its tests, then, if they pass, the wider set."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        shutil.copytree(ROOT / "evalkit", scratch / "evalkit")
        (scratch / "guard.py").write_text(GUARD, encoding="utf-8")
        try:
            path = fault.apply(scratch / "evalkit")
        except ValueError as error:
            return Outcome(fault, "could not be applied", str(error), 0.0)
        for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            old.unlink()
        for files in (named(fault), wider(fault)):
            end, by = run_tests(scratch, files)
            if end != "survived":
                break
    return Outcome(fault, end, by, time.monotonic() - began)


def named(fault: Fault) -> list[str]:
    """The fault's own test files that are there."""
    return [f"tests/{name}" for name in fault.tests if (ROOT / "tests" / name).exists()]


def wider(fault: Fault) -> list[str]:
    """Every other test of numbers."""
    files = [path for folder in WIDER for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))]
    files = [path for path in files if not any(word in path.name for word in LEFT_OUT)]
    return [name for path in files if (name := path.relative_to(ROOT).as_posix()) not in named(fault)]


def run_tests(scratch: Path, files: Sequence[str]) -> tuple[str, str]:
    """The end, and the first test that failed, of test files run on the package in `scratch`."""
    if not files:
        return "survived", ""
    paths = os.pathsep.join([str(scratch), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # The copy must come before the folder in which this runs, and before what pytest puts first itself.
    command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "guard"]
    command += ["-o", f"pythonpath={scratch} {ROOT}", *files]
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "caught", f"no end within {SECONDS} seconds"
    if done.returncode == 0:
        return "survived", ""
    failed = re.search(r"^(?:FAILED|ERROR) (tests/\S+::\S+)", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return "caught", failed.group(1).removeprefix("tests/").partition("[")[0]
    return "could not be applied", (done.stdout + done.stderr).strip().replace("\n", " ")[-300:]


def write(outcomes: Sequence[Outcome]) -> None:
    """result.csv: one row a fault."""
    with RESULT.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("name", "room", "end", "caught_by", "seconds"))
        rows.writerows((o.fault.name, o.fault.room, o.end, o.by, f"{o.seconds:.0f}") for o in outcomes)


def main(words: Sequence[str]) -> int:
    """Run the faults whose names hold one of `words`, or all, and print a table."""
    faults = [f for f in read_faults() if not words or any(word in f.name for word in words)]
    outcomes = []
    with ThreadPoolExecutor(2) as pool:
        for o in pool.map(try_fault, faults):
            print(f"{o.end:20} {o.seconds:4.0f} s  {o.fault.room:16} {o.fault.name:50} {o.by}", flush=True)
            outcomes.append(o)
    if not words:
        write(outcomes)
    caught, lost = (sum(o.end == end for o in outcomes) for end in ("caught", "could not be applied"))
    print(f"{caught} of {len(outcomes)} faults caught, {lost} could not be applied.")
    for o in outcomes:
        if o.end == "survived":
            print(f"Survived: {o.fault.name} ({o.fault.why}).")
    return 0 if outcomes and caught >= ENOUGH * len(outcomes) and not lost else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
