"""People beside people where selection, outcome and effects bend: `python benchmarks/people_learners.py`.

    nice python benchmarks/people_learners.py --draws 100           every world
    nice python benchmarks/people_learners.py --draws 200 --only weighed
    python benchmarks/people_learners.py --stored-only              run nothing: what is stored, into README.md

Five covariates, 1,000 people, effects that vary. In "linear" straight lines are right. In "both bent" scores and
outcomes follow hooks and twists that no learner has in its list; "steps" have corners; in "places" people sit in 30
places whose own shocks and effects differ; "weighed" is as "both bent", and each person stands for one to eight, by
what they are and whether they had it. The truth of an answer is that of the people behind it. A wrong sign is a range
that lies on the wrong side of zero; every effect is above it.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from result_tables import into_readme
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

import evalkit as ek

RESULTS = Path(__file__).parent / "results" / "people_learners.csv"
START, END = "<!-- learners: start -->", "<!-- learners: end -->"
WORLDS = ("linear", "both_bent", "steps", "places", "weighed")
NAMES = ("x0", "x1", "x2", "x3", "x4")


@dataclass(frozen=True, eq=False)
class World:
    """People, what the component does to each (n,), how many each stands for (n,), and the study of them."""

    frame: pd.DataFrame
    effect: np.ndarray
    weight: np.ndarray
    study: ek.Study


def draw(world: str, n: int, rng: np.random.Generator) -> World:
    """One cross-section of a world."""
    x = np.sqrt(0.8) * rng.normal(size=(n, 4)) + np.sqrt(0.2) * rng.normal(size=(n, 1))
    x = np.column_stack([x, rng.random(n) < 0.4]).astype(float)
    site = rng.permutation(np.arange(n) % 30)
    if world == "linear":
        score, without, effect = -0.5 + 0.7 * x[:, 0] + 0.5 * x[:, 1], x[:, 0] + 0.8 * x[:, 1], 0.3 + 0.3 * x[:, 0]
    elif world in ("both_bent", "weighed"):
        hook, twist = 1.6 * (np.abs(x[:, 0]) - 0.8), np.tanh(1.5 * x[:, 0] * x[:, 1])
        score, effect = -0.6 + 0.9 * hook + 0.6 * twist, 0.3 + 0.2 * x[:, 1]
        without = -hook - 0.7 * twist + 0.3 * x[:, 2]
    elif world == "steps":
        corner, far = (x[:, 0] > 0.3) & (x[:, 1] < 0.3), np.abs(x[:, 2]) > 1
        score, effect = -1.1 + 1.5 * corner + far, 0.3 + 0.4 * (x[:, 1] > 0)
        without = -1.5 * corner - far
    else:
        place, shock, own = rng.normal(size=(3, 30))
        x[:, 3] = place[site]
        bent = x[:, 0] ** 2 - 1
        score, effect = -0.5 + 0.5 * place[site] + 0.7 * bent, 0.3 + 0.3 * own[site]
        without = 0.5 * place[site] - 0.8 * bent + 0.4 * shock[site]
    t = rng.random(n) < expit(score)
    weight = np.ones(n)
    if world == "weighed":
        weight = np.where(x[:, 1] > 0, 4.0, 1.0) * np.where(t, 1.0, 1.0 + (x[:, 2] > 0))
    frame = pd.DataFrame(x, columns=list(NAMES)).assign(
        person=np.arange(n), site=site, t=t.astype(int), y=without + t * effect + rng.normal(size=n), weight=weight
    )
    places = world == "places"
    component = ek.Component("t", assigned_at="person" if places else None)
    study = ek.Study(frame, unit="person", period=None, outcome="y", covariates=NAMES, components=[component],
                     cluster="site" if places else None, weights="weight" if world == "weighed" else None)  # fmt: skip
    return World(frame, effect, weight, study)


def answers(made: World) -> list[dict[str, object]]:
    """Range and truth of the learners and of a matched and adjusted straight line; whether the same people's other
    comparisons fail the learners."""
    rows, t = [], made.frame["t"].to_numpy() == 1
    learners, matched = ek.FlexibleComparison(), ek.MatchedComparison(caliper=0.2, adjust="auto")
    whole = matched.match(made.study, "t")
    mine = whole.people.rows[whole.used & whole.people.exposed]
    for name, design in (("learners", learners), ("matched", matched)):
        est = design(made.study, "t")
        row = est.to_frame().iloc[0]
        behind = est.units[np.abs(est.influence[:, 0]) > 0]
        who = np.flatnonzero(np.isin(made.frame["person"], behind) & t) if name == "learners" else mine
        truth = np.average(made.effect[who], weights=made.weight[who])
        rows.append(
            {"way": name, "estimate": row["estimate"], "low": row["conf_low"], "high": row["conf_high"], "truth": truth}
        )
    failed = ek.checks.same_people(learners.rivals(made.study, "t")).status == "failed"
    return [r | {"failed": failed if r["way"] == "learners" else np.nan} for r in rows]


def world(name: str, draws: int, n: int) -> pd.DataFrame:
    """What `draws` cross-sections of a world come to, a row a way."""
    rows = []
    for i in range(draws):
        rows += answers(draw(name, n, np.random.default_rng([WORLDS.index(name), i, n])))
    found = pd.DataFrame(rows)
    found["covered"] = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    found["wrong"], found["off"] = found["high"] < 0, found["estimate"] - found["truth"]
    table = found.groupby("way").agg(covered=("covered", "mean"), wrong=("wrong", "mean"), off=("off", "mean"),
                                     failed=("failed", "mean"))  # fmt: skip
    return table.reset_index().assign(world=name, draws=draws)[
        ["world", "way", "draws", "covered", "wrong", "off", "failed"]
    ]


def table() -> None:
    """The stored rows as a table in README.md."""
    lines = ["| World | Way | Draws | Range holds the truth | Wrong sign claimed | Off by | Fails on the same people |"]
    lines.append("|---|---|---|---|---|---|---|")
    for r in pd.read_csv(RESULTS).itertuples():
        failed = "" if np.isnan(r.failed) else f"{r.failed:.2f}"
        numbers = f"{r.covered:.2f} | {r.wrong:.2f} | {r.off:+.3f} | {failed}"
        lines.append(f"| {r.world.replace('_', ' ')} | {r.way} | {r.draws} | {numbers} |")
    into_readme(START, END, "\n".join(lines))


def main(draws: int = 100, people: int = 1000, stored_only: bool = False, only: str = "") -> None:
    """Draw worlds (or the one named) and store their rows."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in () if stored_only else (only,) if only else WORLDS:
        made = world(name, draws, people)
        if RESULTS.exists():
            old = pd.read_csv(RESULTS)
            made = pd.concat([old[old["world"] != name], made], ignore_index=True)
        made.to_csv(RESULTS, index=False, float_format="%.4f")
        print(made[made["world"] == name].to_string(index=False), flush=True)
    table()


if __name__ == "__main__":
    typer.run(main)
