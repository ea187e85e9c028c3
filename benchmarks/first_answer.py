"""From a clone to an own answer, and from nothing to the site, step by step with its time.

python benchmarks/first_answer.py [--site] [--write]     # --site: then make site, with the install of learners
                                                         # --write: into results/first_answer.csv

What somebody does in the first quarter of an hour: clone, install, propose a study from a spreadsheet of schools (see
`files.py`), audit it, run it. Nothing of this repository's own environment is used; what was downloaded before is not
downloaded again. Prints seconds of each step, by the clock and of processor; exit code 1
where the answer takes three minutes of processor or more.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from files import CASES, schools

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "first_answer.csv"
MOST = 180.0


def steps(home: Path) -> list[tuple[str, list[str], Path]]:
    """(what it is, the command, where) of each step."""
    copy, evalkit = home / "evalkit", str(home / "evalkit" / ".venv" / "bin" / "evalkit")
    table = next(c for c in CASES if c.name == "Excel, dates as dates").write(schools(), home)
    return [
        ("clone", ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(copy)], home),
        ("make install", ["make", "install"], copy),
        ("evalkit new --from", [evalkit, "new", "mine", "--from", str(table)], home),
        ("evalkit audit", [evalkit, "audit", "mine"], home),
        ("evalkit run", [evalkit, "run", "mine", "--out", "report"], home),
    ]


def run(site: bool, write: bool) -> None:
    """Take every step, say its seconds, and exit with 1 where the answer took too long."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONPYCACHEPREFIX")}
    rows: list[dict[str, object]] = []
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        answer = steps(Path(folder))
        copy = answer[1][2]
        more = [("make .venv/.learners", ["make", ".venv/.learners"], copy), ("make site", ["make", "site"], copy)]
        for name, command, where in answer + more * site:
            begun, before = time.monotonic(), os.times()
            done = subprocess.run(command, cwd=where, env=clean, capture_output=True, text=True, check=False)
            after, wall = os.times(), time.monotonic() - begun
            used = sum(after[2:4]) - sum(before[2:4])
            if said := re.search(r"(\d+) s of processor went into", done.stderr):
                used = float(said[1])  # its processes are not this one's to count
                print(done.stderr)
            total += used * (len(rows) < len(answer))
            rows.append({"step": name, "clock": round(wall, 1), "processor": round(used, 1)})
            print(f"{name:20s} {wall:6.1f} s on the clock, {used:6.1f} s of processor", flush=True)
            if done.returncode:
                sys.exit(f"{done.stdout[-500:]}\n{done.stderr[-1500:]}")
        print((Path(folder) / "report" / "report.html").stat().st_size // 1000, "kB of report")
    print(f"{total:.1f} s of processor from the clone to the answer (at most {MOST:.0f})")
    if write:
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
    sys.exit(total > MOST)


if __name__ == "__main__":
    run("--site" in sys.argv, "--write" in sys.argv)
