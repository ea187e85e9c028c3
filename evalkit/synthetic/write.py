"""Write a partnership's folder: tables, dictionary, README, study file, and truth beside. Large ones part by part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.folders import filled
from evalkit.study import Component, Study
from evalkit.study.money import TABLES
from evalkit.synthetic.contract import Ledger
from evalkit.synthetic.dictionary import dictionary, sealed_dictionary
from evalkit.synthetic.readme import readme
from evalkit.synthetic.simulated import Simulated
from evalkit.synthetic.tables import panel_frame, people_frame, small_tables
from evalkit.synthetic.truth import effects_table, pooled, regimes_table
from evalkit.synthetic.world import make_world

TRUTH = "truth"
Tables = dict[str, pd.DataFrame]
TruthTables = tuple[pd.DataFrame, pd.DataFrame]
EFFECT_KEYS = ["component_set", "outcome", "estimand", "population", "since_start"]


def write_partnership(partnership: Simulated, folder: Path) -> Path:
    """Write everything into `folder` (made if need be); returns the study file.

    Up to 25,000 people: `panel.parquet`, `people.csv`. More: `panel/`, `people.parquet` and `claims.parquet`, simulated
    and written one part after another, so that memory stays bounded.
    """
    with filled(folder):
        return _write_all(partnership, folder)


def _write_all(partnership: Simulated, folder: Path) -> Path:
    whole = partnership.parts == 1
    tables, truth = _write_whole(partnership, folder) if whole else _write_parts(partnership, folder)
    files = {n: n + ((".parquet" if n == "panel" else ".csv") if whole else _IN_PARTS.get(n, ".csv")) for n in tables}
    _text(folder / "study.toml", study_file(partnership.study_of(tables), files))
    if "cutoff" in tables:
        _text(folder / "cutoff.toml", study_file(partnership.cutoff_study, {"panel": files["cutoff"]}))
    _csv(dictionary(partnership.spec, partnership.knobs, tables), folder / "dictionary.csv")
    _text(folder / "README.md", readme(partnership, files))
    _seal(folder / TRUTH, *truth, partnership.said)
    _csv(sealed_dictionary(partnership.spec, *truth), folder / TRUTH / "dictionary.csv")
    return folder / "study.toml"


_IN_PARTS = {"panel": "/*.parquet", "people": ".parquet", "claims": ".parquet"}


def _write_whole(partnership: Simulated, folder: Path) -> tuple[Tables, TruthTables]:
    """Write all tables of a partnership that fits into memory."""
    tables = dict(partnership.tables)
    if partnership.knobs.above_cut:
        tables["cutoff"] = partnership.cutoff
    _parquet(tables["panel"], folder / "panel.parquet")
    for name in (n for n in tables if n != "panel"):
        _csv(tables[name], folder / f"{name}.csv")
    truth = partnership.reveal_truth()
    return tables, (truth.effects, truth.regimes)


def _write_parts(partnership: Simulated, folder: Path) -> tuple[Tables, TruthTables]:
    """Simulate and write one part after another; returns the tables (of the last part) and the pooled truth."""
    spec, knobs = partnership.spec, partnership.knobs
    (folder / "panel").mkdir(exist_ok=True)
    people, effects, regimes, tables, ledgers = [], [], [], {}, []
    for part in range(partnership.parts):
        world = make_world(spec, knobs, partnership.seed, part)
        tables = {"panel": panel_frame(world), "people": people_frame(world)}
        _parquet(tables["panel"], folder / "panel" / f"part-{part + 1:03d}.parquet")
        people.append(tables["people"])
        effects.append(effects_table(world))
        regimes.append(regimes_table(world))
        ledgers.append(Ledger.of(world))
    ground = (world.scene.sites, world.scene.rollout)
    small = small_tables(spec, *ground)
    ledger = _together(ledgers)
    if ledger is not None:
        small |= ledger.tables(spec, *ground)
        _parquet(small["claims"], folder / "claims.parquet")
        # The study whose file is written holds the last part, and claims are for people of the study.
        small["claims"] = small["claims"][small["claims"]["person_id"].isin(tables["people"]["person_id"])]
    _parquet(pd.concat(people, ignore_index=True), folder / "people.parquet")
    for name in (n for n in small if n != "claims"):
        _csv(small[name], folder / f"{name}.csv")
    named = list(world.regimes.components)
    return {**tables, **small}, (pooled(effects, EFFECT_KEYS), pooled(regimes, named))


def _together(ledgers: list[Ledger | None]) -> Ledger | None:
    found = [x for x in ledgers if x is not None]
    return sum(found[1:], found[0]) if found else None


def _seal(folder: Path, effects: pd.DataFrame, regimes: pd.DataFrame, said: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    _csv(effects, folder / "effects.csv")
    _csv(regimes, folder / "regimes.csv")
    _text(folder / "settings.json", json.dumps(said, indent=2) + "\n")


def _text(path: Path, words: str) -> None:
    path.write_text(words, encoding="utf-8", newline="\n")


def _csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, lineterminator="\n")


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")


def study_file(study: Study, files: Mapping[str, str]) -> str:
    """The study file of a study whose tables are called as `files` says."""
    lines = ["# Simulated: no row is about a real person. See README.md.", ""]
    keys: dict[str, Any] = {"title": study.title, "question": study.question, "panel": files["panel"]}
    keys |= {"people": None if study.people is None else files["people"]}
    keys |= {"unit": study.unit, "period": study.period, "cluster": study.cluster, "weights": study.weights}
    keys |= {"covariates": list(study.covariates) or None}
    lines += _table("study", keys)
    for name, link in study.levels.items():
        lines += _table(f"levels.{name}", {"links": files["links"], "to": link.to})
    for o in study.outcomes:
        said = {"label": o.label, "kind": o.kind, "better": o.better, "matters": o.matters}
        lines += _table(f"outcomes.{o.column}", said)
    for c in study.components:
        lines += _table(f"components.{c.name}", _component_keys(c))
    if study.settings:
        lines += _table("evaluate", dict(study.settings))
    beside = {**{name: name for name in TABLES}, "events": "background"}
    for name in (n for n, table in beside.items() if table in files):
        lines += _table(name, {"table": files[beside[name]]})
    return "\n".join(lines).rstrip() + "\n"


def _component_keys(c: Component) -> dict[str, Any]:
    keys: dict[str, Any] = {"label": c.label, "description": c.description or None, "exposure": c.exposure}
    keys |= {"adoption": "adoption.csv" if c.by_spells else None, "assigned_at": c.assigned_at, "reach": c.reach}
    keys |= {"bins": None if c.bins is None else list(c.bins), "lag": c.lag or None, "replaces": c.replaces}
    return {**keys, "always_on": c.always_on or None, "unit_cost": c.unit_cost, **c.card}


def _table(name: str, keys: dict[str, Any]) -> list[str]:
    return [f"[{name}]", *(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in keys.items() if v is not None), ""]
