"""A report made again and compared with the one that is there: bytes, numbers to a tolerance, words, figures."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.image import imread

from evalkit.errors import EvalkitError
from evalkit.folders import aside
from evalkit.reporting.build import write_report
from evalkit.reporting.formats import FORMATS, write_formats
from evalkit.reporting.manifest import inputs, processor, read_manifest, sha256, versions
from evalkit.study import Study

#: Two numbers of a table are the same but for their last digits when they differ by no more than this share of the
#: larger one, or by no more than SMALL.
SHARE, SMALL = 1e-6, 1e-8
_POINTS, _SHADE = 0.011, 2.5 / 255  # of a figure: hundredths of a point in an SVG, shades of a pixel in a PNG
_KEYS = ["component", "outcome", "design", "check", "event_time", "cluster", "stage", "piece", "name"]
_DRAWN = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_IDENT = re.compile(r"(?<=[\"#])[a-z]+[0-9a-f]{10}(?=[\")])")


@dataclass(frozen=True)
class Verification:
    """What differs between a report and the same one made again; nothing at all when `same`.

    inputs: files that are not what they were. versions: packages that are not what they were, or another processor.
    tables: numbers and words that differ. files: other files that differ. digits: files that are the same but for the
    last digits of their numbers, within SHARE, on another processor or with other packages.
    """

    inputs: tuple[str, ...]
    versions: tuple[str, ...]
    tables: tuple[str, ...]
    files: tuple[str, ...]
    digits: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether every file is the same, but for the time line and the last digits of numbers."""
        return not (self.inputs or self.tables or self.files)

    def lines(self) -> list[str]:
        """What differs, a line each."""
        close = [f"{name} is the same but for the last digits" for name in self.digits]
        return [*self.inputs, *self.versions, *self.tables, *self.files, *close]


def verify(folder: str | Path) -> Verification:
    """Make a report again beside itself, compare every file (PDF and Word too, where there are), and remove the copy.

    On the same processor with the same packages every byte must be the same; elsewhere numbers may differ in their
    last digits. Raises `EvalkitError` where there is no manifest or the study file is gone.
    """
    place = Path(folder).resolve()
    manifest = read_manifest(place)
    file = (place / manifest["study"]).resolve()
    if not file.is_file():
        gone = f"The study file of this report is not there any more: {manifest['study']} (from its folder)."
        raise EvalkitError(gone)
    is_now = {**versions(), "processor": processor()}
    was = {**manifest["versions"], "processor": manifest.get("processor", "not named")}
    other = [f"{n}: was {v}, is {is_now.get(n, 'not there')}" for n, v in was.items() if is_now.get(n) != v]
    plan = None if manifest.get("plan") is None else place / str(manifest["plan"])
    with aside(place.parent) as again:
        write_report(Study.load(file), again, level=manifest["level"], seed=manifest["seed"], plan=plan)
        tables, files, digits = compare(place, again, manifest, exact=not other)
        files += other_formats(place, again, {"report.html", "report.ipynb"} & {*digits})
    now = dict(inputs(Study.load(file), file))
    changed = [f"input {n} was changed" for n, h in manifest["inputs"].items() if n in now and now[n] != h]
    changed += [f"input {n} is not named any more" for n in manifest["inputs"] if n not in now]
    changed += [f"input {n} is new" for n in now if n not in manifest["inputs"]]
    return Verification(tuple(changed), tuple(other), tuple(tables), tuple(files), tuple(digits))


def compare(
    old: Path, new: Path, manifest: Mapping[str, Any], exact: bool = True
) -> tuple[list[str], list[str], list[str]]:
    """Differences in tables, in words; other files that differ; and files the same but for last digits.

    manifest: of the report in `old`. exact: whether last digits have to be the same too.
    """
    tables: list[str] = []
    files: list[str] = []
    digits: list[str] = []
    made_again = read_manifest(new)["files"]
    for name in sorted({*manifest["files"], *made_again}):
        a, b = old / name, new / name
        if not a.is_file():
            files.append(f"{name} is missing from the report" if name in manifest["files"] else f"{name} is new")
        elif sha256(a) != manifest["files"].get(name, sha256(a)):
            files.append(f"{name} was changed after the report was written")
        elif not b.is_file():
            files.append(f"{name} is not made any more")
        elif sha256(a) != sha256(b):
            if not exact and close(a, b):
                digits.append(name)
            else:
                (tables if name.endswith(".csv") and "/" not in name else files).append(_difference(name, a, b))
    return tables, files, digits


def other_formats(old: Path, new: Path, digits: set[str]) -> list[str]:
    """PDF and Word that lie beside the page, made again. digits: page or notebook, if their last digits differ here."""
    found = []
    for name in (n for n in FORMATS if n != "html" and (old / f"report.{n}").is_file()):
        if digits:
            found.append(f"report.{name} was not compared: the last digits of what it is made from differ here")
            continue
        try:
            (made,) = write_formats(new, [name])
        except EvalkitError as error:
            found.append(f"report.{name} could not be made again: {error}")
            continue
        if sha256(made) != sha256(old / made.name):
            found.append(f"{made.name} differs from what the report gives now")
    return found


def close(a: Path, b: Path) -> bool:
    """Whether two files are the same but for the last digits of numbers; figures: but for what no eye can see."""
    if a.suffix == ".png":
        one, two = imread(a), imread(b)
        return one.shape == two.shape and bool(np.abs(one - two).max() <= _SHADE)
    one, two = (p.read_text(encoding="utf-8") for p in (a, b))
    if a.suffix == ".svg":
        return _alike(_steady(one), _steady(two), 0.0, _POINTS)
    if a.suffix == ".csv":
        return _alike(one, two, SHARE, SMALL)
    drawn = zip(_DRAWN.findall(one), _DRAWN.findall(two), strict=False)
    figures = [[_steady(base64.b64decode(svg).decode("utf-8")) for svg in pair] for pair in drawn]
    same_words = _DRAWN.sub("", one) == _DRAWN.sub("", two) and len(_DRAWN.findall(one)) == len(_DRAWN.findall(two))
    return same_words and all(_alike(x, y, 0.0, _POINTS) for x, y in figures)


def _steady(svg: str) -> str:
    """An SVG with its ids, which hang on coordinates, counted in the order in which they come."""
    order: dict[str, str] = {}
    return _IDENT.sub(lambda found: order.setdefault(found[0], f"id{len(order)}"), svg)


def _alike(one: str, two: str, share: float, small: float) -> bool:
    """Whether two texts have the same words, and numbers within a share of the larger, or within `small`."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", two):
        return False
    x, y = (np.array(_NUMBER.findall(text), dtype=float) for text in (one, two))
    return bool((np.abs(x - y) <= np.maximum(small, share * np.maximum(np.abs(x), np.abs(y)))).all())


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
