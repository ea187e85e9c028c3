"""What other components' growth adds to an answer, and the two checks that read it."""

import numpy as np
import pandas as pd
import pytest
import recovery_worlds as worlds

import evalkit as ek
from evalkit import checks
from evalkit.designs.regression.joint import growth_of_others
from evalkit.inference import Estimate


def still(world: worlds.World) -> worlds.World:
    sites, periods = len(next(iter(world.starts.values()))), len(next(iter(world.growth.values())))
    return worlds.build(world.starts, world.growth, np.zeros((sites, periods)))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 6])
@pytest.mark.parametrize("make", [worlds.followed, worlds.bursts])
def test_without_noise_the_error_of_an_answer_is_the_growth_of_the_others(make, window, seed):
    world = still(make(seed))
    study = world.study()
    for component, growth in world.growth.items():
        one = ek.StaggeredRollout(base_window=window)(study, component).aggregate("simple")
        used = one.weights().query("sign == 1")
        cells = used["cluster"].to_numpy(dtype=int), used["period"].to_numpy(dtype=int)
        own = float(used["weight"] @ world.effect(component)[cells])
        found = growth_of_others(study, one, component)
        added = 0.0 if found is None else float(found.value[0])
        assert one.value[0] - added == pytest.approx(own, abs=1e-10), growth


def test_alike_places_have_no_growth_to_take_out():
    world = worlds.followed(4)
    one = ek.StaggeredRollout()(world.study(), "policy").aggregate("simple")
    assert growth_of_others(world.study(), one, "policy") is None
    assert checks.growth_taken_out(one, None).status == "passed"


def test_eligible_and_ineligible_people_of_a_place_share_the_growth_of_others():
    study = worlds.people(3).study()
    one = ek.TripleDifference(base_window=6)(study, "nurse").aggregate("simple")
    assert growth_of_others(study, one, "nurse") is None


def test_others_that_always_go_together_are_taken_out_as_one():
    world = worlds.followed(4)
    frame = world.frame.assign(twin=world.frame["policy"])
    names = ("policy", "twin", "newsletter")
    study = ek.Study(
        frame, unit="site", period="month", outcome="y", better="higher",
        components=[ek.Component(n, exposure=n) for n in names],
    )  # fmt: skip
    one = ek.StaggeredRollout()(study, "newsletter").aggregate("simple")
    both = growth_of_others(study, one, "newsletter")
    alone = growth_of_others(world.study(), one, "newsletter")
    assert both.value[0] == pytest.approx(alone.value[0], abs=1e-9)


def number(value: float, error: float, clusters: int = 40) -> Estimate:
    pull = np.zeros((clusters, 1))
    pull[:2, 0] = (error / np.sqrt(2), -error / np.sqrt(2))
    return Estimate.from_influence(
        [value], pull, pd.DataFrame({"component": ["a"], "estimand": ["ATT"], "reason": [""]})
    )


@pytest.mark.parametrize(
    ("growth", "status"), [(0.01, "passed"), (0.03, "failed"), (0.06, "failed"), (-0.03, "passed")]
)
def test_a_claim_that_growth_explains_fails(growth, status):
    assert checks.growth_taken_out(number(0.04, 0.01), number(growth, 0.001)).status == status


def test_an_interval_with_zero_claims_nothing_that_growth_could_explain():
    assert checks.growth_taken_out(number(0.01, 0.01), number(0.05, 0.001)).status == "passed"


@pytest.mark.parametrize(
    ("growth", "error", "status"), [(0.03, 0.01, "failed"), (0.03, 0.02, "passed"), (0.02, 0.005, "passed")]
)
def test_growth_counts_where_it_is_beyond_half_of_what_matters_and_beyond_chance(growth, error, status):
    found = checks.others_still_growing(number(0.04, 0.01), None, 0.05, growth=number(growth, error))
    assert found.status == status


def test_a_followed_newsletter_is_not_shown():
    evaluation = ek.evaluate(worlds.followed(2).study())
    verdicts = evaluation.verdicts.set_index("component")["verdict"]
    assert verdicts["newsletter"] not in ("shown", "likely")


@pytest.mark.parametrize("extra", [0.0, 0.03])
def test_people_reached_together_with_another_component_are_asked_about_also_in_alike_places(extra):
    """Draw 632: the nurse is told apart in place and time, and the policy that often starts with her may do more for
    those whom she reaches."""
    evaluation = ek.evaluate(worlds.people(632, extra=extra).study())
    row = evaluation.verdicts.set_index("component").loc["nurse"]
    assert row["design"] == "StaggeredRollout(same)"
    assert row["verdict"] in ("likely", "cannot_tell") and "respond" in row["sentence"]


def grown(seed: int) -> pd.DataFrame:
    """Sixteen places alone, of which ten start, and what it does grows."""
    rng = np.random.default_rng(seed)
    start = np.where(np.arange(16) < 10, rng.integers(3, 9, 16), 99)
    site, month = (a.ravel() for a in np.indices((16, 12)))
    on = (month >= start[site]).astype(int)
    y = rng.normal(size=16)[site] + rng.normal(0, 0.4, 192) + on + 0.2 * np.maximum(month - start[site] + 1, 0)
    return pd.DataFrame({"site": site, "month": month, "on": on, "nobody": 0, "y": y})


@pytest.mark.parametrize("beside", [ek.Component("nobody"), ek.Component("keyworker", always_on=True)])
def test_a_component_that_never_begins_or_ends_cannot_have_been_growing(beside):
    """Nobody starts it, or everybody always had it: places are alike for long whatever the start, and asking for longer
    only leaves the early starts out, whose effect grew for longer."""

    def found(*others: ek.Component) -> ek.Evaluation:
        return ek.evaluate(
            ek.Study(grown(19), unit="site", period="month", outcome="y", matters=0.5,
                     components=[ek.Component("on"), *others])
        )  # fmt: skip

    alone, with_it = found(), found(beside)
    checked = with_it.checks.query("component == 'on' and check == 'others_still_growing'").iloc[0]
    assert (checked["status"], checked["words"]) == ("passed", "No other component begins or ends in this study.")
    assert with_it.verdicts["verdict"].iloc[0] == alone.verdicts["verdict"].iloc[0] == "shown"


def test_an_answer_that_is_the_same_but_for_rounding_is_no_other_answer():
    """A difference of one last digit whose error is a tenth of that would be ten standard errors from nothing."""
    one = number(0.3, 0.05)
    same = Estimate.from_influence(one.value + 5e-17, one.influence * (1 + 1e-15), one.labels)
    other = Estimate.from_influence(one.value + 0.01, one.influence * (1 + 1e-3), one.labels)
    assert checks.rungs(one, {"a": same}).status == "passed"
    assert checks.others_still_growing(one, same, None).status == "passed"
    assert checks.rungs(one, {"a": other}).status == "failed"
    assert checks.rungs(one, {"a": same, "b": other}).estimate == pytest.approx(-0.01)
