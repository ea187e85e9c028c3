"""A study in a few lines, and written into a folder so that the file alone gives the same study again."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from evalkit.study.component import CARD, Component
from evalkit.study.money import TABLES
from evalkit.study.paths import Paths
from evalkit.study.spells import spells_of

if TYPE_CHECKING:
    from evalkit.study.study import Study


def component_rows(study: Study) -> list[tuple[str, str, str, str]]:
    """For each component: label, first start, clusters ever exposed, units ever exposed."""
    paths, rows = study.paths, []
    for k, c in enumerate(study.components):
        on = paths.state[:, :, k] > 0
        ever = np.asarray(on.any(axis=1))[paths.path]
        level = paths.levels[paths.assigned_at[c.name]]
        places = f"{len(np.unique(level.codes[ever]))} of {len(np.unique(level.codes))}"
        when = np.flatnonzero(np.asarray(on.any(axis=0)))
        first = str(paths.periods[when[0]]) if len(when) else "never"
        rows.append((c.label, "always on" if c.always_on else first, places, f"{len(np.unique(paths.units[ever])):,}"))
    return rows


def size_words(study: Study) -> str:
    """Units, periods and clusters in words."""
    paths = study.paths
    n = len(np.unique(paths.levels[study.unit].codes)) if study.unit in paths.levels else _n_units(paths)
    words = [f"{n:,} units"]
    words.append(
        f"{paths.n_periods} periods ({paths.periods[0]} to {paths.periods[-1]})" if study.period else "one time"
    )
    if study.cluster:
        words.append(f"{len(np.unique(paths.levels[study.cluster].codes)):,} clusters ({study.cluster})")
    if paths.seen is not None:
        words.append(f"{1 - paths.seen.mean():.0%} of rows not seen")
    if study.movers:
        words.append(f"{study.movers:,} units move between groups")
    return ", ".join(words)


def _n_units(paths: Paths) -> int:
    return 1 + int((paths.units[1:] != paths.units[:-1]).sum())


def describe(study: Study) -> str:
    """A few lines of plain text."""
    lines = [f"Study: {study.title or 'untitled'}", f"  {size_words(study)}"]
    if study.outcomes:
        lines.append("  outcomes: " + ", ".join(f"{o.label} ({o.better} is better)" for o in study.outcomes))
    for label, first, places, units in component_rows(study):
        when = first if first in ("always on", "never") else f"first on {first}"
        lines.append(f"  {label}: {when}, {places} places, {units} units")
    return "\n".join(lines)


def describe_html(study: Study) -> str:
    """A table with caption and scoped headings."""
    head = "".join(f'<th scope="col">{h}</th>' for h in ("Component", "First on", "Places exposed", "Units exposed"))
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for label, *cells in component_rows(study)
    )
    caption = escape(f"{study.title or 'Study'}: {size_words(study)}")
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


_DEFAULTS = {f.name: f.default for f in fields(Component)}
_COMPONENT_KEYS = [name for name in _DEFAULTS if name not in ("name", "adoption", "card")]


def save_study(study: Study, folder: Path) -> Path:
    """Write study.toml, the panel's used columns and the small tables; returns the study file.

    Rows of a subset are the rows kept. Paths in the file are relative to the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"panel": _write(_used_columns(study), folder, "panel", parquet=True)}
    if study.people is not None:
        written["people"] = _write(study.people, folder, "people")
    spells = _all_spells(study)
    adoption = _write(spells, folder, "adoption") if spells is not None else None
    lines = _table("study", {**written, **_study_keys(study)})
    for name, link in study.levels.items():
        file = _write(link.frame(name), folder, f"links_{_file_name(name)}")
        lines += _table(f"levels.{_key(name)}", {"links": file, "to": link.to})
    for o in study.outcomes:
        keys = {"label": o.label, "kind": o.kind, "better": o.better, "matters": o.matters}
        lines += _table(f"outcomes.{_key(o.column)}", keys)
    for c in study.components:
        keys = {k: getattr(c, k) for k in _COMPONENT_KEYS if getattr(c, k) != _DEFAULTS[k]}
        keys |= {k: c.card[k] for k in CARD if k in c.card}
        lines += _table(f"components.{_key(c.name)}", {**keys, "adoption": adoption if c.by_spells else None})
    settings = {k: v for k, v in study.settings.items() if k != "disclosure"}
    if settings:
        lines += ["[evaluate]", *(f"{_key(k)} = {_value(v)}" for k, v in settings.items() if v is not None), ""]
    lines += _money_and_events(study, folder)
    file = folder / "study.toml"
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return file


def _money_and_events(study: Study, folder: Path) -> list[str]:
    lines: list[str] = []
    money = study.money
    for name in TABLES if money is not None else ():
        table = money.table(name) if money is not None else None
        if table is not None:
            lines += _table(name, {"table": _write(table, folder, name)})
    for e in study.events:
        keys = {"label": e.label, "start": _moment(e.start), "end": _moment(e.end)}
        lines += ["[[events]]", *_table("", keys)[1:]]
    return lines


def _moment(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float)) else str(value)


def _study_keys(study: Study) -> dict[str, Any]:
    keys = ("title", "question", "unit", "period", "cluster", "covariates", "weights", "every")
    return {**{k: getattr(study, k) for k in keys}, "disclosure": study.settings.get("disclosure")}


def _used_columns(study: Study) -> pd.DataFrame:
    """The columns that the study names, for the rows that it holds."""
    names = [study.unit, study.period, study.cluster, study.weights, *study.covariates]
    names += [o.column for o in study.outcomes]
    for c in study.components:
        names += [c.exposure or (None if c.by_spells or c.always_on else c.name), c.reach, c.assigned_at]
    names += [link.to for link in study.levels.values()]
    have = [n for n in dict.fromkeys(names) if n is not None and n in study.source.columns]
    study.source.prefetch(have)
    frame = pd.DataFrame({n: study.source.column(n).reset_index(drop=True) for n in have})
    position = study.rows
    return frame if position is None else frame.iloc[np.sort(position)].reset_index(drop=True)


def _all_spells(study: Study) -> pd.DataFrame | None:
    parts = [spells_of(c).assign(component=c.name) for c in study.components if c.by_spells]
    if not parts:
        return None
    spells = pd.concat([p.astype({c: object for c in ("start", "end") if c in p}) for p in parts], ignore_index=True)
    for name in ("start", "end"):
        if name in spells.columns:
            spells[name] = [None if pd.isna(v) else str(v) for v in spells[name]]
    return spells[["component", *(c for c in spells.columns if c != "component")]]


def _write(frame: pd.DataFrame, folder: Path, stem: str, parquet: bool = False) -> str:
    """Write a table as Parquet, or as CSV if that keeps its ids as they are; returns the file's name."""
    if parquet or _digits_as_text(frame):
        try:
            frame.to_parquet(folder / f"{stem}.parquet", index=False)
            return f"{stem}.parquet"
        except (pa.ArrowException, TypeError, ValueError):
            pass  # columns of mixed kinds have no Parquet type; CSV takes them as they print
    frame.to_csv(folder / f"{stem}.csv", index=False)
    return f"{stem}.csv"


def _digits_as_text(frame: pd.DataFrame) -> bool:
    """Whether a column holds text such as '007', which CSV would give back as a number."""
    for name in frame.columns:
        if name in ("start", "end") or pd.api.types.is_numeric_dtype(frame[name].dtype):
            continue
        text = [v for v in frame[name].dropna() if isinstance(v, str)]
        if text and all(re.fullmatch(r"\d+", v) for v in text):
            return True
    return False


def _table(name: str, keys: dict[str, Any]) -> list[str]:
    lines = [f"[{name}]"]
    for key, value in keys.items():
        if value is None or value == "" or value == ():
            continue
        lines.append(f"{_key(key)} = {_value(value)}")
    return [*lines, ""]


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (np.integer, np.floating)):
        return repr(value.item())
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
