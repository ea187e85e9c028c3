"""Starts between two known moments: left out in between, the answer over every reading, and bad bounds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import StudyError

PLACES, PERIODS, OFF = 16, 18, 3


def tables(unsure: int = PLACES // 2, off: int = OFF, noise: float = 0.08) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A panel with an effect of 0.6, and its starts as recorded: `off` too late, with bounds in `unsure`."""
    rng = np.random.default_rng(11)
    start = np.where(np.arange(PLACES) < PLACES // 2, 8 + np.arange(PLACES) % 3, 99)
    t = np.arange(PERIODS)
    y = rng.normal(size=(PLACES, 1)) + noise * rng.normal(size=(PLACES, PERIODS)) + 0.6 * (t >= start[:, None])
    frame = pd.DataFrame({"place": np.repeat([f"P{g}" for g in range(PLACES)], PERIODS), "t": np.tile(t, PLACES)})
    said = []
    for g in range(PLACES // 2):
        recorded = int(start[g]) + off
        bounds = (recorded - off, recorded + off) if g < unsure else (None, None)
        said.append((f"P{g}", recorded, *bounds))
    return frame.assign(y=y.ravel()), pd.DataFrame(said, columns=["level_id", "start", "start_low", "start_high"])


def study(frame: pd.DataFrame, spells: pd.DataFrame, **said: str) -> ek.Study:
    component = ek.Component("a", adoption=spells, **said)  # type: ignore[arg-type]
    return ek.Study(frame, unit="place", period="t", outcome="y", matters=0.3, components=[component])


@cache
def evaluated(unsure: int, noise: float = 0.08) -> ek.Evaluation:
    return ek.evaluate(study(*tables(unsure, noise=noise)))


def test_periods_between_the_bounds_count_on_neither_side() -> None:
    frame, spells = tables()
    state = study(frame, spells).paths
    own = state.state[state.path, :, 0]
    for g, row in spells.iterrows():
        at = np.flatnonzero(state.units == row["level_id"])[0]
        low, high = int(row["start_low"]), int(row["start_high"])
        assert (own[at, :low] == 0).all() and (own[at, low:high] < 0).all() and (own[at, high:] == 1).all(), g
    early, late = (study(frame, spells, dates=d).paths for d in ("early", "late"))
    for paths, column in ((early, "start_low"), (late, "start_high")):
        at = np.flatnonzero(paths.units == "P0")[0]
        assert int((paths.state[paths.path[at], :, 0] > 0).argmax()) == spells.loc[0, column]


def test_the_answer_is_not_drawn_towards_nothing_and_runs_over_the_readings() -> None:
    ev = evaluated(PLACES // 2)
    row = ev.checks.set_index("check").loc["start_dates"]
    head = ev.verdicts["estimate"].iloc[0]
    assert head == pytest.approx(0.6, abs=0.07)
    assert row["conf_low"] < row["estimate"] == head <= row["conf_high"]
    assert "8 places" in row["words"] and "drawn towards nothing" in row["words"]
    read = ev.checks.set_index("check").loc["date_rule", "words"]
    assert read == "Beside starts known within bounds, no date is uncertain or part-way."
    frame, spells = tables()
    plain = ek.evaluate(study(frame, spells.drop(columns=["start_low", "start_high"])))
    assert plain.verdicts["estimate"].iloc[0] < 0.9 * head
    assert "start_dates" not in set(plain.checks["check"])


def test_an_answer_that_hangs_on_its_dates_is_not_shown() -> None:
    ev = evaluated(PLACES // 2, 0.35)
    row = ev.checks.set_index("check").loc["start_dates"]
    assert row["status"] == "failed" and "with every start read late" in row["words"]
    assert ev.verdicts["verdict"].iloc[0] == "likely"
    assert any("when places began" in r for r in ev.verdicts["reasons"].iloc[0])


def test_few_places_are_read_each_by_itself() -> None:
    from evalkit.evaluation.readings import readings_of, start_readings

    few = study(*tables(2))
    found = start_readings(few)
    assert found is not None and [w for w in found.studies if "P0" in w or "P1" in w] == [
        f"with {p} read {when}" for p in ("P0", "P1") for when in ("early", "late")
    ]
    assert found.places == {"a": 2} and not readings_of(few)
    row = evaluated(2).checks.set_index("check").loc["start_dates"]
    assert row["status"] == "passed"


def test_bounds_that_make_no_sense_are_refused_with_their_rows() -> None:
    frame, spells = tables()
    with pytest.raises(StudyError, match="The latest start lies before the earliest .*row 0"):
        study(frame, spells.assign(start_high=[1, *spells["start_high"][1:]]))
    with pytest.raises(StudyError, match="A start lies outside its earliest and latest .*row 1"):
        study(frame, spells.assign(start=[spells["start"][0], 17, *spells["start"][2:]]))
    with pytest.raises(StudyError, match="A spell ends before its latest start"):
        study(frame, spells.assign(end=spells["start"] + 1))


def test_the_file_keeps_the_bounds(tmp_path) -> None:
    made = study(*tables(3))
    again = ek.Study.load(made.save(tmp_path))
    assert (again.paths.state[again.paths.path] == made.paths.state[made.paths.path]).all()


def test_people_s_own_headings_are_read() -> None:
    frame, spells = tables(3)
    named = spells.rename(columns={"start_low": "Earliest start", "start_high": "Latest start"})
    a, b = study(frame, named).paths, study(frame, spells).paths
    assert (a.state[a.path] == b.state[b.path]).all()
