"""What is claimed where there is nothing, and what the check of a steady drift takes away where there is an effect.

    nice python benchmarks/claims.py --draws 200                 every world, goes on where it stopped
    nice python benchmarks/claims.py --draws 40 pull_one true_20 some worlds
    nice python benchmarks/claims.py --again                     the check anew where something is claimed without it,
                                                                 all else as stored: for another rule of the check
    python benchmarks/claims.py --stored-only --write            run nothing: the table of what is stored into README.md

Draws are kept in benchmarks/results/claims.csv, a row each, written as they end. `verdict` is what `evaluate` says of
the first component; `without` what the same evidence gives where a drift (in worlds of scale, the scale) is not asked
about, `alone` where it is not asked who is touched and who is independent. Effects in the true worlds are 1, 1.5 and 2
times what the same study without one could detect, flat, growing over four periods or fading.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import time
import warnings
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from claims_scale import SCALE_FALSE, SCALE_TRUE
from claims_worlds import FALSE, GAIN, GAINED, PLACEBO, SHAPES, TRUE
from result_tables import into_readme, markdown

import evalkit as ek
from evalkit.checks.drift import drift_beside
from evalkit.verdicts.evidence import Evidence, Verdict
from evalkit.verdicts.rules import decide

FILE = Path(__file__).parent / "results" / "claims.csv"
COLUMNS = ("world", "draw", "effect", "shape", "verdict", "without", "alone", "pre_trend", "carries", "estimate", "low",
           "high", "drift_low", "drift_high", "breakdown", "seconds")  # fmt: skip
CLAIMS = ("shown", "likely")
WHO = ("spillover", "dominant_place", "shared_shocks")
"""Checks of who is touched and who is independent."""
HEADLINE = ek.StaggeredRollout(weights="least_noise", base_window=6)
BATCH = 10
START, END = "<!-- claims: start -->", "<!-- claims: end -->"
NOTHING = {**FALSE, **PLACEBO, **SCALE_FALSE}
SOMETHING = {**TRUE, **SCALE_TRUE}
SIZES = (1.0, 1.5, 2.0)


def _effect(e: np.ndarray, size: float, shape: str) -> np.ndarray:
    return size * SHAPES[shape](e)


def draw(world: str, seed: int) -> dict[str, object]:
    """One study evaluated."""
    began, own = time.perf_counter(), (zlib.crc32(world.encode()), seed)  # worlds share no noise
    if world in NOTHING:
        size, shape, study = 0.0, "", NOTHING[world].draw(own)
    elif world in GAINED:
        size, shape = GAIN, "flat"
        study = GAINED[world].draw(own, partial(_effect, size=size, shape=shape))
    else:
        bare = _first(SOMETHING[world].draw(own))[1].smallest_detectable
        size, shape = bare * SIZES[seed % 3], list(SHAPES)[seed // 3 % 3]
        study = SOMETHING[world].draw(own, partial(_effect, size=size, shape=shape))
    e, v = _first(study)
    drift, others = e.drift, tuple(c for c in e.checks if c.check not in WHO)
    return {
        "world": world, "draw": seed, "effect": size, "shape": shape, "verdict": v.verdict,
        "without": decide(_unasked(world, e)).verdict, "alone": decide(replace(e, checks=others)).verdict,
        "pre_trend": next((c.status for c in e.checks if c.check == "pre_trend"), ""),
        "carries": "" if drift is None else drift.carries,
        "estimate": e.estimate, "low": e.conf_low, "high": e.conf_high,
        "drift_low": np.nan if drift is None else drift.low, "drift_high": np.nan if drift is None else drift.high,
        "breakdown": np.nan if drift is None else drift.breakdown, "seconds": time.perf_counter() - began,
    }  # fmt: skip


def _unasked(world: str, e: Evidence) -> Evidence:
    """The evidence without what the world is about: whether a drift explains it, or whether it hangs on the scale."""
    if world in SCALE_FALSE or world in SCALE_TRUE:
        return replace(e, checks=tuple(c for c in e.checks if c.check != "scale"))
    return replace(e, drift=None)


def asked_again(row: dict[str, str]) -> dict[str, object]:
    """A stored row with the check of a drift asked anew; evaluated whole where the check cannot be asked, which counts
    with all else, and in worlds that are about other checks. The number itself must be what it was."""
    world, seed = row["world"], int(row["draw"])
    kind = {**FALSE, **TRUE}.get(world)
    if kind is None or kind.touch or kind.region:
        return draw(world, seed)
    effect = partial(_effect, size=float(row["effect"]), shape=row["shape"]) if row["shape"] else None
    study = kind.draw((zlib.crc32(world.encode()), seed), effect)
    until = ek.separability(study).components.set_index("component").loc["a", "clean_until"]
    until, rows = None if np.isnan(until) else int(until), HEADLINE(study, "a")
    one = rows.over(kind.lag, until)
    if one is None or abs(one.value[0] / float(row["estimate"]) - 1) > 1e-4:
        raise SystemExit(f"{world}, draw {seed}: the number is not the one that is stored.")
    found = drift_beside(study, "a", HEADLINE, rows, one, kind.lag, until)
    if found.carries == "untested":
        return draw(world, seed)
    verdict = {"nothing": "cannot_tell", "likely": "likely", "shown": row["without"]}[found.carries]
    low, high = found.interval()
    return {**row, "verdict": verdict, "alone": verdict, "carries": found.carries, "drift_low": low,
            "drift_high": high, "breakdown": found.breakdown}  # fmt: skip


def _first(study: ek.Study) -> tuple[Evidence, Verdict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        ev = ek.evaluate(study)
    return next((e, v) for e, v in ev.judged if e.component == "a")


def run(world: str, draws: int) -> None:
    """Draws 1 to `draws` that are not stored yet, each written as it ends."""
    stored = pd.read_csv(FILE, usecols=["world", "draw"]) if FILE.exists() else pd.DataFrame({"world": [], "draw": []})
    done = set(stored.loc[stored["world"] == world, "draw"])
    for seed in sorted(set(range(1, draws + 1)) - done):
        row = pd.DataFrame([draw(world, seed)], columns=list(COLUMNS))
        row.to_csv(FILE, mode="a", header=not FILE.exists(), index=False, float_format="%.6g", lineterminator="\n")


def once_more(*worlds: str) -> None:
    """Ask anew where something is claimed without the check, or without those of who is touched and independent; in
    worlds of scale, where another check is not asked, where the range excludes zero. Each written as it ends."""
    rows = pd.read_csv(FILE, dtype=str, keep_default_na=False)
    low, high = (pd.to_numeric(rows[c], errors="coerce") for c in ("low", "high"))
    scale = rows["world"].isin([*SCALE_FALSE, *SCALE_TRUE])
    claims = rows["without"].isin(CLAIMS) | rows["alone"].isin(CLAIMS)
    gone = rows["world"].isin(worlds) & np.where(scale, low * high > 0, claims)
    rows[~gone].to_csv(FILE, index=False, lineterminator="\n")
    for row in rows[gone].to_dict("records"):
        found = pd.DataFrame([asked_again(row)], columns=list(COLUMNS))
        found.to_csv(FILE, mode="a", header=False, index=False, float_format="%.6g", lineterminator="\n")


def table() -> pd.DataFrame:
    """A row a world: draws, what is claimed and shown (in 100), with and without the check of a drift; of the true
    worlds the share of claims that is kept; claims, and no signs, where it is not asked who is touched and who is
    independent; and how often the range with a drift taken out holds the truth."""
    rows = pd.read_csv(FILE, keep_default_na=False, na_values=[""])
    rows["claimed"], rows["before"] = rows["verdict"].isin(CLAIMS), rows["without"].isin(CLAIMS)
    rows["free"] = rows["alone"].isin(CLAIMS)
    rows["holds"] = (rows["drift_low"] <= rows["effect"]) & (rows["effect"] <= rows["drift_high"])
    made = []
    for world, mine in rows.groupby("world", sort=False):
        claimed, before = mine["claimed"], mine["before"]
        flat = mine[(mine["shape"].isna() | (mine["shape"] == "flat")) & mine["drift_low"].notna()]
        made.append({
            "world": world, "draws": len(mine), "claimed": 100 * claimed.mean(), "without": 100 * before.mean(),
            "shown": 100 * (mine["verdict"] == "shown").mean(),
            "shown_without": 100 * (mine["without"] == "shown").mean(),
            "kept": 100 * (claimed & before).sum() / before.sum() if world in SOMETHING and before.any() else np.nan,
            "alone": 100 * mine["free"].mean() if mine["alone"].notna().all() else np.nan,
            "no_sign": 100 * (mine["verdict"] == "no_sign").mean(),
            "no_sign_alone": 100 * (mine["alone"] == "no_sign").mean() if mine["alone"].notna().all() else np.nan,
            "held": 100 * flat["holds"].mean() if len(flat) else np.nan, "seconds": mine["seconds"].mean(),
        })  # fmt: skip
    return pd.DataFrame(made)


def main(
    worlds: list[str] = typer.Argument(None),
    draws: int = 200,
    again: bool = False,
    stored_only: bool = False,
    write: bool = False,
) -> None:
    """Run the worlds named (all by default), then print the table; write: put it into README.md."""
    for world in (worlds or [*NOTHING, *SOMETHING, *GAINED]) if again else []:
        once_more(world)
        run(world, draws)
        print(world, flush=True)
    for most in [] if stored_only else range(BATCH, draws + BATCH, BATCH):
        for world in worlds or [*NOTHING, *SOMETHING, *GAINED]:
            run(world, min(most, draws))
        print(f"{min(most, draws)} draws a world stored", flush=True)
    found = table().round(1)
    print(found.to_string(index=False))
    if write:
        into_readme(START, END, markdown(found))


if __name__ == "__main__":
    typer.run(main)
