"""Folders of synthetic partnerships: the committed ones are made again; nothing that estimates can reach the truth."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.cli import main
from evalkit.study.money import TABLES
from evalkit.synthetic import partnership, world
from evalkit.synthetic.settings import SPECS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "synthetic"
OPENERS = {"evalkit/cli/starters.py"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The realistic setting of every partnership, made now."""
    home = tmp_path_factory.mktemp("synthetic")
    for name in SPECS:
        partnership(name, "realistic", 1).write(home / name)
    return home


@pytest.mark.parametrize("name", tuple(SPECS))
def test_committed_folders_are_made_again(folders: Path, name: str) -> None:
    made = sorted(p.relative_to(folders / name) for p in (folders / name).rglob("*") if p.is_file())
    kept = sorted(p.relative_to(DATA / name) for p in (DATA / name).rglob("*") if p.is_file())
    assert made == kept
    for file in made:
        new, old = folders / name / file, DATA / name / file
        if file.suffix == ".parquet":  # its bytes hang on the library that writes them, its rows do not
            pd.testing.assert_frame_equal(pd.read_parquet(new), pd.read_parquet(old))
        else:
            assert new.read_bytes() == old.read_bytes(), f"{name}/{file} differs; run data/synthetic/make.py"
    assert sum(p.stat().st_size for p in (DATA / name).rglob("*") if p.is_file()) < 5_000_000


@pytest.mark.parametrize("name", tuple(SPECS))
def test_a_folder_gives_the_study_it_was_written_from(folders: Path, name: str) -> None:
    read, made = ek.Study.load(folders / name / "study.toml"), partnership(name, "realistic", 1).study
    assert read.paths.components == made.paths.components
    np.testing.assert_array_equal(read.paths.state[read.paths.path], made.paths.state[made.paths.path])
    np.testing.assert_array_equal(read.paths.reach[read.paths.path], made.paths.reach[made.paths.path])
    for outcome in made.outcomes:
        np.testing.assert_array_equal(read.values(outcome), made.values(outcome))
    assert [dict(c.card) for c in read.components] == [dict(c.card) for c in made.components]
    assert all(c.card for c in read.components)
    assert [str(e) for e in read.events] == [str(e) for e in made.events]
    for table in TABLES if made.money else ():
        pd.testing.assert_frame_equal(read.money.table(table), made.money.table(table), check_dtype=False)
    assert read.money is not None and made.money is not None


@pytest.mark.parametrize("name", tuple(SPECS))
def test_every_column_is_in_the_dictionary(folders: Path, name: str) -> None:
    words = pd.read_csv(folders / name / "dictionary.csv")
    assert words["meaning"].str.len().min() > 3
    described = set(zip(words["table"], words["column"], strict=True))
    for file in (p for p in (folders / name).iterdir() if p.suffix in (".csv", ".parquet") and p.stem != "dictionary"):
        frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
        assert {(file.stem, c) for c in frame.columns} <= described


@pytest.mark.parametrize("name", tuple(SPECS))
def test_columns_of_the_envelope_are_described_in_the_envelope(folders: Path, name: str) -> None:
    sealed = folders / name / "truth"
    words = pd.read_csv(sealed / "dictionary.csv")
    for table in ("effects", "regimes"):
        assert (
            words[words["table"] == table]["column"].tolist() == pd.read_csv(sealed / f"{table}.csv").columns.tolist()
        )


@pytest.mark.parametrize("name", tuple(SPECS))
def test_the_readme_names_every_file_and_the_command(folders: Path, name: str) -> None:
    said = (folders / name / "README.md").read_text(encoding="utf-8")
    there = [p.name for p in (folders / name).iterdir() if p.is_file() and p.name != "README.md"]
    assert all(f"`{file}`" in said or f'"{file}"' in said for file in there)
    assert f"evalkit synth {name} --setting realistic --seed 1 --out FOLDER" in said


def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    folder = partnership("young_people", "realistic", 1).write(tmp_path / "made").parent
    said = (folder / "README.md").read_text(encoding="utf-8")
    lines = said.partition("```python\n")[2].partition("```")[0]
    assert 'ek.report(evaluation, "report")' in lines  # which has tests of its own, and takes its time
    lines = lines.replace('ek.report(evaluation, "report")', "")
    ran = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True, check=True)
    assert "Therapist" in ran.stdout and "Value for money" in ran.stdout
    envelope = said.partition("`ek.synthetic.")[2].partition(".score(")[0]
    again = eval(f"ek.synthetic.{envelope}")
    assert again.said == json.loads((folder / "truth" / "settings.json").read_text(encoding="utf-8"))


def test_the_study_file_gives_nothing_away(folders: Path) -> None:
    for name in SPECS:
        for file in ("study.toml", "components.csv", "dictionary.csv"):
            said = (folders / name / file).read_text(encoding="utf-8").lower()
            assert not any(w in said for w in ("truth", "true zero", "does nothing", "changes nothing", "hidden"))


def strings_and_names(source: str) -> set[str]:
    """Names, attributes, imports and strings of a module, its docstrings left out."""
    tree = ast.parse(source)
    spoken = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken:
            found.add(node.value)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
    return found


def reaches_truth(source: str) -> bool:
    """Whether a module could open the envelope: it imports the partnerships, or names the folder or who opens it."""
    found = strings_and_names(source)
    opens = {"reveal_truth", "truth_for"} & found
    named = any(s.startswith("evalkit.synthetic") or "truth/" in s or s == "truth" for s in found)
    return bool(opens) or named


def test_no_estimating_code_can_reach_the_truth() -> None:
    wrong = []
    for path in sorted((ROOT / "evalkit").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("evalkit/synthetic/") or name in OPENERS | {"evalkit/__init__.py"}:
            continue
        if reaches_truth(path.read_text(encoding="utf-8")):
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from evalkit.synthetic import partnership", True),
        ("import evalkit.synthetic.truth", True),
        ("p.reveal_truth()", True),
        ("open(folder / 'truth' / 'effects.csv')", True),
        ("open('truth/effects.csv')", True),
        ("def f():\n    '''estimate - truth is the sum of contributions'''", False),
        ("x = estimate - value", False),
    ],
)
def test_the_search_sees_what_it_should(source: str, found: bool) -> None:
    assert reaches_truth(source) is found


WATCH = """
import sys
opened = []
looks = ("open", "os.listdir", "os.scandir")
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event in looks else None)
import evalkit as ek
study = ek.Study.load(sys.argv[1])
study.values()
ek.separability(study)
print("\\n".join(opened))
"""


def test_loading_a_study_never_opens_the_truth(folders: Path) -> None:
    file = folders / "young_people" / "study.toml"
    ran = subprocess.run([sys.executable, "-c", WATCH, str(file)], cwd=ROOT, capture_output=True, text=True, check=True)
    touched = [line for line in ran.stdout.splitlines() if str(folders) in line]
    assert touched and not any("truth" in line for line in touched)
    assert not any("truth" in str(p) for p in ek.Study.load(file).inputs)


def test_a_study_without_its_truth_is_the_same_study(folders: Path, tmp_path: Path) -> None:
    for file in (p for p in (folders / "carers").iterdir() if p.is_file()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    alone, beside = ek.Study.load(tmp_path / "study.toml"), ek.Study.load(folders / "carers" / "study.toml")
    assert ek.separability(alone).components.equals(ek.separability(beside).components)


def test_large_partnerships_are_written_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "PART", 400)
    big = partnership("rough_sleeping", "realistic", 5)
    assert big.parts == 5
    study = ek.Study.load(big.write(tmp_path / "big"))
    assert len(list((tmp_path / "big" / "panel").iterdir())) == 5
    people = pd.read_parquet(tmp_path / "big" / "people.parquet")
    assert len(people) == study.paths.n_units == 1640 and people["person_id"].is_unique
    claims, costs = pd.read_parquet(tmp_path / "big" / "claims.parquet"), pd.read_csv(tmp_path / "big" / "costs.csv")
    assert claims["person_id"].isin(people["person_id"]).all() and claims["person_id"].max() > 500_000
    once = costs.query("cost_type == 'set-up' and component_id == 'nurse'")
    assert once["level_id"].is_unique and set(once["amount_gbp"]) == {6_000}
    assert study.money is not None and len(study.money.claims) == len(claims)
    assert "`people.parquet`" in (tmp_path / "big" / "README.md").read_text(encoding="utf-8")
    effects = pd.read_csv(tmp_path / "big" / "truth" / "effects.csv")
    reached = effects.query("estimand == 'last_in' and population == 'reached' and outcome == 'settled'")
    whole = reached.set_index("component_set")["value"]
    assert 0.03 < whole["policy"] < 0.15 and whole["newsletter"] == 0
    regimes = pd.read_csv(tmp_path / "big" / "truth" / "regimes.csv")
    assert len(regimes) == 16 and regimes["settled"].is_monotonic_increasing is False
    with pytest.raises(ek.EvalkitError, match="too large for memory"):
        big.study  # noqa: B018


def test_the_command_writes_a_folder_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    arguments = ["synth", "young_people", "--setting", "hard", "--seed", "3", "--out", str(folder)]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None) and "sealed" in capsys.readouterr().out
    said = json.loads((folder / "truth" / "settings.json").read_text(encoding="utf-8"))
    assert (said["partnership"], said["setting"], said["seed"], said["knobs"]["gap"]) == ("young_people", "hard", 3, 2)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "not empty" in capsys.readouterr().err


def test_the_command_turns_knobs_and_the_readme_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, again = tmp_path / "made", tmp_path / "again"
    turned = ["--setting", "clean", "--seed", "2", "--size", "0.3", "--knob", "gap=1", "--knob", "movers=0.2"]
    with pytest.raises(SystemExit) as ended:
        main(["synth", "carers", *turned, "--out", str(folder)])
    assert ended.value.code in (0, None)
    said = (folder / "README.md").read_text(encoding="utf-8")
    command = said.partition("Made by `evalkit ")[2].partition("`")[0]
    with pytest.raises(SystemExit) as ended:
        main(command.replace("FOLDER", str(again)).split())
    assert ended.value.code in (0, None)
    for file in (p.relative_to(folder) for p in folder.rglob("*") if p.is_file()):
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file
    knobs = json.loads((folder / "truth" / "settings.json").read_text(encoding="utf-8"))["knobs"]
    assert (knobs["gap"], knobs["movers"], knobs["size"], knobs["tidy"]) == (1, 0.2, 0.3, True)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["synth", "--knobs"])
    assert ended.value.code in (0, None)
    assert "movers: share of the people who move" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["atlantis"], ["carers", "--setting", "easy"], ["carers", "--size", "0"], ["carers", "--knob", "gap=-1"]]
)
def test_the_command_refuses_in_words(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synth", *wrong, "--out", str(tmp_path / "made")])
    assert ended.value.code == 2 and "is not a choice" in capsys.readouterr().err
