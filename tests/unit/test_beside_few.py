"""Beside a headline of fewer than three places stands what each would say alone: shown, never judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.evaluation import rungs
from evalkit.evaluation.ladder import Choices, Window, run
from evalkit.language.one_by_one import one_by_one
from evalkit.reporting import sections
from evalkit.reporting.blocks import Group, Paragraph

ALONE = ["SyntheticDifferenceInDifferences", "SyntheticControl", "InterruptedTimeSeries"]
NUMBERS = ["estimate", "std_error", "conf_low", "conf_high"]


def study(starts: dict[str, int], places: int = 8, periods: int = 40, **more: Any) -> ek.Study:
    """Places that share a wandering factor; those of `starts` move by 2 from then on."""
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(places)]
    factor = np.cumsum(rng.normal(size=periods)) * 0.3
    y = 2 * rng.normal(size=(places, 1)) + rng.uniform(0.5, 1.5, size=(places, 1)) * factor
    y = y + 0.5 * rng.normal(size=(places, periods))
    frame = pd.DataFrame({"place": np.repeat(names, periods), "month": np.tile(np.arange(periods), places)})
    frame["a"] = (frame["month"] >= frame["place"].map(starts).fillna(999)).astype(int)
    frame["y"] = y.ravel() + 2.0 * frame["a"]
    return ek.Study(frame, unit="place", period="month", outcomes=["y"], components=["a"], matters=0.5, **more)


TWO, THREE = {"p0": 24, "p1": 28}, {"p0": 24, "p1": 28, "p2": 30}


@pytest.fixture(scope="module")
def two() -> ek.Evaluation:
    return ek.evaluate(study(TWO))


def alone_of(evaluation: ek.Evaluation) -> pd.DataFrame:
    effects = evaluation.effects.set_index("design")
    return effects[effects.index.isin([*ALONE, "InterruptedTimeSeries(control)", "DifferenceBesidePlaces"])]


def test_two_places_stand_beside_a_mix_and_their_own_past_by_the_designs_called_by_hand(two):
    found = alone_of(two)
    assert found.index.tolist() == ALONE and not found["headline"].any()
    until = int(two.separability.components["clean_until"].iloc[0])
    by_hand = [ek.SyntheticDifferenceInDifferences(), ek.SyntheticControl(), ek.InterruptedTimeSeries()]
    for name, design in zip(ALONE, by_hand, strict=True):
        expected = design(two.study, "a").over(0, until).to_frame().iloc[0]
        np.testing.assert_allclose(found.loc[name, NUMBERS].astype(float), expected[NUMBERS].astype(float), rtol=1e-9)
        assert found.loc[name, "clusters_exposed"] == 2 and found.loc[name, "reason"] == ""


def test_they_neither_pass_nor_fail_anything(two, monkeypatch):
    monkeypatch.setitem(ek.evaluate.__wrapped__.__globals__, "beside_few", lambda *_: ())
    without = ek.evaluate(study(TWO))
    assert alone_of(without).empty
    pd.testing.assert_frame_equal(two.checks, without.checks)
    pd.testing.assert_frame_equal(two.verdicts, without.verdicts)
    rest = two.effects[~two.effects["design"].isin(ALONE)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, without.effects)


def test_three_places_and_more_are_left_untouched(monkeypatch):
    made = study(THREE)
    monkeypatch.setattr(rungs, "find_places", lambda *_: pytest.fail("nothing of one place is worked out"))
    found = ek.evaluate(made)
    assert found.effects["clusters_exposed"].max() == 3
    assert alone_of(found).empty


def test_only_what_exposures_and_periods_allow_is_shown():
    few_others = ek.evaluate(study(TWO, places=5))
    assert alone_of(few_others).index.tolist() == ["InterruptedTimeSeries"]
    short = ek.evaluate(study({"p0": 13, "p1": 14}, places=7, periods=20))
    assert alone_of(short).index.tolist() == ALONE[:2]
    assert alone_of(ek.evaluate(study({"p0": 6, "p1": 7}, places=4, periods=10))).empty


def test_a_headline_of_one_place_has_its_own_ladder_and_no_second_one():
    found = ek.evaluate(study({"p0": 24}))
    counted = found.effects["design"].value_counts()
    assert found.effects.loc[found.effects["headline"], "design"].tolist() == ["SyntheticDifferenceInDifferences"]
    assert (counted == 1).all()


def test_what_was_dealt_by_chance_needs_no_place_alone():
    made = study(TWO)
    view = replace(run(rungs.rungs_for(made, "a", "StaggeredRollout(same)", Choices(), Window(), "y")[0], made, "a",
                       Window()))  # fmt: skip
    assert len(rungs.beside_few(made, "a", view, Choices(), "y")) == 3
    chance = replace(view, rung=replace(view.rung, design=ek.RandomisedComparison(outcome="y")))
    assert rungs.beside_few(made, "a", chance, Choices(), "y") == ()


def paragraphs(block: Any) -> list[str]:
    if isinstance(block, Paragraph):
        return [str(block.text)]
    return [t for b in getattr(block, "blocks", ()) for t in paragraphs(b)]


def test_the_report_names_them_as_what_they_are(two):
    said = [t for t in paragraphs(sections.estimates(two, {})) if "looked at alone" in t]
    assert len(said) == 1
    for words in ("one place beside a mix of others that moved with it, ", "its own level set aside, ",
                  "one place beside its own past, ", "lean on other assumptions", "cannot pass or fail"):  # fmt: skip
        assert words in said[0]
    titles = [
        row[0].text if hasattr(row[0], "text") else str(row[0])
        for block in sections.estimates(two, {}).blocks
        for table in tables(block)
        for row in table.rows
    ]
    assert sum("One place beside" in t for t in titles) == 3
    assert not any("looked at alone" in t for t in paragraphs(sections.estimates(ek.evaluate(study(THREE)), {})))


def tables(block: Any) -> list[Any]:
    if isinstance(block, Group):
        return [t for b in block.blocks for t in tables(b)]
    return [block] if hasattr(block, "rows") else []


def test_a_range_that_is_withheld_is_not_said(two):
    outcome = two.study.outcome()
    one = two.effects.assign(conf_low=two.effects["conf_low"].where(two.effects["design"] == ALONE[1]))
    said = one_by_one(one, ALONE, outcome, "£", "court")
    assert said.startswith("Fewer than three courts with it") and "own past" not in said
    assert "This leans on other assumptions" in said
    assert one_by_one(one.assign(conf_low=np.nan), ALONE, outcome, "£", "court") == ""
