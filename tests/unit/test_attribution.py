"""Attribution: pieces add up over the same cells, the truth in mean, and the order of components is no matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.evaluation.decomposition.attribute import Attribution
from evalkit.evaluation.decomposition.cells import claims_of
from evalkit.evaluation.decomposition.pieces import decompose
from evalkit.evaluation.programme import attribute

EFFECT = {"a": 1.0, "b": 0.5}
TOGETHER = 0.6


def rollout(seed: int, sites: int = 30, periods: int = 12, noise: float = 0.4) -> pd.DataFrame:
    """Two people a site; a and b begin at different times; together they do more than the sum. Column `none` is
    the same outcome with both off: every regime is known."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(sites), 2)
    starts = {c: rng.permutation(np.resize(times, sites)) for c, times in _STARTS.items()}
    t = np.arange(periods)
    on = {c: (t >= s[site][:, None]).astype(int) for c, s in starts.items()}
    none = 0.1 * t + rng.normal(size=(len(site), 1)) + noise * rng.normal(size=(len(site), periods))
    y = none + sum(EFFECT[c] * on[c] for c in on) + TOGETHER * on["a"] * on["b"]
    frame = {"unit": np.repeat(np.arange(len(site)), periods), "site": np.repeat(site, periods)}
    frame |= {"t": np.tile(t, len(site)), "y": y.ravel(), "none": none.ravel(), **{c: on[c].ravel() for c in on}}
    return pd.DataFrame(frame)


_STARTS = {"a": [4, 6, 8, 99, 99, 99], "b": [5, 7, 99, 99, 3, 99, 99]}


def study_of(frame: pd.DataFrame, components: tuple[str, ...] = ("a", "b"), **more: object) -> ek.Study:
    return ek.Study(frame, unit="unit", period="t", cluster="site", outcome="y", components=list(components), **more)


@pytest.fixture(scope="module")
def found() -> tuple[pd.DataFrame, Attribution]:
    frame = rollout(1)
    return frame, attribute(study_of(frame))


def test_pieces_add_up_and_share_one_covariance(found: tuple[pd.DataFrame, Attribution]) -> None:
    _, made = found
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10
    assert made.gross - made.expected_without == pytest.approx(made.total, abs=1e-9)
    assert made.estimate is not None
    lines = np.ones(len(made.estimate))
    lines[-1] = -1
    gap = made.estimate.contrast(lines, name="pieces less total")
    assert abs(gap.value[0]) < 1e-10
    assert set(made.pieces["kind"]) >= {"own", "interaction", "unexplained"}
    given = made.pieces[made.pieces["reason"] == ""]
    assert (given["conf_low"] < given["estimate"]).all() and (given["estimate"] < given["conf_high"]).all()


def test_total_and_gross_are_over_the_same_cells(found: tuple[pd.DataFrame, Attribution]) -> None:
    frame, made = found
    treated = frame[(frame["a"] + frame["b"]) > 0]
    assert made.people_periods == len(treated)
    assert made.gross == pytest.approx(treated["y"].sum())


def test_the_truth_in_mean_where_all_regimes_are_known() -> None:
    errors = []
    for seed in range(8):
        frame = rollout(seed, sites=24, periods=10)
        made = attribute(study_of(frame))
        pieces = made.pieces.set_index("piece")
        truth = (frame["y"] - frame["none"]).sum()
        assert made.people_periods == ((frame["a"] + frame["b"]) > 0).sum()
        own = {c: pieces.loc[c, "estimate"] - EFFECT[c] * pieces.loc[c, "people_periods"] for c in "ab"}
        both = made.pieces[made.pieces["kind"] == "interaction"].iloc[0]
        left = pieces.loc["Unexplained", "estimate"]
        extra = both["estimate"] - TOGETHER * both["people_periods"]
        errors.append((made.total - truth, own["a"], own["b"], extra, left))
    table = np.array(errors)
    mean, se = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))
    assert (np.abs(mean) < 3 * se).all()
    assert (se < 25).all()


def test_people_periods_that_cancel_leave_no_row_in_a_sum() -> None:
    """67.156 + 11.4 - 78.556 is 1e-14: a sum must not have the degrees of freedom of a row that has no part in it."""
    evaluation = ek.evaluate(study_of(rollout(5)))
    parts = decompose(evaluation, evaluation.study.outcome())
    first, second = list(parts.rows)[:2]
    left = 67.156 + 11.4 - 78.556
    assert left != 0
    assert np.flatnonzero(parts._weights({first: 150.0, second: left})).tolist() == [parts.rows[first]]
    assert np.flatnonzero(parts._weights({first: 150.0, second: 1e-3})).tolist() == sorted(
        [parts.rows[first], parts.rows[second]]
    )


def test_last_in_and_first_in_differ_by_what_is_done_together(found: tuple[pd.DataFrame, Attribution]) -> None:
    frame, made = found
    orders = made.orders.set_index(["component", "order"])["estimate"]
    extra = made.pieces.loc[made.pieces["kind"] == "interaction", "estimate"].iloc[0]
    both = made.pieces.loc[made.pieces["kind"] == "interaction", "people_periods"].iloc[0]
    periods = {c: ((frame[c] > 0) & (frame["a"] * frame["b"] > 0)).sum() for c in "ab"}
    assert both == periods["a"]
    for c in "ab":
        assert orders[c, "last_in"] - orders[c, "first_in"] == pytest.approx(extra, rel=0.35)
    shares = made.shapley["estimate"].sum()
    own = made.pieces.loc[made.pieces["kind"].isin(["own", "interaction"]), "estimate"].sum()
    assert shares == pytest.approx(own, abs=1e-8)
    assert "convention" in made.shapley["note"].iloc[0]


def test_own_effect_is_the_headline_times_its_people_periods() -> None:
    frame = rollout(2).assign(y=lambda f: f["none"] + f["a"])
    evaluation = ek.evaluate(study_of(frame, ("a",)))
    made = evaluation.attribution
    headline = evaluation.verdicts.iloc[0]
    own = made.pieces[made.pieces["kind"] == "own"].iloc[0]
    for column in ("estimate", "conf_low", "conf_high"):
        assert own[column] == pytest.approx(headline[column] * own["people_periods"], rel=1e-9)
    assert made.interactions.empty
    orders = made.orders.set_index("order")["estimate"]
    assert orders["first_in"] == pytest.approx(orders["last_in"])


def test_the_order_of_components_does_not_change_the_pieces(found: tuple[pd.DataFrame, Attribution]) -> None:
    frame, made = found
    other = attribute(study_of(frame, ("b", "a")))
    assert other.total == pytest.approx(made.total, abs=1e-9)
    columns = ["estimate", "conf_low", "conf_high", "people_periods"]
    for c in "ab":
        one, two = (m.pieces[m.pieces["piece"] == c][columns].iloc[0] for m in (made, other))
        np.testing.assert_allclose(one.to_numpy(float), two.to_numpy(float), atol=1e-8)
    for kind in ("interaction", "beyond", "unexplained"):
        one, two = (m.pieces.loc[m.pieces["kind"] == kind, "estimate"].to_numpy() for m in (made, other))
        np.testing.assert_allclose(one, two, atol=1e-8)


def bundle(seed: int) -> pd.DataFrame:
    """b goes wherever a goes; c on its own; k everywhere; half the people of a place can be reached by c."""
    frame = rollout(seed, sites=36)
    frame["c"] = frame["b"]
    frame["b"] = frame["a"]
    return frame.assign(k=1, y=frame["none"] + 1.4 * frame["a"] + 0.5 * frame["c"])


def test_a_bundle_is_one_piece_and_what_is_always_on_lies_outside() -> None:
    made = attribute(study_of(bundle(3), ("a", "b", "c", "k")))
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10
    together = made.pieces[made.pieces["kind"] == "bundle"].iloc[0]
    assert together["components"] == ("a", "b")
    assert together["conf_low"] < 1.4 * together["people_periods"] < together["conf_high"]
    outside = made.pieces[made.pieces["kind"] == "not_given"].iloc[0]
    assert outside["piece"] == "k" and np.isnan(outside["estimate"]) and "outside the total" in outside["reason"]
    assert any("Outside the total: k" in n for n in made.notes)
    assert set(map(tuple, made.shapley["components"])) == {("a", "b"), ("c",)}


def test_interactions_are_tested_or_said_to_be_untestable_pair_by_pair() -> None:
    table = attribute(study_of(bundle(3), ("a", "b", "c"))).interactions
    assert len(table) == 3
    by_pair = {frozenset((r.a, r.b)): r for r in table.itertuples()}
    assert by_pair[frozenset("ac")].testable
    never = by_pair[frozenset("ab")]
    assert not never.testable and np.isnan(never.estimate) and "Not testable" in never.words


def test_what_starts_everywhere_at_once_leaves_no_total() -> None:
    frame = rollout(4).assign(a=lambda f: (f["t"] >= 5).astype(int), b=lambda f: (f["t"] >= 5).astype(int))
    made = attribute(study_of(frame))
    assert np.isnan(made.total) and made.reason
    assert made.pieces["estimate"].isna().all() and (made.pieces["reason"] != "").all()


def test_only_a_study_or_an_evaluation_can_be_attributed() -> None:
    with pytest.raises(ek.EvalkitError, match="needs a Study or an Evaluation"):
        attribute("study")  # type: ignore[arg-type]


def test_a_component_for_some_people_claims_those_people_only() -> None:
    frame = rollout(6, sites=40, noise=0.2)
    frame["eligible"] = frame["unit"] % 2
    frame["c"] = frame["a"] * frame["eligible"]
    frame["y"] = frame["none"] + frame["a"] + 2.0 * frame["c"]
    parts = [ek.Component("a", exposure="a"), ek.Component("c", exposure="c", reach="eligible")]
    evaluation = ek.evaluate(ek.Study(frame, unit="unit", period="t", cluster="site", outcome="y", components=parts))
    assert "TripleDifference" in evaluation.verdicts["design"].to_list()
    made = evaluation.attribution
    own = made.pieces.set_index("piece").loc["c"]
    assert own["people_periods"] == pytest.approx((frame["c"] > 0).sum())
    assert own["estimate"] == pytest.approx(2.0 * own["people_periods"], rel=0.15)
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10


def test_gaps_in_the_panel_change_no_identity() -> None:
    frame = rollout(7)
    kept = frame[np.random.default_rng(1).random(len(frame)) > 0.15]
    made = attribute(study_of(kept))
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10
    assert 0.9 < made.people_periods / ((kept["a"] + kept["b"]) > 0).sum() <= 1
    pieces = made.pieces.set_index("kind")
    assert pieces.loc["unexplained", "people_periods"] + pieces.loc["beyond", "people_periods"] == pytest.approx(
        made.people_periods
    )


def test_levels_that_nest_are_joined_at_the_coarser_one() -> None:
    frame = rollout(8, sites=48)
    frame["region"] = frame["site"] // 2
    region_start = frame.loc[frame["b"] == 1].groupby("region")["t"].min()
    frame["b"] = (frame["t"] >= frame["region"].map(region_start).fillna(99)).astype(int)
    frame["y"] = frame["none"] + frame["a"] + 0.5 * frame["b"]
    parts = [ek.Component("a", exposure="a"), ek.Component("b", exposure="b", assigned_at="region")]
    made = attribute(ek.Study(frame, unit="unit", period="t", cluster="site", outcome="y", components=parts))
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10
    own = made.pieces[made.pieces["kind"] == "own"]
    assert np.isfinite(own[["conf_low", "conf_high"]].to_numpy(float)).all()
    assert np.isfinite([made.total_low, made.total_high]).all()


def test_a_swap_is_what_cannot_be_told_apart() -> None:
    frame = rollout(9)
    frame["old"] = ((frame["t"] >= 2) & (frame["a"] == 0) & (frame["site"] % 6 < 3)).astype(int)
    frame["new"] = frame["a"] * (frame["site"] % 6 < 3)
    made = attribute(study_of(frame.drop(columns=["a"]), ("old", "new")))
    undivided = made.pieces[made.pieces["kind"] == "undivided"]
    assert ["new" in c for c in undivided["components"]] == [True]
    own = made.pieces.loc[made.pieces["kind"] == "own", "components"]
    assert all("new" not in c for c in own)
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10


def test_a_headline_without_contributions_is_refused_by_name() -> None:
    evaluation = ek.evaluate(study_of(rollout(2)))
    reason = "this design gives a range without contributions, so it is not averaged"
    first, *rest = evaluation.findings
    assert first.headline is not None
    bare = replace(first, headline=replace(first.headline, rows=None, one=None, reason=reason))
    made = attribute(replace(evaluation, findings=(bare, *rest)))
    row = made.pieces.set_index("piece").loc[first.component]
    assert row["kind"] == "not_given" and row["reason"] == reason and np.isnan(row["estimate"])
    assert abs(made.pieces["estimate"].sum() - made.total) < 1e-10


def three_way(noise: float) -> pd.DataFrame:
    """a is on exactly when b or c is: b in the first ten sites, c in the next ten, neither in the last ten."""
    frame = rollout(5, noise=noise)
    start = np.where(frame["site"] < 20, 4 + frame["site"] % 2, 99)
    on = (frame["t"] >= start).astype(int)
    frame = frame.assign(a=on, b=on * (frame["site"] < 10), c=on * (frame["site"] >= 10))
    return frame.assign(y=frame["none"] + frame["a"] + 0.5 * frame["b"] - 0.3 * frame["c"])


def test_sums_that_share_a_member_are_pieces_of_their_own_cells() -> None:
    frame = three_way(noise=0.0)
    made = attribute(study_of(frame, ("a", "b", "c")))
    pieces = made.pieces[made.pieces["kind"] == "bundle"].set_index("piece")
    for other, effect in (("b", 1.5), ("c", 0.7)):
        piece, cells = pieces.loc[f"a with {other}, together"], int(frame[other].sum())
        assert piece["components"] == ("a", other) and piece["people_periods"] == cells
        assert piece["estimate"] == pytest.approx(effect * cells, abs=1e-8)
    assert made.total == pytest.approx((frame["y"] - frame["none"]).sum(), abs=1e-8)
    left = made.pieces[made.pieces["kind"].isin(["unexplained", "beyond", "undivided"])]
    np.testing.assert_allclose(left["estimate"], 0.0, atol=1e-8)
    noisy = attribute(study_of(three_way(noise=0.4), ("a", "b", "c")))
    assert abs(noisy.pieces["estimate"].sum() - noisy.total) < 1e-10
    assert np.isfinite(noisy.pieces.loc[noisy.pieces["kind"] == "bundle", "conf_low"].to_numpy(float)).all()


def test_no_member_is_claimed_twice_in_a_cell() -> None:
    """The same sum given twice is one claim: what came first keeps its cells."""
    frame = three_way(noise=0.3)
    evaluation = ek.evaluate(study_of(frame, ("a", "b", "c")))
    run = next(b for b in evaluation.bundle_runs if b.members == ("a", "b"))
    doubled = replace(evaluation, bundle_runs=(*evaluation.bundle_runs, run))
    counts = [len(claims_of(e, e.study.outcome())) for e in (evaluation, doubled)]
    assert counts == [2, 2]


def crossed(seed: int) -> pd.DataFrame:
    """Two halves of 36 people in sites and in areas that cross them: a begins by site in one half, b by area in the
    other, so that nobody has both."""
    rng, periods = np.random.default_rng(seed), 12
    unit, t = np.arange(72), np.arange(periods)
    half = unit // 36
    site, area = 12 * half + unit % 36 // 3, 9 * half + unit % 9
    begin = {"a": [4, 6, 8, 99] * 3 + [99] * 12, "b": [99] * 9 + [5, 6, 7, 99, 99, 5, 6, 7, 99]}
    on = {c: (t >= np.array(begin[c])[at][:, None]).astype(int) for c, at in (("a", site), ("b", area))}
    y = rng.normal(size=(72, 1)) + 0.3 * rng.normal(size=(72, periods)) + on["a"] + 0.5 * on["b"]
    frame = {"unit": np.repeat(unit, periods), "site": np.repeat(site, periods), "area": np.repeat(area, periods)}
    return pd.DataFrame(frame | {"t": np.tile(t, 72), "y": y.ravel(), **{c: on[c].ravel() for c in on}})


def test_a_piece_that_is_one_headline_has_its_interval_also_across_levels() -> None:
    homes = {"a": "site", "b": "area"}
    parts = [ek.Component(c, exposure=c, assigned_at=home, unit_cost=10) for c, home in homes.items()]
    evaluation = ek.evaluate(ek.Study(crossed(4), unit="unit", period="t", outcome="y", components=parts))
    made, verdicts = ek.attribute(evaluation), evaluation.verdicts.set_index("component")
    assert verdicts["clusters_exposed"].to_dict() == {"a": 9, "b": 6}
    for piece in made.pieces[made.pieces["kind"] == "own"].to_dict("records"):
        for column in ("estimate", "conf_low", "conf_high"):
            each = piece[column] / piece["people_periods"]
            assert each == pytest.approx(verdicts.loc[piece["piece"], column], abs=1e-9), (piece["piece"], column)
    assert {*made.pieces["piece"]} >= {"a", "b"}
    total = ek.value_for_money(evaluation).table.set_index("name").loc["programme"]
    assert made.total_low == pytest.approx(total["additional_low"], abs=1e-6)
    assert made.total_high == pytest.approx(total["additional_high"], abs=1e-6)
