"""The study file: reading, refusing, saving."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

TOML = """
[study]
title = "Manchester"
question = "Which parts helped?"
panel = "panel/*.parquet"
people = "people.csv"
unit = "person"
period = "month"
cluster = "borough"
disclosure = "acro"

[levels.association]
links = "share.csv"
to = "borough"

[outcomes.settled]
label = "In a settled home"
kind = "share"
matters = 0.05

[components.policy]
adoption = "adoption.csv"
assigned_at = "association"
bins = [0.25, 0.75]

[components.nurse]
label = "Dual-diagnosis nurse"
adoption = "adoption.csv"
reach = "both_needs"
lag = 1
unit_cost = 52_000

[components.court]
exposure = "court"

[components.keyworker]
always_on = true

[evaluate]
base_window = 3
horizon = 12
"""


@pytest.fixture
def folder(panel, tmp_path) -> Path:
    """A study file with everything beside it."""
    panel["settled"] = panel["settled"].gt(0).astype(int)
    (tmp_path / "panel").mkdir()
    columns = ["person", "month", "borough", "court", "settled"]
    panel.loc[panel.person < 5, columns].to_parquet(tmp_path / "panel" / "one.parquet")
    panel.loc[panel.person >= 5, columns].to_parquet(tmp_path / "panel" / "two.parquet")
    panel[["person", "both_needs"]].drop_duplicates().to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "share.csv").write_text("from,to,weight\nx,A,0.8\ny,A,0.2\nx,B,0.5\ny,B,0.5\ny,C,1\nx,D,1\n")
    rows = "policy,x,2,,\npolicy,y,5,,\nnurse,A,3,,day\nnurse,B,3,6,guessed\n"
    (tmp_path / "adoption.csv").write_text("component,level_id,start,end,certainty\n" + rows)
    (tmp_path / "study.toml").write_text(TOML)
    return tmp_path


def same_study(a: ek.Study, b: ek.Study) -> None:
    for k, name in enumerate(a.paths.components):
        assert (a.paths.state[a.paths.path, :, k] == b.paths.state[b.paths.path, :, b.paths.index(name)]).all()
    assert (a.paths.reach[a.paths.path] == b.paths.reach[b.paths.path]).all()
    assert a.paths.units.tolist() == b.paths.units.tolist() and list(a.paths.periods) == list(b.paths.periods)
    assert a.paths.assigned_at == b.paths.assigned_at and a.paths.cluster == b.paths.cluster
    for name, level in a.paths.levels.items():
        assert (level.codes == b.paths.levels[name].codes).all()
    assert np.array_equal(a.paths.seen, b.paths.seen) if a.paths.seen is not None else b.paths.seen is None
    for o in a.outcomes:
        assert np.array_equal(a.values(o), b.values(o.column), equal_nan=True)
    assert a.components == b.components and a.outcomes == b.outcomes and dict(a.settings) == dict(b.settings)


def test_a_file_says_the_same_as_python(folder, panel):
    study = ek.Study.load(folder / "study.toml")
    spells = pd.read_csv(folder / "adoption.csv")
    other = ek.Study(
        panel,
        unit="person",
        period="month",
        cluster="borough",
        outcomes=[ek.Outcome("settled", "In a settled home", kind="share", matters=0.05)],
        components=[
            ek.Component("policy", adoption=spells, assigned_at="association", bins=(0.25, 0.75)),
            ek.Component("nurse", "Dual-diagnosis nurse", adoption=spells, reach="both_needs", lag=1, unit_cost=52_000),
            ek.Component("court", exposure="court"),
            ek.Component("keyworker", always_on=True),
        ],
        levels={"association": ek.Links(pd.read_csv(folder / "share.csv"), to="borough")},
        settings={"disclosure": "acro", "base_window": 3, "horizon": 12},
    )
    same_study(study, other)
    assert study.title == "Manchester" and study.question == "Which parts helped?"
    names = [f.name for f in study.inputs]
    assert names == ["study.toml", "adoption.csv", "share.csv", "people.csv", "one.parquet", "two.parquet"]


def test_saved_and_loaded_is_the_same(folder, tmp_path):
    study = ek.Study.load(folder)
    file = study.save(tmp_path / "copy")
    same_study(study, ek.Study.load(file))
    text = file.read_text()
    assert str(tmp_path) not in text and 'panel = "panel.parquet"' in text


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.assign(
            person=p.person.map(lambda i: f"00{i}"), borough=p.borough.map({b: f"0{i}" for i, b in enumerate("ABCD")})
        ),
        lambda p: p.assign(month=p.month.map(lambda m: f"2020-{m + 1:02d}")),
        lambda p: p.assign(month=pd.to_datetime(p.month.map(lambda m: f"2020-{m + 1:02d}-01"))),
        lambda p: p.assign(month=pd.PeriodIndex(p.month.map(lambda m: f"2020-{m + 1:02d}"), freq="M")),
        lambda p: p.assign(settled=p.settled.where(p.person != 3)).sample(frac=0.9, random_state=1),
        lambda p: p.assign(borough=p.borough.where((p.person != 0) | (p.month < 5), "D"), nurse=0),
        lambda p: p.assign(borough=p.borough.astype("category"), nurse=p.nurse.astype(bool)),
    ],
    ids=["ids with zeros", "months", "timestamps", "periods", "unbalanced", "movers", "categories"],
)
def test_a_study_made_in_memory_can_be_saved(panel, tmp_path, change):
    frame = change(panel)
    place = frame.borough.iloc[0]
    start = frame.month.max()
    spells = pd.DataFrame({"level_id": [place], "start": [start], "certainty": ["month"]})
    study = ek.Study(
        frame,
        unit="person",
        period="month",
        cluster="borough",
        outcome="settled",
        weights="weight",
        covariates=["age"],
        components=["nurse", ek.Component('a "new" one', adoption=spells, description="Ünder é")],
        title='Quotes " and \\ and é',
    )
    loaded = ek.Study.load(study.save(tmp_path))
    same_study(study, loaded)
    assert loaded.title == study.title and (loaded.paths.weights == study.paths.weights).all()
    assert (study.paths.state[:, :, 1] == 1).any()


def test_the_outcome_may_be_rubbish_or_absent(folder):
    whole = ek.Study.load(folder)
    for file in (folder / "panel").iterdir():
        table = pd.read_parquet(file)
        table.drop(columns="settled").to_parquet(file)
    without = ek.Study.load(folder)
    assert (without.paths.state == whole.paths.state).all() and (without.paths.path == whole.paths.path).all()
    with pytest.raises(ek.EvalkitError, match="no outcome column 'settled'"):
        without.values()
    for file in (folder / "panel").iterdir():
        pd.read_parquet(file).assign(settled="rubbish").to_parquet(file)
    rubbish = ek.Study.load(folder)
    assert (rubbish.paths.state == whole.paths.state).all() and (rubbish.paths.path == whole.paths.path).all()


BAD = {
    "misspelt key": ('unit = "person"', 'unti = "person"', ["table [study]", "'unti'", "Did you mean 'unit'?"]),
    "missing key": ('unit = "person"', "", ["study.toml, table [study]", "key 'unit' is missing"]),
    "misspelt table": ("[evaluate]", "[evalute]", ["no table [evalute]", "Did you mean 'evaluate'?"]),
    "misspelt in component": ("lag = 1", "lagg = 1", ["table [components.nurse]", "'lagg'", "Did you mean 'lag'?"]),
    "wrong kind": ('kind = "share"', 'kind = "percent"', ["table [outcomes.settled]", "kind = 'percent'", "'share'"]),
    "wrong type": ("lag = 1", 'lag = "one"', ["table [components.nurse]", "lag = 'one'", "integer"]),
    "negative": ("lag = 1", "lag = -1", ["table [components.nurse]", "lag=-1"]),
    "bins": ("[0.25, 0.75]", "[0.75, 0.25]", ["table [components.policy]", "not increasing"]),
    "no panel": ("panel/*.parquet", "panel/*.csv", ["table [study], key 'panel'", "there is no file"]),
    "no adoption": ('"adoption.csv"', '"adopted.csv"', ["key 'adoption'", "there is no file", "adopted.csv"]),
    "no people": ("people.csv", "persons.csv", ["key 'people'", "persons.csv"]),
    "broken": ("[study]", "[study", ["study.toml is not valid TOML"]),
    "column": ('cluster = "borough"', 'cluster = "boro"', ["study.toml", "no column 'boro'", "'borough'"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_table_and_key(folder, case):
    old, new, wanted = BAD[case]
    file = folder / "study.toml"
    assert old in TOML
    file.write_text(TOML.replace(old, new))
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Study.load(file)
    for words in wanted:
        assert words in str(caught.value)


def test_missing_tables_and_files_are_named(tmp_path):
    with pytest.raises(ek.EvalkitError, match="no study file"):
        ek.Study.load(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text("")
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Study.load(tmp_path / "study.toml")
    assert "table [study] is missing" in str(caught.value) and "table [components] is missing" in str(caught.value)


def test_spells_of_an_unknown_component_are_named(folder):
    with (folder / "adoption.csv").open("a") as file:
        file.write("nurze,A,3,,day\n")
    with pytest.raises(
        ek.EvalkitError, match=r"Unknown component 'nurze' \(adoption.csv, rows 4\). Did you mean 'nurse'"
    ):
        ek.Study.load(folder)


def test_a_table_that_is_not_one_is_refused(folder):
    (folder / "people.csv").write_bytes(b"\xff\xfe\x00\x01person\n")
    (folder / "panel" / "one.parquet").write_text("not parquet")
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Study.load(folder)
    assert "one.parquet cannot be read as Parquet" in str(caught.value) and "people.csv cannot be read as CSV" in str(
        caught.value
    )


def test_every_key_of_the_file_is_a_field_of_what_it_becomes(folder):
    keys = {"zzz": "[study]", "zzy": "[components.nurse]", "zzx": "[outcomes.settled]", "zzw": "[levels.association]"}
    text = TOML
    for key, table in keys.items():
        text = text.replace(f"{table}\n", f'{table}\n{key} = "a"\n')
    (folder / "study.toml").write_text(text)
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Study.load(folder)
    listed = {line.split("'")[1]: line for line in str(caught.value).splitlines()[1:]}
    assert listed.keys() == keys.keys() and all(f"table {table})" in listed[key] for key, table in keys.items())
    assert "The keys are: column, label, kind, better, matters, percent, harm, time, event" in listed["zzx"]
    assert listed["zzw"].endswith("The keys are: links, to.")
    assert "unit, period, cluster, covariates" in listed["zzz"] and "lag, bins, always_on" in listed["zzy"]


def test_a_table_that_is_a_value_is_refused_in_words(folder):
    (folder / "study.toml").write_text(TOML.replace("[components.keyworker]\nalways_on = true", "[components]\na = 3"))
    with pytest.raises(
        ek.EvalkitError, match=r"a = 3 cannot be used \(study.toml, table \[components\]\). It should be"
    ):
        ek.Study.load(folder)


def test_nothing_heavy_is_imported_for_a_study():
    heavy = ("scipy", "sklearn", "statsmodels", "matplotlib", "pydantic", "pyarrow.parquet")
    program = f"import sys, evalkit; evalkit.Study; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_names_that_are_numbers_stand_in_one_order_wherever_they_are_read_from(tmp_path: Path) -> None:
    """Saved and read again '10' is 10 and comes after 9: folds and deals would be other ones, and so the answer."""
    rng, n = np.random.default_rng(1), 2_000
    x = rng.normal(size=n)
    frame = pd.DataFrame({"who": np.arange(n).astype(str), "x": x, "it": (rng.random(n) < 1 / (1 + np.exp(-x))) * 1})
    frame["y"] = x + 0.4 * frame["it"] + rng.normal(size=n)
    study = ek.Study(frame, unit="who", period=None, outcome="y", components=["it"], covariates=("x",))
    study.save(tmp_path)
    again = ek.Study.load(tmp_path / "study.toml")
    assert study.paths.units[:11].tolist() == [str(i) for i in range(11)]
    assert again.paths.units[:11].tolist() == list(range(11))
    design = ek.WeightedComparison(method="aipw", repeats=1)
    assert design(study, "it").value[0] == design(again, "it").value[0]
