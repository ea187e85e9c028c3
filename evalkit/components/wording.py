"""Plain words for what exposures say: circuits, reasons, bundles. Clauses begin small and have no full stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from evalkit.components.estimable import Circuit
from evalkit.show.words import join_words, noun_from_column, number_in_words, of_people, plural, quoted
from evalkit.study.paths import Paths
from evalkit.vocabulary import CombinationKind

_NAMELESS = ("id", "unit", "row", "index", "key", "")


@dataclass(frozen=True)
class Names:
    """Labels of the components, and the nouns for a cluster and a period. person: that for one of the people whom the
    rows are about, '' where they are about places."""

    labels: tuple[str, ...]
    place: str
    period: str
    person: str = ""
    known: Mapping[str, str] = field(default_factory=dict)

    def say(self, k: int) -> str:
        """A component's label in quotation marks."""
        return quoted(self.labels[k])

    def all(self, members: Sequence[int], last: str = "and") -> str:
        return join_words((self.say(k) for k in members), last)

    def at(self, level: str) -> Names:
        """The same names, with the noun for the places of another level."""
        return replace(self, place=self.known.get(level) or noun_from_column(level) or self.place)

    @property
    def places(self) -> str:
        return plural(self.place)

    @property
    def periods(self) -> str:
        return plural(self.period)

    def count(self, number: int) -> str:
        """'1 borough', '8 boroughs'."""
        noun = self.place if number == 1 else self.places
        return of_people(f"{number:,}", noun) if self.place == self.person else f"{number:,} {noun}"

    def when(self, value: object) -> str:
        """A value of the calendar; with the noun where it is a bare number: 'month 3'."""
        return f"{self.period} {value}" if isinstance(value, (int, float, np.number)) else str(value)

    def few(self, number: int) -> str:
        """'no borough', 'only 1 borough', 'only 2 boroughs'."""
        return f"only {self.count(number)}" if number else f"no {self.place}"

    def spell(self, number: int) -> str:
        """'1 month', '6 months'."""
        return f"{number:,} {self.period if number == 1 else self.periods}"


class WithPaths(Protocol):
    """What can be audited: exposure paths; for words also the components, period, unit and settings of a Study."""

    @property
    def paths(self) -> Paths:
        """Exposure paths, no outcome."""


def names_of(study: WithPaths) -> Names:
    """Names from a study; the components' own names where the study has no labels."""
    paths, labels = study.paths, {c.name: c.label for c in getattr(study, "components", ())}
    period, level = getattr(study, "period", None) or "period", paths.levels.get(paths.cluster)
    protected = (getattr(study, "settings", None) or {}).get("disclosure")
    of_people = protected or (level is not None and paths.counted.sum() > len(level.names))
    noun: Callable[[str], str] = getattr(study, "noun_for", noun_from_column)
    return Names(
        tuple(str(labels.get(name) or name) for name in paths.components),
        noun(str(paths.cluster)) or "place",
        noun(str(period)) or "period",
        noun(str(getattr(study, "unit", ""))) if of_people else "",
        {name: noun(name) for name in paths.levels},
    )


def lone_person(paths: Paths, level: str) -> str:
    """What one of the people of a cross-section is called where each is alone at a level; "" elsewhere."""
    known = paths.levels.get(level)
    if paths.n_periods > 1 or known is None or not paths.alone(level):
        return ""
    noun = noun_from_column(level)
    return "person" if noun.lower() in _NAMELESS else noun


def circuit_words(circuit: Circuit, paths: Paths, names: Names) -> str:
    """An exact dependency as a clause; among people seen at one time, who had which components together."""
    on, once = [(paths.state[:, :, k] > 0) for k in circuit.members], paths.n_periods == 1
    if len(on) == 2 and not once:
        return _pair_words(circuit, on, names)
    total, listed = np.sum(on, axis=0), names.all(circuit.members)
    if circuit.swap and len(set(circuit.weights)) == 1 and (total == total.flat[0]).all():
        exactly = f"exactly {number_in_words(int(total.flat[0]))} of {listed}"
        are = "is" if total.flat[0] == 1 else "are"
        return f"everybody had {exactly}" if once else f"{exactly} {are} on at any time"
    for i, k in enumerate(circuit.members):
        if (np.logical_or.reduce([x for j, x in enumerate(on) if j != i]) == on[i]).all():
            one, others = names.say(k), names.all([m for m in circuit.members if m != k], "or")
            same = f"those who had {one} are exactly those who had {others}"
            return same if once else f"{one} is on exactly when {others} is"
    if once:
        among = "among people whom the same components can reach"
        return f"{listed} are tied together: {among}, who had one of them follows from who had the others"
    return _sides(circuit, on, names) or (
        f"{listed} are tied together: once what is common to each {names.place} and to each {names.period} is set "
        "aside, what one of them does follows from the others"
    )


def _sides(circuit: Circuit, on: list[np.ndarray], names: Names) -> str:
    """Words for as many on of some as of the others, always; "" where that is not so."""
    if {abs(w) for w in circuit.weights} != {1.0}:
        return ""
    sides = [[i for i, w in enumerate(circuit.weights) if w * sign > 0] for sign in (1, -1)]
    counts = [np.sum([on[i] for i in side], axis=0) for side in sides]
    if not all(sides) or (counts[0] != counts[1]).any():
        return ""
    one, two = (names.all([circuit.members[i] for i in side], "or") for side in sides)
    if counts[0].max(initial=0) <= 1:
        return f"{one} is on exactly when {two} is"
    one, two = (names.all([circuit.members[i] for i in side]) for side in sides)
    return f"as many of {one} are on as of {two}, at any time"


def _pair_words(circuit: Circuit, on: list[np.ndarray], names: Names) -> str:
    first, second = (names.say(k) for k in circuit.members)
    moves = [np.diff(x.astype(int), axis=1) for x in on]
    if circuit.swap and (moves[0] == -moves[1]).all():
        return f"{second} starts exactly as {first} stops, or the other way round"
    if not circuit.swap and (on[0] == on[1]).all():
        return f"{second} is on exactly when {first} is"
    if not circuit.swap and (moves[0] == moves[1]).all():
        return f"{second} starts and stops exactly when {first} does"
    aside = f"once what is common to each {names.place} and to each {names.period} is set aside"
    return f"{aside}, {first} and {second} move {'against each other' if circuit.swap else 'as one'}"


def absorbed_words(paths: Paths, k: int, always: bool, names: Names) -> str:
    """Why unit and period effects absorb a component."""
    state = paths.state[:, :, k]
    on = (state > 0)[paths.reach[:, k]]
    if paths.n_periods == 1 and len(on) and (on.any() or not always):
        if on.all():
            return "everybody whom it can reach had it"
        if not on.any():
            return "nobody had it in these data"
        return "people whom the same components can reach all had it, or all did not"
    if always and on.size and on.all():
        return "it was on throughout for everybody whom it can reach"
    if not len(on):
        return "nobody whom it can reach is in these data"
    if not on.any():
        return f"it was {'registered as always on, but ' if always else ''}never on in these data"
    if on.all():
        return f"it was on from the first {names.period} to the last for everybody whom it can reach"
    if (on == on[:, :1]).all():
        return f"it never switched on or off: each {names.place} had it throughout or not at all"
    rows = on[on.any(axis=1) & ~on.all(axis=1)]
    if (on == on[0]).all() and len(rows):
        whom = "" if paths.reach[:, k].all() else ", for everybody whom it can reach"
        when = names.when(paths.periods[int(rows[0].argmax())])
        return f"it began in the same {names.period} everywhere{whom} ({when})"
    return f"it changes only as a whole {names.place} or a whole {names.period} does, so nothing is left to compare"


def combination_words(members: Sequence[int], weights: Sequence[float], kind: CombinationKind, names: Names) -> str:
    """What is identified, as a clause."""
    if kind == "together":
        return f"only {names.all(members)} together can be judged"
    if {abs(w) for w in weights} != {1.0}:
        return f"only a mixture of the effects of {names.all(members)}, which do not count alike in it, can be judged"
    plus = [m for m, w in zip(members, weights, strict=True) if w > 0]
    minus = [m for m, w in zip(members, weights, strict=True) if w < 0]
    if kind == "sum" or not minus:
        return f"the effects of {names.all(members)} added together can be judged"
    return f"{names.all(plus)} instead of {names.all(minus)} can be judged"
