"""People join one after another, and what is measured moves with the time since: who came when must not pass for an
effect."""

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.arrivals import arrival_gap, by_arrival
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
    apart, whole = made.truth_for(cells)[0], made.truth_for(cells.drop(columns=["came_from", "came_to"]))[0]
    assert apart != whole
    assert abs(apart - whole) < 0.1


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
        expected = gap / weight / np.sqrt(spread / weight)
        assert expected < -0.1
        assert arrival_gap(study.paths, plan) == pytest.approx(expected)
        assert arrival_gap(study.paths, plan, lag=99) == 0.0

    def test_none_where_all_came_together(self):
        frame = panel()
        study = study_of(frame[frame.groupby("person")["t"].transform("min") == 0])
        assert arrival_gap(study.paths, ek.StaggeredRollout().plan(study.paths, "therapist")) == 0.0

    def test_little_is_left_once_those_who_came_together_are_compared(self):
        study = study_of(panel())
        gaps = [
            arrival_gap(
                by_arrival(study.paths, width).paths, ek.StaggeredRollout(arrival=width).plan(study.paths, "therapist")
            )
            for width in (PERIODS, 3, 1)
        ]
        assert abs(gaps[0]) > abs(gaps[1]) > gaps[2] == 0


@pytest.fixture(scope="module")
def evaluation():
    frame = panel()
    frame["y"] += np.random.default_rng(5).normal(0, 0.1, len(frame))
    return ek.evaluate(study_of(frame))


class TestEvaluate:
    def test_the_headline_compares_those_who_came_together(self, evaluation):
        runs = {r.rung.name: r.rung.design for r in evaluation.findings[0].runs}
        assert runs["StaggeredRollout(same)"].arrival == 6
        assert runs["StaggeredRollout(ignored)"].arrival is None
        low, high = evaluation.verdicts.loc[0, ["conf_low", "conf_high"]]
        assert low < 0 < high

    def test_the_rule_and_the_plan_say_so(self, evaluation):
        said = "Only those who came onto the record within the same 6 periods are compared"
        assert said in evaluation.rules["therapist"]
        assert said not in evaluation.rules["kit"]
        assert said in ek.evaluation.arrivals.rule_words("StaggeredRollout(same)", "Therapist", 6)

    def test_it_is_not_asked_where_both_sides_came_alike(self):
        frame = panel().assign(kit=0)
        found = ek.evaluate(study_of(frame))
        assert all(getattr(r.rung.design, "arrival", None) is None for r in found.findings[0].runs)


@pytest.mark.parametrize("arrival", [0, -1, True, 1.5, "6"])
def test_impossible_choices_are_refused(arrival):
    with pytest.raises(ek.errors.OptionError, match="arrival="):
        ek.StaggeredRollout(arrival=arrival)
