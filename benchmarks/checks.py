"""What the checks of unkind worlds cost: `python benchmarks/checks.py [--write]`.

Drift, scale, who is touched, who is independent, dates between two moments, ends and carry-over, other people each
period: seconds of processor that they take of a whole `evaluate`, and as a share of what the rest takes. Asked: under
twice. The least of three runs counts.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import typer
from result_tables import into_readme, markdown

import evalkit as ek
from evalkit.designs.rollout.scaled import ScaledRollout
from evalkit.evaluation import attacking, rungs

ROOT = Path(__file__).parents[1]
START, END = "<!-- checks: start -->", "<!-- checks: end -->"
ADDED = ((attacking, "drift_beside"), (attacking, "independence"), (attacking, "_scale"), (attacking, "_start_dates"),
         (attacking, "_carry_over"), (attacking, "_composition"), (attacking, "touched_results"),
         (ScaledRollout, "__call__"), (rungs, "reversal_rungs"))  # fmt: skip
IN_EVALUATE = ("touched_rungs", "start_readings", "means_rung", "who_was_asked")


class Clock:
    """Seconds of processor within functions that are added, each counted once however they are nested."""

    def __init__(self) -> None:
        self.seconds, self.inside = 0.0, False

    def timed(self, function: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            if self.inside:
                return function(*args, **options)
            self.inside, begun = True, time.process_time()
            try:
                return function(*args, **options)
            finally:
                self.inside, self.seconds = False, self.seconds + time.process_time() - begun

        return call


def spent(make: Callable[[], ek.Study]) -> tuple[float, float]:
    """Seconds in the checks that were added, and in everything else, of one evaluation."""
    study, clock, module = make(), Clock(), sys.modules[ek.evaluate.__module__]
    with ExitStack() as stack, warnings.catch_warnings(action="ignore"):
        for owner, name in (*ADDED, *((module, name) for name in IN_EVALUATE)):
            stack.enter_context(patch.object(owner, name, clock.timed(getattr(owner, name))))
        stack.enter_context(patch.dict(attacking._AFTER, {"scale": clock.timed(attacking._AFTER["scale"])}))
        begun = time.process_time()
        ek.evaluate(study)
    return clock.seconds, time.process_time() - begun - clock.seconds


STUDIES: dict[str, Callable[[], ek.Study]] = {
    "road safety": lambda: ek.Study.load(ROOT / "data" / "road_safety" / "study.toml"),
    "rough sleeping, realistic": lambda: ek.synthetic.partnership("rough_sleeping", "realistic", 1).study,
    "social prescribing, realistic": lambda: ek.synthetic.partnership("social_prescribing", "realistic", 1).study,
}


def main(write: bool = False) -> None:
    """Time them, print, and with --write put the table into README.md."""
    rows = []
    for name, make in STUDIES.items():
        spent(make)  # what is imported and compiled
        checks, rest = min((spent(make) for _ in range(3)), key=sum)
        rows.append({"study": name, "these checks": checks, "everything else": rest, "ratio": checks / rest})
    found = pd.DataFrame(rows).round(2)
    print(found.to_string(index=False))
    if write:
        into_readme(START, END, markdown(found))


if __name__ == "__main__":
    typer.run(main)
