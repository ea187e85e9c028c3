"""The joint event study with weights of least noise: what adds up comes out to the digit, and is said where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

SITES, PEOPLE, PERIODS = 12, 3, 14
STARTS = {"a": (5, 7, 9, 99, 99, 6, 99, 8, 99, 10, 99, 99), "b": (3, 99, 6, 4, 99, 8, 99, 99, 5, 99, 7, 99)}


def added() -> tuple[pd.DataFrame, np.ndarray]:
    """People whose outcomes are levels, periods, and effects of two components by age, and noise that sums to nothing
    in every site; and the effects of a by age."""
    rng = np.random.default_rng(4)
    unit, t = (x.ravel() for x in np.indices((SITES * PEOPLE, PERIODS)))
    site = unit // PEOPLE
    noise = rng.normal(size=(SITES, PEOPLE, PERIODS))
    noise -= noise.mean(axis=1, keepdims=True)
    y = rng.normal(size=SITES)[site] + rng.normal(size=PERIODS)[t] + noise.ravel() * 0.1
    frame = pd.DataFrame({"person": unit, "t": t, "site": site})
    effects = {name: rng.normal(size=PERIODS) for name in STARTS}
    for name, starts in STARTS.items():
        age = t - np.array(starts)[site]
        frame[name] = (age >= 0).astype(int)
        y = y + np.where(age >= 0, effects[name][np.maximum(age, 0)], 0.0)
    return frame.assign(y=y), effects["a"]


def study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=list(STARTS))  # fmt: skip


def test_effects_that_add_up_are_found_to_the_digit() -> None:
    frame, effects = added()
    found = ek.JointEventStudy(weights="least_noise")(study(frame), "a")
    told = (found.labels["weights"] == "least noise").to_numpy()
    assert told.sum() > 5
    np.testing.assert_allclose(found.value[told], effects[found.labels["event_time"][told]], atol=1e-9)
    assert found.to_frame().loc[told, "inference"].eq("moderated").all()


def test_each_event_time_speaks_for_its_people_and_no_effect_of_its_own_moves_weights() -> None:
    frame, _ = added()
    before = ek.JointEventStudy(weights="least_noise")(study(frame), "a")
    equal = ek.JointEventStudy()(study(frame), "a")
    assert (before.mass <= equal.mass + 1e-9).all() and before.mass.max() == pytest.approx(equal.mass.max())
    after = ek.JointEventStudy(weights="least_noise")(study(frame.assign(y=frame["y"] + 2.5 * frame["a"])), "a")
    told = ~np.isnan(before.value)
    np.testing.assert_allclose((after.value - before.value)[told], 2.5, atol=1e-9)


def test_leads_stay_those_of_the_regression_and_say_so() -> None:
    frame, _ = added()
    options = {"window": (4, 6)}
    found = ek.JointEventStudy(weights="least_noise", **options)(study(frame), "a")
    equal = ek.JointEventStudy(**options)(study(frame), "a")
    leads = (equal.labels["event_time"] < 0).to_numpy()
    np.testing.assert_array_equal(found.value[leads], equal.value[leads])
    assert found.labels["weights"][leads].eq("equal").all() and not found.labels["weights"][~leads].eq("equal").any()


@pytest.mark.parametrize("options", [{"saturated": True}, {"shape": "level"}, {"interactions": (("a", "b"),)}])
def test_what_these_weights_are_not_for_keeps_equal_ones_and_says_so(options: dict[str, object]) -> None:
    frame, _ = added()
    found = ek.JointEventStudy(weights="least_noise", **options)(study(frame), "a")
    np.testing.assert_array_equal(found.value, ek.JointEventStudy(**options)(study(frame), "a").value)
    assert found.labels["weights"].str.startswith("equal: ").all()
