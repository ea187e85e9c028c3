"""The triple difference with covariates: known truths without noise, an oracle by plain loops, refusals in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek

METHODS = ("reg", "ipw", "dr")
EFFECT = 0.7


def panel(each: int = 12, periods: int = 8, sites: int = 10, seed: int = 4) -> pd.DataFrame:
    """People in places; half of each place eligible; half of the places start at 4 or 5.

    More of the eligible than of the ineligible have x = 1, and the gap is wider where it starts.
    """
    n = sites * each
    site, eligible = np.repeat(np.arange(sites), each), np.tile(np.arange(each) % 2, sites)
    start = np.where(np.arange(sites) < sites // 2, 4 + np.arange(sites) % 2, 99)[site]
    ones = np.where(start < 99, np.where(eligible == 1, each // 3, 1), np.where(eligible == 1, each // 4, each // 6))
    rank = np.tile(np.arange(each) // 2, sites)
    rng = np.random.default_rng(seed)
    people = pd.DataFrame({
        "person": np.arange(n), "site": site, "eligible": eligible, "start": start, "x": (rank < ones).astype(float),
        "z": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n), "own": rng.normal(size=n),
    })  # fmt: skip
    frame = people.loc[people.index.repeat(periods)].reset_index(drop=True)
    frame["month"] = np.tile(np.arange(periods), n)
    frame["a"] = (frame["month"] >= frame["start"]).astype(int)
    shock = rng.normal(size=(sites, periods)) * 3
    frame["shock"] = shock[frame["site"], frame["month"]]
    frame["y"] = frame["own"] + frame["month"] * frame["x"] + EFFECT * frame["a"] * frame["eligible"]
    return frame


def noisy(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """The same with noise, and changes that depend on z as well."""
    noise = np.random.default_rng(seed).normal(size=len(frame))
    return frame.assign(y=frame["y"] + frame["shock"] + noise + 0.3 * frame["month"] * frame["z"])


def arriving(frame: pd.DataFrame, seed: int = 6) -> pd.DataFrame:
    """People enter late and leave, the eligible of exposed places later than others."""
    rng = np.random.default_rng(seed)
    one = frame.drop_duplicates("person")
    late = np.where((one["eligible"] == 1) & (one["start"] < 99), 4, 2)
    entry, left = rng.integers(0, late), rng.integers(6, 9, len(one))
    month = frame["month"]
    return frame[(month >= entry[frame["person"]]) & (month < left[frame["person"]])].reset_index(drop=True)


def study(frame: pd.DataFrame, covariates: tuple[str, ...] = ("x",), **changes: object) -> ek.Study:
    fields = {
        "unit": "person", "period": "month", "cluster": "site", "outcome": "y", "covariates": covariates,
        "components": [ek.Component("a", exposure="a", reach="eligible", assigned_at="site")],
    }  # fmt: skip
    return ek.Study(frame, **{**fields, **changes})


def later(est: ek.Estimate) -> np.ndarray:
    return est.value[(est.labels["event_time"] >= 0).to_numpy() & np.isfinite(est.value)]


@pytest.mark.parametrize("adjust", METHODS)
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("missing", [False, True])
def test_trends_that_go_with_a_covariate_are_taken_out(adjust, window, missing):
    """A binary covariate saturates every model, so that all three find the effect to the digit."""
    frame = arriving(panel(24)) if missing else panel()
    made = study(frame)
    plain = ek.TripleDifference(base_window=window)(made, "a")
    assert abs(later(plain) - EFFECT).max() > 0.15
    est = ek.TripleDifference(base_window=window, adjust=adjust)(made, "a")
    assert len(later(est)) == len(later(plain)) > 4
    np.testing.assert_allclose(later(est), EFFECT, atol=1e-9)
    leads = (est.labels["event_time"] < 0).to_numpy() & np.isfinite(est.value)
    np.testing.assert_allclose(est.value[leads], 0.0, atol=1e-9)


@pytest.mark.parametrize("adjust", METHODS)
def test_what_a_place_and_month_do_to_both_kinds_cancels(adjust):
    """Exactly where places that start together have the same mix of people, as here; those that start later and
    serve until then have another mix than those that never do."""
    frame = panel()
    shocked = frame.assign(y=frame["y"] + frame["shock"])
    np.testing.assert_allclose(later(ek.TripleDifference(adjust=adjust)(study(shocked), "a")), EFFECT, atol=1e-9)


@pytest.mark.parametrize("adjust", METHODS)
@pytest.mark.parametrize("weights", [None, "w"])
def test_a_covariate_that_is_alike_everywhere_changes_nothing(adjust, weights):
    """Each weight is there once with each value in every cell of people."""
    frame = noisy(panel())
    rank = np.tile(np.arange(12) // 2, 10)[frame["person"]]
    frame = frame.assign(even=rank % 2, w=1.0 + rank // 2 + frame["site"] % 3)
    made = study(frame, ("even",), weights=weights)
    plain, est = ek.TripleDifference()(made, "a"), ek.TripleDifference(adjust=adjust)(made, "a")
    np.testing.assert_allclose(est.value, plain.value, atol=1e-9)
    np.testing.assert_allclose(est.mass, plain.mass, atol=1e-9)


def oracle(frame: pd.DataFrame, g: int, t: int, adjust: str) -> float:
    """ATT(g, t) by loops over people and places; not yet exposed, base g - 1; places elsewhere by when they start."""
    arms: dict = {}
    for _, here in frame.groupby("site"):
        start = int(here["start"].iloc[0])
        if start != g and start <= max(t, g - 1):
            continue
        there = {k: [] for k in (1, 0)}
        for _, rows in here.groupby("person"):
            y = rows.set_index("month")["y"]
            if t in y.index and g - 1 in y.index:
                one = rows.iloc[0]
                there[int(one["eligible"])].append((y[t] - y[g - 1], [1.0, one["x"], one["z"]], one["weight"]))
        if not (there[1] and there[0]):
            continue
        scale = sum(p[2] for p in there[1]) / sum(p[2] for p in there[0])
        eligible, ineligible = arms.setdefault(start, ([], []))
        eligible += there[1]
        ineligible += [(c, x, w * scale) for c, x, w in there[0]]
    treated, beside = arms.pop(g)
    size = {start: sum(p[2] for p in e) for start, (e, _) in arms.items()}
    far = {s: two_by_two(treated, e, adjust) - two_by_two(treated, i, adjust) for s, (e, i) in arms.items()}
    return two_by_two(treated, beside, adjust) + sum(size[s] * far[s] for s in far) / sum(size.values())


def two_by_two(treated: list, others: list, adjust: str) -> float:
    y, x, w = (np.array([p[i] for p in (*treated, *others)]) for i in range(3))
    d = np.arange(len(y)) < len(treated)
    left = y
    if adjust != "ipw":
        left = y - x @ sm.WLS(y[~d], x[~d], weights=w[~d]).fit().params
    odds = np.ones(len(y))
    if adjust != "reg":
        fit = sm.GLM(d.astype(float), x, family=sm.families.Binomial(), freq_weights=w).fit(tol=1e-14, maxiter=99)
        odds = np.exp(x @ fit.params)
    below = 0.0 if adjust == "reg" else np.average(left[~d], weights=(w * odds)[~d])
    return float(np.average(left[d], weights=w[d]) - below)


@pytest.mark.parametrize("adjust", METHODS)
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("missing", [False, True])
def test_against_plain_loops(adjust, weights, missing):
    frame = noisy(panel(24))
    frame = arriving(frame) if missing else frame
    est = ek.TripleDifference(adjust=adjust)(study(frame, ("x", "z"), weights=weights), "a")
    rows = est.to_frame(inference="analytic").query("event_time >= 0 and estimate == estimate")
    assert len(rows) >= 6
    frame = frame.assign(weight=frame[weights] if weights else 1.0)
    want = [oracle(frame, g, t, adjust) for g, t in rows[["cohort", "period"]].to_numpy()]
    np.testing.assert_allclose(rows["estimate"], want, atol=1e-8)


@pytest.mark.parametrize("adjust", METHODS)
@pytest.mark.parametrize("window", [1, 3])
def test_contributions_are_what_a_cluster_moves(adjust, window):
    """Each cluster's contributions add up to the derivative of every row by the weight of that cluster."""
    frame = arriving(noisy(panel(24)))
    design = ek.TripleDifference(adjust=adjust, base_window=window)
    est = design(study(frame, ("x", "z"), weights="w"), "a")
    names, sums = est.value_influence.sums()
    good = np.isfinite(est.value)
    step = 1e-5
    for site in (0, 3, 7):
        here = (frame["site"] == site).to_numpy()
        moved = (frame.assign(w=frame["w"] * (1 + s * here)) for s in (step, -step))
        ends = [design(study(f, ("x", "z"), weights="w"), "a") for f in moved]
        slope = (ends[0].value - ends[1].value) / (2 * step)
        np.testing.assert_allclose(sums[names.tolist().index(site)][good], slope[good], atol=2e-7)
        assert np.abs(slope[good]).max() > 1e-3


@pytest.mark.parametrize("adjust", METHODS)
def test_refits_are_the_design_without_a_cluster(adjust):
    frame = noisy(panel())
    design = ek.TripleDifference(adjust=adjust)
    est = design(study(frame), "a").aggregate("simple")
    for site in (1, 8):
        without = design(study(frame[frame["site"] != site]), "a").aggregate("simple")
        at = list(est.replicates.names).index(site)
        np.testing.assert_allclose(est.replicates.values[at], without.value, atol=1e-10)


def test_others_that_reach_both_kinds_still_cancel():
    """A second component that reaches everybody starts with it and does the same to both kinds."""
    frame = panel().assign(b=lambda d: d["a"], y=lambda d: d["y"] - 2.0 * d["a"])
    components = [ek.Component("a", exposure="a", reach="eligible", assigned_at="site"), "b"]
    est = ek.TripleDifference(adjust="dr")(study(frame, components=components), "a")
    np.testing.assert_allclose(later(est), EFFECT, atol=1e-9)


def test_words_say_what_it_rests_on():
    est = ek.TripleDifference(adjust="reg")(study(panel()), "a")
    assert est.labels["assumption"].str.contains("same covariates").all()
    assert est.labels["assumption"].str.contains("all places of a group together").all()


def test_covariates_that_cannot_serve_say_why():
    frame = panel()
    tied = frame.assign(twice=frame["x"] * (frame["eligible"] == 1), part=frame["x"] * (frame["eligible"] == 0))
    est = ek.TripleDifference(adjust="reg")(study(tied, ("x", "twice")), "a")
    assert np.isnan(later(est)).all() and len(est) > 0
    assert est.labels["reason"].str.contains("ineligible people where it starts: the covariates depend").all()
    apart = frame.assign(age=np.where((frame["eligible"] == 1) & (frame["start"] < 99), 50.0, 0.0) + frame["z"])
    est = ek.TripleDifference(adjust="ipw")(study(apart, ("age",)), "a")
    assert np.isnan(est.value).all() and est.labels["reason"].str.contains("separate|no comparison unit").all()
    with pytest.raises(ek.EvalkitError, match="no covariates to adjust for"):
        ek.TripleDifference(adjust="dr")(study(frame, ()), "a")
    with pytest.raises(ek.EvalkitError, match="adjust"):
        ek.TripleDifference(adjust="match")


@pytest.mark.parametrize("adjust", METHODS)
def test_covariates_are_read_at_the_base_alone(adjust):
    """What they are at other times does not matter, and who lacks them at the base takes no part."""
    frame = noisy(panel(24))
    frame = frame[(frame["start"] != 5) & (frame["month"] >= 3)].reset_index(drop=True)
    gone, base = frame["person"] % 7 == 0, frame["month"] == 3
    moved = frame["z"] + np.where(base, 0.0, 5.0 * frame["month"])
    changing = frame.assign(z=moved.where(~(gone & base)))
    design = ek.TripleDifference(adjust=adjust)
    est, want = (design(study(f, ("x", "z")), "a") for f in (changing, frame[~gone]))
    np.testing.assert_allclose(later(est), later(want), rtol=1e-9)
    assert (est.labels["mass"].to_numpy() == want.labels["mass"].to_numpy()).all()


@pytest.mark.parametrize("adjust", METHODS)
def test_several_kinds_of_people_beside_each_other(adjust):
    """Another component that reaches some of both kinds makes four kinds: the eligible of one are divided among the
    ineligible of both by their size, and a covariate that is alike in all of them changes nothing."""
    frame = noisy(panel(24))
    rank = np.tile(np.arange(24) // 2, 10)[frame["person"]]
    frame = frame.assign(even=rank % 2, veteran=(rank // 2 % 3 == 0).astype(int))
    frame["c"] = ((frame["month"] >= 6) & (frame["site"] % 2 == 0)).astype(int)
    components = [
        ek.Component("a", exposure="a", reach="eligible", assigned_at="site"),
        ek.Component("c", exposure="c", reach="veteran", assigned_at="site"),
    ]
    made = study(frame, ("even",), components=components)
    plain, est = ek.TripleDifference()(made, "a"), ek.TripleDifference(adjust=adjust)(made, "a")
    assert np.isfinite(later(plain)).sum() >= 6
    np.testing.assert_allclose(est.value, plain.value, atol=1e-9)
    np.testing.assert_allclose(est.mass, plain.mass, atol=1e-9)
