"""A study: the panel, its register of components, and what can be known before any outcome is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, OutcomeError, Problem, StudyError, raise_problems, spelt, suggest
from evalkit.folders import filled
from evalkit.study.alike import CellSource, along
from evalkit.study.calendar import Calendar, Event
from evalkit.study.cellfile import unpacked
from evalkit.study.component import Component, Outcome
from evalkit.study.formats import is_parquet
from evalkit.study.frame import Columns, Source, Table, read_table
from evalkit.study.holding import Holding, held
from evalkit.study.index import (
    Index,
    absent_outcomes,
    covariate_columns,
    read_covariates,
    read_denominators,
    read_outcome,
)
from evalkit.study.money import Money, currency_of, money_of
from evalkit.study.paths import Memo, Paths
from evalkit.study.places import COUNTS, Gathered, gathered, grouped_index, people_are_new
from evalkit.study.reading import Reading, reading_of
from evalkit.study.register import Links, Register, components_of, links_of, nouns_of, outcomes_of
from evalkit.study.save import describe, describe_html, save_study, study_frame
from evalkit.study.scan import MEMORY, is_expression
from evalkit.study.schema import events_of
from evalkit.study.starts import with_tidy_spells
from evalkit.study.validation import Opened, open_study
from evalkit.study.waits import Waits, read_waits
from evalkit.vocabulary import Better, Family, Hold, Missing, OutcomeKind

_Chosen = np.ndarray | Sequence[int] | slice | None


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Study(Register):
    """A panel of units and periods, and the components that were switched on in it.

    panel: DataFrame (unit and period may be levels of its index), anything with an Arrow stream, or the path or glob
        of files (CSV, Excel, Stata, SPSS, Parquet, Feather), or a table of ibis, which its engine adds up; one row a
        unit and period. It is never changed.
    unit, period: column names; period=None for a cross-section of people.
    components: `Component`s, or names of 0/1 columns.
    outcome (with better, matters, kind) or outcomes: what is hoped to change.
    cluster: column of the groups in which decisions or people hang together.
    covariates, weights: column names; weights are fixed for a unit, and where money is set against outcomes each says
        how many people the unit stands for. Covariates may be words.
    people: table of columns that are fixed for a unit, joined by `unit`.
    levels: for levels reached by links, `{"association": Links(table, to="borough")}`.
    every: length of a period where the calendar has gaps that belong to the study.
    settings: anything the study file says about how to evaluate.
    money: `Money`, tables of costs, rate card, claims and unit costs.
    events: other things that went on at the time, (label, start, end) each; drawn, and steps in one place's own past.
    reading: how files and their cells are written, the keys of `Reading`: {"date_format": "%d/%m/%Y"}.
    noun: what a unit is called, "pupil"; or what "unit", "place" and "period" are, each with its plural where that is
        not usual: {"unit": ["person", "people"], "place": "school"}.
    hold: "rows" keeps the panel's rows in memory; "cells" adds up people who are alike in place, exposure and when they
        are seen, in DuckDB, and gives the same answers wherever no person is looked at; "auto" does that from five
        million rows on, where it can be done. memory: what DuckDB may hold meanwhile, such as "2GB".
    family: over which claims false ones are held at 5%: of the components of one "outcome", or "all" of the study.
    missing: what is done with people of whom a covariate is missing: "refuse" them, naming rows; "indicator" fills in
        the mean, and adds a column that says where; "impute" fills each gap ten times from other covariates, exposures
        and outcomes, and joins the answers by Rubin's rules. For designs that compare people; nobody is dropped.
    filling: which filling of missing covariates this study shows; None where that is left to designs.
    source: where the rows are. inputs: the files that a study file named, itself first;
        empty for a study made or changed in memory.
    movers: units that were split into stays because a level of theirs changes.
    memo: what was worked out from this study; kept as long as it lives.

    Structure and exposures are checked at once and every problem is listed in one
    `StudyError`; an outcome is checked when it is first read (`OutcomeError`).
    """

    source: Source = field(init=False)
    paths: Paths = field(init=False)
    movers: int = field(init=False)
    inputs: tuple[Path, ...] = field(init=False)
    memo: Memo = field(init=False)
    _opened: Opened = field(init=False)
    _values: Memo = field(init=False)
    _view: tuple[Study, np.ndarray, np.ndarray] | None = field(init=False)
    _gathered: Gathered | None = field(init=False)
    filling: int | None = field(init=False)
    _weighed: bool = field(init=False)

    def __init__(
        self,
        panel: Table | Source,
        *,
        unit: str,
        period: str | None,
        components: Sequence[Component | str],
        outcome: str | Outcome | None = None,
        outcomes: Sequence[Outcome | str] | None = None,
        better: Better = "higher",
        matters: float | None = None,
        kind: OutcomeKind = "score",
        per: str | None = None,
        cluster: str | None = None,
        covariates: Sequence[str] = (),
        weights: str | None = None,
        people: Table | None = None,
        levels: Mapping[str, Links | Mapping] | None = None,
        every: float | None = None,
        title: str | None = None,
        question: str | None = None,
        settings: Mapping[str, object] | None = None,
        money: Money | Mapping[str, Table] | None = None,
        events: pd.DataFrame | Iterable[Event | Sequence | Mapping] | None = None,
        reading: Reading | Mapping[str, object] | None = None,
        noun: str | Mapping[str, str | Sequence[str]] | None = None,
        family: Family = "outcome",
        hold: Hold = "auto",
        memory: str = MEMORY,
        missing: Missing = "refuse",
        _base: Index | None = None,
    ) -> None:
        problems: list[Problem] = []
        first = partial(Outcome, better=better, matters=matters, kind=kind, per=per)
        self._set(
            unit=unit,
            period=period,
            components=components_of(components, problems),
            outcomes=outcomes_of(outcome, outcomes, first, problems),
            cluster=cluster,
            covariates=(covariates,) if isinstance(covariates, str) else tuple(covariates),
            weights=weights,
            levels=links_of(levels, problems),
            every=every,
            title=title or "",
            question=question or "",
            settings=dict(settings or {}),
            money=money_of(money, problems),
            events=events_of(events, problems),
            reading=reading_of(reading),
            noun=nouns_of(noun, problems),
            family=family,
            hold=hold,
            memory=memory,
            missing=missing,
        )
        self._set(components=with_tidy_spells(self, problems))
        if self.money is not None:
            self._set(money=self.money.named(self.components))
        self._set(people=None if people is None else read_table(people, "people", self.cells()))
        source = held(panel, self, Holding(hold, memory))
        try:
            base = _base if _same_rows(source, panel) else None
            opened = open_study(self, Columns(source, self.people), base, list(problems))
        except StudyError:
            if not isinstance(source, CellSource) or source.origin is None or is_expression(source.origin):
                raise
            source = held(source.origin, self, Holding("rows", memory))  # whose rows its words can name
            opened = open_study(self, Columns(source, self.people), None, problems)
        self._set(source=source)
        self._set(paths=opened.paths, movers=opened.movers, _opened=opened, inputs=(), _view=None, filling=None)
        self._set(_gathered=None, memo=Memo(), _values=Memo(), _weighed=False)

    def _set(self, **changes: object) -> None:
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    @property
    def currency(self) -> str:
        """What stands before an amount of money: '£' unless the study says otherwise."""
        return currency_of(self.settings, self.money)

    @property
    def calendar(self) -> Calendar:
        """The periods and where they lie in time."""
        return self._opened.calendar

    @property
    def rows(self) -> np.ndarray | None:
        """Rows of the panel that the study holds; None when it holds all of them."""
        position = None if self._view is None else self._opened.index.position
        return None if position is None else position[position >= 0]

    def values(self, outcome: str | Outcome | None = None) -> np.ndarray:
        """(n, T) outcome in the row order of `paths`, NaN where no row or no value; what stands for each person
        (`waits`) where it waits for an event.

        Opens the second door: raises `OutcomeError` when the column is not there,
        holds text or is infinite. Read-only; read once.
        """
        chosen = self.outcome(outcome)
        if chosen.waits and self._gathered is None:
            return self.waits(chosen).values
        make = partial(read_outcome, chosen, self.source, self._opened.index)
        if self._gathered is not None:
            make = partial(self._gathered.values, chosen.column)
        values = self._values.get((chosen.column, chosen.kind, chosen.percent, chosen.per), make)
        if self.paths.spread is not None:
            self.paths.spread.tell(values, partial(self._within, chosen))
        return values

    def weighing(self, outcome: str | Outcome | None = None) -> Study:
        """The study as means of an outcome read it: of a rate, each unit weighs by what it is per (the mean over the
        periods in which it was counted, times its weight), so that the rate of a place is the sum of its counts over
        the sum of its residents as long as those hold still. The study itself for every other outcome."""
        chosen = self.outcome(outcome)
        if self._gathered is not None:  # of places whose people each have a rate
            return self
        if chosen.kind != "rate" or self._weighed:
            return self
        return self.memo.get(("weighing", chosen.column, chosen.per), lambda: self._by_denominator(chosen))

    def _by_denominator(self, rate: Outcome) -> Study:
        per = read_denominators(rate, self.source, self._opened.index)
        counted = np.isfinite(per)
        weights = np.where(counted, per, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        if self.paths.weights is not None and self.weights != rate.per:
            weights = weights * self.paths.weights
        opened = replace(self._opened, paths=replace(self.paths, weights=weights))
        made = object.__new__(Study)
        made._set(**{**vars(self), "paths": opened.paths, "_opened": opened, "_weighed": True, "memo": Memo()})
        return made

    def _within(self, outcome: Outcome) -> np.ndarray:
        """(n, T, T) sums of products of people's deviations from the mean of their cell."""
        if self._view is not None:
            whole, units, periods = self._view
            return whole._within(outcome)[np.ix_(units, periods, periods)]
        source, index = self.source, self._opened.index
        assert isinstance(source, CellSource)
        if source.within is None:
            raise OutcomeError(f"How people differ in {outcome.column!r} is not in these cells. Compress them again.")
        return along(source.within(outcome.column), source, index, str(self.period)) / (1e4 if outcome.percent else 1.0)

    def waits(self, outcome: str | Outcome | None = None) -> Waits:
        """How long people waited for the event of an outcome, and what stands for each; `OptionError` where it does not
        wait, `OutcomeError` for times that cannot be read. Worked out once."""
        chosen = self.outcome(outcome)
        if not chosen.waits:
            raise OptionError(f"Outcome {chosen.column!r} does not wait for an event: it is of kind {chosen.kind!r}.")
        return self.memo.get(("waits", chosen), partial(read_waits, chosen, self, self._opened.index))

    def check_header(self) -> None:
        """Raise one `OutcomeError` that names every outcome whose column is not there. No value is read."""
        raise_problems(absent_outcomes(self.outcomes, self.source), OutcomeError)

    def open_outcomes(self) -> None:
        """Open the second door for every outcome; one `OutcomeError` lists everything wrong with any of them."""
        problems: list[Problem] = []
        for outcome in self.outcomes:
            try:
                self.values(outcome)
            except OutcomeError as error:
                problems += error.problems or [Problem(str(error).rstrip("."))]
        raise_problems(problems, OutcomeError)

    def covariate_values(self, names: Iterable[str] | None = None) -> np.ndarray:
        """(n, T, q) covariates in the row order of `paths`, NaN where not seen; their names are `covariate_names`.

        Columns of the people are repeated over the periods; a column of words is a 0/1 column for each kind but the
        commonest. Raises `StudyError` for numbers written as text, infinite values, and more than twenty kinds.
        """
        wanted = self.covariates if names is None else tuple(names)
        if self._gathered is not None:
            return self._gathered.covariates(wanted)
        if not all(name in self.source.columns for name in wanted):
            self.paths.need_rows("A covariate that is not one of the study's")
        return read_covariates(wanted, Columns(self.source, self.people), self._opened.index, self.unit)

    def covariate_names(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Names of the columns of `covariate_values`: 'age', 'region=North'."""
        wanted, columns = self.covariates if names is None else tuple(names), Columns(self.source, self.people)
        return tuple(called for name in wanted for called in covariate_columns(name, columns))

    def gaps(self, names: Iterable[str] | None = None) -> np.ndarray:
        """(n, T) whether a covariate is missing where a row was seen."""
        gone = ~np.isfinite(self.covariate_values(names)).all(axis=2)
        return gone if self.paths.seen is None else gone & self.paths.seen

    def filled(self, filling: int) -> Study:
        """The same study with gaps of covariates filled once; other numbers give other fillings."""

        def fill() -> Study:
            made = object.__new__(Study)
            made._set(**{**vars(self), "filling": filling, "memo": Memo()})
            return made

        return self.memo.get(("filling", filling), fill)

    def to_frame(self) -> pd.DataFrame:
        """A row a unit and period that was seen: unit, period, cluster, the state of each component, the outcomes.

        States are 0 (off), 1 (on), the step of a dose, or missing where not known; never more than the study holds.
        """
        self.paths.need_rows("A frame of people")
        return study_frame(self, self.paths, self.values)

    def with_components(self, components: Sequence[Component | str]) -> Study:
        """The same rows under other components (or other readings of the same ones)."""
        return self.replace(components=components)

    def replace(self, **changes: object) -> Study:
        """A study with some of its fields changed; the rows are not read again where they stay the same."""
        if self._view is not None:
            whole, units, periods = self._view
            return whole.replace(**changes).subset(units, periods)
        if self._gathered is not None:
            return self.in_people.replace(**changes).of_places(self._gathered.count, self._gathered.adjust)
        said: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(Register)}
        shorthand = {"outcome", "better", "matters", "kind", "per"}
        unknown = sorted(set(changes) - set(said) - {"panel"} - shorthand)
        if unknown:
            raise OptionError(f"A study has no field {spelt(unknown[0])}. {suggest(unknown[0], said, 'It has')}")
        if shorthand & set(changes):
            said.pop("outcomes")
        said = {"panel": self.source, **said, **changes}
        if self.money is not None and "money" not in changes and {"components", "outcome", "outcomes"} & set(changes):
            outcomes = outcomes_of(said.get("outcome"), said.get("outcomes"), Outcome, [])
            components = [c.name for c in components_of(said["components"], [])]
            said["money"] = self.money.keep(components, [o.column for o in outcomes])
        same = not {"panel", "unit", "period", "every"} & set(changes)
        made = Study(**said, _base=self._opened.base if same else None)
        same = same and _same_rows(made.source, self.source)
        if same and (made._opened.index is self._opened.index or made.movers == self.movers == 0):
            made._set(_values=self._values)
        return made

    def subset(self, units: _Chosen = None, periods: _Chosen = None) -> Study:
        """The study of some units (mask, positions or slice of `paths.units`) and some periods (likewise).

        Paths keep what all rows said about exposure; nothing is checked again.
        """
        keep = _positions(units, self.paths.n_units), _positions(periods, self.paths.n_periods)
        opened = self._opened.subset(*keep)
        view = (self, *keep)
        if self._view is not None:
            whole, first_units, first_periods = self._view
            view = (whole, first_units[keep[0]], first_periods[keep[1]])
        made = object.__new__(Study)
        made._set(**{**vars(self), "paths": opened.paths, "inputs": (), "_opened": opened, "_view": view})
        made._set(_gathered=None if self._gathered is None else self._gathered.subset(*keep))
        made._set(memo=Memo(), _values=Memo())
        return made

    def of_places(self, count: str = "people", adjust: str | None = None) -> Study:
        """The study of places whose people are those of this one: a row a place (and kind of people whom a component
        can reach) and period, its outcomes and covariates the means of who was seen.

        count: a place weighs as many "people" as were seen in a period, on average; or "places" count alike. adjust:
        "reg", "ipw" or "dr" for means of people alike in the study's covariates (`study/standardise.py`). Raises
        `OptionError` where a component was decided person by person, and for a study of one period.
        """
        people = self.in_people
        if adjust is not None and not people.covariates:
            raise OptionError(f"adjust={spelt(adjust)} needs covariates, and the study names none.")
        made, found = object.__new__(Study), gathered(people, count, adjust)
        index = grouped_index(people._opened.index, found)
        opened = replace(people._opened, index=index, paths=found.paths, movers=0)
        made._set(**{**vars(people), "paths": found.paths, "movers": 0, "_opened": opened, "_view": None})
        made._set(_gathered=found, memo=Memo(), _values=Memo())
        return made

    def regathered(self, adjust: str | None) -> Study:
        """The study of places of the same people, by other means of them."""
        people, count = self.in_people, str(self.settings.get("count") or COUNTS[0])
        count = count if self._gathered is None else self._gathered.count
        return people.memo.get(("of places", count, adjust), lambda: people.of_places(count, adjust))

    @property
    def in_people(self) -> Study:
        """The study of people behind a study of places; any other is its own."""
        found = self if self._gathered is None else self._gathered.people
        assert isinstance(found, Study)
        return found

    def as_compared(self) -> Study:
        """The study whose rows can be set against themselves: of places where people are new each period, or the study
        says `compare = "cross_sections"`; else as it is."""
        how = self.settings.get("compare")
        if self._gathered is not None or how == "within" or (how is None and not people_are_new(self.paths)):
            return self
        return self.regathered(None)

    def save(self, folder: str | Path, panel: bool = True) -> Path:
        """Write study.toml and its tables into a folder, so that `Study.load` gives the same study; without the panel
        where `panel` is false."""
        if self._gathered is not None:
            stated = {**self.settings, "compare": "cross_sections"}
            return self.in_people.replace(settings=stated).save(folder, panel)
        with filled(Path(folder)) as place:
            return save_study(self, self.source, self.rows, place, panel)

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """The study that a TOML file describes, or that a file of cells holds; `StudyError` names file, table, key."""
        from evalkit.study.file import read_study  # pydantic is needed for files only

        path = Path(path)
        if path.is_file() and is_parquet(path):
            with unpacked(path) as home:
                made = cls(**read_study(home, panel=str(path)).fields)
            made._set(inputs=(path,))
            return made
        said = read_study(path)
        try:
            made = cls(**said.fields)
        except StudyError as error:
            lacking = absent_outcomes(said.fields["outcomes"], said.fields["panel"])
            if lacking and error.problems:
                raise_problems([*error.problems, *lacking])
            raise StudyError(f"{said.files[0].name}: {error}") from None
        made._set(inputs=said.files)
        return made

    def __repr__(self) -> str:
        return describe(self, self.paths, self.movers)

    def _repr_html_(self) -> str:
        return describe_html(self, self.paths, self.movers)


def _same_rows(source: Source, panel: object) -> bool:
    """Whether a source holds the rows, or the cells, of a panel one for one."""
    return source is panel or not (isinstance(source, CellSource) or isinstance(panel, CellSource))


def _positions(chosen: _Chosen, size: int) -> np.ndarray:
    """A mask, positions, a slice or None (everything) as positions."""
    whole = slice(None) if chosen is None else chosen
    return np.arange(size)[whole if isinstance(whole, slice) else np.asarray(whole)]
