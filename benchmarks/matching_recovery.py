"""Do intervals of matched and weighted comparisons hold the truth? Simulated people with known effects.

The scenario "matched" of `recovery.py` runs and prints it. Worlds: "plain" (every model is right), "bent score" (the
score bends in ways that no model here knows; the outcome does not), "thin" (few people alike in the other arm),
"places" (people in 40 places that differ). The effect varies with a covariate. Truth is the average effect on those
whom an estimate speaks for. "bent both" (score and outcome bend) stands outside the target: what is not recorded in
the right form biases every method, matching on covariates least.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from recovery_methods import answer
from recovery_table import flags, summarise
from scipy.special import expit

import evalkit as ek

NAMES = ("x1", "x2", "x3")
WORLDS = ("plain", "bent score", "thin", "places", "bent both")
PEOPLE = 1000
Design = ek.MatchedComparison | ek.WeightedComparison
DOUBTED, ADJUSTED = "doubted", "adjusted"
SAID = 0.9


def draw(world: str, seed: int, people: int = PEOPLE) -> pd.DataFrame:
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
    band = np.digitize(x, (-0.6, 0.6)) @ (9, 3, 1)
    return frame.assign(id=np.arange(people), place=place, band=band, got=got.astype(int), y=y, effect=effect)


def study_of(frame: pd.DataFrame, world: str) -> ek.Study:
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    more = {"cluster": "place"} if world == "places" else {}
    return ek.Study(frame, unit="id", period=None, outcome="y", components=parts, covariates=NAMES, **more)


def designs() -> Mapping[str, Design]:
    """Every method with its defaults; then with what near partners leave unlike taken out, as `ek.evaluate` does."""
    w = ek.WeightedComparison
    plain = {
        "nearest": {}, "nearest, caliper 0.2": {"caliper": 0.2}, "nearest, replace": {"replace": True},
        "mahalanobis": {"distance": "mahalanobis"}, "optimal": {"method": "optimal"}, "full": {"method": "full"},
        "exact bands": {"method": "exact", "exact": ("band",)}, "cem": {"method": "cem"},
        "subclass": {"method": "subclass"},
    }  # fmt: skip
    weighted = {"entropy": w(method="entropy"), "aipw": w(method="aipw"), "ipw": w()}
    adjusted = {f"{k}, {ADJUSTED}": ek.MatchedComparison(**o, adjust="auto") for k, o in plain.items()}
    return {k: ek.MatchedComparison(**o, adjust=None) for k, o in plain.items()} | weighted | adjusted


def answers(world: str, seed: int) -> list[dict]:
    """Every design on one draw of a world, beside the truth for those whom it speaks for."""
    frame = draw(world, seed)
    study = study_of(frame, world)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        return [_answer(name, design, study, frame) for name, design in designs().items()]


def _answer(name: str, design: Design, study: ek.Study, frame: pd.DataFrame) -> dict:
    effect, weight = frame["effect"].to_numpy(), frame["got"].to_numpy(dtype=float)
    if isinstance(design, ek.MatchedComparison):
        matching = design.match(study, "got")
        weight = np.zeros(len(frame))
        weight[matching.people.rows] = np.where(matching.people.exposed, matching.weight, 0.0)
        est = design.estimate(study, "got", matching)
    else:
        est = design(study, "got")
    row = est.to_frame().iloc[0]
    numbers = tuple(float(row[c]) for c in ("estimate", "conf_low", "conf_high"))
    note = DOUBTED if row["doubt"] and design.method != "entropy" else ""
    return answer(name, "got", numbers, np.average(effect, weights=weight), not numbers[1] <= 0 <= numbers[2], note)


def grid(found: pd.DataFrame) -> str:
    """Coverage, and bias in hundredths of the outcome's noise, a line a method and a column a world.

    A star where the 99% binomial interval of the coverage lies outside 92 to 98%, and the share of draws in which the
    estimate itself says what speaks against it: a score of the wrong form (entropy balance can do without), partners
    left unlike. Two stars where coverage is outside and the estimate says nothing in one draw of ten or more.
    """
    lines = summarise(found)
    doubted = found.assign(said=found["note"] == DOUBTED).groupby(["scenario", "method"])["said"].mean()
    cells = {(x["method"], x["scenario"]): _cell(x, doubted[x["scenario"], x["method"]]) for _, x in lines.iterrows()}
    worlds, methods = lines["scenario"].unique(), lines["method"].unique()
    rows = [[m, *(cells[m, w] for w in worlds)] for m in methods]
    head = ["method", *(w.split(", ", 1)[1] for w in worlds)]
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows])


def _cell(line: pd.Series, doubted: float) -> str:
    star = "" if "coverage" not in flags(line) else "*" if doubted >= SAID else "**"
    said = f", doubted {doubted:.0%}" if doubted > 0 else ""
    return f"{line['covered']:.1%}{star} ({100 * line['bias']:+.1f}{said})"
