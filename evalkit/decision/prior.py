"""What is believed before the data: doubt, nothing, or what other places found (a file of a pool)."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.special import ndtr

from evalkit.decision.case import Case
from evalkit.errors import OptionError, Problem, is_number, raise_problems, spelt, suggest

#: Standard deviation of the doubt, in units of what matters: one in six beyond it either way.
DOUBT = 1.0
NAMES = ("sceptical", "flat")
KEYS, OF_COMPONENT = ("name", "outcome", "unit", "components"), ("mean", "sd")
"""Keys of a file, and of each component in it."""


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
    wrong with it, keys that nothing reads included.
    """
    if isinstance(given, Prior):
        return given
    if given in NAMES:
        return Prior(str(given))
    if not isinstance(given, (str, Path)):
        raise OptionError(f"prior={spelt(given)} is neither 'sceptical' nor 'flat' nor the path of a file.")
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
    raise_problems(_wrong(said, path.name), OptionError)
    known = {name: (float(row["mean"]), float(row["sd"])) for name, row in said["components"].items()}
    return Prior(said["name"], said["outcome"], said["unit"], known)


def _wrong(said: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Everything that is wrong with what a file says: keys that nothing reads among it."""
    for key in said:
        if key not in KEYS:
            yield Problem(f"Unknown key {key!r}", file, suggest(key, KEYS, "Keys"))
    for key in KEYS[:3]:
        if not isinstance(said.get(key), str) or not said[key].strip() or said[key] in NAMES:
            yield Problem(f"The key {key!r} is missing or no words of its own", file, "Write it.")
    parts = said.get("components")
    if not isinstance(parts, dict) or not parts:
        yield Problem("It has no component", file, "Write [components.NAME] with mean and sd.")
        return
    for name, row in parts.items():
        where, row = f"{file}, [components.{name}]", row if isinstance(row, dict) else {}
        for key in row:
            if key not in OF_COMPONENT:
                yield Problem(f"Unknown key {key!r}", where, suggest(key, OF_COMPONENT, "Keys"))
        if not (is_number(row.get("mean")) and is_number(row.get("sd")) and row["sd"] > 0):
            yield Problem("mean and sd are not usable", where, "Both are numbers in the outcome's unit, sd above 0.")
