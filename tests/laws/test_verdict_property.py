"""Random evidence ends in exactly one verdict, the one that a second statement of the rules gives."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.language.statement import statement
from evalkit.verdicts.evidence import BesideDrift, BundleEvidence, CheckOutcome, Evidence
from evalkit.verdicts.rules import decide
from evalkit.vocabulary import CHECK_STATUSES, DRIFT_WORDS, OUTCOME_KINDS, PEOPLE_CHECKS, STATUSES, VERDICTS
from tests.unit.test_words import assert_reads_well

WHO = {"spillover", "shared_shocks", "dominant_place"}
MAIN = {"pre_trend", "rungs", "date_rule", "others_still_growing", "growth_taken_out", "stayers", *WHO}
LABELS = ("0.08 blood alcohol limit", "Dual-diagnosis nurse", "Zero tolerance under 21", "keyworker", "A & B (pilot)")

sizes = st.one_of(
    st.floats(-2, 2),
    st.floats(-5000, 5000),
    st.floats(-1e-7, 1e-7),
    st.sampled_from([0.0, -0.0, 0.05, -0.05, math.nan, math.inf, -math.inf]),
)
p_values = st.one_of(st.floats(0, 1), st.sampled_from([0.05, math.nan, 0.0]))
checks = st.lists(
    st.builds(
        CheckOutcome,
        st.sampled_from([*sorted(MAIN), "leave_one_cluster", "few_clusters"]),
        st.sampled_from(CHECK_STATUSES),
        st.just(""),
        sizes,
        sizes,
        sizes,
    ),
    max_size=4,
    unique_by=lambda c: c.check,
).map(tuple)


@st.composite
def intervals(draw) -> tuple[float, float, float]:
    """Estimate, low and high in order, or with something missing."""
    drawn = draw(st.tuples(sizes, sizes, sizes))
    if any(math.isnan(v) for v in drawn):
        return drawn
    low, middle, high = sorted(drawn)
    return middle, low, high


@st.composite
def bundles(draw) -> BundleEvidence | None:
    if draw(st.booleans()):
        return None
    estimate, low, high = draw(intervals())
    kind = draw(st.sampled_from(["together", "swap", "sum"]))
    many = 2 if kind == "swap" else draw(st.integers(2, 4))
    members = ("x", "b", "c", "d")[:many]
    exposed = draw(st.integers(0, 12))
    return BundleEvidence(members, LABELS[:many], kind, estimate, low, high, clusters_exposed=exposed)


@st.composite
def evidence(draw) -> Evidence:
    estimate, low, high = draw(intervals())
    return Evidence(
        component="x",
        outcome="y",
        label=draw(st.sampled_from(LABELS)),
        outcome_label=draw(st.sampled_from(["In a settled home", "Fatalities per 100,000", ""])),
        status=draw(st.sampled_from([*STATUSES, "separable", "separable", "separable"])),
        kind=draw(st.sampled_from(OUTCOME_KINDS)),
        better=draw(st.sampled_from(["higher", "lower"])),
        matters=draw(st.one_of(st.none(), st.floats(1e-4, 3000), st.sampled_from([0.05, math.nan]))),
        estimate=estimate,
        conf_low=low,
        conf_high=high,
        std_error=draw(st.one_of(st.floats(0, 100), st.just(math.nan))),
        df=draw(st.one_of(st.floats(1, 100), st.sampled_from([math.nan, math.inf]))),
        p_adjusted=draw(p_values),
        clusters_exposed=draw(st.integers(0, 6)),
        clusters_comparison=draw(st.integers(0, 6)),
        people_exposed=draw(st.one_of(st.just(math.nan), st.integers(0, 200))),
        checks=draw(checks),
        observed=draw(st.sampled_from([True, True, True, False])),
        rests_on_additivity=draw(st.booleans()),
        rests_on_matching=draw(st.booleans()),
        rests_on_one_place=draw(st.booleans()),
        design=draw(st.sampled_from(["", "InterruptedTimeSeries", "SyntheticDifferenceInDifferences"])),
        unrecorded=draw(st.booleans()),
        by_people=draw(st.booleans()),
        by_people_check=draw(st.sampled_from(PEOPLE_CHECKS)),
        randomisation_p=draw(st.one_of(st.none(), st.floats(0, 1))),
        crossed_levels=draw(st.booleans()),
        reason=draw(st.sampled_from(["", "everyone had it", "Only if effects do not grow."])),
        bundle=draw(bundles()),
        drift=draw(
            st.one_of(st.none(), st.builds(BesideDrift, st.sampled_from(DRIFT_WORDS), st.booleans(), *[sizes] * 4))
        ),
        by_time=draw(st.one_of(st.none(), st.tuples(sizes, sizes).map(sorted).map(tuple))),
        clean_until=draw(st.one_of(st.none(), st.integers(0, 30), st.just(math.nan))),
        lag=draw(st.integers(0, 4)),
        unit=draw(st.sampled_from(["", "person", "state"])),
        period=draw(st.sampled_from(["", "month", "year"])),
        place=draw(st.sampled_from(["borough", "agency"])),
        population=draw(st.sampled_from(["", "people with both needs"])),
    )


def restated(e: Evidence) -> list[str]:
    """Which verdicts the table allows, stated a second time: every row is written out with all rows above it failing.

    The interval is turned so that up is good before it is looked at.
    """
    low, high = (e.conf_low, e.conf_high) if e.better == "higher" else (-e.conf_high, -e.conf_low)
    number = e.status != "too_few_clusters" and not any(
        math.isnan(v) or math.isinf(v) for v in (e.estimate, e.conf_low, e.conf_high)
    )
    untested = e.status == "not_tested" or not e.observed
    tangled = not untested and e.status in ("bundle_only", "swap_only")
    free = not untested and not tangled
    failed_checks = {c.check for c in e.checks if c.status == "failed"} & MAIN
    count = len(failed_checks)
    count += 0 if e.p_adjusted < 0.05 else 1
    count += 1 if e.rests_on_additivity else 0
    count += 1 if e.rests_on_matching else 0
    count += 1 if e.rests_on_one_place else 0
    few = not e.rests_on_one_place and (e.clusters_exposed < 3 or e.clusters_comparison < 3)
    count += 1 if few and not (e.randomisation_p is not None and e.randomisation_p < 0.05) else 0
    unseen = e.by_people and e.by_people_check == "untestable"
    builds = e.drift is not None and e.drift.carries == "likely"
    spilt = next((c for c in e.checks if c.check == "spillover"), None)
    shared = next((c for c in e.checks if c.check == "shared_shocks"), None)
    capped = e.crossed_levels or few or e.people_exposed < 50 or unseen or builds
    capped = capped or (spilt is not None and spilt.status == "informational")
    count += 1 if e.by_people and e.by_people_check == "failed" else 0
    unexplained = e.drift is not None and e.drift.carries in ("nothing", "untested")
    count += 1 if unexplained else 0
    ended = not failed_checks.isdisjoint({"pre_trend", "stayers", "shared_shocks", "dominant_place"}) or unexplained
    ended = ended or (e.rests_on_matching and e.unrecorded)
    away = number and (low > 0 or high < 0)
    if spilt is not None and spilt.status == "failed" and away:
        elsewhere = not ((spilt.conf_low > 0 and e.conf_low > 0) or (spilt.conf_high < 0 and e.conf_high < 0))
        count += elsewhere
        ended = ended or elsewhere
    known = e.matters is not None and not math.isnan(e.matters)
    ruled_out = bool(number and known and high < e.matters)
    if e.by_time is not None:
        ruled_out = ruled_out and (e.by_time[1] < e.matters if e.better == "higher" else e.by_time[0] > -e.matters)
    for c, asked in ((spilt, spilt is not None and spilt.status != "passed"), (shared, False)):
        if c is not None and (asked or math.isfinite(c.estimate)):
            good = c.conf_high if e.better == "higher" else -c.conf_low
            ruled_out = ruled_out and good < e.matters
    quiet = free and number and not away
    own_past = e.rests_on_one_place and e.design == "InterruptedTimeSeries"
    carried = not failed_checks and not e.rests_on_additivity and not own_past
    allowed = {
        "not_tested": untested,
        "cannot_tell_apart": tangled,
        "shown": free and away and count == 0 and not capped,
        "likely": free and away and not ended and (count == 1 or (count == 0 and capped)),
        "no_sign": quiet and ruled_out and carried,
        "cannot_tell": free
        and (not number or (away and (count >= 2 or ended)) or (quiet and not (ruled_out and carried))),
    }
    return [verdict for verdict, holds in allowed.items() if holds]


@settings(max_examples=400, deadline=None)
@given(evidence())
def test_exactly_one_verdict_and_it_follows_the_rules(e: Evidence) -> None:
    allowed = restated(e)
    verdict = decide(e)
    assert len(allowed) == 1
    assert verdict.verdict in VERDICTS
    assert [verdict.verdict] == allowed
    good = e.estimate * (1 if e.better == "higher" else -1)
    if verdict.rule == 4:
        assert verdict.direction == ("better" if good > 0 else "worse")
    else:
        assert verdict.direction == ""
    if verdict.verdict in ("not_tested", "cannot_tell_apart"):
        assert math.isnan(verdict.estimate) and math.isnan(verdict.smallest_detectable)
    if verdict.verdict == "likely":
        assert verdict.reasons


@settings(max_examples=400, deadline=None)
@given(evidence())
def test_every_sentence_reads_well(e: Evidence) -> None:
    verdict = decide(e)
    said = statement(e, verdict)
    for text in (said.sentence, said.may_say.text, said.not_to_be_said, said.would_change.text):
        assert_reads_well(text[:1].upper() + text[1:])
    spoken = said.sentence
    mixed = re.search(
        r"likely range (?:is )?(?:(?!\. )[^()])*(fewer|lower|less|sooner) to [^()]*(more|higher|later)", spoken
    )
    if verdict.rule == 4:
        assert not mixed, spoken
    if verdict.rule in (5, 6) and e.conf_low < 0 < e.conf_high:
        assert mixed, spoken


@settings(max_examples=200, deadline=None)
@given(evidence())
def test_one_more_failed_check_never_makes_a_verdict_firmer(e: Evidence) -> None:
    firmness = {"shown": 2, "likely": 1, "no_sign": 1}
    worse = replace(e, checks=(*e.checks, CheckOutcome("pre_trend", "failed")))
    assert firmness.get(decide(worse).verdict, 0) <= firmness.get(decide(e).verdict, 0)


@settings(max_examples=200, deadline=None)
@given(evidence())
def test_nothing_is_claimed_of_groups_that_were_moving_apart(e: Evidence) -> None:
    apart = replace(e, checks=(*e.checks, CheckOutcome("pre_trend", "failed")))
    assert decide(apart).verdict not in ("shown", "likely", "no_sign")


@settings(max_examples=200, deadline=None)
@given(evidence())
def test_one_place_left_out_informs_and_moves_no_verdict(e: Evidence) -> None:
    more = replace(e, checks=(*e.checks, CheckOutcome("leave_one_cluster", "failed")))
    assert decide(more) == decide(e)


@settings(max_examples=200, deadline=None)
@given(evidence())
def test_what_cannot_be_tested_by_people_costs_one_step_and_no_more(e: Evidence) -> None:
    untested, passed = (replace(e, by_people=True, by_people_check=c) for c in ("untestable", "passed"))
    expected = decide(passed).verdict
    assert decide(untested).verdict == ("likely" if expected == "shown" else expected)


@settings(max_examples=200, deadline=None)
@given(evidence())
def test_a_claim_passes_the_step_beside_a_straight_line(e: Evidence) -> None:
    """Shown or likely need it where it is asked, shown with the start itself; nothing else hangs on it."""
    found = {word: decide(replace(e, drift=BesideDrift(word))).verdict for word in DRIFT_WORDS}
    without = decide(replace(e, drift=None)).verdict
    assert found["shown"] == without
    assert found["likely"] == ("likely" if without == "shown" else without)
    for word in ("nothing", "untested"):
        assert found[word] == ("cannot_tell" if without in ("shown", "likely") else without)
