"""Do intervals of least noise hold the truth from 4 to 100 places? `python benchmarks/least_noise_ladder.py [--write]`.

    nice python benchmarks/least_noise_ladder.py --draws 200 --places 4 6      goes on where it stopped
    python benchmarks/least_noise_ladder.py --stored-only --write              run nothing: the table into README.md

Half of the places start one component, at random times, in a panel of 20 periods with eight people a place. A person's
outcome is a level, what fades by a tenth a period, and noise; places have shocks with a standard deviation of .1 that
are anew each period, fade by a tenth, are five times as large where it starts as elsewhere, or the other way round, or
are random walks (steps of .03, or of .09). There is no effect. Coverage of 95% intervals is over draws; in brackets the
median of the width over that of an interval from refits alone. Rows are kept in results/least_noise_ladder.csv.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from least_noise import write_between
from threadpoolctl import threadpool_limits

import evalkit as ek

FILE = Path(__file__).parent / "results" / "least_noise_ladder.csv"
COLUMNS = ("seed", "world", "places", "holds", "width")
START, END = "<!-- least noise ladder: start -->", "<!-- least noise ladder: end -->"
PLACES, PEOPLE, PERIODS = (4, 6, 8, 12, 20, 40, 100), 8, 20
WORLDS = {
    "none": (0.9, 0.0, 0.0), "anew each period": (0.0, 1.0, 1.0), "fading": (0.9, 1.0, 1.0),
    "larger where it starts": (0.9, 2.5, 0.5), "larger elsewhere": (0.9, 0.5, 2.5), "walks": (1.0, 1.0, 1.0),
    "long walks": (1.0, 3.0, 3.0),
}  # fmt: skip
"""Correlation of neighbouring periods, and how large shocks are where it starts and elsewhere."""


def fading(rng: np.random.Generator, lines: int, decay: float) -> np.ndarray:
    """(lines, PERIODS) first-order autoregressions with variance one, or random walks with steps of .3."""
    step, out = 0.3 if decay == 1 else np.sqrt(1 - decay**2), np.empty((lines, PERIODS))
    out[:, 0] = rng.normal(size=lines)
    for t in range(1, PERIODS):
        out[:, t] = decay * out[:, t - 1] + step * rng.normal(size=lines)
    return out


def study(seed: int, world: str, places: int) -> ek.Study:
    """One draw."""
    rng, (decay, mine, theirs) = np.random.default_rng((seed, places)), WORLDS[world]
    place = np.repeat(np.arange(places), PEOPLE)
    n = len(place)
    start = np.where(rng.permutation(places) < places // 2, rng.integers(7, PERIODS - 5, places), PERIODS)
    y = 0.5 * rng.normal(size=(n, 1)) + 0.4 * fading(rng, n, 0.9) + 0.3 * rng.normal(size=(n, PERIODS))
    y += (0.1 * fading(rng, places, decay) * np.where(start < PERIODS, mine, theirs)[:, None])[place]
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(n), PERIODS), "t": np.tile(np.arange(PERIODS), n),
        "place": np.repeat(place, PERIODS), "y": y.ravel(),
        "a": (np.arange(PERIODS) >= start[place][:, None]).astype(int).ravel(),
    })  # fmt: skip
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", components=["a"], better="higher",
                    matters=0.1)  # fmt: skip


def draw(seed: int, world: str, places: int) -> tuple[int, str, int, float, float]:
    """Seed, world, places, whether the interval holds zero (NaN: there is none), and its width over that of refits."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        answer = ek.StaggeredRollout(weights="least_noise", base_window=6)(study(seed, world, places), "a")
        one = answer.aggregate("simple")
        row, refits = (one.to_frame(inference=kind).iloc[0] for kind in ("moderated", "jackknife"))
    if not np.isfinite(row["std_error"]):
        return seed, world, places, np.nan, np.nan
    width, beside = (r["conf_high"] - r["conf_low"] for r in (row, refits))
    return seed, world, places, float(row["conf_low"] <= 0 <= row["conf_high"]), width / beside


def run(draws: int, sizes: list[int], jobs: int) -> None:
    """Seeds 0 to `draws` less one that are not stored yet, ten at a time."""
    stored = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=list(COLUMNS))
    done = set(stored[["seed", "world", "places"]].itertuples(index=False, name=None))
    for first in range(0, draws, 10):
        seeds = range(first, min(first + 10, draws))
        left = [t for seed in seeds for places in sizes for world in WORLDS if (t := (seed, world, places)) not in done]
        if not left:
            continue
        found = pd.DataFrame(Parallel(n_jobs=jobs)(delayed(draw)(*task) for task in left), columns=list(COLUMNS))
        found.to_csv(FILE, mode="a", header=not FILE.exists(), index=False, float_format="%.6g", lineterminator="\n")
        print(f"seeds to {seeds[-1]}", flush=True)


def table(found: pd.DataFrame) -> str:
    """A row a world, a column a number of places; coverage, in brackets the width."""
    sizes = [p for p in PLACES if (found["places"] == p).any()]
    lines = ["| shocks of places | " + " | ".join(map(str, sizes)) + " |", "|---|" + "--:|" * len(sizes)]
    counts = [found.loc[(found["places"] == p) & found["holds"].notna()].groupby("world").size().min() for p in sizes]
    for world in WORLDS:
        cells = []
        for places in sizes:
            part = found[(found["world"] == world) & (found["places"] == places)]
            cells.append(f"{part['holds'].mean():.3f} [{part['width'].median():.2f}]")
        lines.append(f"| {world} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "| draws with an interval | " + " | ".join(map(str, counts)) + " |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--places", type=int, nargs="+", default=list(PLACES))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--stored-only", action="store_true")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    if not chosen.stored_only:
        run(chosen.draws, chosen.places, chosen.jobs)
    text = table(pd.read_csv(FILE))
    print(text)
    if chosen.write:
        words = "Coverage [width by that of refits]: `python benchmarks/least_noise_ladder.py --stored-only --write`."
        write_between(Path(__file__).parent / "README.md", START, END, words, text)


if __name__ == "__main__":
    main()
