"""What is believed before the data: doubt, nothing, or what other places found (a file of a pool)."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scipy.special import ndtr

from evalkit.decision.case import Case
from evalkit.errors import OptionError, Problem, is_number, raise_problems

#: Standard deviation of the doubt, in units of what matters: one in six beyond it either way.
DOUBT = 1.0
NAMES = ("sceptical", "flat")


@dataclass(frozen=True)
class Prior:
    """name: 'sceptical', 'flat' or what the pool is called. Of a pool: outcome (its column), unit (of an effect, in
    words), components (name -> mean and standard deviation of the effect in a new place, in the outcome's own
    direction and unit)."""

    name: str
    outcome: str = ""
    unit: str = ""
    components: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def refused(self, case: Case) -> str:
        """Why the prior does not speak of a line, '' where it does."""
        if self.name in NAMES:
            return ""
        if self.outcome != case.outcome:
            return f"the prior “{self.name}” is about another outcome ({self.outcome}, not {case.outcome})"
        if self.unit != case.unit:
            return f"the prior “{self.name}” is in another unit ({self.unit}, not {case.unit})"
        return "" if case.name in self.components else f"the prior “{self.name}” holds nothing about it"

    def on(self, case: Case, matters: float) -> tuple[float, float]:
        """Mean and standard deviation in units of what matters, benefit positive; doubt about a sum of k parts is
        sqrt(k) times as wide."""
        if self.name == "flat":
            return 0.0, math.inf
        if self.name == "sceptical":
            return 0.0, DOUBT * math.sqrt(len(case.members))
        mean, sd = self.components[case.name]
        return case.good * mean / matters, sd / matters

    def better(self, mean: float, sd: float) -> float:
        """Chance of any benefit before the data."""
        return 0.5 if math.isinf(sd) else float(ndtr(mean / sd))


def prior_of(given: str | Path | Prior) -> Prior:
    """The prior that is asked for: 'sceptical', 'flat', or the file of a pool.

    A file (TOML, or JSON as a pool writes it) says `name`, `outcome`, `unit`, and for each component [components.NAME]
    `mean` and `sd` of the effect that the pool expects in a new place. Raises `OptionError` with everything that is
    wrong with it.
    """
    if isinstance(given, Prior):
        return given
    if given in NAMES:
        return Prior(str(given))
    if not isinstance(given, (str, Path)):
        raise OptionError(f"prior={given!r} is neither 'sceptical' nor 'flat' nor the path of a file.")
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8-sig")
        said = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except FileNotFoundError:
        raise OptionError(
            f"prior={str(given)!r} is neither 'sceptical' nor 'flat', and there is no such file."
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # of JSON, TOML and Unicode, and of numbers too long
        raise OptionError(f"The prior file {path.name} cannot be read ({error}).") from None
    problems = []
    for key in ("name", "outcome", "unit"):
        if not isinstance(said.get(key), str) or not said[key].strip() or said[key] in NAMES:
            problems.append(Problem(f"The key {key!r} is missing or no words of its own", path.name, "Write it."))
    parts = said.get("components")
    if not isinstance(parts, dict) or not parts:
        problems.append(Problem("It has no component", path.name, "Write [components.NAME] with mean and sd."))
        parts = {}
    for name, row in parts.items():
        row = row if isinstance(row, dict) else {}
        if not (is_number(row.get("mean")) and is_number(row.get("sd")) and row["sd"] > 0):
            advice = "Both are numbers in the outcome's unit, sd above 0."
            problems.append(Problem("mean and sd are not usable", f"{path.name}, [components.{name}]", advice))
    raise_problems(problems, OptionError)
    known = {name: (float(row["mean"]), float(row["sd"])) for name, row in parts.items()}
    return Prior(said["name"], said["outcome"], said["unit"], known)
