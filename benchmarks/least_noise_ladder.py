"""Do intervals of least noise hold the truth from 4 to 100 places? `python benchmarks/least_noise_ladder.py [--write]`.

Half of the places start one component, at random times, in a panel of 20 periods with eight people a place. A person's
outcome is a level, what fades by a tenth a period, and noise; places have shocks with a standard deviation of .1 that
are anew each period, fade by a tenth, are five times as large where it starts as elsewhere, or the other way round, or
are random walks (steps of .03, or of .09). There is no effect. Coverage of 95% intervals is over draws; in brackets the
median of the width over that of an interval from refits alone.
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


def draw(seed: int, world: str, places: int) -> tuple[str, int, float, float]:
    """World, places, whether the interval holds zero (NaN where there is none), and its width over that of refits."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        answer = ek.StaggeredRollout(weights="least_noise", base_window=6)(study(seed, world, places), "a")
        one = answer.aggregate("simple")
        row, refits = (one.to_frame(inference=kind).iloc[0] for kind in ("moderated", "jackknife"))
    if not np.isfinite(row["std_error"]):
        return world, places, np.nan, np.nan
    width, beside = (r["conf_high"] - r["conf_low"] for r in (row, refits))
    return world, places, float(row["conf_low"] <= 0 <= row["conf_high"]), width / beside


def table(found: pd.DataFrame) -> str:
    """A row a world, a column a number of places."""
    lines = ["| shocks of places | " + " | ".join(map(str, PLACES)) + " |", "|---|" + "--:|" * len(PLACES)]
    for world in WORLDS:
        cells = []
        for places in PLACES:
            part = found[(found["world"] == world) & (found["places"] == places)]
            cells.append(f"{part['holds'].mean():.3f} [{part['width'].median():.2f}]" if len(part) else "")
        lines.append(f"| {world} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    tasks = [(seed, world, places) for seed in range(chosen.draws) for places in PLACES for world in WORLDS]
    rows = Parallel(n_jobs=chosen.jobs)(delayed(draw)(*task) for task in tasks)
    text = table(pd.DataFrame(rows, columns=["world", "places", "holds", "width"]))
    print(text)
    if chosen.write:
        words = (
            f"{chosen.draws} draws a cell: `python benchmarks/least_noise_ladder.py --draws {chosen.draws} --write`."
        )
        write_between(Path(__file__).parent / "README.md", START, END, words, text)


if __name__ == "__main__":
    main()
