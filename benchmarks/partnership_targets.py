"""What the score of the partnerships says of its targets: one line a target, from the answers of all draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from recovery_table import binomial

EVALKIT, BEFORE_AFTER = "evalkit", "before/after"
REFUSED = ("cannot_tell_apart", "cannot_tell", "not_tested")
CLAIMED = ("shown", "likely")
KEYS = ["partnership", "setting", "component"]
LOW, HIGH = 0.92, 0.98
FAR = 3
"""Monte Carlo errors by which a mean may miss its truth."""
ZEROS, REFUSALS = 0.07, 0.95
TRAP, POINTS = ("policy", "nurse", "court"), (19, 23)
"""What before and after says at Manchester, in whole points, of components worth about 10, 9 and 5."""
TIED = {
    "rough_sleeping": ("newsletter",),  # it starts with the policy
    "carers": ("groups",),  # they start as the education stops
}
"""What the settings of `hard` tie together, so that no data of theirs tell it apart; always-on components aside."""


def targets(answers: pd.DataFrame) -> str:
    """A table of target, what was measured, and whether that reaches it."""
    mine = answers[answers["method"] == EVALKIT]
    rows = [*_clean(mine), *_zeros(mine), *_hard(mine), *_silence(mine, answers), *_trap(answers)]
    lines = ["| target | measured | reached |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {found} | {'yes' if good else 'no'} |" for what, found, good in rows)])


def _clean(mine: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    told = mine[mine["setting"] == "clean"].dropna(subset=["estimate", "truth"])
    if not len(told):
        return
    miss = (told["estimate"] - told["truth"]).groupby([told[k] for k in KEYS])
    far = (miss.mean() / miss.sem()).abs()
    off = far[far > FAR]
    yield (
        "*clean*: mean headlines within three Monte Carlo errors of the truth of their own estimand",
        f"{len(far) - len(off)} of {len(far)} components; the farthest {far.max():.1f}{_named(off)}",
        not len(off),
    )
    yield from _coverage("*clean*: 95% intervals, whatever the verdict, hold the truth in 92 to 98%", told)


def _coverage(what: str, told: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    """Coverage of each component: missed only where its 99% binomial interval lies outside 92 to 98%."""
    told = told.dropna(subset=["low", "high"])
    if not len(told):
        return
    hit = ((told["low"] <= told["truth"]) & (told["truth"] <= told["high"])).groupby([told[k] for k in KEYS])
    spans = pd.DataFrame([binomial(int(h.sum()), len(h)) for _, h in hit], index=hit.mean().index)
    off = hit.mean()[(spans[1] < LOW) | (spans[0] > HIGH)]
    found = f"{len(spans) - len(off)} of {len(spans)} components; {hit.mean().min():.0%} to {hit.mean().max():.0%}"
    yield what, f"{found}, {told.eval('low <= truth <= high').mean():.1%} of all{_named(off)}", not len(off)


def _zeros(mine: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    zero = mine[(mine["truth"] == 0) & mine["estimate"].notna()]
    if len(zero):
        share = zero["verdict"].isin(CLAIMED).mean()
        yield "true zeros claimed in at most 7%", f"{share:.1%} of {len(zero):,} component-draws", share <= ZEROS


def _hard(mine: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    hard = mine[mine["setting"] == "hard"]
    if not len(hard):
        return
    tied = hard[[c in TIED.get(p, ()) for p, c in zip(hard["partnership"], hard["component"], strict=True)]]
    if len(tied):
        share = tied["verdict"].isin(REFUSED).groupby([tied[k] for k in KEYS]).mean()
        off = share[share < REFUSALS]
        named = ", ".join(f"{c} ({p})" for p, _, c in share.index)
        yield (
            "*hard*: refused in at least 95% of draws where components cannot be told apart",
            f"at least {share.min():.0%}: {named}{_named(off)}",
            not len(off),
        )
    rest = hard.dropna(subset=["estimate", "truth"])
    yield from _coverage("*hard*: intervals given hold the truth of their window in 92 to 98%", rest)


def _silence(mine: pd.DataFrame, answers: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    others = answers[answers["method"] == BEFORE_AFTER]
    known = set(zip(others["partnership"], others["component"], strict=True))
    always = mine[mine["partnership"].isin(others["partnership"].unique())]
    pairs = zip(always["partnership"], always["component"], strict=True)
    always = always[np.array([p not in known for p in pairs], dtype=bool)]
    numbers = int(always["estimate"].notna().sum())
    if len(always):
        yield "always-on components never get a number", f"{numbers} numbers in {len(always):,} draws", not numbers
    young = mine[mine["partnership"] == "young_people"]
    shown = int((young["verdict"] == "shown").sum())
    if len(young):
        yield "young_people never gets a *shown*", f"{shown} in {len(young):,} component-draws", not shown


def _trap(answers: pd.DataFrame) -> Iterator[tuple[str, str, bool]]:
    named = (answers["partnership"] == "rough_sleeping") & (answers["setting"] == "realistic")
    told = answers[named & (answers["method"] == BEFORE_AFTER)].groupby("component")[["estimate", "truth"]]
    if len(told):
        points, error = 100 * told.mean().loc[list(TRAP)], 100 * told.sem().loc[list(TRAP), "estimate"]
        said = [f"{c} {x:+.1f} (error {error[c]:.1f}, truth {t:+.1f})" for c, x, t in points.itertuples()]
        good = bool(points["estimate"].round().between(*POINTS).all())
        yield "Manchester, *realistic*: before/after says +19 to +23 points, in whole points", ", ".join(said), good


def _named(off: pd.Series) -> str:
    """The components that miss a target, with their figures."""
    return "".join(f"; missed: {p}, {s}, {c} ({v:.2f})" for (p, s, c), v in off.items())
