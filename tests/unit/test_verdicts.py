"""The six rules, one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evalkit.errors import OptionError
from evalkit.inference.intervals import holm
from evalkit.verdicts.evidence import BundleEvidence, CheckOutcome, Evidence
from evalkit.verdicts.rules import MAIN_CHECKS, decide, smallest_detectable, weaknesses
from tests.unit.evidence_cases import LAW, NURSE, TOGETHER, failed, flipped

EDGE = replace(NURSE, estimate=0.0, conf_low=-0.03, conf_high=0.04, p_adjusted=0.8)


def said(evidence: Evidence) -> tuple[str, str]:
    verdict = decide(evidence)
    return verdict.verdict, verdict.direction


def test_status_comes_before_any_number() -> None:
    assert said(replace(NURSE, status="not_tested")) == ("not_tested", "")
    assert said(replace(NURSE, observed=False, status="bundle_only")) == ("not_tested", "")
    for status in ("bundle_only", "swap_only"):
        verdict = decide(replace(NURSE, status=status, bundle=TOGETHER))
        assert verdict.verdict == "cannot_tell_apart" and verdict.rule == 2
        printed = (verdict.estimate, verdict.conf_low, verdict.conf_high, verdict.smallest_detectable)
        assert all(math.isnan(v) for v in printed)
    assert math.isnan(decide(replace(NURSE, status="not_tested")).smallest_detectable)


def test_no_interval_is_cannot_tell_with_its_reason() -> None:
    for change in ({"conf_low": math.nan}, {"conf_high": math.inf}, {"estimate": math.nan}):
        verdict = decide(replace(NURSE, reason="without Salford nothing is left", **change))
        assert (verdict.verdict, verdict.rule) == ("cannot_tell", 3)
        assert verdict.reasons == ("without Salford nothing is left",)
        assert math.isnan(verdict.conf_low) and math.isnan(verdict.conf_high)
    assert decide(replace(NURSE, status="too_few_clusters")).rule == 3


def test_shown_then_likely_then_cannot_tell_as_weaknesses_mount() -> None:
    assert said(NURSE) == ("shown", "better")
    assert said(replace(NURSE, p_adjusted=0.05)) == ("likely", "better")
    assert said(replace(NURSE, p_adjusted=0.049)) == ("shown", "better")
    assert said(replace(NURSE, p_adjusted=0.05, rests_on_matching=True)) == ("cannot_tell", "better")
    assert said(flipped(NURSE)) == ("shown", "worse")
    assert said(LAW) == ("shown", "better")
    assert said(flipped(LAW)) == ("shown", "worse")


@pytest.mark.parametrize("check", MAIN_CHECKS)
def test_each_main_check_is_one_weakness_once(check: str) -> None:
    once = replace(NURSE, checks=failed(check))
    twice = replace(NURSE, checks=failed(check, check))
    ends = ("pre_trend", "stayers", "spillover", "shared_shocks", "dominant_place")
    expected = "cannot_tell" if check in ends else "likely"
    assert said(once) == said(twice) == (expected, "better")
    informational = replace(
        NURSE, checks=(CheckOutcome(check, "informational"), CheckOutcome("few_clusters", "failed"))
    )
    assert said(informational) == ("likely" if check == "spillover" else "shown", "better")


def test_few_clusters_are_a_weakness_unless_randomisation_carries_them_and_never_shown() -> None:
    assert said(replace(NURSE, clusters_comparison=2)) == ("likely", "better")
    assert said(replace(NURSE, clusters_exposed=2, randomisation_p=0.05)) == ("likely", "better")
    assert said(replace(NURSE, clusters_exposed=2, randomisation_p=0.049)) == ("likely", "better")
    twice = replace(NURSE, clusters_exposed=2, p_adjusted=0.5)
    assert said(replace(twice, randomisation_p=0.05))[0] == "cannot_tell"
    assert said(replace(twice, randomisation_p=0.049)) == ("likely", "better")


def test_by_people_needs_its_check_passed_or_not_needed() -> None:
    for check, verdict in (
        ("passed", "shown"),
        ("not_needed", "shown"),
        ("failed", "likely"),
        ("untestable", "likely"),
    ):
        assert said(replace(NURSE, by_people=True, by_people_check=check))[0] == verdict
    assert said(replace(NURSE, by_people=False, by_people_check="untestable"))[0] == "shown"


def test_fewer_than_fifty_people_are_never_shown() -> None:
    assert said(replace(NURSE, people_exposed=50)) == ("shown", "better")
    assert said(replace(NURSE, people_exposed=49)) == ("likely", "better")
    assert said(replace(NURSE, people_exposed=49, p_adjusted=0.5)) == ("likely", "better")


def test_crossed_levels_are_never_above_likely() -> None:
    assert said(replace(NURSE, crossed_levels=True)) == ("likely", "better")
    assert said(replace(NURSE, crossed_levels=True, p_adjusted=0.5)) == ("likely", "better")
    assert said(replace(NURSE, crossed_levels=True, p_adjusted=0.5, rests_on_additivity=True))[0] == "cannot_tell"


def test_no_sign_needs_the_good_end_below_what_matters() -> None:
    assert said(EDGE) == ("no_sign", "")
    assert said(replace(EDGE, conf_high=0.05))[0] == "cannot_tell"
    assert said(replace(EDGE, matters=None))[0] == "cannot_tell"
    assert said(replace(EDGE, matters=math.nan))[0] == "cannot_tell"
    assert said(replace(EDGE, checks=failed("stayers")))[0] == "cannot_tell"
    assert said(replace(EDGE, rests_on_additivity=True))[0] == "cannot_tell"
    lower = replace(EDGE, better="lower")
    assert said(lower) == ("no_sign", "")
    assert said(replace(lower, conf_low=-0.05))[0] == "cannot_tell"
    assert said(replace(lower, conf_high=0.3)) == ("no_sign", "")


def test_an_interval_that_touches_zero_does_not_exclude_it() -> None:
    assert said(replace(NURSE, conf_low=0.0))[0] == "cannot_tell"
    assert said(replace(NURSE, conf_low=0.0, conf_high=0.04))[0] == "no_sign"


def test_reasons_name_weaknesses_in_words() -> None:
    verdict = decide(replace(NURSE, clusters_exposed=2, checks=failed("rungs"), p_adjusted=0.3))
    assert verdict.reasons[0] == "other fair ways of making the comparison give a different answer"
    assert "it rests on too few boroughs" in verdict.reasons and len(verdict.reasons) == 3
    assert [w.name for w in weaknesses(replace(NURSE, p_adjusted=math.nan))] == ["p_missing"]
    assert "smaller than what matters" in decide(replace(NURSE, matters=0.5)).reasons[-1]


def test_smallest_detectable() -> None:
    assert smallest_detectable(2.0, math.inf) == pytest.approx(2 * (1.959964 + 0.841621), abs=1e-5)
    expected = 0.03 * (stats.t.ppf(0.975, 7.5) + stats.t.ppf(0.80, 7.5))
    assert smallest_detectable(0.03, 7.5) == pytest.approx(expected, rel=1e-10)
    assert math.isnan(smallest_detectable(math.nan, 5)) and math.isnan(smallest_detectable(1.0, math.nan))


def test_misspelt_choices_are_refused() -> None:
    for change in ({"status": "seperable"}, {"better": "up"}, {"kind": "ratio"}, {"by_people_check": "maybe"}):
        with pytest.raises(OptionError, match="is not a choice"):
            replace(NURSE, **change)
    with pytest.raises(OptionError):
        CheckOutcome("rungs", "maybe")
    with pytest.raises(OptionError):
        BundleEvidence(("a",), ("A",), kind="pair")


def test_holm_by_hand_leaves_nan_out() -> None:
    """In order .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, and .04, which may not fall below .06."""
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02], rtol=1e-12)
    np.testing.assert_allclose(holm([np.nan, *p, np.nan]), [np.nan, 0.03, 0.06, 0.06, 0.02, np.nan], rtol=1e-12)
    np.testing.assert_array_equal(holm([0.6, 0.7]), [1.0, 1.0])
    assert np.isnan(holm([np.nan])).all() and holm([]).shape == (0,)


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    p[[3, 7]] = p[5]
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_holm_counts_a_family_fixed_beforehand() -> None:
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(holm(p, [True, True, True]), [0.03, np.nan, 0.08])
    np.testing.assert_allclose(holm(p, [True, True, False]), [0.02, np.nan, np.nan])
    with pytest.raises(OptionError, match="0 to 1"):
        holm([1.2])
    with pytest.raises(OptionError, match="one boolean"):
        holm([0.1, 0.2], [True])


@pytest.mark.parametrize(("design", "verdict"), [
    ("InterruptedTimeSeries", "cannot_tell"), ("InterruptedTimeSeries(control)", "cannot_tell"),
    ("SyntheticDifferenceInDifferences", "no_sign"), ("DifferenceBesidePlaces", "no_sign"),
])  # fmt: skip
def test_no_sign_is_not_said_of_a_place_beside_its_own_past(design: str, verdict: str) -> None:
    alone = replace(NURSE, estimate=0.0, conf_low=-0.03, conf_high=0.03, p_adjusted=0.9, status="one_place",
                    rests_on_one_place=True, design=design, clusters_exposed=1)  # fmt: skip
    assert decide(alone).verdict == verdict


def test_one_place_is_likely_at_most_and_a_failed_main_check_ends_it() -> None:
    alone = replace(NURSE, status="one_place", rests_on_one_place=True, clusters_exposed=1, clusters_comparison=0)
    assert decide(NURSE).verdict == "shown" and decide(alone).verdict == "likely"
    for check in ("placebo_date", "bent_trend", "fit"):
        failed = replace(alone, checks=(CheckOutcome(check, "failed"),))
        assert decide(failed).verdict == "cannot_tell"
