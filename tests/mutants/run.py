"""Apply each seeded fault to a copy of the package, one at a time, and see whether the tests catch it.

`make mutants` runs all, two at a time, and writes result.csv beside this file; names of faults, or parts of them, as
arguments run some and write nothing. Ends with 1 when fewer than 95% are caught or a fault cannot be applied.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutants.faults import Fault, read_faults  # noqa: E402

RESULT = Path(__file__).with_name("result.csv")
ENOUGH = 0.95
SECONDS = 900
#: Where a fault that its own tests pass over is looked for next.
WIDER = ("unit", "laws", "reference", "contract")
# the last because processes that begin anew import the package without the fault
LEFT_OUT = ("mutants", "matching", "tracked", "inventory", "readme", "site", "imports", "claims", "side_by_side")
#: Imported once, before the processes that run the faults are forked: most of a short test's time.
SLOW_TO_IMPORT = ("numpy", "pandas", "scipy.stats", "scipy.sparse", "scipy.linalg", "statsmodels.api", "hypothesis")
SETTINGS = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: "caught", "survived" or "could not be applied"; by which test; in how long."""

    fault: Fault
    end: str
    by: str
    seconds: float


@dataclass(eq=False)
class Watch:
    """A pytest plugin: the first test that failed, and the first file that could not be read."""

    scratch: Path
    failed: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def pytest_collection(self) -> None:
        for name in ("evalkit", "evalkit.errors"):
            source = importlib.import_module(name).__file__
            if source is None or not Path(source).is_relative_to(self.scratch):
                raise pytest.UsageError(f"{source} is not the copy that holds the fault")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.unread.append(f"{report.nodeid}: {report.longreprtext[-200:]!r}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid.removeprefix("tests/").partition("[")[0])


def try_fault(fault: Fault) -> Outcome:
    """Apply one fault to a copy of its own and run its tests, then, if they pass, the wider set."""
    began = time.monotonic()
    multiprocessing.current_process()._config["daemon"] = False  # or tests that begin processes fail, fault or none
    end, by = "survived", ""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        shutil.copytree(ROOT / "evalkit", scratch / "evalkit")
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
    os.environ["PYTHONPATH"] = os.pathsep.join([str(scratch), str(ROOT)])
    # Imported before pytest puts the working tree first: all that is below the package then comes from the copy.
    sys.path.insert(0, str(scratch))
    importlib.import_module("evalkit")
    options = ["-x", "-q", "-p", "no:cacheprovider"]
    watch = Watch(scratch)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        code = pytest.main([*options, f"--rootdir={ROOT}", *files], plugins=[watch])
    signal.alarm(0)
    if watch.failed:
        return "caught", watch.failed[0]
    if code == pytest.ExitCode.OK:
        return "survived", ""
    return "could not be applied", (watch.unread or [f"pytest ended with {code!r}"])[0]


def _too_long(*_: object) -> None:
    raise TimeoutError(f"no end within {SECONDS} seconds")


def write(outcomes: Sequence[Outcome]) -> None:
    """result.csv: one row a fault."""
    with RESULT.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("name", "room", "end", "caught_by", "seconds"))
        rows.writerows((o.fault.name, o.fault.room, o.end, o.by, f"{o.seconds:.0f}") for o in outcomes)


def main(words: Sequence[str]) -> int:
    """Run the faults whose names hold one of `words`, or all, and print a table."""
    faults = [f for f in read_faults() if not words or any(word in f.name for word in words)]
    os.environ.update(SETTINGS)
    os.chdir(ROOT)
    for module in SLOW_TO_IMPORT:
        importlib.import_module(module)
    outcomes = []
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        for o in pool.imap(try_fault, faults, chunksize=1):
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
