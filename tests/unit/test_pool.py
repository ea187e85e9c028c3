"""Pooling cards: rows, verdicts over places, predictions, checks, and what is handed on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fhir.resources.evidence import Evidence

import evalkit as ek
from benchmarks.pooling_worlds import World, draw_cards, make_card
from evalkit.cli import main
from evalkit.decision.prior import prior_of
from evalkit.errors import OptionError
from evalkit.pooling.card import Card
from evalkit.pooling.pool import Pool
from evalkit.pooling.verdicts import Found, judge
from evalkit.reporting.strict import strict

PLACES = ek.synthetic.partnership("portfolio", "clean", seed=1).studies


@pytest.fixture(scope="module")
def cards() -> list[Card]:
    return draw_cards(World(24), 1)


@pytest.fixture(scope="module")
def pooled(cards: list[Card]) -> Pool:
    return ek.pool(cards)


def simple(values: dict[str, list[float]], sd: float = 0.01) -> list[Card]:
    """One component a card, in as many places as it has values."""
    out = []
    for name, listed in values.items():
        for i, y in enumerate(listed):
            out.append(make_card(f"{name}{i}", [name], [name], np.array([y, y]), np.diag([sd**2, sd**2])))
    return out


def row(pool: Pool, component: str) -> pd.Series:
    return pool.components.set_index("component").loc[component]


def test_columns_are_those_of_the_contract(pooled: Pool) -> None:
    wanted = (
        "component estimate conf_low conf_high df places tau predict_low predict_high verdict sentence reasons"
    ).split()
    assert set(wanted) <= set(pooled.components.columns)
    assert set(pooled.components["verdict"]) <= {"shown", "likely", "no_sign", "cannot_tell"}
    ranged = pooled.components.dropna(subset=["conf_low"])
    assert (ranged["predict_low"] < ranged["conf_low"]).all() and (ranged["conf_high"] < ranged["predict_high"]).all()
    assert "rank" not in " ".join(pooled.components.columns)


def test_a_pool_of_equal_places_is_their_weighted_mean() -> None:
    found = row(ek.pool(simple({"a": [0.1, 0.1, 0.1, 0.1]})), "a")
    assert found["estimate"] == pytest.approx(0.1) and found["tau"] == 0.0 and found["places"] == 4


def test_places_that_agree_to_the_last_digit_do_not_make_a_range_of_no_width() -> None:
    found = row(ek.pool(simple({"a": [0.1, 0.1, 0.1, 0.1]}, sd=0.02)), "a")
    assert found["std_error"] == pytest.approx(0.02 / 2) and found["predict_low"] == found["conf_low"] < 0.07
    nothing = row(ek.pool(simple({"a": [0.0] * 4}, sd=0.05)), "a")
    assert nothing["verdict"] == "cannot_tell" and nothing["conf_high"] > 0.05


def test_two_places_stand_side_by_side() -> None:
    pool = ek.pool(simple({"a": [0.1, 0.12], "b": [0.02, 0.03, 0.04]}))
    found = row(pool, "a")
    assert np.isnan(found["estimate"]) and found["verdict"] == "cannot_tell" and "side by side" in found["sentence"]
    assert pool.places.query("component == 'a'")["own"].notna().sum() == 2
    assert pool.predict({"a": 1}).reason == "a part of it stands in fewer than 3 places"


BASE = Found(True, True, 6, 6, "higher", 0.05, 0.1, 0.06, 0.14, 0.02, 0.2)


@pytest.mark.parametrize(
    ("change", "verdict", "word"),
    [
        ({}, "shown", ""),
        ({"places": 4, "own": 4}, "likely", "too few to call it shown"),
        ({"sign_without": "here"}, "likely", "without here"),
        ({"sign_without": "here", "selected": True}, "cannot_tell", "without here"),
        ({"programmes_only": True}, "likely", "whole programmes"),
        ({"own": 2}, "likely", "adding up"),
        ({"predict_low": -0.01}, "shown", "would not help everywhere"),
        ({"low": -0.02, "high": 0.04, "estimate": 0.01}, "no_sign", ""),
        ({"low": -0.02, "high": 0.04, "programmes_only": True}, "cannot_tell", "whole programmes"),
        ({"low": -0.02, "high": 0.09}, "cannot_tell", "includes both no change"),
        ({"low": -0.02, "high": 0.09, "matters": None}, "cannot_tell", "nobody has said"),
        ({"low": 0.01, "high": 0.04}, "shown", "smaller than what matters"),
        ({"better": "lower", "low": -0.14, "high": -0.06}, "shown", ""),
        ({"identified": False, "tied": "tied"}, "cannot_tell_apart", "tied"),
        ({"places": 1}, "cannot_tell", "one place with a number"),
        ({"low": np.nan}, "cannot_tell", "too few numbers"),
        ({"known": False, "refused": (("not_tested", "on always"),)}, "not_tested", "on always"),
        ({"known": False, "refused": (("cannot_tell_apart", "tied"),)}, "cannot_tell_apart", "tied"),
        ({"known": False, "refused": (("cannot_tell", "few"), ("not_tested", "x"))}, "cannot_tell", "few"),
    ],
)
def test_rules_of_the_verdict(change: dict, verdict: str, word: str) -> None:
    made = judge(replace(BASE, **change))
    assert made.verdict == verdict and word in " ".join(made.reasons)
    expected = "" if verdict not in ("shown", "likely") and "selected" not in change else "better"
    assert made.direction == expected


@pytest.mark.parametrize(("better", "word"), [("higher", "not help everywhere"), ("lower", "not do harm everywhere")])
def test_what_would_not_hold_everywhere_is_said_of_the_new_place(better: str, word: str) -> None:
    """And is no reason against calling it shown."""
    cards = simple({"a": [0.02, 0.05, 0.09, 0.12, 0.15, 0.18]})
    cards = [c.model_copy(update={"outcome": c.outcome.model_copy(update={"better": better})}) for c in cards]
    found = row(ek.pool(cards), "a")
    assert found["verdict"] == "shown" and found["predict_low"] < 0 < found["conf_low"]
    assert f"in every 100: it would {word}." in found["sentence"] and "not called shown" not in found["sentence"]


def test_one_place_that_carries_the_sign_is_named() -> None:
    pool = ek.pool(simple({"a": [0.004, 0.003, 0.002, 0.003, -0.02]}, 0.004), method="DL")
    check = pool.checks.query("check == 'leave_one_place'").iloc[0]
    assert check["status"] == "failed" and "without a4 the sign changes" in check["words"]


def test_what_is_bought_together_is_known_together() -> None:
    pool = ek.pool(draw_cards(World(24, together=True), 1), use="both")
    table = pool.components.set_index("component")
    assert table.loc[["a", "b"], "estimate"].isna().all()
    assert set(table.loc[["a", "b"], "verdict"]) == {"cannot_tell_apart"} and "“b”" in table.loc["a", "sentence"]
    both = pool.together.iloc[0]
    assert set(both["members"]) == {"a", "b"} and both["conf_low"] < 0.16 < both["conf_high"]
    told = pool.predict(["a", "b"], new_place=False)
    assert told.estimate == pytest.approx(both["estimate"]) and np.isnan(pool.predict(["a"]).estimate)


def test_programmes_have_a_column_for_what_is_always_on(cards: list[Card]) -> None:
    pool = ek.pool(cards, use="programmes")
    assert pool.gathered.columns[-1] == "(always on)" and "(always on)" not in set(pool.components["component"])
    claimed = pool.components[pool.components["verdict"].isin(["shown", "likely"])]
    assert (claimed["verdict"] == "likely").all()
    assert pool.predict(["a"], new_place=False).estimate == pytest.approx(row(pool, "a")["estimate"])


def test_rollouts_against_programmes(cards: list[Card]) -> None:
    honest = ek.pool(cards).checks
    assert honest.query("check == 'between_within'")["status"].tolist() == ["passed"]
    assert len(honest.query("check == 'rollouts_against_programmes'"))
    harder = ek.pool(draw_cards(World(50, harder=-0.6), 2), use="both")
    assert harder.checks.query("check == 'between_within'")["status"].tolist() == ["failed"]
    reasons = " ".join(" ".join(r) for r in harder.components["reasons"])
    assert "differs from what rollouts found" in reasons


def test_an_interaction_is_found_by_what_stood_beside() -> None:
    pool = ek.pool(draw_cards(World(50, synergy=0.1), 3), interactions=[("a", "ek:b")])
    found = pool.interactions.iloc[0]
    assert found["conf_low"] < 0.1 < found["conf_high"] and found["conf_low"] > 0
    assert pool.predict(["a", "b"]).estimate == pytest.approx(
        row(pool, "a")["estimate"] + row(pool, "b")["estimate"] + found["estimate"]
    )


def test_only_found_results_are_noticed() -> None:
    pool = ek.pool(draw_cards(World(24, only_shown=True), (9, 0)))
    failed = pool.checks.query("check == 'all_rows_reported' and status == 'failed'")
    assert len(failed) and not pool.components["verdict"].eq("shown").any()
    assert (ek.pool(draw_cards(World(24), 4)).checks["check"] == "all_rows_reported").sum() == 6


def _for_everybody(card: Card) -> Card:
    rows = tuple(r.model_copy(update={"reach": 0.5}) for r in card.rows)
    return card.model_copy(update={"estimand": card.estimand.model_copy(update={"whom": "everybody"}), "rows": rows})


def test_another_whom_is_left_out_by_name_or_converted(cards: list[Card]) -> None:
    mixed = [_for_everybody(c) if i % 2 else c for i, c in enumerate(cards)]
    pool = ek.pool(mixed)
    gone = pool.left_out[pool.left_out["reason"].str.contains("must be asked for")]
    assert set(gone["study"]) == {c.study for c in mixed[1::2]} and len(pool.gathered.cards) == 12
    converted = ek.pool(mixed, convert=True)
    assert len(converted.gathered.cards) == 24
    doubled = converted.places[converted.places["study"] == mixed[1].study].dropna(subset=["own"])
    plain = ek.pool(cards).places
    before = plain[plain["study"] == mixed[1].study].dropna(subset=["own"])
    np.testing.assert_allclose(doubled["own"], 2 * before["own"])


def test_another_unit_is_left_out_by_name(cards: list[Card]) -> None:
    odd = cards[0].model_copy(update={"outcome": cards[0].outcome.model_copy(update={"kind": "log"})})
    pool = ek.pool([odd, *cards[1:]])
    assert pool.left_out.query("study == @odd.study")["reason"].str.contains("another kind of outcome").any()


def test_same_name_other_thing_is_told_apart_by_its_term(cards: list[Card]) -> None:
    parts = dict(cards[0].components)
    first = next(iter(parts))
    parts[first] = parts[first].model_copy(update={"term": "ek:another"})
    pool = ek.pool([cards[0].model_copy(update={"components": parts}), *cards[1:]])
    assert "ek:another" in set(pool.components["component"]) and f"ek:{first}" in set(pool.components["component"])


def test_places_are_drawn_towards_what_all_found(pooled: Pool) -> None:
    known_rows = pooled.places.dropna(subset=["own"])
    merged = known_rows.merge(pooled.components[["component", "estimate"]], on="component")
    nearer = (merged["shrunken"] - merged["estimate"]).abs() <= (merged["own"] - merged["estimate"]).abs() + 1e-3
    assert nearer.mean() > 0.9
    width = merged["shrunken_high"] - merged["shrunken_low"]
    assert (width < merged["own_high"] - merged["own_low"]).all()
    assert (pooled.places["own"].isna() == (pooled.places["reason"] != "")).all()


def test_options_are_checked(cards: list[Card], pooled: Pool) -> None:
    for wrong in ({"use": "all"}, {"whom": "some"}, {"method": "ML"}, {"inference": "z"}, {"outcome": "other"}):
        with pytest.raises(OptionError):
            ek.pool(cards, **wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="No card has a component 'zz'"):
        pooled.predict({"zz": 1})
    with pytest.raises(OptionError, match="is not a mix"):
        pooled.predict({})
    with pytest.raises(ek.EvalkitError, match="no card to pool"):
        ek.pool([])
    two = [c.model_copy(update={"outcome": c.outcome.model_copy(update={"id": "other"})}) for c in cards[:2]]
    with pytest.raises(OptionError, match="Say which outcome"):
        ek.pool([*cards[2:], *two])
    assert len(ek.pool([*cards[2:], *two], outcome="other").gathered.cards) == 2


@pytest.mark.parametrize("pairs", ["ab", ("a", "b"), [("a", "a")], [("a", "b", "e")], [("a", "b"), ("b", "a")]])
def test_interactions_are_pairs(cards: list[Card], pairs: object) -> None:
    with pytest.raises(OptionError, match="no pairs of components|a pair twice"):
        ek.pool(cards, interactions=pairs)  # type: ignore[arg-type]


@pytest.mark.parametrize("mix", [None, 1, {1: 1.0}, {"a": 0}, {"a": "much"}])
def test_a_mix_is_components_by_name(pooled: Pool, mix: object) -> None:
    with pytest.raises(OptionError, match="is not a mix"):
        pooled.predict(mix)  # type: ignore[arg-type]
    assert pooled.predict("a").estimate == pooled.predict({"a": 1}).estimate


def test_no_cards_at_all() -> None:
    with pytest.raises(OptionError, match="are no cards"):
        ek.pool(None)  # type: ignore[arg-type]


def test_hartung_and_knapp_is_there_too(cards: list[Card], pooled: Pool) -> None:
    other = ek.pool(cards, inference="hartung_knapp")
    np.testing.assert_allclose(other.components["estimate"], pooled.components["estimate"])
    assert (other.components["df"] == pooled.fitted.df).all()


def test_exports(pooled: Pool, tmp_path: Path) -> None:
    made = pooled.to_fhir()
    assert len(made) == pooled.components["conf_low"].notna().sum() and all(Evidence.model_validate(e) for e in made)
    pooled.to_csv(tmp_path)
    rows, v = pd.read_csv(tmp_path / "rows.csv"), pd.read_csv(tmp_path / "V.csv").to_numpy()
    np.testing.assert_allclose(np.diag(v), rows["vi"])
    card = next(c for c in pooled.gathered.cards if c.study == rows["study"].iloc[-1])
    k = int((rows["study"] == card.study).sum())
    at = [[r.id for r in card.numbered].index(n) for n in rows["row"].iloc[-k:]]
    np.testing.assert_allclose(v[-k:, -k:], card.vcov[np.ix_(at, at)], rtol=1e-8)


def test_what_others_found_is_the_prior_of_a_new_study(tmp_path: Path) -> None:
    """From cards to a pool to the decision line of a study of its own."""
    evaluation = ek.evaluate(PLACES["Larkwell"])
    own = ek.card(evaluation, study="here", made="2026-11-27")
    first = evaluation.study.outcome()
    value = {r.id: r.estimate for r in own.numbered}
    rng = np.random.default_rng(1)
    places = []
    for i in range(6):
        rows = tuple(
            r if r.estimate is None else r.model_copy(update={"estimate": value[r.id] + 0.01 * rng.normal()})
            for r in own.rows
        )
        places.append(own.model_copy(update={"study": f"place{i}", "data_fingerprint": f"sha256:{i}", "rows": rows}))
    pool = ek.pool(places)
    file = pool.save_prior(tmp_path / "pool.json", name="six places")
    prior = prior_of(file)
    known_to = set(pool.components.dropna(subset=["conf_low"])["component"])
    assert (prior.name, prior.outcome, prior.unit, set(prior.components)) == (
        "six places",
        first.column,
        first.unit,
        known_to,
    )
    found = row(pool, "key_worker")
    assert prior.components["key_worker"][0] == pytest.approx(found["estimate"])
    assert prior.components["key_worker"][1] == pytest.approx(
        (found["predict_high"] - found["predict_low"]) / 2 / 1.959964
    )
    told = ek.decide(evaluation, prior=file).table.set_index("component")
    assert told.loc["key_worker", "prior"] == "six places" and "elsewhere" in told.loc["key_worker", "sentence"]
    alone = ek.decide(evaluation, prior="sceptical").table.set_index("component")
    assert told.loc["key_worker", "chance_better"] != alone.loc["key_worker", "chance_better"]
    broken = json.loads(file.read_text())
    broken["components"]["key_worker"]["sd"] = 0
    file.write_text(json.dumps(broken))
    with pytest.raises(OptionError, match="sd above 0"):
        prior_of(file)


@pytest.mark.parametrize("text", ["a=" + "[" * 100_000, '{"a":' + "[" * 100_000, '{"name": ' + "9" * 5000 + "}"])
def test_a_prior_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text(text)
    with pytest.raises(OptionError, match=r"pool\.json cannot be read"):
        prior_of(tmp_path / "pool.json")


def test_a_key_of_a_prior_that_nothing_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "prior.toml").write_text(
        'name = "six"\noutcom = "y"\noutcome = "y"\nunit = "points"\n[components.a]\nmean = 1\nsd = 2\nmeen = 3\n'
    )
    with pytest.raises(OptionError) as told:
        prior_of(tmp_path / "prior.toml")
    assert [str(p) for p in told.value.problems] == [
        "Unknown key 'outcom' (prior.toml). Did you mean 'outcome'?",
        "Unknown key 'meen' (prior.toml, [components.a]). Did you mean 'mean'?",
    ]


def test_a_mark_at_the_beginning_of_a_prior_is_none_of_it(tmp_path: Path) -> None:
    said = {"name": "six", "outcome": "y", "unit": "points", "components": {"a": {"mean": 1, "sd": 2}}}
    (tmp_path / "pool.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(said).encode())
    assert prior_of(tmp_path / "pool.json").components == {"a": (1.0, 2.0)}


PROJECT = {
    "id": "INDIGO-POJ-0001", "status": "PUBLIC", "name": {"value": "Somewhere"},
    "purpose_and_classifications": {"policy_sector": {"value": "Homelessness"},
                                    "intervention": {"value": "Housing first"}},
    "service_provisions": [
        {"id": "p1", "status": "PUBLIC", "organisation_id": {"value": "ORG-1"}, "intervention": {"value": "nurse"},
         "planned_service": {"start_date": {"value": "2018"}},
         "actual_service": {"start_date": {"value": "2018-03"}, "end_date": {"value": "2020-03-15"}},
         "alterations": {"description": {"value": "a second nurse"}, "reason": {"value": "demand"}}},
        {"id": "p2", "status": "PUBLIC", "planned_service": {"start_date": {"value": "2019"}}},
        {"id": "p3", "status": "PRIVATE"},
    ],
    "delivery_locations": [{"status": "PUBLIC", "service_provision_id": {"value": "p1"},
                            "location_name": {"value": "Leeds"}}],
    "outcome_metrics": [{"id": "m1", "status": "PUBLIC", "definition": {"value": "a home for six months"}}],
    "outcome_pricings": [{"status": "PUBLIC", "outcome_metric_id": {"value": "m1"}, "currency": {"value": "GBP"},
                          "price_per_unit": {"amount": {"value": 1200}}}],
    "outcome_payments": [{"status": {"value": "PUBLIC"}, "outcome_metric_id": {"value": "m1"},
                          "period": {"end_date": {"value": "2019-06"}}, "money": {"amount": {"value": 4800}}}],
    "provider_side_cost": [{"date": {"value": "2019"},
                            "payment": {"planned": {"value": 900}, "currency": {"value": "GBP"}}}],
    "results": [{"status": "PUBLIC", "outcomes_achieved": {"value": "many"}}],
}  # fmt: skip


def write(folder: Path, project: dict, name: str = "project.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(project), encoding="utf-8")
    return file


def test_indigo_is_a_register(tmp_path: Path) -> None:
    found = ek.read_indigo(write(tmp_path, PROJECT), components={"p1": "nurse"})
    assert (found.id, found.name, found.population) == ("INDIGO-POJ-0001", "Somewhere", "Homelessness. Housing first")
    assert found.components["component"].tolist() == ["nurse", ""] and found.withheld == {"service_provisions": 1}
    first, second = found.adoption.to_dict("records")
    assert (first["component"], first["level_id"], first["start"], first["end"], first["certainty"]) == (
        "nurse", "Leeds", "2018-03", "2020-03-15", "month")  # fmt: skip
    assert first["planned_start"] == "2018-07" and first["change_note"] == "a second nurse; demand"
    assert (second["start"], second["certainty"], second["source"]) == ("2019-07", "year", "INDIGO, planned")
    assert found.rate_card.iloc[0].tolist()[:4] == ["m1", "a home for six months", 1200.0, "GBP"]
    assert (
        found.claims.iloc[0]["amount"] == 4800
        and found.costs.iloc[0]["amount"] == 900
        and found.costs.iloc[0]["planned"]
    )
    wrapped = ek.read_indigo(
        write(tmp_path, {"id": "X", "data": {k: v for k, v in PROJECT.items() if k != "id"}}, "w.json")
    )
    assert wrapped.id == "X" and len(wrapped.adoption) == 2


def test_indigo_spells_are_those_of_a_study(tmp_path: Path) -> None:
    """Spells sure to the year alone are read in a study, also early and late."""
    found = ek.read_indigo(write(tmp_path, PROJECT))
    spells = found.adoption[found.adoption["component"] == "p2"].assign(level_id="L0")
    months = [str(m) for m in pd.period_range("2018-01", periods=36, freq="M")]
    frame = pd.DataFrame({"place": np.repeat(["L0", "L1"], 36), "month": months * 2, "y": 0.0})
    on = {}
    for dates in ("as_given", "early", "late"):
        part = ek.Component("p2", adoption=spells, dates=dates)
        study = ek.Study(frame, unit="place", period="month", components=[part], outcome="y")
        state = study.paths.state[study.paths.path[list(study.paths.units).index("L0")], :, 0]
        on[dates] = months[int(np.argmax(state > 0))]
    assert on == {"as_given": "2019-07", "early": "2019-01", "late": "2019-12"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "PRIVATE"}, "private, not public"),
        (
            {"service_provisions": [{"id": "p", "actual_service": {"start_date": {"value": "soon"}}}]},
            "'soon' is no date",
        ),
        ({"outcome_pricings": [{"price_per_unit": {"amount": {"value": "dear"}}}]}, "'dear' is no amount"),
    ],
)
def test_what_is_wrong_with_an_indigo_file_is_named(change: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(ek.EvalkitError, match=words) as told:
        ek.read_indigo(write(tmp_path, {**PROJECT, **change}))
    assert "project.json" in str(told.value)


@pytest.mark.parametrize("date", ["2022-Q1", "2022/01", "Jan2022", "01/02/2022", "2022-1-1"])
def test_a_date_of_indigo_is_written_one_way(date: str, tmp_path: Path) -> None:
    provision = {"id": "p", "actual_service": {"start_date": {"value": date}}}
    with pytest.raises(ek.EvalkitError, match=f"'{date}' is no date"):
        ek.read_indigo(write(tmp_path, {**PROJECT, "service_provisions": [provision]}))


@pytest.mark.parametrize(("amount", "is_said"), [("1,234.5", 1234.5), ("1e3", 1000.0), (7, 7.0)])
def test_an_amount_of_indigo_as_text(amount: object, is_said: float, tmp_path: Path) -> None:
    cost = {"payment": {"actual": {"value": amount}}}
    assert ek.read_indigo(write(tmp_path, {**PROJECT, "provider_side_cost": [cost]})).costs["amount"][0] == is_said


@pytest.mark.parametrize("amount", ["1,5", "1.234,5", "12,34", "1_000"])
def test_a_decimal_comma_is_no_thousand(amount: str, tmp_path: Path) -> None:
    cost = {"payment": {"actual": {"value": amount}}}
    with pytest.raises(ek.EvalkitError, match=f"'{amount}' is no amount"):
        ek.read_indigo(write(tmp_path, {**PROJECT, "provider_side_cost": [cost]}))


def test_what_lies_within_something_private_is_private(tmp_path: Path) -> None:
    """A status stands beside a value, or on anything that holds it; wrapped or not."""
    provision = {"id": "p", "actual_service": {"status": "PRIVATE", "start_date": {"value": "2021"}},
                 "planned_service": {"start_date": {"value": "2020-02"}}}  # fmt: skip
    price = {"outcome_metric_id": "m1", "price_per_unit": {"status": "PRIVATE", "amount": {"value": 5}}}
    purpose = {"status": {"value": "PRIVATE"}, "policy_sector": {"value": "Secret"}}
    found = ek.read_indigo(write(tmp_path, {
        **PROJECT, "status": {"value": "PUBLIC"}, "service_provisions": [provision], "outcome_pricings": [price],
        "purpose_and_classifications": purpose, "outcome_payments": 5,
    }))  # fmt: skip
    assert found.adoption[["start", "source"]].to_numpy().tolist() == [["2020-02", "INDIGO, planned"]]
    assert (found.population, found.status, len(found.rate_card), len(found.claims)) == ("", "PUBLIC", 0, 0)


def test_what_is_no_indigo_file_is_refused(tmp_path: Path) -> None:
    for text in ("[]", "{", "{}", "[" * 100_000):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ek.EvalkitError, match=r"x\.json"):
            ek.read_indigo(tmp_path / "x.json")
    with pytest.raises(OptionError, match="no service provision 'zz'"):
        ek.read_indigo(write(tmp_path, PROJECT), components={"zz": "nurse"})


def test_the_page_says_what_worked_where(cards: list[Card], tmp_path: Path) -> None:
    named = [
        c.model_copy(update={"provenance": c.provenance.model_copy(update={"indigo": f"I-{i}"})})
        for i, c in enumerate(cards)
    ]
    register = tmp_path / "register"
    register.mkdir()
    for i in range(30):
        write(register, {**PROJECT, "id": f"I-{i}", "name": {"value": f"Town {i}"}}, f"{i}.json")
    folder = tmp_path / "cards"
    ek.Cards.of(named).save(folder)
    with pytest.raises(SystemExit) as ended:
        main(["pool", str(folder), "--out", str(tmp_path / "page"), "--register", str(register)])
    assert ended.value.code == 0
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert strict(page) and "6 of 30 have no card" in page and "Town 29" in page
    pooled = ek.pool(named)
    assert all(s in page for s in ("In a new place", "Nothing here is ranked", *(c.study for c in named)))
    assert (
        pd.read_csv(tmp_path / "page" / "components.csv")["estimate"].notna().sum()
        == pooled.components["estimate"].notna().sum()
    )
    assert prior_of(tmp_path / "page" / "pool.json").outcome == "settled"
    assert len(json.loads((tmp_path / "page" / "evidence.json").read_text())) == len(pooled.to_fhir())


def test_a_page_is_not_written_among_the_cards(cards: list[Card], tmp_path: Path) -> None:
    """There each file is a card: what a page holds would be refused as one at the next pooling."""
    for card in cards:
        card.save(tmp_path)
    with pytest.raises(ek.EvalkitError, match="is the folder of the cards"):
        ek.portfolio(ek.pool(tmp_path), tmp_path)
    assert len(ek.Cards.load(tmp_path)) == len(cards)
    assert ek.portfolio(ek.pool(tmp_path), tmp_path / "page").exists() and len(ek.Cards.load(tmp_path)) == len(cards)


def test_the_command_writes_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = PLACES["Larkwell"].save(tmp_path / "study")
    about = tmp_path / "about.toml"
    about.write_text(
        'study = "here"\nindigo = "I-1"\n[terms]\nkey_worker = "ek:a"\n'
        '[population]\nplace = "Here"\ndescription = "All"\n'
    )
    with pytest.raises(SystemExit) as ended:
        main(["card", str(study), "--out", str(tmp_path / "cards"), "--about", str(about)])
    assert ended.value.code == 0
    card = next(iter(ek.Cards.load(tmp_path / "cards")))
    assert (card.study, card.components["key_worker"].term, card.population.place) == ("here", "ek:a", "Here")
    assert card.key in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["card", str(study), "--out", str(tmp_path / "cards"), "--about", str(about), "--supersedes", card.key,
              "--before", str(study)])  # fmt: skip
    assert ended.value.code == 0
    assert next(iter(ek.Cards.load(tmp_path / "cards"))).clusters_changed == 0
    about.write_text("colour = 3\n")
    with pytest.raises(SystemExit) as ended:
        main(["card", str(study), "--about", str(about)])
    assert ended.value.code == 2
