"""Other people each period, starts between two dates, components taken away: what is said where the truth is known.

    nice python benchmarks/cross_sections.py --draws 40           every world, goes on where it stopped
    nice python benchmarks/cross_sections.py --draws 40 rows mix  some worlds
    python benchmarks/cross_sections.py --stored-only --write     the stored table into README.md

Draws are kept in benchmarks/results/cross_sections.csv, a row each. `held`: the printed range holds the truth, of 100
draws with one; `claimed`: shown or likely; `told`: the status is one that gives a number.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from result_tables import into_readme, markdown

import evalkit as ek
from evalkit.vocabulary import ESTIMATED

FILE = Path(__file__).parent / "results" / "cross_sections.csv"
COLUMNS = ("world", "draw", "truth", "status", "verdict", "estimate", "low", "high", "failed", "seconds")
START, END = "<!-- cross-sections: start -->", "<!-- cross-sections: end -->"
NEVER = 99


def _starts(places: int) -> np.ndarray:
    return np.array([4 + 2 * (p % 3) if p < places // 2 else NEVER for p in range(places)])


def _people(
    rng: np.random.Generator, start: np.ndarray, periods: int, effect: float, shift: float = 0.0, stay: int = 1
) -> pd.DataFrame:
    """12 to 28 people a place and period, each there for `stay` periods. x decides on y and moves by `shift`."""
    parts, first = [], 0
    level = rng.normal(size=len(start))
    for p, begins in enumerate(start):
        n = int(rng.integers(12, 29))
        t = np.tile(np.arange(periods), n)
        spell = (t + np.repeat(rng.integers(0, stay, n), periods)) // stay
        person = first + np.unique(np.repeat(np.arange(n), periods) * 1000 + spell, return_inverse=True)[1]
        own = rng.normal(size=person.max() + 1 - first)[person - first]
        on = (t >= begins).astype(int)
        x = own + shift * on
        shock = rng.normal(0, 0.2, periods)[t]
        y = level[p] + 0.1 * t + shock + effect * on + 0.7 * x + rng.normal(0, 0.7, len(t))
        parts.append(pd.DataFrame({"person": person, "place": f"P{p:02d}", "t": t, "a": on, "x": x, "y": y}))
        first = int(person.max()) + 1
    return pd.concat(parts, ignore_index=True)


def _of_people(frame: pd.DataFrame, covariates: tuple[str, ...] = ()) -> ek.Study:
    return ek.Study(
        frame, unit="person", period="t", cluster="place", outcome="y", matters=0.3, components=["a"],
        covariates=covariates,
    )  # fmt: skip


def _rows(rng: np.random.Generator, effect: float = 1.0) -> ek.Study:
    return _of_people(_people(rng, _starts(20), 12, effect))


def _wedge(rng: np.random.Generator, stay: int = 1) -> ek.Study:
    return _of_people(_people(rng, 3 + np.arange(24) // 4, 10, 1.0, stay=stay))


def _mix(rng: np.random.Generator, effect: float = 1.0) -> ek.Study:
    return _of_people(_people(rng, _starts(20), 12, effect, shift=0.6), ("x",))


def _of_places(
    rng: np.random.Generator, effect: np.ndarray, component: ek.Component, **columns: np.ndarray
) -> ek.Study:
    """Places seen in every period; effect, columns: (places, periods)."""
    places, periods = effect.shape
    y = rng.normal(size=(places, 1)) + rng.normal(size=(1, periods)) + rng.normal(0, 0.3, effect.shape) + effect
    frame = pd.DataFrame({"place": np.repeat(np.arange(places), periods), "t": np.tile(np.arange(periods), places)})
    frame = frame.assign(y=y.ravel(), **{name: table.ravel() for name, table in columns.items()})
    return ek.Study(frame, unit="place", period="t", outcome="y", matters=0.3, components=[component])


def _late(rng: np.random.Generator) -> ek.Study:
    age = np.arange(16) - _starts(24)[:, None]
    return _of_places(rng, 1.0 * (age >= 3), ek.Component("a"), a=(age >= 0).astype(int))


def _ends(rng: np.random.Generator, effect: float = 1.0) -> ek.Study:
    """On, off and on again; the effect stays."""
    age = np.arange(18) - _starts(24)[:, None]
    on = ((age >= 0) & (age < 3)) | ((age >= 6) & (age < 9))
    return _of_places(rng, effect * (age >= 0), ek.Component("a"), a=on.astype(int))


def _dates(rng: np.random.Generator, effect: float = 0.5, known: bool = True) -> ek.Study:
    """Recorded starts are off by up to three periods; how far is known, or not."""
    start = np.where(_starts(24) < NEVER, _starts(24) + 4, NEVER)
    ids = np.flatnonzero(start < NEVER)
    recorded = start[ids] + rng.integers(-3, 4, len(ids))
    spells = pd.DataFrame({"level_id": ids, "start": recorded})
    if known:
        spells = spells.assign(start_low=recorded - 3, start_high=recorded + 3)
    return _of_places(rng, effect * (np.arange(20) >= start[:, None]), ek.Component("a", adoption=spells))


WORLDS: dict[str, tuple[float, Callable[[np.random.Generator], ek.Study]]] = {
    "rows": (1.0, _rows),
    "rows, nothing": (0.0, lambda rng: _rows(rng, 0.0)),
    "wedge": (1.0, _wedge),
    "wedge, three periods each": (1.0, lambda rng: _wedge(rng, 3)),
    "mix moves": (1.0, _mix),
    "mix moves, nothing": (0.0, lambda rng: _mix(rng, 0.0)),
    "after three periods": (1.0, _late),
    "again, and it stays": (1.0, _ends),
    "again, nothing": (0.0, lambda rng: _ends(rng, 0.0)),
    "dates known within bounds": (0.5, _dates),
    "dates as recorded": (0.5, lambda rng: _dates(rng, known=False)),
    "dates within bounds, nothing": (0.0, lambda rng: _dates(rng, 0.0)),
}
"""World -> the effect over the claimed periods, and a study. Late: the truth is not one number, and is not held."""


def draw(world: str, seed: int) -> dict[str, object]:
    """One study evaluated."""
    began = time.process_time()
    truth, make = WORLDS[world]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        ev = ek.evaluate(make(np.random.default_rng([zlib.crc32(world.encode()), seed])))
    row = ev.verdicts.iloc[0]
    failed = ev.checks.loc[ev.checks["status"] == "failed", "check"]
    return {
        "world": world, "draw": seed, "truth": truth, "status": ev.separability.status("a"), "verdict": row["verdict"],
        "estimate": row["estimate"], "low": row["conf_low"], "high": row["conf_high"], "failed": " ".join(failed),
        "seconds": time.process_time() - began,
    }  # fmt: skip


def run(world: str, draws: int) -> None:
    """Draws 1 to `draws` that are not stored yet, each written as it ends."""
    stored = pd.read_csv(FILE, usecols=["world", "draw"]) if FILE.exists() else pd.DataFrame({"world": [], "draw": []})
    done = set(stored.loc[stored["world"] == world, "draw"])
    for seed in sorted(set(range(1, draws + 1)) - done):
        row = pd.DataFrame([draw(world, seed)], columns=list(COLUMNS))
        row.to_csv(FILE, mode="a", header=not FILE.exists(), index=False, float_format="%.6g", lineterminator="\n")


def table() -> pd.DataFrame:
    """A row a world: draws, and in 100 of them told, held, shown, claimed, no sign; mean and standard deviation."""
    rows = pd.read_csv(FILE, keep_default_na=False, na_values={c: [""] for c in ("estimate", "low", "high")})
    made = []
    for world, mine in rows.groupby("world", sort=False):
        known, truth = mine["low"].notna(), mine["truth"]
        held = ((mine["low"] <= truth) & (truth <= mine["high"]))[known]
        made.append({
            "world": world, "truth": truth.iloc[0], "draws": len(mine),
            "told": 100 * mine["status"].isin(ESTIMATED).mean(),
            "held": np.nan if world == "after three periods" else 100 * held.mean(),
            "mean": mine["estimate"].mean(), "sd": mine["estimate"].std(),
            "shown": 100 * (mine["verdict"] == "shown").mean(),
            "claimed": 100 * mine["verdict"].isin(("shown", "likely")).mean(),
            "no_sign": 100 * (mine["verdict"] == "no_sign").mean(), "seconds": mine["seconds"].mean(),
        })  # fmt: skip
    return pd.DataFrame(made)


def main(
    worlds: list[str] = typer.Argument(None), draws: int = 40, stored_only: bool = False, write: bool = False
) -> None:
    """Run the worlds named (all by default), then print the table; write: put it into README.md."""
    for world in [] if stored_only else worlds or WORLDS:
        run(world, draws)
    text = markdown(table(), 3)
    print(text)
    if write:
        into_readme(START, END, text)


if __name__ == "__main__":
    typer.run(main)
