"""Labels read column by column are those of their table, and nobody pays for what is not read."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import figures
from evalkit.inference import Estimate
from evalkit.inference.labelled import Labels

WORDS = st.sampled_from(["policy", "nurse", ""])


@st.composite
def tables(draw: st.DrawFn, least: int = 0) -> pd.DataFrame:
    """Rows of all kinds of columns that designs give."""
    n = draw(st.integers(least, 6))
    many = partial(st.lists, min_size=n, max_size=n)
    return pd.DataFrame({
        "component": pd.array(draw(many(WORDS)), dtype="str"),
        "cohort": np.array(draw(many(st.integers(3, 5))), dtype=int),
        "mass": np.array(draw(many(st.sampled_from([0.0, 2.5, np.nan]))), dtype=float),
        "reason": np.array(draw(many(WORDS)), dtype=object),
        "since": pd.array(draw(many(st.sampled_from(["2024-01", "2024-02"]))), dtype="datetime64[ns]"),
        "units_exposed": np.array(draw(many(st.integers(0, 9))), dtype=int),
    })  # fmt: skip


def assert_alike(found: Labels, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.frame, table, check_dtype=len(table) > 0)


@given(tables(), st.data())
def test_rows_that_are_taken_are_those_of_the_table(table, data):
    at = np.array(data.draw(st.lists(st.integers(0, len(table) - 1), max_size=5)) if len(table) else [], dtype=int)
    assert_alike(Labels.of(table).take(at), table.iloc[at].reset_index(drop=True))


@given(tables(1), tables(1))
def test_rows_below_each_other_are_those_of_the_tables(one, other):
    other = other.drop(columns=["cohort", "component"])
    assert_alike(Labels.joined([Labels.of(one), Labels.of(other)]), pd.concat([one, other], ignore_index=True))
    assert_alike(Labels.joined([Labels.of(one), Labels.of(one)]), pd.concat([one, one], ignore_index=True))


@given(tables())
def test_other_columns_stand_where_the_old_ones_stood(table):
    made = Labels.of(table).assign(component="all", more=np.arange(len(table)))
    assert_alike(made, table.assign(component="all", more=np.arange(len(table))))
    assert list(made.without("cohort")) == [c for c in made if c != "cohort"]


@settings(max_examples=200)
@given(tables(1), st.data())
def test_a_combination_says_what_its_rows_agree_on(table, data):
    groups = data.draw(st.lists(st.lists(st.integers(0, len(table) - 1), min_size=1, unique=True), min_size=1))
    found = Labels.of(table).common([np.array(g) for g in groups]).frame
    for name in ("component", "cohort", "since"):
        for i, g in enumerate(groups):
            told = set(table[name].iloc[g])
            agreed = found[name].iloc[i]
            assert agreed in told if len(told) == 1 else agreed == "several" or pd.isna(agreed), (name, i)
    for i, g in enumerate(groups):
        people = table.iloc[g].groupby("cohort")["units_exposed"].max().sum()
        assert found["units_exposed"].iloc[i] == people


def test_one_value_for_all_rows_is_that_of_each():
    made = Labels(3, {"component": "policy", "event_time": np.arange(3)})
    assert made["component"].tolist() == ["policy"] * 3
    both = made.common([np.array([0, 2])])
    assert both.at("component", 0) == "policy" and np.isnan(both.at("event_time", 0))
    pd.testing.assert_frame_equal(made.frame, pd.DataFrame({"component": ["policy"] * 3, "event_time": np.arange(3)}))


def test_what_nobody_reads_is_not_worked_out_and_what_is_read_is_worked_out_once():
    asked = []

    def make() -> np.ndarray:
        asked.append(1)
        return np.array([1.0, 2.0])

    made = Labels(2, {"cohort": np.array([3, 4]), "share": make})
    derived = made.assign(reason="").take(np.array([0])).assign(more=1)
    assert derived.at("cohort", 0) == 3 and not asked
    assert derived.at("share", 0) == 1.0 and made["share"].tolist() == [1.0, 2.0] and len(asked) == 1


def test_labels_of_labels_without_end_are_read_on_the_way():
    made = Labels(1, {"cohort": lambda: np.array([3])})
    for _ in range(2000):
        made = made.take(np.array([0]))
    assert made.at("cohort", 0) == 3


def test_what_is_sent_is_read_before():
    made = pickle.loads(pickle.dumps(Labels(1, {"cohort": lambda: np.array([3]), "component": "policy"})))
    pd.testing.assert_frame_equal(made.frame, pd.DataFrame({"cohort": [3], "component": ["policy"]}))


def test_an_estimate_takes_a_table_and_gives_it_back():
    table = pd.DataFrame({"component": ["a", "b"]}, index=pd.Index([5, 6]))
    est = Estimate.from_influence([1.0, 2.0], np.eye(2), table.reset_index(drop=True))
    pd.testing.assert_frame_equal(est.labels, table.reset_index(drop=True))
    assert est.with_labels(component="c").labels["component"].tolist() == ["c", "c"]
    with pytest.raises(AttributeError):
        est.labels = table


def test_what_is_given_later_changes_nothing_and_what_is_written_into_labels_is_read_everywhere():
    table, words = pd.DataFrame({"component": ["a", "b"], "event_time": [0, 1]}), ["x", "y"]
    est = Estimate.from_influence([1.0, 2.0], np.eye(2), table).with_labels(said=words)
    table.loc[0, "component"] = "changed"
    del table["event_time"]
    words.append("z")
    with pytest.raises(ValueError, match="read-only"):
        est.label_columns["event_time"][:] = 9
    for told in (est.labels, est.to_frame(), est.select(np.array([0, 1])).labels):
        assert told["component"].tolist() == ["a", "b"] and told["event_time"].tolist() == [0, 1]
        assert told["said"].tolist() == ["x", "y"]
    est = est.with_labels(said="z")
    est.labels["component"] = ["c", "d"]
    for told in (
        est.labels,
        est.to_frame(),
        est.select(np.array([0, 1])).labels,
        pickle.loads(pickle.dumps(est)).labels,
    ):
        assert told["component"].tolist() == ["c", "d"] and est.row(1)["component"] == "d"


def test_categories_that_differ_are_several():
    labels = Labels.of(pd.DataFrame({"component": pd.Categorical(["a", "b"])}))
    assert labels.common([np.array([0, 1])]).at("component", 0) == "several"


@pytest.mark.parametrize(("times", "drawn"), [([np.nan, np.nan], "side by side"), ([0.0, 1.0], "over time")])
def test_rows_of_no_time_are_not_drawn_over_time(monkeypatch, times, drawn):
    monkeypatch.setattr(figures, "estimates", lambda est: "side by side")
    monkeypatch.setattr(figures, "event_study", lambda est: "over time")
    table = pd.DataFrame({"component": ["a", "b"], "event_time": times})
    assert Estimate.from_influence([1.0, 2.0], np.eye(2), table).plot() == drawn
