"""What every good matching does, whatever its method: held for people drawn at random."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import evalkit as ek
from evalkit.designs.people.distances import Fence, Space
from evalkit.designs.people.nearest import greedy


def people(seed: int, n: int = 160, ties: bool = False) -> ek.Study:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.integers(0, 3, n)
    if ties:
        x = np.round(x)
    got = rng.random(n) < 1 / (1 + np.exp(-(x - 1)))
    frame = pd.DataFrame({
        "id": rng.permutation(n), "x": x, "z": z, "group": np.where(rng.random(n) < 0.5, "a", "b"),
        "got": got.astype(int), "y": x + got + rng.normal(size=n),
    })  # fmt: skip
    return ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x", "z"))


PAIRED = [
    {"method": m, "distance": d, **more}
    for m, d in itertools.product(("nearest", "optimal", "full"), ("propensity", "logit", "mahalanobis", "euclidean"))
    for more in ({}, {"caliper": 0.2}, {"exact": ("group",)})
]
GREEDY = [
    {"order": o, "distance": d, **more}
    for o in ("largest", "smallest", "closest", "data")
    for d in ("propensity", "mahalanobis", "robust_mahalanobis")
    for more in ({}, {"ratio": 2}, {"caliper": 0.3}, {"exact": ("group",)}, {"caliper": {"x": 0.2}})
]


def frame_of(study: ek.Study) -> pd.DataFrame:
    """The rows behind a study of people."""
    x, z = study.covariate_values(["x", "z"])[:, 0, :].T
    got = study.paths.state[study.paths.path, 0, 0] > 0
    return pd.DataFrame({"id": study.paths.units, "x": x, "z": z, "y": study.values()[:, 0], "got": got.astype(int)})


def named(options: dict) -> str:
    return "-".join(str(v) for v in options.values())


def positions(matching) -> tuple[np.ndarray, np.ndarray]:
    links = matching.links[0]
    return links.focal, links.partner


@pytest.mark.parametrize("options", PAIRED + GREEDY, ids=named)
@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_twice_calipers_kept_exact_exact(options, seed):
    study = people(seed, ties=seed == 2)
    matching = ek.MatchedComparison(**options).match(study, "got")
    i, j = positions(matching)
    exposed = matching.people.exposed
    assert exposed[i].all() and not exposed[j].any()
    assert len(i) > 10
    if options.get("method") != "full":
        assert len(np.unique(j)) == len(j)
        assert np.bincount(i).max() <= options.get("ratio", 1)
    caliper = options.get("caliper")
    if isinstance(caliper, float):
        assert matching.largest_distance <= caliper * matching.space.unit
    if isinstance(caliper, dict):
        x = matching.people.x[:, 0]
        assert np.abs(x[i] - x[j]).max() <= caliper["x"] * x.std(ddof=1)
    if "exact" in options:
        assert (matching.people.strata[i] == matching.people.strata[j]).all()


@pytest.mark.parametrize("options", PAIRED + GREEDY, ids=named)
def test_weights_are_those_implied_by_pairs(options):
    matching = ek.MatchedComparison(**options).match(people(3), "got")
    i, j = positions(matching)
    exposed, w = matching.people.exposed, matching.weight
    assert set(np.flatnonzero(w > 0)) == set(i) | set(j)
    sets = matching.sets
    assert (sets[i] == sets[j]).all()
    raw = np.zeros(len(w))
    for s in range(sets.max() + 1):
        mine = sets == s
        raw[mine & exposed] = 1.0
        raw[mine & ~exposed] = (mine & exposed).sum() / (mine & ~exposed).sum()
    raw[~exposed] *= (raw[~exposed] > 0).sum() / raw[~exposed].sum()
    np.testing.assert_allclose(w, raw, atol=1e-12)
    assert w[exposed].sum() == pytest.approx((w[exposed] > 0).sum())


@pytest.mark.parametrize("options", GREEDY, ids=named)
@pytest.mark.parametrize("seed", [4, 5])
def test_no_nearer_free_partner_is_passed_over(options, seed):
    """Replayed: when a pair is made, nobody free and allowed was nearer."""
    matching = ek.MatchedComparison(**options).match(people(seed, ties=seed == 5), "got")
    i, j = positions(matching)
    points, strata = matching.space.points, matching.people.strata
    x = matching.people.x[:, 0]
    pool = np.flatnonzero(~matching.people.exposed)
    free = np.ones(len(points), dtype=bool)
    for a, b, gap in zip(i, j, matching.links[0].distance, strict=True):
        able = pool[free[pool] & (strata[pool] == strata[a])]
        if isinstance(options.get("caliper"), dict):
            able = able[np.abs(x[able] - x[a]) <= 0.2 * x.std(ddof=1)]
        gaps = np.sqrt(((points[able] - points[a]) ** 2).sum(axis=1))
        assert gap <= gaps.min() + 1e-12
        free[b] = False


@pytest.mark.parametrize("order", ["largest", "smallest"])
def test_who_chooses_first_is_as_said(order):
    matching = ek.MatchedComparison(order=order, caliper=0.3).match(people(6), "got")
    chosen = matching.space.score.value[positions(matching)[0]]
    assert (np.diff(chosen) <= 0).all() if order == "largest" else (np.diff(chosen) >= 0).all()


@pytest.mark.parametrize("distance", ["propensity", "mahalanobis"])
@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("seed", [7, 8])
def test_optimal_total_is_the_least(distance, ratio, seed):
    matching = ek.MatchedComparison(method="optimal", distance=distance, ratio=ratio).match(people(seed, 90), "got")
    exposed, points = matching.people.exposed, matching.space.points
    gap = np.repeat(cdist(points[exposed], points[~exposed]), ratio, axis=0)
    least = gap[linear_sum_assignment(gap)].sum()
    assert matching.pairs["distance"].sum() == pytest.approx(least, abs=1e-10)


@pytest.mark.parametrize("distance", ["propensity", "mahalanobis"])
def test_optimal_is_never_worse_than_greedy(distance):
    study = people(9)
    totals = [
        ek.MatchedComparison(method=m, distance=distance).match(study, "got").pairs["distance"].sum()
        for m in ("optimal", "nearest")
    ]
    assert totals[0] <= totals[1] + 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_full_total_is_the_least_edge_cover(seed):
    """Against a linear programme over all edges."""
    from scipy import sparse
    from scipy.optimize import linprog

    matching = ek.MatchedComparison(method="full", distance="mahalanobis").match(people(seed, 50), "got")
    exposed, points = matching.people.exposed, matching.space.points
    gap = cdist(points[exposed], points[~exposed])
    n, p = gap.shape
    rows = np.concatenate([np.repeat(np.arange(n), p), n + np.tile(np.arange(p), n)])
    cover = sparse.csr_array((np.ones(2 * n * p), (rows, np.tile(np.arange(n * p), 2))), shape=(n + p, n * p))
    best = linprog(gap.ravel(), A_ub=-cover, b_ub=-np.ones(n + p), bounds=(0, 1)).fun
    assert matching.pairs["distance"].sum() == pytest.approx(best, abs=1e-8)
    assert matching.used.all()


def test_sparse_searches_agree_with_dense_ones(monkeypatch):
    study = people(10)
    dense = {m: ek.MatchedComparison(method=m).match(study, "got").pairs["distance"].sum() for m in ("optimal", "full")}
    monkeypatch.setattr("evalkit.designs.people.sets.DENSE", 2_000)
    for m, total in dense.items():
        matching = ek.MatchedComparison(method=m).match(study, "got")
        assert matching.pairs["distance"].sum() == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("distance", ["propensity", "mahalanobis"])
@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
@pytest.mark.parametrize("ratio", [1, 3])
def test_with_replacement_everybody_has_the_nearest(distance, estimand, ratio):
    matching = ek.MatchedComparison(
        replace=True, ties="first", distance=distance, estimand=estimand, ratio=ratio
    ).match(people(11, ties=True), "got")
    exposed, points = matching.people.exposed, matching.space.points
    assert len(matching.links) == (2 if estimand == "ATE" else 1)
    for links in matching.links:
        for a in np.unique(links.focal):
            mine = np.sort(links.distance[links.focal == a])
            pool = np.flatnonzero(exposed != exposed[a])
            gaps = np.sort(np.sqrt(((points[pool] - points[a]) ** 2).sum(axis=1)))
            np.testing.assert_allclose(mine, gaps[:ratio], atol=1e-12)


@pytest.mark.parametrize("method", ["exact", "cem", "subclass"])
@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
def test_classes_have_both_arms_and_the_right_mix(method, estimand):
    options = {"exact": ("group",)} if method == "exact" else {}
    matching = ek.MatchedComparison(method=method, estimand=estimand, **options).match(people(12), "got")
    exposed, sets, w = matching.people.exposed, matching.sets, matching.weight
    target = {"ATT": exposed, "ATC": ~exposed, "ATE": np.ones(len(exposed), bool)}[estimand] & (sets >= 0)
    want = np.bincount(sets[target], minlength=sets.max() + 1) / target.sum()
    for arm in (exposed, ~exposed):
        mine = arm & (sets >= 0)
        got = np.bincount(sets[mine], weights=w[mine], minlength=sets.max() + 1) / w[mine].sum()
        np.testing.assert_allclose(got, want, atol=1e-12)


ALL = [
    {"method": "nearest"}, {"method": "nearest", "replace": True},
    {"method": "nearest", "replace": True, "adjust": "bias"},
    {"method": "nearest", "adjust": "reg", "caliper": 0.2}, {"method": "optimal", "adjust": "reg"}, {"method": "full"},
    {"method": "subclass"}, {"method": "cem"}, {"method": "exact", "exact": ("group", "z")},
]  # fmt: skip


@pytest.mark.parametrize("options", ALL, ids=named)
def test_matching_reads_no_outcome(options, monkeypatch):
    study = people(13)

    def refuse(self, outcome=None):
        raise AssertionError("an outcome was read")

    monkeypatch.setattr(ek.Study, "values", refuse)
    matching = ek.MatchedComparison(**options).match(study, "got")
    assert matching.used.any()
    assert len(matching.balance()) >= 2
    assert len(matching.dropped) == (~matching.used).sum()


@pytest.mark.parametrize("options", ALL, ids=named)
def test_estimate_keeps_the_contract(options):
    study = people(14, n=400)
    est = ek.MatchedComparison(**options)(study, "got")
    frame = est.to_frame(inference="analytic")
    assert np.isfinite(frame[["estimate", "std_error", "conf_low", "conf_high"]].to_numpy()).all()
    if options["method"] != "exact":
        assert abs(frame["estimate"][0] - 1.0) < 4 * frame["std_error"][0]
    _, sums = est.value_influence.sums(est.level)
    assert float((sums**2).sum()) == pytest.approx(frame["std_error"][0] ** 2)
    assert est.influence.shape[1] == len(est.value) == len(est.labels) == 1
    once = est.aggregate("simple").average().to_frame(inference="analytic")
    assert once["estimate"][0] == frame["estimate"][0]
    assert once["std_error"][0] == pytest.approx(frame["std_error"][0])


@pytest.mark.parametrize("options", [o for o in ALL if o["method"] != "full"], ids=named)
def test_order_of_the_rows_changes_nothing(options):
    """Without ties, rows may be permuted and people renamed. On a line several full matchings share one total."""
    study = people(15)
    frame = frame_of(study)
    frame["group"] = np.where(frame["z"] > 1, "a", "b")
    mixed = frame.sample(frac=1, random_state=1).assign(id=lambda f: np.arange(len(f))[::-1])
    values = []
    for data in (frame, mixed):
        s = ek.Study(data, unit="id", period=None, outcome="y", components=["got"], covariates=("x", "z"))
        values.append(ek.MatchedComparison(**options)(s, "got").to_frame(inference="analytic"))
    for column in ("estimate", "std_error"):
        assert values[0][column][0] == pytest.approx(values[1][column][0], rel=1e-9)


@pytest.mark.parametrize("options", ALL, ids=named)
def test_outcomes_may_be_moved_and_scaled(options):
    study = people(16)
    design = ek.MatchedComparison(**options)
    matching = design.match(study, "got")
    plain = design.estimate(study, "got", matching).to_frame(inference="analytic")
    frame = frame_of(study)
    frame["y"] = 10 - 3 * frame["y"]
    frame["group"] = "a"
    moved = ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x", "z"))
    after = design.estimate(moved, "got", matching).to_frame(inference="analytic")
    assert after["estimate"][0] == pytest.approx(-3 * plain["estimate"][0])
    assert after["std_error"][0] == pytest.approx(3 * plain["std_error"][0])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), dims=st.integers(1, 3), closest=st.booleans(), fenced=st.booleans())
def test_rounding_decides_nothing(seed, dims, closest, fenced):
    """On whole numbers people a year older and a year younger are as near: the first in the data is taken, whatever
    the last digits of the distances are."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 7, (60, dims)).astype(float)
    exposed = rng.random(60) < 0.4
    focal, pool = np.flatnonzero(exposed), np.flatnonzero(~exposed)
    order = None if closest else np.arange(len(focal))
    found = []
    for noise in (0.0, 1e-14):
        moved = points * 1.1 + noise * np.sin(points * 9.7 + seed)  # who are equal stay equal
        fences = (Fence(points[:, 0], 4.0),) if fenced else ()
        found.append(greedy(Space(moved, fences=fences), focal, pool, order, 2))
    np.testing.assert_array_equal(found[0].partner, found[1].partner)
    np.testing.assert_array_equal(found[0].focal, found[1].focal)
