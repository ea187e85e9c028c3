"""What may leave: cells without too few people, which give the answers of the rows where nothing was withheld."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import evalkit as ek
from evalkit.cli.app import app
from evalkit.disclosure.cells import FEW, HANGS, compress
from evalkit.disclosure.rules import PROFILES
from evalkit.errors import StudyError
from evalkit.study.cellfile import KEY, PEOPLE, said_of
from tests.study.panels import apart, panel, study

LEAST = ek.StaggeredRollout(weights="least_noise")


def _whole(**more: object) -> ek.Study:
    """Twenty people of each kind in each place, so that nothing need be withheld."""
    frame = panel(gaps=False, people=480, sites=12, periods=6)
    frame["can"] = (frame["id"] // 12 % 2).astype(int)
    return study(frame, "rows", outcomes=[ek.Outcome("y", matters=0.2)], title="Whole", **more)


def test_cells_give_the_answers_of_rows(tmp_path: Path) -> None:
    rows = _whole()
    made = ek.compress(rows, tmp_path / "cells.parquet")
    assert (made.exact, made.cells) == (True, 24)
    cells = ek.Study.load(made.file)
    assert cells.title == "Whole"
    for design in (ek.StaggeredRollout(), LEAST, ek.TripleDifference(weights="least_noise"), ek.JointEventStudy()):
        assert apart(design(rows, "a").to_frame(), design(cells, "a").to_frame()) == []
    again = ek.Study(made.file, unit="id", period="t", cluster="site", outcome="y", components=list(rows.components))
    assert apart(LEAST(rows, "a").to_frame(), LEAST(again, "a").to_frame()) == []


def test_no_cell_of_few_leaves(tmp_path: Path) -> None:
    frame = panel(gaps=False, people=480, sites=12, periods=6)
    few = frame["site"] == "S03"
    frame = frame[~few | (frame["id"] < 7 + 12 * 15)]  # fifteen people of two kinds
    made = compress(study(frame, outcomes=["y"]), tmp_path / "cells.parquet")
    assert made.withheld[FEW] > 0
    left = pq.read_table(made.file).to_pandas()
    assert left[PEOPLE].min() >= PROFILES["acro"].count
    assert "S03" in set(frame["site"])
    assert not {"S03"} & set(left["site"]) or left.loc[left["site"] == "S03", PEOPLE].min() >= 10
    assert set(left["id"]) == set(range(made.cells))  # no id of a person, and no gap that says how many are missing
    assert not {"7", 7} & {v for v in said_of(made.file).get("people", [])}


def test_rare_events_and_rich_people_do_not_leave(tmp_path: Path) -> None:
    rows = panel(gaps=False, people=480, sites=12, periods=6).assign(z=lambda f: (f["id"] == 7).astype(float))
    made = compress(study(rows), tmp_path / "rare.parquet")
    assert made.withheld[HANGS] == 1  # one person of one cell has it
    money = rows.assign(z=np.where(rows["id"] == 7, 1e6, 1.0))
    paid = study(money, outcomes=[ek.Outcome("z", kind="money")])
    assert compress(paid, tmp_path / "rich.parquet").withheld[HANGS] == 1


def test_those_without_an_event_are_as_few_as_those_with_it(tmp_path: Path) -> None:
    """A cell in which all but one have it says of that one as much as one in which nobody else has."""
    rows = panel(gaps=False, people=480, sites=12, periods=6).assign(z=lambda f: (f["id"] != 7).astype(float))
    assert compress(study(rows), tmp_path / "nearly_all.parquet").withheld[HANGS] == 1


def test_differences_of_few_are_pooled(tmp_path: Path) -> None:
    frame = panel(gaps=False, people=480, sites=12, periods=6)
    frame["can"] = (frame["id"] // 12 % 4 == 0).astype(int)  # ten in each place, seen six times: nine less six
    made = study(frame, outcomes=["y"])
    file = compress(made, tmp_path / "cells.parquet")
    assert (file.pooled, file.exact) == (12, False)
    cells = ek.Study.load(file.file)
    own, left = (s.paths.spread.within(s.values("y")) for s in (made, cells))
    reached = made.paths.heads == 10
    assert np.allclose(own[reached].sum(axis=0), left[reached].sum(axis=0))
    assert np.allclose(left[reached], left[reached][0])
    assert np.array_equal(own[~reached], left[~reached])
    assert np.isfinite(LEAST(cells, "a").aggregate().value).all()


def test_counts_are_rounded_where_the_rules_round(tmp_path: Path) -> None:
    made = compress(_whole(settings={"disclosure": "nhs"}), tmp_path / "cells.parquet")
    assert set(pq.read_table(made.file).column(PEOPLE).to_numpy() % 5) == {0}


def test_no_count_is_found_from_what_leaves_rounded(tmp_path: Path) -> None:
    """8 of 23 is .3478260869..., of which no other count near is the denominator; what leaves fits every count near."""
    frame = panel(gaps=False, people=828, sites=12, periods=6)
    frame["y"] = (frame["y"] > frame["y"].median()).astype(int)
    rows = study(frame, "rows", outcomes=[ek.Outcome("y", kind="share", matters=0.2)], settings={"disclosure": "nhs"})
    made = compress(rows, tmp_path / "cells.parquet")
    assert made.rounded and not made.exact
    left = pq.read_table(made.file).to_pandas()
    for shown, value in left[[PEOPLE, "y"]].to_numpy().tolist():
        assert 25 <= shown < 50
        step = 0.1  # 2.5 of so many, to the next nice step
        assert value == pytest.approx(step * round(value / step))
        for n in range(int(shown) - 2, int(shown) + 3):
            assert abs(value - round(value * n) / n) <= step / 2 + 1e-12
    products = (np.vstack(left["#within:y"].to_numpy()) / left[[PEOPLE]].to_numpy()).ravel()
    digits = {f"{abs(v):.9e}"[3:11] for v in products[products != 0].tolist()}
    assert digits == {"00000000"}
    weighed = [LEAST(s, "a").average().value[0] for s in (rows, ek.Study.load(made.file))]
    assert weighed[0] == pytest.approx(weighed[1], abs=0.15) and weighed[0] != weighed[1]


def test_doors(tmp_path: Path) -> None:
    rows = _whole()
    file = ek.compress(rows, tmp_path / "cells.parquet").file
    with pytest.raises(StudyError, match="does not end in .parquet"):
        ek.compress(rows, tmp_path / "cells.csv")
    with pytest.raises(StudyError, match="already"):
        ek.compress(rows, file)
    with pytest.raises(StudyError, match="No cell may leave"):
        compress(rows, tmp_path / "none.parquet", dataclasses.replace(PROFILES["acro"], count=1000))
    table = pq.read_table(file)
    about = json.loads(table.schema.metadata[KEY])
    other = tmp_path / "other.parquet"
    for change, words in (({"version": 99}, "version 99"), ({"outcomes": ["q"]}, "does not hold the cells")):
        known = {**table.schema.metadata, KEY: json.dumps({**about, **change}).encode()}
        pq.write_table(table.replace_schema_metadata(known), other)
        with pytest.raises(StudyError, match=words):
            ek.Study.load(other)
    for said in (b"[" * 100_000, b"[1]", b"{", b'{"study": [1]}', b'{"study": {"study.toml": 5}}'):
        pq.write_table(table.replace_schema_metadata({KEY: said}), other)
        with pytest.raises(StudyError, match="no file of cells with a study in it"):
            ek.Study.load(other)
    pd.DataFrame({"x": [1]}).to_parquet(other)
    with pytest.raises(StudyError, match="no file of cells"):
        ek.Study.load(other)
    with pytest.raises(StudyError, match="cannot be read"):
        (tmp_path / "broken.parquet").write_bytes(b"PAR1")
        ek.Study.load(tmp_path / "broken.parquet")


def test_the_command(tmp_path: Path) -> None:
    _whole().save(tmp_path / "study")
    run = CliRunner().invoke(app, ["compress", str(tmp_path / "study"), "--out", str(tmp_path / "cells.parquet")])
    assert run.exit_code == 0, run.output
    assert "Wrote" in run.output
    assert "Answers are those of the rows" in run.output
    audit = CliRunner().invoke(app, ["audit", str(tmp_path / "cells.parquet")])
    assert audit.exit_code == 0, audit.output
    assert "can be told apart" in audit.output


def test_a_column_of_the_people_is_said_to_stand_there(tmp_path: Path) -> None:
    frame = panel(gaps=False, people=480, sites=12, periods=6)
    people = frame[["id"]].drop_duplicates().assign(can=lambda t: t["id"] // 12 % 2)
    parts = [ek.Component("a", exposure="a", reach="can")]
    apart_from_it = ek.Study(frame.drop(columns="can", errors="ignore"), unit="id", period="t", cluster="site",
                             outcome="y", components=parts, people=people)  # fmt: skip
    with pytest.raises(StudyError, match="'can' stands in the table of people, and is needed as a column of the panel"):
        ek.compress(apart_from_it, tmp_path / "cells.parquet")
