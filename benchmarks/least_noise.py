"""Weights of least noise beside equal ones: `python benchmarks/least_noise.py [--draws 100] [--write]`.

Worlds: 20 sites of ten people, 30 periods, three components that start at random; a person's outcome is a level, what
fades by a tenth a period, and noise; sites have shocks that fade by a tenth ("shocks"), or that stay ("walks"). No
component has an effect, so that whatever excludes zero is wrong. Numbers are over draws and components; a table with
`--write` goes into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

import evalkit as ek

START, END = "<!-- least noise: start -->", "<!-- least noise: end -->"
SITES, PEOPLE, PERIODS = 20, 10, 30
WORLDS = {"shocks": 0.9, "walks": 1.0}
LAG = np.abs(np.subtract.outer(np.arange(PERIODS), np.arange(PERIODS)))
COVARIANCES = (0.25 + 0.16 * 0.9**LAG + 0.09 * (LAG == 0), 0.01 * 0.9**LAG)
"""Of a person, and of a place where its shocks fade by a tenth."""
HEAD = ("world", "weights", "inference", "numbers", "bias", "RMSE", "coverage", "mean width")


def fading(rng: np.random.Generator, lines: int, decay: float) -> np.ndarray:
    """(lines, PERIODS) first-order autoregressions with variance one, or random walks with steps of .3."""
    step = 0.3 if decay == 1 else np.sqrt(1 - decay**2)
    out = np.empty((lines, PERIODS))
    out[:, 0] = rng.normal(size=lines)
    for t in range(1, PERIODS):
        out[:, t] = decay * out[:, t - 1] + step * rng.normal(size=lines)
    return out


def study(seed: int, decay: float) -> ek.Study:
    """One draw."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), PEOPLE)
    people = len(site)
    y = 0.5 * rng.normal(size=(people, 1)) + 0.4 * fading(rng, people, 0.9) + 0.3 * rng.normal(size=(people, PERIODS))
    y += 0.1 * fading(rng, SITES, decay)[site]
    frame = pd.DataFrame({"person": np.repeat(np.arange(people), PERIODS), "t": np.tile(np.arange(PERIODS), people)})
    frame = frame.assign(site=np.repeat(site, PERIODS), y=y.ravel())
    for name in "abc":
        start = np.where(rng.random(SITES) < 0.6, rng.integers(10, PERIODS - 6, SITES), PERIODS)
        frame[name] = (np.arange(PERIODS) >= start[site][:, None]).astype(int).ravel()
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=list("abc"))  # fmt: skip


def draw(seed: int, world: str) -> list[tuple[str, str, str, float, float, float]]:
    """World, weights, inference, estimate and interval of every component."""
    rows = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        made = study(seed, WORLDS[world])
        for weights, kinds in (("equal", ("jackknife",)), ("least_noise", ("jackknife", "moderated"))):
            for component in "abc":
                answer = ek.StaggeredRollout(weights=weights, base_window=6)(made, component).aggregate("simple")
                for kind in kinds:
                    row = answer.to_frame(inference=kind).iloc[0]
                    rows.append((world, weights, kind, row["estimate"], row["conf_low"], row["conf_high"]))
    return rows


def table(found: pd.DataFrame) -> str:
    """One row a world, weights and inference."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---|---|--:|--:|--:|--:|--:|"]
    for (world, weights, kind), rows in found.groupby(["world", "weights", "inference"], sort=False):
        x, low, high = (rows[c].to_numpy() for c in ("estimate", "low", "high"))
        good = np.isfinite(low)
        numbers = (x.mean(), np.sqrt((x**2).mean()), ((low <= 0) & (high >= 0))[good].mean(), (high - low)[good].mean())
        lines.append(
            f"| {world} | {weights} | {kind} | {good.sum()} | " + " | ".join(f"{v:.3f}" for v in numbers) + " |"
        )
    return "\n".join(lines)


def write_between(page: Path, start: str, end: str, words: str, text: str) -> None:
    """A table and words about it between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(start)
    page.write_text(f"{before}{start}\n\n{words}\n\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    tasks = [(seed, world) for world in WORLDS for seed in range(chosen.draws)]
    rows = Parallel(n_jobs=chosen.jobs)(delayed(draw)(*task) for task in tasks)
    columns = ["world", "weights", "inference", "estimate", "low", "high"]
    text = table(pd.DataFrame([row for part in rows for row in part], columns=columns))
    print(text)
    if chosen.write:
        words = f"{chosen.draws} draws a world, three components each: `python benchmarks/least_noise.py --write`."
        write_between(Path(__file__).parent / "README.md", START, END, words, text)


if __name__ == "__main__":
    main()
