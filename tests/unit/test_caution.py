"""An interval from fewer than three clusters in an arm says so wherever the estimate is printed."""

import numpy as np
import pandas as pd
import pytest

import evalkit as ek


def study(exposed: int, sites: int = 12, periods: int = 8) -> ek.Study:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(sites), periods), "month": np.tile(np.arange(periods), sites),
    })  # fmt: skip
    frame["on"] = ((frame["site"] < exposed) & (frame["month"] >= 4)).astype(int)
    frame["y"] = rng.normal(size=len(frame)) + frame["on"]
    return ek.Study(
        frame, unit="site", period="month", outcome="y", better="higher", components=[ek.Component("a", exposure="on")]
    )


@pytest.mark.parametrize(("exposed", "arm"), [(2, "exposed"), (10, "comparison")])
def test_two_clusters_in_an_arm_are_named_in_table_and_print(exposed, arm):
    average = ek.StaggeredRollout()(study(exposed), "a").aggregate("simple")
    words = average.to_frame()["caution"][0]
    assert words.startswith(f"2 {arm} clusters:")
    assert f"2 {arm} clusters:" in repr(average)
    assert f"2 {arm} clusters:" in average._repr_html_()


def test_three_clusters_an_arm_need_no_caution():
    average = ek.StaggeredRollout()(study(3), "a").aggregate("simple")
    assert average.to_frame()["caution"][0] == ""
    assert "caution" not in repr(average)


def test_a_row_without_interval_gives_its_reason_alone():
    row = ek.StaggeredRollout()(study(1), "a").aggregate("simple").to_frame().iloc[0]
    assert np.isnan(row["conf_low"])
    assert row["caution"] == ""
    assert row["reason"]


def test_printed_reasons_are_whole_and_name_their_rows():
    rows = ek.StaggeredRollout()(study(1), "a")
    reason = rows.to_frame()["reason"][0]
    assert len(reason) > 30
    assert f"{reason}." in repr(rows) and repr(rows).count(reason) == 1
    assert repr(rows).splitlines()[-1].startswith("Rows 0, 1, 2")
