"""People join one after another, and what is measured moves with the time since: who came when must not pass for an
effect."""

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.rollout.staggered import apart, arrival_gap, by_arrival
from evalkit.evaluation.decomposition.interactions import interaction_tests
from evalkit.evaluation.ladder import Choices, Window
from evalkit.evaluation.rungs import arrival_width
from evalkit.reporting.plan import make_plan, plan_tags
from evalkit.synthetic import partnership

PLACES, PERIODS, LAUNCH = 8, 30, 12
STARTS = {0: 12, 1: 18, 2: 18, 3: 22}


def panel(seed=3, people=60):
    """A therapist in four places of eight; a kit for everybody who joins there from the launch on, which does nothing,
    as the therapist does not. Joining is spread over the calendar, and the outcome falls with the time since."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(PLACES * people), PERIODS)
    t = np.tile(np.arange(PERIODS), PLACES * people)
    place = unit // people
    came = rng.integers(0, PERIODS - 6, PLACES * people)[unit]
    start = np.array([STARTS.get(p, PERIODS) for p in range(PLACES)])[place]
    frame = pd.DataFrame({
        "person": unit, "t": t, "place": place, "y": np.exp(-0.08 * np.maximum(t - came, 0)),
        "therapist": (t >= start).astype(int), "kit": ((place < 4) & (came >= LAUNCH)).astype(int),
    })  # fmt: skip
    return frame[t >= came].reset_index(drop=True)


def study_of(frame, **more):
    components = [ek.Component("therapist", assigned_at="place"), ek.Component("kit", assigned_at="person")]
    outcome = ek.Outcome("y", label="Held", matters=0.05)
    return ek.Study(
        frame, unit="person", period="t", components=components, outcomes=[outcome], cluster="place", **more
    )


def after(estimate):
    return estimate.select(np.flatnonzero((estimate.labels["event_time"] >= 0).to_numpy()))


def test_who_came_when_passes_for_an_effect_until_those_who_came_together_are_compared():
    study = study_of(panel())
    plain = after(ek.StaggeredRollout()(study, "therapist")).aggregate("simple").value[0]
    alike = after(ek.StaggeredRollout(arrival=1)(study, "therapist"))
    near = after(ek.StaggeredRollout(arrival=3)(study, "therapist")).aggregate("simple").value[0]
    assert plain > 0.02
    np.testing.assert_allclose(alike.value, 0.0, atol=1e-12)
    assert abs(near) < plain / 5


@pytest.mark.parametrize("others", ["same", "unchanged"])
def test_by_hand(others):
    """Change of each adopter less the mean change of those who came in the same four periods, place by place."""
    frame, rng = panel(), np.random.default_rng(1)
    frame["y"] = np.where(rng.random(len(frame)) < 0.2, np.nan, frame["y"] + rng.normal(size=len(frame)))
    found = ek.StaggeredRollout(others=others, arrival=4)(study_of(frame), "therapist")
    wide = frame.pivot(index="person", columns="t", values="y")
    facts = frame.groupby("person").agg(place=("place", "first"), kit=("kit", "first"), came=("t", "min"))
    kind, start = -(-facts["came"] // 4), facts["place"].map(STARTS).fillna(99)
    for row in found.labels.assign(value=found.value, mass=found.mass).itertuples():
        base = row.cohort - 1 if row.event_time >= 0 else row.period - 1
        seen = wide[row.period].notna() & wide[base].notna()
        change, total, mass = wide[row.period] - wide[base], 0.0, 0
        for person in facts.index[seen & (start == row.cohort)]:
            match = seen & (start > max(row.period, base)) & (start != row.cohort) & (kind == kind[person])
            if others == "same":
                match &= facts["kit"] == facts["kit"][person]
            if match.any():
                total, mass = total + change[person] - change[match].mean(), mass + 1
        assert mass == pytest.approx(row.mass)
        if mass:
            assert total / mass == pytest.approx(row.value)


def test_nothing_changes_where_all_came_together():
    frame = panel()
    frame = frame[frame.groupby("person")["t"].transform("min") == 0]
    frame = frame.assign(y=np.random.default_rng(2).normal(size=len(frame)))
    study = study_of(frame)
    one, two = (ek.StaggeredRollout(base_window=3, arrival=a)(study, "therapist") for a in (None, 3))
    pd.testing.assert_frame_equal(one.to_frame().drop(columns="population"), two.to_frame().drop(columns="population"))
    cells = two.weights()
    assert set(cells["came_from"]) == set(cells["came_to"]) == {0}
    pd.testing.assert_frame_equal(one.weights(), cells.drop(columns=["came_from", "came_to"]))


def test_cells_say_when_their_people_came_and_name_the_paths_of_the_study():
    study = study_of(panel())
    one = after(ek.StaggeredRollout(base_window=3, arrival=4)(study, "therapist")).aggregate("simple")
    cells = one.weights()
    assert cells["path"].max() < study.paths.n_paths
    assert cells.groupby("sign")["weight"].sum().to_dict() == pytest.approx({-1: -1.0, 1: 1.0})
    first = study.paths.came
    for (path, low, high), _ in cells.groupby(["path", "came_from", "came_to"]):
        assert ((study.paths.path == path) & (first >= low) & (first <= high)).any()
    y, total = study.values(), 0.0
    place = study.paths.levels["place"]
    for c in cells.itertuples():
        units = (study.paths.path == c.path) & (place.names[place.codes] == c.cluster)
        units &= (first >= c.came_from) & (first <= c.came_to)
        change = y[units, c.period] - y[units, c.base]
        assert c.window == 1
        total += c.weight * np.nanmean(change)
    assert total == pytest.approx(one.value[0], abs=0.01)


def test_the_truth_is_that_of_those_who_came_then():
    """The truth of split cells is an average over the split people, not over all of their path."""
    made = partnership("young_people", "clean", 1)
    one = after(ek.StaggeredRollout(base_window=6, arrival=6)(made.study, "therapist")).aggregate("simple")
    cells = one.weights()
    split, whole = made.truth_for(cells)[0], made.truth_for(cells.drop(columns=["came_from", "came_to"]))[0]
    assert split != whole
    assert abs(split - whole) < 0.1


class TestGap:
    def test_by_hand(self):
        frame = panel()
        study = study_of(frame)
        plan = ek.StaggeredRollout().plan(study.paths, "therapist")
        facts = frame.groupby("person").agg(place=("place", "first"), kit=("kit", "first"), came=("t", "min"))
        start = facts["place"].map(STARTS).fillna(99)
        weight = gap = spread = 0.0
        for g in sorted(set(STARTS.values())):
            for t in range(g, PERIODS):
                for kit in (0, 1):
                    there = (facts["came"] < g) & (facts["kit"] == kit)
                    mine, other = (facts["came"][there & who] for who in (start == g, start > t))
                    if len(mine) and len(other):
                        weight += len(mine)
                        gap += len(mine) * (mine.mean() - other.mean())
                        spread += len(mine) * (mine.var(ddof=0) + other.var(ddof=0)) / 2
        found = arrival_gap(study.paths, plan)
        assert found == pytest.approx((gap / weight, np.sqrt(spread / weight)))
        assert found[0] < -0.1 * found[1]
        assert arrival_gap(study.paths, plan, lag=99) == (0.0, 0.0)

    def test_none_where_all_came_together(self):
        frame = panel()
        study = study_of(frame[frame.groupby("person")["t"].transform("min") == 0])
        assert arrival_gap(study.paths, ek.StaggeredRollout().plan(study.paths, "therapist")) == (0.0, 0.0)

    def test_little_is_left_once_those_who_came_together_are_compared(self):
        study = study_of(panel())
        gaps = [
            arrival_gap(
                by_arrival(study.paths, w).paths, ek.StaggeredRollout(arrival=w).plan(study.paths, "therapist")
            )[0]
            for w in (PERIODS, 3, 1)
        ]
        assert abs(gaps[0]) > abs(gaps[1]) > abs(gaps[2])
        assert gaps[2] == pytest.approx(0.0, abs=1e-12)

    def test_rounding_is_no_gap(self):
        """Weighted means of equal numbers differ in their last digit."""
        weight = np.random.default_rng(5).uniform(0.3, 3, 40).round(2)
        rows = [(i, t, i % 8, int(i % 8 < 4 and t >= 8), weight[i], 0.0) for i in range(40) for t in range(5, 14)]
        rows += [(99, t, 7, 0, 1.0, 0.0) for t in range(5)]
        study = ek.Study(
            pd.DataFrame(rows, columns=["i", "t", "place", "k", "w", "y"]), unit="i", period="t", cluster="place",
            components=[ek.Component("k", assigned_at="place")], outcome="y", weights="w",
        )  # fmt: skip
        gap, spread = arrival_gap(study.paths, ek.StaggeredRollout().plan(study.paths, "k"))
        assert abs(gap) < 1e-12
        assert not apart(gap, spread)

    def test_who_moves_came_with_the_first_stay(self):
        frame = panel()
        frame = frame[frame.groupby("person")["t"].transform("min") == 0]
        frame = frame.assign(place=np.where((frame["person"] % 5 == 0) & (frame["t"] >= 4), 7, frame["place"]))
        frame["therapist"] = (frame["t"] >= frame["place"].map(STARTS).fillna(99)).astype(int)
        study = study_of(frame.assign(kit=0))
        assert len(study.paths.units) > frame["person"].nunique()
        assert not study.paths.came.any()


@pytest.fixture(scope="module")
def evaluation():
    frame = panel()
    frame["y"] += np.random.default_rng(5).normal(0, 0.1, len(frame))
    return ek.evaluate(study_of(frame))


class TestEvaluate:
    def test_the_headline_compares_those_who_came_together(self, evaluation):
        runs = {r.rung.name: r.rung for r in evaluation.findings[0].runs}
        assert runs["StaggeredRollout(same)"].design.arrival in (1, 3, 6)
        assert runs["StaggeredRollout(ignored)"].design.arrival is None
        assert not runs["JointEventStudy"].fair
        low, high = evaluation.verdicts.loc[0, ["conf_low", "conf_high"]]
        assert low < 0 < high

    def test_the_rule_and_the_plan_say_so(self, evaluation):
        said = "Only those who came onto the record"
        assert said in evaluation.rules["therapist"]
        assert said not in evaluation.rules["kit"]
        fixed = make_plan(evaluation.study)
        assert {c["name"]: c["arrival"] is None for c in fixed["components"]} == {"therapist": False, "kit": True}
        assert plan_tags(fixed, evaluation)["therapist", "y"] == "planned"
        before = {**fixed, "components": [{**c, "arrival": None} for c in fixed["components"]]}
        assert "who is compared with whom was changed" in plan_tags(before, evaluation)["therapist", "y"]

    def test_the_programme_as_a_whole_does_not_take_it_for_an_effect(self, evaluation):
        """Nothing does anything here: compared with whoever was there, the programme seems to do harm."""
        found = evaluation.attribution
        assert found.total_low < 0 < found.total_high
        assert any("came onto the record" in note for note in found.notes)

    def test_it_is_not_asked_where_both_sides_came_alike(self):
        frame = panel().assign(kit=0)
        found = ek.evaluate(study_of(frame))
        assert all(getattr(r.rung.design, "arrival", None) is None for r in found.findings[0].runs)
        assert not any("came onto the record" in note for note in found.attribution.notes)


def test_what_is_compared_as_one_says_so_too():
    """Two that always go together are run as one component; who is compared stands in the rule of both."""
    frame = panel().rename(columns={"therapist": "one"})
    frame = frame.assign(two=frame["one"], y=frame["y"] + np.random.default_rng(5).normal(0, 0.1, len(frame)))
    components = [ek.Component(c, assigned_at="place") for c in ("one", "two")]
    components.append(ek.Component("kit", assigned_at="person"))
    study = ek.Study(frame, unit="person", period="t", components=components, outcome="y", cluster="place")
    found = ek.evaluate(study)
    assert found.bundle_runs[0].run.rung.design.arrival is not None
    assert all("Only those who came onto the record" in found.rules[c] for c in ("one", "two"))


def test_interactions_compare_those_whom_the_headlines_compare():
    """Both components do nothing; b is for those who joined late in some of the places with a."""
    rng = np.random.default_rng(4)
    places, people = 16, 40
    unit, t = (x.ravel() for x in np.indices((places * people, PERIODS)))
    place, came = unit // people, rng.integers(0, PERIODS - 6, places * people)[unit]
    came = np.where((place % 4 == 0) & (came > 6), came // 3, came)
    frame = pd.DataFrame({
        "person": unit, "t": t, "place": place, "y": np.exp(-0.08 * np.maximum(t - came, 0)),
        "a": ((place % 2 == 0) & (t >= 14 + place % 3)).astype(int), "b": ((place % 8 < 4) & (t >= 4)).astype(int),
    })[t >= came]  # fmt: skip
    components = [ek.Component(c, assigned_at="place") for c in "ab"]
    study = ek.Study(frame, unit="person", period="t", components=components, outcome="y", cluster="place")
    choices, outcome = Choices(), study.outcome()
    windows = {"a": Window(0, 6), "b": Window(0, 6)}
    plain, alike = (interaction_tests(study, outcome, windows, choices, 0.95, w).estimates["a", "b"] for w in (None, 1))
    assert abs(plain.value[0]) > 0.002
    assert alike.value[0] == pytest.approx(0.0, abs=1e-12)
    assert {"came_from", "came_to"} <= set(alike.weights())


def test_bands_narrow_until_little_is_left():
    """Those with it came in the last period of a band, those without in its first: only the same period will do."""
    frame = panel().assign(kit=0)
    frame = frame[~frame["place"].isin([0, 3])]  # the two that are left start together
    here = frame["place"] < 4
    first = frame.groupby("person")["t"].transform("min")
    frame = frame[np.where(here, first % 6 == 0, first % 6 == 1)]
    study = study_of(frame)
    width = arrival_width(study.paths, "therapist", "StaggeredRollout(same)", Choices(), Window(0, None))
    assert width == 3
    row = ek.evaluate(study).verdicts.iloc[0]
    assert row["verdict"] == "cannot_tell"
    assert np.isnan(row["estimate"])
    assert "came onto the record at about the same time" in row["sentence"]


@pytest.mark.parametrize("arrival", [0, -1, True, 1.5, "6"])
def test_impossible_choices_are_refused(arrival):
    with pytest.raises(ek.errors.OptionError, match="arrival="):
        ek.StaggeredRollout(arrival=arrival)
