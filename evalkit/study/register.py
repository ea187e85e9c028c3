"""What the user says of a study, before any row is read: names of columns, components, outcomes, money."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, Problem, spelt, suggest
from evalkit.show.words import Noun, noun_from_column, plural
from evalkit.study.calendar import Event
from evalkit.study.component import Component, Outcome, neighbour_columns
from evalkit.study.frame import Columns, Table, match, read_table, wrong_rows
from evalkit.study.money import Money
from evalkit.study.reading import Cells, Reading
from evalkit.study.schema import TABLE_CELLS, check_table, unprintable
from evalkit.vocabulary import Family, Hold, Missing


@dataclass(frozen=True, eq=False)
class Links:
    """How the groups of one level (`from`) make up the groups of another (`to`).

    table: frame (or path) with columns from, to, weight; the weights of each `to`
    sum to one. to: column of the panel that holds the second level.
    """

    table: Table
    to: str

    def frame(self, level: str) -> pd.DataFrame:
        """The links as a frame."""
        return read_table(self.table, f"links of level {spelt(level)}", TABLE_CELLS)


@dataclass(frozen=True, eq=False, repr=False)
class Register:
    """The fields of a study, as `Study` describes them."""

    unit: str
    period: str | None = None
    components: tuple[Component, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    cluster: str | None = None
    covariates: tuple[str, ...] = ()
    weights: str | None = None
    people: pd.DataFrame | None = None
    levels: Mapping[str, Links] = field(default_factory=dict)
    every: float | None = None
    title: str = ""
    question: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    money: Money | None = None
    events: tuple[Event, ...] = ()
    reading: Reading = field(default_factory=Reading)
    noun: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    family: Family = "outcome"
    hold: Hold = "auto"
    memory: str = "1GB"
    missing: Missing = "refuse"

    def component(self, name: str) -> Component:
        """The component of that name, or of that label; `OptionError` names the near miss."""
        named = [c for c in self.components if c.name == name] or [c for c in self.components if c.label == name]
        if len(named) == 1:
            return named[0]
        known = suggest(str(name), [c.name for c in self.components], "This study has")
        raise OptionError(f"There is no component {name!r}. {known}")

    def cells(self) -> Cells:
        """What the columns of the panel and of the people hold, as far as the study names them."""
        homes = [name for c in self.components for name in (self.home_of(c), c.within)]
        ids = frozenset(filter(None, [self.unit, self.cluster, *homes, *(link.to for link in self.levels.values())]))
        dated = frozenset(filter(None, [self.period, *(c.first_period for c in self.components)]))
        dated |= {name for o in self.outcomes if o.entry for name in (o.time, o.entry) if name}
        counted = {self.weights, *(name for o in self.outcomes for name in o.columns)} - dated
        for c in self.components:
            counted |= {c.reach, c.exposure or c.name, *neighbour_columns(c)}
        return Cells(self.reading, ids, dated - ids, frozenset(filter(None, counted)) - ids - dated)

    def noun_for(self, column: str | None) -> Noun:
        """What the column of units, places or periods is called: its noun where the study gives one, else the words of
        its name."""
        if not column:
            return Noun("", "")
        role = {self.period: "period", self.unit: "unit"}.get(column, "place" if self.cluster in (column, None) else "")
        given = self.noun.get(role)
        return Noun(*given) if given else noun_from_column(column, role or "unit")

    def outcome(self, name: str | Outcome | None = None) -> Outcome:
        """The outcome of that column, the first one when no name is given."""
        if not self.outcomes:
            raise OptionError("This study has no outcome. Give outcome='column' or outcomes=[...].")
        found = self.outcomes if name is None else [o for o in self.outcomes if name in (o, o.column)]
        if found:
            return found[0]
        known = suggest(str(name), [o.column for o in self.outcomes], "This study has")
        raise OptionError(f"There is no outcome {name!r}. {known}")

    def level_of(self, component: Component) -> str:
        """Name of the level at which a component was decided; what was dealt within clusters was dealt to units."""
        if component.assigned_at is None and component.within is not None and component.within == self.cluster:
            return self.unit
        return component.assigned_at or self.cluster or self.unit

    def home_of(self, component: Component) -> str:
        """The column that tells which group of that level (or which group linked to it) a unit is in."""
        level = self.level_of(component)
        return self.levels[level].to if level in self.levels else level

    def exposure_of(self, component: Component, columns: Columns) -> str | None:
        """Column of a component's exposure: named, or the column of its own name."""
        if component.first_period is not None:
            return component.first_period
        if component.exposure is not None or component.by_spells or component.always_on:
            return component.exposure
        return component.name if columns.in_panel(component.name) else None

    def columns_needed(self, columns: Columns) -> list[tuple[str, str]]:
        """(name, what it is for) of each column that must be there for the study to be made."""
        needed = [(self.unit, "unit"), (self.period, "period"), (self.cluster, "cluster"), (self.weights, "weights")]
        needed += [(name, "covariates") for name in self.covariates]
        for c in self.components:
            where = f"component {c.name!r}"
            needed += [(self.exposure_of(c, columns), f"exposure of {where}"), (c.reach, f"reach of {where}")]
            needed += [(c.within, f"within of {where}"), (c.compliance, f"compliance of {where}")]
            needed += [(name, f"neighbours of {where}") for name in neighbour_columns(c)]
            if c.assigned_at is not None:
                home = self.home_of(c)
                role = f"assigned_at of {where}" if home == c.assigned_at else f"level {c.assigned_at!r} leads to it"
                needed.append((home, role))
        needed += [(link.to, f"level {name!r} leads to it") for name, link in self.levels.items()]
        return list(dict.fromkeys((name, role) for name, role in needed if name is not None))


def components_of(given: Component | str | Iterable[Component | str], problems: list[Problem]) -> tuple[Component, ...]:
    """Components from `Component`s and names of columns; what is neither piles up in `problems`."""
    made = []
    for c in [given] if isinstance(given, str | Component) else given:
        if isinstance(c, str | Component):
            made.append(Component(c, exposure=c) if isinstance(c, str) else c)
        else:
            advice = "Give a column name or an ek.Component."
            problems.append(Problem(f"{c!r} is not a component", "components", advice))
    return tuple(made)


def outcomes_of(
    single: str | Outcome | None,
    several: str | Outcome | Sequence[Outcome | str] | None,
    make: Callable[[str], Outcome],
    problems: list[Problem],
) -> tuple[Outcome, ...]:
    """Outcomes from the first, which `make` makes of its column, and the list of several; problems pile up."""
    given = [] if single is None else [single]
    given += [several] if isinstance(several, str | Outcome) else list(several or ())
    made: list[Outcome] = []
    for o in given:
        try:
            made.append(o if isinstance(o, Outcome) else make(o) if o is single else Outcome(o))
        except EvalkitError as error:
            problems.append(Problem(str(error).rstrip(".")))
    names = [o.column for o in made]
    twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
    problems += [Problem(f"Outcome {n!r} is there twice", "outcomes", "Name each once.") for n in twice]
    return tuple(made)


def links_of(given: Mapping[str, Links | Mapping] | None, problems: list[Problem]) -> dict[str, Links]:
    """Levels reached by links, from `Links` or mappings; problems pile up."""
    made = {}
    for name, link in (given or {}).items():
        if isinstance(link, Mapping) and {"links", "to"} <= set(link):
            link = Links(link["links"], link["to"])
        if isinstance(link, Links):
            made[name] = link
        else:
            advice = "Give Links(table, to='column') or {'links': table, 'to': 'column'}."
            problems.append(Problem(f"Level {name!r} is {link!r}", "levels", advice))
    return made


NOUNS = ("unit", "place", "period")


def nouns_of(
    given: str | Mapping[str, str | Sequence[str]] | None, problems: list[Problem]
) -> dict[str, tuple[str, str]]:
    """(one, many) of what units, places and periods are called; problems pile up."""
    made, advice = {}, 'Give a word, or one and many: noun = {unit = ["child", "children"]}.'
    if given is not None and not isinstance(given, (str, Mapping)):
        problems.append(Problem(f"noun is {spelt(given)}", "noun", advice))
        return made
    for role, said in ({"unit": given} if isinstance(given, str) else given or {}).items():
        words = [said, plural(said)] if isinstance(said, str) else list(said) if isinstance(said, (list, tuple)) else []
        if role not in NOUNS:
            problems.append(Problem(f"There is no noun for {role!r}", "noun", f"They are: {', '.join(NOUNS)}."))
        elif len(words) != 2 or not all(isinstance(w, str) and w.strip() and not unprintable(w) for w in words):
            problems.append(Problem(f"noun of the {role} is {spelt(said)}", "noun", advice))
        else:
            made[role] = (words[0].strip(), words[1].strip())
    return made


def check_links(level: str, frame: pd.DataFrame, names: np.ndarray) -> list[Problem]:
    """The columns, weights between 0 and 1 that sum to one, and every group of the panel linked."""
    where = f"links of level {spelt(level)}"
    if problems := check_table("links", frame, where):
        return problems
    weight = pd.to_numeric(frame["weight"])
    total = weight.groupby(frame["to"]).transform("sum")
    off = (total - 1).abs().to_numpy() > 1e-6
    sums = dict(zip(frame["to"][off], total[off], strict=True))
    listed = ", ".join(f"{group} sums to {value:.4g}" for group, value in list(sums.items())[:5])
    what = f"Memberships do not sum to one: {listed}"
    problems = wrong_rows(frame, off, what, where, "Make the weights of each group sum to 1.")
    alone = np.flatnonzero(match(names, frame["to"].to_numpy()) < 0)
    if len(alone):
        listed = ", ".join(str(names[i]) for i in alone[:5])
        problems.append(Problem(f"Groups of the panel without links: {listed}", where, "Add their rows."))
    return problems


def link_weights(frame: pd.DataFrame, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, F) weight of each of the F `from` groups in each of the C groups of the panel, and the `from` names."""
    sources = pd.unique(frame["from"])
    row = match(frame["to"].to_numpy(), names)
    column = match(frame["from"].to_numpy(), np.asarray(sources))
    out = np.zeros((len(names), len(sources)))
    keep = row >= 0
    np.add.at(out, (row[keep], column[keep]), frame["weight"].to_numpy(dtype=np.float64)[keep])
    return out, np.asarray(sources)
