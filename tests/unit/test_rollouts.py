"""Planned rollouts: the screen and the law beside the designs, what a plan keeps to, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

import evalkit as ek
from benchmarks.plan_briefs import IMPOSSIBLE
from evalkit.components.status import make_audit
from evalkit.components.wording import Names
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.errors import EvalkitError, NotIdentifiedError, OptionError
from evalkit.inference.replicates import satterthwaite
from evalkit.rollouts import compiled, kernel, worth
from evalkit.rollouts.allocation import replay
from evalkit.rollouts.brief import Brief, make_brief
from evalkit.rollouts.following import _places
from evalkit.rollouts.kernel import Screen
from evalkit.rollouts.law import laws, make_forms, paths_of
from evalkit.rollouts.least import Tables, gathered, moments, spread, system_of
from evalkit.rollouts.planning import RolloutPlan, search_plan
from evalkit.rollouts.planning import rivals as beside
from evalkit.rollouts.search import Search
from evalkit.rollouts.solving import factor
from evalkit.vocabulary import SAME

T, WINDOW = 24, 4
STARTS = np.array([[6, 12], [9, 12], [6, 18], [12, 8], [24, 8], [15, 18], [18, 6]])


def a_brief(people: list[int] | None = None, reach: float | None = None, **noise: float) -> Brief:
    places = pd.DataFrame({"place": [f"p{i}" for i in range(7)], "people": people or [4] * 7})
    return make_brief(places, [ek.Planned("a"), ek.Planned("b", reach=reach)], (0, T - 1), ek.Noise(**noise), WINDOW)


def plain_of(function: Callable) -> Callable:
    """What is compiled where numba is installed, as it is written."""
    return getattr(function, "py_func", function)


def a_study(b: Brief, starts: np.ndarray, y: np.ndarray | None = None) -> ek.Study:
    """Everybody of a brief under a rollout, with outcomes (cells of kinds in places x T)."""
    paths = paths_of(b, starts)
    units, cells = paths.n_units, paths.path
    values = np.zeros((len(paths.state), T)) if y is None else y
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(units), T), "t": np.tile(np.arange(T), units), "y": values[cells].ravel(),
        "place": np.repeat(paths.levels["place"].names[paths.levels["place"].codes], T),
    })  # fmt: skip
    parts: list[str | ek.Component] = []
    for k, name in enumerate(b.names):
        frame[name] = np.repeat(starts[paths.levels["place"].codes, k], T) <= frame["t"]
        frame[name] = frame[name].astype(int)
        reached = paths.reach[cells, k]
        if reached.all():
            parts.append(name)
        else:
            frame[f"reach_{name}"] = np.repeat(reached, T).astype(int)
            parts.append(ek.Component(name, exposure=name, reach=f"reach_{name}"))
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher", matters=0.1,
                    components=parts)  # fmt: skip


@pytest.mark.parametrize("reach", [None, 0.5])
@pytest.mark.parametrize("people", [None, [4, 6, 8, 2, 10, 4, 6]])
def test_the_screen_weighs_and_refits_as_the_estimator_does(people: list[int] | None, reach: float | None) -> None:
    b = a_brief(people, reach)
    y = np.random.default_rng(3).normal(size=(len(b.places) * len(b.kinds), T))
    study, screen = a_study(b, STARTS, y), Screen.of(b)
    cells = screen.cells(STARTS)
    for k, name in enumerate(b.names):
        one = StaggeredRollout(base_window=6, horizon=WINDOW - 1)(study, name).over(0, WINDOW - 1)
        assert one is not None
        W = screen.weights(cells, k)[0]
        assert (W * y).sum() == pytest.approx(one.value[0], abs=1e-12)
        refits = [(screen.weights(cells, k, s)[0] * y).sum() for s in range(len(b.places))]
        assert refits == pytest.approx(one.replicates.values[:, 0], abs=1e-12)


def test_loops_and_arrays_are_the_same_reckoning() -> None:
    b = a_brief([4, 6, 8, 2, 10, 4, 6], 0.5)
    screen = Screen.of(b)
    cells = screen.cells(STARTS)
    for k in range(2):
        made = []
        for weigh, refits in ((kernel.loops, kernel.refits), (kernel.arrays, kernel.one_by_one)):
            W, seen = np.zeros((len(cells.start), T)), np.zeros((WINDOW, 2, 7), dtype=bool)
            mass = weigh(cells, k, 2, 0, 6, W, seen)
            every, scratch = np.zeros(W.shape), np.zeros(seen.shape, dtype=bool)
            whole = weigh(cells, k, -1, 0, 6, every, scratch)
            made.append((mass, W, seen, refits(cells, k, 0, 6, every, whole, scratch, screen.spreads)))
        assert made[0][0] == pytest.approx(made[1][0]) and made[0][0] > 0
        assert np.allclose(made[0][1], made[1][1], atol=1e-12) and (made[0][2] == made[1][2]).all()
        assert np.allclose(made[0][3], made[1][3], rtol=1e-9) and (made[0][3] > 0).all()


@pytest.mark.parametrize("people", [None, [4, 6, 8, 2, 10, 4, 6]])
def test_the_screen_of_least_noise_is_the_law_of_the_designs(people: list[int] | None) -> None:
    b = a_brief(people, rho=0.7, fading=0.3, decay=0.8, slow=0.02)
    screen, paths = Screen.of(b), paths_of(b, STARTS)
    tables = Tables.of(b, screen.shocks, screen.person, 0)
    for k, name in enumerate(b.names):
        ok = np.ascontiguousarray(screen.weights(screen.cells(STARTS), k)[1][:, 0])
        forms = make_forms(b, paths, name, SAME, (0, WINDOW - 1))
        assert forms is not None
        square, G = np.diag(forms.covariance), len(b.places)
        system = system_of(STARTS, k, ok, b.people, tables)
        known = factor(gathered(system))
        own, shift, influence = moments(system, known, tables)
        assert own.sum() == pytest.approx(square[0], rel=1e-9)
        assert shift == pytest.approx(square[1 : 1 + G], rel=1e-7)
        assert influence == pytest.approx(square[1 + G :], rel=1e-7)
        assert spread(system, known) == pytest.approx(own, rel=1e-9)
        assert square[0] == pytest.approx(forms.working, rel=1e-9)  # the planning covariance is the working one


@pytest.mark.parametrize("reach", [None, 0.5])
@pytest.mark.parametrize("weights", ["least_noise", "equal"])
def test_without_numba_the_search_reckons_the_same(
    monkeypatch: pytest.MonkeyPatch, weights: str, reach: float | None
) -> None:
    b = a_brief([4, 6, 8, 2, 10, 4, 6], reach)
    quick = [Search(b, 0, weights).loss(STARTS, full) for full in (False, True)]
    monkeypatch.setattr("evalkit.rollouts.worth.weigh", kernel.arrays)
    monkeypatch.setattr("evalkit.rollouts.worth.shifts", kernel.one_by_one)
    for name in ("prepared", "worth"):
        monkeypatch.setattr(f"evalkit.rollouts.search.{name}", plain_of(getattr(worth, name)))
    plain = [Search(b, 0, weights).loss(STARTS, full) for full in (False, True)]
    assert plain == pytest.approx(quick, rel=1e-9) and quick[1] > quick[0]


def test_what_an_interval_is_expected_to_tell() -> None:
    """By hand, with the degrees of freedom and quantiles of the estimators."""
    found = np.array([[4.0, 1.0, 2.0, 1.0, 0.0], [5.0, 2.0, 2.0, 2.0, 3.0], [3.0, 1.0, 1.0, 1.0, 9.0]])
    exposed = np.array([True, True, False, False, False])
    df = float(satterthwaite(*np.array([7.0, 4.0, 2.0, 2.0])))
    c = stdtrit(df, 0.975) * np.sqrt(11 * 3 / 4 / 8)
    detectable = (c + worth.Z80 * np.sqrt(1 + c**2 / (2 * df))) * np.sqrt(8)
    assert worth.expected(found, exposed, False) == pytest.approx(detectable, rel=1e-5)
    found[2, 4] = 0.0
    most, least, prior = 11 * 3 / 4, 6.0, 1.0
    c = stdtrit(prior + df, 0.975) * np.sqrt((prior + df * np.sqrt(least * most) / 8) / (prior + df))
    detectable = (c + worth.Z80 * np.sqrt(1 + c**2 / (2 * (prior + df)))) * np.sqrt(8)
    assert worth.expected(found, exposed, True) == pytest.approx(detectable, rel=1e-5)
    grid = np.array([1.0, 1.5, 2.7, 8.0, 40.0, 1e5])
    assert [worth.quantile(df) for df in grid] == pytest.approx(stdtrit(grid, 0.975), rel=1e-5)


def test_a_window_that_cannot_be_claimed_to_its_end_counts_against_an_order() -> None:
    """Of six places that start, one is left at the end of the window: separability claims its beginning only."""
    places, planned = [f"p{i}" for i in range(12)], [ek.Planned("a"), ek.Planned("b")]
    b = make_brief(places, planned, (0, T - 1), ek.Noise(), WINDOW)
    starts = np.array([[8, T]] * 2 + [[8, 10]] * 4 + [[18, T]] * 4 + [[18, 10]] * 2)
    law, search = laws(b, starts)[0], Search(b, 0)
    part = worth.prepared(search.screen.cells(starts), 0, search.ground, None)
    assert part.lacking == 0 and np.isfinite(search.detectable(starts, full=True)[0][0])
    assert (part.short > 0) == (law.until < WINDOW)


def test_many_sizes_and_periods_share_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    b = a_brief([4, 6, 8, 2, 10, 4, 6])
    own = Search(b, 0).loss(STARTS, full=True)
    monkeypatch.setattr("evalkit.rollouts.least.MOST", 2 * T**3)
    shared = Search(b, 0)
    assert len(shared.ground.tables[0].steps) == 2 and shared.loss(STARTS, full=True) == pytest.approx(own, rel=0.5)


def test_effects_that_differ_between_places_widen_what_is_promised() -> None:
    plain, varied = (laws(a_brief(effect=e), STARTS)[0] for e in (0.0, 0.05))
    assert varied.se > plain.se and varied.power(0.2) < plain.power(0.2)
    assert plain.power(0.4) > plain.power(0.1) > 0 and plain.power(plain.detectable) == pytest.approx(0.8, abs=0.01)


@pytest.fixture(scope="module")
def plan() -> RolloutPlan:
    planned = [
        ek.Planned("a", earliest="2027-05", latest="2029-02", wanted=0.15, per_month=1),
        ek.Planned("b", wanted=0.15, fixed={"p2": "2028-01", "p4": None}),
    ]
    return ek.plan_rollout(
        [f"p{i}" for i in range(7)], planned, ("2027-01", "2029-12"), per_month=2, seed=4, effort=0.1
    )


def test_a_plan_keeps_to_what_is_allowed(plan: RolloutPlan) -> None:
    dates = plan.schedule.set_index("place")
    assert dates.loc["p2", "b"] == "2028-01" and dates.loc["p4", "b"] is None
    assert dates["a"].between("2027-05", "2029-02").all() and dates["a"].is_unique
    assert pd.concat([dates["a"], dates["b"]]).value_counts().max() <= 2
    assert (plan.power["status"] == "separable").all() and plan.power["survives"].all()
    assert (plan.power["clean_exposed"] >= 2).all() and plan.power["detectable"].between(0.05, 0.5).all()


def test_the_same_seed_plans_the_same(plan: RolloutPlan) -> None:
    again = search_plan(plan.brief, 4, effort=0.1)
    assert (again.starts == plan.starts).all() and again.power.equals(plan.power)


def test_a_plan_beats_rollouts_that_people_think_of_first(plan: RolloutPlan) -> None:
    rivals = beside(plan, random=6).set_index("rival")
    assert rivals.loc["everything at once", "told_apart"] == 0
    median = rivals.loc["random order, median", "worst"]
    assert np.isnan(median) or rivals.loc["this plan", "worst"] < median


def test_stress_says_what_is_left(plan: RolloutPlan) -> None:
    table = plan.stress(draws=10).set_index(["case", "component"])
    assert table.loc[("noise lower", "a"), "detectable"] < table.loc[("noise higher", "a"), "detectable"]
    still = table.loc[("noise as planned", "a"), "detectable"]
    assert still == pytest.approx(plan.power["detectable"][0])
    assert table["told_apart"].between(0, 1).all()


def test_changes_are_cheap_and_true(plan: RolloutPlan) -> None:
    draft = plan.schedule.copy()
    draft.loc[draft["place"] != "p4", "b"] = draft.loc[draft["place"] != "p4", "a"]
    table = plan.changes(draft, dates=2)
    assert table["dates_moved"].tolist()[:2] == [0, 2] and not table["separable"][0]
    for row, schedule in zip(table.to_dict("records"), table.attrs["schedules"], strict=True):
        audit = make_audit(paths_of(plan.brief, plan.brief.starts(schedule)), Names(("a", "b"), "place", "month"))
        assert [s.status for s in audit.statuses] == [row["status_a"], row["status_b"]]
    with pytest.raises(OptionError, match="dates=-1"):
        plan.changes(draft, dates=-1)


def test_a_lot_can_be_drawn_again(plan: RolloutPlan, tmp_path) -> None:
    one = plan.randomise(7)
    file = one.save(tmp_path)
    assert plan.randomise(7).text() == one.text() and plan.randomise(8).text() != one.text()
    assert replay(file).equals(one.schedule[replay(file).columns].astype(object))
    fixed = one.schedule.set_index("place")["b"]
    assert fixed["p2"] == "2028-01" and fixed["p4"] is None  # places with dates of their own exchange nothing
    register = pd.read_csv(tmp_path / "adoption.csv")
    assert len(register) == 13 and set(register["component"]) == {"a", "b"}
    file.write_text(file.read_text().replace("seed = 7", "seed = 9"))
    with pytest.raises(EvalkitError, match="Somebody changed it"):
        replay(file)
    file.write_text(one.text().replace("candidates = [[", "candidates = [[6, 5, 2, 3, 4, 1, 0], ["))
    with pytest.raises(EvalkitError, match="not those of the hash"):
        replay(file)


def test_uneven_places_draw_from_what_tells_nearly_as_much() -> None:
    b = a_brief([4, 20, 4, 6, 30, 4, 6])
    plan = search_plan(b, 1, effort=0.1)
    dealt, search = plan.randomise(3), Search(b, 0)
    loss = [search.loss(plan.starts[c]) for c in dealt.candidates]
    assert max(loss) <= 1.05 * min(loss) + 1e-12 and len(loss) < 200


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_done_is_refused_with_its_reason(name: str) -> None:
    try:
        plan = IMPOSSIBLE[name]()
    except EvalkitError as error:
        assert "p99" in str(error)
        return
    assert plan.impossible and all(s.endswith(".") for s in plan.impossible)
    assert plan.schedule.empty and plan.power.empty
    with pytest.raises(NotIdentifiedError):
        plan.randomise(1)


def test_capacities_are_counted_over_every_stretch_of_time() -> None:
    few = IMPOSSIBLE["more starts than the capacity"]().impossible[0]
    assert "10 places between 2028-01 and 2028-04" in few and "which makes 8" in few
    assert "which makes 0" in IMPOSSIBLE["no capacity at all"]().impossible[0]


def test_components_that_go_together_are_planned_as_one() -> None:
    planned = [ek.Planned("policy", wanted=0.2), ek.Planned("letter"), ek.Planned("nurse")]
    plan = ek.plan_rollout([f"p{i}" for i in range(7)], planned, (0, 35), together=[("policy", "letter")], effort=0.05)
    assert (plan.schedule["policy"] == plan.schedule["letter"]).all()
    assert plan.power.set_index("component")["status"].to_dict() == {
        "policy": "bundle_only", "letter": "bundle_only", "nurse": "separable"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"components": []}, "at least one"),
        ({"components": [ek.Planned("a"), ek.Planned("a")]}, "named twice"),
        ({"components": [ek.Planned("a", wanted=0)]}, "wanted=0"),
        ({"components": [ek.Planned("a", reach=1.5)]}, "reach=1.5"),
        ({"components": [ek.Planned("a", per_month=-1)]}, "per_month=-1"),
        ({"components": [ek.Planned("a", earliest="soon")]}, "earliest of 'a' is 'soon'"),
        ({"components": [ek.Planned("a", fixed={"nowhere": "2027-08"})]}, "Unknown place 'nowhere'"),
        ({"places": []}, "no places"),
        ({"places": ["x", "x", "y"]}, "stands twice"),
        ({"places": pd.DataFrame({"name": ["x"]})}, "no column 'place'"),
        ({"places": pd.DataFrame({"place": ["x", "y"], "people": [3, -1]})}, "people is -1"),
        ({"periods": ("2027-01",)}, "two values"),
        ({"periods": ("2029-01", "2027-01")}, "must come after"),
        ({"periods": ("May", "June")}, "no months"),
        ({"window": 0}, "window=0"),
        ({"weights": "best"}, "weights='best'"),
        ({"seed": -1}, "seed=-1"),
        ({"noise": 0.1}, "noise=0.1"),
        ({"together": [("a", "z")]}, "together names 'z'"),
    ],
)
def test_what_cannot_be_meant_is_said(options: dict, words: str) -> None:
    given = {"places": list("uvwxyz"), "components": [ek.Planned("a")], "periods": ("2027-01", "2029-12"), **options}
    with pytest.raises(OptionError, match=words):
        ek.plan_rollout(given.pop("places"), given.pop("components"), given.pop("periods"), **given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"place": -1},
        {"rho": 1.0},
        {"people": 0},
        {"fading": 2.0},
        {"place": 0, "person": 0},
        {"share": 1.0},
        {"reached": {"woman": -1}},
        {"reached": 0.5},
    ],
)
def test_noise_that_is_none_is_refused(wrong: dict) -> None:
    with pytest.raises(OptionError, match="Noise"):
        ek.Noise(**wrong)


@pytest.mark.parametrize("weights", ["least_noise", "equal"])
def test_those_within_reach_may_vary_more_than_all(weights: str) -> None:
    """With twice the standard deviation of all, b's estimate has nearly twice; a's, which weighs all, hardly moves."""
    places = pd.DataFrame({"place": list("tuvwxyz"), "people": 60, "woman": 0.25})
    planned, starts = [ek.Planned("a"), ek.Planned("b", reach="woman")], STARTS.copy()
    plain, more = (
        laws(make_brief(places, planned, (0, T - 1), ek.Noise(place=0.0, reached=of), WINDOW), starts, weights)
        for of in ({}, {"woman": 0.9})
    )
    assert 1.7 < more[1].se / plain[1].se < 2.01 and 0.9 < more[0].se / plain[0].se < 1.1


@pytest.mark.parametrize("weights", ["least_noise", "equal"])
def test_effects_on_a_share_add_the_noise_of_who_moves(weights: str) -> None:
    """A share that rises by .3 of .8 moves three eighths of the others, who are other people in each place."""
    noise = ek.Noise(place=0.0, person=0.4, share=0.2)

    def spread(wanted: float | None, noise: ek.Noise = noise) -> float:
        planned = [ek.Planned("a", wanted=wanted), ek.Planned("b")]
        return laws(make_brief(list("tuvwxyz"), planned, (0, T - 1), noise, WINDOW), STARTS, weights)[0].se

    plain = spread(0.3, ek.Noise(place=0.0, person=0.4))
    assert spread(None) == pytest.approx(plain)
    assert plain < spread(0.1) < spread(0.3) < 1.5 * plain


@pytest.mark.parametrize("effects", [(0.0, 0.3), (0.1, 0.3), (-0.1, -0.25), (0.0, -0.2), (0.2, -0.1)])
def test_who_moves_by_enumeration(effects: tuple[float, float]) -> None:
    """Two months of a person, moved where a number drawn once lies below the share to be moved."""
    p, both = 0.4, 0.25  # of one month, and of both
    chances = {(1, 1): both, (1, 0): p - both, (0, 1): p - both, (0, 0): 1 - 2 * p + both}
    marks = (np.arange(2000) + 0.5) / 2000
    up = np.array([e >= 0 for e in effects])
    moved = [e / (1 - p) if e >= 0 else -e / p for e in effects]
    cells, weights = [], []
    for before, chance in chances.items():
        # one number for those who rise and another for those who fall: two directions are by chance
        for rise, fall in zip(marks, np.random.default_rng(1).permutation(marks), strict=True):
            drawn = [(rise if u else fall) < q for u, q in zip(up, moved, strict=True)]
            cells.append([float(u) if d else float(y) for y, d, u in zip(before, drawn, up, strict=True)])
            weights.append(chance / len(marks))
    noise = ek.Noise(place=0.0, person=0.45, share=p)
    own = p * (1 - p) - 0.45**2
    without = np.array([[p * (1 - p), both - p**2], [both - p**2, p * (1 - p)]]) - own
    found = noise.moved(without, np.array(effects)) + own
    np.testing.assert_allclose(found, np.cov(np.array(cells).T, aweights=weights, ddof=0), atol=3e-3)


@pytest.mark.parametrize("effects", [(0.0, 0.3), (0.1, 0.3), (-0.1, -0.25), (0.2, -0.1)])
def test_shocks_leave_those_alone_who_have_moved(effects: tuple[float, float]) -> None:
    """Of very many people: four shocks that a place may have in two months, and the share that is then yes."""
    p, shocks = 0.4, np.array([[0.1, 0.1], [0.1, -0.05], [-0.1, 0.05], [-0.1, -0.1]])
    added = np.array(effects)
    moved = np.where(added >= 0, added / (1 - p), -added / p)
    share = np.where(added >= 0, 1 - (1 - p - shocks) * (1 - moved), (p + shocks) * (1 - moved))
    found = ek.Noise(share=p).shaken(np.cov(shocks.T, ddof=0), added)
    np.testing.assert_allclose(found, np.cov(share.T, ddof=0), atol=1e-12)
    assert ek.Noise(share=0.0).shaken(found, added) is found


def test_a_first_search_says_why_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = SimpleNamespace(__name__="walk", signatures=[], stats=SimpleNamespace(cache_path=str(tmp_path)))
    monkeypatch.setattr(compiled, "COMPILED", True)
    assert "compiled first" in compiled.wait_for(loops)
    (tmp_path / "walk.walk-43.py311.nbi").touch()
    assert compiled.wait_for(loops) == ""
    monkeypatch.setattr(compiled, "COMPILED", False)
    assert "install evalkit with its extra [plan]" in compiled.wait_for(loops)


def test_the_promise_is_that_of_the_moderated_interval() -> None:
    """Not of a known variance: intervals vary from draw to draw, and are wider than 1.96 standard deviations."""
    law = laws(a_brief(), STARTS)[0]
    assert np.ptp(law.half) > 0.1 * law.se and law.half.mean() > 2.1 * law.se
    assert np.std(law.error) == pytest.approx(law.se, rel=0.03)


def test_a_rollout_by_people_needs_no_dates_moved() -> None:
    together = np.array([[6, 6], [9, 9], [12, 12], [6, 6], [24, 24], [15, 15], [18, 18]])
    alone, beside = (laws(a_brief([20] * 7, reach), together)[1] for reach in (None, 0.5))
    assert alone.status != "separable" and np.isnan(alone.detectable)
    assert beside.status == "separable" and beside.design == "TripleDifference" and beside.detectable < 0.5


def test_noise_and_the_next_rollout_of_a_study() -> None:
    b = a_brief([30] * 7, place=0.1, rho=0.5, person=0.5)
    rng = np.random.default_rng(5)
    study = a_study(b, np.where(np.arange(7)[:, None] < 3, STARTS, T))
    noisy = study.values("y").copy() + 0.5 * rng.normal(size=(study.paths.n_units, T))
    shock = rng.normal(size=(7, T))
    for t in range(1, T):
        shock[:, t] = 0.5 * shock[:, t - 1] + np.sqrt(0.75) * shock[:, t]
    noisy += 0.1 * shock[study.paths.levels["place"].codes]
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(210), T), "t": np.tile(np.arange(T), 210), "y": noisy.ravel(),
        "place": np.repeat(b.places, 30 * T),
    })  # fmt: skip
    for k, name in enumerate("ab"):
        starts = np.where(np.arange(7) < 3, STARTS[:, k], T)
        frame[name] = (frame["t"] >= np.repeat(starts, 30 * T)).astype(int)
    study = ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher", matters=0.2,
                     components=[ek.Component("a", exposure="a", unit_cost=10.0), "b"])  # fmt: skip
    noise = ek.Noise.from_study(study)
    assert noise.person == pytest.approx(0.5, abs=0.03) and noise.people == 30
    assert np.hypot(noise.place, noise.slow) == pytest.approx(0.1, abs=0.04)
    with pytest.raises(ek.EvalkitError, match="kind score"):
        ek.Noise.from_study(study, effects=0.1)
    plan = ek.next_rollout(study, 18, window=4, noise=replace(noise, slow=0.0), effort=0.05)
    assert not plan.impossible and plan.schedule["a"].tolist()[:3] == [6, 9, 6]
    assert all(s is None or s >= T for s in plan.schedule["a"][3:]) and plan.power["wanted"].eq(0.2).all()
    # a share of .2 that becomes .5 is noisier by the root of .25 / .16
    share = ek.Study(frame.assign(y=(np.arange(len(frame)) % 5 == 0).astype(float)), unit="person", period="t",
                     outcome="y", cluster="place", kind="share", components=["a", "b"])  # fmt: skip
    more = ek.Noise.from_study(share, effects=0.3).person / ek.Noise.from_study(share).person
    assert more == pytest.approx(1.25, abs=0.02)
    assert ek.Noise.from_study(share).share == pytest.approx(0.2, abs=0.02)
    costs = plan.costs.set_index("component")
    assert costs.loc["a", "cost"] == 10 * costs.loc["a", "person_periods"] and np.isnan(costs.loc["b", "cost"])


def test_the_next_rollout_counts_people_who_are_added_up() -> None:
    """Seven places of 12 people, a third of whom a component reaches: cells of four and of eight are not two alike."""
    people, places = 84, 7
    place = np.arange(people) // 12
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(people), 6), "t": np.tile(np.arange(6), people),
        "place": np.repeat([f"P{p}" for p in place], 6), "can": np.repeat((np.arange(people) % 3 == 0).astype(int), 6),
        "y": np.random.default_rng(0).normal(size=people * 6),
    })  # fmt: skip
    frame["a"] = (frame["t"] >= np.where(np.repeat(place, 6) < 4, 3, 6)).astype(int)
    held = [
        ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", hold=hold,
                 components=[ek.Component("a", exposure="a", reach="can", assigned_at="place")]).paths
        for hold in ("rows", "cells")
    ]  # fmt: skip
    rows, cells = map(_places, held)
    assert held[1].n_units == 2 * places and rows["people"].eq(12).all()
    pd.testing.assert_frame_equal(rows, cells)
    assert cells["reach of a"].to_numpy() == pytest.approx(1 / 3)
