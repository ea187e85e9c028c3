"""Returns by hand and beside simulation; acts: the first rule that applies, in every corner and over random cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evalkit.decision.acts import act_at_price, act_without_price, decide, together
from evalkit.decision.case import Case
from evalkit.decision.posterior import posterior, widened
from evalkit.decision.prior import Prior, prior_of
from evalkit.decision.worth import (
    Stake,
    break_even_worth,
    next_variance,
    return_at,
    rollout_value,
    threshold,
)
from evalkit.vocabulary import ACTS

DOUBT = prior_of("sceptical")
STAKE = Stake(people_periods=1000.0, cost=40_000.0, whole=90_000.0, worth=(900.0, 900.0))


def case(estimate: float, std_error: float, df: float = 10.0, matters: float | None = 0.05, **more: object) -> Case:
    """One component with a 95% range."""
    reach = stats.t.ppf(0.975, df) * std_error
    plain = Case("a", "A", "y", "“Y”", ("a",), "share", "percentage points", 1.0, estimate, estimate - reach,
                 estimate + reach, std_error, df, matters, stake=STAKE)  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- returns


def test_a_return_by_hand() -> None:
    believed = posterior(1.2, 0.5, np.inf, at=[0.8])
    mean, sd = 0.96, np.sqrt(0.2)
    found = return_at(1000.0, Stake(1000.0, 40_000.0, 90_000.0), 0.05, believed, 0.3, left=True)
    scale = 1000 * 0.05 * 1000
    z = (mean - 0.8) / sd
    gain = sd * (stats.norm.pdf(z) + z * stats.norm.cdf(z))
    assert found.break_even == pytest.approx(0.8)
    assert found.net_benefit == pytest.approx(scale * mean - 40_000, rel=5e-3)
    assert found.net_benefit_low == pytest.approx(scale * stats.norm.ppf(0.1, mean, sd) - 40_000, rel=0.01)
    assert found.net_benefit_high == pytest.approx(scale * stats.norm.ppf(0.9, mean, sd) - 40_000, rel=0.01)
    assert found.chance_pays == pytest.approx(stats.norm.cdf(z), abs=2e-3)
    assert found.loss_stop == pytest.approx(scale * gain, rel=0.01)
    assert found.loss_keep == pytest.approx(scale * (gain - (mean - 0.8)), rel=0.01)
    assert found.cost_of_testing == pytest.approx((0.02 + 0.1 * 0.8) * scale)
    spread = 0.2 / np.sqrt(0.2 + 0.3)
    u = (mean - 0.8) / spread
    told = spread * (stats.norm.pdf(u) + u * stats.norm.cdf(u)) - (mean - 0.8)
    assert found.next_rollout == pytest.approx(3 * 2 * scale * told, rel=0.02)
    nowhere = return_at(1000.0, Stake(1000.0, 40_000.0), 0.05, believed, 0.3, left=False)
    assert nowhere.next_rollout == pytest.approx(found.next_rollout / 2)


def test_knowing_all_is_worth_more_than_one_more_rollout_and_both_more_than_nothing() -> None:
    rng = np.random.default_rng(3)
    for estimate, std_error, df, effect in rng.uniform([-2, 0.1, 2, 0.05], [2, 2, 30, 1.5], (300, 4)):
        believed = posterior(estimate, widened(std_error), df, at=[effect])
        told = rollout_value(believed.mean, believed.sd, next_variance(std_error, df), effect)[0]
        assert told + 1e-12 >= 0
        known = min(believed.gain(effect)[0], believed.loss(effect)[0])
        assert told <= known * 1.15 + 1e-3


@pytest.mark.parametrize(
    ("estimate", "std_error", "df", "effect"), [(0.5, 0.8, 8.0, 0.4), (0.2, 0.4, 10.0, 0.3), (1.2, 1.0, 5.0, 0.8)]
)
def test_the_value_of_a_rollout_is_that_of_simulated_ones(
    estimate: float, std_error: float, df: float, effect: float
) -> None:
    rng = np.random.default_rng(1)
    believed = posterior(estimate, std_error, df)
    grid, density = believed.grid[0], believed.density[0]
    below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    answer = np.interp(rng.random(4000), below / below[-1], grid) + std_error * rng.standard_t(df, 4000)
    like = stats.t.pdf((answer[:, None] - grid) / std_error, df) * density
    after = np.trapezoid(like * grid, grid, axis=1) / np.trapezoid(like, grid, axis=1)
    simulated = np.maximum(after - effect, 0).mean() - max(believed.mean[0] - effect, 0)
    variance = std_error**2 * df / (df - 2)
    formula = rollout_value(believed.mean, believed.sd, variance, effect)[0]
    assert 0.80 * simulated <= formula <= 1.05 * simulated


def test_thresholds_are_solved() -> None:
    made, stake = case(0.06, 0.02), replace(STAKE, worth=None)
    believed = posterior(1.2, widened(0.4), 10.0)
    for chance in (0.7, 0.5, 0.3):
        worth = threshold(stake, 0.05, believed, chance)
        assert believed.above(stake.cost / (1000 * 0.05 * worth))[0] == pytest.approx(chance, abs=0.01)
    assert threshold(stake, 0.05, posterior(-3.0, 0.3, 20.0), 0.7) == np.inf
    even = break_even_worth(stake, 0.05, believed)
    assert return_at(even, stake, 0.05, believed, 1.0, left=True).net_benefit == pytest.approx(0.0, abs=1e-6)
    assert break_even_worth(stake, 0.05, posterior(-1.0, 0.3, 9.0)) == np.inf
    found = decide(replace(made, stake=stake), DOUBT)
    assert 0 < found.stop_below < found.break_even_worth < found.extend_from


# ---------------------------------------------------------------- acts


def test_rules_three_to_six_partition_and_keep_their_order() -> None:
    rng = np.random.default_rng(5)
    pays, moved, below, test = rng.random(20_000), *(rng.random((3, 20_000)) < 0.5)
    acts = act_at_price(pays, moved, below, test)
    extend, stop = moved & (pays >= 0.7), moved & below & (pays <= 0.3)
    assert ((acts == "keep_and_extend") == extend).all()
    assert ((acts == "stop") == stop).all()
    assert ((acts == "hold_and_test") == (~extend & ~stop & test)).all()
    assert ((acts == "pool") == (~extend & ~stop & ~test)).all()
    other = act_without_price(pays, moved, below)
    assert ((other == "keep_and_extend") == (moved & (pays >= 0.5))).all()
    assert ((other == "stop") == (moved & below & (pays <= 0.15))).all()


def test_no_evidence_comes_before_everything() -> None:
    bare = replace(case(0.1, 0.02), conf_low=np.nan, reason="everybody had it")
    assert (decide(bare, DOUBT).act, decide(bare, DOUBT).lean) == ("no_evidence", "")
    tied = decide(replace(bare, withheld="it cannot be told apart"), DOUBT)
    assert (tied.act, tied.hangs) == ("hold_and_test", "withheld")


def test_what_is_withheld_keeps_its_lean_and_has_no_chance() -> None:
    found = decide(case(0.06, 0.02, withheld="the two groups were already moving apart"), DOUBT)
    assert (found.act, found.lean, found.hangs) == ("hold_and_test", "harm_ruled_out", "withheld")
    assert np.isnan([found.chance_better, found.chance_matters, found.chance_harm, found.break_even_worth]).all()
    assert found.case.drift == pytest.approx(found.case.conf_low + 0.05)


def test_chances_allow_for_what_a_failed_check_says_may_move_the_answer() -> None:
    bare = case(0.06, 0.02)
    ends = {"allowed_low": bare.conf_low - 0.08, "allowed_high": bare.conf_high + 0.02}
    found = decide(replace(bare, allowed=("more dropped out",), **ends), DOUBT)
    by_hand = decide(case(0.06 - 0.03, float(np.hypot(0.02, 0.1 / np.sqrt(12)))), DOUBT)
    assert (found.chance_better, found.chance_matters) == pytest.approx((by_hand.chance_better, by_hand.chance_matters))
    assert found.chance_better < decide(bare, DOUBT).chance_better - 0.05
    assert found.lean == decide(bare, DOUBT).lean  # of the likely range, which does not allow for it
    assert decide(replace(bare, **ends), DOUBT).chance_better == decide(bare, DOUBT).chance_better


def test_nothing_is_decided_before_somebody_says_what_matters() -> None:
    found = decide(case(0.06, 0.02, matters=None), DOUBT)
    assert (found.act, found.hangs, found.lean) == ("hold_and_test", "unstated", "harm_ruled_out")
    assert np.isnan(found.chance_better)


def test_the_six_acts_by_hand() -> None:
    sure = case(0.12, 0.01, 30.0)
    assert decide(sure, DOUBT).act == "keep_and_extend"
    assert decide(replace(sure, left=False), DOUBT).act == "keep"
    assert decide(case(-0.06, 0.01, 30.0), DOUBT).act == "stop"
    assert decide(case(0.05, 0.03), DOUBT).act == "hold_and_test"
    dear = replace(STAKE, cost=400_000.0)
    assert decide(case(0.0, 0.3, stake=dear), DOUBT).act == "pool"


def test_an_act_that_hangs_on_the_worth_is_held() -> None:
    wide = decide(case(0.06, 0.01, 30.0, stake=replace(STAKE, worth=(200.0, 3000.0))), DOUBT)
    assert {len(wide.returns), wide.act, wide.hangs} == {2, "hold_and_test", "worth"}
    assert wide.returns[0].chance_pays < 0.3 < 0.7 < wide.returns[1].chance_pays


def test_amounts_that_do_not_go_together_are_never_compared() -> None:
    found = decide(case(0.12, 0.01, 30.0, stake=replace(STAKE, conflict="other prices")), DOUBT)
    assert (found.act, found.hangs, found.returns) == ("hold_and_test", "conflict", ())
    assert found.chance_better > 0.9


def test_where_worth_or_cost_is_unknown() -> None:
    unknown = replace(STAKE, worth=None)
    assert decide(case(0.12, 0.01, 30.0, stake=unknown), DOUBT).act == "keep_and_extend"
    assert decide(case(0.0, 0.01, 30.0, stake=unknown), DOUBT).act == "stop"
    assert decide(case(0.04, 0.03, stake=unknown), DOUBT).act == "hold_and_test"
    free = Stake(unpriced="its cost is not given")
    assert decide(case(0.0, 0.01, 30.0, stake=free), DOUBT).act == "keep"
    assert decide(case(-0.12, 0.01, 30.0, stake=free), DOUBT).act == "stop"


def test_a_huge_range_does_not_say_stop_by_the_prior_alone() -> None:
    found = decide(case(0.05, 1.5, 2.0, stake=replace(STAKE, cost=80_000.0)), DOUBT)
    assert not found.moved and found.returns[0].chance_pays <= 0.3
    assert found.act in ("pool", "hold_and_test")


def test_every_case_has_one_of_six_acts_and_chances_in_order() -> None:
    rng = np.random.default_rng(9)
    for estimate, std_error, df, worth in rng.uniform([-0.2, 0.002, 1, 50], [0.2, 0.3, 40, 5000], (300, 4)):
        found = decide(case(estimate, std_error, df, stake=replace(STAKE, worth=(worth, 1.4 * worth))), DOUBT)
        assert found.act in ACTS and found.act != "no_evidence"
        assert 0 <= found.chance_matters <= found.chance_better <= 1 - found.chance_harm <= 1
        for r in found.returns:
            assert r.net_benefit_low < r.net_benefit_high
            assert r.loss_stop - r.loss_keep == pytest.approx(r.net_benefit, abs=1e-3 * STAKE.cost)


def test_benefit_and_harm_are_mirror_images() -> None:
    for estimate, std_error, df in ((0.03, 0.02, 6.0), (0.08, 0.1, 3.0)):
        one, other = decide(case(estimate, std_error, df), DOUBT), decide(case(-estimate, std_error, df), DOUBT)
        assert one.chance_better == pytest.approx(1 - other.chance_better, abs=1e-6)
        assert one.chance_matters == pytest.approx(other.chance_harm, abs=1e-6)


# ---------------------------------------------------------------- priors, outcomes


def test_doubt_about_a_sum_is_wider() -> None:
    alone, four = case(0.08, 0.05), case(0.08, 0.05, members=("a", "b", "c", "d"))
    assert DOUBT.on(four, 0.05) == (0.0, 2.0)
    assert decide(four, DOUBT).chance_better > decide(alone, DOUBT).chance_better


def test_a_flat_prior_is_the_likelihood_widened() -> None:
    found = decide(case(0.02, 0.03), prior_of("flat"))
    assert found.chance_better == pytest.approx(stats.t.cdf(0.4 / np.hypot(0.6, 0.25), 10), abs=1e-3)
    assert found.moved


def test_a_pool_speaks_of_its_own_components_outcome_and_unit() -> None:
    pool = Prior("twelve places", "y", "percentage points", {"a": (0.04, 0.02)})
    found = decide(case(0.0, 0.05), pool)
    assert found.chance_better > decide(case(0.0, 0.05), DOUBT).chance_better
    lower = decide(case(0.0, 0.05, good=-1.0), pool)
    assert lower.chance_better == pytest.approx(1 - found.chance_better, abs=1e-6)
    for other, words in (
        (replace(pool, outcome="visits"), "another outcome"), (replace(pool, unit="points"), "another unit"),
        (replace(pool, components={"b": (0.0, 1.0)}), "nothing about it"),
    ):  # fmt: skip
        held = decide(case(0.0, 0.05), other)
        assert held.act == "hold_and_test" and words in held.case.withheld and np.isnan(held.chance_better)


def test_outcomes_that_disagree_are_not_netted_out() -> None:
    good = decide(case(0.07, 0.02), DOUBT)
    bad = decide(replace(case(-0.06, 0.02), outcome="z", outcome_label="“Z”"), DOUBT)
    both = together([good, bad])
    assert (both.act, both.hangs, both.better, both.worse) == ("hold_and_test", "outcomes", "“Y”", "“Z”")
    unclear = decide(case(0.01, 0.05), DOUBT)
    assert together([good, unclear]) == good
    assert together([bad, good]).act == "hold_and_test"


def test_a_planned_rollout_replaces_the_rule_of_as_much_again():
    """What it would tell and what it costs decide whether a test is worth it."""
    stake = Stake(people_periods=1000.0, cost=100_000.0, worth=(4_000.0, 4_000.0))
    case = Case(
        "nurse", "Nurse", "y", "Y", ("nurse",), "share", "points", estimate=0.04, conf_low=-0.04, conf_high=0.12,
        std_error=0.04, df=20.0, matters=0.05, stake=stake,
    )  # fmt: skip
    plain = decide(case, DOUBT)
    tested = [decide(replace(case, again=a, stake=replace(stake, testing=500.0)), DOUBT) for a in (0.01, 0.2, 1e3)]
    told = [d.returns[0].next_rollout for d in tested]
    assert told[0] > told[1] > told[2] == pytest.approx(0.0, abs=1e-9) and told[0] > plain.returns[0].next_rollout
    assert [d.returns[0].cost_of_testing for d in tested] == [500.0] * 3
    assert tested[0].act == "hold_and_test" and tested[2].act == "pool"
