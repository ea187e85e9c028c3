"""Labels of combined rows: what they agree on, and how many people stand behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.inference.labelled import Labels

LABELS = pd.DataFrame({
    "component": ["a"] * 4, "cohort": [3, 3, 5, 7], "event_time": [0, 1, 0, 0], "inference_level": ["site"] * 4,
    "population": ["x", "x", "x", "y"], "units_exposed": [2, 2, 2, 2], "units_comparison": [9, 8, 9, 9],
    "reason": ["", "", "", "none left"],
})  # fmt: skip


def test_people_of_different_cohorts_are_added_even_when_the_counts_are_alike():
    frame = Labels.of(LABELS).common([np.array([0, 2, 3]), np.array([0, 1])]).frame
    assert list(frame["units_exposed"]) == [6, 2]
    assert list(frame["units_comparison"]) == [9, 9]


def test_columns_that_differ_say_several_or_nothing():
    frame = Labels.of(LABELS).common([np.array([0, 2, 3]), np.array([0, 1])]).frame
    assert list(frame["population"]) == ["several", "x"]
    assert np.isnan(frame["cohort"][0]) and frame["cohort"][1] == 3
    assert frame["reason"][1] == "" and pd.isna(frame["reason"][0])


def test_rows_that_count_no_people_are_passed_over():
    labels = LABELS.assign(units_exposed=[2.0, 4.0, np.nan, np.nan])
    frame = Labels.of(labels).common([np.array([0, 1, 2]), np.array([2, 3])]).frame
    assert list(frame["units_exposed"]) == [4, 0]
