"""What a brief means: dates by the calendar, components that start together, a past that is over, what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError
from evalkit.rollouts.allocation import replay
from evalkit.rollouts.brief import make_brief
from evalkit.rollouts.law import laws
from evalkit.rollouts.planning import RolloutPlan
from evalkit.rollouts.search import Search
from evalkit.rollouts.stress import _slipped

PLACES = [f"p{i}" for i in range(8)]
MONTHS = ("2027-01", "2029-12")


def planned(
    *components: ek.Planned, periods: tuple[Any, Any] = MONTHS, places: Any = None, **options: Any
) -> RolloutPlan:
    return ek.plan_rollout(PLACES if places is None else places, components, periods, effort=0.05, **options)


def test_components_that_start_together_keep_to_the_dates_of_both() -> None:
    """As numbers stand on the calendar, not as they are spelt: '9' comes after '10' in words."""
    plan = planned(ek.Planned("a", earliest=9), ek.Planned("b", earliest=10), periods=(1, 36), together=[("a", "b")])
    assert plan.schedule["a"].min() >= 10 and (plan.schedule["a"] == plan.schedule["b"]).all()
    brief = make_brief(
        PLACES, [ek.Planned("a", latest=9), ek.Planned("b", latest=29)], (1, 36), ek.Noise(), 6, [("a", "b")]
    )
    assert (brief.high == 8).all()


def test_one_date_spelt_in_two_ways_is_one_date() -> None:
    parts = ek.Planned("a", fixed={"p1": "2027-09"}), ek.Planned("b", fixed={"p1": date(2027, 9, 1)})
    plan = planned(*parts, together=[("a", "b")])
    assert not plan.impossible and plan.schedule.loc["p1", ["a", "b"]].tolist() == ["2027-09", "2027-09"]
    other = planned(parts[0], ek.Planned("b", fixed={"p1": "2027-10"}), together=[("a", "b")])
    assert "different dates fixed in p1" in other.impossible[0]


def test_nothing_starts_before_now_unless_it_is_fixed_there() -> None:
    part = ek.Planned("a", earliest="2027-03", fixed={"p0": "2027-02"})
    assert "outside the dates" in planned(part, now="2027-12").impossible[0]
    part = ek.Planned("a", earliest="2027-03", fixed={"p0": "2027-04"})
    dates = planned(part, now="2027-12").schedule["a"]
    assert dates["p0"] == "2027-04" and dates.drop("p0").min() >= "2027-12"
    late = planned(ek.Planned("a", latest="2027-10"), now="2027-12")
    assert "may not start before 2027-12 and must have started by 2027-10" in late.impossible[0]


def test_a_name_may_have_a_plus() -> None:
    plan = planned(ek.Planned("advice+letter", wanted=0.1))
    assert plan.schedule.columns.tolist() == ["place", "advice+letter"]
    assert plan.power["status"].tolist() == ["separable"]
    assert set(plan.randomise(1).register["component"]) == {"advice+letter"}


def test_each_that_starts_together_costs_its_own() -> None:
    plan = planned(ek.Planned("a", unit_cost=3), ek.Planned("b", unit_cost=5), ek.Planned("c"), together=[("a", "b")])
    costs = plan.costs.set_index("component")
    assert costs.loc["a", "cost"] == 3 * costs.loc["a", "person_periods"]
    assert costs.loc["b", "cost"] == 5 * costs.loc["a", "person_periods"] and np.isnan(costs.loc["c", "cost"])


def test_places_fixed_by_number_stay_as_they_are_fixed() -> None:
    plan = planned(ek.Planned("a", fixed={3: "2027-09", 5: None}, everywhere=False), places=list(range(8)))
    assert plan.schedule.loc["3", "a"] == "2027-09" and plan.schedule.loc["5", "a"] is None
    assert not plan.brief.never[[3, 5]].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"components": ek.Planned("a")}, "must be a list"),
        ({"components": [ek.Planned("a", everywhere="no")]}, "everywhere='no'"),  # type: ignore[arg-type]
        ({"components": [ek.Planned("a", unit_cost="much")]}, "unit_cost='much'"),  # type: ignore[arg-type]
        ({"components": [ek.Planned("a", unit_cost=-1)]}, "unit_cost=-1"),
        ({"together": 5}, "together=5"),
        ({"together": ["a", "b"]}, "together='a'"),
        ({"places": None}, "places=None"),
        ({"places": {"p0": 20}}, "no list of names"),
        ({"places": 12}, "places=12"),
    ],
)
def test_what_is_no_brief_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    given = {"places": PLACES, "components": [ek.Planned("a")], "periods": MONTHS, **options}
    with pytest.raises(OptionError, match=words):
        ek.plan_rollout(given.pop("places"), given.pop("components"), given.pop("periods"), **given)


def a_study_of(periods: list[Any]) -> ek.Study:
    """Eight places of which four have begun; outcomes are not read."""
    T = len(periods)
    frame = pd.DataFrame({"place": np.repeat(PLACES, T), "t": np.tile(np.arange(T), 8), "y": np.arange(8 * T) % 7})
    frame["a"] = ((frame["place"] < "p4") & (frame["t"] > T // 2)).astype(int)
    frame["t"] = pd.Series([periods[t] for t in frame["t"]], dtype=None if hasattr(periods[0], "freq") else object)
    return ek.Study(frame, unit="place", period="t", outcome="y", kind="score", components=["a"])


def stamps(first: str, freq: str, periods: int = 15) -> list[Any]:
    return pd.date_range(first, periods=periods, freq=freq).tolist()


def words(first: str, freq: str, form: str = "%Y-%m-%d") -> list[Any]:
    return [d.strftime(form) for d in stamps(first, freq)]


@pytest.mark.parametrize(
    ("periods", "last"),
    [
        (words("2024-05-01", "MS"), "2025-11-01"),
        (words("2024-05-31", "ME"), "2025-11-30"),
        ([str((pd.Timestamp("2024-05-30") + pd.DateOffset(months=m)).date()) for m in range(15)], "2025-11-30"),
        (words("2021-01-01", "QS"), "2025-07-01"),
        (words("2021-01-01", "QS", "%Y-%m"), "2025-07"),
        (words("2001-04-01", "YS-APR"), "2019-04-01"),
        (words("2024-12-30", "7D"), "2025-05-05"),
        (words("2024-02-20", "D"), "2024-03-09"),
        (stamps("2024-05-01", "MS"), pd.Timestamp("2025-11-01")),
        ([d.date() for d in stamps("2024-05-01", "MS")], date(2025, 11, 1)),
        (list(range(1990, 2020, 2)), 2026),
        (list(pd.period_range("2021Q1", periods=15, freq="Q")), pd.Period("2025Q3")),
    ],
    ids=lambda v: f"{v[0]}, {v[1]}" if isinstance(v, list) else "",
)
def test_the_next_periods_stand_at_the_step_of_the_study_s_own(periods: list[Any], last: object) -> None:
    plan = ek.next_rollout(a_study_of(periods), 4, window=2, noise=ek.Noise(), effort=0.02)
    values = plan.brief.calendar.values.tolist()
    assert len(values) == 19 and values[-1] == last
    assert [str(v)[:10] for v in values[:15]] == [str(p)[:10] for p in periods]
    begun = plan.schedule["a"]
    assert begun.tolist()[:4] == [values[8]] * 4 and set(begun[4:]) <= {*values[15:], None} and begun[4:].notna().any()
    assert plan.changes(plan.schedule, 0)["moves"].eq("").all()
    check = ek.Component("a", adoption=plan.randomise(1).register, assigned_at="place")
    later = ek.Study(a_study_of(values).source.frame, unit="place", period="t", outcome="y", kind="score",
                     components=[check])  # fmt: skip
    first = (later.paths.state[later.paths.path, :, 0] > 0).argmax(axis=1)
    assert [values[t] for t in first[:4]] == begun.tolist()[:4]


@pytest.mark.filterwarnings("ignore:The calendar has gaps")
@pytest.mark.parametrize(
    ("periods", "refused"),
    [
        (words("2024-05-01", "B"), "do not stand one step of whole days apart"),
        (stamps("2024-05-01", "6h"), "do not stand one step of whole days apart"),
        ([m for m in words("2024-05-01", "MS") if not m.startswith("2025-01")], "do not stand one step of whole days"),
        (stamps("2024-05-01", "D", 238), "238 periods and 4 more are 242, and a rollout is planned over at most 240"),
    ],
    ids=["weekdays", "hours", "gap", "long"],
)
def test_periods_that_nothing_follows_are_refused_in_words(periods: list[Any], refused: str) -> None:
    with pytest.raises(OptionError, match=refused):
        ek.next_rollout(a_study_of(periods), 4, noise=ek.Noise())


@pytest.mark.parametrize("options", [{"seed": -1}, {"effort": 0}, {"noise": 3}], ids=str)
def test_a_next_rollout_is_asked_for_as_a_plan_is(options: dict[str, Any]) -> None:
    frame = pd.DataFrame({"place": np.repeat(PLACES, 12), "t": np.tile(np.arange(12), 8), "y": np.arange(96) % 7})
    frame["a"] = ((frame["place"] < "p4") & (frame["t"] > 6)).astype(int)
    study = ek.Study(frame, unit="place", period="t", outcome="y", kind="score", components=["a"])
    with pytest.raises(OptionError, match=next(iter(options))):
        ek.next_rollout(study, **options)
    with pytest.raises(OptionError, match="int is no study"):
        ek.next_rollout(3)  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    one = planned(ek.Planned("a", lag=np.int64(1), per_month=np.int64(2)), window=np.int64(5), seed=np.int64(3))
    two = planned(ek.Planned("a", lag=1, per_month=2), window=5, seed=3)
    assert one.schedule.equals(two.schedule) and one.randomise(np.int64(2)).text() == two.randomise(2).text()


def test_one_place_is_one_place() -> None:
    assert planned(ek.Planned("a"), places=["here"]).impossible[0].startswith("There is one place. 'a' needs")


# ---------------------------------------------------------------- what is made of a plan


def test_a_lot_is_drawn_again_in_the_calendar_s_own_periods(tmp_path: Path) -> None:
    plan = planned(ek.Planned("a"), ek.Planned("b", everywhere=False, fixed={"p0": None}), periods=(1, 40))
    one = plan.randomise(5)
    again = replay(one.save(tmp_path))
    assert again.equals(one.schedule.astype(object)) and again.loc["p0", "b"] is None
    assert again["a"].map(type).unique().tolist() == [int]


@pytest.mark.parametrize(
    ("reach", "together", "weights"),
    [
        (0.5, (), "least_noise"), (0.5, [("a", "b")], "least_noise"), (0.5, (), "equal"),
        (None, (), "least_noise"), (None, (), "equal"),
    ],
)  # fmt: skip
def test_dates_that_do_not_slip_are_the_plan(
    reach: float | None, together: list[tuple[str, str]], weights: str
) -> None:
    """With a reach the screen is not the law, and of components that start together each has its own; where it knows
    the weights, what can be detected is by the law all the same."""
    plan = planned(ek.Planned("a", reach=reach), ek.Planned("b"), together=together, weights=weights)
    table = plan.stress(slip=0, draws=3).set_index(["case", "component"])
    slipped = table.loc[[c for c in table.index if c[0].startswith("each date late")]]
    assert slipped["detectable"].tolist() == slipped["worst"].tolist() == plan.power["detectable"].tolist()


def test_dates_that_slip_are_told_by_the_law_of_one_rollout_that_was_drawn() -> None:
    plan = planned(ek.Planned("a"), ek.Planned("b"))
    rng, search = np.random.default_rng(plan.seed), Search(plan.brief, plan.seed)
    drawn = [_slipped(search, plan.starts, 0.3, rng) for _ in range(5)]
    table = plan.stress(slip=0.3, draws=5).set_index(["case", "component"])
    slipped = table.loc[[c for c in table.index if c[0].startswith("each date late")]]
    by_law = np.array([[law.detectable for law in laws(plan.brief, s)] for s in drawn])
    roughly = np.array([search.detectable(s, full=True)[0] for s in drawn])
    for k, at in enumerate(np.argsort(roughly, axis=0)[2]):
        assert slipped["detectable"].iloc[k] == by_law[at, k] != roughly[at, k]
        assert slipped["worst"].iloc[k] >= slipped["detectable"].iloc[k]


@pytest.mark.parametrize("draws", [0, -1, 2.5, True])
def test_stress_without_draws_is_refused(draws: Any) -> None:
    with pytest.raises(OptionError, match="draws="):
        planned(ek.Planned("a")).stress(draws=draws)


def test_a_change_that_tells_less_is_no_row() -> None:
    plan = planned(ek.Planned("a", wanted=0.1), ek.Planned("b", wanted=0.1), places=[f"p{i}" for i in range(10)])
    table = plan.changes(plan.schedule)
    assert table["change"].tolist()[0] == "0 dates" and (np.diff(table["worst"][:-1]) < 0).all()
    lost = {}
    for place in plan.schedule.index:
        draft = plan.schedule.copy()
        draft.loc[place, "a"] = None
        lost[place] = plan.changes(draft, dates=0)["worst"][0]
    draft = plan.schedule.copy()
    draft.loc[max(lost, key=lost.__getitem__), "a"] = None
    found = plan.changes(draft, dates=1)
    assert found["change"].tolist() == ["0 dates", "1 date", "this plan"] and found["worst"][1] < found["worst"][0]
    with pytest.raises(OptionError, match="The draft is no table"):
        plan.changes([1, 2])  # type: ignore[arg-type]


def test_a_reach_of_nobody_says_what_can_be_done() -> None:
    places = pd.DataFrame({"place": PLACES, "people": 20, "dual": [0.0, *[0.5] * 7]})
    with pytest.raises(OptionError, match="leave out places where it reaches nobody"):
        planned(ek.Planned("a", reach="dual"), places=places)
