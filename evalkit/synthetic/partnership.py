"""A partnership whose truth is known, by its name: to evaluate, to write into a folder, to score an evaluation with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import pandas as pd

from evalkit.errors import OptionError, check_choice, spelt
from evalkit.synthetic.knobs import Knobs, check_knobs
from evalkit.synthetic.portfolio import PORTFOLIO, Portfolio, portfolio
from evalkit.synthetic.score import score_table
from evalkit.synthetic.settings import SPECS
from evalkit.synthetic.simulated import Simulated, Truth
from evalkit.synthetic.spec import Spec
from evalkit.synthetic.town import TOWN, Town, TownKnobs, town
from evalkit.synthetic.world import n_parts
from evalkit.synthetic.write import write_partnership

__all__ = ["SETTINGS", "Partnership", "Truth", "names", "partnership"]
SETTINGS = ("clean", "realistic", "hard")


@dataclass(frozen=True, eq=False, repr=False)
class Partnership(Simulated):
    """A simulated partnership. `study` is what an evaluator gets; `reveal_truth()` opens the envelope."""

    def score(self, verdicts: Any) -> pd.DataFrame:
        """Estimate, interval, verdict and truth side by side, one row a component and outcome.

        verdicts: an evaluation, or its frame of verdicts. From an evaluation the truth is that of the cells behind
        each headline; from a frame alone it is the effect on everybody reached.
        """
        return score_table(self, verdicts)

    def write(self, folder: str | Path) -> Path:
        """Write the whole folder: tables, dictionary, README, study file, and truth beside; returns the study file."""
        return write_partnership(self, Path(folder))

    def __repr__(self) -> str:
        return f"Partnership({self.name!r}, setting={self.setting!r}, seed={self.seed})"


@overload
def partnership(name: Literal["portfolio"], setting: str = ..., seed: int = ..., **knobs: Any) -> Portfolio: ...
@overload
def partnership(name: Literal["town"], setting: str = ..., seed: int = ..., **knobs: Any) -> Town: ...
@overload
def partnership(name: str, setting: str = ..., seed: int = ..., **knobs: Any) -> Partnership: ...
def partnership(name: str, setting: str = "realistic", seed: int = 1, **knobs: Any) -> Partnership | Portfolio | Town:
    """A synthetic partnership with known truth; "portfolio" is 24 of them, each a study of its own (`Portfolio`),
    "town" one place alone (`Town`).

    name: one of `names()`. setting: "clean", "realistic" or "hard". seed: the same seed gives the same bytes on
    every machine. knobs: any field of `Knobs` (of the town, of `TownKnobs`), which then replaces that of the setting.

    Raises `OptionError` for an unknown name, setting or knob.
    """
    check_choice("name", name, names())
    check_choice("setting", setting, SETTINGS)
    turned = check_knobs(knobs, TownKnobs if name == TOWN else Knobs)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise OptionError(f"seed={spelt(seed)} is not a choice. Use a whole number, 0 or more.")
    if name == PORTFOLIO:
        return portfolio(setting, seed, turned)
    if name == TOWN:
        return town(setting, seed, turned)
    spec = SPECS[name]
    made = replace(spec.settings[setting], **turned)
    _check_fit(spec, made)
    return Partnership(spec, setting, seed, made)


def _check_fit(spec: Spec, knobs: Knobs) -> None:
    """Knobs that this partnership has nothing to turn with."""
    rule = None if spec.selection is None else spec.selection.rule
    if knobs.crisis and rule is None:
        raise OptionError(f"crisis={spelt(knobs.crisis)} is not a choice: {spec.name} takes nobody on at a crisis.")
    if knobs.above_cut and n_parts(spec, knobs) > 1:
        raise OptionError(f"above_cut is made in memory: size={knobs.size:g} is too large for it.")
    if knobs.above_cut and (rule != "bottom" or not knobs.crisis):
        raise OptionError("above_cut is for people chosen by a score: use it with pupils, and crisis='one' or 'both'.")


def names() -> tuple[str, ...]:
    """Every partnership."""
    return (*SPECS, PORTFOLIO, TOWN)
