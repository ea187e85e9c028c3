"""One place: published figures of the California tobacco panel and the Sicily smoking ban, and statsmodels by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize

import evalkit as ek
from evalkit.designs.one_place.fitted import working
from evalkit.designs.one_place.mixes import (
    Sides,
    difference,
    exact_weights,
    least_squares_on_simplex,
    synthetic_control,
    synthetic_difference,
)
from evalkit.designs.one_place.segments import Layout
from evalkit.designs.one_place.series_noise import AR1, NODES, Models, covariance, series_noise

DATA = Path(__file__).resolve().parents[2] / "data" / "one_place"
BEFORE, CLAIMED = 19, np.arange(19, 31)


@pytest.fixture(scope="module")
def california() -> pd.DataFrame:
    return pd.read_csv(DATA / "california_tobacco.csv")


@pytest.fixture(scope="module")
def states(california: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    wide = california.pivot(index="state", columns="year", values="packs")
    return wide.drop("California").to_numpy(), wide.loc["California"].to_numpy()


@pytest.fixture(scope="module")
def tobacco(california: pd.DataFrame) -> ek.Study:
    return ek.Study(california, unit="state", period="year", outcomes=["packs"], components=["programme"])


def frank_wolfe(gram: np.ndarray, cross: np.ndarray, constant: float, start: np.ndarray, least: float, most: int):
    """Steps towards one corner at a time, each of the best length, until one gains less than `least`."""
    w, value = start, np.inf
    for _ in range(most):
        slope = gram @ w - cross
        towards = -w
        towards[slope.argmin()] += 1
        curve = towards @ gram @ towards
        if curve <= 0:
            break
        w = w + min(1.0, max(0.0, -(slope @ towards) / curve)) * towards
        before, value = value, w @ gram @ w - 2 * cross @ w + constant
        if before - value <= least:
            break
    return w


def published_path(sides: Sides) -> np.ndarray:
    """The way of the published program to (not quite) the minimum: 100 steps, small weights dropped, then on."""
    columns, target = sides.centred()
    m, n = columns.shape
    gram, cross, constant = (
        (columns.T @ columns + sides.ridge * np.eye(n)) / m,
        columns.T @ target / m,
        target @ target / m,
    )
    steps = partial(frank_wolfe, gram, cross, constant)
    w = steps(np.full(n, 1 / n), sides.tolerance**2, 100)
    w = np.where(w <= w.max() / 4, 0.0, w)
    return steps(w / w.sum(), sides.tolerance**2, 10_000)


def test_california_by_the_published_path(states):
    """Arkhangelsky and others (2021), table 1: -15.6, -19.6, -11.1 (difference with weighted places) and -27.3."""
    donors, exposed = states
    found = synthetic_difference(donors, exposed, BEFORE, CLAIMED, solve=published_path)
    assert found.gap[BEFORE:].mean() == pytest.approx(-15.604, abs=5e-4)
    for level, published in ((False, -19.6), (True, -11.1)):
        mix = synthetic_control(donors, exposed, BEFORE, level, False, solve=published_path)
        assert mix.gap[BEFORE:].mean() == pytest.approx(published, abs=0.05)
    assert difference(donors, exposed, BEFORE).gap[BEFORE:].mean() == pytest.approx(-27.3, abs=0.05)


def test_the_exact_minimum_is_no_further_than_the_published_path(states):
    donors, exposed = states
    sides = Sides(donors[:, :BEFORE].T, exposed[:BEFORE], 0.0, False, 1e-5)

    def distance(w: np.ndarray) -> float:
        return float(((w @ donors[:, :BEFORE] - exposed[:BEFORE]) ** 2).sum())

    exact = exact_weights(sides)
    assert exact.min() >= 0 and exact.sum() == pytest.approx(1, abs=1e-12)
    assert distance(exact) <= distance(published_path(sides)) + 1e-9
    slope = donors[:, :BEFORE] @ (exact @ donors[:, :BEFORE] - exposed[:BEFORE])
    assert (slope >= slope @ exact - 1e-6).all()  # nobody outside would bring it nearer


def test_gaps_given_published_weights(california, states):
    """Abadie, Diamond and Hainmueller (2010), table 2: the gap is about 26 packs in 2000, the squared error 3.1."""
    names = california["state"].unique()
    published = {"Colorado": 0.164, "Connecticut": 0.069, "Montana": 0.199, "Nevada": 0.234, "Utah": 0.334}
    donors, exposed = states
    weights = np.array([published.get(n, 0.0) for n in names if n != "California"])
    mix = synthetic_control(donors, exposed, BEFORE, False, False, solve=lambda _: weights)
    assert mix.gap[-1] == pytest.approx(-25.7, abs=0.05)
    assert mix.gap[BEFORE:].mean() == pytest.approx(-18.97, abs=0.005)
    assert (mix.gap[:BEFORE] ** 2).mean() == pytest.approx(3.089, abs=5e-4)


@pytest.mark.parametrize(("design", "value"), [
    (ek.SyntheticDifferenceInDifferences(), -15.6054), (ek.SyntheticControl(intercept=False), -19.5136),
    (ek.SyntheticControl(), -11.1091),
])  # fmt: skip
def test_the_designs_give_the_exact_minimum(tobacco, design, value):
    one = design(tobacco, "programme").over(0)
    assert one.value[0] == pytest.approx(value, abs=1e-4)
    frame = one.to_frame().iloc[0]
    assert frame["inference"] == "placebo" and frame["df"] == 37 and frame["clusters_comparison"] == 38


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    columns, target = rng.normal(size=(15, 6)), rng.normal(size=15)
    gram, cross = columns.T @ columns, columns.T @ target
    w = least_squares_on_simplex(gram, cross)
    found = optimize.minimize(
        lambda v: v @ gram @ v / 2 - cross @ v, np.full(6, 1 / 6), jac=lambda v: gram @ v - cross, bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda v: v.sum() - 1}, method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    np.testing.assert_allclose(w, found.x, atol=1e-5)
    assert w @ gram @ w / 2 - cross @ w <= found.fun + 1e-10


@pytest.fixture(scope="module")
def sicily() -> ek.Study:
    frame = pd.read_csv(DATA / "sicily_smoking_ban.csv").assign(place="Sicily")
    frame["rate"] = frame["aces"] / frame["stdpop"] * 1e5
    outcomes = [ek.Outcome("aces", kind="count"), "rate"]
    return ek.Study(
        frame, unit="place", period="time", outcomes=outcomes, components=["smokban"], covariates=("stdpop",)
    )


def test_sicily_lies_beside_the_published_rate_ratio(sicily):
    """Quasi-Poisson with two pairs of waves, level only: .885 (.839 to .933); with noise that is remembered the centre
    stays and the interval is wider."""
    design = ek.InterruptedTimeSeries(slope=False, season=12, link="log", per="stdpop")
    one = design(sicily, "smokban").over(0).to_frame().iloc[0]
    assert np.exp(one["estimate"]) == pytest.approx(0.884, abs=5e-4)
    assert np.exp([one["conf_low"], one["conf_high"]]) == pytest.approx([0.827, 0.945], abs=1e-3)
    growing = (
        ek.InterruptedTimeSeries(season=12, link="log", per="stdpop")(sicily, "smokban").over(0).to_frame().iloc[0]
    )
    found = np.exp(growing[["estimate", "conf_low", "conf_high"]].astype(float))
    assert found.tolist() == pytest.approx([0.892, 0.796, 0.999], abs=1e-3)


def by_hand(waves: bool = True) -> tuple[pd.DataFrame, np.ndarray]:
    """The published model of Sicily: level, trend, ban, two pairs of waves."""
    frame = pd.read_csv(DATA / "sicily_smoking_ban.csv")
    t = frame["time"].to_numpy()
    angles = 2 * np.pi * np.outer(t, [1, 2]) / 12
    return frame, np.column_stack(
        [np.ones(len(t)), t, frame["smokban"], *([np.cos(angles), np.sin(angles)] if waves else [])]
    )


def test_the_working_response_gives_the_coefficients_of_a_quasi_poisson_regression():
    frame, columns = by_hand()
    offset = np.log(frame["stdpop"].to_numpy())
    glm = sm.GLM(frame["aces"], columns, family=sm.families.Poisson(), offset=offset).fit(scale="X2", tol=1e-12)
    assert np.exp(glm.params.iloc[2]) == pytest.approx(0.885, abs=5e-4)
    layout = Layout(0, columns, np.arange(1), np.eye(7)[[2]])
    fitted = working(layout, frame["aces"].to_numpy(dtype=float), offset)
    weighted = sm.WLS(fitted.response, columns, weights=fitted.weight**-2).fit()
    np.testing.assert_allclose(weighted.params, glm.params, atol=1e-8)
    np.testing.assert_allclose(weighted.bse, glm.bse, rtol=1e-6)
    assert fitted.floor == 1.0 and glm.scale > 1


def test_least_squares_at_each_model_is_that_of_statsmodels():
    frame, columns = by_hand()
    y = (frame["aces"] / frame["stdpop"] * 1e5).to_numpy()
    models = Models(columns, AR1[[0, 16, 30, 50]], np.ones(len(y)))
    fits = models.fit(y[:, None])
    for i, (rho, share) in enumerate(models.grid):
        gls = sm.GLS(y, columns, sigma=covariance(len(y), rho, share)).fit()
        np.testing.assert_allclose(fits.coefficients[i, :, 0], gls.params, rtol=1e-8, atol=1e-8)
        se = np.sqrt(fits.scale[i, 0] * np.diag(models.inverse[i]))
        np.testing.assert_allclose(se, gls.bse, rtol=1e-8)


def test_restricted_likelihood_is_the_textbook_formula():
    frame, columns = by_hand()
    y = (frame["aces"] / frame["stdpop"] * 1e5).to_numpy()
    models = Models(columns, AR1, np.ones(len(y)))
    deviance, n, k = [], *columns.shape
    for rho, share in models.grid:
        v = covariance(n, rho, share)
        inside = columns.T @ np.linalg.solve(v, columns)
        r = y - columns @ np.linalg.solve(inside, columns.T @ np.linalg.solve(v, y))
        squares = r @ np.linalg.solve(v, r)
        deviance.append((n - k) * np.log(squares) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(inside)[1])
    np.testing.assert_allclose(models.fit(y[:, None]).deviance[:, 0], np.array(deviance) - min(deviance), atol=1e-7)


def test_with_white_noise_alone_the_estimate_is_that_of_ordinary_least_squares():
    rng = np.random.default_rng(4)
    columns = np.column_stack([np.ones(40), np.arange(40), np.arange(40) >= 28])
    y = rng.normal(size=40)
    ols = sm.OLS(y, columns).fit()
    at = int(np.flatnonzero(np.isclose(AR1[:, 0], 0))[0])
    noise = series_noise(columns)
    np.testing.assert_allclose(noise.ar1.fit(y[:, None]).coefficients[at, :, 0], ols.params, atol=1e-10)
    critical = noise.simulated.critical(noise.ar1, np.eye(3)[[2]])[:, 0]
    assert (np.diff(critical) >= 0).all() and critical[np.flatnonzero(NODES == 0)[0]] > 1.96


@pytest.mark.parametrize("slope", [True, False])
def test_usual_errors_are_those_of_statsmodels_by_hand(sicily, slope):
    frame, columns = by_hand()
    y = (frame["aces"] / frame["stdpop"] * 1e5).to_numpy()
    on = frame["smokban"].to_numpy()
    after, n = int(on.sum()), len(y)
    grows = on * (np.cumsum(on) - 1)
    columns = np.column_stack([columns, grows]) if slope else columns
    mean = np.array([0, 0, 1, 0, 0, 0, 0, *([(after - 1) / 2] if slope else [])])
    whole = ek.InterruptedTimeSeries(season=12, slope=slope, outcome="rate", errors="GLSAR")
    row = whole(sicily, "smokban").over(0).to_frame().iloc[0]
    test = sm.GLSAR(y, columns, rho=1).iterative_fit(10).t_test(mean)
    assert row["estimate"] == pytest.approx(float(test.effect[0]), abs=1e-8)
    assert [row["conf_low"], row["conf_high"]] == pytest.approx(test.conf_int()[0].tolist(), abs=1e-8)
    assert row["df"] == n - 1 - columns.shape[1]
    likely = replace(whole, errors="SARIMAX")(sicily, "smokban").over(0)
    fit = sm.tsa.SARIMAX(y, columns, order=(1, 0, 0)).fit(disp=0)
    assert likely.value[0] == pytest.approx(mean @ fit.params[: len(mean)], abs=1e-2)
    cells = likely.weights()
    rate = frame.set_index("time")["aces"] / frame.set_index("time")["stdpop"] * 1e5
    back = float((cells["weight"] * rate.reindex(cells["period"]).to_numpy()).sum())
    assert back == pytest.approx(likely.value[0], abs=0.05)  # maximum likelihood stops within its own tolerance


def test_a_level_and_slope_that_wander_are_those_of_statsmodels(sicily):
    frame, columns = by_hand()
    y = (frame["aces"] / frame["stdpop"] * 1e5).to_numpy()
    on = frame["smokban"].to_numpy()
    grows = on * (np.cumsum(on) - 1)
    mean = np.array([0, 0, 1, 0, 0, 0, 0, (on.sum() - 1) / 2])
    columns = np.column_stack([columns, grows])[:, 2:]  # a level and a slope to begin with are the model's own
    model = sm.tsa.UnobservedComponents(y, "local linear trend", exog=columns, mle_regression=False)
    fit = model.fit(disp=0)
    found = ek.InterruptedTimeSeries(season=12, outcome="rate", errors="UnobservedComponents")(sicily, "smokban")
    one = found.over(0)
    row = one.to_frame().iloc[0]
    value = fit.smoothed_state[-6:, -1] @ mean[2:]
    se = np.sqrt(mean[2:] @ fit.smoothed_state_cov[-6:, -6:, -1] @ mean[2:])
    assert row["estimate"] == pytest.approx(value, abs=0.02 * se) and row["std_error"] == pytest.approx(se, rel=0.02)
    cells = one.weights()
    rate = frame.set_index("time")["aces"] / frame.set_index("time")["stdpop"] * 1e5
    back = float((cells["weight"] * rate.reindex(cells["period"]).to_numpy()).sum())
    assert back == pytest.approx(one.value[0], abs=1e-6)


@pytest.mark.parametrize("errors", ["GLSAR", "SARIMAX", "UnobservedComponents"])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_an_outcome_moves_no_rung(errors, scale):
    """In single euros or in millions, far from nought or near it: statsmodels' own search stops elsewhere, with errors
    up to ten times as large."""
    rng, t = np.random.default_rng(1), np.arange(48)
    y = 50 + 0.1 * t - 2 * (t >= 30) + rng.normal(size=48)

    def found(values):
        frame = pd.DataFrame({"place": "p", "month": t, "y": values, "on": (t >= 30).astype(int)})
        study = ek.Study(frame, unit="place", period="month", outcome="y", components=["on"])
        return ek.InterruptedTimeSeries(errors=errors)(study, "on").over(0).to_frame()[["estimate", "std_error"]]

    one, two, far = found(y), found(y * scale) / scale, found(y + 1e5)
    assert two.to_numpy() == pytest.approx(one.to_numpy(), rel=1e-3)
    assert far.to_numpy() == pytest.approx(one.to_numpy(), rel=1e-3)


def test_deaths_from_2020_lie_within_the_interval_of_a_worked_example():
    """CausalPy 0.9, trend and months, deaths a month in England and Wales from 2020 on
    (benchmarks/one_place_peers.py)."""
    frame = pd.read_csv(DATA / "england_wales_deaths.csv").assign(place="England and Wales")
    study = ek.Study(frame, unit="place", period="month", outcome="deaths", components=["from_2020"])
    own = ek.InterruptedTimeSeries(season=12)(study, "from_2020").over(0).value[0]
    peers = pd.read_csv(DATA.parents[1] / "benchmarks" / "results" / "one_place_peers.csv").set_index(["what", "by"])
    theirs = peers.loc[("deaths in England and Wales from 2020", "CausalPy")]
    assert theirs["low"] < own < theirs["high"]
    assert own == pytest.approx(4437.0, abs=0.1)


def test_a_penalty_brings_nearer_donors_as_a_general_solver_has_it(states):
    donors, exposed = states
    past, target = donors[:, :BEFORE].T, exposed[:BEFORE]
    away = ((past - target[:, None]) ** 2).sum(axis=0)
    for penalty in (0.1, 1.0):
        w = synthetic_control(donors, exposed, BEFORE, False, False, penalty=penalty).donors

        def cost(v: np.ndarray, price: float = penalty) -> float:
            return float(((past @ v - target) ** 2).sum() + price * away @ v)

        found = optimize.minimize(
            cost, np.full(len(w), 1 / len(w)), bounds=[(0, 1)] * len(w), method="SLSQP",
            jac=lambda v, price=penalty: 2 * past.T @ (past @ v - target) + price * away,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1}, options={"ftol": 1e-10, "maxiter": 500},
        )  # fmt: skip
        assert cost(w) <= found.fun * (1 + 1e-6)
    nearest = synthetic_control(donors, exposed, BEFORE, False, False, penalty=1e6).donors
    assert nearest.argmax() == away.argmin() and nearest.max() == pytest.approx(1)
    with pytest.raises(ek.EvalkitError, match="penalty=-1"):
        ek.SyntheticControl(penalty=-1)
