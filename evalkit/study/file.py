"""The study file: TOML in, a Study out, and messages that name file, table and key."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.errors import EvalkitError, Problem, StudyError, raise_problems
from evalkit.study.columns import suggest
from evalkit.study.component import CARD, Component
from evalkit.study.frame import FileSource, open_source, read_table
from evalkit.study.levels import Links
from evalkit.study.outcome import Outcome

if TYPE_CHECKING:
    from evalkit.study.study import Study


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StudyTable(_Table):
    """[study]"""

    title: str = ""
    question: str = ""
    panel: str
    people: str | None = None
    unit: str
    period: str | None = None
    cluster: str | None = None
    covariates: list[str] = []
    weights: str | None = None
    every: int | float | None = None
    disclosure: str | None = None


class LevelTable(_Table):
    """[levels.NAME]"""

    links: str
    to: str


class OutcomeTable(_Table):
    """[outcomes.NAME]"""

    column: str | None = None
    label: str = ""
    kind: Literal["share", "count", "score", "log", "money"] = "score"
    better: Literal["higher", "lower"] = "higher"
    matters: float | int | None = None


class ComponentTable(_Table):
    """[components.NAME]"""

    label: str = ""
    exposure: str | None = None
    adoption: str | None = None
    assigned_at: str | None = None
    reach: str | None = None
    lag: int = 0
    bins: list[float | int] | None = None
    always_on: bool = False
    replaces: str | None = None
    unit_cost: float | int | None = None
    part_period: Literal["exclude", "half", "full"] = "exclude"
    dates: Literal["as_given", "early", "late"] = "as_given"
    description: str = ""
    why: str = ""
    materials: str = ""
    procedures: str = ""
    who: str = ""
    how: str = ""
    where: str = ""
    when: str = ""
    how_much: str = ""
    tailoring: str = ""
    modifications: str = ""
    planned: str = ""
    actual: str = ""


Rows = Any
"""A small table: the file of one, rows ([[costs]]), rows by name ([costs.nurse]), or table = "costs.csv"."""
_NAMED_BY = {"costs": "component", "rate_card": "outcome", "unit_costs": "outcome", "claims": "outcome"}


class StudyFile(_Table):
    """The whole file."""

    study: StudyTable
    levels: dict[str, LevelTable] = {}
    outcomes: dict[str, OutcomeTable] = {}
    components: dict[str, ComponentTable]
    evaluate: dict[str, Any] = {}
    costs: Rows = None
    rate_card: Rows = None
    claims: Rows = None
    unit_costs: Rows = None
    events: Rows = None


def load_study(path: Path) -> Study:
    """The study that a TOML file describes; paths in it are relative to its folder.

    Raises `StudyError` for a missing or broken file, a misspelt key, a missing table
    or anything that the first door refuses. No outcome column is read.
    """
    from evalkit.study.study import Study

    path = path / "study.toml" if path.is_dir() else path
    said = read_file(path)
    folder = _Folder(path)
    components = folder.components(said.components)
    levels = folder.levels(said.levels)
    outcomes = folder.outcomes(said.outcomes)
    people = folder.table(said.study.people, "study", "people")
    panel = folder.panel(said.study.panel)
    money = {name: folder.rows(getattr(said, name), name) for name in _NAMED_BY}
    events = folder.rows(said.events, "events")
    raise_problems(folder.problems)
    disclosure = {"disclosure": said.study.disclosure} if said.study.disclosure else {}
    names = said.study.model_dump(exclude={"panel", "people", "disclosure"})
    try:
        made = Study(
            panel,
            **names,
            people=people,
            levels=levels,
            outcomes=outcomes,
            components=components,
            settings={**disclosure, **said.evaluate},
            money=money if any(t is not None for t in money.values()) else None,
            events=events,
        )
    except StudyError as error:
        raise StudyError(f"{path.name}: {error}") from None
    object.__setattr__(made, "inputs", (path, *folder.files))
    return made


def read_file(path: Path) -> StudyFile:
    """The file's tables, checked key by key."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(
            f"There is no study file {str(path)!r}. `evalkit new FOLDER` writes one to start from."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"The study file {str(path)!r} cannot be read ({error}).") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path.name} is not valid TOML: {error}.") from None
    try:
        return StudyFile.model_validate(raw)
    except ValidationError as error:
        raise_problems(_explain(error, path.name, raw))
        raise


def _explain(error: ValidationError, file: str, raw: Mapping[str, Any]) -> Iterator[Problem]:
    """pydantic's findings in words: file, table, key, and the near miss."""
    seen = set()
    for found in error.errors():
        table, key = _place(found["loc"])
        if (table, key) in seen:
            continue
        seen.add((table, key))
        where = f"{file}, table [{table}]" if table else file
        if found["type"] == "extra_forbidden":
            known = _keys(table)
            what = f"There is no key {key!r}" if table else f"There is no table [{key}]"
            yield Problem(what, where, suggest(key, known, "The keys are" if table else "The tables are"))
        elif found["type"] == "missing":
            yield Problem(
                f"The {'key' if table else 'table'} {key!r} is missing" if table else f"The table [{key}] is missing",
                where,
                "Add it.",
            )
        else:
            yield Problem(f"{key} = {found['input']!r} cannot be used", where, _wanted(found))


def _wanted(found: Mapping[str, Any]) -> str:
    if found["type"] == "literal_error":
        return f"Use one of: {found['ctx']['expected'].replace(' or ', ', ')}."
    return found["msg"].replace("Input should be", "It should be") + "."


def _place(location: tuple[int | str, ...]) -> tuple[str, str]:
    """The table and key of a finding."""
    names = [str(p) for p in location]
    depth = 2 if names[0] in ("levels", "outcomes", "components") else 1
    if len(names) <= 1:
        return "", names[0]
    if len(names) == depth:
        return names[0], names[1]
    return ".".join(names[:depth]), names[depth]


def _keys(table: str) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "": StudyFile,
        "study": StudyTable,
        "levels": LevelTable,
        "outcomes": OutcomeTable,
        "components": ComponentTable,
    }
    return list(models[table.split(".")[0]].model_fields)


class _Folder:
    """Files beside the study file; what is missing piles up in `problems`."""

    def __init__(self, path: Path) -> None:
        self.name, self.home = path.name, path.parent
        self.problems: list[Problem] = []
        self.files: list[Path] = []
        self._read: dict[str, pd.DataFrame | None] = {}

    def _problem(self, table: str, key: str, error: EvalkitError) -> None:
        self.problems.append(Problem(str(error).rstrip("."), f"{self.name}, table [{table}], key {key!r}"))

    def panel(self, pattern: str) -> FileSource | None:
        """The panel's files; no row is read."""
        try:
            source = open_source(self._full(pattern), f"panel = {pattern!r}")
        except StudyError as error:
            self._problem("study", "panel", error)
            return None
        assert isinstance(source, FileSource)
        self.files += source.files
        return source

    def _full(self, pattern: str) -> str:
        exact = self.home / pattern
        return str(exact) if exact.is_file() else str(Path(glob.escape(str(self.home))) / pattern)

    def table(self, name: str | None, table: str, key: str) -> pd.DataFrame | None:
        """A small table, read once however often it is named."""
        if name is None:
            return None
        if name not in self._read:
            self._read[name] = None
            try:
                source = open_source(self._full(name), f"{key} = {name!r}")
                self._read[name] = read_table(source, name)
                self.files += source.files if isinstance(source, FileSource) else ()
            except StudyError as error:
                self._problem(table, key, error)
        return self._read[name]

    def rows(self, said: Rows, name: str) -> pd.DataFrame | None:
        """A small table from its file or from the rows written in the study file; None when there is none."""
        if isinstance(said, dict) and set(said) == {"table"} and isinstance(said["table"], str):
            said = said["table"]
        if isinstance(said, str):
            return self.table(said, name, "table")
        if isinstance(said, dict):
            wrong = [key for key, row in said.items() if not isinstance(row, dict)]
            if wrong or name not in _NAMED_BY:
                where, advice = f"{self.name}, table [{name}]", "Write table = 'file.csv', or one table a row."
                self.problems.append(Problem(f"There is no key {(wrong or list(said))[0]!r}", where, advice))
                return None
            said = [{_NAMED_BY[name]: key, **row} for key, row in said.items() if isinstance(row, dict)]
        if said is not None and not (isinstance(said, list) and all(isinstance(row, dict) for row in said)):
            where = f"{self.name}, table [{name}]"
            self.problems.append(Problem(f"{name} = {said!r} is not a table", where, "Write table = 'file.csv'."))
            return None
        return pd.DataFrame(said) if said else None

    def components(self, said: Mapping[str, ComponentTable]) -> list[Component]:
        """Components with their spells."""
        out = []
        if not said:
            self.problems.append(
                Problem("The table [components] is empty", self.name, "Describe at least one component.")
            )
        for name, one in said.items():
            spells = self.table(one.adoption, f"components.{name}", "adoption")
            fields = one.model_dump(exclude={"adoption", *CARD})
            card = {key: getattr(one, key) for key in CARD if getattr(one, key)}
            try:
                out.append(Component(name, adoption=spells, card=card, **fields))
            except EvalkitError as error:
                self.problems.append(Problem(str(error).rstrip("."), f"{self.name}, table [components.{name}]"))
        for file in dict.fromkeys(one.adoption for one in said.values() if one.adoption):
            self._check_named(self._read[file], file, list(said))
        return out

    def _check_named(self, spells: pd.DataFrame | None, file: str, known: list[str]) -> None:
        if spells is None or "component" not in spells.columns:
            return
        for name in spells["component"].dropna().unique():
            if name not in known:
                rows = spells.index[spells["component"] == name][:5]
                listed = ", ".join(str(r) for r in rows)
                self.problems.append(
                    Problem(
                        f"Unknown component {name!r}",
                        f"{file}, rows {listed}",
                        suggest(str(name), known, "The components are"),
                    )
                )

    def levels(self, said: Mapping[str, LevelTable]) -> dict[str, Links]:
        """Levels reached by links."""
        read = {name: (self.table(one.links, f"levels.{name}", "links"), one.to) for name, one in said.items()}
        return {name: Links(table, to) for name, (table, to) in read.items() if table is not None}

    def outcomes(self, said: Mapping[str, OutcomeTable]) -> list[Outcome]:
        """Outcomes; a table's name is the column unless it says otherwise."""
        out = []
        for name, one in said.items():
            fields = one.model_dump(exclude={"column"})
            try:
                out.append(Outcome(one.column or name, **{**fields, "label": one.label or name}))
            except EvalkitError as error:
                self.problems.append(Problem(str(error).rstrip("."), f"{self.name}, table [outcomes.{name}]"))
        return out
