"""Components (what they are called, when they were on, whom they can reach) and outcomes (what is hoped to change)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, Problem, is_number, raise_problems, spelt
from evalkit.study.formats import TABLES
from evalkit.study.frame import Table, read_table
from evalkit.study.schema import CERTAINTIES, TABLE_CELLS, odd_ids, unprintable
from evalkit.vocabulary import OUTCOME_KINDS, Assigned, Better, Dates, OutcomeKind, PartPeriod, WaitingEffect

_UNITS = {
    "share": "percentage points",
    "count": "events for each unit and period",
    "rate": "events for each of {per}",
    "score": "points",
    "log": "per cent",
    "money": "pounds",
}
_TEXTS = (".csv", ".tsv", ".txt")
CARD = ("why", "materials", "procedures", "who", "how", "where", "when", "how_much", "tailoring", "modifications",
        "planned", "actual")  # fmt: skip
"""Keys of a component's card: the items of TIDieR besides the name (Hoffmann and others 2014, BMJ 348)."""


@dataclass(frozen=True)
class Component:
    """A component of the programme, as the register describes it.

    name: short name, used in every table.
    label: words for people; the name when not given.
    exposure: column of the panel with 0/1 or a dose, never missing in a row.
    first_period: column of the panel with the first period on instead, as other packages take it (empty, infinite, or 0
        where periods are dates or above 0: never); it stays on from there.
    adoption: dated spells instead (a frame or the path of one): level_id, start and optionally end (missing: still on),
        dose, certainty, component, start_low and start_high (the earliest and latest that it may have begun). Half-open
        [start, end), so `end` is the first moment at which it is off.
    assigned_at: column naming the level at which somebody decided; default the
        study's cluster, or the unit when there is none.
    assigned: "randomised" where chance decided who had it, in groups of `assigned_at` and by the recorded procedure: so
        many of all, so many of each block, one of each pair, or in a panel an order of rollout. `exposure` then says
        who was meant to have it.
    within: column of the blocks or pairs inside which it was dealt, fixed for a unit.
    compliance: column of what was taken up (0/1 or a dose), where not everybody did as was meant.
    reach: 0/1 column, fixed for a unit: whom the component can reach at all.
    lag: periods before an effect can show.
    bins: increasing cut points of a dose; below the first it counts as off.
    always_on: registered as always on; without exposure it is on everywhere.
    replaces: name of the component that this one takes over from.
    unit_cost: money for one unit exposed for one period, or None.
    part_period: how a period switched on part-way is read: "exclude" (neither off
        nor on), "half" (on from one half), "full" (off until the first full period).
    dates: how spells whose date is no surer than a quarter are read: "as_given", "early" or "late" (to the ends of
        that quarter or year; by a quarter of a year where it was guessed), or that are known to have begun between
        start_low and start_high. As given, the periods between those two are neither off nor on.
    description: what is done, in a sentence.
    card: what TIDieR asks of a description, in words, by any of the keys `CARD`.
    neighbours: whose neighbours have it, where what one place does may touch another: a table (frame, path) of who is
        beside whom, with the columns of `study/neighbours.py`, or the column of the panel with the share of neighbours
        exposed (several: rings, the nearest first).
    touched_above: share of neighbours exposed above which a place counts as touched.

    Raises `OptionError` that lists everything wrong with the choices.
    """

    name: str
    label: str = ""
    exposure: str | None = None
    adoption: Table | None = field(default=None, compare=False, repr=False)
    assigned_at: str | None = None
    assigned: Assigned | None = None
    within: str | None = None
    compliance: str | None = None
    reach: str | None = None
    lag: int = 0
    bins: tuple[float, ...] | None = None
    always_on: bool = False
    replaces: str | None = None
    unit_cost: float | None = None
    part_period: PartPeriod = "exclude"
    dates: Dates = "as_given"
    first_period: str | None = None
    description: str = ""
    card: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    neighbours: Table | Sequence[str] | None = field(default=None, compare=False, repr=False)
    touched_above: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or str(self.name))
        if self.bins is not None and not isinstance(self.bins, str):
            object.__setattr__(self, "bins", tuple(self.bins))
        if isinstance(self.card, Mapping):
            object.__setattr__(self, "card", dict(self.card))
        raise_problems(_component_problems(self), OptionError)

    @property
    def by_spells(self) -> bool:
        """Whether dated spells, not a column, say when it was on."""
        return self.adoption is not None


def plain(heading: object) -> str:
    """A heading in small letters, signs and spaces as one space: 'Start_Date ' gives 'start date'."""
    return " ".join(re.findall(r"[^\W_]+", str(heading).casefold()))


def name_by_words(components: Iterable[Component]) -> dict[str, str]:
    """Component by its label and its name, as `plain` writes them; none by words that two share."""
    words = [(w, c.name) for c in components for w in {plain(c.name), plain(c.label)}]
    return {w: name for w, name in words if sum(w == v for v, _ in words) == 1}


def spells_of(component: Component) -> pd.DataFrame:
    """A component's own spells: the rows that name it, when the table has such a column."""
    table = read_table(component.adoption, f"adoption of component {component.name!r}", TABLE_CELLS)
    return table[table["component"] == component.name] if "component" in table.columns else table


def bounded(table: pd.DataFrame) -> np.ndarray:
    """(r,) whether a spell is said to have begun between two moments."""
    bounds = [table[c].notna().to_numpy() for c in ("start_low", "start_high") if c in table]
    return np.logical_or.reduce(bounds) if bounds else np.zeros(len(table), dtype=bool)


def neighbour_columns(component: Component) -> tuple[str, ...]:
    """Columns of the panel that hold shares of neighbours exposed; none where a table says who is beside whom."""
    given = component.neighbours
    if isinstance(given, str):
        return () if Path(given).suffix.lower() in (*TABLES, *_TEXTS) else (given,)
    return tuple(map(str, given)) if isinstance(given, (list, tuple)) else ()


def neighbour_table(component: Component) -> pd.DataFrame | None:
    """The table of neighbours, or of their shares, None where there is none; `StudyError` where it cannot be read."""
    given = component.neighbours
    if given is None or neighbour_columns(component):
        return None
    table = read_table(cast(Table, given), f"neighbours of component {component.name!r}", TABLE_CELLS)
    return table.rename(columns={} if "neighbour" in table.columns else {"neighbor": "neighbour"})


def unsure(table: pd.DataFrame) -> np.ndarray:
    """(r,) whether the date of a spell is no surer than a quarter of a year."""
    return table.get("certainty", pd.Series("", table.index)).isin(CERTAINTIES[2:]).to_numpy()


def moved_by_results(component: Component) -> bool:
    """Whether the register says that some place started when it did because of what was seen by then."""
    return component.by_spells and bool((spells_of(component).get("moved", pd.Series(dtype=object)) == "results").any())


def _component_problems(c: Component) -> Iterator[Problem]:
    where = f"component {c.name!r}"
    if not isinstance(c.name, str) or not c.name.strip():
        yield Problem(f"A component's name is {c.name!r}", next="Give each component a short name in words.")
    elif not unprintable(c.name):
        yield from (Problem(f"The name {what}", where, "Mend it.") for what, _ in odd_ids([c.name]))
    yield from _unprintable({"name": c.name, "label": c.label, "description": c.description}, where)
    yield from _wrong_choice("part_period", c.part_period, get_args(PartPeriod), where)
    yield from _wrong_choice("dates", c.dates, get_args(Dates), where)
    yield from _wrong_choice("assigned", c.assigned, (None, *get_args(Assigned)), where)
    for name in ("within", "compliance"):
        if getattr(c, name) is not None and c.assigned is None:
            advice = "Say assigned='randomised', or leave it out."
            yield Problem(
                f"{name}={spelt(getattr(c, name))} is given of a component that chance did not assign", where, advice
            )
    if not is_number(c.touched_above) or not 0 <= c.touched_above < 1:
        advice = "Give a share of neighbours, from 0 to below 1; 0 counts a place with any neighbour exposed."
        yield Problem(f"touched_above={spelt(c.touched_above)}", where, advice)
    if not is_number(c.lag) or c.lag < 0 or c.lag != int(c.lag):
        yield Problem(f"lag={spelt(c.lag)}", where, "A lag is a whole number of periods, 0 or more.")
    if c.unit_cost is not None and (not is_number(c.unit_cost) or c.unit_cost < 0):
        yield Problem(f"unit_cost={spelt(c.unit_cost)}", where, "A cost is a number, 0 or more.")
    ways = [n for n in ("exposure", "adoption", "first_period") if getattr(c, n) is not None]
    if len(ways) > 1:
        what = f"{'Both ' if len(ways) == 2 else ''}{' and '.join(ways)} are given"
        yield Problem(what, where, "Keep the column or the dated spells, not both.")
    rising = isinstance(c.bins, tuple) and len(c.bins) > 0 and all(is_number(b) for b in c.bins)
    if c.bins is not None and not (rising and all(a < b for a, b in pairwise((0, *c.bins)))):
        yield Problem(f"bins={spelt(c.bins)} are not increasing", where, "Give cut points above 0, from low to high.")
    if not isinstance(c.card, Mapping):
        yield Problem(f"card={c.card!r} is not a mapping", where, f"Give words by any of: {', '.join(CARD)}.")
        return
    for key, words in c.card.items():
        if key not in CARD:
            yield Problem(f"The card has no item {key!r}", where, f"The items are: {', '.join(CARD)}.")
        elif not isinstance(words, str):
            yield Problem(f"The card's item {key!r} is {words!r}", where, "Say it in words.")
        else:
            yield from _unprintable({key: words}, where)


def _unprintable(words: Mapping[str, object], where: str) -> Iterator[Problem]:
    for name, said in words.items():
        if isinstance(said, str) and unprintable(said):
            yield Problem(f"{name} holds a character that cannot be printed", where, "Take it out.")


@dataclass(frozen=True)
class Outcome:
    """An outcome column of the panel.

    label: words for people; the column when not given.
    kind: how its effects are said: "share" (0 to 1), "count", "rate", "score", "log" or "money"; or "time_to_event".
    per: of a rate, the column of what each count is divided by, such as residents or person years: the outcome's own
        column holds counts, and its values are counts / `per`. Where rows are averaged they weigh by it, so that the
        rate of a place is the sum of its counts over the sum of its residents.
    percent: whether a share is written as a percentage (45 or 45%); `matters` is a share all the same (0.05).
    better: "higher" or "lower".
    matters: the smallest effect worth having, in the column's own unit (of a rate, in counts for one of `per`: 0.002 is
        2 for every 1,000 residents); without it a lack of effect is never claimed.
    harm: whether it is there to catch damage; the report says of each such outcome which harm is ruled out.

    Of kind "time_to_event", in a table with a row a person, `column` is its name (the column of the event by default):

    time: column of how long each was followed, until the event or until last seen; or, with `entry`, of the date.
    event: 0/1 column, whether it had happened by then.
    entry: column of the date (or number) from which a person's time runs.
    end: the date (or number) after which nobody was followed, if there is one.
    by: time after which people are compared; the longest for which enough are followed when not given.
    effect: what is compared: "share" (with the event by then) or "time" (mean time until it or then, the restricted
        mean). `better` and `matters` speak of that number.
    time_unit: what time is counted in, "weeks"; read from the name of its column, else days where dates are given.

    Raises `OptionError` that lists everything wrong with the choices.
    """

    column: str = ""
    label: str = ""
    kind: OutcomeKind = "score"
    better: Better = "higher"
    matters: float | None = None
    percent: bool = False
    harm: bool = False
    time: str | None = None
    event: str | None = None
    entry: str | None = None
    end: float | str | date | None = None
    by: float | None = None
    effect: WaitingEffect = "share"
    time_unit: str | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "column", self.column or self.event or "")
        unit = self.time_unit or (_unit_in(self.time or "") or ("days" if self.entry else None) if self.waits else None)
        object.__setattr__(self, "time_unit", unit)
        object.__setattr__(self, "label", self.label or _label_of(self))
        raise_problems(_outcome_problems(self), OptionError)

    @property
    def waits(self) -> bool:
        """Whether it waits for an event."""
        return self.kind == "time_to_event"

    @property
    def said(self) -> OutcomeKind:
        """The kind by which its effects are said: a share where the share with the event by a date is compared."""
        return "share" if self.waits and self.effect == "share" else self.kind

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the panel that it is read from."""
        named = (self.time, self.event, self.entry) if self.waits else (self.column, self.per)
        return tuple(c for c in named if c)

    @property
    def unit(self) -> str:
        """The unit of an effect, in words."""
        if self.said == "time_to_event":
            return self.time_unit or "units of time"
        return _UNITS[self.said].format(per=self.per_words)

    @property
    def one(self) -> str:
        """One of what is counted where it is a score or a time, in words: 'point', 'week'."""
        return (self.time_unit or "unit of time").removesuffix("s") if self.said == "time_to_event" else "point"

    @property
    def per_words(self) -> str:
        """What a rate is per, in words: 'person years' of the column person_years."""
        return (self.per or "").replace("_", " ")


def _label_of(o: Outcome) -> str:
    """What an outcome is called where nobody says: its column; of one that waits, with what is compared."""
    if not o.waits:
        return str(o.column)
    unit, event = o.time_unit or "", str(o.event or o.column)
    by = f"{o.by:g} {unit}".strip() if is_number(o.by) else ""
    if o.effect == "share":
        return f"{event} by {by}" if by else event
    return f"time until {event}" + (f", up to {by}" if by else "")


def _unit_in(name: str) -> str | None:
    """The unit of time that the name of a column holds: 'weeks_followed' gives 'weeks'."""
    words = plain(name.replace("_", " ")).split()
    units = ("hour", "day", "week", "month", "quarter", "year", "session", "period")
    return next((f"{u}s" for u in units if u in words or f"{u}s" in words), None)


def _outcome_problems(o: Outcome) -> Iterator[Problem]:
    where = f"outcome {o.column!r}"
    yield from _unprintable({"column": o.column, "label": o.label}, where)
    yield from _wrong_choice("kind", o.kind, OUTCOME_KINDS, where)
    yield from _wrong_choice("better", o.better, get_args(Better), where)
    if o.percent and o.kind != "share":
        yield Problem(f"percent={spelt(o.percent)}", where, f"Percentages are of kind 'share', not {o.kind!r}.")
    if not str(o.column).strip():
        yield Problem("An outcome has no column", "outcomes", "Name the column of the panel.")
    yield from _waiting_problems(o, where)
    if not isinstance(o.harm, bool):
        yield Problem(f"harm={spelt(o.harm)}", where, "Say True or False.")
    if (o.per is None) == (o.kind == "rate") or o.per == o.column:
        advice = "Give the column of what is divided by with kind='rate', and only there: per='residents'."
        yield Problem(f"kind={o.kind!r} with per={o.per!r}", where, advice)
    elif o.per is not None:
        yield from _unprintable({"per": o.per}, where)
    if o.matters is not None and (not is_number(o.matters) or o.matters <= 0):
        yield Problem(f"matters={spelt(o.matters)}", where, "Give a number above 0 in the outcome's own unit.")
    elif o.matters is not None and o.said == "share" and o.matters > 1:
        advice = "An effect on a share is between 0 and 1: 5 percentage points are 0.05."
        yield Problem(f"matters={spelt(o.matters)}", where, advice)


def _waiting_problems(o: Outcome, where: str) -> Iterator[Problem]:
    own = {n: v for n in ("time", "event", "entry", "end", "by") if (v := getattr(o, n)) is not None}
    if not o.waits:
        if own or o.effect != "share" or o.time_unit:
            given = ", ".join(own) or "effect or time_unit"
            yield Problem(f"{given}: these are of kind 'time_to_event', not {o.kind!r}", where, "Say the kind.")
        return
    yield from _wrong_choice("effect", o.effect, get_args(WaitingEffect), where)
    for name in ("time", "event"):
        if not getattr(o, name):
            advice = "Name the columns of how long each was followed (time=) and whether it happened (event=, 0 or 1)."
            yield Problem(f"It waits for an event, and {name} is not given", where, advice)
    if o.by is not None and (not is_number(o.by) or o.by <= 0):
        yield Problem(f"by={spelt(o.by)}", where, "Give a number above 0 in the unit of time.")


def _wrong_choice(name: str, value: object, allowed: tuple[str | None, ...], where: str) -> Iterator[Problem]:
    if value not in allowed:
        yield Problem(f"{name}={spelt(value)} is not a choice", where, f"Use one of: {', '.join(map(repr, allowed))}.")
