"""One piece of evidence for each verdict and variant, for the tests that read every sentence."""

from __future__ import annotations

import math
from dataclasses import replace

from evalkit.verdicts.evidence import BesideDrift, BundleEvidence, CheckOutcome, Evidence
from evalkit.verdicts.rules import MAIN_CHECKS
from evalkit.vocabulary import CheckStatus

NURSE = Evidence(
    component="nurse",
    label="Dual-diagnosis nurse",
    outcome="settled",
    outcome_label="In a settled home",
    status="separable",
    kind="share",
    better="higher",
    matters=0.05,
    estimate=0.091,
    conf_low=0.021,
    conf_high=0.161,
    std_error=0.033,
    df=12.0,
    p_adjusted=0.02,
    clusters_exposed=8,
    clusters_comparison=14,
    clean_until=13,
    unit="person",
    period="month",
    place="borough",
    population="people with both needs",
)
CALM = replace(NURSE, estimate=0.005, conf_low=-0.02, conf_high=0.03, p_adjusted=0.9)
ENDING = ("spillover", "dominant_place", "shared_shocks")
LAW = replace(
    NURSE,
    component="bac08",
    label="0.08 blood alcohol limit",
    outcome="lfat",
    outcome_label="Fatalities per 100,000 people",
    kind="log",
    better="lower",
    matters=0.02,
    estimate=-0.06,
    conf_low=-0.105,
    conf_high=-0.021,
    std_error=0.02,
    clean_until=3,
    unit="state",
    period="year",
    place="state",
    population="",
)
VISITS = replace(
    NURSE,
    outcome_label="A&E visits",
    kind="count",
    better="lower",
    matters=0.1,
    estimate=-0.31,
    conf_low=-0.5,
    conf_high=-0.12,
    std_error=0.09,
    lag=1,
)
HBA1C = replace(
    VISITS, outcome_label="HbA1c", kind="score", matters=0.05, estimate=-0.1, conf_low=-0.17, conf_high=-0.03,
    std_error=0.035, lag=0, clean_until=None, population="patients",
)  # fmt: skip
COST = replace(
    VISITS, outcome_label="Hospital cost", kind="money", matters=50.0, estimate=-123.0, conf_low=-230.0,
    conf_high=-16.0, std_error=50.0,
)  # fmt: skip
KINDS = {"share": NURSE, "log": LAW, "count": VISITS, "score": HBA1C, "money": COST}
TOGETHER = BundleEvidence(
    ("policy", "newsletter"), ("Allocation policy", "Landlords' newsletter"), "together", 0.1, 0.06, 0.14, 0.018,
    clusters_exposed=10, clusters_comparison=14, clean_until=3,
)  # fmt: skip
SWAP = BundleEvidence(
    ("groups", "education"), ("Carer-led groups", "Carer education"), "swap", 0.03, -0.02, 0.08, 0.024,
    clusters_exposed=4, clusters_comparison=3,
)  # fmt: skip
SUM = replace(TOGETHER, kind="sum", weights=(1.0, 1.0))


def failed(*names: str) -> tuple[CheckOutcome, ...]:
    """These main checks failed."""
    return tuple(CheckOutcome(name, "failed", f"{name} in its own words") for name in names)


def beside(e: Evidence, carries: str, early: bool = True) -> BesideDrift:
    """What a step beside a straight line carries; a straight drift taken out leaves half of the effect."""
    half = (e.conf_high - e.conf_low) * 0.7
    return BesideDrift(
        carries, early, e.estimate / 2, e.estimate / 2 - half, e.estimate / 2 + half, abs(e.estimate) / 9
    )


def flipped(e: Evidence) -> Evidence:
    """The same evidence pointing the other way."""
    return replace(e, estimate=-e.estimate, conf_low=-e.conf_high, conf_high=-e.conf_low)


def _around_zero(e: Evidence, below: float, above: float) -> Evidence:
    """An interval from `below` to `above` margins in the good direction."""
    ends = sorted((e.good * below * e.matters, e.good * above * e.matters))
    width = ends[1] - ends[0]
    return replace(e, estimate=sum(ends) / 2, conf_low=ends[0], conf_high=ends[1], std_error=width / 4, p_adjusted=1.0)


def _of_kind(kind: str, e: Evidence) -> dict[str, tuple[Evidence, str]]:
    """Variants that depend on the kind of outcome."""
    small = replace(e, matters=1.25 * max(abs(e.conf_low), abs(e.conf_high)))
    harm = _around_zero(e, -1.5, 0.6)
    return {
        f"{kind} shown better": (e, "shown"),
        f"{kind} shown worse": (flipped(e), "shown"),
        f"{kind} shown but small": (small, "shown"),
        f"{kind} likely better": (replace(e, p_adjusted=0.2), "likely"),
        f"{kind} likely worse": (replace(flipped(e), checks=failed("date_rule")), "likely"),
        f"{kind} moving apart": (replace(e, checks=failed("pre_trend")), "cannot_tell"),
        f"{kind} with the start": (replace(e, drift=beside(e, "shown")), "shown"),
        f"{kind} built up": (replace(e, drift=beside(e, "likely")), "likely"),
        f"{kind} a drift would do": (replace(e, drift=beside(e, "nothing")), "cannot_tell"),
        f"{kind} a drift would do harm": (replace(flipped(e), drift=beside(flipped(e), "nothing")), "cannot_tell"),
        f"{kind} moving apart, drift out": (
            replace(e, checks=failed("pre_trend"), drift=beside(e, "nothing")),
            "cannot_tell",
        ),
        f"{kind} points": (replace(e, p_adjusted=0.2, checks=failed("rungs")), "cannot_tell"),
        f"{kind} points to worse": (replace(flipped(e), rests_on_matching=True, p_adjusted=0.2), "cannot_tell"),
        f"{kind} small data": (_around_zero(e, -1.5, 2.2), "cannot_tell"),
        f"{kind} unstated": (replace(_around_zero(e, -1.5, 2.2), matters=None), "cannot_tell"),
        f"{kind} uncarried": (replace(harm, checks=failed("date_rule")), "cannot_tell"),
        f"{kind} at some time": (replace(harm, by_time=(-9 * e.matters, 9 * e.matters)), "cannot_tell"),
        f"{kind} missing": (replace(e, checks=failed("stayers")), "cannot_tell"),
        f"{kind} no sign, harm open": (harm, "no_sign"),
        f"{kind} no sign, small": (_around_zero(e, -0.8, 0.7), "no_sign"),
        f"{kind} no sign, caution": (replace(harm, rests_on_matching=True), "no_sign"),
        **_of_one_place(kind, e, harm),
        f"{kind} nothing on record": (replace(e, rests_on_matching=True, unrecorded=True), "cannot_tell"),
    }


def _of_one_place(kind: str, e: Evidence, harm: Evidence) -> dict[str, tuple[Evidence, str]]:
    """One or two places alone, by what stands beside them."""
    alone = {"status": "one_place", "rests_on_one_place": True, "clusters_exposed": 1, "clusters_comparison": 7}
    mixed = {**alone, "design": "SyntheticDifferenceInDifferences"}
    series = {**alone, "design": "InterruptedTimeSeries", "clusters_comparison": 0}
    return {
        f"{kind} one place beside others": (replace(e, **mixed), "likely"),
        f"{kind} one place beside its past": (replace(e, **series), "likely"),
        f"{kind} two places beside their past": (replace(e, **{**series, "clusters_exposed": 2}), "likely"),
        f"{kind} one place less others": (
            replace(e, **{**series, "design": "InterruptedTimeSeries(control)"}),
            "likely",
        ),
        f"{kind} one place beside all": (replace(e, **{**mixed, "design": "DifferenceBesidePlaces"}), "likely"),
        f"{kind} one place bends": (replace(e, **series, checks=failed("bent_trend")), "cannot_tell"),
        f"{kind} one place, no sign": (replace(harm, **mixed), "no_sign"),
        f"{kind} one place, uncarried": (replace(harm, **series), "cannot_tell"),
    }


def _of_status() -> dict[str, tuple[Evidence, str]]:
    """Variants that depend on what can be told apart, and on single weaknesses."""
    nan = float("nan")
    bare = replace(NURSE, estimate=nan, conf_low=nan, conf_high=nan, std_error=nan, df=nan, p_adjusted=nan)
    policy = replace(bare, component="policy", label="Allocation policy", status="bundle_only")
    groups = replace(bare, component="groups", label="Carer-led groups", status="swap_only")
    keyworker = replace(bare, label="Keyworker", status="not_tested")
    three = replace(
        TOGETHER, members=(*TOGETHER.members, "court"), labels=(*TOGETHER.labels, "Court liaison"), clean_until=None
    )
    return {
        "not tested": (replace(keyworker, reason="everyone had it from the first month"), "not_tested"),
        "not tested, no reason": (keyworker, "not_tested"),
        "not seen": (replace(NURSE, observed=False), "not_tested"),
        "together": (
            replace(policy, bundle=TOGETHER, reason="they began in the same month everywhere"),
            "cannot_tell_apart",
        ),
        "together, three": (replace(policy, bundle=three), "cannot_tell_apart"),
        "together, no range": (replace(policy, bundle=replace(TOGETHER, conf_low=nan)), "cannot_tell_apart"),
        "together, unknown": (replace(policy, reason="only if effects do not grow"), "cannot_tell_apart"),
        "swap": (replace(groups, bundle=SWAP), "cannot_tell_apart"),
        "swap, no range": (replace(groups, bundle=replace(SWAP, conf_low=nan)), "cannot_tell_apart"),
        "swap, unknown": (groups, "cannot_tell_apart"),
        "sum": (replace(policy, bundle=SUM), "cannot_tell_apart"),
        "too few": (replace(bare, status="too_few_clusters", clusters_exposed=1), "cannot_tell"),
        "no range": (replace(bare, estimate=0.04, reason="without Salford nothing is left to compare"), "cannot_tell"),
        "drift not asked": (replace(NURSE, drift=BesideDrift("untested", reason="too few periods")), "cannot_tell"),
        "a drift of no known size": (replace(NURSE, drift=BesideDrift("nothing")), "cannot_tell"),
        "set in just before": (replace(NURSE, drift=replace(beside(NURSE, "nothing"), steady=False)), "cannot_tell"),
        "few leads": (replace(NURSE, drift=beside(NURSE, "likely", early=False)), "likely"),
        "built up and weak": (replace(NURSE, drift=beside(NURSE, "likely"), p_adjusted=0.3), "likely"),
        "nothing for a drift to explain": (
            replace(_around_zero(NURSE, -0.8, 0.7), drift=beside(NURSE, "nothing")),
            "no_sign",
        ),
        "crossed": (replace(NURSE, crossed_levels=True), "likely"),
        "crossed and weak": (replace(NURSE, crossed_levels=True, p_adjusted=0.3), "likely"),
        "few clusters": (replace(NURSE, clusters_exposed=2), "likely"),
        "few clusters, carried": (replace(NURSE, clusters_exposed=2, randomisation_p=0.01), "likely"),
        "few people": (replace(NURSE, people_exposed=49), "likely"),
        "moved by results": (replace(NURSE, moved_by_results=True), "likely"),
        "additivity": (replace(NURSE, status="additive_only", rests_on_additivity=True), "likely"),
        "dose": (replace(NURSE, status="additive_only", rests_on_additivity=True, rests_on_dose=True), "likely"),
        "no p": (replace(NURSE, p_adjusted=nan), "likely"),
        "by people, passed": (replace(NURSE, by_people=True, by_people_check="passed"), "shown"),
        "by people, failed": (replace(NURSE, by_people=True, by_people_check="failed"), "likely"),
        "by people, untestable": (replace(NURSE, by_people=True, by_people_check="untestable"), "likely"),
        "one period": (replace(NURSE, clean_until=0), "shown"),
        "one late period": (replace(NURSE, clean_until=2, lag=2), "shown"),
        "cross-section": (replace(NURSE, clean_until=None, period=""), "shown"),
        **{
            f"failed {name}": (replace(NURSE, checks=failed(name)), "cannot_tell" if name in ENDING else "likely")
            for name in MAIN_CHECKS
            if name not in ("pre_trend", "stayers")
        },
        "touched, carried": (replace(NURSE, checks=ranged("spillover", "failed", 0.01, 0.2)), "likely"),
        "touched, untested": (replace(NURSE, checks=ranged("spillover", "informational")), "likely"),
        "touched, no sign open": (replace(CALM, checks=ranged("spillover", "passed", -0.01, 0.09)), "cannot_tell"),
        "touched, no sign": (replace(CALM, checks=ranged("spillover", "passed", -0.01, 0.03)), "no_sign"),
        "shared, no sign open": (replace(CALM, checks=ranged("shared_shocks", "failed", -0.1, 0.09)), "cannot_tell"),
        "shared, no sign unclear": (replace(CALM, checks=ranged("shared_shocks", "passed", -0.1, 0.09)), "cannot_tell"),
    }


def ranged(check: str, status: CheckStatus, low: float = math.nan, high: float = math.nan) -> tuple[CheckOutcome, ...]:
    """One check with the range that goes with it."""
    return (CheckOutcome(check, status, "In words.", (low + high) / 2, low, high),)


def all_cases() -> dict[str, tuple[Evidence, str]]:
    """Every variant by name: evidence and the verdict that the rules must give."""
    cases = _of_status()
    for kind, e in KINDS.items():
        cases |= _of_kind(kind, e)
    return cases
