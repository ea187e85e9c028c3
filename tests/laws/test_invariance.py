"""What may be added to a study, or said in another way, without moving an estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from tests.contract.test_designs import REGRESSIONS, ROLLOUTS, alike, people, short, study, usual
from tests.laws.rollouts import rollout, study_of

rollouts = pytest.mark.parametrize("design", ROLLOUTS, ids=short)
every = pytest.mark.parametrize("design", [*ROLLOUTS, *REGRESSIONS], ids=short)


def beside(frame: pd.DataFrame, extra: pd.DataFrame, new_sites: bool = True) -> pd.DataFrame:
    """The frame with `extra` people under new ids, in new sites or in their own."""
    site = extra["site"] + 1000 if new_sites else extra["site"]
    return pd.concat([frame, extra.assign(person=extra["person"] + 10_000, site=site)], ignore_index=True)


@pytest.mark.parametrize("design", [d for d in ROLLOUTS if not isinstance(d, ek.ScaledRollout)], ids=short)
def test_units_exposed_from_the_first_period_change_nothing(design):
    """Nobody can be compared with them, and they are never a comparison for the component. Where one model is fitted to
    all, as on another scale, those among them serve whom the component cannot reach."""
    frame = people()
    always = frame[frame["site"] < 3].assign(a=1, y=lambda d: d["y"] + 5)
    one, two = usual(design), design(study(beside(frame, always)), "a")
    alike(one, two, ("value", "se", "mass"))
    np.testing.assert_allclose(one.vcov(inference="jackknife"), two.vcov(inference="jackknife"), atol=1e-9)


WITHOUT_KINDS = [d for d in ROLLOUTS if not isinstance(d, ek.TripleDifference | ek.ScaledRollout)]


@pytest.mark.parametrize("design", WITHOUT_KINDS, ids=short)
def test_units_whom_the_component_cannot_reach_change_nothing(design):
    frame = people()
    beyond = frame.assign(eligible=0, y=lambda d: d["y"] ** 2)
    one, two = usual(design), design(study(beside(frame, beyond, new_sites=False)), "a")
    alike(one, two, ("value", "se", "mass"))


@pytest.mark.parametrize("others", ["same", "unchanged"])
def test_units_on_a_path_of_their_own_change_nothing(others):
    """Their other component moves in every period, so that nobody is like them."""
    frame = people()
    odd = frame[frame["site"] < 4].assign(b=lambda d: d["month"] % 2, a=0, y=lambda d: d["y"] - 9)
    design = ek.StaggeredRollout(others=others)
    one, two = usual(design), design(study(beside(frame, odd)), "a")
    alike(one, two, ("value", "se", "mass"))


def test_they_do_change_what_ignores_the_others():
    """The last law has teeth: where others are ignored the same people move the estimate."""
    frame = people()
    odd = frame[frame["site"] < 4].assign(b=lambda d: d["month"] % 2, a=0, y=lambda d: d["y"] - 9 * (d["month"] > 5))
    design = ek.StaggeredRollout(others="ignored")
    one, two = (design(study(f), "a").aggregate("simple").value[0] for f in (frame, beside(frame, odd)))
    assert abs(one - two) > 0.1


WITHIN_UNITS = [
    d for d in ROLLOUTS if getattr(d, "compare", "within") == "within" and not isinstance(d, ek.ScaledRollout)
]


@pytest.mark.parametrize("design", WITHIN_UNITS, ids=short)
def test_constant_shifts_of_a_unit_change_nothing(design):
    """A unit is compared with itself; across people a shift does matter, and cross-sections are left out, as is another
    scale, whose levels are those of places and paths (some people are not always seen here)."""
    frame = people()
    shift = np.random.default_rng(4).normal(scale=20, size=frame["person"].max() + 1)[frame["person"]]
    alike(usual(design), design(study(frame.assign(y=frame["y"] + shift)), "a"), atol=1e-8)


ONE_PERIOD = [d for d in ROLLOUTS if not isinstance(d, ek.DifferenceInDifferences) or d.compare == "within"]


@pytest.mark.parametrize("design", [*ONE_PERIOD, *REGRESSIONS], ids=short)
def test_period_shifts_common_to_all_change_nothing(design):
    """Whoever was seen when, and however many base periods there are; but for whoever was there in windows of several
    periods, of which each is seen in some."""
    frame = people(missing=0.15)
    moved = frame.assign(y=frame["y"] + 10 * np.sin(frame["month"]))
    alike(design(study(frame), "a"), design(study(moved), "a"), atol=1e-8)


@every
def test_an_effect_that_is_added_is_found(design):
    """Raising every exposed outcome by one raises every later effect by one, and no earlier one."""
    frame = people()
    raised = frame.assign(y=frame["y"] + frame["a"] * frame["eligible"])
    one, two = usual(design), design(study(raised), "a")
    event = one.labels["event_time"].to_numpy() if "event_time" in one.labels else np.zeros(len(one))
    moved = two.value - one.value
    good = np.isfinite(moved) & (
        event < getattr(design, "window", None)[1] if getattr(design, "window", None) else True
    )
    start = -getattr(design, "anticipation", 0)
    np.testing.assert_allclose(moved[good & (event >= 0)], 1.0, atol=1e-8)
    np.testing.assert_allclose(moved[good & (event < start)], 0.0, atol=1e-8)


@pytest.mark.parametrize("design", ROLLOUTS[:4], ids=short)
def test_a_whole_panel_by_path_and_by_cell_is_one_answer(design):
    """Lone units in a balanced panel are read as whole paths; naming their clusters reads them as cells."""
    frame = rollout(11, sites=60, people=1)
    frame = pd.concat([frame.assign(unit=frame["unit"] + 1000 * j, y=frame["y"] * (1 + j)) for j in range(5)])
    frame = frame.assign(cluster=frame["unit"])
    one = design(study_of(frame, cluster="cluster"), "a")
    two = design(study_of(frame.sample(frac=1, random_state=1), cluster=None), "a")
    alike(one, two, ("value", "se", "mass"))
    np.testing.assert_allclose(one.vcov(inference="jackknife"), two.vcov(inference="jackknife"), atol=1e-9)


@pytest.mark.parametrize("adjust", ["reg", "ipw", "dr"])
def test_linear_changes_of_covariates_change_nothing(adjust):
    frame = people().assign(other=lambda d: np.cos(d["person"]))
    mixed = frame.assign(first=5 + 2 * frame["age"] - frame["other"], second=100 * frame["other"])
    design = ek.StaggeredRollout(others="ignored", adjust=adjust)
    one = design(study(frame, covariates=("age", "other")), "a")
    two = design(study(mixed, covariates=("first", "second")), "a")
    alike(one, two, atol=1e-7)


def test_adjusting_for_pure_noise_by_regression_keeps_contributions_centred():
    est = usual(ek.StaggeredRollout(others="ignored", adjust="dr"))
    good = np.isfinite(est.value)
    np.testing.assert_allclose(est.influence[:, good].sum(axis=0), 0, atol=1e-9)


@rollouts
def test_contributions_are_derivatives(design):
    """A unit whose weight is raised by a hair moves the estimate by its contribution."""
    frame = people().assign(w=1.0)
    one = design(study(frame, weights="w"), "a").aggregate("simple")
    hair = 1e-5
    for person in (1, 41, 90):
        up, down = (
            design(study(frame.assign(w=1.0 + s * hair * (frame["person"] == person)), weights="w"), "a")
            .aggregate("simple").value
            for s in (1, -1)
        )  # fmt: skip
        mine = one.influence[one.units == person].sum(axis=0)
        np.testing.assert_allclose((up - down) / (2 * hair), mine, atol=1e-7)
