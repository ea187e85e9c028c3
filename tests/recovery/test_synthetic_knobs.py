"""Knobs that need people who move, a cut-off, or words: each does what it says, and says no to what it cannot do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError
from evalkit.synthetic import Knobs, partnership
from evalkit.synthetic.knobs import knob_words, read_knobs
from evalkit.synthetic.partnership import Partnership
from evalkit.synthetic.settings import SPECS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def moving() -> Partnership:
    return partnership("rough_sleeping", "clean", 2, movers=0.25)


@pytest.fixture(scope="module")
def pupils() -> Partnership:
    return partnership("pupils", "realistic", 3, size=3)


def lived(p: Partnership, outcome: str = "settled") -> np.ndarray:
    """(T, n) outcome as it was."""
    return p._world.values[outcome][-1].astype(float)


# --- people who move -----------------------------------------------------------------------------------------------


def test_movers_change_place_once_and_the_study_counts_them(moving: Partnership) -> None:
    panel = moving.tables["panel"]
    places = panel.groupby("person_id")["borough"].nunique()
    assert set(places) == {1, 2} and 0.2 < (places == 2).mean() < 0.3
    changes = (panel["borough"] != panel["borough"].shift()) & (panel["person_id"] == panel["person_id"].shift())
    assert changes.sum() == (places == 2).sum() == moving.study.movers
    first = panel.groupby("person_id")["borough"].first()
    home = moving.tables["people"].set_index("person_id")["borough"]
    assert (first == home).all()


def test_those_who_stay_live_as_they_would_have_and_movers_until_they_move(moving: Partnership) -> None:
    plain, when = partnership("rough_sleeping", "clean", 2), moving._world.scene.people.moves.when
    same = lived(plain) == lived(moving)
    before = np.arange(60)[:, None] < when
    assert same[before].all() and not same[~before].all()


def test_movers_have_what_is_on_where_they_live(moving: Partnership) -> None:
    world = moving._world
    people, dose = world.scene.people, world.scene.rollout.dose["policy"]
    effect = world.values["settled"][-1].astype(int) - world.without("settled", "policy")
    from_comparison = ~world.scene.sites.programme[people.site] & world.scene.sites.programme[people.moves.to]
    t = np.arange(60)[:, None]
    arrived = from_comparison & (t >= people.moves.when)
    assert (effect[:, from_comparison][(t < people.moves.when)[:, from_comparison]] == 0).all()
    assert effect[arrived].sum() > 0
    assert (dose[people.at(59), 59] > 0)[from_comparison].any()


def test_truth_over_cells_of_movers_is_that_of_the_people_there(moving: Partnership) -> None:
    study, world = moving.study, moving._world
    weights = ek.StaggeredRollout(horizon=6)(study, "nurse").weights()
    cell = weights[(weights["sign"] == 1)].sort_values("weight").iloc[-1]
    found = moving.truth_for(pd.DataFrame([cell.to_dict() | {"weight": 1.0}])).iloc[0]
    level, t = study.paths.levels["borough"], list(study.paths.periods).index(cell["period"])
    b = list(study.paths.periods).index(cell["base"])
    units = np.flatnonzero((study.paths.path == cell["path"]) & (level.names[level.codes] == cell["cluster"]))
    y = study.values()
    used = [u for u in units if np.isfinite(y[u, t]) and np.isfinite(y[u, b])]
    person = np.searchsorted(world.ids, study.paths.units[used].astype(int))
    effect = (world.values["settled"][-1].astype(int) - world.without("settled", "nurse"))[t, person]
    assert len(used) > 3 and found == pytest.approx(effect.mean())


@pytest.mark.parametrize("name", list(SPECS))
def test_every_partnership_can_have_movers(name: str) -> None:
    p = partnership(name, "hard", 5, movers=0.3, size=0.3)
    assert p.study.movers > 0
    assert p.reveal_truth().effects.query("estimand == 'last_in' and population == 'reached'")["value"].notna().any()


# --- the cut-off ---------------------------------------------------------------------------------------------------


def test_those_chosen_are_the_lowest_fifth_of_their_school(pupils: Partnership) -> None:
    frame = pupils.cutoff
    assert frame["chosen"].mean() == pytest.approx(0.2, abs=0.005)
    assert (frame["margin"] < 0).equals(frame["chosen"] == 1)
    top, bottom = (frame[frame["chosen"] == c].groupby("school")["score"] for c in (1, 0))
    assert (top.max() <= bottom.min()).all()


def test_those_chosen_are_the_people_of_the_panel(pupils: Partnership) -> None:
    frame, panel = pupils.cutoff, pupils.tables["panel"]
    there = panel[panel["term"] == 13].set_index("person_id")["reading"]
    mine = frame[frame["chosen"] == 1].set_index("person_id")["later"]
    inside = pupils.tables["people"].query("in_programme == 1")["person_id"]
    assert set(mine.index) == set(inside)
    pd.testing.assert_series_equal(mine, there.reindex(mine.index), check_names=False)
    assert not set(frame.query("chosen == 0")["person_id"]) & set(pupils.tables["people"]["person_id"])


def test_the_jump_at_the_line_is_the_truth_there_and_the_plain_gap_is_not() -> None:
    draws = []
    for seed in range(1, 9):
        p = partnership("pupils", "realistic", seed, size=2)
        found = ek.RegressionDiscontinuity("margin", cutoff=0)(p.cutoff_study, "support")
        truth = p.reveal_truth().of("support", "reading", "at_cut", "within 5 points")
        later = p.cutoff.groupby("chosen")["later"].mean()
        draws.append((truth, found.value, found.high - found.low, later[1] - later[0]))
    truth, value, width, gap = (np.array(x, dtype=float) for x in zip(*draws, strict=True))
    error = width.mean() / (2 * 1.96) / np.sqrt(len(draws))
    assert abs(np.mean(value - truth)) < 3 * error < 1.5
    assert truth.min() > 0.5 and gap.max() < -8


def test_those_chosen_come_up_by_themselves(pupils: Partnership) -> None:
    design = ek.RegressionDiscontinuity("margin", cutoff=0)
    table = design.expected(pupils.cutoff_study, "support", bins=20)
    lowest, frame = table.iloc[0], pupils.cutoff
    low = frame[frame["margin"] <= frame["margin"].quantile(0.05)]
    assert lowest["expected"] - low["score"].mean() > 4
    assert abs(lowest["outcome"] - lowest["expected"]) < 3


def test_where_a_list_is_taken_on_too_the_line_only_shifts_the_chance() -> None:
    p = partnership("pupils", "realistic", 2, size=3, crisis_share=0.6)
    share = p.cutoff.groupby(p.cutoff["margin"] < 0)["chosen"].mean()
    assert 0.5 < share[True] < 0.9 and 0.02 < share[False] < 0.2
    found = ek.RegressionDiscontinuity("margin", cutoff=0)(p.cutoff_study, "support")
    assert found.provenance.startswith("fuzzy")
    assert found.low < p.reveal_truth().of("support", "reading", "at_cut", "within 5 points") < found.high


def test_the_table_at_the_line_changes_nothing_else() -> None:
    plain, more = (partnership("pupils", "hard", 2, size=0.3, above_cut=a) for a in (False, True))
    for name in plain.tables:
        pd.testing.assert_frame_equal(plain.tables[name], more.tables[name])
    with pytest.raises(OptionError, match="above_cut=True"):
        plain.cutoff  # noqa: B018
    both = [p.reveal_truth().effects for p in (plain, more)]
    assert len(both[1]) == len(both[0]) + 1


# --- the others that had no test of their own ------------------------------------------------------------------------


def test_a_share_is_taken_on_at_the_crisis_and_the_rest_from_a_list() -> None:
    found = []
    for share in (1.0, 0.4):
        p = partnership("rough_sleeping", "clean", 2, crisis="both", crisis_share=share)
        found.append((lived(p)[21:24].max(axis=0) == 0).mean())
    everybody = (lived(partnership("rough_sleeping", "clean", 2))[21:24].max(axis=0) == 0).mean()
    assert found[0] == 1
    assert found[1] == pytest.approx(0.4 + 0.6 * everybody, abs=0.03)


def test_recording_that_starts_with_payment_hides_rows_of_the_programme_before_the_launch_alone() -> None:
    plain, late = (partnership("carers", "clean", 2, recording=r) for r in (0.0, 0.7))
    assert (lived(plain, "quality_of_life") == lived(late, "quality_of_life")).all()
    people, panel = late.tables["people"][["person_id", "in_programme"]], late.tables["panel"]
    rows = panel.merge(people, on="person_id")
    hidden = (rows["observed"] == 0).groupby([rows["in_programme"], rows["half_year"] < "2020-04"]).mean()
    assert hidden[1, True] == pytest.approx(0.7, abs=0.02)
    assert hidden[1, False] == hidden[0, True] == hidden[0, False] == 0
    assert (plain.tables["panel"]["observed"] == 1).all()


def test_attrition_and_missing_rows_come_one_by_one() -> None:
    plain, left, gaps = (partnership("carers", "clean", 2, **k) for k in ({}, {"attrition": 1.0}, {"missing": 1.0}))
    assert plain.tables["people"]["exit_reason"].eq("").all() and plain.tables["panel"]["quality_of_life"].notna().all()
    assert 0.3 < left.tables["people"]["exit_reason"].ne("").mean() < 0.7
    assert left.tables["panel"]["quality_of_life"].notna().all()
    assert gaps.tables["panel"]["quality_of_life"].isna().mean() == pytest.approx(0.56, abs=0.03)
    assert len(gaps.tables["panel"]) == len(plain.tables["panel"])


def test_the_register_says_why_something_ended_and_how_sure_its_dates_are() -> None:
    sure, unsure = (partnership("carers", "realistic", 1, date_error=e).tables["adoption"] for e in (0, 1))
    ended = sure["end"].notna()
    assert (sure["change_note"] == "Gave way to carer-led groups").equals(ended) and ended.sum() == 7
    assert set(sure["source"]) == {"returns of the places"} and set(unsure["source"]) == {"asked afterwards"}
    assert set(unsure["certainty"]) == {"guessed"}


# --- knobs in words ------------------------------------------------------------------------------------------------


def test_more_need_in_programme_places_and_late_comers() -> None:
    turns: tuple[dict, dict] = ({}, {"need_shift": 1.0, "late_entry": 1.0})
    plain, turned = (partnership("rough_sleeping", "clean", 3, size=0.5, **k) for k in turns)
    need = [p.tables["people"].groupby("in_programme")["need_score"].mean() for p in (plain, turned)]
    assert need[1][1] - need[0][1] == pytest.approx(9, abs=0.1) and need[1][0] == need[0][0]
    people = [p._world.scene.people for p in (plain, turned)]
    assert (people[0].entry == 24).all() and (people[0].first_seen == 0).all()
    assert 0.25 < (people[1].first_seen > 0).mean() < 0.45 and set(people[1].entry) == set(range(24, 36))
    assert (people[1].first_seen < people[1].entry).all()


def test_the_core_is_in_programme_places_alone_from_the_launch() -> None:
    everywhere, inside = (partnership("rough_sleeping", "clean", 3, size=0.2, core=c) for c in (False, True))
    dose = [p._world.scene.rollout.dose["keyworker"] for p in (everywhere, inside)]
    assert dose[0].min() == 1
    assert dose[1][:10, 24:].min() == 1 and dose[1][:10, :24].max() == 0 and dose[1][10:].max() == 0
    assert "keyworker" in inside.tables["panel"] and "keyworker" not in everywhere.tables["panel"]


@pytest.mark.parametrize("knob", [f.name for f in fields(Knobs)])
def test_every_knob_is_explained_where_people_look(knob: str) -> None:
    assert len(knob_words()[knob]) > 20
    said = (ROOT / "data" / "synthetic" / "README.md").read_text(encoding="utf-8")
    assert f"| `{knob}` | {knob_words()[knob]} |" in said


def test_knobs_are_read_from_words() -> None:
    said = ["gap=2", "order=need", "crisis=both", "movers=0.1", "core=yes", "tidy=false", "size=3", "gap = none"]
    assert read_knobs(said) == {
        "gap": None, "order": "need", "crisis": "both", "movers": 0.1, "core": True, "tidy": False, "size": 3.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("gap", "Write NAME=VALUE"),
        ("speed=1", "knob='speed' is not a choice"),
        ("gap=1.5", "gap='1.5' is not a choice. Use whole number, 0 or more"),
        ("movers=2", "movers=2.0 is not a choice. Use 0 to 1"),
        ("core=maybe", "core='maybe' is not a choice. Use yes or no"),
        ("order=alphabet", "order='alphabet' is not a choice"),
        ("size=0", "above 0"),
        ("attrition=-1", "0 or more"),
    ],
)
def test_knobs_in_words_that_mean_nothing_are_refused(said: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        read_knobs([said])


@pytest.mark.parametrize(
    ("name", "knobs", "words"),
    [
        ("carers", {"crisis": "both"}, "takes nobody on at a crisis"),
        ("portfolio", {"movers": 0.1}, "has no knob 'movers'"),
        ("portfolio", {"size": 9}, "names for 40 places"),
        ("carers", {"above_cut": True}, "chosen by a score"),
        ("pupils", {"above_cut": True, "crisis": None}, "chosen by a score"),
        ("pupils", {"above_cut": True, "size": 50}, "too large"),
        ("carers", {"gap": True}, "gap=True is not a choice"),
        ("carers", {"spillover": 1.5}, "spillover=1.5 is not a choice"),
        ("carers", {"size": float("nan")}, "size=nan is not a choice"),
    ],
)
def test_knobs_that_a_partnership_cannot_turn_are_refused(name: str, knobs: dict, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        partnership(name, "realistic", 1, **knobs)


# --- other things that went on -------------------------------------------------------------------------------------


def test_every_shock_and_closure_is_a_named_event() -> None:
    for spec in SPECS.values():
        spans = {(h.first, h.last) for h in spec.happenings}
        lines = [line for p in spec.processes for line in p.lines.values()]
        moved = {s[:2] for line in lines for s in line.shocks} | {c for p in spec.processes for c in p.closed}
        assert spans == moved, spec.name


def test_events_are_bands_of_the_study() -> None:
    study = partnership("carers", "realistic", 1, size=0.2).study
    (event,) = study.events
    assert (event.label, event.start, event.end) == ("Lockdown", "2020-04", "2021-04")
    assert "Lockdown" in ek.plot.describe("timeline", study).description
    spring, after = partnership("social_prescribing", "realistic", 1, size=0.1).study.events
    assert spring.end == after.start and after.end is None
