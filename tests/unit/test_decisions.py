"""Decisions of an evaluation: the table, where its money comes from, what is withheld and why, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evalkit as ek
from evalkit.evaluation.decisions import COLUMNS, every_case
from evalkit.evaluation.results import safe
from evalkit.language.decisions import said_of
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.verdicts.rules import may_move
from evalkit.vocabulary import ACTS, LEANS
from tests.unit.test_value import panel

KEYWORKER = ek.Component("keyworker", label="Keyworker", always_on=True, unit_cost=500)
COSTS = pd.DataFrame({"component": ["a"], "amount": [40_000.0], "price_year": [2018], "currency": ["£"]})
WORTH = pd.DataFrame({"outcome": "y", "value": [600.0, 300.0], "bearer": ["fiscal", "social"], "price_year": 2018})
UNSAID: dict[str, object] = {"component": ["a"], "amount": [40_000.0]}


def study(effect: float = 1.0, **more: object) -> ek.Study:
    """One component in half of 24 sites over ten years, a keyworker for all, and a second outcome."""
    frame = panel(effect).assign(keyworker=1)
    rng = np.random.default_rng(3)
    frame["z"] = rng.normal(size=len(frame)) * 0.5 + 0.9 * frame["a"]
    fields = {
        "unit": "person", "period": "year", "cluster": "site", "outcomes": [
            ek.Outcome("y", label="Visits", kind="count", matters=0.5), ek.Outcome("z", kind="score", matters=0.4),
        ],
        "components": [ek.Component("a", label="Advice", exposure="a"), KEYWORKER],
        "money": ek.Money(costs=COSTS, unit_costs=WORTH),
    }  # fmt: skip
    return ek.Study(frame, **{**fields, **more})


@pytest.fixture(scope="module")
def good() -> ek.Evaluation:
    return ek.evaluate(study())


def row(evaluation: ek.Evaluation, name: str = "a", **asked: object) -> Mapping[str, object]:
    return ek.decide(evaluation, **asked).table.set_index("component").loc[name]  # type: ignore[arg-type]


def priced(found: ek.Evaluation, **more: object) -> ek.Evaluation:
    """The same findings under other money or settings."""
    return replace(found, study=study(**more))


# ---------------------------------------------------------------- the table


def test_there_is_a_row_for_every_component_and_the_programme(good: ek.Evaluation) -> None:
    table = good.decisions.table
    assert tuple(table.columns) == COLUMNS
    assert table["component"].tolist() == ["a", "keyworker", "programme"]
    assert set(table["act"]) <= set(ACTS) and set(table["lean"]) <= set(LEANS)
    assert ek.decide(good) is good.decisions
    assert "Advice" in repr(good.decisions) and "<table" in good.decisions._repr_html_()
    assert good.frames()["decisions"] is table


def test_money_is_that_of_the_cells_compared(good: ek.Evaluation) -> None:
    line, value = good.decisions.lines[0], good.value.table.set_index("name").loc["a"]  # type: ignore[union-attr]
    stake = line.case.stake
    assert (stake.people_periods, stake.cost) == (value["people_periods"], value["cost_compared"])
    assert stake.worth == (600.0, 900.0)
    found, mean = row(good), line.returns[0].net_benefit + stake.cost
    assert found["net_benefit"] == line.returns[0].net_benefit
    assert found["break_even_worth"] == pytest.approx(600 * stake.cost / mean)
    assert found["net_benefit_low"] < found["net_benefit"] < found["net_benefit_high"]
    assert found["net_benefit_high"] == max(r.net_benefit_high for r in line.returns)
    assert 0.9 * found["net_benefit"] > 0.5 * (600 * value["additional"] - stake.cost)


def test_what_everybody_had_rests_on_no_evidence(good: ek.Evaluation) -> None:
    found, exposed = row(good, "keyworker"), 72 * 10
    assert (found["act"], found["lean"]) == ("no_evidence", "")
    assert f"£{500 * exposed:,.0f} rests on no evidence here" in str(found["sentence"])
    assert found["reason"] and np.isnan(found["chance_better"])


def test_the_programme_names_what_its_price_leaves_out(good: ek.Evaluation) -> None:
    assert "Its price leaves out “Keyworker”." in str(row(good, "programme")["sentence"])
    assert good.decisions.lines[-1].case.members == ("a",)


def test_a_lean_is_the_same_in_verdicts_and_decisions(good: ek.Evaluation) -> None:
    verdicts = good.verdicts.set_index(["component", "outcome"])["lean"]
    assert verdicts["a", "y"] == row(good)["lean"] == "harm_ruled_out"
    assert verdicts["keyworker", "y"] == ""


# ---------------------------------------------------------------- what is asked for


def test_an_amount_for_one_of_what_is_counted_is_said_as_people_say_it(good: ek.Evaluation) -> None:
    said = str(row(good)["sentence"])
    assert "it pays at £600 to £900 for one more of “Visits”." in said and "for one more of “Visits”;" in said


def test_a_worth_may_be_given(good: ek.Evaluation) -> None:
    one, both = row(good, worth=5000), row(good, worth=(1, 5000))
    assert one["act"] == "keep_and_extend" and one["chance_pays"] > 0.9
    assert (both["act"], both["reason"]) == ("hold_and_test", "it hangs on what one outcome is worth")
    assert both["net_benefit_high"] == pytest.approx(one["net_benefit_high"], rel=1e-3)


@pytest.mark.parametrize("worth", [-5, 0, np.nan, "750", (900, 700), (1, 2, 3), ()])
def test_a_worth_that_makes_no_sense_is_refused(good: ek.Evaluation, worth: object) -> None:
    with pytest.raises(ek.EvalkitError, match="above 0, or the two ends of a range"):
        ek.decide(good, worth=worth)  # type: ignore[arg-type]


def test_only_an_evaluation_is_decided_on(good: ek.Evaluation) -> None:
    with pytest.raises(ek.EvalkitError, match="needs an Evaluation"):
        ek.decide(good.study)  # type: ignore[arg-type]
    with pytest.raises(ek.EvalkitError, match="needs the Evaluation that `evaluate` gave"):
        ek.decide(safe(good), prior="flat")


def test_a_flat_prior_is_less_cautious(good: ek.Evaluation) -> None:
    flat = row(good, prior="flat")
    assert flat["prior"] == "flat" and flat["chance_matters"] > row(good)["chance_matters"]
    assert "starting from nothing" in str(flat["sentence"])


POOL = """name = "twelve places"
outcome = "{outcome}"
unit = "{unit}"
[components.a]
mean = 0.8
sd = 0.3
"""


def test_a_pool_is_a_prior_for_its_own_outcome_and_unit(good: ek.Evaluation, tmp_path: Path) -> None:
    unit = good.study.outcome("y").unit
    file = tmp_path / "pool.toml"
    file.write_text(POOL.format(outcome="y", unit=unit), encoding="utf-8")
    found = row(good, prior=str(file))
    assert found["prior"] == "twelve places" and found["chance_matters"] > row(good)["chance_matters"]
    for wrong, words in (({"outcome": "z", "unit": unit}, "another outcome"), ({"outcome": "y", "unit": "kg"}, "unit")):
        file.write_text(POOL.format(**wrong), encoding="utf-8")
        held = row(good, prior=str(file))
        assert held["act"] == "hold_and_test" and words in str(held["reason"]) and np.isnan(held["chance_better"])
        assert words in str(held["sentence"]) and held["lean"] == "harm_ruled_out"
    file.write_text(POOL.format(outcome="y", unit=unit), encoding="utf-8")
    assert "holds nothing about it" in str(row(good, "programme", prior=str(file))["reason"])


def test_a_prior_file_that_cannot_be_used_says_everything_that_is_wrong(good: ek.Evaluation, tmp_path: Path) -> None:
    with pytest.raises(ek.EvalkitError, match="neither 'sceptical' nor 'flat'"):
        ek.decide(good, prior="skeptical")
    file = tmp_path / "pool.toml"
    file.write_text("name = 3\n[components.a]\nmean = 1\nsd = -1\n", encoding="utf-8")
    with pytest.raises(
        ek.EvalkitError, match=r"4 problems(.|\n)*'name'(.|\n)*'outcome'(.|\n)*'unit'(.|\n)*components\.a"
    ):
        ek.decide(good, prior=file)
    file.write_text("name =", encoding="utf-8")
    with pytest.raises(ek.EvalkitError, match="cannot be read"):
        ek.decide(good, prior=file)


# ---------------------------------------------------------------- bad input is said on the line that it touches


def test_without_a_cost_nothing_is_priced(good: ek.Evaluation) -> None:
    found = row(priced(good, money=ek.Money(unit_costs=WORTH)))
    assert found["reason"] == "its cost is not given" and np.isnan(found["net_benefit"])
    assert found["act"] == "keep_and_extend" and found["chance_matters"] > 0.5
    assert "No price can be set against what it brings: its cost is not given." in str(found["sentence"])


def test_without_a_worth_thresholds_are_given(good: ek.Evaluation) -> None:
    found = row(priced(good, money=ek.Money(costs=COSTS)))
    assert found["reason"] == "nobody has said what one outcome is worth"
    assert found["break_even_worth"] > 0 and "Worth extending from £" in str(found["sentence"])


@pytest.mark.parametrize(
    ("costs", "worth", "words"),
    [
        ({}, {"price_year": 2020}, "costs are in prices of 2018, worth in prices of 2020"),
        ({}, {"currency": "€"}, "its costs are in £ and the worth of an outcome is in €"),
        ({**UNSAID, "currency": "EUR"}, {}, "its costs are in EUR, and nobody has said in which currency the worth of"),
        (UNSAID, {"currency": "EUR"}, "the worth of an outcome is in EUR, and nobody has said in which currency its"),
        (UNSAID, {}, "is in prices of 2018, and nobody has said of which year its costs are"),
        ({**UNSAID, "price_year": 2019}, {"price_year": None}, "prices of 2019, and nobody has said of which year the"),
        ({"component": ["a", "a"], "amount": [3e4, 1e4], "price_year": [2018, 2019]}, {}, "prices of 2018 and 2019"),
    ],
)
def test_amounts_that_do_not_go_together_hold_the_line(
    good: ek.Evaluation, costs: Mapping[str, object], worth: Mapping[str, object], words: str
) -> None:
    table = pd.DataFrame({"currency": np.nan if costs is UNSAID else "£", **costs}) if costs else COSTS
    found = row(priced(good, money=ek.Money(costs=table, unit_costs=WORTH.assign(**worth))))
    assert found["act"] == "hold_and_test" and words in str(found["reason"]) and words in str(found["sentence"])
    assert np.isnan(found["net_benefit"]) and found["chance_better"] > 0.9


def test_an_index_that_the_study_states_joins_price_years(good: ek.Evaluation) -> None:
    money = ek.Money(costs=COSTS, unit_costs=WORTH.assign(price_year=2020))
    stated = priced(good, money=money, settings={"price_year": 2020, "inflation": 0.1})
    line = stated.decisions.lines[0]
    plain = good.decisions.lines[0]
    assert line.case.stake.conflict == "" and line.case.stake.worth == (600.0, 900.0)
    assert line.case.stake.cost == pytest.approx(1.21 * plain.case.stake.cost)
    value = stated.value.table.set_index("name").loc["a"]  # type: ignore[union-attr]
    assert value["cost_compared"] == pytest.approx(line.case.stake.cost)


def test_without_what_matters_there_is_neither_chance_nor_act() -> None:
    found = row(ek.evaluate(study(outcomes=[ek.Outcome("y", kind="count")])))
    assert (found["act"], found["lean"]) == ("hold_and_test", "harm_ruled_out")
    assert found["reason"] == "nobody has said how large a change would matter"
    assert "Say first how large a change would matter" in str(found["sentence"])
    assert "leaves out any change for the worse." in str(found["sentence"]) and "what matters" not in found["sentence"]


def test_a_currency_is_the_same_by_its_letters_and_its_sign(good: ek.Evaluation) -> None:
    costs, worth = COSTS.assign(currency="GBP"), WORTH.assign(currency="£")
    for said in (worth, WORTH):  # pounds are what a page says where nothing is said
        assert np.isfinite(row(priced(good, money=ek.Money(costs=costs, unit_costs=said)))["net_benefit"])
    euros = priced(
        good, money=ek.Money(costs=COSTS.assign(currency="EUR"), unit_costs=WORTH), settings={"currency": "EUR"}
    )
    assert np.isfinite(row(euros)["net_benefit"])


def test_a_worth_of_too_many_digits_is_no_worth(good: ek.Evaluation) -> None:
    with pytest.raises(ek.EvalkitError, match="is not a choice"):
        ek.decide(good, worth=10**400)


def test_a_currency_may_be_written_in_small_letters(good: ek.Evaluation) -> None:
    money = ek.Money(costs=COSTS.assign(currency="gbp "), unit_costs=WORTH.assign(currency="GBP"))
    assert np.isfinite(row(priced(good, money=money))["net_benefit"])


@pytest.mark.parametrize("worth", [None, WORTH])
def test_amounts_of_two_currencies_are_not_added_up(good: ek.Evaluation, worth: pd.DataFrame | None) -> None:
    """£20,000 and $20,000 are neither £40,000 nor any other sum that is known here: no price rests on one."""
    two = pd.DataFrame({"component": ["a", "a"], "amount": 20_000.0, "price_year": 2018, "currency": ["GBP", "USD"]})
    found = priced(good, money=ek.Money(costs=two, unit_costs=worth))
    line = row(found)
    assert "its costs are in GBP and USD" in str(line["reason"]) and np.isnan(line["break_even_worth"])
    assert "Worth extending from" not in str(line["sentence"])
    assert line["act"] == "hold_and_test" or worth is None
    value = found.value
    assert value is not None
    told = value.table.set_index("name").loc["a"]
    assert np.isnan(told[["cost", "cost_compared", "cost_per_outcome"]].to_numpy(dtype=float)).all()
    assert told["words"] == "Its costs are in GBP and USD, which are not added up."
    assert np.isnan(value.costs.set_index("component").loc["a", "amount"])
    assert any("such amounts are not added up" in note for note in value.notes)


def test_costs_are_printed_in_their_own_currency(good: ek.Evaluation) -> None:
    """Where worth is in another, no sign is put before the costs that is not theirs."""
    found = priced(good, money=ek.Money(costs=COSTS.assign(currency="EUR"), unit_costs=WORTH.assign(currency="GBP")))
    assert found.value is not None and found.value.table.set_index("name").loc["a", "words"].startswith("€")


def test_outcomes_that_disagree_are_said() -> None:
    outcomes = [ek.Outcome("y", label="Visits", kind="count", matters=0.5),
                ek.Outcome("z", label="Wellbeing", better="lower", matters=0.4)]  # fmt: skip
    found = row(ek.evaluate(study(outcomes=outcomes)))
    assert found["act"] == "hold_and_test"
    assert found["reason"] == "its outcomes disagree: “Visits” is better, “Wellbeing” is worse"


def test_negative_money_is_refused_at_the_door() -> None:
    with pytest.raises(ek.EvalkitError, match="amount is negative"):
        study(money=ek.Money(costs=COSTS.assign(amount=-1.0)))


# ---------------------------------------------------------------- withheld by checks, and by disclosure


@pytest.mark.parametrize(
    ("check", "status", "held"),
    [
        ("pre_trend", "failed", True), ("others_still_growing", "failed", True), ("date_rule", "failed", True),
        ("by_people", "failed", True), ("leave_one_cluster", "informational", False),
        ("pre_trend", "informational", False), ("dominant_place", "failed", False),
    ],
)  # fmt: skip
def test_failed_checks_withhold_chances_and_others_do_not(
    good: ek.Evaluation, check: str, status: str, held: bool
) -> None:
    outcome = CheckOutcome(check, status)  # type: ignore[arg-type]
    (e, v), *rest = good.judged
    by_people = status if check == "by_people" else "not_needed"
    passed = (c for c in e.checks if c.check != check and c.status != "failed")
    e = replace(e, checks=(*passed, outcome), by_people=True, by_people_check=by_people)  # type: ignore[arg-type]
    found, *_, whole = replace(good, judged=((e, v), *rest)).decisions.lines
    assert (whole.hangs == "withheld") is held and ("checks failed for 1 of the" in whole.case.withheld) is held
    assert (found.hangs == "withheld") is held
    assert bool(np.isnan(found.chance_better)) is held
    assert found.lean == "harm_ruled_out"


@pytest.mark.parametrize(
    ("check", "moves"),
    [
        (CheckOutcome("stayers", "failed", "", 0.1, -0.2, 0.3), None),
        (CheckOutcome("rungs", "failed", "", 0.04, 0.01, 0.07), (-0.04, 0.0)),
        (CheckOutcome("rungs", "failed", "", -0.04, -0.07, -0.01), (0.0, 0.04)),
    ],
)
def test_chances_allow_for_failed_checks_that_say_how_far_they_move_it(
    good: ek.Evaluation, check: CheckOutcome, moves: tuple[float, float] | None
) -> None:
    (e, v), *rest = good.judged
    passed = tuple(c for c in e.checks if c.check != check.check and c.status != "failed")
    before = replace(good, judged=((replace(e, checks=passed), v), *rest)).decisions.lines[0]
    found = replace(good, judged=((replace(e, checks=(*passed, check)), v), *rest)).decisions.lines[0]
    reach = stats.t.ppf(0.975, e.df) * e.std_error
    low, high = e.estimate - reach, e.estimate + reach
    down, up = moves or (min(check.conf_low - low, 0.0), max(check.conf_high - high, 0.0))
    assert found.case.moves == pytest.approx((down, up) if e.good > 0 else (-up, -down))
    assert found.hangs != "withheld" and found.chance_better != before.chance_better
    assert "allow for this, the likely range does not" in said_of(found).doubt
    assert "do not allow" not in said_of(found).doubt
    whole = replace(good, judged=((replace(e, checks=(*passed, check)), v), *rest)).decisions.lines[-1]
    assert whole.case.allowed == found.case.allowed and whole.hangs != "withheld"  # of one component


def test_who_went_missing_moves_an_answer_alike_whatever_the_level(good: ek.Evaluation) -> None:
    (e, _), *_ = good.judged
    reach = stats.t.ppf(0.975, e.df) * e.std_error
    check = CheckOutcome("stayers", "failed", "", 0.1, e.estimate - reach - 0.2, e.estimate + reach + 0.1)
    for level in (0.8, 0.95, 0.999):
        wide = stats.t.ppf((1 + level) / 2, e.df) * e.std_error
        other = replace(e, conf_low=e.estimate - wide, conf_high=e.estimate + wide, checks=(check,))
        assert may_move(other)["stayers"] == pytest.approx((-0.2, 0.1))


def test_protected_reports_allow_in_quarters_of_what_matters(good: ek.Evaluation) -> None:
    (e, v), *rest = good.judged
    reach = stats.t.ppf(0.975, e.df) * e.std_error
    check = CheckOutcome("stayers", "failed", "", 0.1, e.estimate - reach - 0.0123, e.estimate + reach + 0.0123)
    passed = tuple(c for c in e.checks if c.check != "stayers" and c.status != "failed")
    held = replace(good, judged=((replace(e, checks=(*passed, check)), v), *rest))
    protected = safe(replace(held, study=held.study.replace(settings={"disclosure": "custom: count=2"})))
    case = protected.decisions.lines[0].case
    assert case.allowed and case.matters is not None
    for move in case.moves:
        assert abs(move) >= 0.0123 - 1e-12 and abs(move) / (case.matters / 4) == pytest.approx(
            round(abs(move) / (case.matters / 4)), abs=1e-6
        )


def test_what_rests_on_too_few_people_is_decided_without_its_numbers(good: ek.Evaluation) -> None:
    few = priced(good, settings={"disclosure": "custom: count=100"})
    hidden = safe(few).decisions
    assert few.decisions.table["chance_better"].notna().any()
    assert hidden.table["chance_better"].isna().all() and hidden.table["net_benefit"].isna().all()
    assert (hidden.table["lean"] == "").all()
    assert "not published" in hidden.table["reason"].iloc[0]
    assert every_case(few)[0].ranged
