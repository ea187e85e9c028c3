"""Files of rows that cannot be read are named, wherever it shows."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import StudyError
from tests.study.panels import panel, study


def _write(folder: Path, frame: pd.DataFrame, parts: int = 3) -> list[Path]:
    files = []
    for i, part in frame.groupby(frame["id"] % parts):
        files.append(folder / f"part-{i}.parquet")
        part.to_parquet(files[-1], index=False)
    return files


@pytest.mark.parametrize("hold", ["rows", "cells"])
def test_a_file_with_other_columns(tmp_path: Path, hold: str) -> None:
    files = _write(tmp_path, panel())
    pd.read_parquet(files[1]).drop(columns="b").to_parquet(files[1], index=False)
    with pytest.raises(StudyError, match=r"part-1\.parquet does not have the columns of part-0\.parquet .*\bb\b"):
        study(tmp_path, hold)


@pytest.mark.parametrize("hold", ["rows", "cells"])
def test_a_column_that_changes_type(tmp_path: Path, hold: str) -> None:
    files = _write(tmp_path, panel())
    pd.read_parquet(files[2]).astype({"y": str}).to_parquet(files[2], index=False)
    with pytest.raises(StudyError, match=r"'y' holds text in part-2\.parquet and numbers in part-0\.parquet"):
        study(tmp_path, hold)
    pd.read_parquet(files[2]).assign(y=1).to_parquet(files[2], index=False)
    assert study(tmp_path, hold).paths.distinct() == 360  # whole numbers beside others are numbers


@pytest.mark.parametrize("hold", ["rows", "cells"])
def test_a_truncated_file(tmp_path: Path, hold: str) -> None:
    files = _write(tmp_path, panel())
    files[1].write_bytes(files[1].read_bytes()[:-200])
    with pytest.raises(StudyError, match=r"part-1\.parquet cannot be read as Parquet"):
        study(tmp_path, hold)


def test_a_file_damaged_inside(tmp_path: Path) -> None:
    files = _write(tmp_path, panel())
    content = bytearray(files[1].read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    files[1].write_bytes(bytes(content))
    with pytest.raises(StudyError, match=r"part-1\.parquet cannot be read"):
        study(tmp_path)


@pytest.mark.parametrize("hold", ["rows", "cells"])
def test_a_file_that_goes_midway(tmp_path: Path, hold: str) -> None:
    files = _write(tmp_path, panel())
    made = study(tmp_path, hold)
    files[1].unlink()
    with pytest.raises(ek.EvalkitError, match=r"part-1\.parquet"):
        ek.StaggeredRollout(weights="least_noise")(made, "a")


def test_a_relation_that_goes_midway() -> None:
    base = duckdb.connect()
    base.register("frame", panel())
    base.execute("CREATE TABLE p AS SELECT * FROM frame")
    made = study(base.table("p"))
    base.execute("DROP TABLE p")
    with pytest.raises(StudyError, match="the panel cannot be read"):
        ek.StaggeredRollout(weights="least_noise")(made, "a")


def test_too_little_memory(tmp_path: Path) -> None:
    _write(tmp_path, panel(people=24_000))
    with pytest.raises(StudyError, match=r"part-0\.parquet.* does not fit into memory='1MB'"):
        study(tmp_path, memory="1MB")


def test_keys_of_a_study_file(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    _write(tmp_path / "rows", panel())
    lines = ['[study]\npanel = "rows"\nunit = "id"\nperiod = "t"\ncluster = "site"', 'hold = "cells"\nmemory = "500MB"']
    more = '[outcomes.y]\nmatters = 0.2\n[components.a]\nreach = "can"\nexposure = "a"\n[components.b]\n'
    (tmp_path / "study.toml").write_text("\n".join([*lines, more]))
    made = ek.Study.load(tmp_path)
    assert (made.hold, made.memory, made.paths.distinct()) == ("cells", "500MB", 360)
    made.save(tmp_path / "again")
    again = ek.Study.load(tmp_path / "again")
    assert (again.hold, again.paths.n_units) == ("cells", made.paths.n_units)
    (tmp_path / "study.toml").write_text("\n".join([lines[0], 'hold = "sells"', more]))
    with pytest.raises(StudyError, match="hold = 'sells'"):
        ek.Study.load(tmp_path)
