"""Pictures of balance and overlap: every number in words, the same bytes twice, fit for a telephone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError


@pytest.fixture(scope="module")
def study() -> ek.Study:
    rng = np.random.default_rng(0)
    n = 600
    x, z = rng.normal(size=(2, n))
    frame = pd.DataFrame({"id": np.arange(n), "x": x, "z": z, "y": x, "nurse": (rng.random(n) < 0.4).astype(int)})
    frame["got"] = (rng.random(n) < 1 / (1 + np.exp(1 - x))).astype(int)
    frame["court"] = (rng.random(n) < 0.1).astype(int)
    frame.loc[frame["court"] == 1, "got"] = 1
    return ek.Study(
        frame, unit="id", period=None, outcome="y", components=["got", "nurse", "court"], covariates=("x", "z")
    )


def test_love_of_a_matching(study):
    matching = ek.MatchedComparison(caliper=0.1).match(study, "got")
    picture = ek.plot.describe(ek.plot.love, matching, labels={"x": "Need"})
    assert picture.title.startswith("After matching, 3 covariates of 3 are alike")
    assert "Need: +" in picture.description
    assert picture.data["covariate"].iloc[0] in ("x", "propensity score")
    axes = picture.figure.axes[0]
    before, after = axes.lines[1].get_xdata(), axes.lines[2].get_xdata()
    np.testing.assert_allclose(before, picture.data["smd_before"])
    np.testing.assert_allclose(after, picture.data["smd_after"])
    again = ek.plot.describe(ek.plot.love, matching, labels={"x": "Need"})
    assert picture.svg == again.svg
    assert picture.phone_svg is not None


def test_love_of_a_weighting_and_of_a_table(study):
    weighting = ek.WeightedComparison(method="entropy").weigh(study, "got")
    assert ek.plot.love(weighting) is not None
    assert ek.plot.love(weighting.balance()) is not None
    with pytest.raises(OptionError, match="it got int"):
        ek.plot.love(3)
    with pytest.raises(OptionError, match="lacks the columns smd_after"):
        ek.plot.love(weighting.balance().drop(columns="smd_after"))


def test_overlap_by_combination(study):
    plan = ek.MatchedComparison().plan(study.paths, "got")
    picture = ek.plot.describe("overlap", plan, labels={"nurse": "Nurse"})
    assert "exposed only" in picture.description
    assert "With Nurse:" in picture.description
    lonely = plan.table.loc[plan.table["comparison"] == 0, "exposed"].sum()
    share = round(100 * (1 - lonely / plan.table["exposed"].sum()))
    assert picture.title.startswith(f"{share} of every 100")
    widths = [p.get_width() for p in picture.figure.axes[1].patches]
    assert sum(widths) == plan.table[["exposed", "comparison"]].to_numpy().sum()


def test_overlap_along_the_score(study):
    matching = ek.MatchedComparison(others="ignored").match(study, "got")
    picture = ek.plot.describe(ek.plot.overlap, matching)
    assert picture.data["exposed"].sum() == matching.people.exposed.sum()
    assert "people with it" in picture.title
    with pytest.raises(OptionError, match="fits no propensity score"):
        ek.plot.overlap(ek.MatchedComparison(method="cem").match(study, "got"))
    with pytest.raises(OptionError, match="it got str"):
        ek.plot.overlap("plan")


def test_regression_to_mean():
    rng = np.random.default_rng(3)
    true = rng.normal(size=3000)
    before, after = true + rng.normal(size=(2, 3000))
    frame = pd.DataFrame(
        {"id": np.arange(3000), "score": before, "support": (before < -1).astype(int), "y": after - before}
    )
    people = ek.Study(frame, unit="id", period=None, outcome="y", components=["support"])
    table = ek.RegressionDiscontinuity("score", -1.0).expected(people, "support")
    picture = ek.plot.describe("regression_to_mean", table, score="first test", outcome="change")
    assert "was to be expected without it" in picture.alt
    assert "nobody without it has such a score" in picture.description
    drawn = np.concatenate([line.get_ydata() for line in picture.figure.axes[0].lines[2:]])
    np.testing.assert_allclose(np.sort(drawn), np.sort(table["outcome"]))
    with pytest.raises(OptionError, match="lacks the columns"):
        ek.plot.regression_to_mean(table.drop(columns="expected"))
