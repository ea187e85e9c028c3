"""What disclosure control counts: differences between groups, places of a few, sums that hang on one, sentences."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.disclosure import people
from evalkit.disclosure.people import flow_table
from evalkit.disclosure.rules import PROFILES, without_small_numbers
from evalkit.reporting.formats import make_notebook, run_notebook
from evalkit.show.words import of_people, retold

ACRO = PROFILES["acro"]
SITES, EACH, MONTHS = 6, 20, 6


def study(**changes: Any) -> ek.Study:
    """120 people in six sites; a reaches ten in each, b all of those but three; both start in three of the sites.

    One person makes a thousand visits a month, everybody else one.
    """
    person = np.arange(SITES * EACH)
    site, month = person // EACH, np.arange(MONTHS)
    reach_a = person % EACH < 10
    reach_b = reach_a & ~np.isin(person, (0, EACH, 2 * EACH))
    starts = np.where(site < 3, 2, 99)
    on = month[None, :] >= starts[:, None]
    frame = pd.DataFrame(
        {
            "person_id": np.repeat(person, MONTHS), "month": np.tile(month, len(person)),
            "site": np.repeat([f"Site {s}" for s in site], MONTHS),
            "a": on.ravel().astype(int), "b": (on & (month >= 3)).ravel().astype(int),
            "reach_a": np.repeat(reach_a, MONTHS).astype(int), "reach_b": np.repeat(reach_b, MONTHS).astype(int),
            "visits": np.where(np.repeat(person, MONTHS) == 5, 1000, 1),
        }
    )  # fmt: skip
    for column, values in changes.items():
        frame[column] = values
    return ek.Study(
        frame, unit="person_id", period="month", cluster="site", outcomes=[ek.Outcome("visits", kind="count")],
        components=[ek.Component("a", exposure="a", reach="reach_a"), ek.Component("b", exposure="b", reach="reach_b")],
    )  # fmt: skip


def flow(which: ek.Study, rules: Any = ACRO) -> pd.DataFrame:
    nothing = pd.DataFrame(columns=["component", "outcome", "headline", "estimate", "units_exposed"])
    return flow_table(which, nothing, rules).set_index(["component", "stage"])


def test_counts_of_two_components_never_give_the_few_between_them_away() -> None:
    raw, safe = flow(study(), PROFILES["none"])["count"], flow(study())["count"]
    assert raw["a", "reached"] - raw["b", "reached"] == 3 and raw["a", "had"] - raw["b", "had"] == 3
    for stage, other in product(("reached", "had"), repeat=2):
        gap = safe["a", stage] - safe["b", other]
        assert np.isnan(gap) or gap >= 10 or gap <= 0, (stage, other)
    assert safe.notna().any()


def test_groups_that_are_far_apart_hide_nothing() -> None:
    far = study(reach_b=np.repeat((np.arange(SITES * EACH) % EACH < 4).astype(int), MONTHS))
    assert (flow(far)["hidden"] == "").all()


def test_places_where_few_had_it_count_as_few() -> None:
    assert not people.few_places(study().paths, "a", ACRO).any()
    person = np.arange(SITES * EACH)
    reach = (person % EACH < 10) & ((person >= EACH) | (person < 4))
    few = people.few_places(study(reach_a=np.repeat(reach.astype(int), MONTHS)).paths, "a", ACRO)
    assert few[few].index.tolist() == ["Site 0"]


def test_a_sum_that_one_person_makes_is_found() -> None:
    assert people.hangs_on_few(study(), ["a"], ACRO)
    assert not people.hangs_on_few(study(visits=1), ["a"], ACRO)
    person = np.repeat(np.arange(SITES * EACH), MONTHS)
    assert people.hangs_on_few(study(visits=(person < 6).astype(int)), ["a"], ACRO)


def test_people_who_had_two_things_at_once_are_counted_at_once() -> None:
    paths = study().paths
    assert people.distinct(paths, people.had(paths, ["a"])) == 30
    assert people.distinct(paths, people.had_together(paths, ["a", "b"])) == 27


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"The score of {of_people(3)} is 1.", "The score of fewer than 10 people is 1."),
        (f"{of_people(12)} and {of_people('1,204', 'pupils')}", "12 people and 1,204 pupils"),
        (f"{of_people(6, 'folk')}; {of_people(9, 'of them')}", "fewer than 10 folk; fewer than 10 of them"),
        ("8 places with it, about 4 degrees of freedom", "8 places with it, about 4 degrees of freedom"),
    ],
)
def test_small_numbers_of_people_leave_a_sentence_whatever_they_are_called(text: str, said: str) -> None:
    assert retold(text, ACRO.publish) == said
    assert retold(text, PROFILES["none"].publish) == text.replace("\u00a0", " ")


def test_warnings_are_kept_without_small_numbers(tmp_path: Path) -> None:
    source = f"# %%\nimport warnings\nwarnings.warn('The score of {of_people(3)} is all but 0 or 1.')\n"
    made = make_notebook("x.toml", level=0.95, seed=0, title="x", source=source)
    run = run_notebook(made, tmp_path, lambda words: without_small_numbers(study(), words))
    assert run.metadata["warnings"] == ["The score of fewer than 10 people is all but 0 or 1."]
