"""The synthetic partnerships: draws, knobs, and a truth that is what it says."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError, StudyError
from evalkit.synthetic import names, partnership
from evalkit.synthetic.partnership import Partnership
from evalkit.synthetic.simulate import poisson
from evalkit.synthetic.truth import reached
from evalkit.synthetic.world import make_ground

ALL = ("rough_sleeping", "social_prescribing", "carers", "young_people", "pupils")


@pytest.fixture(scope="module")
def manchester() -> Partnership:
    return partnership("rough_sleeping", "realistic", 1)


@pytest.fixture(scope="module")
def tidy() -> Partnership:
    return partnership("rough_sleeping", "clean", 1)


def doses(p: Partnership) -> dict[str, np.ndarray]:
    """(S, T) true doses, without simulating anybody."""
    return make_ground(p.spec, p.knobs, p.seed)[1].dose


def lived(p: Partnership, outcome: str = "settled") -> np.ndarray:
    """(T, n) outcome as it was."""
    return p._world.values[outcome][-1].astype(float)


def test_there_are_six_partnerships_of_three_settings() -> None:
    assert names() == (*ALL, "portfolio", "town")
    for name, setting in itertools.product(ALL, ("clean", "realistic", "hard")):
        assert set(partnership(name, setting).spec.settings) == {"clean", "realistic", "hard"}


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_tables_and_another_seed_others(name: str) -> None:
    one, again, other = (partnership(name, "hard", s, size=0.3).tables for s in (4, 4, 5))
    for table in one:
        pd.testing.assert_frame_equal(one[table], again[table])
    assert not one["panel"].equals(other["panel"])


def test_a_realistic_manchester_with_its_truth_takes_under_three_seconds() -> None:
    start = time.process_time()
    made = partnership("rough_sleeping", "realistic", 11)
    assert made.study.paths.n_units == 1640
    assert len(made.reveal_truth().effects) > 500
    assert time.process_time() - start < 3


def test_manchester_looks_like_the_place(manchester: Partnership) -> None:
    t = manchester.tables
    assert t["sites"]["in_programme"].value_counts().to_dict() == {0: 14, 1: 10}
    sizes = t["people"].query("in_programme == 1")["borough"].value_counts()
    assert (sizes.max(), sizes.min(), sizes.sum()) == (150, 15, 450)
    assert t["adoption"].query("component == 'policy'")["level_id"].nunique() == 20
    crossing = t["links"].query("`from` != 'Landlords elsewhere'").groupby("from")["to"].nunique()
    assert len(crossing) == 20 and (crossing > 1).mean() > 0.7
    assert np.allclose(t["links"].groupby("to")["weight"].sum(), 1, atol=1e-12)
    assert t["people"].query("in_programme == 1")["court_area"].nunique() == 5
    gone = t["people"]["exit_reason"].value_counts()
    assert {"lost", "death", "custody", "moved"} <= set(gone.index) and gone["lost"] > gone["death"] > 30
    assert len(t["panel"]) < 1640 * 60 and 0.01 < (t["panel"]["observed"] == 0).mean() < 0.06
    assert (t["panel"]["settled"].isna() == (t["panel"]["observed"] == 0)).all()


def test_people_taken_on_at_a_crisis_start_from_nothing_and_recover_anyway() -> None:
    p = partnership("rough_sleeping", "realistic", 2, crisis_share=1.0)
    world = p._world
    y, entry = lived(p), world.scene.people.entry
    beside = ~world.scene.sites.programme[world.scene.people.site]
    before = np.take_along_axis(y, entry[None, :] - 1 - np.arange(3)[:, None], axis=0)
    assert before.max() == 0
    later = np.take_along_axis(y, entry[None, :] + 20, axis=0)
    assert 0.2 < later[:, beside].mean() < 0.5


def test_before_and_after_deceives(tidy: Partnership, manchester: Partnership) -> None:
    for p, least in ((tidy, 0.05), (manchester, 0.12)):
        world = p._world
        inside = world.scene.sites.programme[world.scene.people.site] & world.seen
        on = reached(world, "newsletter").on
        dose = world.scene.rollout.dose["newsletter"].T[:, world.scene.people.site] > 0
        y = lived(p)
        assert y[inside & dose].mean() - y[inside & ~dose].mean() > least
        assert on.any() and p.reveal_truth().of("newsletter", "settled") == 0


def test_components_are_worth_about_ten_nine_and_five_points() -> None:
    truth = [partnership("rough_sleeping", "clean", s).reveal_truth() for s in range(1, 4)]
    mean = {c: np.mean([t.of(c, "settled") for t in truth]) for c in ("policy", "nurse", "court", "newsletter")}
    assert 0.08 < mean["policy"] < 0.13
    assert 0.07 < mean["nurse"] < 0.13
    assert 0.03 < mean["court"] < 0.09
    assert mean["newsletter"] == 0
    assert np.mean([t.of("keyworker", "settled") for t in truth]) > 0.04


def test_shapley_shares_add_up_to_the_total(manchester: Partnership) -> None:
    e = manchester.reveal_truth().effects.query("population == 'everyone'")
    for outcome, rows in e.groupby("outcome"):
        total = rows.query("estimand == 'total'")["value"].iloc[0]
        assert rows.query("estimand == 'shapley'")["value"].sum() == pytest.approx(total, abs=5e-5), outcome


def test_regimes_hold_every_combination_and_agree_with_the_effects(manchester: Partnership) -> None:
    truth = manchester.reveal_truth()
    r = truth.regimes.set_index(["policy", "nurse", "court", "keyworker"])["settled"]
    assert len(r) == 16 and r.index.is_unique
    everything = truth.effects.query("component_set == 'policy + nurse + court' and estimand == 'total'")
    gain = everything.set_index("outcome")["value"]["settled"]
    assert r[1, 1, 1, 1] - r[0, 0, 0, 1] == pytest.approx(gain, abs=2e-5)


def test_the_nurse_and_the_policy_do_more_together() -> None:
    found = []
    for seed in range(1, 4):
        e = partnership("rough_sleeping", "clean", seed, synergy=3.0).reveal_truth().effects
        both = e[(e["component_set"] == "policy + nurse") & (e["estimand"] == "interaction")]
        found.append(both.set_index("outcome")["value"]["settled"])
    assert np.mean(found) > 0.05


def test_effects_on_a_score_are_what_was_put_in_and_grow() -> None:
    truth = partnership("social_prescribing", "clean", 3).reveal_truth()
    assert truth.of("feedback", "hba1c") == pytest.approx(-0.02, abs=1e-3)
    path = truth.effects.query("component_set == 'welfare' and outcome == 'hba1c' and estimand == 'path'")
    value = path.set_index("since_start")["value"]
    assert value[0] == pytest.approx(-0.0125, abs=1e-3) and value[6] == pytest.approx(-0.05, abs=1e-3)
    assert truth.of("womens_group", "hba1c", population="men") != truth.of("womens_group", "hba1c")


def test_groups_start_as_education_stops() -> None:
    spells = partnership("carers", "realistic", 1).tables["adoption"].set_index(["component", "level_id"])
    for district in spells.loc["groups"].index:
        assert spells.loc[("education", district), "end"] == spells.loc[("groups", district), "start"]
    assert partnership("carers", "realistic", 1).reveal_truth().of("education", "quality_of_life") == 0


def test_pupils_improve_though_nobody_did_anything() -> None:
    p = partnership("pupils", "realistic", 1)
    world = p._world
    nothing = world.values["reading"][0]
    beside = ~world.scene.sites.programme[world.scene.people.site]
    prompt = beside & (world.scene.people.entry == 6)
    gain = nothing[7:12][:, prompt].mean() - nothing[5][prompt].mean()
    assert 2.5 < gain < 7  # about 0.28 standard deviations of 13 points, and more for so noisy a test


# --- the truth over cells ------------------------------------------------------------------------------------------


def by_hand(p: Partnership, weights: pd.DataFrame, component: str, outcome: str) -> dict[int, float]:
    """The definition, person by person: slow, and nothing shared with the code under test."""
    study, world = p.study, p._world
    paths, y = study.paths, study.values(outcome)
    without = world.without(outcome, component)
    person = {pid: i for i, pid in enumerate(world.ids)}
    periods = list(paths.periods)
    level = next(v for v in paths.levels.values() if set(weights["cluster"]) <= set(v.names))
    out: dict[int, float] = {int(r): 0.0 for r in weights["row"].unique()}
    for cell in weights[weights["sign"] == 1].itertuples():
        t, b = periods.index(cell.period), periods.index(cell.base)
        window = range(b - cell.window + 1, b + 1)
        found = []
        for u in range(paths.n_units):
            if paths.path[u] != cell.path or level.names[level.codes[u]] != cell.cluster or np.isnan(y[u, t]):
                continue
            if any(np.isfinite(y[u, s]) for s in window):
                i = person[paths.units[u]]
                found.append(float(world.values[outcome][-1][t, i]) - float(without[t, i]))
        out[cell.row] += cell.weight * np.mean(found)
    return out


@pytest.mark.parametrize("component", ["nurse", "court"])
def test_truth_over_cells_equals_the_definition(component: str) -> None:
    p = partnership("rough_sleeping", "realistic", 3, size=0.2)
    estimate = ek.StaggeredRollout(base_window=3, horizon=3)(p.study, component)
    weights = estimate.weights()
    rows = weights["row"].unique()[-4:]
    some = weights[weights["row"].isin(rows)]
    truth = p.truth_for(some, "settled")
    expected = by_hand(p, some, component, "settled")
    assert list(truth.index) == sorted(expected)
    np.testing.assert_allclose(truth.to_numpy(), [expected[r] for r in truth.index], atol=1e-12)


@pytest.mark.parametrize("design", [ek.StaggeredRollout(horizon=2), ek.TripleDifference(horizon=2)])
def test_cells_and_weights_make_the_estimate_again(design: ek.StaggeredRollout | ek.TripleDifference) -> None:
    p = partnership("rough_sleeping", "clean", 3, size=0.3)
    study, estimate = p.study, design(p.study, "court")
    weights, y = estimate.weights(), study.values()
    level = study.paths.levels["court_area"]
    late = weights[weights["row"] >= weights["row"].max() - 2]
    total: dict[int, float] = {}
    for cell in late.itertuples():
        units = (study.paths.path == cell.path) & (level.names[level.codes] == cell.cluster)
        t, b = (list(study.paths.periods).index(x) for x in (cell.period, cell.base))
        total[cell.row] = total.get(cell.row, 0.0) + cell.weight * (y[units, t] - y[units, b]).mean()
    np.testing.assert_allclose(list(total.values()), estimate.value[list(total)], atol=1e-10)
    assert (p.truth_for(late) != 0).any()


def test_truth_over_cells_knows_no_design(tidy: Partnership) -> None:
    study = tidy.study
    unit = int(
        np.flatnonzero(study.paths.levels["borough"].names[study.paths.levels["borough"].codes] == "Northmoor")[0]
    )
    cell = {"row": 7, "component": "policy", "path": study.paths.path[unit], "cluster": "Northmoor"}
    frame = pd.DataFrame([{**cell, "period": "2020-10", "sign": 1, "weight": 1.0}])
    world = tidy._world
    same = (study.paths.path == study.paths.path[unit]) & (world.scene.people.site == 0)
    t = list(study.paths.periods).index("2020-10")
    expected = (lived(tidy)[t] - world.without("settled", "policy")[t])[same].mean()
    found = tidy.truth_for(frame)
    assert found.index.tolist() == [7] and found.iloc[0] == pytest.approx(expected)
    assert tidy.truth_for(frame.assign(component="newsletter")).iloc[0] == 0
    assert tidy.truth_for(frame.assign(sign=-1)).iloc[0] == 0
    bundle = tidy.truth_for(frame.assign(component="policy + newsletter")).iloc[0]
    assert bundle == pytest.approx(expected)


def test_truth_over_cells_is_additive_in_weights(tidy: Partnership) -> None:
    estimate = ek.StaggeredRollout(horizon=2)(tidy.study, "nurse")
    weights = estimate.weights()
    once, twice = tidy.truth_for(weights), tidy.truth_for(weights.assign(weight=2 * weights["weight"]))
    np.testing.assert_allclose(twice, 2 * once)
    before = estimate.labels["event_time"].to_numpy() < 0
    assert (tidy.truth_for(weights[before[weights["row"]]]) == 0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"component": "nobody"}, "no component 'nobody'"),
        ({"cluster": "Atlantis"}, "no cluster 'Atlantis'"),
    ],
)
def test_weights_of_another_study_are_refused(tidy: Partnership, change: dict, words: str) -> None:
    frame = pd.DataFrame(
        [
            {
                "row": 0,
                "component": "policy",
                "path": 0,
                "cluster": "Northmoor",
                "period": "2020-10",
                "sign": 1,
                "weight": 1,
            }
        ]
    )
    with pytest.raises(OptionError, match=words):
        tidy.truth_for(frame.assign(**change))
    with pytest.raises(OptionError, match="no column 'sign'"):
        tidy.truth_for(frame.drop(columns="sign"))


def test_score_lays_verdict_and_truth_side_by_side(tidy: Partnership) -> None:
    verdicts = pd.DataFrame(
        {
            "component": ["policy", "newsletter", "keyworker"],
            "outcome": "settled",
            "verdict": ["shown", "likely", "not_tested"],
            "estimate": [0.1, 0.2, np.nan],
            "conf_low": [0.05, 0.1, np.nan],
            "conf_high": [0.15, 0.3, np.nan],
        }
    )
    score = tidy.score(verdicts).set_index("component")
    assert score.loc["policy", "truth"] == tidy.reveal_truth().of("policy", "settled")
    assert score.loc["policy", "covered"] is True and score.loc["newsletter", "covered"] is False
    assert score["claimed"].tolist() == [True, True, False]
    assert pd.isna(score.loc["keyworker", "covered"]) and score.loc["newsletter", "error"] == pytest.approx(0.2)


# --- knobs ---------------------------------------------------------------------------------------------------------


def test_leaving_and_gaps_change_what_is_seen_and_not_what_happened() -> None:
    plain = partnership("rough_sleeping", "clean", 2)
    worn = partnership("rough_sleeping", "clean", 2, attrition=1.0, missing=1.0, recording=0.5)
    assert (lived(plain) == lived(worn)).all()
    assert len(worn.tables["panel"]) < len(plain.tables["panel"])
    early = worn._world.written[:24], worn._world.seen[:24]
    inside = worn._world.scene.sites.programme[worn._world.scene.people.site]
    assert early[0][:, inside].sum() < 0.6 * early[1][:, inside].sum()
    assert early[0][:, ~inside].sum() > 0.9 * early[1][:, ~inside].sum()


def test_gap_brings_every_start_together() -> None:
    dose = doses(partnership("rough_sleeping", "clean", 2, gap=2))
    first = np.stack([(dose[c][:10] > 0).argmax(axis=1) for c in ("policy", "nurse", "court", "newsletter")])
    assert (first > 0).all() and np.ptp(first, axis=0).max() <= 3
    assert len(np.unique(first[0])) > 2


def test_order_by_need_serves_the_neediest_first() -> None:
    found = []
    for seed in range(6):
        p = partnership("rough_sleeping", "clean", seed, order="need")
        sites, rollout = make_ground(p.spec, p.knobs, p.seed)
        found.append(np.corrcoef(rollout.dose["nurse"][:10].sum(axis=1), sites.frame["deprivation_decile"][:10])[0, 1])
    assert np.mean(found) > 0.6


def test_crisis_on_one_side_leaves_the_other_as_it_was() -> None:
    p = partnership("rough_sleeping", "clean", 2, crisis="one")
    inside = p._world.scene.sites.programme[p._world.scene.people.site]
    at = lived(p)[21:24]
    assert at[:, inside].max() == 0 and at[:, ~inside].mean() > 0.3
    both = partnership("rough_sleeping", "clean", 2, crisis="both")
    assert lived(both)[21:24].max() == 0


def test_spillover_reaches_neighbours_and_not_the_register() -> None:
    plain, leaky = (partnership("rough_sleeping", "clean", 2, spillover=s) for s in (0.0, 0.4))
    assert doses(leaky)["nurse"][10:].sum() > 0 == doses(plain)["nurse"][10:].sum()
    pd.testing.assert_frame_equal(plain.tables["adoption"], leaky.tables["adoption"])


def test_wrong_dates_change_the_register_and_not_the_truth() -> None:
    plain, wrong = (partnership("rough_sleeping", "clean", 2, date_error=e) for e in (0, 3))
    assert (lived(plain) == lived(wrong)).all()
    months = [pd.PeriodIndex(p.tables["adoption"]["start"], freq="M").astype("int64") for p in (plain, wrong)]
    shift = np.asarray(months[1]) - np.asarray(months[0])
    assert 0 < np.abs(shift).max() <= 3 and (wrong.tables["adoption"]["certainty"] == "guessed").all()


def test_gaming_reports_homes_that_were_lost() -> None:
    plain, gamed = (partnership("rough_sleeping", "clean", 2, gaming=g) for g in (0.0, 0.8))
    assert (lived(plain) == lived(gamed)).all()
    a, b = plain.tables["panel"], gamed.tables["panel"]
    more = b["settled"] - a["settled"]
    assert more.min() == 0 and more[a["month"] < "2017-12"].max() == 0 and more[a["month"] >= "2018-01"].mean() > 0.003


def test_size_multiplies_people() -> None:
    assert len(partnership("carers", "clean", 1, size=0.5).tables["people"]) == 1500


def test_starts_are_independent_in_the_clean_setting() -> None:
    gap = []
    for seed in range(8):
        dose = doses(partnership("rough_sleeping", "clean", seed))
        both = (dose["newsletter"][:10, -1] > 0) & (dose["policy"][:10, -1] > 0)
        gap += list(((dose["newsletter"] > 0).argmax(axis=1) - (dose["policy"] >= 0.25).argmax(axis=1))[:10][both])
    assert min(gap) < -3 and max(gap) > 3
    dose = doses(partnership("rough_sleeping", "realistic", 1))
    on = np.flatnonzero(dose["newsletter"][:10, -1] > 0)
    late = (dose["newsletter"] > 0).argmax(axis=1)[on] - (dose["policy"] >= 0.25).argmax(axis=1)[on]
    assert set(late) <= {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("atlantis",), "name='atlantis' is not a choice"),
        (("carers", "easy"), "setting='easy' is not a choice"),
        (("carers", "clean", -1), "seed=-1"),
        (("carers", "clean", True), "seed=True"),
    ],
)
def test_unknown_choices_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        partnership(*arguments)


def test_unknown_knobs_are_refused() -> None:
    with pytest.raises(OptionError, match="knob='speed' is not a choice"):
        partnership("carers", speed=3)
    with pytest.raises(OptionError, match="crisis='some'"):
        partnership("carers", crisis="some")
    with pytest.raises(OptionError, match="The truth has no 'last_in' of 'nobody'"):
        partnership("carers", size=0.1).reveal_truth().of("nobody", "quality_of_life")


def test_what_is_always_on_is_never_tested(manchester: Partnership, tidy: Partnership) -> None:
    for p in (manchester, tidy):
        assert p.study.component("keyworker").always_on
        state = p.study.paths.state[:, :, p.study.paths.index("keyworker")]
        assert (state == state[:, :1]).all()


def test_more_rate_never_gives_fewer_events() -> None:
    u = np.linspace(0.001, 0.999, 999)
    few, many = poisson(u, np.full(999, 0.4)), poisson(u, np.full(999, 1.7))
    assert (many >= few).all()
    assert few.mean() == pytest.approx(0.4, abs=0.01) and many.var() == pytest.approx(1.7, abs=0.05)


def test_an_exposure_that_only_the_people_have_is_refused() -> None:
    panel = pd.DataFrame({"id": [1, 1, 2, 2], "t": [0, 1, 0, 1], "y": 0.0})
    people = pd.DataFrame({"id": [1, 2], "helped": [0, 1]})
    with pytest.raises(StudyError, match="There is no column 'helped' \\(exposure of component 'help'\\)"):
        ek.Study(panel, unit="id", period="t", people=people, components=[ek.Component("help", exposure="helped")])
