"""The study file: TOML in, the arguments of a Study out, and messages that name file, table and key.

The keys of a table are the fields of the dataclass that it becomes; pydantic checks names and types, the
dataclass itself what its values mean.
"""

from __future__ import annotations

import glob
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from evalkit.errors import EvalkitError, OptionError, Problem, StudyError, raise_problems, spelt, suggest
from evalkit.study.component import CARD, Component, Outcome, neighbour_columns, plain
from evalkit.study.frame import FileSource, Table, find_files, open_source, read_table
from evalkit.study.money import TABLES
from evalkit.study.reading import Cells, Reading
from evalkit.study.register import Links, Register
from evalkit.study.schema import TABLE_CELLS
from evalkit.study.starts import HEADINGS, read_starts
from evalkit.vocabulary import Family, Hold, Missing

_TEXT, _FILE = (str, ""), (str | None, None)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _section(of: type, keys: Iterable[str], **own: tuple[object, object]) -> type[_Section]:
    """The keys of a table of the file: fields of the dataclass that it becomes, and `own` ones, (type, default)."""
    hints, declared = get_type_hints(of), {f.name: f for f in fields(of)}
    found: dict[str, Any] = dict(own)
    for name in set(keys) - set(own):
        required = declared[name].default is MISSING and declared[name].default_factory is MISSING
        found[name] = (_as_written(hints[name]), ... if required else None)
    return create_model(f"{of.__name__}Section", __base__=_Section, **{key: found[key] for key in keys})


def _as_written(hint: object) -> object:
    """A type as TOML writes it: a list for a tuple."""
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]]  # type: ignore[misc]
    if type(None) in get_args(hint):
        first = next(a for a in get_args(hint) if a is not type(None))
        return _as_written(first) | None  # type: ignore[operator]
    return hint


_STUDY_KEYS = (
    "title question panel people unit period cluster covariates missing weights every family disclosure allow_outside"
    " noun hold memory"
).split()
_READING_KEYS = [f.name for f in fields(Reading)]
_READING_TYPES: dict[str, Any] = {
    key: (list[str], []) if key.endswith("_values") else (str | None, None) for key in _READING_KEYS
}
_HEADINGS = ("component", "level_id", "start", "end", "dose")
_COMPONENT_KEYS = [f.name for f in fields(Component) if f.name not in ("name", "card")]
_SECTIONS = {
    "study": _section(Register, [*_STUDY_KEYS, *_READING_KEYS], panel=_FILE, people=_FILE,
                      disclosure=(str | None, None), allow_outside=(bool, False), noun=(str | dict[str, Any], {}),
                      family=(Family, "outcome"), hold=(Hold, "auto"), missing=(Missing, "refuse"), **_READING_TYPES),
    "adoption": _section(Component, ("table", *_HEADINGS), table=(str, ...),
                         **dict.fromkeys(_HEADINGS, (str | None, None))),
    "levels": _section(Links, ("links", "to"), links=(str, ...)),
    "outcomes": _section(Outcome, [f.name for f in fields(Outcome)], column=(str | None, None),
                         end=(float | str | date | None, None)),
    "components": _section(Component, [*_COMPONENT_KEYS, *CARD], adoption=_FILE,
                           neighbours=(str | list[str] | None, None), **dict.fromkeys(CARD, _TEXT)),
}  # fmt: skip
_NAMED_BY = {name: "component" if name == "costs" else "outcome" for name in TABLES}
"""What the key of a row in a table of money is: [costs.nurse] is a cost of the component nurse."""


def _by_name(section: str) -> object:
    """Tables of one kind, each under its name: [components.nurse]."""
    return dict.__class_getitem__((str, _SECTIONS[section]))


_StudyFile = create_model(
    "StudyFile",
    __base__=_Section,
    study=(_SECTIONS["study"], ...),
    levels=(_by_name("levels"), {}),
    outcomes=(_by_name("outcomes"), {}),
    components=(_by_name("components"), ...),
    evaluate=(dict[str, Any], {}),
    watch=(dict[str, Any], {}),
    report=(dict[str, Any], {}),
    adoption=(_SECTIONS["adoption"] | None, None),
    **dict.fromkeys((*TABLES, "events"), (Any, None)),  # type: ignore[call-overload]
)


@dataclass(frozen=True, eq=False)
class StudyArguments:
    """What a study file says: arguments of `Study`, and the files that it names, itself first."""

    fields: dict[str, Any]
    files: tuple[Path, ...]


def read_study(path: Path, panel: Table | None = None) -> StudyArguments:
    """The study that a TOML file describes; paths in it are relative to its folder, and lead nowhere else unless it
    says `allow_outside = true`. panel: rows that stand in for the panel of the file, which is then not looked for.

    Raises `StudyError` for a missing or broken file, a misspelt key or a missing table. No outcome column is read.
    """
    path = path / "study.toml" if path.is_dir() else path
    said = _read_file(path)
    study = dict(said["study"])
    try:
        reading = Reading(**{key: study.pop(key) for key in _READING_KEYS if key in study})
    except OptionError as error:
        raise StudyError(f"{path.name}, table [study]: {error}") from None
    folder = _Folder(path, study.pop("allow_outside", False), replace(TABLE_CELLS, reading=reading, ids=_ids(said)))
    settings = said.get("evaluate", {})
    if disclosure := study.pop("disclosure", None):
        settings = {"disclosure": disclosure, **settings}
    if watch := said.get("watch"):
        settings = {**settings, "watch": watch}
    if about := said.get("report"):
        settings = {**settings, "report": about}
    components = folder.components(said["components"], said.get("adoption"))
    links = {name: folder.table(k["links"], f"levels.{name}", "links") for name, k in said.get("levels", {}).items()}
    given = {
        "components": components,
        "levels": {n: Links(table, said["levels"][n]["to"]) for n, table in links.items() if table is not None},
        "outcomes": folder.outcomes(said.get("outcomes", {})),
        "people": folder.table(study.get("people"), "study", "people"),
        "panel": folder.panel(study.get("panel")) if panel is None else panel,
        "settings": settings,
        "reading": reading,
    }
    money = {name: folder.rows(said.get(name), name) for name in TABLES}
    given["money"] = money if any(table is not None for table in money.values()) else None
    given["events"] = folder.rows(said.get("events"), "events")
    raise_problems(folder.problems)
    return StudyArguments({"period": None, **study, **given}, (path, *folder.files))


def _read_file(path: Path) -> dict[str, Any]:
    """The file's tables, checked key by key."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        advice = "`evalkit new FOLDER` writes one to start from."
        raise StudyError(f"There is no study file {str(path)!r}. {advice}") from None
    except (OSError, ValueError) as error:
        raise StudyError(f"The study file {_short(str(path))} cannot be read ({error}).") from None
    if odd := next((what for start, what in _NOT_TEXT.items() if raw.startswith(start)), None):
        raise StudyError(f"The study file {path.name} is {odd}. Save it as text in UTF-8.")
    try:
        said = tomllib.loads(re.sub("\r\n?", "\n", raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise StudyError(f"The study file {str(path)!r} cannot be read ({error}). Save it as text in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path.name} is not valid TOML: {error}.") from None
    except (RecursionError, ValueError) as error:
        why = "too many brackets within brackets" if isinstance(error, RecursionError) else str(error).split(";")[0]
        raise StudyError(f"{path.name} is not valid TOML: {why}.") from None
    try:
        _StudyFile.model_validate(said)
    except ValidationError as error:
        raise_problems(_explain(error, path.name))
        raise
    return said


_NOT_TEXT = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "packed (gzip)"}
"""How files begin that are no UTF-8."""


def _ids(said: Mapping[str, Any]) -> frozenset[str]:
    """Columns of all tables that hold names and numbers of things."""
    study, levels = said["study"], said.get("levels", {})
    homes = [c.get("assigned_at") for c in said["components"].values()]
    named = [study["unit"], study.get("cluster"), *homes, *(level["to"] for level in levels.values())]
    return TABLE_CELLS.ids | {name for name in named if name}


def _explain(error: ValidationError, file: str) -> Iterator[Problem]:
    """pydantic's findings in words: file, table, key, and the near miss."""
    seen = set()
    for found in error.errors():
        names = [str(part) for part in found["loc"]]
        *above, key = names[: 3 if names[0] in ("levels", "outcomes", "components") else 2]
        table, kind = ".".join(above), found["type"]
        if (table, key) in seen:
            continue
        seen.add((table, key))
        what = f"{key} = {spelt(found['input'])} cannot be used"
        advice = found["msg"].replace("Input should be", "It should be") + "."
        if kind == "extra_forbidden":
            model = _SECTIONS[above[0]] if table else _StudyFile
            what = f"There is no key {key!r}" if table else f"There is no table [{key}]"
            advice = suggest(key, model.model_fields, "The keys are" if table else "The tables are")
        elif kind == "missing":
            what, advice = f"The key {key!r} is missing" if table else f"The table [{key}] is missing", "Add it."
        elif kind == "literal_error":
            advice = f"Use one of: {found['ctx']['expected'].replace(' or ', ', ')}."
        elif kind in ("model_type", "dict_type"):
            advice = "It should be a table."
        yield Problem(what, f"{file}, table [{table}]" if table else file, advice)


def _short(name: str) -> str:
    """A path as a message shows it."""
    return repr(name if len(name) < 120 else f"{name[:100]}...")


class _Folder:
    """Files beside the study file; what is missing piles up in `problems`. outside: whether paths may lead out of its
    folder. cells: how the cells of small tables are read."""

    def __init__(self, path: Path, outside: bool, cells: Cells) -> None:
        self.name, self.home, self.outside, self.cells = path.name, path.parent, outside, cells
        self.problems: list[Problem] = []
        self.files: list[Path] = []
        self._read: dict[str, pd.DataFrame | None] = {}

    def _add(self, error: EvalkitError | str, where: str, advice: str = "") -> None:
        self.problems.append(Problem(str(error).rstrip("."), f"{self.name}, {where}", advice))

    def panel(self, pattern: str | None) -> FileSource | None:
        """The panel's files; no row is read."""
        if pattern is None:
            self._add("The key 'panel' is missing", "table [study]", "Add it.")
            return None
        try:
            source = open_source(self._full(pattern, "panel"), f"panel = {_short(pattern)}", self.cells)
        except StudyError as error:
            self._add(error, "table [study], key 'panel'")
            return None
        assert isinstance(source, FileSource)
        self.files += source.files
        return source

    def _full(self, pattern: str, key: str) -> str:
        """A path or glob of the file, from where we are; `StudyError` where it leads out of the study's folder."""
        where, exact = f"{key} = {_short(pattern)}", self.home / pattern
        try:
            literal = exact.is_file() or exact.is_dir()
        except (OSError, ValueError):
            literal = True  # what is wrong with it is said below
        full = str(exact) if literal else str(Path(glob.escape(str(self.home))) / pattern)
        home = self.home.resolve()
        if not self.outside and not all(f.resolve().is_relative_to(home) for f in find_files(full, where)):
            advice = "Move the file there, or write allow_outside = true in [study]."
            raise StudyError(f"{where} leads out of the study's folder. {advice}")
        return full

    def table(self, name: str | None, table: str, key: str) -> pd.DataFrame | None:
        """A small table, read once however often it is named."""
        if name is None:
            return None
        if name not in self._read:
            self._read[name] = None
            try:
                said = f"{key} = {_short(name)}"
                source = open_source(self._full(name, key), said, self.cells)
                if (key == "adoption" and table.startswith("components.")) or table == "adoption":
                    self._read[name] = read_starts(source, said, self.cells.reading)
                else:
                    self._read[name] = read_table(source, name, self.cells)
                self.files += source.files if isinstance(source, FileSource) else ()
            except StudyError as error:
                self._add(error, f"table [{table}], key {key!r}")
        return self._read[name]

    def rows(self, said: object, name: str) -> pd.DataFrame | None:
        """A small table: the file of one, rows ([[costs]]), rows by name ([costs.nurse]), or table = "costs.csv"."""
        if isinstance(said, dict) and set(said) == {"table"} and isinstance(said["table"], str):
            said = said["table"]
        if isinstance(said, str):
            return self.table(said, name, "table")
        if isinstance(said, dict):
            wrong = [key for key, row in said.items() if not isinstance(row, dict)]
            if wrong or not said or name not in _NAMED_BY:
                advice = "Write table = 'file.csv', or one table a row."
                what = f"There is no key {(wrong or list(said))[0]!r}" if said else "The table is empty"
                self._add(what, f"table [{name}]", advice)
                return None
            said = [{_NAMED_BY[name]: key, **row} for key, row in said.items()]
        if said is not None and not (isinstance(said, list) and all(isinstance(row, dict) for row in said)):
            self._add(f"{name} = {spelt(said)} is not a table", f"table [{name}]", "Write table = 'file.csv'.")
            return None
        return pd.DataFrame(said) if said else None

    def components(
        self, said: Mapping[str, Mapping[str, Any]], shared: Mapping[str, str] | None = None
    ) -> list[Component]:
        """Components with their spells. shared: the table of starts of all that say nothing else, and its headings."""
        made = []
        if shared is not None:
            own = ("adoption", "exposure", "first_period", "always_on")
            for name, keys in said.items():
                if not any(keys.get(key) for key in own):
                    said = {**said, name: {**keys, "adoption": shared["table"]}}
            self._rename(shared)
        if not said:
            advice = "Describe at least one component."
            self.problems.append(Problem("The table [components] is empty", self.name, advice))
        for name, keys in said.items():
            spells = self.table(keys.get("adoption"), f"components.{name}", "adoption")
            card = {key: keys[key] for key in CARD if keys.get(key)}
            own = {key: value for key, value in keys.items() if key not in ("adoption", *CARD)}
            try:
                component = Component(name, adoption=spells, card=card, **own)
            except EvalkitError as error:
                self._add(error, f"table [components.{name}]")
                continue
            if (beside := component.neighbours) is not None and not neighbour_columns(component):
                table = self.table(str(beside), f"components.{name}", "neighbours")
                component = replace(component, neighbours=table)
            made.append(component)
        for file in dict.fromkeys(keys["adoption"] for keys in said.values() if keys.get("adoption")):
            table = self._read[file]
            known = {plain(w) for c in made for w in (c.name, c.label)}
            heading = None if table is None else next((c for c in table if plain(c) in HEADINGS["component"]), None)
            named = pd.Series(dtype=object) if table is None or heading is None else table[heading]
            for name in [n for n in named.dropna().unique() if n not in said and plain(n) not in known]:
                rows = ", ".join(str(r) for r in named.index[named == name][:5])
                advice = suggest(str(name), said, "The components are")
                self.problems.append(Problem(f"Unknown component {name!r}", f"{file}, rows {rows}", advice))
        return made

    def _rename(self, shared: Mapping[str, str]) -> None:
        """Put the names that evalkit has in place of the headings that [adoption] names."""
        table = self.table(shared["table"], "adoption", "table")
        headings = {heading: name for name, heading in shared.items() if name != "table"}
        if table is None:
            return
        for heading in [h for h in headings if h not in table.columns]:
            known = suggest(heading, [str(c) for c in table.columns], "The columns are")
            where = f"{self.name}, table [adoption], key {headings[heading]!r}"
            self.problems.append(Problem(f"There is no column {heading!r} in {shared['table']}", where, known))
        self._read[shared["table"]] = table.rename(columns=headings)

    def outcomes(self, said: Mapping[str, Mapping[str, Any]]) -> list[Outcome]:
        """Outcomes; a table's name is the column unless it says otherwise, and the label of one that does not wait."""
        made = []
        for name, keys in said.items():
            own = {
                **keys,
                "column": keys.get("column") or name,
                "label": keys.get("label") or ("" if keys.get("kind") == "time_to_event" else name),
            }
            try:
                made.append(Outcome(**own))
            except EvalkitError as error:
                self._add(error, f"table [outcomes.{name}]")
        return made
