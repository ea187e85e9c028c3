"""The check of who is touched, and what it makes of a verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import checks
from evalkit.checks.spillover import Around
from evalkit.disclosure.publish import NOTHING_LEFT, Guard
from evalkit.disclosure.rules import rules_of
from evalkit.inference import Estimate
from evalkit.verdicts.evidence import CheckOutcome, Evidence
from evalkit.verdicts.rules import LIMITS, OTHER_WEAKNESSES, REMEDIES, decide

CLAIM = Evidence(
    component="x", outcome="y", status="separable", matters=0.3, estimate=-0.4, conf_low=-0.6, conf_high=-0.2,
    std_error=0.1, df=20, p_adjusted=0.01, clusters_exposed=8, clusters_comparison=8, period="month",
)  # fmt: skip
FLAT = replace(CLAIM, estimate=0.0, conf_low=-0.1, conf_high=0.1, p_adjusted=0.9)


def number(value: float, std_error: float, seed: int = 0) -> Estimate:
    noise = np.random.default_rng(seed).normal(size=(400, 1))
    noise = (noise - noise.mean()) / np.sqrt((noise - noise.mean()).T @ (noise - noise.mean())) * std_error
    labels = pd.DataFrame({"component": ["x"], "estimand": ["ATT"]})
    return Estimate.from_influence([value], noise, labels)


def around(beside: float, error: float, spills: float = 0.0, one: float = -0.4) -> Around:
    return Around(number(beside, error, 1), number(one, 0.1), number(spills, 0.1, 2))


def seen(check: str, status: str, low: float = math.nan, high: float = math.nan) -> tuple[CheckOutcome, ...]:
    return (CheckOutcome(check, status, estimate=(low + high) / 2, conf_low=low, conf_high=high),)  # type: ignore[arg-type]


def test_it_fails_where_the_answer_is_another_one_and_not_where_it_is_only_less_sure() -> None:
    one = number(-0.4, 0.1)
    assert checks.spillover(one, around(0.0, 0.1), 0.3).status == "failed"
    assert checks.spillover(one, around(-0.38, 0.3), 0.3).status == "passed"  # wider, no other
    assert checks.spillover(one, around(-0.1, 0.4), 0.3).status == "passed"  # far, but chance
    assert checks.spillover(number(0.5, 0.01), around(0.58, 0.01, one=0.5), 0.3).status == "passed"  # sure, but small
    found = checks.spillover(one, around(0.0, 0.1), 0.3)
    assert (found.estimate, round(found.conf_low, 2), round(found.conf_high, 2)) == (0.0, -0.2, 0.2)


def test_touched_places_that_changed_fail_a_claim_that_untouched_ones_do_not_carry() -> None:
    one = number(-0.4, 0.1)
    assert checks.spillover(one, around(-0.1, 0.4, spills=0.5), 0.3).status == "failed"
    assert checks.spillover(one, around(-0.4, 0.1, spills=0.5), 0.3).status == "passed"
    assert checks.spillover(number(0.0, 0.1), around(0.1, 0.4, 0.5, one=0.0), 0.3).status == "passed"


def test_what_could_not_be_held_beside_others_is_said_and_counts_as_untested() -> None:
    nobody = checks.spillover(number(-0.4, 0.1), None, 0.3)
    assert nobody.status == "passed" and math.isnan(nobody.estimate)
    lost = checks.spillover(number(-0.4, 0.1), Around(None, None, None, ("nothing is left", "")), 0.3)
    assert lost.status == "informational" and "nothing is left" in lost.words
    assert decide(replace(CLAIM, checks=seen("spillover", "informational"))).verdict == "likely"
    assert decide(replace(FLAT, checks=seen("spillover", "informational"))).verdict == "cannot_tell"
    assert decide(replace(FLAT, checks=seen("spillover", "passed"))).verdict == "no_sign"


def test_a_claim_ends_unless_it_is_carried_beside_untouched_places() -> None:
    assert decide(replace(CLAIM, checks=seen("spillover", "failed", -0.2, 0.2))).verdict == "cannot_tell"
    assert decide(replace(CLAIM, checks=seen("spillover", "failed", 0.1, 0.5))).verdict == "cannot_tell"
    carried = decide(replace(CLAIM, checks=seen("spillover", "failed", -1.2, -0.8)))
    assert carried.verdict == "likely" and len(carried.reasons) == 1


@pytest.mark.parametrize("check", ["spillover", "shared_shocks"])
def test_no_sign_needs_every_range_below_what_matters(check: str) -> None:
    assert decide(replace(FLAT, checks=seen(check, "passed", -0.2, 0.29))).verdict == "no_sign"
    wide = decide(replace(FLAT, checks=seen(check, "passed", -0.2, 0.31)))
    assert wide.verdict == "cannot_tell" and len(wide.reasons) == 1
    assert decide(replace(FLAT, better="lower", checks=seen(check, "passed", -0.31, 0.2))).verdict == "cannot_tell"
    assert decide(replace(FLAT, better="lower", checks=seen(check, "passed", -0.2, 0.31))).verdict == "no_sign"


def test_every_reason_says_what_would_take_it_away() -> None:
    assert {"touched", "touched_benefit", "shared_benefit"} <= set(OTHER_WEAKNESSES) & set(REMEDIES)
    assert "touched_untested" in LIMITS and {"spillover", "dominant_place", "shared_shocks"} <= set(REMEDIES)


def test_numbers_of_a_few_touched_people_are_not_published_and_count_as_untested() -> None:
    guard = Guard(rollout(0.0, 0.0), replace(rules_of(rollout(0.0, 0.0)), count=10))
    few = number(0.1, 0.1)
    few = replace(few, labels=few.labels.assign(units_exposed=3, units_comparison=40))
    guard = guard.touched_by_few([("a", "y", "BesideUntouched", few), ("a", "y", "TwoWayFixedEffects", few)], 0.95)
    evidence = replace(CLAIM, component="a", checks=(*seen("spillover", "failed", -0.2, 0.2), *seen("rungs", "passed")))
    told = guard.evidence(evidence, "").checks
    assert [c.status for c in told] == ["informational", "passed"] and math.isnan(told[0].conf_low)
    large = replace(evidence, checks=(CheckOutcome("dominant_place", "failed", "One place, Leeds, ...", 0.61),))
    (check,) = guard.evidence(large, "").checks
    assert "Leeds" not in check.words and math.isnan(check.estimate) and check.status == "failed"


def rollout(spill: float, own: float) -> ek.Study:
    """Thirty places on a ring, followed for 14 periods; a place without it gains `spill` beside one that has it."""
    rng, G, T = np.random.default_rng(2), 30, 14
    start, u = rng.integers(4, T + 10, G), np.arange(T)
    on = u >= start[:, None]
    near = (np.roll(on, 1, axis=0) | np.roll(on, -1, axis=0)) & ~on
    y = rng.normal(size=(G, 1)) + rng.normal(size=T) + 0.2 * rng.normal(size=(G, T)) + own * on + spill * near
    frame = pd.DataFrame({"place": np.repeat(np.arange(G), T), "t": np.tile(u, G), "a": on.ravel() * 1, "y": y.ravel()})
    beside = pd.DataFrame([(i, (i + d) % G) for i in range(G) for d in (-1, 1)], columns=["place", "neighbour"])
    a = ek.Component("a", exposure="a", neighbours=beside)
    return ek.Study(frame, unit="place", period="t", outcome="y", components=[a], matters=0.4)


def test_an_effect_that_neighbours_share_is_found_beside_untouched_places() -> None:
    found = ek.evaluate(rollout(spill=0.6, own=0.6))
    said, told = found.checks.set_index("check"), found.effects.set_index("design")
    assert told.loc["StaggeredRollout(same)", "conf_high"] < 0.6
    for design in ("BesideUntouched", "OnNeighbours"):
        assert told.loc[design, "conf_low"] < 0.6 < told.loc[design, "conf_high"] and not told.loc[design, "headline"]
    assert said.loc["spillover", "status"] == "failed"
    assert said.loc["on_neighbours", "status"] == "informational" and said.loc["on_neighbours", "conf_low"] > 0
    assert found.verdicts["verdict"].item() in ("likely", "cannot_tell")


def test_harm_that_is_the_neighbours_gain_is_not_claimed() -> None:
    found = ek.evaluate(rollout(spill=0.6, own=0.0))
    assert found.verdicts["verdict"].item() == "cannot_tell" and found.verdicts["conf_high"].item() < 0
    assert OTHER_WEAKNESSES["touched"].format(places="places") in found.verdicts["reasons"].item()


def test_an_event_study_of_which_rounding_leaves_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, heads = Guard(rollout(0.0, 0.0), rules_of(rollout(0.0, 0.0))), {"units_exposed": 90, "units_comparison": 400}
    frame = pd.DataFrame({"event_time": [0, 1], "estimate": [0.2, np.nan], "conf_low": [-0.1, np.nan],
                          "conf_high": [0.5, np.nan], "reason": ["", "nobody to compare with"]})  # fmt: skip
    for step, told in ((0.5, [0.0, np.nan]), (1.0, [np.nan, np.nan])):
        monkeypatch.setattr(Guard, "step", lambda *_, step=step: step)
        made = guard.event_study(frame, frame.assign(**heads), ("a", "y"))
        np.testing.assert_array_equal(made["estimate"], told)
    assert made["reason"].tolist() == [NOTHING_LEFT, "nobody to compare with"]
    assert guard.log[-1][:2] == ("event_studies", "a, y")
