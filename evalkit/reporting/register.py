"""What the register calls things: labels of components, nouns for places and units, spans of time."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.disclosure.rules import rules_of
from evalkit.show.words import count_words, noun_from_column, plural

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_YEAR = 4  # digits of a year, which needs no noun


@dataclass(frozen=True)
class Names:
    """Words for components: `labels` and `places` (the noun of the level at which each was decided)."""

    labels: Mapping[str, str]
    places: Mapping[str, str]

    def label(self, component: str) -> str:
        """What people call a component."""
        return self.labels.get(component, component)

    def place(self, component: str) -> str:
        """The noun for the places that decided on a component: 'borough'."""
        return self.places.get(component, "place")


def names_of(study: Any) -> Names:
    """The words of a study's register."""
    usual = study.cluster or study.unit
    places = {c.name: noun_from_column(str(c.assigned_at or usual)) for c in study.components}
    return Names({c.name: c.label for c in study.components}, places)


def spread_words(study: Any) -> str:
    """'447 people in 10 boroughs, December 2015 to November 2020', from the paths alone."""
    paths = study.paths
    unit = noun_from_column(str(study.unit))
    counted, rules = len(set(paths.units.tolist())), rules_of(study)
    words = count_words(rules.shown(counted), unit)
    if rules.small(counted):
        words = f"fewer than {rules.count} {plural(unit)}"
    levels = getattr(paths, "levels", None)
    if levels and study.cluster and study.cluster != study.unit:
        words += f" in {count_words(len(levels[paths.cluster].names), noun_from_column(str(study.cluster)))}"
    if study.period is None or not len(paths.periods):
        return words
    first, last = (spoken_period(paths.periods[i]) for i in (0, -1))
    noun = plural(noun_from_column(str(study.period)))
    which = f"{noun} " if first.isdigit() and len(first) < _YEAR else ""
    return f"{words}, {which}{first} to {last}"


def spoken_period(value: Any) -> str:
    """A period as people say it: 'December 2015' for an ISO month, else as it is written."""
    text = period_words(value)
    month = _MONTH.fullmatch(text)
    return f"{calendar.month_name[int(month[2])]} {month[1]}" if month else text


def period_words(value: Any) -> str:
    """A period as people write it: a date without its midnight, a whole number without its point."""
    text = str(value)
    text = text.split("T")[0] if "T00:00:00" in text else text.removesuffix(" 00:00:00")
    return text.removesuffix(".0")
