"""People who wait for an event and are lost from sight, drawn many times: `nice python benchmarks/waiting.py`.

    python benchmarks/waiting.py --stored-only     the table of what is stored into README.md; nothing is drawn
    python benchmarks/waiting.py --draws 200 --first 100     further draws of those who wait, printed and not stored
    python benchmarks/waiting.py --speed-only      20,000 people, linear and boosted, beside DoubleML where it is there

A row of benchmarks/results/waiting.csv: how often the 95% range holds the effect on everybody, by who is lost (at
random, by covariates, strongly by covariates and arm) and by what is compared; beside it the same with those lost left
out. And the same of a covariate that is missing by another one, filled ten times or told by a column.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from result_tables import into_readme
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import evalkit as ek

RESULTS = Path(__file__).parent / "results" / "waiting.csv"
START, END = "<!-- waiting: start -->", "<!-- waiting: end -->"
LOST = ("at random", "by covariates", "strongly")
COMPARED = {"share": 1.0, "time": 2.0}
NAMES = ("x0", "x1", "x2")


def draw(people: int, rng: np.random.Generator, lost: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """People with covariates, exposure, times and events; and their times with it and without it."""
    x = rng.normal(size=(people, 3))
    had = rng.random(people) < expit(-0.3 + 0.7 * x[:, 0] + 0.4 * x[:, 1])
    rate = np.exp(0.5 * x[:, 0] + 0.4 * x[:, 1])
    one, none = ((rng.exponential(size=people) / (rate * r)) ** 0.8 for r in (np.exp(-0.6), 1.0))
    gone = {"at random": np.zeros(people), "by covariates": 0.7 * x[:, 0] - 0.4 * had,
            "strongly": 1.3 * x[:, 0] - 0.8 * x[:, 0] * had}[lost]  # fmt: skip
    leaves = rng.exponential(size=people) / (0.35 * np.exp(gone))
    life = np.where(had, one, none)
    frame = pd.DataFrame({"person": np.arange(people), "had": had.astype(int), **dict(zip(NAMES, x.T, strict=True))})
    return frame.assign(weeks=np.minimum(life, leaves), event=(life <= leaves).astype(int)), one, none


def gain(effect: str, one: np.ndarray, none: np.ndarray) -> float:
    """The effect on everybody: the share by 1, or the mean time until 2."""
    by = COMPARED[effect]
    if effect == "share":
        return float((one <= by).mean() - (none <= by).mean())
    return float(np.minimum(one, by).mean() - np.minimum(none, by).mean())


def answer(frame: pd.DataFrame, outcome: ek.Outcome, **more: object) -> pd.Series:
    """Doubly robust, for everybody."""
    study = ek.Study(frame, unit="person", period=None, components=["had"], outcomes=[outcome], **more)  # type: ignore[arg-type]
    return ek.WeightedComparison(method="aipw", estimand="ATE", repeats=1)(study, "had").to_frame().iloc[0]


def waits(draws: int, people: int, first: int = 0) -> list[dict[str, object]]:
    """Coverage by who is lost and what is compared, and with those lost left out. first: number of the first draw."""
    _, one, none = draw(400_000, np.random.default_rng(99), "at random")
    rows = []
    for world, lost in enumerate(LOST):
        held: dict[tuple[str, str], list[tuple[bool, float, float]]] = {}
        for i in range(first, first + draws):
            frame, *_ = draw(people, np.random.default_rng([world, i, people]), lost)
            for effect, by in COMPARED.items():
                truth = gain(effect, one, none)
                stood = ek.Outcome(kind="time_to_event", time="weeks", event="event", by=by, effect=effect)
                known = frame[(frame["event"] == 1) | (frame["weeks"] >= by)]
                value = np.minimum(known["weeks"], by)
                plain = known.assign(y=value if effect == "time" else (known["event"] * (known["weeks"] <= by)))
                for how, found in (("stood for", answer(frame, stood, covariates=NAMES)),
                                   ("left out", answer(plain, ek.Outcome("y"), covariates=NAMES))):  # fmt: skip
                    row = (
                        found["conf_low"] <= truth <= found["conf_high"],
                        found["estimate"] - truth,
                        found["std_error"],
                    )
                    held.setdefault((effect, how), []).append(row)
        for (effect, how), each in held.items():
            covered, off, error = np.array(each, dtype=float).mean(axis=0)
            rows.append({"lost": lost, "compared": effect, "those lost are": how, "people": people, "draws": draws,
                         "covered": covered, "off": off, "mean_error": error})  # fmt: skip
    return rows


def missing(draws: int, people: int) -> list[dict[str, object]]:
    """Coverage where a third of a covariate is missing by another: an effect of 1."""
    held: dict[str, list[tuple[bool, float, float]]] = {}
    for i in range(draws):
        rng = np.random.default_rng([7, i])
        need = rng.normal(size=people)
        other = 0.7 * need + 0.7 * rng.normal(size=people)
        had = (rng.random(people) < expit(need)).astype(int)
        y = had + 2 * need + other + rng.normal(size=people)
        frame = pd.DataFrame({"person": np.arange(people), "had": had, "need": need, "other": other, "y": y})
        frame.loc[rng.random(people) < expit(other - 0.8), "need"] = np.nan
        for how in ("impute", "indicator"):
            found = answer(frame, ek.Outcome("y"), covariates=("need", "other"), missing=how)
            row = (found["conf_low"] <= 1 <= found["conf_high"], found["estimate"] - 1, found["std_error"])
            held.setdefault(how, []).append(row)
    rows = []
    for how, each in held.items():
        covered, off, error = np.array(each, dtype=float).mean(axis=0)
        rows.append({"lost": "a covariate", "compared": "mean", "those lost are": how, "people": people, "draws": draws,
                     "covered": covered, "off": off, "mean_error": error})  # fmt: skip
    return rows


def weighed(draws: int, people: int) -> list[dict[str, object]]:
    """Coverage where the young weigh ten times as much as the old, leave later, and are lost as soon or sooner: the
    share with it by 20, among the people that the weights stand for. Nothing but the weights tells who is old."""
    share = {r: np.average([1 - np.exp(-20 * r / t) for t in (10, 40)], weights=[1, 10]) for r in (1.0, 1 / 0.7)}
    truth, rows = share[1 / 0.7] - share[1.0], []
    stood = ek.Outcome(kind="time_to_event", time="weeks", event="event", by=20.0, effect="share")
    for world, lost in enumerate(("at random, weights", "by age, weights")):
        held = []
        for i in range(draws):
            rng = np.random.default_rng([8, world, i])
            old, had = rng.random(people) < 0.5, rng.random(people) < 0.5
            life = rng.exponential(np.where(old, 10.0, 40.0) * np.where(had, 0.7, 1.0))
            leaves = rng.uniform(1.0, np.where(old, 60.0, 25.0) if world else 40.0, people)
            frame = pd.DataFrame({"person": np.arange(people), "had": had.astype(int), "x": rng.normal(size=people)})
            frame["weeks"], frame["event"] = np.minimum(life, leaves), (life <= leaves).astype(int)
            found = answer(frame.assign(w=np.where(old, 1.0, 10.0)), stood, covariates=("x",), weights="w")
            held.append(
                (found["conf_low"] <= truth <= found["conf_high"], found["estimate"] - truth, found["std_error"])
            )
        covered, off, error = np.array(held, dtype=float).mean(axis=0)
        rows.append({"lost": lost, "compared": "share", "those lost are": "stood for", "people": people, "draws": draws,
                     "covered": covered, "off": off, "mean_error": error})  # fmt: skip
    return rows


def table() -> None:
    """The stored rows as a table in README.md."""
    stored = pd.read_csv(RESULTS)
    lines = [
        "| Lost | Compared | Those lost are | People | Draws | Range holds the truth | Off | Error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in stored.to_dict("records"):
        numbers = " | ".join(f"{r[c]:.3f}" for c in ("covered", "off", "mean_error"))
        lines.append(
            f"| {r['lost']} | {r['compared']} | {r['those lost are']} | {r['people']} | {r['draws']} | {numbers} |"
        )
    into_readme(START, END, "\n".join(lines))


def speed() -> None:
    """20,000 people, 5 folds, one split; processor seconds, the least of five: doubly robust with linear nuisances, and
    those who had it with boosted ones."""
    frame, *_ = draw(20_000, np.random.default_rng(0), "at random")
    frame = frame.assign(y=frame["x0"] + frame["had"] + np.random.default_rng(1).normal(size=len(frame)))
    study = ek.Study(frame, unit="person", period=None, components=["had"], outcome="y", covariates=NAMES)
    outcome, score = HistGradientBoostingRegressor(random_state=0), HistGradientBoostingClassifier(random_state=0)
    linear = ek.WeightedComparison(method="aipw", estimand="ATE", repeats=1)
    boosted = ek.FlexibleComparison(learner=outcome, score=score, repeats=1)
    ours = [_least(lambda d=design: d(study, "had")) for design in (linear, boosted)]
    print(f"evalkit: linear {ours[0]:.3f} s, boosted {ours[1]:.2f} s")
    try:
        import doubleml
    except ImportError:
        print("DoubleML is not installed")
        return
    data = doubleml.DoubleMLData(frame, y_col="y", d_cols="had", x_cols=list(NAMES))

    def theirs(*learners: BaseEstimator, score: str) -> None:
        doubleml.DoubleMLIRM(data, *learners, n_folds=5, n_rep=1, score=score).fit()

    line = _least(lambda: theirs(LinearRegression(), LogisticRegression(C=1e6), score="ATE"))
    bent = _least(lambda: theirs(outcome, score, score="ATTE"))
    print(f"DoubleML {doubleml.__version__}: linear {line:.3f} s, boosted {bent:.2f} s")
    print(f"of DoubleML's time: linear {ours[0] / line:.2f}, boosted {ours[1] / bent:.2f}")


def _least(call) -> float:  # type: ignore[no-untyped-def]
    took = []
    for _ in range(5):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return min(took)


def main(
    draws: int = 100, people: int = 500, first: int = 0, stored_only: bool = False, speed_only: bool = False
) -> None:
    """Draw and store, or only write the table, or only time."""
    warnings.simplefilter("ignore")
    if speed_only:
        speed()
        return
    if first:
        print(pd.DataFrame(waits(draws, people, first)).to_string(index=False))
        return
    if not stored_only:
        rows = [*waits(draws, people), *missing(draws // 2, people), *weighed(draws // 2, people)]
        pd.DataFrame(rows).to_csv(RESULTS, index=False, float_format="%.6g")
    table()


if __name__ == "__main__":
    typer.run(main)
