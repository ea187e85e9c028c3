"""For whom: finds differences that are there, invents none, hides small groups, refuses where data do not carry it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.people.people import Who, gather
from evalkit.errors import OptionError
from evalkit.evaluation import predicted
from evalkit.evaluation.for_whom import in_order


def people(n: int = 4000, seed: int = 0, gap: float = 1.0, cluster: bool = False) -> ek.Study:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    sex = np.where(rng.random(n) < 0.5, "women", "men")
    area = np.where(rng.random(n) < 0.003, "tiny", np.where(rng.random(n) < 0.5, "north", "south"))
    got = rng.random(n) < 1 / (1 + np.exp(-0.7 * x))
    y = x + got * (0.5 + gap * (sex == "women")) + rng.normal(size=n)
    frame = pd.DataFrame({"id": np.arange(n), "x": x, "sex": sex, "area": area, "age": rng.integers(18, 80, n),
                          "got": got.astype(int), "y": y, "place": rng.integers(0, 40, n)})  # fmt: skip
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    more = {"cluster": "place"} if cluster else {}
    return ek.Study(frame, unit="id", period=None, outcome="y", components=parts, covariates=("x",), **more)


@pytest.mark.parametrize("cluster", [False, True])
def test_finds_a_difference_and_no_other(cluster):
    found = ek.for_whom(people(cluster=cluster), "got", ["sex", "area", "age"])
    table = found.table.set_index(["by", "group"])
    for kind, truth in (("men", 0.5), ("women", 1.5)):
        row = table.loc[("sex", kind)]
        assert row["conf_low"] < truth < row["conf_high"]
        assert row["std_error"] < 0.15
    p = found.differences.set_index("by")["p_adjusted"]
    assert p["sex"] < 0.001
    assert p["area"] > 0.05
    assert p["age"] > 0.05
    assert found.calibration.status == "passed"
    assert found.words.startswith("The effect differs by sex")
    assert len(table.loc["age"]) == 3


def test_what_is_predicted_hangs_on_no_covariate_s_unit():
    rng = np.random.default_rng(4)
    n = 900
    x, z, got = rng.normal(size=n), rng.normal(size=n), rng.random(n) < 0.5
    frame = pd.DataFrame({"id": np.arange(n), "x": x, "z": z, "sex": rng.choice(["men", "women"], n), "got": got * 1})
    frame["y"] = x + got * (0.3 + 0.5 * z) + rng.normal(size=n)
    found = []
    for unit in (1.0, 1e7):  # such as pounds in place of ten millions of them
        study = ek.Study(frame.assign(x=x * unit), unit="id", period=None, outcome="y", components=["got"],
                         covariates=("x", "z"))  # fmt: skip
        found.append(ek.for_whom(study, "got", "sex"))
    one, two = (f.quarters["estimate"].to_numpy(dtype=float) for f in found)
    np.testing.assert_allclose(one, two, rtol=1e-6)
    assert one[-1] > one[0] + 0.3
    assert found[0].policies["estimate"].iloc[-1] == pytest.approx(found[1].policies["estimate"].iloc[-1], rel=1e-6)


def test_small_groups_are_hidden():
    row = ek.for_whom(people(), "got", "area").table.set_index("group").loc["tiny"]
    assert np.isnan(row[["people", "exposed", "estimate", "conf_low"]].astype(float)).all()
    assert row["reason"] == "fewer than 10 people with it or without it"


def test_same_for_all_is_not_claimed():
    found = ek.for_whom(people(gap=0.0, seed=2), "got", ["sex"])
    assert found.differences["p_adjusted"][0] > 0.05
    assert "not a sign that it is the same for all" in found.words


def test_groups_of_numbers_come_in_the_order_of_numbers():
    given = ["10", "9", "not recorded", "100 to 120", "-2", "north", "2.5 to 9"]
    assert in_order(np.array(given)) == ["-2", "2.5 to 9", "9", "10", "100 to 120", "north", "not recorded"]


def test_refuses_few_people_and_no_overlap():
    few = ek.for_whom(people(n=200), "got", "sex")
    assert "too few to tell kinds of people apart" in few.reason
    assert few.table["estimate"].isna().all()
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000) * 4
    frame = pd.DataFrame({"id": np.arange(2000), "x": x, "sex": rng.integers(0, 2, 2000), "y": x,
                          "got": (x + rng.logistic(size=2000) > 0).astype(int)})  # fmt: skip
    study = ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x",))
    assert "nobody like them in the other arm" in ek.for_whom(study, "got", "sex").reason


def test_unknown_columns():
    with pytest.raises(ek.EvalkitError, match=r"no column 'sexx'.*Did you mean 'sex'"):
        ek.for_whom(people(n=500), "got", "sexx")
    with pytest.raises(OptionError, match="at least one column"):
        ek.for_whom(people(n=500), "got", [])


def test_weights_say_whom_a_mean_speaks_for():
    """Effects are 0.5 for men and 1.5 for women: where women count three times, the mean moves towards theirs."""
    rng = np.random.default_rng(3)
    x, women = rng.normal(size=4000), rng.random(4000) < 0.5
    got = rng.random(4000) < 1 / (1 + np.exp(-0.7 * x))
    y = x + got * np.where(women, 1.5, 0.5) + rng.normal(size=4000)
    frame = pd.DataFrame({"id": range(4000), "x": x, "got": got.astype(int), "y": y})
    frame["side"] = np.where(frame["id"] % 2, "left", "right")
    parts = [ek.Component("got", exposure="got", assigned_at="id")]

    def mean(**more) -> pd.Series:
        study = ek.Study(frame.assign(**more), unit="id", period=None, outcome="y", components=parts,
                         covariates=("x",), weights=next(iter(more), None))  # fmt: skip
        return ek.for_whom(study, "got", ["side"]).table.iloc[0]

    want, same = mean(), mean(weight=2.5)
    assert (same["estimate"], same["std_error"]) == pytest.approx((want["estimate"], want["std_error"]))
    tilted = mean(weight=np.where(women, 3.0, 1.0))
    assert tilted["estimate"] == pytest.approx(1.25, abs=3 * tilted["std_error"])
    assert tilted["estimate"] - want["estimate"] > 0.15


def frame_of(n: int = 1200, seed: int = 5, **more) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, got = rng.normal(size=n), (rng.random(n) < 0.4).astype(int)
    return pd.DataFrame({"id": np.arange(n), "x": x, "got": got, "y": x + got + rng.normal(size=n),
                         "kind": np.where(np.arange(n) < 60, "rare", "usual"), **more})  # fmt: skip


def study_of(frame: pd.DataFrame, **more) -> ek.Study:
    given = {"unit": "id", "period": None, "outcome": "y", "components": ["got"], "covariates": ["x"], **more}
    return ek.Study(frame, **given)


def test_what_it_cannot_be_asked():
    people = study_of(frame_of())
    for smallest in (0, -1, 2.5, True):
        with pytest.raises(OptionError, match="smallest=.*whole number from 1"):
            ek.for_whom(people, "got", "kind", smallest=smallest)
    with pytest.raises(OptionError, match="'y' is an outcome"):
        ek.for_whom(people, "got", ["kind", "y"])
    with pytest.raises(OptionError, match="names no covariates"):
        ek.for_whom(study_of(frame_of(), covariates=[]), "got", "kind")


def test_an_outcome_before_the_start_is_a_fair_group():
    """In a panel the column is read before anybody started."""
    wide = frame_of(500)
    before = wide.assign(month=1, y=wide["x"], got=0)
    people = ek.Study(pd.concat([before, wide.assign(month=2)]), unit="id", period="month", outcome="y",
                      components=["got"], covariates=["x"])  # fmt: skip
    assert len(ek.for_whom(people, "got", "y").table) == 3


@pytest.mark.parametrize(("rule", "smallest", "least"), [("count=50", 10, 50), ("count=5", 12, 12)])
def test_the_study_s_disclosure_rule_holds_where_it_asks_for_more(rule, smallest, least):
    people = study_of(frame_of(), settings={"disclosure": f"custom: {rule}"})
    row = ek.for_whom(people, "got", "kind", smallest=smallest).table.set_index("group").loc["rare"]
    if least == 50:
        assert row["reason"] == "fewer than 50 people with it or without it"
        assert row[["people", "exposed", "estimate"]].isna().all()
    else:
        assert row["reason"] == "" and row["exposed"] >= least


def test_counts_are_rounded_and_small_ones_are_not_said_where_the_rule_asks():
    frame = frame_of()
    table = ek.for_whom(study_of(frame, settings={"disclosure": "nhs"}), "got", "kind").table
    assert (table[["people", "exposed"]].to_numpy() % 5 == 0).all()
    few = frame.assign(got=(frame["id"] < 5).astype(int))
    assert (
        "fewer than 8 in the smaller arm"
        in ek.for_whom(study_of(few, settings={"disclosure": "nhs"}), "got", "kind").reason
    )


def test_no_comparison_is_no_sign():
    frame = frame_of()
    rng = np.random.default_rng(2)
    frame["prior"] = np.where(rng.random(len(frame)) < 0.7, 0, rng.integers(1, 20, len(frame)))
    frame["half"] = np.where(frame["id"] % 2, "left", "right")
    alone = ek.for_whom(study_of(frame), "got", "prior")
    assert alone.words == "Nobody was compared by prior: it puts everybody in one group."
    assert alone.calibration.words == "No groups were compared."
    both = ek.for_whom(study_of(frame), "got", ["half", "prior"]).words
    assert both.startswith("No clear sign that the effect differs by half;")
    assert both.endswith("Nobody was compared by prior: it puts everybody in one group.")
    none = ek.for_whom(study_of(frame), "got", "kind", smallest=1000).words
    assert none == "Nobody was compared by kind: none of its groups can be shown."
    one = ek.for_whom(study_of(frame), "got", "kind", smallest=100).words
    assert one == "Nobody was compared by kind: only one of its groups can be shown."


def test_an_outcome_that_does_not_vary_has_no_effect_to_show():
    found = ek.for_whom(study_of(frame_of().assign(y=0.0)), "got", "kind")
    assert found.reason == "the outcome is the same for everybody"
    assert found.table[["estimate", "std_error", "conf_low"]].isna().all().all()


def test_a_group_in_one_cluster_has_no_standard_error():
    frame = frame_of(place=np.where(np.arange(1200) < 100, "a", np.arange(1200) % 30))
    frame["kind"] = np.where(frame["place"] == "a", "one place", "other places")
    parts = [ek.Component("got", exposure="got", assigned_at="id")]
    table = ek.for_whom(study_of(frame, components=parts, cluster="place"), "got", "kind").table.set_index("group")
    assert table.loc["one place", "reason"] == "all in one cluster: no standard error"
    assert np.isnan(table.loc["one place", "estimate"])
    assert table.loc["other places", "reason"] == ""


def varied(effect, n: int = 2000, seed: int = 1, **more) -> ek.Study:
    """People whose effect is what `effect(x, women)` says."""
    rng = np.random.default_rng(seed)
    x, women = rng.normal(size=n), rng.random(n) < 0.5
    got = rng.random(n) < 1 / (1 + np.exp(-0.7 * x))
    frame = pd.DataFrame({"id": range(n), "x": x, "sex": np.where(women, "women", "men"), "got": got.astype(int),
                          "y": x + got * effect(x, women) + rng.normal(size=n)})  # fmt: skip
    frame["place"] = rng.integers(0, 40, n)
    return study_of(frame, components=[ek.Component("got", exposure="got", assigned_at="id")], **more)


@pytest.mark.parametrize("more", [{}, {"cluster": "place"}])
def test_effects_that_differ_within_groups_are_found(more):
    found = ek.for_whom(varied(lambda x, women: 0.5 + 0.5 * x, **more), "got", "sex")
    assert found.beyond.status == "failed" and found.beyond.conf_low > 0
    assert found.beyond.conf_low < 1 < found.beyond.conf_high
    assert found.words.endswith("within them, people predicted to gain more do gain more.")
    quarters = found.quarters.set_index("group")
    assert len(quarters) == 4 and quarters["people"].sum() == pytest.approx(1000, abs=100)
    low, high = quarters.loc["1, predicted lowest"], quarters.loc["4, predicted highest"]
    assert low["conf_high"] < high["conf_low"]  # quarters of a normal x: 0.5 -+ 0.5 * 1.27
    assert low["conf_low"] < 0.5 - 0.64 < low["conf_high"] and high["conf_low"] < 0.5 + 0.64 < high["conf_high"]


@pytest.mark.parametrize("effect", [lambda x, women: 0.5 + 0 * x, lambda x, women: 0.5 + women])
def test_nothing_is_claimed_beyond_groups_that_tell_all(effect):
    found = [ek.for_whom(varied(effect, 800, seed), "got", "sex") for seed in range(6)]
    assert [f.beyond.status for f in found].count("failed") <= 1
    quiet = next(f for f in found if f.beyond.status == "informational")
    assert quiet.beyond.words.startswith("No clear sign that covariates tell more") and "covariates" not in quiet.words


def test_slopes_and_quarters_are_those_of_the_library():
    """Where nothing is taken out and nobody hangs together, econml's own regression gives the same slope."""
    rng = np.random.default_rng(4)
    x, got = rng.normal(size=(900, 2)), rng.random(900) < 0.5
    y = x[:, 0] + got * (1 + x[:, 1]) + rng.normal(size=900)
    people = gather(varied(lambda x, women: 0.5 + x, 900), "got", Who())
    s = predicted.Scored(replace(people, exposed=got, x=x), x, y, np.zeros(900), None)
    first = predicted.halves(s, 0)
    tester = predicted._tester(s, x, first, 0)
    slope, low, high = predicted._slope(s, tester, first, np.ones((int((~first).sum()), 1)))
    assert slope == pytest.approx(tester.evaluate_blp().params[0], rel=1e-9)
    assert (high - low) / 2 / 1.96 == pytest.approx(tester.evaluate_blp().errs[0], rel=0.15)
    _, half, quarter, _ = predicted.beyond_groups(s, np.empty((900, 0)), first, 0)
    theirs = predicted._tester(s, x / x.std(axis=0), first, 0).evaluate_cal(n_groups=4).plot_data_dict[1]["gate"]
    ours = [half.psi[quarter == q].mean() for q in sorted(set(quarter))]
    assert ours == pytest.approx(theirs.to_numpy(), rel=1e-9)


def test_clusters_stay_whole_and_few_people_predict_nothing():
    study = varied(lambda x, women: 0.5 + x, 900, cluster="place")
    people = gather(study, "got", Who())
    place = study.paths.levels["place"].codes[people.rows]
    s = predicted.Scored(people, people.x, people.x[:, 0], people.x[:, 0], place)
    first = predicted.halves(s, 3)
    assert not set(place[first]) & set(place[~first]) and 0.3 < first.mean() < 0.7
    lone = replace(s, people=replace(people, exposed=first & (np.cumsum(first) < 200)))
    check, half, quarter, _ = predicted.beyond_groups(lone, np.empty((len(first), 0)), first, 3)
    assert check.words.startswith("Too few people in a half") and len(half.psi) == len(quarter) == 0
    same = replace(s, people=replace(people, x=np.ones_like(people.x)))
    assert predicted.beyond_groups(same, np.empty((len(first), 0)), first, 3)[0].status == "informational"


def test_a_quarter_of_few_people_is_hidden():
    found = ek.for_whom(varied(lambda x, women: 0.5 + 0.5 * x, 500), "got", "sex", smallest=30)
    hidden = found.quarters[found.quarters["reason"] != ""]
    assert len(hidden) and hidden[["people", "exposed", "estimate", "conf_low"]].isna().all().all()
    refused = ek.for_whom(varied(lambda x, women: x, 200), "got", "sex")
    assert refused.beyond.words == "Nothing was estimated." and not len(refused.quarters)


@pytest.mark.parametrize("learner", ["line", "forest"])
def test_what_giving_it_to_some_comes_to(learner):
    """Men gain nothing and women 1: giving it to women is worth as much as giving it to everybody."""
    made = people(2000, gap=1.0, seed=3)
    frame = made.to_frame()
    assert len(frame) == 2000
    found = ek.for_whom(made, "got", ["sex", "area"], learner=learner)
    worth = found.policies.set_index("policy")
    for policy, truth in (("everybody", 1.0), ("sex: women", 0.75), ("sex: men", 0.25)):
        assert worth.loc[policy, "conf_low"] < truth < worth.loc[policy, "conf_high"]
    whole = worth.loc["everybody", "estimate"]
    assert worth.loc["sex: women", "estimate"] + worth.loc["sex: men", "estimate"] == pytest.approx(whole)
    assert worth.loc["sex: women", "share"] == pytest.approx(0.5, abs=0.03)
    assert "area: tiny" not in worth.index, "a group too small to be shown is no policy"
    gain = worth.loc["those predicted to gain"]
    assert gain["conf_low"] < 1.0 < gain["conf_high"]
    assert 0.8 < gain["share"] <= 1.0


def test_a_policy_for_an_outcome_that_should_be_lower_gives_it_to_those_whom_it_lowers():
    made = people(2000, gap=-1.5, seed=4)
    lower = made.replace(outcomes=[ek.Outcome("y", better="lower")])
    gain = ek.for_whom(lower, "got", ["sex"]).policies.set_index("policy").loc["those predicted to gain"]
    assert gain["estimate"] < -0.3
    assert gain["share"] < 0.7
    with pytest.raises(OptionError, match="learner='net'"):
        ek.for_whom(made, "got", ["sex"], learner="net")
