"""The synthetic town: the same again by its seed, its truth, its knobs, its folder, and what is claimed of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.cli import main
from evalkit.synthetic.town import COMPONENTS, MONTHS, THIRTEENTH, Town


def town(setting: str = "realistic", seed: int = 1, **knobs: object) -> Town:
    made = ek.synthetic.partnership("town", setting, seed, **knobs)
    assert isinstance(made, Town)
    return made


@pytest.fixture(scope="module")
def scored() -> tuple[ek.Evaluation, pd.DataFrame]:
    made = town()
    evaluation = ek.evaluate(made.study)
    return evaluation, made.score(evaluation).set_index("component")


def test_a_seed_gives_the_same_town_and_a_knob_moves_only_its_own() -> None:
    one, again, other = town(seed=4).study.values(), town(seed=4).study.values(), town(seed=5).study.values()
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    month = np.arange(len(MONTHS))
    pushed = town(seed=4, event=-4.0).study.values() - one
    np.testing.assert_allclose(pushed[0], -4.0 * (month >= COMPONENTS[0].start), atol=2e-3)
    without = town(seed=4, thirteenth=False).study.values() - one
    contract = next(c for c in COMPONENTS if c.name == "contract")
    np.testing.assert_allclose(without[0], 5.0 * (month >= contract.start + THIRTEENTH), atol=2e-3)
    assert len(town("clean").study.values()) == 9 and len(town("clean", others=3).study.values()) == 4


def test_the_truth_is_what_each_component_did_in_each_month() -> None:
    truth = town().reveal_truth().effects.set_index(["component", "period"])["effect"]
    start = {c.name: c.start for c in COMPONENTS}
    assert truth["navigator"].index[0] == MONTHS[start["navigator"]] and (truth["navigator"] == -4).all()
    assert (truth["beds"] == 0).all()
    late = truth["contract"].to_numpy()
    assert (late[:THIRTEENTH] == 0).all() and (late[THIRTEENTH:] == -5).all()


def test_components_apart_in_time_are_answered_and_those_too_near_together(scored) -> None:
    evaluation, score = scored
    status = evaluation.separability.components.set_index("component")["status"]
    assert status.to_dict() == {"navigator": "one_place", "beds": "one_place", "contract": "bundle_only",
                                "rota": "bundle_only"}  # fmt: skip
    assert score.loc["navigator", "truth"] == pytest.approx(-4) and score.loc["navigator", "claimed"]
    assert score.loc["beds", "truth"] == 0 and not score.loc["beds", "claimed"]
    assert score.loc["contract with rota", "truth"] == pytest.approx(-7)
    assert score.loc[["navigator", "beds", "contract with rota"], "covered"].astype(bool).all()
    assert "Together" in evaluation.verdicts.set_index("component").loc["contract", "sentence"]


def test_an_event_at_the_same_time_misleads_and_a_listed_one_is_refused() -> None:
    hard = town("hard", listed=True)
    est = ek.evaluate(hard.study).verdicts.set_index("component").loc["navigator"]
    assert est["verdict"] == "cannot_tell" and "an event that the study lists" in est["sentence"].lower()
    unlisted = ek.InterruptedTimeSeries(season=12)(town("hard").study, "navigator").over(0).to_frame().iloc[0]
    assert unlisted["conf_high"] < -4  # the truth


@pytest.mark.parametrize(("knobs", "words"), [
    ({"movers": 0.1}, "movers"), ({"rho": 2}, "rho=2"), ({"season": 3}, "season=3"), ({"others": 60}, "too many"),
])  # fmt: skip
def test_what_no_knob_takes_is_refused(knobs: dict[str, object], words: str) -> None:
    with pytest.raises(ek.EvalkitError, match=words):
        town(**knobs)


def test_the_command_writes_a_study_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synth", "town", "--knob", "rho=0.6", "--knob", "listed=yes", "--knob", "event=2", "--out",
              str(tmp_path / "made")])  # fmt: skip
    assert ended.value.code == 0 and "The truth lies sealed" in capsys.readouterr().out
    study = ek.Study.load(tmp_path / "made" / "study.toml")
    assert study.paths.components == tuple(c.name for c in COMPONENTS) and len(study.events) == 1
    said = json.loads((tmp_path / "made" / "truth" / "settings.json").read_text(encoding="utf-8"))
    assert said["knobs"]["rho"] == 0.6
    np.testing.assert_array_equal(study.values(), town(rho=0.6, event=2.0).study.values())


def test_the_town_that_is_kept_is_the_one_that_is_made() -> None:
    kept = Path(__file__).resolve().parents[2] / "data" / "synthetic" / "town"
    study, made = ek.Study.load(kept / "study.toml"), town()
    np.testing.assert_array_equal(study.values(), made.study.values())
    truth = pd.read_csv(kept / "truth" / "effects.csv")
    pd.testing.assert_frame_equal(truth, made.reveal_truth().effects, check_dtype=False)
