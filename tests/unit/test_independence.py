"""How many places an answer is worth, one that decides it, and shocks that places share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import checks
from evalkit.checks.independence import STARTS, Independence, counted_by, independence
from evalkit.checks.noise import Noise
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.sums import over_base
from evalkit.inference import Estimate

DESIGN = StaggeredRollout(base_window=6)
T = 12


def study(shared: float = 0.0, regions: bool = False, big: int = 1, effect: float = 0.0, seed: int = 3) -> ek.Study:
    """24 places in four regions that start together, two of them never; shocks that a region shares; one place of the
    first region with `big` times the people of others."""
    rng, G = np.random.default_rng(seed), 24
    region, u = np.repeat(np.arange(4), 6), np.arange(T)
    start = np.array([6, 8, 99, 99])[region]
    y = rng.normal(size=(G, 1)) + rng.normal(size=T) + 0.3 * rng.normal(size=(G, T))
    y = y + shared * rng.normal(size=(4, T))[region] + effect * (u >= start[:, None])
    place = np.repeat(np.arange(G), np.where(np.arange(G) == 0, big, 1))
    frame = pd.DataFrame({
        "who": np.repeat(np.arange(len(place)), T), "place": np.repeat(place, T), "region": np.repeat(region[place], T),
        "t": np.tile(u, len(place)), "y": y[place].ravel(), "b": 0,
        "a": (u >= start[place][:, None]).astype(int).ravel(),
    })  # fmt: skip
    frame["b"] = ((frame["region"] == 3) & (frame["t"] >= 11)).astype(int)
    parts = [ek.Component("a", exposure="a", assigned_at="place")]
    parts += [ek.Component("b", exposure="b", assigned_at="region")] if regions else []
    return ek.Study(frame, unit="who", period="t", cluster="place", outcome="y", components=parts, matters=0.4)


def answer(of: ek.Study) -> tuple[Independence, Estimate]:
    one = DESIGN(of, "a").over(0, 3)
    found = independence(of, "a", DESIGN, over_base(one.weights(), of.paths.periods))
    assert found is not None
    return found, one


def bare(variance: list[float]) -> Independence:
    zero = np.zeros((len(variance), 2))
    return Independence(np.arange(len(variance)), np.array(variance), zero, Noise(0.0, zero[:, 0]), zero, zero > 0, {})


def test_effective_clusters_are_those_of_carter_schnepel_and_steigerwald() -> None:
    assert bare([2.0] * 7).effective == pytest.approx(7)
    gamma = np.array([5.0, 1.0, 1.0, 0.5, 0.0])
    spread = ((gamma - gamma.mean()) ** 2).mean() / gamma.mean() ** 2
    assert bare(list(gamma)).effective == pytest.approx(5 / (1 + spread))
    found, _ = answer(study())
    assert found.effective == pytest.approx(24 / (1 + np.var(found.variance) / found.variance.mean() ** 2))
    said = checks.effective_clusters(found, "borough")
    assert said.status == "informational" and said.words.startswith("24 boroughs carry the answer")


def test_what_places_add_is_the_working_variance_of_the_answer() -> None:
    found, one = answer(study())
    cells = found.weights
    assert cells.sum() == pytest.approx(0, abs=1e-9) and cells[:12, 6:].sum() > 0.5
    by_hand = [w @ found.noise.correlation(T) @ w * v for w, v in zip(cells, found.noise.variance, strict=True)]
    assert found.variance == pytest.approx(np.array(by_hand))
    assert 0.3 < found.variance.sum() / one.vcov()[0, 0] < 3


def test_a_place_that_decides_fails_where_the_answer_is_another_one_without_it() -> None:
    alike, one = answer(study())
    assert checks.dominant_place(alike, one, 0.4, "place").status == "passed"
    found, one = answer(study(big=40, effect=1.0))
    told = checks.dominant_place(found, one, 0.4, "place")
    assert told.estimate > 0.5 and told.status == "passed" and "place, 0," in told.words and found.effective < 3
    refits = one.replicates
    lone = replace(
        one, replicate=lambda: replace(refits, values=np.where(refits.names[:, None] == 0, 0.0, refits.values))
    )
    assert checks.dominant_place(found, lone, 0.4, "place").status == "failed"


@pytest.mark.parametrize("seed", range(6))
def test_deals_that_make_the_same_groups_are_as_alike_in_whatever_order_they_are_summed(seed: int) -> None:
    """Of seven places the three that start together are the most alike of 35 threes, so that p is 1 in 35."""
    rng = np.random.default_rng(seed)
    r = rng.normal(size=(7, 9))
    r[:3] = r[0] + 0.1 * rng.normal(size=(3, 9))
    found = replace(
        bare([1.0] * 7), residual=r, free=np.ones(r.shape, dtype=bool), weights=np.ones(r.shape),
        noise=Noise(0.0, (r**2).mean(axis=1)), groups={STARTS: np.array([0, 0, 0, 1, 2, 3, 4])},
    )  # fmt: skip
    (asked,) = found.asked
    assert asked.p == pytest.approx(1 / 35, abs=0.015)


def test_shocks_of_places_that_start_together_are_found_and_widen_the_answer() -> None:
    found, one = answer(study(shared=0.5))
    (shared,) = found.sure
    assert shared.name == STARTS and shared.groups == 2
    asked = [answer(study(shared=0.5, seed=seed))[0].asked[0].variance for seed in range(3, 9)]
    assert np.mean(asked) == pytest.approx(0.25, abs=0.1)
    low, high = counted_by(found, shared, one)
    row = one.to_frame().iloc[0]
    assert low < row["conf_low"] and high > row["conf_high"]
    told = checks.shared_shocks(found, one, 0.4, "places", {})
    assert (told.conf_low, told.conf_high) == (low, high) and "that begin together" in told.words


def test_places_that_share_nothing_pass() -> None:
    found, one = answer(study())
    assert found.asked and not found.sure
    assert checks.shared_shocks(found, one, 0.4, "places", {}).status == "passed"


def test_the_shared_part_is_that_of_pairs_by_hand() -> None:
    found, one = answer(study(shared=0.5))
    (shared,) = found.sure
    R, code = Noise(shared.rho, np.empty(0)).correlation(T), found.groups[STARTS]
    pairs = sum(
        found.weights[i] @ R @ found.weights[j]
        for i in range(24) for j in range(24) if i != j and code[i] == code[j]
    )  # fmt: skip
    row = one.to_frame().iloc[0]
    own, more = row["std_error"] ** 2, shared.variance * pairs
    df = (own + more) ** 2 / (own**2 / row["df"] + more**2)
    from scipy import stats

    low, high = counted_by(found, shared, one)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, df) * np.sqrt(own + more))


def test_a_level_of_the_register_is_a_group_and_a_single_kind_is_none() -> None:
    found, one = answer(study(shared=0.5, regions=True))
    assert set(found.groups) == {STARTS, "region"}
    kinds = {s.name: s.groups for s in found.sure}
    assert kinds["region"] == 4
    told = checks.shared_shocks(found, one, 0.4, "places", {"region": "region"})
    assert "in the same region" in told.words
    lone = replace(found, groups={})
    assert checks.shared_shocks(lone, one, 0.4, "places", {}).status == "informational"


def test_a_claim_that_rests_on_two_starts_with_shared_shocks_is_not_made() -> None:
    sure = ek.evaluate(study(effect=1.5)).verdicts["verdict"].item()
    assert sure in ("shown", "likely")
    shaken = ek.evaluate(study(shared=0.6, effect=1.0))
    told = shaken.checks.set_index("check")
    assert told.loc["shared_shocks", "status"] == "failed" and shaken.verdicts["verdict"].item() == "cannot_tell"
    assert {"effective_clusters", "dominant_place"} <= set(told.index)
