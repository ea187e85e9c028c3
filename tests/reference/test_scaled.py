"""Rollouts on the logit and log scale against statsmodels' `GLM` on the saturated regression of all rows.

The saturated regression has a level for each place and path, steps of each period for those whose other components do
the same, and an indicator for each exposed place and period (Wooldridge 2023, Econometrics Journal 26: C31-C66).
Effects are what was less what it predicts with its indicators at nought, averaged over adopters.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek
from evalkit.designs.noise.likelihood import Seen, fit

SITES, PERIODS = 14, 9
FAMILIES = {"logit": sm.families.Binomial, "log": sm.families.Poisson, "identity": sm.families.Gaussian}


def panel(scale: str, each: int = 6, others: bool = False, gaps: bool = False, seed: int = 2) -> pd.DataFrame:
    """Sites that start "a" at 4, 6 or never, from other levels, with a common trend; "b" at 5 in every third site."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), each)
    starts = np.array([4, 6, 99, 99])[np.arange(SITES) % 4]
    eta = (rng.normal(size=SITES) * 0.5 - 0.8 * (starts < 99))[:, None] + np.linspace(0, 1.0, PERIODS)
    eta = eta[site]
    y = rng.poisson(np.exp(eta)) if scale == "log" else (rng.random(eta.shape) < 1 / (1 + np.exp(-eta))).astype(float)
    t = np.tile(np.arange(PERIODS), len(site))
    frame = pd.DataFrame({"person": np.repeat(np.arange(len(site)), PERIODS), "t": t, "site": np.repeat(site, PERIODS),
                          "y": y.ravel().astype(float)})  # fmt: skip
    frame["a"] = (t >= starts[frame["site"]]).astype(int)
    frame["b"] = ((t >= 5) & (frame["site"] % 3 == 0)).astype(int) if others else 0
    return frame[rng.random(len(frame)) < 0.8] if gaps else frame


def study(frame: pd.DataFrame, **options: object) -> ek.Study:
    components = ["a", "b"] if frame["b"].any() else ["a"]
    return ek.Study(frame, unit="person", period="t", cluster="site", outcome="y", components=components, **options)


def saturated(frame: pd.DataFrame, scale: str, weight: np.ndarray | None = None) -> pd.Series:
    """ATT(g, t) of the saturated regression, by cohort and period; places weigh by who was seen before g and at t."""
    w = pd.Series(1.0 if weight is None else weight, frame.index)
    columns = {f"site {s}": frame["site"] == s for s in range(SITES)}
    with_b = (frame["site"] % 3 == 0) & frame["b"].any()
    for t in range(1, PERIODS):  # those whose other component has done the same up to then share a step
        for kind, alike in (("b", with_b), ("none", ~with_b)) if t >= 5 else (("all", with_b | ~with_b),):
            columns[f"step {t} {kind}"] = (frame["t"] >= t) & alike
    own = frame["site"].astype(str) + " " + frame["t"].astype(str)
    columns |= {f"effect {cell}": own == cell for cell in own[frame["a"] == 1].unique()}
    X = pd.DataFrame(columns).astype(float)
    X = X.loc[:, X.any()]
    made = sm.GLM(frame["y"], X, family=FAMILIES[scale](), freq_weights=weight).fit(tol=1e-14, maxiter=300)
    beta = made.params.where(~made.params.index.str.startswith("effect"), 0.0)
    away = (frame["y"] - made.family.link.inverse(X @ beta)) * w
    start = frame["site"].map(frame[frame["a"] == 1].groupby("site")["t"].min())
    before = set(frame["person"][frame["t"] == start - 1])
    kept = frame["person"].isin(before) * w
    keys = [start, frame["t"], frame["site"]]
    on = frame["a"] == 1
    cells = pd.DataFrame({"away": away[on], "w": w[on], "kept": kept[on]}).groupby([k[on] for k in keys]).sum()
    cells["total"] = cells["kept"] * cells["away"] / cells["w"]
    rows = cells.groupby(level=[0, 1]).sum()
    return rows["total"] / rows["kept"]


def ours(found: ek.Estimate) -> pd.Series:
    frame = found.to_frame()
    return frame.set_index(["cohort", "period"])["estimate"].sort_index()


@pytest.mark.parametrize("scale", ["logit", "log", "identity"])
@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_equal_to_the_saturated_regression(scale, others, gaps):
    frame = panel(scale, others=others, gaps=gaps)
    found = ours(ek.ScaledRollout(scale=scale)(study(frame), "a"))
    expected = saturated(frame, scale).sort_index()
    assert len(found) == 8
    told = found.notna()
    assert told.sum() >= 6
    np.testing.assert_allclose(found[told], expected[told.to_numpy()], rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", ["logit", "log", "identity"])
def test_beside_the_ineligible_equal_to_the_saturated_regression(scale):
    """A level for each place and kind of people, steps of each period, a step of the gap between kinds in each period,
    and an indicator for each place and period in which those who can be reached are exposed."""
    frame = panel(scale, each=8)
    frame["can"] = frame["person"] % 2 == 0
    frame["a"] *= frame["can"].astype(int)
    components = [ek.Component("a", exposure="a", reach="can")]
    made = ek.Study(frame, unit="person", period="t", cluster="site", outcome="y", components=components)
    found = ours(ek.ScaledRollout(scale=scale, ineligible=True)(made, "a"))
    columns = {f"level {s} {k}": (frame["site"] == s) & (frame["can"] == k) for s in range(SITES) for k in (0, 1)}
    for t in range(1, PERIODS):
        columns |= {f"step {t}": frame["t"] >= t, f"gap {t}": (frame["t"] >= t) & frame["can"]}
    own, on = frame["site"].astype(str) + " " + frame["t"].astype(str), frame["a"] == 1
    columns |= {f"effect {cell}": (own == cell) & on for cell in own[on].unique()}
    fitted = sm.GLM(frame["y"], pd.DataFrame(columns).astype(float), family=FAMILIES[scale]()).fit(
        tol=1e-14, maxiter=300
    )
    beta = fitted.params.where(~fitted.params.index.str.startswith("effect"), 0.0)
    away = frame["y"] - fitted.family.link.inverse(pd.DataFrame(columns).astype(float) @ beta)
    start = frame["site"].map(frame[on].groupby("site")["t"].min())
    expected = away[on].groupby([start[on].astype(int), frame["t"][on]]).mean()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_what_lies_at_infinity_is_not_predicted():
    """Two places counted nothing before the third period and then something; one more is asked what it would have come
    to, having counted something before: no number, and none that a rounding error made."""
    rows = {"one": [0, 0, 4, 5, 4, 5], "other": [0, 0, 3, 4, 5, 4], "with": [2, 3, 8, 9, 9, 9], "still": [0] * 6}
    frame = pd.DataFrame([
        {"place": place, "t": t, "y": float(y), "a": int(place == "with" and t >= 2)}
        for place, ys in rows.items() for t, y in enumerate(ys)
    ])  # fmt: skip
    made = ek.Study(frame, unit="place", period="t", outcome="y", components=["a"])
    found = ek.ScaledRollout(scale="log")(made, "a").to_frame()
    assert found["estimate"].isna().all() and (found["reason"] != "").all()


def test_equal_with_weights():
    frame = panel("logit")
    frame["w"] = 1.0 + frame["person"] % 3
    found = ours(ek.ScaledRollout()(study(frame, weights="w"), "a"))
    np.testing.assert_allclose(found, saturated(frame, "logit", frame["w"].to_numpy()).sort_index(), rtol=0, atol=1e-8)


def test_cells_carry_all_that_rows_say():
    """Rows of people, and the means of their places as shares, places weighing as many as they had people."""
    frame = panel("logit")
    places = frame.groupby(["site", "t"], as_index=False).agg(y=("y", "mean"), a=("a", "max"), n=("y", "size"))
    whole = ek.Study(places, unit="site", period="t", outcome="y", weights="n", kind="share", components=["a"])
    np.testing.assert_allclose(
        ek.ScaledRollout()(whole, "a").value, ek.ScaledRollout()(study(frame), "a").value, atol=1e-12
    )


def test_standard_errors_are_those_of_refits():
    """Refits to first order lie close to refits of the whole design; standard errors within a few in a hundred."""
    frame = panel("logit", each=12)
    found = ek.ScaledRollout()(study(frame), "a").over(0)
    refits = np.array([
        ek.ScaledRollout()(study(frame[frame["site"] != s]), "a").over(0).value[0] for s in range(SITES)
    ])  # fmt: skip
    exact = np.sqrt((SITES - 1) / SITES * ((refits - found.value[0]) ** 2).sum())
    assert found.to_frame()["std_error"].iloc[0] == pytest.approx(exact, rel=0.06)


def test_influence_by_unit_adds_up_to_that_of_clusters():
    frame = panel("log", gaps=True)
    found = ek.ScaledRollout(scale="log")(study(frame), "a")
    ids, units = found.value_influence.dense()
    names, clusters = found.value_influence.sums("site")
    site = frame.drop_duplicates("person").set_index("person")["site"].loc[ids].to_numpy()
    summed = np.array([units[site == name].sum(axis=0) for name in names])
    np.testing.assert_allclose(np.nan_to_num(summed), np.nan_to_num(clusters), atol=1e-12)


def test_influence_is_the_derivative():
    """Moving one person's weight a little moves the answer by the influence."""
    frame = panel("logit")
    base = ek.ScaledRollout()(study(frame.assign(w=1.0), weights="w"), "a").over(0)
    ids, influence = base.value_influence.dense()
    for person in (0, 7, 20, 40):
        moved = frame.assign(w=1.0 + 1e-5 * (frame["person"] == person))
        other = ek.ScaledRollout()(study(moved, weights="w"), "a").over(0)
        slope = (other.value[0] - base.value[0]) / 1e-5
        assert slope == pytest.approx(influence[list(ids).index(person), 0], abs=1e-7)


def test_a_likelihood_without_a_maximum_stops_at_the_end_of_the_range():
    """In the last period all who serve counted nothing: it is predicted, and the rest as without that period."""
    from scipy import sparse

    rng = np.random.default_rng(1)
    level, period = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    y = rng.poisson(2.0 + level).astype(float)
    y[period == 3] = 0.0
    Z = sparse.csr_array((period[:, None] >= np.arange(1, 4)).astype(float))
    made = fit("log", Seen(y, np.ones(24), Z, level, 6))
    assert np.all(made.mean[period == 3] < 1e-6)
    less = fit("log", Seen(y[period < 3], np.ones(18), Z[period < 3][:, :2], level[period < 3], 6))
    np.testing.assert_allclose(made.mean[period < 3], less.mean, atol=1e-7)
