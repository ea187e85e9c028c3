"""Rows from anywhere: Arrow streams, Parquet and CSV files give the same study as a frame."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import evalkit as ek


def make(panel: object) -> ek.Study:
    return ek.Study(
        panel, unit="person", period="month", outcome="settled", cluster="borough", components=["nurse", "court"]
    )


def as_polars(panel: pd.DataFrame, tmp_path: object) -> object:
    return pytest.importorskip("polars").from_arrow(pa.Table.from_pandas(panel, preserve_index=False))


def as_duckdb(panel: pd.DataFrame, tmp_path: object) -> object:
    return importlib.import_module("duckdb").from_arrow(pa.Table.from_pandas(panel, preserve_index=False))


def as_arrow(panel: pd.DataFrame, tmp_path: object) -> object:
    return pa.Table.from_pandas(panel, preserve_index=False)


def as_parquet(panel, tmp_path):
    panel.to_parquet(tmp_path / "panel.parquet", index=False)
    return tmp_path / "panel.parquet"


def as_many_files(panel, tmp_path):
    for i, part in panel.groupby(panel.person % 3):
        part.to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    return str(tmp_path / "part-*.parquet")


def as_csv(panel, tmp_path):
    panel.to_csv(tmp_path / "panel.csv", index=False)
    return str(tmp_path / "panel.csv")


@pytest.mark.parametrize("given", [as_polars, as_duckdb, as_arrow, as_parquet, as_many_files, as_csv])
def test_every_source_gives_the_same_study(panel, tmp_path, given):
    frame, other = make(panel), make(given(panel, tmp_path))
    assert (frame.paths.state[frame.paths.path] == other.paths.state[other.paths.path]).all()
    assert (frame.values() == other.values()).all()
    assert frame.paths.units.tolist() == other.paths.units.tolist()
    assert frame.paths.levels["borough"].names.tolist() == other.paths.levels["borough"].names.tolist()


def test_missing_values_survive_an_arrow_stream(panel):
    table = pa.Table.from_pandas(panel.assign(settled=panel.settled.where(panel.person != 2)), preserve_index=False)
    values = make(table).values()
    assert np.isnan(values[2]).all() and np.isfinite(np.delete(values, 2, axis=0)).all()


def test_files_must_have_the_same_columns(panel, tmp_path):
    panel.to_parquet(tmp_path / "part-1.parquet")
    panel.drop(columns="court").to_parquet(tmp_path / "part-2.parquet")
    with pytest.raises(ek.EvalkitError, match="differs in court"):
        make(str(tmp_path / "part-*.parquet"))


def test_two_columns_of_one_name_are_refused(panel):
    twice = pd.concat([panel, panel[["nurse"]]], axis=1)
    with pytest.raises(ek.EvalkitError, match="2 columns called 'nurse'"):
        make(twice)


def test_the_index_of_a_frame_plays_no_part(panel):
    odd = panel.set_index(pd.Index(np.arange(len(panel)) % 7))
    assert (make(odd).values() == make(panel).values()).all()
