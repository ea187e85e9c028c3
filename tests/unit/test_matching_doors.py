"""What matched and weighted comparisons refuse, say, or leave open: never a number without saying so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import NotIdentifiedError, OptionError, StudyError


def table(n: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    got = (rng.random(n) < 0.35).astype(int)
    return pd.DataFrame({"id": np.arange(n), "x": x, "z": rng.normal(size=n), "got": got, "y": x + got})


def study(frame: pd.DataFrame, **more) -> ek.Study:
    options = {"components": ["got"], "covariates": ("x", "z"), "outcome": "y", **more}
    return ek.Study(frame, unit="id", period=None, **options)


DESIGNS = [ek.MatchedComparison(caliper=0.5), ek.WeightedComparison(), ek.WeightedComparison(method="entropy")]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{type(d).__name__}-{d.method}")
class TestBadCovariates:
    def test_missing_values_are_listed(self, design):
        frame = table()
        frame.loc[[3, 7], "x"] = np.nan
        frame.loc[9, "z"] = np.nan
        with pytest.raises(StudyError, match=r"2 problems(.|\n)*'x' is missing for 2 people.*3, 7(.|\n)*'z'") as caught:
            design(study(frame), "got")
        assert "Missing is not 0" in str(caught.value)

    def test_constant(self, design):
        with pytest.raises(StudyError, match="'z' is the same for everybody"):
            design(study(table().assign(z=1.0)), "got")

    def test_text(self, design):
        with pytest.raises(StudyError, match="holds text such as '<5'"):
            design(study(table().assign(z="<5")), "got")
        kinds = np.where(np.arange(len(table())) % 3, "north", "south")
        as_number = design(study(table().assign(z=(kinds == "south").astype(float))), "got")
        assert design(study(table().assign(z=kinds)), "got").value == as_number.value

    def test_infinite(self, design):
        frame = table()
        frame.loc[4, "z"] = np.inf
        with pytest.raises(StudyError, match="infinite"):
            design(study(frame), "got")

    def test_one_arm_only(self, design):
        with pytest.raises(NotIdentifiedError, match="nobody without 'got'"):
            design(study(table().assign(got=1)), "got")

    def test_unknown_component(self, design):
        with pytest.raises(OptionError, match="There is no component 'nurse'"):
            design(study(table()), "nurse")


@pytest.mark.parametrize("design", [ek.MatchedComparison(), ek.WeightedComparison()])
def test_perfect_separation(design):
    frame = table()
    frame["x"] = frame["got"] * 10 + frame["x"].clip(-1, 1)
    with pytest.raises(NotIdentifiedError, match="apart perfectly"):
        design(study(frame), "got")


def test_all_but_perfect_separation_is_warned_of():
    frame = table(400)
    frame["w"] = ((frame["got"] == 1) & (frame["id"] % 2 == 0)).astype(int)
    with pytest.warns(ek.EvalkitWarning, match="all but 0 or 1"):
        ek.MatchedComparison().match(study(frame, covariates=("x", "w")), "got")


def test_entropy_without_overlap():
    frame = table()
    frame["x"] = frame["x"].clip(-1, 1) + np.where(frame["got"] == 1, 1.5, 0)
    with pytest.raises(NotIdentifiedError, match=r"No weights make|apart perfectly"):
        ek.WeightedComparison(method="entropy")(study(frame), "got")


def unavailable(est: ek.Estimate) -> str:
    frame = est.to_frame()
    assert np.isnan(frame[["estimate", "std_error", "conf_low", "conf_high"]].to_numpy()).all()
    assert np.isnan(est.influence).all()
    return frame["reason"][0]


def test_a_caliper_that_leaves_nobody():
    words = unavailable(ek.MatchedComparison(caliper=1e-9)(study(table()), "got"))
    assert "nobody is matched: none of" in words


def test_exact_with_empty_strata():
    frame = table().assign(place=lambda f: np.where(f["got"] == 1, "north", "south"))
    words = unavailable(ek.MatchedComparison(exact=("place",))(study(frame), "got"))
    assert "nobody is matched" in words
    frame.loc[frame.index[frame["got"] == 0][:15], "place"] = "north"
    matching = ek.MatchedComparison(exact=("place",)).match(study(frame), "got")
    assert matching.used[~matching.people.exposed].sum() == 15
    why = matching.dropped.groupby("arm")["reason"].unique()
    assert "nobody of the other arm is exactly alike" in why["comparison"]
    assert matching.lost == matching.people.exposed.sum() - 15
    assert f"for the other {matching.lost} these data cannot say" in matching.question


def test_one_exposed_person():
    frame = table().assign(got=lambda f: (f["id"] == 5).astype(int))
    words = unavailable(ek.MatchedComparison(distance="mahalanobis")(study(frame), "got"))
    assert "only one exposed person" in words
    words = unavailable(ek.WeightedComparison(method="entropy")(study(frame), "got"))
    assert "no combination of the others has 4 people in both arms" in words


def test_fewer_partners_than_asked_for():
    frame = table().assign(got=lambda f: (f["id"] < 70).astype(int))
    matching = ek.MatchedComparison(ratio=3).match(study(frame), "got")
    assert any("found fewer than 3 partners" in n for n in matching.notes)
    assert matching.used[~matching.people.exposed].all()
    assert matching.lost == 20


def test_exact_columns_may_be_text_but_not_missing():
    frame = table().assign(place=np.where(np.arange(120) % 2, "a", "b"))
    assert ek.MatchedComparison(exact="place").match(study(frame), "got").used.any()
    frame.loc[8, "place"] = None
    with pytest.raises(StudyError, match="exact 'place' is missing for 1 people"):
        ek.MatchedComparison(exact="place").match(study(frame), "got")
    with pytest.raises(StudyError, match=r"no column 'plaice'.*Did you mean 'place'"):
        ek.MatchedComparison(exact="plaice").match(study(frame), "got")


def test_missing_outcomes_take_their_sets_with_them():
    frame = table()
    full = ek.MatchedComparison().match(study(frame), "got")
    gone = full.pairs["comparison"].to_numpy()[:4]
    frame.loc[frame["id"].isin(gone), "y"] = np.nan
    est = ek.MatchedComparison(adjust=None)(study(frame), "got")
    row = est.labels.iloc[0]
    assert row["units_exposed"] == len(full.pairs) - 4
    assert row["units_not_seen"] == 8
    kept = full.pairs[~full.pairs["comparison"].isin(gone)]
    y = frame.set_index("id")["y"]
    assert est.value[0] == pytest.approx((y[kept["exposed"]].to_numpy() - y[kept["comparison"]].to_numpy()).mean())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "neighbour"}, "method='neighbour' is not a choice"),
        ({"distance": "manhattan"}, "distance='manhattan'"),
        ({"ratio": 0}, "ratio=0"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"caliper": -1}, "caliper=-1"),
        ({"caliper": {"x": 0.0}}, "caliper="),
        ({"estimand": "ATE"}, "has no ATE"),
        ({"adjust": "bias"}, "belongs to nearest matching with replacement"),
        ({"std_error": "abadie_imbens"}, "belongs to matching with replacement"),
        ({"method": "subclass", "distance": "mahalanobis"}, "classes of a score"),
        ({"method": "x", "order": "y"}, "2 problems"),
    ],
)
def test_impossible_choices(options, words):
    with pytest.raises(OptionError, match=words):
        ek.MatchedComparison(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "cem", "caliper": 0.2},
        {"method": "exact", "ratio": 2},
        {"method": "subclass", "replace": True},
        {"method": "optimal", "order": "data"},
        {"method": "full", "ratio": 2},
        {"method": "nearest", "subclasses": 5},
        {"method": "nearest", "replace": True, "order": "data"},
    ],
)
def test_arguments_that_a_method_ignores_are_named(options):
    with pytest.warns(ek.EvalkitWarning, match=rf"does not use {list(options)[-1]}="):
        ek.MatchedComparison(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "gmm"}, "method='gmm'"),
        ({"method": "entropy", "estimand": "ATO"}, "belongs to method='ipw'"),
        ({"folds": 0, "method": "aipw"}, "folds=0"),
        ({"clip": 0.7}, "clip=0.7"),
        ({"propensity": "logit"}, "scikit-learn"),
    ],
)
def test_impossible_weighting(options, words):
    with pytest.raises(OptionError, match=words):
        ek.WeightedComparison(**options)


def test_weighting_names_what_it_ignores():
    with pytest.warns(ek.EvalkitWarning, match="does not use clip"):
        ek.WeightedComparison(method="entropy", clip=0.05)


def test_distance_needs_covariates():
    with pytest.raises(OptionError, match="needs covariates"):
        ek.MatchedComparison()(study(table(), covariates=()), "got")


def test_names_that_are_not_covariates():
    with pytest.raises(OptionError, match=r"caliper names 'agee'"):
        ek.MatchedComparison(caliper={"agee": 0.2}).match(study(table()), "got")
    with pytest.raises(OptionError, match=r"distance_on names 'q'"):
        ek.MatchedComparison(distance="mahalanobis", distance_on=("q",)).match(study(table()), "got")
    with pytest.raises(OptionError, match=r"cutpoints name 'q'"):
        ek.MatchedComparison(method="cem", cutpoints={"q": [1]}).match(study(table()), "got")


def test_a_formula_that_cannot_be_read():
    with pytest.raises(OptionError, match="cannot be read"):
        ek.MatchedComparison(covariates="x + nothere").match(study(table()), "got")


def test_interactions_by_formula():
    matching = ek.MatchedComparison(covariates="x + z + x:z").match(study(table()), "got")
    assert matching.people.names == ("x", "z", "x:z")


def test_extrapolation_is_said():
    frame = table(400)
    frame["x"] = np.where((frame["got"] == 1) & (frame["id"] % 3 == 0), 9.0 + frame["x"] / 10, frame["x"])
    matching = ek.MatchedComparison().match(study(frame), "got")
    assert 0.2 < matching.outside < 0.5
    assert "there it extrapolates" in repr(matching)
    assert ek.MatchedComparison()(study(frame), "got").labels["share_outside"][0] == matching.outside
    near = ek.MatchedComparison(caliper=0.2).match(study(frame), "got")
    assert near.outside < 0.05
    assert near.lost > 30


@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0, 6.0])
def test_score_is_the_maximum_of_the_likelihood(scale):
    """Also where a plain Newton step would overshoot: the score equations hold."""
    from evalkit.designs.people.distances import fit_score

    rng = np.random.default_rng(8)
    x = rng.normal(size=(3000, 3)) * [1.0, 50.0, 0.001]
    lean = scale * (x / [1.0, 50.0, 0.001]) @ [1.0, -0.5, 0.3] - 1.0
    exposed = rng.random(3000) < 1 / (1 + np.exp(-lean))
    score = fit_score(x, exposed)
    gap = (exposed - score.value) @ np.column_stack([np.ones(3000), x / x.std(axis=0)])
    np.testing.assert_allclose(gap, 0.0, atol=1e-7)


def test_large_data_start_from_a_thinned_fit_and_end_at_the_same_maximum():
    from evalkit.designs.logit import newton
    from evalkit.designs.people.distances import fit_score

    rng = np.random.default_rng(9)
    x = rng.normal(size=(30_000, 4))
    exposed = rng.random(30_000) < 1 / (1 + np.exp(2 - x @ [0.5, 0.2, -0.3, 0.1]))
    quick = fit_score(x, exposed).coef
    slow = newton(np.column_stack([np.ones(30_000), x]), exposed.astype(float), np.zeros(5))
    np.testing.assert_allclose(quick, slow, atol=1e-10)


def test_equal_rows_have_equal_scores():
    from evalkit.designs.people.distances import fit_score

    rng = np.random.default_rng(10)
    x = rng.normal(size=(500, 7))
    x = np.vstack([x, x[::-1]])
    exposed = rng.random(1000) < 0.4
    value = fit_score(x, exposed).value
    assert (value[:500] == value[500:][::-1]).all()


def test_arms_far_apart_on_one_covariate_give_no_number():
    """Mahalanobis matching finds a nearest partner however far away: nobody with it is as low as anybody without."""
    frame = table(400)
    frame["x"] += 20 * frame["got"]
    design = ek.MatchedComparison(distance="mahalanobis", replace=True)
    assert "the arms do not overlap" in unavailable(design(study(frame), "got"))


def test_extrapolation_on_covariates_is_said():
    frame = table(400)
    frame["x"] += np.where((frame["got"] == 1) & (frame["id"] % 3 == 0), 9.0, 0.0)
    design = ek.MatchedComparison(distance="mahalanobis", replace=True)
    row = design(study(frame), "got").to_frame().iloc[0]
    assert 0.2 < row["share_outside"] < 0.5
    assert "there it extrapolates" in repr(design.match(study(frame), "got"))


def test_outcomes_that_nobody_saw_are_the_reason():
    frame = table()
    frame.loc[frame["got"] == 1, "y"] = np.nan
    words = unavailable(ek.MatchedComparison()(study(frame), "got"))
    assert "the outcome was seen in no matched set" in words


EVERY = [
    *(ek.MatchedComparison(method=m) for m in ("nearest", "full", "cem", "subclass")),
    ek.MatchedComparison(replace=True), *(ek.WeightedComparison(m, folds=1) for m in ("aipw",)),
    ek.WeightedComparison(), ek.WeightedComparison(method="entropy"),
]  # fmt: skip


@pytest.mark.parametrize("design", EVERY, ids=lambda d: f"{type(d).__name__}-{d.method}")
def test_an_outcome_that_never_varies_has_no_interval(design):
    """Rounding must not pass for a standard error: 1e-17 plus or minus 1e-18 excludes zero."""
    row = design(study(table(400).assign(y=0.1)), "got").to_frame().iloc[0]
    assert row["estimate"] == 0.0
    assert np.isnan(row["std_error"])
    assert "no variation" in row["reason"]


def test_one_arm_without_variation_in_a_covariate_does_not_run_away():
    """Only exposed people have w: what it does to the outcome cannot be learnt from the others, and is taken as 0."""
    frame = table(1000)
    frame["w"] = ((frame["got"] == 1) & (frame["id"] % 2 == 0)).astype(float)
    people = study(frame, covariates=("x", "w"))
    for folds in (1, 5):
        with pytest.warns(ek.EvalkitWarning):
            row = ek.WeightedComparison(method="aipw", folds=folds)(people, "got").to_frame().iloc[0]
        assert row["estimate"] == pytest.approx(1.0, abs=0.05)


def test_few_people_without_refits_have_few_degrees_of_freedom():
    frame = table().assign(got=lambda f: f["id"].isin([3, 8, 20]).astype(int), y=lambda f: f["z"])
    row = ek.MatchedComparison(distance="mahalanobis", replace=True)(study(frame), "got").to_frame().iloc[0]
    assert (row["df"], row["inference"]) == (2, "analytic")
    reach = row["conf_high"] - row["estimate"]
    assert reach == pytest.approx(4.302653 * row["std_error"], rel=1e-6)


def test_classes_of_few_people_leave_each_out_in_turn():
    """As everywhere: the jackknife where an arm is small, and no interval that hangs on one person."""
    frame = table().assign(got=lambda f: (f["id"] % 4 == 0).astype(int), half=lambda f: f["id"] // 60)
    people = study(frame)
    design = ek.MatchedComparison(method="exact", exact=("half",), adjust=None)
    est = design(people, "got")
    assert est.to_frame()["inference"][0] == "jackknife"
    assert len(est.replicates.names) == 120
    gone = study(frame[frame["id"] != 7])
    assert est.replicates.values[7, 0] == pytest.approx(design(gone, "got").value[0])
    lonely = study(frame[(frame["got"] == 0) | frame["id"].isin([0, 60])])
    row = design(lonely, "got").to_frame().iloc[0]
    assert np.isfinite(row["estimate"])
    assert row["clusters_exposed"] == 2


def test_equally_near_partners_share_the_work():
    """Full matching on one 0/1 covariate: one partner of everybody would carry all the weight."""
    frame = table(400).assign(k=lambda f: f["id"] % 2)
    sample = ek.MatchedComparison(method="full").match(study(frame, covariates=("k",)), "got").sample
    assert (sample["effective"] > 0.9 * sample["people"]).all()
