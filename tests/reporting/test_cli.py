"""The command: what it prints, where, and how it says that something cannot be used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit
from evalkit.cli import main
from evalkit.cli.before import show_separability
from evalkit.cli.findings import show_verdicts
from evalkit.cli.reports import STUDIES, find_study
from evalkit.cli.starters import write_starter
from evalkit.reporting.formats import make_notebook, run_notebook
from evalkit.show.tables import display_width
from tests.reporting import road_fixture as road
from tests.reporting.conftest import Built


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"evalkit {evalkit.__version__}\n"


def test_new_writes_a_study_that_can_be_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert call("new", folder) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["adoption.csv", "panel.csv", "study.toml"]
    said = capsys.readouterr().out
    assert all(f"evalkit {word} {folder}" in said for word in ("audit", "plan", "run"))
    assert call("audit", folder / "study.toml") == 0
    said = capsys.readouterr()
    assert "can be told apart" in said.out and "cannot be tested" in said.out
    assert "Traceback" not in said.err


def test_the_tables_of_a_new_study_are_made_up_as_said(tmp_path: Path) -> None:
    """Helpline: 3 points from its first month; visits: nothing."""
    rng = np.random.default_rng(7)
    names = np.array([f"Borough {i:02d}" for i in range(1, 25)])
    months = pd.period_range("2023-01", periods=24, freq="M").astype(str).to_numpy()
    place, time = np.arange(24), np.arange(24)
    helpline = np.where(place % 2 == 0, 8 + (place // 2) % 6, 99)
    visits = np.where(place % 3 == 0, 10 + (place // 3) % 5, 99)
    on = time[None, :] >= helpline[:, None]
    season = 1.5 * np.sin(2 * np.pi * time / 12)
    score = 60 + rng.normal(0, 4, (24, 1)) + season + 3.0 * on + rng.normal(0, 1.0, (24, 24))
    file = write_starter(tmp_path)
    panel, adoption = (pd.read_csv(file.parent / f"{name}.csv") for name in ("panel", "adoption"))
    assert panel["borough"].tolist() == np.repeat(names, 24).tolist()
    assert panel["month"].tolist() == np.tile(months, 24).tolist()
    assert panel["wellbeing"].tolist() == score.ravel().round(2).tolist()
    assert panel["helpline"].tolist() == on.ravel().astype(int).tolist()
    begun = visits < 99
    assert adoption["level_id"].tolist() == names[begun].tolist()
    assert adoption["start"].tolist() == months[visits[begun]].tolist() and adoption["end"].isna().all()


def test_audit_opens_no_outcome(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("new", tmp_path / "mine")
    panel = tmp_path / "mine" / "panel.csv"
    lines = [line.split(",") for line in panel.read_text(encoding="utf-8").splitlines()]
    panel.write_text(
        "\n".join(",".join([a, b, "wellbeing" if i == 0 else "text", d]) for i, (a, b, _, d) in enumerate(lines))
    )
    capsys.readouterr()
    assert call("audit", tmp_path / "mine") == 0
    assert call("run", tmp_path / "mine", "--out", tmp_path / "out") == 2
    assert "wellbeing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["audit", "run"])
def test_a_missing_study_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert call(command, tmp_path / "none.toml") == 2
    said = capsys.readouterr()
    assert "There is no study file" in " ".join(said.err.split())
    assert "Traceback" not in said.err and said.out == ""


def test_a_misspelt_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("new", tmp_path / "mine")
    file = tmp_path / "mine" / "study.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("better =", "beter ="), encoding="utf-8")
    assert call("audit", file) == 2
    assert "beter" in capsys.readouterr().err


def test_new_never_writes_over_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    assert call("new", tmp_path) == 2
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_out_cannot_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("new", tmp_path / "mine")
    (tmp_path / "taken").write_text("")
    assert call("run", tmp_path / "mine", "--out", tmp_path / "taken" / "deeper") == 2
    assert "is a file" in " ".join(capsys.readouterr().err.split())


def test_unknown_options_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "x", "--colour", "red") == 2
    assert "--colour" in capsys.readouterr().err


def test_debug_shows_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(evalkit.EvalkitError, match="no study file"):
        main(["audit", str(tmp_path / "none.toml"), "--debug"])


def test_verdicts_fit_eighty_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = road.evaluation()
    show_verdicts(found.study, found.verdicts, found.effects)
    said = capsys.readouterr().out
    assert max(display_width(line.rstrip()) for line in said.splitlines()) <= 80
    for label in ("Zero tolerance", "● Shown", "∞ Cannot", "– Not tested", "In one breath:"):
        assert label in said


def test_separability_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_separability(road.study(), road.separability())
    said = capsys.readouterr().out
    assert "only as a swap" in said and "What would let us tell: Start zero tolerance" in said


def test_demo_finds_the_study_that_comes_with_evalkit() -> None:
    for name in STUDIES:
        file = find_study(name)
        assert file.name == "study.toml" and list(file.parent.glob("panel.*"))
    with pytest.raises(evalkit.EvalkitError, match="moon"):
        find_study("moon")


def test_the_command_starts_quickly_and_without_the_heavy_packages() -> None:
    code = "import sys, evalkit.cli; print(sorted({'matplotlib', 'scipy', 'pandas', 'nbclient'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "evalkit: stopped. Nothing that was there before was changed."),
        (OSError(28, "No space left on device", "x.csv"), 2, "could not be written: No space left on device (x.csv)."),
        (
            PermissionError(13, "Permission denied", "[b]/\x1b"),
            2,
            "could not be written: Permission denied ([b]/\ufffd).",
        ),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    error: BaseException, code: int, words: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("evalkit.cli.starters.write_starter", refuse)
    assert call("new", tmp_path / "mine") == code
    said = capsys.readouterr()
    assert words in " ".join(said.err.split()) and "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_level_that_is_none_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_starter(tmp_path / "mine")
    assert call(command, tmp_path / "mine", "--out", tmp_path / "out", "--level", "nan") == 2
    assert "not a confidence level" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["new", "synth", "plan", "run", "report", "verify", "sign"])
def test_no_command_writes_where_nobody_may(
    command: str, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Path(shutil.copytree(built.study.parents[1], tmp_path / "all")) / "reports" / "second"
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    make = Path.mkdir

    def refuse(place: Path, *given: object, **options: object) -> None:
        if place.resolve().is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(place))
        make(place, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("evalkit.reporting.signing._ssh", signed)
    study = built.study
    given = {
        "new": [tmp_path / "x"], "synth": ["carers", "--out", tmp_path / "x"], "run": [study, "--out", tmp_path / "x"],
        "plan": [study, "--out", tmp_path / "p.json"], "report": [report, "--to", "html"], "verify": [report],
        "sign": [report, "--key", study],
    }  # fmt: skip
    assert call(command, *given[command]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Permission denied" in said and "Traceback" not in said
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def signed(*words: str) -> subprocess.CompletedProcess[bytes]:
    """What OpenSSH does, without a key."""
    Path(f"{words[-1]}.sig").write_bytes(b"x")
    return subprocess.CompletedProcess([], 0, b"", b"")


def test_a_kernel_that_is_killed_is_said_in_words(tmp_path: Path) -> None:
    source = "# %%\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    made = make_notebook("x.toml", level=0.95, seed=0, title="x", source=source)
    with pytest.raises(evalkit.EvalkitError, match="was ended from outside, or could not start: .* too little memory"):
        run_notebook(made, tmp_path)


def test_a_warning_is_said_in_words(tmp_path: Path) -> None:
    """Without the line of code that gave it, and without what a label would do to the terminal."""
    rows = [(p, m, int(p < 3 and m > 2), p + m) for p in range(6) for m in (1, 2, 3, 4, 9)]
    pd.DataFrame(rows, columns=["place", "month", "a", "y"]).to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "study.toml").write_text(
        '[study]\ntitle = "Gaps"\npanel = "panel.csv"\nunit = "place"\nperiod = "month"\n'
        '[outcomes.y]\nkind = "score"\n[components.a]\nexposure = "a"\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", "from evalkit.cli import main; main()", "audit", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "evalkit, note: " in done.stderr
    assert ".py" not in done.stderr and "Warning" not in done.stderr
