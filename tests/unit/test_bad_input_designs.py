"""What rollout designs say of data that they cannot use: a value with its reason, or an error that says what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from tests.contract.test_designs import ROLLOUTS, people, short, study, usual

DIFFERENCES = [d for d in ROLLOUTS if isinstance(d, (ek.StaggeredRollout, ek.TripleDifference))]
rollouts = pytest.mark.parametrize("design", DIFFERENCES, ids=short)
COUNTS = ["units_exposed", "units_comparison", "units_left_out", "units_not_seen"]


def refused(table: pd.DataFrame, words: str) -> None:
    """No number of any kind, and the reason in every row."""
    assert len(table)
    assert table[["estimate", "std_error", "conf_low", "conf_high", "p_value"]].isna().all(axis=None)
    assert table["reason"].str.contains(words).all(), table["reason"].unique()


@rollouts
def test_cohorts_without_a_comparison(design):
    frame = people()
    est = design(study(frame.assign(a=(frame["month"] >= 4).astype(int))), "a")
    table = est.to_frame()
    refused(table[table["event_time"] >= 0], "nobody to compare with")
    later = table[(table["event_time"] >= 0) & (table["units_not_seen"] < table["units_left_out"])]
    assert len(later) and (later["units_exposed"] == 0).all() and (later["share_left_out"] == 1).all()
    whole = est.aggregate("simple").to_frame()
    refused(whole, "nobody to compare with")
    assert np.isnan(est.aggregate("simple").vcov()).all()


@pytest.mark.parametrize("comparison", ["never", "not_yet"])
def test_adopters_without_a_match_are_left_out_and_counted(comparison):
    """Where nobody is left who shares the path of their other component, the rest of the cohort speaks alone."""
    frame = people()
    frame = frame[~((frame["site"] % 4 == 0) & (frame["site"] % 5 >= 3))]
    table = ek.StaggeredRollout(comparison=comparison)(study(frame), "a").to_frame()
    partly = table["share_left_out"].between(0.01, 0.99)
    assert partly.any() and table.loc[partly, "estimate"].notna().all()
    assert (table.loc[partly, "units_left_out"] > 0).all()
    used = table["units_exposed"] + table["units_left_out"]
    np.testing.assert_allclose(table["units_left_out"][used > 0] / used[used > 0], table["share_left_out"][used > 0])


def test_a_base_before_the_panel():
    frame = people()
    est = ek.StaggeredRollout(anticipation=5)(study(frame), "a")
    table = est.to_frame()
    early = table["cohort"] <= 5
    refused(table[early], "no base: it would lie before the panel")
    assert set(table.loc[early, "cohort"]) == {4, 5} and (table.loc[early, "event_time"] >= 0).all()
    assert (table.loc[early, "units_left_out"] == 20).all() and (table.loc[early, "share_left_out"] == 1).all()
    assert table.loc[~early, "estimate"].notna().all()


@pytest.mark.parametrize("kind", ["simple", "event_time", "cohort", "period"])
def test_starts_without_a_base_leave_every_aggregate_as_it_is(kind):
    est = ek.StaggeredRollout(anticipation=5, others="ignored")(study(people()), "a")
    known = est.select(est.labels["cohort"].to_numpy() == 6).aggregate(kind).to_frame()
    table = est.aggregate(kind).to_frame()
    refused(table[table["estimate"].isna()], "no base") if table["estimate"].isna().any() else None
    table = table.dropna(subset="estimate")
    assert len(table) == len(known)
    columns = ["estimate", "std_error", "df", "mass", "clusters_exposed", "clusters_comparison"]
    np.testing.assert_allclose(table[columns], known[columns], atol=1e-12)


@pytest.mark.parametrize("choice", ["anticipation", "lookback"])
def test_no_start_has_a_base(choice):
    with pytest.raises(ek.EvalkitError, match=f"{choice}=50.*before the panel.*Choose less"):
        ek.StaggeredRollout(**{choice: 50})(study(people()), "a")


@rollouts
def test_people_exposed_from_the_first_period_on_are_counted(design):
    frame = people()
    table = design(study(frame.assign(a=np.where(frame["site"] < 3, 1, frame["a"]))), "a").to_frame()
    assert (table["units_exposed_throughout"] == 12).all()
    assert "units_exposed_throughout" not in design(study(frame), "a").to_frame()


@rollouts
def test_everybody_exposed_from_the_first_period_on(design):
    with pytest.raises(ek.EvalkitError, match="'a'"):
        design(study(people().assign(a=1)), "a")


@rollouts
def test_one_period(design):
    frame = people()
    with pytest.raises(ek.EvalkitError, match="'a'"):
        design(study(frame[frame["month"] == 6]), "a")


@pytest.mark.parametrize("design", DIFFERENCES, ids=short)
def test_one_cluster(design):
    frame = people()
    table = design(study(frame[frame["site"] == 1]), "a").to_frame()
    refused(table, "nobody to compare with|no adopter was observed")


@pytest.mark.parametrize(
    "design", [ek.StaggeredRollout(others="ignored"), ek.TripleDifference(others="ignored")], ids=short
)
def test_two_clusters_have_a_value_and_no_interval(design):
    frame = people()
    table = design(study(frame[frame["site"].isin([1, 4])]), "a").to_frame()
    assert table["estimate"].notna().all() and table["std_error"].isna().all()
    assert table["reason"].str.match(r"no interval: without \w+ [14] there is nothing left to compare").all()


def test_nobody_eligible_beside_somebody_ineligible():
    frame = people()
    with pytest.raises(ek.EvalkitError, match="eligible and ineligible"):
        ek.TripleDifference()(study(frame[frame["eligible"] == 1]), "a")


@pytest.mark.parametrize("adjust", ["reg", "ipw", "dr"])
class TestCovariates:
    def design(self, adjust: str) -> ek.StaggeredRollout:
        return ek.StaggeredRollout(others="ignored", adjust=adjust)

    def test_none(self, adjust):
        with pytest.raises(ek.EvalkitError, match="no covariates to adjust for"):
            self.design(adjust)(study(people(), covariates=()), "a")

    def test_constant(self, adjust):
        with pytest.raises(ek.EvalkitError, match="'age' is the same for everybody.*Leave it out"):
            self.design(adjust)(study(people().assign(age=2.0)), "a")

    def test_collinear(self, adjust):
        frame = people().assign(older=lambda d: 3 - 2 * d["age"])
        with pytest.raises(ek.EvalkitError, match="'older' is a combination of the other covariates"):
            self.design(adjust)(study(frame, covariates=("age", "older")), "a")

    def test_never_seen(self, adjust):
        with pytest.raises(ek.EvalkitError, match="'age' is missing in every row"):
            self.design(adjust)(study(people().assign(age=np.nan)), "a")

    def test_never_seen_together(self, adjust):
        frame = people()
        early = frame["month"] < 5
        frame = frame.assign(age=frame["age"].where(early), income=np.cos(frame["person"]).where(~early))
        with pytest.raises(ek.EvalkitError, match="never all there in one row"):
            self.design(adjust)(study(frame, covariates=("age", "income")), "a")

    def test_missing_at_the_base_of_one_cohort(self, adjust):
        frame = people()
        table = self.design(adjust)(study(frame.assign(age=frame["age"].where(frame["month"] != 3))), "a").to_frame()
        lost = (table["cohort"] == 4) & (table["event_time"] >= 0)
        refused(table[lost], "with its covariates at base")
        assert (table.loc[lost, "units_not_seen"] == 20).all()
        assert table.loc[table["cohort"] == 5, "estimate"].notna().any()

    def test_missing_for_some_at_base_are_counted(self, adjust):
        frame = people()
        frame["age"] = frame["age"].where((frame["month"] != 3) | (frame["person"] % 5 > 0))
        made = self.design(adjust)
        one, two = (made(study(f), "a").to_frame() for f in (people(), frame))
        mine = (one["cohort"] == 4) & (one["event_time"] >= 0)
        assert (two.loc[mine, "units_not_seen"] > one.loc[mine, "units_not_seen"]).all()
        assert (two.loc[mine, "units_exposed"] < one.loc[mine, "units_exposed"]).all()

    def test_without_variation_among_the_comparison(self, adjust):
        """The last comparison units are all alike: no row may come from an inverse that does not exist."""
        frame = people()
        frame["age"] = (frame["site"] % 4 == 1) * 1.0
        table = self.design(adjust)(study(frame), "a").to_frame()
        lost = table["estimate"].isna()
        assert lost.any()
        refused(table[lost], "covariates")
        assert np.isfinite(table.loc[~lost, "estimate"]).all() and (table.loc[~lost, "estimate"].abs() < 10).all()


@pytest.mark.parametrize("adjust", ["ipw", "dr"])
def test_covariates_that_tell_the_groups_apart(adjust):
    frame = people()
    frame["age"] = (frame["site"] % 4) * 100.0 + frame["age"] / 1000
    table = ek.StaggeredRollout(others="ignored", adjust=adjust, comparison="never")(study(frame), "a").to_frame()
    refused(table, "covariates separate the two groups|no comparison unit is like the adopters|depend on each other")


@rollouts
def test_weights_of_zero_are_as_good_as_gone(design):
    frame = people().assign(w=lambda d: (d["person"] % 3 > 0) * 1.0)
    one = design(study(frame, weights="w"), "a").to_frame()
    two = design(study(frame[frame["w"] > 0], weights="w"), "a").to_frame()
    keys = ["cohort", "period"]
    both = one.merge(two, on=keys, how="outer", suffixes=("", "_again"), indicator=True)
    assert (both["_merge"] == "both").all()
    for column in (
        "estimate",
        "std_error",
        "clusters_exposed",
        "clusters_comparison",
        "units_exposed",
        "units_comparison",
    ):
        np.testing.assert_allclose(both[column], both[f"{column}_again"], atol=1e-9)
    assert (one["units_without_weight"] == 54).all() and "units_without_weight" not in two


@pytest.mark.parametrize(
    "design", [ek.StaggeredRollout(weights="least_noise", base_window=6), ek.JointEventStudy(weights="least_noise")]
)
def test_those_without_weight_tell_nothing_of_the_noise(design):
    """They are as noisy as can be: a working covariance that read them weighed all others otherwise."""
    frame = people().assign(w=1.0)
    odd = frame[frame["site"] < 6].assign(
        person=lambda d: d["person"] + 1000, w=0.0, y=lambda d: 1e6 * np.sin(d.index.to_numpy())
    )
    one = design(study(frame, weights="w"), "a").to_frame()
    two = design(study(pd.concat([frame, odd]), weights="w"), "a").to_frame()
    for column in ("estimate", "std_error", "df"):
        np.testing.assert_allclose(one[column], two[column], atol=1e-8)


@rollouts
def test_all_weights_zero(design):
    table = design(study(people().assign(w=0.0), weights="w"), "a").to_frame()
    refused(table, "all adopters have weight 0")


def test_comparison_units_without_weight():
    frame = people().assign(w=lambda d: (d["site"] % 4 > 0) * 1.0)
    table = ek.StaggeredRollout(comparison="never")(study(frame, weights="w"), "a").to_frame()
    refused(table, "nobody to compare with")


@pytest.mark.parametrize(("weights", "words"), [(-1.0, "negative"), (np.nan, "missing"), (np.inf, "infinite|finite")])
def test_impossible_weights(weights, words):
    with pytest.raises(ek.EvalkitError, match=words):
        study(people().assign(w=weights), weights="w")


@rollouts
def test_an_outcome_never_seen(design):
    table = design(study(people().assign(y=np.nan)), "a").to_frame()
    refused(table[table["estimate"].isna()], "no adopter was observed|nobody to compare with")
    assert table["estimate"].isna().all()
    assert (table["units_exposed"] == 0).all() and (table["units_not_seen"] > 0).all()


@rollouts
def test_an_outcome_without_variation_has_no_interval(design):
    table = design(study(people().assign(y=1.0)), "a").to_frame()
    known = table["estimate"].notna()
    np.testing.assert_allclose(table.loc[known, "estimate"], 0, atol=1e-12)
    assert table.loc[known, "std_error"].isna().all() or (table.loc[known, "std_error"] < 1e-12).all()
    assert table.loc[table["std_error"].isna(), "reason"].str.len().gt(10).all()


@rollouts
def test_everybody_is_used_left_out_or_not_seen(design):
    """In every row the adopters of a cohort add up, whoever they are compared with."""
    table = usual(design).to_frame()
    mine = table[table["event_time"] >= 0]
    total = mine["units_exposed"] + mine["units_left_out"] + mine["units_not_seen"]
    assert (total == 20).all()


def test_adopters_beside_several_kinds_of_others_are_counted_once():
    """An eligible cell with two ineligible partners in its place is shared between them, heads included."""
    frame = people()
    frame["other_reach"] = (frame["person"] % 4 > 1).astype(int)
    components = [
        ek.Component("a", exposure="a", reach="eligible"),
        ek.Component("b", exposure="b", reach="other_reach"),
    ]
    table = ek.TripleDifference(others="ignored")(study(frame, components=components), "a").to_frame()
    mine = table[table["event_time"] >= 0]
    total = mine["units_exposed"] + mine["units_left_out"] + mine["units_not_seen"]
    assert (total == 20).all()


@pytest.mark.parametrize("fields", [
    {"comparison": "nobody"}, {"others": "alike"}, {"base": "early"}, {"base_window": 0}, {"anticipation": -1},
    {"horizon": -1}, {"lookback": 1.5}, {"adjust": "magic"}, {"compare": "between"}, {"base_window": True},
])  # fmt: skip
def test_choices_that_do_not_exist(fields):
    ((name, _),) = fields.items()
    with pytest.raises(ek.EvalkitError, match=name):
        ek.StaggeredRollout(**fields)


def test_adjusting_cross_sections_is_refused():
    with pytest.raises(ek.EvalkitError, match="compare='within'"):
        ek.StaggeredRollout(compare="cross_sections", adjust="dr")


@pytest.mark.parametrize("level", [95, 0, 1, -0.5, True, "95%"])
def test_confidence_levels(level):
    est = ek.StaggeredRollout()(study(people()), "a")
    for ask in (
        est.to_frame,
        lambda level: est.interval(level=level),
        lambda level: est.interval("simultaneous", level),
    ):
        with pytest.raises(ek.EvalkitError, match="confidence level"):
            ask(level=level)
