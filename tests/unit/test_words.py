"""Every sentence that a verdict can produce, read; and the numbers inside them."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from evalkit.language.findings import bundle_sentence, window_words
from evalkit.language.statement import in_one_breath, statement
from evalkit.show import numbers, words
from evalkit.verdicts.rules import LIMITS, MAIN_CHECKS, OTHER_WEAKNESSES, decide
from tests.unit.evidence_cases import COST, HBA1C, KINDS, LAW, NURSE, SUM, SWAP, TOGETHER, VISITS, all_cases

CASES = all_cases()
FORBIDDEN = (
    "proved", "proof", "prove", "caused", "no effect", "% of the success", "significant", "p-value", "p value",
    "control group", "ranked", "best of", "treatment",
)  # fmt: skip


def assert_reads_well(text: str) -> None:
    """No forbidden claim, no number that is none, no loose grammar."""
    lower = text.lower()
    assert not [w for w in FORBIDDEN if w in lower], text
    assert not re.search(r"\b(nan|none|inf|infinity)\b", lower), text
    assert not re.search(r"[-−]0(?!\d*\.?\d*[1-9])", text), text
    assert not re.search(r"  |\.\.| [,.;:]|[{}]|\( |\(\)|, ,", text), text
    assert not re.search(r"(?<![\d.,])1 (people|boroughs|states|places|points)\b", text), text
    assert text[0].isupper() or text[0].isdigit() or text[0] == "“", text
    assert text.endswith((".", ".”")), text
    assert text.count("“") == text.count("”") and text.count("(") == text.count(")"), text
    assert not re.search(r"[.] [a-z]", text), text


@pytest.mark.parametrize("name", CASES)
def test_every_variant_has_its_verdict_and_reads_well(name: str) -> None:
    evidence, expected = CASES[name]
    verdict = decide(evidence)
    assert verdict.verdict == expected
    spoken = statement(evidence, verdict).sentence
    assert spoken.startswith(f"{evidence.label}: ")
    assert not re.search(r"better than|worse than|more than the other|\bworks?\b", spoken)
    said = statement(evidence, verdict)
    unnamed = said.found
    for text in (spoken, unnamed, said.may_say.text, said.not_to_be_said, said.would_change.text, said.brief.text):
        assert_reads_well(text)
    assert unnamed.lower() in spoken.lower()


def test_variants_cover_every_weakness_and_give_different_sentences() -> None:
    spoken = " ".join(statement(e, decide(e)).sentence for e, _ in CASES.values())
    for template in (*MAIN_CHECKS.values(), *OTHER_WEAKNESSES.values(), *LIMITS.values()):
        assert template.format(place="borough", places="boroughs", units="people", periods="months") in spoken
    kept = [e for n, (e, _) in CASES.items() if not n.startswith("by people, passed")]
    without_checks = [statement(e, decide(e)).sentence for e in kept]
    assert len(set(without_checks)) >= len(without_checks) - 3


def test_shown_gives_effect_range_window_places_and_population() -> None:
    assert statement(NURSE, decide(NURSE)).sentence == (
        "Dual-diagnosis nurse: a change for the better. In its first 14 months, where it was in place, about 9 more in"
        " every 100 people with both needs were recorded as “In a settled home” than we would have expected (likely"
        " range 2 to 17 more). This rests on 8 boroughs with it and 14 without it at the time."
    )


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (LAW, "came out about 6% lower than we would have expected (likely range 2% to 10% lower)"),
        (VISITS, "about 31 fewer “A&E visits” for every 100 people each month than we would have expected (likely"),
        (HBA1C, "“HbA1c” came out about 0.1 points lower than we would have expected (likely range 0.03 to 0.17"),
        (COST, "came to about £120 less for each person each month than we would have expected (likely range £10 to"),
    ],
)
def test_each_kind_has_its_own_measure(evidence, expected) -> None:
    assert expected in statement(evidence, decide(evidence)).sentence


def test_speaks_of_the_population_once() -> None:
    assert statement(HBA1C, decide(HBA1C)).sentence.count("patients") == 1
    assert statement(NURSE, decide(NURSE)).sentence.count("people with both needs") == 1


def test_direction_follows_what_is_better() -> None:
    for e in KINDS.values():
        other = replace(e, better="lower" if e.better == "higher" else "higher")
        assert "for the better" in statement(e, decide(e)).sentence
        assert "for the worse" in statement(other, decide(other)).sentence


def test_likely_names_its_one_weakness() -> None:
    e = replace(NURSE, clusters_exposed=2)
    assert "One weakness: it rests on too few boroughs." in statement(e, decide(e)).sentence
    assert "more boroughs had it, and more were without it" in statement(e, decide(e)).would_change.text


def test_bundles_and_swaps_say_their_effect() -> None:
    policy = replace(NURSE, component="policy", label="Allocation policy", status="bundle_only", bundle=TOGETHER)
    spoken = statement(policy, decide(policy)).sentence
    assert "about 10 more in every 100" in spoken and "(likely range 6 to 14 more)" in spoken
    assert "due to either of them" in spoken and "“Allocation policy”" not in spoken
    groups = replace(NURSE, component="groups", label="Carer-led groups", status="swap_only", bundle=SWAP)
    spoken = statement(groups, decide(groups)).sentence
    assert "With “Carer-led groups” instead of “Carer education”" in spoken
    assert "likely range 2 fewer to 8 more" in spoken
    assert "added together" in bundle_sentence(replace(policy, bundle=SUM))
    assert bundle_sentence(replace(policy, bundle=None)).startswith("No combination")


def test_the_rollouts_own_cure_is_used() -> None:
    e = replace(NURSE, status="bundle_only", cure="start the newsletter three months later in two boroughs")
    assert statement(e, decide(e)).would_change.text == "Start the newsletter three months later in two boroughs."


def test_small_data_says_what_could_have_been_seen() -> None:
    e = replace(NURSE, estimate=0.03, conf_low=-0.04, conf_high=0.11, std_error=0.0375, df=math.inf)
    spoken = statement(e, decide(e)).sentence
    assert "4 fewer to 11 more in every 100" in spoken
    assert "would often have missed anything below 11 in every 100" in spoken


def test_numbers_keep_their_side_of_zero_and_of_what_matters() -> None:
    near = replace(NURSE, estimate=0.08, conf_low=0.0004, conf_high=0.16, std_error=0.04)
    assert "0.04 to 16 more" in statement(near, decide(near)).sentence
    tiny = replace(near, conf_low=1e-9)
    assert "less than 0.01 to 16 more" in statement(tiny, decide(tiny)).sentence
    below = replace(NURSE, estimate=0.0, conf_low=-0.04996, conf_high=0.04996, std_error=0.025, p_adjusted=1.0)
    assert decide(below).verdict == "no_sign"
    assert "just under 5 fewer to just under 5 more" in statement(below, decide(below)).sentence


def test_in_one_breath_keeps_the_order_of_the_register() -> None:
    rows = [
        ("cannot_tell", "", "Zero tolerance under 21"),
        ("shown", "better", "Nurse"),
        ("cannot_tell", "worse", "court"),
        ("not_tested", "", "Keyworker"),
        ("shown", "better", "Lights"),
    ]
    spoken = in_one_breath(rows)
    assert spoken == (
        "Shown to make a difference for the better: Nurse and Lights. Hints of a change for the worse, not firm enough"
        " to rely on: court. Cannot tell: Zero tolerance under 21. Not tested by these data: Keyworker."
    )
    unsure = in_one_breath([r for r in rows if r[0] in ("cannot_tell", "not_tested")])
    assert unsure.startswith("No part has been shown to make a difference, which does not mean that none did.")
    every = [(decide(e).verdict, decide(e).direction, "X") for e, _ in CASES.values()]
    assert_reads_well(in_one_breath(every))
    assert in_one_breath([]) == ""


@pytest.mark.parametrize(
    ("lag", "last", "expected"),
    [
        (0, None, ""),
        (0, math.nan, ""),
        (0, 0, "in its first month"),
        (0, 3, "in its first four months"),
        (0, 20, "in its first 21 months"),
        (1, 3, "from its second to its fourth month"),
        (1, 21, "from its second to its 22nd month"),
        (2, 2, "in its third month"),
        (1, None, "from its second month on"),
    ],
)
def test_window_words(lag, last, expected) -> None:
    assert window_words(lag, last, "month") == expected
    assert window_words(lag, last, "") == ""


def effect_words(value, kind, unit="", std_error=math.nan, period="") -> str:
    scale = numbers.scale_for([value], kind, numbers.Nouns(unit=unit, period=period), std_error)
    return scale.effect(value) + scale.tail


def test_effect_words() -> None:
    assert effect_words(0.0934, "share", std_error=0.03) == "about 9 more in every 100"
    assert effect_words(-0.0004, "share") == "about 4 fewer in every 10,000"
    assert effect_words(-0.06, "log") == "about 5.8% lower"
    assert effect_words(-123.0, "money", "person", period="month") == ("about £120 less for each person each month")
    assert effect_words(-0.3, "count", "person", period="month") == ("about 30 fewer for every 100 people each month")
    assert effect_words(2.5, "count", "borough") == "about 2.5 more for each borough"
    assert effect_words(1.0, "score") == "about 1 point higher"
    assert effect_words(-0.0, "share") == "about 0 more in every 100"
    assert effect_words(9.0, "log") == "more than 1,000% higher"
    assert [numbers.size_words(v, "time_to_event", time="weeks") for v in (1, 1.4)] == ["1 week", "1.4 weeks"]
    assert numbers.size_words(-0.05, "log") == "4.9%"
    assert numbers.size_words(math.nan, "log") == numbers.NOT_GIVEN


def test_ends_are_rounded_outwards_and_sizes_up_without_crossing() -> None:
    scale = numbers.scale_for([0.002, -0.242, 0.249], "share", std_error=0.118, apart=(0.3, -0.3))
    assert scale.span(-0.242, 0.249) == "25 fewer to 25 more" and scale.at_least(0.342) == "35"
    assert scale.span(0.001, 0.291) == "0.1 to 29.1 more", "neither zero nor what matters is reached"
    law = numbers.scale_for([-0.06], "log", std_error=0.02)
    assert law.at_least(-0.0801) == "8%" and law.span(-0.105, -0.01) == "0.9% to 10% lower"
    assert numbers.signed_range(0.5, -24.21, 24.91, 12.0) == ("+0.5", "−25", "+25")


@pytest.mark.parametrize("kind", ["share", "log", "score", "money", "count"])
def test_no_end_is_ever_rounded_inwards(kind: str) -> None:
    rng = np.random.default_rng(3)
    for low, wide in zip(rng.normal(0, 0.4, 60), rng.exponential(0.4, 60), strict=True):
        high = low + wide
        first, last = numbers.signed_range((low + high) / 2, low, high, wide / 4)[1:]
        assert float(first.replace("−", "-")) <= low + 1e-9 and float(last.replace("−", "-")) >= high - 1e-9
        scale = numbers.scale_for([(low + high) / 2, low, high], kind, std_error=wide / 4)
        said = [float(scale.figure(v, w).strip("£%").replace(",", "")) for v, w in ((low, "down"), (high, "up"))]
        shown = [scale.shown(v) for v in (low, high)]
        signed = [math.copysign(s, v) for s, v in zip(said, shown, strict=True)]
        assert signed[0] <= shown[0] + 1e-9 and signed[1] >= shown[1] - 1e-9


def test_range_words() -> None:
    assert numbers.range_words(0.021, 0.161, "share") == "2 to 17 more in every 100"
    assert numbers.range_words(-0.161, -0.021, "share") == "2 to 17 fewer in every 100"
    assert numbers.range_words(-0.04, 0.11, "share") == "4 fewer to 11 more in every 100"
    assert numbers.range_words(0.0, 0.11, "share") == "0 to 11 more in every 100"
    assert numbers.range_words(-0.17, 0.03, "score") == "0.17 points lower to 0.03 points higher"
    assert numbers.range_words(-230.0, -10.0, "money") == "£10 to £230 less"
    assert numbers.range_words(0.02, math.nan, "share") == numbers.NOT_GIVEN


def test_signs_per_cent_and_pounds() -> None:
    assert [numbers.signed(v) for v in (9.34, -0.0342, -0.0, 0.0)] == ["+9.3", "−0.034", "0", "0"]
    assert numbers.signed(9.34, std_error=3.1) == "+9"
    more = "more than 99%"  # of draws, where a few are otherwise
    assert [numbers.percent(v) for v in (0.123, 0.0, -0.5, 1.0, 0.004, 0.998)] == [
        "12%",
        "0%",
        "−50%",
        "100%",
        "0.4%",
        more,
    ]
    assert [numbers.pounds(v) for v in (18_432, 9_900, 71_000, -250, 0, 45.4, 28.49, 1.5)] == [
        "£18,400", "£9,900", "£71,000", "−£250", "£0", "£45", "£28", "£1.50"
    ]  # fmt: skip
    assert {f(math.nan) for f in (numbers.signed, numbers.percent, numbers.pounds)} == {numbers.NOT_GIVEN}


def test_plain_words() -> None:
    assert words.join_words([]) == ""
    assert words.join_words(["a"]) == "a"
    assert words.join_words(["a", "b"]) == "a and b"
    assert words.join_words(["a", "b", "c"], "or") == "a, b or c"
    assert [words.number_in_words(n) for n in (0, 1, 12, 13, 1190)] == ["zero", "one", "twelve", "13", "1,190"]
    assert [words.ordinal_in_words(n) for n in (1, 12, 13, 21, 22, 111)] == [
        "first", "twelfth", "13th", "21st", "22nd", "111th"
    ]  # fmt: skip
    nouns = ["borough", "person", "agency", "court area", "class", "day", "local authority"]
    assert [words.plural(n) for n in nouns] == [
        "boroughs", "people", "agencies", "court areas", "classes", "days", "local authorities"
    ]  # fmt: skip
    assert [words.noun_from_column(c) for c in ("person_id", "court_area", "state", "id")] == [
        "person", "court area", "state", "id"
    ]  # fmt: skip
    assert words.noun_from_column("q", "period") == "period"
    assert words.count_words(1, "borough") == "1 borough" and words.count_words(1190, "person") == "1,190 people"
    assert words.full_stop(" said so. ") == "Said so." and words.full_stop("") == ""


class TestForWhomItSpeaks:
    SOME = replace(NURSE, unit="person", units_behind=217.0, units_had=608.0)

    def test_a_material_share_that_is_not_behind_the_answer_is_said(self) -> None:
        spoken = statement(self.SOME, decide(self.SOME)).sentence
        assert spoken.endswith("It speaks for 217 of 608 people with it; of the others these data cannot speak.")
        assert ", for 217 of 608 people with it." in statement(self.SOME, decide(self.SOME)).brief.text
        assert statement(self.SOME, decide(self.SOME)).may_say.text.endswith(", for 217 of 608 people with it.")
        assert_reads_well(spoken)

    def test_nothing_is_said_of_a_few_or_where_nobody_counted(self) -> None:
        for behind, had in ((548.0, 608.0), (608.0, 608.0), (math.nan, 608.0), (217.0, math.nan), (0.0, 608.0)):
            e = replace(self.SOME, units_behind=behind, units_had=had)
            assert statement(e, decide(e)).sentence == statement(NURSE, decide(NURSE)).sentence

    def test_one_other(self) -> None:
        e = replace(self.SOME, unit="borough", units_behind=4.0, units_had=5.0)
        assert "for 4 of 5 boroughs with it; of the other these data cannot speak" in statement(e, decide(e)).sentence
