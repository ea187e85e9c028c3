"""The road-safety study: panel.csv is what its program makes, and says what its README claims."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import evalkit as ek

FOLDER = Path(__file__).resolve().parents[2] / "data" / "road_safety"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", FOLDER / "make_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(maker: ModuleType) -> pd.DataFrame:
    return maker.driving()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "panel.csv")


def test_made_again_it_is_the_same_text(maker: ModuleType, source: pd.DataFrame) -> None:
    assert maker.as_csv(maker.panel(source)) == (FOLDER / "panel.csv").read_text(encoding="utf-8")


def test_names_agree_with_known_facts(maker: ModuleType, source: pd.DataFrame) -> None:
    assert maker.disagreements(maker.panel(source)) == []


def test_shifted_names_would_be_noticed(maker: ModuleType, source: pd.DataFrame) -> None:
    shifted = source.assign(state=source["state"] % 51 + 1)
    assert len(maker.disagreements(maker.panel(shifted))) >= 3


def test_part_years_keep_their_year_and_size(maker: ModuleType, source: pd.DataFrame, table: pd.DataFrame) -> None:
    rows = source.assign(state=maker.state_names(source["state"])).sort_values(["state", "year"], ignore_index=True)
    for name in maker.COMPONENTS:
        part = rows[name].between(0, 1, inclusive="neither")
        assert (part == table[name].between(0, 1, inclusive="neither")).all(), name
        assert (rows[name] - table[name]).abs().max() < 5e-4 + 1e-9, name


def test_one_row_a_state_and_year_and_nothing_missing(table: pd.DataFrame) -> None:
    assert len(table) == 48 * 25
    assert not table.duplicated(["state", "year"]).any()
    assert not table.isna().any().any()


def test_readme_counts_are_those_of_the_table(maker: ModuleType, table: pd.DataFrame) -> None:
    words = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    part = {name: int(table[name].between(0, 1, inclusive="neither").sum()) for name in maker.COMPONENTS}
    assert f"{sum(part.values())} values are part-years" in words
    for name, count in part.items():
        assert count == 0 or f"`{name}` {count}" in words, name
    for name in table.columns:
        assert f"`{name}`" in words, f"{name} is not in the dictionary"


def test_study_file_names_columns_that_exist(maker: ModuleType, table: pd.DataFrame) -> None:
    study = tomllib.loads((FOLDER / "study.toml").read_text(encoding="utf-8"))
    assert tuple(study["components"]) == maker.COMPONENTS
    used = {study["study"][key] for key in ("unit", "period", "cluster")} | set(study["outcomes"])
    used |= {component["exposure"] for component in study["components"].values()}
    assert used <= set(table.columns)
    assert study["outcomes"]["log_totfatrte"]["better"] == "lower"


def test_study_opens_and_part_years_are_neither_on_nor_off(maker: ModuleType, table: pd.DataFrame) -> None:
    study = ek.Study.load(FOLDER / "study.toml")
    assert [component.name for component in study.components] == list(maker.COMPONENTS)
    assert (study.outcome().kind, study.outcome().better, study.outcome().matters) == ("log", "lower", 0.05)
    assert study.values().shape == (48, 25)
    state = study.paths.state[study.paths.path]
    for k, name in enumerate(maker.COMPONENTS):
        wide = table.pivot(index="state", columns="year", values=name).loc[study.paths.units]
        value = wide.to_numpy()
        assert ((state[:, :, k] < 0) == ((value > 0) & (value < 1))).all(), name
        assert ((state[:, :, k] > 0) == (value == 1)).all(), name
