"""Evidence cards: what they hold, what is refused by name, and how they are kept."""

from __future__ import annotations

import copy
import dataclasses
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


def test_a_withdrawn_study_leaves_no_number_under_another_name(three: list[Card], tmp_path: Path) -> None:
    """Files that others sent are called as they called them, and earlier versions lie there too."""
    first, other, _ = three
    newer = first.model_copy(update={"supersedes": first.key, "covariance_level": "again"})
    for name, card in (("sent by post", first), ("theirs", newer), ("other", other)):
        (tmp_path / f"{name}.json").write_text(card.to_json(), encoding="utf-8")
    ek.Cards.load(tmp_path).withdraw(first.study)
    left = {f.name: f.read_text() for f in tmp_path.iterdir()}
    assert "other.json" in left and not any(str(first.numbered[0].estimate) in text for text in left.values())


def test_a_renamed_study_takes_the_place_of_what_it_supersedes(three: list[Card], tmp_path: Path) -> None:
    first, other, _ = three
    renamed = first.model_copy(update={"study": "renamed", "supersedes": first.key, "data_fingerprint": "sha256:more"})
    cards = ek.Cards.of([first, other, renamed])
    assert [c.study for c in cards] == [other.study, "renamed"]
    assert cards.left_out["reason"].tolist() == [f"superseded by a newer version, {renamed.name}"]
    for card in (first, other, renamed):
        card.save(tmp_path)
    assert len(ek.Cards.load(tmp_path)) == 2
    ek.Cards.load(tmp_path).withdraw("renamed")  # and what it stood for does not come back
    assert [c.study for c in ek.Cards.load(tmp_path)] == [other.study]


def test_what_is_no_readable_file_is_refused_by_name(three: list[Card], tmp_path: Path) -> None:
    three[0].save(tmp_path)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "gone")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name, version in (("power", "1.²"), ("long", "1." + "9" * 5000)):
        said = {**three[1].as_data(), "version": version}
        (tmp_path / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")
    left = ek.Cards.load(tmp_path, on_refused="leave_out")
    assert [c.key for c in left] == [three[0].key]
    assert set(left.left_out["file"]) == {f"{n}.json" for n in ("folder", "nowhere", "deep", "power", "long")}


@pytest.mark.parametrize("text", ["junk", '{"schema": "evalkit/evidence-card", "version": "1.3"}', None])
def test_nothing_is_written_over_what_cannot_be_read(three: list[Card], tmp_path: Path, text: str | None) -> None:
    lies = tmp_path / three[0].file
    lies.mkdir() if text is None else lies.write_text(text)
    with pytest.raises(ek.EvalkitError, match=r"no card of this version.*Move it away"):
        three[0].save(tmp_path)
    assert text is None or lies.read_text() == text


@pytest.mark.parametrize("given", [["a.json"], [Path("a.json")], [None]])
def test_what_is_no_card_is_refused(given: list) -> None:
    with pytest.raises(OptionError, match="is no card"):
        ek.Cards.of(given)
    with pytest.raises(OptionError, match="is no card"):
        ek.pool(given)


def test_a_card_counts_people_who_are_added_up() -> None:
    """Eight people a place, two of whom the nurse can reach: cells of two and of six are not two alike."""
    rng = np.random.default_rng(2)
    person, month = np.repeat(np.arange(112), 10), np.tile(np.arange(10), 112)
    place, can = person // 8, (person % 4 == 0).astype(int)
    frame = pd.DataFrame({"id": person, "t": month, "place": [f"P{p}" for p in place], "can": can,
                          "nurse": ((place < 8) & (month >= 4 + place % 3)).astype(int),
                          "y": rng.normal(size=len(person))})  # fmt: skip
    nurse = ek.Component("nurse", exposure="nurse", reach="can", assigned_at="place")
    held = [
        ek.Study(frame, unit="id", period="t", cluster="place", outcome="y", components=[nurse], hold=hold,
                 settings={"disclosure": "none"})
        for hold in ("rows", "cells")
    ]  # fmt: skip
    rows, cells = (ek.card(ek.evaluate(s)) for s in held)
    assert held[1].paths.n_units < held[0].paths.n_units
    assert cells.rows[0].reach == rows.rows[0].reach == 0.25
    assert cells.rows == rows.rows and cells.population == rows.population


@pytest.mark.parametrize(
    "given",
    [{"population": 5}, {"population": ["a"]}, {"terms": ["a"]}, {"outcome_id": 5}, {"measured": 5},
     {"measured": "x" * 500}, {"made": "2026-13-45"}],
)  # fmt: skip
def test_what_is_said_of_a_card_is_of_its_kind(evaluation: ek.Evaluation, given: dict) -> None:
    with pytest.raises(OptionError, match=next(iter(given)).partition("_")[0]):
        ek.card(evaluation, **given)


def test_long_titles_and_labels_make_a_card(evaluation: ek.Evaluation) -> None:
    study = evaluation.study
    parts = [dataclasses.replace(c, label="A very long label of a component " * 20) for c in study.components]
    long = dataclasses.replace(evaluation, study=study.replace(title="What a partnership did " * 30, components=parts))
    card = ek.card(long)
    assert len(card.study) <= 100 and card.study.startswith("what-a-partnership-did-what")
    assert not card.study.endswith("-") and card.population.description.startswith("What a partnership did")


def test_a_study_whose_file_is_gone_has_a_card(tmp_path: Path) -> None:
    file = PLACES["Larkwell"].save(tmp_path)
    there = ek.evaluate(ek.Study.load(file))
    before = ek.card(there)
    assert before.provenance.study_file is not None
    Path(there.study.inputs[0]).unlink()
    after = ek.card(there)
    assert after.provenance.study_file is None and after.rows == before.rows


@pytest.mark.parametrize(("named", "written"), [("EUR", "EUR"), ("€", "EUR"), ("CHF", "CHF"), (None, "GBP")])
def test_what_a_unit_costs_is_in_the_currency_of_its_study(
    evaluation: ek.Evaluation, named: str | None, written: str
) -> None:
    study = evaluation.study
    parts = [dataclasses.replace(c, unit_cost=12.0) for c in study.components]
    priced = study.replace(components=parts, settings={**study.settings, **({"currency": named} if named else {})})
    cost = ek.card(dataclasses.replace(evaluation, study=priced)).components[parts[0].name].unit_cost
    assert cost is not None and cost.currency == written


def test_periods_and_places_are_called_as_the_study_calls_them(evaluation: ek.Evaluation) -> None:
    called = {"period": ("round", "rounds"), "unit": ("ward", "wards")}
    card = ek.card(dataclasses.replace(evaluation, study=evaluation.study.replace(noun=called)))
    assert card.estimand.period == "round" and card.covariance_level.startswith("ward, ")
    assert {c.assigned_at for c in card.components.values()} == {"ward"}


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


def of_sites(exchanged: int = 0, months: int = 12) -> ek.Evaluation:
    """Twelve sites, half of which start in the seventh month; some of the others under other names."""
    site, month = np.repeat(np.arange(12), 12), np.tile(np.arange(12), 12)
    frame = pd.DataFrame({"site": [f"S{i:02d}" if i < 12 - exchanged else f"N{i:02d}" for i in site],
                          "month": [f"2024-{m + 1:02d}" for m in month], "a": ((site < 6) & (month >= 6)).astype(int),
                          "y": np.random.default_rng(3).normal(size=144)})  # fmt: skip
    frame = frame[month < months]
    return ek.evaluate(ek.Study(frame, unit="site", period="month", outcome="y", kind="score", components=["a"]))


def test_clusters_exchanged_for_others_are_counted(tmp_path: Path) -> None:
    first, one, two = of_sites(), of_sites(1), of_sites(2)
    old = ek.card(first, study="here")
    old.save(tmp_path)
    for now in (one, two, of_sites(1, months=11)):
        with pytest.raises(ek.EvalkitError, match=r"as many clusters as the one before, and not the same.*before="):
            ek.card(now, study="here", supersedes=old).save(tmp_path)
    swapped = ek.card(one, study="here", supersedes=old, before=first.study)
    assert swapped.clusters_changed == 2
    with pytest.raises(ek.EvalkitError, match="differs by 2 of its clusters, which the two would give away"):
        swapped.save(tmp_path)
    ek.card(of_sites(months=11), study="here", supersedes=old).check_follows(old)  # the same clusters, other months
    new = ek.card(two, study="here", supersedes=old.key, before=first.study)
    assert new.clusters_changed == 4 and new.save(tmp_path).exists()
    for given, words in (
        ({"before": first.study}, "goes with supersedes"),
        ({"before": 3, "supersedes": old}, "before=3 is no study"),
        ({"before": one.study, "supersedes": old}, "is not the study that"),
    ):
        with pytest.raises(OptionError, match=words):
            ek.card(two, study="here", **given)


def test_a_card_of_the_version_before_keeps_its_key_and_shows_what_it_can() -> None:
    first = ek.card(of_sites(), study="here")
    said = {k: v for k, v in first.as_data().items() if k != "cluster_fingerprint"} | {"version": "1.0"}
    old, _ = read_card(json.dumps(said), "x.json")
    assert isinstance(old, Card) and old.as_data() == said and old.key != first.key
    for months in (12, 11):
        ek.card(of_sites(months=months), study="here", supersedes=old).check_follows(old)
    with pytest.raises(ek.EvalkitError, match="not the same"):
        ek.card(of_sites(1), study="here", supersedes=old).check_follows(old)


def test_a_duckdb_file_keeps_the_same_rules(three: list[Card], tmp_path: Path) -> None:
    file = tmp_path / "cards.duckdb"
    assert ek.Cards.of(three).save(file) == file
    cards = ek.Cards.load(file)
    assert sorted(c.key for c in cards) == sorted(c.key for c in three)
    with pytest.raises(ek.EvalkitError, match="There is a card of"):
        ek.Cards.of([three[0].model_copy(update={"covariance_level": "other"})]).save(file)
    cards.withdraw(three[0].study)
    again = ek.Cards.load(file)
    assert len(again) == 2 and again.left_out[["study", "reason"]].to_numpy().tolist() == [
        [three[0].study, "withdrawn"]
    ]
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


def test_the_baseline_of_a_card_weighs_as_estimates_do() -> None:
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        [(p, i, t) for p in range(12) for i in range(12) for t in range(8)], columns=["place", "i", "t"]
    )
    rows["who"], rows["w"] = rows["place"] * 100 + rows["i"], np.where(rows["i"] < 6, 1.0, 9.0)
    rows["a"] = ((rows["place"] < 6) & (rows["t"] >= 4)).astype(int)
    rows["y"] = np.where(rows["i"] < 6, 0.0, 10.0) + rng.normal(size=len(rows))
    study = ek.Study(rows, unit="who", period="t", cluster="place", outcome="y", components=["a"], weights="w",
                     matters=1.0)  # fmt: skip
    before = rows[(rows["place"] < 6) & (rows["t"] < 4)]
    weighed = np.average(before["y"], weights=before["w"])
    card = json.loads(ek.card(ek.evaluate(study)).to_json())
    assert card["population"]["baseline"] == pytest.approx(weighed, abs=0.1) != before["y"].mean()
