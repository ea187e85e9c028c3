"""Beside untouched places, and on those touched: both are read exactly where there is no noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.protocol import Design
from evalkit.designs.regression.joint import JointEventStudy
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.touched import TOUCHED, BesideUntouched, OnNeighbours, rings, touched, untouched_paths
from evalkit.designs.trials.randomised import RandomisedComparison
from evalkit.errors import NotIdentifiedError

G, T, OWN, NEAR, FAR = 24, 14, 0.5, 0.3, 0.1


def starts() -> np.ndarray:
    return np.random.default_rng(4).integers(4, T + 14, G)


def study(neighbours: bool = True, scale: float = 1.0) -> ek.Study:
    """Places on a ring: NEAR to those beside a place with it, FAR to the next but one, nothing to any other."""
    u, start = np.arange(T), starts()
    on = u >= start[:, None]
    near = (np.roll(on, 1, axis=0) | np.roll(on, -1, axis=0)) & ~on
    far = (np.roll(on, 2, axis=0) | np.roll(on, -2, axis=0)) & ~on & ~near
    y = OWN * on + scale * (NEAR * near + FAR * far) + u + np.arange(G)[:, None]
    y = y + 1e-6 * np.random.default_rng(1).normal(size=y.shape)
    frame = pd.DataFrame({"place": np.repeat(np.arange(G), T), "t": np.tile(u, G), "a": on.ravel().astype(int)})
    pairs = [(i, (i + d) % G, abs(d)) for i in range(G) for d in (-2, -1, 1, 2)]
    beside = pd.DataFrame(pairs, columns=["place", "neighbour", "ring"]) if neighbours else None
    a = ek.Component("a", exposure="a", neighbours=beside)
    return ek.Study(frame.assign(y=y.ravel()), unit="place", period="t", outcome="y", components=[a], matters=0.2)


def average(design: Design, of: ek.Study) -> float:
    found = design(of, "a")
    one = found.over(0, None)
    return float(one.value[0])


@pytest.mark.parametrize("design", [StaggeredRollout(), StaggeredRollout(weights="least_noise"), JointEventStudy()])
def test_untouched_places_give_the_whole_effect_where_all_places_hide_it(design: Design) -> None:
    made = study()
    assert average(design, made) < OWN - 0.1
    assert average(BesideUntouched(design), made) == pytest.approx(OWN, abs=1e-4)


def test_what_neighbours_do_is_told_by_ring_and_holds_nothing_of_the_own_effect() -> None:
    made, design = study(), StaggeredRollout()
    assert rings(made.paths, "a") == (1, 2)
    assert average(OnNeighbours(design, 2), made) == pytest.approx(FAR, abs=1e-4)
    assert FAR < average(OnNeighbours(design), made) < NEAR
    near = OnNeighbours(design, 1)(made, "a")
    assert near.labels["population"].iloc[0].endswith("in ring 1")
    # Who was touched from afar before is no longer untouched: those of ring 1 are they who were touched there at once.
    assert float(near.over(0, None).value[0]) == pytest.approx(NEAR, abs=1e-4)


def test_touched_periods_are_neither_with_it_nor_without_it() -> None:
    made = study()
    paths, k = untouched_paths(made.paths, "a"), 0
    own, before = paths.state[paths.path, :, k], made.paths.state[made.paths.path, :, k]
    near = made.paths.near["a"]
    assert ((own == TOUCHED) == ((before == 0) & (near.ring[near.of] > 0))).all()
    assert (own[own != TOUCHED] == before[own != TOUCHED]).all()


def test_plans_see_no_outcome_and_agree_with_the_call() -> None:
    made = study()
    plan = BesideUntouched(StaggeredRollout()).plan(made.paths, "a")
    ring = OnNeighbours(StaggeredRollout()).plan(made.paths, "a")
    assert len(plan) == len({c.path for c in plan}) and len(plan) > 0
    assert all(c.cohort >= 4 for c in ring)


def test_without_neighbours_it_cannot_be_asked() -> None:
    for design in (BesideUntouched(StaggeredRollout()), OnNeighbours(StaggeredRollout())):
        with pytest.raises(NotIdentifiedError, match="neighbours="):
            design(study(neighbours=False), "a")
    assert not touched(study(neighbours=False).paths, "a") and touched(study().paths, "a")


def test_what_chance_dealt_is_not_dealt_again() -> None:
    with pytest.raises(NotIdentifiedError, match="chance dealt"):
        BesideUntouched(RandomisedComparison())(study(), "a")
