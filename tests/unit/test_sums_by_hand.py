"""Means over base windows and over windows of periods where rows are missing, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

import evalkit as ek
from evalkit.designs.rollout.sums import window_mean

NONE = np.nan


def test_a_base_is_the_mean_of_what_was_seen() -> None:
    """Base periods 0 to 2 of (3, -, 6, 9) and (-, -, 4, 5): 9/2 of two rows, 4 of one; base period 0 alone: 3, none."""
    y = np.array([[3.0, NONE, 6.0, 9.0], [NONE, NONE, 4.0, 5.0]])
    mean, count = window_mean(y, np.array([2, 0, -1, 2]), np.array([3, 1, 0, 2]))
    np.testing.assert_array_equal(count[:, [0, 1, 3]], [[2, 1, 1], [1, 0, 1]])
    np.testing.assert_allclose(mean[:, [0, 3]], [[4.5, 6.0], [4.0, 4.0]])
    assert mean[0, 1] == 3.0 and np.isnan(mean[1, 1])


def study_of(rows: dict[str, tuple[float, ...]], first: dict[str, int], weight: dict[str, float]) -> ek.Study:
    """One site a unit; outcomes in months 0, 1, ..., NaN where there is no row."""
    frame = pd.DataFrame([
        {"site": site, "month": t, "a": int(t >= first.get(site, 99)), "y": y, "w": weight.get(site, 1.0)}
        for site, line in rows.items() for t, y in enumerate(line) if not np.isnan(y)
    ])  # fmt: skip
    return ek.Study(frame, unit="site", period="month", components=["a"], outcome="y", weights="w")


def test_weights_make_the_masses() -> None:
    """Adopters A (weight 3) and B (1) change by 4 and 8: 5, of mass 4. C (1) and D (3) by 0 and 2: 3/2. Effect 3.5."""
    rows = {"A": (0, 4), "B": (1, 9), "C": (5, 5), "D": (2, 4)}
    est = ek.StaggeredRollout()(study_of(rows, {"A": 1, "B": 1}, {"A": 3.0, "D": 3.0}), "a")
    np.testing.assert_allclose(est.value, [3.5])
    np.testing.assert_allclose(est.mass, [4.0])


def test_effects_of_one_cohort_are_averaged_over_what_others_did() -> None:
    """Two strata of b: one adopter with effect 10 - 1 = 9, three adopters with effect 2 - 1 = 1: (9 + 3) / 4 = 3."""
    changes = {"A": (1, 0, 10.0), "B": (0, 0, 1.0), "C": (1, 1, 2), "D": (1, 1, 2), "E": (1, 1, 2), "F": (0, 1, 1)}
    frame = pd.DataFrame([
        {"site": site, "month": t, "a": a * t, "b": b, "y": change * t}
        for site, (a, b, change) in changes.items() for t in (0, 1)
    ])  # fmt: skip
    study = ek.Study(frame, unit="site", period="month", components=["a", "b"], outcome="y")
    est = ek.StaggeredRollout()(study, "a")
    np.testing.assert_allclose((est.value, est.mass), ([3.0], [4.0]))


def test_cross_sections_are_averaged_by_adopters_however_many_were_seen_before() -> None:
    """Path A: 10 later of three people, 0 before of one; B: 6 of one, 4 of three. Effects 10 - 1 = 9 and 2 - 1 = 1.

    Both have the same matches; averaged by adopters, (3 x 9 + 1) / 4 = 7. Where b is ignored, and with it who is in
    which path, all adopters are one group: 9 later, 3 before, so 9 - 3 - 1 = 5.
    """
    rows = {"A1": (0, 10), "A2": (NONE, 10), "A3": (NONE, 10), "B1": (4, 6), "B2": (4, NONE), "B3": (4, NONE),
            "C": (1, 2), "D": (1, 2)}  # fmt: skip
    frame = pd.DataFrame([
        {"person": who, "site": who[0], "month": t, "a": int(who[0] in "AB") * t, "b": int(who[0] == "B"), "y": y}
        for who, line in rows.items() for t, y in enumerate(line) if not np.isnan(y)
    ])  # fmt: skip
    study = ek.Study(frame, unit="person", period="month", cluster="site", components=["a", "b"], outcome="y")
    for others, effect in (("unchanged", 7.0), ("ignored", 5.0)):
        est = ek.StaggeredRollout(compare="cross_sections", others=others)(study, "a")
        np.testing.assert_allclose((est.value, est.mass), ([effect], [4.0]))


def test_people_beside_people_of_their_place() -> None:
    """Eligible less ineligible change: place A 7 - 1 and 5 - 1, mean 5, of two eligible; B 2 - 3 = -1. Effect 6."""
    people = {"A1": ("A", 1, 7), "A2": ("A", 1, 5), "A3": ("A", 0, 1), "B1": ("B", 1, 2), "B2": ("B", 0, 3)}
    frame = pd.DataFrame([
        {"person": who, "site": site, "month": t, "eligible": yes, "a": int(site == "A") * t, "y": 10.0 + change * t}
        for who, (site, yes, change) in people.items() for t in (0, 1)
    ])  # fmt: skip
    study = ek.Study(frame, unit="person", period="month", cluster="site", outcome="y",
                     components=[ek.Component("a", exposure="a", reach="eligible")])  # fmt: skip
    est = ek.TripleDifference()(study, "a")
    np.testing.assert_allclose((est.value, est.mass), ([6.0], [2.0]))


def test_an_eligible_person_is_divided_among_unlike_partners() -> None:
    """Place A: an eligible change of 10 beside 1 (one person) and, where b came too, 4 (two people); B: 2 beside 3.

    Gaps 9 of a third of a person and 6 of two thirds, less 2 - 3 = -1: 10/3 + 14/3 = 8, of one eligible person.
    """
    people = {"A1": ("A", 1, 0, 10), "A2": ("A", 0, 0, 1), "A3": ("A", 0, 1, 4), "A4": ("A", 0, 1, 4),
              "B1": ("B", 1, 0, 2), "B2": ("B", 0, 0, 3)}  # fmt: skip
    frame = pd.DataFrame([
        {"person": who, "site": site, "month": t, "yes": yes, "odd": odd, "a": int(site == "A") * t,
         "b": int(site == "A") * t, "y": change * float(t)}
        for who, (site, yes, odd, change) in people.items() for t in (0, 1)
    ])  # fmt: skip
    both = [ek.Component("a", exposure="a", reach="yes"), ek.Component("b", exposure="b", reach="odd")]
    study = ek.Study(frame, unit="person", period="month", cluster="site", outcome="y", components=both)
    est = ek.TripleDifference(others="ignored")(study, "a")
    np.testing.assert_allclose((est.value, est.mass), ([8.0], [1.0]))
