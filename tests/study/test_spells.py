"""Dated spells, calendars, links between levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit as ek
from evalkit.study.calendar import make_calendar


def panel_of(periods: list, places: str = "AB") -> pd.DataFrame:
    rows = [(f"{p}{i}", p, t) for p in places for i in range(2) for t in periods]
    return pd.DataFrame(rows, columns=["person", "borough", "time"])


def spells(*rows: tuple, columns: tuple = ("level_id", "start", "end")) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns)[: len(rows[0])])


def states(panel: pd.DataFrame, table: pd.DataFrame, **more: object) -> list[list[int]]:
    """State of the first person of each borough."""
    component = ek.Component("nurse", adoption=table, **more)
    study = ek.Study(panel, unit="person", period="time", components=[component], cluster="borough")
    every = study.paths.state[study.paths.path, :, 0]
    first = [int(np.flatnonzero(study.paths.units == f"{b}0")[0]) for b in dict.fromkeys(panel.borough)]
    return every[first].tolist()


MONTHS = ["2020-01", "2020-02", "2020-03", "2020-04", "2020-05", "2020-06"]


def test_spells_are_half_open_and_may_come_back():
    table = spells(("A", 2, 4), ("A", 5, None))
    assert states(panel_of([0, 1, 2, 3, 4, 5]), table) == [[0, 0, 1, 1, 0, 1], [0] * 6]


@pytest.mark.parametrize(
    ("periods", "start", "end"),
    [
        (MONTHS, "2020-03", "2020-05"),
        (MONTHS, "2020-03-01", "2020-05-01"),
        (MONTHS, pd.Timestamp("2020-03-01"), pd.Timestamp("2020-05-01")),
        (list(pd.period_range("2020-01", "2020-06", freq="M")), "2020-03", "2020-05"),
        (list(pd.period_range("2020-01", "2020-06", freq="M")), pd.Period("2020-03", "M"), pd.Period("2020-05", "M")),
        (list(pd.date_range("2020-01-01", periods=6, freq="MS")), "2020-03-01", "2020-05-01"),
        ([f"{m}-01" for m in MONTHS], "2020-03", "2020-05"),
        (["2019Q3", "2019Q4", "2020Q1", "2020Q2", "2020Q3", "2020Q4"], "2020Q1", "2020Q3"),
        (["2019Q3", "2019Q4", "2020Q1", "2020Q2", "2020Q3", "2020Q4"], "2020-01-01", "2020-07-01"),
        ([2018, 2019, 2020, 2021, 2022, 2023], "2020-01-01", "2022-01-01"),
        ([2018, 2019, 2020, 2021, 2022, 2023], 2020, 2022.0),
    ],
)
def test_every_calendar_reads_dates_of_its_own(periods, start, end):
    assert states(panel_of(periods), spells(("A", start, end))) == [[0, 0, 1, 1, 0, 0], [0] * 6]


def test_a_month_partly_covered_is_a_part_period():
    table = spells(("A", "2020-02-16", "2020-04-06"), ("B", "2020-03-20", None))
    panel = panel_of(MONTHS)
    # A: 14 of 29 days of February and 5 of 30 of April; B: 12 of 31 days of March.
    assert states(panel, table) == [[0, -3, 1, -1, 0, 0], [0, 0, -2, 1, 1, 1]]
    assert states(panel, table, part_period="half") == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert states(panel, table, part_period="full") == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    early = spells(("A", "2020-02-10"), ("B", "2020-03-01"))
    assert states(panel, early, part_period="half") == [[0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]


def test_spells_carry_doses():
    table = spells(
        ("A", 1, 3, 0.5), ("A", 3, None, 1.0), ("B", 2, None, None), columns=("level_id", "start", "end", "dose")
    )
    assert states(panel_of([0, 1, 2, 3, 4]), table) == [[0, 1, 1, 2, 2], [0, 0, 2, 2, 2]]
    assert states(panel_of([0, 1, 2, 3, 4]), table, bins=(0.75,)) == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]


def test_a_dose_that_changes_part_way_is_part_way_unless_in_one_bin():
    columns = ("level_id", "start", "end", "dose")
    table = spells(("A", "2020-01", "2020-03-16", 0.5), ("A", "2020-03-16", None, 1.0), columns=columns)
    panel = panel_of(MONTHS)
    assert states(panel, table)[0] == [1, 1, -1, 2, 2, 2]
    assert states(panel, table, bins=(0.25,))[0] == [1] * 6
    assert states(panel, table, part_period="full")[0] == [1, 1, 1, 2, 2, 2]


def test_one_table_serves_several_components():
    table = pd.DataFrame({"component": ["nurse", "court"], "level_id": ["A", "B"], "start": [1, 2]})
    study = ek.Study(
        panel_of([0, 1, 2, 3]),
        unit="person",
        period="time",
        cluster="borough",
        components=[ek.Component("nurse", adoption=table), ek.Component("court", adoption=table)],
    )
    state = study.paths.state[study.paths.path]
    assert state[0].tolist() == [[0, 0], [1, 0], [1, 0], [1, 0]]
    assert state[2].tolist() == [[0, 0], [0, 0], [0, 1], [0, 1]]


def test_spells_say_what_was_on_where_nobody_was_seen():
    panel = panel_of([0, 1, 2, 3])
    assert states(panel[~((panel.person == "A0") & (panel.time > 0))], spells(("A", 2)))[0] == [0, 0, 1, 1]


def test_places_may_be_numbers_written_as_text():
    panel = panel_of([0, 1, 2]).assign(borough=lambda f: f.borough.map({"A": 1, "B": 2}))
    component = ek.Component("nurse", adoption=spells(("1", 1)))
    study = ek.Study(panel, unit="person", period="time", components=[component], cluster="borough")
    assert study.paths.state[study.paths.path, :, 0].tolist() == [[0, 1, 1]] * 2 + [[0, 0, 0]] * 2


def test_an_association_counts_by_its_share_of_each_borough():
    links = pd.DataFrame({"from": ["x", "y", "x", "z"], "to": ["A", "A", "B", "B"], "weight": [0.75, 0.25, 0.5, 0.5]})
    policy = ek.Component("policy", adoption=spells(("x", 1), ("y", 2)), assigned_at="association", bins=(0.25, 0.75))
    study = ek.Study(
        panel_of([0, 1, 2, 3]),
        unit="person",
        period="time",
        cluster="borough",
        components=[policy],
        levels={"association": ek.Links(links, to="borough")},
    )
    assert study.paths.state[study.paths.path, :, 0][[0, 2]].tolist() == [[0, 2, 2, 2], [0, 1, 1, 1]]
    assert study.paths.assigned_at["policy"] == "borough"


def test_memberships_must_sum_to_one():
    links = pd.DataFrame({"from": ["x", "y", "x"], "to": ["A", "A", "B"], "weight": [0.75, 0.2, 1.0]})
    with pytest.raises(ek.EvalkitError, match=r"do not sum to one: A sums to 0.95 .*rows 0, 1"):
        ek.Study(
            panel_of([0, 1, 2]),
            unit="person",
            period="time",
            components=[ek.Component("policy", adoption=spells(("x", 1)), assigned_at="association")],
            levels={"association": ek.Links(links, to="borough")},
        )


BAD = {
    "overlap": (spells(("A", 1, 3), ("A", 2, None)), "Spells of one place overlap .*rows 0, 1"),
    "backwards": (spells(("A", 3, 1)), "ends before it starts.*row 0"),
    "empty": (spells(("A", 2, 2)), "or as it starts"),
    "place": (spells(("A", 1), ("Camden", 1)), "does not have: 'Camden' .*row 1"),
    "start": (spells(("A", None)), "start is missing"),
    "text": (spells(("A", "spring")), "not a date of this calendar .*row 0"),
    "end": (spells(("A", 1, "autumn")), "'autumn' is not a date of this calendar"),
    "dose": (spells(("A", 1, None, -1.0), columns=("level_id", "start", "end", "dose")), "dose is negative"),
    "columns": (pd.DataFrame({"place": ["A"], "start": [1]}), "no column 'level_id'"),
    "nobody": (pd.DataFrame({"component": ["nurze"], "level_id": ["A"], "start": [1]}), "no spells.*nurze"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_spells_are_refused_with_table_and_rows(case):
    table, message = BAD[case]
    with pytest.raises(ek.EvalkitError, match=message) as caught:
        states(panel_of([0, 1, 2, 3]), table)
    assert "adoption of component 'nurse'" in str(caught.value)


def test_gaps_are_warned_of_and_filled_by_every():
    panel = panel_of([2000, 2001, 2003, 2004])
    table = spells(("A", 2002))
    with pytest.warns(ek.EvalkitWarning, match="gaps after 2001"):
        study = ek.Study(
            panel, unit="person", period="time", components=[ek.Component("n", adoption=table)], cluster="borough"
        )
    assert study.paths.n_periods == 4
    study = ek.Study(
        panel, unit="person", period="time", components=[ek.Component("n", adoption=table)], cluster="borough", every=1
    )
    assert study.paths.periods.tolist() == [2000, 2001, 2002, 2003, 2004]
    assert study.paths.state[study.paths.path, :, 0][0].tolist() == [0, 0, 1, 1, 1]
    assert not study.paths.seen[:, 2].any() and study.paths.seen[:, [0, 1, 3, 4]].all()


@pytest.mark.parametrize(
    ("given", "every", "added"),
    [
        (["2019-11", "2020-02"], 1, ["2019-12", "2020-01"]),
        (["2019Q4", "2020Q2"], 1, ["2020Q1"]),
        (["2020-01-01", "2020-01-03"], 1, ["2020-01-02"]),
    ],
)
def test_periods_between_are_written_like_the_others(given, every, added):
    study = ek.Study(panel_of(given).assign(n=1), unit="person", period="time", components=["n"], every=every)
    assert [p for p in study.paths.periods if p not in given] == added


def test_months_of_different_length_are_no_gap():
    assert make_calendar(pd.date_range("2019-01-01", periods=30, freq="MS").to_numpy()).gaps == ()
    assert make_calendar(pd.date_range("2019-01-01", periods=9, freq="QS").to_numpy()).gaps == ()
    assert len(make_calendar(np.array(["2020-01-06", "2020-01-13", "2020-01-27"], dtype="datetime64[ns]")).gaps) == 1


def test_periods_come_in_order_of_time():
    panel = panel_of(["2020Q1", "2019Q4", "2020Q2"])
    study = ek.Study(panel.assign(n=1), unit="person", period="time", components=["n"])
    assert study.paths.periods.tolist() == ["2019Q4", "2020Q1", "2020Q2"]
    panel = panel_of(["9", "10", "11"])
    study = ek.Study(panel.assign(n=1), unit="person", period="time", components=["n"])
    assert study.paths.periods.tolist() == ["9", "10", "11"]


def test_a_date_has_no_place_among_numbers_that_are_not_years():
    with pytest.raises(ek.EvalkitError, match="not a date of this calendar"):
        states(panel_of([0, 1, 2]), spells(("A", "2020-03-01")))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.booleans())
def test_spells_and_a_column_say_the_same(seed, gaps):
    rng = np.random.default_rng(seed)
    panel = panel_of(list(range(9)), "ABC")
    starts, lengths, again = rng.integers(0, 6, 3), rng.integers(1, 4, 3), rng.integers(1, 3, 3)
    first = [(p, s, s + n) for p, s, n in zip("ABC", starts, lengths, strict=True)]
    second = [(p, s + n + g, None) for p, s, n, g in zip("ABC", starts, lengths, again, strict=True)]
    table = spells(*first, *second).sample(frac=1, random_state=seed)
    on = pd.concat([panel.borough.eq(p) & panel.time.between(s, e - 1) for p, s, e in first], axis=1).any(axis=1)
    on |= pd.concat([panel.borough.eq(p) & panel.time.ge(s) for p, s, _ in second], axis=1).any(axis=1)
    panel["n"] = on.astype(int)
    panel = panel.sample(frac=0.8, random_state=seed) if gaps else panel
    more = {"unit": "person", "period": "time", "cluster": "borough"}
    by_spells = ek.Study(panel, components=[ek.Component("n", adoption=table)], **more)
    by_column = ek.Study(panel, components=["n"], **more)
    a = by_spells.paths.state[by_spells.paths.path, :, 0]
    b = by_column.paths.state[by_column.paths.path, :, 0]
    seen = np.ones(a.shape, dtype=bool) if by_column.paths.seen is None else by_column.paths.seen
    assert (a[seen] == b[seen]).all()
    assert gaps or (a == b).all()


def test_spells_that_nearly_name_the_component_are_not_lost_in_silence():
    table = pd.DataFrame({"component": ["nurse", "nurze", "court"], "level_id": ["A", "B", "B"], "start": [2, 3, 4]})
    with pytest.raises(ek.EvalkitError, match=r"Unknown component 'nurze' \(adoption of .*row 1\). Did you mean"):
        states(panel_of([0, 1, 2, 3, 4, 5]), table)
    assert states(panel_of([0, 1, 2, 3, 4, 5]), table[table["component"] != "nurze"])[1] == [0] * 6


def test_uncertain_dates_are_read_early_or_late():
    rows = [("A", "2020-05", None, "quarter"), ("B", "2020-05", "2020-08", "guessed"), ("B", "2020-09", None, "month")]
    table = pd.DataFrame(rows, columns=["level_id", "start", "end", "certainty"])
    months = [f"2020-{m:02d}" for m in range(1, 13)]
    on = lambda how: [np.flatnonzero(row).tolist() for row in states(panel_of(months), table, dates=how)]  # noqa: E731
    assert on("as_given") == [[*range(4, 12)], [4, 5, 6, *range(8, 12)]]
    assert on("early") == [[*range(3, 12)], [1, 2, 3, *range(8, 12)]]
    assert on("late") == [[*range(5, 12)], [7, *range(8, 12)]]  # the second spell of B is sure, and ends the first


def test_an_unknown_certainty_names_its_row():
    table = pd.DataFrame({"level_id": ["A", "B"], "start": [2, 3], "certainty": ["month", "gessed"]})
    with pytest.raises(ek.EvalkitError, match=r"certainty 'gessed' is not a choice \(adoption of .*row 1\)"):
        states(panel_of([0, 1, 2, 3, 4, 5]), table)
    with pytest.raises(ek.EvalkitError, match="dates='soon' is not a choice"):
        ek.Component("nurse", adoption=table, dates="soon")
