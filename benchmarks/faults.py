"""Forty faults while a report is written over an earlier one: `python benchmarks/faults.py [--kills 30] [--seed 1]`.

Thirty kills at random moments; a full disk and a folder that may only be read (small file systems of their own, which
need root), a limit on the size of files, Ctrl-C, a killed kernel, two runs at once. After each the report has to be
whole, the earlier one or the new: every file as its manifest says. Nothing may be left beside it once the next run has
begun, no process may go on, and where the run could still speak it has to say what happened in words, without a
traceback, and to end with the right code. Prints a table and writes benchmarks/results/faults.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.folders import aside
from evalkit.reporting.manifest import sha256

RESULTS = Path(__file__).resolve().parent / "results" / "faults.csv"
STUDY = """[study]
panel = "panel.csv"
unit = "place"
period = "month"
cluster = "place"
[outcomes.score]
label = "Score"
kind = "score"
better = "higher"
matters = 1.0
[components.visits]
exposure = "visits"
assigned_at = "place"
"""


@dataclass(frozen=True)
class Bench:
    """A small study, and the folder of its report; seconds: how long an undisturbed run takes."""

    root: Path
    seconds: float = 0.0

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.root / "reports" / "mine"

    def start(self, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        """A run that writes the report again."""
        command = [sys.executable, "-m", "evalkit", "run", str(self.root / "study"), "--out", str(self.report)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

        def first() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has what runs in its background ignore Ctrl-C
            if before is not None:
                before()

        return subprocess.Popen(command, text=True, start_new_session=True, preexec_fn=first, **pipes)  # type: ignore[call-overload]


def write_study(folder: Path) -> None:
    """Ten places, ten months; visits begin in six of them."""
    rng = np.random.default_rng(3)
    rows = [
        {"place": f"P{i}", "month": t, "score": round(rng.normal(50, 1) + (t >= 4 + i % 3), 2),
         "visits": int(i < 6 and t >= 4 + i % 3)}
        for i in range(10) for t in range(10)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    pd.DataFrame(rows).to_csv(folder / "panel.csv", index=False)


def whole(report: Path) -> bool:
    """Whether a report is there with every file as its manifest says, and none beside them."""
    if not (report / "manifest.json").is_file():
        return False
    named = json.loads((report / "manifest.json").read_text(encoding="utf-8"))["files"]
    files = {
        p.relative_to(report).as_posix(): p for p in report.rglob("*") if p.is_file() and p.name != "manifest.json"
    }
    return set(files) == set(named) and all(sha256(path) == named[name] for name, path in files.items())


def left_over(bench: Bench) -> list[str]:
    """What lies beside the report once the next run has begun, and processes that still stand there."""
    end = time.monotonic() + 20
    while (alive := list(standing_in(bench.root))) and time.monotonic() < end:
        time.sleep(0.2)
    with aside(bench.report.parent) as own:  # what each run does first
        return [p.name for p in bench.report.parent.iterdir() if p not in (own, bench.report)] + alive


def standing_in(root: Path) -> Iterator[str]:
    """Processes whose folder lies in `root`."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(process / "cwd")).is_relative_to(root):
                yield f"process {process.name}"


def kernel_of(pid: int, seconds: float) -> int | None:
    """The process of the kernel that a run has started, once there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
        found = [int(line.split()[0]) for line in listed.splitlines() if "ipykernel" in line]
        if found:
            return found[0]
        time.sleep(0.05)
    return None


def disturbed(bench: Bench, fault: str, moment: float) -> tuple[int, str]:
    """A run with one fault: its exit code and what it said. moment: the share of an undisturbed run that went by."""
    limit = {"files up to 4 kB": 4_000, "files up to 100 kB": 100_000}.get(fault)
    run = bench.start(None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    if fault == "killed kernel":
        kernel = kernel_of(run.pid, bench.seconds)
        if kernel is not None:
            time.sleep(moment * bench.seconds / 4)
            os.kill(kernel, signal.SIGKILL)
    elif fault in ("kill", "Ctrl-C"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moment * bench.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.pid, signal.SIGKILL) if fault == "kill" else os.killpg(run.pid, signal.SIGINT)
    said = "".join(run.communicate(timeout=600))
    return run.returncode, said


def two_at_once(bench: Bench) -> tuple[int, str]:
    """Two runs that write one report: both have to end well."""
    runs = [bench.start(), bench.start()]
    said = ["".join(run.communicate(timeout=600)) for run in runs]
    return max(run.returncode for run in runs), "".join(said)


@contextlib.contextmanager
def small_disk(bench: Bench, room: int, readable_only: bool) -> Iterator[Bench]:
    """The study and its report on a file system of their own, with so many bytes of room."""
    with tempfile.TemporaryDirectory() as place:
        held = sum(p.stat().st_size + 4096 for p in bench.root.rglob("*"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={held + room}", "tmpfs", place], check=True)
        try:
            shutil.copytree(bench.root, place, dirs_exist_ok=True)
            if readable_only:
                subprocess.run(["mount", "-o", "remount,ro", place], check=True)
            yield Bench(Path(place), bench.seconds)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def judged(bench: Bench, fault: str, moment: float, code: int, said: str, left: list[str]) -> dict[str, object]:
    """What one fault did, and whether all is as it has to be."""
    wanted = {"kill": (-9, 0), "Ctrl-C": (130,), "two at once": (0,)}.get(fault, (2,))
    words = "Traceback" not in said and (code in (0, -9) or "evalkit:" in said)
    kept = whole(bench.report)
    fine = kept and code in wanted and words and not left
    line = " ".join(said.partition("evalkit:")[2].split())[:160].replace(str(bench.root), ".")
    return {
        "fault": fault, "moment": round(moment, 2), "code": code, "report_whole": kept, "in_words": words,
        "left_over": "; ".join(left), "survived": fine, "said": line,
    }  # fmt: skip


def faults(bench: Bench, kills: int, seed: int) -> Iterator[dict[str, object]]:
    """Every fault in turn."""
    draw = random.Random(seed)
    moments = [("kill", draw.uniform(0.02, 1.05)) for _ in range(kills)]
    others = [("Ctrl-C", 0.25), ("Ctrl-C", 0.7), ("killed kernel", 0.0), ("killed kernel", 1.0)]
    for fault, moment in [*moments, *others, ("files up to 4 kB", 0.0), ("files up to 100 kB", 0.0)]:
        code, said = disturbed(bench, fault, moment)
        yield judged(bench, fault, moment, code, said, left_over(bench))
    for fault, room in (("full disk", 0), ("full disk", 300_000), ("read-only folder", 0)):
        with small_disk(bench, room, fault != "full disk") as small:
            code, said = disturbed(small, fault, 0.0)
            left = [] if fault == "read-only folder" else left_over(small)
            yield judged(small, fault, 0.0, code, said, left)
    code, said = two_at_once(bench)
    yield judged(bench, "two at once", 0.0, code, said, left_over(bench))


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root))
        write_study(bench.root / "study")
        begun = time.monotonic()
        said = bench.start().communicate()
        bench = Bench(Path(root), time.monotonic() - begun)
        assert whole(bench.report), said
        print(f"A run takes {bench.seconds:.0f} seconds.", flush=True)
        rows = []
        for row in faults(bench, given.kills, given.seed):
            rows.append(row)
            print("  ".join(str(v) for v in row.values()), flush=True)
    table = pd.DataFrame(rows)
    print(table.groupby("fault", sort=False)["survived"].agg(["sum", "count"]).to_string())
    print(f"Survived: {table['survived'].sum()} of {len(table)}.")
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
