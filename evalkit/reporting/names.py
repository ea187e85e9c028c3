"""What the register calls things: labels of components, nouns for places and units, spans of time; and statements with
whether each was planned."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from evalkit.disclosure.rules import rules_of
from evalkit.evaluation import Evaluation
from evalkit.language.statement import Statement
from evalkit.reporting.plan import plan_tags
from evalkit.show.words import Count, count_words, period_words, plural
from evalkit.study import Study

_YEAR = 4  # digits of a year, which needs no noun


@dataclass(frozen=True)
class Names:
    """Words for components: `labels` and `places` (the noun of the level at which each was decided); for `outcomes`."""

    labels: Mapping[str, str]
    places: Mapping[str, str]
    outcomes: Mapping[str, str] = field(default_factory=dict)

    def label(self, component: str) -> str:
        """What people call a component."""
        return self.labels.get(component, component)

    def place(self, component: str) -> str:
        """The noun for the places that decided on a component: 'borough'."""
        return self.places.get(component, "place")


def names_of(study: Study) -> Names:
    """The words of a study's register."""
    usual = study.cluster or study.unit
    places = {c.name: study.noun_for(c.assigned_at or usual) for c in study.components}
    outcomes = {o.column: o.label for o in study.outcomes}
    return Names({c.name: c.label for c in study.components}, places, outcomes)


def statements_of(evaluation: Evaluation, outcome: str) -> list[Statement]:
    """What may be said of each component on one outcome, in the order of the register, and whether it was planned."""
    tags = plan_tags(evaluation.plan, evaluation)
    mine = [s for s in evaluation.statements if s.outcome == outcome]
    return [replace(s, planned=tags.get((s.component, outcome), s.planned)) for s in mine]


def spread(study: Study) -> tuple[str, tuple[str, ...]]:
    """('447 people in 10 boroughs, December 2015 to November 2020', its figures), from the paths alone."""
    paths, rules = study.paths, rules_of(study)
    unit = study.noun_for(study.unit)
    counted = rules.publish(Count(paths.distinct()))
    figures = [counted.words]
    words = count_words(counted.value or 0, unit) if not counted.withheld else f"{counted.words} {plural(unit)}"
    levels = getattr(paths, "levels", None)
    if levels and study.cluster and study.cluster != study.unit:
        places = len(levels[paths.cluster].names)
        figures.append(f"{places:,}")
        words += f" in {count_words(places, study.noun_for(study.cluster))}"
    if study.period is None or not len(paths.periods):
        return words, tuple(figures)
    first, last = (period_words(paths.periods[i]) for i in (0, -1))
    figures += [p.partition("-")[0] if _month(p) else p for p in (first, last)]
    which = f"{plural(study.noun_for(study.period))} " if first.isdigit() and len(first) < _YEAR else ""
    return f"{words}, {which}{spoken_period(first)} to {spoken_period(last)}", tuple(figures)


def spoken_period(value: object) -> str:
    """A period as people say it: 'December 2015' for an ISO month, else as it is written."""
    text = period_words(value)
    month = _month(text)
    return f"{calendar.month_name[month]} {text[:4]}" if month else text


def _month(text: str) -> int:
    """The month of an ISO month ('2015-12'), 0 for anything else."""
    year, _, month = text.partition("-")
    iso = len(year) == _YEAR and len(month) == 2 and (year + month).isdigit()
    return int(month) if iso and 1 <= int(month) <= 12 else 0
