"""What a study may say about how it is evaluated: the keys of [evaluate], and rules of disclosure of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, get_args

from evalkit.errors import OptionError, Problem, suggest
from evalkit.vocabulary import ComparisonGroup

PROFILES = ("none", "acro", "nhs", "custom")
"""Names of rules of disclosure."""
_LIMITS = {
    "count": (1, None, "a whole number of people, 1 or more"),
    "df": (0, None, "a whole number, 0 or more"),
    "top": (1, 2, "1 or 2"),
    "share": (0.0, 1.0, "a share above 0, such as 0.9 or 90%"),
    "p_ratio": (0.0, 1.0, "a number from 0 to 1"),
    "round_to": (1, None, "a whole number, 1 or more"),
}
_SETTING = re.compile(r"(\w+)\s*[= ]\s*(\d+(?:\.\d+)?)\s*(%?)")


def custom_rules(words: str) -> dict[str, Any]:
    """The numbers of 'custom: count=5, df=5, round_to=5', by their names.

    Raises `OptionError` for no numbers, a name that there is not, or a number that makes no sense.
    """
    parts = [part.strip() for part in re.split(r"[,;]", words.partition(":")[2]) if part.strip()]
    if not parts:
        raise OptionError(f"disclosure={words!r}: say the rules, as in 'custom: count=5, df=5, round_to=5'.")
    found: dict[str, Any] = {}
    for part in parts:
        read = _SETTING.fullmatch(part)
        if read is None:
            raise OptionError(f"disclosure={words!r}: {part!r} cannot be read. Write it like count=5.")
        key, number = read[1], float(read[2]) / (100 if read[3] else 1)
        if key not in _LIMITS or key in found:
            known = suggest(key, _LIMITS, "The rules are") if key not in _LIMITS else "Say each rule once."
            raise OptionError(f"disclosure={words!r}: there is no rule {key!r} to set. {known}")
        low, high, right = _LIMITS[key]
        whole = isinstance(low, int)
        if (
            number < low
            or (high is not None and number > high)
            or (whole and number % 1)
            or (key, number) == ("share", 0)
        ):
            raise OptionError(f"disclosure={words!r}: {part!r} makes no sense. Give {right}.")
        found[key] = int(number) if whole else number
    return found


def settings_problems(settings: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong with the settings of a study: keys that nothing reads, values that are none."""
    where = "table [evaluate]"
    least = {"base_window": 1, "horizon": 0}
    known = ("disclosure", "comparison", *least)
    for key, value in settings.items():
        if key not in known:
            yield Problem(f"There is no setting {key!r}", where, suggest(str(key), known, "The settings are"))
        elif key == "comparison" and value not in get_args(ComparisonGroup):
            options = ", ".join(map(repr, get_args(ComparisonGroup)))
            yield Problem(f"comparison={value!r} is not a choice", where, f"Use one of: {options}.")
        elif key in least and value is not None and not _is_whole(value, least[key]):
            yield Problem(f"{key}={value!r}", where, f"Give a whole number of periods, {least[key]} or more.")
        elif key == "disclosure" and value is not None:
            yield from _disclosure_problems(value)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _disclosure_problems(value: object) -> Iterator[Problem]:
    name, colon, _ = str(value).partition(":")
    if not isinstance(value, str) or name.strip() not in PROFILES:
        options = ", ".join(map(repr, PROFILES))
        yield Problem(f"disclosure={value!r} is not a choice", "disclosure", f"Use one of: {options}.")
    elif name.strip() != "custom" and colon:
        yield Problem(f"disclosure={value!r}", "disclosure", "Only custom takes numbers of its own.")
    elif name.strip() == "custom":
        try:
            custom_rules(value)
        except OptionError as error:
            yield Problem(str(error).rstrip("."), "disclosure")
