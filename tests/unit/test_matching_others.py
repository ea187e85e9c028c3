"""People compared within combinations of other components: score and regression know these too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.people.distances import Space
from evalkit.designs.people.nearest import TreeSeeker, greedy
from evalkit.errors import OptionError


def expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def two_components(seed: int, n: int = 2000) -> ek.Study:
    """b goes with x1; a goes with x0 and b, and is worth 1; b is worth 3."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    b = rng.random(n) < expit(2 * x[:, 1])
    a = rng.random(n) < expit(-2.1 + 0.8 * x[:, 0] + 2.2 * b)
    y = a + x.sum(axis=1) + 3 * b + rng.normal(size=n)
    frame = pd.DataFrame(
        {"id": np.arange(n), "x0": x[:, 0], "x1": x[:, 1], "a": a.astype(int), "b": b.astype(int), "y": y}
    )
    return ek.Study(frame, unit="id", period=None, components=["a", "b"], covariates=("x0", "x1"), outcome="y")


@pytest.mark.parametrize("options", [{}, {"replace": True}, {"method": "subclass"}, {"distance": "mahalanobis"}])
def test_others_that_go_with_covariates_do_not_pass_for_them(options):
    design = ek.MatchedComparison(adjust="auto", **options)
    found = [design(two_components(seed), "a").to_frame().iloc[0] for seed in range(6)]
    errors = [(f["estimate"] - 1) / f["std_error"] for f in found]
    assert abs(np.mean(errors)) < 1.5  # the mean of six: 3.7 of its standard errors; it was 4 to 6 without


def test_the_score_is_learnt_where_both_arms_are():
    """Nobody without b has a: only the others can say what goes with a."""
    rng = np.random.default_rng(0)
    n = 1500
    x, b = rng.normal(size=n), rng.random(n) < 0.5
    a = b & (rng.random(n) < expit(x - 1))
    frame = pd.DataFrame({"id": np.arange(n), "x": x, "b": b.astype(int), "a": a.astype(int), "y": x + a + 2 * b})
    study = ek.Study(frame, unit="id", period=None, components=["a", "b"], covariates=("x",), outcome="y")
    alone = ek.Study(frame[b], unit="id", period=None, components=["a"], covariates=("x",), outcome="y")
    scores = [ek.MatchedComparison().match(s, "a").space.score for s in (study, alone)]
    np.testing.assert_allclose(scores[0].coef, scores[1].coef, rtol=1e-8)


def test_one_large_class_makes_no_many_clusters():
    rng = np.random.default_rng(4)
    n = 1500
    x = rng.negative_binomial(0.15, 0.15, (n, 3)).astype(float)
    a = rng.random(n) < 0.27
    frame = pd.DataFrame({f"x{j}": x[:, j] for j in range(3)})
    frame = frame.assign(id=np.arange(n), a=a.astype(int), y=a + x.sum(axis=1) / 10 + rng.normal(size=n))
    study = ek.Study(frame, unit="id", period=None, components=["a"], covariates=("x0", "x1", "x2"), outcome="y")
    got, plain = (
        ek.MatchedComparison(method="cem", std_error=e)(study, "a").to_frame().iloc[0] for e in ("auto", "hc1")
    )
    assert got["std_error"] == plain["std_error"]


def clustered(places: int, seed: int = 0, n: int = 500) -> ek.Study:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    a = rng.random(n) < expit(x[:, 0])
    frame = pd.DataFrame({"id": np.arange(n), "x0": x[:, 0], "x1": x[:, 1], "place": rng.integers(0, places, n),
                          "a": a.astype(int), "y": a + 3 * x.sum(axis=1) + rng.normal(size=n)})  # fmt: skip
    parts = [ek.Component("a", exposure="a", assigned_at="id")]
    return ek.Study(
        frame, unit="id", period=None, components=parts, covariates=("x0", "x1"), outcome="y", cluster="place"
    )


def test_refits_of_classes_are_taken_as_they_are():
    """Refits weigh classes anew: where clusters do not matter they spread as far as people do."""
    study = clustered(25)
    by_place = ek.MatchedComparison(method="cem", std_error="set")(study, "a").to_frame(inference="jackknife")
    by_person = ek.MatchedComparison(method="cem", std_error="hc1")(study, "a").to_frame(inference="jackknife")
    assert by_place["std_error"].iloc[0] == pytest.approx(by_person["std_error"].iloc[0])


def test_bias_is_not_corrected_where_people_come_in_clusters():
    study = clustered(120)
    got = ek.MatchedComparison(replace=True, adjust="auto")(study, "a").to_frame().iloc[0]
    assert got["adjust"] == "reg"
    with pytest.raises(OptionError, match="stand and fall with their place"):
        ek.MatchedComparison(replace=True, adjust="bias")(study, "a")


def test_equal_points_are_one_slot():
    """Many people alike cost no more than their different points do."""
    rng = np.random.default_rng(1)
    points = rng.integers(0, 3, (4000, 2)).astype(float)
    exposed = rng.random(4000) < 0.1
    focal, pool = np.flatnonzero(exposed), np.flatnonzero(~exposed)
    find = TreeSeeker(points[focal], points[pool], np.inf)
    assert len(find.free) == 9 and max(map(len, find.gap)) <= 9
    links = greedy(Space(points), focal, pool, np.arange(len(focal)), 1)
    taken = [pool[(points[pool] == p).all(axis=1)] for p in np.unique(points, axis=0)]
    for members in taken:
        used = np.isin(members, links.partner)
        assert not used[int(used.sum()) :].any()  # in the order of the data


def ages(seed: int) -> pd.DataFrame:
    age = np.random.default_rng(seed).integers(20, 90, 120)
    return pd.DataFrame({"id": np.arange(120), "age": age, "a": (np.arange(120) < 30).astype(int), "y": 0.0})


def test_a_caliper_of_whole_steps_holds_those_at_its_edge():
    """2 / sd times sd may be a little less than 2."""
    short = [f for f in map(ages, range(60)) if 2 / f["age"].std() * f["age"].std() < 2]
    assert len(short) > 3
    for frame in short:
        study = ek.Study(frame, unit="id", period=None, components=["a"], covariates=("age",), outcome="y")
        calipers = ({"age": 2 / frame["age"].std() * more} for more in (1, 1 + 1e-9))
        found = [ek.MatchedComparison(distance="mahalanobis", caliper=c).match(study, "a").pairs for c in calipers]
        pd.testing.assert_frame_equal(*found)


@pytest.mark.parametrize("options", [
    {"neighbours": 2}, {"ties": "first"}, {"distance_on": ("x0",)}, {"method": "full", "tie_tolerance": 0.1},
])  # fmt: skip
def test_what_is_not_used_is_named(options):
    with pytest.warns(ek.EvalkitWarning, match=f"does not use {[*options][-1]}="):
        ek.MatchedComparison(**options)


@pytest.mark.parametrize("options", [
    {"caliper": True}, {"distance_on": (), "distance": "mahalanobis"}, {"method": "cem", "cutpoints": {"x0": 0.0}},
])  # fmt: skip
def test_what_cannot_be_is_refused(options):
    with pytest.raises(OptionError):
        ek.MatchedComparison(**options)
    assert ek.MatchedComparison(caliper=np.float32(0.2)).caliper == np.float32(0.2)


def test_a_change_needs_two_times():
    with pytest.raises(OptionError, match="needs a panel"):
        ek.MatchedComparison(compare="change")(clustered(20), "a")
