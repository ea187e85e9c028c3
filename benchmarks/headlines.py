"""Headlines of the synthetic partnerships, without their checks: `python benchmarks/headlines.py [--draws 60]`.

For each draw the estimate, its range and degrees of freedom, and the truth of its own cells, of every component's
headline for the primary outcome, kept in benchmarks/results/headlines.csv as they are made; a run that was stopped goes
on. `benchmarks/decision.py` reads them: what is worth doing hangs on estimate and range alone.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import typer

import evalkit as ek
from evalkit.errors import EvalkitError
from evalkit.evaluation.ladder import Choices, Run, run, window_of
from evalkit.evaluation.rungs import rungs_for
from evalkit.synthetic.settings import SPECS
from evalkit.vocabulary import ESTIMATED

FILE = Path(__file__).parent / "results" / "headlines.csv"
SETTINGS = ("clean", "realistic", "hard")
COLUMNS = ("partnership", "setting", "draw", "component", "estimate", "low", "high", "df", "truth")
BATCH = 10


def headlines(study: ek.Study) -> Iterator[tuple[str, Run]]:
    """Component and headline, run and averaged over its window."""
    sep, choices, outcome = ek.separability(study), Choices.of(study.settings), study.outcomes[0].column
    rows = sep.components.set_index("component")
    for c in study.components:
        if sep.status(c.name) in ESTIMATED:
            row = rows.loc[c.name]
            window = window_of(row, c.lag, study.paths.n_periods > 1).within(choices.horizon)
            rungs = rungs_for(study, c.name, str(row["best_design"]), choices, window, outcome, 0)
            if (headline := next((r for r in rungs if r.headline), None)) is not None:
                yield c.name, run(headline, study, c.name, window)


def draw(name: str, setting: str, seed: int) -> pd.DataFrame:
    """A row a component whose headline has a range."""
    made, rows = ek.synthetic.partnership(name, setting, seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        study = made.study.replace(outcomes=made.study.outcomes[:1]).as_compared()
        for component, found in headlines(study):
            if found.answer is None:
                continue
            line = found.answer.to_frame().iloc[0]
            try:
                truth = float(made.truth_for(found.answer.weights()).iloc[0])
            except EvalkitError:
                continue  # a regression is no weighted sum of cells
            rows.append((name, setting, seed, component, line["estimate"], line["conf_low"], line["conf_high"],
                         line["df"], truth))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS)).dropna(subset=["low", "high"])


def main(names: list[str] = typer.Argument(None), draws: int = 60) -> None:
    """Draws 1 to `draws` of every setting that are not stored yet, ten of each at a time."""
    stored = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=list(COLUMNS))
    done = set(stored[["partnership", "setting", "draw"]].itertuples(index=False, name=None))
    for first in range(1, draws + 1, BATCH):
        for name, setting in ((n, s) for n in names or SPECS for s in SETTINGS):
            begun, todo = time.perf_counter(), range(first, min(first + BATCH, draws + 1))
            for seed in (s for s in todo if (name, setting, s) not in done):
                draw(name, setting, seed).to_csv(FILE, mode="a", header=not FILE.exists(), index=False,
                                                 float_format="%.6g", lineterminator="\n")  # fmt: skip
            print(f"{name}, {setting}: to draw {todo[-1]}, {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
