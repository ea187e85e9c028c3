"""Do intervals of matched and weighted comparisons hold the truth? Simulated people with known effects.

    python benchmarks/matching_recovery.py [--draws 400] [--people 1000] [--only TEXT]

Worlds: "plain" (every model is right), "bent score" (the score bends in ways that no model here knows; the outcome
does not), "thin" (few people alike in the other arm), "places" (people in 40 places that differ). The effect varies
with a covariate. Truth is the average effect on those whom an estimate speaks for. Target: 92 to 98% for every default.
"bent both" (score and outcome bend) stands outside the target: what is not recorded in the right form biases every
method, matching on covariates least.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.special import expit

import evalkit as ek

NAMES = ("x1", "x2", "x3")
WORLDS = ("plain", "bent score", "thin", "places", "bent both")
LOW, HIGH = 0.92, 0.98


def draw(world: str, seed: int, people: int) -> pd.DataFrame:
    """People with covariates, exposure `got`, outcome `y` and their own true effect."""
    rng = np.random.default_rng([sum(map(ord, world)), seed])
    x = rng.normal(size=(people, 3))
    place = rng.integers(0, 40, people)
    lean = 0.6 * x[:, 0] - 0.4 * x[:, 1]
    base = x[:, 0] + 0.5 * x[:, 1] + 0.3 * x[:, 2]
    if world.startswith("bent"):
        lean = lean + 0.35 * (x[:, 0] ** 2 - 1)
    if world == "bent both":
        base = base + 0.25 * (x[:, 0] ** 2 - 1)
    if world == "thin":
        lean = 2.0 * lean
    if world == "places":
        lean = lean + 0.5 * rng.normal(size=40)[place]
        base = base + 0.5 * rng.normal(size=40)[place]
    got = rng.random(people) < expit(lean - (2.2 if world == "thin" else 1.5))
    effect = 1 + 0.3 * x[:, 0]
    y = base + effect * got + rng.normal(size=people)
    frame = pd.DataFrame(x, columns=list(NAMES))
    return frame.assign(id=np.arange(people), place=place, got=got.astype(int), y=y, effect=effect)


def study_of(frame: pd.DataFrame, world: str) -> ek.Study:
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    more = {"cluster": "place"} if world == "places" else {}
    return ek.Study(frame, unit="id", period=None, outcome="y", components=parts, covariates=NAMES, **more)


def designs() -> dict[str, Callable]:
    """What is tried, by name: the defaults of every method, and the adjusted forms that a report would show."""
    m, w = ek.MatchedComparison, ek.WeightedComparison
    return {
        "nearest": m(),
        "nearest, caliper 0.2": m(caliper=0.2),
        "nearest, caliper 0.2, regression": m(caliper=0.2, adjust="reg"),
        "nearest, replacement": m(replace=True),
        "nearest, replacement, bias-corrected": m(replace=True, adjust="bias"),
        "mahalanobis, 3 each, replacement": m(distance="mahalanobis", ratio=3, replace=True, adjust="bias"),
        "optimal, caliper 0.2, regression": m(method="optimal", caliper=0.2, adjust="reg"),
        "full": m(method="full"),
        "full, caliper 0.2, regression": m(method="full", caliper=0.2, adjust="reg"),
        "subclass, regression": m(method="subclass", adjust="reg"),
        "coarsened": m(method="cem", cutpoints={n: (-1, -0.3, 0.3, 1) for n in NAMES}, adjust="reg"),
        "ipw": w(),
        "entropy": w(method="entropy"),
        "aipw, no folds": w(method="aipw", folds=1),
        "aipw": w(method="aipw"),
    }


def answer(name: str, design: Callable, study: ek.Study, frame: pd.DataFrame) -> dict:
    """Estimate, interval and the truth for those whom it speaks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        if isinstance(design, ek.MatchedComparison):
            matching = design.match(study, "got")
            spoken = matching.used & matching.people.exposed
            weight = np.where(spoken, matching.weight, 0.0)
            truth = float(np.average(frame["effect"].to_numpy()[matching.people.rows], weights=weight))
            est = design.estimate(study, "got", matching)
        else:
            est = design(study, "got")
            truth = float(frame["effect"][frame["got"] == 1].mean())
        row = est.to_frame().iloc[0]
    return {"design": name, "estimate": row["estimate"], "se": row["std_error"], "truth": truth,
            "held": bool(row["conf_low"] <= truth <= row["conf_high"]), "left_out": row["share_left_out"]}  # fmt: skip


def run(world: str, draws: int, people: int, only: str) -> pd.DataFrame:
    rows = []
    for seed in range(draws):
        frame = draw(world, seed, people)
        study = study_of(frame, world)
        rows += [answer(n, d, study, frame) for n, d in designs().items() if only in n]
    found = pd.DataFrame(rows)
    found["off"] = found["estimate"] - found["truth"]
    grouped = found.groupby("design", sort=False)
    table = grouped.agg(bias=("off", "mean"), spread=("off", "std"), se=("se", "mean"), coverage=("held", "mean"),
                        left_out=("left_out", "mean"), draws=("off", "size"))  # fmt: skip
    table["se_to_spread"] = table["se"] / table["spread"]
    return table.drop(columns="se").reset_index()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--only", default="")
    parser.add_argument("--world", action="append", choices=WORLDS)
    chosen = parser.parse_args()
    for world in chosen.world or WORLDS:
        table = run(world, chosen.draws, chosen.people, chosen.only)
        table["within 92 to 98%"] = np.where(table["coverage"].between(LOW, HIGH), "yes", "no")
        print(f"\n{world}: {chosen.draws} draws of {chosen.people} people")
        print(table.to_string(index=False, float_format=lambda v: f"{v:.3f}"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
