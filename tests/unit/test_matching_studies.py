"""Matched comparisons in panels, with several components, with clusters, and stacked with other designs."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.people.methods import METHODS
from evalkit.errors import NotIdentifiedError, OptionError


def several(n: int = 3000, seed: int = 0, effect: float = 1.0, other: float = 2.0) -> pd.DataFrame:
    """People who got a nurse, a court liaison, both or neither; who got one got the other more often."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    court = rng.random(n) < 1 / (1 + np.exp(-x))
    nurse = rng.random(n) < 1 / (1 + np.exp(-(0.5 * x + 2 * court - 1.5)))
    y = x + effect * nurse + other * court + rng.normal(size=n)
    borough = rng.integers(0, 30, n)
    return pd.DataFrame({
        "id": np.arange(n), "x": x, "nurse": nurse.astype(int), "court": court.astype(int), "y": y, "borough": borough,
    })  # fmt: skip


def study(frame: pd.DataFrame, **more) -> ek.Study:
    components = [ek.Component(c, exposure=c, assigned_at="id") for c in ("nurse", "court")]
    options = {"components": components, "covariates": ("x",), "outcome": "y", "period": None, **more}
    return ek.Study(frame, unit="id", **options)


DESIGNS = [
    ek.MatchedComparison(caliper=0.1), ek.MatchedComparison(replace=True), ek.MatchedComparison(method="full"),
    ek.WeightedComparison(), ek.WeightedComparison(method="entropy"), ek.WeightedComparison(method="aipw", folds=1),
]  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{type(d).__name__}-{d.method}")
def test_others_alike_finds_the_effect_and_others_ignored_does_not(design):
    from dataclasses import replace

    people = study(several())
    same = design(people, "nurse").to_frame(inference="analytic").iloc[0]
    assert abs(same["estimate"] - 1.0) < 3.5 * same["std_error"]
    ignored = replace(design, others="ignored")(people, "nurse").to_frame(inference="analytic").iloc[0]
    assert ignored["estimate"] - 1.0 > 4 * ignored["std_error"]


def test_pairs_share_the_others_state():
    frame = several()
    pairs = ek.MatchedComparison().match(study(frame), "nurse").pairs
    court = frame.set_index("id")["court"]
    assert (court[pairs["exposed"]].to_numpy() == court[pairs["comparison"]].to_numpy()).all()


def test_plan_counts_people_by_combination_without_an_outcome():
    frame = several().drop(columns="y")
    plan = ek.MatchedComparison().plan(study(frame, outcome=None).paths, "nurse")
    table = plan.table.set_index("others")
    counts = frame.groupby(["court", "nurse"]).size()
    assert table.loc["court", "exposed"] == counts[1, 1]
    assert table.loc["none of the others", "comparison"] == counts[0, 0]
    assert len(plan) == 2
    assert plan.share == 1.0
    lonely = frame[(frame["nurse"] == 0) | (frame["court"] == 1)]
    table = ek.MatchedComparison().plan(study(lonely, outcome=None).paths, "nurse").table.set_index("others")
    assert table.loc["none of the others", "status"] == "comparison only"


def test_people_out_of_reach_take_no_part():
    frame = several().assign(able=lambda f: ((f["id"] % 3 > 0) | (f["nurse"] == 1)).astype(int))
    components = [ek.Component("nurse", exposure="nurse", reach="able"), "court"]
    people = ek.MatchedComparison().match(study(frame, components=components), "nurse").people
    able = frame.set_index("id")["able"]
    assert (able[people.ids] == 1).all()
    assert people.left_out["people"].sum() == (frame["able"] == 0).sum()


def panel(n: int = 600, seed: int = 3) -> pd.DataFrame:
    """Eight months; some start in the fourth, with a drift that depends on x."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    start = np.where(rng.random(n) < 1 / (1 + np.exp(-x)) * 0.6, 4, 99)
    unit = rng.normal(size=n)
    month = np.arange(8)
    y = unit[:, None] + 0.2 * x[:, None] * month + (month >= start[:, None]) * 1.0 + rng.normal(size=(n, 8)) * 0.5
    frame = pd.DataFrame({"id": np.repeat(np.arange(n), 8), "month": np.tile(month, n), "y": y.ravel()})
    frame["nurse"] = (frame["month"] >= start[frame["id"]]).astype(int)
    return frame.assign(x=x[frame["id"]])


def test_panel_reads_covariates_before_and_the_outcome_after():
    people = study(panel(), components=["nurse"], period="month")
    matching = ek.MatchedComparison(compare="change").match(people, "nurse")
    assert (matching.people.base, matching.people.period) == (3, 7)
    est = ek.MatchedComparison(compare="change", replace=True)(people, "nurse").to_frame().iloc[0]
    assert est["event_time"] == 3
    assert est["period"] == 7
    assert abs(est["estimate"] - 1.0) < 3.5 * est["std_error"]
    early = ek.MatchedComparison(compare="change", outcome_period=3, covariate_period=0)
    with pytest.raises(NotIdentifiedError, match="nobody with 'nurse'"):
        early(people, "nurse")
    with pytest.raises(OptionError, match="does not lie before"):
        ek.MatchedComparison(outcome_period=2, covariate_period=5)(people, "nurse")
    with pytest.raises(OptionError, match="outcome_period=99 is not a period"):
        ek.MatchedComparison(outcome_period=99)(people, "nurse")


def test_a_cross_section_has_no_periods_to_choose():
    with pytest.raises(OptionError, match="is for a panel"):
        ek.MatchedComparison(outcome_period=1)(study(several()), "nurse")


def test_clusters_and_sets_are_crossed():
    frame = several(800)
    rng = np.random.default_rng(5)
    frame["y"] += rng.normal(size=30)[frame["borough"]] * (1 + frame["nurse"])
    people = study(frame, cluster="borough")
    est = ek.MatchedComparison(caliper=0.2, adjust=None)(people, "nurse")
    assert est.to_frame()["inference"][0] == "jackknife"
    by_hand = _two_way(est)
    assert est.to_frame(inference="analytic")["std_error"][0] == pytest.approx(by_hand)
    alone = ek.MatchedComparison(caliper=0.2, adjust=None)(study(frame), "nurse").to_frame(inference="analytic")
    assert est.to_frame(inference="analytic")["std_error"][0] > 1.2 * alone["std_error"][0]
    assert est.to_frame()["clusters_exposed"][0] == 30


def _two_way(est: ek.Estimate) -> float:
    rows = est.value_influence.parts[0][0].rows
    parts = est.influence[:, 0]
    n, k = len(parts), 2
    name = next(n for n in rows.levels if n.startswith("matched set"))
    sets, borough = rows.levels[name][0], rows.levels["borough"][0]
    total = 0.0
    for code, sign in ((sets, 1), (borough, 1), (sets * 1000 + borough, -1)):
        groups, inverse = np.unique(code, return_inverse=True)
        sums = np.bincount(inverse, weights=parts)
        total += sign * len(groups) / (len(groups) - 1) * (n - 1) / (n - k) * (sums**2).sum()
    return float(np.sqrt(total))


REFITTED = [
    *DESIGNS, ek.MatchedComparison(caliper=0.2, adjust="reg"), ek.MatchedComparison(replace=True, adjust="reg"),
    ek.MatchedComparison(method="subclass"), ek.WeightedComparison(method="aipw"),
]  # fmt: skip


@pytest.mark.parametrize("design", REFITTED, ids=lambda d: f"{type(d).__name__}-{d.method}-{getattr(d, 'adjust', '')}")
def test_refits_without_a_borough_spread_as_the_estimate_does(design):
    """Refits that match again, or split again, spread several times as far: that must not come back."""
    frame = several(2500)
    est = design(study(frame, cluster="borough"), "nurse")
    assert list(est.replicates.names) == list(range(30))
    both = [est.to_frame(inference=i)["std_error"][0] for i in ("jackknife", "analytic")]
    assert 0.5 < both[0] / both[1] < 1.7
    assert np.ptp(est.replicates.values) > 0


def test_refits_keep_the_pairs():
    frame = several(400)
    frame["borough"] %= 6
    design = ek.MatchedComparison(caliper=0.2, adjust=None)
    people = study(frame, cluster="borough")
    matching = design.match(people, "nurse")
    reps = design(people, "nurse").replicates
    left = matching.used & (frame["borough"].to_numpy() != 2)
    y, exposed = frame["y"].to_numpy(), matching.people.exposed
    moved = y[left & exposed].mean() - y[left & ~exposed].mean() - design(people, "nurse").value[0]
    others = [reps.values[c, 0] - design(people, "nurse").value[0] for c in range(6)]
    assert others[2] / moved == pytest.approx(others[3] / _move(frame, matching, 3))


def _move(frame: pd.DataFrame, matching, borough: int) -> float:
    left = matching.used & (frame["borough"].to_numpy() != borough)
    y, exposed = frame["y"].to_numpy(), matching.people.exposed
    whole = y[matching.used & exposed].mean() - y[matching.used & ~exposed].mean()
    return y[left & exposed].mean() - y[left & ~exposed].mean() - whole


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{type(d).__name__}-{d.method}")
@pytest.mark.parametrize("cluster", [None, "borough"])
def test_two_components_stack(design, cluster):
    people = study(several(), cluster=cluster)
    nurse, court = design(people, "nurse"), design(people, "court")
    both = ek.stack(nurse, court)
    vcov = both.vcov(inference="analytic") if not both.pieces else both.interval("simultaneous", inference="analytic")
    assert np.isfinite(np.asarray(vcov, dtype=float)).all()
    frame = both.to_frame(inference="analytic")
    for i, single in enumerate((nurse, court)):
        assert frame["std_error"][i] == pytest.approx(single.to_frame(inference="analytic")["std_error"][0])
    assert abs(both.contrast([1, -1], name="nurse less court").value[0] + 1.0) < 0.6


def test_two_matchings_of_one_component_stack():
    """As the check of rungs does: the difference has a standard error of its own."""
    people = study(several())
    first = ek.MatchedComparison(caliper=0.1)(people, "nurse")
    second = ek.MatchedComparison(method="full")(people, "nurse")
    gap = ek.stack(first, second).contrast([1.0, -1.0], name="caliper less full").to_frame(inference="analytic")
    apart = np.hypot(*(e.to_frame(inference="analytic")["std_error"][0] for e in (first, second)))
    assert 0 < gap["std_error"][0] < 1.5 * apart  # sets differ, so persons are the clusters of the joint covariance
    assert first.labels["inference_level"][0] == "matched set"


def test_few_sets_have_few_degrees_of_freedom():
    frame = several(60)
    frame = frame[(frame["nurse"] == 0) | (frame["id"] % 3 == 0)]
    row = ek.MatchedComparison(others="ignored")(study(frame), "nurse").to_frame().iloc[0]
    assert row["inference"] == "jackknife"
    assert row["df"] < row["units_exposed"]
    assert row["std_error"] > 0


def test_without_replacement_pairs_are_not_independent_people():
    """Matched on a strong covariate, ignoring the pairs gives a plausible, wrong standard error."""
    frame = several(2000)
    frame["y"] += 3 * frame["x"]
    est = ek.MatchedComparison(caliper=0.1, adjust=None)(study(frame), "nurse")
    right = est.to_frame(inference="analytic")["std_error"][0]
    n = len(est.influence)
    wrong = np.sqrt((est.influence[:, 0] ** 2).sum() * n / (n - 2))  # HC1
    assert wrong > 1.5 * right


def test_clusters_keep_folds_together_and_scores_may_be_replaced():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression

    people = study(several(), cluster="borough")
    design = ek.WeightedComparison(
        method="aipw", folds=3, repeats=1, clip=0.02, outcome_model=LinearRegression(),
        propensity=RandomForestClassifier(n_estimators=30, min_samples_leaf=50, random_state=0),
    )  # fmt: skip
    row = design(people, "nurse").to_frame(inference="analytic").iloc[0]
    assert abs(row["estimate"] - 1.0) < 4 * row["std_error"]
    assert row["clusters_exposed"] == 30


def test_stacks_with_a_rollout_on_the_same_people():
    people = study(panel(), components=["nurse"], period="month")
    rollout = ek.StaggeredRollout()(people, "nurse").aggregate("simple")
    matched = ek.MatchedComparison(compare="change", caliper=0.2)(people, "nurse").aggregate("simple")
    both = ek.stack(matched, rollout)
    gap = both.contrast([1.0, -1.0], name="matched less rollout").to_frame(inference="analytic")
    assert np.isfinite(gap[["estimate", "std_error"]].to_numpy(dtype=float)).all()
    for one, row in zip((matched, rollout), both.to_frame(inference="analytic")["std_error"], strict=True):
        assert row == pytest.approx(one.to_frame(inference="analytic")["std_error"][0])


@pytest.mark.parametrize("options", [{"caliper": 0.1}, {"ratio": 2}, {"replace": True}, {"method": "full"}])
def test_differences_by_set_feed_the_bounds(options):
    from evalkit.checks import hidden_bias

    people = study(several())
    design = ek.MatchedComparison(adjust=None, **options)
    matching = design.match(people, "nurse")
    gaps = design.differences(people, matching)
    value = design.estimate(people, "nurse", matching).value[0]
    if options != {"method": "full"}:
        assert gaps.mean() == pytest.approx(value, abs=0.15 if "ratio" in options else 1e-9)
    assert hidden_bias(gaps).estimate > 1.5


def test_people_exposed_from_the_first_month_on_do_not_move_the_base():
    frame = panel()
    frame.loc[frame["id"] % 50 == 0, "nurse"] = 1
    people = ek.MatchedComparison().match(study(frame, components=["nurse"], period="month"), "nurse").people
    assert people.base == 3
    left = people.left_out.set_index("reason")["people"]
    assert left["already exposed when covariates were read"] == 12


@pytest.mark.parametrize("design", [*DESIGNS, ek.RegressionDiscontinuity("x", 0.0)], ids=lambda d: type(d).__name__)
def test_every_design_keeps_the_protocol(design):
    from dataclasses import FrozenInstanceError

    from evalkit.designs.protocol import Design

    assert isinstance(design, Design)
    with pytest.raises(FrozenInstanceError):
        design.outcome = "z"
    table = design.plan(study(several(300)).paths, "nurse").table
    assert {"exposed", "comparison", "status"} <= set(table.columns)


PICKLED = [
    *(ek.MatchedComparison(method=m, adjust="auto") for m in METHODS),
    ek.MatchedComparison(replace=True), ek.MatchedComparison(replace=True, adjust="reg"),
    *(ek.WeightedComparison(method=m, folds=1 if m == "aipw" else 5) for m in ("ipw", "entropy", "aipw")),
]  # fmt: skip


@pytest.mark.parametrize("cluster", [None, "borough"])
@pytest.mark.parametrize("design", PICKLED, ids=lambda d: f"{type(d).__name__}-{d.method}")
def test_estimates_pickle_with_their_refits(design, cluster):
    frame = several(200).assign(x=lambda f: np.round(f["x"]))
    people = study(frame, cluster=cluster) if cluster else study(frame)
    est = design(people, "nurse")
    back = pickle.loads(pickle.dumps(est))
    assert est.replicate is not None or cluster is None
    for kind in ("auto", "analytic"):
        pd.testing.assert_frame_equal(back.to_frame(inference=kind), est.to_frame(inference=kind))
    if est.replicate is not None:
        np.testing.assert_array_equal(back.replicates.values, est.replicates.values)


def test_a_matching_pickles_with_its_ties():
    people = study(several(200).assign(x=lambda f: np.round(f["x"])))
    matching = ek.MatchedComparison(replace=True).match(people, "nurse")
    back = pickle.loads(pickle.dumps(matching))
    pd.testing.assert_frame_equal(back.pairs, matching.pairs)
    assert back.ties(draws=3) == matching.ties(draws=3)


@pytest.mark.parametrize(
    ("design", "rests_on", "checks"),
    [
        (ek.MatchedComparison(), {"matching"}, ()),
        (ek.WeightedComparison(), {"weighting"}, ("score_form",)),
        (ek.WeightedComparison(others="balanced"), {"weighting", "additivity"}, ("score_form",)),
        (ek.RegressionDiscontinuity("x", 0.0), {"cutoff"}, ()),
    ],
)
def test_traits_say_what_an_answer_rests_on(design, rests_on, checks):
    assert (design.traits.rests_on, design.traits.checks) == (rests_on, checks)
