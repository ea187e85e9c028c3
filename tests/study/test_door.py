"""Bad input: every problem is named with column and rows, all of a door at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import evalkit as ek


def make(panel: pd.DataFrame, **changes: object) -> ek.Study:
    given = {
        "unit": "person",
        "period": "month",
        "outcome": "settled",
        "cluster": "borough",
        "components": ["nurse", "court"],
    }
    return ek.Study(panel, **{**given, **changes})


def put(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The panel with one cell changed."""

    def change(panel: pd.DataFrame) -> pd.DataFrame:
        cells = panel[column].astype(object).copy()
        cells.iloc[row] = value
        return panel.assign(**{column: cells.infer_objects()})

    return change


def same(panel: pd.DataFrame) -> pd.DataFrame:
    return panel


C = ek.Component
CASES: dict[str, tuple[Callable[[pd.DataFrame], object], Callable[[], dict], list[str]]] = {
    "unit column": (same, lambda: {"unit": "persn"}, ["no column 'persn' (unit)", "Did you mean 'person'?"]),
    "period column": (same, lambda: {"period": "mnth"}, ["no column 'mnth' (period)", "Did you mean 'month'?"]),
    "cluster column": (same, lambda: {"cluster": "district"}, ["no column 'district' (cluster)", "The columns are"]),
    "exposure column": (same, lambda: {"components": [C("a", exposure="Nurse")]}, ["'Nurse'", "Did you mean 'nurse'?"]),
    "reach column": (same, lambda: {"components": [C("nurse", reach="needs")]}, ["no column 'needs'", "reach of"]),
    "level": (same, lambda: {"components": [C("nurse", assigned_at="court_area")]}, ["'court_area'", "assigned_at"]),
    "covariate column": (same, lambda: {"covariates": ["agee"]}, ["no column 'agee'", "Did you mean 'age'?"]),
    "weights column": (same, lambda: {"weights": "wt"}, ["no column 'wt' (weights)"]),
    "duplicate rows": (
        lambda p: pd.concat([p, p.iloc[[3]]], ignore_index=True),
        dict,
        ["2 rows repeat a unit and period (rows 3, 96)", "Keep one row"],
    ),
    "missing unit": (put("person", 5, None), dict, ["unit 'person' is missing in 1 row (row 5)"]),
    "missing period": (put("month", 6, None), dict, ["period 'month' is missing in 1 row (row 6)"]),
    "missing cluster": (put("borough", 7, None), dict, ["level 'borough' is missing in 1 row (row 7)"]),
    "missing exposure": (put("nurse", 8, None), dict, ["exposure 'nurse' is missing in 1 row (row 8)", "not 0"]),
    "negative exposure": (put("nurse", 9, -1), dict, ["exposure 'nurse' is negative (row 9)"]),
    "text exposure": (put("nurse", 10, "yes"), dict, ["exposure 'nurse' holds text such as 'yes' (row 10)"]),
    "infinite exposure": (put("nurse", 10, np.inf), dict, ["exposure 'nurse' is infinite (row 10)"]),
    "negative weights": (
        put("weight", 11, -2),
        lambda: {"weights": "weight"},
        ["weights 'weight' is negative (panel, row 11)"],
    ),
    "reach beyond 0 and 1": (
        put("both_needs", 3, 2),
        lambda: {"components": [ek.Component("nurse", exposure="nurse", reach="both_needs")]},
        ["reach 'both_needs' is not 0 or 1 everywhere (panel, row 3)"],
    ),
    "weights that vary": (
        put("weight", 3, 9),
        lambda: {"weights": "weight"},
        ["'weight' changes within 1 unit (0) (panel, row 3)"],
    ),
    "reach not 0 or 1": (
        lambda p: p.assign(both_needs=p.both_needs * 2),
        lambda: {"components": [C("nurse", reach="both_needs")]},
        ["reach 'both_needs' is not 0 or 1"],
    ),
    "reach that changes": (
        put("both_needs", 0, 1),
        lambda: {"components": [C("nurse", reach="both_needs")]},
        ["'both_needs' changes within 1 unit (0) (panel, rows "],
    ),
    "exposure within a level": (put("nurse", 0, 1), dict, ["within one 'borough' and period: A in 0"]),
    "empty frame": (lambda p: p.iloc[:0], dict, ["The panel has no rows"]),
    "no components": (same, lambda: {"components": []}, ["There are no components"]),
    "not a component": (same, lambda: {"components": [3]}, ["3 is not a component"]),
    "component twice": (same, lambda: {"components": ["nurse", "nurse"]}, ["'nurse' is there 2 times"]),
    "no exposure": (same, lambda: {"components": [C("peer")]}, ["neither exposure nor adoption", "component 'peer'"]),
    "replaces": (
        same,
        lambda: {"components": ["nurse", C("court", replaces="nurze")]},
        ["replaces 'nurze'", "Did you mean 'nurse'?"],
    ),
    "six doses": (
        lambda p: p.assign(nurse=p.month / 2.0),
        lambda: {"cluster": None, "components": ["nurse"]},
        ["8 different doses", "no bins", "component 'nurse'"],
    ),
    "better": (same, lambda: {"better": "up"}, ["better='up' is not a choice", "'higher', 'lower'"]),
    "kind": (same, lambda: {"kind": "percent"}, ["kind='percent' is not a choice"]),
    "matters": (same, lambda: {"matters": -1}, ["matters=-1", "above 0"]),
    "calendar": (lambda p: p.assign(month="wave " + p.month.astype(str)), dict, ["'month' holds 'wave 0'", "2020-03"]),
    "every": (same, lambda: {"every": 3}, ["not whole steps of every=3"]),
    "not a table": (lambda p: [1, 2, 3], dict, ["is a list", "Give a DataFrame"]),
    "no such file": (lambda p: "nowhere/panel.csv", dict, ["no file 'nowhere/panel.csv'"]),
    "outcome twice": (
        same,
        lambda: {"outcome": None, "outcomes": ["settled", "settled"]},
        ["'settled' is there twice"],
    ),
    "people": (
        same,
        lambda: {"people": pd.DataFrame({"person": [0, 0, 1], "sex": 1}), "covariates": ["sex"]},
        ["People occur more than once (people, rows 0, 1)", "Units of the panel that are not among the people: 10"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named(panel, case):
    change, options, wanted = CASES[case]
    with pytest.raises(ek.EvalkitError) as caught:
        make(change(panel), **options())
    for words in wanted:
        assert words in str(caught.value)


COMPONENTS = {
    "part_period": ({"part_period": "most"}, "part_period='most' is not a choice"),
    "lag": ({"lag": -1}, "lag=-1"),
    "half a lag": ({"lag": 0.5}, "lag=0.5"),
    "unit_cost": ({"unit_cost": -5}, "unit_cost=-5"),
    "bins": ({"bins": (0.7, 0.3)}, "are not increasing"),
    "zero bin": ({"bins": (0.0, 0.3)}, "cut points above 0"),
    "both": ({"exposure": "a", "adoption": pd.DataFrame()}, "Both exposure and adoption"),
}


@pytest.mark.parametrize("case", COMPONENTS)
def test_a_component_refuses_impossible_choices(case):
    options, message = COMPONENTS[case]
    with pytest.raises(ek.EvalkitError) as caught:
        ek.Component("nurse", **options)
    assert message in str(caught.value) and "component 'nurse'" in str(caught.value)


def test_all_problems_come_at_once(panel):
    bad = put("nurse", 8, None)(put("court", 2, "on")(panel))
    with pytest.raises(ek.EvalkitError) as caught:
        make(bad, cluster="boro", weights="wt", better="up")
    said = str(caught.value)
    assert said.startswith("5 problems")
    for words in ("'boro'", "'wt'", "better='up'", "'nurse' is missing", "'court' holds text"):
        assert words in said


def test_only_the_first_five_rows_are_listed(panel):
    with pytest.raises(ek.EvalkitError, match=r"rows 0, 1, 2, 3, 4 and 91 more"):
        make(panel.assign(nurse=-1.0))


@pytest.mark.parametrize(("value", "words"), [("n/a", "holds text such as 'n/a'"), (np.inf, "is infinite")])
def test_a_bad_outcome_is_named_when_it_is_read(panel, value, words):
    study = make(put("settled", 4, value)(panel))
    with pytest.raises(ek.EvalkitError) as caught:
        study.values()
    assert "outcome 'settled'" in str(caught.value) and words in str(caught.value) and "row 4" in str(caught.value)


def test_a_missing_outcome_is_missing(panel):
    study = make(put("settled", 4, None)(panel))
    assert np.isnan(study.values()[0, 4]) and np.isfinite(study.values()).sum() == 95


def test_names_that_are_not_there_are_refused(panel):
    study = make(panel)
    with pytest.raises(ek.EvalkitError, match="no component 'nurze'. Did you mean 'nurse'"):
        study.component("nurze")
    with pytest.raises(ek.EvalkitError, match="no outcome 'setled'. Did you mean 'settled'"):
        study.values("setled")
    with pytest.raises(ek.EvalkitError, match="no outcome column 'happy'"):
        make(panel, outcome="happy").values()
    with pytest.raises(ek.EvalkitError, match="has no outcome"):
        make(panel, outcome=None).values()


def rolled_out(**cells: dict[int, float]) -> pd.DataFrame:
    """Ten people in ten months, every other one with it from month 3 on; cells: values by row."""
    panel = pd.DataFrame({"person": np.repeat(range(10), 10), "month": np.tile(range(10), 10), "settled": 0.5})
    panel["nurse"] = ((panel["month"] >= 3) & (panel["person"] % 2 == 1)).astype(float)
    for row, value in cells.get("nurse", {}).items():
        panel.loc[row, "nurse"] = value
    return panel


def opened(panel: pd.DataFrame, **changes: object) -> ek.Study:
    component = ek.Component("nurse", exposure="nurse", **changes)
    shuffled = panel.sample(frac=1, random_state=1)
    return ek.Study(shuffled, unit="person", period="month", outcome="settled", components=[component])


def test_a_stray_number_in_a_column_of_zeros_and_ones_is_named():
    with pytest.warns(ek.EvalkitWarning, match=r"'nurse' is 0 or 1 but for 1 row, which holds 7: 3 in 5\.") as found:
        opened(rolled_out(nurse={35: 7}))
    assert found[0].filename == __file__
    with pytest.warns(ek.EvalkitWarning, match=r"2 rows, which hold 2\.5, 7: 1 in 4, 3 in 5\."):
        opened(rolled_out(nurse={35: 7, 14: 2.5}))


@pytest.mark.parametrize(
    ("cells", "changes"),
    [
        ({}, {}),
        ({35: 0.5}, {}),
        ({35: 2}, {"bins": (0.5, 1.5)}),
        (dict.fromkeys(range(33, 40), 2), {}),
    ],
    ids=["plain", "part of a period", "bins", "many: a dose"],
)
def test_doses_and_plain_columns_are_no_strays(cells, changes, recwarn):
    opened(rolled_out(nurse=cells), **changes)
    assert not [w for w in recwarn if issubclass(w.category, ek.EvalkitWarning)]


def test_a_step_between_periods_is_a_number_above_0(panel):
    for every in ("x", 0, -1):
        with pytest.raises(ek.EvalkitError) as caught:
            ek.Study(panel, unit="person", period="month", components=["nurse"], every=every)
        assert str(caught.value) == f"every={every!r} (calendar). Give the number of steps between periods, above 0."


def test_links_must_lead_to_a_column(panel):
    links = ek.Links(pd.DataFrame({"from": ["a"], "to": ["A"], "weight": [1.0]}), to="boro")
    with pytest.raises(ek.EvalkitError, match=r"no column 'boro' \(level 'x' leads to it\). Did you mean 'borough'"):
        ek.Study(panel, unit="person", period="month", components=["nurse"], levels={"x": links})
