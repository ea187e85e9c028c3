"""Times and memory of evalkit beside other packages: `python benchmarks/speed.py [--peers PYTHON] [--repeats 3]`.

Every piece of work runs in a process of its own, evalkit and the others in turn, several times over; the table takes
the least time of each, because a busy machine only ever adds. Linear algebra has one thread in all of them, as `make`
sets it, unless OMP_NUM_THREADS and its like say otherwise. `--peers` names a Python that has the other packages;
without it they are looked for in this one. `--write` puts the table into benchmarks/README.md. `--older CHECKOUT` times
this package beside another checkout of itself instead, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from result_tables import into_readme

HERE = Path(__file__).resolve().parent
TASKS = HERE / "speed_tasks.py"
START, END = "<!-- speed: start -->", "<!-- speed: end -->"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Work:
    """One piece of work: what it is, the package it is measured against, and the panel it reads."""

    key: str
    words: str
    panel: str
    peer: str | None = None


@dataclass
class Times:
    """Everything one engine reported for one piece of work, a dictionary a run."""

    runs: list[dict[str, float]] = field(default_factory=list)

    def least(self, name: str) -> float:
        return min(run[name] for run in self.runs)


WORKS = (
    Work("event study", "100,000 units x 20 periods, frame to event study", "staggered", "diff-diff"),
    Work("covariates", "the same, three covariates, doubly robust", "staggered", "diff-diff"),
    Work("people", 'three components, others="same", 100,000 people in 400 sites x 20, slowest call', "people"),
    Work("sites", "48 sites x 36 periods, a call with its jackknife", "sites"),
    Work("joint", "joint event study, 3 components, 2,000,000 rows", "joint", "pyfixest"),
)


def run(python: str, *arguments: str, checkout: str | None = None) -> dict[str, float] | None:
    """What a child process printed last, as JSON; None when it failed, with its last words on the screen."""
    child_env = {**dict.fromkeys(THREADS, "1"), **os.environ}
    if checkout is not None:
        child_env["PYTHONPATH"] = checkout
    done = subprocess.run([python, str(TASKS), *arguments], capture_output=True, text=True, env=child_env, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {' '.join(arguments[:2])} failed: {last}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {}


def version_of(python: str, package: str) -> str | None:
    """Version of a package in another Python, None when it is not there."""
    if python == sys.executable:
        try:
            return version(package)
        except PackageNotFoundError:
            return None
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def measure(works: Sequence[Work], peers: str, repeats: int, folder: Path) -> dict[tuple[str, str], Times]:
    """Run everything `repeats` times, engines in turn, and keep what each reported."""
    found: dict[tuple[str, str], Times] = {}
    there = {w.peer for w in works if w.peer and version_of(peers, w.peer)}
    for work in works:
        run(sys.executable, "panel", work.panel, str(folder))
        engines = [("evalkit", sys.executable), *([(work.peer, peers)] if work.peer in there else [])]
        for turn in range(repeats):
            for engine, python in engines:
                print(f"  {work.key}: {engine}, {turn + 1} of {repeats}", file=sys.stderr, flush=True)
                reported = run(str(python), str(engine), work.key, str(folder))
                if reported is not None:
                    found.setdefault((str(engine), work.key), Times()).runs.append(reported)
        for file in folder.glob(f"{work.panel}.*"):
            file.unlink()
    return found


def beside_older(works: Sequence[Work], older: str, repeats: int, folder: Path) -> str:
    """Least seconds of every piece of work in this checkout and in an older one, run in turn, as Markdown."""
    here = str(HERE.parent)
    lines = ["| work | this checkout | older | ratio | memory | older |", "| --- | --- | --- | --- | --- | --- |"]
    for work in works:
        run(sys.executable, "panel", work.panel, str(folder), checkout=here)
        times = {here: Times(), older: Times()}
        for _ in range(repeats):
            for checkout, kept in times.items():
                kept.runs += [run(sys.executable, "evalkit", work.key, str(folder), checkout=checkout) or {}]
        for name in [n for n in ("seconds", "call", "processor") if n in times[here].runs[0]]:
            new, old = (t.least(name) for t in times.values())
            memory = " | ".join(f"{t.least('megabytes'):.0f} MB" for t in times.values())
            lines.append(f"| {work.words}: {name} | {new:.4f} | {old:.4f} | {new / old:.2f} | {memory} |")
    return "\n".join(lines)


def ratio_rows(found: dict[tuple[str, str], Times], work: Work) -> list[list[str]]:
    """Lines of the table for one piece of work measured against another package."""
    mine, other = found.get(("evalkit", work.key)), found.get((work.peer or "", work.key))
    if mine is None:
        return [[work.words, "failed", "", "", "", "", ""]]
    seconds, memory = mine.least("seconds"), mine.least("megabytes")
    limits = {"event study": 0.20, "covariates": 0.33, "joint": 1.0}
    if other is None:
        note = "" if work.peer is None else f"{work.peer} not installed"
        if "processor" in mine.runs[0]:
            note = f"{mine.least('processor'):.3f} s of processor"
        lines = [[work.words, f"{seconds:.3f} s", note, "", *absolute(work, seconds), f"{memory:.0f} MB", ""]]
    else:
        theirs, ratio = other.least("seconds"), seconds / other.least("seconds")
        limit = limits[work.key]
        lines = [[
            work.words, f"{seconds:.3f} s", f"{work.peer} {theirs:.3f} s", f"{ratio:.2f}", f"at most {limit:.2f}",
            "yes" if ratio <= limit else "no", f"{memory:.0f} MB", f"{other.least('megabytes'):.0f} MB",
        ]]  # fmt: skip
        if work.key == "event study":
            call = mine.least("call")
            lines.append([
                "the design call of that, on a built Study", f"{call:.3f} s", f"{work.peer} {theirs:.3f} s",
                f"{call / theirs:.3f}", "at most 0.05", "yes" if call / theirs <= 0.05 else "no", "", "",
            ])  # fmt: skip
    if "bands" in mine.runs[0]:
        share = min(r["bands"] / r["seconds"] for r in mine.runs)
        lines.append([
            "simultaneous bands on top of that", f"{mine.least('bands'):.3f} s", "", f"{share:.2f}", "under 0.10",
            "yes" if share < 0.10 else "no", "", "",
        ])  # fmt: skip
    return lines


def absolute(work: Work, seconds: float) -> list[str]:
    """Target in seconds and whether it was reached, for work that has one."""
    limit = {"people": 1.0, "sites": 0.05}.get(work.key)
    return ["", ""] if limit is None else [f"under {limit:g} s", "yes" if seconds < limit else "no"]


def table(found: dict[tuple[str, str], Times], works: Sequence[Work]) -> str:
    """The whole table as Markdown."""
    head = ["work", "evalkit", "beside", "ratio", "target", "reached", "memory", "theirs"]
    lines = [head, ["---"] * len(head)]
    for work in works:
        lines += [line + [""] * (len(head) - len(line)) for line in ratio_rows(found, work)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def said(peers: str, repeats: int) -> str:
    """With what, on what, and how often."""
    names = [f"{n} {v}" for n in ("diff-diff", "pyfixest") if (v := version_of(peers, n))]
    packages = ", ".join([f"{n} {version(n)}" for n in ("numpy", "pandas")] + names)
    return (
        f"{packages}; Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}. Least of {repeats} runs of each, "
        f"in turn; load average at the end {os.getloadavg()[0]:.1f}."
    )


def write(text: str) -> None:
    """Put the table between its marks in benchmarks/README.md."""
    into_readme(START, END, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="a Python with the other packages")
    parser.add_argument("--repeats", type=int, default=3, help="times that everything is run (default 3)")
    parser.add_argument("--only", choices=[w.key for w in WORKS], nargs="*", help="some of the work")
    parser.add_argument("--older", metavar="CHECKOUT", help="time this package beside another checkout of itself")
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    chosen = parser.parse_args()
    works = [w for w in WORKS if not chosen.only or w.key in chosen.only]
    with tempfile.TemporaryDirectory() as folder:
        if chosen.older:
            print(beside_older(works, str(Path(chosen.older).resolve()), chosen.repeats, Path(folder)))
            return
        found = measure(works, chosen.peers, chosen.repeats, Path(folder))
    text = f"{table(found, works)}\n\n{said(chosen.peers, chosen.repeats)}"
    print(text)
    if chosen.write:
        write(text)


if __name__ == "__main__":
    main()
