"""Evidence cards: what they hold, what is refused by name, and how they are kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fhir.resources.evidence import Evidence

import evalkit as ek
from benchmarks.pooling_fuzz import bad_cards, leaks
from benchmarks.pooling_worlds import World, draw_cards
from evalkit.errors import OptionError
from evalkit.pooling.card import Card, json_schema
from evalkit.pooling.making import rounded_vcov
from evalkit.pooling.reading import read_card

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "tests" / "reference" / "data" / "pooling" / "example-card.json").read_text(encoding="utf-8")
PLACES = ek.synthetic.partnership("portfolio", "clean", seed=1).studies


@pytest.fixture(scope="module")
def evaluation() -> ek.Evaluation:
    return ek.evaluate(PLACES["Larkwell"])


@pytest.fixture(scope="module")
def three() -> list[Card]:
    return draw_cards(World(3), 5)


def test_the_example_of_the_format_is_read_and_written_back() -> None:
    card, later = read_card(EXAMPLE, "example.json")
    assert isinstance(card, Card) and later == ()
    again, _ = read_card(card.to_json(), "again.json")
    assert again == card and again.key == card.key
    assert card.vcov.shape == (3, 3) and [r.id for r in card.numbered] == ["policy", "nurse", "programme"]
    assert len(card.to_json()) < 4_000


def test_the_published_schema_is_that_of_the_code() -> None:
    """Write it again: python -c "import json; from evalkit.pooling.card import json_schema; print(...)", see docs."""
    kept = json.loads((ROOT / "docs" / "evidence-card.schema.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(json_schema()))


@pytest.mark.parametrize("name", sorted(bad_cards()))
def test_a_bad_card_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.json").write_text(bad_cards()[name], encoding="utf-8")
    with pytest.raises(ek.EvalkitError, match=rf"{name}\.json"):
        ek.Cards.load(tmp_path)
    left = ek.Cards.load(tmp_path, on_refused="leave_out").left_out
    assert left["file"].tolist() == [f"{name}.json"] * len(left) and len(left)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    for name in ("misspelt-key", "no-df"):
        (tmp_path / f"{name}.json").write_text(bad_cards()[name], encoding="utf-8")
    with pytest.raises(
        ek.EvalkitError, match=r"(?s)misspelt-key.*Did you mean 'label'.*degrees of freedom.*no-df"
    ) as told:
        ek.Cards.load(tmp_path)
    assert "2 problems" in str(told.value)


def test_a_later_minor_version_is_read_and_what_is_new_kept_apart(tmp_path: Path) -> None:
    said = json.loads(EXAMPLE)
    said["version"], said["mood"], said["rows"][0]["colour"] = "1.4", "good", "blue"
    (tmp_path / "new.json").write_text(json.dumps(said), encoding="utf-8")
    cards = ek.Cards.load(tmp_path)
    assert len(cards) == 1 and set(cards.later) == {("new.json", "mood"), ("new.json", "rows.0.colour")}
    said["version"] = "1.0"
    (tmp_path / "new.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ek.EvalkitError, match="mood"):
        ek.Cards.load(tmp_path)


def test_a_card_of_an_evaluation(evaluation: ek.Evaluation) -> None:
    card = ek.card(
        evaluation,
        study="here",
        terms={"key_worker": "ek:key-worker"},
        made="2026-11-27",
        population={"place": "Somewhere"},
    )
    rows = {r.id: r for r in card.rows}
    assert set(card.components) == {c.name for c in evaluation.study.components} <= set(rows)
    verdicts = evaluation.verdicts.set_index("component")
    for name in card.components:
        row, found = rows[name], verdicts.loc[name]
        assert row.verdict == found["verdict"]
        if row.estimate is not None:
            assert row.estimate == pytest.approx(found["estimate"], rel=5e-3)
            i = [r.id for r in card.numbered].index(name)
            se = evaluation.effects.query("headline and component == @name")["std_error"].iloc[0]
            assert card.vcov[i, i] ** 0.5 == pytest.approx(se, rel=1e-2)
            assert set(row.alongside) == set(card.components) - {name}
    assert card.components["key_worker"].term == "ek:key-worker" and "programme" in rows
    assert card.estimand.whom == "reached" and card.population.place == "Somewhere"
    assert str(card).startswith("here: ")


def test_refusals_are_rows_with_their_reason() -> None:
    evaluation = ek.evaluate(PLACES["Tarnford"])
    card = ek.card(evaluation, made="2026-11-27")
    refused = [r for r in card.rows if r.verdict == "cannot_tell_apart"]
    assert refused and all(r.reason and r.estimate is None for r in refused)
    both = next(r for r in card.rows if r.kind == "combination")
    assert dict(both.members) == {"budget": 1.0, "advice": 1.0} and both.estimate is not None


def test_few_clusters_lose_their_number_and_keep_their_verdict() -> None:
    """Two sites with it: an estimate would be theirs."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"site": np.repeat([f"S{i}" for i in range(9)], 8), "time": np.tile(range(8), 9)})
    start = np.array([4, 5, *[99] * 7])[np.repeat(range(9), 8)]
    frame["a"] = (frame["time"] >= start).astype(int)
    frame["y"] = rng.normal(size=72) + 5 * frame["a"]
    evaluation = ek.evaluate(ek.Study(frame, unit="site", period="time", outcome="y", components=["a"]))
    card = ek.card(evaluation, made="2026-11-27")
    assert np.isfinite(evaluation.verdicts["estimate"][0]) and evaluation.verdicts["clusters_exposed"][0] == 2
    assert card.rows[0].verdict == evaluation.verdicts["verdict"][0] != "not_tested"
    assert card.rows[0].estimate is None and "fewer than 3 places" in card.rows[0].reason and not card.numbered


@pytest.mark.parametrize(
    "seed", [0, 1, 862]
)  # without one place the last has no range, and its reason names that place
def test_no_value_of_a_unit_or_cluster_is_in_a_card(seed: int) -> None:
    found, size = leaks(seed)
    assert found == [] and size < 8_000


def test_what_is_asked_for_and_cannot_be_is_refused(evaluation: ek.Evaluation) -> None:
    with pytest.raises(OptionError, match="no component 'zz'"):
        ek.card(evaluation, terms={"zz": "ek:zz"})
    with pytest.raises(OptionError, match="another has too"):
        ek.card(evaluation, terms={"key_worker": "ek:x", "peer_support": "ek:x"})
    with pytest.raises(OptionError, match="plce"):
        ek.card(evaluation, population={"plce": "x", "description": "y"})
    with pytest.raises(ek.EvalkitError, match="needs an Evaluation; it got Study"):
        ek.card(evaluation.study)  # type: ignore[arg-type]


def test_rounding_leaves_a_covariance_positive_definite() -> None:
    nearly = np.full((3, 3), 1 - 1e-9) + 1e-9 * np.eye(3)
    made = rounded_vcov(nearly, np.array([0.1, 0.1, 0.1]))
    assert np.linalg.eigvalsh(made)[0] > 0 and np.diag(made) == pytest.approx([0.01] * 3)
    plain = np.array([[0.04, 0.01], [0.01, 0.09]])
    np.testing.assert_allclose(rounded_vcov(plain, np.array([0.2, 0.3])), plain)


def test_newest_only_and_withdrawals(three: list[Card], tmp_path: Path) -> None:
    first, other, _ = three
    newer = first.model_copy(update={"supersedes": first.key, "covariance_level": "again"})
    for name, card in (("old", first), ("new", newer), ("other", other)):
        (tmp_path / f"{name}.json").write_text(card.to_json(), encoding="utf-8")
    cards = ek.Cards.load(tmp_path)
    assert [c.key for c in cards] == [newer.key, other.key]
    assert cards.left_out["reason"].tolist() == ["superseded by a newer version"]
    kept = cards.withdraw(other.study, reason="turned private")
    assert [c.key for c in kept] == [newer.key]
    again = ek.Cards.load(tmp_path)
    assert [c.study for c in again] == [first.study] and "withdrawn: turned private" in set(again.left_out["reason"])
    with pytest.raises(ek.EvalkitError, match="was withdrawn"):
        other.save(tmp_path)


def test_a_withdrawn_study_leaves_no_number_in_the_folder(three: list[Card], tmp_path: Path) -> None:
    for card in three:
        card.save(tmp_path)
    ek.Cards.load(tmp_path).withdraw(three[1].study)
    assert all(str(three[1].numbered[0].estimate) not in f.read_text() for f in tmp_path.iterdir())


def test_the_same_data_twice_are_refused(three: list[Card]) -> None:
    first, second, _ = three
    with pytest.raises(ek.EvalkitError, match=f"same card is there twice: {first.name}"):
        ek.Cards.of([first, first])
    with pytest.raises(ek.EvalkitError, match="two cards of one study"):
        ek.Cards.of([first, first.model_copy(update={"covariance_level": "other"})])
    named = {"indigo": "INDIGO-POJ-1"}
    where = {"place": "Here", "dates": ("2019-01", "2020-06")}
    later = {"place": "here ", "dates": ("2020-06-15", "2021-01-01")}

    def pair(a: dict, b: dict, part: str) -> list[Card]:
        return [
            c.model_copy(update={part: getattr(c, part).model_copy(update=u)}) for c, u in ((first, a), (second, b))
        ]

    overlapping = {
        "fingerprint": [first, second.model_copy(update={"data_fingerprint": first.data_fingerprint})],
        "INDIGO id": pair(named, named, "provenance"),
        "place at the same time": pair(where, later, "population"),
    }
    for why, cards in overlapping.items():
        with pytest.raises(ek.EvalkitError, match=f"{first.study}.*{second.study}.*same {why}"):
            ek.Cards.of(cards)
        assert len(ek.Cards.of(cards, apart=[(second.study, first.study)])) == 2
        assert len(ek.Cards.of(cards, on_refused="leave_out")) == 1
    apart = pair(where, {**later, "dates": ("2021-01", "2022-01")}, "population")
    assert len(ek.Cards.of(apart)) == 2


def test_a_new_version_may_not_give_a_cluster_away(three: list[Card], tmp_path: Path) -> None:
    card = three[0]
    card.save(tmp_path)
    assert card.save(tmp_path).exists()  # the same again changes nothing

    def newer(clusters: int, supersedes: str | None) -> Card:
        population = card.population.model_copy(update={"clusters": clusters})
        return card.model_copy(update={"population": population, "supersedes": supersedes})

    with pytest.raises(ek.EvalkitError, match=f"supersedes='{card.key}'"):
        newer(20, None).save(tmp_path)
    with pytest.raises(ek.EvalkitError, match="would give away"):
        newer(card.clusters + 1, card.key).save(tmp_path)
    newer(card.clusters + 3, card.key).save(tmp_path)
    assert [c.clusters for c in ek.Cards.load(tmp_path)] == [card.clusters + 3]


def test_a_duckdb_file_keeps_the_same_rules(three: list[Card], tmp_path: Path) -> None:
    file = tmp_path / "cards.duckdb"
    assert ek.Cards.of(three).save(file) == file
    cards = ek.Cards.load(file)
    assert sorted(c.key for c in cards) == sorted(c.key for c in three)
    with pytest.raises(ek.EvalkitError, match="There is a card of"):
        ek.Cards.of([three[0].model_copy(update={"covariance_level": "other"})]).save(file)
    cards.withdraw(three[0].study)
    assert len(ek.Cards.load(file)) == 2 and len(ek.Cards.load(file).left_out) == 0
    frame = cards.to_frame()
    assert frame["estimate"].notna().sum() == sum(len(c.numbered) for c in three)


def test_where_there_are_no_cards(tmp_path: Path) -> None:
    for place in ("nowhere", "nothing.duckdb"):
        with pytest.raises(ek.EvalkitError, match="There is no"):
            ek.Cards.load(tmp_path / place)


def test_exports_are_read_by_others() -> None:
    card, _ = read_card(EXAMPLE, "example.json")
    made = card.to_fhir()
    assert len(made) == 3 and all(Evidence.model_validate(e) for e in made)
    low = made[0]["statistic"][0]["attributeEstimate"][0]["range"]["low"]["value"]
    assert low == pytest.approx(0.098 - 2.3515 * 0.029, abs=1e-3)
    assert card.to_csv().splitlines()[1] == "gm-rough-sleeping,policy,policy,0.098,0.000841,7.2,shown"


def test_a_copy_of_a_card_is_held_to_its_rules(three: list[Card]) -> None:
    card = three[0]
    assert copy.copy(card) == card
    with pytest.raises(ValueError, match="covariance is not"):
        card.model_copy(update={"covariance": ()})
