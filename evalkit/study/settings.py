"""What a study may say about how it is evaluated, watched and reported: the keys of [evaluate], [watch] and [report],
and rules of disclosure of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from numbers import Integral
from typing import Any, get_args

from evalkit.errors import OptionError, Problem, check_choice, is_number, is_whole, spelt, suggest
from evalkit.study.schema import unprintable
from evalkit.vocabulary import Compare, ComparisonGroup, Count

PROFILES = ("none", "acro", "nhs", "custom")
"""Names of rules of disclosure."""
_LEAST = {"base_window": 1, "horizon": 0, "price_year": 1900}
_CHOICES = {
    "comparison": get_args(ComparisonGroup), "compare": get_args(Compare), "count": get_args(Count),
}  # fmt: skip
_LIMITS = {
    "count": (1, None, "a whole number of people, 1 or more"),
    "df": (0, None, "a whole number, 0 or more"),
    "top": (1, 2, "1 or 2"),
    "share": (1e-6, 1.0, "a share above 0, such as 0.9 or 90%"),
    "p_ratio": (0.0, 1.0, "a number from 0 to 1"),
    "round_to": (1, None, "a whole number, 1 or more"),
}
_CURRENCY = re.compile(r"[A-Z]{3}|[£€$¥₹]")
_EVERY = ("month", "quarter", "half-year", "year")
_WATCH: dict[str, tuple[Callable[[Any], bool], str]] = {
    "feed": (lambda v: isinstance(v, str) and bool(v), "the path or glob of deliveries, such as 'feed/*.csv'"),
    "period": (lambda v: v in _EVERY[:2] or v == "year", "'month', 'quarter' or 'year'"),
    "roster": (lambda v: isinstance(v, str) and bool(v), "the code of events that say who is in a place"),
    "codes": (lambda v: _words(v), "a list of other codes that the feed may hold"),
    "looks": (lambda v: v in _EVERY or _moments(v), f"one of {', '.join(_EVERY)}, or a list of the last periods"),
    "first": (lambda v: _moments([v]), "the last period of the first look, in quotes"),
    "last": (lambda v: _moments([v]), "the last period of the last look, in quotes"),
    "primary": (lambda v: _words(v), "a list of the components that the line is for"),
    "outcome": (lambda v: isinstance(v, str) and bool(v), "the column of an outcome"),
    "alpha": (lambda v: is_number(v) and 0 < v < 0.5, "a number between 0 and 0.5, such as 0.05"),
    "budget": (lambda v: is_number(v) and 0 < v < 0.5, "a number between 0 and 0.5, such as 0.05"),
    "settle": (lambda v: is_whole(v, 0) and v <= 3660, "days, 0 or more"),
    "fewest": (lambda v: is_whole(v, 2), "places, 2 or more"),
}
"""Keys of [watch]: what is a value, and how to say so."""


STRENGTHS = ("weak", "moderate", "strong")
"""How strong evidence that is not a number is, as whoever gathered it judged."""
_REPORT: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("author", "ethics", "data_protection", "origin", "missing"), (lambda v: _printable(v), "words")),
    "date": (lambda v: _printable(v) or isinstance(v, date), "a date such as 2026-03-31"),
    "deviations": (lambda v: isinstance(v, (list, tuple)) and all(map(_printable, v)), "a list of sentences"),
    "evidence": (lambda v: isinstance(v, (list, tuple)), "a list of tables, [[report.evidence]] each"),
}
"""Keys of [report]: what is a value, and how to say so."""
_CLAIM = ("component", "claim", "source", "strength")


def _words(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, str) and v for v in value)


def _moments(value: object) -> bool:
    plain = (str, Integral)
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, plain) and v != "" for v in value)


Keys = Mapping[str, tuple[Callable[[Any], bool], str]]


def _key_problems(name: str, value: object, keys: Keys) -> Iterator[Problem]:
    """What is wrong with the table of that name: keys that do not exist, and values that cannot be used."""
    where = f"table [{name}]"
    if not isinstance(value, Mapping):
        yield Problem(f"{name}={spelt(value)} is not a table", where, f"Give keys such as {', '.join(list(keys)[:3])}.")
        return
    for key, given in value.items():
        if key not in keys:
            yield Problem(f"There is no key {key!r}", where, suggest(str(key), keys, "The keys are"))
        elif not keys[key][0](given):
            yield Problem(f"{key}={spelt(given)} cannot be used", where, f"Give {keys[key][1]}.")


def _printable(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not unprintable(value)


def _report_problems(value: object, components: Collection[str]) -> Iterator[Problem]:
    yield from _key_problems("report", value, _REPORT)
    given = value.get("evidence") if isinstance(value, Mapping) else None
    for i, claim in enumerate(given if isinstance(given, (list, tuple)) else (), 1):
        yield from _claim_problems(claim, f"table [[report.evidence]], number {i}", components)


def _claim_problems(claim: object, where: str, components: Collection[str]) -> Iterator[Problem]:
    said = claim if isinstance(claim, Mapping) else {}
    odd = [key for key in said if key not in _CLAIM]
    lacking = [key for key in _CLAIM if not _printable(said.get(key))]
    if odd or lacking:
        what = f"There is no key {spelt(odd[0])}" if odd else f"{', '.join(lacking)} is not given in words"
        yield Problem(what, where, f"Each needs {', '.join(_CLAIM)}.")
        return
    if said["strength"] not in STRENGTHS:
        advice = f"Use one of: {', '.join(STRENGTHS)}."
        yield Problem(f"strength={said['strength']!r} is not a choice", where, advice)
    if said["component"] not in components:
        advice = suggest(said["component"], components, "The components are")
        yield Problem(f"Unknown component {said['component']!r}", where, advice)


_SETTING = re.compile(r"(\w+)\s*[= ]\s*(\d+(?:\.\d+)?)\s*(%?)")


def read_disclosure(words: str) -> tuple[str, dict[str, Any]]:
    """The profile of 'acro', 'nhs', 'none' or 'custom: count=5, df=5, round_to=5', and its own numbers by name.

    Raises `OptionError` for another profile, numbers where none belong or none where some do, a name that there is
    not, or a number that makes no sense.
    """
    name, colon, more = (part.strip() for part in words.partition(":"))
    check_choice("disclosure", name, PROFILES)
    parts = [part.strip() for part in re.split("[,;]", more) if part.strip()]
    if name != "custom" and colon:
        raise OptionError(f"disclosure={words!r}: only custom takes numbers of its own.")
    if name == "custom" and not parts:
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
        if not low <= number <= (high or number) or (whole and number % 1):
            raise OptionError(f"disclosure={words!r}: {part!r} makes no sense. Give {right}.")
        found[key] = int(number) if whole else number
    return name, found


def settings_problems(settings: Mapping[str, object], components: Collection[str] = ()) -> Iterator[Problem]:
    """What is wrong with the settings of a study: keys that nothing reads, values that are none, and evidence on
    something else than one of its components, or "programme"."""
    where, known = "table [evaluate]", ("disclosure", "inflation", "currency", "watch", "report", *_CHOICES, *_LEAST)
    for key, value in settings.items():
        if key == "watch":
            yield from _key_problems("watch", value, _WATCH)
        elif key == "report":
            yield from _report_problems(value, (*components, "programme"))
        elif key not in known:
            yield Problem(f"There is no setting {key!r}", where, suggest(str(key), known, "The settings are"))
        elif key == "currency":
            if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
                yield Problem(f"currency={spelt(value)}", where, "Give its three letters, such as 'EUR', or its sign.")
        elif key in _LEAST and value is not None:
            if not is_whole(value, _LEAST[key]):
                yield Problem(f"{key}={spelt(value)}", where, f"Give a whole number, {_LEAST[key]} or more.")
        elif key == "inflation":
            if value is not None and not (is_number(value) and 0 <= float(str(value)) < 1):
                yield Problem(f"inflation={spelt(value)}", where, "Give a yearly rate from 0 to 1, such as 0.02.")
        elif value is not None:
            try:
                if key in _CHOICES:
                    check_choice(key, value, _CHOICES[key])
                else:
                    read_disclosure(str(value))
            except OptionError as error:
                yield Problem(str(error).rstrip("."), where)
