"""Write a partnership's folder: tables, dictionary, README, study file, and truth beside. Large ones part by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalkit.study import Component, Study
from evalkit.synthetic.dictionary import dictionary, readme
from evalkit.synthetic.tables import panel_frame, people_frame, small_tables
from evalkit.synthetic.truth import effects_table, pooled, regimes_table
from evalkit.synthetic.world import make_world

if TYPE_CHECKING:
    from evalkit.synthetic.partnership import Partnership

TRUTH = "truth"
EFFECT_KEYS = ["component_set", "outcome", "estimand", "population", "since_start"]


def write_partnership(partnership: Partnership, folder: Path) -> Path:
    """Write everything into `folder` (made if need be); returns the study file.

    Up to 25,000 people: `panel.parquet`, `people.csv`. More: `panel/` and `people.parquet`, simulated and written one
    part after another, so that memory stays bounded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if partnership.parts == 1:
        tables = partnership.tables
        _parquet(tables["panel"], folder / "panel.parquet")
        for name in (n for n in tables if n != "panel"):
            _csv(tables[name], folder / f"{name}.csv")
        truth = partnership.reveal_truth()
        study, effects, regimes = partnership.study, truth.effects, truth.regimes
        files = {"panel": "panel.parquet", "people": "people.csv"}
    else:
        tables, effects, regimes = _write_parts(partnership, folder)
        study = partnership.study_of(tables)
        files = {"panel": "panel/*.parquet", "people": "people.parquet"}
    _csv(dictionary(partnership.spec, partnership.knobs, tables), folder / "dictionary.csv")
    page = readme(partnership.spec, partnership.setting, partnership.seed, tables)
    (folder / "README.md").write_text(page, encoding="utf-8", newline="\n")
    _seal(folder / TRUTH, effects, regimes, partnership.said)
    file = folder / "study.toml"
    file.write_text(study_file(study, files), encoding="utf-8", newline="\n")
    return file


def _write_parts(partnership: Partnership, folder: Path) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """Simulate and write one part after another; returns the tables (of the last part) and the pooled truth."""
    spec, knobs = partnership.spec, partnership.knobs
    (folder / "panel").mkdir(exist_ok=True)
    people, effects, regimes, tables = [], [], [], {}
    for part in range(partnership.parts):
        world = make_world(spec, knobs, partnership.seed, part)
        tables = {"panel": panel_frame(world), "people": people_frame(world)}
        _parquet(tables["panel"], folder / "panel" / f"part-{part + 1:03d}.parquet")
        people.append(tables["people"])
        effects.append(effects_table(world))
        regimes.append(regimes_table(world))
        small = small_tables(spec, world.scene.sites, world.scene.rollout)
    _parquet(pd.concat(people, ignore_index=True), folder / "people.parquet")
    for name, table in small.items():
        _csv(table, folder / f"{name}.csv")
    named = list(world.regimes.components)
    return {**tables, **small}, pooled(effects, EFFECT_KEYS), pooled(regimes, named)


def _seal(folder: Path, effects: pd.DataFrame, regimes: pd.DataFrame, said: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    _csv(effects, folder / "effects.csv")
    _csv(regimes, folder / "regimes.csv")
    (folder / "settings.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8", newline="\n")


def _csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, lineterminator="\n")


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")


def study_file(study: Study, files: dict[str, str]) -> str:
    """The study file of a study whose tables are called as `files` says."""
    lines = ["# Simulated: no row is about a real person. See README.md.", ""]
    keys: dict[str, Any] = {"title": study.title, "question": study.question, **files}
    keys |= {"unit": study.unit, "period": study.period, "cluster": study.cluster, "weights": study.weights}
    keys |= {"covariates": list(study.covariates) or None}
    lines += _table("study", {k: v for k, v in keys.items() if k != "people" or study.people is not None})
    for name, link in study.levels.items():
        lines += _table(f"levels.{name}", {"links": "links.csv", "to": link.to})
    for o in study.outcomes:
        said = {"label": o.label, "kind": o.kind, "better": o.better, "matters": o.matters}
        lines += _table(f"outcomes.{o.column}", said)
    for c in study.components:
        lines += _table(f"components.{c.name}", _component_keys(c))
    if study.settings:
        lines += _table("evaluate", dict(study.settings))
    return "\n".join(lines).rstrip() + "\n"


def _component_keys(c: Component) -> dict[str, Any]:
    keys: dict[str, Any] = {"label": c.label, "description": c.description or None, "exposure": c.exposure}
    keys |= {"adoption": "adoption.csv" if c.by_spells else None, "assigned_at": c.assigned_at, "reach": c.reach}
    keys |= {"bins": None if c.bins is None else list(c.bins), "lag": c.lag or None, "replaces": c.replaces}
    return keys | {"always_on": c.always_on or None, "unit_cost": c.unit_cost}


def _table(name: str, keys: dict[str, Any]) -> list[str]:
    return [f"[{name}]", *(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in keys.items() if v is not None), ""]
