"""Estimates and ranges after a crossing of the agreed line: how often they hold the truth, and how wide they are.

    python -m benchmarks.watch_stopping --draws 250 --keep FOLDER --write

writes results/watch_stopping.csv and the table in benchmarks/README.md. Looks are those of `watch_worlds.py` (FOLDER
keeps its draws), every third month, eight in all; bounds come from each draw's own correlations, as a record's do.
"textbook" are eight looks of independent increments with a variance known by eight degrees of freedom. Sizes are in
standard deviations of the estimate at the last look. The truth is the mean effect over the months until the look that
crossed. Beside the rule of the package: the one before it (the estimate over its z as a standard error), the same rule
with one effect throughout, the plain t range, and the range of the line itself.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from benchmarks.result_tables import into_readme
from benchmarks.watch import draws_of
from benchmarks.watch_worlds import LOOKS, PLACES
from evalkit.monitor import bounds as lines
from evalkit.monitor.looks import Seen, correlation

RESULTS = Path(__file__).with_name("results") / "watch_stopping.csv"
START, END = "<!-- watch stopping: start -->", "<!-- watch stopping: end -->"
EVERY, ALPHA, FEWEST, LATE = 3, 0.05, 5, 6
MONTHS = np.arange(EVERY, LOOKS + 1, EVERY)
TEXTBOOK, DF = "textbook", 8
WORLDS = {
    TEXTBOOK: (("same", 2.8), ("same", 5.0), ("same", 30.0), ("grows", 5.0), ("late", 10.0)),
    "12 v 12": (("same", 2.8), ("same", 5.0), ("same", 10.0), ("same", 30.0), ("grows", 5.0), ("late", 5.0),
                ("late", 10.0), ("late", 30.0), ("fades", 15.0)),
    "waves": (("same", 2.8), ("same", 5.0), ("same", 30.0)),
    "5 v 19": (("same", 2.8), ("same", 5.0), ("same", 30.0), ("late", 10.0)),
    "3 v 21": (("same", 5.0), ("same", 30.0)),
}  # fmt: skip
COURSES = {
    "same": np.ones(len(MONTHS)),
    "grows": (MONTHS + 1) / (MONTHS[-1] + 1),
    "late": np.maximum(MONTHS - LATE, 0) / MONTHS * MONTHS[-1] / (MONTHS[-1] - LATE),
    "fades": np.minimum(MONTHS, LATE) / MONTHS,
}
"""Mean effect until each look, as a share of the size: the same in every month, growing from month to month, from the
seventh month on, and in the first six months only."""
Ends = tuple[float, float, float]


def looks_of(numbers: np.ndarray, influence: np.ndarray) -> list[lines.Held]:
    """The looks of one draw held against a line drawn by the draw's own correlations, as the record of looks has it."""
    held: list[lines.Held] = []
    last, spent = None, 0.0
    for number, at in enumerate(MONTHS - 1, 1):
        estimate, se, df, few = numbers[at]
        seen = Seen(estimate, se, df, int(few), int(PLACES - few))
        now = {str(i): float(x) for i, x in enumerate(influence[at])}
        r, last, final = correlation(last, now), now, number == len(MONTHS)
        barred, may = min(few, PLACES - few) < FEWEST and not final, lines.spent(number / len(MONTHS), ALPHA)
        chain = [*(h.correlation for h in held), r]
        bound = lines.FAR if barred else lines.next_bound(chain, [h.bound for h in held], may - spent)
        spent = spent if bound >= lines.FAR else may
        held.append(lines.Held(estimate, se, seen.cautious_df, bound, r))
    return held


def textbook(count: int) -> list[list[lines.Held]]:
    """Means of what has come in so far, as much at each look, with one variance known by `DF` degrees of freedom."""
    number = np.arange(1, len(MONTHS) + 1)
    bounds = lines.planned_bounds(number / len(MONTHS), ALPHA)
    r = [0.0, *np.sqrt(number[:-1] / number[1:])]
    drawn = []
    for draw in range(count):
        rng = np.random.default_rng([draw, 8])
        means = np.cumsum(rng.standard_normal(len(MONTHS))) / number
        se = np.sqrt(rng.chisquare(DF) / DF / number)
        drawn.append([lines.Held(m, s, DF, b, x) for m, s, b, x in zip(means, se, bounds, r, strict=True)])
    return drawn


def drawn_of(world: str, count: int, folder: Path) -> list[list[lines.Held]]:
    """The looks of each draw of a world."""
    if world == TEXTBOOK:
        return textbook(count)
    return [looks_of(n, i) for n, i in zip(*draws_of(world, count, folder), strict=True)]


def until_crossed(looks: Sequence[lines.Held], effects: np.ndarray) -> list[lines.Held]:
    """The looks under an effect, up to the one that crosses; none where none does."""
    moved = [replace(h, estimate=h.estimate + e) for h, e in zip(looks, effects, strict=True)]
    over = (k for k, h in enumerate(moved) if abs(h.z(h.estimate)) >= h.bound < lines.FAR)
    return moved[: next(over, -1) + 1]


def one_effect(looks: Sequence[lines.Held]) -> Ends:
    """The rule with one effect throughout."""
    size, sign = abs(looks[-1].estimate), float(np.sign(looks[-1].estimate))

    def where(p: float) -> float:
        none = [0.0] * (len(looks) - 1)
        return sign * lines._solve(lambda e: lines._as_far(e, looks, none, size) - p, size, looks[-1].std_error)

    low, high = sorted((where(0.025), where(0.975)))
    return where(0.5), low, high


def scaled(looks: Sequence[lines.Held]) -> Ends:
    """One effect throughout, and as standard errors the estimates over their z, as the package had it before."""
    z = [h.z(h.estimate) for h in looks]
    return one_effect([
        replace(h, std_error=abs(h.estimate / x) if abs(x) > 1e-9 else h.std_error, df=np.inf)
        for h, x in zip(looks, z, strict=True)
    ])  # fmt: skip


def ranges(looks: Sequence[lines.Held]) -> dict[str, Ends]:
    """Estimate and range after a crossing, by each rule."""
    last, found = looks[-1], lines.adjusted(looks)
    plain = float(stdtrit(last.df, 0.975)) * last.std_error
    return {
        "": (found.estimate, found.low, found.high),
        "before": scaled(looks),
        "one effect": one_effect(looks),
        "plain": (last.estimate, last.estimate - plain, last.estimate + plain),
        "line": (last.estimate, last.estimate - last.line, last.estimate + last.line),
    }


def measured(world: str, count: int, folder: Path) -> Iterator[dict[str, object]]:
    """A row for each course and size of one world."""
    drawn = drawn_of(world, count, folder)
    spread = float(np.std([d[-1].estimate for d in drawn]))
    for course, size in WORLDS[world]:
        truth = size * spread * COURSES[course]
        crossed = [c for c in (until_crossed(d, truth) for d in drawn) if c]
        found = [ranges(c) for c in crossed]
        about = np.array([truth[len(c) - 1] for c in crossed])
        row = {"world": world, "course": course, "size": size, "draws": count, "crossed": len(crossed),
               "look": float(np.median([len(c) for c in crossed]))}  # fmt: skip
        wide = np.array([f["before"][2] - f["before"][1] for f in found])
        for rule in found[0]:
            value, low, high = np.array([f[rule] for f in found]).T
            name = f" {rule}" if rule else ""
            row[f"held{name}"] = float(np.mean((low <= about) & (about <= high)))
            row[f"above{name}"] = float(np.mean(value > about))
            row[f"off{name}"] = float(np.median(value - about)) / spread
            row[f"width{name}"] = float(np.median((high - low) / wide))
        yield row


SHOWN = {"world": "World", "course": "Course", "size": "Size", "crossed": "Crossed", "look": "At look",
         "held": "Held", "held before": "before", "held one effect": "one effect", "held plain": "plain",
         "held line": "the line's", "width": "Width beside before", "width line": "the line's",
         "off": "Off, median", "off before": "before", "off plain": "plain"}  # fmt: skip


def table(found: pd.DataFrame) -> str:
    """The table for people."""
    made = ["| " + " | ".join(SHOWN.values()) + " |", "|---|---|" + "--:|" * (len(SHOWN) - 2)]
    for r in found.to_dict("records"):
        r |= {"crossed": f"{r['crossed']} of {r['draws']}", "look": f"{r['look']:g}", "size": f"{r['size']:g}"}
        made.append("| " + " | ".join(v if isinstance(v := r[k], str) else f"{v:.2f}" for k in SHOWN) + " |")
    return "\n".join(made)


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--draws", type=int, default=250)
    said.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "evalkit-watch")
    said.add_argument("--only", nargs="*", default=list(WORLDS))
    said.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = said.parse_args()
    kept = pd.read_csv(RESULTS) if RESULTS.exists() else None
    for world in given.only:
        rows = pd.DataFrame(list(measured(world, given.draws, given.keep)))
        print(rows.to_string(index=False), flush=True)
        kept = rows if kept is None else pd.concat([kept[kept["world"] != world], rows], ignore_index=True)
    assert kept is not None
    order = {world: i for i, world in enumerate(WORLDS)}
    kept = kept.sort_values("world", key=lambda s: s.map(order), kind="stable").round(4)
    kept.to_csv(RESULTS, index=False)
    if given.write:
        into_readme(START, END, table(kept))


if __name__ == "__main__":
    main()
