"""What comparisons of people do unless told otherwise: adjusting, the study's weights, what they say of themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError


def table(n: int = 600, seed: int = 0, bend: float = 0.0, steep: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    lean = steep * (0.6 * x - 0.4 * z) + bend * (x**2 - 1) - 1.2
    got = (rng.random(n) < 1 / (1 + np.exp(-lean))).astype(int)
    y = x + 0.5 * z + got + rng.normal(size=n)
    times = rng.integers(1, 4, n)
    return pd.DataFrame({"id": np.arange(n), "x": x, "z": z, "got": got, "y": y, "times": times})


def study(frame: pd.DataFrame, **more) -> ek.Study:
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    options = {"components": parts, "covariates": ("x", "z"), "outcome": "y", **more}
    return ek.Study(frame, unit="id", period=None, **options)


def answer(design, people: ek.Study) -> pd.Series:
    return design(people, "got").to_frame(inference="analytic").iloc[0]


class TestAdjusting:
    @pytest.mark.parametrize("method", ["nearest", "optimal", "full", "cem", "subclass"])
    def test_regression_without_replacement(self, method):
        people = study(table())
        got = answer(ek.MatchedComparison(method=method, adjust="auto"), people)
        want = answer(ek.MatchedComparison(method=method, adjust="reg"), people)
        plain = answer(ek.MatchedComparison(method=method, adjust=None), people)
        assert (got["estimate"], got["std_error"]) == (want["estimate"], want["std_error"])
        assert got["std_error"] < (0.85 if method != "cem" else 1.05) * plain["std_error"]  # classes leave less
        assert (got["adjust"], plain["adjust"]) == ("reg", "none")

    def test_bias_correction_with_replacement(self):
        people = study(table())
        got = answer(ek.MatchedComparison(replace=True, adjust="auto"), people)
        want = answer(ek.MatchedComparison(replace=True, adjust="bias"), people)
        assert (got["estimate"], got["std_error"], got["adjust"]) == (want["estimate"], want["std_error"], "bias")
        assert answer(ek.MatchedComparison(replace=True, adjust="auto", std_error="set"), people)["adjust"] == "reg"

    def test_nothing_where_people_are_few(self):
        """Two covariates need six matched people in each arm."""
        frame = table(80)
        few = frame[(frame["got"] == 0) | (frame["id"].isin(frame.loc[frame["got"] == 1, "id"].head(5)))]
        assert answer(ek.MatchedComparison(adjust="auto"), study(few))["adjust"] == "none"
        some = frame[(frame["got"] == 0) | (frame["id"].isin(frame.loc[frame["got"] == 1, "id"].head(6)))]
        assert answer(ek.MatchedComparison(adjust="auto"), study(some))["adjust"] == "reg"


class TestWhatItRestsOn:
    @pytest.mark.parametrize(
        ("design", "words"),
        [
            (ek.MatchedComparison(adjust=None), "the propensity score has the right form"),
            (ek.MatchedComparison(adjust="auto"), "the propensity score has the right form, or the outcome is linear"),
            (
                ek.MatchedComparison(distance="mahalanobis", adjust="reg"),
                "matched people are alike in the covariates, or",
            ),
            (ek.WeightedComparison(), "the propensity score has the right form"),
            (ek.WeightedComparison(method="entropy"), "the outcome, or the log odds"),
            (ek.WeightedComparison(method="aipw", folds=1), "or the model of the outcome has the right form"),
        ],
    )
    def test_is_said(self, design, words):
        assert words in answer(design, study(table()))["right_if"]

    def test_a_bent_score_is_doubted(self):
        """The score bends in x; weights from a straight one leave the square of x unlike."""
        row = answer(ek.WeightedComparison(), study(table(1500, bend=0.5)))
        assert row["score_p"] < 1e-3
        assert "x squared still differs between the arms" in row["doubt"]

    def test_entropy_balance_then_needs_a_linear_outcome(self):
        row = answer(ek.WeightedComparison(method="entropy"), study(table(1500, bend=0.5)))
        assert row["doubt"].endswith("so the outcome must be linear in the covariates")
        assert answer(ek.WeightedComparison(method="entropy"), study(table(1500)))["doubt"] == ""

    def test_doubt_leaves_no_trace_where_the_score_is_right(self):
        p = np.array([answer(ek.WeightedComparison(), study(table(seed=s)))["score_p"] for s in range(60)])
        assert (p < 0.05).mean() < 0.15  # 5% expected, in terms corrected for their number
        assert answer(ek.WeightedComparison(), study(table()))["doubt"] == ""

    def test_doubt_reads_no_outcome(self):
        frame = table(bend=0.5)
        one = answer(ek.WeightedComparison(), study(frame))
        other = answer(ek.WeightedComparison(), study(frame.assign(y=frame["y"].to_numpy()[::-1])))
        assert one["score_p"] == other["score_p"]


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    """Each person as often as they count."""
    out = frame.loc[frame.index.repeat(frame["times"])]
    return out.assign(person=out["id"], id=np.arange(len(out)))


REPEATABLE = [
    *(ek.WeightedComparison(estimand=e) for e in ("ATT", "ATC", "ATE", "ATO")),
    *(ek.WeightedComparison(method="entropy", estimand=e) for e in ("ATT", "ATC", "ATE")),
    *(ek.WeightedComparison(method="aipw", folds=1, estimand=e) for e in ("ATT", "ATC", "ATE")),
    *(ek.WeightedComparison(m, e, exact=("sex",), folds=1) for m, e in (("aipw", "ATT"), ("aipw", "ATE"))),
    *(ek.MatchedComparison("exact", exact=("sex",), estimand=e, adjust=None) for e in ("ATT", "ATE")),
    *(ek.MatchedComparison("exact", exact=("sex",), estimand=e, adjust="reg") for e in ("ATT", "ATE")),
    *(ek.MatchedComparison("cem", cutpoints={"x": [0.0], "z": [0.0]}, adjust=a) for a in (None, "reg")),
]


@pytest.mark.parametrize("design", REPEATABLE, ids=lambda d: f"{type(d).__name__}-{d.method}-{d.estimand}")
def test_a_weight_is_as_good_as_that_many_people(design):
    """Estimates agree, and so do standard errors once those who are one person are taken as one."""
    frame = table(300, seed=3).assign(sex=lambda f: f["id"] % 2)
    weighed = design(study(frame, weights="times"), "got")
    many = design(study(repeated(frame)), "got")
    assert weighed.value[0] == pytest.approx(many.value[0], rel=1e-8)
    assert weighed.value[0] != pytest.approx(design(study(frame), "got").value[0], rel=1e-4)
    _check_parts(weighed, many, repeated(frame)["person"].to_numpy())


def _check_parts(weighed: ek.Estimate, many: ek.Estimate, person: np.ndarray) -> None:
    """Contributions up to the small-sample factor, which counts rows."""
    rows = many.value_influence.parts[0][0].rows
    sums = np.bincount(person[rows.ids], weights=many.influence[:, 0])
    one = np.bincount(
        weighed.value_influence.parts[0][0].rows.ids, weights=weighed.influence[:, 0], minlength=len(sums)
    )
    ratio = np.sqrt((one**2).sum() / (sums**2).sum())
    np.testing.assert_allclose(one, sums * ratio, atol=1e-9)
    assert 0.9999 < ratio < 1.02


def test_pairs_count_by_the_weight_of_whom_they_speak_for():
    frame = table(300, seed=4)
    people = study(frame, weights="times")
    y, times = frame["y"].to_numpy(), frame["times"].to_numpy()
    for options in ({"distance": "mahalanobis"}, {"distance": "mahalanobis", "replace": True}):
        design = ek.MatchedComparison(adjust=None, **options)
        pairs = design.match(people, "got").pairs
        gaps = y[pairs["exposed"]] - y[pairs["comparison"]]
        want = np.average(gaps, weights=times[pairs["exposed"]])
        assert answer(design, people)["estimate"] == pytest.approx(want)
        assert want != pytest.approx(gaps.mean(), rel=1e-4)


def test_abadie_imbens_errors_with_equal_weights_are_those_without():
    frame = table(300, seed=5).assign(times=3.0)
    for estimand in ("ATT", "ATE"):
        design = ek.MatchedComparison(replace=True, ratio=2, estimand=estimand)
        one, other = answer(design, study(frame)), answer(design, study(frame, weights="times"))
        assert one["estimate"] == pytest.approx(other["estimate"])
        assert one["std_error"] == pytest.approx(other["std_error"])


def test_people_of_no_weight_take_no_part():
    frame = table(300)
    frame.loc[frame.index[:40], "times"] = 0
    people = study(frame, weights="times")
    matching = ek.MatchedComparison().match(people, "got")
    assert matching.people.ids.min() == 40
    assert matching.people.left_out.set_index("reason")["people"]["a weight of zero"] == 40


def test_models_that_take_no_weights_are_refused():
    from sklearn.linear_model import LinearRegression
    from sklearn.neighbors import KNeighborsRegressor

    people = study(table(300), weights="times")
    with pytest.raises(OptionError, match="KNeighborsRegressor cannot take the study's weights"):
        ek.WeightedComparison(method="aipw", folds=1, outcome_model=KNeighborsRegressor())(people, "got")
    learned = ek.WeightedComparison(method="aipw", folds=1, outcome_model=LinearRegression())
    assert answer(learned, people)["estimate"] == pytest.approx(
        answer(ek.WeightedComparison(method="aipw", folds=1), people)["estimate"]
    )


@pytest.mark.parametrize(
    "options",
    [{"adjust": "reg"}, {"ratio": 2, "adjust": "reg"}, {"method": "full", "caliper": 0.2, "adjust": "auto"}, {}],
)
def test_refits_without_each_set_are_regressions_without_its_people(options):
    from evalkit.designs.people.effect import regression

    frame = table(260, seed=6)
    people = study(frame)
    design = ek.MatchedComparison(**{"adjust": None, **options})
    matching = design.match(people, "got")
    reps = design(people, "got").replicates
    assert len(reps.names) == len(np.unique(matching.sets[matching.used]))
    for s in (0, 1, len(reps.names) - 1):
        keep = matching.used & (matching.sets != reps.names[s])
        x = matching.people.x[keep] if "adjust" in options else None
        want = regression(frame["y"].to_numpy()[keep], matching.people.exposed[keep], x, matching.weight[keep]).value
        assert reps.values[s, 0] == pytest.approx(want, rel=1e-10)


def test_refits_of_many_sets_take_no_time():
    """Thousands of pairs, each left out in turn: seconds would be minutes at the size of a register."""
    import time

    est = ek.MatchedComparison()(study(table(20_000, seed=7)), "got")
    start = time.process_time()
    assert len(est.replicates.names) > 4_000
    assert time.process_time() - start < 2


class TestDoubts:
    def test_a_plain_difference_says_what_partners_leave_unlike(self):
        """On two covariates without a caliper the last partners taken are far away."""
        people = study(table(steep=2.0))
        plain = ek.MatchedComparison(distance="mahalanobis", adjust=None)(people, "got")
        got, want = (
            answer(ek.MatchedComparison(distance="mahalanobis", adjust="auto"), people),
            answer(ek.MatchedComparison(distance="mahalanobis", adjust=None), people),
        )
        moves = abs(want["estimate"] - got["estimate"]) / want["std_error"]
        assert moves > 0.5
        assert f"{moves:.1f} standard errors" in want["doubt"] and want["doubt"] in repr(plain)
        assert got["doubt"] == ""

    def test_alike_partners_raise_none(self):
        rng = np.random.default_rng(3)
        x = np.repeat(rng.normal(size=300), 2)
        got = np.tile([1, 0], 300)
        people = pd.DataFrame(
            {"id": np.arange(600), "x": x, "z": x**2, "got": got, "y": x + got + rng.normal(size=600)}
        )
        assert answer(ek.MatchedComparison(distance="mahalanobis", adjust=None), study(people))["doubt"] == ""

    def test_nothing_to_ask_without_covariates(self):
        people = study(table().assign(kind="a"), covariates=())
        plain = ek.MatchedComparison(method="exact", exact=("kind",))
        assert answer(plain, people)["doubt"] == ""

    def test_classes_by_which_errors_are_clustered(self):
        with pytest.raises(OptionError, match="belongs to classes"):
            ek.MatchedComparison(std_error="hc1")
        people = study(table())
        levels = {m: ek.MatchedComparison(method=m)(people, "got").value_influence.level for m in ("cem", "subclass")}
        assert "matched set" in levels["cem"] and levels["subclass"] == "unit"
        coarse = {"x": [0.0], "z": [0.0]}
        few = ek.MatchedComparison(method="cem", cutpoints=coarse)(people, "got")
        assert few.value_influence.level == "unit"
