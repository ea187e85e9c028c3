"""Files as people have them are read as they are meant, or the message names the key that would let them be read."""

from __future__ import annotations

import gzip
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.cli import main
from evalkit.errors import OptionError
from evalkit.study.reading import possible_formats

MONTHS = [f"2022-{m:02d}" for m in range(1, 11)]


def panel() -> pd.DataFrame:
    """8 schools in 10 months; tutoring from the fifth month in four of them, meals from the seventh in four."""
    frame = pd.DataFrame({"school": np.repeat([f"S{i}" for i in range(8)], 10), "month": np.tile(MONTHS, 8)})
    number, month = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
    frame["tutoring"] = ((number % 2 == 0) & (month >= 4)).astype(int)
    frame["meals"] = ((number % 4 < 2) & (month >= 6)).astype(int)
    frame["attended"] = (np.random.default_rng(4).integers(40, 90, 80) + frame["tutoring"] * 5) / 100
    return frame


KEYS = {"unit": "school", "period": "month", "outcome": "attended", "kind": "share"}


def study(table: object, **changes: object) -> ek.Study:
    return ek.Study(table, **{**KEYS, "components": ["tutoring", "meals"], **changes})


def same(one: ek.Study, other: ek.Study) -> bool:
    states = [s.paths.state[s.paths.path] for s in (one, other)]
    return bool((states[0] == states[1]).all() and np.allclose(one.values(), other.values(), atol=1e-12))


def saved(frame: pd.DataFrame, file: Path, **how: object) -> str:
    if file.suffix in (".xlsx", ".ods"):
        frame.to_excel(file, index=False)
    elif file.suffix == ".dta":
        frame.to_stata(file, write_index=False)
    elif file.suffix == ".sav":
        pytest.importorskip("pyreadstat").write_sav(frame, str(file))
    elif file.suffix in (".parquet", ".feather"):
        getattr(frame, f"to_{file.suffix[1:]}")(file)
    else:
        frame.to_csv(file, index=False, **how)
    return str(file)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.csv", {"sep": ";"}), ("a.tsv", {"sep": "\t"}), ("a.txt", {"sep": "|"}),
        ("a.csv", {"encoding": "utf-8-sig"}),
        ("a.csv", {"encoding": "utf-16", "sep": "\t"}), ("a.csv.gz", {}), ("a.xlsx", {}), ("a.ods", {}), ("a.dta", {}),
        ("a.sav", {}), ("a.parquet", {}), ("a.feather", {}),
    ],
)  # fmt: skip
def test_every_format_says_the_same(tmp_path: Path, name: str, how: dict) -> None:
    assert same(study(saved(panel(), tmp_path / name, **how)), study(panel()))


def test_decimal_commas_are_read_where_the_file_says_so(tmp_path: Path) -> None:
    file = saved(panel(), tmp_path / "a.csv", sep=";", decimal=",")
    with pytest.raises(ek.EvalkitError, match=r"holds text such as '0,\d+' .*decimal = \",\" in \[study\]"):
        study(file).values()
    assert same(study(file, reading={"decimal": ","}), study(panel()))


def test_a_point_is_no_decimal_sign_where_the_comma_is(tmp_path: Path) -> None:
    frame = panel().assign(attended=np.arange(80) + 1000.0)
    text = frame.astype({"attended": object})
    text["attended"] = [f"{v:,.0f}".replace(",", ".") for v in frame["attended"]]
    file = saved(text, tmp_path / "a.csv", sep=";")
    assert same(study(file, kind="count", reading={"decimal": ","}), study(frame, kind="count"))
    text.loc[3, "attended"] = "0.5"
    file = saved(text, tmp_path / "b.csv", sep=";")
    with pytest.raises(ek.EvalkitError, match=r"holds text such as '0.5' \(row 3\)"):
        study(file, kind="count", reading={"decimal": ","}).values()


def test_two_signs_that_could_part_columns_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b,c\n1;2,3\n")
    with pytest.raises(ek.EvalkitError, match=r"Write delimiter = ',' in \[study\]"):
        study(str(tmp_path / "a.csv"))


def test_a_workbook_with_two_tables_is_asked_about(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        panel().to_excel(book, sheet_name="Data", index=False)
        pd.DataFrame({"note": ["a"]}).to_excel(book, sheet_name="Notes", index=False)
    file = str(tmp_path / "a.xlsx")
    with pytest.raises(ek.EvalkitError, match=r"2 sheets with something in them: 'Data', 'Notes'. Write sheet"):
        study(file)
    assert same(study(file, reading={"sheet": "Data"}), study(panel()))


def test_a_title_above_the_headings_is_named(tmp_path: Path) -> None:
    panel().to_excel(tmp_path / "a.xlsx", index=False, startrow=2)
    book = pytest.importorskip("openpyxl").load_workbook(tmp_path / "a.xlsx")
    book.active["A1"] = "Attendance 2022"
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(ek.EvalkitError, match=r"column B of a.xlsx has values and no heading in row 1.*first row"):
        study(str(tmp_path / "a.xlsx"))


@pytest.mark.parametrize("name", ["a.xlsx", "a.dta", "a.sav", "a.feather", "a.parquet", "a.ods"])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 not what it says it is")
    with pytest.raises(ek.EvalkitError, match=rf"{name} cannot be read as"):
        study(str(tmp_path / name))


def test_a_spreadsheet_called_csv_is_named(tmp_path: Path) -> None:
    saved(panel(), tmp_path / "a.xlsx")
    (tmp_path / "a.csv").write_bytes((tmp_path / "a.xlsx").read_bytes())
    with pytest.raises(ek.EvalkitError, match="cannot be read as CSV"):
        study(str(tmp_path / "a.csv"))


@pytest.mark.parametrize(("on", "off"), [("Yes", "No"), ("Y", "N"), ("oui", "non"), ("x", "o")])
def test_words_for_on_and_off(on: str, off: str) -> None:
    frame = panel()
    worded = frame.assign(tutoring=np.where(frame["tutoring"] == 1, on, off))
    with pytest.raises(ek.EvalkitError, match=rf"holds text such as '{off}'") as caught:
        study(worded)
    if on != "x":
        assert f'true_values = ["{on}"] and false_values = ["{off}"] in [study]' in str(caught.value)
    assert same(study(worded, reading={"true_values": [on], "false_values": [off]}), study(frame))
    worded.loc[7, "tutoring"] = "perhaps"
    with pytest.raises(ek.EvalkitError, match=r"holds text such as 'perhaps' \(row 7\)"):
        study(worded, reading={"true_values": [on], "false_values": [off]})


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%b %Y", "%m/%Y", "%d %B %Y", "%Y%m"])
def test_dates_in_another_order_name_their_key(form: str) -> None:
    frame = panel()
    dated = frame.assign(month=pd.to_datetime(frame["month"]).dt.strftime(form))
    if form != "%Y%m":
        with pytest.raises(ek.EvalkitError, match=r"period 'month' holds .*Write date_format = ") as caught:
            study(dated)
        assert f'"{form}"' in str(caught.value)
    read = study(dated, reading={"date_format": form})
    assert same(read, study(frame)) and [str(p)[:7] for p in read.paths.periods] == MONTHS


def test_a_date_that_is_written_otherwise_is_named_with_its_row() -> None:
    dated = panel().assign(month=lambda f: pd.to_datetime(f["month"]).dt.strftime("%d/%m/%Y"))
    dated.loc[11, "month"] = "31/02/2022"
    with pytest.raises(ek.EvalkitError, match=r"period 'month' holds '31/02/2022' \(calendar, row 11\)"):
        study(dated, reading={"date_format": "%d/%m/%Y"})


def test_one_bad_month_among_thousands_is_named_with_its_row() -> None:
    big = pd.concat(
        [panel().assign(school=lambda f, i=i: f"{i}_" + f["school"]) for i in range(200)], ignore_index=True
    )
    big.loc[12_345, "month"] = "Januar 22"
    with pytest.raises(ek.EvalkitError, match=r"holds 'Januar 22' \(calendar, row 12345\)") as caught:
        study(big)
    assert "2022-0" not in str(caught.value)


@pytest.mark.parametrize("written", [lambda v: f"{100 * v:.0f}%", lambda v: 100 * v])
def test_percentages_are_shares_where_it_is_said(written) -> None:
    frame = panel()
    said = frame.assign(attended=frame["attended"].map(written))
    with pytest.raises(ek.EvalkitError, match="percent = true"):
        study(said).values()
    outcome = ek.Outcome("attended", kind="share", percent=True, matters=0.05)
    assert same(study(said, outcome=outcome), study(frame))
    with pytest.raises(ek.EvalkitError, match="largest value is 0.009"), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            study(frame.assign(attended=0.009 + 0 * frame["attended"]), outcome=outcome).values()
        except ek.EvalkitWarning as warning:
            raise ek.EvalkitError(str(warning)) from None


def test_a_share_of_hundred_is_refused() -> None:
    frame = panel().assign(attended=lambda f: 100 * f["attended"])
    with pytest.raises(ek.EvalkitError, match=r"is above 1 .*20 per cent is 0.2.*percent = true"):
        study(frame).values()
    with pytest.raises(ek.EvalkitError, match="Percentages are of kind 'share'"):
        ek.Outcome("attended", kind="score", percent=True)


def test_levels_of_an_index_are_columns() -> None:
    frame = panel()
    assert same(study(frame.set_index(["school", "month"])), study(frame))
    broken = frame.assign(tutoring=frame["tutoring"].astype(object)).set_index(["school", "month"])
    broken.iloc[3, 0] = "on"
    with pytest.raises(ek.EvalkitError, match=r"\('S0', '2022-04'\)"):
        study(broken)


@pytest.mark.parametrize("unit", ["ns", "s"])
def test_stamps_print_as_dates(unit: str) -> None:
    frame = panel()
    stamped = frame.assign(month=pd.to_datetime(frame["month"]).astype(f"datetime64[{unit}]"))
    made = study(stamped)
    assert same(made, study(frame)) and "T00:00" not in repr(made) and "2022-01-01 to 2022-10-01" in repr(made)


def first_treat(never: object) -> pd.DataFrame:
    frame, number = panel(), np.repeat(np.arange(8), 10)
    frame["month"] = np.tile(np.arange(2001, 2011), 8)
    frame["first_treat"] = (
        pd.Series(np.where(number % 2 == 0, 2005, np.nan)).astype(object).where(number % 2 == 0, never)
    )
    return frame.drop(columns="tutoring")


@pytest.mark.parametrize("never", [0, np.nan, np.inf, None, 9999])
def test_first_periods_as_other_packages_take_them(never: object) -> None:
    part = ek.Component("tutoring", first_period="first_treat")
    wanted = study(panel().assign(month=np.tile(np.arange(2001, 2011), 8)))
    assert same(study(first_treat(never), components=[part, "meals"]), wanted)


def test_a_first_period_that_is_none_is_named() -> None:
    part = ek.Component("tutoring", first_period="first_treat")
    with pytest.raises(ek.EvalkitError, match=r"'first_treat' holds 'never' \(component 'tutoring', rows 10"):
        study(first_treat("never"), components=[part, "meals"])
    with pytest.raises(ek.EvalkitError, match="exposure and first_period are given"):
        ek.Component("tutoring", exposure="a", first_period="b")


def started(form: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    wide = pd.DataFrame({"School": [f"S{i}" for i in range(8)]})
    for label, month, mine in (
        ("Home tutoring", "2022-05", np.arange(8) % 2 == 0),
        ("Meals", "2022-07", np.arange(8) % 4 < 2),
    ):
        wide[f"{label} start date"] = np.where(mine, pd.Timestamp(month).strftime(form), "")
    long = wide.melt("School", var_name="Component", value_name="Start date")
    long["Component"] = long["Component"].str.removesuffix(" start date")
    return wide.replace("", None), long[long["Start date"] != ""]


@pytest.mark.parametrize("which", [0, 1], ids=["wide", "long"])
@pytest.mark.parametrize("form", ["%Y-%m", "%d/%m/%Y"])
def test_start_dates_wide_and_long(which: int, form: str) -> None:
    table, frame = started(form)[which], panel()
    parts = [ek.Component("tutoring", label="Home tutoring", adoption=table), ek.Component("meals", adoption=table)]
    read = study(frame.drop(columns=["tutoring", "meals"]), components=parts,
                 reading={"date_format": "%d/%m/%Y"} if form != "%Y-%m" else None)  # fmt: skip
    assert same(read, study(frame))


TOML = """
[study]
panel = "panel.csv"
unit = "school"
period = "month"
noun = {unit = ["pupil referral unit", "pupil referral units"], period = "term"}
[outcomes.attended]
kind = "share"
[adoption]
table = "starts.csv"
component = "What"
level_id = "Where"
start = "When"
[components.tutoring]
label = "Home tutoring"
[components.meals]
"""


def folder(home: Path, toml: str = TOML) -> Path:
    panel().drop(columns=["tutoring", "meals"]).to_csv(home / "panel.csv", index=False)
    names = {"Component": "What", "School": "Where", "Start date": "When"}
    started("%Y-%m")[1].rename(columns=names).to_csv(home / "starts.csv", index=False)
    (home / "study.toml").write_text(toml)
    return home


def test_headings_and_nouns_stand_in_the_study_file(tmp_path: Path) -> None:
    made = ek.Study.load(folder(tmp_path))
    assert same(made, study(panel()))
    assert str(made.noun_for("school")) == "pupil referral unit" and made.noun_for("month").many == "terms"
    again = ek.Study.load(made.save(tmp_path / "again").parent)
    assert same(again, made) and again.noun == made.noun
    sep = ek.separability(made)
    assert "term" in " ".join(sep.components["reason"]) and "month" not in " ".join(sep.components["reason"])


def test_all_problems_of_all_tables_come_at_once(tmp_path: Path) -> None:
    home = folder(tmp_path, TOML.replace("[outcomes.attended]", "[outcomes.attend]"))
    starts = pd.read_csv(home / "starts.csv")
    starts.loc[0, "Where"], starts.loc[5, "When"] = "S77", "soon"
    starts.to_csv(home / "starts.csv", index=False)
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Study.load(home)
    for words in ("'S77'", "'soon' is not a date", "no outcome column 'attend'", "Did you mean 'attended'?"):
        assert words in str(caught.value)


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_outcomes_are_looked_for_in_the_header_before_they_are_read(tmp_path: Path, capsys, command: str) -> None:
    home = folder(tmp_path, TOML.replace("[outcomes.attended]", "[outcomes.attend]"))
    with pytest.raises(SystemExit) as stopped:
        main([command, str(home)])
    assert stopped.value.code == 2 and "no outcome column 'attend'" in " ".join(capsys.readouterr().err.split())
    assert not (home / "plan.json").exists()


HEAVY = ("sklearn", "statsmodels", "matplotlib", "nbconvert", "linearmodels")


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_study_that_is_refused_waits_for_nothing_more(tmp_path: Path, command: str) -> None:
    """What takes seconds to import is not reached before the refusal."""
    home = folder(tmp_path, TOML.replace("[outcomes.attended]", "[outcomes.attend]"))
    code = (
        f"import sys\nfrom {main.__module__} import main\ntry:\n    main([{command!r}, {str(home)!r}])\n"
        f"except SystemExit as stopped:\n    print(stopped.code, sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "2 []" and "attend" in done.stderr


def test_labels_are_taken_where_names_are_meant() -> None:
    frame, table = panel(), started("%Y-%m")[1]
    parts = [ek.Component("tutoring", label="Home tutoring", adoption=table), "meals"]
    costs = pd.DataFrame({"component": ["Home tutoring", "meals"], "amount": [5.0, 7.0]})
    made = study(frame, components=parts, money={"costs": costs})
    assert list(made.money.costs["component"]) == ["tutoring", "meals"]
    assert made.component("Home tutoring").name == "tutoring"


def people(region: object) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"id": np.arange(300), "got": rng.integers(0, 2, 300), "age": rng.normal(40, 9, 300),
                         "region": region, "y": rng.normal(size=300)})  # fmt: skip


def of_people(frame: pd.DataFrame, covariates: tuple[str, ...]) -> ek.Study:
    return ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=covariates)


@pytest.mark.parametrize("kind", [object, "str", "category"])
def test_covariates_may_be_words(kind: object) -> None:
    words = np.array(["south", "north", "west", "south"])[np.arange(300) % 4]
    frame = people(pd.Series(words).astype(kind)).assign(north=words == "north", west=words == "west")
    study, dummies = of_people(frame, ("age", "region")), of_people(frame, ("age", "north", "west"))
    assert study.covariate_names() == ("age", "region=north", "region=west")
    for design in (ek.MatchedComparison(), ek.WeightedComparison(), ek.WeightedComparison(method="entropy")):
        np.testing.assert_allclose(design(study, "got").value, design(dummies, "got").value)
    balance = ek.MatchedComparison().match(study, "got").balance()
    assert {"region=north", "region=west"} <= set(balance["covariate"])
    exact = ek.MatchedComparison(exact=("region",), covariates=("age",)).match(study, "got")
    assert len(exact.pairs) and ek.MatchedComparison(covariates="age + region")(study, "got").value.size == 1


@pytest.mark.parametrize(("cell", "words"), [("<5", "holds text such as '<5'"), ("12%", "holds text such as '12%'")])
def test_a_number_in_words_is_no_kind(cell: str, words: str) -> None:
    frame = people("south").astype({"region": object})
    frame.loc[9, "region"] = cell
    with pytest.raises(ek.EvalkitError, match=words):
        of_people(frame, ("age", "region")).covariate_values()


def test_too_many_kinds_are_refused() -> None:
    with pytest.raises(ek.EvalkitError, match="It has 30 kinds"):
        of_people(people([f"place {i % 30}x" for i in range(300)]), ("region",)).covariate_values()


def test_a_missing_word_is_missing() -> None:
    frame = people(np.array(["south", "north"])[np.arange(300) % 2]).astype({"region": object})
    frame.loc[4, "region"] = None
    values = of_people(frame, ("region",)).covariate_values()[:, 0, 0]
    assert np.isnan(values[4]) and not np.isnan(np.delete(values, 4)).any()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"decimal": "·"}, "decimal='·'"), ({"delimiter": ";;"}, "delimiter=';;'"), ({"date_format": "%d/%m"}, "year"),
        ({"true_values": ["a"], "false_values": ["A"]}, "in true_values and in false_values"),
        ({"dec": ","}, "no key 'dec'"),
        ({"encoding": "latin-99"}, "encoding='latin-99'"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_are_named(keys: dict, words: str) -> None:
    with pytest.raises(ek.EvalkitError, match=words):
        study(panel(), reading=keys)


def test_ways_of_writing_a_date_are_told_apart() -> None:
    assert possible_formats(["13/01/2022", "01/02/2022"]) == ["%d/%m/%Y"]
    assert possible_formats(["01/13/2022", "02/01/2022"]) == ["%m/%d/%Y"]
    assert {"%d/%m/%Y", "%m/%d/%Y"} <= set(possible_formats(["01/02/2022"])) and possible_formats(["soon"]) == []


def test_a_packed_file_in_utf_16_is_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wb") as out:
        out.write(panel().to_csv(index=False).encode("utf-16"))
    assert same(study(str(tmp_path / "a.csv.gz")), study(panel()))


def test_ids_keep_their_noughts_in_a_table_of_starts(tmp_path: Path) -> None:
    frame = panel().assign(school=lambda f: "00" + f["school"].str[1:])
    dates = [("2022-05" if i % 2 == 0 else "", "2022-07" if i % 4 < 2 else "never") for i in range(8)]
    lines = [f"00{i},{a},{b}" for i, (a, b) in enumerate(dates)]
    (tmp_path / "s.csv").write_text("\n".join(["school code,tutoring,meals", *lines]))
    file = str(tmp_path / "s.csv")
    parts = [ek.Component("tutoring", adoption=file), ek.Component("meals", adoption=file)]
    saved(frame.drop(columns=["tutoring", "meals"]), tmp_path / "a.csv")
    assert same(study(str(tmp_path / "a.csv"), components=parts), study(frame))


@pytest.mark.parametrize("name", ["rot13", "hex", "zip", "undefined", "a\0b", "", "utf-9"])
def test_an_encoding_that_is_none_of_text_is_named(name: str) -> None:
    with pytest.raises(OptionError, match="encoding="):
        ek.Reading(encoding=name)


def test_a_mark_before_utf_8_is_no_part_of_a_heading(tmp_path: Path) -> None:
    for encoding in ("utf-8", "UTF8", "utf_8_sig", None):
        (tmp_path / "panel.csv").write_bytes(b"\xef\xbb\xbf" + b"id,t,a,y\n1,1,0,2\n1,2,0,3\n2,1,0,4\n2,2,1,5\n")
        study = ek.Study(tmp_path / "panel.csv", unit="id", period="t", outcome="y", components=["a"],
                         reading=ek.Reading(encoding=encoding))  # fmt: skip
        assert study.values("y").tolist() == [[2.0, 3.0], [4.0, 5.0]]


@pytest.mark.parametrize("name", ["panel.csv", "panel.csv.gz", "panel.xlsx", "panel-*.csv"])
def test_a_name_that_files_read_as_nothing_is_named(name: str, tmp_path: Path) -> None:
    frame = panel().replace({"school": {"S1": "NA", "S4": "None"}})
    if "*" in name:
        for n, half in enumerate((frame.iloc[:40], frame.iloc[40:])):
            saved(half, tmp_path / name.replace("*", str(n)))
        file = str(tmp_path / name)
    else:
        file = saved(frame, tmp_path / name)
    with pytest.raises(ek.EvalkitError) as told:
        study(file)
    said = str(told.value)
    assert "unit 'school' is missing in 20 rows: 'NA' (row 10) and 'None' (row 40) are read as nothing" in said
    assert "such as 'NA.', in every table" in said
    frame["school"] = frame["school"].replace({"NA": "NA.", "None": "None."})
    assert set(study(saved(frame, tmp_path / "again.csv")).paths.units) >= {"NA.", "None."}
    frame.loc[10:19, "school"] = ""
    with pytest.raises(ek.EvalkitError, match=r"is missing in 10 rows \(rows 10, 11, 12, 13, 14 and 5 more\)\. Fill"):
        study(saved(frame, tmp_path / "empty.csv"))


@pytest.mark.parametrize("starts", ["component,level_id,start\nfood,NA,2022-05\n", "School,Food start\nNA,2022-05\n"])
def test_a_start_of_a_place_that_files_read_as_nothing_is_named(starts: str, tmp_path: Path) -> None:
    (tmp_path / "starts.csv").write_text(starts)
    food = ek.Component("food", adoption=tmp_path / "starts.csv", assigned_at="school")
    with pytest.raises(ek.EvalkitError, match=r"level_id is missing in 1 row: 'NA' \(row 0\) is read as nothing"):
        study(panel(), components=[food])
