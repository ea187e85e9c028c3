"""Effects by dose: everybody has it from one date on, some more of it than others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.reporting.plan import make_plan

EFFECT = 2.0
SHARES = (0.2, 0.5, 0.9)


def rollout(noise: float = 0.0, sites: int = 24, periods: int = 16, seed: int = 0) -> pd.DataFrame:
    """The share of people who are offered "a" is 0.2, 0.5 or 0.9 from month 9 on, in every site; "b" starts apart.

    Everybody moves by one at the same date, which is no effect of the dose.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"site": np.repeat(np.arange(sites), periods), "month": np.tile(np.arange(periods), sites)})
    site, month = frame["site"].to_numpy(), frame["month"].to_numpy()
    frame["a"] = np.where(month >= 9, np.take(SHARES, site % 3), 0.0)
    start = np.where(np.arange(sites) % 2 == 0, 99, 4 + np.arange(sites) % 5)
    frame["b"] = (month >= start[site]).astype(int)
    frame["y"] = site**0.5 + 0.3 * month + (month >= 9) + EFFECT * frame["a"] - 0.5 * frame["b"]
    return frame.assign(y=lambda d: d["y"] + noise * rng.normal(size=len(d)))


def study(frame: pd.DataFrame, **changes: object) -> ek.Study:
    fields = {
        "unit": "site", "period": "month", "outcomes": [ek.Outcome("y", matters=0.3)], "components": ["a", "b"],
    }  # fmt: skip
    return ek.Study(frame, **{**fields, **changes})


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("shape", ["event_time", "level"])
def test_the_effect_of_a_unit_of_dose_is_found(shape, missing):
    """To the digit; by the rank of the dose it would not be, since 0.5 lies closer to 0.2 than to 0.9."""
    frame = rollout()
    made = study(frame[np.random.default_rng(3).random(len(frame)) >= missing])
    est = ek.JointEventStudy(dose=True, shape=shape)(made, "a")
    np.testing.assert_allclose(est.value, EFFECT, atol=1e-9)
    assert est.labels["estimand"].str.contains("one unit of dose, if in proportion").all()
    np.testing.assert_allclose(ek.JointEventStudy(dose=True, shape=shape)(made, "b").value, -0.5, atol=1e-9)
    plain = ek.JointEventStudy(shape=shape)(made, "a")
    assert np.isnan(plain.value).all() and (plain.labels["reason"] != "").all()


def test_at_the_average_dose():
    """The same times the mean dose of those who have it; masses are people, not units of dose."""
    made = study(rollout(noise=0.2))
    unit, average = (ek.JointEventStudy(dose=True, per=per)(made, "a") for per in ("unit", "average"))
    mean = np.mean(SHARES)
    np.testing.assert_allclose(average.value, unit.value * mean, rtol=1e-9)
    np.testing.assert_allclose(average.mass, 24.0)
    np.testing.assert_allclose(unit.mass, 24.0 * mean)
    for inference in ("analytic", "jackknife"):
        np.testing.assert_allclose(average.vcov(inference=inference), unit.vcov(inference=inference) * mean**2)
    assert average.labels["estimand"].str.contains("dose as given on average").all()


def test_a_component_of_one_dose_is_what_it_was():
    made = study(rollout(noise=0.2))
    one, two = ek.JointEventStudy(dose=True)(made, "b"), ek.JointEventStudy(dose=False)(made, "b")
    assert (one.labels["estimand"] == two.labels["estimand"]).all()
    np.testing.assert_allclose(one.mass, two.mass)


def test_a_bin_has_its_average_dose():
    frame = rollout()
    finer = frame.assign(a=frame["a"] + np.where(frame["a"] > 0, 0.01 * (frame["site"] % 6), 0.0))
    made = study(finer, components=[ek.Component("a", exposure="a", bins=(0.1, 0.4, 0.8)), "b"])
    on = finer[finer["a"] > 0]
    want = on.groupby(pd.cut(on["a"], [0.1, 0.4, 0.8, 2.0]))["a"].mean()
    np.testing.assert_allclose(made.paths.doses[0], want)
    assert made.paths.doses[1] == (1.0,)


def test_dated_spells_carry_their_dose():
    frame = rollout()
    spells = pd.DataFrame({"level_id": np.arange(24), "start": 9, "dose": np.take(SHARES, np.arange(24) % 3)})
    component = ek.Component("a", adoption=spells, assigned_at="site")
    made = study(frame.drop(columns="a"), components=[component, "b"])
    np.testing.assert_allclose(made.paths.doses[0], SHARES)
    np.testing.assert_allclose(ek.JointEventStudy(dose=True)(made, "a").value, EFFECT, atol=1e-9)


def test_leads_carry_the_dose_of_their_start():
    """A drift in proportion to the coming dose shows in the leads, which a 0/1 lead of a common date cannot see."""
    frame = rollout()
    coming = np.take(SHARES, frame["site"] % 3)
    drift = np.where(frame["month"] < 9, 0.5 * (frame["month"] - 8) * coming, 0.0)
    est = ek.JointEventStudy(dose=True, window=(9, 16))(study(frame.assign(y=frame["y"] + drift)), "a")
    leads = est.to_frame().set_index("event_time")["estimate"]
    np.testing.assert_allclose(leads.loc[:-2], 0.5 * (leads.loc[:-2].index + 1), atol=1e-9)
    np.testing.assert_allclose(leads.loc[0:], EFFECT, atol=1e-9)


def test_arms_are_more_and_less_of_it():
    table = ek.JointEventStudy(dose=True)(study(rollout(noise=0.1)), "a").to_frame()
    assert (table["clusters_exposed"] == 8).all() and (table["clusters_comparison"] == 16).all()


def test_contributions_and_refits():
    frame = rollout(noise=0.2).assign(w=1.0)
    design = ek.JointEventStudy(dose=True)
    est = design(study(frame, weights="w"), "a").aggregate("simple")
    for site in (1, 5):
        here = frame["site"] == site
        up, down = (design(study(frame.assign(w=1.0 + s * here), weights="w"), "a").aggregate("simple").value
                    for s in (1e-5, -1e-5))  # fmt: skip
        np.testing.assert_allclose((up - down) / 2e-5, est.influence[est.units == site].sum(axis=0), atol=1e-7)
        without = design(study(frame[~here]), "a").aggregate("simple").value
        np.testing.assert_allclose(est.replicates.values[list(est.replicates.names).index(site)], without, atol=1e-9)


def test_an_evaluation_answers_by_dose_and_never_says_shown():
    evaluation = ek.evaluate(study(rollout(noise=0.1)))
    row = evaluation.separability.components.set_index("component").loc["a"]
    assert (row["status"], row["best_design"]) == ("additive_only", "JointEventStudy(dose)")
    verdict = evaluation.verdicts.set_index("component").loc["a"]
    assert (verdict["verdict"], verdict["direction"]) == ("likely", "better")
    want = EFFECT * np.mean(SHARES)
    assert verdict["conf_low"] < want < verdict["conf_high"] and abs(verdict["estimate"] - want) < 0.05
    assert "8 sites with more of it and 16 with less or without it" in verdict["sentence"]
    assert verdict["reasons"] == (
        "it holds only if the effects of the components simply add up, and grow in proportion to the dose",
    )
    checks = evaluation.checks[evaluation.checks["component"] == "a"].set_index("check")
    assert checks.loc["pre_trend", "status"] == "passed"
    assert "8 places with more of it and 16 with less or without it" in checks.loc["few_clusters", "words"]
    assert "only doses tell it apart" in evaluation.rules["a"]


def test_no_effect_of_the_dose_is_not_called_one():
    frame = rollout(noise=0.3).assign(y=lambda d: d["y"] - EFFECT * d["a"])
    verdict = ek.evaluate(study(frame)).verdicts.set_index("component").loc["a"]
    assert verdict["verdict"] == "cannot_tell" and verdict["conf_low"] < 0 < verdict["conf_high"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dose": "yes"}, "dose"),
        ({"per": "person"}, "per"),
        ({"dose": True, "interactions": (("a", "b"),)}, "interactions"),
    ],
)
def test_impossible_choices_say_so(options, words):
    with pytest.raises(ek.EvalkitError, match=words):
        ek.JointEventStudy(**options)


def test_a_plan_fixes_the_doses():
    """The same states with other doses are another plan; the same doses in other rows the same."""
    frame = rollout()
    larger = frame.assign(a=frame["a"].replace(0.9, 0.8))
    plans = [make_plan(study(f))["exposures"] for f in (frame, larger, frame.sample(frac=1, random_state=0))]
    assert plans[0] != plans[1] and plans[0] == plans[2]


def test_a_component_beside_a_dose_is_told_apart_by_the_dose_of_the_other():
    """Both start together everywhere, one at three doses: what is left at dose zero belongs to the other."""
    frame = rollout().assign(b=lambda d: (d["a"] > 0).astype(int))
    frame["month"] += frame["site"] // 8  # three starting dates, so that periods are not all that changed
    made = study(frame.assign(y=0.3 * frame["month"] + EFFECT * frame["a"] - 0.5 * frame["b"]))
    reasons = ek.separability(made).components.set_index("component")["reason"]
    assert "only its dose" in reasons["a"] and "only the dose of others" in reasons["b"]
    np.testing.assert_allclose(ek.JointEventStudy(dose=True)(made, "a").value, EFFECT, atol=1e-8)
    np.testing.assert_allclose(ek.JointEventStudy(dose=True)(made, "b").value, -0.5, atol=1e-8)
    verdict = ek.evaluate(made).verdicts.set_index("component").loc["b"]
    assert verdict["verdict"] == "cannot_tell" and np.isnan(verdict["conf_low"])
    assert "the dose of others" in verdict["sentence"]
