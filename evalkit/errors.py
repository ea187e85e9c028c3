"""What evalkit raises, and how it says what is wrong.

Every error is an `EvalkitError`. A door collects `Problem`s and raises once, so
that a user mends everything in one go: what is wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from numbers import Integral, Real

import numpy as np


class EvalkitError(ValueError):
    """Base of all errors that evalkit raises on purpose. problems: what a door found, where a door raised it."""

    problems: tuple[Problem, ...] = ()


class EvalkitWarning(UserWarning):
    """Something that a careful reader should know, but that stops nothing."""


class StudyError(EvalkitError):
    """The register, the panel or the study file is not usable as it stands."""


class KeyNeeded(StudyError):
    """A file can be read once the study says how. key, value: what to write in [study]."""

    def __init__(self, words: str, key: str = "", value: str = "") -> None:
        super().__init__(words)
        self.key, self.value = key, value


class OutcomeError(EvalkitError):
    """An outcome column cannot be read as numbers."""


class OptionError(EvalkitError):
    """A choice that a design or function does not have."""


class NotIdentifiedError(EvalkitError):
    """The call as a whole makes no sense for these data."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong: `what` happened, `where` (column, table, rows), what to do `next`."""

    what: str
    where: str = ""
    next: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f" {self.next}" if self.next else ""
        return f"{self.what}{place}.{advice}"


def raise_problems(problems: Iterable[Problem], error: type[EvalkitError] = StudyError) -> None:
    """Raise one `error` that lists every problem; return quietly when there is none."""
    listed = list(problems)
    if not listed:
        return
    lines = "\n".join(f"  {i}. {p}" for i, p in enumerate(listed, 1))
    raised = error(str(listed[0]) if len(listed) == 1 else f"{len(listed)} problems:\n{lines}")
    raised.problems = tuple(listed)
    raise raised


def first_rows(rows: Iterable[object], total: int | None = None, limit: int = 5) -> str:
    """Say the first few row labels in words: 'rows 3, 8, 11 and 40 more'."""
    listed = list(rows)
    count = len(listed) if total is None else total
    shown = ", ".join(str(r) for r in listed[:limit])
    more = count - min(limit, len(listed))
    word = "row" if count == 1 else "rows"
    return f"{word} {shown}" + (f" and {more} more" if more > 0 else "")


def suggest(name: str, known: Iterable[str], intro: str) -> str:
    """'Did you mean ...?' for a near miss, else the known names."""
    listed = list(known)
    lower = {k.lower(): k for k in reversed(listed)}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    if near:
        return f"Did you mean {lower[near[0]]!r}?"
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return f"{intro}: {', '.join(listed[:12]) or 'none'}{more}."


def spelt(value: object) -> str:
    """A value as somebody would write it, words and dates in quotes: no type of a library is named, at any depth."""
    if isinstance(value, np.datetime64):
        return repr(str(value.astype("datetime64[D]") if value == value.astype("datetime64[D]") else value))
    if isinstance(value, np.generic):
        return spelt(value.item())
    if isinstance(value, np.ndarray):
        return spelt(list(value))
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, datetime):  # pandas' are as well
        whole = value.time() == time() if value == value else True
        return repr(str(value)[:10] if whole else str(value))
    if isinstance(value, date) or hasattr(value, "freqstr"):  # and pandas' periods
        return repr(str(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spelt(k)}: {spelt(v)}" for k, v in value.items()) + "}"
    if type(value) is list:
        return f"[{', '.join(map(spelt, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(spelt, value))}{',' * (len(value) == 1)})"
    return repr(value)


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and not True or False."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of more digits than a float holds
        return False


def is_whole(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number, `least` or more, and not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise an `OptionError` naming the allowed values unless `value` is one of them."""
    options = list(allowed)
    if value not in options:
        listed = ", ".join(repr(o) for o in options)
        raise OptionError(f"{name}={spelt(value)} is not a choice. Use one of: {listed}.")


def check_whole(name: str, value: object, least: int) -> None:
    """Raise an `OptionError` unless `value` is a whole number, `least` or more."""
    if not is_whole(value, least):
        raise OptionError(f"{name}={spelt(value)} is not a choice. Use a whole number, {least} or more.")


def check_periods(name: str, value: object, least: int) -> None:
    """Raise an `OptionError` unless `value` is a whole number of periods, `least` or more."""
    if not is_whole(value, least):
        raise OptionError(f"{name}={spelt(value)} is not a choice. Use a whole number of periods, {least} or more.")
