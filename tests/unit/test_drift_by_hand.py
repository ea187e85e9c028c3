"""A step beside a straight line: against least squares written out, refits one by one, and cases that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_t

import evalkit as ek
from evalkit.checks.drift import Drift, drift_beside, joint, larger_of_two
from evalkit.checks.matched import matched
from evalkit.checks.steps import Line, Lines, Noise, Series, information, own_noise, widest
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


def by_hand(lines: Lines, shape: np.ndarray, inside: np.ndarray, pool: np.ndarray) -> float:
    """The first coefficient by generalised least squares on d with an intercept an adopter, all written out."""
    X, V, d, w = [], [], [], []
    adopters = [(j, c) for j, line in enumerate(lines.lines) for c in line.cells]
    for k, (j, c) in enumerate(adopters):
        at = np.flatnonzero(inside[j])
        d.append(lines.series.mean[c, at] - pool[j] @ lines.series.mean[:, at])
        intercept = np.zeros((len(at), len(adopters)))
        intercept[:, k] = 1
        X.append(np.column_stack([shape[j, at], lines.periods()[j, at], intercept]))
        V.append(lines.noise.correlation(shape.shape[1])[np.ix_(at, at)])
        w.append(lines.own[j, c])
    gram = sum(m * x.T @ np.linalg.inv(v) @ x for x, v, m in zip(X, V, w, strict=True))
    right = sum(m * x.T @ np.linalg.inv(v) @ y for x, v, y, m in zip(X, V, d, w, strict=True))
    return float(np.linalg.lstsq(gram, right, rcond=None)[0][0])


@pytest.fixture(scope="module")
def lines() -> Lines:
    study = study_of(noise(12, 16, 1), START)
    made = matched(DESIGN, study, "a")
    return Lines(made.lines(0, 6), made.series, made.noise)


@pytest.mark.parametrize("gap", [0, 2])
def test_step_and_refits_by_hand(lines, gap):
    inside, step = lines.inside(gap), (lines.periods() >= 0).astype(float)
    fit = lines.fit((step, lines.periods().astype(float)), inside)
    weights = fit.weights((1.0, 0.0))
    assert (weights * lines.filled).sum() == pytest.approx(by_hand(lines, step, inside, lines.pool), abs=1e-10)
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=0), 0, atol=1e-12)
    refits = fit.without_each((1.0, 0.0))
    for gone in range(12):
        pool = lines.pool.copy()
        pool[:, gone] = 0
        pool /= pool.sum(axis=1, keepdims=True)
        kept = [replace(line, cells=line.cells[line.cells != gone]) for line in lines.lines]
        fewer = Lines(tuple(kept), lines.series, lines.noise)
        vars(fewer)["own"] = lines.own
        assert refits[gone] == pytest.approx(by_hand(fewer, step, inside, pool), abs=1e-10)


@pytest.mark.parametrize("slope", [0.1, -3.0])
def test_a_straight_drift_leaves_step_ramp_and_effects_alone(lines, slope):
    since = lines.periods().astype(float)
    shapes = [[(since >= 0) * 1.0], [np.clip((since + 1) / 4, 0, 1)], [(since == e) * 1.0 for e in range(7)]]
    adopt = np.flatnonzero(START < 99)
    moved = lines.series.mean.copy()
    moved[adopt] += slope * np.arange(16)
    for shape in shapes:
        fit = lines.fit([*shape, since], lines.inside())
        weights = fit.weights([*np.full(len(shape), 1 / len(shape)), 0.0])
        # adopters that serve for others before they start drift as well, so that the pool is of those who never start
        never = np.flatnonzero(START == 99)
        alone = Lines(
            tuple(replace(x, pool=np.isin(np.arange(12), never)) for x in lines.lines), lines.series, lines.noise
        )
        fit = alone.fit([*shape, since], lines.inside())
        weights = fit.weights([*np.full(len(shape), 1 / len(shape)), 0.0])
        assert (weights * moved).sum() == pytest.approx((weights * lines.series.mean).sum(), abs=1e-9)


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


def test_window_tells_most():
    serves = np.zeros((5, 10), dtype=bool)
    serves[0], serves[1, :8], serves[2, 3:8], serves[3, 3:6] = True, True, True, True
    early, late, onset = np.arange(4, -1, -1), np.arange(5, 10), 5
    found_at = widest(serves, (early, late), onset, np.ones(5))
    best, at = -1.0, ()
    for first in early:
        for last in late:
            n = (serves[:, first] & serves[:, last]).sum()
            worth = information(onset - first, last - onset) * n / (n + 1)
            if worth > best:
                best, at = worth, (first, last)
    assert tuple(found_at) == at
    x = np.arange(-3, 3)
    V = 0.5 ** np.abs(np.subtract.outer(x, x))
    X = np.column_stack([np.ones(6), x >= 0, x])
    assert information(3, 2) == pytest.approx(1 / np.linalg.inv(X.T @ np.linalg.inv(V) @ X)[1, 1])
    assert information(0, 5) == information(1, 1) == 0.0 < information(5, 0)


def test_windows_see_no_outcome():
    y = noise(12, 16, 1)
    others = (np.arange(16) >= np.array([3, 9, 20, 7, 20, 12] * 2)[:, None]).astype(int)
    kept = matched(DESIGN, study_of(y, START, b=others), "a").lines(0, 6)
    changed = matched(DESIGN, study_of(-7 * y[::-1] ** 2, START, b=others), "a").lines(0, 6)
    assert kept and [(x.first, x.last, *x.cells, *x.pool) for x in kept] == [
        (x.first, x.last, *x.cells, *x.pool) for x in changed
    ]
    code = others
    for line in kept:
        for cell in line.cells:
            window = slice(line.first, line.last + 1)
            assert (code[line.pool, window] == code[cell, window]).all()
            assert (code[cell, line.first : line.onset] == code[cell, line.onset - 1]).all()
            assert (START[line.pool] > line.last).all()


def numbers(drift: Drift) -> np.ndarray:
    p = drift.step, drift.either, drift.step_late, drift.either_late, drift.step_early, drift.either_early
    return np.array([*p, drift.straight, drift.std_error])


def test_an_effect_is_carried_and_a_drift_is_not():
    y, u = noise(24, 16, 5) * 0.4, np.arange(16)
    start = np.tile(START, 2)
    since = u - start[:, None]
    assert found(study_of(y + 2.0 * (since >= 0), start)).carries == "shown"
    late = found(study_of(y + 1.6 * np.clip((since + 1) / 4, 0, 1), start))
    assert late.either < late.step
    drifting = found(study_of(y + 0.3 * u * (start < 99)[:, None], start))
    assert drifting.carries == "nothing" and drifting.breakdown > 0
    assert drifting.interval()[0] < 0 < drifting.interval()[1]


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
    """With comparisons that never start, an effect that shows two periods late is one that starts two periods later."""
    y = noise(12, 18, 9)
    lagged = matched(DESIGN, study_of(y, START, lag=2), "a")
    plain = matched(DESIGN, study_of(y, np.where(START < 99, START + 2, 99)), "a")
    never = START == 99
    for one, other in zip(lagged.lines(2, 6), plain.lines(0, 4), strict=True):
        assert (one.onset, one.first) == (other.onset, other.first)
        assert (one.pool & never).sum() == (other.pool & never).sum() == 6
    assert found(study_of(y, START, lag=2), lag=2, until=6).reason == ""


def test_a_spell_that_ends_ends_the_window():
    y, stop = noise(12, 16, 10), np.where(START < 99, START + 3, 99)
    for line in matched(DESIGN, study_of(y, START, stop=stop), "a").lines(0, 6):
        assert line.last - line.onset <= 2
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


def test_people_in_places_agree_with_their_means():
    """Everybody seen throughout, as many in each place: raw rows and place means are one answer."""
    rng, G, T, n = np.random.default_rng(15), 12, 14, 5
    y = noise(G, T, 16)[:, None, :] + rng.normal(size=(G, n, T))
    who = np.arange(G * n)
    frame = pd.DataFrame({
        "person": np.repeat(who, T), "place": np.repeat(who // n, T), "t": np.tile(np.arange(T), G * n),
        "y": y.reshape(-1), "a": (np.tile(np.arange(T), G * n) >= np.repeat(START[who // n], T)).astype(int),
    })  # fmt: skip
    parts = [ek.Component("a", exposure="a", assigned_at="place")]
    people = ek.Study(frame, unit="person", period="t", cluster="place", outcome="y", components=parts)
    np.testing.assert_allclose(numbers(found(people)), numbers(found(study_of(y.mean(axis=1), START))), atol=1e-9)
    gone = frame[rng.random(len(frame)) > 0.1]
    gapped = found(ek.Study(gone, unit="person", period="t", cluster="place", outcome="y", components=parts))
    assert gapped.reason == "" and math.isfinite(gapped.step) and math.isfinite(gapped.straight)


def test_only_those_whom_it_can_reach():
    """People beyond its reach take no part: without their rows the answer is the same. Pairs with them can be asked."""
    rng, G, T = np.random.default_rng(17), 12, 14
    place = np.repeat(np.arange(G), 6)
    who, eligible = np.arange(len(place)), np.tile([1, 1, 1, 0, 0, 0], G)
    y = noise(G, T, 18)[place] + rng.normal(size=(len(who), T))
    frame = pd.DataFrame({
        "person": np.repeat(who, T), "place": np.repeat(place, T), "t": np.tile(np.arange(T), len(who)), "y": y.ravel(),
        "can": np.repeat(eligible, T), "a": (np.tile(np.arange(T), len(who)) >= np.repeat(START[place], T)).astype(int),
    })  # fmt: skip
    parts = [ek.Component("a", exposure="a", assigned_at="place", reach="can")]

    def made(rows: pd.DataFrame) -> ek.Study:
        return ek.Study(rows, unit="person", period="t", cluster="place", outcome="y", components=parts)

    np.testing.assert_allclose(numbers(found(made(frame))), numbers(found(made(frame[frame["can"] == 1]))), atol=1e-9)
    pairs = found(made(frame), ek.TripleDifference(base_window=6))
    assert pairs.reason == "" and math.isfinite(pairs.step)


def test_rules_of_a_claim():
    passed = Drift(step=0.01, either=0.02, step_late=0.05, either_late=0.04, step_early=0.02, either_early=0.03)
    assert passed.carries == "shown" and passed.early
    for weaker in ({"step": 0.08}, {"step_late": 0.1}, {"step_early": 0.07}):
        assert replace(passed, **weaker).carries == "likely"
    no_leads = replace(passed, step_early=math.nan, either_early=math.nan)
    assert no_leads.carries == "likely" and not no_leads.early
    for nothing in ({"either": 0.11}, {"either_late": 0.13}, {"either_early": 0.11}, {"either_late": math.nan}):
        assert replace(passed, step=0.2, **nothing).carries == "nothing"
    assert replace(passed, reason="no").carries == "untested"


def test_a_drift_that_sets_in_before_the_start_leaves_nothing_beside_it():
    """A line that bends four periods before is exactly taken out beside that bend, and passes for a step beside a
    straight line."""
    start = np.tile(START, 2)
    since = np.arange(16) - start[:, None]
    late = found(study_of(noise(24, 16, 5) * 0.1 + 0.3 * np.clip(since + 4, 0, None) * (start < 99)[:, None], start))
    assert late.either < 0.05 < 0.125 < late.either_late and late.carries == "nothing"
    assert not late.steady


def test_a_dip_just_before_leaves_nothing_without_it():
    start = np.tile(START, 2)
    since = np.arange(16) - start[:, None]
    dip = found(study_of(noise(24, 16, 5) * 0.3 - 1.0 * ((since == -1) | (since == -2)), start))
    assert dip.either < 0.10 < dip.either_early and dip.carries == "nothing"
    assert not dip.steady


def test_noise_is_read_where_others_do_the_same():
    """What another component does is no noise of places."""
    y, others = noise(24, 16, 19), (np.arange(16) >= np.tile([4, 99], 12)[:, None]).astype(int)
    start = np.tile(START, 2)
    plain, pushed = (matched(DESIGN, study_of(v, start, b=others), "a").noise for v in (y, y + 50 * others))
    assert pushed.rho == pytest.approx(plain.rho, abs=0.25)
    assert pushed.variance[0] < 10 * plain.variance[0]


def test_line_needs_leads_before_a_gap():
    line = Line(np.array([0]), np.array([False, True]), 0, 7, 3)
    series = Series(np.zeros((2, 8)), np.ones(2), np.arange(2))
    short = Lines((line,), series, Noise(0.0, np.ones(2)))
    assert not short.early_enough(2) and short.inside(2).sum() == 8
    longer = Lines((replace(line, onset=4),), series, Noise(0.0, np.ones(2)))
    assert longer.early_enough(2) and longer.inside(2).sum() == 6


def test_covariance_weighs_the_model_by_ten_degrees_of_freedom(lines):
    """(10 V_model + df V_refits) / (10 + df), V_refits over the clusters that are used."""
    since = lines.periods().astype(float)
    fits = [
        (lines.fit((shape, since), lines.inside()), (1.0, 0.0)) for shape in ((since >= 0) * 1.0, (since >= 2) * 1.0)
    ]
    weights = np.array([fit.weights(mix) for fit, mix in fits])
    apart = np.array([fit.without_each(mix) for fit, mix in fits]) - (weights * lines.filled).sum(axis=(1, 2))[:, None]
    refits = 11 / 12 * apart @ apart.T
    place = lines.noise.variance[0] * lines.noise.correlation(16)
    model = sum(weights[:, c] @ place @ weights[:, c].T for c in range(12))
    made = joint(lines, fits, 7.0)
    np.testing.assert_allclose(made.vcov, (10 * model + 7 * refits) / 17, rtol=1e-10)
    assert made.df == 17.0
    np.testing.assert_allclose(joint(lines, fits, math.inf).vcov, refits, rtol=1e-10)
