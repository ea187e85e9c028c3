"""The portfolio of whole studies: the same again by its seed, its truth, its folder, and what its cards pool to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from data.synthetic.make import portfolio as make_portfolio
from evalkit.cli import main
from evalkit.synthetic.portfolio import COMPONENTS, PLACES, SETTINGS, Portfolio

KEPT = Path(__file__).resolve().parents[2] / "data" / "synthetic" / "portfolio"


@pytest.fixture(scope="module")
def realistic() -> Portfolio:
    return ek.synthetic.partnership("portfolio", "realistic", seed=1)


def test_a_seed_gives_the_same_studies_and_another_seed_others(realistic: Portfolio) -> None:
    again, other = (ek.synthetic.partnership("portfolio", "realistic", seed=s) for s in (1, 2))
    assert list(again.studies) == list(realistic.studies) and len(again.studies) == PLACES
    for place, study in again.studies.items():
        np.testing.assert_array_equal(study.values(), realistic.studies[place].values())
    assert not np.array_equal(other.studies["Ashdale"].values(), realistic.studies["Ashdale"].values())


def test_settings_differ_in_what_they_say() -> None:
    made = {s: Portfolio(s, 3) for s in SETTINGS}
    tau = {s: p.reveal_truth().effects.set_index("component")["tau"] for s, p in made.items()}
    assert tau["clean"].nunique() == 1 and set(tau["realistic"]) == {0.0, 0.04, 0.08}
    assert [len(p.with_card) for p in made.values()] == [PLACES, PLACES, PLACES // 2]
    truth = {s: p.reveal_truth().effects.set_index("component")["truth"] for s, p in made.items()}
    assert truth["hard"]["key_worker"] == truth["clean"]["key_worker"] == COMPONENTS[0].effect
    assert (truth["hard"].drop("key_worker") < truth["clean"].drop("key_worker")).all()
    steady = made["realistic"].reveal_truth().places
    assert set(steady.loc[steady["component"] == "budget", "effect"]) == {0.05}


def test_a_place_holds_the_effects_that_the_envelope_says(realistic: Portfolio) -> None:
    """Without noise the panel is site, quarter and effects alone: each effect is found to the last digit."""
    for number, place in enumerate(realistic.names[:6]):
        starts = realistic._starts(number)
        with_it, without = realistic._panel(number, starts), realistic._panel(number, {})
        gained = with_it["wellbeing"] - without["wellbeing"]
        first = next(iter(starts))
        only = np.array([np.isfinite(starts[first][i]) and all(np.isinf(starts[c][i]) for c in starts if c != first)
                         for i in range(20)])  # fmt: skip
        on = np.repeat(only, 14) & (np.tile(np.arange(14), 20) >= np.repeat(starts[first], 14))
        if on.any():
            np.testing.assert_allclose(gained[on], realistic.effects[number][first], atol=1e-4)
        off = np.tile(np.arange(14), 20) < 5
        assert (gained[off] == 0).all() and place in with_it["site"].iloc[0]


def test_the_committed_folder_is_made_again(tmp_path: Path) -> None:
    make_portfolio(tmp_path, cards=False)
    made = {p.relative_to(tmp_path / "portfolio"): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(KEPT): p.read_bytes() for p in KEPT.rglob("*") if p.is_file() and "cards" not in p.parts}
    assert made == kept


def test_a_committed_card_is_made_again(realistic: Portfolio) -> None:
    cards = {c.study: c for c in ek.Cards.load(KEPT / "cards")}
    assert set(cards) == set(realistic.with_card)
    place = "Larkwell"
    again = ek.card(ek.evaluate(realistic.studies[place]), study=place, made="2026-11-27")
    kept = cards[place]
    assert [(r.id, r.verdict, r.estimate) for r in again.rows] == [(r.id, r.verdict, r.estimate) for r in kept.rows]
    np.testing.assert_allclose(again.vcov, kept.vcov, rtol=0.02)


def test_pooled_cards_find_more_than_places_alone(realistic: Portfolio) -> None:
    cards = ek.Cards.load(KEPT / "cards")
    pooled = ek.pool(cards)
    score = realistic.score(pooled.components).set_index("component")
    assert score["covered"].astype(bool).sum() >= 5 and not score.loc["training", "claimed"]
    true = [c.name for c in COMPONENTS if c.effect > 0]
    alone = [r.verdict in ("shown", "likely") and (r.estimate or 0) > 0
             for c in cards for r in c.rows if r.kind == "component" and r.id in true]  # fmt: skip
    assert score.loc[true, "claimed"].mean() > 2 * np.mean(alone)
    register = [ek.read_indigo(f) for f in sorted((KEPT / "register").glob("*.json"))]
    assert len(register) == PLACES and {p.id for p in register} == {c.provenance.indigo for c in cards}


def test_the_command_writes_studies_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synth", "portfolio", "--setting", "hard", "--size", "0.1", "--out", str(tmp_path / "made")])
    assert ended.value.code == 0 and "Wrote 2 studies" in capsys.readouterr().out
    places = sorted((tmp_path / "made" / "places").iterdir())
    study = ek.Study.load(places[0])
    made = ek.synthetic.partnership("portfolio", "hard", seed=1, size=0.1)
    assert (
        study.paths.components
        == next(s for n, s in made.studies.items() if n.lower() == places[0].name).paths.components
    )
    assert len(pd.read_csv(tmp_path / "made" / "truth" / "effects.csv")) == len(COMPONENTS)
