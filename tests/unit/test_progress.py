"""Long calls say at which step they are, to whoever listens: also in another process, and to nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import progress
from evalkit.cli import screen


@pytest.fixture(scope="module")
def study() -> ek.Study:
    """Ten places, two components, eight periods."""
    rng, t = np.random.default_rng(4), np.tile(np.arange(8), 10)
    place = np.repeat(np.arange(10), 8)
    starts = {"nurse": np.array([3] * 4 + [99] * 6), "court": np.array([99] * 6 + [4] * 4)}
    on = {name: (t >= start[place]).astype(int) for name, start in starts.items()}
    frame = pd.DataFrame({"place": place, "t": t, "y": rng.normal(size=80) + on["nurse"], **on})
    return ek.Study(frame, unit="place", period="t", outcome="y", matters=0.5, components=list(starts))


def test_an_evaluation_names_each_component_and_step(study: ek.Study) -> None:
    heard: list[str] = []
    with progress.told(heard.append):
        ek.evaluate(study)
    assert heard[0] == "What can be told apart"
    for label in ("nurse", "court"):
        mine = [words for words in heard if words.startswith(label)]
        assert len(mine) >= 2 and any("comparing" in w for w in mine) and any("attacking" in w for w in mine)


def test_imputation_says_that_it_works(study: ek.Study) -> None:
    heard: list[str] = []
    with progress.told(heard.append):
        ek.Imputation()(study, "nurse")
    assert heard and all(words.startswith("Imputation") for words in heard)


def test_long_calls_beside_an_evaluation_say_where_they_are(study: ek.Study) -> None:
    heard: list[str] = []
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"id": np.arange(400), "got": rng.integers(0, 2, 400), "x": rng.normal(size=400)})
    people["kind"], people["y"] = np.where(people["x"] > 0, "high", "low"), rng.normal(size=400)
    crowd = ek.Study(people, unit="id", period=None, outcome="y", components=["got"], covariates=("x",))
    with progress.told(heard.append):
        ek.respecify(study)
        ek.plan_rollout([f"p{i}" for i in range(8)], [ek.Planned("nurse", 6, 14)], periods=(0, 23), effort=0.05)
        ek.FlexibleComparison(folds=2)(crowd, "got")
    for words in ("court: under other choices", "Looking for an order of starts", "got: learners, on people held out"):
        assert words in heard


def test_nobody_hears_what_nobody_asked_for(capsys: pytest.CaptureFixture[str], study: ek.Study) -> None:
    ek.Imputation()(study, "court")
    assert capsys.readouterr() == ("", "")


def test_steps_of_another_process_are_heard() -> None:
    heard: list[str] = []
    code = "from evalkit.progress import step; step('one\\nand a half'); step('two')"
    with progress.told(heard.append), progress.followed():
        subprocess.run([sys.executable, "-c", code], check=True)
    assert heard == ["one and a half", "two"]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(screen.Quiet, "on", True)
    yield


def test_piped_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.steps(2) as begin:
        begin("Reading")
        progress.step("the nurse")
        begin("Writing")
    said = capsys.readouterr()
    assert said.out == "" and [line.strip() for line in said.err.splitlines()] == ["Reading", "the nurse", "Writing"]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str], quiet: None) -> None:
    with screen.steps(1) as begin:
        begin("Reading")
        progress.step("the nurse")
    assert capsys.readouterr() == ("", "")


def test_a_file_that_grows_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.STEPS, str(tmp_path / "steps"))
    progress.step("first")
    progress.step("second")
    assert (tmp_path / "steps").read_text(encoding="utf-8") == "first\nsecond\n"
