"""The file of a rollout: TOML in, a plan out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pandas as pd

from evalkit.errors import OptionError, Problem, StudyError, raise_problems, spelt, suggest
from evalkit.rollouts.brief import Planned
from evalkit.rollouts.noise import Noise
from evalkit.rollouts.planning import RolloutPlan, plan_rollout
from evalkit.study.frame import read_table
from evalkit.study.reading import Cells
from evalkit.study.study import Study

TABLES = ("rollout", "noise", "components")
KEYS = ("title", "places", "periods", "window", "seed", "per_month", "together", "weights", "now", "effort")


def is_rollout(file: Path) -> bool:
    """Whether a file is that of a rollout, and not of a study: it has a table [rollout]."""
    return file.is_file() and "rollout" in _tables(file)


def title_of(file: Path) -> str:
    """What a file calls its rollout."""
    return str(_tables(file)["rollout"].get("title") or "A rollout that will let us tell")


def read_rollout(file: Path) -> RolloutPlan:
    """The plan that a file asks for. Raises `StudyError` with everything that is wrong in it."""
    tables, folder = _tables(file), file.parent
    asked = tables.get("rollout", {})
    problems = [
        Problem(f"[{t}] is no table of a rollout", str(file), suggest(t, TABLES, "Tables"))
        for t in tables
        if t not in TABLES
    ]
    for name in TABLES:
        if not isinstance(tables.get(name, {}), dict):
            problems.append(Problem(f"{name} is no table", str(file), f"Write [{name}] on a line of its own."))
    raise_problems(problems, StudyError)
    problems += _unknown(asked, KEYS, "[rollout]")
    problems += [
        Problem(f"[rollout] has no {key}", str(file), "Add it.") for key in ("places", "periods") if key not in asked
    ]
    parts = {}
    for name, said in tables.get("components", {}).items():
        known = [f.name for f in fields(Planned) if f.name != "name"]
        if not isinstance(said, dict):
            problems.append(Problem(f"components.{name} is no table", str(file), f"Write [components.{name}]."))
            continue
        problems += _unknown(said, known, f"[components.{name}]")
        parts[name] = said
    if not parts:
        problems.append(Problem("There is no component", str(file), "Add a table [components.NAME] for each."))
    noise_keys = [*(f.name for f in fields(Noise)), "study", "outcome", "effects"]
    problems += _unknown(tables.get("noise", {}), noise_keys, "[noise]")
    raise_problems(problems, StudyError)
    options = {k: v for k, v in asked.items() if k not in ("title", "places", "periods")}
    try:
        planned = [Planned(name, **said) for name, said in parts.items()]
        return plan_rollout(
            _places(asked["places"], folder), planned, asked["periods"], noise=_noise(tables.get("noise", {}), folder),
            **options,
        )  # fmt: skip
    except OptionError as error:
        raise StudyError(f"{file}: {error}") from None


def _tables(file: Path) -> Mapping[str, dict]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StudyError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{str(file)!r} is not TOML that can be read: {error}.") from None


def _unknown(said: Mapping[str, object], known: list[str] | tuple[str, ...], where: str) -> list[Problem]:
    return [Problem(f"Unknown key {key!r}", where, suggest(key, known, "Keys")) for key in said if key not in known]


def _places(said: object, folder: Path) -> list[str] | pd.DataFrame:
    """Names, or the table that a file holds."""
    if isinstance(said, list):
        return [str(s) for s in said]
    if isinstance(said, str):
        return read_table(folder / said, "places of the rollout", Cells(ids=frozenset({"place"})))
    raise StudyError(
        f"places={spelt(said)} is neither a list of names nor the name of a table. Write places = ['Bury', ...]."
    )


def _noise(said: Mapping[str, object], folder: Path) -> Noise | None:
    """Noise as said, on top of that of a study's past where one is named."""
    own = {k: v for k, v in said.items() if k not in ("study", "outcome", "effects")}
    if "study" in said:
        study = Study.load(folder / str(said["study"]))
        found = Noise.from_study(study, said.get("outcome"), said.get("effects", 0.0))  # type: ignore[arg-type]
        return Noise(**{**vars(found), **own})
    if odd := [key for key in ("outcome", "effects") if key in said]:
        raise StudyError(f"[noise] names {odd[0]}, but no study whose past is read. Add study = 'study.toml'.")
    return Noise(**own) if own else None  # type: ignore[arg-type]
