"""The door is strict: months of one spelling, whole rows, ids as written, paths inside, settings that exist."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.disclosure.rules import rules_for
from tests.study.damaged.damages import Damage, written
from tests.study.damaged.judge import lay_out
from tests.study.damaged.plain import TABLES, TOML

MONTHS = [f"2022-{m:02d}" for m in range(1, 13)]


def panel_of(months: list[str]) -> pd.DataFrame:
    rows = [
        (p, "AB"[p % 2], m, int(p % 2 and i > 5), (p * 7 + i) % 3 / 2) for p in range(8) for i, m in enumerate(months)
    ]
    return pd.DataFrame(rows, columns=["person", "borough", "month", "nurse", "settled"])


def made(panel: object, **changes: object) -> ek.Study:
    given = {"unit": "person", "period": "month", "cluster": "borough", "components": ["nurse"], "outcome": "settled"}
    return ek.Study(panel, **{**given, **changes})


def changed(row: int, value: object, column: str = "month") -> pd.DataFrame:
    panel = panel_of(MONTHS).astype({column: object})
    panel.loc[row, column] = value
    return panel


def test_months_spelt_two_ways_are_one_month() -> None:
    panel = panel_of(MONTHS)
    odd = panel.assign(month=[m.replace("-0", "-") if i % 5 else f" {m} " for i, m in enumerate(panel["month"])])
    one, two = made(panel), made(odd)
    assert list(two.paths.periods) == MONTHS == list(one.paths.periods)
    assert (one.values() == two.values()).all() and (one.paths.state == two.paths.state).all()
    quarters = panel_of(["2021Q4", "2022Q1", "2022Q2"]).assign(nurse=0)
    quarters.loc[1, "month"] = "2022-q1"
    assert list(made(quarters).paths.periods) == ["2021Q4", "2022Q1", "2022Q2"]


@pytest.mark.parametrize("month", ["2022-13", "2022-00", "2022-06-15", "2022Q2", "June 2022", "06/2022", 7, True])
def test_a_month_that_is_none_is_named(month: object) -> None:
    with pytest.raises(ek.EvalkitError, match="period 'month' holds") as caught:
        made(changed(5, month))
    assert repr(month) in str(caught.value)


def test_a_month_centuries_away_is_no_period_of_the_study() -> None:
    for month in ("0021-05", "2222-01"):
        with pytest.raises(ek.EvalkitError, match=r"Between the periods .* lie more than 100 years"):
            made(changed(5, month))


@pytest.mark.parametrize("value", [-9, 999, 1.01])
def test_a_share_lies_between_0_and_1(value: float) -> None:
    study = made(changed(5, value, "settled"), kind="share")
    with pytest.raises(ek.EvalkitError, match=r"outcome 'settled' is (negative|above 1) \(row 5\)\. Write shares"):
        study.values()
    assert made(changed(5, value, "settled")).values()[0, 5] == value


def test_kinds_that_cannot_be_are_refused_when_the_outcome_is_read() -> None:
    panel = panel_of(MONTHS)
    with pytest.raises(ek.EvalkitError, match="which is no logarithm. Choose kind='share'"):
        made(panel.assign(settled=(panel["settled"] > 0.5).astype(int)), kind="log").values()
    with pytest.raises(ek.EvalkitError, match=r"holds 5,200 \(row 5\), which is the logarithm of no amount. Take log"):
        made(panel.assign(settled=[5_200 if i == 5 else 4.2 for i in range(len(panel))]), kind="log").values()
    with pytest.raises(ek.EvalkitError, match=r"outcome 'settled' is negative \(row 5\). Count from 0"):
        made(panel.assign(settled=[-9 if i == 5 else i % 4 for i in range(len(panel))]), kind="count").values()
    with pytest.raises(ek.EvalkitError, match=r"outcome 'settled' is negative \(row 5\)"):
        made(panel.assign(settled=[-0.5 if i == 5 else i % 4 for i in range(len(panel))]), kind="count").values()
    with pytest.raises(ek.EvalkitError, match="matters=5 .*5 percentage points are 0.05"):
        ek.Outcome("settled", kind="share", matters=5)


def test_ids_are_kept_as_they_are_written(tmp_path: Path) -> None:
    panel = panel_of(MONTHS)
    (tmp_path / "a.csv").write_text(panel.assign(person="00" + panel["person"].astype(str)).to_csv(index=False))
    (tmp_path / "b.csv").write_text(
        panel.assign(person=panel["person"].map(lambda p: f"{p + 1}e3")).to_csv(index=False)
    )
    (tmp_path / "c.csv").write_text(panel.astype({"person": float}).to_csv(index=False))
    assert made(tmp_path / "a.csv").paths.units[0] == "000" and made(tmp_path / "b.csv").paths.units[0] == "1e3"
    assert made(tmp_path / "c.csv").paths.units.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ({1: "1"}, "holds numbers and text"),
        ({1: "7", 2: "007"}, "look alike"),
        ({1: "p 1", 2: "p  1"}, "look alike"),
        ({1: "cab", 2: "саb"}, "look alike"),
        ({1: " p1"}, "begins or ends with a space"),
        ({1: "p\u200b1"}, "cannot be seen"),
        ({1: "p\x1b1"}, "cannot be seen"),
    ],
)
def test_ids_that_only_look_like_others_are_refused(ids: dict[int, str], words: str) -> None:
    panel = panel_of(MONTHS)
    names = panel["person"].map(lambda p: ids.get(p, p if words.startswith("holds numbers") else f"q{p}"))
    with pytest.raises(ek.EvalkitError, match=words):
        made(panel.assign(person=names.astype(object)))


def test_places_that_differ_in_capitals_only_are_refused_and_people_are_not() -> None:
    panel = panel_of(MONTHS)
    assert made(panel.assign(person=panel["person"].map(dict(enumerate("abcdABCD"))))).paths.n_units == 8
    with pytest.raises(ek.EvalkitError, match=r"level 'borough' holds ids that look alike \('A', 'a'\)"):
        made(panel.assign(borough=[b.lower() if i == 3 else b for i, b in enumerate(panel["borough"])]))


def test_what_is_no_table_is_named_and_lists_are_no_ids() -> None:
    panel = panel_of(MONTHS)
    with pytest.raises(ek.EvalkitError, match="the panel is a Series. Give a DataFrame"):
        made(panel["person"])
    with pytest.raises(ek.EvalkitError, match="unit 'person' holds lists or the like"):
        made(panel.assign(person=[[p] for p in panel["person"]]))
    with pytest.raises(ek.EvalkitError, match="2 columns called 'settled'"):
        made(pd.concat([panel, panel[["settled"]]], axis=1))
    costs = pd.DataFrame({"component": ["nurse"], "amount": [[1.0]]})
    with pytest.raises(ek.EvalkitError, match=r"amount holds lists or the like \(table costs\)"):
        made(panel, money={"costs": costs})


# ---------------------------------------------------------------- files


def loaded(home: Path, **files: str) -> ek.Study:
    """The small study with some of its files as they are given."""
    given = {name.replace("_toml", ".toml").replace("_csv", ".csv"): text.encode() for name, text in files.items()}
    home.mkdir(exist_ok=True)
    lay_out(Damage("", "", "", given), home / "study")
    return ek.Study.load(home / "study")


def test_a_row_that_is_longer_than_the_header_is_named(tmp_path: Path) -> None:
    text = written(TABLES["costs"]).replace("1200,fiscal", "1,200,fiscal")
    with pytest.raises(
        ek.EvalkitError, match=r"costs.csv has 9 cells in row 0, and 8 columns \(row 0\)\. Put a text or"
    ):
        loaded(tmp_path, costs_csv=text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a;b,c\n1;2,3\n", "either could stand between columns"),
        (written(TABLES["costs"]).replace("programme", "prográmme").encode("latin-1"), "Save it as CSV UTF-8"),
        (b"a,b\n1,\0\n", "it holds the character NUL"),
        (b"", "it is empty"),
        (b"component,amount,amount\npolicy,1,2\n", "2 columns called 'amount'"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: bytes, words: str) -> None:
    lay_out(Damage("", "", "", {"costs.csv": text}), tmp_path / "study")
    with pytest.raises(ek.EvalkitError, match=words) as caught:
        ek.Study.load(tmp_path / "study")
    assert "table [costs], key 'table'" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (TOML.encode("utf-16"), "study.toml is UTF-16"),
        (b"\x1f\x8b" + TOML.encode(), "packed"),
        (TOML.encode() + b"a = " + b"[" * 100_000, "too many brackets within brackets"),
        (TOML.replace("unit_cost = 35", "unit_cost = " + "9" * 5000).encode(), "is not valid TOML: Exceeds the limit"),
        (TOML.replace('table = "events.csv"', "").encode(), r"The table is empty \(study.toml, table \[events\]\)"),
        (TOML.replace('table = "costs.csv"', "").encode(), r"The table is empty \(study.toml, table \[costs\]\)"),
        (TOML.replace('"panel.csv"', f'"{"x" * 300}.csv"').encode(), "is no path"),
        (TOML.replace('unit = "person"', 'unit = "person"\nevery = -1').encode(), "every=-1"),
        (TOML.replace('label = "Nurse"', 'label = "Nurse\\u001b[2J"').encode(), "label holds a character that cannot"),
        (TOML.replace("horizon = 4", "horizn = 4").encode(), "There is no setting 'horizn'.*Did you mean 'horizon'"),
    ],
)
def test_a_study_file_that_cannot_be_is_refused_in_words(tmp_path: Path, raw: bytes, words: str) -> None:
    lay_out(Damage("", "", "", {"study.toml": raw}), tmp_path / "study")
    with pytest.raises(ek.EvalkitError, match=words) as caught:
        ek.Study.load(tmp_path / "study")
    assert len(str(caught.value)) < 2000


def test_a_study_file_with_a_mark_of_utf_8_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path, study_toml="\ufeff" + TOML).title == "Twelve people"


@pytest.mark.parametrize("how", ["..", "absolute", "link"])
def test_paths_stay_in_the_folder_unless_it_says_otherwise(tmp_path: Path, how: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(written(TABLES["people"]).replace("needs", "topsecret"))
    lay_out(Damage("", "", "", {}), tmp_path / "study")
    path = {"..": "../secret.csv", "absolute": str(secret), "link": "link.csv"}[how]
    os.symlink(secret, tmp_path / "study" / "link.csv")
    file = tmp_path / "study" / "study.toml"
    file.write_text(TOML.replace('"people.csv"', f'"{path}"'))
    with pytest.raises(ek.EvalkitError, match="leads out of the study's folder. Move the file there, or") as caught:
        ek.Study.load(file)
    assert "topsecret" not in str(caught.value)
    secret.write_text(written(TABLES["people"]))
    file.write_text(file.read_text().replace("[study]", "[study]\nallow_outside = true", 1))
    assert ek.Study.load(file).paths.n_units == 12


# ---------------------------------------------------------------- rows that would vanish or count twice

ROWS = {
    "costs": (
        "programme,,,rent,300,economic,2021,C",
        "policy,X,2021-03,running,1200,fiscal,2021,A",
        "Rows are there twice",
    ),
    "claims": ("103,settled,2021-08", "999,settled,2021-08", "names units that the study does not have: 999"),
    "adoption": ("nurse,Birch,2021-08", ",Birch,2021-08", "component is missing|The component is missing"),
    "events": ("Hospitals kept clear,2021-05,", "Hospitals kept clear,2021-05,2021-05", "ends before it starts"),
}


@pytest.mark.parametrize("table", ROWS)
def test_no_row_vanishes_and_none_counts_twice(tmp_path: Path, table: str) -> None:
    old, new, words = ROWS[table]
    text = written(TABLES[table])
    assert old in text
    with pytest.raises(ek.EvalkitError, match=words):
        loaded(tmp_path, **{f"{table}_csv": text.replace(old, new)})


def test_a_start_in_the_year_2222_is_refused_and_one_after_the_end_is_not(tmp_path: Path) -> None:
    text = written(TABLES["adoption"])
    with pytest.raises(ek.EvalkitError, match=r"start lies far from the periods of the study \(adoption of .*row 4\)"):
        loaded(tmp_path, adoption_csv=text.replace("Birch,2021-08", "Birch,2222-08"))
    late = loaded(tmp_path / "late", adoption_csv=text.replace("Birch,2021-08", "Birch,2022-08"))
    assert late.paths.n_periods == 8


# ---------------------------------------------------------------- settings

REFUSED = {
    "custom: count=0": "'count=0' makes no sense. Give a whole number of people, 1 or more",
    "custom: cuont=10": "there is no rule 'cuont' to set. Did you mean 'count'",
    "custom: share=90": "'share=90' makes no sense. Give a share above 0, such as 0.9 or 90%",
    "custom: count=5, count=6": "Say each rule once",
    "custom: count=5 people": "cannot be read. Write it like count=5",
    "custom: count=2.5": "makes no sense",
    "custom": "say the rules",
    "nonsense": "'nonsense' is not a choice. Use one of: 'none', 'acro', 'nhs', 'custom'",
    "acro: count=3": "nly custom takes numbers of its own",
}


@pytest.mark.parametrize("words", REFUSED)
def test_rules_of_disclosure_are_refused_at_the_door(words: str) -> None:
    for ask in (lambda: made(panel_of(MONTHS), settings={"disclosure": words}), lambda: rules_for(words)):
        with pytest.raises(ek.EvalkitError) as caught:
            ask()
        assert REFUSED[words] in str(caught.value).replace('"', "'").replace(" (disclosure)", "")


def test_rules_of_ones_own_are_read_as_they_are_written() -> None:
    rules = rules_for("custom: count=5; df=3, top=1, share=85%, p_ratio=0.2, round_to=10")
    assert (rules.count, rules.df, rules.top, rules.share, rules.p_ratio, rules.round_to) == (5, 3, 1, 0.85, 0.2, 10)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"foo": 1}, "There is no setting 'foo'"),
        ({"base_window": 0}, "base_window=0 .*1 or more"),
        ({"horizon": 1.5}, "horizon=1.5 .*0 or more"),
        ({"comparison": "nobody"}, "comparison='nobody' is not a choice"),
    ],
)
def test_settings_that_nothing_reads_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ek.EvalkitError, match=words):
        made(panel_of(MONTHS), settings=settings)
    assert np.isfinite(made(panel_of(MONTHS), settings={"base_window": 2, "horizon": 3}).values()).all()
