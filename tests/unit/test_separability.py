"""Statuses, pairs, bundles and cures on rollouts whose answer is known by construction."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.components import Separability, separability


def _cases() -> ModuleType:
    path = Path(__file__).with_name("separability_cases.py")
    spec = importlib.util.spec_from_file_location("separability_cases", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = _cases()
NEVER, STAGGERED, CROSSED, AT_ONCE = cases.NEVER, cases.STAGGERED, cases.CROSSED, cases.AT_ONCE
rollout, study_of, starts, people = cases.rollout, cases.study_of, cases.starts, cases.people


def statuses(result: Separability) -> list[str]:
    return result.components["status"].tolist()


def row(result: Separability, component: str) -> pd.Series:
    return result.components.set_index("component").loc[component]


def combos(result: Separability) -> set[tuple[str, tuple[str, ...], tuple[float, ...]]]:
    return {(r.kind, r.members, r.weights) for r in result.bundles.itertuples()}


def test_crossed_is_separable_and_says_for_how_long() -> None:
    found = separability(rollout(STAGGERED, CROSSED))
    assert statuses(found) == ["separable", "separable"]
    assert found.components["best_design"].tolist() == ["StaggeredRollout(same)"] * 2
    assert found.components["switches"].tolist() == [8, 8]
    assert (found.components["clean_until"] > 0).all()
    pair = found.pairs.iloc[0]
    assert pair.by_time and pair.by_place and pair.separable and not pair.by_people and not pair.by_dose
    assert found.bundles.empty and found.aliased == () and found.cure.empty


def test_clean_until_is_the_last_event_time_with_two_on_each_side() -> None:
    # Two clusters start at 3; two more at 6: from then on nobody is left to compare with.
    found = separability(rollout([3, 3, 6, 6]))
    assert row(found, "a").clean_until == 2
    assert row(found, "a").clusters_exposed == 2 and row(found, "a").clusters_comparison == 2


def test_always_together_is_a_bundle_whose_sum_is_identified() -> None:
    found = separability(rollout(STAGGERED, STAGGERED, CROSSED))
    assert statuses(found) == ["bundle_only", "bundle_only", "separable"]
    assert combos(found) == {("together", ("a", "b"), (1.0, 1.0))}
    assert found.aliased == ("“b” is on exactly when “a” is.",)
    assert found.pairs["separable"].tolist() == [False, True, True]
    assert row(found, "a").best_design == "bundle" and np.isnan(row(found, "a").clean_until)


def test_three_together_are_one_bundle() -> None:
    found = separability(rollout(STAGGERED, STAGGERED, STAGGERED))
    assert statuses(found) == ["bundle_only"] * 3
    assert combos(found) == {("together", ("a", "b", "c"), (1.0, 1.0, 1.0))}
    assert len(found.aliased) == 3


def test_exact_swap_identifies_the_difference() -> None:
    state = starts(np.column_stack([STAGGERED, STAGGERED]), 16)
    state[:, :, 1] = 1 - state[:, :, 0]
    found = separability(study_of(state))
    assert statuses(found) == ["swap_only", "swap_only"]
    assert combos(found) == {("swap", ("a", "b"), (1.0, -1.0))}
    assert found.components["best_design"].tolist() == ["swap", "swap"]


@pytest.mark.parametrize("lag", [0, 2])
def test_education_that_stops_as_groups_start_leaves_only_the_swap(lag: int) -> None:
    groups = STAGGERED + lag
    state = starts(np.column_stack([STAGGERED - 2 - np.arange(12) % 2, groups]), 18)
    state[:, :, 0] &= 1 - starts((STAGGERED + 1)[:, None], 18)[:, :, 0]
    found = separability(study_of(state, names=("education", "groups"), lags=[0, lag]))
    assert row(found, "groups").status == "swap_only"
    assert row(found, "education").status == "separable"
    assert combos(found) == {("swap", ("groups", "education"), (1.0, -1.0))}
    assert not found.pairs["separable"].any()


def test_a_swap_is_none_where_education_stops_without_groups() -> None:
    state = starts(np.column_stack([STAGGERED - 2, STAGGERED]), 16)
    state[:, :, 0] &= 1 - state[:, :, 1]
    state[6:8, 3:, 0] = 1
    state[6:8, 7:, 0] = 0
    found = separability(study_of(state, names=("education", "groups")))
    assert row(found, "groups").status != "swap_only"


def test_three_way_alias_names_what_is_identified() -> None:
    b = np.where(np.arange(12) % 3 == 0, 4 + np.arange(12) // 3, NEVER)
    c = np.where(np.arange(12) % 3 == 1, 6 + np.arange(12) // 3, NEVER)
    found = separability(rollout(np.minimum(b, c), b, c))
    assert statuses(found) == ["bundle_only"] * 3
    assert found.aliased == ("“a” is on exactly when “b” or “c” is.",)
    assert combos(found) == {
        ("sum", ("a", "b"), (1.0, 1.0)),
        ("sum", ("a", "c"), (1.0, 1.0)),
        ("swap", ("b", "c"), (1.0, -1.0)),
    }
    assert not found.pairs["separable"].any()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (np.full(12, NEVER), "never on"),
        (np.full(12, -1), "from the first period to the last"),
        (np.where(np.arange(12) < 6, -1, NEVER), "never switched on or off"),
        (AT_ONCE, "same period everywhere"),
    ],
)
def test_absorbed_components_are_not_tested(first: np.ndarray, reason: str) -> None:
    found = separability(rollout(first, STAGGERED))
    assert statuses(found) == ["not_tested", "separable"]
    assert reason in row(found, "a").reason
    assert np.isnan(row(found, "a").clean_until) and row(found, "a").best_design == ""
    assert not found.pairs["separable"].any()


def test_registered_as_always_on_is_not_tested() -> None:
    found = separability(rollout(np.full(12, -1), STAGGERED, always=[True, False]))
    assert row(found, "a").status == "not_tested" and row(found, "a").switches == 0


def test_everybody_at_once_but_only_the_eligible_is_not_tested() -> None:
    found = separability(people(AT_ONCE[:, None], [[1], [0]]))
    assert statuses(found) == ["not_tested"]


def test_one_exposed_cluster_is_too_few() -> None:
    found = separability(rollout(np.where(np.arange(12) == 0, 5, NEVER), STAGGERED))
    assert statuses(found) == ["too_few_clusters", "separable"]
    assert "only 1 site ever had it" in row(found, "a").reason
    assert found.cure["component"].tolist() == ["a"] and "second site" in found.cure["words"][0]


def test_one_cluster_left_to_compare_with_is_too_few() -> None:
    found = separability(rollout(np.where(np.arange(12) == 0, NEVER, 5)))
    assert statuses(found) == ["too_few_clusters"]
    assert row(found, "a").clusters_comparison == 1


def test_two_units_of_one_cluster_count_once() -> None:
    state = starts(np.array([5, 5, NEVER, NEVER, NEVER])[:, None], 12)
    assert statuses(separability(study_of(state, np.array([0, 0, 1, 2, 3])))) == ["too_few_clusters"]
    assert statuses(separability(study_of(state, np.arange(5)))) == ["separable"]


def test_a_comparison_must_live_in_another_cluster() -> None:
    # Exposed and unexposed units live in the same two clusters and nowhere else.
    first = np.array([5, NEVER, 6, NEVER])
    found = separability(study_of(starts(first[:, None], 12), np.array([0, 0, 1, 1])))
    assert row(found, "a").clusters_exposed == 2 and row(found, "a").clusters_comparison == 2
    alone = separability(study_of(starts(np.array([[5], [NEVER], [NEVER]]), 12), np.array([0, 0, 0])))
    assert row(alone, "a").clusters_comparison == 0


def test_told_apart_only_by_reach() -> None:
    found = separability(people(np.column_stack([STAGGERED, STAGGERED]), [[1, 1], [1, 0]], names=("policy", "nurse")))
    assert row(found, "policy").status == "separable"
    assert row(found, "policy").best_design == "StaggeredRollout(same)"
    assert row(found, "nurse").status == "separable"
    assert row(found, "nurse").best_design == "TripleDifference"
    assert found.pairs.iloc[0].by_people and found.pairs.iloc[0].separable
    assert not found.pairs.iloc[0].by_dose


def test_by_people_is_stronger_where_clean_comparisons_rest_on_few_clusters() -> None:
    policy = np.array([4, 4, 4, 5, 6, 7, 8, 9, 10, 11, NEVER, NEVER])
    nurse = policy.copy()
    nurse[:2] = [6, 6]  # two clusters start later: clean comparisons for two others, at best
    found = separability(people(np.column_stack([policy, nurse]), [[1, 1], [1, 0]]))
    assert row(found, "b").best_design == "TripleDifference"
    assert row(found, "b").clusters_exposed == 10
    crossed = separability(people(np.column_stack([STAGGERED, CROSSED]), [[1, 1], [1, 0]]))
    assert row(crossed, "b").best_design == "StaggeredRollout(same)"


def test_by_people_needs_others_that_treat_both_kinds_alike_or_the_same_path() -> None:
    # A second component reaches exactly the same people and starts with it: nothing tells them apart.
    found = separability(people(np.column_stack([STAGGERED, STAGGERED]), [[1, 1], [0, 0]]))
    assert statuses(found) == ["bundle_only", "bundle_only"]


def test_told_apart_only_by_dose() -> None:
    state = starts(np.column_stack([STAGGERED, STAGGERED]), 16)
    state[::2, :, 0] *= 2
    found = separability(study_of(state))
    assert statuses(found) == ["additive_only", "additive_only"]
    assert found.components["best_design"].tolist() == ["JointEventStudy(dose)", ""]
    assert "dose" in row(found, "a").reason
    assert found.pairs.iloc[0].by_dose and found.pairs.iloc[0].separable


def test_unchanged_alone_is_additive_only_and_says_so() -> None:
    # `a` starts at once in all clusters that have `b`; its comparisons never had it.
    b = np.array([-1, -1, -1, -1, NEVER, NEVER, NEVER, 9, 9, 9])
    a = np.array([5, 5, 5, 5, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER])
    found = separability(rollout(a, b))
    assert row(found, "a").status == "additive_only"
    assert row(found, "a").best_design == "StaggeredRollout(unchanged)"


def test_additive_only_by_the_event_time_design() -> None:
    # Three components at unlike times in every cluster that has any; none stands alone through its lag.
    first = np.vstack([np.random.default_rng(2).integers(5, 17, (16, 3)), np.full((4, 3), NEVER)])
    found = separability(rollout(*first.T, n_periods=30, lags=[5, 5, 5]))
    assert statuses(found) == ["additive_only"] * 3
    assert found.components["best_design"].tolist() == ["JointEventStudy"] * 3
    assert (found.components["clean_until"] >= 5).all()
    assert found.pairs["separable"].all()


def test_starts_within_a_month_of_each_other_are_refused_for_a_late_effect() -> None:
    # In the row space of the event-time design, yet the others' growth more than doubles the standard error.
    a = np.array([3, 4, 5, 6, 7, 8, 9, 10, 11, 12] * 2)
    b = a + np.repeat([0, 1], 10)
    found = separability(rollout(a, b, n_periods=30, lags=[3, 3]))
    assert statuses(found) == ["bundle_only", "bundle_only"]
    assert "so close to others" in row(found, "a").reason


def test_identified_only_if_effects_do_not_grow_is_a_bundle() -> None:
    # `b` follows `a` after exactly two periods, everywhere: levels are told apart, event times are not.
    a = np.array([3, 4, 5, 6, 3, 4, 5, 6])
    found = separability(rollout(a, a + 2, n_periods=20, lags=[4, 4]))
    assert statuses(found) == ["bundle_only", "bundle_only"]
    assert row(found, "b").reason == "only if effects do not grow"
    assert found.aliased == ()


def test_half_from_the_first_period_half_at_once() -> None:
    found = separability(rollout(np.where(np.arange(12) < 7, -1, 6)))
    assert statuses(found) == ["bundle_only"]
    assert row(found, "a").reason == "only if effects do not grow"


@pytest.mark.parametrize(("lag", "status"), [(9, "separable"), (10, "additive_only"), (12, "too_few_clusters")])
def test_lag_longer_than_the_clean_window(lag: int, status: str) -> None:
    found = row(separability(rollout(STAGGERED, CROSSED, lags=[lag, 0])), "a")
    assert found.status == status
    assert np.isnan(found.clean_until) if status == "too_few_clusters" else found.clean_until >= lag


def test_everything_within_two_months_claims_nothing_beyond_the_clean_window() -> None:
    month = np.arange(12) % 2
    found = separability(rollout(5 + month, 5 + (np.arange(12) // 2) % 2, lags=[3, 0]))
    assert row(found, "a").status == "bundle_only"
    assert "so close to others" in row(found, "a").reason
    assert row(found, "b").clean_until == 0
    alone = separability(rollout(5 + month, lags=[3]))
    assert row(alone, "a").status == "too_few_clusters"


def test_part_periods_are_neither_base_nor_exposed() -> None:
    state = starts(STAGGERED[:, None], 16)
    for unit, first in enumerate(STAGGERED):
        if first < 16:
            state[unit, first - 1, 0] = -1
    found = separability(study_of(state))
    assert row(found, "a").status == "separable" and row(found, "a").switches == 8
    assert set(found.timeline["state"]) == {"part", "on"}


def test_units_must_be_seen_at_base_and_after() -> None:
    first = np.array([5, 5, NEVER, NEVER, NEVER])
    seen = np.ones((5, 12), dtype=bool)
    whole = separability(study_of(starts(first[:, None], 12), seen=seen))
    assert row(whole, "a").clean_until == 6
    seen[1, 8:] = False
    assert row(separability(study_of(starts(first[:, None], 12), seen=seen)), "a").clean_until == 2
    seen[1, :5] = False
    assert row(separability(study_of(starts(first[:, None], 12), seen=seen)), "a").status == "too_few_clusters"


def test_cure_names_a_delay_that_the_plan_confirms() -> None:
    found = separability(rollout(STAGGERED, STAGGERED, names=("policy", "letter")))
    cure = found.cure.set_index("component")
    assert cure.loc["policy", "delayed"] == "letter" and cure.loc["policy", "clusters"] == 2
    places = list(cure.loc["policy", "places"])
    named = f"sites {places[0]} and {places[1]} (two of the 8 sites that had it)"
    said = f"Delaying “letter” by 1 period in {named} would let us tell what “policy” does."
    assert cure.loc["policy", "words"] == said
    assert "Delaying “letter” by 1 period in two of the 8 sites that had it" in cure.loc["policy", "unnamed"]
    late = STAGGERED.copy()
    late[places] += 1
    after = separability(rollout(STAGGERED, late, names=("policy", "letter")))
    assert row(after, "policy").status == "separable"


def test_cure_of_everybody_at_once_is_a_delay_of_the_component_itself() -> None:
    found = separability(rollout(AT_ONCE, lags=[2]))
    assert found.cure.loc[0, ["component", "delayed", "clusters", "periods"]].tolist() == ["a", "a", 2, 3]
    assert separability(rollout(np.where(np.arange(12) < 2, 8, 5), lags=[2])).status("a") == "separable"


def test_timeline_is_half_open_and_in_periods() -> None:
    found = separability(rollout([3, NEVER, 5])).timeline
    assert found[["cluster", "start", "end", "state"]].values.tolist() == [[0, 3, 16, "on"], [2, 5, 16, "on"]]


def test_it_prints_and_shows_as_a_table() -> None:
    found = separability(rollout(STAGGERED, STAGGERED, CROSSED))
    assert "only as a bundle" in repr(found) and "is on exactly when" in repr(found)
    page = found._repr_html_()
    assert "<caption>" in page and 'scope="col"' in page


def test_a_real_study_gives_labels_and_nouns() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"borough": np.repeat(np.arange(12), 16), "month": np.tile(np.arange(16), 12)})
    on = frame["month"].to_numpy() >= STAGGERED[frame["borough"]]
    frame["policy"] = frame["letter"] = on.astype(int)
    frame["settled"] = rng.normal(size=len(frame))
    study = ek.Study(
        frame, unit="borough", period="month", cluster="borough", outcome="settled",
        components=[ek.Component("policy", label="Allocation policy", exposure="policy"),
                    ek.Component("letter", label="Newsletter", exposure="letter")],
    )  # fmt: skip
    found = ek.separability(study)
    assert found.aliased == ("“Newsletter” is on exactly when “Allocation policy” is.",)
    assert "boroughs" in found.cure["words"][0] and "1 month" in found.cure["words"][0]


def test_a_cross_section_is_judged_by_overlap() -> None:
    a = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 0])
    b = np.array([0, 0, 1, 1, 0, 0, 1, 1, 1, 0])
    found = separability(study_of(np.column_stack([a, b, a, np.ones(10)])[:, None, :]))
    assert statuses(found) == ["bundle_only", "separable", "bundle_only", "not_tested"]
    assert combos(found) == {("together", ("a", "c"), (1.0, 1.0))}
    apart = separability(study_of(np.column_stack([a, b])[:, None, :]))
    assert statuses(apart) == ["separable", "separable"]
    assert apart.pairs.iloc[0].by_place and apart.pairs.iloc[0].separable and not apart.pairs.iloc[0].by_time
    one = separability(study_of(np.eye(1, 6, dtype=int).T[:, None, :]))
    assert statuses(one) == ["too_few_clusters"]
