"""Where one status, or one comparison, gives way to another: both sides of every boundary, in counts made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from evalkit.components import separability
from evalkit.components.status import people_stronger
from evalkit.components.switches import Tally
from tests.unit.separability_cases import NEVER, people, starts, study_of

STAGGERED = np.array([4, 4, 5, 6, 7, 8, 9, 10, NEVER, NEVER, NEVER, NEVER])


def tally_of(*counts: tuple[int, int]) -> Tally:
    """So many exposed and comparison clusters at event times 0, 1, ..., always the first ones."""
    arms = [np.array([[cluster < row[arm] for cluster in range(12)] for row in counts]) for arm in (0, 1)]
    return Tally(*arms)


def stronger(clean: tuple[int, int], people: tuple[int, int], noise: tuple[float, float] = (1.0, 9.0)) -> bool:
    fact = SimpleNamespace(lag=0, same=tally_of(clean), noise=noise)
    return people_stronger(fact, tally_of(people))


@pytest.mark.parametrize(
    ("clean", "people", "noise", "expected"),
    [
        # Twice as many exposed clusters, whatever else.
        ((3, 3), (6, 2), (1.0, 9.0), True), ((3, 3), (5, 2), (1.0, 9.0), False), ((4, 3), (8, 3), (1.0, 9.0), True),
        # Three on both sides where clean comparisons have fewer than three on one.
        ((2, 5), (3, 3), (1.0, 9.0), True), ((5, 2), (3, 3), (1.0, 9.0), True), ((2, 5), (3, 2), (1.0, 9.0), False),
        ((3, 3), (3, 3), (1.0, 9.0), False), ((3, 3), (4, 4), (1.0, 9.0), False),
        # Half the expected noise, on three clusters on both sides.
        ((3, 3), (3, 3), (1.0, 0.5), True), ((3, 3), (3, 3), (1.0, 0.51), False), ((3, 3), (5, 2), (1.0, 0.1), False),
    ],
)  # fmt: skip
def test_people_are_stronger_from_here_on(
    clean: tuple[int, int], people: tuple[int, int], noise: tuple[float, float], expected: bool
) -> None:
    assert stronger(clean, people, noise) is expected


def test_people_come_first_where_they_are_stronger_even_if_clean_comparisons_hold() -> None:
    """b alone in sites 0 and 1, with a in sites 4 to 7, never elsewhere: two clean starts, six by people."""
    a = np.array([NEVER, NEVER, NEVER, NEVER, 6, 6, 6, 6, NEVER, NEVER])
    b = np.array([5, 5, NEVER, NEVER, 6, 6, 6, 6, NEVER, NEVER])
    row = separability(people(np.column_stack([a, b]), [[1, 1], [1, 0]])).components.set_index("component").loc["b"]
    assert (row["status"], row["best_design"], row["clusters_exposed"]) == ("separable", "TripleDifference", 6)
    alone = np.where(np.arange(10) < 2, b, NEVER)
    row = separability(people(np.column_stack([a, alone]), [[1, 1], [1, 0]])).components.set_index("component").loc["b"]
    assert (row["best_design"], row["clusters_exposed"]) == ("StaggeredRollout(same)", 2)


def test_in_a_swap_and_in_a_bundle_is_a_bundle() -> None:
    """a and c go together and b is on where they are not: a is bound to c for good, b only ever swapped."""
    a = starts(STAGGERED[:, None], 16)
    found = separability(study_of(np.concatenate([a, 1 - a, a], axis=2)))
    assert found.components["status"].tolist() == ["bundle_only", "swap_only", "bundle_only"]
    assert found.components["best_design"].tolist() == ["bundle", "swap", "bundle"]


def test_a_window_needs_enough_at_every_event_time_up_to_the_lag() -> None:
    gap = tally_of((3, 3), (1, 3), (3, 3), (2, 2), (2, 1))
    assert [gap.until(lag) for lag in range(6)] == [0, -1, -1, -1, -1, -1]
    assert tally_of((3, 3), (2, 2), (2, 2), (2, 1)).until(0) == 2
    assert tally_of((3, 3), (2, 2), (2, 2), (2, 1)).until(2) == 2
    assert tally_of((3, 3), (2, 2)).until(1) == 1
    assert tally_of((1, 3)).until(0) == tally_of((3, 1)).until(0) == -1


def test_a_clean_switch_lasts_through_the_lag() -> None:
    """Clusters 0 to 3 at the start, 0 to 1 one period on, 0 to 2 after two: two last throughout."""
    counts = tally_of((4, 2), (2, 2), (3, 2))
    assert [counts.clean(lag) for lag in range(4)] == [4, 2, 2, 0]


def test_people_of_one_cluster_do_not_overlap_with_each_other() -> None:
    """Cross-section: within a value of b everybody lives in one cluster, with a and without it."""
    a, b = [0, 1, 0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1]
    state = np.column_stack([a, b])[:, None, :]
    same = separability(study_of(state, np.array([0, 0, 0, 0, 1, 1, 1, 1])))
    assert same.status("a") == "additive_only"
    apart = separability(study_of(state, np.array([0, 0, 1, 1, 2, 2, 3, 3])))
    assert apart.status("a") == "separable"
    row = apart.components.set_index("component").loc["a"]
    assert (row["clusters_exposed"], row["clusters_comparison"]) == (4, 4)


@pytest.mark.parametrize(("lag", "swap"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_stop_within_the_lag_of_a_start_makes_a_swap(lag: int, swap: bool) -> None:
    """Education stops two periods before groups start, everywhere."""
    first = np.column_stack([STAGGERED - 2 - np.arange(12) % 2, STAGGERED + 2])
    state = starts(first, 20)
    state[:, :, 0] &= 1 - starts(STAGGERED[:, None], 20)[:, :, 0]
    found = separability(study_of(state, names=("education", "groups"), lags=[0, lag]))
    assert (found.status("groups") == "swap_only") is swap
