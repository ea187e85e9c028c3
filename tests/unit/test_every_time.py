"""No sign is none at any time; a window ends where too few places are left; one family over outcomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.components.switches import Tally
from evalkit.errors import StudyError
from evalkit.verdicts.evidence import Evidence
from evalkit.verdicts.rules import OTHER_WEAKNESSES, decide

FLAT = Evidence(
    component="x", outcome="y", status="separable", matters=0.3, estimate=0.0, conf_low=-0.1, conf_high=0.1,
    std_error=0.05, df=20, p_adjusted=0.9, clusters_exposed=8, clusters_comparison=8, period="month",
)  # fmt: skip


def test_no_sign_needs_every_claimed_time_below_what_matters() -> None:
    assert decide(replace(FLAT, by_time=(-0.2, 0.29))).verdict == "no_sign"
    late = decide(replace(FLAT, by_time=(-0.2, 0.31)))
    assert late.verdict == "cannot_tell" and late.reasons == (OTHER_WEAKNESSES["some_time"].format(periods="months"),)


def test_lower_is_better_looks_at_the_other_end() -> None:
    assert decide(replace(FLAT, better="lower", by_time=(-0.31, 0.2))).verdict == "cannot_tell"
    assert decide(replace(FLAT, better="lower", by_time=(-0.2, 0.31))).verdict == "no_sign"


def test_a_time_without_a_range_rules_nothing_out() -> None:
    assert decide(replace(FLAT, by_time=(np.nan, np.nan))).verdict == "cannot_tell"


def remaining(exposed: list[int], comparison: list[int]) -> Tally:
    return Tally(*(np.arange(12) < np.array(n)[:, None] for n in (exposed, comparison)))


def test_a_window_is_claimed_while_a_third_of_the_first_remain_and_two_on_either_side() -> None:
    assert remaining([9, 9, 3, 2, 2], [9] * 5).until(0) == 2
    assert remaining([6, 4, 2, 2, 1], [9] * 5).until(0) == 3
    assert remaining([6] * 5, [9, 9, 2, 1, 1]).until(0) == 2
    assert remaining([12, 9, 3, 3, 2], [9] * 5).until(1) == 3  # the first claimed period is the one after the lag


def late(effect: float, seed: int = 3) -> ek.Study:
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(40):
        start, level = (8 if place < 20 else 99), rng.normal()
        for t in range(20):
            y = level + rng.normal(0, 0.15) + effect * (t >= start + 10)
            rows.append((f"p{place}", t, int(t >= start), y, y + rng.normal(0, 0.1)))
    frame = pd.DataFrame(rows, columns=["place", "month", "on", "y", "z"])
    return ek.Study(frame, unit="place", period="month", components=["on"], outcomes=[
        ek.Outcome("y", matters=0.3), ek.Outcome("z", matters=0.3)])  # fmt: skip


def test_an_effect_that_comes_late_is_never_no_sign() -> None:
    found = ek.evaluate(late(0.5)).verdicts
    assert not (found["verdict"] == "no_sign").any()


def test_one_family_adjusts_over_all_outcomes() -> None:
    apart = ek.evaluate(late(0.0)).verdicts["p_adjusted"].to_numpy()
    together = ek.evaluate(late(0.0).replace(family="all")).verdicts["p_adjusted"].to_numpy()
    assert together.min() == pytest.approx(min(2 * apart.min(), 1.0))
    assert (together >= apart - 1e-12).all()


def test_a_family_that_there_is_not_is_refused() -> None:
    with pytest.raises(StudyError, match="family='both'.*'outcome', or 'all'"):
        late(0.0).replace(family="both")


def test_the_family_is_kept_in_a_study_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    study = late(0.0).replace(family="all")
    assert ek.Study.load(study.save(tmp_path)).family == "all"
