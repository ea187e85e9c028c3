"""Lean: the words partition every range, hold at their bounds, and are a column of the verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evalkit.verdicts.lean import LEANS_FROM, flat_chance, lean_of, lean_of_range, leans
from evalkit.vocabulary import LEANS
from tests.unit.evidence_cases import LAW, NURSE


def test_every_range_has_exactly_one_word() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(-1, 2, 100_000)
    high, better = low + rng.exponential(2, 100_000), rng.random(100_000)
    harm, benefit, neither = low > -1, high < 1, (low <= -1) & (high >= 1)
    claims = {
        "both_ruled_out": harm & benefit, "harm_ruled_out": harm & ~benefit, "benefit_ruled_out": benefit & ~harm,
        "leans_better": neither & (better >= 0.85), "leans_worse": neither & (better <= 0.15),
        "says_nothing": neither & (better > 0.15) & (better < 0.85),
    }  # fmt: skip
    words = leans(low, high, better)
    assert (sum(c.astype(int) for c in claims.values()) == 1).all()
    for word, claimed in claims.items():
        assert claimed.sum() > 100
        assert ((words == word) == claimed).all(), word
    assert set(claims) | {""} == set(LEANS)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (-1.0, 1.0, 0.5, "says_nothing"), (-0.99, 1.0, 0.5, "harm_ruled_out"), (-1.0, 0.99, 0.5, "benefit_ruled_out"),
        (-0.99, 0.99, 0.5, "both_ruled_out"), (-1.0, 1.0, LEANS_FROM, "leans_better"),
        (-1.0, 1.0, 1 - LEANS_FROM, "leans_worse"), (0.2, 3.0, 0.99, "harm_ruled_out"),
    ],
)  # fmt: skip
def test_bounds_by_hand(low: float, high: float, better: float, word: str) -> None:
    assert lean_of_range((low, high), 1.0, better) == word
    assert lean_of_range((5 * low, 5 * high), 5.0, better) == word


def test_without_what_matters_only_the_side_of_zero_is_ruled_out() -> None:
    assert [lean_of_range(r, None, 0.99) for r in ((0.1, 2), (-2, -0.1), (-1, 1))] == [
        "harm_ruled_out", "benefit_ruled_out", "says_nothing",
    ]  # fmt: skip
    assert lean_of_range((np.nan, 1.0), 1.0, 0.5) == ""


def test_the_flat_chance_is_that_of_t() -> None:
    assert flat_chance(0.5, 0.4, 7.0) == pytest.approx(stats.t.cdf(0.5 / 0.4, 7), abs=1e-12)
    assert flat_chance(0.5, 0.4, np.inf) == pytest.approx(stats.norm.cdf(1.25), abs=1e-6)
    assert flat_chance(0.5, np.nan, 7.0) == 0.5


def test_evidence_is_turned_so_that_benefit_is_positive() -> None:
    assert (LAW.better, lean_of(LAW)) == ("lower", "harm_ruled_out")
    higher = replace(LAW, estimate=0.06, conf_low=0.021, conf_high=0.105)
    assert lean_of(higher) == "benefit_ruled_out"
    wide = replace(NURSE, estimate=0.04, conf_low=-0.05, conf_high=0.13, std_error=0.03, df=12.0)
    assert lean_of(wide) == "leans_better"
    assert lean_of(replace(wide, estimate=-0.04, conf_low=-0.13, conf_high=0.05)) == "leans_worse"
    assert lean_of(replace(NURSE, conf_low=np.nan)) == ""
    assert lean_of(replace(NURSE, status="too_few_clusters")) == ""
