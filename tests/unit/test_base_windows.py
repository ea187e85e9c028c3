"""Without a cluster the base window of a start is chosen again: longer, or shorter, than with it (design 2.6)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from tests.contract.test_designs import people, study

OUTCOMES = {"adopter": [0, 1, 2, 6, 20], "busy": [0, 0, 0, 4, 5], "rising": [0, 3, 6, 9, 12], "flat": [0, 2, 2, 2, 4]}


def effects_without_each(*sites: str) -> tuple[float, dict[str, float]]:
    """The effect in period 5, where "adopter" starts a, and the same without each site. "busy" has b in period 3, so
    that it is alike from period 4 on only."""
    rows = [
        {"site": site, "month": month, "a": int(site == "adopter" and month == 5),
         "b": int(site == "busy" and month == 3), "y": float(y)}
        for site in sites for month, y in enumerate(OUTCOMES[site], 1)
    ]  # fmt: skip
    study = ek.Study(pd.DataFrame(rows), unit="site", period="month", outcome="y", components=["a", "b"])
    est = ek.StaggeredRollout(base_window=3)(study, "a")
    row = int(np.flatnonzero(est.labels["event_time"] == 0)[0])
    return est.value[row], dict(zip(est.replicates.names, est.replicates.values[:, row], strict=True))


def test_a_window_grows_where_the_place_that_kept_it_short_is_left_out():
    effect, without = effects_without_each("adopter", "busy", "rising")
    assert effect == pytest.approx(14 - (1 + 3) / 2)  # from period 4: a longer window would leave one place only
    assert without["busy"] == pytest.approx(17 - 6)  # from the mean of periods 2 to 4
    assert without["rising"] == pytest.approx(14 - 1)
    assert np.isnan(without["adopter"])


def test_a_window_shrinks_where_one_of_the_two_places_that_bear_it_is_left_out():
    effect, without = effects_without_each("adopter", "busy", "rising", "flat")
    assert effect == pytest.approx(17 - (6 + 2) / 2)
    assert without["flat"] == pytest.approx(14 - (1 + 3) / 2)
    assert without["rising"] == pytest.approx(14 - (1 + 2) / 2)
    assert without["busy"] == pytest.approx(effect)


@pytest.mark.parametrize(
    "design",
    [
        ek.TripleDifference(base_window=4),
        ek.TripleDifference(base_window=3, adjust="reg"),
        ek.StaggeredRollout(base_window=3, adjust="reg", others="ignored"),
        ek.StaggeredRollout(base_window=3, arrival=2),
    ],
    ids=str,
)
def test_refits_of_people_are_refits_by_hand(design):
    frame = people(sites=8, each=6, periods=8)
    est = design(study(frame), "a")
    for site in (0, 1, 5):
        again = design(study(frame[frame["site"] != site]), "a")
        mine = est.labels[["cohort", "period"]].assign(value=est.replicates.values[site])
        both = mine.merge(again.labels[["cohort", "period"]].assign(by_hand=again.value), how="left")
        np.testing.assert_allclose(both["value"], both["by_hand"], atol=1e-9)


@pytest.mark.parametrize("seed", [18, 22, 32, 33])
def test_every_start_may_have_another_window_in_some_refit(seed):
    """Then no start is read as it was."""
    rng = np.random.default_rng(seed)
    start = np.array([4, rng.choice([4, 99]), 99, 99, 99])
    other, t = rng.choice([1, 2, 3, 99], 5), np.arange(8)
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(5), 8), "month": np.tile(t, 5), "y": rng.normal(size=40),
        "a": (t >= start[:, None]).astype(int).ravel(), "b": (t >= other[:, None]).astype(int).ravel(),
    })  # fmt: skip

    def answer(rows: pd.DataFrame):
        made = ek.Study(rows, unit="site", period="month", outcome="y", components=["a", "b"])
        return ek.StaggeredRollout(base_window=4, weights="equal")(made, "a").over(0, 2)

    refits = answer(frame).replicates.values[:, 0]
    for site in range(1, 5):
        assert refits[site] == pytest.approx(answer(frame[frame["site"] != site]).value[0])
