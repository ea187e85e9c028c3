"""Verify a report: make it again from its study file and say what differs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.reporting.build import report
from evalkit.reporting.formats import FORMATS, write_formats
from evalkit.reporting.method import inputs, sha256, versions
from evalkit.study import Study

_KEYS = ["component", "outcome", "design", "check", "event_time", "cluster", "stage", "piece", "name"]


@dataclass(frozen=True)
class Verification:
    """What differs between a report and the same one made again; nothing at all when `same`.

    inputs: files that are not what they were. versions: packages that are not what they were. tables: numbers and
    words that differ. files: other files whose bytes differ.
    """

    inputs: tuple[str, ...]
    versions: tuple[str, ...]
    tables: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every file is the same, byte for byte, the time line excepted."""
        return not (self.inputs or self.tables or self.files)

    def lines(self) -> list[str]:
        """What differs, a line each."""
        return [*self.inputs, *self.versions, *self.tables, *self.files]


def verify(folder: str | Path) -> Verification:
    """Make a report again beside itself, compare every file (PDF and Word too, where there are), and remove the copy.

    Raises `EvalkitError` where there is no manifest or the study file is gone.
    """
    place = Path(folder).resolve()
    manifest = _manifest(place)
    file = (place / manifest["study"]).resolve()
    if not file.is_file():
        raise EvalkitError(
            f"The study file of this report is not there any more: {manifest['study']} (from its folder)."
        )
    again = Path(tempfile.mkdtemp(dir=place.parent, prefix=".verify-"))
    try:
        given = {"level": manifest["level"], "seed": manifest["seed"]}
        plan = manifest.get("plan")
        report(Study.load(file), again, **given, plan=None if plan is None else place / plan)
        made = json.loads((again / "manifest.json").read_text(encoding="utf-8"))
        tables, files = _compare(place, again, manifest, made)
        files += _other_formats(place, again)
    finally:
        shutil.rmtree(again)
    return Verification(
        tuple(_inputs(manifest, dict(inputs(Study.load(file), file)))),
        tuple(f"{n}: was {v}, is {versions().get(n, 'not there')}" for n, v in manifest["versions"].items()
              if versions().get(n) != v),
        tuple(tables), tuple(files),
    )  # fmt: skip


def _other_formats(old: Path, new: Path) -> list[str]:
    """PDF and Word that lie beside the page, made again from it."""
    found = []
    for name in (n for n in FORMATS if n != "html" and (old / f"report.{n}").is_file()):
        try:
            (made,) = write_formats(new, [name])
        except EvalkitError as error:
            found.append(f"report.{name} could not be made again: {error}")
            continue
        if sha256(made) != sha256(old / made.name):
            found.append(f"{made.name} differs from what the page gives now")
    return found


def _manifest(place: Path) -> dict[str, Any]:
    path = place / "manifest.json"
    if not path.is_file():
        raise EvalkitError(f"There is no manifest.json in {str(place)!r}. Name the folder of a report.")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def _inputs(manifest: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    before = manifest["inputs"]
    changed = [f"input {n} was changed" for n in before if n in now and now[n] != before[n]]
    changed += [f"input {n} is not named any more" for n in before if n not in now]
    return changed + [f"input {n} is new" for n in now if n not in before]


def _compare(old: Path, new: Path, before: Mapping[str, Any], made: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Differences in tables, in words; and other files that differ."""
    tables: list[str] = []
    files: list[str] = []
    for name in sorted({*before["files"], *made["files"]}):
        a, b = old / name, new / name
        if not a.is_file():
            files.append(f"{name} is missing from the report" if name in before["files"] else f"{name} is new")
        elif sha256(a) != before["files"].get(name, sha256(a)):
            files.append(f"{name} was changed after the report was written")
        elif not b.is_file():
            files.append(f"{name} is not made any more")
        elif sha256(a) != sha256(b):
            (tables if name.endswith(".csv") and "/" not in name else files).append(_difference(name, a, b))
    return tables, files


def _difference(name: str, a: Path, b: Path) -> str:
    """Where two tables differ first, in words; just that they differ for other files."""
    if a.suffix != ".csv":
        return f"{name} differs"
    before, now = (pd.read_csv(p, dtype=str, keep_default_na=False) for p in (a, b))
    if list(before) != list(now) or len(before) != len(now):
        return f"{name}: {len(before)} rows, now {len(now)}" if list(before) == list(now) else f"{name}: other columns"
    apart = before.ne(now)
    row = int(apart.any(axis=1).to_numpy().argmax())
    column = str(apart.columns[apart.iloc[row].to_numpy().argmax()])
    which = ", ".join(before[k].iloc[row] for k in _KEYS if k in before)
    cells = int(apart.to_numpy().sum())
    was, now_is = before[column].iloc[row], now[column].iloc[row]
    return f"{name}: {cells} cells differ, first {column} of {which} (was {was}, is {now_is})"
