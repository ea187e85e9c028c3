"""Who is missing: shares by hand, Lee's bounds by hand, and whether those missing decide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.checks.attrition import Followed, followed, stayers, trimmed_shifts
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.inference.estimate import Estimate


def panel(missing: dict[int, int], effect: float = 0.0, places: int = 12, people: int = 30, seed: int = 1) -> ek.Study:
    """Half of the places start at period 4 of 8; missing: of the people of an exposed place, how many of the worst off
    go unseen in each period from then on, by place."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(places):
        start = 4 if place < places // 2 else 99
        level = rng.normal(0, 1, people)
        for t in range(8):
            y = level + rng.normal(0, 1, people) + effect * (t >= start)
            if t >= start and missing.get(place):
                y[np.argsort(y)[: missing[place]]] = np.nan
            rows += [(f"{place}-{i}", f"place {place}", t, int(t >= start), v) for i, v in enumerate(y)]
    frame = pd.DataFrame(rows, columns=["person", "place", "month", "on", "y"]).dropna()
    return ek.Study(frame, unit="person", period="month", components=["on"], outcome="y", cluster="place", matters=0.3)


def test_the_mean_without_the_lowest_and_the_highest_fifth_by_hand() -> None:
    down, up = trimmed_shifts(np.array([1.0, 2.0, 3.0, 4.0, 10.0]), 0.2)
    assert (down, up) == pytest.approx((2.5 - 4.0, 4.75 - 4.0))


def test_a_value_at_the_edge_is_divided() -> None:
    down, _ = trimmed_shifts(np.array([0.0, 4.0]), 0.25)  # 0 whole and half of 4, over 1.5
    assert down == pytest.approx(2 / 1.5 - 2.0)
    assert trimmed_shifts(np.ones(4), 0.0) == (0.0, 0.0)


def test_shares_are_those_of_people_seen_at_the_base() -> None:
    study = panel({place: 3 for place in range(6)})
    seen = followed(StaggeredRollout(), study, "on", 0, None)
    assert (seen.exposed, seen.comparison) == pytest.approx((0.9, 1.0))
    assert seen.p < 1e-6 and seen.differs
    assert seen.trimmed == pytest.approx(0.1)


def test_who_serves_for_longer_does_not_decide() -> None:
    """Everybody fades at the same rate after month 4; half of those beside the first starters start later, so that the
    comparison is thick while most are seen and thin when few are."""
    rng, rows = np.random.default_rng(2), []
    for place in range(24):
        start = 4 if place < 8 else 7 if place < 20 else 99
        for person in range(40):
            last = 4 + rng.geometric(0.2)
            rows += [(f"{place}-{person}", place, t, int(t >= start), rng.normal()) for t in range(min(last, 14))]
    frame = pd.DataFrame(rows, columns=["person", "place", "month", "on", "y"])
    study = ek.Study(frame, unit="person", period="month", components=["on"], outcome="y", cluster="place")
    seen = followed(StaggeredRollout(), study, "on", 0, None)
    assert seen.exposed < 0.9 and abs(seen.exposed - seen.comparison) < 0.05
    assert not seen.differs


def test_one_place_that_loses_some_is_no_more_than_chance() -> None:
    seen = followed(StaggeredRollout(), panel({0: 6}), "on", 0, None)
    assert seen.exposed == pytest.approx(1 - 6 / 180) and not seen.differs


def one(value: float, se: float) -> Estimate:
    n = 50
    influence = np.full((n, 1), se / np.sqrt(n)) * np.where(np.arange(n) % 2, 1, -1)[:, None]
    return Estimate.from_influence([value], influence, pd.DataFrame({"estimand": ["ATT"]}))


SPREAD = (np.linspace(-2, 2, 401), np.linspace(-2, 2, 401))


def test_a_claim_that_those_missing_could_account_for_fails() -> None:
    found = stayers(one(0.2, 0.05), Followed(0.9, 1.0, 0.001), SPREAD, 0.3)
    assert found.status == "failed" and found.conf_low < 0 < found.conf_high
    assert "90 in 100 with it and 100 in 100 without it" in found.words


def test_a_claim_larger_than_any_of_those_missing_stays() -> None:
    found = stayers(one(1.0, 0.05), Followed(0.9, 1.0, 0.001), SPREAD, 0.3)
    assert found.status == "passed" and found.conf_low > 0.5


def test_the_bounds_lie_on_the_side_of_those_who_are_missing() -> None:
    """The comparison is trimmed where those with it are missing: without its worst off the effect is smaller."""
    values = (np.zeros(100), np.concatenate([np.full(10, -8.0), np.zeros(90)]))
    found = stayers(one(1.0, 0.0001), Followed(0.9, 1.0, 0.001), values, 0.3)
    assert found.conf_low == pytest.approx(1.0 - 0.8, abs=0.01)
    assert found.conf_high == pytest.approx(1.0 + 0.08 / 0.9, abs=0.02)


def test_shares_apart_by_chance_decide_nothing() -> None:
    assert stayers(one(0.2, 0.05), Followed(0.9, 1.0, 0.4), SPREAD, 0.3).status == "passed"


def test_no_sign_is_not_said_where_those_missing_could_hide_what_matters() -> None:
    assert stayers(one(0.0, 0.05), Followed(0.9, 1.0, 0.001), SPREAD, 0.3).status == "failed"
    assert stayers(one(0.0, 0.05), Followed(0.985, 1.0, 0.001), SPREAD, 0.3).status == "passed"


def test_bad_outcomes_that_go_unseen_make_no_claim() -> None:
    verdict = ek.evaluate(panel({place: 4 for place in range(6)}, places=12)).verdicts.iloc[0]
    assert verdict["verdict"] == "cannot_tell"
