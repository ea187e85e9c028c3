"""A study: the panel, its register of components, and what can be known before any outcome is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, Problem, raise_problems
from evalkit.study.calendar import Calendar
from evalkit.study.columns import Columns, suggest
from evalkit.study.component import Component
from evalkit.study.door import Opened, open_door
from evalkit.study.events import Event, event_problems, events_of
from evalkit.study.frame import Source, open_source, read_table
from evalkit.study.index import Index
from evalkit.study.levels import Links
from evalkit.study.money import Money, money_of, money_problems
from evalkit.study.outcome import Outcome
from evalkit.study.paths import Memo, Paths
from evalkit.study.register import Register
from evalkit.study.save import describe, describe_html
from evalkit.study.subset import subset_opened
from evalkit.study.values import read_covariates, read_outcome


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Study:
    """A panel of units and periods, and the components that were switched on in it.

    panel: DataFrame, anything with an Arrow stream, or the path or glob of CSV or
        Parquet files; one row a unit and period. It is never changed.
    unit, period: column names; period=None for a cross-section of people.
    components: `Component`s, or names of 0/1 columns.
    outcome (with better, matters, kind) or outcomes: what is hoped to change.
    cluster: column of the groups in which decisions or people hang together.
    covariates, weights: column names; weights are fixed for a unit.
    people: table of columns that are fixed for a unit, joined by `unit`.
    levels: for levels reached by links, `{"association": Links(table, to="borough")}`.
    every: length of a period where the calendar has gaps that belong to the study.
    settings: anything the study file says about how to evaluate.
    money: `Money`, tables of costs, rate card, claims and unit costs.
    events: other things that went on at the time, (label, start, end) each; drawn, never estimated.

    source: where the rows are. inputs: the files that a study file named, itself first;
        empty for a study made or changed in memory.
    movers: units that were split into stays because a level of theirs changes.
    memo: what was worked out from this study; kept as long as it lives.

    Structure and exposures are checked at once and every problem is listed in one
    `StudyError`; an outcome is checked when it is first read (`OutcomeError`).
    """

    title: str
    question: str
    unit: str
    period: str | None
    cluster: str | None
    components: tuple[Component, ...]
    outcomes: tuple[Outcome, ...]
    covariates: tuple[str, ...]
    weights: str | None
    levels: Mapping[str, Links]
    every: Any
    settings: Mapping[str, Any]
    money: Money | None
    events: tuple[Event, ...]
    source: Source
    people: pd.DataFrame | None
    paths: Paths
    movers: int
    inputs: tuple[Path, ...]
    _opened: Opened
    memo: Memo
    _values: Memo
    _view: tuple[Study, Any, Any] | None

    def __init__(
        self,
        panel: Any,
        *,
        unit: str,
        period: str | None,
        components: Sequence[Component | str],
        outcome: str | Outcome | None = None,
        outcomes: Sequence[Outcome | str] | None = None,
        better: str = "higher",
        matters: float | None = None,
        kind: str = "score",
        cluster: str | None = None,
        covariates: Sequence[str] = (),
        weights: str | None = None,
        people: Any = None,
        levels: Mapping[str, Any] | None = None,
        every: Any = None,
        title: str | None = None,
        question: str | None = None,
        settings: Mapping[str, Any] | None = None,
        money: Any = None,
        events: Any = None,
        _base: Index | None = None,
    ) -> None:
        problems: list[Problem] = []
        shorthand = {"better": better, "matters": matters, "kind": kind}
        fields = {
            "title": title or "",
            "question": question or "",
            "unit": unit,
            "period": period,
            "cluster": cluster,
            "components": _components(components, problems),
            "outcomes": _outcomes(outcome, outcomes, shorthand, problems),
            "covariates": (covariates,) if isinstance(covariates, str) else tuple(covariates),
            "weights": weights,
            "levels": _links(levels, problems),
            "every": every,
            "settings": dict(settings or {}),
            "money": money_of(money, problems),
            "events": events_of(events, problems),
            "source": open_source(panel),
            "people": None if people is None else read_table(people, "people"),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        problems += money_problems(self.money, [c.name for c in self.components], [o.column for o in self.outcomes])
        self._open(problems, _base)
        raise_problems(event_problems(self.events, self.calendar))

    def _open(self, problems: list[Problem], base: Index | None) -> None:
        columns, register = Columns(self.source, self.people), self._register()
        self.source.prefetch(register.columns(columns))
        opened = open_door(register, columns, base, problems)
        self._set(paths=opened.paths, movers=opened.movers, inputs=(), _opened=opened)
        self._set(memo=Memo(), _values=Memo(), _view=None)

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _register(self) -> Register:
        return Register(
            self.unit,
            self.period,
            self.cluster,
            self.components,
            self.covariates,
            self.weights,
            self.levels,
            self.every,
        )

    @property
    def calendar(self) -> Calendar:
        """The periods and where they lie in time."""
        return self._opened.calendar

    @property
    def rows(self) -> np.ndarray | None:
        """Rows of the panel that the study holds; None when it holds all of them."""
        if self._view is None:
            return None
        position = self._opened.index.position
        return None if position is None else position[position >= 0]

    def component(self, name: str) -> Component:
        """The component of that name; `OptionError` names the near miss."""
        for c in self.components:
            if c.name == name:
                return c
        known = suggest(str(name), self.paths.components, "This study has")
        raise OptionError(f"There is no component {name!r}. {known}")

    def outcome(self, name: str | Outcome | None = None) -> Outcome:
        """The outcome of that column, the first one when no name is given."""
        if not self.outcomes:
            raise OptionError("This study has no outcome. Give outcome='column' or outcomes=[...].")
        if name is None:
            return self.outcomes[0]
        for o in self.outcomes:
            if name in (o, o.column):
                return o
        known = suggest(str(name), [o.column for o in self.outcomes], "This study has")
        raise OptionError(f"There is no outcome {name!r}. {known}")

    def values(self, outcome: str | Outcome | None = None) -> np.ndarray:
        """(n, T) outcome in the row order of `paths`, NaN where no row or no value.

        Opens the second door: raises `OutcomeError` when the column is not there,
        holds text or is infinite. Read-only; read once.
        """
        column = self.outcome(outcome).column
        return self._values.get(column, lambda: read_outcome(column, self.source, self._opened.index))

    def covariate_values(self, names: Iterable[str] | None = None) -> np.ndarray:
        """(n, T, q) covariates in the row order of `paths`, NaN where not seen.

        Columns of the people are repeated over the periods. Raises `StudyError` for
        text or infinite values.
        """
        wanted = self.covariates if names is None else tuple(names)
        columns = Columns(self.source, self.people)
        return read_covariates(wanted, columns, self._opened.index, self.unit)

    def with_components(self, components: Sequence[Component | str]) -> Study:
        """The same rows under other components (or other readings of the same ones)."""
        return self.replace(components=components)

    def replace(self, **changes: Any) -> Study:
        """A study with some of its fields changed; the rows are not read again where they stay the same."""
        if self._view is not None:
            whole, units, periods = self._view
            return whole.replace(**changes).subset(units, periods)
        fields = {name: getattr(self, name) for name in _FIELDS}
        same = not {"panel", "unit", "period", "every"} & set(changes)
        if "outcome" in changes or {"better", "matters", "kind"} & set(changes):
            fields.pop("outcomes")
        unknown = sorted(set(changes) - set(_FIELDS) - {"panel", "outcome", "better", "matters", "kind"})
        if unknown:
            raise OptionError(f"A study has no field {unknown[0]!r}. {suggest(unknown[0], _FIELDS, 'It has')}")
        if self.money is not None and "money" not in changes:
            fields["money"] = self._money_left(changes)
        made = Study(**{"panel": self.source, **fields, **changes}, _base=self._opened.base if same else None)
        if same and (made._opened.index is self._opened.index or made.movers == self.movers == 0):
            made._set(_values=self._values)
        return made

    def _money_left(self, changes: Mapping[str, Any]) -> Money | None:
        """Rows of the money tables about the components and outcomes that stay."""
        if self.money is None or not {"components", "outcome", "outcomes"} & set(changes):
            return self.money
        components = [c if isinstance(c, str) else c.name for c in changes.get("components", self.components)]
        one = changes.get("outcome")
        asked = changes.get("outcomes") or ([one] if one is not None else self.outcomes)
        return self.money.keep(components, [o if isinstance(o, str) else o.column for o in asked])

    def subset(self, units: _Chosen = None, periods: _Chosen = None) -> Study:
        """The study of some units (mask, positions or slice of `paths.units`) and some periods (likewise).

        Paths keep what all rows said about exposure; nothing is checked again.
        """
        whole = self if self._view is None else self._view[0]
        keep_units, keep_periods = _positions(units, self.paths.n_units), _positions(periods, self.paths.n_periods)
        made = object.__new__(Study)
        for name in (*_FIELDS, "source", "movers"):
            object.__setattr__(made, name, getattr(self, name))
        opened = subset_opened(self._opened, keep_units, keep_periods)
        first_u, first_t = (slice(None), slice(None)) if self._view is None else self._view[1:]
        view = (
            whole,
            np.arange(whole.paths.n_units)[first_u][keep_units],
            np.arange(whole.paths.n_periods)[first_t][keep_periods],
        )
        made._set(paths=opened.paths, inputs=(), _opened=opened, memo=Memo(), _values=Memo(), _view=view)
        return made

    def save(self, folder: str | Path) -> Path:
        """Write study.toml and its tables into a folder, so that `Study.load` gives the same study."""
        from evalkit.study.save import save_study

        return save_study(self, Path(folder))

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """The study that a TOML file describes; `StudyError` names file, table and key."""
        from evalkit.study.file import load_study

        return load_study(Path(path))

    def __repr__(self) -> str:
        return describe(self)

    def _repr_html_(self) -> str:
        return describe_html(self)


_FIELDS = (
    "unit",
    "period",
    "components",
    "outcomes",
    "cluster",
    "covariates",
    "weights",
    "people",
    "levels",
    "every",
    "title",
    "question",
    "settings",
    "money",
    "events",
)


_Chosen = np.ndarray | Sequence[int] | slice | None


def _positions(chosen: _Chosen, size: int) -> np.ndarray:
    """A mask, positions, a slice or None (everything) as positions."""
    if chosen is None or isinstance(chosen, slice):
        return np.arange(size)[chosen or slice(None)]
    return np.arange(size)[np.asarray(chosen)]


def _components(given: Sequence[Component | str], problems: list[Problem]) -> tuple[Component, ...]:
    if isinstance(given, (str, Component)):
        given = [given]
    out = []
    for c in given:
        if isinstance(c, Component):
            out.append(c)
        elif isinstance(c, str):
            out.append(Component(c, exposure=c))
        else:
            problems.append(
                Problem(f"{c!r} is not a component", "components", "Give a column name or an ek.Component.")
            )
    return tuple(out)


def _outcomes(
    outcome: str | Outcome | None, outcomes: Sequence[Outcome | str] | None, shorthand: dict, problems: list[Problem]
) -> tuple[Outcome, ...]:
    given: list[Any] = [] if outcome is None else [outcome]
    given += [outcomes] if isinstance(outcomes, (str, Outcome)) else list(outcomes or ())
    out: list[Outcome] = []
    for o in given:
        try:
            out.append(o if isinstance(o, Outcome) else Outcome(o, **(shorthand if o is outcome else {})))
        except EvalkitError as error:
            problems.append(Problem(str(error).rstrip(".")))
    names = [o.column for o in out]
    problems += [
        Problem(f"Outcome {n!r} is there twice", "outcomes", "Name each once.")
        for n in dict.fromkeys(names)
        if names.count(n) > 1
    ]
    return tuple(out)


def _links(given: Mapping[str, Any] | None, problems: list[Problem]) -> dict[str, Links]:
    out = {}
    for name, link in (given or {}).items():
        if isinstance(link, Links):
            out[name] = link
        elif isinstance(link, Mapping) and {"links", "to"} <= set(link):
            out[name] = Links(link["links"], link["to"])
        else:
            problems.append(
                Problem(
                    f"Level {name!r} is {link!r}",
                    "levels",
                    "Give Links(table, to='column') or {'links': table, 'to': 'column'}.",
                )
            )
    return out
