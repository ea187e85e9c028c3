"""Exposure paths: columns, reach, doses, part periods, rows that are not there."""

from __future__ import annotations

import copy
import pickle
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit as ek
from evalkit.study.paths import UNKNOWN


def of(frame: pd.DataFrame, *components: object, **more: object) -> ek.Study:
    return ek.Study(frame, unit="person", period="month", components=list(components), **more)


def states(study: ek.Study, component: str) -> np.ndarray:
    """(n, T) state of every unit."""
    return study.paths.state[study.paths.path, :, study.paths.index(component)]


def series(*rows: list[float]) -> pd.DataFrame:
    """One person a row, one month a value; None leaves the month out."""
    cells = [(i, t, v) for i, row in enumerate(rows) for t, v in enumerate(row) if v is not None]
    return pd.DataFrame(cells, columns=["person", "month", "dose"])


def test_states_are_the_column_and_paths_are_shared(panel):
    study = of(panel, "nurse", "court", outcome="settled", cluster="borough")
    assert (states(study, "nurse") == panel.nurse.to_numpy().reshape(12, 8)).all()
    assert study.paths.n_paths == 4
    assert study.paths.assigned_at == {"nurse": "borough", "court": "borough"}
    assert (study.values() == panel.settled.to_numpy().reshape(12, 8)).all()
    assert study.paths.seen is None and study.movers == 0


def test_the_frame_is_not_changed_and_a_later_change_does_not_reach_the_study(panel):
    before = panel.copy()
    study = of(panel, "nurse", outcome="settled", cluster="borough")
    pd.testing.assert_frame_equal(panel, before)
    panel.loc[:, "settled"] = 0.0
    assert (study.values().ravel() == before.settled.to_numpy()).all()


def test_values_are_read_only_and_outcome_is_not_touched_before(panel):
    panel["settled"] = "rubbish"
    study = of(panel, "nurse", outcome="settled", cluster="borough")
    with pytest.raises(ek.EvalkitError, match="'settled' holds text such as 'rubbish'"):
        study.values()
    study = of(panel.assign(settled=1.0), "nurse", outcome="settled")
    with pytest.raises(ValueError, match="read-only"):
        study.values()[0, 0] = 2


def test_reach_makes_exposure_effective(panel):
    nurse = ek.Component("nurse", exposure="nurse", reach="both_needs")
    study = of(panel, nurse, cluster="borough")
    expected = (panel.nurse * panel.both_needs).to_numpy().reshape(12, 8)
    assert (states(study, "nurse") == expected).all()
    assert (study.paths.reach[study.paths.path, 0] == (np.arange(12) >= 6)).all()


def test_exposure_beyond_reach_may_be_anything(panel):
    panel.loc[(panel.person == 0) & (panel.month == 1), "nurse"] = 1
    with pytest.raises(ek.EvalkitError, match="differs within one 'borough' and period: A in 1"):
        of(panel, "nurse", cluster="borough")
    study = of(panel, ek.Component("nurse", exposure="nurse", reach="both_needs"), cluster="borough")
    assert states(study, "nurse")[0].sum() == 0


@pytest.mark.parametrize("dtype", ["int8", "int64", "bool", "float32", "float64", "Int64", "boolean", "object"])
def test_exposure_may_be_of_any_numeric_kind(panel, dtype):
    plain = of(panel, "nurse", cluster="borough")
    other = of(panel.assign(nurse=panel.nurse.astype(dtype)), "nurse", cluster="borough")
    assert (plain.paths.state == other.paths.state).all()
    assert other.paths.state.dtype == np.int16


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), keep=st.floats(0.5, 1.0))
def test_order_of_rows_and_names_of_units_change_nothing(seed, keep):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"person": np.repeat(np.arange(9), 6), "month": np.tile(np.arange(6), 9)})
    frame["place"] = frame.person % 3
    starts = rng.integers(1, 9, (3, 2))
    for j, name in enumerate("ab"):
        frame[name] = (frame.month.to_numpy() >= starts[frame.place, j]).astype(int)
    frame["y"] = rng.normal(size=len(frame))
    frame = frame.sample(frac=keep, random_state=seed).sort_index()
    first = of(frame, "a", "b", outcome="y", cluster="place")
    shuffled = of(frame.sample(frac=1, random_state=seed), "a", "b", outcome="y", cluster="place")
    renamed = of(frame.assign(person=frame.person.map(lambda p: f"p{p}")), "a", "b", outcome="y", cluster="place")
    for other in (shuffled, renamed):
        for name in "ab":
            assert (states(first, name) == states(other, name)).all()
        assert np.array_equal(first.values(), other.values(), equal_nan=True)
        assert (first.paths.levels["place"].codes == other.paths.levels["place"].codes).all()


def test_fractions_that_stand_alone_are_part_periods():
    frame = series([0, 0, 0.5, 1, 1], [0, 0.25, 1, 1, 1], [0, 0, 0, 0, 0], [0.5, 1, 1, 0.25, 0])
    dose = lambda how: ek.Component("dose", exposure="dose", part_period=how)  # noqa: E731
    assert states(of(frame, dose("exclude")), "dose").tolist() == [
        [0, 0, -2, 1, 1],
        [0, -1, 1, 1, 1],
        [0, 0, 0, 0, 0],
        [-2, 1, 1, -1, 0],
    ]
    assert states(of(frame, dose("half")), "dose")[:2].tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert states(of(frame, dose("full")), "dose")[:2].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]


def test_fractions_that_last_are_doses():
    frame = series([0, 0, 0.5, 0.5, 1], [0, 0, 0, 0.25, 0.25])
    assert states(of(frame, "dose"), "dose").tolist() == [[0, 0, 2, 2, 3], [0, 0, 0, 1, 1]]


def test_bins_say_which_doses_are_alike():
    frame = series([0, 0.1, 0.3, 0.6, 0.9], [0, 0.2, 0.25, 0.74, 0.75])
    with pytest.raises(ek.EvalkitError, match="different doses .* and no bins"):
        of(frame, "dose")
    study = of(frame, ek.Component("dose", exposure="dose", bins=(0.25, 0.75)))
    assert states(study, "dose").tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2]]


def test_rows_that_are_not_there_are_filled_only_where_it_is_known():
    rows = (
        [0, None, 0, 1, None],  # agree before and after: filled; after the last: carried
        [0, None, 1, 1, 1],  # changed in the gap: nobody knows when
        [None, 0, 0, None, 0],
        [None, None, None, 1, 1],
        [0, 0.5, None, 1, 1],  # nothing is carried out of a part period
    )
    study = of(series(*rows), "dose")
    u = int(UNKNOWN)
    assert states(study, "dose").tolist() == [
        [0, 0, 0, 1, 1],
        [0, u, 1, 1, 1],
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
        [0, -1, u, 1, 1],
    ]
    assert study.paths.seen.sum() == sum(v is not None for r in rows for v in r)


def test_a_missing_row_takes_the_exposure_of_its_level(panel):
    gone = panel[~((panel.person == 0) & panel.month.isin([3, 4]))]
    study = of(gone, "nurse", cluster="borough")
    assert states(study, "nurse")[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert study.paths.seen[0].tolist() == [True] * 3 + [False] * 2 + [True] * 3


def test_always_on_needs_no_column_and_may_not_vary(panel):
    study = of(panel, "nurse", ek.Component("keyworker", always_on=True), cluster="borough")
    assert (states(study, "keyworker") == 1).all() and study.paths.always_on == (False, True)
    with pytest.raises(ek.EvalkitError, match="always on, but its exposure changes"):
        of(panel, ek.Component("nurse", exposure="nurse", always_on=True), cluster="borough")


def test_a_component_without_exposure_takes_the_column_of_its_name(panel):
    assert of(panel, ek.Component("nurse", label="A nurse"), cluster="borough").paths.n_paths == 2


def test_a_mover_has_one_row_a_stay(panel):
    moved = panel.copy()
    moved.loc[(moved.person == 0) & (moved.month >= 4), "borough"] = "D"
    moved["nurse"] = (moved.borough.isin(["A", "B"]) & (moved.month >= 3)).astype(int)
    study = of(moved, "nurse", outcome="settled", cluster="borough")
    assert study.movers == 1 and study.paths.n_units == 13
    assert study.paths.units[:2].tolist() == [0, 0]
    assert study.paths.seen[0].tolist() == [True] * 4 + [False] * 4
    assert study.paths.seen[1].tolist() == [False] * 4 + [True] * 4
    assert states(study, "nurse")[:2].tolist() == [[0, 0, 0, 1, 1, 1, 1, 1], [0] * 8]
    assert np.isnan(study.values()[0, 4:]).all() and np.isfinite(study.values()[1, 4:]).all()
    level = study.paths.levels["borough"]
    assert level.names[level.codes[:2]].tolist() == ["A", "D"]


def test_a_cross_section_has_paths_of_length_one(panel):
    people = panel[panel.month == 6]
    study = ek.Study(people, unit="person", period=None, outcome="settled", components=["nurse"], cluster="borough")
    assert study.paths.state.shape == (2, 1, 1) and study.values().shape == (12, 1)


def test_weights_and_covariates(panel):
    study = of(panel, "nurse", outcome="settled", weights="weight", covariates=["age"])
    assert (study.paths.weights == 1 + np.arange(12) % 3).all()
    assert (study.covariate_values()[:, 0, 0] == 20 + np.arange(12)).all()
    people = panel[["person", "age", "both_needs"]].drop_duplicates()
    rest = panel.drop(columns=["age", "both_needs"])
    nurse = ek.Component("nurse", reach="both_needs")
    study = of(rest, nurse, covariates=["age"], people=people.sample(frac=1, random_state=1))
    assert (study.covariate_values()[:, 3, 0] == 20 + np.arange(12)).all()
    assert (study.paths.reach[study.paths.path, 0] == (np.arange(12) >= 6)).all()


def test_subset_and_replace_share_what_was_read(panel):
    study = of(panel, "nurse", "court", outcome="settled", cluster="borough")
    part = study.subset(np.arange(12) >= 6, slice(2, 7))
    assert (part.values() == study.values()[6:, 2:7]).all()
    assert (states(part, "court") == states(study, "court")[6:, 2:7]).all()
    less = part.with_components(["court"])
    assert less.paths.components == ("court",) and (states(less, "court") == states(part, "court")).all()
    again = part.subset(None, [0, 2])
    assert again.paths.periods.tolist() == [2, 4] and (again.values() == study.values()[6:, [2, 4]]).all()
    assert study.replace(title="Another").title == "Another"
    with pytest.raises(ek.EvalkitError, match="Did you mean 'cluster'"):
        study.replace(clusters="borough")


def test_different_rows_are_told_apart_beyond_64_periods():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 2, (40, 150))
    frame = pd.DataFrame({"person": np.repeat(np.arange(40), 150), "month": np.tile(np.arange(150), 40)})
    study = of(frame.assign(a=wide.ravel()), "a")
    assert study.paths.n_paths == len(np.unique(wide, axis=0)) and (states(study, "a") == wide).all()


def test_two_million_rows_are_read_quickly():
    n, T = 100_000, 20
    frame = pd.DataFrame({"person": np.repeat(np.arange(n), T), "month": np.tile(np.arange(T), n)})
    start = np.random.default_rng(0).integers(5, 25, n)
    frame["a"] = (frame.month.to_numpy() >= np.repeat(start, T)).astype(int)
    frame["y"] = 0.5
    took = []
    for _ in range(3):
        began = time.perf_counter()
        study = of(frame, "a", outcome="y")
        study.values()
        took.append(time.perf_counter() - began)
    assert study.paths.n_paths == 16
    assert min(took) < 0.3  # about 0.03 s on an idle machine; the limit leaves room for a busy one


def test_a_study_says_what_it_holds(panel):
    study = of(panel, "nurse", outcome="settled", cluster="borough", title="Test & try")
    assert "12 units, 8 periods (0 to 7), 4 clusters (borough)" in repr(study)
    assert "nurse: first in month 3, 2 of 4 places, 6 units" in repr(study)
    html = study._repr_html_()
    assert "<caption>Test &amp; try: 12 units" in html and '<th scope="row">nurse</th>' in html


def test_a_study_can_be_copied_and_sent_to_another_process(panel):
    study = of(panel, "nurse", outcome="settled", cluster="borough", settings={"horizon": 3})
    other = pickle.loads(pickle.dumps(study))
    assert (other.values() == study.values()).all() and (other.paths.state == study.paths.state).all()
    with pytest.raises(AttributeError):
        study.title = "Other"


def test_movers_keep_their_weight_and_reach(panel):
    moved = panel.copy()
    moved.loc[(moved.person == 8) & (moved.month >= 4), "borough"] = "D"
    moved["nurse"] = (moved.borough.isin(["A", "B"]) & (moved.month >= 3)).astype(int)
    people = moved[["person", "both_needs"]].drop_duplicates().sample(frac=1, random_state=2)
    study = of(
        moved.drop(columns="both_needs"),
        ek.Component("nurse", exposure="nurse", reach="both_needs"),
        cluster="borough",
        weights="weight",
        people=people,
    )
    assert study.paths.units.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11]
    assert (study.paths.weights == 1 + study.paths.units % 3).all()
    assert (study.paths.reach[study.paths.path, 0] == (study.paths.units >= 6)).all()
    assert "1 units move" in repr(study)


def test_a_stay_that_comes_back_is_another_stay(panel):
    moved = panel.copy()
    moved.loc[(moved.person == 3) & moved.month.isin([2, 3]), "borough"] = "C"
    moved["court"] = (moved.borough.isin(["B", "C"]) & (moved.month >= 5)).astype(int)
    study = of(moved, "court", cluster="borough")
    rows = study.paths.units == 3
    assert study.paths.seen[rows].sum(axis=1).tolist() == [2, 2, 4] and study.movers == 1
    level = study.paths.levels["borough"]
    assert level.names[level.codes[rows]].tolist() == ["D", "C", "D"]


def test_without_a_cluster_the_stays_of_a_mover_share_their_unit(panel):
    moved = panel.copy()
    moved.loc[(moved.person == 0) & (moved.month >= 4), "borough"] = "D"
    moved["nurse"] = (moved.borough.isin(["A", "B"]) & (moved.month >= 3)).astype(int)
    study = of(moved, ek.Component("nurse", assigned_at="borough"), ek.Component("court", assigned_at="person"))
    level = study.paths.levels["person"]
    assert study.paths.cluster == "person" and not study.paths.cluster_given
    assert level.codes[:3].tolist() == [0, 0, 1] and len(level.names) == 12


@pytest.mark.parametrize("kind", ["panel", "people"])
def test_a_missing_level_is_named_wherever_it_stands(panel, kind):
    fixed = panel[["person", "borough"]].drop_duplicates().reset_index(drop=True)
    fixed.loc[2, "borough"] = None
    gaps = panel.drop(columns="borough").merge(fixed, on="person") if kind == "panel" else panel.drop(columns="borough")
    with pytest.raises(ek.EvalkitError, match="level 'borough' is missing in"):
        of(gaps, "nurse", cluster="borough", people=fixed if kind == "people" else None)


def test_a_study_with_fewer_outcomes_keeps_the_money_that_is_about_them() -> None:
    study = ek.synthetic.partnership("rough_sleeping", "clean", seed=1).study
    first, second = study.outcomes[:2]
    for one in (study.replace(outcomes=[first]), study.replace(outcome=first.column)):
        assert [o.column for o in one.outcomes] == [first.column]
        assert set(one.money.claims["outcome"]) <= {first.column}
        assert second.column not in set(one.money.unit_costs["outcome"].dropna())
    assert study.replace(title="again").money is study.money


def test_what_was_worked_out_once_lives_as_long_as_its_paths_and_its_array(panel):
    paths = of(panel, "nurse", "court", cluster="borough").paths
    assert paths.cells("borough") is paths.cells("borough")
    assert paths.memo.get("sum", lambda: 1) == paths.memo.get("sum", lambda: 2) == 1
    assert paths.memo.get("big", lambda: 1, keep=lambda v: False) == 1 and paths.memo.get("big", lambda: 2) == 2
    first, second = np.arange(3.0), np.arange(3.0)
    assert paths.memo.get("mean", lambda: 1, about=first) == paths.memo.get("mean", lambda: 2, about=first) == 1
    assert paths.memo.get("mean", lambda: 3, about=second) == 3
    held = len(paths.memo)
    del first
    assert len(paths.memo) == held - 1 and paths.memo.get("mean", lambda: 4, about=second) == 3
    assert len(replace(paths, cluster_given=False).memo) == 0


def test_what_is_shared_lives_as_long_as_somebody_holds_it(panel):
    memo = of(panel, "nurse", "court", cluster="borough").paths.memo
    first, second = np.arange(3.0), np.arange(3.0)
    begun = memo.shared("ring", set, first)
    assert memo.shared("ring", set, first) is begun and memo.shared("ring", set, second) is not begun
    del begun
    assert memo.shared("ring", lambda: {1}, first) == {1}


def test_study_and_paths_can_be_pickled(panel):
    study = of(panel, "nurse", "court", cluster="borough", outcome="settled", weights="weight")
    values, cells = study.values(), study.paths.cells("borough")
    for again in (pickle.loads(pickle.dumps(study)), copy.deepcopy(study)):
        assert (again.values() == values).all() and not again.values().flags.writeable
        assert (again.paths.cells("borough").count == cells.count).all() and len(again.paths.memo) == 1
        assert (again.paths.state == study.paths.state).all() and again.components == study.components
        assert (again.subset(periods=slice(0, 3)).values() == values[:, :3]).all()
        assert repr(again) == repr(study)
    part = pickle.loads(pickle.dumps(study.subset(np.arange(12) >= 6)))
    assert (part.values() == values[6:]).all() and len(part.rows) == 48
    paths = pickle.loads(pickle.dumps(study.paths))
    assert (paths.path == study.paths.path).all() and paths.levels.keys() == study.paths.levels.keys()
