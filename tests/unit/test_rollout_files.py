"""The file of a rollout and its command: what is read, what is refused, and that nothing is written half."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import EvalkitError
from evalkit.rollouts.file import is_rollout, read_rollout

GOOD = """
[rollout]
title = "Seven towns"
places = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]
periods = ["2027-01", "2028-12"]
window = 4
seed = 2
effort = 0.05
[noise]
people = 30
[components.a]
wanted = 0.1
[components.b]
latest = "2028-06"
[components.b.fixed]
p1 = "2027-09"
"""


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "rollout.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_a_file_is_planned_and_written_in_one_step(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    done = CliRunner().invoke(app, ["plan", str(file), "--out", str(tmp_path / "made")])
    assert done.exit_code == 0, done.output
    made = {p.name for p in (tmp_path / "made").iterdir()}
    assert made == {
        "schedule.csv",
        "power.csv",
        "rivals.csv",
        "stress.csv",
        "plan.html",
        "allocation.toml",
        "adoption.csv",
    }
    page = (tmp_path / "made" / "plan.html").read_text()
    assert "Seven towns" in page and "2027-09" in page and "script" not in page
    register = pd.read_csv(tmp_path / "made" / "adoption.csv")
    assert register[["component", "level_id", "start"]].to_numpy().tolist().count(["b", "p1", "2027-09"]) == 1
    assert len(register) == 14


def test_what_is_impossible_writes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD.replace('latest = "2028-06"', 'earliest = "2027-08"\nlatest = "2027-09"'))
    done = CliRunner().invoke(app, ["plan", str(file), "--out", str(tmp_path / "made")])
    assert done.exit_code == 2 and [p.name for p in tmp_path.iterdir()] == ["rollout.toml"]
    assert not read_rollout(file).schedule.size


def test_a_plan_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    done = CliRunner().invoke(app, ["plan", str(file), "--out", str(file)])
    assert done.exit_code == 2 and file.read_text() == GOOD


def test_places_may_be_a_table(tmp_path: Path) -> None:
    pd.DataFrame({"place": [f"p{i}" for i in range(7)], "people": [30, 20, 10, 30, 40, 20, 10], "young": 0.5}).to_csv(
        tmp_path / "places.csv", index=False
    )
    named = '["p0", "p1", "p2", "p3", "p4", "p5", "p6"]'
    text = GOOD.replace(named, '"places.csv"').replace("wanted = 0.1", 'reach = "young"')
    plan = read_rollout(written(tmp_path, text))
    assert plan.brief.people.tolist() == [30, 20, 10, 30, 40, 20, 10] and (plan.brief.share[:, 0] == 0.5).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe[rollout]", "not TOML"),
        ("[rollout\nplaces = 3", "not TOML"),
        ("[rollout]\n", "no places"),
        (GOOD.replace("window = 4", "windw = 4"), "Did you mean 'window'"),
        (GOOD.replace("window = 4", 'window = "four"'), "window='four'"),
        (GOOD.replace("seed = 2", "seed = -2"), "seed=-2"),
        (GOOD.replace('["2027-01", "2028-12"]', '"2027-01"'), "periods"),
        (GOOD.replace("wanted = 0.1", 'wanted = "much"'), "wanted='much'"),
        (GOOD.replace("wanted = 0.1", "wants = 0.1"), "Did you mean 'wanted'"),
        (GOOD.replace('p1 = "2027-09"', 'p9 = "2027-09"'), "Unknown place 'p9'"),
        (GOOD.replace('p1 = "2027-09"', 'p1 = "2031-09"'), "2031-09"),
        (GOOD.replace("people = 30", 'people = "many"'), "people='many'"),
        (GOOD.replace("people = 30", "peple = 30"), "Did you mean 'people'"),
        (GOOD.replace("[noise]", "[nois]"), "Did you mean 'noise'"),
        (GOOD.split("[components.a]")[0], "no component"),
        (GOOD.replace('["p0", "p1", "p2", "p3", "p4", "p5", "p6"]', '"none.csv"'), "no file"),
        (GOOD.replace('["p0", "p1", "p2", "p3", "p4", "p5", "p6"]', "7"), "places=7"),
        (GOOD.replace("[rollout]", "components = 3\n[rollout]").split("[components.a]")[0], "components is no table"),
        (GOOD.replace("seed = 2", 'together = [["a", "c"]]'), "together names 'c'"),
        (GOOD.replace("seed = 2", 'now = "1999-01"'), "1999-01"),
        (GOOD.replace("people = 30", 'outcome = "settled"'), "names outcome, but no study"),
        ("a = " + "[" * 100_000, "is not TOML that can be read"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path: Path, text: str | bytes, words: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(EvalkitError, match=words.replace("[", r"\[")):
        read_rollout(file)
    done = CliRunner().invoke(app, ["plan", str(file), "--out", str(tmp_path / "made")])
    assert done.exit_code == 2 and [p.name for p in tmp_path.iterdir()] == ["rollout.toml"]


def test_a_study_file_is_no_rollout(tmp_path: Path) -> None:
    assert not is_rollout(written(tmp_path, "[study]\ntitle = 'x'\n")) and not is_rollout(tmp_path)
    assert is_rollout(written(tmp_path, GOOD))


def test_a_level_that_no_rollout_is_planned_for_is_refused(tmp_path: Path) -> None:
    """It had been taken without a word, and everything said for 95%."""
    file = written(tmp_path, GOOD)
    done = CliRunner().invoke(app, ["plan", str(file), "--level", "0.9", "--out", str(tmp_path / "made")])
    assert done.exit_code == 2 and "is for a" in done.output
    assert not (tmp_path / "made").exists()
