"""Chances where checks fail: how often they are withheld, and whether those that allow for a failed check are right.

    python benchmarks/decision_allowed.py --withheld 3    whole evaluations of the partnerships, draws 1 to 3
    python benchmarks/decision_allowed.py --missing 60    worlds in which people go missing once their place has started

Both write into results/: decision_withheld.csv counts the lines of single components with a range, those whose chances
are withheld, those that allow for a failed check, and of these how often the truth lies in the middle 80% of what is
believed, with the allowance and without; decision_missing.csv has the same for each world, with mean chances. The worst
are always missing there, so that the truth is at the very end of what is allowed for; or they are missing by chance.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
import pandas as pd
from claims_worlds import World

import evalkit as ek
from evalkit.decision.acts import Decision, believed_of, decide
from evalkit.errors import EvalkitError
from evalkit.synthetic.settings import SPECS

RESULTS = Path(__file__).parent / "results"
SETTINGS = ("clean", "realistic", "hard")
WORLDS = {
    "8 in 100 missing, the worst, no effect": (World(people=20, sd=0.2, unseen=0.08), 0.0),
    "20 in 100 missing, the worst, no effect": (World(people=20, sd=0.2, unseen=0.2), 0.0),
    "20 in 100 missing, the worst, effect of 1.3 m": (World(people=20, sd=0.2, unseen=0.2), 0.4),
    "20 in 100 missing, by chance, effect of 1.3 m": (World(people=20, sd=0.2, unseen=0.2, by_chance=True), 0.4),
}
SEED = 77


def evaluated(study: ek.Study) -> ek.Evaluation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        return ek.evaluate(study)


def single(found: ek.Evaluation) -> Iterator[Decision]:
    """Lines of single components with a range, on the first outcome."""
    first = found.study.outcome().column
    lines = (line for line in found.decisions.lines if line.case.outcome == first)
    return (line for line in lines if line.case.ranged and line.case.name in found.study.paths.components)


def plain(line: Decision) -> Decision:
    """The same line with nothing allowed for."""
    return decide(replace(line.case, allowed=()), line.prior)


def within(line: Decision, truth: float) -> bool:
    """Whether the middle 80% of what is believed hold a truth, in the outcome's unit."""
    believed, inside = believed_of(line), line.case.good * truth / (line.case.matters or np.nan)
    return bool(believed.quantile(0.1)[0] <= inside <= believed.quantile(0.9)[0])


def withheld(draws: int) -> pd.DataFrame:
    """A row a partnership and setting."""
    rows = []
    for name, setting in ((n, s) for n in SPECS for s in SETTINGS):
        lines, held = [], []
        for seed in range(1, draws + 1):
            made = ek.synthetic.partnership(name, setting, seed)
            found = evaluated(made.study.replace(outcomes=made.study.outcomes[:1]))
            lines += (mine := list(single(found)))
            runs = {f.component: f.headline for f in found.findings}
            for line in (x for x in mine if x.case.allowed and not x.case.withheld):
                try:
                    truth = float(made.truth_for(runs[line.case.name].answer.weights()).iloc[0])
                except EvalkitError:
                    continue  # a regression is no weighted sum of cells
                held.append((within(line, truth), within(plain(line), truth)))
        gone = sum(bool(x.case.withheld) for x in lines)
        with_it, without = np.sum(held, axis=0) if held else (0, 0)
        rows.append((name, setting, draws, len(lines), gone, len(held), with_it, without))
        print(*rows[-1], flush=True)
    names = ["partnership", "setting", "draws", "lines", "withheld", "allowed", "within", "within_without"]
    return pd.DataFrame(rows, columns=names)


def missing(draws: int) -> pd.DataFrame:
    """A row a world: the share of draws in which it is allowed for who is missing; then, of these, mean chances that it
    helps and helps by what matters, and how often the truth is within, with the allowance and without."""
    rows = []
    for name, (world, effect) in WORLDS.items():
        found = []
        for seed in range(1, draws + 1):
            study = world.draw((SEED, seed), (lambda e, size=effect: np.full(e.shape, size)) if effect else None)
            line = next(single(evaluated(study)))
            if line.case.allowed and not line.case.withheld:
                bare = plain(line)
                found.append((line.chance_better, bare.chance_better, line.chance_matters, bare.chance_matters,
                              within(line, effect), within(bare, effect)))  # fmt: skip
        rows.append((name, draws, len(found) / draws, *np.mean(found, axis=0)))
        print(*rows[-1], flush=True)
    parts = ("better", "better_without", "matters", "matters_without", "within", "within_without")
    return pd.DataFrame(rows, columns=["world", "draws", "allowed", *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--withheld", type=int, metavar="N")
    parser.add_argument("--missing", type=int, metavar="N")
    chosen = parser.parse_args()
    for make, draws in ((withheld, chosen.withheld), (missing, chosen.missing)):
        if draws:
            table = make(draws)
            table.to_csv(RESULTS / f"decision_{make.__name__}.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
