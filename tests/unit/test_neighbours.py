"""Whose neighbours have a component: shares from links, rings, distances, tables and columns; and the door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError, StudyError

STARTS = {"A": 2, "B": 4, "C": 9, "D": 9}
RING = [("A", "B"), ("B", "A"), ("B", "C"), ("C", "B"), ("C", "D"), ("D", "C")]


def panel() -> pd.DataFrame:
    rows = [(p, t, int(t >= s)) for p, s in STARTS.items() for t in range(6)]
    return pd.DataFrame(rows, columns=["place", "t", "nurse"]).assign(y=0.5)


def links(*pairs: tuple[str, str], **columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["place", "neighbour"]).assign(**columns)


def study(neighbours: object, frame: pd.DataFrame | None = None, **options: object) -> ek.Study:
    nurse = ek.Component("nurse", exposure="nurse", neighbours=neighbours, **options)
    frame = panel() if frame is None else frame
    return ek.Study(frame, unit="place", period="t", outcome="y", components=[nurse])


def shares(made: ek.Study, place: str) -> list[float]:
    return made.paths.near["nurse"].share[list(STARTS).index(place)].tolist()


def rings(made: ek.Study, place: str) -> list[int]:
    return made.paths.near["nurse"].ring[list(STARTS).index(place)].tolist()


def test_shares_are_of_neighbours_and_of_nobody_else() -> None:
    made = study(links(*RING))
    assert shares(made, "A") == [0, 0, 0, 0, 1, 1]  # B alone, from 4 on
    assert shares(made, "B") == [0, 0, 0.5, 0.5, 0.5, 0.5]  # A and C
    assert shares(made, "D") == [0] * 6
    assert rings(made, "B") == [0, 0, 1, 1, 1, 1]
    assert not made.paths.near["nurse"].one_way


def test_a_row_touches_its_place_and_not_the_neighbour() -> None:
    made = study(links(("D", "A"), ("C", "B")))
    assert shares(made, "D") == [0, 0, 1, 1, 1, 1] and shares(made, "A") == [0] * 6
    assert made.paths.near["nurse"].one_way


def test_weights_and_distances_weigh_neighbours() -> None:
    pairs = [("B", "A"), ("B", "C")]
    assert shares(study(links(*pairs, weight=[3, 1])), "B")[2] == 0.75
    assert shares(study(links(*pairs, distance=[1, 4])), "B")[2] == 0.8
    assert rings(study(links(*pairs, weight=[1, 3]), touched_above=0.3), "B")[2] == 0


def test_the_nearest_ring_that_is_touched_counts() -> None:
    made = study(links(("D", "C"), ("D", "B"), ("D", "A"), ring=[1, 2, 3]))
    assert rings(made, "D") == [0, 0, 3, 3, 2, 2]
    assert shares(made, "D") == [0, 0, 1, 1, 1, 1]


def test_columns_and_tables_hold_shares_and_what_they_do_not_hold_is_not_known() -> None:
    frame = panel().assign(near=lambda f: np.where(f["place"] == "D", 0.2 * (f["t"] > 2), np.nan), far=0.0)
    assert shares(study("near", frame), "D") == [0, 0, 0, 0.2, 0.2, 0.2]
    assert rings(study("near", frame), "A") == [-1] * 6
    assert rings(study(["far", "near"], frame), "D") == [0, 0, 0, 2, 2, 2]
    given = pd.DataFrame({"place": ["D", "D"], "period": [0, 3], "share": [0.0, 0.4]})
    assert rings(study(given), "D") == [0, -1, -1, 1, -1, -1]


def test_neighbours_of_the_clusters_that_people_live_in() -> None:
    people = panel().loc[lambda f: f.index.repeat(2)].reset_index(drop=True)
    people["who"] = people.groupby(["place", "t"]).cumcount().astype(str) + people["place"]
    nurse = ek.Component("nurse", exposure="nurse", neighbours=links(*RING))
    made = ek.Study(people, unit="who", period="t", cluster="place", outcome="y", components=[nurse])
    near = made.paths.near["nurse"]
    assert near.of.tolist() == [0, 1, 2, 3] * 2 and near.share[1].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5]
    part = made.subset(np.array([1, 2]), slice(2, 4)).paths.near["nurse"]
    assert part.of.tolist() == [1, 2] and part.share[1].tolist() == [0.5, 0.5]


def test_a_saved_study_and_a_study_file_know_the_same_neighbours(tmp_path: Path) -> None:
    made = study(links(*RING, ring=[1, 1, 2, 2, 1, 1]), touched_above=0.25)
    again = ek.Study.load(made.save(tmp_path / "links"))
    assert np.array_equal(again.paths.near["nurse"].ring, made.paths.near["nurse"].ring)
    assert again.component("nurse").touched_above == 0.25
    columns = study("near", panel().assign(near=0.5)).save(tmp_path / "column")
    assert (ek.Study.load(columns).paths.near["nurse"].share == 0.5).all()


def test_a_study_file_refuses_what_is_neither_a_table_nor_a_column(tmp_path: Path) -> None:
    file = study(links(*RING)).save(tmp_path)
    file.write_text(file.read_text().replace('"neighbours_nurse.csv"', "3"))
    with pytest.raises(StudyError, match=r"table \[components.nurse\]"):
        ek.Study.load(file)
    file.write_text(file.read_text().replace("neighbours = 3", 'neighbours = "lost.csv"'))
    with pytest.raises(StudyError, match=r"there is no file .*lost.csv.*key 'neighbours'"):
        ek.Study.load(file)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (links(("A", "B"), ("A", "Z")), r"neighbour names places that the study does not have: Z .*row 1"),
        (links(("Z", "B"), ("A", "B")), r"place names places that the study does not have: Z .*row 0"),
        (links(("A", "B"), ("C", "C")), r"own neighbour .*row 1"),
        (links(("A", "B"), ("A", "B")), r"Rows are there twice .*rows 0, 1"),
        (links(("A", "B"), weight=[-1]), r"weight is negative .*row 0"),
        (links(("A", "B"), weight=[0]), r"weights of a place sum to 0 .*row 0"),
        (links(("A", "B"), distance=[0]), r"distance is 0.*row 0"),
        (links(("A", "B")).iloc[:0], r"no rows"),
        (pd.DataFrame({"place": ["A"], "next_to": ["B"]}), r"There is no column 'neighbour'"),
        (pd.DataFrame({"place": ["A"], "period": [1], "share": [1.2]}), r"share is above 1 .*row 0.*0 to 1"),
        ("nearr", r"There is no column 'nearr'.*Did you mean 'near'"),
        ("high", r"'high' is above 1 \(row 1\).*0 to 1"),
        ("text", r"'text' holds text"),
    ],
)
def test_what_is_wrong_with_neighbours_is_said_with_its_rows(given: object, said: str) -> None:
    frame = panel().assign(near=0.0, high=[0, 7] + [0] * 22, text="some")
    with pytest.raises(StudyError, match=said):
        study(given, frame)


def test_a_share_from_which_on_nobody_is_touched_is_refused() -> None:
    with pytest.raises(OptionError, match="touched_above=1"):
        ek.Component("nurse", touched_above=1)


def test_people_added_up_have_the_same_neighbours_and_shares_by_row_are_not_added_up() -> None:
    people = panel().loc[lambda f: f.index.repeat(3)].reset_index(drop=True)
    people["who"] = people.groupby(["place", "t"]).cumcount().astype(str) + people["place"]
    options = {"unit": "who", "period": "t", "cluster": "place", "outcome": "y", "hold": "cells"}
    nurse = ek.Component("nurse", exposure="nurse", neighbours=links(*RING))
    near = ek.Study(people, components=[nurse], **options).paths.near["nurse"]  # type: ignore[arg-type]
    assert len(near.of) == 4 and near.share[1].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5]
    held = ek.Component("nurse", exposure="nurse", neighbours="near")
    with pytest.raises(StudyError, match="neighbours are held row by row"):
        ek.Study(people.assign(near=0.5), components=[held], **options)  # type: ignore[arg-type]
