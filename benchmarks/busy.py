"""What a busy machine costs: `python benchmarks/busy.py`. One call of a design while every core has other work, without
any environment variable, over the same with one BLAS thread (OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1)."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TIMES = 3


def tasks() -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    import numpy as np
    from speed_tasks import COMPONENTS, programme

    import evalkit as ek

    sites, people = programme(48, 48, 36), programme(4_000, 80)
    rng = np.random.default_rng(0)
    extra = {f"x{j}": rng.normal(size=people["unit"].nunique())[people["unit"].factorize()[0]] for j in range(3)}
    alone = ek.Study(sites, unit="unit", period="time", outcome="y", components=COMPONENTS)
    adjusted = ek.Study(people.assign(**extra), unit="unit", period="time", outcome="y", cluster="site",
                        components=COMPONENTS, covariates=list(extra))  # fmt: skip
    a = COMPONENTS[0]
    least = ek.StaggeredRollout(weights="least_noise")
    return {
        "least noise, 48 sites with refits": lambda: (
            least(alone, a).aggregate("simple").to_frame(inference="jackknife")
        ),
        "least noise, 4,000 people": lambda: least(adjusted, a),
        "three covariates, doubly robust": lambda: ek.StaggeredRollout(adjust="dr")(adjusted, a),
        "joint event study with refits": lambda: ek.JointEventStudy()(alone, a).to_frame(inference="jackknife"),
    }


def timed() -> None:
    """Print the least wall time of each task."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, work in tasks().items():
            seconds = []
            for _ in range(TIMES):
                began = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - began)
            print(f"{name}\t{min(seconds)}", flush=True)


def _spin() -> None:
    while True:
        pass


def measured(one_thread: bool) -> dict[str, float]:
    """Seconds of each task in a fresh process."""
    env = {k: v for k, v in os.environ.items() if k not in THREADS} | (
        dict.fromkeys(THREADS, "1") if one_thread else {}
    )
    out = subprocess.run(
        [sys.executable, __file__, "timed"], env=env, check=True, capture_output=True, text=True
    ).stdout
    return {name: float(seconds) for name, seconds in (line.split("\t") for line in out.splitlines())}


def main() -> None:
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for load in ("quiet", "busy"):
        if load == "busy":
            for other in others:
                other.start()
        free, one = measured(False), measured(True)
        for name, seconds in free.items():
            print(
                f"{load}: {name}: {seconds:.2f} s, with one thread {one[name]:.2f} s: {seconds / one[name]:.1f} times"
            )
    for other in others:
        other.terminate()


if __name__ == "__main__":
    timed() if sys.argv[1:] == ["timed"] else main()
