"""Times and memory of matched and weighted comparisons beside other packages.

    python benchmarks/matching_speed.py [--peers PYTHON] [--repeats 2] [--large]

100,000 people, about 10,000 of them exposed, ten covariates; `--large` adds a million people. Each piece of work runs
in a process of its own, with one thread; the table takes the least time and the memory above that of the loaded data.
`--peers` names a Python that has StatsPAI, pysmatch and DoubleML (those missing are left out).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

NAMES = [f"x{i}" for i in range(10)]


def make(people: int) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    x = np.column_stack([rng.normal(size=(people, 6)), rng.random((people, 4)) < 0.4]).astype(float)
    lean = x @ np.array([0.4, -0.3, 0.2, 0.1, 0.0, 0.2, 0.3, -0.2, 0.1, 0.2]) - 2.55
    got = rng.random(people) < 1 / (1 + np.exp(-lean))
    y = x @ np.linspace(0.5, -0.4, 10) + got * (1 + 0.3 * x[:, 0]) + rng.normal(size=people)
    return pd.DataFrame(x, columns=NAMES).assign(id=np.arange(people), got=got.astype(int), y=y)


def peak() -> float:
    """Most memory used so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def study_of(frame: pd.DataFrame):
    import evalkit as ek

    return ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=tuple(NAMES))


def ours_pairs(frame: pd.DataFrame) -> Callable:
    import evalkit as ek

    study = study_of(frame)
    return lambda: len(ek.MatchedComparison(caliper=0.2).match(study, "got").links[0])


def ours_whole(frame: pd.DataFrame) -> Callable:
    import evalkit as ek

    study, design = study_of(frame), ek.MatchedComparison(caliper=0.2)

    def work() -> float:
        matching = design.match(study, "got")
        matching.balance()
        return float(design.estimate(study, "got", matching).to_frame()["estimate"][0])

    return work


def ours_aipw(frame: pd.DataFrame) -> Callable:
    import evalkit as ek

    study, design = study_of(frame), ek.WeightedComparison(method="aipw", folds=5, repeats=1)
    return lambda: float(design(study, "got").to_frame()["estimate"][0])


def ours_mahalanobis(frame: pd.DataFrame) -> Callable:
    import evalkit as ek

    study = study_of(frame)
    design = ek.MatchedComparison(distance="mahalanobis", ratio=3, replace=True)
    return lambda: len(design.match(study, "got").links[0])


def tree(frame: pd.DataFrame) -> Callable:
    from scipy.spatial import cKDTree

    x, got = frame[NAMES].to_numpy(), frame["got"].to_numpy() == 1

    def work() -> int:
        root = np.linalg.cholesky(np.linalg.inv(np.cov(x, rowvar=False)))
        white = x @ root
        return cKDTree(white[~got]).query(white[got], k=3)[1].size

    return work


def statspai_pairs(frame: pd.DataFrame) -> Callable:
    import statspai

    options = {"y": "y", "treat": "got", "covariates": NAMES, "method": "nearest", "n_matches": 1, "replace": False,
               "caliper": 0.2, "distance": "propensity"}  # fmt: skip
    return lambda: float(statspai.match(frame, **options).estimate)


def statspai_aipw(frame: pd.DataFrame) -> Callable:
    import statspai

    options = {"y": "y", "treat": "got", "covariates": NAMES, "estimand": "ATT", "n_folds": 5}
    return lambda: float(statspai.aipw(frame, **options).estimate)


def pysmatch_pairs(frame: pd.DataFrame) -> Callable:
    from pysmatch.Matcher import Matcher

    def work() -> int:
        rest = frame.drop(columns="id")
        matcher = Matcher(rest[rest["got"] == 1], rest[rest["got"] == 0], yvar="got", exclude=["y"])
        matcher.fit_scores(balance=False, nmodels=1)
        matcher.predict_scores()
        matcher.match(method="min", nmatches=1, threshold=0.01, replacement=False)
        return len(matcher.matched_data) // 2

    return work


def doubleml_aipw(frame: pd.DataFrame) -> Callable:
    import doubleml
    from sklearn.linear_model import LinearRegression, LogisticRegression

    data = doubleml.DoubleMLData(frame, y_col="y", d_cols="got", x_cols=NAMES)

    def work() -> float:
        logit = LogisticRegression(C=1e6, max_iter=500)
        return float(doubleml.DoubleMLIRM(data, LinearRegression(), logit, n_folds=5, score="ATTE").fit().coef[0])

    return work


WORK: dict[str, tuple[tuple[str, Callable], ...]] = {
    "1:1, caliper, no replacement, score included": (
        ("evalkit", ours_pairs), ("StatsPAI", statspai_pairs), ("pysmatch", pysmatch_pairs),
    ),
    "the same with balance, effect, clustered error": (("evalkit", ours_whole),),
    "doubly robust ATT, 5 folds, with error": (
        ("evalkit", ours_aipw), ("StatsPAI", statspai_aipw), ("DoubleML", doubleml_aipw),
    ),
    "Mahalanobis 3:1, replacement": (("evalkit", ours_mahalanobis), ("scipy cKDTree, whitened", tree)),
}  # fmt: skip


def child(task: str, engine: str, people: int) -> None:
    """Run one piece of work and print its time and memory."""
    frame = make(people)
    prepare = dict(WORK[task])[engine]
    try:
        work = prepare(frame)
        # Imports and compiled pieces are not the work: a small run first.
        prepare(make(2_000))()
        before, start = peak(), time.perf_counter()
        value = work()
        print(json.dumps({"seconds": time.perf_counter() - start, "mb": peak() - before, "value": value}))
    except ImportError as error:
        print(json.dumps({"absent": str(error)}))


def measure(task: str, engine: str, people: int, python: str, repeats: int) -> dict:
    """The least of several runs, or why there is none."""
    runs = []
    for _ in range(repeats):
        command = [python, str(Path(__file__).resolve()), "--child", task, "--engine", engine, "--people", str(people)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            return {"absent": (done.stderr.strip().splitlines() or ["no answer"])[-1][:70]}
        runs.append(json.loads(lines[-1]))
        if "absent" in runs[-1]:
            return runs[-1]
    return {"seconds": min(r["seconds"] for r in runs), "mb": min(r["mb"] for r in runs), "value": runs[0]["value"]}


def table(sizes: list[int], peers: str, repeats: int) -> None:
    for people in sizes:
        print(f"\n{people:,} people, {int(make(people)['got'].sum()):,} exposed")
        print(f"{'work':50s} {'by':26s} {'seconds':>8s} {'MB':>7s}  value")
        for task, engines in WORK.items():
            if people > 100_000 and task not in list(WORK)[:2]:
                continue
            for engine, _ in engines:
                mine = engine == "evalkit" or "scipy" in engine
                if people > 100_000 and not mine:
                    continue
                found = measure(task, engine, people, sys.executable if mine else peers, repeats)
                if "absent" in found:
                    print(f"{task:50s} {engine:26s} not run: {found['absent']}", flush=True)
                    continue
                print(
                    f"{task:50s} {engine:26s} {found['seconds']:8.3f} {found['mb']:7.0f}  {found['value']:.6g}",
                    flush=True,
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--child")
    parser.add_argument("--engine")
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child, chosen.engine, chosen.people)
        return 0
    sizes = [chosen.people, *([1_000_000] if chosen.large else [])]
    table(sizes, chosen.peers, chosen.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
