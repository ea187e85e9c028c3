"""Looks at made-up rollouts without any effect: 24 places, 24 monthly looks, shocks of places that last.

    python benchmarks/watch_worlds.py FOLDER --draws 600

keeps, for each rollout, what evalkit's own headline says at every look: estimate, standard error, degrees of freedom,
places in the smaller arm, and what each place added. An effect that all exposed cells share moves an estimate by just
itself, so that power is read from the same draws. Lines are drawn through them by `benchmarks/watch.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

import evalkit as ek
from evalkit.components import separability
from evalkit.evaluation.ladder import Choices, Rung, Window, run_design, window_of
from evalkit.evaluation.rungs import rungs_for
from evalkit.inference.replicates import Averaging

PLACES, BEFORE, LOOKS, RHO = 24, 12, 24, 0.5
NEVER = 10**6
ROLLOUTS = {
    "12 v 12": [BEFORE] * 12 + [NEVER] * 12,
    "waves": [BEFORE + 3 * (i // 3) for i in range(18)] + [NEVER] * 6,
    "3 v 21": [BEFORE] * 3 + [NEVER] * 21,
    "5 v 19": [BEFORE] * 5 + [NEVER] * 19,
    "8 v 16": [BEFORE] * 8 + [NEVER] * 16,
}
NUMBERS = ("estimate", "std_error", "df", "fewest")


@dataclass(frozen=True, eq=False)
class Seen:
    """A study with other values of its outcome: its exposures, and all that follows from them, are worked out once."""

    study: ek.Study
    drawn: np.ndarray
    covariates: tuple[str, ...] = ()

    @property
    def paths(self) -> object:
        return self.study.paths

    def values(self, outcome: str | None = None) -> np.ndarray:
        return self.drawn

    def weighing(self, outcome: object = None) -> Self:
        return self

    def outcome(self, name: str | None = None) -> ek.Outcome:
        return self.study.outcome(name)


@dataclass(frozen=True, eq=False)
class Look:
    """One look at a rollout: the study until then, and the design and window that exposures choose."""

    starts: tuple[int, ...]
    periods: int

    @cached_property
    def study(self) -> ek.Study:
        place, month = np.divmod(np.arange(PLACES * self.periods), self.periods)
        on = month >= np.array(self.starts)[place]
        frame = pd.DataFrame({"place": [f"place {i:02d}" for i in place], "month": month, "part": on.astype(int)})
        part = ek.Component("part", exposure="part")
        return ek.Study(frame.assign(y=0.0), unit="place", period="month", components=[part], outcome="y", matters=0.5)

    @cached_property
    def chosen(self) -> tuple[Rung, Window] | None:
        row = separability(self.study).components.iloc[0]
        window = window_of(row, 0)
        rungs = rungs_for(self.study, "part", str(row["best_design"]), Choices(), window, "y")
        return next(((r, window) for r in rungs if r.headline), None) if row["status"] == "separable" else None

    def read(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of `NUMBERS`, and what each place added to the estimate; NaN where there is no answer."""
        none = np.full(len(NUMBERS), np.nan), np.full(PLACES, np.nan)
        if self.chosen is None:
            return none
        rung, window = self.chosen
        rows, _ = run_design(rung.design, Seen(self.study, drawn), "part")
        if rows is None:
            return none
        inside = window.holds(rows.labels["event_time"].to_numpy())
        one = rows.apply(Averaging(inside[:, None], by_mass=True, total_mass=True), pd.DataFrame({"estimand": ["ATT"]}))
        spread, arms = one.joint(), one.arms
        assert arms is not None
        numbers = [one.value[0], np.sqrt(spread.vcov[0, 0]), spread.df[0], arms.fewest()]
        return np.array(numbers), one.influence[:, 0]


def shocks(rng: np.random.Generator, periods: int) -> np.ndarray:
    """(places, periods) shocks with standard deviation 1, a share RHO of each left in the next period."""
    fresh = rng.standard_normal((PLACES, periods))
    out = fresh.copy()
    for t in range(1, periods):
        out[:, t] = RHO * out[:, t - 1] + np.sqrt(1 - RHO**2) * fresh[:, t]
    return out


def looked_at(name: str, draws: range) -> dict[str, np.ndarray]:
    """numbers (draws, looks, 4) and influence (draws, looks, places) of a rollout."""
    looks = [Look(tuple(ROLLOUTS[name]), BEFORE + k) for k in range(1, LOOKS + 1)]
    numbers, influence = [], []
    for draw in draws:
        y = shocks(np.random.default_rng([draw, list(ROLLOUTS).index(name)]), BEFORE + LOOKS)
        found = [look.read(y[:, : look.periods]) for look in looks]
        numbers.append([f[0] for f in found])
        influence.append([f[1] for f in found])
    return {"numbers": np.array(numbers), "influence": np.array(influence)}


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("folder", type=Path)
    said.add_argument("--draws", type=int, default=600)
    said.add_argument("--rollouts", nargs="*", default=list(ROLLOUTS))
    given = said.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, given.draws, 50):
        for name in given.rollouts:
            file = given.folder / f"{name.replace(' ', '_')}-{first:05d}.npz"
            if not file.exists():
                np.savez_compressed(file, **looked_at(name, range(first, min(first + 50, given.draws))))


if __name__ == "__main__":
    main()
