"""Verdicts on the line: a margin met exactly, counts at their least, ends of the interval on what matters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.verdicts.rules import benefit_below_margin, decide, harm_not_ruled_out, inside_margin
from tests.unit.evidence_cases import NURSE

AROUND = replace(NURSE, estimate=0.0, conf_low=-0.04, conf_high=0.04, p_adjusted=0.9)
LOWER = replace(AROUND, better="lower")


def test_three_clusters_in_each_arm_are_enough() -> None:
    assert decide(replace(NURSE, clusters_exposed=3, clusters_comparison=3)).verdict == "shown"
    for few in ((2, 3), (3, 2)):
        assert decide(replace(NURSE, clusters_exposed=few[0], clusters_comparison=few[1])).verdict == "likely"


@pytest.mark.parametrize(("end", "open_"), [(-0.051, True), (-0.05, True), (-0.049, False)])
def test_harm_that_reaches_what_matters_is_not_ruled_out(end: float, open_: bool) -> None:
    assert harm_not_ruled_out(replace(AROUND, conf_low=end)) is open_
    assert harm_not_ruled_out(replace(LOWER, conf_high=-end)) is open_


@pytest.mark.parametrize(("end", "below"), [(0.051, False), (0.05, False), (0.049, True)])
def test_a_benefit_as_large_as_what_matters_is_not_ruled_out(end: float, below: bool) -> None:
    assert benefit_below_margin(replace(AROUND, conf_high=end)) is below
    assert benefit_below_margin(replace(LOWER, conf_low=-end)) is below


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [(-0.04, 0.04, True), (-0.05, 0.04, False), (-0.04, 0.05, False), (-0.2, 0.04, False), (-0.04, 0.2, False)],
)
def test_both_ends_lie_inside_what_matters(low: float, high: float, inside: bool) -> None:
    assert inside_margin(replace(AROUND, conf_low=low, conf_high=high)) is inside


def test_nothing_at_or_below_zero_can_matter() -> None:
    assert [replace(AROUND, matters=m).margin for m in (0.05, 0.0, -0.05, float("nan"), None)] == [0.05, *[None] * 4]


def test_two_weaknesses_are_one_too_many() -> None:
    one = replace(NURSE, clusters_exposed=2)
    assert decide(one).verdict == "likely"
    assert decide(replace(one, p_adjusted=0.05)).verdict == "cannot_tell"


def test_clear_harm_is_not_no_sign_of_an_effect() -> None:
    harm = decide(replace(NURSE, estimate=-0.1, conf_low=-0.15, conf_high=-0.05))
    assert (harm.verdict, harm.direction, harm.rule) == ("shown", "worse", 4)
