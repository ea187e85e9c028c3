"""From a clone to an own answer, step by step with its time: `python benchmarks/first_answer.py`.

What somebody does in the first quarter of an hour: clone, install, propose a study from a spreadsheet of schools (see
`files.py`), audit it, run it. Nothing of this repository's own environment is used; what was downloaded before is not
downloaded again. Prints seconds of each step and of the whole; exit code 1 from three minutes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from files import CASES, schools

ROOT = Path(__file__).resolve().parents[1]
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


def run() -> None:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, command, where in steps(Path(folder)):
            begun, before = time.monotonic(), os.times()
            done = subprocess.run(command, cwd=where, env=clean, capture_output=True, text=True, check=False)
            after, wall = os.times(), time.monotonic() - begun
            used = sum(after[2:4]) - sum(before[2:4])
            total += used
            print(f"{name:20s} {wall:6.1f} s on the clock, {used:6.1f} s of processor", flush=True)
            if done.returncode:
                sys.exit(f"{done.stdout[-500:]}\n{done.stderr[-1500:]}")
        print((Path(folder) / "report" / "report.html").stat().st_size // 1000, "kB of report")
    print(f"{total:.1f} s of processor in all (at most {MOST:.0f})")
    sys.exit(total > MOST)


if __name__ == "__main__":
    run()
