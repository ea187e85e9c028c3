"""Does the answer hang on the scale? The rung on the outcome's scale, its check, and what the verdict makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import checks
from evalkit.designs.rollout.scaled import scale_of
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.verdicts.rules import decide
from tests.unit.evidence_cases import NURSE


class Line:
    """A row of an estimate: its number and the range about it."""

    def __init__(self, value: float, reach: float) -> None:
        self.value, self.reach = value, reach

    def row(self) -> dict[str, float]:
        ends = {"conf_low": self.value - self.reach, "conf_high": self.value + self.reach}
        return {"estimate": self.value, "std_error": self.reach / 2, **ends}


CASES = [
    # what the headline says, by how much the scale moves it, what that is called; matters is .05
    ((0.08, 0.03), (0.001, 0.004), ""),  # within noise
    ((0.08, 0.03), (-0.05, 0.06), ""),  # far, but no surer than chance
    ((0.08, 0.03), (-0.10, 0.04), "the other way"),
    ((-0.08, 0.03), (0.10, 0.04), "the other way"),
    ((0.08, 0.03), (-0.05, 0.02), "over half"),
    ((0.08, 0.03), (-0.035, 0.01), "smaller than what matters"),
    ((0.055, 0.03), (-0.010, 0.005), ""),  # crosses what matters by less than a quarter of it
    ((0.055, 0.05), (-0.010, 0.005), "include no change"),
    ((0.04, 0.03), (0.03, 0.01), "as large as what matters"),
    ((0.08, 0.03), (0.03, 0.01), ""),  # more of the same
    ((0.01, 0.03), (0.03, 0.01), "not be ruled out"),
    ((-0.01, 0.03), (-0.03, 0.01), "not be ruled out"),
    ((0.01, 0.03), (-0.01, 0.005), ""),
    ((0.03, 0.05), (0.03, 0.01), ""),  # it was not ruled out before either
]


@pytest.mark.parametrize(("headline", "moved_by", "said"), CASES)
def test_fails_where_another_scale_surely_says_something_else(headline, moved_by, said):
    found = checks.scale(Line(*headline), Line(*moved_by), 0.05)
    assert found.status == ("failed" if said else "passed")
    assert said in found.words
    assert found.estimate == pytest.approx(headline[0] + moved_by[0])
    assert found.conf_high - found.conf_low == pytest.approx(2 * headline[1])


def test_without_what_matters_only_signs_halves_and_ranges_count():
    assert checks.scale(Line(0.08, 0.03), Line(-0.035, 0.01)).status == "passed"
    assert checks.scale(Line(0.08, 0.03), Line(-0.06, 0.01)).status == "failed"


def test_without_a_range_it_only_informs():
    found = checks.scale(Line(0.08, 0.03), Line(-0.08, np.nan), 0.05)
    assert found.status == "informational" and np.isnan(found.conf_low)


def on(estimate: float) -> object:
    """The verdict on a nurse with a settled 9 in 100 more, when another scale says `estimate`."""
    evidence = replace(NURSE, checks=(CheckOutcome("scale", "failed", "It hangs.", estimate),))
    return decide(evidence)


def test_an_answer_that_hangs_on_the_scale_is_not_shown():
    assert decide(NURSE).verdict == "shown"
    assert on(0.06).verdict == "likely"
    assert "started at different levels" in on(0.06).reasons[0] and "boroughs" in on(0.06).reasons[0]
    assert on(0.04).verdict == on(-0.02).verdict == "cannot_tell"  # over half gone; turned


def test_no_sign_is_not_said_where_another_scale_does_not_rule_it_out():
    none = replace(NURSE, estimate=0.01, conf_low=-0.01, conf_high=0.03, by_time=(-0.01, 0.03))
    assert decide(none).verdict == "no_sign"
    failed = replace(none, checks=(CheckOutcome("scale", "failed", "", 0.04),))
    assert decide(failed).verdict == "cannot_tell"


# ---------------------------------------------------------------- the rung


def panel(apart: float, shock: float, effect: float = 0.0, places: int = 20, people: int = 200) -> pd.DataFrame:
    """Shares of places over ten periods; half start at the sixth, `apart` lower in odds; all are shocked then."""
    rng = np.random.default_rng(7)
    with_it = np.arange(places) < places // 2
    since = np.arange(10) - 5
    eta = (np.where(with_it, -apart, 0.0) + 0.1 * rng.normal(size=places))[:, None] + shock * (since >= 0)
    p = 1 / (1 + np.exp(-(eta + 0.05 * rng.normal(size=eta.shape)))) + effect * with_it[:, None] * (since >= 0)
    return pd.DataFrame({
        "place": np.repeat(np.arange(places), 10), "t": np.tile(np.arange(10), places),
        "y": (rng.binomial(people, p) / people).ravel(), "a": (with_it[:, None] & (since >= 0)).astype(int).ravel(),
    })  # fmt: skip


def evaluated(frame: pd.DataFrame, kind: str = "share") -> ek.Evaluation:
    outcome = ek.Outcome("y", kind=kind, matters=0.05)
    return ek.evaluate(ek.Study(frame, unit="place", period="t", outcomes=[outcome], components=["a"]))


def test_a_shock_in_odds_is_no_effect_of_what_began_in_lower_places():
    found = evaluated(panel(apart=1.8, shock=1.2))
    check = found.checks.set_index("check").loc["scale"]
    assert found.verdicts["verdict"].iloc[0] == "cannot_tell"
    assert check["status"] == "failed" and "moved in proportion" in check["words"]
    rung = found.effects.set_index("design").loc["ScaledRollout(logit)"]
    assert abs(rung["estimate"]) < 0.02 < 0.06 < -found.verdicts["estimate"].iloc[0]
    assert "started at different levels" in found.verdicts["sentence"].iloc[0]


def kinds(apart: float, shock: float, effect: float = 0.0) -> ek.Study:
    """People of sixteen places over sixteen periods, of whom every other can be reached; half of the places start
    at the seventh or later, where those whom it can reach lie `apart` lower in odds; all rise from then on. Another
    component begins along with it there, and elsewhere at other times, so that kinds of people are compared."""
    rng = np.random.default_rng(11)
    people, T = 16 * 60, 16
    site, can, t = np.arange(people) % 16, np.arange(people) // 16 % 2 == 0, np.arange(16)
    mine, on = (site < 8) & can, t >= (6 + site % 4)[:, None]
    elsewhere = np.array([2, 3, 4, 5, 11, 12, 13, 14])[site % 8]
    b = t >= np.where(site < 8, 6 + site % 4, elsewhere)[:, None]
    eta = (-apart * mine + 0.1 * rng.normal(size=16)[site])[:, None] + shock * np.clip((t - 5) / 8, 0, 1)
    p = 1 / (1 + np.exp(-eta)) + effect * (mine[:, None] & on)
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(people), T), "t": np.tile(t, people), "site": np.repeat(site, T),
        "can": np.repeat(can, T), "a": (mine[:, None] & on).ravel().astype(int),
        "b": b.ravel().astype(int), "y": (rng.random(p.shape) < p).ravel().astype(float),
    })  # fmt: skip
    components = [ek.Component("a", exposure="a", reach="can"), "b"]
    outcome = ek.Outcome("y", kind="share", matters=0.05)
    return ek.Study(frame, unit="person", period="t", cluster="site", outcomes=[outcome], components=components)


def of_a(found: ek.Evaluation) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Its effects by design, the check of the scale, and its verdict."""
    effects = found.effects[found.effects["component"] == "a"].set_index("design")
    assert effects["headline"].idxmax() == "TripleDifference"
    check = found.checks[found.checks["component"] == "a"].set_index("check").loc["scale"]
    return effects, check, found.verdicts.set_index("component").loc["a"]


def test_kinds_of_people_of_other_levels_are_asked_too():
    effects, check, verdict = of_a(ek.evaluate(kinds(apart=2.5, shock=2.0)))
    assert check["status"] == "failed" and verdict["verdict"] not in ("shown", "likely")
    assert abs(effects.loc["ScaledRollout(logit)", "estimate"]) < 0.03 < 0.04 < -verdict["estimate"]
    assert "started at different levels" in verdict["sentence"]


def test_an_effect_among_kinds_of_one_level_is_not_doubted_for_its_scale():
    effects, check, verdict = of_a(ek.evaluate(kinds(apart=0.0, shock=1.2, effect=0.15)))
    assert check["status"] == "passed" and verdict["estimate"] == pytest.approx(0.15, abs=0.06)
    assert effects.loc["ScaledRollout(logit)", "estimate"] == pytest.approx(0.15, abs=0.06)


def test_an_effect_among_places_of_one_level_stays_shown():
    found = evaluated(panel(apart=0.0, shock=1.2, effect=0.1))
    assert found.verdicts["verdict"].iloc[0] == "shown"
    assert found.checks.set_index("check").loc["scale", "status"] == "passed"


@pytest.mark.parametrize("kind", ["score", "log", "money"])
def test_other_kinds_have_no_other_scale(kind):
    values = panel(0.0, 0.0)["y"].to_numpy()
    assert scale_of(ek.Outcome("y", kind=kind), values) == ""


def test_answers_of_yes_and_no_are_shares_whatever_they_are_called():
    values = np.array([[0.0, 1.0, np.nan]])
    assert scale_of(ek.Outcome("y"), values) == "logit" and scale_of(ek.Outcome("y"), 2 * values) == ""
    assert scale_of(ek.Outcome("y", kind="count"), values) == "log"
    assert scale_of(ek.Outcome("y", kind="rate", per="n"), values) == "log"


# ---------------------------------------------------------------- bad rows


def rollout(frame: pd.DataFrame, scale: str = "logit") -> ek.Estimate:
    study = ek.Study(frame, unit="place", period="t", outcome="y", components=["a"])
    return ek.ScaledRollout(scale=scale)(study, "a")


def test_values_outside_the_scale_are_refused_with_one_of_them():
    frame = panel(0.5, 0.2)
    frame.loc[3, "y"] = 1.2
    with pytest.raises(NotIdentifiedError, match="shares from 0 to 1.*1 values lie outside; one is 1.2"):
        rollout(frame)
    with pytest.raises(NotIdentifiedError, match="counts and rates"):
        rollout(frame.assign(y=-frame["y"]), "log")


def test_a_rung_that_cannot_run_is_untested_and_never_passed():
    """Counts of a panel that take something off: the log has no place for them."""
    frame = panel(0.5, 0.2)
    found = evaluated(frame.assign(y=10 * frame["y"] - 4), "count")
    check = found.checks.set_index("check").loc["scale"]
    assert check["status"] == "informational" and "counts and rates of 0 and more" in check["words"]
    assert found.effects.set_index("design").loc["ScaledRollout(log)", "reason"]


def test_places_that_recorded_nothing_before_are_predicted_nothing():
    frame = panel(0.5, 0.2)
    some = (frame["place"] == 0) & (frame["t"] < 5)
    made = rollout(frame.assign(y=np.where(some, 0.0, frame["y"]))).to_frame()
    assert np.isfinite(made["estimate"]).all() and (made["reason"] == "").all()
    rest = rollout(frame[frame["place"] != 0]).to_frame()["estimate"]
    own = frame.loc[(frame["place"] == 0) & (frame["t"] >= 5), "y"].to_numpy()
    np.testing.assert_allclose(made["estimate"], (9 * rest + own) / 10, atol=1e-9)  # one of ten places, less nothing


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_where_all_who_start_recorded_nothing_or_everything_before_there_is_a_reason(level):
    frame = panel(0.5, 0.2)
    before = (frame["place"] < 10) & (frame["t"] < 5)
    with pytest.raises(NotIdentifiedError, match="had recorded"):
        rollout(frame.assign(y=np.where(before, level, frame["y"])))


def test_a_period_in_which_nobody_beside_recorded_anything_is_predicted_nothing():
    frame = panel(0.5, 0.2)
    beside = (frame["place"] >= 10) & (frame["t"] == 7)
    made = rollout(frame.assign(y=np.where(beside, 0.0, frame["y"])), "log").to_frame().set_index("period")
    own = frame[(frame["place"] < 10) & (frame["t"] == 7)]["y"].mean()
    assert made.loc[7, "estimate"] == pytest.approx(own, abs=1e-6)
    assert np.isfinite(made["std_error"]).all()


def test_choices_that_make_no_sense_on_a_scale_are_refused():
    for options in ({"adjust": "reg"}, {"comparison": "never"}):
        with pytest.raises(OptionError, match="Another scale"):
            ek.ScaledRollout(**options)
    with pytest.raises(OptionError, match="scale"):
        ek.ScaledRollout(scale="probit")


def test_fits_on_one_outcome_with_other_columns_stay_apart():
    """Two rungs of this draw fit the same rows beside one column more or less, in which nobody differs."""
    study = ek.synthetic.partnership("young_people", "clean", 2).study
    assert "scale" in set(ek.evaluate(study.replace(outcomes=study.outcomes[:1])).checks["check"])
