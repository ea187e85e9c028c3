"""A study in a few lines, and written into a folder so that the file alone gives the same study again."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.show.words import file_name, period_words
from evalkit.study.alike import CellSource
from evalkit.study.cellfile import write_cells
from evalkit.study.component import CARD, Component, Outcome, neighbour_columns, neighbour_table, spells_of
from evalkit.study.formats import arrow_errors
from evalkit.study.frame import Columns, Source
from evalkit.study.index import as_shares
from evalkit.study.paths import Paths
from evalkit.study.register import Register

_MOMENTS = ("start", "end", "start_low", "start_high")


def _component_rows(study: Register, paths: Paths) -> list[tuple[str, str, str, str]]:
    """For each component: label, first start, clusters ever exposed, units ever exposed."""
    rows = []
    for k, c in enumerate(study.components):
        on = paths.state[:, :, k] > 0
        ever = np.asarray(on.any(axis=1))[paths.path]
        codes = paths.levels[paths.assigned_at[c.name]].codes
        places = f"{len(np.unique(codes[ever]))} of {len(np.unique(codes))}"
        when = (
            "always on"
            if c.always_on
            else period_words(paths.periods[on.any(axis=0).argmax()])
            if on.any()
            else "never"
        )
        when = "at the time" if when not in ("always on", "never") and paths.n_periods == 1 else when
        rows.append((c.label, when, places, f"{paths.distinct(ever):,}"))
    return rows


def _size(study: Register, paths: Paths, movers: int) -> str:
    """Units, periods and clusters in words."""
    runs = 1 + int((paths.units[1:] != paths.units[:-1]).sum())
    n = len(np.unique(paths.levels[study.unit].codes)) if study.unit in paths.levels else runs
    n = n if paths.heads is None else paths.distinct()
    units = f"{n:,} units" if paths.asked is None else f"{n:,} groups of {paths.distinct():,} people"
    periods = f"{paths.n_periods} periods ({period_words(paths.periods[0])} to {period_words(paths.periods[-1])})"
    words = [units, periods if study.period else "one time"]
    if study.cluster:
        words.append(f"{len(np.unique(paths.levels[study.cluster].codes)):,} clusters ({study.cluster})")
    if paths.seen is not None:
        words.append(f"{1 - np.average(paths.seen.mean(axis=1), weights=paths.people):.0%} of rows not seen")
    if movers:
        words.append(f"{movers:,} units move between groups")
    return ", ".join(words)


def describe(study: Register, paths: Paths, movers: int) -> str:
    """A few lines of plain text."""
    lines = [f"Study: {study.title or 'untitled'}", f"  {_size(study, paths, movers)}"]
    if study.outcomes:
        lines.append("  outcomes: " + ", ".join(f"{o.label} ({o.better} is better)" for o in study.outcomes))
    for label, first, places, units in _component_rows(study, paths):
        plain = first in ("always on", "never", "at the time")
        when = first if plain else f"first in {study.noun_for(study.period)} {first}"
        lines.append(f"  {label}: {when}, {places} places, {units} units")
    return "\n".join(lines)


def describe_html(study: Register, paths: Paths, movers: int) -> str:
    """A table with caption and scoped headings."""
    head = "".join(
        f'<th scope="col">{h}</th>' for h in ("Component", "First period on", "Places exposed", "Units exposed")
    )
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for label, *cells in _component_rows(study, paths)
    )
    caption = escape(f"{study.title or 'Study'}: {_size(study, paths, movers)}")
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def study_frame(study: Register, paths: Paths, values: Callable[[str], np.ndarray]) -> pd.DataFrame:
    """A row a unit and period that was seen: ids, states of the components, outcomes."""
    seen = np.ones((paths.n_units, paths.n_periods), dtype=bool) if paths.seen is None else paths.seen
    i, t = np.nonzero(seen)
    made: dict[str, object] = {study.unit: paths.units[i]}
    if study.period is not None:
        made[study.period] = paths.periods[t]
    if paths.cluster != study.unit:
        level = paths.levels[paths.cluster]
        made[paths.cluster] = np.asarray(level.names)[level.codes[i]]
    for k, name in enumerate(paths.components):
        state = paths.state[paths.path[i], t, k].astype(float)
        made[name] = np.where(state < 0, np.nan, state * paths.reach[paths.path[i], k])
    return pd.DataFrame(made | {o.column: values(o.column)[i, t] for o in study.outcomes})


_CHANGED = [f for f in fields(Component) if f.name not in ("name", "adoption", "card", "neighbours")]
_WAITING_KEYS = ("time", "event", "entry", "end", "by", "effect", "time_unit")
_OUTCOME_KEYS = [f.name for f in fields(Outcome) if f.name not in ("column", "percent", *_WAITING_KEYS)]
"""Keys of an outcome; percentages are written as shares."""
_STUDY_KEYS = (
    "title",
    "question",
    "unit",
    "period",
    "cluster",
    "covariates",
    "weights",
    "every",
    "family",
    "hold",
    "memory",
)


def save_study(study: Register, source: Source, rows: np.ndarray | None, folder: Path, panel: bool = True) -> Path:
    """Write study.toml, the panel's used columns and the small tables into a folder; returns the study file.

    rows: the rows to write, None for all; panel: whether to write any. Paths in the file are relative to the folder.
    """
    keys: dict[str, object] = {"panel": _write_panel(study, source, rows, folder) if panel else "cells.parquet"}
    if study.people is not None:
        keys["people"] = _write(study.people, folder, "people")
    spells = _all_spells(study)
    adoption = _write(spells, folder, "adoption") if spells is not None else None
    keys |= {k: getattr(study, k) for k in _STUDY_KEYS}
    keys |= {"missing": study.missing} if study.missing != "refuse" else {}
    lines = _table("study", {**keys, "noun": study.noun or None, "disclosure": study.settings.get("disclosure")})
    for name, link in study.levels.items():
        file = _write(link.frame(name), folder, file_name(f"links_{name}"))
        lines += _table(f"levels.{_key(name)}", {"links": file, "to": link.to})
    for o in study.outcomes:
        lines += _table(
            f"outcomes.{_key(o.column)}",
            {n: v for n in (*_OUTCOME_KEYS, *(_WAITING_KEYS if o.waits else ())) if (v := getattr(o, n)) is not False},
        )
    for c in study.components:
        own = {f.name: getattr(c, f.name) for f in _CHANGED if getattr(c, f.name) != f.default}
        own |= {k: c.card[k] for k in CARD if k in c.card}
        beside = neighbour_table(c)
        own["neighbours"] = (
            neighbour_columns(c) if beside is None else _write(beside, folder, file_name(f"neighbours_{c.name}"))
        )
        lines += _table(f"components.{_key(c.name)}", {**own, "adoption": adoption if c.by_spells else None})
    settings = {k: v for k, v in study.settings.items() if k not in ("disclosure", "watch", "report")}
    for name in ("watch", "report"):
        if isinstance(own := study.settings.get(name), Mapping):
            lines += _table(name, own)
    if settings:
        lines += ["[evaluate]", *(f"{_key(k)} = {_value(v)}" for k, v in settings.items() if v is not None), ""]
    for name, table in {} if study.money is None else study.money.given().items():
        lines += _table(name, {"table": _write(table, folder, name)})
    for e in study.events:
        lines += ["[[events]]", *_table("", asdict(e))[1:]]
    file = folder / "study.toml"
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return file


def _write_panel(study: Register, source: Source, rows: np.ndarray | None, folder: Path) -> str:
    """Write the panel, rows or cells; returns the file's name."""
    if not isinstance(source, CellSource):
        return _write(_used_columns(study, source, rows), folder, "panel", parquet=True)
    if rows is not None:
        raise StudyError("A part of a study of cells cannot be saved. Save the whole, or open it with hold='rows'.")
    outcomes = [o.column for o in study.outcomes if o.column in source.columns]
    return write_cells(source, (study.unit, str(study.period)), outcomes, folder / "panel.parquet", {}).name


def _used_columns(study: Register, source: Source, rows: np.ndarray | None) -> pd.DataFrame:
    """The columns that the study names, for the rows that it holds."""
    needed = [name for name, _ in study.columns_needed(Columns(source, study.people))]
    names = [*needed, *(name for o in study.outcomes for name in o.columns)]
    have = [n for n in dict.fromkeys(names) if n in source.columns]
    source.prefetch(have)
    frame = pd.DataFrame({n: source.column(n).reset_index(drop=True) for n in have})
    for o in study.outcomes:
        if o.percent and o.column in have:
            frame[o.column] = as_shares(frame[o.column], source.cells.reading.decimal)
    return frame if rows is None else frame.iloc[np.sort(rows)].reset_index(drop=True)


def _all_spells(study: Register) -> pd.DataFrame | None:
    parts = [spells_of(c).assign(component=c.name) for c in study.components if c.by_spells]
    if not parts:
        return None
    spells = pd.concat([p.astype({c: object for c in _MOMENTS if c in p}) for p in parts], ignore_index=True)
    for name in _MOMENTS:
        if name in spells.columns:
            spells[name] = [None if pd.isna(v) else str(v) for v in spells[name]]
    return spells[["component", *(c for c in spells.columns if c != "component")]]


def _write(frame: pd.DataFrame, folder: Path, stem: str, parquet: bool = False) -> str:
    """Write a table as Parquet, or as CSV if that keeps its texts as they are; returns the file's name."""
    texts = frame.select_dtypes(exclude="number").drop(
        columns=["start", "end", "start_low", "start_high"], errors="ignore"
    )
    if parquet or not _lasts(texts):
        unwritten: tuple[type[Exception], ...] = (*arrow_errors(), ImportError, TypeError, ValueError)
        try:
            frame.to_parquet(folder / f"{stem}.parquet", index=False)
            return f"{stem}.parquet"
        except unwritten:
            pass  # no pyarrow, or columns of mixed kinds, which have no Parquet type: CSV takes them as they print
    frame.to_csv(folder / f"{stem}.csv", index=False)
    return f"{stem}.csv"


def _lasts(texts: pd.DataFrame) -> bool:
    """Whether CSV gives every text back: not '007', which is a number there, nor 'NA', which is nothing."""
    again = pd.read_csv(io.StringIO(texts.to_csv(index=False)), skip_blank_lines=False) if len(texts.columns) else texts
    pairs = (pair for name in texts for pair in zip(texts[name], again[name], strict=True))
    return all(a == b for a, b in pairs if isinstance(a, str))


def _table(name: str, keys: Mapping[str, object]) -> list[str]:
    said = {key: value for key, value in keys.items() if not (value is None or value == "" or value == ())}
    return [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in said.items()), ""]


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, float, np.integer, np.floating)):
        return repr(value.item() if isinstance(value, np.generic) else value)
    return json.dumps(str(value), ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
