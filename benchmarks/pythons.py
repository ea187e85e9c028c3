"""evalkit tried on other Pythons: `python benchmarks/pythons.py PYTHON ... [--write]`; and what it weighs: `--sizes`.

Each interpreter gets an environment of its own with the pinned packages (constraints.txt) and runs a fair sample of the
tests, one or more from every room. --sizes: what the core, and everything that `make install` brings, take on the disk.
With --write the line of each version goes into results/pythons.csv; else it is printed only.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "pythons.csv"
EVERYTHING = ".[test,files,rd]"
"""What `make install` brings."""
TRIED = ".[test,files,rd,ml]"
MOST = {"core": 500, "make install": 900}
SAMPLE = (
    "contract/test_designs.py", "contract/test_imports.py", "laws/test_estimate_laws.py", "monitor/test_bounds.py",
    "reference/test_mpdta.py", "reference/test_matching_lalonde.py", "reference/test_pooling.py",
    "reporting/test_axes.py", "reporting/test_figures.py", "reporting/test_new.py", "reporting/test_report.py",
    "study/test_door.py", "study/test_file.py", "study/test_files.py", "study/test_sources.py",
    "unit/test_did.py", "unit/test_hands.py", "unit/test_posterior.py", "unit/test_progress.py",
    "unit/test_respecified.py", "unit/test_rollouts.py", "unit/test_separability.py", "unit/test_trials.py",
    "unit/test_waiting.py",
)  # fmt: skip


def clean() -> dict[str, str]:
    """The environment without this one's packages, one thread."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def said(*command: str | Path, timeout: float = 3600) -> tuple[int, str]:
    """Exit code and words of a command, run in the repository."""
    done = subprocess.run(
        [str(c) for c in command], cwd=ROOT, env=clean(), capture_output=True, text=True, check=False, timeout=timeout
    )
    return done.returncode, done.stdout + done.stderr


def environment(python: str, home: Path, wanted: str, uv: Path) -> Path:
    """The interpreter of a new environment with evalkit in it; exits in words where that cannot be made."""
    code, words = said(python, "-m", "venv", "--without-pip", home)
    own = home / "bin" / "python"
    if not code:
        code, words = said(uv, "pip", "install", "--quiet", "--python", own, "-c", "constraints.txt", "-e", wanted)
    if code:
        sys.exit(f"{python}: {words[-1500:]}")
    return own


def tried(python: str, folder: Path, uv: Path) -> dict[str, object]:
    """One interpreter: its version, what was installed, and how the sample of tests went."""
    own, begun = environment(python, folder / "env", TRIED, uv), time.monotonic()
    _, version = said(own, "-c", "import platform; print(platform.python_version())")
    _, packages = said(uv, "pip", "list", "--quiet", "--python", own)
    code, words = said(own, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow",
                       *(f"tests/{name}" for name in SAMPLE))  # fmt: skip
    counted = {k: int(n) for n, k in re.findall(r"(\d+) (passed|failed|skipped|error)", words.splitlines()[-1])}
    if code:
        print("\n".join(line for line in words.splitlines() if line.startswith(("FAILED", "ERROR"))) or words[-2000:])
    return {"python": version.strip(), "packages": len(packages.splitlines()) - 2, "tests": sum(counted.values()),
            **{k: counted.get(k, 0) for k in ("passed", "skipped", "failed")}, "exit_code": code,
            "seconds": round(time.monotonic() - begun)}  # fmt: skip


def keep(row: dict[str, object]) -> None:
    """The line of one version in the table of results, in place of an older one."""
    rows = {str(row["python"]): row}
    if RESULTS.exists():
        with RESULTS.open(newline="") as file:
            rows = {old["python"]: old for old in csv.DictReader(file)} | rows
    with RESULTS.open("w", newline="") as file:
        out = csv.DictWriter(file, list(row), lineterminator="\n")
        out.writeheader()
        out.writerows(rows[version] for version in sorted(rows))


def weighed(uv: Path) -> None:
    """Megabytes that an installation takes, of the core and of everything; exit code 1 where that is too much."""
    heavy = False
    for name, most in MOST.items():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "env"
            environment(sys.executable, home, "." if name == "core" else EVERYTHING, uv)
            seen = {(f.stat().st_dev, f.stat().st_ino): f.stat().st_size for f in home.rglob("*") if f.is_file()}
            megabytes = sum(seen.values()) / 1e6
        print(f"{name}: {megabytes:.0f} MB (less than {most})", flush=True)
        heavy |= megabytes >= most
    sys.exit(heavy)


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", help="interpreters, such as python3.13")
    parser.add_argument("--sizes", action="store_true", help="megabytes of an installation")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "tools", with_pip=True)
        said(Path(folder) / "tools" / "bin" / "python", "-m", "pip", "install", "--quiet", "uv")
        uv = Path(folder) / "tools" / "bin" / "uv"
        for i, python in enumerate(chosen.pythons):
            row = tried(python, Path(folder) / str(i), uv)
            print(row, flush=True)
            if chosen.write:
                keep(row)
        if chosen.sizes:
            weighed(uv)


if __name__ == "__main__":
    run()
