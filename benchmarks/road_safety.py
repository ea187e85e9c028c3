"""How long the road-safety study takes: evaluation (all seven laws, refits included), and its report.

    python benchmarks/road_safety.py

Reading the file and importing stand outside the clock of the evaluation and inside that of the report.
Least of three evaluations; one report, into a folder that is thrown away.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import evalkit as ek

FILE = Path(__file__).parents[1] / "data" / "road_safety" / "study.toml"
EVALUATION, REPORT = 5.0, 60.0


def seconds_to_evaluate(repeats: int = 3) -> float:
    """Least wall-clock seconds of one evaluation, on a Study made anew each time."""
    times = []
    for _ in range(repeats):
        study = ek.Study.load(FILE)
        start = time.perf_counter()
        ek.evaluate(study)
        times.append(time.perf_counter() - start)
    return min(times)


def seconds_to_report() -> float:
    """Wall-clock seconds from the study file to the page."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ek.report(FILE, Path(folder) / "report")
        return time.perf_counter() - start


if __name__ == "__main__":
    evaluation, page = seconds_to_evaluate(), seconds_to_report()
    print("| work | seconds | target |\n| --- | --- | --- |")
    print(f"| evaluate, seven laws, refits included | {evaluation:.1f} | under {EVALUATION:.0f} |")
    print(f"| report, from the file to the page | {page:.1f} | under {REPORT:.0f} |")
