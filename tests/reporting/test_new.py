"""`evalkit new --from`: a study proposed from a table, which passes `audit`, and every guess said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from benchmarks.files import CASES, people, pupils, schools, tried
from evalkit.cli import main, starters
from evalkit.study.proposal import propose


def called(*command: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(c) for c in command])
    return int(stopped.value.code or 0)


CHOSEN = (
    "CSV, semicolons and decimal commas", "CSV in cp1252 (older Excel)", "Excel, a second sheet of notes",
    "Stata, labelled Yes and No", "Percentages with their sign", "Months first, 02/01/2021",
    "Parquet, with the index of pandas", "CSV, headings with spaces around them",
    "Start dates, a column a component", "First period, empty for never", "People at one time, facts in words",
)  # fmt: skip


@pytest.mark.parametrize("case", [c for c in CASES if c.name in CHOSEN], ids=lambda c: c.name)
def test_a_file_becomes_a_study_with_the_same_numbers(tmp_path: Path, case) -> None:
    found = tried(case, tmp_path, quick=True)
    assert found["answered"] and found["same"] and not found["traceback"], found["said"]


def test_what_was_guessed_is_said(tmp_path: Path, capsys) -> None:
    pupils().to_csv(tmp_path / "pupils.csv", index=False)
    assert called("new", tmp_path / "study", "--from", tmp_path / "pupils.csv") == 0
    said = capsys.readouterr().out
    for words in ("unit = 'pupil_id'", "period = 'term'", "cluster = 'school'", "component 'tutoring'", "'reads_well'"):
        assert words in said
    made = ek.Study.load(tmp_path / "study")
    assert made.cluster == "school" and made.outcome().kind == "share" and made.level_of(made.components[0]) == "school"
    assert not (tmp_path / "study" / "plan.json").exists()


def test_columns_that_were_not_taken_are_named_and_a_mark_in_an_empty_column_is_no_component(tmp_path: Path) -> None:
    frame = schools().drop(columns=["Breakfast first", "Mentoring first"])
    frame = frame.assign(Visits=np.where(np.arange(len(frame)) % 3 == 0, "x", None), Note="as before", Empty=None)
    frame.to_csv(tmp_path / "a.csv", index=False)
    said = [g for g in propose(tmp_path / "a.csv").guesses if g.startswith("not used")]
    words = "not used: 'Visits' and 'Note'; where 'Visits' switches on, write 1 and 0: an empty cell says neither"
    assert said == [words]
    frame.drop(columns=["Visits", "Note"]).to_csv(tmp_path / "b.csv", index=False)
    assert not any(g.startswith("not used") for g in propose(tmp_path / "b.csv").guesses)


def test_a_terminal_is_asked_and_its_answers_are_taken(tmp_path: Path, monkeypatch) -> None:
    frame = schools().drop(columns=["Breakfast first", "Mentoring first"])
    frame.assign(Meals=np.arange(len(frame)) % 7).to_csv(tmp_path / "a.csv", index=False)
    answers = iter(["", "", "", "nothing like it", "Meals", "lower", "Breakfast"])
    monkeypatch.setattr("typer.prompt", lambda words, default: next(answers) or default)
    said: list[str] = []
    monkeypatch.setattr(starters, "say", lambda *lines: said.extend(lines))
    starters._from_table(tmp_path / "study", tmp_path / "a.csv", None, ask=True)
    made = ek.Study.load(tmp_path / "study")
    assert made.outcome().column == "Meals" and made.outcome().better == "lower"
    assert [c.name for c in made.components] == ["Breakfast"] and any("no column 'nothing like it'" in s for s in said)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(Breakfast=1, Mentoring=0), "Give the table of start dates too"),
        (lambda f: pd.concat([f, f]), "come together more than once"),
        (lambda f: f.drop(columns="Attendance score"), "No column|no column of numbers is left"),
        (
            lambda f: f.astype({"Attendance score": object}).replace({"Attendance score": {f.iloc[5, -1]: "<5"}}),
            "'Attendance score' would be one, but holds '<5' (row 5). Write plain numbers",
        ),
        (lambda f: pd.concat([f, f.iloc[[0]].assign(School=None)]), "'School' is empty in row 960"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_what_cannot_be_guessed_is_said_and_nothing_is_written(tmp_path: Path, capsys, change, words) -> None:
    table = change(schools().drop(columns=["Breakfast first", "Mentoring first"]))
    table.to_csv(tmp_path / "a.csv", index=False)
    assert called("new", tmp_path / "study", "--from", tmp_path / "a.csv") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert any(w in said for w in words.split("|")) and not (tmp_path / "study").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys) -> None:
    assert called("new", tmp_path / "study", "--from", tmp_path / "none.csv") == 2
    assert "There is no file" in capsys.readouterr().err
    assert called("new", tmp_path / "study", "--starts", tmp_path / "none.csv") == 2
    assert "--starts belongs to --from" in " ".join(capsys.readouterr().err.split())


def test_binary_outcomes_are_no_components(tmp_path: Path) -> None:
    pupils().to_csv(tmp_path / "pupils.csv", index=False)
    people().to_csv(tmp_path / "people.csv", index=False)
    assert [c.column for c in propose(tmp_path / "pupils.csv").components] == ["tutoring"]
    one = propose(tmp_path / "people.csv")
    assert one.period is None and [c.column for c in one.components] == ["programme"]
    assert one.covariates == ("region", "sex", "age") and one.outcomes[0].column == "wellbeing_score"


@pytest.mark.parametrize(
    ("column", "better"), [("absences", "lower"), ("Attendance score", "higher"), ("crime_rate", "lower")]
)
def test_which_way_is_better_is_guessed_from_the_name(tmp_path: Path, column: str, better: str) -> None:
    frame = schools().rename(columns={"Attendance score": column}).drop(columns=["Breakfast first", "Mentoring first"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert propose(tmp_path / "a.csv").outcomes[0].better == better


def monthly(written: str, first: object = None) -> pd.DataFrame:
    """Twelve schools over eighteen months, which are written in some way; with `first`, first periods in place of 0 and
    1, and that where there is none."""
    t, school = np.tile(np.arange(18), 12), np.repeat(np.arange(12), 18)
    start = np.array([6, 8, 10, 99])[school % 4]
    months = pd.Series([pd.Timestamp(2024 + m // 12, m % 12 + 1, 1) for m in t])
    score = 60 + 2 * (t >= start) + np.random.default_rng(1).normal(size=len(t)).round(3)
    frame = pd.DataFrame({"School": [f"School {s}" for s in school], "Month": months, "Score": score})
    frame["Tutoring"] = (t >= start).astype(int)
    frame["Month"] = frame["Month"].dt.strftime(written).astype(int)
    if first is not None:
        begun = frame[frame["Tutoring"] == 1].groupby("School")["Month"].min()
        given = frame["School"].map(begun)
        frame = frame.drop(columns="Tutoring").assign(first_treat=given if first == "gap" else given.fillna(first))
    return frame


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("written", "first"), [("%Y%m", None), ("%Y%m%d", None), ("%Y%m", 0), ("%Y%m", "gap")], ids=str
)
def test_months_that_are_written_as_whole_numbers_are_months(tmp_path: Path, written: str, first: object) -> None:
    """202412 comes before 202501; of first periods 0 and an empty cell are never."""
    monthly(written, first).to_csv(tmp_path / "a.csv", index=False)
    assert called("new", tmp_path / "study", "--from", tmp_path / "a.csv") == 0
    study = ek.Study.load(tmp_path / "study")
    assert (study.calendar.kind, study.calendar.gaps) == ("day" if "d" in written else "month", ())
    name = study.components[0].name
    plain = ek.Study(monthly("%Y%m%d").assign(Month=np.tile(np.arange(18), 12)), unit="School", period="Month",
                     outcome="Score", components=["Tutoring"])  # fmt: skip
    found, wanted = (ek.StaggeredRollout()(s, c).aggregate().value for s, c in ((study, name), (plain, "Tutoring")))
    assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("value", ["Autumn 2024", "2024/25", "2024-W01"])
def test_a_period_that_cannot_be_read_is_named(tmp_path: Path, value: str) -> None:
    frame = monthly("%Y%m").assign(pupil=np.repeat(np.arange(12), 18))
    frame["Month"] = [value if m == 202401 else f"{value} {m}" for m in frame["Month"]]
    frame.drop(columns="School").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ek.EvalkitError, match=f"'Month' is called like a period, and holds '{value}'"):
        propose(tmp_path / "a.csv")


def test_a_line_above_the_names_is_seen_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Report of schools,,,\n\n" + monthly("%Y%m").to_csv(index=False))
    with pytest.raises(ek.EvalkitError, match=r"holds values such as 'Month' \(row 0\).*the first line must hold"):
        propose(tmp_path / "a.csv")
