"""Sentences of decisions: short, never across a mark, limits outwards, and no claim that a comparison cannot carry."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from evalkit.decision.acts import Decision, decide, together
from evalkit.decision.prior import Prior, prior_of
from evalkit.decision.worth import EXTEND, STOP
from evalkit.language.decisions import frequency, said_of, why
from evalkit.show.numbers import pounds_outwards
from evalkit.verdicts.rules import MAIN_CHECKS, OTHER_WEAKNESSES
from tests.unit.test_decision_acts import DOUBT, STAKE, case

LONGEST = 27
ONE = "a person month with “In a settled home”"
POOL = Prior("twelve places in three countries", "y", "percentage points", {"a": (0.02, 0.1)})


def every_decision() -> list[Decision]:
    """Decisions of every kind."""
    stakes = (
        replace(STAKE, worth=(750.0, 1050.0)), replace(STAKE, worth=None, unpriced="its cost is not given"),
        replace(STAKE, cost=1e7), replace(STAKE, worth=(200.0, 3000.0), left_out=("“Keyworker and peer mentor”",)),
        replace(STAKE, conflict="costs are in prices of 2018, worth in prices of 2020, and no index is stated"),
    )  # fmt: skip
    withheld = ("", MAIN_CHECKS["pre_trend"], OTHER_WEAKNESSES["by_people_failed"])
    found = [(0.12, 0.01), (-0.08, 0.02), (0.03, 0.03), (0.0, 0.3), (0.01, 0.004), (0.05, 0.06), (-0.05, 0.06)]
    made = [
        decide(case(e, s, stake=stake, withheld=check, one=ONE), prior)
        for (e, s), stake, check, prior in product(found, stakes, withheld, (DOUBT, prior_of("flat"), POOL))
    ]
    made.append(decide(case(0.1, 0.02, matters=None), DOUBT))
    made.append(decide(replace(case(0.1, 0.02), conf_low=np.nan, reason="everybody had it"), DOUBT))
    made.append(decide(case(0.1, 0.02).hidden("it is not published: fewer than 10 people stand behind it"), DOUBT))
    made.append(together([decide(case(0.1, 0.02), DOUBT), decide(case(-0.1, 0.02), DOUBT)]))
    return made


def test_no_sentence_is_longer_than_27_words_and_none_claims_too_much() -> None:
    acts = set()
    for decision in every_decision():
        text = said_of(decision).sentence
        acts.add(decision.act)
        assert not text[0].islower() and text.endswith(".") and "{" not in text and "  " not in text
        for sentence in text.removesuffix(".").split(". "):
            assert len(sentence.split()) <= LONGEST, sentence
        assert not {"proved", "caused", "nan", "None"} & set(text.replace(".", "").split()), text
    assert acts == {"keep_and_extend", "stop", "hold_and_test", "pool", "no_evidence"}


def test_what_is_withheld_gives_its_reason_and_no_chance() -> None:
    for decision in every_decision():
        said, reason = said_of(decision), why(decision)
        assert ("in 10" in said.chance or "in 20" in said.chance) is bool(np.isfinite(decision.chance_better))
        if decision.hangs or decision.act == "no_evidence":
            assert reason
        if decision.hangs in ("withheld", "conflict"):
            assert reason in said.act and said.pays == ""


@pytest.mark.parametrize("mark", [EXTEND, STOP])
def test_rounding_never_crosses_a_mark(mark: float) -> None:
    for chance in np.linspace(mark - 0.099, mark + 0.099, 199):
        words = frequency(float(chance))
        if chance < EXTEND:
            assert words != "about 7 in 10" and "8 in" not in words
        elif mark == EXTEND:
            assert words in ("about 7 in 10", "about 8 in 10")
        if chance > STOP:
            assert words not in ("about 3 in 10", "about 2 in 10")
        elif mark == STOP:
            assert words in ("about 3 in 10", "about 2 in 10")


def test_chances_at_the_ends_are_limits() -> None:
    assert [frequency(p) for p in (0.0, 0.049, 0.05, 0.5, 0.95, 0.951)] == [
        "fewer than 1 in 20", "fewer than 1 in 20", "about 1 in 10", "about 5 in 10", "about 9 in 10",
        "more than 19 in 20",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "up", "down"),
    [
        (1788.2, "£1,790", "£1,780"), (813.01, "£814", "£813"), (142.0, "£142", "£142"), (4_359_540, "£4.36 million",
        "£4.35 million"), (3.333, "£3.34", "£3.33"), (999_900, "£1 million", "£999,000"), (0.0, "£0", "£0"),
        (-1234.0, "−£1,230", "−£1,240"), (56.01, "£57", "£56"),
    ],
)  # fmt: skip
def test_money_is_rounded_outwards(amount: float, up: str, down: str) -> None:
    assert (pounds_outwards(amount, True), pounds_outwards(amount, False)) == (up, down)


def test_the_allocation_policy_of_the_research_note() -> None:
    policy = replace(
        case(0.0475072, 0.0254659, 11.8335), conf_low=-0.0080650, conf_high=0.1030794, one="a settled month",
        stake=replace(STAKE, people_periods=3945.5, cost=155_717.0, worth=(750.0, 1050.0)),
    )  # fmt: skip
    said = said_of(decide(policy, DOUBT))
    assert said.lean == "Harm ruled out: the likely range leaves out any harm as large as what matters."
    assert said.chance == (
        "Chances, starting from doubt: it helps, about 9 in 10; by what matters, about 3 in 10; harms as much,"
        " fewer than 1 in 20."
    )
    assert said.thresholds == (
        "Worth extending from £1,790 a settled month; not worth its cost below £813; in between, test."
    )
    assert said.act.startswith("Hold: it hangs on what one outcome is worth.")
    assert said.pays == "About 2 to 5 in 10 that it pays at £750 to £1,050 a settled month."


def test_a_withheld_line_says_the_drift_that_would_undo_it() -> None:
    nurse = replace(
        case(0.1623319, 0.0708502, 8.6459), conf_low=0.0010514, conf_high=0.3236124,
        withheld=OTHER_WEAKNESSES["by_people_failed"],
    )  # fmt: skip
    said = said_of(decide(nurse, DOUBT))
    assert said.act.endswith("A drift of 5.1 in every 100 would undo what the range seems to rule out.")
    assert said.lean == "If what failed is settled, harm is ruled out: the likely range leaves out any that matters."
    assert "Settle that first" in said.act
