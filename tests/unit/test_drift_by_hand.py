"""A step beside a straight line: against least squares written out, refits one by one, and cases that are known."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_t

import evalkit as ek
from evalkit.checks.drift import CHANGES, LATE, LINE, Begun, Drift, Fits, drift_beside, larger_of_two
from evalkit.checks.headline import pre_trend
from evalkit.checks.matched import matched
from evalkit.checks.noise import Series, own_noise
from evalkit.designs.noise import leverage
from evalkit.designs.noise.shapes import Shapes, _Whole, shapes
from evalkit.evaluation.ladder import run_design

DESIGN = ek.StaggeredRollout(base_window=6)


def noise(G: int, T: int, seed: int, rho: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = np.zeros((G, T))
    for t in range(T):
        y[:, t] = (rho * y[:, t - 1] if t else 0) + rng.normal(size=G)
    return y + rng.normal(size=(G, 1)) + rng.normal(size=T)


def study_of(y: np.ndarray, start: np.ndarray, stop: np.ndarray | None = None, lag: int = 0, **more) -> ek.Study:
    """One row a place and period; start: first exposed period, beyond the last for never."""
    G, T = y.shape
    u = np.arange(T)
    on = (u >= start[:, None]) & (True if stop is None else u < stop[:, None])
    frame = pd.DataFrame({
        "place": np.repeat([f"p{i:03}" for i in range(G)], T), "t": np.tile(u, G), "y": y.ravel(),
        "a": on.astype(int).ravel(), **{name: np.asarray(x).ravel() for name, x in more.items()},
    })  # fmt: skip
    parts = [ek.Component("a", exposure="a", lag=lag), *(ek.Component(name, exposure=name) for name in more)]
    return ek.Study(frame, unit="place", period="t", outcome="y", components=parts, matters=0.3)


def found(study: ek.Study, design=DESIGN, lag: int = 0, until: int | None = None) -> Drift:
    rows, reason = run_design(design, study, "a")
    assert rows is not None, reason
    one = rows.over(lag, until)
    assert one is not None
    return drift_beside(study, "a", design, rows, one, lag, until)


START = np.array([5, 5, 6, 7, 8, 9, *[99] * 6])


def people_of(y: np.ndarray, n: int, seed: int, gone: float = 0.0) -> ek.Study:
    """n people a place around its mean; of their rows a share is gone by chance."""
    (G, T), who = y.shape, np.arange(len(y) * n)
    values = y[who // n] + np.random.default_rng(seed).normal(size=(G * n, T))
    frame = pd.DataFrame({
        "person": np.repeat(who, T), "place": np.repeat(who // n, T), "t": np.tile(np.arange(T), G * n),
        "y": values.ravel(), "a": (np.tile(np.arange(T), G * n) >= np.repeat(START[who // n], T)).astype(int),
    })  # fmt: skip
    frame = frame[np.random.default_rng(seed + 1).random(len(frame)) >= gone]
    parts = [ek.Component("a", exposure="a", assigned_at="place")]
    return ek.Study(frame, unit="person", period="t", cluster="place", outcome="y", components=parts)


STUDIES = {
    "places": lambda: study_of(noise(12, 16, 1), START),
    "people": lambda: people_of(noise(12, 16, 1), 3, 2),
    "others": lambda: study_of(noise(12, 16, 1), START, b=np.arange(16) >= np.tile([4, 99, 11], 4)[:, None]),
}


@pytest.fixture(scope="module", params=STUDIES)
def asked(request) -> tuple[Begun, Shapes, np.ndarray]:
    """The groups of a study by time since the start, all shapes fitted to them, and their values."""
    begun = Begun.of(*DESIGN.untreated(STUDIES[request.param](), "a"), 0, 6)
    values = begun.shapes(np.arange(7))
    return begun, shapes(begun.made, values, begun.inside), values


def by_hand(begun: Begun, X: np.ndarray, gone: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and covariance of shapes X (k, C, T) by generalised least squares with a column for each level of
    each part, all written out; without one part."""
    rows, made = [], begun.made
    for q, part in enumerate(p for p in made.parts() if p):
        for g in part:
            place, (cell, t) = made.model.places[g.place], made.where[g.place]
            use = begun.inside[cell, t]
            steps = np.zeros((len(cell), made.model.columns))
            steps[:, place.at] = place.steps
            y = place.y if g.y is None else g.y
            if q != gone:
                rows.append((y[use], np.hstack([X[:, cell, t].T, steps])[use], place.level[use],
                             place.V[np.ix_(use, use)] / g.share))  # fmt: skip
    gram, right = [], []
    for y, x, level, V in rows:
        D, W = (level[:, None] == np.unique(level)).astype(float), np.linalg.inv(V)
        M = W - W @ D @ np.linalg.inv(D.T @ W @ D) @ D.T @ W
        gram.append(x.T @ M @ x)
        right.append(x.T @ M @ y)
    back = np.linalg.pinv(sum(gram), rcond=1e-11, hermitian=True)
    return (back @ sum(right))[: len(X)], back[: len(X), : len(X)]


@pytest.mark.parametrize("beside", [(CHANGES[0], LINE), (CHANGES[1], LATE), (LINE, *range(LATE + 1, LATE + 8))])
def test_coefficients_their_covariance_and_refits_by_hand(asked, beside):
    begun, found, values = asked
    mix = [1.0, *[0.0] * (len(beside) - 1)]
    one = found.combination(beside, mix)
    coefficients, vcov = by_hand(begun, values[list(beside)])
    assert one.value == pytest.approx(coefficients[0], abs=1e-8)
    assert found.covariance(one, one) == pytest.approx(vcov[0, 0], rel=1e-7)
    assert len(one.without) == 12
    for gone in (0, 5, 11):
        assert one.without[gone] == pytest.approx(by_hand(begun, values[list(beside)], gone)[0][0], abs=1e-7)


def _counted(real, ways: Counter, name: str):
    def call(*given):
        ways[name] += 1
        return real(*given)

    return call


@pytest.mark.parametrize("name", STUDIES)
def test_refits_by_the_inverse_of_all_are_those_worked_out_anew(name, monkeypatch):
    begun = Begun.of(*DESIGN.untreated(STUDIES[name](), "a"), 0, 6)
    values, made = begun.shapes(np.arange(7)), []
    for large, way in ((leverage.LARGE, "anew"), (0, "less")):  # of parts so small, if it is nought, all are
        monkeypatch.setattr(leverage, "LARGE", large)
        ways = Counter()
        for each in ("anew", "less"):
            monkeypatch.setattr(_Whole, each, _counted(getattr(_Whole, each), ways, each))
        made.append(shapes(begun.made, values, begun.inside))
        assert ways[way] > ways.total() / 2
        monkeypatch.undo()
    anew, less = made
    assert np.allclose(less.information_without, anew.information_without, rtol=0, atol=1e-9)
    assert np.allclose(less.score_without, anew.score_without, rtol=0, atol=1e-9)


def test_a_drift_of_any_size_leaves_what_stands_beside_it_alone(asked):
    """What a drift adds to the score is its column of the information, to which the weights of a change are nought."""
    _, found, _ = asked
    times = range(LATE + 1, LATE + 8)
    for changes in ((CHANGES[0],), (CHANGES[1],), times):
        for drift in (LINE, LATE):
            one = found.combination((*changes, drift), [*np.full(len(changes), 1 / len(changes)), 0.0])
            added = one.on_score @ found.information[:, drift]
            assert added == pytest.approx(0.0, abs=1e-9 * np.sqrt(found.information[drift, drift]))


def test_a_place_of_which_nothing_is_inside_takes_no_part(asked):
    begun, found, values = asked
    of = begun.made.where[0][0][0]
    inside = begun.inside & (np.arange(len(begun.inside)) != of)[:, None]
    without = shapes(begun.made, values, inside).combination((CHANGES[0], LINE), (1.0, 0.0))
    if not begun.made.groups.lone:  # else a group of places
        assert len(without.without) == 11
        one = found.combination((CHANGES[0], LINE), (1.0, 0.0))
        cluster = begun.made.model.places[0].cluster
        assert without.value == pytest.approx(one.without[cluster], abs=1e-9)
    assert math.isfinite(without.value)


def test_a_line_that_periods_take_up_is_no_loss_and_nothing_else_is():
    """Where all start, a line of the time since the start is one of periods: a step is still told, the line is not."""
    start = np.array([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    begun = Begun.of(*DESIGN.untreated(study_of(noise(12, 16, 3), start), "a"), 0, 3)
    found = shapes(begun.made, begun.shapes(np.empty(0)), begun.inside)
    assert found.combination((LINE,), (1.0,)) is None
    both, alone = found.combination((CHANGES[0], LINE), (1.0, 0.0)), found.combination((CHANGES[0],), (1.0,))
    assert both.value == pytest.approx(alone.value, abs=1e-9)


def test_correlation_and_variance_of_places():
    rng = np.random.default_rng(3)
    for rho in (0.0, 0.5):
        guesses = []
        for _ in range(30):
            e = np.zeros((40, 14))
            e[:, 0] = rng.normal(size=40) / math.sqrt(1 - rho**2)
            for t in range(1, 14):
                e[:, t] = rho * e[:, t - 1] + rng.normal(size=40)
            series = Series(e + rng.normal(size=(40, 1)) + rng.normal(size=14), np.ones(40), np.arange(40))
            own = own_noise(series, np.ones((40, 14), dtype=bool), np.zeros((40, 14), dtype=int))
            guesses.append((own.rho, own.variance[0]))
        mean = np.mean(guesses, axis=0)
        assert mean[0] == pytest.approx(rho, abs=0.06)
        assert mean[1] == pytest.approx(1 / (1 - rho**2), rel=0.12)


def test_larger_places_are_less_noisy():
    rng = np.random.default_rng(4)
    size = np.repeat([5.0, 50.0], 60)
    series = Series(rng.normal(size=(120, 12)) * np.sqrt(0.2 + 4 / size)[:, None], size, np.arange(120))
    own = own_noise(series, np.ones((120, 12), dtype=bool), np.zeros((120, 12), dtype=int))
    np.testing.assert_allclose(own.variance[[0, 60]], [1.0, 0.28], rtol=0.15)


@pytest.mark.parametrize(("t", "rho", "df"), [(1.3, 0.6, 9.0), (2.2, -0.3, 30.0), (0.2, 0.9, 5.0)])
def test_the_larger_of_two(t, rho, df):
    both = multivariate_t([0, 0], [[1, rho], [rho, 1]], df=df, seed=1)
    assert larger_of_two(t, rho, df) == pytest.approx(1 - both.cdf([t, t], maxpts=4_000_000), abs=2e-3)


def test_the_larger_of_two_at_its_ends():
    assert larger_of_two(1.7, 1.0, math.inf) == pytest.approx(0.0445654627585, abs=1e-9)
    assert larger_of_two(1.7, -1.0, math.inf) == pytest.approx(2 * 0.0445654627585, abs=1e-9)
    assert larger_of_two(1.7, 0.0, math.inf) == pytest.approx(1 - 0.9554345372415**2, abs=1e-9)


def numbers(drift: Drift) -> np.ndarray:
    p = drift.step, drift.either, drift.step_late, drift.either_late, drift.step_early, drift.either_early
    return np.array([*p, drift.straight, drift.std_error])


def test_an_effect_is_carried_and_a_drift_is_not():
    y, u = noise(24, 16, 5) * 0.4, np.arange(16)
    start = np.tile(START, 2)
    since = u - start[:, None]
    assert found(study_of(y + 2.0 * (since >= 0), start)).carries == "shown"
    late = found(study_of(y + 1.6 * np.clip((since + 1) / 4, 0, 1), start), until=6)
    assert late.either < late.step
    drifting = found(study_of(y + 0.3 * u * (start < 99)[:, None], start))
    assert drifting.carries == "nothing" and drifting.breakdown > 0
    assert drifting.interval()[0] < 0 < drifting.interval()[1]


def test_the_slope_before_the_start_is_told_whatever_comes_after():
    """Two-sided p of the line beside an effect that is free at each claimed time."""
    y, u, start = noise(24, 16, 5) * 0.4, np.arange(16), np.tile(START, 2)
    since = u - start[:, None]
    quiet, jumps, falls = (
        found(study_of(y + more, start), until=6).slope
        for more in (0.0, 5.0 * (since >= 0), -0.4 * np.minimum(since, 0) * (start < 99)[:, None])
    )
    assert jumps == pytest.approx(quiet, abs=1e-6) and quiet > 0.05 and falls < 0.001


def test_shocks_and_seasons_that_all_share_change_nothing():
    y = noise(12, 16, 6)
    season = np.tile([0.0, 5.0, -2.0, 9.0], 4)
    np.testing.assert_allclose(
        numbers(found(study_of(y + season, START))), numbers(found(study_of(y, START))), atol=1e-6
    )


def test_order_and_names_of_places_change_nothing():
    y, order = noise(12, 16, 7), np.random.default_rng(0).permutation(12)
    np.testing.assert_allclose(
        numbers(found(study_of(y[order], START[order]))), numbers(found(study_of(y, START))), atol=1e-9
    )


def test_harm_is_read_in_its_own_direction():
    y, step = noise(12, 16, 8), 3.0 * (np.arange(16) >= START[:, None])
    up, down = found(study_of(y + step, START)), found(study_of(-y - step, START))
    np.testing.assert_allclose([up.step, up.either, up.straight], [down.step, down.either, -down.straight], atol=1e-9)


def test_lag_moves_the_step():
    study = study_of(noise(12, 18, 9), START, lag=2)
    plain, lagged = (Begun.of(*DESIGN.untreated(study, "a"), lag, lag + 4) for lag in (0, 2))
    np.testing.assert_array_equal(lagged.since, plain.since - 2)
    starts = ~np.isnan(lagged.since)
    assert (lagged.inside | ~starts).sum() - (plain.inside | ~starts).sum() == 2 * starts.any(axis=1).sum()
    assert found(study, lag=2, until=6).reason == ""


def test_a_spell_that_ends_ends_the_window():
    y, stop = noise(12, 16, 10), np.where(START < 99, START + 3, 99)
    begun = Begun.of(*DESIGN.untreated(study_of(y, START, stop=stop), "a"), 0, 6)
    for place, (cell, t) in zip(begun.made.model.places, begun.made.where, strict=True):
        assert len(place.y) == place.u or begun.since[cell, t][place.u :].max() <= 2
    assert found(study_of(y, START, stop=stop), until=6).reason == ""


def test_an_exposure_that_reverses_every_period_is_not_asked():
    y, T = noise(12, 12, 11), 12
    on = np.zeros((12, T), dtype=int)
    on[:6, 1::2] = 1
    frame = pd.DataFrame(
        {"place": np.repeat(np.arange(12), T), "t": np.tile(np.arange(T), 12), "y": y.ravel(), "a": on.ravel()}
    )
    study = ek.Study(frame, unit="place", period="t", outcome="y", components=["a"])
    drift = found(study)
    assert drift.reason and math.isnan(drift.step) and drift.carries == "untested"


@pytest.mark.parametrize("periods", [2, 3, 4, 10])
def test_one_lead_carries_no_more_than_likely(periods):
    """A step and a line take four periods; what set in just before is asked where four come before the start."""
    y = noise(12, periods, 12) + 50.0 * ((START < 99)[:, None] & (np.arange(periods) >= 1))
    drift = found(study_of(y, np.where(START < 99, 1, 99)))
    assert drift.carries == ("untested" if periods < 4 else "likely")
    assert (drift.reason != "") == (periods < 4) and math.isnan(drift.step_early)


def test_one_place_is_too_few():
    y = noise(12, 16, 13)
    assert "two places" in found(study_of(y, np.where(np.arange(12) == 0, 6, 99))).reason


@pytest.mark.parametrize("weights", ["equal", "least_noise"])
def test_reach_is_what_a_drift_adds(weights):
    """One cohort beside places that never start: a drift moves the headline by as much as `reach` says."""
    y, start = noise(12, 16, 14), np.where(START < 99, 8, 99)
    design = replace(DESIGN, weights=weights)
    base = found(study_of(y, start), design, until=5)
    rows = [design(study_of(v, start), "a").over(0, 5) for v in (y, y + 1.0 * (start < 99)[:, None] * np.arange(16))]
    if weights == "equal":
        assert rows[1].value[0] - rows[0].value[0] == pytest.approx(base.reach, abs=1e-9)
    assert base.reach > 3.5


def test_people_in_places_are_asked_as_their_means_are():
    """Everybody seen throughout, as many in each place: covariances are learnt from people, the answer is close."""
    y = noise(12, 14, 16) + 1.5 * (np.arange(14) >= START[:, None])
    many, few = found(people_of(y, 25, 15)), found(study_of(y, START))
    assert many.straight == pytest.approx(few.straight, abs=few.std_error / 2)
    assert many.std_error == pytest.approx(few.std_error, rel=0.25)


def test_rows_that_are_missing_are_no_reason():
    drift = found(people_of(noise(12, 14, 16), 5, 15, gone=0.1))
    assert drift.reason == "" and math.isfinite(drift.step) and math.isfinite(drift.straight)


@pytest.mark.parametrize("design", [DESIGN, ek.TripleDifference(base_window=6)])
def test_beside_people_whom_it_cannot_reach(design):
    """What moves all people of a place alike is no drift of those whom it can reach."""
    rng, G, T = np.random.default_rng(17), 12, 14
    place = np.repeat(np.arange(G), 6)
    who, eligible = np.arange(len(place)), np.tile([1, 1, 1, 0, 0, 0], G)
    y = 0.2 * noise(G, T, 18)[place] + 0.3 * rng.normal(size=(len(who), T))
    on = np.arange(T) >= START[place][:, None]

    def made(values: np.ndarray) -> ek.Study:
        frame = pd.DataFrame({
            "person": np.repeat(who, T), "place": np.repeat(place, T), "t": np.tile(np.arange(T), len(who)),
            "y": values.ravel(), "can": np.repeat(eligible, T), "a": on.astype(int).ravel(),
        })  # fmt: skip
        parts = [ek.Component("a", exposure="a", assigned_at="place", reach="can")]
        return ek.Study(frame, unit="person", period="t", cluster="place", outcome="y", components=parts)

    step = found(made(y + 2.0 * on * eligible[:, None]), design)
    assert step.reason == "" and step.carries == "shown"
    drifting = found(made(y + 0.3 * np.arange(T) * ((START < 99)[place] * eligible)[:, None]), design)
    assert drifting.reason == "" and drifting.carries == "nothing"


def test_rules_of_a_claim():
    passed = Drift(step=0.01, either=0.02, step_late=0.05, either_late=0.04, step_early=0.02, either_early=0.03)
    assert passed.carries == "shown" and passed.early
    for weaker in ({"step": 0.06}, {"step_late": 0.09}, {"step_early": 0.06}):
        assert replace(passed, **weaker).carries == "likely"
    no_leads = replace(passed, step_early=math.nan, either_early=math.nan)
    assert no_leads.carries == "likely" and not no_leads.early
    for nothing in ({"either": 0.1}, {"either_late": 0.12}, {"either_early": 0.06}, {"either_late": math.nan}):
        assert replace(passed, step=0.2, **nothing).carries == "nothing"
    assert replace(passed, reason="no").carries == "untested"


def test_a_drift_that_sets_in_before_the_start_leaves_nothing_beside_it():
    """A line that bends six periods before is exactly taken out beside that bend, and passes for a step beside a
    straight line."""
    start = np.tile(START, 2)
    since = np.arange(16) - start[:, None]
    late = found(study_of(noise(24, 16, 5) * 0.1 + 0.3 * np.clip(since + 6, 0, None) * (start < 99)[:, None], start))
    assert late.either < 0.09 and late.either_late > 0.11 and late.carries == "nothing"
    assert not late.steady


def test_a_dip_just_before_leaves_nothing_without_it():
    start = np.tile(START, 2)
    since = np.arange(16) - start[:, None]
    dip = found(study_of(noise(24, 16, 5) * 0.3 - 1.0 * ((since == -1) | (since == -2)), start))
    assert dip.either < 0.10 and dip.either_early > 0.05 and dip.carries == "nothing"
    assert not dip.steady


def test_noise_is_read_where_others_do_the_same():
    """What another component does is no noise of places."""
    y, others = noise(24, 16, 19), (np.arange(16) >= np.tile([4, 99], 12)[:, None]).astype(int)
    start = np.tile(START, 2)
    plain, pushed = (matched(DESIGN, study_of(v, start, b=others), "a").noise for v in (y, y + 50 * others))
    assert pushed.rho == pytest.approx(plain.rho, abs=0.25)
    assert pushed.variance[0] < 10 * plain.variance[0]


@pytest.mark.parametrize(("first", "early"), [(3, False), (4, True)])
def test_a_gap_needs_two_periods_before_it(first, early):
    drift = found(study_of(noise(12, 12, 20), np.where(START < 99, first, 99)))
    assert drift.early is early and not math.isnan(drift.step)


def test_covariance_weighs_the_model_by_ten_degrees_of_freedom(asked):
    """(10 V_model + df V_refits) / (10 + df), V_refits over the clusters that are used."""
    _, shapes_of, _ = asked
    both = [shapes_of.combination((change, LINE), (1.0, 0.0)) for change in CHANGES]
    apart = np.array([one.without - one.value for one in both])
    refits = 11 / 12 * apart @ apart.T
    model = [[shapes_of.covariance(one, other) for other in both] for one in both]
    made = Fits.of(shapes_of, both, 7.0)
    np.testing.assert_allclose(made.vcov, (10 * np.array(model) + 7 * refits) / 17, rtol=1e-10)
    assert made.df == 17.0
    np.testing.assert_allclose(Fits.of(shapes_of, both, math.inf).vcov, refits, rtol=1e-10)


@pytest.mark.parametrize(("slope", "status"), [(0.02, "failed"), (0.03, "passed"), (math.nan, "passed")])
def test_a_slope_before_the_start_is_a_pre_trend(slope, status):
    """Of two tests the smaller p counts twice."""
    rows = replace(DESIGN, base="universal", base_window=1)(study_of(noise(24, 16, 5), np.tile(START, 2)), "a")
    event = rows.labels["event_time"].to_numpy()
    leads = rows.select(np.flatnonzero((event < 0) & (event >= -5))).aggregate("event_time").prepared()
    alone = pre_trend(leads, 1.0, 1e6)
    assert alone.status == "passed"
    assert pre_trend(leads, 1.0, 1e6, slope).status == status


def test_half_of_what_starts_is_half_whatever_its_weights_add_up_to():
    """Three tenths, one and two: the first is less than half of their sum in the last digit."""
    since = np.array([[-4.0, -3, -2, -1, 0], *[[-2.0, -1, 0, 1, 2]] * 2])
    where = [(np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3))]
    begun = Begun(SimpleNamespace(where=where), since, since > -9, 1, np.array([0.3, 0.1, 0.2]))
    assert begun.starts[0] < begun.starts.sum() / 2
    assert begun.early and not replace(begun, starts=np.array([0.29, 0.1, 0.2])).early
