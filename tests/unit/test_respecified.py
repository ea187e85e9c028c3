"""Other choices than the study's: the numbers are those of the designs under them, with or without sliders."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.reporting.explore import Explored
from tests.unit.site_cases import two_by_site


@pytest.fixture(scope="module")
def study() -> ek.Study:
    """Two components over 24 sites; half of the sites never have `a`."""
    frame = two_by_site(-1.0)
    components = [ek.Component("a", label="Art"), ek.Component("b", label="Ballet")]
    outcome = ek.Outcome("y", kind="score", better="lower", matters=0.6)
    return ek.Study(frame, unit="site", period="month", outcome=outcome, components=components)


@pytest.fixture(scope="module")
def effects(study: ek.Study) -> pd.DataFrame:
    return ek.evaluate(study).effects


@pytest.mark.parametrize(("window", "group"), [(1, "not_yet"), (3, "never")])
def test_numbers_are_those_of_the_design_under_the_choices(study: ek.Study, window: int, group: str) -> None:
    found = ek.respecify(study, base_window=window, comparison=group).set_index("component")
    rows = ek.StaggeredRollout(base_window=window, comparison=group)(study, "a")
    until = ek.separability(study).components.set_index("component").loc["a", "clean_until"]
    wanted = rows.over(0, None if np.isnan(until) else int(until)).to_frame()
    for column in ("estimate", "std_error", "conf_low", "conf_high"):
        assert found.loc["a", column] == pytest.approx(wanted[column].iloc[0], rel=1e-12)
    assert found.loc["a", "base_window"] == window and set(found["comparison"]) == {group}


def test_without_choices_they_are_the_studys(study: ek.Study) -> None:
    usual = ek.respecify(study)
    assert set(usual["base_window"]) == {6} and set(usual["matters"]) == {0.6}
    told = study.replace(settings={"base_window": 2, "comparison": "never"})
    pd.testing.assert_frame_equal(ek.respecify(told), ek.respecify(study, base_window=2, comparison="never"))


def test_the_published_form_stands_beside_the_evaluation(study: ek.Study, effects: pd.DataFrame) -> None:
    tried = effects.set_index(["component", "design"])["estimate"]
    for row in ek.respecify(study).to_dict("records"):
        assert "equal weights" in row["design"]
        assert tried[row["component"], row["design"]] == pytest.approx(row["estimate"], rel=1e-12)


def test_what_matters_turns_the_lean_and_no_number(study: ek.Study) -> None:
    leans = {size: ek.respecify(study, matters=size) for size in (0, 0.1, 5.0)}
    assert [table["lean"].iloc[0] for table in leans.values()] == ["harm_ruled_out", "harm_ruled_out", "both_ruled_out"]
    for table in leans.values():
        pd.testing.assert_series_equal(table["conf_low"], leans[0]["conf_low"])
    assert np.isnan(leans[0]["matters"]).all()


@pytest.mark.parametrize(
    ("choice", "words"),
    [({"base_window": 0}, "1 or more"), ({"comparison": "nobody"}, "not_yet"), ({"matters": -1.0}, "matters=-1.0"),
     ({"outcome": "z"}, "z"), ({"level": 95}, "level")],
)  # fmt: skip
def test_choices_that_there_are_not_are_refused(study: ek.Study, choice: dict, words: str) -> None:
    with pytest.raises(ek.EvalkitError, match=words):
        ek.respecify(study, **choice)


def test_what_cannot_be_estimated_says_why() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"site": np.repeat(np.arange(8), 6), "month": np.tile(np.arange(6), 8)})
    frame["a"] = frame["b"] = ((frame["site"] < 4) & (frame["month"] >= 3)).astype(int)
    frame["y"] = rng.normal(size=48)
    both = ek.Study(frame, unit="site", period="month", outcome="y", components=["a", "b"])
    table = ek.respecify(both)
    assert table["estimate"].isna().all() and table["reason"].str.len().min() > 10 and set(table["lean"]) == {""}
    page = Explored(both, both.outcome()).page(3, "not_yet", 0.2)
    assert "no effect is given" in page and "Why there is no number" in page
    assert Explored(both, both.outcome()).most == 1.0


def test_people_at_one_time_have_no_base_window() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(90), "got": (rng.random(90) < 0.5).astype(int), "x": rng.normal(size=90)})
    frame["y"] = rng.normal(size=90) + 2 * frame["got"]
    people = ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x",))
    row = ek.respecify(people, base_window=4).iloc[0]
    assert row["design"] == "MatchedComparison" and row["base_window"] is pd.NA and row["conf_low"] > 0
    assert Explored(people, people.outcome()).widest == 6


def test_the_page_beside_the_sliders_says_what_the_table_says(study: ek.Study, effects: pd.DataFrame) -> None:
    made = Explored(study, study.outcome(), answers=effects)
    table = made.table(2, "never", 0.5)
    pd.testing.assert_frame_equal(table, ek.respecify(study, base_window=2, comparison="never", matters=0.5))
    picture, page = made.picture(2, "never", 0.5), made.page(2, "never", 0.5)
    assert picture.title == "Base of 2 periods, beside those never exposed"
    low, high = picture.data["conf_low"], picture.data["conf_high"]
    assert list(low) == list(table["conf_low"]) and list(high) == list(table["conf_high"])
    assert "Art: harm ruled out; " in picture.description and "no verdict is given" in page
    assert "answers of other designs" in "".join(
        t.get_text() for t in picture.figure.findobj(lambda a: hasattr(a, "get_text"))
    )
    assert f"{table['estimate'].iloc[0]:.4g}".replace("-", "−") in page
    assert made.most >= 2 * 0.6 and made.widest == 9
    assert made.table(2, "never", 0.9)["estimate"].tolist() == table["estimate"].tolist()


def test_sliders_turn_the_page(study: ek.Study) -> None:
    pytest.importorskip("ipywidgets")
    box = ek.explore(study)
    window, beside, matters, shown = box.children
    made = Explored(study, study.outcome())
    assert (window.value, beside.value, matters.value) == (6, "not_yet", 0.6)
    assert shown.value == made.page(6, "not_yet", 0.6)
    window.value, matters.value = 2, 0.3
    assert shown.value == made.page(2, "not_yet", 0.3)
    beside.value = "never"
    assert shown.value == made.page(2, "never", 0.3)


def test_without_ipywidgets_it_says_what_to_install(study: ek.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ek.EvalkitError, match=r"pip install 'evalkit-components\[widget\]'.*ek.respecify"):
        ek.explore(study)
