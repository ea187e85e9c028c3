"""Thirty-odd files as people have them, through `evalkit new --from`, `audit` and `run`: `python benchmarks/files.py`.

Every file is written from the same few clean tables, whose answers are known from frames in memory. `answered` says
that each command ended with 0, `same` that the study made from the file gives the numbers of the frame, `report`
whether the report's verdicts, estimates and ranges are those of an evaluation of the frame (1, 0; -1: no report),
`traceback` that something else than words was said; `new`, `audit` and `run` are exit codes, -1 where not called.
With --quick only `new`, `audit` and the comparison of numbers are run; --resume goes on where runs are lacking.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import evalkit as ek
from evalkit.cli import main

RESULTS = Path(__file__).parent / "results" / "files.csv"
NAMES = ("Ashby", "Brook End", "Crèche Nord", "Dene", "Étoile", "Fairfield", "Grove", "Holly Bank", "Ings", "Júlia")
Writer = Callable[[pd.DataFrame, Path], "Path | tuple[Path, Path]"]


def schools(months: int = 24, seed: int = 3) -> pd.DataFrame:
    """40 schools by month: breakfast adds 3 points where and when it is on, mentoring adds none."""
    rng = np.random.default_rng(seed)
    names = [f"{NAMES[i % 10]} {i // 10 + 1}" for i in range(40)]
    rows = pd.DataFrame({"School": np.repeat(names, months), "Month": np.tile(np.arange(months), 40)})
    at = np.repeat(np.arange(40), months)
    first = {"Breakfast": np.where(np.arange(40) % 3 < 2, 8 + np.arange(40) % 9, 99),
             "Mentoring": np.where(np.arange(40) % 2 == 0, 6 + (np.arange(40) * 7) % 11, 99)}  # fmt: skip
    for name, start in first.items():
        rows[name] = (rows["Month"].to_numpy() >= start[at]).astype(int)
        rows[f"{name} first"] = start[at]
    noise = rng.normal(0, 2, len(rows)) + rng.normal(0, 4, 40)[at] + rng.normal(0, 1, months)[rows["Month"]]
    rows["Attendance score"] = (60 + noise + 3 * rows["Breakfast"]).round(2)
    rows["Month"] = [f"{2021 + m // 12}-{m % 12 + 1:02d}" for m in rows["Month"]]
    return rows


def people(seed: int = 5) -> pd.DataFrame:
    """900 people at one time, in words: a programme that adds 2 to a score, given more often in the North."""
    rng = np.random.default_rng(seed)
    region, sex = rng.choice(["North", "South", "Midlands"], 900), rng.choice(["woman", "man"], 900)
    age = rng.integers(18, 66, 900)
    got = rng.random(900) < np.where(region == "North", 0.5, 0.25)
    score = 20 + 2 * got + 0.1 * age + (region == "North") * 3 + rng.normal(0, 3, 900)
    table = {"person_id": [f"{i:04d}" for i in range(900)], "region": region, "sex": sex, "age": age,
             "programme": got.astype(int), "wellbeing_score": score.round(2)}  # fmt: skip
    return pd.DataFrame(table)


def pupils(seed: int = 9) -> pd.DataFrame:
    """600 pupils in 30 schools by term, ids with noughts before them; tutoring adds 0.12 to the share that reads."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"pupil_id": np.repeat([f"{i:05d}" for i in range(600)], 8), "term": np.tile(np.arange(1, 9), 600)}
    )
    school = np.repeat(np.arange(600) % 30, 8)
    rows["school"] = [f"S{s:02d}" for s in school]
    rows["tutoring"] = ((school % 2 == 0) & (rows["term"] >= 3 + school % 4)).astype(int)
    rows["reads_well"] = (rng.random(len(rows)) < 0.4 + 0.12 * rows["tutoring"] + 0.1 * (school % 3 == 0)).astype(int)
    return rows


@dataclass(frozen=True)
class Case:
    """A file: what it is, how it is written, and the study of the clean frame that it should equal.

    base: the clean table. keys: what a Study of it in memory is given. renamed: components as the file calls them.
    """

    name: str
    write: Writer
    base: str = "schools"
    keys: Mapping[str, object] = field(default_factory=dict)
    components: tuple[str, ...] = ("Breakfast", "Mentoring")
    tolerance: float = 1e-9


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Schools as most people would send them."""
    return frame.drop(columns=[c for c in frame if c.endswith(" first")])


def text(**how: object) -> Writer:
    def write(frame: pd.DataFrame, home: Path) -> Path:
        file = home / str(how.get("name", "attendance.csv"))
        plain(frame).to_csv(file, index=False, sep=str(how.get("sep", ",")), encoding=str(how.get("encoding", "utf-8")),
                            decimal=str(how.get("decimal", ".")))  # fmt: skip
        return file

    return write


def changed(change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "attendance.csv") -> Writer:
    def write(frame: pd.DataFrame, home: Path) -> Path:
        file, table = home / name, change(plain(frame))
        if file.suffix in (".xlsx", ".ods"):
            table.to_excel(file, index=False, sheet_name="Attendance")
        elif file.suffix == ".parquet":
            table.to_parquet(file, index=False)
        elif file.suffix == ".feather":
            table.to_feather(file)
        elif file.suffix == ".dta":
            _stata(table, file)
        elif file.suffix == ".sav":
            import pyreadstat

            pyreadstat.write_sav(table.rename(columns=lambda c: c.replace(" ", "_")), str(file))
        else:
            table.to_csv(file, index=False)
        return file

    return write


def _stata(table: pd.DataFrame, file: Path) -> None:
    how = {c: "tm" for c in table if table[c].dtype.kind == "M"}
    table = table.rename(columns=lambda c: c.replace(" ", "_"))
    table.to_stata(file, write_index=False, convert_dates=how or None, version=118)


def dated(form: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f.assign(Month=pd.to_datetime(f["Month"]).dt.strftime(form))


def stamped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(Month=pd.to_datetime(frame["Month"]))


def worded(on: object, off: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f.assign(**{c: np.where(f[c] == 1, on, off) for c in ("Breakfast", "Mentoring")})


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """0 and 1 with the labels No and Yes, as Stata keeps them."""
    kinds = pd.CategoricalDtype(["No", "Yes"])
    return stamped(frame).assign(
        **{c: pd.Categorical.from_codes(frame[c], dtype=kinds) for c in ("Breakfast", "Mentoring")}
    )


def gz(frame: pd.DataFrame, home: Path) -> Path:
    file = home / "attendance.csv.gz"
    with gzip.open(file, "wt", encoding="utf-8") as out:
        plain(frame).to_csv(out, index=False)
    return file


def counted(frame: pd.DataFrame, home: Path) -> Path:
    plain(frame).to_csv(home / "attendance.csv")
    return home / "attendance.csv"


def indexed(frame: pd.DataFrame, home: Path) -> Path:
    """Schools and months as the levels of an index, beside one that counts rows."""
    table = plain(frame).set_index(["School", "Month"], append=True)
    table.to_parquet(home / "attendance.parquet", index=True)
    return home / "attendance.parquet"


def two_sheets(frame: pd.DataFrame, home: Path) -> Path:
    file = home / "attendance.xlsx"
    with pd.ExcelWriter(file) as book:
        plain(frame).to_excel(book, index=False, sheet_name="Attendance")
        pd.DataFrame({"Notes": ["sent by the office", "not for publication"]}).to_excel(
            book, index=False, sheet_name="Notes"
        )
    return file


def with_starts(kind: str, form: str = "%Y-%m") -> Writer:
    """The panel without its components, and a table of start dates: "wide" or "long"."""

    def write(frame: pd.DataFrame, home: Path) -> tuple[Path, Path]:
        panel, months = home / "attendance.csv", sorted(set(frame["Month"]))
        plain(frame).drop(columns=["Breakfast", "Mentoring"]).to_csv(panel, index=False)
        one = frame.drop_duplicates("School").set_index("School")
        first = pd.DataFrame({c: one[f"{c} first"].map(lambda m: pd.Timestamp(months[m]) if m < 99 else pd.NaT)
                              for c in ("Breakfast", "Mentoring")})  # fmt: skip
        said = first.apply(lambda c: c.dt.strftime(form))
        if kind == "wide":
            file = home / "starts.xlsx"
            said.rename(columns=lambda c: f"{c} start date").reset_index().to_excel(file, index=False)
        else:
            file = home / "starts.csv"
            table = said.melt(ignore_index=False, var_name="Component", value_name="Start date").dropna().reset_index()
            table[["Component", "School", "Start date"]].to_csv(file, index=False)
        return panel, file

    return write


def first_treat(never: object, dates: bool = False) -> Writer:
    """One component as other packages take it: the first period in a column."""

    def write(frame: pd.DataFrame, home: Path) -> Path:
        months = sorted(set(frame["Month"]))
        first = frame["Breakfast first"].map(lambda m: (months[m] if dates else m + 1) if m < 99 else never)
        table = plain(frame).drop(columns=["Breakfast", "Mentoring"]).assign(first_treat=first)
        table["Month"] = table["Month"] if dates else table["Month"].map({m: i + 1 for i, m in enumerate(months)})
        table.to_csv(home / "attendance.csv", index=False)
        return home / "attendance.csv"

    return write


def percent(column: str, sign: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        said = [f"{v:.2f}{sign}" for v in frame["Attendance score"]]
        return frame.drop(columns="Attendance score").assign(**{column: said})

    return change


FRAMES: Mapping[str, Callable[[], pd.DataFrame]] = {"schools": schools, "pupils": pupils, "people": people}
SHARE = {"kind": "share", "scale": 0.01}
CASES = (
    Case("CSV, commas", text()),
    Case("CSV, semicolons", text(sep=";")),
    Case("CSV, tabs", text(sep="\t", name="attendance.tsv")),
    Case("CSV, bars", text(sep="|", name="attendance.txt")),
    Case("CSV with a byte-order mark", text(encoding="utf-8-sig")),
    Case("CSV in UTF-16, tabs (Unicode text of Excel)", text(encoding="utf-16", sep="\t", name="attendance.txt")),
    Case("CSV in cp1252 (older Excel)", text(encoding="cp1252")),
    Case("CSV, semicolons and decimal commas", text(sep=";", decimal=",")),
    Case("CSV packed by gzip", gz),
    Case("CSV with a column that counts rows", counted),
    Case("CSV, headings with spaces around them", changed(lambda f: f.rename(columns=lambda c: f" {c} "))),
    Case("Excel", changed(lambda f: f, "attendance.xlsx")),
    Case("Excel, dates as dates", changed(stamped, "attendance.xlsx")),
    Case("Excel, a second sheet of notes", two_sheets),
    Case("OpenDocument", changed(lambda f: f, "attendance.ods")),
    Case("Stata, months as %tm", changed(stamped, "attendance.dta")),
    Case("Stata, labelled Yes and No", changed(labelled, "attendance.dta")),
    Case("SPSS", changed(lambda f: f, "attendance.sav")),
    Case("Parquet", changed(lambda f: f, "attendance.parquet")),
    Case("Parquet, with the index of pandas", indexed),
    Case("Feather", changed(lambda f: f, "attendance.feather")),
    Case("Yes and No", changed(worded("Yes", "No"))),
    Case("Y and N in Excel", changed(worded("Y", "N"), "attendance.xlsx")),
    Case("TRUE and FALSE", changed(worded("TRUE", "FALSE"))),
    Case("Percentages with their sign", changed(percent("Attendance", "%")), keys=SHARE),
    Case("Percentages without", changed(percent("attendance_pct", "")), keys=SHARE),
    Case("Days first, 01/02/2021", changed(dated("%d/%m/%Y"))),
    Case("Months first, 02/01/2021", changed(dated("%m/%d/%Y"))),
    Case("German dates, 01.02.2021", changed(dated("%d.%m.%Y"))),
    Case("Months in words, Feb 2021", changed(dated("%b %Y"))),
    Case("Start dates, a column a component", with_starts("wide", "%d/%m/%Y")),
    Case("Start dates, a row a start", with_starts("long")),
    Case("First period, 0 for never", first_treat(0), components=("Breakfast",)),
    Case("First period, empty for never", first_treat(np.nan, dates=True), components=("Breakfast",)),
    Case("People in schools, ids such as 00042", changed(lambda f: f, "pupils.csv"), "pupils"),
    Case("People at one time, facts in words", changed(lambda f: f, "people.csv"), "people"),
)  # fmt: skip


def expected(case: Case, frame: pd.DataFrame) -> ek.Study:
    """The study of the clean frame."""
    if case.base == "people":
        return ek.Study(frame, unit="person_id", period=None, outcome="wellbeing_score", components=["programme"],
                        covariates=("region", "sex", "age"))  # fmt: skip
    if case.base == "pupils":
        return ek.Study(frame, unit="pupil_id", period="term", cluster="school", outcome="reads_well", kind="share",
                        components=["tutoring"])  # fmt: skip
    frame = frame.assign(**{"Attendance score": frame["Attendance score"] * case.keys.get("scale", 1.0)})
    return ek.Study(frame, unit="School", period="Month", outcome="Attendance score", components=list(case.components),
                    kind=str(case.keys.get("kind", "score")))  # fmt: skip


def answers(study: ek.Study) -> np.ndarray:
    """Estimates and standard errors of every component, by one design."""
    rows = []
    for c in study.components:
        design = ek.MatchedComparison() if study.period is None else ek.StaggeredRollout()
        est = design(study, c.name)
        table = (est if study.period is None else est.aggregate("simple")).to_frame()
        rows += [float(table["estimate"].iloc[0]), float(table["std_error"].iloc[0])]
    return np.array(rows)


@cache
def evaluated(base: str, kind: str, components: tuple[str, ...]) -> pd.DataFrame:
    """The verdicts on the clean frame, whatever file it was written to."""
    case = next(c for c in CASES if (c.base, kind_of(c), c.components) == (base, kind, components))
    return ek.evaluate(expected(case, FRAMES[base]())).verdicts


def kind_of(case: Case) -> str:
    return str(case.keys.get("kind", "score"))


def as_reported(case: Case, report: Path) -> bool:
    """Whether a report's verdicts, estimates and ranges are those of the clean frame."""
    found, wanted = pd.read_csv(report / "verdicts.csv"), evaluated(case.base, kind_of(case), case.components)
    numbers = ["estimate", "conf_low", "conf_high"]
    alike = np.allclose(found[numbers], wanted[numbers].astype(float), rtol=1e-6, atol=1e-9, equal_nan=True)
    return list(found["verdict"]) == list(wanted["verdict"]) and alike


def spoken(*command: str) -> tuple[int, str]:
    """Exit code of a command, and all that it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(command)
        except SystemExit as stop:
            return int(stop.code or 0), said.getvalue()
        except BaseException:
            return 99, said.getvalue() + traceback.format_exc()
    return 0, said.getvalue()


def tried(case: Case, home: Path, quick: bool) -> dict[str, object]:
    """One file through the commands, and its numbers beside those of the frame."""
    frame = FRAMES[case.base]()
    files = case.write(frame, home)
    table, *starts = files if isinstance(files, tuple) else (files,)
    study = home / "study"
    commands = {"new": ["new", str(study), "--from", str(table), *(a for s in starts for a in ("--starts", str(s)))],
                "audit": ["audit", str(study)]}  # fmt: skip
    if not quick:
        commands["run"] = ["run", str(study), "--out", str(home / "report")]
    codes, words = {"new": -1, "audit": -1, "run": -1}, ""
    for name, command in commands.items():
        codes[name], said = spoken(*command)
        words += said
    worst = np.nan
    if codes["new"] == 0:
        found, wanted = answers(ek.Study.load(study)), answers(expected(case, frame))
        worst = float(np.abs(found - wanted).max()) if len(found) == len(wanted) else np.inf
    asked = [codes[name] for name in commands]
    return {
        "file": case.name,
        **codes,
        "answered": not any(asked),
        "same": bool(worst <= case.tolerance),
        "report": int(as_reported(case, home / "report")) if codes["run"] == 0 else -1,
        "traceback": "Traceback" in words,
        "largest_difference": worst,
        "said": words[-400:],
    }


def keep(rows: list[dict[str, object]]) -> pd.DataFrame:
    """The table of results with these rows in it, in the order of the files; a run that was made stays."""
    made = pd.DataFrame(rows).drop(columns="said").set_index("file")
    old = pd.read_csv(RESULTS).set_index("file") if RESULTS.exists() else made.iloc[:0]
    for name in made.index.intersection(old.index):
        if made.loc[name, "run"] == -1:
            made.loc[name, ["run", "report"]] = old.loc[name, ["run", "report"]]
    order = [c.name for c in CASES]
    table = pd.concat([made, old.loc[~old.index.isin(made.index)]])
    return table.loc[[n for n in order if n in table.index]]


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no reports")
    parser.add_argument("--only", default="", help="files whose name holds this")
    parser.add_argument("--resume", action="store_true", help="only those that were not run yet")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", ek.EvalkitWarning)
    done = set()
    if chosen.resume and RESULTS.exists():
        old = pd.read_csv(RESULTS)
        done = set(old.loc[old["run"] == 0, "file"])
    for case in (c for c in CASES if chosen.only.casefold() in c.name.casefold() and c.name not in done):
        with tempfile.TemporaryDirectory() as folder:
            row = tried(case, Path(folder), chosen.quick)
        good = row["answered"] and row["same"] and row["report"] != 0 and not row["traceback"]
        print(f"{'ok  ' if good else 'FAIL'} {row['file']}", "" if good else row["said"], flush=True)
        keep([row]).to_csv(RESULTS)
    table = pd.read_csv(RESULTS)
    print(f"{len(table)} files: {table['answered'].sum()} answered, {table['same'].sum()} with the same numbers, "
          f"{table['traceback'].sum()} with a traceback; {(table['run'] == 0).sum()} reports written, "
          f"{(table['report'] == 1).sum()} with the numbers of the frame.")  # fmt: skip


if __name__ == "__main__":
    run()
